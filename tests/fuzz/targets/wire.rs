#![no_main]
#[path = "../bodies/wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| wire::body(octets));

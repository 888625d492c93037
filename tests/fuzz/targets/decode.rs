#![no_main]
#[path = "../bodies/decode.rs"]
mod decode;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| decode::body(octets));

#![no_main]
#[path = "../bodies/negotiations.rs"]
mod negotiations;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| negotiations::body(octets));

#![no_main]
#[path = "../bodies/ntlm.rs"]
mod ntlm;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ntlm::body(octets));

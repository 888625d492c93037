#![no_main]
#[path = "../bodies/fragments.rs"]
mod fragments;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fragments::body(octets));

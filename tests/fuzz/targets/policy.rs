#![no_main]
#[path = "../bodies/policy.rs"]
mod policy;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| policy::body(octets));

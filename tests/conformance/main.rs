//! RFC 4178 and MS-SPNG, sentence by sentence: one test for each that asks for something, named after
//! its section and its number there. What stands above a test is its row in doc/conformance.md:
//! `SECTION-NUMBER STRENGTH "some words of the sentence"`, and after an empty line what is done.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

#[path = "../support/mod.rs"]
mod support;

mod ms_spng_2;
mod ms_spng_3_1;
mod ms_spng_3_2;
mod programs;
mod rfc4178_3;
mod rfc4178_4;
mod rfc4178_5;
mod rfc4178_6;
mod table;
mod talk;

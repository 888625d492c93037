//! The bodies of the fuzz targets over their corpora and what a fixed generator makes of them, on
//! any Rust. `make fuzz` goes further.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

#[path = "fuzz/bodies/decode.rs"]
mod decode;
#[path = "fuzz/bodies/fragments.rs"]
mod fragments;
#[path = "fuzz/bodies/negotiations.rs"]
mod negotiations;
#[path = "fuzz/bodies/ntlm.rs"]
mod ntlm;
#[path = "fuzz/bodies/policy.rs"]
mod policy;
#[path = "fuzz/bodies/wire.rs"]
mod wire;

use std::fs;
use std::path::Path;

#[test]
fn wire_holds_over_its_corpus_and_mutations() {
    run("wire", wire::body);
}

#[test]
fn the_tools_decoder_holds_over_its_corpus_and_mutations() {
    run("decode", decode::body);
}

#[test]
fn fragments_hold_over_their_corpus_and_mutations() {
    run("fragments", fragments::body);
}

#[test]
fn negotiations_hold_over_their_corpus_and_mutations() {
    run("negotiations", negotiations::body);
}

#[test]
fn ntlm_holds_over_its_corpus_and_mutations() {
    run("ntlm", ntlm::body);
}

#[test]
fn policies_hold_over_their_corpus_and_mutations() {
    run("policy", policy::body);
}

fn run(target: &str, body: fn(&[u8])) {
    let corpus = corpus(target);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for input in &corpus {
        body(input);
        for end in 0..input.len() {
            body(&input[..end]);
        }
    }
    for _ in 0..MUTATIONS {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &corpus, &mut random);
        }
        body(&input);
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus in {}", directory.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Change an input as a fuzzer would: an octet, a length, a piece cut out, doubled or taken from
/// elsewhere.
fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let to = (at + random.below(16)).min(input.len());
    match random.below(6) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = TELLING[random.below(TELLING.len())],
        2 => drop(input.drain(at..to)),
        3 => {
            let piece = input[at..to].to_vec();
            input.splice(at..at, piece);
        }
        4 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            let until = (from + random.below(32)).min(other.len());
            input.splice(at..to, other[from..until].iter().copied());
        }
        _ => input.insert(at, TELLING[random.below(TELLING.len())]),
    }
}

/// The same numbers in every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

const MUTATIONS: usize = 20_000;
/// Tags, length forms and ends of ranges.
const TELLING: [u8; 20] = [
    0, 1, 2, 3, 4, 6, 10, 0x30, 0x60, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xa1, 0xa2, 0xa3, 0xfe,
    0xff,
];

//! Our reader of tokens against an independent one, pyasn1 with the ASN.1 of RFC 4178 and MS-SPNG:
//! thousands of tokens, whole and mutated, are read or refused by both, with the same values.
//!
//! Where ours reads what the module does not allow, it is for a peer that writes it or a rule that
//! asks for it. Each such leniency is taken out of the token, and then both must agree.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use spnego::oid::{IAKERB, KRB5, KRB5_MS, NEGOEX, NTLMSSP, Oid};
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};
use support::{hex, python};

#[test]
fn an_independent_reader_reads_the_same_in_every_token() {
    let tokens = tokens();
    let Some(theirs) = theirs(&tokens) else {
        return;
    };
    let tidied: Vec<Token> = tokens.iter().map(|token| tidy(token).0).collect();
    let theirs_tidied = self::theirs(&tidied).unwrap();
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let ours = token.read();
        let reasons = match (&ours, &theirs[at]) {
            (Ok(ours), Some(theirs)) if ours == theirs => vec!["both read it, the same"],
            (Err(_), None) => vec!["both refuse it"],
            (Err(why), Some(_)) => STRICTER
                .iter()
                .copied()
                .filter(|part| why.contains(part))
                .collect(),
            (Ok(_), _) => {
                let (tidied, reasons) = tidy(token);
                let changes_nothing = same_but_for_identifiers(token, &tidied, &reasons);
                let agreed = tidied.read().ok() == theirs_tidied[at];
                if changes_nothing && agreed {
                    reasons
                } else {
                    Vec::new()
                }
            }
        };
        if reasons.is_empty() {
            unexplained.push(format!(
                "{token:?}: ours {ours:?}, pyasn1's {:?}",
                theirs[at]
            ));
        }
        for reason in reasons {
            *counted.entry(reason).or_default() += 1;
        }
    }
    println!("{counted:#?}");
    assert!(
        unexplained.is_empty(),
        "{} of {}:\n{}",
        unexplained.len(),
        tokens.len(),
        unexplained[..unexplained.len().min(20)].join("\n")
    );
    // The list below has no reason that never applies, and the tokens are not all of one kind.
    for reason in LENIENT.iter().chain(&STRICTER) {
        assert!(counted.contains_key(reason), "{reason}: never");
    }
    assert!(counted["both read it, the same"] > 500 && counted["both refuse it"] > 1000);
}

/// Why ours reads what pyasn1 does not.
const LENIENT: [&str; 7] = [
    TRAILING,
    FLAGS,
    UNKNOWN,
    NO_SEQUENCE,
    HINTS,
    FIELD_4,
    IDENTIFIER,
];
const TRAILING: &str = "octets after an initial token, which some clients send";
const FLAGS: &str = "reqFlags are ignored unread (RFC 4178 section 4.2.1)";
const UNKNOWN: &str = "unknown fields are ignored (RFC 4178 section 6)";
const NO_SEQUENCE: &str = "a NegTokenResp without its SEQUENCE, as old implementations send it";
const HINTS: &str = "negHints are ignored unread (MS-SPNG 3.2.5)";
const FIELD_4: &str = "beside a MIC in field 3, field 4 is an unknown one";
const IDENTIFIER: &str = "identifiers are compared octet for octet, and never taken apart";

/// Why ours refuses what pyasn1 reads: parts of our reasons.
const STRICTER: [&str; 3] = [
    // X.690 8.1.3.5 allows 126; four hold more than any token has.
    "a length has more than 4 octets",
    // RFC 4178 4.2.1: one or more.
    "no mechanism in it",
    // The module's ENUMERATED has four; in DER each has one octet.
    "not one of its four values",
];

// ---- what is read ----

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Token {
    is_init: bool,
    octets: Vec<u8>,
}

impl Token {
    /// What ours reads in it, as tests/py/asn1_peer.py writes it, or why not.
    fn read(&self) -> Result<String, String> {
        if self.is_init {
            let init = NegTokenInit::decode(&self.octets).map_err(|why| why.to_string())?;
            let mechs: Vec<_> = entries(init.mech_types.der()).map(hex).collect();
            let (token, mic) = (shown(init.mech_token), shown(init.mech_list_mic));
            return Ok(format!("{} {token} {mic}", mechs.join(",")));
        }
        let resp = NegTokenResp::decode(&self.octets).map_err(|why| why.to_string())?;
        let state = resp.neg_state.map(|state| match state {
            NegState::AcceptCompleted => "0",
            NegState::AcceptIncomplete => "1",
            NegState::Reject => "2",
            NegState::RequestMic => "3",
        });
        let mech = resp.supported_mech.map_or("-".to_owned(), hex);
        let (token, mic) = (shown(resp.response_token), shown(resp.mech_list_mic));
        Ok(format!("{} {mech} {token} {mic}", state.unwrap_or("-")))
    }
}

fn shown(field: Option<&[u8]>) -> String {
    field.map_or("-".to_owned(), |octets| format!("={}", hex(octets)))
}

/// What pyasn1 reads in each of them, `None` where it refuses; `None` where it is not installed.
fn theirs(tokens: &[Token]) -> Option<Vec<Option<String>>> {
    let mut peer = python("pyasn1", "asn1_peer.py")?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = peer.stdin.take().unwrap();
    let lines: String = tokens.iter().fold(String::new(), |mut lines, token| {
        let kind = if token.is_init { "init" } else { "resp" };
        let _ = writeln!(lines, "{kind} {}", hex(&token.octets));
        lines
    });
    // It answers while it reads.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = peer.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = answers
        .lines()
        .map(|line| (line != "refused").then(|| line.to_owned()))
        .collect();
    assert_eq!(answers.len(), tokens.len());
    Some(answers)
}

// ---- the leniencies taken out ----

/// The token without what only ours reads, and which of that it had. It is one that ours reads.
fn tidy(token: &Token) -> (Token, Vec<&'static str>) {
    if token.read().is_err() {
        return (token.clone(), Vec::new());
    }
    let mut had = Vec::new();
    let (_, outer, trailing) = split(&token.octets);
    if !trailing.is_empty() {
        had.push(TRAILING);
    }
    let choice = match token.is_init {
        true => split(split(outer).2).1,
        false => outer,
    };
    let is_whole = choice.first() == Some(&0x30);
    if !is_whole {
        had.push(NO_SEQUENCE);
    }
    let mut fields = if is_whole { split(choice).1 } else { choice };
    let mut tidied = Vec::new();
    let mut has_mic = false;
    while !fields.is_empty() {
        let (tag, content, rest) = split(fields);
        fields = rest;
        let kept = match (tag, token.is_init) {
            (0xa0, true) => tidy_list(content, &mut had),
            (0xa1, true) => drop_field(FLAGS, &mut had),
            (0xa1, false) => Some(tidy_entry(content, &mut had)),
            (0xa3, true) if content.first() == Some(&0x30) => {
                let empty = vec![0x30, 0];
                if empty != content {
                    had.push(HINTS);
                }
                Some(empty)
            }
            (0xa3, true) => {
                has_mic = true;
                Some(content.to_vec())
            }
            (0xa4, true) if has_mic => drop_field(FIELD_4, &mut had),
            (0xa4, true) | (0xa0..=0xa3, _) => Some(content.to_vec()),
            _ => drop_field(UNKNOWN, &mut had),
        };
        if let Some(content) = kept {
            tidied.extend(element(tag, &content));
        }
    }
    let sequence = element(0x30, &tidied);
    let octets = match token.is_init {
        true => {
            let spnego = element(0x06, split(outer).1);
            element(0x60, &[spnego, element(0xa0, &sequence)].concat())
        }
        false => element(0xa1, &sequence),
    };
    had.sort_unstable();
    had.dedup();
    let is_init = token.is_init;
    (Token { is_init, octets }, had)
}

/// Whether ours reads the same in both; identifiers are others where some were none.
fn same_but_for_identifiers(token: &Token, tidied: &Token, had: &[&str]) -> bool {
    let read = |token: &Token| {
        let fields = token.read().unwrap();
        let mut fields: Vec<String> = fields.split(' ').map(ToOwned::to_owned).collect();
        if had.contains(&IDENTIFIER) {
            fields.remove(usize::from(!token.is_init));
        }
        fields
    };
    tidied.read().is_ok() && read(token) == read(tidied)
}

fn drop_field(reason: &'static str, had: &mut Vec<&'static str>) -> Option<Vec<u8>> {
    had.push(reason);
    None
}

/// The list with another identifier in the place of each that is none.
fn tidy_list(list: &[u8], had: &mut Vec<&'static str>) -> Option<Vec<u8>> {
    let mut entries = split(list).1;
    let mut tidied = Vec::new();
    while !entries.is_empty() {
        let rest = split(entries).2;
        tidied.extend(tidy_entry(&entries[..entries.len() - rest.len()], had));
        entries = rest;
    }
    Some(element(0x30, &tidied))
}

fn tidy_entry(entry: &[u8], had: &mut Vec<&'static str>) -> Vec<u8> {
    let content = split(entry).1;
    if is_identifier(content) {
        return element(0x06, content);
    }
    had.push(IDENTIFIER);
    element(0x06, &vec![0x2a; content.len()])
}

/// Whether these are content octets of X.690 8.19.2: each number ends, and begins with a digit.
fn is_identifier(content: &[u8]) -> bool {
    let begins = std::iter::once(true).chain(content.iter().map(|octet| octet & 0x80 == 0));
    let ends = content.last().is_some_and(|last| last & 0x80 == 0);
    ends && begins
        .zip(content)
        .all(|(begins, octet)| !begins || *octet != 0x80)
}

/// The identifiers of a list, as content octets.
fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = split(list).1;
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let (_, content, after) = split(rest);
            rest = after;
            content
        })
    })
}

/// The first element: its tag, its content, and what follows.
fn split(octets: &[u8]) -> (u8, &[u8], &[u8]) {
    let count = usize::from(octets[1] & 0x7f);
    let (head, length) = if octets[1] < 0x80 {
        (2, count)
    } else {
        let digits = octets[2..2 + count].iter();
        let length = digits.fold(0, |sum, octet| (sum << 8) | usize::from(*octet));
        (2 + count, length)
    };
    (
        octets[0],
        &octets[head..head + length],
        &octets[head + length..],
    )
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let head = match content.len() {
        0..=0x7f => vec![tag, length[7]],
        0x80..=0xff => vec![tag, 0x81, length[7]],
        0x100..=0xffff => vec![tag, 0x82, length[6], length[7]],
        _ => vec![tag, 0x83, length[5], length[6], length[7]],
    };
    [&head, content].concat()
}

// ---- the tokens ----

/// Tokens of every form, and mutations of each. The same in every run.
fn tokens() -> Vec<Token> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut tokens = Vec::new();
    for _ in 0..WHOLE {
        let is_init = dice.below(2) == 0;
        let octets = if is_init {
            init(&mut dice)
        } else {
            resp(&mut dice)
        };
        for _ in 0..MUTATIONS {
            let mut mutated = octets.clone();
            for _ in 0..1 + dice.below(2) {
                mutate(&mut mutated, &mut dice);
            }
            let octets = mutated;
            tokens.push(Token { is_init, octets });
        }
        tokens.push(Token { is_init, octets });
    }
    tokens.sort();
    tokens.dedup();
    tokens
}

const WHOLE: usize = 1200;
const MUTATIONS: usize = 6;

fn init(dice: &mut Dice) -> Vec<u8> {
    let mechs = [KRB5, KRB5_MS, NTLMSSP, IAKERB, NEGOEX];
    let list: Vec<Oid> = (0..dice.below(5)).map(|_| mechs[dice.below(5)]).collect();
    let mut fields = dice.element(0xa0, MechList::encode(&list).der());
    if dice.below(4) == 0 {
        let flags = dice.element(0x03, &[1, 0x42]);
        fields.extend(dice.element(0xa1, &flags));
    }
    if dice.below(3) != 0 {
        fields.extend(dice.octet_string(0xa2));
    }
    match dice.below(4) {
        0 => fields.extend(dice.octet_string(0xa3)),
        1 => {
            let name = dice.element(0x1b, b"not_defined_in_RFC4178@please_ignore");
            let mut hints = dice.element(0xa0, &name);
            if dice.below(3) == 0 {
                hints.extend(dice.octet_string(0xa1));
            }
            let hints = dice.element(0x30, &hints);
            fields.extend(dice.element(0xa3, &hints));
        }
        _ => {}
    }
    if dice.below(4) == 0 {
        fields.extend(dice.octet_string(0xa4));
    }
    fields.extend(dice.unknown(0xa5));
    let sequence = dice.element(0x30, &fields);
    let choice = dice.element(0xa0, &sequence);
    let spnego = [0x06, 6, 0x2b, 6, 1, 5, 5, 2];
    let mut token = dice.element(0x60, &[&spnego[..], &choice].concat());
    if dice.below(12) == 0 {
        token.extend(dice.octets());
    }
    token
}

fn resp(dice: &mut Dice) -> Vec<u8> {
    let mut fields = Vec::new();
    if dice.below(4) != 0 {
        let value = u8::try_from(dice.below(5)).unwrap();
        let state = dice.element(0x0a, &[value]);
        fields.extend(dice.element(0xa0, &state));
    }
    if dice.below(2) == 0 {
        let mech = [KRB5, NTLMSSP, KRB5_MS][dice.below(3)];
        let mech = dice.element(0x06, mech.content());
        fields.extend(dice.element(0xa1, &mech));
    }
    if dice.below(3) != 0 {
        fields.extend(dice.octet_string(0xa2));
    }
    if dice.below(3) == 0 {
        fields.extend(dice.octet_string(0xa3));
    }
    fields.extend(dice.unknown(0xa4));
    let sequence = match dice.below(8) {
        0 => fields,
        _ => dice.element(0x30, &fields),
    };
    dice.element(0xa1, &sequence)
}

/// Change a token by an octet or a few, or its lengths.
fn mutate(token: &mut Vec<u8>, dice: &mut Dice) {
    if token.is_empty() {
        return;
    }
    let at = dice.below(token.len());
    let notable = [
        0, 0x7f, 0x80, 0x81, 0x84, 0x85, 0xff, 0x30, 0x04, 0x06, 0xa0, 0xa5,
    ];
    match dice.below(10) {
        0 | 1 => token[at] ^= 1 << dice.below(8),
        7 | 8 => {
            // A length, as a rule.
            let after_a_tag = |at: &usize| TAGS.contains(&token[at - 1]);
            let lengths: Vec<usize> = (1..token.len()).filter(after_a_tag).collect();
            if !lengths.is_empty() {
                token[lengths[dice.below(lengths.len())]] = notable[dice.below(notable.len())];
            }
        }
        2 => token[at] = notable[dice.below(notable.len())],
        3 => token.truncate(at),
        4 => {
            token.remove(at);
        }
        5 => token.insert(at, notable[dice.below(notable.len())]),
        6 => {
            let end = at + dice.below(token.len() - at);
            let part = token[at..=end.min(token.len() - 1)].to_vec();
            token.splice(at..at, part);
        }
        _ => token.extend(dice.octets()),
    }
}

const TAGS: [u8; 11] = [
    0x60, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x30, 0x04, 0x06, 0x0a, 0x1b,
];

/// Random numbers, the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn octets(&mut self) -> Vec<u8> {
        let length = [0, 1, 3, 20, 130, 300][self.below(6)];
        (0..length)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }

    /// An element, now and then with a length in a longer form than it needs.
    fn element(&mut self, tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        let octets = match self.below(24) {
            0 => 4,
            1 => 3,
            2 => 5,
            _ => return element(tag, content),
        };
        let announced = 0x80 | u8::try_from(octets).unwrap();
        [&[tag, announced], &length[8 - octets..], content].concat()
    }

    fn octet_string(&mut self, tag: u8) -> Vec<u8> {
        let octets = self.octets();
        let string = self.element(0x04, &octets);
        self.element(tag, &string)
    }

    /// Now and then a field that nobody knows.
    fn unknown(&mut self, first: u8) -> Vec<u8> {
        match self.below(10) {
            0 => {
                let tag = first + u8::try_from(self.below(4)).unwrap();
                let octets = self.octets();
                // Constructed, or primitive.
                let form = [0, 0x20][self.below(2)];
                self.element(tag & !form, &octets)
            }
            _ => Vec::new(),
        }
    }
}

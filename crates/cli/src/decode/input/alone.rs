//! A small input in which no token was found on the way: as a whole it may be one all the same, cut
//! short, damaged, or written in a way that only the eye tells from prose.
#![forbid(unsafe_code)]

use super::super::dissect::{self, field::Level, shape};
use super::{Found, Problem, Way, word};

/// The tokens of an input.
///
/// # Errors
/// A sentence, where there is none.
pub(super) fn find(input: &[u8]) -> Result<Vec<Found>, String> {
    match std::str::from_utf8(input) {
        Ok(text) if text.trim().is_empty() => Err("there is nothing to decode".to_owned()),
        Ok(text) if text.chars().all(is_written) => by_themselves(text),
        _ if is_log(input) => Err("there is no token in it".to_owned()),
        _ => Ok(vec![Found {
            octets: input.to_vec(),
            ..Found::default()
        }]),
    }
}

/// Whether a character may be in a text; a token has others.
fn is_written(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\r' | '\t')
}

/// Whether text precedes what is none.
fn is_log(input: &[u8]) -> bool {
    let line = input.split(|octet| *octet == b'\n').next();
    let line = line.unwrap_or_default();
    line.len() < input.len()
        && line
            .iter()
            .all(|octet| matches!(octet, b'\t' | b'\r' | b' '..=b'~'))
}

/// Tokens without a scheme: one, or one on each line.
fn by_themselves(text: &str) -> Result<Vec<Found>, String> {
    let lines: Vec<_> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let each: Vec<_> = lines
        .iter()
        .map(|(number, line)| decoded(line, *number))
        .collect();
    let is_token = |found: &Option<Found>| {
        found.as_ref().is_some_and(|found| {
            let octets = &found.octets;
            shape::is_whole(octets) || shape::announced(octets) == Some(octets.len())
        })
    };
    if each.len() > 1 && each.iter().all(is_token) {
        return Ok(each.into_iter().flatten().collect());
    }
    let first_line = lines.first().map_or(1, |(number, _)| *number);
    decoded(text, first_line)
        .map(|found| vec![found])
        .ok_or_else(|| {
            "this is neither base64 nor hexadecimal, and no header field with a token".to_owned()
        })
}

/// One token in base64 or hexadecimal.
fn decoded(text: &str, line: usize) -> Option<Found> {
    let way = way_of(text.trim());
    let text = text.trim().trim_start_matches(['<', '>']);
    let (octets, problem) = match from_hex(text) {
        Some(octets) => (octets, None),
        None => {
            let (octets, problem) = from_base64(text);
            // Most words are base64 of something.
            if octets.is_empty() || (problem.is_some() && !dissect::is_known(&octets)) {
                return None;
            }
            (octets, problem)
        }
    };
    Some(Found {
        way,
        line: Some(line),
        octets,
        problem,
        ..Found::default()
    })
}

/// Which way a line of a curl log went.
fn way_of(line: &str) -> Way {
    match line.chars().next() {
        Some('>') => Way::ToServer,
        Some('<') => Way::ToClient,
        _ => Way::Unknown,
    }
}

/// Hexadecimal, with what people put between digits. `None`: it is something else.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: String = text
        .replace("0x", " ")
        .replace("0X", " ")
        .replace("\\x", " ")
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ':' | ',' | '-' | '{' | '}' | ';'))
        .collect();
    if digits.is_empty() || digits.len() % 2 != 0 || !digits.bytes().all(|c| c.is_ascii_hexdigit())
    {
        return None;
    }
    let nibbles: Vec<u8> = digits
        .chars()
        .filter_map(|c| u8::try_from(c.to_digit(16)?).ok())
        .collect();
    let octet = |pair: &[u8]| pair.iter().fold(0, |octet, nibble| octet << 4 | nibble);
    Some(nibbles.chunks_exact(2).map(octet).collect())
}

/// Base64 as far as it is base64, and what is wrong with it. What a user gives may have suffered on
/// the way, so nobody is blamed.
fn from_base64(text: &str) -> (Vec<u8>, Option<Problem>) {
    let compact: Vec<u8> = text
        .bytes()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    let is_digit = |octet: &u8| word::is_digit(*octet) || matches!(octet, b'-' | b'_');
    let end = compact.iter().position(|octet| !is_digit(octet));
    let (digits, rest) = compact
        .split_at_checked(end.unwrap_or(compact.len()))
        .unwrap_or_default();
    let padding = rest.iter().take_while(|octet| **octet == b'=').count();
    let (octets, mut problem) = word::decode(digits, padding);
    if rest.len() > padding {
        problem = Some(Problem {
            level: Level::Doubtful,
            section: "RFC 4648 section 3.3",
            text: format!(
                "not base64 from character {} on",
                digits.len() + padding + 1
            ),
        });
    }
    if let Some(problem) = &mut problem {
        problem.level = Level::Doubtful;
    }
    (octets, problem)
}

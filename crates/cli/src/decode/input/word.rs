//! Words of base64 as they stand in logs: digits written as escapes, wrapped lines, and what is wrong
//! with them.
#![forbid(unsafe_code)]

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::dissect::field::Level;
use super::super::dissect::shape;
use super::Problem;
use super::scan::{More, Text};

/// A word that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub(super) octets: Vec<u8>,
    pub(super) problem: Option<Problem>,
    /// Where the text goes on.
    pub(super) end: usize,
    /// Whether the ends of lines are written out behind it.
    pub(super) escaped: bool,
}

/// Whether an octet is a digit of base64.
pub(super) fn is_digit(octet: u8) -> bool {
    matches!(octet, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/')
}

/// Read the word at `start`. Where `wraps`, lines that go on with it are joined, as long as it is not
/// complete.
pub(super) fn base64(text: Text<'_>, start: usize, wraps: bool) -> Result<Word, More> {
    let mut digits = Vec::new();
    let mut at = start;
    let mut line = start;
    let mut padding = 0;
    let mut wanted = None;
    while let Some((digit, after)) = digit(text, at)? {
        match digit {
            b'=' => padding += 1,
            _ if padding > 0 => break,
            _ => digits.push(digit),
        }
        at = after;
        if digits.len() == 16 && wanted.is_none() {
            let (octets, _) = decode(&digits, 0);
            wanted = shape::length(&octets).map(|length| length.saturating_mul(4).div_ceil(3));
        }
        if !wraps || padding > 0 || wanted.is_some_and(|wanted| digits.len() >= wanted) {
            continue;
        }
        if let Some(next) = next_line(text, at, at - line, wanted.is_some())? {
            at = next;
            line = next;
        }
    }
    let (octets, mut problem) = decode(&digits, padding);
    let escaped = is_escape(text, at)?;
    if !escaped {
        if let Some(octet) = text.octet(at)? {
            if !ends_word(octet) {
                problem = Some(Problem {
                    level: Level::Wrong,
                    section: "RFC 4648 section 3.3",
                    text: format!(
                        "not base64 from character {} on",
                        digits.len() + padding + 1
                    ),
                });
            }
        }
    }
    Ok(Word {
        octets,
        problem,
        end: at,
        escaped,
    })
}

/// The first octets of the word at `start`.
pub(super) fn beginning(text: Text<'_>, start: usize, count: usize) -> Vec<u8> {
    let mut digits = Vec::new();
    let mut at = start;
    while let Ok(Some((digit, after))) = digit(text, at) {
        if digit == b'=' || digits.len() > count.saturating_mul(4) / 3 {
            break;
        }
        digits.push(digit);
        at = after;
    }
    decode(&digits, 0).0
}

/// Where the word begins whose digits at `start` are the first ones without an escape before them; not
/// before `from`.
pub(super) fn begin(text: Text<'_>, start: usize, from: usize) -> usize {
    let mut start = start;
    loop {
        let before = text.octets.get(from..start).unwrap_or_default();
        let escape = [2, 3, 4, 6].into_iter().find(|length| {
            let at = before.len().checked_sub(*length);
            at.and_then(|at| before.get(at..))
                .is_some_and(|part| escaped(part).is_some_and(|(_, used)| used == *length))
        });
        let Some(length) = escape else {
            return start;
        };
        start -= length;
        while start > from && text.octets.get(start - 1).copied().is_some_and(is_digit) {
            start -= 1;
        }
    }
}

/// The digit at `at`, written out or as an escape, and where the text goes on; `None` where there is
/// none.
fn digit(text: Text<'_>, at: usize) -> Result<Option<(u8, usize)>, More> {
    match text.octet(at)? {
        Some(octet) if is_digit(octet) || octet == b'=' => Ok(Some((octet, at + 1))),
        // The alphabet of URLs, between digits.
        Some(octet @ (b'-' | b'_')) => Ok(match text.octet(at + 1)? {
            Some(next) if is_digit(next) || next == b'=' || next == octet => Some((octet, at + 1)),
            _ => None,
        }),
        Some(b'\\' | b'%' | b'&') => {
            let part = text.part(at, 6)?;
            Ok(escaped(part).map(|(digit, length)| (digit, at + length)))
        }
        _ => Ok(None),
    }
}

/// A digit that JSON, a URL or XML writes as an escape, and how long that is.
fn escaped(part: &[u8]) -> Option<(u8, usize)> {
    ESCAPES.iter().find_map(|(escape, digit)| {
        let begin = part.get(..escape.len())?;
        begin
            .eq_ignore_ascii_case(escape.as_bytes())
            .then_some((*digit, escape.len()))
    })
}

const ESCAPES: [(&str, u8); 16] = [
    ("\\/", b'/'),
    ("\\u002b", b'+'),
    ("\\u002f", b'/'),
    ("\\u003d", b'='),
    ("\\x2b", b'+'),
    ("\\x2f", b'/'),
    ("\\x3d", b'='),
    ("%2b", b'+'),
    ("%2f", b'/'),
    ("%3d", b'='),
    ("&#43;", b'+'),
    ("&#47;", b'/'),
    ("&#61;", b'='),
    ("&#x2b;", b'+'),
    ("&#x2f;", b'/'),
    ("&#x3d;", b'='),
];

/// Where the next line begins, if the word goes on in it: the line has nothing but digits, and begins
/// with a blank, as folded header fields do, or the token is longer, or the line is as long as programs
/// make them. `width` is how long the one before is.
fn next_line(
    text: Text<'_>,
    at: usize,
    width: usize,
    is_longer: bool,
) -> Result<Option<usize>, More> {
    let mut next = at;
    let part = text.part(at, 4)?;
    let ends: [&[u8]; 3] = [b"\r\n", b"\n", b"\\\n"];
    let Some(end) = ends.iter().find(|end| part.starts_with(end)) else {
        return Ok(None);
    };
    next += end.len();
    let mut is_folded = false;
    while let Some(b' ' | b'\t' | b'>' | b'<' | b'|') = text.octet(next)? {
        is_folded = true;
        next += 1;
    }
    if !is_folded && !is_longer && !WIDTHS.contains(&width) {
        return Ok(None);
    }
    let begin = next;
    while let Some((_, after)) = digit(text, next)? {
        next = after;
    }
    let is_all = matches!(
        text.octet(next)?,
        None | Some(b'\r' | b'\n' | b'\\' | b'"' | b'\'')
    );
    Ok((next > begin && is_all).then_some(begin))
}

/// How long programs make lines of base64 (PEM, MIME, and what is common).
const WIDTHS: [usize; 5] = [60, 64, 70, 72, 76];

/// Whether an end of line is written out at `at`.
pub(super) fn is_escape(text: Text<'_>, at: usize) -> Result<bool, More> {
    let part = text.part(at, 8)?;
    Ok(LINE_ENDS.iter().any(|end| {
        part.get(..end.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(end))
    }))
}

const LINE_ENDS: [&[u8]; 18] = [
    b"\\r", b"\\n", b"\\\\r", b"\\\\n", b"[\\r]", b"[\\n]", b"\\x0d", b"\\x0a", b"\\u000d",
    b"\\u000a", b"\\015", b"\\012", b"%0d", b"%0a", b"&#13;", b"&#xd;", b"&#10;", b"<cr>",
];

/// Whether an octet may follow a word without being meant as a part of it.
fn ends_word(octet: u8) -> bool {
    !matches!(
        octet,
        b'!' | b'#' | b'$' | b'*' | b'@' | b'?' | b'~' | b'_' | b'-'
    )
}

/// What the digits say, and what is wrong with them.
pub(super) fn decode(digits: &[u8], padding: usize) -> (Vec<u8>, Option<Problem>) {
    let problem = |section, text: &str| {
        Some(Problem {
            level: Level::Wrong,
            section,
            text: text.to_owned(),
        })
    };
    let is_of_urls = digits.iter().any(|digit| matches!(digit, b'-' | b'_'));
    let digits: Vec<u8> = digits
        .iter()
        .map(|digit| match digit {
            b'-' => b'+',
            b'_' => b'/',
            digit => *digit,
        })
        .collect();
    let mut wrong = if is_of_urls {
        let why = "written in the base64 alphabet of URLs";
        problem("RFC 4648 section 3.3", why)
    } else if (digits.len() + padding) % 4 != 0 {
        let why = "base64 whose length, with its padding, is no multiple of four";
        problem("RFC 4648 section 3.2", why)
    } else {
        None
    };
    // A last digit by itself is less than an octet.
    let whole = digits.len() - usize::from(digits.len() % 4 == 1);
    let octets = digits
        .get(..whole)
        .and_then(|digits| TOLERANT.decode(digits).ok());
    if octets.is_none() {
        wrong = wrong.or_else(|| problem("RFC 4648 section 4", "not base64"));
    }
    (octets.unwrap_or_default(), wrong)
}

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

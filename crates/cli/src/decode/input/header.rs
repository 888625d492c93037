//! Header fields of authentication in text: as they travel, and as programs write them down, in
//! quotes, as the pairs of a dictionary, as JSON or XML.
#![forbid(unsafe_code)]

use super::super::dissect::shape;
use super::scan::{More, Text};
use super::word::{self, Word};
use super::{SCHEMES, Way};

/// Which field it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: &'static str,
    pub(super) way: Way,
}

impl Name {
    /// The field whose name ends at `end`, however its parts are joined: with a hyphen, with an
    /// underscore, not at all.
    pub(super) fn at(octets: &[u8], end: usize) -> Option<Self> {
        let name = octets.get(end.saturating_sub(LONGEST_NAME)..end)?;
        if let Some(before) = without(name, b"authorization") {
            let is_proxy = without(joined(before), b"proxy").is_some();
            return Some(if is_proxy {
                PROXY_AUTHORIZATION
            } else {
                AUTHORIZATION
            });
        }
        let before = joined(without(name, b"authenticate")?);
        if without(before, b"www").is_some() {
            return Some(WWW_AUTHENTICATE);
        }
        without(before, b"proxy").map(|_| PROXY_AUTHENTICATE)
    }

    /// The last field that is named in a line.
    pub(super) fn last(line: &[u8]) -> Option<Self> {
        (SHORTEST_NAME..=line.len())
            .rev()
            .filter(|end| matches!(line.get(end - 1), Some(b'n' | b'N' | b'e' | b'E')))
            .find_map(|end| Self::at(line, end))
    }
}

const AUTHORIZATION: Name = Name {
    name: "Authorization",
    way: Way::ToServer,
};
const PROXY_AUTHORIZATION: Name = Name {
    name: "Proxy-Authorization",
    way: Way::ToServer,
};
const WWW_AUTHENTICATE: Name = Name {
    name: "WWW-Authenticate",
    way: Way::ToClient,
};
const PROXY_AUTHENTICATE: Name = Name {
    name: "Proxy-Authenticate",
    way: Way::ToClient,
};

const SHORTEST_NAME: usize = 13;
const LONGEST_NAME: usize = 24;

/// A name without a last part, in whatever case.
fn without<'a>(name: &'a [u8], last: &[u8]) -> Option<&'a [u8]> {
    let (before, end) = name.split_at_checked(name.len().checked_sub(last.len())?)?;
    end.eq_ignore_ascii_case(last).then_some(before)
}

fn joined(name: &[u8]) -> &[u8] {
    match name {
        [before @ .., b'-' | b'_'] => before,
        _ => name,
    }
}

/// Text without the blank at its end, as it is written or as an escape.
pub(super) fn without_blank(text: &[u8]) -> Option<&[u8]> {
    let blanks: [&[u8]; 6] = [b" ", b"\t", b"%20", b"\\u0020", b"+", b"&#32;"];
    let rest = blanks.iter().find_map(|blank| text.strip_suffix(*blank))?;
    Some(rest.trim_ascii_end())
}

/// Where a field's value begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    at: usize,
    /// The quote that it is in.
    quote: Option<u8>,
}

/// The value that follows a field's name, behind what programs write between the two. `None`: the name
/// stands by itself.
pub(super) fn value(text: Text<'_>, name_end: usize) -> Result<Option<Value>, More> {
    let mut at = name_end;
    let mut quotes = 0_u32;
    let mut quote = None;
    let mut is_separated = false;
    while at - name_end < LONGEST_GAP {
        let Some(octet) = text.octet(at)? else {
            return Ok(None);
        };
        match octet {
            b'"' | b'\'' | b'`' => {
                quotes += 1;
                quote = Some(octet);
            }
            b' ' | b'\t' => {}
            b':' | b'=' | b',' | b'[' | b']' | b'(' | b'{' | b'>' | b'|' => is_separated = true,
            b'\\' | b'%' | b'&' if word::is_escape(text, at)? => return Ok(None),
            b'\\' if text.part(at, 2)?.ends_with(b"u") => at += 5,
            b'\\' => {}
            b'%' => {
                is_separated = true;
                at += 2;
            }
            b'&' => {
                let part = text.part(at, 8)?;
                let Some(length) = part.iter().position(|octet| *octet == b';') else {
                    return Ok(None);
                };
                at += length;
            }
            b'\r' | b'\n' => {
                // A pair of JSON goes on there, and so does a list of YAML.
                let mut next = at + 1;
                while let Some(b' ' | b'\t' | b'\r' | b'\n') = text.octet(next)? {
                    next += 1;
                    if next - name_end > LONGEST_GAP {
                        return Ok(None);
                    }
                }
                let goes_on = match text.octet(next)? {
                    Some(b'"' | b'\'') => quotes > 0,
                    Some(b'-') => is_separated,
                    _ => false,
                };
                if !goes_on {
                    return Ok(None);
                }
                at = next;
                if text.octet(at)? != Some(b'-') {
                    continue;
                }
            }
            _ => {
                let part = text.part(at, 12)?;
                let word = part.iter().take_while(|octet| octet.is_ascii_alphabetic());
                let length = word.count();
                let is_label = LABELS.iter().any(|label| {
                    part.get(..length)
                        .is_some_and(|word| word.eq_ignore_ascii_case(label))
                });
                if !is_label {
                    let quote = quote.filter(|_| quotes % 2 == 0 || is_opened(text, at));
                    return Ok((is_separated || quotes > 0).then_some(Value { at, quote }));
                }
                at += length - 1;
            }
        }
        at += 1;
    }
    Ok(None)
}

/// Whether a quote stands right before `at`.
fn is_opened(text: Text<'_>, at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| text.octets.get(at));
    matches!(before, Some(b'"' | b'\'' | b'`'))
}

/// What the value is called where the name is a value itself.
const LABELS: [&[u8]; 5] = [b"value", b"val", b"show", b"showname", b"values"];

/// The most octets between a name and its value.
const LONGEST_GAP: usize = 96;

/// A scheme, and what follows it.
#[derive(Debug)]
pub(super) struct Challenge {
    pub(super) scheme: &'static str,
    /// Where the scheme stands.
    pub(super) at: usize,
    pub(super) word: Option<Word>,
}

/// The schemes known here in a field's value, and where the text goes on.
pub(super) fn challenges(text: Text<'_>, value: Value) -> Result<(Vec<Challenge>, usize), More> {
    let mut all = Vec::new();
    let mut at = value.at;
    while all.len() < MOST_CHALLENGES {
        while let Some(b' ' | b'\t' | b',' | b'[' | b']') = text.octet(at)? {
            at += 1;
        }
        // The members of a list in quotes of their own.
        if text.octet(at)? == value.quote && value.quote.is_some() {
            let Some(next) = member(text, at)? else {
                break;
            };
            at = next;
        }
        let Some((scheme, after)) = scheme(text, at)? else {
            match next_challenge(text, at, value.quote)? {
                Some(next) => at = next,
                None => break,
            }
            continue;
        };
        let Some(token) = blank(text, after)? else {
            if is_end(text, after)? {
                all.push(Challenge {
                    scheme,
                    at,
                    word: None,
                });
                at = after;
                continue;
            }
            break;
        };
        let word = word::base64(text, token, true)?;
        if word.end == token {
            if let Some(stripped) = stripped(text, token)? {
                all.push(Challenge {
                    scheme,
                    at,
                    word: Some(stripped),
                });
            } else if is_end(text, token)? {
                all.push(Challenge {
                    scheme,
                    at,
                    word: None,
                });
            }
            at = token;
            break;
        }
        if !is_token(text, token, &word)? {
            at = word.end;
            break;
        }
        at = word.end;
        all.push(Challenge {
            scheme,
            at: token,
            word: Some(word),
        });
    }
    Ok((all, at))
}

/// Whether a word behind a scheme is meant as a token, and not one of prose.
fn is_token(text: Text<'_>, start: usize, word: &Word) -> Result<bool, More> {
    if shape::may_begin(&word.octets) {
        return Ok(true);
    }
    let digits = text.octets.get(start..word.end).unwrap_or_default();
    let is_word = digits.iter().all(u8::is_ascii_alphabetic) && digits.len() < LONGEST_WORD;
    Ok(!is_word && (is_end(text, word.end)? || word.problem.is_some()))
}

/// Longer ones are rare in prose.
const LONGEST_WORD: usize = 20;

/// The most schemes of one field.
const MOST_CHALLENGES: usize = 16;

/// Whether the value may end at `at`, or a challenge in it.
fn is_end(text: Text<'_>, at: usize) -> Result<bool, More> {
    let Some(octet) = text.octet(at)? else {
        return Ok(true);
    };
    Ok(match octet {
        b'\r' | b'\n' | b',' | b'"' | b'\'' | b'`' | b']' | b')' | b'}' | b'<' | b'|' | b';' => {
            true
        }
        b' ' | b'\t' => {
            let mut next = at;
            while let Some(b' ' | b'\t') = text.octet(next)? {
                next += 1;
            }
            // Behind a blank comes a comment, or the next word of prose.
            !text
                .octet(next)?
                .is_some_and(|octet| octet.is_ascii_alphanumeric())
        }
        b'\\' | b'%' | b'&' | b'[' => true,
        _ => false,
    })
}

/// The scheme at `at`, and where it ends.
fn scheme(text: Text<'_>, at: usize) -> Result<Option<(&'static str, usize)>, More> {
    for scheme in SCHEMES {
        let part = text.part(at, scheme.len())?;
        if !part.eq_ignore_ascii_case(scheme.as_bytes()) {
            continue;
        }
        let after = at + scheme.len();
        if !text
            .octet(after)?
            .is_some_and(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
        {
            return Ok(Some((scheme, after)));
        }
    }
    Ok(None)
}

/// Where the text goes on behind a blank; `None` where there is none.
fn blank(text: Text<'_>, at: usize) -> Result<Option<usize>, More> {
    let part = text.part(at, 6)?;
    let blanks: [&[u8]; 3] = [b"%20", b"\\u0020", b"+"];
    if let Some(blank) = blanks.iter().find(|blank| part.starts_with(blank)) {
        return Ok(Some(at + blank.len()));
    }
    let mut next = at;
    while let Some(b' ' | b'\t') = text.octet(next)? {
        next += 1;
    }
    Ok((next > at).then_some(next))
}

/// Where the next challenge of a value begins: behind a comma that is in no quotes.
fn next_challenge(text: Text<'_>, from: usize, quote: Option<u8>) -> Result<Option<usize>, More> {
    let mut at = from;
    let mut is_quoted = false;
    while at - from < LONGEST_CHALLENGE {
        match text.octet(at)? {
            None | Some(b'\r' | b'\n') => return Ok(None),
            Some(octet) if Some(octet) == quote => return Ok(None),
            Some(b'\\' | b'%' | b'&' | b'[') if word::is_escape(text, at)? => return Ok(None),
            // No challenge has a colon outside quotes: here begins another field, or prose.
            Some(b':') if !is_quoted => return Ok(None),
            Some(b'"') => is_quoted = !is_quoted,
            Some(b'\\') => at += 1,
            Some(b',') if !is_quoted => return Ok(Some(at + 1)),
            Some(_) => {}
        }
        at += 1;
    }
    Ok(None)
}

const LONGEST_CHALLENGE: usize = 1024;

/// Where the next member of a list begins that is in quotes of its own.
fn member(text: Text<'_>, quote: usize) -> Result<Option<usize>, More> {
    let mut at = quote + 1;
    let mut is_separated = false;
    loop {
        match text.octet(at)? {
            Some(b' ' | b'\t' | b'\r' | b'\n') => {}
            Some(b',') => is_separated = true,
            Some(b'"' | b'\'' | b'`') if is_separated => {
                // Another pair's name is no member.
                return Ok(scheme(text, at + 1)?.map(|_| at + 1));
            }
            _ => return Ok(None),
        }
        at += 1;
        if at - quote > LONGEST_GAP {
            return Ok(None);
        }
    }
}

/// What Chromium writes in the place of a token.
fn stripped(text: Text<'_>, at: usize) -> Result<Option<Word>, More> {
    let part = text.part(at, 40)?;
    let end = part.iter().position(|octet| *octet == b']');
    let inner = end.and_then(|end| part.get(1..end)).unwrap_or_default();
    if !part.starts_with(b"[") || !inner.ends_with(b" were stripped") {
        return Ok(None);
    }
    Ok(Some(Word {
        problem: Some(super::Problem {
            level: super::Level::Note,
            section: "",
            text: format!(
                "{}: Chromium keeps tokens out of its log unless it is told to include cookies and \
                 credentials",
                String::from_utf8_lossy(inner)
            ),
        }),
        end: at,
        ..Word::default()
    }))
}

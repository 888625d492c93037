//! Finding tokens in whatever a tool has written, while it is read and in bounded memory: header
//! fields wherever they stand, base64 and hexadecimal, dumps of octets, the token itself.
//!
//! The input goes through [`source`] (compression, UTF-16) as lines to [`dump`] and [`curl`], which
//! give back the text that such formats cut into pieces, and all text to [`scan`].
#![forbid(unsafe_code)]

mod alone;
mod curl;
mod dump;
mod header;
mod hexadecimal;
mod scan;
mod source;
mod word;

use std::collections::VecDeque;
use std::io::Read;

use super::dissect::field::Level;
use super::dissect::shape;
use source::Lines;

/// A token as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) way: Way,
    /// The header field and the scheme, where it was in one.
    pub(crate) header: Option<&'static str>,
    pub(crate) scheme: Option<&'static str>,
    /// The line of the input, from 1; none for binary input.
    pub(crate) line: Option<usize>,
    /// Empty where there is a scheme and no token.
    pub(crate) octets: Vec<u8>,
    /// What is wrong with how it was written.
    pub(crate) problem: Option<Problem>,
    /// Whether the ends of lines were written out behind it, as in `[\r][\n]`.
    escaped: bool,
}

/// Something that base64 does not have, and the section that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) level: Level,
    pub(crate) section: &'static str,
    pub(crate) text: String,
}

/// Who sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// The client.
    ToServer,
    /// The server.
    ToClient,
    #[default]
    Unknown,
}

/// All tokens of an input, in their order. The first error ends them.
pub(crate) struct Tokens<R> {
    lines: Lines<R>,
    curl: curl::Trace,
    dump: dump::Dump,
    scanner: scan::Scanner,
    ready: VecDeque<Found>,
    /// The last one found, kept back until it is seen whether the next one is the same.
    last: Option<Found>,
    /// Whether an analyser wrote this, which shows each token several times.
    is_analysed: bool,
    /// The beginning of the input, while nothing has been found in it.
    kept: Option<Vec<u8>>,
    any: bool,
    ended: bool,
}

/// Find the tokens in what `input` gives; `name` is what errors call it.
///
/// # Errors
/// A sentence, where it cannot be read.
pub(crate) fn find<R: Read>(input: R, name: &str) -> Result<Tokens<R>, String> {
    let lines = Lines::new(input, name)?;
    Ok(Tokens {
        is_analysed: is_analysed(lines.beginning()),
        lines,
        curl: curl::Trace::default(),
        dump: dump::Dump::default(),
        scanner: scan::Scanner::default(),
        ready: VecDeque::new(),
        last: None,
        kept: Some(Vec::new()),
        any: false,
        ended: false,
    })
}

impl<R: Read> Iterator for Tokens<R> {
    type Item = Result<Found, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(found) = self.ready.pop_front() {
                if let Some(settled) = self.settle(found) {
                    return Some(Ok(settled));
                }
            }
            if self.ended {
                return self.last.take().map(Ok);
            }
            if let Err(error) = self.read() {
                self.ended = true;
                self.last = None;
                return Some(Err(error));
            }
        }
    }
}

impl<R: Read> Tokens<R> {
    /// Read a line, and look into what is complete by now.
    fn read(&mut self) -> Result<(), String> {
        if let Some(octets) = self.lines.token()? {
            self.ready.push_back(Found {
                octets,
                ..Found::default()
            });
            self.ended = true;
            return Ok(());
        }
        let Some(line) = self.lines.next()? else {
            self.dump.end(&mut self.ready);
            self.scanner.end(&mut self.ready);
            self.ended = true;
            return self.look_at_all();
        };
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(line.text);
            if kept.len() > LONGEST_ALONE {
                if kept.iter().all(|octet| *octet == 0) {
                    return Err(format!("{} holds nothing but zeros", self.lines.name()));
                }
                self.kept = None;
            }
        }
        let is_dump = line.is_whole() && self.dump.take(line, &mut self.ready);
        if !is_dump {
            self.dump.end(&mut self.ready);
            let pieces = self.curl.unwrapped(line);
            for text in pieces.into_iter().flatten() {
                self.scanner.take(text, line.number, &mut self.ready);
            }
        }
        if !self.ready.is_empty() {
            self.any = true;
            self.kept = None;
        }
        Ok(())
    }

    /// Where nothing was found on the way, the whole of a small input may be one token.
    fn look_at_all(&mut self) -> Result<(), String> {
        if self.any || !self.ready.is_empty() {
            return Ok(());
        }
        let name = self.lines.name();
        let Some(kept) = self.kept.take() else {
            return Err(format!("{name} has no token in it"));
        };
        self.ready.extend(alone::find(&kept)?);
        Ok(())
    }

    /// The token before `found`, if `found` is not that one once more.
    fn settle(&mut self, mut found: Found) -> Option<Found> {
        let Some(last) = self.last.take() else {
            self.last = Some(found);
            return None;
        };
        let is_same = last.octets == found.octets && !found.octets.is_empty();
        // Loggers of HTTP write a message as its fields and, once more, as what goes over the wire.
        if is_same && last.header == found.header && last.escaped != found.escaped {
            self.last = Some(last);
            return None;
        }
        if self.is_analysed && !found.octets.is_empty() && !last.octets.is_empty() {
            if contains(&last.octets, &found.octets) {
                self.last = Some(last);
                return None;
            }
            // Titles are cut short, values are not.
            if found.octets.starts_with(&last.octets) {
                found.way = match found.way {
                    Way::Unknown => last.way,
                    way => way,
                };
                found.header = found.header.or(last.header);
                found.scheme = found.scheme.or(last.scheme);
                found.line = last.line;
                self.last = Some(found);
                return None;
            }
        }
        self.last = Some(found);
        Some(last)
    }
}

/// Whether `inner` is a part of `outer`.
fn contains(outer: &[u8], inner: &[u8]) -> bool {
    outer.windows(inner.len()).any(|part| part == inner)
}

/// Whether the input begins as what tshark writes, as JSON or as PDML.
fn is_analysed(beginning: &[u8]) -> bool {
    [&b"\"_source\""[..], b"\"layers\"", b"<pdml", b"<packet"]
        .iter()
        .any(|mark| contains(beginning, mark))
}

/// Whether octets can be told to be a token by their beginning, and are no text.
fn is_binary_token(beginning: &[u8]) -> bool {
    let is_text = |octet: &u8| matches!(octet, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    shape::may_begin(beginning) && !beginning.iter().all(is_text)
}

/// The schemes that carry these tokens.
const SCHEMES: [&str; 4] = ["Negotiate", "Nego2", "NTLM", "Kerberos"];

/// The most octets of an input that is looked at as a whole: many times what a token has.
const LONGEST_ALONE: usize = 0x10_0000;

#[cfg(test)]
mod tests;

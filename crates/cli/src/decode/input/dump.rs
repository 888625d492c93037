//! Dumps of octets, as hexdump, xxd, od, Wireshark, tcpdump, Samba and `curl --trace` write them: rows of
//! an offset, octets in hexadecimal or octal, and the same as text.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::super::dissect::{ntlm, shape};
use super::source::Line;
use super::{Found, scan::Scanner};

/// Rows that belong together.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    octets: Vec<u8>,
    /// The line of the first row.
    line: usize,
    /// The last row, whose length is settled by the offset of the next one.
    last: Option<Row>,
    /// Whether rows like the last one were left out behind it.
    is_repeated: bool,
}

impl Dump {
    /// Take a line, if it is a row of a dump.
    pub(crate) fn take(&mut self, line: Line<'_>, out: &mut VecDeque<Found>) -> bool {
        let content = line.content();
        if self.last.is_some() && content.trim_ascii() == b"*" {
            self.is_repeated = true;
            return true;
        }
        let Some(row) = Row::read(content, self.last.as_ref()) else {
            return false;
        };
        let goes_on = self.last.as_ref().is_some_and(|last| row.follows(last));
        if !goes_on || self.octets.len() > LONGEST {
            self.end(out);
            self.line = line.number;
        }
        self.settle(Some(&row));
        self.last = Some(row);
        true
    }

    /// No row follows.
    pub(crate) fn end(&mut self, out: &mut VecDeque<Found>) {
        if self.last.is_none() {
            return;
        }
        self.settle(None);
        self.last = None;
        let octets = std::mem::take(&mut self.octets);
        look(&octets, self.line, out);
    }

    /// Take in the last row, as far as the next one's offset says that it goes.
    fn settle(&mut self, next: Option<&Row>) {
        let Some(mut last) = self.last.take() else {
            return;
        };
        let offset = next.and_then(|next| next.offset.as_deref());
        let distances = last
            .offset
            .as_deref()
            .zip(offset)
            .map(|(last, next)| distances(last, next));
        let length = last.octets.len();
        if let Some(distances) = &distances {
            let fits = distances.contains(&Some(length)) || self.is_repeated;
            let shorter = distances
                .iter()
                .flatten()
                .filter(|to| **to < length && **to > 0);
            if let (false, Some(shorter)) = (fits, shorter.max()) {
                last.octets.truncate(*shorter);
            }
        }
        self.octets.extend_from_slice(&last.octets);
        if std::mem::take(&mut self.is_repeated) && length > 0 {
            let times = distances.and_then(|distances| {
                let is_whole = |to: &&usize| **to > length && **to % length == 0;
                distances.iter().flatten().filter(is_whole).min().copied()
            });
            let missing = times.unwrap_or(length).saturating_sub(length) / length;
            for _ in 0..missing.min(LONGEST / length) {
                self.octets.extend_from_slice(&last.octets);
            }
        }
    }
}

/// How far it is from one offset to another, in hexadecimal, octal and decimal.
fn distances(from: &str, to: &str) -> [Option<usize>; 3] {
    [16, 8, 10].map(|radix| {
        let from = usize::from_str_radix(from, radix).ok()?;
        usize::from_str_radix(to, radix).ok()?.checked_sub(from)
    })
}

/// One row.
#[derive(Debug)]
struct Row {
    indent: usize,
    /// Its digits; none where there are octets only.
    offset: Option<String>,
    octets: Vec<u8>,
}

impl Row {
    /// Read a row. One without an offset is one by its digits alone, and by the row before.
    fn read(line: &[u8], last: Option<&Self>) -> Option<Self> {
        let indent = line
            .iter()
            .take_while(|octet| octet.is_ascii_whitespace())
            .count();
        let text = line.get(indent..)?;
        if text.len() > LONGEST_ROW {
            return None;
        }
        let text = match text {
            [b'|', rest @ ..] => rest.trim_ascii_start(),
            text => text,
        };
        let by_digits = || Self::of_digits(indent, line.starts_with(b"\t"), text, last);
        // What may be an offset by itself ends the rows that have offsets, and is octets elsewhere.
        match Self::with_offset(indent, text) {
            Some(row)
                if !row.octets.is_empty() || last.is_some_and(|last| last.offset.is_some()) =>
            {
                Some(row)
            }
            _ => by_digits(),
        }
    }

    fn with_offset(indent: usize, text: &[u8]) -> Option<Self> {
        let is_bracketed = text.starts_with(b"[");
        let text = text.strip_prefix(b"[").unwrap_or(text);
        let text = text.strip_prefix(b"0x").unwrap_or(text);
        let digits = text
            .iter()
            .take_while(|octet| octet.is_ascii_hexdigit())
            .count();
        if !(4..=16).contains(&digits) {
            return None;
        }
        let (offset, rest) = text.split_at_checked(digits)?;
        let rest = match is_bracketed {
            true => rest.strip_prefix(b"]")?,
            false => rest,
        };
        let has_colon = rest.starts_with(b":");
        let rest = rest.strip_prefix(b":").unwrap_or(rest);
        // The last offset stands by itself.
        if !rest.is_empty() && !rest.starts_with(b" ") && !rest.starts_with(b"\t") {
            return None;
        }
        let style = Style {
            // What od and hexdump write without being asked: words, and no text beside them.
            is_plain: digits == 7 && !has_colon && !is_bracketed,
        };
        let octets = style.octets(rest)?;
        if octets.is_empty() && (has_colon || digits < 7) {
            return None;
        }
        Some(Self {
            indent,
            offset: Some(String::from_utf8_lossy(offset).into_owned()),
            octets,
        })
    }

    /// A row of octets and nothing else, as `xxd -p`, `od -An` and streams that are followed have them:
    /// groups of two digits, or one row of digits behind another.
    fn of_digits(
        indent: usize,
        is_behind_tab: bool,
        text: &[u8],
        last: Option<&Self>,
    ) -> Option<Self> {
        if !text
            .iter()
            .all(|octet| octet.is_ascii_hexdigit() || *octet == b' ')
        {
            return None;
        }
        let mut octets = Vec::new();
        let mut groups = 0;
        for group in text
            .split(|octet| *octet == b' ')
            .filter(|group| !group.is_empty())
        {
            if group.len() % 2 != 0 {
                return None;
            }
            octets.extend(super::hexadecimal::of_digits(group));
            groups += 1;
        }
        // The other direction of a stream is behind a tab; other blanks are how text was pasted.
        let indent = indent.min(usize::from(is_behind_tab));
        // The other direction of a stream is behind a tab; other blanks are how text was pasted.
        let indent = indent.min(usize::from(is_behind_tab));
        let goes_on = last.is_some_and(|last| last.offset.is_none() && last.indent == indent);
        let is_row = match groups {
            0 => false,
            1 => octets.len() >= 16 || goes_on,
            _ => octets.len() >= 8 || goes_on,
        };
        is_row.then_some(Self {
            indent,
            offset: None,
            octets,
        })
    }

    /// Whether this row goes on with `last`.
    fn follows(&self, last: &Self) -> bool {
        match (&last.offset, &self.offset) {
            (None, None) => self.indent == last.indent,
            // The other direction of a stream is indented, and has offsets of its own.
            (Some(from), Some(to)) if self.indent == last.indent => {
                from.len() == to.len() && from.as_str() < to.as_str()
            }
            (Some(from), Some(to)) => distances(from, to).contains(&Some(last.octets.len())),
            _ => false,
        }
    }
}

/// How octets stand in a row.
#[derive(Clone, Copy)]
struct Style {
    is_plain: bool,
}

impl Style {
    /// The octets in a row; `None` where it is none.
    fn octets(self, text: &[u8]) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        let mut rest = text;
        let mut width = 0;
        loop {
            let gap = rest
                .iter()
                .take_while(|octet| matches!(octet, b' ' | b'\t'))
                .count();
            let after = rest.get(gap..)?;
            let digits = after
                .iter()
                .take_while(|octet| octet.is_ascii_hexdigit())
                .count();
            let (group, next) = after.split_at_checked(digits)?;
            let is_group = match width {
                0 => matches!(digits, 2 | 4 | 8) || (self.is_plain && matches!(digits, 3 | 6)),
                _ => digits == width || (digits > 0 && digits < width && digits % 2 == 0),
            };
            let is_closed = next
                .first()
                .is_none_or(|octet| matches!(octet, b' ' | b'\t' | b'-'));
            // Text stands behind a wide gap where the row is short.
            let is_text = gap > 2 && width > 0 && !self.is_plain;
            if gap == 0 && !after.is_empty() || !is_group || !is_closed || is_text {
                let is_row = after.is_empty()
                    || gap >= 2
                    || matches!(after.first(), Some(b'|' | b'>'))
                    || octets.len() >= 16;
                return is_row.then_some(octets);
            }
            if width == 0 {
                width = digits;
            }
            octets.extend(self.group(group)?);
            rest = match next {
                // The middle of a row of Wireshark's.
                [b'-', after @ ..] if after.first().is_some_and(u8::is_ascii_hexdigit) => {
                    return self
                        .octets(&[b" ", after].concat())
                        .map(|more| [octets, more].concat());
                }
                next => next,
            };
            if octets.len() > LONGEST_ROW {
                return None;
            }
        }
    }

    /// The octets of one group of digits.
    fn group(self, group: &[u8]) -> Option<Vec<u8>> {
        if matches!(group.len(), 3 | 6) {
            let text = std::str::from_utf8(group).ok()?;
            let number = u16::from_str_radix(text, 8).ok()?;
            return match group.len() {
                3 => Some(vec![u8::try_from(number).ok()?]),
                _ => Some(number.to_le_bytes().to_vec()),
            };
        }
        let mut octets = super::hexadecimal::of_digits(group);
        if self.is_plain {
            octets.reverse();
        }
        Some(octets)
    }
}

/// Look for tokens in dumped octets: they are one, or text, or the packets of another protocol.
fn look(octets: &[u8], line: usize, out: &mut VecDeque<Found>) {
    let found = |octets: &[u8]| Found {
        line: Some(line),
        octets: octets.to_vec(),
        ..Found::default()
    };
    if shape::may_begin(octets) {
        out.push_back(found(octets));
        return;
    }
    let before = out.len();
    let mut scanner = Scanner::default();
    scanner.take(octets, line, out);
    scanner.end(out);
    if out.len() > before {
        return;
    }
    let mut at = 0;
    while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
        let length = inside(rest);
        if let Some(token) = length.and_then(|length| rest.get(..length)) {
            out.push_back(found(token));
        }
        at += length.unwrap_or(1);
    }
}

/// The length of the token at the beginning of what another protocol carries.
fn inside(octets: &[u8]) -> Option<usize> {
    let is_token = match octets {
        // An initial token of SPNEGO or Kerberos, and a later one of SPNEGO.
        [0x60, ..] => shape::may_begin(octets),
        [0xa1, ..] => {
            shape::may_begin(octets) && octets.iter().take(12).any(|octet| *octet == 0xa0)
        }
        _ => octets.starts_with(ntlm::SIGNATURE),
    };
    let length = shape::length(octets).filter(|_| is_token)?;
    (length >= 16 && length <= octets.len()).then_some(length)
}

/// The most octets of one dump that are looked at together.
const LONGEST: usize = 0x10_0000;

/// The longest row.
const LONGEST_ROW: usize = 0x4000;

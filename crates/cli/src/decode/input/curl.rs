//! What `curl --trace-ascii` writes: text in lines of 64 octets, each behind its offset.
#![forbid(unsafe_code)]

use super::source::Line;

/// A trace being read.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Where the next line goes on that is no new one; `None` outside a trace.
    next: Option<usize>,
    /// Whether the text so far ends in the middle of a line.
    is_open: bool,
}

impl Trace {
    /// The text in a line: an end of line first, where one was between, and what is behind the offset;
    /// the line itself, where it is not of a trace.
    pub(crate) fn unwrapped<'a>(&mut self, line: Line<'a>) -> [Option<&'a [u8]>; 2] {
        let content = line.content();
        if self.next.is_none() {
            if line.begins && is_marker(content) {
                self.next = Some(0);
            }
            return [None, Some(line.text)];
        }
        if !line.begins {
            return [None, Some(line.text)];
        }
        let Some((offset, text)) = row(content) else {
            let end: Option<&[u8]> = self.is_open.then_some(b"\n");
            self.is_open = false;
            self.next = is_trace(content).then_some(0);
            return [end, Some(line.text)];
        };
        let goes_on = self.is_open && self.next == Some(offset);
        let end: Option<&[u8]> = (self.is_open && !goes_on).then_some(b"\n");
        self.next = offset.checked_add(text.len());
        self.is_open = true;
        [end, Some(text)]
    }
}

/// `=> Send header, 200 bytes (0xc8)`, perhaps behind a time.
fn is_marker(line: &[u8]) -> bool {
    let has = |mark: &[u8]| line.windows(mark.len()).any(|part| part == mark);
    line.len() < 100 && (has(b"=> Send ") || has(b"<= Recv ")) && has(b" bytes")
}

/// A marker, or what curl says of itself.
fn is_trace(line: &[u8]) -> bool {
    is_marker(line) || line.windows(8).any(|part| part == b"== Info:")
}

/// `0010: Authorization: Negotiate ...`: the offset and the text.
fn row(line: &[u8]) -> Option<(usize, &[u8])> {
    let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit());
    let count = digits.count();
    let (offset, rest) = line.split_at_checked(count)?;
    let text = rest.strip_prefix(b": ")?;
    if !(4..=8).contains(&count) {
        return None;
    }
    let offset = std::str::from_utf8(offset).ok()?;
    Some((usize::from_str_radix(offset, 16).ok()?, text))
}

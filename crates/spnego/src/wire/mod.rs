//! The octets of the protocol: a reader of tag-length-value that ends exactly, a writer that
//! allocates once, and the messages made of them.
#![forbid(unsafe_code)]

pub mod framing;
pub mod negoex;
pub mod spnego;

use std::fmt;

use crate::error::Error;

/// Tags of X.690 as SPNEGO uses them.
pub mod tag {
    pub(crate) const OCTET_STRING: u8 = 0x04;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const GENERAL_STRING: u8 = 0x1b;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// The constructed context tag `[number]`.
    pub const fn context(number: u8) -> u8 {
        0xa0 | (number & 0x1f)
    }
}

/// The most octets of a long-form length that are read. Four hold 4 GiB, far over any token; a
/// fifth can only announce what is not there.
const LENGTH_OCTETS: usize = 4;

/// The number in an identifier octet that says that the number follows (X.690 section 8.1.2.4).
const LONG_TAG: u8 = 0x1f;

/// The most octets of a number that follows: five hold 32 bits, and no module counts further.
const TAG_OCTETS: usize = 5;

/// A reader of tag-length-value elements over borrowed octets.
///
/// Lengths are definite, and need not be in their shortest form: peers write longer ones, and
/// what is signed are the octets as they came.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

/// One element: its tag and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Read `octets`; `what` names them in errors.
    pub fn new(what: &'static str, octets: &'a [u8]) -> Self {
        Self { rest: octets, what }
    }

    /// Read `octets` by `read`, which must use them up.
    ///
    /// # Errors
    /// Those of `read`, and octets left over.
    pub fn whole<T>(
        what: &'static str,
        octets: &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        let mut reader = Self::new(what, octets);
        let value = read(&mut reader)?;
        match reader.rest.len() {
            0 => Ok(value),
            left => Err(reader.flaw(Flaw::LeftOver(left))),
        }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The tag of the next element; `None` at the end.
    pub fn tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is; `None` at the end.
    ///
    /// # Errors
    /// Octets that are no element, or one that is longer than what is left.
    pub fn any(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.octet()?;
        if tag & LONG_TAG == LONG_TAG {
            return Err(self.flaw(Flaw::LongTag));
        }
        let length = self.length()?;
        let (content, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.flaw(Flaw::Truncated))?;
        self.rest = rest;
        Ok(Some(Element { tag, content }))
    }

    /// Pass over the next element, whatever its class, form and number are.
    ///
    /// # Errors
    /// As [`Self::any`]; a tag that goes on without end.
    pub(crate) fn pass_over(&mut self) -> Result<(), Malformed> {
        if self.octet()? & LONG_TAG == LONG_TAG {
            let mut more = true;
            for _ in 0..TAG_OCTETS {
                more = self.octet()? & 0x80 != 0;
                if !more {
                    break;
                }
            }
            if more {
                return Err(self.flaw(Flaw::EndlessTag));
            }
        }
        let length = self.length()?;
        let (_, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.flaw(Flaw::Truncated))?;
        self.rest = rest;
        Ok(())
    }

    /// The content of the next element, which must have this tag.
    ///
    /// # Errors
    /// As [`Self::any`]; another tag or none.
    pub fn element(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.any()? {
            Some(element) if element.tag == tag => Ok(element.content),
            Some(element) => Err(self.flaw(Flaw::Tag {
                expected: tag,
                found: element.tag,
            })),
            None => Err(self.flaw(Flaw::Missing(tag))),
        }
    }

    /// This flaw, in what is being read.
    fn flaw(&self, flaw: Flaw) -> Malformed {
        Malformed {
            what: self.what,
            flaw,
        }
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let first = self.octet()?;
        if first & 0x80 == 0 {
            return Ok(usize::from(first));
        }
        let count = usize::from(first & 0x7f);
        if count == 0 {
            return Err(self.flaw(Flaw::Indefinite));
        }
        if count > LENGTH_OCTETS {
            return Err(self.flaw(Flaw::LongLength));
        }
        let mut length: u32 = 0;
        for _ in 0..count {
            length = (length << 8) | u32::from(self.octet()?);
        }
        usize::try_from(length).map_err(|_| self.flaw(Flaw::Truncated))
    }

    fn octet(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| self.flaw(Flaw::Truncated))?;
        self.rest = rest;
        Ok(*first)
    }
}

/// Octets that are not what they should be: in what, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    what: &'static str,
    flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Truncated,
    Indefinite,
    LongLength,
    LongTag,
    EndlessTag,
    LeftOver(usize),
    Missing(u8),
    Tag { expected: u8, found: u8 },
    Unordered(u8),
    Other(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.what)?;
        match self.flaw {
            Flaw::Truncated => f.write_str("an element is longer than what is there"),
            Flaw::Indefinite => f.write_str("a length is indefinite, DER has none such"),
            Flaw::LongLength => write!(f, "a length has more than {LENGTH_OCTETS} octets"),
            Flaw::LongTag => f.write_str("a tag has more than one octet"),
            Flaw::EndlessTag => write!(f, "the number of a tag has more than {TAG_OCTETS} octets"),
            Flaw::LeftOver(count) => write!(f, "{count} bytes after the end"),
            Flaw::Missing(tag) => write!(f, "the element with tag {tag:#04x} is missing"),
            Flaw::Tag { expected, found } => {
                write!(f, "tag {found:#04x} where {expected:#04x} must be")
            }
            Flaw::Unordered(tag) => {
                write!(
                    f,
                    "the field with tag {tag:#04x} is repeated or out of order"
                )
            }
            Flaw::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::InvalidToken(malformed.to_string())
    }
}

/// A writer of definite, shortest-form elements into one allocation of known size.
///
/// Lengths come first in DER, so a message is measured with [`element_length`] and then written.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begin a message of exactly `length` octets.
    pub(crate) fn new(length: usize) -> Self {
        Self(Vec::with_capacity(length))
    }

    /// The tag and length of an element; `length` octets of content have to follow.
    pub(crate) fn head(&mut self, tag: u8, length: usize) {
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => self.0.extend_from_slice(&[tag, short]),
            _ => {
                let count = length_octets(length);
                let octets = length.to_be_bytes();
                let significant = octets.get(octets.len() - count..).unwrap_or_default();
                let announced = 0x80 | u8::try_from(count).unwrap_or_default();
                self.0.extend_from_slice(&[tag, announced]);
                self.0.extend_from_slice(significant);
            }
        }
    }

    /// A whole element.
    pub(crate) fn element(&mut self, tag: u8, content: &[u8]) {
        self.head(tag, content.len());
        self.0.extend_from_slice(content);
    }

    /// A whole element inside the context tag `[number]`.
    pub(crate) fn field(&mut self, number: u8, tag: u8, content: &[u8]) {
        self.head(tag::context(number), element_length(content.len()));
        self.element(tag, content);
    }

    /// The message.
    pub(crate) fn finish(self) -> Vec<u8> {
        debug_assert_eq!(self.0.len(), self.0.capacity(), "measured as written");
        self.0
    }
}

/// How many octets an element with `content` octets takes.
pub(crate) const fn element_length(content: usize) -> usize {
    if content < 0x80 {
        2 + content
    } else {
        2 + length_octets(content) + content
    }
}

/// How many octets an element with `content` octets takes inside a context tag.
pub(crate) const fn field_length(content: usize) -> usize {
    element_length(element_length(content))
}

/// How many octets the number `length` needs, at least one.
const fn length_octets(length: usize) -> usize {
    let mut rest = length >> 8;
    let mut count = 1;
    while rest != 0 {
        rest >>= 8;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(octets: &[u8]) -> Result<Option<Element<'_>>, Malformed> {
        Reader::whole("test", octets, Reader::any)
    }

    #[test]
    fn short_long_and_needlessly_long_lengths_are_read() {
        for octets in [
            &[4, 1, 7][..],
            &[4, 0x81, 1, 7],
            &[4, 0x82, 0, 1, 7],
            &[4, 0x84, 0, 0, 0, 1, 7],
        ] {
            let element = Element {
                tag: 4,
                content: &[7],
            };
            assert_eq!(one(octets), Ok(Some(element)), "{octets:?}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_an_error() {
        for (octets, flaw) in [
            (&[4][..], Flaw::Truncated),
            (&[4, 1], Flaw::Truncated),
            (&[4, 0x80, 0, 0], Flaw::Indefinite),
            (&[4, 0x81], Flaw::Truncated),
            (&[4, 0x84, 0xff, 0xff, 0xff, 0xff, 0], Flaw::Truncated),
            (&[4, 0x84, 0xff, 0xff, 0xff], Flaw::Truncated),
            (&[4, 0x85, 0, 0, 0, 0, 1, 7], Flaw::LongLength),
            (&[4, 0xff], Flaw::LongLength),
            (&[0x1f, 1, 7], Flaw::LongTag),
            (&[4, 1, 7, 9, 9], Flaw::LeftOver(2)),
        ] {
            let malformed = Malformed { what: "test", flaw };
            assert_eq!(one(octets), Err(malformed), "{octets:?}");
        }
    }

    #[test]
    fn an_element_of_any_form_is_passed_over() {
        let pass = |octets: &[u8]| Reader::whole("test", octets, Reader::pass_over);
        for octets in [
            &[0x85, 1, 0][..],
            &[0xa5, 0],
            &[0x9f, 0x20, 1, 0],
            &[0xbf, 0x8f, 0xff, 0xff, 0xff, 0x7f, 0x81, 1, 7],
        ] {
            assert_eq!(pass(octets), Ok(()), "{octets:?}");
        }
        for (octets, flaw) in [
            (&[0x85][..], Flaw::Truncated),
            (&[0x85, 2, 0], Flaw::Truncated),
            (&[0x85, 0x80, 0, 0], Flaw::Indefinite),
            (&[0x9f, 0xff], Flaw::Truncated),
            (
                &[0x9f, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0],
                Flaw::EndlessTag,
            ),
        ] {
            let malformed = Malformed { what: "test", flaw };
            assert_eq!(pass(octets), Err(malformed), "{octets:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_and_was_measured_right() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let content = vec![5; length];
            let mut writer = Writer::new(field_length(length));
            writer.field(2, tag::OCTET_STRING, &content);
            let written = writer.finish();
            assert_eq!(written.len(), field_length(length));
            let inner = Reader::whole("test", &written, |reader| reader.element(0xa2)).unwrap();
            let read = Reader::whole("test", inner, |reader| reader.element(tag::OCTET_STRING));
            assert_eq!(read, Ok(&content[..]));
        }
    }

    #[test]
    fn errors_say_in_what_and_how() {
        let error = Error::from(one(&[4, 1, 7, 9, 9, 9]).unwrap_err());
        assert_eq!(
            error.sentences(),
            ["the peer's token is malformed: test: 3 bytes after the end"]
        );
    }
}

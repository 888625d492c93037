//! What is read, as octets and as lines: compression and UTF-16 undone, lines in pieces where they are
//! long.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use spnego::error::plain;

/// A line, or a piece of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// With its end, where that is in it.
    pub(crate) text: &'a [u8],
    /// From 1.
    pub(crate) number: usize,
    /// Whether it begins here, and not in a piece before.
    pub(crate) begins: bool,
}

impl<'a> Line<'a> {
    /// Whether all of it is here.
    pub(crate) fn is_whole(self) -> bool {
        self.begins && (self.text.ends_with(b"\n") || self.text.len() < LONGEST)
    }

    /// The text without its end.
    pub(crate) fn content(self) -> &'a [u8] {
        let text = self.text.strip_suffix(b"\n").unwrap_or(self.text);
        text.strip_suffix(b"\r").unwrap_or(text)
    }
}

/// Lines being read.
pub(crate) struct Lines<R> {
    reader: BufReader<Opened<BufReader<Peeked<R>>>>,
    name: String,
    line: Vec<u8>,
    number: usize,
    /// Whether the last piece ended its line.
    is_between: bool,
}

impl<R: Read> Lines<R> {
    /// Begin to read; `name` is what errors call the input.
    pub(crate) fn new(input: R, name: &str) -> Result<Self, String> {
        let wrong = |error: io::Error| format!("{name}: {}", plain(&error));
        let (octets, peeked) = peek(input).map_err(wrong)?;
        let packed = BufReader::with_capacity(BUFFER, peeked);
        let opened = if octets.starts_with(GZIP) {
            Opened::Packed(MultiGzDecoder::new(packed))
        } else if octets.starts_with(&[0xff, 0xfe]) || is_wide(&octets) {
            Opened::Wide(packed, 0)
        } else if octets.starts_with(&[0xfe, 0xff]) {
            Opened::Wide(packed, 1)
        } else {
            Opened::Plain(packed)
        };
        let mut reader = BufReader::with_capacity(BUFFER, opened);
        reader.fill_buf().map_err(wrong)?;
        Ok(Self {
            reader,
            name: name.to_owned(),
            line: Vec::new(),
            number: 0,
            is_between: true,
        })
    }

    /// What the input is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is read first.
    pub(crate) fn beginning(&self) -> &[u8] {
        self.reader.buffer()
    }

    /// All of the input, if it is a token by itself.
    pub(crate) fn token(&mut self) -> Result<Option<Vec<u8>>, String> {
        let buffer = self.reader.buffer();
        let beginning = buffer.get(..BEGINNING.min(buffer.len()));
        if self.number > 0 || !super::is_binary_token(beginning.unwrap_or_default()) {
            return Ok(None);
        }
        let mut token = Vec::new();
        let limit = u64::try_from(super::LONGEST_ALONE).unwrap_or(u64::MAX);
        let mut limited = self.reader.by_ref().take(limit);
        limited
            .read_to_end(&mut token)
            .map_err(|error| format!("{}: {}", self.name, plain(&error)))?;
        Ok(Some(token))
    }

    /// The next line, or the next piece of one.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, String> {
        self.line.clear();
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let count = self
            .reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.line)
            .map_err(|error| format!("{}: {}", self.name, plain(&error)))?;
        if count == 0 {
            return Ok(None);
        }
        let begins = self.is_between;
        self.number += usize::from(begins);
        self.is_between = self.line.ends_with(b"\n");
        Ok(Some(Line {
            text: &self.line,
            number: self.number,
            begins,
        }))
    }
}

type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The first octets of `input`, and all of it.
fn peek<R: Read>(mut input: R) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut octets = Vec::new();
    let count = u64::try_from(BEGINNING).unwrap_or(u64::MAX);
    input.by_ref().take(count).read_to_end(&mut octets)?;
    Ok((octets.clone(), Cursor::new(octets).chain(input)))
}

/// Whether text is UTF-16, least significant octet first, without saying so.
fn is_wide(octets: &[u8]) -> bool {
    let mut pairs = octets.chunks_exact(2).take(16);
    octets.len() >= 32 && pairs.all(|pair| matches!(pair, [b'\t'..=b'~', 0]))
}

/// An input as it is to be read.
enum Opened<R> {
    Plain(R),
    Packed(MultiGzDecoder<R>),
    /// UTF-16, and which octet of a pair is the least significant one.
    Wide(R, usize),
}

impl<R: BufRead> Read for Opened<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(out),
            Self::Packed(reader) => reader.read(out),
            Self::Wide(reader, low) => {
                let mut count = 0;
                for place in out {
                    let mut pair = [0; 2];
                    match reader.read_exact(&mut pair) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                        Err(error) => return Err(error),
                    }
                    let [first, second] = pair;
                    let (low, high) = if *low == 0 {
                        (first, second)
                    } else {
                        (second, first)
                    };
                    // What is looked for is ASCII.
                    *place = if high == 0 { low } else { b'?' };
                    count += 1;
                    if low == b'\n' {
                        break;
                    }
                }
                Ok(count)
            }
        }
    }
}

/// How far the beginning reaches by which an input is told.
const BEGINNING: usize = 64;

/// RFC 1952 section 2.3.1: the identification and the one method of compression.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];

const BUFFER: usize = 0x4000;

/// The most octets of a piece of a line.
pub(crate) const LONGEST: usize = 0x4000;

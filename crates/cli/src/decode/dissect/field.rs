//! What a token is taken apart into: fields with their place, their value, what they hold, and what
//! is to be said of them.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::Write as _;

/// Octets of a token, and where in it they begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Octets<'a> {
    pub(crate) octets: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Octets<'a> {
    /// A whole token.
    pub(crate) fn whole(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    pub(crate) fn len(self) -> usize {
        self.octets.len()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.octets.is_empty()
    }

    pub(crate) fn first(self) -> Option<u8> {
        self.octets.first().copied()
    }

    /// The first `length` of them, or all where there are fewer, and the others.
    pub(crate) fn split(self, length: usize) -> (Self, Self) {
        let (octets, rest) = self.octets.split_at(length.min(self.len()));
        (
            Self { octets, ..self },
            Self {
                octets: rest,
                at: self.at.saturating_add(octets.len()),
            },
        )
    }

    /// `length` of them from `offset`, counted from their own beginning.
    pub(crate) fn part(self, offset: usize, length: usize) -> Option<Self> {
        let octets = self
            .octets
            .get(offset..)
            .and_then(|rest| rest.get(..length))?;
        Some(Self {
            octets,
            at: self.at.saturating_add(offset),
        })
    }

    /// All of them as a number, most significant octet last. Octets over eight are not counted.
    pub(crate) fn little_endian(self) -> u64 {
        let low = self.octets.iter().take(8);
        low.rev()
            .fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    /// All of them as a number, most significant octet first; `None` when it has more than 64 bits.
    pub(crate) fn big_endian(self) -> Option<u64> {
        (self.len() <= 8).then(|| {
            let all = self.octets.iter();
            all.fold(0, |number, octet| number << 8 | u64::from(*octet))
        })
    }
}

/// One field of a token.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: Cow<'static, str>,
    /// Where it begins in the token, and how many octets it has.
    pub(crate) at: usize,
    pub(crate) length: usize,
    pub(crate) value: Value<'a>,
    pub(crate) remarks: Vec<Remark>,
    pub(crate) fields: Vec<Self>,
    /// Whether fields were left out.
    cut: bool,
}

impl<'a> Field<'a> {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, octets: Octets<'a>) -> Self {
        Self {
            name: name.into(),
            at: octets.at,
            length: octets.len(),
            value: Value::Nothing,
            remarks: Vec::new(),
            fields: Vec::new(),
            cut: false,
        }
    }

    pub(crate) fn with(
        name: impl Into<Cow<'static, str>>,
        octets: Octets<'a>,
        value: Value<'a>,
    ) -> Self {
        Self {
            value,
            ..Self::new(name, octets)
        }
    }

    /// What a specification forbids.
    pub(crate) fn wrong(&mut self, section: &'static str, text: impl Into<String>) {
        self.remark(Level::Wrong, section, text);
    }

    /// What is allowed and weak, or likely not what was meant.
    pub(crate) fn doubtful(&mut self, section: &'static str, text: impl Into<String>) {
        self.remark(Level::Doubtful, section, text);
    }

    /// What is good to know.
    pub(crate) fn note(&mut self, section: &'static str, text: impl Into<String>) {
        self.remark(Level::Note, section, text);
    }

    pub(crate) fn remark(&mut self, level: Level, section: &'static str, text: impl Into<String>) {
        self.remarks.push(Remark {
            level,
            section,
            text: text.into(),
        });
    }

    /// Add a field. Of a hostile list not all are kept.
    pub(crate) fn push(&mut self, field: Self) {
        if self.fields.len() < LISTED {
            self.fields.push(field);
        } else if !self.cut {
            self.cut = true;
            self.note("", format!("only the first {LISTED} are shown"));
        }
    }

    /// Octets where none should be.
    pub(crate) fn push_left_over(&mut self, section: &'static str, rest: Octets<'a>) {
        if !rest.is_empty() {
            let mut field = Field::with("octets after the end", rest, Value::Octets(rest.octets));
            let count = rest.len();
            field.wrong(section, format!("{count} octets after the end"));
            self.push(field);
        }
    }

    /// How many remarks of this level there are, here and below.
    pub(crate) fn count(&self, level: Level) -> usize {
        let here = self.remarks.iter().filter(|remark| remark.level == level);
        let below: usize = self.fields.iter().map(|field| field.count(level)).sum();
        here.count() + below
    }

    /// The first field of this name, here or below.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.fields.iter().find_map(|field| field.find(name))
    }
}

/// What a field says.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    /// Nothing of its own: what is in it speaks.
    Nothing,
    /// A number, and what it stands for.
    Number(u64, Option<Cow<'static, str>>),
    /// Bits, and the names of those that are set.
    Bits(u64, Vec<Cow<'static, str>>),
    /// Text as the peer wrote it.
    Text(String),
    /// An object identifier or a GUID, and the name people know it by.
    Identifier(String, Option<Cow<'static, str>>),
    /// Octets that tell a reader nothing.
    Octets(&'a [u8]),
    /// Octets from which passwords can be guessed offline: shown when asked for only.
    Sensitive(&'a [u8]),
}

impl Value<'_> {
    pub(crate) fn number(number: u64) -> Self {
        Self::Number(number, None)
    }

    pub(crate) fn named(number: u64, name: Option<&'static str>) -> Self {
        Self::Number(number, name.map(Cow::Borrowed))
    }

    /// The bits of `number`, named from a table of masks.
    pub(crate) fn bits(number: u64, names: &[(u64, &'static str)]) -> Self {
        let set = names.iter().filter(|(mask, _)| number & mask != 0);
        Self::Bits(number, set.map(|(_, name)| Cow::Borrowed(*name)).collect())
    }
}

/// Something to be said of a field.
#[derive(Debug)]
pub(crate) struct Remark {
    pub(crate) level: Level,
    /// The section of the specification that says so; empty where none does.
    pub(crate) section: &'static str,
    pub(crate) text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// A specification forbids it.
    Wrong,
    /// Allowed, but weak or likely not meant.
    Doubtful,
    /// Good to know.
    Note,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Doubtful => "doubtful",
            Self::Note => "note",
        }
    }
}

/// The most fields kept of one: many times what honest tokens have. A token's worth of the shortest
/// ones takes a thousand times its memory.
const LISTED: usize = 64;

/// UTF-16, least significant octet first.
pub(crate) fn utf16<'a>(
    octets: Octets<'a>,
    field: &mut Field<'a>,
    section: &'static str,
) -> String {
    if octets.len() % 2 != 0 {
        field.wrong(section, "an odd number of octets is not UTF-16");
    }
    let units = octets.octets.chunks_exact(2).filter_map(|pair| {
        let pair = pair.first_chunk()?;
        Some(u16::from_le_bytes(*pair))
    });
    let mut broken = false;
    let text = char::decode_utf16(units)
        .map(|unit| {
            unit.unwrap_or_else(|_| {
                broken = true;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    if broken {
        field.doubtful(section, "half of a surrogate pair is not UTF-16");
    }
    text
}

/// Octets in hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a String does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

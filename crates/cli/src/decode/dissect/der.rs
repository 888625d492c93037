//! DER read with tolerance: what can be made of it is, and what is wrong is said.
#![forbid(unsafe_code)]

use super::field::{Field, Level, Octets, Remark};

/// One element, as far as it goes.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    /// The first octet of the tag: class, form and number.
    pub(crate) tag: u8,
    /// The number, also where it stands in octets of its own.
    pub(crate) number: u64,
    pub(crate) whole: Octets<'a>,
    pub(crate) content: Octets<'a>,
    remarks: Vec<Remark>,
}

impl<'a> Element<'a> {
    /// Take the first element off `rest`; `None` at its end.
    pub(crate) fn next(rest: &mut Octets<'a>) -> Option<Self> {
        let all = *rest;
        let tag = all.first()?;
        let (tag_length, number) = number(all);
        let mut element = Self {
            tag,
            number,
            whole: all,
            content: all.split(tag_length).1,
            remarks: Vec::new(),
        };
        *rest = all.split(all.len()).1;
        let (head, length) = element.length(element.content);
        let head = tag_length + head;
        let content = all.split(head).1;
        let (content, after) = content.split(length);
        if content.len() < length {
            let there = content.len();
            let announced = match length {
                usize::MAX => "more octets than can be".to_owned(),
                _ => format!("{length} octets"),
            };
            element.wrong(
                "X.690 section 8.1.3",
                format!("{announced} are announced, {there} are there"),
            );
        }
        element.content = content;
        element.whole = all.split(head + content.len()).0;
        *rest = after;
        Some(element)
    }

    /// How many octets the length at the beginning of `octets` has, and what it says. A length that
    /// is none reaches to the end.
    fn length(&mut self, octets: Octets<'a>) -> (usize, usize) {
        let Some(first) = octets.first() else {
            self.wrong("X.690 section 8.1.3", "it ends before its length");
            return (0, 0);
        };
        if first & 0x80 == 0 {
            return (1, first.into());
        }
        let count = usize::from(first & 0x7f);
        if count == 0 {
            self.wrong(
                "X.690 section 10.1",
                "the length is indefinite, which DER does not have",
            );
            return (1, octets.len().saturating_sub(1));
        }
        let (digits, _) = octets.split(1).1.split(count);
        if digits.len() < count {
            self.wrong("X.690 section 8.1.3", "it ends in its length");
            return (1 + digits.len(), 0);
        }
        let significant = digits.octets.iter().skip_while(|octet| **octet == 0);
        let length = significant.clone().try_fold(0_usize, |length, octet| {
            length.checked_mul(256)?.checked_add((*octet).into())
        });
        let shortest = match length {
            Some(length) if length < 0x80 => 0,
            _ => significant.count(),
        };
        if count != shortest {
            self.wrong(
                "X.690 section 10.1",
                "the length is not in its shortest form, which DER wants",
            );
        }
        (1 + count, length.unwrap_or(usize::MAX))
    }

    fn wrong(&mut self, section: &'static str, text: impl Into<String>) {
        self.remarks.push(Remark {
            level: Level::Wrong,
            section,
            text: text.into(),
        });
    }

    /// Let `field` say what is wrong with tag and length.
    pub(crate) fn blame(&mut self, field: &mut Field<'a>) {
        field.remarks.append(&mut self.remarks);
    }
}

/// How many octets the tag at the beginning of `octets` has, and its number (X.690 section 8.1.2).
fn number(octets: Octets<'_>) -> (usize, u64) {
    let first = octets.first().unwrap_or_default();
    if first & LONG_TAG != LONG_TAG {
        return (1, u64::from(first & LONG_TAG));
    }
    let mut number: u64 = 0;
    let mut count = 1;
    for octet in octets.octets.iter().skip(1) {
        number = number.saturating_mul(0x80) | u64::from(octet & 0x7f);
        count += 1;
        if octet & 0x80 == 0 {
            break;
        }
    }
    (count, number)
}

/// How many octets the element at the beginning of `octets` says that it has, with its tag and
/// length.
pub(crate) fn announced(octets: Octets<'_>) -> Option<usize> {
    let mut element = Element {
        tag: octets.first()?,
        number: 0,
        whole: octets,
        content: octets.split(1).1,
        remarks: Vec::new(),
    };
    let (head, length) = element.length(element.content);
    (length < LONGEST_READ).then(|| 1 + head + length)
}

/// The content of the element with this tag, which should fill `octets`; `field` says where it
/// does not. `None`: there is another element, or none.
pub(crate) fn only<'a>(
    field: &mut Field<'a>,
    octets: Octets<'a>,
    tag: u8,
    section: &'static str,
) -> Option<Octets<'a>> {
    let mut rest = octets;
    let Some(mut element) = Element::next(&mut rest) else {
        field.wrong(section, format!("empty, where {} must be", name(tag)));
        return None;
    };
    element.blame(field);
    if element.tag != tag {
        field.wrong(
            section,
            format!("{} where {} must be", name(element.tag), name(tag)),
        );
        return None;
    }
    field.push_left_over(section, rest);
    Some(element.content)
}

/// A numbered field of a SEQUENCE.
#[derive(Debug)]
pub(crate) struct Numbered<'a> {
    pub(crate) number: u64,
    pub(crate) element: Element<'a>,
}

/// What a SEQUENCE may hold beside the fields that are known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extension {
    /// Numbered fields only.
    Closed,
    /// The module has the fields up to `last`, and MS-SPNG one more; what else comes is passed over
    /// (RFC 4178 section 6).
    PassedOver { last: u64 },
}

/// The numbered fields in the content of a SEQUENCE. What is none that is known becomes a field of
/// `parent`'s; of what comes twice or out of order it is said.
pub(crate) fn numbered<'a>(
    parent: &mut Field<'a>,
    content: Octets<'a>,
    section: &'static str,
    extension: Extension,
) -> Vec<Numbered<'a>> {
    let mut rest = content;
    let mut lowest = 0;
    let mut all = Vec::new();
    while let Some(mut element) = Element::next(&mut rest) {
        let number = element.number;
        let (is_known, is_ordered) = match extension {
            Extension::Closed => (true, true),
            Extension::PassedOver { last } => (number <= last + 1, number <= last),
        };
        if element.tag & CLASS != CONTEXT || !is_known {
            stranger(parent, element, section, extension);
            continue;
        }
        if is_ordered {
            if number < lowest {
                element.wrong(
                    section,
                    format!("field {number} is out of order, or comes twice"),
                );
            }
            lowest = number.saturating_add(1);
        }
        all.push(Numbered { number, element });
    }
    all
}

/// Show an element that is no field that is known.
fn stranger<'a>(
    parent: &mut Field<'a>,
    mut element: Element<'a>,
    section: &'static str,
    extension: Extension,
) {
    let number = element.number;
    let is_field = element.tag & (CLASS & !CONSTRUCTED) == CONTEXT & !CONSTRUCTED;
    let mut field = match is_field {
        true => Field::with(
            format!("field {number}"),
            element.whole,
            super::field::Value::Octets(element.content.octets),
        ),
        false => unknown("element", &element),
    };
    element.blame(&mut field);
    match extension {
        Extension::PassedOver { last } if is_field && number > last => field.note(
            "RFC 4178 section 6",
            "not known here, and to be passed over",
        ),
        _ if is_field => field.wrong(
            section,
            format!("field {number} in primitive form, where an element must be in it"),
        ),
        _ => field.wrong(
            section,
            format!("{} where a numbered field must be", name(element.tag)),
        ),
    }
    parent.push(field);
}

/// An element that is only shown.
pub(crate) fn unknown<'a>(what: &str, element: &Element<'a>) -> Field<'a> {
    Field::with(
        format!("{what} {:#04x}", element.tag),
        element.whole,
        super::field::Value::Octets(element.content.octets),
    )
}

/// What people call a tag.
fn name(tag: u8) -> String {
    let known = match tag {
        tag::BOOLEAN => "a BOOLEAN",
        tag::INTEGER => "an INTEGER",
        tag::BIT_STRING => "a BIT STRING",
        tag::OCTET_STRING => "an OCTET STRING",
        tag::OID => "an OBJECT IDENTIFIER",
        tag::ENUMERATED => "an ENUMERATED",
        tag::UTF8_STRING => "a UTF8String",
        tag::GENERALIZED_TIME => "a GeneralizedTime",
        tag::GENERAL_STRING => "a GeneralString",
        tag::SEQUENCE => "a SEQUENCE",
        _ if tag & CLASS == CONTEXT && tag & LONG_TAG != LONG_TAG => {
            return format!("field [{}]", tag & LONG_TAG);
        }
        _ => return format!("an element with tag {tag:#04x}"),
    };
    known.to_owned()
}

/// Tags of X.690.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const GENERAL_STRING: u8 = 0x1b;
    pub(crate) const SEQUENCE: u8 = 0x30;
}

/// A token of more octets is not waited for.
const LONGEST_READ: usize = 0x1000_0000;
/// Class and form; a numbered field is a constructed element of the context's class.
const CLASS: u8 = 0xe0;
const CONSTRUCTED: u8 = 0x20;
const CONTEXT: u8 = 0xa0;
/// The number of a tag; all bits set announce a longer one.
const LONG_TAG: u8 = 0x1f;

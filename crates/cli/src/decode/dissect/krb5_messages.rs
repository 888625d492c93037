//! Reading the messages of Kerberos by the tables of their fields.
#![forbid(unsafe_code)]

use super::Facts;
use super::der::{self, Extension, Numbered, tag};
use super::field::{Field, Octets, Value};
use super::krb5_schema::{Kind, Presence, Schema};
use super::krb5_tables::{ERROR_DATA, IAKERB_HEADER, PRINCIPAL};
use super::names::{self, ENCRYPTION_TYPES, NAME_TYPES, STATUSES};

/// Read `octets`, which should be one SEQUENCE, as `schema` says.
pub(crate) fn read<'a>(field: &mut Field<'a>, octets: Octets<'a>, schema: &Schema) {
    let Some(content) = der::only(field, octets, tag::SEQUENCE, schema.section) else {
        return;
    };
    let mut seen = Vec::new();
    for Numbered {
        number,
        mut element,
    } in der::numbered(field, content, schema.section, Extension::Closed)
    {
        let known = schema
            .fields
            .iter()
            .find(|known| u64::from(known.0) == number);
        let Some((_, name, _, kind)) = known else {
            let mut unknown = der::unknown("field", &element);
            element.blame(&mut unknown);
            unknown.note(schema.section, format!("field {number} is not known here"));
            field.push(unknown);
            continue;
        };
        seen.push(number);
        let mut part = Field::new(*name, element.whole);
        element.blame(&mut part);
        kind.read(&mut part, element.content, schema.section);
        field.push(part);
    }
    for (number, name, presence, _) in schema.fields {
        if *presence == Presence::Must && !seen.contains(&u64::from(*number)) {
            field.wrong(schema.section, format!("{name} is missing"));
        }
    }
}

impl Kind {
    fn read<'a>(self, field: &mut Field<'a>, octets: Octets<'a>, section: &'static str) {
        match self {
            Self::Number(table) => {
                if let Some(number) = number(field, octets, section) {
                    field.value = Value::named(number, names::found(table, number));
                }
            }
            Self::Always(wanted) => {
                if let Some(number) = number(field, octets, section) {
                    field.value = Value::number(number);
                    if number != wanted {
                        field.wrong(section, format!("{number}, where {wanted} must be"));
                    }
                }
            }
            Self::EncryptionType => {
                if let Some(number) = number(field, octets, section) {
                    encryption_type(field, number);
                }
            }
            Self::EncryptionTypes => {
                let Some(mut rest) = der::only(field, octets, tag::SEQUENCE, section) else {
                    return;
                };
                while let Some(element) = der::Element::next(&mut rest) {
                    let mut entry = Field::new("etype", element.whole);
                    if let Some(number) = number(&mut entry, element.whole, section) {
                        encryption_type(&mut entry, number);
                    }
                    field.push(entry);
                }
            }
            Self::Flags(table) => flags(field, octets, table, section),
            Self::Text => text(field, octets, section),
            Self::Time => {
                if let Some(content) = der::only(field, octets, tag::GENERALIZED_TIME, section) {
                    field.value = time(field, content);
                }
            }
            Self::Cipher => {
                if let Some(content) = der::only(field, octets, tag::OCTET_STRING, section) {
                    field.value = Value::Sensitive(content.octets);
                }
            }
            Self::Octets => {
                if let Some(content) = der::only(field, octets, tag::OCTET_STRING, section) {
                    field.value = Value::Octets(content.octets);
                }
            }
            Self::ErrorData => {
                if let Some(content) = der::only(field, octets, tag::OCTET_STRING, section) {
                    field.value = Value::Octets(content.octets);
                    extended_error(field, content);
                }
            }
            Self::Part(schema) if schema.name == PRINCIPAL.name => principal(field, octets, schema),
            Self::Part(schema) => read(field, octets, schema),
            Self::Tagged(tag, schema) => {
                if let Some(content) = der::only(field, octets, tag, schema.section) {
                    read(field, content, schema);
                }
            }
            Self::Opaque => field.value = Value::Octets(octets.octets),
        }
    }
}

/// An INTEGER; those of Kerberos have 32 bits.
fn number<'a>(field: &mut Field<'a>, octets: Octets<'a>, section: &'static str) -> Option<u64> {
    let content = der::only(field, octets, tag::INTEGER, section)?;
    let Some(number) = content.big_endian().filter(|_| !content.is_empty()) else {
        field.wrong(
            "X.690 section 8.3",
            format!("a number of {} octets", content.len()),
        );
        field.value = Value::Octets(content.octets);
        return None;
    };
    if let [0, second, ..] = content.octets {
        if second & 0x80 == 0 {
            field.wrong("X.690 section 8.3.2", "a number with needless zeros");
        }
    }
    Some(match (content.first(), content.len()) {
        // A negative number, as Windows has for name types and encryption types: its 32 bits.
        (Some(0x80..), length @ 1..4) => {
            let filler = u64::from(u32::MAX).checked_shl(8 * u32::try_from(length).unwrap_or(0));
            (number | filler.unwrap_or(0)) & u64::from(u32::MAX)
        }
        _ => number,
    })
}

fn encryption_type(field: &mut Field<'_>, number: u64) {
    field.value = Value::named(number, names::found(&ENCRYPTION_TYPES, number));
    match number {
        1..=3 => field.doubtful("RFC 6649 section 2", "DES, which is no longer to be used"),
        5..=7 | 16 => field.doubtful(
            "RFC 8429 section 4",
            "triple DES, which is no longer to be used",
        ),
        23 | 24 => field.doubtful("RFC 8429 section 4", "RC4, which is no longer to be used"),
        _ => {}
    }
}

/// Flag 0 is the most significant bit of the first octet.
fn flags<'a>(
    field: &mut Field<'a>,
    octets: Octets<'a>,
    table: &[(u64, &'static str)],
    section: &'static str,
) {
    let Some(content) = der::only(field, octets, tag::BIT_STRING, section) else {
        return;
    };
    let (unused, bits) = content.split(1);
    if unused.is_empty() || unused.first() > Some(7) {
        field.wrong(
            "X.690 section 8.6.2",
            "the number of unused bits is no such",
        );
    }
    if bits.len() != 4 {
        field.doubtful(
            "RFC 4120 section 5.2.8",
            format!("{} bits, where 32 must be", bits.len().saturating_mul(8)),
        );
    }
    let (first, _) = bits.split(4);
    let missing = u32::try_from(4_usize.saturating_sub(first.len())).unwrap_or(0);
    let value = first.big_endian().unwrap_or_default() << (8 * missing);
    field.value = Value::bits(value, table);
}

/// A KerberosString, which is a GeneralString. IAKERB has a UTF8String, and MIT krb5 an OCTET
/// STRING in its place.
fn text<'a>(field: &mut Field<'a>, octets: Octets<'a>, section: &'static str) {
    let tag = match (section == IAKERB_HEADER.section, octets.first()) {
        (true, Some(tag::OCTET_STRING)) => {
            field.note(
                section,
                "an OCTET STRING where a UTF8String must be, as MIT krb5 writes it",
            );
            tag::OCTET_STRING
        }
        (true, _) => tag::UTF8_STRING,
        (false, _) => tag::GENERAL_STRING,
    };
    if let Some(content) = der::only(field, octets, tag, section) {
        field.value = Value::Text(String::from_utf8_lossy(content.octets).into_owned());
    }
}

/// A KerberosTime, `YYYYMMDDHHMMSSZ`, as people write it.
fn time<'a>(field: &mut Field<'a>, content: Octets<'a>) -> Value<'a> {
    let text = String::from_utf8_lossy(content.octets);
    let digits = text.strip_suffix('Z').unwrap_or_default();
    if digits.len() != 14 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        field.wrong("RFC 4120 section 5.2.3", "not of the form YYYYMMDDHHMMSSZ");
        return Value::Text(text.into_owned());
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Value::Text(format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    ))
}

/// A name and, as its value, the name as people write it.
fn principal<'a>(field: &mut Field<'a>, octets: Octets<'a>, schema: &'static Schema) {
    let Some(content) = der::only(field, octets, tag::SEQUENCE, schema.section) else {
        return;
    };
    let mut parts = Vec::new();
    for Numbered {
        number: index,
        mut element,
    } in der::numbered(field, content, schema.section, Extension::Closed)
    {
        let mut part = Field::new(
            if index == 0 {
                "name-type"
            } else {
                "name-string"
            },
            element.whole,
        );
        element.blame(&mut part);
        if index == 0 {
            Kind::Number(&NAME_TYPES).read(&mut part, element.content, schema.section);
        } else if let Some(mut rest) =
            der::only(&mut part, element.content, tag::SEQUENCE, schema.section)
        {
            while let Some(element) = der::Element::next(&mut rest) {
                let mut entry = Field::new("component", element.whole);
                text(&mut entry, element.whole, schema.section);
                if let Value::Text(text) = &entry.value {
                    parts.push(text.clone());
                }
                part.push(entry);
            }
        }
        field.push(part);
    }
    if parts.is_empty() {
        field.doubtful(schema.section, "a name of no component");
    }
    field.value = Value::Text(parts.join("/"));
}

/// What a Windows server adds to an error: KERB-ERROR-DATA with an NTSTATUS in it.
fn extended_error<'a>(field: &mut Field<'a>, content: Octets<'a>) {
    const SECTION: &str = "MS-KILE section 2.2.2";
    // Other senders put other things here, which are no errors of theirs.
    if content.first() != Some(tag::SEQUENCE) {
        return;
    }
    let mut data = Field::new("KERB-ERROR-DATA", content);
    read(&mut data, content, &ERROR_DATA);
    let is_it = data.count(super::field::Level::Wrong) == 0;
    let Some(value) = data.find("data-value").filter(|_| is_it) else {
        return;
    };
    if let Value::Octets(octets @ [a, b, c, d, ..]) = value.value {
        if octets.len() == 12 {
            let status = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            let name = names::found(&STATUSES, status);
            let told = name.map_or_else(|| format!("{status:#010x}"), str::to_owned);
            data.note(SECTION, format!("the server's NTSTATUS is {told}"));
        }
    }
    field.push(data);
}

/// The line about a message: whom it is for, and what happened.
pub(crate) fn say(message: &Field<'_>, facts: &mut Facts) {
    facts.say(message.name.to_string());
    let text = |name: &str| match message.find(name).map(|field| &field.value) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let service = text("sname").or_else(|| text("server-name"));
    if let (Some(service), Some(realm)) = (service, text("realm")) {
        facts.say(format!("for {service}@{realm}"));
    }
    if let Some(Field {
        value: Value::Number(code, name),
        ..
    }) = message.find("error-code")
    {
        let name = name.as_deref().map(|name| name.split(':').next());
        facts.say(match name.flatten() {
            Some(name) => name.to_owned(),
            None => format!("error {code}"),
        });
    }
}

//! The tokens of Kerberos (RFC 4121 section 4.1) and of IAKERB, and what can be seen of the
//! messages in them (RFC 4120 section 5) without any key.
#![forbid(unsafe_code)]

use super::Facts;
use super::der::{self, Element};
use super::field::{Field, Octets, Value};
use super::krb5_messages;
use super::krb5_tables::{self, IAKERB_HEADER, TGT_REPLY_MESSAGE, TGT_REQUEST_MESSAGE};
use super::names;

/// Whether `token` begins as a message of Kerberos without a header of GSS-API.
pub(crate) fn begins(token: Octets<'_>) -> bool {
    let is_message = token
        .first()
        .is_some_and(|tag| krb5_tables::message(tag).is_some());
    let mut rest = token;
    is_message
        && Element::next(&mut rest)
            .is_some_and(|element| element.content.first() == Some(der::tag::SEQUENCE))
}

/// What follows the mechanism's identifier: two octets that say what it is, and a message.
pub(crate) fn token<'a>(inner: Octets<'a>, parent: &mut Field<'a>, facts: &mut Facts) {
    const SECTION: &str = "RFC 4121 section 4.1";
    let (id, message) = inner.split(2);
    let number = id.big_endian().unwrap_or_default();
    let mut field = Field::with(
        "TOK_ID",
        id,
        Value::named(number, names::found(&TOKEN_IDS, number)),
    );
    if id.len() < 2 {
        field.wrong(SECTION, "it ends before its token identifier");
    } else if names::found(&TOKEN_IDS, number).is_none() {
        field.doubtful(
            SECTION,
            format!("no token that is known here has the identifier {number:#06x}"),
        );
    }
    parent.push(field);
    let expected = match number {
        AP_REQ => Some(0x6e),
        AP_REP => Some(0x6f),
        ERROR => Some(0x7e),
        IAKERB_PROXY => {
            facts.say("IAKERB");
            let message = header_of_iakerb(message, parent);
            if !message.is_empty() {
                parent.push(self::message(message, facts));
            }
            return;
        }
        TGT_REQUEST | TGT_REPLY => {
            let schema = match number {
                TGT_REQUEST => &TGT_REQUEST_MESSAGE,
                _ => &TGT_REPLY_MESSAGE,
            };
            facts.say("krb5 user-to-user:");
            let mut field = Field::new(schema.name, message);
            field.note(
                schema.section,
                "user-to-user: the service ticket is made with the key of the server's own \
                 ticket-granting ticket",
            );
            krb5_messages::read(&mut field, message, schema);
            krb5_messages::say(&field, facts);
            parent.push(field);
            return;
        }
        MIC | WRAP => {
            parent.push(per_message(inner));
            return;
        }
        _ => None,
    };
    if message.is_empty() {
        if expected.is_some() {
            parent.wrong(SECTION, "no message follows the token identifier");
        }
        return;
    }
    if expected.is_some() && message.first() != expected {
        parent.wrong(SECTION, "the message is not the one that TOK_ID says");
    }
    parent.push(self::message(message, facts));
}

/// A message of Kerberos by its tag.
pub(crate) fn message<'a>(octets: Octets<'a>, facts: &mut Facts) -> Field<'a> {
    let mut rest = octets;
    let Some(mut element) = Element::next(&mut rest) else {
        return Field::new("Kerberos message", octets);
    };
    let Some(schema) = krb5_tables::message(element.tag) else {
        let mut field = Field::with("octets", octets, Value::Octets(octets.octets));
        field.note(
            "RFC 4120 section 5.10",
            "not a message of Kerberos that is known here",
        );
        return field;
    };
    let mut field = Field::new(schema.name, element.whole);
    element.blame(&mut field);
    krb5_messages::read(&mut field, element.content, schema);
    field.push_left_over("RFC 4120 section 5", rest);
    krb5_messages::say(&field, facts);
    field
}

/// IAKERB-HEADER, and the octets after it.
fn header_of_iakerb<'a>(octets: Octets<'a>, parent: &mut Field<'a>) -> Octets<'a> {
    let mut rest = octets;
    let Some(mut element) = Element::next(&mut rest) else {
        parent.wrong(IAKERB_HEADER.section, "no IAKERB-HEADER follows");
        return rest;
    };
    let mut field = Field::new(IAKERB_HEADER.name, element.whole);
    if element.tag == der::tag::SEQUENCE {
        element.blame(&mut field);
        krb5_messages::read(&mut field, element.whole, &IAKERB_HEADER);
    } else {
        field.wrong(IAKERB_HEADER.section, "not a SEQUENCE");
    }
    parent.push(field);
    rest
}

/// A token of RFC 4121 section 4.2.6, as a mechListMIC is one.
pub(crate) fn per_message(octets: Octets<'_>) -> Field<'_> {
    let number = octets.split(2).0.big_endian().unwrap_or_default();
    let (name, section) = match number {
        WRAP => ("krb5 Wrap token", "RFC 4121 section 4.2.6.2"),
        _ => ("krb5 MIC token", "RFC 4121 section 4.2.6.1"),
    };
    let mut field = Field::new(name, octets);
    let (head, rest) = octets.split(16);
    if head.len() < 16 {
        field.wrong(
            section,
            format!("{} octets, where the header alone has 16", head.len()),
        );
        return field;
    }
    let part = |at, length| head.part(at, length).unwrap_or(head);
    let (id, flags, filler, sequence) = (part(0, 2), part(2, 1), part(3, 5), part(8, 8));
    field.push(Field::with(
        "TOK_ID",
        id,
        Value::named(number, names::found(&TOKEN_IDS, number)),
    ));
    field.push(Field::with(
        "Flags",
        flags,
        Value::bits(flags.little_endian(), &MESSAGE_FLAGS),
    ));
    if number == MIC {
        let mut field_of_filler = Field::with("Filler", filler, Value::Octets(filler.octets));
        if filler.octets.iter().any(|octet| *octet != 0xff) {
            field_of_filler.wrong(section, "each octet must be 0xff");
        }
        field.push(field_of_filler);
    } else {
        field.push(Field::with(
            "Filler, EC, RRC",
            filler,
            Value::Octets(filler.octets),
        ));
    }
    field.push(Field::with(
        "SND_SEQ",
        sequence,
        Value::number(sequence.big_endian().unwrap_or_default()),
    ));
    let name = if number == MIC { "SGN_CKSUM" } else { "Data" };
    let mut checksum = Field::with(name, rest, Value::Octets(rest.octets));
    if rest.is_empty() {
        checksum.wrong(section, "empty");
    }
    field.push(checksum);
    field
}

/// Whether octets are a per-message token, and not the beginning of something else.
pub(crate) fn is_per_message(octets: Octets<'_>) -> bool {
    matches!(octets.octets, [4, 4, _, 0xff, ..] | [5, 4, _, 0xff, ..])
}

const AP_REQ: u64 = 0x0100;
const AP_REP: u64 = 0x0200;
const ERROR: u64 = 0x0300;
const MIC: u64 = 0x0404;
const WRAP: u64 = 0x0504;
const TGT_REQUEST: u64 = 0x0400;
const TGT_REPLY: u64 = 0x0401;
const IAKERB_PROXY: u64 = 0x0501;

const TOKEN_IDS: [(u64, &str); 10] = [
    (AP_REQ, "KRB_AP_REQ"),
    (AP_REP, "KRB_AP_REP"),
    (ERROR, "KRB_ERROR"),
    (TGT_REQUEST, "KERB_TGT_REQUEST"),
    (TGT_REPLY, "KERB_TGT_REPLY"),
    (MIC, "MIC"),
    (WRAP, "Wrap"),
    (IAKERB_PROXY, "IAKERB_PROXY"),
    (0x0101, "MIC of RFC 1964"),
    (0x0201, "Wrap of RFC 1964"),
];

const MESSAGE_FLAGS: [(u64, &str); 3] = [
    (1, "sent by the acceptor"),
    (2, "sealed"),
    (4, "acceptor's subkey"),
];

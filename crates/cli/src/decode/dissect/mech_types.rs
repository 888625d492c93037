//! MechTypeList, RFC 4178 section 4.1, and the identifiers in it.
#![forbid(unsafe_code)]

use spnego::oid;

use super::der::{self, Element, tag};
use super::field::{Field, Octets, Value};
use super::names;

/// MechTypeList.
pub(crate) fn read<'a>(field: &mut Field<'a>, content: Octets<'a>) -> Vec<Vec<u8>> {
    const SECTION: &str = "RFC 4178 section 4.1";
    let mut offered: Vec<Vec<u8>> = Vec::new();
    let Some(mut rest) = der::only(field, content, tag::SEQUENCE, SECTION) else {
        return offered;
    };
    while let Some(mut element) = Element::next(&mut rest) {
        let mut entry = Field::new("mechType", element.whole);
        element.blame(&mut entry);
        if element.tag == tag::OID {
            identifier(&mut entry, element.content);
            let mech = element.content.octets;
            // A hostile list is not compared with itself without end.
            if offered.iter().take(COMPARED).any(|other| other == mech) {
                entry.doubtful(SECTION, "offered twice");
            }
            if mech == oid::SPNEGO.content() {
                entry.wrong("RFC 4178 section 3.1", "SPNEGO must not offer itself");
            }
            offered.push(mech.to_vec());
        } else {
            entry.value = Value::Octets(element.whole.octets);
            entry.wrong(SECTION, "not an OBJECT IDENTIFIER");
        }
        field.push(entry);
    }
    if offered.is_empty() {
        field.wrong(
            "RFC 4178 section 4.2.1",
            "an empty list: nothing is offered",
        );
    }
    offered
}

/// An identifier of a mechanism, and which dialect it is of.
pub(crate) fn identifier<'a>(field: &mut Field<'a>, content: Octets<'a>) {
    field.value = names::identifier(content.octets);
    if !names::is_identifier(content.octets) {
        field.wrong(
            "X.690 section 8.19.2",
            "not an identifier in its shortest form",
        );
    }
    if content.octets == oid::KRB5_MS.content() {
        field.note(
            "MS-SPNG section 3.1.5.2",
            "Kerberos 5 under the identifier that Windows 2000 mis-encoded; Windows still offers it",
        );
    } else if content.octets == oid::KRB5_OLD.content() {
        field.note(
            "RFC 1964 section 1",
            "Kerberos 5 under its identifier of before 1996",
        );
    } else if content.octets == oid::LATE_FALLBACK.content() {
        field.note(
            "MS-SPNG section 3.1.5.4",
            "Negotiate Late Fallback, of April 2026: no mechanism, but a mark that the next one can be \
             tried after a failure; others pass it over",
        );
    }
}

/// How many entries of a list another one is compared with.
const COMPARED: usize = 64;

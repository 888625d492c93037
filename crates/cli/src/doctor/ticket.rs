//! What everybody may read of a Kerberos ticket: whom it is for, by which key it is encrypted.
#![forbid(unsafe_code)]

use serde_json::{Value, json};
use spnego::oid::Oid;
use spnego::wire::framing::InitialToken;
use spnego::wire::spnego::NegTokenInit;
use spnego::wire::{Malformed, Reader};

/// The clear part of a ticket (RFC 4120 section 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// `HTTP/www.example.org@EXAMPLE.ORG`.
    pub(crate) service: String,
    /// The encryption type of the service's key.
    pub(crate) etype: u64,
    /// That key's version.
    pub(crate) kvno: Option<u64>,
}

impl Ticket {
    /// Read one in DER.
    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        Self::read(octets).ok().flatten()
    }

    fn read(octets: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut fields = sequence(Reader::new(TICKET, octets).element(APPLICATION_1)?)?;
        fields.element(context(0))?;
        let realm = text(fields.element(context(1))?)?;
        let name = text_list(fields.element(context(2))?)?;
        let mut encrypted = sequence(fields.element(context(3))?)?;
        let Some(etype) = integer(encrypted.element(context(0))?)? else {
            return Ok(None);
        };
        let kvno = match encrypted.tag() {
            Some(tag) if tag == context(1) => integer(encrypted.element(context(1))?)?,
            _ => None,
        };
        Ok(Some(Self {
            service: format!("{}@{realm}", name.join("/")),
            etype,
            kvno,
        }))
    }

    pub(crate) fn json(&self) -> Value {
        json!({"service": self.service, "etype": self.etype, "kvno": self.kvno})
    }
}

/// The ticket in a token of SPNEGO or of Kerberos: an AP-REQ has it in clear.
pub(crate) fn ticket_of(token: &[u8]) -> Option<Ticket> {
    let init = NegTokenInit::decode(token).ok();
    let token = match &init {
        Some(init) => init.mech_token?,
        None => token,
    };
    let framed = InitialToken::decode(token).ok()?;
    if !Oid::new(framed.mech)?.is_krb5() {
        return None;
    }
    let request = framed.inner.strip_prefix(&[1, 0])?;
    let mut fields = sequence(Reader::new(REQUEST, request).element(APPLICATION_14).ok()?).ok()?;
    for number in 0..3 {
        fields.element(context(number)).ok()?;
    }
    Ticket::decode(fields.element(context(3)).ok()?)
}

/// An encryption type by its name (RFC 3961, 8009 and the registry of IANA).
pub(crate) fn etype(number: u64) -> String {
    match number {
        1 => "des-cbc-crc".to_owned(),
        3 => "des-cbc-md5".to_owned(),
        16 => "des3-cbc-sha1".to_owned(),
        17 => "aes128-cts-hmac-sha1-96".to_owned(),
        18 => "aes256-cts-hmac-sha1-96".to_owned(),
        19 => "aes128-cts-hmac-sha256-128".to_owned(),
        20 => "aes256-cts-hmac-sha384-192".to_owned(),
        23 => "arcfour-hmac".to_owned(),
        25 => "camellia128-cts-cmac".to_owned(),
        26 => "camellia256-cts-cmac".to_owned(),
        other => format!("encryption type {other}"),
    }
}

pub(super) fn sequence(octets: &[u8]) -> Result<Reader<'_>, Malformed> {
    let content = Reader::new(TICKET, octets).element(SEQUENCE)?;
    Ok(Reader::new(TICKET, content))
}

/// A number that is not negative and fits; what else there may be is none.
pub(super) fn integer(octets: &[u8]) -> Result<Option<u64>, Malformed> {
    let content = Reader::new(TICKET, octets).element(INTEGER)?;
    if content.len() > 8 || content.first().is_some_and(|first| *first >= 0x80) {
        return Ok(None);
    }
    let number = content
        .iter()
        .fold(0, |number, octet| number << 8 | u64::from(*octet));
    Ok(Some(number))
}

/// A KerberosString.
pub(super) fn text(octets: &[u8]) -> Result<String, Malformed> {
    let content = Reader::new(TICKET, octets).element(GENERAL_STRING)?;
    Ok(String::from_utf8_lossy(content).into_owned())
}

/// The components of a PrincipalName.
fn text_list(octets: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut name = sequence(octets)?;
    name.element(context(0))?;
    let mut list = sequence(name.element(context(1))?)?;
    let mut components = Vec::new();
    while let Some(component) = list.any()? {
        components.push(String::from_utf8_lossy(component.content).into_owned());
    }
    Ok(components)
}

pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

const TICKET: &str = "ticket";
const REQUEST: &str = "AP-REQ";
const APPLICATION_1: u8 = 0x61;
const APPLICATION_14: u8 = 0x6e;
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const GENERAL_STRING: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_tells_whom_it_is_for_and_its_key() {
        let ticket = b"\x61\x35\x30\x33\xa0\x03\x02\x01\x05\xa1\x03\x1b\x01R\
            \xa2\x13\x30\x11\xa0\x03\x02\x01\x03\xa1\x0a\x30\x08\x1b\x04HTTP\x1b\x00\
            \xa3\x12\x30\x10\xa0\x03\x02\x01\x12\xa1\x03\x02\x01\x07\xa2\x04\x04\x02xx";
        let read = Ticket::decode(ticket).unwrap();
        assert_eq!(read.service, "HTTP/@R");
        assert_eq!((read.etype, read.kvno), (18, Some(7)));
        for length in 0..ticket.len() {
            assert_eq!(Ticket::decode(&ticket[..length]), None);
        }
    }
}

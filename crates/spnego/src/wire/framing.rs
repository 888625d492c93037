//! The header of a mechanism's first token (RFC 2743 section 3.1): `0x60`, a length, the
//! mechanism's identifier.
#![forbid(unsafe_code)]

use crate::oid::{self, Oid};
use crate::wire::{Malformed, Reader, Writer, element_length, tag};

const INITIAL_TOKEN: u8 = 0x60;

/// A first token taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialToken<'a> {
    /// The content octets of the mechanism's identifier.
    pub mech: &'a [u8],
    /// What follows the identifier, up to the end the header announces.
    pub inner: &'a [u8],
    /// What follows that end.
    pub trailing: &'a [u8],
}

impl<'a> InitialToken<'a> {
    /// Take the header off.
    ///
    /// # Errors
    /// No header, or one that announces more than there is.
    pub fn decode(token: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new("initial token", token);
        let framed = outer.element(INITIAL_TOKEN)?;
        let mut reader = Reader::new("initial token", framed);
        Ok(Self {
            mech: reader.element(tag::OID)?,
            inner: reader.rest(),
            trailing: outer.rest(),
        })
    }

    /// Whether `token` begins like one.
    pub fn begins(token: &[u8]) -> bool {
        token.first() == Some(&INITIAL_TOKEN)
    }
}

/// Whether `token` begins like a message of NTLMSSP, which has no header (MS-NLMP section 2.2.1).
pub fn is_ntlmssp(token: &[u8]) -> bool {
    token.starts_with(b"NTLMSSP\0")
}

/// Whether `token` may be the first token of `mech`: it names that mechanism, or none.
///
/// Kerberos goes by three identifiers that are not told apart: some initiators list one and send
/// another (MS-SPNG 3.1.5.2). In DCE style neither Kerberos (a bare AP-REQ) nor NTLM has a header.
pub fn may_belong(token: &[u8], mech: &Oid) -> bool {
    const AP_REQ: u8 = 0x6e;
    if token.first() == Some(&AP_REQ) {
        return mech.is_krb5();
    }
    if is_ntlmssp(token) {
        return *mech == oid::NTLMSSP;
    }
    match InitialToken::decode(token) {
        Ok(framed) => Oid::new(framed.mech).is_some_and(|named| named.same_mech(mech)),
        Err(_) => true,
    }
}

/// How many octets a first token takes whose inner part has `inner` octets.
pub(crate) fn framed_length(mech: &Oid, inner: usize) -> usize {
    element_length(element_length(mech.content().len()) + inner)
}

/// Write the header; `inner` octets have to follow.
pub(crate) fn write_header(writer: &mut Writer, mech: &Oid, inner: usize) {
    writer.head(INITIAL_TOKEN, element_length(mech.content().len()) + inner);
    writer.element(tag::OID, mech.content());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid::{KRB5, KRB5_MS, KRB5_OLD, NEGOEX, NTLMSSP};

    fn framed(mech: &Oid, inner: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(framed_length(mech, inner.len()));
        write_header(&mut writer, mech, inner.len());
        writer.0.extend_from_slice(inner);
        writer.finish()
    }

    #[test]
    fn a_header_is_put_on_and_taken_off() {
        for inner in [&b""[..], b"x", &[7; 300]] {
            let mut token = framed(&KRB5, inner);
            token.extend_from_slice(b"tail");
            let expected = InitialToken {
                mech: KRB5.content(),
                inner,
                trailing: b"tail",
            };
            assert_eq!(InitialToken::decode(&token), Ok(expected));
        }
    }

    #[test]
    fn a_token_of_one_mechanism_does_not_belong_to_another() {
        let kerberos = framed(&KRB5, b"ap-req");
        for family in [KRB5, KRB5_MS, KRB5_OLD] {
            assert!(may_belong(&kerberos, &family), "{family:?}");
            assert!(may_belong(b"\x6e\x03abc", &family), "{family:?}");
            assert!(!may_belong(b"NTLMSSP\0\x01", &family), "{family:?}");
        }
        assert!(may_belong(b"NTLMSSP\0\x01", &NTLMSSP));
        assert!(!may_belong(&kerberos, &NTLMSSP));
        assert!(!may_belong(b"\x6e\x03abc", &NTLMSSP));
    }

    #[test]
    fn a_token_of_unknown_shape_may_belong_to_any_mechanism() {
        for token in [&b""[..], b"\x60", b"\x60\x7f\x06", b"NEGOEXTS", b"NTLMSSP"] {
            assert!(may_belong(token, &NEGOEX), "{token:?}");
        }
    }
}

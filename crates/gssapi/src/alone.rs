//! An acceptor's first token that is of a mechanism alone: the glue hands it to that mechanism, past
//! SPNEGO and its policy, so the policy is asked here.
#![forbid(unsafe_code)]

use crate::session::Session;
use crate::sys::{GSS_C_CHANNEL_BOUND_FLAG, GSS_C_MUTUAL_FLAG};
use spnego::error::Error;
use spnego::oid::{self, Oid};
use spnego::policy::Alone;
use spnego::role::Role;
use spnego::wire::framing::is_ntlmssp;

/// What an acceptor's first token was.
pub(crate) enum FirstToken {
    /// It has not come.
    Awaited,
    /// One of a negotiation, or of nothing that a glue knows.
    Negotiates,
    /// One of a mechanism alone.
    Alone(Alone),
}

impl FirstToken {
    /// Look at the first token, and ask for its mechanism.
    ///
    /// # Errors
    /// `Forbidden`, with who says so.
    pub(crate) fn judge(&mut self, token: &[u8], session: &Session) -> Result<(), Error> {
        if !matches!(self, Self::Awaited) {
            return Ok(());
        }
        let Some(mech) = named(token).filter(|mech| *mech != oid::SPNEGO) else {
            *self = Self::Negotiates;
            return Ok(());
        };
        let alone = Alone::find(Role::Acceptor, mech, || session.service());
        alone.may_go_on(false)?;
        *self = Self::Alone(alone);
        Ok(())
    }

    /// Whether what a mechanism alone has established is what is required of it.
    ///
    /// # Errors
    /// `Forbidden`, with who says so.
    pub(crate) fn approve(&self, session: &Session) -> Result<(), Error> {
        let Self::Alone(alone) = self else {
            return Ok(());
        };
        let has = |flag| session.flags() & flag != 0;
        alone.approve(has(GSS_C_MUTUAL_FLAG), has(GSS_C_CHANNEL_BOUND_FLAG))
    }
}

/// The mechanism that a glue hands a first token to. Lengths are passed over as the glue passes over
/// them: what it makes nothing of is nobody's, but what it takes must not be missed here.
fn named(token: &[u8]) -> Option<Oid> {
    if is_ntlmssp(token) {
        return Some(oid::NTLMSSP);
    }
    match token.split_first()? {
        // In DCE style an AP-REQ has no header.
        (&AP_REQ, _) => Some(oid::KRB5),
        (&INITIAL_TOKEN, rest) => {
            let (_, rest) = length(rest)?;
            let (&OBJECT_IDENTIFIER, rest) = rest.split_first()? else {
                return None;
            };
            let (octets, rest) = length(rest)?;
            Oid::new(rest.get(..octets)?)
        }
        _ => None,
    }
}

/// A length of BER (X.690 section 8.1.3), and what is behind it.
fn length(from: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = from.split_first()?;
    if first & LONG == 0 {
        return Some((usize::from(first), rest));
    }
    let (octets, rest) = rest.split_at_checked(usize::from(first & !LONG))?;
    let length = octets.iter().fold(0_usize, |length, octet| {
        length
            .saturating_mul(0x100)
            .saturating_add(usize::from(*octet))
    });
    Some((length, rest))
}

const INITIAL_TOKEN: u8 = 0x60;
const OBJECT_IDENTIFIER: u8 = 6;
/// The first octet of an AP-REQ (RFC 4120 section 5.5.1).
const AP_REQ: u8 = 0x6e;
/// The bit of a length that counts the octets to follow.
const LONG: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_token_names_its_mechanism_whatever_its_lengths_are() {
        let krb5 = oid::KRB5.content();
        let framed = |head: &[u8]| [head, &[6, 9], krb5, &[1, 0]].concat();
        for head in [
            &[0x60, 13][..],
            &[0x60, 0x81, 13],
            &[0x60, 0x82, 0, 200],
            &[0x60, 0],
        ] {
            assert_eq!(named(&framed(head)), Some(oid::KRB5), "{head:x?}");
        }
        let long = [&[0x60, 14, 6, 0x81, 9], krb5].concat();
        assert_eq!(named(&long), Some(oid::KRB5));
        assert_eq!(named(b"NTLMSSP\0\x01"), Some(oid::NTLMSSP));
        assert_eq!(named(&[0x6e, 5]), Some(oid::KRB5));
        let spnego = [&[0x60, 8, 6, 6], oid::SPNEGO.content()].concat();
        assert_eq!(named(&spnego), Some(oid::SPNEGO));
        for nobody in [
            &b""[..],
            &[0xa1, 7, 0x30],
            &[0x60],
            &[0x60, 0x84, 1],
            &[0x60, 2, 6, 9],
        ] {
            assert_eq!(named(nobody), None, "{nobody:x?}");
        }
    }
}

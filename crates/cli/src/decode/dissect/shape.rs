//! What octets are by their beginning, without taking them apart: for who looks for tokens among
//! others, and for who puts fragments together.
#![forbid(unsafe_code)]

use super::der;
use super::field::Octets;
use super::{negoex, ntlm};

/// How many octets of a beginning [`may_begin`] looks at.
pub(crate) const BEGINNING: usize = 8;

/// Whether a token may begin so. Six octets are enough to tell.
pub(crate) fn may_begin(octets: &[u8]) -> bool {
    let signed = |signature: &[u8]| {
        let seen = signature.len().min(octets.len());
        seen >= 6 && signature.get(..seen) == octets.get(..seen)
    };
    let inside = |wanted: &[u8]| {
        let head = match octets.get(1) {
            Some(length) if *length < 0x80 => 2,
            Some(0x81) => 3,
            Some(0x82) => 4,
            Some(0x83) => 5,
            _ => return false,
        };
        octets.get(head).is_some_and(|tag| wanted.contains(tag))
    };
    match octets {
        [0x60, ..] => inside(&[der::tag::OID]),
        [0xa0, ..] => inside(&[der::tag::SEQUENCE]),
        // Old implementations leave the SEQUENCE out.
        [0xa1, ..] => inside(&[der::tag::SEQUENCE, 0xa0, 0xa1, 0xa2, 0xa3]),
        [0x6a..=0x6f | 0x7e, ..] => inside(&[der::tag::SEQUENCE]),
        [4 | 5, 4, _, 0xff, ..] => true,
        _ => signed(ntlm::SIGNATURE) || signed(negoex::SIGNATURE),
    }
}

/// Whether octets are a whole token, as far as can be seen without knowing where they come from.
pub(crate) fn is_whole(octets: &[u8]) -> bool {
    if !may_begin(octets) {
        return false;
    }
    match octets {
        [4 | 5, 4, ..] => (16..=LONGEST_PER_MESSAGE).contains(&octets.len()),
        _ if octets.starts_with(negoex::SIGNATURE) => octets.len() >= 40,
        _ if octets.starts_with(ntlm::SIGNATURE) => {
            ntlm_length(octets).is_some_and(|length| length <= octets.len())
        }
        _ => element(octets) == Some(octets.len()),
    }
}

/// How many octets a token of SPNEGO says that it has.
pub(crate) fn announced(octets: &[u8]) -> Option<usize> {
    let [0x60 | 0xa0 | 0xa1, ..] = octets else {
        return None;
    };
    element(octets)
}

/// How many octets a token says that it has, whatever it is of.
pub(crate) fn length(octets: &[u8]) -> Option<usize> {
    match octets {
        [0x60 | 0xa0 | 0xa1 | 0x6a..=0x6f | 0x7e, ..] => element(octets),
        _ if octets.starts_with(ntlm::SIGNATURE) => ntlm_length(octets),
        _ => None,
    }
}

fn element(octets: &[u8]) -> Option<usize> {
    der::announced(Octets::whole(octets))
}

/// How far the header and the fields of a message of NTLM reach. `None`: it is none.
fn ntlm_length(octets: &[u8]) -> Option<usize> {
    let token = Octets::whole(octets);
    let number = |at, length| token.part(at, length).map(Octets::little_endian);
    let (header, fields): (u64, &[usize]) = match number(8, 4)? {
        1 => (16, &[16, 24]),
        2 => (32, &[12, 40]),
        3 => (64, &[12, 20, 28, 36, 44, 52]),
        _ => return None,
    };
    let mut reach = header;
    for at in fields {
        if let (Some(length @ 1..), Some(offset)) = (number(*at, 2), number(*at + 4, 4)) {
            reach = reach.max(offset.saturating_add(length));
        }
    }
    usize::try_from(reach).ok()
}

/// A per-message token by itself is a MIC or a few words under a seal.
const LONGEST_PER_MESSAGE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_tells_tokens_from_words() {
        for octets in [
            &[0x60, 0x48, 6, 6, 0x2b, 6][..],
            &[0x60, 0x82, 1, 2, 6, 6],
            &[0xa1, 7, 0x30, 5, 0xa0, 3],
            &[0x6e, 0x82, 1, 2, 0x30, 0x82],
            &[5, 4, 1, 0xff, 0, 0],
            b"NTLMSS",
            b"NEGOEXTS",
        ] {
            assert!(may_begin(octets), "{octets:x?}");
        }
        for octets in [
            &b"GET / "[..],
            &[0x60, 0x48, 7, 6, 0x2b, 6],
            &[0x60, 0x84, 0, 0, 0, 6],
            &[0xa1, 7, 0x31, 5, 0xa0, 3],
            b"NTLM",
            b"",
        ] {
            assert!(!may_begin(octets), "{octets:x?}");
        }
    }

    #[test]
    fn a_message_of_ntlm_reaches_as_far_as_its_fields() {
        let mut message = b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2".to_vec();
        assert!(is_whole(&message));
        message.extend([3, 0, 3, 0, 32, 0, 0, 0]);
        message.extend([0; 8]);
        assert_eq!(length(&message), Some(35));
        assert!(!is_whole(&message));
        message.extend(b"DOM");
        assert!(is_whole(&message));
    }
}

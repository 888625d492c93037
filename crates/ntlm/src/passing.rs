//! The messages of another implementation's context, read before it reads them: gss-ntlmssp is C,
//! and what its versions believe of a peer's offsets and lengths has been its downfall
//! (CVE-2023-25563, CVE-2023-25564, CVE-2023-25567). Looks at the form alone: what a message means
//! is for the other to say.
#![forbid(unsafe_code)]

use super::defective;
use super::message::{Authenticate, CLIENT_CHALLENGE, Challenge, Negotiate, flag};
use super::target_info::{AV_FLAG_MIC, TargetInfo};
use spnego::advice::{Trouble, advised};
use spnego::error::MechError;

/// What has passed in one context of another implementation.
#[derive(Debug, Default)]
pub struct Passing {
    /// This side's CHALLENGE_MESSAGE has asked for a session key.
    wants_session_key: bool,
}

impl Passing {
    /// Read what comes from the peer.
    ///
    /// # Errors
    /// It is not fit to be handed on, and why.
    pub fn incoming(&self, message: &[u8]) -> Result<(), MechError> {
        let sound = match message.get(8) {
            Some(1) => Negotiate::decode(message).map(drop),
            Some(2) => Self::challenge(message)
                .map_err(|words| advised(words, Some(&Trouble::NtlmMalformed))),
            Some(3) => self.authenticate(message),
            _ => Err("not a message of NTLM".to_owned()),
        };
        sound.map_err(defective)
    }

    /// Take note of what goes to the peer.
    pub fn outgoing(&mut self, message: &[u8]) {
        if let Ok(challenge) = Challenge::decode(message) {
            self.wants_session_key = challenge.flags & flag::KEY_EXCHANGE != 0;
        }
    }

    fn challenge(message: &[u8]) -> Result<(), String> {
        let challenge = Challenge::decode(message)?;
        if challenge.target_info.is_empty() {
            return Ok(());
        }
        TargetInfo::in_any_number(challenge.target_info).map(drop)
    }

    fn authenticate(&self, message: &[u8]) -> Result<(), String> {
        let fields = Authenticate::in_any_text(message)?;
        // gss-ntlmssp 1.2.0 reads it wherever it is to be, also when it is nowhere.
        if self.wants_session_key && fields.encrypted_session_key.len() != SESSION_KEY {
            return Err("AUTHENTICATE: the session key has not 16 octets".to_owned());
        }
        target_info(&fields).map(drop)
    }
}

/// Whether an AUTHENTICATE_MESSAGE says that it has a MIC.
pub(super) fn announces_mic(authenticate: &[u8]) -> bool {
    let info = Authenticate::in_any_text(authenticate)
        .ok()
        .and_then(|fields| target_info(&fields).ok()?.map(|info| info.flags));
    info.is_some_and(|flags| flags & AV_FLAG_MIC != 0)
}

/// The pairs in a response of NTLMv2; one of NTLMv1 has none.
pub(super) fn target_info<'a>(fields: &Authenticate<'a>) -> Result<Option<TargetInfo<'a>>, String> {
    match fields
        .nt_response
        .get(PROOF.saturating_add(CLIENT_CHALLENGE)..)
    {
        None | Some([]) => Ok(None),
        Some(pairs) => TargetInfo::in_any_number(pairs).map(Some),
    }
}

const PROOF: usize = 16;
const SESSION_KEY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of this kind with room for its fields.
    fn message(kind: u8) -> Vec<u8> {
        let mut message = b"NTLMSSP\0".to_vec();
        message.push(kind);
        message.resize(128, 0);
        message
    }

    fn field(message: &mut [u8], at: usize, length: u16, offset: u32) {
        message[at..at + 2].copy_from_slice(&length.to_le_bytes());
        message[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
    }

    fn refusal(passing: &Passing, message: &[u8]) -> String {
        passing.incoming(message).unwrap_err().reason
    }

    #[test]
    fn sound_messages_of_any_dialect_pass() {
        let passing = Passing::default();
        for kind in 1..4 {
            passing.incoming(&message(kind)).unwrap();
        }
        // NTLMv1, and a name of five octets in no Unicode.
        let mut authenticate = message(3);
        field(&mut authenticate, 20, 24, 80);
        field(&mut authenticate, 36, 5, 64);
        passing.incoming(&authenticate).unwrap();
    }

    #[test]
    fn cve_2023_25563_sums_that_overflow_do_not_pass() {
        let passing = Passing::default();
        for (kind, fields) in [
            (2, [12, 40].as_slice()),
            (3, [12, 20, 28, 36, 44, 52].as_slice()),
        ] {
            for &at in fields {
                for (length, offset) in [(2, u32::MAX), (0xffff, 0), (16, 0xffff_fff0)] {
                    let mut message = message(kind);
                    field(&mut message, at, length, offset);
                    assert!(refusal(&passing, &message).contains(" lies beyond the end"));
                }
            }
        }
    }

    #[test]
    fn cve_2023_25564_half_a_character_does_not_pass() {
        let mut authenticate = message(3);
        authenticate[60] = 1;
        field(&mut authenticate, 28, 5, 64);
        let refusal = refusal(&Passing::default(), &authenticate);
        assert_eq!(refusal, "AUTHENTICATE: the domain is not UTF-16");
    }

    #[test]
    fn cve_2023_25567_pairs_that_run_beyond_the_end_do_not_pass() {
        let pair = [2, 0, 0xff, 0, b'D', 0];
        let mut challenge = message(2);
        field(&mut challenge, 40, 6, 100);
        challenge[100..106].copy_from_slice(&pair);
        let mut authenticate = message(3);
        field(&mut authenticate, 20, 50, 70);
        authenticate[114..120].copy_from_slice(&pair);
        for message in [challenge, authenticate] {
            let refusal = refusal(&Passing::default(), &message);
            let cut = "target information: MsvAvNbDomainName runs beyond the end: \
                       it is to have 255 octets, of which 2 are there";
            assert!(refusal.starts_with(cut), "{refusal}");
        }
    }

    #[test]
    fn a_session_key_that_was_asked_for_has_to_be_there() {
        let mut passing = Passing::default();
        let mut challenge = message(2);
        challenge[20..24].copy_from_slice(&flag::KEY_EXCHANGE.to_le_bytes());
        passing.outgoing(&challenge);
        for length in [0, 15, 17] {
            let mut authenticate = message(3);
            field(&mut authenticate, 52, length, 100);
            let refusal = refusal(&passing, &authenticate);
            assert_eq!(refusal, "AUTHENTICATE: the session key has not 16 octets");
        }
        let mut authenticate = message(3);
        field(&mut authenticate, 52, 16, 100);
        passing.incoming(&authenticate).unwrap();
    }

    #[test]
    fn what_is_no_message_does_not_pass() {
        for octets in [
            b"".as_slice(),
            b"NTLMSSP\0",
            b"NTLMSSP\0\x04\0\0\0",
            b"NTLMSSX\0\x01\0\0\0",
        ] {
            assert!(Passing::default().incoming(octets).is_err());
        }
    }
}

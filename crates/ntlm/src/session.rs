//! An established context's messages: keys, signing and sealing of MS-NLMP section 3.4, in the form
//! that gss-ntlmssp and Windows exchange: a signature of 16 octets, before the text when wrapped.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use hmac::Mac;
use subtle::ConstantTimeEq;

use super::message::flag;
use super::rc4::Rc4;
use super::response::{HmacMd5, Key, derived, hmac, keyed};
use spnego::error::{Major, major};
use spnego::role::Role;
use spnego::secret::Secret;

/// A piece of a message that is protected in place.
#[derive(Debug)]
pub enum Part<'a> {
    /// Signed, and encrypted where it stands.
    Data(&'a mut [u8]),
    /// Signed only.
    SignOnly(&'a [u8]),
}

impl Part<'_> {
    fn octets(&self) -> &[u8] {
        match self {
            Self::Data(octets) => octets,
            Self::SignOnly(octets) => octets,
        }
    }
}

/// Why a message is not protected, or not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// Neither signing nor sealing was negotiated.
    Unprotected,
    /// Not a signature of NTLM.
    Defective,
    /// The signature does not verify.
    BadSignature,
    /// The message was seen before.
    Duplicate,
    /// A message before this one is missing. RC4 cannot skip, so this one cannot be read either.
    Gap,
    /// The context is not established, or has failed.
    NoContext,
}

impl MessageError {
    /// The major status, with supplementary bits.
    pub fn major(self) -> Major {
        match self {
            Self::Unprotected => major::UNAVAILABLE,
            Self::Defective => major::DEFECTIVE_TOKEN,
            Self::BadSignature => BAD_MIC,
            Self::Duplicate => BAD_MIC | DUPLICATE_TOKEN,
            Self::Gap => BAD_MIC | GAP_TOKEN,
            Self::NoContext => major::NO_CONTEXT,
        }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unprotected => "neither signing nor sealing was negotiated",
            Self::Defective => "not a signature of NTLM",
            Self::BadSignature => "the signature does not verify",
            Self::Duplicate => "the message was seen before",
            Self::Gap => "a message before this one is missing",
            Self::NoContext => "the context is not established",
        })
    }
}

/// The keys and key streams of an established context. Messages may be protected and verified by
/// several threads at once; each direction is a sequence.
pub(super) struct Session {
    pub(super) flags: u32,
    pub(super) role: Role,
    /// ExportedSessionKey.
    pub(super) key: Key,
    /// The peer has wrapped a message without encrypting it, see [`Session::unwrap_parts`].
    peer_only_signs: AtomicBool,
    send: Mutex<Direction>,
    receive: Mutex<Direction>,
}

impl Session {
    /// Octets of a signature: what wrapping adds to a message.
    pub(super) const SIGNATURE: usize = 16;

    pub(super) fn new(flags: u32, role: Role, key: Key) -> Self {
        let [to_server, to_client] = [&CLIENT_TO_SERVER, &SERVER_TO_CLIENT]
            .map(|constants| Direction::new(&key, constants, flags));
        let (send, receive) = match role {
            Role::Initiator => (to_server, to_client),
            Role::Acceptor => (to_client, to_server),
        };
        Self {
            flags,
            role,
            key,
            peer_only_signs: AtomicBool::new(false),
            send: Mutex::new(send),
            receive: Mutex::new(receive),
        }
    }

    pub(super) fn confidential(&self) -> bool {
        self.flags & flag::SEAL != 0
    }

    pub(super) fn protected(&self) -> bool {
        self.flags & (flag::SIGN | flag::SEAL) != 0
    }

    /// GSS_GetMIC.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 16], MessageError> {
        let mut send = self.direction(&self.send)?;
        Ok(send.sign([message]))
    }

    /// GSS_VerifyMIC.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), MessageError> {
        let mut receive = self.direction(&self.receive)?;
        let signature = receive.awaited(signature)?;
        receive.verify([message], signature)
    }

    /// GSS_GetMIC for the mechListMIC: the key stream is then put back to where it was, and the
    /// sequence number is not (MS-SPNG sections 3.2.5.1 and 3.3.5.1).
    pub(super) fn sign_mech_list(&self, list: &[u8]) -> Result<[u8; 16], MessageError> {
        let mut send = self.direction(&self.send)?;
        let signature = send.sign([list]);
        send.rewind_signature();
        Ok(signature)
    }

    /// GSS_VerifyMIC for the mechListMIC, with the same restoration.
    pub(super) fn verify_mech_list(
        &self,
        list: &[u8],
        signature: &[u8],
    ) -> Result<(), MessageError> {
        let mut receive = self.direction(&self.receive)?;
        let signature = receive.awaited(signature)?;
        receive.verify([list], signature)?;
        receive.rewind_signature();
        Ok(())
    }

    /// GSS_Wrap in place: encrypt the data and give the signature that precedes it.
    ///
    /// A context with signing alone, which only a peer asks for, encrypts as well, as gss-ntlmssp
    /// and pyspnego do, until the peer is seen to do as Windows and Samba, who only sign on it.
    pub(super) fn wrap_parts(&self, parts: &mut [Part<'_>]) -> Result<[u8; 16], MessageError> {
        let mut send = self.direction(&self.send)?;
        let hmac = send.hmac(parts.iter().map(Part::octets));
        if self.confidential() || !self.peer_only_signs.load(Ordering::Relaxed) {
            apply(&mut send.cipher, parts);
        }
        Ok(send.finish(hmac))
    }

    /// GSS_Unwrap in place. When it fails, the data is as it was.
    pub(super) fn unwrap_parts(
        &self,
        signature: &[u8],
        parts: &mut [Part<'_>],
    ) -> Result<(), MessageError> {
        let mut receive = self.direction(&self.receive)?;
        let signature = receive.awaited(signature)?;
        apply(&mut receive.cipher, parts);
        let sealed = receive.verify(parts.iter().map(Part::octets), signature);
        if sealed.is_ok() {
            return Ok(());
        }
        unapply(&mut receive.cipher, parts);
        if self.confidential() {
            return sealed;
        }
        receive.verify(parts.iter().map(Part::octets), signature)?;
        self.peer_only_signs.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What distinguishes this context from one just established: for both directions, sending
    /// first, the sequence number and the cipher.
    pub(super) fn progress(&self) -> Option<[(u32, Secret<Vec<u8>>); 2]> {
        let [send, receive] = [&self.send, &self.receive].map(|direction| {
            let direction = direction.lock().ok()?;
            let cipher = Secret::new(direction.cipher.to_octets().collect());
            Some((direction.sequence, cipher))
        });
        Some([send?, receive?])
    }

    /// Put the context to where it was when [`Self::progress`] was asked.
    pub(super) fn resume(&mut self, progress: [(u32, &[u8; Rc4::OCTETS]); 2]) -> Option<()> {
        for (direction, (sequence, cipher)) in [&mut self.send, &mut self.receive]
            .into_iter()
            .zip(progress)
        {
            let direction = direction.get_mut().ok()?;
            direction.sequence = sequence;
            direction.cipher = Rc4::from_octets(cipher)?;
        }
        Some(())
    }

    pub(super) fn peer_only_signs(&self) -> &AtomicBool {
        &self.peer_only_signs
    }

    fn direction<'a>(
        &self,
        direction: &'a Mutex<Direction>,
    ) -> Result<MutexGuard<'a, Direction>, MessageError> {
        if !self.protected() {
            return Err(MessageError::Unprotected);
        }
        // Poisoned by a panic: nobody knows where its key stream is.
        direction.lock().map_err(|_| MessageError::NoContext)
    }
}

/// One direction of a context: a sequence of messages over one key stream.
struct Direction {
    signing: HmacMd5,
    cipher: Rc4,
    sequence: u32,
    /// Signatures are encrypted: a session key was exchanged.
    encrypted: bool,
}

impl Direction {
    fn new(key: &Key, constants: &Constants, flags: u32) -> Self {
        Self {
            signing: keyed(derived(key.expose(), constants.signing).expose()),
            cipher: Rc4::new(derived(key.expose(), constants.sealing).expose()),
            sequence: 0,
            encrypted: flags & flag::KEY_EXCHANGE != 0,
        }
    }

    fn sign<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
        let hmac = self.hmac(parts);
        self.finish(hmac)
    }

    /// The part of a signature that depends on the message.
    fn hmac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 8] {
        let sequence = self.sequence.to_le_bytes();
        let whole = hmac(self.signing.clone().chain_update(sequence), parts);
        let [first @ .., _, _, _, _, _, _, _, _] = whole;
        first
    }

    /// NTLMSSP_MESSAGE_SIGNATURE, MS-NLMP section 2.2.2.9.2; the next message is awaited then.
    fn finish(&mut self, mut hmac: [u8; 8]) -> [u8; 16] {
        if self.encrypted {
            self.cipher.apply(&mut hmac);
        }
        let [a, b, c, d, e, f, g, h] = hmac;
        let [s, t, u, v] = self.sequence.to_le_bytes();
        self.sequence = self.sequence.wrapping_add(1);
        [1, 0, 0, 0, a, b, c, d, e, f, g, h, s, t, u, v]
    }

    /// Whether this is the signature of the message that is due.
    fn awaited<'a>(&self, signature: &'a [u8]) -> Result<&'a [u8; 16], MessageError> {
        let signature: &[u8; 16] = signature.try_into().map_err(|_| MessageError::Defective)?;
        let [1, 0, 0, 0, _, _, _, _, _, _, _, _, s, t, u, v] = signature else {
            return Err(MessageError::Defective);
        };
        let ahead = u32::from_le_bytes([*s, *t, *u, *v]).wrapping_sub(self.sequence);
        match ahead {
            0 => Ok(signature),
            1..=0x7fff_ffff => Err(MessageError::Gap),
            _ => Err(MessageError::Duplicate),
        }
    }

    /// Compare, and when they differ put the direction back to where it was before the signature:
    /// one forged message does not spoil the next honest one.
    fn verify<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        signature: &[u8; 16],
    ) -> Result<(), MessageError> {
        let expected = self.sign(parts);
        if expected.ct_eq(signature).into() {
            return Ok(());
        }
        self.rewind_signature();
        self.sequence = self.sequence.wrapping_sub(1);
        Err(MessageError::BadSignature)
    }

    /// Put the key stream back to where it was before a signature.
    fn rewind_signature(&mut self) {
        if self.encrypted {
            self.cipher.rewind(8);
        }
    }
}

/// Encrypt or decrypt the data.
fn apply(cipher: &mut Rc4, parts: &mut [Part<'_>]) {
    for part in parts {
        if let Part::Data(data) = part {
            cipher.apply(data);
        }
    }
}

/// Put the data and the key stream back to where they were.
fn unapply(cipher: &mut Rc4, parts: &mut [Part<'_>]) {
    for part in parts.iter_mut().rev() {
        if let Part::Data(data) = part {
            cipher.rewind(data.len());
            cipher.apply(data);
            cipher.rewind(data.len());
        }
    }
}

/// The magic constants of one direction, MS-NLMP sections 3.4.5.2 and 3.4.5.3.
struct Constants {
    signing: &'static [u8],
    sealing: &'static [u8],
}

const CLIENT_TO_SERVER: Constants = Constants {
    signing: b"session key to client-to-server signing key magic constant\0",
    sealing: b"session key to client-to-server sealing key magic constant\0",
};
const SERVER_TO_CLIENT: Constants = Constants {
    signing: b"session key to server-to-client signing key magic constant\0",
    sealing: b"session key to server-to-client sealing key magic constant\0",
};

// RFC 2744 section 3.9.1.
const BAD_MIC: Major = 6 << 16;
const DUPLICATE_TOKEN: Major = 1 << 1;
const GAP_TOKEN: Major = 1 << 4;

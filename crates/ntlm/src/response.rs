//! NTLMv2 and what is derived from it: MS-NLMP sections 3.3.2 and 3.4.5. Pure; both roles compute
//! the same, one to send it and one to compare.
//!
//! The `ntlmclient` crate (0.2.0) is not used. Of it only `respond_challenge_ntlm_v2` would be
//! sound to call, and that draws the client's challenge itself and takes nothing but a password: no
//! NT hash, nothing for an acceptor to compare, no vector to test by. It upper-cases a name as
//! Unicode where Windows does not (`ß`), wipes no key, and brings chrono, rand, DES and a second
//! digest of each kind. Its decoders panic on flags that it does not know.
#![forbid(unsafe_code)]

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};

use super::message::utf16;
use super::rc4::Rc4;
use spnego::secret::Secret;

/// A key of NTLM.
pub(super) type Key = Secret<[u8; 16]>;

/// HMAC-MD5, keyed; cloning it spares hashing the key again.
pub(super) type HmacMd5 = Hmac<Md5>;

/// HMAC-MD5 with a key of 16 octets.
pub(super) fn keyed(key: &[u8; 16]) -> HmacMd5 {
    // A block, so that no length of it can be wrong.
    let mut block = Secret::new([0; 64]);
    if let Some(place) = block.expose_mut().first_chunk_mut() {
        *place = *key;
    }
    HmacMd5::new(block.expose().into())
}

/// HMAC-MD5 over the parts, one after the other.
pub(super) fn hmac<'a>(key: HmacMd5, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hmac = key;
    for part in parts {
        work::hash(part);
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

/// The same where the result is a key.
fn hmac_key<'a>(key: HmacMd5, parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
    let mut hmac = key;
    for part in parts {
        work::hash(part);
        hmac.update(part);
    }
    filled(|place| FixedOutput::finalize_into(hmac, place.into()))
}

/// A key that is written where it stays.
fn filled(fill: impl FnOnce(&mut [u8; 16])) -> Key {
    let mut key = Secret::new([0; 16]);
    fill(key.expose_mut());
    key
}

/// A key of these octets.
pub(super) fn copied(octets: &[u8; 16]) -> Key {
    filled(|place| place.copy_from_slice(octets))
}

/// MD5 over a key and a constant.
pub(super) fn derived(key: &[u8; 16], constant: &[u8]) -> Key {
    let digest = Md5::new().chain_update(key).chain_update(constant);
    filled(|place| Digest::finalize_into(digest, place.into()))
}

/// NTOWFv1: what a server keeps in place of a password.
pub(super) fn nt_hash(password: &str) -> Key {
    let password = Secret::new(utf16(password));
    work::hash(password.expose());
    let digest = Md4::new().chain_update(password.expose());
    filled(|place| Digest::finalize_into(digest, place.into()))
}

/// NTOWFv2: the hash of a password as used by one user of one domain. `domain` is UTF-16 as it
/// is in the message.
pub(super) fn ntowf_v2(nt_hash: &Key, user: &str, domain: &[u8]) -> HmacMd5 {
    let user = utf16_upper(user);
    let key = hmac_key(keyed(nt_hash.expose()), [user.as_slice(), domain]);
    keyed(key.expose())
}

/// The proof that the password is known. `client_challenge` is all of the response after it.
pub(super) fn nt_proof(
    ntowf_v2: &HmacMd5,
    server_challenge: &[u8; 8],
    client_challenge: &[u8],
) -> [u8; 16] {
    let parts = [server_challenge.as_slice(), client_challenge];
    hmac(ntowf_v2.clone(), parts)
}

/// SessionBaseKey, with NTLMv2 also the KeyExchangeKey.
pub(super) fn session_base_key(ntowf_v2: HmacMd5, nt_proof: &[u8; 16]) -> Key {
    hmac_key(ntowf_v2, [nt_proof.as_slice()])
}

/// Encrypt or decrypt the session key with the KeyExchangeKey.
pub(super) fn exchanged(key_exchange_key: &Key, session_key: &[u8; 16]) -> Key {
    let mut key = copied(session_key);
    Rc4::new(key_exchange_key.expose()).apply(key.expose_mut());
    key
}

/// Upper case as Windows has it: one character for one character, or itself.
fn utf16_upper(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_mul(2));
    let mut units = [0; 2];
    for character in text.chars().map(upper) {
        for unit in character.encode_utf16(&mut units) {
            out.extend_from_slice(&unit.to_le_bytes());
        }
    }
    out
}

/// One character in upper case, when that is one character.
pub(super) fn upper(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => character,
    }
}

/// What is done for a peer, counted where tests compare it; nothing elsewhere.
#[cfg(not(test))]
pub(super) mod work {
    #[inline(always)]
    pub(in super::super) fn hash(_: &[u8]) {}

    #[inline(always)]
    pub(in super::super) fn entry() {}
}

/// What is done for a peer, counted.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(in super::super) struct Work {
        /// Blocks of 64 octets that were hashed, those begun counted whole, one at least for each
        /// text.
        pub(in super::super) hash_blocks: usize,
        /// Entries of users that were looked at.
        pub(in super::super) entries: usize,
    }

    thread_local! {
        static DONE: Cell<Work> = const { Cell::new(Work { hash_blocks: 0, entries: 0 }) };
    }

    fn add(hash_blocks: usize, entries: usize) {
        let mut work = DONE.get();
        work.hash_blocks += hash_blocks;
        work.entries += entries;
        DONE.set(work);
    }

    pub(in super::super) fn hash(text: &[u8]) {
        add(text.len() / 64 + 1, 0);
    }

    pub(in super::super) fn entry() {
        add(0, 1);
    }

    /// What something does on this thread.
    pub(in super::super) fn of<T>(something: impl FnOnce() -> T) -> (T, Work) {
        DONE.set(Work::default());
        let outcome = something();
        (outcome, DONE.get())
    }
}

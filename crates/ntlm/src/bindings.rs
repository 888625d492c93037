//! The channel that an exchange is bound to.
#![forbid(unsafe_code)]

use md5::{Digest, Md5};

/// gss_channel_bindings_struct of RFC 2744 section 3.11.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "RFC 2744 section 3.11 defines each")]
pub struct ChannelBindings<'a> {
    pub initiator_address_type: u32,
    pub initiator_address: &'a [u8],
    pub acceptor_address_type: u32,
    pub acceptor_address: &'a [u8],
    pub application_data: &'a [u8],
}

impl ChannelBindings<'_> {
    /// MD5 over the structure, its numbers little-endian: MS-NLMP section 3.1.5.1.2.
    pub(super) fn hash(&self) -> [u8; 16] {
        // A length that does not fit cannot come from C's structure either.
        let length = |field: &[u8]| u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut md5 = Md5::new();
        for (kind, address) in [
            (self.initiator_address_type, self.initiator_address),
            (self.acceptor_address_type, self.acceptor_address),
        ] {
            md5.update(kind.to_le_bytes());
            md5.update(length(address));
            md5.update(address);
        }
        md5.update(length(self.application_data));
        md5.update(self.application_data);
        md5.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MIT krb5 hashes the same structure, in the checksum of RFC 4121 section 4.1.1.2.
    #[test]
    fn bindings_are_hashed_with_all_their_fields() {
        let bindings = ChannelBindings {
            initiator_address_type: 2,
            initiator_address: b"abc",
            acceptor_address_type: 3,
            acceptor_address: b"de",
            application_data: b"f",
        };
        let octets = b"\x02\0\0\0\x03\0\0\0abc\x03\0\0\0\x02\0\0\0de\x01\0\0\0f";
        assert_eq!(bindings.hash(), <[u8; 16]>::from(Md5::digest(octets)));
    }
}

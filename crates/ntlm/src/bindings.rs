//! The channel that an exchange is bound to.
#![forbid(unsafe_code)]

use md5::{Digest, Md5};
use spnego::channel::ChannelBindings;

/// MD5 over the structure, its numbers little-endian: MS-NLMP section 3.1.5.1.2.
pub(crate) fn hash(bindings: &ChannelBindings<'_>) -> [u8; 16] {
    // A length that does not fit cannot come from C's structure either.
    let length = |field: &[u8]| u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut md5 = Md5::new();
    for (kind, address) in [
        (bindings.initiator_address_type, bindings.initiator_address),
        (bindings.acceptor_address_type, bindings.acceptor_address),
    ] {
        md5.update(kind.to_le_bytes());
        md5.update(length(address));
        md5.update(address);
    }
    md5.update(length(bindings.application_data));
    md5.update(bindings.application_data);
    md5.finalize().into()
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
        assert_eq!(hash(&bindings), <[u8; 16]>::from(Md5::digest(octets)));
    }
}

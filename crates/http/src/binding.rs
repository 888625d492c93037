//! The channel binding of HTTP over TLS: tls-server-end-point (RFC 5929 section 4), made of the
//! server's certificate. Both sides give it to their security contexts as application data.
#![forbid(unsafe_code)]

use sha2::{Digest, Sha256, Sha384, Sha512};

use spnego::oid::Oid;
use spnego::wire::{Malformed, Reader, tag};

/// The application data of the channel bindings: the type's name, a colon, and the hash of the
/// certificate (its DER octets, all of them) under the hash function of the signature on it;
/// SHA-256 where that is MD5 or SHA-1.
///
/// # Errors
/// When this is no certificate, or its signature has no single hash function we know (Ed25519): the
/// binding is not defined then.
pub fn tls_server_end_point(certificate: &[u8]) -> Result<Vec<u8>, String> {
    let hash = signature_hash(certificate)?;
    let mut data = b"tls-server-end-point:".to_vec();
    match hash {
        Hash::Sha256 => data.extend(Sha256::digest(certificate)),
        Hash::Sha384 => data.extend(Sha384::digest(certificate)),
        Hash::Sha512 => data.extend(Sha512::digest(certificate)),
    }
    Ok(data)
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

fn signature_hash(certificate: &[u8]) -> Result<Hash, String> {
    let (algorithm, parameters) =
        signature_algorithm(certificate).map_err(|_| "not an X.509 certificate in DER")?;
    // RSASSA-PSS has its hash function in its parameters.
    let (table, identifier) = match algorithm == RSASSA_PSS {
        true => (
            HASHES,
            pss_hash(parameters).map_err(|_| "malformed RSASSA-PSS")?,
        ),
        false => (SIGNATURES, algorithm),
    };
    table
        .iter()
        .find(|(known, _)| *known == identifier)
        .map(|(_, hash)| *hash)
        .ok_or_else(|| {
            let name = Oid::new(identifier).map_or_else(String::new, |oid| oid.to_string());
            format!("tls-server-end-point is not defined for signatures by {name}")
        })
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`
/// (RFC 5280 section 4.1).
fn signature_algorithm(certificate: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let fields = Reader::whole(CERTIFICATE, certificate, |reader| {
        reader.element(tag::SEQUENCE)
    })?;
    let mut fields = Reader::new(CERTIFICATE, fields);
    fields.element(tag::SEQUENCE)?;
    let mut algorithm = Reader::new(CERTIFICATE, fields.element(tag::SEQUENCE)?);
    Ok((algorithm.element(tag::OID)?, algorithm.rest()))
}

/// `RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, ... }` (RFC 4055 section 3.1).
fn pss_hash(parameters: &[u8]) -> Result<&[u8], Malformed> {
    let inside = |octets, tag| Reader::new(CERTIFICATE, octets).element(tag);
    let fields = inside(parameters, tag::SEQUENCE)?;
    if Reader::new(CERTIFICATE, fields).tag() != Some(tag::context(0)) {
        return Ok(SHA1);
    }
    let hash = inside(fields, tag::context(0))?;
    inside(inside(hash, tag::SEQUENCE)?, tag::OID)
}

const CERTIFICATE: &str = "certificate";

const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 26];

/// The signature algorithms of RSA (RFC 8017) and ECDSA (RFC 5758).
const SIGNATURES: &[(&[u8], Hash)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], Hash::Sha256), // md5WithRSAEncryption
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], Hash::Sha256), // sha1WithRSAEncryption
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
        Hash::Sha256,
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
        Hash::Sha384,
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
        Hash::Sha512,
    ),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], Hash::Sha256), // ecdsa-with-SHA1
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], Hash::Sha384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], Hash::Sha512),
];

/// The hash functions by themselves, as RSASSA-PSS names them.
const HASHES: &[(&[u8], Hash)] = &[
    (SHA1, Hash::Sha256),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], Hash::Sha256),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2], Hash::Sha384),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3], Hash::Sha512),
];

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384 -subj /CN=a`
    const P384: &str = "MIIBqzCCATCgAwIBAgIUWpX8Axsz1P/Kkn/FOwVAhCQO+a8wCgYIKoZIzj0EAwMw\
        DDEKMAgGA1UEAwwBYTAeFw0yNjExMjUwNDI0MTJaFw0zNjExMjIwNDI0MTJaMAwxCjAIBgNVBAMMAWEwdjAQBgcq\
        hkjOPQIBBgUrgQQAIgNiAASMsCAIZGATC27GvJDAyp40ds/kHoL+XiuJdItslLUNaL6UG6eQgz+lmi5MXuUQZjHK\
        hcUMfVBf5oNa5omm\
        kKB/zH5sCgZNcIvkAzQhspbblwLAfHorDaxAgXBCgFXZ0qCjUzBRMB0GA1UdDgQWBBSMj2xqU9q5Xm/JKPaPZWBf\
        0KTPHzAfBgNVHSMEGDAWgBSMj2xqU9q5Xm/JKPaPZWBf0KTPHzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMD\
        A2kAMGYCMQCvAF8/PrMsabRs8QfCa6bSC9+3/1fVFYa98kQJGARmqYV364yE4QCPN3O0T0gFTd4CMQDbSyvXvFqx\
        Qv9tzvTcC3TMOegTFOf5eWLCI3sZ0Kw6ltOp3/v1UzY+4+wVE7OpwSQ=";

    /// `openssl x509 -noout -fingerprint -sha384` of it.
    const P384_FINGERPRINT: &str = "16:E6:05:DD:43:38:75:63:50:FA:50:8D:A3:38:3B:2B:8A:DC:55:65:\
        BF:D0:B0:D8:64:F3:3E:84:DC:DD:8D:68:B8:FA:5E:41:89:5C:93:EE:C1:19:D0:BE:F4:F0:4A:1F";

    #[test]
    fn the_hash_is_that_of_the_certificates_signature() {
        let certificate = BASE64_STANDARD.decode(P384).unwrap();
        let fingerprint: Vec<u8> = P384_FINGERPRINT
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).unwrap())
            .collect();
        let data = tls_server_end_point(&certificate).unwrap();
        assert_eq!(data, [b"tls-server-end-point:", &fingerprint[..]].concat());
    }

    #[test]
    fn md5_and_sha1_are_replaced_by_sha256_and_pss_is_looked_into() {
        let pss = |parameters: &[u8]| [&[6, 9], RSASSA_PSS, parameters].concat();
        for (algorithm, length) in [
            ([&[6, 9][..], SIGNATURES[0].0].concat(), 32),
            ([&[6, 9], SIGNATURES[1].0, &[5, 0]].concat(), 32),
            ([&[6, 9], SIGNATURES[4].0, &[5, 0]].concat(), 64),
            (pss(&[0x30, 0]), 32),
            (pss(&[0x30, 9, 0xa0, 7, 0x30, 5, 6, 3, 1, 2, 3]), 0),
            (
                pss(&[&[0x30, 15, 0xa0, 13, 0x30, 11, 6, 9], HASHES[2].0].concat()),
                48,
            ),
            (pss(&[]), 0),
            (vec![6, 3, 0x2b, 0x65, 0x70], 0),
        ] {
            let data = tls_server_end_point(&certificate(&algorithm));
            let expected = (length > 0).then_some(21 + length);
            assert_eq!(data.ok().map(|data| data.len()), expected, "{algorithm:x?}");
        }
    }

    #[test]
    fn an_undefined_binding_names_the_signature() {
        let ed25519 = certificate(&[6, 3, 0x2b, 0x65, 0x70]);
        let reason = tls_server_end_point(&ed25519).unwrap_err();
        assert!(reason.ends_with("1.3.101.112"), "{reason}");
    }

    #[test]
    fn truncated_certificates_are_refused() {
        let whole = BASE64_STANDARD.decode(P384).unwrap();
        for length in 0..whole.len() {
            assert!(tls_server_end_point(&whole[..length]).is_err());
        }
    }

    /// A certificate with nothing but a signature algorithm.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let length = |content: &[u8]| u8::try_from(content.len()).unwrap();
        let algorithm = [&[0x30, length(algorithm)], algorithm].concat();
        let fields = [&[0x30, 0], &algorithm[..], &[3, 1, 0]].concat();
        [&[0x30, length(&fields)], &fields[..]].concat()
    }
}

//! The names of numbers: identifiers, encryption types, error codes, and moments in time.
#![forbid(unsafe_code)]

use spnego::oid::Oid;

use super::field::{Octets, Value, hex};

/// An object identifier, from its content octets.
pub(crate) fn identifier(content: &[u8]) -> Value<'static> {
    let Some(oid) = Oid::new(content) else {
        return Value::Identifier(hex(content), None);
    };
    let dotted = oid.to_string();
    let name = oid.name().or_else(|| found(&MECHS, dotted.as_str()));
    Value::Identifier(dotted, name.map(Into::into))
}

/// The short name of a mechanism, or its dotted form.
pub(crate) fn mech(content: &[u8]) -> String {
    match identifier(content) {
        Value::Identifier(_, Some(name)) => name.into_owned(),
        Value::Identifier(dotted, None) => dotted,
        _ => hex(content),
    }
}

/// Whether the octets are an identifier in shortest form (X.690 section 8.19.2).
pub(crate) fn is_identifier(content: &[u8]) -> bool {
    let mut begins = true;
    for octet in content {
        if begins && *octet == 0x80 {
            return false;
        }
        begins = octet & 0x80 == 0;
    }
    begins && !content.is_empty()
}

/// A GUID as Windows writes it: three numbers, least significant octet first, and eight octets.
pub(crate) fn guid(octets: Octets<'_>) -> String {
    let part = |from, length| octets.part(from, length).unwrap_or(octets);
    format!(
        "{:08x}-{:04x}-{:04x}-{}-{}",
        part(0, 4).little_endian(),
        part(4, 2).little_endian(),
        part(6, 2).little_endian(),
        hex(part(8, 2).octets),
        hex(part(10, 6).octets),
    )
}

/// A mechanism of NEGOEX.
pub(crate) fn scheme(octets: Octets<'_>) -> Value<'static> {
    let guid = guid(octets);
    let name = found(&SCHEMES, guid.as_str()).map(Into::into);
    Value::Identifier(guid, name)
}

/// A FILETIME: tenths of microseconds since 1601, in UTC.
pub(crate) fn filetime(ticks: u64) -> String {
    let (seconds, fraction) = (ticks / TICKS, ticks % TICKS);
    let (day, second) = (seconds / DAY, seconds % DAY);
    let (year, month, date) = civil(day);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{fraction:07}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of a number of days since 1601-01-01. The calendar repeats itself every 400
/// years, of which 1601 begins one.
fn civil(days: u64) -> (u64, u64, u64) {
    let (cycle, rest) = (days / 146_097, days % 146_097);
    let century = (rest / 36_524).min(3);
    let rest = rest - century * 36_524;
    let (four, rest) = (rest / 1461, rest % 1461);
    let single = (rest / 365).min(3);
    let mut day = rest - single * 365;
    let year = 1601 + cycle * 400 + century * 100 + four * 4 + single;
    let leap = single == 3 && (four != 24 || century == 3);
    for (month, length) in (1..).zip([31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30])
    {
        if day < length {
            return (year, month, day + 1);
        }
        day -= length;
    }
    (year, 12, day + 1)
}

/// The name of `key` in a table.
pub(crate) fn found<K: PartialEq>(table: &[(K, &'static str)], key: K) -> Option<&'static str> {
    table
        .iter()
        .find(|(entry, _)| *entry == key)
        .map(|(_, name)| *name)
}

const TICKS: u64 = 10_000_000;
const DAY: u64 = 86_400;

/// Mechanisms that are offered in practice and that the library does not know by name.
const MECHS: [(&str, &str); 6] = [
    ("1.3.6.1.5.2.7", "pku2u"),
    ("1.3.6.1.5.5.14", "scram-sha-1"),
    ("1.3.6.1.5.5.15.1.1.17", "eap-aes128"),
    ("1.3.6.1.5.5.15.1.1.18", "eap-aes256"),
    ("1.3.6.1.4.1.5322.26.1.110", "sanon-x25519"),
    ("1.3.6.1.5.5.1.1", "spkm-1"),
];

const SCHEMES: [(&str, &str); 2] = [
    ("0d53335c-f9ea-4d0d-b2ec-4ae3786ec308", "pku2u"),
    ("dee384ff-1086-4e86-be78-b94170bfd376", "sanon-x25519"),
];

/// Encryption types of Kerberos (IANA's registry, RFC 3961 section 8).
pub(crate) const ENCRYPTION_TYPES: [(u64, &str); 15] = [
    (0, "null"),
    (1, "des-cbc-crc"),
    (2, "des-cbc-md4"),
    (3, "des-cbc-md5"),
    (5, "des3-cbc-md5"),
    (7, "des3-cbc-sha1"),
    (16, "des3-cbc-sha1-kd"),
    (17, "aes128-cts-hmac-sha1-96"),
    (18, "aes256-cts-hmac-sha1-96"),
    (19, "aes128-cts-hmac-sha256-128"),
    (20, "aes256-cts-hmac-sha384-192"),
    (23, "rc4-hmac"),
    (24, "rc4-hmac-exp"),
    (25, "camellia128-cts-cmac"),
    (26, "camellia256-cts-cmac"),
];

/// Checksum types of Kerberos (RFC 3961 section 8 and IANA's registry).
pub(crate) const CHECKSUM_TYPES: [(u64, &str); 10] = [
    (1, "crc32"),
    (7, "rsa-md5"),
    (12, "hmac-sha1-des3-kd"),
    (14, "sha1"),
    (15, "hmac-sha1-96-aes128"),
    (16, "hmac-sha1-96-aes256"),
    (17, "cmac-camellia128"),
    (18, "cmac-camellia256"),
    (19, "hmac-sha256-128-aes128"),
    (20, "hmac-sha384-192-aes256"),
];

/// Types of principal names (RFC 4120 section 6.2 and IANA's registry).
pub(crate) const NAME_TYPES: [(u64, &str); 12] = [
    (0, "unknown"),
    (1, "principal"),
    (2, "service and instance"),
    (3, "service and host"),
    (4, "service and host in parts"),
    (5, "unique identifier"),
    (6, "X.500"),
    (7, "SMTP"),
    (10, "enterprise"),
    (11, "well-known"),
    (12, "service, host and domain"),
    (0xffff_ff7e, "Microsoft principal"),
];

/// Error codes of Kerberos (RFC 4120 section 7.5.9).
pub(crate) const KERBEROS_ERRORS: [(u64, &str); 66] = [
    (0, "KDC_ERR_NONE"),
    (
        1,
        "KDC_ERR_NAME_EXP: the client's entry in the database has expired",
    ),
    (
        2,
        "KDC_ERR_SERVICE_EXP: the server's entry in the database has expired",
    ),
    (3, "KDC_ERR_BAD_PVNO"),
    (4, "KDC_ERR_C_OLD_MAST_KVNO"),
    (5, "KDC_ERR_S_OLD_MAST_KVNO"),
    (
        6,
        "KDC_ERR_C_PRINCIPAL_UNKNOWN: the client is not in the database",
    ),
    (
        7,
        "KDC_ERR_S_PRINCIPAL_UNKNOWN: the server is not in the database",
    ),
    (
        8,
        "KDC_ERR_PRINCIPAL_NOT_UNIQUE: the name is registered more than once",
    ),
    (9, "KDC_ERR_NULL_KEY"),
    (10, "KDC_ERR_CANNOT_POSTDATE"),
    (11, "KDC_ERR_NEVER_VALID"),
    (12, "KDC_ERR_POLICY"),
    (13, "KDC_ERR_BADOPTION"),
    (14, "KDC_ERR_ETYPE_NOSUPP: no encryption type in common"),
    (15, "KDC_ERR_SUMTYPE_NOSUPP"),
    (16, "KDC_ERR_PADATA_TYPE_NOSUPP"),
    (17, "KDC_ERR_TRTYPE_NOSUPP"),
    (
        18,
        "KDC_ERR_CLIENT_REVOKED: the account is disabled or locked",
    ),
    (19, "KDC_ERR_SERVICE_REVOKED"),
    (20, "KDC_ERR_TGT_REVOKED"),
    (21, "KDC_ERR_CLIENT_NOTYET"),
    (22, "KDC_ERR_SERVICE_NOTYET"),
    (23, "KDC_ERR_KEY_EXPIRED: the password has expired"),
    (24, "KDC_ERR_PREAUTH_FAILED: the password is wrong"),
    (25, "KDC_ERR_PREAUTH_REQUIRED"),
    (26, "KDC_ERR_SERVER_NOMATCH"),
    (27, "KDC_ERR_MUST_USE_USER2USER"),
    (28, "KDC_ERR_PATH_NOT_ACCEPTED"),
    (29, "KDC_ERR_SVC_UNAVAILABLE"),
    (
        31,
        "KRB_AP_ERR_BAD_INTEGRITY: the ticket does not decrypt with the server's key",
    ),
    (32, "KRB_AP_ERR_TKT_EXPIRED: the ticket has expired"),
    (33, "KRB_AP_ERR_TKT_NYV: the ticket is not yet valid"),
    (34, "KRB_AP_ERR_REPEAT: the request is a replay"),
    (35, "KRB_AP_ERR_NOT_US: the ticket is not for this server"),
    (36, "KRB_AP_ERR_BADMATCH"),
    (37, "KRB_AP_ERR_SKEW: the clocks differ too much"),
    (38, "KRB_AP_ERR_BADADDR"),
    (39, "KRB_AP_ERR_BADVERSION"),
    (40, "KRB_AP_ERR_MSG_TYPE"),
    (
        41,
        "KRB_AP_ERR_MODIFIED: the ticket was made with another key than the server has",
    ),
    (42, "KRB_AP_ERR_BADORDER"),
    (
        44,
        "KRB_AP_ERR_BADKEYVER: the server lacks the key of this version",
    ),
    (45, "KRB_AP_ERR_NOKEY: the server has no key for this name"),
    (46, "KRB_AP_ERR_MUT_FAIL"),
    (47, "KRB_AP_ERR_BADDIRECTION"),
    (48, "KRB_AP_ERR_METHOD"),
    (49, "KRB_AP_ERR_BADSEQ"),
    (50, "KRB_AP_ERR_INAPP_CKSUM"),
    (51, "KRB_AP_PATH_NOT_ACCEPTED"),
    (52, "KRB_ERR_RESPONSE_TOO_BIG"),
    (60, "KRB_ERR_GENERIC"),
    (61, "KRB_ERR_FIELD_TOOLONG"),
    (62, "KDC_ERROR_CLIENT_NOT_TRUSTED"),
    (63, "KDC_ERROR_KDC_NOT_TRUSTED"),
    (64, "KDC_ERROR_INVALID_SIG"),
    (65, "KDC_ERR_KEY_TOO_WEAK"),
    (66, "KDC_ERR_CERTIFICATE_MISMATCH"),
    (67, "KRB_AP_ERR_NO_TGT"),
    (68, "KDC_ERR_WRONG_REALM"),
    (69, "KRB_AP_ERR_USER_TO_USER_REQUIRED"),
    (70, "KDC_ERR_CANT_VERIFY_CERTIFICATE"),
    (71, "KDC_ERR_INVALID_CERTIFICATE"),
    (72, "KDC_ERR_REVOKED_CERTIFICATE"),
    (73, "KDC_ERR_REVOCATION_STATUS_UNKNOWN"),
    (76, "KDC_ERR_KDC_NAME_MISMATCH"),
];

/// NTSTATUS codes that an error of a Windows server carries (MS-ERREF section 2.3.1).
pub(crate) const STATUSES: [(u64, &str); 9] = [
    (0xc000_005e, "STATUS_NO_LOGON_SERVERS"),
    (0xc000_0064, "STATUS_NO_SUCH_USER"),
    (0xc000_006d, "STATUS_LOGON_FAILURE"),
    (0xc000_006e, "STATUS_ACCOUNT_RESTRICTION"),
    (0xc000_0071, "STATUS_PASSWORD_EXPIRED"),
    (0xc000_0072, "STATUS_ACCOUNT_DISABLED"),
    (0xc000_0133, "STATUS_TIME_DIFFERENCE_AT_DC"),
    (0xc000_0193, "STATUS_ACCOUNT_EXPIRED"),
    (0xc000_0234, "STATUS_ACCOUNT_LOCKED_OUT"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filetimes_are_those_of_the_calendar() {
        for (ticks, text) in [
            (0, "1601-01-01T00:00:00.0000000Z"),
            // The epoch of Unix, MS-DTYP section 2.3.3.
            (116_444_736_000_000_000, "1970-01-01T00:00:00.0000000Z"),
            // date -u -d 2000-02-29T12:34:56 +%s is 951827696.
            (125_963_012_960_000_001, "2000-02-29T12:34:56.0000001Z"),
            // date -u -d 2100-12-31T23:59:59 +%s is 4133980799.
            (157_784_543_990_000_000, "2100-12-31T23:59:59.0000000Z"),
        ] {
            assert_eq!(filetime(ticks), text);
        }
        // The last one is in a year of five digits, and computed without going wrong.
        assert!(filetime(u64::MAX).starts_with("60056-05-28T05:36:10.9551615"));
    }

    #[test]
    fn identifiers_end_where_an_arc_ends() {
        assert!(is_identifier(&[0x2b, 6, 1, 5, 5, 2]));
        assert!(is_identifier(&[0x2a, 0x86, 0x48]));
        assert!(!is_identifier(&[]));
        assert!(!is_identifier(&[0x2b, 0x86]));
        assert!(!is_identifier(&[0x2b, 0x80, 0x01]));
    }
}

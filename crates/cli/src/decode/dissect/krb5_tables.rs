//! Which fields the messages of Kerberos have (RFC 4120 section 5), and that of IAKERB.
#![forbid(unsafe_code)]

use super::krb5_schema::Presence::{May, Must};
use super::krb5_schema::{Kind, Schema};
use super::names::KERBEROS_ERRORS;

/// The message with this tag.
pub(crate) fn message(tag: u8) -> Option<&'static Schema> {
    MESSAGES
        .iter()
        .find(|(known, _)| *known == tag)
        .map(|(_, schema)| *schema)
}

static MESSAGES: [(u8, &Schema); 7] = [
    (0x6a, &AS_REQ),
    (0x6b, &AS_REP),
    (0x6c, &TGS_REQ),
    (0x6d, &TGS_REP),
    (0x6e, &AP_REQ),
    (0x6f, &AP_REP),
    (0x7e, &ERROR),
];

static AP_REQ: Schema = Schema {
    name: "AP-REQ",
    section: "RFC 4120 section 5.5.1",
    fields: &[
        (0, "pvno", Must, Kind::Always(5)),
        (1, "msg-type", Must, Kind::Always(14)),
        (2, "ap-options", Must, Kind::Flags(&AP_OPTIONS)),
        (3, "ticket", Must, Kind::Tagged(0x61, &TICKET)),
        (4, "authenticator", Must, Kind::Part(&ENCRYPTED)),
    ],
};

static TICKET: Schema = Schema {
    name: "Ticket",
    section: "RFC 4120 section 5.3",
    fields: &[
        (0, "tkt-vno", Must, Kind::Always(5)),
        (1, "realm", Must, Kind::Text),
        (2, "sname", Must, Kind::Part(&PRINCIPAL)),
        (3, "enc-part", Must, Kind::Part(&ENCRYPTED)),
    ],
};

static ENCRYPTED: Schema = Schema {
    name: "EncryptedData",
    section: "RFC 4120 section 5.2.9",
    fields: &[
        (0, "etype", Must, Kind::EncryptionType),
        (1, "kvno", May, Kind::Number(&[])),
        (2, "cipher", Must, Kind::Cipher),
    ],
};

pub(super) static PRINCIPAL: Schema = Schema {
    name: "PrincipalName",
    section: "RFC 4120 section 5.2.2",
    fields: &[],
};

static AP_REP: Schema = Schema {
    name: "AP-REP",
    section: "RFC 4120 section 5.5.2",
    fields: &[
        (0, "pvno", Must, Kind::Always(5)),
        (1, "msg-type", Must, Kind::Always(15)),
        (2, "enc-part", Must, Kind::Part(&ENCRYPTED)),
    ],
};

static ERROR: Schema = Schema {
    name: "KRB-ERROR",
    section: "RFC 4120 section 5.9.1",
    fields: &[
        (0, "pvno", Must, Kind::Always(5)),
        (1, "msg-type", Must, Kind::Always(30)),
        (2, "ctime", May, Kind::Time),
        (3, "cusec", May, Kind::Number(&[])),
        (4, "stime", Must, Kind::Time),
        (5, "susec", Must, Kind::Number(&[])),
        (6, "error-code", Must, Kind::Number(&KERBEROS_ERRORS)),
        (7, "crealm", May, Kind::Text),
        (8, "cname", May, Kind::Part(&PRINCIPAL)),
        (9, "realm", Must, Kind::Text),
        (10, "sname", Must, Kind::Part(&PRINCIPAL)),
        (11, "e-text", May, Kind::Text),
        (12, "e-data", May, Kind::ErrorData),
    ],
};

pub(super) static ERROR_DATA: Schema = Schema {
    name: "KERB-ERROR-DATA",
    section: "MS-KILE section 2.2.2",
    fields: &[
        (
            1,
            "data-type",
            Must,
            Kind::Number(&[(3, "KERB_AP_ERR_TYPE_EXTENDED")]),
        ),
        (2, "data-value", May, Kind::Octets),
    ],
};

static AS_REQ: Schema = Schema {
    name: "AS-REQ",
    ..REQUEST
};

static TGS_REQ: Schema = Schema {
    name: "TGS-REQ",
    ..REQUEST
};

const REQUEST: Schema = Schema {
    name: "KDC-REQ",
    section: "RFC 4120 section 5.4.1",
    fields: &[
        (1, "pvno", Must, Kind::Always(5)),
        (
            2,
            "msg-type",
            Must,
            Kind::Number(&[(10, "AS-REQ"), (12, "TGS-REQ")]),
        ),
        (3, "padata", May, Kind::Opaque),
        (4, "req-body", Must, Kind::Part(&REQUEST_BODY)),
    ],
};

static REQUEST_BODY: Schema = Schema {
    name: "KDC-REQ-BODY",
    section: "RFC 4120 section 5.4.1",
    fields: &[
        (0, "kdc-options", Must, Kind::Flags(&[])),
        (1, "cname", May, Kind::Part(&PRINCIPAL)),
        (2, "realm", Must, Kind::Text),
        (3, "sname", May, Kind::Part(&PRINCIPAL)),
        (4, "from", May, Kind::Time),
        (5, "till", Must, Kind::Time),
        (6, "rtime", May, Kind::Time),
        (7, "nonce", Must, Kind::Number(&[])),
        (8, "etype", Must, Kind::EncryptionTypes),
        (9, "addresses", May, Kind::Opaque),
        (10, "enc-authorization-data", May, Kind::Part(&ENCRYPTED)),
        (11, "additional-tickets", May, Kind::Opaque),
    ],
};

static AS_REP: Schema = Schema {
    name: "AS-REP",
    ..REPLY
};

static TGS_REP: Schema = Schema {
    name: "TGS-REP",
    ..REPLY
};

const REPLY: Schema = Schema {
    name: "KDC-REP",
    section: "RFC 4120 section 5.4.2",
    fields: &[
        (0, "pvno", Must, Kind::Always(5)),
        (
            1,
            "msg-type",
            Must,
            Kind::Number(&[(11, "AS-REP"), (13, "TGS-REP")]),
        ),
        (2, "padata", May, Kind::Opaque),
        (3, "crealm", Must, Kind::Text),
        (4, "cname", Must, Kind::Part(&PRINCIPAL)),
        (5, "ticket", Must, Kind::Tagged(0x61, &TICKET)),
        (6, "enc-part", Must, Kind::Part(&ENCRYPTED)),
    ],
};

/// What an initiator of user-to-user sends first: for whom, and where.
pub(crate) static TGT_REQUEST_MESSAGE: Schema = Schema {
    name: "KERB_TGT_REQUEST",
    section: "draft-swift-win2k-krb-user2user-03",
    fields: &[
        (0, "pvno", Must, Kind::Always(5)),
        (1, "msg-type", Must, Kind::Always(16)),
        (2, "server-name", May, Kind::Part(&PRINCIPAL)),
        (3, "realm", May, Kind::Text),
    ],
};

/// The answer to that.
pub(crate) static TGT_REPLY_MESSAGE: Schema = Schema {
    name: "KERB_TGT_REPLY",
    section: "draft-swift-win2k-krb-user2user-03",
    fields: &[
        (0, "pvno", Must, Kind::Always(5)),
        (1, "msg-type", Must, Kind::Always(17)),
        (2, "ticket", Must, Kind::Tagged(0x61, &TICKET)),
    ],
};

/// What IAKERB puts before a message to or from a KDC.
pub(crate) static IAKERB_HEADER: Schema = Schema {
    name: "IAKERB-HEADER",
    section: "draft-ietf-kitten-iakerb-03 section 3",
    fields: &[
        (1, "target-realm", Must, Kind::Text),
        (2, "cookie", May, Kind::Octets),
    ],
};

const AP_OPTIONS: [(u64, &str); 3] = [
    (0x8000_0000, "reserved"),
    (0x4000_0000, "use-session-key"),
    (0x2000_0000, "mutual-required"),
];

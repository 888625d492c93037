//! What is called wrong, and the requirement that it violates: each verdict of the dissector has a row
//! here with a token that brings it about. What a specification only recommends, or says nothing of, is
//! doubtful or a note, and has its rows in the second table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

/// What is given to the tool, and a remark with its section.
type Row = (String, &'static str);

/// A requirement (MUST, SHALL, REQUIRED, or the structure that a specification lays down) that is not
/// kept. The words of the requirement stand beside each kind.
fn wrong() -> Vec<Row> {
    let mut rows = of_encoding();
    rows.extend(of_spnego());
    rows.extend(between_tokens());
    rows.extend(of_ntlm());
    rows.extend(of_kerberos());
    rows.extend(of_negoex());
    rows
}

/// RFC 4178 section 4: messages "shall obey" DER; X.690 says what that is.
fn of_encoding() -> Vec<Row> {
    let krb5 = mech_types(&[KRB5]);
    let whole = init(&[&krb5]);
    vec![
        (
            hex(&[&whole[..], b"tail"].concat()),
            "4 octets after the end [RFC 2743 section 3.1]",
        ),
        (
            hex(&der(
                0x60,
                &[SPNEGO, &[0xa0, 0x81, 17], &der(0x30, &[&krb5])],
            )),
            "the length is not in its shortest form, which DER wants [X.690 section 10.1]",
        ),
        (
            hex(&whole[..20]),
            "27 octets are announced, 18 are there [X.690 section 8.1.3]",
        ),
        (
            hex(&der(0xa1, &[&[0x30, 0x80, 0xa0, 3, 0x0a, 1, 1, 0, 0]])),
            "the length is indefinite, which DER does not have [X.690 section 10.1]",
        ),
        (
            hex(&resp(&[&state(1), &[0xa2]])),
            "it ends before its length [X.690 section 8.1.3]",
        ),
        (
            hex(&resp(&[&state(1), &[0xa2, 0x82, 1]])),
            "it ends in its length [X.690 section 8.1.3]",
        ),
        (
            hex(&resp(&[&state(1), &[0xa2, 0]])),
            "empty, where an OCTET STRING must be [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&resp(&[&state(1), &der(0xa2, &[&[2, 1, 5]])])),
            "an INTEGER where an OCTET STRING must be [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&init(&[&octets(2, b"x"), &krb5])),
            "field 0 is out of order, or comes twice [RFC 4178 section 4.2.1]",
        ),
        (
            hex(&resp(&[&state(1), &[0x82, 1, 7]])),
            "field 2 in primitive form, where an element must be in it [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&resp(&[&state(1), &[2, 1, 7]])),
            "an INTEGER where a numbered field must be [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&init(&[&mech_types(&[&[6, 3, 0x2b, 0x80, 1]])])),
            "not an identifier in its shortest form [X.690 section 8.19.2]",
        ),
        (
            hex(&init(&[&krb5, &der(0xa1, &[&[3, 2, 9, 0x42]])])),
            "the number of unused bits is no such [X.690 section 8.6.2]",
        ),
        // RFC 2743 section 3.1: the structure of an initial token.
        (
            hex(&[0x60, 0]),
            "the mechanism's identifier is missing [RFC 2743 section 3.1]",
        ),
        (
            hex(&der(0x60, &[&[4, 1, 7]])),
            "not an OBJECT IDENTIFIER [RFC 2743 section 3.1]",
        ),
        // RFC 4559 section 4: the scheme is about SPNEGO.
        (
            "WWW-Authenticate: Negotiate AAAA1234".to_owned(),
            "what follows this scheme must be a token of SPNEGO [RFC 4559 section 4]",
        ),
        // RFC 4648 sections 3.2 and 3.3: padding, and no character outside the alphabet.
        (
            "WWW-Authenticate: Negotiate oQUwA4ABAg".to_owned(),
            "base64 whose length, with its padding, is no multiple of four [RFC 4648 section 3.2]",
        ),
        (
            "WWW-Authenticate: Negotiate oQMwAQA!xyz".to_owned(),
            "not base64 from character 8 on [RFC 4648 section 3.3]",
        ),
        (
            "WWW-Authenticate: Negotiate oQUwA4__Ag==".to_owned(),
            "written in the base64 alphabet of URLs [RFC 4648 section 3.3]",
        ),
    ]
}

/// RFC 4178 sections 3.1 and 4, MS-SPNG section 2.2.1.
fn of_spnego() -> Vec<Row> {
    let krb5 = mech_types(&[KRB5]);
    vec![
        (hex(&der(0x60, &[SPNEGO])), "empty [RFC 4178 section 4.2]"),
        // "Subsequent tokens MUST NOT be encapsulated in this GSS-API generic token framing", and the
        // first one is.
        (
            hex(&der(0xa0, &[&der(0x30, &[&krb5])])),
            "a NegTokenInit without the header of an initial token (RFC 2743 section 3.1) \
             [RFC 4178 section 4.2]",
        ),
        (
            hex(&der(0x60, &[SPNEGO, &resp(&[&state(0)])])),
            "a NegTokenResp in the header of an initial token, as old initiators of Sun send it \
             [RFC 4178 section 4.2]",
        ),
        (
            hex(&der(0x60, &[SPNEGO, &[0xa2, 0]])),
            "tag 0xa2, where a NegTokenInit (0xa0) or a NegTokenResp (0xa1) must be \
             [RFC 4178 section 4.2]",
        ),
        (
            hex(&init(&[&octets(2, b"x")])),
            "mechTypes is missing: nothing is offered [RFC 4178 section 4.2.1]",
        ),
        // "one or more security mechanisms".
        (
            hex(&init(&[&mech_types(&[])])),
            "an empty list: nothing is offered [RFC 4178 section 4.2.1]",
        ),
        (
            hex(&init(&[&mech_types(&[&[2, 1, 5]])])),
            "not an OBJECT IDENTIFIER [RFC 4178 section 4.1]",
        ),
        // "MUST NOT contain this SPNEGO mechanism itself".
        (
            hex(&init(&[&mech_types(&[KRB5, SPNEGO])])),
            "SPNEGO must not offer itself [RFC 4178 section 3.1]",
        ),
        // "MUST be omitted by the sender".
        (
            hex(&init(&[
                &krb5,
                &der(0xa3, &[&der(0x30, &[&octets(1, b"host")])]),
            ])),
            "must be left out [MS-SPNG section 2.2.1]",
        ),
        // "REQUIRED in the first reply from the target".
        (
            hex(&resp(&[&supported(KRB5)])),
            "negState is required in the first reply [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&resp(&[&state(4)])),
            "not one of the four states [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&der(0xa1, &[&state(0)])),
            "the SEQUENCE around the fields is missing, as in old implementations \
             [RFC 4178 section 4.2.2]",
        ),
    ]
}

/// RFC 4178 sections 3.2, 4.2.2 and 5: supportedMech and request-mic SHALL only be in the first reply;
/// what is chosen MUST have been offered; for another choice than the first MUST request-mic be sent,
/// and MICs are REQUIRED.
fn between_tokens() -> Vec<Row> {
    let offer = init(&[&mech_types(&[KRB5, NTLMSSP])]);
    let scram: &[u8] = &[6, 6, 0x2b, 6, 1, 5, 5, 14];
    let mic_wanted = || resp(&[&state(3), &supported(NTLMSSP)]);
    let log = |replies: &[Vec<u8>]| {
        let replies = replies
            .iter()
            .map(|reply| format!("< WWW-Authenticate: Negotiate {}\n", base64(reply)));
        let offer = format!("> Authorization: Negotiate {}\n", base64(&offer));
        offer + &replies.collect::<String>()
    };
    vec![
        (
            log(&[resp(&[&state(1), &supported(NTLMSSP)])]),
            "ntlmssp is not the client's first choice, so the state must be request-mic \
             [RFC 4178 section 3.2]",
        ),
        (
            log(&[resp(&[&state(0), &supported(NTLMSSP)])]),
            "ntlmssp is not the client's first choice, and the server completes without MICs \
             [RFC 4178 section 5]",
        ),
        (
            log(&[resp(&[&state(1), &supported(scram)])]),
            "scram-sha-1 was chosen, and was not offered [RFC 4178 section 4.2.2]",
        ),
        (
            log(&[mic_wanted(), resp(&[&state(0)])]),
            "the server asked for MICs, and completes without a mechListMIC [RFC 4178 section 5]",
        ),
        (
            log(&[
                mic_wanted(),
                resp(&[&state(0), &supported(NTLMSSP), &octets(3, b"mic")]),
            ]),
            "supportedMech may be in the first reply only; clients ignore it \
             (MS-SPNG section 3.3.5) [RFC 4178 section 4.2.2]",
        ),
        (
            log(&[mic_wanted(), resp(&[&state(3)])]),
            "request-mic may be in the first reply only [RFC 4178 section 4.2.2]",
        ),
        (
            format!(
                "{}> Authorization: Negotiate {}\n",
                log(&[mic_wanted()]),
                base64(&resp(&[&state(1), &supported(NTLMSSP)]))
            ),
            "supportedMech is the server's to send, in its first reply [RFC 4178 section 4.2.2]",
        ),
    ]
}

/// MS-NLMP section 2.2: the structures, and the pairs that MUST be present.
fn of_ntlm() -> Vec<Row> {
    let answer = |at, octets: &[u8]| changed(MS_NLMP_AUTHENTICATE, at, octets);
    let challenge = |at, octets: &[u8]| changed(MS_NLMP_CHALLENGE, at, octets);
    vec![
        (
            answer(24, &[0, 1, 0, 0]),
            "84 octets at offset 256 lie beyond the end of 232 octets [MS-NLMP section 2.2.1.3]",
        ),
        (
            answer(20, &[30, 0]),
            "30 octets are none of the sizes: 24 for NTLMv1, 44 and more for NTLMv2 \
             [MS-NLMP section 2.2.2.8]",
        ),
        (
            answer(12, &[8, 0]),
            "8 octets, where 24 must be [MS-NLMP section 2.2.2.3]",
        ),
        (
            changed(MS_NLMP_V1, 12, &[9, 0]),
            "9 octets, where 24 must be [MS-NLMP section 2.2.2.3]",
        ),
        // Lengths of Unicode MUST be multiples of two.
        (
            answer(36, &[7, 0]),
            "an odd number of octets is not UTF-16 [MS-NLMP section 2.2.1.3]",
        ),
        (
            answer(0xb2, &[0xff, 0]),
            "255 octets are announced, 36 are there [MS-NLMP section 2.2.2.1]",
        ),
        // RespType and HiRespType MUST be 0x01.
        (
            answer(0x94, &[2]),
            "both must be 1 [MS-NLMP section 2.2.2.7]",
        ),
        // "This type of information MUST be present in AV pair".
        (
            challenge(0x54, &[4]),
            "MsvAvNbComputerName must be present [MS-NLMP section 2.2.2.1]",
        ),
        (
            challenge(40, &[0x20, 0]),
            "MsvAvEOL is missing, which must be the last [MS-NLMP section 2.2.2.1]",
        ),
        (
            challenge(0x44, &[7]),
            "12 octets, where 8 must be [MS-NLMP section 2.2.2.1]",
        ),
        (
            challenge(0x44, &[8]),
            "it ends before its CustomData [MS-NLMP section 2.2.2.2]",
        ),
        (
            challenge(0x44, &[8, 0, 2, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
            "it ends before its Size [MS-NLMP section 2.2.2.2]",
        ),
        // Neither: "the protocol MUST return SEC_E_INVALID_TOKEN".
        (
            challenge(20, &[0x30]),
            "neither UNICODE nor OEM is set [MS-NLMP section 2.2.2.5]",
        ),
        (
            hex(&unhex(MS_NLMP_CHALLENGE)[..22]),
            "it ends before its NegotiateFlags [MS-NLMP section 2.2.1.2]",
        ),
        (
            hex(&unhex(MS_NLMP_CHALLENGE)[..26]),
            "it ends before its ServerChallenge [MS-NLMP section 2.2.1]",
        ),
        (
            hex(&unhex(MS_NLMP_CHALLENGE)[..14]),
            "the message ends before its length and offset [MS-NLMP section 2.2.1.2]",
        ),
        (
            challenge(8, &[9]),
            "there are the message types 1, 2 and 3 [MS-NLMP section 2.2.1]",
        ),
    ]
}

const KRB5_HEAD: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
const IAKERB: &[u8] = &[6, 6, 0x2b, 6, 1, 5, 2, 5];

fn number(field: u8, content: &[u8]) -> Vec<u8> {
    der(0xa0 | field, &[&der(2, &[content])])
}

/// A KRB-ERROR with these fields.
fn krb_error(fields: &[&[u8]]) -> String {
    hex(&der(
        0x60,
        &[KRB5_HEAD, &[3, 0], &der(0x7e, &[&der(0x30, fields)])],
    ))
}

/// RFC 4121 sections 4.1 and 4.2.6, the module of RFC 4120, IAKERB's header.
fn of_kerberos() -> Vec<Row> {
    let mic = |octets: &[u8]| hex(&resp(&[&state(0), &self::octets(3, octets)]));
    vec![
        (
            hex(&der(0x60, &[KRB5_HEAD, &[1]])),
            "it ends before its token identifier [RFC 4121 section 4.1]",
        ),
        (
            hex(&der(0x60, &[KRB5_HEAD, &[1, 0]])),
            "no message follows the token identifier [RFC 4121 section 4.1]",
        ),
        (
            hex(&der(
                0x60,
                &[KRB5_HEAD, &[1, 0], &der(0x7e, &[&der(0x30, &[])])],
            )),
            "the message is not the one that TOK_ID says [RFC 4121 section 4.1]",
        ),
        (krb_error(&[]), "stime is missing [RFC 4120 section 5.9.1]"),
        (
            krb_error(&[&number(0, &[4])]),
            "4, where 5 must be [RFC 4120 section 5.9.1]",
        ),
        (
            krb_error(&[&number(0, &[0; 9])]),
            "a number of 9 octets [X.690 section 8.3]",
        ),
        (
            krb_error(&[&number(0, &[0, 5])]),
            "a number with needless zeros [X.690 section 8.3.2]",
        ),
        (
            krb_error(&[&der(0xa4, &[&der(0x18, &[b"20260101000000.5Z"])])]),
            "not of the form YYYYMMDDHHMMSSZ [RFC 4120 section 5.2.3]",
        ),
        (
            hex(&der(
                0x60,
                &[
                    KRB5_HEAD,
                    &[1, 0],
                    &der(
                        0x6e,
                        &[&der(0x30, &[&der(0xa2, &[&[3, 5, 9, 0, 0, 0, 0]])])],
                    ),
                ],
            )),
            "the number of unused bits is no such [X.690 section 8.6.2]",
        ),
        (
            mic(&[4, 4, 1, 0xff, 0xff]),
            "5 octets, where the header alone has 16 [RFC 4121 section 4.2.6.1]",
        ),
        (
            mic(&[&[4, 4, 1, 0xff, 0, 0xff, 0xff, 0xff][..], &[0; 20]].concat()),
            "each octet must be 0xff [RFC 4121 section 4.2.6.1]",
        ),
        (
            mic(&[&[4, 4, 1][..], &[0xff; 5], &[0; 8]].concat()),
            "empty [RFC 4121 section 4.2.6.1]",
        ),
        (
            hex(&der(0x60, &[IAKERB, &[5, 1]])),
            "no IAKERB-HEADER follows [draft-ietf-kitten-iakerb-03 section 3]",
        ),
        (
            hex(&der(0x60, &[IAKERB, &[5, 1], &[4, 1, 7]])),
            "not a SEQUENCE [draft-ietf-kitten-iakerb-03 section 3]",
        ),
    ]
}

/// MS-NEGOEX sections 2.2.5 and 2.2.6: the structures, and the constants that they MUST have.
fn of_negoex() -> Vec<Row> {
    let scheme = [9; 16];
    let nego = |offset: u8, count: u8, extension: u8, version: u8| {
        negoex(
            0,
            0,
            96,
            &[
                &[3; 32],
                &[version, 0, 0, 0, 0, 0, 0, 0],
                &[offset, 0, 0, 0, count, 0],
                &[112, 0, 0, 0, 1, 0],
                &[0; 4],
                &scheme,
                &[1, 0, 0, 0x80, 124, 0, 0, 0, extension, 0, 0, 0],
                b"ex",
            ],
        )
    };
    let verify = |length: u8, kind: u8| {
        negoex(
            6,
            1,
            80,
            &[
                &scheme,
                &[length, 0, 0, 0, kind, 0, 0, 0],
                &[16, 0, 0, 0, 80, 0, 0, 0, 12, 0, 0, 0],
                &[0; 4],
                b"checksummmmm",
            ],
        )
    };
    let alert = |sequence| negoex(7, sequence, 72, &[&scheme, &[0; 16]]);
    let mut other = alert(1);
    other[24] = 8;
    let mut longer = alert(0);
    longer[20] = 200;
    vec![
        (
            hex(&nego(96, 9, 2, 0)),
            "9 elements of 16 octets at offset 96 lie beyond the message's 126 octets \
             [MS-NEGOEX section 2.2.5.2]",
        ),
        (
            hex(&nego(96, 1, 3, 0)),
            "its ExtensionValue lies beyond the message's 126 octets [MS-NEGOEX section 2.2.5.2.1]",
        ),
        (
            hex(&nego(96, 1, 2, 1)),
            "ProtocolVersion must be 0 [MS-NEGOEX section 2.2.6.3]",
        ),
        (
            hex(&verify(24, 1)),
            "the CHECKSUM's cbHeaderLength must be 20 [MS-NEGOEX section 2.2.5.1.3]",
        ),
        (
            hex(&verify(20, 2)),
            "ChecksumScheme must be 1 [MS-NEGOEX section 2.2.5.1.3]",
        ),
        (
            hex(&negoex(
                7,
                0,
                72,
                &[
                    &scheme,
                    &[0; 4],
                    &[72, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
                    &[1, 0, 0, 0, 84, 0, 0, 0, 8, 0, 0, 0],
                    &[9, 0, 0, 0, 1, 0, 0, 0],
                ],
            )),
            "an ALERT_PULSE has 8 octets [MS-NEGOEX section 2.2.5.1.2]",
        ),
        (
            hex(&[alert(0), alert(2)].concat()),
            "SequenceNum 0 is followed by 2 [MS-NEGOEX section 2.2.6.2]",
        ),
        (
            hex(&[alert(0), other].concat()),
            "another ConversationId than the message before has [MS-NEGOEX section 3.1.5.2]",
        ),
        (
            hex(&negoex(8, 0, 40, &[])),
            "no message has the type 8 [MS-NEGOEX section 2.2.6.1]",
        ),
        (
            hex(&negoex(7, 0, 20, &[&scheme, &[0; 16]])),
            "cbHeaderLength is 20, where 72 must be, and not more than the message's length \
             [MS-NEGOEX section 2.2.6.2]",
        ),
        (
            hex(&[&alert(0)[..], b"NEGOEXTX"].concat()),
            "the signature NEGOEXTS is missing [MS-NEGOEX section 2.2.6.2]",
        ),
        (
            hex(&longer),
            "cbMessageLength is 200, there are 72 octets [MS-NEGOEX section 2.2.6.2]",
        ),
        (
            hex(&negoex(0, 0, 60, &[&[3; 20]])),
            "it ends before its Random [MS-NEGOEX section 2.2.6.3]",
        ),
        (
            hex(&negoex(7, 0, 44, &[&[3; 4]])),
            "it ends before its AuthScheme [MS-NEGOEX section 2.2.6.6]",
        ),
        (
            hex(&negoex(7, 0, 56, &[&scheme])),
            "the header ends before its ErrorCode [MS-NEGOEX section 2.2.6.2]",
        ),
        (
            hex(&negoex(7, 0, 60, &[&scheme, &[0; 4]])),
            "the header ends before its Alerts [MS-NEGOEX section 2.2.6.6]",
        ),
    ]
}

#[test]
fn what_is_wrong_is_said_by_section() {
    for (given, verdict) in wrong() {
        let shown = decode(&given);
        let found = shown.wrong();
        assert!(
            found.iter().any(|found| found == verdict),
            "{verdict}: {found:?}"
        );
        assert_eq!(shown.status, 1, "{verdict}");
        assert!(!verdict.ends_with("[]"), "{verdict}: no section");
    }
}

/// A verdict that is added has to be brought about above, with what requires it.
#[test]
fn no_verdict_is_without_its_row() {
    let rows = wrong();
    let mut sites = BTreeSet::new();
    let files = fs::read_dir(sources().join("dissect")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    for path in files.chain([sources().join("legs.rs")]) {
        let source = fs::read_to_string(&path).unwrap();
        for verdict in verdicts_of(&source) {
            sites.insert((path.file_name().unwrap().to_owned(), verdict));
        }
    }
    assert!(sites.len() > 60, "{} verdicts", sites.len());
    for (file, template) in sites {
        let pieces = pieces(&template);
        let has_row = rows.iter().any(|(_, verdict)| {
            let mut rest = *verdict;
            pieces.iter().all(|piece| match rest.split_once(piece) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        });
        assert!(has_row, "{file:?}: no row brings about {template:?}");
    }
}

fn sources() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/cli/src/decode"
    ))
}

/// The last text in each call of `wrong(...)`.
fn verdicts_of(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("wrong(") {
        if source[..at].ends_with("fn ") {
            continue;
        }
        let mut depth = 1;
        let mut last = None;
        let mut text: Option<String> = None;
        let mut rest = source[at + "wrong(".len()..].chars();
        while let (1.., Some(c)) = (depth, rest.next()) {
            match (&mut text, c) {
                (Some(content), '\\') => match rest.next().unwrap() {
                    // A line goes on behind the blanks of the next one.
                    '\n' => rest = rest.as_str().trim_start().chars(),
                    other => content.push(other),
                },
                (Some(_), '"') => last = text.take(),
                (Some(content), other) => content.push(other),
                (None, '"') => text = Some(String::new()),
                (None, '(') => depth += 1,
                (None, ')') => depth -= 1,
                (None, _) => {}
            }
        }
        found.extend(last);
    }
    found
}

/// What a text has between its placeholders.
fn pieces(template: &str) -> Vec<&str> {
    let parts = template.split(['{', '}']).enumerate();
    parts
        .filter(|(number, part)| number % 2 == 0 && !part.is_empty())
        .map(|(_, part)| part)
        .collect()
}

/// What no specification forbids, and was called wrong or well may be: a remark of a lower level.
#[test]
fn what_is_allowed_is_not_called_wrong() {
    let answer = |at, octets: &[u8]| changed(MS_NLMP_AUTHENTICATE, at, octets);
    let challenge = |at, octets: &[u8]| changed(MS_NLMP_CHALLENGE, at, octets);
    let krb5 = mech_types(&[KRB5]);
    let log = |first: &[u8], second: &[u8]| {
        format!(
            "< WWW-Authenticate: NTLM {}\n> Authorization: NTLM {}\n",
            base64(first),
            base64(second)
        )
    };
    let timed = changed(
        MS_NLMP_CHALLENGE,
        0x44,
        &[7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 0, 0],
    );
    for (given, level, remark) in [
        // MS-NLMP section 3.1.5.1.2: SHOULD. (Its other pair is short of one that MUST be there.)
        (
            log(&unhex(&timed), &unhex(MS_NLMP_AUTHENTICATE)),
            "note",
            "the server's challenge has a MsvAvTimestamp, so the client should send a MIC, and does \
             not [MS-NLMP section 3.1.5.1.2]",
        ),
        (
            answer(40, &[8, 0, 0, 0]),
            "doubtful",
            "it begins at offset 8, inside the message's header [MS-NLMP section 2.2.1.3]",
        ),
        (
            answer(52, &[8, 0]),
            "doubtful",
            "8 octets, where KEY_EXCH set wants 16 [MS-NLMP section 2.2.1.3]",
        ),
        (
            answer(
                0xb0,
                &[6, 0, 4, 0, 2, 0, 0, 0, 9, 0, 4, 0, 0x61, 0, 0x62, 0],
            ),
            "doubtful",
            "MsvAvFlags says that there is a MIC, and there is no room for one before the fields \
             [MS-NLMP section 2.2.1.3]",
        ),
        (
            answer(84, &[0, 0xd8, 0x41]),
            "doubtful",
            "half of a surrogate pair is not UTF-16 [MS-NLMP section 2.2.1.3]",
        ),
        (
            challenge(40, &[0, 0]),
            "doubtful",
            "empty, though TARGET_INFO is set: a client that answers by NTLMv2 alone ends here; the \
             server has to send its names [MS-NLMP section 2.2.1.2]",
        ),
        (
            challenge(22, &[0x0a]),
            "doubtful",
            "present, though TARGET_INFO is not set [MS-NLMP section 2.2.1.2]",
        ),
        (
            hex(&init(&[&krb5, &octets(3, b"mic")])),
            "doubtful",
            "a mechListMIC without a mechToken: there is no context that could have made it \
             [RFC 4178 section 5]",
        ),
        (
            hex(&init(&[&krb5, &octets(2, &unhex(MS_NLMP_CHALLENGE))])),
            "doubtful",
            "not a token of krb5, the mechanism that it is for [RFC 4178 section 4.2.1]",
        ),
        (
            hex(&resp(&[&state(2), &octets(3, b"mic")])),
            "doubtful",
            "a mechListMIC in a message that ends the negotiation [RFC 4178 section 5]",
        ),
        (
            hex(&resp(&[&state(3)])),
            "doubtful",
            "request-mic may be in the first reply only, which has a supportedMech \
             [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&resp(&[])),
            "doubtful",
            "a message that says nothing [RFC 4178 section 4.2.2]",
        ),
        (
            hex(&init(&[&krb5, &octets(2, b"x"), &octets(4, b"mic")])),
            "note",
            "in the field that it has in a NegTokenInit2, and there are no negHints \
             [MS-SPNG section 2.2.1]",
        ),
        (
            hex(&der(0x60, &[KRB5_HEAD, &[9, 9]])),
            "doubtful",
            "no token that is known here has the identifier 0x0909 [RFC 4121 section 4.1]",
        ),
        // What ends before its last octet is doubtful where the user gave it, not a peer.
        (
            base64(&resp(&[&state(1), &octets(2, b"x")]))
                .trim_end_matches('=')
                .to_owned(),
            "doubtful",
            "base64 whose length, with its padding, is no multiple of four [RFC 4648 section 3.2]",
        ),
    ] {
        let shown = decode(&given);
        let found = shown.remarks(level);
        assert!(
            found.iter().any(|found| found == remark),
            "{remark}: {found:?}"
        );
        let wrong = shown.wrong();
        assert!(
            wrong.iter().all(|wrong| wrong.starts_with("MsvAvNb")),
            "{remark}: {wrong:?}"
        );
    }
}

/// RFC 4178 section 6: fields of any form that nobody knows are passed over, and shown.
#[test]
fn unknown_fields_of_any_form_are_shown_and_not_wrong() {
    let krb5 = mech_types(&[KRB5]);
    for (unknown, name) in [
        (&[0x85, 1, 0][..], "field 5"),
        (&[0xa5, 2, 5, 0], "field 5"),
        (&[0x84, 0], "field 4"),
        (&[0xa4, 2, 5, 0], "field 4"),
        (&[0x9f, 0x1f, 1, 7], "field 31"),
        (&[0xbf, 0x81, 0x00, 2, 5, 0], "field 128"),
    ] {
        for token in [
            init(&[&krb5, &octets(2, b"x"), unknown]),
            resp(&[&state(1), unknown, &octets(3, b"mic")]),
        ] {
            let shown = decode(&hex(&token));
            assert_eq!(shown.wrong(), [""; 0], "{name}");
            let note = &shown.field(name)["remarks"][0];
            assert_eq!(note["section"], "RFC 4178 section 6");
        }
    }
}

/// MS-SPNG of April 2026: the identifier in an offer, and supportedMechs in a reply.
#[test]
fn late_fallback_is_named_where_it_stands() {
    let late: &[u8] = &[6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 40];
    for mechs in [&[late][..], &[late, KRB5], &[KRB5, NTLMSSP, late]] {
        let shown = decode(&hex(&init(&[&mech_types(mechs)])));
        assert_eq!(shown.wrong(), [""; 0]);
        let entries = shown.all("mechType");
        let entry = entries
            .iter()
            .find(|entry| entry["meaning"] == "late fallback");
        assert_eq!(entry.unwrap()["value"], "1.3.6.1.4.1.311.2.2.40");
        let summary = shown.json["legs"][0]["summary"].as_str().unwrap();
        assert!(summary.contains("late fallback"), "{summary}");
    }
    let reply = resp(&[
        &state(1),
        &supported(KRB5),
        &der(0xa4, &[&der(0x30, &[KRB5, NTLMSSP, late])]),
    ]);
    let shown = decode(&hex(&reply));
    assert_eq!(shown.wrong(), [""; 0]);
    let supported = shown.field("supportedMechs");
    assert_eq!(supported["fields"].as_array().unwrap().len(), 3);
}

// ---------------------------------------------------------------- what Windows sends beside the usual

/// A null session: no response, no MIC, though the server's challenge has a time.
#[test]
fn a_null_session_of_windows_is_not_wrong() {
    // Self-made: the messages of an anonymous client to a server that is named SRV.
    let log = "\
        > Authorization: Negotiate YEgGBisGAQUFAqA+MDygDjAMBgorBgEEAYI3AgIKoioEKE5UTE1TU1AAAQAAAJeCCOIA\
        AAAAAAAAAAAAAAAAAAAACgBhSgAAAA8=\n\
        < WWW-Authenticate: Negotiate oYG6MIG3oAMKAQGhDAYKKwYBBAGCNwICCqKBoQSBnk5UTE1TU1AAAgAAAAYABgA4AA\
        AAFYKJ4gABAgMEBQYHAAAAAAAAAABgAGAAPgAAAAoAYUoAAAAPRABPAE0AAgAGAEQATwBNAAEABgBTAFIAVgAEABYAZABvAG\
        0ALgBlAHgAYQBtAHAAbABlAAMAHgBzAHIAdgAuAGQAbwBtAC4AZQB4AGEAbQBwAGwAZQAHAAgAATNMlvBX1QEAAAAA\n\
        > Authorization: Negotiate oXQwcqADCgEBomsEaU5UTE1TU1AAAwAAAAEAAQBYAAAAAAAAAFkAAAAAAAAAWAAAAAAAAA\
        BYAAAAAAAAAFgAAAAQABAAWQAAABWKiOIKAGFKAAAADwABAgMEBQYHCAkKCwwNDg8AAAECAwQFBgcICQoLDA0ODw==\n";
    let shown = decode(log);
    assert_eq!(shown.wrong(), [""; 0]);
    assert_eq!(shown.remarks("doubtful"), [""; 0]);
    assert_eq!(shown.status, 0);
    let notes = shown.remarks("note").join("\n");
    assert!(notes.contains("an anonymous logon"), "{notes}");
    assert!(!notes.contains("should send a MIC"), "{notes}");
}

#[test]
fn a_local_call_of_ntlm_is_named() {
    // Self-made: AUTHENTICATE without a field, flag 0x4000 set.
    let shown = decode(
        "oXcwdaADCgEBoloEWE5UTE1TU1AAAwAAAAAAAABYAAAAAAAAAFgAAAAAAAAAWAAAAAAAAABYAAAAAAAAAFgAAAAAAAAAWAAA\
         ABXCiOIKAGFKAAAADwABAgMEBQYHCAkKCwwNDg+jEgQQAQAAAAABAgMEBQYHAAAAAA==",
    );
    assert_eq!(shown.wrong(), [""; 0]);
    let summary = shown.json["legs"][0]["summary"].as_str().unwrap();
    assert!(
        summary.contains("NTLM AUTHENTICATE of a local call"),
        "{summary}"
    );
    let flags = shown.field("NegotiateFlags")["flags"].to_string();
    assert!(flags.contains("LOCAL_CALL"), "{flags}");
    let notes = shown.remarks("note").join("\n");
    assert!(!notes.contains("anonymous"), "{notes}");
    // The server's side of it.
    let shown = decode(&changed(MS_NLMP_CHALLENGE, 21, &[0xc2]));
    let summary = shown.json["legs"][0]["summary"].as_str().unwrap();
    assert!(summary.contains("to a local call"), "{summary}");
}

#[test]
fn user_to_user_is_named_in_both_directions() {
    // Self-made: what Windows sends to a service that runs as a user.
    let shown = decode(
        "YH0GBisGAQUFAqBzMHGgJDAiBgkqhkiC9xIBAgIGCSqGSIb3EgECAgYKKwYBBAGCNwICCqJJBEdgRQYKKoZIhvcSAQICAwQA\
         MDWgAwIBBaEDAgEQohwwGqADAgECoRMwERsESFRUUBsJbG9jYWxob3N0owsbCUFQUFMuVEVTVA==",
    );
    assert_eq!(shown.wrong(), [""; 0]);
    assert_eq!(shown.field("server-name")["value"], "HTTP/localhost");
    assert_eq!(shown.field("realm")["value"], "APPS.TEST");
    let summary = shown.json["legs"][0]["summary"].as_str().unwrap();
    assert!(
        summary.contains("user-to-user: KERB_TGT_REQUEST for HTTP/localhost@APPS.TEST"),
        "{summary}"
    );
    let user2user: &[u8] = &[6, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 3];
    let ticket = der(0x61, &[&der(0x30, &[&number(0, &[5])])]);
    let message = der(
        0x30,
        &[&number(0, &[5]), &number(1, &[17]), &der(0xa2, &[&ticket])],
    );
    let token = der(0x60, &[user2user, &[4, 1], &message]);
    let shown = decode(&hex(&resp(&[
        &state(1),
        &supported(KRB5),
        &octets(2, &token),
    ])));
    assert_eq!(shown.field("KERB_TGT_REPLY")["fields"][1]["value"], 17);
    assert_eq!(shown.field("tkt-vno")["value"], 5);
}

#[test]
fn an_error_of_kerberos_outside_spnego_is_decoded() {
    // Self-made: KRB_AP_ERR_MODIFIED with the header of an initial token, and without.
    let framed = "YFcGCSqGSIb3EgECAgMAfkgwRqADAgEFoQMCAR6kERgPMjAyNjAxMDEwMDAwMDBapQMCAQGmAwIBKakNGwtFWEFNUExFLk9S\
                  R6oOMAygAwIBAaEFMAMbAXg=";
    let bare = BASE64_STANDARD.decode(framed).unwrap()[15..].to_vec();
    for given in [framed.to_owned(), base64(&bare), hex(&bare)] {
        let shown = decode(&given);
        assert_eq!(shown.wrong(), [""; 0]);
        assert_eq!(shown.field("error-code")["value"], 41);
        let summary = shown.json["legs"][0]["summary"].as_str().unwrap();
        assert!(
            summary.starts_with("KRB-ERROR for x@EXAMPLE.ORG"),
            "{summary}"
        );
    }
}

#[test]
fn of_malformed_pairs_those_that_can_be_read_are_shown() {
    // The whole of TargetInfo goes beyond the end; the last pair does; its head is cut.
    let challenge = unhex(MS_NLMP_CHALLENGE);
    let cut = hex(&challenge[..challenge.len() - 8]);
    let long = changed(MS_NLMP_CHALLENGE, 0x56, &[0xff, 0]);
    let headless = hex(&challenge[..0x44 + 16 + 2]);
    for (token, computer) in [(cut, Some("Serv")), (long, None), (headless, None)] {
        let shown = decode(&token);
        assert_ne!(shown.wrong(), [""; 0]);
        assert_eq!(shown.field("MsvAvNbDomainName")["value"], "Domain");
        if let Some(computer) = computer {
            assert_eq!(shown.field("MsvAvNbComputerName")["value"], computer);
        }
    }
}

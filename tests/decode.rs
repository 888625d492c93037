//! `spnego decode` on tokens of the specifications, on tokens made wrong, and on what curl and its
//! servers send each other in a realm.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

#[path = "decode/files.rs"]
mod files;
mod support;
#[path = "decode/verdicts.rs"]
mod verdicts;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use support::{Environment, Harness, MechConfig, Realm, Side, hex, unhex};

// ---------------------------------------------------------------- tokens of the specifications

/// MS-SPNG section 4: the NegTokenInit2 of a local logon, with NEGOEX in it.
const MS_SPNG_4: &str = "
    6082015d06062b0601050502a08201513082014da01a3018060a2b06010401823702021e060a2b0601040182370202
    0aa28201010481fe4e45474f4558545301000000000000006000000070000000cffa11765e12599a347d766852bfce
    7097458710bb8242b4c7dfbad2da897aa311a7d868463430952562dc13c554f2010000000000000000600000000100
    000000000000000000005c33530deaf90d4db2ec4ae3786ec3084e45474f455854530300000001000000400000008e
    000000cffa11765e12599a347d766852bfce705c33530deaf90d4db2ec4ae3786ec308400000004e000000304ca04a
    3048302a80283026312430220603550403131b584d4c50726f766964657220496e7465726d65646961746520434130
    1a80183016311430120603550403130b584d4c50726f7669646572a32a3028a0261b246e6f745f646566696e65645f
    696e5f5246433431373840706c656173655f69676e6f7265";

/// MS-NLMP section 4.2.4.3: the server's message.
const MS_NLMP_CHALLENGE: &str = "4e544c4d53535000 02000000 0c000c00 38000000 33828ae2
    0123456789abcdef 0000000000000000 24002400 44000000 060070170000000f 530065007200760065007200
    02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000";

/// MS-NLMP section 4.2.4.3: the client's answer, by NTLMv2.
const MS_NLMP_AUTHENTICATE: &str = "4e544c4d53535000 03000000 18001800 6c000000 54005400 84000000
    0c000c00 48000000 08000800 54000000 10001000 5c000000 10001000 d8000000 358288e2
    0501280a0000000f 44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
    86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa 68cd0ab851e51c96aabc927bebef6a1c
    0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000 02000c0044006f006d00610069006e00
    01000c00530065007200760065007200 00000000 00000000 c5dad2544fc9799094ce1ce90bc9d03e";

/// MS-NLMP section 4.2.2.3: the client's answer by NTLMv1, with an LM response beside it.
const MS_NLMP_V1: &str = "4e544c4d53535000 03000000 18001800 6c000000 18001800 84000000
    0c000c00 48000000 08000800 54000000 10001000 5c000000 10001000 9c000000 358280e2
    0501280a0000000f 44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
    98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13 67c43011f30298a2ad35ece64f16331c44bdbed927841f94
    518822b1b3f350c8958682ecbb3e3cb7";

/// The first token of Samba 4.17.12's gensec, the client with a password and without Kerberos.
const SAMBA_INIT: &str = "604806062b0601050502a03e303ca00e300c060a2b06010401823702020aa22a0428
    4e544c4d53535000010000001582086200000000280000000000000028000000060100000000000f";

#[test]
fn the_first_token_of_samba_is_shown() {
    let token = decode(SAMBA_INIT);
    assert_eq!(token.wrong(), [""; 0]);
    assert_eq!(token.all("mechType").len(), 1);
    assert_eq!(token.field("NegotiateFlags")["value"], 0x6208_8215_u32);
    assert_eq!(token.field("Version")["offset"], 0x42);
    assert_eq!(
        token.json["legs"][0]["summary"],
        "NegTokenInit: ntlmssp with NTLM NEGOTIATE"
    );
}

#[test]
fn the_token_of_ms_spng_is_shown_to_its_last_field() {
    let token = decode(MS_SPNG_4);
    assert_eq!(token.wrong(), [""; 0]);
    // Offsets as in the dump of the section.
    for (name, offset, length) in [
        ("initial token", 0, 0x161),
        ("mechTypes", 0x14, 28),
        ("mechToken", 0x30, 261),
        ("ACCEPTOR_NEGO", 0x37, 0x70),
        ("Random", 0x5f, 32),
        ("ACCEPTOR_META_DATA", 0xa7, 0x8e),
        ("Exchange", 0xe7, 0x4e),
        ("hintName", 0x139, 40),
    ] {
        let field = token.field(name);
        assert_eq!(field["offset"], offset, "{name}");
        assert_eq!(field["length"], length, "{name}");
    }
    let mechs = token.all("mechType");
    assert_eq!(mechs[0]["meaning"], "negoex");
    assert_eq!(mechs[1]["value"], "1.3.6.1.4.1.311.2.2.10");
    assert_eq!(token.field("cbMessageLength")["value"], 0x70);
    assert_eq!(
        token.field("ConversationId")["value"],
        "7611facf-125e-9a59-347d-766852bfce70"
    );
    assert_eq!(token.field("AuthScheme")["meaning"], "pku2u");
    assert_eq!(
        token.field("hintName")["value"],
        "not_defined_in_RFC4178@please_ignore"
    );
}

#[test]
fn the_messages_of_ms_nlmp_are_shown_to_their_last_field() {
    let challenge = decode(MS_NLMP_CHALLENGE);
    assert_eq!(challenge.wrong(), [""; 0]);
    assert_eq!(challenge.field("TargetName")["value"], "Server");
    assert_eq!(
        challenge.field("ServerChallenge")["octets"],
        "0123456789abcdef"
    );
    assert_eq!(challenge.field("MsvAvNbDomainName")["value"], "Domain");
    assert_eq!(challenge.field("MsvAvNbComputerName")["offset"], 0x54);
    assert_eq!(
        challenge.field("Version")["value"],
        "6.0.6000, NTLM revision 15"
    );
    let flags = challenge.field("NegotiateFlags");
    assert_eq!(flags["value"], 0xe28a_8233_u32);
    assert_eq!(
        flags["flags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect::<Vec<_>>(),
        [
            "UNICODE",
            "OEM",
            "SIGN",
            "SEAL",
            "NTLM",
            "ALWAYS_SIGN",
            "TARGET_TYPE_SERVER",
            "EXTENDED_SESSIONSECURITY",
            "TARGET_INFO",
            "VERSION",
            "128",
            "KEY_EXCH",
            "56"
        ]
    );

    let answer = decode_with(&["--octets"], MS_NLMP_AUTHENTICATE);
    assert_eq!(answer.wrong(), [""; 0]);
    for (name, value) in [
        ("DomainName", "Domain"),
        ("UserName", "User"),
        ("Workstation", "COMPUTER"),
    ] {
        assert_eq!(answer.field(name)["value"], value);
    }
    for (name, octets) in [
        ("NTProofStr", "68cd0ab851e51c96aabc927bebef6a1c"),
        ("ChallengeFromClient", "aaaaaaaaaaaaaaaa"),
        (
            "EncryptedRandomSessionKey",
            "c5dad2544fc9799094ce1ce90bc9d03e",
        ),
    ] {
        assert_eq!(answer.field(name)["octets"], octets, "{name}");
    }
    assert_eq!(
        answer.remarks("doubtful"),
        ["no MIC: nothing protects the three messages of NTLM [MS-NLMP section 3.1.5.1.2]"]
    );
    assert_eq!(
        answer.field("TimeStamp")["meaning"],
        "1601-01-01T00:00:00.0000000Z"
    );
}

#[test]
fn weak_responses_are_called_weak() {
    let token = decode(MS_NLMP_V1);
    assert_eq!(token.wrong(), [""; 0]);
    assert_eq!(
        token.remarks("doubtful"),
        [
            "an LM response, which is all but the password itself [MS-NLMP section 2.2.2.3]",
            "an NTLMv1 response: DES, weak [MS-NLMP section 2.2.2.6]",
            "without EXTENDED_SESSIONSECURITY signatures are weak [MS-NLMP section 2.2.2.5]",
        ]
    );
}

// ---------------------------------------------------------------- what is wrong, and by which section

const SPNEGO: &[u8] = &[0x06, 6, 0x2b, 6, 1, 5, 5, 2];
const KRB5: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
const KRB5_MS: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 1, 2, 2];
const NTLMSSP: &[u8] = &[6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];

/// An element of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => out.push(length),
        Ok(length) => out.extend([0x81, length]),
        Err(_) => {
            out.push(0x82);
            out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    out.extend(content);
    out
}

fn init(fields: &[&[u8]]) -> Vec<u8> {
    der(0x60, &[SPNEGO, &der(0xa0, &[&der(0x30, fields)])])
}

fn resp(fields: &[&[u8]]) -> Vec<u8> {
    der(0xa1, &[&der(0x30, fields)])
}

fn mech_types(mechs: &[&[u8]]) -> Vec<u8> {
    der(0xa0, &[&der(0x30, mechs)])
}

fn octets(number: u8, content: &[u8]) -> Vec<u8> {
    der(0xa0 | number, &[&der(4, &[content])])
}

fn state(state: u8) -> Vec<u8> {
    vec![0xa0, 3, 0x0a, 1, state]
}

fn supported(mech: &[u8]) -> Vec<u8> {
    der(0xa1, &[mech])
}

#[test]
fn a_dialect_is_named_and_is_not_wrong() {
    let token = init(&[
        &mech_types(&[KRB5_MS, KRB5, NTLMSSP]),
        &der(0xa1, &[&[3, 2, 1, 0x42]]),
    ]);
    let shown = decode(&hex(&token));
    assert_eq!(shown.wrong(), [""; 0]);
    assert_eq!(shown.status, 0);
    let notes = shown.remarks("note");
    assert!(
        notes
            .iter()
            .any(|note| note.contains("Windows 2000 mis-encoded")),
        "{notes:?}"
    );
    assert_eq!(shown.all("mechType")[0]["value"], "1.2.840.48018.1.2.2");
    assert_eq!(shown.field("reqFlags")["flags"][0], "mutualFlag");
}

#[test]
fn decoding_goes_on_behind_an_error() {
    // The list holds a number, and the token behind it is shown all the same.
    let token = init(&[
        &mech_types(&[KRB5, &[2, 1, 5]]),
        &octets(2, &unhex(MS_NLMP_AUTHENTICATE)),
    ]);
    let shown = decode(&hex(&token));
    let wrong = shown.wrong();
    assert_eq!(wrong, ["not an OBJECT IDENTIFIER [RFC 4178 section 4.1]"]);
    assert_eq!(shown.field("UserName")["value"], "User");
}

/// The message with its octets from `at` replaced.
fn changed(message: &str, at: usize, octets: &[u8]) -> String {
    let mut message = unhex(message);
    message[at..at + octets.len()].copy_from_slice(octets);
    hex(&message)
}

/// A message of NEGOEX as MIT krb5 writes it (negoex_util.c): header, then `body`, the header's
/// length being what `header` says.
fn negoex(kind: u32, sequence: u32, header: u32, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let length = 40 + u32::try_from(body.len()).unwrap();
    let mut message = b"NEGOEXTS".to_vec();
    for number in [kind, sequence, header, length] {
        message.extend(number.to_le_bytes());
    }
    message.extend([7; 16]);
    message.extend(body);
    message
}

#[test]
fn messages_of_negoex_are_shown_and_their_vectors_checked() {
    let scheme = [9; 16];
    let alert = negoex(
        7,
        0,
        72,
        &[
            &scheme,
            &[0x6d, 0, 0, 0xc0],
            &[72, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 84, 0, 0, 0, 8, 0, 0, 0],
            &[8, 0, 0, 0, 1, 0, 0, 0],
        ],
    );
    let verify = negoex(
        6,
        1,
        80,
        &[
            &scheme,
            &[
                20, 0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0, 80, 0, 0, 0, 12, 0, 0, 0,
            ],
            &[0; 4],
            b"checksummmmm",
        ],
    );
    let shown = decode(&hex(&[&alert[..], &verify].concat()));
    assert_eq!(shown.wrong(), [""; 0]);
    assert_eq!(shown.field("ErrorCode")["meaning"], "STATUS_LOGON_FAILURE");
    assert_eq!(
        shown.field("Reason")["meaning"],
        "there is no key to verify with"
    );
    assert_eq!(
        shown.field("ChecksumType")["meaning"],
        "hmac-sha1-96-aes256"
    );
    assert_eq!(shown.field("ChecksumValue")["octets"], hex(b"checksummmmm"));

    let nego = |offset: u8, count: u8, extension: u8| {
        negoex(
            0,
            0,
            96,
            &[
                &[3; 32],
                &[0; 8],
                &[offset, 0, 0, 0, count, 0],
                &[112, 0, 0, 0, 1, 0],
                &[0; 4],
                &scheme,
                &[1, 0, 0, 0x80, 124, 0, 0, 0, extension, 0, 0, 0],
                b"ex",
            ],
        )
    };
    let shown = decode(&hex(&nego(96, 1, 2)));
    assert_eq!(shown.wrong(), [""; 0]);
    assert_eq!(shown.field("ExtensionValue")["octets"], hex(b"ex"));
    assert_eq!(
        shown.remarks("note"),
        ["critical: who does not know it must refuse [MS-NEGOEX section 2.2.6.3]"]
    );
}

#[test]
fn a_message_to_a_kdc_is_shown_within_iakerb() {
    let text = |tag: u8, text: &str| der(tag, &[text.as_bytes()]);
    let name = der(
        0x30,
        &[
            &der(0xa0, &[&[2, 1, 1]]),
            &der(0xa1, &[&der(0x30, &[&text(0x1b, "user")])]),
        ],
    );
    let body = der(
        0x30,
        &[
            &der(0xa0, &[&[3, 5, 0, 0x40, 0, 0, 0]]),
            &der(0xa1, &[&name]),
            &der(0xa2, &[&text(0x1b, "SPNEGO.TEST")]),
            &der(0xa5, &[&text(0x18, "20261125070502Z")]),
            &der(0xa7, &[&[2, 1, 5]]),
            &der(0xa8, &[&der(0x30, &[&[2, 1, 18], &[2, 1, 23]])]),
        ],
    );
    let request = der(
        0x6a,
        &[&der(
            0x30,
            &[
                &der(0xa1, &[&[2, 1, 5]]),
                &der(0xa2, &[&[2, 1, 10]]),
                &der(0xa4, &[&body]),
            ],
        )],
    );
    let header = der(0x30, &[&der(0xa1, &[&text(0x0c, "SPNEGO.TEST")])]);
    let iakerb: &[u8] = &[6, 6, 0x2b, 6, 1, 5, 2, 5];
    let token = der(0x60, &[iakerb, &[5, 1], &header, &request]);
    let shown = decode(&hex(&token));
    assert_eq!(shown.wrong(), [""; 0]);
    assert_eq!(shown.field("TOK_ID")["meaning"], "IAKERB_PROXY");
    assert_eq!(shown.field("target-realm")["value"], "SPNEGO.TEST");
    assert_eq!(shown.field("cname")["value"], "user");
    assert_eq!(shown.field("till")["value"], "2026-11-25T07:05:02Z");
    let types = shown.all("etype");
    assert_eq!(types[1]["meaning"], "aes256-cts-hmac-sha1-96");
    assert_eq!(
        shown.remarks("doubtful"),
        ["RC4, which is no longer to be used [RFC 8429 section 4]"]
    );
}

#[test]
fn of_a_hostile_list_not_all_is_kept() {
    let many: Vec<_> = std::iter::repeat_n(&[6_u8, 1, 0x2a][..], 10_000).collect();
    let shown = decode(&hex(&init(&[&mech_types(&many)])));
    assert_eq!(shown.all("mechType").len(), 64);
    let notes = shown.remarks("note");
    assert!(
        notes.contains(&"only the first 64 are shown []".to_owned()),
        "{notes:?}"
    );

    let large = [&[0xa1, 0x83, 4, 0, 1][..], &vec![0; 0x4_0001]].concat();
    let shown = Shown::of(&[], &large);
    assert_eq!(shown.json["legs"][0]["token"], Value::Null);
    assert_eq!(shown.json["legs"][0]["length"], 0x4_0006);
    assert_eq!(shown.json["doubtful"], 1);
}

// ---------------------------------------------------------------- legs held against each other

#[test]
fn a_first_choice_under_the_other_identifier_is_the_first_choice() {
    let log = format!(
        "> Authorization: Negotiate {}\n< WWW-Authenticate: Negotiate {}\n",
        base64(&init(&[&mech_types(&[KRB5_MS, NTLMSSP])])),
        base64(&resp(&[&state(1), &supported(KRB5)]))
    );
    assert_eq!(decode(&log).wrong(), [""; 0]);
}

#[test]
fn fragments_are_put_together_across_legs() {
    let token = unhex(MS_SPNG_4);
    let mut log = String::new();
    for piece in token.chunks(100) {
        log += &format!("< WWW-Authenticate: Negotiate {}\n", base64(piece));
        log += "> Authorization: Negotiate\n";
    }
    let shown = decode(&log);
    assert_eq!(shown.wrong(), [""; 0]);
    let legs = shown.json["legs"].as_array().unwrap();
    assert_eq!(legs.len(), 8);
    assert_eq!(legs[0]["fragment"]["have"], 100);
    assert_eq!(legs[2]["fragment"]["of"], 353);
    assert_eq!(legs[6]["fragment"]["pieces"], 4);
    assert_eq!(legs[6]["token"]["length"], 353);
    assert_eq!(shown.field("hintName")["offset"], 0x139);
}

// ---------------------------------------------------------------- the command line

#[test]
fn a_token_is_taken_from_wherever_it_is() {
    let token = unhex(MS_NLMP_CHALLENGE);
    let file = support::scratch_file("token");
    std::fs::write(&file, &token).unwrap();
    let file = file.to_str().unwrap();
    let (base64, hexadecimal) = (base64(&token), hex(&token));
    let header = format!("WWW-Authenticate: NTLM {base64}");
    for (arguments, input) in [
        (vec![base64.as_str()], &b""[..]),
        (vec![hexadecimal.as_str()], b""),
        (vec![header.as_str()], b""),
        (vec!["WWW-Authenticate:", "NTLM", base64.as_str()], b""),
        (vec!["--file", file], b""),
        (vec![], base64.as_bytes()),
        (vec![], header.as_bytes()),
        (vec![], &token),
    ] {
        let shown = Shown::of(&arguments, input);
        assert_eq!(shown.status, 0, "{arguments:?}");
        assert_eq!(
            shown.field("TargetName")["value"],
            "Server",
            "{arguments:?}"
        );
    }
}

#[test]
fn the_example_of_rfc_4559_has_no_token_in_it() {
    let shown = decode("Authorization: Negotiate a87421000492aa874209af8bc028");
    assert_eq!(shown.json["legs"][0]["scheme"], "Negotiate");
    assert_eq!(shown.json["legs"][0]["direction"], "client-to-server");
    assert_eq!(
        shown.remarks("wrong"),
        ["what follows this scheme must be a token of SPNEGO [RFC 4559 section 4]"]
    );
    assert_eq!(shown.status, 1);
}

#[test]
fn exit_codes_are_those_of_the_manual() {
    let status = |arguments: &[&str], input: &[u8]| run(arguments, input).0;
    assert_eq!(status(&["decode", &hex(&unhex(MS_SPNG_4))], b""), 0);
    assert_eq!(status(&["decode", "a1033001"], b""), 1);
    for (arguments, input) in [
        (&["decode"][..], &b""[..]),
        (&["decode"], b"no token here"),
        (&["decode", "--file", "/nonexistent"], b""),
        (&["decode", "--no-such-option"], b""),
        (&["decode", "--file", "/dev/zero"], b""),
    ] {
        let (status, _, errors) = run(arguments, input);
        assert_eq!(status, 2, "{arguments:?}");
        assert!(errors.contains("error:"), "{arguments:?}: {errors}");
    }
}

#[test]
fn octets_to_guess_passwords_from_are_shown_on_request_only() {
    let proof = "68cd0ab851e51c96aabc927bebef6a1c";
    let message = hex(&unhex(MS_NLMP_AUTHENTICATE));
    for json in [&[][..], &["--json"]] {
        let arguments = [&["decode", &message][..], json].concat();
        let (_, said, _) = run(&arguments, b"");
        assert!(!said.contains(proof), "{said}");
        // Inside SPNEGO neither.
        let inside = hex(&resp(&[
            &state(1),
            &octets(2, &unhex(MS_NLMP_AUTHENTICATE)),
        ]));
        let (_, said, _) = run(&[&["decode", &inside][..], json].concat(), b"");
        assert!(!said.contains(proof), "{said}");
        let (_, said, _) = run(&[&arguments[..], &["--octets"]].concat(), b"");
        assert!(said.contains(proof), "{said}");
    }
}

#[test]
fn what_a_peer_wrote_does_not_reach_the_terminal_as_commands() {
    // The user's name is ESC [ 2 J, which clears a screen.
    let (_, coloured, _) = run(&["decode", MS_NLMP_CHALLENGE], b"");
    assert!(!coloured.contains('\u{1b}'), "{coloured:?}");
    let evil = changed(
        MS_NLMP_AUTHENTICATE,
        0x54,
        &[0x1b, 0, 0x5b, 0, 0x32, 0, 0x4a, 0],
    );
    let (_, said, _) = run(&["decode", &evil], b"");
    assert!(said.contains("[2J"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn there_are_completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, said, _) = run(&["completions", shell], b"");
        assert_eq!(status, 0);
        assert!(
            said.contains("decode") && said.contains("octets"),
            "{shell}"
        );
    }
}

// ---------------------------------------------------------------- in a realm

/// The realm, where curl is as well, or the end of the test.
macro_rules! realm {
    () => {
        match Realm::with_plugin() {
            Some(realm) if support::installed(&["curl"]) => realm,
            _ => return,
        }
    };
}

#[test]
fn a_log_of_curl_shows_both_legs_of_kerberos() {
    let realm = realm!();
    let log = curl(&variables(realm), &variables(realm));
    let shown = decode(&log);
    assert_eq!(shown.wrong(), [""; 0], "{log}");
    let legs = shown.json["legs"].as_array().unwrap();
    let ways: Vec<_> = legs
        .iter()
        .map(|leg| leg["direction"].as_str().unwrap())
        .collect();
    assert_eq!(ways, ["client-to-server", "server-to-client"], "{log}");
    let request = shown.field("AP-REQ");
    assert_eq!(find(request, "realm").unwrap()["value"], "SPNEGO.TEST");
    assert_eq!(find(request, "sname").unwrap()["value"], "HTTP/localhost");
    assert_eq!(
        find(request, "etype").unwrap()["meaning"],
        "aes256-cts-hmac-sha1-96"
    );
    assert_eq!(find(request, "kvno").unwrap()["value"], 1);
    assert_eq!(
        find(request, "ap-options").unwrap()["flags"][0],
        "mutual-required"
    );
    assert_eq!(shown.field("negState")["meaning"], "accept-completed");
    assert_eq!(shown.field("AP-REP")["fields"][1]["value"], 15);
}

#[test]
fn a_log_of_curl_shows_the_error_of_a_server_with_another_key() {
    let realm = realm!();
    let mut server = variables(realm);
    let keytab = realm.keytab("wrong").display().to_string();
    server.insert("KRB5_KTNAME".into(), keytab);
    let log = curl(&variables(realm), &server);
    let shown = decode(&log);
    assert_eq!(shown.wrong(), [""; 0], "{log}");
    assert_eq!(shown.field("negState")["meaning"], "reject");
    let error = shown.field("KRB-ERROR");
    let code = find(error, "error-code").unwrap();
    assert_eq!(code["value"], 31, "{error}");
    assert!(
        find(error, "stime").unwrap()["value"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    assert_eq!(find(error, "realm").unwrap()["value"], "SPNEGO.TEST");
}

#[test]
fn a_log_of_curl_shows_all_legs_of_ntlm() {
    let realm = realm!();
    let users = support::scratch_file("ntlm-users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    let mut variables = variables(realm);
    for (name, value) in [
        ("GSS_SPNEGO_MECHS", "ntlmssp".to_owned()),
        ("NTLM_USER_FILE", users.display().to_string()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    let log = curl(&variables, &variables);
    let shown = decode(&log);
    assert_eq!(shown.wrong(), [""; 0], "{log}");
    assert_eq!(shown.field("UserName")["value"], "user");
    assert_eq!(shown.field("MsvAvTargetName")["value"], "HTTP/localhost");
    assert_eq!(shown.field("MsvAvFlags")["flags"][0], "there is a MIC");
    assert_eq!(shown.field("MIC")["length"], 16);
    for name in [
        "NEGOTIATE_MESSAGE",
        "CHALLENGE_MESSAGE",
        "AUTHENTICATE_MESSAGE",
        "MsvAvTimestamp",
    ] {
        assert!(shown.field(name)["length"].as_u64().unwrap() > 0, "{name}");
    }
    let signature = shown.field("NTLM signature");
    assert_eq!(find(signature, "SeqNum").unwrap()["value"], 0);
}

#[test]
fn another_decoder_sees_the_same_in_tokens_and_logs() {
    let Some(python) = support::python_with("spnego") else {
        return;
    };
    let mut tokens: Vec<_> = [MS_NLMP_CHALLENGE, MS_NLMP_AUTHENTICATE, MS_NLMP_V1]
        .iter()
        .map(|token| unhex(token))
        .collect();
    // What curl and our server said to each other, kept for the fuzz targets.
    for name in [
        "krb5-1",
        "krb5-2",
        "krb5-error",
        "ntlm-1",
        "ntlm-3",
        "ntlm-4",
        "ntlm-5",
    ] {
        let path = format!(
            "{}/tests/fuzz/corpus/decode/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        tokens.push(std::fs::read(path).unwrap());
    }
    for token in tokens {
        let ours = Shown::of(&["--octets"], &token).json.to_string();
        let theirs = Command::new(&python)
            .args([
                "-m",
                "spnego",
                "--format",
                "json",
                "--token",
                &base64(&token),
            ])
            .output()
            .unwrap();
        let theirs: Value = serde_json::from_slice(&theirs.stdout).unwrap();
        let mut compared = 0;
        leaves(&theirs, &mut |key, value| {
            let Some(wanted) = told(key, value) else {
                return;
            };
            compared += 1;
            assert!(
                ours.contains(&wanted),
                "{key}: {value}: no {wanted} in {ours}"
            );
        });
        assert!(compared > 1, "{compared} values of {theirs}");
    }
}

/// How our JSON has a value of pyspnego's; `None` for what is no field of the token.
fn told(key: &str, value: &Value) -> Option<String> {
    // Offsets and lengths stand with the fields here, and flags are numbered from the other end in
    // Kerberos.
    let passed_over = [
        "RawData",
        "SessionKey",
        "Len",
        "MaxLen",
        "BufferOffset",
        "MessageType",
        "ResponseType",
        "Reserved",
        "Reserved1",
        "Reserved2",
        "Reserved3",
        "Reserved4",
        "Major",
        "Minor",
        "Build",
        "NTLMRevision",
        "flags",
        "RespType",
        "HiRespType",
        "usec",
        "stime",
        "ctime",
        "susec",
    ];
    if passed_over.contains(&key) {
        return None;
    }
    let text = match value {
        Value::Number(number) if key == "raw" && number.as_u64() == Some(32) => return None,
        Value::Number(number) => return Some(format!("\"value\":{number}")),
        Value::String(text) if !text.is_empty() => text,
        _ => return None,
    };
    // NAME (NUMBER), NAME (IDENTIFIER).
    if let Some((_, inner)) = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once('('))
    {
        return Some(match inner.contains('.') {
            true => format!("\"value\":\"{inner}\""),
            // Which of the AV pairs it is, our field's name says.
            false if key == "AvId" => return None,
            false => format!("\"value\":{inner}"),
        });
    }
    let is_hex = text.len() >= 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some(if is_hex {
        text.to_lowercase()
    } else if text.ends_with('Z') && text.contains('T') {
        // A fraction of a second may follow.
        format!(":\"{}", text.trim_end_matches('Z'))
    } else {
        format!(":\"{text}\"")
    })
}

/// Each value in a tree that has no others in it, with its key.
fn leaves(tree: &Value, each: &mut impl FnMut(&str, &Value)) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Object(_) | Value::Array(_) => {
                        if key != "flags" {
                            leaves(value, each);
                        }
                    }
                    leaf => each(key, leaf),
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                match value {
                    Value::Object(_) | Value::Array(_) => leaves(value, each),
                    leaf => each("", leaf),
                }
            }
        }
        _ => {}
    }
}

fn variables(realm: &Realm) -> Environment {
    let mut variables = realm.environment();
    let mechs = MechConfig::new(Side::Ours).write();
    variables.insert("GSS_MECH_CONFIG".into(), mechs.display().to_string());
    variables
}

/// What `curl -v` writes while it signs in, or is refused, at a server of our HTTP library.
fn curl(client: &Environment, server: &Environment) -> String {
    curl_with(&["-v"], client, server)
}

/// The same with other options.
fn curl_with(options: &[&str], client: &Environment, server: &Environment) -> String {
    let library = Harness::library();
    let program = Harness::linked(
        "http_server",
        &["http_server", "http_message"],
        &[library.to_str().unwrap(), "-lgssapi_krb5"],
    );
    let mut process = Command::new(program.path())
        .args(["-n", "-c"])
        .envs(server)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    said.read_line(&mut first).unwrap();
    let server = Stopped(process);
    let port = first.trim().strip_prefix("port ").unwrap();
    let output = Command::new("curl")
        .args(["-q", "--silent", "--max-time", "20"])
        .args(options)
        .args(["--negotiate", "-u", ":"])
        .arg(format!("http://localhost:{port}/"))
        .env("no_proxy", "localhost")
        .envs(client)
        .output()
        .unwrap();
    drop(server);
    let said = [output.stderr, output.stdout].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// A process that is stopped when dropped.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// ---------------------------------------------------------------- helpers

/// What the tool said, as JSON.
struct Shown {
    status: i32,
    json: Value,
}

impl Shown {
    fn of(arguments: &[&str], input: &[u8]) -> Self {
        let all = [&["decode", "--json"], arguments].concat();
        let (status, said, errors) = run(&all, input);
        let json =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{errors}"));
        Self { status, json }
    }

    /// The first field of this name.
    #[track_caller]
    fn field(&self, name: &str) -> &Value {
        let found = self.all(name);
        found
            .first()
            .copied()
            .unwrap_or_else(|| panic!("no {name} in {:#}", self.json))
    }

    /// All fields of this name, in their order.
    fn all(&self, name: &str) -> Vec<&Value> {
        let mut found = Vec::new();
        for leg in self.json["legs"].as_array().unwrap() {
            collect(&leg["token"], name, &mut found);
        }
        found
    }

    fn wrong(&self) -> Vec<String> {
        let wrong = self.remarks("wrong");
        assert_eq!(self.json["wrong"], wrong.len());
        wrong
    }

    /// All remarks of a level: text and section.
    fn remarks(&self, level: &str) -> Vec<String> {
        let mut found = Vec::new();
        for leg in self.json["legs"].as_array().unwrap() {
            take_remarks(leg, level, &mut found);
            collect_remarks(&leg["token"], level, &mut found);
        }
        found
    }
}

fn decode(input: &str) -> Shown {
    Shown::of(&[], input.as_bytes())
}

fn decode_with(options: &[&str], input: &str) -> Shown {
    Shown::of(options, input.as_bytes())
}

fn find<'a>(field: &'a Value, name: &str) -> Option<&'a Value> {
    let mut found = Vec::new();
    collect(field, name, &mut found);
    found.first().copied()
}

fn collect<'a>(field: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    if field["name"] == name {
        found.push(field);
    }
    for part in field["fields"].as_array().into_iter().flatten() {
        collect(part, name, found);
    }
}

fn collect_remarks(field: &Value, level: &str, found: &mut Vec<String>) {
    take_remarks(field, level, found);
    for part in field["fields"].as_array().into_iter().flatten() {
        collect_remarks(part, level, found);
    }
}

fn take_remarks(of: &Value, level: &str, found: &mut Vec<String>) {
    for remark in of["remarks"].as_array().into_iter().flatten() {
        if remark["level"] == level {
            let (text, section) = (remark["text"].as_str(), remark["section"].as_str());
            found.push(format!("{} [{}]", text.unwrap(), section.unwrap()));
        }
    }
}

/// Run the tool: its status, output and errors.
fn run(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut process = Command::new(support::tool())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A tool that does not read its input is not the worse for it.
    let _ = process.stdin.take().unwrap().write_all(input);
    let output = process.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn base64(octets: &[u8]) -> String {
    BASE64_STANDARD.encode(octets)
}

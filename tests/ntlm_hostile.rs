//! NTLM through the plugin with somebody between the two ends who alters, replays or strips what
//! passes: nobody is signed in, and the end that notices says why.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::sync::Mutex;

use spnego::wire::spnego::NegTokenResp;
use support::{Harness, Meddled, NtlmEnd as End, in_message, ntlm_users as users};

type Change = Box<dyn Fn(&mut Vec<u8>) + Sync>;

/// The octets of a message at which its parts are.
mod at {
    /// NegotiateFlags of NEGOTIATE, CHALLENGE and AUTHENTICATE.
    pub(super) const FLAGS: [usize; 4] = [usize::MAX, 12, 20, 60];
    pub(super) const VERSION: usize = 64;
    pub(super) const MIC: std::ops::Range<usize> = 72..88;
    pub(super) const TARGET_INFO_OF_CHALLENGE: usize = 40;
    /// Length, maximum length and offset of each field of AUTHENTICATE.
    pub(super) const FIELDS: [usize; 6] = [12, 20, 28, 36, 44, 52];
    pub(super) const NT_RESPONSE: usize = 20;
    pub(super) const DOMAIN: usize = 28;
    pub(super) const USER: usize = 36;
    pub(super) const SESSION_KEY: usize = 52;
}

const SIGN: u32 = 0x10;
const SEAL: u32 = 0x20;
const EXTENDED: u32 = 0x8_0000;
const KEY_128: u32 = 0x2000_0000;
const KEY_EXCHANGE: u32 = 0x4000_0000;

/// Where the payload of a field begins.
fn payload(message: &[u8], field: usize) -> usize {
    let offset = u32::from_le_bytes(message[field + 4..field + 8].try_into().unwrap());
    usize::try_from(offset).unwrap()
}

fn flags(kind: u8, cleared: u32) -> Change {
    Box::new(in_message(kind, move |message| {
        let at = at::FLAGS[usize::from(kind)];
        let place = &mut message[at..at + 4];
        let flags = u32::from_le_bytes(place.try_into().unwrap()) & !cleared;
        place.copy_from_slice(&flags.to_le_bytes());
    }))
}

/// Flip a bit `after` the beginning of a field's payload.
fn flip(kind: u8, field: usize, after: usize) -> Change {
    Box::new(in_message(kind, move |message| {
        let at = payload(message, field) + after;
        message[at] ^= 1;
    }))
}

fn message(kind: u8, change: impl Fn(&mut Vec<u8>) + Sync + 'static) -> Change {
    Box::new(in_message(kind, change))
}

/// Change the token of SPNEGO's that has this message in it.
fn around(kind: u8, change: impl Fn(&mut NegTokenResp<'_>) + Sync + 'static) -> Change {
    Box::new(move |token| {
        let begin = [b"NTLMSSP\0".as_slice(), &[kind]].concat();
        let Ok(mut resp) = NegTokenResp::decode(token) else {
            return;
        };
        if resp
            .response_token
            .is_some_and(|inner| inner.starts_with(&begin))
        {
            change(&mut resp);
            *token = resp.encode();
        }
    })
}

/// Where an AV pair with this identifier and length begins in AUTHENTICATE's response.
fn pair(message: &[u8], id: u8, length: u8) -> usize {
    let head = [id, 0, length, 0];
    let response = payload(message, at::NT_RESPONSE);
    let mut places = message[response..].windows(4);
    response + places.position(|octets| octets == head).unwrap()
}

/// Take the time out of a challenge.
fn without_time(message: &mut Vec<u8>) {
    let field = at::TARGET_INFO_OF_CHALLENGE;
    let begin = payload(message, field);
    let mut places = message[begin..].windows(4);
    let at = begin + places.position(|octets| octets == [7, 0, 8, 0]).unwrap();
    message.drain(at..at + 12);
    message[field] -= 12;
    message[field + 2] -= 12;
}

/// Take version and MIC out, with all offsets put right.
fn without_mic(message: &mut Vec<u8>) {
    let removed = at::VERSION..at::MIC.end;
    for field in at::FIELDS {
        let offset = u32::try_from(payload(message, field) - removed.len()).unwrap();
        message[field + 4..field + 8].copy_from_slice(&offset.to_le_bytes());
    }
    message.drain(removed);
}

/// Who notices an alteration, and what that end says if it has our NTLM.
#[derive(Clone, Copy, Debug)]
enum Notices {
    Initiator(&'static str),
    Acceptor(&'static str),
    /// The initiator if it has our NTLM, else the acceptor.
    Either(&'static str, &'static str),
    /// Our acceptor; gss-ntlmssp does not.
    Ours(&'static str),
}

const MIC: &str = "the MIC does not verify: a message of NTLM was altered on the way";
const TAKEN_BACK: &str = "AUTHENTICATE takes back what was negotiated";
const NEEDED: &str =
    "the acceptor does not offer what is needed for NTLMv2 and the protection asked for";
const PASSWORD: &str = r#"wrong password for "SPNEGO\\user""#;

/// Every alteration of the exchange.
fn alterations() -> Vec<(String, Change, Notices)> {
    use Notices::{Acceptor, Either, Initiator, Ours};
    let mut all: Vec<(String, Change, Notices)> = vec![
        (
            "the version".into(),
            message(3, |message| message[at::VERSION] ^= 1),
            Acceptor(MIC),
        ),
        (
            "the target information of the challenge".into(),
            flip(2, at::TARGET_INFO_OF_CHALLENGE, 4),
            Acceptor(MIC),
        ),
        (
            "the target's name".into(),
            message(3, |message| {
                // "HTTP/localhost" in UTF-16.
                let at = pair(message, 9, 28);
                message[at + 4] ^= 1;
            }),
            Acceptor(PASSWORD),
        ),
        (
            "the MIC, emptied".into(),
            message(3, |message| message[at::MIC].fill(0)),
            Acceptor(MIC),
        ),
        (
            "the MIC, removed".into(),
            message(3, without_mic),
            Acceptor("the MIC was removed"),
        ),
        (
            "the flag in MsvAvFlags that there is a MIC".into(),
            message(3, |message| {
                let at = pair(message, 6, 4);
                message[at + 4] = 0;
            }),
            Acceptor(PASSWORD),
        ),
        (
            "the challenge's time, without which there is no MIC".into(),
            message(2, without_time),
            Ours("no MIC, though the challenge asked for one"),
        ),
        (
            "the user".into(),
            flip(3, at::USER, 0),
            Acceptor(r#"no account for "SPNEGO\\tser""#),
        ),
        (
            "the domain".into(),
            flip(3, at::DOMAIN, 0),
            Acceptor(r#"no account for "RPNEGO\\user""#),
        ),
        (
            "the session key".into(),
            flip(3, at::SESSION_KEY, 0),
            Acceptor(MIC),
        ),
        (
            "the proof".into(),
            flip(3, at::NT_RESPONSE, 0),
            Acceptor(PASSWORD),
        ),
    ];
    for (kind, cleared, notices) in [
        (1, SIGN, Initiator(NEEDED)),
        (1, SEAL, Initiator(NEEDED)),
        (1, KEY_EXCHANGE, Acceptor(MIC)),
        (2, SIGN, Initiator(NEEDED)),
        (2, SEAL, Initiator(NEEDED)),
        (2, EXTENDED, Either(NEEDED, TAKEN_BACK)),
        (2, KEY_128, Either(NEEDED, TAKEN_BACK)),
        (2, KEY_EXCHANGE, Acceptor(MIC)),
        (3, SIGN, Acceptor(MIC)),
        (3, SEAL, Acceptor(MIC)),
        (3, EXTENDED, Acceptor(TAKEN_BACK)),
        (3, KEY_128, Acceptor(TAKEN_BACK)),
        (3, KEY_EXCHANGE, Acceptor(MIC)),
    ] {
        all.push((
            format!("flag {cleared:#x} of message {kind}"),
            flags(kind, cleared),
            notices,
        ));
    }
    all
}

#[track_caller]
fn assert_refused(what: &str, meddled: &Meddled) {
    for end in [&meddled.initiator, &meddled.acceptor] {
        assert_eq!(end.status, 0, "{what}: {}", meddled.both());
        assert!(
            end.report.contains("not established\n"),
            "{what}: {}",
            meddled.both()
        );
        assert!(!end.report.contains("sesame"), "{what}");
    }
}

#[track_caller]
fn assert_reason(what: &str, meddled: &Meddled, report: &str, reason: &str) {
    let line = format!("minor: ntlmssp: {reason}");
    assert!(
        report.contains(&line),
        "{what}: no {line:?} in {}",
        meddled.both()
    );
}

#[test]
fn whatever_is_altered_nobody_signs_in_and_the_reason_is_told() {
    let Some((_, environment)) = users() else {
        return;
    };
    for initiator in [End::Own, End::Over, End::System] {
        for (what, change, notices) in alterations() {
            let what = format!("{what}, from {initiator:?}");
            let meddled = Meddled::run((initiator, End::Own), &environment, false, change);
            assert_refused(&what, &meddled);
            let own = initiator == End::Own;
            match notices {
                Notices::Acceptor(reason) | Notices::Ours(reason) => {
                    assert_reason(&what, &meddled, &meddled.acceptor.report, reason);
                }
                Notices::Either(_, reason) if !own => {
                    assert_reason(&what, &meddled, &meddled.acceptor.report, reason);
                }
                Notices::Initiator(reason) | Notices::Either(reason, _) if own => {
                    assert_reason(&what, &meddled, &meddled.initiator.report, reason);
                }
                Notices::Initiator(_) | Notices::Either(..) => {}
            }
        }
    }
}

/// gss-ntlmssp's sentences are short; the alteration it does not notice is left out.
#[test]
fn over_the_system_nobody_signs_in_either() {
    let Some((_, environment)) = users() else {
        return;
    };
    for initiator in [End::Own, End::System] {
        for (what, change, notices) in alterations() {
            if matches!(notices, Notices::Ours(_)) {
                continue;
            }
            let what = format!("{what}, from {initiator:?}");
            let meddled = Meddled::run((initiator, End::Over), &environment, false, change);
            assert_refused(&what, &meddled);
            let acceptor = &meddled.acceptor.report;
            let reason = acceptor.contains("minor: ntlmssp: ")
                || acceptor.contains("minor: the peer rejected the negotiation");
            assert!(reason, "{what}: {}", meddled.both());
        }
    }
}

#[test]
fn an_authenticate_message_cannot_be_replayed() {
    let Some((_, environment)) = users() else {
        return;
    };
    for (initiator, acceptor) in [
        (End::Own, End::Own),
        (End::System, End::Own),
        (End::Own, End::Over),
    ] {
        let captured = Mutex::new(Vec::new());
        let capture = in_message(3, |message| captured.lock().unwrap().clone_from(message));
        let honest = Meddled::run((initiator, acceptor), &environment, false, capture);
        assert!(honest.acceptor.report.contains("\nestablished\n"));
        let captured = captured.into_inner().unwrap();
        assert!(!captured.is_empty());
        let replay = in_message(3, move |message| message.clone_from(&captured));
        let meddled = Meddled::run((initiator, acceptor), &environment, false, replay);
        assert_refused("replayed", &meddled);
        let reason = if acceptor == End::Own { PASSWORD } else { "" };
        assert_reason("replayed", &meddled, &meddled.acceptor.report, reason);
    }
}

/// MS-SPNG note 8: AUTHENTICATE has a MIC, so the mechListMIC has to be there, though both sides
/// prefer NTLM; whichever NTLM the acceptor has, and also in the answer.
#[test]
fn a_mech_list_mic_can_neither_be_removed_nor_made_up() {
    let Some((_, environment)) = users() else {
        return;
    };
    let missing = "minor: mechListMIC is missing where RFC 4178 section 5 requires it";
    let wrong = "minor: mechListMIC does not verify, the list of mechanisms was altered on the way";
    for ends in [
        (End::Own, End::Own),
        (End::System, End::Own),
        (End::Own, End::Over),
        (End::Over, End::Over),
        (End::System, End::Over),
    ] {
        let removed = around(3, |resp| resp.mech_list_mic = None);
        let meddled = Meddled::run(ends, &environment, false, removed);
        assert_refused(&format!("{ends:?}"), &meddled);
        assert!(
            meddled.acceptor.report.contains(missing),
            "{}",
            meddled.both()
        );

        let made_up = around(3, |resp| resp.mech_list_mic = Some(&[1; 16]));
        let meddled = Meddled::run(ends, &environment, false, made_up);
        assert_refused(&format!("{ends:?}"), &meddled);
        assert!(
            meddled.acceptor.report.contains(wrong),
            "{}",
            meddled.both()
        );

        // The acceptor has nothing more to say, and is left alone.
        let answer_without = |token: &mut Vec<u8>| {
            if let Ok(mut resp) = NegTokenResp::decode(token) {
                if resp.response_token.is_none() {
                    resp.mech_list_mic = None;
                    *token = resp.encode();
                }
            }
        };
        if ends.0 != End::System {
            let meddled = Meddled::run(ends, &environment, false, answer_without);
            let initiator = &meddled.initiator.report;
            assert!(
                initiator.contains("not established\n"),
                "{}",
                meddled.both()
            );
            assert!(initiator.contains(missing), "{}", meddled.both());
        }
    }
}

/// Set length and offset of a field of a message.
fn field(kind: u8, at: usize, length: u16, offset: u32) -> Change {
    message(kind, move |message| {
        message[at..at + 2].copy_from_slice(&length.to_le_bytes());
        message[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
    })
}

/// A message that was the downfall of some gss-ntlmssp: refused with a reason by ours, and by what
/// stands in front of the system's, which never sees it; over ours clean under valgrind.
#[track_caller]
fn assert_harmless(kind: u8, change: impl Fn() -> Change, reason: &str) {
    let Some((_, environment)) = users() else {
        return;
    };
    let checked = support::installed(&["valgrind"]);
    let to_acceptor = kind != 2;
    for (victim, peer, checked) in [
        (End::Own, End::Own, checked),
        (End::Own, End::System, false),
        (End::Over, End::System, false),
    ] {
        let ends = if to_acceptor {
            (peer, victim)
        } else {
            (victim, peer)
        };
        let meddled = Meddled::run(ends, &environment, checked, change());
        assert_refused(&format!("{ends:?}"), &meddled);
        let report = if to_acceptor {
            &meddled.acceptor.report
        } else {
            &meddled.initiator.report
        };
        assert_reason(&format!("{ends:?}"), &meddled, report, reason);
    }
}

/// 32-bit sums of offset and length overflowed.
#[test]
fn cve_2023_25563_a_field_beyond_the_end() {
    for (length, offset) in [(2, u32::MAX), (0xfffe, u32::MAX - 0xfffd)] {
        assert_harmless(
            2,
            || field(2, at::TARGET_INFO_OF_CHALLENGE, length, offset),
            "CHALLENGE: the target information lies beyond the end",
        );
        assert_harmless(
            3,
            || field(3, at::USER, length, offset),
            "AUTHENTICATE: the user name lies beyond the end",
        );
    }
}

/// A failed conversion from UTF-16 left a length unset, and a zero was written there.
#[test]
fn cve_2023_25564_text_that_is_not_utf_16() {
    let odd = || message(3, |message| message[at::DOMAIN] -= 1);
    assert_harmless(3, odd, "AUTHENTICATE: the domain is not UTF-16");
}

/// When a later field was wrong, pointers into the message were freed as if they had been
/// allocated.
#[test]
fn cve_2023_25565_a_wrong_field_after_right_ones() {
    assert_harmless(
        3,
        || field(3, at::SESSION_KEY, 16, 0x00ff_fff0),
        "AUTHENTICATE: the session key lies beyond the end",
    );
}

/// The domain was lost when a user's name had it twice.
#[test]
fn cve_2023_25566_a_name_with_two_domains() {
    let Some((_, mut environment)) = users() else {
        return;
    };
    if !support::installed(&["valgrind"]) {
        return;
    }
    environment.extend(End::Own.environment());
    // Kerberos would look for a KDC of each domain.
    environment.insert("GSS_SPNEGO_MECHS".into(), "ntlmssp".into());
    for name in ["SPNEGO\\user@ELSEWHERE", "a@b@c", "\\@\\"] {
        let arguments = [
            "both",
            "ask_target=no",
            "messages=no",
            "i.cred=password",
            "i.cred.mechs=spnego",
            &format!("i.cred.name={name}"),
            "i.cred.type=user",
            "i.password=sesame",
        ];
        let arguments = arguments.map(ToOwned::to_owned);
        let output = Harness::named("pair").run_checked(&arguments, &environment);
        assert_eq!(output.status, 0, "{name}: {output:?}");
        assert!(
            !output.report.contains("\nestablished\n"),
            "{name}: {output:?}"
        );
    }
}

/// The lengths of AV pairs were believed.
#[test]
fn cve_2023_25567_a_pair_beyond_the_end() {
    // The length of the first pair.
    let long = |kind: u8, field: usize, before: usize| {
        message(kind, move |message| {
            let at = payload(message, field) + before + 2;
            message[at..at + 2].copy_from_slice(&[0xff, 0xff]);
        })
    };
    // Which one is first depends on the acceptor's NTLM, and on whose message it is.
    let reason = "target information: MsvAvNb";
    let challenge = || long(2, at::TARGET_INFO_OF_CHALLENGE, 0);
    assert_harmless(2, challenge, reason);
    // After the proof and the fixed part of the client's challenge.
    let authenticate = || long(3, at::NT_RESPONSE, 16 + 28);
    assert_harmless(3, authenticate, reason);
}

/// gss-ntlmssp 1.2.0 copies the session key from wherever the message has it, also from nowhere.
#[test]
fn a_session_key_that_was_taken_away() {
    let Some((_, environment)) = users() else {
        return;
    };
    for victim in [End::Own, End::Over] {
        let change = field(3, at::SESSION_KEY, 0, 0);
        let meddled = Meddled::run((End::Own, victim), &environment, false, change);
        assert_refused("no session key", &meddled);
        let reason = "AUTHENTICATE: the session key has not 16 octets";
        assert_reason("no session key", &meddled, &meddled.acceptor.report, reason);
    }
}

/// Somebody sends a process's own challenge back to it. A program may talk to itself.
#[test]
fn a_challenge_of_the_same_process_is_answered_for_its_own_acceptor_alone() {
    let Some((_, mut environment)) = users() else {
        return;
    };
    environment.extend(End::Own.environment());
    environment.insert("GSS_SPNEGO_MECHS".into(), "ntlmssp".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let own = [
        "HTTP@localhost".to_owned(),
        format!("cifs@{}", host.trim().to_uppercase()),
        "HTTP@127.0.0.1".to_owned(),
    ];
    let others = ["HTTP@evil.example", "HTTP@203.0.113.66"].map(ToOwned::to_owned);
    let arguments = [own.as_slice(), &others].concat();
    let output = Harness::named("reflected").run(&arguments, &environment);
    assert_eq!(output.status, 0, "{output:?}");
    for target in own {
        let part = format!("== {target}\nestablished\n");
        assert!(output.report.contains(&part), "{}", output.report);
    }
    for target in others {
        let part = format!(
            "== {target}\ninitiator: FAILURE\nminor: ntlmssp: the challenge is one of this very \
             process, "
        );
        assert!(output.report.contains(&part), "{}", output.report);
    }
}

//! MS-SPNG sections 3.2 and 3.3: what each role does, and the example of section 4.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use ntlm::{self, Accounts, Credential, Host, Ntlm, UserName, context_flag};
use spnego::negotiate::script::{Script, Scripted};
use spnego::negotiate::{Acceptor, Initiator, Mech as _, Step};
use spnego::oid::{IAKERB, KRB5, KRB5_MS, NEGOEX, NTLMSSP};
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

use crate::programs::{self, OURS, has_line, pair, realm};
use crate::support::{part_of, unhex};
use crate::talk::*;

// ---- 3.2.5 ----

/// 3.2.5-1 SHOULD "server SHOULD ignore the negHints field"
///
/// An offer with them, well-formed inside or not, is answered as the one without.
#[test]
fn ms_spng_3_2_5_1_hints_of_a_client_are_ignored() {
    let script = Script::new(KRB5, 2);
    let list = element(0xa0, MechList::encode(&[KRB5]).der());
    let token = element(0xa2, &element(0x04, &script.token(0)));
    let answer = |fields: &[&[u8]]| {
        Server::new(acceptor([script.clone()]))
            .hears(&init_of(fields))
            .unwrap()
    };
    let plain = answer(&[&list, &token]);
    assert!(plain.complete);
    let name = element(0xa0, &element(0x1b, b"server$@REALM"));
    for hints in [&name[..], b"", &[0xff; 20]] {
        let hints = element(0xa3, &element(0x30, hints));
        assert_eq!(answer(&[&list, &token, &hints]), plain);
    }
}

/// 3.2.5-2 MUST "server MUST use the erroneous Kerberos value (1.2.840.48018.1.2.2) as the supportedMech field"
///
/// Kerberos is answered by the identifier under which it was offered, whichever that is.
#[test]
fn ms_spng_3_2_5_2_kerberos_is_answered_as_it_was_offered() {
    let krb5 = Script::new(KRB5, 2);
    for (offered, answered) in [
        (&[KRB5_MS, KRB5, NTLMSSP][..], KRB5_MS),
        (&[KRB5_MS], KRB5_MS),
        (&[KRB5, KRB5_MS], KRB5),
    ] {
        for token in [Some(krb5.token(0)), None] {
            let mut server = Server::new(acceptor([krb5.clone()]));
            let reply = server.hears(&offer(offered, token.as_deref())).unwrap();
            let reply = reply.token.unwrap();
            let named = NegTokenResp::decode(&reply).unwrap().supported_mech;
            assert_eq!(named, Some(answered.content()));
        }
    }
}

/// 3.2.5-3 SHOULD "SPNG server SHOULD invoke Send Fragmented Messages"
///
/// When its token is over the size, and while pieces remain.
#[test]
fn ms_spng_3_2_5_3_server_cuts_what_is_too_large() {
    let script = Script::new(KRB5, 2);
    let offer = offer(&[KRB5], Some(&script.token(0)));
    let whole = Server::new(acceptor([script.clone()]))
        .hears(&offer)
        .unwrap()
        .token
        .unwrap();
    for size in [5, 10, whole.len() - 1] {
        let mut server = Talker::new(
            Acceptor::<Scripted>::Start,
            acceptor([script.clone()]),
            size,
        );
        let mut sent = server.hears(&offer).unwrap().token.unwrap();
        assert_eq!(sent.len(), size);
        while sent.len() < whole.len() {
            let piece = server.hears(b"").unwrap().token.unwrap();
            assert!(piece.len() <= size);
            sent.extend(piece);
        }
        assert_eq!(sent, whole);
    }
    let mut server = Talker::new(Acceptor::<Scripted>::Start, acceptor([script]), whole.len());
    assert!(server.hears(&offer).unwrap().complete);
}

/// 3.2.5-4 MUST "server MUST invoke Receive Fragmented Messages"
///
/// For the first message and for later ones. On MIT the first piece has to hold header and identifier
/// for the library to know whose it is.
#[test]
fn ms_spng_3_2_5_4_server_puts_pieces_together() {
    let script = Script::new(KRB5, 4);
    let first = offer(&[KRB5], Some(&script.token(0)));
    let later = NegTokenResp {
        response_token: Some(&script.token(2)),
        ..NegTokenResp::default()
    };
    for size in [1, 2, 7] {
        let mut server = Talker::new(Acceptor::<Scripted>::Start, acceptor([script.clone()]), 0);
        let mut last = None;
        for message in [&first, &later.encode()] {
            for piece in message.chunks(size) {
                last = Some(server.hears(piece).unwrap());
            }
        }
        assert!(last.unwrap().complete);
    }
    let Some(realm) = realm() else { return };
    let report = pair(realm)
        .options("messages=no i.cut=1 i.cut.first=12")
        .run(OURS)
        .ok();
    for role in ["initiator", "acceptor"] {
        assert!(has_line(part_of(&report, role), "established"), "{report}");
    }
}

// ---- 3.2.5.1 and 3.3.5.1: NTLM's key stream ----

/// An initiator and an acceptor of our NTLM, established.
fn ntlm() -> (Ntlm, Ntlm) {
    let credential = Credential::from_password(UserName::parse("DOMAIN\\User"), "Password");
    let accounts = Accounts::parse(b"DOMAIN:user:Password\n");
    let host = Host::named("host.example.org", None, None);
    let initiate = ntlm::Initiate {
        credential: &credential,
        target: Some("HTTP/host.example.org"),
        bindings: None,
        host: &host,
        machine: &host,
        context_flags: context_flag::INTEGRITY | context_flag::CONFIDENTIALITY,
    };
    let accept = ntlm::Accept {
        accounts: &accounts,
        host: &host,
        acceptor: ntlm::Acceptor {
            service: None,
            machine: &host,
            bindings: None,
        },
        require_mic: true,
    };
    let (mut initiator, step) = Ntlm::initiate(&initiate).unwrap();
    let Step::Continue(token) = step else {
        panic!("NEGOTIATE")
    };
    let (mut acceptor, step) = Ntlm::accept(&token, &accept).unwrap();
    let Step::Continue(token) = step else {
        panic!("CHALLENGE")
    };
    let step = initiator.continue_initiate(&token, &initiate).unwrap();
    let Step::Done(Some(token)) = step else {
        panic!("AUTHENTICATE")
    };
    assert_eq!(
        acceptor.continue_accept(&token, &accept).unwrap(),
        Step::Done(None)
    );
    (initiator, acceptor)
}

/// The same context twice, with the same keys in the same state.
fn twins(context: Ntlm) -> (Ntlm, Ntlm) {
    let octets = context.export().unwrap();
    let again = || Ntlm::import(octets.expose()).unwrap();
    (again(), again())
}

/// What of a sealed message depends on the state of the cipher and not on the sequence number.
fn sealed(context: &Ntlm) -> Vec<u8> {
    context
        .wrap(b"the first message of the application")
        .unwrap()[16..]
        .to_vec()
}

/// The octets of the key stream that hid a signature's checksum (MS-NLMP 3.4.4.2), found from the
/// session key alone.
fn key_stream(signature: &[u8], key: &[u8; 16], direction: &str, message: &[u8]) -> Vec<u8> {
    let magic = format!("session key to {direction} signing key magic constant\0");
    let signing_key = Md5::new().chain_update(key).chain_update(magic).finalize();
    let mut mac = Hmac::<Md5>::new_from_slice(&signing_key).unwrap();
    mac.update(&signature[12..]);
    mac.update(message);
    let checksum = mac.finalize().into_bytes();
    let pairs = signature[4..12].iter().zip(&checksum[..8]);
    pairs.map(|(hidden, plain)| hidden ^ plain).collect()
}

const TO_SERVER: &str = "client-to-server";
const TO_CLIENT: &str = "server-to-client";

/// 3.2.5.1-1 MUST "SPNG server MUST set OriginalHandle to ServerHandle before generating the mechListMIC"
///
/// A server that made a mechListMIC seals its next message as one that made none.
#[test]
fn ms_spng_3_2_5_1_1_server_puts_its_key_stream_back_after_its_mic() {
    let (mut with, without) = twins(ntlm().1);
    let mic = with.sign(b"list").unwrap();
    assert_ne!(
        mic,
        with.sign(b"list").unwrap(),
        "the sequence number goes on"
    );
    assert_eq!(sealed(&with), sealed(&without));
    // A message's own MIC does move it.
    let (with, without) = twins(ntlm().1);
    with.mic(b"message").unwrap();
    assert_ne!(sealed(&with), sealed(&without));
}

/// 3.2.5.1-2 - "results in the RC4 key state being the same for the mechListMIC and for the first message signed by the application"
///
/// The server's mechListMIC and its first signature are hidden by the same octets of the key stream;
/// gss-ntlmssp understands the messages after it.
#[test]
fn ms_spng_3_2_5_1_2_servers_mic_and_first_signature_have_one_key_stream() {
    let mut server = ntlm().1;
    let key = *server.session_key().unwrap();
    let mic = server.sign(b"list").unwrap();
    let first = server.mic(b"first").unwrap();
    let second = server.mic(b"second").unwrap();
    let of_mic = key_stream(&mic, &key, TO_CLIENT, b"list");
    assert_eq!(of_mic, key_stream(&first, &key, TO_CLIENT, b"first"));
    assert_ne!(of_mic, key_stream(&second, &key, TO_CLIENT, b"second"));
    assert_messages_pass(programs::Ntlm::System, programs::Ntlm::Own);
}

/// Every first message between these two is understood, sealed or signed.
#[track_caller]
fn assert_messages_pass(initiator: programs::Ntlm, acceptor: programs::Ntlm) {
    let Some(realm) = realm() else { return };
    for traffic in ["sealed", "signed", "sealed-only"] {
        let Some(report) = programs::ntlm(realm, initiator, acceptor, traffic) else {
            return;
        };
        for role in ["initiator", "acceptor"] {
            assert!(
                has_line(part_of(&report, role), "established"),
                "{traffic}: {report}"
            );
        }
        assert!(report.contains("mic=yes"), "{traffic}: {report}");
        for complaint in ["BAD_MIC", "GAP_TOKEN", "not as sent", "UNAVAILABLE"] {
            assert!(!report.contains(complaint), "{traffic}: {report}");
        }
    }
}

/// 3.2.5.1-3 MUST "SPNEGO Extension server MUST set OriginalHandle to ClientHandle before validating the mechListMIC"
///
/// A server that verified the client's mechListMIC reads the client's next message as one that verified
/// none, but for the sequence number; a wrong mechListMIC moves nothing.
#[test]
fn ms_spng_3_2_5_1_3_server_puts_the_clients_key_stream_back_after_its_mic() {
    let (mut client, mut server) = ntlm();
    let mic = client.sign(b"list").unwrap();
    assert!(server.verify(b"another list", &mic).is_err());
    server.verify(b"list", &mic).unwrap();
    let first = client.wrap(b"first").unwrap();
    assert_eq!(server.unwrap(&first).unwrap(), b"first");
    // Without the exchange the same message has the same octets, but for its number.
    let (mut with, without) = twins(ntlm().0);
    with.sign(b"list").unwrap();
    assert_eq!(sealed(&with), sealed(&without));
}

// ---- 3.2.5.2 ----

/// 3.2.5.2-1 - "no context establishment token is expected from the server"
///
/// A client begins without one, and one that ignored the server's goes on all the same.
#[test]
fn ms_spng_3_2_5_2_1_client_waits_for_no_token_of_the_server() {
    let script = Script::new(KRB5, 2);
    let (mut client, offer) = Client::offering(initiator([script.clone()]));
    let mut server = Server::new(acceptor([script]));
    server.hears(b"").unwrap();
    let answer = server.hears(&offer).unwrap();
    assert!(answer.complete);
    assert!(client.hears(&answer.token.unwrap()).unwrap().complete);
}

/// 3.2.5.2-2 - "when GSS_Accept_sec_context() is called without an input_token"
///
/// An empty token brings a NegTokenInit2, and the negotiation goes on from there.
#[test]
fn ms_spng_3_2_5_2_2_server_called_without_a_token_speaks_first() {
    let Some(realm) = realm() else { return };
    for first in ["fed", "ignored"] {
        let report = pair(realm)
            .with(format!("first={first}"))
            .options("messages=no")
            .run(OURS)
            .ok();
        let part = part_of(&report, "acceptor");
        assert!(
            has_line(part, "sends: NegTokenInit mechs=krb5 negHints=yes"),
            "{report}"
        );
        for role in ["initiator", "acceptor"] {
            assert!(has_line(part_of(&report, role), "established"), "{report}");
        }
    }
}

/// 3.2.5.2-3 - "includes the OIDs of the security protocols that are present and available on the server in the mechTypes field"
///
/// Those of which the server has a credential; without any it fails and says why.
#[test]
fn ms_spng_3_2_5_2_3_hints_name_what_the_server_can_accept() {
    use spnego::error::Cause;
    let keyless = Script::new(KRB5, 2).failing(0, Cause::Unusable);
    let mut server = Server::new(acceptor([keyless.clone(), Script::new(NTLMSSP, 3)]));
    let hints = server.hears(b"").unwrap().token.unwrap();
    let read = NegTokenInit::decode(&hints).unwrap();
    assert_eq!(read.mech_types, MechList::encode(&[NTLMSSP]));
    let failure = Server::new(acceptor([keyless])).hears(b"").unwrap_err();
    assert_eq!(failure.error.sentences().len(), 1);
    assert_eq!(failure.reject, None);
}

/// 3.2.5.2-4 - "expressed as ANSI encoding"
///
/// The text is octet for octet the one of the specification.
#[test]
fn ms_spng_3_2_5_2_4_hint_name_is_the_text_in_iso_8859_1() {
    let hints = Server::new(acceptor([Script::new(KRB5, 2)]))
        .hears(b"")
        .unwrap()
        .token
        .unwrap();
    let text: Vec<u8> = "not_defined_in_RFC4178@please_ignore"
        .chars()
        .map(|sign| u8::try_from(u32::from(sign)).unwrap())
        .collect();
    assert_eq!(hints[hints.len() - text.len() - 2..], element(0x1b, &text));
}

/// 3.2.5.2-5 MUST "hintAddress field MUST be omitted and not transmitted"
///
/// negHints end with hintName.
#[test]
fn ms_spng_3_2_5_2_5_hint_address_is_not_transmitted() {
    for scripts in [
        vec![Script::new(KRB5, 2)],
        vec![Script::new(IAKERB, 2), Script::new(NTLMSSP, 3)],
    ] {
        let mechs: Vec<_> = scripts.iter().map(|script| script.mech).collect();
        let hints = Server::new(acceptor(scripts))
            .hears(b"")
            .unwrap()
            .token
            .unwrap();
        let name = element(
            0xa0,
            &element(0x1b, b"not_defined_in_RFC4178@please_ignore"),
        );
        let list = element(0xa0, MechList::encode(&mechs).der());
        assert_eq!(
            hints,
            init_of(&[&list, &element(0xa3, &element(0x30, &name))])
        );
    }
}

/// 3.2.5.2-6 SHOULD "configured locale on the computer SHOULD be used for the resulting character set"
///
/// The text is ASCII, which is the same in every character set; no locale is asked.
#[test]
fn ms_spng_3_2_5_2_6_hint_name_is_the_same_in_every_locale() {
    let Some(realm) = realm() else { return };
    let report = programs::fed(realm, "acceptor", "hex feed");
    let octets = report
        .lines()
        .find_map(|line| line.strip_prefix("  octets: "))
        .unwrap();
    let octets = unhex(octets);
    let name = octets
        .windows(2)
        .rposition(|pair| pair == [0x1b, 36])
        .unwrap()
        + 2;
    assert_eq!(octets.len() - name, 36);
    assert!(octets[name..].iter().all(u8::is_ascii_graphic));
}

// ---- 3.3 ----

/// 3.3.3-1 MUST "client MUST request Mutual Authentication services"
///
/// The client that asks is the program: the parameters of section 3.1.1 are what a caller wants, which
/// SPNEGO passes through and does not act on. Deviates, if SPNEGO itself is meant: mutual
/// authentication is asked of the mechanism exactly when the program asks for it, since more would
/// change what its mechanism does and tells.
#[test]
fn ms_spng_3_3_3_1_mutual_authentication_is_asked_for_when_the_program_asks() {
    let Some(realm) = realm() else { return };
    for (flags, mutual) in [("mutual", true), ("none", false), ("integ,replay", false)] {
        let report = pair(realm)
            .with(format!("flags={flags}"))
            .options("messages=no")
            .run(OURS)
            .ok();
        for role in ["initiator", "acceptor"] {
            let part = part_of(&report, role);
            assert!(has_line(part, "established"), "{report}");
            let line = part
                .lines()
                .rfind(|line| line.contains(" flags: "))
                .unwrap();
            assert_eq!(line.contains("mutual"), mutual, "{flags}: {report}");
        }
    }
}

/// 3.3.5-1 SHOULD "client SHOULD invoke Send Fragmented Messages"
///
/// When its token is over the size, and while pieces remain.
#[test]
fn ms_spng_3_3_5_1_client_cuts_what_is_too_large() {
    let script = Script::new(KRB5, 3);
    let (mut plain, whole) = Client::offering(initiator([script.clone()]));
    let answer = NegTokenResp {
        supported_mech: Some(KRB5.content()),
        response_token: Some(&script.token(1)),
        ..says(NegState::AcceptIncomplete)
    }
    .encode();
    let second = plain.hears(&answer).unwrap().token.unwrap();
    for size in [5, 10, 30] {
        let mut client = Talker::new(Initiator::Start, initiator([script.clone()]), size);
        for (heard, message) in [(&b""[..], &whole), (&answer, &second)] {
            let mut sent = client.hears(heard).unwrap().token.unwrap();
            assert_eq!(sent.len(), size);
            while sent.len() < message.len() {
                let piece = client.hears(b"").unwrap().token.unwrap();
                assert!(piece.len() <= size);
                sent.extend(piece);
            }
            assert_eq!(sent, *message);
        }
    }
}

/// 3.3.5-2 MUST "server MUST invoke Receive Fragmented Messages"
///
/// The client, which must be meant: the sentence stands in its section.
#[test]
fn ms_spng_3_3_5_2_client_puts_pieces_together() {
    let script = Script::new(KRB5, 2);
    let answer = NegTokenResp {
        supported_mech: Some(KRB5.content()),
        response_token: Some(&script.token(1)),
        ..says(NegState::AcceptCompleted)
    }
    .encode();
    for size in [1, 2, 7] {
        let mut client = Talker::new(Initiator::Start, initiator([script.clone()]), 0);
        client.hears(b"").unwrap();
        let replies: Vec<_> = answer
            .chunks(size)
            .map(|piece| client.hears(piece).unwrap())
            .collect();
        let (last, before) = replies.split_last().unwrap();
        assert!(before.iter().all(|reply| *reply == WAITING));
        assert!(last.complete);
    }
    let Some(realm) = realm() else { return };
    let report = pair(realm).options("messages=no a.cut=1").run(OURS).ok();
    for role in ["initiator", "acceptor"] {
        assert!(has_line(part_of(&report, role), "established"), "{report}");
    }
    assert!(
        !report.contains("not answered by the empty token"),
        "{report}"
    );
}

/// 3.3.5-3 SHOULD, MUST "client SHOULD <10> accept the message without returning an error, but MUST ignore the new supportedMech field"
///
/// Whatever a later supportedMech names, the mechanism stays.
#[test]
fn ms_spng_3_3_5_3_later_supported_mech_is_accepted_and_ignored() {
    for named in [
        KRB5.content(),
        NTLMSSP.content(),
        NEGOEX.content(),
        &[0x2a; 60],
    ] {
        let script = Script::new(KRB5, 4);
        let scripts = [script, Script::new(NTLMSSP, 3)];
        let outcome = meddled(initiator(scripts.clone()), acceptor(scripts), 3, |token| {
            token.supported_mech = Some(named);
        });
        assert_eq!(ends(&outcome), both(KRB5));
    }
}

/// 3.3.5.1-1 MUST "client MUST set OriginalHandle to ClientHandle before generating the mechListMIC"
///
/// A client that made a mechListMIC seals its next message as one that made none.
#[test]
fn ms_spng_3_3_5_1_1_client_puts_its_key_stream_back_after_its_mic() {
    let (mut with, without) = twins(ntlm().0);
    let mic = with.sign(b"list").unwrap();
    assert_ne!(
        mic,
        with.sign(b"list").unwrap(),
        "the sequence number goes on"
    );
    assert_eq!(sealed(&with), sealed(&without));
    let (with, without) = twins(ntlm().0);
    with.mic(b"message").unwrap();
    assert_ne!(sealed(&with), sealed(&without));
}

/// 3.3.5.1-2 - "results in the RC4 key state being the same for the mechListMIC and for the first message signed by the application"
///
/// The client's mechListMIC and its first signature are hidden by the same octets of the key stream;
/// gss-ntlmssp understands the messages after it.
#[test]
fn ms_spng_3_3_5_1_2_clients_mic_and_first_signature_have_one_key_stream() {
    let mut client = ntlm().0;
    let key = *client.session_key().unwrap();
    let mic = client.sign(b"list").unwrap();
    let first = client.mic(b"first").unwrap();
    let second = client.mic(b"second").unwrap();
    let of_mic = key_stream(&mic, &key, TO_SERVER, b"list");
    assert_eq!(of_mic, key_stream(&first, &key, TO_SERVER, b"first"));
    assert_ne!(of_mic, key_stream(&second, &key, TO_SERVER, b"second"));
    assert_messages_pass(programs::Ntlm::Own, programs::Ntlm::System);
}

/// 3.3.5.1-3 MUST "SPNEGO Extension server MUST set OriginalHandle to ServerHandle before validating the mechListMIC"
///
/// The client, which must be meant, reads the server's next message after its mechListMIC as if that
/// had not been.
#[test]
fn ms_spng_3_3_5_1_3_client_puts_the_servers_key_stream_back_after_its_mic() {
    let (mut client, mut server) = ntlm();
    let mic = server.sign(b"list").unwrap();
    assert!(client.verify(b"another list", &mic).is_err());
    client.verify(b"list", &mic).unwrap();
    let first = server.wrap(b"first").unwrap();
    assert_eq!(client.unwrap(&first).unwrap(), b"first");
    let second = server.mic(b"second").unwrap();
    client.verify_mic(b"second", &second).unwrap();
}

/// 3.3.5.2-1 SHOULD "client SHOULD process messages for the received token"
///
/// A client that has sent nothing takes a NegTokenInit2 to save a useless optimistic token, and for
/// nothing else, since nothing protects it; one that waits for an answer refuses it.
#[test]
fn ms_spng_3_3_5_2_1_hints_save_a_useless_token_and_change_nothing_else() {
    let scripts = [Script::new(KRB5, 2), Script::new(NTLMSSP, 3)];
    for (hinted, has_token) in [
        (&[NTLMSSP][..], false),
        (&[NTLMSSP, KRB5], true),
        (&[KRB5_MS], true),
        (&[NEGOEX], false),
    ] {
        let hints = NegTokenInit::decode(&offer(hinted, None))
            .unwrap()
            .encode_init2();
        let (_, offer) = Client::invited(Some(&hints), initiator(scripts.clone()));
        let read = NegTokenInit::decode(&offer).unwrap();
        assert_eq!(read.mech_types, MechList::encode(&[KRB5, NTLMSSP]));
        assert_eq!(read.mech_token.is_some(), has_token, "{hinted:?}");
        let (mut waiting, _) = Client::offering(initiator(scripts.clone()));
        assert!(waiting.hears(&hints).is_err());
    }
}

// ---- 4 ----

/// The annotated NegTokenInit2 of a local logon.
const EXAMPLE: &str = "
    6082015d06062b0601050502a08201513082014da01a3018060a2b06010401823702021e060a2b06010401823702020a
    a28201010481fe4e45474f455854530100000000000000600000007000000 0cffa11765e12599a347d766852bfce7097
    458710bb8242b4c7dfbad2da897aa311a7d868463430952562dc13c554f2010000000000000000600000000100000000
    000000000000005c33530deaf90d4db2ec4ae3786ec3084e45474f455854530300000001000000400000008e000000cf
    fa11765e12599a347d766852bfce705c33530deaf90d4db2ec4ae3786ec308400000004e000000304ca04a3048302a80
    28302631243022060355040313 1b584d4c50726f766964657220496e7465726d656469617465204341301a8018301631
    14301206035504031 30b584d4c50726f7669646572a32a3028a0261b246e6f745f646566696e65645f696e5f52464334
    31373840706c656173655f69676e6f7265";

/// 4-1 - "ASN.1 encoded NegTokenInit2 (section 2.2.1) message"
///
/// The example is read to its last octet and written back the same. As an invitation and as an offer it
/// is negotiated past: its NEGOEX is passed over, with its token, and NTLM is established.
#[test]
fn ms_spng_4_1_example_is_read_to_its_last_octet_and_negotiated_past() {
    let token = unhex(EXAMPLE);
    assert_eq!(token.len(), 0x161);
    let read = NegTokenInit::decode(&token).unwrap();
    assert_eq!(read.mech_types, MechList::encode(&[NEGOEX, NTLMSSP]));
    assert_eq!(read.mech_list_mic, None);
    let mech_token = read.mech_token.unwrap();
    assert!(mech_token.starts_with(b"NEGOEXTS") && mech_token.len() == 254);
    assert_eq!(read.encode_init2(), token);
    for end in 0..token.len() {
        assert!(NegTokenInit::decode(&token[..end]).is_err());
    }

    // A client that is invited by it negotiates with a server that has the same.
    let ntlm = Script::new(NTLMSSP, 3);
    for scripts in [vec![ntlm.clone()], vec![Script::new(KRB5, 2), ntlm.clone()]] {
        let (mut client, mut sent) = Client::invited(Some(&token), initiator(scripts));
        let mut server = Server::new(acceptor([ntlm.clone()]));
        while let Some(answer) = server.hears(&sent).unwrap().token {
            match client.hears(&answer).unwrap().token {
                Some(next) => sent = next,
                None => break,
            }
        }
        assert_eq!(
            (client.established(), server.established()),
            (Some(NTLMSSP), Some(NTLMSSP))
        );
    }

    // The plugin, invited by it, offers what it has, and saves the token.
    if let Some(realm) = realm() {
        let digits: String = EXAMPLE.split_whitespace().collect();
        let report = programs::fed(realm, "initiator", &format!("hex feed={digits}"));
        let offer = report
            .lines()
            .find_map(|line| line.strip_prefix("  octets: "));
        let offer = unhex(offer.unwrap());
        let scripts = ["2.25.7301.1", "2.25.7301.2"].map(|script| script.parse().unwrap());
        let read = NegTokenInit::decode(&offer).unwrap();
        assert_eq!(read.mech_types, MechList::encode(&scripts));
        assert_eq!(read.mech_token, None);
    }

    // A server that is offered it takes NTLM, and its peer goes on with that.
    let mut server = Server::new(acceptor([ntlm.clone()]));
    let answer = server.hears(&token).unwrap().token.unwrap();
    assert_eq!(describe(&answer), "request-mic mech");
    let next = NegTokenResp {
        response_token: Some(&ntlm.token(0)),
        ..NegTokenResp::default()
    };
    assert!(describe(&server.hears(&next.encode()).unwrap().token.unwrap()).ends_with("token"));
    use spnego::role::Role;
    let last = NegTokenResp {
        response_token: Some(&ntlm.token(2)),
        mech_list_mic: Some(&mic_over(read.mech_types.der(), Role::Initiator, &ntlm)),
        ..NegTokenResp::default()
    };
    assert!(server.hears(&last.encode()).unwrap().complete);
    assert_eq!(server.established(), Some(NTLMSSP));
}

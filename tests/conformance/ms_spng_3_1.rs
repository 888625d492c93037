//! MS-SPNG section 3.1: what both roles do, fragments above all.

use spnego::error::Error;
use spnego::negotiate::fragment::{Assembled, Assembler, Fragmenter};
use spnego::negotiate::script::{Script, Scripted};
use spnego::negotiate::{Acceptor, Initiator, Reply};
use spnego::oid::{KRB5, KRB5_MS, KRB5_OLD, KRB5_U2U, NTLMSSP};
use spnego::wire::spnego::{MechList, NegTokenInit, NegTokenResp};

use crate::programs::{OURS, fed, has_line, pair, realm};
use crate::support::{Pairing, part_of};
use crate::talk::*;

type Start = Acceptor<Scripted>;

// ---- 3.1.1 ----

/// 3.1.1-1 - "They are passed through to the underlying security protocols as an indication of the caller's eventual plans"
///
/// The flags of the program go to the mechanism, integrity added; those it granted come back.
#[test]
fn ms_spng_3_1_1_1_parameters_of_the_caller_reach_the_mechanism() {
    let Some(realm) = realm() else { return };
    for flag in ["replay", "seq", "mutual", "deleg"] {
        let granted = |flags: &str| {
            let report = pair(realm)
                .with(format!("flags={flags}"))
                .options("messages=no")
                .run(OURS)
                .ok();
            let part = part_of(&report, "acceptor").to_owned();
            assert!(has_line(&part, "established"), "{report}");
            let line = part
                .lines()
                .rfind(|line| line.contains(" flags: "))
                .unwrap()
                .to_owned();
            let given = line.split_once("flags: ").unwrap().1.to_owned();
            given.split(',').any(|given| given == flag)
        };
        assert!(granted(flag), "{flag}");
        assert!(!granted("none"), "{flag}");
    }
}

/// 3.1.1-2 MUST "client and server MUST authenticate each other"
///
/// With GSS_C_MUTUAL_FLAG the client is not established before the server has proved itself.
#[test]
fn ms_spng_3_1_1_2_mutual_authentication_waits_for_the_servers_proof() {
    let Some(realm) = realm() else { return };
    let legs = |flags: &str| {
        let report = pair(realm)
            .with(format!("flags={flags}"))
            .options("messages=no")
            .run(OURS)
            .ok();
        let acceptor = part_of(&report, "acceptor").to_owned();
        assert!(
            has_line(part_of(&report, "initiator"), "established"),
            "{report}"
        );
        acceptor.contains("token=krb5:ap-rep")
    };
    assert!(legs("mutual"));
    assert!(!legs("none"));
    // Without that proof there is no context.
    let report = pair(realm)
        .options("flags=mutual messages=no a.mutate.1=flip:-1")
        .run(OURS)
        .ok();
    assert!(
        has_line(part_of(&report, "initiator"), "not established"),
        "{report}"
    );
}

/// 3.1.1-3 SHOULD NOT "only for legacy purposes and SHOULD NOT be filled in"
///
/// reqFlags are never written, whatever flags the program asks for.
#[test]
fn ms_spng_3_1_1_3_req_flags_are_not_filled_in() {
    let Some(realm) = realm() else { return };
    let report = pair(realm)
        .options("flags=mutual,replay,seq,conf,integ,deleg messages=no")
        .run(OURS)
        .ok();
    let part = part_of(&report, "initiator");
    let offer = part
        .lines()
        .find(|line| line.contains("sends: NegTokenInit"))
        .unwrap();
    assert!(!offer.contains("reqFlags"), "{offer}");
    let (_, offer) = Client::offering(initiator([Script::new(KRB5, 2)]));
    assert_eq!(field_tags(&offer), [0xa0, 0xa2]);
}

/// 3.1.1-4 - "caller directs the underlying protocol to fragment messages"
///
/// By setting a maximum size; 0, the default, is FragmentToFit FALSE.
#[test]
fn ms_spng_3_1_1_4_fragments_are_made_when_a_size_is_set() {
    let script = Script::new(KRB5, 2);
    let mut whole = Talker::new(Initiator::Start, initiator([script.clone()]), 0);
    let offer = whole.hears(b"").unwrap().token.unwrap();
    assert!(NegTokenInit::decode(&offer).is_ok());
    let mut cut = Talker::new(Initiator::Start, initiator([script.clone()]), 20);
    assert_eq!(cut.hears(b"").unwrap().token.unwrap(), offer[..20]);
    let mut fits = Talker::new(Initiator::Start, initiator([script]), offer.len());
    assert_eq!(fits.hears(b"").unwrap().token.unwrap(), offer);
}

/// 3.1.1-5 MUST "This value MUST be at least 5 bytes to contain the entire ASN.1 header"
///
/// A smaller one, but for 0, is refused with the reason, as an option of a credential and of a context.
#[test]
fn ms_spng_3_1_1_5_maximum_size_is_at_least_five() {
    let Some(realm) = realm() else { return };
    let reason = "the maximum output token size is 0 (no limit) or at least 5 octets";
    for (size, accepted) in [("1", false), ("4", false), ("5", true), ("0", true)] {
        for role in ["initiator", "acceptor"] {
            let report = fed(
                realm,
                role,
                &format!("acquire cred={size} feed context={size}"),
            );
            let complete = report.matches("option: COMPLETE").count();
            assert_eq!(complete, if accepted { 2 } else { 0 }, "{report}");
            assert_eq!(report.matches(reason).count(), 2 - complete, "{report}");
        }
    }
}

// ---- 3.1.5 ----

/// 3.1.5.2-1 SHOULD "An implementation SHOULD <9> use the standard Kerberos OID"
///
/// Kerberos is offered under 1.2.840.113554.1.2.2 alone, and read under all three of its identifiers.
/// User-to-user is another mechanism (1.2.840.113554.1.2.2.3), offered only where the library has it,
/// which none of ours does.
#[test]
fn ms_spng_3_1_5_2_1_kerberos_goes_by_its_standard_identifier() {
    assert_eq!(KRB5.to_string(), "1.2.840.113554.1.2.2");
    assert_eq!(KRB5_U2U.to_string(), "1.2.840.113554.1.2.2.3");
    let krb5 = Script::new(KRB5, 2);
    for other in [KRB5, KRB5_MS, KRB5_OLD] {
        let mut server = Server::new(acceptor([krb5.clone()]));
        server
            .hears(&offer(&[other], Some(&krb5.token(0))))
            .unwrap();
        assert_eq!(server.established(), Some(KRB5));
    }
    // Neither stands for the other.
    assert!(
        Server::new(acceptor([krb5]))
            .hears(&offer(&[KRB5_U2U], None))
            .is_err()
    );
    let mut server = Server::new(acceptor([Script::new(KRB5_U2U, 2)]));
    let reply = server
        .hears(&offer(&[KRB5, KRB5_U2U], None))
        .unwrap()
        .token
        .unwrap();
    let named = NegTokenResp::decode(&reply).unwrap().supported_mech;
    assert_eq!(named, Some(KRB5_U2U.content()));

    let Some(realm) = realm() else { return };
    let report = pair(realm).options("messages=no").run(OURS).ok();
    let part = part_of(&report, "initiator");
    assert!(
        has_line(part, "sends: NegTokenInit mechs=krb5 mechToken=krb5:ap-req"),
        "{report}"
    );
}

/// 3.1.5.3-1 MUST "MUST ignore the reqFlags, if present"
///
/// An offer with them is answered as the one without.
#[test]
fn ms_spng_3_1_5_3_1_req_flags_of_a_client_are_ignored() {
    let script = Script::new(KRB5, 2);
    let list = element(0xa0, MechList::encode(&[KRB5]).der());
    let token = element(0xa2, &element(0x04, &script.token(0)));
    let answer = |fields: &[&[u8]]| {
        let mut server = Server::new(acceptor([script.clone()]));
        (
            server.hears(&init_of(fields)).unwrap(),
            server.established(),
        )
    };
    let plain = answer(&[&list, &token]);
    assert!(plain.0.complete);
    for flags in [
        &[0x03, 2, 1, 0x02][..],
        &[0x03, 2, 1, 0xfe],
        &[0x30, 0],
        b"",
    ] {
        assert_eq!(answer(&[&list, &element(0xa1, flags), &token]), plain);
    }
}

// ---- 3.1.5.4: the first piece ----

/// The offer of a client in pieces of this size, and the client after the first.
fn cut_offer(size: usize) -> (Talker<Initiator<Scripted>>, Vec<u8>, Reply) {
    let script = Script::new(KRB5, 2);
    let (_, whole) = Client::offering(initiator([script.clone()]));
    let mut client = Talker::new(Initiator::Start, initiator([script]), size);
    let first = client.hears(b"").unwrap();
    (client, whole, first)
}

/// 3.1.5.4-1 MUST "can be returned to the caller. MUST be greater than 5"
///
/// Deviates: 5 itself is taken, for 3.1.1 and 3.1.5.6 say "at least 5", and five octets hold the
/// header of a message of up to 16 MiB.
#[test]
fn ms_spng_3_1_5_4_1_five_octets_are_enough() {
    for size in [5, 6] {
        let (mut client, whole, first) = cut_offer(size);
        let mut sent = first.token.unwrap();
        assert_eq!(sent.len(), size);
        while sent.len() < whole.len() {
            sent.extend(client.hears(b"").unwrap().token.unwrap());
        }
        assert_eq!(sent, whole);
    }
}

/// 3.1.5.4-2 - "Set OutputToken to first MaxOutputTokenSize bytes of RemainingOutputToken"
///
/// Yes.
#[test]
fn ms_spng_3_1_5_4_2_first_piece_is_of_the_maximum_size() {
    for size in [5, 6, 7, 13, 40] {
        let (_, whole, first) = cut_offer(size);
        assert_eq!(first.token.unwrap(), whole[..size]);
    }
}

// ---- 3.1.5.5: further pieces ----

/// 3.1.5.5-1 MUST "returned to the caller. MUST be greater than 5"
///
/// Deviates: 5 itself is taken, as for the first piece. A size that was changed under way counts from
/// the next piece on.
#[test]
fn ms_spng_3_1_5_5_1_later_pieces_are_of_the_size_then_in_force() {
    let (mut client, whole, _) = cut_offer(5);
    client.side.rules.max_output_token_size = 8;
    assert_eq!(client.hears(b"").unwrap().token.unwrap(), whole[5..13]);
    client.side.rules.max_output_token_size = 5;
    assert_eq!(client.hears(b"").unwrap().token.unwrap(), whole[13..18]);
    client.side.rules.max_output_token_size = 0;
    assert_eq!(client.hears(b"").unwrap().token.unwrap(), whole[18..]);
}

/// 3.1.5.5-2 - "Set OutputToken to first MaxOutputTokenSize bytes of RemainingOutputToken"
///
/// All pieces but the last are of the maximum size.
#[test]
fn ms_spng_3_1_5_5_2_pieces_are_of_the_maximum_size() {
    for size in [5, 6, 7, 13, 40] {
        let (mut client, whole, first) = cut_offer(size);
        let mut pieces = vec![first.token.unwrap()];
        while pieces.concat().len() < whole.len() {
            pieces.push(client.hears(b"").unwrap().token.unwrap());
        }
        assert_eq!(pieces, whole.chunks(size).collect::<Vec<_>>());
    }
}

/// 3.1.5.5-3 - "Set OutputToken to RemainingOutputToken Set RemainingOutputToken to empty"
///
/// The last piece is what is left, a whole one if that is as large; then nothing remains.
#[test]
fn ms_spng_3_1_5_5_3_last_piece_is_the_rest() {
    for size in 1..12 {
        for length in 1..30 {
            let message: Vec<u8> = (0..length).collect();
            let mut rest = Some(Fragmenter::new(message.clone()));
            let mut pieces = Vec::new();
            while let Some(fragmenter) = rest {
                let (piece, left) = fragmenter.next(size);
                pieces.push(piece);
                rest = left;
            }
            assert_eq!(pieces, message.chunks(size).collect::<Vec<_>>());
        }
    }
}

// ---- 3.1.5.6: sending ----

/// 3.1.5.6-1 - "first fragment includes the ASN.1 header for the message"
///
/// From the least size on, for every message that can be cut.
#[test]
fn ms_spng_3_1_5_6_1_first_piece_has_the_header() {
    let (_, whole, first) = cut_offer(5);
    let first = first.token.unwrap();
    assert_eq!(first[..2], whole[..2]);
    assert!(Assembler::begin(&first).unwrap().is_some());
    let token = vec![0; 70_000];
    let message = NegTokenResp {
        response_token: Some(&token),
        ..NegTokenResp::default()
    };
    let encoded = message.encode();
    assert_eq!(encoded[..2], [0xa1, 0x83]);
    assert!(Assembler::begin(&encoded[..5]).unwrap().is_some());
}

/// 3.1.5.6-2 - "requires that MaxOutputTokenSize be at least 5 bytes"
///
/// A smaller one in the environment is passed over.
#[test]
fn ms_spng_3_1_5_6_2_smaller_sizes_of_the_environment_are_passed_over() {
    let Some(realm) = realm() else { return };
    let largest = |size: &str| {
        let report = pair(realm)
            .options("messages=no count=yes")
            .with_variable("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", size)
            .run(OURS)
            .ok();
        let part = part_of(&report, "initiator");
        let sent = part.lines().find_map(|line| line.strip_prefix("sent: "));
        let numbers = sent.unwrap().split(' ');
        let mut numbers = numbers.filter_map(|word| word.parse::<usize>().ok());
        numbers.nth(1).unwrap()
    };
    assert_eq!(largest("100"), 100);
    for size in ["0", "1", "4"] {
        assert!(largest(size) > 300, "{size}");
    }
}

/// A server's answer in pieces of 5: the server, the first piece, and the whole answer.
fn cut_answer(script: &Script) -> (Talker<Start>, Reply, Vec<u8>) {
    let offer = offer(&[KRB5], Some(&script.token(0)));
    let whole = Server::new(acceptor([script.clone()]))
        .hears(&offer)
        .unwrap()
        .token
        .unwrap();
    let mut server = Talker::new(Start::Start, acceptor([script.clone()]), 5);
    let first = server.hears(&offer).unwrap();
    (server, first, whole)
}

/// 3.1.5.6-3 MUST "MUST return GSS_S_CONTINUE_NEEDED status ([RFC2478]) and an initial packet"
///
/// Though this side is established, if it is.
#[test]
fn ms_spng_3_1_5_6_3_first_piece_goes_with_continue_needed() {
    let (_, first, whole) = cut_answer(&Script::new(KRB5, 2));
    assert!(describe(&whole).starts_with("completed"));
    assert_eq!(first.token.unwrap(), whole[..5]);
    assert!(!first.complete);
}

/// 3.1.5.6-4 MUST "to get the next fragment, and MUST return GSS_S_CONTINUE_NEEDED status and OutputToken"
///
/// For every piece but the last, each asked for by an empty token; anything else in its place is
/// refused.
#[test]
fn ms_spng_3_1_5_6_4_each_piece_is_asked_for_and_goes_with_continue_needed() {
    let (mut server, _, whole) = cut_answer(&Script::new(KRB5, 2));
    let pieces: Vec<_> = whole.chunks(5).collect();
    for piece in &pieces[1..pieces.len() - 1] {
        let reply = server.hears(b"").unwrap();
        assert_eq!(reply.token.as_deref(), Some(*piece));
        assert!(!reply.complete);
    }
    let failure = server.hears(&whole).unwrap_err();
    assert!(matches!(failure.error, Error::PeerMisbehaved(_)));
}

/// 3.1.5.6-5 MUST "FragmentOutputToken is not set to TRUE, the SPNEGO Extension MUST return GSS_S_COMPLETE"
///
/// When the negotiation is over. Deviates: while it is not, GSS_S_CONTINUE_NEEDED goes with the last
/// piece of a token too, or the peer's next one would find no context.
#[test]
fn ms_spng_3_1_5_6_5_last_piece_of_the_last_token_completes() {
    for (tokens, complete) in [(2, true), (4, false)] {
        let (mut server, _, whole) = cut_answer(&Script::new(KRB5, tokens));
        let mut replies: Vec<Reply> = whole
            .chunks(5)
            .skip(1)
            .map(|_| server.hears(b"").unwrap())
            .collect();
        let last = replies.pop().unwrap();
        assert!(replies.iter().all(|reply| !reply.complete));
        assert_eq!(last.complete, complete);
        assert_eq!(last.token.as_deref(), whole.chunks(5).last());
    }
}

/// 3.1.5.6-6 - "does not support fragmentation ... the negotiation fails"
///
/// So it is against MIT's own SPNEGO, which puts nothing together.
#[test]
fn ms_spng_3_1_5_6_6_negotiation_fails_with_a_peer_without_fragmentation() {
    let Some(realm) = realm() else { return };
    let to_the_built_in = Pairing {
        acceptor: crate::support::Side::BuiltIn,
        ..OURS
    };
    let report = pair(realm)
        .options("i.cred=acquire i.cred.mechs=spnego i.size=100 messages=no")
        .run(to_the_built_in)
        .ok();
    assert!(
        has_line(part_of(&report, "acceptor"), "leg 1: FAILURE"),
        "{report}"
    );
    for role in ["initiator", "acceptor"] {
        assert!(
            has_line(part_of(&report, role), "not established"),
            "{report}"
        );
    }
}

// ---- 3.1.5.7 to 3.1.5.9: receiving ----

/// 3.1.5.7-1 - "Initialize TokenLength to the length of the message from the ASN.1 header"
///
/// From every form of the length, of both kinds of message; more than 262,144 octets are refused.
#[test]
fn ms_spng_3_1_5_7_1_length_is_that_of_the_header() {
    for tag in [0x60, 0xa1] {
        for (header, content) in [
            (vec![tag, 0x7f], 0x7f),
            (vec![tag, 0x81, 0x80], 0x80),
            (vec![tag, 0x82, 1, 0], 0x100),
            (vec![tag, 0x83, 1, 0, 0], 0x1_0000),
            (vec![tag, 0x84, 0, 1, 0, 0], 0x1_0000),
        ] {
            let begun = Assembler::begin(&header).unwrap().unwrap();
            let content = vec![7; content];
            let Assembled::Waiting(almost) = begun.take(&content[1..]).unwrap() else {
                panic!("one octet is missing");
            };
            let Assembled::Whole(whole) = almost.take(&[7]).unwrap() else {
                panic!("none is missing");
            };
            assert_eq!(whole, [header, content].concat());
        }
        let absurd = Assembler::begin(&[tag, 0x84, 0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(absurd.unwrap_err(), Error::InvalidToken(_)));
    }
}

/// The offer of a client, in pieces, to a server.
fn pieced(size: usize) -> (Talker<Start>, Vec<Vec<u8>>) {
    let script = Script::new(KRB5, 2);
    let offer = offer(&[KRB5, NTLMSSP], Some(&script.token(0)));
    let server = Talker::new(Start::Start, acceptor([script]), 0);
    (server, offer.chunks(size).map(<[u8]>::to_vec).collect())
}

/// 3.1.5.8-1 - "Append InputToken to ReceivedInputToken"
///
/// In the order in which they come, whatever their sizes.
#[test]
fn ms_spng_3_1_5_8_1_pieces_are_put_one_behind_the_other() {
    let script = Script::new(KRB5, 2);
    let offer = offer(&[KRB5], Some(&script.token(0)));
    for first in 1..offer.len() {
        for second in first + 1..offer.len() {
            let mut server = Talker::new(Start::Start, acceptor([script.clone()]), 0);
            server.hears(&offer[..first]).unwrap();
            server.hears(&offer[first..second]).unwrap();
            assert!(
                server.hears(&offer[second..]).unwrap().complete,
                "{first} {second}"
            );
        }
    }
}

/// 3.1.5.8-2 - "If TokenLength > length of ReceivedInputToken Set OutputToken to empty"
///
/// The negotiation sees nothing of a message before it is whole.
#[test]
fn ms_spng_3_1_5_8_2_no_octet_is_used_before_the_message_is_whole() {
    let (mut server, pieces) = pieced(1);
    for piece in &pieces[..pieces.len() - 1] {
        assert_eq!(server.hears(piece).unwrap(), WAITING);
        assert!(server.side.log.borrow().is_empty());
    }
}

/// 3.1.5.8-3 - "Set OutputToken to ReceivedInputToken Set ReceivedInputToken to empty"
///
/// The message is what was sent; more than was announced, or an empty piece, is an error.
#[test]
fn ms_spng_3_1_5_8_3_whole_message_is_handed_on_and_no_more() {
    let (mut server, pieces) = pieced(10);
    for piece in &pieces[..pieces.len() - 1] {
        server.hears(piece).unwrap();
    }
    assert!(server.hears(pieces.last().unwrap()).unwrap().complete);

    for wrong in [&b""[..], &[0; 200]] {
        let (mut server, pieces) = pieced(10);
        server.hears(&pieces[0]).unwrap();
        let failure = server.hears(wrong).unwrap_err();
        assert!(matches!(failure.error, Error::InvalidToken(_)));
        assert_eq!(describe(&failure.reject.unwrap()), "reject");
    }
}

/// 3.1.5.9-1 - "is used to determine the number of bytes necessary to assemble the complete message"
///
/// Also when the header itself comes in pieces.
#[test]
fn ms_spng_3_1_5_9_1_header_may_come_in_pieces() {
    let script = Script::new(KRB5, 2);
    let mut token = vec![7; 300];
    token[..script.token(0).len()].copy_from_slice(&script.token(0));
    let offer = offer(&[KRB5], Some(&token));
    assert_eq!(offer[..2], [0x60, 0x82]);
    for cut in 1..4 {
        let mut server = Talker::new(Start::Start, acceptor([script.clone()]), 0);
        assert_eq!(server.hears(&offer[..cut]).unwrap(), WAITING);
        assert_eq!(server.hears(&offer[cut..6]).unwrap(), WAITING);
        // Whole: the mechanism sees its token, and does not like it.
        let failure = server.hears(&offer[6..]).unwrap_err();
        assert!(matches!(failure.error, Error::Mech { .. }));
    }
}

/// 3.1.5.9-2 MUST "To receive the next fragment, SPNG MUST return GSS_S_CONTINUE_NEEDED status with an empty OutputToken"
///
/// Yes, in both roles.
#[test]
fn ms_spng_3_1_5_9_2_first_piece_is_answered_by_the_empty_token() {
    for size in [1, 2, 5, 40] {
        let (mut server, pieces) = pieced(size);
        assert_eq!(server.hears(&pieces[0]).unwrap(), WAITING);
    }
    let script = Script::new(KRB5, 2);
    let (_, _, answer) = cut_answer(&script);
    let mut client = Talker::new(Initiator::Start, initiator([script]), 0);
    client.hears(b"").unwrap();
    assert_eq!(client.hears(&answer[..1]).unwrap(), WAITING);
}

/// 3.1.5.9-3 - "If the OutputToken is not empty, the message is complete and processing can continue as normal"
///
/// The answer is octet for octet the one to the message in one piece.
#[test]
fn ms_spng_3_1_5_9_3_whole_message_is_answered_as_ever() {
    let script = Script::new(KRB5, 4);
    let offer = offer(&[KRB5], Some(&script.token(0)));
    let expected = Server::new(acceptor([script.clone()]))
        .hears(&offer)
        .unwrap();
    for size in [1, 3, 5, 30] {
        let mut server = Talker::new(Start::Start, acceptor([script.clone()]), 0);
        let replies: Vec<Reply> = offer
            .chunks(size)
            .map(|piece| server.hears(piece).unwrap())
            .collect();
        assert_eq!(*replies.last().unwrap(), expected);
    }
}

/// 3.1.5.9-4 MUST "SPNEGO Extension MUST return GSS_S_CONTINUE_NEEDED status with an empty OutputToken"
///
/// For every piece but the last.
#[test]
fn ms_spng_3_1_5_9_4_each_piece_but_the_last_is_answered_by_the_empty_token() {
    for size in [1, 2, 5, 40] {
        let (mut server, pieces) = pieced(size);
        let replies: Vec<Reply> = pieces
            .iter()
            .map(|piece| server.hears(piece).unwrap())
            .collect();
        let (last, before) = replies.split_last().unwrap();
        assert!(before.iter().all(|reply| *reply == WAITING));
        assert!(last.complete && last.token.is_some());
    }
}

/// 3.1.5.9-5 MUST "the entire message MUST be discarded"
///
/// What arrived goes with the context.
#[test]
fn ms_spng_3_1_5_9_5_unfinished_message_goes_with_its_context() {
    let Some(realm) = realm() else { return };
    let begun = "60830300000606 2b0601050502".replace(' ', "");
    let piece = "00".repeat(1000);
    let actions =
        format!("feed={begun} delete heap feed={begun} feed={piece}*150 heap delete heap");
    let report = fed(realm, "acceptor", &actions);
    let heap: Vec<usize> = report
        .lines()
        .filter_map(|line| line.strip_prefix("heap: ")?.strip_suffix(" KiB"))
        .map(|size| size.parse().unwrap())
        .collect();
    let [before, full, after] = heap[..] else {
        panic!("{report}");
    };
    assert!(full > before + 140, "{report}");
    assert!(after < before + 8, "{report}");
    // A new negotiation begins with nothing of the old one.
    let script_a = "2.25.7301.1".parse().unwrap();
    let whole: String = offer(&[script_a], None)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let report = fed(
        realm,
        "acceptor",
        &format!("feed={begun} delete feed={whole}"),
    );
    let answered = report
        .lines()
        .skip_while(|line| *line != "delete: COMPLETE")
        .nth(2);
    assert_eq!(report.matches("CONTINUE_NEEDED").count(), 2, "{report}");
    assert_ne!(answered, Some("  output: 0 octets"), "{report}");
}

//! RFC 4178 section 4: the tokens.

use spnego::error::{Error, Misbehaviour};
use spnego::negotiate::script::Script;
use spnego::oid::{IAKERB, KRB5, NTLMSSP, Oid, SPNEGO};
use spnego::role::Role;
use spnego::wire::framing::InitialToken;
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

use crate::support::unhex;
use crate::talk::*;

// ---- 4 ----

/// 4-1 - "tagging context for the module will be explicit and non-automatic"
///
/// Every field is written and wanted as a context tag around a universal one.
#[test]
fn rfc4178_4_1_tags_are_explicit() {
    let answer = NegTokenResp {
        supported_mech: Some(KRB5.content()),
        response_token: Some(b"token"),
        mech_list_mic: Some(b"mic"),
        ..says(NegState::AcceptCompleted)
    };
    let expected = "a124 3022 a0030a0100 a10b06092a864886f712010202 a2070405746f6b656e a3050403";
    assert_eq!(answer.encode(), unhex(&(expected.to_owned() + "6d6963")));
    // With implicit tags, and with an explicit one that is not constructed.
    for implicit in [
        &[0x80, 1, 0][..],
        &[0x82, 1, 7],
        &[0xa2, 1, 7],
        &[0x80, 3, 0x0a, 1, 1],
    ] {
        assert!(NegTokenResp::decode(&resp_of(&[implicit])).is_err());
    }
}

/// 4-2 shall "protocol messages shall obey the Distinguished Encoding Rules (DER)"
///
/// Written so. Deviates: needlessly long lengths are read, since peers write them; the octets of the
/// list stay as they came. Indefinite lengths are refused.
#[test]
fn rfc4178_4_2_messages_are_der() {
    for (length, encoded) in [
        (0x7f, "04 7f"),
        (0x80, "04 81 80"),
        (0xff, "04 81 ff"),
        (0x100, "04 82 0100"),
        (0xffff, "04 82 ffff"),
        (0x1_0000, "04 83 010000"),
    ] {
        let token = vec![7; length];
        let answer = NegTokenResp {
            response_token: Some(&token),
            ..NegTokenResp::default()
        };
        let written = answer.encode();
        let head = [unhex(encoded), vec![7]].concat();
        assert_eq!(
            written[written.len() - length - head.len() + 1..][..head.len()],
            head
        );
        assert_eq!(NegTokenResp::decode(&written), Ok(answer));
    }
    let content = [0xa0, 3, 0x0a, 1, 1];
    for indefinite in [
        [&[0xa1, 0x80, 0x30, 0x80][..], &content, &[0; 4]].concat(),
        [&[0xa1, 0x80, 0x30, 5][..], &content].concat(),
        [&[0xa1, 7, 0x30, 0x80][..], &content].concat(),
    ] {
        assert!(NegTokenResp::decode(&indefinite).is_err());
    }
    let long = [
        &[0xa1, 0x82, 0, 8, 0x30, 0x81, 5][..],
        &[0xa0, 3, 0x0a, 1, 1],
    ]
    .concat();
    let read = NegTokenResp::decode(&long).unwrap();
    assert_eq!(read, says(NegState::AcceptIncomplete));
}

// ---- 4.1 ----

/// 4.1-1 - "each OID represents one GSS-API mechanism or one variant"
///
/// Compared octet for octet; only the three identifiers of Kerberos are one mechanism.
#[test]
fn rfc4178_4_1_1_identifier_stands_for_one_mechanism() {
    let chosen = |offered: &[Oid]| {
        let mut server = Server::new(acceptor([Script::new(NTLMSSP, 3)]));
        server.hears(&offer(offered, None)).is_ok()
    };
    assert!(chosen(&[NTLMSSP]));
    let content = NTLMSSP.content();
    for at in 0..content.len() {
        let mut other = content.to_vec();
        other[at] ^= 1;
        assert!(!chosen(&[Oid::new(&other).unwrap()]));
        assert!(at == 0 || !chosen(&[Oid::new(&content[..at]).unwrap()]));
    }
    assert!(!chosen(&[Oid::new(&[content, &[1]].concat()).unwrap()]));
}

// ---- 4.2 ----

/// 4.2-1 - "initial negotiation tokens follows the initialContextToken syntax"
///
/// Yes; a first token without it is refused.
#[test]
fn rfc4178_4_2_1_first_token_has_the_header_of_rfc_2743() {
    let (_, offer) = Client::offering(initiator([Script::new(KRB5, 2)]));
    let (tag, content, rest) = split(&offer);
    assert_eq!((tag, rest), (0x60, &b""[..]));
    assert!(content.starts_with(&SPNEGO_OID));
    assert_eq!(content[SPNEGO_OID.len()], 0xa0);
    let bare = &content[SPNEGO_OID.len()..];
    assert!(NegTokenInit::decode(&offer).is_ok());
    let failure = Server::new(acceptor([Script::new(KRB5, 2)]))
        .hears(bare)
        .unwrap_err();
    assert!(matches!(failure.error, Error::InvalidToken(_)));
}

/// 4.2-2 - "SPNEGO pseudo-mechanism is identified by the Object Identifier iso.org.dod.internet.security.mechanism.snego (1.3.6.1.5.5.2)"
///
/// Written and wanted.
#[test]
fn rfc4178_4_2_2_spnego_is_1_3_6_1_5_5_2() {
    assert_eq!(SPNEGO.to_string(), "1.3.6.1.5.5.2");
    let (_, offer) = Client::offering(initiator([Script::new(KRB5, 2)]));
    assert_eq!(InitialToken::decode(&offer).unwrap().mech, SPNEGO.content());
    let mut other = offer;
    other[9] ^= 1;
    let failure = Server::new(acceptor([Script::new(KRB5, 2)]))
        .hears(&other)
        .unwrap_err();
    assert!(matches!(failure.error, Error::InvalidToken(_)));
}

/// 4.2-3 MUST NOT "Subsequent tokens MUST NOT be encapsulated in this GSS-API generic token framing"
///
/// Never written, and refused from an acceptor; tolerated from an initiator, for old Sun clients write
/// it.
#[test]
fn rfc4178_4_2_3_later_tokens_have_no_header() {
    for tokens in 1..7 {
        let second = Script::new(NTLMSSP, tokens);
        let outcome = talk(
            initiator([Script::new(KRB5, 2), second.clone()]),
            acceptor([second]),
        );
        assert!(outcome.tokens[1..].iter().all(|token| token[0] == 0xa1));
    }
    let framed = |token: Vec<u8>| element(0x60, &[&SPNEGO_OID[..], &token].concat());
    let script = Script::new(KRB5, 4);
    let (mut client, offer) = Client::offering(initiator([script.clone()]));
    let mut server = Server::new(acceptor([script.clone()]));
    let answer = server.hears(&offer).unwrap().token.unwrap();
    let later = NegTokenResp {
        response_token: Some(&script.token(2)),
        ..NegTokenResp::default()
    };
    assert!(server.hears(&framed(later.encode())).unwrap().complete);
    let failure = client.hears(&framed(answer)).unwrap_err();
    assert!(matches!(failure.error, Error::InvalidToken(_)));
}

// ---- 4.2.1 ----

/// 4.2.1-1 - "contains one or more security mechanisms available for the initiator"
///
/// An offer without a list, or with an empty one, is refused.
#[test]
fn rfc4178_4_2_1_1_offer_has_at_least_one_mechanism() {
    for fields in [
        &[][..],
        &[&element(0xa0, &[0x30, 0])[..]],
        &[&element(0xa2, &element(0x04, b"token"))],
    ] {
        let mut server = Server::new(acceptor([Script::new(KRB5, 2)]));
        let failure = server.hears(&init_of(fields)).unwrap_err();
        assert!(matches!(failure.error, Error::InvalidToken(_)));
    }
    let mechs = [IAKERB, KRB5, NTLMSSP];
    let (_, offer) = Client::offering(initiator(mechs.map(|mech| Script::new(mech, 2))));
    let list = NegTokenInit::decode(&offer)
        .unwrap()
        .mech_types
        .into_owned();
    assert_eq!(list.iter().collect::<Vec<_>>(), mechs.map(Some));
}

/// 4.2.1-2 SHOULD, MUST "initiator SHOULD omit this reqFlags field and the acceptor MUST ignore this reqFlags field"
///
/// Never written, and passed over unread whatever is in it.
#[test]
fn rfc4178_4_2_1_2_req_flags_are_neither_written_nor_read() {
    let script = Script::new(KRB5, 1);
    for side in [
        initiator([script.clone()]),
        initiator([demanding(script.clone())]),
    ] {
        let (_, offer) = Client::offering(side);
        assert!(!field_tags(&offer).contains(&0xa1));
    }
    let list = element(0xa0, MechList::encode(&[KRB5]).der());
    let token = element(0xa2, &element(0x04, &script.token(0)));
    for flags in [
        &[0x03, 2, 1, 0x42][..],
        &[0x03, 1, 0],
        &[0x04, 0],
        &[0xff, 0xff],
        &[],
    ] {
        let offer = init_of(&[&list, &element(0xa1, flags), &token]);
        let mut server = Server::new(acceptor([script.clone()]));
        assert!(server.hears(&offer).unwrap().complete, "{flags:?}");
    }
}

/// 4.2.1-3 should not "should not expect to receive exactly 32 bits in an encoding of ContextFlags"
///
/// Any number of bits is passed over.
#[test]
fn rfc4178_4_2_1_3_req_flags_may_have_any_number_of_bits() {
    let list = element(0xa0, MechList::encode(&[KRB5]).der());
    for octets in 0..10 {
        let bits = [vec![if octets == 0 { 0 } else { 3 }], vec![0xf8; octets]].concat();
        let offer = init_of(&[&list, &element(0xa1, &element(0x03, &bits))]);
        let read = NegTokenInit::decode(&offer).unwrap();
        assert_eq!(read.mech_types, MechList::encode(&[KRB5]));
    }
}

/// 4.2.1-4 - "contains the optimistic mechanism token"
///
/// As the mechanism made it: an empty one is present and empty.
#[test]
fn rfc4178_4_2_1_4_mech_token_is_the_first_mechanisms_token_as_it_is() {
    for empty in [None, Some(0)] {
        let script = Script {
            empty_token: empty,
            ..Script::new(KRB5, 3)
        };
        let (_, offer) = Client::offering(initiator([script.clone(), Script::new(NTLMSSP, 3)]));
        let read = NegTokenInit::decode(&offer).unwrap();
        assert_eq!(read.mech_token, Some(&script.token(0)[..]));
        assert_eq!(field_tags(&offer), [0xa0, 0xa2]);
    }
}

/// 4.2.1-5 - "MIC token for the mechanism list ... is computed according to Section 5"
///
/// Written only when the mechanism is done with its first token and itself demands MICs; one that came
/// is verified and answered.
#[test]
fn rfc4178_4_2_1_5_offer_may_have_a_mic_over_its_list() {
    let script = Script::new(KRB5, 1);
    let (_, offer) = Client::offering(initiator([demanding(script.clone())]));
    let read = NegTokenInit::decode(&offer).unwrap();
    let mic = mic_over(MechList::encode(&[KRB5]).der(), Role::Initiator, &script);
    assert_eq!(read.mech_list_mic, Some(&mic[..]));

    let mut server = Server::new(acceptor([script.clone()]));
    let reply = server.hears(&offer).unwrap();
    assert_eq!(describe(&reply.token.unwrap()), "completed mech mic");
    assert_eq!(server.established(), Some(KRB5));
    let wrong = NegTokenInit {
        mech_list_mic: Some(b"8 octets"),
        ..read
    };
    let how = fault(Server::new(acceptor([script])).hears(&wrong.encode()));
    assert_eq!(how, wrong_mic());
}

// ---- 4.2.2 ----

/// 4.2.2-1 - "No further negotiation message from the peer is expected ... established for the sender"
///
/// accept-completed is said by who is established and by nobody else; a peer that says it is sent no
/// reject.
#[test]
fn rfc4178_4_2_2_1_completed_is_said_when_this_end_is_established() {
    for tokens in 1..6 {
        let second = Script::new(NTLMSSP, tokens);
        let first = [Script::new(KRB5, 2), second.clone()];
        for acceptors in [acceptor([second.clone()]), acceptor(first.clone())] {
            let outcome = talk(initiator(first.clone()), acceptors);
            let said = seen(&outcome);
            let completed = said.iter().position(|token| token.starts_with("completed"));
            assert_eq!(
                completed,
                Some(said.len() - 1),
                "the last one, once: {said:?}"
            );
        }
    }
    let (mut client, _) = Client::offering(initiator([Script::new(KRB5, 2)]));
    let failure = client
        .hears(&says(NegState::AcceptCompleted).encode())
        .unwrap_err();
    assert_eq!(failure.reject, None);
}

/// 4.2.2-2 - "At least one additional negotiation message from the peer is needed to establish the security context"
///
/// accept-incomplete is said by who still waits, and its peer answers.
#[test]
fn rfc4178_4_2_2_2_incomplete_is_said_when_more_is_needed() {
    for tokens in 1..6 {
        let outcome = talk(
            initiator([Script::new(KRB5, tokens)]),
            acceptor([Script::new(KRB5, tokens)]),
        );
        let said = seen(&outcome);
        for (number, token) in said.iter().enumerate().skip(1) {
            let is_last = number + 1 == said.len();
            assert_eq!(token.starts_with("incomplete"), !is_last, "{said:?}");
        }
    }
}

/// 4.2.2-3 - "The sender terminates the negotiation"
///
/// A reject is final for who gets one, whatever comes with it, and is answered by nothing.
#[test]
fn rfc4178_4_2_2_3_reject_is_final() {
    let script = Script::new(KRB5, 4);
    let reject = NegTokenResp {
        supported_mech: Some(KRB5.content()),
        response_token: Some(&script.token(1)),
        ..says(NegState::Reject)
    };
    let (mut client, offer) = Client::offering(initiator([script.clone()]));
    let failure = client.hears(&reject.encode()).unwrap_err();
    assert!(matches!(failure.error, Error::Rejected { .. }));
    assert_eq!(failure.reject, None);

    let mut server = Server::new(acceptor([script.clone()]));
    server.hears(&offer).unwrap();
    let reject = NegTokenResp {
        response_token: Some(&script.token(2)),
        ..reject
    };
    let failure = server.hears(&reject.encode()).unwrap_err();
    assert!(matches!(failure.error, Error::Rejected { .. }));
    assert_eq!(failure.reject, None);
}

/// 4.2.2-4 REQUIRED "as described in Section 5, will be REQUIRED if per-message integrity services are available"
///
/// request-mic makes the MIC mandatory; without integrity it asks for nothing.
#[test]
fn rfc4178_4_2_2_4_request_mic_makes_mics_mandatory_where_they_are_possible() {
    for integrity in [true, false] {
        let script = Script {
            integrity,
            ..Script::new(KRB5, 3)
        };
        let (mut client, _) = Client::offering(initiator([script.clone()]));
        let asked = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            response_token: Some(&script.token(1)),
            ..says(NegState::RequestMic)
        };
        let sent = client.hears(&asked.encode()).unwrap().token.unwrap();
        assert_eq!(
            NegTokenResp::decode(&sent).unwrap().mech_list_mic.is_some(),
            integrity
        );
        let last = client.hears(&says(NegState::AcceptCompleted).encode());
        match integrity {
            true => assert_eq!(fault(last), Misbehaviour::MissingMic),
            false => assert!(last.unwrap().complete),
        }
    }
}

/// 4.2.2-5 SHALL "This value SHALL only be present in the first reply from the target"
///
/// Written there only, and never by an initiator; in a later reply it asks for nothing.
#[test]
fn rfc4178_4_2_2_5_request_mic_is_in_the_first_reply_only() {
    for tokens in 1..6 {
        let second = Script::new(NTLMSSP, tokens);
        let outcome = talk(
            initiator([Script::new(KRB5, 2), second.clone()]),
            acceptor([second]),
        );
        let said = seen(&outcome);
        let asks = |token: &String| token.starts_with("request-mic");
        assert!(asks(&said[1]) && said.iter().filter(|token| asks(token)).count() == 1);
    }
    let script = Script::new(KRB5, 4);
    let late = meddled(
        initiator([script.clone()]),
        acceptor([script]),
        3,
        |reply| {
            reply.neg_state = Some(NegState::RequestMic);
        },
    );
    assert_eq!(ends(&late), both(KRB5));
}

/// 4.2.2-6 REQUIRED, OPTIONAL "This field is REQUIRED in the first reply from the target, and is OPTIONAL thereafter"
///
/// Sent in every token; tolerated where it is missing, for some acceptors leave it out.
#[test]
fn rfc4178_4_2_2_6_neg_state_is_sent_always_and_may_be_missing() {
    let script = Script::new(KRB5, 6);
    let sides = || (initiator([script.clone()]), acceptor([script.clone()]));
    let (initiators, acceptors) = sides();
    let outcome = talk(initiators, acceptors);
    for token in &outcome.tokens[1..] {
        assert!(NegTokenResp::decode(token).unwrap().neg_state.is_some());
    }
    for which in 1..outcome.tokens.len() {
        let (initiators, acceptors) = sides();
        let without = meddled(initiators, acceptors, which, |reply| reply.neg_state = None);
        assert_eq!(ends(&without), both(KRB5), "token {which}");
    }
}

/// 4.2.2-7 should "When negState is absent, the actual state should be inferred from the state of the negotiated mechanism context"
///
/// Who has the mechanism's last token is established, who waits for another waits on.
#[test]
fn rfc4178_4_2_2_7_missing_state_is_that_of_the_mechanism() {
    for (tokens, complete) in [(2, true), (4, false)] {
        let script = Script::new(KRB5, tokens);
        let (mut client, _) = Client::offering(initiator([script.clone()]));
        let answer = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            response_token: Some(&script.token(1)),
            ..NegTokenResp::default()
        };
        assert_eq!(client.hears(&answer.encode()).unwrap().complete, complete);
        assert_eq!(client.established().is_some(), complete);
    }
}

/// 4.2.2-8 SHALL "This field SHALL only be present in the first reply from the target"
///
/// Sent there only; in a later token it is passed over.
#[test]
fn rfc4178_4_2_2_8_supported_mech_is_in_the_first_reply_only() {
    let script = Script::new(KRB5, 6);
    let outcome = talk(initiator([script.clone()]), acceptor([script.clone()]));
    let named: Vec<bool> = outcome.tokens[1..]
        .iter()
        .map(|token| {
            NegTokenResp::decode(token)
                .unwrap()
                .supported_mech
                .is_some()
        })
        .collect();
    assert_eq!(
        named,
        [true, false, false, false, false, false][..named.len()]
    );
    for which in 2..outcome.tokens.len() {
        let repeated = meddled(
            initiator([script.clone()]),
            acceptor([script.clone()]),
            which,
            |reply| reply.supported_mech = Some(NTLMSSP.content()),
        );
        assert_eq!(ends(&repeated), both(KRB5), "token {which}");
    }
}

/// 4.2.2-9 MUST "It MUST be one of the mechanism(s) offered by the initiator"
///
/// So it is sent; another one is refused.
#[test]
fn rfc4178_4_2_2_9_acceptor_names_one_of_the_offered_mechanisms() {
    let mut server = Server::new(preferring([
        Script::new(IAKERB, 2),
        Script::new(NTLMSSP, 3),
    ]));
    let reply = server
        .hears(&offer(&[KRB5, NTLMSSP], None))
        .unwrap()
        .token
        .unwrap();
    let named = NegTokenResp::decode(&reply).unwrap().supported_mech;
    assert_eq!(named, Some(NTLMSSP.content()));

    for state in [
        NegState::RequestMic,
        NegState::AcceptIncomplete,
        NegState::AcceptCompleted,
    ] {
        let (mut client, _) =
            Client::offering(initiator([Script::new(KRB5, 2), Script::new(NTLMSSP, 3)]));
        let answer = NegTokenResp {
            supported_mech: Some(IAKERB.content()),
            ..says(state)
        };
        assert_eq!(
            fault(client.hears(&answer.encode())),
            Misbehaviour::NotOffered(IAKERB)
        );
    }
    let (mut client, _) = Client::offering(initiator([Script::new(KRB5, 2)]));
    let unknown = [0x2a; Oid::LONGEST + 1];
    let answer = NegTokenResp {
        supported_mech: Some(&unknown),
        ..says(NegState::RequestMic)
    };
    assert!(matches!(
        fault(client.hears(&answer.encode())),
        Misbehaviour::Other(_)
    ));
}

/// 4.2.2-10 - "contains tokens specific to the mechanism selected"
///
/// The mechanism's token goes as it is, and comes to the mechanism as it is; one that the mechanism
/// does not wait for is refused.
#[test]
fn rfc4178_4_2_2_10_response_token_is_the_mechanisms_as_it_is() {
    let script = Script {
        empty_token: Some(1),
        ..Script::new(KRB5, 4)
    };
    let outcome = talk(initiator([script.clone()]), acceptor([script.clone()]));
    let tokens = outcome.tokens[1..].iter();
    let carried: Vec<_> = tokens
        .map(|token| NegTokenResp::decode(token).unwrap().response_token)
        .collect();
    let expected = [1, 2, 3].map(|number| script.token(number));
    assert_eq!(carried, expected.each_ref().map(|token| Some(&token[..])));

    let surplus = meddled(
        initiator([Script::new(KRB5, 1)]),
        acceptor([Script::new(KRB5, 1)]),
        1,
        |reply| reply.response_token = Some(b"surplus"),
    );
    assert!(matches!(blamed(&surplus.initiator), Misbehaviour::Other(_)));
}

/// 4.2.2-11 - "MIC token for the mechanism list ... is computed according to Section 5"
///
/// Each side's is its own mechanism's MIC over the list of the first message.
#[test]
fn rfc4178_4_2_2_11_mic_is_over_the_list_of_the_first_message() {
    let second = Script::new(NTLMSSP, 3);
    let outcome = talk(
        initiator([Script::new(KRB5, 2), second.clone()]),
        acceptor([second.clone()]),
    );
    let list = MechList::encode(&[KRB5, NTLMSSP]);
    let mics = outcome.tokens[1..].iter();
    let mics: Vec<_> = mics
        .filter_map(|token| NegTokenResp::decode(token).unwrap().mech_list_mic)
        .collect();
    let expected =
        [Role::Initiator, Role::Acceptor].map(|role| mic_over(list.der(), role, &second));
    assert_eq!(mics, expected);
}

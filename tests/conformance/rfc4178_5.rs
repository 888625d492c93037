//! RFC 4178 section 5: the mechListMIC.

use spnego::error::{Misbehaviour, major};
use spnego::negotiate::script::{End, Outcome, Script, Side};
use spnego::oid::{IAKERB, KRB5, NTLMSSP};
use spnego::role::Role;
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

use crate::talk::*;

/// NTLM, the second choice of the initiator and all that the acceptor has: MICs are required.
fn second_choice(tokens: u8) -> (Side, Side) {
    let second = Script::new(NTLMSSP, tokens);
    let initiators = initiator([Script::new(KRB5, 2), second.clone()]);
    (initiators, acceptor([second]))
}

/// Kerberos, the first choice of both.
fn first_choice(tokens: u8) -> (Side, Side) {
    let script = Script::new(KRB5, tokens);
    (initiator([script.clone()]), acceptor([script]))
}

fn honest((initiators, acceptors): (Side, Side)) -> Outcome {
    talk(initiators, acceptors)
}

/// The same with the MIC of this token made wrong, or taken out.
fn without_mic(sides: (Side, Side), which: usize) -> Outcome {
    meddled(sides.0, sides.1, which, |token| {
        assert!(token.mech_list_mic.is_some());
        token.mech_list_mic = None;
    })
}

fn with_wrong_mic(sides: (Side, Side), which: usize) -> Outcome {
    meddled(sides.0, sides.1, which, |token| {
        assert!(token.mech_list_mic.is_some());
        token.mech_list_mic = Some(b"8 octets");
    })
}

/// In which token the first MIC of a second choice is: an acceptor's if its number is odd.
fn first_mic(tokens: u8) -> usize {
    usize::from(tokens) + 1
}

/// The acceptor sends the last token of the mechanism.
const EVEN: [u8; 3] = [2, 4, 6];
/// The initiator does.
const ODD: [u8; 3] = [1, 3, 5];

// ---- when ----

/// 5-1 - "does not support integrity protection, then no mechlistMIC token is used"
///
/// None is sent, and a request for one is void.
#[test]
fn rfc4178_5_1_without_integrity_there_is_no_mic() {
    for tokens in 1..7 {
        let second = without_integrity(demanding(Script::new(NTLMSSP, tokens)));
        let outcome = talk(
            initiator([Script::new(KRB5, 2), second.clone()]),
            acceptor([second]),
        );
        assert_eq!(ends(&outcome), both(NTLMSSP));
        assert_eq!(seen(&outcome)[1], "request-mic mech");
        assert!(seen(&outcome).iter().all(|token| !token.contains(" mic")));
    }
}

/// 5-2 OPTIONAL "most preferred mechanism of both the initiator and the acceptor ... is OPTIONAL"
///
/// There is none then, unless the mechanism itself demands it (NTLM with a MIC of its own).
#[test]
fn rfc4178_5_2_first_choice_of_both_goes_without_mics() {
    for tokens in 1..7 {
        let outcome = honest(first_choice(tokens));
        assert_eq!(ends(&outcome), both(KRB5));
        assert!(seen(&outcome).iter().all(|token| !token.contains(" mic")));

        let script = demanding(Script::new(NTLMSSP, tokens));
        let outcome = talk(initiator([script.clone()]), acceptor([script]));
        assert_eq!(ends(&outcome), both(NTLMSSP));
        let mics = seen(&outcome)
            .iter()
            .filter(|token| token.contains(" mic"))
            .count();
        assert_eq!(mics, 2);
    }
}

/// 5-3 - "there is no other mechanism that the acceptor would have preferred over the accepted mechanism had it been present in the mechanism list"
///
/// Asked of the acceptor's order and of what it could use; without an order of its own it prefers what
/// the initiator prefers.
#[test]
fn rfc4178_5_3_acceptors_preference_counts_what_was_not_offered() {
    use spnego::error::Cause;
    let (absent, only) = (Script::new(KRB5, 2), Script::new(NTLMSSP, 3));
    let unusable = absent.clone().failing(0, Cause::Unusable);
    for (side, asked) in [
        (preferring([absent.clone(), only.clone()]), true),
        (preferring([only.clone(), absent.clone()]), false),
        (preferring([unusable, only.clone()]), false),
        (acceptor([absent, only.clone()]), false),
    ] {
        let outcome = talk(initiator([only.clone()]), side);
        assert_eq!(ends(&outcome), both(NTLMSSP));
        assert_eq!(seen(&outcome)[1].starts_with("request-mic"), asked);
    }
}

/// 5-4 MUST "In all other cases, MIC tokens MUST be exchanged after the mechanism context is fully established"
///
/// One in each direction, none before the mechanism is done, whoever sends its last token.
#[test]
fn rfc4178_5_4_other_choices_are_sealed_by_mics_at_the_end() {
    for tokens in 1..7 {
        let outcome = honest(second_choice(tokens));
        assert_eq!(ends(&outcome), both(NTLMSSP));
        let said = seen(&outcome);
        let with_mic: Vec<_> = (0..said.len())
            .filter(|at| said[*at].contains(" mic"))
            .collect();
        assert_eq!(
            with_mic,
            [first_mic(tokens), first_mic(tokens) + 1],
            "{said:?}"
        );
        assert_eq!(said.len(), first_mic(tokens) + 2);
    }
}

/// 5-5 - "input qop_req is 0, and the input message is the DER encoding of the value of type MechTypeList"
///
/// Over the octets as the initiator wrote them, at both ends, needless lengths and all. The quality of
/// protection is the default.
#[test]
fn rfc4178_5_5_mic_is_over_the_list_as_it_was_encoded() {
    let script = Script::new(NTLMSSP, 1);
    // [0], SEQUENCE in the long form, both identifiers in theirs.
    let entry =
        |content: &[u8]| [&[0x06, 0x81, u8::try_from(content.len()).unwrap()], content].concat();
    let entries = [entry(KRB5.content()), entry(NTLMSSP.content())].concat();
    let der = [
        &[0x30, 0x82, 0, u8::try_from(entries.len()).unwrap()][..],
        &entries,
    ]
    .concat();
    let mut server = Server::new(acceptor([script.clone()]));
    server.hears(&init_of(&[&element(0xa0, &der)])).unwrap();
    let answer = NegTokenResp {
        response_token: Some(&script.token(0)),
        mech_list_mic: Some(&mic_over(&der, Role::Initiator, &script)),
        ..NegTokenResp::default()
    };
    let reply = server.hears(&answer.encode()).unwrap();
    let token = reply.token.unwrap();
    let mic = NegTokenResp::decode(&token).unwrap().mech_list_mic;
    assert_eq!(mic, Some(&mic_over(&der, Role::Acceptor, &script)[..]));
}

/// 5-6 - "The input message is NOT the DER encoding of the type"
///
/// A MIC over that is wrong.
#[test]
fn rfc4178_5_6_mic_is_not_over_the_lists_tag() {
    let script = Script::new(NTLMSSP, 1);
    let list = MechList::encode(&[KRB5, NTLMSSP]);
    for (octets, right) in [
        (list.der().to_vec(), true),
        (element(0xa0, list.der()), false),
    ] {
        let mut server = Server::new(acceptor([script.clone()]));
        server.hears(&offer(&[KRB5, NTLMSSP], None)).unwrap();
        let answer = NegTokenResp {
            response_token: Some(&script.token(0)),
            mech_list_mic: Some(&mic_over(&octets, Role::Initiator, &script)),
            ..NegTokenResp::default()
        };
        let heard = server.hears(&answer.encode());
        match right {
            true => assert!(heard.unwrap().complete),
            false => assert_eq!(fault(heard), wrong_mic()),
        }
    }
}

// ---- the acceptor sends the mechanism's last token ----

/// 5-7 - "exchange is optional ... either indicates GSS_S_COMPLETE and does not include a mechlistMIC token"
///
/// Optional: complete and no MIC, or, where the mechanism demands them, incomplete and a MIC.
/// Required: incomplete and a MIC.
#[test]
fn rfc4178_5_7_acceptors_last_token_has_a_mic_where_one_is_due() {
    for tokens in EVEN {
        let optional = honest(first_choice(tokens));
        assert!(seen(&optional)[usize::from(tokens) - 1].starts_with("completed"));
        assert_eq!(optional.tokens.len(), usize::from(tokens));

        let script = demanding(Script::new(NTLMSSP, tokens));
        let demanded = talk(initiator([script.clone()]), acceptor([script]));
        let last = &seen(&demanded)[usize::from(tokens) - 1];
        assert!(
            last.starts_with("incomplete") && last.ends_with("token mic"),
            "{last}"
        );

        let required = honest(second_choice(tokens));
        assert_eq!(seen(&required)[first_mic(tokens)], "incomplete token mic");
    }
}

/// 5-8 should not "Acceptors that wish to be compatible with legacy Windows ... should not generate a mechlistMIC token"
///
/// None is generated.
#[test]
fn rfc4178_5_8_acceptor_makes_no_mic_that_is_not_required() {
    for tokens in EVEN {
        let (initiators, acceptors) = first_choice(tokens);
        let log = acceptors.log.clone();
        assert_eq!(ends(&talk(initiators, acceptors)), both(KRB5));
        assert!(!log.borrow().iter().any(|asked| asked.starts_with("sign")));
    }
}

/// 5-9 - "mechlistMIC token was included and is correctly verified, GSS_Init_sec_context() indicates GSS_S_COMPLETE"
///
/// Yes.
#[test]
fn rfc4178_5_9_initiator_is_done_with_the_acceptors_mic() {
    let (mut client, answer) = before_acceptors_mic(2);
    assert!(client.hears(&answer).unwrap().complete);
    assert_eq!(client.established(), Some(NTLMSSP));
}

/// An initiator of a second choice of an even number of tokens, and the acceptor's last token of the
/// mechanism with its MIC.
fn before_acceptors_mic(tokens: u8) -> (Client, Vec<u8>) {
    let (initiators, acceptors) = second_choice(tokens);
    let mut server = Server::new(acceptors);
    let (mut client, mut sent) = Client::offering(initiators);
    loop {
        let answer = server.hears(&sent).unwrap().token.unwrap();
        if NegTokenResp::decode(&answer)
            .unwrap()
            .mech_list_mic
            .is_some()
        {
            return (client, answer);
        }
        sent = client.hears(&answer).unwrap().token.unwrap();
    }
}

/// 5-10 - "The output negotiation message contains a mechlistMIC token and an accept_complete state"
///
/// Yes.
#[test]
fn rfc4178_5_10_initiator_answers_with_its_mic_and_completed() {
    for tokens in EVEN {
        let (mut client, answer) = before_acceptors_mic(tokens);
        let token = client.hears(&answer).unwrap().token.unwrap();
        assert_eq!(describe(&token), "completed mic");
        let list = MechList::encode(&[KRB5, NTLMSSP]);
        let mic = mic_over(list.der(), Role::Initiator, &Script::new(NTLMSSP, tokens));
        assert_eq!(
            NegTokenResp::decode(&token).unwrap().mech_list_mic,
            Some(&mic[..])
        );
    }
}

/// 5-11 MUST "The acceptor MUST then verify this mechlistMIC token"
///
/// It is established only by a right one.
#[test]
fn rfc4178_5_11_acceptor_verifies_the_initiators_answering_mic() {
    for tokens in EVEN {
        let answer = first_mic(tokens) + 1;
        assert_eq!(ends(&honest(second_choice(tokens))), both(NTLMSSP));
        let outcome = with_wrong_mic(second_choice(tokens), answer);
        assert_eq!(blamed(&outcome.acceptor), wrong_mic());
        let outcome = without_mic(second_choice(tokens), answer);
        assert_eq!(blamed(&outcome.acceptor), Misbehaviour::MissingMic);
    }
}

/// 5-12 SHALL "mechlistMIC token was included but is incorrect, the negotiation SHALL be terminated"
///
/// The initiator gives up, required or not, and tells the acceptor.
#[test]
fn rfc4178_5_12_wrong_mic_of_the_acceptor_ends_the_negotiation() {
    for tokens in EVEN {
        let outcome = with_wrong_mic(second_choice(tokens), first_mic(tokens));
        assert!(matches!(outcome.initiator, End::Failed(_)));
        assert!(matches!(outcome.acceptor, End::Failed(_)));
        assert_eq!(seen(&outcome).last().unwrap(), "reject");

        let (initiators, acceptors) = first_choice(tokens);
        let last = usize::from(tokens) - 1;
        let unasked = meddled(initiators, acceptors, last, |token| {
            token.mech_list_mic = Some(b"8 octets");
        });
        assert_eq!(blamed(&unasked.initiator), wrong_mic());
    }
}

/// 5-13 - "GSS_Init_sec_context() indicates GSS_S_DEFECTIVE_TOKEN"
///
/// Yes.
#[test]
fn rfc4178_5_13_wrong_mic_of_the_acceptor_is_a_defective_token() {
    let (mut client, answer) = before_acceptors_mic(2);
    let wrong = altered(&answer, |token| token.mech_list_mic = Some(b"8 octets"));
    let failure = client.hears(&wrong).unwrap_err();
    assert_eq!(failure.error.major(), major::DEFECTIVE_TOKEN);
}

/// 5-14 - "If no mechlistMIC token was included and the MIC token exchange is not required, GSS_Init_sec_context() indicates GSS_S_COMPLETE with no output token"
///
/// Yes.
#[test]
fn rfc4178_5_14_initiator_is_done_without_a_mic_that_is_not_required() {
    let script = Script::new(KRB5, 2);
    for state in [NegState::AcceptCompleted, NegState::AcceptIncomplete] {
        let (mut client, _) = Client::offering(initiator([script.clone()]));
        let answer = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            response_token: Some(&script.token(1)),
            ..says(state)
        };
        let reply = client.hears(&answer.encode()).unwrap();
        assert!(reply.complete);
        assert_eq!(reply.token, None);
    }
}

/// 5-15 SHALL "If no mechlistMIC token was included but the MIC token exchange is required, the negotiation SHALL be terminated"
///
/// The initiator gives up, whatever state came with it.
#[test]
fn rfc4178_5_15_missing_mic_of_the_acceptor_ends_the_negotiation() {
    for tokens in EVEN {
        for state in [NegState::AcceptIncomplete, NegState::AcceptCompleted] {
            let (initiators, acceptors) = second_choice(tokens);
            let outcome = meddled(initiators, acceptors, first_mic(tokens), |token| {
                token.mech_list_mic = None;
                token.neg_state = Some(state);
            });
            assert_eq!(blamed(&outcome.initiator), Misbehaviour::MissingMic);
            assert!(!matches!(outcome.acceptor, End::Established(_)));
        }
    }
}

/// 5-16 - "GSS_Accept_sec_context() indicates GSS_S_DEFECTIVE_TOKEN"
///
/// The initiator's call does, which must be meant: it is the one that looked for the MIC.
#[test]
fn rfc4178_5_16_missing_mic_of_the_acceptor_is_a_defective_token() {
    let (mut client, answer) = before_acceptors_mic(4);
    let without = altered(&answer, |token| token.mech_list_mic = None);
    let failure = client.hears(&without).unwrap_err();
    assert_eq!(failure.error.major(), major::DEFECTIVE_TOKEN);
}

// ---- the initiator sends the mechanism's last token ----

/// 5-17 MUST, OPTIONAL "a mechlistMIC token MUST be included; otherwise, the mechlistMIC token is OPTIONAL"
///
/// Included when asked for, left out when not.
#[test]
fn rfc4178_5_17_initiators_last_token_has_a_mic_if_asked_for() {
    for tokens in [3, 5] {
        let last = usize::from(tokens) - 1;
        for (state, has_mic) in [
            (NegState::RequestMic, true),
            (NegState::AcceptIncomplete, false),
        ] {
            let (initiators, acceptors) = first_choice(tokens);
            let outcome = meddled(initiators, acceptors, 1, |reply| {
                reply.neg_state = Some(state)
            });
            assert_eq!(
                seen(&outcome)[last].contains(" mic"),
                has_mic,
                "{outcome:?}"
            );
            assert_eq!(ends(&outcome), both(KRB5));
        }
    }
}

/// 5-18 - "MIC token exchange is required if a mechanism other than the initiator's first choice is chosen"
///
/// An acceptor that chooses one without asking for MICs is refused; for NTLM of old Windows a MIC is
/// required all the same, unless `legacy_windows = true`.
#[test]
fn rfc4178_5_18_second_choice_requires_mics_asked_for_or_not() {
    for tokens in ODD {
        for (mech, outcome_of) in [(IAKERB, None), (NTLMSSP, Some(Misbehaviour::MissingMic))] {
            for state in [
                None,
                Some(NegState::AcceptIncomplete),
                Some(NegState::AcceptCompleted),
            ] {
                let second = Script::new(mech, tokens);
                let initiators = initiator([Script::new(KRB5, 2), second.clone()]);
                let mut client = Client::offering(initiators).0;
                let answer = NegTokenResp {
                    neg_state: state,
                    supported_mech: Some(mech.content()),
                    ..NegTokenResp::default()
                };
                let heard = client.hears(&answer.encode());
                match (&outcome_of, state) {
                    (Some(_), Some(NegState::AcceptIncomplete)) if tokens == 1 => {
                        let sent = heard.unwrap().token.unwrap();
                        assert_eq!(describe(&sent), "incomplete token mic");
                        let last = client.hears(&says(NegState::AcceptCompleted).encode());
                        assert_eq!(fault(last), Misbehaviour::MissingMic);
                    }
                    (Some(_), Some(NegState::AcceptIncomplete)) => {
                        assert!(!heard.unwrap().complete)
                    }
                    _ => assert!(matches!(fault(heard), Misbehaviour::Other(_))),
                }
            }
        }
    }
}

/// 5-19 OPTIONAL "optimistic mechanism token is the only mechanism token ... the mechlistMIC token is OPTIONAL"
///
/// Left out, unless the mechanism demands it.
#[test]
fn rfc4178_5_19_single_token_goes_without_a_mic() {
    let script = Script::new(KRB5, 1);
    let (_, offer) = Client::offering(initiator([script.clone()]));
    assert_eq!(describe(&offer), "init token");
    let (_, offer) = Client::offering(initiator([demanding(script)]));
    assert_eq!(describe(&offer), "init token mic");
}

/// 5-20 - "Whether the mechlistMIC token is included, GSS_Init_sec_context() indicates GSS_S_CONTINUE_NEEDED"
///
/// The initiator waits for the acceptor's last word in any case.
#[test]
fn rfc4178_5_20_initiator_waits_after_its_last_token() {
    for script in [Script::new(KRB5, 1), demanding(Script::new(KRB5, 1))] {
        // Client::offering sees that it is not complete.
        let (client, _) = Client::offering(initiator([script]));
        assert_eq!(client.established(), None);
    }
    for state in [NegState::AcceptIncomplete, NegState::RequestMic] {
        let script = Script::new(KRB5, 3);
        let (mut client, _) = Client::offering(initiator([script.clone()]));
        let answer = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            response_token: Some(&script.token(1)),
            ..says(state)
        };
        let reply = client.hears(&answer.encode()).unwrap();
        assert!(!reply.complete && reply.token.is_some());
        assert_eq!(client.established(), None);
    }
}

/// 5-21 should not "Initiators that wish to be compatible with legacy Windows ... should not generate a mechlistMIC token"
///
/// None is generated.
#[test]
fn rfc4178_5_21_initiator_makes_no_mic_that_is_not_required() {
    for tokens in ODD {
        let (initiators, acceptors) = first_choice(tokens);
        let log = initiators.log.clone();
        assert_eq!(ends(&talk(initiators, acceptors)), both(KRB5));
        assert!(!log.borrow().iter().any(|asked| asked.starts_with("sign")));
    }
}

/// An acceptor of a second choice of an odd number of tokens, and the initiator's last token with its
/// MIC.
fn before_initiators_mic(tokens: u8) -> (Server, Vec<u8>) {
    let (initiators, acceptors) = second_choice(tokens);
    let mut server = Server::new(acceptors);
    let (mut client, mut sent) = Client::offering(initiators);
    loop {
        let answer = server.hears(&sent).unwrap().token.unwrap();
        sent = client.hears(&answer).unwrap().token.unwrap();
        if NegTokenResp::decode(&sent).unwrap().mech_list_mic.is_some() {
            return (server, sent);
        }
    }
}

/// 5-22 - "If a mechlistMIC token was included and is correctly verified, GSS_Accept_sec_context() indicates GSS_S_COMPLETE"
///
/// Yes, also when it was not asked for.
#[test]
fn rfc4178_5_22_acceptor_is_done_with_the_initiators_mic() {
    for tokens in ODD {
        let (mut server, last) = before_initiators_mic(tokens);
        assert!(server.hears(&last).unwrap().complete);
        assert_eq!(server.established(), Some(NTLMSSP));
    }
    let script = Script::new(KRB5, 3);
    let unasked = talk(initiator([demanding(script.clone())]), acceptor([script]));
    assert_eq!(ends(&unasked), both(KRB5));
    assert!(seen(&unasked)[2].ends_with("token mic"));
}

/// 5-23 - "The output negotiation message contains a mechlistMIC token and an accept_complete state"
///
/// Yes.
#[test]
fn rfc4178_5_23_acceptor_answers_with_its_mic_and_completed() {
    for tokens in ODD {
        let (mut server, last) = before_initiators_mic(tokens);
        let token = server.hears(&last).unwrap().token.unwrap();
        assert_eq!(describe(&token), "completed mic");
        let list = MechList::encode(&[KRB5, NTLMSSP]);
        let mic = mic_over(list.der(), Role::Acceptor, &Script::new(NTLMSSP, tokens));
        assert_eq!(
            NegTokenResp::decode(&token).unwrap().mech_list_mic,
            Some(&mic[..])
        );
    }
}

/// 5-24 MUST "The initiator MUST then verify this mechlistMIC token"
///
/// It is established only by a right one.
#[test]
fn rfc4178_5_24_initiator_verifies_the_acceptors_answering_mic() {
    for tokens in ODD {
        let answer = first_mic(tokens) + 1;
        let outcome = with_wrong_mic(second_choice(tokens), answer);
        assert_eq!(blamed(&outcome.initiator), wrong_mic());
        let outcome = without_mic(second_choice(tokens), answer);
        assert_eq!(blamed(&outcome.initiator), Misbehaviour::MissingMic);
    }
}

/// 5-25 SHALL "mechlistMIC token was included but is incorrect, the negotiation SHALL be terminated"
///
/// The acceptor gives up, required or not, and tells the initiator.
#[test]
fn rfc4178_5_25_wrong_mic_of_the_initiator_ends_the_negotiation() {
    for tokens in ODD {
        let outcome = with_wrong_mic(second_choice(tokens), first_mic(tokens));
        assert!(matches!(outcome.initiator, End::Failed(_)));
        assert!(matches!(outcome.acceptor, End::Failed(_)));
        assert_eq!(seen(&outcome).last().unwrap(), "reject");
    }
    let (initiators, acceptors) = first_choice(3);
    let unasked = meddled(initiators, acceptors, 2, |token| {
        token.mech_list_mic = Some(b"8 octets")
    });
    assert_eq!(blamed(&unasked.acceptor), wrong_mic());
}

/// 5-26 - "GSS_Accept_sec_context() indicates GSS_S_DEFECTIVE_TOKEN"
///
/// Yes.
#[test]
fn rfc4178_5_26_wrong_mic_of_the_initiator_is_a_defective_token() {
    let (mut server, last) = before_initiators_mic(3);
    let wrong = altered(&last, |token| token.mech_list_mic = Some(b"8 octets"));
    let failure = server.hears(&wrong).unwrap_err();
    assert_eq!(failure.error.major(), major::DEFECTIVE_TOKEN);
}

/// 5-27 - "If no mechlistMIC token was included and the mechlistMIC token exchange is not required, GSS_Accept_sec_context() indicates GSS_S_COMPLETE"
///
/// Yes.
#[test]
fn rfc4178_5_27_acceptor_is_done_without_a_mic_that_is_not_required() {
    for tokens in ODD {
        let (mut server, last) = before_the_last_token(tokens);
        assert!(server.hears(&last).unwrap().complete);
        assert_eq!(server.established(), Some(KRB5));
    }
}

/// An acceptor of a first choice of an odd number of tokens, and the initiator's last one.
fn before_the_last_token(tokens: u8) -> (Server, Vec<u8>) {
    let (initiators, acceptors) = first_choice(tokens);
    let mut server = Server::new(acceptors);
    let (mut client, mut sent) = Client::offering(initiators);
    for _ in 0..tokens / 2 {
        let answer = server.hears(&sent).unwrap().token.unwrap();
        sent = client.hears(&answer).unwrap().token.unwrap();
    }
    (server, sent)
}

/// 5-28 - "The output negotiation message contains an accept_complete state"
///
/// And no MIC.
#[test]
fn rfc4178_5_28_acceptor_says_completed() {
    for tokens in ODD {
        let (mut server, last) = before_the_last_token(tokens);
        let token = server.hears(&last).unwrap().token.unwrap();
        let said = NegTokenResp::decode(&token).unwrap();
        assert_eq!(said.neg_state, Some(NegState::AcceptCompleted));
        assert_eq!((said.response_token, said.mech_list_mic), (None, None));
    }
}

/// One token of a mechanism that the acceptor would not have taken first: the acceptor's first reply,
/// and both ends.
fn one_token_too_early() -> (Client, Server, Vec<u8>, bool) {
    let only = Script::new(NTLMSSP, 1);
    let (client, offer) = Client::offering(initiator([only.clone()]));
    let mut server = Server::new(preferring([Script::new(KRB5, 2), only]));
    let reply = server.hears(&offer).unwrap();
    (client, server, reply.token.unwrap(), reply.complete)
}

/// 5-29 MUST "the initiator did not send a mechlistMIC token, the target then MUST include a mechlistMIC token in that first reply"
///
/// Yes.
#[test]
fn rfc4178_5_29_acceptors_mic_comes_first_when_the_initiator_could_not_know() {
    let (_, _, reply, _) = one_token_too_early();
    assert_eq!(describe(&reply), "request-mic mech mic");
    let list = MechList::encode(&[NTLMSSP]);
    let mic = mic_over(list.der(), Role::Acceptor, &Script::new(NTLMSSP, 1));
    assert_eq!(
        NegTokenResp::decode(&reply).unwrap().mech_list_mic,
        Some(&mic[..])
    );
}

/// 5-30 - "GSS_Accept_sec_context() indicates GSS_S_CONTINUE_NEEDED"
///
/// Yes.
#[test]
fn rfc4178_5_30_acceptor_waits_for_the_answer_to_its_mic() {
    let (_, server, _, complete) = one_token_too_early();
    assert!(!complete);
    assert_eq!(server.established(), None);
}

/// 5-31 MUST "The initiator MUST verify the received mechlistMIC token and generate a mechlistMIC token to send back"
///
/// Yes.
#[test]
fn rfc4178_5_31_initiator_verifies_the_first_replys_mic_and_answers_it() {
    let (mut client, _, reply, _) = one_token_too_early();
    let answer = client.hears(&reply).unwrap();
    assert!(answer.complete);
    assert_eq!(describe(&answer.token.unwrap()), "completed mic");

    for mic in [None, Some(&b"8 octets"[..])] {
        let (mut client, _, reply, _) = one_token_too_early();
        let wrong = altered(&reply, |token| token.mech_list_mic = mic);
        let how = fault(client.hears(&wrong));
        assert_eq!(
            how,
            if mic.is_some() {
                wrong_mic()
            } else {
                Misbehaviour::MissingMic
            }
        );
    }
}

/// 5-32 SHALL "The target SHALL, in turn, verify the returned mechlistMIC token and complete the negotiation"
///
/// Yes, without a further token.
#[test]
fn rfc4178_5_32_acceptor_verifies_the_returned_mic_and_is_done() {
    let (mut client, mut server, reply, _) = one_token_too_early();
    let answer = client.hears(&reply).unwrap().token.unwrap();
    let last = server.hears(&answer).unwrap();
    assert!(last.complete);
    assert_eq!(last.token, None);
    assert_eq!(server.established(), Some(NTLMSSP));

    let (_, mut server, _, _) = one_token_too_early();
    let wrong = altered(&answer, |token| token.mech_list_mic = Some(b"8 octets"));
    assert_eq!(fault(server.hears(&wrong)), wrong_mic());
}

/// 5-33 SHALL "and the acceptor sent a request-mic state in the first reply message ... the negotiation SHALL be terminated"
///
/// Yes, and the initiator is told.
#[test]
fn rfc4178_5_33_missing_mic_of_the_initiator_ends_the_negotiation() {
    for tokens in ODD {
        let outcome = without_mic(second_choice(tokens), first_mic(tokens));
        assert_eq!(blamed(&outcome.acceptor), Misbehaviour::MissingMic);
        assert!(matches!(outcome.initiator, End::Failed(_)));
        assert_eq!(seen(&outcome).last().unwrap(), "reject");
    }
    // An initiator that needs no MIC in its own opinion, and does not see that it is asked for one.
    let only = Script::new(IAKERB, 3);
    let acceptors = preferring([Script::new(KRB5, 2), only.clone()]);
    let blind = meddled(initiator([only]), acceptors, 1, |reply| {
        reply.neg_state = Some(NegState::AcceptIncomplete);
    });
    assert_eq!(blamed(&blind.acceptor), Misbehaviour::MissingMic);
}

/// 5-34 - "GSS_Accept_sec_context() indicates GSS_S_DEFECTIVE_TOKEN"
///
/// Yes.
#[test]
fn rfc4178_5_34_missing_mic_of_the_initiator_is_a_defective_token() {
    let (mut server, last) = before_initiators_mic(5);
    let without = altered(&last, |token| token.mech_list_mic = None);
    let failure = server.hears(&without).unwrap_err();
    assert_eq!(failure.error.major(), major::DEFECTIVE_TOKEN);
    assert!(NegTokenInit::decode(&failure.reject.unwrap()).is_err());
}

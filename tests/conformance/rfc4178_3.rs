//! RFC 4178 section 3: the negotiation.

use spnego::error::{Cause, Error, Misbehaviour, major};
use spnego::negotiate::script::Script;
use spnego::oid::{IAKERB, KRB5, NEGOEX, NTLMSSP, SPNEGO};
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

use crate::programs::{OURS, has_line, pair, realm, scripted};
use crate::support::part_of;
use crate::talk::*;

// ---- 3 ----

/// 3-1 - "integrity services are always requested by the SPNEGO mechanism"
///
/// GSS_C_INTEG_FLAG goes to every mechanism, asked for by the program or not; only a credential with
/// GSS_KRB5_CRED_NO_CI_FLAGS_X is taken at its word.
#[test]
fn rfc4178_3_1_integrity_is_always_asked_for() {
    let Some(realm) = realm() else { return };
    // The mechanism has integrity only if its initiator was asked for it.
    let report = scripted(realm, "ab", "script-a,script-b", "script-b")
        .options("flags=none messages=no")
        .with_variable("SCRIPT_B", "tokens=3,integ=asked")
        .run(OURS)
        .ok();
    for role in ["initiator", "acceptor"] {
        assert!(has_line(part_of(&report, role), "established"), "{report}");
    }
    let initiator = part_of(&report, "initiator");
    assert!(initiator.contains("mic=yes"), "{report}");
}

/// 3-2 - "SPNEGO guarantees that the selected mechanism is mutually preferred"
///
/// Whatever the two sides have and prefer, the acceptor's order decides if it has one, the initiator's
/// if not; and what is not the first choice of both is sealed by MICs in both directions.
#[test]
fn rfc4178_3_2_what_is_agreed_on_is_mutually_preferred() {
    let mechs = [KRB5, IAKERB, NTLMSSP];
    let orders = [
        &[0][..],
        &[1],
        &[2],
        &[0, 1],
        &[1, 0],
        &[0, 2],
        &[2, 1],
        &[0, 1, 2],
        &[2, 1, 0],
        &[1, 2, 0],
    ];
    let scripts = |order: &[usize]| -> Vec<Script> {
        order.iter().map(|at| Script::new(mechs[*at], 3)).collect()
    };
    let mut agreed = 0;
    for offered in orders {
        for accepted in orders {
            for prefers in [false, true] {
                let mut acceptors = acceptor(scripts(accepted));
                acceptors.prefers = prefers;
                let outcome = talk(initiator(scripts(offered)), acceptors);
                let (order, other) = match prefers {
                    true => (accepted, offered),
                    false => (offered, accepted),
                };
                let Some(best) = order.iter().find(|at| other.contains(at)) else {
                    assert_ne!(ends(&outcome).0, both(KRB5).0);
                    continue;
                };
                assert_eq!(ends(&outcome), both(mechs[*best]));
                let mutual = *best == offered[0] && (!prefers || *best == accepted[0]);
                let mics = seen(&outcome)
                    .iter()
                    .filter(|token| token.contains(" mic"))
                    .count();
                assert_eq!(mics, if mutual { 0 } else { 2 }, "{offered:?} {accepted:?}");
                agreed += 1;
            }
        }
    }
    assert!(agreed > 100);
}

// ---- 3.1 ----

/// 3.1-1 - "contains an ordered list of mechanisms in decreasing preference order"
///
/// The order of gss_set_neg_mechs, of the configuration, or of the library; the optimistic token is
/// that of the first.
#[test]
fn rfc4178_3_1_1_offer_has_the_mechanisms_in_order_and_the_first_ones_token() {
    for order in [[KRB5, NTLMSSP, IAKERB], [IAKERB, KRB5, NTLMSSP]] {
        let scripts = order.map(|mech| Script::new(mech, 3));
        let (_, offer) = Client::offering(initiator(scripts.clone()));
        let offer = NegTokenInit::decode(&offer).unwrap();
        let offered: Vec<_> = offer.mech_types.iter().flatten().collect();
        assert_eq!(offered, order);
        assert_eq!(offer.mech_token, Some(&scripts[0].token(0)[..]));
    }
}

/// 3.1-2 MUST NOT "the list MUST NOT contain this SPNEGO mechanism itself"
///
/// SPNEGO is no candidate, asked for or not, and each mechanism is vouched for, or has begun, before it
/// is offered.
#[test]
fn rfc4178_3_1_2_neither_spnego_nor_what_has_no_credential_is_offered() {
    let Some(realm) = realm() else { return };
    let offers = |neg: &str| {
        let report = scripted(realm, "abc", neg, "script-a,script-b,script-c")
            .options("messages=no")
            .with_variable("SCRIPT_B", "cred=no")
            .run(OURS)
            .ok();
        let sent = part_of(&report, "initiator").to_owned();
        assert!(has_line(&sent, "established"), "{report}");
        sent
    };
    let without = offers("spnego,script-b,script-a,script-c");
    let expected = "sends: NegTokenInit mechs=script-a,script-c mechToken=script-a:script-a 1";
    assert!(has_line(&without, expected), "{without}");
}

/// 3.1-3 OPTIONAL, REQUIRED "(as described in Section 5) is OPTIONAL ... indicates that the MIC token exchange is REQUIRED"
///
/// Each of the four states is taken for what it says.
#[test]
fn rfc4178_3_1_3_four_states_say_how_the_negotiation_goes_on() {
    let script = Script::new(KRB5, 2);
    let token = script.token(1);
    for (state, script, complete) in [
        (NegState::Reject, script.clone(), Err(major::BAD_MECH)),
        (NegState::AcceptCompleted, script.clone(), Ok(true)),
        (NegState::AcceptIncomplete, script.clone(), Ok(true)),
        (NegState::AcceptIncomplete, Script::new(KRB5, 4), Ok(false)),
        (
            NegState::RequestMic,
            script.clone(),
            Err(major::DEFECTIVE_TOKEN),
        ),
        (NegState::RequestMic, without_integrity(script), Ok(true)),
    ] {
        let (mut client, _) = Client::offering(initiator([script]));
        let answer = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            response_token: (state != NegState::Reject).then_some(&token),
            ..says(state)
        };
        let heard = client.hears(&answer.encode());
        let heard = heard
            .map(|reply| reply.complete)
            .map_err(|failure| failure.error.major());
        assert_eq!(heard, complete, "{state:?}");
    }
}

/// 3.1-4 SHALL "the target SHALL choose the first mechanism in the initiator-proposed list"
///
/// Unless gss_set_neg_mechs or the configuration gave an order.
#[test]
fn rfc4178_3_1_4_without_an_order_of_its_own_the_acceptor_takes_the_first_it_can() {
    let (krb5, iakerb, ntlm) = (
        Script::new(KRB5, 2),
        Script::new(IAKERB, 2),
        Script::new(NTLMSSP, 3),
    );
    let initiators = initiator([
        Script::new(NEGOEX, 4),
        krb5.clone(),
        iakerb.clone(),
        ntlm.clone(),
    ]);
    let acceptors = [ntlm, iakerb, krb5.failing(0, Cause::Unusable)];
    let outcome = talk(initiators.clone(), acceptor(acceptors.clone()));
    assert_eq!(ends(&outcome), both(IAKERB));
    assert_eq!(
        ends(&talk(initiators, preferring(acceptors))),
        both(NTLMSSP)
    );
}

/// 3.1-5 - "the security mechanism in the first reply message represents the value suitable for the target"
///
/// supportedMech is in every first reply, as the list has it.
#[test]
fn rfc4178_3_1_5_first_reply_names_the_mechanism_chosen() {
    for chosen in [KRB5, IAKERB, NTLMSSP] {
        let offered = [KRB5, IAKERB, NTLMSSP].map(|mech| Script::new(mech, 3));
        let outcome = talk(initiator(offered), acceptor([Script::new(chosen, 3)]));
        let reply = NegTokenResp::decode(&outcome.tokens[1]).unwrap();
        assert_eq!(reply.supported_mech, Some(chosen.content()));
    }
}

/// 3.1-6 OPTIONAL "the reject state is returned, and the generation of a context-level negotiation token is OPTIONAL"
///
/// A token with reject always, with the error token of the mechanism if it made one.
#[test]
fn rfc4178_3_1_6_failure_is_told_by_reject_with_the_mechanisms_error_token() {
    let script = Script::new(KRB5, 4);
    let outcome = talk(
        initiator([script.clone()]),
        acceptor([Script::new(NTLMSSP, 3)]),
    );
    assert_eq!(outcome.tokens[1], says(NegState::Reject).encode());

    let failing = script.clone().failing(0, Cause::Refused);
    let outcome = talk(initiator([script.clone()]), acceptor([failing]));
    let reject = NegTokenResp {
        response_token: Some(&script.error_token()),
        ..says(NegState::Reject)
    };
    assert_eq!(outcome.tokens[1], reject.encode());
}

/// 3.1-7 MUST NOT "partially-established contexts MUST NOT be used for per-message calls"
///
/// Every message call on one says GSS_S_NO_CONTEXT, also while the mechanism itself is established.
#[test]
fn rfc4178_3_1_7_unfinished_context_protects_no_message() {
    let Some(realm) = realm() else { return };
    let report = unfinished(realm);
    for role in ["initiator", "acceptor"] {
        let part = part_of(&report, role);
        let legs = part.matches(": CONTINUE_NEEDED").count();
        assert!(legs >= 2, "{report}");
        for call in [
            "wrap",
            "unwrap",
            "get_mic",
            "verify_mic",
            "wrap_size_limit",
            "wrap_iov",
            "unwrap_iov",
            "wrap_aead",
            "get_mic_iov",
            "pseudo_random",
        ] {
            let refused = format!("early {call}: NO_CONTEXT\n");
            assert_eq!(part.matches(&refused).count(), legs, "{call} {report}");
        }
    }
}

/// The reports of a second choice, looked at after each leg: the initiator's mechanism is established
/// one leg before the context is.
fn unfinished(realm: &crate::support::Realm) -> String {
    let report = scripted(realm, "ab", "script-a,script-b", "script-b")
        .options("early=yes inquire=yes")
        .with_variable("SCRIPT_B", "tokens=3")
        .run(OURS)
        .ok();
    for role in ["initiator", "acceptor"] {
        assert!(has_line(part_of(&report, role), "established"), "{report}");
    }
    report
}

/// 3.1-8 MUST "the prot_ready state [RFC2743] MUST be set to false on return"
///
/// GSS_C_PROT_READY_FLAG is taken out of the flags of every leg but the last, and of
/// gss_inquire_context meanwhile.
#[test]
fn rfc4178_3_1_8_prot_ready_is_false_until_the_end() {
    let Some(realm) = realm() else { return };
    let report = unfinished(realm);
    for role in ["initiator", "acceptor"] {
        let mut unfinished = false;
        let mut seen = [0, 0];
        for line in part_of(&report, role).lines() {
            if let Some(leg) = line.strip_prefix("leg ") {
                unfinished = leg.ends_with("CONTINUE_NEEDED");
            }
            let is_of_context = ["mech: ", "flags: "]
                .iter()
                .any(|word| line.trim().starts_with(word));
            if let (true, Some((_, flags))) = (is_of_context, line.split_once("flags: ")) {
                assert_eq!(
                    flags.contains("prot_ready"),
                    !unfinished,
                    "{line}\n{report}"
                );
                seen[usize::from(unfinished)] += 1;
            }
        }
        // From the leg and from the inquiry after it.
        assert!(seen[0] >= 2 && seen[1] >= 4, "{seen:?}\n{report}");
    }
}

/// 3.1-9 SHOULD "first context establishment token of the initiator's preferred mechanism SHOULD be embedded"
///
/// Unless `optimistic_token = false`, or the acceptor's hints make it useless.
#[test]
fn rfc4178_3_1_9_optimistic_token_saves_a_round_trip() {
    let script = Script::new(KRB5, 2);
    let outcome = talk(initiator([script.clone()]), acceptor([script]));
    assert_eq!(seen(&outcome), ["init token", "completed mech token"]);
    assert_eq!(ends(&outcome), both(KRB5));
}

/// 3.1-10 - "allows the initiator to recover from non-fatal errors encountered when trying to produce the first mechanism token"
///
/// A mechanism that cannot be used is left out and the next one takes its place; one that refuses (a
/// wrong password) ends it.
#[test]
fn rfc4178_3_1_10_mechanism_that_cannot_begin_is_replaced_by_the_next() {
    let ntlm = Script::new(NTLMSSP, 3);
    let failing = |cause| initiator([Script::new(KRB5, 2).failing(0, cause), ntlm.clone()]);
    let outcome = talk(failing(Cause::Unusable), acceptor([ntlm.clone()]));
    let offer = NegTokenInit::decode(&outcome.tokens[0]).unwrap();
    assert_eq!(offer.mech_types, MechList::encode(&[NTLMSSP]));
    assert_eq!(offer.mech_token, Some(&ntlm.token(0)[..]));
    assert_eq!(ends(&outcome), both(NTLMSSP));
    let outcome = talk(failing(Cause::Refused), acceptor([ntlm.clone()]));
    assert!(outcome.tokens.is_empty());
}

/// 3.1-11 MAY "implementations MAY omit the optimistic mechanism token"
///
/// With `optimistic_token = false`, and when the acceptor said first that it does not have the
/// mechanism.
#[test]
fn rfc4178_3_1_11_optimistic_token_is_left_out_by_configuration_or_hints() {
    let scripts = [Script::new(KRB5, 2), Script::new(NTLMSSP, 3)];
    let quiet = without_optimistic_token(initiator(scripts.clone()));
    let outcome = talk(quiet, acceptor(scripts.clone()));
    assert_eq!(seen(&outcome)[0], "init");
    assert_eq!(ends(&outcome), both(KRB5));

    let hints = NegTokenInit::decode(&offer(&[NTLMSSP], None))
        .unwrap()
        .encode_init2();
    let (_, offer) = Client::invited(Some(&hints), initiator(scripts));
    assert_eq!(describe(&offer), "init");
}

// ---- 3.2 ----

/// 3.2-1 - "generates a negotiation token containing a list of one or more security mechanisms"
///
/// Without a single one there is no token, but every reason.
#[test]
fn rfc4178_3_2_1_without_a_mechanism_there_is_no_token() {
    let unusable = [KRB5, NTLMSSP].map(|mech| Script::new(mech, 2).failing(0, Cause::Unusable));
    let outcome = talk(initiator(unusable), acceptor([Script::new(KRB5, 2)]));
    assert!(outcome.tokens.is_empty());
    let spnego::negotiate::script::End::Failed(error) = outcome.initiator else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.sentences().len(), 2);

    let one = initiator([
        Script::new(KRB5, 2),
        Script::new(NTLMSSP, 2).failing(0, Cause::Unusable),
    ]);
    let (_, offer) = Client::offering(one);
    let offer = NegTokenInit::decode(&offer).unwrap();
    assert_eq!(offer.mech_types, MechList::encode(&[KRB5]));
}

/// 3.2-2 SHALL "none of the proposed mechanisms are acceptable, the negotiation SHALL be terminated"
///
/// Both ends are over with the acceptor's answer.
#[test]
fn rfc4178_3_2_2_nothing_acceptable_ends_the_negotiation() {
    use spnego::negotiate::script::End;
    let outcome = talk(
        initiator([Script::new(KRB5, 2), Script::new(IAKERB, 2)]),
        acceptor([Script::new(NTLMSSP, 3)]),
    );
    assert!(matches!(
        outcome.acceptor,
        End::Failed(Error::NoMech { .. })
    ));
    assert!(matches!(
        outcome.initiator,
        End::Failed(Error::Rejected { .. })
    ));
    assert_eq!(outcome.tokens.len(), 2);
}

/// 3.2-3 - "GSS_Accept_sec_context indicates GSS_S_BAD_MECH"
///
/// So it does at both ends. Deviates: where a mechanism is common and only its credential is missing,
/// the mechanism's own error is told, which says more.
#[test]
fn rfc4178_3_2_3_nothing_acceptable_is_bad_mech() {
    let mut server = Server::new(acceptor([Script::new(NTLMSSP, 3)]));
    let failure = server.hears(&offer(&[KRB5, IAKERB], None)).unwrap_err();
    assert_eq!(failure.error.major(), major::BAD_MECH);
    let (mut client, _) = Client::offering(initiator([Script::new(KRB5, 2)]));
    let failure = client.hears(&failure.reject.unwrap()).unwrap_err();
    assert_eq!(failure.error.major(), major::BAD_MECH);

    let keyless = Script::new(KRB5, 2).failing(0, Cause::Unusable);
    let mut server = Server::new(acceptor([keyless]));
    let failure = server.hears(&offer(&[KRB5], None)).unwrap_err();
    assert_eq!(failure.error.major(), major::NO_CRED);
}

/// 3.2-4 MAY "acceptor MAY output a negotiation token containing a reject state"
///
/// It always does.
#[test]
fn rfc4178_3_2_4_acceptor_sends_a_reject() {
    for offered in [&[KRB5][..], &[IAKERB, NEGOEX], &[SPNEGO]] {
        let mut server = Server::new(acceptor([Script::new(NTLMSSP, 3)]));
        let reject = server.hears(&offer(offered, None)).unwrap_err().reject;
        assert_eq!(reject, Some(says(NegState::Reject).encode()));
    }
}

/// 3.2-5 - "MIC token exchange as described in Section 5 is required ... indicates GSS_S_CONTINUE_NEEDED"
///
/// Even when the mechanism is done with its first token.
#[test]
fn rfc4178_3_2_5_required_mics_keep_the_acceptor_waiting() {
    let only = Script::new(NTLMSSP, 1);
    let mut server = Server::new(preferring([Script::new(KRB5, 2), only.clone()]));
    let reply = server
        .hears(&offer(&[NTLMSSP], Some(&only.token(0))))
        .unwrap();
    assert!(!reply.complete && reply.token.is_some());
    assert_eq!(server.established(), None);

    let mut server = Server::new(acceptor([only.clone()]));
    assert!(
        !server
            .hears(&offer(&[KRB5, NTLMSSP], None))
            .unwrap()
            .complete
    );
}

/// 3.2-6 MUST "acceptor MUST output a negotiation token containing a request-mic state"
///
/// When another than the initiator's first choice is taken, and when the acceptor would have preferred
/// a mechanism that was not offered.
#[test]
fn rfc4178_3_2_6_contestable_choice_is_answered_by_request_mic() {
    let ntlm = Script::new(NTLMSSP, 3);
    for (side, offered, token) in [
        (acceptor([ntlm.clone()]), &[KRB5, NTLMSSP][..], None),
        (
            acceptor([ntlm.clone()]),
            &[KRB5, NTLMSSP],
            Some(b"of krb5".to_vec()),
        ),
        (
            preferring([Script::new(KRB5, 2), ntlm.clone()]),
            &[NTLMSSP],
            Some(ntlm.token(0)),
        ),
        (
            preferring([Script::new(KRB5, 2), ntlm.clone()]),
            &[NTLMSSP],
            None,
        ),
    ] {
        let reply = Server::new(side)
            .hears(&offer(offered, token.as_deref()))
            .unwrap();
        let token = reply.token.unwrap();
        let reply = NegTokenResp::decode(&token).unwrap();
        assert_eq!(reply.neg_state, Some(NegState::RequestMic));
        assert_eq!(reply.supported_mech, Some(NTLMSSP.content()));
    }
}

/// 3.2-7 - "at least one additional negotiation token from the initiator is needed ... outputs a negotiation token containing an accept-incomplete state"
///
/// Yes.
#[test]
fn rfc4178_3_2_7_mechanism_under_way_is_answered_by_incomplete() {
    for (tokens, sent) in [(3, true), (4, true), (1, false), (2, false)] {
        let script = Script::new(KRB5, tokens);
        let token = script.token(0);
        let mut server = Server::new(acceptor([script]));
        let reply = server
            .hears(&offer(&[KRB5], sent.then_some(&token)))
            .unwrap();
        assert!(!reply.complete);
        assert!(describe(&reply.token.unwrap()).starts_with("incomplete mech"));
    }
}

/// 3.2-8 - "no additional negotiation token from the initiator is needed ... containing an accept_complete state"
///
/// Yes.
#[test]
fn rfc4178_3_2_8_mechanism_done_is_answered_by_completed() {
    for tokens in [1, 2] {
        let script = Script::new(KRB5, tokens);
        let mut server = Server::new(acceptor([script.clone()]));
        let reply = server
            .hears(&offer(&[KRB5], Some(&script.token(0))))
            .unwrap();
        assert!(reply.complete);
        assert!(describe(&reply.token.unwrap()).starts_with("completed mech"));
        assert_eq!(server.established(), Some(KRB5));
    }
}

/// 3.2-9 MUST "this mechanism token MUST be passed to the selected mechanism"
///
/// Unless it is empty, or evidently another mechanism's.
#[test]
fn rfc4178_3_2_9_optimistic_token_is_passed_to_the_mechanism() {
    let script = Script::new(KRB5, 3);
    let mut server = Server::new(acceptor([script.clone()]));
    server
        .hears(&offer(&[KRB5], Some(&script.token(0))))
        .unwrap();
    assert_eq!(*server.side.log.borrow(), ["start krb5"]);
    // A mechanism that was passed something else says so.
    let mut server = Server::new(acceptor([script.clone()]));
    let failure = server.hears(&offer(&[KRB5], Some(b"another"))).unwrap_err();
    assert!(matches!(failure.error, Error::Mech { .. }));
    // Nor is one that is evidently another mechanism's.
    let mut server = Server::new(acceptor([script.clone()]));
    let how = fault(server.hears(&offer(&[KRB5], Some(b"NTLMSSP\0\x01"))));
    assert!(matches!(how, Misbehaviour::Other(_)));
    assert!(server.side.log.borrow().is_empty());
    // That of a mechanism not taken is not passed on.
    let mut server = Server::new(acceptor([script]));
    server
        .hears(&offer(&[NTLMSSP, KRB5], Some(b"of ntlm")))
        .unwrap();
    assert_eq!(*server.side.log.borrow(), ["vouch krb5"]);
}

/// 3.2-10 MUST "If a response mechanism token is returned, it MUST be included in the response negotiation token"
///
/// Yes.
#[test]
fn rfc4178_3_2_10_mechanisms_answer_is_in_the_reply() {
    for tokens in 2..5 {
        let script = Script::new(KRB5, tokens);
        let mut server = Server::new(acceptor([script.clone()]));
        let reply = server
            .hears(&offer(&[KRB5], Some(&script.token(0))))
            .unwrap();
        let token = reply.token.unwrap();
        let reply = NegTokenResp::decode(&token).unwrap();
        assert_eq!(reply.response_token, Some(&script.token(1)[..]));
    }
}

/// 3.2-11 - "the target will not generate a response mechanism token in the first reply"
///
/// The field is left out, not empty, also when the mechanism's last token is empty.
#[test]
fn rfc4178_3_2_11_without_an_answer_the_reply_has_no_token() {
    let single = Script::new(KRB5, 1);
    let silent = Script {
        empty_token: Some(1),
        ..Script::new(KRB5, 2)
    };
    for (script, offered, token) in [
        (silent.clone(), &[KRB5][..], Some(silent.token(0))),
        (single.clone(), &[KRB5], Some(single.token(0))),
        (Script::new(KRB5, 2), &[KRB5], None),
        (
            Script::new(KRB5, 2),
            &[NTLMSSP, KRB5],
            Some(b"of ntlm".to_vec()),
        ),
    ] {
        let mut server = Server::new(acceptor([script]));
        let reply = server.hears(&offer(offered, token.as_deref())).unwrap();
        let token = reply.token.unwrap();
        assert_eq!(NegTokenResp::decode(&token).unwrap().response_token, None);
        assert!(!field_tags(&token).contains(&0xa2));
    }
}

/// 3.2-12 - "tokens of the selected mechanism are encapsulated in negotiation messages ... until GSS_S_COMPLETE is returned for both"
///
/// Every token of the mechanism travels once, in its order, whatever their number.
#[test]
fn rfc4178_3_2_12_mechanisms_tokens_are_carried_to_the_end() {
    for tokens in 1..8 {
        for optimistic in [true, false] {
            let script = Script::new(KRB5, tokens);
            let mut initiators = initiator([script.clone()]);
            initiators.rules.optimistic_token = optimistic;
            let outcome = talk(initiators, acceptor([script.clone()]));
            assert_eq!(ends(&outcome), both(KRB5));
            let first = NegTokenInit::decode(&outcome.tokens[0]).unwrap().mech_token;
            let later = outcome.tokens[1..].iter();
            let later =
                later.filter_map(|token| NegTokenResp::decode(token).unwrap().response_token);
            let carried: Vec<_> = first.into_iter().chain(later).collect();
            let expected: Vec<_> = (0..tokens).map(|number| script.token(number)).collect();
            assert_eq!(carried, expected);
        }
    }
}

/// 3.2-13 - "input parameters for context establishment are relative to the selected mechanism, as are the *_state output parameters"
///
/// Flags go to the mechanism as they are (with integrity added), and its own come back.
#[test]
fn rfc4178_3_2_13_flags_are_the_mechanisms() {
    let Some(realm) = realm() else { return };
    for (flags, granted, refused) in [
        (
            "mutual,seq",
            &["mutual", "seq"][..],
            &["replay", "deleg"][..],
        ),
        (
            "replay,identify",
            &["replay", "identify"],
            &["mutual", "seq"],
        ),
        ("none", &[], &["mutual", "replay", "seq", "deleg"]),
    ] {
        let report = pair(realm)
            .with(format!("flags={flags}"))
            .options("messages=no")
            .run(OURS)
            .ok();
        for role in ["initiator", "acceptor"] {
            let part = part_of(&report, role);
            let line = part
                .lines()
                .rfind(|line| line.contains(" flags: "))
                .unwrap();
            let given: Vec<_> = line
                .split_once("flags: ")
                .unwrap()
                .1
                .split([',', ' '])
                .collect();
            assert!(
                granted.iter().all(|flag| given.contains(flag)),
                "{flags}: {report}"
            );
            assert!(
                !refused.iter().any(|flag| given.contains(flag)),
                "{flags}: {report}"
            );
        }
    }
}

/// 3.2-14 SHOULD "implementation SHOULD produce a credential element for the SPNEGO mechanism that internally contains GSS-API credential elements for all mechanisms"
///
/// gss_acquire_cred for SPNEGO asks every mechanism that the configuration allows; those that have
/// none are left out.
#[test]
fn rfc4178_3_2_14_credential_is_for_every_mechanism_that_has_one_and_is_allowed() {
    let Some(realm) = realm() else { return };
    let offered = |allowed: Option<&str>| {
        let mut pair = pair(realm)
            .with_scripts("abc")
            .options("cred=acquire cred.mechs=spnego messages=no")
            .with_variable("SCRIPT_B", "cred=no");
        if let Some(allowed) = allowed {
            pair = pair.with_variable("GSS_SPNEGO_MECHS", allowed);
        }
        let report = pair.run(OURS).ok();
        let sends = part_of(&report, "initiator").lines().map(str::trim);
        let mut sends = sends.filter_map(|line| line.strip_prefix("sends: NegTokenInit mechs="));
        let mut offered: Vec<String> = sends
            .next()
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .split(',')
            .map(ToOwned::to_owned)
            .collect();
        offered.sort();
        offered
    };
    assert_eq!(offered(None), ["krb5", "script-a", "script-c"]);
    assert_eq!(offered(Some("!2.25.7301.3")), ["krb5", "script-a"]);
}

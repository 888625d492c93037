//! Both roles against each other, over scripted mechanisms, honestly and with someone between.
#![forbid(unsafe_code)]

use super::script::{End, Outcome, Script, Side, converse};
use super::{MicState, Record};
use crate::advice::{Trouble, advised};
use crate::error::{Cause, Error, Misbehaviour, major};
use crate::oid::{IAKERB, KRB5, KRB5_MS, LATE_FALLBACK, NEGOEX, NTLMSSP, Oid};
use crate::policy::{Downgrade, Rules};
use crate::role::Role;
use crate::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

fn initiator(scripts: impl Into<Vec<Script>>) -> Side {
    Side::new(Role::Initiator, scripts)
}

fn acceptor(scripts: impl Into<Vec<Script>>) -> Side {
    Side::new(Role::Acceptor, scripts)
}

fn preferring(scripts: impl Into<Vec<Script>>) -> Side {
    Side {
        prefers: true,
        ..acceptor(scripts)
    }
}

fn without_optimistic_token(mut side: Side) -> Side {
    side.rules.optimistic_token = false;
    side
}

fn demanding(script: Script) -> Script {
    Script {
        demands_mic: true,
        ..script
    }
}

fn talk(mut initiators: Side, mut acceptors: Side) -> Outcome {
    converse(&mut initiators, &mut acceptors, |_, token| token)
}

fn established(mech: Oid) -> (End, End) {
    (End::Established(mech), End::Established(mech))
}

fn ends(outcome: &Outcome) -> (End, End) {
    (outcome.initiator.clone(), outcome.acceptor.clone())
}

/// What is in each token: for a NegTokenResp its negState and the fields that are there.
fn seen(outcome: &Outcome) -> Vec<String> {
    outcome.tokens.iter().map(|token| describe(token)).collect()
}

fn describe(token: &[u8]) -> String {
    let (kind, fields) = match NegTokenInit::decode(token) {
        Ok(init) => (
            "init",
            [
                (false, ""),
                (init.mech_token.is_some(), " token"),
                (init.mech_list_mic.is_some(), " mic"),
            ],
        ),
        Err(_) => {
            let response = NegTokenResp::decode(token).unwrap();
            (
                match response.neg_state {
                    None => "-",
                    Some(NegState::AcceptCompleted) => "completed",
                    Some(NegState::AcceptIncomplete) => "incomplete",
                    Some(NegState::Reject) => "reject",
                    Some(NegState::RequestMic) => "request-mic",
                },
                [
                    (response.supported_mech.is_some(), " mech"),
                    (response.response_token.is_some(), " token"),
                    (response.mech_list_mic.is_some(), " mic"),
                ],
            )
        }
    };
    let fields = fields.iter().filter(|(is_there, _)| *is_there);
    fields.fold(kind.to_owned(), |line, (_, name)| line + name)
}

fn misbehaved(how: Misbehaviour) -> End {
    End::Failed(Error::PeerMisbehaved(how))
}

// -- Section 3 and 4: the mechanism's tokens ----------------------------------------------------

#[test]
fn a_mutually_preferred_mechanism_needs_no_token_beyond_its_own_and_the_last_word() {
    for (tokens, expected) in [
        (1, &["init token", "completed mech"][..]),
        (2, &["init token", "completed mech token"]),
        (
            3,
            &[
                "init token",
                "incomplete mech token",
                "incomplete token",
                "completed",
            ],
        ),
        (
            4,
            &[
                "init token",
                "incomplete mech token",
                "incomplete token",
                "completed token",
            ],
        ),
    ] {
        let both = [Script::new(KRB5, tokens), Script::new(NTLMSSP, 3)];
        let outcome = talk(initiator(both.clone()), acceptor(both));
        assert_eq!(seen(&outcome), expected, "{tokens} tokens");
        assert_eq!(ends(&outcome), established(KRB5), "{tokens} tokens");
    }
}

#[test]
fn without_an_optimistic_token_the_choice_comes_first() {
    for (tokens, expected) in [
        (
            1,
            &["init", "incomplete mech", "incomplete token", "completed"][..],
        ),
        (
            2,
            &[
                "init",
                "incomplete mech",
                "incomplete token",
                "completed token",
            ],
        ),
        (
            3,
            &[
                "init",
                "incomplete mech",
                "incomplete token",
                "incomplete token",
                "incomplete token",
                "completed",
            ],
        ),
    ] {
        let both = [Script::new(KRB5, tokens), Script::new(NTLMSSP, 3)];
        let initiators = without_optimistic_token(initiator(both.clone()));
        let log = initiators.log.clone();
        let outcome = talk(initiators, acceptor(both));
        assert_eq!(seen(&outcome), expected, "{tokens} tokens");
        assert_eq!(ends(&outcome), established(KRB5), "{tokens} tokens");
        let asked = ["vouch krb5", "vouch ntlmssp", "start krb5"];
        assert_eq!(log.borrow()[..3], asked);
    }
}

#[test]
fn a_mechanism_may_exchange_empty_tokens() {
    for empty in 1..5 {
        let script = Script {
            empty_token: Some(empty),
            ..Script::new(KRB5, 6)
        };
        let outcome = talk(initiator([script.clone()]), acceptor([script]));
        assert_eq!(ends(&outcome), established(KRB5), "token {empty}");
    }
}

// -- Section 5: the mechListMIC ------------------------------------------------------------------

/// CVE-2014-4343: reselection gives up the first context once. A parser that no longer saw the MICs
/// would fail here too.
#[test]
fn second_choice_needs_both_mics_whoever_sends_the_last_token() {
    for (tokens, expected) in [
        (
            1,
            &[
                "init token",
                "request-mic mech",
                "incomplete token mic",
                "completed mic",
            ][..],
        ),
        (
            2,
            &[
                "init token",
                "request-mic mech",
                "incomplete token",
                "incomplete token mic",
                "completed mic",
            ],
        ),
        (
            3,
            &[
                "init token",
                "request-mic mech",
                "incomplete token",
                "incomplete token",
                "incomplete token mic",
                "completed mic",
            ],
        ),
        (
            4,
            &[
                "init token",
                "request-mic mech",
                "incomplete token",
                "incomplete token",
                "incomplete token",
                "incomplete token mic",
                "completed mic",
            ],
        ),
    ] {
        let second = Script::new(NTLMSSP, tokens);
        let initiators = initiator([Script::new(KRB5, 2), second.clone()]);
        let log = initiators.log.clone();
        let outcome = talk(initiators, acceptor([second]));
        assert_eq!(seen(&outcome), expected, "{tokens} tokens");
        assert_eq!(ends(&outcome), established(NTLMSSP), "{tokens} tokens");
        // The optimistic context goes before the next one begins.
        let asked = ["start krb5", "vouch ntlmssp", "drop krb5", "start ntlmssp"];
        assert_eq!(log.borrow()[..4], asked);
    }
}

#[test]
fn first_choice_that_the_acceptor_would_not_have_taken_first_needs_both_mics() {
    for (tokens, expected) in [
        (
            1,
            &["init token", "request-mic mech mic", "completed mic"][..],
        ),
        (
            2,
            &["init token", "request-mic mech token mic", "completed mic"],
        ),
        (
            3,
            &[
                "init token",
                "request-mic mech token",
                "incomplete token mic",
                "completed mic",
            ],
        ),
    ] {
        let only = Script::new(NTLMSSP, tokens);
        let acceptors = preferring([Script::new(KRB5, 2), only.clone()]);
        let outcome = talk(initiator([only]), acceptors);
        assert_eq!(seen(&outcome), expected, "{tokens} tokens");
        assert_eq!(ends(&outcome), established(NTLMSSP), "{tokens} tokens");
    }
}

#[test]
fn what_the_acceptor_cannot_use_it_does_not_prefer() {
    let only = Script::new(NTLMSSP, 3);
    let unusable = Script::new(KRB5, 2).failing(0, Cause::Unusable);
    let outcome = talk(initiator([only.clone()]), preferring([unusable, only]));
    assert_eq!(seen(&outcome)[1], "incomplete mech token");
    assert_eq!(ends(&outcome), established(NTLMSSP));
}

#[test]
fn an_acceptor_with_an_order_of_its_own_follows_that() {
    let (kerberos, ntlm) = (Script::new(KRB5, 2), Script::new(NTLMSSP, 3));
    let initiators = initiator([kerberos.clone(), ntlm.clone()]);
    let outcome = talk(
        initiators.clone(),
        preferring([ntlm.clone(), kerberos.clone()]),
    );
    assert_eq!(ends(&outcome), established(NTLMSSP));
    let outcome = talk(initiators, acceptor([ntlm, kerberos]));
    assert_eq!(ends(&outcome), established(KRB5));
}

#[test]
fn a_mechanism_that_demands_mics_gets_them_for_a_first_choice() {
    for (tokens, expected) in [
        (1, &["init token mic", "completed mech mic"][..]),
        (
            2,
            &["init token", "incomplete mech token mic", "completed mic"],
        ),
        (
            3,
            &[
                "init token",
                "incomplete mech token",
                "incomplete token mic",
                "completed mic",
            ],
        ),
    ] {
        let script = demanding(Script::new(NTLMSSP, tokens));
        let outcome = talk(initiator([script.clone()]), acceptor([script]));
        assert_eq!(seen(&outcome), expected, "{tokens} tokens");
        assert_eq!(ends(&outcome), established(NTLMSSP), "{tokens} tokens");
    }
}

#[test]
fn a_mic_that_was_not_asked_for_is_verified_and_answered() {
    let plain = Script::new(NTLMSSP, 3);
    let demands = demanding(plain.clone());
    let outcome = talk(initiator([demands.clone()]), acceptor([plain.clone()]));
    assert_eq!(
        seen(&outcome)[2..],
        ["incomplete token mic", "completed mic"]
    );
    assert_eq!(ends(&outcome), established(NTLMSSP));

    let even = Script::new(KRB5, 2);
    let outcome = talk(initiator([even.clone()]), acceptor([demanding(even)]));
    assert_eq!(
        seen(&outcome)[1..],
        ["incomplete mech token mic", "completed mic"]
    );
    assert_eq!(ends(&outcome), established(KRB5));
}

#[test]
fn without_integrity_there_are_no_mics() {
    for tokens in 1..5 {
        let second = Script {
            integrity: false,
            ..demanding(Script::new(NTLMSSP, tokens))
        };
        let initiators = initiator([Script::new(KRB5, 2), second.clone()]);
        let outcome = talk(initiators, acceptor([second]));
        assert_eq!(ends(&outcome), established(NTLMSSP), "{tokens} tokens");
        assert!(seen(&outcome).iter().all(|token| !token.contains(" mic")));
    }
}

// -- Choosing ------------------------------------------------------------------------------------

#[test]
fn a_mechanism_that_cannot_start_is_dropped_and_the_next_one_offered_in_its_place() {
    let ntlm = Script::new(NTLMSSP, 3);
    let initiators = initiator([
        Script::new(KRB5, 2).failing(0, Cause::Unusable),
        ntlm.clone(),
    ]);
    let outcome = talk(initiators, acceptor([Script::new(KRB5, 2), ntlm]));
    let init = NegTokenInit::decode(&outcome.tokens[0]).unwrap();
    assert_eq!(init.mech_types, MechList::encode(&[NTLMSSP]));
    assert_eq!(ends(&outcome), established(NTLMSSP));
    // It is the first choice of both now, so there is nothing to prove.
    assert_eq!(seen(&outcome).last().unwrap(), "completed");
}

#[test]
fn a_mechanism_behind_the_first_is_offered_only_if_it_can_be_used() {
    let initiators = initiator([
        Script::new(KRB5, 2),
        Script::new(IAKERB, 2).failing(0, Cause::Unusable),
        Script::new(NTLMSSP, 3),
    ]);
    let outcome = talk(initiators, acceptor([Script::new(KRB5, 2)]));
    let init = NegTokenInit::decode(&outcome.tokens[0]).unwrap();
    assert_eq!(init.mech_types, MechList::encode(&[KRB5, NTLMSSP]));
}

#[test]
fn a_wrong_password_never_turns_into_another_mechanism() {
    let initiators = initiator([
        Script::new(KRB5, 2).failing(0, Cause::Refused),
        Script::new(NTLMSSP, 3),
    ]);
    let log = initiators.log.clone();
    let outcome = talk(initiators, acceptor([Script::new(NTLMSSP, 3)]));
    let End::Failed(Error::Mech { error, .. }) = outcome.initiator else {
        panic!("{outcome:?}");
    };
    assert_eq!((error.mech, error.major), (KRB5, major::FAILURE));
    assert!(outcome.tokens.is_empty());
    assert!(!log.borrow().iter().any(|asked| asked.contains("ntlmssp")));
}

#[test]
fn when_nothing_can_be_offered_every_reason_is_given_and_the_first_decides() {
    let initiators = initiator([
        Script::new(KRB5, 2).failing(0, Cause::Unusable),
        Script::new(NTLMSSP, 3).failing(0, Cause::Unusable),
    ]);
    for initiators in [initiators.clone(), without_optimistic_token(initiators)] {
        let outcome = talk(initiators, acceptor([Script::new(KRB5, 2)]));
        let End::Failed(error) = outcome.initiator else {
            panic!("{outcome:?}");
        };
        assert_eq!(error.major(), major::NO_CRED);
        let sentences = error.sentences();
        assert_eq!(sentences.len(), 2);
        assert!(sentences[0].starts_with("krb5: ") && sentences[1].starts_with("ntlmssp: "));
        assert!(outcome.tokens.is_empty());
    }
}

#[test]
fn without_a_single_candidate_the_error_says_so() {
    let outcome = talk(initiator([]), acceptor([]));
    let End::Failed(error) = outcome.initiator else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.major(), major::BAD_MECH);
    assert!(error.sentences()[0].contains("no mechanism is available"));
}

/// CVE-2021-44758: an answer that names no mechanism, because none was chosen.
#[test]
fn no_mechanism_in_common_is_rejected_with_what_was_offered() {
    let outcome = talk(
        initiator([Script::new(KRB5, 2), Script::new(IAKERB, 2)]),
        acceptor([Script::new(NTLMSSP, 3)]),
    );
    assert_eq!(seen(&outcome), ["init token", "reject"]);
    let End::Failed(error) = outcome.acceptor else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.major(), major::BAD_MECH);
    let last = "iakerb: offered by the initiator, not accepted here";
    assert_eq!(
        error.sentences(),
        [
            "krb5: offered by the initiator, not accepted here".to_owned(),
            advised(last.to_owned(), Some(&Trouble::NothingInCommon)),
        ]
    );
    let End::Failed(error) = outcome.initiator else {
        panic!("no failure");
    };
    assert!(matches!(
        error,
        Error::Rejected {
            negotiated: false,
            ..
        }
    ));
    assert_eq!(error.major(), major::BAD_MECH);
}

#[test]
fn the_error_token_of_the_acceptors_mechanism_reaches_the_initiators() {
    let kerberos = Script::new(KRB5, 2);
    let outcome = talk(
        initiator([kerberos.clone()]),
        acceptor([kerberos.failing(1, Cause::Refused)]),
    );
    assert_eq!(seen(&outcome), ["init token", "reject token"]);
    let End::Failed(Error::Mech { error, .. }) = outcome.initiator else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.reason, "the peer's mechanism failed");
}

#[test]
fn the_error_token_of_the_initiators_mechanism_reaches_the_acceptors() {
    let kerberos = Script::new(KRB5, 3);
    let outcome = talk(
        initiator([kerberos.clone().failing(1, Cause::Refused)]),
        acceptor([kerberos]),
    );
    assert_eq!(
        seen(&outcome),
        ["init token", "incomplete mech token", "reject token"]
    );
    let End::Failed(Error::Mech { error, .. }) = outcome.acceptor else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.reason, "the peer's mechanism failed");
}

#[test]
fn an_acceptor_that_is_done_is_sent_no_reject() {
    let kerberos = Script::new(KRB5, 2);
    let outcome = talk(
        initiator([kerberos.clone().failing(1, Cause::Refused)]),
        acceptor([kerberos]),
    );
    assert_eq!(seen(&outcome), ["init token", "completed mech token"]);
    assert!(matches!(outcome.initiator, End::Failed(Error::Mech { .. })));
}

#[test]
fn a_first_choice_that_the_acceptor_cannot_use_gives_way_to_the_next() {
    let (kerberos, ntlm) = (Script::new(KRB5, 2), Script::new(NTLMSSP, 3));
    let acceptors = acceptor([kerberos.clone().failing(0, Cause::Unusable), ntlm.clone()]);
    let outcome = talk(initiator([kerberos, ntlm]), acceptors);
    assert_eq!(seen(&outcome)[1], "request-mic mech");
    assert_eq!(ends(&outcome), established(NTLMSSP));
}

#[test]
fn a_first_choice_that_says_no_does_not_give_way() {
    let (kerberos, ntlm) = (Script::new(KRB5, 2), Script::new(NTLMSSP, 3));
    let acceptors = acceptor([kerberos.clone().failing(0, Cause::Refused), ntlm.clone()]);
    let outcome = talk(initiator([kerberos, ntlm]), acceptors);
    assert_eq!(seen(&outcome), ["init token", "reject token"]);
    assert!(matches!(outcome.acceptor, End::Failed(Error::Mech { .. })));
}

#[test]
fn an_unknown_mechanism_in_front_is_passed_over_with_its_token() {
    let ntlm = Script::new(NTLMSSP, 3);
    let acceptors = acceptor([ntlm.clone()]);
    let log = acceptors.log.clone();
    let outcome = talk(initiator([Script::new(NEGOEX, 4), ntlm]), acceptors);
    assert_eq!(seen(&outcome)[1], "request-mic mech");
    assert_eq!(ends(&outcome), established(NTLMSSP));
    assert_eq!(log.borrow()[..2], ["vouch ntlmssp", "start ntlmssp"]);
}

#[test]
fn kerberos_under_the_wrong_identifier_is_echoed_octet_for_octet() {
    let wrong = Script::new(KRB5_MS, 1);
    let acceptors = acceptor([Script::new(KRB5, 2)]);
    let log = acceptors.log.clone();
    let outcome = talk(initiator([wrong]), acceptors);
    // The scripts differ, so it ends in a refusal; what counts is who was started and named.
    assert_eq!(log.borrow()[0], "start krb5");
    assert_eq!(seen(&outcome)[1], "reject token");

    let outcome = talk(
        without_optimistic_token(initiator([Script::new(KRB5_MS, 2)])),
        acceptor([Script::new(KRB5, 2)]),
    );
    let reply = NegTokenResp::decode(&outcome.tokens[1]).unwrap();
    assert_eq!(reply.supported_mech, Some(KRB5_MS.content()));
    assert_eq!(reply.neg_state, Some(NegState::AcceptIncomplete));
}

// -- MS-SPNG: the server speaks first ------------------------------------------------------------

#[test]
fn hints_name_what_the_acceptor_can_use_and_save_a_useless_token() {
    use super::{Acceptor, Initiator};
    let mut acceptors = acceptor([
        Script::new(IAKERB, 2).failing(0, Cause::Unusable),
        Script::new(NTLMSSP, 3),
    ]);
    let (state, reply) = Acceptor::Start.step(b"", &mut acceptors).unwrap();
    assert!(matches!(state, Acceptor::Hinted) && !reply.complete);
    let hints = reply.token.unwrap();
    let read = NegTokenInit::decode(&hints).unwrap();
    assert_eq!(read.mech_types, MechList::encode(&[NTLMSSP]));
    assert_eq!((read.mech_token, read.mech_list_mic), (None, None));

    let both = [Script::new(KRB5, 2), Script::new(NTLMSSP, 3)];
    let (_, reply) = Initiator::Start
        .step(Some(&hints), &mut initiator(both))
        .unwrap();
    let offer = reply.token.unwrap();
    let read = NegTokenInit::decode(&offer).unwrap();
    // The hints are not protected: they do not shorten or reorder the offer.
    assert_eq!(read.mech_types, MechList::encode(&[KRB5, NTLMSSP]));
    assert_eq!(read.mech_token, None);

    let (_, reply) = state.step(&offer, &mut acceptors).unwrap();
    assert_eq!(describe(&reply.token.unwrap()), "request-mic mech");
}

#[test]
fn hints_are_about_the_first_mechanism_that_can_start() {
    let hints = NegTokenInit {
        mech_types: MechList::encode(&[NTLMSSP]),
        mech_token: None,
        mech_list_mic: None,
    };
    let mut without_tickets = initiator([
        Script::new(KRB5, 2).failing(0, Cause::Unusable),
        Script::new(NTLMSSP, 3),
    ]);
    let (_, reply) = super::Initiator::Start
        .step(Some(&hints.encode_init2()), &mut without_tickets)
        .unwrap();
    assert_eq!(describe(&reply.token.unwrap()), "init token");
}

#[test]
fn hints_that_have_the_first_choice_and_input_that_is_no_hint_change_nothing() {
    let both = [Script::new(KRB5, 2), Script::new(NTLMSSP, 3)];
    let hints = NegTokenInit {
        mech_types: MechList::encode(&[NTLMSSP, KRB5_MS]),
        mech_token: Some(b"NEGOEXTS"),
        mech_list_mic: None,
    };
    for input in [
        None,
        Some(&b""[..]),
        Some(&hints.encode_init2()),
        Some(b"?"),
    ] {
        let (_, reply) = super::Initiator::Start
            .step(input, &mut initiator(both.clone()))
            .unwrap();
        assert_eq!(describe(&reply.token.unwrap()), "init token", "{input:?}");
    }
}

#[test]
fn an_acceptor_with_nothing_to_hint_at_fails_without_a_token() {
    let mut acceptors = acceptor([Script::new(KRB5, 2).failing(0, Cause::Unusable)]);
    let failure = super::Acceptor::Start
        .step(b"", &mut acceptors)
        .unwrap_err();
    assert_eq!(failure.error.major(), major::NO_CRED);
    assert_eq!(failure.reject, None);
}

// -- Someone between -----------------------------------------------------------------------------

/// The token with its fields changed.
fn altered(token: &[u8], alter: impl FnOnce(&mut NegTokenResp<'_>)) -> Vec<u8> {
    let mut response = NegTokenResp::decode(token).unwrap();
    alter(&mut response);
    response.encode()
}

/// The offer with its first mechanism, and that one's token, taken out.
fn shortened(token: &[u8]) -> Vec<u8> {
    let init = NegTokenInit::decode(token).unwrap();
    let rest: Vec<_> = init.mech_types.iter().flatten().skip(1).collect();
    NegTokenInit {
        mech_types: MechList::encode(&rest),
        mech_token: None,
        mech_list_mic: None,
    }
    .encode()
}

fn two_kinds_each(tokens: u8) -> (Side, Side) {
    let both = [Script::new(KRB5, 2), Script::new(NTLMSSP, tokens)];
    (initiator(both.clone()), acceptor(both))
}

#[test]
fn a_shortened_list_never_lets_both_sides_end_with_the_second_choice() {
    for tokens in 1..6 {
        for pretended in [
            None,
            Some(NegState::AcceptIncomplete),
            Some(NegState::RequestMic),
        ] {
            let (mut initiators, mut acceptors) = two_kinds_each(tokens);
            let outcome = converse(
                &mut initiators,
                &mut acceptors,
                |number, token| match number {
                    0 => shortened(&token),
                    1 => altered(&token, |reply| reply.neg_state = pretended),
                    _ => token,
                },
            );
            assert!(
                matches!(outcome.initiator, End::Failed(_)),
                "{tokens} tokens, {pretended:?}: {outcome:?}"
            );
            // Who sends the last token of the mechanism after the acceptor did cannot be fooled.
            if tokens % 2 == 1 {
                assert!(!matches!(outcome.acceptor, End::Established(_)));
            }
        }
    }
}

/// The rules under which nothing takes the place of Kerberos unprotected.
fn strict() -> [Rules; 2] {
    let rules = Rules::default();
    [
        Rules {
            kerberos_fallback: false,
            ..rules
        },
        Rules {
            downgrade: Downgrade::Refuse,
            ..rules
        },
    ]
}

/// Acceptors of both mechanisms, with an order of their own and without, with a key and without.
fn strict_acceptors(second: &Script) -> Vec<Side> {
    let krb5 = Script::new(KRB5, 2);
    let keyless = krb5.clone().failing(0, Cause::Unusable);
    let mut sides = Vec::new();
    for rules in strict() {
        for first in [&krb5, &keyless] {
            for prefers in [false, true] {
                let side = acceptor([first.clone(), second.clone()]);
                sides.push(Side {
                    prefers,
                    rules,
                    ..side
                });
            }
        }
    }
    sides
}

#[test]
fn kerberos_that_is_taken_off_the_list_is_not_given_up_where_nothing_may_take_its_place() {
    for tokens in 1..6 {
        let second = Script::new(NTLMSSP, tokens);
        for mut acceptors in strict_acceptors(&second) {
            for pretended in [NegState::AcceptIncomplete, NegState::RequestMic] {
                let mut initiators = initiator([Script::new(KRB5, 2), second.clone()]);
                initiators.rules.legacy_windows = true;
                acceptors.record = Record::default();
                let outcome = converse(&mut initiators, &mut acceptors, |number, token| {
                    match number {
                        0 => shortened(&token),
                        // No MIC gets through.
                        _ => altered(&token, |response| {
                            response.mech_list_mic = None;
                            if number == 1 {
                                response.neg_state = Some(pretended);
                            }
                        }),
                    }
                });
                let is_alone = !matches!(outcome.acceptor, End::Established(_));
                assert!(is_alone, "{tokens} {acceptors:?} {outcome:?}");
            }
        }
    }
}

#[test]
fn whoever_has_no_kerberos_gets_through_with_both_mics_where_nothing_may_take_its_place() {
    for tokens in 1..6 {
        let second = Script::new(NTLMSSP, tokens);
        for mut acceptors in strict_acceptors(&second) {
            let mut initiators = initiator([second.clone()]);
            let outcome = converse(&mut initiators, &mut acceptors, |_, token| token);
            assert_eq!(ends(&outcome), established(NTLMSSP), "{acceptors:?}");
            assert_eq!(initiators.record.mic(), MicState::Verified);
            assert_eq!(acceptors.record.mic(), MicState::Verified);
        }
        let unprotected = Script {
            integrity: false,
            ..second
        };
        for acceptors in strict_acceptors(&unprotected) {
            let outcome = talk(initiator([unprotected.clone()]), acceptors);
            let End::Failed(Error::Forbidden(reason)) = outcome.acceptor else {
                panic!("{outcome:?}");
            };
            let words = "ntlmssp in the place of krb5 without a verified mechListMIC is refused by";
            assert!(reason.starts_with(words), "{reason}");
        }
    }
}

/// An acceptor that puts NTLM first gives nothing up by taking it.
#[test]
fn kerberos_behind_the_first_choice_is_nobodys_to_give_up() {
    for rules in strict() {
        let both = [Script::new(NTLMSSP, 3), Script::new(KRB5, 2)];
        let acceptors = Side {
            rules,
            ..preferring(both.clone())
        };
        let outcome = talk(initiator([both[0].clone()]), acceptors);
        assert_eq!(ends(&outcome), established(NTLMSSP));
        assert_eq!(seen(&outcome)[1], "incomplete mech token");
    }
}

#[test]
fn no_choice_of_an_acceptor_takes_the_place_of_kerberos_where_nothing_may() {
    let ntlm = Script::new(NTLMSSP, 3);
    let iakerb = Script::new(IAKERB, 4);
    let run = |offered: &[&Script], accepted: &Script| {
        let scripts: Vec<_> = offered.iter().copied().cloned().collect();
        let mut initiators = initiator(scripts);
        initiators.rules = strict()[0];
        talk(initiators, acceptor([accepted.clone()]))
    };
    let krb5 = Script::new(KRB5, 2);
    let first = Script::new(NEGOEX, 2);
    for offered in [&[&krb5, &ntlm][..], &[&first, &krb5, &ntlm]] {
        let outcome = run(offered, &ntlm);
        let End::Failed(Error::Forbidden(reason)) = &outcome.initiator else {
            panic!("{outcome:?}");
        };
        let words = "the acceptor chose ntlmssp in the place of krb5; no other mechanism is taken";
        assert!(reason.starts_with(words), "{reason}");
        assert!(!matches!(outcome.acceptor, End::Established(_)));
    }
    // What stands before Kerberos is preferred to it, and IAKERB is Kerberos.
    let outcome = run(&[&first, &ntlm, &krb5], &ntlm);
    assert_eq!(ends(&outcome), established(NTLMSSP));
    let outcome = run(&[&krb5, &iakerb], &iakerb);
    assert_eq!(ends(&outcome), established(IAKERB));
}

#[test]
fn a_list_altered_behind_the_choice_is_noticed_when_mics_are_exchanged() {
    for tokens in 1..6 {
        let second = Script::new(NTLMSSP, tokens);
        let mut initiators = initiator([Script::new(KRB5, 2), second.clone()]);
        let outcome = converse(&mut initiators, &mut acceptor([second]), |number, token| {
            if number != 0 {
                return token;
            }
            NegTokenInit {
                mech_types: MechList::encode(&[IAKERB, NTLMSSP]),
                ..NegTokenInit::decode(&token).unwrap()
            }
            .encode()
        });
        let wrong =
            |end: &End| *end == misbehaved(Misbehaviour::WrongMic("invalid signature".to_owned()));
        assert!(
            wrong(&outcome.initiator) || wrong(&outcome.acceptor),
            "{outcome:?}"
        );
        assert!(!matches!(outcome.initiator, End::Established(_)));
        assert!(!matches!(outcome.acceptor, End::Established(_)));
        assert_eq!(seen(&outcome).last().unwrap(), "reject");
    }
}

#[test]
fn a_mic_that_is_stripped_altered_or_replaced_by_the_token_ends_both_sides() {
    type Meddle = fn(&mut NegTokenResp<'_>);
    let strip: Meddle = |response| response.mech_list_mic = None;
    let alter: Meddle = |response| response.mech_list_mic = Some(b"8 octets");
    let empty: Meddle = |response| response.mech_list_mic = Some(b"");
    let copy: Meddle = |response| {
        response.mech_list_mic = response.response_token.or(Some(b"no token"));
    };
    for tokens in 1..6 {
        let (from, to) = (usize::from(tokens) + 1, usize::from(tokens) + 2);
        for meddle in [strip, alter, empty, copy] {
            // The first MIC of the two.
            let second = Script::new(NTLMSSP, tokens);
            let mut initiators = initiator([Script::new(KRB5, 2), second.clone()]);
            let mut acceptors = acceptor([second]);
            let first = converse(
                &mut initiators.clone(),
                &mut acceptors.clone(),
                |number, token| match describe(&token).contains("token mic") {
                    true => {
                        assert_eq!(number, from);
                        altered(&token, meddle)
                    }
                    false => token,
                },
            );
            assert!(
                !matches!(first.initiator, End::Established(_)),
                "{tokens}: {first:?}"
            );
            assert!(
                !matches!(first.acceptor, End::Established(_)),
                "{tokens}: {first:?}"
            );
            assert_eq!(seen(&first).last().unwrap(), "reject");

            // The answer to it: its sender is done, its receiver is not.
            let last = converse(&mut initiators, &mut acceptors, |number, token| {
                match number == to {
                    true => altered(&token, meddle),
                    false => token,
                }
            });
            let (receiver, sent) = match to % 2 {
                0 => (&last.acceptor, to + 2),
                // The acceptor said that it is done, so it is told nothing more.
                _ => (&last.initiator, to + 1),
            };
            assert!(matches!(receiver, End::Failed(_)), "{tokens}: {last:?}");
            assert_eq!(last.tokens.len(), sent);
        }
    }
}

#[test]
fn request_mic_that_is_taken_away_ends_the_reselection() {
    let second = Script::new(IAKERB, 3);
    let initiators = initiator([Script::new(KRB5, 2), second.clone()]);
    for pretended in [
        None,
        Some(NegState::AcceptIncomplete),
        Some(NegState::AcceptCompleted),
    ] {
        let outcome = converse(
            &mut initiators.clone(),
            &mut acceptor([second.clone()]),
            |number, token| match number {
                1 => altered(&token, |reply| reply.neg_state = pretended),
                _ => token,
            },
        );
        assert!(
            matches!(
                outcome.initiator,
                End::Failed(Error::PeerMisbehaved(Misbehaviour::Other(_)))
            ),
            "{pretended:?}: {outcome:?}"
        );
    }
}

#[test]
fn mutated_tokens_end_in_an_error_or_in_what_honest_ones_end_in() {
    let ntlm = Script::new(NTLMSSP, 3);
    let pairs = [
        (
            initiator([Script::new(KRB5, 2), ntlm.clone()]),
            acceptor([Script::new(KRB5, 2), ntlm.clone()]),
        ),
        (
            initiator([Script::new(KRB5, 1), ntlm.clone()]),
            acceptor([Script::new(KRB5, 1), ntlm.clone()]),
        ),
        (
            initiator([Script::new(KRB5, 2), ntlm.clone()]),
            acceptor([ntlm.clone()]),
        ),
        (
            initiator([Script::new(KRB5, 2), Script::new(IAKERB, 2)]),
            preferring([Script::new(IAKERB, 2), Script::new(KRB5, 2)]),
        ),
        (
            without_optimistic_token(initiator([Script::new(KRB5, 4), ntlm.clone()])),
            acceptor([Script::new(KRB5, 4), ntlm]),
        ),
    ];
    for (initiators, acceptors) in pairs {
        let honest = talk(initiators.clone(), acceptors.clone());
        let (End::Established(agreed), _) = ends(&honest) else {
            panic!("{honest:?}");
        };
        for (target, token) in honest.tokens.iter().enumerate() {
            for mutation in mutations(token) {
                let outcome = converse(
                    &mut initiators.clone(),
                    &mut acceptors.clone(),
                    |number, sent| match number == target {
                        true => mutation.clone(),
                        false => sent,
                    },
                );
                if let (End::Established(one), End::Established(other)) = ends(&outcome) {
                    assert_eq!((one, other), (agreed, agreed), "{mutation:02x?}");
                }
            }
        }
    }
}

/// Every token that differs from this one by a bit, an octet of note, an octet more or less, or
/// an end that came too early.
fn mutations(token: &[u8]) -> Vec<Vec<u8>> {
    let mut mutations = Vec::new();
    for at in 0..token.len() {
        let mut with = |octet: u8| {
            let mut mutation = token.to_vec();
            mutation[at] = octet;
            mutations.push(mutation);
        };
        (0..8).for_each(|bit| with(token[at] ^ (1 << bit)));
        [0, 0x7f, 0x80, 0x81, 0x84, 0xff].into_iter().for_each(with);
        mutations.push(token[..at].to_vec());
        mutations.push([&token[..at], &token[at + 1..]].concat());
        mutations.push([&token[..at], &[0], &token[at..]].concat());
    }
    mutations.push([token, &[0]].concat());
    mutations
}

#[test]
fn no_token_of_one_state_hurts_another() {
    let second = Script::new(NTLMSSP, 3);
    let initiators = initiator([Script::new(KRB5, 2), second.clone()]);
    let acceptors = acceptor([second]);
    let honest = talk(initiators.clone(), acceptors.clone());
    for foreign in &honest.tokens {
        for target in 0..honest.tokens.len() {
            let outcome = converse(
                &mut initiators.clone(),
                &mut acceptors.clone(),
                |number, token| match number == target {
                    true => foreign.clone(),
                    false => token,
                },
            );
            if let (End::Established(one), End::Established(other)) = ends(&outcome) {
                assert_eq!((one, other), (NTLMSSP, NTLMSSP));
            }
        }
    }
}

#[test]
fn ten_thousand_offered_mechanisms_ask_each_candidate_once() {
    let mut acceptors = acceptor([
        Script::new(KRB5, 2).failing(0, Cause::Unusable),
        Script::new(NTLMSSP, 3),
    ]);
    let log = acceptors.log.clone();
    let mut offered = vec![KRB5; 5_000];
    offered.extend([KRB5_MS; 4_999]);
    offered.push(NTLMSSP);
    let offer = NegTokenInit {
        mech_types: MechList::encode(&offered),
        mech_token: None,
        mech_list_mic: None,
    };
    let (_, reply) = super::Acceptor::Start
        .step(&offer.encode(), &mut acceptors)
        .unwrap();
    assert_eq!(describe(&reply.token.unwrap()), "request-mic mech");
    assert_eq!(*log.borrow(), ["vouch krb5", "vouch ntlmssp"]);
}

#[test]
fn ten_thousand_unknown_mechanisms_make_a_short_error() {
    let offer = NegTokenInit {
        mech_types: MechList::encode(&[NEGOEX; 10_000]),
        mech_token: None,
        mech_list_mic: None,
    };
    let failure = super::Acceptor::Start
        .step(&offer.encode(), &mut acceptor([Script::new(KRB5, 2)]))
        .unwrap_err();
    assert_eq!(failure.error.major(), major::BAD_MECH);
    assert_eq!(failure.error.sentences().len(), 16);
}

// ---- Negotiate Late Fallback, MS-SPNG 3.1.5.4 of April 2026 ----

/// The identifier says what an initiator can do and is no mechanism: an acceptor looks behind it,
/// and the MICs cover it as an entry like any other.
#[test]
fn late_fallback_in_an_offer_is_passed_over_wherever_it_stands() {
    let (krb5, ntlm) = (Script::new(KRB5, 2), Script::new(NTLMSSP, 3));
    let fallback = Script::new(LATE_FALLBACK, 1);
    let last = talk(
        initiator([krb5.clone(), ntlm.clone(), fallback.clone()]),
        acceptor([krb5.clone(), ntlm.clone()]),
    );
    assert_eq!(ends(&last), established(KRB5));
    assert_eq!(seen(&last)[1], "completed mech token");
    let behind_a_second_choice = talk(
        initiator([krb5.clone(), ntlm.clone(), fallback.clone()]),
        acceptor([ntlm.clone()]),
    );
    assert_eq!(ends(&behind_a_second_choice), established(NTLMSSP));
    let first = talk(
        initiator([fallback.clone(), krb5.clone()]),
        acceptor([krb5.clone()]),
    );
    assert_eq!(ends(&first), established(KRB5));
    assert_eq!(seen(&first)[1], "request-mic mech");
    let alone = talk(initiator([fallback]), acceptor([krb5, ntlm]));
    assert_eq!(seen(&alone)[1], "reject");
    let (End::Failed(initiator), End::Failed(acceptor)) = ends(&alone) else {
        panic!("{alone:?}");
    };
    assert_eq!(initiator.major(), major::BAD_MECH);
    let why = acceptor.sentences().join("; ");
    assert!(why.contains("late fallback"), "{why}");
}

/// supportedMechs, field [4] of a NegTokenResp, is an acceptor's offer to fall back: passed over by
/// either role.
#[test]
fn supported_mechs_of_late_fallback_are_passed_over_by_both_roles() {
    let supported = MechList::encode(&[KRB5, NTLMSSP, LATE_FALLBACK]);
    let with_supported = |token: Vec<u8>| match NegTokenResp::decode(&token) {
        Ok(_) => {
            let (_, sequence) = token.split_at(2);
            let (_, fields) = sequence.split_at(2);
            let field = element(0xa4, supported.der());
            element(0xa1, &element(0x30, &[fields, &field].concat()))
        }
        Err(_) => token,
    };
    let (krb5, ntlm) = (Script::new(KRB5, 2), Script::new(NTLMSSP, 3));
    for acceptors in [
        acceptor([krb5.clone(), ntlm.clone()]),
        acceptor([ntlm.clone()]),
    ] {
        let initiators = initiator([krb5.clone(), ntlm.clone()]);
        let plain = talk(initiators.clone(), acceptors.clone());
        let marked = converse(
            &mut initiators.clone(),
            &mut acceptors.clone(),
            |_, token| with_supported(token),
        );
        assert!(matches!(
            ends(&plain),
            (End::Established(_), End::Established(_))
        ));
        assert_eq!(ends(&marked), ends(&plain));
        assert_eq!(seen(&marked), seen(&plain));
    }
    // What nobody offered is not chosen either.
    let chosen = converse(
        &mut initiator([krb5.clone()]),
        &mut acceptor([krb5]),
        |number, token| match number {
            1 => altered(&token, |reply| {
                reply.supported_mech = Some(LATE_FALLBACK.content());
            }),
            _ => token,
        },
    );
    assert!(matches!(chosen.initiator, End::Failed(_)), "{chosen:?}");
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 0x80, "short elements only");
    [&[tag, length], content].concat()
}

//! Whole negotiations in all four pairings of the system's SPNEGO and ours: what is printed of them
//! must be the same, and must be what RFC 4178 and the built-in's ways ask for.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{Pair, Realm, Scenarios, expire_tickets};

/// The realm, or the end of the test.
macro_rules! realm {
    () => {
        match Realm::shared() {
            Some(realm) => realm,
            None => return,
        }
    };
}

const ESTABLISHED: [&str; 2] = ["i: established", "a: established"];
const NOT_ESTABLISHED: [&str; 2] = ["i: not established", "a: not established"];

/// A user of NTLM, for both ends.
fn ntlm(realm: &Realm) -> Pair {
    let users = realm.path("ntlm.users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    Pair::new(realm)
        .with_ntlm()
        .with_variable("NTLM_USER_FILE", users.display().to_string())
        .with("ask_target=no")
}

/// Both ends use scripted mechanisms only: `initiator` and `acceptor` are what each negotiates.
fn scripted(realm: &Realm, letters: &str, initiator: &str, acceptor: &str) -> Pair {
    Pair::new(realm)
        .with_scripts(letters)
        .options("cred=acquire cred.mechs=spnego")
        .with(format!("i.neg={initiator}"))
        .with(format!("a.neg={acceptor}"))
}

// ---- Kerberos ----

#[test]
fn kerberos_takes_two_tokens_and_every_message_passes() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    scenarios.run(
        "kerberos",
        Pair::new(realm).options("inquire=yes early=yes"),
        &[
            "i: sends: NegTokenInit mechs=krb5 mechToken=krb5:ap-req",
            "i: early wrap: NO_CONTEXT",
            "i: established",
            "i: unwrap: COMPLETE",
            "i: key: the same at both ends",
            "a: sends: NegTokenResp state=accept-completed mech=krb5 token=krb5:ap-rep",
            "a: established",
        ],
    );
    scenarios.run(
        "kerberos without SPNEGO",
        Pair::new(realm).options("mech=krb5"),
        &ESTABLISHED,
    );
    scenarios.run(
        "kerberos by default",
        Pair::new(realm).options("mech=none messages=no"),
        &ESTABLISHED,
    );
    scenarios.finish();
}

#[test]
fn flags_are_granted_as_asked_for() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for flags in [
        "none",
        "replay,integ",
        "mutual",
        "conf",
        "mutual,seq",
        "mutual,identify",
        "mutual,extended_error",
    ] {
        scenarios.run(
            &format!("flags {flags}"),
            Pair::new(realm).with(format!("flags={flags}")),
            &ESTABLISHED,
        );
    }
    scenarios.run(
        "flags dce",
        Pair::new(realm).options("flags=mutual,dce,integ,conf inquire=yes"),
        &[
            "i: sends: NegTokenInit mechs=krb5 mechToken=bare-ap-req",
            "i: established",
            "a: established",
        ],
    );
    scenarios.run("flags anon", Pair::new(realm).options("flags=anon"), &[]);
    scenarios.run(
        "no confidentiality flags",
        Pair::new(realm)
            .options("flags=mutual i.cred=acquire i.cred.mechs=spnego i.no_ci=yes messages=no"),
        &["i: no_ci: COMPLETE", "i: established", "a: established"],
    );
    scenarios.run(
        "no confidentiality flags on any mechanism",
        Pair::new(realm).options("flags=mutual i.cred=acquire i.no_ci=yes messages=no"),
        &["i: no_ci: COMPLETE", "i: established", "a: established"],
    );
    scenarios.finish();
}

#[test]
fn credentials_come_from_where_they_are_asked_from() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for mechs in ["none", "spnego", "krb5,spnego"] {
        scenarios.run(
            &format!("acquired {mechs}"),
            Pair::new(realm)
                .options("cred=acquire messages=no")
                .with(format!("cred.mechs={mechs}")),
            &ESTABLISHED,
        );
    }
    scenarios.run(
        "acquired krb5 only",
        Pair::new(realm).options("cred=acquire cred.mechs=krb5 messages=no"),
        &NOT_ESTABLISHED,
    );
    scenarios.run(
        "named",
        Pair::new(realm)
            .options("cred=acquire i.cred.name=user@SPNEGO.TEST a.cred.name=HTTP@localhost")
            .options("a.cred.type=hostbased messages=no"),
        &ESTABLISHED,
    );
    scenarios.run(
        "another name",
        Pair::new(realm).options("i.cred=acquire i.cred.name=other@SPNEGO.TEST messages=no"),
        &NOT_ESTABLISHED,
    );
    scenarios.run(
        "another service",
        Pair::new(realm)
            .options("a.cred=acquire a.cred.name=host@localhost a.cred.type=hostbased messages=no"),
        &NOT_ESTABLISHED,
    );
    let store = |who: &str| realm.keytab(who).display().to_string();
    scenarios.run(
        "stores",
        Pair::new(realm)
            .options("cred=from messages=no")
            .with_variable("KRB5CCNAME", "FILE:/nonexistent")
            .with_variable("KRB5_KTNAME", "FILE:/nonexistent")
            .with(format!(
                "i.store=ccache:FILE:{}",
                realm.cache("user").display()
            ))
            .with(format!("a.store=keytab:{};unknown:key", store("service"))),
        &ESTABLISHED,
    );
    scenarios.run(
        "client keytab",
        Pair::new(realm)
            .options("i.cred=from i.cred.mechs=spnego messages=no")
            .with_variable("KRB5CCNAME", "MEMORY:fresh")
            .with(format!(
                "i.store=client_keytab:{};ccache:MEMORY:fresh",
                store("user")
            )),
        &ESTABLISHED,
    );
    scenarios.run(
        "default client keytab",
        Pair::new(realm)
            .options("messages=no")
            .with_variable("KRB5CCNAME", "MEMORY:fresh")
            .with_variable("KRB5_CLIENT_KTNAME", store("user")),
        &ESTABLISHED,
    );
    scenarios.finish();
}

#[test]
fn passwords_are_right_or_final() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    let with = |mechs: &str, password: &str| {
        Pair::new(realm)
            .options("i.cred=password i.cred.name=user@SPNEGO.TEST messages=no")
            .with(format!("i.cred.mechs={mechs}"))
            .with(format!("i.password={password}"))
    };
    for mechs in ["none", "spnego"] {
        scenarios.run(
            &format!("password {mechs}"),
            with(mechs, Realm::PASSWORD),
            &ESTABLISHED,
        );
        scenarios.run(
            &format!("wrong password {mechs}"),
            with(mechs, "wrong"),
            &NOT_ESTABLISHED,
        );
    }
    scenarios.finish();
}

#[test]
fn credentials_are_delegated_and_usable() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for flags in [
        "deleg",
        "deleg,mutual",
        "deleg_policy",
        "deleg_policy,mutual",
    ] {
        scenarios.run(
            &format!("delegation {flags}"),
            Pair::new(realm)
                .options("delegated=backend@localhost messages=no inquire=yes")
                .with(format!("flags={flags}")),
            &[
                "i: established",
                "a: delegated: yes",
                "a: name: user@SPNEGO.TEST (krb5-principal)",
                "a: delegated, krb5: COMPLETE",
                "a: delegated, spnego: CONTINUE_NEEDED",
            ],
        );
    }
    scenarios.run(
        "delegation by policy to a service that may not",
        Pair::new(realm).options("flags=deleg_policy,mutual target=host@localhost messages=no"),
        &["i: established", "a: delegated: no"],
    );
    scenarios.run(
        "delegation not asked for",
        Pair::new(realm).options("flags=mutual delegated=backend@localhost messages=no"),
        &["i: established", "a: delegated: no"],
    );
    scenarios.finish();
}

#[test]
fn channel_bindings_bind_where_both_have_them() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    let cases = [
        ("the same", "bindings=tls", &ESTABLISHED),
        (
            "different",
            "i.bindings=tls a.bindings=other",
            &NOT_ESTABLISHED,
        ),
        ("of the initiator only", "i.bindings=tls", &ESTABLISHED),
        ("of the acceptor only", "a.bindings=tls", &ESTABLISHED),
    ];
    for (name, options, lines) in cases {
        scenarios.run(
            &format!("bindings {name}"),
            Pair::new(realm)
                .options("messages=no inquire=yes")
                .options(options),
            lines,
        );
    }
    scenarios.finish();
}

#[test]
fn a_target_that_is_not_there_is_told_so() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for target in ["nobody@localhost", "none"] {
        scenarios.run(
            &format!("target {target}"),
            Pair::new(realm).with(format!("target={target}")),
            &NOT_ESTABLISHED,
        );
    }
    scenarios.run(
        "target by principal",
        Pair::new(realm)
            .options("target=HTTP/localhost@SPNEGO.TEST target.type=principal messages=no"),
        &ESTABLISHED,
    );
    scenarios.finish();
}

#[test]
fn what_cannot_work_fails_at_both_ends_alike() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    let nothing = "FILE:/nonexistent";
    let expired = realm.cache("user");
    expire_tickets(&expired);
    let expired = expired.display().to_string();
    for cred in ["default", "acquire"] {
        let pair = || {
            Pair::new(realm)
                .with("messages=no")
                .with(format!("cred={cred}"))
        };
        for (name, variable, value) in [
            ("no tickets", "KRB5CCNAME", nothing),
            ("no keytab", "KRB5_KTNAME", nothing),
            ("expired tickets", "KRB5CCNAME", &expired),
            (
                "wrong keytab",
                "KRB5_KTNAME",
                realm.keytab("wrong").to_str().unwrap(),
            ),
        ] {
            scenarios.run(
                &format!("{name}, {cred}"),
                pair().with_variable(variable, value),
                &NOT_ESTABLISHED,
            );
        }
    }
    scenarios.finish();
}

#[test]
fn an_empty_first_token_brings_the_acceptors_offer() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for first in ["fed", "ignored"] {
        scenarios.run(
            &format!("first {first}"),
            Pair::new(realm)
                .options("messages=no inquire=yes")
                .with(format!("first={first}")),
            &[
                "i: established",
                "a: sends: NegTokenInit mechs=krb5 negHints=yes",
                "a: established",
            ],
        );
    }
    scenarios.run(
        "first with preferences",
        scripted(realm, "ab", "script-a,script-b", "script-b,script-a").options("first=ignored"),
        &[],
    );
    scenarios.finish();
}

#[test]
fn neg_mechs_limit_what_is_negotiated() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    let pair = || Pair::new(realm).options("cred=acquire cred.mechs=spnego messages=no");
    for (name, options, lines) in [
        ("krb5", "neg=krb5", &ESTABLISHED),
        ("krb5 by its old names", "neg=krb5-ms", &NOT_ESTABLISHED),
        ("nothing", "i.neg=", &NOT_ESTABLISHED),
        ("something not installed", "i.neg=ntlmssp", &NOT_ESTABLISHED),
        (
            "not installed at the acceptor",
            "a.neg=ntlmssp",
            &NOT_ESTABLISHED,
        ),
    ] {
        scenarios.run(&format!("neg {name}"), pair().options(options), lines);
    }
    scenarios.run(
        "neg on default credentials",
        Pair::new(realm).options("neg=krb5 messages=no"),
        &[],
    );
    scenarios.finish();
}

#[test]
fn established_contexts_move_between_processes() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for who in ["initiator", "acceptor", "both"] {
        scenarios.run(
            &format!("export {who}"),
            Pair::new(realm).with(format!("export={who}")),
            &["i: established", "a: established", "a: unwrap: COMPLETE"],
        );
    }
    scenarios.finish();
}

#[test]
fn a_context_can_be_deleted_at_any_moment() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for (name, options) in [
        ("initiator 1", "i.delete_after=1"),
        ("acceptor 1", "a.delete_after=1"),
        ("initiator 2", "i.delete_after=2"),
    ] {
        scenarios.run(
            &format!("delete {name}"),
            Pair::new(realm).options(options),
            &[],
        );
    }
    scenarios.finish();
}

// ---- NTLM ----

#[test]
fn ntlm_stands_behind_kerberos_and_takes_over() {
    let realm = realm!();
    if !std::path::Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        support::skip("gss-ntlmssp is not installed");
        return;
    }
    let mut scenarios = Scenarios::default();
    scenarios.run(
        "ntlm behind kerberos",
        ntlm(realm).options("messages=no"),
        &ESTABLISHED,
    );
    scenarios.run(
        "ntlm without tickets",
        ntlm(realm).with_variable("KRB5CCNAME", "FILE:/nonexistent"),
        &[
            "i: established",
            "a: established",
            "i: time: none mech: ntlmssp local: 1 open: 1",
        ],
    );
    scenarios.run(
        "ntlm chosen by the acceptor",
        ntlm(realm).options("cred=acquire cred.mechs=spnego a.neg=ntlmssp messages=no"),
        &["a: sends: NegTokenResp state=request-mic mech=ntlmssp"],
    );
    scenarios.run(
        "ntlm without SPNEGO",
        ntlm(realm).options("mech=ntlmssp messages=no"),
        &[],
    );
    scenarios.finish();
}

// ---- every path of RFC 4178, by script ----

#[test]
fn mechanisms_of_any_number_of_tokens_are_carried() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for tokens in 1..=6 {
        for offered in ["script-a", "script-a,script-b"] {
            scenarios.run(
                &format!("{tokens} tokens, {offered}"),
                scripted(realm, "ab", offered, "script-a")
                    .options("messages=no inquire=yes early=yes")
                    .with_variable("SCRIPT_A", format!("tokens={tokens}")),
                &ESTABLISHED,
            );
        }
    }
    scenarios.finish();
}

#[test]
fn a_second_choice_is_protected_by_mics() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for tokens in 1..=5 {
        scenarios.run(
            &format!("second choice of {tokens} tokens"),
            scripted(realm, "ab", "script-a,script-b", "script-b")
                .options("inquire=yes early=yes messages=no")
                .with_variable("SCRIPT_B", format!("tokens={tokens}")),
            &[
                "i: sends: NegTokenInit mechs=script-a,script-b mechToken=script-a:script-a 1",
                "i: established",
                "a: sends: NegTokenResp state=request-mic mech=script-b",
                "a: established",
            ],
        );
        scenarios.run(
            &format!("second choice of {tokens} tokens without integrity"),
            scripted(realm, "ab", "script-a,script-b", "script-b")
                .options("messages=no")
                .with_variable("SCRIPT_B", format!("tokens={tokens},integ=no")),
            &[],
        );
        for wrong in ["i", "a"] {
            scenarios.run(
                &format!("second choice of {tokens} tokens, wrong MIC of {wrong}"),
                scripted(realm, "ab", "script-a,script-b", "script-b")
                    .options("messages=no")
                    .with(format!("{wrong}.env=SCRIPT_B=tokens={tokens},mic=wrong"))
                    .with_variable("SCRIPT_B", format!("tokens={tokens}")),
                &[],
            );
        }
    }
    scenarios.finish();
}

#[test]
fn a_mechanism_that_demands_mics_has_them() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for tokens in 1..=4 {
        for (who, options) in [
            ("both", "env=SCRIPT_A=tokens=N,demand=yes"),
            ("the initiator", "i.env=SCRIPT_A=tokens=N,demand=yes"),
            ("the acceptor", "a.env=SCRIPT_A=tokens=N,demand=yes"),
        ] {
            scenarios.run(
                &format!("MIC demanded by {who}, {tokens} tokens"),
                scripted(realm, "a", "script-a", "script-a")
                    .options("messages=no")
                    .options(&options.replace('N', &tokens.to_string()))
                    .with_variable("SCRIPT_A", format!("tokens={tokens}")),
                &[],
            );
        }
    }
    scenarios.finish();
}

#[test]
fn a_mechanism_that_cannot_start_is_dropped_for_the_next() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for (name, script) in [
        ("no credential", "cred=no"),
        ("fails", "fail=1"),
        ("has no credential at its first leg", "fail=1,major=7"),
        (
            "has an expired credential at its first leg",
            "fail=1,major=11",
        ),
        ("fails with a token", "fail=1,error_token=yes"),
    ] {
        scenarios.run(
            &format!("the initiator's first {name}"),
            scripted(realm, "ab", "script-a,script-b", "script-a,script-b")
                .options("messages=no")
                .with(format!("i.env=SCRIPT_A={script}")),
            &[],
        );
        scenarios.run(
            &format!("the initiator's only one {name}"),
            scripted(realm, "a", "script-a", "script-a")
                .options("messages=no")
                .with(format!("i.env=SCRIPT_A={script}")),
            &NOT_ESTABLISHED,
        );
        scenarios.run(
            &format!("the acceptor's first {name}"),
            scripted(realm, "ab", "script-a,script-b", "script-a,script-b")
                .options("messages=no")
                .with(format!("a.env=SCRIPT_A={script}")),
            &[],
        );
    }
    scenarios.finish();
}

#[test]
fn a_mechanisms_late_failure_ends_it_with_its_error_token() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    for (end, leg) in [("i", 2), ("a", 1), ("a", 2), ("i", 3)] {
        for token in ["yes", "no"] {
            for (kind, offered, chosen, letter) in [
                ("first", "script-a", "script-a", "A"),
                ("second", "script-a,script-b", "script-b", "B"),
            ] {
                scenarios.run(
                    &format!("{kind} choice fails at {end} {leg}, error token {token}"),
                    scripted(realm, "ab", offered, chosen)
                        .options("messages=no")
                        .with_variable("SCRIPT_A", "tokens=5")
                        .with_variable("SCRIPT_B", "tokens=5")
                        .with(format!(
                            "{end}.env=SCRIPT_{letter}=tokens=5,fail={leg},error_token={token}"
                        )),
                    &["i: not established", "a: not established"],
                );
            }
        }
    }
    scenarios.finish();
}

#[test]
fn ends_with_nothing_in_common_say_so() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    scenarios.run(
        "nothing in common",
        scripted(realm, "ab", "script-a", "script-b"),
        &NOT_ESTABLISHED,
    );
    scenarios.finish();
}

#[test]
fn an_acceptor_with_an_order_of_its_own() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    scenarios.run(
        "opposite orders",
        scripted(realm, "ab", "script-a,script-b", "script-b,script-a").options("messages=no"),
        &ESTABLISHED,
    );
    scenarios.finish();
}

// ---- altered on the way ----

#[test]
fn altered_tokens_complete_nothing_that_they_must_not() {
    let realm = realm!();
    let mut scenarios = Scenarios::default();
    let alterations = [
        "i.mutate.1=cut:1",
        "i.mutate.1=cut:100",
        "i.mutate.1=append:00",
        "i.mutate.1=flip:0",
        "i.mutate.1=flip:1",
        "i.mutate.1=flip:20",
        "i.mutate.1=flip:-1",
        "i.mutate.1=flip:-40",
        "i.mutate.1=empty",
        "a.mutate.1=cut:1",
        "a.mutate.1=append:00",
        "a.mutate.1=flip:0",
        "a.mutate.1=flip:-1",
        "a.mutate.1=empty",
        // The Kerberos of RFC 1964 becomes that of Windows 2000: in the list only.
        "i.mutate.1=replace:06092a864886f712010202a2:06092a864882f712010202a2",
        // And in the acceptor's answer: supportedMech.
        "a.mutate.1=replace:a10b06092a864886f7:a10b06092a864882f7",
        // accept-completed becomes reject, request-mic, accept-incomplete.
        "a.mutate.1=replace:a0030a0100:a0030a0102",
        "a.mutate.1=replace:a0030a0100:a0030a0103",
        "a.mutate.1=replace:a0030a0100:a0030a0101",
        "a.mutate.1=replace:a0030a0100:a0030a0107",
    ];
    for alteration in alterations {
        scenarios.run(
            &format!("kerberos {alteration}"),
            Pair::new(realm).options("messages=no").with(alteration),
            &[],
        );
    }
    let alterations = [
        // The first mechanism of the list hidden from the acceptor.
        "i.mutate.1=replace:060469b90501:060469b90503",
        "i.mutate.1=replace:060469b90502:060469b90503",
        "a.mutate.1=replace:a0030a0103:a0030a0101",
        "a.mutate.1=replace:a0030a0103:a0030a0100",
        "a.mutate.1=replace:060469b90502:060469b90501",
        "a.mutate.1=replace:060469b90502:060469b90503",
        "a.mutate.1=empty",
        "a.mutate.1=cut:1",
        "i.mutate.2=flip:-1",
        "i.mutate.2=cut:1",
        "i.mutate.2=append:00",
        "i.mutate.2=empty",
        "a.mutate.2=flip:-1",
        "a.mutate.2=empty",
        "i.mutate.3=flip:-1",
        "i.mutate.3=empty",
    ];
    for tokens in [2, 3] {
        for alteration in alterations {
            scenarios.run(
                &format!("second choice of {tokens} tokens {alteration}"),
                scripted(realm, "ab", "script-a,script-b", "script-b")
                    .options("messages=no")
                    .with_variable("SCRIPT_B", format!("tokens={tokens}"))
                    .with(alteration),
                &[],
            );
        }
    }
    scenarios.finish();
}

//! Thousands of handshakes with altered tokens in one process, and the main scenarios under
//! valgrind: nothing crashes, nothing leaks, nothing is established that must not be.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{Environment, Harness, MechConfig, Pair, Pairing, Realm, Sanitizer, Side, user_file};

fn variables(realm: &Realm, config: &MechConfig) -> Environment {
    let mut variables = realm.environment();
    // Replays are not what is tested, and their record would be most of the time.
    variables.insert("KRB5RCACHENAME".into(), "none:".into());
    variables.insert("SCRIPT_B".into(), "tokens=3".into());
    variables.insert(
        "NTLM_USER_FILE".into(),
        user_file("SPNEGO:user:sesame\nSPNEGO:other:open\n"),
    );
    variables.insert("GSS_SPNEGO_CONFIG".into(), String::new());
    variables.insert(
        "GSS_MECH_CONFIG".into(),
        config.write().display().to_string(),
    );
    variables
}

fn options(count: u32, mechs: &str) -> Vec<String> {
    vec![format!("count={count}"), format!("mechs={mechs}")]
}

fn assert_mutated(report: &str, side: Side) {
    assert!(report.contains("memory: bounded"), "{side:?}: {report}");
    let none: u32 = report
        .split("of none: ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap()
        .parse()
        .unwrap();
    assert!(none > 100, "the alterations do nothing: {report}");
    if side == Side::Ours {
        assert!(report.contains("plugin: loaded"), "{report}");
    }
}

#[test]
fn ten_thousand_altered_handshakes_leave_memory_as_it_was() {
    let Some(realm) = Realm::shared() else { return };
    for side in support::sides() {
        for (mechs, count) in [("krb5", 10_000), ("script", 10_000)] {
            let variables = variables(realm, &MechConfig::new(side).with_scripts("ab"));
            let mut options = options(count, mechs);
            if side == Side::BuiltIn {
                options.push("early=yes".into());
            }
            let output = Harness::named("mutate").run(&options, &variables);
            assert_mutated(&output.ok(), side);
        }
    }
    if support::sides().contains(&Side::Ours) {
        let variables = variables(realm, &MechConfig::new(Side::Ours));
        let output = Harness::named("mutate").run(&options(10_000, "ntlmssp"), &variables);
        assert_mutated(&output.ok(), Side::Ours);
    }
}

#[test]
fn altered_handshakes_are_clean_under_sanitizers() {
    let Some(realm) = Realm::shared() else { return };
    for side in support::sides()
        .into_iter()
        .filter(|side| *side == Side::Ours)
    {
        for mechs in ["krb5", "script", "ntlmssp"] {
            let variables = variables(realm, &MechConfig::new(side).with_scripts("ab"));
            let harness = Harness::with("mutate", Sanitizer::Address);
            let report = harness.run(&options(4_000, mechs), &variables).ok();
            assert!(report.contains("plugin: loaded"), "{report}");
        }
    }
}

#[test]
fn altered_handshakes_are_clean_under_valgrind() {
    let Some(realm) = Realm::shared() else { return };
    if !support::installed(&["valgrind"]) {
        return;
    }
    for side in support::sides()
        .into_iter()
        .filter(|side| *side == Side::Ours)
    {
        for mechs in ["krb5", "script", "ntlmssp"] {
            let variables = variables(realm, &MechConfig::new(side).with_scripts("ab"));
            let harness = Harness::named("mutate");
            let output = harness.run_checked(&options(150, mechs), &variables);
            assert_eq!(output.status, 0, "{}\n{}", output.report, output.errors);
        }
    }
}

#[test]
fn the_main_scenarios_are_clean_under_valgrind() {
    let Some(realm) = Realm::shared() else { return };
    if !support::installed(&["valgrind"]) {
        return;
    }
    let scripted = |acceptor: &str| {
        Pair::new(realm)
            .with_scripts("ab")
            .options("cred=acquire cred.mechs=spnego inquire=yes early=yes")
            .with("i.neg=script-a,script-b")
            .with(format!("a.neg={acceptor}"))
    };
    let scenarios = [
        (
            "kerberos",
            Pair::new(realm)
                .options("inquire=yes early=yes flags=mutual,deleg,integ,conf")
                .options("delegated=backend@localhost export=both"),
        ),
        ("a second choice", scripted("script-b")),
        (
            "a wrong MIC",
            scripted("script-b").with("a.env=SCRIPT_B=mic=wrong"),
        ),
        (
            "an altered token",
            Pair::new(realm).with("i.mutate.1=cut:7"),
        ),
        (
            "an unknown target",
            Pair::new(realm).with("target=nobody@localhost"),
        ),
        (
            "an empty first token",
            Pair::new(realm).options("first=fed messages=no"),
        ),
        (
            "a deleted context",
            Pair::new(realm).with("i.delete_after=1"),
        ),
    ];
    let both = Pairing {
        initiator: Side::Ours,
        acceptor: Side::Ours,
    };
    let pairings = if support::sides().contains(&Side::Ours) {
        both
    } else {
        Pairing::REFERENCE
    };
    for (name, pair) in scenarios {
        let output = pair.run_checked(pairings);
        assert_eq!(
            output.status, 0,
            "{name}\n{}\n{}",
            output.report, output.errors
        );
    }
}

/// Our own NTLM: every call about messages, names and credentials, and contexts that come and go.
#[test]
fn own_ntlm_is_clean_under_valgrind() {
    let Some(realm) = Realm::shared() else { return };
    if !support::installed(&["valgrind"]) || !support::sides().contains(&Side::Ours) {
        return;
    }
    let mut environment = variables(realm, &MechConfig::new(Side::Ours));
    environment.insert("KRB5CCNAME".into(), "/nonexistent".into());
    let pair = |options: &str| {
        let all = "both flags=mutual,replay,seq,conf,integ inquire=yes";
        let options = [all, options].map(str::split_ascii_whitespace);
        let options: Vec<String> = options.into_iter().flatten().map(Into::into).collect();
        Harness::named("pair").run_checked(&options, &environment)
    };
    for (what, output) in [
        (
            "messages",
            pair("order=kept early=yes export=both carry=yes"),
        ),
        ("messages out of order", pair("")),
        ("bindings", pair("i.bindings=one a.bindings=another")),
        ("an altered token", pair("i.mutate.2=flip:-20")),
        ("a deleted context", pair("a.delete_after=1")),
        (
            "names",
            Harness::named("names").run_checked(&["of=contexts".into()], &environment),
        ),
        ("credentials", {
            let keys = user_file("SPNEGO:user:sesame\nSPNEGO:other:open\n");
            let arguments = [
                format!("keyfile={keys}"),
                "nothing=/nonexistent".to_owned(),
                "hash=427f638942987bcbeb98697797d95426".to_owned(),
            ];
            Harness::named("ntlm_creds").run_checked(&arguments, &environment)
        }),
    ] {
        assert_eq!(
            output.status, 0,
            "{what}: {}\n{}",
            output.report, output.errors
        );
        assert!(
            output.report.contains("plugin: loaded"),
            "{what}: {output:?}"
        );
    }
}

//! NTLM under SPNEGO: our own mechanism and the system's against each other, in both roles.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{Environment, Harness, MechConfig, Output, Realm, Side, plugin, skip};

/// Whose SPNEGO and whose NTLM one end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Our SPNEGO and our NTLM.
    Own,
    /// Our SPNEGO over gss-ntlmssp.
    Over,
    /// The system's SPNEGO over gss-ntlmssp.
    System,
}

impl End {
    fn config(self) -> String {
        let config = match self {
            Self::Own => MechConfig::new(Side::Ours),
            Self::Over => MechConfig::new(Side::Ours).with_ntlm(),
            Self::System => MechConfig::new(Side::BuiltIn).with_ntlm(),
        };
        config.write().display().to_string()
    }
}

/// The realm and the environment of a user without a ticket and with a file of users; `None`,
/// loudly, where something is missing.
fn users() -> Option<(&'static Realm, Environment)> {
    let realm = Realm::shared()?;
    if plugin().is_none() {
        skip("NTLM under our SPNEGO");
        return None;
    }
    if !std::path::Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        skip("gss-ntlmssp is not installed");
        return None;
    }
    let file = realm.path("own.ntlm.users");
    // Once: the tests run side by side, and none may find the file half written.
    static WRITTEN: std::sync::Once = std::sync::Once::new();
    WRITTEN.call_once(|| std::fs::write(&file, "SPNEGO:user:sesame\n").unwrap());
    let mut environment = realm.environment();
    environment.insert("NTLM_USER_FILE".into(), file.display().to_string());
    environment.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    Some((realm, environment))
}

fn run(ends: (End, End), options: &str, environment: &Environment) -> Output {
    let mut arguments = vec![
        "both".to_owned(),
        "flags=mutual,replay,seq,conf,integ".to_owned(),
        "ask_target=no".to_owned(),
    ];
    arguments.extend(options.split_ascii_whitespace().map(ToOwned::to_owned));
    arguments.push(format!("i.config={}", ends.0.config()));
    arguments.push(format!("a.config={}", ends.1.config()));
    Harness::named("pair").run(&arguments, environment)
}

fn established(output: &Output) -> bool {
    output.status == 0
        && output
            .report
            .lines()
            .filter(|line| line.trim() == "established")
            .count()
            == 2
}

fn assert_every_message_passes(output: &Output) {
    assert!(established(output), "{output:?}");
    for complaint in ["BAD_MIC", "GAP_TOKEN", "not as sent", "different"] {
        assert!(!output.report.contains(complaint), "{}", output.report);
    }
}

const WITH_OWN: [(End, End); 5] = [
    (End::Own, End::Own),
    (End::Own, End::System),
    (End::System, End::Own),
    (End::Own, End::Over),
    (End::Over, End::Own),
];

#[test]
fn own_ntlm_signs_in_in_both_roles() {
    let Some((_, environment)) = users() else {
        return;
    };
    for ends in WITH_OWN {
        let output = run(ends, "messages=no", &environment);
        assert!(established(&output), "{ends:?}: {output:?}");
    }
}

#[test]
fn every_message_passes_between_two_of_ours() {
    let Some((_, environment)) = users() else {
        return;
    };
    let output = run((End::Own, End::Own), "order=kept", &environment);
    assert_every_message_passes(&output);
    assert!(established(&output), "{output:?}");
    assert!(
        output.report.contains("key: the same at both ends"),
        "{}",
        output.report
    );
}

#[test]
fn exported_contexts_come_back_to_us() {
    let Some((_, environment)) = users() else {
        return;
    };
    let output = run((End::Own, End::Own), "order=kept export=both", &environment);
    assert_every_message_passes(&output);
    assert!(established(&output), "{output:?}");
    assert!(output.report.contains("import: COMPLETE"), "{output:?}");
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_refused() {
    let Some((realm, environment)) = users() else {
        return;
    };
    for (name, line) in [
        ("wrong.password", "SPNEGO:user:guess\n"),
        ("unknown.user", "SPNEGO:nobody:sesame\n"),
        ("wrong.domain", "ELSEWHERE:user:sesame\n"),
    ] {
        let file = realm.path(name);
        std::fs::write(&file, line).unwrap();
        let options = format!("messages=no i.env=NTLM_USER_FILE={}", file.display());
        for ends in [(End::Own, End::Own), (End::System, End::Own)] {
            let output = run(ends, &options, &environment);
            assert!(!output.report.contains("a: established"), "{output:?}");
            assert!(!established(&output), "{name} {ends:?}: {output:?}");
            assert!(!output.report.contains("sesame"), "{name}");
        }
    }
}

/// What MICs and sealed messages two different NTLMs have in common: first, last and between.
#[test]
fn first_messages_are_right_against_the_system() {
    let Some((_, environment)) = users() else {
        return;
    };
    for ends in WITH_OWN {
        for traffic in ["sealed", "signed", "sealed-only"] {
            let options = format!("traffic={traffic}");
            let output = run(ends, &options, &environment);
            assert_every_message_passes(&output);
            assert!(
                !output.report.contains("UNAVAILABLE"),
                "{traffic} {ends:?}: {output:?}"
            );
        }
    }
}

/// The system's mechanism alone: the mechListMIC leaves its key streams where they were.
#[test]
fn first_messages_are_right_over_the_system() {
    let Some((_, environment)) = users() else {
        return;
    };
    for ends in [
        (End::Over, End::Over),
        (End::Over, End::System),
        (End::System, End::Over),
    ] {
        for traffic in ["sealed", "signed", "sealed-only"] {
            let options = format!("traffic={traffic}");
            assert_every_message_passes(&run(ends, &options, &environment));
        }
    }
}

#[test]
fn channel_bindings_are_compared_and_reported() {
    let Some((_, environment)) = users() else {
        return;
    };
    for ends in [
        (End::Own, End::Own),
        (End::System, End::Own),
        (End::Own, End::System),
    ] {
        let same = run(
            ends,
            "messages=no i.bindings=tls-unique a.bindings=tls-unique",
            &environment,
        );
        assert!(established(&same), "{ends:?}: {same:?}");
        assert!(same.report.contains("bound"), "{ends:?}: {same:?}");
        let other = run(
            ends,
            "messages=no i.bindings=one a.bindings=another",
            &environment,
        );
        assert!(!established(&other), "{ends:?}: {other:?}");
    }
}

#[test]
fn a_password_is_enough() {
    let Some((_, mut environment)) = users() else {
        return;
    };
    let users = environment.remove("NTLM_USER_FILE").unwrap();
    let acceptor = format!("a.env=NTLM_USER_FILE={users}");
    for (password, right) in [("sesame", true), ("guess", false)] {
        let options = format!(
            "messages=no i.cred=password i.cred.mechs=spnego i.cred.name=SPNEGO\\user i.cred.type=user \
             i.password={password} {acceptor}"
        );
        let output = run((End::Own, End::Own), &options, &environment);
        assert_eq!(established(&output), right, "{output:?}");
    }
}

/// The initiator's optimistic token is Kerberos's, and the acceptor has NTLM alone.
#[test]
fn an_acceptor_without_kerberos_reselects_ntlm() {
    let Some((realm, mut environment)) = users() else {
        return;
    };
    for (name, value) in realm.environment() {
        if name == "KRB5CCNAME" {
            environment.insert(name, value);
        }
    }
    for ends in [
        (End::Own, End::Own),
        (End::System, End::Own),
        (End::Own, End::Over),
    ] {
        let options = "cred=acquire cred.mechs=spnego a.neg=ntlmssp traffic=sealed";
        let output = run(ends, options, &environment);
        assert_every_message_passes(&output);
        assert!(
            output.report.contains("state=request-mic mech=ntlmssp"),
            "{ends:?}: {output:?}"
        );
    }
}

//! The plugin under Heimdal 7: its programs and MIT's sign in to each other, with the SPNEGO of the
//! system and with ours at either end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::fmt::Write as _;
use std::process::Command;
use support::{
    End, Environment, Harness, Library, Output, Realm, Side, connect, connect_with,
    heimdal_can_be_tested, part_of, plugin,
};

const FLAGS: &str = "flags=mutual,replay,seq,conf,integ";

/// The realm, where Heimdal can be tested.
fn realm() -> Option<&'static Realm> {
    if !heimdal_can_be_tested() {
        return None;
    }
    Realm::shared()
}

/// Fails loudly when the line in /etc/gss/mech no longer makes this library Heimdal's SPNEGO: only
/// ours knows the option.
#[test]
fn the_one_line_makes_us_the_spnego_of_heimdal() {
    let Some(realm) = realm() else { return };
    let options = format!("{FLAGS} cred=acquire cred.mechs=spnego neg=krb5");
    let ends = [End::HEIMDAL_BUILT_IN, End::HEIMDAL_OURS];
    for (end, answer) in ends.into_iter().zip(["FAILURE", "COMPLETE"]) {
        let report = connect(end, end, &options, &realm.environment()).ok();
        for role in ["initiator", "acceptor"] {
            let wanted = format!("set_neg_mechs: {answer}");
            assert!(part_of(&report, role).contains(&wanted), "{role}: {report}");
        }
        assert_eq!(report.matches("\nestablished\n").count(), 2, "{report}");
    }
}

#[test]
fn messages_of_every_kind_are_exchanged() {
    same(&[
        FLAGS,
        "flags=conf,integ",
        "flags=mutual",
        "flags=mutual,dce,conf,integ",
        "flags=mutual,replay,seq,conf,integ export=both",
        "flags=mutual,replay,seq,conf,integ bindings=tls",
    ]);
}

#[test]
fn credentials_of_every_kind_serve() {
    same(&[
        "flags=mutual,conf cred=acquire messages=no",
        "flags=mutual,conf cred=acquire cred.mechs=spnego messages=no",
        "flags=mutual,conf target=HTTP/localhost target.type=principal messages=no",
        "flags=mutual,deleg,conf,integ delegated=backend@localhost messages=no",
    ]);
}

/// Every end ours, against what the built-in ends of the same libraries print.
fn same(scenarios: &[&str]) {
    use Library::{Heimdal, Mit};
    let Some(realm) = realm() else { return };
    let mut complaints = String::new();
    for options in scenarios {
        for (initiator, acceptor) in [(Heimdal, Heimdal), (Heimdal, Mit), (Mit, Heimdal)] {
            let run = |left, right| {
                let (left, right) = (End::new(initiator, left), End::new(acceptor, right));
                comparable(connect(left, right, options, &realm.environment()))
            };
            let reference = run(Side::BuiltIn, Side::BuiltIn);
            for (left, right) in [
                (Side::Ours, Side::BuiltIn),
                (Side::BuiltIn, Side::Ours),
                (Side::Ours, Side::Ours),
            ] {
                let found = run(left, right);
                if found != reference {
                    let _ = writeln!(
                        complaints,
                        "{options}: {initiator:?} {left:?} to {acceptor:?} {right:?}:\n\
                         {}",
                        support::difference(&reference, &found)
                    );
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

/// A report without what is each SPNEGO's own: sentences, when a context is said to be ready for
/// messages and for transfer, Heimdal's habit of saying 2 for an open context, and the answer to
/// GSS_Process_context_token, where MIT's built-in SPNEGO does not ask the mechanism.
fn comparable(output: Output) -> String {
    assert_eq!(output.status, 0, "{}", output.report);
    output
        .report
        .lines()
        .filter(|line| {
            let own = ["minor:", "plugin:", "process_context_token:"];
            !own.iter().any(|own| line.trim_start().starts_with(own))
        })
        .map(|line| {
            line.replace(",trans", "")
                .replace(",prot_ready", "")
                .replace("open: 2", "open: 1")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_acceptor_may_speak_first() {
    let Some(realm) = realm() else { return };
    for (initiator, acceptor) in [
        (End::HEIMDAL_OURS, End::HEIMDAL_OURS),
        (End::HEIMDAL_OURS, End::MIT_OURS),
        (End::MIT_OURS, End::HEIMDAL_OURS),
    ] {
        let options = format!("{FLAGS} first=fed messages=no");
        let report = connect(initiator, acceptor, &options, &realm.environment()).ok();
        assert_eq!(report.matches("\nestablished\n").count(), 2, "{report}");
        assert!(report.contains("negHints=yes"), "{report}");
    }
}

#[test]
fn calls_on_an_unfinished_context_are_refused() {
    let Some(realm) = realm() else { return };
    let ours = End::HEIMDAL_OURS;
    let options = format!("{FLAGS} early=yes inquire=yes");
    let report = connect(ours, ours, &options, &realm.environment()).ok();
    let initiator = part_of(&report, "initiator");
    assert_eq!(initiator.matches("NO_CONTEXT").count(), 12, "{report}");
    assert_eq!(report.matches("\nestablished\n").count(), 2, "{report}");
}

#[test]
fn every_failure_says_why() {
    let Some(realm) = realm() else { return };
    for (options, role, sentence) in [
        (
            "i.env=KRB5CCNAME=FILE:/nonexistent",
            "initiator",
            "; get a ticket: run kinit",
        ),
        (
            "target=nosuch@localhost",
            "initiator",
            "(nosuch/localhost@SPNEGO.TEST)",
        ),
        (
            "target=nosuch@localhost",
            "initiator",
            "; call the server by the name that it is registered under",
        ),
        (
            "a.env=KRB5_KTNAME=FILE:/nonexistent",
            "acceptor",
            "minor: krb5: keytab /nonexistent open failed",
        ),
        (
            "a.env=KRB5_KTNAME=FILE:/nonexistent",
            "acceptor",
            "; there is no file /nonexistent: export the service's keys into it",
        ),
        (
            "a.env=KRB5_KTNAME=FILE:/nonexistent",
            "initiator",
            "minor: the peer rejected the negotiation",
        ),
        ("i.mutate.1=flip:300", "acceptor", "minor: krb5: "),
        ("a.mutate.1=flip:20", "initiator", "minor: the peer "),
        (
            "i.bindings=one a.bindings=another",
            "acceptor",
            "minor: krb5: Incorrect channel bindings were supplied",
        ),
        (
            "i.cred=acquire i.cred.mechs=spnego i.neg=ntlmssp",
            "initiator",
            "krb5: the credential is not for this mechanism",
        ),
    ] {
        let ours = End::HEIMDAL_OURS;
        let pairs = match role {
            "initiator" => [(ours, ours), (ours, End::MIT_OURS)],
            _ => [(ours, ours), (End::MIT_OURS, ours)],
        };
        for (initiator, acceptor) in pairs {
            let options = format!("flags=mutual {options}");
            let report = connect(initiator, acceptor, &options, &realm.environment()).ok();
            let said = part_of(&report, role);
            assert!(said.contains(sentence), "{options}: {report}");
            assert!(!report.contains("\nestablished\n"), "{options}: {report}");
        }
    }
}

#[test]
fn no_memory_is_misused_or_lost() {
    if !support::installed(&["valgrind"]) {
        return;
    }
    let Some(realm) = realm() else { return };
    let checker = [
        "valgrind",
        "--quiet",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--num-callers=40",
    ];
    for options in [
        "flags=mutual,replay,seq,conf,integ,deleg delegated=backend@localhost export=both",
        "flags=mutual,conf cred=acquire inquire=yes early=yes",
        "flags=mutual,dce first=fed",
        "flags=mutual a.mutate.1=flip:20",
        "flags=mutual i.env=KRB5CCNAME=FILE:/nonexistent",
        "flags=mutual a.env=KRB5_KTNAME=FILE:/nonexistent",
    ] {
        let ours = End::HEIMDAL_OURS;
        let output = connect_with(ours, ours, options, &realm.environment(), &checker);
        support::assert_no_fault_of_ours(&output, options);
    }
}

#[test]
fn both_libraries_in_one_process_at_once() {
    let Some(realm) = realm() else { return };
    let program = Harness::object("both_glues", "both_glues", &["-ldl", "-pthread"]);
    let mits = support::MechConfig::new(Side::Ours).write();
    for (threads, times) in [("1", "2"), ("4", "10")] {
        let output = End::HEIMDAL_OURS
            .command(&program, &[])
            .args([threads, times])
            .envs(realm.environment())
            .env("GSS_MECH_CONFIG", &mits)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "done, plugin: loaded\n", "{output:?}");
    }
}

#[test]
fn only_heimdal_7_and_only_our_identifier_is_taken_over() {
    if !heimdal_can_be_tested() {
        return;
    }
    const OURS: &str = "698efa86c71c";
    const SPNEGO: &str = "2b0601050502";
    let program = Harness::object("mo_init", "mo_init", &["-ldl"]);
    let newer = Harness::object(
        "newer_heimdal",
        "libgssapi-newer.so",
        &["-shared", "-fPIC", "-Wl,-soname,libgssapi.so.3"],
    );
    let newer = newer.to_str().unwrap();
    let untouched = |oid| (0x10_0000, 0, "no", oid);
    for (glue, arguments, answer) in [
        ("libgssapi.so.3", &[OURS][..], (0, 6, "yes", SPNEGO)),
        ("libgssapi.so.3", &[OURS, "moved"], (0, 6, "no", SPNEGO)),
        (
            "libgssapi.so.3",
            &["698efa86c71d"],
            untouched("698efa86c71d"),
        ),
        (
            "libgssapi.so.3",
            &["698efa86c71c01"],
            untouched("698efa86c71c01"),
        ),
        (newer, &[OURS], untouched(OURS)),
        ("none", &[OURS], untouched(OURS)),
    ] {
        let output = Command::new(&program)
            .args([glue, plugin().unwrap().to_str().unwrap()])
            .args(arguments)
            .envs(Environment::from([("LC_ALL".into(), "C".into())]))
            .output()
            .unwrap();
        let (major, options, password, left) = answer;
        let zero = if major == 0 { "0" } else { "0x100000" };
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("major: {zero} minor: 0 options: {options} password: {password} oid: {left}\n"),
            "{glue} {arguments:?}: {output:?}"
        );
    }
}

/// The built-in SPNEGO is no measure here: it ends the process at the canonical name.
#[test]
fn mechanism_names_and_credentials_answer() {
    let Some(realm) = realm() else { return };
    let program = Harness::for_library("heimdal_surface", Library::Heimdal);
    let variables = realm.environment();
    let output = End::HEIMDAL_OURS
        .command(program.path(), &[])
        .arg(format!("from={}", variables["KRB5CCNAME"]))
        .envs(&variables)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let mut rest = report.lines().map(str::trim);
    for line in [
        "indicate_mechs: COMPLETE",
        "mechs: [krb5,ntlmssp,spnego]",
        "hostbased: 1 user: 1",
        "nego: 1 sasl name: 1 deprecated: 0",
        "mech: spnego",
        "sasl name: SPNEGO",
        "mech name: SPNEGO",
        "value: SPNEGO",
        "-- name HTTP@localhost, hostbased",
        "mechs: [krb5,spnego]",
        "canonicalize_name, spnego: COMPLETE",
        "compare_name, canonical: COMPLETE",
        "equal: 1",
        "export_name, canonical: COMPLETE",
        "import of it: COMPLETE",
        "-- name user, user",
        "shown: user@SPNEGO.TEST (krb5-principal)",
        "-- name user@SPNEGO.TEST, principal",
        "-- credentials",
        "inquire_cred of the default: COMPLETE",
        "name: user@SPNEGO.TEST (krb5-principal)",
        "mechs: [krb5,spnego]",
        "time: some usage: initiate",
        "mechs: [spnego]",
        "time: indefinite usage: accept",
        "add_cred to none: COMPLETE",
        "init with it: CONTINUE_NEEDED",
        "add_cred of another: COMPLETE",
        "mechs: [krb5,spnego]",
        "init with it: CONTINUE_NEEDED",
        "export_cred: COMPLETE",
        "import_cred: COMPLETE",
        "name: user@SPNEGO.TEST (krb5-principal)",
        "init with it: CONTINUE_NEEDED",
        "import_cred of both: COMPLETE",
        "unknown option: FAILURE",
        "register keytab: COMPLETE",
        "gss_krb5_import_cred: COMPLETE",
        "plugin: loaded",
    ] {
        assert!(
            rest.any(|found| found == line),
            "not said, in this order: {line}\n{report}"
        );
    }
}

//! Several mechanisms under Heimdal 7: Kerberos beside our own NTLM, between its programs and those of
//! MIT, which have the same NTLM or gss-ntlmssp.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{
    End, Environment, Harness, Library, Output, Realm, Side, configuration, connect, connect_with,
    heimdal_can_be_tested, part_of, scratch_file, skip,
};

const OURS: End = End::HEIMDAL_OURS;
const FLAGS: &str = "flags=mutual,replay,seq,conf,integ ask_target=no";

/// Every pair with one of ours in it: our own NTLM on both libraries, and gss-ntlmssp under MIT's
/// built-in SPNEGO and under ours.
const PAIRS: [(End, End); 7] = [
    (OURS, OURS),
    (OURS, End::MIT_OURS),
    (End::MIT_OURS, OURS),
    (OURS, End::MIT_BUILT_IN.with_ntlmssp()),
    (End::MIT_BUILT_IN.with_ntlmssp(), OURS),
    (OURS, End::MIT_OURS.with_ntlmssp()),
    (End::MIT_OURS.with_ntlmssp(), OURS),
];

/// Those with our own NTLM at both ends: gss-ntlmssp makes fewer kinds of messages, and another
/// pseudo-random function.
const OWN: [(End, End); 3] = [PAIRS[0], PAIRS[1], PAIRS[2]];

/// The realm, and the environment of a user with tickets and a file of users; `None`, loudly, where
/// something is missing.
fn with_tickets() -> Option<(&'static Realm, Environment)> {
    if !heimdal_can_be_tested() {
        return None;
    }
    if !std::path::Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        skip("gss-ntlmssp is not installed");
        return None;
    }
    let realm = Realm::shared()?;
    let mut environment = realm.environment();
    let users = users("SPNEGO:user:sesame\nSPNEGO:other:tahini\n");
    environment.insert("NTLM_USER_FILE".into(), users);
    Some((realm, environment))
}

/// The same without tickets.
fn without_tickets() -> Option<(&'static Realm, Environment)> {
    let (realm, mut environment) = with_tickets()?;
    environment.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    Some((realm, environment))
}

/// A file of users with these lines.
fn users(lines: &str) -> String {
    let file = scratch_file("ntlm.users");
    std::fs::write(&file, lines).unwrap();
    file.display().to_string()
}

fn run(ends: (End, End), options: &str, environment: &Environment) -> Output {
    connect(ends.0, ends.1, &format!("{FLAGS} {options}"), environment)
}

fn established(output: &Output) -> bool {
    let lines = output.report.lines();
    output.status == 0 && lines.filter(|line| *line == "established").count() == 2
}

/// Both ends are established, and each has understood what the other has sent.
fn assert_every_message_passes(output: &Output) {
    assert!(established(output), "{output:?}");
    for complaint in ["BAD_MIC", "GAP_TOKEN", "not as sent", "different"] {
        assert!(!output.report.contains(complaint), "{}", output.report);
    }
}

/// An end's part has these lines, in their order.
fn assert_says(output: &Output, role: &str, lines: &[&str]) {
    let mut rest = part_of(&output.report, role).lines().map(str::trim);
    for line in lines {
        assert!(
            rest.any(|found| found.starts_with(line)),
            "the {role} does not say, in this order: {line}\n{}",
            output.report
        );
    }
}

#[test]
fn our_own_ntlm_signs_in_in_both_roles() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for ends in PAIRS {
        let output = run(
            ends,
            "flags=mutual,deleg,conf,integ messages=no",
            &environment,
        );
        assert!(established(&output), "{ends:?}: {output:?}");
        for (end, role) in [(ends.0, "initiator"), (ends.1, "acceptor")] {
            if end == OURS {
                assert_says(
                    &output,
                    role,
                    &[
                        "established",
                        "source: SPNEGO\\user",
                        "time: indefinite mech: ntlmssp",
                    ],
                );
            }
        }
        assert!(!output.report.contains("delegated: yes"), "{output:?}");
        let sent = |token: &str| output.report.contains(&format!("sends: {token}\n"));
        assert!(
            sent("NegTokenInit mechs=ntlmssp mechToken=ntlmssp-1")
                && sent("NegTokenResp state=accept-incomplete mech=ntlmssp token=ntlmssp-2")
                && sent("NegTokenResp state=accept-incomplete token=ntlmssp-3 mic=yes")
                && sent("NegTokenResp state=accept-completed mic=yes"),
            "{output:?}"
        );
    }
}

#[test]
fn messages_of_every_kind_pass() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for ends in OWN {
        let output = run(ends, "order=kept mic_iov=no", &environment);
        assert_every_message_passes(&output);
        for line in [
            "wrap_iov: COMPLETE",
            "unwrap_iov: COMPLETE",
            "unwrap: COMPLETE",
            "verify_mic: COMPLETE",
            "pseudo-random octets: the same at both ends",
            "key: the same at both ends",
            "limit: 984",
        ] {
            let found = output.report.lines().any(|found| found.trim() == line);
            assert!(found, "{ends:?}, {line}: {output:?}");
        }
    }
}

/// The key streams are where both NTLMs have them after the mechListMICs.
#[test]
fn the_first_messages_are_right() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for ends in PAIRS {
        for traffic in ["sealed", "signed", "sealed-only"] {
            let output = run(ends, &format!("traffic={traffic}"), &environment);
            assert_every_message_passes(&output);
            assert!(!output.report.contains("UNAVAILABLE"), "{output:?}");
        }
    }
}

#[test]
fn exported_contexts_come_back_and_go_on() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for ends in OWN {
        let output = run(ends, "order=kept mic_iov=no export=both", &environment);
        assert_every_message_passes(&output);
        for role in ["initiator", "acceptor"] {
            assert_says(
                &output,
                role,
                &[
                    "export: COMPLETE",
                    "context: none",
                    "import: COMPLETE",
                    "unwrap: COMPLETE",
                ],
            );
        }
    }
}

#[test]
fn the_acceptor_may_speak_first() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for ends in OWN {
        let output = run(ends, "first=fed traffic=sealed", &environment);
        assert_every_message_passes(&output);
        assert_says(
            &output,
            "acceptor",
            &["sends: NegTokenInit mechs=krb5,ntlmssp negHints=yes"],
        );
    }
}

#[test]
fn channel_bindings_are_compared_and_reported() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for ends in PAIRS {
        let same = run(ends, "messages=no bindings=tls", &environment);
        assert!(established(&same), "{ends:?}: {same:?}");
        assert!(
            part_of(&same.report, "acceptor").contains(",bound"),
            "{same:?}"
        );
        let options = "messages=no i.bindings=one a.bindings=another";
        let other = run(ends, options, &environment);
        assert!(!established(&other), "{ends:?}: {other:?}");
        if ends.1 == OURS {
            let why =
                "minor: ntlmssp: the initiator's channel bindings are those of another channel";
            assert_says(&other, "acceptor", &["leg 2: BAD_BINDINGS", why]);
        }
    }
}

/// The initiator's optimistic token is Kerberos's, and the acceptor has NTLM alone: by its order, or for
/// lack of a keytab, which Heimdal's Kerberos reports as it reports a bad token.
#[test]
fn an_acceptor_without_kerberos_reselects_ntlm() {
    let Some((_, environment)) = with_tickets() else {
        return;
    };
    for ends in PAIRS {
        for why in [
            "a.cred=acquire a.cred.mechs=spnego a.neg=ntlmssp",
            NO_KEYTAB,
        ] {
            let output = run(ends, &format!("{why} traffic=sealed"), &environment);
            assert_every_message_passes(&output);
            assert_says(
                &output,
                "initiator",
                &[
                    "sends: NegTokenInit mechs=krb5,ntlmssp mechToken=krb5:ap-req",
                    "sends: NegTokenResp state=accept-incomplete token=ntlmssp-1",
                    "sends: NegTokenResp state=accept-incomplete token=ntlmssp-3 mic=yes",
                ],
            );
            assert_says(
                &output,
                "acceptor",
                &[
                    "sends: NegTokenResp state=request-mic mech=ntlmssp",
                    "sends: NegTokenResp state=accept-incomplete token=ntlmssp-2",
                    "sends: NegTokenResp state=accept-completed mic=yes",
                ],
            );
        }
    }
}

const NO_KEYTAB: &str = "a.env=KRB5_KTNAME=FILE:/nonexistent";

/// A ticket that is refused must not become another mechanism: the keytab is there, with another key.
#[test]
fn a_refused_ticket_stays_refused() {
    let Some((realm, environment)) = with_tickets() else {
        return;
    };
    let options = format!("a.env=KRB5_KTNAME={}", realm.keytab("wrong").display());
    for ends in [PAIRS[0], PAIRS[2]] {
        let output = run(ends, &options, &environment);
        assert!(!established(&output), "{output:?}");
        assert_says(
            &output,
            "acceptor",
            &[
                "leg 1: ",
                "minor: krb5: ",
                "sends: NegTokenResp state=reject",
            ],
        );
        assert!(!output.report.contains("request-mic"), "{output:?}");
    }
}

/// Kerberos is the second choice. In DCE style it is the initiator who speaks last, and has to send its
/// mechListMIC with its last token, before it has the acceptor's.
#[test]
fn kerberos_is_reselected_with_mics_whoever_speaks_last() {
    let Some((_, environment)) = with_tickets() else {
        return;
    };
    let orders = "cred=acquire cred.mechs=spnego i.neg=ntlmssp,krb5 a.neg=krb5";
    let built_in = End::MIT_BUILT_IN.with_ntlmssp();
    for ends in [
        PAIRS[0],
        PAIRS[1],
        PAIRS[2],
        (OURS, built_in),
        (built_in, OURS),
    ] {
        let acceptor_last = run(ends, orders, &environment);
        assert!(established(&acceptor_last), "{ends:?}: {acceptor_last:?}");
        assert_says(
            &acceptor_last,
            "acceptor",
            &[
                "sends: NegTokenResp state=request-mic mech=krb5",
                "sends: NegTokenResp state=accept-incomplete token=krb5:ap-rep mic=yes",
                "leg 3: COMPLETE",
            ],
        );
        let options = format!("{orders} flags=mutual,dce,conf,integ");
        let initiator_last = run(ends, &options, &environment);
        assert!(established(&initiator_last), "{ends:?}: {initiator_last:?}");
        assert_says(
            &initiator_last,
            "initiator",
            &[
                "sends: NegTokenInit mechs=ntlmssp,krb5 mechToken=ntlmssp-1",
                "sends: NegTokenResp state=accept-incomplete token=bare-ap-req",
                "sends: NegTokenResp state=accept-incomplete token=bare-ap-rep mic=yes",
                "leg 4: COMPLETE",
            ],
        );
        assert_says(
            &initiator_last,
            "acceptor",
            &[
                "sends: NegTokenResp state=request-mic mech=krb5",
                "sends: NegTokenResp state=accept-incomplete token=bare-ap-rep",
                "sends: NegTokenResp state=accept-completed mic=yes",
            ],
        );
    }
}

/// The built-in SPNEGO takes the second choice without asking for a mechListMIC, and so without any
/// protection of the choice.
#[test]
fn a_second_choice_without_a_mic_is_refused() {
    let Some((_, environment)) = with_tickets() else {
        return;
    };
    let options = "i.cred=acquire i.cred.mechs=spnego i.neg=ntlmssp,krb5 messages=no";
    for dce in ["", " flags=mutual,dce,conf,integ"] {
        let ends = (OURS, End::HEIMDAL_BUILT_IN);
        let output = run(ends, &format!("{options}{dce}"), &environment);
        assert!(!established(&output), "{output:?}");
        assert_says(
            &output,
            "acceptor",
            &["sends: NegTokenResp state=accept-incomplete mech=krb5"],
        );
        assert_says(
            &output,
            "initiator",
            &[
                "leg 2: DEFECTIVE_TOKEN",
                "minor: the acceptor chose another mechanism than the first and did not ask for a mechListMIC",
            ],
        );
    }
}

#[test]
fn a_mic_that_was_altered_is_refused() {
    let Some((_, environment)) = with_tickets() else {
        return;
    };
    let orders = "cred=acquire cred.mechs=spnego i.neg=ntlmssp,krb5 a.neg=krb5 messages=no";
    // The last octets of the message are those of the mechListMIC.
    for (options, role) in [
        (
            format!("{orders} flags=mutual,dce,conf,integ i.mutate.3=flip:-1"),
            "acceptor",
        ),
        (
            format!("{orders} flags=mutual,dce,conf,integ a.mutate.3=flip:-1"),
            "initiator",
        ),
        (format!("{orders} a.mutate.2=flip:-1"), "initiator"),
        (
            "cred=acquire cred.mechs=spnego neg=ntlmssp i.mutate.2=flip:-1".into(),
            "acceptor",
        ),
        (
            "cred=acquire cred.mechs=spnego neg=ntlmssp a.mutate.2=flip:-1".into(),
            "initiator",
        ),
    ] {
        for ends in [
            PAIRS[0],
            if role == "acceptor" {
                PAIRS[2]
            } else {
                PAIRS[1]
            },
        ] {
            let output = run(ends, &options, &environment);
            let said = part_of(&output.report, role);
            assert!(
                !said.lines().any(|line| line == "established"),
                "{output:?}"
            );
            assert!(said.contains("mechListMIC"), "{options}: {output:?}");
        }
    }
}

#[test]
fn damaged_messages_of_ntlm_are_refused() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for damage in [
        "i.mutate.1=flip:30",
        "i.mutate.1=cut:3",
        "a.mutate.1=flip:40",
        "a.mutate.1=cut:40",
        "i.mutate.2=flip:30",
        "i.mutate.2=flip:80",
        "i.mutate.2=cut:60",
    ] {
        for ends in [PAIRS[0], PAIRS[1], PAIRS[2]] {
            let output = run(ends, &format!("messages=no {damage}"), &environment);
            assert_eq!(output.status, 0, "{damage}: {output:?}");
            assert!(!established(&output), "{damage}: {output:?}");
        }
    }
}

#[test]
fn every_mechanism_says_why_not() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    const NO_USER: &str = "NTLM_USER_FILE=/nonexistent";
    for (options, role, sentences) in [
        (
            format!("i.env={NO_USER}"),
            "initiator",
            ["krb5: ", "ntlmssp: /nonexistent: No such file"],
        ),
        (
            format!("a.env={NO_USER};KRB5_KTNAME=FILE:/nonexistent i.env=KRB5CCNAME=CACHE"),
            "acceptor",
            [
                "krb5: keytab /nonexistent open failed",
                "ntlmssp: /nonexistent: No such file",
            ],
        ),
        (
            format!("i.env={} messages=no", set(&[("ntlm", "off")])),
            "initiator",
            ["krb5: ", "ntlmssp: "],
        ),
        (
            format!("i.env={} messages=no", set(&[("mechs", "krb5")])),
            "initiator",
            ["krb5: ", "ntlmssp: "],
        ),
        (
            "i.cred=acquire i.cred.mechs=spnego i.neg=krb5".into(),
            "initiator",
            [
                // What was said when the credential was acquired.
                "krb5: Failed to find ",
                "ntlmssp: the credential is not",
            ],
        ),
    ] {
        let (_, tickets) = with_tickets().unwrap();
        let options = options.replace("CACHE", &tickets["KRB5CCNAME"]);
        let ends = if role == "initiator" {
            PAIRS[1]
        } else {
            PAIRS[0]
        };
        let output = run(ends, &options, &environment);
        assert!(!established(&output), "{options}: {output:?}");
        let said = part_of(&output.report, role);
        let minor = said.lines().find(|line| line.starts_with("minor: "));
        let all = minor.is_some_and(|minor| sentences.iter().all(|why| minor.contains(why)));
        assert!(all, "{options}: {output:?}");
    }
}

/// Settings of the plugin's, as a variable of an end's environment.
fn set(settings: &[(&str, &str)]) -> String {
    format!("GSS_SPNEGO_CONFIG={}", configuration(settings).display())
}

#[test]
fn the_administrator_and_the_caller_say_which_mechanisms() {
    let Some((_, environment)) = with_tickets() else {
        return;
    };
    for (options, offered) in [
        (String::new(), "krb5,ntlmssp"),
        (format!("i.env={}", set(&[("ntlm", "off")])), "krb5"),
        (format!("i.env={}", set(&[("ntlm", "own")])), "krb5,ntlmssp"),
        (
            format!("i.env={}", set(&[("mechs", "ntlmssp krb5")])),
            "ntlmssp,krb5",
        ),
        (format!("i.env={}", set(&[("mechs", "!krb5")])), "ntlmssp"),
        (format!("{ACQUIRED} i.neg=ntlmssp,krb5"), "ntlmssp,krb5"),
        (format!("{ACQUIRED} i.neg=ntlmssp"), "ntlmssp"),
    ] {
        for ends in [PAIRS[0], PAIRS[1]] {
            let output = run(ends, &format!("{options} messages=no"), &environment);
            assert!(established(&output), "{options}: {output:?}");
            let sent = format!("sends: NegTokenInit mechs={offered} mechToken=");
            assert_says(&output, "initiator", &["leg 1: CONTINUE_NEEDED", &sent]);
        }
    }
}

/// No ticket, and no keytab: where the administrator does not allow it, nothing takes Kerberos's place.
#[test]
fn a_fallback_that_is_not_allowed_is_none() {
    let (Some((_, tickets)), Some((_, none))) = (with_tickets(), without_tickets()) else {
        return;
    };
    for (settings, environment, role) in [
        (("kerberos_fallback", "false"), &none, "initiator"),
        (("downgrade", "refuse"), &none, "initiator"),
        (("kerberos_fallback", "false"), &tickets, "acceptor"),
        (("downgrade", "refuse"), &tickets, "acceptor"),
    ] {
        let set = set(&[settings]);
        let (options, ends) = match role {
            "initiator" => (format!("i.env={set}"), [PAIRS[0], PAIRS[1]]),
            _ => (format!("{NO_KEYTAB};{set}"), [PAIRS[0], PAIRS[2]]),
        };
        for ends in ends {
            let output = run(ends, &format!("{options} messages=no"), environment);
            let said = part_of(&output.report, role);
            assert!(
                !said.lines().any(|line| line == "established"),
                "{settings:?}: {output:?}"
            );
            assert!(said.contains("minor: krb5: "), "{settings:?}: {output:?}");
        }
    }
}

/// Heimdal 7 has no `gss_set_neg_mechs`: the option in its place takes text.
#[test]
fn an_order_that_cannot_be_read_is_refused() {
    let Some((_, environment)) = with_tickets() else {
        return;
    };
    let output = run(PAIRS[0], &format!("{ACQUIRED} i.neg=unused"), &environment);
    let why = "minor: the option takes names of mechanisms or dotted identifiers";
    assert_says(&output, "initiator", &["set_neg_mechs: FAILURE", why]);
}

const ACQUIRED: &str = "i.cred=acquire i.cred.mechs=spnego";

/// What Heimdal 7 cannot do with its built-in SPNEGO, which has no credential for a password.
#[test]
fn a_password_is_enough() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    let ticket = "NegTokenInit mechs=krb5,ntlmssp mechToken=krb5:ap-req";
    let message = "NegTokenInit mechs=ntlmssp mechToken=ntlmssp-1";
    for (name, token, source) in [
        ("user", ticket, "source: user@SPNEGO.TEST (krb5-principal)"),
        ("SPNEGO\\user", message, "source: SPNEGO\\user ("),
    ] {
        for acceptor in [OURS, End::MIT_OURS, End::MIT_BUILT_IN.with_ntlmssp()] {
            let options = format!("{PASSWORD} i.cred.name={name} i.password=sesame messages=few");
            let output = run((OURS, acceptor), &options, &environment);
            assert!(established(&output), "{name}: {output:?}");
            let sent = format!("sends: {token}");
            let lines = ["acquire: COMPLETE", "actual mechs: [spnego]", &sent, source];
            assert_says(&output, "initiator", &lines);
        }
    }
    let ends = (End::HEIMDAL_BUILT_IN, OURS);
    let options = format!("{PASSWORD} i.cred.name=user i.password=sesame");
    assert_says(
        &run(ends, &options, &environment),
        "initiator",
        &["acquire: NO_CRED"],
    );
}

/// Neither is a password passed over where another one's tickets are at hand, nor does it matter whether
/// the program asks for all mechanisms.
#[test]
fn a_password_is_not_passed_over_for_another_ones_tickets() {
    let Some((realm, mut environment)) = with_tickets() else {
        return;
    };
    let tickets = format!("FILE:{}", realm.cache("service").display());
    environment.insert("KRB5CCNAME".into(), tickets);
    let options = "i.cred=password i.cred.name=user i.cred.type=user i.password=sesame messages=no";
    for mechs in ["spnego", "none"] {
        let options = format!("{options} i.cred.mechs={mechs}");
        let output = run((OURS, OURS), &options, &environment);
        assert!(established(&output), "{output:?}");
        let source = "source: user@SPNEGO.TEST";
        assert_says(&output, "acceptor", &["established", source]);
    }
    let output = run((End::HEIMDAL_BUILT_IN, OURS), options, &environment);
    assert_says(
        &output,
        "initiator",
        &["acquire: COMPLETE", "leg 1: NO_CRED"],
    );
}

const PASSWORD: &str = "i.cred=password i.cred.mechs=spnego i.cred.type=user";

/// `user`'s key only fails to decrypt the reply; whoever must pre-authenticate is told no by the KDC.
#[test]
fn a_wrong_password_is_said_and_is_tried_no_further() {
    let Some((realm, mut environment)) = with_tickets() else {
        return;
    };
    let careful = "addprinc +requires_preauth -pw sesame careful";
    realm.run("kadmin.local", &["-q", careful], &Environment::new());
    for (name, why) in [
        ("user", "minor: krb5: Decrypt integrity check failed"),
        ("careful", "minor: krb5: PREAUTH_FAILED"),
    ] {
        // Users of that name, and another one's tickets: neither is to be used.
        let file = users(&format!(":{name}:sesame\nSPNEGO:{name}:sesame\n"));
        environment.insert("NTLM_USER_FILE".into(), file);
        let options = format!("{PASSWORD} i.cred.name={name} i.password=guess");
        let output = run((OURS, OURS), &options, &environment);
        assert_says(
            &output,
            "initiator",
            &["acquire: NO_CRED", why, "not established"],
        );
        assert!(!output.report.contains("sends:"), "{output:?}");
        assert!(!output.report.contains("guess"), "{output:?}");
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_of_ntlm_are_refused() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    for (line, why) in [
        ("SPNEGO:user:guess\n", "minor: ntlmssp: wrong password for"),
        ("SPNEGO:nobody:sesame\n", "minor: ntlmssp: "),
        ("ELSEWHERE:user:sesame\n", "minor: ntlmssp: "),
    ] {
        let options = format!("messages=no i.env=NTLM_USER_FILE={}", users(line));
        for ends in [PAIRS[0], PAIRS[2], PAIRS[4]] {
            let output = run(ends, &options, &environment);
            assert!(!established(&output), "{line} {ends:?}: {output:?}");
            assert_says(
                &output,
                "acceptor",
                &[why, "sends: NegTokenResp state=reject"],
            );
            assert!(!output.report.contains("sesame"), "{output:?}");
        }
    }
}

#[test]
fn credentials_and_names_of_our_own_ntlm_answer() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    let program = Harness::for_library("heimdal_ntlm", Library::Heimdal);
    let output = OURS
        .command(program.path(), &[])
        .envs(&environment)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let mut rest = report.lines().map(str::trim);
    for line in [
        "== none, of the file, to initiate",
        "acquire: COMPLETE",
        "actual mechs: [spnego]",
        "name: SPNEGO\\user (1.2.840.113554.1.2.1.1)",
        "time: indefinite usage: initiate",
        "export_cred: UNAVAILABLE",
        "minor: the credential is for NTLM alone, which has no such service here",
        "store_cred: UNAVAILABLE",
        "use: established",
        "messages: pass",
        "delegated: no",
        "equal: 1",
        "canonical: SPNEGO\\user (1.2.840.113554.1.2.1.1)",
        "account: user",
        "may be user: 1, may be root: 0",
        "of mech: spnego",
        "== none, of the file, to accept",
        "time: indefinite usage: accept",
        "use: established",
        "messages: pass",
        "== none, of the file, to both",
        "name: SPNEGO\\user (1.2.840.113554.1.2.1.1)",
        "time: indefinite usage: both",
        "use: established",
        "== SPNEGO\\other, of the file, to initiate",
        "name: SPNEGO\\other (1.2.840.113554.1.2.1.1)",
        "use: established",
        "== SPNEGO\\nobody, of the file, to initiate",
        "acquire: NO_CRED",
        "== SPNEGO\\user, sesame, to initiate",
        "name: SPNEGO\\user (1.2.840.113554.1.2.1.1)",
        "use: established",
        "== SPNEGO\\user, guess, to initiate",
        "acquire: COMPLETE",
        "use: not established",
        "== SPNEGO\\user, sesame, to accept",
        "acquire: NO_CRED",
        "ntlmssp: a password is for signing in, not for accepting",
        "plugin: loaded",
    ] {
        assert!(
            rest.any(|found| found.ends_with(line)),
            "not said, in this order: {line}\n{report}"
        );
    }
}

/// Each library's glue has its own contexts of our one NTLM.
#[test]
fn both_libraries_in_one_process_at_once() {
    let Some((_, environment)) = without_tickets() else {
        return;
    };
    let program = Harness::object("both_glues", "both_glues", &["-ldl", "-pthread"]);
    let mits = support::MechConfig::new(Side::Ours).write();
    let output = OURS
        .command(&program, &[])
        .args(["4", "10", "SPNEGO\\user"])
        .envs(environment)
        .env("GSS_MECH_CONFIG", &mits)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "done, plugin: loaded\n", "{output:?}");
}

#[test]
fn no_memory_is_misused_or_lost() {
    if !support::installed(&["valgrind"]) {
        return;
    }
    let Some((_, environment)) = with_tickets() else {
        return;
    };
    let checker = [
        "valgrind",
        "--quiet",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--num-callers=40",
    ];
    for options in [
        "cred=acquire cred.mechs=spnego neg=ntlmssp order=kept mic_iov=no export=both",
        "a.cred=acquire a.cred.mechs=spnego a.neg=ntlmssp early=yes inquire=yes",
        "i.cred=password i.cred.mechs=spnego i.cred.name=user i.password=sesame messages=no",
        "i.cred=password i.cred.mechs=spnego i.cred.name=user i.password=guess",
        "messages=no a.env=KRB5_KTNAME=FILE:/nonexistent",
        "cred=acquire cred.mechs=spnego neg=ntlmssp i.mutate.2=flip:80",
    ] {
        let options = format!("{FLAGS} {options}");
        let output = connect_with(OURS, OURS, &options, &environment, &checker);
        support::assert_no_fault_of_ours(&output, &options);
    }
}

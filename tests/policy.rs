//! The administrator's rules in whole programs: whom they are for, what they allow and require,
//! and what a refusal says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{
    End, Environment, Harness, MechConfig, Output, Pair, Pairing, Realm, Side, connect,
    heimdal_can_be_tested, part_of, realm, scratch_file, skip,
};

const OURS: Pairing = Pairing {
    initiator: Side::Ours,
    acceptor: Side::Ours,
};

/// A configuration file.
fn configuration(text: &str) -> PathBuf {
    let file = scratch_file("spnego.conf");
    write(&file, text);
    file
}

/// Put a file in its place whole, as an administrator's tools do.
fn write(file: &Path, text: &str) {
    let new = PathBuf::from(format!("{}.new", file.display()));
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
    fs::rename(&new, file).unwrap();
}

/// Kerberos and NTLM at both ends, both with a user, and with this configuration.
fn pair(realm: &Realm, text: &str) -> Pair {
    let users = scratch_file("ntlm.users");
    fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    Pair::new(realm)
        .options("messages=no inquire=no ask_target=no")
        .with_variable("NTLM_USER_FILE", users.display().to_string())
        .with_variable("GSS_SPNEGO_TRACE", "stderr")
        .with_variable(
            "GSS_SPNEGO_CONFIG",
            configuration(text).display().to_string(),
        )
}

fn run(pair: &Pair) -> Output {
    let output = pair.run(OURS);
    assert_eq!(output.status, 0, "{output:?}");
    output
}

fn established(output: &Output) -> bool {
    let lines = output.report.lines();
    lines.filter(|line| line.trim() == "established").count() == 2
}

/// The mechanism that both ends took.
fn taken(output: &Output) -> &'static str {
    assert!(established(output), "{}", shown(output));
    let report = part_of(&output.report, "acceptor");
    let sends = report.lines().find(|line| line.contains("mech="));
    match sends.unwrap_or_default() {
        line if line.contains("mech=krb5") => "krb5",
        line if line.contains("mech=ntlmssp") => "ntlmssp",
        line if line.contains("mech=iakerb") => "iakerb",
        line => panic!("{line:?} {}", shown(output)),
    }
}

fn shown(output: &Output) -> String {
    format!("{}\n{}", output.report, output.errors)
}

/// The sentence that an end's program is told.
#[track_caller]
fn assert_refused(output: &Output, role: &str, sentence: &str) {
    assert!(!established(output), "{}", shown(output));
    let said = part_of(&output.report, role);
    assert!(said.contains(sentence), "{sentence}\n{}", shown(output));
}

fn assert_traced(output: &Output, event: &str) {
    assert!(output.errors.contains(event), "{event}\n{}", shown(output));
}

fn assert_not_traced(output: &Output, event: &str) {
    assert!(!output.errors.contains(event), "{event}\n{}", shown(output));
}

// ---- whom a rule is for ----

#[test]
fn a_rule_is_for_its_role_target_and_program() {
    let realm = realm!();
    for (condition, applies) in [
        ("role = 'initiator'", true),
        ("target = 'HTTP@localhost'", true),
        ("target = 'http@LOCALHOST'", true),
        ("target = ['host@*', 'HTTP@*']", true),
        ("target = 'localhost'", true),
        ("target = 'host@localhost'", false),
        ("target = 'HTTP@*.localhost'", false),
        ("program = 'pair-*'", true),
        ("program = '/*/pair-*'", true),
        ("program = ['curl', '/usr/bin/pair-None']", false),
        (
            "role = 'initiator'\ntarget = 'HTTP@*'\nprogram = 'pair*'",
            true,
        ),
        (
            "role = 'initiator'\ntarget = 'HTTP@*'\nprogram = 'curl'",
            false,
        ),
    ] {
        let text = format!("[[rule]]\n{condition}\nmechs = 'ntlmssp'\n");
        let output = run(&pair(realm, &text));
        let expected = if applies { "ntlmssp" } else { "krb5" };
        assert_eq!(taken(&output), expected, "{condition}");
        assert_eq!(
            output.errors.contains("rule 1 (line 1 of "),
            applies,
            "{condition}"
        );
    }
}

#[test]
fn an_acceptors_target_is_the_service_it_acquired_a_credential_for() {
    let realm = realm!();
    let text = "[[rule]]\nrole = 'acceptor'\ntarget = 'HTTP@*'\nmechs = 'ntlmssp'\n";
    let named = "a.cred=acquire a.cred.type=hostbased a.cred.name=HTTP@localhost";
    let output = run(&pair(realm, text).options(named));
    assert_eq!(taken(&output), "ntlmssp");
    let output = run(&pair(realm, text).options(&format!("{named} a.cred.carry=yes")));
    let reason = "krb5: offered by the initiator, not accepted here: not allowed by rule 1 (line ";
    assert_refused(&output, "acceptor", reason);
    let other = "a.cred=acquire a.cred.type=hostbased a.cred.name=host@localhost";
    let output = run(&pair(realm, text)
        .options(other)
        .options("target=host@localhost"));
    assert_eq!(taken(&output), "krb5");
    // Without a name there is nothing to match, which is said.
    let output = run(&pair(realm, text));
    assert_eq!(taken(&output), "krb5");
    assert_traced(&output, "rules with a target are passed over");
}

#[test]
fn the_first_rule_that_matches_holds_with_default_and_acquired_credentials() {
    let realm = realm!();
    let text = "mechs = ['krb5', 'ntlmssp']\n\
                [[rule]]\ntarget = 'host@localhost'\nmechs = 'ntlmssp'\n\
                [[rule]]\ntarget = 'HTTP@localhost'\nmechs = 'krb5'\n\
                [[rule]]\nrole = 'initiator'\nmechs = []\n";
    for credentials in ["", "cred=acquire", "cred=acquire cred.mechs=spnego"] {
        for (target, mech) in [("host@localhost", "ntlmssp"), ("HTTP@localhost", "krb5")] {
            let options = format!("{credentials} target={target}");
            let output = run(&pair(realm, text).options(&options));
            assert_eq!(taken(&output), mech, "{options}");
        }
        let options = format!("{credentials} target=backend@localhost");
        let output = run(&pair(realm, text).options(&options));
        assert_refused(
            &output,
            "initiator",
            "krb5: not allowed by rule 3 (line 8 of ",
        );
    }
}

#[test]
fn rules_narrow_what_a_program_asks_for_and_never_widen_it() {
    let realm = realm!();
    let asked = |mechs: &str| format!("cred=acquire cred.mechs=spnego i.neg={mechs}");
    let only = |mechs: &str| format!("[[rule]]\nrole = 'initiator'\nmechs = {mechs}\n");
    for (allowed, wanted, expected) in [
        ("['krb5', 'ntlmssp']", "ntlmssp", "ntlmssp"),
        ("['ntlmssp']", "krb5,ntlmssp", "ntlmssp"),
        ("['krb5']", "ntlmssp,krb5", "krb5"),
        ("['!krb5']", "krb5,ntlmssp", "ntlmssp"),
    ] {
        let output = run(&pair(realm, &only(allowed)).options(&asked(wanted)));
        assert_eq!(taken(&output), expected, "{allowed} {wanted}");
    }
    let output = run(&pair(realm, &only("['krb5']")).options(&asked("ntlmssp")));
    assert_refused(
        &output,
        "initiator",
        "ntlmssp: not allowed by rule 1 (line 1 of ",
    );
    let reason = "krb5: the credential is not for this mechanism";
    assert_refused(&output, "initiator", reason);
}

#[test]
fn a_rule_chooses_whose_ntlm_is_used() {
    let realm = realm!();
    if !Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        skip("gss-ntlmssp is not installed");
        return;
    }
    let text = "mechs = ['ntlmssp']\n[[rule]]\ntarget = 'HTTP@localhost'\nntlm = 'own'\n\
                [[rule]]\ntarget = 'backend@localhost'\nntlm = 'off'\n";
    for credentials in ["", "cred=acquire"] {
        for target in ["HTTP@localhost", "host@localhost"] {
            let options = format!("{credentials} target={target}");
            let output = run(&pair(realm, text).with_ntlm().options(&options));
            assert_eq!(taken(&output), "ntlmssp", "{options}");
        }
        let options = format!("{credentials} target=backend@localhost");
        let output = run(&pair(realm, text).with_ntlm().options(&options));
        assert_refused(
            &output,
            "initiator",
            "ntlmssp: not allowed by rule 2 (line 5 of ",
        );
    }
}

#[test]
fn iakerb_is_negotiated_only_where_it_is_named() {
    let realm = realm!();
    let output = run(&pair(realm, ""));
    assert!(!output.report.contains("iakerb"), "{}", output.report);
    let text = "[[rule]]\ntarget = 'HTTP@localhost'\nmechs = ['iakerb']\n\
                [[rule]]\nrole = 'acceptor'\nmechs = ['iakerb', 'krb5']\n";
    let output = run(&pair(realm, text));
    assert!(
        part_of(&output.report, "initiator").contains("mechs=iakerb"),
        "{}",
        shown(&output)
    );
    assert_eq!(taken(&output), "iakerb");
    // A rule that names it is for its own contexts only.
    let output = run(&pair(realm, text).options("target=host@localhost"));
    let report = part_of(&output.report, "initiator");
    assert!(report.contains("mechs=krb5"), "{report}");
    assert!(!report.contains("iakerb"), "{report}");
}

#[test]
fn kerberos_is_spared_for_addresses_where_the_rule_says_so() {
    let realm = realm!();
    let text = "kerberos_for_ip = false\n[[rule]]\ntarget = '192.0.2.1'\nkerberos_for_ip = true\n";
    let offers = |target: &str| {
        let output = run(&pair(realm, text).options(&format!("target={target}")));
        let report = part_of(&output.report, "initiator").to_owned();
        let offer = report.lines().find(|line| line.contains("NegTokenInit"));
        (offer.unwrap_or_default().to_owned(), output)
    };
    let (offer, output) = offers("HTTP@127.0.0.1");
    assert!(
        offer.contains("mechs=ntlmssp"),
        "{offer} {}",
        shown(&output)
    );
    assert_eq!(taken(&output), "ntlmssp");
    assert!(!output.errors.contains("127.0.0.1@"), "Kerberos was asked");
    let (offer, output) = offers("HTTP@192.0.2.1");
    // It is tried, and has no ticket for that.
    assert!(offer.contains("mechs=ntlmssp"), "{offer}");
    assert_traced(&output, "krb5: dropped: ");
    let (offer, _) = offers("HTTP@localhost");
    assert!(offer.contains("mechs=krb5"), "{offer}");
    let text = format!("mechs = ['krb5']\n{text}");
    let output = run(&pair(realm, &text).options("target=HTTP@127.0.0.1"));
    let reason = "krb5: not tried, since the target is an IP address: kerberos_for_ip (line 2 of ";
    assert_refused(&output, "initiator", reason);
}

#[test]
fn token_size_and_optimistic_token_are_those_of_the_rule() {
    let realm = realm!();
    let text = "[[rule]]\ntarget = 'HTTP@*'\nmax_output_token_size = 300\n\
                [[rule]]\ntarget = 'host@*'\noptimistic_token = false\n";
    let output = run(&pair(realm, text).options("count=yes"));
    let report = part_of(&output.report, "initiator");
    assert!(report.contains("the largest of 300 octets"), "{report}");
    assert!(established(&output));
    let output = run(&pair(realm, text).options("target=host@localhost"));
    let report = part_of(&output.report, "initiator");
    let offer = report.lines().find(|line| line.contains("NegTokenInit"));
    assert!(!offer.unwrap().contains("mechToken"), "{report}");
    assert!(established(&output));
}

// ---- what a rule requires ----

#[test]
fn mutual_authentication_is_asked_for_and_required() {
    let realm = realm!();
    let rule = |role: &str| format!("[[rule]]\nrole = '{role}'\nrequire = ['mutual']\n");
    // The initiator's program does not ask, and gets it.
    let output = run(&pair(realm, &rule("initiator")).options("flags=conf"));
    assert!(established(&output), "{}", shown(&output));
    // The initiator does not ask, and the acceptor requires it.
    let output = run(&pair(realm, &rule("acceptor")).options("flags=conf"));
    let reason = "krb5: mutual authentication is required by rule 1 (line 1 of ";
    assert_refused(&output, "acceptor", reason);
    assert_refused(&output, "initiator", "the peer rejected the negotiation");
    let output = run(&pair(realm, &rule("acceptor")).options("flags=mutual"));
    assert!(established(&output), "{}", shown(&output));
    // Our NTLM has it by its mechListMIC.
    let text = format!("{}mechs = ['ntlmssp']\n", rule("initiator"));
    let output = run(&pair(realm, &text).options("flags=conf"));
    assert_eq!(taken(&output), "ntlmssp");
}

#[test]
fn channel_bindings_are_required_of_the_program_and_of_the_peer() {
    let realm = realm!();
    let rule = |role: &str| format!("[[rule]]\nrole = '{role}'\nrequire = 'channel_bindings'\n");
    let output = run(&pair(realm, &rule("initiator")));
    let reason =
        "krb5: the program gives no channel bindings, which are required by rule 1 (line 1 of ";
    assert_refused(&output, "initiator", reason);
    let output = run(&pair(realm, &rule("initiator")).options("i.bindings=tls"));
    assert!(established(&output), "{}", shown(&output));

    for options in ["", "a.bindings=tls", "i.bindings=tls"] {
        let output = run(&pair(realm, &rule("acceptor")).options(options));
        let reason = if options.starts_with("a.") {
            "krb5: the initiator has not shown channel bindings, which are required by rule 1 (line"
        } else {
            "krb5: the program gives no channel bindings, which are required by rule 1 (line 1 of "
        };
        assert_refused(&output, "acceptor", reason);
        assert_refused(&output, "initiator", "the peer rejected the negotiation");
    }
    for mech in ["krb5", "ntlmssp"] {
        let text = format!("{}mechs = ['{mech}']\n", rule("acceptor"));
        let output = run(&pair(realm, &text).options("bindings=tls"));
        assert_eq!(taken(&output), mech);
    }
    // NTLM sends them at its second leg.
    let text = format!("{}mechs = ['ntlmssp']\n", rule("initiator"));
    let output = run(&pair(realm, &text).options("i.bindings=tls i.bindings.once=yes"));
    let reason = "ntlmssp: the program gives no channel bindings, which are required by rule 1 (";
    assert_refused(&output, "initiator", reason);
}

#[test]
fn a_verified_mic_is_required_by_either_side() {
    let realm = realm!();
    // An acceptor asks for one.
    let text = "[[rule]]\nrole = 'acceptor'\nrequire = ['mic']\n";
    let output = run(&pair(realm, text));
    assert!(established(&output), "{}", shown(&output));
    assert!(
        output.report.contains("state=request-mic mech=krb5"),
        "{}",
        output.report
    );
    // An initiator cannot, and Kerberos as first choice needs none.
    let text = "[[rule]]\nrole = 'initiator'\nrequire = ['mic']\n";
    let output = run(&pair(realm, text));
    let reason = "krb5: the peer sends no mechListMIC, which is required by rule 1 (line 1 of ";
    assert_refused(&output, "initiator", reason);
    // NTLM's is always there.
    let output = run(&pair(realm, &format!("{text}mechs = ['ntlmssp']\n")));
    assert_eq!(taken(&output), "ntlmssp");
    // Without integrity there can be none.
    for role in ["initiator", "acceptor"] {
        let text = format!("[[rule]]\nrole = '{role}'\nrequire = ['mic']\n");
        let scripted = pair(realm, &text)
            .with_scripts("a")
            .options("cred=acquire cred.mechs=spnego neg=script-a")
            .with_variable("SCRIPT_A", "tokens=2,integ=no");
        let output = run(&scripted);
        assert_refused(
            &output,
            role,
            "no mechListMIC, which is required by rule 1 (line 1 of ",
        );
    }
}

#[test]
fn kerberos_errors_fall_back_only_where_they_may() {
    let realm = realm!();
    let without_ticket =
        |text: &str| run(&pair(realm, text).with_variable("KRB5CCNAME", "FILE:/nonexistent"));
    let output = without_ticket("");
    assert_eq!(taken(&output), "ntlmssp");
    assert_traced(
        &output,
        "DOWNGRADE from krb5 to ntlmssp: No Kerberos credentials",
    );

    let rule = "[[rule]]\ntarget = 'HTTP@*'\nkerberos_fallback = false\n";
    let output = without_ticket(rule);
    let initiator = part_of(&output.report, "initiator").to_owned();
    assert_refused(
        &output,
        "initiator",
        "no other mechanism is taken in its place: rule 1 (line 1 of ",
    );
    assert!(
        initiator.contains("krb5: No Kerberos credentials"),
        "{initiator}"
    );
    // So it is with a credential that was acquired, and has no part for Kerberos.
    let refused = "no other mechanism is taken in its place: rule 1 (line 1 of ";
    let refuse = "[[rule]]\nrole = 'initiator'\ndowngrade = 'refuse'\n";
    for (rule, options, is_free) in [
        (rule, "i.cred=acquire", false),
        (rule, "i.cred=acquire i.cred.mechs=spnego", false),
        (refuse, "i.cred=acquire", false),
        (
            rule,
            "i.cred=acquire i.cred.mechs=spnego i.neg=krb5,ntlmssp",
            false,
        ),
        (
            rule,
            "i.cred=acquire i.cred.mechs=spnego i.neg=ntlmssp,krb5",
            true,
        ),
        (
            rule,
            "i.cred=acquire i.cred.mechs=spnego i.neg=ntlmssp",
            true,
        ),
        ("", "i.cred=acquire", true),
    ] {
        let without_ticket = pair(realm, rule).with_variable("KRB5CCNAME", "FILE:/nonexistent");
        let output = run(&without_ticket.options(options));
        if is_free {
            assert_eq!(taken(&output), "ntlmssp", "{options}");
            if rule.is_empty() {
                let downgrade = "DOWNGRADE from krb5 to ntlmssp: No Kerberos credentials";
                assert_traced(&output, downgrade);
            }
        } else {
            assert_refused(&output, "initiator", refused);
        }
    }
    // Where Kerberos works nothing changes, nor where NTLM is preferred.
    assert_eq!(taken(&run(&pair(realm, rule))), "krb5");
    let output = without_ticket(&format!("{rule}mechs = ['ntlmssp', 'krb5']\n"));
    assert_eq!(taken(&output), "ntlmssp");
    assert_traced(&output, "krb5: dropped: No Kerberos credentials");
    assert_not_traced(&output, "DOWNGRADE");

    // The acceptor has no key.
    let without_key =
        |text: &str| run(&pair(realm, text).with_variable("KRB5_KTNAME", "FILE:/nonexistent"));
    assert_eq!(taken(&without_key("")), "ntlmssp");
    let rule = "[[rule]]\nrole = 'acceptor'\nkerberos_fallback = false\n";
    assert_refused(&without_key(rule), "acceptor", refused);
    let without_key = pair(realm, rule).with_variable("KRB5_KTNAME", "FILE:/nonexistent");
    let output = run(&without_key.options("a.cred=acquire"));
    assert_refused(&output, "acceptor", refused);

    // Nor does it help to offer NTLM alone, as if Kerberos had been taken off the list: that is taken
    // when both mechListMICs say that it was not.
    let alone = "[[rule]]\nrole = 'initiator'\nmechs = ['ntlmssp']\n";
    for acceptor in ["", "mechs = ['krb5', 'ntlmssp']\n"] {
        for keytab in ["FILE:/nonexistent", ""] {
            let mut pair = pair(realm, &format!("{rule}{acceptor}{alone}"));
            if !keytab.is_empty() {
                pair = pair.with_variable("KRB5_KTNAME", keytab);
            }
            let output = run(&pair);
            assert_eq!(taken(&output), "ntlmssp");
            assert!(
                output.report.contains("state=request-mic mech=ntlmssp"),
                "{}",
                output.report
            );
            let verdict = "acceptor: ESTABLISHED by ntlmssp with ";
            let told = output.errors.lines().find(|line| line.contains(verdict));
            assert!(told.is_some_and(|line| line.contains("mechListMIC verified")));
        }
    }
    // Nor does an acceptor's choice, which needs no failure that the initiator would see.
    let other = "[[rule]]\nrole = 'acceptor'\nmechs = ['ntlmssp']\n";
    let rule = "[[rule]]\nrole = 'initiator'\nkerberos_fallback = false\n";
    let output = run(&pair(realm, &format!("{rule}{other}")));
    let sentence = "the acceptor chose ntlmssp in the place of krb5; no other mechanism is taken in its \
                    place: rule 1 (line 1 of ";
    assert_refused(&output, "initiator", sentence);
    assert_traced(
        &output,
        "DOWNGRADE from krb5 to ntlmssp: by the acceptor's choice",
    );
}

#[test]
fn a_downgrade_is_an_event_or_an_error() {
    let realm = realm!();
    // Because Kerberos failed.
    let refuse = "[[rule]]\nrole = 'initiator'\ndowngrade = 'refuse'\n";
    let output = run(&pair(realm, refuse).with_variable("KRB5CCNAME", "FILE:/nonexistent"));
    assert_refused(
        &output,
        "initiator",
        "no other mechanism is taken in its place: rule 1 (line 1 of ",
    );
    // The acceptor's choice, which MICs protect.
    let chosen = "[[rule]]\nrole = 'acceptor'\nmechs = ['ntlmssp']\n";
    let output = run(&pair(realm, &format!("{refuse}{chosen}")));
    assert_eq!(taken(&output), "ntlmssp");

    // Without a MIC: a mechanism without integrity takes the place of the first.
    let scripted = |text: &str| {
        pair(realm, text)
            .with_scripts("ab")
            .options("cred=acquire cred.mechs=spnego i.neg=script-a,script-b a.neg=script-b")
            .with_variable("SCRIPT_B", "tokens=2,integ=no")
    };
    let output = run(&scripted(""));
    assert!(established(&output), "{}", shown(&output));
    assert_traced(
        &output,
        "DOWNGRADE from 2.25.7301.1 to 2.25.7301.2: a mechListMIC is impossible without integrity",
    );
    let output = run(&scripted(refuse));
    assert_refused(
        &output,
        "initiator",
        "2.25.7301.2 in the place of 2.25.7301.1 without a verified mechListMIC is refused by rule \
         1 (line 1 of ",
    );

    // An acceptor that has Kerberos, and a peer that says it has not.
    let refuse = "[[rule]]\nrole = 'acceptor'\ndowngrade = 'refuse'\n";
    let only = |mechs: &str| format!("{refuse}[[rule]]\nrole = 'initiator'\nmechs = {mechs}\n");
    // NTLM's MICs say that it was not taken away on the road.
    assert_eq!(taken(&run(&pair(realm, &only("['ntlmssp']")))), "ntlmssp");
    let scripted = pair(realm, &only("['2.25.7301.1']"))
        .with_scripts("a")
        .with_variable("SCRIPT_A", "tokens=2,integ=no");
    let output = run(&scripted);
    assert_refused(
        &output,
        "acceptor",
        "2.25.7301.1 in the place of krb5 without a verified",
    );
}

// ---- files ----

#[test]
fn a_file_that_cannot_be_used_refuses_with_its_reason() {
    let realm = realm!();
    let text = "mechs = ['krb5']\n";
    for (mode, reason) in [
        (
            0o664,
            "is writable by others than its owner (mode 664); run chmod go-w on it",
        ),
        (
            0o646,
            "is writable by others than its owner (mode 646); run chmod go-w on it",
        ),
    ] {
        let file = configuration(text);
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let file = file.display().to_string();
        let output = run(&pair(realm, "").with_variable("GSS_SPNEGO_CONFIG", file));
        assert_refused(&output, "initiator", reason);
        assert_traced(&output, reason);
    }
    let file = configuration(text);
    if std::os::unix::fs::chown(&file, Some(65_534), None).is_ok() {
        let file = file.display().to_string();
        let output = run(&pair(realm, "").with_variable("GSS_SPNEGO_CONFIG", file));
        assert_refused(&output, "initiator", "belongs to user 65534");
    }
}

#[test]
fn a_wrong_rule_refuses_with_its_line_and_column_and_the_others_hold() {
    let realm = realm!();
    let text = "[[rule]]\ntarget = 'host@*'\nmechs = 'krb5'\n\
                [[rule]]\ntarget = 'HTTP@*'\nmechs = 'kerberos'\n";
    let output = run(&pair(realm, text));
    assert_refused(&output, "initiator", "spnego.conf");
    let reason = ":6:9: \"kerberos\" is not krb5, iakerb, ntlmssp, negoex or a dotted object";
    assert_refused(&output, "initiator", reason);
    assert_traced(&output, reason);
    let output = run(&pair(realm, text).options("target=host@localhost"));
    assert_eq!(taken(&output), "krb5");
}

/// The variables of a set-user-ID program's user are not heard, and the file of the system is.
#[test]
fn a_set_user_id_program_goes_by_the_file_of_the_system() {
    let realm = realm!();
    let directory = scratch_file("setuid");
    let etc = directory.join("gss");
    fs::create_dir_all(etc.join("mech.d")).unwrap();
    let mechs = MechConfig::new(Side::Ours).with_scripts("a").write();
    fs::copy(mechs, etc.join("mech.d/test.conf")).unwrap();
    write(
        &etc.join("spnego.conf"),
        "[[rule]]\ntarget = 'HTTP@*'\nmechs = []\n",
    );
    let program = directory.join("policy");
    fs::copy(Harness::named("policy").file(), &program).unwrap();
    let script = format!(
        "set -e; mount --bind {etc} /etc/gss; chmod 755 {top} {here}; chown nobody {program}; \
         chmod MODE {program}; echo HTTP@localhost | exec {program}",
        etc = etc.display(),
        top = directory.parent().unwrap().display(),
        here = directory.display(),
        program = program.display(),
    );
    let run = |mode: &str, file: &str| {
        Command::new("unshare")
            .args(["-m", "sh", "-c", &script.replace("MODE", mode)])
            .envs(realm.environment())
            .env("GSS_SPNEGO_CONFIG", file)
            .output()
            .unwrap()
    };
    let report =
        |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let plain = run("755", "");
    if !plain.status.success() {
        let why = String::from_utf8_lossy(&plain.stderr).into_owned();
        skip(&format!("a private /etc/gss cannot be mounted: {why}"));
        return;
    }
    assert!(!report(&plain).contains("not allowed"), "{plain:?}");
    let rule = "not allowed by rule 1 (line 1 of /etc/gss/spnego.conf)";
    for file in ["", "/nonexistent"] {
        let raised = run("4755", file);
        assert!(report(&raised).contains(rule), "{raised:?}");
    }
}

// ---- Heimdal ----

/// Ends of Heimdal's library and of MIT's, with ours in both, and this configuration.
fn connected(initiator: End, acceptor: End, realm: &Realm, text: &str, options: &str) -> Output {
    let mut variables: Environment = realm.environment();
    let users = scratch_file("ntlm.users");
    fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    variables.insert("NTLM_USER_FILE".into(), users.display().to_string());
    let file = configuration(text).display().to_string();
    variables.insert("GSS_SPNEGO_CONFIG".into(), file);
    let options = format!("flags=mutual,conf,integ messages=no {options}");
    connect(initiator, acceptor, &options, &variables)
}

#[test]
fn rules_hold_under_heimdal_in_both_roles() {
    let realm = realm!();
    if !heimdal_can_be_tested() {
        return;
    }
    let ours = End::HEIMDAL_OURS;
    for (text, options, mech) in [
        (
            "[[rule]]\ntarget = 'HTTP@*'\nmechs = 'ntlmssp'\n",
            "",
            "ntlmssp",
        ),
        (
            "[[rule]]\ntarget = 'host@*'\nmechs = 'ntlmssp'\n",
            "",
            "krb5",
        ),
        (
            "[[rule]]\nprogram = 'pair-heimdal'\nmechs = 'ntlmssp'\n",
            "",
            "ntlmssp",
        ),
        (
            "[[rule]]\nrole = 'acceptor'\nmechs = 'ntlmssp'\n",
            "",
            "ntlmssp",
        ),
        (
            "[[rule]]\nrole = 'initiator'\nmechs = ['krb5', 'ntlmssp']\n",
            "cred=acquire cred.mechs=spnego i.neg=ntlmssp",
            "ntlmssp",
        ),
        ("[[rule]]\nrequire = ['mutual']\n", "flags=conf", "krb5"),
        (
            "kerberos_for_ip = false\n",
            "target=HTTP@127.0.0.1",
            "ntlmssp",
        ),
        (
            "[[rule]]\nrole = 'acceptor'\nrequire = ['mic']\n",
            "",
            "krb5",
        ),
    ] {
        let output = connected(ours, ours, realm, text, options);
        assert_eq!(taken(&output), mech, "{text}");
    }
}

#[test]
fn refusals_under_heimdal_name_the_rule() {
    let realm = realm!();
    if !heimdal_can_be_tested() {
        return;
    }
    let (heimdal, mit) = (End::HEIMDAL_OURS, End::MIT_OURS);
    for (text, options, role, sentence) in [
        (
            "[[rule]]\ntarget = 'HTTP@*'\nmechs = []\n",
            "",
            "initiator",
            "krb5: not allowed by rule 1 (line 1 of ",
        ),
        (
            "[[rule]]\ntarget = 'HTTP@*'\nkerberos_fallback = false\n",
            "i.env=KRB5CCNAME=FILE:/nonexistent",
            "initiator",
            "no other mechanism is taken in its place: rule 1 (line 1 of ",
        ),
        (
            "[[rule]]\nrole = 'initiator'\nrequire = ['channel_bindings']\n",
            "",
            "initiator",
            "krb5: the program gives no channel bindings, which are required by rule 1 (line 1 of ",
        ),
        (
            "[[rule]]\nrole = 'acceptor'\nrequire = ['channel_bindings']\n",
            "bindings=tls",
            "acceptor",
            "krb5: the initiator has not shown channel bindings, which are required by rule 1 ",
        ),
        (
            "[[rule]]\nrole = 'initiator'\nrequire = ['mic']\n",
            "",
            "initiator",
            "krb5: the peer sends no mechListMIC, which is required by rule 1 (line 1 of ",
        ),
    ] {
        let ends = match role {
            "initiator" => [(heimdal, heimdal), (heimdal, mit)],
            _ => [(heimdal, heimdal), (mit, heimdal)],
        };
        for (initiator, acceptor) in ends {
            let output = connected(initiator, acceptor, realm, text, options);
            assert_refused(&output, role, sentence);
        }
    }
}

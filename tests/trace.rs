//! What the trace tells of whole negotiations, in text and in JSON, and what a context tells of its
//! own when it is asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::path::{Path, PathBuf};
use support::{
    End, Harness, MechConfig, Output, Pair, Pairing, Realm, Side, connect, heimdal_can_be_tested,
    part_of, scratch_file, skip,
};

/// The realm, where there is a plugin.
fn realm() -> Option<&'static Realm> {
    Realm::with_plugin()
}

const OURS: Pairing = Pairing {
    initiator: Side::Ours,
    acceptor: Side::Ours,
};

/// A negotiation whose two ends trace to a file each.
#[derive(Debug)]
struct Traced {
    output: Output,
    initiator: String,
    acceptor: String,
}

/// Run a scenario with our SPNEGO at both ends; `more` is more environment of both.
fn traced(pair: Pair, more: &str) -> Traced {
    let [initiator, acceptor] = ["i.trace", "a.trace"].map(scratch_file);
    let env = |file: &Path| format!("env=GSS_SPNEGO_TRACE={};{more}", file.display());
    let output = pair
        .with(format!("i.{}", env(&initiator)))
        .with(format!("a.{}", env(&acceptor)))
        .run(OURS);
    let text = |file: &PathBuf| std::fs::read_to_string(file).unwrap_or_default();
    Traced {
        initiator: text(&initiator),
        acceptor: text(&acceptor),
        output,
    }
}

/// What the lines of a text trace say after time, process, program, context and role.
fn said(trace: &str) -> Vec<&str> {
    trace
        .lines()
        .map(|line| line.splitn(4, ' ').nth(3).expect(line))
        .map(|line| line.strip_prefix("#1 initiator: ").unwrap_or(line))
        .map(|line| line.strip_prefix("#1 acceptor: ").unwrap_or(line))
        .collect()
}

/// That lines that begin with these words are there, in this order.
fn assert_in_order(trace: &str, words: &[&str]) {
    let mut lines = said(trace).into_iter();
    for word in words {
        assert!(
            lines.any(|line| line.starts_with(word)),
            "not told, in this order: {word:?}\n{trace}"
        );
    }
}

fn with_users(realm: &Realm) -> Pair {
    let users = realm.path("trace.users");
    std::fs::write(&users, format!("SPNEGO:user:{SECRET}\n")).unwrap();
    Pair::new(realm)
        .with_ntlm()
        .with_variable("NTLM_USER_FILE", users.display().to_string())
        .options("ask_target=no messages=no")
}

/// The password of the user of NTLM, and its NT hash.
const SECRET: &str = "open-sesame-7301";

#[test]
fn kerberos_is_told_from_the_offer_to_the_verdict() {
    let Some(realm) = realm() else { return };
    let traced = traced(Pair::new(realm).options("messages=no"), "");
    assert_in_order(
        &traced.initiator,
        &[
            "begins, target HTTP@localhost, asks for mutual, replay, sequence, confidentiality, \
             integrity, rule default",
            "krb5: tried, credential: default ticket cache FILE:/",
            "we offer krb5",
            "sends NegTokenInit, ",
            "received NegTokenResp, ",
            "krb5: chosen by the peer, our first choice",
            "krb5: established",
            "ESTABLISHED by krb5 with HTTP/localhost@SPNEGO.TEST, flags mutual, replay, sequence, \
             confidentiality, integrity, transferable, mechListMIC not needed; \
             rounds 2, octets received ",
        ],
    );
    assert_in_order(
        &traced.acceptor,
        &[
            "begins, rule default",
            "received NegTokenInit, ",
            "the peer offers krb5",
            "krb5: tried, credential: default keytab FILE:/",
            "krb5: chosen by us, the initiator's first choice",
            "krb5: established",
            "sends NegTokenResp, ",
            "ESTABLISHED by krb5 with user@SPNEGO.TEST, flags mutual, ",
        ],
    );
    let octets = |trace: &str, before: &str| -> String {
        let line = said(trace)
            .into_iter()
            .find(|line| line.starts_with(before));
        let line = line.unwrap();
        line.split(' ').nth(2).unwrap().to_owned()
    };
    assert_eq!(
        octets(&traced.initiator, "sends NegTokenInit"),
        octets(&traced.acceptor, "received NegTokenInit")
    );
    assert_eq!(traced.output.ok().matches("\nestablished\n").count(), 2);
    let line = traced.initiator.lines().next().unwrap();
    let words: Vec<_> = line.split(' ').collect();
    assert_eq!(words[0].len(), "2026-03-01T12:00:00.000001Z".len());
    assert!(
        words[1].parse::<u32>().is_ok() && words[2] == "pair-None:",
        "{line}"
    );
    let mut times: Vec<_> = traced.initiator.lines().map(|line| &line[..27]).collect();
    let as_written = times.clone();
    times.sort_unstable();
    assert_eq!(times, as_written);
}

#[test]
fn every_line_of_json_is_an_object_with_the_names_that_the_manual_lists() {
    let Some(realm) = realm() else { return };
    let manual = include_str!("../doc/gss-spnego.8");
    let listed = |what: &str, name: &str| {
        let line = format!(".It {what} {name}");
        let is_it = |found: &str| found == line || found.starts_with(&format!("{line} "));
        assert!(manual.lines().any(is_it), "the manual has no {line:?}");
    };
    let scenarios = [
        (Pair::new(realm).options("messages=no"), 2),
        (
            Pair::new(realm).with_variable("KRB5CCNAME", "FILE:/nonexistent"),
            1,
        ),
        (
            with_users(realm).with_variable("KRB5CCNAME", "FILE:/nonexistent"),
            2,
        ),
        (
            Pair::new(realm)
                .with_scripts("ab")
                .options("cred=acquire cred.mechs=spnego messages=no size=40")
                .options("i.neg=script-a,script-b a.neg=script-b,script-a"),
            2,
        ),
    ];
    for (pair, verdicts) in scenarios {
        let traced = traced(pair, "GSS_SPNEGO_TRACE_FORMAT=json");
        let mut found = 0;
        for (role, trace) in [
            ("initiator", &traced.initiator),
            ("acceptor", &traced.acceptor),
        ] {
            let mut times = Vec::new();
            for line in trace.lines() {
                let event: serde_json::Value = serde_json::from_str(line).expect(line);
                let event = event.as_object().expect(line);
                let name = event["event"].as_str().expect(line);
                listed("Cm", name);
                event.keys().for_each(|key| listed("Va", key));
                times.push(event["time"].as_str().expect(line).to_owned());
                assert!(
                    event["pid"].is_u64() && event["program"].is_string(),
                    "{line}"
                );
                if let Some(context) = event.get("context") {
                    assert_eq!(context, 1, "{line}");
                    assert_eq!(event["role"], role, "{line}");
                } else {
                    // Of a credential, or of the configuration.
                    let of_none = ["acquire", "drop", "warning", "configuration"];
                    assert!(of_none.contains(&name), "{line}");
                }
                if name == "established" {
                    assert!(
                        event["flags"].is_array() && event["micros"].is_u64(),
                        "{line}"
                    );
                    assert!(event["sent"].as_u64().unwrap() > 0, "{line}");
                }
                found += usize::from(name == "established" || name == "failed");
            }
            assert!(times.is_sorted(), "{trace}");
        }
        assert_eq!(found, verdicts, "{traced:?}");
    }
}

#[test]
fn reselection_is_told_with_both_mics() {
    let Some(realm) = realm() else { return };
    let pair = Pair::new(realm)
        .with_scripts("ab")
        .options("cred=acquire cred.mechs=spnego ask=yes messages=no")
        .options("i.neg=script-a,script-b a.neg=script-b,script-a");
    let traced = traced(pair, "");
    let report = traced.output.clone().ok();
    assert_in_order(
        &traced.initiator,
        &[
            "we offer 2.25.7301.1, 2.25.7301.2",
            "2.25.7301.2: chosen by the peer, another one than our first choice",
            "mechListMIC: required, the acceptor asks for it (request-mic)",
            "mechListMIC: verified, ",
            "mechListMIC: sent, ",
            "ESTABLISHED by 2.25.7301.2",
        ],
    );
    assert_in_order(
        &traced.acceptor,
        &[
            "the peer offers 2.25.7301.1, 2.25.7301.2",
            "2.25.7301.2: chosen by us, the best of the initiator's list that can be used here",
            "mechListMIC: required, it is not the first choice of both sides (request-mic)",
            "mechListMIC: sent, ",
            "mechListMIC: verified, ",
            "ESTABLISHED by 2.25.7301.2",
        ],
    );
    for role in ["initiator", "acceptor"] {
        let part = part_of(&report, role);
        assert!(part.contains("asked mic: 3\n"), "{part}");
        assert!(part.contains("ask credential: COMPLETE\n"), "{part}");
    }
    let order = "asked neg mechs: script-a script-b";
    assert!(part_of(&report, "initiator").contains(order), "{report}");
}

#[test]
fn ntlm_is_told_with_its_user_and_no_secret() {
    let Some(realm) = realm() else { return };
    for own in [false, true] {
        let (json, text) = ("GSS_SPNEGO_TRACE_FORMAT=json", "");
        for format in [json, text] {
            let mut pair = with_users(realm).with_variable("KRB5CCNAME", "FILE:/nonexistent");
            if own {
                let file = scratch_file("own.conf");
                std::fs::write(&file, "ntlm = \"own\"\n").unwrap();
                pair = pair.with_variable("GSS_SPNEGO_CONFIG", file.display().to_string());
            }
            let traced = traced(pair, format);
            let report = traced.output.ok();
            assert_eq!(report.matches("\nestablished\n").count(), 2, "{report}");
            for trace in [&traced.initiator, &traced.acceptor] {
                assert!(trace.contains("ntlmssp"), "{trace}");
                assert_no_secret(trace);
                if format == text {
                    assert_in_order(
                        trace,
                        &[
                            "ntlmssp: RC4 state restored after ",
                            "ntlmssp: RC4 state restored after ",
                            "ESTABLISHED by ntlmssp",
                        ],
                    );
                }
            }
            if format == text {
                assert_in_order(
                    &traced.initiator,
                    &[
                        "krb5: tried, credential: default ticket cache FILE:/nonexistent",
                        "krb5: dropped: ",
                        "we offer ntlmssp",
                        "ntlmssp: chosen by the peer",
                        "DOWNGRADE from krb5 to ntlmssp: ",
                    ],
                );
            }
        }
    }
}

/// Neither the password, nor its NT hash, in any writing.
fn assert_no_secret(trace: &str) {
    let utf_16: String = SECRET
        .bytes()
        .map(|octet| format!("{octet:02x}00"))
        .collect();
    let octets: String = SECRET.bytes().map(|octet| format!("{octet:02x}")).collect();
    let hash = nt_hash(SECRET);
    let trace = trace.to_lowercase();
    for secret in [SECRET, &utf_16, &octets, &hash] {
        assert!(!trace.contains(secret), "{secret}: {trace}");
    }
    // Nor anything as long as a key, in hexadecimal digits.
    let is_key = |word: &str| word.len() >= 32 && word.bytes().all(|c| c.is_ascii_hexdigit());
    let word = trace
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| is_key(word));
    assert_eq!(word, None, "{trace}");
}

fn nt_hash(password: &str) -> String {
    use md4::{Digest, Md4};
    let utf_16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hash = Md4::digest(utf_16);
    hash.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn a_rule_in_force_is_told_by_its_name_once() {
    let Some(realm) = realm() else { return };
    let file = scratch_file("rule.conf");
    std::fs::write(&file, "[[rule]]\nmechs = ['krb5']\n").unwrap();
    let rule = format!("rule 1 (line 1 of {})", file.display());
    for format in ["", "GSS_SPNEGO_TRACE_FORMAT=json"] {
        let pair = Pair::new(realm)
            .options("messages=no ask=yes")
            .with_variable("GSS_SPNEGO_CONFIG", file.display().to_string());
        let traced = traced(pair, format);
        for trace in [&traced.initiator, &traced.acceptor] {
            let begin = trace.lines().next().unwrap();
            let told = match format {
                "" => format!(", {rule}"),
                _ => format!("\"rule\":\"{rule}\"}}"),
            };
            assert!(begin.ends_with(&told), "{trace}");
            assert_eq!(begin.matches("rule 1").count(), 1, "{trace}");
            assert!(!trace.contains("rule rule"), "{trace}");
        }
        let report = traced.output.ok();
        let asked = format!("asked rule: \"{rule}\"");
        assert!(part_of(&report, "initiator").contains(&asked), "{report}");
    }
}

#[test]
fn failure_without_a_ticket_is_told_by_its_cause() {
    let Some(realm) = realm() else { return };
    let pair = Pair::new(realm).with_variable("KRB5CCNAME", "FILE:/nonexistent/cache");
    let traced = traced(pair, "");
    assert_in_order(
        &traced.initiator,
        &[
            "begins, ",
            "krb5: tried, credential: default ticket cache FILE:/nonexistent/cache",
            "krb5: dropped: No Kerberos credentials available (default cache: \
             FILE:/nonexistent/cache)",
            "FAILED: krb5: No Kerberos credentials available",
        ],
    );
    assert!(
        !traced.initiator.contains("a call failed"),
        "{}",
        traced.initiator
    );
    assert_eq!(traced.acceptor, "");
}

#[test]
fn fragments_are_told_with_what_is_missing() {
    let Some(realm) = realm() else { return };
    let pair = Pair::new(realm)
        .options("cred=acquire cred.mechs=spnego size=300 messages=no count=yes ask=yes");
    let traced = traced(pair, "");
    assert_in_order(
        &traced.initiator,
        &[
            "sends NegTokenInit, ",
            "sends a fragment of 300 octets, ",
            "sends a fragment of 300 octets, ",
            "sends a fragment of ",
            "received NegTokenResp, ",
            "ESTABLISHED by krb5",
        ],
    );
    assert_in_order(
        &traced.acceptor,
        &[
            "received a fragment of 300 octets, 300 of 7",
            "received a fragment of 300 octets, 600 of 7",
            "received NegTokenInit, ",
            "ESTABLISHED by krb5",
        ],
    );
}

/// As a proxy does that has a limit for the lines of a header.
#[test]
fn a_token_that_was_cut_short_is_told_when_it_arrives_and_when_its_rest_never_came() {
    let Some(realm) = realm() else { return };
    let pair = || Pair::new(realm).options("ask=yes messages=no i.mutate.1=cut:300");
    let traced_as_json = traced(pair(), "GSS_SPNEGO_TRACE_FORMAT=json");
    let events = traced_as_json.acceptor.lines();
    let events: Vec<serde_json::Value> = events
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let event = |name| events.iter().find(|event| event["event"] == name).unwrap();
    let (arrived, given_up) = (event("receive-fragment"), event("receive-incomplete"));
    let [so_far, announced] =
        ["so_far", "announced"].map(|octets| arrived[octets].as_u64().unwrap());
    assert_eq!(so_far + 300, announced);
    assert_eq!(given_up["announced"], announced);

    // Another ticket may be longer.
    let traced = traced(pair(), "");
    let part = |head: &str, tail: &str| {
        let lines = said(&traced.acceptor).into_iter();
        let mut parts = lines.filter_map(|line| line.strip_prefix(head)?.split_once(tail));
        let (part, _) = parts.next().expect(head);
        part.to_owned()
    };
    let arrived = part("received a fragment of ", " octets so far");
    let (octets, so_far) = arrived.split_once(" octets, ").unwrap();
    assert!(so_far.starts_with(&format!("{octets} of ")), "{arrived}");
    let given_up = part(
        "given up by the program after ",
        " octets: the rest never came",
    );
    let (_, announced) = so_far.split_once(" of ").unwrap();
    assert!(
        given_up.ends_with(&format!(" of {announced}")),
        "{given_up}"
    );
    let report = &traced.output.report;
    let asked = format!("asked reasons: \"{so_far} octets of a message have arrived\"");
    assert!(part_of(report, "acceptor").contains(&asked), "{report}");
}

#[test]
fn a_context_that_failed_tells_why_as_long_as_it_is_there() {
    let Some(realm) = realm() else { return };
    let pair = Pair::new(realm)
        .with_scripts("ab")
        .options("cred=acquire cred.mechs=spnego ask=yes messages=no")
        .options("i.neg=script-a,script-b a.neg=script-b,script-a")
        // A MIC that was altered on the way.
        .with("i.mutate.3=flip:-1");
    let traced = traced(pair, "");
    assert_in_order(
        &traced.acceptor,
        &[
            "mechListMIC: does not verify: ",
            "sends NegTokenResp, ",
            "FAILED: mechListMIC",
        ],
    );
    let report = traced.output.report;
    let acceptor = part_of(&report, "acceptor");
    for line in [
        "asked offered: script-a script-b",
        "asked mech: script-b",
        "asked state: 3",
        "asked mic: 5",
        "asked reasons: \"mechListMIC does not verify",
    ] {
        assert!(acceptor.contains(line), "{line}\n{report}");
    }
}

#[test]
fn a_context_tells_what_it_has_come_to_at_every_leg() {
    let Some(realm) = realm() else { return };
    let pair = with_users(realm).options("ask=yes");
    let report = pair.run(OURS).ok();
    let initiator = part_of(&report, "initiator");
    let asked = |what: &str| -> Vec<&str> {
        let head = format!("asked {what}:");
        let lines = initiator
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&head));
        lines.map(str::trim).collect()
    };
    // After the offer, and established.
    assert_eq!(asked("state"), ["0", "2"], "{report}");
    assert_eq!(asked("mech"), ["krb5"; 2], "{report}");
    assert_eq!(asked("offered"), ["krb5 ntlmssp"; 2], "{report}");
    assert_eq!(asked("rule"), ["\"default\""; 2], "{report}");
    assert_eq!(asked("mic"), ["0"; 2], "{report}");
    assert_eq!(asked("reasons"), [""; 2], "{report}");
    assert_eq!(asked("credential"), ["UNAVAILABLE"; 2], "{report}");
    let sums: Vec<_> = asked("sums")[1].split(' ').collect();
    assert_eq!(sums[0], "2", "{report}");
    assert!(
        sums[1..]
            .iter()
            .all(|octets| octets.parse::<u32>().unwrap() > 50),
        "{report}"
    );
}

#[test]
fn heimdal_lets_the_questions_through() {
    let Some(realm) = realm() else { return };
    if !heimdal_can_be_tested() {
        return;
    }
    let options = "flags=mutual,conf,integ cred=acquire cred.mechs=spnego ask=yes messages=no";
    let ours = End::HEIMDAL_OURS;
    let report = connect(ours, ours, options, &realm.environment()).ok();
    for role in ["initiator", "acceptor"] {
        let part = part_of(&report, role);
        for line in [
            "asked offered: krb5",
            "asked state: 2",
            "asked neg mechs: krb5",
        ] {
            assert!(part.contains(line), "{line}\n{report}");
        }
    }
}

#[test]
fn trace_of_libkrb5_is_joined_in_order() {
    let Some(realm) = realm() else { return };
    let [initiator, acceptor] = ["i.krb5", "a.krb5"].map(scratch_file);
    let output = Pair::new(realm)
        .with(format!("i.env=KRB5_TRACE={}", initiator.display()))
        .with(format!("a.env=KRB5_TRACE={}", acceptor.display()))
        .with("messages=no")
        .run(OURS);
    output.ok();
    for file in [&initiator, &acceptor] {
        let trace = std::fs::read_to_string(file).unwrap();
        // libkrb5's own clock runs behind within a second, so the order is that of the lines.
        let mut lines = trace.lines();
        let told_by = if file == &initiator {
            ["SPNEGO #1 initiator: begins", "Creating authenticator"]
        } else {
            ["SPNEGO #1 acceptor: begins", "Decrypted AP-REQ"]
        };
        for words in [told_by[0], told_by[1], "established", "ESTABLISHED by krb5"] {
            assert!(lines.any(|line| line.contains(words)), "{words}\n{trace}");
        }
        let pid = trace.split(['[', ']']).nth(1).unwrap();
        for line in trace.lines() {
            let rest = line.strip_prefix(&format!("[{pid}] ")).expect(line);
            let (time, _) = rest.split_once(": ").expect(line);
            let (seconds, micros) = time.split_once('.').expect(line);
            assert!(
                seconds.parse::<u64>().is_ok() && micros.len() == 6,
                "{line}"
            );
        }
    }
}

#[test]
fn nothing_is_opened_or_written_when_nothing_is_asked_for() {
    let Some(realm) = realm() else { return };
    let config = MechConfig::new(Side::Ours).write();
    let log = scratch_file("strace");
    let mut variables = realm.environment();
    variables.insert("GSS_SPNEGO_TRACE_FORMAT".into(), "json".into());
    let arguments = [
        "-f",
        "-o",
        log.to_str().unwrap(),
        "-e",
        "trace=openat,write,sendto",
    ];
    let Ok(output) = std::process::Command::new("strace")
        .args(arguments)
        .arg(Harness::named("pair").file())
        .args(["both", "flags=mutual", "messages=no"])
        .args(["i", "a"].map(|end| format!("{end}.config={}", config.display())))
        .envs(&variables)
        .output()
    else {
        skip("not installed: strace");
        return;
    };
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(report.matches("\nestablished\n").count(), 2, "{report}");
    assert!(report.contains("plugin: loaded"), "{report}");
    let calls = std::fs::read_to_string(&log).unwrap();
    assert!(calls.contains("libgss_spnego.so"), "{calls}");
    for never in [
        "/proc/self/comm",
        "/dev/log",
        "offer",
        "ESTABLISHED",
        "O_APPEND",
    ] {
        assert!(!calls.contains(never), "{never}\n{calls}");
    }
}

/// The glue reads `GSS_MECH_CONFIG` no more than the plugin its variables in a set-user-ID program,
/// so the plugin's line is put into a private /etc/gss, in a mount namespace of its own.
#[test]
fn a_set_user_id_program_traces_nothing_by_its_environment() {
    let Some(realm) = realm() else { return };
    let directory = scratch_file("setuid");
    let mech_directory = directory.join("gss");
    std::fs::create_dir_all(mech_directory.join("mech.d")).unwrap();
    std::fs::copy(
        MechConfig::new(Side::Ours).write(),
        mech_directory.join("mech.d/test.conf"),
    )
    .unwrap();
    let program = directory.join("pair");
    std::fs::copy(Harness::named("pair").file(), &program).unwrap();
    let script = format!(
        "set -e; mount --bind {gss} /etc/gss; chmod 755 {top}; chmod 777 {here}; \
         chown nobody {program}; chmod $MODE {program}; exec {program} both messages=no",
        gss = mech_directory.display(),
        top = directory.parent().unwrap().display(),
        here = directory.display(),
        program = program.display(),
    );
    for (variable, file) in [("GSS_SPNEGO_TRACE", "ours"), ("KRB5_TRACE", "krb5")] {
        let file = directory.join(file);
        let run = |mode: &str| {
            std::process::Command::new("unshare")
                .args(["-m", "sh", "-c", &script])
                .envs(realm.environment())
                .env("MODE", mode)
                .env(variable, &file)
                .output()
                .unwrap()
        };
        let plain = run("755");
        if !plain.status.success() {
            let why = String::from_utf8_lossy(&plain.stderr).into_owned();
            skip(&format!("a private /etc/gss cannot be mounted: {why}"));
            return;
        }
        let trace = std::fs::read_to_string(&file).unwrap();
        assert!(trace.contains("initiator: begins"), "{trace}");
        std::fs::remove_file(&file).unwrap();
        let raised = run("4755");
        let report = String::from_utf8_lossy(&raised.stdout).into_owned();
        assert!(report.contains("plugin: loaded"), "{raised:?}");
        assert!(!file.exists(), "{variable}");
    }
}

/// What somebody can do to a trace that others write: each case is made by root in a directory of its own,
/// and says whether root and whether nobody writes to the file named `trace` in it.
const PLACED: [(&str, &str, [bool; 2]); 13] = [
    ("no file", "", [true, true]),
    ("one of root's", "touch trace", [true, false]),
    (
        "one of the user's",
        "touch trace; chown nobody trace",
        [false, true],
    ),
    (
        "one of somebody else's",
        "touch trace; chown daemon trace; chmod 646 trace",
        [false; 2],
    ),
    (
        "one for everybody",
        "touch trace; chmod 666 trace",
        [false; 2],
    ),
    (
        "one for a group",
        "touch trace; chmod 660 trace",
        [false; 2],
    ),
    ("a second name", "touch other; ln other trace", [false; 2]),
    ("a link", "ln -s other trace", [false; 2]),
    ("a pipe", "mkfifo trace; chmod 644 trace", [false; 2]),
    ("a device", "ln -s /dev/null trace", [false; 2]),
    (
        "a directory that is somebody else's link",
        "mkdir real; chmod 777 real; rmdir inner; ln -s real inner; chown -h daemon inner",
        [false; 2],
    ),
    (
        "a directory that is root's link where others may put some",
        "mkdir real; chmod 777 real; rmdir inner; ln -s real inner; chmod 1777 .",
        [false; 2],
    ),
    (
        "a directory that is root's link",
        "mkdir real; chmod 777 real; rmdir inner; ln -s real inner",
        [true, true],
    ),
];

#[test]
fn a_trace_is_written_only_to_a_file_that_nobody_else_could_have_put_there() {
    if realm().is_none() {
        return;
    }
    let config = MechConfig::new(Side::Ours).with_scripts("a").write();
    let top = scratch_file("traces");
    let sh = |directory: &Path, script: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-ec", script]).current_dir(directory);
        shell.status().unwrap().success()
    };
    std::fs::create_dir(&top).unwrap();
    if !sh(
        &top,
        "chmod 755 . ..; touch theirs; chown nobody theirs; setpriv --version >/dev/null",
    ) {
        skip("files cannot be given away here (not root, or no setpriv)");
        return;
    }
    let run_as = |user: &str, trace: &Path| {
        std::process::Command::new("setpriv")
            .args(["--clear-groups", "--reuid", user])
            .arg(Harness::named("fragments").file())
            .args(["initiator", "feed"])
            .env_clear()
            .env("GSS_MECH_CONFIG", &config)
            .env("GSS_SPNEGO_CONFIG", "")
            .env("KRB5CCNAME", "FILE:/nonexistent")
            .env("GSS_SPNEGO_TRACE", trace)
            .output()
            .unwrap()
    };
    // What is tried on the file itself, in `inner`, and what on `inner`.
    for (what, script, writes) in PLACED {
        for (user, may_write) in ["root", "nobody"].into_iter().zip(writes) {
            let here = top.join(format!("{what} {user}").replace([' ', '\''], "-"));
            let inner = here.join("inner");
            std::fs::create_dir_all(&inner).unwrap();
            let is_outside = script.contains("inner");
            let at = if is_outside { &here } else { &inner };
            assert!(sh(&inner, "chmod 777 .") && sh(at, script), "{what}");
            let trace = inner.join("trace");
            let output = run_as(user, &trace);
            let report = String::from_utf8_lossy(&output.stdout).into_owned();
            if !report.contains("COMPLETE") && !report.contains("CONTINUE") {
                skip(&format!("{user} cannot run the test's program: {output:?}"));
                return;
            }
            let written = |file: &Path| std::fs::read(file).is_ok_and(|text| !text.is_empty());
            let other = ["other", "../real/trace"].map(|name| inner.join(name));
            let is_written = match what {
                // Reading a pipe would wait.
                "a pipe" => false,
                _ => written(&trace) || other.iter().any(|file| written(file)),
            };
            assert_eq!(is_written, may_write, "{what}, {user}: {report}");
            if may_write && what == "no file" {
                use std::os::unix::fs::PermissionsExt;
                let mode = std::fs::metadata(&trace).unwrap().permissions().mode();
                assert_eq!(mode & 0o7777, 0o600);
            }
        }
    }
}

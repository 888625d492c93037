//! Messages in pieces and servers that speak first, through the real glue (MS-SPNG 3.1.5.4 to
//! 3.1.5.9, 3.2.5.2, 3.3.5.2).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use spnego::negotiate::fragment::LARGEST_MESSAGE;
use spnego::oid::{NTLMSSP, Oid};
use spnego::wire::spnego::{MechList, NegTokenInit};
use support::{
    Environment, Harness, MechConfig, Output, Pair, Pairing, Realm, Side, hex, part_of, realm,
    scratch_file, skip,
};

const OURS: Pairing = Pairing {
    initiator: Side::Ours,
    acceptor: Side::Ours,
};
const SIZES: [usize; 5] = [5, 6, 7, 100, 4096];

// ---- one end, fed by hand ----

/// One end that only has scripted mechanisms and the plugin.
#[derive(Clone)]
struct End {
    role: &'static str,
    variables: Environment,
}

impl End {
    fn new(role: &'static str) -> Self {
        let config = MechConfig::new(Side::Ours).with_scripts("ab").write();
        let nowhere = || "FILE:/nonexistent".to_owned();
        let variables = Environment::from([
            ("GSS_MECH_CONFIG".to_owned(), config.display().to_string()),
            ("GSS_SPNEGO_CONFIG".to_owned(), String::new()),
            ("KRB5CCNAME".to_owned(), nowhere()),
            ("KRB5_KTNAME".to_owned(), nowhere()),
            ("KRB5_CLIENT_KTNAME".to_owned(), nowhere()),
            // 2.25.7301.1 makes tokens of 6,000 octets.
            ("SCRIPT_A".to_owned(), "size=6000".to_owned()),
        ]);
        Self { role, variables }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn configured(self, text: &str) -> Self {
        let file = scratch_file("spnego.conf");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let file = file.display().to_string();
        self.with("GSS_SPNEGO_CONFIG", file)
    }

    /// What it reports of these actions of tests/c/fragments.c.
    fn run(&self, actions: &[String]) -> Output {
        let mut arguments = vec![self.role.to_owned()];
        arguments.extend(actions.iter().cloned());
        Harness::named("fragments").run(&arguments, &self.variables)
    }

    fn report(&self, actions: &str) -> String {
        let actions: Vec<String> = actions.split_whitespace().map(ToOwned::to_owned).collect();
        self.run(&actions).ok()
    }

    /// The sizes of what it sends when asked `pieces` times after `actions`.
    fn sizes(&self, actions: &str, pieces: usize) -> Vec<usize> {
        let feeds = " feed".repeat(pieces);
        outputs(&self.report(&format!("{actions}{feeds}")))
    }
}

/// The sizes of the outputs, in order.
fn outputs(report: &str) -> Vec<usize> {
    let sizes = report
        .lines()
        .filter_map(|line| line.strip_prefix("  output: ")?.strip_suffix(" octets"));
    sizes.map(|size| size.parse().unwrap()).collect()
}

/// The octets of the outputs, one after the other, as hexadecimal digits.
fn octets(report: &str) -> String {
    let octets = report
        .lines()
        .filter_map(|line| line.strip_prefix("  octets: "));
    octets.collect()
}

/// The lines of a report that begin so.
fn lines<'a>(report: &'a str, beginning: &str) -> Vec<&'a str> {
    let lines = report.lines();
    lines.filter(|line| line.starts_with(beginning)).collect()
}

fn script(letter: char) -> Oid {
    let number = u32::from(letter) - u32::from('a') + 1;
    format!("2.25.7301.{number}").parse().unwrap()
}

// ---- sending: which size is in force ----

#[test]
fn every_way_to_set_the_size_cuts_the_tokens_of_either_role() {
    let _ = realm!();
    for role in ["initiator", "acceptor"] {
        let whole = octets(&End::new(role).report("hex feed"));
        // An initiator's token is script-a's, an acceptor's the list of what it has.
        let total = whole.len() / 2;
        assert!(total > if role == "initiator" { 6000 } else { 60 });
        for size in SIZES {
            let pieces = total.div_ceil(size);
            let feeds = " feed".repeat(pieces);
            let number = size.to_string();
            let of_env = End::new(role).with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", &number);
            let of_file = End::new(role).configured(&format!("max_output_token_size = {size}\n"));
            for (way, end, actions) in [
                (
                    "credential",
                    End::new(role),
                    format!("acquire cred={size} hex"),
                ),
                ("environment", of_env, "hex".to_owned()),
                ("file", of_file, "hex".to_owned()),
            ] {
                let report = end.report(&format!("{actions}{feeds}"));
                let mut expected = vec![size; pieces - 1];
                expected.push(total - size * (pieces - 1));
                assert_eq!(outputs(&report), expected, "{role}, {way}, {size}");
                assert!(octets(&report) == whole, "{role}, {way}, {size}");
            }
            // A context's option can be set when there is one, after the first piece.
            let limited = End::new(role).with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "5");
            let report = limited.report(&format!("hex feed context={size}{feeds}"));
            assert!(report.contains("context option: COMPLETE"), "{report}");
            let sizes = outputs(&report);
            let next = size.min(total - 5);
            assert_eq!(sizes[..2], [5, next], "{role}, context, {size}");
            assert!(octets(&report).starts_with(&whole));
        }
    }
}

#[test]
fn a_message_whose_pieces_nobody_asks_for_is_told_when_it_is_given_up() {
    let _ = realm!();
    for role in ["initiator", "acceptor"] {
        let trace = scratch_file("unasked.trace");
        let end = End::new(role)
            .with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "5")
            .with("GSS_SPNEGO_TRACE", trace.display().to_string());
        let [_, second] = end.sizes("", 2)[..] else {
            panic!("two pieces");
        };
        assert_eq!(second, 5);
        let told = std::fs::read_to_string(&trace).unwrap();
        let left = told.lines().filter_map(|line| {
            let (_, rest) = line.split_once(": given up by the program with ")?;
            rest.strip_suffix(" octets of a message to follow: the peer has not asked for them")
        });
        let left: Vec<usize> = left.map(|left| left.parse().unwrap()).collect();
        let total: usize = End::new(role).sizes("", 1).iter().sum();
        assert_eq!(left, [total - 10], "{told}");
    }
}

#[test]
fn the_first_size_that_is_set_counts_and_zero_is_set() {
    let _ = realm!();
    for role in ["initiator", "acceptor"] {
        let file = || End::new(role).configured("max_output_token_size = 8\n");
        let both = |value: &str| file().with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", value);
        let total = End::new(role).sizes("", 1)[0];
        assert_eq!(file().sizes("", 2), [8, 8]);
        assert_eq!(both("9").sizes("", 2), [9, 9]);
        assert_eq!(both("9").sizes("acquire", 1), [9]);
        assert_eq!(both("9").sizes("acquire cred=10", 2), [10, 10]);
        assert_eq!(
            both("9").sizes("acquire cred=10 feed context=11", 1),
            [10, 11]
        );
        // The context's stays, whatever comes to the credential later.
        assert_eq!(
            both("9").sizes("acquire cred=10 feed context=11 cred=12", 1),
            [10, 11]
        );
        assert_eq!(
            both("9").sizes("acquire cred=10 feed cred=12", 1),
            [10, 12],
            "a credential's size may change while a token is under way"
        );
        for (end, actions) in [(both("0"), ""), (both("9"), "acquire cred=0")] {
            assert_eq!(end.sizes(actions, 1), [total], "{role} {actions}");
        }
        let rest = both("9").sizes("feed context=0", 1);
        assert_eq!(rest, [9, total - 9]);
    }
}

#[test]
fn the_options_reach_the_plugin_through_a_credential_for_every_mechanism() {
    let realm = realm!();
    let config = MechConfig::new(Side::Ours).write();
    let mut variables = realm.environment();
    variables.insert("GSS_MECH_CONFIG".into(), config.display().to_string());
    let arguments = ["initiator", "mech=none", "acquire", "cred=20"].map(ToOwned::to_owned);
    let report = Harness::named("fragments").run(&arguments, &variables).ok();
    assert!(report.contains("cred option: COMPLETE"), "{report}");
}

#[test]
fn wrong_sizes_are_refused_with_the_reason() {
    let _ = realm!();
    let too_small = "minor: the maximum output token size is 0 (no limit) or at least 5 octets";
    let length = "minor: the maximum output token size is an OM_uint32: 4 octets";
    for role in ["initiator", "acceptor"] {
        for (value, reason) in [
            ("1", too_small),
            ("4", too_small),
            ("hex:", length),
            ("hex:05", length),
            ("hex:0500000000000000", length),
        ] {
            let end = End::new(role).with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "30");
            let report = end.report(&format!("acquire cred={value} feed context={value} feed"));
            assert_eq!(lines(&report, "cred option: "), ["cred option: FAILURE"]);
            let refused = ["context option: FAILURE"];
            assert_eq!(lines(&report, "context option: "), refused);
            assert_eq!(lines(&report, "minor: "), [reason, reason], "{value}");
            // What was in force before is in force after.
            assert_eq!(outputs(&report), [30, 30]);
        }
    }
    let report = End::new("acceptor").report("context=10");
    assert_eq!(report.lines().next(), Some("context option: UNAVAILABLE"));
}

#[test]
fn wrong_sizes_of_the_administrator_are_skipped_and_told() {
    let _ = realm!();
    let wrong_variable = |value: &str| {
        End::new("acceptor")
            .configured("max_output_token_size = 8\n")
            .with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", value)
            .with("GSS_SPNEGO_TRACE", "stderr")
    };
    for value in ["4", "-1", "five", "5.0", "4294967296", "0x10"] {
        let output = wrong_variable(value).run(&["feed".to_owned()]);
        let told = output.errors.clone();
        assert!(
            told.contains("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE: "),
            "{told}"
        );
        assert_eq!(outputs(&output.ok()), [8], "{value}");
    }
    let file = End::new("acceptor")
        .configured("max_output_token_size = 4\n")
        .with("GSS_SPNEGO_TRACE", "stderr");
    let output = file.run(&["feed".to_owned()]);
    let told = output.errors.clone();
    assert!(
        told.contains("is 0 (no limit) or at least 5 octets"),
        "{told}"
    );
    assert!(outputs(&output.ok())[0] > 60);
}

/// The glue reads `GSS_MECH_CONFIG` no more than the plugin its variables in a set-user-ID
/// program, so the plugin's line is put into a private /etc/gss, in a mount namespace of its own.
#[test]
fn a_set_user_id_program_ignores_the_variables() {
    let _ = realm!();
    let end = End::new("acceptor").with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "7");
    let directory = scratch_file("setuid");
    let mech_directory = directory.join("gss");
    std::fs::create_dir_all(mech_directory.join("mech.d")).unwrap();
    let config = &end.variables["GSS_MECH_CONFIG"];
    std::fs::copy(config, mech_directory.join("mech.d/test.conf")).unwrap();
    std::fs::write(
        mech_directory.join("spnego.conf"),
        "max_output_token_size = 9\n",
    )
    .unwrap();
    let program = directory.join("fragments");
    std::fs::copy(Harness::named("fragments").file(), &program).unwrap();
    // Another user's program, for root as well; both directories must let that user in.
    let script = format!(
        "set -e; mount --bind {gss} /etc/gss; chmod 755 {top} {here}; chown nobody {program}; \
         chmod {{MODE}} {program}; exec {program} acceptor feed",
        gss = mech_directory.display(),
        top = directory.parent().unwrap().display(),
        here = directory.display(),
        program = program.display(),
    );
    let run = |mode: &str| {
        Command::new("unshare")
            .args(["-m", "sh", "-c", &script.replace("{MODE}", mode)])
            .envs(&end.variables)
            // As in a program that nothing was set for.
            .env_remove("GSS_SPNEGO_CONFIG")
            .env_remove("GSS_MECH_CONFIG")
            .output()
    };
    let plain = run("755").unwrap();
    if !plain.status.success() {
        let why = String::from_utf8_lossy(&plain.stderr).into_owned();
        skip(&format!("a private /etc/gss cannot be mounted: {why}"));
        return;
    }
    let report =
        |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(outputs(&report(&plain)), [7], "{plain:?}");
    let raised = run("4755").unwrap();
    assert!(report(&raised).contains("plugin: loaded"), "{raised:?}");
    assert_eq!(outputs(&report(&raised)), [9], "{raised:?}");
}

// ---- receiving, by hand ----

/// A header of SPNEGO's initial token for so many octets of contents, in so many octets of length
/// (0: the short form).
fn header(contents: usize, length_octets: usize) -> Vec<u8> {
    let mut header = vec![0x60];
    let length = contents.to_be_bytes();
    if length_octets == 0 {
        header.push(length[7]);
    } else {
        header.push(0x80 + u8::try_from(length_octets).unwrap());
        header.extend(&length[8 - length_octets..]);
    }
    header.extend([0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02]);
    header
}

#[test]
fn the_first_piece_of_a_client_has_to_hold_header_and_oid() {
    let _ = realm!();
    for (contents, length_octets, expected) in
        [(100, 0, 10), (200, 1, 11), (5000, 2, 12), (100_000, 3, 13)]
    {
        let header = header(contents, length_octets);
        assert_eq!(header.len(), expected);
        for piece in 1..=expected {
            let piece = &header[..piece];
            let report = End::new("acceptor").report(&format!("feed={}", hex(piece)));
            let leg = lines(&report, "leg 1: ")[0];
            if piece.len() < expected {
                // The glue's answer: the plugin does not see it.
                assert_eq!(leg, "leg 1: DEFECTIVE_TOKEN", "{}", piece.len());
            } else {
                assert_eq!(leg, "leg 1: CONTINUE_NEEDED", "{}", piece.len());
                assert_eq!(outputs(&report), [0]);
            }
        }
    }
}

#[test]
fn broken_pieces_are_refused_with_the_reason_and_dropped() {
    let _ = realm!();
    let begun = hex(&header(5000, 2));
    let small = hex(&header(10, 0));
    for (actions, reason) in [
        (
            format!("feed={begun} feed"),
            "an empty fragment after the first 12 octets of a message",
        ),
        (
            format!("feed={begun} feed=00*4 feed"),
            "an empty fragment after the first 16 octets of a message",
        ),
        (
            format!("feed={small} feed=000000"),
            "fragments of 13 octets for a message of 12",
        ),
        (
            format!("feed={}", hex(&header(LARGEST_MESSAGE, 3))),
            "a message of 262149 octets in fragments, the limit is 262144",
        ),
        (
            format!("feed={}", hex(&header(0xffff_ffff, 4))),
            "a message of 4294967301 octets in fragments, the limit is 262144",
        ),
    ] {
        let report = End::new("acceptor").report(&format!("{actions} heap feed=00 delete"));
        let minor = format!("minor: the peer's token is malformed: {reason}");
        assert!(report.contains(&minor), "{actions}: {report}");
        let failed = report.find("DEFECTIVE_TOKEN").unwrap();
        // The peer is told, and what comes later finds no negotiation.
        let after = &report[failed..];
        assert!(outputs(after)[0] > 0, "a reject: {report}");
        assert!(!after.contains("CONTINUE_NEEDED"), "{report}");
    }
}

#[test]
fn an_initiators_pieces_are_checked_as_an_acceptors() {
    let _ = realm!();
    for (actions, reason) in [
        (
            "feed feed=a1 feed",
            "an empty fragment after the first 1 octets of a message",
        ),
        (
            "feed feed=a103 feed=00000000",
            "fragments of 6 octets for a message of 5",
        ),
        (
            "feed feed=a1 feed=83 feed=04 feed=00 feed=00",
            "a message of 262149 octets in fragments, the limit is 262144",
        ),
        (
            "feed feed=a1 feed=80",
            "fragments of a message without a definite length",
        ),
    ] {
        let report = End::new("initiator").report(actions);
        let minor = format!("minor: the peer's token is malformed: {reason}");
        assert!(report.contains(&minor), "{actions}: {report}");
        let waiting = report.matches("CONTINUE_NEEDED").count();
        assert_eq!(waiting, actions.matches("feed").count() - 1, "{report}");
    }
}

#[test]
fn memory_grows_with_what_arrived_and_goes_with_the_context() {
    let _ = realm!();
    let heap = |report: &str| -> Vec<usize> {
        let lines = lines(report, "heap: ");
        let sizes = lines.iter().map(|line| &line[6..line.len() - 4]);
        sizes.map(|size| size.parse().unwrap()).collect()
    };
    let begun = hex(&header(LARGEST_MESSAGE - 13, 3));
    let piece = "00".repeat(1000);
    // The plugin is loaded and its configuration read before the first measure.
    let actions = format!(
        "feed={begun} delete heap feed={begun} heap feed={piece}*100 heap feed={piece}*100 heap \
         delete heap"
    );
    let report = End::new("acceptor").report(&actions);
    let sizes = heap(&report);
    let grown: Vec<usize> = sizes
        .iter()
        .map(|size| size.saturating_sub(sizes[0]))
        .collect();
    assert!(grown[1] < 8, "announced, not arrived: {sizes:?}");
    assert!((90..220).contains(&grown[2]), "100 KiB arrived: {sizes:?}");
    assert!((190..420).contains(&grown[3]), "200 KiB arrived: {sizes:?}");
    assert!(grown[4] < 8, "deleted: {sizes:?}");
}

#[test]
fn messages_up_to_the_limit_are_put_together() {
    let _ = realm!();
    for contents in [65_535, LARGEST_MESSAGE - 5] {
        let header = header(contents, 3);
        let rest = contents - 8;
        let (thousands, more) = (rest / 1000, rest % 1000);
        let report = End::new("acceptor").report(&format!(
            "feed={} feed={}*{thousands} feed={}",
            hex(&header),
            "00".repeat(1000),
            "00".repeat(more)
        ));
        // It is no offer, which only its decoder can have found out.
        assert!(report.contains(&format!("leg {}: DEFECTIVE_TOKEN", thousands + 2)));
        assert!(report.contains("NegTokenInit"), "{report}");
    }
}

// ---- both ends ----

/// Both ends are established, in messages as well.
#[track_caller]
fn assert_established(report: &str, what: &str) {
    for role in ["initiator", "acceptor"] {
        let part = part_of(report, role);
        assert!(part.contains("\nestablished\n"), "{what}:\n{report}");
        assert!(!part.contains("BAD_MIC"), "{what}:\n{report}");
        if part.contains("-- messages") {
            assert!(part.contains("verify_mic: COMPLETE"), "{what}:\n{report}");
        }
    }
}

/// How many tokens an end sent, and the largest of them.
fn sent(report: &str, role: &str) -> (usize, usize) {
    let part = part_of(report, role);
    let line = lines(part, "sent: ")[0];
    let numbers: Vec<usize> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    (numbers[0], numbers[1])
}

/// The glue of a server hands over a client's first piece when it holds header and identifier, so
/// smaller pieces need a context that is there before: the server speaks first.
#[test]
fn kerberos_in_pieces_of_every_size_in_either_role_and_both() {
    let realm = realm!();
    for size in SIZES {
        for (limited, options) in [
            ("initiator", "i."),
            ("acceptor", "a."),
            ("initiator, acceptor", ""),
        ] {
            let pair = Pair::new(realm)
                .options("cred=acquire cred.mechs=spnego messages=few count=yes first=fed")
                .with(format!("{options}size={size}"));
            let what = format!("{limited} limited to {size}");
            let report = pair.run(OURS).ok();
            assert_established(&report, &what);
            for role in ["initiator", "acceptor"] {
                let (_, largest) = sent(&report, role);
                let keeps = limited.contains(role);
                assert_eq!(largest <= size, keeps || size == 4096, "{what}: {largest}");
                if keeps && size < 4096 {
                    assert_eq!(largest, size, "{what}");
                }
            }
        }
    }
}

#[test]
fn pieces_down_to_one_octet_are_taken_from_any_peer() {
    let realm = realm!();
    for (cutter, options, pairing) in [
        (
            "the built-in initiator",
            "i.cut=1 i.cut.first=12",
            Pairing {
                initiator: Side::BuiltIn,
                acceptor: Side::Ours,
            },
        ),
        (
            "the built-in acceptor",
            "a.cut=1",
            Pairing {
                initiator: Side::Ours,
                acceptor: Side::BuiltIn,
            },
        ),
        ("both", "cut=1 i.cut.first=12", OURS),
        ("both by five", "cut=5 i.cut.first=12", OURS),
    ] {
        let pair = Pair::new(realm).options("messages=few").options(options);
        let report = pair.run(pairing).ok();
        assert_established(&report, cutter);
        assert!(!report.contains("not answered by"), "{cutter}: {report}");
    }
}

/// Both ends use scripted mechanisms only, as in `tests/pairings.rs`, limited to pieces.
fn scripted(realm: &Realm, letters: &str, initiator: &str, acceptor: &str, size: usize) -> Pair {
    Pair::new(realm)
        .with_scripts(letters)
        .options("cred=acquire cred.mechs=spnego messages=no count=yes")
        .with(format!("i.neg={initiator}"))
        .with(format!("a.neg={acceptor}"))
        .with(format!("size={size}"))
}

/// The least piece that the glue of a server knows as SPNEGO's, whatever the size of the message.
const LEAST_FIRST_PIECE: usize = 13;

#[test]
fn kerberos_in_pieces_without_a_word_of_the_server_before() {
    let realm = realm!();
    for (size, works) in [
        (LEAST_FIRST_PIECE, true),
        (12, true),
        (11, false),
        (100, true),
    ] {
        let report = Pair::new(realm)
            .options("cred=acquire cred.mechs=spnego messages=few count=yes")
            .with(format!("size={size}"))
            .run(OURS)
            .ok();
        if works {
            assert_established(&report, &format!("pieces of {size}"));
        } else {
            let acceptor = part_of(&report, "acceptor");
            assert!(acceptor.contains("leg 1: DEFECTIVE_TOKEN"), "{report}");
        }
    }
}

#[test]
fn tokens_of_48_000_octets_go_both_ways_in_pieces() {
    let realm = realm!();
    for (size, tokens) in [(5, 2), (1000, 4), (4096, 3), (0, 4)] {
        let report = scripted(realm, "a", "script-a", "script-a", size)
            .with("first=fed")
            .with_variable("SCRIPT_A", format!("tokens={tokens},size=48000"))
            .run(OURS)
            .ok();
        assert_established(&report, &format!("pieces of {size}"));
        for role in ["initiator", "acceptor"] {
            let (count, largest) = sent(&report, role);
            if size == 0 {
                assert!(largest > 48_000 && count < 4);
            } else {
                assert_eq!(largest, size);
                assert!(count > 48_000 / size, "{count} tokens of {role}");
            }
        }
    }
}

#[test]
fn reselection_and_mics_go_in_pieces() {
    let realm = realm!();
    for tokens in 1..=4 {
        for size in [LEAST_FIRST_PIECE, 100] {
            for large in ["", ",size=20000"] {
                let report = scripted(realm, "ab", "script-a,script-b", "script-b", size)
                    .with_variable("SCRIPT_B", format!("tokens={tokens}{large}"))
                    .options("early=no")
                    .run(OURS)
                    .ok();
                let what = format!("{tokens} tokens in pieces of {size}{large}");
                assert_established(&report, &what);
                for role in ["initiator", "acceptor"] {
                    assert!(part_of(&report, role).contains("mech: script-b"), "{what}");
                    assert!(sent(&report, role).1 <= size, "{what}");
                }
            }
            for wrong in ["i", "a"] {
                let report = scripted(realm, "ab", "script-a,script-b", "script-b", size)
                    .with_variable("SCRIPT_B", format!("tokens={tokens}"))
                    .with(format!("{wrong}.env=SCRIPT_B=tokens={tokens},mic=wrong"))
                    .run(OURS)
                    .ok();
                assert!(
                    !report.contains("\nestablished\n"),
                    "a wrong MIC of {wrong}, {tokens} tokens, {size}:\n{report}"
                );
            }
        }
    }
}

#[test]
fn reselection_reaches_a_cutting_built_in_too() {
    let realm = realm!();
    for (options, pairing) in [
        (
            "i.cut=1 i.cut.first=12",
            Pairing {
                initiator: Side::BuiltIn,
                acceptor: Side::Ours,
            },
        ),
        (
            "a.cut=1",
            Pairing {
                initiator: Side::Ours,
                acceptor: Side::BuiltIn,
            },
        ),
    ] {
        for tokens in 1..=4 {
            let report = scripted(realm, "ab", "script-a,script-b", "script-b", 0)
                .with_variable("SCRIPT_B", format!("tokens={tokens}"))
                .options(options)
                .run(pairing)
                .ok();
            assert_established(&report, &format!("{tokens} tokens, {options}"));
        }
    }
}

#[test]
fn errors_between_pieces_end_both_ends() {
    let realm = realm!();
    // A reject has 9 octets at least. Where it does not fit, the error goes by the program's own
    // means; where it does, with the mechanism's error token or without.
    for (size, reject_fits) in [(5, false), (100, true)] {
        for (end, leg) in [("i", 2), ("a", 1), ("a", 2), ("i", 3)] {
            for token in ["yes", "no"] {
                let report = scripted(realm, "a", "script-a", "script-a", size)
                    .with("first=fed")
                    .with_variable("SCRIPT_A", "tokens=5,size=300")
                    .with(format!(
                        "{end}.env=SCRIPT_A=tokens=5,size=300,fail={leg},error_token={token}"
                    ))
                    .run(OURS)
                    .ok();
                let what = format!("fails at {end} {leg}, {size}, error token {token}:\n{report}");
                for role in ["initiator", "acceptor"] {
                    assert!(
                        part_of(&report, role).contains("\nnot established\n"),
                        "{what}"
                    );
                    assert!(sent(&report, role).1 <= size, "{what}");
                }
                let own = if end == "i" { "initiator" } else { "acceptor" };
                let peer = if end == "i" { "acceptor" } else { "initiator" };
                let reasons = part_of(&report, own);
                assert!(reasons.contains("script-a says no (77)"), "{what}");
                let told = part_of(&report, peer).contains("minor: ");
                assert_eq!(told, reject_fits, "{what}");
            }
        }
    }
}

#[test]
fn a_context_can_be_deleted_between_pieces() {
    let realm = realm!();
    for (role, mark) in [("initiator", "i"), ("acceptor", "a")] {
        for leg in [1, 2, 3, 10, 150] {
            let report = Pair::new(realm)
                .options("cred=acquire cred.mechs=spnego messages=no count=yes size=5")
                .with("first=fed")
                .with(format!("{mark}.delete_after={leg}"))
                .run(OURS)
                .ok();
            let part = part_of(&report, role);
            assert!(part.contains("delete: COMPLETE"), "{leg}: {report}");
            assert!(part.contains("  context: none token: none"), "{report}");
        }
    }
}

#[test]
fn deletion_and_errors_between_pieces_leak_nothing() {
    let realm = realm!();
    if !support::installed(&["valgrind"]) {
        return;
    }
    for options in ["i.delete_after=40", "a.delete_after=40", "messages=few"] {
        let output = Pair::new(realm)
            .options("cred=acquire cred.mechs=spnego messages=no count=yes size=20")
            .options(options)
            .run_checked(OURS);
        // What the system's library and the harness themselves lose is not looked at here.
        assert!(!output.errors.contains("gss_spnego"), "{}", output.errors);
        assert!(!output.errors.contains("Invalid"), "{}", output.errors);
        assert!(output.report.contains("plugin: loaded"), "{output:?}");
    }
}

#[test]
fn a_token_where_the_next_piece_is_asked_for_is_refused() {
    let _ = realm!();
    let report = End::new("acceptor")
        .with("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "20")
        .report("feed feed=a1023000");
    assert!(report.contains("leg 2: DEFECTIVE_TOKEN"), "{report}");
    let reason = "the peer sent a token while fragments of ours were still to come";
    assert!(report.contains(reason), "{report}");
}

// ---- the server speaks first ----

#[test]
fn hints_are_used_to_save_a_useless_token_and_for_nothing_else() {
    let realm = realm!();
    let first = |acceptor: &str, first: &str, size: usize| {
        Pair::new(realm)
            .with_scripts("ab")
            .options("cred=acquire cred.mechs=spnego messages=no")
            .options("i.neg=script-a,script-b")
            .with(format!("a.neg={acceptor}"))
            .with(format!("first={first}"))
            .with(format!("size={size}"))
            .run(OURS)
            .ok()
    };
    let offer = "sends: NegTokenInit mechs=script-a,script-b";
    for (acceptor, how, expected) in [
        ("script-b", "fed", offer.to_owned()),
        (
            "script-a",
            "fed",
            format!("{offer} mechToken=script-a:script-a 1"),
        ),
        (
            "script-b",
            "ignored",
            format!("{offer} mechToken=script-a:script-a 1"),
        ),
    ] {
        let report = first(acceptor, how, 0);
        assert_established(&report, acceptor);
        let part = part_of(&report, "initiator");
        let sent: Vec<_> = part.lines().map(str::trim).collect();
        assert!(sent.contains(&&*expected), "{expected}\n{report}");
        let hints = format!("sends: NegTokenInit mechs={acceptor} negHints=yes");
        assert!(part_of(&report, "acceptor").contains(&hints), "{report}");
    }
    // In pieces as well, from the first octets on.
    for size in [5, 20] {
        for how in ["fed", "ignored"] {
            if how == "ignored" && size < 100 {
                // The program has dropped a piece, so it never asked for the rest.
                continue;
            }
            assert_established(&first("script-b", how, size), "hints in pieces");
        }
    }
}

/// NegTokenInit2 as octets: mechTypes, and hints as they are given.
fn hints(mechs: &[Oid], hints: &[u8]) -> Vec<u8> {
    let list = MechList::encode(mechs);
    let mut fields = element(0xa0, list.der());
    fields.extend(element(0xa3, &element(0x30, hints)));
    let mut contents = vec![0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
    contents.extend(element(0xa0, &element(0x30, &fields)));
    element(0x60, &contents)
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).unwrap();
    assert!(length < 0x80, "short elements only");
    [&[tag, length], contents].concat()
}

#[test]
fn hints_of_old_windows_in_any_code_page_and_addresses_are_passed_over() {
    let _ = realm!();
    let plain = octets(&End::new("initiator").report("hex feed=null"));
    let name = |octets: &[u8]| element(0xa0, &element(0x1b, octets));
    let address = element(0xa1, &element(0x04, &[127, 0, 0, 1]));
    for given in [
        name(b"not_defined_in_RFC4178@please_ignore"),
        name(b"server$@EXAMPLE"),
        // Code pages 850, 932 and 1251, and octets of none.
        name(b"m\x81ller@D\x9aSSELDORF"),
        name(b"\x83\x54\x81\x5b\x83\x6f@\x93\x8c\x8b\x9e"),
        name(b"\xf1\xe5\xf0\xe2\xe5\xf0"),
        name(&[0, 0xff, 0xfe, 0x80, 0]),
        name(b""),
        [name(b"server"), address.clone()].concat(),
        address,
        Vec::new(),
    ] {
        let invitation = hex(&hints(&[script('a'), NTLMSSP], &given));
        let report = End::new("initiator").report(&format!("hex feed={invitation}"));
        assert!(octets(&report) == plain, "{given:02x?}");
    }
    // Without the preferred mechanism in it: the whole list all the same, and no token.
    let invitation = hex(&hints(&[NTLMSSP], &name(b"\xff")));
    let report = End::new("initiator").report(&format!("hex feed={invitation}"));
    let offer = from_hex(&octets(&report));
    let offer = NegTokenInit::decode(&offer).unwrap();
    assert_eq!(
        offer.mech_types,
        MechList::encode(&[script('a'), script('b')])
    );
    assert_eq!(offer.mech_token, None);
}

#[test]
fn an_acceptors_hints_have_the_name_of_the_specification_and_no_address() {
    let _ = realm!();
    let report = End::new("acceptor").report("hex feed");
    let name = b"not_defined_in_RFC4178@please_ignore";
    let expected = hints(
        &[script('a'), script('b')],
        &element(0xa0, &element(0x1b, name)),
    );
    assert_eq!(octets(&report), hex(&expected));
}

fn from_hex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

//! NTLM under SPNEGO: our own mechanism and the system's against each other, in both roles.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{
    End as Program, Harness, NtlmEnd as End, Output, configuration, connect, heimdal_can_be_tested,
    ntlm_established as established, ntlm_users as users, part_of, run_ntlm as run, scratch_file,
    user_file,
};

fn assert_every_message_passes(output: &Output) {
    assert!(established(output), "{output:?}");
    for complaint in ["BAD_MIC", "GAP_TOKEN", "not as sent", "different"] {
        assert!(!output.report.contains(complaint), "{}", output.report);
    }
}

const WITH_OWN: [(End, End); 7] = [
    (End::Own, End::Own),
    (End::Beside, End::Own),
    (End::System, End::Beside),
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
    let Some((_, environment)) = users() else {
        return;
    };
    for (name, line) in [
        ("wrong.password", "SPNEGO:user:guess\n"),
        ("unknown.user", "SPNEGO:nobody:sesame\n"),
        ("wrong.domain", "ELSEWHERE:user:sesame\n"),
    ] {
        let options = format!("messages=no i.env=NTLM_USER_FILE={}", user_file(line));
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

/// Whom a client takes the server for, under either NTLM: always told, and refused where the
/// configuration requires it, or channel bindings of an acceptor with a name.
#[test]
fn the_acceptors_own_name_is_compared_and_required() {
    let Some((_, environment)) = users() else {
        return;
    };
    let own = "a name of this acceptor";
    let other = "no name of this acceptor: the client meant another one";
    let acquired = |name: &str| {
        format!("a.cred=acquire a.cred.mechs=spnego a.cred.type=hostbased a.cred.name={name}")
    };
    let another = "the initiator has asked for another service than this one, which is required by";
    let bound = "the initiator has asked for another service than this one, and channel bindings \
                 are required by";
    for ends in [
        (End::Own, End::Own),
        (End::System, End::Own),
        (End::Own, End::Over),
        (End::System, End::Over),
    ] {
        for (target, credential, required, words, refusal) in [
            ("HTTP@localhost", String::new(), "", own, ""),
            ("HTTP@localhost", String::new(), "target", own, ""),
            ("cifs@LOCALHOST", String::new(), "target", own, ""),
            (
                "HTTP@localhost",
                acquired("HTTP@localhost"),
                "target",
                own,
                "",
            ),
            ("HTTP@elsewhere.example", String::new(), "", other, ""),
            (
                "HTTP@elsewhere.example",
                String::new(),
                "channel_bindings",
                other,
                "",
            ),
            (
                "HTTP@elsewhere.example",
                String::new(),
                "target",
                other,
                another,
            ),
            (
                "HTTP@localhost",
                acquired("cifs@localhost"),
                "target",
                other,
                another,
            ),
            (
                "HTTP@elsewhere.example",
                acquired("HTTP@localhost"),
                "channel_bindings",
                other,
                bound,
            ),
        ] {
            // gss-ntlmssp names its service in the challenge, and refuses another one itself.
            if ends == (End::System, End::Over) && !credential.is_empty() && words == other {
                continue;
            }
            let what = format!("{ends:?} {target} {credential} {required:?}");
            let mut settings = vec![("ntlm", "system")];
            if !required.is_empty() {
                settings.push(("require", required));
            }
            let options = format!(
                "messages=no bindings=tls target={target} {credential} \
                 a.env=GSS_SPNEGO_CONFIG={};GSS_SPNEGO_TRACE=stderr",
                configuration(&settings).display()
            );
            let output = run(ends, &options, &environment);
            let told = output
                .errors
                .lines()
                .find(|line| line.contains("ntlm: target name "));
            assert!(
                told.is_some_and(|told| told.ends_with(words)),
                "{what}: {output:?}"
            );
            assert_eq!(
                established(&output),
                refusal.is_empty(),
                "{what}: {output:?}"
            );
            let acceptor = part_of(&output.report, "acceptor");
            assert!(acceptor.contains(refusal), "{what}: {output:?}");
        }
    }
}

/// A ticket is for the service that can read it, and needs no name besides.
#[test]
fn kerberos_is_for_the_acceptor_that_has_the_key() {
    let Some((realm, mut environment)) = users() else {
        return;
    };
    environment.extend(realm.environment());
    let options = format!(
        "messages=no a.env=GSS_SPNEGO_CONFIG={}",
        configuration(&[("require", "target")]).display()
    );
    let output = run((End::Own, End::Own), &options, &environment);
    assert!(established(&output), "{output:?}");
    assert!(output.report.contains("mech=krb5"), "{output:?}");
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

/// A process looks for them in its own memory: it finds them while contexts and credentials are there,
/// and afterwards no trace on heap or stack.
#[test]
fn passwords_hashes_and_keys_are_wiped() {
    use md4::Digest;
    let Some((_, mut environment)) = users() else {
        return;
    };
    let password = "open-sesame-7301";
    let file = user_file(&format!("SPNEGO:user:{password}\n"));
    environment.insert("NTLM_USER_FILE".into(), file);
    environment.insert("GSS_SPNEGO_MECHS".into(), "ntlmssp".into());
    environment.extend(End::Own.environment());
    let utf_16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hash = md4::Md4::digest(&utf_16);
    let masked = |octets: &[u8]| -> String {
        let octets = octets.iter().map(|octet| format!("{:02x}", octet ^ 0x5a));
        octets.collect()
    };
    let arguments = [password.as_bytes(), &utf_16, &hash].map(masked);
    let report = Harness::named("wiped").run(&arguments, &environment).ok();
    assert_eq!(
        report,
        "established\n\
         while they are in use: hash found, key of 16 octets found\n\
         afterwards: password 0, in UTF-16 0, hash 0, key 0\n"
    );
}

/// What a stranger's NEGOTIATE costs: no look into the file of users, and little memory, however long
/// the file. It is read once for all, seen to be another at the next use, and forgotten with the last
/// context that may need it.
#[test]
fn half_open_contexts_cost_little_and_the_file_of_users_is_read_once() {
    use md4::Digest;
    let Some((_, mut environment)) = users() else {
        return;
    };
    environment.insert("GSS_SPNEGO_MECHS".into(), "ntlmssp".into());
    environment.extend(End::Own.environment());
    let masked = |password: &str| -> String {
        let utf_16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let hash = md4::Md4::digest(&utf_16);
        let octets = hash.iter().map(|octet| format!("{:02x}", octet ^ 0x5a));
        octets.collect()
    };
    let users_with = |password: &str| {
        let mut lines = format!("SPNEGO:user:sesame\nSPNEGO:other:{password}\n");
        for number in 0.. {
            let line = format!("SPNEGO:user{number}:password of {number}\n");
            if lines.len() + line.len() > 1 << 20 {
                break;
            }
            lines += &line;
        }
        user_file(&lines)
    };
    let (file, other) = (users_with("first-7301"), users_with("second-7302"));
    environment.insert("NTLM_USER_FILE".into(), file.clone());
    let arguments = [
        "60".to_owned(),
        file,
        masked("first-7301"),
        other,
        masked("second-7302"),
    ];
    let report = Harness::named("half_open")
        .run(&arguments, &environment)
        .ok();
    let (octets, others): (Vec<_>, Vec<_>) = report
        .lines()
        .partition(|line| line.starts_with("octets a context: "));
    let octets: usize = octets[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert!(octets < 4096, "{report}");
    assert_eq!(
        others,
        [
            "first: established",
            "looked for anybody: 1",
            "half-open: opened 0, hash not found",
            "established: 30, opened 1, hash found",
            "of the other file: 29, opened 1, hash not found, new one found",
            "afterwards: hash 0, new one 0",
        ]
    );
}

/// An acceptor that speaks first, with a credential for NTLM alone.
#[test]
fn an_acceptor_with_ntlm_alone_says_so_first() {
    let Some((_, mut environment)) = users() else {
        return;
    };
    environment.insert("KRB5_KTNAME".into(), "/nonexistent".into());
    for ends in WITH_OWN {
        if ends.0 == End::System {
            continue;
        }
        for options in ["", "a.cred=acquire a.cred.mechs=spnego"] {
            let options = format!("first=fed traffic=sealed {options}");
            let output = run(ends, &options, &environment);
            assert_every_message_passes(&output);
            assert!(output.report.contains("mechs=ntlmssp"), "{output:?}");
        }
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

/// The part of a report under this title.
fn section<'a>(report: &'a str, title: &str) -> &'a str {
    let head = format!("== {title}\n");
    let start = report.find(&head).unwrap_or_else(|| panic!("{title}")) + head.len();
    let rest = &report[start..];
    rest.find("\n== ").map_or(rest, |end| &rest[..=end])
}

/// Every way to a credential for our own NTLM: what it tells of itself, whether it signs in, and
/// what is said when there is none.
#[test]
fn credentials_of_own_ntlm_are_those_that_were_asked_for() {
    const NT_HASH_OF_SESAME: &str = "427f638942987bcbeb98697797d95426";
    let Some((realm, mut environment)) = users() else {
        return;
    };
    // So that NTLM alone has one.
    environment.insert("KRB5_KTNAME".into(), "/nonexistent".into());
    let keys = user_file("SPNEGO:user:sesame\nSPNEGO:other:open\n");
    let nothing = realm.path("no.keys").display().to_string();
    let told = |name: &str, usage| {
        let name = match name {
            "" => "host@".to_owned(),
            name => format!("{name} (1.2.840.113554.1.2.1.1)"),
        };
        let (initiate, accept) = match usage {
            "initiate" => ("indefinite", "none"),
            "accept" => ("none", "indefinite"),
            _ => ("indefinite", "indefinite"),
        };
        vec![
            "acquire: COMPLETE".to_owned(),
            format!("inquire_cred: COMPLETE\n  name: {name}"),
            format!("\n  time: indefinite usage: {usage}\n  mechs: [spnego]\n"),
            format!("inquire_cred_by_mech: COMPLETE\n  name: {name}"),
            format!("\n  initiate: {initiate} accept: {accept} usage: {usage}\n"),
        ]
    };
    let works = |name, usage| {
        let mut lines = told(name, usage);
        lines.push("use: established".to_owned());
        lines.push("  peer: SPNEGO\\user (1.2.840.113554.1.2.1.1)\n  messages: pass".to_owned());
        lines
    };
    let refused = |name, reason: &str| {
        let mut lines = told(name, "initiate");
        lines.push("use: not established".to_owned());
        lines.push(format!("  acceptor: FAILURE\nminor: ntlmssp: {reason}"));
        lines
    };
    let none = |reason: &str| {
        vec![
            "acquire: NO_CRED".to_owned(),
            format!("minor: ntlmssp: {reason}"),
        ]
    };
    let user = "SPNEGO\\user";
    let of_user = "for SPNEGO\\user, initiate";
    for end in [End::Own, End::Beside] {
        let mut environment = environment.clone();
        environment.extend(end.environment());
        let arguments = [
            format!("keyfile={keys}"),
            format!("nothing={nothing}"),
            format!("hash={NT_HASH_OF_SESAME}"),
        ];
        let output = Harness::named("ntlm_creds").run(&arguments, &environment);
        assert_eq!(output.status, 0, "{output:?}");
        let users = &environment["NTLM_USER_FILE"];
        for (title, lines) in [
            ("default, for none, initiate", works(user, "initiate")),
            ("default, for none, accept", works("", "accept")),
            ("default, for none, both", works(user, "both")),
            (
                &format!("user of the file, {of_user}"),
                works(user, "initiate"),
            ),
            (
                "nobody of the file, for SPNEGO\\nobody, initiate",
                none(&format!("no user \"SPNEGO\\\\nobody\" in {users}")),
            ),
            ("key file, for none, initiate", works(user, "initiate")),
            ("key file, for none, accept", works("", "accept")),
            (
                "key file, for SPNEGO\\other, initiate",
                refused("SPNEGO\\other", "no account for \"SPNEGO\\\\other\""),
            ),
            (
                "missing key file, for none, initiate",
                none(&format!("{nothing}: No such file or directory")),
            ),
            (
                &format!("password in a store, {of_user}"),
                works(user, "initiate"),
            ),
            (
                &format!("wrong password in a store, {of_user}"),
                refused(user, "wrong password for \"SPNEGO\\\\user\""),
            ),
            (
                "domain and password in a store, for user, initiate",
                works(user, "initiate"),
            ),
            (
                "wrong domain in a store, for user, initiate",
                refused("ELSEWHERE\\user", "no account for \"ELSEWHERE\\\\user\""),
            ),
            (
                &format!("hash in a store, {of_user}"),
                works(user, "initiate"),
            ),
            (
                &format!("no hash in a store, {of_user}"),
                none("ntlmssp_nthash is not 32 hexadecimal digits"),
            ),
            ("password sesame, for SPNEGO\\user", works(user, "initiate")),
            (
                "password guess, for SPNEGO\\user",
                refused(user, "wrong password for \"SPNEGO\\\\user\""),
            ),
        ] {
            let part = section(&output.report, title);
            for line in lines {
                assert!(
                    part.contains(&line),
                    "{end:?} {title}: no {line:?} in {part}"
                );
            }
        }
    }
}

/// The same over gss-ntlmssp, which crashes when it is asked for the name of an acceptor that was
/// given none, and when it is to accept with a store and no name.
#[test]
fn credentials_over_the_system_do_not_crash_the_program() {
    let Some((realm, mut environment)) = users() else {
        return;
    };
    let keys = user_file("SPNEGO:user:sesame\nSPNEGO:other:open\n");
    let arguments = [
        format!("keyfile={keys}"),
        format!("nothing={}", realm.path("no.keys").display()),
        "hash=427f638942987bcbeb98697797d95426".to_owned(),
    ];
    environment.extend(End::Over.environment());
    for keytab in [
        "/nonexistent".to_owned(),
        environment["KRB5_KTNAME"].clone(),
    ] {
        environment.insert("KRB5_KTNAME".into(), keytab);
        let output = Harness::named("ntlm_creds").run(&arguments, &environment);
        assert_eq!(output.status, 0, "{output:?}");
        for title in [
            "default, for none, initiate",
            "default, for none, accept",
            "key file, for none, initiate",
            "key file, for none, accept",
            "password in a store, for SPNEGO\\user, initiate",
            "hash in a store, for SPNEGO\\user, initiate",
            "password sesame, for SPNEGO\\user",
        ] {
            let part = section(&output.report, title);
            let works = part.contains("use: established\n") && part.contains("messages: pass\n");
            assert!(works, "{title}: {part}");
        }
    }
}

/// The initiator's name as an acceptor has it: whichever NTLM found it out, it is shown and
/// exported alike, and none has attributes. Who a local user is, gss-ntlmssp does not say.
#[test]
fn names_of_own_ntlm_are_those_of_the_system_and_local_users_besides() {
    let Some((_, environment)) = users() else {
        return;
    };
    let common = [
        "display: SPNEGO\\user (1.2.840.113554.1.2.1.1)\n",
        "inquire_name: COMPLETE\n  mechanism name: 1 attributes: 0\n",
        "  copy: SPNEGO\\user (1.2.840.113554.1.2.1.1)\n",
        "display_name_ext: COMPLETE\n  text: SPNEGO\\user\n",
        "set_name_attribute: UNAVAILABLE\n",
        "get_name_attribute: UNAVAILABLE\n",
        "delete_name_attribute: UNAVAILABLE\n",
        "export_name_composite: UNAVAILABLE\n",
        "map_name_to_any: UNAVAILABLE\n",
        "export: COMPLETE\n  token of: spnego\nimport exported: COMPLETE\n  again: SPNEGO\\user (none)\n",
    ];
    let of_own = [
        "compare with its copy: COMPLETE\n  equal: 1\n",
        "compare with another: COMPLETE\n  equal: 0\n",
        "localname: COMPLETE\n  local: user\n",
        "authorize user: COMPLETE\nauthorize other: UNAUTHORIZED\n",
        "userok: 1\n",
        "set_name_attribute: UNAVAILABLE\nminor: ntlmssp: ",
    ];
    for end in [End::Own, End::Beside, End::Over, End::System] {
        let mut environment = environment.clone();
        environment.extend(end.environment());
        for (like, equal) in [
            ("SPNEGO\\user", 1),
            ("SPNEGO\\other", 0),
            ("ELSEWHERE\\user", 0),
            ("user", 0),
        ] {
            let arguments = ["of=contexts", "ask_target=no", &format!("like={like}")];
            let arguments = arguments.map(ToOwned::to_owned);
            let output = Harness::named("names").run(&arguments, &environment);
            assert_eq!(output.status, 0, "{output:?}");
            for title in ["accept's source", "the context's source"] {
                // What it becomes as a name of SPNEGO's is the glue's affair.
                let part = section(&output.report, title);
                let (part, _) = part.split_once("-- canonicalized").unwrap();
                let own = matches!(end, End::Own | End::Beside);
                let lines = common.iter().chain(of_own.iter().filter(|_| own));
                for line in lines {
                    assert!(
                        part.contains(line),
                        "{end:?} {title}: no {line:?} in {part}"
                    );
                }
            }
            if matches!(end, End::Own | End::Beside) {
                let compared = format!(
                    "compare with the user: COMPLETE\n  equal: {equal}\n\
                     compare the user: COMPLETE\n  equal: {equal}\n"
                );
                assert!(
                    output.report.contains(&compared),
                    "{like}: {}",
                    output.report
                );
            }
        }
    }
}

/// A log of gss-ntlmssp's own, which it begins when it is first asked for anything.
fn debug_log() -> (std::path::PathBuf, String) {
    let file = scratch_file("gss-ntlmssp.log");
    let variable = format!("GSSNTLMSSP_DEBUG={}", file.display());
    (file, variable)
}

#[test]
fn with_ntlm_own_the_systems_mechanism_is_not_asked() {
    let Some((_, environment)) = users() else {
        return;
    };
    for (end, asked) in [(End::Beside, false), (End::Over, true)] {
        let (log, variable) = debug_log();
        for ends in [(end, End::Own), (End::Own, end)] {
            let options = format!("i.env={variable} a.env={variable} traffic=sealed");
            let output = run(ends, &options, &environment);
            assert_every_message_passes(&output);
        }
        let log = std::fs::read_to_string(log).unwrap_or_default();
        assert_eq!(log.contains("gssntlm_init_sec_context"), asked, "{log}");
        assert_eq!(log.contains("gssntlm_accept_sec_context"), asked, "{log}");
        assert_eq!(log.contains("gssntlm_acquire_cred_from"), asked, "{log}");
    }
    // The glue, which knows it, tells the application so; of one that it does not know it cannot.
    for (end, told) in [(End::Beside, "ntlmssp"), (End::Own, "spnego")] {
        let output = run((End::System, end), "messages=no", &environment);
        let acceptor = part_of(&output.report, "acceptor");
        let line = format!("time: indefinite mech: {told} local: 0 open: 1");
        assert!(acceptor.contains(&line), "{end:?}: {output:?}");
    }
}

#[test]
fn with_ntlm_off_neither_ntlm_is_used_and_the_reason_is_told() {
    let Some((realm, environment)) = users() else {
        return;
    };
    let off = configuration(&[("ntlm", "off")]).display().to_string();
    let why = "not allowed by ntlm (line 1 of ";
    for end in [End::Own, End::Over] {
        let (log, variable) = debug_log();
        let set = format!("GSS_SPNEGO_CONFIG={off};{variable}");
        let output = run((end, End::System), &format!("i.env={set}"), &environment);
        let initiator = part_of(&output.report, "initiator");
        assert!(!established(&output), "{output:?}");
        assert!(initiator.contains("leg 1: NO_CRED"), "{output:?}");
        assert!(initiator.contains("minor: krb5: "), "{output:?}");
        assert!(
            initiator.contains(&format!("minor: ntlmssp: {why}")),
            "{output:?}"
        );

        let output = run((End::System, end), &format!("a.env={set}"), &environment);
        let acceptor = part_of(&output.report, "acceptor");
        assert!(!established(&output), "{output:?}");
        let line = format!("minor: ntlmssp: offered by the initiator, not accepted here: {why}");
        assert!(acceptor.contains(&line), "{output:?}");

        let cache = realm.cache("user").display().to_string();
        let set = format!("{set};KRB5CCNAME=FILE:{cache}");
        let options = format!("i.env={set} a.env={set} traffic=sealed");
        let output = run((end, end), &options, &environment);
        assert_every_message_passes(&output);
        assert!(
            output
                .report
                .contains("sends: NegTokenInit mechs=krb5 mechToken=krb5:ap-req"),
            "{output:?}"
        );
        assert!(!log.exists(), "{:?}", std::fs::read_to_string(&log));
    }
}

/// MIT's glue gives what it exported to its built-in SPNEGO, which takes no half-done context: so
/// none is exported, and the negotiation goes on.
#[test]
fn a_half_done_context_stays_where_it_is_under_mit() {
    let Some((_, environment)) = users() else {
        return;
    };
    let output = run(
        (End::Own, End::Own),
        "carry=yes traffic=sealed",
        &environment,
    );
    assert_every_message_passes(&output);
    let refused = "  carry: export: NO_CONTEXT\n";
    assert!(
        part_of(&output.report, "initiator").contains(refused),
        "{output:?}"
    );
    assert!(
        part_of(&output.report, "acceptor").contains(refused),
        "{output:?}"
    );
    assert!(!output.report.contains("carry: import"), "{output:?}");
}

/// Heimdal's takes it back as it was, in both roles and after each leg.
#[test]
fn a_half_done_context_is_carried_under_heimdal() {
    let Some((_, environment)) = users() else {
        return;
    };
    if !heimdal_can_be_tested() {
        return;
    }
    let ours = Program::HEIMDAL_OURS;
    for (initiator, acceptor) in [
        (ours, ours),
        (ours, Program::MIT_OURS),
        (Program::MIT_OURS, ours),
    ] {
        let options = "flags=mutual,replay,seq,conf,integ carry=yes ask_target=no \
                       a.size=70 cred=acquire cred.mechs=spnego messages=few";
        for options in [options.replace("a.size=70 ", ""), options.to_owned()] {
            let output = connect(initiator, acceptor, &options, &environment);
            assert_every_message_passes(&output);
            for (end, role) in [(initiator, "initiator"), (acceptor, "acceptor")] {
                let part = part_of(&output.report, role);
                let carried = part.contains("carry: export: COMPLETE\n  carry: import: COMPLETE\n");
                assert_eq!(carried, end == ours, "{role}: {output:?}");
            }
        }
    }
}

/// Another process may go by other rules: what it takes up has to be allowed there.
#[test]
fn a_half_done_context_goes_on_by_the_rules_that_hold_where_it_is_taken_up() {
    let Some((_, environment)) = users() else {
        return;
    };
    if !heimdal_can_be_tested() {
        return;
    }
    let ours = Program::HEIMDAL_OURS;
    let rules = scratch_file("spnego.conf");
    let text = "[[rule]]\ntarget = 'HTTP@elsewhere'\nmechs = ['krb5']\n\
                [[rule]]\ntarget = 'HTTP@bound'\nrequire = ['channel_bindings']\n";
    std::fs::write(&rules, text).unwrap();
    for (target, refused) in [
        ("localhost", ""),
        ("elsewhere", "ntlmssp: not allowed by rule 1 (line 1 of "),
        ("bound", "which are required by rule 2 (line 4 of "),
    ] {
        let options = format!(
            "flags=mutual,integ carry=yes ask_target=no cred=acquire cred.mechs=spnego messages=few \
             i.carry.target=HTTP@{target} i.env=GSS_SPNEGO_CONFIG={}",
            rules.display()
        );
        let output = connect(ours, ours, &options, &environment);
        let initiator = part_of(&output.report, "initiator");
        assert_eq!(established(&output), refused.is_empty(), "{output:?}");
        assert!(initiator.contains(refused), "{target} {output:?}");
    }
}

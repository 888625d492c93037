//! Mechanisms without SPNEGO: where the configuration does not restrict NTLM, programs see no
//! difference; where it does, it binds them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ntlm::{Credential, Host, Initiate, Ntlm, UserName, context_flag};
use spnego::negotiate::Step;
use support::{
    Environment, Harness, MechConfig, Output, Realm, Side, Site, assert_same, ntlm_users, part_of,
    realm, scratch_file, web_can_be_tested,
};

// ---- programs ----

/// `pair` by NTLM alone, with gss-ntlmssp and these further options.
fn pair(options: &str, environment: &Environment, config: &MechConfig) -> Output {
    let mut arguments: Vec<String> = ["both", "mech=ntlmssp", "ask_target=no"]
        .map(ToOwned::to_owned)
        .to_vec();
    if !options.contains("flags=") {
        arguments.push("flags=mutual,replay,seq,conf,integ".to_owned());
    }
    arguments.extend(options.split_ascii_whitespace().map(ToOwned::to_owned));
    run("pair", &arguments, environment, &config.clone().with_ntlm())
}

fn run(name: &str, arguments: &[String], environment: &Environment, config: &MechConfig) -> Output {
    let mut environment = environment.clone();
    let config = config.write().display().to_string();
    environment.insert("GSS_MECH_CONFIG".to_owned(), config);
    Harness::named(name).run(arguments, &environment)
}

#[test]
fn programs_that_use_ntlm_see_no_difference() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    let users = &environment["NTLM_USER_FILE"];
    let alone = "cred.mechs=ntlmssp";
    let with_password = "i.cred=password i.cred.name=SPNEGO\\user i.cred.type=user";
    for (options, established) in [
        (String::new(), true),
        ("export=both".to_owned(), true),
        ("early=yes inquire=yes".to_owned(), true),
        ("flags=integ".to_owned(), true),
        ("bindings=the-channel".to_owned(), true),
        ("i.bindings=one a.bindings=other".to_owned(), false),
        (format!("cred=acquire {alone}"), true),
        (format!("cred=acquire {alone} export=both"), true),
        (
            format!("i.cred=from i.store=ntlmssp_keyfile:{users} {alone}"),
            true,
        ),
        (
            format!("cred=acquire a.cred.name=HTTP@localhost a.cred.type=hostbased {alone}"),
            true,
        ),
        (
            format!("cred=acquire i.cred.name=SPNEGO\\user i.cred.type=user {alone}"),
            true,
        ),
        (
            format!("cred=acquire i.cred.name=SPNEGO\\nobody i.cred.type=user {alone}"),
            false,
        ),
        (format!("{with_password} password=sesame {alone}"), true),
        (format!("{with_password} password=guess {alone}"), false),
        (format!("cred=acquire cred.carry=yes {alone}"), false),
        ("i.mutate.1=cut:12".to_owned(), false),
        ("a.mutate.1=flip:20".to_owned(), false),
        ("i.mutate.2=flip:60".to_owned(), true),
        ("i.mutate.2=append:00".to_owned(), true),
    ] {
        let scenario = format!("ntlm {options}");
        let report = assert_same(&scenario, |config| pair(&options, &environment, config));
        let lines = report.lines().filter(|line| line.trim() == "established");
        assert_eq!(lines.count() == 2, established, "{scenario}\n{report}");
    }
}

#[test]
fn what_ntlm_says_of_itself_and_of_names_stays() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    for (name, options) in [
        ("mechs", &["mech=ntlmssp"][..]),
        (
            "names",
            &["mech=ntlmssp", "ask_target=no", "of=contexts"][..],
        ),
    ] {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        assert_same(&format!("ntlm {name}"), |config| {
            run(name, &options, &environment, &config.clone().with_ntlm())
        });
    }
}

/// There is nothing to stand in front of, whatever the configuration says.
#[test]
fn without_gss_ntlmssp_there_is_no_ntlm_without_spnego() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    let arguments = ["both", "mech=ntlmssp"].map(ToOwned::to_owned);
    let report = assert_same("ntlm not installed", |config| {
        run("pair", &arguments, &environment, config)
    });
    assert!(report.contains("BAD_MECH"), "{report}");
}

// ---- the configuration ----

/// Both ends by NTLM alone, each with a configuration.
fn under(i: &str, a: &str, more: &str, environment: &Environment) -> Output {
    let file = |text: &str| {
        let file = scratch_file("spnego.conf");
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let options = format!(
        "messages=no i.env=GSS_SPNEGO_CONFIG={};GSS_SPNEGO_TRACE=stderr \
         a.env=GSS_SPNEGO_CONFIG={};GSS_SPNEGO_TRACE=stderr \
         a.cred=acquire a.cred.mechs=ntlmssp a.cred.name=HTTP@localhost a.cred.type=hostbased {more}",
        file(i),
        file(a)
    );
    let output = pair(&options, environment, &MechConfig::new(Side::Ours));
    assert_eq!(output.status, 0, "{output:?}");
    output
}

/// What a configuration says, and the words of its refusal.
const RESTRICTIONS: [(&str, &str); 12] = [
    ("ntlm = 'off'", "not allowed by ntlm (line 1 of "),
    ("ntlm = 'own'", "by ntlm (line 1 of "),
    ("mechs = ['krb5']", "not allowed by mechs (line 1 of "),
    ("mechs = ['!ntlmssp']", "not allowed by mechs (line 1 of "),
    ("mechs = []", "not allowed by mechs (line 1 of "),
    ("require = ['mic']", "required by require (line 1 of "),
    (
        "require = ['channel_bindings']",
        "required by require (line 1 of ",
    ),
    ("downgrade = 'refuse'", "by downgrade (line 1 of "),
    (
        "[[rule]]\nntlm = 'off'",
        "not allowed by rule 1 (line 1 of ",
    ),
    (
        "[[rule]]\ntarget = 'HTTP@localhost'\nmechs = ['krb5']",
        "not allowed by rule 1 (line 1 of ",
    ),
    (
        "[[rule]]\nprogram = 'pair*'\nmechs = ['!ntlmssp']",
        "not allowed by rule 1 (line 1 of ",
    ),
    (
        "[[rule]]\ntarget = 'HTTP@*'\nrequire = ['channel_bindings']",
        "required by rule 1 (line 1 of ",
    ),
];

/// What a client asks for is compared in a negotiation: an acceptor that requires it takes no other
/// NTLM, and to an initiator it is all the same.
#[test]
fn an_acceptor_that_requires_its_own_name_takes_no_ntlm_without_spnego() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    let text = "require = ['target']";
    let both = |output: &Output| {
        let lines = output.report.lines();
        lines.filter(|line| line.trim() == "established").count() == 2
    };
    let output = under(text, "", "", &environment);
    assert!(both(&output), "{output:?}");
    let output = under("", text, "", &environment);
    assert!(!both(&output), "{output:?}");
    let acceptor = part_of(&output.report, "acceptor");
    let words = "minor: ntlmssp: not allowed without SPNEGO, where the name that a client asks for \
                 is compared, which is required by require (line 1 of ";
    assert!(acceptor.contains(words), "{output:?}");
}

#[test]
fn what_restricts_ntlm_binds_it_without_spnego_in_both_roles() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    for (text, words) in RESTRICTIONS {
        for role in ["initiator", "acceptor"] {
            let (i, a) = match role {
                "initiator" => (text, ""),
                _ => ("", text),
            };
            let output = under(i, a, "", &environment);
            let part = part_of(&output.report, role);
            let refused = format!("{text} for the {role}: {output:?}");
            assert!(
                !part.lines().any(|line| line.trim() == "established"),
                "{refused}"
            );
            assert!(part.contains(": UNAUTHORIZED"), "{refused}");
            let minor = part.lines().find(|line| line.starts_with("minor: "));
            let minor = minor.unwrap_or_default();
            assert!(minor.starts_with("minor: ntlmssp: "), "{refused}");
            assert!(minor.contains(words), "{refused}");
            let mut trace = output.errors.lines();
            let mut told =
                |what: &str| trace.any(|line| line.contains(role) && line.contains(what));
            assert!(told("begins without SPNEGO, by ntlmssp"), "{refused}");
            assert!(told("FAILED: ntlmssp: "), "{refused}");
        }
    }
}

#[test]
fn what_does_not_restrict_ntlm_lets_it_through() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    for text in [
        "",
        "mechs = ['krb5', 'ntlmssp']",
        "mechs = ['ntlmssp']\ndowngrade = 'refuse'\nkerberos_fallback = false",
        "ntlm = 'off'\n[[rule]]\ntarget = 'HTTP@localhost'\nntlm = 'system'",
        "[[rule]]\ntarget = 'ldap@*'\nntlm = 'off'",
        "[[rule]]\nprogram = 'another'\nmechs = []",
        "kerberos_for_ip = false\noptimistic_token = false",
    ] {
        let output = under(text, text, "", &environment);
        let lines = output.report.lines();
        let established = lines.filter(|line| line.trim() == "established").count();
        assert_eq!(established, 2, "{text}: {output:?}");
        assert!(
            output.errors.contains("ESTABLISHED by ntlmssp"),
            "{output:?}"
        );
    }
}

/// Nothing tells what the peer has tried before, so nothing takes Kerberos' place.
#[test]
fn an_acceptor_takes_no_ntlm_in_the_place_of_kerberos() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    let text = "kerberos_fallback = false";
    let output = under(text, text, "", &environment);
    assert!(part_of(&output.report, "initiator").contains("leg 1: CONTINUE_NEEDED"));
    let acceptor = part_of(&output.report, "acceptor");
    assert!(
        acceptor.contains("in the place of Kerberos, by kerberos_fallback (line 1 of "),
        "{output:?}"
    );
}

#[test]
fn channel_bindings_that_are_required_and_shown_let_ntlm_through() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    let text = "require = ['channel_bindings']";
    let output = under(text, text, "bindings=the-channel", &environment);
    let lines = output.report.lines();
    let established = lines.filter(|line| line.trim() == "established").count();
    assert_eq!(established, 2, "{output:?}");
    // The acceptor's peer alone has none.
    let output = under("", text, "a.bindings=the-channel", &environment);
    let acceptor = part_of(&output.report, "acceptor");
    let words = "the initiator has not shown channel bindings, which are required by require";
    assert!(acceptor.contains(words), "{output:?}");
}

/// A program that has run for months obeys what is written today.
#[test]
fn a_file_that_changes_binds_programs_that_run() {
    let Some((_, environment)) = ntlm_users() else {
        return;
    };
    let file = scratch_file("spnego.conf");
    std::fs::write(&file, "").unwrap();
    let config = MechConfig::new(Side::Ours).with_ntlm().write();
    let mut child = Command::new("timeout")
        .args(["-k", "5", "170"])
        .arg(Harness::named("policy").path())
        .arg("ntlmssp")
        .envs(&environment)
        .env("GSS_MECH_CONFIG", config)
        .env("GSS_SPNEGO_CONFIG", &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = || {
        writeln!(orders, "HTTP@localhost").unwrap();
        let lines = answers.by_ref().map(Result::unwrap);
        lines
            .take_while(|line| line.trim() != "done")
            .collect::<String>()
    };
    assert!(ask().contains("CONTINUE_NEEDED"));
    for (text, said) in [
        ("ntlm = 'off'\n", "not allowed by ntlm (line 1 of "),
        ("ntlm = 'system'\n", "CONTINUE_NEEDED"),
        ("mechs = ['krb5']\n", "not allowed by mechs (line 1 of "),
    ] {
        let new = file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &file).unwrap();
        // The harness's own time limit ends it.
        while !ask().contains(said) {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
    drop(orders);
    assert!(child.wait().unwrap().success());
}

// ---- Apache ----

/// Sign in by NTLM without SPNEGO under Negotiate: the statuses of the answers.
fn sign_in(port: u16) -> Vec<u16> {
    let credential = Credential::from_password(UserName::parse("SPNEGO\\user"), "sesame");
    let host = Host::named("client.example.org", None, None);
    let call = Initiate {
        credential: &credential,
        target: Some("HTTP/localhost"),
        bindings: None,
        host: &host,
        machine: &host,
        context_flags: context_flag::INTEGRITY,
    };
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let (mut ntlm, step) = Ntlm::initiate(&call).unwrap();
    let Step::Continue(negotiate) = step else {
        panic!("an answer is awaited");
    };
    let (first, challenge) = request(&mut stream, &negotiate);
    let Some(challenge) = challenge else {
        return vec![first];
    };
    let Ok(Step::Done(Some(authenticate))) = ntlm.continue_initiate(&challenge, &call) else {
        panic!("an initiator ends with AUTHENTICATE");
    };
    vec![first, request(&mut stream, &authenticate).0]
}

/// One request with a token: the status, and the token of the answer.
fn request(stream: &mut BufReader<TcpStream>, token: &[u8]) -> (u16, Option<Vec<u8>>) {
    let token = BASE64_STANDARD.encode(token);
    let text = format!(
        "GET /page HTTP/1.1\r\nHost: localhost\r\nAuthorization: Negotiate {token}\r\n\r\n"
    );
    stream.get_mut().write_all(text.as_bytes()).unwrap();
    let (mut status, mut length, mut answer) = (0, 0, None);
    loop {
        let mut line = String::new();
        assert!(
            stream.read_line(&mut line).unwrap() > 0,
            "the server has closed"
        );
        let line = line.trim_end();
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(token) = line.strip_prefix("WWW-Authenticate: Negotiate ") {
            answer = Some(BASE64_STANDARD.decode(token).unwrap());
        } else if let Some(octets) = line.strip_prefix("Content-Length: ") {
            length = octets.parse().unwrap();
        } else if line.is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).unwrap();
    (status, answer)
}

#[test]
fn apache_obeys() {
    let Some(realm) = Realm::with_plugin() else {
        return;
    };
    if !web_can_be_tested() || !Path::new(GSS_NTLMSSP).exists() {
        return;
    }
    let mechs = MechConfig::new(Side::Ours).with_ntlm().write();
    let site = || {
        Site::new(realm)
            .with_ntlm("SPNEGO:user:sesame\n")
            .with("GssapiAllowedMech krb5")
            .with("GssapiAllowedMech ntlmssp")
            // With a store and no name, gss-ntlmssp takes the credential for a user's.
            .with("GssapiAcceptorName HTTP@localhost")
            .env("GSS_MECH_CONFIG", mechs.display())
    };
    let apache = site().start();
    assert_eq!(sign_in(apache.port), [401, 200], "{}", apache.log());
    for (text, words) in [
        (
            "ntlm = 'off'\nmechs = ['krb5']",
            "not allowed by ntlm (line 1 of ",
        ),
        ("mechs = ['krb5']", "not allowed by mechs (line 1 of "),
        ("mechs = ['!ntlmssp']", "not allowed by mechs (line 1 of "),
        ("mechs = []", "not allowed by mechs (line 1 of "),
        (
            "[[rule]]\nprogram = 'apache2'\nntlm = 'off'",
            "not allowed by rule 1 (line 1 of ",
        ),
    ] {
        let apache = site().policy(text).start();
        assert_eq!(sign_in(apache.port), [401], "{text}: {}", apache.log());
        let log = apache.log();
        assert!(
            log.contains("ntlmssp: ") && log.contains(words),
            "{text}: {log}"
        );
    }
}

// ---- servers of our own ----

/// A server that says on which port it listens, and later why it lets nobody in.
struct Server {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let digits = |c: char| !c.is_ascii_digit();
        let port = line.trim_end().rsplit(digits).next().unwrap();
        Self {
            process,
            said,
            port: port.parse().unwrap(),
        }
    }

    /// `spnego serve`, and the server of the C library's tests.
    fn each(environment: &Environment) -> [(&'static str, Self); 2] {
        let library = Harness::library();
        let objects = [library.to_str().unwrap(), "-lgssapi_krb5"];
        let c = Harness::linked("http_server", &["http_server", "http_message"], &objects);
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        [
            (
                "serve",
                Self::start(Command::new(support::tool()).args(serve).envs(environment)),
            ),
            (
                "the C library",
                Self::start(
                    Command::new(c.path())
                        .args(["-n", "-N", "-v"])
                        .envs(environment),
                ),
            ),
        ]
    }

    /// The status for a first token, and what it says from then to its end.
    fn ask(mut self, token: &[u8]) -> (u16, String) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut stream = BufReader::new(stream);
        let (status, _) = request(&mut stream, token);
        drop(stream);
        let _ = self.process.kill();
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (status, rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first token of a mechanism alone.
fn first_token(mech: &str, environment: &Environment) -> Vec<u8> {
    let mut child = Command::new(Harness::named("policy").path())
        .arg(mech)
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = child.stdin.take().unwrap();
    writeln!(orders, "token HTTP@localhost").unwrap();
    drop(orders);
    let said = child.wait_with_output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    support::unhex(said.lines().nth(1).unwrap())
}

#[test]
fn our_own_servers_bind_kerberos_too() {
    let realm = realm!();
    for side in [Side::Ours, Side::BuiltIn] {
        let mut environment = realm.environment();
        let config = MechConfig::new(side).with_ntlm().write();
        environment.insert("GSS_MECH_CONFIG".into(), config.display().to_string());
        // One token for all of them.
        environment.insert("KRB5RCACHENAME".into(), "none:".into());
        let krb5 = first_token("krb5", &environment);
        let ntlm = [
            &b"NTLMSSP\0\x01\0\0\0"[..],
            &[0x97, 0x82, 0x08, 0xe2],
            &[0; 24],
        ]
        .concat();
        for (text, token, status, words) in [
            ("", &krb5, 200, ""),
            ("ntlm = 'off'", &krb5, 200, ""),
            ("require = ['target']", &krb5, 200, ""),
            (
                "mechs = ['ntlmssp']",
                &krb5,
                401,
                "krb5: not allowed by mechs (line 1 of ",
            ),
            (
                "mechs = []",
                &krb5,
                401,
                "krb5: not allowed by mechs (line 1 of ",
            ),
            (
                "require = ['mic']",
                &krb5,
                401,
                "krb5: not allowed without SPNEGO, which alone has the mechListMIC",
            ),
            (
                "require = ['mutual']",
                &krb5,
                401,
                "krb5: mutual authentication is required by require (line 1 of ",
            ),
            (
                "require = ['channel_bindings']",
                &krb5,
                401,
                "krb5: the initiator has not shown channel bindings, which are required by",
            ),
            (
                "mechs = ['ntlmssp', 'krb5']\ndowngrade = 'refuse'",
                &krb5,
                401,
                "krb5: not allowed without SPNEGO, which protects the choice of it over ntlmssp",
            ),
            (
                "[[rule]]\nprogram = ['spnego', 'http_server']\nmechs = ['ntlmssp']",
                &krb5,
                401,
                "krb5: not allowed by rule 1 (line 1 of ",
            ),
            (
                "require = ['target']",
                &ntlm,
                401,
                "ntlmssp: not allowed without SPNEGO, where the name that a client asks for is",
            ),
            (
                "mechs = ['krb5']",
                &ntlm,
                401,
                "ntlmssp: not allowed by mechs (line 1 of ",
            ),
            (
                "ntlm = 'off'",
                &ntlm,
                401,
                "ntlmssp: not allowed by ntlm (line 1 of ",
            ),
        ] {
            let file = scratch_file("spnego.conf");
            std::fs::write(&file, text).unwrap();
            environment.insert("GSS_SPNEGO_CONFIG".into(), file.display().to_string());
            for (which, server) in Server::each(&environment) {
                let (answered, said) = server.ask(token);
                assert_eq!(answered, status, "{side:?}, {which}, {text}: {said}");
                assert!(said.contains(words), "{side:?}, {which}, {text}: {said}");
            }
        }
    }
}

// ---- the doctor ----

#[test]
fn the_doctor_tries_what_is_forbidden() {
    let Some((realm, environment)) = ntlm_users() else {
        return;
    };
    let doctor = |text: &str, config: MechConfig| {
        let file = scratch_file("spnego.conf");
        std::fs::write(&file, text).unwrap();
        let output = Command::new(support::tool())
            .args(["doctor", "HTTP@localhost"])
            .envs(&environment)
            .env("KRB5CCNAME", realm.cache("user"))
            .env("GSS_MECH_CONFIG", config.write())
            .env("GSS_SPNEGO_CONFIG", &file)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let ours = || MechConfig::new(Side::Ours).with_ntlm();
    let built_in = || MechConfig::new(Side::BuiltIn).with_ntlm();
    let refused = "ok       a service of MIT krb5 refuses ntlmssp without SPNEGO";
    let ntlm = "fault    ntlmssp is not allowed by ntlm (line 1 of ";
    let krb5 = "fault    krb5 is not allowed by mechs (line 1 of ";
    let past = "but gets past that without SPNEGO in services of MIT krb5\n           -> ";

    let said = doctor("", ours());
    assert!(!said.contains("without SPNEGO"), "{said}");
    let said = doctor("ntlm = 'off'\n", ours());
    assert!(
        said.contains(refused) && !said.contains("gets past"),
        "{said}"
    );
    // A rule for another program than the one that tries.
    let said = doctor("[[rule]]\ntarget = 'HTTP@*'\nntlm = 'off'\n", ours());
    assert!(
        said.contains(refused) && !said.contains("gets past"),
        "{said}"
    );
    let said = doctor("ntlm = 'off'\n", built_in());
    assert!(said.contains(ntlm) && said.contains(past), "{said}");
    assert!(
        said.contains("-> load gss-spnego there, or remove line 1 of "),
        "{said}"
    );
    // Who else may stand there.
    let other = built_in().with_line("other 2.25.7301.99 /nonexistent.so - <interposer>");
    let said = doctor("ntlm = 'off'\n", other);
    assert!(
        said.contains("whose plugin may stand before ntlmssp"),
        "{said}"
    );
    let said = doctor("mechs = ['ntlmssp']\n", ours());
    assert!(said.contains(krb5) && said.contains(past), "{said}");
    let remedy =
        "-> have the service acquire its credential for SPNEGO alone, or take its keys out";
    assert!(said.contains(remedy), "{said}");
}

const GSS_NTLMSSP: &str = "/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so";

//! Negotiate and Nego2 in HTTP between whole programs: the examples in C against each other,
//! against Apache, and the server's against curl, Python's requests and Chromium; and whose
//! functions a program gets that is linked with the library for C.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use support::{Environment, Harness, MechConfig, Output, Realm, Side, free_port, realm};

const KRB5: &str = "{ 1 2 840 113554 1 2 2 }";
const NTLM: &str = "{ 1 3 6 1 4 1 311 2 2 10 }";

#[test]
fn nego2_over_kerberos_is_the_exchange_of_ms_n2ht_section_4() {
    let realm = realm!();
    for side in [Side::Ours, Side::BuiltIn] {
        let server = Server::start(realm, side, &["-N", "-v"]);
        let run = server.client(realm, side, &["-v"], &["/test.htm"]);
        let said = run.ok();
        println!("{side:?}\n{said}");
        let lines: Vec<&str> = said.lines().collect();
        let shown: Vec<&str> = lines.iter().map(|line| without_token(line)).collect();
        assert_eq!(
            shown,
            [
                "> GET /test.htm HTTP/1.1",
                "> Host: localhost",
                "< HTTP/1.1 401 Unauthorized",
                "< WWW-Authenticate: Nego2",
                "< Content-Type: text/plain",
                "< Content-Length: 8",
                "> GET /test.htm HTTP/1.1",
                "> Host: localhost",
                "> Authorization: Nego2",
                "< HTTP/1.1 200 OK",
                "< WWW-Authenticate: Nego2",
                "< Persistent-Auth: false",
                "< Content-Type: text/plain",
                "< Content-Length: 52",
                "/test.htm 200 authenticated peer",
                "| Hello user@SPNEGO.TEST, by { 1 2 840 113554 1 2 2 }",
            ]
        );
        // The example's challenge and credentials are a NegTokenInit2 and a NegTokenInit, each with
        // the header of an initial token of SPNEGO: 60 L 06 06 2b 06 01 05 05 02 a0 L 30 L a0.
        for line in [lines[3], lines[8]] {
            assert!(is_initial_token(&token(line)), "{line}");
        }
        // A NegTokenResp.
        assert_eq!(token(lines[10])[0], 0xa1);
    }
}

#[test]
fn negotiate_is_bare_in_the_first_challenge_and_nego2_goes_before_it() {
    let realm = realm!();
    let server = Server::start(realm, Side::Ours, &["-n", "-v"]);
    let said = server.client(realm, Side::Ours, &["-v"], &["/"]).ok();
    assert!(said.contains("< WWW-Authenticate: Negotiate\n"), "{said}");
    assert!(said.contains("> Authorization: Negotiate Y"), "{said}");

    let server = Server::start(realm, Side::Ours, &["-n", "-N"]);
    let said = server.client(realm, Side::Ours, &["-v"], &["/"]).ok();
    assert!(said.contains("< WWW-Authenticate: Negotiate\n"), "{said}");
    assert!(said.contains("> Authorization: Nego2 Y"), "{said}");
}

#[test]
fn kerberos_authenticates_each_request_or_the_connection() {
    let realm = realm!();
    let per_request = Server::start(realm, Side::Ours, &["-n", "-v"]);
    let said = per_request
        .client(realm, Side::Ours, &[], &["/a", "/b"])
        .ok();
    assert_eq!(count(&said, "authenticated peer"), 2, "{said}");
    assert_eq!(count(&said, "persistent 0"), 2, "{said}");
    assert_eq!(count(&per_request.log(), "Authorization: "), 2);

    let once = Server::start(realm, Side::Ours, &["-n", "-c", "-v"]);
    let said = once.client(realm, Side::Ours, &[], &["/a", "/b"]).ok();
    assert!(said.contains("/a 200 authenticated peer"), "{said}");
    assert!(said.contains("/b 200 unconcerned"), "{said}");
    assert_eq!(count(&said, "persistent 1"), 2, "{said}");
    assert_eq!(count(&once.log(), "Authorization: "), 1);
    assert_eq!(count(&once.log(), "Hello user@SPNEGO.TEST"), 2);

    // Another connection is another client's.
    let said = once.client(realm, Side::Ours, &[], &["/c"]).ok();
    assert!(said.contains("/c 200 authenticated peer"), "{said}");
}

#[test]
fn a_client_may_authenticate_unasked() {
    let realm = realm!();
    let server = Server::start(realm, Side::Ours, &["-n"]);
    let said = server.client(realm, Side::Ours, &["-u", "-v"], &["/"]).ok();
    assert!(!said.contains(" 401 "), "{said}");
    assert!(said.contains("/ 200 authenticated peer"), "{said}");
}

#[test]
fn ntlm_authenticates_a_kept_connection_once() {
    let realm = realm!();
    let Some(ntlm) = ntlm(realm) else { return };
    let server = Server::start_with(&ntlm, &["-n", "-c", "-v"]);
    let said = server.client_with(&ntlm, &[], &["/a", "/b"]).ok();
    assert!(said.contains("/a 200 authenticated"), "{said}");
    assert!(said.contains(NTLM), "{said}");
    assert!(said.contains("/b 200 unconcerned"), "{said}");
    assert_eq!(count(&said, "persistent 1"), 2, "{said}");
    // NEGOTIATE and AUTHENTICATE, for both requests together.
    assert_eq!(count(&server.log(), "> Authorization: "), 2);
    assert_eq!(count(&server.log(), "Hello SPNEGO\\user,"), 2);
}

#[test]
fn ntlm_per_request_is_what_persistent_auth_false_says() {
    let realm = realm!();
    let Some(ntlm) = ntlm(realm) else { return };
    let server = Server::start_with(&ntlm, &["-n", "-v"]);
    let said = server.client_with(&ntlm, &[], &["/a", "/b"]).ok();
    assert_eq!(count(&said, "200 authenticated"), 2, "{said}");
    assert_eq!(count(&said, "persistent 0"), 2, "{said}");
    assert_eq!(count(&server.log(), "> Authorization: "), 4);
}

#[test]
fn http2_takes_one_round_trip_and_refuses_more_with_a_reason() {
    let realm = realm!();
    let server = Server::start(realm, Side::Ours, &["-n", "-2"]);
    let said = server.client(realm, Side::Ours, &["-2"], &["/"]).ok();
    assert!(said.contains("/ 200 authenticated peer"), "{said}");

    let Some(ntlm) = ntlm(realm) else { return };
    let server = Server::start_with(&ntlm, &["-n", "-2"]);
    let output = server.client_with(&ntlm, &[], &["/"]);
    assert_eq!(output.status, 1, "{}", output.report);
    assert!(server.log().contains("use HTTP/1.1"), "{}", server.log());

    let server = Server::start_with(&ntlm, &["-n"]);
    let output = server.client_with(&ntlm, &["-2"], &["/"]);
    assert_eq!(output.status, 1, "{}", output.report);
    assert!(output.report.contains("use HTTP/1.1"), "{}", output.report);

    let output = program("http_server").run(&["-n".into(), "-2".into(), "-c".into()], &ntlm);
    assert_eq!(output.status, 1);
    assert!(
        output.report.contains("whole connection of HTTP/2"),
        "{}",
        output.report
    );
}

#[test]
fn proxies_have_clients_sign_in() {
    let realm = realm!();
    let proxy = Server::start(realm, Side::Ours, &["-n", "-N", "-p", "-v"]);
    let said = proxy.client(realm, Side::Ours, &["-p", "-v"], &["/"]).ok();
    for line in [
        "< HTTP/1.1 407 Proxy Authentication Required",
        "< Proxy-Authenticate: Nego2 Y",
        "> Proxy-Authorization: Nego2 Y",
        "/ 200 authenticated peer",
    ] {
        assert!(said.contains(line), "no '{line}' in {said}");
    }
    // What it says is the origin server's to say.
    assert!(!said.contains("Persistent-Auth"), "{said}");

    let said = proxy.curl(
        realm,
        &["--proxy-negotiate", "-U", ":", "-x", &proxy.url("")],
        "http://origin.invalid/page",
    );
    assert!(said.contains("Hello user@SPNEGO.TEST"), "{said}");
}

#[test]
fn a_forwarding_proxy_has_to_promise_to_keep_connections_apart() {
    let realm = realm!();
    let server = Server::start(realm, Side::Ours, &["-n"]);
    let output = server.client(realm, Side::Ours, &["-f"], &["/"]);
    assert_eq!(output.status, 1);
    assert!(
        output.report.contains("Session-Based-Authentication"),
        "{}",
        output.report
    );
}

#[test]
fn failures_say_why() {
    let realm = realm!();
    let server = Server::start(realm, Side::Ours, &["-n"]);
    let mut without = variables(realm, Side::Ours);
    without.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    let output = server.client_with(&without, &[], &["/"]);
    assert_eq!(output.status, 1);
    assert!(output.report.contains("/ 401 failed"), "{}", output.report);
    assert!(output.report.contains("krb5"), "{}", output.report);

    let mut wrong = variables(realm, Side::Ours);
    let keytab = realm.keytab("wrong").display().to_string();
    wrong.insert("KRB5_KTNAME".into(), keytab);
    let server = Server::start_with(&wrong, &["-n"]);
    let output = server.client(realm, Side::Ours, &[], &["/"]);
    assert_eq!(output.status, 1, "{}", output.report);
    assert!(server.log().contains("refused: "), "{}", server.log());
    assert!(!server.log().contains("Hello"), "{}", server.log());
}

#[test]
fn a_client_leaves_no_memory_behind() {
    let realm = realm!();
    if !support::installed(&["valgrind"]) {
        return;
    }
    let server = Server::start(realm, Side::Ours, &["-n", "-N"]);
    let arguments = ["localhost", &server.port.to_string(), "/a", "/b"].map(ToOwned::to_owned);
    let said = program("http_client")
        .run_checked(&arguments, &variables(realm, Side::Ours))
        .ok();
    assert_eq!(count(&said, "200 authenticated"), 2, "{said}");
}

#[test]
fn curl_signs_in_to_our_server() {
    let realm = realm!();
    if !support::installed(&["curl"]) {
        return;
    }
    for options in [&["-n", "-N"][..], &["-n", "-c"]] {
        let server = Server::start(realm, Side::Ours, options);
        let said = server.curl(realm, &["--negotiate", "-u", ":"], &server.url("/page"));
        assert_eq!(said, format!("Hello user@SPNEGO.TEST, by {KRB5}\n"));
    }
}

#[test]
fn requests_gssapi_signs_in_to_our_server_and_verifies_it() {
    let realm = realm!();
    let Some(python) = support::python_with("requests_gssapi") else {
        return;
    };
    let server = Server::start(realm, Side::Ours, &["-n", "-N"]);
    let script = "import sys, requests, requests_gssapi as g\n\
        session = requests.Session()\n\
        session.trust_env = False\n\
        session.auth = g.HTTPSPNEGOAuth(mutual_authentication=g.REQUIRED)\n\
        for _ in range(2):\n    answer = session.get(sys.argv[1])\n    \
        print(answer.status_code, answer.text)\n";
    let said = output(
        Command::new(python)
            .args(["-c", script, &server.url("/")])
            .envs(variables(realm, Side::Ours)),
    );
    assert_eq!(count(&said, "200 Hello user@SPNEGO.TEST"), 2, "{said}");
}

#[test]
fn chromium_signs_in_to_our_server() {
    let realm = realm!();
    if !support::installed(&["chromium"]) {
        return;
    }
    let server = Server::start(realm, Side::Ours, &["-n", "-N", "-c"]);
    let home = support::scratch_file("chromium");
    std::fs::create_dir_all(&home).unwrap();
    let said = output(
        Command::new("timeout")
            .args(["-k", "5", "50", "chromium", "--headless", "--no-sandbox"])
            .args(["--disable-gpu", "--no-first-run", "--no-proxy-server"])
            .args(["--disable-background-networking", "--disable-sync"])
            .args(["--auth-server-allowlist=localhost", "--dump-dom"])
            .arg(format!("--user-data-dir={}", home.display()))
            .arg(asks_until_served(&server))
            .env("HOME", &home)
            .envs(variables(realm, Side::Ours)),
    );
    let log = server.log();
    assert!(
        log.contains(&format!("Hello user@SPNEGO.TEST, by {KRB5}")),
        "{said}\n{log}"
    );
}

#[test]
fn our_client_signs_in_to_apache() {
    let realm = realm!();
    if !Apache::can_run() {
        return;
    }
    let apache = Apache::start(realm);
    let said = apache.server.client(
        realm,
        Side::Ours,
        &["-v"],
        &["/each/page", "/each/page", "/once/page", "/once/page"],
    );
    let said = said.ok();
    assert_eq!(
        count(&said, "/each/page 200 authenticated peer"),
        2,
        "{said}"
    );
    assert_eq!(
        count(&said, "/once/page 200 authenticated peer"),
        1,
        "{said}"
    );
    assert!(said.contains("/once/page 200 unconcerned"), "{said}");
    assert!(said.contains("< Persistent-Auth: true"), "{said}");
    assert!(said.contains("| Hello from Apache"), "{said}");
}

/// Whose SPNEGO and whose NTLM a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ntlm {
    /// The system's SPNEGO over gss-ntlmssp.
    System,
    /// Our SPNEGO over gss-ntlmssp.
    Over,
    /// Our SPNEGO and, though gss-ntlmssp is there, our NTLM.
    Own,
    /// The same without gss-ntlmssp.
    OwnAlone,
}

impl Ntlm {
    const ALL: [Self; 4] = [Self::System, Self::Over, Self::Own, Self::OwnAlone];

    /// The environment of a program without a ticket. The plugin's trace goes to `trace`.
    fn environment(self, realm: &Realm, users: &Path, trace: &Path) -> Environment {
        let config = match self {
            Self::System => MechConfig::new(Side::BuiltIn).with_ntlm(),
            Self::OwnAlone => MechConfig::new(Side::Ours),
            Self::Over | Self::Own => MechConfig::new(Side::Ours).with_ntlm(),
        };
        let provider = match self {
            Self::System | Self::Over => "system",
            Self::Own | Self::OwnAlone => "own",
        };
        let mut variables = realm.environment();
        for (name, value) in [
            ("GSS_MECH_CONFIG", config.write()),
            (
                "GSS_SPNEGO_CONFIG",
                support::configuration(&[("ntlm", provider)]),
            ),
            ("GSS_SPNEGO_TRACE", trace.to_owned()),
            ("NTLM_USER_FILE", users.to_owned()),
            ("KRB5CCNAME", "/nonexistent".into()),
        ] {
            variables.insert(name.into(), value.display().to_string());
        }
        variables
    }

    /// What its trace has of a sign-in, as a client or as a server.
    fn assert_traced(self, server: bool, trace: &Path) {
        let trace = std::fs::read_to_string(trace).unwrap();
        let own = if server {
            "ntlm: accepted SPNEGO\\\\user"
        } else {
            "ntlm: answered the challenge as SPNEGO\\\\user"
        };
        let by_own = matches!(self, Self::Own | Self::OwnAlone);
        assert_eq!(trace.contains(own), by_own, "{self:?}: {trace}");
        let by_plugin = self != Self::System;
        assert_eq!(trace.contains("ntlmssp: "), by_plugin, "{self:?}: {trace}");
    }
}

/// The keytab, for the workers of a root's Apache, who are somebody else.
fn readable_keytab(realm: &Realm) -> PathBuf {
    let keytab = support::scratch_file("keytab");
    std::fs::copy(realm.keytab("service"), &keytab).unwrap();
    output(Command::new("chmod").arg("644").arg(&keytab));
    keytab
}

/// A file that every user may write to.
/// An empty file; a trace is written only to one that is the process's own, or root's.
fn empty_file(stem: &str) -> PathBuf {
    let file = support::scratch_file(stem);
    std::fs::write(&file, "").unwrap();
    file
}

#[test]
fn curl_signs_in_to_apache_by_ntlm_without_a_ticket() {
    let realm = realm!();
    if ntlm(realm).is_none() || !Apache::can_run() || !support::installed(&["curl"]) {
        return;
    }
    let users = support::scratch_file("ntlm-users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    let keytab = readable_keytab(realm);
    let liars = support::scratch_file("ntlm-liars");
    std::fs::write(&liars, "SPNEGO:user:guess\n").unwrap();
    for server in Ntlm::ALL {
        let trace = empty_file("apache-trace");
        if std::fs::metadata(&trace).unwrap().uid() == 0 {
            support::give_to_apache(&trace);
        }
        let mut variables = server.environment(realm, &users, &trace);
        variables.insert("KRB5_KTNAME".into(), keytab.display().to_string());
        let mut directives = "GssapiAllowedMech krb5\n GssapiAllowedMech ntlmssp\n".to_owned();
        if server != Ntlm::System {
            // gss-ntlmssp takes a store for a user's, and can crash the worker of the built-in.
            directives += &format!(" GssapiCredStore keytab:{}\n", keytab.display());
        }
        let apache = Apache::start_with(&variables, &directives);
        for client in Ntlm::ALL {
            let trace = empty_file("curl-trace");
            let said = apache.curl_twice(&client.environment(realm, &users, &trace));
            let both = format!(
                "{client:?} to {server:?}: {said}\n{}",
                apache.log("error.log")
            );
            assert_eq!(count(&said, "Hello from Apache"), 2, "{both}");
            // NEGOTIATE and AUTHENTICATE, and nothing with the second page.
            assert_eq!(count(&said, "> Authorization: Negotiate "), 2, "{both}");
            assert_eq!(count(&said, "* Connected to localhost"), 1, "{both}");
            client.assert_traced(false, &trace);

            let said = apache.curl_twice(&client.environment(realm, &liars, &trace));
            assert_eq!(count(&said, "Hello from Apache"), 0, "{said}");
            assert!(said.contains("401 Unauthorized"), "{said}");

            let mut with_ticket = client.environment(realm, &users, &trace);
            let cache = realm.cache("user").display().to_string();
            with_ticket.insert("KRB5CCNAME".into(), cache);
            let said = apache.curl_twice(&with_ticket);
            assert_eq!(count(&said, "Hello from Apache"), 2, "{said}");
        }
        server.assert_traced(true, &trace);
        let requests = apache.log("requests");
        let signed_in = count(&requests, "200 SPNEGO\\\\user ");
        assert_eq!(signed_in, 2 * Ntlm::ALL.len(), "{server:?}: {requests}");
        let by_ticket = count(&requests, "200 user@SPNEGO.TEST ");
        assert_eq!(by_ticket, 2 * Ntlm::ALL.len(), "{server:?}: {requests}");
        assert!(!apache.log("error.log").contains("sesame"));
    }
}

#[test]
fn a_program_gets_the_functions_of_its_gssapi_library_in_any_order() {
    if support::plugin().is_none() {
        return;
    }
    let library = Harness::library();
    let library = library.to_str().unwrap();
    for (name, objects) in [
        ("order_gssapi_first", ["-DLINKED", "-lgssapi_krb5", library]),
        ("order_ours_first", ["-DLINKED", library, "-lgssapi_krb5"]),
    ] {
        let said = Harness::linked(name, &["link_order"], &objects)
            .run(&[], &Environment::new())
            .ok();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "gss_init_sec_context libgssapi_krb5.so.2",
                "gss_accept_sec_context libgssapi_krb5.so.2",
                "gss_import_name libgssapi_krb5.so.2",
                "gss_release_buffer libgssapi_krb5.so.2",
                "gss_spnego_http_client_new libgss_spnego.so.0",
                "client made",
                "client released",
            ],
            "{name}"
        );
    }
}

#[test]
fn the_library_can_be_loaded_by_dlopen() {
    let program = Harness::linked("order_dlopen", &["link_order"], &["-ldl"]);
    let library = Harness::library().display().to_string();
    assert_eq!(
        program.run(&[library], &Environment::new()).ok(),
        "gss_spnego_http_client_new libgss_spnego.so.0\nclient made\nclient released\n"
    );
}

#[test]
fn the_library_exports_what_its_header_declares() {
    if !support::installed(&["nm"]) {
        return;
    }
    let exported = support::exported(&Harness::library());
    let header = include_str!("../include/gss_spnego.h");
    let mut declared: Vec<&str> = header
        .lines()
        .filter_map(|line| line.strip_prefix("OM_uint32 ")?.split('(').next())
        .collect();
    declared.sort_unstable();
    assert_eq!(exported, declared);
}

#[test]
fn the_header_names_the_options_that_the_plugin_knows() {
    let header = include_str!("../include/gss_spnego.h");
    for (name, oid) in [
        ("MAX_OUTPUT_TOKEN_SIZE", spnego::oid::MAX_OUTPUT_TOKEN_SIZE),
        ("NEG_MECHS", spnego::oid::SET_NEG_MECHS),
    ] {
        let arcs = oid.to_string().replace('.', " ");
        let line = format!("#define GSS_SPNEGO_OPTION_{name} \"{{ {arcs} }}\"\n");
        assert!(header.contains(&line), "{line}");
    }
}

/// A server that runs, and what it prints. Stopped when dropped.
struct Server {
    process: Child,
    log: PathBuf,
    port: u16,
}

impl Server {
    fn start(realm: &Realm, side: Side, options: &[&str]) -> Self {
        Self::start_with(&variables(realm, side), options)
    }

    fn start_with(variables: &Environment, options: &[&str]) -> Self {
        let mut command = Command::new(program("http_server").path());
        let mut server = Self::spawn(command.args(options).envs(variables), 0);
        server.wait_until(|server| server.log().contains("port ") && server.log().contains('\n'));
        let log = server.log();
        let port = log.lines().next().unwrap().strip_prefix("port ").unwrap();
        server.port = port.parse().unwrap();
        server
    }

    fn spawn(command: &mut Command, port: u16) -> Self {
        let log = support::scratch_file("http-log");
        let file = std::fs::File::create(&log).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { process, log, port }
    }

    /// Wait for something that must happen unless the server ends.
    fn wait_until(&mut self, happened: impl Fn(&Self) -> bool) {
        while !happened(self) {
            assert!(
                self.process.try_wait().unwrap().is_none(),
                "the server ended: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    fn client(&self, realm: &Realm, side: Side, options: &[&str], paths: &[&str]) -> Output {
        self.client_with(&variables(realm, side), options, paths)
    }

    fn client_with(&self, variables: &Environment, options: &[&str], paths: &[&str]) -> Output {
        let port = self.port.to_string();
        let arguments: Vec<String> = options
            .iter()
            .chain(&["localhost", &port])
            .chain(paths)
            .map(|argument| (*argument).to_owned())
            .collect();
        program("http_client").run(&arguments, variables)
    }

    fn curl(&self, realm: &Realm, options: &[&str], url: &str) -> String {
        output(
            Command::new("curl")
                .args(["-q", "--silent", "--show-error", "--max-time", "20"])
                .args(options)
                .arg(url)
                .env("no_proxy", "localhost")
                .envs(variables(realm, Side::Ours)),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = self.process.id().try_into().unwrap();
        // Apache stops its workers when it is asked to.
        // SAFETY: our child, not waited for before.
        unsafe { libc::kill(process, libc::SIGTERM) };
        let _ = self.process.wait();
    }
}

/// The address of a page that asks `server` again and again, and is loaded when somebody has signed
/// in there: Chromium does not answer the first challenge after its start.
fn asks_until_served(server: &Server) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (target, log) = (server.url("/page"), server.log.clone());
    let signed_in = move || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("Hello "));
    let page = format!(
        "<img src=/done><script>setInterval(() => fetch('{target}', \
         {{mode: 'no-cors', credentials: 'include'}}), 100)</script>"
    );
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (page, signed_in) = (page.clone(), signed_in.clone());
            std::thread::spawn(move || answer(connection.unwrap(), &page, signed_in));
        }
    });
    format!("http://localhost:{port}/")
}

/// One request: `/done` is answered when `ready`, everything else with the page.
fn answer(mut connection: std::net::TcpStream, page: &str, ready: impl Fn() -> bool) {
    let mut request = [0; 4096];
    let length = connection.read(&mut request).unwrap_or(0);
    while request[..length].starts_with(b"GET /done") && !ready() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    );
}

/// Apache with mod_auth_gssapi over the system's SPNEGO: `/each` per request, `/once` per
/// connection.
struct Apache {
    server: Server,
    directory: PathBuf,
}

impl Apache {
    fn start(realm: &Realm) -> Self {
        let keytab = readable_keytab(realm);
        let kerberos = format!(
            "GssapiCredStore keytab:{}\n GssapiAllowedMech krb5",
            keytab.display()
        );
        let variables = variables(realm, Side::BuiltIn);
        Self::start_with(&variables, &kerberos)
    }

    /// One in this environment, with these directives where one has to sign in.
    fn start_with(variables: &Environment, directives: &str) -> Self {
        let directory = support::scratch_file("apache");
        let place = directory.display();
        for pages in ["pages/each", "pages/once"] {
            std::fs::create_dir_all(directory.join(pages)).unwrap();
            std::fs::write(directory.join(pages).join("page"), "Hello from Apache\n").unwrap();
        }
        let port = free_port();
        let modules = "/usr/lib/apache2/modules";
        let protected = |path: &str, more: &str| {
            format!(
                "<Location {path}>\n AuthType GSSAPI\n AuthName \"test\"\n \
                 {directives}\n {more}\n Require valid-user\n</Location>\n"
            )
        };
        let configuration = format!(
            "ServerRoot {place}\nServerName localhost\nDefaultRuntimeDir {place}\n\
             PidFile {place}/pid\nListen 127.0.0.1:{port}\nUser www-data\nGroup www-data\n\
             LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
             LoadModule authn_core_module {modules}/mod_authn_core.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n\
             LoadModule authz_user_module {modules}/mod_authz_user.so\n\
             LoadModule auth_gssapi_module {modules}/mod_auth_gssapi.so\n\
             StartServers 1\nServerLimit 2\nThreadsPerChild 4\nMaxRequestWorkers 8\n\
             MinSpareThreads 1\nMaxSpareThreads 8\nKeepAlive On\n\
             ErrorLog {place}/error.log\nLogLevel info\n\
             LogFormat \"%>s %u %{{GSS_NAME}}e\" test\nCustomLog {place}/requests test\n\
             DocumentRoot {place}/pages\n{}{}",
            protected("/each", ""),
            protected(
                "/once",
                "GssapiConnectionBound On\n GssapiSignalPersistentAuth On"
            ),
        );
        let file = directory.join("httpd.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(support::find_program("apache2").unwrap());
        let mut server = Server::spawn(
            command
                .args(["-X", "-f"])
                .arg(&file)
                .envs(variables)
                .env("KRB5RCACHETYPE", "none")
                .env("KRB5RCACHENAME", "none:"),
            port,
        );
        server
            .wait_until(|server| std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok());
        Self { server, directory }
    }

    fn can_run() -> bool {
        let module = Path::new("/usr/lib/apache2/modules/mod_auth_gssapi.so");
        support::installed(&["apache2"])
            && (module.exists() || support::skip("mod_auth_gssapi is not installed"))
    }

    /// Two pages on one connection, by curl; what it says of itself and the pages.
    fn curl_twice(&self, variables: &Environment) -> String {
        let page = self.server.url("/once/page");
        let done = Command::new("curl")
            .args(["-q", "--verbose", "--max-time", "20"])
            .args(["--negotiate", "-u", ":", &page, &page])
            .env("no_proxy", "localhost")
            .envs(variables)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    }

    /// What it has written to one of its logs.
    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }
}

/// One of the examples.
fn program(name: &str) -> Harness {
    let library = Harness::library();
    Harness::linked(
        name,
        &[name, "http_message"],
        &[library.to_str().unwrap(), "-lgssapi_krb5"],
    )
}

fn variables(realm: &Realm, side: Side) -> Environment {
    let mut variables = realm.environment();
    let mechs = MechConfig::new(side).write();
    variables.insert("GSS_MECH_CONFIG".into(), mechs.display().to_string());
    variables
}

/// Both ends by NTLM; `None` where there is none.
fn ntlm(realm: &Realm) -> Option<Environment> {
    if !Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        support::skip("gss-ntlmssp is not installed");
        return None;
    }
    let users = support::scratch_file("ntlm-users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    let mut variables = realm.environment();
    let mechs = MechConfig::new(Side::Ours).with_ntlm().write();
    for (name, value) in [
        ("GSS_MECH_CONFIG", mechs.display().to_string()),
        ("GSS_SPNEGO_MECHS", "ntlmssp".to_owned()),
        ("NTLM_USER_FILE", users.display().to_string()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    Some(variables)
}

/// What a program printed that must end well.
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}\n{errors}");
    said
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// A header line without its token, and the line about a peer without the peer.
fn without_token(line: &str) -> &str {
    match line.find("Nego2 ").map(|at| at + 5) {
        Some(end) => &line[..end],
        None => line.split_once(" HTTP@").map_or_else(
            || {
                line.split_once(" peer ")
                    .map_or(line, |(before, _)| &line[..before.len() + 5])
            },
            |(before, _)| before,
        ),
    }
}

/// The token of a header line.
fn token(line: &str) -> Vec<u8> {
    let (_, encoded) = line.rsplit_once(' ').unwrap();
    BASE64_STANDARD.decode(encoded).unwrap()
}

/// `60 L 06 06 2b 06 01 05 05 02 a0 L 30 L a0`, each length in whatever form.
fn is_initial_token(token: &[u8]) -> bool {
    let after = |octets: &[u8], tag: u8| {
        assert_eq!(octets[0], tag, "{token:02x?}");
        let long = usize::from(octets[1] & 0x7f) * usize::from(octets[1] >> 7);
        octets[2 + long..].to_vec()
    };
    let content = after(token, 0x60);
    let Some(init) = content.strip_prefix(b"\x06\x06\x2b\x06\x01\x05\x05\x02") else {
        return false;
    };
    after(&after(init, 0xa0), 0x30)[0] == 0xa0
}

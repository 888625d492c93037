//! The command-line tool in a realm: `get` and `serve` with each other, with Apache and with curl,
//! with and without TLS, and against peers that do not end; `doctor` on machines that are well and
//! ill.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use support::{Environment, MechConfig, Realm, Side, Site, realm, scratch_file};

// ---------------------------------------------------------------- get and serve

#[test]
fn get_signs_in_to_serve_and_both_show_each_leg() {
    let realm = realm!();
    for side in [Side::Ours, Side::BuiltIn] {
        let mut server = Server::start(&with(realm, side), &[]);
        let run = get(&with(realm, side), &[&server.url("/page")]);
        assert_eq!(run.status, 0, "{run:?}");
        let seen = run.events();
        let shown = (
            seen.named("request").count(),
            seen.named("response").count(),
        );
        assert_eq!(shown, (2, 2), "{run:?}");
        // Nego2's challenge carries the acceptor's offer, the request ours.
        let challenge = &seen.one("response")["challenges"][0];
        assert_eq!(challenge["scheme"], "Nego2");
        assert_eq!(challenge["token"]["kind"], "NegTokenInit");
        let credentials = &seen.named("request").nth(1).unwrap()["credentials"][0];
        assert_eq!(credentials["token"]["offered"][0], "krb5");
        assert_eq!(
            credentials["token"]["mech_token"]["kind"],
            "Kerberos AP-REQ"
        );
        let last = &seen.named("response").nth(1).unwrap()["challenges"][0]["token"];
        assert_eq!(last["state"], "accept-completed");
        let verdict = seen.one("verdict");
        assert_eq!(verdict["signed_in"], true);
        assert_eq!(verdict["mech"], "krb5");
        let whose = if side == Side::Ours {
            "gss-spnego"
        } else {
            "built-in"
        };
        assert_eq!(verdict["spnego"], whose);

        let client = server.event("signed-in");
        assert_eq!(client["peer"], "user@SPNEGO.TEST");
        assert_eq!(client["mech"], "krb5");
        assert!(client["lifetime"].as_u64().unwrap() > 0, "{client}");
        let flags = client["flags"].as_array().unwrap();
        assert!(flags.contains(&"mutual".into()), "{client}");
    }
}

#[test]
fn the_page_goes_to_standard_output_and_the_legs_to_standard_error() {
    let realm = realm!();
    let server = Server::start(&with(realm, Side::Ours), &["--per", "connection"]);
    let run = spnego(&with(realm, Side::Ours), &["get", &server.url("/")]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(run.out, "Hello user@SPNEGO.TEST, by krb5\n");
    for part in [
        "offers krb5",
        "chose krb5",
        "signed in to",
        "Persistent-Auth: true",
    ] {
        assert!(run.err.contains(part), "no {part} in {run:?}");
    }
    let file = scratch_file("page");
    let arguments = ["get", "-o", file.to_str().unwrap(), &server.url("/")];
    let run = spnego(&with(realm, Side::Ours), &arguments);
    assert_eq!((run.status, run.out.as_str()), (0, ""), "{run:?}");
    let page = std::fs::read_to_string(file).unwrap();
    assert_eq!(page, "Hello user@SPNEGO.TEST, by krb5\n");
}

#[test]
fn curl_signs_in_to_serve() {
    let realm = realm!();
    if !support::installed(&["curl"]) {
        return;
    }
    for offer in ["negotiate", "both"] {
        let variables = with(realm, Side::Ours);
        let mut server = Server::start(&variables, &["--offer", offer]);
        let trace = scratch_file("curl.trace");
        let mut traced = variables.clone();
        traced.insert("GSS_SPNEGO_TRACE".into(), trace.display().to_string());
        let said = curl(&traced, &[&server.url("/")]);
        assert_eq!(said, "Hello user@SPNEGO.TEST, by krb5\n");
        // curl does not hand the server's token over, and so has not verified it.
        let trace = std::fs::read_to_string(&trace).unwrap();
        let warning = "krb5: given up by the program while the acceptor's next token was to come";
        assert!(trace.contains(warning), "{trace}");
        assert_eq!(server.event("signed-in")["peer"], "user@SPNEGO.TEST");
    }
}

/// By our own NTLM at both ends: no module for it is configured.
#[test]
fn ntlm_signs_in_to_serve() {
    let realm = realm!();
    let mut variables = with(realm, Side::Ours);
    let users = scratch_file("ntlm-users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    variables.insert("NTLM_USER_FILE".into(), users.display().to_string());
    variables.insert("GSS_SPNEGO_MECHS".into(), "ntlmssp".into());
    let mut server = Server::start(&variables, &["--per", "connection"]);
    let run = get(&variables, &[&server.url("/")]);
    assert_eq!(run.status, 0, "{run:?}");
    let client = server.event("signed-in");
    // MIT's library does not know NTLM where it is not configured; our SPNEGO does.
    assert_eq!(client["mech"], "ntlmssp", "{client}");
    assert_eq!(
        client["negotiation"]["mech_list_mic"], "verified",
        "{client}"
    );
    assert!(
        client["peer"].as_str().unwrap().ends_with("user"),
        "{client}"
    );
    let seen = run.events();
    let kinds: Vec<_> = seen
        .named("request")
        .map(|request| request["credentials"][0]["token"]["mech_token"]["kind"].clone())
        .collect();
    let ntlm = [
        Value::Null,
        "NTLM NEGOTIATE".into(),
        "NTLM AUTHENTICATE".into(),
    ];
    assert_eq!(kinds, ntlm, "{run:?}");
    if support::installed(&["curl"]) {
        let said = curl(&variables, &[&server.url("/")]);
        assert!(
            said.starts_with("Hello ") && said.ends_with("user, by ntlmssp\n"),
            "{said}"
        );
    }
}

#[test]
fn get_signs_in_to_apache() {
    let realm = realm!();
    if !support::web_can_be_tested() {
        return;
    }
    let apache = Site::new(realm).start();
    let run = get(&with(realm, Side::Ours), &[&apache.url()]);
    assert_eq!(run.status, 0, "{run:?}\n{}", apache.log());
    assert_eq!(run.events().one("verdict")["mech"], "krb5");
    assert_eq!(
        run.events().one("page")["octets"],
        "Hello from Apache\n".len()
    );
}

#[test]
fn a_password_takes_the_place_of_a_ticket() {
    let realm = realm!();
    let mut server = Server::start(&with(realm, Side::Ours), &[]);
    let mut variables = with(realm, Side::Ours);
    variables.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
    let password = scratch_file("password");
    std::fs::write(&password, format!("{}\n", Realm::PASSWORD)).unwrap();
    let password = password.to_str().unwrap();
    let url = server.url("/");
    let run = get(
        &variables,
        &["--user", "other", "--password-file", password, &url],
    );
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(server.event("signed-in")["peer"], "other@SPNEGO.TEST");
    let printed = run.out.clone() + &run.err + &server.everything();
    assert!(!printed.contains(Realm::PASSWORD), "{printed}");
}

#[test]
fn tls_binds_the_sign_in_to_its_channel_at_both_ends() {
    let realm = realm!();
    let Some(tls) = Tls::make("localhost") else {
        return;
    };
    let variables = with(realm, Side::Ours);
    let options = tls.server(&["--require-bindings"]);
    let mut server = Server::start(&variables, &options);
    let run = get(&variables, &["--cacert", tls.cert(), &server.url("/")]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.events().one("connected")["tls"]
            .as_str()
            .unwrap()
            .starts_with("TLS 1.")
    );
    let flags = server.event("signed-in")["flags"].clone();
    assert!(
        flags.as_array().unwrap().contains(&"channel bound".into()),
        "{flags}"
    );

    let run = get(
        &variables,
        &["--cacert", tls.cert(), "--no-bindings", &server.url("/")],
    );
    assert_eq!(run.status, 1, "{run:?}");
    let refused = server.event("refused");
    assert!(
        refused["reason"].as_str().unwrap().contains("did not bind"),
        "{refused}"
    );
    assert_eq!(run.events().one("verdict")["signed_in"], false);

    // The system does not know the certificate, and --insecure does not ask it.
    let run = get(&variables, &[&server.url("/")]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.out.contains("certificate"), "{run:?}");
    assert_eq!(get(&variables, &["--insecure", &server.url("/")]).status, 0);
}

/// Whoever ends TLS in between has another certificate than the server.
#[test]
fn a_sign_in_that_was_bound_to_another_channel_is_refused() {
    let realm = realm!();
    let (Some(theirs), Some(ours)) = (Tls::make("localhost"), Tls::make("localhost")) else {
        return;
    };
    if !support::installed(&["openssl"]) {
        return;
    }
    let variables = with(realm, Side::Ours);
    let mut server = Server::start(&variables, &theirs.server(&[]));
    let between = TlsBetween::start(&ours, server.port);
    let url = format!("https://localhost:{}/", between.port);
    let run = get(&variables, &["--cacert", ours.cert(), &url]);
    assert_eq!(run.status, 1, "{run:?}");
    let refused = server.event("refused");
    assert!(
        refused["reason"].as_str().unwrap().contains("TLS"),
        "{refused}"
    );
}

#[test]
fn get_goes_through_a_proxy_that_wants_a_sign_in() {
    let realm = realm!();
    let variables = with(realm, Side::Ours);
    let proxy = support::Harness::library();
    let program = support::Harness::linked(
        "http_server",
        &["http_server", "http_message"],
        &[proxy.to_str().unwrap(), "-lgssapi_krb5"],
    );
    let mut process = Command::new(program.path())
        .args(["-n", "-p"])
        .envs(&variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("port ").unwrap();
    let proxy = format!("http://localhost:{port}");
    let run = get(
        &variables,
        &["--proxy", &proxy, "http://origin.invalid/page"],
    );
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(run.status, 0, "{run:?}");
    let seen = run.events();
    let credentials = &seen.named("request").nth(1).unwrap()["credentials"][0];
    assert_eq!(credentials["field"], "Proxy-Authorization");
    assert_eq!(seen.one("verdict")["mech"], "krb5");
}

#[test]
fn get_goes_through_a_tunnel_to_a_server_with_tls() {
    let realm = realm!();
    let Some(tls) = Tls::make("localhost") else {
        return;
    };
    let variables = with(realm, Side::Ours);
    let mut server = Server::start(&variables, &tls.server(&["--require-bindings"]));
    let proxy = tunnel();
    let url = server.url("/");
    let arguments = ["--cacert", tls.cert(), "--proxy", &proxy, &url];
    let run = get(&variables, &arguments);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(run.events().one("request")["method"], "CONNECT");
    assert_eq!(server.event("signed-in")["peer"], "user@SPNEGO.TEST");
}

/// Twice: to Apache for the tunnel, and in it to the server.
#[test]
fn get_signs_in_to_a_proxy_for_a_tunnel() {
    let realm = realm!();
    if !support::web_can_be_tested() {
        return;
    }
    let Some(tls) = Tls::make("localhost") else {
        return;
    };
    let variables = with(realm, Side::Ours);
    let mut server = Server::start(&variables, &tls.server(&[]));
    let keytab = support::apache_directory("proxy").join("keytab");
    std::fs::copy(realm.keytab("service"), &keytab).unwrap();
    support::give_to_apache(&keytab);
    let modules = "/usr/lib/apache2/modules";
    let proxy = Site::new(realm)
        .keytab(&keytab)
        .keytab_as_it_is()
        .with_server(&format!(
            "LoadModule proxy_module {modules}/mod_proxy.so\n\
             LoadModule proxy_connect_module {modules}/mod_proxy_connect.so\n\
             ProxyRequests On\nAllowCONNECT {}\n\
             <Proxy *>\nAuthType GSSAPI\nAuthName \"proxy\"\n\
             GssapiCredStore keytab:{}\nRequire valid-user\n</Proxy>",
            server.port,
            keytab.display()
        ))
        .start();
    let place = format!("http://localhost:{}", proxy.port);
    let url = server.url("/");
    let arguments = ["--cacert", tls.cert(), "--proxy", &place, &url];
    let run = get(&variables, &arguments);
    assert_eq!(run.status, 0, "{run:?}\n{}", proxy.log());
    let seen = run.events();
    let statuses: Vec<_> = seen
        .named("response")
        .map(|event| &event["status"])
        .collect();
    assert_eq!(statuses, [407, 200, 401, 200], "{run:?}");
    // As most proxies do, Apache makes the tunnel without a token of its own.
    assert_eq!(seen.one("tunnel")["proxy_verified"], false);
    let credentials: Vec<_> = seen
        .named("request")
        .map(|event| (&event["method"], &event["credentials"][0]["field"]))
        .collect();
    assert_eq!(credentials[1].0, "CONNECT", "{run:?}");
    assert_eq!(credentials[1].1, "Proxy-Authorization", "{run:?}");
    assert_eq!(credentials[3].0, "GET", "{run:?}");
    assert_eq!(credentials[3].1, "Authorization", "{run:?}");
    assert_eq!(server.event("signed-in")["peer"], "user@SPNEGO.TEST");

    // Who has no ticket is told which of the two has refused.
    let mut without = variables.clone();
    without.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
    let run = get(&without, &arguments);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.out.contains("No Kerberos credentials"), "{run:?}");
    let number = run.events().named("response").count();
    assert_eq!(number, 1, "{run:?}");
}

#[test]
fn get_signs_in_before_it_is_asked_to() {
    let realm = realm!();
    let server = Server::start(&with(realm, Side::Ours), &["--offer", "negotiate"]);
    let run = get(&with(realm, Side::Ours), &["--unasked", &server.url("/")]);
    assert_eq!(run.status, 0, "{run:?}");
    let seen = run.events();
    assert_eq!(seen.named("request").count(), 1, "{run:?}");
    assert_eq!(seen.one("verdict")["signed_in"], true);
}

#[test]
fn a_failure_says_why_and_what_to_do() {
    let realm = realm!();
    let server = Server::start(&with(realm, Side::Ours), &[]);
    for side in [Side::Ours, Side::BuiltIn] {
        let mut without = with(realm, side);
        without.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
        let run = spnego(&without, &["get", &server.url("/")]);
        assert_eq!(run.status, 1, "{run:?}");
        assert!(run.err.contains("spnego doctor HTTP@localhost"), "{run:?}");
        if side == Side::Ours {
            assert!(run.err.contains("run kinit"), "{run:?}");
        }
    }
    let mut wrong = with(realm, Side::Ours);
    wrong.insert(
        "KRB5_KTNAME".into(),
        realm.keytab("wrong").display().to_string(),
    );
    let mut server = Server::start(&wrong, &[]);
    let run = get(&with(realm, Side::Ours), &[&server.url("/")]);
    assert_eq!(run.status, 1, "{run:?}");
    let refused = server.event("refused");
    assert!(
        refused["reason"].as_str().unwrap().contains("ktadd"),
        "{refused}"
    );
}

#[test]
fn the_command_line_is_wrong() {
    let none = Environment::new();
    for arguments in [
        &["get", "ftp://localhost/"][..],
        &["get", "-H", "no field", "http://localhost/"],
        &["get", "-H", "X: y\r\nZ: w", "http://localhost/"],
        &["get", "--user", "a", "http://localhost/"],
        &["get", "--proxy", "https://localhost/", "http://localhost/"],
        &["serve", "--cert", "/nonexistent.pem"],
        &[
            "serve",
            "--cert",
            "/nonexistent.pem",
            "--key",
            "/nonexistent.pem",
        ],
        &["doctor", "HTTP@a@b"],
        &["doctor", "@"],
    ] {
        let run = spnego(&none, arguments);
        assert_eq!(run.status, 2, "{arguments:?}: {run:?}");
        assert!(!run.err.is_empty(), "{arguments:?}");
    }
}

// ---------------------------------------------------------------- peers that do not end

#[test]
fn get_gives_up_on_servers_that_flood_stop_or_go_on_for_ever() {
    let realm = realm!();
    let variables = with(realm, Side::Ours);
    let challenge = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Negotiate";
    let flood = "X-Filler: 0123456789abcdef\r\n".repeat(10_000);
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
    for (answer, wanted) in [
        (format!("HTTP/1.1 200 OK\r\n{flood}"), "more than"),
        (
            "HTTP/1.1 200 OK\r\nX: y".to_owned(),
            "in the middle of the response",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned(),
            "in the middle of the body",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            "at once",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n".to_owned(),
            "chunk",
        ),
        (interim, "interim"),
        ("no HTTP at all\r\n\r\n".to_owned(), "malformed"),
        (String::new(), "without a response"),
    ] {
        let server = Hostile::start(move |_| answer.clone());
        let run = get(&variables, &[&server.url()]);
        assert_eq!(run.status, 1, "{run:?}");
        assert!(run.out.contains(wanted), "no '{wanted}' in {run:?}");
    }
    // Half a token: of base64, and of a NegTokenResp.
    for (half, wanted) in [("oYG2M", "base64"), ("oYG2MIGzoAMKAQ==", "token")] {
        let server = Hostile::start(move |request| match asks(request) {
            true => format!("{challenge}\r\n\r\n"),
            false => format!("{challenge} {half}\r\n\r\n"),
        });
        let run = get(&variables, &[&server.url()]);
        assert_eq!(run.status, 1, "{run:?}");
        let reason = run.events().one("verdict")["reason"].clone();
        assert!(reason.as_str().unwrap().contains(wanted), "{run:?}");
    }
    // It asks again and again, each time as if for the first time, or with the same token.
    let again = format!("{challenge}\r\n\r\n");
    let server = Hostile::start(move |_| again.clone());
    let run = get(&variables, &[&server.url()]);
    assert_eq!(run.status, 1, "{run:?}");
    assert_eq!(run.events().one("verdict")["signed_in"], false, "{run:?}");
    // A body larger than anybody waits for.
    let endless = format!("{challenge}\r\n\r\n").replace(": 0\r\n", ": 99999999\r\n");
    let server = Hostile::start(move |_| endless.clone());
    let run = get(&variables, &[&server.url()]);
    assert!(run.status == 1 && run.out.contains("more than"), "{run:?}");
}

#[test]
fn get_gives_up_on_a_server_that_says_nothing() {
    let realm = realm!();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}/", silent.local_addr().unwrap().port());
    let run = get(&with(realm, Side::Ours), &["--max-time", "1", &url]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.out.contains("time limit"), "{run:?}");
}

#[test]
fn serve_goes_on_after_clients_that_flood_or_stop() {
    let realm = realm!();
    let variables = with(realm, Side::Ours);
    let mut server = Server::start(&variables, &[]);
    let flood = format!("GET / HTTP/1.1\r\n{}", "X: 0123456789\r\n".repeat(20_000));
    for (request, wanted) in [
        (flood.as_str(), "more than"),
        (
            "GET / HTTP/1.1\r\nHost: loc",
            "in the middle of the request",
        ),
        (
            "GET / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n",
            "more than",
        ),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\n\n", "malformed"),
    ] {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        // The server may be gone before it has read everything.
        let _ = socket.write_all(request.as_bytes());
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let _ = socket.read_to_end(&mut Vec::new());
        let closed = server.event("closed");
        let reason = closed["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(wanted), "{request:.40}: {closed}");
    }
    // Half a token, and a token that is none.
    for token in ["YIIE", "AAAA", "!"] {
        let request = format!("GET / HTTP/1.1\r\nAuthorization: Negotiate {token}\r\n\r\n");
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
        server.event("refused");
    }
    let run = get(&variables, &[&server.url("/")]);
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn serve_gives_up_whoever_has_idled_longest_and_nobody_in_an_exchange() {
    let realm = realm!();
    let variables = with(realm, Side::Ours);
    let mut server = Server::start(&variables, &[]);
    let port = server.port;
    let connect = || {
        let socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let time = Some(std::time::Duration::from_secs(25));
        socket.set_read_timeout(time).unwrap();
        socket
    };
    // One that owes the second token of an exchange: Kerberos is offered, without its token.
    let mut in_exchange = connect();
    let first = format!("GET / HTTP/1.1\r\nAuthorization: Negotiate {OFFER}\r\n\r\n");
    in_exchange.write_all(first.as_bytes()).unwrap();
    let mut head = [0; 12];
    in_exchange.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 401");
    // Some say nothing, some a part of a request now and then.
    let mut crowd: Vec<_> = (0..63).map(|_| connect()).collect();
    let dribble = |crowd: &mut Vec<std::net::TcpStream>, octets: &[u8]| {
        for socket in crowd.iter_mut().step_by(2) {
            // It may have been given up.
            let _ = socket.write_all(octets);
        }
    };
    dribble(&mut crowd, b"GET / HTTP/1.1\r\nX: ");
    for _ in 0..20 {
        dribble(&mut crowd, b"x");
        let run = get(&variables, &["-m", "20", &server.url("/")]);
        assert_eq!(run.status, 0, "{run:?}");
    }
    let given_up = server.event("given-up")["connection"].as_u64().unwrap();
    assert_eq!(given_up, 2, "the first of the crowd");
    // The one in the exchange was let be, and hears of its second token.
    in_exchange.write_all(first.as_bytes()).unwrap();
    let mut rest = Vec::new();
    in_exchange.shutdown(std::net::Shutdown::Write).unwrap();
    in_exchange.read_to_end(&mut rest).unwrap();
    let answers = String::from_utf8_lossy(&rest)
        .matches("HTTP/1.1 401")
        .count();
    assert_eq!(answers, 1, "{}", String::from_utf8_lossy(&rest));
}

/// As when a user presses the tabulator.
#[test]
fn bash_completes_commands_and_options() {
    let script = r#"
        eval "$("$0" completions bash)"
        for line in "spnego d" "spnego doctor --k" "spnego serve --per c"; do
            COMP_LINE=$line COMP_POINT=${#line}
            read -ra COMP_WORDS <<<"$line"
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _spnego spnego "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            echo "${COMPREPLY[*]}"
        done
        complete -p spnego"#;
    let run = Run::of(Command::new("bash").args(["--norc", "-c", script, support::tool()]));
    let lines: Vec<_> = run.out.lines().collect();
    assert_eq!(
        lines[..3],
        ["decode doctor", "--kdc", "connection"],
        "{run:?}"
    );
    assert!(lines[3].contains("-F _spnego spnego"), "{run:?}");
}

// ---------------------------------------------------------------- doctor

#[test]
fn a_machine_that_is_well_has_no_fault() {
    let realm = realm!();
    let run = doctor(&with(realm, Side::Ours), &["HTTP@localhost"]);
    assert_eq!(run.status, 0, "{run:?}");
    let report = run.report();
    assert_eq!(report.worst(), "note", "{run:?}");
    assert!(report.of("fault").is_empty(), "{run:?}");
    for part in [
        "MIT krb5 1.",
        "and its SPNEGO answers",
        "a ticket for HTTP@localhost would be for HTTP/localhost@SPNEGO.TEST",
        "tickets of user@SPNEGO.TEST in FILE:",
        "HTTP/localhost@SPNEGO.TEST version",
        "the clock of the KDC 127.0.0.1:",
        "krb5 of MIT krb5 to HTTP@localhost: Kerberos AP-REQ",
        "spnego of MIT krb5 to HTTP@localhost: NegTokenInit",
        "user@SPNEGO.TEST has signed in",
        "HTTP/localhost@SPNEGO.TEST (aes256-cts-hmac-sha1-96, version 1), for another",
        "the SPNEGO of MIT krb5 that began a context is gss-spnego",
    ] {
        report.says("ok", part);
    }
    assert!(!report.trace().is_empty(), "{run:?}");
    // For people, the same in words.
    let run = spnego(&with(realm, Side::Ours), &["doctor", "localhost"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.out.contains("user@SPNEGO.TEST has signed in"),
        "{run:?}"
    );
    assert!(run.out.contains("\n0 faults, "), "{run:?}");
}

#[test]
fn a_machine_without_the_plugin_is_told_how_to_get_it() {
    let realm = realm!();
    let run = doctor(&with(realm, Side::BuiltIn), &["HTTP@localhost"]);
    assert_eq!(run.status, 0, "{run:?}");
    let remedy = run
        .report()
        .says("warning", "MIT krb5 uses its built-in SPNEGO");
    assert!(remedy.contains("make install"), "{remedy}");
}

#[test]
fn no_ticket_and_an_expired_one() {
    let realm = realm!();
    let mut without = with(realm, Side::Ours);
    without.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
    let run = doctor(&without, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    let remedy = run.report().says("fault", "no ticket to sign in with");
    assert!(remedy.contains("kinit"), "{remedy}");
    // Nobody wants to sign in to anything.
    assert_eq!(doctor(&without, &[]).status, 0);

    let cache = realm.cache("user");
    support::expire_tickets(&cache);
    let mut expired = with(realm, Side::Ours);
    expired.insert("KRB5CCNAME".into(), format!("FILE:{}", cache.display()));
    let run = doctor(&expired, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    let report = run.report();
    let words = format!("the tickets in FILE:{} have expired", cache.display());
    let remedy = report.says("fault", &words);
    assert!(remedy.contains("kinit"), "{remedy}");
    report.says("warning", "krbtgt/SPNEGO.TEST@SPNEGO.TEST");
}

#[test]
fn a_cache_that_others_may_read_and_one_that_is_damaged() {
    use std::os::unix::fs::PermissionsExt;
    let realm = realm!();
    let cache = realm.cache("user");
    let mut variables = with(realm, Side::Ours);
    variables.insert("KRB5CCNAME".into(), format!("FILE:{}", cache.display()));
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = doctor(&variables, &["HTTP@localhost"]);
    let remedy = run.report().says("warning", "open to others");
    assert!(remedy.contains("chmod 600"), "{remedy}");

    std::fs::write(&cache, b"\x05\x04\0\x0cdamaged").unwrap();
    let run = doctor(&variables, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    run.report().says("warning", "damaged");
}

#[test]
fn a_keytab_that_is_missing_and_wrong_ones() {
    let realm = realm!();
    let mut missing = with(realm, Side::Ours);
    missing.insert("KRB5_KTNAME".into(), "FILE:/nonexistent/keytab".into());
    let remedy = doctor(&missing, &["HTTP@localhost"])
        .report()
        .says("warning", "/nonexistent/keytab");
    assert!(remedy.contains("ktadd"), "{remedy}");

    let mut wrong = with(realm, Side::Ours);
    wrong.insert(
        "KRB5_KTNAME".into(),
        realm.keytab("wrong").display().to_string(),
    );
    let run = doctor(&wrong, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    let remedy = run
        .report()
        .says("fault", "signing in to HTTP@localhost here");
    assert!(remedy.contains("ktadd"), "{remedy}");

    // The key of another version: as `wrong`, but called 7.
    let old = scratch_file("keytab");
    let mut octets = std::fs::read(realm.keytab("wrong")).unwrap();
    // A keytab of one key: header, length, name, type, time, version.
    let name = 2 + 4 + 2 + (2 + Realm::NAME.len()) + (2 + "HTTP".len()) + (2 + "localhost".len());
    let version = name + 4 + 4;
    assert_eq!(octets[version], 1);
    octets[version] = 7;
    let length = octets.len();
    if octets[length - 4..] == [0, 0, 0, 1] {
        octets[length - 1] = 7;
    }
    std::fs::write(&old, octets).unwrap();
    let mut variables = with(realm, Side::Ours);
    variables.insert("KRB5_KTNAME".into(), old.display().to_string());
    let run = doctor(&variables, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    let remedy = run.report().says("fault", "version 1 of the key");
    assert!(remedy.contains("klist -kte"), "{remedy}");

    let mut user = with(realm, Side::Ours);
    user.insert(
        "KRB5_KTNAME".into(),
        realm.keytab("user").display().to_string(),
    );
    let remedy = doctor(&user, &["HTTP@localhost"])
        .report()
        .says("warning", "has no key of HTTP/localhost@SPNEGO.TEST");
    assert!(remedy.contains("keytab"), "{remedy}");
}

#[test]
fn a_service_that_the_kdc_does_not_know_and_an_address() {
    let realm = realm!();
    let run = doctor(&with(realm, Side::Ours), &["IMAP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    let remedy = run
        .report()
        .says("fault", "krb5 of MIT krb5 to IMAP@localhost");
    assert!(remedy.contains("addprinc"), "{remedy}");

    let run = doctor(&with(realm, Side::Ours), &["HTTP@127.0.0.1"]);
    let remedy = run.report().says("warning", "127.0.0.1 is an address");
    assert!(remedy.contains("host name"), "{remedy}");

    let run = doctor(&with(realm, Side::Ours), &["HTTP@host.invalid"]);
    assert_eq!(run.status, 1, "{run:?}");
    run.report()
        .says("fault", "host.invalid cannot be resolved");
}

#[test]
fn a_clock_that_is_wrong() {
    let realm = realm!();
    for (hours, way) in [(1, "ahead of"), (-2, "behind")] {
        let kdc = kdc_with_a_clock(hours * 3600);
        let run = doctor(&with(realm, Side::Ours), &["--kdc", &kdc, "HTTP@localhost"]);
        assert_eq!(run.status, 1, "{run:?}");
        let report = run.report();
        let remedy = report.says("fault", &format!("s {way} this machine's"));
        assert!(remedy.contains("NTP"), "{remedy}");
    }
    let nobody = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let run = doctor(
        &with(realm, Side::Ours),
        &["--kdc", &nobody.to_string(), "HTTP@localhost"],
    );
    let remedy = run.report().says("warning", "does not tell the time");
    assert!(remedy.contains("port 88"), "{remedy}");
}

/// As when it is this machine's clock that is wrong.
#[test]
fn a_machine_with_a_wrong_clock() {
    let realm = realm!();
    if !support::clocks_can_be_set() {
        return;
    }
    let mut variables = with(realm, Side::Ours);
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    variables.insert("LD_PRELOAD".into(), library.into());
    variables.insert("FAKETIME".into(), "+3h".into());
    let run = doctor(&variables, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    let remedy = run.report().says("fault", "s behind this machine's");
    assert!(remedy.contains("NTP"), "{remedy}");
}

/// Kerberos does not work, and NTLM goes to a server that may take it.
#[test]
fn a_sign_in_that_falls_to_ntlm() {
    let realm = realm!();
    let mut variables = with(realm, Side::Ours);
    let users = scratch_file("ntlm-users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    variables.insert("NTLM_USER_FILE".into(), users.display().to_string());
    variables.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
    let run = doctor(&variables, &["HTTP@localhost"]);
    let report = run.report();
    report.says("ok", "offers ntlmssp");
    report.says("warning", "spnego of MIT krb5 passes over krb5: ");
    let remedy = report.says("warning", "has passwords in it, and others may use it");
    assert!(remedy.contains("chmod 600"), "{remedy}");
}

#[test]
fn a_line_that_names_what_is_not_there_or_cannot_be_loaded() {
    let realm = realm!();
    let with_line = |library: &str, kind: &str| {
        let line = format!("spnego 2.25.4014056348 {library} - {kind}");
        let mut variables = realm.environment();
        let file = MechConfig::new(Side::BuiltIn).with_line(&line).write();
        variables.insert("GSS_MECH_CONFIG".into(), file.display().to_string());
        variables
    };
    let run = doctor(
        &with_line("/nonexistent/gss_spnego.so", "<interposer>"),
        &[],
    );
    assert_eq!(run.status, 1, "{run:?}");
    let remedy = run
        .report()
        .says("fault", "/nonexistent/gss_spnego.so, which does not exist");
    assert!(remedy.contains("remove that line"), "{remedy}");

    let broken = scratch_file("broken.so");
    std::fs::write(&broken, "no library\n").unwrap();
    let broken = broken.to_str().unwrap();
    let run = doctor(&with_line(broken, "<interposer>"), &[]);
    assert_eq!(run.status, 1, "{run:?}");
    run.report().says("fault", "does not load");
    run.report().says("fault", "file too short");

    let ours = support::plugin().unwrap().to_str().unwrap();
    let run = doctor(&with_line(ours, ""), &[]);
    assert_eq!(run.status, 1, "{run:?}");
    run.report().says("fault", "lacks <interposer>");
}

/// As after a library was removed before its line.
#[test]
fn heimdal_that_crashes_is_a_finding() {
    let realm = realm!();
    if !support::heimdal_can_be_tested() {
        return;
    }
    let directory = scratch_file("etc-gss");
    std::fs::create_dir_all(&directory).unwrap();
    let line = "spnego 2.25.4014056348 /nonexistent/gss_spnego.so - <interposer>\n";
    std::fs::write(directory.join("mech"), line).unwrap();
    let run = in_private_etc_gss(&directory, realm);
    assert_eq!(run.status, 1, "{run:?}");
    let report = run.report();
    report.says("fault", "a program of Heimdal crashes (signal 11)");
    let remedy = report.says("fault", "each program of Heimdal 7 crashes");
    assert!(remedy.contains("remove that line"), "{remedy}");

    let line = std::fs::read(MechConfig::new(Side::Ours).write()).unwrap();
    std::fs::write(directory.join("mech"), line).unwrap();
    let run = in_private_etc_gss(&directory, realm);
    assert_eq!(run.status, 0, "{run:?}");
    run.report().says("ok", "Heimdal has loaded ");
    run.report()
        .says("ok", "spnego of Heimdal to HTTP@localhost: NegTokenInit");
    run.report().says(
        "ok",
        "the SPNEGO of Heimdal that began a context is gss-spnego",
    );
}

#[test]
fn a_trace_that_is_not_written_is_explained_though_nobody_else_says_so() {
    let realm = realm!();
    let trace = scratch_file("doctor.trace");
    let mut variables = with(realm, Side::Ours);
    variables.insert("GSS_SPNEGO_TRACE".into(), trace.display().to_string());
    let run = doctor(&variables, &["HTTP@localhost"]);
    let sentence = format!("the trace goes to {}", trace.display());
    run.report().says("ok", &sentence);

    // Doctor has traced there itself.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&trace, mode).unwrap();
    let run = doctor(&variables, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    let remedy = run.report().says(
        "fault",
        "by this user: the trace file is writable by others than its owner (mode 666); run chmod \
         go-w on it",
    );
    assert!(
        remedy.contains("it is made when it is not there"),
        "{remedy}"
    );

    let nowhere = format!("{}/trace", trace.display());
    variables.insert("GSS_SPNEGO_TRACE".into(), nowhere);
    let run = doctor(&variables, &["HTTP@localhost"]);
    run.report().says("fault", "by this user: Not a directory");
}

#[test]
fn a_policy_that_is_wrong_is_named_by_line_and_column() {
    let realm = realm!();
    let file = scratch_file("spnego.conf");
    let mut variables = with(realm, Side::Ours);
    variables.insert("GSS_SPNEGO_CONFIG".into(), file.display().to_string());
    std::fs::write(&file, "ntlm = \"off\"\nmechs = [\"krb6\"]\n").unwrap();
    let run = doctor(&variables, &["HTTP@localhost"]);
    assert_eq!(run.status, 1, "{run:?}");
    run.report()
        .says("fault", &format!("{}:2:", file.display()));

    let rule = "[[rule]]\ntarget = \"HTTP@local*\"\nmechs = [\"krb5\"]\nrequire = [\"mutual\"]\n";
    std::fs::write(&file, rule).unwrap();
    let run = doctor(&variables, &["HTTP@localhost"]);
    assert_eq!(run.status, 0, "{run:?}");
    run.report().says("ok", "rule 1 (line 1 of");
    run.report().says("ok", "only krb5");
    run.report().says("ok", "mutual authentication required");
    let remedy = run.report().says(
        "note",
        "for a client, ntlmssp is not allowed by rule 1 (line 1 of ",
    );
    assert!(remedy.contains("man gss-spnego"), "{remedy}");
    run.report().says("note", "GSS_SPNEGO_CONFIG is set: ");

    std::fs::write(&file, "mechs = [\"negoex\", \"krb5\"]").unwrap();
    let run = doctor(&variables, &["HTTP@localhost"]);
    let remedy = run.report().says("note", "mechs names negoex");
    assert!(remedy.contains("take negoex out"), "{remedy}");

    variables.insert("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE".into(), "600".into());
    std::fs::write(&file, "").unwrap();
    let run = doctor(&variables, &["HTTP@localhost"]);
    run.report()
        .says("ok", "tokens cut into pieces of 600 octets");
    let overridden = "GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE is set, and overrides the file: 600";
    run.report().says("note", overridden);
}

// ---------------------------------------------------------------- helpers

/// What a run of the tool came to.
#[derive(Debug)]
struct Run {
    status: i32,
    out: String,
    err: String,
}

/// JSON lines.
struct Events(Vec<Value>);

/// What `doctor --json` printed.
struct Report(Value);

impl Run {
    fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn events(&self) -> Events {
        let parse = |line| serde_json::from_str(line).unwrap();
        Events(self.out.lines().map(parse).collect())
    }

    fn report(&self) -> Report {
        Report(serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}")))
    }
}

impl Events {
    fn named(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |event| event["event"] == name)
    }

    fn one(&self, name: &str) -> &Value {
        self.named(name)
            .next()
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }
}

impl Report {
    fn worst(&self) -> &str {
        self.0["worst"].as_str().unwrap()
    }

    fn of(&self, level: &str) -> Vec<&Value> {
        let findings = self.0["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["level"] == level)
            .collect()
    }

    /// What to do about the finding of this level with these words.
    fn says(&self, level: &str, words: &str) -> String {
        let findings = self.of(level);
        let found = findings
            .iter()
            .find(|finding| finding["finding"].as_str().unwrap().contains(words));
        let found = found.unwrap_or_else(|| panic!("no {level} '{words}' in {:#}", self.0));
        found["what_to_do"].as_str().unwrap_or_default().to_owned()
    }

    fn trace(&self) -> &[Value] {
        self.0["trace"].as_array().unwrap()
    }
}

/// A NegTokenInit that lists Kerberos and has no token of it.
const OFFER: &str = "YBsGBisGAQUFAqARMA+gDTALBgkqhkiG9xIBAgI=";

/// A user of the realm with the SPNEGO of a side.
fn with(realm: &Realm, side: Side) -> Environment {
    let mut variables = realm.environment();
    let mechs = MechConfig::new(side).write();
    variables.insert("GSS_MECH_CONFIG".into(), mechs.display().to_string());
    variables.insert("GSS_SPNEGO_CONFIG".into(), String::new());
    variables.insert("KRB5RCACHENAME".into(), "none:".into());
    variables
}

fn spnego(variables: &Environment, arguments: &[&str]) -> Run {
    // Nothing here takes that long; what hangs is ended.
    let mut command = Command::new("timeout");
    command
        .args(["-k", "5", "170", support::tool()])
        .args(arguments);
    Run::of(command.envs(variables).env_remove("NO_COLOR"))
}

fn get(variables: &Environment, arguments: &[&str]) -> Run {
    spnego(variables, &[&["--json", "get"], arguments].concat())
}

fn doctor(variables: &Environment, arguments: &[&str]) -> Run {
    spnego(variables, &[&["--json", "doctor"], arguments].concat())
}

fn in_private_etc_gss(directory: &Path, realm: &Realm) -> Run {
    let mut command = Command::new("timeout");
    command
        .args(["-k", "5", "170", "unshare", "-m", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/gss && exec \"$@\"")
        .arg(directory)
        .args([support::tool(), "--json", "doctor", "HTTP@localhost"]);
    Run::of(command.envs(with(realm, Side::Ours)))
}

fn curl(variables: &Environment, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command
        .args(["-q", "--silent", "--show-error", "--max-time", "20"])
        .args(["--negotiate", "-u", ":"])
        .args(arguments)
        .env("no_proxy", "localhost");
    let run = Run::of(command.envs(variables));
    assert_eq!(run.status, 0, "{run:?}");
    run.out
}

/// A `spnego serve` that runs. Stopped when dropped.
struct Server {
    process: Child,
    said: BufReader<ChildStdout>,
    seen: Vec<Value>,
    scheme: String,
    port: u16,
}

impl Server {
    fn start(variables: &Environment, options: &[&str]) -> Self {
        let mut process = Command::new(support::tool())
            .args(["--json", "serve", "--listen", "localhost:0"])
            .args(options)
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut server = Self {
            process,
            said,
            seen: Vec::new(),
            scheme: String::new(),
            port: 0,
        };
        let listening = server.event("listening");
        server.scheme = listening["scheme"].as_str().unwrap().to_owned();
        server.port = listening["port"].as_u64().unwrap().try_into().unwrap();
        server
    }

    fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.port)
    }

    /// The next event of this name.
    fn event(&mut self, name: &str) -> Value {
        loop {
            let mut line = String::new();
            let length = self.said.read_line(&mut line).unwrap();
            assert!(
                length > 0,
                "the server ended without {name}: {:?}",
                self.seen
            );
            let event: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(event.clone());
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Everything that it has said so far.
    fn everything(&self) -> String {
        self.seen.iter().map(ToString::to_string).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that says what it is told to, to each request on each connection, and closes.
struct Hostile {
    port: u16,
}

impl Hostile {
    fn start(answer: impl Fn(&[u8]) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut request = [0; 16 * 1024];
                while let Ok(length @ 1..) = socket.read(&mut request) {
                    if request[..length].ends_with(b"\r\n\r\n") {
                        // The client may have had enough of it.
                        let _ = socket.write_all(answer(&request[..length]).as_bytes());
                        break;
                    }
                }
                let _ = socket.shutdown(std::net::Shutdown::Write);
                while let Ok(1..) = socket.read(&mut request) {}
            }
        });
        Self { port }
    }

    fn url(&self) -> String {
        format!("http://localhost:{}/", self.port)
    }
}

/// Whether a request has no credentials yet.
fn asks(request: &[u8]) -> bool {
    !String::from_utf8_lossy(request).contains("\r\nAuthorization: ")
}

/// A certificate of its own, and its key.
struct Tls {
    cert: PathBuf,
    key: PathBuf,
}

impl Tls {
    fn make(name: &str) -> Option<Self> {
        if !support::installed(&["openssl"]) {
            return None;
        }
        let tls = Self {
            cert: scratch_file("cert.pem"),
            key: scratch_file("key.pem"),
        };
        let run = Run::of(
            Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
                .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj"])
                .arg(format!("/CN={name}"))
                .args(["-addext", &format!("subjectAltName=DNS:{name}")])
                .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                .args(["-keyout", tls.key.to_str().unwrap()])
                .args(["-out", tls.cert.to_str().unwrap()]),
        );
        assert_eq!(run.status, 0, "{run:?}");
        Some(tls)
    }

    fn cert(&self) -> &str {
        self.cert.to_str().unwrap()
    }

    fn server<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let own = ["--cert", self.cert(), "--key", self.key.to_str().unwrap()];
        own.into_iter().chain(more.iter().copied()).collect()
    }
}

/// The address of a proxy that makes one tunnel for whoever comes first.
fn tunnel() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(client.try_clone().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let place = first.split(' ').nth(1).unwrap().to_owned();
        let mut line = String::from("begin");
        while !line.trim().is_empty() {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        let server = std::net::TcpStream::connect(place).unwrap();
        (&client).write_all(b"HTTP/1.1 200 Made\r\n\r\n").unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut lines, &mut &server);
    });
    format!("http://localhost:{port}")
}

/// Somebody between a client and a server who ends TLS and begins it anew: two programs of openssl
/// with pipes between them.
struct TlsBetween {
    outer: Child,
    inner: Child,
    port: u16,
}

impl TlsBetween {
    fn start(identity: &Tls, server: u16) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut inner = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-connect",
                &format!("localhost:{server}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut outer = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-accept",
                &format!("localhost:{port}"),
                "-naccept",
                "1",
            ])
            .args([
                "-cert",
                identity.cert(),
                "-key",
                identity.key.to_str().unwrap(),
            ])
            .stdin(Stdio::from(inner.stdout.take().unwrap()))
            .stdout(Stdio::from(inner.stdin.take().unwrap()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Its port is taken as soon as it listens.
        while TcpListener::bind(("127.0.0.1", port)).is_ok() {
            assert!(
                outer.try_wait().unwrap().is_none(),
                "openssl s_server has ended"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Self { outer, inner, port }
    }
}

impl Drop for TlsBetween {
    fn drop(&mut self) {
        for process in [&mut self.outer, &mut self.inner] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A KDC that answers everything by an error that tells a time so many seconds away; its address.
fn kdc_with_a_clock(seconds: i64) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut request = [0; 4096];
        while let Ok((_, client)) = socket.recv_from(&mut request) {
            let date = Command::new("date")
                .args(["-u", "+%Y%m%d%H%M%SZ", "-d", &format!("{seconds} seconds")])
                .output()
                .unwrap();
            let time = String::from_utf8(date.stdout).unwrap();
            let _ = socket.send_to(&krb_error(time.trim()), client);
        }
    });
    address
}

/// KRB-ERROR (RFC 4120 section 5.9.1): KDC_ERR_C_PRINCIPAL_UNKNOWN at a time.
fn krb_error(time: &str) -> Vec<u8> {
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 0x80);
        [&[tag, length], content].concat()
    }
    let number = |value: u8| der(2, &[value]);
    let fields = [
        der(0xa0, &number(5)),
        der(0xa1, &number(30)),
        der(0xa4, &der(0x18, time.as_bytes())),
        der(0xa5, &number(0)),
        der(0xa6, &number(6)),
    ];
    der(0x7e, &der(0x30, &fields.concat()))
}

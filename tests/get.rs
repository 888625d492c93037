//! `spnego get` says why there is no page: each way to fail has a code that stays, a sentence that is
//! true and, where there is one, a remedy.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use spnego::oid;
use spnego::wire::spnego::{NegState, NegTokenResp};
use support::{Environment, MechConfig, Realm, Side, realm};

const ASKS: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Negotiate";

#[test]
fn what_is_asked_for_is_told() {
    let realm = realm!();
    let asks = |field: &str| format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0{field}");
    for (answer, code, words, remedy) in [
        (asks(""), "no-challenge", "without a challenge", "log"),
        (
            asks("\r\nWWW-Authenticate: NTLM"),
            "only-ntlm",
            "only NTLM",
            "offer Negotiate",
        ),
        (
            asks("\r\nWWW-Authenticate: Basic realm=\"a\""),
            "not-offered",
            "only Basic",
            "offer Negotiate",
        ),
        (
            asks("\r\nWWW-Authenticate: Bearer\r\nWWW-Authenticate: Digest realm=x"),
            "not-offered",
            "only Bearer, Digest",
            "what it offers",
        ),
        (
            asks("\r\nWWW-Authenticate: Kerberos"),
            "not-offered",
            "only Kerberos",
            "offer Negotiate",
        ),
        (
            asks("\r\nWWW-Authenticate: Negotiate a b"),
            "malformed-challenge",
            "a challenge is malformed",
            "",
        ),
        (
            asks("\r\nProxy-Authenticate: Negotiate"),
            "no-challenge",
            "without a challenge",
            "",
        ),
    ] {
        let peer = Peer::start(1, move |_, _| (format!("{answer}\r\n\r\n"), false));
        get(realm, &peer.url("http")).says(code, words, remedy);
    }
}

#[test]
fn an_error_in_the_place_of_a_token_is_told_by_its_status() {
    let realm = realm!();
    for (status, code, words, remedy) in [
        ("400 Bad Request", "interrupted", "malformed", "https"),
        ("403 Forbidden", "interrupted", "forbidden", "configuration"),
        ("404 Not Found", "interrupted", "no such page", ""),
        ("408 Request Timeout", "interrupted", "waited", ""),
        (
            "413 Content Too Large",
            "too-large",
            "too large",
            "LimitRequestFieldSize",
        ),
        (
            "431 Too Large",
            "too-large",
            "of this size",
            "LimitRequestFieldSize",
        ),
        (
            "421 Misdirected Request",
            "interrupted",
            "this host",
            "names",
        ),
        ("429 Too Many Requests", "interrupted", "too many", "later"),
        (
            "500 Internal Server Error",
            "interrupted",
            "failed",
            "keytab",
        ),
        ("502 Bad Gateway", "interrupted", "gateway", "behind it"),
        (
            "503 Service Unavailable",
            "interrupted",
            "out of service",
            "later",
        ),
        ("302 Found", "interrupted", "another place", "sign-in"),
        ("200 OK", "unverified", "lacks the token", ""),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let peer = Peer::start(1, move |number, _| match number {
            1 => (format!("{ASKS}\r\n\r\n"), false),
            _ => (answer.clone(), false),
        });
        let run = get(realm, &peer.url("http"));
        run.says(code, words, remedy);
        let lacks = run.verdict()["reason"].as_str().unwrap().contains("lacks");
        assert_eq!(lacks, code == "unverified", "{run:?}");
    }
}

#[test]
fn a_400_to_a_large_field_is_about_its_size() {
    let realm = realm!();
    // The server's token makes ours no larger: the user's header does not count, the token does.
    let peer = Peer::start(1, |number, request| {
        let large = request.len() > 4096 && number > 1;
        match number {
            1 => (format!("{ASKS}\r\n\r\n"), false),
            _ if large => (
                "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n".into(),
                false,
            ),
            _ => ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(), false),
        }
    });
    let filler = format!("X: {}", "y".repeat(5000));
    let run = get_with(realm, &["-H", &filler, &peer.url("http")]);
    run.says("interrupted", "malformed", "https");
}

#[test]
fn a_connection_that_is_not_kept_is_named_and_not_the_credentials() {
    let realm = realm!();
    let ntlm = ntlm(realm);
    // An accept-incomplete that carries NTLM's CHALLENGE.
    for (fields, ends, version, how) in [
        (
            "\r\nConnection: close",
            true,
            "HTTP/1.1",
            "Connection: close",
        ),
        ("", true, "HTTP/1.0", "HTTP/1.0"),
        ("", true, "HTTP/1.1", "without a word"),
    ] {
        let second = format!(
            "{version} 401 Unauthorized\r\nContent-Length: 0{fields}\r\n\
             WWW-Authenticate: Negotiate {}\r\n\r\n",
            challenge()
        );
        let peer = Peer::start(4, move |number, request| {
            let asks = format!("{ASKS}\r\n\r\n");
            match (request.contains("Authorization: "), number) {
                (false, _) => (asks, false),
                // The first token is answered, and then the connection ends.
                (true, 2) => (second.clone(), ends),
                // Another connection knows nothing of it.
                (true, _) => (asks, false),
            }
        });
        let run = run(&ntlm, &[&peer.url("http")]);
        run.says("connection-not-kept", how, "keep connections");
        let reason = run.verdict()["reason"].to_string();
        assert!(!reason.contains("credentials"), "{run:?}");
    }
    // Who is asked anew over the same connection may have wrong credentials or a proxy.
    let second = format!(
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\
         WWW-Authenticate: Negotiate {}\r\n\r\n",
        challenge()
    );
    let peer = Peer::start(1, move |number, _| match number {
        2 => (second.clone(), false),
        _ => (format!("{ASKS}\r\n\r\n"), false),
    });
    let run = run(&ntlm, &[&peer.url("http")]);
    run.says(
        "refused",
        "or they did not all reach it over one connection",
        "NTLM",
    );
}

#[test]
fn a_server_that_asks_for_ever_refuses() {
    let realm = realm!();
    for scheme in ["Negotiate", "NEGOTIATE", "negotiate"] {
        let answer = format!("{ASKS}\r\n\r\n").replace("Negotiate", scheme);
        let peer = Peer::start(1, move |_, _| (answer.clone(), false));
        get(realm, &peer.url("http")).says("refused", "does not accept", "log");
    }
    let answer = format!("{ASKS} !!!\r\n\r\n");
    let peer = Peer::start(1, move |number, _| match number {
        1 => (format!("{ASKS}\r\n\r\n"), false),
        _ => (answer.clone(), false),
    });
    get(realm, &peer.url("http")).says("malformed-challenge", "a challenge is malformed", "");
    // A token that can be read by nobody.
    let peer = Peer::start(1, |number, _| match number {
        1 => (format!("{ASKS}\r\n\r\n"), false),
        _ => (format!("{ASKS} QUFBQQ==\r\n\r\n"), false),
    });
    get(realm, &peer.url("http")).says("exchange-failed", "", "");
    let mut without = with(realm);
    without.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
    let peer = Peer::start(1, |_, _| (format!("{ASKS}\r\n\r\n"), false));
    run(&without, &[&peer.url("http")]).says("cannot-begin", "", "kinit");
}

#[test]
fn a_page_that_is_an_error_without_a_sign_in_says_so() {
    let realm = realm!();
    for (status, code, words, remedy) in [
        ("404 Not Found", "status", "nobody had to sign in", ""),
        ("500 Internal Server Error", "status", "500", ""),
        (
            "407 Proxy Authentication Required",
            "proxy-not-named",
            "407",
            "--proxy",
        ),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let peer = Peer::start(1, move |_, _| (answer.clone(), false));
        get(realm, &peer.url("http")).says(code, words, remedy);
    }
    let peer = Peer::start(1, |_, _| {
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n".into(),
            false,
        )
    });
    let run = get(realm, &peer.url("http"));
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.said.contains("\"location\":\"/x\""), "{run:?}");
}

#[test]
fn what_keeps_it_from_the_server_is_named() {
    let realm = realm!();
    let nobody = support::free_port();
    let url = format!("http://localhost:{nobody}/");
    get(realm, &url).says("connection-refused", "Connection refused", "nobody listens");
    let run = get(realm, "http://name.invalid/");
    run.says("unknown-host", "name.invalid", "DNS");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let run = get_with(realm, &["-m", "1", &format!("http://localhost:{port}/")]);
    run.says("timed-out", "time limit", "");
    let run = get_with(realm, &["-m", "1", &format!("https://localhost:{port}/")]);
    run.says("timed-out", "time limit", "");
    for run in [get(realm, &url), get(realm, "http://name.invalid/")] {
        assert!(!run.said.contains("os error"), "{run:?}");
    }
    // Closed at once, or in the middle.
    let peer = Peer::start(1, |_, _| (String::new(), true));
    get(realm, &peer.url("http")).says("connection-closed", "without a response", "https");
    let peer = Peer::start(1, |_, _| ("HTTP/1.1 200".into(), true));
    get(realm, &peer.url("http")).says("connection-closed", "in the middle", "");
    let peer = Peer::start(1, |_, _| ("SSH-2.0-x\r\n\r\n".into(), true));
    get(realm, &peer.url("http")).says("not-http", "malformed", "");
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is_are_named() {
    let realm = realm!();
    // A server of plain HTTP answers a ClientHello in plain HTTP, or closes.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, socket) in plain.incoming().enumerate() {
            let mut socket = socket.unwrap();
            let mut hello = [0; 16];
            let _ = std::io::Read::read(&mut socket, &mut hello);
            if number == 0 {
                let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        }
    });
    let url = format!("https://localhost:{port}/");
    get(realm, &url).says("tls-not-spoken", "no TLS", "use http");
    get(realm, &url).says("connection-closed", "handshake", "use http");
    // One of TLS sends an alert.
    let peer = Peer::start(1, |_, _| ("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{a}".into(), true));
    get(realm, &peer.url("http")).says("tls-wanted", "TLS", "use https");
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let realm = realm!();
    for (status, words, remedy) in [
        ("403 Forbidden", "403", "rules"),
        ("502 Bad Gateway", "502", "does not reach"),
        ("405 Method Not Allowed", "405", "whether it is a proxy"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let peer = Peer::start(1, move |_, _| (answer.clone(), false));
        let run = get_with(realm, &["-x", &peer.url("http"), "https://localhost/"]);
        run.says("proxy-refused", words, remedy);
    }
    // One that wants a sign-in first, and refuses then.
    let peer = Peer::start(1, |number, _| match number {
        1 => (
            "HTTP/1.1 407 No\r\nContent-Length: 0\r\nProxy-Authenticate: Negotiate\r\n\r\n".into(),
            false,
        ),
        _ => ("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n".into(), false),
    });
    let run = get_with(realm, &["-x", &peer.url("http"), "https://localhost/"]);
    run.says("proxy-refused", "403", "rules");
    let peer = Peer::start(1, |_, _| {
        let basic = "Proxy-Authenticate: Basic realm=x";
        (
            format!("HTTP/1.1 407 No\r\nContent-Length: 0\r\n{basic}\r\n\r\n"),
            false,
        )
    });
    let run = get_with(realm, &["-x", &peer.url("http"), "http://localhost/"]);
    run.says("not-offered", "only Basic", "");
}

// ---------------------------------------------------------------- helpers

#[derive(Debug)]
struct Run {
    status: Option<i32>,
    said: String,
}

impl Run {
    fn events(&self) -> Vec<Value> {
        let lines = self.said.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The event that says why.
    fn verdict(&self) -> Value {
        let events = self.events();
        let said = |event: &&Value| event["event"] == "verdict" || event["event"] == "failure";
        events
            .iter()
            .find(said)
            .cloned()
            .unwrap_or_else(|| panic!("{self:?}"))
    }

    fn says(&self, code: &str, words: &str, remedy: &str) {
        assert_eq!(self.status, Some(1), "{self:?}");
        let verdict = self.verdict();
        assert_eq!(verdict["code"], code, "{self:?}");
        let reason = verdict["reason"].as_str().unwrap();
        assert!(reason.contains(words), "no '{words}' in {self:?}");
        assert!(self.said.contains(remedy), "no '{remedy}' in {self:?}");
        let failures = self.events();
        let mut failures = failures.iter().filter(|event| event["event"] == "failure");
        assert!(failures.all(|failure| failure["code"] == code), "{self:?}");
    }
}

fn get(realm: &Realm, url: &str) -> Run {
    get_with(realm, &[url])
}

fn get_with(realm: &Realm, arguments: &[&str]) -> Run {
    run(&with(realm), arguments)
}

fn run(variables: &Environment, arguments: &[&str]) -> Run {
    let output = Command::new("timeout")
        .args(["-k", "5", "170", support::tool(), "--json", "get"])
        .args(arguments)
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Run {
        status: output.status.code(),
        said: String::from_utf8(output.stdout).unwrap(),
    }
}

fn with(realm: &Realm) -> Environment {
    let mut variables = realm.environment();
    let mechs = MechConfig::new(Side::Ours).write();
    variables.insert("GSS_MECH_CONFIG".into(), mechs.display().to_string());
    variables.insert("GSS_SPNEGO_CONFIG".into(), String::new());
    variables
}

/// A user without a ticket, by our own NTLM.
fn ntlm(realm: &Realm) -> Environment {
    let mut variables = with(realm);
    let users = support::user_file("SPNEGO:user:sesame\n");
    variables.insert("NTLM_USER_FILE".into(), users);
    variables.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
    variables
}

/// NTLM's CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2) in an accept-incomplete, in base64.
fn challenge() -> String {
    let pair = |id: u16, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap().to_le_bytes();
        [&id.to_le_bytes(), &length, value].concat()
    };
    let name: Vec<u8> = "SPNEGO".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let info = [pair(2, &name), pair(1, &name), pair(0, b"")].concat();
    let length = u16::try_from(info.len()).unwrap().to_le_bytes();
    let message = [
        b"NTLMSSP\0\x02\0\0\0".as_slice(),
        b"\0\0\0\0\x38\0\0\0",
        &0x6289_8215_u32.to_le_bytes(),
        b"01234567",
        &[0; 8],
        &length,
        &length,
        b"\x38\0\0\0",
        b"\x06\x01\xb1\x1d\0\0\0\x0f",
        &info,
    ]
    .concat();
    let response = NegTokenResp {
        neg_state: Some(NegState::AcceptIncomplete),
        supported_mech: Some(oid::NTLMSSP.content()),
        response_token: Some(&message),
        mech_list_mic: None,
    };
    BASE64_STANDARD.encode(response.encode())
}

/// A server that answers each of its requests, which it counts over its connections; with `true`, it
/// closes the connection then.
struct Peer {
    port: u16,
}

impl Peer {
    fn start(
        connections: usize,
        answer: impl Fn(usize, &str) -> (String, bool) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut number = 0;
            for socket in listener.incoming().take(connections) {
                serve(socket.unwrap(), |request| {
                    number += 1;
                    answer(number, request)
                });
            }
        });
        Self { port }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}/", self.port)
    }
}

fn serve(socket: TcpStream, mut answer: impl FnMut(&str) -> (String, bool)) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            // The client may have had enough of it.
            if !matches!(socket.read_line(&mut request), Ok(1..)) {
                return;
            }
        }
        let (said, ends) = answer(&request);
        let _ = socket.get_mut().write_all(said.as_bytes());
        if ends {
            return;
        }
    }
}

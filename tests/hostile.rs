//! Peers that send what no honest peer sends, to every program that asks the system's library for a
//! context: `spnego serve` and `get`, the examples in C over the library for C, and a program in
//! Rust. Under the built-in SPNEGO, which keeps nothing of such a context, none of them may ask it
//! anything: it would take them along.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gssapi::system::{Library, Session, Sessions};
use http::{Context, Flags};
use spnego::oid::{self, Oid};
use spnego::wire::framing::InitialToken;
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};
use support::{End, Environment, Harness, MechConfig, Realm, Side, realm};

#[test]
fn serve_lives_through_tokens_that_begin_nothing() {
    let realm = realm!();
    for (how, variables) in ends(realm) {
        let mut server = Server::start(tool(&variables).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--offer",
            "both",
        ]));
        server.withstands_everything(&how);
    }
}

#[test]
fn a_server_in_c_lives_through_tokens_that_begin_nothing() {
    let realm = realm!();
    let program = example("http_server");
    for (how, variables) in ends(realm) {
        let mut command = Command::new(program.path());
        let mut server = Server::start(command.args(["-n", "-N"]).envs(&variables));
        server.withstands_everything(&how);
    }
}

#[test]
fn get_lives_through_every_second_token() {
    let realm = realm!();
    for (how, variables) in initiators(realm) {
        for (what, answer) in answers() {
            let peer = Peer::start(&answer);
            let mut command = tool(&variables);
            let url = format!("http://localhost:{}/", peer.port);
            let (status, said) = ended(command.args(["--json", "get", "-m", "20", &url]));
            assert_eq!(status, Some(1), "{how}, {what}: {said}");
            assert!(
                said.contains("\"signed_in\":false"),
                "{how}, {what}: {said}"
            );
        }
    }
}

#[test]
fn a_client_in_c_lives_through_every_second_token() {
    let realm = realm!();
    let program = example("http_client");
    for (how, variables) in initiators(realm) {
        for (what, answer) in answers() {
            let peer = Peer::start(&answer);
            let port = peer.port.to_string();
            let mut command = Command::new(program.path());
            command.args(["localhost", &port, "/"]).envs(&variables);
            let (status, said) = ended(&mut command);
            assert_eq!(status, Some(1), "{how}, {what}: {said}");
            assert!(said.contains(" failed ("), "{how}, {what}: {said}");
        }
    }
}

#[test]
fn sessions_live_through_every_token_and_question() {
    let realm = realm!();
    let initiators = initiators(realm).into_iter();
    let acceptors = ends(realm).into_iter();
    for (how, variables) in initiators.chain(acceptors) {
        passes(&how, &variables, "mit");
    }
    if support::heimdal_can_be_tested() {
        passes("Heimdal's library", &realm.environment(), "heimdal");
    }
}

/// Whatever the mechanisms leave behind, no question of a program's gets to what is not
/// established.
#[test]
fn a_program_may_ask_everything_of_a_context_of_ours() {
    let realm = realm!();
    let program = Harness::named("questions");
    let seconds = seconds();
    let mut seconds = seconds.iter().cycle();
    let mut line = |role: &str, first: &[u8]| {
        let (_, second) = seconds.next().unwrap();
        let (first, second) = (support::hex(first), support::hex(second));
        format!("{role} {first} {second} {second}\n")
    };
    // The library hands other tokens to their own mechanisms.
    let ours = |token: &[u8]| {
        token.starts_with(b"NTLMSSP\0")
            || InitialToken::decode(token).is_ok_and(|framed| framed.mech == oid::SPNEGO.content())
    };
    let begins = begins().into_iter().map(|(_, token)| token);
    let begins: Vec<_> = begins.filter(|token| ours(token)).collect();
    let mut lines: String = begins.iter().map(|token| line("accept", token)).collect();
    for (_, second) in self::seconds() {
        lines += &line("init", &second);
    }
    let all = ends(realm).into_iter().chain(initiators(realm));
    for (how, variables) in all.filter(|(how, _)| how.starts_with("Ours")) {
        let mut command = End::MIT_OURS.command(program.path(), &[]);
        asks(command.envs(&variables), &how, &lines);
    }
    if support::heimdal_can_be_tested() {
        let program = Harness::for_library("questions", support::Library::Heimdal);
        let mut command = End::HEIMDAL_OURS.command(program.path(), &[]);
        asks(command.envs(realm.environment()), "Heimdal", &lines);
    }
    // A mechanism that leaves no context, in either role.
    let mut scripted = environment(realm, &MechConfig::new(Side::Ours).with_scripts("a"));
    scripted.insert("GSS_SPNEGO_MECHS".into(), "2.25.7301.1".into());
    let script: Oid = "2.25.7301.1".parse().unwrap();
    let token = [framed(&script, b"script-a 1"), b"script-a 2".to_vec()];
    let response = NegTokenResp {
        neg_state: Some(NegState::AcceptIncomplete),
        supported_mech: Some(script.content()),
        response_token: Some(&token[1]),
        mech_list_mic: None,
    };
    let response = response.encode();
    for leg in ["1", "2"] {
        scripted.insert("SCRIPT_A".into(), format!("tokens=6,empty={leg}"));
        let lines = line("init", &response) + &line("accept", &offer(&script, &token[0]));
        let mut command = Command::new(program.path());
        asks(command.envs(&scripted), &format!("a script, {leg}"), &lines);
    }
}

fn asks(command: &mut Command, how: &str, lines: &str) {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let text = lines.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{how}: {:?} {said}", output.status);
    writer.join().unwrap().unwrap();
    assert_eq!(said.lines().count(), lines.lines().count(), "{how}: {said}");
    assert!(!said.contains(": 0\n"), "{how}: {said}");
}

/// Run by the test above it, in a process whose environment is the one to be tested.
#[test]
#[ignore = "part of another test, in a process of its own"]
fn sessions_of_this_process() {
    let library = match std::env::var(WHOSE).as_deref() {
        Ok("mit") => Library::Mit,
        Ok("heimdal") => Library::Heimdal,
        _ => return,
    };
    for (_, first) in begins() {
        for (_, second) in seconds() {
            let mut session = Sessions::accepting(library, None).unwrap().session();
            ask_everything(&session);
            for token in [&first, &second, &second] {
                let step = session.leg(Some(token));
                ask_everything(&session);
                assert!(step.is_err() || session.established().is_err());
            }
        }
    }
    for mech in [oid::SPNEGO, oid::KRB5, oid::NTLMSSP] {
        for (_, second) in seconds() {
            let service = "HTTP@localhost";
            let sessions = Sessions::to(library, service, mech, Flags::MUTUAL, None, None);
            let mut session = sessions.unwrap().session();
            if session.leg(None).is_err() {
                break;
            }
            ask_everything(&session);
            let step = session.leg(Some(&second));
            ask_everything(&session);
            if step.is_err() {
                // It is over: the library is not called again.
                let error = session.leg(Some(&second)).unwrap_err();
                assert!(error.reason.contains("over"), "{error:?}");
            }
        }
    }
}

fn ask_everything(session: &Session) {
    let (ours, told) = (session.is_ours(), session.told());
    assert!(told.is_none() || ours == Some(true));
    let _whatever = session.established();
}

fn passes(how: &str, variables: &Environment, whose: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "sessions_of_this_process", "--ignored"])
        .envs(variables)
        .env(WHOSE, whose);
    let (status, said) = ended(&mut command);
    assert_eq!(status, Some(0), "{how}: {said}");
    assert!(said.contains("1 passed"), "{how}: {said}");
}

// ---------------------------------------------------------------- tokens

type Named = (String, Vec<u8>);

/// Tokens that an acceptor is sent first, none of which begins anything.
fn begins() -> Vec<Named> {
    let mut tokens = Vec::new();
    for mech in [
        oid::KRB5,
        oid::IAKERB,
        oid::NTLMSSP,
        oid::NEGOEX,
        oid::SPNEGO,
    ] {
        for (what, inside) in insides() {
            let bare = framed(&mech, &inside);
            tokens.push((format!("{what} of {mech}"), bare.clone()));
            if mech != oid::SPNEGO {
                tokens.push((format!("{what} of {mech}, offered"), offer(&mech, &bare)));
                tokens.push((format!("{what}, for {mech}"), offer(&mech, &inside)));
            }
        }
    }
    for (what, message) in [
        ("NEGOTIATE", negotiate()),
        ("CHALLENGE", ntlm(2, 40)),
        ("AUTHENTICATE", ntlm(3, 72)),
        ("NTLM 7", ntlm(7, 40)),
        ("NTLM cut short", ntlm(1, 1)),
    ] {
        tokens.push((format!("{what} offered"), offer(&oid::NTLMSSP, &message)));
        tokens.push((format!("{what} for Kerberos"), offer(&oid::KRB5, &message)));
        tokens.push((what.to_owned(), message));
    }
    for (what, octets) in [
        ("one octet", &b"\x60"[..]),
        ("an AP-REQ's tag", b"\x6e"),
        ("an AP-REQ without contents", b"\x6e\x00"),
        ("an AP-REQ that is cut short", b"\x6e\x82\x10\x00\x30"),
        ("a NegTokenResp", b"\xa1\x07\x30\x05\xa0\x03\x0a\x01\x00"),
        ("letters", b"AAAAAAAA"),
        (
            "a header that promises much",
            b"\x60\x84\x7f\xff\xff\xff\x06\x06",
        ),
    ] {
        tokens.push((what.to_owned(), octets.to_vec()));
    }
    tokens
}

/// What stands behind the header of a mechanism's token.
fn insides() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", Vec::new()),
        ("AP-REQ without contents", b"\x01\x00".to_vec()),
        ("AP-REQ that is empty", b"\x01\x00\x6e\x00".to_vec()),
        ("AP-REP", b"\x02\x00".to_vec()),
        ("KRB-ERROR", b"\x03\x00\x7e\x00".to_vec()),
        ("KRB-ERROR without contents", b"\x03\x00".to_vec()),
        ("MIC", b"\x01\x01\x11\x00\xff\xff\xff\xff".to_vec()),
        ("deletion", b"\x01\x02".to_vec()),
        ("wrap", b"\x02\x01".to_vec()),
        ("message", b"\x05\x04\x00\xff\x00\x00\x00\x00".to_vec()),
        ("junk", [b"\x77\x77".to_vec(), vec![0xaa; 300]].concat()),
    ]
}

/// Tokens that come second, to whichever role.
fn seconds() -> Vec<Named> {
    let mut tokens: Vec<Named> = Vec::new();
    let mut put = |what: &str, token: Vec<u8>| tokens.push((what.to_owned(), token));
    put("nothing", Vec::new());
    put("letters", b"AAAAAAAA".to_vec());
    put("NegTokenResp cut short", b"\xa1\x03\x30\x05".to_vec());
    put("NegTokenResp of nothing", b"\xa1\x02\x30\x00".to_vec());
    put(
        "indefinite length",
        b"\xa1\x80\x30\x80\x00\x00\x00\x00".to_vec(),
    );
    put("offer", offer(&oid::KRB5, b""));
    put("NTLM", ntlm(2, 40));
    put("KRB-ERROR", b"\x7e\x00".to_vec());
    put("AP-REP", framed(&oid::KRB5, b"\x02\x00"));
    put(
        "large",
        [b"\xa1\x83\x00\xff\xfa".to_vec(), vec![0x30; 0xfffa]].concat(),
    );
    for state in [
        NegState::AcceptCompleted,
        NegState::AcceptIncomplete,
        NegState::Reject,
        NegState::RequestMic,
    ] {
        for mech in [None, Some(oid::KRB5), Some(oid::NTLMSSP), Some(oid::NEGOEX)] {
            for (inside, token) in [
                ("nothing", None),
                ("no octets", Some(Vec::new())),
                ("AP-REP", Some(framed(&oid::KRB5, b"\x02\x00\x6f\x00"))),
                ("KRB-ERROR", Some(framed(&oid::KRB5, b"\x03\x00\x7e\x00"))),
                (
                    "another's",
                    Some(framed(&oid::NTLMSSP, b"\x02\x00\x6f\x00")),
                ),
                ("CHALLENGE", Some(ntlm(2, 48))),
                ("CHALLENGE cut short", Some(ntlm(2, 4))),
                ("AUTHENTICATE", Some(ntlm(3, 80))),
                ("junk", Some(vec![0xaa; 64])),
            ] {
                for mic in [None, Some(&[0; 28][..])] {
                    let response = NegTokenResp {
                        neg_state: Some(state),
                        supported_mech: mech.as_ref().map(Oid::content),
                        response_token: token.as_deref(),
                        mech_list_mic: mic,
                    };
                    let what = format!("{state:?} {mech:?} {inside} {}", mic.is_some());
                    put(&what, response.encode());
                }
            }
        }
    }
    tokens
}

/// What a hostile server says second: each kind of token once, whatever state goes with it.
fn answers() -> Vec<(String, String)> {
    let every = seconds();
    let few = every.iter().step_by(9).chain(every.iter().take(10));
    let statuses = ["401 Unauthorized", "200 OK"].into_iter().cycle();
    few.zip(statuses)
        .map(|((what, token), status)| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nWWW-Authenticate: ");
            let answer = format!("{head}Negotiate {}\r\n\r\n", BASE64_STANDARD.encode(token));
            (format!("{status} {what}"), answer)
        })
        .collect()
}

fn offer(mech: &Oid, token: &[u8]) -> Vec<u8> {
    let mech_types = MechList::encode(&[*mech]);
    let mech_token = (!token.is_empty()).then_some(token);
    let mech_list_mic = None;
    NegTokenInit {
        mech_types,
        mech_token,
        mech_list_mic,
    }
    .encode()
}

/// RFC 2743 section 3.1.
fn framed(mech: &Oid, inside: &[u8]) -> Vec<u8> {
    let content = [element(0x06, mech.content()), inside.to_vec()].concat();
    element(0x60, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], content].concat()
}

fn ntlm(kind: u8, length: usize) -> Vec<u8> {
    [b"NTLMSSP\0".to_vec(), vec![kind, 0, 0, 0], vec![0; length]].concat()
}

/// One that an acceptor of NTLM answers.
fn negotiate() -> Vec<u8> {
    let flags = 0x6208_8215_u32.to_le_bytes().to_vec();
    let version = b"\x06\x01\xb1\x1d\0\0\0\x0f".to_vec();
    [ntlm(1, 0), flags, vec![0; 16], version].concat()
}

// ---------------------------------------------------------------- ends

/// Acceptors: whose SPNEGO over which mechanisms.
fn ends(realm: &Realm) -> Vec<(String, Environment)> {
    let mut ends = Vec::new();
    for side in [Side::Ours, Side::BuiltIn] {
        let plain = environment(realm, &MechConfig::new(side));
        ends.push((format!("{side:?}"), plain));
        if has_ntlmssp() {
            let config = MechConfig::new(side).with_ntlm();
            let mut variables = environment(realm, &config);
            variables.insert(
                "NTLM_USER_FILE".into(),
                support::user_file("SPNEGO:user:sesame\n"),
            );
            ends.push((format!("{side:?} with gss-ntlmssp"), variables));
        }
    }
    let mut own = environment(realm, &MechConfig::new(Side::Ours));
    own.insert(
        "NTLM_USER_FILE".into(),
        support::user_file("SPNEGO:user:sesame\n"),
    );
    ends.push(("Ours with own NTLM".to_owned(), own));
    ends
}

/// Initiators: the same with a ticket, and without one where there is NTLM.
fn initiators(realm: &Realm) -> Vec<(String, Environment)> {
    let mut initiators = Vec::new();
    for (how, variables) in ends(realm) {
        if variables.contains_key("NTLM_USER_FILE") {
            let mut without = variables;
            without.insert("KRB5CCNAME".into(), "FILE:/nonexistent/cache".into());
            initiators.push((format!("{how}, no ticket"), without));
        } else {
            initiators.push((how, variables));
        }
    }
    initiators
}

fn environment(realm: &Realm, config: &MechConfig) -> Environment {
    let mut variables = realm.environment();
    variables.insert(
        "GSS_MECH_CONFIG".into(),
        config.write().display().to_string(),
    );
    variables.insert("GSS_SPNEGO_CONFIG".into(), String::new());
    variables.insert("KRB5RCACHENAME".into(), "none:".into());
    variables
}

fn has_ntlmssp() -> bool {
    Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists()
        || support::skip("gss-ntlmssp is not installed")
}

fn tool(variables: &Environment) -> Command {
    let mut command = Command::new(support::tool());
    command.envs(variables);
    command
}

fn example(name: &str) -> Harness {
    let library = Harness::library();
    let objects = [library.to_str().unwrap(), "-lgssapi_krb5"];
    Harness::linked(name, &[name, "http_message"], &objects)
}

/// How a program ends, and what it says.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

/// A server under test, which says on which port it listens.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        // "listening on http://127.0.0.1:4711", "port 4711".
        let digits = |c: char| !c.is_ascii_digit();
        let port = line.trim_end().rsplit(digits).next().unwrap().parse();
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self {
            process,
            port: port.unwrap(),
        }
    }

    /// Each first token has an answer, and so has each second one.
    fn withstands_everything(&mut self, how: &str) {
        let seconds = seconds();
        let mut seconds = seconds.iter().cycle();
        for (what, first) in begins() {
            let mut connection = self.connect();
            for (then, second) in seconds.by_ref().take(4) {
                for token in [&first, second] {
                    let status = connection.ask(token);
                    let known = [Some(400), Some(401)];
                    assert!(known.contains(&status), "{how}: {what}, {then}: {status:?}");
                    if status == Some(400) {
                        connection = self.connect();
                    }
                }
            }
        }
        let ended = self.process.try_wait().unwrap();
        assert_eq!(ended, None, "{how}");
    }

    fn connect(&self) -> Asking {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Asking(BufReader::new(stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection to a server.
struct Asking(BufReader<TcpStream>);

impl Asking {
    /// The status of the answer; `None` when there is none.
    fn ask(&mut self, token: &[u8]) -> Option<u16> {
        let token = BASE64_STANDARD.encode(token);
        let request =
            format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Negotiate {token}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok();
        let mut length = 0;
        loop {
            let mut field = String::new();
            self.0.read_line(&mut field).ok()?;
            let Some((name, value)) = field.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("Content-Length") {
                length = value.trim().parse().unwrap();
            }
        }
        self.0.read_exact(&mut vec![0; length]).ok()?;
        status
    }
}

/// A server that asks for Negotiate, and then says what it is told to.
struct Peer {
    port: u16,
}

impl Peer {
    fn start(answer: &str) -> Self {
        const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\
                                 WWW-Authenticate: Negotiate\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer.to_owned();
        std::thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let mut socket = BufReader::new(socket);
            for said in [CHALLENGE, &answer].into_iter().cycle().take(40) {
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    // The client may have had enough of it.
                    if !matches!(socket.read_line(&mut line), Ok(1..)) {
                        return;
                    }
                }
                let _ = socket.get_mut().write_all(said.as_bytes());
            }
        });
        Self { port }
    }
}

/// Whose library [`sessions_of_this_process`] asks.
const WHOSE: &str = "HOSTILE_SESSIONS_OF";

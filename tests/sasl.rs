//! Cyrus SASL's GSS-SPNEGO over Heimdal 7, between a client and a server of two processes: its
//! sample programs, each with an /etc/gss of its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use support::{
    End, Environment, Harness, Realm, connect, heimdal_can_be_tested, part_of, scratch_file, skip,
};

const CLIENT: &str = "/usr/bin/sasl-sample-client";
const SERVER: &str = "/usr/sbin/sasl-sample-server";

const OURS: End = End::HEIMDAL_OURS;
const BUILT_IN: End = End::HEIMDAL_BUILT_IN;

fn realm() -> Option<(&'static Realm, Environment)> {
    if !heimdal_can_be_tested() {
        return None;
    }
    let module = Path::new("/usr/share/doc/libsasl2-modules-gssapi-heimdal");
    if ![Path::new(CLIENT), Path::new(SERVER), module]
        .iter()
        .all(|needed| needed.exists())
    {
        skip("sasl2-bin or libsasl2-modules-gssapi-heimdal is not installed");
        return None;
    }
    let realm = Realm::shared()?;
    Some((realm, realm.environment()))
}

#[test]
fn a_server_over_our_spnego_lets_clients_in() {
    let Some((_, environment)) = realm() else {
        return;
    };
    for client in [OURS, BUILT_IN] {
        let said = talk((client, OURS), &environment);
        assert!(said.both_ended_well, "{said:?}");
        for line in ["Username: user", "SSF: 56", "'client message 1'"] {
            assert!(said.server.contains(line), "{line}: {said:?}");
        }
        assert!(said.client.contains("message 'srv message 1'"), "{said:?}");
    }
}

/// It has the initiator's name for SPNEGO alone, and is asked for it in the name of Kerberos.
#[test]
fn over_the_built_in_it_fails_at_the_canonical_name() {
    let Some((_, environment)) = realm() else {
        return;
    };
    for client in [OURS, BUILT_IN] {
        let said = talk((client, BUILT_IN), &environment);
        assert!(!said.both_ended_well, "{said:?}");
        let why = "GSSAPI Failure: gss_canonicalize_name";
        assert!(said.server.contains(why), "{said:?}");
    }
}

/// One for SPNEGO alone would be passed over, and the server's own taken in its place. The sample
/// programs have no room for a token with a ticket in it: a library of the module's name is enough.
#[test]
fn no_credential_is_delegated_to_it() {
    let Some((_, mut environment)) = realm() else {
        return;
    };
    let module = Harness::object("neighbour", "libgssapiv2.so", &["-shared", "-fPIC"]);
    for (preloaded, mech, delegated) in [(None, "krb5", "yes"), (Some(module), "spnego", "no")] {
        if let Some(module) = preloaded {
            environment.insert("LD_PRELOAD".into(), module.display().to_string());
        }
        let options = "flags=mutual,deleg,conf,integ";
        let output = connect(OURS, OURS, options, &environment);
        let acceptor = part_of(&output.report, "acceptor");
        let (told, whole) = (
            format!("mech: {mech} time: "),
            format!("delegated: {delegated}"),
        );
        let found = |line: &str| acceptor.lines().any(|found| found.trim().starts_with(line));
        assert!(found(&told) && found(&whole), "{output:?}");
        assert!(found("peer: user@SPNEGO.TEST"), "{output:?}");
        // The mechanism is what it is for who asks the context.
        assert!(found("time: some mech: krb5 local: 0"), "{output:?}");
        assert!(
            output.report.matches("\nestablished\n").count() == 2,
            "{output:?}"
        );
    }
}

#[test]
fn our_own_ntlm_serves_it_too() {
    let Some((_, mut environment)) = realm() else {
        return;
    };
    let users = scratch_file("ntlm.users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    environment.insert("NTLM_USER_FILE".into(), users.display().to_string());
    environment.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    let said = talk((OURS, OURS), &environment);
    assert!(said.both_ended_well, "{said:?}");
    for line in ["Username: SPNEGO\\user", "SSF: 64", "'client message 1'"] {
        assert!(said.server.contains(line), "{line}: {said:?}");
    }
}

#[test]
fn it_is_told_why_not() {
    let Some((_, mut environment)) = realm() else {
        return;
    };
    environment.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    let said = talk((OURS, OURS), &environment);
    assert!(!said.both_ended_well, "{said:?}");
    assert!(said.client.contains("krb5: "), "{said:?}");
    assert!(said.client.contains("ntlmssp: "), "{said:?}");
}

/// What a client and a server have said, and whether both were content.
#[derive(Debug)]
struct Said {
    both_ended_well: bool,
    client: String,
    server: String,
}

fn talk(ends: (End, End), environment: &Environment) -> Said {
    let start = |end: End, program: &str, host: &str| {
        // Their lines have to leave before the buffer is full.
        let mut command = end.command(Path::new(program), &["stdbuf", "-oL"]);
        command
            .args(["-s", "HTTP", host, "localhost", "-m", "GSS-SPNEGO"])
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let mut server = start(ends.1, SERVER, "-d").spawn().unwrap();
    let mut client = start(ends.0, CLIENT, "-n")
        .args(["-u", "user", "-a", "user"])
        .spawn()
        .unwrap();
    let (to_client, from_client) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    let (to_server, from_server) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
    let there = thread::spawn(|| relay(from_client, to_server, "C: "));
    let back = thread::spawn(|| relay(from_server, to_client, "S: "));
    let client = end(client, there);
    let server = end(server, back);
    Said {
        both_ended_well: client.0 && server.0,
        client: client.1,
        server: server.1,
    }
}

fn end(program: Child, said: thread::JoinHandle<String>) -> (bool, String) {
    let output = program.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.join().unwrap() + &errors)
}

/// Hand on the lines that are meant for the peer; all of them.
fn relay(from: ChildStdout, mut to: ChildStdin, mark: &str) -> String {
    let mut said = String::new();
    for line in BufReader::new(from).split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        if line.starts_with(mark) {
            // A peer that has given up does not read any more.
            let _ = writeln!(to, "{line}");
        }
        said += &line;
        said.push('\n');
    }
    said
}

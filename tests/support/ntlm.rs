//! NTLM's ends of `tests/c/pair.c`: whose SPNEGO and whose NTLM each has, and the users.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use spnego::wire::spnego::{NegTokenInit, NegTokenResp};

use super::{
    Environment, Harness, MechConfig, Output, Realm, Side, configuration, plugin, scratch_file,
    skip,
};

/// Whose SPNEGO and whose NTLM one end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NtlmEnd {
    /// Our SPNEGO and our NTLM, since there is no other.
    Own,
    /// Our SPNEGO and, though gss-ntlmssp is there, our NTLM.
    Beside,
    /// Our SPNEGO over gss-ntlmssp.
    Over,
    /// The system's SPNEGO over gss-ntlmssp.
    System,
}

impl NtlmEnd {
    /// For `GSS_MECH_CONFIG`.
    pub(crate) fn mechs(self) -> String {
        let config = match self {
            Self::Own => MechConfig::new(Side::Ours),
            Self::Beside | Self::Over => MechConfig::new(Side::Ours).with_ntlm(),
            Self::System => MechConfig::new(Side::BuiltIn).with_ntlm(),
        };
        config.write().display().to_string()
    }

    /// For `GSS_SPNEGO_CONFIG`.
    pub(crate) fn settings(self) -> String {
        match self {
            Self::Beside => configuration(&[("ntlm", "own")]).display().to_string(),
            Self::Own | Self::Over | Self::System => String::new(),
        }
    }

    /// Both, for a process of one end.
    pub(crate) fn environment(self) -> Environment {
        Environment::from([
            ("GSS_MECH_CONFIG".to_owned(), self.mechs()),
            ("GSS_SPNEGO_CONFIG".to_owned(), self.settings()),
        ])
    }
}

/// The realm and the environment of a user without a ticket and with a file of users; `None`,
/// loudly, where something is missing.
pub(crate) fn ntlm_users() -> Option<(&'static Realm, Environment)> {
    let realm = Realm::shared()?;
    if plugin().is_none() {
        skip("NTLM under our SPNEGO");
        return None;
    }
    if !std::path::Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        skip("gss-ntlmssp is not installed");
        return None;
    }
    let mut environment = realm.environment();
    environment.insert("NTLM_USER_FILE".into(), user_file("SPNEGO:user:sesame\n"));
    environment.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    Some((realm, environment))
}

/// A file of users with these lines.
pub(crate) fn user_file(lines: &str) -> String {
    let file = scratch_file("ntlm.users");
    std::fs::write(&file, lines).unwrap();
    file.display().to_string()
}

/// Run `pair` with an initiator and an acceptor that ask for everything.
pub(crate) fn run_ntlm(
    ends: (NtlmEnd, NtlmEnd),
    options: &str,
    environment: &Environment,
) -> Output {
    let mut arguments = vec![
        "both".to_owned(),
        "flags=mutual,replay,seq,conf,integ".to_owned(),
        "ask_target=no".to_owned(),
    ];
    let mut variables = [ends.0, ends.1].map(|end| format!("GSS_SPNEGO_CONFIG={}", end.settings()));
    for option in options.split_ascii_whitespace() {
        match (option.strip_prefix("i.env="), option.strip_prefix("a.env=")) {
            (Some(more), _) => variables[0] += &format!(";{more}"),
            (_, Some(more)) => variables[1] += &format!(";{more}"),
            _ => arguments.push(option.to_owned()),
        }
    }
    arguments.push(format!("i.env={}", variables[0]));
    arguments.push(format!("a.env={}", variables[1]));
    arguments.push(format!("i.config={}", ends.0.mechs()));
    arguments.push(format!("a.config={}", ends.1.mechs()));
    Harness::named("pair").run(&arguments, environment)
}

/// Whether both ends were established.
pub(crate) fn ntlm_established(output: &Output) -> bool {
    let lines = output.report.lines();
    output.status == 0 && lines.filter(|line| line.trim() == "established").count() == 2
}

/// Two ends of `pair` in processes of their own, and somebody between them.
pub(crate) struct Meddled {
    pub(crate) initiator: Output,
    pub(crate) acceptor: Output,
}

impl Meddled {
    /// Connect two ends through somebody who may `change` each context token. With `checked` both
    /// run under valgrind.
    pub(crate) fn run(
        ends: (NtlmEnd, NtlmEnd),
        environment: &Environment,
        checked: bool,
        change: impl Fn(&mut Vec<u8>) + Sync,
    ) -> Self {
        let start = |end: NtlmEnd, role: &str| {
            let (theirs, ours) = UnixStream::pair().unwrap();
            let mut command = Command::new("timeout");
            command.args(["-k", "5", "170"]);
            if checked {
                command.args(Harness::checker());
            }
            let end = command
                .arg(Harness::named("pair").file())
                .arg(role)
                .args(["flags=mutual,replay,seq,conf,integ", "ask_target=no"])
                .arg("messages=few")
                .envs(environment)
                .envs(end.environment())
                .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
                .stdout(OwnedFd::from(theirs))
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            (end, ours)
        };
        let (initiator, to_initiator) = start(ends.0, "initiator");
        let (acceptor, to_acceptor) = start(ends.1, "acceptor");
        std::thread::scope(|scope| {
            scope.spawn(|| forward(&to_initiator, &to_acceptor, &change));
            forward(&to_acceptor, &to_initiator, &change);
        });
        Self {
            initiator: finished(initiator),
            acceptor: finished(acceptor),
        }
    }
}

impl Meddled {
    /// Both reports, for a complaint.
    pub(crate) fn both(&self) -> String {
        format!(
            "---- the initiator:\n{}---- the acceptor:\n{}",
            self.initiator.report, self.acceptor.report
        )
    }
}

fn finished(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        status: output.status.code().unwrap_or(-1),
        report: String::from_utf8_lossy(&output.stderr).into_owned(),
        errors: String::new(),
    }
}

/// Hand frames on (see tests/c/channel.c), until there are no more.
fn forward(mut from: &UnixStream, mut to: &UnixStream, change: impl Fn(&mut Vec<u8>)) {
    let mut head = [0; 5];
    while from.read_exact(&mut head).is_ok() {
        let [kind, length @ ..] = head;
        let mut octets = vec![0; u32::from_ne_bytes(length) as usize];
        if from.read_exact(&mut octets).is_err() {
            break;
        }
        if kind == b'T' {
            change(&mut octets);
        }
        let length = u32::try_from(octets.len()).unwrap().to_ne_bytes();
        let frame = [&[kind], length.as_slice(), &octets].concat();
        if to.write_all(&frame).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// The change of a token that changes the NTLM message in it, if it is of this kind: 1 NEGOTIATE,
/// 2 CHALLENGE, 3 AUTHENTICATE.
pub(crate) fn in_message(
    kind: u8,
    change: impl Fn(&mut Vec<u8>) + Sync,
) -> impl Fn(&mut Vec<u8>) + Sync {
    let changed = move |message: Option<&[u8]>| {
        let begin = [b"NTLMSSP\0".as_slice(), &[kind]].concat();
        let mut message = message
            .filter(|message| message.starts_with(&begin))?
            .to_vec();
        change(&mut message);
        Some(message)
    };
    move |token| {
        let message;
        let new = if let Ok(mut init) = NegTokenInit::decode(token) {
            message = changed(init.mech_token);
            message.as_deref().map(|message| {
                init.mech_token = Some(message);
                init.encode()
            })
        } else if let Ok(mut resp) = NegTokenResp::decode(token) {
            message = changed(resp.response_token);
            message.as_deref().map(|message| {
                resp.response_token = Some(message);
                resp.encode()
            })
        } else {
            None
        };
        if let Some(new) = new {
            *token = new;
        }
    }
}

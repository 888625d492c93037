//! Our NTLM against other people's: gss-ntlmssp through MIT's glue, pyspnego, impacket and Samba's
//! gensec, each in the roles it has; contexts, session keys, and messages in both directions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ntlm::{
    Accept, Acceptor, Accounts, ChannelBindings, Credential, Host, Initiate, Ntlm, UserName,
    context_flag,
};
use spnego::negotiate::{Mech, Step};
use support::{Harness, hex, ntlm_auth, python, scratch_file, skip, unhex};

const TARGET: &str = "HTTP/server.example.org";
const CHANNEL: &[u8] = b"tls-server-end-point:0123456789abcdef";
const USER: &str = "DOMAIN\\user";
const PASSWORD: &str = "Pass word 1";

/// Who is on the other side, and what it can.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    GssNtlmssp,
    Pyspnego,
    Impacket,
    Samba,
}

impl Kind {
    /// Whether it protects AUTHENTICATE_MESSAGE by a MIC.
    fn has_mic(self) -> bool {
        self != Self::Impacket
    }

    /// Whether its key stream can be put back after a mechListMIC.
    fn has_list_mic(self) -> bool {
        matches!(self, Self::GssNtlmssp | Self::Pyspnego)
    }

    fn has_bindings(self) -> bool {
        self != Self::Samba
    }
}

/// A peer's process. It ends when its stdin is closed.
struct Peer {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    kind: Kind,
}

impl Peer {
    /// Start a peer; `None` when it is not installed, which fails under CI.
    fn start(kind: Kind, role: &str, options: &[(&str, &str)]) -> Option<Self> {
        let theirs = |name, module| {
            let mut command = python(module, "ntlm_peer.py")?;
            command.arg(name);
            Some(command)
        };
        let mut command = match kind {
            Kind::GssNtlmssp if !Path::new(GSS_NTLMSSP).exists() => {
                skip("gss-ntlmssp is not installed");
                return None;
            }
            Kind::GssNtlmssp => Command::new(Harness::named("ntlm_peer").file()),
            Kind::Samba => theirs("samba", "samba.gensec")?,
            Kind::Pyspnego => theirs("pyspnego", "spnego")?,
            Kind::Impacket => theirs("impacket", "impacket.ntlm")?,
        };
        command.arg(role);
        if (kind, role) == (Kind::Samba, "accept") {
            command.arg(format!("ntlm_auth={}", ntlm_auth()?.display()));
        }
        let directory = scratch_file("peer");
        std::fs::create_dir_all(&directory).unwrap();
        let users = directory.join("users");
        std::fs::write(&users, format!("DOMAIN:user:{PASSWORD}\n")).unwrap();
        let mechs = directory.join("mechs");
        std::fs::write(&mechs, GSS_NTLMSSP_LINE).unwrap();
        command
            .args(
                options
                    .iter()
                    .map(|(name, value)| format!("{name}={value}")),
            )
            .env("NTLM_USER_FILE", users)
            .env("GSS_MECH_CONFIG", mechs)
            .env("KRB5_CONFIG", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Some(Self {
            commands: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
            kind,
        })
    }

    /// Give a command; the kind of the answer and its octets, or the peer's error.
    fn ask(&mut self, command: &str, arguments: &[&[u8]]) -> Result<(String, Vec<u8>), String> {
        let word = |octets: &&[u8]| match *octets {
            [] => "-".to_owned(),
            octets => hex(octets),
        };
        let arguments: Vec<_> = arguments.iter().map(word).collect();
        writeln!(self.commands, "{command} {}", arguments.join(" ")).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        match line.trim_end().split_once(' ') {
            Some(("error", reason)) => Err(reason.to_owned()),
            Some((kind, octets)) => Ok((kind.to_owned(), unhex(octets))),
            None => panic!("{command}: the peer answered {line:?}"),
        }
    }

    fn octets(&mut self, command: &str, arguments: &[&[u8]]) -> Vec<u8> {
        match self.ask(command, arguments) {
            Ok((_, octets)) => octets,
            Err(reason) => panic!("{command}: {reason}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an exchange is about.
#[derive(Clone, Copy)]
struct Terms<'a> {
    seal: bool,
    password: &'a str,
    ours: Option<&'a [u8]>,
    theirs: Option<&'a [u8]>,
}

const SEALED: Terms<'_> = Terms {
    seal: true,
    password: PASSWORD,
    ours: None,
    theirs: None,
};

impl Terms<'_> {
    fn peer(&self, kind: Kind, role: &str) -> Option<Peer> {
        let bindings = hex(self.theirs.unwrap_or_default());
        let mut options = vec![
            ("target", TARGET),
            ("protect", if self.seal { "seal" } else { "sign" }),
        ];
        if role == "initiate" {
            options.extend([("user", USER), ("password", self.password)]);
        }
        if self.theirs.is_some() {
            options.push(("bindings", &bindings));
        }
        Peer::start(kind, role, &options)
    }

    fn bindings(&self) -> Option<ChannelBindings<'_>> {
        self.ours.map(|application_data| ChannelBindings {
            application_data,
            ..ChannelBindings::default()
        })
    }

    fn exchange(&self, kind: Kind, ours: Ours) -> Option<(Peer, Result<Ntlm, String>)> {
        match ours {
            Ours::Initiates => self.initiate(kind),
            Ours::Accepts => self.accept(kind),
        }
    }

    /// Ours accepts; the peer's AUTHENTICATE_MESSAGE was made before the verdict is known.
    fn accept(&self, kind: Kind) -> Option<(Peer, Result<Ntlm, String>)> {
        let mut peer = self.peer(kind, "initiate")?;
        let accounts = Accounts::parse(format!("DOMAIN:user:{PASSWORD}").as_bytes());
        let host = &Host::named("server.example.org", None, None);
        let call = Accept {
            accounts: &accounts,
            host,
            acceptor: Acceptor {
                service: None,
                machine: host,
                bindings: self.bindings(),
            },
            require_mic: kind.has_mic(),
        };
        let (_, negotiate) = peer.ask("step", &[b""]).unwrap();
        let (mut ours, step) = Ntlm::accept(&negotiate, &call).unwrap();
        let Step::Continue(challenge) = step else {
            panic!("a challenge is owed");
        };
        let (state, authenticate) = peer.ask("step", &[&challenge]).unwrap();
        assert_eq!(state, "done");
        let verdict = ours.continue_accept(&authenticate, &call);
        let verdict = verdict.map(|_| ours).map_err(|error| error.reason);
        Some((peer, verdict))
    }

    /// Ours initiates.
    fn initiate(&self, kind: Kind) -> Option<(Peer, Result<Ntlm, String>)> {
        let mut peer = self.peer(kind, "accept")?;
        let credential = Credential::from_password(UserName::parse(USER), self.password);
        let protection = if self.seal {
            context_flag::CONFIDENTIALITY | context_flag::INTEGRITY
        } else {
            context_flag::INTEGRITY
        };
        let call = Initiate {
            credential: &credential,
            target: Some(TARGET),
            bindings: self.bindings(),
            host: &Host::named("client.example.org", None, None),
            machine: &Host::named("client.example.org", None, None),
            context_flags: protection,
        };
        let (mut ours, step) = Ntlm::initiate(&call).unwrap();
        let Step::Continue(negotiate) = step else {
            panic!("an answer is awaited");
        };
        let (_, challenge) = peer.ask("step", &[&negotiate]).unwrap();
        let step = ours.continue_initiate(&challenge, &call).unwrap();
        let Step::Done(Some(authenticate)) = step else {
            panic!("an initiator ends with AUTHENTICATE");
        };
        assert!(ours.demands_mic(), "the acceptor gave its time");
        let verdict = peer.ask("step", &[&authenticate]);
        let verdict = verdict.map(|(state, _)| {
            assert_eq!(state, "done");
            ours
        });
        Some((peer, verdict))
    }
}

/// Messages of each sort in both directions, interleaved; begun by a mechListMIC, a signature or a
/// sealed message.
fn converse(peer: &mut Peer, ours: &mut Ntlm, first: First) {
    assert_eq!(peer.octets("key", &[]), ours.session_key().unwrap());
    if first.list_mic {
        let mic = ours.sign(b"the list").unwrap();
        peer.octets("listverify", &[b"the list", &mic]);
        let mic = peer.octets("listmic", &[b"the list"]);
        ours.verify(b"the list", &mic).unwrap();
    }
    if ours.context_flags() & context_flag::CONFIDENTIALITY == 0 && peer.kind == Kind::Samba {
        // It does not encrypt on a context with signing alone, as Windows, and has to show it.
        let token = peer.octets("wrap", &[b"the first"]);
        assert_eq!(&token[Ntlm::OVERHEAD..], b"the first");
        assert_eq!(ours.unwrap(&token).unwrap(), b"the first");
    }
    for round in 0..4 {
        let message = vec![b'a' + round; 1 + 700 * usize::from(round)];
        if first.signed || round > 0 {
            let mic = ours.mic(&message).unwrap();
            peer.octets("verify", &[&message, &mic]);
            let mic = peer.octets("mic", &[&message]);
            ours.verify_mic(&message, &mic).unwrap();
        }
        let token = ours.wrap(&message).unwrap();
        assert_eq!(peer.octets("unwrap", &[&token]), message);
        let token = peer.octets("wrap", &[&message]);
        assert_eq!(ours.unwrap(&token).unwrap(), message);
    }
    let mut forged = ours.wrap(b"forged on the way").unwrap();
    forged[20] ^= 1;
    assert!(peer.ask("unwrap", &[&forged]).is_err());
}

#[derive(Clone, Copy)]
struct First {
    list_mic: bool,
    signed: bool,
}

const FIRSTS: [First; 4] = [
    First {
        list_mic: false,
        signed: false,
    },
    First {
        list_mic: false,
        signed: true,
    },
    First {
        list_mic: true,
        signed: false,
    },
    First {
        list_mic: true,
        signed: true,
    },
];

/// What ours does.
#[derive(Clone, Copy)]
enum Ours {
    Initiates,
    Accepts,
}

/// Contexts with each protection, and their messages.
fn agree(kind: Kind, ours_role: Ours) {
    for seal in [true, false] {
        for first in FIRSTS {
            if first.list_mic && !kind.has_list_mic() {
                continue;
            }
            let terms = Terms { seal, ..SEALED };
            let Some((mut peer, context)) = terms.exchange(kind, ours_role) else {
                return;
            };
            let mut ours = context.unwrap();
            let confidential = ours.context_flags() & context_flag::CONFIDENTIALITY != 0;
            // Ours and impacket ask for sealing whenever they sign.
            let always = matches!(ours_role, Ours::Initiates) || kind == Kind::Impacket;
            assert_eq!(confidential, seal || always);
            assert_eq!(ours.demands_mic(), kind.has_mic());
            converse(&mut peer, &mut ours, first);
        }
    }
}

fn refuse_a_wrong_password(kind: Kind, ours: Ours) -> Option<String> {
    let terms = Terms {
        password: "wrong",
        ..SEALED
    };
    let (_, ours) = terms.exchange(kind, ours)?;
    Some(ours.unwrap_err())
}

/// The same channel, another one, none on their side, none on ours.
fn bind(kind: Kind) {
    let other = b"tls-server-end-point:another".as_slice();
    for (theirs, bound) in [
        (Some(CHANNEL), Some(true)),
        (Some(other), None),
        (None, Some(false)),
    ] {
        let terms = Terms {
            ours: Some(CHANNEL),
            theirs,
            ..SEALED
        };
        let Some((_, ours)) = terms.accept(kind) else {
            return;
        };
        match (ours, bound) {
            (Ok(ours), Some(bound)) => {
                let flag = ours.context_flags() & context_flag::CHANNEL_BOUND != 0;
                assert_eq!(flag, bound);
            }
            (Err(reason), None) => assert!(reason.contains("another channel"), "{reason}"),
            (outcome, _) => panic!("{theirs:?}: {outcome:?}"),
        }
    }
}

/// Their acceptor sees our channel, and refuses another.
fn be_bound(kind: Kind) {
    for (theirs, fits) in [(CHANNEL, true), (b"another".as_slice(), false)] {
        let terms = Terms {
            ours: Some(CHANNEL),
            theirs: Some(theirs),
            ..SEALED
        };
        let Some((mut peer, ours)) = terms.initiate(kind) else {
            return;
        };
        assert_eq!(ours.is_ok(), fits);
        if fits && peer.kind == Kind::GssNtlmssp {
            let flags = peer.octets("flags", &[]);
            let flags = u32::from_le_bytes(flags.as_slice().try_into().unwrap());
            assert_ne!(flags & context_flag::CHANNEL_BOUND, 0);
        }
    }
}

#[test]
fn gss_ntlmssp_initiates() {
    agree(Kind::GssNtlmssp, Ours::Accepts);
    bind(Kind::GssNtlmssp);
    if let Some(reason) = refuse_a_wrong_password(Kind::GssNtlmssp, Ours::Accepts) {
        assert!(reason.starts_with("wrong password"), "{reason}");
    }
}

#[test]
fn gss_ntlmssp_accepts() {
    agree(Kind::GssNtlmssp, Ours::Initiates);
    be_bound(Kind::GssNtlmssp);
    if let Some(reason) = refuse_a_wrong_password(Kind::GssNtlmssp, Ours::Initiates) {
        assert!(reason.starts_with("major 000d0000"), "{reason}");
    }
    if let Some((mut peer, ours)) = SEALED.initiate(Kind::GssNtlmssp) {
        ours.unwrap();
        // gss-ntlmssp 1.2.0 counts C's final zero.
        let name = peer.octets("name", &[]);
        assert_eq!(name.strip_suffix(&[0]).unwrap_or(&name), USER.as_bytes());
    }
}

#[test]
fn pyspnego_initiates() {
    agree(Kind::Pyspnego, Ours::Accepts);
    bind(Kind::Pyspnego);
    if let Some(reason) = refuse_a_wrong_password(Kind::Pyspnego, Ours::Accepts) {
        assert!(reason.starts_with("wrong password"), "{reason}");
    }
}

#[test]
fn pyspnego_accepts() {
    agree(Kind::Pyspnego, Ours::Initiates);
    be_bound(Kind::Pyspnego);
    if let Some(reason) = refuse_a_wrong_password(Kind::Pyspnego, Ours::Initiates) {
        assert!(reason.starts_with("InvalidTokenError"), "{reason}");
    }
}

#[test]
fn impacket_initiates() {
    agree(Kind::Impacket, Ours::Accepts);
    bind(Kind::Impacket);
    if let Some(reason) = refuse_a_wrong_password(Kind::Impacket, Ours::Accepts) {
        assert!(reason.starts_with("wrong password"), "{reason}");
    }
}

#[test]
fn samba_initiates() {
    assert!(!Kind::Samba.has_bindings());
    agree(Kind::Samba, Ours::Accepts);
    if let Some(reason) = refuse_a_wrong_password(Kind::Samba, Ours::Accepts) {
        assert!(reason.starts_with("wrong password"), "{reason}");
    }
}

/// Samba as a server is its ntlm_auth: a context and its key, but no messages.
#[test]
fn samba_accepts() {
    let Some((mut peer, ours)) = SEALED.initiate(Kind::Samba) else {
        return;
    };
    let ours = ours.unwrap();
    assert_eq!(peer.octets("key", &[]), ours.session_key().unwrap());
    assert_eq!(peer.octets("name", &[]), USER.as_bytes());
    let reason = refuse_a_wrong_password(Kind::Samba, Ours::Initiates).unwrap();
    assert!(reason.contains("NT_STATUS_LOGON_FAILURE"), "{reason}");
}

const GSS_NTLMSSP: &str = "/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so";
const GSS_NTLMSSP_LINE: &str = "gssntlmssp_v1 1.3.6.1.4.1.311.2.2.10 \
                                /usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so\n";

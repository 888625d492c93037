//! NTLM through the plugin with other people's SPNEGO on the other side: pyspnego, impacket, Samba
//! and the `sspi` crate, each in the roles it has, and with messages afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use support::{
    Environment, Harness, NtlmEnd as End, ntlm_auth, ntlm_users as users, python, scratch_file,
    skip, user_file,
};

/// Whose SPNEGO is on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Pyspnego,
    Impacket,
    /// As an initiator gensec; as an acceptor Samba's `ntlm_auth`, which has no messages.
    Samba,
    Sspi,
}

/// Our NTLM and the system's, both under our SPNEGO.
const OURS: [End; 2] = [End::Own, End::Over];

/// What the reports of the two ends are, the plugin's first.
struct Reports(String, String);

impl Peer {
    /// The command of one end; `None`, loudly, where it is not installed.
    fn command(self, role: &str, password: &str) -> Option<Command> {
        let directory = scratch_file("peer");
        std::fs::create_dir_all(&directory).unwrap();
        let theirs = || python("spnego", "negotiate_peer.py");
        let mut options = vec![];
        let (command, arguments) = match self {
            Self::Pyspnego => (theirs()?, ["pyspnego", role]),
            Self::Impacket => (theirs()?, ["impacket", role]),
            Self::Samba if role == "acceptor" => {
                options.push(format!("ntlm_auth={}", ntlm_auth()?.display()));
                (theirs()?, ["ntlm_auth", role])
            }
            Self::Samba => {
                let gensec = python("samba.gensec", "gensec_peer.py");
                (gensec?, [role, "realm=SPNEGO.TEST"])
            }
            Self::Sspi => (Command::new(sspi_peer()?), [role, "computer=PEER"]),
        };
        let mut made = Command::new("timeout");
        made.args(["60".as_ref(), command.get_program()])
            .args(command.get_args())
            .args(arguments)
            .args(["user=user", "domain=SPNEGO"])
            .arg(format!("password={password}"))
            .arg(format!("directory={}", directory.display()))
            .args(options);
        Some(made)
    }

    /// Connect it with the plugin, which has `role`; the passwords are the initiator's and, where
    /// the peer accepts, its own.
    fn connect(self, end: End, role: &str, password: &str, options: &[&str]) -> Option<Reports> {
        let (_, mut variables) = users()?;
        let (peer_role, peer_password) = match role {
            "initiator" => ("acceptor", "sesame"),
            _ => ("initiator", password),
        };
        let peer = self.command(peer_role, peer_password)?;
        let mut theirs = variables.clone();
        theirs.insert("NTLM_USER_FILE".into(), user_file("SPNEGO:user:sesame\n"));
        if role == "initiator" {
            let line = format!("SPNEGO:user:{password}\n");
            variables.insert("NTLM_USER_FILE".into(), user_file(&line));
        }
        variables.extend(end.environment());
        let (left, right) = UnixStream::pair().unwrap();
        let mut ours = Command::new(Harness::named("pair").file());
        ours.arg(role)
            .args(["flags=mutual,replay,seq,conf,integ", "ask_target=no"])
            .arg("messages=few")
            .args(options);
        let ours = spawn(ours, left, &variables);
        let theirs = spawn(peer, right, &theirs);
        Some(Reports(finish(ours), finish(theirs)))
    }
}

impl Reports {
    fn both(&self) -> String {
        format!("---- the plugin:\n{}\n---- the peer:\n{}", self.0, self.1)
    }

    /// Both ends are established.
    #[track_caller]
    fn assert_established(&self, what: &str) {
        for line in ["\nestablished\n", "plugin: loaded"] {
            assert!(self.0.contains(line), "{what}: {line:?}: {}", self.both());
        }
        assert!(self.1.contains("established\n"), "{what}: {}", self.both());
    }

    /// And understand each other's messages.
    #[track_caller]
    fn assert_works(&self, what: &str) {
        self.assert_established(what);
        for line in ["unwrap: COMPLETE\n  text: as sent", "verify_mic: COMPLETE"] {
            assert!(self.0.contains(line), "{what}: {line:?}: {}", self.both());
        }
        assert!(
            self.1.contains("unwrap: as sent\n"),
            "{what}: {}",
            self.both()
        );
        assert!(
            self.1.contains("verify: as sent\n") || self.1.contains("check_packet: as sent\n"),
            "{what}: {}",
            self.both()
        );
    }

    /// The plugin's end failed with this reason.
    #[track_caller]
    fn assert_refused(&self, what: &str, reason: &str) {
        assert!(
            self.0.contains("not established\n"),
            "{what}: {}",
            self.both()
        );
        assert!(self.0.contains(reason), "{what}: {}", self.both());
        assert!(!self.1.contains("unwrap: "), "{what}: {}", self.both());
        assert!(!self.0.contains("sesame"), "{what}: {}", self.both());
    }
}

/// The peer signs in to the plugin, and with a wrong password does not.
fn peer_initiates(peer: Peer) {
    for end in OURS {
        let what = format!("{peer:?} to {end:?}");
        let Some(reports) = peer.connect(end, "acceptor", "sesame", &[]) else {
            return;
        };
        reports.assert_works(&what);
        let reports = peer.connect(end, "acceptor", "guess", &[]).unwrap();
        let reason = match end {
            End::Own => "minor: ntlmssp: wrong password for \"SPNEGO\\\\user\"",
            _ => "minor: ntlmssp: ",
        };
        reports.assert_refused(&what, reason);
    }
}

/// The plugin signs in to the peer, and with a wrong password does not.
fn peer_accepts(peer: Peer, ends: &[End], has_messages: bool) {
    let options: &[&str] = if has_messages { &[] } else { &["messages=no"] };
    for &end in ends {
        let what = format!("{end:?} to {peer:?}");
        let Some(reports) = peer.connect(end, "initiator", "sesame", options) else {
            return;
        };
        if has_messages {
            reports.assert_works(&what);
        } else {
            reports.assert_established(&what);
        }
        // The acceptor's mechListMIC is what shows that it knows the password.
        if end == End::Own {
            assert!(reports.0.contains("flags: mutual"), "{}", reports.both());
        }
        let reports = peer.connect(end, "initiator", "guess", options).unwrap();
        reports.assert_refused(&what, "the peer has failed");
    }
}

#[test]
fn pyspnego_signs_in() {
    peer_initiates(Peer::Pyspnego);
}

#[test]
fn pyspnego_is_signed_in_to() {
    peer_accepts(Peer::Pyspnego, &OURS, true);
}

#[test]
fn samba_signs_in() {
    peer_initiates(Peer::Samba);
}

#[test]
fn samba_is_signed_in_to() {
    peer_accepts(Peer::Samba, &OURS, false);
}

#[test]
fn the_sspi_crate_signs_in() {
    peer_initiates(Peer::Sspi);
}

/// By ours: gss-ntlmssp calls the flags of its challenge invalid.
#[test]
fn the_sspi_crate_is_signed_in_to() {
    peer_accepts(Peer::Sspi, &[End::Own], true);
}

/// impacket makes no MIC: gss-ntlmssp takes it, ours wants the protection.
#[test]
fn impacket_signs_in_where_its_missing_mic_is_taken() {
    let Some(reports) = Peer::Impacket.connect(End::Over, "acceptor", "sesame", &[]) else {
        return;
    };
    reports.assert_works("impacket");
    let reports = Peer::Impacket.connect(End::Own, "acceptor", "sesame", &[]);
    reports.unwrap().assert_refused("impacket", "MIC");
}

fn spawn(mut command: Command, socket: UnixStream, variables: &Environment) -> Child {
    command
        .envs(variables)
        .stdin(OwnedFd::from(socket.try_clone().unwrap()))
        .stdout(OwnedFd::from(socket))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The program of `tests/sspi`, built in a workspace of its own.
fn sspi_peer() -> Option<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = root.join("target/sspi");
        let done = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--manifest-path"])
            .arg(root.join("tests/sspi/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .output()
            .unwrap();
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            skip(&format!("tests/sspi cannot be built: {why}"));
            return None;
        }
        Some(target.join("debug/sspi-peer"))
    };
    BUILT.get_or_init(build).clone()
}

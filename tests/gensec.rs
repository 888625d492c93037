//! Against Samba's SPNEGO (gensec): in both roles, with fragments in either direction and in both,
//! and with messages afterwards.
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
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use support::{
    Environment, Harness, MechConfig, Realm, Side, domain_setup, python, python_with, scratch_file,
};

/// The realm, where Samba's gensec is as well, or the end of the test.
macro_rules! realm {
    () => {
        match (python_with(GENSEC), Realm::with_plugin()) {
            (Some(_), Some(realm)) => realm,
            _ => return,
        }
    };
}
const GENSEC: &str = "samba.gensec, samba.credentials, samba.auth";

/// Whose NTLM the plugin negotiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ntlm {
    Own,
    OfTheSystem,
}

/// A domain with a user whose password is sesame, made once; `None`, loudly, where there is nothing
/// to make it of.
fn domain() -> Option<&'static Path> {
    static DOMAIN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = DOMAIN.get_or_init(|| {
        let setup = domain_setup()?;
        let directory = scratch_file("domain");
        let output = python(GENSEC, "gensec_domain.py")?
            .args([&setup, &directory])
            .args(["user", "sesame"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Some(directory)
    });
    made.as_deref()
}

/// A connection between the plugin in one role and gensec in the other.
struct Connection<'a> {
    realm: &'a Realm,
    /// The plugin's role.
    role: &'static str,
    ntlm: Option<Ntlm>,
    ours: Vec<String>,
    sambas: Vec<String>,
}

impl<'a> Connection<'a> {
    fn new(realm: &'a Realm, role: &'static str) -> Self {
        Self {
            realm,
            role,
            ntlm: None,
            ours: Vec::new(),
            sambas: Vec::new(),
        }
    }

    fn with_ntlm(mut self, ntlm: Ntlm) -> Self {
        self.ntlm = Some(ntlm);
        self
    }

    fn ours(mut self, options: &str) -> Self {
        let options = options.split_ascii_whitespace().map(ToOwned::to_owned);
        self.ours.extend(options);
        self
    }

    fn sambas(mut self, options: &str) -> Self {
        let options = options.split_ascii_whitespace().map(ToOwned::to_owned);
        self.sambas.extend(options);
        self
    }

    /// The reports of the plugin's end and of Samba's.
    fn run(self) -> (String, String) {
        let mut config = MechConfig::new(Side::Ours);
        let mut variables = self.realm.environment();
        if let Some(ntlm) = self.ntlm {
            if ntlm == Ntlm::OfTheSystem {
                config = config.with_ntlm();
            }
            let users = scratch_file("ntlm.users");
            std::fs::write(&users, "TEST:user:sesame\n").unwrap();
            let users = users.display().to_string();
            variables.insert("NTLM_USER_FILE".into(), users);
            variables.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
        }
        let config = config.write().display().to_string();
        variables.insert("GSS_MECH_CONFIG".into(), config);
        variables.insert("GSS_SPNEGO_CONFIG".into(), String::new());
        let (left, right) = UnixStream::pair().unwrap();
        let mut ours = Command::new(Harness::named("pair").file());
        ours.arg(self.role)
            .arg("flags=mutual,replay,seq,conf,integ");
        ours.args(["cred=acquire", "cred.mechs=spnego", "messages=few"]);
        ours.args(["count=yes", "ask_target=no"]).args(&self.ours);
        let mut sambas = Command::new("timeout");
        let peer = python(GENSEC, "gensec_peer.py").unwrap();
        sambas
            .args(["60".as_ref(), peer.get_program()])
            .args(peer.get_args())
            .args(self.sambas_arguments());
        let ours = spawn(ours, left, &variables);
        let sambas = spawn(sambas, right, &variables);
        (finish(ours), finish(sambas))
    }

    fn sambas_arguments(&self) -> Vec<String> {
        let directory = scratch_file("samba");
        std::fs::create_dir_all(&directory).unwrap();
        let mut arguments = vec![
            if self.role == "acceptor" {
                "initiator"
            } else {
                "acceptor"
            }
            .to_owned(),
            format!("directory={}", directory.display()),
            format!("realm={}", Realm::NAME),
        ];
        if self.ntlm.is_some() && self.role == "acceptor" {
            arguments.extend(["user=user", "password=sesame", "domain=TEST"].map(Into::into));
        } else if self.ntlm.is_some() {
            let domain = domain().unwrap();
            arguments.push(format!("smb_conf={}/etc/smb.conf", domain.display()));
        } else if self.role == "initiator" {
            arguments.push(format!("password={}", Realm::PASSWORD));
        } else {
            let cache = self.realm.cache("user");
            arguments.push(format!("ccache=FILE:{}", cache.display()));
        }
        arguments.extend(self.sambas.iter().cloned());
        arguments
    }
}

fn spawn(mut command: Command, socket: UnixStream, variables: &Environment) -> std::process::Child {
    let copy = OwnedFd::from(socket.try_clone().unwrap());
    command
        .envs(variables)
        .stdin(copy)
        .stdout(OwnedFd::from(socket))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: std::process::Child) -> String {
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Both ends are established and understand each other's messages, and sent pieces of the sizes
/// asked for.
#[track_caller]
fn assert_works(what: &str, (ours, sambas): &(String, String)) {
    let both = format!("{what}\n---- the plugin:\n{ours}\n---- Samba:\n{sambas}");
    for line in [
        "\nestablished\n",
        "plugin: loaded",
        "unwrap: COMPLETE\n  text: as sent",
        "verify_mic: COMPLETE",
    ] {
        assert!(ours.contains(line), "{line:?}: {both}");
    }
    for line in [
        "established\n",
        "unwrap: as sent\n",
        "check_packet: as sent\n",
    ] {
        assert!(sambas.contains(line), "{line:?}: {both}");
    }
}

/// The size of the largest token in a report.
fn largest(report: &str) -> usize {
    let line = report
        .lines()
        .find(|line| line.starts_with("sent: "))
        .unwrap();
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
    numbers.nth(1).unwrap()
}

#[test]
fn kerberos_with_a_gensec_acceptor() {
    let realm = realm!();
    for (ours, sambas) in [
        ("", ""),
        ("size=5", ""),
        ("", "size=5"),
        ("size=100", "size=7"),
    ] {
        let reports = Connection::new(realm, "initiator")
            .ours("target=user@SPNEGO.TEST target.type=principal")
            .ours(ours)
            .sambas(sambas)
            .run();
        assert_works(&format!("{ours} / {sambas}"), &reports);
        assert_sizes(ours, largest(&reports.0));
        assert_sizes(sambas, largest(&reports.1));
    }
}

#[test]
fn kerberos_with_a_gensec_initiator() {
    let realm = realm!();
    // The glue hands over a first piece that holds header and identifier: 12 octets here.
    for (ours, sambas) in [
        ("", ""),
        ("size=5", ""),
        ("", "size=12"),
        ("size=7", "size=100"),
    ] {
        let reports = Connection::new(realm, "acceptor")
            .ours(ours)
            .sambas(sambas)
            .run();
        assert_works(&format!("{ours} / {sambas}"), &reports);
        assert_sizes(ours, largest(&reports.0));
        assert_sizes(sambas, largest(&reports.1));
    }
}

#[track_caller]
fn assert_sizes(options: &str, largest: usize) {
    match options.strip_prefix("size=") {
        Some(size) => assert_eq!(largest, size.parse::<usize>().unwrap()),
        None => assert!(largest > 20),
    }
}

#[test]
fn ntlm_with_a_gensec_initiator() {
    let realm = realm!();
    for ntlm in [Ntlm::Own, Ntlm::OfTheSystem] {
        for (ours, sambas) in [
            ("", ""),
            ("size=5", ""),
            ("", "size=12"),
            ("size=50", "size=12"),
        ] {
            let reports = Connection::new(realm, "acceptor")
                .with_ntlm(ntlm)
                .ours("a.neg=ntlmssp")
                .ours(ours)
                .sambas(sambas)
                .run();
            let what = format!("{ntlm:?}: {ours} / {sambas}");
            assert_works(&what, &reports);
            assert_sizes(ours, largest(&reports.0));
            assert_sizes(sambas, largest(&reports.1));
        }
    }
}

#[test]
fn ntlm_with_a_gensec_acceptor() {
    let realm = realm!();
    if domain().is_none() {
        return;
    }
    for ntlm in [Ntlm::Own, Ntlm::OfTheSystem] {
        for (ours, sambas) in [
            ("", ""),
            ("size=5", ""),
            ("", "size=7"),
            ("size=50", "size=12"),
        ] {
            let reports = Connection::new(realm, "initiator")
                .with_ntlm(ntlm)
                .ours("target=HTTP@peer.spnego.test")
                .ours(ours)
                .sambas(sambas)
                .run();
            let what = format!("{ntlm:?}: {ours} / {sambas}");
            assert_works(&what, &reports);
            assert_sizes(ours, largest(&reports.0));
            assert_sizes(sambas, largest(&reports.1));
        }
    }
}

//! Ends of a connection that are programs of MIT's library or of Heimdal's, each in a mechanism
//! configuration of its own. Heimdal reads /etc/gss/mech only, so its programs see a private one.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Environment, Harness, MechConfig, Output, Side, plugin, scratch_file, skip};

/// Whose GSS-API library a program is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Mit,
    Heimdal,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) library: Library,
    pub(crate) side: Side,
    /// MIT's library has Debian's gss-ntlmssp.
    ntlmssp: bool,
}

impl End {
    /// The four that there are.
    pub(crate) const MIT_BUILT_IN: Self = Self::new(Library::Mit, Side::BuiltIn);
    pub(crate) const MIT_OURS: Self = Self::new(Library::Mit, Side::Ours);
    pub(crate) const HEIMDAL_BUILT_IN: Self = Self::new(Library::Heimdal, Side::BuiltIn);
    pub(crate) const HEIMDAL_OURS: Self = Self::new(Library::Heimdal, Side::Ours);

    pub(crate) const fn new(library: Library, side: Side) -> Self {
        Self {
            library,
            side,
            ntlmssp: false,
        }
    }

    /// One of MIT's, with Debian's gss-ntlmssp.
    pub(crate) const fn with_ntlmssp(mut self) -> Self {
        self.ntlmssp = true;
        self
    }

    /// The command of a program of this library, in this end's mechanism configuration.
    pub(crate) fn command(self, program: &std::path::Path, before: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "170"]);
        match self.library {
            Library::Mit => {
                let mut config = MechConfig::new(self.side);
                if self.ntlmssp {
                    config = config.with_ntlm();
                }
                command.env("GSS_MECH_CONFIG", config.write());
            }
            Library::Heimdal => {
                command.args(["unshare", "-m", "sh", "-c"]);
                command.arg("mount --bind \"$0\" /etc/gss && exec \"$@\"");
                command.arg(private_directory(self.side));
            }
        }
        command.args(before).arg(program).stdin(Stdio::null());
        command
    }
}

/// Whether programs of Heimdal can be built and given a private /etc/gss; else the test is skipped
/// loudly.
pub(crate) fn heimdal_can_be_tested() -> bool {
    if plugin().is_none() {
        return skip("there is no plugin to test under Heimdal");
    }
    if !std::path::Path::new(HEADERS).is_dir() {
        return skip("not installed: heimdal-multidev");
    }
    let probe = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount --bind /tmp /etc/gss"])
        .output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        return true;
    }
    skip("no private mount namespace: root, and the directory /etc/gss, are needed")
}

/// Where heimdal-multidev puts its headers.
pub(crate) const HEADERS: &str = "/usr/include/heimdal";

/// What a directory of mechanism configuration has in it.
fn private_directory(side: Side) -> PathBuf {
    let directory = scratch_file("etc-gss");
    std::fs::create_dir_all(&directory).unwrap();
    if side == Side::Ours {
        std::fs::copy(MechConfig::new(side).write(), directory.join("mech")).unwrap();
    }
    directory
}

/// Run tests/c/pair.c with an end in each of two programs: their reports, the initiator's first.
pub(crate) fn connect(
    initiator: End,
    acceptor: End,
    options: &str,
    variables: &Environment,
) -> Output {
    connect_with(initiator, acceptor, options, variables, &[])
}

/// The same, with both programs run by another, a memory checker for one.
pub(crate) fn connect_with(
    initiator: End,
    acceptor: End,
    options: &str,
    variables: &Environment,
    before: &[&str],
) -> Output {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let start = |end: End, role: &str, socket: UnixStream| -> Child {
        let program = Harness::for_library("pair", end.library);
        end.command(program.path(), before)
            .arg(role)
            .args(options.split_ascii_whitespace())
            .envs(variables)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(
                socket.try_clone().unwrap(),
            )))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(socket)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let initiating = start(initiator, "initiator", ours);
    let accepting = start(acceptor, "acceptor", theirs);
    let acceptance = std::thread::spawn(|| accepting.wait_with_output().unwrap());
    let outputs = [
        initiating.wait_with_output().unwrap(),
        acceptance.join().unwrap(),
    ];
    let mut both = Output {
        status: 0,
        report: String::new(),
        errors: String::new(),
    };
    for output in outputs {
        use std::os::unix::process::ExitStatusExt;
        both.report += &String::from_utf8_lossy(&output.stderr);
        let signal = output.status.signal().unwrap_or(0);
        let status = output.status.code().unwrap_or(128 + signal);
        if both.status == 0 {
            both.status = status;
        }
    }
    both
}

/// A run under valgrind ended well, and without a fault or a leak of this library's. Heimdal's own
/// are not ours to answer for: what counts is a report with this library in it.
pub(crate) fn assert_no_fault_of_ours(output: &Output, options: &str) {
    let checked = |line: &&str| {
        line.strip_prefix("==")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let said: Vec<_> = output.report.lines().filter(checked).collect();
    for fault in said.split(|line| line.ends_with("== ")) {
        let fault = fault.join("\n");
        assert!(
            !fault.contains("gss_spnego") && !fault.contains("Invalid"),
            "{options}: {fault}"
        );
    }
    assert_eq!(output.status, 0, "{options}: {}", output.report);
}

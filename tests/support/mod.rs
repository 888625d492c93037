//! What the integration tests stand on: a throwaway realm, the C harnesses, and a choice of SPNEGO
//! (the system's or ours) for each end of a connection.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test binary uses its own part of the support"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod built;
mod ccache;
mod harness;
mod heimdal;
mod ntlm;
mod pairing;
mod plugin;
mod python;
mod realm;
mod web;

pub(crate) use built::{built, tool};
pub(crate) use ccache::expire_tickets;
pub(crate) use harness::{Harness, Output, Sanitizer};
pub(crate) use heimdal::{
    End, Library, assert_no_fault_of_ours, connect, connect_with, heimdal_can_be_tested,
};
pub(crate) use ntlm::{
    Meddled, NtlmEnd, in_message, ntlm_established, ntlm_users, run_ntlm, user_file,
};
pub(crate) use pairing::{Pair, Pairing, Scenarios, assert_same, difference, part_of};
pub(crate) use plugin::{MechConfig, Side, configuration, plugin, sides};
pub(crate) use python::{domain_setup, ntlm_auth, python, python_with};
pub(crate) use realm::{Environment, Realm, from_lasting_thread, realm};
pub(crate) use web::{
    Answer, Apache, Between, Curl, Site, apache_directory, client_environment, clocks_can_be_set,
    give_to_apache, web_can_be_tested,
};

/// Whether every one of `programs` can be run. Where one cannot, the test is skipped loudly; under
/// `CI=true` it fails.
pub(crate) fn installed(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs
        .iter()
        .filter(|program| find_program(program).is_none())
        .collect();
    missing.is_empty() || skip(&format!("not installed: {missing:?}"))
}

/// Skip a test loudly, or fail it under `CI=true`. Always false.
pub(crate) fn skip(why: &str) -> bool {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "cannot be tested here: {why}"
    );
    let test = std::thread::current();
    eprintln!(
        "*** SKIPPED {}: {why}",
        test.name().unwrap_or("a test of this binary")
    );
    false
}

/// Where a program is, also in the administrator's directories, which a user's PATH may lack.
pub(crate) fn find_program(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/lib/x86_64-linux-gnu"].map(Into::into))
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// The names that a shared object exports, in order.
pub(crate) fn exported(object: &std::path::Path) -> Vec<String> {
    let mut command = std::process::Command::new("nm");
    command.args(["-D", "--defined-only", "--format=posix"]);
    let listed = command.arg(object).output().expect("nm runs");
    assert!(listed.status.success(), "{listed:?}");
    let text = String::from_utf8(listed.stdout).expect("symbols are text");
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(ToOwned::to_owned)
        .collect();
    names.sort_unstable();
    names
}

/// Octets in hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The octets that hexadecimal digits are, whatever stands between them.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A port of TCP that nobody listens on, for now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A directory of this process for what a test writes, removed when the process exits.
fn scratch() -> &'static std::path::Path {
    use std::sync::OnceLock;
    static SCRATCH: OnceLock<std::path::PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let directory =
            std::env::temp_dir().join(format!("gss-spnego-test.{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a scratch directory");
        at_exit(|| {
            if let Some(directory) = SCRATCH.get() {
                let _ = std::fs::remove_dir_all(directory);
            }
        });
        directory
    })
}

/// A name in the scratch directory that nobody else in this process uses.
pub(crate) fn scratch_file(stem: &str) -> std::path::PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    scratch().join(format!("{stem}.{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Run `action` when the process exits: what lives in statics is never dropped.
fn at_exit(action: fn()) {
    use std::sync::Mutex;
    static ACTIONS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());
    extern "C" fn run() {
        let actions = std::mem::take(&mut *ACTIONS.lock().unwrap());
        for action in actions.into_iter().rev() {
            action();
        }
    }
    let mut actions = ACTIONS.lock().unwrap();
    if actions.is_empty() {
        // SAFETY: `run` is a plain function of this program and does not unwind.
        assert_eq!(unsafe { libc::atexit(run) }, 0);
    }
    actions.push(action);
}

//! The peers in Python, and what tests/py/setup makes for the tests.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::skip;

/// A Python that has a module: the one of tests/py/setup, or Debian's own. Where neither has it,
/// the test is skipped.
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let found = [made("py/bin/python"), "/usr/bin/python3".into()]
        .into_iter()
        .find(|python| {
            Command::new(python)
                .args(["-c", &format!("import {module}")])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        });
    if found.is_none() {
        skip(&format!("no Python has {module}: run tests/py/setup"));
    }
    found
}

/// A program of tests/py, which needs a module.
pub(crate) fn python(module: &str, program: &str) -> Option<Command> {
    let mut command = Command::new(python_with(module)?);
    command
        .arg(format!("{}/tests/py/{program}", env!("CARGO_MANIFEST_DIR")))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// Samba's helper; where it is not there, the test is skipped.
pub(crate) fn ntlm_auth() -> Option<PathBuf> {
    found("winbind/usr/bin/ntlm_auth")
}

/// Of what Samba makes a domain; where it is not there, the test is skipped.
pub(crate) fn domain_setup() -> Option<PathBuf> {
    found("samba-ad-provision/usr/share/samba/setup")
}

fn found(path: &str) -> Option<PathBuf> {
    let file = made(path);
    if !file.exists() {
        skip(&format!("no {}: run tests/py/setup", file.display()));
        return None;
    }
    Some(file)
}

fn made(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(path)
}

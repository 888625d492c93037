//! Whether NTLM can be offered honestly without asking for it each time: its credential costs
//! millions of instructions, loading it as many again, and gss-ntlmssp leaks a part of each.

use gssapi::mech::{self, Acquire, Source};
use gssapi::owned::Store;
use gssapi::sys::GSS_C_INITIATE;
use gssapi::{Mechglue, environment};
use spnego::advice::{Trouble, advised};
use spnego::error::{Cause, MechError, major};
use spnego::lock::held_briefly;
use spnego::oid;
use std::ffi::c_int;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// Whether the system's NTLM mechanism has a user to sign in as, or users to accept.
///
/// gss-ntlmssp finds them in the file named by `NTLM_USER_FILE`, which is read here, or through
/// winbind, which only the mechanism itself can ask: once for each state of winbind's place. The
/// answer is kept and its place looked at again at most once in [`LOOK_AGAIN_AFTER`].
///
/// # Errors
/// Why it has none.
pub(crate) fn ntlm(glue: &'static Mechglue) -> Result<(), MechError> {
    static ANSWER: Mutex<Option<Answer>> = Mutex::new(None);
    let is_fresh = |known: &Answer| known.looked.elapsed() < LOOK_AGAIN_AFTER;
    let known = match held_briefly(&ANSWER).as_deref() {
        Some(Some(fresh)) if is_fresh(fresh) => return fresh.verdict.clone(),
        known => known.cloned().flatten(),
    };
    // Asking takes its time, and a fork meanwhile must not leave the answer locked in the child.
    let place = place();
    let verdict = match known {
        Some(known) if known.place == place => known.verdict,
        _ => judge(glue, &place),
    };
    if let Some(mut answer) = held_briefly(&ANSWER) {
        *answer = Some(Answer {
            place,
            verdict: verdict.clone(),
            looked: Instant::now(),
        });
    }
    verdict
}

#[derive(Clone)]
struct Answer {
    place: Place,
    verdict: Result<(), MechError>,
    looked: Instant,
}

/// Where users are to be found, and when that last changed.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf, SystemTime),
    Winbind(SystemTime),
    MissingFile(PathBuf),
    Nowhere,
}

fn place() -> Place {
    let changed = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let named = environment::variable("NTLM_USER_FILE").map(PathBuf::from);
    let when = named.as_deref().and_then(changed);
    if let (Some(file), Some(when)) = (&named, when) {
        return Place::File(file.clone(), when);
    }
    match (
        WINBIND_PIPES
            .iter()
            .find_map(|pipe| changed(Path::new(pipe))),
        named,
    ) {
        (Some(when), _) => Place::Winbind(when),
        (None, Some(file)) => Place::MissingFile(file),
        (None, None) => Place::Nowhere,
    }
}

fn judge(glue: &'static Mechglue, place: &Place) -> Result<(), MechError> {
    match place {
        Place::File(file, _) => match names_a_user(file) {
            Ok(true) => Ok(()),
            Ok(false) => Err(none(format!(
                "no user in {} (NTLM_USER_FILE)",
                file.display()
            ))),
            Err(error) => Err(none(format!(
                "{} (NTLM_USER_FILE): {error}",
                file.display()
            ))),
        },
        Place::Winbind(_) => {
            let how = Acquire {
                name: None,
                lifetime: u32::MAX,
                usage: c_int::try_from(GSS_C_INITIATE).unwrap_or_default(),
                source: Source::Store(Store::NONE),
                asks_lifetime: false,
            };
            mech::acquire(glue, &[oid::NTLMSSP], how).map(|_| ())
        }
        Place::MissingFile(file) => Err(none(format!(
            "{} (NTLM_USER_FILE) is not there, and winbind does not run",
            file.display()
        ))),
        Place::Nowhere => Err(none(
            "no user: NTLM_USER_FILE is not set and winbind does not run".to_owned(),
        )),
    }
}

/// Whether a user file has a line of the forms gss-ntlmssp reads: `DOMAIN:user:password`, or an
/// smbpasswd line.
fn names_a_user(file: &Path) -> std::io::Result<bool> {
    // A pipe of that name is not waited for.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file)?;
    let lines = BufReader::new(opened.take(MOST_READ)).split(b'\n');
    for line in lines {
        let line = line?;
        let fields: Vec<&[u8]> = line.split(|octet| *octet == b':').collect();
        let is_user = |field: &&[u8]| !field.trim_ascii().is_empty();
        if !line.starts_with(b"#") && fields.len() >= 3 && fields.get(1).is_some_and(is_user) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn none(reason: String) -> MechError {
    MechError {
        mech: oid::NTLMSSP,
        major: major::NO_CRED,
        cause: Cause::Unusable,
        reason: advised(reason, Some(&Trouble::NtlmUsers)),
        token: None,
    }
}

/// How long an answer is believed without looking at its place again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A user file is looked through this far, in octets, for its first user.
const MOST_READ: u64 = 64 * 1024;

/// Where winbindd listens, by distribution.
const WINBIND_PIPES: [&str; 2] = [
    "/run/samba/winbindd/pipe",
    "/var/lib/samba/winbindd_privileged/pipe",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_file_counts_when_it_names_a_user() {
        let directory = std::env::temp_dir().join(format!("gss-spnego-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("users");
        for (text, expected) in [
            ("DOMAIN:user:secret\n", true),
            ("# comment\nDOMAIN:user:secret", true),
            (
                "user:1000:X:0123456789ABCDEF0123456789ABCDEF:[U]:LCT-1\n",
                true,
            ),
            ("# DOMAIN:user:secret\n", false),
            ("DOMAIN:user\n", false),
            ("", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(names_a_user(&file).unwrap(), expected, "{text:?}");
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}

//! Whether NTLM can be offered honestly without asking for it each time: its credential costs
//! millions of instructions, loading it as many again, and gss-ntlmssp leaks a part of each.

use gssapi::mech::{self, Acquire, Source};
use gssapi::owned::Store;
use gssapi::sys::GSS_C_INITIATE;
use gssapi::{Mechglue, environment};
use spnego::advice::{Trouble, advised};
use spnego::error::{Cause, MechError, major, plain};
use spnego::lock::held_briefly;
use spnego::oid;
use spnego::stamp::{Seen, Stamp};
use std::ffi::{OsStr, OsString, c_int};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Whether the system's NTLM mechanism has a user to sign in as, or users to accept.
///
/// gss-ntlmssp finds them in the file named by `NTLM_USER_FILE`, which is read here, or through
/// winbind, which only the mechanism itself can ask. The answer is kept, and compared at each use
/// with what it was made from; that winbind has no user now is asked each time, since a user signs
/// in without anything to be seen of it.
///
/// # Errors
/// Why it has none.
pub(crate) fn ntlm(glue: &'static Mechglue) -> Result<(), MechError> {
    static ANSWER: Mutex<Option<Arc<Answer>>> = Mutex::new(None);
    let known = held_briefly(&ANSWER).and_then(|known| known.clone());
    if let Some(known) = known.filter(|known| known.made_from.is_still()) {
        return known.verdict.clone();
    }
    // Asking takes its time, and a fork meanwhile must not leave the answer locked in the child.
    let mut made_from = Place::now();
    let (verdict, is_kept) = judge(glue, &mut made_from);
    if let Some(mut answer) = held_briefly(&ANSWER) {
        let verdict = verdict.clone();
        *answer = is_kept.then(|| Arc::new(Answer { made_from, verdict }));
    }
    verdict
}

struct Answer {
    made_from: Place,
    verdict: Result<(), MechError>,
}

/// Where users are to be found.
enum Place {
    /// A file, and who looks at it: not everybody may read it.
    File(PathBuf, Seen, u32),
    /// winbind's pipe, by its place among [`WINBIND_PIPES`], what `NTLM_USER_FILE` says, and whom
    /// winbind is asked for.
    Winbind(usize, Seen, Option<OsString>, u32),
    /// Neither; what `NTLM_USER_FILE` says.
    Nowhere(Option<OsString>),
}

impl Place {
    fn now() -> Self {
        let named = environment::variable(environment::NTLM_USERS);
        let file = named.as_ref().map(PathBuf::from);
        let seen = file.map(|file| (Seen::at(&file), file));
        if let Some((seen, file)) = seen.filter(|(seen, _)| seen.is_there()) {
            return Self::File(file, seen, environment::user());
        }
        let pipes = WINBIND_PIPES.iter().map(|pipe| Seen::at(Path::new(pipe)));
        match pipes.enumerate().find(|(_, seen)| seen.is_there()) {
            Some((place, seen)) => Self::Winbind(place, seen, named, environment::user()),
            None => Self::Nowhere(named),
        }
    }

    /// Whether nothing has changed here.
    fn is_still(&self) -> bool {
        let named = match self {
            Self::File(file, ..) => Some(file.as_os_str()),
            Self::Winbind(_, _, named, _) | Self::Nowhere(named) => named.as_deref(),
        };
        if !environment::is_set_to(environment::NTLM_USERS, named) {
            return false;
        }
        match self {
            Self::File(file, seen, user) => {
                seen.is_still(Stamp::at(file)) && *user == environment::user()
            }
            Self::Winbind(place, seen, named, user) => {
                let pipes = WINBIND_PIPES.iter().take(place.saturating_add(1));
                let found = pipes
                    .enumerate()
                    .find_map(|(place, pipe)| Some((place, Stamp::at(Path::new(pipe))?)));
                let is_same = |(at, stamp)| at == *place && seen.is_still(Some(stamp));
                found.is_some_and(is_same)
                    && !is_there(named.as_deref())
                    && *user == environment::user()
            }
            Self::Nowhere(named) => {
                !is_there(named.as_deref())
                    && !WINBIND_PIPES
                        .iter()
                        .any(|pipe| is_there(Some(OsStr::new(pipe))))
            }
        }
    }
}

fn is_there(file: Option<&OsStr>) -> bool {
    file.is_some_and(|file| Stamp::at(Path::new(file)).is_some())
}

/// The answer, and whether all that it is made from is in the place.
fn judge(glue: &'static Mechglue, place: &mut Place) -> (Result<(), MechError>, bool) {
    let verdict = match place {
        Place::File(file, seen, _) => {
            let began = SystemTime::now();
            let named = format!("{} ({})", file.display(), environment::NTLM_USERS);
            let found = open(file).and_then(|(opened, stamp)| {
                *seen = Seen::new(Some(stamp), began);
                names_a_user(opened)
            });
            match found {
                Ok(true) => Ok(()),
                Ok(false) => Err(none(format!("no user in {named}"), &Trouble::NtlmUsers)),
                Err(error) => {
                    let words = format!("{named}: {}", plain(&error));
                    return (Err(none(words, &Trouble::NtlmUsers)), false);
                }
            }
        }
        Place::Winbind(..) => {
            let how = Acquire {
                name: None,
                lifetime: u32::MAX,
                usage: c_int::try_from(GSS_C_INITIATE).unwrap_or_default(),
                source: Source::Store(Store::NONE),
                asks_lifetime: false,
            };
            let verdict = mech::acquire(glue, &[oid::NTLMSSP], how).map(drop);
            let has_user = verdict.is_ok();
            return (verdict, has_user);
        }
        Place::Nowhere(None) => Err(none(
            format!(
                "no user: {} is not set and winbind does not run",
                environment::NTLM_USERS
            ),
            &Trouble::NtlmUsers,
        )),
        Place::Nowhere(Some(named)) if named.is_empty() => Err(none(
            format!(
                "no user: {} is set and names no file, and winbind does not run",
                environment::NTLM_USERS
            ),
            &Trouble::EmptyUserFile,
        )),
        Place::Nowhere(Some(named)) => Err(none(
            format!(
                "{} ({}) is not there, and winbind does not run",
                Path::new(named).display(),
                environment::NTLM_USERS
            ),
            &Trouble::NtlmUsers,
        )),
    };
    (verdict, true)
}

fn open(file: &Path) -> io::Result<(File, Stamp)> {
    // A pipe of that name is not waited for.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file)?;
    let stamp = Stamp::of(&opened.metadata()?);
    Ok((opened, stamp))
}

/// Whether a user file has a line of the forms gss-ntlmssp reads: `DOMAIN:user:password`, or an
/// smbpasswd line.
fn names_a_user(file: File) -> io::Result<bool> {
    let lines = BufReader::new(file.take(MOST_READ)).split(b'\n');
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

fn none(reason: String, trouble: &Trouble) -> MechError {
    MechError {
        mech: oid::NTLMSSP,
        major: major::NO_CRED,
        cause: Cause::Unusable,
        reason: advised(reason, Some(trouble)),
        token: None,
    }
}

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
    use std::fs;

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
            assert_eq!(
                names_a_user(File::open(&file).unwrap()).unwrap(),
                expected,
                "{text:?}"
            );
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}

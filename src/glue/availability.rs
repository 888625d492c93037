//! Whether NTLM can be offered honestly without asking for it each time: its credential costs
//! millions of instructions, and gss-ntlmssp leaks a part of each.

use super::mech::{self, Acquire, Source};
use super::owned::Store;
use super::{Mechglue, environment};
use crate::error::{Cause, MechError, major};
use crate::oid;
use crate::sys::GSS_C_INITIATE;
use std::ffi::c_int;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Whether the system's NTLM mechanism has a default user to sign in as.
///
/// # Errors
/// Why it has none. A cheap look at where it could find one comes first; the mechanism itself is
/// asked once for each state of that place, and its answer is kept.
pub(crate) fn ntlm_initiator(glue: &'static Mechglue) -> Result<(), MechError> {
    static ANSWER: Mutex<Option<Answer>> = Mutex::new(None);
    let mut answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = answer.as_mut() {
        if known.looked.elapsed() < LOOK_AGAIN_AFTER {
            return known.verdict.clone();
        }
        if known.source.as_ref() == source().as_ref() {
            known.looked = Instant::now();
            return known.verdict.clone();
        }
    }
    let source = source();
    let verdict = match &source {
        Ok(_) => ask(glue),
        Err(why) => Err(why.clone()),
    };
    *answer = Some(Answer { source, verdict: verdict.clone(), looked: Instant::now() });
    verdict
}

/// Whether there is a place where the mechanism could find a user, without loading it.
///
/// # Errors
/// That there is none.
pub(crate) fn ntlm_source() -> Result<(), MechError> {
    source().map(|_| ())
}

struct Answer {
    source: Result<Found, MechError>,
    verdict: Result<(), MechError>,
    looked: Instant,
}

/// A place with a user in it, and when it last changed.
#[derive(Clone, PartialEq, Eq)]
struct Found {
    place: PathBuf,
    changed: Option<SystemTime>,
}

/// gss-ntlmssp finds its user in the file named by `NTLM_USER_FILE`, or through winbind.
fn source() -> Result<Found, MechError> {
    let user_file = environment::variable("NTLM_USER_FILE").map(PathBuf::from);
    let winbind = WINBIND_PIPES.iter().map(PathBuf::from);
    let found = user_file.into_iter().chain(winbind).find_map(|place| {
        let meta = fs::metadata(&place).ok()?;
        Some(Found { place, changed: meta.modified().ok() })
    });
    found.ok_or_else(|| none(match environment::variable("NTLM_USER_FILE") {
        Some(file) => format!(
            "the file named by NTLM_USER_FILE, {}, is not there, and winbind does not run",
            Path::new(&file).display()
        ),
        None => "no user: NTLM_USER_FILE is not set and winbind does not run".to_owned(),
    }))
}

fn ask(glue: &'static Mechglue) -> Result<(), MechError> {
    let how = Acquire {
        name: None,
        lifetime: u32::MAX,
        usage: c_int::try_from(GSS_C_INITIATE).unwrap_or_default(),
        source: Source::Store(Store::NONE),
    };
    mech::acquire(glue, &[oid::NTLMSSP], how).map(|_| ())
}

fn none(reason: String) -> MechError {
    MechError {
        mech: oid::NTLMSSP,
        major: major::NO_CRED,
        cause: Cause::Unusable,
        reason,
        token: None,
    }
}

/// How long an answer is believed without looking at its place again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Where winbindd listens, by distribution.
const WINBIND_PIPES: [&str; 2] =
    ["/run/samba/winbindd/pipe", "/var/lib/samba/winbindd_privileged/pipe"];

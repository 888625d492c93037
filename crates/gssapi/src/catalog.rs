//! Which mechanisms this machine has, learnt from the glue's own configuration without loading any
//! that is not needed: asking the glue would load every one of them.

use super::owned::{LentOid, OidSet};
use super::{Mechglue, environment};
use spnego::error::major;
use spnego::lock::held_briefly;
use spnego::oid::{self, Oid};
use spnego::stamp::{Seen, Stamp};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, Mutex};

/// The mechanisms that may be negotiated, in the order of the glue's configuration, Kerberos first.
///
/// Kept, and compared at each use with what it was made from.
pub fn available(glue: &'static Mechglue) -> Arc<[Oid]> {
    let known = held_briefly(&glue.catalog.0).and_then(|known| known.clone());
    if let Some(known) = known.as_ref().filter(|known| known.holds(glue)) {
        return Arc::clone(&known.mechs);
    }
    // Reading takes its time, and a fork meanwhile must not leave the catalog locked in the child.
    let Ok(catalog) = Catalog::read(glue, known.as_deref()) else {
        // The next use reads again.
        return known.map_or_else(|| [oid::KRB5].into(), |known| Arc::clone(&known.mechs));
    };
    let mechs = Arc::clone(&catalog.mechs);
    if let Some(mut known) = held_briefly(&glue.catalog.0) {
        *known = Some(Arc::new(catalog));
    }
    mechs
}

/// Whether the glue has a mechanism that nobody configures, asked at each call: for what is negotiated
/// only where it is named.
pub fn has(glue: &'static Mechglue, mech: &Oid) -> bool {
    attributes(glue, mech).is_some()
}

/// The shared object that is configured for a mechanism, where its line names it by its path.
pub(super) fn library(glue: &Mechglue, mech: &Oid) -> Option<PathBuf> {
    let named = environment::variable(ONLY_FILE);
    let texts = files(glue, named.as_deref())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    let line_of = |text: String| {
        let mut lines = text.lines();
        let line = lines.find(|line| configured(line) == Some(*mech))?;
        Some(PathBuf::from(line.split_whitespace().nth(2)?))
    };
    texts.filter_map(line_of).next()
}

/// What was learnt of one glue's mechanisms.
pub(super) struct Known(Mutex<Option<Arc<Catalog>>>);

impl Known {
    /// Before anything is learnt.
    pub(super) const fn nothing() -> Self {
        Self(Mutex::new(None))
    }
}

struct Catalog {
    mechs: Arc<[Oid]>,
    made_from: Sources,
    /// When the glue did not have all that its files name, and may not have looked at them since they
    /// changed: it does so once in each second of the clock.
    incomplete_in: Option<i64>,
}

/// What a catalog is made from.
#[derive(PartialEq, Eq)]
struct Sources {
    /// What [`ONLY_FILE`] says.
    named: Option<OsString>,
    files: Vec<(PathBuf, Seen)>,
}

impl Catalog {
    fn holds(&self, glue: &Mechglue) -> bool {
        let is_due = |second: i64| second != environment::wall_seconds();
        self.made_from.hold(glue) && !self.incomplete_in.is_some_and(is_due)
    }

    /// What the files say, unless they cannot be read for lack of something that other files need as
    /// well.
    fn read(glue: &'static Mechglue, known: Option<&Self>) -> io::Result<Self> {
        let now = environment::wall_seconds();
        let made_from = Sources::of(glue)?;
        let mut mechs = vec![oid::KRB5];
        let mut is_complete = true;
        let is_file = |file: &&PathBuf| file.extension().is_some() || file.is_file();
        for file in made_from.files.iter().map(|(file, _)| file).filter(is_file) {
            let text = match fs::read_to_string(file) {
                Ok(text) => text,
                Err(error) if is_of_process(&error) => return Err(error),
                Err(_) => continue,
            };
            for mech in text.lines().filter_map(configured) {
                if mechs.contains(&mech) {
                    continue;
                }
                match negotiable(glue, &mech) {
                    Some(true) => mechs.push(mech),
                    Some(false) => {}
                    None => is_complete = false,
                }
            }
        }
        // What it does not have in a later second either, it cannot load.
        let was_asked_before = known.is_some_and(|known| {
            known.made_from == made_from && known.incomplete_in.is_none_or(|second| second < now)
        });
        Ok(Self {
            mechs: mechs.into(),
            made_from,
            incomplete_in: (!is_complete && !was_asked_before).then_some(now),
        })
    }
}

impl Sources {
    fn of(glue: &Mechglue) -> io::Result<Self> {
        let named = environment::variable(ONLY_FILE).filter(|_| !glue.is_heimdal());
        // Stamped before they are read.
        let files = files(glue, named.as_deref())?
            .into_iter()
            .map(|file| (Seen::at(&file), file))
            .map(|(seen, file)| (file, seen));
        Ok(Self {
            files: files.collect(),
            named,
        })
    }

    fn hold(&self, glue: &Mechglue) -> bool {
        (glue.is_heimdal() || environment::is_set_to(ONLY_FILE, self.named.as_deref()))
            && self
                .files
                .iter()
                .all(|(file, seen)| seen.is_still(Stamp::at(file)))
    }
}

/// The files the glue reads, and the directory whose change means that there are others.
fn files(glue: &Mechglue, named: Option<&OsStr>) -> io::Result<Vec<PathBuf>> {
    if glue.is_heimdal() {
        return Ok(vec![PathBuf::from(MAIN)]);
    }
    if let Some(only) = named {
        return Ok(vec![PathBuf::from(only)]);
    }
    let mut fragments: Vec<OsString> = match fs::read_dir(FRAGMENTS) {
        Ok(entries) => entries.flatten().map(|entry| entry.file_name()).collect(),
        Err(error) if is_of_process(&error) => return Err(error),
        Err(_) => Vec::new(),
    };
    fragments.retain(|name| name.to_string_lossy().ends_with(".conf"));
    fragments.sort();
    Ok([MAIN, FRAGMENTS]
        .map(PathBuf::from)
        .into_iter()
        .chain(
            fragments
                .into_iter()
                .map(|name| PathBuf::from(FRAGMENTS).join(name)),
        )
        .collect())
}

/// Whether an error is no word on a file: the process has too many open, or the machine no memory.
fn is_of_process(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}

/// The mechanism that a line configures: `name oid library [kernel module] [[options]] [<type>]`.
/// An interposer stands in for mechanisms and is none itself.
fn configured(line: &str) -> Option<Oid> {
    if line.starts_with('#') || line.contains("<interposer>") {
        return None;
    }
    let mut columns = line.split_whitespace();
    let (_name, oid, _library) = (columns.next()?, columns.next()?, columns.next()?);
    oid.parse().ok()
}

/// Whether a configured mechanism may be negotiated by default (RFC 5587): not a negotiation
/// mechanism itself, not deprecated, not withheld from default lists. NTLM's answer is known, and
/// it is the one that is dear to load; IAKERB is for whoever names it. `None`: the glue does not have
/// it.
fn negotiable(glue: &'static Mechglue, mech: &Oid) -> Option<bool> {
    Some(match *mech {
        // Heimdal's own NTLM has no mechListMIC, and accepts only through a KDC's digest service.
        oid::NTLMSSP => !glue.is_heimdal(),
        oid::SPNEGO | oid::OURS | oid::NEGOEX | oid::IAKERB | oid::LATE_FALLBACK => false,
        _ => {
            let attributes = attributes(glue, mech)?;
            !WITHHELD
                .iter()
                .any(|withheld| attributes.contains(withheld))
        }
    })
}

/// The RFC 5587 attributes of an inner mechanism; empty when it tells none, `None` when the glue has
/// no such mechanism.
fn attributes(glue: &'static Mechglue, mech: &Oid) -> Option<Vec<Oid>> {
    let mut lent = LentOid::new(mech);
    let mut minor = 0;
    let mut set = ptr::null_mut();
    // SAFETY: the mech is lent for the call, the set is written to a local; the known attributes
    // are not asked for.
    let status = unsafe {
        glue.gss_inquire_attrs_for_mech(&raw mut minor, lent.raw(), &raw mut set, ptr::null_mut())
    };
    let known = OidSet::take(glue, set).map(|set| set.members());
    (status & major::ERRORS != major::BAD_MECH).then(|| known.unwrap_or_default())
}

/// The environment variable that names the only file that MIT's glue reads.
const ONLY_FILE: &str = "GSS_MECH_CONFIG";
const MAIN: &str = "/etc/gss/mech";
const FRAGMENTS: &str = "/etc/gss/mech.d";

/// GSS_C_MA_MECH_NEGO, GSS_C_MA_DEPRECATED, GSS_C_MA_NOT_DFLT_MECH: 1.3.6.1.5.5.13.{4,7,8}.
const WITHHELD: [Oid; 3] = [
    Oid::known([0x2b, 6, 1, 5, 5, 13, 4]),
    Oid::known([0x2b, 6, 1, 5, 5, 13, 7]),
    Oid::known([0x2b, 6, 1, 5, 5, 13, 8]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_configures_its_mechanism() {
        let ntlm = "gssntlmssp_v1\t1.3.6.1.4.1.311.2.2.10\t/usr/lib/gssntlmssp.so";
        assert_eq!(configured(ntlm), Some(oid::NTLMSSP));
    }

    #[test]
    fn comments_interposers_and_broken_lines_configure_nothing() {
        for line in [
            "# a 1.2.3 /x.so",
            "spnego 2.25.4014056348 /x.so - <interposer>",
            "name 1.2.3",
            "name",
            "",
            "name oid /x.so",
        ] {
            assert_eq!(configured(line), None, "{line}");
        }
    }
}

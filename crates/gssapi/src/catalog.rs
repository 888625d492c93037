//! Which mechanisms this machine has, learnt from the glue's own configuration without loading any
//! that is not needed: asking the glue would load every one of them.

use super::owned::{LentOid, OidSet};
use super::{Mechglue, environment};
use spnego::error::major;
use spnego::lock::held_briefly;
use spnego::oid::{self, Oid};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// The mechanisms that may be negotiated, in the order of the glue's configuration, Kerberos first.
///
/// Learnt once and kept; the configuration files are looked at again at most once in
/// [`LOOK_AGAIN_AFTER`], as the glue itself does.
pub fn available(glue: &'static Mechglue) -> Arc<[Oid]> {
    let now = environment::seconds();
    let known = match held_briefly(&glue.catalog.0).as_deref() {
        Some(Some(fresh)) if now < fresh.next_look => return Arc::clone(&fresh.mechs),
        known => known.cloned().flatten(),
    };
    // Reading takes its time, and a fork meanwhile must not leave the catalog locked in the child.
    let catalog = match known {
        Some(known) if stamps(&known.sources) == known.stamps => Catalog {
            next_look: now.saturating_add(LOOK_AGAIN_AFTER),
            ..known
        },
        _ => Catalog::read(glue, now),
    };
    let mechs = Arc::clone(&catalog.mechs);
    if let Some(mut known) = held_briefly(&glue.catalog.0) {
        *known = Some(catalog);
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
    let texts = sources(glue)
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
pub(super) struct Known(Mutex<Option<Catalog>>);

impl Known {
    /// Before anything is learnt.
    pub(super) const fn nothing() -> Self {
        Self(Mutex::new(None))
    }
}

#[derive(Clone)]
struct Catalog {
    mechs: Arc<[Oid]>,
    sources: Vec<PathBuf>,
    stamps: Vec<Option<SystemTime>>,
    /// When to look at the files again, by [`environment::seconds`].
    next_look: u64,
}

impl Catalog {
    fn read(glue: &'static Mechglue, now: u64) -> Self {
        let sources = sources(glue);
        let stamps = stamps(&sources);
        let mut mechs = vec![oid::KRB5];
        for file in sources
            .iter()
            .filter(|file| file.extension().is_some() || file.is_file())
        {
            let Ok(text) = fs::read_to_string(file) else {
                continue;
            };
            for mech in text.lines().filter_map(configured) {
                if !mechs.contains(&mech) && negotiable(glue, &mech) {
                    mechs.push(mech);
                }
            }
        }
        Self {
            mechs: mechs.into(),
            sources,
            stamps,
            next_look: now.saturating_add(LOOK_AGAIN_AFTER),
        }
    }
}

/// The files the glue reads, and the directory whose change means that there are others.
fn sources(glue: &Mechglue) -> Vec<PathBuf> {
    if glue.is_heimdal() {
        return vec![PathBuf::from(MAIN)];
    }
    if let Some(only) = environment::variable("GSS_MECH_CONFIG") {
        return vec![PathBuf::from(only)];
    }
    let mut fragments: Vec<OsString> = fs::read_dir(FRAGMENTS)
        .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
        .unwrap_or_default();
    fragments.retain(|name| name.to_string_lossy().ends_with(".conf"));
    fragments.sort();
    [MAIN, FRAGMENTS]
        .map(PathBuf::from)
        .into_iter()
        .chain(
            fragments
                .into_iter()
                .map(|name| PathBuf::from(FRAGMENTS).join(name)),
        )
        .collect()
}

fn stamps(sources: &[PathBuf]) -> Vec<Option<SystemTime>> {
    sources
        .iter()
        .map(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())
        .collect()
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
/// it is the one that is dear to load; IAKERB is for whoever names it.
fn negotiable(glue: &'static Mechglue, mech: &Oid) -> bool {
    match *mech {
        // Heimdal's own NTLM has no mechListMIC, and accepts only through a KDC's digest service.
        oid::NTLMSSP => !glue.is_heimdal(),
        oid::SPNEGO | oid::OURS | oid::NEGOEX | oid::IAKERB | oid::LATE_FALLBACK => false,
        _ => {
            let attributes = attributes(glue, mech);
            attributes.is_some_and(|attributes| {
                !WITHHELD
                    .iter()
                    .any(|withheld| attributes.contains(withheld))
            })
        }
    }
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

/// How long what was learnt is believed, in seconds, without looking at the files again.
const LOOK_AGAIN_AFTER: u64 = 1;

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

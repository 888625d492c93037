//! The configuration file as a file: who may have written it, and whether it has changed.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Whose file is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Root's only.
    Root,
    /// Root's, or that of the user of this process, who has named it.
    RootOrUser,
}

/// What tells one state of a file from another; `None` of it: it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            file: (file.dev(), file.ino()),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// Whether the file at `path` is in another state than `known`, and in one to be believed: an
/// editor may be at work on a file, or on its directory, that changed a moment ago.
pub(super) fn has_changed(path: &Path, known: Option<&Stamp>) -> bool {
    match fs::metadata(path) {
        Ok(file) => known != Some(&Stamp::of(&file)) && is_at_rest(&file),
        Err(_) => {
            let directory = || path.parent().and_then(|parent| fs::metadata(parent).ok());
            known.is_some() && directory().is_none_or(|directory| is_at_rest(&directory))
        }
    }
}

/// A time in the future is a clock that was set back.
fn is_at_rest(file: &Metadata) -> bool {
    let seconds = u64::try_from(file.ctime()).unwrap_or_default();
    let nanoseconds = u32::try_from(file.ctime_nsec()).unwrap_or_default();
    let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    let age = SystemTime::now().duration_since(changed);
    age.map_or(true, |age| age >= REST)
}

/// The directory that paths begin at in this process: another one after a chroot.
pub(super) fn root() -> Option<(u64, u64)> {
    let root = fs::metadata("/").ok()?;
    Some((root.dev(), root.ino()))
}

/// Why a configuration file is not read.
pub(super) enum Unreadable {
    Absent,
    Failed(io::Error),
    NotAFile,
    NotOurs(u32, Owner),
    WritableByOthers(u32),
    TooLarge,
}

impl Unreadable {
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Absent => "the configuration file is not there".to_owned(),
            Self::Failed(error) => format!("the configuration file cannot be read: {error}"),
            Self::NotAFile => "the configuration is not a regular file".to_owned(),
            Self::NotOurs(owner, Owner::Root) => {
                format!("the configuration file belongs to user {owner}; run chown root on it")
            }
            Self::NotOurs(owner, Owner::RootOrUser) => format!(
                "the configuration file belongs to user {owner}, neither root nor the user of this \
                 process"
            ),
            Self::WritableByOthers(mode) => format!(
                "the configuration file is writable by others than its owner (mode {:03o}); run \
                 chmod go-w on it",
                mode & 0o777
            ),
            Self::TooLarge => format!("the configuration file is over {LARGEST_FILE} octets"),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent,
            _ => Self::Failed(error),
        }
    }
}

/// Read the file, if it can be trusted; its state even if not. A failure of the system's, too many
/// open files for one, has no state: it is no fault of the file's, and is over without a change of it.
pub(super) fn read(path: &Path, owner: Owner) -> (Result<Vec<u8>, Unreadable>, Option<Stamp>) {
    // Opening a FIFO would wait for a writer.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, file)) => {
            let text = trust(&metadata, owner).and_then(|()| read_bounded(file));
            let is_state = !matches!(text, Err(Unreadable::Failed(_)));
            (text, is_state.then(|| Stamp::of(&metadata)))
        }
        Err(error) => (Err(error.into()), None),
    }
}

fn trust(file: &Metadata, owner: Owner) -> Result<(), Unreadable> {
    if !file.is_file() {
        return Err(Unreadable::NotAFile);
    }
    if file.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(Unreadable::WritableByOthers(file.mode()));
    }
    let is_users = || {
        let process = fs::metadata("/proc/self").map(|process| process.uid());
        owner == Owner::RootOrUser && process.is_ok_and(|user| user == file.uid())
    };
    if file.uid() != 0 && !is_users() {
        return Err(Unreadable::NotOurs(file.uid(), owner));
    }
    Ok(())
}

fn read_bounded(file: File) -> Result<Vec<u8>, Unreadable> {
    let mut text = Vec::new();
    let read = file.take(LARGEST_FILE + 1).read_to_end(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= LARGEST_FILE) {
        return Ok(text);
    }
    Err(Unreadable::TooLarge)
}

/// A configuration has some hundred lines; a larger file is a mistake.
const LARGEST_FILE: u64 = 65_536;
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// How long a file has to be left alone before it is read again.
const REST: Duration = Duration::from_secs(1);

//! The configuration file as a file: who may have written it, and whether it has changed.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::plain;
use crate::stamp::{Seen, Stamp};

/// Whose file is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Root's only.
    Root,
    /// Root's, or that of the user of this process, who has named it.
    RootOrUser,
}

/// Whether the file at `path` is in another state than it was `seen` in, and in one to be believed:
/// an editor may be at work on it. Who writes a file anew empties it first, or takes it away, and
/// one that buffers writes whole blocks: what may be such a part of a file is left alone for a
/// moment.
pub(super) fn has_changed(path: &Path, seen: Option<&Seen>) -> bool {
    match fs::metadata(path) {
        Ok(file) => {
            let stamp = Some(Stamp::of(&file));
            if seen.is_some_and(|seen| seen.is_still(stamp)) {
                return false;
            }
            let may_be_a_part = file.size() % SMALLEST_BLOCK == 0;
            !may_be_a_part || is_at_rest(&file)
        }
        Err(_) => {
            let directory = || path.parent().and_then(|parent| fs::metadata(parent).ok());
            seen.is_some() && directory().is_none_or(|directory| is_at_rest(&directory))
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
            Self::Failed(error) => {
                format!("the configuration file cannot be read: {}", plain(error))
            }
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
pub(super) fn read(path: &Path, owner: Owner) -> (Result<Vec<u8>, Unreadable>, Option<Seen>) {
    let began = SystemTime::now();
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
            let seen = || Seen::new(Some(Stamp::of(&metadata)), began);
            (text, is_state.then(seen))
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
    let is_users = || owner == Owner::RootOrUser && user() == Some(file.uid());
    if file.uid() != 0 && !is_users() {
        return Err(Unreadable::NotOurs(file.uid(), owner));
    }
    Ok(())
}

/// The user of this process, by its effective number; `None` where /proc is out of reach. The owner of
/// /proc/self is root as soon as a process has given up its rights, so that it cannot be asked.
pub(crate) fn user() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    numbers.split_whitespace().nth(1)?.parse().ok()
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
/// How long a file that may be half of one has to be left alone before it is read.
const REST: Duration = Duration::from_secs(1);
/// What buffers are multiples of.
const SMALLEST_BLOCK: u64 = 512;

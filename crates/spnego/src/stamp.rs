//! The state of a file, by which what was made from it is known to hold still, or not.
#![forbid(unsafe_code)]

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file by its metadata.
    pub fn of(file: &Metadata) -> Self {
        Self {
            file: (file.dev(), file.ino()),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// The stamp of what is at a path now; `None` when nothing is, or nothing that can be looked at.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|file| Self::of(&file))
    }

    /// Whether a change after `now` gives another stamp for sure: the clock of files has ticked since
    /// the last one.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let tick = if nanoseconds == 0 && self.modified.1 == 0 {
            LONGEST_TICK
        } else {
            TICK
        };
        // Times before 1970 are no times of files, and one in the future is another clock's.
        let since_1970 = u64::try_from(seconds).ok().zip(nanoseconds.try_into().ok());
        let age = since_1970.and_then(|(seconds, nanoseconds)| {
            let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            now.duration_since(changed).ok()
        });
        age.is_some_and(|age| age > tick)
    }
}

/// The state that a file was in when something was made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    stamp: Option<Stamp>,
    settled: bool,
}

impl Seen {
    /// A file that is looked at; `began` is a time before that.
    pub fn new(stamp: Option<Stamp>, began: SystemTime) -> Self {
        Self {
            stamp,
            settled: stamp.is_none_or(|stamp| stamp.is_settled(began)),
        }
    }

    /// What is at a path now.
    pub fn at(path: &Path) -> Self {
        let began = SystemTime::now();
        Self::new(Stamp::at(path), began)
    }

    /// Whether something was there.
    pub fn is_there(&self) -> bool {
        self.stamp.is_some()
    }

    /// Whether a file with this stamp now is in the same state. While a change could hide in the tick
    /// of the clock in which the file was changed last, it is not believed to be.
    pub fn is_still(&self, now: Option<Stamp>) -> bool {
        self.settled && self.stamp == now
    }
}

/// The clock of files ticks a hundred times in a second at least.
const TICK: Duration = Duration::from_millis(20);
/// Where times have no nanoseconds, a file system may know even seconds alone (FAT).
const LONGEST_TICK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(changed: (i64, i64)) -> Stamp {
        Stamp {
            file: (1, 2),
            size: 3,
            modified: changed,
            changed,
        }
    }

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn a_stamp_of_this_very_tick_is_not_relied_on() {
        let changed = stamp((1000, 500_000_000));
        for (now, relied_on) in [(1_000_501, false), (1_000_521, true), (999_000, false)] {
            let seen = Seen::new(Some(changed), at(now));
            assert_eq!(seen.is_still(Some(changed)), relied_on, "{now}");
            assert!(!seen.is_still(None));
        }
    }

    #[test]
    fn a_clock_of_seconds_is_given_its_time() {
        let changed = stamp((1000, 0));
        for (now, relied_on) in [(1_001_000, false), (1_002_001, true)] {
            let seen = Seen::new(Some(changed), at(now));
            assert_eq!(seen.is_still(Some(changed)), relied_on, "{now}");
        }
    }

    #[test]
    fn another_file_of_the_same_time_and_size_is_another() {
        let changed = stamp((1000, 1));
        let seen = Seen::new(Some(changed), at(2_000_000));
        let other = Stamp {
            file: (1, 4),
            ..changed
        };
        assert!(seen.is_still(Some(changed)) && !seen.is_still(Some(other)));
    }

    #[test]
    fn what_is_not_there_is_still_not_there() {
        let seen = Seen::at(Path::new("/nonexistent/file"));
        assert!(!seen.is_there() && seen.is_still(None));
        assert!(!seen.is_still(Stamp::at(Path::new("/"))));
    }
}

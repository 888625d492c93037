//! The file that events go to: opened once, and only where nobody but root and the user of this process
//! has a hand in which file that is. What is wrong with it is an error in words.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use super::write_once;
use crate::error::plain;
use crate::policy::user;

/// The trace file, and which file it was when it was opened.
pub(super) struct Opened {
    pub(super) file: File,
    identity: (u64, u64),
}

/// What a trace file may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A regular file of root or of this process's user that nobody else may write to, under its own
    /// name, in directories of theirs. A pipe whose reader is gone would kill the host program by
    /// SIGPIPE.
    Plain,
    /// Whatever libkrb5 opens and writes to as well, `/dev/stderr` for one.
    Joined,
}

impl Opened {
    pub(super) fn new(path: &Path, trust: Trust) -> io::Result<Self> {
        let (file, metadata) = match trust {
            Trust::Plain => open_trusted(path)?,
            Trust::Joined => open(path, 0)?,
        };
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            file,
        })
    }

    /// Whether the descriptor still is this file: a host program that closes every descriptor
    /// (a daemon at its start) may have given the number to a connection.
    pub(super) fn is_still_ours(&self) -> bool {
        let now = self.file.metadata();
        now.is_ok_and(|now| (now.dev(), now.ino()) == self.identity)
    }
}

pub(super) fn append(
    path: &Path,
    trust: Trust,
    opened: &OnceLock<Opened>,
    line: &str,
) -> io::Result<()> {
    if let Some(opened) = opened.get() {
        if opened.is_still_ours() {
            return write_once(&opened.file, line);
        }
        // Lost for good; from here on, open it for each line.
        return write_once(&Opened::new(path, trust)?.file, line);
    }
    let new = Opened::new(path, trust)?;
    write_once(&new.file, line)?;
    // When another thread was faster, this descriptor is one too many and is closed.
    let _ = opened.set(new);
    Ok(())
}

/// Whether this process may write its trace to the file at `path`, as far as that can be known without
/// making it.
///
/// # Errors
/// Why not, as a sentence.
pub fn check(path: &Path) -> Result<(), String> {
    let checked = Place::of(path).and_then(|place| {
        let Some(file) = place.look()? else {
            return Ok(());
        };
        trust(&file)?;
        let mut existing = OpenOptions::new();
        existing
            .append(true)
            .custom_flags(NOT_WAITING)
            .open(place.path())?;
        Ok(())
    });
    checked.map_err(|error| plain(&error))
}

/// Open the file, or make it, and know that it is one to be trusted.
fn open_trusted(path: &Path) -> io::Result<(File, Metadata)> {
    let place = Place::of(path)?;
    if let Some(file) = place.look()? {
        // A device is not opened to see what it is.
        trust(&file)?;
    }
    let (file, metadata) = open(&place.path(), libc::O_NOFOLLOW)?;
    trust(&metadata)?;
    Ok((file, metadata))
}

fn open(path: &Path, flags: i32) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags | NOT_WAITING)
        .open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// As strict as for the configuration file; a second name of a file may be one that somebody has given
/// to a file of ours that is no trace.
fn trust(file: &Metadata) -> io::Result<()> {
    if !file.is_file() {
        return Err(refused("the trace file is not a regular file".to_owned()));
    }
    owned("the trace file", file)?;
    if file.mode() & WRITABLE_BY_OTHERS != 0 {
        let mode = file.mode() & 0o777;
        return Err(refused(format!(
            "the trace file is writable by others than its owner (mode {mode:03o}); run chmod go-w \
             on it"
        )));
    }
    if file.nlink() > 1 {
        return Err(refused(format!(
            "the trace file has {} names (hard links)",
            file.nlink()
        )));
    }
    Ok(())
}

fn owned(what: &str, file: &Metadata) -> io::Result<()> {
    if file.uid() == 0 || user() == Some(file.uid()) {
        return Ok(());
    }
    Err(refused(format!(
        "{what} belongs to user {}, neither root nor the user of this process",
        file.uid()
    )))
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// A name in a directory that is held open: whatever becomes of the path to it.
struct Place {
    directory: File,
    name: PathBuf,
}

impl Place {
    /// Walk down from the root: each directory belongs to root or to the user of this process, and so
    /// does each link on the way, which nobody else may have put there.
    fn of(path: &Path) -> io::Result<Self> {
        let mut left: Vec<PathBuf> = Vec::new();
        push(&mut left, path);
        let mut place = Self {
            directory: directory(Path::new("/"))?,
            name: PathBuf::new(),
        };
        let mut links = 0;
        while let Some(name) = left.pop() {
            place.name = name;
            if left.is_empty() {
                return Ok(place);
            }
            let found = fs::symlink_metadata(place.path())?;
            if !found.is_symlink() {
                place.directory = directory(&place.path())?;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            owned("a link in the path of the trace file", &found)?;
            if place.directory.metadata()?.mode() & WRITABLE_BY_OTHERS != 0 {
                return Err(refused(
                    "a link in the path of the trace file is in a directory that others may write to"
                        .to_owned(),
                ));
            }
            let target = fs::read_link(place.path())?;
            if target.is_absolute() {
                place.directory = directory(Path::new("/"))?;
            }
            push(&mut left, &target);
        }
        Err(io::ErrorKind::InvalidInput.into())
    }

    /// What is there, links not followed; `None`: nothing.
    fn look(&self) -> io::Result<Option<Metadata>> {
        match fs::symlink_metadata(self.path()) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A path to it by the directory's descriptor, since the standard library has no openat.
    fn path(&self) -> PathBuf {
        let descriptor = self.directory.as_raw_fd();
        Path::new("/proc/self/fd")
            .join(descriptor.to_string())
            .join(&self.name)
    }
}

/// Open a directory that no link stands for, if it is one to be trusted.
fn directory(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(path)?;
    owned("a directory of the trace file", &opened.metadata()?)?;
    Ok(opened)
}

/// Put a path's components on a stack, the first on top.
fn push(left: &mut Vec<PathBuf>, path: &Path) {
    let names = path.components().rev();
    left.extend(names.filter_map(|name| match name {
        Component::Normal(_) | Component::ParentDir => Some(PathBuf::from(name.as_os_str())),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    }));
}

/// A pipe without a reader is an error, and no terminal becomes the process's own.
const NOT_WAITING: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// As many as the kernel follows at most (path_resolution(7)).
const MOST_LINKS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::Scratch;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    /// A directory of a test's own.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("gss-spnego-file-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, "").unwrap();
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// What is said of the file, before it is opened and by opening it.
    fn refusal(path: &Path) -> Option<String> {
        let opened = Opened::new(path, Trust::Plain).err();
        let opened = opened.map(|error| plain(&error));
        assert_eq!(check(path).err(), opened, "{}", path.display());
        opened
    }

    const NOBODY: u32 = 65_534;

    /// Whether this test may give files away.
    fn is_root() -> bool {
        user() == Some(0)
    }

    #[test]
    fn descriptor_that_became_another_file_is_left_alone() {
        let scratch = Scratch::new("identity");
        let mut opened = Opened::new(&scratch.0, Trust::Plain).unwrap();
        assert!(opened.is_still_ours());
        let other = Scratch::new("identity-other");
        opened.file = File::create(&other.0).unwrap();
        assert!(!opened.is_still_ours());
        let lost = OnceLock::new();
        assert!(lost.set(opened).is_ok());
        append(&scratch.0, Trust::Plain, &lost, "line\n").unwrap();
        assert_eq!(fs::read_to_string(&scratch.0).unwrap(), "line\n");
        assert_eq!(fs::read_to_string(&other.0).unwrap(), "");
    }

    #[test]
    fn a_file_of_ours_is_written_to_and_one_that_others_may_write_to_is_not() {
        let directory = Directory::new("mode");
        let file = directory.file("trace");
        for (mode, is_fine) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let refusal = refusal(&file);
            assert_eq!(refusal.is_none(), is_fine, "{mode:o} {refusal:?}");
            let words = "is writable by others than its owner";
            assert!(refusal.is_none_or(|why| why.contains(words)), "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_has_another_name_is_left_alone() {
        let directory = Directory::new("names");
        let file = directory.file("trace");
        fs::hard_link(&file, directory.0.join("other")).unwrap();
        let why = refusal(&file).unwrap();
        assert_eq!(why, "the trace file has 2 names (hard links)");
        let link = directory.0.join("link");
        symlink(directory.file("target"), &link).unwrap();
        let why = refusal(&link).unwrap();
        assert_eq!(why, "the trace file is not a regular file");
        let dangling = directory.0.join("dangling");
        symlink(directory.0.join("made"), &dangling).unwrap();
        assert!(refusal(&dangling).is_some() && !directory.0.join("made").exists());
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        for path in ["/dev/null", "/dev/tty", "/tmp", "/", "", "/tmp/.."] {
            assert!(refusal(Path::new(path)).is_some(), "{path}");
        }
        let directory = Directory::new("fifo");
        let fifo = directory.0.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let why = refusal(&fifo).unwrap();
        assert_eq!(why, "the trace file is not a regular file");
    }

    #[test]
    fn links_to_directories_are_followed_where_they_are_ours() {
        let directory = Directory::new("links");
        let real = directory.0.join("real");
        fs::create_dir(&real).unwrap();
        for (link, target) in [
            ("absolute", real.as_path()),
            ("relative", Path::new("real")),
        ] {
            let link = directory.0.join(link);
            symlink(target, &link).unwrap();
            assert_eq!(refusal(&link.join("../real/./trace")), None);
        }
        assert!(real.join("trace").exists());
        let round = directory.0.join("round");
        symlink("round", &round).unwrap();
        assert!(refusal(&round.join("trace")).is_some());
        fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o1777)).unwrap();
        let why = refusal(&directory.0.join("relative/trace")).unwrap();
        assert!(
            why.ends_with("is in a directory that others may write to"),
            "{why}"
        );
    }

    #[test]
    fn what_belongs_to_somebody_else_is_left_alone() {
        if !is_root() {
            return;
        }
        let directory = Directory::new("owner");
        let theirs = directory.file("theirs");
        chown(&theirs, Some(NOBODY), None).unwrap();
        let why = refusal(&theirs).unwrap();
        assert!(
            why.starts_with("the trace file belongs to user 65534"),
            "{why}"
        );
        assert_eq!(fs::read(&theirs).unwrap(), b"");

        let (inner, real) = (directory.0.join("inner"), directory.0.join("real"));
        fs::create_dir(&inner).unwrap();
        fs::create_dir(&real).unwrap();
        chown(&inner, Some(NOBODY), None).unwrap();
        let why = refusal(&inner.join("trace")).unwrap();
        assert!(
            why.starts_with("a directory of the trace file belongs"),
            "{why}"
        );

        let link = directory.0.join("link");
        symlink(&real, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(NOBODY), None).unwrap();
        let why = refusal(&link.join("trace")).unwrap();
        assert!(
            why.starts_with("a link in the path of the trace file belongs"),
            "{why}"
        );
        assert!(!real.join("trace").exists());
    }

    /// A directory is held while its path becomes another one's.
    #[test]
    fn a_path_that_changes_on_the_way_leads_to_where_it_led() {
        let directory = Directory::new("race");
        let (here, elsewhere) = (directory.0.join("here"), directory.0.join("elsewhere"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        let place = Place::of(&here.join("trace")).unwrap();
        fs::rename(&here, directory.0.join("moved")).unwrap();
        symlink(&elsewhere, &here).unwrap();
        open(&place.path(), libc::O_NOFOLLOW).unwrap();
        assert!(directory.0.join("moved/trace").exists());
        assert!(!elsewhere.join("trace").exists());
    }
}

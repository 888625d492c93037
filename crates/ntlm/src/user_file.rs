//! A file of users as an acceptor has it: one copy in a process, however many contexts and
//! credentials use it, read when the first peer claims to be somebody, and as good as the file is
//! what it was. It is wiped when the file has changed, or when nobody uses it any more.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use super::accounts::{AccountSource, Accounts, Claimed, anybody_in, content, failed, open};
use spnego::lock::held_briefly;
use spnego::stamp::{Seen, Stamp};

/// A file of users. Whoever holds it keeps what was read of it in memory.
#[derive(Debug)]
pub struct UserFile {
    path: PathBuf,
    /// No lock is held while the file is read, so a fork meanwhile locks nothing for good; where it
    /// is locked for good, the file is read for each use.
    kept: Mutex<Kept>,
}

/// What is known of the file, each as of one state of it.
#[derive(Debug, Default)]
struct Kept {
    has_anybody: Option<Seen>,
    accounts: Option<(Seen, Arc<Accounts>)>,
}

impl UserFile {
    /// The file at a path, shared with all who use it in this process.
    pub fn shared(path: &Path) -> Arc<Self> {
        static FILES: Mutex<Vec<(PathBuf, Weak<UserFile>)>> = Mutex::new(Vec::new());
        let new = || {
            Arc::new(Self {
                path: path.to_owned(),
                kept: Mutex::default(),
            })
        };
        let Some(mut files) = held_briefly(&FILES) else {
            return new();
        };
        let known = files.iter().find(|(known, _)| known == path);
        if let Some(file) = known.and_then(|(_, file)| file.upgrade()) {
            return file;
        }
        let file = new();
        files.retain(|(_, file)| file.strong_count() > 0);
        files.push((path.to_owned(), Arc::downgrade(&file)));
        file
    }

    /// Whether anybody may sign in by it. Of a file that has been looked at nothing but its state is
    /// asked for.
    ///
    /// # Errors
    /// Nobody may, and why, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let read = self.read_before()?;
        if read.is_some_and(|accounts| !accounts.is_empty()) {
            return Ok(());
        }
        let now = self.state()?;
        let known = held_briefly(&self.kept).and_then(|kept| kept.has_anybody);
        if known.is_some_and(|seen| seen.is_still(Some(now))) {
            return Ok(());
        }
        let (file, seen) = self.open()?;
        anybody_in(&self.path, file)?;
        if let Some(mut kept) = held_briefly(&self.kept) {
            kept.has_anybody = Some(seen);
        }
        Ok(())
    }

    /// All users, as the file has them now.
    fn accounts(&self) -> Result<Arc<Accounts>, String> {
        if let Some(accounts) = self.read_before()? {
            return Ok(accounts);
        }
        let (file, seen) = self.open()?;
        let content = content(&self.path, file)?;
        let accounts = Arc::new(Accounts::parse(content.expose()));
        #[cfg(test)]
        tests::note_read();
        let read = (seen, Arc::clone(&accounts));
        let earlier = held_briefly(&self.kept).and_then(|mut kept| kept.accounts.replace(read));
        // Of another thread, which has read at the same time.
        drop(earlier);
        Ok(accounts)
    }

    /// The users that were read, if the file is what it was then; else they are let go of.
    fn read_before(&self) -> Result<Option<Arc<Accounts>>, String> {
        let now = self.state();
        let Some(mut kept) = held_briefly(&self.kept) else {
            return now.map(|_| None);
        };
        if let (Some((seen, accounts)), Ok(now)) = (&kept.accounts, &now) {
            if seen.is_still(Some(*now)) {
                return Ok(Some(Arc::clone(accounts)));
            }
        }
        let outdated = kept.accounts.take();
        drop(kept);
        // Wiped here, unless somebody is just comparing with it, and not while others wait.
        drop(outdated);
        now.map(|_| None)
    }

    /// The file, and its state before anything of it is read: if it changes meanwhile, the next use
    /// sees another.
    fn open(&self) -> Result<(File, Seen), String> {
        let began = SystemTime::now();
        let file = open(&self.path)?;
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| failed(&self.path, &error))?;
        Ok((file, Seen::new(Some(Stamp::of(&metadata)), began)))
    }

    fn state(&self) -> Result<Stamp, String> {
        let metadata = fs::metadata(&self.path);
        metadata
            .map(|metadata| Stamp::of(&metadata))
            .map_err(|error| failed(&self.path, &error))
    }
}

impl AccountSource for UserFile {
    fn claimed(&self, domain: &str, user: &str) -> Result<Claimed, String> {
        self.accounts()?.claimed(domain, user)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static READS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn note_read() {
        READS.set(READS.get() + 1);
    }

    /// How often something reads a whole file, on this thread.
    fn reads(something: impl FnOnce()) -> usize {
        READS.set(0);
        something();
        READS.get()
    }

    /// A file that is gone when the test is.
    struct Written(PathBuf);

    impl Written {
        fn new(test: &str, content: &str) -> Self {
            let name = format!("gss-spnego-users-{}-{test}", std::process::id());
            let written = Self(std::env::temp_dir().join(name));
            fs::write(&written.0, content).unwrap();
            written
        }

        /// Wait until another state of it would be seen as another.
        fn at_rest(self) -> Self {
            while !Seen::at(&self.0).is_still(Stamp::at(&self.0)) {
                std::thread::yield_now();
            }
            self
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn knows(file: &UserFile, user: &str) -> bool {
        file.claimed("D", user).unwrap().is_known.into()
    }

    #[test]
    fn a_file_is_read_once_for_all_who_use_it() {
        let lines: String = (0..40_000)
            .map(|at| format!("D:u{at:06}:password{at:06}\n"))
            .collect();
        assert!(lines.len() > 900_000 && lines.len() <= Accounts::LARGEST);
        let written = Written::new("once", &lines).at_rest();
        let mut users = Vec::new();
        let checks = reads(|| {
            for _ in 0..60 {
                let file = UserFile::shared(&written.0);
                file.check().unwrap();
                users.push(file);
            }
        });
        let one = users.first().unwrap();
        assert!(users.iter().all(|file| Arc::ptr_eq(file, one)));
        // Whether there is anybody is known without a copy of them all.
        assert_eq!(checks, 0);
        assert!(one.kept.lock().unwrap().accounts.is_none());
        let uses = reads(|| {
            for (at, file) in users.iter().enumerate() {
                assert!(knows(file, &format!("U{at:06}")) && !knows(file, "stranger"));
                file.check().unwrap();
            }
        });
        assert_eq!(uses, 1);
    }

    #[test]
    fn another_state_of_the_file_is_seen_at_the_next_use() {
        // In place and of the same length, in the place of another file, and neither at rest.
        let written = Written::new("state", "D:one:p\n");
        let file = UserFile::shared(&written.0);
        for user in ["two", "six", "ten"] {
            assert!(file.check().is_ok() && !knows(&file, user));
            fs::write(&written.0, format!("D:{user}:p\n")).unwrap();
            assert!(knows(&file, user) && !knows(&file, "one"));
        }
        let other = Written::new("other", "D:seven:p\n");
        fs::rename(&other.0, &written.0).unwrap();
        assert!(knows(&file, "seven") && !knows(&file, "ten"));
        fs::write(&written.0, "# nobody\n").unwrap();
        assert!(!knows(&file, "seven"));
        let nobody = file.check().unwrap_err();
        assert!(nobody.starts_with("no user in "), "{nobody}");
        fs::remove_file(&written.0).unwrap();
        assert!(file.claimed("D", "seven").is_err() && file.check().is_err());
        assert!(file.kept.lock().unwrap().accounts.is_none());
    }

    /// The clock of files need not have ticked between two writings with a reading between them.
    #[test]
    fn what_was_read_in_the_tick_of_a_change_is_not_believed_later() {
        let written = Written::new("tick", "D:one:p\n");
        let file = UserFile::shared(&written.0);
        let began = SystemTime::now();
        let read = file.accounts().unwrap();
        fs::write(&written.0, "D:two:p\n").unwrap();
        // As if it had the stamp of the first.
        let seen = Seen::new(Stamp::at(&written.0), began);
        {
            let mut kept = file.kept.lock().unwrap();
            kept.accounts = Some((seen, read));
            kept.has_anybody = Some(seen);
        }
        let written = written.at_rest();
        assert!(knows(&file, "two") && !knows(&file, "one"));
        fs::write(&written.0, "# nobody\n").unwrap();
        file.kept.lock().unwrap().has_anybody = Some(Seen::new(Stamp::at(&written.0), began));
        let _nobody_yet = written.at_rest();
        assert!(file.check().is_err());
    }

    #[test]
    fn what_was_read_goes_with_the_last_user_of_it_or_with_the_file() {
        let written = Written::new("gone", "D:u:p\n").at_rest();
        let (one, two) = (UserFile::shared(&written.0), UserFile::shared(&written.0));
        let first = Arc::downgrade(&one.accounts().unwrap());
        drop(one);
        assert!(first.upgrade().is_some());
        fs::write(&written.0, "D:u:q\n").unwrap();
        let second = Arc::downgrade(&two.accounts().unwrap());
        assert!(first.upgrade().is_none() && second.upgrade().is_some());
        drop(two);
        assert!(second.upgrade().is_none());
        // A later user is not given anything of it either.
        let later = UserFile::shared(&written.0);
        assert!(later.kept.lock().unwrap().accounts.is_none());
    }

    #[test]
    fn threads_share_what_is_read() {
        let written = Written::new("threads", "D:one:p\n");
        let file = UserFile::shared(&written.0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        assert!(knows(&file, "one"));
                        assert!(Arc::ptr_eq(&file, &UserFile::shared(&written.0)));
                    }
                });
            }
        });
    }

    /// As in a child of a fork that came while another thread had the lock.
    #[test]
    fn a_lock_that_nobody_gives_back_is_done_without() {
        let written = Written::new("locked", "D:one:p\n");
        let file = UserFile::shared(&written.0);
        let _locked = file.kept.lock().unwrap();
        assert!(file.check().is_ok() && knows(&file, "one"));
    }

    #[test]
    fn a_file_too_large_is_refused_by_its_name() {
        let written = Written::new("large", &"#".repeat(Accounts::LARGEST + 1));
        let file = UserFile::shared(&written.0);
        let large = format!("{}: more than 1 MiB", written.0.display());
        assert_eq!(file.check().unwrap_err(), large);
        assert_eq!(file.claimed("D", "u").err().unwrap(), large);
    }
}

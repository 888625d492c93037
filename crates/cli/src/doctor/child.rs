//! A child of the doctor's: this program again, with one question, a time limit, and whatever end
//! it comes to.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use spnego::error::plain;

/// What a child came to.
pub(crate) enum End {
    /// It answered.
    Answer(Answer),
    /// A signal ended it, as a crash does. What it said on standard error.
    Crash(i32, String),
    /// It was ended after this time.
    TooLong(Duration),
    /// It ended without an answer.
    Nothing(String),
}

/// The members of an answer.
#[derive(Default)]
pub(crate) struct Answer(Map<String, Value>);

impl Answer {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    pub(crate) fn signed(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    pub(crate) fn is(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// An object in it.
    pub(crate) fn part(&self, name: &str) -> Option<Self> {
        Some(Self(self.0.get(name)?.as_object()?.clone()))
    }

    /// The objects of a list in it.
    pub(crate) fn parts(&self, name: &str) -> Vec<Self> {
        let list = self.0.get(name).and_then(Value::as_array);
        let objects = list.into_iter().flatten().filter_map(Value::as_object);
        objects.map(|object| Self(object.clone())).collect()
    }

    /// Why the question has no better answer.
    pub(crate) fn error(&self) -> Option<&str> {
        self.text("error")
    }
}

/// Ask a child.
pub(crate) fn ask<S: AsRef<OsStr>>(question: &[S], variables: &[(&str, &OsStr)]) -> End {
    let myself = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let spawned = Command::new(myself)
        .arg(crate::probe::NAME)
        .args(question)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match spawned {
        Ok(child) => heard(child),
        Err(error) => End::Nothing(plain(&error)),
    }
}

fn heard(mut child: Child) -> End {
    let said = reader(child.stdout.take());
    let errors = reader(child.stderr.take());
    let status = match wait(&mut child) {
        Ok(status) => status,
        Err(limit) => return End::TooLong(limit),
    };
    let errors = String::from_utf8_lossy(&rest(&errors)).trim().to_owned();
    let said = rest(&said);
    match (status.signal(), serde_json::from_slice(&said)) {
        (Some(signal), _) => End::Crash(signal, errors),
        (None, Ok(Value::Object(answer))) => End::Answer(Answer(answer)),
        (None, _) => End::Nothing(errors),
    }
}

/// Read what a child says while it runs, so that it never waits for us.
fn reader(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut pipe = pipe.map(|pipe| pipe.take(SAID_MAX));
        let mut part = vec![0; PART];
        while let Some(Ok(length @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut part)) {
            let part = part.iter().take(length).copied().collect();
            if sender.send(part).is_err() {
                break;
            }
        }
    });
    receiver
}

/// All that was said, when the child has ended. One of its own, a daemon that a library has started
/// for example, may keep the pipe and never end: it has nothing to say to us.
fn rest(said: &Receiver<Vec<u8>>) -> Vec<u8> {
    let mut text = Vec::new();
    let until = Instant::now() + SILENCE;
    while let Ok(part) = said.recv_timeout(until.saturating_duration_since(Instant::now())) {
        text.extend(part);
    }
    text
}

/// Its status, or the time after which it had to be ended.
fn wait(child: &mut Child) -> Result<ExitStatus, Duration> {
    let limit = match TRIED.load(Ordering::Relaxed) {
        false => LIMIT,
        true => LIMIT / 8,
    };
    let until = Instant::now() + limit;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Ok(status);
        }
        if Instant::now() >= until {
            TRIED.store(true, Ordering::Relaxed);
            // It is ours, and not waited for yet.
            let _ = child.kill();
            let _ = child.wait();
            return Err(limit);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A child has taken all its time. What it waited for, a ticket cache that is a pipe for example,
/// the next ones wait for as well: they get less of it.
static TRIED: AtomicBool = AtomicBool::new(false);
/// libkrb5 waits some ten seconds for a KDC that does not answer, the resolver as long for a
/// server.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);
/// What a child that has ended has said is in the pipe: reading it takes no longer.
const SILENCE: Duration = Duration::from_secs(1);
/// Octets read at once.
const PART: usize = 16 * 1024;
/// An answer lists the files of a process at the most.
const SAID_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_leaves_one_of_its_own_behind_is_heard_all_the_same() {
        let child = Command::new("sh")
            .args(["-c", "sleep 600 & echo \"{\\\"left\\\": $!}\""])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let End::Answer(answer) = heard(child) else {
            panic!("no answer");
        };
        // It is there to be ended.
        let left = answer.number("left").unwrap().to_string();
        assert!(Command::new("kill").arg(left).status().unwrap().success());
    }
}

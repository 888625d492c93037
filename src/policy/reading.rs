//! Reading the configuration: the file if it can be trusted, line by line, then the variables.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use configparser::ini::{Ini, IniDefault};

use super::{
    CONFIG_FILE, CONFIG_VARIABLE, LONGEST_WORD, MOST_PROBLEMS, MechPolicy, NtlmProvider, Policy,
    Rules, TraceTo, excerpt, wrong,
};
use crate::oid;

/// Read what is configured; `environment` looks up a variable.
pub(super) fn read(environment: impl Fn(&str) -> Option<OsString>) -> Policy {
    let mut draft = Draft::default();
    match environment(CONFIG_VARIABLE) {
        None => draft.read_file(Path::new(CONFIG_FILE), Absence::IsUsual),
        // Set and empty: no file at all.
        Some(path) if path.is_empty() => {}
        Some(path) => draft.read_file(Path::new(&path), Absence::IsWrong),
    }
    for (name, key) in VARIABLES {
        let Some(value) = environment(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        match value.to_str() {
            Some(value) => draft.set(name, key, value),
            None => draft.refuse(name, key, "the value is not UTF-8"),
        }
    }
    draft.finish()
}

/// A policy being read, and the keys that the file has set.
#[derive(Default)]
struct Draft {
    policy: Policy,
    seen: Vec<String>,
}

/// What it means that a configuration file is not there.
#[derive(PartialEq, Eq)]
enum Absence {
    IsUsual,
    IsWrong,
}

impl Draft {
    fn read_file(&mut self, path: &Path, absence: Absence) {
        let name = excerpt(&path.to_string_lossy(), LONGEST_PATH);
        match read_trusted(path) {
            Ok(text) => self.read_lines(&name, &text),
            Err(Unreadable::Absent) if absence == Absence::IsUsual => {}
            // A restriction may be written in it, so nothing is allowed.
            Err(why) => self.refuse(&name, "mechs", &why.sentence()),
        }
    }

    fn read_lines(&mut self, file: &str, text: &[u8]) {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut syntax = Ini::new_from_defaults(one_line_syntax());
        for (number, line) in (1..).zip(text.split(|octet| *octet == b'\n')) {
            let place = format!("{file}:{number}");
            match key_and_value(&mut syntax, line) {
                Ok(None) => {}
                Ok(Some((key, _))) if self.seen.contains(&key) => {
                    self.refuse(
                        &place,
                        &key,
                        &format!("{} is set twice", excerpt(&key, LONGEST_WORD)),
                    );
                }
                Ok(Some((key, value))) => {
                    self.set(&place, &key, &value);
                    self.seen.push(key);
                }
                Err(why) => self.refuse(&place, &first_word(line), why),
            }
        }
    }

    fn set(&mut self, place: &str, key: &str, value: &str) {
        if let Err(why) = self.try_set(key, value) {
            self.refuse(place, key, &why);
        }
    }

    fn try_set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Policy {
            rules,
            mechs,
            ntlm,
            trace,
            ..
        } = &mut self.policy;
        match key {
            "mechs" => *mechs = MechPolicy::parse(value)?,
            "optimistic_token" => rules.optimistic_token = yes_or_no(value)?,
            "legacy_windows" => rules.legacy_windows = yes_or_no(value)?,
            "max_output_token_size" => rules.max_output_token_size = octets(value)?,
            "ntlm" => {
                *ntlm = match value {
                    "system" => NtlmProvider::System,
                    "own" => NtlmProvider::Own,
                    "off" => NtlmProvider::Off,
                    _ => return Err(wrong(value, "system, own or off")),
                }
            }
            "trace" => {
                *trace = match value {
                    "stderr" => TraceTo::Stderr,
                    "syslog" => TraceTo::Syslog,
                    path if path.starts_with('/') => TraceTo::File(path.into()),
                    _ => return Err(wrong(value, "stderr, syslog or an absolute path")),
                }
            }
            _ => {
                return Err(format!(
                    "no key is called \"{}\"",
                    excerpt(key, LONGEST_WORD)
                ));
            }
        }
        Ok(())
    }

    /// Note a problem; where the broken setting restricts, restrict all.
    fn refuse(&mut self, place: &str, key: &str, why: &str) {
        let problem = format!("{place}: {why}");
        match key {
            "mechs" => {
                let sentence = format!("no mechanism is allowed while {problem}");
                self.policy.mechs = MechPolicy::Nothing(sentence);
            }
            "ntlm" => self.policy.ntlm = NtlmProvider::Off,
            _ => {}
        }
        if self.policy.problems.len() < MOST_PROBLEMS {
            self.policy.problems.push(problem);
        }
    }

    fn finish(mut self) -> Policy {
        if self.policy.ntlm == NtlmProvider::Off {
            self.policy.mechs.remove(&oid::NTLMSSP);
        }
        self.policy
    }
}

/// Why a configuration file is not read.
enum Unreadable {
    Absent,
    Failed(io::Error),
    NotAFile,
    NotOurs(u32),
    WritableByAll,
    TooLarge,
}

impl Unreadable {
    fn sentence(&self) -> String {
        match self {
            Self::Absent => "the configuration file is not there".to_owned(),
            Self::Failed(error) => format!("the configuration file cannot be read: {error}"),
            Self::NotAFile => "the configuration is not a regular file".to_owned(),
            Self::NotOurs(owner) => format!(
                "the configuration file belongs to user {owner}, neither root nor the user of this \
                 process"
            ),
            Self::WritableByAll => {
                "the configuration file is writable by everybody; run chmod o-w on it".to_owned()
            }
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

fn read_trusted(path: &Path) -> Result<Vec<u8>, Unreadable> {
    // Opening a FIFO would wait for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    trust(&file.metadata()?)?;
    read_bounded(file)
}

fn trust(file: &Metadata) -> Result<(), Unreadable> {
    if !file.is_file() {
        return Err(Unreadable::NotAFile);
    }
    if file.mode() & WRITABLE_BY_ALL != 0 {
        return Err(Unreadable::WritableByAll);
    }
    let process_owner = || fs::metadata("/proc/self").map(|process| process.uid());
    if file.uid() != 0 && process_owner().ok() != Some(file.uid()) {
        return Err(Unreadable::NotOurs(file.uid()));
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

fn one_line_syntax() -> IniDefault {
    let mut syntax = IniDefault::default();
    syntax.default_section = String::new();
    syntax.comment_symbols = vec!['#'];
    syntax.delimiters = vec!['='];
    syntax
}

/// Each line is read by itself, so that a broken one spoils no other.
fn key_and_value(syntax: &mut Ini, line: &[u8]) -> Result<Option<(String, String)>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
    let sections = syntax
        .read(line.to_owned())
        .map_err(|_| "the line is not \"key = value\"")?;
    let Some((section, settings)) = sections.into_iter().next() else {
        return Ok(None);
    };
    if !section.is_empty() || line.trim_start().starts_with('[') {
        return Err("there are no sections in this file");
    }
    match settings.into_iter().next() {
        Some((key, Some(value))) => Ok(Some((key, value))),
        _ => Err("the line is not \"key = value\""),
    }
}

/// The key that a broken line was probably meant for.
fn first_word(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let word = line
        .trim_start()
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    word.take(1).map(str::to_ascii_lowercase).collect()
}

fn yes_or_no(value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(wrong(value, "yes or no")),
    }
}

fn octets(value: &str) -> Result<usize, String> {
    let octets = value
        .parse()
        .map_err(|_| wrong(value, "a number of octets"))?;
    Ok(Rules::token_size(octets)?)
}

/// The variables that override a key each; an empty one is as good as none.
const VARIABLES: [(&str, &str); 3] = [
    ("GSS_SPNEGO_MECHS", "mechs"),
    ("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "max_output_token_size"),
    ("GSS_SPNEGO_TRACE", "trace"),
];
/// A configuration has some ten lines; a larger file is a mistake.
const LARGEST_FILE: u64 = 65_536;
const LONGEST_PATH: usize = 200;
const WRITABLE_BY_ALL: u32 = 0o002;

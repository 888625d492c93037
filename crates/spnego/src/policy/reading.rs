//! Reading the configuration: the file if it can be trusted, setting by setting and rule by rule,
//! then the variables. A wrong file gives what can be relied on of it, and nothing in the place of
//! the rest.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::condition::{Condition, Program, Target};
use super::trusted::{self, Owner, Unreadable};
use super::value::{
    DOWNGRADES, NTLM_PROVIDERS, Requirement, Value, Wrong, each, mechs, octets, one_of,
    requirement, role, trace_format, trace_named, trace_to, yes_or_no,
};
use super::{
    CONFIG_FILE, CONFIG_VARIABLE, LONGEST_WORD, MOST_PROBLEMS, MechPolicy, NtlmProvider, Policy,
    Requirements, Rule, Rules, Setting, Terms, excerpt, wrong,
};
use crate::stamp::Seen;

/// Whether an environment variable has a value now, `None` for none.
pub type IsSetTo = fn(&str, Option<&OsStr>) -> bool;

/// Where the configuration of this process is, as the environment says.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// What [`CONFIG_VARIABLE`] says.
    named: Option<OsString>,
    /// Where paths began when this was found out.
    root: Option<(u64, u64)>,
    /// What [`VARIABLES`] say.
    variables: [Option<OsString>; VARIABLES.len()],
}

/// One state of the configuration.
pub(super) struct Reading {
    pub(super) policy: Policy,
    source: Source,
    pub(super) seen: Option<Seen>,
    /// Whether nothing is wrong with the file.
    sound: bool,
}

impl Reading {
    /// Whether nothing new was read.
    pub(super) fn is_as(&self, known: &Self) -> bool {
        self.seen == known.seen && self.source == known.source && self.policy == known.policy
    }

    /// This one, unless its file is wrong and that of the earlier one was not: then the earlier
    /// one, with what is wrong now.
    pub(super) fn or_keep(self, earlier: &Self) -> Self {
        if self.sound || !earlier.sound || self.source != earlier.source {
            return self;
        }
        Self {
            policy: Policy {
                problems: self.policy.problems,
                ..earlier.policy.clone()
            },
            sound: true,
            ..self
        }
    }

    /// Whether what this was made from is not as it was, by a look that copies nothing. After a chroot
    /// a path is another file's, or nothing's, and says nothing.
    #[inline]
    pub(super) fn is_outdated(&self, is_set_to: IsSetTo) -> bool {
        self.source.differs(is_set_to, self.seen.as_ref()) && self.source.root == trusted::root()
    }
}

impl Source {
    pub(super) fn new(environment: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            named: environment(CONFIG_VARIABLE),
            root: trusted::root(),
            variables: VARIABLES.map(|(name, _)| environment(name)),
        }
    }

    /// None: no file at all.
    fn file(&self) -> Option<&Path> {
        match &self.named {
            None => Some(Path::new(CONFIG_FILE)),
            // Set and empty.
            Some(path) if path.is_empty() => None,
            Some(path) => Some(Path::new(path)),
        }
    }

    fn differs(&self, is_set_to: IsSetTo, seen: Option<&Seen>) -> bool {
        !is_set_to(CONFIG_VARIABLE, self.named.as_deref())
            || VARIABLES
                .iter()
                .zip(&self.variables)
                .any(|((name, _), value)| !is_set_to(name, value.as_deref()))
            || self
                .file()
                .is_some_and(|file| trusted::has_changed(file, seen))
    }

    pub(super) fn read(self) -> Policy {
        self.reading().policy
    }

    pub(super) fn reading(self) -> Reading {
        let mut draft = Draft::default();
        let mut seen = None;
        if let Some(path) = self.file() {
            let is_named = self.named.is_some();
            let owner = if is_named {
                Owner::RootOrUser
            } else {
                Owner::Root
            };
            let (text, state) = trusted::read(path, owner);
            seen = state;
            draft.file = excerpt(&path.to_string_lossy(), LONGEST_PATH);
            match text {
                Ok(text) => draft.take(&text),
                Err(Unreadable::Absent) if !is_named => {}
                // A restriction may be written in it.
                Err(why) => draft.refuse_all(&why.sentence()),
            }
        }
        let sound = draft.policy.problems.is_empty();
        for ((name, key), value) in VARIABLES.into_iter().zip(&self.variables) {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                draft.override_by(name, key, value.to_str());
            }
        }
        Reading {
            policy: draft.policy,
            source: self,
            seen,
            sound,
        }
    }
}

/// The policy of a text alone.
pub(super) fn read_text(name: &str, text: &[u8]) -> Policy {
    let mut draft = Draft {
        file: excerpt(name, LONGEST_PATH),
        ..Draft::default()
    };
    draft.take(text);
    draft.policy
}

/// A policy being read.
#[derive(Default)]
struct Draft {
    /// The file's name, fit for a sentence.
    file: String,
    policy: Policy,
}

impl Draft {
    fn take(&mut self, text: &[u8]) {
        let octets = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let (text, fault) = match std::str::from_utf8(octets) {
            Ok(text) => (text, None),
            Err(error) => {
                let (right, _) = octets.split_at(error.valid_up_to());
                let right = std::str::from_utf8(right).unwrap_or_default();
                (right, Some(Wrong::new(right.len(), "this is not UTF-8")))
            }
        };
        match fault.map_or_else(|| parse(text), Err) {
            Ok(table) => self.take_table(text, &table, None),
            Err(fault) => self.take_before(text, fault),
        }
    }

    /// Take what stands before the table in which the syntax is wrong: what a broken table was
    /// meant to be nobody knows, nor which table the lines after it belong to.
    fn take_before(&mut self, text: &str, fault: Wrong) {
        let problem = self.problem(text, &fault);
        let mut end = fault.at;
        for _ in 0..MOST_CUTS {
            let Some(header) = last_header(text, end) else {
                break;
            };
            let right = text.get(..header).unwrap_or_default();
            // A line that looks like a header may be one of a text that has no end.
            match parse(right) {
                Ok(table) => {
                    self.take_table(text, &table, Some((header, problem)));
                    return;
                }
                Err(_) => end = header.saturating_sub(1),
            }
        }
        self.policy.terms.mechs = nothing_while(&problem);
    }

    /// Take the settings, then the rules before `fault`; after them nothing is allowed if there is
    /// one.
    fn take_table(&mut self, text: &str, table: &DeTable<'_>, fault: Option<(usize, String)>) {
        let mut fault = fault;
        let mut rules: Vec<&Value<'_>> = Vec::new();
        for (key, at, value) in in_order(table) {
            match (key, value.get_ref()) {
                (RULE, DeValue::Array(found)) if found.iter().all(is_table) => {
                    rules.extend(found.iter());
                }
                (_, DeValue::Table(_) | DeValue::Array(_)) if holds_table(value) => {
                    let wrong =
                        Wrong::new(at, format!("{}: rules are written [[rule]]", unknown(key)));
                    let problem = self.problem(text, &wrong);
                    if fault.as_ref().is_none_or(|(first, _)| at < *first) {
                        fault = Some((at, problem));
                    }
                }
                _ => self.take_setting(text, key, at, value),
            }
        }
        for rule in rules {
            let at = rule.span().start;
            if fault.as_ref().is_none_or(|(first, _)| at < *first) {
                self.take_rule(text, rule);
            }
        }
        if let Some((at, problem)) = fault {
            let mut last = self.new_rule(text, at);
            last.terms.mechs = nothing_while(&problem);
            self.policy.rules.push(last);
        }
    }

    /// A setting, which holds where no rule matches, and in rules that do not speak of it.
    fn take_setting(&mut self, text: &str, key: &str, at: usize, value: &Value<'_>) {
        let (line, _) = place(text, at);
        let by = format!(
            "{} (line {line} of {})",
            excerpt(key, LONGEST_WORD),
            self.file
        );
        let taken = match key {
            "trace" => trace_to(value).map(|to| self.policy.trace = to),
            "trace_format" => trace_format(value).map(|format| self.policy.trace_format = format),
            _ => self.policy.terms.take(key, at, value, &by),
        };
        if let Err(wrong) = taken {
            let problem = self.problem(text, &wrong);
            self.policy.terms.refuse(key, &by, &problem);
        }
    }

    fn new_rule(&self, text: &str, at: usize) -> Rule {
        let number = self.policy.rules.len().saturating_add(1);
        let (line, _) = place(text, at);
        Rule {
            number,
            line,
            terms: self.policy.terms.clone(),
            name: format!("rule {number} (line {line} of {})", self.file),
            condition: Condition::default(),
        }
    }

    fn take_rule(&mut self, text: &str, value: &Value<'_>) {
        let mut rule = self.new_rule(text, value.span().start);
        let name = rule.name.clone();
        let mut unmatchable = None;
        for (key, at, value) in value.get_ref().as_table().into_iter().flat_map(in_order) {
            let condition = match key {
                "role" => role(value).map(|role| rule.condition.role = Some(role)),
                "target" => each(value, Target::parse).map(|of| rule.condition.targets = of),
                "program" => each(value, Program::parse).map(|of| rule.condition.programs = of),
                "trace" | "trace_format" => {
                    let why = format!("{key} is no part of a rule: it stands before the first");
                    self.problem(text, &Wrong::new(at, why));
                    continue;
                }
                _ => {
                    if let Err(wrong) = rule.terms.take(key, at, value, &name) {
                        let problem = self.problem(text, &wrong);
                        rule.terms.refuse(key, &name, &problem);
                    }
                    continue;
                }
            };
            if let Err(wrong) = condition {
                unmatchable = Some(self.problem(text, &wrong));
            }
        }
        // What it was meant for cannot be told: it is for everything, and allows nothing.
        if let Some(problem) = unmatchable {
            rule.condition = Condition::default();
            rule.terms.mechs = nothing_while(&problem);
        }
        self.policy.rules.push(rule);
    }

    /// A variable overrides a setting; it narrows what the rules allow, and never widens it.
    fn override_by(&mut self, name: &str, key: &str, value: Option<&str>) {
        let overridden = match value {
            Some(value) => self.try_override_by(name, key, value),
            None => Err("the value is not UTF-8".to_owned()),
        };
        let Err(why) = overridden else { return };
        let problem = self.note(format!("{name}: {why}"));
        if key == "mechs" {
            let all = self.policy.rules.iter_mut().map(|rule| &mut rule.terms);
            for terms in all.chain([&mut self.policy.terms]) {
                terms.mechs = nothing_while(&problem);
            }
        }
    }

    fn try_override_by(&mut self, name: &str, key: &str, value: &str) -> Result<(), String> {
        let Policy { terms, rules, .. } = &mut self.policy;
        match key {
            "mechs" => {
                let wanted = MechPolicy::parse(value)?;
                for rule in rules {
                    let is_own = rule.terms.said_by(Setting::Mechs) == rule.name;
                    if is_own || rule.terms.mechs.is_nothing() {
                        let narrowed = wanted.clone().narrowed_by(&rule.terms.mechs);
                        rule.terms.mechs = narrowed;
                        let by = format!("{name} or {}", rule.name);
                        rule.terms.says(Setting::Mechs, &by);
                    } else {
                        rule.terms.mechs = wanted.clone();
                        rule.terms.says(Setting::Mechs, name);
                    }
                }
                // What cannot be read may have forbidden what the variable allows.
                if !terms.mechs.is_nothing() {
                    terms.mechs = wanted;
                    terms.says(Setting::Mechs, name);
                }
            }
            "max_output_token_size" => {
                let octets = value.parse();
                let octets = octets.map_err(|_| wrong(value, "a number of octets"))?;
                let size = Rules::token_size(octets)?;
                for rule in rules {
                    rule.terms.rules.max_output_token_size = size;
                }
                terms.rules.max_output_token_size = size;
            }
            _ => self.policy.trace = trace_named(value)?,
        }
        Ok(())
    }

    /// Nothing of the file can be relied on.
    fn refuse_all(&mut self, why: &str) {
        let problem = self.note(format!("{}: {why}", self.file));
        self.policy.terms.mechs = nothing_while(&problem);
    }

    /// Note what is wrong, with its place.
    fn problem(&mut self, text: &str, wrong: &Wrong) -> String {
        let (line, column) = place(text, wrong.at);
        let Wrong { why, .. } = wrong;
        self.note(format!("{}:{line}:{column}: {why}", self.file))
    }

    fn note(&mut self, problem: String) -> String {
        if self.policy.problems.len() < MOST_PROBLEMS {
            self.policy.problems.push(problem.clone());
        }
        problem
    }
}

impl Terms {
    /// Take a setting that rules may have as well.
    fn take(&mut self, key: &str, at: usize, value: &Value<'_>, by: &str) -> Result<(), Wrong> {
        match key {
            "mechs" => {
                self.mechs = mechs(value)?;
                self.says(Setting::Mechs, by);
            }
            "ntlm" => {
                self.ntlm = one_of(value, &NTLM_PROVIDERS)?;
                self.says(Setting::Ntlm, by);
            }
            "require" => {
                let wanted = each(value, requirement)?;
                self.rules.require = Requirements {
                    mutual: wanted.contains(&Requirement::Mutual),
                    channel_bindings: wanted.contains(&Requirement::ChannelBindings),
                    mic: wanted.contains(&Requirement::Mic),
                    target: wanted.contains(&Requirement::Target),
                };
                self.says(Setting::Require, by);
            }
            "kerberos_fallback" => {
                self.rules.kerberos_fallback = yes_or_no(value)?;
                self.says(Setting::KerberosFallback, by);
            }
            "kerberos_for_ip" => {
                self.kerberos_for_ip = yes_or_no(value)?;
                self.says(Setting::KerberosForIp, by);
            }
            "downgrade" => {
                self.rules.downgrade = one_of(value, &DOWNGRADES)?;
                self.says(Setting::Downgrade, by);
            }
            "optimistic_token" => self.rules.optimistic_token = yes_or_no(value)?,
            "legacy_windows" => self.rules.legacy_windows = yes_or_no(value)?,
            "max_output_token_size" => self.rules.max_output_token_size = octets(value)?,
            _ => return Err(Wrong::new(at, unknown(key))),
        }
        Ok(())
    }

    /// What a setting that is wrong does: one that only says how is passed over, a wrong `ntlm` is
    /// no NTLM, and after any other, known or not, nothing is allowed.
    fn refuse(&mut self, key: &str, by: &str, problem: &str) {
        match key {
            "optimistic_token" | "max_output_token_size" | "trace" | "trace_format" => {}
            "legacy_windows" => self.rules.legacy_windows = false,
            "ntlm" => {
                self.ntlm = NtlmProvider::Off;
                self.says(Setting::Ntlm, by);
            }
            _ => self.mechs = nothing_while(problem),
        }
    }
}

fn parse(text: &str) -> Result<DeTable<'_>, Wrong> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let at = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    match errors.iter().min_by_key(|error| at(error)) {
        None => Ok(table.into_inner()),
        // The parser's own words, without a word of the file.
        Some(first) => Err(Wrong::new(at(first), first.message())),
    }
}

/// Where the last line begins that is before `end` or holds it, and that looks like a table's
/// header.
fn last_header(text: &str, end: usize) -> Option<usize> {
    let mut found = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if start > end {
            break;
        }
        if line.trim_start().starts_with('[') {
            found = Some(start);
        }
        start = start.saturating_add(line.len());
    }
    found
}

/// Line and column of an offset, both from 1; a column is a character.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text
        .as_bytes()
        .get(..at.min(text.len()))
        .unwrap_or_default();
    let is_end = |octet: &u8| *octet == b'\n';
    // Asked for each key of a file: octets are counted by the vector, characters one by one.
    let lines = before.iter().filter(|octet| is_end(octet)).count();
    let line = before.rsplit(is_end).next().unwrap_or_default();
    let column = String::from_utf8_lossy(line).chars().count();
    (lines.saturating_add(1), column.saturating_add(1))
}

/// The entries of a table as they stand in the file, each with its offset.
fn in_order<'a, 't>(table: &'a DeTable<'t>) -> Vec<(&'a str, usize, &'a Value<'t>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value))
        .collect();
    entries.sort_by_key(|(_, at, _)| *at);
    entries
}

fn is_table(value: &Value<'_>) -> bool {
    matches!(value.get_ref(), DeValue::Table(_))
}

fn holds_table(value: &Value<'_>) -> bool {
    let within = value.get_ref().as_array();
    is_table(value) || within.is_some_and(|within| within.iter().any(is_table))
}

fn nothing_while(problem: &str) -> MechPolicy {
    MechPolicy::Nothing(format!("no mechanism is allowed while {problem}"))
}

fn unknown(key: &str) -> String {
    format!("no key is called \"{}\"", excerpt(key, LONGEST_WORD))
}

const RULE: &str = "rule";
/// The variables that override a key each; an empty one is as good as none.
const VARIABLES: [(&str, &str); 3] = [
    ("GSS_SPNEGO_MECHS", "mechs"),
    ("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "max_output_token_size"),
    ("GSS_SPNEGO_TRACE", "trace"),
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const LONGEST_PATH: usize = 200;
/// How many lines that look like headers are tried as the end of what is right: a text without an
/// end rarely holds more, and each try reads the file again.
const MOST_CUTS: usize = 16;

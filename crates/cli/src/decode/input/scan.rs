//! Looking for tokens in text of any kind, which comes in pieces: what follows a header field's name
//! or a scheme, and what is a whole token by itself.
//!
//! A token, and the name of each header field that carries one, is a run of at least twelve digits of
//! base64: shorter words are stepped over without being looked at.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::super::dissect::{field::Level, shape};
use super::header::{self, Name};
use super::word::{self, Word};
use super::{Found, Problem, SCHEMES, Way, hexadecimal};

/// Text being looked through.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    text: Vec<u8>,
    /// Where lines begin in it, and their numbers.
    lines: VecDeque<(usize, usize)>,
    /// How far it has been looked through.
    done: usize,
    /// How long it has to be before it is worth to look again.
    wanted: usize,
    /// Whether tokens within what was decoded are looked for no more.
    is_inner: bool,
}

impl Scanner {
    /// Look through the next piece of text, which is of this line.
    pub(crate) fn take(&mut self, text: &[u8], line: usize, out: &mut VecDeque<Found>) {
        if self.lines.back().is_none_or(|(_, last)| *last != line) {
            self.lines.push_back((self.text.len(), line));
        }
        self.text.extend_from_slice(text);
        if self.text.len() >= self.wanted.max(self.done.saturating_add(PIECE)) {
            self.look(false, out);
        }
    }

    /// Nothing follows.
    pub(crate) fn end(&mut self, out: &mut VecDeque<Found>) {
        if !self.text.is_empty() {
            self.look(true, out);
        }
        self.text.clear();
        self.lines.clear();
        self.done = 0;
        self.wanted = 0;
    }

    fn look(&mut self, at_end: bool, out: &mut VecDeque<Found>) {
        let octets = std::mem::take(&mut self.text);
        let text = Text {
            octets: &octets,
            at_end,
        };
        self.wanted = 0;
        loop {
            let Some(run) = run(text, self.done) else {
                let kept = if at_end { 0 } else { RUN };
                self.done = self.done.max(octets.len().saturating_sub(kept));
                break;
            };
            let (start, end) = run.place();
            match self.candidate(text, run, out) {
                Ok(end) => self.done = end.max(self.done.saturating_add(1)),
                Err(More) if octets.len().saturating_sub(start) < LONGEST => {
                    // Twice as much each time, so that nothing is read again and again.
                    let more = octets.len().saturating_sub(start).max(PIECE);
                    self.wanted = octets.len().saturating_add(more);
                    self.done = self.done.max(start.min(octets.len().saturating_sub(RUN)));
                    break;
                }
                // Too long for a token.
                Err(More) => self.done = end.max(self.done.saturating_add(1)),
            }
        }
        self.text = octets;
        self.forget();
    }

    /// Drop what is done, but for what a token that follows may be told by.
    fn forget(&mut self) {
        let cut = self.done.saturating_sub(CONTEXT);
        if cut < PIECE {
            return;
        }
        self.text.drain(..cut);
        self.done -= cut;
        self.wanted = self.wanted.saturating_sub(cut);
        while self.lines.get(1).is_some_and(|(begin, _)| *begin <= cut) {
            self.lines.pop_front();
        }
        for (begin, _) in &mut self.lines {
            *begin = begin.saturating_sub(cut);
        }
    }

    /// See whether there is a token at a run of digits, and give where to go on.
    fn candidate(
        &self,
        text: Text<'_>,
        run: Run,
        out: &mut VecDeque<Found>,
    ) -> Result<usize, More> {
        let (start, end) = match run {
            Run::Octets(start) => {
                let (octets, end) = hexadecimal::octets(text, start)?;
                if shape::is_whole(&octets) {
                    out.push_back(self.found(text, start, octets));
                } else if is_message(&octets) {
                    self.within(&octets, start, out);
                }
                return Ok(end);
            }
            Run::Digits(start, end) => (start, end),
        };
        if let Some(name) = Name::at(text.octets, end) {
            return self.field(text, name, end, out);
        }
        // Behind a blank, or where a log has a plus in its place.
        let (scheme, start) = match scheme_within(text, start, end) {
            Some((scheme, start)) => (Some(scheme), start),
            None => (None, word::begin(text, start, self.done)),
        };
        let Some(form) = Form::of(text, start, end) else {
            return match end < text.octets.len() || text.at_end || end - start > RUN * 4 {
                true => Ok(end),
                false => Err(More),
            };
        };
        match form {
            Form::Base64 => {
                let word = word::base64(text, start, true)?;
                let scheme = scheme.or_else(|| scheme_before(text, start));
                if scheme.is_some() || shape::is_whole(&word.octets) {
                    out.push_back(Found {
                        scheme,
                        escaped: word.escaped,
                        // Nobody is blamed for what may have suffered on its way into a text.
                        problem: word.problem.map(|problem| Problem {
                            level: Level::Doubtful,
                            ..problem
                        }),
                        ..self.found(text, start, word.octets)
                    });
                    return Ok(word.end);
                }
                Ok(end)
            }
            Form::Hexadecimal => {
                let (octets, after) = hexadecimal::octets(text, start)?;
                if shape::is_whole(&octets) {
                    out.push_back(self.found(text, start, octets));
                }
                Ok(after.max(end))
            }
            Form::Text { is_hexadecimal } => {
                let (octets, after) = match is_hexadecimal {
                    true => hexadecimal::octets(text, start)?,
                    false => {
                        let Word { octets, end, .. } = word::base64(text, start, true)?;
                        (octets, end)
                    }
                };
                self.within(&octets, start, out);
                Ok(after.max(end))
            }
        }
    }

    /// Look for tokens in text that was written as octets: a stream that was followed.
    fn within(&self, octets: &[u8], start: usize, out: &mut VecDeque<Found>) {
        if self.is_inner {
            return;
        }
        let mut inner = Self {
            is_inner: true,
            ..Self::default()
        };
        inner.take(octets, self.line(start), out);
        inner.end(out);
    }

    /// The schemes and tokens of a header field.
    fn field(
        &self,
        text: Text<'_>,
        name: Name,
        end: usize,
        out: &mut VecDeque<Found>,
    ) -> Result<usize, More> {
        let Some(value) = header::value(text, end)? else {
            return Ok(end);
        };
        let (challenges, after) = header::challenges(text, value)?;
        if is_repeated_by_curl(text.octets, end) {
            return Ok(after.max(end));
        }
        for challenge in challenges {
            let word = challenge.word.unwrap_or_default();
            out.push_back(Found {
                way: name.way,
                header: Some(name.name),
                scheme: Some(challenge.scheme),
                line: Some(self.line(challenge.at)),
                octets: word.octets,
                problem: word.problem,
                escaped: word.escaped,
            });
        }
        Ok(after.max(end))
    }

    /// A token that is in no field whose name stands before it.
    fn found(&self, text: Text<'_>, start: usize, octets: Vec<u8>) -> Found {
        Found {
            way: way(text.octets, start),
            line: Some(self.line(start)),
            octets,
            ..Found::default()
        }
    }

    /// The number of the line that `at` is in.
    fn line(&self, at: usize) -> usize {
        let before = self.lines.iter().rev().find(|(begin, _)| *begin <= at);
        before.or(self.lines.front()).map_or(1, |(_, line)| *line)
    }
}

/// Text of which more may come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) octets: &'a [u8],
    pub(super) at_end: bool,
}

/// The text ends where more is needed to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct More;

impl<'a> Text<'a> {
    /// The octet at `at`; `None` behind the end.
    pub(super) fn octet(self, at: usize) -> Result<Option<u8>, More> {
        match self.octets.get(at) {
            Some(octet) => Ok(Some(*octet)),
            None if self.at_end => Ok(None),
            None => Err(More),
        }
    }

    /// What begins at `at`: `length` octets, or fewer before the end.
    pub(super) fn part(self, at: usize, length: usize) -> Result<&'a [u8], More> {
        let rest = self.octets.get(at..).unwrap_or_default();
        match rest.get(..length) {
            Some(part) => Ok(part),
            None if self.at_end => Ok(rest),
            None => Err(More),
        }
    }
}

/// What may be a token.
#[derive(Clone, Copy, Debug)]
enum Run {
    /// Digits of base64, from and to.
    Digits(usize, usize),
    /// Octets in hexadecimal with something between them.
    Octets(usize),
}

impl Run {
    fn place(self) -> (usize, usize) {
        match self {
            Self::Digits(start, end) => (start, end),
            Self::Octets(start) => (start, start),
        }
    }
}

/// The next run of digits.
fn run(text: Text<'_>, from: usize) -> Option<Run> {
    let octets = text.octets;
    let is_digit = |at: usize| octets.get(at).copied().is_some_and(word::is_digit);
    let mut at = from;
    loop {
        let last = at.checked_add(RUN - 1)?;
        let mut probe = last;
        if !word::is_digit(*octets.get(probe)?) {
            // Between octets that are written one by one, a step may always come upon what separates
            // them: two places before is a digit.
            probe -= 2;
            if !is_digit(probe) {
                at = last + 1;
                continue;
            }
        }
        let mut start = probe;
        while start > at && is_digit(start - 1) {
            start -= 1;
        }
        let mut end = probe + 1;
        while is_digit(end) {
            end += 1;
        }
        if end - start >= RUN {
            return Some(Run::Digits(start, end));
        }
        if let Some((start, after)) = hexadecimal::sequence(octets, start, end, from) {
            let beginning = Text {
                octets: octets.get(..after).unwrap_or_default(),
                at_end: true,
            };
            let is_token = hexadecimal::octets(beginning, start)
                .is_ok_and(|(octets, _)| shape::may_begin(&octets) || is_message(&octets));
            if is_token {
                return Some(Run::Octets(start));
            }
            end = end.max(after);
        }
        at = end;
    }
}

/// How a candidate is written.
enum Form {
    Base64,
    Hexadecimal,
    /// Not a token, but text that may have one.
    Text {
        is_hexadecimal: bool,
    },
}

impl Form {
    /// The form in which what begins at `start` begins like a token, if in any.
    fn of(text: Text<'_>, start: usize, end: usize) -> Option<Self> {
        let limited = Text {
            octets: text.octets,
            at_end: true,
        };
        let base64 = word::beginning(limited, start, shape::BEGINNING);
        if shape::may_begin(&base64) {
            return Some(Self::Base64);
        }
        let digits = text.octets.get(start..end)?;
        let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
        if digits
            .iter()
            .take(2 * shape::BEGINNING)
            .all(u8::is_ascii_hexdigit)
        {
            let octets =
                hexadecimal::of_digits(digits.get(..2 * shape::BEGINNING).unwrap_or(digits));
            if shape::may_begin(&octets) {
                return Some(Self::Hexadecimal);
            }
            if is_message(&octets) {
                return Some(Self::Text {
                    is_hexadecimal: true,
                });
            }
        }
        is_message(&base64).then_some(Self::Text {
            is_hexadecimal: false,
        })
    }
}

/// Whether octets begin as a message of HTTP, or as a header field that may have a token.
fn is_message(octets: &[u8]) -> bool {
    MESSAGES.iter().any(|message| {
        octets
            .get(..5)
            .is_some_and(|begin| message.starts_with(begin))
    })
}

const MESSAGES: [&[u8]; 10] = [
    b"GET /",
    b"GET h",
    b"POST ",
    b"PUT /",
    b"HEAD ",
    b"OPTIO",
    b"CONNECT",
    b"HTTP/",
    b"Authorization",
    b"Proxy-Auth",
];

/// A scheme at the beginning of a run, in which a log has a plus in the place of a blank.
fn scheme_within(text: Text<'_>, start: usize, end: usize) -> Option<(&'static str, usize)> {
    let run = text.octets.get(start..end)?;
    SCHEMES.iter().find_map(|scheme| {
        let (name, rest) = run.split_at_checked(scheme.len())?;
        let is_it = name.eq_ignore_ascii_case(scheme.as_bytes()) && rest.first() == Some(&b'+');
        is_it.then(|| (*scheme, start + scheme.len() + 1))
    })
}

/// The scheme right before `start`.
fn scheme_before(text: Text<'_>, start: usize) -> Option<&'static str> {
    let before = header::without_blank(text.octets.get(..start)?)?;
    SCHEMES.iter().copied().find(|scheme| {
        let at = before.len().checked_sub(scheme.len());
        at.and_then(|at| before.split_at_checked(at))
            .is_some_and(|(rest, name)| {
                name.eq_ignore_ascii_case(scheme.as_bytes())
                    && !rest.last().is_some_and(u8::is_ascii_alphanumeric)
            })
    })
}

/// Who sent what stands at `start`, by the line that it is in.
fn way(octets: &[u8], start: usize) -> Way {
    let from = start.saturating_sub(CONTEXT);
    let before = octets.get(from..start).unwrap_or_default();
    let begin = before.iter().rposition(|octet| *octet == b'\n');
    let line = before
        .get(begin.map_or(0, |at| at + 1)..)
        .unwrap_or_default();
    if let Some(name) = Name::last(line) {
        return name.way;
    }
    let trimmed = line.trim_ascii_start();
    let begins = |marks: &[&[u8]]| marks.iter().any(|mark| trimmed.starts_with(mark));
    let has = |marks: &[&[u8]]| {
        let is_in = |mark: &&[u8]| line.windows(mark.len()).any(|part| part == *mark);
        marks.iter().any(is_in)
    };
    let ends = |marks: &[&[u8]]| marks.iter().any(|mark| line.ends_with(mark));
    // What curl marks, what people write in front of lines of SASL, loggers, helpers of Squid, XMPP.
    if ends(&[b"YR ", b"KK "])
        || has(&[b"<auth ", b"<response", b" >> ", b"AUTHENTICATE ", b"AUTH "])
    {
        return Way::ToServer;
    }
    if ends(&[b"TT ", b"AF "]) || has(&[b"<challenge", b"<success", b" << "]) {
        return Way::ToClient;
    }
    if begins(&[b">", b"C:", b"=>"]) {
        return Way::ToServer;
    }
    if begins(&[b"<", b"S:", b"+ ", b"334 "]) {
        return Way::ToClient;
    }
    Way::Unknown
}

/// Whether curl says of itself what it also shows as a header field.
fn is_repeated_by_curl(octets: &[u8], at: usize) -> bool {
    let before = octets
        .get(at.saturating_sub(CONTEXT)..at)
        .unwrap_or_default();
    let begin = before.iter().rposition(|octet| *octet == b'\n');
    let line = before
        .get(begin.map_or(0, |at| at + 1)..)
        .unwrap_or_default();
    [&b"* [HTTP/"[..], b"* h2 [", b"* h2h3 ["]
        .iter()
        .any(|mark| line.starts_with(mark))
}

/// The shortest run that is looked at: as long as `authenticate`.
const RUN: usize = 12;

/// How much text is looked through at once.
const PIECE: usize = 0x8000;

/// How much text before a token is kept to tell what it is.
const CONTEXT: usize = 1024;

/// The most octets of text that a token may take: four thirds of the largest message, and escapes.
const LONGEST: usize = 0x8_0000;

//! Tokens as legs of a negotiation: fragments are put together (MS-SPNG section 3.1.5.9), and each
//! token is held against those before it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use ::spnego::negotiate::fragment::LARGEST_MESSAGE;
use ::spnego::oid::Oid;

use super::dissect::field::{Field, Level, Remark};
use super::dissect::ntlm::Ntlm;
use super::dissect::spnego::{self, Message};
use super::dissect::{self, Facts, names, shape};
use super::input::{Found, Way};

/// A leg: what was found, and what it is a part of.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) found: Found,
    pub(crate) part: Part,
}

/// How a leg's octets are a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// There are none.
    Nothing,
    /// They are one.
    Whole,
    /// They are a piece of one, of which `have` octets out of `of` are here.
    Piece { have: usize, of: usize },
    /// They are the last piece of this one.
    Last { token: Vec<u8>, pieces: usize },
}

/// A leg taken apart.
#[derive(Debug)]
pub(crate) struct Examined<'a> {
    pub(crate) leg: &'a Leg,
    /// None where there is no whole token.
    pub(crate) field: Option<Field<'a>>,
    pub(crate) summary: String,
    /// What is to be said of the leg among the others.
    pub(crate) remarks: Vec<Remark>,
}

impl Examined<'_> {
    /// How many remarks of this level the leg and its token have.
    pub(crate) fn count(&self, level: Level) -> usize {
        let own = self.remarks.iter().filter(|remark| remark.level == level);
        own.count() + self.field.as_ref().map_or(0, |field| field.count(level))
    }
}

/// Put fragments together, token by token as they are found. A token that may go on waits for the
/// next one of its direction, and what comes between waits behind it.
pub(crate) struct Assembled<I> {
    tokens: I,
    /// What has been read, in its order; a piece that may be the first one of several has no part yet.
    waiting: VecDeque<(Found, Option<Part>)>,
    pending: Vec<(Way, Pending)>,
    ended: bool,
}

/// Put the fragments among `tokens` together.
pub(crate) fn assemble<I>(tokens: I) -> Assembled<I>
where
    I: Iterator<Item = Result<Found, String>>,
{
    Assembled {
        tokens,
        waiting: VecDeque::new(),
        pending: Vec::new(),
        ended: false,
    }
}

impl<I> Iterator for Assembled<I>
where
    I: Iterator<Item = Result<Found, String>>,
{
    type Item = Result<Leg, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.waiting.front() {
                Some((_, Some(_))) => {
                    let (found, part) = self.waiting.pop_front()?;
                    let part = part.unwrap_or(Part::Whole);
                    return Some(Ok(Leg { found, part }));
                }
                Some((_, None)) if self.ended || self.waiting.len() > MOST_WAITING => {
                    self.settle_first();
                    continue;
                }
                None if self.ended => return None,
                _ => {}
            }
            match self.tokens.next() {
                Some(Ok(found)) => self.take(found),
                Some(Err(error)) => return Some(Err(error)),
                None => self.ended = true,
            }
        }
    }
}

impl<I> Assembled<I> {
    fn take(&mut self, found: Found) {
        if found.octets.is_empty() {
            self.waiting.push_back((found, Some(Part::Nothing)));
            return;
        }
        let begun = self.pending.iter().position(|(way, _)| *way == found.way);
        let goes_on = is_continuation(&found.octets);
        if let Some(begun) = begun {
            let (way, mut token) = self.pending.swap_remove(begun);
            if goes_on {
                self.settle(way, Some(&token));
                token.pieces += 1;
                token.octets.extend_from_slice(&found.octets);
                let (have, of) = (token.octets.len(), token.of);
                let part = if have < of {
                    self.pending.push((way, token));
                    Part::Piece { have, of }
                } else {
                    Part::Last {
                        token: token.octets,
                        pieces: token.pieces,
                    }
                };
                self.waiting.push_back((found, Some(part)));
                return;
            }
            self.settle(way, None);
        }
        let of = shape::announced(&found.octets).filter(|of| *of > found.octets.len());
        let Some(of) = of.filter(|of| *of <= LARGEST_MESSAGE) else {
            self.waiting.push_back((found, Some(Part::Whole)));
            return;
        };
        let begun = Pending {
            octets: found.octets.clone(),
            of,
            pieces: 1,
        };
        self.pending.push((found.way, begun));
        self.waiting.push_back((found, None));
    }

    /// Say what the first piece of this direction is, which has waited: one of several, or all of a
    /// token that is cut short.
    fn settle(&mut self, way: Way, token: Option<&Pending>) {
        let undecided =
            |(found, part): &&mut (Found, Option<Part>)| found.way == way && part.is_none();
        if let Some((found, part)) = self.waiting.iter_mut().find(undecided) {
            *part = Some(token.map_or(Part::Whole, |token| Part::Piece {
                have: found.octets.len(),
                of: token.of,
            }));
        }
    }

    /// Nothing goes on with what has waited longest.
    fn settle_first(&mut self) {
        let Some((found, part)) = self.waiting.front_mut() else {
            return;
        };
        *part = Some(Part::Whole);
        let way = found.way;
        self.pending.retain(|(pending, _)| *pending != way);
    }
}

/// A token of which pieces are missing.
struct Pending {
    octets: Vec<u8>,
    of: usize,
    pieces: usize,
}

/// How many tokens are kept back behind one that may go on. Fragments come one after the other, with
/// an answer between.
const MOST_WAITING: usize = 16;

/// Whether octets can only be a later piece: they are there, and are no token by themselves.
fn is_continuation(octets: &[u8]) -> bool {
    !octets.is_empty()
        && !octets.starts_with(dissect::ntlm::SIGNATURE)
        && shape::announced(octets) != Some(octets.len())
}

/// The legs of one input, each held against those before it.
#[derive(Default)]
pub(crate) struct Examiner {
    conversation: Conversation,
}

impl Examiner {
    /// Take a leg apart, and hold it against those before it.
    pub(crate) fn examine<'a>(&mut self, leg: &'a Leg) -> Examined<'a> {
        let (mut examined, token) = alone(leg);
        if let Some((field, facts)) = token {
            self.conversation
                .take(leg.found.way, &facts, &mut examined.remarks);
            examined.summary = facts.summary();
            examined.field = Some(field);
        }
        examined
    }
}

fn alone(leg: &Leg) -> (Examined<'_>, Option<(Field<'_>, Facts)>) {
    let mut examined = Examined {
        leg,
        field: None,
        summary: String::new(),
        remarks: Vec::new(),
    };
    if let Some(problem) = &leg.found.problem {
        examined.remarks.push(Remark {
            level: problem.level,
            section: problem.section,
            text: problem.text.clone(),
        });
    }
    let octets = match &leg.part {
        Part::Nothing => {
            examined.summary = "no token".to_owned();
            return (examined, None);
        }
        Part::Piece { have, of } => {
            examined.summary = format!("a fragment: {have} octets of {of} are here now");
            return (examined, None);
        }
        Part::Whole => &leg.found.octets,
        Part::Last { token, pieces } => {
            examined.remarks.push(Remark {
                level: Level::Note,
                section: "MS-SPNG section 3.1.5.9",
                text: format!("put together from {pieces} fragments"),
            });
            token
        }
    };
    if octets.len() > LARGEST_MESSAGE {
        examined.summary = "too large for a token".to_owned();
        examined.remarks.push(Remark {
            level: Level::Doubtful,
            section: "",
            text: format!(
                "more than {LARGEST_MESSAGE} octets, which nobody sends: not taken apart"
            ),
        });
        return (examined, None);
    }
    let (field, facts) = dissect::token(octets);
    if field.name == dissect::UNKNOWN && matches!(leg.found.scheme, Some("Negotiate" | "Nego2")) {
        wrong(
            &mut examined.remarks,
            "RFC 4559 section 4",
            "what follows this scheme must be a token of SPNEGO",
        );
    }
    (examined, Some((field, facts)))
}

/// What the legs so far have settled.
#[derive(Debug, Default)]
struct Conversation {
    offered: Vec<Vec<u8>>,
    begun: bool,
    answered: bool,
    request_mic: bool,
    /// Whether the last message was the client's, for input that does not say.
    clients_turn: bool,
    timed_challenge: bool,
}

impl Conversation {
    fn take(&mut self, way: Way, facts: &Facts, remarks: &mut Vec<Remark>) {
        match facts.ntlm {
            Some(Ntlm::Challenge { timed }) => self.timed_challenge = timed,
            Some(Ntlm::Authenticate { unprotected: true }) if self.timed_challenge => note(
                remarks,
                "MS-NLMP section 3.1.5.1.2",
                "the server's challenge has a MsvAvTimestamp, so the client should send a MIC, and \
                 does not",
            ),
            _ => {}
        }
        match &facts.negotiation {
            Some(Message::Init { hints: true, .. }) if way == Way::ToServer => note(
                remarks,
                "MS-SPNG section 3.2.5.2",
                "a NegTokenInit2, which is for a server that speaks first",
            ),
            Some(Message::Init { hints: true, .. }) => {}
            Some(Message::Init { offered, .. }) => {
                if way == Way::ToClient {
                    note(
                        remarks,
                        "MS-SPNG section 3.2.5.2",
                        "a NegTokenInit of a server: it speaks first",
                    );
                }
                *self = Self {
                    offered: offered.clone(),
                    begun: true,
                    ..Self::default()
                };
            }
            Some(Message::Resp {
                state,
                supported,
                mic,
                ..
            }) if self.begun => {
                let of_client = match way {
                    Way::ToServer => true,
                    Way::ToClient => false,
                    Way::Unknown => self.clients_turn,
                };
                self.clients_turn = !of_client;
                if of_client {
                    self.of_client(supported.is_some(), remarks);
                } else {
                    self.of_server(*state, supported.as_deref(), *mic, remarks);
                }
            }
            _ => {}
        }
    }

    fn of_client(&self, supported: bool, remarks: &mut Vec<Remark>) {
        if supported {
            wrong(
                remarks,
                REPLY,
                "supportedMech is the server's to send, in its first reply",
            );
        }
    }

    fn of_server(
        &mut self,
        state: Option<u64>,
        supported: Option<&[u8]>,
        mic: bool,
        remarks: &mut Vec<Remark>,
    ) {
        if state == Some(spnego::REJECT) {
            self.answered = true;
            return;
        }
        if self.answered {
            if supported.is_some() {
                wrong(
                    remarks,
                    REPLY,
                    "supportedMech may be in the first reply only; clients ignore it (MS-SPNG section 3.3.5)",
                );
            }
            if state == Some(spnego::REQUEST_MIC) {
                wrong(remarks, REPLY, "request-mic may be in the first reply only");
            }
        } else {
            self.answered = true;
            self.request_mic = state == Some(spnego::REQUEST_MIC);
            match supported {
                Some(mech) => self.choice(mech, state, remarks),
                None => doubtful(
                    remarks,
                    REPLY,
                    "the first reply lacks supportedMech, the mechanism that was chosen",
                ),
            }
        }
        if state == Some(spnego::ACCEPT_COMPLETED) && self.request_mic && !mic {
            wrong(
                remarks,
                "RFC 4178 section 5",
                "the server asked for MICs, and completes without a mechListMIC",
            );
        }
    }

    /// The server's choice among what was offered.
    fn choice(&self, mech: &[u8], state: Option<u64>, remarks: &mut Vec<Remark>) {
        let is_it = |other: &Vec<u8>| {
            other == mech
                || matches!((Oid::new(other), Oid::new(mech)), (Some(a), Some(b)) if a.same_mech(&b))
        };
        let name = names::mech(mech);
        match self.offered.iter().position(is_it) {
            None => wrong(
                remarks,
                REPLY,
                format!("{name} was chosen, and was not offered"),
            ),
            Some(0) => {}
            Some(_) if state == Some(spnego::ACCEPT_COMPLETED) => wrong(
                remarks,
                "RFC 4178 section 5",
                format!(
                    "{name} is not the client's first choice, and the server completes without MICs"
                ),
            ),
            Some(_) if state != Some(spnego::REQUEST_MIC) => wrong(
                remarks,
                "RFC 4178 section 3.2",
                format!(
                    "{name} is not the client's first choice, so the state must be request-mic"
                ),
            ),
            Some(_) => note(
                remarks,
                "RFC 4178 section 5",
                format!("{name} is not the client's first choice: both must send a mechListMIC"),
            ),
        }
    }
}

fn wrong(remarks: &mut Vec<Remark>, section: &'static str, text: impl Into<String>) {
    remark(remarks, Level::Wrong, section, text);
}

fn doubtful(remarks: &mut Vec<Remark>, section: &'static str, text: impl Into<String>) {
    remark(remarks, Level::Doubtful, section, text);
}

fn note(remarks: &mut Vec<Remark>, section: &'static str, text: impl Into<String>) {
    remark(remarks, Level::Note, section, text);
}

fn remark(remarks: &mut Vec<Remark>, level: Level, section: &'static str, text: impl Into<String>) {
    remarks.push(Remark {
        level,
        section,
        text: text.into(),
    });
}

const REPLY: &str = "RFC 4178 section 4.2.2";

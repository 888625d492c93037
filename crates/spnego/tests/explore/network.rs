//! One negotiation between two sides and the attacker, from the first token to the last.

use std::fmt::Write as _;

use spnego::negotiate::{Acceptor, Initiator, MicState, Record};
use spnego::oid::Oid;
use spnego::role::Role;
use spnego::wire::spnego::{NegTokenInit, NegTokenResp};

use crate::attacker::{Knowledge, Menu, Move, Other, Sent};
use crate::choices::Choices;
use crate::model::{Context, Side};
use crate::party::{Answer, End, Party};

/// Two sides that may meet.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) initiator: Side,
    pub(crate) acceptor: Side,
    /// What the initiator is told first, by nobody it can know.
    pub(crate) hints: Option<Vec<u8>>,
}

/// How a negotiation went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) initiator: End,
    pub(crate) acceptor: End,
    /// How many tokens were delivered.
    pub(crate) deliveries: usize,
    /// The initiator's list as it was sent, and as the acceptor has read it.
    pub(crate) lists: [Vec<Oid>; 2],
    /// How far the protection of the list has come at both ends.
    pub(crate) mics: [MicState; 2],
    /// Whether something was sent to an end that was over.
    pub(crate) is_unheard: bool,
    /// What is wrong with how it went.
    pub(crate) wrong: Option<String>,
    tokens: Vec<Sent>,
}

/// A negotiation under way.
struct Network<'n> {
    config: Config,
    menu: &'n Menu,
    other: &'n [Sent],
    mechs: &'n [Oid],
    initiator: Party<Initiator<Context>>,
    acceptor: Party<Acceptor<Context>>,
    earlier: Vec<Sent>,
    deliveries: usize,
    is_unheard: bool,
    wrong: Option<String>,
    log: Option<&'n mut String>,
}

/// The session that the attacker has listened to: of the same two, honest.
pub(crate) fn other_session(config: &Config) -> Vec<Sent> {
    let mut config = config.clone();
    config.initiator.nonce += 2;
    config.acceptor.nonce += 2;
    config.hints = None;
    let nothing = Menu {
        offer: Vec::new(),
        later: Vec::new(),
    };
    let outcome = run(&config, &nothing, &[], &mut Choices::honest(), None);
    outcome.map_or_else(Vec::new, |outcome| outcome.tokens)
}

/// Let them talk; the attacker does what `choices` says. `None`: it cannot do that.
pub(crate) fn run(
    config: &Config,
    menu: &Menu,
    other: &[Sent],
    choices: &mut Choices,
    log: Option<&mut String>,
) -> Option<Outcome> {
    let mut mechs = config.initiator.order.to_vec();
    let more = config.acceptor.order.iter();
    let more: Vec<Oid> = more.filter(|mech| !mechs.contains(mech)).copied().collect();
    mechs.extend(more);
    let mut network = Network {
        config: config.clone(),
        menu,
        other,
        mechs: &mechs,
        initiator: Party::new(),
        acceptor: Party::new(),
        earlier: Vec::with_capacity(LONGEST),
        deliveries: 0,
        is_unheard: false,
        wrong: None,
        log,
    };
    network.talk(choices)?;
    let records = [
        &network.config.initiator.record,
        &network.config.acceptor.record,
    ];
    Some(Outcome {
        mics: records.map(Record::mic),
        lists: records.map(|record| record.offered().collect()),
        initiator: network.initiator.end(),
        acceptor: network.acceptor.end(),
        deliveries: network.deliveries,
        is_unheard: network.is_unheard,
        wrong: network.wrong,
        tokens: network.earlier,
    })
}

impl Network<'_> {
    fn talk(&mut self, choices: &mut Choices) -> Option<()> {
        let hints = self.config.hints.clone();
        let mut by = Role::Initiator;
        let mut flying = self.deliver(by, hints.as_deref());
        while let Some(token) = flying {
            let sent = Sent { by, token };
            (by, flying) = self.carry(&sent, choices)?;
            self.earlier.push(sent);
            if self.earlier.len() >= LONGEST {
                self.wrong = Some("it has no end".to_owned());
                break;
            }
        }
        Some(())
    }

    /// Bring a message over, or what the attacker makes of it. Who answers, and what.
    fn carry(&mut self, sent: &Sent, choices: &mut Choices) -> Option<(Role, Option<Vec<u8>>)> {
        let to = sent.by.peer();
        let moves = match self.earlier.is_empty() {
            true => &self.menu.offer,
            false => &self.menu.later,
        };
        let chosen = match choices.choose(moves.len())? {
            0 => {
                self.tell(sent, None);
                return Some((to, self.deliver(to, Some(&sent.token))));
            }
            choice => moves[choice - 1],
        };
        self.tell(sent, Some(chosen));
        let known = Knowledge {
            earlier: &self.earlier,
            other: self.other,
            mechs: self.mechs,
        };
        let whole = Some(&sent.token[..]);
        let split = |octets: u8| sent.token.split_at_checked(usize::from(octets));
        Some(match chosen {
            Move::Replace(other) => {
                let token = other.in_place_of(sent, &known)?;
                (to, self.deliver(to, Some(&token)))
            }
            Move::Return(other) => {
                // What an end sends is no answer to it.
                let made = match other {
                    Other::Earlier(_) | Other::Spliced(_) | Other::Made { .. } | Other::Empty => {
                        other.in_place_of(sent, &known)?
                    }
                    _ => return None,
                };
                (sent.by, self.deliver(sent.by, Some(&made)))
            }
            Move::Drop => (to, None),
            Move::Twice(last) => {
                let first = self.deliver(to, whole);
                let second = self.deliver(to, whole);
                (to, if last { second.or(first) } else { first })
            }
            Move::CutInTwo(octets) => {
                let (front, back) = split(octets)?;
                match self.deliver(to, Some(front)) {
                    // It asks for the rest.
                    Some(empty) if empty.is_empty() => (to, self.deliver(to, Some(back))),
                    answer => (to, answer),
                }
            }
            Move::CutAndWhole(octets) => {
                let (front, _) = split(octets)?;
                let answer = self.deliver(to, Some(front));
                (to, self.deliver(to, whole).or(answer))
            }
            Move::CutAndEmpty(octets) => {
                let (front, _) = split(octets)?;
                let answer = self.deliver(to, Some(front));
                (to, self.deliver(to, Some(b"")).or(answer))
            }
            Move::AskFirst => {
                let hints = self.deliver(to, Some(b""));
                if self.is_over(to) {
                    return Some((to, hints));
                }
                (to, self.deliver(to, whole))
            }
        })
    }

    /// Give a token to an end, and take its answer.
    fn deliver(&mut self, to: Role, token: Option<&[u8]>) -> Option<Vec<u8>> {
        let Config {
            initiator,
            acceptor,
            ..
        } = &mut self.config;
        let answer = match to {
            Role::Initiator => self.initiator.step(token, initiator),
            Role::Acceptor => self.acceptor.step(token, acceptor),
        };
        let Some(Answer {
            token: answer,
            wrong,
        }) = answer
        else {
            self.say(format_args!("    nobody is listening"));
            self.is_unheard = true;
            return None;
        };
        self.deliveries += 1;
        self.wrong = self.wrong.take().or(wrong);
        if self.log.is_some() {
            let has_refused = match to {
                Role::Initiator => self.initiator.has_refused(),
                Role::Acceptor => self.acceptor.has_refused(),
            };
            let state = match (self.is_over(to), has_refused) {
                (false, _) => "goes on",
                (true, true) => "refuses",
                (true, false) => "is established",
            };
            let arrived = token.map_or_else(|| "nothing".to_owned(), shown);
            let name = to.name();
            self.say(format_args!("    {name} reads {arrived}: {state}"));
        }
        answer
    }

    fn is_over(&self, role: Role) -> bool {
        match role {
            Role::Initiator => self.initiator.is_over(),
            Role::Acceptor => self.acceptor.is_over(),
        }
    }

    fn tell(&mut self, sent: &Sent, chosen: Option<Move>) {
        if self.log.is_none() {
            return;
        }
        let (name, token) = (sent.by.name(), shown(&sent.token));
        self.say(format_args!("{name} sends {token}"));
        if let Some(chosen) = chosen {
            self.say(format_args!("  the attacker: {chosen:?}"));
        }
    }

    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{line}");
        }
    }
}

impl Config {
    /// For a person.
    pub(crate) fn shown(&self) -> String {
        let mut text = String::new();
        for side in [&self.initiator, &self.acceptor] {
            let order = if side.prefers { ", an order" } else { "" };
            let _ = writeln!(text, "{}{order}: {:?}", side.role.name(), side.rules);
            for plan in &side.plans {
                let _ = writeln!(text, "    {plan:?}");
            }
        }
        if let Some(hints) = &self.hints {
            let _ = writeln!(text, "hints: {}", shown(hints));
        }
        text
    }
}

/// A message for a person.
fn shown(token: &[u8]) -> String {
    let field = |name: &str, field: Option<&[u8]>| {
        field.map_or_else(String::new, |octets| format!(" {name} {octets:02x?}"))
    };
    if let Ok(init) = NegTokenInit::decode(token) {
        let mechs: Vec<Oid> = init.mech_types.iter().flatten().collect();
        let token = field("token", init.mech_token);
        let mic = field("mic", init.mech_list_mic);
        return format!("NegTokenInit {mechs:?}{token}{mic}");
    }
    if let Ok(resp) = NegTokenResp::decode(token) {
        let mech = resp.supported_mech.and_then(Oid::new);
        let mech = mech.map_or_else(String::new, |mech| format!(" mech {mech:?}"));
        let token = field("token", resp.response_token);
        let mic = field("mic", resp.mech_list_mic);
        let state = resp.neg_state;
        return format!("NegTokenResp {state:?}{mech}{token}{mic}");
    }
    format!("{token:02x?}")
}

/// Over twice the messages, and pieces of them, of the longest negotiation of the model, with somebody who
/// adds some.
const LONGEST: usize = 64;

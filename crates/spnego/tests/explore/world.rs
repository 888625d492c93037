//! One negotiation between two sides and the attacker: how it goes, and what must hold of its end.

use std::fmt::Write as _;

use spnego::error::Failure;
use spnego::negotiate::conversation::{Conversation, Speaker};
use spnego::negotiate::{Acceptor, Initiator, MicState, Record};
use spnego::oid::{NTLMSSP, Oid};
use spnego::policy::{Downgrade, Rules};
use spnego::role::Role;
use spnego::wire::spnego::{NegState, NegTokenInit, NegTokenResp};

use crate::attacker::{Knowledge, Menu, Move, Other, Sent};
use crate::choices::Choices;
use crate::memory;
use crate::model::{Context, Fails, Plan, Side};

/// Two sides that may meet.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) initiator: Side,
    pub(crate) acceptor: Side,
    /// What the initiator is told first, by nobody it can know.
    pub(crate) hints: Option<Vec<u8>>,
}

/// How it ended for one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Established(Plan),
    /// It waits.
    Open,
    Refused,
}

/// How a negotiation went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) initiator: End,
    pub(crate) acceptor: End,
    /// What was delivered.
    pub(crate) deliveries: u32,
    /// The initiator's list as it was sent, and as the acceptor has read it.
    lists: [Vec<Oid>; 2],
    /// How far the protection of the list has come at both ends.
    mics: [MicState; 2],
    /// Whether something was sent to an end that was over.
    unheard: bool,
    /// What is wrong with how it went.
    wrong: Option<String>,
    tokens: Vec<Sent>,
}

/// One side's state: `None` after it refused.
struct Ends {
    initiator: Option<Conversation<Initiator<Context>>>,
    acceptor: Option<Conversation<Acceptor<Context>>>,
}

impl Ends {
    fn is_over(&self, role: Role) -> bool {
        match role {
            Role::Initiator => is_over(self.initiator.as_ref(), Initiator::is_established),
            Role::Acceptor => is_over(self.acceptor.as_ref(), Acceptor::is_established),
        }
    }
}

fn is_over<R: Speaker>(end: Option<&Conversation<R>>, is_done: impl Fn(&R) -> bool) -> bool {
    end.is_none_or(|end| is_done(end.role()))
}

/// A negotiation under way.
struct Network<'c> {
    config: Config,
    menu: &'c Menu,
    other: &'c [Sent],
    mechs: &'c [Oid],
    ends: Ends,
    earlier: Vec<Sent>,
    received: [usize; 2],
    at_start: usize,
    outcome: Outcome,
    log: Option<&'c mut String>,
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
        ends: Ends {
            initiator: Some(Conversation::new(Initiator::Start)),
            acceptor: Some(Conversation::new(Acceptor::Start)),
        },
        earlier: Vec::with_capacity(LONGEST),
        received: [0; 2],
        at_start: memory::in_use(),
        outcome: Outcome {
            initiator: End::Open,
            acceptor: End::Open,
            deliveries: 0,
            lists: [Vec::new(), Vec::new()],
            mics: [MicState::NotNeeded; 2],
            unheard: false,
            wrong: None,
            tokens: Vec::new(),
        },
        log,
    };
    network.talk(choices)?;
    let Network {
        ends,
        mut outcome,
        earlier,
        config,
        ..
    } = network;
    let records = [&config.initiator.record, &config.acceptor.record];
    outcome.mics = records.map(Record::mic);
    outcome.lists = records.map(|record| record.offered().collect());
    outcome.initiator = end(ends.initiator, Initiator::into_established);
    outcome.acceptor = end(ends.acceptor, Acceptor::into_established);
    outcome.tokens = earlier;
    Some(outcome)
}

fn end<R: Speaker>(
    state: Option<Conversation<R>>,
    into_established: impl Fn(R) -> Option<Context>,
) -> End {
    match state {
        None => End::Refused,
        Some(state) => into_established(state.into_role())
            .map_or(End::Open, |context| End::Established(context.plan)),
    }
}

impl Network<'_> {
    fn talk(&mut self, choices: &mut Choices) -> Option<()> {
        let hints = self.config.hints.clone();
        let mut by = Role::Initiator;
        let mut flying = self.deliver(by, hints.as_deref());
        while let Some(token) = flying {
            let sent = Sent { by, token };
            let (to, answer) = self.carry(&sent, choices)?;
            self.earlier.push(sent);
            if self.earlier.len() >= LONGEST {
                self.outcome.wrong = Some("it has no end".to_owned());
                return Some(());
            }
            by = to;
            flying = answer;
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
        let front = |octets: u8| sent.token.get(..usize::from(octets));
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
                let front = front(octets)?.to_vec();
                let answer = self.deliver(to, Some(&front));
                match answer {
                    Some(answer) => (to, Some(answer)),
                    None => (to, self.deliver(to, Some(&sent.token[front.len()..]))),
                }
            }
            Move::CutAndWhole(octets) => {
                let front = front(octets)?.to_vec();
                let answer = self.deliver(to, Some(&front));
                (to, self.deliver(to, whole).or(answer))
            }
            Move::CutAndEmpty(octets) => {
                let front = front(octets)?.to_vec();
                let answer = self.deliver(to, Some(&front));
                (to, self.deliver(to, Some(b"")).or(answer))
            }
            Move::AskFirst => {
                let hints = self.deliver(to, Some(b""));
                if self.ends.is_over(to) {
                    return Some((to, hints));
                }
                (to, self.deliver(to, whole))
            }
        })
    }

    /// Give a token to an end that is not over, and take its answer.
    fn deliver(&mut self, to: Role, token: Option<&[u8]>) -> Option<Vec<u8>> {
        if self.ends.is_over(to) {
            self.say("    (nobody is listening)");
            self.outcome.unheard = true;
            return None;
        }
        self.outcome.deliveries += 1;
        let octets = token.map_or(0, <[u8]>::len);
        let received = match to {
            Role::Initiator => &mut self.received[0],
            Role::Acceptor => &mut self.received[1],
        };
        *received += octets;
        let answer = match to {
            Role::Initiator => turn(&mut self.ends.initiator, token, &mut self.config.initiator),
            Role::Acceptor => turn(&mut self.ends.acceptor, token, &mut self.config.acceptor),
        };
        self.check_step(to, token);
        if self.log.is_some() {
            let state = match (to, self.ends.is_over(to)) {
                (_, false) => "goes on",
                (Role::Initiator, true) if self.ends.initiator.is_none() => "refuses",
                (Role::Acceptor, true) if self.ends.acceptor.is_none() => "refuses",
                _ => "is established",
            };
            let arrived = token.map_or_else(|| "nothing".to_owned(), shown);
            self.say(&format!("    {} reads {arrived}: {state}", to.name()));
        }
        answer
    }

    /// What must hold after every step.
    fn check_step(&mut self, to: Role, token: Option<&[u8]>) {
        let rejects = |token: &[u8]| {
            let resp = NegTokenResp::decode(token).ok();
            resp.is_some_and(|resp| resp.neg_state == Some(NegState::Reject))
        };
        let refused = match to {
            Role::Initiator => self.ends.initiator.is_none(),
            Role::Acceptor => self.ends.acceptor.is_none(),
        };
        let is_whole = match to {
            Role::Initiator => self
                .ends
                .initiator
                .as_ref()
                .is_none_or(Conversation::is_whole),
            Role::Acceptor => self
                .ends
                .acceptor
                .as_ref()
                .is_none_or(Conversation::is_whole),
        };
        if token.is_some_and(rejects) && is_whole && !refused {
            self.outcome.wrong = Some(format!("the {} goes on after a reject", to.name()));
        }
        let received: usize = self.received.iter().sum();
        let held = memory::in_use().saturating_sub(self.at_start);
        if self.log.is_none() && held > HELD_BY_ITSELF + HELD_BY_OCTET * received {
            self.outcome.wrong = Some(format!("{held} octets are held after {received} arrived"));
        }
    }

    fn tell(&mut self, sent: &Sent, chosen: Option<Move>) {
        if self.log.is_some() {
            self.say(&format!("{} sends {}", sent.by.name(), shown(&sent.token)));
            if let Some(chosen) = chosen {
                self.say(&format!("  the attacker: {chosen:?}"));
            }
        }
    }

    fn say(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{line}");
        }
    }
}

/// Let one end take its turn. An answer is what it sends, be it a reject.
fn turn<R: Speaker<Mech = Context>>(
    end: &mut Option<Conversation<R>>,
    token: Option<&[u8]>,
    side: &mut Side,
) -> Option<Vec<u8>> {
    match end.take()?.step(token, side) {
        Ok((next, reply)) => {
            *end = Some(next);
            reply.token
        }
        Err(Failure { reject, .. }) => reject,
    }
}

impl Outcome {
    /// What is wrong with it, `honest` being how it goes without an attacker.
    pub(crate) fn violation(&self, config: &Config, honest: &Self) -> Option<String> {
        if let Some(wrong) = &self.wrong {
            return Some(wrong.clone());
        }
        let mech_of = |end: &End| match end {
            End::Established(plan) => Some(plan.mech),
            End::Open | End::Refused => None,
        };
        if let (Some(one), Some(other)) = (mech_of(&self.initiator), mech_of(&self.acceptor)) {
            if one != other {
                return Some(format!("the ends disagree: {one:?} and {other:?}"));
            }
        }
        let [sent, read] = &self.lists;
        let list_arrived = sent == read;
        if let End::Established(plan) = self.acceptor {
            let is_alone = mech_of(&self.initiator).is_none();
            let honest = mech_of(&honest.acceptor);
            if let Some(why) = config.acceptor_wrong(plan, honest, list_arrived, is_alone) {
                return Some(why);
            }
        }
        if let End::Established(plan) = self.initiator {
            let is_alone = mech_of(&self.acceptor).is_none();
            let honest = mech_of(&honest.initiator);
            if let Some(why) = config.initiator_wrong(plan, honest, list_arrived, is_alone) {
                return Some(why);
            }
        }
        None
    }
}

impl Outcome {
    /// What is wrong with how it went without an attacker: that both ends were established, by which
    /// mechanism, and with MICs or without, follows from the configuration where nothing fails later
    /// than at its beginning and no rule forbids anything.
    pub(crate) fn honest_violation(&self, config: &Config) -> Option<String> {
        let Expected { taken, mics } = config.expected()?;
        let wanted = End::Established(taken);
        let established = [self.initiator, self.acceptor].map(|end| match end {
            End::Established(plan) => plan.mech == taken.mech,
            End::Open | End::Refused => false,
        });
        if established != [true; 2] {
            return Some(format!(
                "an honest run does not end with {wanted:?} at both ends"
            ));
        }
        // An initiator is not told that the acceptor wanted what neither can give.
        let [of_initiator, of_acceptor] = self.mics;
        let is_untold = (of_initiator, mics) == (MicState::NotNeeded, MicState::Impossible);
        if of_acceptor != mics || (of_initiator != mics && !is_untold) {
            return Some(format!("an honest run does not end with MICs {mics:?}"));
        }
        self.unheard.then(|| "a token too many".to_owned())
    }
}

/// What an honest run comes to.
struct Expected {
    taken: Plan,
    mics: MicState,
}

impl Config {
    fn expected(&self) -> Option<Expected> {
        let [initiator, acceptor] = [&self.initiator, &self.acceptor];
        let is_free = |side: &Side| {
            let rules = Rules {
                optimistic_token: true,
                legacy_windows: false,
                ..side.rules
            };
            let is_simple = |plan: &Plan| !matches!(plan.fails, Fails::At(_));
            rules == Rules::default() && side.plans.iter().all(is_simple)
        };
        if !is_free(initiator) || !is_free(acceptor) {
            return None;
        }
        let usable = |side: &Side| -> Vec<Plan> {
            let plans = side.plans.iter();
            plans.filter(|plan| !plan.is_unusable()).copied().collect()
        };
        let (offered, accepted) = (usable(initiator), usable(acceptor));
        let (first, second) = match acceptor.prefers {
            true => (&accepted, &offered),
            false => (&offered, &accepted),
        };
        let is_in = |list: &[Plan], mech: Oid| list.iter().any(|plan| plan.mech == mech);
        let taken = *first.iter().find(|plan| is_in(second, plan.mech))?;
        let is_first = |list: &[Plan]| list[0].mech == taken.mech;
        let is_contested = !is_first(&offered) || (acceptor.prefers && !is_first(&accepted));
        let is_asked_for = is_contested || taken.demands_mic;
        let mics = match (is_asked_for, taken.integrity) {
            (false, _) => MicState::NotNeeded,
            (true, true) => MicState::Verified,
            (true, false) => MicState::Impossible,
        };
        // Whom nothing has to prove NTLM asks for no proof of it.
        let is_trusting = initiator.rules.legacy_windows && taken.mech == NTLMSSP;
        (!is_trusting).then_some(Expected { taken, mics })
    }

    /// What an acceptor that is established must not be.
    fn acceptor_wrong(
        &self,
        taken: Plan,
        honest: Option<Oid>,
        list_arrived: bool,
        is_alone: bool,
    ) -> Option<String> {
        let side = &self.acceptor;
        let mut before = side.order.iter().take_while(|mech| **mech != taken.mech);
        let gives_up_krb5 = before.clone().any(Oid::is_krb5);
        let gives_up = gives_up_krb5 || (side.prefers && before.next().is_some());
        let rules = &side.rules;
        let strict = rules.require.mic
            || (rules.downgrade == Downgrade::Refuse && gives_up)
            || (!rules.kerberos_fallback && gives_up_krb5);
        if strict && !list_arrived {
            return Some(format!(
                "the acceptor takes {:?} from an altered list against its rules",
                taken.mech
            ));
        }
        if !rules.kerberos_fallback && gives_up_krb5 && honest != Some(taken.mech) {
            return Some(format!(
                "the acceptor takes {:?} where an honest run gives {honest:?} against its rules",
                taken.mech
            ));
        }
        if !taken.integrity || list_arrived || honest == Some(taken.mech) {
            return None;
        }
        // An acceptor without an order believes the list about what comes first, and is deceived
        // alone: the initiator does not follow, unless it is told to follow anybody.
        let deceived = !side.prefers && (is_alone || self.trusts_anybody(taken));
        (!deceived).then(|| {
            format!(
                "the acceptor takes {:?} from an altered list where an honest run gives {honest:?}",
                taken.mech
            )
        })
    }

    /// What an initiator that is established must not be.
    fn initiator_wrong(
        &self,
        taken: Plan,
        honest: Option<Oid>,
        list_arrived: bool,
        is_alone: bool,
    ) -> Option<String> {
        let side = &self.initiator;
        let rules = &side.rules;
        let usable = side.plans.iter().filter(|plan| !plan.is_unusable());
        let mut before = usable.take_while(|plan| plan.mech != taken.mech);
        let gives_up_krb5 = before.clone().any(|plan| plan.mech.is_krb5());
        let is_first = before.next().is_none();
        if !rules.kerberos_fallback && gives_up_krb5 {
            return Some("the initiator takes another than Kerberos against its rules".to_owned());
        }
        let strict = rules.require.mic || (rules.downgrade == Downgrade::Refuse && !is_first);
        if strict && !list_arrived {
            return Some(format!(
                "the initiator takes {:?} though its list was altered, against its rules",
                taken.mech
            ));
        }
        if !taken.integrity || list_arrived || honest == Some(taken.mech) {
            return None;
        }
        // RFC 4178 section 7: at worst, it completes with its preferred mechanism, and then alone,
        // since the acceptor's MIC was taken away.
        let at_worst = is_first && is_alone;
        (!at_worst && !self.trusts_anybody(taken)).then(|| {
            format!(
                "the initiator takes {:?} with an altered list where an honest run gives {honest:?}",
                taken.mech
            )
        })
    }

    /// `legacy_windows` says that nothing has to protect an acceptor's choice of NTLM.
    fn trusts_anybody(&self, taken: Plan) -> bool {
        self.initiator.rules.legacy_windows && taken.mech == NTLMSSP
    }

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

/// Over twice the messages of the longest negotiation of the model, with somebody who adds some.
const LONGEST: usize = 24;
/// What two ends and an attacker of the model hold when nothing has arrived yet, generously.
const HELD_BY_ITSELF: usize = 16_384;
/// A message is held as it arrived, its list is copied, and so is what the attacker and the test keep of
/// it.
const HELD_BY_OCTET: usize = 8;

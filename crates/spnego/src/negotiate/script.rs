//! Mechanisms that follow a script, and a conversation of both roles over them: what the tests
//! and the fuzzers negotiate.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::{Cause, Error, Failure, MechError, major};
use crate::negotiate::{Acceptor, Initiator, Mech, Mechs, Record, Reply, Step};
use crate::oid::Oid;
use crate::policy::Rules;
use crate::role::Role;

/// What one mechanism does.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its identifier.
    pub mech: Oid,
    /// How many tokens it exchanges, both sides together.
    pub tokens: u8,
    /// Whether its context can sign.
    pub integrity: bool,
    /// Whether it wants the mechListMIC exchange.
    pub demands_mic: bool,
    /// The number of a token that is empty, the first being 0.
    pub empty_token: Option<u8>,
    /// The number of the token that it fails to make or to take, and how.
    pub fails: Option<(u8, Cause)>,
}

impl Script {
    /// A mechanism of `tokens` tokens that signs and works.
    pub fn new(mech: Oid, tokens: u8) -> Self {
        Self {
            mech,
            tokens,
            integrity: true,
            demands_mic: false,
            empty_token: None,
            fails: None,
        }
    }

    /// The same, failing at this token.
    #[must_use]
    pub fn failing(self, token: u8, cause: Cause) -> Self {
        Self {
            fails: Some((token, cause)),
            ..self
        }
    }

    /// Its token of this number.
    pub fn token(&self, number: u8) -> Vec<u8> {
        if self.empty_token == Some(number) {
            return Vec::new();
        }
        format!("{} token {number}", self.mech).into_bytes()
    }

    /// The token by which it tells its peer that it failed.
    pub fn error_token(&self) -> Vec<u8> {
        format!("{} error", self.mech).into_bytes()
    }

    fn error(&self, cause: Cause, reason: &str) -> MechError {
        MechError {
            mech: self.mech,
            major: match cause {
                Cause::Unusable | Cause::NotConfigured => major::NO_CRED,
                Cause::Refused => major::FAILURE,
            },
            cause,
            reason: reason.to_owned(),
            token: (cause == Cause::Refused).then(|| self.error_token()),
        }
    }
}

/// What was asked of the mechanisms, in order.
pub type Log = Rc<RefCell<Vec<String>>>;

/// A scripted mechanism's context.
#[derive(Debug)]
pub struct Scripted {
    script: Script,
    role: Role,
    next: u8,
    log: Log,
}

impl Scripted {
    /// The mechanism.
    pub fn mech(&self) -> Oid {
        self.script.mech
    }

    fn fail_at(&self, number: u8) -> Result<(), MechError> {
        match self.script.fails {
            Some((token, cause)) if token == number => {
                Err(self.script.error(cause, "the script says so"))
            }
            _ => Ok(()),
        }
    }

    fn say(&mut self) -> Result<Step<Vec<u8>>, MechError> {
        self.fail_at(self.next)?;
        let token = self.script.token(self.next);
        self.next = self.next.saturating_add(1);
        if self.next >= self.script.tokens {
            return Ok(Step::Done(Some(token)));
        }
        Ok(Step::Continue(token))
    }

    fn hear(&mut self, token: &[u8]) -> Result<Step<Vec<u8>>, MechError> {
        self.fail_at(self.next)?;
        if token == self.script.error_token() {
            return Err(self
                .script
                .error(Cause::Refused, "the peer's mechanism failed"));
        }
        if token != self.script.token(self.next) {
            return Err(self
                .script
                .error(Cause::Refused, "not the token that comes next"));
        }
        self.next = self.next.saturating_add(1);
        if self.next >= self.script.tokens {
            return Ok(Step::Done(None));
        }
        self.say()
    }

    /// A keyed digest enough to tell alterations in a test: FNV-1a.
    fn mic(&self, sender: Role, message: &[u8]) -> [u8; 8] {
        let key = [u8::from(sender == Role::Initiator)];
        let octets = self.script.mech.content().iter().chain(&key).chain(message);
        octets
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, octet| {
                (digest ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
            })
            .to_be_bytes()
    }
}

impl Mech for Scripted {
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechError> {
        self.log
            .borrow_mut()
            .push(format!("sign {:?}", self.mech()));
        Ok(self.mic(self.role, message).to_vec())
    }

    fn verify(&mut self, message: &[u8], mic: &[u8]) -> Result<(), MechError> {
        self.log
            .borrow_mut()
            .push(format!("verify {:?}", self.mech()));
        if mic == self.mic(self.role.peer(), message) {
            return Ok(());
        }
        Err(self.script.error(Cause::Refused, "invalid signature"))
    }

    fn integrity(&self) -> bool {
        self.script.integrity
    }

    fn demands_mic(&mut self) -> bool {
        self.script.demands_mic
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.log
            .borrow_mut()
            .push(format!("drop {:?}", self.mech()));
    }
}

/// One side's mechanisms.
#[derive(Clone, Debug)]
pub struct Side {
    /// Which side.
    pub role: Role,
    /// What it has, best first.
    pub scripts: Vec<Script>,
    /// Whether that order is a preference.
    pub prefers: bool,
    /// The rules in force.
    pub rules: Rules,
    /// What has been asked of it.
    pub log: Log,
    /// What its negotiation has come to.
    pub record: Record,
}

impl Side {
    /// A side with these mechanisms.
    pub fn new(role: Role, scripts: impl Into<Vec<Script>>) -> Self {
        Self {
            role,
            scripts: scripts.into(),
            prefers: false,
            rules: Rules::default(),
            log: Log::default(),
            record: Record::default(),
        }
    }

    fn script(&self, mech: &Oid) -> Result<Script, MechError> {
        let known = self.scripts.iter().find(|script| script.mech == *mech);
        known.cloned().ok_or_else(|| MechError {
            mech: *mech,
            major: major::BAD_MECH,
            cause: Cause::Unusable,
            reason: "not a candidate".to_owned(),
            token: None,
        })
    }
}

impl Mechs for Side {
    type Mech = Scripted;
    type Token = Vec<u8>;

    fn candidates(&mut self) -> std::sync::Arc<[Oid]> {
        self.scripts.iter().map(|script| script.mech).collect()
    }

    fn prefers(&self) -> bool {
        self.prefers
    }

    fn vouch(&mut self, mech: &Oid) -> Result<(), MechError> {
        self.log.borrow_mut().push(format!("vouch {mech:?}"));
        let script = self.script(mech)?;
        match script.fails {
            Some((0, Cause::Unusable)) => {
                Err(script.error(Cause::Unusable, "no credential for it"))
            }
            _ => Ok(()),
        }
    }

    fn start(
        &mut self,
        mech: &Oid,
        token: Option<&[u8]>,
    ) -> Result<(Scripted, Step<Vec<u8>>), MechError> {
        self.log.borrow_mut().push(format!("start {mech:?}"));
        let mut begun = Scripted {
            script: self.script(mech)?,
            role: self.role,
            next: 0,
            log: Rc::clone(&self.log),
        };
        let step = match token {
            None => begun.say()?,
            Some(token) => begun.hear(token)?,
        };
        Ok((begun, step))
    }

    fn step(&mut self, mech: &mut Scripted, token: &[u8]) -> Result<Step<Vec<u8>>, MechError> {
        self.log
            .borrow_mut()
            .push(format!("step {:?}", mech.mech()));
        mech.hear(token)
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn record(&mut self) -> &mut Record {
        &mut self.record
    }
}

/// How a conversation ended for one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this mechanism.
    Established(Oid),
    /// It waits for a token that will not come.
    Open,
    /// With this error.
    Failed(Error),
}

/// How a conversation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The initiator's end.
    pub initiator: End,
    /// The acceptor's end.
    pub acceptor: End,
    /// Every token, in order, as it was sent.
    pub tokens: Vec<Vec<u8>>,
}

/// Let both sides talk until neither has more to say. `meddle` sees the number of each token,
/// the first being 0, and the token, and says what arrives.
pub fn converse(
    initiators: &mut Side,
    acceptors: &mut Side,
    mut meddle: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
) -> Outcome {
    let mut initiator = Ok(Initiator::Start);
    let mut acceptor = Ok(Acceptor::Start);
    let mut tokens = Vec::new();
    let mut carry = |sent: Vec<u8>| {
        let arrives = meddle(tokens.len(), sent.clone());
        tokens.push(sent);
        (tokens.len() < LONGEST).then_some(arrives)
    };
    let mut sent;
    let mut arrived = None;
    loop {
        (initiator, sent) = turn(initiator, Initiator::is_established, |state| {
            state.step(arrived.as_deref(), initiators)
        });
        let Some(token) = sent.and_then(&mut carry) else {
            break;
        };
        (acceptor, sent) = turn(acceptor, Acceptor::is_established, |state| {
            state.step(&token, acceptors)
        });
        arrived = sent.and_then(&mut carry);
        if arrived.is_none() {
            break;
        }
    }
    Outcome {
        initiator: end(initiator.map(Initiator::into_established)),
        acceptor: end(acceptor.map(Acceptor::into_established)),
        tokens,
    }
}

/// Let one side take its turn, if it is not over for it.
fn turn<S>(
    state: Result<S, Error>,
    is_over: impl FnOnce(&S) -> bool,
    step: impl FnOnce(S) -> Result<(S, Reply), Failure>,
) -> (Result<S, Error>, Option<Vec<u8>>) {
    match state {
        Ok(state) if !is_over(&state) => match step(state) {
            Ok((state, reply)) => (Ok(state), reply.token),
            Err(failure) => (Err(failure.error), failure.reject),
        },
        over => (over, None),
    }
}

fn end(state: Result<Option<Scripted>, Error>) -> End {
    match state {
        Ok(Some(mech)) => End::Established(mech.mech()),
        Ok(None) => End::Open,
        Err(error) => End::Failed(error),
    }
}

/// Over twice the tokens of the longest script in use: a conversation that goes on is a defect.
const LONGEST: usize = 24;

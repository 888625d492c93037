//! Mechanisms that are nothing but their rules, and cost nothing: a token is five octets, and both the
//! tokens behind the first and the MICs are good in one session only. Who has no key cannot make one.

use std::sync::Arc;

use spnego::error::{Cause, MechError, major};
use spnego::negotiate::{Mech, Mechs, Record, Step};
use spnego::oid::Oid;
use spnego::policy::Rules;
use spnego::role::Role;

/// What one mechanism does at one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) mech: Oid,
    /// How many tokens it exchanges, both sides together.
    pub(crate) tokens: u8,
    pub(crate) integrity: bool,
    pub(crate) demands_mic: bool,
    pub(crate) fails: Fails,
}

impl Plan {
    pub(crate) fn is_unusable(&self) -> bool {
        self.fails == Fails::Unusable
    }
}

/// Where a mechanism fails at one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fails {
    Never,
    /// There is no credential for it.
    Unusable,
    /// It makes or takes no token of this number.
    At(u8),
}

/// One side: its mechanisms, best first, and the rules that it goes by.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) role: Role,
    pub(crate) plans: Vec<Plan>,
    pub(crate) order: Arc<[Oid]>,
    pub(crate) prefers: bool,
    pub(crate) rules: Rules,
    /// What is this side's own in the tokens of this session.
    pub(crate) nonce: u8,
    pub(crate) record: Record,
}

impl Side {
    pub(crate) fn new(role: Role, plans: Vec<Plan>, rules: Rules, nonce: u8) -> Self {
        Self {
            role,
            order: plans.iter().map(|plan| plan.mech).collect(),
            plans,
            prefers: false,
            rules,
            nonce,
            record: Record::default(),
        }
    }

    fn plan(&self, mech: &Oid) -> Plan {
        let known = self.plans.iter().find(|plan| plan.mech == *mech);
        *known.expect("one of the candidates")
    }
}

/// One context of a mechanism.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) plan: Plan,
    role: Role,
    next: u8,
    /// The initiator's and the acceptor's.
    nonces: [u8; 2],
}

impl Context {
    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.plan.tokens
    }

    fn say(&mut self) -> Result<Step<Token>, MechError> {
        self.fail_at(self.next)?;
        let token = token(&self.plan.mech, self.next, self.nonces);
        self.next += 1;
        if self.is_done() {
            return Ok(Step::Done(Some(token)));
        }
        Ok(Step::Continue(token))
    }

    fn hear(&mut self, token: &[u8]) -> Result<Step<Token>, MechError> {
        let [mech, number, initiator, acceptor, CHECK] = *token else {
            return Err(error(self.plan.mech, Cause::Refused));
        };
        if self.next == 0 && mech == tag(&self.plan.mech) && initiator == FOREIGN {
            return Err(error(self.plan.mech, Cause::Unusable));
        }
        self.fail_at(self.next)?;
        let [mine_i, mine_a] = self.nonces;
        let is_known = match self.next {
            0 => acceptor == 0,
            1 => initiator == mine_i,
            _ => [initiator, acceptor] == [mine_i, mine_a],
        };
        if mech != tag(&self.plan.mech) || number != self.next || !is_known {
            return Err(error(self.plan.mech, Cause::Refused));
        }
        match self.next {
            0 => self.nonces = [initiator, mine_a],
            1 => self.nonces = [mine_i, acceptor],
            _ => {}
        }
        self.next += 1;
        if self.is_done() {
            return Ok(Step::Done(None));
        }
        self.say()
    }

    fn fail_at(&self, number: u8) -> Result<(), MechError> {
        match self.plan.fails {
            Fails::Unusable if number == 0 => Err(error(self.plan.mech, Cause::Unusable)),
            Fails::At(at) if number == at => Err(error(self.plan.mech, Cause::Refused)),
            _ => Ok(()),
        }
    }

    /// A mechanism is asked for MICs when it is done and can make them, and not before.
    fn mic(&self, sender: Role, message: &[u8]) -> [u8; 8] {
        assert!(
            self.plan.integrity && self.is_done(),
            "no MIC can be made yet"
        );
        // Before the acceptor's first token its part is not known to both.
        let [initiator, acceptor] = match self.plan.tokens {
            1 => [self.nonces[0], 0],
            _ => self.nonces,
        };
        let key = [
            tag(&self.plan.mech),
            u8::from(sender == Role::Initiator),
            initiator,
            acceptor,
        ];
        // FNV-1a.
        let octets = key.iter().chain(message);
        octets
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, octet| {
                (digest ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
            })
            .to_be_bytes()
    }
}

impl Mech for Context {
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechError> {
        Ok(self.mic(self.role, message).to_vec())
    }

    fn verify(&mut self, message: &[u8], mic: &[u8]) -> Result<(), MechError> {
        if mic == self.mic(self.role.peer(), message) {
            return Ok(());
        }
        Err(error(self.plan.mech, Cause::Refused))
    }

    fn integrity(&self) -> bool {
        self.plan.integrity
    }

    fn demands_mic(&mut self) -> bool {
        self.plan.demands_mic
    }
}

impl Mechs for Side {
    type Mech = Context;
    type Token = Token;

    fn candidates(&mut self) -> Arc<[Oid]> {
        Arc::clone(&self.order)
    }

    fn prefers(&self) -> bool {
        self.prefers
    }

    fn vouch(&mut self, mech: &Oid) -> Result<(), MechError> {
        match self.plan(mech).fails {
            Fails::Unusable => Err(error(*mech, Cause::Unusable)),
            Fails::Never | Fails::At(_) => Ok(()),
        }
    }

    fn start(
        &mut self,
        mech: &Oid,
        token: Option<&[u8]>,
    ) -> Result<(Context, Step<Token>), MechError> {
        let mut begun = Context {
            plan: self.plan(mech),
            role: self.role,
            next: 0,
            nonces: match self.role {
                Role::Initiator => [self.nonce, 0],
                Role::Acceptor => [0, self.nonce],
            },
        };
        let step = match token {
            None => begun.say()?,
            Some(token) => begun.hear(token)?,
        };
        Ok((begun, step))
    }

    fn step(&mut self, mech: &mut Context, token: &[u8]) -> Result<Step<Token>, MechError> {
        mech.hear(token)
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn record(&mut self) -> &mut Record {
        &mut self.record
    }
}

/// A mechanism's token: itself, its number, what is the initiator's and the acceptor's own, and an octet
/// that tells a token from one that was cut.
pub(crate) type Token = [u8; 5];

pub(crate) fn token(mech: &Oid, number: u8, nonces: [u8; 2]) -> Token {
    let [initiator, acceptor] = nonces;
    let acceptor = if number == 0 { 0 } else { acceptor };
    [tag(mech), number, initiator, acceptor, CHECK]
}

fn error(mech: Oid, cause: Cause) -> MechError {
    MechError {
        mech,
        major: match cause {
            Cause::Unusable | Cause::NotConfigured => major::NO_CRED,
            Cause::Refused => major::FAILURE,
        },
        cause,
        reason: String::new(),
        token: (cause == Cause::Refused).then(|| vec![tag(&mech), ERROR]),
    }
}

/// An octet that names a mechanism, and begins no token of a known form.
fn tag(mech: &Oid) -> u8 {
    let last = mech.content().last().copied().unwrap_or_default();
    0x80 | last
}

/// The part of an initiator that the acceptor has no key for.
pub(crate) const FOREIGN: u8 = 99;
const CHECK: u8 = 0x5a;
/// By which a mechanism tells its peer that it failed.
const ERROR: u8 = 0xee;

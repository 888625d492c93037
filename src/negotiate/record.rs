//! What a negotiation has come to, kept with its context from the first token on: small, since every
//! context carries one; what it tells is what its trace and its inquiries tell.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Failure, MechError};
use crate::negotiate::Reply;
use crate::oid::{self, Oid};
use crate::policy::Role;
use crate::trace;
use crate::trace::{By, Context, Scope, Sums};
use crate::wire::spnego::MechList;

/// What a negotiation has come to.
#[derive(Clone, Debug, Default)]
pub struct Record {
    list: Option<MechList<'static>>,
    dropped: Vec<MechError>,
    rule: Option<Arc<str>>,
    traced: Option<Box<Traced>>,
    received: u32,
    sent: u32,
    rounds: u32,
    mic: MicState,
    chosen: bool,
}

/// How far the protection of the list of mechanisms has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MicState {
    /// Nobody has asked for it: both sides prefer the mechanism.
    #[default]
    NotNeeded,
    /// Each side has to send a mechListMIC.
    Required,
    /// Ours has been sent, the peer's is still to come.
    Sent,
    /// The peer's has been verified, and ours has been sent.
    Verified,
    /// It was asked for, and the mechanism has no integrity to give it.
    Impossible,
    /// The peer's did not verify, or did not come.
    Failed,
}

impl MicState {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotNeeded => "not needed",
            Self::Required => "required",
            Self::Sent => "sent",
            Self::Verified => "verified",
            Self::Impossible => "impossible",
            Self::Failed => "failed",
        }
    }
}

/// What only a context that is traced has.
#[derive(Clone, Debug)]
struct Traced {
    context: Context,
    began: Instant,
}

impl Record {
    /// The mechanisms of the initiator's list in its order; none before one was sent or received.
    /// An identifier too long for any mechanism known here is left out.
    pub fn offered(&self) -> impl Iterator<Item = Oid> {
        let entries = self.list.iter().flat_map(MechList::iter);
        entries.flatten().take(MOST_TOLD)
    }

    /// The mechanisms that were dropped on the way, in that order, and why.
    pub fn dropped(&self) -> &[MechError] {
        &self.dropped
    }

    /// Whether both sides have agreed on a mechanism, be it established or not.
    pub fn is_chosen(&self) -> bool {
        self.chosen
    }

    /// How far the protection of the list has come.
    pub fn mic(&self) -> MicState {
        self.mic
    }

    /// The name of the rule of the configuration that is in force.
    pub fn rule(&self) -> &str {
        self.rule.as_deref().unwrap_or(NO_RULE)
    }

    /// Take down which rule of the configuration is in force.
    pub fn set_rule(&mut self, rule: Arc<str>) {
        self.rule = Some(rule);
    }

    /// Which side it is, when it is traced.
    pub fn role(&self) -> Option<Role> {
        self.traced.as_ref().map(|traced| traced.context.role)
    }

    /// Calls and octets so far, and the time when it is traced.
    pub fn sums(&self) -> Sums {
        let began = self.traced.as_ref().map(|traced| traced.began.elapsed());
        let micros = began.map(|since| since.as_micros()).unwrap_or_default();
        Sums {
            rounds: self.rounds,
            received: self.received.into(),
            sent: self.sent.into(),
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
        }
    }

    /// While the scope lives, what this thread traces is of this context.
    #[inline]
    pub fn scope(&mut self, role: Role) -> Scope {
        if trace::on() {
            self.traced_scope(role)
        } else {
            Scope::of(None)
        }
    }

    #[cold]
    fn traced_scope(&mut self, role: Role) -> Scope {
        let traced = self.traced.get_or_insert_with(|| {
            Box::new(Traced {
                context: Context::next(role),
                began: Instant::now(),
            })
        });
        Scope::of(Some(traced.context))
    }

    /// A call begins with what arrived.
    #[inline]
    pub(super) fn arrives(&mut self, token: &[u8]) {
        self.rounds = self.rounds.saturating_add(1);
        self.received = self.received.saturating_add(octets(token));
    }

    /// A call ends with what leaves.
    #[inline]
    pub(super) fn leaves<T>(&mut self, stepped: &Result<(T, Reply), Failure>) {
        let token = match stepped {
            Ok((_, reply)) => {
                if reply.complete {
                    self.close();
                }
                reply.token.as_deref()
            }
            Err(failure) => failure.reject.as_deref(),
        };
        self.sent = self.sent.saturating_add(octets(token.unwrap_or_default()));
    }

    /// The initiator's list, which is what the mechListMIC covers.
    ///
    /// # Errors
    /// `Internal` when none was kept yet.
    pub(super) fn list(&self) -> Result<&MechList<'static>, Error> {
        self.list.as_ref().ok_or_else(no_list)
    }

    /// Keep the initiator's list, in its octets.
    pub(super) fn keep(&mut self, list: MechList<'static>) {
        self.list = Some(list);
    }

    /// The negotiation is over: no MIC needs the list's octets any more, so of a peer's list of
    /// thousands only the beginning is kept.
    #[inline]
    fn close(&mut self) {
        if let Some(list) = &mut self.list
            && list.der().len() > LONGEST_KEPT
        {
            *list = MechList::encode(&list.known(MOST_TOLD));
        }
    }

    /// A mechanism cannot be used.
    #[cold]
    pub(super) fn drops(&mut self, error: MechError) {
        trace!(Dropped {
            mech: &error.mech,
            reason: &error.reason,
        });
        // As many as are configured here; the bound is against a list of thousands all the same.
        if self.dropped.len() < MOST_TOLD {
            self.dropped.push(error);
        }
    }

    /// A mechanism is taken. When Kerberos was dropped for another, that is a downgrade.
    #[inline]
    pub(super) fn chooses(&mut self, by: By, mech: &Oid, reason: &'static str) {
        self.chosen = true;
        trace!(Chosen { by, mech, reason });
        if !self.dropped.is_empty() && !mech.is_krb5() {
            self.tell_fallback(mech);
        }
    }

    #[cold]
    fn tell_fallback(&self, mech: &Oid) {
        if let Some(error) = self.fallback() {
            trace!(Downgraded {
                mech,
                from: &error.mech,
                reason: &error.reason,
            });
        }
    }

    /// Why Kerberos was not taken, when it was there to be taken and could not be used.
    pub fn fallback(&self) -> Option<&MechError> {
        self.dropped.iter().find(|error| error.mech.is_krb5())
    }

    /// The MICs have come further.
    #[inline]
    pub(super) fn set_mic(&mut self, mic: MicState) {
        self.mic = mic;
    }

    /// A choice stands without protection that should have had it.
    #[cold]
    pub(super) fn unprotected(&self, mech: &Oid, reason: &str) {
        let first = self.list.as_ref().and_then(MechList::first);
        trace!(Downgraded {
            mech,
            from: &first.unwrap_or(oid::SPNEGO),
            reason,
        });
    }
}

fn octets(token: &[u8]) -> u32 {
    u32::try_from(token.len()).unwrap_or(u32::MAX)
}

/// What is told when the configuration has no rules, or none of them is in force.
const NO_RULE: &str = "default";

#[cold]
fn no_list() -> Error {
    Error::Internal("a negotiation has no list of mechanisms")
}

/// Octets of a list that is kept as it is after the negotiation; what real programs offer has less.
const LONGEST_KEPT: usize = 256;

/// How many mechanisms are told of: more than anyone has, and a bound on what a peer's list can cost.
pub(super) const MOST_TOLD: usize = 32;

//! What a negotiation has come to, kept with its context from the first token on: small, since every
//! context carries one; what it tells is what its trace and its inquiries tell.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Failure, MechError};
use crate::negotiate::Reply;
use crate::oid::{self, Oid};
use crate::policy::NO_RULE;
use crate::role::Role;
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
    /// The record of a negotiation that another process has begun; what it cost there is not told.
    pub(super) fn carried(list: MechList<'static>, mic: MicState, chosen: bool) -> Self {
        Self {
            list: Some(list),
            mic,
            chosen,
            ..Self::default()
        }
    }

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

    /// A call of a mechanism that is used without a negotiation.
    pub fn counts(&mut self, received: &[u8], sent: &[u8]) {
        self.arrives(received);
        self.sent = self.sent.saturating_add(octets(sent));
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
        let Some(list) = &mut self.list else { return };
        if list.der().len() > LONGEST_KEPT {
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
            // One, if any: room for more would stay with the context.
            self.dropped.reserve_exact(1);
            self.dropped.push(error);
        }
    }

    /// A mechanism is taken.
    #[inline]
    pub(super) fn chooses(&mut self, by: By, mech: &Oid, reason: &'static str) {
        self.chosen = true;
        trace!(Chosen { by, mech, reason });
    }

    /// Kerberos may have been dropped for the mechanism that is taken: a downgrade, if `candidates`,
    /// which are in this side's order, have it before that.
    #[cold]
    pub(super) fn tell_fallback(&self, mech: &Oid, candidates: &[Oid]) {
        if let Some(error) = self.fallback(mech, candidates) {
            trace!(Downgraded {
                mech,
                from: &error.mech,
                reason: &error.reason,
            });
        }
    }

    fn fallback(&self, mech: &Oid, candidates: &[Oid]) -> Option<&MechError> {
        let better = candidates
            .iter()
            .take_while(|better| !better.same_mech(mech));
        if mech.is_krb5() || !better.into_iter().any(Oid::is_krb5) {
            return None;
        }
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

#[cold]
fn no_list() -> Error {
    Error::Internal("a negotiation has no list of mechanisms")
}

/// Octets of a list that is kept as it is after the negotiation; what real programs offer has less.
const LONGEST_KEPT: usize = 256;

/// How many mechanisms are told of: more than anyone has, and a bound on what a peer's list can cost.
pub(super) const MOST_TOLD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;
    use crate::negotiate::conversation::Conversation;
    use crate::negotiate::script::{Script, Side, converse};
    use crate::negotiate::{Acceptor, Initiator};
    use crate::oid::{IAKERB, KRB5, NTLMSSP};
    use crate::wire::spnego::NegTokenInit;

    #[test]
    fn a_plain_negotiation_is_recorded_at_both_ends() {
        let mut initiators = Side::new(Role::Initiator, [Script::new(KRB5, 2)]);
        let mut acceptors = Side::new(Role::Acceptor, [Script::new(KRB5, 2)]);
        let (initiator, offer) = Conversation::new(Initiator::default())
            .step(None, &mut initiators)
            .unwrap();
        let offer = offer.token.unwrap();
        assert!(!initiators.record.is_chosen());
        let (_, answer) = Conversation::new(Acceptor::default())
            .step(Some(&offer), &mut acceptors)
            .unwrap();
        let answer = answer.token.unwrap();
        initiator.step(Some(&answer), &mut initiators).unwrap();
        for (record, rounds, received, sent) in [
            (&initiators.record, 2, &answer, &offer),
            (&acceptors.record, 1, &offer, &answer),
        ] {
            assert!(record.is_chosen());
            assert_eq!(record.mic(), MicState::NotNeeded);
            assert!(record.offered().eq([KRB5]) && record.dropped().is_empty());
            let octets = |token: &[u8]| u64::try_from(token.len()).unwrap();
            let expected = Sums {
                rounds,
                received: octets(received),
                sent: octets(sent),
                micros: 0,
            };
            assert_eq!(record.sums(), expected);
            assert_eq!(record.rule(), "default");
        }
    }

    #[test]
    fn kerberos_that_cannot_be_used_is_a_fallback_with_its_reason() {
        let scripts = [
            Script::new(IAKERB, 2).failing(0, Cause::Unusable),
            Script::new(KRB5, 2).failing(0, Cause::Unusable),
            Script::new(NTLMSSP, 3),
        ];
        let mut initiators = Side::new(Role::Initiator, scripts.clone());
        let mut acceptors = Side::new(Role::Acceptor, scripts);
        converse(&mut initiators, &mut acceptors, |_, token| token);
        let record = &initiators.record;
        let dropped: Vec<_> = record.dropped().iter().map(|error| error.mech).collect();
        assert_eq!(dropped, [IAKERB, KRB5]);
        let fallback = record.fallback(&NTLMSSP, &[IAKERB, KRB5, NTLMSSP]);
        assert_eq!(fallback.unwrap().reason, "the script says so");
        assert!(record.offered().eq([NTLMSSP]));
        let at_the_acceptor = acceptors.record.fallback(&NTLMSSP, &[KRB5, NTLMSSP]);
        assert_eq!(at_the_acceptor, None);
    }

    #[test]
    fn kerberos_that_was_dropped_behind_what_was_taken_is_no_fallback() {
        let scripts = [
            Script::new(NTLMSSP, 3),
            Script::new(KRB5, 2).failing(0, Cause::Unusable),
            Script::new(IAKERB, 2),
        ];
        let mut initiators = Side::new(Role::Initiator, scripts.clone());
        let mut acceptors = Side::new(Role::Acceptor, scripts);
        converse(&mut initiators, &mut acceptors, |_, token| token);
        let record = &initiators.record;
        let order = [NTLMSSP, KRB5, IAKERB];
        assert_eq!(record.dropped().len(), 1);
        assert_eq!(record.fallback(&NTLMSSP, &order), None);
        assert!(record.fallback(&IAKERB, &order).is_some());
        assert_eq!(record.fallback(&KRB5, &order), None);
    }

    #[test]
    fn protection_of_the_list_is_recorded_as_far_as_it_has_come() {
        let run = |integrity, meddle: fn(usize, Vec<u8>) -> Vec<u8>| {
            let second = Script {
                integrity,
                ..Script::new(NTLMSSP, 3)
            };
            let both = [Script::new(KRB5, 2), second.clone()];
            let mut initiators = Side::new(Role::Initiator, both);
            let mut acceptors = Side::new(Role::Acceptor, [second]);
            converse(&mut initiators, &mut acceptors, meddle);
            [initiators.record.mic(), acceptors.record.mic()]
        };
        let honest = |_, token| token;
        assert_eq!(run(true, honest), [MicState::Verified; 2]);
        assert_eq!(run(false, honest), [MicState::Impossible; 2]);
        let altered = |number, mut token: Vec<u8>| {
            if number == 4 {
                *token.last_mut().unwrap() ^= 1;
            }
            token
        };
        assert_eq!(run(true, altered), [MicState::Sent, MicState::Failed]);
    }

    #[test]
    fn a_list_of_thousands_is_cut_when_no_mic_needs_it_any_more() {
        let script = Script::new(KRB5, 2);
        let mut mechs = vec![KRB5];
        mechs.resize(3000, IAKERB);
        let token = NegTokenInit {
            mech_types: MechList::encode(&mechs),
            mech_token: Some(&script.token(0)),
            mech_list_mic: None,
        }
        .encode();
        let mut side = Side::new(Role::Acceptor, [script]);
        let begun = Conversation::new(Acceptor::default());
        let (_, reply) = begun.step(Some(&token), &mut side).unwrap();
        assert!(reply.complete);
        assert_eq!(side.record.offered().count(), MOST_TOLD);
        assert!(side.record.list().unwrap().der().len() < 600);
    }
}

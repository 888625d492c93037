//! A negotiation under way, in either role: the mechanism taken, and how far it has come.
#![forbid(unsafe_code)]

use std::mem;

use crate::advice::{Trouble, advised};
use crate::error::{Error, Failure, MechError, Misbehaviour};
use crate::negotiate::mic::{Mic, Turn, Verdict};
use crate::negotiate::{Mech, Mechs, MicState, Record, Step, silent};
use crate::oid::{self, Oid};
use crate::policy::{Downgrade, Rules, Setting};
use crate::trace;

/// A negotiation between its first token and its last.
#[derive(Debug)]
pub struct Running<M> {
    /// The mechanism taken, or the one whose token went with the offer: as the list names it.
    pub(super) offered: Oid,
    /// The same, as this side's candidates name it.
    pub(super) mech: Oid,
    pub(super) context: Context<M>,
    pub(super) mic: Mic,
    /// The mechanism that this side prefers to the one taken.
    pub(super) given_up: Option<Box<Oid>>,
}

/// How far the mechanism has come.
#[derive(Debug)]
pub(super) enum Context<M> {
    /// Named, not begun.
    Unstarted,
    /// It waits for a token of the peer.
    Waiting(M),
    /// It is established.
    Established(M),
}

impl<M: Mech> Running<M> {
    /// Run the mechanism's next leg, or its first. What comes back has to go to the peer.
    ///
    /// # Errors
    /// The mechanism's own; its context is gone.
    pub(super) fn feed<S: Mechs<Mech = M>>(
        &mut self,
        token: Option<&[u8]>,
        mechs: &mut S,
    ) -> Result<Option<S::Token>, MechError> {
        let (mech, step) = match mem::replace(&mut self.context, Context::Unstarted) {
            Context::Unstarted => mechs.start(&self.mech, token)?,
            Context::Waiting(mut mech) => {
                let step = mechs.step(&mut mech, token.unwrap_or_default())?;
                (mech, step)
            }
            established @ Context::Established(_) => {
                self.context = established;
                return Ok(None);
            }
        };
        Ok(self.note(mech, step, mechs.record()))
    }

    /// Note what a leg produced. What comes back has to go to the peer: an empty last token is
    /// none, an empty token before that is one.
    pub(super) fn note<T: AsRef<[u8]>>(
        &mut self,
        mut mech: M,
        step: Step<T>,
        record: &mut Record,
    ) -> Option<T> {
        if mech.demands_mic() {
            self.require_mic("the mechanism demands it", record);
        }
        match step {
            Step::Continue(token) => {
                self.context = Context::Waiting(mech);
                Some(token)
            }
            Step::Done(token) => {
                trace!(MechDone { mech: &self.mech });
                self.context = Context::Established(mech);
                token.filter(|token| !token.as_ref().is_empty())
            }
        }
    }

    /// Demand the exchange of MICs, if there has been none.
    pub(super) fn require_mic(&mut self, reason: &'static str, record: &mut Record) {
        if self.mic == Mic::Optional {
            trace!(MicRequired { reason });
            record.set_mic(MicState::Required);
        }
        self.mic.require();
    }

    /// The setting that lets what is taken stay only with a verified mechListMIC, because this side
    /// prefers another. The peer's list alone does not say whether the peer has that other one:
    /// nothing protects the list until then.
    pub(super) fn guarded_by(&self, rules: &Rules) -> Option<Setting> {
        let better = self.given_up.as_deref()?;
        if rules.downgrade == Downgrade::Refuse {
            return Some(Setting::Downgrade);
        }
        let forbids = !rules.kerberos_fallback && replaces_kerberos(&self.mech, better);
        forbids.then_some(Setting::KerberosFallback)
    }

    /// Settle the MICs, when the mechanism is established.
    ///
    /// # Errors
    /// Those of [`Mic::settle`].
    pub(super) fn settle(
        &mut self,
        received: Option<&[u8]>,
        turn: Turn,
        mechs: &mut impl Mechs<Mech = M>,
    ) -> Result<Verdict, Error> {
        let Context::Established(mech) = &mut self.context else {
            return Ok(Verdict::Wait);
        };
        let record = mechs.record();
        let list = record.list()?.der();
        let verdict = match self.mic.settle(mech, list, received, turn) {
            Ok(verdict) => verdict,
            Err(error) => return Err(self.unsettled(error, mechs)),
        };
        match &verdict {
            Verdict::Wait => {}
            Verdict::Skip if self.mic == Mic::Optional => {}
            Verdict::Skip => {
                record.set_mic(MicState::Impossible);
                record.unprotected(&self.mech, "a mechListMIC is impossible without integrity");
            }
            Verdict::Ask(_) => record.set_mic(MicState::Sent),
            Verdict::Answer(_) | Verdict::Agreed => record.set_mic(MicState::Verified),
        }
        Ok(verdict)
    }

    /// Why the MICs could not be settled, in the words of who is to blame.
    #[cold]
    fn unsettled(&self, error: Error, mechs: &mut impl Mechs<Mech = M>) -> Error {
        mechs.record().set_mic(MicState::Failed);
        match error {
            Error::Mech { error, .. } => failed(error, mechs.record()),
            Error::PeerMisbehaved(Misbehaviour::MissingMic) => self.missing_mic(mechs),
            other => other,
        }
    }

    /// Whether what is established may stay: no mechanism without the protection that the rules
    /// require, and no weaker one than this side prefers without protection or a word in the trace.
    ///
    /// # Errors
    /// What the configuration forbids; the negotiation is over then.
    #[inline]
    pub(super) fn approve(&mut self, mechs: &mut impl Mechs<Mech = M>) -> Result<(), Error> {
        if self.given_up.is_none() && !mechs.rules().require.any() {
            return Ok(());
        }
        self.approve_by(mechs)
    }

    #[cold]
    fn approve_by(&mut self, mechs: &mut impl Mechs<Mech = M>) -> Result<(), Error> {
        if self.mic != Mic::Verified {
            self.approve_unprotected(mechs)?;
        }
        let approved = self.context().map_or(Ok(()), |mech| mechs.approve(mech));
        approved.map_err(|error| failed(error, mechs.record()))
    }

    fn approve_unprotected(&self, mechs: &mut impl Mechs<Mech = M>) -> Result<(), Error> {
        let rules = *mechs.rules();
        if rules.require.mic {
            return Err(self.missing_mic(mechs));
        }
        let Some(better) = &self.given_up else {
            return Ok(());
        };
        // Where a MIC was wanted and is impossible, that has been told.
        let told =
            self.mic != Mic::Optional && self.context().is_some_and(|mech| !mech.integrity());
        if !told {
            trace!(Downgraded {
                mech: &self.mech,
                from: better,
                reason: "without a verified mechListMIC",
            });
        }
        let Some(setting) = self.guarded_by(&rules) else {
            return Ok(());
        };
        let words = format!(
            "{:?} in the place of {better:?} without a verified mechListMIC is refused by {}",
            self.mech,
            mechs.said_by(setting)
        );
        Err(Error::Forbidden(advised(words, Some(&Trouble::Policy))))
    }

    /// Why there is no going on without the peer's mechListMIC.
    fn missing_mic(&self, mechs: &impl Mechs<Mech = M>) -> Error {
        if !mechs.rules().require.mic {
            return Error::PeerMisbehaved(Misbehaviour::MissingMic);
        }
        let who = mechs.said_by(Setting::Require);
        let words = format!(
            "{:?}: the peer sends no mechListMIC, which is required by {who}",
            self.mech
        );
        Error::Forbidden(advised(words, Some(&Trouble::Policy)))
    }

    /// The peer said reject. A token that came with it goes to the mechanism, which may know
    /// better why.
    pub(super) fn rejected(
        mut self,
        token: Option<&[u8]>,
        negotiated: bool,
        mechs: &mut impl Mechs<Mech = M>,
    ) -> Failure {
        let token = token.filter(|token| !token.is_empty());
        if let (Some(token), Context::Waiting(_)) = (token, &self.context) {
            if let Err(error) = self.feed(Some(token), mechs) {
                return silent(failed(error, mechs.record()));
            }
        }
        trace!(Rejected {
            mech: &self.offered,
        });
        silent(Error::Rejected {
            negotiated,
            considered: mechs.record().dropped().to_vec(),
        })
    }

    /// Keep the established mechanism only.
    pub(super) fn into_established(self) -> Result<M, Failure> {
        match self.context {
            Context::Established(mech) => Ok(mech),
            Context::Unstarted | Context::Waiting(_) => Err(silent(Error::Internal(
                "a negotiation ended before its mechanism was established",
            ))),
        }
    }

    pub(super) fn context(&self) -> Option<&M> {
        match &self.context {
            Context::Unstarted => None,
            Context::Waiting(mech) | Context::Established(mech) => Some(mech),
        }
    }

    pub(super) fn context_mut(&mut self) -> Option<&mut M> {
        match &mut self.context {
            Context::Unstarted => None,
            Context::Waiting(mech) | Context::Established(mech) => Some(mech),
        }
    }
}

/// Whether taking `mech` where `better` is preferred is going back from Kerberos. IAKERB is Kerberos
/// by another road.
pub(super) fn replaces_kerberos(mech: &Oid, better: &Oid) -> bool {
    better.is_krb5() && !mech.is_krb5() && *mech != oid::IAKERB
}

/// Whether the failure of a mechanism that another could stand in for ends the negotiation.
pub(super) fn is_final(error: &MechError, mechs: &impl Mechs) -> bool {
    error.mech.is_krb5() && forbids_fallback(mechs).is_some()
}

/// Such a failure, with who says that it is one.
pub(super) fn final_failure(mut error: MechError, mechs: &mut impl Mechs) -> Error {
    if let Some(who) = forbids_fallback(mechs) {
        let note = format!("; no other mechanism is taken in its place: {who}");
        error.reason.push_str(&note);
    }
    failed(error, mechs.record())
}

/// Who forbids another mechanism in the place of Kerberos.
fn forbids_fallback(mechs: &impl Mechs) -> Option<&str> {
    let rules = mechs.rules();
    match (rules.kerberos_fallback, rules.downgrade) {
        (true, Downgrade::Allow) => None,
        (true, Downgrade::Refuse) => Some(mechs.said_by(Setting::Downgrade)),
        (false, _) => Some(mechs.said_by(Setting::KerberosFallback)),
    }
}

/// A mechanism failed for good.
#[cold]
pub(super) fn failed(error: MechError, record: &Record) -> Error {
    trace!(Refused {
        mech: &error.mech,
        reason: &error.reason,
    });
    Error::Mech {
        error,
        considered: record.dropped().to_vec(),
    }
}

//! A negotiation under way, in either role: the mechanism taken, how far it has come, the list
//! it was taken from, and what became of the others.
#![forbid(unsafe_code)]

use std::mem;

use crate::error::{Error, Failure, MechError};
use crate::negotiate::mic::{Mic, Turn, Verdict};
use crate::negotiate::{Mech, Mechs, Step, silent};
use crate::oid::Oid;
use crate::trace;
use crate::wire::spnego::MechList;

/// A negotiation between its first token and its last.
#[derive(Debug)]
pub struct Running<M> {
    /// The mechanism taken, or the one whose token went with the offer: as the list names it.
    pub(super) offered: Oid,
    /// The same, as this side's candidates name it.
    pub(super) mech: Oid,
    pub(super) context: Context<M>,
    /// What the MIC is over.
    pub(super) list: MechList<'static>,
    pub(super) mic: Mic,
    /// The mechanisms dropped on the way, and why.
    pub(super) considered: Vec<MechError>,
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
        Ok(self.note(mech, step))
    }

    /// Note what a leg produced. What comes back has to go to the peer: an empty last token is
    /// none, an empty token before that is one.
    pub(super) fn note<T: AsRef<[u8]>>(&mut self, mut mech: M, step: Step<T>) -> Option<T> {
        if mech.demands_mic() {
            self.mic.require();
        }
        match step {
            Step::Continue(token) => {
                self.context = Context::Waiting(mech);
                Some(token)
            }
            Step::Done(token) => {
                trace!("{:?}: established", self.mech);
                self.context = Context::Established(mech);
                token.filter(|token| !token.as_ref().is_empty())
            }
        }
    }

    /// Settle the MICs, when the mechanism is established.
    ///
    /// # Errors
    /// Those of [`Mic::settle`].
    pub(super) fn settle(&mut self, received: Option<&[u8]>, turn: Turn) -> Result<Verdict, Error> {
        let Context::Established(mech) = &mut self.context else {
            return Ok(Verdict::Wait);
        };
        self.mic
            .settle(mech, self.list.der(), received, turn)
            .map_err(|error| match error {
                Error::Mech { error, .. } => self.failed(error),
                other => other,
            })
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
                return silent(self.failed(error));
            }
        }
        trace!("{:?}: rejected by the peer", self.offered);
        silent(Error::Rejected {
            negotiated,
            considered: self.considered,
        })
    }

    /// The mechanism failed for good.
    pub(super) fn failed(&mut self, error: MechError) -> Error {
        trace!("{:?}: failed: {}", self.mech, error.reason);
        Error::Mech {
            error,
            considered: mem::take(&mut self.considered),
        }
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

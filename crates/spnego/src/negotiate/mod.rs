//! SPNEGO as a protocol: two roles, moved by value from token to token. No C, no clock, no I/O:
//! mechanisms come as the traits [`Mech`] and [`Mechs`], and a step returns what to send.
#![forbid(unsafe_code)]

mod acceptor;
pub mod conversation;
pub mod fragment;
mod initiator;
mod mic;
pub mod negoex;
mod portable;
mod record;
mod running;
#[doc(hidden)]
pub mod script;
#[cfg(test)]
mod tests;

pub use acceptor::Acceptor;
pub use initiator::Initiator;
pub use record::{MicState, Record};
pub use running::Running;

use crate::error::{Error, Failure, MechError};
use crate::oid::Oid;
use crate::policy::{Rules, Setting};
use crate::wire::spnego::{NegState, NegTokenResp};
use std::sync::Arc;

/// One inner mechanism's security context, as negotiation sees it.
///
/// `sign` and `verify` are called only after the mechanism reported [`Step::Done`].
pub trait Mech {
    /// GSS_GetMIC over `message`.
    ///
    /// # Errors
    /// What the mechanism says.
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechError>;

    /// GSS_VerifyMIC; any supplementary status (gap, duplicate) is an error.
    ///
    /// # Errors
    /// What the mechanism says.
    fn verify(&mut self, message: &[u8], mic: &[u8]) -> Result<(), MechError>;

    /// Whether the established context has GSS_C_INTEG_FLAG; meaningful once it is done.
    fn integrity(&self) -> bool;

    /// Whether the mechanism itself demands the mechListMIC exchange
    /// (1.3.6.1.4.1.7165.655.1.2; MS-SPNG note 8). Asked after each of its legs.
    fn demands_mic(&mut self) -> bool;
}

/// What a leg of a mechanism produced. `T` is the mechanism's own buffer, never copied on the way.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// It has a token for the peer and waits for one.
    Continue(T),
    /// It is established; a last token may have to go to the peer.
    Done(Option<T>),
}

/// The mechanisms of one call: what may be used, and the way to run it. Holds the arguments of
/// this call (credential, target, flags, channel bindings), so it is made anew for each token.
pub trait Mechs {
    /// A mechanism's context.
    type Mech: Mech;
    /// A token as the mechanism handed it out.
    type Token: AsRef<[u8]>;

    /// What may be used, best first, by credential, caller and configuration; nothing is asked of
    /// the mechanisms for it. Never SPNEGO itself.
    fn candidates(&mut self) -> Arc<[Oid]>;

    /// Whether the order of [`Self::candidates`] is this side's own preference (the caller or the
    /// administrator set it). An acceptor without one follows the initiator's order.
    fn prefers(&self) -> bool;

    /// The mechanisms that a person would expect among the candidates and that are none, and why:
    /// asked only to explain a failure.
    fn absent(&mut self) -> Vec<MechError> {
        Vec::new()
    }

    /// Find out, cheaply and without a token, whether `mech` can be used: before it is offered
    /// behind another, or chosen without its token at hand. Here and in [`Self::start`] it is one
    /// of the candidates, though the peer may have named it by another identifier.
    ///
    /// # Errors
    /// Why not.
    fn vouch(&mut self, mech: &Oid) -> Result<(), MechError>;

    /// Start a mechanism and run its first leg. `token` is the peer's first token; `None` for an
    /// initiator. An acceptor's mech that was chosen without a token is started when one arrives.
    ///
    /// # Errors
    /// Why it could not; its partial context is gone.
    fn start(
        &mut self,
        mech: &Oid,
        token: Option<&[u8]>,
    ) -> Result<(Self::Mech, Step<Self::Token>), MechError>;

    /// Run the next leg.
    ///
    /// # Errors
    /// Why it failed; the negotiation is over then.
    fn step(&mut self, mech: &mut Self::Mech, token: &[u8])
    -> Result<Step<Self::Token>, MechError>;

    /// The rules in force.
    fn rules(&self) -> &Rules;

    /// Who has decided one of them, for a sentence.
    fn said_by(&self, _: Setting) -> &str {
        "the configuration of gss-spnego"
    }

    /// Whether what a mechanism has established is what is required of it: asked once, when nothing
    /// else is missing.
    ///
    /// # Errors
    /// What is missing; the negotiation is over then.
    fn approve(&self, _: &Self::Mech) -> Result<(), MechError> {
        Ok(())
    }

    /// What the negotiation has come to: one and the same for all of its calls.
    fn record(&mut self) -> &mut Record;
}

/// What a successful step hands back.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The encoded token for the peer, if one is to be sent.
    pub token: Option<Vec<u8>>,
    /// Whether this side is established.
    pub complete: bool,
}

/// Fail, and tell the peer: with a reject, and in it the mechanism's own error token if it made
/// one.
fn refuse(error: Error) -> Failure {
    let response_token = match &error {
        Error::Mech { error, .. } => error.token.as_deref(),
        _ => None,
    };
    Failure {
        reject: Some(reject(response_token)),
        error,
    }
}

fn reject(response_token: Option<&[u8]>) -> Vec<u8> {
    NegTokenResp {
        neg_state: Some(NegState::Reject),
        response_token,
        ..NegTokenResp::default()
    }
    .encode()
}

/// Fail, the peer expecting nothing.
fn silent(error: Error) -> Failure {
    Failure {
        error,
        reject: None,
    }
}

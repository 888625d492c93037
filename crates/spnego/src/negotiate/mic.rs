//! The mechListMIC rules of RFC 4178 section 5: when one is owed, by whom, and what it proves.
#![forbid(unsafe_code)]

use crate::error::{Error, Misbehaviour};
use crate::negotiate::Mech;
use crate::trace;

/// How the exchange of MICs stands. Once both have passed, the negotiation is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mic {
    /// Both sides prefer the mechanism, and nobody has asked for a MIC.
    #[default]
    Optional,
    /// Both have to send one.
    Required,
    /// Ours has gone out; theirs must come.
    Sent,
    /// Theirs has verified.
    Verified,
}

/// Whose MIC comes first, where this token stands in the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This side sends the mechanism's last token, so its MIC goes with that token.
    Ours,
    /// The peer sent the mechanism's last token, so its MIC must be here.
    Theirs,
}

/// What to do about the MICs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The mechanism is not established yet. A MIC that came so early has proved nothing.
    Wait,
    /// None is needed.
    Skip,
    /// Send ours, and wait for theirs.
    Ask(Vec<u8>),
    /// Theirs verified; send ours, and the negotiation is over.
    Answer(Vec<u8>),
    /// Theirs verified, ours was sent before: the negotiation is over.
    Agreed,
}

impl Mic {
    /// Demand the exchange, if there has been none.
    pub(super) fn require(&mut self) {
        if *self == Self::Optional {
            *self = Self::Required;
        }
    }

    /// Verify the peer's MIC and decide whether ours is owed, the mechanism being established.
    ///
    /// `list` is the mechanism list as the initiator encoded it. Without integrity there are no
    /// MICs, asked for or not. A MIC that was not asked for is verified and answered.
    ///
    /// # Errors
    /// [`Misbehaviour::MissingMic`] when one is due and not here, [`Misbehaviour::WrongMic`] when
    /// it does not verify, [`Error::Mech`] when the mechanism cannot sign.
    pub(super) fn settle(
        &mut self,
        mech: &mut impl Mech,
        list: &[u8],
        received: Option<&[u8]>,
        turn: Turn,
    ) -> Result<Verdict, Error> {
        if !mech.integrity() {
            return Ok(Verdict::Skip);
        }
        let Some(theirs) = received else {
            return match (*self, turn) {
                (Self::Optional, _) => Ok(Verdict::Skip),
                (Self::Verified, _) => Ok(Verdict::Agreed),
                (Self::Required, Turn::Ours) => {
                    *self = Self::Sent;
                    sign(mech, list).map(Verdict::Ask)
                }
                (Self::Required | Self::Sent, _) => {
                    Err(Error::PeerMisbehaved(Misbehaviour::MissingMic))
                }
            };
        };
        mech.verify(list, theirs).map_err(|error| {
            trace!(MicWrong {
                reason: &error.reason,
            });
            Error::PeerMisbehaved(Misbehaviour::WrongMic(error.reason))
        })?;
        trace!(MicVerified {
            octets: theirs.len(),
        });
        match std::mem::replace(self, Self::Verified) {
            Self::Sent | Self::Verified => Ok(Verdict::Agreed),
            Self::Optional | Self::Required => sign(mech, list).map(Verdict::Answer),
        }
    }
}

fn sign(mech: &mut impl Mech, list: &[u8]) -> Result<Vec<u8>, Error> {
    let mic = mech.sign(list).map_err(|error| Error::Mech {
        error,
        considered: Vec::new(),
    })?;
    trace!(MicSent { octets: mic.len() });
    Ok(mic)
}

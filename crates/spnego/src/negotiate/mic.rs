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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, MechError, major};
    use crate::oid::KRB5;

    /// A mechanism whose peer's MIC is `theirs`.
    #[derive(Clone, Copy)]
    struct Signer {
        integrity: bool,
        can_sign: bool,
    }

    impl Signer {
        fn error() -> MechError {
            MechError {
                mech: KRB5,
                major: major::FAILURE,
                cause: Cause::Refused,
                reason: String::new(),
                token: None,
            }
        }
    }

    impl Mech for Signer {
        fn sign(&mut self, list: &[u8]) -> Result<Vec<u8>, MechError> {
            assert!(self.integrity && list == LIST);
            self.can_sign.then(|| OURS.to_vec()).ok_or_else(Self::error)
        }

        fn verify(&mut self, list: &[u8], mic: &[u8]) -> Result<(), MechError> {
            assert!(self.integrity && list == LIST);
            (mic == THEIRS).then_some(()).ok_or_else(Self::error)
        }

        fn integrity(&self) -> bool {
            self.integrity
        }

        fn demands_mic(&mut self) -> bool {
            false
        }
    }

    const LIST: &[u8] = b"list";
    const OURS: &[u8] = b"ours";
    const THEIRS: &[u8] = b"theirs";
    const STATES: [Mic; 4] = [Mic::Optional, Mic::Required, Mic::Sent, Mic::Verified];
    const TURNS: [Turn; 2] = [Turn::Ours, Turn::Theirs];

    /// What comes of one state and one input: the verdict and the state after it. `None`: an error.
    fn settled(
        before: Mic,
        received: Option<&[u8]>,
        turn: Turn,
        mut mech: Signer,
    ) -> Option<(Verdict, Mic)> {
        let mut mic = before;
        let verdict = mic.settle(&mut mech, LIST, received, turn).ok()?;
        Some((verdict, mic))
    }

    #[test]
    fn every_state_and_every_input_comes_to_what_section_5_says() {
        let signer = |can_sign| Signer {
            integrity: true,
            can_sign,
        };
        for can_sign in [true, false] {
            let if_signed = |verdict: fn(Vec<u8>) -> Verdict, after| {
                can_sign.then(|| (verdict(OURS.to_vec()), after))
            };
            for before in STATES {
                for turn in TURNS {
                    let without = match (before, turn) {
                        (Mic::Optional, _) => Some((Verdict::Skip, Mic::Optional)),
                        (Mic::Required, Turn::Ours) => if_signed(Verdict::Ask, Mic::Sent),
                        (Mic::Required, Turn::Theirs) | (Mic::Sent, _) => None,
                        (Mic::Verified, _) => Some((Verdict::Agreed, Mic::Verified)),
                    };
                    let with = match before {
                        Mic::Optional | Mic::Required => if_signed(Verdict::Answer, Mic::Verified),
                        Mic::Sent | Mic::Verified => Some((Verdict::Agreed, Mic::Verified)),
                    };
                    for (received, expected) in [
                        (None, without),
                        (Some(THEIRS), with),
                        (Some(&b"other"[..]), None),
                        (Some(&b""[..]), None),
                        (Some(OURS), None),
                    ] {
                        let what = format!("{before:?} {turn:?} {received:?}");
                        let settled = settled(before, received, turn, signer(can_sign));
                        assert_eq!(settled, expected, "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn without_integrity_no_state_and_no_input_matters() {
        for before in STATES {
            for turn in TURNS {
                for received in [None, Some(THEIRS), Some(OURS)] {
                    let mech = Signer {
                        integrity: false,
                        can_sign: false,
                    };
                    let settled = settled(before, received, turn, mech);
                    assert_eq!(settled, Some((Verdict::Skip, before)));
                }
            }
        }
    }

    #[test]
    fn an_exchange_that_has_begun_is_not_demanded_again() {
        for before in STATES {
            let mut mic = before;
            mic.require();
            let after = match before {
                Mic::Optional => Mic::Required,
                begun => begun,
            };
            assert_eq!(mic, after);
        }
    }
}

//! The acceptor's side: choose from the initiator's list, run the mechanism, prove the list.
#![forbid(unsafe_code)]

use crate::error::{Cause, Error, Failure, MechError, Misbehaviour, major};
use crate::negotiate::mic::{Mic, Turn, Verdict};
use crate::negotiate::running::{Context, Running};
use crate::negotiate::{Mech, Mechs, Reply, Step, refuse, silent};
use crate::oid::Oid;
use crate::trace;
use crate::wire::framing;
use crate::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

/// An acceptor's negotiation.
#[derive(Debug, Default)]
pub enum Acceptor<M> {
    /// Nothing has been received.
    #[default]
    Start,
    /// A NegTokenInit2 has been sent; the negotiation proper is still to begin.
    Hinted,
    /// A mechanism has been chosen.
    Running(Box<Running<M>>),
    /// Done; the mechanism's context is the context.
    Established(M),
}

impl<M: Mech> Acceptor<M> {
    /// Consume one token of the initiator, and the state with it.
    ///
    /// An empty first token asks for a NegTokenInit2 (MS-SPNG 3.2.5.2).
    ///
    /// # Errors
    /// Any; the negotiation is over then, and a reject is there for the initiator if it waits.
    pub fn step(
        self,
        token: &[u8],
        mechs: &mut impl Mechs<Mech = M>,
    ) -> Result<(Self, Reply), Failure> {
        match self {
            Self::Start if token.is_empty() => invite(mechs),
            Self::Start | Self::Hinted => answer(token, mechs),
            Self::Running(running) => proceed(running, token, mechs),
            Self::Established(_) => Err(silent(Error::CallerMisused(
                "the security context is established, it takes no more tokens",
            ))),
        }
    }

    /// Whether this side is done.
    pub fn is_established(&self) -> bool {
        matches!(self, Self::Established(_))
    }

    /// The mechanism being negotiated, as it was offered; an established one knows itself.
    pub fn offered(&self) -> Option<Oid> {
        match self {
            Self::Running(running) => Some(running.offered),
            Self::Start | Self::Hinted | Self::Established(_) => None,
        }
    }

    /// The context of the mechanism, if it has begun.
    pub fn mech(&self) -> Option<&M> {
        match self {
            Self::Start | Self::Hinted => None,
            Self::Running(running) => running.context(),
            Self::Established(mech) => Some(mech),
        }
    }

    /// The context of the mechanism, to be changed.
    pub fn mech_mut(&mut self) -> Option<&mut M> {
        match self {
            Self::Start | Self::Hinted => None,
            Self::Running(running) => running.context_mut(),
            Self::Established(mech) => Some(mech),
        }
    }

    /// The established mechanism's context.
    pub fn into_established(self) -> Option<M> {
        match self {
            Self::Established(mech) => Some(mech),
            Self::Start | Self::Hinted | Self::Running(_) => None,
        }
    }
}

/// Say what could be accepted, to an initiator that asks first.
fn invite<S: Mechs>(mechs: &mut S) -> Result<(Acceptor<S::Mech>, Reply), Failure> {
    let mut considered = Vec::new();
    let mut usable = mechs.candidates();
    usable.retain(|mech| match mechs.vouch(mech) {
        Ok(()) => true,
        Err(error) => {
            trace!("{mech:?}: dropped: {}", error.reason);
            considered.push(error);
            false
        }
    });
    if usable.is_empty() {
        return Err(silent(Error::NoMech {
            considered,
            summary: "no mechanism is available to be accepted; see the configuration of GSS-API",
        }));
    }
    let hints = NegTokenInit {
        mech_types: MechList::encode(&usable),
        mech_token: None,
        mech_list_mic: None,
    };
    Ok((Acceptor::Hinted, unfinished(Some(hints.encode_init2()))))
}

/// Choose a mechanism from the initiator's list and run it on the optimistic token, if that is
/// for it.
fn answer<S: Mechs>(
    token: &[u8],
    mechs: &mut S,
) -> Result<(Acceptor<S::Mech>, Reply), Failure> {
    let init = NegTokenInit::decode(token).map_err(|malformed| refuse(malformed.into()))?;
    let choice = choose(&init, mechs).map_err(refuse)?;
    trace!("{:?}: chosen", choice.common.offered);

    let mut running = Box::new(Running {
        offered: choice.common.offered,
        mech: choice.common.mech,
        context: Context::Unstarted,
        list: init.mech_types.into_owned(),
        mic: Mic::Optional,
        considered: choice.considered,
    });
    let state = if choice.contestable {
        running.mic.require();
        NegState::RequestMic
    } else {
        NegState::AcceptIncomplete
    };
    let out = choice
        .begun
        .and_then(|(mech, step)| running.note(mech, step));
    conclude(running, out, init.mech_list_mic, Some(state))
}

/// A mechanism that both sides have.
#[derive(Clone, Copy)]
struct Common {
    /// Where the initiator's list has it; 0 is its first choice.
    position: usize,
    /// As the list names it.
    offered: Oid,
    /// As this side's candidates name it.
    mech: Oid,
}

/// What was chosen, and how.
struct Choice<M, T> {
    common: Common,
    /// Begun, when the optimistic token was for it.
    begun: Option<(M, Step<T>)>,
    /// Whether it is not the first choice of both sides, so that MICs must protect it.
    contestable: bool,
    considered: Vec<MechError>,
}

fn choose<S: Mechs>(
    init: &NegTokenInit<'_>,
    mechs: &mut S,
) -> Result<Choice<S::Mech, S::Token>, Error> {
    let candidates = mechs.candidates();
    let prefers = mechs.prefers();
    let mut considered = Vec::new();
    for common in in_common(&init.mech_types, &candidates, prefers) {
        // No mechanism of the glue can begin with an empty token, so it counts as none.
        let optimistic = init
            .mech_token
            .filter(|token| common.position == 0 && !token.is_empty());
        let tried = match optimistic {
            Some(token) => {
                check_owner(token, &common.offered)?;
                mechs.start(&common.mech, Some(token)).map(Some)
            }
            None => mechs.vouch(&common.mech).map(|()| None),
        };
        match tried {
            Ok(begun) => {
                let contestable = common.position != 0
                    || (prefers && prefers_another(&common, init, &candidates, mechs));
                return Ok(Choice {
                    common,
                    begun,
                    contestable,
                    considered,
                });
            }
            Err(error) if error.cause == Cause::Refused && optimistic.is_some() => {
                trace!("{:?}: failed: {}", common.mech, error.reason);
                return Err(Error::Mech { error, considered });
            }
            Err(error) => {
                trace!("{:?}: dropped: {}", common.mech, error.reason);
                considered.push(error);
            }
        }
    }
    considered.extend(not_accepted(&init.mech_types, &candidates));
    Err(Error::NoMech {
        considered,
        summary: "the initiator offered no mechanism that is accepted here",
    })
}

/// The mechanisms of both sides, in this side's order if it has one, in the initiator's if not.
/// Each candidate is there once however often the list names it, so a list costs its length.
fn in_common(list: &MechList<'_>, candidates: &[Oid], prefers: bool) -> Vec<Common> {
    let mut common: Vec<Common> = candidates
        .iter()
        .filter_map(|mech| {
            let named = |entry: &Option<Oid>| entry.is_some_and(|entry| entry.same_mech(mech));
            let (position, offered) = list.iter().enumerate().find(|(_, entry)| named(entry))?;
            Some(Common {
                position,
                offered: offered?,
                mech: *mech,
            })
        })
        .collect();
    if !prefers {
        common.sort_by_key(|common| common.position);
    }
    common
}

/// Whether this side would have taken another mechanism, had the list had it (RFC 4178 section 5).
/// Those that the list has were tried before this one, in the same order.
fn prefers_another(
    taken: &Common,
    init: &NegTokenInit<'_>,
    candidates: &[Oid],
    mechs: &mut impl Mechs,
) -> bool {
    candidates
        .iter()
        .take_while(|mech| **mech != taken.mech)
        .filter(|mech| init.mech_types.find(mech).is_none())
        .any(|mech| mechs.vouch(mech).is_ok())
}

/// What was offered and is not among the candidates, as reasons why nothing was chosen.
fn not_accepted(list: &MechList<'_>, candidates: &[Oid]) -> Vec<MechError> {
    list.iter()
        .flatten()
        .filter(|mech| !candidates.iter().any(|candidate| candidate.same_mech(mech)))
        .take(REASONS)
        .map(|mech| MechError {
            mech,
            major: major::BAD_MECH,
            cause: Cause::Unusable,
            reason: "offered by the initiator, not accepted here".to_owned(),
            token: None,
        })
        .collect()
}

/// How many mechanisms of a peer's list are named in an error: more than anyone offers, and a
/// bound on what a list of thousands can make of it.
const REASONS: usize = 16;

/// Run the mechanism on, settle the MICs, and answer.
fn proceed<S: Mechs>(
    mut running: Box<Running<S::Mech>>,
    token: &[u8],
    mechs: &mut S,
) -> Result<(Acceptor<S::Mech>, Reply), Failure> {
    // supportedMech has no meaning here; Samba's client and others repeat it.
    let response = NegTokenResp::decode_from_initiator(token)
        .map_err(|malformed| refuse(malformed.into()))?
        .without_copied_mic();
    if response.neg_state == Some(NegState::Reject) {
        return Err(running.rejected(response.response_token, true, mechs));
    }
    let token = expected_token(&running, &response).map_err(refuse)?;
    let out = match token {
        Some(token) => running
            .feed(Some(token), mechs)
            .map_err(|error| refuse(running.failed(error)))?,
        None => None,
    };
    conclude(running, out, response.mech_list_mic, None)
}

/// The token that the mechanism is to be fed, which it must not be without, or must be without.
fn expected_token<'a, M: Mech>(
    running: &Running<M>,
    response: &NegTokenResp<'a>,
) -> Result<Option<&'a [u8]>, Error> {
    match (&running.context, response.response_token) {
        (Context::Waiting(_), Some(token)) => Ok(Some(token)),
        (Context::Unstarted, Some(token)) if !token.is_empty() => {
            check_owner(token, &running.offered)?;
            Ok(Some(token))
        }
        (Context::Unstarted | Context::Waiting(_), _) => Err(Error::PeerMisbehaved(
            Misbehaviour::Other("the initiator sent no token of the mechanism"),
        )),
        (Context::Established(_), None | Some([])) => Ok(None),
        (Context::Established(_), Some(_)) => Err(Error::PeerMisbehaved(Misbehaviour::Other(
            "the initiator sent a token that the mechanism does not wait for",
        ))),
    }
}

/// A mechanism is not handed another one's first token.
fn check_owner(token: &[u8], mech: &Oid) -> Result<(), Error> {
    if framing::may_belong(token, mech) {
        return Ok(());
    }
    Err(Error::PeerMisbehaved(Misbehaviour::Other(
        "the initiator's token is of another mechanism than the one it is sent for",
    )))
}

/// Settle the MICs, and answer. The first reply says `first` and names the mechanism, octet for
/// octet as it was offered (MS-SPNG 3.2.5); later ones do neither.
fn conclude<M: Mech, T: AsRef<[u8]>>(
    mut running: Box<Running<M>>,
    out: Option<T>,
    received: Option<&[u8]>,
    first: Option<NegState>,
) -> Result<(Acceptor<M>, Reply), Failure> {
    // RFC 4178 section 5: when the optimistic token was also the last one, the MIC that the
    // initiator did not know it owed is preceded by ours.
    let turn = match (&out, first) {
        (None, None) => Turn::Theirs,
        _ => Turn::Ours,
    };
    let verdict = running.settle(received, turn).map_err(refuse)?;
    let incomplete = first.unwrap_or(NegState::AcceptIncomplete);
    let (neg_state, mic) = match verdict {
        Verdict::Wait => (incomplete, None),
        Verdict::Ask(mic) => (incomplete, Some(mic)),
        Verdict::Skip => (NegState::AcceptCompleted, None),
        Verdict::Answer(mic) => (NegState::AcceptCompleted, Some(mic)),
        // The initiator was done when it sent its MIC.
        Verdict::Agreed => return established(running, None),
    };
    let encoded = NegTokenResp {
        neg_state: Some(neg_state),
        supported_mech: first.and(Some(running.offered.content())),
        response_token: out.as_ref().map(AsRef::as_ref),
        mech_list_mic: mic.as_deref(),
    }
    .encode();
    match neg_state {
        NegState::AcceptCompleted => established(running, Some(encoded)),
        _ => Ok((Acceptor::Running(running), unfinished(Some(encoded)))),
    }
}

fn established<M: Mech>(
    running: Box<Running<M>>,
    token: Option<Vec<u8>>,
) -> Result<(Acceptor<M>, Reply), Failure> {
    let mech = running.into_established()?;
    let complete = true;
    Ok((Acceptor::Established(mech), Reply { token, complete }))
}

fn unfinished(token: Option<Vec<u8>>) -> Reply {
    let complete = false;
    Reply { token, complete }
}

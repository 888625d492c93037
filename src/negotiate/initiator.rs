//! The initiator's side: offer what is usable, follow the acceptor's choice, prove the list.
#![forbid(unsafe_code)]

use crate::error::{Cause, Error, Failure, Misbehaviour};
use crate::negotiate::mic::{Mic, Turn, Verdict};
use crate::negotiate::running::{Context, Running};
use crate::negotiate::{Mech, Mechs, Reply, refuse, silent};
use crate::oid::{self, Oid};
use crate::policy::Rules;
use crate::trace;
use crate::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

/// An initiator's negotiation.
#[derive(Debug, Default)]
pub enum Initiator<M> {
    /// Nothing has been sent.
    #[default]
    Start,
    /// The list has been sent, and the preferred mechanism's token as a rule.
    Offered(Box<Running<M>>),
    /// The acceptor has chosen.
    Running(Box<Running<M>>),
    /// Done; the mechanism's context is the context.
    Established(M),
}

impl<M: Mech> Initiator<M> {
    /// Consume one token of the acceptor, and the state with it.
    ///
    /// The first call takes none. If it is given one, that is an acceptor's NegTokenInit2
    /// (MS-SPNG 3.3.5.2): nothing protects it, so all it can do is to save a useless optimistic
    /// token.
    ///
    /// # Errors
    /// Any; the negotiation is over then. The first call has no token for the acceptor.
    pub fn step(
        self,
        token: Option<&[u8]>,
        mechs: &mut impl Mechs<Mech = M>,
    ) -> Result<(Self, Reply), Failure> {
        let token = token.unwrap_or_default();
        match self {
            Self::Start => offer(token, mechs),
            Self::Offered(mut running) => {
                let reply = decode(token)?;
                if reply.neg_state == Some(NegState::Reject) {
                    return Err(running.rejected(reply.response_token, false, mechs));
                }
                choose(&mut running, &reply, mechs.rules()).map_err(|error| fail(&reply, error))?;
                proceed(running, &reply, mechs)
            }
            Self::Running(running) => {
                let reply = decode(token)?;
                if reply.neg_state == Some(NegState::Reject) {
                    return Err(running.rejected(reply.response_token, true, mechs));
                }
                proceed(running, &reply, mechs)
            }
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
            Self::Offered(running) | Self::Running(running) => Some(running.offered),
            Self::Start | Self::Established(_) => None,
        }
    }

    /// The context of the mechanism, if it has begun.
    pub fn mech(&self) -> Option<&M> {
        match self {
            Self::Start => None,
            Self::Offered(running) | Self::Running(running) => running.context(),
            Self::Established(mech) => Some(mech),
        }
    }

    /// The context of the mechanism, to be changed.
    pub fn mech_mut(&mut self) -> Option<&mut M> {
        match self {
            Self::Start => None,
            Self::Offered(running) | Self::Running(running) => running.context_mut(),
            Self::Established(mech) => Some(mech),
        }
    }

    /// The established mechanism's context.
    pub fn into_established(self) -> Option<M> {
        match self {
            Self::Established(mech) => Some(mech),
            Self::Start | Self::Offered(_) | Self::Running(_) => None,
        }
    }
}

/// Start the first candidate that can start, offer it and whatever is usable behind it.
fn offer<S: Mechs>(
    invitation: &[u8],
    mechs: &mut S,
) -> Result<(Initiator<S::Mech>, Reply), Failure> {
    let candidates = mechs.candidates();
    let optimistic = mechs.rules().optimistic_token && welcomes(invitation, candidates.first());
    let mut begun = None;
    let mut offered = Vec::with_capacity(candidates.len());
    let mut considered = Vec::new();
    for mech in candidates {
        let starts = optimistic && begun.is_none();
        let usable = if starts {
            mechs.start(&mech, None).map(|first| begun = Some(first))
        } else {
            mechs.vouch(&mech)
        };
        match usable {
            Ok(()) => {
                trace!("{mech:?}: offered");
                offered.push(mech);
            }
            // What was tried and says no is the answer: with another mechanism, the same wrong
            // password would only be tried again.
            Err(error) if starts && error.cause == Cause::Refused => {
                trace!("{mech:?}: failed: {}", error.reason);
                return Err(silent(Error::Mech { error, considered }));
            }
            Err(error) => {
                trace!("{mech:?}: dropped: {}", error.reason);
                considered.push(error);
            }
        }
    }
    let Some(first) = offered.first().copied() else {
        return Err(silent(Error::NoMech {
            considered,
            summary: "no mechanism is available to be offered; see the configuration of GSS-API",
        }));
    };
    let mut running = Box::new(Running {
        offered: first,
        mech: first,
        context: Context::Unstarted,
        list: MechList::encode(&offered),
        mic: Mic::Optional,
        considered,
    });
    let token = begun.map(|(mech, step)| running.note(mech, step));
    let mic = match running.settle(None, Turn::Ours).map_err(silent)? {
        Verdict::Ask(mic) => Some(mic),
        _ => None,
    };
    let encoded = NegTokenInit {
        mech_types: running.list.borrow(),
        // A mechanism that begins with an empty token, or with none, has begun all the same.
        mech_token: token
            .as_ref()
            .map(|token| token.as_ref().map_or(&[][..], AsRef::as_ref)),
        mech_list_mic: mic.as_deref(),
    }
    .encode();
    Ok((Initiator::Offered(running), unfinished(encoded)))
}

/// Whether an acceptor that sent this NegTokenInit2 would take the token of `mech`. Nothing, or
/// something else, welcomes it: no other input has a meaning in a first call.
fn welcomes(invitation: &[u8], mech: Option<&Oid>) -> bool {
    let Ok(invitation) = NegTokenInit::decode(invitation) else {
        return true;
    };
    let welcome = mech.is_none_or(|mech| invitation.mech_types.find(mech).is_some());
    if !welcome {
        trace!("the acceptor's hints do not have {mech:?}: its token is saved, the offer is whole");
    }
    welcome
}

/// Follow the acceptor's choice, which its first reply makes.
fn choose<M: Mech>(
    running: &mut Running<M>,
    reply: &NegTokenResp<'_>,
    rules: &Rules,
) -> Result<(), Error> {
    let optimistic = !matches!(running.context, Context::Unstarted);
    let chosen = match reply.supported_mech {
        Some(content) => find_offered(running, content)?,
        // Some Java acceptors send a responseToken only.
        None if optimistic => running.offered,
        None => return Err(Error::PeerMisbehaved(Misbehaviour::NoMechFromAcceptor)),
    };
    // RFC 4178 appendix C, behaviour of Samba: either identifier of Kerberos may come back.
    if !chosen.same_mech(&running.offered) {
        reselect(running, chosen, reply.neg_state, rules)?;
    }
    if reply.neg_state == Some(NegState::RequestMic) {
        running.mic.require();
    }
    trace!("{:?}: chosen by the acceptor", running.offered);
    Ok(())
}

fn find_offered<M: Mech>(running: &Running<M>, content: &[u8]) -> Result<Oid, Error> {
    let mech = Oid::new(content).ok_or(Error::PeerMisbehaved(Misbehaviour::Other(
        "the acceptor chose a mechanism that was not offered: an identifier too long to be one",
    )))?;
    running
        .list
        .find(&mech)
        .ok_or(Error::PeerMisbehaved(Misbehaviour::NotOffered(mech)))
}

/// Turn to another mechanism of the list. It was not the first choice, so a MIC has to protect it
/// (RFC 4178 section 5), and the acceptor has to say so (4.2.2).
fn reselect<M: Mech>(
    running: &mut Running<M>,
    chosen: Oid,
    state: Option<NegState>,
    rules: &Rules,
) -> Result<(), Error> {
    trace!("{:?}: dropped by the acceptor", running.offered);
    running.context = Context::Unstarted;
    running.offered = chosen;
    running.mech = chosen;
    running.mic = match state {
        Some(NegState::RequestMic) => Mic::Required,
        // Windows 2003 and older follow RFC 2478 and fall back to NTLM without a word.
        Some(NegState::AcceptIncomplete) if chosen == oid::NTLMSSP => {
            if rules.legacy_windows {
                trace!("{chosen:?}: downgrade without protection, allowed by legacy_windows");
                Mic::Optional
            } else {
                Mic::Required
            }
        }
        _ => {
            return Err(Error::PeerMisbehaved(Misbehaviour::Other(
                "the acceptor chose another mechanism than the first and did not ask for a \
                 mechListMIC (RFC 4178 section 4.2.2)",
            )));
        }
    };
    Ok(())
}

/// Run the mechanism on, settle the MICs, and answer.
fn proceed<S: Mechs>(
    mut running: Box<Running<S::Mech>>,
    reply: &NegTokenResp<'_>,
    mechs: &mut S,
) -> Result<(Initiator<S::Mech>, Reply), Failure> {
    let token = expected_token(&running, reply).map_err(|error| fail(reply, error))?;
    let out = running
        .feed(token, mechs)
        .map_err(|error| fail(reply, running.failed(error)))?;
    let turn = match out {
        Some(_) => Turn::Ours,
        None => Turn::Theirs,
    };
    let verdict = running
        .settle(reply.mech_list_mic, turn)
        .map_err(|error| fail(reply, error))?;
    let (neg_state, mic) = match verdict {
        Verdict::Answer(mic) => (NegState::AcceptCompleted, Some(mic)),
        Verdict::Ask(mic) => (NegState::AcceptIncomplete, Some(mic)),
        Verdict::Skip | Verdict::Agreed if out.is_none() => {
            return established(running, None);
        }
        // The last token has to be answered, even when nothing but that is missing: peers count
        // on an even number of tokens.
        Verdict::Wait | Verdict::Skip | Verdict::Agreed => (NegState::AcceptIncomplete, None),
    };
    let encoded = NegTokenResp {
        neg_state: Some(neg_state),
        supported_mech: None,
        response_token: out.as_ref().map(AsRef::as_ref),
        mech_list_mic: mic.as_deref(),
    }
    .encode();
    match neg_state {
        NegState::AcceptCompleted => established(running, Some(encoded)),
        _ => Ok((Initiator::Running(running), unfinished(encoded))),
    }
}

/// The token that the mechanism is to be fed, which it must not be without, or must be without.
fn expected_token<'a, M: Mech>(
    running: &Running<M>,
    reply: &NegTokenResp<'a>,
) -> Result<Option<&'a [u8]>, Error> {
    match (&running.context, reply.response_token) {
        (Context::Waiting(_), Some(token)) => Ok(Some(token)),
        (Context::Waiting(_), None) => Err(Error::PeerMisbehaved(
            Misbehaviour::NoTokenFromAcceptor(running.offered),
        )),
        // IIS 6 sends an empty token where it has none.
        (Context::Unstarted | Context::Established(_), None | Some([])) => Ok(None),
        (Context::Unstarted | Context::Established(_), Some(_)) => {
            Err(Error::PeerMisbehaved(Misbehaviour::Other(
                "the acceptor sent a token that the mechanism does not wait for",
            )))
        }
    }
}

fn decode(token: &[u8]) -> Result<NegTokenResp<'_>, Failure> {
    NegTokenResp::decode(token)
        .map(NegTokenResp::without_copied_mic)
        .map_err(|malformed| refuse(malformed.into()))
}

/// Fail, and tell the acceptor if it still waits.
fn fail(reply: &NegTokenResp<'_>, error: Error) -> Failure {
    match reply.neg_state {
        Some(NegState::AcceptCompleted) => silent(error),
        _ => refuse(error),
    }
}

fn established<M: Mech>(
    running: Box<Running<M>>,
    token: Option<Vec<u8>>,
) -> Result<(Initiator<M>, Reply), Failure> {
    let mech = running.into_established()?;
    let complete = true;
    Ok((Initiator::Established(mech), Reply { token, complete }))
}

fn unfinished(token: Vec<u8>) -> Reply {
    Reply {
        token: Some(token),
        complete: false,
    }
}

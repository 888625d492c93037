//! The acceptor's side: choose from the initiator's list, run the mechanism, prove the list.
#![forbid(unsafe_code)]

use crate::advice::{Trouble, advised};
use crate::error::{Cause, Error, Failure, MechError, Misbehaviour, major};
use crate::negotiate::mic::{Mic, Turn, Verdict};
use crate::negotiate::record::MOST_TOLD;
use crate::negotiate::running::{Context, Running, failed, final_failure, is_final};
use crate::negotiate::{Mech, Mechs, Reply, Step, refuse, silent};
use crate::oid::Oid;
use crate::policy::Rules;
use crate::trace;
use crate::trace::By;
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
///
/// No optimistic token goes with it (MS-SPNG 2.2.1 has room for one): an acceptor's mechanism would
/// have to begin without a token, and the glue takes an empty one for SPNEGO's.
fn invite<S: Mechs>(mechs: &mut S) -> Result<(Acceptor<S::Mech>, Reply), Failure> {
    let mut usable = mechs.candidates().to_vec();
    usable.retain(|mech| match mechs.vouch(mech) {
        Ok(()) => true,
        Err(error) => {
            mechs.record().drops(error);
            false
        }
    });
    if usable.is_empty() {
        let mut considered = mechs.record().dropped().to_vec();
        considered.extend(mechs.absent());
        return Err(silent(Error::NoMech {
            considered,
            summary: "no mechanism is available to be accepted; see the configuration of GSS-API",
        }));
    }
    trace!(Invited {
        by: By::Us,
        mechs: &usable,
    });
    let hints = NegTokenInit {
        mech_types: MechList::encode(&usable),
        mech_token: None,
        mech_list_mic: None,
    };
    Ok((Acceptor::Hinted, reply(Some(hints.encode_init2()), false)))
}

/// Choose a mechanism from the initiator's list and run it on the optimistic token, if that is
/// for it.
fn answer<S: Mechs>(token: &[u8], mechs: &mut S) -> Result<(Acceptor<S::Mech>, Reply), Failure> {
    let init = NegTokenInit::decode(token).map_err(|malformed| refuse(malformed.into()))?;
    trace!(Offered {
        by: By::Peer,
        mechs: &init.mech_types.known(MOST_TOLD),
    });
    let choice = choose(&init, mechs).map_err(refuse)?;
    let record = mechs.record();
    record.chooses(By::Us, &choice.common.offered, choice.reason());
    if !record.dropped().is_empty() {
        let candidates = mechs.candidates();
        mechs
            .record()
            .tell_fallback(&choice.common.mech, &candidates);
    }
    let record = mechs.record();
    record.keep(init.mech_types.into_owned());
    let mut running = Running {
        offered: choice.common.offered,
        mech: choice.common.mech,
        context: Context::Unstarted,
        mic: Mic::Optional,
        given_up: choice.given_up,
    };
    let why = if choice.contestable {
        Some("it is not the first choice of both sides (request-mic)")
    } else if mechs.rules().require.mic || running.guarded_by(mechs.rules()).is_some() {
        Some("the configuration asks for it (request-mic)")
    } else {
        None
    };
    let record = mechs.record();
    let state = if let Some(why) = why {
        running.require_mic(why, record);
        NegState::RequestMic
    } else {
        NegState::AcceptIncomplete
    };
    let out = choice
        .begun
        .and_then(|(mech, step)| running.note(mech, step, record));
    let reply = conclude(&mut running, out, init.mech_list_mic, Some(state), mechs)?;
    let next = if reply.complete {
        Acceptor::Established(running.into_established()?)
    } else {
        Acceptor::Running(Box::new(running))
    };
    Ok((next, reply))
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
    /// The mechanism that this side prefers to it.
    given_up: Option<Box<Oid>>,
}

impl<M, T> Choice<M, T> {
    fn reason(&self) -> &'static str {
        match (self.common.position, self.contestable) {
            (0, false) => "the initiator's first choice",
            (0, true) => "the initiator's first choice, not ours",
            _ => "the best of the initiator's list that can be used here",
        }
    }
}

fn choose<S: Mechs>(
    init: &NegTokenInit<'_>,
    mechs: &mut S,
) -> Result<Choice<S::Mech, S::Token>, Error> {
    let candidates = mechs.candidates();
    let prefers = mechs.prefers();
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
                    given_up: better(&common.mech, &candidates, prefers, mechs.rules()),
                });
            }
            Err(error) if error.cause == Cause::Refused && optimistic.is_some() => {
                return Err(failed(error, mechs.record()));
            }
            Err(error) if is_final(&error, mechs) => return Err(final_failure(error, mechs)),
            Err(error) => mechs.record().drops(error),
        }
    }
    let mut considered = mechs.record().dropped().to_vec();
    let absent = mechs.absent();
    considered.extend(not_accepted(&init.mech_types, &candidates, &absent));
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

/// The mechanism that this side would rather have than `taken`: the one it puts first, or Kerberos
/// where it has no order of its own, or where nothing may take the place of Kerberos.
#[inline]
fn better(taken: &Oid, candidates: &[Oid], prefers: bool, rules: &Rules) -> Option<Box<Oid>> {
    if let [_only] = candidates {
        return None;
    }
    let mut before = candidates.iter().take_while(|mech| !mech.same_mech(taken));
    let krb5 = before.clone().find(|mech| mech.is_krb5());
    let first = before.next().filter(|_| prefers);
    let better = if rules.kerberos_fallback {
        first.or(krb5)
    } else {
        krb5.or(first)
    };
    better.copied().map(Box::new)
}

/// What was offered and is not among the candidates, as reasons why nothing was chosen.
fn not_accepted(list: &MechList<'_>, candidates: &[Oid], absent: &[MechError]) -> Vec<MechError> {
    let reason = |mech: &Oid| {
        let because = absent.iter().find(|absent| absent.mech.same_mech(mech));
        let because = because.map_or(String::new(), |absent| format!(": {}", absent.reason));
        format!("offered by the initiator, not accepted here{because}")
    };
    let mut refused: Vec<MechError> = list
        .iter()
        .flatten()
        .filter(|mech| !candidates.iter().any(|candidate| candidate.same_mech(mech)))
        .take(REASONS)
        .map(|mech| MechError {
            reason: reason(&mech),
            mech,
            major: major::BAD_MECH,
            cause: Cause::Unusable,
            token: None,
        })
        .collect();
    if let Some(last) = refused.last_mut() {
        let words = std::mem::take(&mut last.reason);
        last.reason = advised(words, Some(&Trouble::NothingInCommon));
    }
    refused
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
            .map_err(|error| refuse(failed(error, mechs.record())))?,
        None => None,
    };
    let reply = conclude(&mut running, out, response.mech_list_mic, None, mechs)?;
    let next = if reply.complete {
        Acceptor::Established(running.into_established()?)
    } else {
        Acceptor::Running(running)
    };
    Ok((next, reply))
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
    running: &mut Running<M>,
    out: Option<T>,
    received: Option<&[u8]>,
    first: Option<NegState>,
    mechs: &mut impl Mechs<Mech = M>,
) -> Result<Reply, Failure> {
    // RFC 4178 section 5: when the optimistic token was also the last one, the MIC that the
    // initiator did not know it owed is preceded by ours.
    let turn = match (&out, first) {
        (None, None) => Turn::Theirs,
        _ => Turn::Ours,
    };
    let verdict = running.settle(received, turn, mechs).map_err(refuse)?;
    if !matches!(verdict, Verdict::Wait | Verdict::Ask(_)) {
        running.approve(mechs).map_err(refuse)?;
    }
    let incomplete = first.unwrap_or(NegState::AcceptIncomplete);
    let (neg_state, mic) = match verdict {
        Verdict::Wait => (incomplete, None),
        Verdict::Ask(mic) => (incomplete, Some(mic)),
        Verdict::Skip => (NegState::AcceptCompleted, None),
        Verdict::Answer(mic) => (NegState::AcceptCompleted, Some(mic)),
        // The initiator was done when it sent its MIC.
        Verdict::Agreed => return Ok(reply(None, true)),
    };
    let encoded = NegTokenResp {
        neg_state: Some(neg_state),
        supported_mech: first.and(Some(running.offered.content())),
        response_token: out.as_ref().map(AsRef::as_ref),
        mech_list_mic: mic.as_deref(),
    }
    .encode();
    let is_end = neg_state == NegState::AcceptCompleted;
    Ok(reply(Some(encoded), is_end))
}

fn reply(token: Option<Vec<u8>>, complete: bool) -> Reply {
    Reply { token, complete }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiate::script::{Script, Scripted, Side};
    use crate::oid::{IAKERB, KRB5, KRB5_MS, NTLMSSP, SPNEGO};
    use crate::role::Role;
    use crate::wire::{Writer, element_length};

    type State = Acceptor<Scripted>;

    fn side(scripts: impl Into<Vec<Script>>) -> Side {
        Side::new(Role::Acceptor, scripts)
    }

    fn offer(mechs: &[Oid], mech_token: Option<&[u8]>) -> Vec<u8> {
        NegTokenInit {
            mech_types: MechList::encode(mechs),
            mech_token,
            mech_list_mic: None,
        }
        .encode()
    }

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(element_length(content.len()));
        writer.element(tag, content);
        writer.finish()
    }

    fn response<'a>() -> NegTokenResp<'a> {
        NegTokenResp::default()
    }

    /// A side that was offered its mechanism with the first token, and its state after that.
    fn begun(script: &Script) -> (Side, State) {
        let mut side = side([script.clone()]);
        let offer = offer(&[script.mech], Some(&script.token(0)));
        let (state, reply) = State::Start.step(&offer, &mut side).unwrap();
        assert!(!reply.complete);
        (side, state)
    }

    fn refused(result: Result<(State, Reply), Failure>) -> Error {
        let failure = result.unwrap_err();
        let reject = failure.reject.expect("a reject for the initiator");
        let reject = NegTokenResp::decode(&reject).unwrap();
        assert_eq!(reject.neg_state, Some(NegState::Reject));
        assert_eq!(reject.supported_mech, None);
        failure.error
    }

    #[test]
    fn what_is_no_offer_is_rejected() {
        for token in [
            &b"\x60\x02\x06\x00"[..],
            b"NTLMSSP\0\x01\0\0\0",
            b"\xa1\x02\x30\x00",
            b"\xa0\x02\x30\x00",
        ] {
            let error = refused(State::Start.step(token, &mut side([Script::new(KRB5, 2)])));
            assert!(matches!(error, Error::InvalidToken(_)), "{token:?}");
        }
        let error = refused(State::Hinted.step(b"", &mut side([Script::new(KRB5, 2)])));
        assert!(matches!(error, Error::InvalidToken(_)));
    }

    #[test]
    fn a_token_of_another_mechanism_than_the_first_is_refused() {
        for (mech, token) in [
            (KRB5, &b"NTLMSSP\0\x01\0\0\0"[..]),
            (NTLMSSP, b"\x6e\x03abc"),
            (KRB5_MS, b"\x60\x08\x06\x06\x2b\x06\x01\x05\x02\x05"),
        ] {
            let mut side = side([Script::new(KRB5, 2), Script::new(NTLMSSP, 3)]);
            let error = refused(State::Start.step(&offer(&[mech], Some(token)), &mut side));
            assert!(matches!(
                error,
                Error::PeerMisbehaved(Misbehaviour::Other(_))
            ));
            assert!(side.log.borrow().is_empty());
        }
    }

    #[test]
    fn a_token_sent_after_the_choice_must_belong_to_it_too() {
        let mut side = side([Script::new(KRB5, 2)]);
        let offer = offer(&[KRB5], None);
        let (state, _) = State::Start.step(&offer, &mut side).unwrap();
        let foreign = NegTokenResp {
            response_token: Some(b"NTLMSSP\0\x01\0\0\0"),
            ..response()
        };
        refused(state.step(&foreign.encode(), &mut side));
        assert_eq!(*side.log.borrow(), ["vouch krb5"]);
    }

    #[test]
    fn an_empty_optimistic_token_counts_as_none() {
        let mut side = side([Script::new(KRB5, 2)]);
        let offer = offer(&[KRB5], Some(b""));
        let (state, reply) = State::Start.step(&offer, &mut side).unwrap();
        assert!(state.mech().is_none());
        assert_eq!(state.offered(), Some(KRB5));
        let reply = reply.token.unwrap();
        let reply = NegTokenResp::decode(&reply).unwrap();
        assert_eq!(reply.neg_state, Some(NegState::AcceptIncomplete));
        assert_eq!(reply.supported_mech, Some(KRB5.content()));
        assert_eq!(reply.response_token, None);
    }

    #[test]
    fn spnego_within_spnego_and_identifiers_of_any_length_are_passed_over() {
        let mut side = side([Script::new(KRB5, 2)]);
        let entries = [
            element(6, SPNEGO.content()),
            element(6, &[0x2a; 200]),
            element(6, KRB5.content()),
        ];
        let list = element(0xa0, &element(0x30, &entries.concat()));
        let init = element(0xa0, &element(0x30, &list));
        let token = element(0x60, &[element(6, SPNEGO.content()), init].concat());
        let (state, reply) = State::Start.step(&token, &mut side).unwrap();
        assert_eq!(state.offered(), Some(KRB5));
        let reply = reply.token.unwrap();
        assert_eq!(
            NegTokenResp::decode(&reply).unwrap().neg_state,
            Some(NegState::RequestMic)
        );
    }

    /// CVE-2014-4344: a continuation with nothing in it.
    #[test]
    fn a_continuation_with_neither_token_nor_mic_is_refused() {
        let empty = response().encode();
        let (mut waiting, state) = begun(&Script::new(KRB5, 4));
        refused(state.step(&empty, &mut waiting));

        let mut unstarted = side([Script::new(KRB5, 2)]);
        let offer = offer(&[KRB5], None);
        let (state, _) = State::Start.step(&offer, &mut unstarted).unwrap();
        refused(state.step(&empty, &mut unstarted));

        let (mut finished, state) = begun(&Script {
            demands_mic: true,
            ..Script::new(KRB5, 2)
        });
        let error = refused(state.step(&empty, &mut finished));
        assert_eq!(error, Error::PeerMisbehaved(Misbehaviour::MissingMic));
    }

    #[test]
    fn a_mic_without_the_token_that_the_mechanism_waits_for_is_refused() {
        let (mut side, state) = begun(&Script::new(KRB5, 4));
        let mic = NegTokenResp {
            mech_list_mic: Some(b"mic"),
            ..response()
        };
        refused(state.step(&mic.encode(), &mut side));
    }

    #[test]
    fn a_mic_before_the_mechanism_is_done_does_not_count() {
        let script = Script::new(NTLMSSP, 5);
        let mut side = side([script.clone()]);
        side.prefers = true;
        side.scripts.insert(0, Script::new(KRB5, 2));
        let early = NegTokenInit {
            mech_types: MechList::encode(&[NTLMSSP]),
            mech_token: Some(&script.token(0)),
            mech_list_mic: Some(b"too early to be verified"),
        };
        let (state, _) = State::Start.step(&early.encode(), &mut side).unwrap();
        let early = NegTokenResp {
            response_token: Some(&script.token(2)),
            mech_list_mic: Some(b"too early to be verified"),
            ..response()
        };
        let (state, _) = state.step(&early.encode(), &mut side).unwrap();
        assert!(!side.log.borrow().contains(&"verify ntlmssp".to_owned()));
        let last = NegTokenResp {
            response_token: Some(&script.token(4)),
            ..response()
        };
        let error = refused(state.step(&last.encode(), &mut side));
        assert_eq!(error, Error::PeerMisbehaved(Misbehaviour::MissingMic));
    }

    #[test]
    fn a_token_for_a_mechanism_that_is_done_is_refused() {
        let (mut side, state) = begun(&Script {
            demands_mic: true,
            ..Script::new(KRB5, 2)
        });
        let surplus = NegTokenResp {
            response_token: Some(b"surplus"),
            mech_list_mic: Some(b"mic"),
            ..response()
        };
        let error = refused(state.step(&surplus.encode(), &mut side));
        assert!(matches!(
            error,
            Error::PeerMisbehaved(Misbehaviour::Other(_))
        ));
    }

    #[test]
    fn supported_mech_and_neg_state_of_an_initiator_mean_nothing() {
        let script = Script::new(NTLMSSP, 3);
        for neg_state in [
            None,
            Some(NegState::AcceptCompleted),
            Some(NegState::RequestMic),
        ] {
            let (mut side, state) = begun(&script);
            let last = NegTokenResp {
                neg_state,
                supported_mech: Some(IAKERB.content()),
                response_token: Some(&script.token(2)),
                ..response()
            };
            let (state, reply) = state.step(&last.encode(), &mut side).unwrap();
            assert_eq!(state.into_established().unwrap().mech(), NTLMSSP);
            let reply = reply.token.unwrap();
            let expected = NegTokenResp {
                neg_state: Some(NegState::AcceptCompleted),
                ..response()
            };
            assert_eq!(NegTokenResp::decode(&reply), Ok(expected));
        }
    }

    #[test]
    fn a_later_token_may_wear_the_header_of_a_first_one() {
        let script = Script::new(NTLMSSP, 3);
        let (mut side, state) = begun(&script);
        let bare = NegTokenResp {
            response_token: Some(&script.token(2)),
            ..response()
        }
        .encode();
        let token = element(0x60, &[element(6, SPNEGO.content()), bare].concat());
        let (state, _) = state.step(&token, &mut side).unwrap();
        assert!(state.is_established());
    }

    #[test]
    fn an_initiators_reject_ends_it_without_an_answer() {
        let (mut side, state) = begun(&Script::new(KRB5, 4));
        let reject = NegTokenResp {
            neg_state: Some(NegState::Reject),
            ..response()
        };
        let failure = state.step(&reject.encode(), &mut side).unwrap_err();
        assert!(matches!(
            failure.error,
            Error::Rejected {
                negotiated: true,
                ..
            }
        ));
        assert_eq!(failure.reject, None);
    }

    #[test]
    fn an_established_context_takes_no_more_tokens() {
        let mut side = side([Script::new(KRB5, 2)]);
        let offer = offer(&[KRB5], Some(&Script::new(KRB5, 2).token(0)));
        let (state, reply) = State::Start.step(&offer, &mut side).unwrap();
        assert!(reply.complete && state.is_established());
        let failure = state.step(&offer, &mut side).unwrap_err();
        assert!(matches!(failure.error, Error::CallerMisused(_)));
    }

    #[test]
    fn a_mechanism_is_started_under_the_name_the_candidates_give_it() {
        let mut side = side([Script::new(KRB5, 2)]);
        let offer = offer(&[KRB5_MS, KRB5], Some(&Script::new(KRB5, 2).token(0)));
        let (state, reply) = State::Start.step(&offer, &mut side).unwrap();
        assert_eq!(state.into_established().unwrap().mech(), KRB5);
        let reply = reply.token.unwrap();
        let reply = NegTokenResp::decode(&reply).unwrap();
        assert_eq!(reply.neg_state, Some(NegState::AcceptCompleted));
        assert_eq!(reply.supported_mech, Some(KRB5_MS.content()));
    }
}

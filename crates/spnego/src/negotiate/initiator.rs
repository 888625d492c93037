//! The initiator's side: offer what is usable, follow the acceptor's choice, prove the list.
#![forbid(unsafe_code)]

use crate::advice::{Trouble, advised};
use crate::error::{Cause, Error, Failure, Misbehaviour};
use crate::negotiate::mic::{Mic, Turn, Verdict};
use crate::negotiate::record::MOST_TOLD;
use crate::negotiate::running::{
    Context, Running, failed, final_failure, is_final, replaces_kerberos,
};
use crate::negotiate::{Mech, Mechs, Record, Reply, refuse, silent};
use crate::oid::{self, Oid};
use crate::policy::{Rules, Setting};
use crate::trace;
use crate::trace::By;
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
                choose(&mut running, &reply, mechs).map_err(|error| fail(&reply, error))?;
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
    let optimistic = mechs.rules().optimistic_token;
    let hints = match invitation {
        [] => None,
        invitation => NegTokenInit::decode(invitation).ok(),
    };
    let mut begun = None;
    let mut first = None;
    // Places among the candidates; as a rule there are none.
    let mut left_out = Vec::new();
    let mut given_up = None;
    if let Some(hints) = &hints {
        invited(hints);
    }
    for (place, mech) in candidates.iter().copied().enumerate() {
        let starts = optimistic && first.is_none() && welcomes(hints.as_ref(), &mech);
        let usable = if starts {
            mechs.start(&mech, None).map(|first| begun = Some(first))
        } else {
            mechs.vouch(&mech)
        };
        match usable {
            Ok(()) => first = first.or(Some(mech)),
            // What was tried and says no is the answer: with another mechanism, the same wrong
            // password would only be tried again.
            Err(error) if starts && error.cause == Cause::Refused => {
                return Err(silent(failed(error, mechs.record())));
            }
            Err(error) if first.is_none() && is_final(&error, mechs) => {
                return Err(silent(final_failure(error, mechs)));
            }
            Err(error) => {
                if first.is_none() {
                    given_up.get_or_insert_with(|| Box::new(mech));
                }
                left_out.push(place);
                mechs.record().drops(error);
            }
        }
    }
    let Some(first) = first else {
        let mut considered = mechs.record().dropped().to_vec();
        considered.extend(mechs.absent());
        return Err(silent(Error::NoMech {
            considered,
            summary: "no mechanism is available to be offered; see the configuration of GSS-API",
        }));
    };
    let mut running = Box::new(Running {
        offered: first,
        mech: first,
        context: Context::Unstarted,
        mic: Mic::Optional,
        given_up,
    });
    let offered = candidates.iter().enumerate();
    let offered = offered.filter(|(place, _)| !left_out.contains(place));
    let list = MechList::encode(offered.map(|(_, mech)| mech));
    trace!(Offered {
        by: By::Us,
        mechs: &list.known(MOST_TOLD),
    });
    let must_prove = mechs.rules().require.mic;
    let record = mechs.record();
    record.keep(list);
    if must_prove {
        running.require_mic("the configuration asks for it", record);
    }
    let token = begun.map(|(mech, step)| running.note(mech, step, record));
    let settled = running.settle(None, Turn::Ours, mechs).map_err(silent)?;
    let record = mechs.record();
    let mic = match settled {
        Verdict::Ask(mic) => Some(mic),
        _ => None,
    };
    let encoded = NegTokenInit {
        mech_types: record.list().map_err(silent)?.borrow(),
        // A mechanism that begins with an empty token, or with none, has begun all the same.
        mech_token: token
            .as_ref()
            .map(|token| token.as_ref().map_or(&[][..], AsRef::as_ref)),
        mech_list_mic: mic.as_deref(),
    }
    .encode();
    Ok((Initiator::Offered(running), unfinished(encoded)))
}

/// Whether an acceptor that sent these hints would take the token of `mech`. Without any it would:
/// no other input has a meaning in a first call.
fn welcomes(hints: Option<&NegTokenInit<'_>>, mech: &Oid) -> bool {
    let welcome = hints.is_none_or(|hints| hints.mech_types.find(mech).is_some());
    if !welcome {
        trace!(Unwelcome { mech });
    }
    welcome
}

fn invited(hints: &NegTokenInit<'_>) {
    trace!(Invited {
        by: By::Peer,
        mechs: &hints.mech_types.known(MOST_TOLD),
    });
}

/// Follow the acceptor's choice, which its first reply makes.
fn choose<S: Mechs>(
    running: &mut Running<S::Mech>,
    reply: &NegTokenResp<'_>,
    mechs: &mut S,
) -> Result<(), Error> {
    let rules = *mechs.rules();
    let record = mechs.record();
    let optimistic = !matches!(running.context, Context::Unstarted);
    let chosen = match reply.supported_mech {
        Some(content) => find_offered(record, content)?,
        // Some Java acceptors send a responseToken only.
        None if optimistic => running.offered,
        None => return Err(Error::PeerMisbehaved(Misbehaviour::NoMechFromAcceptor)),
    };
    // RFC 4178 appendix C, behaviour of Samba: either identifier of Kerberos may come back.
    let why = if chosen.same_mech(&running.offered) {
        "our first choice"
    } else {
        if !rules.kerberos_fallback {
            if let Some(krb5) = kerberos_before(&chosen, record.list()?) {
                return Err(no_fallback(&chosen, &krb5, mechs));
            }
        }
        reselect(running, chosen, reply.neg_state, &rules, record)?;
        "another one than our first choice"
    };
    record.chooses(By::Peer, &chosen, why);
    if reply.neg_state == Some(NegState::RequestMic) {
        running.require_mic("the acceptor asks for it (request-mic)", record);
    }
    if !record.dropped().is_empty() {
        let candidates = mechs.candidates();
        mechs.record().tell_fallback(&chosen, &candidates);
    }
    Ok(())
}

fn find_offered(record: &Record, content: &[u8]) -> Result<Oid, Error> {
    let Some(mech) = Oid::new(content) else {
        return Err(Error::PeerMisbehaved(Misbehaviour::Other(
            "the acceptor chose a mechanism that was not offered: an identifier too long to be one",
        )));
    };
    let offered = record.list()?.find(&mech);
    offered.ok_or_else(|| not_offered(mech))
}

#[cold]
fn not_offered(mech: Oid) -> Error {
    Error::PeerMisbehaved(Misbehaviour::NotOffered(mech))
}

/// Kerberos, where we offered it before `chosen`.
fn kerberos_before(chosen: &Oid, list: &MechList<'_>) -> Option<Oid> {
    let mut before = list.iter().flatten().take_while(|mech| mech != chosen);
    before.find(|better| replaces_kerberos(chosen, better))
}

/// The acceptor's choice may be the doing of somebody between, who has spoilt Kerberos's token, which
/// no mechListMIC covers.
#[cold]
fn no_fallback(chosen: &Oid, krb5: &Oid, mechs: &impl Mechs) -> Error {
    let who = mechs.said_by(Setting::KerberosFallback);
    trace!(Downgraded {
        mech: chosen,
        from: krb5,
        reason: "by the acceptor's choice",
    });
    let words = format!(
        "the acceptor chose {chosen:?} in the place of {krb5:?}; no other mechanism is taken in its \
         place: {who}"
    );
    Error::Forbidden(advised(words, Some(&Trouble::Policy)))
}

/// Turn to another mechanism of the list. It was not the first choice, so a MIC has to protect it
/// (RFC 4178 section 5), and the acceptor has to say so (4.2.2).
fn reselect<M: Mech>(
    running: &mut Running<M>,
    chosen: Oid,
    state: Option<NegState>,
    rules: &Rules,
    record: &mut Record,
) -> Result<(), Error> {
    running.context = Context::Unstarted;
    let better = running.offered;
    running.given_up.get_or_insert_with(|| Box::new(better));
    running.offered = chosen;
    running.mech = chosen;
    running.mic = Mic::Optional;
    match state {
        Some(NegState::RequestMic) => {}
        // Windows 2003 and older follow RFC 2478 and fall back to NTLM without a word.
        Some(NegState::AcceptIncomplete) if chosen == oid::NTLMSSP => {
            if rules.legacy_windows {
                record.unprotected(&chosen, "no mechListMIC, allowed by legacy_windows");
            } else {
                running.require_mic("our first choice was not taken", record);
            }
        }
        _ => {
            return Err(Error::PeerMisbehaved(Misbehaviour::Other(
                "the acceptor chose another mechanism than the first and did not ask for a \
                 mechListMIC (RFC 4178 section 4.2.2)",
            )));
        }
    }
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
        .map_err(|error| fail(reply, failed(error, mechs.record())))?;
    let turn = match out {
        Some(_) => Turn::Ours,
        None => Turn::Theirs,
    };
    let verdict = running
        .settle(reply.mech_list_mic, turn, mechs)
        .map_err(|error| fail(reply, error))?;
    let is_end = match verdict {
        Verdict::Answer(_) => true,
        Verdict::Skip | Verdict::Agreed => out.is_none(),
        Verdict::Wait | Verdict::Ask(_) => false,
    };
    if is_end {
        running.approve(mechs).map_err(|error| fail(reply, error))?;
    }
    let (neg_state, mic) = match verdict {
        Verdict::Answer(mic) => (NegState::AcceptCompleted, Some(mic)),
        Verdict::Ask(mic) => (NegState::AcceptIncomplete, Some(mic)),
        Verdict::Skip | Verdict::Agreed if out.is_none() => {
            return established(*running, None);
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
        NegState::AcceptCompleted => established(*running, Some(encoded)),
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
        (Context::Unstarted | Context::Established(_), Some(_)) => Err(Error::PeerMisbehaved(
            Misbehaviour::Other("the acceptor sent a token that the mechanism does not wait for"),
        )),
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

#[inline(always)]
fn established<M: Mech>(
    running: Running<M>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::major;
    use crate::negotiate::script::{Script, Scripted, Side};
    use crate::oid::{IAKERB, KRB5, KRB5_MS, NTLMSSP};
    use crate::role::Role;

    type State = Initiator<Scripted>;

    /// A side that offers these, and its state after the offer.
    fn offered(scripts: impl Into<Vec<Script>>) -> (Side, State) {
        let mut side = Side::new(Role::Initiator, scripts);
        let (state, reply) = State::Start.step(None, &mut side).unwrap();
        assert!(!reply.complete);
        (side, state)
    }

    fn reply<'a>() -> NegTokenResp<'a> {
        NegTokenResp::default()
    }

    fn step(
        state: State,
        reply: NegTokenResp<'_>,
        side: &mut Side,
    ) -> Result<(State, Reply), Failure> {
        state.step(Some(&reply.encode()), side)
    }

    fn refused(result: Result<(State, Reply), Failure>) -> Error {
        let failure = result.unwrap_err();
        let reject = failure.reject.expect("a reject for the acceptor");
        let reject = NegTokenResp::decode(&reject).unwrap();
        assert_eq!(reject.neg_state, Some(NegState::Reject));
        failure.error
    }

    fn misbehaved(result: Result<(State, Reply), Failure>) -> Misbehaviour {
        let error = refused(result);
        assert_eq!(error.major(), major::DEFECTIVE_TOKEN);
        let Error::PeerMisbehaved(how) = error else {
            panic!("{error:?}");
        };
        how
    }

    #[test]
    fn neg_state_and_supported_mech_may_be_missing_from_the_first_reply() {
        let kerberos = Script::new(KRB5, 2);
        let (mut side, state) = offered([kerberos.clone()]);
        let bare = NegTokenResp {
            response_token: Some(&kerberos.token(1)),
            ..reply()
        };
        let (state, reply) = step(state, bare, &mut side).unwrap();
        assert!(state.is_established() && reply.complete);
        assert_eq!(reply.token, None);
    }

    #[test]
    fn kerberos_may_be_answered_under_its_other_identifier() {
        let kerberos = Script::new(KRB5, 2);
        let (mut side, state) = offered([kerberos.clone(), Script::new(NTLMSSP, 3)]);
        let answer = NegTokenResp {
            neg_state: Some(NegState::AcceptCompleted),
            supported_mech: Some(KRB5_MS.content()),
            response_token: Some(&kerberos.token(1)),
            ..reply()
        };
        let (state, _) = step(state, answer, &mut side).unwrap();
        assert_eq!(state.into_established().unwrap().mech(), KRB5);
    }

    #[test]
    fn supported_mech_in_a_later_reply_is_ignored() {
        let kerberos = Script::new(KRB5, 4);
        let (mut side, state) = offered([kerberos.clone(), Script::new(NTLMSSP, 3)]);
        let first = NegTokenResp {
            neg_state: Some(NegState::AcceptIncomplete),
            supported_mech: Some(KRB5.content()),
            response_token: Some(&kerberos.token(1)),
            ..reply()
        };
        let (state, _) = step(state, first, &mut side).unwrap();
        assert_eq!(state.offered(), Some(KRB5));
        for repeated in [KRB5, NTLMSSP, IAKERB] {
            let (mut side, state) = offered([kerberos.clone(), Script::new(NTLMSSP, 3)]);
            let (state, _) = step(state, first, &mut side).unwrap();
            let later = NegTokenResp {
                neg_state: Some(NegState::AcceptCompleted),
                supported_mech: Some(repeated.content()),
                response_token: Some(&kerberos.token(3)),
                ..reply()
            };
            let (state, _) = step(state, later, &mut side).unwrap();
            assert_eq!(state.into_established().unwrap().mech(), KRB5);
        }
    }

    #[test]
    fn request_mic_in_a_later_reply_asks_for_nothing() {
        let kerberos = Script::new(KRB5, 4);
        let (mut side, state) = offered([kerberos.clone()]);
        let answer = |neg_state| NegTokenResp {
            neg_state: Some(neg_state),
            ..reply()
        };
        let first = NegTokenResp {
            response_token: Some(&kerberos.token(1)),
            ..answer(NegState::AcceptIncomplete)
        };
        let (state, _) = step(state, first, &mut side).unwrap();
        let later = NegTokenResp {
            response_token: Some(&kerberos.token(3)),
            ..answer(NegState::RequestMic)
        };
        let (state, _) = step(state, later, &mut side).unwrap();
        assert!(state.is_established());
    }

    /// CVE-2010-0628: a peer that asks for a MIC and then sends none is refused, not asserted away.
    #[test]
    fn request_mic_for_the_first_choice_makes_the_mic_mandatory() {
        for tokens in [1, 2] {
            let kerberos = Script::new(KRB5, tokens);
            let (mut side, state) = offered([kerberos.clone()]);
            let token = kerberos.token(1);
            let answer = NegTokenResp {
                neg_state: Some(NegState::RequestMic),
                supported_mech: Some(KRB5.content()),
                response_token: (tokens == 2).then_some(&token[..]),
                ..reply()
            };
            let how = misbehaved(step(state, answer, &mut side));
            assert_eq!(how, Misbehaviour::MissingMic);
        }
    }

    #[test]
    fn a_mechanism_that_was_not_offered_is_refused() {
        let (mut side, state) = offered([Script::new(KRB5, 2), Script::new(NTLMSSP, 3)]);
        let answer = NegTokenResp {
            neg_state: Some(NegState::RequestMic),
            supported_mech: Some(IAKERB.content()),
            ..reply()
        };
        let how = misbehaved(step(state, answer, &mut side));
        assert_eq!(how, Misbehaviour::NotOffered(IAKERB));

        let (mut side, state) = offered([Script::new(KRB5, 2)]);
        let answer = NegTokenResp {
            supported_mech: Some(&[0x2a; 40]),
            ..answer
        };
        let how = misbehaved(step(state, answer, &mut side));
        assert!(matches!(how, Misbehaviour::Other(_)));
    }

    #[test]
    fn an_acceptor_that_saw_no_token_has_to_name_its_choice() {
        let mut side = Side::new(Role::Initiator, [Script::new(KRB5, 2)]);
        side.rules.optimistic_token = false;
        let (state, _) = State::Start.step(None, &mut side).unwrap();
        assert!(state.mech().is_none());
        let how = misbehaved(step(state, reply(), &mut side));
        assert_eq!(how, Misbehaviour::NoMechFromAcceptor);
    }

    /// What legacy Windows does: NTLM, and not a word about MICs.
    fn legacy_fallback(legacy_windows: bool) -> (Side, State, Reply) {
        let ntlm = Script::new(NTLMSSP, 3);
        let (mut side, state) = offered([Script::new(KRB5, 2), ntlm.clone()]);
        side.rules.legacy_windows = legacy_windows;
        let answer = NegTokenResp {
            neg_state: Some(NegState::AcceptIncomplete),
            supported_mech: Some(NTLMSSP.content()),
            ..reply()
        };
        let (state, _) = step(state, answer, &mut side).unwrap();
        let challenge = NegTokenResp {
            neg_state: Some(NegState::AcceptIncomplete),
            response_token: Some(&ntlm.token(1)),
            ..reply()
        };
        let (state, reply) = step(state, challenge, &mut side).unwrap();
        assert!(!reply.complete);
        (side, state, reply)
    }

    const COMPLETED: NegTokenResp<'_> = NegTokenResp {
        neg_state: Some(NegState::AcceptCompleted),
        supported_mech: None,
        response_token: None,
        mech_list_mic: None,
    };

    #[test]
    fn ntlm_chosen_without_request_mic_is_protected_all_the_same() {
        let (mut side, state, sent) = legacy_fallback(false);
        let sent = sent.token.unwrap();
        assert!(NegTokenResp::decode(&sent).unwrap().mech_list_mic.is_some());
        let failure = step(state, COMPLETED, &mut side).unwrap_err();
        assert_eq!(
            failure.error,
            Error::PeerMisbehaved(Misbehaviour::MissingMic)
        );
        assert_eq!(failure.reject, None);
    }

    #[test]
    fn legacy_windows_is_left_alone_with_mics_where_the_rules_allow_it() {
        let (mut side, state, sent) = legacy_fallback(true);
        let sent = sent.token.unwrap();
        assert_eq!(NegTokenResp::decode(&sent).unwrap().mech_list_mic, None);
        let (state, _) = step(state, COMPLETED, &mut side).unwrap();
        assert_eq!(state.into_established().unwrap().mech(), NTLMSSP);
    }

    #[test]
    fn a_reselecting_reply_carries_no_token() {
        for (token, is_fine) in [(None, true), (Some(&b""[..]), true), (Some(b"x"), false)] {
            let (mut side, state) = offered([Script::new(KRB5, 2), Script::new(NTLMSSP, 3)]);
            let answer = NegTokenResp {
                neg_state: Some(NegState::RequestMic),
                supported_mech: Some(NTLMSSP.content()),
                response_token: token,
                ..reply()
            };
            assert_eq!(step(state, answer, &mut side).is_ok(), is_fine, "{token:?}");
        }
    }

    #[test]
    fn a_reselected_mechanism_that_cannot_start_ends_the_negotiation() {
        let ntlm = Script::new(NTLMSSP, 3);
        let (mut side, state) = offered([Script::new(KRB5, 2), ntlm.clone()]);
        side.scripts[1] = ntlm.failing(0, Cause::Unusable);
        let answer = NegTokenResp {
            neg_state: Some(NegState::RequestMic),
            supported_mech: Some(NTLMSSP.content()),
            ..reply()
        };
        let error = refused(step(state, answer, &mut side));
        assert_eq!(error.major(), major::NO_CRED);
    }

    #[test]
    fn a_token_that_is_missing_is_told_from_one_that_is_too_many() {
        let accepted = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            neg_state: Some(NegState::AcceptIncomplete),
            ..reply()
        };
        let (mut side, state) = offered([Script::new(KRB5, 2)]);
        let how = misbehaved(step(state, accepted, &mut side));
        assert_eq!(how, Misbehaviour::NoTokenFromAcceptor(KRB5));

        let (mut side, state) = offered([Script::new(KRB5, 1)]);
        let surplus = NegTokenResp {
            response_token: Some(b"surplus"),
            ..accepted
        };
        let how = misbehaved(step(state, surplus, &mut side));
        assert!(matches!(how, Misbehaviour::Other(_)));
    }

    #[test]
    fn an_empty_token_is_none_to_a_mechanism_that_is_done() {
        let (mut side, state) = offered([Script::new(KRB5, 1)]);
        let iis_6 = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            response_token: Some(b""),
            ..COMPLETED
        };
        let (state, reply) = step(state, iis_6, &mut side).unwrap();
        assert!(state.is_established() && reply.token.is_none());
    }

    #[test]
    fn a_mechanism_that_sent_its_last_token_waits_for_the_acceptors_word() {
        let ntlm = Script::new(NTLMSSP, 3);
        let (mut side, state) = offered([ntlm.clone()]);
        let challenge = NegTokenResp {
            neg_state: Some(NegState::AcceptIncomplete),
            supported_mech: Some(NTLMSSP.content()),
            response_token: Some(&ntlm.token(1)),
            ..reply()
        };
        let (state, reply) = step(state, challenge, &mut side).unwrap();
        assert!(!reply.complete && !state.is_established());
        let sent = reply.token.unwrap();
        let sent = NegTokenResp::decode(&sent).unwrap();
        assert_eq!(sent.neg_state, Some(NegState::AcceptIncomplete));
        let (state, reply) = step(state, COMPLETED, &mut side).unwrap();
        assert!(reply.complete && reply.token.is_none() && state.is_established());
    }

    #[test]
    fn a_mic_that_repeats_the_token_never_stands_for_one() {
        let kerberos = Script::new(KRB5, 2);
        let token = kerberos.token(1);
        let copied = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            response_token: Some(&token),
            mech_list_mic: Some(&token),
            ..COMPLETED
        };
        let (mut side, state) = offered([kerberos.clone()]);
        let (state, reply) = step(state, copied, &mut side).unwrap();
        assert!(state.is_established() && reply.token.is_none());

        let (mut side, state) = offered([kerberos]);
        let copied = NegTokenResp {
            neg_state: Some(NegState::RequestMic),
            ..copied
        };
        let how = misbehaved(step(state, copied, &mut side));
        assert_eq!(how, Misbehaviour::MissingMic);
    }

    #[test]
    fn a_mic_before_the_mechanism_is_done_does_not_count() {
        let ntlm = Script::new(NTLMSSP, 5);
        let (mut side, state) = offered([ntlm.clone()]);
        let early = NegTokenResp {
            neg_state: Some(NegState::RequestMic),
            supported_mech: Some(NTLMSSP.content()),
            response_token: Some(&ntlm.token(1)),
            mech_list_mic: Some(b"too early to be verified"),
        };
        let (state, _) = step(state, early, &mut side).unwrap();
        let next = NegTokenResp {
            neg_state: Some(NegState::AcceptIncomplete),
            response_token: Some(&ntlm.token(3)),
            ..reply()
        };
        let (state, _) = step(state, next, &mut side).unwrap();
        assert!(!side.log.borrow().contains(&"verify ntlmssp".to_owned()));
        let failure = step(state, COMPLETED, &mut side).unwrap_err();
        assert_eq!(
            failure.error,
            Error::PeerMisbehaved(Misbehaviour::MissingMic)
        );
    }

    #[test]
    fn a_reject_says_whether_a_mechanism_had_been_agreed_on() {
        let kerberos = Script::new(KRB5, 4);
        let reject = NegTokenResp {
            neg_state: Some(NegState::Reject),
            ..reply()
        };
        let (mut side, state) = offered([
            Script::new(IAKERB, 2).failing(0, Cause::Unusable),
            kerberos.clone(),
        ]);
        let failure = step(state, reject, &mut side).unwrap_err();
        assert_eq!(failure.error.major(), major::BAD_MECH);
        assert_eq!(failure.reject, None);
        // Why the first choice was not even offered is part of the story.
        assert!(failure.error.sentences()[1].starts_with("iakerb: "));

        let (mut side, state) = offered([kerberos.clone()]);
        let first = NegTokenResp {
            neg_state: Some(NegState::AcceptIncomplete),
            supported_mech: Some(KRB5.content()),
            response_token: Some(&kerberos.token(1)),
            ..reply()
        };
        let (state, _) = step(state, first, &mut side).unwrap();
        let failure = step(state, reject, &mut side).unwrap_err();
        assert_eq!(failure.error.major(), major::FAILURE);
    }

    #[test]
    fn a_reject_is_one_even_if_the_mechanism_likes_its_token() {
        let kerberos = Script::new(KRB5, 2);
        let (mut side, state) = offered([kerberos.clone()]);
        let reject = NegTokenResp {
            neg_state: Some(NegState::Reject),
            response_token: Some(&kerberos.token(1)),
            ..reply()
        };
        let failure = step(state, reject, &mut side).unwrap_err();
        assert!(matches!(failure.error, Error::Rejected { .. }));
        assert_eq!(failure.reject, None);
    }

    #[test]
    fn what_is_no_token_is_answered_with_a_reject() {
        for input in [
            None,
            Some(&b""[..]),
            Some(b"\xa1\x05"),
            Some(b"HTTP/1.1 401"),
        ] {
            let (mut side, state) = offered([Script::new(KRB5, 2)]);
            let error = refused(state.step(input, &mut side));
            assert!(matches!(error, Error::InvalidToken(_)), "{input:?}");
        }
    }

    #[test]
    fn an_established_context_takes_no_more_tokens() {
        let (mut side, state) = offered([Script::new(KRB5, 1)]);
        let completed = NegTokenResp {
            supported_mech: Some(KRB5.content()),
            ..COMPLETED
        };
        let (state, _) = step(state, completed, &mut side).unwrap();
        let failure = step(state, completed, &mut side).unwrap_err();
        assert!(matches!(failure.error, Error::CallerMisused(_)));
    }
}

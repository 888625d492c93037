//! The protocol over scripted mechanisms, and tokens made by hand.

use spnego::error::{Error, Failure, Misbehaviour, major};
use spnego::negotiate::conversation::{self, Conversation};
use spnego::negotiate::script::{End, Outcome, Script, Scripted, Side, converse};
use spnego::negotiate::{Acceptor, Initiator, Mech as _, Mechs as _, Reply};
use spnego::oid::Oid;
use spnego::role::Role;
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

pub(crate) fn initiator(scripts: impl Into<Vec<Script>>) -> Side {
    Side::new(Role::Initiator, scripts)
}

pub(crate) fn acceptor(scripts: impl Into<Vec<Script>>) -> Side {
    Side::new(Role::Acceptor, scripts)
}

/// An acceptor whose order is its own.
pub(crate) fn preferring(scripts: impl Into<Vec<Script>>) -> Side {
    Side {
        prefers: true,
        ..acceptor(scripts)
    }
}

pub(crate) fn without_optimistic_token(mut side: Side) -> Side {
    side.rules.optimistic_token = false;
    side
}

pub(crate) fn without_integrity(script: Script) -> Script {
    Script {
        integrity: false,
        ..script
    }
}

/// The mechanism itself wants the MICs.
pub(crate) fn demanding(script: Script) -> Script {
    Script {
        demands_mic: true,
        ..script
    }
}

// ---- both sides ----

pub(crate) fn talk(mut initiators: Side, mut acceptors: Side) -> Outcome {
    converse(&mut initiators, &mut acceptors, |_, token| token)
}

/// The same with the token of a number altered on the way, if it is a NegTokenResp.
pub(crate) fn meddled(
    mut initiators: Side,
    mut acceptors: Side,
    which: usize,
    alter: impl Fn(&mut NegTokenResp<'_>),
) -> Outcome {
    converse(&mut initiators, &mut acceptors, |number, token| {
        match number == which {
            true => altered(&token, &alter),
            false => token,
        }
    })
}

pub(crate) fn altered(token: &[u8], alter: impl FnOnce(&mut NegTokenResp<'_>)) -> Vec<u8> {
    let mut response = NegTokenResp::decode(token).unwrap();
    alter(&mut response);
    response.encode()
}

pub(crate) fn both(mech: Oid) -> (End, End) {
    (End::Established(mech), End::Established(mech))
}

pub(crate) fn ends(outcome: &Outcome) -> (End, End) {
    (outcome.initiator.clone(), outcome.acceptor.clone())
}

/// What is in each token: for a NegTokenResp its negState and the fields that are there.
pub(crate) fn seen(outcome: &Outcome) -> Vec<String> {
    outcome.tokens.iter().map(|token| describe(token)).collect()
}

pub(crate) fn describe(token: &[u8]) -> String {
    let (kind, fields) = match NegTokenInit::decode(token) {
        Ok(init) => ("init", [None, init.mech_token, init.mech_list_mic]),
        Err(_) => {
            let response = NegTokenResp::decode(token).unwrap();
            let kind = match response.neg_state {
                None => "-",
                Some(NegState::AcceptCompleted) => "completed",
                Some(NegState::AcceptIncomplete) => "incomplete",
                Some(NegState::Reject) => "reject",
                Some(NegState::RequestMic) => "request-mic",
            };
            let fields = [
                response.supported_mech,
                response.response_token,
                response.mech_list_mic,
            ];
            (kind, fields)
        }
    };
    let names = [" mech", " token", " mic"].into_iter().zip(fields);
    names
        .filter(|(_, field)| field.is_some())
        .fold(kind.to_owned(), |line, (name, _)| line + name)
}

/// This end failed, the peer's token being at fault; how.
#[track_caller]
pub(crate) fn blamed(end: &End) -> Misbehaviour {
    let End::Failed(error) = end else {
        panic!("{end:?}");
    };
    assert_eq!(error.major(), major::DEFECTIVE_TOKEN);
    let Error::PeerMisbehaved(how) = error else {
        panic!("{error:?}");
    };
    how.clone()
}

pub(crate) fn wrong_mic() -> Misbehaviour {
    Misbehaviour::WrongMic("invalid signature".to_owned())
}

// ---- one side, fed by hand ----

/// An initiator.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) side: Side,
    state: Initiator<Scripted>,
}

impl Client {
    /// One that has made its offer, and that.
    pub(crate) fn offering(side: Side) -> (Self, Vec<u8>) {
        Self::invited(None, side)
    }

    /// The same after what an acceptor sent first.
    pub(crate) fn invited(hints: Option<&[u8]>, mut side: Side) -> (Self, Vec<u8>) {
        let (state, reply) = Initiator::Start.step(hints, &mut side).unwrap();
        assert!(!reply.complete);
        (Self { side, state }, reply.token.unwrap())
    }

    pub(crate) fn hears(&mut self, token: &[u8]) -> Result<Reply, Failure> {
        let state = std::mem::take(&mut self.state);
        let (state, reply) = state.step(Some(token), &mut self.side)?;
        self.state = state;
        Ok(reply)
    }

    pub(crate) fn established(self) -> Option<Oid> {
        Some(self.state.into_established()?.mech())
    }
}

/// An acceptor.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) side: Side,
    state: Acceptor<Scripted>,
}

impl Server {
    pub(crate) fn new(side: Side) -> Self {
        let state = Acceptor::Start;
        Self { side, state }
    }

    pub(crate) fn hears(&mut self, token: &[u8]) -> Result<Reply, Failure> {
        let state = std::mem::take(&mut self.state);
        let (state, reply) = state.step(token, &mut self.side)?;
        self.state = state;
        Ok(reply)
    }

    pub(crate) fn established(self) -> Option<Oid> {
        Some(self.state.into_established()?.mech())
    }
}

/// How a fed side failed.
#[track_caller]
pub(crate) fn fault(result: Result<Reply, Failure>) -> Misbehaviour {
    blamed(&End::Failed(result.unwrap_err().error))
}

/// An initiator's offer.
pub(crate) fn offer(mechs: &[Oid], mech_token: Option<&[u8]>) -> Vec<u8> {
    NegTokenInit {
        mech_types: MechList::encode(mechs),
        mech_token,
        mech_list_mic: None,
    }
    .encode()
}

/// A NegTokenResp with nothing but its state, to be filled.
pub(crate) fn says(state: NegState) -> NegTokenResp<'static> {
    NegTokenResp {
        neg_state: Some(state),
        ..NegTokenResp::default()
    }
}

/// The MIC that a scripted mechanism makes in a role over these octets.
pub(crate) fn mic_over(octets: &[u8], role: Role, script: &Script) -> Vec<u8> {
    let mut side = Side::new(role, [script.clone()]);
    let first = script.token(0);
    let token = (role == Role::Acceptor).then_some(&first[..]);
    let (mut mech, _) = side.start(&script.mech, token).unwrap();
    mech.sign(octets).unwrap()
}

/// One side whose messages go in pieces, fed by hand.
#[derive(Debug)]
pub(crate) struct Talker<R> {
    pub(crate) side: Side,
    conversation: Option<Conversation<R>>,
}

impl<R: conversation::Speaker<Mech = Scripted>> Talker<R> {
    /// `largest` is the maximum output token size.
    pub(crate) fn new(role: R, mut side: Side, largest: usize) -> Self {
        side.rules.max_output_token_size = largest;
        let conversation = Some(Conversation::new(role));
        Self { side, conversation }
    }

    pub(crate) fn hears(&mut self, token: &[u8]) -> Result<Reply, Failure> {
        let conversation = self.conversation.take().unwrap();
        let (conversation, reply) = conversation.step(Some(token), &mut self.side)?;
        self.conversation = Some(conversation);
        Ok(reply)
    }
}

/// What waits for the next piece: the empty token and GSS_S_CONTINUE_NEEDED.
pub(crate) const WAITING: Reply = Reply {
    token: None,
    complete: false,
};

// ---- octets ----

/// One element with a length of one octet.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 0x80, "short elements only");
    [&[tag, length], content].concat()
}

/// A NegTokenInit around these encoded fields.
pub(crate) fn init_of(fields: &[&[u8]]) -> Vec<u8> {
    let choice = element(0xa0, &element(0x30, &fields.concat()));
    element(0x60, &[&SPNEGO_OID[..], &choice].concat())
}

/// A NegTokenResp around these encoded fields.
pub(crate) fn resp_of(fields: &[&[u8]]) -> Vec<u8> {
    element(0xa1, &element(0x30, &fields.concat()))
}

/// The tags of the fields of a token, one after the other.
pub(crate) fn field_tags(token: &[u8]) -> Vec<u8> {
    let (_, mut content, _) = split(token);
    if token[0] == 0x60 {
        content = split(split(content).2).1;
    }
    let mut fields = split(content).1;
    let mut tags = Vec::new();
    while !fields.is_empty() {
        let (tag, _, rest) = split(fields);
        tags.push(tag);
        fields = rest;
    }
    tags
}

/// The first element: its tag, its content, and what follows.
pub(crate) fn split(octets: &[u8]) -> (u8, &[u8], &[u8]) {
    let long = usize::from(octets[1]) & 0x7f;
    let (head, length) = match octets[1] < 0x80 {
        true => (2, long),
        false => {
            let length = octets[2..2 + long].iter();
            let length = length.fold(0, |sum, octet| (sum << 8) | usize::from(*octet));
            (2 + long, length)
        }
    };
    (
        octets[0],
        &octets[head..head + length],
        &octets[head + length..],
    )
}

pub(crate) const SPNEGO_OID: [u8; 8] = [0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];

//! One end of a negotiation, and what must hold of it after every token.

use spnego::negotiate::conversation::{Conversation, Speaker, Unfinished};
use spnego::negotiate::{Acceptor, Initiator};
use spnego::wire::spnego::{NegState, NegTokenResp};

use crate::memory::{Used, measured};
use crate::model::{Context, Plan, Side};

/// How it ended for one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Established(Plan),
    /// It waits.
    Open,
    Refused,
}

/// A role of the protocol, to look into.
pub(crate) trait Talks: Speaker<Mech = Context> + Default {
    fn context(&self) -> Option<&Context>;
    fn established(self) -> Option<Context>;
}

impl Talks for Initiator<Context> {
    fn context(&self) -> Option<&Context> {
        self.mech()
    }

    fn established(self) -> Option<Context> {
        self.into_established()
    }
}

impl Talks for Acceptor<Context> {
    fn context(&self) -> Option<&Context> {
        self.mech()
    }

    fn established(self) -> Option<Context> {
        self.into_established()
    }
}

/// One end.
pub(crate) struct Party<R> {
    /// `None` after it refused.
    conversation: Option<Conversation<R>>,
    is_complete: bool,
    received: usize,
    /// Octets that it holds.
    held: isize,
}

/// What a token brought about.
pub(crate) struct Answer {
    /// What is sent; an empty token asks for the next piece of a message.
    pub(crate) token: Option<Vec<u8>>,
    /// What must not be.
    pub(crate) wrong: Option<String>,
}

impl<R: Talks> Party<R> {
    pub(crate) fn new() -> Self {
        Self {
            conversation: Some(Conversation::new(R::default())),
            is_complete: false,
            received: 0,
            held: 0,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_complete || self.has_refused()
    }

    pub(crate) fn has_refused(&self) -> bool {
        self.conversation.is_none()
    }

    pub(crate) fn end(self) -> End {
        match self.conversation {
            None => End::Refused,
            Some(_) if !self.is_complete => End::Open,
            Some(conversation) => conversation
                .into_role()
                .established()
                .map_or(End::Open, |context| End::Established(context.plan)),
        }
    }

    /// Take its turn. `None`: it is over, and hears nothing.
    pub(crate) fn step(&mut self, token: Option<&[u8]>, side: &mut Side) -> Option<Answer> {
        if self.is_complete {
            return None;
        }
        let conversation = self.conversation.take()?;
        self.received += token.map_or(0, <[u8]>::len);
        let must_refuse = token.and_then(|token| must_refuse(&conversation, token));
        let (stepped, used) = measured(|| conversation.step(token, side));
        let (token, is_incomplete) = match stepped {
            Ok((next, reply)) => {
                self.is_complete = reply.complete;
                let is_incomplete = reply.complete && !next.is_whole();
                self.conversation = Some(next);
                let waits = || (!reply.complete).then(Vec::new);
                (reply.token.or_else(waits), is_incomplete)
            }
            Err(failure) => (failure.reject, false),
        };
        let name = R::ROLE.name();
        let wrong = match must_refuse {
            Some(why) if !self.has_refused() => Some(format!("the {name} goes on after {why}")),
            _ if is_incomplete => Some(format!("the {name} is complete before its last piece")),
            _ => self.holds_too_much(used, token.as_ref().map_or(0, Vec::capacity)),
        };
        Some(Answer { token, wrong })
    }

    /// Memory is bounded by what was received: by how much it is, not by what a peer says that it will
    /// be.
    fn holds_too_much(&mut self, used: Used, sent: usize) -> Option<String> {
        let octets = |count: usize| isize::try_from(count).unwrap_or(isize::MAX);
        self.held += used.kept - octets(sent);
        let received = octets(self.received);
        let (may_hold, may_use) = (HELD + 2 * received, USED + 3 * received);
        let name = R::ROLE.name();
        if self.held > may_hold {
            let held = self.held;
            return Some(format!("the {name} holds {held} octets after {received}"));
        }
        let most = used.most;
        (most > may_use).then(|| format!("the {name} uses {most} octets after {received}"))
    }
}

/// Why an end must not go on after this token.
fn must_refuse<R: Talks>(end: &Conversation<R>, token: &[u8]) -> Option<&'static str> {
    // In the middle of a message it is not read as one.
    if let Some(Unfinished::Received { .. }) = end.unfinished() {
        return None;
    }
    let resp = NegTokenResp::decode(token).ok()?;
    if resp.neg_state == Some(NegState::Reject) {
        return Some("a reject");
    }
    let is_done = end.role().context().is_some_and(Context::is_done);
    let has_token = resp.response_token.is_some_and(|token| !token.is_empty());
    (is_done && has_token).then_some("a token for a mechanism that is done")
}

/// What an end of the model has when nothing has arrived, with its list, its mechanism and its reasons.
const HELD: isize = 1_024;
/// The same while a token is read, its answer made, and an error told.
const USED: isize = 2_048;

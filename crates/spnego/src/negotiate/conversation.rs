//! A role with its messages in pieces, both directions (MS-SPNG 3.1.5.4 to 3.1.5.9).
#![forbid(unsafe_code)]

use crate::error::{Error, Failure, Misbehaviour};
use crate::negotiate::fragment::{Assembled, Assembler, Fragmenter};
use crate::negotiate::{Acceptor, Initiator, Mech, Mechs, Reply, refuse, reject, silent};
use crate::role::Role;
use crate::trace;
use crate::wire::spnego::{NegState, NegTokenResp};

/// One side of the negotiation, as fragmentation sees it: whole tokens in, whole tokens out.
pub trait Speaker: Sized {
    /// The context of an inner mechanism.
    type Mech: Mech;

    /// Which of the two it is.
    const ROLE: Role;

    /// Consume one whole token of the peer, and the state with it; `None` for an initiator that
    /// has none.
    ///
    /// # Errors
    /// The negotiation is over.
    fn step(
        self,
        token: Option<&[u8]>,
        mechs: &mut impl Mechs<Mech = Self::Mech>,
    ) -> Result<(Self, Reply), Failure>;
}

impl<M: Mech> Speaker for Initiator<M> {
    type Mech = M;

    const ROLE: Role = Role::Initiator;

    fn step(
        self,
        token: Option<&[u8]>,
        mechs: &mut impl Mechs<Mech = M>,
    ) -> Result<(Self, Reply), Failure> {
        // The method of the role itself, which is not this one.
        Self::step(self, token, mechs)
    }
}

impl<M: Mech> Speaker for Acceptor<M> {
    type Mech = M;

    const ROLE: Role = Role::Acceptor;

    fn step(
        self,
        token: Option<&[u8]>,
        mechs: &mut impl Mechs<Mech = M>,
    ) -> Result<(Self, Reply), Failure> {
        Self::step(self, token.unwrap_or_default(), mechs)
    }
}

/// A role, and the message that is on its way in pieces. While there is none, it costs a look at
/// the token's header.
#[derive(Debug)]
pub struct Conversation<R> {
    role: R,
    pending: Option<Box<Pending>>,
}

/// The one message in pieces: while one side has pieces to send, the other sends empty tokens.
#[derive(Debug)]
enum Pending {
    Receiving(Assembler),
    Sending { rest: Fragmenter, complete: bool },
}

/// How far a message in pieces has come, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// One of the peer's.
    Received {
        /// What has arrived.
        so_far: usize,
        /// All of it; `None` while its header is not all there.
        announced: Option<usize>,
    },
    /// One of ours.
    Sent {
        /// What the peer has not asked for yet.
        left: usize,
    },
}

impl<R: Speaker> Conversation<R> {
    /// Begin a negotiation in a role.
    pub fn new(role: R) -> Self {
        Self {
            role,
            pending: None,
        }
    }

    /// The role in its state. It may be established before [`Reply::complete`] says so: then
    /// pieces of its last token are still to be sent.
    pub fn role(&self) -> &R {
        &self.role
    }

    /// Whether no message is on its way in pieces.
    pub fn is_whole(&self) -> bool {
        self.pending.is_none()
    }

    /// The message that is on its way in pieces.
    pub fn unfinished(&self) -> Option<Unfinished> {
        self.pending.as_deref().map(|pending| match pending {
            Pending::Receiving(assembler) => Unfinished::Received {
                so_far: assembler.arrived(),
                announced: assembler.announced(),
            },
            Pending::Sending { rest, .. } => Unfinished::Sent { left: rest.left() },
        })
    }

    /// The role, for good; a message in pieces is dropped.
    pub fn into_role(self) -> R {
        self.role
    }

    /// Consume what arrived from the peer, a token or a piece of one, or the empty token that asks
    /// for our next piece.
    ///
    /// A reply without a token that is not complete is the empty token that asks for the next.
    ///
    /// # Errors
    /// The negotiation is over. After an error there is no next call to send the rest of a reject
    /// token, so one that is larger than a piece may be goes without the mechanism's error token,
    /// or not at all.
    pub fn step(
        self,
        token: Option<&[u8]>,
        mechs: &mut impl Mechs<Mech = R::Mech>,
    ) -> Result<(Self, Reply), Failure> {
        let arrived = token.unwrap_or_default();
        mechs.record().arrives(arrived);
        let mut stepped = match self.pending {
            None => match Assembler::begin(arrived) {
                Ok(None) => whole(self.role, token, mechs),
                Ok(Some(begun)) => Ok(wait(self.role, begun, arrived)),
                Err(error) => Err(refuse(error)),
            },
            Some(pending) => more(self.role, *pending, arrived, mechs),
        };
        if let Err(failure) = &mut stepped {
            shorten::<R>(failure, mechs.rules().max_output_token_size);
        }
        mechs.record().leaves(&stepped);
        stepped
    }
}

/// A token arrived, or its last piece.
#[inline]
fn whole<R: Speaker>(
    role: R,
    token: Option<&[u8]>,
    mechs: &mut impl Mechs<Mech = R::Mech>,
) -> Result<(Conversation<R>, Reply), Failure> {
    if let Some(token) = token {
        trace!(Received {
            kind: kind(token, R::ROLE == Role::Acceptor),
            octets: token.len(),
        });
    }
    let (role, reply) = role.step(token, mechs)?;
    if let Some(token) = &reply.token {
        trace!(Sent {
            kind: kind(token, R::ROLE == Role::Initiator),
            octets: token.len(),
        });
    }
    let largest = mechs.rules().max_output_token_size;
    match reply.token {
        Some(token) if is_over(&token, largest) => Ok(send_next(
            role,
            Fragmenter::new(token),
            reply.complete,
            largest,
        )),
        _ => Ok((with(role, None), reply)),
    }
}

/// A piece arrived of a message on its way, in either direction.
#[cold]
fn more<R: Speaker>(
    role: R,
    pending: Pending,
    piece: &[u8],
    mechs: &mut impl Mechs<Mech = R::Mech>,
) -> Result<(Conversation<R>, Reply), Failure> {
    match pending {
        Pending::Receiving(assembler) => match assembler.take(piece).map_err(refuse)? {
            Assembled::Waiting(assembler) => Ok(wait(role, assembler, piece)),
            Assembled::Whole(token) => whole(role, Some(&token), mechs),
        },
        Pending::Sending { rest, complete } if piece.is_empty() => {
            let largest = mechs.rules().max_output_token_size;
            Ok(send_next(role, rest, complete, largest))
        }
        Pending::Sending { .. } if rejects(piece) => {
            Err(silent(Error::PeerMisbehaved(Misbehaviour::Other(
                "the peer rejects a fragment (MS-SPNG 3.1.5.6): it may not put fragments together, \
                 and then max_output_token_size is not for it",
            ))))
        }
        Pending::Sending { .. } => Err(refuse(Error::PeerMisbehaved(Misbehaviour::Other(
            "the peer sent a token while fragments of ours were still to come (MS-SPNG 3.1.5.6)",
        )))),
    }
}

/// Whether it is a NegTokenResp that ends the negotiation.
fn rejects(token: &[u8]) -> bool {
    let resp = NegTokenResp::decode(token);
    resp.is_ok_and(|resp| resp.neg_state == Some(NegState::Reject))
}

#[cold]
fn wait<R>(role: R, assembler: Assembler, piece: &[u8]) -> (Conversation<R>, Reply) {
    trace!(PieceReceived {
        octets: piece.len(),
        so_far: assembler.arrived(),
        announced: assembler.announced(),
    });
    let waiting = Reply {
        token: None,
        complete: false,
    };
    (with(role, Some(Pending::Receiving(assembler))), waiting)
}

/// Completion is withheld until the last piece has left (MS-SPNG 3.1.5.6).
fn send_next<R>(
    role: R,
    message: Fragmenter,
    complete: bool,
    largest: usize,
) -> (Conversation<R>, Reply) {
    let (piece, rest) = message.next(largest);
    trace!(PieceSent {
        octets: piece.len(),
        left: rest.as_ref().map_or(0, Fragmenter::left),
    });
    let reply = Reply {
        token: Some(piece),
        complete: complete && rest.is_none(),
    };
    let sending = rest.map(|rest| Pending::Sending { rest, complete });
    (with(role, sending), reply)
}

#[cold]
fn shorten<R: Speaker>(failure: &mut Failure, largest: usize) {
    failure.reject = failure.reject.take().and_then(|whole| {
        let mut sizes = [whole, reject(None)].into_iter();
        sizes.find(|reject| !is_over(reject, largest))
    });
    if let Some(reject) = &failure.reject {
        trace!(Sent {
            kind: kind(reject, R::ROLE == Role::Initiator),
            octets: reject.len(),
        });
    }
}

/// What a token looks like, by its first octet, to a person who reads the trace.
fn kind(token: &[u8], of_initiator: bool) -> &'static str {
    match token.first() {
        None => "an empty token",
        Some(0x60 | 0xa0) if of_initiator => "NegTokenInit",
        Some(0x60 | 0xa0) => "NegTokenInit2",
        Some(0xa1) => "NegTokenResp",
        Some(_) => "no token of SPNEGO",
    }
}

fn is_over(token: &[u8], largest: usize) -> bool {
    largest != 0 && token.len() > largest
}

fn with<R>(role: R, pending: Option<Pending>) -> Conversation<R> {
    Conversation {
        role,
        pending: pending.map(Box::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::MechError;
    use crate::negotiate::{Record, Step};
    use crate::oid::Oid;
    use crate::policy::Rules;

    /// A role that answers each whole token with the next reply of a script.
    #[derive(Debug, Default)]
    struct Scripted {
        heard: Vec<Option<Vec<u8>>>,
        script: Vec<Result<Reply, Failure>>,
    }

    impl Scripted {
        fn conversation(mut script: Vec<Result<Reply, Failure>>) -> Conversation<Self> {
            script.reverse();
            let heard = Vec::new();
            Conversation::new(Self { heard, script })
        }
    }

    impl Speaker for Scripted {
        type Mech = NoMech;

        const ROLE: Role = Role::Acceptor;

        fn step(
            mut self,
            token: Option<&[u8]>,
            _: &mut impl Mechs<Mech = NoMech>,
        ) -> Result<(Self, Reply), Failure> {
            self.heard.push(token.map(<[u8]>::to_vec));
            let reply = self.script.pop().unwrap()?;
            Ok((self, reply))
        }
    }

    #[derive(Debug)]
    enum NoMech {}

    impl Mech for NoMech {
        fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, MechError> {
            match *self {}
        }
        fn verify(&mut self, _: &[u8], _: &[u8]) -> Result<(), MechError> {
            match *self {}
        }
        fn integrity(&self) -> bool {
            match *self {}
        }
        fn demands_mic(&mut self) -> bool {
            match *self {}
        }
    }

    struct NoMechs(Rules, Record);

    impl NoMechs {
        fn with_largest(max_output_token_size: usize) -> Self {
            let rules = Rules {
                max_output_token_size,
                ..Rules::default()
            };
            Self(rules, Record::default())
        }
    }

    impl Mechs for NoMechs {
        type Mech = NoMech;
        type Token = Vec<u8>;

        fn candidates(&mut self) -> std::sync::Arc<[Oid]> {
            [].into()
        }
        fn prefers(&self) -> bool {
            false
        }
        fn vouch(&mut self, _: &Oid) -> Result<(), MechError> {
            panic!("no mechanism is asked for")
        }
        fn start(
            &mut self,
            _: &Oid,
            _: Option<&[u8]>,
        ) -> Result<(NoMech, Step<Vec<u8>>), MechError> {
            panic!("no mechanism is started")
        }
        fn step(&mut self, mech: &mut NoMech, _: &[u8]) -> Result<Step<Vec<u8>>, MechError> {
            match *mech {}
        }
        fn rules(&self) -> &Rules {
            &self.0
        }
        fn record(&mut self) -> &mut Record {
            &mut self.1
        }
    }

    fn reply(token: &[u8], complete: bool) -> Result<Reply, Failure> {
        Ok(Reply {
            token: Some(token.to_vec()),
            complete,
        })
    }

    const WAITING: Reply = Reply {
        token: None,
        complete: false,
    };
    const TOKEN: &[u8] = &[0x60, 4, 1, 2, 3, 4];
    const ANSWER: &[u8] = &[0xa1, 6, 1, 2, 3, 4, 5, 6];

    #[test]
    fn without_fragments_there_is_one_pointer_more() {
        let pointer = size_of::<usize>();
        assert_eq!(
            size_of::<Conversation<Vec<u8>>>(),
            size_of::<Vec<u8>>() + pointer
        );
    }

    #[test]
    fn whole_tokens_reach_the_role_as_they_came() {
        let mechs = &mut NoMechs::with_largest(0);
        let conversation = Scripted::conversation(vec![
            reply(TOKEN, false),
            reply(b"", false),
            reply(ANSWER, true),
        ]);
        let (conversation, first) = conversation.step(None, mechs).unwrap();
        assert_eq!(first.token.as_deref(), Some(TOKEN));
        let (conversation, _) = conversation.step(Some(b""), mechs).unwrap();
        let (conversation, last) = conversation.step(Some(ANSWER), mechs).unwrap();
        assert!(last.complete);
        let heard = conversation.into_role().heard;
        assert_eq!(heard, [None, Some(vec![]), Some(ANSWER.to_vec())]);
    }

    #[test]
    fn each_piece_is_answered_by_the_empty_token() {
        let mechs = &mut NoMechs::with_largest(0);
        let mut conversation = Scripted::conversation(vec![reply(ANSWER, true)]);
        for piece in TOKEN[..TOKEN.len() - 1].chunks(1) {
            let (next, answer) = conversation.step(Some(piece), mechs).unwrap();
            assert_eq!(answer, WAITING);
            assert!(next.role().heard.is_empty());
            conversation = next;
        }
        let (conversation, answer) = conversation.step(Some(&[4]), mechs).unwrap();
        assert_eq!(answer, reply(ANSWER, true).unwrap());
        assert_eq!(conversation.role().heard, [Some(TOKEN.to_vec())]);
    }

    #[test]
    fn completion_is_withheld_until_the_last_piece_left() {
        let mechs = &mut NoMechs::with_largest(5);
        let conversation = Scripted::conversation(vec![reply(ANSWER, true)]);
        let (conversation, first) = conversation.step(Some(TOKEN), mechs).unwrap();
        assert_eq!(first, reply(&ANSWER[..5], false).unwrap());
        let (conversation, last) = conversation.step(Some(b""), mechs).unwrap();
        assert_eq!(last, reply(&ANSWER[5..], true).unwrap());
        assert_eq!(conversation.role().heard.len(), 1);
    }

    #[test]
    fn pieces_go_both_ways_one_message_after_the_other() {
        let mechs = &mut NoMechs::with_largest(5);
        let script = vec![
            reply(TOKEN, false),
            reply(ANSWER, false),
            reply(b"end", true),
        ];
        let conversation = Scripted::conversation(script);
        let (conversation, _) = conversation.step(None, mechs).unwrap();
        let (conversation, last) = conversation.step(None, mechs).unwrap();
        assert_eq!(last, reply(&TOKEN[5..], false).unwrap());
        let (conversation, wait) = conversation.step(Some(&ANSWER[..1]), mechs).unwrap();
        assert_eq!(wait, WAITING);
        let (conversation, first) = conversation.step(Some(&ANSWER[1..]), mechs).unwrap();
        assert_eq!(first, reply(&ANSWER[..5], false).unwrap());
        let (conversation, _) = conversation.step(Some(b""), mechs).unwrap();
        let (conversation, end) = conversation.step(Some(ANSWER), mechs).unwrap();
        assert_eq!(end, reply(b"end", true).unwrap());
        let heard = conversation.into_role().heard;
        assert_eq!(heard, [None, Some(ANSWER.to_vec()), Some(ANSWER.to_vec())]);
    }

    #[test]
    fn tokens_of_48_000_octets_go_both_ways() {
        let mut token = vec![0xa1, 0x82, 0xbb, 0x80];
        token.resize(4 + 48_000, 7);
        let mechs = &mut NoMechs::with_largest(1000);
        let mut conversation = Scripted::conversation(vec![reply(&token, true)]);
        let mut sent = Vec::new();
        for piece in token.chunks(700) {
            assert!(sent.is_empty());
            let (next, answer) = conversation.step(Some(piece), mechs).unwrap();
            conversation = next;
            sent.extend(answer.token.unwrap_or_default());
        }
        loop {
            let (next, answer) = conversation.step(Some(b""), mechs).unwrap();
            conversation = next;
            sent.extend(answer.token.unwrap());
            if answer.complete {
                break;
            }
        }
        assert_eq!(sent, token);
        assert_eq!(conversation.role().heard, [Some(token)]);
    }

    #[test]
    fn what_is_missing_of_a_message_is_known() {
        let mechs = &mut NoMechs::with_largest(5);
        let conversation = Scripted::conversation(vec![reply(ANSWER, true)]);
        assert_eq!(conversation.unfinished(), None);
        let (conversation, _) = conversation.step(Some(&TOKEN[..1]), mechs).unwrap();
        let received = |so_far, announced| Some(Unfinished::Received { so_far, announced });
        assert_eq!(conversation.unfinished(), received(1, None));
        let (conversation, _) = conversation.step(Some(&TOKEN[1..4]), mechs).unwrap();
        assert_eq!(conversation.unfinished(), received(4, Some(TOKEN.len())));
        let (conversation, _) = conversation.step(Some(&TOKEN[4..]), mechs).unwrap();
        let left = ANSWER.len() - 5;
        assert_eq!(conversation.unfinished(), Some(Unfinished::Sent { left }));
        let (conversation, _) = conversation.step(Some(b""), mechs).unwrap();
        assert_eq!(conversation.unfinished(), None);
    }

    #[test]
    fn a_message_that_was_cut_short_is_told_from_one_that_is_too_long() {
        let mechs = &mut NoMechs::with_largest(0);
        for (second, words) in [
            (
                TOKEN,
                "another message after 3 of 6 octets: the rest of that one never came",
            ),
            (&[2, 3, 4, 5], "fragments of 7 octets for a message of 6"),
        ] {
            let conversation = Scripted::conversation(vec![]);
            let (conversation, _) = conversation.step(Some(&TOKEN[..3]), mechs).unwrap();
            let failure = conversation.step(Some(second), mechs).unwrap_err();
            assert_eq!(failure.error, Error::InvalidToken(words.to_owned()));
        }
    }

    #[test]
    fn token_instead_of_asking_for_the_next_piece_is_an_error() {
        let mechs = &mut NoMechs::with_largest(5);
        let conversation = Scripted::conversation(vec![reply(ANSWER, true)]);
        let (conversation, _) = conversation.step(Some(TOKEN), mechs).unwrap();
        let failure = conversation.step(Some(TOKEN), mechs).unwrap_err();
        assert!(matches!(failure.error, Error::PeerMisbehaved(_)));
        assert_eq!(
            failure.reject, None,
            "a reject of 9 octets is no piece of 5"
        );
    }

    #[test]
    fn a_fragment_that_is_rejected_is_answered_no_more() {
        let mechs = &mut NoMechs::with_largest(5);
        let conversation = Scripted::conversation(vec![reply(ANSWER, true)]);
        let (conversation, _) = conversation.step(Some(TOKEN), mechs).unwrap();
        let failure = conversation.step(Some(&reject(None)), mechs).unwrap_err();
        let Error::PeerMisbehaved(Misbehaviour::Other(reason)) = failure.error else {
            panic!("{failure:?}");
        };
        assert!(
            reason.starts_with("the peer rejects a fragment"),
            "{reason}"
        );
        assert_eq!(failure.reject, None);
    }

    #[test]
    fn broken_fragments_end_the_negotiation() {
        let mechs = &mut NoMechs::with_largest(0);
        for second in [b"".as_slice(), &[2, 3, 4, 5]] {
            let conversation = Scripted::conversation(vec![]);
            let (conversation, _) = conversation.step(Some(&TOKEN[..3]), mechs).unwrap();
            let failure = conversation.step(Some(second), mechs).unwrap_err();
            assert!(matches!(failure.error, Error::InvalidToken(_)));
            assert!(failure.reject.is_some());
        }
    }

    #[test]
    fn reject_larger_than_a_piece_goes_without_its_token_or_not_at_all() {
        let bare = reject(None);
        let with_token = reject(Some(b"why it failed"));
        for (largest, expected) in [
            (0, Some(&with_token)),
            (with_token.len(), Some(&with_token)),
            (with_token.len() - 1, Some(&bare)),
            (bare.len(), Some(&bare)),
            (bare.len() - 1, None),
        ] {
            let mechs = &mut NoMechs::with_largest(largest);
            let conversation = Scripted::conversation(vec![Err(Failure {
                error: Error::CallerMisused("x"),
                reject: Some(with_token.clone()),
            })]);
            let failure = conversation.step(Some(TOKEN), mechs).unwrap_err();
            assert_eq!(failure.reject.as_ref(), expected);
        }
    }
}

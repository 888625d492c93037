//! Whole negotiations, in pieces of any size, with somebody on the wire who changes what he likes.
//!
//! The first octets of the input say what both sides have and want, the rest is what is done to
//! each token in turn. No side may panic, complete early or twice, exceed the size of a piece, send
//! what is not a token, or let itself be talked out of a better mechanism.

use spnego::error::{Cause, Failure};
use spnego::negotiate::conversation::Conversation;
use spnego::negotiate::fragment::Assembler;
use spnego::negotiate::script::{Script, Scripted, Side};
use spnego::negotiate::{Acceptor, Initiator, Reply};
use spnego::oid::{IAKERB, KRB5, KRB5_MS, NTLMSSP, Oid};
use spnego::role::Role;
use spnego::wire::spnego::{NegState, NegTokenInit, NegTokenResp};

/// Negotiate as the input says, once undisturbed and once disturbed.
pub(crate) fn body(octets: &[u8]) {
    let mut input = Input(octets);
    let scene = Scene::new(&mut input);
    let honest = scene.play(&mut Input(&[]));
    if scene.is_plain {
        assert_eq!(honest, scene.expected(), "undisturbed: {scene:?}");
    }
    let disturbed = scene.play(&mut input);
    if scene.is_plain {
        scene.no_worse(&disturbed.initiator, &honest.initiator);
    }
}

/// Where both sides ended: the mechanism they established.
#[derive(Debug, PartialEq, Eq)]
struct Ends {
    initiator: Option<Oid>,
    acceptor: Option<Oid>,
}

#[derive(Debug)]
struct Scene {
    initiators: Side,
    acceptors: Side,
    server_first: bool,
    /// Nothing fails, everything signs, and both follow the initiator's order strictly.
    is_plain: bool,
}

impl Scene {
    fn new(input: &mut Input<'_>) -> Self {
        let order = usize::from(input.octet());
        let kinds = [input.octet(), input.octet(), input.octet()];
        let has = input.octet();
        let wants = input.octet();
        let sizes = input.octet();

        let mechs = ORDERS[order % ORDERS.len()];
        let scripts: Vec<Script> = mechs
            .into_iter()
            .zip(kinds)
            .map(|(mech, kind)| script(mech, kind))
            .collect();
        let mut initiators = Side::new(Role::Initiator, chosen(&scripts, has));
        let mut acceptors = Side::new(Role::Acceptor, chosen(&scripts, has >> 4));
        initiators.rules.optimistic_token = wants & 1 == 0;
        initiators.rules.legacy_windows = wants & 2 != 0;
        acceptors.prefers = wants & 4 != 0;
        if wants & 8 != 0 {
            acceptors.scripts.reverse();
        }
        if wants & 0x20 != 0 {
            fail(&mut initiators, wants);
        }
        if wants & 0x40 != 0 {
            fail(&mut acceptors, wants);
        }
        initiators.rules.max_output_token_size = SIZES[usize::from(sizes & 7)];
        acceptors.rules.max_output_token_size = SIZES[usize::from(sizes >> 3 & 7)];
        Self {
            is_plain: wants & 0x66 == 0 && scripts.iter().all(is_plain),
            server_first: wants & 0x10 != 0,
            initiators,
            acceptors,
        }
    }

    /// What two sides that nobody disturbs agree on: the initiator's best that the acceptor has.
    fn expected(&self) -> Ends {
        let has = |script: &&Script| {
            self.acceptors
                .scripts
                .iter()
                .any(|other| other.mech.same_mech(&script.mech))
        };
        let best = self
            .initiators
            .scripts
            .iter()
            .find(has)
            .map(|script| script.mech);
        Ends {
            initiator: best,
            acceptor: best,
        }
    }

    /// An attacker may impersonate a scripted mechanism, whose tokens are no secret, but not make
    /// its MICs: so the initiator ends with what it would have had, or better, or nothing.
    fn no_worse(&self, disturbed: &Option<Oid>, honest: &Option<Oid>) {
        let rank = |mech: &Oid| {
            let mut scripts = self.initiators.scripts.iter();
            scripts.position(|script| script.mech == *mech)
        };
        if let (Some(disturbed), Some(honest)) = (disturbed, honest) {
            assert!(
                rank(disturbed) <= rank(honest),
                "talked from {honest:?} down to {disturbed:?}: {self:?}"
            );
        }
    }

    fn play(&self, input: &mut Input<'_>) -> Ends {
        let mut initiator = Party::new(Initiator::Start, self.initiators.clone());
        let mut acceptor = Party::new(Acceptor::Start, self.acceptors.clone());
        let mut wire = Wire::default();
        let mut arrives = self.server_first.then(Vec::new);
        let mut turn_of_acceptor = self.server_first;
        for _ in 0..MOST_TURNS {
            let sent = if turn_of_acceptor {
                acceptor.step(arrives.as_deref())
            } else {
                initiator.step(arrives.as_deref())
            };
            let Some(sent) = sent else {
                break;
            };
            arrives = Some(wire.disturb(sent, input));
            turn_of_acceptor = !turn_of_acceptor;
        }
        Ends {
            initiator: initiator.established(Initiator::into_established),
            acceptor: acceptor.established(Acceptor::into_established),
        }
    }
}

/// One side at work.
struct Party<R> {
    conversation: Option<Conversation<R>>,
    side: Side,
    complete: bool,
    output: Vec<u8>,
}

impl<R: spnego::negotiate::conversation::Speaker<Mech = Scripted>> Party<R> {
    fn new(role: R, side: Side) -> Self {
        Self {
            conversation: Some(Conversation::new(role)),
            side,
            complete: false,
            output: Vec::new(),
        }
    }

    /// Take what arrives, and say what is sent; `None` when there is no more to do.
    fn step(&mut self, arrives: Option<&[u8]>) -> Option<Vec<u8>> {
        if self.complete {
            return None;
        }
        match self.conversation.take()?.step(arrives, &mut self.side) {
            Ok((conversation, reply)) => {
                self.conversation = Some(conversation);
                self.reply(reply)
            }
            Err(failure) => self.failed(failure),
        }
    }

    fn reply(&mut self, reply: Reply) -> Option<Vec<u8>> {
        self.complete = reply.complete;
        let Some(token) = reply.token else {
            // Complete without a last token, or the empty token that asks for the next piece.
            return (!reply.complete).then(Vec::new);
        };
        self.fits(&token);
        self.output.extend(&token);
        // What is sent becomes whole tokens, each of which can be read.
        if matches!(Assembler::begin(&self.output), Ok(None)) {
            let message = std::mem::take(&mut self.output);
            let readable =
                NegTokenInit::decode(&message).is_ok() || NegTokenResp::decode(&message).is_ok();
            assert!(readable, "sent {message:02x?}");
        } else {
            assert!(!reply.complete, "completed before the last piece");
        }
        Some(token)
    }

    fn failed(&mut self, failure: Failure) -> Option<Vec<u8>> {
        assert!(!failure.error.sentences().is_empty());
        let reject = failure.reject?;
        self.fits(&reject);
        let read = NegTokenResp::decode(&reject).expect("a reject can be read");
        assert_eq!(read.neg_state, Some(NegState::Reject));
        Some(reject)
    }

    fn fits(&self, token: &[u8]) {
        let largest = self.side.rules.max_output_token_size;
        assert!(largest == 0 || token.len() <= largest);
    }

    fn established(self, mech: impl FnOnce(R) -> Option<Scripted>) -> Option<Oid> {
        let role = self.conversation?.into_role();
        let mech = mech(role).map(|context| context.mech());
        assert!(
            mech.is_some() || !self.complete,
            "complete without a context"
        );
        mech.filter(|_| self.complete)
    }
}

/// The wire, and what went over it.
#[derive(Default)]
struct Wire {
    seen: Vec<Vec<u8>>,
}

impl Wire {
    fn disturb(&mut self, token: Vec<u8>, input: &mut Input<'_>) -> Vec<u8> {
        self.seen.push(token.clone());
        let mut token = token;
        match input.octet() % 8 {
            1 => {
                let count = usize::from(input.octet());
                token = input.take(count).to_vec();
            }
            2 => {
                let at = usize::from(input.octet()) % token.len().max(1);
                let change = input.octet();
                token
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|octet| *octet ^= change);
            }
            3 => token.truncate(usize::from(input.octet())),
            4 => {
                let count = usize::from(input.octet());
                token.extend(input.take(count));
            }
            5 => {
                let which = usize::from(input.octet()) % self.seen.len();
                token.clone_from(&self.seen[which]);
            }
            6 => {
                let at = usize::from(input.octet()) % (token.len() + 1);
                let gone = usize::from(input.octet()).min(token.len() - at);
                let count = usize::from(input.octet());
                token.splice(at..at + gone, input.take(count).iter().copied());
            }
            _ => {}
        }
        token
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn octet(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(count.min(self.0.len()));
        self.0 = left;
        taken
    }
}

fn script(mech: Oid, kind: u8) -> Script {
    Script {
        integrity: kind & 4 == 0,
        demands_mic: kind & 8 != 0,
        empty_token: (kind & 0x10 != 0).then_some(kind >> 5),
        ..Script::new(mech, 1 + (kind & 3))
    }
}

/// It signs, and what it says is said by tokens: an empty one at either end is no token.
fn is_plain(script: &Script) -> bool {
    let at_an_end = |number| number == 0 || number + 1 >= script.tokens;
    script.integrity && !script.empty_token.is_some_and(at_an_end)
}

/// Those whose bit is set; none set means all.
fn chosen(scripts: &[Script], bits: u8) -> Vec<Script> {
    let all = bits & 7 == 0;
    let numbered = scripts.iter().enumerate();
    numbered
        .filter(|(number, _)| all || bits >> number & 1 != 0)
        .map(|(_, script)| script.clone())
        .collect()
}

/// Let the side's first mechanism fail.
fn fail(side: &mut Side, how: u8) {
    let cause = if how & 0x80 == 0 {
        Cause::Unusable
    } else {
        Cause::Refused
    };
    for script in side.scripts.iter_mut().take(1) {
        script.fails = Some((how & 1, cause));
    }
}

const ORDERS: [[Oid; 3]; 3] = [
    [KRB5, NTLMSSP, IAKERB],
    [NTLMSSP, KRB5_MS, IAKERB],
    [IAKERB, KRB5, NTLMSSP],
];
const SIZES: [usize; 8] = [0, 5, 6, 7, 16, 33, 100, 1000];
/// Pieces of five octets for a dozen tokens of a hundred, and as many empty ones.
const MOST_TURNS: usize = 2000;

//! Whom the exploration puts between the two sides: all that can be done to a message by somebody who
//! has no key of a mechanism, and has listened to another session of the same two.

use spnego::oid::{KRB5_U2U, Oid};
use spnego::role::Role;
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

use crate::model::{self, FOREIGN};

/// What is done with a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// Something else arrives in its place.
    Replace(Other),
    /// It does not arrive, and this goes back to its sender.
    Return(Other),
    /// Nothing arrives.
    Drop,
    /// It arrives twice; whether the second answer is the one that goes on.
    Twice(bool),
    /// So many octets of it, then the rest.
    CutInTwo(u8),
    /// So many octets of it, then the whole.
    CutAndWhole(u8),
    /// So many octets of it, then the empty token.
    CutAndEmpty(u8),
    /// The acceptor is first asked what it accepts.
    AskFirst,
}

/// What arrives in the place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Init {
        list: List,
        token: Field,
        mic: Field,
    },
    Resp {
        state: State,
        mech: Named,
        token: Field,
        mic: Field,
    },
    /// What went over the wire before: by its number from the end.
    Earlier(u8),
    /// A message of the other session.
    Spliced(u8),
    /// So many of its octets, and no more.
    Cut(u8),
    /// A bit of this octet is another.
    Flipped(u8),
    /// A NegTokenResp of the attacker's own.
    Made {
        state: NegState,
        mech: Named,
    },
    Empty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Kept,
    /// Without its first, or second, mechanism.
    Without(u8),
    /// Its first two change places.
    Swapped,
    /// The first of the other side's mechanisms that it lacks, in front or behind.
    WithLacking {
        in_front: bool,
    },
    WithUnknown {
        in_front: bool,
    },
    /// Its first mechanism twice.
    Doubled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Kept,
    Gone,
    Empty,
    Garbage,
    /// The same as in the last message of the same sender.
    Earlier,
    /// What the receiver has sent.
    Reflected,
    /// That of the other session.
    Spliced,
    /// The MIC has what the token has, and the other way round.
    Copied,
    /// Made for somebody else's key.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Kept,
    Gone,
    Is(NegState),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Kept,
    Gone,
    /// A mechanism of the initiator's list.
    Of(u8),
    Unknown,
}

/// A message that was sent, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) by: Role,
    pub(crate) token: Vec<u8>,
}

/// What the attacker has to work with.
pub(crate) struct Knowledge<'k> {
    /// All that was sent before the message at hand.
    pub(crate) earlier: &'k [Sent],
    /// The other session, in which nobody meddled.
    pub(crate) other: &'k [Sent],
    /// The mechanisms of both sides.
    pub(crate) mechs: &'k [Oid],
}

impl Other {
    /// What arrives; `None` when that is what was sent, or there is no such thing.
    pub(crate) fn in_place_of(self, sent: &Sent, known: &Knowledge<'_>) -> Option<Vec<u8>> {
        let made = match self {
            Self::Init { list, token, mic } => init(sent, known, list, token, mic)?,
            Self::Resp {
                state,
                mech,
                token,
                mic,
            } => resp(sent, known, state, mech, (token, mic))?,
            Self::Earlier(back) => {
                let at = known.earlier.len().checked_sub(usize::from(back) + 1)?;
                known.earlier[at].token.clone()
            }
            Self::Spliced(number) => known.other.get(usize::from(number))?.token.clone(),
            Self::Cut(octets) => sent.token.get(..usize::from(octets))?.to_vec(),
            Self::Flipped(at) => {
                let mut token = sent.token.clone();
                *token.get_mut(usize::from(at))? ^= 1;
                token
            }
            Self::Made { state, mech } => {
                let content = named(mech, None, known)?;
                NegTokenResp {
                    neg_state: Some(state),
                    supported_mech: content.as_deref(),
                    ..NegTokenResp::default()
                }
                .encode()
            }
            Self::Empty => Vec::new(),
        };
        (made != sent.token).then_some(made)
    }
}

fn init(
    sent: &Sent,
    known: &Knowledge<'_>,
    list: List,
    token: Field,
    mic: Field,
) -> Option<Vec<u8>> {
    let init = NegTokenInit::decode(&sent.token).ok()?;
    let mechs: Vec<Oid> = init.mech_types.iter().flatten().collect();
    let mech_types = match altered(mechs.clone(), list, known)? {
        same if same == mechs => init.mech_types.borrow(),
        altered => MechList::encode(&altered),
    };
    let fields = [(0, token), (1, mic)].map(|(which, edit)| {
        let kept = [init.mech_token, init.mech_list_mic];
        field(edit, which, kept, sent, known)
    });
    let [token, mic] = fields;
    let (token, mic) = (token?, mic?);
    let init = NegTokenInit {
        mech_types,
        mech_token: token.as_deref(),
        mech_list_mic: mic.as_deref(),
    };
    Some(init.encode())
}

fn altered(mut mechs: Vec<Oid>, list: List, known: &Knowledge<'_>) -> Option<Vec<Oid>> {
    let place = |in_front, length| if in_front { 0 } else { length };
    match list {
        List::Kept => {}
        List::Without(at) => {
            let at = usize::from(at);
            if at >= mechs.len() || mechs.len() == 1 {
                return None;
            }
            mechs.remove(at);
        }
        List::Swapped if mechs.len() > 1 => mechs.swap(0, 1),
        List::Swapped => return None,
        List::WithLacking { in_front } => {
            let lacking = known.mechs.iter().find(|mech| !mechs.contains(mech))?;
            mechs.insert(place(in_front, mechs.len()), *lacking);
        }
        List::WithUnknown { in_front } => mechs.insert(place(in_front, mechs.len()), UNKNOWN),
        List::Doubled => mechs.insert(0, mechs[0]),
    }
    Some(mechs)
}

fn resp(
    sent: &Sent,
    known: &Knowledge<'_>,
    state: State,
    mech: Named,
    (token, mic): (Field, Field),
) -> Option<Vec<u8>> {
    let resp = NegTokenResp::decode(&sent.token).ok()?;
    let kept = [resp.response_token, resp.mech_list_mic];
    let token = field(token, 0, kept, sent, known)?;
    let mic = field(mic, 1, kept, sent, known)?;
    let mech = named(mech, resp.supported_mech, known)?;
    let resp = NegTokenResp {
        neg_state: match state {
            State::Kept => resp.neg_state,
            State::Gone => None,
            State::Is(state) => Some(state),
        },
        supported_mech: mech.as_deref(),
        response_token: token.as_deref(),
        mech_list_mic: mic.as_deref(),
    };
    Some(resp.encode())
}

type Content = Option<Vec<u8>>;

fn named(mech: Named, kept: Option<&[u8]>, known: &Knowledge<'_>) -> Option<Content> {
    Some(match mech {
        Named::Kept => kept.map(<[u8]>::to_vec),
        Named::Gone => None,
        Named::Of(at) => Some(known.mechs.get(usize::from(at))?.content().to_vec()),
        Named::Unknown => Some(UNKNOWN.content().to_vec()),
    })
}

/// A token (0) or a MIC (1).
fn field(
    edit: Field,
    which: usize,
    kept: [Option<&[u8]>; 2],
    sent: &Sent,
    known: &Knowledge<'_>,
) -> Option<Content> {
    let of = |sent: &Sent| fields(&sent.token)[which].clone();
    let last_of = |from: &[Sent], by: Role| {
        let mut last = from.iter().rev().filter(|sent| sent.by == by);
        last.find_map(of)
    };
    Some(match edit {
        Field::Kept => kept[which].map(<[u8]>::to_vec),
        Field::Gone => None,
        Field::Empty => Some(Vec::new()),
        Field::Garbage => Some(b"garbage!".to_vec()),
        Field::Earlier => Some(last_of(known.earlier, sent.by)?),
        Field::Reflected => Some(last_of(known.earlier, sent.by.peer())?),
        Field::Spliced => {
            let own = known.other.get(known.earlier.len()).and_then(of);
            Some(own.or_else(|| last_of(known.other, sent.by))?)
        }
        Field::Copied => Some(kept[1 - which]?.to_vec()),
        Field::Foreign => {
            let init = NegTokenInit::decode(&sent.token).ok()?;
            let first = init.mech_types.first()?;
            Some(model::token(&first, 0, [FOREIGN, 0]).to_vec())
        }
    })
}

fn fields(token: &[u8]) -> [Content; 2] {
    let owned = |fields: [Option<&[u8]>; 2]| fields.map(|field| field.map(<[u8]>::to_vec));
    match NegTokenInit::decode(token) {
        Ok(init) => owned([init.mech_token, init.mech_list_mic]),
        Err(_) => NegTokenResp::decode(token)
            .map(|resp| owned([resp.response_token, resp.mech_list_mic]))
            .unwrap_or_default(),
    }
}

/// What may be done to a message: the offer, or a later one.
#[derive(Clone, Debug)]
pub(crate) struct Menu {
    pub(crate) offer: Vec<Move>,
    pub(crate) later: Vec<Move>,
}

impl Menu {
    /// What changes the course of a negotiation, without what is only refused.
    pub(crate) fn short() -> Self {
        use Field::{Foreign, Garbage, Gone, Kept, Spliced};
        let mut offer = Vec::new();
        for list in [
            List::Kept,
            List::Without(0),
            List::Without(1),
            List::Swapped,
            List::WithLacking { in_front: true },
        ] {
            for token in [Kept, Gone, Foreign, Spliced] {
                offer.push(Move::Replace(Other::Init {
                    list,
                    token,
                    mic: Kept,
                }));
            }
        }
        offer.push(Move::Replace(Other::Spliced(0)));
        offer.push(Move::Twice(true));
        let mut later = Vec::new();
        for mic in [Kept, Gone] {
            for state in [
                State::Kept,
                State::Is(NegState::AcceptCompleted),
                State::Is(NegState::AcceptIncomplete),
                State::Is(NegState::RequestMic),
            ] {
                later.push(replaced(state, Named::Kept, Kept, mic));
            }
            later.push(replaced(State::Kept, Named::Of(0), Kept, mic));
            later.push(replaced(State::Kept, Named::Of(1), Kept, mic));
        }
        for mic in [Garbage, Spliced, Field::Reflected] {
            later.push(replaced(State::Kept, Named::Kept, Kept, mic));
        }
        later.push(replaced(State::Kept, Named::Kept, Gone, Kept));
        later.push(replaced(
            State::Is(NegState::AcceptIncomplete),
            Named::Of(1),
            Gone,
            Gone,
        ));
        later.push(replaced(
            State::Is(NegState::RequestMic),
            Named::Of(1),
            Gone,
            Gone,
        ));
        later.push(Move::Return(Other::Made {
            state: NegState::AcceptCompleted,
            mech: Named::Gone,
        }));
        Self { offer, later }
    }

    /// All that an attacker can do to a message whose parts these are.
    pub(crate) fn long() -> Self {
        use Field::{Copied, Earlier, Empty, Foreign, Garbage, Gone, Kept, Reflected, Spliced};
        let mut offer = vec![Move::AskFirst];
        for list in [
            List::Kept,
            List::Without(0),
            List::Without(1),
            List::Swapped,
            List::WithLacking { in_front: true },
            List::WithLacking { in_front: false },
            List::WithUnknown { in_front: true },
            List::WithUnknown { in_front: false },
            List::Doubled,
        ] {
            for token in [Kept, Gone, Empty, Garbage, Spliced, Foreign] {
                for mic in [Kept, Gone, Empty, Garbage, Spliced] {
                    offer.push(Move::Replace(Other::Init { list, token, mic }));
                }
            }
        }
        let states = [
            State::Kept,
            State::Gone,
            State::Is(NegState::AcceptCompleted),
            State::Is(NegState::AcceptIncomplete),
            State::Is(NegState::Reject),
            State::Is(NegState::RequestMic),
        ];
        let mechs = [
            Named::Kept,
            Named::Gone,
            Named::Of(0),
            Named::Of(1),
            Named::Unknown,
        ];
        let mut later = Vec::new();
        for state in states {
            for mech in mechs {
                for mic in [Kept, Gone, Garbage] {
                    for token in [Kept, Gone, Garbage] {
                        later.push(replaced(state, mech, token, mic));
                    }
                }
            }
            for mic in [Empty, Earlier, Reflected, Spliced, Copied] {
                later.push(replaced(state, Named::Kept, Kept, mic));
            }
            for token in [Empty, Earlier, Reflected, Spliced, Copied] {
                later.push(replaced(state, Named::Kept, token, Kept));
            }
        }
        for menu in [&mut offer, &mut later] {
            menu.extend([Move::Drop, Move::Twice(false), Move::Twice(true)]);
            for octets in [1, 2, 5, 20] {
                menu.push(Move::CutInTwo(octets));
                menu.push(Move::CutAndWhole(octets));
                menu.push(Move::CutAndEmpty(octets));
                menu.push(Move::Replace(Other::Cut(octets)));
            }
            menu.extend((0..FLIPPED).map(|at| Move::Replace(Other::Flipped(at))));
            for number in 0..6 {
                menu.push(Move::Replace(Other::Earlier(number)));
                menu.push(Move::Return(Other::Earlier(number)));
                menu.push(Move::Replace(Other::Spliced(number)));
                menu.push(Move::Return(Other::Spliced(number)));
            }
            for state in [
                NegState::AcceptCompleted,
                NegState::AcceptIncomplete,
                NegState::Reject,
                NegState::RequestMic,
            ] {
                for mech in [Named::Gone, Named::Of(0), Named::Of(1)] {
                    menu.push(Move::Return(Other::Made { state, mech }));
                }
            }
            menu.push(Move::Replace(Other::Empty));
            menu.push(Move::Return(Other::Empty));
        }
        Self { offer, later }
    }
}

fn replaced(state: State, mech: Named, token: Field, mic: Field) -> Move {
    Move::Replace(Other::Resp {
        state,
        mech,
        token,
        mic,
    })
}

/// A mechanism that neither side has.
const UNKNOWN: Oid = KRB5_U2U;
/// As many octets as a message of the model has, or more.
const FLIPPED: u8 = 90;

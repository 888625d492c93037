//! A negotiation under way as octets, so that another process can go on with it: all of it but its
//! mechanism's own context. What became of the mechanisms dropped on the way is left behind.
#![forbid(unsafe_code)]

use crate::negotiate::mic::Mic;
use crate::negotiate::running::{Context, Running};
use crate::negotiate::{Acceptor, Initiator, Mech};
use crate::oid::Oid;
use crate::wire::spnego::MechList;

impl<M: Mech> Initiator<M> {
    /// The negotiation as octets, and its mechanism's context; `None` when no mechanism has begun,
    /// or when the negotiation is over.
    pub fn take_apart(self) -> Option<(Vec<u8>, M)> {
        match self {
            Self::Offered(running) => running.take_apart(tag::OFFERED),
            Self::Running(running) => running.take_apart(tag::CHOSEN),
            Self::Start | Self::Established(_) => None,
        }
    }

    /// What [`Self::take_apart`] took apart; `None` when the octets are something else.
    pub fn put_together(octets: &[u8], mech: M) -> Option<Self> {
        let (stage, running) = Running::put_together(octets, mech)?;
        match stage {
            tag::OFFERED => Some(Self::Offered(running)),
            tag::CHOSEN => Some(Self::Running(running)),
            _ => None,
        }
    }
}

impl<M: Mech> Acceptor<M> {
    /// The negotiation as octets, and its mechanism's context; `None` when no mechanism has begun,
    /// or when the negotiation is over.
    pub fn take_apart(self) -> Option<(Vec<u8>, M)> {
        match self {
            Self::Running(running) => running.take_apart(tag::CHOSEN),
            Self::Start | Self::Hinted | Self::Established(_) => None,
        }
    }

    /// What [`Self::take_apart`] took apart; `None` when the octets are something else.
    pub fn put_together(octets: &[u8], mech: M) -> Option<Self> {
        let (stage, running) = Running::put_together(octets, mech)?;
        (stage == tag::CHOSEN).then_some(Self::Running(running))
    }
}

impl<M> Running<M> {
    fn take_apart(self, stage: u8) -> Option<(Vec<u8>, M)> {
        let mic = match self.mic {
            Mic::Optional => tag::OPTIONAL,
            Mic::Required => tag::REQUIRED,
            Mic::Sent => tag::SENT,
        };
        let (progress, mech) = match self.context {
            Context::Unstarted => return None,
            Context::Waiting(mech) => (tag::WAITING, mech),
            Context::Established(mech) => (tag::ESTABLISHED, mech),
        };
        let mut octets = vec![stage, mic, progress];
        for mech in [&self.offered, &self.mech] {
            octets.push(mech.length());
            octets.extend_from_slice(mech.content());
        }
        octets.extend_from_slice(self.list.der());
        Some((octets, mech))
    }

    fn put_together(octets: &[u8], mech: M) -> Option<(u8, Box<Self>)> {
        let (&[stage, mic, progress], rest) = octets.split_first_chunk()?;
        let mic = match mic {
            tag::OPTIONAL => Mic::Optional,
            tag::REQUIRED => Mic::Required,
            tag::SENT => Mic::Sent,
            _ => return None,
        };
        let context = match progress {
            tag::WAITING => Context::Waiting(mech),
            tag::ESTABLISHED => Context::Established(mech),
            _ => return None,
        };
        let (offered, rest) = identifier(rest)?;
        let (mech, list) = identifier(rest)?;
        let running = Self {
            offered,
            mech,
            context,
            list: MechList::decode(list).ok()?.into_owned(),
            mic,
            considered: Vec::new(),
        };
        Some((stage, Box::new(running)))
    }
}

/// An identifier behind its length, and what comes after it.
fn identifier(octets: &[u8]) -> Option<(Oid, &[u8])> {
    let (length, rest) = octets.split_first()?;
    let (content, rest) = rest.split_at_checked((*length).into())?;
    Some((Oid::new(content)?, rest))
}

mod tag {
    pub(super) const OFFERED: u8 = 1;
    pub(super) const CHOSEN: u8 = 2;

    pub(super) const OPTIONAL: u8 = 1;
    pub(super) const REQUIRED: u8 = 2;
    pub(super) const SENT: u8 = 3;

    pub(super) const WAITING: u8 = 1;
    pub(super) const ESTABLISHED: u8 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::MechError;
    use crate::oid::{KRB5, KRB5_MS, NTLMSSP};

    /// A mechanism's context that only has to come back.
    #[derive(Debug, PartialEq)]
    struct Carried;

    impl Mech for Carried {
        fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, MechError> {
            Ok(Vec::new())
        }
        fn verify(&mut self, _: &[u8], _: &[u8]) -> Result<(), MechError> {
            Ok(())
        }
        fn integrity(&self) -> bool {
            true
        }
        fn demands_mic(&mut self) -> bool {
            false
        }
    }

    fn running(mic: Mic, context: Context<Carried>) -> Box<Running<Carried>> {
        Box::new(Running {
            offered: KRB5_MS,
            mech: KRB5,
            context,
            list: MechList::encode(&[KRB5_MS, KRB5, NTLMSSP]),
            mic,
            considered: Vec::new(),
        })
    }

    #[test]
    fn a_negotiation_is_put_together_as_it_was() {
        for mic in [Mic::Optional, Mic::Required, Mic::Sent] {
            for context in [Context::Waiting, Context::Established] {
                let offered = Initiator::Offered(running(mic, context(Carried)));
                let chosen = Initiator::Running(running(mic, context(Carried)));
                for initiator in [offered, chosen] {
                    let before = format!("{initiator:?}");
                    let (octets, mech) = initiator.take_apart().unwrap();
                    let again = Initiator::put_together(&octets, mech).unwrap();
                    assert_eq!(format!("{again:?}"), before);
                }
                let acceptor = Acceptor::Running(running(mic, context(Carried)));
                let before = format!("{acceptor:?}");
                let (octets, mech) = acceptor.take_apart().unwrap();
                let again = Acceptor::put_together(&octets, mech).unwrap();
                assert_eq!(format!("{again:?}"), before);
            }
        }
    }

    #[test]
    fn what_has_not_begun_or_is_over_cannot_be_carried() {
        assert!(Initiator::<Carried>::Start.take_apart().is_none());
        assert!(Initiator::Established(Carried).take_apart().is_none());
        assert!(Acceptor::<Carried>::Hinted.take_apart().is_none());
        let unstarted = running(Mic::Optional, Context::Unstarted);
        assert!(Acceptor::Running(unstarted).take_apart().is_none());
    }

    #[test]
    fn other_octets_are_nothing() {
        let acceptor = Acceptor::Running(running(Mic::Sent, Context::Waiting(Carried)));
        let (octets, _) = acceptor.take_apart().unwrap();
        for end in 0..octets.len() {
            assert!(Acceptor::put_together(&octets[..end], Carried).is_none());
        }
        for at in 0..octets.len() {
            for octet in 0..=u8::MAX {
                let mut altered = octets.clone();
                altered[at] = octet;
                // Whatever they are, no panic; an acceptor never is where an initiator has offered.
                if let Some(negotiation) = Acceptor::put_together(&altered, Carried) {
                    assert!(matches!(negotiation, Acceptor::Running(_)));
                }
            }
        }
        let offered = Initiator::Offered(running(Mic::Sent, Context::Waiting(Carried)));
        let (octets, _) = offered.take_apart().unwrap();
        assert!(Acceptor::put_together(&octets, Carried).is_none());
    }
}

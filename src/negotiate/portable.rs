//! A negotiation under way as octets, so that another process can go on with it: all of it but its
//! mechanism's own context. Of its record only the list comes along.
#![forbid(unsafe_code)]

use crate::negotiate::mic::Mic;
use crate::negotiate::record::{MicState, Record};
use crate::negotiate::running::{Context, Running};
use crate::negotiate::{Acceptor, Initiator, Mech};
use crate::oid::Oid;
use crate::wire::spnego::MechList;

impl<M: Mech> Initiator<M> {
    /// The negotiation as octets, and its mechanism's context; `None` when no mechanism has begun,
    /// or when the negotiation is over.
    pub fn take_apart(self, record: &Record) -> Option<(Vec<u8>, M)> {
        match self {
            Self::Offered(running) => running.take_apart(tag::OFFERED, record),
            Self::Running(running) => running.take_apart(tag::CHOSEN, record),
            Self::Start | Self::Established(_) => None,
        }
    }

    /// What [`Self::take_apart`] took apart, with what its record has to have; `None` when the octets
    /// are something else.
    pub fn put_together(octets: &[u8], mech: M, record: &mut Record) -> Option<Self> {
        let (stage, running) = Running::put_together(octets, mech, record)?;
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
    pub fn take_apart(self, record: &Record) -> Option<(Vec<u8>, M)> {
        match self {
            Self::Running(running) => running.take_apart(tag::CHOSEN, record),
            Self::Start | Self::Hinted | Self::Established(_) => None,
        }
    }

    /// What [`Self::take_apart`] took apart, with what its record has to have; `None` when the octets
    /// are something else.
    pub fn put_together(octets: &[u8], mech: M, record: &mut Record) -> Option<Self> {
        let (stage, running) = Running::put_together(octets, mech, record)?;
        (stage == tag::CHOSEN).then_some(Self::Running(running))
    }
}

impl<M> Running<M> {
    fn take_apart(self, stage: u8, record: &Record) -> Option<(Vec<u8>, M)> {
        let list = record.list().ok()?;
        let mic = match self.mic {
            Mic::Optional => tag::OPTIONAL,
            Mic::Required => tag::REQUIRED,
            Mic::Sent => tag::SENT,
            Mic::Verified => tag::VERIFIED,
        };
        let (progress, mech) = match self.context {
            Context::Unstarted => return None,
            Context::Waiting(mech) => (tag::WAITING, mech),
            Context::Established(mech) => (tag::ESTABLISHED, mech),
        };
        let mut octets = vec![stage, mic, progress];
        let given_up = self.given_up.as_deref();
        for mech in [Some(&self.offered), Some(&self.mech), given_up] {
            octets.push(mech.map_or(0, Oid::length));
            octets.extend_from_slice(mech.map_or(&[], Oid::content));
        }
        octets.extend_from_slice(list.der());
        Some((octets, mech))
    }

    fn put_together(octets: &[u8], mech: M, record: &mut Record) -> Option<(u8, Box<Self>)> {
        let (&[stage, mic, progress], rest) = octets.split_first_chunk()?;
        let (mic, told) = match mic {
            tag::OPTIONAL => (Mic::Optional, MicState::NotNeeded),
            tag::REQUIRED => (Mic::Required, MicState::Required),
            tag::SENT => (Mic::Sent, MicState::Sent),
            tag::VERIFIED => (Mic::Verified, MicState::Verified),
            _ => return None,
        };
        let context = match progress {
            tag::WAITING => Context::Waiting(mech),
            tag::ESTABLISHED => Context::Established(mech),
            _ => return None,
        };
        let (offered, rest) = identifier(rest)?;
        let (mech, rest) = identifier(rest)?;
        let (given_up, list) = match rest.split_first()? {
            (0, list) => (None, list),
            _ => identifier(rest).map(|(mech, list)| (Some(Box::new(mech)), list))?,
        };
        record.keep(MechList::decode(list).ok()?.into_owned());
        record.set_mic(told);
        if stage == tag::CHOSEN {
            record.was_chosen();
        }
        let running = Self {
            offered,
            mech,
            context,
            mic,
            given_up,
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
    pub(super) const VERIFIED: u8 = 4;

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
            mic,
            given_up: None,
        })
    }

    fn record() -> Record {
        let mut record = Record::default();
        record.keep(MechList::encode(&[KRB5_MS, KRB5, NTLMSSP]));
        record
    }

    #[test]
    fn a_negotiation_is_put_together_as_it_was() {
        for mic in [Mic::Optional, Mic::Required, Mic::Sent] {
            for context in [Context::Waiting, Context::Established] {
                let offered = Initiator::Offered(running(mic, context(Carried)));
                let chosen = Initiator::Running(running(mic, context(Carried)));
                for initiator in [offered, chosen] {
                    let before = format!("{initiator:?}");
                    let mut again = Record::default();
                    let (octets, mech) = initiator.take_apart(&record()).unwrap();
                    let initiator = Initiator::put_together(&octets, mech, &mut again).unwrap();
                    assert_eq!(format!("{initiator:?}"), before);
                    assert_eq!(again.list(), record().list());
                }
                let mut running = running(mic, context(Carried));
                running.given_up = Some(Box::new(NTLMSSP));
                let acceptor = Acceptor::Running(running);
                let before = format!("{acceptor:?}");
                let mut again = Record::default();
                let (octets, mech) = acceptor.take_apart(&record()).unwrap();
                let acceptor = Acceptor::put_together(&octets, mech, &mut again).unwrap();
                assert_eq!(format!("{acceptor:?}"), before);
                assert!(again.is_chosen());
            }
        }
    }

    #[test]
    fn what_has_not_begun_or_is_over_cannot_be_carried() {
        assert!(Initiator::<Carried>::Start.take_apart(&record()).is_none());
        assert!(
            Initiator::Established(Carried)
                .take_apart(&record())
                .is_none()
        );
        assert!(Acceptor::<Carried>::Hinted.take_apart(&record()).is_none());
        let unstarted = running(Mic::Optional, Context::Unstarted);
        assert!(Acceptor::Running(unstarted).take_apart(&record()).is_none());
    }

    #[test]
    fn other_octets_are_nothing() {
        let acceptor = Acceptor::Running(running(Mic::Sent, Context::Waiting(Carried)));
        let (octets, _) = acceptor.take_apart(&record()).unwrap();
        for end in 0..octets.len() {
            assert!(
                Acceptor::put_together(&octets[..end], Carried, &mut Record::default()).is_none()
            );
        }
        for at in 0..octets.len() {
            for octet in 0..=u8::MAX {
                let mut altered = octets.clone();
                altered[at] = octet;
                // Whatever they are, no panic; an acceptor never is where an initiator has offered.
                if let Some(negotiation) =
                    Acceptor::put_together(&altered, Carried, &mut Record::default())
                {
                    assert!(matches!(negotiation, Acceptor::Running(_)));
                }
            }
        }
        let offered = Initiator::Offered(running(Mic::Sent, Context::Waiting(Carried)));
        let (octets, _) = offered.take_apart(&record()).unwrap();
        assert!(Acceptor::put_together(&octets, Carried, &mut Record::default()).is_none());
    }
}

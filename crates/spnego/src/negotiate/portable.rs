//! A negotiation under way as octets, so that another process can go on with it: all of it but its
//! mechanism's own context. What became of the mechanisms dropped on the way is left behind.
#![forbid(unsafe_code)]

use crate::negotiate::mic::Mic;
use crate::negotiate::running::{Context, Running};
use crate::negotiate::{Acceptor, Initiator, Mech, MicState, Record};
use crate::oid::Oid;
use crate::wire::spnego::MechList;

impl<M: Mech> Initiator<M> {
    /// The negotiation with its record as octets, and its mechanism's context; `None` when no
    /// mechanism has begun, or when the negotiation is over.
    pub fn take_apart(self, record: &Record) -> Option<(Vec<u8>, M)> {
        match self {
            Self::Offered(running) => running.take_apart(tag::OFFERED, record),
            Self::Running(running) => running.take_apart(tag::CHOSEN, record),
            Self::Start | Self::Established(_) => None,
        }
    }

    /// What [`Self::take_apart`] took apart; `None` when the octets are something else.
    pub fn put_together(octets: &[u8], mech: M) -> Option<(Self, Record)> {
        let (stage, running, record) = Running::put_together(octets, mech)?;
        match stage {
            tag::OFFERED => Some((Self::Offered(running), record)),
            tag::CHOSEN => Some((Self::Running(running), record)),
            _ => None,
        }
    }
}

impl<M: Mech> Acceptor<M> {
    /// The negotiation with its record as octets, and its mechanism's context; `None` when no
    /// mechanism has begun, or when the negotiation is over.
    pub fn take_apart(self, record: &Record) -> Option<(Vec<u8>, M)> {
        match self {
            Self::Running(running) => running.take_apart(tag::CHOSEN, record),
            Self::Start | Self::Hinted | Self::Established(_) => None,
        }
    }

    /// What [`Self::take_apart`] took apart; `None` when the octets are something else.
    pub fn put_together(octets: &[u8], mech: M) -> Option<(Self, Record)> {
        let (stage, running, record) = Running::put_together(octets, mech)?;
        (stage == tag::CHOSEN).then_some((Self::Running(running), record))
    }
}

impl<M> Running<M> {
    fn take_apart(self, stage: u8, record: &Record) -> Option<(Vec<u8>, M)> {
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
        for mech in [&self.offered, &self.mech] {
            octets.push(mech.length());
            octets.extend_from_slice(mech.content());
        }
        match &self.given_up {
            Some(mech) => {
                octets.push(mech.length());
                octets.extend_from_slice(mech.content());
            }
            None => octets.push(0),
        }
        octets.extend_from_slice(record.list().ok()?.der());
        Some((octets, mech))
    }

    fn put_together(octets: &[u8], mech: M) -> Option<(u8, Box<Self>, Record)> {
        let (&[stage, mic, progress], rest) = octets.split_first_chunk()?;
        let mic = match mic {
            tag::OPTIONAL => Mic::Optional,
            tag::REQUIRED => Mic::Required,
            tag::SENT => Mic::Sent,
            tag::VERIFIED => Mic::Verified,
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
        let list = MechList::decode(list).ok()?.into_owned();
        let record = Record::carried(list, state(mic), stage == tag::CHOSEN);
        let running = Self {
            offered,
            mech,
            context,
            mic,
            given_up,
        };
        Some((stage, Box::new(running), record))
    }
}

/// What the record said of the MICs.
fn state(mic: Mic) -> MicState {
    match mic {
        Mic::Optional => MicState::NotNeeded,
        Mic::Required => MicState::Required,
        Mic::Sent => MicState::Sent,
        Mic::Verified => MicState::Verified,
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
            given_up: Some(Box::new(NTLMSSP)),
        })
    }

    fn record() -> Record {
        let list = MechList::encode(&[KRB5_MS, KRB5, NTLMSSP]);
        Record::carried(list, MicState::NotNeeded, true)
    }

    #[test]
    fn a_negotiation_is_put_together_as_it_was() {
        let list = record().list().unwrap().der().to_vec();
        for mic in [Mic::Optional, Mic::Required, Mic::Sent, Mic::Verified] {
            for context in [Context::Waiting, Context::Established] {
                let offered = Initiator::Offered(running(mic, context(Carried)));
                let chosen = Initiator::Running(running(mic, context(Carried)));
                for initiator in [offered, chosen] {
                    let before = format!("{initiator:?}");
                    let (octets, mech) = initiator.take_apart(&record()).unwrap();
                    let (again, record) = Initiator::put_together(&octets, mech).unwrap();
                    assert_eq!(format!("{again:?}"), before);
                    assert_eq!(record.list().unwrap().der(), list);
                    assert_eq!(record.mic(), state(mic));
                }
                let acceptor = Acceptor::Running(running(mic, context(Carried)));
                let before = format!("{acceptor:?}");
                let (octets, mech) = acceptor.take_apart(&record()).unwrap();
                let (again, record) = Acceptor::put_together(&octets, mech).unwrap();
                assert_eq!(format!("{again:?}"), before);
                assert!(record.is_chosen());
            }
        }
        let mut first_choice = running(Mic::Optional, Context::Waiting(Carried));
        first_choice.given_up = None;
        let before = format!("{first_choice:?}");
        let (octets, mech) = Acceptor::Running(first_choice)
            .take_apart(&record())
            .unwrap();
        let (again, _) = Acceptor::put_together(&octets, mech).unwrap();
        assert_eq!(format!("{again:?}"), format!("Running({before})"));
    }

    #[test]
    fn what_has_not_begun_or_is_over_cannot_be_carried() {
        let record = record();
        assert!(Initiator::<Carried>::Start.take_apart(&record).is_none());
        assert!(
            Initiator::Established(Carried)
                .take_apart(&record)
                .is_none()
        );
        assert!(Acceptor::<Carried>::Hinted.take_apart(&record).is_none());
        let unstarted = running(Mic::Optional, Context::Unstarted);
        assert!(Acceptor::Running(unstarted).take_apart(&record).is_none());
        let without_list = running(Mic::Optional, Context::Waiting(Carried));
        let taken = Acceptor::Running(without_list).take_apart(&Record::default());
        assert!(taken.is_none());
    }

    #[test]
    fn other_octets_are_nothing() {
        let acceptor = Acceptor::Running(running(Mic::Sent, Context::Waiting(Carried)));
        let (octets, _) = acceptor.take_apart(&record()).unwrap();
        for end in 0..octets.len() {
            assert!(Acceptor::put_together(&octets[..end], Carried).is_none());
        }
        for at in 0..octets.len() {
            for octet in 0..=u8::MAX {
                let mut altered = octets.clone();
                altered[at] = octet;
                // Whatever they are, no panic; an acceptor never is where an initiator has offered.
                if let Some((negotiation, _)) = Acceptor::put_together(&altered, Carried) {
                    assert!(matches!(negotiation, Acceptor::Running(_)));
                }
            }
        }
        let offered = Initiator::Offered(running(Mic::Sent, Context::Waiting(Carried)));
        let (octets, _) = offered.take_apart(&record()).unwrap();
        assert!(Acceptor::put_together(&octets, Carried).is_none());
    }
}

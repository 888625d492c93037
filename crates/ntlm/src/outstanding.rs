//! The challenges that the acceptors of this process have issued and that are not answered yet. An
//! initiator of the same process that is given one of them talks to itself: by intent, or because
//! somebody in between hands its own acceptor's messages back to it. As many are remembered as there
//! are contexts that wait for an answer. What another process has issued cannot be known.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use spnego::lock::held_briefly;

/// The challenges of a process.
#[derive(Debug)]
pub(super) struct Memory([Mutex<Challenges>; PARTS]);

/// Each with the service of its acceptor, where the caller has named one.
type Challenges = BTreeMap<[u8; 8], Service>;
type Service = Option<Box<str>>;

/// A challenge that waits for its answer; forgotten when this goes.
#[derive(Debug)]
pub(super) struct Outstanding {
    memory: &'static Memory,
    challenge: [u8; 8],
}

impl Memory {
    const fn new() -> Self {
        Self([const { Mutex::new(BTreeMap::new()) }; PARTS])
    }

    /// Remember a challenge until what is given here is dropped. `None`: it cannot be, since a fork
    /// has left its part of the memory locked for good; another challenge can.
    pub(super) fn remember(
        &'static self,
        challenge: [u8; 8],
        service: Option<&str>,
    ) -> Option<Outstanding> {
        let service = service.map(Into::into);
        let mut part = held_briefly(self.part(&challenge))?;
        part.insert(challenge, service);
        let memory = self;
        Some(Outstanding { memory, challenge })
    }

    /// The service of the acceptor of this process that waits for the answer to a challenge; `None`:
    /// no acceptor does. Where it cannot be known, some acceptor may.
    pub(super) fn issuer(&self, challenge: &[u8; 8]) -> Option<Service> {
        match held_briefly(self.part(challenge)) {
            Some(part) => part.get(challenge).cloned(),
            None => Some(None),
        }
    }

    fn part(&self, challenge: &[u8; 8]) -> &Mutex<Challenges> {
        let ([first, ..], [some, ..]) = (challenge, &self.0);
        self.0.get(usize::from(*first) % PARTS).unwrap_or(some)
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        let forgotten = held_briefly(self.memory.part(&self.challenge))
            .and_then(|mut part| part.remove(&self.challenge));
        drop(forgotten);
    }
}

/// Those of this process.
pub(super) static OUTSTANDING: Memory = Memory::new();

/// Several, so that one that is locked for good is no end of all.
const PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    static MEMORY: Memory = Memory::new();

    #[test]
    fn a_challenge_is_known_until_its_context_goes() {
        let challenge = *b"\x01known..";
        assert_eq!(MEMORY.issuer(&challenge), None);
        let one = MEMORY.remember(challenge, Some("HTTP@www"));
        assert_eq!(MEMORY.issuer(&challenge), Some(Some("HTTP@www".into())));
        assert_eq!(MEMORY.issuer(b"\x11known.."), None);
        drop(one);
        assert_eq!(MEMORY.issuer(&challenge), None);
    }

    /// As in a child of a fork that came while another thread had the lock.
    #[test]
    fn a_lock_that_nobody_gives_back_leaves_the_other_challenges() {
        let (stuck, other) = (*b"\x0fstuck..", *b"\x0eother..");
        let _locked = MEMORY.part(&stuck).lock().unwrap();
        assert!(MEMORY.remember(stuck, None).is_none());
        // Rather a challenge too many refused than one too few.
        assert_eq!(MEMORY.issuer(&stuck), Some(None));
        let kept = MEMORY.remember(other, None);
        assert!(kept.is_some() && MEMORY.issuer(&other).is_some());
    }
}

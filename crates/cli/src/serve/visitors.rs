//! Who is connected to `serve`, of whom there are a limited number: when one more comes, whoever has
//! kept the server waiting longest goes.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// All connections, by their numbers.
pub(super) struct Visitors {
    most: usize,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    visitors: BTreeMap<u64, Visitor>,
    /// Those that were let in and have not left, given up ones too: each is a thread.
    threads: usize,
}

struct Visitor {
    socket: TcpStream,
    pace: Pace,
    /// Since when.
    since: Instant,
}

/// What a connection is doing; the first of these is given up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    /// It waits for its first request or another, or the client for its answer; however many octets
    /// of it have come.
    Idle,
    /// It waits for the next token of an exchange.
    InExchange,
    /// A request is being judged, which waits for nothing of the client's.
    Busy,
}

/// The place of one connection, until it is dropped.
pub(super) struct Place {
    visitors: Arc<Visitors>,
    number: u64,
}

/// Why a connection is not let in.
#[derive(Debug)]
pub(super) struct TurnedAway;

impl Visitors {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            present: Mutex::default(),
        })
    }

    /// Let a connection in, in the place of another if need be, whose number is told.
    ///
    /// # Errors
    /// When nobody waits, or those that were given up have not left yet.
    pub(super) fn admit(
        self: &Arc<Self>,
        number: u64,
        socket: &TcpStream,
    ) -> Result<(Place, Option<u64>), TurnedAway> {
        let socket = socket.try_clone().map_err(|_| TurnedAway)?;
        let mut present = self.lock();
        if present.threads >= self.most.saturating_mul(2) {
            return Err(TurnedAway);
        }
        let given_up = if present.visitors.len() < self.most {
            None
        } else {
            Some(present.give_one_up()?)
        };
        present.threads += 1;
        let visitor = Visitor {
            socket,
            pace: Pace::Idle,
            since: Instant::now(),
        };
        present.visitors.insert(number, visitor);
        let visitors = Arc::clone(self);
        Ok((Place { visitors, number }, given_up))
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    /// Close the connection that has waited longest, of those that are idle before those in an
    /// exchange. Its thread finds it closed.
    fn give_one_up(&mut self) -> Result<u64, TurnedAway> {
        let waiting = self.visitors.iter();
        let waiting = waiting.filter(|(_, visitor)| visitor.pace != Pace::Busy);
        let longest = waiting.min_by_key(|(_, visitor)| (visitor.pace, visitor.since));
        let number = longest.map(|(number, _)| *number).ok_or(TurnedAway)?;
        if let Some(visitor) = self.visitors.remove(&number) {
            // Of a client that is gone already there is nothing to close.
            let _ = visitor.socket.shutdown(Shutdown::Both);
        }
        Ok(number)
    }
}

impl Place {
    /// Say what the connection is doing from now on; false when it was given up.
    pub(super) fn goes_on(&self, pace: Pace) -> bool {
        let mut present = self.visitors.lock();
        let Some(visitor) = present.visitors.get_mut(&self.number) else {
            return false;
        };
        visitor.pace = pace;
        visitor.since = Instant::now();
        true
    }

    /// Whether it was given up.
    pub(super) fn is_given_up(&self) -> bool {
        !self.visitors.lock().visitors.contains_key(&self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.visitors.lock();
        present.visitors.remove(&self.number);
        present.threads = present.threads.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn socket() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    }

    #[test]
    fn whoever_has_idled_longest_goes_first_and_whoever_works_never() {
        let visitors = Visitors::new(3);
        let mut places = Vec::new();
        for number in 1..=3 {
            let (place, given_up) = visitors.admit(number, &socket()).unwrap();
            assert_eq!(given_up, None);
            places.push(place);
        }
        // The first has made a request since, the second is in an exchange.
        assert!(places[0].goes_on(Pace::Idle));
        assert!(places[1].goes_on(Pace::InExchange));
        let mut admitted = |number| {
            let (place, given_up) = visitors.admit(number, &socket()).unwrap();
            assert!(place.goes_on(Pace::Busy));
            places.push(place);
            given_up
        };
        assert_eq!(admitted(4), Some(3));
        assert_eq!(admitted(5), Some(1));
        assert_eq!(admitted(6), Some(2));
        assert!(visitors.admit(7, &socket()).is_err());
        for (place, given_up) in places.iter().zip([true, true, true, false, false, false]) {
            assert_eq!(place.is_given_up(), given_up);
            assert_eq!(place.goes_on(Pace::Idle), !given_up);
        }
        // Three have been given up and have not left: no more threads than these.
        assert!(visitors.admit(8, &socket()).is_err());
        places.clear();
        assert!(visitors.admit(9, &socket()).is_ok());
    }
}

//! Ticket caches with a past: FILE caches (version 4) whose tickets have expired.

use std::path::Path;

/// Set the end of every ticket in a FILE cache to an hour ago.
pub(crate) fn expire_tickets(cache: &Path) {
    let octets = std::fs::read(cache).unwrap();
    let mut reader = Cache { octets, at: 0 };
    assert_eq!(reader.number(2), 0x0504, "a FILE cache of version 4");
    let header = reader.number(2);
    reader.at += header;
    reader.skip_principal();
    while reader.at < reader.octets.len() {
        reader.expire_credential();
    }
    std::fs::write(cache, reader.octets).unwrap();
}

struct Cache {
    octets: Vec<u8>,
    at: usize,
}

impl Cache {
    fn expire_credential(&mut self) {
        const HOUR: u32 = 3600;
        self.skip_principal();
        self.skip_principal();
        self.at += 2;
        self.skip_octets();
        let auth_time = u32::try_from(self.number(4)).unwrap();
        let [start, end] = [2 * HOUR, HOUR].map(|ago| auth_time.saturating_sub(ago));
        self.put(start);
        self.put(end);
        self.put(0);
        self.at += 1 + 4;
        self.skip_list();
        self.skip_list();
        self.skip_octets();
        self.skip_octets();
    }

    fn number(&mut self, octets: usize) -> usize {
        let end = self.at + octets;
        let number = self.octets[self.at..end]
            .iter()
            .fold(0, |number, octet| number << 8 | usize::from(*octet));
        self.at = end;
        number
    }

    fn put(&mut self, number: u32) {
        self.octets[self.at..self.at + 4].copy_from_slice(&number.to_be_bytes());
        self.at += 4;
    }

    fn skip_octets(&mut self) {
        let length = self.number(4);
        self.at += length;
    }

    fn skip_principal(&mut self) {
        self.at += 4;
        let components = self.number(4);
        for _ in 0..=components {
            self.skip_octets();
        }
    }

    fn skip_list(&mut self) {
        let entries = self.number(4);
        for _ in 0..entries {
            self.at += 2;
            self.skip_octets();
        }
    }
}

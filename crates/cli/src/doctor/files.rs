//! The files of Kerberos as MIT and Heimdal write them: ticket caches and keytabs of type FILE.
//! Only what is no secret is kept.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::ticket::Ticket;
use spnego::error::plain;

/// A ticket cache.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cache {
    /// Whose it is.
    pub(crate) principal: String,
    /// How many seconds the KDC's clock was ahead of this one when the tickets were got; `None`
    /// when nobody wrote it down.
    pub(crate) offset: Option<i64>,
    pub(crate) tickets: Vec<Kept>,
}

/// A ticket in a cache.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// `krbtgt/REALM@REALM` for one.
    pub(crate) service: String,
    /// Seconds since 1970.
    pub(crate) ends: u64,
    /// Whether it can be handed on to another machine.
    pub(crate) forwardable: bool,
    /// What can be read of it.
    pub(crate) ticket: Option<Ticket>,
}

/// A key of a keytab, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) principal: String,
    pub(crate) kvno: u64,
    pub(crate) etype: u64,
}

/// Read a file that must not be endless.
pub(crate) fn contents(file: &Path) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    // A pipe of that name is not waited for.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file)
        .map_err(|error| plain(&error))?;
    if !opened.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("not a regular file".to_owned());
    }
    opened
        .take(FILE_MAX)
        .read_to_end(&mut octets)
        .map_err(|error| plain(&error))?;
    Ok(octets)
}

impl Cache {
    /// Read a cache of format 4, or 3.
    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let mut octets = Octets(octets);
        let mut cache = Self::default();
        match octets.number(2)? {
            0x0504 => {
                let length = octets.number(2)?;
                let mut header = Octets(octets.take(length)?);
                while let Some(tag) = header.number(2) {
                    let length = header.number(2)?;
                    let mut field = Octets(header.take(length)?);
                    if tag == DELTA_TIME {
                        cache.offset = Some(i64::from(field.signed()?));
                    }
                }
            }
            0x0503 => {}
            _ => return None,
        }
        cache.principal = octets.principal()?;
        while !octets.0.is_empty() {
            let kept = octets.kept()?;
            // Notes that the library keeps for itself look like tickets of a realm of this name.
            if !kept.service.ends_with("@X-CACHECONF:") {
                cache.tickets.push(kept);
            }
        }
        Some(cache)
    }
}

/// Read a keytab of format 2.
pub(crate) fn keytab(octets: &[u8]) -> Option<Vec<Key>> {
    let mut octets = Octets(octets);
    if octets.number(2)? != 0x0502 {
        return None;
    }
    let mut keys = Vec::new();
    while !octets.0.is_empty() {
        let length = octets.signed()?;
        let content = octets.take(u64::from(length.unsigned_abs()))?;
        // A negative length is a hole.
        if length > 0 {
            keys.push(Octets(content).key()?);
        }
    }
    Some(keys)
}

/// Numbers with the most significant octet first, and what is counted by them.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, octets: u64) -> Option<u64> {
        let taken = self.take(octets)?;
        let number = taken
            .iter()
            .fold(0, |number, octet| number << 8 | u64::from(*octet));
        Some(number)
    }

    fn signed(&mut self) -> Option<i32> {
        let octets = self.take(4)?.try_into().ok()?;
        Some(i32::from_be_bytes(octets))
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.number(4)?;
        self.take(length)
    }

    /// The principal of a cache.
    fn principal(&mut self) -> Option<String> {
        self.number(4)?;
        let count = self.number(4)?;
        let realm = text(self.counted()?);
        let mut components = Vec::new();
        for _ in 0..count {
            components.push(text(self.counted()?));
        }
        Some(format!("{}@{realm}", components.join("/")))
    }

    fn kept(&mut self) -> Option<Kept> {
        self.principal()?;
        let service = self.principal()?;
        // The key: its encryption type, then itself.
        self.number(2)?;
        self.counted()?;
        self.number(4)?;
        self.number(4)?;
        let ends = self.number(4)?;
        self.number(4)?;
        // is_skey, then the flags.
        self.number(1)?;
        let flags = self.number(4)?;
        // Addresses and authorization data: a type, then octets.
        for _ in 0..2 {
            for _ in 0..self.number(4)? {
                self.number(2)?;
                self.counted()?;
            }
        }
        let ticket = Ticket::decode(self.counted()?);
        self.counted()?;
        Some(Kept {
            service,
            ends,
            forwardable: flags & FORWARDABLE != 0,
            ticket,
        })
    }

    /// An entry of a keytab.
    fn key(&mut self) -> Option<Key> {
        let count = self.number(2)?;
        let length = self.number(2)?;
        let realm = text(self.take(length)?);
        let mut components = Vec::new();
        for _ in 0..count {
            let length = self.number(2)?;
            components.push(text(self.take(length)?));
        }
        // The type of the name, and when the key was written.
        self.take(4 + 4)?;
        let mut kvno = self.number(1)?;
        let etype = self.number(2)?;
        let length = self.number(2)?;
        self.take(length)?;
        // Where a version does not fit into one octet, there are four at the end.
        match self.number(4) {
            Some(0) | None => {}
            Some(long) => kvno = long,
        }
        Some(Key {
            principal: format!("{}@{realm}", components.join("/")),
            kvno,
            etype,
        })
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The field of a cache's header with the difference of the clocks.
const DELTA_TIME: u64 = 1;
/// RFC 4120 section 5.3: bit 1, counted from the most significant.
const FORWARDABLE: u64 = 0x4000_0000;
/// A cache holds some tickets of some kilobytes, a keytab some hundreds of keys.
const FILE_MAX: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keytab_is_read_past_its_holes_and_with_long_versions() {
        let entry = |kvno: u8, long: &[u8]| {
            let content = [
                b"\0\x02\0\x01R\0\x04HTTP\0\x01h\0\0\0\x01\0\0\0\0".as_slice(),
                &[kvno, 0, 18, 0, 2, b'k', b'k'],
                long,
            ]
            .concat();
            let length = u32::try_from(content.len()).unwrap().to_be_bytes();
            [&length[..], &content].concat()
        };
        let hole = [&(-3_i32).to_be_bytes()[..], b"xxx"].concat();
        let octets = [
            b"\x05\x02".to_vec(),
            entry(3, b""),
            hole,
            entry(1, &[0, 0, 1, 1]),
        ]
        .concat();
        let keys = keytab(&octets).unwrap();
        let shown: Vec<_> = keys
            .iter()
            .map(|key| (key.principal.as_str(), key.kvno))
            .collect();
        assert_eq!(shown, [("HTTP/h@R", 3), ("HTTP/h@R", 257)]);
        assert!(keys.iter().all(|key| key.etype == 18));
        // A file that was cut is no keytab, unless it was cut between two entries.
        let whole = (0..octets.len()).filter(|length| keytab(&octets[..*length]).is_some());
        assert_eq!(whole.collect::<Vec<_>>(), [2, 35, 42]);
    }

    /// A cache of one ticket, as libkrb5 writes it: header, principal, credential.
    fn cache() -> Vec<u8> {
        let counted = |octets: &[u8]| {
            let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
            [&length[..], octets].concat()
        };
        let principal = |name: &[u8]| {
            [
                &[0, 0, 0, 1, 0, 0, 0, 1][..],
                &counted(b"R"),
                &counted(name),
            ]
            .concat()
        };
        [
            b"\x05\x04\0\x0c\0\x01\0\x08\xff\xff\xff\x9c\0\0\0\0".to_vec(),
            principal(b"user"),
            principal(b"user"),
            principal(b"HTTP"),
            [&[0, 18][..], &counted(b"key")].concat(),
            [1_u32, 2, 3, 4].map(u32::to_be_bytes).concat(),
            vec![0, 0x40, 0, 0, 0],
            [&[0, 0, 0, 1, 0, 2][..], &counted(b"addr")].concat(),
            vec![0, 0, 0, 0],
            counted(b"ticket"),
            counted(b""),
        ]
        .concat()
    }

    #[test]
    fn a_cache_is_read_whole_or_not_at_all() {
        let octets = cache();
        let read = Cache::decode(&octets).unwrap();
        assert_eq!(read.principal, "user@R");
        assert_eq!(read.offset, Some(-100));
        let kept = Kept {
            service: "HTTP@R".to_owned(),
            ends: 3,
            forwardable: true,
            ticket: None,
        };
        assert_eq!(read.tickets, [kept]);
        // One that was cut has no ticket, or is none.
        for length in 0..octets.len() {
            let cut = Cache::decode(&octets[..length]);
            assert!(cut.is_none_or(|cut| cut.tickets.is_empty()), "{length}");
        }
        // No octet that is another makes the reader panic, or go on for ever.
        for at in 0..octets.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = octets.clone();
                damaged[at] = value;
                let tickets = Cache::decode(&damaged).map_or(0, |cache| cache.tickets.len());
                assert!(tickets <= 1, "{at}");
            }
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let pipe = std::env::temp_dir().join(format!("spnego-pipe-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for other in [&pipe, Path::new("/dev/zero"), Path::new("/")] {
            assert_eq!(contents(other), Err("not a regular file".to_owned()));
        }
        std::fs::remove_file(&pipe).unwrap();
    }

    #[test]
    fn what_is_no_cache_is_none() {
        for octets in [
            &b""[..],
            b"\x05",
            b"\x05\x04",
            b"\x05\x04\xff\xff",
            b"\x05\x03\0\0\0\x01\xff\xff\xff\xff",
        ] {
            assert_eq!(Cache::decode(octets), None, "{octets:?}");
        }
    }
}

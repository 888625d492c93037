//! The AV pairs of NTLM, MS-NLMP section 2.2.2.1: of a server's challenge, and of an NTLMv2
//! response.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::field::{Field, Octets, Value, utf16};
use super::names;

/// What the message around them is judged by.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) ids: Vec<u64>,
    pub(crate) flags: u32,
    pub(crate) timestamp: Option<u64>,
}

/// Take pairs apart, up to MsvAvEOL; what follows it is padding, and shown.
pub(crate) fn read<'a>(field: &mut Field<'a>, octets: Octets<'a>, section: &'static str) -> Pairs {
    let mut pairs = Pairs::default();
    let mut rest = octets;
    loop {
        let (head, after) = rest.split(4);
        let (id, length) = head.split(2);
        let (id, length) = (id.little_endian(), length.little_endian());
        let length = usize::try_from(length).unwrap_or_default();
        if head.len() < 4 {
            field.wrong(SECTION, "MsvAvEOL is missing, which must be the last");
            if !head.is_empty() {
                field.push(Field::with(
                    "octets that are no pair",
                    head,
                    Value::Octets(head.octets),
                ));
            }
            return pairs;
        }
        let (value, after) = after.split(length);
        let (whole, _) = rest.split(4 + value.len());
        let mut pair = Field::new(
            names::found(&IDS, id).map_or_else(|| Cow::Owned(format!("AvId {id}")), Cow::Borrowed),
            whole,
        );
        if value.len() < length {
            pair.wrong(
                SECTION,
                format!("{length} octets are announced, {} are there", value.len()),
            );
        }
        if pairs.ids.contains(&id) {
            pair.doubtful(SECTION, "it comes twice, and who reads it takes either");
        }
        if names::found(&IDS, id).is_none() {
            pair.note(SECTION, "an identifier that is not defined");
        }
        // One of each is enough to look for; hostile ones come by the thousand.
        if id <= CHANNEL_BINDINGS && !pairs.ids.contains(&id) {
            pairs.ids.push(id);
        }
        pairs.take(id, value, &mut pair);
        field.push(pair);
        rest = after;
        if id == END {
            break;
        }
    }
    if !rest.is_empty() {
        let mut padding = Field::with("after MsvAvEOL", rest, Value::Octets(rest.octets));
        if rest.octets.iter().any(|octet| *octet != 0) {
            padding.note(section, "not zero, and read by nobody");
        }
        field.push(padding);
    }
    pairs
}

impl Pairs {
    fn take<'a>(&mut self, id: u64, value: Octets<'a>, pair: &mut Field<'a>) {
        let wanted = match id {
            END => Some(0),
            FLAGS => Some(4),
            TIMESTAMP => Some(8),
            CHANNEL_BINDINGS => Some(16),
            _ => None,
        };
        if let Some(wanted) = wanted {
            if value.len() != wanted {
                pair.wrong(
                    SECTION,
                    format!("{} octets, where {wanted} must be", value.len()),
                );
                pair.value = Value::Octets(value.octets);
                return;
            }
        }
        pair.value = match id {
            END => Value::Nothing,
            COMPUTER..=DNS_TREE => Value::Text(utf16(value, pair, SECTION)),
            FLAGS => {
                let flags = value.little_endian();
                self.flags = u32::try_from(flags).unwrap_or_default();
                Value::bits(flags, &FLAG_NAMES)
            }
            TIMESTAMP => {
                let ticks = value.little_endian();
                self.timestamp = Some(ticks);
                Value::Number(ticks, Some(names::filetime(ticks).into()))
            }
            SINGLE_HOST => {
                single_host(value, pair);
                Value::Nothing
            }
            TARGET_NAME => {
                if value.is_empty() {
                    pair.note(SECTION, "empty: the client does not know its target's name");
                }
                Value::Text(utf16(value, pair, SECTION))
            }
            CHANNEL_BINDINGS => {
                if value.octets.iter().all(|octet| *octet == 0) {
                    pair.note(SECTION, "all zero: no channel bindings");
                }
                Value::Octets(value.octets)
            }
            _ => Value::Octets(value.octets),
        };
    }
}

/// Single_Host_Data: only of use when client and server are one machine.
fn single_host<'a>(value: Octets<'a>, pair: &mut Field<'a>) {
    const SECTION: &str = "MS-NLMP section 2.2.2.2";
    let Some(size) = value.part(0, 4) else {
        pair.wrong(SECTION, "it ends before its Size");
        return;
    };
    let number = size.little_endian();
    let mut field = Field::with("Size", size, Value::number(number));
    if number != u64::try_from(value.len()).unwrap_or(u64::MAX) {
        field.doubtful(SECTION, format!("there are {} octets", value.len()));
    }
    pair.push(field);
    for (name, at, length) in [("CustomData", 8, 8), ("MachineID", 16, 32)] {
        match value.part(at, length) {
            Some(part) => pair.push(Field::with(name, part, Value::Octets(part.octets))),
            None => pair.wrong(SECTION, format!("it ends before its {name}")),
        }
    }
}

const SECTION: &str = "MS-NLMP section 2.2.2.1";

const END: u64 = 0;
pub(crate) const COMPUTER: u64 = 1;
pub(crate) const DOMAIN: u64 = 2;
const DNS_TREE: u64 = 5;
const FLAGS: u64 = 6;
const TIMESTAMP: u64 = 7;
const SINGLE_HOST: u64 = 8;
const TARGET_NAME: u64 = 9;
const CHANNEL_BINDINGS: u64 = 10;

const IDS: [(u64, &str); 11] = [
    (END, "MsvAvEOL"),
    (COMPUTER, "MsvAvNbComputerName"),
    (DOMAIN, "MsvAvNbDomainName"),
    (3, "MsvAvDnsComputerName"),
    (4, "MsvAvDnsDomainName"),
    (DNS_TREE, "MsvAvDnsTreeName"),
    (FLAGS, "MsvAvFlags"),
    (TIMESTAMP, "MsvAvTimestamp"),
    (SINGLE_HOST, "MsvAvSingleHost"),
    (TARGET_NAME, "MsvAvTargetName"),
    (CHANNEL_BINDINGS, "MsvAvChannelBindings"),
];

const FLAG_NAMES: [(u64, &str); 3] = [
    (1, "constrained account"),
    (2, "there is a MIC"),
    (4, "target name from an untrusted source"),
];

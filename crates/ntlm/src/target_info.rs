//! Target information: AV pairs, in which each side says what it is called and what it saw. MS-NLMP
//! section 2.2.2.1.
#![forbid(unsafe_code)]

use super::message::even;

/// The AV pairs of a CHALLENGE_MESSAGE or of an NTLMv2 response.
#[derive(Debug)]
pub(super) struct TargetInfo<'a> {
    pairs: &'a [u8],
    pub(super) flags: u32,
    pub(super) timestamp: Option<u64>,
    pub(super) target_name: Option<&'a [u8]>,
    pub(super) channel_bindings: Option<&'a [u8; 16]>,
}

impl<'a> TargetInfo<'a> {
    /// Read pairs up to MsvAvEOL, which must be there. What follows it is padding. A pair that
    /// comes twice would mean one thing to one reader and another to the next: refused.
    pub(super) fn decode(octets: &'a [u8]) -> Result<Self, String> {
        Self::read(octets, true)
    }

    /// The same for another implementation to read, and of a pair that comes twice the last.
    pub(super) fn in_any_number(octets: &'a [u8]) -> Result<Self, String> {
        Self::read(octets, false)
    }

    fn read(octets: &'a [u8], once: bool) -> Result<Self, String> {
        let mut info = Self {
            pairs: octets,
            flags: 0,
            timestamp: None,
            target_name: None,
            channel_bindings: None,
        };
        let mut seen = 0_u32;
        let mut last = None;
        let mut rest = octets;
        loop {
            let Some((id, value, after)) = next_pair(rest) else {
                return Err(format!("target information: {}", cut(rest, last)));
            };
            if id == av::END {
                let end = octets.len().saturating_sub(rest.len());
                info.pairs = octets.get(..end).unwrap_or_default();
                return Ok(info);
            }
            let bit = 1_u32.checked_shl(id.into()).unwrap_or(0);
            if once && seen & bit != 0 {
                let name = av::name(id);
                return Err(format!("target information: {name} comes twice"));
            }
            seen |= bit;
            info.take(id, value).ok_or_else(|| {
                let (name, octets) = (av::name(id), value.len());
                format!("target information: {name} has a wrong length, {octets} octets")
            })?;
            last = Some(id);
            rest = after;
        }
    }

    /// The pairs before MsvAvEOL, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.pairs;
        std::iter::from_fn(move || {
            let (id, value, after) = next_pair(rest)?;
            rest = after;
            Some((id, value))
        })
    }

    fn take(&mut self, id: u16, value: &'a [u8]) -> Option<()> {
        match id {
            av::COMPUTER | av::DOMAIN | av::DNS_COMPUTER | av::DNS_DOMAIN | av::DNS_TREE => {
                even(value)?;
            }
            av::FLAGS => self.flags = u32::from_le_bytes(value.try_into().ok()?),
            av::TIMESTAMP => self.timestamp = Some(u64::from_le_bytes(value.try_into().ok()?)),
            // Its size, which may grow, comes first. Nothing here asks whether the peer is
            // this very machine.
            av::SINGLE_HOST => {
                let size = u32::from_le_bytes(*value.first_chunk()?);
                (usize::try_from(size).ok()? <= value.len()).then_some(())?;
            }
            av::TARGET_NAME => self.target_name = Some(even(value)?),
            av::CHANNEL_BINDINGS => self.channel_bindings = Some(value.try_into().ok()?),
            _ => {}
        }
        Some(())
    }
}

/// Append one AV pair; `None` when the value is too long for one.
pub(super) fn push_pair(out: &mut Vec<u8>, id: u16, value: &[u8]) -> Option<()> {
    let length = u16::try_from(value.len()).ok()?;
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
    Some(())
}

fn next_pair(octets: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&[a, b, c, d], rest) = octets.split_first_chunk::<4>()?;
    let length = u16::from_le_bytes([c, d]);
    let (value, rest) = rest.split_at_checked(length.into())?;
    Some((u16::from_le_bytes([a, b]), value, rest))
}

/// What is wrong where no whole pair is, behind the `last` one.
fn cut(rest: &[u8], last: Option<u16>) -> String {
    let announced = rest.split_first_chunk::<4>();
    match (announced, last) {
        (Some((&[a, b, c, d], value)), _) => format!(
            "{} runs beyond the end: it is to have {} octets, of which {} are there",
            av::name(u16::from_le_bytes([a, b])),
            u16::from_le_bytes([c, d]),
            value.len()
        ),
        (None, None) if rest.is_empty() => "it is empty, MsvAvEOL is missing".to_owned(),
        (None, None) => "it ends within the first pair".to_owned(),
        (None, Some(last)) if rest.is_empty() => {
            format!("MsvAvEOL is missing after {}", av::name(last))
        }
        (None, Some(last)) => format!("it ends within the pair after {}", av::name(last)),
    }
}

/// AvId, MS-NLMP section 2.2.2.1.
pub(super) mod av {
    pub(crate) const END: u16 = 0;
    pub(crate) const COMPUTER: u16 = 1;
    pub(crate) const DOMAIN: u16 = 2;
    pub(crate) const DNS_COMPUTER: u16 = 3;
    pub(crate) const DNS_DOMAIN: u16 = 4;
    pub(crate) const DNS_TREE: u16 = 5;
    pub(crate) const FLAGS: u16 = 6;
    pub(crate) const TIMESTAMP: u16 = 7;
    pub(crate) const SINGLE_HOST: u16 = 8;
    pub(crate) const TARGET_NAME: u16 = 9;
    pub(crate) const CHANNEL_BINDINGS: u16 = 10;

    /// A pair by its name.
    pub(super) fn name(id: u16) -> String {
        let known = match id {
            END => "MsvAvEOL",
            COMPUTER => "MsvAvNbComputerName",
            DOMAIN => "MsvAvNbDomainName",
            DNS_COMPUTER => "MsvAvDnsComputerName",
            DNS_DOMAIN => "MsvAvDnsDomainName",
            DNS_TREE => "MsvAvDnsTreeName",
            FLAGS => "MsvAvFlags",
            TIMESTAMP => "MsvAvTimestamp",
            SINGLE_HOST => "MsvAvSingleHost",
            TARGET_NAME => "MsvAvTargetName",
            CHANNEL_BINDINGS => "MsvAvChannelBindings",
            other => return format!("the pair with AvId {other}"),
        };
        known.to_owned()
    }
}

/// MsvAvFlags: a MIC is in the AUTHENTICATE_MESSAGE.
pub(super) const AV_FLAG_MIC: u32 = 2;

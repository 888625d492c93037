//! The messages of NEGOEX, of which a token holds several in a row (MS-NEGOEX section 2.2.6).
//! Numbers are little-endian; vectors lie anywhere behind a message's fixed header.
#![forbid(unsafe_code)]

use std::fmt;

use crate::role::Role;

/// A GUID of 16 octets: an authentication scheme, or a conversation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Guid(pub [u8; GUID]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i, rest @ ..] = self.0;
        let first = u32::from_le_bytes([a, b, c, d]);
        let (second, third) = (u16::from_le_bytes([e, g]), u16::from_le_bytes([h, i]));
        write!(f, "{first:08x}-{second:04x}-{third:04x}-")?;
        for (at, octet) in rest.iter().enumerate() {
            let dash = if at == 2 { "-" } else { "" };
            write!(f, "{dash}{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One message of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its number in the conversation, of both sides together, from 0.
    pub sequence: u32,
    /// The conversation, which the initiator has named.
    pub conversation: Guid,
    /// Where it begins in its token, in octets.
    pub offset: usize,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// INITIATOR_NEGO or ACCEPTOR_NEGO: the schemes of one side, best first.
    Nego {
        /// Whose.
        from: Role,
        /// The schemes.
        schemes: Schemes<'a>,
    },
    /// INITIATOR_META_DATA or ACCEPTOR_META_DATA.
    MetaData {
        /// Whose.
        from: Role,
        /// For which scheme.
        scheme: Guid,
        /// The octets that the scheme's mechanism wants the other side's to have.
        data: &'a [u8],
    },
    /// AP_REQUEST of an initiator, CHALLENGE of an acceptor: a context token of the mechanism.
    Exchange {
        /// Whose.
        from: Role,
        /// Of which scheme.
        scheme: Guid,
        /// The token.
        token: &'a [u8],
    },
    /// VERIFY: a checksum over the conversation so far.
    Verify {
        /// By whose key.
        scheme: Guid,
        /// The checksum's type, of RFC 3961.
        kind: i32,
        /// The checksum.
        checksum: &'a [u8],
    },
    /// ALERT.
    Alert {
        /// For which scheme.
        scheme: Guid,
        /// It says that the sender has no key to verify a checksum with (ALERT_VERIFY_NO_KEY).
        verify_no_key: bool,
    },
}

/// The schemes of a side, as they are in its message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Schemes<'a>(&'a [u8]);

impl<'a> Schemes<'a> {
    /// Those that these octets are, one behind the other.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Each of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Guid> + 'a {
        let octets = self.0.chunks_exact(GUID);
        octets.filter_map(|octets| octets.try_into().ok().map(Guid))
    }
}

impl fmt::Debug for Schemes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Body<'_> {
    /// Its type, by the name of MS-NEGOEX section 2.2.6.1.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nego { from, .. } => by_role(*from, "INITIATOR_NEGO", "ACCEPTOR_NEGO"),
            Self::MetaData { from, .. } => {
                by_role(*from, "INITIATOR_META_DATA", "ACCEPTOR_META_DATA")
            }
            Self::Exchange { from, .. } => by_role(*from, "AP_REQUEST", "CHALLENGE"),
            Self::Verify { .. } => "VERIFY",
            Self::Alert { .. } => "ALERT",
        }
    }

    /// The schemes that it is about.
    pub fn schemes(&self) -> String {
        match self {
            Self::Nego { schemes, .. } => {
                let schemes: Vec<_> = schemes.iter().map(|scheme| scheme.to_string()).collect();
                schemes.join(" ")
            }
            Self::MetaData { scheme, .. }
            | Self::Exchange { scheme, .. }
            | Self::Verify { scheme, .. }
            | Self::Alert { scheme, .. } => scheme.to_string(),
        }
    }

    fn kind(&self) -> u32 {
        match self {
            Self::Nego { from, .. } => by_role(*from, 0, 1),
            Self::MetaData { from, .. } => by_role(*from, 2, 3),
            Self::Exchange { from, .. } => by_role(*from, 5, 4),
            Self::Verify { .. } => 6,
            Self::Alert { .. } => 7,
        }
    }

    /// How many octets its fixed header has.
    fn header_length(&self) -> u32 {
        match self {
            Self::Nego { .. } => 96,
            Self::MetaData { .. } | Self::Exchange { .. } => 64,
            Self::Verify { .. } => 80,
            Self::Alert { .. } => 72,
        }
    }
}

fn by_role<T>(role: Role, initiator: T, acceptor: T) -> T {
    match role {
        Role::Initiator => initiator,
        Role::Acceptor => acceptor,
    }
}

/// What makes a token none of NEGOEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// A message does not begin with NEGOEXTS.
    Signature,
    /// A message is of a type that nobody knows.
    Type(u32),
    /// What a message says of lengths is not so: of which field.
    Size(&'static str),
    /// A version other than 0.
    Version(u64),
    /// An extension that may not be passed over, and which nobody knows.
    CriticalExtension(u32),
    /// A checksum that is none of RFC 3961.
    ChecksumScheme(u32),
    /// More messages than [`MESSAGES`].
    TooMany,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("Invalid NegoEx signature"),
            Self::Type(kind) => write!(f, "Invalid NegoEx message type: {kind}"),
            Self::Size(field) => write!(f, "Invalid NegoEx message size: {field}"),
            Self::Version(version) => write!(f, "Unsupported NegoEx version: {version}"),
            Self::CriticalExtension(kind) => {
                write!(f, "Unsupported critical NegoEx extension: {kind:#x}")
            }
            Self::ChecksumScheme(scheme) => write!(f, "Unknown NegoEx checksum scheme: {scheme}"),
            Self::TooMany => write!(f, "more than {MESSAGES} NegoEx messages in a token"),
        }
    }
}

impl std::error::Error for Invalid {}

/// Take all messages of a token apart.
///
/// # Errors
/// What is wrong with the first that is not well formed.
pub fn decode(token: &[u8]) -> Result<Vec<Message<'_>>, Invalid> {
    let mut messages = Vec::new();
    let mut offset = 0;
    let mut rest = token;
    while !rest.is_empty() {
        if messages.len() == MESSAGES {
            return Err(Invalid::TooMany);
        }
        let (message, after) = Message::decode(rest, offset)?;
        messages.push(message);
        offset += rest.len() - after.len();
        rest = after;
    }
    Ok(messages)
}

impl<'a> Message<'a> {
    /// The message at the beginning, and what follows it.
    fn decode(octets: &'a [u8], offset: usize) -> Result<(Self, &'a [u8]), Invalid> {
        let mut header = Fixed(octets);
        if header.array()? != *SIGNATURE {
            return Err(Invalid::Signature);
        }
        let kind = header.u32()?;
        let sequence = header.u32()?;
        let (header_length, length) = (header.size()?, header.size()?);
        let conversation = Guid(header.array()?);
        let read = octets.len() - header.0.len();
        let (whole, rest) = octets
            .split_at_checked(length)
            .ok_or(Invalid::Size("cbMessageLength"))?;
        // Fields of the fixed header are read from it, vectors from the whole message.
        let fixed = whole.get(read..header_length);
        let fixed = Fixed(fixed.ok_or(Invalid::Size("cbHeaderLength"))?);
        let body = Body::decode(kind, fixed, whole)?;
        let message = Self {
            sequence,
            conversation,
            offset,
            body,
        };
        Ok((message, rest))
    }
}

impl<'a> Body<'a> {
    fn decode(kind: u32, header: Fixed<'a>, whole: &'a [u8]) -> Result<Self, Invalid> {
        match kind {
            0 => Self::nego(Role::Initiator, header, whole),
            1 => Self::nego(Role::Acceptor, header, whole),
            2 => Self::meta_data(Role::Initiator, header, whole),
            3 => Self::meta_data(Role::Acceptor, header, whole),
            4 => Self::exchange(Role::Acceptor, header, whole),
            5 => Self::exchange(Role::Initiator, header, whole),
            6 => Self::verify(header, whole),
            7 => Self::alert(header, whole),
            unknown => Err(Invalid::Type(unknown)),
        }
    }

    /// NEGO_MESSAGE, section 2.2.6.3.
    fn nego(from: Role, mut header: Fixed<'a>, whole: &'a [u8]) -> Result<Self, Invalid> {
        let _random: [u8; RANDOM] = header.array()?;
        let version = u64::from_le_bytes(header.array()?);
        if version != 0 {
            return Err(Invalid::Version(version));
        }
        let (offset, count) = (header.size()?, header.u16()?);
        let schemes = vector(whole, offset, usize::from(count), GUID);
        let schemes = Schemes(schemes.ok_or(Invalid::Size("AuthSchemes"))?);
        let (offset, count) = (header.size()?, header.u16()?);
        let extensions = vector(whole, offset, usize::from(count), EXTENSION);
        let extensions = extensions.ok_or(Invalid::Size("Extensions"))?;
        for extension in extensions.chunks_exact(EXTENSION) {
            let kind = Fixed(extension).u32()?;
            if kind & CRITICAL != 0 {
                return Err(Invalid::CriticalExtension(kind));
            }
        }
        Ok(Self::Nego { from, schemes })
    }

    fn meta_data(from: Role, header: Fixed<'a>, whole: &'a [u8]) -> Result<Self, Invalid> {
        let (scheme, data) = scheme_and_octets(header, whole)?;
        Ok(Self::MetaData { from, scheme, data })
    }

    fn exchange(from: Role, header: Fixed<'a>, whole: &'a [u8]) -> Result<Self, Invalid> {
        let (scheme, token) = scheme_and_octets(header, whole)?;
        Ok(Self::Exchange {
            from,
            scheme,
            token,
        })
    }

    /// VERIFY_MESSAGE, section 2.2.6.5.
    fn verify(mut header: Fixed<'a>, whole: &'a [u8]) -> Result<Self, Invalid> {
        let scheme = Guid(header.array()?);
        if header.u32()? != CHECKSUM_HEADER {
            return Err(Invalid::Size("CHECKSUM.cbHeaderLength"));
        }
        let checksum_scheme = header.u32()?;
        if checksum_scheme != CHECKSUM_RFC3961 {
            return Err(Invalid::ChecksumScheme(checksum_scheme));
        }
        let kind = i32::from_le_bytes(header.array()?);
        let (offset, length) = (header.size()?, header.size()?);
        let checksum = vector(whole, offset, length, 1).ok_or(Invalid::Size("ChecksumValue"))?;
        Ok(Self::Verify {
            scheme,
            kind,
            checksum,
        })
    }

    /// ALERT_MESSAGE, section 2.2.6.6. Alerts of other types, and other reasons, are passed over.
    fn alert(mut header: Fixed<'a>, whole: &'a [u8]) -> Result<Self, Invalid> {
        let scheme = Guid(header.array()?);
        let _error_code = header.u32()?;
        let (offset, count) = (header.size()?, header.u16()?);
        let alerts = vector(whole, offset, usize::from(count), ALERT);
        let alerts = alerts.ok_or(Invalid::Size("Alerts"))?;
        let mut verify_no_key = false;
        for alert in alerts.chunks_exact(ALERT) {
            let mut alert = Fixed(alert);
            let (kind, offset, length) = (alert.u32()?, alert.size()?, alert.size()?);
            let value = vector(whole, offset, length, 1).ok_or(Invalid::Size("AlertValue"))?;
            if kind == ALERT_TYPE_PULSE && value.len() >= ALERT_PULSE {
                let mut pulse = Fixed(value);
                let (_header_length, reason) = (pulse.u32()?, pulse.u32()?);
                verify_no_key |= reason == ALERT_VERIFY_NO_KEY;
            }
        }
        Ok(Self::Alert {
            scheme,
            verify_no_key,
        })
    }

    /// Write it behind what `out` has, as the message with this number of a conversation. A nego
    /// message has `random` in it, which nobody reads.
    ///
    /// # Errors
    /// [`Invalid::Size`] when it is larger than a message can be.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        conversation: Guid,
        sequence: u32,
        random: &[u8; RANDOM],
    ) -> Result<(), Invalid> {
        let header = self.header_length();
        let payload = match self {
            Self::Nego { schemes, .. } => schemes.0,
            Self::MetaData { data, .. } => data,
            Self::Exchange { token, .. } => token,
            Self::Verify { checksum, .. } => checksum,
            Self::Alert { .. } => &[],
        };
        let pulse = match self {
            Self::Alert { .. } => ALERT + ALERT_PULSE,
            _ => 0,
        };
        let too_large = |_| Invalid::Size("cbMessageLength");
        let length = u32::try_from(payload.len() + pulse).map_err(too_large)?;
        let whole = header
            .checked_add(length)
            .ok_or(Invalid::Size("cbMessageLength"))?;
        out.extend_from_slice(SIGNATURE);
        put(out, &[self.kind(), sequence, header, whole]);
        out.extend_from_slice(&conversation.0);
        match self {
            Self::Nego { schemes, .. } => {
                let count = u16::try_from(schemes.0.len() / GUID);
                out.extend_from_slice(random);
                out.extend_from_slice(&0_u64.to_le_bytes());
                put(out, &[header]);
                let count = count.map_err(|_| Invalid::Size("AuthSchemes"))?;
                out.extend_from_slice(&count.to_le_bytes());
                put(out, &[header]);
                // No extensions, and up to a multiple of eight octets.
                out.extend_from_slice(&[0; 2 + 4]);
            }
            Self::MetaData { scheme, .. } | Self::Exchange { scheme, .. } => {
                out.extend_from_slice(&scheme.0);
                put(out, &[header, length]);
            }
            Self::Verify { scheme, kind, .. } => {
                out.extend_from_slice(&scheme.0);
                put(out, &[CHECKSUM_HEADER, CHECKSUM_RFC3961]);
                out.extend_from_slice(&kind.to_le_bytes());
                put(out, &[header, length]);
                out.extend_from_slice(&[0; 4]);
            }
            Self::Alert { scheme, .. } => {
                out.extend_from_slice(&scheme.0);
                put(out, &[0, header]);
                out.extend_from_slice(&1_u16.to_le_bytes());
                out.extend_from_slice(&[0; 6]);
                let (alert, pulse) = (12, 8);
                put(out, &[ALERT_TYPE_PULSE, header + alert, pulse]);
                put(out, &[pulse, ALERT_VERIFY_NO_KEY]);
            }
        }
        out.extend_from_slice(payload);
        Ok(())
    }
}

/// AuthScheme and a BYTE_VECTOR, section 2.2.6.4.
fn scheme_and_octets<'a>(
    mut header: Fixed<'a>,
    whole: &'a [u8],
) -> Result<(Guid, &'a [u8]), Invalid> {
    let scheme = Guid(header.array()?);
    let (offset, length) = (header.size()?, header.size()?);
    let octets = vector(whole, offset, length, 1).ok_or(Invalid::Size("Exchange"))?;
    Ok((scheme, octets))
}

/// The elements of a vector, each so wide, where they all lie in the message.
fn vector(whole: &[u8], offset: usize, count: usize, width: usize) -> Option<&[u8]> {
    let end = offset.checked_add(count.checked_mul(width)?)?;
    whole.get(offset..end)
}

fn put(out: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// A reader of fields one behind the other.
struct Fixed<'a>(&'a [u8]);

impl Fixed<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        let (array, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Invalid::Size("cbHeaderLength"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn u16(&mut self) -> Result<u16, Invalid> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Invalid> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length or an offset, in octets.
    fn size(&mut self) -> Result<usize, Invalid> {
        usize::try_from(self.u32()?).map_err(|_| Invalid::Size("cbMessageLength"))
    }
}

/// The most messages of a token that are read. Four, and one of metadata for each scheme, are what a
/// side ever has to say at once; nobody has so many schemes.
pub const MESSAGES: usize = 64;

/// The octets of a GUID, of a nego message's random number, of an EXTENSION and an ALERT with their
/// vectors' heads, and of an ALERT_PULSE (sections 2.2.1 to 2.2.5).
const GUID: usize = 16;
/// As above.
pub const RANDOM: usize = 32;
const EXTENSION: usize = 12;
const ALERT: usize = 12;
const ALERT_PULSE: usize = 8;

const SIGNATURE: &[u8; 8] = b"NEGOEXTS";
/// The bit of an extension's type that says that it may not be passed over (section 2.2.3).
const CRITICAL: u32 = 0x8000_0000;
const CHECKSUM_HEADER: u32 = 20;
const CHECKSUM_RFC3961: u32 = 1;
const ALERT_TYPE_PULSE: u32 = 1;
const ALERT_VERIFY_NO_KEY: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEME: Guid = Guid(*b"0123456789abcdef");
    const CONVERSATION: Guid = Guid([7; GUID]);

    fn samples() -> Vec<Body<'static>> {
        vec![
            Body::Nego {
                from: Role::Initiator,
                schemes: Schemes(b"0123456789abcdefABCDEFGHIJKLMNOP"),
            },
            Body::Nego {
                from: Role::Acceptor,
                schemes: Schemes(b""),
            },
            Body::MetaData {
                from: Role::Initiator,
                scheme: SCHEME,
                data: b"data",
            },
            Body::MetaData {
                from: Role::Acceptor,
                scheme: SCHEME,
                data: b"",
            },
            Body::Exchange {
                from: Role::Initiator,
                scheme: SCHEME,
                token: b"token",
            },
            Body::Exchange {
                from: Role::Acceptor,
                scheme: SCHEME,
                token: b"answer",
            },
            Body::Verify {
                scheme: SCHEME,
                kind: -138,
                checksum: b"checksum",
            },
            Body::Alert {
                scheme: SCHEME,
                verify_no_key: true,
            },
        ]
    }

    fn token(bodies: &[Body<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        for (sequence, body) in (0..).zip(bodies) {
            body.encode(&mut out, CONVERSATION, sequence, &[1; RANDOM])
                .unwrap();
        }
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let token = token(&samples());
        let messages = decode(&token).unwrap();
        assert_eq!(messages.len(), samples().len());
        for ((sequence, message), body) in (0..).zip(&messages).zip(samples()) {
            assert_eq!(message.body, body);
            assert_eq!(message.sequence, sequence);
            assert_eq!(message.conversation, CONVERSATION);
            assert!(token[message.offset..].starts_with(SIGNATURE));
        }
        let names: Vec<_> = messages.iter().map(|message| message.body.name()).collect();
        assert_eq!(names[4..], ["AP_REQUEST", "CHALLENGE", "VERIFY", "ALERT"]);
    }

    #[test]
    fn a_guid_is_shown_as_microsoft_shows_it() {
        let guid = Guid([
            0x69, 0x85, 0xa2, 0xc0, 0xac, 0x66, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6,
        ]);
        assert_eq!(guid.to_string(), "c0a28569-66ac-0000-0000-010203040506");
    }

    #[test]
    fn a_token_that_is_cut_is_an_error_or_fewer_messages() {
        let whole = token(&samples());
        let mut ends = Vec::new();
        for length in 0..whole.len() {
            if let Ok(messages) = decode(&whole[..length]) {
                ends.push(messages.len());
            }
        }
        assert_eq!(ends, (0..samples().len()).collect::<Vec<_>>());
    }

    /// CVE-2026-40356 was a header shorter than its fields, CVE-2026-40355 a vector of no elements.
    #[test]
    fn lengths_that_are_not_so_are_errors() {
        let nego = token(&samples()[..1]);
        let altered = |at: usize, value: u32| {
            let mut token = nego.clone();
            token[at..at + 4].copy_from_slice(&value.to_le_bytes());
            decode(&token).map(drop)
        };
        for header in [0, 39, 40, 91, 129, u32::MAX] {
            assert_eq!(altered(16, header), Err(Invalid::Size("cbHeaderLength")));
        }
        for length in [129, u32::MAX] {
            assert_eq!(altered(20, length), Err(Invalid::Size("cbMessageLength")));
        }
        assert_eq!(altered(80, 97), Err(Invalid::Size("AuthSchemes")));
        assert_eq!(altered(80, u32::MAX), Err(Invalid::Size("AuthSchemes")));
        assert_eq!(altered(86, u32::MAX), Err(Invalid::Size("Extensions")));
        // No extensions at the end of the message are none, and no octet behind it is read.
        assert_eq!(altered(86, 128), Ok(()));
        assert_eq!(altered(8, 8), Err(Invalid::Type(8)));
        assert_eq!(altered(72, 1), Err(Invalid::Version(1)));
        assert_eq!(decode(b"NEGOEXTs"), Err(Invalid::Signature));
    }

    #[test]
    fn no_octet_that_is_another_panics() {
        let whole = token(&samples());
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut token = whole.clone();
                token[at] = value;
                let _ = decode(&token);
            }
        }
    }

    #[test]
    fn an_extension_that_is_critical_is_refused_and_another_passed_over() {
        let with = |kind: u32| {
            let mut token = token(&samples()[..1]);
            let end = u32::try_from(token.len()).unwrap();
            token[86..90].copy_from_slice(&end.to_le_bytes());
            token[90..92].copy_from_slice(&1_u16.to_le_bytes());
            put(&mut token, &[kind, 0, 0]);
            let length = end + 12;
            token[20..24].copy_from_slice(&length.to_le_bytes());
            decode(&token).map(drop)
        };
        assert_eq!(with(5), Ok(()));
        let critical = 0x8000_0005;
        assert_eq!(with(critical), Err(Invalid::CriticalExtension(critical)));
    }

    #[test]
    fn a_token_of_too_many_messages_is_refused() {
        let alert = Body::Alert {
            scheme: SCHEME,
            verify_no_key: true,
        };
        assert!(decode(&token(&vec![alert; MESSAGES])).is_ok());
        let more = token(&vec![alert; MESSAGES + 1]);
        assert_eq!(decode(&more), Err(Invalid::TooMany));
    }
}

//! The three messages of NTLM as octets: MS-NLMP section 2.2. Decoders borrow, check every offset
//! and length, and say where a message is wrong; text is UTF-16, since nothing else is negotiated.
#![forbid(unsafe_code)]

/// NegotiateFlags, MS-NLMP section 2.2.2.5: the ones this project knows.
pub(super) mod flag {
    pub(crate) const UNICODE: u32 = 0x0000_0001;
    pub(crate) const REQUEST_TARGET: u32 = 0x0000_0004;
    pub(crate) const SIGN: u32 = 0x0000_0010;
    pub(crate) const SEAL: u32 = 0x0000_0020;
    pub(crate) const NTLM: u32 = 0x0000_0200;
    pub(crate) const ANONYMOUS: u32 = 0x0000_0800;
    pub(crate) const DOMAIN_SUPPLIED: u32 = 0x0000_1000;
    pub(crate) const WORKSTATION_SUPPLIED: u32 = 0x0000_2000;
    pub(crate) const ALWAYS_SIGN: u32 = 0x0000_8000;
    pub(crate) const TARGET_TYPE_SERVER: u32 = 0x0002_0000;
    pub(crate) const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
    pub(crate) const IDENTIFY: u32 = 0x0010_0000;
    pub(crate) const TARGET_INFO: u32 = 0x0080_0000;
    pub(crate) const VERSION: u32 = 0x0200_0000;
    pub(crate) const KEY_128: u32 = 0x2000_0000;
    pub(crate) const KEY_EXCHANGE: u32 = 0x4000_0000;

    /// These flags by their names, which is what other tools show.
    pub(in super::super) fn names(flags: u32) -> String {
        let named = NAMES.iter().filter(|(flag, _)| flags & flag != 0);
        let named: Vec<_> = named.map(|(_, name)| *name).collect();
        named.join(", ")
    }

    /// Those that one side can miss of the other.
    const NAMES: [(u32, &str); 7] = [
        (UNICODE, "NTLMSSP_NEGOTIATE_UNICODE"),
        (SIGN, "NTLMSSP_NEGOTIATE_SIGN"),
        (SEAL, "NTLMSSP_NEGOTIATE_SEAL"),
        (NTLM, "NTLMSSP_NEGOTIATE_NTLM"),
        (
            EXTENDED_SESSION_SECURITY,
            "NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY",
        ),
        (TARGET_INFO, "NTLMSSP_NEGOTIATE_TARGET_INFO"),
        (KEY_128, "NTLMSSP_NEGOTIATE_128"),
    ];
}

/// The longest message read. Each of its fields may have 64 KiB, no honest one comes near: the
/// largest that Windows makes has 2,888 octets.
pub(super) const LONGEST: usize = 0xffff;

/// NEGOTIATE_MESSAGE, MS-NLMP section 2.2.1.1.
#[derive(Debug)]
pub(super) struct Negotiate {
    pub(super) flags: u32,
}

impl Negotiate {
    /// The octets of an encoded message: that of Windows, without a domain or workstation.
    pub(super) const OCTETS: usize = 40;

    /// The longest read, of which an acceptor keeps all until the MIC comes: 40 octets, and a domain
    /// and a workstation of at most 255 each, in two octets a character.
    pub(super) const LONGEST: usize = 1060;

    /// The version is Windows' and optional: 40 octets with it, 32 without, 16 from the oldest.
    pub(super) fn decode(token: &[u8]) -> Result<Self, String> {
        let message = Message::open("NEGOTIATE", 1, token)?;
        if token.len() > Self::LONGEST {
            return Err(format!("NEGOTIATE: {} octets are too many", token.len()));
        }
        let flags = message.number(12, "flags")?;
        if flags & flag::DOMAIN_SUPPLIED != 0 {
            message.field(16, "domain")?;
        }
        if flags & flag::WORKSTATION_SUPPLIED != 0 {
            message.field(24, "workstation")?;
        }
        Ok(Self { flags })
    }

    pub(super) fn encode(&self) -> [u8; Self::OCTETS] {
        let mut token = [0; Self::OCTETS];
        let fields = SIGNATURE
            .into_iter()
            .chain(1_u32.to_le_bytes())
            .chain(self.flags.to_le_bytes())
            .chain([0; 16])
            .chain(VERSION);
        for (place, octet) in token.iter_mut().zip(fields) {
            *place = octet;
        }
        token
    }
}

/// CHALLENGE_MESSAGE, MS-NLMP section 2.2.1.2.
#[derive(Debug)]
pub(super) struct Challenge<'a> {
    pub(super) flags: u32,
    pub(super) challenge: [u8; 8],
    /// The AV pairs as they stand in the message.
    pub(super) target_info: &'a [u8],
}

impl<'a> Challenge<'a> {
    pub(super) fn decode(token: &'a [u8]) -> Result<Self, String> {
        let message = Message::open("CHALLENGE", 2, token)?;
        message.field(12, "target name")?;
        Ok(Self {
            flags: message.number(20, "flags")?,
            challenge: *message.array(24, "challenge")?,
            target_info: message.field(40, "target information")?,
        })
    }

    /// `target_name` is UTF-16.
    pub(super) fn encode(&self, target_name: &[u8]) -> Result<Vec<u8>, String> {
        let mut layout = Layout::after(56);
        let target_name_at = layout.field(target_name.len())?;
        let target_info_at = layout.field(self.target_info.len())?;
        let mut token = Vec::with_capacity(layout.end());
        token.extend_from_slice(&SIGNATURE);
        token.extend_from_slice(&2_u32.to_le_bytes());
        token.extend_from_slice(&target_name_at);
        token.extend_from_slice(&self.flags.to_le_bytes());
        token.extend_from_slice(&self.challenge);
        token.extend_from_slice(&[0; 8]);
        token.extend_from_slice(&target_info_at);
        token.extend_from_slice(&VERSION);
        token.extend_from_slice(target_name);
        token.extend_from_slice(self.target_info);
        Ok(token)
    }
}

/// AUTHENTICATE_MESSAGE, MS-NLMP section 2.2.1.3. Text is UTF-16, little-endian.
#[derive(Debug)]
pub(super) struct Authenticate<'a> {
    pub(super) flags: u32,
    pub(super) lm_response: &'a [u8],
    pub(super) nt_response: &'a [u8],
    pub(super) domain: &'a [u8],
    pub(super) user: &'a [u8],
    pub(super) workstation: &'a [u8],
    pub(super) encrypted_session_key: &'a [u8],
}

impl<'a> Authenticate<'a> {
    /// Where the MIC stands in an encoded message.
    pub(super) const MIC: std::ops::Range<usize> = 72..88;

    /// Decode, and find the 16 octets where a MIC would be: before the first field, after the
    /// version, or in its place when an old sender left it out. `None`: the fields begin too soon.
    pub(super) fn decode(
        token: &'a [u8],
    ) -> Result<(Self, Option<std::ops::Range<usize>>), String> {
        let message = Message::open("AUTHENTICATE", 3, token)?;
        let decoded = Self::read(&message, true)?;
        let mut fields_begin = token.len();
        for at in [12, 20, 28, 36, 44, 52] {
            let (length, offset) = message.place(at, "field")?;
            if length > 0 {
                fields_begin = fields_begin.min(offset);
            }
        }
        let mic = match fields_begin {
            88.. => Some(Self::MIC),
            80.. => Some(64..80),
            _ => None,
        };
        Ok((decoded, mic))
    }

    /// Decode in whatever character set the message says that it has.
    pub(super) fn in_any_text(token: &'a [u8]) -> Result<Self, String> {
        let message = Message::open("AUTHENTICATE", 3, token)?;
        let flags = message.number(60, "flags")?;
        Self::read(&message, flags & flag::UNICODE != 0)
    }

    fn read(message: &Message<'a>, unicode: bool) -> Result<Self, String> {
        let text = |at, what| match unicode {
            true => message.text(at, what),
            false => message.field(at, what),
        };
        Ok(Self {
            lm_response: message.field(12, "LM response")?,
            nt_response: message.field(20, "NT response")?,
            domain: text(28, "domain")?,
            user: text(36, "user name")?,
            workstation: text(44, "workstation")?,
            encrypted_session_key: message.field(52, "session key")?,
            flags: message.number(60, "flags")?,
        })
    }

    /// Encode with 16 zeros at [`Self::MIC`].
    pub(super) fn encode(&self) -> Result<Vec<u8>, String> {
        let mut layout = Layout::after(Self::MIC.end);
        let domain_at = layout.field(self.domain.len())?;
        let user_at = layout.field(self.user.len())?;
        let workstation_at = layout.field(self.workstation.len())?;
        let lm_at = layout.field(self.lm_response.len())?;
        let nt_at = layout.field(self.nt_response.len())?;
        let key_at = layout.field(self.encrypted_session_key.len())?;
        let versioned = self.flags & flag::VERSION != 0;
        let version = if versioned { VERSION } else { [0; 8] };
        let mut token = Vec::with_capacity(layout.end());
        token.extend_from_slice(&SIGNATURE);
        token.extend_from_slice(&3_u32.to_le_bytes());
        for place in [lm_at, nt_at, domain_at, user_at, workstation_at, key_at] {
            token.extend_from_slice(&place);
        }
        token.extend_from_slice(&self.flags.to_le_bytes());
        token.extend_from_slice(&version);
        token.extend_from_slice(&[0; 16]);
        for field in [
            self.domain,
            self.user,
            self.workstation,
            self.lm_response,
            self.nt_response,
            self.encrypted_session_key,
        ] {
            token.extend_from_slice(field);
        }
        Ok(token)
    }
}

/// The fixed front of NTLMv2_CLIENT_CHALLENGE, MS-NLMP section 2.2.2.7: up to its AV pairs.
pub(super) fn client_challenge(timestamp: u64, challenge: &[u8; 8]) -> impl Iterator<Item = u8> {
    let challenge = *challenge;
    [1, 1, 0, 0, 0, 0, 0, 0]
        .into_iter()
        .chain(timestamp.to_le_bytes())
        .chain(challenge)
        .chain([0; 4])
}

/// The octets of [`client_challenge`].
pub(super) const CLIENT_CHALLENGE: usize = 28;

/// Text as UTF-16, little-endian.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_mul(2));
    out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    out
}

/// UTF-16 as text. `None`: an odd number of octets, or half of a surrogate pair.
pub(super) fn text(utf16: &[u8]) -> Option<String> {
    let units = even(utf16)?.chunks_exact(2).filter_map(|unit| {
        let unit = unit.first_chunk()?;
        Some(u16::from_le_bytes(*unit))
    });
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}

/// A message whose signature and type are right.
struct Message<'a> {
    name: &'static str,
    octets: &'a [u8],
}

impl<'a> Message<'a> {
    fn open(name: &'static str, kind: u32, octets: &'a [u8]) -> Result<Self, String> {
        if octets.len() > LONGEST {
            return Err(format!("{name}: {} octets are too many", octets.len()));
        }
        let message = Self { name, octets };
        if *message.array::<8>(0, "signature")? != SIGNATURE {
            return Err("not a message of NTLM".to_owned());
        }
        match message.number(8, "type")? {
            found if found == kind => Ok(message),
            found => Err(format!(
                "{name} was expected, not a message of type {found}"
            )),
        }
    }

    fn array<const N: usize>(&self, at: usize, what: &str) -> Result<&'a [u8; N], String> {
        self.octets
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or_else(|| format!("{}: ends before the {what}", self.name))
    }

    fn number(&self, at: usize, what: &str) -> Result<u32, String> {
        Ok(u32::from_le_bytes(*self.array(at, what)?))
    }

    /// Length and offset of a field; its maximum length is ignored, as MS-NLMP says.
    fn place(&self, at: usize, what: &str) -> Result<(usize, usize), String> {
        let [length @ .., _, _, a, b, c, d] = self.array::<8>(at, what)?;
        let offset = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d]));
        Ok((
            u16::from_le_bytes(*length).into(),
            offset.unwrap_or(usize::MAX),
        ))
    }

    /// An empty field's offset is not looked at.
    fn field(&self, at: usize, what: &str) -> Result<&'a [u8], String> {
        let (length, offset) = self.place(at, what)?;
        if length == 0 {
            return Ok(&[]);
        }
        offset
            .checked_add(length)
            .and_then(|end| self.octets.get(offset..end))
            .ok_or_else(|| format!("{}: the {what} lies beyond the end", self.name))
    }

    fn text(&self, at: usize, what: &str) -> Result<&'a [u8], String> {
        let field = self.field(at, what)?;
        even(field).ok_or_else(|| format!("{}: the {what} is not UTF-16", self.name))
    }
}

/// Where the fields of a message go, one after the other.
struct Layout(u32);

impl Layout {
    fn after(header: usize) -> Self {
        Self(u32::try_from(header).unwrap_or(u32::MAX))
    }

    /// Length, maximum length and offset of the next field.
    fn field(&mut self, length: usize) -> Result<[u8; 8], String> {
        let too_long = || "a name or a response is too long for a message of NTLM".to_owned();
        let length = u16::try_from(length).map_err(|_| too_long())?;
        let offset = self.0;
        self.0 = offset.checked_add(length.into()).ok_or_else(too_long)?;
        let [a, b] = length.to_le_bytes();
        let [c, d, e, f] = offset.to_le_bytes();
        Ok([a, b, a, b, c, d, e, f])
    }

    fn end(&self) -> usize {
        usize::try_from(self.0).unwrap_or_default()
    }
}

pub(super) fn even(octets: &[u8]) -> Option<&[u8]> {
    (octets.len() % 2 == 0).then_some(octets)
}

const SIGNATURE: [u8; 8] = *b"NTLMSSP\0";

/// Windows 6.1 in revision 15 of the protocol, as Samba says too; no build, since it is not
/// Windows.
const VERSION: [u8; 8] = [6, 1, 0, 0, 0, 0, 0, 15];

//! Object identifiers as content octets, and the ones this project knows by name.
//! A mechanism is compared by its octets; Kerberos goes by three OIDs that mean one mechanism.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

/// An object identifier: the content octets of its DER encoding, held inline, then zeros, and their
/// number in the last octet. One array of whole words, so that two are compared, and one is copied,
/// by a few instructions, also inside larger values. That is so with `==`; a constant in a pattern is
/// compared octet by octet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(align(8))]
pub struct Oid([u8; Self::LONGEST + 1]);

impl Oid {
    /// The longest identifier held, in content octets. Every mechanism in use has at most 12;
    /// a longer one in a peer's list is a mechanism nobody here can know, and is passed over.
    pub const LONGEST: usize = 31;

    /// Take an identifier from its content octets; `None` when empty or over [`Self::LONGEST`].
    pub fn new(content: &[u8]) -> Option<Self> {
        if content.is_empty() || content.len() > Self::LONGEST {
            return None;
        }
        let mut held = [0; Self::LONGEST + 1];
        // Before the rest, which is then one piece to the compiler.
        *held.last_mut()? = u8::try_from(content.len()).ok()?;
        held.get_mut(..content.len())?.copy_from_slice(content);
        Some(Self(held))
    }

    /// The identifier with these content octets, which are known when this is compiled.
    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        reason = "evaluated when the library is compiled, and refused there when too long"
    )]
    pub const fn known<const N: usize>(content: [u8; N]) -> Self {
        let mut held = [0; Self::LONGEST + 1];
        let mut at = 0;
        while at < N {
            held[at] = content[at];
            at += 1;
        }
        held[Self::LONGEST] = N as u8;
        Self(held)
    }

    /// The content octets.
    pub fn content(&self) -> &[u8] {
        self.0.get(..usize::from(self.length())).unwrap_or_default()
    }

    /// How many content octets there are.
    pub const fn length(&self) -> u8 {
        let [.., length] = self.0;
        length
    }

    /// Whether this is one of the identifiers of Kerberos 5 (the standard one, the one Windows 2000
    /// truncated to 16-bit arcs, the one before RFC 1964).
    pub fn is_krb5(&self) -> bool {
        [KRB5, KRB5_MS, KRB5_OLD].contains(self)
    }

    /// Whether both name the same mechanism: equal, or both Kerberos 5.
    pub fn same_mech(&self, other: &Self) -> bool {
        self == other || (self.is_krb5() && other.is_krb5())
    }

    /// The name a person knows the mechanism by, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(oid, _)| oid == self)
            .map(|(_, name)| *name)
    }
}

/// SPNEGO, RFC 4178: 1.3.6.1.5.5.2.
pub const SPNEGO: Oid = Oid::known([0x2b, 6, 1, 5, 5, 2]);
/// Kerberos 5, RFC 1964: 1.2.840.113554.1.2.2.
pub const KRB5: Oid = Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2]);
/// Kerberos 5 as Windows 2000 mis-encoded it, MS-SPNG note 9: 1.2.840.48018.1.2.2.
pub const KRB5_MS: Oid = Oid::known([0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 1, 2, 2]);
/// Kerberos 5 before RFC 1964: 1.3.5.1.5.2.
pub const KRB5_OLD: Oid = Oid::known([0x2b, 5, 1, 5, 2]);
/// Kerberos 5 user-to-user: 1.2.840.113554.1.2.2.3.
pub const KRB5_U2U: Oid = Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 3]);
/// IAKERB: 1.3.6.1.5.2.5.
pub const IAKERB: Oid = Oid::known([0x2b, 6, 1, 5, 2, 5]);
/// NTLM, MS-NLMP: 1.3.6.1.4.1.311.2.2.10.
pub const NTLMSSP: Oid = Oid::known([0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 0x0a]);
/// NTLM as MIT's glue has it behind this plugin, which stands in front of it: the octets of [`OURS`],
/// then those of [`NTLMSSP`].
pub const NTLMSSP_BEHIND: Oid = Oid::known([
    0x69, 0x8e, 0xfa, 0x86, 0xc7, 0x1c, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 0x0a,
]);
/// NEGOEX: 1.3.6.1.4.1.311.2.2.30.
pub const NEGOEX: Oid = Oid::known([0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 0x1e]);
/// Negotiate Late Fallback, MS-SPNG 3.1.5.4 of April 2026: 1.3.6.1.4.1.311.2.2.40. No mechanism:
/// who offers it says that it can try the next mechanism after a failure.
pub const LATE_FALLBACK: Oid = Oid::known([0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 0x28]);
/// The type of a name `service@host`, RFC 2744 section 4 (GSS_C_NT_HOSTBASED_SERVICE):
/// 1.2.840.113554.1.2.1.4.
pub const HOSTBASED_SERVICE: Oid = Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 4]);
/// The type of a user's name, RFC 2744 section 4 (GSS_C_NT_USER_NAME): 1.2.840.113554.1.2.1.1.
pub const USER_NAME: Oid = Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 1]);
/// The private identifier under which both glues load this plugin: 2.25.4014056348.
pub const OURS: Oid = Oid::known([0x69, 0x8e, 0xfa, 0x86, 0xc7, 0x1c]);

/// Option of a credential or a context, 2.25.4014056348.1: the maximum output token size in octets,
/// an OM_uint32 in host order; 0 is off (MS-SPNG 3.1.1).
pub const MAX_OUTPUT_TOKEN_SIZE: Oid = Oid::known([0x69, 0x8e, 0xfa, 0x86, 0xc7, 0x1c, 1]);
/// Option of a credential, 2.25.4014056348.2: the mechanisms to negotiate, in this order, as names
/// or dotted identifiers with blanks or commas between (RFC 4178 appendix B.1); for a glue without
/// `gss_set_neg_mechs`.
pub const SET_NEG_MECHS: Oid = Oid::known([0x69, 0x8e, 0xfa, 0x86, 0xc7, 0x1c, 2]);

/// What is asked of a context or of a credential of ours, below 2.25.4014056348.3.
pub mod inquiry {
    use super::Oid;

    const fn numbered(number: u8) -> Oid {
        Oid::known([0x69, 0x8e, 0xfa, 0x86, 0xc7, 0x1c, 3, number])
    }

    /// The mechanisms of the initiator's list.
    pub const OFFERED: Oid = numbered(1);
    /// The mechanism, pending or chosen.
    pub const MECH: Oid = numbered(2);
    /// How far the negotiation is.
    pub const STATE: Oid = numbered(3);
    /// How far the protection of the list is.
    pub const MIC: Oid = numbered(4);
    /// The mechanisms that were dropped, and why.
    pub const DROPPED: Oid = numbered(5);
    /// Calls and octets.
    pub const SUMS: Oid = numbered(6);
    /// The rule of the configuration.
    pub const RULE: Oid = numbered(7);
    /// Why the negotiation failed, or what is missing of a message that has arrived in part.
    pub const REASONS: Oid = numbered(8);
    /// The mechanisms that a credential may negotiate.
    pub const NEG_MECHS: Oid = numbered(9);
}

/// Whether it is one of [`inquiry`], or may become one.
pub fn is_inquiry(object: &Oid) -> bool {
    object.content().starts_with(INQUIRIES)
}

/// The content octets of 2.25.4014056348.3.
const INQUIRIES: &[u8] = &[0x69, 0x8e, 0xfa, 0x86, 0xc7, 0x1c, 3];

const NAMES: [(Oid, &str); 9] = [
    (SPNEGO, "spnego"),
    (KRB5, "krb5"),
    (KRB5_MS, "krb5 (Microsoft OID)"),
    (KRB5_OLD, "krb5 (old OID)"),
    (KRB5_U2U, "krb5 user-to-user"),
    (IAKERB, "iakerb"),
    (NTLMSSP, "ntlmssp"),
    (NEGOEX, "negoex"),
    (LATE_FALLBACK, "late fallback"),
];

/// Dotted decimal, as in configuration files.
impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arc: u128 = 0;
        let mut first = true;
        for octet in self.content() {
            // An arc of more than 128 bits cannot be printed as a number; 31 octets may hold one.
            arc = (arc << 7) | u128::from(octet & 0x7f);
            if octet & 0x80 != 0 {
                continue;
            }
            if first {
                let root = (arc / 40).min(2);
                write!(f, "{root}.{}", arc - root * 40)?;
                first = false;
            } else {
                write!(f, ".{arc}")?;
            }
            arc = 0;
        }
        Ok(())
    }
}

/// From dotted decimal, as in configuration files.
impl FromStr for Oid {
    type Err = NotAnOid;

    fn from_str(dotted: &str) -> Result<Self, NotAnOid> {
        let mut arcs = dotted.split('.').map(arc);
        let root = arcs.next().ok_or(NotAnOid)??;
        let second = arcs.next().ok_or(NotAnOid)??;
        // X.660: the second arc goes to 39 under the roots 0 and 1.
        if root > 2 || (root < 2 && second > 39) {
            return Err(NotAnOid);
        }
        let mut content = Vec::with_capacity(Self::LONGEST);
        push_arc(&mut content, second.checked_add(root * 40).ok_or(NotAnOid)?);
        for arc in arcs {
            push_arc(&mut content, arc?);
            if content.len() > Self::LONGEST {
                return Err(NotAnOid);
            }
        }
        Self::new(&content).ok_or(NotAnOid)
    }
}

/// The text is not a dotted object identifier, or a longer one than [`Oid::LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnOid;

fn arc(digits: &str) -> Result<u128, NotAnOid> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NotAnOid);
    }
    digits.parse().map_err(|_| NotAnOid)
}

/// Append one arc in base 128, most significant first (X.690 section 8.19.2).
fn push_arc(content: &mut Vec<u8>, arc: u128) {
    let groups = (128 - arc.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let seven_bits = u8::try_from((arc >> (7 * group)) & 0x7f).unwrap_or_default();
        content.push(seven_bits | if group > 0 { 0x80 } else { 0 });
    }
}

/// The name where there is one, the dotted form otherwise: for sentences and traces.
impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => fmt::Display::fmt(self, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_form_is_the_one_of_configuration_files() {
        assert_eq!(SPNEGO.to_string(), "1.3.6.1.5.5.2");
        assert_eq!(KRB5_MS.to_string(), "1.2.840.48018.1.2.2");
        assert_eq!(LATE_FALLBACK.to_string(), "1.3.6.1.4.1.311.2.2.40");
        assert_eq!(OURS.to_string(), "2.25.4014056348");
    }

    #[test]
    fn options_are_below_our_identifier() {
        assert_eq!(MAX_OUTPUT_TOKEN_SIZE.to_string(), "2.25.4014056348.1");
        assert_eq!(SET_NEG_MECHS.to_string(), "2.25.4014056348.2");
        assert_eq!(inquiry::OFFERED.to_string(), "2.25.4014056348.3.1");
        assert!(is_inquiry(&inquiry::NEG_MECHS) && !is_inquiry(&SET_NEG_MECHS));
    }

    #[test]
    fn questions_are_those_of_the_header() {
        let header = include_str!("../../../include/gss_spnego.h");
        for (name, question) in [
            ("OFFERED", inquiry::OFFERED),
            ("MECH", inquiry::MECH),
            ("STATE", inquiry::STATE),
            ("MIC", inquiry::MIC),
            ("DROPPED", inquiry::DROPPED),
            ("SUMS", inquiry::SUMS),
            ("RULE", inquiry::RULE),
            ("REASONS", inquiry::REASONS),
            ("NEG_MECHS", inquiry::NEG_MECHS),
        ] {
            let arcs = question.to_string().replace('.', " ");
            let line = format!("#define GSS_SPNEGO_INQUIRE_{name} \"{{ {arcs} }}\"\n");
            assert!(header.contains(&line), "{line}");
        }
    }

    #[test]
    fn dotted_form_reads_back() {
        for mech in [
            SPNEGO,
            KRB5,
            KRB5_MS,
            KRB5_OLD,
            NTLMSSP,
            NEGOEX,
            LATE_FALLBACK,
            OURS,
        ] {
            assert_eq!(mech.to_string().parse(), Ok(mech));
        }
        assert_eq!(
            "0.0".parse::<Oid>().map(|oid| oid.content().to_vec()),
            Ok(vec![0])
        );
        let long = "1.2".to_owned() + &".1".repeat(31);
        let huge = format!("2.{}", u128::MAX);
        for wrong in [
            "", "1", "1.", ".1", "1..2", "1.40", "3.1", "+1.2", "1. 2", "krb5", &long, &huge,
        ] {
            assert_eq!(wrong.parse::<Oid>(), Err(NotAnOid), "{wrong:?}");
        }
    }

    #[test]
    fn kerberos_is_one_mechanism_under_three_identifiers() {
        assert!(KRB5.same_mech(&KRB5_MS) && KRB5_MS.same_mech(&KRB5_OLD));
        assert!(!KRB5.same_mech(&KRB5_U2U) && !NTLMSSP.same_mech(&KRB5));
    }

    #[test]
    fn empty_and_overlong_identifiers_are_refused() {
        assert_eq!(Oid::new(&[]), None);
        assert_eq!(Oid::new(&[1; 32]), None);
        assert_eq!(Oid::new(&[0x2b, 6, 1, 5, 5, 2]), Some(SPNEGO));
    }
}

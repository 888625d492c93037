//! What went wrong, by who is to blame, and what the caller is told of it: a major status, a
//! minor code, and one sentence for each mechanism that was considered.
#![forbid(unsafe_code)]

use std::fmt;

use crate::advice::{Trouble, advised};
use crate::oid::Oid;

/// A major status of RFC 2744 section 3.9.1.
pub type Major = u32;

/// The routine errors of RFC 2744 that this project returns.
#[allow(missing_docs, reason = "RFC 2744 section 3.9.1 defines each")]
pub mod major {
    use super::Major;
    pub const COMPLETE: Major = 0;
    pub const CONTINUE_NEEDED: Major = 1;
    pub const CALL_INACCESSIBLE_READ: Major = 1 << 24;
    pub const BAD_MECH: Major = 1 << 16;
    pub const NO_CRED: Major = 7 << 16;
    pub const NO_CONTEXT: Major = 8 << 16;
    pub const DEFECTIVE_TOKEN: Major = 9 << 16;
    pub const FAILURE: Major = 13 << 16;
    pub const UNAUTHORIZED: Major = 15 << 16;
    pub const UNAVAILABLE: Major = 16 << 16;
    pub const DUPLICATE_ELEMENT: Major = 17 << 16;
    pub const NAME_NOT_MN: Major = 18 << 16;
    pub const BAD_BINDINGS: Major = 4 << 16;
    pub const CREDENTIALS_EXPIRED: Major = 11 << 16;
    /// GSS_C_ROUTINE_ERROR_MASK in its place.
    pub const ROUTINE_ERRORS: Major = 0xff << 16;
    /// The calling errors and the routine errors.
    pub const ERRORS: Major = 0xffff << 16;
}

/// Minor codes. The first five are those of MIT's SPNEGO; the rest follow in a range of our own.
/// Each is explained by `gss_display_status`, in full when the failure happened on the same thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Minor {
    /// No mechanism can be offered or accepted.
    NoMechs = 0x2000_0001,
    /// No credential could be acquired for any mechanism.
    NoCreds = 0x2000_0002,
    /// The acceptor did not name the mechanism it chose.
    NoMechFromAcceptor = 0x2000_0003,
    /// The peer refused the negotiation.
    Rejected = 0x2000_0004,
    /// The acceptor accepted a mechanism without answering its token.
    NoTokenFromAcceptor = 0x2000_0005,
    /// The peer's token is not well formed.
    InvalidToken = 0x2000_1001,
    /// The peer's token is well formed and against the protocol.
    Misbehaved = 0x2000_1002,
    /// A mechListMIC is missing where it is mandatory.
    MicMissing = 0x2000_1003,
    /// The peer's mechListMIC does not verify: the list was altered on the way.
    MicWrong = 0x2000_1004,
    /// The negotiated mechanism failed.
    MechFailed = 0x2000_1005,
    /// The caller's arguments or their order are wrong.
    CallerMisused = 0x2000_1006,
    /// The security context failed before, or is not established yet.
    ContextUnusable = 0x2000_1007,
    /// A configuration file or variable is wrong.
    Configuration = 0x2000_1008,
    /// A defect of this library, or out of memory.
    Internal = 0x2000_1009,
    /// The configuration forbids what was negotiated.
    Forbidden = 0x2000_100a,
    /// NTLMSSP failed, which the program uses without SPNEGO.
    Ntlmssp = 0x2000_100b,
    /// HTTP: neither Negotiate nor Nego2 is offered.
    HttpNotOffered = 0x2000_2001,
    /// HTTP: a header field is malformed.
    HttpMalformed = 0x2000_2002,
    /// HTTP: the response is final and does not prove where it comes from.
    HttpUnverified = 0x2000_2003,
    /// HTTP: the exchange needs a connection of its own, which HTTP/2 does not have.
    HttpNeedsHttp11 = 0x2000_2004,
    /// HTTP: a proxy on the way does not promise to keep connections apart.
    HttpProxyMayShare = 0x2000_2005,
}

/// Why a mechanism did not do what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MechError {
    /// The mechanism.
    pub mech: Oid,
    /// The major status it returned.
    pub major: Major,
    /// What that means for the negotiation.
    pub cause: Cause,
    /// Its own sentence, captured when it failed; never a secret.
    pub reason: String,
    /// The token it wants the peer to have in spite of the failure (a KRB-ERROR, say).
    pub token: Option<Vec<u8>>,
}

/// What a mechanism's error means for the negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It cannot be used here and now (no credential, unknown service, expired, no KDC): another
    /// mechanism may be taken in its place.
    Unusable,
    /// The same, since nobody has configured anything for it: no news where there is another reason.
    NotConfigured,
    /// It was tried and says no (wrong password, revoked account, bad token): final.
    Refused,
}

/// A failed negotiation step, by blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer sent something that is not a token: what, and where.
    InvalidToken(String),
    /// The peer sent a token that the protocol forbids here.
    PeerMisbehaved(Misbehaviour),
    /// The peer said reject. `negotiated`: a mechanism had been agreed on before.
    Rejected {
        /// Whether a mechanism had been agreed on.
        negotiated: bool,
        /// The mechanisms of the negotiation and what became of each.
        considered: Vec<MechError>,
    },
    /// No mechanism is left to offer or to accept, and why each was dropped.
    NoMech {
        /// Every mechanism that was considered, the first failure first.
        considered: Vec<MechError>,
        /// What the failure is called when no mechanism was considered at all.
        summary: &'static str,
    },
    /// No credential could be acquired, and why not for each mechanism.
    NoCred {
        /// Every mechanism that was considered.
        considered: Vec<MechError>,
    },
    /// The negotiated mechanism failed, and those dropped before it.
    Mech {
        /// The failure that ended the negotiation.
        error: MechError,
        /// Mechanisms dropped earlier.
        considered: Vec<MechError>,
    },
    /// The configuration forbids what was negotiated: what, and who says so.
    Forbidden(String),
    /// NTLMSSP failed, which the program uses without SPNEGO: what it says itself.
    Ntlmssp {
        /// The major status it returned.
        major: Major,
        /// Its own sentences.
        said: Vec<String>,
    },
    /// The call needs an established context, and this one is not, or failed.
    NoContext(&'static str),
    /// Neither the mechanism nor this library has that service.
    Unavailable(&'static str),
    /// An argument is missing that has to be there.
    Missing(&'static str),
    /// The caller broke the interface's rules.
    CallerMisused(&'static str),
    /// Authentication in HTTP failed.
    Http {
        /// The code of what happened.
        minor: Minor,
        /// It, in a sentence.
        reason: String,
    },
    /// A defect of ours.
    Internal(&'static str),
}

/// The ways in which a well-formed token can be against RFC 4178.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// A mandatory mechListMIC is missing.
    MissingMic,
    /// The mechListMIC does not verify, in the mechanism's words.
    WrongMic(String),
    /// A second mechListMIC.
    SecondMic,
    /// The acceptor chose a mechanism that was not offered.
    NotOffered(Oid),
    /// The acceptor did not name the mechanism it chose, and no token of one was offered.
    NoMechFromAcceptor,
    /// The acceptor accepted the optimistic mechanism but answered no token of it.
    NoTokenFromAcceptor(Oid),
    /// Anything else, as a sentence.
    Other(&'static str),
}

/// A failed step: what to tell the caller, and what to tell the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub error: Error,
    /// An encoded NegTokenResp with negState reject for the peer, when one is owed.
    pub reject: Option<Vec<u8>>,
}

/// An error's words without the number that Rust puts behind those of the operating system: "(os
/// error 2)" tells a reader nothing. It may stand within, where one error quotes another.
pub fn plain(error: &dyn fmt::Display) -> String {
    let mut words = error.to_string();
    let mut from = 0;
    while let Some(at) = words.get(from..).and_then(|rest| rest.find(NUMBERED)) {
        let start = from.saturating_add(at);
        let digits = start.saturating_add(NUMBERED.len());
        let rest = words.get(digits..).unwrap_or_default();
        let length = rest.find(')').unwrap_or_default();
        let is_number = |octet: u8| octet.is_ascii_digit() || octet == b'-';
        if length > 0 && rest.bytes().take(length).all(is_number) {
            words.replace_range(start..=digits.saturating_add(length), "");
            from = start;
        } else {
            from = digits;
        }
    }
    words
}

/// How Rust begins the number of an error of the operating system.
const NUMBERED: &str = " (os error ";

impl Error {
    /// The major status of this error.
    pub fn major(&self) -> Major {
        match self {
            Self::InvalidToken(_) | Self::PeerMisbehaved(_) => major::DEFECTIVE_TOKEN,
            Self::Rejected {
                negotiated: false, ..
            } => major::BAD_MECH,
            Self::Rejected {
                negotiated: true, ..
            } => major::FAILURE,
            Self::NoMech { considered, .. } => considered
                .first()
                .map_or(major::BAD_MECH, |first| first.major),
            Self::NoCred { considered } => considered
                .first()
                .map_or(major::NO_CRED, |first| first.major),
            Self::Mech { error, .. } => error.major,
            Self::Forbidden(_) => major::UNAUTHORIZED,
            Self::Ntlmssp { major, .. } => *major,
            Self::NoContext(_) => major::NO_CONTEXT,
            Self::Missing(_) => major::CALL_INACCESSIBLE_READ,
            Self::Unavailable(_) => major::UNAVAILABLE,
            Self::Http {
                minor: Minor::HttpMalformed,
                ..
            } => major::DEFECTIVE_TOKEN,
            Self::CallerMisused(_) | Self::Http { .. } | Self::Internal(_) => major::FAILURE,
        }
    }

    /// The minor code of this error.
    pub fn minor(&self) -> Minor {
        match self {
            Self::InvalidToken(_) => Minor::InvalidToken,
            Self::PeerMisbehaved(Misbehaviour::MissingMic) => Minor::MicMissing,
            Self::PeerMisbehaved(Misbehaviour::WrongMic(_)) => Minor::MicWrong,
            Self::PeerMisbehaved(Misbehaviour::NoTokenFromAcceptor(_)) => {
                Minor::NoTokenFromAcceptor
            }
            Self::PeerMisbehaved(Misbehaviour::NoMechFromAcceptor) => Minor::NoMechFromAcceptor,
            Self::PeerMisbehaved(_) => Minor::Misbehaved,
            Self::Rejected { .. } => Minor::Rejected,
            Self::NoMech { .. } => Minor::NoMechs,
            Self::NoCred { .. } => Minor::NoCreds,
            Self::Mech { .. } => Minor::MechFailed,
            Self::Forbidden(_) => Minor::Forbidden,
            Self::Ntlmssp { .. } => Minor::Ntlmssp,
            Self::NoContext(_) => Minor::ContextUnusable,
            Self::Unavailable(_) | Self::Missing(_) | Self::CallerMisused(_) => {
                Minor::CallerMisused
            }
            Self::Http { minor, .. } => *minor,
            Self::Internal(_) => Minor::Internal,
        }
    }

    /// One sentence for each mechanism considered, or one for the error itself; never empty.
    pub fn sentences(&self) -> Vec<String> {
        match self {
            Self::InvalidToken(what) => vec![format!("the peer's token is malformed: {what}")],
            Self::PeerMisbehaved(how) => vec![how.sentence()],
            Self::Rejected { considered, .. } => {
                let refusal = "the peer rejected the negotiation".to_owned();
                std::iter::once(advised(refusal, Some(&Trouble::SeePeer)))
                    .chain(news(considered).map(MechError::sentence))
                    .collect()
            }
            Self::NoMech {
                considered,
                summary,
            } if considered.is_empty() => {
                vec![(*summary).to_owned()]
            }
            Self::NoCred { considered } if considered.is_empty() => {
                vec![Minor::NoCreds.sentence().to_owned()]
            }
            Self::NoMech { considered, .. } | Self::NoCred { considered } => {
                if news(considered).next().is_none() {
                    return considered.iter().map(MechError::sentence).collect();
                }
                news(considered).map(MechError::sentence).collect()
            }
            Self::Mech { error, considered } => std::iter::once(error)
                .chain(news(considered))
                .map(MechError::sentence)
                .collect(),
            Self::Forbidden(what) => vec![what.clone()],
            Self::Ntlmssp { said, .. } => said.clone(),
            Self::NoContext(what)
            | Self::Unavailable(what)
            | Self::Missing(what)
            | Self::CallerMisused(what) => vec![(*what).to_owned()],
            Self::Http { reason, .. } => vec![reason.clone()],
            Self::Internal(what) => vec![format!("internal error of gss-spnego: {what}")],
        }
    }
}

/// What is worth telling of the mechanisms that were considered.
fn news(considered: &[MechError]) -> impl Iterator<Item = &MechError> {
    let is_news = |error: &&MechError| error.cause != Cause::NotConfigured;
    considered.iter().filter(is_news)
}

impl Misbehaviour {
    fn sentence(&self) -> String {
        let altered = matches!(
            self,
            Self::MissingMic | Self::WrongMic(_) | Self::NotOffered(_)
        );
        advised(self.what(), altered.then_some(&Trouble::ListAltered))
    }

    fn what(&self) -> String {
        match self {
            Self::MissingMic => "mechListMIC is missing where RFC 4178 section 5 requires it: the \
                 list of mechanisms may have been altered on the way"
                .to_owned(),
            Self::WrongMic(reason) => format!(
                "mechListMIC does not verify, the list of mechanisms was altered on the way \
                 ({reason})"
            ),
            Self::SecondMic => "the peer sent a second mechListMIC".to_owned(),
            Self::NotOffered(mech) => {
                format!("the peer chose a mechanism that was not offered: {mech}")
            }
            Self::NoMechFromAcceptor => {
                "the acceptor did not name the mechanism it chose".to_owned()
            }
            Self::NoTokenFromAcceptor(mech) => {
                format!("the acceptor accepted {mech:?} but sent no token of it")
            }
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

impl MechError {
    /// "krb5: no credentials cache found".
    pub fn sentence(&self) -> String {
        format!("{:?}: {}", self.mech, self.reason)
    }
}

impl Minor {
    /// What the code means when the failure itself is no longer at hand.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoMechs => "no mechanism can be negotiated",
            Self::NoCreds => "no credential could be acquired for any mechanism",
            Self::NoMechFromAcceptor => "the acceptor did not name the mechanism it chose",
            Self::Rejected => "the peer rejected the negotiation",
            Self::NoTokenFromAcceptor => "the acceptor sent no token of the mechanism it accepted",
            Self::InvalidToken => "the peer's token is malformed",
            Self::Misbehaved => "the peer's token is against the protocol (RFC 4178)",
            Self::MicMissing => "a mandatory mechListMIC is missing (RFC 4178 section 5)",
            Self::MicWrong => "mechListMIC does not verify: the list of mechanisms was altered",
            Self::MechFailed => "the negotiated mechanism failed",
            Self::CallerMisused => "the arguments do not fit this call",
            Self::ContextUnusable => "the security context is not established, or has failed",
            Self::Configuration => "the configuration of gss-spnego is wrong",
            Self::Internal => "internal error of gss-spnego",
            Self::Forbidden => "the configuration of gss-spnego forbids what was negotiated",
            Self::Ntlmssp => "NTLM failed",
            Self::HttpNotOffered => "neither Negotiate nor Nego2 is offered",
            Self::HttpMalformed => "an HTTP header field is malformed",
            Self::HttpUnverified => "the response does not prove where it comes from",
            Self::HttpNeedsHttp11 => "the exchange needs HTTP/1.1",
            Self::HttpProxyMayShare => "a proxy does not promise to keep connections apart",
        }
    }

    /// The code as C sees it.
    pub fn code(self) -> u32 {
        #[expect(clippy::as_conversions, reason = "the discriminants are the codes")]
        {
            self as u32
        }
    }

    /// The code with this value.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|minor| minor.code() == code)
    }

    const ALL: [Self; 21] = [
        Self::NoMechs,
        Self::NoCreds,
        Self::NoMechFromAcceptor,
        Self::Rejected,
        Self::NoTokenFromAcceptor,
        Self::InvalidToken,
        Self::Misbehaved,
        Self::MicMissing,
        Self::MicWrong,
        Self::MechFailed,
        Self::CallerMisused,
        Self::ContextUnusable,
        Self::Configuration,
        Self::Internal,
        Self::Forbidden,
        Self::Ntlmssp,
        Self::HttpNotOffered,
        Self::HttpMalformed,
        Self::HttpUnverified,
        Self::HttpNeedsHttp11,
        Self::HttpProxyMayShare,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_error_of_the_system_is_left_out_wherever_it_stands() {
        let missing = std::io::Error::from_raw_os_error(2);
        assert_eq!(plain(&missing), "No such file or directory");
        let quoted = format!("TLS: {missing}: closed (os error -1) (os error x) (os error )");
        let left = "TLS: No such file or directory: closed (os error x) (os error )";
        assert_eq!(plain(&quoted), left);
        assert_eq!(plain(&"(os error "), "(os error ");
        assert_eq!(plain(&" (os error 2"), " (os error 2");
    }

    #[test]
    fn what_nobody_configured_is_told_only_where_nothing_else_is() {
        let error = |mech, cause| MechError {
            mech,
            cause,
            major: major::NO_CRED,
            reason: "why".to_owned(),
            token: None,
        };
        let unusable = error(crate::oid::KRB5, Cause::Unusable);
        let nothing = error(crate::oid::NTLMSSP, Cause::NotConfigured);
        let told = |considered: &[MechError]| {
            let considered = considered.to_vec();
            Error::NoCred { considered }.sentences()
        };
        assert_eq!(told(&[unusable, nothing.clone()]), ["krb5: why"]);
        assert_eq!(told(&[nothing]), ["ntlmssp: why"]);
    }
}

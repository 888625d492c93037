//! Why an exchange came to nothing: a sentence for each cause, and what to do about it.
#![forbid(unsafe_code)]

use std::fmt;

use crate::header::Malformed;
use crate::{LEGS_MAX, NEEDS_HTTP_1_1, Refusal};

/// Why the exchange is over without authentication. The client is idle then, and the next request
/// starts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Neither of our schemes is offered; what is.
    NotOffered(Vec<String>),
    /// A header field is malformed.
    Malformed(Malformed),
    /// The peer does not accept these credentials.
    Refused,
    /// The peer asks as if for the first time, after several tokens of ours: it does not accept the
    /// credentials, or has lost the exchange.
    AskedAnew {
        /// How many.
        tokens: u8,
    },
    /// Our security context says no: no credential, or the peer's token is wrong.
    Context(Refusal),
    /// The response is final, but what would prove the peer is missing: it may come from anybody.
    Unverified(&'static str),
    /// The response is no success, and comes in the place of the peer's next token: whoever gave it,
    /// the peer or somebody before it, says nothing of the credentials.
    Interrupted {
        /// Its status.
        status: u16,
        /// The octets of the header field that it answers.
        field: usize,
    },
    /// The exchange cannot be done on HTTP/2; repeat it over HTTP/1.1.
    NeedsHttp11,
    /// A proxy on the way does not promise to keep connections apart.
    ProxyMayShare,
    /// The peer goes on and on.
    TooLong,
}

impl Error {
    /// Whether the request was too large for somebody, or is likely to have been.
    pub fn is_about_size(&self) -> bool {
        match self {
            Self::Interrupted { status, field } => match status {
                400 => *field >= LARGE_FIELD,
                status => matches!(status, 413 | 414 | 431),
            },
            _ => false,
        }
    }

    /// What to do about it, in a sentence, where that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NotOffered(offered) => Some(match offered.as_slice() {
                [] => {
                    "look into the log of whoever asks: its authentication is not configured to \
                     the end"
                }
                [only] if only.eq_ignore_ascii_case("NTLM") => {
                    "it takes NTLM without SPNEGO alone: have it offer Negotiate (IIS: Providers \
                     of Windows Authentication)"
                }
                _ => "have it offer Negotiate for this page, or use what it offers",
            }),
            Self::AskedAnew { .. } => Some(KEEP_CONNECTIONS),
            Self::Interrupted { status, field } => interrupted_remedy(*status, *field),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered(others) if others.is_empty() => f.write_str(
                "credentials are asked for without a challenge that says which \
                 (RFC 9110 section 11.6.1): neither Negotiate nor Nego2 is offered, nor anything \
                 else",
            ),
            Self::NotOffered(others) => write!(
                f,
                "neither Negotiate nor Nego2 is offered, only {}",
                others.join(", ")
            ),
            Self::Malformed(malformed) => write!(f, "a challenge is malformed: {malformed}"),
            Self::Refused => f.write_str("the peer does not accept these credentials"),
            Self::AskedAnew { tokens } => write!(
                f,
                "the peer asks anew after {tokens} tokens: it does not accept these credentials, \
                 or they did not all reach it over one connection"
            ),
            Self::Context(refusal) => f.write_str(&refusal.reason),
            Self::Unverified(what) => f.write_str(what),
            Self::Interrupted { status, field } => {
                let phrase = phrase(*status).map(|phrase| format!(" ({phrase})"));
                let phrase = phrase.unwrap_or_default();
                let what = interrupted(*status, *field);
                write!(f, "{status}{phrase} in the place of the next token: {what}")?;
                match status {
                    400 | 413 | 431 => write!(f, "; the header field had {field} octets"),
                    _ => Ok(()),
                }
            }
            Self::NeedsHttp11 => f.write_str(NEEDS_HTTP_1_1),
            Self::ProxyMayShare => f.write_str(
                "the proxy does not promise to keep the connections of its clients apart \
                 (Proxy-Support: Session-Based-Authentication, RFC 4559 section 6)",
            ),
            Self::TooLong => write!(f, "no end after {LEGS_MAX} round trips"),
        }
    }
}

impl std::error::Error for Error {}

/// What a status means that comes in the place of a token (RFC 9110 section 15, RFC 6585).
fn interrupted(status: u16, field: usize) -> &'static str {
    match status {
        300..=399 => {
            "it sends to another place without a look at the credentials, to a sign-in page of \
             its own for one"
        }
        400 if field >= LARGE_FIELD => {
            "the server, or a proxy before it, cannot read the request, and may not take so large \
             a header field"
        }
        400 => "the server, or a proxy before it, takes the request for malformed",
        403 => {
            "the page is forbidden, to everybody or to this user; whether the credentials were \
             accepted is not said"
        }
        404 | 410 => "there is no such page, and nothing was said of the credentials",
        408 => "the server, or a proxy before it, has not waited for the request",
        413 => "the request is too large for the server, or for a proxy before it",
        414 => "the address is too long for the server, or for a proxy before it",
        421 => "the server does not serve this host on this connection",
        429 => "too many requests have come; nothing was said of the credentials",
        431 => "the server, or a proxy before it, does not take header fields of this size",
        500 => "the server failed while it looked at the credentials, or before it did",
        502 | 504 => "a gateway has no answer from the server behind it",
        503 => "the server, or a proxy before it, is out of service for now",
        511 => "the network itself wants a sign-in first, on a page of its own",
        505..=599 | 501 => "the server, or a proxy before it, does not serve such a request",
        _ => "the request was not served, and nothing was said of the credentials",
    }
}

fn interrupted_remedy(status: u16, field: usize) -> Option<&'static str> {
    Some(match status {
        300..=399 => "ask for a page behind that sign-in, or have the server use Negotiate there",
        400 if field < LARGE_FIELD => {
            "look into its log; where it speaks TLS on this port, use https"
        }
        400 | 413 | 431 => {
            "have it take larger header fields (Apache: LimitRequestFieldSize; nginx: \
             large_client_header_buffers; IIS: MaxFieldLength, MaxRequestBytes; Tomcat: \
             maxHttpRequestHeaderSize), or have the user be in fewer groups"
        }
        403 => "see who may have the page, in the server's configuration and log",
        421 => "connect to the host that the address names",
        429 | 503 => "try again later",
        500 => {
            "look into its log: a keytab that it may not read ends so, and a mechanism that fails"
        }
        502 | 504 => "look into the log of the gateway, and at the server behind it",
        511 => "sign in to the network",
        _ => return None,
    })
}

/// The names of statuses (RFC 9110 section 15, RFC 6585).
pub(super) fn phrase(status: u16) -> Option<&'static str> {
    Some(match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => return None,
    })
}

/// What an exchange of several round trips needs.
pub const KEEP_CONNECTIONS: &str = "NTLM, and whatever takes more than one round trip, needs one \
     connection for all its tokens: have the server and each proxy before it keep connections \
     (HTTP/1.1, Apache: KeepAlive On), or use Kerberos, which takes one request";

/// A header field that is large for some: with the cookies and what else a browser sends it makes
/// the 8 KiB that the header section may have by default with Tomcat, Jetty and others.
const LARGE_FIELD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_own_sentence() {
        let statuses = [
            302, 400, 403, 404, 408, 413, 414, 421, 429, 431, 500, 502, 503, 511, 507,
        ];
        let said = statuses.map(|status| interrupted(status, 100));
        for (at, one) in said.iter().enumerate() {
            assert!(!said[..at].contains(one), "{one}");
        }
        let large = |status| Error::Interrupted {
            status,
            field: 12_000,
        };
        for status in [400, 413, 431] {
            let remedy = large(status).remedy().unwrap();
            assert!(remedy.contains("LimitRequestFieldSize"), "{status}");
            assert!(large(status).to_string().contains("12000 octets"));
        }
        let small = Error::Interrupted {
            status: 400,
            field: 40,
        };
        assert!(small.remedy().unwrap().contains("https"));
    }
}

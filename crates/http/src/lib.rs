//! Negotiate and Nego2 over HTTP (RFC 4559, MS-N2HT): the header grammar and what each side of a
//! connection remembers. No I/O, no C: header fields come in and go out, and the security context
//! behind is a trait, so that our own negotiator or the system's GSS-API may stand there.
#![forbid(unsafe_code)]

pub mod binding;
pub mod client;
pub mod header;
pub mod server;

use std::fmt;

pub use spnego::context::{Context, Contexts, Established, Flags, Refusal};

/// The two authentication schemes (MS-N2HT section 1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 4559: the first challenge is bare.
    Negotiate,
    /// MS-N2HT: the first challenge carries a NegTokenInit2.
    Nego2,
}

impl Scheme {
    /// The scheme of this name, which has no case (RFC 9110 section 11.1).
    pub fn named(name: &str) -> Option<Self> {
        [Self::Negotiate, Self::Nego2]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.name()))
    }

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Negotiate => "Negotiate",
            Self::Nego2 => "Nego2",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who asks for authentication. The two are separate exchanges, each with a state of its own, even
/// on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The origin server: 401, `WWW-Authenticate`, `Authorization`.
    Server,
    /// A proxy: 407, `Proxy-Authenticate`, `Proxy-Authorization`.
    Proxy,
}

impl Asker {
    /// The status code that asks for authentication.
    pub fn status(self) -> u16 {
        match self {
            Self::Server => 401,
            Self::Proxy => 407,
        }
    }

    /// The response field with the challenges.
    pub fn challenge_field(self) -> &'static str {
        match self {
            Self::Server => "WWW-Authenticate",
            Self::Proxy => "Proxy-Authenticate",
        }
    }

    /// The request field with the credentials.
    pub fn credentials_field(self) -> &'static str {
        match self {
            Self::Server => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0 or 1.1: one request at a time, so that a connection can be somebody's.
    Http1,
    /// HTTP/2 or 3: requests of several users may be on their way at once. What takes more than
    /// one leg, or binds the connection, is not possible there.
    Http2,
}

/// Why an exchange that is bound to its connection ends on HTTP/2.
const NEEDS_HTTP_1_1: &str = "the mechanism takes more than one round trip, and HTTP/2 shares the connection among requests; \
     use HTTP/1.1 (HTTP_1_1_REQUIRED, RFC 9113 section 7)";

/// Round trips in one exchange. Kerberos takes one, NTLM two, NEGOEX and IAKERB some more; a peer
/// that still goes on after these keeps the other side busy, not secure.
const LEGS_MAX: u8 = 16;

#[cfg(test)]
mod exchange;

/// Contexts that follow a script.
#[cfg(test)]
mod script {
    use std::collections::VecDeque;

    use spnego::negotiate::Reply;
    use spnego::oid::Oid;

    use super::*;

    /// What comes in, what goes out, and whether that completes the context.
    pub(super) type Leg = (Option<&'static [u8]>, Option<&'static [u8]>, bool);

    pub(super) struct Script {
        legs: VecDeque<Leg>,
        established: Established,
        refusal: Refusal,
    }

    impl Script {
        pub(super) fn contexts(
            mech: Oid,
            legs: &[Leg],
        ) -> impl FnMut() -> Result<Self, Refusal> + use<> {
            Self::with(mech, legs, Flags::MUTUAL, Refusal::new("not in the script"))
        }

        pub(super) fn bound(
            mech: Oid,
            legs: &[Leg],
        ) -> impl FnMut() -> Result<Self, Refusal> + use<> {
            Self::with(
                mech,
                legs,
                Flags::CHANNEL_BOUND,
                Refusal::new("not in the script"),
            )
        }

        pub(super) fn refuses(
            reason: &str,
            token: Option<&str>,
        ) -> impl FnMut() -> Result<Self, Refusal> + use<> {
            let refusal = Refusal {
                reason: reason.to_owned(),
                token: token.map(|token| token.as_bytes().to_vec()),
            };
            Self::with(spnego::oid::KRB5, &[], Flags::default(), refusal)
        }

        fn with(
            mech: Oid,
            legs: &[Leg],
            flags: Flags,
            refusal: Refusal,
        ) -> impl FnMut() -> Result<Self, Refusal> + use<> {
            let legs = VecDeque::from(legs.to_vec());
            move || {
                Ok(Self {
                    legs: legs.clone(),
                    established: Established {
                        peer: Some("peer".to_owned()),
                        mech,
                        flags,
                        lifetime: u32::MAX,
                    },
                    refusal: refusal.clone(),
                })
            }
        }
    }

    impl Context for Script {
        fn step(&mut self, token: Option<&[u8]>) -> Result<Reply, Refusal> {
            match self.legs.pop_front() {
                Some((expected, reply, complete)) if expected == token => Ok(Reply {
                    token: reply.map(<[u8]>::to_vec),
                    complete,
                }),
                _ => Err(self.refusal.clone()),
            }
        }

        fn established(&self) -> Result<Established, Refusal> {
            Ok(self.established.clone())
        }
    }

    pub(super) fn fails(reason: &'static str) -> impl FnMut() -> Result<Script, Refusal> {
        move || Err(Refusal::new(reason))
    }

    pub(super) fn krb5_initiator() -> &'static [Leg] {
        &[(None, Some(b"req"), false), (Some(b"rep"), None, true)]
    }

    pub(super) fn krb5_acceptor() -> &'static [Leg] {
        &[(Some(b"req"), Some(b"rep"), true)]
    }

    pub(super) fn ntlm_initiator() -> &'static [Leg] {
        &[
            (None, Some(b"negotiate"), false),
            (Some(b"challenge"), Some(b"authenticate"), false),
            (Some(b"ok"), None, true),
        ]
    }

    pub(super) fn ntlm_acceptor() -> &'static [Leg] {
        &[
            (Some(b"negotiate"), Some(b"challenge"), false),
            (Some(b"authenticate"), Some(b"ok"), true),
        ]
    }
}

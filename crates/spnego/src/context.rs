//! A security context as whoever carries its tokens sees it (HTTP, for one): our own negotiator or
//! the system's GSS-API may stand behind it.

use crate::error::Failure;
use crate::negotiate::Reply;
use crate::oid::Oid;

/// One security context of this side, as the carrier of its tokens sees it.
pub trait Context {
    /// Consume the peer's token. `None` when there is nothing of the peer yet: an initiator starts,
    /// an acceptor makes its NegTokenInit2.
    ///
    /// # Errors
    /// Why the mechanism says no, and what it wants the peer to have all the same. The context is
    /// of no use afterwards.
    fn step(&mut self, token: Option<&[u8]>) -> Result<Reply, Refusal>;

    /// What has been established; asked only after a step that completed.
    ///
    /// # Errors
    /// When the facts cannot be had; the authentication does not count then.
    fn established(&self) -> Result<Established, Refusal>;
}

/// Where the security contexts of one connection come from: it knows the credential, the target,
/// the flags (an initiator asks for mutual authentication, MS-N2HT section 5.1) and the channel
/// bindings. A closure that makes a context is one.
pub trait Contexts {
    /// A context.
    type Context: Context;

    /// Make a context that has seen no token.
    ///
    /// # Errors
    /// Why there can be none.
    fn start(&mut self) -> Result<Self::Context, Refusal>;
}

impl<C: Context, F: FnMut() -> Result<C, Refusal>> Contexts for F {
    type Context = C;

    fn start(&mut self) -> Result<C, Refusal> {
        self()
    }
}

/// What a completed security context established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// The peer's name as the mechanism displays it; `None` when it has none to show.
    pub peer: Option<String>,
    /// The mechanism that did it, never SPNEGO itself.
    pub mech: Oid,
    /// The context's flags, RFC 2743 section 1.2.1 by the bits of RFC 2744.
    pub flags: Flags,
    /// How many seconds it is good for; `u32::MAX`: for ever.
    pub lifetime: u32,
}

/// The flags of an established context, in the bits of gssapi.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The initiator's credential was delegated.
    pub const DELEGATED: Self = Self(1);
    /// Each side proved itself to the other.
    pub const MUTUAL: Self = Self(2);
    /// The initiator has no name.
    pub const ANONYMOUS: Self = Self(64);
    /// Both sides gave channel bindings, and they agree (MIT 1.19).
    pub const CHANNEL_BOUND: Self = Self(0x800);

    /// Whether all of `others` are set.
    pub fn contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// A security context's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, in a sentence.
    pub reason: String,
    /// What the mechanism wants the peer to have in spite of the failure.
    pub token: Option<Vec<u8>>,
}

impl Refusal {
    /// A refusal with nothing for the peer.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            token: None,
        }
    }
}

/// A failed negotiation, all its sentences in one line.
impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            reason: failure.error.sentences().join("; "),
            token: failure.reject,
        }
    }
}

//! The two roles in a negotiation.
#![forbid(unsafe_code)]

/// Which of the two a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Who begins: a client, by GSS_Init_sec_context.
    Initiator,
    /// Who answers: a service, by GSS_Accept_sec_context.
    Acceptor,
}

impl Role {
    /// The word for it, in the configuration and in the trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Acceptor => "acceptor",
        }
    }

    /// The other.
    pub fn peer(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }
}

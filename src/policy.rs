//! What this machine's administrator decided: which mechanisms, in which order, how strict, how large.
//! Read once in a process, from `/etc/gss/gss-spnego.conf` and the environment.
#![forbid(unsafe_code)]

/// The rules a negotiation follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Send the preferred mechanism's first token with the offer (RFC 4178 section 3.2).
    pub optimistic_token: bool,
    /// As an initiator, finish with NTLM that a legacy Windows acceptor chose without asking for a
    /// mechListMIC (RFC 4178 appendix C, MS-SPNG note 8). Nothing protects that choice: off unless
    /// configured.
    pub legacy_windows: bool,
    /// Largest output token in octets, longer ones leave in fragments (MS-SPNG 3.1.5.6); 0: no limit.
    pub max_output_token_size: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            optimistic_token: true,
            legacy_windows: false,
            max_output_token_size: 0,
        }
    }
}

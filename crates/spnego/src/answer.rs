//! The numbers that questions about a context are answered with (`oid::inquiry`), as they are in
//! `include/gss_spnego.h`, which is made of this file too.

/// State of a context: no mechanism has been agreed on.
pub const GSS_SPNEGO_STATE_PENDING: u32 = 0;
/// State of a context: a mechanism has been agreed on, and is not established.
pub const GSS_SPNEGO_STATE_CHOSEN: u32 = 1;
/// State of a context: established.
pub const GSS_SPNEGO_STATE_ESTABLISHED: u32 = 2;
/// State of a context: the negotiation failed.
pub const GSS_SPNEGO_STATE_FAILED: u32 = 3;

/// Protection of the list of mechanisms: nobody asked for a mechListMIC.
pub const GSS_SPNEGO_MIC_NOT_NEEDED: u32 = 0;
/// Protection of the list of mechanisms: each side has to send a mechListMIC.
pub const GSS_SPNEGO_MIC_REQUIRED: u32 = 1;
/// Protection of the list of mechanisms: ours was sent, the peer's is still to come.
pub const GSS_SPNEGO_MIC_SENT: u32 = 2;
/// Protection of the list of mechanisms: the peer's was verified, and ours was sent.
pub const GSS_SPNEGO_MIC_VERIFIED: u32 = 3;
/// Protection of the list of mechanisms: asked for, and the mechanism has no integrity.
pub const GSS_SPNEGO_MIC_IMPOSSIBLE: u32 = 4;
/// Protection of the list of mechanisms: the peer's did not come, or did not verify.
pub const GSS_SPNEGO_MIC_FAILED: u32 = 5;

//! SPNEGO (RFC 4178 and MS-SPNG) without C and without I/O: the octets, the protocol, and the words
//! that every part of this project shares.
#![forbid(unsafe_code)]

// Words.
pub mod advice;
pub mod answer;
pub mod channel;
pub mod context;
pub mod error;
pub mod lock;
pub mod oid;
pub mod policy;
pub mod role;
pub mod secret;
pub mod stamp;
pub mod trace;
// Octets.
pub mod wire;
// Protocol.
pub mod negotiate;

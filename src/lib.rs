//! gss-spnego: SPNEGO (RFC 4178 and MS-SPNG) as a GSS-API mechanism plugin. The map of the house:
//! `ffi` is the door, `glue` and `ntlm` are the mechanisms, `negotiate` is the protocol, `wire` the
//! octets, and the words that all of them use come first.

// Words.
pub mod advice;
pub mod error;
pub mod oid;
pub mod policy;
pub mod role;
pub mod secret;
pub mod trace;
// Octets.
pub mod wire;
// Protocol.
pub mod negotiate;
// Mechanisms.
mod glue;
pub mod ntlm;
// HTTP.
pub mod http;
// The system's GSS-API, for Rust programs.
pub mod system;
// The door.
mod ffi;
// Generated.
mod sys;

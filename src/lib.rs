//! gss-spnego: SPNEGO as a GSS-API mechanism plugin, what C calls. A row of `table` makes each entry
//! point, the crate `args` turns its arguments into values, `guard` runs its body; the bodies are safe
//! Rust. The protocol is the crate `spnego`, its mechanisms are `ntlm` and those that the crate
//! `gssapi` calls the glue for.
#![deny(unsafe_code)]

mod apart;
mod availability;
#[allow(unsafe_code, reason = "hands calls for NTLMSSP on to the glue")]
mod bare;
mod context;
mod credential;
mod guard;
mod handle;
mod heimdal;
mod inner;
mod inquiry;
mod mechanism;
mod message;
mod name;
#[allow(unsafe_code, reason = "asks the dynamic linker")]
mod neighbours;
mod own;
mod report;
#[allow(unsafe_code, reason = "exports what C calls")]
mod table;
#[allow(unsafe_code, reason = "writes where Heimdal's loader says")]
mod takeover;
mod telling;

#[global_allocator]
static ALLOCATOR: args::Malloc = args::Malloc;

//! Negotiate and Nego2 in HTTP for C programs: libgss_spnego.so.0, the functions of
//! `include/gss_spnego.h`. No name of GSS-API is among what it exports, so that the order of linking
//! does not matter.
#![deny(unsafe_code)]

mod http;
#[allow(unsafe_code, reason = "exports what C calls")]
mod public;

use args::{Argument, Out, Status, panics};

/// Run the body of a function: its status, with the minor code of a failure.
fn guard(mut minor: Out<'_, u32>, body: impl FnOnce() -> Status) -> u32 {
    panics::keep_off_descriptors();
    minor.clear();
    panics::caught(body)
        .and_then(|status| status)
        .unwrap_or_else(|error| {
            minor.put(error.minor().code());
            error.major()
        })
}

#[global_allocator]
static ALLOCATOR: args::Malloc = args::Malloc;

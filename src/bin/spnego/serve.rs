//! `spnego serve`: the HTTP server, leg by leg.
#![forbid(unsafe_code)]

use clap::Args;

use crate::print::{Form, Verdict};

/// Serve one page to who signs in, and show each leg
#[derive(Args)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) fn run(self, _form: Form) -> Verdict {
        Verdict::Wrong
    }
}

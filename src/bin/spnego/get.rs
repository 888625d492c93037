//! `spnego get`: the HTTP client, leg by leg.
#![forbid(unsafe_code)]

use clap::Args;

use crate::print::{Form, Verdict};

/// Get a page, and show each leg of the sign-in
#[derive(Args)]
pub(crate) struct Get {}

impl Get {
    pub(crate) fn run(self, _form: Form) -> Verdict {
        Verdict::Wrong
    }
}

//! `spnego decode`: every field of a token.
#![forbid(unsafe_code)]

use clap::Args;

use crate::print::{Form, Verdict};

/// Show every field of a token
#[derive(Args)]
pub(crate) struct Decode {}

impl Decode {
    pub(crate) fn run(self, _form: Form) -> Verdict {
        Verdict::Wrong
    }
}

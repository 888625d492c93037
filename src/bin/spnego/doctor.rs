//! `spnego doctor`: what this machine has, and what is wrong with it.
#![forbid(unsafe_code)]

use clap::Args;

use crate::print::{Form, Verdict};

/// Examine this machine, and try to sign in
#[derive(Args)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) fn run(self, _form: Form) -> Verdict {
        Verdict::Wrong
    }
}

//! `spnego doctor`: what this machine has, and what is wrong with it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Args;

use crate::Form;

/// Examine this machine, and try to sign in
#[derive(Args)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) fn run(self, _form: Form) -> ExitCode {
        ExitCode::FAILURE
    }
}

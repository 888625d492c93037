//! `spnego decode`: every field of a token.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Args;

use crate::Form;

/// Show every field of a token
#[derive(Args)]
pub(crate) struct Decode {}

impl Decode {
    pub(crate) fn run(self, _form: Form) -> ExitCode {
        ExitCode::FAILURE
    }
}

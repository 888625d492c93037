//! Every entry point runs its body here: a failure is taken down, and a panic stops.

use crate::report;
use args::{Argument, Out, Status, panics};
use gssapi::{Mechglue, call};
use spnego::error::{Major, Minor};

/// Run the body of an entry point: its status, or its failure taken down for `gss_display_status`.
/// A panic stops here and is a failure; what it was changing stays locked for ever.
pub(crate) fn guard(mut minor: Out<'_, u32>, body: impl FnOnce() -> Status) -> u32 {
    run(&mut minor, body).unwrap_or_else(|(major, _)| major)
}

/// The same for an entry point that a glue calls with none of its locks held.
pub(crate) fn answer(
    glue: &'static Mechglue,
    mut minor: Out<'_, u32>,
    body: impl FnOnce() -> Status,
) -> u32 {
    run(&mut minor, body).unwrap_or_else(|(major, minor)| {
        call::note_failure(glue, major, minor.code());
        major
    })
}

fn run(minor: &mut Out<'_, u32>, body: impl FnOnce() -> Status) -> Result<Major, (Major, Minor)> {
    minor.clear();
    panics::caught(body)
        .and_then(|status| status)
        .map_err(|error| {
            let kept = report::keep(&error);
            minor.put(kept.code());
            (error.major(), kept)
        })
}

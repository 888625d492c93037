//! What the trace tells of a context from the door: its begin, and its end with name and flags. All
//! of it costs something only where something is traced.
#![forbid(unsafe_code)]

use super::inner::{Inner, Side};
use crate::error::Error;
use crate::glue::Mechglue;
use crate::negotiate::Record;
use crate::trace::{self, Event, Role, Scope};

/// A context's first call: the scope of what is told during it.
#[inline]
pub(super) fn begin(glue: &'static Mechglue, record: &mut Record, side: Side<'_>) -> Scope {
    let scope = record.scope(side.role());
    if trace::on() {
        tell_begin(glue, record, side);
    }
    scope
}

#[cold]
fn tell_begin(glue: &'static Mechglue, record: &Record, side: Side<'_>) {
    let (target, flags) = match side {
        Side::Initiator { target, flags, .. } => (target, flags),
        Side::Acceptor { .. } => (None, 0),
    };
    let target = target.and_then(|target| target.text(glue));
    trace::tell(&Event::Began {
        target: target.as_deref(),
        flags,
        rule: record.rule(),
    });
}

/// A context is established.
#[inline]
pub(super) fn established(glue: &'static Mechglue, inner: &Inner, record: &Record) {
    if trace::on() {
        tell_established(glue, inner, record);
    }
}

#[cold]
fn tell_established(glue: &'static Mechglue, inner: &Inner, record: &Record) {
    let initiates = record.role() == Some(Role::Initiator);
    // An acceptor's target is nobody's to ask for, see `call::inquire_context`.
    let facts = inner.facts(!initiates, initiates).ok();
    let peer = facts.and_then(|facts| {
        let name = if initiates {
            facts.target
        } else {
            facts.source
        };
        name?.text(glue)
    });
    trace::tell(&Event::Established {
        mech: inner.mech(),
        peer: peer.as_deref(),
        flags: inner.flags(),
        mic: record.mic().name(),
        sums: record.sums(),
    });
}

/// A context failed.
#[cold]
pub(super) fn failed(record: &Record, error: &Error) {
    if trace::on() {
        trace::tell(&Event::Failed {
            reason: &error.sentences().join("; "),
            major: error.major(),
            minor: error.minor().code(),
            sums: record.sums(),
        });
    }
}

impl Side<'_> {
    fn role(&self) -> Role {
        match self {
            Self::Initiator { .. } => Role::Initiator,
            Self::Acceptor { .. } => Role::Acceptor,
        }
    }
}

//! What the trace tells of a context from the door: its begin, and its end with name and flags. All
//! of it costs something only where something is traced.
#![forbid(unsafe_code)]

use super::inner::{Held, Inner, Side};
use gssapi::mech::{Acquire, Source};
use gssapi::sys::{GSS_C_ACCEPT, GSS_C_INITIATE};
use gssapi::{Mechglue, source};
use spnego::error::Error;
use spnego::negotiate::Record;
use spnego::oid::{self, Oid};
use spnego::role::Role;
use spnego::trace::{self, Event, Scope};

/// A context's first call: the scope of what is told during it.
#[inline]
pub(super) fn begin(
    glue: &'static Mechglue,
    record: &mut Record,
    held: &Held,
    side: Side<'_>,
) -> Scope {
    if let Some(rule) = held.rule() {
        record.set_rule(rule.to_string().into());
    }
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

/// A credential was acquired; where from, when not from the default place.
#[cold]
pub(super) fn acquired(mechs: &[Oid], how: &Acquire<'_>) -> Option<Box<str>> {
    let from = match how.source {
        Source::Store(store) if store.is_given() => {
            let value = |key: &&str| Some(String::from_utf8_lossy(store.value(key)?).into_owned());
            let named = WHERE
                .iter()
                .filter_map(|key| Some(format!("{key} {}", value(key)?)));
            let named = named.collect::<Vec<_>>().join(", ");
            Some(format!("a store of the caller's: {named}"))
        }
        Source::Store(_) => None,
        Source::Password(_) => Some("a password of the caller's".to_owned()),
        Source::Impersonator(_) => Some("impersonation by another credential".to_owned()),
    };
    let usage = u32::try_from(how.usage).unwrap_or_default();
    let default = || default_source(mechs, usage);
    trace::tell(&Event::Acquired {
        mechs,
        source: &from.clone().unwrap_or_else(default),
    });
    from.map(Into::into)
}

/// Where credentials come from when nobody says where, for a GSS_C_* usage.
#[cold]
pub(super) fn default_source(mechs: &[Oid], usage: u32) -> String {
    let mut places = Vec::new();
    if mechs.iter().any(Oid::is_krb5) {
        if usage != GSS_C_ACCEPT {
            places.push(format!("default ticket cache {}", source::ticket_cache()));
        }
        if usage != GSS_C_INITIATE {
            places.push(format!("default keytab {}", source::key_table()));
        }
    }
    if mechs.contains(&oid::NTLMSSP) {
        places.push(format!("NTLM users {}", source::ntlm_users()));
    }
    if places.is_empty() {
        return "the mechanism's default".to_owned();
    }
    places.join(", ")
}

/// The words of a credential store that say where something is, none of which is a secret.
const WHERE: [&str; 5] = [
    "ccache",
    "keytab",
    "client_keytab",
    "rcache",
    "ntlmssp_keyfile",
];

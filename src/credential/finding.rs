//! What a credential is made of: each mechanism's part of it, or why there is none.
#![forbid(unsafe_code)]

use super::{Credential, roles};
use crate::apart::Apart;
use crate::availability;
use crate::context::INDEFINITE;
use crate::inner::{absent, unusable};
use crate::name::Name;
use crate::own::{self, Users};
use gssapi::mech::{self, Acquire, Acquired, Source};
use gssapi::sys::{GSS_C_ACCEPT, GSS_C_INITIATE};
use gssapi::{Mechglue, call, catalog, kerberos, owned};
use spnego::advice::{Trouble, advised};
use spnego::error::{Cause, Error, MechError};
use spnego::oid::{self, Oid};
use spnego::policy;
use spnego::trace;
use std::ffi::c_int;

/// Acquire for these mechanisms, `None`: for every one that may be negotiated; and on failure say why
/// for each.
pub(super) fn acquire(
    glue: &'static Mechglue,
    mechs: Option<&[Oid]>,
    name: Option<&Name>,
    how: Acquire<'_>,
) -> Result<(Credential, u32), Error> {
    let policy = policy::current();
    let of_glue = catalog::available(glue);
    let mechs = match mechs {
        Some(mechs) => mechs.to_vec(),
        None => own::available(glue, &of_glue, &policy),
    };
    let allowed = policy.order_for_any(mechs);
    let (ours, of_the_glue) = own::providers(&of_glue, &policy);
    let mut considered = Vec::new();
    let mut usable = allowed.clone();
    let mut users = None;
    usable.retain(|mech| {
        let outcome = if *mech == oid::NTLMSSP && ours {
            let found = users_for(glue, name, &how).map(|found| users = Some(found));
            let found = found.map_err(|error| own::named_by(&policy, error));
            found.map(|()| of_the_glue && worth_asking(glue, mech, &how).is_ok())
        } else {
            worth_asking(glue, mech, &how).map(|()| true)
        };
        outcome.unwrap_or_else(|error| {
            trace!(Dropped {
                mech,
                reason: &error.reason,
            });
            considered.push(error);
            false
        })
    });
    let apart = set_apart(glue, &mut usable, how).unwrap_or_else(|error| {
        trace!(Dropped {
            mech: &oid::NTLMSSP,
            reason: &error.reason,
        });
        considered.push(error);
        None
    });
    let reasons = match (ask(glue, &usable, how), users) {
        (Ok(acquired), users) => {
            let first = acquired.mechs.first().copied();
            let mut made =
                Credential::new(policy, Some(acquired.cred), acquired.mechs, users, apart);
            made.tells_name = how.name.is_some() || !nameless(glue, how.usage, first);
            made.service = service_of(glue, name, how.usage);
            return Ok((made.without(&allowed, &considered), acquired.lifetime));
        }
        // A password that Kerberos has refused must not become NTLM's.
        (Err(reasons), Some(users)) if reasons.iter().all(|why| why.cause != Cause::Refused) => {
            let mut made = Credential::new(policy, None, Vec::new(), Some(users), apart);
            made.service = service_of(glue, name, how.usage);
            considered.extend(reasons);
            return Ok((made.without(&allowed, &considered), INDEFINITE));
        }
        (Err(mut reasons), _) => match apart.map(Apart::into_cred) {
            Some(Ok(cred)) => {
                let mut made = Credential::new(policy, Some(cred), vec![oid::NTLMSSP], None, None);
                made.tells_name = !nameless(glue, how.usage, Some(oid::NTLMSSP));
                made.service = service_of(glue, name, how.usage);
                considered.extend(reasons);
                return Ok((made.without(&allowed, &considered), INDEFINITE));
            }
            Some(Err(error)) => {
                reasons.push(error);
                reasons
            }
            None => reasons,
        },
    };
    considered.splice(0..0, reasons);
    let allows = |mech: &Oid| {
        let allowed = policy.terms.allows(mech);
        allowed.map_err(|words| advised(words, Some(&Trouble::Policy)))
    };
    considered.extend(absent(&allowed, false, allows));
    Err(Error::NoCred { considered })
}

/// The service whose name a credential to accept with was asked for by.
fn service_of(glue: &'static Mechglue, name: Option<&Name>, usage: c_int) -> Option<String> {
    let (_, accepts) = roles(usage);
    name.filter(|_| accepts)?.text(glue)
}

impl Credential {
    /// Wrap a credential that the glue made, for the mechanisms it says it is for.
    pub(super) fn of_glue(cred: owned::Cred) -> Result<Self, Error> {
        let facts = call::inquire_cred(&cred, false, true)?;
        let mechs = facts.mechs.map(|set| set.members()).unwrap_or_default();
        let negotiable: Vec<Oid> = mechs
            .into_iter()
            .filter(|mech| *mech != oid::SPNEGO)
            .collect();
        let tells_name = !nameless(cred.glue(), facts.usage, negotiable.first().copied());
        // A rule for a service holds for whoever has its credential, wherever it was acquired.
        let (_, accepts) = roles(facts.usage);
        let name = if accepts && tells_name {
            call::inquire_cred(&cred, true, false)?.name
        } else {
            None
        };
        let service = service_of(cred.glue(), name.map(Name::of_glue).as_ref(), facts.usage);
        let mut made = Self::new(policy::current(), Some(cred), negotiable, None, None);
        made.tells_name = tells_name;
        made.service = service;
        made.source = trace::on().then(|| "the caller's own".into());
        Ok(made)
    }
}

/// Take the glue's NTLM out of what is asked for together, where it is to be acquired later or
/// otherwise.
///
/// # Errors
/// Why there is none for it.
fn set_apart(
    glue: &'static Mechglue,
    usable: &mut Vec<Oid>,
    how: Acquire<'_>,
) -> Result<Option<Apart>, MechError> {
    let Source::Store(store) = how.source else {
        return Ok(None);
    };
    let (_, accepts) = roles(how.usage);
    if how.name.is_some() || !usable.contains(&oid::NTLMSSP) || store.is_given() && !accepts {
        return Ok(None);
    }
    usable.retain(|mech| *mech != oid::NTLMSSP);
    if store.is_given() {
        return Apart::to_accept(glue, how).map(Some);
    }
    Apart::later(glue, how.usage).map(Some)
}

/// The users of our own NTLM for a credential.
fn users_for(
    glue: &'static Mechglue,
    name: Option<&Name>,
    how: &Acquire<'_>,
) -> Result<Users, MechError> {
    let none = |reason: &str| unusable(&oid::NTLMSSP, reason);
    let from = match how.source {
        Source::Store(store) => own::From::Store(store),
        Source::Password(password) => own::From::Password(password),
        Source::Impersonator(_) => return Err(none("NTLM knows no impersonation")),
    };
    let named = match name {
        Some(name) => Some(
            name.as_user(glue)
                .map_err(|error| none(&error.sentences().join("; ")))?,
        ),
        None => None,
    };
    // The name of an acceptor's service is not one of its users.
    if named == Some(None) && u32::try_from(how.usage) == Ok(GSS_C_INITIATE) {
        return Err(none("the name is a service's, not a user's"));
    }
    Users::find(own::Wanted {
        name: named.flatten().as_ref(),
        usage: how.usage,
        from,
    })
}

/// Ask the mechanisms for one credential, or each for its own reason: the glue tells one for all.
fn ask(
    glue: &'static Mechglue,
    mechs: &[Oid],
    how: Acquire<'_>,
) -> Result<Acquired, Vec<MechError>> {
    let reason = |mech: &Oid| mech::acquire(glue, &[*mech], how).err();
    match mechs {
        [] => Err(Vec::new()),
        [only] => mech::acquire(glue, &[*only], how).map_err(|error| vec![error]),
        several => mech::acquire(glue, several, how)
            .map_err(|_| several.iter().filter_map(reason).collect()),
    }
}

/// An NTLM credential is asked for only where there is something to make it of, and one of MIT's
/// Kerberos only where asking is safe.
fn worth_asking(glue: &'static Mechglue, mech: &Oid, how: &Acquire<'_>) -> Result<(), MechError> {
    match how.source {
        Source::Store(store) if *mech == oid::NTLMSSP && !store.is_given() => {
            availability::ntlm(glue)
        }
        Source::Store(store)
            if mech.is_krb5()
                && !store.is_given()
                && how.name.is_none()
                && u32::try_from(how.usage) != Ok(GSS_C_ACCEPT) =>
        {
            kerberos::default_cache(glue)
        }
        _ => Ok(()),
    }
}

/// Whether the credential of an acceptor that was given no name must not be asked for one. Heimdal
/// would make one with nothing in it, over which it stumbles itself; gss-ntlmssp, which is asked
/// when it is the `first` of the glue's mechanisms, crashes (1.2.0).
fn nameless(glue: &Mechglue, usage: c_int, first: Option<Oid>) -> bool {
    let usage = u32::try_from(usage).unwrap_or_default();
    let by_ntlm = first == Some(oid::NTLMSSP) && usage != GSS_C_INITIATE;
    by_ntlm || glue.is_heimdal() && usage == GSS_C_ACCEPT
}

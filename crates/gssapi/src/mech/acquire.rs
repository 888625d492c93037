//! Acquiring a credential of the glue's for inner mechanisms.

use super::failure::advised_failure;
use crate::owned::{Cred, LentBuffer, LentOid, LentOidSet, Name, OidSet, Store};
use crate::sys::*;
use crate::{Mechglue, behind};
use spnego::error::{MechError, major};
use spnego::oid::{self, Oid};
use spnego::role::Role;
use std::ffi::c_int;
use std::ptr;

/// What a credential is acquired with, beside the mechanisms.
#[derive(Clone, Copy)]
pub struct Acquire<'a> {
    /// The principal; `None`: the default.
    pub name: Option<&'a Name>,
    /// Desired lifetime in seconds.
    pub lifetime: u32,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    pub usage: c_int,
    /// How its secret is come by.
    pub source: Source<'a>,
    /// Whether to ask how long it lasts. MIT's Kerberos then chooses a cache at once, which
    /// otherwise waits for the target.
    pub asks_lifetime: bool,
}

/// Where a credential's secret comes from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The mechanism's caches and key tables, or those of a store.
    Store(Store<'a>),
    /// A password.
    Password(&'a [u8]),
    /// Another credential, which may act for the name (S4U2Self).
    Impersonator(&'a Cred),
}

/// A credential that was acquired.
pub struct Acquired {
    /// The credential.
    pub cred: Cred,
    /// For which mechanisms.
    pub mechs: Vec<Oid>,
    /// For how many seconds; 0 if not asked.
    pub lifetime: u32,
}

/// Acquire one credential for some mechanisms; those that have none are left out by the glue.
///
/// # Errors
/// The glue's, when no mechanism has one; named after the first.
pub fn acquire(
    glue: &'static Mechglue,
    mechs: &[Oid],
    how: Acquire<'_>,
) -> Result<Acquired, MechError> {
    let mut lent = LentOidSet::new(mechs.iter().map(|mech| behind::address(glue, mech)));
    let (mut minor, mut lifetime) = (0, 0);
    let (mut cred, mut actual) = (ptr::null_mut(), ptr::null_mut());
    let name = how.name.map_or(ptr::null_mut(), Name::raw);
    let time_rec = if how.asks_lifetime {
        &raw mut lifetime
    } else {
        ptr::null_mut()
    };
    let status = match how.source {
        // SAFETY: handles are alive, the set is lent for the call, the outs are locals or null.
        Source::Store(store) if store.is_given() => unsafe {
            glue.gss_acquire_cred_from(
                &raw mut minor,
                name,
                how.lifetime,
                lent.raw(),
                how.usage,
                store.raw(),
                &raw mut cred,
                &raw mut actual,
                time_rec,
            )
        },
        // Heimdal tells why it has none only when it is asked for one mechanism's element.
        Source::Store(_) if glue.is_heimdal() && mechs.len() == 1 => {
            let mut mech = mechs.first().map(LentOid::new);
            let mut accepts = 0;
            // SAFETY: as above; the mech is lent for the call.
            let status = unsafe {
                glue.gss_add_cred(
                    &raw mut minor,
                    ptr::null_mut(),
                    name,
                    mech.as_mut().map_or(ptr::null_mut(), LentOid::raw),
                    how.usage,
                    how.lifetime,
                    how.lifetime,
                    &raw mut cred,
                    ptr::null_mut(),
                    time_rec,
                    &raw mut accepts,
                )
            };
            lifetime = lifetime.max(accepts);
            status
        }
        // SAFETY: as above.
        Source::Store(_) => unsafe {
            glue.gss_acquire_cred(
                &raw mut minor,
                name,
                how.lifetime,
                lent.raw(),
                how.usage,
                &raw mut cred,
                &raw mut actual,
                time_rec,
            )
        },
        Source::Password(password) => {
            let mut password = LentBuffer::new(password);
            // SAFETY: as above; the password is lent for the call.
            unsafe {
                glue.gss_acquire_cred_with_password(
                    &raw mut minor,
                    name,
                    password.raw(),
                    how.lifetime,
                    lent.raw(),
                    how.usage,
                    &raw mut cred,
                    &raw mut actual,
                    time_rec,
                )
            }
        }
        // SAFETY: as above.
        Source::Impersonator(impersonator) => unsafe {
            glue.gss_acquire_cred_impersonate_name(
                &raw mut minor,
                impersonator.raw(),
                name,
                how.lifetime,
                lent.raw(),
                how.usage,
                &raw mut cred,
                &raw mut actual,
                time_rec,
            )
        },
    };
    let actual = OidSet::take(glue, actual);
    let cred = Cred::take(glue, cred);
    let Some(cred) = cred.filter(|_| status == major::COMPLETE) else {
        let mech = mechs.first().copied().unwrap_or(oid::SPNEGO);
        let role = match u32::try_from(how.usage) {
            Ok(GSS_C_ACCEPT) => Role::Acceptor,
            _ => Role::Initiator,
        };
        return Err(advised_failure(role, glue, &mech, status, minor));
    };
    // The glue may report an interposed mechanism by a longer identifier: believe the request then.
    let reported = actual.map(|set| set.members()).unwrap_or_default();
    let known: Vec<Oid> = mechs
        .iter()
        .filter(|mech| reported.contains(mech))
        .copied()
        .collect();
    let mechs = if known.is_empty() {
        mechs.to_vec()
    } else {
        known
    };
    Ok(Acquired {
        cred,
        mechs,
        lifetime,
    })
}

//! Credentials: one of the glue's for all mechanisms behind it that can be negotiated, the users of
//! our own NTLM, and what the caller said about the order.
#![forbid(unsafe_code)]

mod acquiring;
mod finding;
mod inquiring;
mod keeping;
mod options;

pub(super) use acquiring::{
    Wanted, acquire_cred, acquire_cred_from, acquire_cred_impersonate_name,
    acquire_cred_with_password, add_cred, add_cred_impersonate_name,
};
pub(super) use inquiring::{inquire_cred, inquire_cred_by_mech};
pub(super) use keeping::{
    export_cred, import_cred, import_cred_by_mech, store_cred, store_cred_into,
};
pub(super) use options::{set_cred_option, set_neg_mechs};

use super::apart::Apart;
use super::inner::{NOT_FOR_THIS, unusable};
use super::own::Users;
use args::{InOutHandle, Status};
use gssapi::sys::{GSS_C_ACCEPT, GSS_C_INITIATE};
use gssapi::{Mechglue, owned};
use spnego::error::{Error, MechError, major};
use spnego::oid::{self, Oid};
use spnego::policy::{Current, InForce};
use std::ffi::c_int;
use std::ops::Deref;
use std::sync::{Arc, RwLock};

/// A credential of ours.
pub(crate) struct Credential {
    /// None when it is for our own NTLM alone.
    cred: Option<owned::Cred>,
    /// For the glue's NTLM, where that is not in the other.
    apart: Option<Apart>,
    users: Option<Users>,
    /// All that it is for.
    mechs: Vec<Oid>,
    /// The same, as restricted and ordered by the caller.
    wanted: Vec<Oid>,
    /// Those of them that the settings of a policy allow.
    usable: Arc<[Oid]>,
    /// That policy.
    usable_under: Current,
    ordered: bool,
    /// The service that it is to accept for, where the caller named one.
    service: Option<String>,
    asks_integrity: bool,
    max_output_token_size: Option<usize>,
    tells_name: bool,
    /// Where it came from, when that is traced and not the default.
    source: Option<Box<str>>,
    lost: Option<Box<Lost>>,
}

/// Kerberos, which was wanted and could not be acquired.
struct Lost {
    why: MechError,
    /// How many of the others come before it.
    place: usize,
}

/// A credential as C holds it: several contexts may be made with it at once.
pub(crate) struct Shared(RwLock<Credential>);

impl Shared {
    /// For C to hold.
    pub(crate) fn new(credential: Credential) -> Self {
        Self(RwLock::new(credential))
    }
}

impl Deref for Shared {
    type Target = RwLock<Credential>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Credential {
    /// `mechs` are those of the glue's credential.
    fn new(
        policy: Current,
        cred: Option<owned::Cred>,
        mut mechs: Vec<Oid>,
        users: Option<Users>,
        apart: Option<Apart>,
    ) -> Self {
        if (users.is_some() || apart.is_some()) && !mechs.contains(&oid::NTLMSSP) {
            mechs.push(oid::NTLMSSP);
        }
        Self {
            cred,
            apart,
            users,
            usable: policy.terms.order(mechs.clone()).into(),
            usable_under: policy,
            wanted: mechs.clone(),
            mechs,
            ordered: false,
            service: None,
            asks_integrity: true,
            max_output_token_size: None,
            tells_name: true,
            source: None,
            lost: None,
        }
    }

    /// The same, where Kerberos was among what was `wanted`: if it is not there now, `errors` have
    /// why.
    fn without(mut self, wanted: &[Oid], errors: &[MechError]) -> Self {
        if wanted.iter().any(Oid::is_krb5) && !self.mechs.iter().any(Oid::is_krb5) {
            let why = errors.iter().find(|error| error.mech.is_krb5());
            let why = why.cloned();
            let why = why.unwrap_or_else(|| unusable(&oid::KRB5, NOT_FOR_THIS));
            self.lost = Some(Box::new(Lost { why, place: 0 }));
        }
        self
    }

    /// Where it came from, when that is traced and not the default.
    pub(super) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The glue's credential; `None` when this is one for our own NTLM alone.
    pub(crate) fn cred(&self) -> Option<&owned::Cred> {
        self.cred.as_ref()
    }

    /// The glue's credential, for what our own NTLM has not.
    pub(super) fn of_the_glue(&self) -> Result<&owned::Cred, Error> {
        self.cred().ok_or(ONLY_OURS)
    }

    /// The glue's credential for a mechanism.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn cred_for(&self, mech: &Oid) -> Result<&owned::Cred, MechError> {
        match &self.apart {
            Some(apart) if *mech == oid::NTLMSSP => apart.cred(),
            _ => self.cred().ok_or_else(|| unusable(mech, NOT_FOR_THIS)),
        }
    }

    /// Whether the glue's NTLM can be offered; to accept with it, it will be asked in any case.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn vouch_for_ntlm(&self, accepts: bool) -> Result<(), MechError> {
        match &self.apart {
            Some(apart) if accepts => apart.cred().map(drop),
            Some(apart) => apart.vouch(),
            None => Ok(()),
        }
    }

    /// The users of our own NTLM.
    pub(crate) fn users(&self) -> Option<&Users> {
        self.users.as_ref()
    }

    /// The mechanisms it can be used for in a context, as ordered by the caller and allowed by the
    /// policy in force there. Kerberos is among them even if it could not be acquired, so that it is
    /// known that another takes its place.
    pub(crate) fn usable_under(&self, in_force: &InForce) -> Arc<[Oid]> {
        if let Some(lost) = &self.lost {
            let mut wanted = self.wanted.clone();
            wanted.insert(lost.place.min(wanted.len()), oid::KRB5);
            return in_force.order(wanted).into();
        }
        if in_force.is_only(&self.usable_under) {
            return Arc::clone(&self.usable);
        }
        in_force.order(self.wanted.clone()).into()
    }

    /// The mechanisms that it can be used for where no rule holds, in the order in which they are
    /// preferred.
    pub(super) fn usable(&self) -> &[Oid] {
        &self.usable
    }

    /// The service that it is to accept for, where the caller named one.
    pub(crate) fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Whether the caller gave an order (`gss_set_neg_mechs`, RFC 4178 appendix B.1).
    pub(crate) fn prefers(&self) -> bool {
        self.ordered
    }

    /// Whether integrity is asked of the mechanism though the caller does not.
    pub(crate) fn asks_integrity(&self) -> bool {
        self.asks_integrity
    }

    /// The maximum output token size in octets that the caller set for its contexts.
    pub(crate) fn max_output_token_size(&self) -> Option<usize> {
        self.max_output_token_size
    }

    /// Whether it can be used for a mechanism.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn covers(&self, mech: &Oid) -> Result<(), MechError> {
        if let Some(lost) = self.lost.as_ref().filter(|_| mech.is_krb5()) {
            return Err(lost.why.clone());
        }
        if self.wanted.iter().any(|wanted| wanted.same_mech(mech)) {
            return Ok(());
        }
        Err(unusable(mech, NOT_FOR_THIS))
    }
}

pub(super) fn release_cred(_: &'static Mechglue, mut cred: InOutHandle<'_, Shared>) -> Status {
    drop(cred.take());
    Ok(major::COMPLETE)
}

/// Whether a usage lets a credential initiate, and accept.
fn roles(usage: c_int) -> (bool, bool) {
    let usage = u32::try_from(usage);
    (usage != Ok(GSS_C_ACCEPT), usage != Ok(GSS_C_INITIATE))
}

pub(super) const NO_CREDENTIAL: Error = Error::Missing("a credential is needed here");

/// Why a credential for our own NTLM alone does not serve.
pub(super) const ONLY_OURS: Error =
    Error::Unavailable("the credential is for NTLM alone, which has no such service here");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_says_which_lifetimes_count() {
        assert_eq!(roles(0), (true, true));
        assert_eq!(roles(1), (true, false));
        assert_eq!(roles(2), (false, true));
    }
}

//! The part of a credential that is for the glue's NTLM, apart from the others: acquiring it loads
//! gss-ntlmssp and has it hash a password, which is for nothing while Kerberos does the job.
#![forbid(unsafe_code)]

use super::name::HOSTBASED_SERVICE;
use super::own;
use crate::availability;
use gssapi::mech::{self, Acquire, Source};
use gssapi::owned::{Cred, Store};
use gssapi::{Mechglue, call};
use spnego::error::MechError;
use spnego::oid;
use std::ffi::c_int;
use std::sync::OnceLock;

/// A credential of the glue's for NTLM, acquired when it is first needed.
pub(super) struct Apart {
    glue: &'static Mechglue,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    usage: c_int,
    acquired: OnceLock<Cred>,
}

impl Apart {
    /// The default credential, later.
    ///
    /// # Errors
    /// There is nothing to make one of.
    pub(super) fn later(glue: &'static Mechglue, usage: c_int) -> Result<Self, MechError> {
        availability::ntlm(glue)?;
        Ok(Self {
            glue,
            usage,
            acquired: OnceLock::new(),
        })
    }

    /// An acceptor's, with a store, at once. Without a name gss-ntlmssp (1.2.0) takes a store for a
    /// user's, and crashes as often as not when it is to accept with that. The name that it gets
    /// means any service of this machine: another would be in its challenge, for the initiator to
    /// compare.
    ///
    /// # Errors
    /// The mechanism's.
    pub(super) fn to_accept(glue: &'static Mechglue, how: Acquire<'_>) -> Result<Self, MechError> {
        let name = call::import_name(glue, b"@", Some(&HOSTBASED_SERVICE));
        let name = name.map_err(|error| own::none(&error.sentences().join("; ")))?;
        let how = Acquire {
            name: Some(&name),
            ..how
        };
        let acquired = mech::acquire(glue, &[oid::NTLMSSP], how)?;
        Ok(Self {
            glue,
            usage: how.usage,
            acquired: OnceLock::from(acquired.cred),
        })
    }

    /// The credential, acquired now if it has not been.
    ///
    /// # Errors
    /// Why there is none now: the next who asks is told anew.
    pub(super) fn cred(&self) -> Result<&Cred, MechError> {
        if let Some(acquired) = self.acquired.get() {
            return Ok(acquired);
        }
        let acquired = acquire(self.glue, self.usage)?;
        Ok(self.acquired.get_or_init(|| acquired))
    }

    /// The credential, to be changed.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn cred_mut(&mut self) -> Result<&mut Cred, MechError> {
        self.cred()?;
        let acquired = self.acquired.get_mut();
        acquired.ok_or_else(|| own::none("it was not acquired"))
    }

    /// The credential for good.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn into_cred(self) -> Result<Cred, MechError> {
        match self.acquired.into_inner() {
            Some(acquired) => Ok(acquired),
            None => acquire(self.glue, self.usage),
        }
    }

    /// Whether there still is something to make it of, without making it.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn vouch(&self) -> Result<(), MechError> {
        match self.acquired.get() {
            Some(_) => Ok(()),
            None => availability::ntlm(self.glue),
        }
    }
}

fn acquire(glue: &'static Mechglue, usage: c_int) -> Result<Cred, MechError> {
    let how = Acquire {
        name: None,
        lifetime: u32::MAX,
        usage,
        source: Source::Store(Store::NONE),
        asks_lifetime: false,
    };
    mech::acquire(glue, &[oid::NTLMSSP], how).map(|acquired| acquired.cred)
}

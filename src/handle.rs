//! The three kinds of handle that C holds for us, and how their inner handles are lent to the glue.

use super::context::Context;
use super::credential::{Credential, NO_CREDENTIAL, ONLY_OURS, Shared};
use super::inner::Inner;
use super::name::{NO_NAME, Name};
use args::{In, Kind, Plain, panics, read};
use gssapi::context::Established;
use gssapi::sys::*;
use gssapi::{Mechglue, owned};
use spnego::error::Error;
use spnego::negotiate::Record;
use spnego::oid::{self, Oid};
use std::sync::{Mutex, RwLockReadGuard};

impl Kind for Context {
    type C = gss_ctx_id_struct;
    const TAG: u64 = u64::from_le_bytes(*b"spnegctx");
}
impl Kind for Shared {
    type C = gss_cred_id_struct;
    const TAG: u64 = u64::from_le_bytes(*b"spnegcrd");
}
impl Kind for Name {
    type C = gss_name_struct;
    const TAG: u64 = u64::from_le_bytes(*b"spnegnam");
}

impl Plain for Context {
    const BARE_TAG: u64 = u64::from_le_bytes(*b"ntlmsctx");
    /// What is traced of it.
    type Beside = Mutex<Record>;
}
impl Plain for Shared {
    const BARE_TAG: u64 = u64::from_le_bytes(*b"ntlmscrd");
    /// The service that it is to accept for, where the caller named one.
    type Beside = Mutex<Option<String>>;
}
impl Plain for Name {
    const BARE_TAG: u64 = u64::from_le_bytes(*b"ntlmsnam");
    type Beside = ();

    fn for_pass(&self) -> *mut Self::C {
        let name = self.for_glue(Mechglue::mit());
        name.map_or(std::ptr::null_mut(), owned::Name::raw)
    }
}

/// A handle whose inner one can be lent to the glue for a call.
pub(super) trait Lend {
    /// What keeps the inner handle alive meanwhile.
    type Lent<'a>: Lent
    where
        Self: 'a;

    /// Lend it, if it can be. Never panics: this stands outside the guard of the door.
    fn lend(&self, glue: &'static Mechglue) -> Option<Self::Lent<'_>>;
}

/// A handle that has nothing but the inner one to serve a call with.
pub(super) trait Refuse {
    /// Why it could not be lent.
    fn refusal(&self, glue: &'static Mechglue) -> Error;
}

/// An inner handle that is lent.
pub(super) trait Lent {
    /// Its type in gssapi.h.
    type C;

    /// The handle.
    fn raw(&self) -> Self::C;

    /// The mechanism that failures of the call are named after.
    fn mech(&self) -> Oid;
}

/// The context of a mechanism behind the glue that is lent.
pub(super) struct LentContext<'a> {
    context: &'a Established,
    mech: &'a Oid,
}

impl Lend for In<'_, Context> {
    type Lent<'a>
        = LentContext<'a>
    where
        Self: 'a;

    #[inline]
    fn lend(&self, _: &'static Mechglue) -> Option<Self::Lent<'_>> {
        match self.quick()?.established_now()? {
            Inner::Glue(mech) => Some(LentContext {
                context: mech.established()?,
                mech: mech.mech(),
            }),
            Inner::Ntlm(_) => None,
        }
    }
}

impl Lent for LentContext<'_> {
    type C = gss_ctx_id_t;

    #[inline]
    fn raw(&self) -> Self::C {
        self.context.raw()
    }

    fn mech(&self) -> Oid {
        *self.mech
    }
}

/// A name that is lent.
pub(super) struct LentName<'a> {
    name: &'a owned::Name,
    mech: Oid,
}

impl Lend for In<'_, Name> {
    type Lent<'a>
        = LentName<'a>
    where
        Self: 'a;

    /// Making a name ready may allocate, so a panic is caught here.
    fn lend(&self, glue: &'static Mechglue) -> Option<Self::Lent<'_>> {
        panics::caught(|| {
            let name = self.quick()?;
            Some(LentName {
                name: name.for_glue(glue).ok()?,
                mech: name.mech(),
            })
        })
        .ok()?
    }
}

impl Refuse for In<'_, Name> {
    fn refusal(&self, glue: &'static Mechglue) -> Error {
        let name = self.given().and_then(|given| given.ok_or(NO_NAME));
        name.and_then(|name| name.for_glue(glue))
            .err()
            .unwrap_or(args::POISONED)
    }
}

impl Lent for LentName<'_> {
    type C = gss_name_t;

    fn raw(&self) -> Self::C {
        self.name.raw()
    }

    fn mech(&self) -> Oid {
        self.mech
    }
}

impl Lend for In<'_, Shared> {
    type Lent<'a>
        = RwLockReadGuard<'a, Credential>
    where
        Self: 'a;

    fn lend(&self, _: &'static Mechglue) -> Option<Self::Lent<'_>> {
        let credential = self.quick()?.read().ok()?;
        credential.cred().is_some().then_some(credential)
    }
}

impl Refuse for In<'_, Shared> {
    fn refusal(&self, _: &'static Mechglue) -> Error {
        let cred = self.given().and_then(|given| given.ok_or(NO_CREDENTIAL));
        match cred.and_then(|cred| read(cred)) {
            Ok(_) => ONLY_OURS,
            Err(error) => error,
        }
    }
}

impl Lent for RwLockReadGuard<'_, Credential> {
    type C = gss_cred_id_t;

    fn raw(&self) -> Self::C {
        self.cred().map_or(std::ptr::null_mut(), owned::Cred::raw)
    }

    /// The glue finds its sentence by the code alone.
    fn mech(&self) -> Oid {
        oid::KRB5
    }
}

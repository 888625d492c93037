//! The three kinds of handle that C holds for us, as boxes with a tag; what a call may change is
//! behind a lock inside.

use super::arg::In;
use super::context::Context;
use super::credential::{Credential, NO_CREDENTIAL, ONLY_OURS, Shared};
use super::inner::Inner;
use super::name::{NO_NAME, Name};
use super::panics;
use crate::error::Error;
use crate::glue::context::Established;
use crate::glue::{Mechglue, owned};
use crate::oid::{self, Oid};
use crate::sys::*;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A kind of handle: what C calls it, and its tag. A program may use a handle in any thread.
pub(crate) trait Kind: Send + Sync {
    /// The opaque struct of gssapi.h.
    type C;
    /// Tells this kind's boxes from those of others, and from memory that is none.
    const TAG: u64;
}

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

/// What a pointer that C holds points to: a value that several threads may look at at once.
#[repr(C)]
pub(crate) struct Handle<T> {
    tag: u64,
    value: T,
}

impl<T: Kind> Handle<T> {
    /// Give a value to C. It comes back through [`Self::take_back`].
    pub(crate) fn give(value: T) -> *mut T::C {
        Box::into_raw(Box::new(Self { tag: T::TAG, value })).cast()
    }

    /// Take a value back from C, in its box.
    ///
    /// # Safety
    /// `handle` was made by [`Self::give`] for this kind, and is not used again.
    pub(crate) unsafe fn take_back(handle: NonNull<T::C>) -> Box<Self> {
        let handle = handle.cast::<Self>().as_ptr();
        // SAFETY: by contract the box is whole and nobody else's.
        let mut owned = unsafe { Box::from_raw(handle) };
        owned.tag = 0;
        owned
    }

    /// The value alone.
    pub(crate) fn into_value(self) -> T {
        self.value
    }

    /// The value, if `handle` is of this kind. The tag is read before there is a reference: what is
    /// none of ours may be shorter than that, and somebody else's to change.
    ///
    /// # Safety
    /// `handle` is null; or was made by [`Self::give`] for whatever kind and is not taken back while
    /// the value is lent; or has eight octets to be read, as every handle of a glue has.
    #[inline]
    pub(crate) unsafe fn value<'a>(handle: *mut T::C) -> Option<&'a T> {
        let handle: *const Self = handle.cast();
        if handle.is_null() {
            return None;
        }
        // SAFETY: by contract the octets of a tag are there. A foreign handle need not be aligned.
        let tag = unsafe { handle.cast::<u64>().read_unaligned() };
        // SAFETY: only what `give` made for this kind has its tag.
        (tag == T::TAG).then(|| unsafe { &(*handle).value })
    }
}

/// Lock what a call may change.
///
/// # Errors
/// `Internal` after a panic in a call that was changing it.
pub(super) fn lock<T>(value: &Mutex<T>) -> Result<MutexGuard<'_, T>, Error> {
    value.lock().map_err(|_| POISONED)
}

/// Share what others may only look at meanwhile.
///
/// # Errors
/// `Internal` after a panic in a call that was changing it.
pub(super) fn read<T>(value: &RwLock<T>) -> Result<RwLockReadGuard<'_, T>, Error> {
    value.read().map_err(|_| POISONED)
}

/// Have alone what others may look at.
///
/// # Errors
/// `Internal` after a panic in a call that was changing it.
pub(super) fn write<T>(value: &RwLock<T>) -> Result<RwLockWriteGuard<'_, T>, Error> {
    value.write().map_err(|_| POISONED)
}

const POISONED: Error = Error::Internal("the handle was left unusable by an earlier failure");

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
            .unwrap_or(POISONED)
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
        match cred.and_then(read) {
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

//! The three kinds of handle that C holds for us, as boxes with a lock and a tag; and the one place
//! that knows which kinds of inner mechanism there are.

use super::arg::In;
use super::context::{Context, NO_CONTEXT};
use super::credential::{Credential, NO_CREDENTIAL};
use super::inner::Inner;
use super::name::{NO_NAME, Name};
use crate::error::Error;
use crate::glue::Mechglue;
use crate::oid::{self, Oid};
use crate::sys::*;
use std::ptr::NonNull;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A kind of handle: what C calls it, and its tag.
pub(crate) trait Kind {
    /// The opaque struct of gssapi.h.
    type C;
    /// Tells this kind's boxes from those of others, and from memory that is none.
    const TAG: u64;
}

impl Kind for Context {
    type C = gss_ctx_id_struct;
    const TAG: u64 = u64::from_le_bytes(*b"spnegctx");
}
impl Kind for Credential {
    type C = gss_cred_id_struct;
    const TAG: u64 = u64::from_le_bytes(*b"spnegcrd");
}
impl Kind for Name {
    type C = gss_name_struct;
    const TAG: u64 = u64::from_le_bytes(*b"spnegnam");
}

/// What a pointer that C holds points to.
#[repr(C)]
pub(crate) struct Handle<T> {
    tag: u64,
    value: RwLock<T>,
}

impl<T: Kind> Handle<T> {
    /// Give a value to C. It comes back through [`Self::take_back`].
    pub(crate) fn give(value: T) -> *mut T::C {
        Box::into_raw(Box::new(Self { tag: T::TAG, value: RwLock::new(value) })).cast()
    }

    /// Take a value back from C.
    ///
    /// # Safety
    /// `handle` was made by [`Self::give`] for this kind, and is not used again.
    pub(crate) unsafe fn take_back(handle: NonNull<T::C>) -> Option<T> {
        let handle = handle.cast::<Self>().as_ptr();
        // SAFETY: by contract the box is whole and nobody else's.
        let mut owned = unsafe { Box::from_raw(handle) };
        owned.tag = 0;
        Some(owned.value.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// This handle, if it is of its kind.
    pub(crate) fn checked(&self) -> Result<&Self, Error> {
        if self.tag == T::TAG {
            Ok(self)
        } else {
            Err(Error::CallerMisused("the handle is not of the kind that this call takes"))
        }
    }

    /// Share the value: for calls that may run side by side.
    ///
    /// # Errors
    /// `Internal` after a panic in a call that was changing it.
    pub(crate) fn read(&self) -> Result<RwLockReadGuard<'_, T>, Error> {
        self.value.read().map_err(|_| POISONED)
    }

    /// Have the value alone: for calls that change it.
    ///
    /// # Errors
    /// `Internal` after a panic in a call that was changing it.
    pub(crate) fn write(&self) -> Result<RwLockWriteGuard<'_, T>, Error> {
        self.value.write().map_err(|_| POISONED)
    }
}

const POISONED: Error = Error::Internal("the handle was left unusable by an earlier failure");

/// A handle whose inner one can be lent to the glue for a call.
pub(super) trait Lend<'a> {
    /// What keeps the inner handle alive meanwhile.
    type Lent: Lent;

    /// Lend it.
    fn lend(&self, glue: &'static Mechglue) -> Result<Self::Lent, Error>;
}

/// An inner handle that is lent.
pub(super) trait Lent {
    /// Its type in gssapi.h.
    type C;

    /// The handle.
    fn raw(&self) -> Self::C;

    /// The mechanism that failures of the call are named after.
    fn mech(&self) -> &Oid;
}

/// A read lock, and the inner handle of what it guards.
pub(super) struct Locked<'a, T: Kind> {
    _guard: RwLockReadGuard<'a, T>,
    inner: *mut T::C,
    mech: Oid,
}

impl<T: Kind> Lent for Locked<'_, T> {
    type C = *mut T::C;

    fn raw(&self) -> Self::C {
        self.inner
    }

    fn mech(&self) -> &Oid {
        &self.mech
    }
}

impl<'a> Lend<'a> for In<'a, Context> {
    type Lent = Locked<'a, Context>;

    fn lend(&self, _: &'static Mechglue) -> Result<Self::Lent, Error> {
        let guard = self.given()?.ok_or(NO_CONTEXT)?.read()?;
        let Inner::Glue(mech) = guard.established()?;
        let inner = mech.context().ok_or(NO_CONTEXT)?.raw();
        let mech = *mech.mech();
        Ok(Locked { _guard: guard, inner, mech })
    }
}

impl<'a> Lend<'a> for In<'a, Name> {
    type Lent = Locked<'a, Name>;

    fn lend(&self, glue: &'static Mechglue) -> Result<Self::Lent, Error> {
        let guard = self.given()?.ok_or(NO_NAME)?.read()?;
        let inner = guard.for_glue(glue)?.raw();
        Ok(Locked { _guard: guard, inner, mech: oid::KRB5 })
    }
}

impl<'a> Lend<'a> for In<'a, Credential> {
    type Lent = Locked<'a, Credential>;

    fn lend(&self, _: &'static Mechglue) -> Result<Self::Lent, Error> {
        let guard = self.given()?.ok_or(NO_CREDENTIAL)?.read()?;
        let inner = guard.cred().raw();
        Ok(Locked { _guard: guard, inner, mech: oid::KRB5 })
    }
}

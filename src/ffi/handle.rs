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
use std::panic::{AssertUnwindSafe, catch_unwind};
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

    /// Whether this is of its kind.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        self.tag == T::TAG
    }

    /// This handle, if it is of its kind.
    #[inline]
    pub(crate) fn checked(&self) -> Result<&Self, Error> {
        if self.is_whole() {
            Ok(self)
        } else {
            Err(Error::CallerMisused("the handle is not of the kind that this call takes"))
        }
    }

    /// Share the value: for calls that may run side by side.
    ///
    /// # Errors
    /// `Internal` after a panic in a call that was changing it.
    #[inline]
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

    /// Lend it, if it can be. Never panics: this stands outside the guard of the door.
    fn lend(&self, glue: &'static Mechglue) -> Option<Self::Lent>;

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

/// A read lock, and the inner handle of what it guards.
pub(super) struct Locked<'a, T: Kind> {
    guard: RwLockReadGuard<'a, T>,
    inner: *mut T::C,
}

impl<'a> Lend<'a> for In<'a, Context> {
    type Lent = Locked<'a, Context>;

    #[inline]
    fn lend(&self, _: &'static Mechglue) -> Option<Self::Lent> {
        let guard = self.quick()?.value.read().ok()?;
        let Context::Established { inner: Inner::Glue(mech), .. } = &*guard else {
            return None;
        };
        let inner = mech.context()?.raw();
        Some(Locked { guard, inner })
    }

    fn refusal(&self, _: &'static Mechglue) -> Error {
        let established = || {
            let context = self.given()?.ok_or_else(|| NO_CONTEXT)?.read()?;
            context.established().map(|_| NO_CONTEXT)
        };
        established().unwrap_or_else(|error| error)
    }
}

impl Lent for Locked<'_, Context> {
    type C = gss_ctx_id_t;

    fn raw(&self) -> Self::C {
        self.inner
    }

    fn mech(&self) -> Oid {
        self.guard.established().map_or(oid::SPNEGO, |inner| *inner.mech())
    }
}

/// Names and credentials are lent from a lock too; making a name ready may allocate, so a panic is
/// caught here.
macro_rules! lend_from_lock {
    ($Kind:ty, $missing:expr, |$guard:ident, $glue:ident| $inner:expr) => {
        impl<'a> Lend<'a> for In<'a, $Kind> {
            type Lent = Locked<'a, $Kind>;

            fn lend(&self, $glue: &'static Mechglue) -> Option<Self::Lent> {
                catch_unwind(AssertUnwindSafe(|| self.locked($glue))).ok()?.ok()
            }

            fn refusal(&self, glue: &'static Mechglue) -> Error {
                self.locked(glue).err().unwrap_or(POISONED)
            }
        }

        impl<'a> In<'a, $Kind> {
            fn locked(&self, $glue: &'static Mechglue) -> Result<Locked<'a, $Kind>, Error> {
                let $guard = self.given()?.ok_or_else(|| $missing)?.read()?;
                let inner = $inner;
                Ok(Locked { guard: $guard, inner })
            }
        }

        impl Lent for Locked<'_, $Kind> {
            type C = *mut <$Kind as Kind>::C;

            fn raw(&self) -> Self::C {
                self.inner
            }

            /// The glue finds the sentence by the code alone.
            fn mech(&self) -> Oid {
                oid::KRB5
            }
        }
    };
}

lend_from_lock!(Name, NO_NAME, |guard, glue| guard.for_glue(glue)?.raw());
lend_from_lock!(Credential, NO_CREDENTIAL, |guard, _glue| guard.cred().raw());

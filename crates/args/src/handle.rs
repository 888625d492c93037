//! The places where C keeps handles of ours.

use super::Argument;
use gssapi::sys::gss_cred_id_struct;
use gssapi::{Mechglue, owned};
use spnego::error::Error;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A kind of handle: what C calls it, and its tag. A program may use a handle in any thread.
pub trait Kind: Send + Sync {
    /// The opaque struct of gssapi.h.
    type C;
    /// Tells this kind's boxes from those of others, and from memory that is none.
    const TAG: u64;
}

/// What a pointer that C holds points to: a value that several threads may look at at once.
#[repr(C)]
pub struct Handle<T> {
    tag: u64,
    value: T,
}

impl<T: Kind> Handle<T> {
    /// Give a value to C. It comes back through [`Self::take_back`].
    pub fn give(value: T) -> *mut T::C {
        Box::into_raw(Box::new(Self { tag: T::TAG, value })).cast()
    }

    /// Take a value back from C, in its box.
    ///
    /// # Safety
    /// `handle` was made by [`Self::give`] for this kind, and is not used again.
    pub unsafe fn take_back(handle: NonNull<T::C>) -> Box<Self> {
        let handle = handle.cast::<Self>().as_ptr();
        // SAFETY: by contract the box is whole and nobody else's.
        let mut owned = unsafe { Box::from_raw(handle) };
        owned.tag = 0;
        owned
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The value, if `handle` is of this kind. The tag is read before there is a reference: what is
    /// none of ours may be shorter than that, and somebody else's to change.
    ///
    /// # Safety
    /// `handle` is null; or was made by [`Self::give`] for whatever kind and is not taken back while
    /// the value is lent; or has eight octets to be read, as every handle of a glue has.
    #[inline]
    pub unsafe fn value<'a>(handle: *mut T::C) -> Option<&'a T> {
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
pub fn lock<T>(value: &Mutex<T>) -> Result<MutexGuard<'_, T>, Error> {
    value.lock().map_err(|_| POISONED)
}

/// Share what others may only look at meanwhile.
///
/// # Errors
/// `Internal` after a panic in a call that was changing it.
pub fn read<T>(value: &RwLock<T>) -> Result<RwLockReadGuard<'_, T>, Error> {
    value.read().map_err(|_| POISONED)
}

/// Have alone what others may look at.
///
/// # Errors
/// `Internal` after a panic in a call that was changing it.
pub fn write<T>(value: &RwLock<T>) -> Result<RwLockWriteGuard<'_, T>, Error> {
    value.write().map_err(|_| POISONED)
}

/// What is left after a panic in a call that was changing it.
pub const POISONED: Error = Error::Internal("the handle was left unusable by an earlier failure");

/// A handle of ours that C lends for the call; may be null.
#[repr(transparent)]
pub struct In<'a, T: Kind> {
    handle: *mut T::C,
    caller: PhantomData<&'a Handle<T>>,
}

impl<T: Kind> Argument for In<'_, T> {
    type C = *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.handle
    }
}

impl<T: Kind> In<'_, T> {
    /// The value, if the handle is one of this kind; for the way of every message.
    #[inline]
    pub fn quick(&self) -> Option<&T> {
        // SAFETY: null, or a handle that C lends for the call (RFC 2744 3.5): one that
        // `Handle::give` made and nobody has taken back, or a glue's, which is longer than a tag.
        unsafe { Handle::value(self.handle) }
    }

    /// The value; `None` for the null handle.
    ///
    /// # Errors
    /// `CallerMisused` when it is not a handle of this kind.
    pub fn given(&self) -> Result<Option<&T>, Error> {
        match self.quick() {
            None if !self.handle.is_null() => Err(FOREIGN),
            value => Ok(value),
        }
    }
}

const FOREIGN: Error = Error::CallerMisused("the handle is not of the kind that this call takes");

/// A place of the caller's for a handle of ours, empty before the call.
#[repr(transparent)]
pub struct OutHandle<'a, T: Kind> {
    place: *mut *mut T::C,
    caller: PhantomData<&'a mut Handle<T>>,
}

impl<T: Kind> Argument for OutHandle<'_, T> {
    type C = *mut *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.place
    }

    fn clear(&mut self) {
        if !self.place.is_null() {
            // SAFETY: null, or the caller's place for a handle.
            unsafe { self.place.write(ptr::null_mut()) };
        }
    }
}

impl<T: Kind> OutHandle<'_, T> {
    /// Give a new handle to the caller, who gives it back with the function for its kind.
    pub fn put(&mut self, value: T) {
        if !self.place.is_null() {
            // SAFETY: as above.
            unsafe { self.place.write(Handle::give(value)) };
        }
    }

    /// Whether anybody wants it.
    pub fn is_wanted(&self) -> bool {
        !self.place.is_null()
    }

    /// Put a handle of the glue's there: for what the application gets as it is.
    #[expect(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "the handle is stored, not followed"
    )]
    pub fn put_raw(&mut self, handle: *mut T::C) {
        if !self.place.is_null() {
            // SAFETY: as above.
            unsafe { self.place.write(handle) };
        }
    }
}

/// A place of the caller's with a handle of ours, or with the null handle.
#[repr(transparent)]
pub struct InOutHandle<'a, T: Kind> {
    place: *mut *mut T::C,
    caller: PhantomData<&'a mut Handle<T>>,
}

impl<T: Kind> Argument for InOutHandle<'_, T> {
    type C = *mut *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.place
    }
}

impl<T: Kind> InOutHandle<'_, T> {
    /// Whether there is no place for a handle.
    pub fn is_nowhere(&self) -> bool {
        self.place.is_null()
    }

    /// The value of the handle there, if any.
    ///
    /// # Errors
    /// `CallerMisused` when there is no place, or what is there is not a handle of this kind.
    pub fn given(&self) -> Result<Option<&T>, Error> {
        // SAFETY: null, or the caller's place, valid for the call.
        let Some(place) = (unsafe { self.place.as_ref() }) else {
            return Err(Error::Missing("there is no place for the handle"));
        };
        // SAFETY: null, or a handle that is the call's while it lasts, as in `In::quick`; it is not
        // taken back while `self` is lent.
        match unsafe { Handle::value(*place) } {
            None if !place.is_null() => Err(FOREIGN),
            value => Ok(value),
        }
    }

    /// Give a new handle to the caller.
    pub fn put(&mut self, value: T) {
        if !self.place.is_null() {
            // SAFETY: the caller's place for a handle.
            unsafe { self.place.write(Handle::give(value)) };
        }
    }

    /// Take the handle back and leave the null handle; `None` when there is none of this kind.
    pub fn take(&mut self) -> Option<Box<Handle<T>>> {
        self.given().ok().flatten()?;
        // SAFETY: `given` has found the place to be there, with a handle in it.
        let handle = NonNull::new(unsafe { self.place.replace(ptr::null_mut()) })?;
        // SAFETY: `given` has checked that `Handle::give` made it; the caller's place was the only
        // one that led to it, and is null now.
        Some(unsafe { Handle::take_back(handle) })
    }
}

impl<T: Kind<C = gss_cred_id_struct>> InOutHandle<'_, T> {
    /// Take back a credential of the glue's that C holds as one of ours; `None` when the place has
    /// the null handle, or a handle of ours.
    pub fn take_of_glue(&mut self, glue: &'static Mechglue) -> Option<owned::Cred> {
        if self.given().is_ok() || self.place.is_null() {
            return None;
        }
        // SAFETY: the caller's place for a handle.
        let handle = unsafe { self.place.replace(ptr::null_mut()) };
        owned::Cred::take(glue, handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind with a value, so that its box is longer than a tag.
    struct Sample(u64);

    impl Kind for Sample {
        type C = gss_cred_id_struct;
        const TAG: u64 = u64::from_le_bytes(*b"a sample");
    }

    fn argument(handle: *mut gss_cred_id_struct) -> In<'static, Sample> {
        In {
            handle,
            caller: PhantomData,
        }
    }

    /// Under Miri, a reference to a whole box would be one beyond the end of what is there.
    #[test]
    fn a_foreign_handle_is_told_by_its_first_octets_alone() {
        let foreign = Box::into_raw(Box::new(*b"foreign!"));
        assert!(argument(foreign.cast()).quick().is_none());
        assert!(matches!(
            argument(foreign.cast()).given(),
            Err(Error::CallerMisused(_))
        ));
        // SAFETY: made above, released once.
        drop(unsafe { Box::from_raw(foreign) });
        assert!(
            argument(ptr::null_mut())
                .given()
                .is_ok_and(|given| given.is_none())
        );
    }

    #[test]
    fn a_handle_that_is_taken_leaves_the_null_handle() {
        let mut place = Handle::give(Sample(7));
        let mut argument = InOutHandle::<Sample> {
            place: &raw mut place,
            caller: PhantomData,
        };
        assert_eq!(
            argument.given().ok().flatten().map(|sample| sample.0),
            Some(7)
        );
        let taken = argument.take().map(|handle| handle.into_value().0);
        assert_eq!(taken, Some(7));
        assert!(argument.take().is_none());
        assert!(place.is_null());
    }
}

//! The places where C keeps handles of ours.

use super::Argument;
use crate::error::Error;
use crate::ffi::credential::Shared;
use crate::ffi::handle::{Handle, Kind};
use crate::glue::{Mechglue, owned};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// A handle of ours that C lends for the call; may be null.
#[repr(transparent)]
pub(crate) struct In<'a, T: Kind> {
    handle: *mut T::C,
    caller: PhantomData<&'a Handle<T>>,
}

impl<T: Kind> Argument for In<'_, T> {
    type C = *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.handle
    }
}

impl<'a, T: Kind> In<'a, T> {
    /// The value, if the handle is one of this kind; for the way of every message.
    #[inline]
    pub(in crate::ffi) fn quick(&self) -> Option<&'a T> {
        // SAFETY: null, or a handle that `Handle::give` made and nobody has taken back: C lends it
        // for the call (RFC 2744 3.5).
        unsafe { self.handle.cast::<Handle<T>>().as_ref() }?.value()
    }

    /// The value; `None` for the null handle.
    ///
    /// # Errors
    /// `CallerMisused` when it is not a handle of this kind.
    pub(crate) fn given(&self) -> Result<Option<&'a T>, Error> {
        match self.quick() {
            None if !self.handle.is_null() => Err(FOREIGN),
            value => Ok(value),
        }
    }
}

const FOREIGN: Error = Error::CallerMisused("the handle is not of the kind that this call takes");

/// A place of the caller's for a handle of ours, empty before the call.
#[repr(transparent)]
pub(crate) struct OutHandle<'a, T: Kind> {
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
    pub(crate) fn put(&mut self, value: T) {
        if !self.place.is_null() {
            // SAFETY: as above.
            unsafe { self.place.write(Handle::give(value)) };
        }
    }

    /// Whether anybody wants it.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.place.is_null()
    }

    /// Put a handle of the glue's there: for what the application gets as it is.
    pub(crate) fn put_raw(&mut self, handle: *mut T::C) {
        if !self.place.is_null() {
            // SAFETY: as above.
            unsafe { self.place.write(handle) };
        }
    }
}

/// A place of the caller's with a handle of ours, or with the null handle.
#[repr(transparent)]
pub(crate) struct InOutHandle<'a, T: Kind> {
    place: *mut *mut T::C,
    caller: PhantomData<&'a mut Handle<T>>,
}

impl<T: Kind> Argument for InOutHandle<'_, T> {
    type C = *mut *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.place
    }
}

impl<'a, T: Kind> InOutHandle<'a, T> {
    /// Whether there is no place for a handle.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.place.is_null()
    }

    /// The value of the handle there, if any.
    ///
    /// # Errors
    /// `CallerMisused` when there is no place, or what is there is not a handle of this kind.
    pub(crate) fn given(&self) -> Result<Option<&'a T>, Error> {
        // SAFETY: null, or the caller's place, valid for the call.
        let Some(place) = (unsafe { self.place.as_ref() }) else {
            return Err(Error::Missing("there is no place for the handle"));
        };
        let handle = *place;
        In {
            handle,
            caller: PhantomData,
        }
        .given()
    }

    /// Give a new handle to the caller.
    pub(crate) fn put(&mut self, value: T) {
        if !self.place.is_null() {
            // SAFETY: the caller's place for a handle.
            unsafe { self.place.write(Handle::give(value)) };
        }
    }

    /// Take the handle back and leave the null handle; `None` when there is none of this kind.
    pub(crate) fn take(&mut self) -> Option<Box<Handle<T>>> {
        self.given().ok().flatten()?;
        // SAFETY: `given` has found the place to be there, with a handle in it.
        let handle = NonNull::new(unsafe { self.place.replace(ptr::null_mut()) })?;
        // SAFETY: `given` has checked that `Handle::give` made it; the caller's place was the only
        // one that led to it, and is null now.
        Some(unsafe { Handle::take_back(handle) })
    }
}

impl InOutHandle<'_, Shared> {
    /// Take back a credential of the glue's that C holds as one of ours; `None` when the place has
    /// the null handle, or a handle of ours.
    pub(in crate::ffi) fn take_of_glue(&mut self, glue: &'static Mechglue) -> Option<owned::Cred> {
        if self.given().is_ok() || self.place.is_null() {
            return None;
        }
        // SAFETY: the caller's place for a handle.
        let handle = unsafe { self.place.replace(ptr::null_mut()) };
        owned::Cred::take(glue, handle)
    }
}

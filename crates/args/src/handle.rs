//! The places where C keeps handles of ours.

use super::Argument;
use gssapi::sys::{gss_cred_id_struct, gss_ctx_id_struct, gss_name_struct};
use gssapi::{Mechglue, owned};
use spnego::error::Error;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
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

/// A kind whose handles may also be NTLMSSP's, where MIT's glue has put us in front of it.
pub trait Plain: Kind<C: Released> {
    /// Tells the boxes of those.
    const BARE_TAG: u64;
    /// What is kept beside one.
    type Beside: Default + Send + Sync;

    /// A handle of ours as the glue behind us has it: where it mixes both, since it knows what we hand
    /// out by our own identifier, be it for SPNEGO or for NTLMSSP.
    fn for_pass(&self) -> *mut Self::C {
        ptr::null_mut()
    }
}

/// An opaque struct of gssapi.h, and how a glue takes a handle of it back.
pub trait Released {
    /// Give the glue's handle back, and leave the null handle.
    ///
    /// # Safety
    /// The place has a handle of this glue's, or the null handle.
    unsafe fn release(glue: &'static Mechglue, place: *mut *mut Self);
}

impl Released for gss_ctx_id_struct {
    unsafe fn release(glue: &'static Mechglue, place: *mut *mut Self) {
        // SAFETY: by contract; no deletion token is wanted.
        unsafe { glue.gss_delete_sec_context(&mut 0, place, ptr::null_mut()) };
    }
}
impl Released for gss_cred_id_struct {
    unsafe fn release(glue: &'static Mechglue, place: *mut *mut Self) {
        // SAFETY: by contract.
        unsafe { glue.gss_release_cred(&mut 0, place) };
    }
}
impl Released for gss_name_struct {
    unsafe fn release(glue: &'static Mechglue, place: *mut *mut Self) {
        // SAFETY: by contract.
        unsafe { glue.gss_release_name(&mut 0, place) };
    }
}

/// A handle of the glue's behind us, for NTLMSSP, as C holds it.
pub struct Bare<T: Plain> {
    handle: AtomicPtr<T::C>,
    /// What is kept beside it.
    pub beside: T::Beside,
}

impl<T: Plain> Kind for Bare<T> {
    type C = T::C;
    const TAG: u64 = T::BARE_TAG;
}

impl<T: Plain> Bare<T> {
    fn of_glue(handle: *mut T::C) -> Self {
        Self {
            handle: AtomicPtr::new(handle),
            beside: T::Beside::default(),
        }
    }

    fn raw(&self) -> *mut T::C {
        self.handle.load(Ordering::Acquire)
    }

    /// Give the glue's handle back.
    fn release(&self, glue: &'static Mechglue) {
        // SAFETY: a call of this glue has put it there, and it is given back once.
        unsafe { T::C::release(glue, self.handle.as_ptr()) };
    }
}

impl<T: Plain<C = gss_ctx_id_struct>> Bare<T> {
    /// Whether it is established.
    pub fn is_open(&self, glue: &'static Mechglue) -> bool {
        let (_, open) = self.sides(glue);
        open
    }

    /// Whether it is an initiator's.
    pub fn initiates(&self, glue: &'static Mechglue) -> bool {
        let (initiates, _) = self.sides(glue);
        initiates
    }

    fn sides(&self, glue: &'static Mechglue) -> (bool, bool) {
        let (mut initiates, mut open) = (0, 0);
        // SAFETY: the context is alive in its box, the results are locals, nothing else is asked.
        unsafe {
            glue.gss_inquire_context(
                &mut 0,
                self.raw(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut initiates,
                &raw mut open,
            )
        };
        (initiates != 0, open != 0)
    }
}

impl<T: Plain<C = gss_name_struct>> Bare<T> {
    /// A copy of the glue's name.
    pub fn copy(&self, glue: &'static Mechglue) -> Option<owned::Name> {
        let mut copy = ptr::null_mut();
        // SAFETY: the name is alive in its box, the result is a local.
        unsafe { glue.gss_duplicate_name(&mut 0, self.raw(), &raw mut copy) };
        owned::Name::take(glue, copy)
    }
}

/// A handle of ours that C lends for the call; may be null.
#[repr(transparent)]
pub struct In<'a, T: Kind> {
    handle: *mut T::C,
    caller: PhantomData<&'a Handle<T>>,
}

impl<T: Plain> Argument for In<'_, T> {
    type C = *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.handle
    }

    #[inline]
    fn is_bare(&self) -> bool {
        self.bare().is_some()
    }

    /// Of what is none of ours nothing can be known: none is handed on.
    fn pass(&mut self) -> Self::C {
        match (self.bare(), self.quick()) {
            (Some(bare), _) => bare.raw(),
            (None, Some(ours)) => ours.for_pass(),
            (None, None) => ptr::null_mut(),
        }
    }
}

/// A handle of the glue's behind us that is none of the caller's arguments.
pub struct OfGlue<'a, C> {
    handle: *mut C,
    owner: PhantomData<&'a C>,
}

impl<C> Argument for OfGlue<'_, C> {
    type C = *mut C;

    fn lower(&mut self) -> Self::C {
        self.handle
    }
}

impl<'a> OfGlue<'a, gss_cred_id_struct> {
    /// A credential, or none.
    pub fn cred(cred: Option<&'a owned::Cred>) -> Self {
        Self {
            handle: cred.map_or(ptr::null_mut(), owned::Cred::raw),
            owner: PhantomData,
        }
    }
}

impl<'a> OfGlue<'a, gss_name_struct> {
    /// A name.
    pub fn name(name: &'a owned::Name) -> Self {
        Self {
            handle: name.raw(),
            owner: PhantomData,
        }
    }
}

impl<T: Kind> In<'_, T> {
    /// Whether it is the null handle.
    pub fn is_null(&self) -> bool {
        self.handle.is_null()
    }
}

impl<T: Plain> In<'_, T> {
    /// The handle, if it is NTLMSSP's.
    #[inline]
    pub fn bare(&self) -> Option<&Bare<T>> {
        // SAFETY: as in `quick`.
        unsafe { Handle::value(self.handle) }
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

impl<T: Kind> OutHandle<'_, T> {
    /// A result that is not wanted.
    pub fn unwanted() -> Self {
        Self {
            place: ptr::null_mut(),
            caller: PhantomData,
        }
    }
}

impl<T: Plain> Argument for OutHandle<'_, T> {
    type C = *mut *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.place
    }

    fn clear(&mut self) {
        self.empty();
    }

    fn passed(&mut self) {
        // SAFETY: null, or the caller's place for a handle, which was cleared before the call.
        match unsafe { self.place.as_mut() } {
            Some(made) if !made.is_null() => *made = Handle::give(Bare::<T>::of_glue(*made)),
            _ => {}
        }
    }
}

impl<T: Plain> OutHandle<'_, T> {
    /// The handle of NTLMSSP's that a call has put there.
    pub fn bare(&self) -> Option<&Bare<T>> {
        // SAFETY: null, or the caller's place for a handle.
        let place = unsafe { self.place.as_ref() }?;
        // SAFETY: null, or put there by `passed`.
        unsafe { Handle::value(*place) }
    }

    /// Take back the handle of NTLMSSP's that a call has put there.
    pub fn withdraw(&mut self, glue: &'static Mechglue) {
        let mut held = InOutHandle::<T> {
            place: self.place,
            caller: PhantomData,
        };
        held.withdraw(glue);
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

    /// Leave the null handle.
    pub fn empty(&mut self) {
        if !self.place.is_null() {
            // SAFETY: null, or the caller's place for a handle.
            unsafe { self.place.write(ptr::null_mut()) };
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

impl<T: Plain> Argument for InOutHandle<'_, T> {
    type C = *mut *mut T::C;

    fn lower(&mut self) -> Self::C {
        self.place
    }

    #[inline]
    fn is_bare(&self) -> bool {
        self.bare().is_some()
    }

    /// The place where the box has the glue's handle: of a null handle, one in a new box.
    fn pass(&mut self) -> Self::C {
        // SAFETY: null, or the caller's place.
        match unsafe { self.place.as_mut() } {
            Some(place) if place.is_null() => {
                *place = Handle::give(Bare::<T>::of_glue(ptr::null_mut()));
            }
            _ => {}
        }
        self.bare().map_or(self.place, |bare| bare.handle.as_ptr())
    }

    /// A box whose handle is gone goes too.
    fn passed(&mut self) {
        if self.bare().is_some_and(|bare| bare.raw().is_null()) {
            // SAFETY: `bare` has found the place to be there, with a handle in it.
            let handle = unsafe { self.place.replace(ptr::null_mut()) };
            if let Some(handle) = NonNull::new(handle) {
                // SAFETY: `bare` has checked that `Handle::give` made it; the caller's place was
                // the only one that led to it, and is null now.
                drop(unsafe { Handle::<Bare<T>>::take_back(handle) });
            }
        }
    }
}

impl<T: Plain> InOutHandle<'_, T> {
    /// The handle there, if it is NTLMSSP's.
    #[inline]
    pub fn bare(&self) -> Option<&Bare<T>> {
        // SAFETY: null, or the caller's place, valid for the call.
        let place = unsafe { self.place.as_ref() }?;
        // SAFETY: as in `given`.
        unsafe { Handle::value(*place) }
    }

    /// Whether there is no handle there, or one of NTLMSSP's.
    pub fn may_pass(&self) -> bool {
        // SAFETY: null, or the caller's place, valid for the call.
        let place = unsafe { self.place.as_ref() };
        place.is_some_and(|place| place.is_null() || self.is_bare())
    }

    /// Give NTLMSSP's handle back to the glue, and leave the null handle.
    pub fn withdraw(&mut self, glue: &'static Mechglue) {
        if let Some(bare) = self.bare() {
            bare.release(glue);
            self.passed();
        }
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

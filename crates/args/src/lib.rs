//! The arguments of C: types over its pointers that only C can make. They check for null, clear
//! what is to be written before a body runs, and give safe Rust values; no other code reads or
//! writes a pointer that a caller gave.

mod handle;
mod iov;
mod malloc;
pub mod panics;
pub mod statics;

pub use handle::{
    Bare, Handle, In, InOutHandle, Kind, OfGlue, OutHandle, POISONED, Plain, lock, read, write,
};
pub use iov::{Entry, Iov, octets_of};
pub use malloc::Malloc;

use gssapi::Mechglue;
use gssapi::owned::{self, Bindings, Buffer, Store};
use gssapi::sys::*;
use spnego::channel::ChannelBindings;
use spnego::error::{Error, Major};
use spnego::oid::{self, Oid};
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

/// A type that stands in the place of a C argument: same size, same register.
pub trait Argument: Sized {
    /// The argument in gssapi.h.
    type C;

    /// Make the place that this argument points to safe to leave unwritten.
    fn clear(&mut self) {}

    /// The argument as C gave it, for the glue's function of the same name.
    fn lower(&mut self) -> Self::C;

    /// After a failure: leave what the glue's loops rely on.
    fn failed(&mut self) {}

    /// Whether this makes the call one for NTLMSSP, which goes on to it.
    fn is_bare(&self) -> bool {
        false
    }

    /// The argument as the glue has it that such a call goes on to.
    fn pass(&mut self) -> Self::C {
        self.lower()
    }

    /// After such a call: what the glue has put there, as C is to have it from us.
    fn passed(&mut self) {}
}

impl Argument for u32 {
    type C = Self;

    fn lower(&mut self) -> Self {
        *self
    }
}
impl Argument for c_int {
    type C = Self;

    fn lower(&mut self) -> Self {
        *self
    }
}
impl Argument for isize {
    type C = Self;

    fn lower(&mut self) -> Self {
        *self
    }
}

/// A place of the caller's to write a plain value to; may be null, then nobody wants it.
#[repr(transparent)]
pub struct Out<'a, T> {
    place: *mut T,
    caller: PhantomData<&'a mut T>,
}

impl<T: Copy + Default> Argument for Out<'_, T> {
    type C = *mut T;

    fn lower(&mut self) -> Self::C {
        self.place
    }

    fn clear(&mut self) {
        self.put(T::default());
    }
}

impl<'a, T: Copy> Out<'a, T> {
    /// A place of ours.
    pub fn to(place: &'a mut T) -> Self {
        Self {
            place,
            caller: PhantomData,
        }
    }

    /// Whether anybody wants it.
    pub fn is_wanted(&self) -> bool {
        !self.place.is_null()
    }

    /// Write, if anybody wants it.
    pub fn put(&mut self, value: T) {
        if !self.place.is_null() {
            // SAFETY: RFC 2744 3: an out parameter is null or points to a value of its type.
            unsafe { self.place.write(value) };
        }
    }
}

impl<T: Copy + Default> Out<'_, T> {
    /// What the glue has written there on our behalf.
    pub fn read(&self) -> T {
        // SAFETY: null, or the caller's value, which has been written.
        unsafe { self.place.as_ref() }.copied().unwrap_or_default()
    }
}

/// A value that C keeps and a call may change; it is not cleared.
#[repr(transparent)]
pub struct InOut<'a, T> {
    place: *mut T,
    caller: PhantomData<&'a mut T>,
}

impl<T: Copy> Argument for InOut<'_, T> {
    type C = *mut T;

    fn lower(&mut self) -> Self::C {
        self.place
    }
}

impl<T: Copy> InOut<'_, T> {
    /// The value there; `None` when the pointer is null.
    pub fn read(&self) -> Option<T> {
        // SAFETY: null, or the caller's value, valid for the call (RFC 2744 3).
        unsafe { self.place.as_ref() }.copied()
    }

    /// Write, if there is a place.
    pub fn put(&mut self, value: T) {
        if !self.place.is_null() {
            // SAFETY: as above.
            unsafe { self.place.write(value) };
        }
    }
}

/// Where a loop over attribute values keeps its place: not cleared, but ended by a failure, since
/// MIT's own loop goes on for as long as it is not 0.
#[repr(transparent)]
pub struct More<'a> {
    place: *mut c_int,
    caller: PhantomData<&'a mut c_int>,
}

impl Argument for More<'_> {
    type C = *mut c_int;

    fn lower(&mut self) -> Self::C {
        self.place
    }

    fn failed(&mut self) {
        if !self.place.is_null() {
            // SAFETY: null, or the caller's value, valid for the call (RFC 2744 3).
            unsafe { self.place.write(0) };
        }
    }
}

/// Octets of the caller's.
#[repr(transparent)]
pub struct Octets<'a> {
    descriptor: gss_buffer_t,
    caller: PhantomData<&'a [u8]>,
}

impl Argument for Octets<'_> {
    type C = gss_buffer_t;

    fn lower(&mut self) -> Self::C {
        self.descriptor
    }
}

impl<'a> Octets<'a> {
    /// Octets of ours, for a call that goes on.
    pub fn lent(lent: &'a mut owned::LentBuffer<'_>) -> Self {
        Self {
            descriptor: lent.raw(),
            caller: PhantomData,
        }
    }

    /// The octets; none for the null buffer, and for a descriptor without a value.
    pub fn bytes(&self) -> &'a [u8] {
        self.given().unwrap_or_default()
    }

    /// The octets, or `None` for the null buffer (GSS_C_NO_BUFFER).
    pub fn given(&self) -> Option<&'a [u8]> {
        // SAFETY: RFC 2744 3.2: null, or a descriptor valid for the call.
        let descriptor = unsafe { self.descriptor.as_ref() }?;
        // A length that no object in memory can have is a caller's uninitialised descriptor.
        if descriptor.value.is_null() || isize::try_from(descriptor.length).is_err() {
            return Some(&[]);
        }
        // SAFETY: RFC 2744 3.2: `value` points to `length` octets, valid for the call.
        Some(unsafe {
            std::slice::from_raw_parts(descriptor.value.cast::<u8>(), descriptor.length)
        })
    }
}

/// A buffer of the caller's to be filled; what is put in is released with `gss_release_buffer`.
#[repr(transparent)]
pub struct OutOctets<'a> {
    descriptor: gss_buffer_t,
    caller: PhantomData<&'a mut [u8]>,
}

impl Argument for OutOctets<'_> {
    type C = gss_buffer_t;

    fn lower(&mut self) -> Self::C {
        self.descriptor
    }

    fn clear(&mut self) {
        self.write(gss_buffer_desc {
            length: 0,
            value: ptr::null_mut(),
        });
    }
}

impl OutOctets<'_> {
    fn write(&mut self, value: gss_buffer_desc) {
        if !self.descriptor.is_null() {
            // SAFETY: RFC 2744 3.2: null, or the caller's descriptor.
            unsafe { self.descriptor.write(value) };
        }
    }

    /// Hand over octets of ours. Their memory is `malloc`'s (the allocator of this library), so it
    /// goes to the caller as it is, without a copy.
    pub fn put(&mut self, octets: Vec<u8>) {
        if octets.is_empty() || self.descriptor.is_null() {
            return;
        }
        let length = octets.len();
        let value = Box::into_raw(octets.into_boxed_slice()).cast::<c_void>();
        self.write(gss_buffer_desc { length, value });
    }

    /// Hand over text, with an octet of zero behind it that does not count: mod_auth_gssapi, and it
    /// is not alone, shows whatever stands behind a text up to such a one.
    pub fn put_text(&mut self, text: impl Into<Vec<u8>>) {
        let mut octets = text.into();
        if octets.is_empty() || self.descriptor.is_null() {
            return;
        }
        let length = octets.len();
        octets.push(0);
        let value = Box::into_raw(octets.into_boxed_slice()).cast::<c_void>();
        self.write(gss_buffer_desc { length, value });
    }

    /// Take back what the glue has put there.
    pub fn withdraw(&mut self, glue: &'static Mechglue) {
        let mut minor = 0;
        // SAFETY: null, or the caller's descriptor, which this glue has filled.
        unsafe { glue.gss_release_buffer(&raw mut minor, self.descriptor) };
    }

    /// What the glue has put there.
    pub fn filled(&self) -> &[u8] {
        let filled = Octets {
            descriptor: self.descriptor,
            caller: PhantomData,
        };
        filled.bytes()
    }

    /// Hand over a buffer that the glue filled.
    pub fn put_buffer(&mut self, buffer: Buffer) {
        if !self.descriptor.is_null() {
            self.write(buffer.into_descriptor());
        }
    }
}

/// Channel bindings as values; `None` when the caller gave none.
pub fn channel(bindings: Bindings<'_>) -> Option<ChannelBindings<'_>> {
    // SAFETY: RFC 2744 3.11: null, or the caller's structure, valid for the call.
    let given = unsafe { bindings.raw().as_ref() }?;
    let octets = |field: &gss_buffer_desc| {
        let descriptor: *const gss_buffer_desc = field;
        let field = Octets {
            descriptor: descriptor.cast_mut(),
            caller: PhantomData,
        };
        field.bytes()
    };
    Some(ChannelBindings {
        initiator_address_type: given.initiator_addrtype,
        initiator_address: octets(&given.initiator_address),
        acceptor_address_type: given.acceptor_addrtype,
        acceptor_address: octets(&given.acceptor_address),
        application_data: octets(&given.application_data),
    })
}

/// An OID of the caller's.
#[repr(transparent)]
pub struct OidIn<'a> {
    pointer: gss_OID,
    caller: PhantomData<&'a Oid>,
}

impl Argument for OidIn<'_> {
    type C = gss_OID;

    fn lower(&mut self) -> Self::C {
        self.pointer
    }
}

/// The mechanism of the caller's that a call is for.
#[repr(transparent)]
pub struct MechIn<'a>(OidIn<'a>);

impl<'a> Deref for MechIn<'a> {
    type Target = OidIn<'a>;

    fn deref(&self) -> &OidIn<'a> {
        &self.0
    }
}

impl Argument for MechIn<'_> {
    type C = gss_OID;

    fn lower(&mut self) -> Self::C {
        self.0.pointer
    }

    #[inline]
    fn is_bare(&self) -> bool {
        // SAFETY: RFC 2744 3.3: null, or an OID valid for the call.
        let length = unsafe { self.0.pointer.as_ref() }.map_or(0, |oid| oid.length);
        length == u32::from(oid::NTLMSSP.length()) && self.value() == Some(oid::NTLMSSP)
    }

    fn pass(&mut self) -> Self::C {
        if self.is_bare() {
            return statics::oid(&oid::NTLMSSP_BEHIND);
        }
        self.0.pointer
    }
}

impl OidIn<'_> {
    /// The null OID.
    pub fn none() -> Self {
        Self {
            pointer: ptr::null_mut(),
            caller: PhantomData,
        }
    }

    /// Its value; `None` for the null OID and for one too long to be known.
    pub fn value(&self) -> Option<Oid> {
        // SAFETY: RFC 2744 3.3: null, or an OID valid for the call.
        unsafe { owned::read_oid(self.pointer) }
    }
}

/// A place for an OID; what is put there is static and not released by anybody.
#[repr(transparent)]
pub struct OutOid<'a> {
    place: *mut gss_OID,
    caller: PhantomData<&'a mut gss_OID>,
}

impl Argument for OutOid<'_> {
    type C = *mut gss_OID;

    fn lower(&mut self) -> Self::C {
        self.place
    }

    fn clear(&mut self) {
        self.write(ptr::null_mut());
    }
}

impl OutOid<'_> {
    fn write(&mut self, value: gss_OID) {
        if !self.place.is_null() {
            // SAFETY: null, or the caller's place for a pointer.
            unsafe { self.place.write(value) };
        }
    }

    /// Put a static copy there.
    pub fn put(&mut self, oid: &Oid) {
        if !self.place.is_null() {
            self.write(statics::oid(oid));
        }
    }
}

/// A set of OIDs of the caller's.
#[repr(transparent)]
pub struct OidSetIn<'a> {
    set: gss_OID_set,
    caller: PhantomData<&'a [Oid]>,
}

impl Argument for OidSetIn<'_> {
    type C = gss_OID_set;

    fn lower(&mut self) -> Self::C {
        self.set
    }
}

/// The mechanisms of the caller's that a call is for.
#[repr(transparent)]
pub struct MechsIn<'a>(OidSetIn<'a>);

impl Argument for MechsIn<'_> {
    type C = gss_OID_set;

    fn lower(&mut self) -> Self::C {
        self.0.set
    }

    /// A glue asks for one mechanism at a time.
    fn is_bare(&self) -> bool {
        // SAFETY: RFC 2744 3.12: null, or a set valid for the call.
        let Some(set) = (unsafe { self.0.set.as_ref() }) else {
            return false;
        };
        let only = OidIn {
            pointer: set.elements,
            caller: PhantomData,
        };
        set.count == 1 && MechIn(only).is_bare()
    }

    fn pass(&mut self) -> Self::C {
        if self.is_bare() {
            return statics::set_of_ntlm();
        }
        self.0.set
    }
}

impl OidSetIn<'_> {
    /// The members that can be known; `None` for the null set.
    pub fn given(&self) -> Option<Vec<Oid>> {
        // SAFETY: RFC 2744 3.12: null, or a set valid for the call.
        (!self.set.is_null()).then(|| unsafe { owned::read_oid_set(self.set) })
    }
}

/// A place for a set of OIDs, which the caller releases with `gss_release_oid_set`.
#[repr(transparent)]
pub struct OutOidSet<'a> {
    place: *mut gss_OID_set,
    caller: PhantomData<&'a mut gss_OID_set>,
}

impl Argument for OutOidSet<'_> {
    type C = *mut gss_OID_set;

    fn lower(&mut self) -> Self::C {
        self.place
    }

    fn clear(&mut self) {
        if !self.place.is_null() {
            // SAFETY: null, or the caller's place for a pointer.
            unsafe { self.place.write(ptr::null_mut()) };
        }
    }
}

impl OutOidSet<'_> {
    /// No place.
    pub fn nowhere() -> Self {
        Self {
            place: ptr::null_mut(),
            caller: PhantomData,
        }
    }

    /// Hand over a set made by the glue.
    pub fn put(&mut self, set: owned::OidSet) {
        if !self.place.is_null() {
            // SAFETY: as above.
            unsafe { self.place.write(set.into_raw()) };
        }
    }

    /// Whether anybody wants it.
    pub fn is_wanted(&self) -> bool {
        !self.place.is_null()
    }
}

impl Argument for Bindings<'_> {
    type C = gss_channel_bindings_t;

    fn lower(&mut self) -> Self::C {
        self.raw()
    }
}
impl Argument for Store<'_> {
    type C = gss_const_key_value_set_t;

    fn lower(&mut self) -> Self::C {
        self.raw()
    }
}

/// An argument that is handed through to the glue unread: `any` mappings, and IOV arrays of
/// messages that the glue's mechanisms protect.
#[repr(transparent)]
pub struct Through<'a, T> {
    pointer: *mut T,
    caller: PhantomData<&'a mut T>,
}

impl<T> Argument for Through<'_, T> {
    type C = *mut T;

    fn lower(&mut self) -> Self::C {
        self.pointer
    }
}

/// A place for a buffer set, which the glue makes and the caller releases.
#[repr(transparent)]
pub struct OutSet<'a> {
    place: *mut gss_buffer_set_t,
    caller: PhantomData<&'a mut gss_buffer_set_t>,
}

impl Argument for OutSet<'_> {
    type C = *mut gss_buffer_set_t;

    fn clear(&mut self) {
        if !self.place.is_null() {
            // SAFETY: null, or the caller's place for a pointer.
            unsafe { self.place.write(ptr::null_mut()) };
        }
    }

    fn lower(&mut self) -> Self::C {
        self.place
    }
}

impl OutSet<'_> {
    /// Hand over a set made by the glue.
    pub fn put(&mut self, set: owned::BufferSet) {
        if !self.place.is_null() {
            // SAFETY: as above.
            unsafe { self.place.write(set.into_raw()) };
        }
    }
}

/// The major status for C.
pub type Status = Result<Major, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_zero_behind_it_that_does_not_count() {
        let mut buffer = gss_buffer_desc {
            length: 0,
            value: std::ptr::null_mut(),
        };
        OutOctets {
            descriptor: &raw mut buffer,
            caller: PhantomData,
        }
        .put_text("text");
        assert_eq!(buffer.length, 4);
        // SAFETY: four octets and a zero, made by `put_text` in malloc's memory.
        let text = unsafe { std::ffi::CStr::from_ptr(buffer.value.cast()) };
        assert_eq!(text, c"text");
        // SAFETY: as above, released once.
        unsafe { libc::free(buffer.value) };
    }
}

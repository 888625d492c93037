//! What the glue gave us, each released by its own function when dropped; and what we lend it for
//! the time of a call.

use super::Mechglue;
use crate::sys::*;
use spnego::oid::Oid;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// A buffer that the glue or a mechanism allocated. On both glues of Linux its memory is
/// `malloc`'s.
pub struct Buffer {
    glue: &'static Mechglue,
    descriptor: gss_buffer_desc,
}

impl Buffer {
    /// An empty buffer, to be filled by a call.
    pub(crate) fn empty(glue: &'static Mechglue) -> Self {
        Self {
            glue,
            descriptor: gss_buffer_desc {
                length: 0,
                value: ptr::null_mut(),
            },
        }
    }

    /// Where the call writes to.
    pub(crate) fn out(&mut self) -> gss_buffer_t {
        &raw mut self.descriptor
    }

    /// Whether anything was put in: an empty token that exists has a pointer and no octets.
    pub(crate) fn is_empty(&self) -> bool {
        self.descriptor.length == 0
    }

    /// The text in it, for people; never fails.
    pub fn text(&self) -> String {
        let octets = self.as_ref();
        String::from_utf8_lossy(octets.strip_suffix(b"\0").unwrap_or(octets)).into_owned()
    }

    /// Hand the memory on to C; whoever gets it frees it with `gss_release_buffer`.
    pub fn into_descriptor(mut self) -> gss_buffer_desc {
        std::mem::replace(
            &mut self.descriptor,
            gss_buffer_desc {
                length: 0,
                value: ptr::null_mut(),
            },
        )
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        if self.descriptor.value.is_null() || self.descriptor.length == 0 {
            return &[];
        }
        // SAFETY: the glue returned this pointer and length together; both stay until drop.
        unsafe {
            std::slice::from_raw_parts(self.descriptor.value.cast::<u8>(), self.descriptor.length)
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.descriptor.value.is_null() {
            return;
        }
        let mut minor = 0;
        // SAFETY: the descriptor is ours and was filled by this glue.
        unsafe {
            self.glue
                .gss_release_buffer(&raw mut minor, &raw mut self.descriptor)
        };
    }
}

/// A handle of the glue's, and how it is given back.
macro_rules! owner {
    ($(#[$doc:meta])* $Owner:ident, $handle:ty, $pointee:ty, $release:expr) => {
        $(#[$doc])*
        pub struct $Owner {
            glue: &'static Mechglue,
            handle: NonNull<$pointee>,
        }

        // SAFETY: RFC 2744 handles belong to a process, not to a thread; exclusive use is kept by
        // Rust's borrow rules and the locks of `ffi::handle`.
        unsafe impl Send for $Owner {}
        // SAFETY: both glues allow concurrent calls that only read a handle (per-message calls on
        // an established context, queries of names and credentials).
        unsafe impl Sync for $Owner {}

        impl $Owner {
            /// Take over a handle that a call of this glue returned; `None` for the null handle.
            pub fn take(glue: &'static Mechglue, handle: $handle) -> Option<Self> {
                NonNull::new(handle).map(|handle| Self { glue, handle })
            }

            /// The handle, lent for a call.
            pub fn raw(&self) -> $handle {
                self.handle.as_ptr()
            }

            /// The glue it came from.
            #[allow(dead_code, reason = "one form for all owners")]
            pub fn glue(&self) -> &'static Mechglue {
                self.glue
            }

            /// Give the handle up: C owns it from now on.
            #[allow(dead_code, reason = "one form for all owners")]
            pub fn into_raw(self) -> $handle {
                let handle = self.raw();
                std::mem::forget(self);
                handle
            }
        }

        impl Drop for $Owner {
            fn drop(&mut self) {
                let mut handle = self.raw();
                let mut minor = 0;
                let release: unsafe fn(&Mechglue, *mut u32, *mut $handle) -> u32 = $release;
                // SAFETY: the handle came from this glue and is given back once.
                unsafe { release(self.glue, &raw mut minor, &raw mut handle) };
            }
        }
    };
}
pub(super) use owner;

owner!(
    /// A name of the glue's.
    Name, gss_name_t, gss_name_struct, |glue, minor, name| {
        // SAFETY: passes the caller's contract on.
        unsafe { glue.gss_release_name(minor, name) }
    }
);
owner!(
    /// A credential of the glue's.
    Cred, gss_cred_id_t, gss_cred_id_struct, |glue, minor, cred| {
        // SAFETY: passes the caller's contract on.
        unsafe { glue.gss_release_cred(minor, cred) }
    }
);
owner!(
    /// A set of OIDs.
    OidSet, gss_OID_set, gss_OID_set_desc_struct, |glue, minor, set| {
        // SAFETY: passes the caller's contract on.
        unsafe { glue.gss_release_oid_set(minor, set) }
    }
);

owner!(
    /// A set of buffers.
    BufferSet, gss_buffer_set_t, gss_buffer_set_desc_struct, |glue, minor, set| {
        // SAFETY: passes the caller's contract on.
        unsafe { glue.gss_release_buffer_set(minor, set) }
    }
);

impl Cred {
    /// Own the handle that a call left in the place of this one's; a call that leaves none has
    /// left this one as it was.
    pub(crate) fn adopt(&mut self, left: gss_cred_id_t) {
        if let Some(left) = NonNull::new(left) {
            self.handle = left;
        }
    }
}

impl BufferSet {
    /// Copies of the members.
    pub(crate) fn members(&self) -> Vec<Vec<u8>> {
        // SAFETY: the set is alive until drop.
        let set = unsafe { &*self.raw() };
        if set.elements.is_null() || set.count == 0 {
            return Vec::new();
        }
        // SAFETY: a set's elements are an array of `count` buffer descriptors.
        let elements = unsafe { std::slice::from_raw_parts(set.elements, set.count) };
        let copy = |element: &gss_buffer_desc| {
            if element.value.is_null() || element.length == 0 {
                return Vec::new();
            }
            // SAFETY: `value` has `length` octets.
            unsafe { std::slice::from_raw_parts(element.value.cast::<u8>(), element.length) }
                .to_vec()
        };
        elements.iter().map(copy).collect()
    }
}

impl OidSet {
    /// The members that can be known.
    pub fn members(&self) -> Vec<Oid> {
        // SAFETY: the set is alive until drop.
        unsafe { read_oid_set(self.raw()) }
    }
}

/// The members of a set as values.
///
/// # Safety
/// `set` is null or a set as RFC 2744 section 3.12 describes it.
pub unsafe fn read_oid_set(set: gss_OID_set) -> Vec<Oid> {
    // SAFETY: null or valid, by contract.
    let Some(set) = (unsafe { set.as_ref() }) else {
        return Vec::new();
    };
    if set.elements.is_null() || set.count == 0 {
        return Vec::new();
    }
    // SAFETY: a set's elements are an array of `count` OID descriptors.
    let elements = unsafe { std::slice::from_raw_parts(set.elements, set.count) };
    elements
        .iter()
        .filter_map(|element| {
            let element: *const gss_OID_desc = element;
            // SAFETY: each element is a valid OID descriptor.
            unsafe { read_oid(element.cast_mut()) }
        })
        .collect()
}

/// An OID as a value; `None` for the null OID and for one too long to be known.
///
/// # Safety
/// `oid` is null or an OID as RFC 2744 section 3.3 describes it.
pub unsafe fn read_oid(oid: gss_OID) -> Option<Oid> {
    // SAFETY: null or valid, by contract.
    let oid = unsafe { oid.as_ref() }?;
    if oid.elements.is_null() {
        return None;
    }
    let length = usize::try_from(oid.length).ok()?;
    // SAFETY: `elements` has `length` octets.
    Oid::new(unsafe { std::slice::from_raw_parts(oid.elements.cast::<u8>(), length) })
}

/// An OID lent to C for the time of a call.
pub struct LentOid<'a> {
    descriptor: gss_OID_desc,
    lender: PhantomData<&'a Oid>,
}

impl<'a> LentOid<'a> {
    /// Lend it.
    pub fn new(oid: &'a Oid) -> Self {
        Self {
            descriptor: describe(oid),
            lender: PhantomData,
        }
    }

    /// The pointer for C, valid while `self` is.
    pub fn raw(&mut self) -> gss_OID {
        &raw mut self.descriptor
    }
}

/// OIDs lent to C as a set for the time of a call.
pub(crate) struct LentOidSet<'a> {
    elements: Vec<gss_OID_desc>,
    set: gss_OID_set_desc,
    lender: PhantomData<&'a [Oid]>,
}

impl<'a> LentOidSet<'a> {
    /// Lend them.
    pub(crate) fn new(oids: impl IntoIterator<Item = &'a Oid>) -> Self {
        let elements: Vec<_> = oids.into_iter().map(describe).collect();
        Self {
            set: gss_OID_set_desc {
                count: elements.len(),
                elements: ptr::null_mut(),
            },
            elements,
            lender: PhantomData,
        }
    }

    /// The pointer for C, valid while `self` is.
    pub(crate) fn raw(&mut self) -> gss_OID_set {
        self.set.elements = self.elements.as_mut_ptr();
        &raw mut self.set
    }
}

/// A descriptor that points into `oid`, and is good for as long as that stays where it is.
pub fn describe(oid: &Oid) -> gss_OID_desc {
    let content = oid.content();
    gss_OID_desc {
        length: u32::try_from(content.len()).unwrap_or_default(),
        elements: content.as_ptr().cast::<c_void>().cast_mut(),
    }
}

/// Octets lent to C as an input buffer for the time of a call.
pub struct LentBuffer<'a> {
    descriptor: gss_buffer_desc,
    lender: PhantomData<&'a [u8]>,
}

impl<'a> LentBuffer<'a> {
    /// Lend them.
    pub fn new(octets: &'a [u8]) -> Self {
        Self {
            descriptor: gss_buffer_desc {
                length: octets.len(),
                value: octets.as_ptr().cast::<c_void>().cast_mut(),
            },
            lender: PhantomData,
        }
    }

    /// The pointer for C, valid while `self` is.
    pub fn raw(&mut self) -> gss_buffer_t {
        &raw mut self.descriptor
    }
}

/// A credential lent to C for the time of a call; the null handle is the default one.
#[derive(Clone, Copy)]
pub(crate) struct LentCred<'a> {
    handle: gss_cred_id_t,
    lender: PhantomData<&'a ()>,
}

impl<'a> LentCred<'a> {
    /// The glue's credential that this library holds, or the default one.
    pub(crate) fn new(cred: Option<&'a Cred>) -> Self {
        Self {
            handle: cred.map_or(ptr::null_mut(), Cred::raw),
            lender: PhantomData,
        }
    }

    /// The application's.
    ///
    /// # Safety
    /// `handle` is null or a credential of the glue's, alive for `'a`.
    pub(super) unsafe fn of_app(handle: gss_cred_id_t) -> Self {
        Self {
            handle,
            lender: PhantomData,
        }
    }

    /// The handle, for a call.
    pub(super) fn raw(self) -> gss_cred_id_t {
        self.handle
    }
}

/// Channel bindings of a caller, handed through to the mechanisms behind the glue unread.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bindings<'a> {
    pointer: gss_channel_bindings_t,
    caller: PhantomData<&'a ()>,
}

impl<'a> Bindings<'a> {
    /// Those that this library has made itself, or none.
    pub(super) fn new(made: Option<&'a mut gss_channel_bindings_struct>) -> Self {
        Self {
            pointer: made.map_or(ptr::null_mut(), ptr::from_mut),
            caller: PhantomData,
        }
    }

    /// For a call.
    pub fn raw(self) -> gss_channel_bindings_t {
        self.pointer
    }
}

/// A credential store of a caller, handed through to the mechanisms behind the glue unread.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Store<'a> {
    pointer: gss_const_key_value_set_t,
    caller: PhantomData<&'a ()>,
}

impl<'a> Store<'a> {
    /// What the store has under a name, without the NUL at its end.
    pub fn value(self, key: &str) -> Option<&'a [u8]> {
        // SAFETY: null, or the caller's store, valid for the call.
        let store = unsafe { self.pointer.as_ref() }?;
        let count = usize::try_from(store.count).ok()?;
        if store.elements.is_null() {
            return None;
        }
        // SAFETY: a store's elements are an array of `count` pairs.
        let elements = unsafe { std::slice::from_raw_parts(store.elements, count) };
        let pairs = elements.iter().filter(|pair| !pair.key.is_null());
        let found = pairs
            // SAFETY: a key is a NUL-terminated string.
            .filter(|pair| unsafe { CStr::from_ptr(pair.key) }.to_bytes() == key.as_bytes())
            .find(|pair| !pair.value.is_null())?;
        // SAFETY: a value is a NUL-terminated string, valid for the call.
        Some(unsafe { CStr::from_ptr(found.value) }.to_bytes())
    }

    /// No store.
    pub const NONE: Self = Self {
        pointer: ptr::null(),
        caller: PhantomData,
    };

    /// For a call.
    pub fn raw(self) -> gss_const_key_value_set_t {
        self.pointer
    }

    /// Whether the caller named one.
    pub fn is_given(self) -> bool {
        !self.pointer.is_null()
    }
}

//! The system's GSS-API and Kerberos libraries, called from Rust. A glue, the one that loaded us or
//! the one that a program wants, is called through a table that fills itself by `dlsym` on first use.
//! Four laws of re-entry: never hand it a null mech, mech set or name type (MIT's localname, which
//! knows the mech from the name, excepted); never ask it for our own OID; names and mechanism lists
//! are answered from memory; under its locks (`gss_mech_interposer`, `internal_release_oid`,
//! `gss_mo_init`) only OID sets are touched.

mod alone;
pub mod behind;
pub mod call;
pub mod catalog;
pub mod context;
pub mod environment;
pub mod kerberos;
mod libkrb5;
pub mod machine;
pub mod mech;
pub mod owned;
pub mod session;
pub mod source;
pub mod sys;
pub mod system;

use crate::sys::*;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One mechglue library in this process.
pub struct Mechglue {
    soname: &'static CStr,
    library: AtomicPtr<c_void>,
    catalog: catalog::Known,
    imports: Imports,
}

impl Mechglue {
    /// MIT krb5's.
    pub fn mit() -> &'static Self {
        static MIT: Mechglue = Mechglue::named(c"libgssapi_krb5.so.2");
        &MIT
    }

    /// Heimdal's.
    pub fn heimdal() -> &'static Self {
        static HEIMDAL: Mechglue = Mechglue::named(c"libgssapi.so.3");
        &HEIMDAL
    }

    /// Whether this is Heimdal's.
    pub fn is_heimdal(&self) -> bool {
        ptr::eq(self, Self::heimdal())
    }

    const fn named(soname: &'static CStr) -> Self {
        Self {
            soname,
            library: AtomicPtr::new(ptr::null_mut()),
            catalog: catalog::Known::nothing(),
            imports: Imports::NEW,
        }
    }

    /// The address of `name` in this library; null when it has none of that name.
    ///
    /// The library is in the process already: it called us. Its own functions are found even though
    /// this library exports some of the same names.
    pub fn find(&self, name: &CStr) -> *mut c_void {
        let mut library = self.library.load(Ordering::Acquire);
        if library.is_null() {
            // SAFETY: dlopen reads a NUL-terminated string; RTLD_NOLOAD only finds what is loaded.
            library =
                unsafe { libc::dlopen(self.soname.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
            if library.is_null() {
                return ptr::null_mut();
            }
            self.library.store(library, Ordering::Release);
        }
        // SAFETY: `library` came from dlopen and is never closed.
        unsafe { libc::dlsym(library, name.as_ptr()) }
    }

    /// Have the library in this process, for a caller that it did not call; false when it is not
    /// there.
    fn load(&self) -> bool {
        if self.library.load(Ordering::Acquire).is_null() {
            // SAFETY: dlopen reads a NUL-terminated string, and counts a library that is loaded
            // already.
            let library = unsafe { libc::dlopen(self.soname.as_ptr(), libc::RTLD_LAZY) };
            self.library.store(library, Ordering::Release);
        }
        !self.library.load(Ordering::Acquire).is_null()
    }

    /// The address behind one slot of the table, found on its first use.
    #[inline]
    fn resolve(&self, slot: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
        let known = slot.load(Ordering::Relaxed);
        if known.is_null() {
            return self.fill(slot, name);
        }
        known
    }

    #[cold]
    fn fill(&self, slot: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
        let found = self.find(name);
        slot.store(found, Ordering::Relaxed);
        found
    }
}

/// What an import answers when the glue has no function of that name: GSS_S_UNAVAILABLE.
const UNAVAILABLE: u32 = spnego::error::major::UNAVAILABLE;

/// Every function of the glue that this library calls: a slot, and a method of the same name that
/// takes the arguments of gssapi.h and is held against its prototype when this is compiled.
macro_rules! imports {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        struct Imports { $($name: AtomicPtr<c_void>,)* }

        impl Imports {
            #[expect(
                clippy::declare_interior_mutable_const,
                reason = "each glue's table starts from a copy of its own"
            )]
            const NEW: Self = Self { $($name: AtomicPtr::new(ptr::null_mut()),)* };
        }

        #[expect(clippy::too_many_arguments, reason = "the prototypes are those of gssapi.h")]
        impl Mechglue {
            $(
                /// The glue's function of this name, or GSS_S_UNAVAILABLE where it has none.
                ///
                /// # Safety
                /// As gssapi.h asks of callers of that function.
                pub unsafe fn $name(&self, minor: *mut u32, $($argument: $type),*) -> u32 {
                    type Prototype = unsafe extern "C" fn(*mut u32, $($type),*) -> u32;
                    const _: Prototype = crate::sys::$name;
                    const NAME: &CStr = match CStr::from_bytes_with_nul(
                        concat!(stringify!($name), "\0").as_bytes(),
                    ) {
                        Ok(name) => name,
                        Err(_) => c"",
                    };
                    let found = self.resolve(&self.imports.$name, NAME);
                    if found.is_null() {
                        return UNAVAILABLE;
                    }
                    // SAFETY: the glue exports this name with the prototype of its header, which
                    // the constant above has compared; a function pointer is one pointer wide.
                    let function = unsafe { std::mem::transmute::<*mut c_void, Prototype>(found) };
                    // SAFETY: the caller keeps the function's own contract.
                    unsafe { function(minor, $($argument),*) }
                }
            )*
        }
    };
}

imports! {
    gss_acquire_cred(a: gss_name_t, b: u32, c: gss_OID_set, d: gss_cred_usage_t, e: *mut gss_cred_id_t, f: *mut gss_OID_set, g: *mut u32);
    gss_acquire_cred_from(a: gss_name_t, b: u32, c: gss_OID_set, d: gss_cred_usage_t, e: gss_const_key_value_set_t, f: *mut gss_cred_id_t, g: *mut gss_OID_set, h: *mut u32);
    gss_acquire_cred_with_password(a: gss_name_t, b: gss_buffer_t, c: u32, d: gss_OID_set, e: gss_cred_usage_t, f: *mut gss_cred_id_t, g: *mut gss_OID_set, h: *mut u32);
    gss_acquire_cred_impersonate_name(a: gss_cred_id_t, b: gss_name_t, c: u32, d: gss_OID_set, e: gss_cred_usage_t, f: *mut gss_cred_id_t, g: *mut gss_OID_set, h: *mut u32);
    gss_add_cred(a: gss_cred_id_t, b: gss_name_t, c: gss_OID, d: gss_cred_usage_t, e: u32, f: u32, g: *mut gss_cred_id_t, h: *mut gss_OID_set, i: *mut u32, j: *mut u32);
    gss_add_cred_impersonate_name(a: gss_cred_id_t, b: gss_cred_id_t, c: gss_name_t, d: gss_OID, e: gss_cred_usage_t, f: u32, g: u32, h: *mut gss_cred_id_t, i: *mut gss_OID_set, j: *mut u32, k: *mut u32);
    gss_set_neg_mechs(a: gss_cred_id_t, b: gss_OID_set);
    gss_release_cred(a: *mut gss_cred_id_t);
    gss_inquire_cred_by_mech(a: gss_cred_id_t, b: gss_OID, c: *mut gss_name_t, d: *mut u32, e: *mut u32, f: *mut gss_cred_usage_t);
    gss_inquire_cred(a: gss_cred_id_t, b: *mut gss_name_t, c: *mut u32, d: *mut gss_cred_usage_t, e: *mut gss_OID_set);
    gss_inquire_cred_by_oid(a: gss_cred_id_t, b: gss_OID, c: *mut gss_buffer_set_t);
    gss_set_cred_option(a: *mut gss_cred_id_t, b: gss_OID, c: gss_buffer_t);
    gss_export_cred(a: gss_cred_id_t, b: gss_buffer_t);
    gss_import_cred(a: gss_buffer_t, b: *mut gss_cred_id_t);
    gss_store_cred(a: gss_cred_id_t, b: gss_cred_usage_t, c: gss_OID, d: u32, e: u32, f: *mut gss_OID_set, g: *mut gss_cred_usage_t);
    gss_store_cred_into(a: gss_cred_id_t, b: gss_cred_usage_t, c: gss_OID, d: u32, e: u32, f: gss_const_key_value_set_t, g: *mut gss_OID_set, h: *mut gss_cred_usage_t);
    gss_import_name(a: gss_buffer_t, b: gss_OID, c: *mut gss_name_t);
    gss_display_name(a: gss_name_t, b: gss_buffer_t, c: *mut gss_OID);
    gss_display_name_ext(a: gss_name_t, b: gss_OID, c: gss_buffer_t);
    gss_compare_name(a: gss_name_t, b: gss_name_t, c: *mut c_int);
    gss_duplicate_name(a: gss_name_t, b: *mut gss_name_t);
    gss_export_name(a: gss_name_t, b: gss_buffer_t);
    gss_canonicalize_name(a: gss_name_t, b: gss_OID, c: *mut gss_name_t);
    gss_export_name_composite(a: gss_name_t, b: gss_buffer_t);
    gss_inquire_name(a: gss_name_t, b: *mut c_int, c: *mut gss_OID, d: *mut gss_buffer_set_t);
    gss_get_name_attribute(a: gss_name_t, b: gss_buffer_t, c: *mut c_int, d: *mut c_int, e: gss_buffer_t, f: gss_buffer_t, g: *mut c_int);
    gss_set_name_attribute(a: gss_name_t, b: c_int, c: gss_buffer_t, d: gss_buffer_t);
    gss_delete_name_attribute(a: gss_name_t, b: gss_buffer_t);
    gss_map_name_to_any(a: gss_name_t, b: c_int, c: gss_buffer_t, d: *mut gss_any_t);
    gss_release_any_name_mapping(a: gss_name_t, b: gss_buffer_t, c: *mut gss_any_t);
    gss_localname(a: gss_name_t, b: gss_const_OID, c: gss_buffer_t);
    gss_authorize_localname(a: gss_name_t, b: gss_name_t);
    gss_release_name(a: *mut gss_name_t);
    gss_init_sec_context(a: gss_cred_id_t, b: *mut gss_ctx_id_t, c: gss_name_t, d: gss_OID, e: u32, f: u32, g: gss_channel_bindings_t, h: gss_buffer_t, i: *mut gss_OID, j: gss_buffer_t, k: *mut u32, l: *mut u32);
    gss_accept_sec_context(a: *mut gss_ctx_id_t, b: gss_cred_id_t, c: gss_buffer_t, d: gss_channel_bindings_t, e: *mut gss_name_t, f: *mut gss_OID, g: gss_buffer_t, h: *mut u32, i: *mut u32, j: *mut gss_cred_id_t);
    gss_delete_sec_context(a: *mut gss_ctx_id_t, b: gss_buffer_t);
    gss_inquire_context(a: gss_ctx_id_t, b: *mut gss_name_t, c: *mut gss_name_t, d: *mut u32, e: *mut gss_OID, f: *mut u32, g: *mut c_int, h: *mut c_int);
    gss_inquire_sec_context_by_oid(a: gss_ctx_id_t, b: gss_OID, c: *mut gss_buffer_set_t);
    gss_set_sec_context_option(a: *mut gss_ctx_id_t, b: gss_OID, c: gss_buffer_t);
    gss_context_time(a: gss_ctx_id_t, b: *mut u32);
    gss_process_context_token(a: gss_ctx_id_t, b: gss_buffer_t);
    gss_export_sec_context(a: *mut gss_ctx_id_t, b: gss_buffer_t);
    gss_import_sec_context(a: gss_buffer_t, b: *mut gss_ctx_id_t);
    gss_complete_auth_token(a: gss_ctx_id_t, b: gss_buffer_t);
    gss_get_mic(a: gss_ctx_id_t, b: gss_qop_t, c: gss_buffer_t, d: gss_buffer_t);
    gss_verify_mic(a: gss_ctx_id_t, b: gss_buffer_t, c: gss_buffer_t, d: *mut gss_qop_t);
    gss_wrap(a: gss_ctx_id_t, b: c_int, c: gss_qop_t, d: gss_buffer_t, e: *mut c_int, f: gss_buffer_t);
    gss_unwrap(a: gss_ctx_id_t, b: gss_buffer_t, c: gss_buffer_t, d: *mut c_int, e: *mut gss_qop_t);
    gss_wrap_size_limit(a: gss_ctx_id_t, b: c_int, c: gss_qop_t, d: u32, e: *mut u32);
    gss_wrap_iov(a: gss_ctx_id_t, b: c_int, c: gss_qop_t, d: *mut c_int, e: *mut gss_iov_buffer_desc, f: c_int);
    gss_unwrap_iov(a: gss_ctx_id_t, b: *mut c_int, c: *mut gss_qop_t, d: *mut gss_iov_buffer_desc, e: c_int);
    gss_wrap_iov_length(a: gss_ctx_id_t, b: c_int, c: gss_qop_t, d: *mut c_int, e: *mut gss_iov_buffer_desc, f: c_int);
    gss_wrap_aead(a: gss_ctx_id_t, b: c_int, c: gss_qop_t, d: gss_buffer_t, e: gss_buffer_t, f: *mut c_int, g: gss_buffer_t);
    gss_unwrap_aead(a: gss_ctx_id_t, b: gss_buffer_t, c: gss_buffer_t, d: gss_buffer_t, e: *mut c_int, f: *mut gss_qop_t);
    gss_get_mic_iov(a: gss_ctx_id_t, b: gss_qop_t, c: *mut gss_iov_buffer_desc, d: c_int);
    gss_verify_mic_iov(a: gss_ctx_id_t, b: *mut gss_qop_t, c: *mut gss_iov_buffer_desc, d: c_int);
    gss_get_mic_iov_length(a: gss_ctx_id_t, b: gss_qop_t, c: *mut gss_iov_buffer_desc, d: c_int);
    gss_pseudo_random(a: gss_ctx_id_t, b: c_int, c: gss_buffer_t, d: isize, e: gss_buffer_t);
    gss_indicate_mechs(a: *mut gss_OID_set);
    gss_inquire_names_for_mech(a: gss_OID, b: *mut gss_OID_set);
    gss_inquire_attrs_for_mech(a: gss_const_OID, b: *mut gss_OID_set, c: *mut gss_OID_set);
    gss_display_status(a: u32, b: c_int, c: gss_OID, d: *mut u32, e: gss_buffer_t);
    gssspi_mech_invoke(a: gss_OID, b: gss_OID, c: gss_buffer_t);
    gss_release_buffer(a: gss_buffer_t);
    gss_release_oid_set(a: *mut gss_OID_set);
    gss_create_empty_oid_set(a: *mut gss_OID_set);
    gss_add_oid_set_member(a: gss_OID, b: *mut gss_OID_set);
    gss_create_empty_buffer_set(a: *mut gss_buffer_set_t);
    gss_add_buffer_set_member(a: gss_buffer_t, b: *mut gss_buffer_set_t);
    gss_release_buffer_set(a: *mut gss_buffer_set_t);
}

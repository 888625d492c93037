//! NTLMSSP itself, where MIT's glue has put us in front of it: what it is reached by, and what it
//! says of its codes, which the glue asks of whoever stands in front.

use super::owned::{Buffer, LentOid};
use super::{Mechglue, catalog};
use crate::sys::*;
use spnego::error::major;
use spnego::oid::{self, Oid};
use std::ffi::{CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::OnceLock;

/// The identifier that a mechanism itself is asked for by: of one that we stand in front of, its
/// public one would lead back to us.
#[inline]
pub fn address<'a>(glue: &'static Mechglue, mech: &'a Oid) -> &'a Oid {
    if *mech == oid::NTLMSSP && stands_in_front(glue) {
        return &oid::NTLMSSP_BEHIND;
    }
    mech
}

/// Whether this glue has put us in front of NTLMSSP. It does so as it loads us, if it has NTLMSSP
/// then and nobody else stands there, and not again.
fn stands_in_front(glue: &'static Mechglue) -> bool {
    static FRONT: OnceLock<bool> = OnceLock::new();
    !glue.is_heimdal()
        && *FRONT.get_or_init(|| {
            let mut lent = LentOid::new(&oid::NTLMSSP_BEHIND);
            let mut minor = 0;
            // SAFETY: the mech is lent for the call; nothing is asked but whether it is there.
            let status = unsafe {
                glue.gss_inquire_attrs_for_mech(
                    &raw mut minor,
                    lent.raw(),
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            };
            status & major::ERRORS != major::BAD_MECH
        })
}

/// What NTLMSSP says of a code of its own. The glue's `gss_display_status` has no way to it: it goes
/// by the public identifier, which is ours.
pub fn words(glue: &'static Mechglue, code: u32, position: &mut u32) -> Option<Buffer> {
    type DisplayStatus =
        unsafe extern "C" fn(*mut u32, u32, c_int, gss_OID, *mut u32, gss_buffer_t) -> u32;
    let found = display_status(glue);
    if found.is_null() {
        return None;
    }
    // SAFETY: the glue knows a mechanism's function by this name, with this prototype; a function
    // pointer is one pointer wide.
    let function = unsafe { std::mem::transmute::<*mut c_void, DisplayStatus>(found) };
    let (mut text, mut minor) = (Buffer::empty(glue), 0);
    // SAFETY: the outs are locals, and no mech says the mechanism's own.
    let status = unsafe {
        function(
            &raw mut minor,
            code,
            OF_MECH,
            ptr::null_mut(),
            position,
            text.out(),
        )
    };
    (status == major::COMPLETE && !text.is_empty()).then_some(text)
}

/// The function of NTLMSSP's own library, which is loaded: it has failed.
fn display_status(glue: &'static Mechglue) -> *mut c_void {
    static FOUND: OnceLock<usize> = OnceLock::new();
    let find = || {
        let path = catalog::library(glue, &oid::NTLMSSP)?;
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        // SAFETY: dlopen reads a NUL-terminated string; RTLD_NOLOAD only finds what is loaded.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        if library.is_null() {
            return None;
        }
        // SAFETY: the library was found, and is not closed.
        let found = unsafe { libc::dlsym(library, c"gss_display_status".as_ptr()) };
        // What the library has not itself is found in the glue that it is linked to.
        (found != glue.find(c"gss_display_status")).then_some(found.expose_provenance())
    };
    match FOUND.get() {
        Some(found) => ptr::with_exposed_provenance_mut(*found),
        None => {
            let found = find();
            let found = found.map_or(0, |found| *FOUND.get_or_init(|| found));
            ptr::with_exposed_provenance_mut(found)
        }
    }
}

/// GSS_C_MECH_CODE.
const OF_MECH: c_int = 2;

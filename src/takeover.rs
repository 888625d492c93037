//! How the one line in /etc/gss/mech makes this library the SPNEGO of Heimdal 7: the entry that is
//! being loaded, under an identifier of ours, is made SPNEGO's; 7 finds it before its built-in one,
//! because it keeps the newest entry first.

use args::statics;
use gssapi::sys::{gss_OID, gss_buffer_desc, gss_buffer_t, gss_const_OID};
use gssapi::{Mechglue, owned};
use spnego::error::{Major, major};
use spnego::oid::{self, Oid};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// Make an entry SPNEGO's, and give its options, which on Heimdal are its RFC 5587 attributes, and
/// what acquires a credential with a password.
///
/// Anything else than Heimdal 7 and our own identifier is left alone: newer ones keep the newest
/// entry last and share the memory of identifiers, so there it would do harm, and no good.
///
/// # Safety
/// The arguments are those that Heimdal's loader calls `gss_mo_init` with, and a function of the
/// type that it has for this.
pub(crate) unsafe fn become_spnego(
    entry: gss_OID,
    options: *mut *mut MechOption,
    count: *mut usize,
    acquire_cred_ext: *const c_void,
) -> Major {
    // SAFETY: null, or the identifier of the entry.
    let given = unsafe { owned::read_oid(entry) };
    // SAFETY: as above.
    let entry = unsafe { entry.as_ref() };
    let (Some(entry), true) = (entry, given == Some(oid::OURS)) else {
        return major::UNAVAILABLE;
    };
    if !is_heimdal_7() || options.is_null() || count.is_null() {
        return major::UNAVAILABLE;
    }
    // SAFETY: Heimdal 7's own places, in the middle of its entry.
    unsafe { Stretch::complete(options, count, acquire_cred_ext) };
    let table = table();
    // SAFETY: checked for null; the glue's own variables. It never writes to the table.
    unsafe { options.write(table.0.as_ptr().cast_mut()) };
    // SAFETY: as above.
    unsafe { count.write(table.0.len()) };
    // SAFETY: the entry's octets are memory that the glue allocated for it, as many as ours, which
    // are as many as SPNEGO's; nobody reads them meanwhile, since the list is locked.
    unsafe {
        ptr::copy_nonoverlapping(
            SPNEGO.content().as_ptr(),
            entry.elements.cast::<u8>(),
            SPNEGO.content().len(),
        );
    }
    major::COMPLETE
}

const SPNEGO: Oid = oid::SPNEGO;

/// Some octets in this library.
const MARK: &CStr = c"gss-spnego";

/// The octets fit in the place of ours.
const _: () = assert!(oid::SPNEGO.length() == oid::OURS.length());

/// The stretch of Heimdal 7's entry that ends with the two places handed to `gss_mo_init`. It looks
/// up functions for the first three; for the fourth, by which a credential is acquired with a
/// password, it has a place and does not look.
#[repr(C)]
struct Stretch {
    /// gm_store_cred, gm_export_cred, gm_import_cred.
    looked_up: [*const c_void; 3],
    /// gm_acquire_cred_ext.
    acquire_cred_ext: *const c_void,
    /// gm_iter_creds to gm_cred_label_set, which nobody fills.
    unfilled: [*const c_void; 6],
    options: *mut MechOption,
    count: usize,
}

impl Stretch {
    const LOOKED_UP: [&CStr; 3] = [c"gss_store_cred", c"gss_export_cred", c"gss_import_cred"];

    /// Put our function for passwords into its place, if all around it is what Heimdal 7 has there.
    /// Until then nothing says that the memory is such an entry: it is read through the pointer.
    ///
    /// # Safety
    /// The places are those that Heimdal 7 hands to `gss_mo_init`: in an entry of its list, with
    /// some forty functions in front of them.
    unsafe fn complete(
        options: *mut *mut MechOption,
        count: *mut usize,
        acquire_cred_ext: *const c_void,
    ) {
        let before = std::mem::offset_of!(Self, options);
        let stretch = options.wrapping_byte_sub(before).cast::<Self>();
        // In Heimdal 7's entry the two places stand side by side.
        let beside = std::mem::offset_of!(Self, count) - before;
        if options.wrapping_byte_add(beside).cast::<usize>() != count {
            return;
        }
        // SAFETY: by contract there are so many pointers in front of the place for the options.
        let seen = unsafe { stretch.read() };
        // Our own names may be taken for Heimdal's here: the library is what tells them apart.
        let ours = Place::of(MARK.as_ptr().cast()).library;
        let found = seen.looked_up.map(Place::of);
        let known = found
            .iter()
            .zip(Self::LOOKED_UP)
            .all(|(place, name)| place.library == ours && place.name.as_deref() == Some(name));
        let empty = seen.acquire_cred_ext.is_null() && seen.unfilled == [ptr::null(); 6];
        if known && empty && Place::of(acquire_cred_ext).library == ours {
            // SAFETY: the place is Heimdal 7's, and nobody else's while its list is locked.
            unsafe { (*stretch).acquire_cred_ext = acquire_cred_ext };
        }
    }
}

/// Where a function is: in which library, by which name. The dynamic linker may know neither.
struct Place {
    library: *const c_void,
    name: Option<CString>,
}

impl Place {
    fn of(function: *const c_void) -> Self {
        // SAFETY: all zero is a value of this struct of pointers.
        let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: any address may be asked for; the answer is a local.
        unsafe { libc::dladdr(function, &raw mut found) };
        let name = (!found.dli_sname.is_null()).then(|| {
            // SAFETY: a string of the library's own table of names.
            unsafe { CStr::from_ptr(found.dli_sname) }.to_owned()
        });
        Self {
            library: found.dli_fbase,
            name,
        }
    }
}

/// Whether the Heimdal in this process is a 7: these two functions came after it.
fn is_heimdal_7() -> bool {
    let heimdal = Mechglue::heimdal();
    !heimdal.find(c"gss_init_sec_context").is_null()
        && heimdal.find(c"gss_set_neg_mechs").is_null()
        && heimdal.find(c"gss_acquire_cred_from").is_null()
}

/// Heimdal's `gss_mo_desc`: an option of a mechanism. It is declared in no installed header.
#[repr(C)]
pub(crate) struct MechOption {
    option: gss_OID,
    flags: u32,
    name: *const c_char,
    context: *mut c_void,
    get: Option<unsafe extern "C" fn(gss_const_OID, *mut Self, gss_buffer_t) -> c_int>,
    set: Option<unsafe extern "C" fn(gss_const_OID, *mut Self, c_int, gss_buffer_t) -> c_int>,
}

/// The options for as long as the process lives.
struct Table([MechOption; 6]);

// SAFETY: every pointer leads to static memory, and nobody writes.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        Table([
            text(&SASL_MECH_NAME, c"SASL mech name", c"SPNEGO"),
            text(&MECH_NAME, c"Mechanism name", c"SPNEGO"),
            text(
                &MECH_DESCRIPTION,
                c"Mechanism description",
                c"Simple and Protected GSS-API Negotiation Mechanism",
            ),
            attribute(&MA_MECH_NEGO),
            attribute(&MA_MECH_PSEUDO),
            attribute(&MA_ITOK_FRAMED),
        ])
    })
}

fn text(option: &Oid, name: &'static CStr, value: &'static CStr) -> MechOption {
    MechOption {
        name: name.as_ptr(),
        context: value.as_ptr().cast_mut().cast(),
        get: Some(get_text),
        ..attribute(option)
    }
}

fn attribute(option: &Oid) -> MechOption {
    MechOption {
        option: statics::oid(option),
        flags: IS_ATTRIBUTE,
        name: ptr::null(),
        context: ptr::null_mut(),
        get: None,
        set: None,
    }
}

/// The value of one of the options made by [`text`]; the caller frees it.
unsafe extern "C" fn get_text(
    _: gss_const_OID,
    option: *mut MechOption,
    value: gss_buffer_t,
) -> c_int {
    // SAFETY: the glue hands in the option it calls this function of; a null buffer wants nothing.
    let (Some(option), false) = (unsafe { option.as_ref() }, value.is_null()) else {
        return 0;
    };
    // SAFETY: put there by `text`, from a static string.
    let text = unsafe { CStr::from_ptr(option.context.cast()) };
    // SAFETY: strdup reads a string that ends.
    let copy = unsafe { libc::strdup(text.as_ptr()) };
    if copy.is_null() {
        return FAILURE;
    }
    let filled = gss_buffer_desc {
        length: text.to_bytes().len(),
        value: copy.cast(),
    };
    // SAFETY: the glue's own buffer.
    unsafe { value.write(filled) };
    0
}

/// GSS_S_FAILURE as the int that this function returns.
const FAILURE: c_int = 13 << 16;

/// GSS_MO_MA.
const IS_ATTRIBUTE: u32 = 1;

/// GSS_C_MA_SASL_MECH_NAME, _MECH_NAME and _MECH_DESCRIPTION, 1.2.752.43.13.{100,101,102}.
const SASL_MECH_NAME: Oid = Oid::known([0x2a, 0x85, 0x70, 0x2b, 0x0d, 0x64]);
const MECH_NAME: Oid = Oid::known([0x2a, 0x85, 0x70, 0x2b, 0x0d, 0x65]);
const MECH_DESCRIPTION: Oid = Oid::known([0x2a, 0x85, 0x70, 0x2b, 0x0d, 0x66]);

/// GSS_C_MA_MECH_PSEUDO, _MECH_NEGO and _ITOK_FRAMED of RFC 5587, 1.3.6.1.5.5.13.{2,4,9}.
const MA_MECH_PSEUDO: Oid = Oid::known([0x2b, 6, 1, 5, 5, 13, 2]);
const MA_MECH_NEGO: Oid = Oid::known([0x2b, 6, 1, 5, 5, 13, 4]);
const MA_ITOK_FRAMED: Oid = Oid::known([0x2b, 6, 1, 5, 5, 13, 9]);

#[cfg(test)]
mod tests {
    use super::*;
    use gssapi::sys::gss_OID_desc;

    fn call(oid: &Oid) -> (Major, Vec<u8>, *mut MechOption) {
        let mut octets = oid.content().to_vec();
        let mut entry = gss_OID_desc {
            length: u32::try_from(octets.len()).unwrap(),
            elements: octets.as_mut_ptr().cast(),
        };
        let (mut options, mut count) = (ptr::null_mut(), 0);
        // SAFETY: all arguments are locals of the right types.
        let status = unsafe {
            become_spnego(
                &raw mut entry,
                &raw mut options,
                &raw mut count,
                ptr::null(),
            )
        };
        (status, octets, options)
    }

    #[test]
    fn nothing_is_touched_where_the_glue_is_not_heimdal_7() {
        for oid in [oid::OURS, oid::KRB5, oid::SPNEGO] {
            let (status, octets, options) = call(&oid);
            assert_eq!(status, major::UNAVAILABLE);
            assert_eq!(octets, oid.content());
            assert!(options.is_null());
        }
    }

    #[test]
    fn options_are_named_as_in_the_specifications() {
        assert_eq!(SASL_MECH_NAME.to_string(), "1.2.752.43.13.100");
        assert_eq!(MECH_NAME.to_string(), "1.2.752.43.13.101");
        assert_eq!(MECH_DESCRIPTION.to_string(), "1.2.752.43.13.102");
        assert_eq!(MA_MECH_PSEUDO.to_string(), "1.3.6.1.5.5.13.2");
    }

    #[test]
    fn a_text_option_gives_a_copy() {
        let mut option = text(&MECH_NAME, c"name", c"value");
        let mut value = gss_buffer_desc {
            length: 0,
            value: ptr::null_mut(),
        };
        // SAFETY: the option and the buffer are locals.
        let status = unsafe { get_text(ptr::null(), &raw mut option, &raw mut value) };
        assert_eq!((status, value.length), (0, 5));
        // SAFETY: made by strdup.
        unsafe { libc::free(value.value) };
    }
}

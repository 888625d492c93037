//! Where the credentials of a mechanism come from when nobody says where: for the trace alone,
//! since finding out makes a Kerberos context.

use super::environment;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// The default ticket cache, as the Kerberos library of this process names it:
/// `FILE:/tmp/krb5cc_0`.
pub(crate) fn ticket_cache() -> String {
    found(|library| library.ticket_cache(), "KRB5CCNAME")
}

/// The default key table, likewise.
pub(crate) fn key_table() -> String {
    found(|library| library.key_table(), "KRB5_KTNAME")
}

/// The users of NTLM.
pub(crate) fn ntlm_users() -> String {
    environment::variable("NTLM_USER_FILE").map_or_else(
        || "not named (NTLM_USER_FILE is not set)".to_owned(),
        |file| format!("{} (NTLM_USER_FILE)", file.to_string_lossy()),
    )
}

fn found(ask: impl FnOnce(&Library) -> Option<String>, variable: &str) -> String {
    Library::of_this_process()
        .and_then(|library| ask(&library))
        .or_else(|| {
            Some(
                environment::variable(variable)?
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .unwrap_or_else(|| "the default".to_owned())
}

/// The Kerberos library behind the glue, MIT's or Heimdal's, which agree on these functions.
struct Library {
    init: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
    free: unsafe extern "C" fn(*mut c_void),
    cache: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    keys: unsafe extern "C" fn(*mut c_void, *mut c_char, NameLength) -> c_int,
}

/// An int with MIT and a size_t with Heimdal, in the same register.
type NameLength = usize;

impl Library {
    fn of_this_process() -> Option<Self> {
        NAMES.iter().find_map(|name| {
            // SAFETY: the name is NUL-terminated; RTLD_NOLOAD only finds what is loaded, and counts
            // it, so that it stays.
            let library =
                unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
            let function = |name: &CStr| {
                // SAFETY: the library is loaded, the name is NUL-terminated.
                let found = unsafe { libc::dlsym(library, name.as_ptr()) };
                (!library.is_null() && !found.is_null()).then_some(found)
            };
            let (init, free) = (
                function(c"krb5_init_context")?,
                function(c"krb5_free_context")?,
            );
            let (cache, keys) = (
                function(c"krb5_cc_default_name")?,
                function(c"krb5_kt_default_name")?,
            );
            Some(Self {
                // SAFETY: krb5.h declares the function so.
                init: unsafe {
                    std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C" fn(*mut *mut c_void) -> c_int,
                    >(init)
                },
                // SAFETY: as above.
                free: unsafe {
                    std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(free)
                },
                // SAFETY: as above.
                cache: unsafe {
                    std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C" fn(*mut c_void) -> *const c_char,
                    >(cache)
                },
                // SAFETY: as above.
                keys: unsafe {
                    std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C" fn(*mut c_void, *mut c_char, NameLength) -> c_int,
                    >(keys)
                },
            })
        })
    }

    fn ticket_cache(&self) -> Option<String> {
        let context = KerberosContext::new(self)?;
        // SAFETY: the context is alive; the name is the context's, copied before that is freed.
        let name = unsafe { (self.cache)(context.handle) };
        if name.is_null() {
            return None;
        }
        // SAFETY: a NUL-terminated string of the context's.
        Some(
            unsafe { CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned(),
        )
    }

    fn key_table(&self) -> Option<String> {
        let context = KerberosContext::new(self)?;
        let mut name: [c_char; LONGEST_NAME] = [0; LONGEST_NAME];
        // SAFETY: the context is alive, the name has the room that is said.
        let failed = unsafe { (self.keys)(context.handle, name.as_mut_ptr(), LONGEST_NAME) };
        // SAFETY: filled by the call up to a NUL, or zeros.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        (failed == 0).then(|| name.to_string_lossy().into_owned())
    }
}

/// A Kerberos context for the time of a question.
struct KerberosContext<'a> {
    library: &'a Library,
    handle: *mut c_void,
}

impl<'a> KerberosContext<'a> {
    fn new(library: &'a Library) -> Option<Self> {
        let mut handle = ptr::null_mut();
        // SAFETY: the result is a local.
        let failed = unsafe { (library.init)(&raw mut handle) };
        (failed == 0 && !handle.is_null()).then_some(Self { library, handle })
    }
}

impl Drop for KerberosContext<'_> {
    fn drop(&mut self) {
        // SAFETY: made by this library, and freed once.
        unsafe { (self.library.free)(self.handle) };
    }
}

const NAMES: [&CStr; 2] = [c"libkrb5.so.3", c"libkrb5.so.26"];

/// MAX_KEYTAB_NAME_LEN of MIT's krb5.h, and room for its NUL.
const LONGEST_NAME: usize = 1101;

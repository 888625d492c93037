//! The Kerberos library behind the glue, asked for what the glue does not tell: MIT's or Heimdal's,
//! which agree on the functions that both have.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

/// The library of this process, and libk5crypto behind MIT's.
pub(super) struct Library {
    handle: *mut c_void,
    is_mit: bool,
}

impl Library {
    /// MIT's.
    pub(super) fn mit() -> Option<Self> {
        Self::loaded(MIT, true)
    }

    /// MIT's, or else Heimdal's.
    pub(super) fn of_this_process() -> Option<Self> {
        Self::mit().or_else(|| Self::loaded(HEIMDAL, false))
    }

    fn loaded(name: &CStr, is_mit: bool) -> Option<Self> {
        // SAFETY: dlopen reads a NUL-terminated string; RTLD_NOLOAD only finds what is loaded.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        // Made only where there is one: it is closed on drop.
        (!handle.is_null()).then(|| Self { handle, is_mit })
    }

    /// The address of a function, of the library or of one that it depends on.
    fn find(&self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the handle came from dlopen and is closed on drop.
        let found = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// An encryption type by the library's name for it.
    pub(super) fn encryption_type(&self, name: &str) -> Option<c_int> {
        type Function = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
        let name = CString::new(name).ok()?;
        let found = self.find(c"krb5_string_to_enctype")?;
        // SAFETY: krb5.h declares the function so; a function pointer is one pointer wide.
        let function = unsafe { std::mem::transmute::<*mut c_void, Function>(found) };
        let mut number = 0;
        // SAFETY: the name is only read, in spite of its type; the result is a local.
        let failed = unsafe { function(name.as_ptr().cast_mut(), &raw mut number) };
        (failed == 0).then_some(number)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: counted once more by `loaded`, and not used afterwards.
        unsafe { libc::dlclose(self.handle) };
    }
}

/// A krb5_context, for the time of a question.
pub(super) struct Context<'l> {
    library: &'l Library,
    context: *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

impl<'l> Context<'l> {
    pub(super) fn new(library: &'l Library) -> Option<Self> {
        type Init = unsafe extern "C" fn(*mut *mut c_void) -> c_int;
        type Free = unsafe extern "C" fn(*mut c_void);
        let init = library.find(c"krb5_init_context")?;
        let free = library.find(c"krb5_free_context")?;
        // SAFETY: krb5.h declares the function so; a function pointer is one pointer wide.
        let init = unsafe { std::mem::transmute::<*mut c_void, Init>(init) };
        // SAFETY: as above.
        let free = unsafe { std::mem::transmute::<*mut c_void, Free>(free) };
        let mut context = ptr::null_mut();
        // SAFETY: the result is a local.
        let failed = unsafe { init(&raw mut context) };
        // Made only where there is one: it is freed on drop.
        (failed == 0 && !context.is_null()).then(|| Self {
            library,
            context,
            free,
        })
    }

    /// The default ticket cache by name.
    pub(super) fn ticket_cache(&self) -> Option<String> {
        type Function = unsafe extern "C" fn(*mut c_void) -> *const c_char;
        let found = self.library.find(c"krb5_cc_default_name")?;
        // SAFETY: krb5.h declares the function so; a function pointer is one pointer wide.
        let function = unsafe { std::mem::transmute::<*mut c_void, Function>(found) };
        // SAFETY: the context is alive; the name is the context's, copied before that is freed.
        let name = unsafe { function(self.context) };
        if name.is_null() {
            return None;
        }
        // SAFETY: a NUL-terminated string of the context's.
        let name = unsafe { CStr::from_ptr(name) };
        Some(name.to_string_lossy().into_owned())
    }

    /// The default key table by name.
    pub(super) fn key_table(&self) -> Option<String> {
        type OfMit = unsafe extern "C" fn(*mut c_void, *mut c_char, c_int) -> c_int;
        type OfHeimdal = unsafe extern "C" fn(*mut c_void, *mut c_char, usize) -> c_int;
        let found = self.library.find(c"krb5_kt_default_name")?;
        let mut name: [c_char; LONGEST_NAME] = [0; LONGEST_NAME];
        let failed = if self.library.is_mit {
            // SAFETY: MIT's krb5.h declares the function so; a function pointer is one pointer wide.
            let function = unsafe { std::mem::transmute::<*mut c_void, OfMit>(found) };
            let length = c_int::try_from(name.len()).ok()?;
            // SAFETY: the context is alive, the name has the room that is said.
            unsafe { function(self.context, name.as_mut_ptr(), length) }
        } else {
            // SAFETY: Heimdal's krb5.h declares the function so.
            let function = unsafe { std::mem::transmute::<*mut c_void, OfHeimdal>(found) };
            // SAFETY: as above.
            unsafe { function(self.context, name.as_mut_ptr(), name.len()) }
        };
        // SAFETY: filled by the call up to a NUL, or zeros.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        (failed == 0).then(|| name.to_string_lossy().into_owned())
    }

    /// The encryption types that krb5.conf permits.
    pub(super) fn permitted_encryption_types(&self) -> Option<Vec<c_int>> {
        type Get = unsafe extern "C" fn(*mut c_void, *mut *mut c_int) -> c_int;
        type Free = unsafe extern "C" fn(*mut c_void, *mut c_int);
        let get = self.library.find(c"krb5_get_permitted_enctypes")?;
        let free = self.library.find(c"krb5_free_enctypes")?;
        // SAFETY: krb5.h declares the function so; a function pointer is one pointer wide.
        let get = unsafe { std::mem::transmute::<*mut c_void, Get>(get) };
        // SAFETY: as above.
        let free = unsafe { std::mem::transmute::<*mut c_void, Free>(free) };
        let mut list = ptr::null_mut();
        // SAFETY: the context is alive, the result a local.
        let failed = unsafe { get(self.context, &raw mut list) };
        if failed != 0 || list.is_null() {
            return None;
        }
        let mut types = Vec::new();
        for at in 0..MOST_TYPES {
            // SAFETY: the list ends with a zero, which has not been met yet.
            let place = unsafe { list.add(at) };
            // SAFETY: as above.
            match unsafe { *place } {
                0 => break,
                number => types.push(number),
            }
        }
        // SAFETY: the library's own list, released once.
        unsafe { free(self.context, list) };
        Some(types)
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: the library's own context, released once.
        unsafe { (self.free)(self.context) };
    }
}

const MIT: &CStr = c"libkrb5.so.3";
const HEIMDAL: &CStr = c"libkrb5.so.26";

/// MAX_KEYTAB_NAME_LEN of MIT's krb5.h, and room for its NUL.
const LONGEST_NAME: usize = 1101;

/// The library knows some 15 encryption types; a list that does not end is not followed further.
const MOST_TYPES: usize = 64;

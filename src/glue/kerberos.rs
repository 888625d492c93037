//! What MIT's Kerberos library knows and its messages keep to themselves, asked for after a failure
//! only; and what it stumbles over.

use super::{Mechglue, environment};
use crate::advice::{Trouble, advised, krb5_error};
use crate::error::{Cause, MechError, major};
use crate::oid;
use crate::role::Role;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;

/// Whether the library may be asked for the default ticket cache. Up to 1.20 at least it frees a
/// pointer that was never set, and the program crashes as often as not, when `KRB5CCNAME` names a
/// file that is there and is none of its caches, or one of another user's, as after `su`.
///
/// # Errors
/// What the library would say, and what to do about it.
pub(crate) fn default_cache(glue: &'static Mechglue) -> Result<(), MechError> {
    if glue.is_heimdal() {
        return Ok(());
    }
    let Some(name) = environment::variable("KRB5CCNAME") else {
        return Ok(());
    };
    let name = name.as_bytes();
    let path = name.strip_prefix(b"FILE:").unwrap_or(name);
    if path.first() != Some(&b'/') {
        return Ok(());
    }
    let path = Path::new(OsStr::from_bytes(path));
    let Some((what, number)) = cache_problem(path) else {
        return Ok(());
    };
    let words = format!(
        "No Kerberos credentials available: {what} (filename: {})",
        path.display()
    );
    let minor = krb5_error(number);
    let trouble = Trouble::of_kerberos(minor, Role::Initiator, &words);
    Err(MechError {
        mech: oid::KRB5,
        major: major::NO_CRED,
        cause: Cause::Unusable,
        reason: advised(words, trouble.as_ref()),
        token: None,
    })
}

/// KRB5_FCC_PERM or KRB5_CC_FORMAT, in the library's words and by number.
fn cache_problem(file: &Path) -> Option<(&'static str, u32)> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file);
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Some(("Credentials cache permissions incorrect", 194));
        }
        // The library passes over what is not there.
        Err(_) => return None,
    };
    let mut version = [0; 2];
    match opened.read_exact(&mut version) {
        Ok(()) if matches!(version, [5, 1..=4]) => None,
        _ => Some(("Bad format in credentials cache", 199)),
    }
}

/// Whether krb5.conf permits an encryption type, in the library's name for it; `None` where the
/// library is another one, or does not know the name.
pub(crate) fn permits_encryption_type(name: &str) -> Option<bool> {
    let library = Library::loaded()?;
    let wanted = library.encryption_type(&CString::new(name).ok()?)?;
    let context = Context::new(&library)?;
    Some(context.permitted_encryption_types()?.contains(&wanted))
}

/// libkrb5, which libgssapi_krb5 has brought into the process, and libk5crypto behind it.
struct Library(*mut c_void);

impl Library {
    fn loaded() -> Option<Self> {
        // SAFETY: dlopen reads a NUL-terminated string; RTLD_NOLOAD only finds what is loaded.
        let library = unsafe {
            libc::dlopen(
                c"libkrb5.so.3".as_ptr(),
                libc::RTLD_LAZY | libc::RTLD_NOLOAD,
            )
        };
        // Made only where there is one: it is closed on drop.
        (!library.is_null()).then(|| Self(library))
    }

    /// The address of a function, of the library or of one that it depends on.
    fn find(&self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the handle came from dlopen and is closed on drop.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    fn encryption_type(&self, name: &CStr) -> Option<c_int> {
        type Function = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
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
        unsafe { libc::dlclose(self.0) };
    }
}

/// A krb5_context.
struct Context<'l> {
    library: &'l Library,
    context: *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

impl<'l> Context<'l> {
    fn new(library: &'l Library) -> Option<Self> {
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

    fn permitted_encryption_types(&self) -> Option<Vec<c_int>> {
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

/// The library knows some 15 encryption types; a list that does not end is not followed further.
const MOST_TYPES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_ticket_cache_is_told_from_one_that_is_not_there() {
        let format = Some(("Bad format in credentials cache", 199));
        for file in ["/dev/null", "/etc/passwd", "/"] {
            assert_eq!(cache_problem(Path::new(file)), format, "{file}");
        }
        assert_eq!(cache_problem(Path::new("/nonexistent/cache")), None);
    }

    #[test]
    fn a_name_that_nobody_knows_is_not_judged() {
        assert_eq!(permits_encryption_type("no-such-type"), None);
        assert_eq!(permits_encryption_type("a\0b"), None);
    }
}

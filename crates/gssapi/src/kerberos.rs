//! What MIT's Kerberos library knows and its messages keep to themselves, asked for after a failure
//! only; and what it stumbles over.

use super::libkrb5::{Context, Library};
use super::{Mechglue, environment};
use spnego::advice::{Trouble, advised, krb5_error};
use spnego::error::{Cause, MechError, major};
use spnego::oid;
use spnego::role::Role;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Whether the library may be asked for the default ticket cache. Up to 1.20 at least it frees a
/// pointer that was never set, and the program crashes as often as not, when `KRB5CCNAME` names a
/// file that is there and is none of its caches, or one of another user's, as after `su`.
///
/// # Errors
/// What the library would say, and what to do about it.
pub fn default_cache(glue: &'static Mechglue) -> Result<(), MechError> {
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
    let library = Library::mit()?;
    let wanted = library.encryption_type(name)?;
    let context = Context::new(&library)?;
    Some(context.permitted_encryption_types()?.contains(&wanted))
}

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

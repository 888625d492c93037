//! Who else is in this process: a caller that cannot be told what others are told.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether Cyrus SASL's module for GSS-API is loaded.
///
/// The libraries are looked through again only after one was loaded or unloaded.
pub(crate) fn has_cyrus_sasl() -> bool {
    let mut search = Search {
        known: KNOWN.load(Ordering::Relaxed),
        seen: 0,
        found: false,
    };
    // SAFETY: the function is of the right type and gets the local that it expects.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    let found = if search.seen == 0 {
        search.known & FOUND != 0
    } else {
        search.found
    };
    if search.seen != 0 {
        KNOWN.store(search.seen << 1 | u64::from(found), Ordering::Relaxed);
    }
    found
}

/// How many libraries had been loaded and unloaded in this process when they were looked through, times
/// two, and [`FOUND`].
static KNOWN: AtomicU64 = AtomicU64::new(0);
const FOUND: u64 = 1;

struct Search {
    known: u64,
    /// How many libraries have been loaded and unloaded by now; 0 when nothing is new.
    seen: u64,
    found: bool,
}

/// Look at one library; not zero ends the search.
unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: the dynamic linker's own, for the time of this call.
    let info = unsafe { info.as_ref() };
    // SAFETY: the local of the caller.
    let search = unsafe { search.cast::<Search>().as_mut() };
    let (Some(info), Some(search)) = (info, search) else {
        return 1;
    };
    let changes = info.dlpi_adds.wrapping_add(info.dlpi_subs);
    if search.known >> 1 == changes {
        return 1;
    }
    search.seen = changes;
    if info.dlpi_name.is_null() {
        return 0;
    }
    // SAFETY: a string of the dynamic linker's.
    let path = unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes();
    let file = path.rsplit(|octet| *octet == b'/').next();
    search.found |= file.is_some_and(|file| file.starts_with(CYRUS_SASL));
    c_int::from(search.found)
}

/// The module that has the SASL mechanisms GSSAPI and GSS-SPNEGO, without its version.
const CYRUS_SASL: &[u8] = b"libgssapiv2.so";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_the_module_has_none_at_every_look() {
        assert!(!has_cyrus_sasl());
        assert!(!has_cyrus_sasl());
    }
}

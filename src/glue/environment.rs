//! The environment as a setuid program may read it: not at all. And a clock that costs nothing.

use std::ffi::{CStr, CString, OsString, c_char};
use std::os::unix::ffi::OsStringExt;

unsafe extern "C" {
    /// As `getenv`, but null when the kernel marked the program as privileged; glibc and musl.
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

/// The value of an environment variable; `None` when unset, and always in a program that runs with
/// more rights than its user (`secure_getenv`).
pub(crate) fn variable(name: &str) -> Option<OsString> {
    let name = CString::new(name).ok()?;
    // SAFETY: the argument is NUL-terminated.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: getenv's result is a NUL-terminated string that stays until the variable is changed;
    // it is copied at once, as every reader of the environment must.
    let value = unsafe { CStr::from_ptr(value) };
    Some(OsString::from_vec(value.to_bytes().to_vec()))
}

/// Seconds of a clock that never goes back, as of the last tick: CLOCK_MONOTONIC_COARSE, read
/// without a system call.
pub(crate) fn seconds() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the out is a local. It fails only for a clock that is not there, and stays zero then.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    now.tv_sec.unsigned_abs()
}

//! The environment as a setuid program may read it: not at all. A clock that costs nothing. And
//! writing without the signals that a write may bring.

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::{mem, ptr};

unsafe extern "C" {
    /// As `getenv`, but null when the kernel marked the program as privileged; glibc and musl.
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

/// The value of an environment variable; `None` when unset, and always in a program that runs with
/// more rights than its user (`secure_getenv`).
pub fn variable(name: &str) -> Option<OsString> {
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
pub fn seconds() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the out is a local. It fails only for a clock that is not there, and stays zero then.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    now.tv_sec.unsigned_abs()
}

/// Write what is not the host program's business: where nobody reads any more (SIGPIPE), or a file
/// would be longer than this process may make one (SIGXFSZ), the write fails, and the signal, which
/// ends a program, does not come.
pub fn unsignalled(write: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: plain memory, which is filled below.
    let mut ours: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut before: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut pending: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set is a local.
    unsafe { libc::sigemptyset(&raw mut ours) };
    for signal in BY_WRITES {
        // SAFETY: as above.
        unsafe { libc::sigaddset(&raw mut ours, signal) };
    }
    // SAFETY: the sets are locals. Without the mask, it is as if nothing had been asked for.
    let masked =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const ours, &raw mut before) };
    if masked != 0 {
        return Err(io::Error::from_raw_os_error(masked));
    }
    // SAFETY: the set is a local.
    unsafe { libc::sigpending(&raw mut pending) };
    let written = write();
    for signal in BY_WRITES {
        // One that was there before is the program's.
        // SAFETY: the set is a local, which sigpending has filled.
        if unsafe { libc::sigismember(&raw const pending, signal) } == 0 {
            take(signal);
        }
    }
    // SAFETY: the set is what this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    written
}

/// Take a signal that is blocked from those that this thread is still to get, if it is there.
fn take(signal: c_int) {
    // SAFETY: plain memory, which is filled below.
    let mut only: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set is a local.
    unsafe { libc::sigemptyset(&raw mut only) };
    // SAFETY: as above.
    unsafe { libc::sigaddset(&raw mut only, signal) };
    let at_once = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the set and the time are locals; nobody asks what the signal says.
    unsafe { libc::sigtimedwait(&raw const only, ptr::null_mut(), &raw const at_once) };
}

/// The signals that come of writing, to the thread that writes.
const BY_WRITES: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

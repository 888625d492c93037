//! The environment as a setuid program may read it: not at all. Whose process this is, where, and
//! when. And writing without the signals that a write may bring.

use spnego::{policy, trace};
use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::{mem, ptr};

unsafe extern "C" {
    /// As `getenv`, but null when the kernel marked the program as privileged; glibc and musl.
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

/// Have policy and trace see this process as it is: in the plugin and in every other user of this crate,
/// of which one process may have both.
pub fn install() {
    policy::install(variable);
    policy::follow(is_set_to);
    trace::install(unsignalled);
}

/// The value of an environment variable; `None` when unset, and always in a program that runs with
/// more rights than its user (`secure_getenv`).
pub fn variable(name: &str) -> Option<OsString> {
    with_value(name, |value| value.map(OsStr::to_owned))
}

/// Whether a variable has this value now, `None` for none; nothing is copied.
pub fn is_set_to(name: &str, value: Option<&OsStr>) -> bool {
    with_value(name, |now| now == value)
}

/// Look at the value of a variable, of a name of up to [`LONGEST_NAME`] octets.
fn with_value<T>(name: &str, look: impl FnOnce(Option<&OsStr>) -> T) -> T {
    let mut terminated = [0; LONGEST_NAME + 1];
    match terminated.get_mut(..name.len()) {
        Some(room) if name.len() <= LONGEST_NAME => room.copy_from_slice(name.as_bytes()),
        _ => return look(None),
    }
    // SAFETY: the argument is NUL-terminated.
    let value = unsafe { secure_getenv(terminated.as_ptr().cast()) };
    if value.is_null() {
        return look(None);
    }
    // SAFETY: getenv's result is a NUL-terminated string that stays until the variable is changed;
    // it is looked at at once, as by every reader of the environment.
    let value = unsafe { CStr::from_ptr(value) };
    look(Some(OsStr::from_bytes(value.to_bytes())))
}

/// Seconds of the clock by which MIT's glue looks at its configuration once in each: as of the last
/// tick, without a system call.
pub(super) fn wall_seconds() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the out is a local. It fails only for a clock that is not there, and stays zero then.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
    now.tv_sec
}

/// Whose process this is, by its effective user.
pub fn user() -> u32 {
    // SAFETY: it cannot fail.
    unsafe { libc::geteuid() }
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

/// The variable that names the file of NTLM's users, to gss-ntlmssp and to our own NTLM.
pub const NTLM_USERS: &str = "NTLM_USER_FILE";

/// The longest name of a variable that is asked for.
const LONGEST_NAME: usize = 63;

//! Where a panic of this library ends: at the C boundary, as a failure of the call, with an event of
//! the trace. The host program's descriptors see nothing of it.
#![forbid(unsafe_code)]

use spnego::error::Error;
use spnego::trace;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

/// Run what must not unwind into C.
///
/// # Errors
/// `Internal` after a panic, which the trace has by then.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_| told())
}

#[cold]
fn told() -> Error {
    // A thread that is ending has no storage any more.
    let latest = LATEST.try_with(Cell::take).ok().flatten();
    let what = latest.unwrap_or_default();
    // Telling is what may have panicked.
    let _ = catch_unwind(|| trace!(Panicked { what: &what }));
    let _ = LATEST.try_with(Cell::take);
    Error::Internal("a panic was caught at the C boundary")
}

/// Keep panics off the host's descriptors: Rust's own hook, which is this library's alone, prints
/// where and why to descriptor 2, whatever that is there.
pub fn keep_off_descriptors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(note)));
}

fn note(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let why = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let why = why.unwrap_or("no reason");
    let what = format!("{}: {why}", place.unwrap_or_default());
    let _ = LATEST.try_with(|latest| latest.set(Some(what)));
}

thread_local! {
    /// What this thread's last panic said, until it is caught.
    static LATEST: Cell<Option<String>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The hook is the whole process's, so the panic is a child's.
    #[test]
    fn a_panic_is_an_error_and_leaves_the_descriptors_alone() {
        const CHILD: &str = "GSS_SPNEGO_TEST_PANICS";
        if std::env::var_os(CHILD).is_some() {
            keep_off_descriptors();
            let caught = caught(|| -> u32 { panic!("seen by nobody") });
            assert!(matches!(caught, Err(Error::Internal(_))));
            assert_eq!(LATEST.take(), None, "told once");
            return;
        }
        let name = "panics::tests::a_panic_is_an_error_and_leaves_the_descriptors_alone";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&child.stdout);
        let errors = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{out}{errors}");
        assert!(out.contains("1 passed"), "{out}");
        let heard = [&out, &errors].map(|said| said.contains("seen by nobody"));
        assert_eq!(heard, [false, false], "{out}{errors}");
    }
}

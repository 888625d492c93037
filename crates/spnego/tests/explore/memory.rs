//! What a call allocates and keeps, in octets of this thread, by an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a call did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Octets that it left allocated, less those that it freed.
    pub(crate) kept: isize,
    /// The most that it had at once, more than before.
    pub(crate) most: isize,
}

/// Measure a call.
pub(crate) fn measured<T>(call: impl FnOnce() -> T) -> (T, Used) {
    let before = IN_USE.with(Cell::get);
    MOST.with(|most| most.set(before));
    let result = call();
    let used = Used {
        kept: IN_USE.with(Cell::get) - before,
        most: MOST.with(Cell::get) - before,
    };
    (result, used)
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(isize::try_from(layout.size()).unwrap_or(isize::MAX));
        // SAFETY: the caller's promises, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-isize::try_from(layout.size()).unwrap_or(isize::MAX));
        // SAFETY: the caller's promises, which are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A thread that is ending has no storage any more.
fn count(octets: isize) {
    let _ = IN_USE.try_with(|in_use| {
        let now = in_use.get().wrapping_add(octets);
        in_use.set(now);
        let _ = MOST.try_with(|most| most.set(most.get().max(now)));
    });
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

//! The allocator of what C loads.

use std::alloc::{GlobalAlloc, Layout};

/// Memory is C's `malloc`, by contract and not by chance: a token made here is handed to the caller
/// as it is, and the glue releases it with `free`.
#[derive(Debug)]
pub struct Malloc;

/// What `malloc` aligns to on every platform of Linux.
const MALLOC_ALIGNMENT: usize = 16;

// SAFETY: malloc, calloc, realloc and posix_memalign give what GlobalAlloc asks for, and `free`
// takes back what any of them gave.
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGNMENT {
            // SAFETY: any size may be asked for.
            return unsafe { libc::malloc(layout.size()) }.cast();
        }
        let mut memory = std::ptr::null_mut();
        // SAFETY: the result is a local; an alignment over 16 is a power of two and a multiple of
        // a pointer's size.
        let error = unsafe { libc::posix_memalign(&raw mut memory, layout.align(), layout.size()) };
        if error == 0 {
            memory.cast()
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: by contract it came from one of the functions here.
        unsafe { libc::free(memory.cast()) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGNMENT {
            // SAFETY: by contract it came from malloc or realloc.
            return unsafe { libc::realloc(memory.cast(), size) }.cast();
        }
        // SAFETY: alignment and size are those of a valid layout, by contract.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the layout has a size, by contract.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both have at least the smaller size, and are apart.
            unsafe { std::ptr::copy_nonoverlapping(memory, moved, layout.size().min(size)) };
            // SAFETY: the old memory is given back once.
            unsafe { self.dealloc(memory, layout) };
        }
        moved
    }
}

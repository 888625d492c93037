//! A program in Rust that uses the library crates and the system's GSS-API library beside them: what
//! it calls by name is the system's, and its memory is its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use gssapi::sys::{gss_OID_set, gss_indicate_mechs, gss_release_oid_set};
use gssapi::system::{Library, Sessions};
use http::client::{Client, Route};
use http::{Asker, Flags, Version};
use spnego::oid::{KRB5, SPNEGO};

// gssapi.h's functions, which `gssapi::sys` declares, for the linker.
#[link(name = "gssapi_krb5")]
unsafe extern "C" {}

/// The program's allocator. There can be one in a program: it would not compile if a library crate
/// brought another.
struct Counted;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator, counted.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: by contract it came from `alloc`.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

#[test]
fn the_library_crates_leave_a_program_the_systems_functions() {
    let (mut minor, mut mechs): (u32, gss_OID_set) = (0, ptr::null_mut());
    // SAFETY: the results are locals.
    let status = unsafe { gss_indicate_mechs(&raw mut minor, &raw mut mechs) };
    assert_eq!(status, 0, "the plugin's own answer is 0xd0000");
    // SAFETY: the library succeeded: a set of its own.
    let known = unsafe { gssapi::owned::read_oid_set(mechs) };
    // SAFETY: the library's set, released once.
    unsafe { gss_release_oid_set(&raw mut minor, &raw mut mechs) };
    assert!(
        known.contains(&KRB5) && known.contains(&SPNEGO),
        "{known:?}"
    );
}

#[test]
fn the_library_crates_work_beside_the_program_itself() {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let sessions = Sessions::to(
        Library::Mit,
        "HTTP@localhost",
        SPNEGO,
        Flags::MUTUAL,
        None,
        None,
    )
    .expect("MIT's library is here");
    let client = Client::new(Asker::Server, Version::Http1, Route::Direct, sessions);
    assert!(!client.persistent_auth());
    assert_ne!(ALLOCATIONS.load(Ordering::Relaxed), before);
}

#[test]
fn the_program_defines_no_name_of_gssapi() {
    let program = std::env::current_exe().unwrap();
    let listed = Command::new("nm")
        .args(["--defined-only", "--format=posix"])
        .arg(program)
        .output()
        .expect("nm runs");
    let names = String::from_utf8(listed.stdout).unwrap();
    assert!(names.contains("\nmain "), "nm lists the program's names");
    let ours: Vec<&str> = names
        .lines()
        .filter(|name| name.starts_with("gss_") || name.starts_with("gssi_"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

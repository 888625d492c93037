//! Locks in a library: the program that has loaded it may fork while another thread holds one.
#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, TryLockError};

/// A lock that is only ever held for a few instructions, when it is free within a while; a fork at
/// such a moment leaves it locked in the child for good, where it is not waited for.
pub fn held_briefly<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for _ in 0..TRIES {
        match lock.try_lock() {
            Ok(held) => return Some(held),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

/// How often a lock is tried that is held for a few instructions.
const TRIES: u32 = 1000;

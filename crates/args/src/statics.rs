//! OIDs that C may keep for ever, and that nobody may free: each value is made once.

use gssapi::owned;
use gssapi::sys::{gss_OID, gss_OID_desc, gss_OID_set, gss_OID_set_desc};
use spnego::oid::{self, Oid};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A static copy of an OID for C; null when [`MOST`] different ones were asked for already.
pub fn oid(oid: &Oid) -> gss_OID {
    for slot in &SLOTS {
        let held = held(slot).unwrap_or_else(|| fill(slot, oid));
        if held.oid == *oid {
            return (&raw const held.descriptor).cast_mut();
        }
    }
    ptr::null_mut()
}

/// The set of [`oid::NTLMSSP_BEHIND`] alone.
pub fn set_of_ntlm() -> gss_OID_set {
    static SET: OnceLock<Set> = OnceLock::new();
    let set = SET.get_or_init(|| {
        Set(gss_OID_set_desc {
            count: 1,
            elements: oid(&oid::NTLMSSP_BEHIND),
        })
    });
    (&raw const set.0).cast_mut()
}

struct Set(gss_OID_set_desc);

// SAFETY: its member is static, and nobody writes.
unsafe impl Send for Set {}
// SAFETY: as above.
unsafe impl Sync for Set {}

/// Whether the pointer is one that [`oid`] gave out.
pub fn is_ours(pointer: gss_OID) -> bool {
    SLOTS
        .iter()
        .map_while(held)
        .any(|held| ptr::eq(&raw const held.descriptor, pointer))
}

fn held(slot: &AtomicPtr<Static>) -> Option<&'static Static> {
    // SAFETY: a slot is null or holds a box that was whole when it was put there and is never
    // freed.
    unsafe { slot.load(Ordering::Acquire).as_ref() }
}

/// Put a copy into an empty slot, unless another thread was faster; what is there then.
fn fill(slot: &AtomicPtr<Static>, oid: &Oid) -> &'static Static {
    let mut made = Box::new(Static {
        oid: *oid,
        descriptor: owned::describe(oid),
    });
    made.descriptor = owned::describe(&made.oid);
    let made = Box::into_raw(made);
    match slot.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: made above, and never freed from here on.
        Ok(_) => unsafe { &*made },
        Err(first) => {
            // SAFETY: made above and given to nobody.
            drop(unsafe { Box::from_raw(made) });
            // SAFETY: what the other thread put there is whole and never freed.
            unsafe { &*first }
        }
    }
}

/// A value, and the descriptor that points into it: the box never moves.
struct Static {
    oid: Oid,
    descriptor: gss_OID_desc,
}

/// Room for every mechanism and name type that a machine can have configured: a bound, so that no
/// caller can make this grow.
const MOST: usize = 64;

static SLOTS: [AtomicPtr<Static>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];

#[cfg(test)]
mod tests {
    use super::*;
    use spnego::oid;

    #[test]
    fn one_value_has_one_address() {
        assert_eq!(super::oid(&oid::KRB5), super::oid(&oid::KRB5));
        assert_ne!(super::oid(&oid::KRB5), super::oid(&oid::NTLMSSP));
        assert!(is_ours(super::oid(&oid::NTLMSSP)));
        assert!(!is_ours(ptr::null_mut()));
    }
}

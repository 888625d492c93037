//! Values that must not outlive their use or be seen: wiped when dropped, shown as nothing.
#![forbid(unsafe_code)]

use std::fmt;
use zeroize::Zeroize;

/// A secret: no `Debug` of its content, wiped on drop. It is on the heap, since moving it about would
/// leave copies of it on the stack that nobody wipes.
pub struct Secret<T: Zeroize>(Box<T>);

impl<T: Zeroize> Secret<T> {
    /// Take a value into custody: one whose content is on the heap, or one that is not secret yet and
    /// is filled in place.
    pub fn new(value: T) -> Self {
        Self(Box::new(value))
    }

    /// Look at it; what is copied out of here is the borrower's to wipe.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// Change it in place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

//! Values that must not outlive their use or be seen: wiped when dropped, shown as nothing.
#![forbid(unsafe_code)]

use std::fmt;
use zeroize::Zeroize;

/// A secret: no `Debug` of its content, wiped on drop.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Take a value into custody.
    pub fn new(value: T) -> Self {
        Self(value)
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

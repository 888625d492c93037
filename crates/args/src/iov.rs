//! IOV arrays: a caller's entries, changed where they are.

use super::{Octets, Through};
use gssapi::sys::{gss_buffer_desc, gss_iov_buffer_desc};
use spnego::error::Error;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

/// A caller's IOV array; how many entries it has is another argument.
pub type Iov<'a> = Through<'a, gss_iov_buffer_desc>;

impl<'a> Iov<'a> {
    /// The entries.
    ///
    /// # Errors
    /// `CallerMisused` when there is no array for them.
    pub fn entries(self, count: c_int) -> Result<impl Iterator<Item = Entry<'a>>, Error> {
        let count = usize::try_from(count).map_err(|_| NO_IOV)?;
        if self.pointer.is_null() {
            return Err(NO_IOV);
        }
        // SAFETY: gssapi_ext.h: an array of `count` entries, the call's alone while it lasts.
        let entries = unsafe { std::slice::from_raw_parts_mut(self.pointer, count) };
        Ok(entries.iter_mut().map(|descriptor| Entry { descriptor }))
    }
}

const NO_IOV: Error = Error::CallerMisused("there is no IOV array");

/// One entry of an IOV array.
pub struct Entry<'a> {
    descriptor: &'a mut gss_iov_buffer_desc,
}

impl<'a> Entry<'a> {
    /// What it is for: a GSS_IOV_BUFFER_TYPE_* of gssapi_ext.h.
    pub fn kind(&self) -> u32 {
        self.descriptor.type_ & 0xffff
    }

    fn is_to_be_allocated(&self) -> bool {
        self.descriptor.type_ & ALLOCATE != 0
    }

    /// Whether so many octets can be put there.
    pub fn takes(&self, length: usize) -> bool {
        let buffer = &self.descriptor.buffer;
        self.is_to_be_allocated() || (!buffer.value.is_null() && buffer.length >= length)
    }

    /// Put octets there: in memory made for them, which `gss_release_iov_buffer` frees, where the
    /// caller asks for that.
    ///
    /// # Errors
    /// `CallerMisused` when there is no room.
    pub fn put(mut self, octets: &[u8]) -> Result<(), Error> {
        if self.is_to_be_allocated() {
            // No memory for no octets: what a box of none points to is nothing to be freed.
            self.descriptor.buffer.value = ptr::null_mut();
            if !octets.is_empty() {
                let made = Box::into_raw(Box::<[u8]>::from(octets)).cast::<c_void>();
                self.descriptor.buffer.value = made;
                self.descriptor.type_ |= ALLOCATED;
            }
        } else if self.takes(octets.len()) {
            let place = self.descriptor.buffer.value.cast::<u8>();
            // SAFETY: the caller's buffer has room for as many octets, and is not one of ours.
            unsafe { ptr::copy_nonoverlapping(octets.as_ptr(), place, octets.len()) };
        } else {
            return Err(Error::CallerMisused("an entry of the IOV is too short"));
        }
        self.set_length(octets.len());
        Ok(())
    }

    /// Say how many octets it has, or needs.
    pub fn set_length(&mut self, length: usize) {
        self.descriptor.buffer.length = length;
    }

    /// Let it lead to octets that are the caller's already; where the caller asks for memory of its
    /// own, to a copy.
    pub fn point_at(self, octets: &'a mut [u8]) {
        if self.is_to_be_allocated() {
            // There is always room in memory that is made for it.
            let _ = self.put(octets);
            return;
        }
        self.descriptor.buffer = gss_buffer_desc {
            length: octets.len(),
            value: octets.as_mut_ptr().cast::<c_void>(),
        };
    }

    /// The octets there, copied.
    pub fn copied(&self) -> Vec<u8> {
        let descriptor: *const gss_buffer_desc = &raw const self.descriptor.buffer;
        let octets = Octets {
            descriptor: descriptor.cast_mut(),
            caller: PhantomData,
        };
        octets.bytes().to_vec()
    }

    fn range(&self) -> std::ops::Range<usize> {
        let buffer = &self.descriptor.buffer;
        let start = buffer.value.addr();
        let length = if buffer.value.is_null() {
            0
        } else {
            buffer.length
        };
        start..start.saturating_add(length)
    }

    /// For [`octets_of`], which has seen that nobody else has them.
    fn into_octets(self) -> &'a mut [u8] {
        let length = self.range().len();
        if length == 0 || isize::try_from(length).is_err() {
            return &mut [];
        }
        // SAFETY: gssapi_ext.h: the entry's octets are the call's alone while it lasts; no other
        // entry has any of them.
        unsafe { std::slice::from_raw_parts_mut(self.descriptor.buffer.value.cast(), length) }
    }
}

/// The octets of entries, to be changed where they are.
///
/// # Errors
/// `CallerMisused` when two of them share octets.
pub fn octets_of(entries: Vec<Entry<'_>>) -> Result<Vec<&mut [u8]>, Error> {
    let mut ranges: Vec<_> = entries.iter().map(Entry::range).collect();
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let overlap = ranges
        .iter()
        .zip(ranges.iter().skip(1))
        .any(|(one, next)| one.end > next.start);
    if overlap {
        return Err(Error::CallerMisused("two entries of the IOV share octets"));
    }
    Ok(entries.into_iter().map(Entry::into_octets).collect())
}

/// GSS_IOV_BUFFER_FLAG_ALLOCATE and GSS_IOV_BUFFER_FLAG_ALLOCATED of gssapi_ext.h.
const ALLOCATE: u32 = 0x1_0000;
const ALLOCATED: u32 = 0x2_0000;

#[cfg(test)]
mod tests {
    use super::*;

    fn put(octets: &[u8]) -> gss_iov_buffer_desc {
        let mut descriptor = gss_iov_buffer_desc {
            type_: 9 | ALLOCATE,
            buffer: gss_buffer_desc {
                length: 7,
                value: ptr::null_mut(),
            },
        };
        let entry = Entry {
            descriptor: &mut descriptor,
        };
        entry.put(octets).unwrap();
        descriptor
    }

    #[test]
    fn memory_is_allocated_for_octets_and_none_for_no_octets() {
        let none = put(&[]);
        assert!(none.buffer.value.is_null());
        assert_eq!(none.buffer.length, 0);
        assert_eq!(none.type_ & ALLOCATED, 0, "nothing to be freed");

        let some = put(b"padding");
        assert_eq!(some.type_ & ALLOCATED, ALLOCATED);
        assert_eq!(some.buffer.length, 7);
        // SAFETY: allocated by `put`, by the allocator of this library, `malloc`'s; released once.
        unsafe { libc::free(some.buffer.value) };
    }
}

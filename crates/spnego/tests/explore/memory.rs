//! Stand-in until the protocol is a crate of its own.

pub(crate) fn in_use() -> usize {
    0
}

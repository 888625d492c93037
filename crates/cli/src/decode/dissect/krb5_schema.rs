//! How the messages of Kerberos are described: each a SEQUENCE of numbered fields.
#![forbid(unsafe_code)]

/// A message or a part of one: a SEQUENCE of numbered fields.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) fields: &'static [(u8, &'static str, Presence, Kind)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Must,
    May,
}

/// What is in a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A number, and the names of its values.
    Number(&'static [(u64, &'static str)]),
    /// A number that can only be this one.
    Always(u64),
    /// The type of an encryption.
    EncryptionType,
    /// Several of them.
    EncryptionTypes,
    /// A BIT STRING of 32 flags.
    Flags(&'static [(u64, &'static str)]),
    Text,
    Time,
    /// Octets that are an encryption under a key that may come from a password.
    Cipher,
    Octets,
    /// The data of an error.
    ErrorData,
    Part(&'static Schema),
    /// A part with a tag of its own.
    Tagged(u8, &'static Schema),
    /// What is shown as it is.
    Opaque,
}

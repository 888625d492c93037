//! The calls that acquire a credential, or add an element to one.
#![forbid(unsafe_code)]

use super::finding::acquire;
use super::{NO_CREDENTIAL, Shared, roles};
use crate::name::Name;
use crate::telling;
use args::read;
use args::{In, MechIn, MechsIn, Octets, Out, OutHandle, OutOidSet, Status};
use gssapi::mech::{Acquire, Source};
use gssapi::owned::Store;
use gssapi::{Mechglue, call};
use spnego::error::major;
use spnego::oid::{self, Oid};
use spnego::trace;
use std::ffi::c_int;

/// What every acquiring entry point does once its arguments are values.
pub(crate) struct Wanted<'a> {
    pub(crate) name: In<'a, Name>,
    /// Seconds.
    pub(crate) lifetime: u32,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    pub(crate) usage: c_int,
    pub(crate) source: Source<'a>,
}

impl Wanted<'_> {
    /// Acquire a credential for these mechanisms, `None`: for all, and tell of it.
    pub(crate) fn acquire(
        self,
        glue: &'static Mechglue,
        mechs: Option<&[Oid]>,
        mut cred: OutHandle<'_, Shared>,
        mut actual: OutOidSet<'_>,
        mut time_rec: Out<'_, u32>,
    ) -> Status {
        let name = self.name.given()?;
        let how = Acquire {
            name: name.map(|name| name.for_glue(glue)).transpose()?,
            lifetime: self.lifetime,
            usage: self.usage,
            source: self.source,
            asks_lifetime: time_rec.is_wanted(),
        };
        let (mut credential, lifetime) = acquire(glue, mechs, name, how)?;
        if trace::on() {
            credential.source = telling::acquired(&credential.mechs, &how);
        }
        if actual.is_wanted() {
            actual.put(call::oid_set(glue, &[oid::SPNEGO])?);
        }
        time_rec.put(lifetime);
        cred.put(Shared::new(credential));
        Ok(major::COMPLETE)
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.2"
)]
pub(crate) fn acquire_cred(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    lifetime: u32,
    _: MechsIn<'_>,
    usage: c_int,
    cred: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    time_rec: Out<'_, u32>,
) -> Status {
    let wanted = Wanted {
        name,
        lifetime,
        usage,
        source: Source::Store(Store::NONE),
    };
    wanted.acquire(glue, None, cred, actual, time_rec)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_from"
)]
pub(crate) fn acquire_cred_from(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    lifetime: u32,
    _: MechsIn<'_>,
    usage: c_int,
    store: Store<'_>,
    cred: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    time_rec: Out<'_, u32>,
) -> Status {
    let wanted = Wanted {
        name,
        lifetime,
        usage,
        source: Source::Store(store),
    };
    wanted.acquire(glue, None, cred, actual, time_rec)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_with_password"
)]
pub(crate) fn acquire_cred_with_password(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    password: Octets<'_>,
    lifetime: u32,
    _: MechsIn<'_>,
    usage: c_int,
    cred: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    time_rec: Out<'_, u32>,
) -> Status {
    let wanted = Wanted {
        name,
        lifetime,
        usage,
        source: Source::Password(password.bytes()),
    };
    wanted.acquire(glue, None, cred, actual, time_rec)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_impersonate_name"
)]
pub(crate) fn acquire_cred_impersonate_name(
    glue: &'static Mechglue,
    impersonator: In<'_, Shared>,
    name: In<'_, Name>,
    lifetime: u32,
    _: MechsIn<'_>,
    usage: c_int,
    cred: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    time_rec: Out<'_, u32>,
) -> Status {
    let impersonator = read(impersonator.given()?.ok_or(NO_CREDENTIAL)?)?;
    let source = Source::Impersonator(impersonator.of_the_glue()?);
    let wanted = Wanted {
        name,
        lifetime,
        usage,
        source,
    };
    wanted.acquire(glue, Some(&impersonator.mechs), cred, actual, time_rec)
}

/// Add an element to a credential. There is one element for each mechanism, and this mechanism's
/// is there already in a credential of ours (RFC 2744 section 5.3: GSS_S_DUPLICATE_ELEMENT).
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.3"
)]
pub(crate) fn add_cred(
    glue: &'static Mechglue,
    input: In<'_, Shared>,
    name: In<'_, Name>,
    _: MechIn<'_>,
    usage: c_int,
    initiator_lifetime: u32,
    acceptor_lifetime: u32,
    output: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    initiator_time_rec: Out<'_, u32>,
    acceptor_time_rec: Out<'_, u32>,
) -> Status {
    if input.given()?.is_some() || !output.is_wanted() {
        return Ok(major::DUPLICATE_ELEMENT);
    }
    let element = Element {
        name,
        usage,
        source: Source::Store(Store::NONE),
        initiator: (initiator_lifetime, initiator_time_rec),
        acceptor: (acceptor_lifetime, acceptor_time_rec),
    };
    element.acquire(glue, None, output, actual)
}

/// As [`add_cred`], for a name that the impersonator may act for.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_add_cred_impersonate_name"
)]
pub(crate) fn add_cred_impersonate_name(
    glue: &'static Mechglue,
    input: In<'_, Shared>,
    impersonator: In<'_, Shared>,
    name: In<'_, Name>,
    _: MechIn<'_>,
    usage: c_int,
    initiator_lifetime: u32,
    acceptor_lifetime: u32,
    output: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    initiator_time_rec: Out<'_, u32>,
    acceptor_time_rec: Out<'_, u32>,
) -> Status {
    if input.given()?.is_some() || !output.is_wanted() {
        return Ok(major::DUPLICATE_ELEMENT);
    }
    let impersonator = read(impersonator.given()?.ok_or(NO_CREDENTIAL)?)?;
    let element = Element {
        name,
        usage,
        source: Source::Impersonator(impersonator.of_the_glue()?),
        initiator: (initiator_lifetime, initiator_time_rec),
        acceptor: (acceptor_lifetime, acceptor_time_rec),
    };
    element.acquire(glue, Some(&impersonator.mechs), output, actual)
}

/// An element to add: for each role how long it is asked to last, and where the time that it does
/// is told, in seconds.
struct Element<'a> {
    name: In<'a, Name>,
    usage: c_int,
    source: Source<'a>,
    initiator: (u32, Out<'a, u32>),
    acceptor: (u32, Out<'a, u32>),
}

impl Element<'_> {
    fn acquire(
        mut self,
        glue: &'static Mechglue,
        mechs: Option<&[Oid]>,
        cred: OutHandle<'_, Shared>,
        actual: OutOidSet<'_>,
    ) -> Status {
        let (initiates, accepts) = roles(self.usage);
        let wanted = Wanted {
            name: self.name,
            lifetime: if initiates {
                self.initiator.0
            } else {
                self.acceptor.0
            },
            usage: self.usage,
            source: self.source,
        };
        let mut lifetime = 0;
        let status = wanted.acquire(glue, mechs, cred, actual, Out::to(&mut lifetime))?;
        self.initiator.1.put(if initiates { lifetime } else { 0 });
        self.acceptor.1.put(if accepts { lifetime } else { 0 });
        Ok(status)
    }
}

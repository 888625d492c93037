//! Credentials that outlive a process: exported, imported and stored.
#![forbid(unsafe_code)]

use super::{Credential, NO_CREDENTIAL, Shared};
use args::read;
use args::{In, MechIn, Octets, Out, OutHandle, OutOctets, OutOidSet, Status};
use gssapi::mech::{self, Acquire, Source};
use gssapi::owned::{Cred, Name, Store};
use gssapi::sys::GSS_C_INITIATE;
use gssapi::{Mechglue, call};
use spnego::error::{Error, major};
use spnego::oid::{self, Oid};
use std::ffi::c_int;

/// The glue's part, without NTLM: a password's hash is not given away.
pub(crate) fn export_cred(
    _: &'static Mechglue,
    cred: In<'_, Shared>,
    mut token: OutOctets<'_>,
) -> Status {
    let cred = cred.given()?.ok_or(NO_CREDENTIAL)?;
    token.put_buffer(call::export_cred(read(cred)?.of_the_glue()?)?);
    Ok(major::COMPLETE)
}

pub(crate) fn import_cred(
    glue: &'static Mechglue,
    token: Octets<'_>,
    mut cred: OutHandle<'_, Shared>,
) -> Status {
    cred.put(Shared::new(Credential::of_glue(call::import_cred(
        glue,
        token.bytes(),
    )?)?));
    Ok(major::COMPLETE)
}

pub(crate) fn import_cred_by_mech(
    glue: &'static Mechglue,
    _: MechIn<'_>,
    token: Octets<'_>,
    cred: OutHandle<'_, Shared>,
) -> Status {
    import_cred(glue, token, cred)
}

#[expect(clippy::too_many_arguments, reason = "the arguments of RFC 5588")]
pub(crate) fn store_cred(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    usage: c_int,
    mech: MechIn<'_>,
    overwrite: u32,
    make_default: u32,
    stored: OutOidSet<'_>,
    stored_usage: Out<'_, c_int>,
) -> Status {
    store_cred_into(
        glue,
        cred,
        usage,
        mech,
        overwrite,
        make_default,
        Store::NONE,
        stored,
        stored_usage,
    )
}

/// Store each mechanism's part; what could be stored is told, and that none could is an error.
///
/// The glue's store of all elements of a credential stores Kerberos's own before this one, and does
/// not ask what was stored: what is already there is then no error.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_store_cred_into"
)]
pub(crate) fn store_cred_into(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    usage: c_int,
    _: MechIn<'_>,
    overwrite: u32,
    make_default: u32,
    store: Store<'_>,
    mut stored: OutOidSet<'_>,
    mut stored_usage: Out<'_, c_int>,
) -> Status {
    let cred = read(cred.given()?.ok_or(NO_CREDENTIAL)?)?;
    let of_the_glue = cred.of_the_glue()?;
    let mut failures = Vec::new();
    let mut done = Vec::new();
    let apart = cred.users.is_some() || cred.apart.is_some();
    let stored_by_the_glue = |mech: &Oid| *mech != oid::NTLMSSP || !apart;
    for mech in cred.usable.iter().copied().filter(stored_by_the_glue) {
        let (overwrite, make_default) = (overwrite != 0, make_default != 0);
        match call::store_cred(of_the_glue, usage, &mech, overwrite, make_default, store) {
            Ok(now) => {
                stored_usage.put(now);
                done.push(mech);
            }
            Err(Error::Mech { error, .. })
                if error.major == major::DUPLICATE_ELEMENT
                    && mech.is_krb5()
                    && !stored.is_wanted()
                    && is_stored(glue, of_the_glue, &mech, store) =>
            {
                stored_usage.put(usage);
                done.push(mech);
            }
            Err(Error::Mech { error, .. }) => failures.push(error),
            Err(other) => return Err(other),
        }
    }
    if done.is_empty() {
        return Err(Error::NoCred {
            considered: failures,
        });
    }
    if stored.is_wanted() {
        stored.put(call::oid_set(glue, &[oid::SPNEGO])?);
    }
    Ok(major::COMPLETE)
}

/// Whether a store holds a credential of the same name that lasts at least as long.
fn is_stored(glue: &'static Mechglue, cred: &Cred, mech: &Oid, store: Store<'_>) -> bool {
    let stored = |name: &Name| {
        let how = Acquire {
            name: Some(name),
            lifetime: u32::MAX,
            usage: c_int::try_from(GSS_C_INITIATE).unwrap_or_default(),
            source: Source::Store(store),
            asks_lifetime: true,
        };
        mech::acquire(glue, &[*mech], how)
    };
    // The stored one is asked first: what is left grows less from one question to the next.
    let name = call::inquire_cred(cred, true, false).map(|facts| facts.name);
    let Some(Ok(there)) = name.ok().flatten().as_ref().map(stored) else {
        return false;
    };
    call::inquire_cred(cred, false, false).is_ok_and(|facts| facts.lifetime <= there.lifetime)
}

//! What Heimdal 7 asks for in a manner of its own.
#![forbid(unsafe_code)]

use super::credential::{self, NO_CREDENTIAL, Shared};
use super::name::{NO_NAME, Name};
use super::{mechanism, report};
use args::read;
use args::{
    In, InOut, InOutHandle, MechIn, Octets, OidIn, Out, OutHandle, OutOctets, OutOidSet, Status,
};
use gssapi::mech::Source;
use gssapi::sys::GSS_C_MECH_CODE;
use gssapi::{Mechglue, call};
use spnego::error::{Error, Minor, major};
use spnego::oid::{self, Oid};
use std::ffi::c_int;

/// Release a credential of ours; or one of the glue's: a delegated one that the application does
/// not take comes back as we gave it.
pub(super) fn release_cred(glue: &'static Mechglue, mut cred: InOutHandle<'_, Shared>) -> Status {
    match cred.take() {
        Some(ours) => drop(ours),
        None => drop(cred.take_of_glue(glue)),
    }
    Ok(major::COMPLETE)
}

/// Acquire with a secret of a kind; the only kind that is known here is a password.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of Heimdal's gss_acquire_cred_ext"
)]
pub(super) fn acquire_cred_ext(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    kind: OidIn<'_>,
    secret: Octets<'_>,
    lifetime: u32,
    _: MechIn<'_>,
    usage: c_int,
    cred: OutHandle<'_, Shared>,
) -> Status {
    if kind.value() != Some(CRED_PASSWORD) {
        return Ok(major::UNAVAILABLE);
    }
    let wanted = credential::Wanted {
        name,
        lifetime,
        usage,
        source: Source::Password(secret.bytes()),
    };
    let (actual, mut time_rec) = (OutOidSet::nowhere(), 0);
    wanted.acquire(glue, None, cred, actual, Out::to(&mut time_rec))
}

/// An element of an exported credential: the mechanism's identifier, then what the mechanism wrote,
/// each after its length. The glue strings the elements together as they are, and takes them apart
/// by these lengths.
pub(super) fn export_cred(
    _: &'static Mechglue,
    cred: In<'_, Shared>,
    mut token: OutOctets<'_>,
) -> Status {
    let cred = cred.given()?.ok_or(NO_CREDENTIAL)?;
    let content = call::export_cred(read(cred)?.of_the_glue()?)?;
    let mut element = Vec::new();
    for part in [oid::SPNEGO.content(), content.as_ref()] {
        let length = u32::try_from(part.len())
            .map_err(|_| Error::Internal("the exported credential is too long"))?;
        element.extend_from_slice(&length.to_be_bytes());
        element.extend_from_slice(part);
    }
    token.put(element);
    Ok(major::COMPLETE)
}

/// The glue hands in the element without the mechanism's identifier and without lengths.
pub(super) fn import_cred(
    glue: &'static Mechglue,
    token: Octets<'_>,
    cred: OutHandle<'_, Shared>,
) -> Status {
    credential::import_cred(glue, token, cred)
}

/// A name becomes canonical in the mechanism that is negotiated; before that it stays what it is.
pub(super) fn canonicalize_name(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    _: MechIn<'_>,
    mut canonical: OutHandle<'_, Name>,
) -> Status {
    canonical.put(name.given()?.ok_or(NO_NAME)?.duplicate(glue)?);
    Ok(major::COMPLETE)
}

/// Asked for with the list of mechanisms locked: a failure has no words.
pub(super) fn inquire_names_for_mech(
    glue: &'static Mechglue,
    mech: MechIn<'_>,
    kinds: OutOidSet<'_>,
) -> Status {
    mechanism::inquire_names_for_mech(glue, mech, kinds).or(Ok(major::FAILURE))
}

pub(super) fn inquire_mechs_for_name(
    glue: &'static Mechglue,
    _: In<'_, Name>,
    mut mechs: OutOidSet<'_>,
) -> Status {
    mechs.put(call::oid_set(glue, &[oid::SPNEGO])?);
    Ok(major::COMPLETE)
}

/// The glue asks once, right after a failure, with a position it has not set, and keeps the answer:
/// all sentences are one text. The words for a major status are its own.
pub(super) fn display_status(
    _: &'static Mechglue,
    code: u32,
    kind: c_int,
    _: MechIn<'_>,
    mut position: InOut<'_, u32>,
    mut text: OutOctets<'_>,
) -> Status {
    position.put(0);
    let minor = Minor::from_code(code).filter(|_| u32::try_from(kind) == Ok(GSS_C_MECH_CODE));
    let Some(minor) = minor else {
        return Ok(mechanism::BAD_STATUS);
    };
    text.put_text(report::all_sentences(minor));
    Ok(major::COMPLETE)
}

/// GSS_C_CRED_PASSWORD of Heimdal, 1.2.752.43.13.200.
const CRED_PASSWORD: Oid = Oid::known([0x2a, 0x85, 0x70, 0x2b, 0x0d, 0x81, 0x48]);

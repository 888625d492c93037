//! SPNEGO as a mechanism: what it is, what it is called, and why it failed.
#![forbid(unsafe_code)]

use super::report;
use args::{Argument, InOut, MechIn, Octets, OutOctets, OutOid, OutOidSet, Status};
use gssapi::sys::GSS_C_MECH_CODE;
use gssapi::{Mechglue, behind, call};
use spnego::error::{Minor, major};
use spnego::oid::{self, Oid};
use std::ffi::c_int;

pub(super) fn indicate_mechs(glue: &'static Mechglue, mut mechs: OutOidSet<'_>) -> Status {
    mechs.put(call::oid_set(glue, &[oid::SPNEGO])?);
    Ok(major::COMPLETE)
}

/// The name types that any of the mechanisms behind takes.
pub(super) fn inquire_names_for_mech(
    glue: &'static Mechglue,
    _: MechIn<'_>,
    mut kinds: OutOidSet<'_>,
) -> Status {
    kinds.put(call::oid_set(glue, &NAME_TYPES)?);
    Ok(major::COMPLETE)
}

/// RFC 5587: a negotiation mechanism whose initial token is framed. Asked for in nearly every
/// acquisition of default credentials, so answered from memory. Which attributes are known at all
/// the glue adds itself.
pub(super) fn inquire_attrs_for_mech(
    glue: &'static Mechglue,
    _: MechIn<'_>,
    mut attributes: OutOidSet<'_>,
    _: OutOidSet<'_>,
) -> Status {
    if attributes.is_wanted() {
        attributes.put(call::oid_set(glue, &ATTRIBUTES)?);
    }
    Ok(major::COMPLETE)
}

/// The SASL name is that of MIT's and Heimdal's SPNEGO, though RFC 5801 section 14 keeps SPNEGO
/// out of GS2.
pub(super) fn inquire_saslname_for_mech(
    _: &'static Mechglue,
    mech: MechIn<'_>,
    mut sasl_name: OutOctets<'_>,
    mut mech_name: OutOctets<'_>,
    mut description: OutOctets<'_>,
) -> Status {
    if mech.value().is_some_and(|mech| mech != oid::SPNEGO) {
        return Ok(major::BAD_MECH);
    }
    sasl_name.put_text(SASL_NAME);
    mech_name.put_text("spnego");
    description.put_text("Simple and Protected GSS-API Negotiation Mechanism");
    Ok(major::COMPLETE)
}

pub(super) fn inquire_mech_for_saslname(
    _: &'static Mechglue,
    sasl_name: Octets<'_>,
    mut mech: OutOid<'_>,
) -> Status {
    if sasl_name.bytes() != SASL_NAME {
        return Ok(major::BAD_MECH);
    }
    mech.put(&oid::SPNEGO);
    Ok(major::COMPLETE)
}

/// The sentences of a minor code, one for each call: `message_context` is the position of the next.
pub(super) fn display_status(
    glue: &'static Mechglue,
    code: u32,
    kind: c_int,
    mech: MechIn<'_>,
    mut position: InOut<'_, u32>,
    mut text: OutOctets<'_>,
) -> Status {
    if u32::try_from(kind) != Ok(GSS_C_MECH_CODE) {
        position.put(0);
        return Ok(BAD_STATUS);
    }
    let at = position.read().unwrap_or_default();
    if mech.is_bare() {
        let mut next = at;
        let said = behind::words(glue, code, &mut next);
        position.put(if said.is_some() { next } else { 0 });
        match said {
            Some(said) => text.put_buffer(said),
            None => text.put_text(format!("NTLMSSP's error code {code:#x}")),
        }
        return Ok(major::COMPLETE);
    }
    let (sentence, more) = match (code, Minor::from_code(code)) {
        (0, _) => ("no error".to_owned(), false),
        (_, Some(minor)) => report::sentence(minor, usize::try_from(at).unwrap_or_default()),
        (_, None) => (format!("gss-spnego has no error code {code:#x}"), false),
    };
    position.put(if more { at.saturating_add(1) } else { 0 });
    text.put_text(sentence);
    Ok(major::COMPLETE)
}

/// GSS_S_BAD_STATUS of RFC 2744.
pub(super) const BAD_STATUS: u32 = 5 << 16;

const SASL_NAME: &[u8] = b"SPNEGO";

/// GSS_C_MA_MECH_NEGO and GSS_C_MA_ITOK_FRAMED, 1.3.6.1.5.5.13.{4,9}.
const ATTRIBUTES: [Oid; 2] = [
    Oid::known([0x2b, 6, 1, 5, 5, 13, 4]),
    Oid::known([0x2b, 6, 1, 5, 5, 13, 9]),
];

/// GSS_C_NT_USER_NAME, GSS_C_NT_MACHINE_UID_NAME, GSS_C_NT_STRING_UID_NAME (RFC 2744 appendix A,
/// 1.2.840.113554.1.2.1.{1,2,3}) and GSS_C_NT_HOSTBASED_SERVICE (1.2.840.113554.1.2.1.4).
const NAME_TYPES: [Oid; 4] = [
    Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 1]),
    Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 2]),
    Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 3]),
    Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 4]),
];

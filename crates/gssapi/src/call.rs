//! Calls of the glue on names, credentials and contexts, as safe functions: owners in, owners out.
//! A failure is taken down in the glue's own words.

use super::context::{Established, Standing};
use super::mech::failed;
use super::owned::{
    Buffer, BufferSet, Cred, LentBuffer, LentCred, LentOid, Name, OidSet, Store, read_oid,
};
use super::{Mechglue, behind};
use crate::sys::*;
use spnego::error::{Error, Major, major};
use spnego::oid::{self, Oid};
use std::ffi::{c_int, c_void};
use std::ptr;

/// What a call's status means: the status itself, or the failure in the mechanism's words.
///
/// # Errors
/// `Mech`, for every status with an error in it.
pub fn outcome(
    glue: &'static Mechglue,
    mech: &Oid,
    status: Major,
    minor: u32,
) -> Result<Major, Error> {
    if !is_failure(status) {
        return Ok(status);
    }
    Err(failure(glue, mech, status, minor))
}

/// The failure that a status with an error in it means, in the mechanism's words.
pub fn failure(glue: &'static Mechglue, mech: &Oid, status: Major, minor: u32) -> Error {
    Error::Mech {
        error: failed(glue, mech, status, minor),
        considered: Vec::new(),
    }
}

/// Have Heimdal take down the words for a failure of ours, by asking us for them.
pub fn note_failure(glue: &'static Mechglue, status: Major, minor: u32) {
    collect_error(glue, &oid::SPNEGO, status, minor);
}

/// Have Heimdal ask a mechanism for the words for its failure: its `gss_display_status` has only
/// what it asked for before, and after most calls it does not ask. MIT's asks when it needs them.
pub(super) fn collect_error(glue: &'static Mechglue, mech: &Oid, status: Major, minor: u32) {
    type CollectError = unsafe extern "C" fn(gss_OID, u32, u32);
    if !glue.is_heimdal() {
        return;
    }
    let found = glue.find(c"gss_mg_collect_error");
    if found.is_null() {
        return;
    }
    let mut lent = LentOid::new(mech);
    // SAFETY: Heimdal exports this name with this prototype; a function pointer is one pointer
    // wide.
    let collect = unsafe { std::mem::transmute::<*mut c_void, CollectError>(found) };
    // SAFETY: the mech is lent for the call, which keeps a pointer to the mechanism's own
    // identifier.
    unsafe { collect(lent.raw(), status, minor) };
}

/// Whether a status has an error in it, and not only supplementary information.
pub const fn is_failure(status: Major) -> bool {
    status & major::ERRORS != 0
}

/// An owner of what a call returned, or its failure.
fn owned<T>(
    glue: &'static Mechglue,
    status: Major,
    minor: u32,
    returned: Option<T>,
) -> Result<T, Error> {
    outcome(glue, &oid::KRB5, status, minor)?;
    returned.ok_or_else(nothing_returned)
}

#[cold]
fn nothing_returned() -> Error {
    Error::Internal("the mechglue reported success and returned nothing")
}

/// GSS_Import_name. A name without a type is the default form of RFC 2743 section 4.
pub fn import_name(
    glue: &'static Mechglue,
    text: &[u8],
    kind: Option<&Oid>,
) -> Result<Name, Error> {
    let mut lent = LentBuffer::new(text);
    let mut kind = kind.map(LentOid::new);
    let (mut minor, mut name) = (0, ptr::null_mut());
    // SAFETY: text and type are lent for the call, the result is a local.
    let status = unsafe {
        glue.gss_import_name(
            &raw mut minor,
            lent.raw(),
            kind.as_mut().map_or(ptr::null_mut(), LentOid::raw),
            &raw mut name,
        )
    };
    owned(glue, status, minor, Name::take(glue, name))
}

/// GSS_Duplicate_name.
pub fn duplicate_name(glue: &'static Mechglue, name: &Name) -> Result<Name, Error> {
    let (mut minor, mut copy) = (0, ptr::null_mut());
    // SAFETY: the name is alive, the result a local.
    let status = unsafe { glue.gss_duplicate_name(&raw mut minor, name.raw(), &raw mut copy) };
    owned(glue, status, minor, Name::take(glue, copy))
}

/// GSS_Display_name: the text and its type.
pub fn display_name(glue: &'static Mechglue, name: &Name) -> Result<(Buffer, Option<Oid>), Error> {
    let mut text = Buffer::empty(glue);
    let (mut minor, mut kind) = (0, ptr::null_mut());
    // SAFETY: the name is alive, the outs are locals.
    let status =
        unsafe { glue.gss_display_name(&raw mut minor, name.raw(), text.out(), &raw mut kind) };
    outcome(glue, &oid::KRB5, status, minor)?;
    // SAFETY: null, or an OID that is valid at least as long as the name.
    Ok((text, unsafe { read_oid(kind) }))
}

/// GSS_Compare_name.
pub fn compare_name(glue: &'static Mechglue, one: &Name, other: &Name) -> Result<bool, Error> {
    let (mut minor, mut equal) = (0, 0);
    // SAFETY: both names are alive, the result a local.
    let status =
        unsafe { glue.gss_compare_name(&raw mut minor, one.raw(), other.raw(), &raw mut equal) };
    outcome(glue, &oid::KRB5, status, minor)?;
    Ok(equal != 0)
}

/// gss_localname, for the mechanism that the name itself belongs to.
pub fn localname(glue: &'static Mechglue, name: &Name) -> Result<Buffer, Error> {
    let mut account = Buffer::empty(glue);
    let mut minor = 0;
    // SAFETY: the name is alive, the result a local; MIT takes a null mech here.
    let status =
        unsafe { glue.gss_localname(&raw mut minor, name.raw(), ptr::null_mut(), account.out()) };
    outcome(glue, &oid::KRB5, status, minor)?;
    Ok(account)
}

/// gss_authorize_localname.
pub fn authorize_localname(
    glue: &'static Mechglue,
    name: &Name,
    user: &Name,
) -> Result<Major, Error> {
    let mut minor = 0;
    // SAFETY: both names are alive.
    let status = unsafe { glue.gss_authorize_localname(&raw mut minor, name.raw(), user.raw()) };
    outcome(glue, &oid::KRB5, status, minor)
}

/// What GSS_Inquire_cred tells.
pub struct CredFacts {
    /// The principal.
    pub name: Option<Name>,
    /// Seconds left.
    pub lifetime: u32,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    pub usage: c_int,
    /// The mechanisms that it has elements of.
    pub mechs: Option<OidSet>,
}

/// GSS_Inquire_cred. What is not wanted is not asked for: a name costs a Kerberos context.
pub fn inquire_cred(cred: &Cred, wants_name: bool, wants_mechs: bool) -> Result<CredFacts, Error> {
    inquire_lent(
        cred.glue(),
        LentCred::new(Some(cred)),
        wants_name,
        wants_mechs,
    )
}

/// The same of a credential that need not be ours.
pub(crate) fn inquire_lent(
    glue: &'static Mechglue,
    cred: LentCred<'_>,
    wants_name: bool,
    wants_mechs: bool,
) -> Result<CredFacts, Error> {
    let (mut minor, mut lifetime, mut usage) = (0, 0, 0);
    let (mut name, mut mechs) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the credential is alive, the outs are locals or null.
    let status = unsafe {
        glue.gss_inquire_cred(
            &raw mut minor,
            cred.raw(),
            if wants_name {
                &raw mut name
            } else {
                ptr::null_mut()
            },
            &raw mut lifetime,
            &raw mut usage,
            if wants_mechs {
                &raw mut mechs
            } else {
                ptr::null_mut()
            },
        )
    };
    let (name, mechs) = (Name::take(glue, name), OidSet::take(glue, mechs));
    outcome(glue, &oid::KRB5, status, minor)?;
    Ok(CredFacts {
        name,
        lifetime,
        usage,
        mechs,
    })
}

/// GSS_Export_cred (RFC draft; MIT 1.11).
pub fn export_cred(cred: &Cred) -> Result<Buffer, Error> {
    let glue = cred.glue();
    let mut token = Buffer::empty(glue);
    let mut minor = 0;
    // SAFETY: the credential is alive, the result a local.
    let status = unsafe { glue.gss_export_cred(&raw mut minor, cred.raw(), token.out()) };
    outcome(glue, &oid::KRB5, status, minor)?;
    Ok(token)
}

/// GSS_Import_cred.
pub fn import_cred(glue: &'static Mechglue, token: &[u8]) -> Result<Cred, Error> {
    let mut lent = LentBuffer::new(token);
    let (mut minor, mut cred) = (0, ptr::null_mut());
    // SAFETY: the token is lent for the call, the result a local.
    let status = unsafe { glue.gss_import_cred(&raw mut minor, lent.raw(), &raw mut cred) };
    owned(glue, status, minor, Cred::take(glue, cred))
}

/// gss_set_cred_option on a credential, which the mechanism may replace by another.
pub fn change_cred(cred: &mut Cred, option: &Oid, value: &[u8]) -> Result<Major, Error> {
    let glue = cred.glue();
    let mut handle = cred.raw();
    let (status, minor) = set_cred_option(glue, &mut handle, option, value);
    cred.adopt(handle);
    outcome(glue, &oid::KRB5, status, minor)
}

/// gss_set_cred_option without a credential: the mechanism may make one.
pub fn make_cred(
    glue: &'static Mechglue,
    option: &Oid,
    value: &[u8],
) -> Result<Option<Cred>, Error> {
    let mut handle = ptr::null_mut();
    let (status, minor) = set_cred_option(glue, &mut handle, option, value);
    let made = Cred::take(glue, handle);
    outcome(glue, &oid::KRB5, status, minor).map(|_| made)
}

fn set_cred_option(
    glue: &'static Mechglue,
    handle: &mut gss_cred_id_t,
    option: &Oid,
    value: &[u8],
) -> (Major, u32) {
    let (mut lent_option, mut lent) = (LentOid::new(option), LentBuffer::new(value));
    let mut minor = 0;
    // SAFETY: the handle is null or this glue's, option and value are lent for the call.
    let status =
        unsafe { glue.gss_set_cred_option(&raw mut minor, handle, lent_option.raw(), lent.raw()) };
    (status, minor)
}

/// gss_store_cred_into, or gss_store_cred without a store: the usage that was stored.
pub fn store_cred(
    cred: &Cred,
    usage: c_int,
    mech: &Oid,
    overwrite: bool,
    make_default: bool,
    store: Store<'_>,
) -> Result<c_int, Error> {
    let glue = cred.glue();
    let mut lent = LentOid::new(behind::address(glue, mech));
    let (mut minor, mut mechs, mut stored_usage) = (0, ptr::null_mut(), 0);
    let (overwrite, make_default) = (u32::from(overwrite), u32::from(make_default));
    let status = if store.is_given() {
        // SAFETY: the credential is alive, mech and store are lent for the call, outs are locals.
        unsafe {
            glue.gss_store_cred_into(
                &raw mut minor,
                cred.raw(),
                usage,
                lent.raw(),
                overwrite,
                make_default,
                store.raw(),
                &raw mut mechs,
                &raw mut stored_usage,
            )
        }
    } else {
        // SAFETY: as above.
        unsafe {
            glue.gss_store_cred(
                &raw mut minor,
                cred.raw(),
                usage,
                lent.raw(),
                overwrite,
                make_default,
                &raw mut mechs,
                &raw mut stored_usage,
            )
        }
    };
    drop(OidSet::take(glue, mechs));
    outcome(glue, mech, status, minor)?;
    Ok(stored_usage)
}

/// What GSS_Inquire_context tells of an inner context.
#[derive(Default)]
pub struct ContextFacts {
    /// The initiator.
    pub source: Option<Name>,
    /// The acceptor.
    pub target: Option<Name>,
    /// Seconds left.
    pub lifetime: u32,
    /// The mechanism.
    pub mech: Option<Oid>,
    /// In the bits of RFC 2744.
    pub flags: u32,
    /// Whether this side is the initiator.
    pub locally_initiated: bool,
}

/// GSS_Inquire_context. Names that are not wanted are not asked for: they are dear, and gss-ntlmssp
/// 1.2 crashes when asked for the target of an acceptor's context.
pub fn inquire_context(
    context: &Established,
    wants_source: bool,
    wants_target: bool,
) -> Result<ContextFacts, Error> {
    let glue = context.glue();
    let (mut minor, mut lifetime, mut flags, mut local) = (0, 0, 0, 0);
    let (mut source, mut target) = (ptr::null_mut(), ptr::null_mut());
    let mut mech = ptr::null_mut();
    // SAFETY: the context is alive, the outs are locals or null.
    let status = unsafe {
        glue.gss_inquire_context(
            &raw mut minor,
            context.raw(),
            if wants_source {
                &raw mut source
            } else {
                ptr::null_mut()
            },
            if wants_target {
                &raw mut target
            } else {
                ptr::null_mut()
            },
            &raw mut lifetime,
            &raw mut mech,
            &raw mut flags,
            &raw mut local,
            ptr::null_mut(),
        )
    };
    let (source, target) = (Name::take(glue, source), Name::take(glue, target));
    outcome(glue, &oid::KRB5, status, minor)?;
    // SAFETY: null, or an OID that the glue keeps for ever.
    let mech = unsafe { read_oid(mech) };
    Ok(ContextFacts {
        source,
        target,
        lifetime,
        mech,
        flags,
        locally_initiated: local != 0,
    })
}

/// gss_set_sec_context_option on a context that is established; the option may not replace it.
pub fn set_context_option(
    context: &Established,
    option: &Oid,
    value: &[u8],
) -> Result<Major, Error> {
    let (mut lent_option, mut lent) = (LentOid::new(option), LentBuffer::new(value));
    let (mut minor, mut handle) = (0, context.raw());
    // SAFETY: the context is alive, option and value are lent for the call.
    let status = unsafe {
        context.glue().gss_set_sec_context_option(
            &raw mut minor,
            &raw mut handle,
            lent_option.raw(),
            lent.raw(),
        )
    };
    outcome(context.glue(), &oid::KRB5, status, minor)
}

/// gss_inquire_sec_context_by_oid: copies of the buffers of the answer.
pub(crate) fn ask_context(context: Standing<'_>, question: &Oid) -> Result<Vec<Vec<u8>>, Error> {
    let glue = context.glue();
    let mut lent = LentOid::new(question);
    let (mut minor, mut answer) = (0, ptr::null_mut());
    // SAFETY: the context is alive, the question lent for the call, the answer a local.
    let status = unsafe {
        glue.gss_inquire_sec_context_by_oid(
            &raw mut minor,
            context.raw(),
            lent.raw(),
            &raw mut answer,
        )
    };
    let answer = BufferSet::take(glue, answer);
    outcome(glue, &oid::KRB5, status, minor)?;
    Ok(answer.map(|set| set.members()).unwrap_or_default())
}

/// GSS_Export_sec_context: the context is given up, also on failure where the mechanism says so.
pub fn export_context(context: Established) -> (Result<Buffer, Error>, Option<Established>) {
    let glue = context.glue();
    let mut token = Buffer::empty(glue);
    let (mut minor, mut handle) = (0, context.into_raw());
    // SAFETY: the handle is this glue's; what is left of it is owned again.
    let status =
        unsafe { glue.gss_export_sec_context(&raw mut minor, &raw mut handle, token.out()) };
    let left = Established::taken(glue, handle);
    (
        outcome(glue, &oid::KRB5, status, minor).map(|_| token),
        left,
    )
}

/// GSS_Import_sec_context.
pub fn import_context(glue: &'static Mechglue, token: &[u8]) -> Result<Established, Error> {
    let mut lent = LentBuffer::new(token);
    let (mut minor, mut context) = (0, ptr::null_mut());
    // SAFETY: the token is lent for the call, the result a local.
    let status =
        unsafe { glue.gss_import_sec_context(&raw mut minor, lent.raw(), &raw mut context) };
    owned(glue, status, minor, Established::taken(glue, context))
}

/// A set of OIDs made by the glue, which its caller will release.
pub fn oid_set(glue: &'static Mechglue, members: &[Oid]) -> Result<OidSet, Error> {
    let (mut minor, mut set) = (0, ptr::null_mut());
    // SAFETY: the result is a local. Allowed under the glue's locks.
    let status = unsafe { glue.gss_create_empty_oid_set(&raw mut minor, &raw mut set) };
    let made = OidSet::take(glue, set);
    if status != major::COMPLETE {
        return Err(Error::Internal("out of memory"));
    }
    let made = made.ok_or(Error::Internal("out of memory"))?;
    for member in members {
        let mut lent = LentOid::new(member);
        let mut set = made.raw();
        // SAFETY: the member is lent and copied, the set is alive and stays where it is.
        let status =
            unsafe { glue.gss_add_oid_set_member(&raw mut minor, lent.raw(), &raw mut set) };
        if status != major::COMPLETE {
            return Err(Error::Internal("out of memory"));
        }
    }
    Ok(made)
}

/// A set of buffers made by the glue, which its caller will release.
pub fn buffer_set(
    glue: &'static Mechglue,
    members: &[impl AsRef<[u8]>],
) -> Result<BufferSet, Error> {
    let (mut minor, mut set) = (0, ptr::null_mut());
    // SAFETY: the result is a local.
    let status = unsafe { glue.gss_create_empty_buffer_set(&raw mut minor, &raw mut set) };
    let made = BufferSet::take(glue, set).filter(|_| status == major::COMPLETE);
    let made = made.ok_or(Error::Internal("out of memory"))?;
    for member in members {
        let (mut lent, mut set) = (LentBuffer::new(member.as_ref()), made.raw());
        // SAFETY: the member is lent and copied, the set is alive and stays where it is.
        let status =
            unsafe { glue.gss_add_buffer_set_member(&raw mut minor, lent.raw(), &raw mut set) };
        if status != major::COMPLETE {
            return Err(Error::Internal("out of memory"));
        }
    }
    Ok(made)
}

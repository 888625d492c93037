//! Names: kept as they were given until a mechanism needs them, because the glue imports the
//! target of every call into us and throws it away again.
#![forbid(unsafe_code)]

use args::{In, MechIn, Octets, OidIn, Out, OutHandle, OutOctets, OutOid, Status};
use gssapi::{Mechglue, call, owned};
use ntlm::UserName;
use spnego::error::{Error, major};
use spnego::oid::{self, Oid};
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::OnceLock;

/// A name of ours.
pub(crate) enum Name {
    /// As the application gave it, and what the glue made of it at the first need.
    Given(Given, OnceLock<owned::Name>),
    /// One that the glue made.
    OfGlue(owned::Name),
    /// What another name of ours is to the glue for us: the glue imports a name into every mechanism
    /// it has, us as well, and may ask each of them afterwards. This one knows nothing.
    Shadow,
}

/// A name as the application gave it.
#[derive(Clone)]
pub(crate) struct Given {
    text: Vec<u8>,
    kind: Option<Oid>,
    /// The user, when our own NTLM found out that it is one; apart, since most names are none.
    user: Option<Box<UserName>>,
}

impl Name {
    /// A name that the glue made.
    pub(crate) fn of_glue(name: owned::Name) -> Self {
        Self::OfGlue(name)
    }

    /// A user whom our own NTLM has found out: `DOMAIN\user`, as gss-ntlmssp shows it.
    pub(crate) fn of_user(user: &UserName) -> Self {
        let given = Given {
            text: user.to_string().into_bytes(),
            kind: Some(oid::USER_NAME),
            user: Some(Box::new(user.clone())),
        };
        Self::Given(given, OnceLock::new())
    }

    /// A service by its principal name without a realm: `HTTP/www.example.org`.
    pub(crate) fn of_service(principal: &str) -> Self {
        match principal.split_once('/') {
            Some((service, host)) => {
                let text = format!("{service}@{host}");
                Self::new(text.as_bytes(), Some(HOSTBASED_SERVICE))
            }
            None => Self::new(principal.as_bytes(), Some(oid::USER_NAME)),
        }
    }

    fn new(text: &[u8], kind: Option<Oid>) -> Self {
        let given = Given {
            text: text.to_vec(),
            kind,
            user: None,
        };
        Self::Given(given, OnceLock::new())
    }

    /// The name as the application gave it, if it did.
    fn given(&self) -> Option<&Given> {
        match self {
            Self::Given(given, _) => Some(given),
            Self::OfGlue(_) | Self::Shadow => None,
        }
    }

    /// The user of our own NTLM that this name is known to be.
    fn user(&self) -> Option<&UserName> {
        self.given()?.user.as_deref()
    }

    /// The mechanism that failures of a call with this name are named after; the glue finds its
    /// sentence by the code alone.
    pub(super) fn mech(&self) -> Oid {
        if self.user().is_some() {
            oid::NTLMSSP
        } else {
            oid::KRB5
        }
    }

    /// Whether two names are of the same user, if one is known to be a user of our own NTLM. The
    /// other may be that too, or a name as it was given, read from a list of exported ones for
    /// example; a name of another mechanism's is none, whatever it is shown as.
    fn same_user(&self, other: &Self) -> Option<bool> {
        let (known, other) = match (self.user(), other.user()) {
            (Some(one), Some(other)) => return Some(one == other),
            (Some(known), None) => (known, other),
            (None, Some(known)) => (known, self),
            (None, None) => return None,
        };
        let given = other.given();
        Some(given.is_some_and(|given| {
            !is_service(given.kind)
                && std::str::from_utf8(&given.text).is_ok_and(|text| text == known.to_string())
        }))
    }

    /// The name's text and type, without the glue's help where it was given as text.
    fn shown(&self, glue: &'static Mechglue) -> Result<(String, Option<Oid>), Error> {
        if let Some(given) = self.given() {
            let text = String::from_utf8_lossy(&given.text).into_owned();
            return Ok((text, given.kind));
        }
        let (text, kind) = call::display_name(glue, self.for_glue(glue)?)?;
        Ok((text.text(), kind))
    }

    /// The name as text, if it can be had.
    pub(super) fn text(&self, glue: &'static Mechglue) -> Option<String> {
        self.shown(glue).ok().map(|(text, _)| text)
    }

    /// The user that NTLM understands by this name: `DOMAIN\user`, `user` or `user@domain`; a
    /// service is no user.
    ///
    /// # Errors
    /// What the glue says of the name.
    pub(crate) fn as_user(&self, glue: &'static Mechglue) -> Result<Option<UserName>, Error> {
        if let Some(user) = self.user() {
            return Ok(Some(user.clone()));
        }
        let (text, kind) = self.shown(glue)?;
        Ok((!is_service(kind)).then(|| UserName::parse(&text)))
    }

    /// The service principal name that NTLM understands by this name: `HTTP/www.example.org`.
    ///
    /// # Errors
    /// What the glue says of the name.
    pub(crate) fn as_service(&self, glue: &'static Mechglue) -> Result<String, Error> {
        let (text, kind) = self.shown(glue)?;
        if is_service(kind) {
            return Ok(text.replacen('@', "/", 1));
        }
        // A principal of Kerberos has its realm at the end.
        let principal = text
            .rsplit_once('@')
            .filter(|(front, _)| front.contains('/'));
        Ok(principal
            .map_or(text.as_str(), |(front, _)| front)
            .to_owned())
    }

    /// The name as one of the glue's, imported on first need.
    ///
    /// # Errors
    /// What the glue says of it.
    pub(crate) fn for_glue(&self, glue: &'static Mechglue) -> Result<&owned::Name, Error> {
        let (given, kept) = match self {
            Self::Given(given, kept) => (given, kept),
            Self::OfGlue(name) => return Ok(name),
            Self::Shadow => return Err(SHADOW),
        };
        if let Some(name) = kept.get() {
            return Ok(name);
        }
        let made = given.import(glue)?;
        Ok(kept.get_or_init(|| made))
    }

    /// A copy as one of the glue's, for a context to keep: nothing is kept here for a name that is
    /// released after one call.
    ///
    /// # Errors
    /// What the glue says of it.
    pub(crate) fn copy_for_glue(&self, glue: &'static Mechglue) -> Result<owned::Name, Error> {
        match self {
            Self::Given(given, kept) if kept.get().is_none() => given.import(glue),
            _ => call::duplicate_name(glue, self.for_glue(glue)?),
        }
    }

    /// A copy, with what was done to the glue's own copy.
    ///
    /// # Errors
    /// What the glue says of it.
    pub(super) fn duplicate(&self, glue: &'static Mechglue) -> Result<Self, Error> {
        match self {
            // What was done to the glue's copy (attributes) has to come along.
            Self::Given(given, kept) if kept.get().is_none() || given.user.is_some() => {
                Ok(Self::Given(given.clone(), OnceLock::new()))
            }
            Self::Shadow => Ok(Self::Shadow),
            _ => {
                let copy = call::duplicate_name(glue, self.for_glue(glue)?)?;
                Ok(Self::of_glue(copy))
            }
        }
    }
}

impl Given {
    fn import(&self, glue: &'static Mechglue) -> Result<owned::Name, Error> {
        let _importing = Importing::begin();
        call::import_name(glue, &self.text, self.kind.as_ref())
    }
}

thread_local! {
    static IMPORTING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, the glue is importing a name of ours.
struct Importing;

impl Importing {
    fn begin() -> Self {
        IMPORTING.set(true);
        Self
    }
}

impl Drop for Importing {
    fn drop(&mut self) {
        IMPORTING.set(false);
    }
}

pub(super) fn import_name(
    _: &'static Mechglue,
    text: Octets<'_>,
    kind: OidIn<'_>,
    mut name: OutHandle<'_, Name>,
) -> Status {
    let kind = kind.value();
    name.put(if IMPORTING.get() {
        Name::Shadow
    } else if kind == Some(EXPORT_NAME) {
        Name::new(content(text.bytes())?, None)
    } else {
        Name::new(text.bytes(), kind)
    });
    Ok(major::COMPLETE)
}

pub(super) fn import_name_by_mech(
    glue: &'static Mechglue,
    _: MechIn<'_>,
    text: Octets<'_>,
    kind: OidIn<'_>,
    name: OutHandle<'_, Name>,
) -> Status {
    import_name(glue, text, kind, name)
}

pub(super) fn release_name(_: &'static Mechglue, mut name: args::InOutHandle<'_, Name>) -> Status {
    drop(name.take());
    Ok(major::COMPLETE)
}

pub(super) fn duplicate_name(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    mut copy: OutHandle<'_, Name>,
) -> Status {
    let name = name.given()?.ok_or(NO_NAME)?;
    copy.put(name.duplicate(glue)?);
    Ok(major::COMPLETE)
}

pub(super) fn display_name(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    mut text: OutOctets<'_>,
    mut kind: OutOid<'_>,
) -> Status {
    let Some(name) = name.given()? else {
        return Err(NO_NAME);
    };
    let (shown, shown_kind) = call::display_name(glue, name.for_glue(glue)?)?;
    text.put_buffer(shown);
    if let Some(shown_kind) = shown_kind {
        kind.put(&shown_kind);
    }
    Ok(major::COMPLETE)
}

/// SPNEGO's exported form (RFC 2743 section 3.2) around what the name is shown as: the octets that
/// the built-in's names have, so that lists of names keep matching.
pub(super) fn export_name(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    mut token: OutOctets<'_>,
) -> Status {
    let name = name.given()?.ok_or(NO_NAME)?;
    let (shown, _) = call::display_name(glue, name.for_glue(glue)?)?;
    token.put(exported(&oid::SPNEGO, shown.as_ref()));
    Ok(major::COMPLETE)
}

/// RFC 2743 section 3.2: 04 01, length of the OID's DER, the DER, length of the name, the name.
fn exported(mech: &Oid, name: &[u8]) -> Vec<u8> {
    let content = mech.content();
    let last = |length: usize| length.to_be_bytes();
    let ([.., der_high, der_low], [.., oid]) = (last(content.len() + 2), last(content.len()));
    let [.., a, b, c, d] = last(name.len());
    let mut token = vec![4, 1, der_high, der_low, 6, oid];
    token.extend_from_slice(content);
    token.extend_from_slice(&[a, b, c, d]);
    token.extend_from_slice(name);
    token
}

/// The name in a token as [`exported`] makes it. The glue hands us no other mechanism's.
fn content(token: &[u8]) -> Result<&[u8], Error> {
    let head = exported(&oid::SPNEGO, b"");
    let (lead, _) = head.split_at(head.len().saturating_sub(NAME_LENGTH));
    let named = token.strip_prefix(lead).and_then(<[u8]>::split_first_chunk);
    match named {
        Some((length, name)) if usize::try_from(u32::from_be_bytes(*length)) == Ok(name.len()) => {
            Ok(name)
        }
        _ => Err(Error::CallerMisused("this is not an exported name")),
    }
}

/// The octets that say how long the name in an exported name is.
const NAME_LENGTH: usize = 4;

/// GSS_C_NT_EXPORT_NAME, 1.3.6.1.5.6.4.
const EXPORT_NAME: Oid = Oid::known([0x2b, 6, 1, 5, 6, 4]);

pub(super) fn compare_name(
    glue: &'static Mechglue,
    one: In<'_, Name>,
    other: In<'_, Name>,
    mut equal: Out<'_, c_int>,
) -> Status {
    let (one, other) = (one.given()?.ok_or(NO_NAME)?, other.given()?.ok_or(NO_NAME)?);
    let same = match one.same_user(other) {
        Some(same) => same,
        None => call::compare_name(glue, one.for_glue(glue)?, other.for_glue(glue)?)?,
    };
    equal.put(c_int::from(same));
    Ok(major::COMPLETE)
}

/// The local account of a name: of NTLM's users, as gss-ntlmssp has it, the user without the domain,
/// since whoever wrote the file of users decided who they are. The glue is not told the mechanism:
/// it would be ours, and the name knows its own.
pub(super) fn localname(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    _: MechIn<'_>,
    mut account: OutOctets<'_>,
) -> Status {
    let name = name.given()?.ok_or(NO_NAME)?;
    if let Some(user) = name.user() {
        account.put_text(user.user.clone());
        return Ok(major::COMPLETE);
    }
    account.put_buffer(call::localname(glue, name.for_glue(glue)?)?);
    Ok(major::COMPLETE)
}

/// Whether the name may act as a local user: COMPLETE when its mechanism says so, or, for a name of
/// no mechanism, when it is that user's as it stands. Anything else is left to the glue
/// (GSS_S_UNAVAILABLE), whose last word is GSS_S_UNAUTHORIZED; it cannot compare names of ours.
pub(super) fn authorize_localname(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    user: Octets<'_>,
    kind: OidIn<'_>,
) -> Status {
    let name = name.given()?.ok_or(NO_NAME)?;
    if let Some(known) = name.user() {
        if known.user.as_bytes() == user.bytes() {
            return Ok(major::COMPLETE);
        }
        return Err(NOT_THAT_USER);
    }
    let user = call::import_name(glue, user.bytes(), kind.value().as_ref())?;
    let own = name.for_glue(glue)?;
    let authorized = match name.given() {
        Some(_) => call::compare_name(glue, own, &user)?,
        None => call::authorize_localname(glue, own, &user).is_ok(),
    };
    if authorized {
        return Ok(major::COMPLETE);
    }
    Err(NOT_THAT_USER)
}

fn is_service(kind: Option<Oid>) -> bool {
    kind.is_some_and(|kind| [HOSTBASED_SERVICE, HOSTBASED_SERVICE_X].contains(&kind))
}

/// GSS_C_NT_HOSTBASED_SERVICE, 1.2.840.113554.1.2.1.4, and as RFC 2078 had it, 1.3.6.1.5.6.2.
pub(super) const HOSTBASED_SERVICE: Oid =
    Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 4]);
const HOSTBASED_SERVICE_X: Oid = Oid::known([0x2b, 6, 1, 5, 6, 2]);

const NOT_THAT_USER: Error = Error::Unavailable("the name is not known to be that user's");

const SHADOW: Error = Error::Unavailable("SPNEGO does not know this name: the mechanisms do");

pub(super) const NO_NAME: Error = Error::Missing("a name is needed here");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntlm_reads_users_and_services_from_names() {
        let glue = Mechglue::mit();
        let user = Name::new(b"DOMAIN\\user", Some(oid::USER_NAME));
        assert_eq!(
            user.as_user(glue).unwrap(),
            Some(UserName::parse("DOMAIN\\user"))
        );
        let service = Name::new(b"HTTP@www.example.org", Some(HOSTBASED_SERVICE));
        assert_eq!(service.as_user(glue).unwrap(), None);
        assert_eq!(service.as_service(glue).unwrap(), "HTTP/www.example.org");
        let principal = Name::new(b"HTTP/www.example.org@EXAMPLE.ORG", None);
        assert_eq!(principal.as_service(glue).unwrap(), "HTTP/www.example.org");
    }

    #[test]
    fn content_is_what_was_exported() {
        assert_eq!(content(&exported(&oid::SPNEGO, b"user")), Ok(&b"user"[..]));
        assert!(content(&exported(&oid::KRB5, b"user")).is_err());
        assert!(
            content(b"\x04\x01\x00\x08\x06\x06\x2b\x06\x01\x05\x05\x02\x00\x00\x00\x05user")
                .is_err()
        );
        assert!(content(b"\x04\x01").is_err());
    }

    #[test]
    fn exported_form_is_that_of_rfc_2743() {
        let token = exported(&oid::SPNEGO, b"user");
        assert_eq!(
            token,
            b"\x04\x01\x00\x08\x06\x06\x2b\x06\x01\x05\x05\x02\x00\x00\x00\x04user"
        );
    }
}

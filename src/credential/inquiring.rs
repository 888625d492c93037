//! What a credential tells of itself.
#![forbid(unsafe_code)]

use super::finding::acquire;
use super::{Credential, Shared, roles};
use crate::context::INDEFINITE;
use crate::name::Name;
use crate::own::{self, Users};
use args::read;
use args::{In, MechIn, Out, OutHandle, OutOidSet, Status};
use gssapi::mech::{Acquire, Source};
use gssapi::owned::{self, Store};
use gssapi::{Mechglue, call};
use spnego::error::{Error, major};
use spnego::oid;
use std::ffi::c_int;

/// GSS_Inquire_cred; the null credential is the default one, which is acquired for the time.
pub(crate) fn inquire_cred(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    mut name: OutHandle<'_, Name>,
    mut lifetime: Out<'_, u32>,
    mut usage: Out<'_, c_int>,
    mut mechs: OutOidSet<'_>,
) -> Status {
    let (wants_name, wants_mechs) = (name.is_wanted(), mechs.is_wanted());
    let facts = match cred.given()? {
        Some(given) => {
            let given = read(given)?;
            given.facts(glue, wants_name, wants_mechs)?
        }
        None => {
            let (default, _) = acquire(glue, None, None, DEFAULT)?;
            default.facts(glue, wants_name, wants_mechs)?
        }
    };
    if let Some(found) = facts.name {
        name.put(found);
    }
    if let Some(found) = facts.mechs {
        mechs.put(found);
    }
    lifetime.put(facts.lifetime);
    usage.put(facts.usage);
    Ok(major::COMPLETE)
}

/// GSS_Inquire_cred_by_mech, for SPNEGO: the credential is one for all.
pub(crate) fn inquire_cred_by_mech(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    _: MechIn<'_>,
    name: OutHandle<'_, Name>,
    mut initiator_lifetime: Out<'_, u32>,
    mut acceptor_lifetime: Out<'_, u32>,
    mut usage: Out<'_, c_int>,
) -> Status {
    let (mut lifetime, mut found) = (0, 0);
    let status = inquire_cred(
        glue,
        cred,
        name,
        Out::to(&mut lifetime),
        Out::to(&mut found),
        OutOidSet::nowhere(),
    )?;
    let (initiates, accepts) = roles(found);
    initiator_lifetime.put(if initiates { lifetime } else { 0 });
    acceptor_lifetime.put(if accepts { lifetime } else { 0 });
    usage.put(found);
    Ok(status)
}

/// What GSS_Inquire_cred tells.
struct Facts {
    name: Option<Name>,
    /// Seconds left.
    lifetime: u32,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    usage: c_int,
    mechs: Option<owned::OidSet>,
}

impl Credential {
    /// What GSS_Inquire_cred tells: of the glue's credential, where there is one.
    fn facts(
        &self,
        glue: &'static Mechglue,
        wants_name: bool,
        wants_mechs: bool,
    ) -> Result<Facts, Error> {
        let Some(cred) = &self.cred else {
            let user = self.users().and_then(Users::name);
            let name = || user.map_or_else(own::service, Name::of_user);
            return Ok(Facts {
                name: wants_name.then(name),
                lifetime: INDEFINITE,
                usage: self.users().map_or(0, Users::usage),
                mechs: wants_mechs
                    .then(|| call::oid_set(glue, &[oid::NTLMSSP]))
                    .transpose()?,
            });
        };
        let facts = call::inquire_cred(cred, wants_name && self.tells_name, wants_mechs)?;
        // MIT's glue cannot tell the application that there is none.
        let lacks_name = wants_name && facts.name.is_none() && !glue.is_heimdal();
        let mechs = match facts.mechs {
            Some(set) if self.users.is_some() || self.apart.is_some() => {
                let mut all = set.members();
                all.push(oid::NTLMSSP);
                Some(call::oid_set(glue, &all)?)
            }
            set => set,
        };
        Ok(Facts {
            name: match facts.name {
                Some(name) => Some(Name::of_glue(name)),
                None => lacks_name.then(own::service),
            },
            lifetime: facts.lifetime,
            usage: facts.usage,
            mechs,
        })
    }
}

/// How the default credential is acquired for an inquiry: to initiate, as the glue's own default.
const DEFAULT: Acquire<'static> = Acquire {
    name: None,
    lifetime: u32::MAX,
    usage: 1,
    source: Source::Store(Store::NONE),
    asks_lifetime: false,
};

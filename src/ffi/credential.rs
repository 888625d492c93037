//! Credentials: one of the glue's for all mechanisms behind it that can be negotiated, the users of
//! our own NTLM, and what the caller said about the order.
#![forbid(unsafe_code)]

use super::apart::Apart;
use super::arg::{
    In, InOutHandle, Octets, OidIn, OidSetIn, Out, OutHandle, OutOctets, OutOidSet, Status,
};
use super::context::INDEFINITE;
use super::handle::{read, write};
use super::inner::{NOT_FOR_THIS, absent, unusable};
use super::name::Name;
use super::own::{self, Users};
use super::telling;
use crate::advice::{Trouble, advised};
use crate::error::{Cause, Error, Major, MechError, major};
use crate::glue::mech::{self, Acquire, Acquired, Source};
use crate::glue::owned::{self, Store};
use crate::glue::{Mechglue, availability, call, kerberos};
use crate::oid::{self, Oid};
use crate::policy::{self, Current, InForce, Rules};
use crate::sys::{GSS_C_ACCEPT, GSS_C_INITIATE};
use crate::trace;
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::{Arc, RwLock};

/// A credential of ours.
pub(crate) struct Credential {
    /// None when it is for our own NTLM alone.
    cred: Option<owned::Cred>,
    /// For the glue's NTLM, where that is not in the other.
    apart: Option<Apart>,
    users: Option<Users>,
    /// All that it is for.
    mechs: Vec<Oid>,
    /// The same, as restricted and ordered by the caller.
    wanted: Vec<Oid>,
    /// Those of them that the settings of a policy allow.
    usable: Arc<[Oid]>,
    /// That policy.
    usable_under: Current,
    ordered: bool,
    /// The service that it is to accept for, where the caller named one.
    service: Option<String>,
    asks_integrity: bool,
    max_output_token_size: Option<usize>,
    tells_name: bool,
    /// Where it came from, when that is traced and not the default.
    source: Option<Box<str>>,
    lost: Option<Box<Lost>>,
}

/// Kerberos, which was wanted and could not be acquired.
struct Lost {
    why: MechError,
    /// How many of the others come before it.
    place: usize,
}

/// A credential as C holds it: several contexts may be made with it at once.
pub(crate) type Shared = RwLock<Credential>;

impl Credential {
    /// `mechs` are those of the glue's credential.
    fn new(
        cred: Option<owned::Cred>,
        mut mechs: Vec<Oid>,
        users: Option<Users>,
        apart: Option<Apart>,
    ) -> Self {
        if (users.is_some() || apart.is_some()) && !mechs.contains(&oid::NTLMSSP) {
            mechs.push(oid::NTLMSSP);
        }
        let policy = policy::current();
        Self {
            cred,
            apart,
            users,
            usable: policy.terms.order(mechs.clone()).into(),
            usable_under: policy,
            wanted: mechs.clone(),
            mechs,
            ordered: false,
            service: None,
            asks_integrity: true,
            max_output_token_size: None,
            tells_name: true,
            source: None,
            lost: None,
        }
    }

    /// The same, where Kerberos was among what was `wanted`: if it is not there now, `errors` have why.
    fn without(mut self, wanted: &[Oid], errors: &[MechError]) -> Self {
        if wanted.iter().any(Oid::is_krb5) && !self.mechs.iter().any(Oid::is_krb5) {
            let why = errors.iter().find(|error| error.mech.is_krb5());
            let why = why.cloned();
            let why = why.unwrap_or_else(|| unusable(&oid::KRB5, NOT_FOR_THIS));
            self.lost = Some(Box::new(Lost { why, place: 0 }));
        }
        self
    }

    /// Where it came from, when that is traced and not the default.
    pub(super) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The glue's credential; `None` when this is one for our own NTLM alone.
    pub(crate) fn cred(&self) -> Option<&owned::Cred> {
        self.cred.as_ref()
    }

    /// The glue's credential, for what our own NTLM has not.
    pub(super) fn of_the_glue(&self) -> Result<&owned::Cred, Error> {
        self.cred().ok_or(ONLY_OURS)
    }

    /// The glue's credential for a mechanism.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn cred_for(&self, mech: &Oid) -> Result<&owned::Cred, MechError> {
        match &self.apart {
            Some(apart) if *mech == oid::NTLMSSP => apart.cred(),
            _ => self.cred().ok_or_else(|| unusable(mech, NOT_FOR_THIS)),
        }
    }

    /// Whether a mechanism that it covers can be offered.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn vouch(&self, mech: &Oid) -> Result<(), MechError> {
        match &self.apart {
            Some(apart) if *mech == oid::NTLMSSP => apart.vouch(),
            _ => Ok(()),
        }
    }

    /// The users of our own NTLM.
    pub(crate) fn users(&self) -> Option<&Users> {
        self.users.as_ref()
    }

    /// The mechanisms it can be used for in a context, as ordered by the caller and allowed by the
    /// policy in force there.
    /// Kerberos is among them even if it could not be acquired, so that it is known that another takes
    /// its place.
    pub(crate) fn usable_under(&self, in_force: &InForce) -> Arc<[Oid]> {
        if let Some(lost) = &self.lost {
            let mut wanted = self.wanted.clone();
            wanted.insert(lost.place.min(wanted.len()), oid::KRB5);
            return in_force.order(wanted).into();
        }
        if in_force.is_only(&self.usable_under) {
            return Arc::clone(&self.usable);
        }
        in_force.order(self.wanted.clone()).into()
    }

    /// The mechanisms that it can be used for where no rule holds, in the order in which they are
    /// preferred.
    pub(super) fn usable(&self) -> &[Oid] {
        &self.usable
    }

    /// The service that it is to accept for, where the caller named one.
    pub(crate) fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Restrict and order the mechanisms; those that it is not for are passed over.
    fn set_order(&mut self, order: &[Oid]) {
        let covered = |wanted: &Oid| {
            self.mechs
                .iter()
                .find(|mech| mech.same_mech(wanted))
                .copied()
        };
        self.wanted = order.iter().filter_map(covered).collect();
        let place = order.iter().position(Oid::is_krb5);
        self.lost = self.lost.take().zip(place).map(|(mut lost, place)| {
            lost.place = order.iter().take(place).filter_map(covered).count();
            lost
        });
        self.usable_under = policy::current();
        self.usable = self.usable_under.terms.order(self.wanted.clone()).into();
        self.ordered = true;
    }

    /// Whether the caller gave an order (`gss_set_neg_mechs`, RFC 4178 appendix B.1).
    pub(crate) fn prefers(&self) -> bool {
        self.ordered
    }

    /// Whether integrity is asked of the mechanism though the caller does not.
    pub(crate) fn asks_integrity(&self) -> bool {
        self.asks_integrity
    }

    /// The maximum output token size in octets that the caller set for its contexts.
    pub(crate) fn max_output_token_size(&self) -> Option<usize> {
        self.max_output_token_size
    }

    /// Whether it can be used for a mechanism.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn covers(&self, mech: &Oid) -> Result<(), MechError> {
        if let Some(lost) = self.lost.as_ref().filter(|_| mech.is_krb5()) {
            return Err(lost.why.clone());
        }
        if self.wanted.iter().any(|wanted| wanted.same_mech(mech)) {
            return Ok(());
        }
        Err(unusable(mech, NOT_FOR_THIS))
    }
}

/// Acquire for every mechanism that may be negotiated, and on failure say why for each.
fn acquire(
    glue: &'static Mechglue,
    mechs: &[Oid],
    name: Option<&Name>,
    how: Acquire<'_>,
) -> Result<(Credential, u32), Error> {
    let policy = policy::current();
    let allowed = policy.order_for_any(mechs.to_vec());
    let (ours, of_the_glue) = own::providers(glue, &policy);
    let mut considered = Vec::new();
    let mut usable = allowed.clone();
    let mut users = None;
    usable.retain(|mech| {
        let outcome = if *mech == oid::NTLMSSP && ours {
            let found = users_for(glue, name, &how).map(|found| users = Some(found));
            found.map(|()| of_the_glue && worth_asking(glue, mech, &how).is_ok())
        } else {
            worth_asking(glue, mech, &how).map(|()| true)
        };
        outcome.unwrap_or_else(|error| {
            trace!(Dropped {
                mech,
                reason: &error.reason,
            });
            considered.push(error);
            false
        })
    });
    let apart = set_apart(glue, &mut usable, how).unwrap_or_else(|error| {
        trace!(Dropped {
            mech: &oid::NTLMSSP,
            reason: &error.reason,
        });
        considered.push(error);
        None
    });
    let reasons = match (ask(glue, &usable, how), users) {
        (Ok(acquired), users) => {
            let first = acquired.mechs.first().copied();
            let mut made = Credential::new(Some(acquired.cred), acquired.mechs, users, apart);
            made.tells_name = how.name.is_some() || !nameless(glue, how.usage, first);
            made.service = service_of(glue, name, how.usage);
            return Ok((made.without(&allowed, &considered), acquired.lifetime));
        }
        // A password that Kerberos has refused must not become NTLM's.
        (Err(reasons), Some(users)) if reasons.iter().all(|why| why.cause == Cause::Unusable) => {
            let mut made = Credential::new(None, Vec::new(), Some(users), apart);
            made.service = service_of(glue, name, how.usage);
            considered.extend(reasons);
            return Ok((made.without(&allowed, &considered), INDEFINITE));
        }
        (Err(mut reasons), _) => match apart.map(Apart::into_cred) {
            Some(Ok(cred)) => {
                let mut made = Credential::new(Some(cred), vec![oid::NTLMSSP], None, None);
                made.tells_name = !nameless(glue, how.usage, Some(oid::NTLMSSP));
                made.service = service_of(glue, name, how.usage);
                considered.extend(reasons);
                return Ok((made.without(&allowed, &considered), INDEFINITE));
            }
            Some(Err(error)) => {
                reasons.push(error);
                reasons
            }
            None => reasons,
        },
    };
    considered.splice(0..0, reasons);
    let allows = |mech: &Oid| {
        let allowed = policy.terms.allows(mech);
        allowed.map_err(|words| advised(words, Some(&Trouble::Policy)))
    };
    considered.extend(absent(&allowed, false, allows));
    Err(Error::NoCred { considered })
}

/// The service whose name a credential to accept with was asked for by.
fn service_of(glue: &'static Mechglue, name: Option<&Name>, usage: c_int) -> Option<String> {
    let (_, accepts) = roles(usage);
    name.filter(|_| accepts)?.text(glue)
}

/// What a credential can be acquired for.
pub(super) fn negotiable(glue: &'static Mechglue) -> Vec<Oid> {
    own::available(glue, &policy::current())
}

/// Take the glue's NTLM out of what is asked for together, where it is to be acquired later or
/// otherwise.
///
/// # Errors
/// Why there is none for it.
fn set_apart(
    glue: &'static Mechglue,
    usable: &mut Vec<Oid>,
    how: Acquire<'_>,
) -> Result<Option<Apart>, MechError> {
    let Source::Store(store) = how.source else {
        return Ok(None);
    };
    let (_, accepts) = roles(how.usage);
    if how.name.is_some() || !usable.contains(&oid::NTLMSSP) || store.is_given() && !accepts {
        return Ok(None);
    }
    usable.retain(|mech| *mech != oid::NTLMSSP);
    if store.is_given() {
        return Apart::to_accept(glue, how).map(Some);
    }
    Apart::later(glue, how.usage).map(Some)
}

/// The users of our own NTLM for a credential.
fn users_for(
    glue: &'static Mechglue,
    name: Option<&Name>,
    how: &Acquire<'_>,
) -> Result<Users, MechError> {
    let none = |reason: &str| unusable(&oid::NTLMSSP, reason);
    let from = match how.source {
        Source::Store(store) => own::From::Store(store),
        Source::Password(password) => own::From::Password(password),
        Source::Impersonator(_) => return Err(none("NTLM knows no impersonation")),
    };
    let named = match name {
        Some(name) => Some(
            name.as_user(glue)
                .map_err(|error| none(&error.sentences().join("; ")))?,
        ),
        None => None,
    };
    // The name of an acceptor's service is not one of its users.
    if named == Some(None) && u32::try_from(how.usage) == Ok(GSS_C_INITIATE) {
        return Err(none("the name is a service's, not a user's"));
    }
    Users::find(own::Wanted {
        name: named.flatten().as_ref(),
        usage: how.usage,
        from,
    })
}

/// Ask the mechanisms for one credential, or each for its own reason: the glue tells one for all.
fn ask(
    glue: &'static Mechglue,
    mechs: &[Oid],
    how: Acquire<'_>,
) -> Result<Acquired, Vec<MechError>> {
    let reason = |mech: &Oid| mech::acquire(glue, &[*mech], how).err();
    match mechs {
        [] => Err(Vec::new()),
        [only] => mech::acquire(glue, &[*only], how).map_err(|error| vec![error]),
        several => mech::acquire(glue, several, how)
            .map_err(|_| several.iter().filter_map(reason).collect()),
    }
}

/// An NTLM credential is asked for only where there is something to make it of, and one of MIT's
/// Kerberos only where asking is safe.
fn worth_asking(glue: &'static Mechglue, mech: &Oid, how: &Acquire<'_>) -> Result<(), MechError> {
    match how.source {
        Source::Store(store) if *mech == oid::NTLMSSP && !store.is_given() => {
            availability::ntlm(glue)
        }
        Source::Store(store)
            if mech.is_krb5()
                && !store.is_given()
                && how.name.is_none()
                && u32::try_from(how.usage) != Ok(GSS_C_ACCEPT) =>
        {
            kerberos::default_cache(glue)
        }
        _ => Ok(()),
    }
}

/// What every acquiring entry point does once its arguments are values.
pub(super) struct Wanted<'a> {
    pub(super) name: In<'a, Name>,
    /// Seconds.
    pub(super) lifetime: u32,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    pub(super) usage: c_int,
    pub(super) source: Source<'a>,
}

impl Wanted<'_> {
    /// Acquire a credential, and tell of it.
    pub(super) fn acquire(
        self,
        glue: &'static Mechglue,
        mechs: &[Oid],
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
        };
        let (mut credential, lifetime) = acquire(glue, mechs, name, how)?;
        if trace::on() {
            credential.source = telling::acquired(&credential.mechs, &how);
        }
        if actual.is_wanted() {
            actual.put(call::oid_set(glue, &[oid::SPNEGO])?);
        }
        time_rec.put(lifetime);
        cred.put(RwLock::new(credential));
        Ok(major::COMPLETE)
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.2"
)]
pub(super) fn acquire_cred(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    lifetime: u32,
    _: OidSetIn<'_>,
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
    wanted.acquire(glue, &negotiable(glue), cred, actual, time_rec)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_from"
)]
pub(super) fn acquire_cred_from(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    lifetime: u32,
    _: OidSetIn<'_>,
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
    wanted.acquire(glue, &negotiable(glue), cred, actual, time_rec)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_with_password"
)]
pub(super) fn acquire_cred_with_password(
    glue: &'static Mechglue,
    name: In<'_, Name>,
    password: Octets<'_>,
    lifetime: u32,
    _: OidSetIn<'_>,
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
    wanted.acquire(glue, &negotiable(glue), cred, actual, time_rec)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_impersonate_name"
)]
pub(super) fn acquire_cred_impersonate_name(
    glue: &'static Mechglue,
    impersonator: In<'_, Shared>,
    name: In<'_, Name>,
    lifetime: u32,
    _: OidSetIn<'_>,
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
    wanted.acquire(glue, &impersonator.mechs, cred, actual, time_rec)
}

/// Add an element to a credential. There is one element for each mechanism, and this mechanism's
/// is there already in a credential of ours (RFC 2744 section 5.3: GSS_S_DUPLICATE_ELEMENT).
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.3"
)]
pub(super) fn add_cred(
    glue: &'static Mechglue,
    input: In<'_, Shared>,
    name: In<'_, Name>,
    _: OidIn<'_>,
    usage: c_int,
    initiator_lifetime: u32,
    acceptor_lifetime: u32,
    output: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    initiator_time_rec: Out<'_, u32>,
    acceptor_time_rec: Out<'_, u32>,
) -> Status {
    if input.given()?.is_some() || !output.is_wanted() {
        return Ok(DUPLICATE_ELEMENT);
    }
    let times = Times {
        initiator: (initiator_lifetime, initiator_time_rec),
        acceptor: (acceptor_lifetime, acceptor_time_rec),
    };
    let wanted = Wanted {
        name,
        lifetime: times.wanted(usage),
        usage,
        source: Source::Store(Store::NONE),
    };
    times.told(usage, |time_rec| {
        wanted.acquire(glue, &negotiable(glue), output, actual, time_rec)
    })
}

/// What an added element's lifetimes are asked to be, and where what they are is told, in seconds.
struct Times<'a> {
    initiator: (u32, Out<'a, u32>),
    acceptor: (u32, Out<'a, u32>),
}

impl Times<'_> {
    fn wanted(&self, usage: c_int) -> u32 {
        let (initiates, _) = roles(usage);
        if initiates {
            self.initiator.0
        } else {
            self.acceptor.0
        }
    }

    /// Tell each role that the element is for how long it lasts, once it is acquired.
    fn told(mut self, usage: c_int, acquire: impl FnOnce(Out<'_, u32>) -> Status) -> Status {
        let mut lifetime = 0;
        let status = acquire(Out::to(&mut lifetime))?;
        let (initiates, accepts) = roles(usage);
        self.initiator.1.put(if initiates { lifetime } else { 0 });
        self.acceptor.1.put(if accepts { lifetime } else { 0 });
        Ok(status)
    }
}

/// As [`add_cred`], for a name that the impersonator may act for.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_add_cred_impersonate_name"
)]
pub(super) fn add_cred_impersonate_name(
    glue: &'static Mechglue,
    input: In<'_, Shared>,
    impersonator: In<'_, Shared>,
    name: In<'_, Name>,
    _: OidIn<'_>,
    usage: c_int,
    initiator_lifetime: u32,
    acceptor_lifetime: u32,
    output: OutHandle<'_, Shared>,
    actual: OutOidSet<'_>,
    initiator_time_rec: Out<'_, u32>,
    acceptor_time_rec: Out<'_, u32>,
) -> Status {
    if input.given()?.is_some() || !output.is_wanted() {
        return Ok(DUPLICATE_ELEMENT);
    }
    let impersonator = read(impersonator.given()?.ok_or(NO_CREDENTIAL)?)?;
    let times = Times {
        initiator: (initiator_lifetime, initiator_time_rec),
        acceptor: (acceptor_lifetime, acceptor_time_rec),
    };
    let wanted = Wanted {
        name,
        lifetime: times.wanted(usage),
        usage,
        source: Source::Impersonator(impersonator.of_the_glue()?),
    };
    times.told(usage, |time_rec| {
        wanted.acquire(glue, &impersonator.mechs, output, actual, time_rec)
    })
}

/// Whether a usage lets a credential initiate, and accept.
fn roles(usage: c_int) -> (bool, bool) {
    let usage = u32::try_from(usage);
    (usage != Ok(GSS_C_ACCEPT), usage != Ok(GSS_C_INITIATE))
}

pub(super) fn release_cred(_: &'static Mechglue, mut cred: InOutHandle<'_, Shared>) -> Status {
    drop(cred.take());
    Ok(major::COMPLETE)
}

/// GSS_Inquire_cred; the null credential is the default one, which is acquired for the time.
pub(super) fn inquire_cred(
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
            let (default, _) = acquire(glue, &negotiable(glue), None, DEFAULT)?;
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
pub(super) fn inquire_cred_by_mech(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    _: OidIn<'_>,
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

/// Options go to the mechanisms' own credentials, but for the one that is ours. That no integrity
/// shall be asked for is noted here too, since it is SPNEGO that would ask.
pub(super) fn set_cred_option(
    glue: &'static Mechglue,
    mut cred: InOutHandle<'_, Shared>,
    option: OidIn<'_>,
    value: Octets<'_>,
) -> Status {
    let option = option
        .value()
        .ok_or(Error::Missing("an option is named by an OID"))?;
    match cred.given()? {
        Some(given) if option == oid::SET_NEG_MECHS => {
            write(given)?.set_order(&named(value.bytes())?);
            Ok(major::COMPLETE)
        }
        Some(given) => {
            let mut given = write(given)?;
            if option == oid::MAX_OUTPUT_TOKEN_SIZE {
                let size = Rules::token_size_option(value.bytes()).map_err(Error::CallerMisused)?;
                given.max_output_token_size = Some(size);
                return Ok(major::COMPLETE);
            }
            let status = match &mut given.cred {
                Some(_) => given.change(&option, value.bytes())?,
                None if option == NO_CI_FLAGS => major::COMPLETE,
                None => return Err(ONLY_OURS),
            };
            if option == NO_CI_FLAGS {
                given.asks_integrity = false;
            }
            Ok(status)
        }
        // On Heimdal the glue asks every mechanism, us as well; once is enough.
        None if MAKING.get() => Ok(major::UNAVAILABLE),
        None => {
            let _making = Making::begin();
            if let Some(made) = call::make_cred(glue, &option, value.bytes())? {
                cred.put(RwLock::new(Credential::of_glue(made)?));
            }
            Ok(major::COMPLETE)
        }
    }
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

/// Whether the credential of an acceptor that was given no name must not be asked for one. Heimdal
/// would make one with nothing in it, over which it stumbles itself; gss-ntlmssp, which is asked
/// when it is the `first` of the glue's mechanisms, crashes (1.2.0).
fn nameless(glue: &Mechglue, usage: c_int, first: Option<Oid>) -> bool {
    let usage = u32::try_from(usage).unwrap_or_default();
    let by_ntlm = first == Some(oid::NTLMSSP) && usage != GSS_C_INITIATE;
    by_ntlm || glue.is_heimdal() && usage == GSS_C_ACCEPT
}

/// The value of the option [`oid::SET_NEG_MECHS`]: names of mechanisms or dotted identifiers.
fn named(value: &[u8]) -> Result<Vec<Oid>, Error> {
    let list = std::str::from_utf8(value.strip_suffix(b"\0").unwrap_or(value)).ok();
    list.and_then(|list| policy::mechs_named(list).ok())
        .ok_or(Error::CallerMisused(
            "the option takes names of mechanisms or dotted identifiers, with blanks between",
        ))
}

impl Credential {
    /// Set an option of the glue's credentials: of one, if the other does not know it. That no
    /// integrity shall be asked for is nothing that NTLM knows.
    fn change(&mut self, option: &Oid, value: &[u8]) -> Result<Major, Error> {
        let cred = self.cred.as_mut().ok_or(ONLY_OURS)?;
        let changed = call::change_cred(cred, option, value);
        let Some(apart) = self.apart.as_mut().filter(|_| *option != NO_CI_FLAGS) else {
            return changed;
        };
        match apart.cred_mut() {
            Ok(cred) => changed.or(call::change_cred(cred, option, value)),
            Err(_) => changed,
        }
    }

    /// Wrap a credential that the glue made, for the mechanisms it says it is for.
    fn of_glue(cred: owned::Cred) -> Result<Self, Error> {
        let facts = call::inquire_cred(&cred, false, true)?;
        let mechs = facts.mechs.map(|set| set.members()).unwrap_or_default();
        let negotiable: Vec<Oid> = mechs
            .into_iter()
            .filter(|mech| *mech != oid::SPNEGO)
            .collect();
        let tells_name = !nameless(cred.glue(), facts.usage, negotiable.first().copied());
        // A rule for a service holds for whoever has its credential, wherever it was acquired.
        let (_, accepts) = roles(facts.usage);
        let name = if accepts && tells_name {
            call::inquire_cred(&cred, true, false)?.name
        } else {
            None
        };
        let service = service_of(cred.glue(), name.map(Name::of_glue).as_ref(), facts.usage);
        let mut made = Self::new(Some(cred), negotiable, None, None);
        made.tells_name = tells_name;
        made.service = service;
        made.source = trace::on().then(|| "the caller's own".into());
        Ok(made)
    }

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

/// The glue's part, without NTLM: a password's hash is not given away.
pub(super) fn export_cred(
    _: &'static Mechglue,
    cred: In<'_, Shared>,
    mut token: OutOctets<'_>,
) -> Status {
    let cred = cred.given()?.ok_or(NO_CREDENTIAL)?;
    token.put_buffer(call::export_cred(read(cred)?.of_the_glue()?)?);
    Ok(major::COMPLETE)
}

pub(super) fn import_cred(
    glue: &'static Mechglue,
    token: Octets<'_>,
    mut cred: OutHandle<'_, Shared>,
) -> Status {
    cred.put(RwLock::new(Credential::of_glue(call::import_cred(
        glue,
        token.bytes(),
    )?)?));
    Ok(major::COMPLETE)
}

pub(super) fn import_cred_by_mech(
    glue: &'static Mechglue,
    _: OidIn<'_>,
    token: Octets<'_>,
    cred: OutHandle<'_, Shared>,
) -> Status {
    import_cred(glue, token, cred)
}

/// Restrict and order the mechanisms (RFC 4178 appendix B.1). Members that the credential is not
/// for are passed over, whatever they are: programs hand in all that the glue indicates.
pub(super) fn set_neg_mechs(
    _: &'static Mechglue,
    cred: In<'_, Shared>,
    mechs: OidSetIn<'_>,
) -> Status {
    let cred = cred.given()?.ok_or(NO_CREDENTIAL)?;
    let order = mechs
        .given()
        .ok_or(Error::Missing("the mechanisms are a set, if an empty one"))?;
    write(cred)?.set_order(&order);
    Ok(major::COMPLETE)
}

#[expect(clippy::too_many_arguments, reason = "the arguments of RFC 5588")]
pub(super) fn store_cred(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    usage: c_int,
    mech: OidIn<'_>,
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
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_store_cred_into"
)]
pub(super) fn store_cred_into(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    usage: c_int,
    _: OidIn<'_>,
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

thread_local! {
    static MAKING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, the glue is making a credential from an option at our request.
struct Making;

impl Making {
    fn begin() -> Self {
        MAKING.set(true);
        Self
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        MAKING.set(false);
    }
}

pub(super) const NO_CREDENTIAL: Error = Error::Missing("a credential is needed here");

/// Why a credential for our own NTLM alone does not serve.
pub(super) const ONLY_OURS: Error =
    Error::Unavailable("the credential is for NTLM alone, which has no such service here");

/// How the default credential is acquired for an inquiry: to initiate, as the glue's own default.
const DEFAULT: Acquire<'static> = Acquire {
    name: None,
    lifetime: u32::MAX,
    usage: 1,
    source: Source::Store(Store::NONE),
};

/// GSS_S_DUPLICATE_ELEMENT of RFC 2744.
const DUPLICATE_ELEMENT: u32 = 17 << 16;

/// GSS_KRB5_CRED_NO_CI_FLAGS_X, 1.2.752.43.13.29.
const NO_CI_FLAGS: Oid = Oid::known([0x2a, 0x85, 0x70, 0x2b, 0x0d, 0x1d]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_of_gssapi_krb5_h() {
        assert_eq!(NO_CI_FLAGS.to_string(), "1.2.752.43.13.29");
    }

    #[test]
    fn usage_says_which_lifetimes_count() {
        assert_eq!(roles(0), (true, true));
        assert_eq!(roles(1), (true, false));
        assert_eq!(roles(2), (false, true));
    }
}

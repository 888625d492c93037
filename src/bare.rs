//! NTLMSSP used without SPNEGO. MIT's glue has put us in front of it as well: a call for it goes on
//! to the mechanism itself, as it came, but the configuration has its say first.

use crate::context::Context;
use crate::credential::Shared;
use crate::name::Name;
use args::{
    Argument, In, InOutHandle, MechIn, MechsIn, Octets, OfGlue, OidIn, OidSetIn, Out, OutHandle,
    OutOctets, OutOid, OutOidSet, Status, channel, lock,
};
use gssapi::mech::{self, Acquire, Source};
use gssapi::owned::{Bindings, Cred, LentBuffer, Store};
use gssapi::sys::{GSS_C_ACCEPT, GSS_C_CHANNEL_BOUND_FLAG, GSS_C_INITIATE, GSS_C_MUTUAL_FLAG};
use gssapi::{Mechglue, call};
use spnego::error::{Error, Major, MechError, major};
use spnego::negotiate::Record;
use spnego::oid::{self, Oid};
use spnego::policy::Alone;
use spnego::role::Role;
use spnego::trace::{self, Event, Scope};
use spnego::wire::framing::is_ntlmssp;
use std::ffi::c_int;
use std::sync::OnceLock;

/// Call the glue's function with the arguments of a call for NTLMSSP.
macro_rules! pass {
    ($glue:expr, $function:ident $(, $argument:ident)* $(,)?) => {{
        let mut minor = 0;
        // SAFETY: the handles are the glue's own, alive in their boxes; the other arguments are the
        // caller's, as gssapi.h asks of callers of this function.
        let status = unsafe { $glue.$function(&raw mut minor $(, Argument::pass(&mut $argument))*) };
        let outcome = $crate::bare::outcome($glue, status, minor);
        $(
            Argument::passed(&mut $argument);
            if gssapi::call::is_failure(status) {
                Argument::failed(&mut $argument);
            }
        )*
        outcome
    }};
}
pub(super) use pass;

/// What a call that went on has come to, in the glue's words, which it has for no code as well.
pub(super) fn outcome(glue: &'static Mechglue, status: Major, minor: u32) -> Status {
    if !call::is_failure(status) {
        return Ok(status);
    }
    Err(Error::Ntlmssp {
        major: status,
        said: mech::words(glue, &oid::NTLMSSP, minor),
    })
}

/// Whether an initiator's first token is one of NTLMSSP (MS-NLMP 2.2.1), by which MIT's glue knows it.
pub(super) fn is_token(token: &Octets<'_>) -> bool {
    is_ntlmssp(token.bytes())
}

/// Whether the mechanism may begin, or go on: a context of NTLMSSP keeps no policy, since a newer one
/// may forbid it.
fn may_go_on(
    ruling: &Alone,
    context: &InOutHandle<'_, Context>,
    bindings: Bindings<'_>,
) -> Result<(), Error> {
    if !context.may_pass() {
        return Err(NOT_THROUGH_US);
    }
    ruling.may_go_on(channel(bindings).is_some())
}

/// What is traced of one call, and of the context that it is for.
struct Traced {
    record: Record,
    _scope: Scope,
}

impl Traced {
    fn begin(ruling: &Alone, context: &InOutHandle<'_, Context>) -> Option<Self> {
        if !trace::on() {
            return None;
        }
        let known = context.bare();
        let known = known.and_then(|bare| lock(&bare.beside).ok().map(|record| record.clone()));
        let is_first = known.is_none();
        let mut record = known.unwrap_or_default();
        let scope = record.scope(ruling.role());
        if is_first {
            let rule = ruling.rule().map(ToString::to_string);
            trace::tell(&Event::BegunBare {
                mech: &oid::NTLMSSP,
                rule: rule.as_deref().unwrap_or(record.rule()),
            });
        }
        Some(Self {
            record,
            _scope: scope,
        })
    }

    /// Take down what came of the call.
    fn end(
        traced: Option<Self>,
        context: &InOutHandle<'_, Context>,
        (received, sent): (&[u8], &[u8]),
        outcome: &Status,
        flags: u32,
    ) {
        let Some(mut traced) = traced else {
            return;
        };
        traced.record.counts(received, sent);
        match outcome {
            Ok(major::COMPLETE) => trace::tell(&Event::Established {
                mech: &oid::NTLMSSP,
                peer: None,
                flags,
                mic: traced.record.mic().name(),
                sums: traced.record.sums(),
            }),
            Ok(_) => {}
            Err(error) => trace::tell(&Event::Failed {
                reason: &error.sentences().join("; "),
                major: error.major(),
                minor: error.minor().code(),
                sums: traced.record.sums(),
            }),
        }
        if let Some(Ok(mut record)) = context.bare().map(|bare| lock(&bare.beside)) {
            *record = traced.record;
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.19"
)]
pub(super) fn init_sec_context(
    glue: &'static Mechglue,
    mut cred: In<'_, Shared>,
    mut context: InOutHandle<'_, Context>,
    mut target: In<'_, Name>,
    mut mech: MechIn<'_>,
    flags: u32,
    mut lifetime: u32,
    mut bindings: Bindings<'_>,
    mut token: Octets<'_>,
    mut actual: OutOid<'_>,
    mut output: OutOctets<'_>,
    mut ret_flags: Out<'_, u32>,
    mut time_rec: Out<'_, u32>,
) -> Status {
    let ruling = Alone::find(Role::Initiator, oid::NTLMSSP, || {
        Name::of_glue(target.bare()?.copy(glue)?)
            .as_service(glue)
            .ok()
    });
    let traced = Traced::begin(&ruling, &context);
    let mut reported = 0;
    let allowed = may_go_on(&ruling, &context, bindings);
    let outcome = allowed.and_then(|()| {
        let required = ruling.requires_mutual();
        let mut flags = flags | if required { GSS_C_MUTUAL_FLAG } else { 0 };
        let mut reports = Out::to(&mut reported);
        pass!(
            glue,
            gss_init_sec_context,
            cred,
            context,
            target,
            mech,
            flags,
            lifetime,
            bindings,
            token,
            actual,
            output,
            reports,
            time_rec,
        )
    });
    let outcome = settle(glue, &ruling, outcome, reported, &mut context, &mut output);
    ret_flags.put(reported);
    let passed = (token.bytes(), output.filled());
    Traced::end(traced, &context, passed, &outcome, reported);
    outcome
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.1"
)]
pub(super) fn accept_sec_context(
    glue: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    mut cred: In<'_, Shared>,
    mut token: Octets<'_>,
    mut bindings: Bindings<'_>,
    mut source: OutHandle<'_, Name>,
    mut actual: OutOid<'_>,
    mut output: OutOctets<'_>,
    mut ret_flags: Out<'_, u32>,
    mut time_rec: Out<'_, u32>,
    mut delegated: OutHandle<'_, Shared>,
) -> Status {
    let ruling = Alone::find(Role::Acceptor, oid::NTLMSSP, || {
        lock(&cred.bare()?.beside).ok()?.clone()
    });
    let traced = Traced::begin(&ruling, &context);
    let mut reported = 0;
    let allowed = may_go_on(&ruling, &context, bindings);
    let outcome = allowed.and_then(|()| {
        let mut reports = Out::to(&mut reported);
        // The glue goes by the credential to where a token is for the mechanism behind us.
        if cred.is_null() && context.bare().is_none() {
            let default = default(glue)?;
            let mut cred = OfGlue::cred(Some(default));
            return pass!(
                glue,
                gss_accept_sec_context,
                context,
                cred,
                token,
                bindings,
                source,
                actual,
                output,
                reports,
                time_rec,
                delegated,
            );
        }
        pass!(
            glue,
            gss_accept_sec_context,
            context,
            cred,
            token,
            bindings,
            source,
            actual,
            output,
            reports,
            time_rec,
            delegated,
        )
    });
    let outcome = settle(glue, &ruling, outcome, reported, &mut context, &mut output);
    if outcome.is_err() {
        source.withdraw(glue);
        delegated.withdraw(glue);
    }
    ret_flags.put(reported);
    let passed = (token.bytes(), output.filled());
    Traced::end(traced, &context, passed, &outcome, reported);
    outcome
}

/// The default credential, for an acceptor's first call with none: of no name, and so the same for as
/// long as the process lives. gss-ntlmssp (1.2.0) loses some memory with each.
fn default(glue: &'static Mechglue) -> Result<&'static Cred, Error> {
    static DEFAULT: OnceLock<Cred> = OnceLock::new();
    if let Some(known) = DEFAULT.get() {
        return Ok(known);
    }
    let how = Acquire {
        name: None,
        lifetime: u32::MAX,
        usage: c_int::try_from(GSS_C_ACCEPT).unwrap_or_default(),
        source: Source::Store(Store::NONE),
        asks_lifetime: false,
    };
    let acquired = mech::acquire(glue, &[oid::NTLMSSP], how);
    let failed = |error: MechError| Error::Ntlmssp {
        major: error.major,
        said: vec![error.reason],
    };
    let made = acquired.map_err(failed)?.cred;
    Ok(DEFAULT.get_or_init(|| made))
}

/// What a call has come to, by the policy too: what is not approved does not leave.
fn settle(
    glue: &'static Mechglue,
    ruling: &Alone,
    outcome: Status,
    flags: u32,
    context: &mut InOutHandle<'_, Context>,
    output: &mut OutOctets<'_>,
) -> Status {
    if outcome != Ok(major::COMPLETE) {
        return outcome;
    }
    let mutual = flags & GSS_C_MUTUAL_FLAG != 0;
    let bound = flags & GSS_C_CHANNEL_BOUND_FLAG != 0;
    ruling.approve(mutual, bound).inspect_err(|_| {
        context.withdraw(glue);
        output.withdraw(glue);
    })?;
    outcome
}

/// gss-ntlmssp 1.2 crashes when an acceptor's context is asked for its target, which it has not.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.21"
)]
pub(super) fn inquire_context(
    glue: &'static Mechglue,
    mut context: In<'_, Context>,
    mut source: OutHandle<'_, Name>,
    mut target: OutHandle<'_, Name>,
    mut lifetime: Out<'_, u32>,
    mut mech: OutOid<'_>,
    mut flags: Out<'_, u32>,
    mut locally_initiated: Out<'_, c_int>,
    mut open: Out<'_, c_int>,
) -> Status {
    if !context.bare().is_some_and(|bare| bare.initiates(glue)) {
        target = OutHandle::unwanted();
    }
    pass!(
        glue,
        gss_inquire_context,
        context,
        source,
        target,
        lifetime,
        mech,
        flags,
        locally_initiated,
        open
    )
}

/// The glue names what it has exported by the identifier in front of it, and finds the mechanism
/// itself by that: ours has the rest. What is imported is the mechanism's alone, so nothing may be
/// left in it for the configuration to have its say in.
pub(super) fn export_sec_context(
    glue: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    mut token: OutOctets<'_>,
) -> Status {
    if !context.bare().is_some_and(|bare| bare.is_open(glue)) {
        return Err(NOT_OPEN);
    }
    let status = pass!(glue, gss_export_sec_context, context, token)?;
    let rest = token.filled().strip_prefix(&named(&oid::NTLMSSP)[..]);
    let rest = rest.map(<[u8]>::to_vec);
    token.withdraw(glue);
    token.put(rest.ok_or(UNNAMED)?);
    Ok(status)
}

const NOT_OPEN: Error =
    Error::NoContext("NTLM without SPNEGO is exported only when it is established");

/// What was exported by a process with us, and was not established.
const NOT_THROUGH_US: Error = Error::NoContext("the security context was not begun through here");

pub(super) fn import_sec_context_by_mech(
    glue: &'static Mechglue,
    _: MechIn<'_>,
    token: Octets<'_>,
    mut context: OutHandle<'_, Context>,
) -> Status {
    let whole = [&named(&oid::NTLMSSP_BEHIND), token.bytes()].concat();
    let mut lent = LentBuffer::new(&whole);
    let mut token = Octets::lent(&mut lent);
    pass!(glue, gss_import_sec_context, token, context)
}

/// The same of a credential, of which there is one element, with its length before it.
pub(super) fn export_cred(
    glue: &'static Mechglue,
    mut cred: In<'_, Shared>,
    mut token: OutOctets<'_>,
) -> Status {
    let status = pass!(glue, gss_export_cred, cred, token)?;
    let rest = token.filled().strip_prefix(&named(&oid::NTLMSSP)[..]);
    let rest = rest.and_then(<[u8]>::split_first_chunk::<4>);
    let rest = rest.map(|(_, rest)| rest.to_vec());
    token.withdraw(glue);
    token.put(rest.ok_or(UNNAMED)?);
    Ok(status)
}

pub(super) fn import_cred_by_mech(
    glue: &'static Mechglue,
    _: MechIn<'_>,
    token: Octets<'_>,
    mut cred: OutHandle<'_, Shared>,
) -> Status {
    let token = token.bytes();
    let length = u32::try_from(token.len())
        .map_err(|_| UNNAMED)?
        .to_be_bytes();
    let whole = [&named(&oid::NTLMSSP_BEHIND), &length[..], token].concat();
    let mut lent = LentBuffer::new(&whole);
    let mut token = Octets::lent(&mut lent);
    pass!(glue, gss_import_cred, token, cred)
}

/// How the glue names the mechanism of what it exports: four octets of length, the identifier.
fn named(mech: &Oid) -> Vec<u8> {
    let content = mech.content();
    [&u32::from(mech.length()).to_be_bytes()[..], content].concat()
}

const UNNAMED: Error = Error::Internal("what the mechglue has exported is not as it was");

/// A name of the mechanism's own, which is as it takes it, or an error.
pub(super) fn import_name_by_mech(
    glue: &'static Mechglue,
    mut mech: MechIn<'_>,
    text: Octets<'_>,
    kind: OidIn<'_>,
    mut name: OutHandle<'_, Name>,
) -> Status {
    let given = call::import_name(glue, text.bytes(), kind.value().as_ref())?;
    let mut given = OfGlue::name(&given);
    pass!(glue, gss_canonicalize_name, given, mech, name)
}

/// The glue is not told the mechanism of a name that knows its own.
pub(super) fn localname(
    glue: &'static Mechglue,
    mut name: In<'_, Name>,
    mut mech: MechIn<'_>,
    mut account: OutOctets<'_>,
) -> Status {
    if name.bare().is_none() {
        return pass!(glue, gss_localname, name, mech, account);
    }
    let mut none = OidIn::none();
    pass!(glue, gss_localname, name, none, account)
}

pub(super) fn authorize_localname(
    glue: &'static Mechglue,
    mut name: In<'_, Name>,
    user: Octets<'_>,
    kind: OidIn<'_>,
) -> Status {
    let user = call::import_name(glue, user.bytes(), kind.value().as_ref())?;
    let mut user = OfGlue::name(&user);
    pass!(glue, gss_authorize_localname, name, user)
}

pub(super) fn inquire_attrs_for_mech(
    glue: &'static Mechglue,
    mut mech: MechIn<'_>,
    mut attributes: OutOidSet<'_>,
    mut known: OutOidSet<'_>,
) -> Status {
    pass!(glue, gss_inquire_attrs_for_mech, mech, attributes, known)
}

/// The glue asks every element of a credential, and one that does not know the question ends it: to
/// one without us it would not have come.
pub(super) fn set_neg_mechs(
    glue: &'static Mechglue,
    mut cred: In<'_, Shared>,
    mut mechs: OidSetIn<'_>,
) -> Status {
    match pass!(glue, gss_set_neg_mechs, cred, mechs) {
        Err(Error::Ntlmssp {
            major: major::UNAVAILABLE,
            ..
        }) => Ok(major::COMPLETE),
        outcome => outcome,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.2"
)]
pub(super) fn acquire_cred(
    glue: &'static Mechglue,
    mut name: In<'_, Name>,
    mut lifetime: u32,
    mut mechs: MechsIn<'_>,
    mut usage: c_int,
    mut cred: OutHandle<'_, Shared>,
    mut actual: OutOidSet<'_>,
    mut time_rec: Out<'_, u32>,
) -> Status {
    let outcome = pass!(
        glue,
        gss_acquire_cred,
        name,
        lifetime,
        mechs,
        usage,
        cred,
        actual,
        time_rec
    );
    note_service(glue, &name, usage, &cred);
    outcome
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_from"
)]
pub(super) fn acquire_cred_from(
    glue: &'static Mechglue,
    mut name: In<'_, Name>,
    mut lifetime: u32,
    mut mechs: MechsIn<'_>,
    mut usage: c_int,
    mut store: Store<'_>,
    mut cred: OutHandle<'_, Shared>,
    mut actual: OutOidSet<'_>,
    mut time_rec: Out<'_, u32>,
) -> Status {
    let outcome = pass!(
        glue,
        gss_acquire_cred_from,
        name,
        lifetime,
        mechs,
        usage,
        store,
        cred,
        actual,
        time_rec,
    );
    note_service(glue, &name, usage, &cred);
    outcome
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of gss_acquire_cred_with_password"
)]
pub(super) fn acquire_cred_with_password(
    glue: &'static Mechglue,
    mut name: In<'_, Name>,
    mut password: Octets<'_>,
    mut lifetime: u32,
    mut mechs: MechsIn<'_>,
    mut usage: c_int,
    mut cred: OutHandle<'_, Shared>,
    mut actual: OutOidSet<'_>,
    mut time_rec: Out<'_, u32>,
) -> Status {
    let outcome = pass!(
        glue,
        gss_acquire_cred_with_password,
        name,
        password,
        lifetime,
        mechs,
        usage,
        cred,
        actual,
        time_rec,
    );
    note_service(glue, &name, usage, &cred);
    outcome
}

/// Keep the name of the service that a credential is to accept for: rules go by it, and gss-ntlmssp
/// crashes when it is asked for the name of one that has none.
fn note_service(
    glue: &'static Mechglue,
    name: &In<'_, Name>,
    usage: c_int,
    cred: &OutHandle<'_, Shared>,
) {
    let Some(bare) = cred.bare() else {
        return;
    };
    if u32::try_from(usage) == Ok(GSS_C_INITIATE) {
        return;
    }
    let copy = name.bare().and_then(|name| name.copy(glue));
    let service = copy.and_then(|name| Name::of_glue(name).text(glue));
    if let Ok(mut kept) = lock(&bare.beside) {
        *kept = service;
    }
}

//! Security contexts: one token in, through the negotiation, one token out; and what can be asked
//! of a context, also while it is not established yet.
#![forbid(unsafe_code)]

use super::arg::{
    In, InOutHandle, Octets, OidIn, Out, OutHandle, OutOctets, OutOid, Status,
};
use super::credential::Credential;
use super::handle::Handle;
use super::inner::{Call, Held, Inner, Side};
use super::name::Name;
use crate::error::{Error, Failure, Major, major};
use crate::glue::call::{self, ContextFacts};
use crate::glue::mech::GlueMech;
use crate::glue::owned::{self, Bindings};
use crate::glue::Mechglue;
use crate::negotiate::{Acceptor, Initiator, Reply};
use crate::oid::{self, Oid};
use crate::sys::{GSS_C_DELEG_FLAG, GSS_C_PROT_READY_FLAG, GSS_C_TRANS_FLAG};
use std::ffi::c_int;

/// A security context of ours. What is spent is gone: a step that fails leaves [`Self::Failed`].
pub(crate) enum Context {
    /// An initiator that waits for the acceptor.
    Initiating(Box<Negotiating<Initiator<Inner>>>),
    /// An acceptor that waits for the initiator.
    Accepting(Box<Negotiating<Acceptor<Inner>>>),
    /// Done; only the mechanism's own context is left.
    Established {
        inner: Inner,
        locally_initiated: bool,
    },
    /// Of no use any more, but the caller's to delete.
    Failed {
        locally_initiated: bool,
    },
}

/// One role's state between two tokens.
pub(crate) struct Negotiating<R> {
    role: R,
    held: Held,
}

impl Context {
    /// The mechanism's context, if it is established.
    ///
    /// # Errors
    /// `NoContext`: no per-message call works before the negotiation is over (RFC 4178 section 3.1).
    pub(crate) fn established(&self) -> Result<&Inner, Error> {
        match self {
            Self::Established { inner, .. } => Ok(inner),
            Self::Failed { .. } => Err(FAILED),
            Self::Initiating(_) | Self::Accepting(_) => Err(UNFINISHED),
        }
    }

    /// The mechanism's context, as far as it has got.
    fn inner(&self) -> Option<&Inner> {
        match self {
            Self::Initiating(negotiating) => negotiating.role.mech(),
            Self::Accepting(negotiating) => negotiating.role.mech(),
            Self::Established { inner, .. } => Some(inner),
            Self::Failed { .. } => None,
        }
    }

    fn inner_mut(&mut self) -> Option<&mut Inner> {
        match self {
            Self::Initiating(negotiating) => negotiating.role.mech_mut(),
            Self::Accepting(negotiating) => negotiating.role.mech_mut(),
            Self::Established { inner, .. } => Some(inner),
            Self::Failed { .. } => None,
        }
    }

    fn is_established(&self) -> bool {
        matches!(self, Self::Established { .. })
    }

    fn locally_initiated(&self) -> bool {
        match self {
            Self::Initiating(_) => true,
            Self::Accepting(_) => false,
            Self::Established { locally_initiated, .. } | Self::Failed { locally_initiated } => {
                *locally_initiated
            }
        }
    }

    /// The flags to report: while the negotiation goes on, neither protection nor transfer is
    /// ready, whatever the mechanism says (RFC 4178 section 3.1).
    fn flags(&self) -> u32 {
        let flags = self.inner().map_or(0, Inner::flags);
        if self.is_established() { flags } else { flags & !NOT_BEFORE_THE_END }
    }

    /// The mechanism to report: SPNEGO until one is agreed on and established.
    fn mech(&self) -> Oid {
        match self {
            Self::Established { inner, .. } => *inner.mech(),
            _ => oid::SPNEGO,
        }
    }

    /// Take what negotiates out, leaving a failed context in its place.
    fn take(&mut self) -> Self {
        let locally_initiated = self.locally_initiated();
        std::mem::replace(self, Self::Failed { locally_initiated })
    }
}

/// The call's outs that both roles share, written once at the end.
struct Outs<'a> {
    mech: OutOid<'a>,
    output: OutOctets<'a>,
    flags: Out<'a, u32>,
    lifetime: Out<'a, u32>,
}

impl Outs<'_> {
    fn settle(&mut self, context: &Context, reply: Reply) -> Status {
        self.mech.put(&context.mech());
        self.flags.put(context.flags());
        if let Some(token) = reply.token {
            self.output.put(token);
        }
        let Context::Established { inner, .. } = context else {
            return Ok(major::CONTINUE_NEEDED);
        };
        if self.lifetime.is_wanted() {
            self.lifetime.put(inner.lifetime()?);
        }
        Ok(major::COMPLETE)
    }

    /// A failed step: the peer's reject goes out with the error, as programs expect.
    fn fail(&mut self, failure: Failure) -> Status {
        if let Some(reject) = failure.reject {
            self.output.put(reject);
        }
        Err(failure.error)
    }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of RFC 2744 section 5.19")]
pub(super) fn init_sec_context(
    glue: &'static Mechglue,
    cred: In<'_, Credential>,
    mut context: InOutHandle<'_, Context>,
    target: In<'_, Name>,
    _: OidIn<'_>,
    flags: u32,
    lifetime: u32,
    bindings: Bindings<'_>,
    token: Octets<'_>,
    mech: OutOid<'_>,
    output: OutOctets<'_>,
    ret_flags: Out<'_, u32>,
    time_rec: Out<'_, u32>,
) -> Status {
    let mut outs = Outs { mech, output, flags: ret_flags, lifetime: time_rec };
    let cred = cred.given()?.map(Handle::read).transpose()?;
    let target = target.given()?.map(Handle::read).transpose()?;
    let side = Side::Initiator { target: target.as_deref(), flags, lifetime };
    let credential = cred.as_deref();
    let step = |role: Initiator<Inner>, mut held: Held, token: Option<&[u8]>| {
        let mut call = Call { glue, side, credential, bindings, held: &mut held };
        let (role, reply) = role.step(token, &mut call)?;
        Ok::<_, Failure>((Context::of_initiator(role, held), reply))
    };
    let Some(handle) = context.given()? else {
        let token = token.given().filter(|token| !token.is_empty());
        // Nothing has been sent yet: no reject is owed, and no context is left.
        let (made, reply) = step(Initiator::default(), Held::default(), token)
            .map_err(|failure| failure.error)?;
        let status = outs.settle(&made, reply)?;
        context.put(made);
        return Ok(status);
    };
    let mut there = handle.write()?;
    let Context::Initiating(negotiating) = there.take_if_initiating()? else {
        return Err(Error::Internal("an initiator's state is of another kind"));
    };
    let Negotiating { role, held } = *negotiating;
    match step(role, held, Some(token.bytes())) {
        Ok((next, reply)) => {
            *there = next;
            outs.settle(&there, reply)
        }
        Err(failure) => outs.fail(failure),
    }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of RFC 2744 section 5.1")]
pub(super) fn accept_sec_context(
    glue: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    cred: In<'_, Credential>,
    token: Octets<'_>,
    bindings: Bindings<'_>,
    mut source: OutHandle<'_, Name>,
    mech: OutOid<'_>,
    output: OutOctets<'_>,
    ret_flags: Out<'_, u32>,
    time_rec: Out<'_, u32>,
    mut delegated: OutHandle<'_, Credential>,
) -> Status {
    let mut outs = Outs { mech, output, flags: ret_flags, lifetime: time_rec };
    let cred = cred.given()?.map(Handle::read).transpose()?;
    let side = Side::Acceptor {
        wants_source: source.is_wanted(),
        wants_delegated: delegated.is_wanted(),
    };
    let credential = cred.as_deref();
    let step = |role: Acceptor<Inner>, mut held: Held| {
        let mut call = Call { glue, side, credential, bindings, held: &mut held };
        let (role, reply) = role.step(token.bytes(), &mut call)?;
        Ok::<_, Failure>((Context::of_acceptor(role, held), reply))
    };
    let Some(handle) = context.given()? else {
        let (mut made, reply) = match step(Acceptor::default(), Held::default()) {
            Ok(made) => made,
            Err(failure) => return outs.fail(failure),
        };
        let status = outs.settle(&made, reply)?;
        hand_over(&mut made, &mut source, &mut delegated)?;
        context.put(made);
        return Ok(status);
    };
    let mut there = handle.write()?;
    let Context::Accepting(negotiating) = there.take_if_accepting()? else {
        return Err(Error::Internal("an acceptor's state is of another kind"));
    };
    let Negotiating { role, held } = *negotiating;
    match step(role, held) {
        Ok((next, reply)) => {
            *there = next;
            hand_over(&mut there, &mut source, &mut delegated)?;
            outs.settle(&there, reply)
        }
        Err(failure) => outs.fail(failure),
    }
}

impl Context {
    fn of_initiator(role: Initiator<Inner>, held: Held) -> Self {
        if !role.is_established() {
            return Self::Initiating(Box::new(Negotiating { role, held }));
        }
        Self::finished(role.into_established(), true)
    }

    fn of_acceptor(role: Acceptor<Inner>, held: Held) -> Self {
        if !role.is_established() {
            return Self::Accepting(Box::new(Negotiating { role, held }));
        }
        Self::finished(role.into_established(), false)
    }

    fn finished(inner: Option<Inner>, locally_initiated: bool) -> Self {
        match inner {
            Some(inner) => Self::Established { inner, locally_initiated },
            None => Self::Failed { locally_initiated },
        }
    }

    fn take_if_initiating(&mut self) -> Result<Self, Error> {
        match self {
            Self::Initiating(_) => Ok(self.take()),
            Self::Failed { .. } => Err(FAILED),
            Self::Established { .. } => Err(ESTABLISHED),
            Self::Accepting(_) => Err(Error::CallerMisused("the context is an acceptor's")),
        }
    }

    fn take_if_accepting(&mut self) -> Result<Self, Error> {
        match self {
            Self::Accepting(_) => Ok(self.take()),
            Self::Failed { .. } => Err(FAILED),
            Self::Established { .. } => Err(ESTABLISHED),
            Self::Initiating(_) => Err(Error::CallerMisused("the context is an initiator's")),
        }
    }
}

/// Names and delegated credentials go to the application at the end, once, as the mechanism
/// reported them.
fn hand_over(
    context: &mut Context,
    source: &mut OutHandle<'_, Name>,
    delegated: &mut OutHandle<'_, Credential>,
) -> Result<(), Error> {
    if !context.is_established() {
        return Ok(());
    }
    let Some(inner) = context.inner_mut() else {
        return Ok(());
    };
    if source.is_wanted()
        && let Some(name) = inner.take_source()?
    {
        source.put(Name::of_glue(name));
    }
    if inner.flags() & GSS_C_DELEG_FLAG != 0
        && let Some(cred) = inner.take_delegated()
    {
        delegated.put_raw(cred.into_raw());
    }
    Ok(())
}

pub(super) fn delete_sec_context(
    _: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    _: OutOctets<'_>,
) -> Status {
    drop(context.take());
    Ok(major::COMPLETE)
}

#[expect(clippy::too_many_arguments, reason = "the arguments of RFC 2744 section 5.21")]
pub(super) fn inquire_context(
    _: &'static Mechglue,
    context: In<'_, Context>,
    mut source: OutHandle<'_, Name>,
    mut target: OutHandle<'_, Name>,
    mut lifetime: Out<'_, u32>,
    mut mech: OutOid<'_>,
    mut flags: Out<'_, u32>,
    mut locally_initiated: Out<'_, c_int>,
    mut open: Out<'_, c_int>,
) -> Status {
    let context = context.given()?.ok_or_else(|| NO_CONTEXT)?.read()?;
    let facts = match context.inner() {
        Some(inner) => inner.facts(source.is_wanted(), target.is_wanted())?,
        None => ContextFacts::default(),
    };
    if let Some(name) = facts.source {
        source.put(Name::of_glue(name));
    }
    if let Some(name) = facts.target {
        target.put(Name::of_glue(name));
    }
    lifetime.put(facts.lifetime);
    mech.put(&match facts.mech {
        Some(inner) if context.is_established() => inner,
        _ => context.mech(),
    });
    let established = context.is_established();
    flags.put(if established { facts.flags } else { facts.flags & !NOT_BEFORE_THE_END });
    locally_initiated.put(c_int::from(context.locally_initiated()));
    open.put(c_int::from(established));
    Ok(major::COMPLETE)
}

/// Options are the mechanism's; without a context there is no mechanism to take one.
pub(super) fn set_sec_context_option(
    _: &'static Mechglue,
    context: InOutHandle<'_, Context>,
    option: OidIn<'_>,
    value: Octets<'_>,
) -> Status {
    let Some(context) = context.given()? else {
        return Err(Error::Unavailable("the option is for a context that does not exist yet"));
    };
    let option = option.value().ok_or_else(|| Error::CallerMisused("an option is named by an OID"))?;
    let context = context.read()?;
    let Some(inner) = context.inner() else {
        return Err(UNFINISHED);
    };
    inner.set_option(&option, value.bytes())
}

/// The token is the mechanism's own interprocess token, as the built-in SPNEGO has it, so that any
/// SPNEGO of this machine can take it in.
pub(super) fn export_sec_context(
    _: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    mut token: OutOctets<'_>,
) -> Status {
    let handle = context.given()?.ok_or_else(|| NO_CONTEXT)?;
    let mut there = handle.write()?;
    let locally_initiated = there.locally_initiated();
    there.established()?;
    let Context::Established { inner, .. } = there.take() else {
        return Err(UNFINISHED);
    };
    let (exported, left) = inner.export();
    if let Some(inner) = left {
        *there = Context::Established { inner, locally_initiated };
    }
    drop(there);
    token.put_buffer(exported?);
    drop(context.take());
    Ok(major::COMPLETE)
}

pub(super) fn import_sec_context(
    glue: &'static Mechglue,
    token: Octets<'_>,
    mut context: OutHandle<'_, Context>,
) -> Status {
    let imported = call::import_context(glue, token.bytes())?;
    let facts = call::inquire_context(&imported, false, false)?;
    let mech = facts.mech.unwrap_or(oid::KRB5);
    context.put(Context::Established {
        inner: Inner::Glue(GlueMech::imported(&mech, imported, facts.flags)),
        locally_initiated: facts.locally_initiated,
    });
    Ok(major::COMPLETE)
}

pub(super) fn import_sec_context_by_mech(
    glue: &'static Mechglue,
    _: OidIn<'_>,
    token: Octets<'_>,
    context: OutHandle<'_, Context>,
) -> Status {
    import_sec_context(glue, token, context)
}

impl Inner {
    /// The mechanism, by its own identifier.
    pub(crate) fn mech(&self) -> &Oid {
        match self {
            Self::Glue(mech) => mech.mech(),
        }
    }

    /// The flags it reported last.
    pub(crate) fn flags(&self) -> u32 {
        match self {
            Self::Glue(mech) => mech.flags(),
        }
    }

    /// Seconds left.
    fn lifetime(&self) -> Result<u32, Error> {
        match self {
            Self::Glue(mech) => mech.context().map_or(Err(FAILED), call::context_time),
        }
    }

    fn facts(&self, wants_source: bool, wants_target: bool) -> Result<ContextFacts, Error> {
        match self {
            Self::Glue(mech) => match mech.context() {
                Some(context) => call::inquire_context(context, wants_source, wants_target),
                None => Ok(ContextFacts::default()),
            },
        }
    }

    fn set_option(&self, option: &Oid, value: &[u8]) -> Result<Major, Error> {
        match self {
            Self::Glue(mech) => {
                call::set_context_option(mech.context().ok_or_else(|| FAILED)?, option, value)
            }
        }
    }

    /// The initiator's name: what the mechanism reported, or, when its last leg was before this
    /// call, what it says now.
    fn take_source(&mut self) -> Result<Option<owned::Name>, Error> {
        match self {
            Self::Glue(mech) => match mech.take_source() {
                Some(name) => Ok(Some(name)),
                None => match mech.context() {
                    Some(context) => Ok(call::inquire_context(context, true, false)?.source),
                    None => Ok(None),
                },
            },
        }
    }

    fn take_delegated(&mut self) -> Option<owned::Cred> {
        match self {
            Self::Glue(mech) => mech.take_delegated(),
        }
    }

    fn export(self) -> (Result<owned::Buffer, Error>, Option<Self>) {
        match self {
            Self::Glue(mech) => {
                let (oid, flags) = (*mech.mech(), mech.flags());
                let Some(context) = mech.into_context() else {
                    return (Err(FAILED), None);
                };
                let (token, left) = call::export_context(context);
                let left = left.map(|left| Self::Glue(GlueMech::imported(&oid, left, flags)));
                (token, left)
            }
        }
    }
}

pub(super) const NO_CONTEXT: Error = Error::NoContext("a security context is needed here");
const UNFINISHED: Error =
    Error::NoContext("the security context is not established: the negotiation is not over");
const FAILED: Error = Error::NoContext("the security context failed: delete it");
const ESTABLISHED: Error = Error::CallerMisused("the security context is established already");

/// What a context that is still negotiating must not claim: that messages can be protected
/// (RFC 4178 section 3.1), or that it can be transferred.
const NOT_BEFORE_THE_END: u32 = GSS_C_PROT_READY_FLAG | GSS_C_TRANS_FLAG;

//! Security contexts: one token in, through the negotiation, one token out; and what can be asked
//! of a context, also while it is not established yet.
#![forbid(unsafe_code)]

use super::arg::{In, InOutHandle, Octets, OidIn, Out, OutHandle, OutOctets, OutOid, Status};
use super::credential::Shared;
use super::handle::{lock, read};
use super::inner::{Call, Held, Inner, Side, Token};
use super::name::Name;
use super::own::{self, HalfDone, Own};
use super::telling;
use crate::advice::{Trouble, advised};
use crate::error::{Error, Failure, Major, major};
use crate::glue::call::{self, ContextFacts};
use crate::glue::mech::GlueMech;
use crate::glue::owned::{self, Bindings};
use crate::glue::{Mechglue, neighbours};
use crate::negotiate::conversation::Conversation;
use crate::negotiate::{Acceptor, Initiator, Record, Reply};
use crate::oid::{self, Oid};
use crate::policy::Rules;
use crate::role::Role;
use crate::sys::{GSS_C_DELEG_FLAG, GSS_C_PROT_READY_FLAG, GSS_C_TRANS_FLAG};
use crate::trace;
use std::ffi::c_int;
use std::sync::{Mutex, OnceLock};

/// A security context of ours. Once established it does not change any more, so messages find the
/// mechanism's context without a lock.
pub(crate) struct Context {
    locally_initiated: bool,
    progress: Mutex<Progress>,
    established: OnceLock<Inner>,
}

/// The negotiation, and what it has come to, which stays when it is over.
struct Progress {
    negotiation: Negotiation,
    record: Record,
}

/// How far the negotiation is. What is spent is gone: a step that fails leaves [`Self::Failed`].
enum Negotiation {
    /// An initiator that waits for the acceptor.
    Initiating(Box<Negotiating<Conversation<Initiator<Inner>>>>),
    /// An acceptor that waits for the initiator.
    Accepting(Box<Negotiating<Conversation<Acceptor<Inner>>>>),
    /// Established; or a call was cut short.
    Over,
    /// Failed.
    Failed(Box<Failed>),
}

/// What is left of a negotiation that failed.
struct Failed {
    /// The mechanism that it had come to.
    mech: Option<Oid>,
    /// Why.
    sentences: Vec<String>,
}

/// One role's state between two tokens.
struct Negotiating<R> {
    role: R,
    held: Held,
}

impl Negotiation {
    /// The mechanism's context, as far as it has got.
    fn inner(&self) -> Option<&Inner> {
        match self {
            Self::Initiating(negotiating) => negotiating.role.role().mech(),
            Self::Accepting(negotiating) => negotiating.role.role().mech(),
            Self::Over | Self::Failed(_) => None,
        }
    }

    /// The mechanism that is being negotiated, as it was offered.
    fn pending(&self) -> Option<Oid> {
        match self {
            Self::Initiating(negotiating) => negotiating.role.role().offered(),
            Self::Accepting(negotiating) => negotiating.role.role().offered(),
            Self::Failed(failed) => failed.mech,
            Self::Over => None,
        }
    }
}

impl Context {
    fn negotiating(negotiation: Negotiation, record: Record) -> Self {
        Self {
            locally_initiated: matches!(negotiation, Negotiation::Initiating(_)),
            progress: Mutex::new(Progress {
                negotiation,
                record,
            }),
            established: OnceLock::new(),
        }
    }

    fn of_established(inner: Inner, record: Record, locally_initiated: bool) -> Self {
        Self {
            locally_initiated,
            progress: Mutex::new(Progress {
                negotiation: Negotiation::Over,
                record,
            }),
            established: OnceLock::from(inner),
        }
    }

    /// Whether another process could go on with it as it stands: with our own NTLM, when no message is
    /// in pieces.
    fn can_be_carried(&self) -> Result<bool, Error> {
        if self.established.get().is_some() {
            return Ok(false);
        }
        let negotiation = &lock(&self.progress)?.negotiation;
        let whole = match negotiation {
            Negotiation::Initiating(negotiating) => negotiating.role.is_whole(),
            Negotiation::Accepting(negotiating) => negotiating.role.is_whole(),
            Negotiation::Over | Negotiation::Failed(_) => false,
        };
        Ok(whole && matches!(negotiation.inner(), Some(Inner::Ntlm(_))))
    }

    /// Take it apart to be carried.
    pub(super) fn half_done(self) -> Option<HalfDone> {
        let Progress {
            negotiation,
            record,
        } = self.progress.into_inner().ok()?;
        let (taken, held, is_initiator) = match negotiation {
            Negotiation::Initiating(negotiating) => {
                let Negotiating { role, held } = *negotiating;
                (role.into_role().take_apart(&record)?, held, true)
            }
            Negotiation::Accepting(negotiating) => {
                let Negotiating { role, held } = *negotiating;
                (role.into_role().take_apart(&record)?, held, false)
            }
            Negotiation::Over | Negotiation::Failed(_) => return None,
        };
        let (negotiation, Inner::Ntlm(own)) = taken else {
            return None;
        };
        let size = held.max_output_token_size.map(u32::try_from);
        Some(HalfDone {
            own: *own,
            is_initiator,
            negotiation,
            max_output_token_size: size.transpose().ok()?,
        })
    }

    /// Put it together again.
    pub(super) fn of_half_done(half_done: HalfDone) -> Option<Self> {
        let octets = &half_done.negotiation;
        let inner = Inner::Ntlm(Box::new(half_done.own));
        let size = half_done.max_output_token_size;
        let held = Held::carried(size.map(Rules::token_size).transpose().ok()?);
        Some(if half_done.is_initiator {
            let (role, record) = Initiator::put_together(octets, inner)?;
            let role = Conversation::new(role);
            let negotiating = Box::new(Negotiating { role, held });
            Self::negotiating(Negotiation::Initiating(negotiating), record)
        } else {
            let (role, record) = Acceptor::put_together(octets, inner)?;
            let role = Conversation::new(role);
            let negotiating = Box::new(Negotiating { role, held });
            Self::negotiating(Negotiation::Accepting(negotiating), record)
        })
    }

    /// The mechanism's context, if it is established.
    #[inline]
    pub(super) fn established_now(&self) -> Option<&Inner> {
        self.established.get()
    }

    /// The mechanism's context, if it is established.
    ///
    /// # Errors
    /// `NoContext`: no per-message call works before the negotiation is over (RFC 4178 section
    /// 3.1).
    pub(crate) fn established(&self) -> Result<&Inner, Error> {
        if let Some(inner) = self.established.get() {
            return Ok(inner);
        }
        Err(match lock(&self.progress)?.negotiation {
            Negotiation::Over | Negotiation::Failed(_) => FAILED,
            Negotiation::Initiating(_) | Negotiation::Accepting(_) => UNFINISHED,
        })
    }

    /// Trace that the program gives a negotiation up that waits for the peer: neither it nor the
    /// mechanism need have said a word.
    #[cold]
    fn note_abandoned(&self) {
        let Ok(mut progress) = lock(&self.progress) else {
            return;
        };
        let Progress {
            negotiation,
            record,
        } = &mut *progress;
        match negotiation {
            Negotiation::Initiating(negotiating) => {
                let _scope = record.scope(Role::Initiator);
                warn(negotiating.role.role().offered(), NOT_HEARD);
            }
            Negotiation::Accepting(negotiating) => {
                let _scope = record.scope(Role::Acceptor);
                let waited = advised(NOT_ANSWERED.to_owned(), Some(&Trouble::Abandoned));
                warn(negotiating.role.role().offered(), &waited);
            }
            Negotiation::Over | Negotiation::Failed(_) => {}
        }
    }

    /// Look at the mechanism's context, as far as it has got.
    ///
    /// # Errors
    /// `NoContext` when the negotiation has failed: nothing is left then.
    fn with_inner<R>(&self, look: impl FnOnce(Option<&Inner>) -> R) -> Result<R, Error> {
        if let Some(inner) = self.established.get() {
            return Ok(look(Some(inner)));
        }
        match &lock(&self.progress)?.negotiation {
            Negotiation::Over | Negotiation::Failed(_) => Err(FAILED),
            negotiation => Ok(look(negotiation.inner())),
        }
    }

    /// Look at what the negotiation has come to.
    ///
    /// # Errors
    /// `Internal` after a panic in a call.
    pub(super) fn with_story<R>(&self, look: impl FnOnce(&Story<'_>) -> R) -> Result<R, Error> {
        let Progress {
            negotiation,
            record,
        } = &*lock(&self.progress)?;
        let established = self.established.get().map(Inner::mech).copied();
        let (stage, sentences) = match (negotiation, established) {
            (_, Some(_)) => (Stage::Established, &[][..]),
            (Negotiation::Failed(failed), None) => (Stage::Failed, &failed.sentences[..]),
            (Negotiation::Over, None) => (Stage::Failed, &[][..]),
            _ if record.is_chosen() => (Stage::Chosen, &[][..]),
            _ => (Stage::Pending, &[][..]),
        };
        Ok(look(&Story {
            mech: established.or_else(|| negotiation.pending()),
            stage,
            sentences,
            record,
        }))
    }
}

/// What a context can tell of its negotiation.
pub(super) struct Story<'a> {
    /// The mechanism that was taken, or the one whose token went with the offer.
    pub(super) mech: Option<Oid>,
    pub(super) stage: Stage,
    /// Why it failed.
    pub(super) sentences: &'a [String],
    pub(super) record: &'a Record,
}

/// How far a negotiation has come, as programs are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No mechanism has been agreed on.
    Pending,
    /// One has, and is not established.
    Chosen,
    /// It is established.
    Established,
    /// The negotiation failed.
    Failed,
}

/// What a step leaves.
enum Stepped {
    Negotiating(Negotiation),
    Established(Inner),
}

impl Stepped {
    fn of_initiator(role: Conversation<Initiator<Inner>>, complete: bool, held: Held) -> Self {
        if !complete {
            let negotiating = Box::new(Negotiating { role, held });
            return Self::Negotiating(Negotiation::Initiating(negotiating));
        }
        Self::finished(role.into_role().into_established())
    }

    fn of_acceptor(role: Conversation<Acceptor<Inner>>, complete: bool, held: Held) -> Self {
        if !complete {
            let negotiating = Box::new(Negotiating { role, held });
            return Self::Negotiating(Negotiation::Accepting(negotiating));
        }
        Self::finished(role.into_role().into_established())
    }

    fn finished(inner: Option<Inner>) -> Self {
        inner.map_or(Self::Negotiating(Negotiation::Over), Self::Established)
    }

    fn into_context(self, record: Record, locally_initiated: bool) -> Context {
        match self {
            Self::Negotiating(negotiation) => Context::negotiating(negotiation, record),
            Self::Established(inner) => Context::of_established(inner, record, locally_initiated),
        }
    }

    /// Go on in a context that exists; its negotiation is locked by the caller.
    fn store(self, context: &Context, negotiation: &mut Negotiation) {
        match self {
            Self::Negotiating(next) => *negotiation = next,
            // The negotiation was locked and not over, so nobody has established it before.
            Self::Established(inner) => drop(context.established.set(inner)),
        }
    }
}

/// The call's outs that both roles share, written once at the end.
struct Outs<'a> {
    glue: &'static Mechglue,
    audience: Audience,
    mech: OutOid<'a>,
    output: OutOctets<'a>,
    flags: Out<'a, u32>,
    lifetime: Out<'a, u32>,
}

impl Outs<'_> {
    fn settle(&mut self, step: &Stepped, reply: Reply) -> Status {
        if let Some(token) = reply.token {
            self.output.put(token);
        }
        match step {
            // Which mechanism it will be is told when it is established.
            Stepped::Negotiating(negotiation) => {
                if let Some(inner) = negotiation.inner() {
                    // Heimdal's programs are used to hear at once which mechanism is being tried.
                    if self.glue.is_heimdal() {
                        self.mech.put(inner.mech());
                    }
                    self.flags.put(inner.flags() & !NOT_BEFORE_THE_END);
                    self.lifetime.put(inner.last_lifetime());
                }
                Ok(major::CONTINUE_NEEDED)
            }
            Stepped::Established(inner) => {
                self.mech.put(self.audience.mech(inner));
                self.flags.put(self.audience.flags(inner));
                self.lifetime.put(inner.last_lifetime());
                Ok(major::COMPLETE)
            }
        }
    }

    /// A failed step: the peer's reject goes out with the error, as programs expect.
    fn fail(&mut self, failure: Failure) -> Status {
        if let Some(reject) = failure.reject {
            self.output.put(reject);
        }
        Err(failure.error)
    }
}

/// Who is told about an established context.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Anybody: of the mechanism that was negotiated.
    Any,
    /// A server of Cyrus SASL over Heimdal. It makes the initiator's name canonical for the mechanism
    /// that it is told, and Heimdal has that name for SPNEGO alone. It is told SPNEGO, and gets no
    /// delegated credential: for SPNEGO alone, it would not serve the one mechanism that SASL would use
    /// it with, and the server's own would take its place.
    CyrusSasl,
}

impl Audience {
    fn of(glue: &'static Mechglue, step: &Stepped) -> Self {
        let established = matches!(step, Stepped::Established(_));
        if established && glue.is_heimdal() && neighbours::has_cyrus_sasl() {
            return Self::CyrusSasl;
        }
        Self::Any
    }

    fn mech(self, inner: &Inner) -> &Oid {
        match self {
            Self::Any => inner.told(),
            Self::CyrusSasl => &oid::SPNEGO,
        }
    }

    fn flags(self, inner: &Inner) -> u32 {
        match self {
            Self::Any => inner.flags(),
            Self::CyrusSasl => inner.flags() & !GSS_C_DELEG_FLAG,
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.19"
)]
pub(super) fn init_sec_context(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
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
    let mut outs = Outs {
        glue,
        audience: Audience::Any,
        mech,
        output,
        flags: ret_flags,
        lifetime: time_rec,
    };
    let cred = cred.given()?.map(read).transpose()?;
    let side = Side::Initiator {
        target: target.given()?,
        flags,
        lifetime,
    };
    let credential = cred.as_deref();
    let step = |role: Conversation<_>, held: &mut Held, record: &mut Record, token| {
        role.step(
            token,
            &mut Call::new(glue, side, credential, bindings, held, record),
        )
    };
    let Some(there) = context.given()? else {
        let mut record = Record::default();
        let mut held = Held::begin(glue, side, credential);
        let _scope = telling::begin(glue, &mut record, &held, side);
        let token = token.given().filter(|token| !token.is_empty());
        // Nothing has been sent yet: no reject is owed, and no context is left.
        let begun = Conversation::new(Initiator::default());
        let (role, reply) = step(begun, &mut held, &mut record, token).map_err(|failure| {
            telling::failed(&record, &failure.error);
            failure.error
        })?;
        let made = Stepped::of_initiator(role, reply.complete, held);
        made.tell(glue, &record);
        let status = outs.settle(&made, reply)?;
        context.put(made.into_context(record, true));
        return Ok(status);
    };
    let Progress {
        negotiation,
        record,
    } = &mut *lock(&there.progress)?;
    let Negotiating { role, mut held } = match std::mem::replace(negotiation, Negotiation::Over) {
        Negotiation::Initiating(negotiating) => *negotiating,
        other => return Err(there.misused(negotiation, other)),
    };
    let _scope = record.scope(Role::Initiator);
    let offered = role.role().offered();
    match step(role, &mut held, record, Some(token.bytes())) {
        Ok((role, reply)) => {
            let next = Stepped::of_initiator(role, reply.complete, held);
            next.tell(glue, record);
            let status = outs.settle(&next, reply)?;
            next.store(there, negotiation);
            Ok(status)
        }
        Err(failure) => {
            *negotiation = Negotiation::failed(offered, record, &failure.error);
            // Heimdal forgets an initiator's token with the error, and its memory.
            if glue.is_heimdal() {
                return Err(failure.error);
            }
            outs.fail(failure)
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.1"
)]
pub(super) fn accept_sec_context(
    glue: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    cred: In<'_, Shared>,
    token: Octets<'_>,
    bindings: Bindings<'_>,
    mut source: OutHandle<'_, Name>,
    mech: OutOid<'_>,
    output: OutOctets<'_>,
    ret_flags: Out<'_, u32>,
    time_rec: Out<'_, u32>,
    mut delegated: OutHandle<'_, Shared>,
) -> Status {
    let mut outs = Outs {
        glue,
        audience: Audience::Any,
        mech,
        output,
        flags: ret_flags,
        lifetime: time_rec,
    };
    let cred = cred.given()?.map(read).transpose()?;
    let side = Side::Acceptor {
        wants_source: source.is_wanted(),
        wants_delegated: delegated.is_wanted(),
    };
    let credential = cred.as_deref();
    let step = |role: Conversation<_>, held: &mut Held, record: &mut Record| {
        role.step(
            Some(token.bytes()),
            &mut Call::new(glue, side, credential, bindings, held, record),
        )
    };
    let Some(there) = context.given()? else {
        let mut record = Record::default();
        let mut held = Held::begin(glue, side, credential);
        let _scope = telling::begin(glue, &mut record, &held, side);
        let begun = Conversation::new(Acceptor::default());
        let (role, reply) = match step(begun, &mut held, &mut record) {
            Ok(stepped) => stepped,
            Err(failure) => {
                telling::failed(&record, &failure.error);
                return outs.fail(failure);
            }
        };
        let mut made = Stepped::of_acceptor(role, reply.complete, held);
        made.tell(glue, &record);
        outs.audience = Audience::of(glue, &made);
        hand_over(outs.audience, &mut made, &mut source, &mut delegated)?;
        let status = outs.settle(&made, reply)?;
        context.put(made.into_context(record, false));
        return Ok(status);
    };
    let Progress {
        negotiation,
        record,
    } = &mut *lock(&there.progress)?;
    let Negotiating { role, mut held } = match std::mem::replace(negotiation, Negotiation::Over) {
        Negotiation::Accepting(negotiating) => *negotiating,
        other => return Err(there.misused(negotiation, other)),
    };
    let _scope = record.scope(Role::Acceptor);
    let offered = role.role().offered();
    match step(role, &mut held, record) {
        Ok((role, reply)) => {
            let mut next = Stepped::of_acceptor(role, reply.complete, held);
            next.tell(glue, record);
            outs.audience = Audience::of(glue, &next);
            hand_over(outs.audience, &mut next, &mut source, &mut delegated)?;
            let status = outs.settle(&next, reply)?;
            next.store(there, negotiation);
            Ok(status)
        }
        Err(failure) => {
            *negotiation = Negotiation::failed(offered, record, &failure.error);
            outs.fail(failure)
        }
    }
}

impl Negotiation {
    /// A step failed; what can be told of it stays until the context is deleted.
    #[cold]
    fn failed(mech: Option<Oid>, record: &Record, error: &Error) -> Self {
        telling::failed(record, error);
        let sentences = error.sentences();
        Self::Failed(Box::new(Failed { mech, sentences }))
    }
}

impl Stepped {
    /// Trace the end of a negotiation that has come to it.
    #[inline]
    fn tell(&self, glue: &'static Mechglue, record: &Record) {
        if let Self::Established(inner) = self {
            telling::established(glue, inner, record);
        }
    }
}

impl Context {
    /// Set the maximum output token size, in octets, for the tokens that are still to be sent.
    fn limit_tokens(&self, size: usize) -> Status {
        let progress = &mut lock(&self.progress)?;
        let held = match &mut progress.negotiation {
            Negotiation::Initiating(negotiating) => &mut negotiating.held,
            Negotiation::Accepting(negotiating) => &mut negotiating.held,
            Negotiation::Over | Negotiation::Failed(_) => {
                return Err(Error::CallerMisused(
                    "no token is left to be sent on this context",
                ));
            }
        };
        held.max_output_token_size = Some(size);
        Ok(major::COMPLETE)
    }

    /// Put back what a call of the wrong role, or one that comes too late, has found.
    fn misused(&self, negotiation: &mut Negotiation, found: Negotiation) -> Error {
        let error = match found {
            Negotiation::Initiating(_) => Error::CallerMisused("the context is an initiator's"),
            Negotiation::Accepting(_) => Error::CallerMisused("the context is an acceptor's"),
            Negotiation::Over if self.established.get().is_some() => ESTABLISHED,
            Negotiation::Over | Negotiation::Failed(_) => FAILED,
        };
        *negotiation = found;
        error
    }
}

/// Names and delegated credentials go to the application at the end, once, as the mechanism
/// reported them.
fn hand_over(
    audience: Audience,
    step: &mut Stepped,
    source: &mut OutHandle<'_, Name>,
    delegated: &mut OutHandle<'_, Shared>,
) -> Result<(), Error> {
    let Stepped::Established(inner) = step else {
        return Ok(());
    };
    if source.is_wanted() {
        if let Some(name) = inner.take_source()? {
            source.put(name);
        }
    }
    if audience.flags(inner) & GSS_C_DELEG_FLAG != 0 {
        if let Some(cred) = inner.take_delegated() {
            delegated.put_raw(cred.into_raw());
        }
    }
    Ok(())
}

pub(super) fn delete_sec_context(
    _: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    _: OutOctets<'_>,
) -> Status {
    if trace::on() {
        if let Ok(Some(context)) = context.given() {
            context.note_abandoned();
        }
    }
    drop(context.take());
    Ok(major::COMPLETE)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of RFC 2744 section 5.21"
)]
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
    let context = context.given()?.ok_or(NO_CONTEXT)?;
    let (wants_source, wants_target) = (source.is_wanted(), target.is_wanted());
    let facts = context.with_inner(|inner| {
        inner.map_or(Ok(Facts::default()), |inner| {
            inner.facts(wants_source, wants_target)
        })
    })??;
    let established = context.established.get();
    if let Some(name) = facts.source {
        source.put(name);
    }
    if let Some(name) = facts.target {
        target.put(name);
    }
    lifetime.put(facts.lifetime);
    // Until the negotiation is over the mechanism is SPNEGO, and neither protection nor transfer
    // is ready, whatever the inner one says (RFC 4178 section 3.1).
    mech.put(&match established {
        Some(inner) => facts.mech.unwrap_or(*inner.mech()),
        None => oid::SPNEGO,
    });
    flags.put(match established {
        Some(_) => facts.flags,
        None => facts.flags & !NOT_BEFORE_THE_END,
    });
    locally_initiated.put(c_int::from(context.locally_initiated));
    open.put(c_int::from(established.is_some()));
    Ok(major::COMPLETE)
}

/// Options are the mechanism's; without a context there is no mechanism to take one.
pub(super) fn set_sec_context_option(
    _: &'static Mechglue,
    context: InOutHandle<'_, Context>,
    option: OidIn<'_>,
    value: Octets<'_>,
) -> Status {
    // Heimdal asks every mechanism, with no context at all, for each of its global options.
    if context.is_nowhere() {
        return Ok(major::UNAVAILABLE);
    }
    let Some(context) = context.given()? else {
        return Err(Error::Unavailable(
            "the option is for a context that does not exist yet",
        ));
    };
    let option = option
        .value()
        .ok_or(Error::Missing("an option is named by an OID"))?;
    if option == oid::MAX_OUTPUT_TOKEN_SIZE {
        let size = Rules::token_size_option(value.bytes()).map_err(Error::CallerMisused)?;
        return context.limit_tokens(size);
    }
    context.with_inner(|inner| match inner {
        Some(inner) => inner.set_option(&option, value.bytes()),
        None => Err(UNFINISHED),
    })?
}

/// The token is the mechanism's own interprocess token, as the built-in SPNEGO has it, so that any
/// SPNEGO of this machine can take it in.
/// A half-done context of our own NTLM goes as well, where the glue would give it back: MIT's hands
/// what it exported to its built-in SPNEGO, which takes established contexts alone.
pub(super) fn export_sec_context(
    glue: &'static Mechglue,
    mut context: InOutHandle<'_, Context>,
    mut token: OutOctets<'_>,
) -> Status {
    let there = context.given()?.ok_or(NO_CONTEXT)?;
    if glue.is_heimdal() && there.can_be_carried()? {
        let taken = context.take().map(|handle| handle.into_value());
        let taken = taken.and_then(Context::half_done);
        token.put(taken.ok_or(UNFINISHED)?.export()?);
        return Ok(major::COMPLETE);
    }
    there.established()?;
    let Some(taken) = context.take().map(|handle| handle.into_value()) else {
        return Err(NO_CONTEXT);
    };
    let Some(inner) = taken.established.into_inner() else {
        return Err(UNFINISHED);
    };
    let (exported, left) = inner.export();
    if let Some(inner) = left {
        context.put(Context::of_established(
            inner,
            Record::default(),
            taken.locally_initiated,
        ));
    }
    match exported? {
        Token::Glue(exported) => token.put_buffer(exported),
        Token::Own(exported) => token.put(exported),
    }
    Ok(major::COMPLETE)
}

pub(super) fn import_sec_context(
    glue: &'static Mechglue,
    token: Octets<'_>,
    mut context: OutHandle<'_, Context>,
) -> Status {
    let token = token.bytes();
    if let Some(half_done) = HalfDone::import(glue, token) {
        let taken_up = Context::of_half_done(half_done);
        let Some(taken_up) = taken_up else {
            return Ok(major::DEFECTIVE_TOKEN);
        };
        context.put(taken_up);
        return Ok(major::COMPLETE);
    }
    if let Some(imported) = Own::import(glue, token) {
        let locally_initiated = imported.is_initiator();
        let inner = Inner::Ntlm(Box::new(imported));
        context.put(Context::of_established(
            inner,
            Record::default(),
            locally_initiated,
        ));
        return Ok(major::COMPLETE);
    }
    if own::is_enveloped(token) {
        return Ok(major::DEFECTIVE_TOKEN);
    }
    let imported = call::import_context(glue, token)?;
    let facts = call::inquire_context(&imported, false, false)?;
    let mech = facts.mech.unwrap_or(oid::KRB5);
    let inner = Inner::Glue(GlueMech::imported(&mech, imported, facts.flags));
    context.put(Context::of_established(
        inner,
        Record::default(),
        facts.locally_initiated,
    ));
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

/// What can be told of an inner context.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) source: Option<Name>,
    pub(super) target: Option<Name>,
    /// Seconds left.
    lifetime: u32,
    mech: Option<Oid>,
    flags: u32,
}

impl Inner {
    /// The mechanism, by its own identifier.
    pub(crate) fn mech(&self) -> &Oid {
        match self {
            Self::Glue(mech) => mech.mech(),
            Self::Ntlm(_) => &oid::NTLMSSP,
        }
    }

    /// The mechanism as the application is told of it. An initiator's is told as it is: there the
    /// glue looks nothing up.
    fn told(&self) -> &Oid {
        match self {
            Self::Ntlm(mech) if !mech.is_initiator() => mech.told(),
            _ => self.mech(),
        }
    }

    /// The flags it reported last.
    pub(crate) fn flags(&self) -> u32 {
        match self {
            Self::Glue(mech) => mech.flags(),
            Self::Ntlm(mech) => mech.flags(),
        }
    }

    /// Seconds left when its last leg was run.
    fn last_lifetime(&self) -> u32 {
        match self {
            Self::Glue(mech) => mech.lifetime(),
            Self::Ntlm(_) => INDEFINITE,
        }
    }

    pub(super) fn facts(&self, wants_source: bool, wants_target: bool) -> Result<Facts, Error> {
        match self {
            Self::Glue(mech) => {
                let facts = match mech.context() {
                    Some(context) => call::inquire_context(context, wants_source, wants_target)?,
                    None => ContextFacts::default(),
                };
                Ok(Facts {
                    source: facts.source.map(Name::of_glue),
                    target: facts.target.map(Name::of_glue),
                    lifetime: facts.lifetime,
                    mech: facts.mech,
                    flags: facts.flags,
                })
            }
            Self::Ntlm(mech) => Ok(Facts {
                source: mech.source().filter(|_| wants_source),
                target: mech.target().filter(|_| wants_target),
                lifetime: INDEFINITE,
                mech: Some(*mech.told()),
                flags: mech.flags(),
            }),
        }
    }

    fn set_option(&self, option: &Oid, value: &[u8]) -> Result<Major, Error> {
        match self {
            Self::Glue(mech) => {
                call::set_context_option(mech.context().ok_or(FAILED)?, option, value)
            }
            Self::Ntlm(_) => Err(Error::Unavailable("our own NTLM has no options")),
        }
    }

    /// The initiator's name: what the mechanism reported, or, when its last leg was before this
    /// call, what it says now.
    fn take_source(&mut self) -> Result<Option<Name>, Error> {
        match self {
            Self::Glue(mech) => {
                let name = match (mech.take_source(), mech.context()) {
                    (Some(name), _) => Some(name),
                    (None, Some(context)) => call::inquire_context(context, true, false)?.source,
                    (None, None) => None,
                };
                Ok(name.map(Name::of_glue))
            }
            Self::Ntlm(mech) => Ok(mech.source()),
        }
    }

    fn take_delegated(&mut self) -> Option<owned::Cred> {
        match self {
            Self::Glue(mech) => mech.take_delegated(),
            Self::Ntlm(_) => None,
        }
    }

    fn export(self) -> (Result<Token, Error>, Option<Self>) {
        match self {
            Self::Glue(mech) => {
                let (oid, flags) = (*mech.mech(), mech.flags());
                let Some(context) = mech.into_context() else {
                    return (Err(FAILED), None);
                };
                let (token, left) = call::export_context(context);
                let left = left.map(|left| Self::Glue(GlueMech::imported(&oid, left, flags)));
                (token.map(Token::Glue), left)
            }
            Self::Ntlm(mech) => (mech.export().map(Token::Own), None),
        }
    }
}

fn warn(mech: Option<Oid>, reason: &str) {
    if let Some(mech) = mech {
        trace!(Warned {
            mech: &mech,
            reason
        });
    }
}

/// curl does so when it has its page.
const NOT_HEARD: &str = "given up by the program while the acceptor's next token was to come: \
                         nothing has proved who the acceptor is";
const NOT_ANSWERED: &str = "given up by the program while the initiator's next token was to come";

/// GSS_C_INDEFINITE: NTLM's contexts do not expire.
pub(super) const INDEFINITE: u32 = u32::MAX;

pub(super) const NO_CONTEXT: Error = Error::NoContext("a security context is needed here");
const UNFINISHED: Error =
    Error::NoContext("the security context is not established: the negotiation is not over");
const FAILED: Error = Error::NoContext("the security context failed: delete it");
const ESTABLISHED: Error = Error::CallerMisused("the security context is established already");

/// What a context that is still negotiating must not claim: that messages can be protected
/// (RFC 4178 section 3.1), or that it can be transferred.
const NOT_BEFORE_THE_END: u32 = GSS_C_PROT_READY_FLAG | GSS_C_TRANS_FLAG;

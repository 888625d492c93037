//! GSS_Init_sec_context and GSS_Accept_sec_context: one leg of a negotiation, and what the
//! application is told of it.
#![forbid(unsafe_code)]

use super::{
    Context, ESTABLISHED, FAILED, Failed, NOT_BEFORE_THE_END, Negotiating, Negotiation, Progress,
};
use crate::bare;
use crate::credential::Shared;
use crate::inner::{Call, Held, Inner, Side};
use crate::name::Name;
use crate::neighbours;
use crate::telling;
use args::{In, InOutHandle, MechIn, Octets, Out, OutHandle, OutOctets, OutOid, Status};
use args::{lock, read};
use gssapi::Mechglue;
use gssapi::owned::Bindings;
use gssapi::sys::GSS_C_DELEG_FLAG;
use spnego::error::{Error, Failure, major};
use spnego::negotiate::conversation::Conversation;
use spnego::negotiate::{Acceptor, Initiator, Record, Reply};
use spnego::oid::{self, Oid};
use spnego::role::Role;

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
pub(crate) fn init_sec_context(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    mut context: InOutHandle<'_, Context>,
    target: In<'_, Name>,
    _: MechIn<'_>,
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
    let cred = cred.given()?.map(|cred| read(cred)).transpose()?;
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
pub(crate) fn accept_sec_context(
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
    if !glue.is_heimdal() && context.given()?.is_none() && bare::is_token(&token) {
        return bare::accept_sec_context(
            glue, context, cred, token, bindings, source, mech, output, ret_flags, time_rec,
            delegated,
        );
    }
    let mut outs = Outs {
        glue,
        audience: Audience::Any,
        mech,
        output,
        flags: ret_flags,
        lifetime: time_rec,
    };
    let cred = cred.given()?.map(|cred| read(cred)).transpose()?;
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

impl Context {
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

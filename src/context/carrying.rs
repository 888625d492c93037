//! Contexts that go from one process to another, established or, with our own NTLM, half-done.
#![forbid(unsafe_code)]

use super::{Context, NO_CONTEXT, Negotiating, Negotiation, Progress, UNFINISHED};
use crate::inner::{Held, Inner, Token};
use crate::own;
use crate::own::{HalfDone, Own};
use args::lock;
use args::{InOutHandle, MechIn, Octets, OutHandle, OutOctets, Status};
use gssapi::mech::GlueMech;
use gssapi::{Mechglue, call};
use spnego::error::{Error, major};
use spnego::negotiate::conversation::Conversation;
use spnego::negotiate::{Acceptor, Initiator, Record};
use spnego::oid;
use spnego::policy::Rules;

impl Context {
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
    pub(crate) fn half_done(self) -> Option<HalfDone> {
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
    pub(crate) fn of_half_done(half_done: HalfDone) -> Option<Self> {
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
}

/// The token is the mechanism's own interprocess token, as the built-in SPNEGO has it, so that any
/// SPNEGO of this machine can take it in.
/// A half-done context of our own NTLM goes as well, where the glue would give it back: MIT's hands
/// what it exported to its built-in SPNEGO, which takes established contexts alone.
pub(crate) fn export_sec_context(
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

pub(crate) fn import_sec_context(
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

pub(crate) fn import_sec_context_by_mech(
    glue: &'static Mechglue,
    _: MechIn<'_>,
    token: Octets<'_>,
    context: OutHandle<'_, Context>,
) -> Status {
    import_sec_context(glue, token, context)
}

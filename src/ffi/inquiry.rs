//! What a context and a credential tell of a negotiation, by identifiers of our own; every other
//! question goes to the mechanism. The shapes of the answers are in `include/gss_spnego.h`.
#![forbid(unsafe_code)]

use super::arg::{In, OidIn, OutSet, Status};
use super::context::{Context, NO_CONTEXT, Stage, Story};
use super::credential::{NO_CREDENTIAL, Shared};
use super::handle::{Lend, Lent, read};
use super::message;
use crate::error::{Error, major};
use crate::glue::{Mechglue, call};
use crate::negotiate::MicState;
use crate::oid::{self, Oid};

pub(super) fn inquire_sec_context_by_oid(
    glue: &'static Mechglue,
    context: In<'_, Context>,
    object: OidIn<'_>,
    mut data: OutSet<'_>,
) -> Status {
    let question = object.value();
    if let Some(question) = question.filter(oid::is_inquiry) {
        let answer = context
            .given()?
            .ok_or(NO_CONTEXT)?
            .with_story(|story| story.answer(&question))??;
        data.put(call::buffer_set(glue, &answer)?);
        return Ok(major::COMPLETE);
    }
    let (Some(lent), Some(question)) = (context.lend(glue), question) else {
        return message::gss_inquire_sec_context_by_oid(glue, context, object, data);
    };
    let (status, answer) = call::inquire_context_by_oid(glue, lent.mech_context(), &question)?;
    if let Some(answer) = answer {
        data.put(answer);
    }
    Ok(status)
}

//! What a context and a credential tell of a negotiation, by identifiers of our own. The shapes of
//! the answers are in `include/gss_spnego.h`.
#![forbid(unsafe_code)]

use super::context::{Context, NO_CONTEXT, Stage, Story};
use super::credential::{NO_CREDENTIAL, Shared};
use args::read;
use args::{In, OidIn, OutSet, Status};
use gssapi::{Mechglue, call};
use spnego::answer::*;
use spnego::error::{Error, major};
use spnego::negotiate::MicState;
use spnego::oid::{self, Oid, inquiry};

/// Whether it is for us to answer, and not for the mechanism.
pub(super) fn is_ours(object: &OidIn<'_>) -> bool {
    object
        .value()
        .is_some_and(|object| oid::is_inquiry(&object))
}

/// A question of ours to a context, in whatever state the glue lets it through.
pub(super) fn gss_inquire_sec_context_by_oid(
    glue: &'static Mechglue,
    context: In<'_, Context>,
    object: OidIn<'_>,
    mut data: OutSet<'_>,
) -> Status {
    let object = object.value().ok_or(UNKNOWN)?;
    let context = context.given()?.ok_or(NO_CONTEXT)?;
    let answer = context.with_story(|story| story.answer(&object))??;
    data.put(call::buffer_set(glue, &answer)?);
    Ok(major::COMPLETE)
}

/// A question of ours to a credential.
pub(super) fn gss_inquire_cred_by_oid(
    glue: &'static Mechglue,
    cred: In<'_, Shared>,
    object: OidIn<'_>,
    mut data: OutSet<'_>,
) -> Status {
    if object.value() != Some(inquiry::NEG_MECHS) {
        return Err(UNKNOWN);
    }
    let cred = read(cred.given()?.ok_or(NO_CREDENTIAL)?)?;
    let answer: Vec<_> = cred.usable().iter().map(mech).collect();
    data.put(call::buffer_set(glue, &answer)?);
    Ok(major::COMPLETE)
}

impl Story<'_> {
    fn answer(&self, object: &Oid) -> Result<Vec<Vec<u8>>, Error> {
        let record = self.record;
        Ok(match *object {
            inquiry::OFFERED => record.offered().map(|offered| mech(&offered)).collect(),
            inquiry::MECH => self.mech.iter().map(mech).collect(),
            inquiry::STATE => vec![number(self.stage.code())],
            inquiry::MIC => vec![number(code(record.mic()))],
            inquiry::DROPPED => record
                .dropped()
                .iter()
                .flat_map(|error| [mech(&error.mech), error.reason.clone().into_bytes()])
                .collect(),
            inquiry::SUMS => {
                let sums = record.sums();
                let octets = |count: u64| number(u32::try_from(count).unwrap_or(u32::MAX));
                vec![
                    number(sums.rounds),
                    octets(sums.received),
                    octets(sums.sent),
                ]
            }
            inquiry::RULE => vec![record.rule().as_bytes().to_vec()],
            inquiry::REASONS => {
                let sentences = self.sentences.iter();
                sentences
                    .map(|sentence| sentence.clone().into_bytes())
                    .collect()
            }
            _ => return Err(UNKNOWN),
        })
    }
}

impl Stage {
    fn code(self) -> u32 {
        match self {
            Self::Pending => GSS_SPNEGO_STATE_PENDING,
            Self::Chosen => GSS_SPNEGO_STATE_CHOSEN,
            Self::Established => GSS_SPNEGO_STATE_ESTABLISHED,
            Self::Failed => GSS_SPNEGO_STATE_FAILED,
        }
    }
}

fn code(mic: MicState) -> u32 {
    match mic {
        MicState::NotNeeded => GSS_SPNEGO_MIC_NOT_NEEDED,
        MicState::Required => GSS_SPNEGO_MIC_REQUIRED,
        MicState::Sent => GSS_SPNEGO_MIC_SENT,
        MicState::Verified => GSS_SPNEGO_MIC_VERIFIED,
        MicState::Impossible => GSS_SPNEGO_MIC_IMPOSSIBLE,
        MicState::Failed => GSS_SPNEGO_MIC_FAILED,
    }
}

fn mech(mech: &Oid) -> Vec<u8> {
    mech.content().to_vec()
}

fn number(value: u32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

const UNKNOWN: Error = Error::Unavailable("gss-spnego does not know the object that is asked for");

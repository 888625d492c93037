//! Security contexts: one token in, through the negotiation, one token out; and what can be asked
//! of a context, also while it is not established yet.
#![forbid(unsafe_code)]

mod carrying;
mod inner;
mod legs;

pub(super) use carrying::{export_sec_context, import_sec_context, import_sec_context_by_mech};
pub(super) use inner::Facts;
pub(super) use legs::{accept_sec_context, init_sec_context};

use super::inner::{Held, Inner};
use super::name::Name;
use args::lock;
use args::{In, InOutHandle, Octets, OidIn, Out, OutHandle, OutOctets, OutOid, Status};
use gssapi::Mechglue;
use gssapi::sys::{GSS_C_PROT_READY_FLAG, GSS_C_TRANS_FLAG};
use spnego::advice::{Trouble, advised};
use spnego::error::{Error, major};
use spnego::negotiate::conversation::{Conversation, Unfinished};
use spnego::negotiate::{Acceptor, Initiator, Record};
use spnego::oid::Oid;
use spnego::policy::Rules;
use spnego::role::Role;
use spnego::{oid, trace};
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

impl Negotiation {
    /// What is missing of a message that has arrived in part.
    fn missing(&self) -> Option<String> {
        let unfinished = match self {
            Self::Initiating(negotiating) => negotiating.role.unfinished(),
            Self::Accepting(negotiating) => negotiating.role.unfinished(),
            Self::Over | Self::Failed(_) => None,
        };
        match unfinished? {
            Unfinished::Received { so_far, announced } => Some(match announced {
                Some(announced) => {
                    format!("{so_far} of {announced} octets of a message have arrived")
                }
                None => format!("{so_far} octets of a message have arrived, and not its length"),
            }),
            Unfinished::Sent { .. } => None,
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
                tell_unfinished(negotiating.role.unfinished());
                warn(negotiating.role.role().offered(), NOT_HEARD);
            }
            Negotiation::Accepting(negotiating) => {
                let _scope = record.scope(Role::Acceptor);
                tell_unfinished(negotiating.role.unfinished());
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
        let missing = negotiation.missing();
        let (stage, sentences) = match (negotiation, established) {
            (_, Some(_)) => (Stage::Established, &[][..]),
            (Negotiation::Failed(failed), None) => (Stage::Failed, &failed.sentences[..]),
            (Negotiation::Over, None) => (Stage::Failed, &[][..]),
            _ if record.is_chosen() => (Stage::Chosen, missing.as_slice()),
            _ => (Stage::Pending, missing.as_slice()),
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
    /// Why it failed, or what it waits for in the middle of a message.
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

fn tell_unfinished(message: Option<Unfinished>) {
    match message {
        None => {}
        Some(Unfinished::Received { so_far, announced }) => {
            trace!(NeverReceived { so_far, announced });
        }
        Some(Unfinished::Sent { left }) => trace!(NeverSent { left }),
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

//! What the context of an inner mechanism tells, takes and gives, whichever kind it is.
#![forbid(unsafe_code)]

use super::{FAILED, INDEFINITE, UNFINISHED};
use crate::inner::{Inner, Token};
use crate::name::Name;
use gssapi::call::ContextFacts;
use gssapi::mech::GlueMech;
use gssapi::{call, owned};
use spnego::error::{Error, Major};
use spnego::oid::{self, Oid};

/// What can be told of an inner context.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) source: Option<Name>,
    pub(crate) target: Option<Name>,
    /// Seconds left.
    pub(super) lifetime: u32,
    pub(super) mech: Option<Oid>,
    pub(super) flags: u32,
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
    pub(super) fn told(&self) -> &Oid {
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
    pub(super) fn last_lifetime(&self) -> u32 {
        match self {
            Self::Glue(mech) => mech.lifetime(),
            Self::Ntlm(_) => INDEFINITE,
        }
    }

    pub(crate) fn facts(&self, wants_source: bool, wants_target: bool) -> Result<Facts, Error> {
        match self {
            Self::Glue(mech) => {
                let facts = match mech.established() {
                    Some(context) => {
                        let is_ntlm = *mech.mech() == oid::NTLMSSP;
                        let facts =
                            call::inquire_context(context, wants_source, wants_target && !is_ntlm)?;
                        // gss-ntlmssp 1.2 crashes when asked for the target of an acceptor's.
                        if wants_target && is_ntlm && facts.locally_initiated {
                            call::inquire_context(context, wants_source, true)?
                        } else {
                            facts
                        }
                    }
                    // It may be empty, or its mechanism may not stand the question.
                    None => ContextFacts {
                        flags: mech.flags(),
                        ..ContextFacts::default()
                    },
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

    pub(super) fn set_option(&self, option: &Oid, value: &[u8]) -> Result<Major, Error> {
        match self {
            Self::Glue(mech) => {
                call::set_context_option(mech.established().ok_or(UNFINISHED)?, option, value)
            }
            Self::Ntlm(_) => Err(Error::Unavailable("our own NTLM has no options")),
        }
    }

    /// The initiator's name: what the mechanism reported, or, when its last leg was before this
    /// call, what it says now.
    pub(super) fn take_source(&mut self) -> Result<Option<Name>, Error> {
        match self {
            Self::Glue(mech) => {
                let name = match (mech.take_source(), mech.established()) {
                    (Some(name), _) => Some(name),
                    (None, Some(context)) => call::inquire_context(context, true, false)?.source,
                    (None, None) => None,
                };
                Ok(name.map(Name::of_glue))
            }
            Self::Ntlm(mech) => Ok(mech.source()),
        }
    }

    pub(super) fn take_delegated(&mut self) -> Option<owned::Cred> {
        match self {
            Self::Glue(mech) => mech.take_delegated(),
            Self::Ntlm(_) => None,
        }
    }

    pub(super) fn export(self) -> (Result<Token, Error>, Option<Self>) {
        match self {
            Self::Glue(mech) => {
                let (oid, flags) = (*mech.mech(), mech.flags());
                let Some(context) = mech.into_established() else {
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

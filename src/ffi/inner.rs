//! The inner mechanisms of one call: which may be used, what vouches for each, and the way to run
//! them. The only place that knows that there are several kinds of mechanism.
#![forbid(unsafe_code)]

use super::arg::channel;
use super::credential::Credential;
use super::name::Name;
use super::own::{self, Own, Users};
use crate::advice::{Trouble, advised};
use crate::error::{Cause, Error, MechError, major};
use crate::glue::mech::{self, Accept, Acquire, GlueMech, Initiate, Source};
use crate::glue::owned::{self, Bindings, Buffer, Cred, Store};
use crate::glue::{Mechglue, availability};
use crate::negotiate::{Mech, Mechs, Step};
use crate::oid::{self, Oid};
use crate::policy::{self, Rules};
use crate::sys::{GSS_C_ACCEPT, GSS_C_INITIATE, GSS_C_INTEG_FLAG};
use std::ffi::c_int;
use std::sync::Arc;

/// A context of an inner mechanism of whatever kind.
pub(crate) enum Inner {
    /// One behind the glue.
    Glue(GlueMech),
    /// Our own NTLM.
    Ntlm(Box<Own>),
}

/// A mechanism's token, where the mechanism put it.
pub(crate) enum Token {
    /// In a buffer of the glue's.
    Glue(Buffer),
    /// In memory of ours.
    Own(Vec<u8>),
}

impl AsRef<[u8]> for Token {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Glue(buffer) => buffer.as_ref(),
            Self::Own(octets) => octets,
        }
    }
}

impl Mech for Inner {
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechError> {
        match self {
            Self::Glue(mech) => mech.sign(message),
            Self::Ntlm(mech) => mech.sign(message),
        }
    }

    fn verify(&mut self, message: &[u8], mic: &[u8]) -> Result<(), MechError> {
        match self {
            Self::Glue(mech) => mech.verify(message, mic),
            Self::Ntlm(mech) => mech.verify(message, mic),
        }
    }

    fn integrity(&self) -> bool {
        match self {
            Self::Glue(mech) => mech.integrity(),
            Self::Ntlm(mech) => mech.integrity(),
        }
    }

    fn demands_mic(&mut self) -> bool {
        match self {
            Self::Glue(mech) => mech.demands_mic(),
            Self::Ntlm(mech) => mech.demands_mic(),
        }
    }
}

/// What one context holds until it is established: credentials acquired because its caller gave
/// none, each at most once, the target as a name of the glue's, and what was set for it alone.
#[derive(Default)]
pub(crate) struct Held {
    /// The maximum output token size in octets, when the caller set one for this context.
    pub(crate) max_output_token_size: Option<usize>,
    creds: Vec<(Oid, Cred)>,
    users: Option<Users>,
    target: Option<owned::Name>,
}

/// One call of init or accept: its arguments, and the credentials its context holds.
pub(crate) struct Call<'a> {
    glue: &'static Mechglue,
    side: Side<'a>,
    credential: Option<&'a Credential>,
    bindings: Bindings<'a>,
    held: &'a mut Held,
    rules: Rules,
}

/// What only one role's call has.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a> {
    /// GSS_Init_sec_context.
    Initiator {
        /// Whom to reach.
        target: Option<&'a Name>,
        /// Request flags.
        flags: u32,
        /// Desired lifetime in seconds.
        lifetime: u32,
    },
    /// GSS_Accept_sec_context.
    Acceptor {
        /// The caller wants the initiator's name.
        wants_source: bool,
        /// The caller takes a delegated credential.
        wants_delegated: bool,
    },
}

impl<'a> Call<'a> {
    /// A call. Its rules are the configuration's, with what the caller set for this context, or else
    /// for its credential, in place of it.
    pub(crate) fn new(
        glue: &'static Mechglue,
        side: Side<'a>,
        credential: Option<&'a Credential>,
        bindings: Bindings<'a>,
        held: &'a mut Held,
    ) -> Self {
        let mut rules = policy::current().rules;
        let of_credential = || credential.and_then(Credential::max_output_token_size);
        if let Some(size) = held.max_output_token_size.or_else(of_credential) {
            rules.max_output_token_size = size;
        }
        Self {
            glue,
            side,
            credential,
            bindings,
            held,
            rules,
        }
    }

    fn usage(&self) -> u32 {
        match self.side {
            Side::Initiator { .. } => GSS_C_INITIATE,
            Side::Acceptor { .. } => GSS_C_ACCEPT,
        }
    }

    /// Get hold of a credential for a mechanism that shall not look for its default at every leg.
    fn hold(&mut self, mech: &Oid) -> Result<(), MechError> {
        if self.held.creds.iter().any(|(held, _)| held == mech) {
            return Ok(());
        }
        let how = Acquire {
            name: None,
            lifetime: u32::MAX,
            usage: c_int::try_from(self.usage()).unwrap_or_default(),
            source: Source::Store(Store::NONE),
        };
        let acquired = mech::acquire(self.glue, &[*mech], how)?;
        self.held.creds.push((*mech, acquired.cred));
        Ok(())
    }

    /// Get hold of the users of our own NTLM, once in a context.
    fn hold_users(&mut self) -> Result<(), MechError> {
        if self.credential.is_none() && self.held.users.is_none() {
            self.held.users = Some(Users::by_default(self.usage())?);
        }
        Ok(())
    }

    /// The users for a leg of our own NTLM: the caller's credential has them, or they are held.
    fn users(&self) -> Result<&Users, MechError> {
        let users = match self.credential {
            Some(credential) => credential.users(),
            None => self.held.users.as_ref(),
        };
        users.ok_or_else(|| unusable(&oid::NTLMSSP, NOT_FOR_THIS))
    }

    /// The credential for a leg: the caller's, or one that is held, or none for the default.
    fn cred(&self, mech: &Oid) -> Result<Option<&Cred>, MechError> {
        if let Some(credential) = self.credential {
            let cred = credential.cred();
            return cred.map(Some).ok_or_else(|| unusable(mech, NOT_FOR_THIS));
        }
        let mut held = self.held.creds.iter();
        Ok(held.find(|(held, _)| held == mech).map(|(_, cred)| cred))
    }

    /// The target as a name of the glue's, made once in a context.
    fn hold_target(&mut self, mech: &Oid, target: Option<&Name>) -> Result<(), MechError> {
        if self.held.target.is_none() {
            let target = target.ok_or_else(|| unusable(mech, "the caller names no target"))?;
            let made = target
                .copy_for_glue(self.glue)
                .map_err(|error| of_mech(mech, error))?;
            self.held.target = Some(made);
        }
        Ok(())
    }

    /// What an initiator's leg behind the glue is called with.
    fn initiate(&self, mech: &Oid, flags: u32, lifetime: u32) -> Result<Initiate<'_>, MechError> {
        let target = self.held.target.as_ref();
        Ok(Initiate {
            cred: self.cred(mech)?,
            target: target.ok_or_else(|| unusable(mech, "the caller names no target"))?,
            flags: asked(self.credential, flags),
            lifetime,
            bindings: self.bindings,
        })
    }

    /// What an acceptor's leg behind the glue is called with.
    fn accept(
        &self,
        mech: &Oid,
        wants_source: bool,
        wants_delegated: bool,
    ) -> Result<Accept<'_>, MechError> {
        Ok(Accept {
            cred: self.cred(mech)?,
            bindings: self.bindings,
            wants_source,
            wants_delegated,
        })
    }

    /// Begin with a mechanism behind the glue.
    fn run_glue(
        &mut self,
        mech: &Oid,
        token: Option<&[u8]>,
    ) -> Result<(GlueMech, Step<Buffer>), MechError> {
        match self.side {
            Side::Initiator {
                target,
                flags,
                lifetime,
            } => {
                self.hold_target(mech, target)?;
                GlueMech::initiate(mech, self.initiate(mech, flags, lifetime)?)
            }
            Side::Acceptor {
                wants_source,
                wants_delegated,
            } => {
                let call = self.accept(mech, wants_source, wants_delegated)?;
                GlueMech::accept(self.glue, mech, call, token.unwrap_or_default())
            }
        }
    }

    /// Begin with our own NTLM.
    fn run_own(&mut self, token: Option<&[u8]>) -> Result<(Own, Step<Vec<u8>>), MechError> {
        self.hold_users()?;
        let users = self.users()?;
        let bindings = channel(self.bindings);
        match self.side {
            Side::Initiator { target, flags, .. } => {
                let target = target
                    .map(|target| target.as_service(self.glue))
                    .transpose()
                    .map_err(|error| of_mech(&oid::NTLMSSP, error))?;
                let flags = asked(self.credential, flags);
                Own::initiate(self.glue, users, flags, target.as_deref(), bindings)
            }
            Side::Acceptor { .. } => {
                Own::accept(self.glue, users, bindings, token.unwrap_or_default())
            }
        }
    }

    /// The next leg of our own NTLM.
    fn step_own(&self, mech: &mut Own, token: &[u8]) -> Result<Step<Vec<u8>>, MechError> {
        let users = self.users()?;
        let bindings = channel(self.bindings);
        match self.side {
            Side::Initiator { flags, .. } => {
                let flags = asked(self.credential, flags);
                mech.step_initiator(users, flags, bindings, token)
            }
            Side::Acceptor { .. } => mech.step_acceptor(users, bindings, token),
        }
    }

    /// The next leg of a mechanism behind the glue.
    fn step_glue(&self, running: &mut GlueMech, token: &[u8]) -> Result<Step<Buffer>, MechError> {
        let mech = *running.mech();
        match self.side {
            Side::Initiator {
                flags, lifetime, ..
            } => running.step_initiator(self.initiate(&mech, flags, lifetime)?, Some(token)),
            Side::Acceptor {
                wants_source,
                wants_delegated,
            } => {
                let call = self.accept(&mech, wants_source, wants_delegated)?;
                running.step_acceptor(self.glue, call, token)
            }
        }
    }
}

/// What is asked of a mechanism. RFC 4178 section 3.1: integrity always, since the mechListMIC needs
/// it; unless the caller's credential says to ask for nothing (GSS_KRB5_CRED_NO_CI_FLAGS_X).
fn asked(credential: Option<&Credential>, flags: u32) -> u32 {
    if credential.is_none_or(Credential::asks_integrity) {
        flags | GSS_C_INTEG_FLAG
    } else {
        flags
    }
}

impl Mechs for Call<'_> {
    type Mech = Inner;
    type Token = Token;

    fn candidates(&mut self) -> Arc<[Oid]> {
        match self.credential {
            Some(credential) => credential.usable(),
            None => policy::current()
                .mechs
                .order(own::available(self.glue))
                .into(),
        }
    }

    fn prefers(&self) -> bool {
        self.credential.is_some_and(Credential::prefers) || policy::current().mechs.prefers()
    }

    fn absent(&mut self) -> Vec<MechError> {
        absent(&self.candidates(), self.credential.is_some())
    }

    fn vouch(&mut self, mech: &Oid) -> Result<(), MechError> {
        policy::current()
            .mechs
            .allows(mech)
            .map_err(|reason| unusable(mech, &reason))?;
        if let Some(credential) = self.credential {
            return credential.covers(mech);
        }
        if *mech == oid::NTLMSSP && own::serves(self.glue) {
            return self.hold_users();
        }
        if *mech == oid::NTLMSSP {
            availability::ntlm(self.glue)?;
            // To offer it, that is enough; to accept with it, it will be asked in any case.
            if matches!(self.side, Side::Initiator { .. }) {
                return Ok(());
            }
        }
        self.hold(mech)
    }

    fn start(
        &mut self,
        mech: &Oid,
        token: Option<&[u8]>,
    ) -> Result<(Inner, Step<Token>), MechError> {
        policy::current()
            .mechs
            .allows(mech)
            .map_err(|reason| unusable(mech, &reason))?;
        if *mech == oid::NTLMSSP && own::serves(self.glue) {
            let (started, step) = self.run_own(token)?;
            return Ok((Inner::Ntlm(Box::new(started)), made(step, Token::Own)));
        }
        // Kerberos finds its default as fast at each leg as it is acquired once; the others are
        // asked once in a context, NTLM above all (it reads files and hashes at every asking).
        // Under Kerberos's other identifiers the glue has the same mechanism.
        let inner = if mech.is_krb5() { oid::KRB5 } else { *mech };
        if self.credential.is_none() && !mech.is_krb5() {
            if *mech == oid::NTLMSSP {
                availability::ntlm(self.glue)?;
            }
            self.hold(mech)?;
        }
        let (started, step) = self.run_glue(&inner, token)?;
        Ok((Inner::Glue(started), made(step, Token::Glue)))
    }

    fn step(&mut self, mech: &mut Inner, token: &[u8]) -> Result<Step<Token>, MechError> {
        Ok(match mech {
            Inner::Glue(mech) => made(self.step_glue(mech, token)?, Token::Glue),
            Inner::Ntlm(mech) => made(self.step_own(mech, token)?, Token::Own),
        })
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// A step with its token as negotiation knows it.
fn made<T>(step: Step<T>, token: impl FnOnce(T) -> Token) -> Step<Token> {
    match step {
        Step::Continue(made) => Step::Continue(token(made)),
        Step::Done(made) => Step::Done(made.map(token)),
    }
}

/// Why the mechanisms that everybody knows are not among the candidates.
pub(crate) fn absent(candidates: &[Oid], of_credential: bool) -> Vec<MechError> {
    let reason = |mech: &Oid| match policy::current().mechs.allows(mech) {
        Err(forbidden) => forbidden,
        Ok(()) if of_credential => NOT_FOR_THIS.to_owned(),
        Ok(()) => advised("not installed".to_owned(), Some(&Trouble::NotInstalled)),
    };
    [oid::KRB5, oid::NTLMSSP]
        .iter()
        .filter(|known| !candidates.iter().any(|mech| mech.same_mech(known)))
        .map(|mech| unusable(mech, &reason(mech)))
        .collect()
}

/// A mechanism that is not to be used here, and why.
pub(crate) fn unusable(mech: &Oid, reason: &str) -> MechError {
    MechError {
        mech: *mech,
        major: major::NO_CRED,
        cause: Cause::Unusable,
        reason: reason.to_owned(),
        token: None,
    }
}

/// Why a credential does not serve a mechanism.
pub(super) const NOT_FOR_THIS: &str = "the credential is not for this mechanism";

/// An error of a call made on behalf of a mechanism, as that mechanism's.
fn of_mech(mech: &Oid, error: Error) -> MechError {
    match error {
        Error::Mech { mut error, .. } => {
            error.mech = *mech;
            error
        }
        other => MechError {
            mech: *mech,
            major: other.major(),
            cause: Cause::Refused,
            reason: other.sentences().join("; "),
            token: None,
        },
    }
}

//! The inner mechanisms of one call: which may be used, what vouches for each, and the way to run
//! them. The only place that knows that there are several kinds of mechanism.
#![forbid(unsafe_code)]

use super::credential::Credential;
use super::name::Name;
use super::own::{self, Own, Users};
use super::telling;
use crate::availability;
use args::channel;
use gssapi::mech::{self, Accept, Acquire, GlueMech, Initiate, Source};
use gssapi::owned::{self, Bindings, Buffer, Cred, Store};
use gssapi::sys::{
    GSS_C_ACCEPT, GSS_C_CHANNEL_BOUND_FLAG, GSS_C_DELEG_FLAG, GSS_C_INITIATE, GSS_C_INTEG_FLAG,
    GSS_C_MUTUAL_FLAG,
};
use gssapi::{Mechglue, catalog, kerberos};
use ntlm::TargetFit;
use spnego::advice::{Trouble, advised};
use spnego::error::{Cause, Error, MechError, major};
use spnego::negotiate::{Mech, Mechs, Record, Step};
use spnego::oid::{self, Oid};
use spnego::policy::{self, InForce, Rule, Rules, Setting};
use spnego::role::Role;
use spnego::trace;
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
/// none, each at most once, the target as a name of the glue's, what was set for it alone, and the
/// policy.
pub(crate) struct Held {
    /// The maximum output token size in octets, when the caller set one for this context.
    pub(crate) max_output_token_size: Option<usize>,
    /// The policy that was in force when the context began; of one that was carried here half-done,
    /// when it went on.
    in_force: Option<InForce>,
    /// It was begun in another process, by the policy there.
    is_carried: bool,
    acquired: Acquisitions,
}

impl Held {
    /// What a context holds that begins with this call.
    pub(crate) fn begin(
        glue: &'static Mechglue,
        side: Side<'_>,
        credential: Option<&Credential>,
    ) -> Self {
        Self {
            in_force: Some(in_force(glue, side, credential)),
            is_carried: false,
            ..Self::carried(None)
        }
    }

    /// What a context holds that was carried here from another process, with the maximum output token
    /// size that was set for it there.
    pub(crate) fn carried(max_output_token_size: Option<usize>) -> Self {
        Self {
            max_output_token_size,
            in_force: None,
            is_carried: true,
            acquired: Acquisitions::default(),
        }
    }

    /// The rule of the configuration that is in force; `None`: its settings are.
    #[inline]
    pub(super) fn rule(&self) -> Option<&Rule> {
        self.in_force.as_ref().and_then(InForce::rule)
    }
}

/// The policy in force for a context.
#[inline]
fn in_force(glue: &'static Mechglue, side: Side<'_>, credential: Option<&Credential>) -> InForce {
    policy::for_context(side.role(), || side.service(glue, credential))
}

/// What was acquired for a context, each at most once.
#[derive(Default)]
struct Acquisitions {
    creds: Vec<(Oid, Cred)>,
    /// The glue's mechanisms when they were first needed.
    of_glue: Option<Arc<[Oid]>>,
    /// What has passed in a context of the glue's NTLM.
    passing: ntlm::Passing,
    users: Option<Box<Users>>,
    target: Option<owned::Name>,
    /// What the initiator's target was to this acceptor, by the glue's NTLM.
    target_fit: Option<TargetFit>,
}

/// One call of init or accept: its arguments, and the credentials its context holds.
pub(crate) struct Call<'a> {
    glue: &'static Mechglue,
    side: Side<'a>,
    credential: Option<&'a Credential>,
    bindings: Bindings<'a>,
    acquired: &'a mut Acquisitions,
    in_force: &'a InForce,
    is_carried: bool,
    record: &'a mut Record,
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
    /// Whether the initiator has asked for this acceptor, where a rule requires it. Where it requires
    /// channel bindings alone, it is enough that an acceptor with a name of its own is not taken for
    /// another.
    fn approve_target(&self, mech: &Inner) -> Result<(), MechError> {
        let required = self.rules.require.target;
        let has_name = self.credential.and_then(Credential::service).is_some();
        let what = match self.target_fit(mech) {
            Some(TargetFit::Own) => return Ok(()),
            Some(TargetFit::Other) if required => {
                "the initiator has asked for another service than this one, which is required by"
            }
            Some(TargetFit::Other) if has_name => {
                "the initiator has asked for another service than this one, and channel bindings \
                 are required by"
            }
            _ if required => {
                "the initiator has not said which service it asks for, which is required by"
            }
            _ => return Ok(()),
        };
        let why = self.in_force.missing(what, &Trouble::NtlmTarget);
        Err(forbidden(mech.mech(), why))
    }

    /// What the initiator's target is to this acceptor; `None`: nobody tells.
    fn target_fit(&self, mech: &Inner) -> Option<TargetFit> {
        match mech {
            Inner::Ntlm(own) => own.ntlm().target_fit(),
            // A ticket is for the service whose key decrypts it.
            Inner::Glue(glue) if glue.mech().is_krb5() || *glue.mech() == oid::IAKERB => {
                Some(TargetFit::Own)
            }
            Inner::Glue(glue) if *glue.mech() == oid::NTLMSSP => self.acquired.target_fit,
            Inner::Glue(_) => None,
        }
    }

    /// A call. Its rules are those of the configuration as the context began, with what the caller
    /// set for this context, or else for its credential, in place of it.
    #[inline(always)]
    pub(crate) fn new(
        glue: &'static Mechglue,
        side: Side<'a>,
        credential: Option<&'a Credential>,
        bindings: Bindings<'a>,
        held: &'a mut Held,
        record: &'a mut Record,
    ) -> Self {
        let in_force = held
            .in_force
            .get_or_insert_with(|| in_force(glue, side, credential));
        let mut rules = in_force.terms().rules;
        let of_credential = || credential.and_then(Credential::max_output_token_size);
        if let Some(size) = held.max_output_token_size.or_else(of_credential) {
            rules.max_output_token_size = size;
        }
        Self {
            glue,
            side,
            credential,
            bindings,
            acquired: &mut held.acquired,
            in_force,
            is_carried: held.is_carried,
            record,
            rules,
        }
    }

    /// The glue's mechanisms, as they are found at first in a context.
    fn of_glue(&mut self) -> &Arc<[Oid]> {
        let found = || catalog::available(self.glue);
        self.acquired.of_glue.get_or_insert_with(found)
    }

    /// Whether NTLM is ours to speak in this context.
    fn speaks_ntlm(&mut self) -> bool {
        let provider = self.in_force.terms().ntlm;
        own::serves(self.of_glue(), provider)
    }

    /// What is asked of a mechanism: what the caller asks for, and what a rule requires.
    fn asked(&self, flags: u32) -> u32 {
        let required = if self.rules.require.mutual {
            GSS_C_MUTUAL_FLAG
        } else {
            0
        };
        asked(self.credential, flags | required)
    }

    /// Whether an initiator binds its context to its channel, where a rule requires it.
    fn may_begin(&self, mech: &Oid) -> Result<(), MechError> {
        let gives_bindings = || channel(self.bindings).is_some();
        let required = self.in_force.required_of_program(gives_bindings);
        required.map_err(|why| forbidden(mech, why))
    }

    /// Whether a mechanism that has begun may go on: it is asked for channel bindings at a later leg
    /// again, but for Kerberos, which has sent them; and another process may have begun it, where
    /// other rules hold.
    fn may_go_on(&self, mech: &Oid) -> Result<(), MechError> {
        if self.is_carried {
            let allowed = self.in_force.allows(mech);
            allowed.map_err(|forbidden| MechError {
                cause: Cause::Refused,
                ..unusable(mech, &forbidden)
            })?;
        }
        match self.side {
            Side::Initiator { .. } if !mech.is_krb5() => self.may_begin(mech),
            _ => Ok(()),
        }
    }

    /// Trace that a mechanism is tried, and with which credential.
    #[inline]
    fn note_tried(&self, mech: &Oid) {
        if trace::on() {
            self.tell_tried(mech);
        }
    }

    #[cold]
    fn tell_tried(&self, mech: &Oid) {
        let source = &self.source(mech);
        trace!(Tried { mech, source });
    }

    /// Where the credential comes from that a mechanism is tried with, for the trace.
    fn source(&self, mech: &Oid) -> String {
        let of_caller = self.credential.and_then(Credential::source);
        of_caller.map_or_else(
            || telling::default_source(&[*mech], self.usage()),
            ToOwned::to_owned,
        )
    }

    fn usage(&self) -> u32 {
        match self.side {
            Side::Initiator { .. } => GSS_C_INITIATE,
            Side::Acceptor { .. } => GSS_C_ACCEPT,
        }
    }

    /// Get hold of a credential for a mechanism that shall not look for its default at every leg.
    fn hold(&mut self, mech: &Oid) -> Result<(), MechError> {
        if self.acquired.creds.iter().any(|(held, _)| held == mech) {
            return Ok(());
        }
        let how = Acquire {
            name: None,
            lifetime: u32::MAX,
            usage: c_int::try_from(self.usage()).unwrap_or_default(),
            source: Source::Store(Store::NONE),
            asks_lifetime: false,
        };
        if mech.is_krb5() && self.usage() == GSS_C_INITIATE {
            kerberos::default_cache(self.glue)?;
        }
        let acquired = mech::acquire(self.glue, &[*mech], how)?;
        self.acquired.creds.push((*mech, acquired.cred));
        Ok(())
    }

    /// Get hold of the users of our own NTLM, once in a context.
    fn hold_users(&mut self) -> Result<(), MechError> {
        if self.credential.is_none() && self.acquired.users.is_none() {
            let users = Users::by_default(self.usage());
            let users = users.map_err(|error| own::named_by(self.in_force.policy(), error))?;
            self.acquired.users = Some(Box::new(users));
        }
        Ok(())
    }

    /// The users for a leg of our own NTLM: the caller's credential has them, or they are held.
    fn users(&self) -> Result<&Users, MechError> {
        let users = match self.credential {
            Some(credential) => credential.users(),
            None => self.acquired.users.as_deref(),
        };
        users.ok_or_else(|| unusable(&oid::NTLMSSP, NOT_FOR_THIS))
    }

    /// The credential for a leg: the caller's, or one that is held, or none for the default.
    fn cred(&self, mech: &Oid) -> Result<Option<&Cred>, MechError> {
        if let Some(credential) = self.credential {
            return credential.cred_for(mech).map(Some);
        }
        let mut held = self.acquired.creds.iter();
        Ok(held.find(|(held, _)| held == mech).map(|(_, cred)| cred))
    }

    /// The target as a name of the glue's, made once in a context.
    fn hold_target(&mut self, mech: &Oid, target: Option<&Name>) -> Result<(), MechError> {
        if self.acquired.target.is_none() {
            let target = target.ok_or_else(|| unusable(mech, "the caller names no target"))?;
            let made = target
                .copy_for_glue(self.glue)
                .map_err(|error| of_mech(mech, error))?;
            self.acquired.target = Some(made);
        }
        Ok(())
    }

    /// What an initiator's leg behind the glue is called with.
    fn initiate(&self, mech: &Oid, flags: u32, lifetime: u32) -> Result<Initiate<'_>, MechError> {
        let target = self.acquired.target.as_ref();
        Ok(Initiate {
            cred: self.cred(mech)?,
            target: target.ok_or_else(|| unusable(mech, "the caller names no target"))?,
            flags: self.asked(flags),
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
    ) -> Result<(Inner, Step<Token>), MechError> {
        let is_ntlm = *mech == oid::NTLMSSP;
        if let Some(token) = token.filter(|_| is_ntlm) {
            self.acquired.passing.incoming(token)?;
        }
        let (started, step) = match self.side {
            Side::Initiator {
                target,
                flags,
                lifetime,
            } => {
                self.hold_target(mech, target)?;
                GlueMech::initiate(mech, self.initiate(mech, flags, lifetime)?)?
            }
            Side::Acceptor {
                wants_source,
                wants_delegated,
            } => {
                let call = self.accept(mech, wants_source, wants_delegated)?;
                GlueMech::accept(self.glue, mech, call, token.unwrap_or_default())?
            }
        };
        if is_ntlm {
            if let Step::Continue(token) = &step {
                self.acquired.passing.outgoing(token.as_ref());
            }
        }
        if trace::on() {
            self.note_oddities(&started, &step);
        }
        Ok((Inner::Glue(started), made(step, Token::Glue)))
    }

    /// Whose fault an acceptor's failure is. Heimdal's Kerberos reports a missing keytab as it reports
    /// a bad token, GSS_S_FAILURE, and only asking for a credential tells which it is: without keys
    /// the mechanism cannot be used here, whatever the token.
    #[cold]
    fn without_keys(&mut self, mech: &Oid, error: &mut MechError) {
        let asks = self.glue.is_heimdal()
            && self.credential.is_none()
            && matches!(self.side, Side::Acceptor { .. })
            && error.major == major::FAILURE;
        if asks && self.hold(mech).is_err() {
            error.cause = Cause::Unusable;
        }
    }

    /// Trace what fails later, and elsewhere: a mechanism that cannot delegate what it was asked to
    /// delegates nothing and goes on, and a server of HTTP does not read a large token at all.
    #[cold]
    fn note_oddities(&self, started: &GlueMech, step: &Step<Buffer>) {
        let Side::Initiator { flags, .. } = self.side else {
            return;
        };
        let token = match step {
            Step::Continue(token) => Some(token),
            Step::Done(token) => token.as_ref(),
        };
        if flags & GSS_C_DELEG_FLAG & !started.flags() != 0 && started.mech().is_krb5() {
            trace!(Warned {
                mech: started.mech(),
                reason: &format!(
                    "nothing is delegated, though it was asked for; {}",
                    Trouble::NotForwardable
                ),
            });
        }
        if let Some(octets) = token.map(|token| token.as_ref().len()) {
            if octets > LARGE_TOKEN {
                trace!(Warned {
                    mech: started.mech(),
                    reason: &format!(
                        "a token of {octets} octets, more than most servers take in a header field \
                         of HTTP; {}",
                        Trouble::LargeToken
                    ),
                });
            }
        }
    }

    /// Begin with our own NTLM.
    fn run_own(&mut self, token: Option<&[u8]>) -> Result<(Inner, Step<Token>), MechError> {
        self.hold_users()?;
        let users = self.users()?;
        let bindings = channel(self.bindings);
        let (started, step) = match self.side {
            Side::Initiator { target, flags, .. } => {
                let target = target
                    .map(|target| target.as_service(self.glue))
                    .transpose()
                    .map_err(|error| of_mech(&oid::NTLMSSP, error))?;
                let flags = self.asked(flags);
                Own::initiate(self.glue, users, flags, target.as_deref(), bindings)?
            }
            Side::Acceptor { .. } => {
                let acceptor = self.as_acceptor();
                Own::accept(self.glue, users, acceptor, token.unwrap_or_default())?
            }
        };
        Ok((Inner::Ntlm(Box::new(started)), made(step, Token::Own)))
    }

    /// The next leg of our own NTLM. There are callers who give a credential at the first leg alone:
    /// for the others it is the default one, as it is behind the glue.
    fn step_own(&mut self, mech: &mut Own, token: &[u8]) -> Result<Step<Vec<u8>>, MechError> {
        // They are held since the first leg, if that was in this process.
        self.hold_users()?;
        let users = self.users()?;
        let bindings = channel(self.bindings);
        match self.side {
            Side::Initiator { flags, .. } => {
                let flags = self.asked(flags);
                mech.step_initiator(users, flags, bindings, token)
            }
            Side::Acceptor { .. } => mech.step_acceptor(users, self.as_acceptor(), token),
        }
    }

    /// What this acceptor is called: what its caller's credential is for, on this machine.
    fn as_acceptor(&self) -> ntlm::Acceptor<'_> {
        ntlm::Acceptor {
            service: self.credential.and_then(Credential::service),
            machine: &own::ThisMachine,
            bindings: channel(self.bindings),
        }
    }

    /// The next leg of a mechanism behind the glue.
    fn step_glue(
        &mut self,
        running: &mut GlueMech,
        token: &[u8],
    ) -> Result<Step<Buffer>, MechError> {
        let mech = *running.mech();
        if mech == oid::NTLMSSP {
            self.acquired.passing.incoming(token)?;
        }
        match self.side {
            Side::Initiator {
                flags, lifetime, ..
            } => running.step_initiator(self.initiate(&mech, flags, lifetime)?, Some(token)),
            Side::Acceptor {
                wants_source,
                wants_delegated,
            } => {
                let call = self.accept(&mech, wants_source, wants_delegated)?;
                let step = running.step_acceptor(self.glue, call, token)?;
                // gss-ntlmssp says so of its own messages alone.
                if mech == oid::NTLMSSP && ntlm::announces_mic(token) {
                    running.demand_mic();
                }
                if mech == oid::NTLMSSP && matches!(step, Step::Done(_)) {
                    let target = ntlm::Target::of(token);
                    let fit = target.fit(&self.as_acceptor(), &own::host());
                    trace!(NtlmTarget {
                        target: target.name(),
                        fit: fit.words(),
                    });
                    self.acquired.target_fit = Some(fit);
                }
                Ok(step)
            }
        }
    }
}

/// What is asked of a mechanism. RFC 4178 section 3.1: integrity always, since the mechListMIC
/// needs it; unless the caller's credential says to ask for nothing (GSS_KRB5_CRED_NO_CI_FLAGS_X).
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
            Some(credential) => credential.usable_under(self.in_force),
            None => {
                let (glue, in_force) = (self.glue, self.in_force);
                let available = own::available(glue, self.of_glue(), in_force.policy());
                in_force.order(available).into()
            }
        }
    }

    fn prefers(&self) -> bool {
        self.credential.is_some_and(Credential::prefers) || self.in_force.terms().mechs.prefers()
    }

    fn absent(&mut self) -> Vec<MechError> {
        let candidates = self.candidates();
        let allows = |mech: &Oid| self.in_force.allows(mech);
        absent(&candidates, self.credential.is_some(), allows)
    }

    fn vouch(&mut self, mech: &Oid) -> Result<(), MechError> {
        self.note_tried(mech);
        if let Some(credential) = self.credential {
            credential.covers(mech)?;
            if *mech == oid::NTLMSSP && !self.speaks_ntlm() {
                return credential.vouch_for_ntlm(matches!(self.side, Side::Acceptor { .. }));
            }
            return Ok(());
        }
        if *mech == oid::NTLMSSP && self.speaks_ntlm() {
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
        self.note_tried(mech);
        if let Some(credential) = self.credential {
            credential.covers(mech)?;
        }
        self.may_begin(mech)?;
        let (is_krb5, is_ntlm) = (mech.is_krb5(), *mech == oid::NTLMSSP);
        if is_ntlm && self.speaks_ntlm() {
            return self.run_own(token);
        }
        // Kerberos finds its default as fast at each leg as it is acquired once; the others are
        // asked once in a context, NTLM above all (it reads files and hashes at every asking).
        // Under Kerberos's other identifiers the glue has the same mechanism.
        let inner = if is_krb5 { &oid::KRB5 } else { mech };
        if self.credential.is_none() && !is_krb5 {
            if is_ntlm {
                availability::ntlm(self.glue)?;
            }
            self.hold(mech)?;
        }
        let mut begun = self.run_glue(inner, token);
        if let Err(error) = &mut begun {
            self.without_keys(inner, error);
        }
        begun
    }

    fn step(&mut self, mech: &mut Inner, token: &[u8]) -> Result<Step<Token>, MechError> {
        self.may_go_on(mech.mech())?;
        Ok(match mech {
            Inner::Glue(mech) => made(self.step_glue(mech, token)?, Token::Glue),
            Inner::Ntlm(mech) => made(self.step_own(mech, token)?, Token::Own),
        })
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn said_by(&self, setting: Setting) -> &str {
        self.in_force.terms().said_by(setting)
    }

    fn approve(&self, mech: &Inner) -> Result<(), MechError> {
        let required = self.rules.require;
        let has = |flag| mech.flags() & flag != 0;
        let (is_mutual, is_bound) = (has(GSS_C_MUTUAL_FLAG), has(GSS_C_CHANNEL_BOUND_FLAG));
        self.in_force
            .required_of_context(self.side.role(), is_mutual, is_bound)
            .map_err(|why| forbidden(mech.mech(), why))?;
        let is_acceptor = matches!(self.side, Side::Acceptor { .. });
        if is_acceptor && (required.target || required.channel_bindings) {
            return self.approve_target(mech);
        }
        Ok(())
    }

    fn record(&mut self) -> &mut Record {
        self.record
    }
}

impl Side<'_> {
    pub(super) fn role(&self) -> Role {
        match self {
            Self::Initiator { .. } => Role::Initiator,
            Self::Acceptor { .. } => Role::Acceptor,
        }
    }

    /// The service that rules go by: an initiator's target, an acceptor's own name, as far as they
    /// are known.
    fn service(&self, glue: &'static Mechglue, credential: Option<&Credential>) -> Option<String> {
        match self {
            Self::Initiator { target, .. } => target.as_ref()?.as_service(glue).ok(),
            Self::Acceptor { .. } => credential?.service().map(str::to_owned),
        }
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
pub(crate) fn absent(
    candidates: &[Oid],
    of_credential: bool,
    allows: impl Fn(&Oid) -> Result<(), String>,
) -> Vec<MechError> {
    let reason = |mech: &Oid| match allows(mech) {
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

/// A mechanism's context that is not what a rule requires, and why.
fn forbidden(mech: &Oid, reason: String) -> MechError {
    MechError {
        mech: *mech,
        major: major::UNAUTHORIZED,
        cause: Cause::Refused,
        reason,
        token: None,
    }
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

/// Octets of a token that do not fit any more, in base64 and behind "Authorization: Negotiate ",
/// into the 8190 octets of a header field that Apache takes, as do others (8 KiB); some 30 are
/// SPNEGO's own.
const LARGE_TOKEN: usize = (8190 - 26) / 4 * 3 - 30;

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

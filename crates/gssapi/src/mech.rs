//! An inner mechanism driven through the glue: its context, its legs, its MICs.

mod acquire;
mod failure;

pub use acquire::{Acquire, Acquired, Source, acquire};
pub(crate) use failure::failed;
pub use failure::words;
use failure::{advised_failure, judged_by_acceptor};

use super::context::{self, Established, GlueContext, Returned, Standing};
use super::owned::{Bindings, Buffer, Cred, LentBuffer, LentCred, LentOid, Name};
use super::{Mechglue, behind, kerberos};
use crate::sys::*;
use spnego::error::{Cause, MechError, major};
use spnego::negotiate::{Mech, Step};
use spnego::oid::{self, Oid};
use spnego::role::Role;
use spnego::trace;
use std::ptr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One context of an inner mechanism, established or on its way.
pub struct GlueMech {
    mech: Oid,
    context: GlueContext,
    flags: u32,
    lifetime: u32,
    demands_mic: bool,
    target: Option<Name>,
    source: Option<Name>,
    delegated: Option<Cred>,
}

/// What an initiator's leg is called with.
#[derive(Clone, Copy)]
pub struct Initiate<'a> {
    /// The credential; `None`: the mechanism's default.
    pub cred: Option<&'a Cred>,
    /// Whom to reach.
    pub target: &'a Name,
    /// Request flags of RFC 2744 section 5.19.
    pub flags: u32,
    /// Desired lifetime in seconds, 0: the default.
    pub lifetime: u32,
    /// Channel bindings.
    pub bindings: Bindings<'a>,
}

/// What an acceptor's leg is called with.
#[derive(Clone, Copy)]
pub struct Accept<'a> {
    /// The credential; `None`: the mechanism's default.
    pub cred: Option<&'a Cred>,
    /// Channel bindings.
    pub bindings: Bindings<'a>,
    /// Whether the caller wants to know who the initiator is.
    pub wants_source: bool,
    /// Whether the caller takes a delegated credential.
    pub wants_delegated: bool,
}

impl GlueMech {
    fn new(mech: &Oid) -> Self {
        Self {
            mech: *mech,
            context: GlueContext::None,
            flags: 0,
            lifetime: 0,
            demands_mic: false,
            target: None,
            source: None,
            delegated: None,
        }
    }

    /// Take over a context that is established already.
    pub fn imported(mech: &Oid, context: Established, flags: u32) -> Self {
        let mut imported = Self::new(mech);
        imported.context = GlueContext::Established(context);
        imported.flags = flags;
        imported
    }

    /// Begin as an initiator. MIT's Kerberos gets the target as its own name, made once and kept
    /// for the later legs: the glue would make it anew for each, with a Kerberos context every
    /// time. Heimdal keeps it in the name.
    pub fn initiate(mech: &Oid, call: Initiate<'_>) -> Result<(Self, Step<Buffer>), MechError> {
        let mut started = Self::new(mech);
        if mech.is_krb5() && !call.target.glue().is_heimdal() {
            if call.cred.is_none() {
                kerberos::default_cache(call.target.glue())?;
            }
            started.target = Some(canonicalize(call.target, mech)?);
        }
        let step = started.step_initiator(call, None)?;
        Ok((started, step))
    }

    /// Begin as an acceptor, with the initiator's first token.
    pub fn accept(
        glue: &'static Mechglue,
        mech: &Oid,
        call: Accept<'_>,
        token: &[u8],
    ) -> Result<(Self, Step<Buffer>), MechError> {
        let mut started = Self::new(mech);
        let step = started.step_acceptor(glue, call, token)?;
        Ok((started, step))
    }

    /// One leg of an initiator; `token` is `None` on the first.
    pub fn step_initiator(
        &mut self,
        call: Initiate<'_>,
        token: Option<&[u8]>,
    ) -> Result<Step<Buffer>, MechError> {
        let target = self.target.as_ref().unwrap_or(call.target);
        let glue = target.glue();
        let init = context::Init {
            cred: LentCred::new(call.cred),
            target,
            mech: behind::address(glue, &self.mech),
            flags: call.flags,
            lifetime: call.lifetime,
            bindings: call.bindings,
        };
        let returned = self.context.init(&init, token);
        let step = self.leg(Role::Initiator, glue, returned)?;
        if !self.mech.is_krb5() {
            self.ask_whether_mic_is_demanded();
        }
        if self.context.established().is_some() {
            self.target = None;
        }
        Ok(step)
    }

    /// One leg of an acceptor.
    pub fn step_acceptor(
        &mut self,
        glue: &'static Mechglue,
        call: Accept<'_>,
        token: &[u8],
    ) -> Result<Step<Buffer>, MechError> {
        let accept = context::Accept {
            cred: LentCred::new(call.cred),
            bindings: call.bindings,
            wants_source: call.wants_source,
            wants_delegated: call.wants_delegated,
        };
        let mut returned = self.context.accept(glue, &accept, token);
        self.source = returned.source.take();
        self.delegated = returned.delegated.take();
        let step = self
            .leg(Role::Acceptor, glue, returned)
            .map_err(judged_by_acceptor)?;
        if self.mech == oid::NTLMSSP {
            self.ask_whether_mic_is_demanded();
        }
        Ok(step)
    }

    /// Say that the mechListMIC is mandatory, where the mechanism itself does not.
    pub fn demand_mic(&mut self) {
        self.demands_mic = true;
    }

    /// What a leg's results mean.
    fn leg(
        &mut self,
        role: Role,
        glue: &'static Mechglue,
        returned: Returned,
    ) -> Result<Step<Buffer>, MechError> {
        let Returned {
            status,
            minor,
            flags,
            lifetime,
            output,
            ..
        } = returned;
        self.lifetime = lifetime;
        let failure = match status {
            major::COMPLETE => {
                self.flags = flags;
                return Ok(Step::Done((!output.is_empty()).then_some(output)));
            }
            major::CONTINUE_NEEDED => {
                self.flags = flags;
                return Ok(Step::Continue(output));
            }
            failure => failure,
        };
        let mut error = advised_failure(role, glue, &self.mech, failure, minor);
        error.token = (!output.is_empty()).then(|| output.as_ref().to_vec());
        Err(error)
    }

    /// A mechanism may say that the mechListMIC is mandatory. NTLM does, by its own MIC, and being
    /// asked, right after its first leg and after each, is what makes it send one (MS-SPNG note 8).
    /// An initiator asks any other mechanism but Kerberos, which does not know the question, when
    /// it is established; an acceptor, who could not tell a peer in time, asks NTLM alone. What a
    /// mechanism does not know it is not asked again.
    fn ask_whether_mic_is_demanded(&mut self) {
        if read(&UNHEARD).contains(&self.mech) {
            return;
        }
        let Some(context) = self.standing() else {
            return;
        };
        let mut question = LentOid::new(&REQUIRES_MECHLIST_MIC);
        let (mut minor, mut answer) = (0, ptr::null_mut());
        // SAFETY: the context is alive, the question lent for the call, the answer a local.
        let status = unsafe {
            context.glue().gss_inquire_sec_context_by_oid(
                &raw mut minor,
                context.raw(),
                question.raw(),
                &raw mut answer,
            )
        };
        // SAFETY: null, or the set that the call just returned.
        let set = unsafe { answer.as_ref() };
        let demanded = set.is_some_and(|set| {
            set.count > 0 && {
                // SAFETY: the set has at least one element.
                let first = unsafe { &*set.elements };
                first.length == 1 && {
                    // SAFETY: the element has one octet.
                    (unsafe { *first.value.cast::<u8>() }) != 0
                }
            }
        });
        let glue = context.glue();
        self.demands_mic = status == major::COMPLETE && demanded;
        if status == major::UNAVAILABLE && self.mech != oid::NTLMSSP {
            write(&UNHEARD).push(self.mech);
        }
        // SAFETY: null or the glue's own set, released once.
        unsafe { glue.gss_release_buffer_set(&raw mut minor, &raw mut answer) };
    }

    /// The context, if it stands a question by identifier.
    fn standing(&self) -> Option<Standing<'_>> {
        match &self.context {
            GlueContext::Established(context) => Some(context.standing()),
            GlueContext::Partial(context) if self.mech == oid::NTLMSSP => context.of_ntlm(),
            GlueContext::Partial(_) | GlueContext::None => None,
        }
    }

    /// Put NTLM's RC4 state back to what it was before the mechListMIC was made or verified, so
    /// that the application's first message finds it there (MS-SPNG 3.2.5.1, 3.3.5.1).
    fn reset_crypto(&mut self, after_verify: bool) -> Result<(), MechError> {
        if self.mech != oid::NTLMSSP {
            return Ok(());
        }
        let Some(context) = self.context.established() else {
            return Err(self.spoilt());
        };
        let glue = context.glue();
        let mut option = LentOid::new(&RESET_CRYPTO);
        let value = u32::from(after_verify).to_le_bytes();
        let mut lent = LentBuffer::new(&value);
        let (mut minor, mut handle) = (0, context.raw());
        // SAFETY: the context is alive and stays where it is: this option replaces nothing.
        let status = unsafe {
            glue.gss_set_sec_context_option(
                &raw mut minor,
                &raw mut handle,
                option.raw(),
                lent.raw(),
            )
        };
        match status {
            major::COMPLETE => {
                trace!(Restored {
                    mech: &self.mech,
                    after: if after_verify { "verifying" } else { "signing" },
                });
                Ok(())
            }
            major::UNAVAILABLE => Ok(()),
            failure => Err(failed(glue, &self.mech, failure, minor)),
        }
    }

    /// The mechanism.
    pub fn mech(&self) -> &Oid {
        &self.mech
    }

    /// The inner context, once it is established.
    #[inline]
    pub fn established(&self) -> Option<&Established> {
        self.context.established()
    }

    /// The flags it reported last.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Seconds left when its last leg was run.
    pub fn lifetime(&self) -> u32 {
        self.lifetime
    }

    /// The initiator's name, once.
    pub fn take_source(&mut self) -> Option<Name> {
        self.source.take()
    }

    /// The delegated credential, once: a credential of the glue's, for the application as it is.
    pub fn take_delegated(&mut self) -> Option<Cred> {
        self.delegated.take()
    }

    /// Give the inner context up, for export.
    pub fn into_established(self) -> Option<Established> {
        match self.context {
            GlueContext::Established(context) => Some(context),
            GlueContext::Partial(_) | GlueContext::None => None,
        }
    }

    fn spoilt(&self) -> MechError {
        MechError {
            mech: self.mech,
            major: major::NO_CONTEXT,
            cause: Cause::Refused,
            reason: "its security context is gone".to_owned(),
            token: None,
        }
    }
}

impl Mech for GlueMech {
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechError> {
        let Some(context) = self.context.established() else {
            return Err(self.spoilt());
        };
        let glue = context.glue();
        let mut mic = Buffer::empty(glue);
        let mut lent = LentBuffer::new(message);
        let mut minor = 0;
        // SAFETY: the context is alive, the message lent for the call, the token a local.
        let status =
            unsafe { glue.gss_get_mic(&raw mut minor, context.raw(), 0, lent.raw(), mic.out()) };
        if status != major::COMPLETE {
            return Err(failed(glue, &self.mech, status, minor));
        }
        self.reset_crypto(false)?;
        Ok(mic.as_ref().to_vec())
    }

    fn verify(&mut self, message: &[u8], mic: &[u8]) -> Result<(), MechError> {
        let Some(context) = self.context.established() else {
            return Err(self.spoilt());
        };
        let glue = context.glue();
        let (mut lent, mut lent_mic) = (LentBuffer::new(message), LentBuffer::new(mic));
        let (mut minor, mut qop) = (0, 0);
        // SAFETY: the context is alive, both buffers are lent for the call, the outs are locals.
        let status = unsafe {
            glue.gss_verify_mic(
                &raw mut minor,
                context.raw(),
                lent.raw(),
                lent_mic.raw(),
                &raw mut qop,
            )
        };
        // Anything but plain success, a gap or a duplicate too, is no proof.
        if status != major::COMPLETE {
            return Err(failed(glue, &self.mech, status, minor));
        }
        self.reset_crypto(true)
    }

    fn integrity(&self) -> bool {
        self.flags & GSS_C_INTEG_FLAG != 0
    }

    fn demands_mic(&mut self) -> bool {
        self.demands_mic
    }
}

/// The target as a name of the mechanism's own.
fn canonicalize(target: &Name, mech: &Oid) -> Result<Name, MechError> {
    let glue = target.glue();
    let mut lent = LentOid::new(mech);
    let (mut minor, mut name) = (0, ptr::null_mut());
    // SAFETY: the name is alive, the mech lent for the call, the result a local.
    let status = unsafe {
        glue.gss_canonicalize_name(&raw mut minor, target.raw(), lent.raw(), &raw mut name)
    };
    Name::take(glue, name)
        .filter(|_| status == major::COMPLETE)
        .ok_or_else(|| advised_failure(Role::Initiator, glue, mech, status, minor))
}

/// The mechanisms of this process that do not know whether a mechListMIC is mandatory: as many as
/// are configured at the most, but for a thread or two that ask at the same time.
static UNHEARD: RwLock<Vec<Oid>> = RwLock::new(Vec::new());

fn read(list: &RwLock<Vec<Oid>>) -> RwLockReadGuard<'_, Vec<Oid>> {
    list.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(list: &RwLock<Vec<Oid>>) -> RwLockWriteGuard<'_, Vec<Oid>> {
    list.write().unwrap_or_else(PoisonError::into_inner)
}

/// Private question of SPNEGO to NTLM, 1.3.6.1.4.1.7165.655.1.2: is a mechListMIC mandatory?
const REQUIRES_MECHLIST_MIC: Oid = Oid::known([0x2b, 6, 1, 4, 1, 0xb7, 0x7d, 0x85, 0x0f, 1, 2]);

/// Private option of NTLM, 1.3.6.1.4.1.7165.655.1.3: forget what the mechListMIC did to RC4.
const RESET_CRYPTO: Oid = Oid::known([0x2b, 6, 1, 4, 1, 0xb7, 0x7d, 0x85, 0x0f, 1, 3]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_oids_are_those_of_the_ntlm_mechanism() {
        assert_eq!(
            REQUIRES_MECHLIST_MIC.to_string(),
            "1.3.6.1.4.1.7165.655.1.2"
        );
        assert_eq!(RESET_CRYPTO.to_string(), "1.3.6.1.4.1.7165.655.1.3");
    }
}

//! An inner mechanism driven through the glue: its context, its legs, its MICs, and its words when
//! it fails.

use super::owned::OidSet;
use super::owned::{Bindings, Buffer, Context, Cred, LentBuffer, LentOid, LentOidSet, Name, Store};
use super::{Mechglue, call, kerberos};
use crate::advice::{Side, Trouble, advised, krb5_error};
use crate::error::{Cause, Major, MechError, major};
use crate::negotiate::{Mech, Step};
use crate::oid::{self, Oid};
use crate::sys::*;
use crate::trace;
use std::ffi::c_int;
use std::ptr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One context of an inner mechanism, established or on its way.
pub(crate) struct GlueMech {
    mech: Oid,
    context: Option<Context>,
    flags: u32,
    lifetime: u32,
    demands_mic: bool,
    established: bool,
    target: Option<Name>,
    source: Option<Name>,
    delegated: Option<Cred>,
}

/// What an initiator's leg is called with.
#[derive(Clone, Copy)]
pub(crate) struct Initiate<'a> {
    /// The credential; `None`: the mechanism's default.
    pub(crate) cred: Option<&'a Cred>,
    /// Whom to reach.
    pub(crate) target: &'a Name,
    /// Request flags of RFC 2744 section 5.19.
    pub(crate) flags: u32,
    /// Desired lifetime in seconds, 0: the default.
    pub(crate) lifetime: u32,
    /// Channel bindings.
    pub(crate) bindings: Bindings<'a>,
}

/// What an acceptor's leg is called with.
#[derive(Clone, Copy)]
pub(crate) struct Accept<'a> {
    /// The credential; `None`: the mechanism's default.
    pub(crate) cred: Option<&'a Cred>,
    /// Channel bindings.
    pub(crate) bindings: Bindings<'a>,
    /// Whether the caller wants to know who the initiator is.
    pub(crate) wants_source: bool,
    /// Whether the caller takes a delegated credential.
    pub(crate) wants_delegated: bool,
}

impl GlueMech {
    fn new(mech: &Oid) -> Self {
        Self {
            mech: *mech,
            context: None,
            flags: 0,
            lifetime: 0,
            demands_mic: false,
            established: false,
            target: None,
            source: None,
            delegated: None,
        }
    }

    /// Take over a context that is established already.
    pub(crate) fn imported(mech: &Oid, context: Context, flags: u32) -> Self {
        let mut imported = Self::new(mech);
        imported.context = Some(context);
        imported.flags = flags;
        imported.established = true;
        imported
    }

    /// Begin as an initiator. MIT's Kerberos gets the target as its own name, made once and kept
    /// for the later legs: the glue would make it anew for each, with a Kerberos context every
    /// time. Heimdal keeps it in the name.
    pub(crate) fn initiate(
        mech: &Oid,
        call: Initiate<'_>,
    ) -> Result<(Self, Step<Buffer>), MechError> {
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
    pub(crate) fn accept(
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
    pub(crate) fn step_initiator(
        &mut self,
        call: Initiate<'_>,
        token: Option<&[u8]>,
    ) -> Result<Step<Buffer>, MechError> {
        let target = self.target.as_ref().unwrap_or(call.target);
        let glue = target.glue();
        let mut lent_mech = LentOid::new(&self.mech);
        let mut lent_token = LentBuffer::new(token.unwrap_or_default());
        let mut output = Buffer::empty(glue);
        let mut context = self
            .context
            .take()
            .map_or(ptr::null_mut(), Context::into_raw);
        let (mut minor, mut flags, mut lifetime) = (0, 0, 0);
        // SAFETY: every handle is this glue's and alive, lent values live to the end of this
        // function, outs are locals or null; the context is owned again right after.
        let status = unsafe {
            glue.gss_init_sec_context(
                &raw mut minor,
                call.cred.map_or(ptr::null_mut(), Cred::raw),
                &raw mut context,
                target.raw(),
                lent_mech.raw(),
                call.flags,
                call.lifetime,
                call.bindings.raw(),
                token.map_or(ptr::null_mut(), |_| lent_token.raw()),
                ptr::null_mut(),
                output.out(),
                &raw mut flags,
                &raw mut lifetime,
            )
        };
        self.context = Context::take(glue, context);
        self.lifetime = lifetime;
        let step = self.leg(Side::Initiator, glue, status, minor, flags, output)?;
        if !self.mech.is_krb5() {
            self.ask_whether_mic_is_demanded();
        }
        if self.established {
            self.target = None;
        }
        Ok(step)
    }

    /// One leg of an acceptor.
    pub(crate) fn step_acceptor(
        &mut self,
        glue: &'static Mechglue,
        call: Accept<'_>,
        token: &[u8],
    ) -> Result<Step<Buffer>, MechError> {
        let mut lent_token = LentBuffer::new(token);
        let mut output = Buffer::empty(glue);
        let mut context = self
            .context
            .take()
            .map_or(ptr::null_mut(), Context::into_raw);
        let (mut minor, mut flags, mut lifetime) = (0, 0, 0);
        let (mut source, mut delegated) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: every handle is this glue's and alive, lent values live to the end of this
        // function, outs are locals or null; what is returned is owned right after.
        let status = unsafe {
            glue.gss_accept_sec_context(
                &raw mut minor,
                &raw mut context,
                call.cred.map_or(ptr::null_mut(), Cred::raw),
                lent_token.raw(),
                call.bindings.raw(),
                if call.wants_source {
                    &raw mut source
                } else {
                    ptr::null_mut()
                },
                ptr::null_mut(),
                output.out(),
                &raw mut flags,
                &raw mut lifetime,
                if call.wants_delegated {
                    &raw mut delegated
                } else {
                    ptr::null_mut()
                },
            )
        };
        self.context = Context::take(glue, context);
        self.lifetime = lifetime;
        self.source = Name::take(glue, source);
        self.delegated = Cred::take(glue, delegated);
        let step = self.leg(Side::Acceptor, glue, status, minor, flags, output);
        if self.mech == oid::NTLMSSP {
            self.ask_whether_mic_is_demanded();
        }
        step.map_err(judged_by_acceptor)
    }

    /// Say that the mechListMIC is mandatory, where the mechanism itself does not.
    pub(crate) fn demand_mic(&mut self) {
        self.demands_mic = true;
    }

    /// What a leg's results mean.
    fn leg(
        &mut self,
        side: Side,
        glue: &'static Mechglue,
        status: Major,
        minor: u32,
        flags: u32,
        output: Buffer,
    ) -> Result<Step<Buffer>, MechError> {
        match status {
            major::COMPLETE => {
                self.flags = flags;
                self.established = true;
                Ok(Step::Done((!output.is_empty()).then_some(output)))
            }
            major::CONTINUE_NEEDED => {
                self.flags = flags;
                Ok(Step::Continue(output))
            }
            failure => {
                let mut error = advised_failure(side, glue, &self.mech, failure, minor);
                error.token = (!output.is_empty()).then(|| output.as_ref().to_vec());
                Err(error)
            }
        }
    }

    /// A mechanism may say that the mechListMIC is mandatory. NTLM does, by its own MIC, and being
    /// asked, right after its first leg and after each, is what makes it send one (MS-SPNG note 8).
    /// An initiator asks any mechanism but Kerberos, which does not know the question; an acceptor,
    /// who could not tell a peer in time, asks NTLM alone. What a mechanism does not know it is not
    /// asked again.
    fn ask_whether_mic_is_demanded(&mut self) {
        if read(&UNHEARD).contains(&self.mech) {
            return;
        }
        let Some(context) = self.context.as_ref() else {
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
        self.demands_mic = status == major::COMPLETE && demanded;
        if status == major::UNAVAILABLE && self.mech != oid::NTLMSSP {
            write(&UNHEARD).push(self.mech);
        }
        // SAFETY: null or the glue's own set, released once.
        unsafe {
            context
                .glue()
                .gss_release_buffer_set(&raw mut minor, &raw mut answer)
        };
    }

    /// Put NTLM's RC4 state back to what it was before the mechListMIC was made or verified, so
    /// that the application's first message finds it there (MS-SPNG 3.2.5.1, 3.3.5.1).
    fn reset_crypto(&mut self, after_verify: bool) -> Result<(), MechError> {
        if self.mech != oid::NTLMSSP {
            return Ok(());
        }
        let Some(context) = self.context.as_ref() else {
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
    pub(crate) fn mech(&self) -> &Oid {
        &self.mech
    }

    /// The inner context, once there is one.
    pub(crate) fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// The flags it reported last.
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// Seconds left when its last leg was run.
    pub(crate) fn lifetime(&self) -> u32 {
        self.lifetime
    }

    /// The initiator's name, once.
    pub(crate) fn take_source(&mut self) -> Option<Name> {
        self.source.take()
    }

    /// The delegated credential, once: a credential of the glue's, for the application as it is.
    pub(crate) fn take_delegated(&mut self) -> Option<Cred> {
        self.delegated.take()
    }

    /// Give the inner context up, for export.
    pub(crate) fn into_context(self) -> Option<Context> {
        self.context
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
        let Some(context) = self.context.as_ref() else {
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
        let Some(context) = self.context.as_ref() else {
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
        .ok_or_else(|| advised_failure(Side::Initiator, glue, mech, status, minor))
}

/// What a credential is acquired with, beside the mechanisms.
#[derive(Clone, Copy)]
pub(crate) struct Acquire<'a> {
    /// The principal; `None`: the default.
    pub(crate) name: Option<&'a Name>,
    /// Desired lifetime in seconds.
    pub(crate) lifetime: u32,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    pub(crate) usage: c_int,
    /// How its secret is come by.
    pub(crate) source: Source<'a>,
    /// Whether to ask how long it lasts. MIT's Kerberos then chooses a cache at once, which
    /// otherwise waits for the target.
    pub(crate) asks_lifetime: bool,
}

/// Where a credential's secret comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The mechanism's caches and key tables, or those of a store.
    Store(Store<'a>),
    /// A password.
    Password(&'a [u8]),
    /// Another credential, which may act for the name (S4U2Self).
    Impersonator(&'a Cred),
}

/// A credential that was acquired: for which mechanisms, for how long (seconds; 0 if not asked).
pub(crate) struct Acquired {
    pub(crate) cred: Cred,
    pub(crate) mechs: Vec<Oid>,
    pub(crate) lifetime: u32,
}

/// Acquire one credential for some mechanisms; those that have none are left out by the glue.
///
/// # Errors
/// The glue's, when no mechanism has one; named after the first.
pub(crate) fn acquire(
    glue: &'static Mechglue,
    mechs: &[Oid],
    how: Acquire<'_>,
) -> Result<Acquired, MechError> {
    let mut lent = LentOidSet::new(mechs);
    let (mut minor, mut lifetime) = (0, 0);
    let (mut cred, mut actual) = (ptr::null_mut(), ptr::null_mut());
    let name = how.name.map_or(ptr::null_mut(), Name::raw);
    let time_rec = if how.asks_lifetime {
        &raw mut lifetime
    } else {
        ptr::null_mut()
    };
    let status = match how.source {
        // SAFETY: handles are alive, the set is lent for the call, the outs are locals or null.
        Source::Store(store) if store.is_given() => unsafe {
            glue.gss_acquire_cred_from(
                &raw mut minor,
                name,
                how.lifetime,
                lent.raw(),
                how.usage,
                store.raw(),
                &raw mut cred,
                &raw mut actual,
                time_rec,
            )
        },
        // Heimdal tells why it has none only when it is asked for one mechanism's element.
        Source::Store(_) if glue.is_heimdal() && mechs.len() == 1 => {
            let mut mech = mechs.first().map(LentOid::new);
            let mut accepts = 0;
            // SAFETY: as above; the mech is lent for the call.
            let status = unsafe {
                glue.gss_add_cred(
                    &raw mut minor,
                    ptr::null_mut(),
                    name,
                    mech.as_mut().map_or(ptr::null_mut(), LentOid::raw),
                    how.usage,
                    how.lifetime,
                    how.lifetime,
                    &raw mut cred,
                    ptr::null_mut(),
                    time_rec,
                    &raw mut accepts,
                )
            };
            lifetime = lifetime.max(accepts);
            status
        }
        // SAFETY: as above.
        Source::Store(_) => unsafe {
            glue.gss_acquire_cred(
                &raw mut minor,
                name,
                how.lifetime,
                lent.raw(),
                how.usage,
                &raw mut cred,
                &raw mut actual,
                time_rec,
            )
        },
        Source::Password(password) => {
            let mut password = LentBuffer::new(password);
            // SAFETY: as above; the password is lent for the call.
            unsafe {
                glue.gss_acquire_cred_with_password(
                    &raw mut minor,
                    name,
                    password.raw(),
                    how.lifetime,
                    lent.raw(),
                    how.usage,
                    &raw mut cred,
                    &raw mut actual,
                    time_rec,
                )
            }
        }
        // SAFETY: as above.
        Source::Impersonator(impersonator) => unsafe {
            glue.gss_acquire_cred_impersonate_name(
                &raw mut minor,
                impersonator.raw(),
                name,
                how.lifetime,
                lent.raw(),
                how.usage,
                &raw mut cred,
                &raw mut actual,
                time_rec,
            )
        },
    };
    let actual = OidSet::take(glue, actual);
    let cred = Cred::take(glue, cred);
    let Some(cred) = cred.filter(|_| status == major::COMPLETE) else {
        let mech = mechs.first().copied().unwrap_or(oid::SPNEGO);
        let side = match u32::try_from(how.usage) {
            Ok(GSS_C_ACCEPT) => Side::Acceptor,
            _ => Side::Initiator,
        };
        return Err(advised_failure(side, glue, &mech, status, minor));
    };
    // The glue may report an interposed mechanism by a longer identifier: believe the request then.
    let reported = actual.map(|set| set.members()).unwrap_or_default();
    let known: Vec<Oid> = mechs
        .iter()
        .filter(|mech| reported.contains(mech))
        .copied()
        .collect();
    let mechs = if known.is_empty() {
        mechs.to_vec()
    } else {
        known
    };
    Ok(Acquired {
        cred,
        mechs,
        lifetime,
    })
}

/// A mechanism's failure, with its own words for it, taken down at once: they are kept by thread
/// and overwritten by the next call.
pub(crate) fn failed(glue: &'static Mechglue, mech: &Oid, status: Major, minor: u32) -> MechError {
    MechError {
        mech: *mech,
        major: status,
        cause: cause(mech, status, minor),
        reason: reason(glue, mech, status, minor),
        token: None,
    }
}

/// The same, and what to do about it after the mechanism's words.
fn advised_failure(
    side: Side,
    glue: &'static Mechglue,
    mech: &Oid,
    status: Major,
    minor: u32,
) -> MechError {
    let mut error = failed(glue, mech, status, minor);
    let trouble = Trouble::of(mech, side, status, minor, &error.reason)
        .map(|trouble| found_out(trouble, glue, &error.reason));
    error.reason = advised(error.reason, trouble.as_ref());
    error
}

/// The trouble that is really there. Of a ticket whose encryption type the acceptor does not permit
/// MIT's library says that it cannot be decrypted, as if the key were another.
fn found_out(trouble: Trouble, glue: &'static Mechglue, words: &str) -> Trouble {
    if trouble != Trouble::WrongKey(Side::Acceptor) || glue.is_heimdal() {
        return trouble;
    }
    match ticket_encryption_type(words).and_then(kerberos::permits_encryption_type) {
        Some(false) => Trouble::EncryptionType(Side::Acceptor),
        _ => trouble,
    }
}

/// The type in "... kvno 1 enctype DEPRECATED:arcfour-hmac found in keytab but cannot decrypt
/// ticket".
fn ticket_encryption_type(words: &str) -> Option<&str> {
    let (before, _) = words.rsplit_once(" found in keytab but cannot decrypt ticket")?;
    let (_, name) = before.rsplit_once(" enctype ")?;
    Some(name.rsplit_once(':').map_or(name, |(_, name)| name))
}

/// An acceptor passes over a mechanism only when it says that it cannot be used here. Whatever else
/// it finds wrong is the initiator's token, and a token that was refused (a skewed clock, an
/// unknown key) must not turn into another mechanism.
fn judged_by_acceptor(mut error: MechError) -> MechError {
    error.cause = match error.major & ROUTINE_ERRORS {
        major::NO_CRED | major::BAD_MECH | major::UNAVAILABLE => Cause::Unusable,
        _ => Cause::Refused,
    };
    error
}

/// What a failure means for the negotiation.
fn cause(mech: &Oid, status: Major, minor: u32) -> Cause {
    match status & ROUTINE_ERRORS {
        major::DEFECTIVE_TOKEN | BAD_SIG | BAD_BINDINGS | DUPLICATE_ELEMENT | NO_CONTEXT => {
            Cause::Refused
        }
        _ if mech.is_krb5() && KRB5_REFUSALS.contains(&minor) => Cause::Refused,
        _ => Cause::Unusable,
    }
}

/// The sentences of the glue for a failure: the mechanism's, or the major status's where the
/// mechanism has none.
fn reason(glue: &'static Mechglue, mech: &Oid, status: Major, minor: u32) -> String {
    call::collect_error(glue, mech, status, minor);
    // Kerberos has no code of its own for wrong channel bindings, and MIT's glue makes one of none.
    let has_none = mech.is_krb5() && status & ROUTINE_ERRORS == BAD_BINDINGS;
    let (code, kind) = if minor == 0 || has_none {
        (status, 1)
    } else {
        (minor, 2)
    };
    let mut lent = LentOid::new(mech);
    let mut sentences: Vec<String> = Vec::new();
    let mut more = 0;
    for _ in 0..MOST_SENTENCES {
        let mut ignored = 0;
        let mut text = Buffer::empty(glue);
        // SAFETY: the mech is lent for the call, the outs are locals.
        let shown = unsafe {
            glue.gss_display_status(
                &raw mut ignored,
                code,
                kind,
                lent.raw(),
                &raw mut more,
                text.out(),
            )
        };
        if shown != major::COMPLETE {
            break;
        }
        sentences.push(printable(text.text().trim()));
        if more == 0 {
            break;
        }
    }
    if sentences.is_empty() {
        return format!("failed with status {status:#x}, code {minor}");
    }
    sentences.join("; ")
}

/// A mechanism's sentence, in which nothing that a peer has put into it (the name in its ticket,
/// the text of an error) drives a terminal, ends a line of a log or fills it.
fn printable(sentence: &str) -> String {
    let mut shown: String = sentence
        .chars()
        .take(LONGEST_SENTENCE)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if sentence.chars().nth(LONGEST_SENTENCE).is_some() {
        shown.push_str("...");
    }
    shown
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

/// GSS_C_ROUTINE_ERROR_MASK of RFC 2744 in its place.
const ROUTINE_ERRORS: u32 = 0xff << 16;
const BAD_BINDINGS: u32 = 4 << 16;
const BAD_SIG: u32 = 6 << 16;
const NO_CONTEXT: u32 = major::NO_CONTEXT;
const DUPLICATE_ELEMENT: u32 = 17 << 16;

/// Kerberos errors that say no to the user, not to the mechanism: password expired, account
/// revoked, pre-authentication failed (wrong password), integrity check failed (wrong key).
/// Another mechanism must not be tried with the same secret. Values: MIT and Heimdal krb5_err.et.
const KRB5_REFUSALS: [u32; 4] = [
    krb5_error(23),
    krb5_error(18),
    krb5_error(24),
    krb5_error(31),
];

/// A mechanism that never ends its list of sentences is cut short.
const MOST_SENTENCES: usize = 8;

/// Characters of a sentence that are shown: Kerberos's with two principals in them have some 200,
/// and what to do about it has to fit behind it into the 1024 octets that curl shows.
const LONGEST_SENTENCE: usize = 500;

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

    #[test]
    fn a_tickets_encryption_type_is_found_in_the_librarys_words() {
        let words =
            |name| format!("kvno 1 enctype {name} found in keytab but cannot decrypt ticket");
        let plain = words("aes256-cts");
        assert_eq!(ticket_encryption_type(&plain), Some("aes256-cts"));
        let deprecated = words("DEPRECATED:arcfour-hmac");
        assert_eq!(ticket_encryption_type(&deprecated), Some("arcfour-hmac"));
        assert_eq!(ticket_encryption_type("another text"), None);
    }

    #[test]
    fn what_a_peer_puts_into_a_sentence_is_harmless_and_short() {
        let ticket = "Request ticket server HTTP/\u{1b}[2Jx\n@R not found in keytab";
        let shown = "Request ticket server HTTP/?[2Jx?@R not found in keytab";
        assert_eq!(printable(ticket), shown);
        let long = printable(&"ä".repeat(LONGEST_SENTENCE + 1));
        assert_eq!(long.chars().count(), LONGEST_SENTENCE + 3);
        assert_eq!(printable(&long[..10]), long[..10]);
    }

    #[test]
    fn a_wrong_password_is_final_and_a_missing_ticket_is_not() {
        let failure = major::FAILURE;
        assert_eq!(cause(&oid::KRB5, failure, krb5_error(24)), Cause::Refused);
        assert_eq!(cause(&oid::KRB5, failure, krb5_error(7)), Cause::Unusable);
        assert_eq!(cause(&oid::KRB5, major::NO_CRED, 0), Cause::Unusable);
        assert_eq!(
            cause(&oid::NTLMSSP, major::DEFECTIVE_TOKEN, 0),
            Cause::Refused
        );
    }
}

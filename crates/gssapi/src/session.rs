//! SPNEGO, or one mechanism alone, as any program asks the glue for it: the application's
//! credential, the glue's choice of who answers. For the parts of this library that are
//! applications themselves.

use super::Mechglue;
use super::call::{self, ContextFacts, is_failure};
use super::context::{Accept, GlueContext, Init, OurSpnego, Returned, Standing};
use super::mech::failed;
use super::owned::{Bindings, Buffer, Cred, LentBuffer, LentCred, LentOidSet, Name};
use crate::sys::*;
use spnego::advice::Trouble;
use spnego::error::{Cause, Error, MechError, major};
use spnego::oid::{self, Oid};
use spnego::role::Role;
use std::cell::OnceCell;
use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;

/// A credential of the application's that it lends for longer than a call; the null handle is the
/// default credential. Only C makes one, as the argument of a function whose contract says how long
/// the application has to keep it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct AppCred(gss_cred_id_t);

// SAFETY: RFC 2744 handles belong to a process, not to a thread.
unsafe impl Send for AppCred {}
// SAFETY: calls that only read a credential may be made at the same time in both glues.
unsafe impl Sync for AppCred {}

impl AppCred {
    /// The default credential.
    pub(crate) const DEFAULT: Self = Self(ptr::null_mut());
}

/// Whose credential a session uses.
pub enum Holder {
    /// The application's.
    App(AppCred),
    /// This library's.
    Own(Cred),
}

impl Holder {
    fn lend(&self) -> LentCred<'_> {
        match self {
            // SAFETY: the application keeps its credential for as long as it promised.
            Self::App(cred) => unsafe { LentCred::of_app(cred.0) },
            Self::Own(cred) => LentCred::new(Some(cred)),
        }
    }
}

/// What every leg of a session is called with.
pub struct Terms {
    /// The mechanism to ask for; an acceptor's is in the peer's first token.
    pub mech: Oid,
    /// The credential.
    pub cred: Holder,
    /// Whom to reach, as initiator; `None`: wait to be reached.
    pub target: Option<Name>,
    /// Request flags of RFC 2744 section 5.19.
    pub flags: u32,
    /// The application data of the channel bindings.
    pub bindings: Option<Vec<u8>>,
}

/// The glue's no, and what to do about it, where that is known.
pub struct Refused {
    /// In the glue's words.
    pub error: MechError,
    /// What to do.
    pub trouble: Option<Trouble>,
}

impl Refused {
    fn new(glue: &'static Mechglue, mech: &Oid, role: Role, status: u32, minor: u32) -> Self {
        let error = failed(glue, mech, status, minor);
        // A built-in SPNEGO hands on the code of the mechanism that it asked first, Kerberos.
        let whose = if *mech == oid::SPNEGO {
            &oid::KRB5
        } else {
            mech
        };
        let trouble = Trouble::of(whose, role, status, minor, &error.reason);
        Self { error, trouble }
    }

    /// A leg of a context that has had its last.
    fn over(mech: &Oid) -> Self {
        let error = MechError {
            mech: *mech,
            major: major::NO_CONTEXT,
            cause: Cause::Refused,
            reason: "the security context is over: begin another".to_owned(),
            token: None,
        };
        let trouble = None;
        Self { error, trouble }
    }
}

/// One security context of SPNEGO, as an application has it.
pub(crate) struct Session {
    glue: &'static Mechglue,
    terms: Arc<Terms>,
    /// Nothing once a leg has failed.
    context: GlueContext,
    flags: u32,
    is_over: bool,
    /// Whether SPNEGO is ours, once somebody wants to know: what stands in its place stays there.
    ours: OnceCell<Option<OurSpnego>>,
}

/// The library of an application that may not have loaded one yet; it is never unloaded.
///
/// # Errors
/// When there is none on this machine.
pub fn library() -> Result<&'static Mechglue, Error> {
    loaded(Mechglue::mit()).ok_or(Error::Unavailable(
        "libgssapi_krb5.so.2 cannot be loaded; install MIT krb5",
    ))
}

/// The same for Heimdal's.
///
/// # Errors
/// When there is none on this machine.
pub(crate) fn library_of_heimdal() -> Result<&'static Mechglue, Error> {
    loaded(Mechglue::heimdal()).ok_or(Error::Unavailable(
        "libgssapi.so.3 cannot be loaded; Heimdal is not installed",
    ))
}

fn loaded(glue: &'static Mechglue) -> Option<&'static Mechglue> {
    glue.load().then_some(glue)
}

/// A credential for one mechanism: with a password, or what the mechanism finds by itself.
///
/// # Errors
/// The glue's.
pub fn acquire(
    glue: &'static Mechglue,
    mech: &Oid,
    role: Role,
    name: Option<&Name>,
    password: Option<&[u8]>,
) -> Result<Cred, Refused> {
    let mechs = [*mech];
    let mut lent = LentOidSet::new(&mechs);
    let name = name.map_or(ptr::null_mut(), Name::raw);
    let usage = match role {
        Role::Initiator => GSS_C_INITIATE,
        Role::Acceptor => GSS_C_ACCEPT,
    };
    let usage = c_int::try_from(usage).unwrap_or_default();
    let (mut minor, mut cred) = (0, ptr::null_mut());
    let status = match password {
        Some(password) => {
            let mut password = LentBuffer::new(password);
            // SAFETY: the name is alive, set and password are lent for the call, the result is a
            // local, what is null is not wanted.
            unsafe {
                glue.gss_acquire_cred_with_password(
                    &raw mut minor,
                    name,
                    password.raw(),
                    DEFAULT_LIFETIME,
                    lent.raw(),
                    usage,
                    &raw mut cred,
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            }
        }
        // SAFETY: as above.
        None => unsafe {
            glue.gss_acquire_cred(
                &raw mut minor,
                name,
                DEFAULT_LIFETIME,
                lent.raw(),
                usage,
                &raw mut cred,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        },
    };
    match Cred::take(glue, cred) {
        Some(cred) if !is_failure(status) => Ok(cred),
        _ => Err(Refused::new(glue, mech, role, status, minor)),
    }
}

/// Whether a glue's SPNEGO is this project's: only that knows the option. `None` when there is no
/// credential to be asked.
pub(crate) fn ours(glue: &'static Mechglue) -> Option<Result<OurSpnego, Error>> {
    let name = call::import_name(glue, b"nobody@INVALID", Some(&oid::USER_NAME)).ok()?;
    let password = Some(&b"none"[..]);
    let made = acquire(glue, &oid::SPNEGO, Role::Initiator, Some(&name), password);
    let changed = call::change_cred(&mut made.ok()?, &oid::MAX_OUTPUT_TOKEN_SIZE, &OFF);
    Some(changed.map(|_| OurSpnego::proved()))
}

/// What the mechanism thinks fit, RFC 2744 section 5.2.
const DEFAULT_LIFETIME: u32 = 0;

/// The value of the option that changes nothing: no fragments.
const OFF: [u8; 4] = [0; 4];

impl Session {
    /// A session without any token yet.
    pub(crate) fn new(glue: &'static Mechglue, terms: Arc<Terms>) -> Self {
        Self {
            glue,
            terms,
            context: GlueContext::None,
            flags: 0,
            is_over: false,
            ours: OnceCell::new(),
        }
    }

    /// One leg: the peer's token, `None` when there is nothing of the peer yet. What goes to the
    /// peer, and whether that completes the context.
    ///
    /// # Errors
    /// The glue's; the token is what the peer gets in spite of it. Nothing can be done with the
    /// context any more.
    pub(crate) fn step(&mut self, token: Option<&[u8]>) -> Result<(Buffer, bool), Refused> {
        if self.is_over {
            return Err(Refused::over(&self.terms.mech));
        }
        let returned = self.call(token);
        self.flags = returned.flags;
        let Returned {
            status,
            minor,
            output,
            ..
        } = returned;
        self.is_over = status != major::CONTINUE_NEEDED;
        match status {
            major::COMPLETE | major::CONTINUE_NEEDED => Ok((output, status == major::COMPLETE)),
            failure => {
                let role = self.role();
                let mut refused = Refused::new(self.glue, &self.terms.mech, role, failure, minor);
                refused.error.token = (!output.is_empty()).then(|| output.as_ref().to_vec());
                self.context = GlueContext::None;
                Err(refused)
            }
        }
    }

    fn call(&mut self, token: Option<&[u8]>) -> Returned {
        let terms = &self.terms;
        let mut bindings = terms.bindings.as_deref().map(bindings);
        let bindings = Bindings::new(bindings.as_mut());
        let cred = terms.cred.lend();
        match &terms.target {
            Some(target) => {
                let init = Init {
                    cred,
                    target,
                    mech: &terms.mech,
                    flags: terms.flags,
                    lifetime: DEFAULT_LIFETIME,
                    bindings,
                };
                self.context.init(&init, token)
            }
            None => {
                let accept = Accept {
                    cred,
                    bindings,
                    wants_source: false,
                    wants_delegated: false,
                };
                let token = token.unwrap_or_default();
                self.context.accept(self.glue, &accept, token)
            }
        }
    }

    /// Whether it waits to be begun by a peer.
    pub(crate) fn accepts(&self) -> bool {
        self.role() == Role::Acceptor
    }

    /// The flags that were reported last.
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// The service of an acceptor's credential, if it has one. gss-ntlmssp crashes when it is asked for
    /// a name that is not there (1.2.0): what it stands first in is not asked.
    pub(crate) fn service(&self) -> Option<String> {
        let cred = self.terms.cred.lend();
        if cred.raw().is_null() {
            return None;
        }
        let mechs = call::inquire_lent(self.glue, cred, false, true)
            .ok()?
            .mechs?;
        if mechs.members().first() == Some(&oid::NTLMSSP) {
            return None;
        }
        let name = call::inquire_lent(self.glue, cred, true, false)
            .ok()?
            .name?;
        Some(call::display_name(self.glue, &name).ok()?.0.text())
    }

    fn role(&self) -> Role {
        match self.terms.target {
            Some(_) => Role::Initiator,
            None => Role::Acceptor,
        }
    }

    /// What the SPNEGO behind the context answers to a question, which only this project's knows.
    /// `None` when there is no context that can be asked.
    pub(crate) fn ask(&self, question: &Oid) -> Option<Result<Vec<Vec<u8>>, Error>> {
        Some(call::ask_context(self.standing()?, question))
    }

    /// The context, if it stands a question. While it is on its way, an acceptor's is the peer's to
    /// choose, whose token may be one of a mechanism alone.
    fn standing(&self) -> Option<Standing<'_>> {
        match &self.context {
            GlueContext::Established(context) => Some(context.standing()),
            GlueContext::Partial(context) => self.ours().map(|ours| context.of_our_spnego(ours)),
            GlueContext::None => None,
        }
    }

    /// Proof that an initiator's context is of this project's SPNEGO.
    fn ours(&self) -> Option<OurSpnego> {
        if self.role() != Role::Initiator || self.terms.mech != oid::SPNEGO {
            return None;
        }
        *self.ours.get_or_init(|| ours(self.glue)?.ok())
    }

    /// What has been established: the peer's name and the rest of what the context tells.
    ///
    /// # Errors
    /// The glue's.
    pub(crate) fn facts(&self) -> Result<(Option<String>, ContextFacts), Error> {
        let context = self.context.established().ok_or(NOT_ESTABLISHED)?;
        let initiates = self.terms.target.is_some();
        let mut facts = call::inquire_context(context, !initiates, initiates)?;
        facts.flags |= self.flags;
        let peer = if initiates {
            &facts.target
        } else {
            &facts.source
        };
        let shown = match peer {
            Some(name) => Some(call::display_name(self.glue, name)?.0.text()),
            None => None,
        };
        Ok((shown, facts))
    }
}

/// Channel bindings without addresses, whose application data are `data` for as long as they live.
fn bindings(data: &[u8]) -> gss_channel_bindings_struct {
    let none = || gss_buffer_desc {
        length: 0,
        value: ptr::null_mut(),
    };
    gss_channel_bindings_struct {
        initiator_addrtype: 0,
        initiator_address: none(),
        acceptor_addrtype: 0,
        acceptor_address: none(),
        application_data: gss_buffer_desc {
            length: data.len(),
            value: data.as_ptr().cast_mut().cast(),
        },
    }
}

const NOT_ESTABLISHED: Error = Error::NoContext("the security context is not established");

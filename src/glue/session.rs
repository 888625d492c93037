//! SPNEGO, or one mechanism alone, as any program asks the glue for it: the application's
//! credential, the glue's choice of who answers. For the parts of this library that are
//! applications themselves.

use super::call::{self, ContextFacts};
use super::mech::failed;
use super::owned::{Buffer, Context, Cred, LentBuffer, LentOid, LentOidSet, Name};
use super::{Mechglue, call::is_failure};
use crate::advice::Trouble;
use crate::error::{Error, MechError, major};
use crate::oid::{self, Oid};
use crate::role::Role;
use crate::sys::*;
use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;

/// A credential of the application's that it lends for longer than a call; the null handle is the
/// default credential. Only C makes one, as the argument of a function whose contract says how long
/// the application has to keep it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct AppCred(gss_cred_id_t);

// SAFETY: RFC 2744 handles belong to a process, not to a thread.
unsafe impl Send for AppCred {}
// SAFETY: calls that only read a credential may be made at the same time in both glues.
unsafe impl Sync for AppCred {}

impl AppCred {
    /// The default credential.
    pub(crate) const DEFAULT: Self = Self(ptr::null_mut());
}

/// Whose credential a session uses.
pub(crate) enum Holder {
    /// The application's.
    App(AppCred),
    /// This library's.
    Own(Cred),
}

impl Holder {
    fn handle(&self) -> gss_cred_id_t {
        match self {
            Self::App(cred) => cred.0,
            Self::Own(cred) => cred.raw(),
        }
    }
}

/// What every leg of a session is called with.
pub(crate) struct Terms {
    /// The mechanism to ask for; an acceptor's is in the peer's first token.
    pub(crate) mech: Oid,
    /// The credential.
    pub(crate) cred: Holder,
    /// Whom to reach, as initiator; `None`: wait to be reached.
    pub(crate) target: Option<Name>,
    /// Request flags of RFC 2744 section 5.19.
    pub(crate) flags: u32,
    /// The application data of the channel bindings.
    pub(crate) bindings: Option<Vec<u8>>,
}

/// The glue's no, and what to do about it, where that is known.
pub(crate) struct Refused {
    /// In the glue's words.
    pub(crate) error: MechError,
    /// What to do.
    pub(crate) trouble: Option<Trouble>,
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
}

/// One security context of SPNEGO, as an application has it.
pub(crate) struct Session {
    glue: &'static Mechglue,
    terms: Arc<Terms>,
    context: Option<Context>,
    flags: u32,
}

/// The library of an application that may not have loaded one yet; it is never unloaded.
///
/// # Errors
/// When there is none on this machine.
pub(crate) fn library() -> Result<&'static Mechglue, Error> {
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
pub(crate) fn acquire(
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

/// Whether this project's SPNEGO made the credential: only it knows the option.
pub(crate) fn is_ours(cred: &mut Cred) -> bool {
    call::change_cred(cred, &oid::MAX_OUTPUT_TOKEN_SIZE, &OFF).is_ok()
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
            context: None,
            flags: 0,
        }
    }

    /// One leg: the peer's token, `None` when there is nothing of the peer yet. What goes to the
    /// peer, and whether that completes the context.
    ///
    /// # Errors
    /// The glue's; the token is what the peer gets in spite of it.
    pub(crate) fn step(&mut self, token: Option<&[u8]>) -> Result<(Buffer, bool), Refused> {
        let mut output = Buffer::empty(self.glue);
        let (status, minor) = match &self.terms.clone().target {
            Some(target) => self.initiate(target, token, &mut output),
            None => self.accept(token.unwrap_or_default(), &mut output),
        };
        if is_failure(status) {
            let role = match self.terms.target {
                Some(_) => Role::Initiator,
                None => Role::Acceptor,
            };
            let mut refused = Refused::new(self.glue, &self.terms.mech, role, status, minor);
            refused.error.token = (!output.is_empty()).then(|| output.as_ref().to_vec());
            return Err(refused);
        }
        Ok((output, status & major::CONTINUE_NEEDED == 0))
    }

    /// What the SPNEGO behind the context answers to a question, which only this project's knows.
    /// `None` when there is no context to ask.
    pub(crate) fn ask(&self, question: &Oid) -> Option<Result<Vec<Vec<u8>>, Error>> {
        let context = self.context.as_ref()?;
        Some(call::ask_context(context, question))
    }

    /// What has been established: the peer's name and the rest of what the context tells.
    ///
    /// # Errors
    /// The glue's.
    pub(crate) fn facts(&self) -> Result<(Option<String>, ContextFacts), Error> {
        let context = self.context.as_ref().ok_or(NOT_ESTABLISHED)?;
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

    fn initiate(&mut self, target: &Name, token: Option<&[u8]>, output: &mut Buffer) -> (u32, u32) {
        let terms = Arc::clone(&self.terms);
        let mut mech = LentOid::new(&terms.mech);
        let mut lent = LentBuffer::new(token.unwrap_or_default());
        let mut bindings = terms.bindings.as_deref().map(bindings);
        let mut context = self.taken();
        let (mut minor, mut flags) = (0, 0);
        // SAFETY: the application keeps its credential for as long as it promised; the other
        // handles are this glue's and alive, lent values live to the end of this function, outs are
        // locals.
        let status = unsafe {
            self.glue.gss_init_sec_context(
                &raw mut minor,
                self.terms.cred.handle(),
                &raw mut context,
                target.raw(),
                mech.raw(),
                terms.flags,
                0,
                bindings.as_mut().map_or(ptr::null_mut(), ptr::from_mut),
                token.map_or(ptr::null_mut(), |_| lent.raw()),
                ptr::null_mut(),
                output.out(),
                &raw mut flags,
                ptr::null_mut(),
            )
        };
        self.context = Context::take(self.glue, context);
        self.flags = flags;
        (status, minor)
    }

    fn accept(&mut self, token: &[u8], output: &mut Buffer) -> (u32, u32) {
        let mut lent = LentBuffer::new(token);
        let mut bindings = self.terms.bindings.as_deref().map(bindings);
        let mut context = self.taken();
        let (mut minor, mut flags) = (0, 0);
        // SAFETY: as in `initiate`; the outs that are null are not wanted.
        let status = unsafe {
            self.glue.gss_accept_sec_context(
                &raw mut minor,
                &raw mut context,
                self.terms.cred.handle(),
                lent.raw(),
                bindings.as_mut().map_or(ptr::null_mut(), ptr::from_mut),
                ptr::null_mut(),
                ptr::null_mut(),
                output.out(),
                &raw mut flags,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        self.context = Context::take(self.glue, context);
        self.flags = flags;
        (status, minor)
    }

    fn taken(&mut self) -> gss_ctx_id_t {
        self.context
            .take()
            .map_or(ptr::null_mut(), Context::into_raw)
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

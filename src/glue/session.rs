//! SPNEGO as any program asks the glue for it: the application's credential, the glue's choice of
//! who answers. For the parts of this library that are applications themselves.

use super::call::{self, ContextFacts};
use super::mech::failed;
use super::owned::{Buffer, Context, LentBuffer, LentOid, Name};
use super::{Mechglue, call::is_failure};
use crate::error::{Error, MechError, major};
use crate::oid;
use crate::sys::*;
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;

/// A credential of the application's that it lends for longer than a call; the null handle is the
/// default credential.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct AppCred<'a> {
    handle: gss_cred_id_t,
    lender: PhantomData<&'a ()>,
}

impl AppCred<'_> {
    /// Keep it beyond the call: whoever takes this says in C's header how long the application has
    /// to keep its credential.
    pub(crate) fn keep(self) -> AppCred<'static> {
        AppCred {
            handle: self.handle,
            lender: PhantomData,
        }
    }
}

/// What every leg of a session is called with.
pub(crate) struct Terms {
    /// The credential.
    pub(crate) cred: AppCred<'static>,
    /// Whom to reach, as initiator; `None`: wait to be reached.
    pub(crate) target: Option<Name>,
    /// Request flags of RFC 2744 section 5.19.
    pub(crate) flags: u32,
    /// The application data of the channel bindings.
    pub(crate) bindings: Option<Vec<u8>>,
}

/// One security context of SPNEGO, as an application has it.
pub(crate) struct Session {
    glue: &'static Mechglue,
    terms: Rc<Terms>,
    context: Option<Context>,
    flags: u32,
}

/// The library of an application that may not have loaded one yet; it is never unloaded.
///
/// # Errors
/// When there is none on this machine.
pub(crate) fn library() -> Result<&'static Mechglue, Error> {
    let glue = Mechglue::mit();
    if glue.load() {
        Ok(glue)
    } else {
        Err(Error::Unavailable(
            "libgssapi_krb5.so.2 cannot be loaded; install MIT krb5",
        ))
    }
}

impl Session {
    /// A session without any token yet.
    pub(crate) fn new(glue: &'static Mechglue, terms: Rc<Terms>) -> Self {
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
    pub(crate) fn step(&mut self, token: Option<&[u8]>) -> Result<(Buffer, bool), MechError> {
        let mut output = Buffer::empty(self.glue);
        let (status, minor) = match &self.terms.clone().target {
            Some(target) => self.initiate(target, token, &mut output),
            None => self.accept(token.unwrap_or_default(), &mut output),
        };
        if is_failure(status) {
            let mut error = failed(self.glue, &oid::SPNEGO, status, minor);
            error.token = (!output.is_empty()).then(|| output.as_ref().to_vec());
            return Err(error);
        }
        Ok((output, status & major::CONTINUE_NEEDED == 0))
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
        let mut mech = LentOid::new(&oid::SPNEGO);
        let mut lent = LentBuffer::new(token.unwrap_or_default());
        let mut bindings = self.terms.bindings.as_deref().map(bindings);
        let mut context = self.taken();
        let (mut minor, mut flags) = (0, 0);
        // SAFETY: the application keeps its credential for as long as it promised; the other handles
        // are this glue's and alive, lent values live to the end of this function, outs are locals.
        let status = unsafe {
            self.glue.gss_init_sec_context(
                &raw mut minor,
                self.terms.cred.handle,
                &raw mut context,
                target.raw(),
                mech.raw(),
                self.terms.flags,
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
                self.terms.cred.handle,
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

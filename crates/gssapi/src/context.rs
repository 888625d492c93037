//! Security contexts of the glue's, by what may be done with them. A library reports a context begun
//! that has nothing in it, after a token that its mechanism cannot use and after a failure, and
//! does not look before it asks such a one: MIT's GSS_Inquire_sec_context_by_oid crashes. So only
//! [`Established`] has a handle for questions and messages; what is on its way can be called on,
//! deleted, and asked for what [`Standing`] lets through.

use super::Mechglue;
use super::owned::{Bindings, Buffer, Cred, LentBuffer, LentCred, LentOid, Name, owner};
use crate::sys::*;
use spnego::error::{Major, major};
use spnego::oid::{self, Oid};
use spnego::wire::framing::InitialToken;
use spnego::wire::spnego::NegTokenResp;
use std::mem;
use std::ptr::{self, NonNull};

owner!(
    /// A security context in whatever state.
    Handle, gss_ctx_id_t, gss_ctx_id_struct, |glue, minor, context| {
        // SAFETY: passes the caller's contract on; no deletion token is wanted.
        unsafe { glue.gss_delete_sec_context(minor, context, ptr::null_mut()) }
    }
);

/// A context, as the calls of init or accept have left it.
#[derive(Default)]
pub(crate) enum GlueContext {
    /// There is none yet, or a failure has left none.
    #[default]
    None,
    /// It waits for a token, or has failed.
    Partial(Partial),
    /// It is established.
    Established(Established),
}

/// A context that no call has reported established. It may be empty.
pub(crate) struct Partial(Handle);

/// A context that is established.
pub struct Established(Handle);

/// A context that is known to stand a question by identifier.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'a>(&'a Handle);

/// Proof that a glue's SPNEGO is this project's, whose contexts stand a question in any state.
#[derive(Clone, Copy)]
pub(crate) struct OurSpnego(());

impl OurSpnego {
    /// What a credential for SPNEGO has proved by taking an option that no other SPNEGO knows.
    pub(super) fn proved() -> Self {
        Self(())
    }
}

/// What a call of init or accept has returned.
pub(crate) struct Returned {
    pub(crate) status: Major,
    pub(crate) minor: u32,
    pub(crate) flags: u32,
    /// Seconds.
    pub(crate) lifetime: u32,
    pub(crate) output: Buffer,
    /// The initiator's name, where an acceptor has wanted it.
    pub(crate) source: Option<Name>,
    /// The delegated credential, where an acceptor has wanted it.
    pub(crate) delegated: Option<Cred>,
}

/// The arguments of GSS_Init_sec_context.
pub(crate) struct Init<'a> {
    pub(crate) cred: LentCred<'a>,
    pub(crate) target: &'a Name,
    pub(crate) mech: &'a Oid,
    pub(crate) flags: u32,
    pub(crate) lifetime: u32,
    pub(crate) bindings: Bindings<'a>,
}

/// The arguments of GSS_Accept_sec_context.
pub(crate) struct Accept<'a> {
    pub(crate) cred: LentCred<'a>,
    pub(crate) bindings: Bindings<'a>,
    pub(crate) wants_source: bool,
    pub(crate) wants_delegated: bool,
}

impl Returned {
    /// Of a token that is not handed on.
    #[cold]
    fn defective(glue: &'static Mechglue) -> Self {
        Self {
            status: major::DEFECTIVE_TOKEN,
            minor: 0,
            flags: 0,
            lifetime: 0,
            output: Buffer::empty(glue),
            source: None,
            delegated: None,
        }
    }
}

/// Whether Heimdal's Kerberos, as initiator, would read what nobody has written: 7.8 does with every
/// token that has neither the header of an AP-REP nor that of a KRB-ERROR (RFC 4121 section 4.1),
/// but in DCE style. Its SPNEGO hands it such tokens too.
fn crashes_heimdal(token: &[u8], call: &Init<'_>) -> bool {
    if call.flags & DCE_STYLE != 0 {
        return false;
    }
    if *call.mech != oid::SPNEGO {
        return call.mech.is_krb5() && !token.is_empty() && !answers_ap_req(token);
    }
    let Ok(response) = NegTokenResp::decode(token) else {
        return false;
    };
    let is_ntlm = response.supported_mech == Some(oid::NTLMSSP.content());
    let token = response.response_token.unwrap_or_default();
    !is_ntlm && !token.is_empty() && !answers_ap_req(token)
}

fn answers_ap_req(token: &[u8]) -> bool {
    InitialToken::decode(token).is_ok_and(|framed| {
        framed.mech == oid::KRB5.content()
            && framed.trailing.is_empty()
            && matches!(framed.inner, [2 | 3, 0, ..])
    })
}

impl GlueContext {
    /// GSS_Init_sec_context; `token` is `None` on the first call.
    pub(crate) fn init(&mut self, call: &Init<'_>, token: Option<&[u8]>) -> Returned {
        let glue = call.target.glue();
        if glue.is_heimdal() && token.is_some_and(|token| crashes_heimdal(token, call)) {
            return Returned::defective(glue);
        }
        let mut mech = LentOid::new(call.mech);
        let mut lent = LentBuffer::new(token.unwrap_or_default());
        let mut output = Buffer::empty(glue);
        let mut context = self.take_raw();
        let (mut minor, mut flags, mut lifetime) = (0, 0, 0);
        // SAFETY: every handle is this glue's and alive, lent values live to the end of this
        // function, outs are locals or null; the context is owned again right after.
        let status = unsafe {
            glue.gss_init_sec_context(
                &raw mut minor,
                call.cred.raw(),
                &raw mut context,
                call.target.raw(),
                mech.raw(),
                call.flags,
                call.lifetime,
                call.bindings.raw(),
                token.map_or(ptr::null_mut(), |_| lent.raw()),
                ptr::null_mut(),
                output.out(),
                &raw mut flags,
                &raw mut lifetime,
            )
        };
        *self = Self::left(glue, context, status);
        Returned {
            status,
            minor,
            flags,
            lifetime,
            output,
            source: None,
            delegated: None,
        }
    }

    /// GSS_Accept_sec_context.
    pub(crate) fn accept(
        &mut self,
        glue: &'static Mechglue,
        call: &Accept<'_>,
        token: &[u8],
    ) -> Returned {
        let mut lent = LentBuffer::new(token);
        let mut output = Buffer::empty(glue);
        let mut context = self.take_raw();
        let (mut minor, mut flags, mut lifetime) = (0, 0, 0);
        let (mut source, mut delegated) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: every handle is this glue's and alive, lent values live to the end of this
        // function, outs are locals or null; what is returned is owned right after.
        let status = unsafe {
            glue.gss_accept_sec_context(
                &raw mut minor,
                &raw mut context,
                call.cred.raw(),
                lent.raw(),
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
        *self = Self::left(glue, context, status);
        // MIT's Kerberos says so of what is no AP-REQ, and has neither a context nor a token to go
        // on with.
        let leads_nowhere = minor != 0 && output.is_empty();
        let status = match status {
            major::CONTINUE_NEEDED if leads_nowhere => major::DEFECTIVE_TOKEN,
            status => status,
        };
        Returned {
            status,
            minor,
            flags,
            lifetime,
            output,
            source: Name::take(glue, source),
            delegated: Cred::take(glue, delegated),
        }
    }

    /// The context, when it is established.
    #[inline]
    pub(crate) fn established(&self) -> Option<&Established> {
        match self {
            Self::Established(established) => Some(established),
            Self::None | Self::Partial(_) => None,
        }
    }

    /// Own what a call has left. GSS_S_COMPLETE alone says that it is established: a duplicate or
    /// an old token is a failure here (RFC 2743 sections 2.2.1 and 2.2.2).
    fn left(glue: &'static Mechglue, context: gss_ctx_id_t, status: Major) -> Self {
        match Handle::take(glue, context) {
            None => Self::None,
            Some(handle) if status == major::COMPLETE => Self::Established(Established(handle)),
            Some(handle) => Self::Partial(Partial(handle)),
        }
    }

    fn take_raw(&mut self) -> gss_ctx_id_t {
        match mem::take(self) {
            Self::None => ptr::null_mut(),
            Self::Partial(Partial(handle)) | Self::Established(Established(handle)) => {
                handle.into_raw()
            }
        }
    }
}

impl Partial {
    /// For a question to an NTLM mechanism. Heimdal's NTLM looks itself; MIT's glue is asked first
    /// whether the context is empty, by a function of which it looks and NTLM mechanisms have
    /// none.
    pub(crate) fn of_ntlm(&self) -> Option<Standing<'_>> {
        let glue = self.0.glue();
        if glue.is_heimdal() {
            return Some(Standing(&self.0));
        }
        let mut nothing = LentBuffer::new(&[]);
        let mut minor = 0;
        // SAFETY: the context is alive, the message lent for the call. The glue's answer to a
        // context that is empty is GSS_S_NO_CONTEXT.
        let status =
            unsafe { glue.gss_complete_auth_token(&raw mut minor, self.0.raw(), nothing.raw()) };
        (status == major::COMPLETE).then_some(Standing(&self.0))
    }

    /// For a question to an initiator's context of SPNEGO, where that is this project's.
    pub(crate) fn of_our_spnego(&self, _: OurSpnego) -> Standing<'_> {
        Standing(&self.0)
    }
}

impl Established {
    /// Own what GSS_Import_sec_context has made, or GSS_Export_sec_context has left: MIT's glue leaves
    /// no context of a mechanism that has given its own up.
    pub(super) fn taken(glue: &'static Mechglue, context: gss_ctx_id_t) -> Option<Self> {
        Handle::take(glue, context).map(Self)
    }

    /// The handle, lent for a call.
    #[inline]
    pub fn raw(&self) -> gss_ctx_id_t {
        self.0.raw()
    }

    /// Give the handle up, for GSS_Export_sec_context.
    pub(super) fn into_raw(self) -> gss_ctx_id_t {
        self.0.into_raw()
    }

    /// The glue it came from.
    pub(crate) fn glue(&self) -> &'static Mechglue {
        self.0.glue()
    }

    /// For a question by identifier.
    pub(crate) fn standing(&self) -> Standing<'_> {
        Standing(&self.0)
    }
}

impl Standing<'_> {
    /// The handle, lent for a call.
    pub(super) fn raw(self) -> gss_ctx_id_t {
        self.0.raw()
    }

    /// The glue it came from.
    pub(super) fn glue(self) -> &'static Mechglue {
        self.0.glue()
    }
}

/// GSS_C_DCE_STYLE of gssapi_ext.h.
const DCE_STYLE: u32 = 0x1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_an_ap_req_is_known_by_its_header() {
        let framed = |mech: &Oid, inside: &[u8]| {
            let mech = mech.content();
            let length = |octets: usize| u8::try_from(octets).unwrap();
            let head = [
                0x60,
                length(2 + mech.len() + inside.len()),
                6,
                length(mech.len()),
            ];
            [&head[..], mech, inside].concat()
        };
        assert!(answers_ap_req(&framed(&oid::KRB5, b"\x02\0\x6f\0")));
        assert!(answers_ap_req(&framed(&oid::KRB5, b"\x03\0")));
        for wrong in [
            framed(&oid::KRB5, b"\x01\0\x6e\0"),
            framed(&oid::KRB5, b"\x02"),
            framed(&oid::NTLMSSP, b"\x02\0\x6f\0"),
            [framed(&oid::KRB5, b"\x02\0"), b"x".to_vec()].concat(),
            b"\x6f\0".to_vec(),
            b"AAAAAAAA".to_vec(),
        ] {
            assert!(!answers_ap_req(&wrong), "{wrong:02x?}");
        }
    }
}

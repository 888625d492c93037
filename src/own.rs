//! Our own NTLM behind the door: when it serves, and its contexts as negotiation and the caller see
//! them.
#![forbid(unsafe_code)]

mod machine;
mod users;

pub(crate) use machine::{ThisMachine, host};
pub(crate) use users::{From, Users, Wanted};

use super::inner::unusable;
use super::name::Name;
use gssapi::machine::host_name;
use gssapi::sys::GSS_C_MUTUAL_FLAG;
use gssapi::{Mechglue, catalog};
use ntlm::{Accept, Acceptor, ChannelBindings, Host, Initiate, Ntlm};
use spnego::error::{Cause, Error, MechError};
use spnego::negotiate::{Mech, Step};
use spnego::oid::{self, Oid};
use spnego::policy::{NtlmProvider, Policy};

/// Whether NTLM is ours to speak beside the glue's mechanisms: it has none, or the configuration
/// prefers ours.
pub(crate) fn serves(of_glue: &[Oid], provider: NtlmProvider) -> bool {
    match provider {
        NtlmProvider::System => !of_glue.contains(&oid::NTLMSSP),
        NtlmProvider::Own => true,
        NtlmProvider::Off => false,
    }
}

/// Whether NTLM is ours, and the glue's, in any context that there may be under a policy.
pub(crate) fn providers(of_glue: &[Oid], policy: &Policy) -> (bool, bool) {
    let is_known = of_glue.contains(&oid::NTLMSSP);
    let (system, own) = (
        policy.uses(NtlmProvider::System),
        policy.uses(NtlmProvider::Own),
    );
    (own || (system && !is_known), system && is_known)
}

/// The mechanisms that can be negotiated, the glue's and ours; of them, those that are only for
/// whoever names them, when the policy does.
pub(crate) fn available(glue: &'static Mechglue, of_glue: &[Oid], policy: &Policy) -> Vec<Oid> {
    let mut mechs = of_glue.to_vec();
    // Ours is there where the glue has none; whether any is used, the policy says.
    if !mechs.contains(&oid::NTLMSSP) {
        mechs.push(oid::NTLMSSP);
    }
    if policy.names(&oid::IAKERB) && catalog::has(glue, &oid::IAKERB) {
        mechs.push(oid::IAKERB);
    }
    mechs
}

/// That NTLM is not to be used here, and why.
pub(crate) fn none(reason: &str) -> MechError {
    unusable(&oid::NTLMSSP, reason)
}

/// Why our own NTLM is not to be used, where the policy speaks of it: then it is no longer news that
/// nothing is configured for it.
pub(crate) fn named_by(policy: &Policy, mut error: MechError) -> MechError {
    let is_named = policy.uses(NtlmProvider::Own) || policy.names(&oid::NTLMSSP);
    if is_named && error.cause == Cause::NotConfigured {
        error.cause = Cause::Unusable;
    }
    error
}

/// A context of our own NTLM, and what its caller asked of it.
pub(crate) struct Own {
    ntlm: Ntlm,
    /// The caller asked for mutual authentication.
    wants_mutual: bool,
    /// The glue hands NTLM's identifier on. Heimdal's hands on what it is told; MIT's knows only
    /// those that are configured, and tells the application the null OID in the place of another.
    known_to_glue: bool,
    /// The peer has proved by its mechListMIC that it has the session key.
    peer_proved: bool,
}

impl Own {
    /// Start as an initiator.
    ///
    /// # Errors
    /// What the mechanism says.
    pub(crate) fn initiate(
        glue: &'static Mechglue,
        users: &Users,
        flags: u32,
        target: Option<&str>,
        bindings: Option<ChannelBindings<'_>>,
    ) -> Result<(Self, Step<Vec<u8>>), MechError> {
        let (ntlm, step) = Ntlm::initiate(&Initiate {
            credential: users.initiator()?,
            target,
            bindings,
            host: &host(),
            machine: &ThisMachine,
            context_flags: flags,
        })?;
        let started = Self {
            ntlm,
            wants_mutual: flags & GSS_C_MUTUAL_FLAG != 0,
            known_to_glue: tellable(glue),
            peer_proved: false,
        };
        Ok((started, step))
    }

    /// Start as an acceptor.
    ///
    /// # Errors
    /// What the mechanism says.
    pub(crate) fn accept(
        glue: &'static Mechglue,
        users: &Users,
        acceptor: Acceptor<'_>,
        token: &[u8],
    ) -> Result<(Self, Step<Vec<u8>>), MechError> {
        let (ntlm, step) = Ntlm::accept(token, &accepting(users, acceptor, &host())?)?;
        let started = Self {
            ntlm,
            wants_mutual: false,
            known_to_glue: tellable(glue),
            peer_proved: false,
        };
        Ok((started, step))
    }

    /// The next leg of an initiator.
    ///
    /// # Errors
    /// What the mechanism says.
    pub(crate) fn step_initiator(
        &mut self,
        users: &Users,
        flags: u32,
        bindings: Option<ChannelBindings<'_>>,
        token: &[u8],
    ) -> Result<Step<Vec<u8>>, MechError> {
        let target = self.ntlm.target().map(str::to_owned);
        let host = host();
        let call = Initiate {
            credential: users.initiator()?,
            target: target.as_deref(),
            bindings,
            host: &host,
            machine: &ThisMachine,
            context_flags: flags,
        };
        self.ntlm.continue_initiate(token, &call)
    }

    /// The next leg of an acceptor.
    ///
    /// # Errors
    /// Why the peer is not let in.
    pub(crate) fn step_acceptor(
        &mut self,
        users: &Users,
        acceptor: Acceptor<'_>,
        token: &[u8],
    ) -> Result<Step<Vec<u8>>, MechError> {
        self.ntlm
            .continue_accept(token, &accepting(users, acceptor, &host())?)
    }

    /// The mechanism's context.
    pub(crate) fn ntlm(&self) -> &Ntlm {
        &self.ntlm
    }

    /// The context flags. Mutual authentication is among them when it was asked for and the
    /// acceptor's mechListMIC has verified: only who knows the user's password, or was told by who
    /// does, can make one.
    pub(crate) fn flags(&self) -> u32 {
        let mutual = self.wants_mutual && self.peer_proved && self.is_initiator();
        self.ntlm.context_flags() | if mutual { GSS_C_MUTUAL_FLAG } else { 0 }
    }

    /// The mechanism as the glue can tell the application of it.
    pub(crate) fn told(&self) -> &'static Oid {
        if self.known_to_glue {
            &oid::NTLMSSP
        } else {
            &oid::SPNEGO
        }
    }

    /// Whether this side began.
    pub(crate) fn is_initiator(&self) -> bool {
        self.ntlm.is_initiator() == Some(true)
    }

    /// The initiator's name.
    pub(crate) fn source(&self) -> Option<Name> {
        self.ntlm.initiator().map(Name::of_user)
    }

    /// The acceptor's name, as the initiator has it.
    pub(crate) fn target(&self) -> Option<Name> {
        self.ntlm.target().map(Name::of_service)
    }

    /// The context as octets, in a form that MIT's glue gives back to us and not to its built-in
    /// SPNEGO: a token of the glue's for SPNEGO, with ours in it.
    ///
    /// # Errors
    /// The context has failed.
    pub(crate) fn export(self) -> Result<Vec<u8>, Error> {
        let proved = u8::from(self.wants_mutual && self.peer_proved);
        let exported = self
            .ntlm
            .export()
            .map_err(|_| Error::NoContext("the security context failed: delete it"))?;
        let octets = exported.expose();
        let mut token = Vec::with_capacity(octets.len().saturating_add(ENVELOPE));
        token.extend_from_slice(&[0, 0, 0, 6]);
        token.extend_from_slice(oid::SPNEGO.content());
        token.extend_from_slice(FRONT);
        token.push(proved);
        token.extend_from_slice(octets);
        Ok(token)
    }

    /// Take up what [`Self::export`] made; `None` when it is something else. Only an established
    /// context is taken.
    pub(crate) fn import(glue: &'static Mechglue, token: &[u8]) -> Option<Self> {
        let (proved, octets) = unenveloped(token).strip_prefix(FRONT)?.split_first()?;
        let proved = *proved == 1;
        let ntlm = Ntlm::import(octets)?;
        ntlm.is_established().then_some(Self {
            ntlm,
            wants_mutual: proved,
            known_to_glue: tellable(glue),
            peer_proved: proved,
        })
    }
}

/// A context of our own NTLM that is not established yet, to be carried to another process with the
/// negotiation that it is in.
pub(crate) struct HalfDone {
    pub(crate) own: Own,
    pub(crate) is_initiator: bool,
    /// As [`spnego::negotiate`] took it apart.
    pub(crate) negotiation: Vec<u8>,
    /// The maximum output token size in octets, when the caller set one for this context.
    pub(crate) max_output_token_size: Option<u32>,
}

impl HalfDone {
    /// As octets. They hold no secret, unless NTLM has its session key already.
    ///
    /// # Errors
    /// NTLM has failed.
    pub(crate) fn export(self) -> Result<Vec<u8>, Error> {
        let flags = [
            self.is_initiator,
            self.own.wants_mutual,
            self.own.peer_proved,
        ];
        let ntlm = self.own.ntlm.export();
        let ntlm = ntlm.map_err(|_| Error::NoContext("the security context failed: delete it"))?;
        // No negotiation is longer than the token that its list came in.
        let length = u32::try_from(self.negotiation.len()).unwrap_or(u32::MAX);
        let size = self.max_output_token_size.map_or(u32::MAX, |size| size);
        let mut token = HALF_DONE.to_vec();
        token.extend(flags.map(u8::from));
        token.extend(size.to_le_bytes());
        token.extend(length.to_le_bytes());
        token.extend(self.negotiation);
        token.extend_from_slice(ntlm.expose());
        Ok(token)
    }

    /// Take up what [`Self::export`] made; `None` when it is something else.
    pub(crate) fn import(glue: &'static Mechglue, token: &[u8]) -> Option<Self> {
        let (flags, rest) = token.strip_prefix(HALF_DONE)?.split_first_chunk()?;
        let [is_initiator, wants_mutual, peer_proved] = flags.map(|flag| flag == 1);
        let (size, rest) = rest.split_first_chunk()?;
        let size = u32::from_le_bytes(*size);
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (negotiation, octets) = rest.split_at_checked(length)?;
        let ntlm = Ntlm::import(octets)?;
        (ntlm.is_initiator() == Some(is_initiator)).then(|| Self {
            own: Own {
                ntlm,
                wants_mutual,
                known_to_glue: known(glue),
                peer_proved,
            },
            is_initiator,
            negotiation: negotiation.to_vec(),
            max_output_token_size: (size != u32::MAX).then_some(size),
        })
    }
}

/// Whether the glue has an NTLM that can be negotiated.
fn known(glue: &'static Mechglue) -> bool {
    catalog::available(glue).contains(&oid::NTLMSSP)
}

/// Whether the glue hands NTLM's identifier on to the application.
fn tellable(glue: &'static Mechglue) -> bool {
    glue.is_heimdal() || known(glue)
}

/// Whether the glue would hand these octets back to us if it were given them.
pub(crate) fn is_enveloped(token: &[u8]) -> bool {
    unenveloped(token).len() != token.len()
}

fn unenveloped(token: &[u8]) -> &[u8] {
    token
        .strip_prefix(&[0, 0, 0, 6])
        .and_then(|token| token.strip_prefix(oid::SPNEGO.content()))
        .unwrap_or(token)
}

fn accepting<'a>(
    users: &'a Users,
    acceptor: Acceptor<'a>,
    host: &'a Host,
) -> Result<Accept<'a>, MechError> {
    Ok(Accept {
        accounts: users.accounts()?,
        host,
        acceptor,
        require_mic: true,
    })
}

/// The name of an acceptor of NTLM that was given none: this machine's.
pub(crate) fn service() -> Name {
    Name::of_service(&format!("host/{}", host_name()))
}

impl Mech for Own {
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechError> {
        self.ntlm.sign(message)
    }

    fn verify(&mut self, message: &[u8], mic: &[u8]) -> Result<(), MechError> {
        self.ntlm.verify(message, mic)?;
        self.peer_proved = true;
        Ok(())
    }

    fn integrity(&self) -> bool {
        self.ntlm.integrity()
    }

    fn demands_mic(&mut self) -> bool {
        self.ntlm.demands_mic()
    }
}

/// What is in front of our octets in an exported context, the proof of the peer counted.
const ENVELOPE: usize = 32;

/// Whose an exported context is.
const FRONT: &[u8] = b"gss-spnego:";

/// The same of one that is half done, and the version of the form.
const HALF_DONE: &[u8] = b"gss-spnego, half done, 1:";

#[cfg(test)]
mod tests {
    use super::super::context::Context;
    use super::*;
    use ntlm::UserName;
    use spnego::negotiate::Initiator;
    use spnego::negotiate::script::{self, Script};
    use spnego::role::Role;

    #[test]
    fn what_the_glue_would_hand_back_is_known() {
        let mut token = vec![0, 0, 0, 6];
        token.extend_from_slice(oid::SPNEGO.content());
        assert!(is_enveloped(&token));
        assert!(!is_enveloped(b"\0\0\0\x09"));
        assert!(Own::import(Mechglue::mit(), &token).is_none());
        assert!(Own::import(Mechglue::mit(), b"").is_none());
    }

    /// A half-done context that has offered, with this negotiation.
    fn half_done(negotiation: Vec<u8>) -> HalfDone {
        let users = Users::find(Wanted {
            name: Some(&UserName::parse("DOMAIN\\user")),
            usage: 1,
            from: From::Password(b"sesame"),
        });
        let (ntlm, _) = Ntlm::initiate(&Initiate {
            credential: users.unwrap().initiator().unwrap(),
            target: Some("HTTP/localhost"),
            bindings: None,
            host: &host(),
            machine: &ThisMachine,
            context_flags: 0,
        })
        .unwrap();
        HalfDone {
            own: Own {
                ntlm,
                wants_mutual: true,
                known_to_glue: false,
                peer_proved: false,
            },
            is_initiator: true,
            negotiation,
            max_output_token_size: Some(100),
        }
    }

    /// Whatever the octets are: no panic, nothing large, and what is taken up can be taken apart again.
    #[test]
    fn a_half_done_context_of_other_octets_is_one_or_none() {
        let mut side = script::Side::new(Role::Initiator, [Script::new(oid::NTLMSSP, 3)]);
        let (state, _) = Initiator::Start.step(None, &mut side).unwrap();
        let (negotiation, _) = state.take_apart(&side.record).unwrap();
        let token = half_done(negotiation).export().unwrap();
        let again = |octets: &[u8]| {
            let half_done = HalfDone::import(Mechglue::mit(), octets)?;
            Context::of_half_done(half_done)?.half_done()?.export().ok()
        };
        assert_eq!(again(&token), Some(token.clone()));
        for at in 0..token.len() {
            for value in [0, 1, 2, 3, 5, 0x7f, 0x80, 0xfe, 0xff] {
                let mut other = token.clone();
                other[at] = value;
                if let Some(back) = again(&other) {
                    assert!(back.len() <= token.len() + 4, "{at} {value}");
                }
            }
            assert_eq!(again(&token[..at]), None);
            let mut longer = token.clone();
            longer.insert(at, 0);
            if let Some(back) = again(&longer) {
                assert!(back.len() <= longer.len(), "{at}");
            }
        }
    }

    #[test]
    fn a_half_done_context_that_is_cut_short_is_none() {
        let half_done = half_done(b"negotiation".to_vec());
        let token = half_done.export().unwrap();
        assert!(!token.windows(6).any(|octets| octets == b"sesame"));
        for end in 0..token.len() {
            assert!(HalfDone::import(Mechglue::mit(), &token[..end]).is_none());
        }
        let mut of_acceptor = token.clone();
        of_acceptor[HALF_DONE.len()] = 0;
        assert!(HalfDone::import(Mechglue::mit(), &of_acceptor).is_none());
        let again = HalfDone::import(Mechglue::mit(), &token).unwrap();
        assert!(again.is_initiator && again.own.wants_mutual && !again.own.peer_proved);
        assert_eq!(again.negotiation, b"negotiation");
        assert_eq!(again.max_output_token_size, Some(100));
    }
}

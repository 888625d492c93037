//! NTLM, our own: NTLMv2 in both roles, [MS-NLMP]. NTLMv1, LM and anonymous logon are neither sent
//! nor accepted. A context holds no credential: each leg is given the arguments of its call.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spnego::advice::{Trouble, advised};
use spnego::error::{Cause, Major, MechError, major, plain};
use spnego::negotiate::{Mech, Step};
use spnego::oid::NTLMSSP;
use spnego::role::Role;
use spnego::secret::Secret;
use spnego::trace;

mod acceptor;
mod accounts;
mod bindings;
mod host;
mod initiator;
mod message;
mod outstanding;
mod passing;
mod portable;
mod rc4;
mod response;
mod session;
mod target;
mod target_info;
#[cfg(test)]
mod tests;
mod user_file;

use acceptor::{Challenged, Verdict};
pub use accounts::{AccountSource, Accounts, Claimed, Credential, Problem, UserName, find_in_file};
pub use host::Host;
use initiator::Offered;
use message::flag;
use outstanding::{OUTSTANDING, Outstanding};
pub use passing::Passing;
use response::{Key, hmac, keyed};
use session::Session;
pub use session::{MessageError, Part};
pub use spnego::channel::ChannelBindings;
pub use target::{Acceptor, MachineNames, Target, TargetFit};
pub use user_file::UserFile;

/// An initiator's call: the same on each leg.
#[derive(Clone, Copy, Debug)]
pub struct Initiate<'a> {
    /// Who signs in.
    pub credential: &'a Credential,
    /// The service principal name of the acceptor, `HTTP/www.example.org`.
    pub target: Option<&'a str>,
    /// The channel, if the caller gave one.
    pub bindings: Option<ChannelBindings<'a>>,
    /// This machine.
    pub host: &'a Host,
    /// What it is called: asked when the challenge is one of this very process.
    pub machine: &'a dyn MachineNames,
    /// The flags of GSS_Init_sec_context; see [`context_flag`]. Unknown ones mean nothing.
    pub context_flags: u32,
}

/// An acceptor's call: the same on each leg.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// Who may sign in; asked when a peer claims to be one of them.
    pub accounts: &'a dyn AccountSource,
    /// This machine.
    pub host: &'a Host,
    /// What the acceptor is called, and the channel, if the caller gave one.
    pub acceptor: Acceptor<'a>,
    /// Refuse an initiator that does not protect the exchange by a MIC. Every Windows since Vista
    /// does, and whatever runs under a SPNEGO that knows NTLM.
    pub require_mic: bool,
}

/// The context flags of RFC 2744 and of its later friends that NTLM knows.
#[allow(missing_docs, reason = "RFC 2744 section 3.9 and gssapi.h define each")]
pub mod context_flag {
    pub const REPLAY: u32 = 4;
    pub const SEQUENCE: u32 = 8;
    pub const CONFIDENTIALITY: u32 = 16;
    pub const INTEGRITY: u32 = 32;
    pub const ANONYMOUS: u32 = 64;
    pub const PROT_READY: u32 = 128;
    pub const TRANSFERABLE: u32 = 256;
    pub const CHANNEL_BOUND: u32 = 2048;
    pub const IDENTIFY: u32 = 0x2000;
}

/// A security context of NTLM. Its messages may be made and read by several threads at once.
pub struct Ntlm {
    stage: Stage,
    /// The initiator's target; for an acceptor what the initiator took it for.
    target: Option<String>,
}

enum Stage {
    Offered(Offered),
    Challenged(Challenged),
    Established(Box<Established>),
    Failed,
}

struct Established {
    session: Session,
    initiator: UserName,
    /// AUTHENTICATE_MESSAGE had a MIC.
    mic: bool,
    /// The acceptor saw the channel that the initiator saw.
    bound: bool,
    /// What the initiator's target is to the acceptor; an initiator's is its own affair.
    fit: TargetFit,
}

/// What the two sides have agreed on.
struct Agreement {
    flags: u32,
    key: Key,
    mic: bool,
    bound: bool,
    fit: TargetFit,
}

impl Ntlm {
    /// What wrapping adds to a message, and the length of a MIC.
    pub const OVERHEAD: usize = Session::SIGNATURE;

    /// Start as an initiator: a context, and the NEGOTIATE_MESSAGE for the peer.
    ///
    /// # Errors
    /// Anonymous logon was asked for.
    pub fn initiate(call: &Initiate<'_>) -> Result<(Self, Step<Vec<u8>>), MechError> {
        let offered = Offered::new(call)?;
        let token = offered.negotiate.to_vec();
        let context = Self {
            stage: Stage::Offered(offered),
            target: call.target.map(str::to_owned),
        };
        Ok((context, Step::Continue(token)))
    }

    /// Go on as an initiator, with the peer's CHALLENGE_MESSAGE. On an error the context has
    /// failed.
    ///
    /// # Errors
    /// The message is malformed or offers too little, or no leg is due.
    pub fn continue_initiate(
        &mut self,
        token: &[u8],
        call: &Initiate<'_>,
    ) -> Result<Step<Vec<u8>>, MechError> {
        self.answer(token, call, &Fresh::draw()?)
    }

    /// Start as an acceptor with the peer's NEGOTIATE_MESSAGE: a context, and the challenge.
    ///
    /// # Errors
    /// The message is malformed or offers too little.
    pub fn accept(token: &[u8], call: &Accept<'_>) -> Result<(Self, Step<Vec<u8>>), MechError> {
        let (fresh, outstanding) = Fresh::remembered(call.acceptor.service)?;
        let (challenged, challenge) = Challenged::new(token, call, &fresh, Some(outstanding))?;
        let context = Self {
            stage: Stage::Challenged(challenged),
            target: None,
        };
        Ok((context, Step::Continue(challenge)))
    }

    /// Go on as an acceptor, with the peer's AUTHENTICATE_MESSAGE. On an error the context has
    /// failed.
    ///
    /// # Errors
    /// Why the peer is not let in; for the administrator's eyes, not for the peer's.
    pub fn continue_accept(
        &mut self,
        token: &[u8],
        call: &Accept<'_>,
    ) -> Result<Step<Vec<u8>>, MechError> {
        self.judge(token, call, now()?)
    }

    /// Whether the context is established.
    pub fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Established(_))
    }

    /// Whether this side is the initiator; `None` once the context has failed.
    pub fn is_initiator(&self) -> Option<bool> {
        match &self.stage {
            Stage::Offered(_) => Some(true),
            Stage::Challenged(_) => Some(false),
            Stage::Established(done) => Some(done.session.role == Role::Initiator),
            Stage::Failed => None,
        }
    }

    /// The context flags, none before the context is established.
    ///
    /// Mutual authentication is not among them: NTLM proves the acceptor only by its first
    /// message, under SPNEGO by its mechListMIC.
    pub fn context_flags(&self) -> u32 {
        let Stage::Established(done) = &self.stage else {
            return 0;
        };
        let flags = done.session.flags;
        let protection = context_flag::INTEGRITY | context_flag::REPLAY | context_flag::SEQUENCE;
        [
            (true, context_flag::PROT_READY | context_flag::TRANSFERABLE),
            (done.session.protected(), protection),
            (done.session.confidential(), context_flag::CONFIDENTIALITY),
            (flags & flag::IDENTIFY != 0, context_flag::IDENTIFY),
            (done.bound, context_flag::CHANNEL_BOUND),
        ]
        .into_iter()
        .filter_map(|(has, flag)| has.then_some(flag))
        .fold(0, |all, flag| all | flag)
    }

    /// The initiator's name, once the context is established. It never expires.
    pub fn initiator(&self) -> Option<&UserName> {
        match &self.stage {
            Stage::Established(done) => Some(&done.initiator),
            _ => None,
        }
    }

    /// The service principal name that the initiator asked for.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// What the name that the initiator asked for is to this acceptor, once the context is
    /// established; to an initiator, the own one.
    pub fn target_fit(&self) -> Option<TargetFit> {
        match &self.stage {
            Stage::Established(done) => Some(done.fit),
            _ => None,
        }
    }

    /// The session key (GSS_C_INQ_SSPI_SESSION_KEY), once the context is established.
    pub fn session_key(&self) -> Option<&[u8; 16]> {
        match &self.stage {
            Stage::Established(done) => Some(done.session.key.expose()),
            _ => None,
        }
    }

    /// The strength factor of SASL (GSS_C_SEC_CONTEXT_SASL_SSF): RC4 with 128 bits counts as 64,
    /// as it does for Kerberos; signing alone as 1.
    pub fn sasl_ssf(&self) -> u32 {
        match &self.stage {
            Stage::Established(done) if done.session.confidential() => 64,
            Stage::Established(done) if done.session.protected() => 1,
            _ => 0,
        }
    }

    /// GSS_GetMIC.
    ///
    /// # Errors
    /// The context is not established or protects nothing.
    pub fn mic(&self, message: &[u8]) -> Result<[u8; 16], MessageError> {
        self.session()?.sign(message)
    }

    /// GSS_VerifyMIC. A message that is not the next one is an error: RC4 cannot skip.
    ///
    /// # Errors
    /// Why the message is not believed; the context goes on as if it had not come.
    pub fn verify_mic(&self, message: &[u8], mic: &[u8]) -> Result<(), MessageError> {
        self.session()?.verify(message, mic)
    }

    /// GSS_Wrap: signature and encrypted message. NTLM has no way to say that a message is only
    /// signed, so it is always encrypted.
    ///
    /// # Errors
    /// As [`Self::mic`].
    pub fn wrap(&self, message: &[u8]) -> Result<Vec<u8>, MessageError> {
        let session = self.session()?;
        let mut token = Vec::with_capacity(message.len().saturating_add(Self::OVERHEAD));
        token.extend_from_slice(&[0; Self::OVERHEAD]);
        token.extend_from_slice(message);
        if let Some((signature, data)) = token.split_first_chunk_mut() {
            *signature = session.wrap_parts(&mut [Part::Data(data)])?;
        }
        Ok(token)
    }

    /// GSS_Unwrap. The message was encrypted when the context has
    /// [`context_flag::CONFIDENTIALITY`].
    ///
    /// # Errors
    /// As [`Self::verify_mic`].
    pub fn unwrap(&self, token: &[u8]) -> Result<Vec<u8>, MessageError> {
        let (signature, data) = token
            .split_first_chunk::<{ Self::OVERHEAD }>()
            .ok_or(MessageError::Defective)?;
        let mut message = data.to_vec();
        self.unwrap_parts(signature, &mut [Part::Data(&mut message)])?;
        Ok(message)
    }

    /// GSS_Wrap_iov: encrypt the data parts where they are, sign all parts in their order, and give
    /// the signature, which is the header.
    ///
    /// # Errors
    /// As [`Self::mic`].
    pub fn wrap_parts(&self, parts: &mut [Part<'_>]) -> Result<[u8; 16], MessageError> {
        self.session()?.wrap_parts(parts)
    }

    /// GSS_Unwrap_iov: decrypt the data parts where they are. When it fails they are as they were.
    ///
    /// # Errors
    /// As [`Self::verify_mic`].
    pub fn unwrap_parts(
        &self,
        signature: &[u8],
        parts: &mut [Part<'_>],
    ) -> Result<(), MessageError> {
        self.session()?.unwrap_parts(signature, parts)
    }

    /// GSS_Pseudo_random: HMAC-MD5 with the session key over a counter, a label and the input, as
    /// RFC 4402 builds it for Kerberos. Nobody has defined one for NTLM: both ends must be this
    /// one.
    ///
    /// # Errors
    /// The context is not established.
    pub fn pseudo_random(
        &self,
        input: &[u8],
        length: usize,
    ) -> Result<Secret<Vec<u8>>, MessageError> {
        let key = keyed(self.session()?.key.expose());
        let mut out = Secret::new(Vec::with_capacity(length.saturating_add(16)));
        for counter in 0_u32.. {
            if out.expose().len() >= length {
                break;
            }
            let counter = counter.to_be_bytes();
            let parts = [counter.as_slice(), b"gss-spnego NTLM PRF\0", input];
            let block = Secret::new(hmac(key.clone(), parts));
            out.expose_mut().extend_from_slice(block.expose());
        }
        out.expose_mut().truncate(length);
        Ok(out)
    }

    fn answer(
        &mut self,
        token: &[u8],
        call: &Initiate<'_>,
        fresh: &Fresh,
    ) -> Result<Step<Vec<u8>>, MechError> {
        let Stage::Offered(offered) = std::mem::replace(&mut self.stage, Stage::Failed) else {
            return Err(out_of_turn());
        };
        let (authenticate, agreement) = offered.answer(token, call, fresh)?;
        let initiator = call.credential.name.clone();
        trace!(NtlmAnswered {
            user: &initiator,
            mic: agreement.mic,
        });
        self.stage = Stage::Established(agreement.established(Role::Initiator, initiator));
        Ok(Step::Done(Some(authenticate)))
    }

    fn judge(
        &mut self,
        token: &[u8],
        call: &Accept<'_>,
        now: u64,
    ) -> Result<Step<Vec<u8>>, MechError> {
        let Stage::Challenged(challenged) = std::mem::replace(&mut self.stage, Stage::Failed)
        else {
            return Err(out_of_turn());
        };
        let Verdict {
            agreement,
            initiator,
            target,
        } = challenged.judge(token, call, now).inspect_err(|error| {
            trace!(NtlmRefused {
                reason: &error.reason,
            });
        })?;
        trace!(NtlmAccepted {
            user: &initiator,
            mic: agreement.mic,
            bound: agreement.bound,
        });
        trace!(NtlmTarget {
            target: target.name(),
            fit: agreement.fit.words(),
        });
        self.target = target.into_name();
        self.stage = Stage::Established(agreement.established(Role::Acceptor, initiator));
        Ok(Step::Done(None))
    }

    fn session(&self) -> Result<&Session, MessageError> {
        match &self.stage {
            Stage::Established(done) => Ok(&done.session),
            _ => Err(MessageError::NoContext),
        }
    }
}

/// Whether an AUTHENTICATE_MESSAGE says that it has a MIC: then a mechListMIC has to come too
/// (MS-SPNG note 8). What it says is under the password's proof: to be believed once another
/// mechanism has accepted the message.
pub fn announces_mic(authenticate: &[u8]) -> bool {
    passing::announces_mic(authenticate)
}

/// What SPNEGO asks. `sign` and `verify` are for the mechListMIC alone: they put the key stream
/// back to where it was, as MS-SPNG sections 3.2.5.1 and 3.3.5.1 ask.
impl Mech for Ntlm {
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechError> {
        let session = self.session().map_err(for_mech)?;
        let mic = session.sign_mech_list(message).map_err(for_mech)?;
        trace!(Restored {
            mech: &NTLMSSP,
            after: "signing",
        });
        Ok(mic.to_vec())
    }

    fn verify(&mut self, message: &[u8], mic: &[u8]) -> Result<(), MechError> {
        let session = self.session().map_err(for_mech)?;
        session.verify_mech_list(message, mic).map_err(for_mech)?;
        trace!(Restored {
            mech: &NTLMSSP,
            after: "verifying",
        });
        Ok(())
    }

    fn integrity(&self) -> bool {
        self.session().is_ok_and(Session::protected)
    }

    fn demands_mic(&mut self) -> bool {
        matches!(&self.stage, Stage::Established(done) if done.mic)
    }
}

/// Nothing but the stage: the rest is secret, or a peer's.
impl fmt::Debug for Ntlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Offered(_) => "Ntlm::Offered",
            Stage::Challenged(_) => "Ntlm::Challenged",
            Stage::Established(_) => "Ntlm::Established",
            Stage::Failed => "Ntlm::Failed",
        })
    }
}

impl Agreement {
    fn established(self, role: Role, initiator: UserName) -> Box<Established> {
        Box::new(Established {
            session: Session::new(self.flags, role, self.key),
            initiator,
            mic: self.mic,
            bound: self.bound,
            fit: self.fit,
        })
    }
}

/// What must be new in each context, and the time.
struct Fresh {
    /// The acceptor's or the initiator's challenge.
    challenge: [u8; 8],
    session_key: Key,
    /// As in MsvAvTimestamp: units of 100 ns since 1601.
    now: u64,
}

impl Fresh {
    /// With a challenge that this process remembers until it is answered.
    fn remembered(service: Option<&str>) -> Result<(Self, Outstanding), MechError> {
        for _ in 0..MOST_DRAWS {
            let fresh = Self::draw()?;
            if let Some(outstanding) = OUTSTANDING.remember(fresh.challenge, service) {
                return Ok((fresh, outstanding));
            }
        }
        Err(refused("no challenge can be remembered in this process"))
    }

    fn draw() -> Result<Self, MechError> {
        let mut octets = Secret::new([0; 24]);
        getrandom::fill(octets.expose_mut())
            .map_err(|error| refused(format!("no random numbers: {}", plain(&error))))?;
        let mut fresh = Self {
            challenge: [0; 8],
            session_key: Secret::new([0; 16]),
            now: now()?,
        };
        if let Some((challenge, key)) = octets.expose().split_first_chunk() {
            fresh.challenge = *challenge;
            fresh.session_key.expose_mut().copy_from_slice(key);
        }
        Ok(fresh)
    }
}

/// How often a challenge is drawn for one that can be remembered: of sixteen drawn at random, as good
/// as always the first can.
const MOST_DRAWS: usize = 100;

fn now() -> Result<u64, MechError> {
    const UNIX_EPOCH_SINCE_1601: Duration = Duration::from_secs(11_644_473_600);
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|now| now.checked_add(UNIX_EPOCH_SINCE_1601))
        .and_then(|now| u64::try_from(now.as_nanos() / 100).ok())
        .ok_or_else(|| refused("the clock is wrong"))
}

fn failure(major: Major, cause: Cause, reason: impl Into<String>) -> MechError {
    MechError {
        mech: NTLMSSP,
        major,
        cause,
        reason: reason.into(),
        token: None,
    }
}

fn defective(reason: impl Into<String>) -> MechError {
    failure(major::DEFECTIVE_TOKEN, Cause::Refused, reason)
}

fn refused(reason: impl Into<String>) -> MechError {
    failure(major::FAILURE, Cause::Refused, reason)
}

fn unusable(reason: impl Into<String>) -> MechError {
    failure(major::UNAVAILABLE, Cause::Unusable, reason)
}

fn out_of_turn() -> MechError {
    failure(
        major::NO_CONTEXT,
        Cause::Refused,
        "no message of NTLM is due",
    )
}

fn wrong_bindings() -> MechError {
    const BAD_BINDINGS: Major = 4 << 16;
    failure(
        BAD_BINDINGS,
        Cause::Refused,
        advised(
            "the initiator's channel bindings are those of another channel".to_owned(),
            Some(&Trouble::ChannelBindings),
        ),
    )
}

fn for_mech(error: MessageError) -> MechError {
    failure(error.major(), Cause::Refused, error.to_string())
}

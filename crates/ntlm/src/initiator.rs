//! The initiator: NEGOTIATE_MESSAGE, then the answer to a CHALLENGE_MESSAGE. MS-NLMP sections
//! 3.1.5.1 and 3.3.2.
#![forbid(unsafe_code)]

use super::message::{
    Authenticate, CLIENT_CHALLENGE, Challenge, Negotiate, client_challenge, flag, utf16,
};
use super::outstanding::OUTSTANDING;
use super::response::{Key, copied, exchanged, hmac, keyed, nt_proof, ntowf_v2, session_base_key};
use super::target::{Acceptor, TargetFit};
use super::target_info::{AV_FLAG_MIC, TargetInfo, av, push_pair};
use super::{Agreement, Fresh, Initiate, context_flag, defective, refused, unusable};
use spnego::advice::{Trouble, advised};
use spnego::error::MechError;

/// An initiator whose NEGOTIATE_MESSAGE is on its way.
pub(super) struct Offered {
    pub(super) negotiate: [u8; Negotiate::OCTETS],
    pub(super) flags: u32,
    /// Sealing is not only offered but needed.
    pub(super) confidential: bool,
}

impl Offered {
    pub(super) fn new(call: &Initiate<'_>) -> Result<Self, MechError> {
        let requested = call.context_flags;
        if requested & context_flag::ANONYMOUS != 0 || call.credential.name.user.is_empty() {
            return Err(unusable("anonymous logon is not supported"));
        }
        let mut flags = ALWAYS;
        if requested & PROTECTION != 0 {
            // Sealing as well where only signing is asked for: how a message is wrapped on a
            // context with signing alone is what implementations disagree on.
            flags |= flag::SIGN | flag::SEAL | flag::KEY_EXCHANGE;
        }
        if requested & context_flag::IDENTIFY != 0 {
            flags |= flag::IDENTIFY;
        }
        let negotiate = Negotiate { flags }.encode();
        Ok(Self {
            negotiate,
            flags,
            confidential: requested & context_flag::CONFIDENTIALITY != 0,
        })
    }

    /// Answer the challenge. A MIC is in the answer when the acceptor gave its time, by which it
    /// says that it knows of MICs.
    pub(super) fn answer(
        &self,
        token: &[u8],
        call: &Initiate<'_>,
        fresh: &Fresh,
    ) -> Result<(Vec<u8>, Agreement), MechError> {
        let challenge = Challenge::decode(token).map_err(malformed)?;
        may_answer(&challenge, call)?;
        let flags = self.agreed(challenge.flags)?;
        let info = TargetInfo::decode(challenge.target_info).map_err(malformed)?;
        let mic = info.timestamp.is_some();
        let response = client_response(&info, call, fresh).ok_or_else(too_long)?;

        let domain = utf16(&call.credential.name.domain);
        let user = &call.credential.name.user;
        let ntowf = ntowf_v2(&call.credential.nt_hash, user, &domain);
        let proof = nt_proof(&ntowf, &challenge.challenge, &response);
        let exchange_key = session_base_key(ntowf, &proof);
        let (key, encrypted_key) = if flags & flag::KEY_EXCHANGE != 0 {
            let random = copied(fresh.session_key.expose());
            let encrypted = exchanged(&exchange_key, random.expose());
            (random, Some(encrypted))
        } else {
            (exchange_key, None)
        };
        let mut token_out = Authenticate {
            flags,
            // Where LMv2 would be; MS-NLMP section 3.1.5.1.2 asks for zeros.
            lm_response: &[0; 24],
            nt_response: &[proof.as_slice(), &response].concat(),
            domain: &domain,
            user: &utf16(user),
            workstation: &call.host.computer,
            encrypted_session_key: encrypted_key.as_ref().map_or(&[], |key| key.expose()),
        }
        .encode()
        .map_err(refused)?;
        if mic {
            self.put_mic(&mut token_out, token, &key);
        }
        let agreement = Agreement {
            flags,
            key,
            mic,
            bound: false,
            fit: TargetFit::Own,
        };
        Ok((token_out, agreement))
    }

    /// What both sides can do, when that is enough.
    fn agreed(&self, theirs: u32) -> Result<u32, MechError> {
        let agreed = theirs & (self.flags | flag::TARGET_INFO);
        let mut needed = INDISPENSABLE | (self.flags & flag::SIGN);
        if self.confidential {
            needed |= flag::SEAL;
        }
        if agreed & (flag::SIGN | flag::SEAL) != 0 {
            needed |= flag::KEY_128;
        }
        match needed & !agreed {
            0 => Ok(agreed),
            missing => {
                let words = format!(
                    "the acceptor does not offer what is needed for NTLMv2 and the protection \
                     asked for: {}",
                    flag::names(missing)
                );
                let trouble = if missing & INDISPENSABLE != 0 {
                    Trouble::NtlmVersion
                } else {
                    Trouble::NtlmProtection
                };
                Err(refused(advised(words, Some(&trouble))))
            }
        }
    }

    fn put_mic(&self, authenticate: &mut [u8], challenge: &[u8], key: &Key) {
        let parts = [self.negotiate.as_slice(), challenge, authenticate];
        let mic = hmac(keyed(key.expose()), parts);
        if let Some(place) = authenticate.get_mut(Authenticate::MIC) {
            place.copy_from_slice(&mic);
        }
    }
}

/// NTLMv2_CLIENT_CHALLENGE: the acceptor's AV pairs and ours. `None`: a pair is too long.
///
/// Without channel bindings there is no pair for them: the zeros of MS-NLMP section 3.1.5.1.2 say
/// "none" to Windows' Extended Protection and are refused by it where leaving them out is not.
fn client_response(info: &TargetInfo<'_>, call: &Initiate<'_>, fresh: &Fresh) -> Option<Vec<u8>> {
    let target = utf16(call.target.unwrap_or_default());
    let pairs: usize = info
        .pairs()
        .map(|(_, value)| value.len().saturating_add(4))
        .sum();
    let ours = [CLIENT_CHALLENGE, pairs, target.len(), 48];
    let mut out = Vec::with_capacity(ours.into_iter().fold(0, usize::saturating_add));
    let timestamp = info.timestamp.unwrap_or(fresh.now);
    out.extend(client_challenge(timestamp, &fresh.challenge));
    for (id, value) in info.pairs() {
        if ![av::FLAGS, av::TARGET_NAME, av::CHANNEL_BINDINGS].contains(&id) {
            push_pair(&mut out, id, value)?;
        }
    }
    let mic = info.timestamp.map_or(0, |_| AV_FLAG_MIC);
    let av_flags = info.flags | mic;
    if av_flags != 0 {
        push_pair(&mut out, av::FLAGS, &av_flags.to_le_bytes())?;
    }
    if let Some(bindings) = call.bindings {
        push_pair(
            &mut out,
            av::CHANNEL_BINDINGS,
            &super::bindings::hash(&bindings),
        )?;
    }
    push_pair(&mut out, av::TARGET_NAME, &target)?;
    push_pair(&mut out, av::END, &[])?;
    // Padding that all implementations send.
    out.extend_from_slice(&[0; 4]);
    Some(out)
}

/// Whether a challenge may be answered: one that an acceptor of this very process has issued only
/// where the caller has asked for that acceptor, since a program may talk to itself. Else somebody
/// has sent the acceptor's challenge back here, to sign in to it by the answer.
fn may_answer(challenge: &Challenge<'_>, call: &Initiate<'_>) -> Result<(), MechError> {
    let Some(service) = OUTSTANDING.issuer(&challenge.challenge) else {
        return Ok(());
    };
    let issuer = Acceptor {
        service: service.as_deref(),
        machine: call.machine,
        bindings: None,
    };
    if call
        .target
        .is_some_and(|target| issuer.is_called(target, || true))
    {
        return Ok(());
    }
    let words = "the challenge is one of this very process, whose acceptor has another name than the \
                 one asked for: it was sent back here";
    let trouble = Trouble::NtlmReflected;
    Err(refused(advised(words.to_owned(), Some(&trouble))))
}

/// A CHALLENGE_MESSAGE that cannot be read.
fn malformed(words: String) -> MechError {
    defective(advised(words, Some(&Trouble::NtlmMalformed)))
}

fn too_long() -> MechError {
    refused("the target's name is too long for NTLM")
}

const ALWAYS: u32 = flag::UNICODE
    | flag::REQUEST_TARGET
    | flag::NTLM
    | flag::ALWAYS_SIGN
    | flag::EXTENDED_SESSION_SECURITY
    | flag::VERSION
    | flag::KEY_128;

/// Without these there is no NTLMv2 here.
const INDISPENSABLE: u32 =
    flag::UNICODE | flag::NTLM | flag::EXTENDED_SESSION_SECURITY | flag::TARGET_INFO;

const PROTECTION: u32 = context_flag::INTEGRITY
    | context_flag::CONFIDENTIALITY
    | context_flag::REPLAY
    | context_flag::SEQUENCE;

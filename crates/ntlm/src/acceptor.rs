//! The acceptor: CHALLENGE_MESSAGE, then the verdict on an AUTHENTICATE_MESSAGE. MS-NLMP section
//! 3.2.5.1. Why somebody is refused is said here, in full; the peer learns nothing but that.
#![forbid(unsafe_code)]

use subtle::ConstantTimeEq;

use super::accounts::{Claimed, UserName};
use super::message::{Authenticate, CLIENT_CHALLENGE, Challenge, Negotiate, flag, text};
use super::outstanding::Outstanding;
use super::response::{Key, exchanged, hmac, keyed, nt_proof, ntowf_v2, session_base_key};
use super::target::Target;
use super::target_info::{AV_FLAG_MIC, TargetInfo, av, push_pair};
use super::{Accept, Agreement, Fresh, defective, refused, wrong_bindings};
use spnego::advice::{Trouble, advised};
use spnego::error::MechError;

/// An acceptor whose CHALLENGE_MESSAGE is on its way.
pub(super) struct Challenged {
    /// NEGOTIATE_MESSAGE and CHALLENGE_MESSAGE, over which the MIC goes.
    pub(super) transcript: Vec<u8>,
    pub(super) flags: u32,
    pub(super) challenge: [u8; 8],
    pub(super) timestamp: u64,
    /// So that no initiator of this process takes it for another's.
    pub(super) _outstanding: Option<Outstanding>,
}

/// Who the initiator is, and where it says it wants to go.
pub(super) struct Verdict {
    pub(super) agreement: Agreement,
    pub(super) initiator: UserName,
    pub(super) target: Target,
}

impl Challenged {
    pub(super) fn new(
        token: &[u8],
        call: &Accept<'_>,
        fresh: &Fresh,
        outstanding: Option<Outstanding>,
    ) -> Result<(Self, Vec<u8>), MechError> {
        let negotiate = Negotiate::decode(token).map_err(defective)?;
        let flags = answered(negotiate.flags)?;
        let mut pairs = Vec::with_capacity(call.host.pairs.len().saturating_add(16));
        pairs.extend_from_slice(&call.host.pairs);
        for (id, value) in [
            (av::TIMESTAMP, fresh.now.to_le_bytes().as_slice()),
            (av::END, &[]),
        ] {
            push_pair(&mut pairs, id, value).ok_or_else(|| refused("a pair is too long"))?;
        }
        let challenge = Challenge {
            flags,
            challenge: fresh.challenge,
            target_info: &pairs,
        };
        let challenge = challenge.encode(&call.host.computer).map_err(refused)?;
        let waiting = Self {
            transcript: [token, &challenge].concat(),
            flags,
            challenge: fresh.challenge,
            timestamp: fresh.now,
            _outstanding: outstanding,
        };
        Ok((waiting, challenge))
    }

    /// Decide about the initiator. `now` is the time, as in MsvAvTimestamp.
    pub(super) fn judge(
        self,
        token: &[u8],
        call: &Accept<'_>,
        now: u64,
    ) -> Result<Verdict, MechError> {
        if now.saturating_sub(self.timestamp) > MAX_LIFETIME {
            return Err(refused("the challenge is older than 36 hours"));
        }
        let (message, mic_at) = Authenticate::decode(token).map_err(defective)?;
        let flags = self.agreed(message.flags)?;
        let claim = Claim::read(&message)?;
        let (initiator, exchange_key) = self.identified(&claim, &message, call)?;
        let key = session_key(flags, exchange_key, &message)?;

        let mic = claim.info.flags & AV_FLAG_MIC != 0;
        if mic {
            let mic_at = mic_at.ok_or_else(|| refused("the MIC was removed"))?;
            self.verify_mic(token, mic_at, &key)?;
        } else if call.require_mic {
            let words = "no MIC, though the challenge asked for one: NTLM's flags and target are unprotected";
            let trouble = Trouble::NtlmUnprotected;
            return Err(refused(advised(words.to_owned(), Some(&trouble))));
        }
        let bound = match call.acceptor.bindings {
            Some(bindings) => bound(&claim.info, &super::bindings::hash(&bindings))?,
            None => false,
        };
        let target = Target::read(&message, Some(&claim.info));
        Ok(Verdict {
            agreement: Agreement {
                flags,
                key,
                mic,
                bound,
                fit: target.fit(&call.acceptor, call.host),
            },
            initiator,
            target,
        })
    }

    fn agreed(&self, theirs: u32) -> Result<u32, MechError> {
        if theirs & flag::ANONYMOUS != 0 {
            return Err(anonymous());
        }
        let agreed = self.flags & theirs;
        let mut needed = INDISPENSABLE;
        if agreed & (flag::SIGN | flag::SEAL) != 0 {
            needed |= flag::KEY_128;
        }
        match needed & !agreed {
            0 => Ok(agreed),
            missing => {
                let names = flag::names(missing);
                let words = format!("AUTHENTICATE takes back what was negotiated: {names}");
                Err(refused(advised(words, Some(&Trouble::NtlmUnprotected))))
            }
        }
    }

    /// Whether the password behind the response is the one of the account. For an unknown user the
    /// same is computed as for a wrong password, with what another account has: no more and no less
    /// is looked at, hashed and compared, so that time does not tell one from the other.
    fn identified(
        &self,
        claim: &Claim<'_>,
        message: &Authenticate<'_>,
        call: &Accept<'_>,
    ) -> Result<(UserName, Key), MechError> {
        let claimed = call.accounts.claimed(&claim.name.domain, &claim.name.user);
        let Claimed { account, is_known } =
            claimed.map_err(|words| refused(advised(words, Some(&Trouble::OwnNtlmUsers))))?;
        let ntowf = ntowf_v2(&account.nt_hash, &claim.name.user, message.domain);
        let proof = nt_proof(&ntowf, &self.challenge, claim.response);
        let is_right = proof.ct_eq(claim.proof);
        if (is_known & is_right).into() {
            return Ok((account.name, session_base_key(ntowf, &proof)));
        }
        let (what, trouble) = if is_known.into() {
            ("wrong password for", Trouble::NtlmPassword)
        } else {
            ("no account for", Trouble::NtlmAccount)
        };
        let words = format!("{what} {}", quoted(&claim.name));
        Err(refused(advised(words, Some(&trouble))))
    }

    fn verify_mic(
        &self,
        token: &[u8],
        at: std::ops::Range<usize>,
        key: &Key,
    ) -> Result<(), MechError> {
        let removed = || refused("the MIC was removed");
        let before = token.get(..at.start).ok_or_else(removed)?;
        let after = token.get(at.end..).ok_or_else(removed)?;
        let mic = token.get(at).ok_or_else(removed)?;
        let expected = hmac(
            keyed(key.expose()),
            [&self.transcript, before, &[0; 16], after],
        );
        if expected.ct_eq(mic).into() {
            return Ok(());
        }
        let words = "the MIC does not verify: a message of NTLM was altered on the way";
        let trouble = Trouble::NtlmUnprotected;
        Err(refused(advised(words.to_owned(), Some(&trouble))))
    }
}

/// What an AUTHENTICATE_MESSAGE claims, taken apart.
struct Claim<'a> {
    name: UserName,
    proof: &'a [u8; 16],
    response: &'a [u8],
    info: TargetInfo<'a>,
}

impl<'a> Claim<'a> {
    fn read(message: &Authenticate<'a>) -> Result<Self, MechError> {
        if message.user.is_empty() || message.nt_response.is_empty() {
            return Err(match message.lm_response {
                [] | [0] => anonymous(),
                _ => refused("a response of LM, which is not accepted"),
            });
        }
        if message.nt_response.len() <= NTLM_V1 {
            return Err(refused("a response of NTLMv1, which is not accepted"));
        }
        if message.user.len().max(message.domain.len()) > LONGEST_NAME {
            return Err(defective("AUTHENTICATE: the user's name is too long"));
        }
        let (Some(domain), Some(user)) = (text(message.domain), text(message.user)) else {
            return Err(defective("AUTHENTICATE: the user's name is not UTF-16"));
        };
        let wrong = || defective("AUTHENTICATE: the response is not one of NTLMv2");
        let (proof, response) = message.nt_response.split_first_chunk().ok_or_else(wrong)?;
        let (front, pairs) = response
            .split_first_chunk::<CLIENT_CHALLENGE>()
            .ok_or_else(wrong)?;
        let [1, 1, ..] = front else {
            return Err(wrong());
        };
        Ok(Self {
            name: UserName { domain, user },
            proof,
            response,
            info: TargetInfo::decode(pairs).map_err(defective)?,
        })
    }
}

/// The flags of the challenge that answers these.
fn answered(theirs: u32) -> Result<u32, MechError> {
    let mut flags = theirs & OFFERED;
    let missing = INDISPENSABLE & !flags;
    if missing != 0 {
        let names = flag::names(missing);
        let words = format!("the initiator does not offer what NTLMv2 needs: {names}");
        return Err(refused(advised(words, Some(&Trouble::NtlmClientVersion))));
    }
    if flags & (flag::SIGN | flag::SEAL) == 0 {
        // Implementations differ on whether a key is then exchanged.
        flags &= !flag::KEY_EXCHANGE;
    } else if flags & flag::KEY_128 == 0 {
        let names = flag::names(flag::KEY_128);
        let words = format!("the initiator offers no key of 128 bits: {names}");
        return Err(refused(advised(words, Some(&Trouble::NtlmClientVersion))));
    }
    Ok(flags | flag::TARGET_INFO | flag::TARGET_TYPE_SERVER | flag::VERSION)
}

fn session_key(
    flags: u32,
    exchange_key: Key,
    message: &Authenticate<'_>,
) -> Result<Key, MechError> {
    if flags & flag::KEY_EXCHANGE == 0 {
        return Ok(exchange_key);
    }
    let encrypted: &[u8; 16] = message
        .encrypted_session_key
        .try_into()
        .map_err(|_| defective("AUTHENTICATE: the session key has not 16 octets"))?;
    Ok(exchanged(&exchange_key, encrypted))
}

/// Whether the initiator saw the same channel. One that names none is not refused: RFC 2744 has
/// the acceptor's caller look at GSS_C_CHANNEL_BOUND_FLAG.
fn bound(info: &TargetInfo<'_>, ours: &[u8; 16]) -> Result<bool, MechError> {
    match info.channel_bindings {
        None | Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Ok(false),
        Some(theirs) if theirs.ct_eq(ours).into() => Ok(true),
        Some(_) => Err(wrong_bindings()),
    }
}

/// A peer's words, safe to show.
fn quoted(name: &UserName) -> String {
    format!("{:?}", name.to_string())
}

fn anonymous() -> MechError {
    refused("anonymous logon is not accepted")
}

/// The length of a response of NTLMv1.
const NTLM_V1: usize = 24;

/// Octets in UTF-16; Windows allows a user and a domain 256 characters.
const LONGEST_NAME: usize = 1024;

/// MS-NLMP section 3.1.1.1: MaxLifetime, 36 hours in units of 100 ns.
const MAX_LIFETIME: u64 = 36 * 3600 * 10_000_000;

const OFFERED: u32 = flag::UNICODE
    | flag::REQUEST_TARGET
    | flag::SIGN
    | flag::SEAL
    | flag::NTLM
    | flag::ALWAYS_SIGN
    | flag::EXTENDED_SESSION_SECURITY
    | flag::IDENTIFY
    | flag::KEY_128
    | flag::KEY_EXCHANGE;

/// Without these there is no NTLMv2 here. The target information is looked for where it is, since
/// Samba does not repeat its flag.
const INDISPENSABLE: u32 = flag::UNICODE | flag::NTLM | flag::EXTENDED_SESSION_SECURITY;

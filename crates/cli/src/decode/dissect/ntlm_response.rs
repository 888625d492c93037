//! The responses to a challenge of NTLM, MS-NLMP sections 2.2.2.3 to 2.2.2.8.
#![forbid(unsafe_code)]

use super::av_pairs::{self, Pairs};
use super::field::{Field, Octets, Value};
use super::names;
use super::ntlm_flags::{ANONYMOUS, EXTENDED_SESSION_SECURITY, LOCAL_CALL};

/// Judge the two responses, and take an NTLMv2 response apart.
pub(crate) fn judge<'a>(
    flags: u64,
    (lm, lm_response): (&mut Field<'a>, Octets<'a>),
    (nt, nt_response): (&mut Field<'a>, Octets<'a>),
) -> Option<Pairs> {
    const V1: &str = "MS-NLMP section 2.2.2.6";
    const V2: &str = "MS-NLMP section 2.2.2.8";
    const LM: &str = "MS-NLMP section 2.2.2.3";
    let blank = |octets: Octets<'_>| octets.octets.iter().all(|octet| *octet == 0);
    match nt_response.len() {
        0 if lm_response.len() <= 1 && flags & LOCAL_CALL != 0 => nt.note(
            "",
            "no response: an NTLM local call (LOCAL_CALL, reserved in MS-NLMP, is set by \
             Windows where client and server are one machine, which knows the user)",
        ),
        0 if lm_response.len() <= 1 => {
            nt.note("MS-NLMP section 3.2.5.1.2", "no response: an anonymous logon, as in a null session");
            if flags & ANONYMOUS == 0 {
                nt.doubtful(
                    "MS-NLMP section 2.2.2.5",
                    "no response, and the ANONYMOUS flag is not set",
                );
            }
        }
        0 => nt.doubtful(LM, "an LM response alone, which is all but the password itself"),
        24 if flags & EXTENDED_SESSION_SECURITY != 0 => {
            nt.doubtful(V1, "an NTLMv1 response (with a client's challenge): DES, weak");
        }
        24 => nt.doubtful(V1, "an NTLMv1 response: DES, weak"),
        length if length < V2_SHORTEST => nt.wrong(
            V2,
            format!("{length} octets are none of the sizes: 24 for NTLMv1, {V2_SHORTEST} and more for NTLMv2"),
        ),
        _ => {
            if lm_response.len() == 24 && !blank(lm_response) {
                lm.note("MS-NLMP section 2.2.2.4", "an LMv2 response");
            } else if lm_response.len() == 24 {
                lm.note("MS-NLMP section 3.1.5.1.2", "all zero: NTLMv2 makes no use of it");
            } else if !lm_response.is_empty() {
                lm.wrong(LM, format!("{} octets, where 24 must be", lm_response.len()));
            }
            return Some(v2(nt, nt_response));
        }
    }
    match lm_response.len() {
        0 | 1 => {}
        24 if flags & EXTENDED_SESSION_SECURITY != 0 => {
            lm.note(
                V1,
                "the client's challenge and sixteen zeros, in place of an LM response",
            );
        }
        24 => lm.doubtful(LM, "an LM response, which is all but the password itself"),
        other => lm.wrong(LM, format!("{other} octets, where 24 must be")),
    }
    None
}

/// NTLMv2_RESPONSE: a proof, and what it is over.
pub(crate) fn v2<'a>(field: &mut Field<'a>, response: Octets<'a>) -> Pairs {
    const SECTION: &str = "MS-NLMP section 2.2.2.7";
    let part = |at, length| response.part(at, length).unwrap_or(response);
    let (proof, version, challenge) = (part(0, 16), part(16, 2), part(32, 8));
    field.push(Field::with(
        "NTProofStr",
        proof,
        Value::Sensitive(proof.octets),
    ));
    let mut versions = Field::with(
        "RespType, HiRespType",
        version,
        Value::Octets(version.octets),
    );
    if version.octets != [1, 1] {
        versions.wrong(SECTION, "both must be 1");
    }
    field.push(versions);
    let time = part(24, 8);
    let ticks = time.little_endian();
    field.push(Field::with(
        "TimeStamp",
        time,
        Value::Number(ticks, Some(names::filetime(ticks).into())),
    ));
    field.push(Field::with(
        "ChallengeFromClient",
        challenge,
        Value::Octets(challenge.octets),
    ));
    let (_, after) = response.split(V2_SHORTEST);
    let mut pairs = Field::new("AvPairs", after);
    let read = av_pairs::read(&mut pairs, after, SECTION);
    if read.timestamp.is_some_and(|server| server != ticks) {
        pairs.doubtful(
            "MS-NLMP section 3.1.5.1.2",
            "MsvAvTimestamp differs from the response's TimeStamp, which has to repeat it",
        );
    }
    field.push(pairs);
    read
}

/// NTProofStr and the fixed part of NTLMv2_CLIENT_CHALLENGE.
pub(crate) const V2_SHORTEST: usize = 44;

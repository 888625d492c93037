//! NTLMv2_RESPONSE, MS-NLMP section 2.2.2.8.
#![forbid(unsafe_code)]

use super::av_pairs::{self, Pairs};
use super::field::{Field, Octets, Value};
use super::names;

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

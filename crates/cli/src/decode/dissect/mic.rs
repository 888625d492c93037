//! A mechListMIC, which is a signature of the mechanism that was chosen.
#![forbid(unsafe_code)]

use super::field::{Field, Octets, Value};
use super::krb5;

/// Take a mechListMIC apart.
pub(crate) fn show<'a>(field: &mut Field<'a>, mic: Option<Octets<'a>>) {
    let (Some(mic), Some(part)) = (
        mic.filter(|mic| !mic.is_empty()),
        field
            .fields
            .iter_mut()
            .find(|part| part.name == "mechListMIC"),
    ) else {
        return;
    };
    if krb5::is_per_message(mic) {
        part.push(krb5::per_message(mic));
    } else if mic.len() == 16 && mic.octets.starts_with(&[1, 0, 0, 0]) {
        let mut signature = Field::new("NTLM signature", mic);
        for (name, at, length) in [("Version", 0, 4), ("Checksum", 4, 8), ("SeqNum", 12, 4)] {
            let octets = mic.part(at, length).unwrap_or(mic);
            let value = match name {
                "Checksum" => Value::Octets(octets.octets),
                _ => Value::number(octets.little_endian()),
            };
            signature.push(Field::with(name, octets, value));
        }
        if mic
            .part(12, 4)
            .is_some_and(|number| number.little_endian() != 0)
        {
            signature.doubtful(
                "MS-NLMP section 3.4.4.2",
                "the first signature of a context has the number 0",
            );
        }
        part.push(signature);
    }
}

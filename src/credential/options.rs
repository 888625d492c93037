//! What a caller sets of a credential: the order of its mechanisms, and options of its mechanisms'.
#![forbid(unsafe_code)]

use super::{Credential, NO_CREDENTIAL, ONLY_OURS, Shared};
use args::write;
use args::{In, InOutHandle, Octets, OidIn, OidSetIn, Status};
use gssapi::{Mechglue, call};
use spnego::error::{Error, Major, major};
use spnego::oid::{self, Oid};
use spnego::policy::{self, Rules};
use std::cell::Cell;

/// Restrict and order the mechanisms (RFC 4178 appendix B.1). Members that the credential is not
/// for are passed over, whatever they are: programs hand in all that the glue indicates.
pub(crate) fn set_neg_mechs(
    _: &'static Mechglue,
    cred: In<'_, Shared>,
    mechs: OidSetIn<'_>,
) -> Status {
    let cred = cred.given()?.ok_or(NO_CREDENTIAL)?;
    let order = mechs
        .given()
        .ok_or(Error::Missing("the mechanisms are a set, if an empty one"))?;
    write(cred)?.set_order(&order);
    Ok(major::COMPLETE)
}

/// Options go to the mechanisms' own credentials, but for the one that is ours. That no integrity
/// shall be asked for is noted here too, since it is SPNEGO that would ask.
pub(crate) fn set_cred_option(
    glue: &'static Mechglue,
    mut cred: InOutHandle<'_, Shared>,
    option: OidIn<'_>,
    value: Octets<'_>,
) -> Status {
    let option = option
        .value()
        .ok_or(Error::Missing("an option is named by an OID"))?;
    match cred.given()? {
        Some(given) if option == oid::SET_NEG_MECHS => {
            write(given)?.set_order(&named(value.bytes())?);
            Ok(major::COMPLETE)
        }
        Some(given) => {
            let mut given = write(given)?;
            if option == oid::MAX_OUTPUT_TOKEN_SIZE {
                let size = Rules::token_size_option(value.bytes()).map_err(Error::CallerMisused)?;
                given.max_output_token_size = Some(size);
                return Ok(major::COMPLETE);
            }
            let status = match &mut given.cred {
                Some(_) => given.change(&option, value.bytes())?,
                None if option == NO_CI_FLAGS => major::COMPLETE,
                None => return Err(ONLY_OURS),
            };
            if option == NO_CI_FLAGS {
                given.asks_integrity = false;
            }
            Ok(status)
        }
        // On Heimdal the glue asks every mechanism, us as well; once is enough.
        None if MAKING.get() => Ok(major::UNAVAILABLE),
        None => {
            let _making = Making::begin();
            if let Some(made) = call::make_cred(glue, &option, value.bytes())? {
                cred.put(Shared::new(Credential::of_glue(made)?));
            }
            Ok(major::COMPLETE)
        }
    }
}

impl Credential {
    /// Restrict and order the mechanisms; those that it is not for are passed over.
    fn set_order(&mut self, order: &[Oid]) {
        let covered = |wanted: &Oid| {
            self.mechs
                .iter()
                .find(|mech| mech.same_mech(wanted))
                .copied()
        };
        self.wanted = order.iter().filter_map(covered).collect();
        let place = order.iter().position(Oid::is_krb5);
        self.lost = self.lost.take().zip(place).map(|(mut lost, place)| {
            lost.place = order.iter().take(place).filter_map(covered).count();
            lost
        });
        self.usable_under = policy::current();
        self.usable = self.usable_under.terms.order(self.wanted.clone()).into();
        self.ordered = true;
    }

    /// Set an option of the glue's credentials: of one, if the other does not know it. That no
    /// integrity shall be asked for is nothing that NTLM knows.
    fn change(&mut self, option: &Oid, value: &[u8]) -> Result<Major, Error> {
        let cred = self.cred.as_mut().ok_or(ONLY_OURS)?;
        let changed = call::change_cred(cred, option, value);
        let Some(apart) = self.apart.as_mut().filter(|_| *option != NO_CI_FLAGS) else {
            return changed;
        };
        match apart.cred_mut() {
            Ok(cred) => changed.or(call::change_cred(cred, option, value)),
            Err(_) => changed,
        }
    }
}

/// The value of the option [`oid::SET_NEG_MECHS`]: names of mechanisms or dotted identifiers.
fn named(value: &[u8]) -> Result<Vec<Oid>, Error> {
    let list = std::str::from_utf8(value.strip_suffix(b"\0").unwrap_or(value)).ok();
    list.and_then(|list| policy::mechs_named(list).ok())
        .ok_or(Error::CallerMisused(
            "the option takes names of mechanisms or dotted identifiers, with blanks between",
        ))
}

thread_local! {
    static MAKING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, the glue is making a credential from an option at our request.
struct Making;

impl Making {
    fn begin() -> Self {
        MAKING.set(true);
        Self
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        MAKING.set(false);
    }
}

/// GSS_KRB5_CRED_NO_CI_FLAGS_X, 1.2.752.43.13.29.
const NO_CI_FLAGS: Oid = Oid::known([0x2a, 0x85, 0x70, 0x2b, 0x0d, 0x1d]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_of_gssapi_krb5_h() {
        assert_eq!(NO_CI_FLAGS.to_string(), "1.2.752.43.13.29");
    }
}

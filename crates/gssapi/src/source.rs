//! Where the credentials of a mechanism come from when nobody says where: for the trace alone,
//! since finding out makes a Kerberos context.

use super::environment;
use super::libkrb5::{Context, Library};

/// The default ticket cache, as the Kerberos library of this process names it:
/// `FILE:/tmp/krb5cc_0`.
pub fn ticket_cache() -> String {
    found(|context| context.ticket_cache(), "KRB5CCNAME")
}

/// The default key table, likewise.
pub fn key_table() -> String {
    found(|context| context.key_table(), "KRB5_KTNAME")
}

/// The users of NTLM.
pub fn ntlm_users() -> String {
    match environment::variable(environment::NTLM_USERS) {
        None => format!("not named ({} is not set)", environment::NTLM_USERS),
        Some(file) if file.is_empty() => {
            format!("not named ({} is empty)", environment::NTLM_USERS)
        }
        Some(file) => format!("{} ({})", file.to_string_lossy(), environment::NTLM_USERS),
    }
}

fn found(ask: impl FnOnce(&Context<'_>) -> Option<String>, variable: &str) -> String {
    Library::of_this_process()
        .and_then(|library| ask(&Context::new(&library)?))
        .or_else(|| {
            let named = environment::variable(variable)?;
            Some(named.to_string_lossy().into_owned())
        })
        .unwrap_or_else(|| "the default".to_owned())
}

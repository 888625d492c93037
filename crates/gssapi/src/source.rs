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
    environment::variable("NTLM_USER_FILE").map_or_else(
        || "not named (NTLM_USER_FILE is not set)".to_owned(),
        |file| format!("{} (NTLM_USER_FILE)", file.to_string_lossy()),
    )
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

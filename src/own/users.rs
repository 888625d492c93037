//! The users of our own NTLM for a credential: who signs in and who may, and where they are found.
#![forbid(unsafe_code)]

use super::none;
use gssapi::environment;
use gssapi::owned::Store;
use gssapi::sys::{GSS_C_ACCEPT, GSS_C_BOTH, GSS_C_INITIATE};
use ntlm::{AccountSource, Accounts, Credential, UserFile, UserName, find_in_file};
use spnego::advice::{Trouble, advised};
use spnego::error::{Cause, MechError};
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A credential's part for NTLM: who signs in, and who may. Of those who may, it has the file
/// alone: what is in it is nobody's business before a peer claims to be somebody.
pub(crate) struct Users {
    initiator: Option<Credential>,
    acceptor: Option<Arc<UserFile>>,
}

/// What a credential for NTLM is acquired with.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Who signs in; `None`: the first of the file.
    pub(crate) name: Option<&'a UserName>,
    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    pub(crate) usage: c_int,
    /// Where users are found.
    pub(crate) from: From<'a>,
}

/// Where users are found.
#[derive(Clone, Copy)]
pub(crate) enum From<'a> {
    /// The file that `NTLM_USER_FILE` names, or what a store names, in gss-ntlmssp's words for it.
    Store(Store<'a>),
    /// A password, for the name.
    Password(&'a [u8]),
}

impl Users {
    /// Whoever there is by default, for one use.
    ///
    /// # Errors
    /// Why there is nobody.
    pub(crate) fn by_default(usage: u32) -> Result<Self, MechError> {
        Self::find(Wanted {
            name: None,
            usage: c_int::try_from(usage).unwrap_or_default(),
            from: From::Store(Store::NONE),
        })
    }

    /// Find users.
    ///
    /// # Errors
    /// Why there is nobody.
    pub(crate) fn find(wanted: Wanted<'_>) -> Result<Self, MechError> {
        let usage = u32::try_from(wanted.usage).unwrap_or(GSS_C_BOTH);
        let found = match wanted.from {
            From::Password(_) if usage == GSS_C_ACCEPT => {
                Err("a password is for signing in, not for accepting".to_owned())
            }
            From::Password(password) => Self::of_password(wanted.name, None, password),
            From::Store(store) => match Self::of_store(&wanted, store) {
                Some(found) => found,
                None => {
                    let file = user_file(store)?;
                    Self::of_file(&wanted, usage, &file)
                }
            },
        };
        found.map_err(|reason| none(&reason))
    }

    /// A user that the store itself describes.
    fn of_store(wanted: &Wanted<'_>, store: Store<'_>) -> Option<Result<Self, String>> {
        let domain = store.value(DOMAIN);
        if let Some(password) = store.value(PASSWORD) {
            return Some(Self::of_password(wanted.name, domain, password));
        }
        let hash = store.value(NT_HASH)?;
        let credential = text(hash, NT_HASH).and_then(|hash| {
            let name = named(wanted.name, domain)?;
            Credential::from_hex(name, hash)
                .ok_or_else(|| format!("{NT_HASH} is not 32 hexadecimal digits"))
        });
        Some(credential.map(Self::initiating))
    }

    fn of_password(
        name: Option<&UserName>,
        domain: Option<&[u8]>,
        password: &[u8],
    ) -> Result<Self, String> {
        let password = text(password, "the password")?;
        let name = named(name, domain)?;
        Ok(Self::initiating(Credential::from_password(name, password)))
    }

    fn of_file(wanted: &Wanted<'_>, usage: u32, file: &Path) -> Result<Self, String> {
        let nobody = |words| advised(words, Some(&Trouble::OwnNtlmUsers));
        let initiator = match usage {
            GSS_C_ACCEPT => None,
            _ => find_in_file(file, wanted.name).map_err(nobody)?,
        };
        let acceptor = match usage {
            GSS_C_INITIATE => None,
            _ => Some(UserFile::shared(file)),
        };
        match (&acceptor, &initiator, wanted.name) {
            (Some(acceptor), None, _) => acceptor.check().map_err(nobody)?,
            (None, None, Some(name)) => {
                let name = name.to_string();
                return Err(format!("no user {name:?} in {}", file.display()));
            }
            _ => {}
        }
        Ok(Self {
            initiator,
            acceptor,
        })
    }

    fn initiating(credential: Credential) -> Self {
        Self {
            initiator: Some(credential),
            acceptor: None,
        }
    }

    /// Who signs in.
    ///
    /// # Errors
    /// Nobody does: the users are for accepting only.
    pub(crate) fn initiator(&self) -> Result<&Credential, MechError> {
        self.initiator
            .as_ref()
            .ok_or_else(|| none("the credential is not for initiating"))
    }

    /// Who may sign in.
    ///
    /// # Errors
    /// Nobody may: the user is for signing in only.
    pub(super) fn accounts(&self) -> Result<&dyn AccountSource, MechError> {
        let file = self.acceptor.as_deref();
        file.map(|file| -> &dyn AccountSource { file })
            .ok_or_else(|| none("the credential is not for accepting"))
    }

    /// The name of who signs in.
    pub(crate) fn name(&self) -> Option<&UserName> {
        self.initiator.as_ref().map(Credential::name)
    }

    /// GSS_C_BOTH, GSS_C_INITIATE or GSS_C_ACCEPT.
    pub(crate) fn usage(&self) -> c_int {
        let usage = match (&self.initiator, &self.acceptor) {
            (Some(_), Some(_)) => GSS_C_BOTH,
            (None, Some(_)) => GSS_C_ACCEPT,
            _ => GSS_C_INITIATE,
        };
        c_int::try_from(usage).unwrap_or_default()
    }
}

/// The file of users: the store's, or the environment's.
fn user_file(store: Store<'_>) -> Result<PathBuf, MechError> {
    if let Some(file) = store.value(KEY_FILE) {
        let file = text(file, KEY_FILE).map(PathBuf::from);
        return file.map_err(|reason| none(&reason));
    }
    let (words, trouble, cause) = match environment::variable(Accounts::VARIABLE) {
        Some(file) if !file.is_empty() => return Ok(PathBuf::from(file)),
        Some(_) => (
            format!("no user: {} is set and names no file", Accounts::VARIABLE),
            Trouble::EmptyUserFile,
            Cause::Unusable,
        ),
        None => (
            format!("not configured: {} is not set", Accounts::VARIABLE),
            Trouble::OwnNtlmUsers,
            Cause::NotConfigured,
        ),
    };
    Err(MechError {
        cause,
        ..none(&advised(words, Some(&trouble)))
    })
}

fn named(name: Option<&UserName>, domain: Option<&[u8]>) -> Result<UserName, String> {
    let mut name = name.cloned().ok_or("no user is named")?;
    if let Some(domain) = domain.filter(|_| name.domain.is_empty()) {
        text(domain, DOMAIN)?.clone_into(&mut name.domain);
    }
    Ok(name)
}

fn text<'a>(octets: &'a [u8], what: &str) -> Result<&'a str, String> {
    std::str::from_utf8(octets).map_err(|_| format!("{what} is not UTF-8"))
}

/// The words of a credential store, as in gssapi_ntlmssp.h.
const DOMAIN: &str = "ntlmssp_domain";
const NT_HASH: &str = "ntlmssp_nthash";
const PASSWORD: &str = "ntlmssp_password";
const KEY_FILE: &str = "ntlmssp_keyfile";

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> UserName {
        UserName::parse(text)
    }

    #[test]
    fn a_password_signs_in_and_does_not_accept() {
        let name = named("DOMAIN\\user");
        let wanted = |usage| Wanted {
            name: Some(&name),
            usage,
            from: From::Password(b"secret"),
        };
        let users = Users::find(wanted(1)).ok().unwrap();
        assert_eq!(users.name(), Some(&name));
        assert_eq!(users.usage(), 1);
        assert!(users.accounts().is_err());
        let refused = Users::find(wanted(2)).err().unwrap();
        assert!(refused.reason.contains("not for accepting"));
    }

    #[test]
    fn a_password_needs_a_name_and_utf_8() {
        let nobody = Wanted {
            name: None,
            usage: 1,
            from: From::Password(b"secret"),
        };
        assert_eq!(
            Users::find(nobody).err().unwrap().reason,
            "no user is named"
        );
        let name = named("user");
        let binary = Wanted {
            name: Some(&name),
            usage: 1,
            from: From::Password(b"\xff"),
        };
        let reason = Users::find(binary).err().unwrap().reason;
        assert_eq!(reason, "the password is not UTF-8");
    }
}

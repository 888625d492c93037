//! Users and what proves them: single credentials, and the file that `NTLM_USER_FILE` names, in the
//! two formats that gss-ntlmssp reads (`DOMAIN:user:password`, and Samba's smbpasswd).
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::response::{Key, copied, nt_hash, upper};
use spnego::secret::Secret;

/// A user as NTLM knows one: `DOMAIN\user`, `user`, or `user@domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName {
    /// The domain; empty when there is none.
    pub domain: String,
    /// The user, without the domain.
    pub user: String,
}

impl UserName {
    /// Take a name apart: at a backslash, else at the last `@`; a backslash in front keeps an `@`
    /// in the user (`\user@example.org`).
    pub fn parse(name: &str) -> Self {
        let (domain, user) = name
            .split_once('\\')
            .or_else(|| name.rsplit_once('@').map(|(user, domain)| (domain, user)))
            .unwrap_or(("", name));
        Self {
            domain: domain.to_owned(),
            user: user.to_owned(),
        }
    }
}

/// `DOMAIN\user`, or the user alone when there is no domain.
impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}\\", self.domain)?;
        }
        f.write_str(&self.user)
    }
}

/// A user and the hash of the password, which is all that NTLM needs.
#[derive(Debug)]
pub struct Credential {
    pub(super) name: UserName,
    pub(super) nt_hash: Key,
}

impl Credential {
    /// A credential from a password.
    pub fn from_password(name: UserName, password: &str) -> Self {
        let nt_hash = nt_hash(password);
        Self { name, nt_hash }
    }

    /// A credential from an NT hash (NTOWFv1: MD4 of the password in UTF-16).
    pub fn from_nt_hash(name: UserName, nt_hash: [u8; 16]) -> Self {
        Self {
            name,
            nt_hash: copied(&nt_hash),
        }
    }

    /// A credential from an NT hash in 32 hexadecimal digits; `None` when it is not that.
    pub fn from_hex(name: UserName, nt_hash: &str) -> Option<Self> {
        let nt_hash = hex(nt_hash)?;
        Some(Self { name, nt_hash })
    }

    /// Whose it is.
    pub fn name(&self) -> &UserName {
        &self.name
    }
}

/// The users that a file knows, in its order.
#[derive(Debug, Default)]
pub struct Accounts {
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

/// A line of a file of users that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it; never a part of it.
    pub reason: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

#[derive(Debug)]
struct Entry {
    /// smbpasswd need not name one; such an entry is good for every domain.
    domain: Option<String>,
    user: String,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    /// Hashed when it is asked for: of a file of users, most never are.
    Password(Secret<String>),
    NtHash(Key),
}

impl Accounts {
    /// The environment variable that names the file, for gss-ntlmssp and Heimdal as well.
    pub const VARIABLE: &'static str = "NTLM_USER_FILE";

    /// Largest file read: a file of users is written by hand.
    pub const LARGEST: usize = 1 << 20;
    /// Longest line read; gss-ntlmssp takes 1023 octets as well.
    pub const LONGEST: usize = 1023;

    /// Read a file of users.
    ///
    /// # Errors
    /// It cannot be read, or is larger than [`Self::LARGEST`]. A wrong line is no error, see
    /// [`Self::problems`].
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        // A pipe of that name is not waited for.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        // One allocation, so that no copy of the passwords is left behind by growing.
        let room =
            usize::try_from(length).map_or(Self::LARGEST, |length| length.min(Self::LARGEST));
        let mut content = Secret::new(Vec::with_capacity(room.saturating_add(1)));
        let limit = u64::try_from(Self::LARGEST)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        file.take(limit)
            .read_to_end(content.expose_mut())
            .map_err(failed)?;
        if content.expose().len() > Self::LARGEST {
            return Err(format!("{}: more than 1 MiB", path.display()));
        }
        Ok(Self::parse(content.expose()))
    }

    /// Parse the content of a file of users: empty lines and those that begin with `#` mean
    /// nothing.
    pub fn parse(content: &[u8]) -> Self {
        let mut accounts = Self::default();
        for (line, number) in content.split(|octet| *octet == b'\n').zip(1..) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match Entry::parse(line) {
                Ok(entry) => accounts.entries.push(entry),
                Err(reason) => accounts.problems.push(Problem {
                    line: number,
                    reason,
                }),
            }
        }
        accounts
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The lines that could not be used.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The credential of the first user, an initiator's default.
    pub fn first(&self) -> Option<Credential> {
        self.entries.first().map(|entry| entry.credential(""))
    }

    /// The credential of a user, in the spelling of the file. Case does not matter. A name without
    /// a domain finds its first bearer, an entry without one answers to every domain.
    pub fn find(&self, name: &UserName) -> Option<Credential> {
        let entry = self.entry(&name.domain, &name.user)?;
        Some(entry.credential(&name.domain))
    }

    /// The account that a peer claims: as [`Self::find`], and a user principal name
    /// (`user@domain`, sent without a domain) finds the user of the domain. The domain is then
    /// the file's or none: nothing that a peer claims and nobody checked gets into a name.
    pub(super) fn claimed(&self, domain: &str, user: &str) -> Option<Credential> {
        let found = self.entry(domain, user).or_else(|| {
            let (user, domain) = user.rsplit_once('@').filter(|_| domain.is_empty())?;
            self.entry(domain, user)
        });
        found.map(|entry| entry.credential(""))
    }

    fn entry(&self, domain: &str, user: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            let domain_fits = match &entry.domain {
                Some(of_entry) if !domain.is_empty() => same(of_entry, domain),
                _ => true,
            };
            domain_fits && same(&entry.user, user)
        })
    }
}

impl Entry {
    /// Three fields are Heimdal's format, five and more are smbpasswd.
    fn parse(line: &[u8]) -> Result<Self, &'static str> {
        if line.len() > Accounts::LONGEST {
            return Err("longer than 1023 octets");
        }
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
        let mut fields = line.split(':');
        let fields: [Option<&str>; 5] = std::array::from_fn(|_| fields.next());
        let (domain, user, proof) = match fields {
            [Some(domain), Some(user), Some(password), None, None] => {
                let password = Secret::new(password.to_owned());
                (Some(domain), user, Proof::Password(password))
            }
            [
                Some(name),
                Some(_),
                Some(_),
                Some(nt_hash),
                Some(account_flags),
            ] => {
                let disabled = account_flags.starts_with('[') && account_flags.contains('D');
                if disabled {
                    return Err("the account is disabled");
                }
                let nt_hash = hex(nt_hash).ok_or("no NT hash of 32 hexadecimal digits")?;
                let (domain, user) = match name.split_once('\\') {
                    Some((domain, user)) => (Some(domain), user),
                    None => (None, name),
                };
                (domain, user, Proof::NtHash(nt_hash))
            }
            _ => return Err("neither DOMAIN:user:password nor a line of smbpasswd"),
        };
        if user.is_empty() {
            return Err("no user");
        }
        Ok(Self {
            domain: domain.map(str::to_owned),
            user: user.to_owned(),
            proof,
        })
    }

    /// `domain` stands in for one that the entry does not name.
    fn credential(&self, domain: &str) -> Credential {
        let name = UserName {
            domain: self.domain.as_deref().unwrap_or(domain).to_owned(),
            user: self.user.clone(),
        };
        match &self.proof {
            Proof::Password(password) => Credential::from_password(name, password.expose()),
            Proof::NtHash(hash) => Credential {
                name,
                nt_hash: copied(hash.expose()),
            },
        }
    }
}

/// Whether two names are one to Windows.
fn same(a: &str, b: &str) -> bool {
    a.chars().map(upper).eq(b.chars().map(upper))
}

fn hex(digits: &str) -> Option<Key> {
    let digits: &[u8; 32] = digits.as_bytes().try_into().ok()?;
    let mut key = Secret::new([0; 16]);
    for (place, pair) in key.expose_mut().iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
            *place = (*place << 4) | value;
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MD4 of "Password" in UTF-16: MS-NLMP section 4.2.2.1.2.
    const PASSWORD: [u8; 16] = 0xa4f4_9c40_6510_bdca_b682_4ee7_c30f_d852_u128.to_be_bytes();

    fn named(name: &str) -> UserName {
        UserName::parse(name)
    }

    #[test]
    fn both_formats_are_read_from_one_file() {
        let accounts = Accounts::parse(
            b"# users\n\
              DOMAIN:User:Password\r\n\
              joe:1000:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:A4F49C406510bdcab6824ee7c30fd852:[U  ]:\n\
              OTHER\\jane:0:X:a4f49c406510bdcab6824ee7c30fd852:",
        );
        assert_eq!(accounts.problems(), []);
        for (asked, found) in [
            ("domain\\USER", "DOMAIN\\User"),
            ("user", "DOMAIN\\User"),
            ("joe", "joe"),
            ("ANY\\JOE", "ANY\\joe"),
            ("other\\jane", "OTHER\\jane"),
        ] {
            let credential = accounts.find(&named(asked)).unwrap();
            assert_eq!(credential.name().to_string(), found);
            assert_eq!(*credential.nt_hash.expose(), PASSWORD);
        }
        assert!(accounts.find(&named("DOMAIN\\jane")).is_none());
        assert!(accounts.find(&named("DOMAIN\\nobody")).is_none());
        assert_eq!(accounts.first().unwrap().name(), &named("DOMAIN\\User"));
    }

    #[test]
    fn a_claimed_domain_that_no_entry_has_is_not_believed() {
        let accounts = Accounts::parse(b"joe:0:X:a4f49c406510bdcab6824ee7c30fd852:");
        let joe = accounts.claimed("ADMINS", "joe").unwrap();
        assert_eq!(joe.name(), &named("joe"));
    }

    #[test]
    fn a_principal_name_finds_the_user_of_the_domain() {
        let accounts = Accounts::parse(b"example.org:joe:x");
        let joe = accounts.claimed("", "JOE@Example.org").unwrap();
        assert_eq!(joe.name(), &named("joe@example.org"));
        assert!(accounts.claimed("", "joe@example.com").is_none());
        assert!(accounts.claimed("B", "joe@example.org").is_none());
    }

    #[test]
    fn wrong_lines_are_reported_and_the_others_used() {
        let mut file = b"DOMAIN:User\nA:b:c:d\n:\xff:\nD::p\n".to_vec();
        file.extend_from_slice(b"off:0:X:a4f49c406510bdcab6824ee7c30fd852:[DU ]:\n");
        file.extend_from_slice(b"none:0:X:NO PASSWORDXXXXXXXXXXXXXXXXXXXXX:[U ]:\n");
        file.extend_from_slice(&[b'x'; Accounts::LONGEST + 1]);
        file.extend_from_slice(b"\nD:good:p");
        let accounts = Accounts::parse(&file);
        let lines: Vec<_> = accounts.problems().iter().map(|at| at.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(accounts.first().unwrap().name(), &named("D\\good"));
    }

    #[test]
    fn nothing_shows_a_password_or_a_hash() {
        let accounts = Accounts::parse(b"D:u:tops3cret");
        let shown = format!("{accounts:?} {:?}", accounts.first());
        assert!(!shown.contains("tops3cret") && shown.contains("Secret(..)"));
    }

    #[test]
    fn names_are_taken_apart_and_put_together() {
        for (name, domain, user) in [
            ("D\\u", "D", "u"),
            ("u", "", "u"),
            ("u@d.org", "d.org", "u"),
            ("\\u@d.org", "", "u@d.org"),
            ("D\\u@d.org", "D", "u@d.org"),
        ] {
            let parsed = named(name);
            assert_eq!(
                (parsed.domain.as_str(), parsed.user.as_str()),
                (domain, user)
            );
        }
        assert_eq!(named("u@D").to_string(), "D\\u");
    }

    #[test]
    fn a_file_too_large_or_missing_is_an_error_that_names_it() {
        let missing = Path::new("/nonexistent/users");
        assert!(
            Accounts::read(missing)
                .unwrap_err()
                .contains("/nonexistent/users")
        );
        let endless = Accounts::read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(endless, "/dev/zero: more than 1 MiB");
    }
}

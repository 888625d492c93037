//! Users and what proves them: single credentials, and the file that `NTLM_USER_FILE` names, in the
//! two formats that gss-ntlmssp reads (`DOMAIN:user:password`, and Samba's smbpasswd).
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::response::{Key, copied, nt_hash, upper, work};
use spnego::error::plain;
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

/// The users that a file knows, in its order: their names, and of each password its NT hash alone,
/// made when the file is read. To look for a user is the same work whether there is one or not.
#[derive(Debug)]
pub struct Accounts {
    entries: Vec<Entry>,
    /// Domain and user of each entry, one after the other.
    names: String,
    /// Of each entry.
    nt_hashes: NtHashes,
    tags: RandomState,
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

/// A user by numbers, which are compared in the place of names: in a time that does not depend on
/// them.
#[derive(Debug)]
struct Entry {
    /// See [`Accounts::tag`].
    user: u64,
    /// `None`: smbpasswd need not name one; such an entry is good for every domain.
    domain: Option<u64>,
    /// Where its domain begins among the names, and how long domain and user are.
    begins: usize,
    domain_octets: u16,
    user_octets: u16,
}

/// What is found for the user that a peer claims to be.
pub struct Claimed {
    /// The account; in the place of one that there is not, some other, which must not let in.
    pub(super) account: Credential,
    pub(super) is_known: Choice,
}

/// Where an acceptor finds its users, once a peer claims to be one.
pub trait AccountSource: fmt::Debug {
    /// The account that a peer claims. It costs the same whether there is one or not.
    ///
    /// # Errors
    /// The users cannot be read.
    fn claimed(&self, domain: &str, user: &str) -> Result<Claimed, String>;
}

impl AccountSource for Accounts {
    fn claimed(&self, domain: &str, user: &str) -> Result<Claimed, String> {
        Ok(self.claimed_by(domain, user))
    }
}

impl Accounts {
    /// The environment variable that names the file, for gss-ntlmssp and Heimdal as well.
    pub const VARIABLE: &'static str = "NTLM_USER_FILE";

    /// Largest file read, some 40,000 users: all of them are looked at for each that signs in, and
    /// all of it is in memory.
    pub const LARGEST: usize = 1 << 20;
    /// Longest line read; gss-ntlmssp takes 1023 octets as well.
    pub const LONGEST: usize = 1023;

    /// Read a file of users.
    ///
    /// # Errors
    /// It cannot be read, or is larger than [`Self::LARGEST`]. A wrong line is no error, see
    /// [`Self::problems`].
    pub fn read(path: &Path) -> Result<Self, String> {
        let content = open(path).and_then(|file| content(path, file))?;
        Ok(Self::parse(content.expose()))
    }

    /// Parse the content of a file of users: empty lines and those that begin with `#` mean
    /// nothing.
    pub fn parse(content: &[u8]) -> Self {
        let mut accounts = Self::default();
        for (line, user) in lines(content) {
            match user {
                Ok(user) => accounts.push(&user),
                Err(reason) => accounts.problems.push(Problem { line, reason }),
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

    fn push(&mut self, user: &Line<'_>) {
        let octets = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
        let domain = user.domain.unwrap_or_default();
        self.entries.push(Entry {
            user: self.tag(user.user),
            domain: user.domain.map(|domain| self.tag(domain)),
            begins: self.names.len(),
            // No line is longer than 1023 octets.
            domain_octets: octets(domain),
            user_octets: octets(user.user),
        });
        self.names.push_str(domain);
        self.names.push_str(user.user);
        self.nt_hashes.push(user.proof.nt_hash().expose());
    }

    /// The account that a peer claims. Case does not matter; a name without a domain finds its
    /// first bearer, an entry without one answers to every domain, and a user principal name
    /// (`user@domain`, sent without a domain) finds the user of the domain. The domain is then the
    /// file's or none: nothing that a peer claims and nobody checked gets into a name.
    fn claimed_by(&self, domain: &str, user: &str) -> Claimed {
        let user_tag = self.tag(user);
        let of_domain = (!domain.is_empty()).then(|| self.tag(domain));
        let mut place = self.place(of_domain, user_tag);
        if let Some((user, domain)) = user.rsplit_once('@').filter(|_| domain.is_empty()) {
            let by_principal = self.place(Some(self.tag(domain)), self.tag(user));
            place.conditional_assign(&by_principal, place.ct_eq(&NOWHERE));
        }
        let is_known = !place.ct_eq(&NOWHERE);
        // In the place of an unknown user any other: as near or far in memory as a known one.
        let places = u64::try_from(self.entries.len()).unwrap_or_default();
        place.conditional_assign(&user_tag.checked_rem(places).unwrap_or_default(), !is_known);
        Claimed {
            account: self.credential(place),
            is_known,
        }
    }

    /// Where the first entry with these tags is. All of them are looked at, whichever fits.
    fn place(&self, domain: Option<u64>, user: u64) -> u64 {
        let mut found = NOWHERE;
        for (entry, place) in self.entries.iter().zip(0_u64..) {
            let any_domain = Choice::from(u8::from(domain.is_none() | entry.domain.is_none()));
            let of_domain = domain.unwrap_or(0).ct_eq(&entry.domain.unwrap_or(0));
            let fits = entry.user.ct_eq(&user) & (any_domain | of_domain);
            found.conditional_assign(&place, fits & found.ct_eq(&NOWHERE));
            work::entry();
        }
        found
    }

    fn credential(&self, place: u64) -> Credential {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let name = self.entries.get(place).and_then(|entry| {
            let rest = self.names.get(entry.begins..)?;
            let (domain, rest) = rest.split_at_checked(entry.domain_octets.into())?;
            let user = rest.get(..entry.user_octets.into())?;
            Some((domain, user))
        });
        let (domain, user) = name.unwrap_or_default();
        Credential {
            name: UserName {
                domain: domain.to_owned(),
                user: user.to_owned(),
            },
            nt_hash: self.nt_hashes.get(place),
        }
    }

    /// A number in the place of a name, the same in whatever case. Nobody outside knows which, so
    /// nobody can make two that are one.
    fn tag(&self, name: &str) -> u64 {
        let mut hasher = self.tags.build_hasher();
        for character in name.chars().map(upper) {
            hasher.write_u32(character.into());
        }
        hasher.finish()
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            names: String::new(),
            nt_hashes: NtHashes(Secret::new(Vec::new())),
            tags: RandomState::new(),
            problems: Vec::new(),
        }
    }
}

/// A credential of a file, an initiator's: of the user who is asked for, or the first one, in the
/// spelling of the file. `None` when the file has others alone. An entry without a domain answers
/// to every one. The others are neither hashed nor kept.
///
/// # Errors
/// The file cannot be read, or has nobody at all.
pub fn find_in_file(path: &Path, wanted: Option<&UserName>) -> Result<Option<Credential>, String> {
    let content = open(path).and_then(|file| content(path, file))?;
    first_of(path, lines(content.expose()))?;
    let mut users = lines(content.expose()).filter_map(|(_, user)| user.ok());
    Ok(users
        .find(|user| wanted.is_none_or(|wanted| user.is_of(wanted)))
        .map(|user| user.credential(wanted.map_or("", |wanted| &wanted.domain))))
}

/// Whether a file has anybody, without keeping or hashing any; as a rule its first octets tell.
///
/// # Errors
/// It has not, or cannot be read.
pub(super) fn anybody_in(path: &Path, file: File) -> Result<(), String> {
    let mut file = file;
    let mut begin = Secret::new(vec![0; A_FEW_LINES]);
    let length = fill(&mut file, begin.expose_mut()).map_err(|error| failed(path, &error))?;
    let begin = begin.expose().get(..length).unwrap_or_default();
    let whole = begin.iter().rposition(|octet| *octet == b'\n');
    let whole = whole.and_then(|end| begin.get(..end)).unwrap_or_default();
    if lines(whole).any(|(_, user)| user.is_ok()) {
        return Ok(());
    }
    file.rewind().map_err(|error| failed(path, &error))?;
    let content = content(path, file)?;
    first_of(path, lines(content.expose()))
}

fn first_of<'c>(
    path: &Path,
    lines: impl Iterator<Item = (usize, Result<Line<'c>, &'static str>)>,
) -> Result<(), String> {
    let mut first_problem = None;
    for (line, user) in lines {
        match user {
            Ok(_) => return Ok(()),
            Err(reason) => _ = first_problem.get_or_insert(Problem { line, reason }),
        }
    }
    let problem = first_problem.map_or(String::new(), |problem| format!(": {problem}"));
    Err(format!("no user in {}{problem}", path.display()))
}

/// Open a file of users. A pipe of that name is not waited for.
pub(super) fn open(path: &Path) -> Result<File, String> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| failed(path, &error))
}

/// All that is in the file, in one allocation, so that no copy of the passwords is left behind by
/// growing.
pub(super) fn content(path: &Path, file: File) -> Result<Secret<Vec<u8>>, String> {
    let length = file.metadata().map_err(|error| failed(path, &error))?.len();
    let largest = Accounts::LARGEST;
    let room = usize::try_from(length).map_or(largest, |length| length.min(largest));
    let mut content = Secret::new(Vec::with_capacity(room.saturating_add(1)));
    let limit = u64::try_from(largest).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit)
        .read_to_end(content.expose_mut())
        .map_err(|error| failed(path, &error))?;
    if content.expose().len() > largest {
        return Err(format!("{}: more than 1 MiB", path.display()));
    }
    Ok(content)
}

/// Read until the place is full or the file ends.
fn fill(file: &mut File, place: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let rest = place.get_mut(length..).unwrap_or_default();
        match file.read(rest) {
            Ok(0) => return Ok(length),
            Ok(more) => length = length.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn failed(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), plain(error))
}

/// The lines of a file of users that mean something, by their number from 1.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, Result<Line<'_>, &'static str>)> {
    let lines = content.split(|octet| *octet == b'\n').zip(1..);
    lines.filter_map(|(line, number)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let means_something = !line.is_empty() && !line.starts_with(b"#");
        means_something.then(|| (number, Line::parse(line)))
    })
}

/// A user of a file, where the file's content is.
struct Line<'a> {
    domain: Option<&'a str>,
    user: &'a str,
    proof: Proof<'a>,
}

enum Proof<'a> {
    Password(&'a str),
    NtHash(Key),
}

impl Proof<'_> {
    fn nt_hash(&self) -> Key {
        match self {
            Self::Password(password) => nt_hash(password),
            Self::NtHash(hash) => copied(hash.expose()),
        }
    }
}

impl<'a> Line<'a> {
    /// Three fields are Heimdal's format, five and more are smbpasswd.
    fn parse(line: &'a [u8]) -> Result<Self, &'static str> {
        if line.len() > Accounts::LONGEST {
            return Err("longer than 1023 octets");
        }
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
        let mut fields = line.split(':');
        let fields: [Option<&str>; 5] = std::array::from_fn(|_| fields.next());
        let (domain, user, proof) = match fields {
            [Some(domain), Some(user), Some(password), None, None] => {
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
            domain,
            user,
            proof,
        })
    }

    /// Whether this is the user of that name. A name without a domain is everybody's who bears it.
    fn is_of(&self, name: &UserName) -> bool {
        let domain_fits = match self.domain {
            Some(of_line) if !name.domain.is_empty() => same(of_line, &name.domain),
            _ => true,
        };
        domain_fits && same(self.user, &name.user)
    }

    /// `domain` stands in for one that the line does not name.
    fn credential(&self, domain: &str) -> Credential {
        Credential {
            name: UserName {
                domain: self.domain.unwrap_or(domain).to_owned(),
                user: self.user.to_owned(),
            },
            nt_hash: self.proof.nt_hash(),
        }
    }
}

/// NT hashes, of which no copy is left behind when there is no room for one more.
#[derive(Debug)]
struct NtHashes(Secret<Vec<[u8; 16]>>);

impl NtHashes {
    fn push(&mut self, hash: &[u8; 16]) {
        let hashes = self.0.expose_mut();
        if hashes.len() == hashes.capacity() {
            let room = hashes.capacity().saturating_mul(2).max(4);
            let mut larger = Secret::new(Vec::with_capacity(room));
            larger.expose_mut().extend_from_slice(self.0.expose());
            self.0 = larger;
        }
        self.0.expose_mut().extend_from_slice(&[*hash]);
    }

    /// A copy of one; zeros in the place of one that there is not.
    fn get(&self, place: usize) -> Key {
        copied(self.0.expose().get(place).unwrap_or(&[0; 16]))
    }
}

/// Whether two names are one to Windows.
pub(super) fn same(a: &str, b: &str) -> bool {
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

/// The place of an entry that there is not.
const NOWHERE: u64 = u64::MAX;

/// As much of a file as is looked at for its first user: some lines, and a few comments.
const A_FEW_LINES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// MD4 of "Password" in UTF-16: MS-NLMP section 4.2.2.1.2.
    const PASSWORD: [u8; 16] = 0xa4f4_9c40_6510_bdca_b682_4ee7_c30f_d852_u128.to_be_bytes();

    fn named(name: &str) -> UserName {
        UserName::parse(name)
    }

    fn found(accounts: &Accounts, domain: &str, user: &str) -> Option<Credential> {
        let claimed = accounts.claimed_by(domain, user);
        bool::from(claimed.is_known).then_some(claimed.account)
    }

    /// A file with this content, named after a test.
    fn written(test: &str, content: &[u8]) -> std::path::PathBuf {
        let name = format!("gss-spnego-accounts-{}-{test}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    const BOTH_FORMATS: &[u8] = b"# users\n\
        DOMAIN:User:Password\r\n\
        joe:1000:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:A4F49C406510bdcab6824ee7c30fd852:[U  ]:\n\
        OTHER\\jane:0:X:a4f49c406510bdcab6824ee7c30fd852:";

    #[test]
    fn both_formats_are_read_from_one_file() {
        let accounts = Accounts::parse(BOTH_FORMATS);
        assert_eq!(accounts.problems(), []);
        for (domain, user, name) in [
            ("domain", "USER", "DOMAIN\\User"),
            ("", "user", "DOMAIN\\User"),
            ("", "joe", "joe"),
            ("ANY", "JOE", "joe"),
            ("other", "jane", "OTHER\\jane"),
        ] {
            let credential = found(&accounts, domain, user).unwrap();
            assert_eq!(credential.name().to_string(), name);
            assert_eq!(*credential.nt_hash.expose(), PASSWORD);
        }
        assert!(found(&accounts, "DOMAIN", "jane").is_none());
        assert!(found(&accounts, "DOMAIN", "nobody").is_none());
    }

    #[test]
    fn an_initiator_finds_the_user_it_names_or_the_first() {
        let file = written("initiator", BOTH_FORMATS);
        for (wanted, name) in [
            (Some("domain\\USER"), Some("DOMAIN\\User")),
            (Some("ANY\\JOE"), Some("ANY\\joe")),
            (Some("jane"), Some("OTHER\\jane")),
            (None, Some("DOMAIN\\User")),
            (Some("DOMAIN\\jane"), None),
        ] {
            let wanted = wanted.map(named);
            let credential = find_in_file(&file, wanted.as_ref()).unwrap();
            let found = credential.map(|credential| {
                assert_eq!(*credential.nt_hash.expose(), PASSWORD);
                credential.name().to_string()
            });
            assert_eq!(found.as_deref(), name);
        }
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn whether_there_is_anybody_is_told_of_any_file() {
        let comments = "# comment\n".repeat(A_FEW_LINES / 10);
        for (content, problem) in [
            ("D:u:p".to_owned(), None),
            ("D:u:p\n".to_owned(), None),
            (format!("{comments}D:u:p\n"), None),
            (format!("{comments}{comments}D:u:p"), None),
            (String::new(), Some("")),
            (comments.clone(), Some("")),
            (
                format!("{comments}D::p\nD:u\n"),
                Some(": line 410: no user"),
            ),
        ] {
            let file = written("anybody", content.as_bytes());
            let told = anybody_in(&file, open(&file).unwrap());
            let refusal = problem.map(|problem| format!("no user in {}{problem}", file.display()));
            assert_eq!(told.err(), refusal);
            std::fs::remove_file(file).unwrap();
        }
    }

    #[test]
    fn looking_for_a_user_looks_at_all_entries_whoever_it_is() {
        let file: String = (0..100).map(|number| format!("D:u{number}:p\n")).collect();
        let accounts = Accounts::parse(file.as_bytes());
        for user in ["u0", "u50", "u99", "u100", "", "stranger"] {
            let (_, work) = work::of(|| accounts.claimed_by("D", user));
            assert_eq!((work.hash_blocks, work.entries), (0, 100), "{user}");
        }
        for user in ["u5@d", "u5@x", "x@d"] {
            let (_, work) = work::of(|| accounts.claimed_by("", user));
            assert_eq!(work.entries, 200, "{user}");
        }
    }

    /// The first bearer of a name is the one, wherever others are.
    #[test]
    fn the_first_that_fits_is_found() {
        let accounts = Accounts::parse(b"A:joe:1\nB:joe:2\nb:JOE:3\n");
        for (domain, hash) in [("", "1"), ("a", "1"), ("b", "2")] {
            let joe = found(&accounts, domain, "joe").unwrap();
            assert_eq!(joe.nt_hash.expose(), nt_hash(hash).expose());
        }
    }

    #[test]
    fn a_claimed_domain_that_no_entry_has_is_not_believed() {
        let accounts = Accounts::parse(b"joe:0:X:a4f49c406510bdcab6824ee7c30fd852:");
        let joe = found(&accounts, "ADMINS", "joe").unwrap();
        assert_eq!(joe.name(), &named("joe"));
    }

    #[test]
    fn a_principal_name_finds_the_user_of_the_domain() {
        let accounts = Accounts::parse(b"example.org:joe:x");
        let joe = found(&accounts, "", "JOE@Example.org").unwrap();
        assert_eq!(joe.name(), &named("joe@example.org"));
        assert!(found(&accounts, "", "joe@example.com").is_none());
        assert!(found(&accounts, "B", "joe@example.org").is_none());
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
        assert!(found(&accounts, "D", "good").is_some());
        assert_eq!(accounts.entries.len(), 1);
    }

    #[test]
    fn nothing_shows_a_password_or_a_hash() {
        let accounts = Accounts::parse(b"D:u:tops3cret");
        let shown = format!("{accounts:?} {:?}", found(&accounts, "D", "u"));
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

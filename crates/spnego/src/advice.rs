//! What to do about a failure: a sentence for each cause that a user or an administrator can
//! remove. It is said after the mechanism's own words, never in their place.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Major, major};
use crate::oid::{self, Oid};
use crate::role::Role;

/// A cause of failure that somebody can remove. Its text is what to do, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no ticket.
    NoTicket,
    /// The ticket cache is there, and this user may not read it.
    CacheUnreadable(PathBuf),
    /// What should be the ticket cache is something else.
    CacheMalformed,
    /// The ticket's time is over.
    TicketExpired(Role),
    /// Two clocks are too far apart.
    ClockSkew,
    /// The KDC does not know the user.
    UnknownUser,
    /// The KDC does not know the service.
    UnknownService,
    /// The target is an address, which no principal is named by.
    AddressTarget,
    /// The user's KDC does not know the host's realm.
    NoTrust,
    /// It is not known which KDC serves the realm.
    UnknownRealm,
    /// No KDC answers.
    KdcUnreachable,
    /// The sides and the KDC have no encryption type in common.
    EncryptionType(Role),
    /// The ticket may not be forwarded.
    NotForwardable,
    /// The token may be too large for a header field of HTTP.
    LargeToken,
    /// The KDC refuses what was asked for.
    KdcPolicy,
    /// The password is wrong.
    WrongPassword,
    /// The password has expired.
    PasswordExpired,
    /// The account is locked or has expired.
    AccountRevoked,
    /// The acceptor has another key than the KDC.
    WrongKey(Role),
    /// The acceptor's key is of another version than the ticket's.
    KeyVersion(Role),
    /// The acceptor has no key for the name that the initiator used.
    NoKey(Role),
    /// There is no such keytab.
    KeytabMissing(PathBuf),
    /// The keytab is there, and this user may not read it.
    KeytabUnreadable(PathBuf),
    /// The keytab has no key in it, or none that fits.
    Keytab,
    /// A token was sent twice.
    Replay(Role),
    /// The replay cache cannot be written.
    ReplayCache,
    /// The two sides saw different channels.
    ChannelBindings,
    /// One side gives no channel bindings, which are required.
    NoChannelBindings,
    /// Kerberos's configuration is missing or malformed.
    KerberosConfiguration,
    /// The acceptor refused without saying why.
    SeePeer,
    /// There is nobody to sign in as, or to let in, by the system's NTLM.
    NtlmUsers,
    /// The same by our own, which knows no winbind.
    OwnNtlmUsers,
    /// The variable that names NTLM's users is set and names none.
    EmptyUserFile,
    /// NTLM's password is not that of the account.
    NtlmPassword,
    /// The acceptor has no such account for NTLM.
    NtlmAccount,
    /// NTLM's messages were altered, or are not protected.
    NtlmUnprotected,
    /// The acceptor does not speak NTLMv2.
    NtlmVersion,
    /// The acceptor does not protect messages as it is asked to.
    NtlmProtection,
    /// The acceptor's CHALLENGE_MESSAGE is malformed.
    NtlmMalformed,
    /// The initiator was given the challenge of its own process.
    NtlmReflected,
    /// The initiator has asked for another acceptor, or for none.
    NtlmTarget,
    /// The initiator does not speak NTLMv2 with keys of 128 bits.
    NtlmClientVersion,
    /// The program ended a negotiation that takes more tokens.
    Abandoned,
    /// The mechanism list was altered on the way, or may have been.
    ListAltered,
    /// The peer has no mechanism in common with this side.
    NothingInCommon,
    /// The configuration of this library forbids it.
    Policy,
    /// A mechanism is used without a negotiation, which the configuration does not have.
    NotNegotiated,
    /// The mechanism is not installed.
    NotInstalled,
}

impl Trouble {
    /// The trouble behind a mechanism's failure: its major status, its minor code and its words.
    ///
    /// The words tell which file a message of Kerberos is about, and choose among the reasons for
    /// which a service is unknown: what a KDC or a peer puts into them can give a wrong piece of
    /// advice, and no more.
    pub fn of(mech: &Oid, role: Role, major: Major, minor: u32, words: &str) -> Option<Self> {
        // Kerberos has no error code for it.
        if major & major::ROUTINE_ERRORS == major::BAD_BINDINGS {
            return Some(Self::ChannelBindings);
        }
        if mech.is_krb5() || *mech == oid::IAKERB {
            let expired = major & major::ROUTINE_ERRORS == major::CREDENTIALS_EXPIRED;
            let expired = expired.then_some(Self::TicketExpired(role));
            return Self::of_kerberos(minor, role, words).or(expired);
        }
        if *mech == oid::NTLMSSP {
            return Self::of_ntlmssp(minor);
        }
        None
    }

    /// The trouble behind a code of Kerberos: of its protocol, its library or its GSS-API, or of
    /// the operating system.
    pub fn of_kerberos(minor: u32, role: Role, words: &str) -> Option<Self> {
        if let Some(number @ 0..256) = minor.checked_sub(KRB5_ERRORS) {
            return Self::of_krb5_error(number, role, words);
        }
        match (minor, role) {
            (KG_EMPTY_CCACHE | KG_TGT_MISSING | KG_CCACHE_NOMATCH, _) => Some(Self::NoTicket),
            (KG_KEYTAB_NOMATCH, _) => Some(Self::Keytab),
            (EACCES | EPERM | ENOENT, Role::Acceptor) if words.contains("(filename: ") => {
                Some(Self::ReplayCache)
            }
            (EACCES | EPERM | ENOENT, Role::Acceptor) => Some(keytab(words)),
            (EACCES | EPERM, Role::Initiator) => unreadable_cache(words),
            // Of Heimdal, whose ticket cache is not there.
            (ENOENT, Role::Initiator) => Some(Self::NoTicket),
            _ => None,
        }
    }

    /// The trouble behind an error of the table `krb5`, which MIT's library and Heimdal's share: up
    /// to 127 it is the protocol's (RFC 4120 section 7.5.9).
    fn of_krb5_error(number: u32, role: Role, words: &str) -> Option<Self> {
        let unknown_service = || {
            if names_address(words) {
                Self::AddressTarget
            } else if words.contains(" krbtgt/") {
                Self::NoTrust
            } else {
                Self::UnknownService
            }
        };
        Some(match number {
            141 | 195 => unreadable_cache(words).unwrap_or(Self::NoTicket),
            193 | 194 => unreadable_cache(words)?,
            199 | 212 => Self::CacheMalformed,
            32 => Self::TicketExpired(role),
            33 | 37 | 148 => Self::ClockSkew,
            6 => Self::UnknownUser,
            7 | 216 => unknown_service(),
            68 | 154 | 217 | 224 => Self::UnknownRealm,
            155 | 156 => Self::KdcUnreachable,
            14 | 150 | 188 | 200 | 236 | 237 => Self::EncryptionType(role),
            221 => Self::NotForwardable,
            12 | 13 => Self::KdcPolicy,
            24 => Self::WrongPassword,
            23 => Self::PasswordExpired,
            1 | 18 => Self::AccountRevoked,
            31 | 41 => Self::WrongKey(role),
            44 | 230 => Self::KeyVersion(role),
            35 | 45 => Self::NoKey(role),
            34 | 163 => Self::Replay(role),
            162 | 164 | 169..=172 => Self::ReplayCache,
            135 | 136 => Self::KerberosConfiguration,
            181 => keytab(words),
            60 if role == Role::Initiator => Self::SeePeer,
            _ => return None,
        })
    }

    /// The trouble behind a code of gss-ntlmssp.
    fn of_ntlmssp(minor: u32) -> Option<Self> {
        match minor.checked_sub(NTLMSSP_ERRORS)? {
            17..=19 | 22 | 29 => Some(Self::NtlmUsers),
            24 => Some(Self::ChannelBindings),
            25 => Some(Self::ClockSkew),
            _ => None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Role::{Acceptor, Initiator};
        f.write_str(match self {
            Self::CacheUnreadable(file) => {
                return write!(
                    f,
                    "let this user read the ticket cache {}, or run kinit as this user",
                    file.display()
                );
            }
            Self::KeytabMissing(file) => {
                return write!(
                    f,
                    "there is no file {0}: export the service's keys into it (kadmin: ktadd -k \
                     {0} HTTP/HOST), or name another by KRB5_KTNAME or the server's configuration",
                    file.display()
                );
            }
            Self::KeytabUnreadable(file) => {
                return write!(
                    f,
                    "the user that the server runs as may not read {0}: make it that user's \
                     (chown, chmod 600), and its directories passable",
                    file.display()
                );
            }
            Self::CacheMalformed => {
                "remove the damaged ticket cache (kdestroy, or the file itself) and run kinit"
            }
            Self::NoTicket => "get a ticket: run kinit",
            Self::TicketExpired(Initiator) => {
                "get a new ticket: run kinit; and where it is the server that says so, compare its clock"
            }
            Self::TicketExpired(Acceptor) => {
                "have the client get a new ticket (kinit), and compare the clocks of both machines"
            }
            Self::ClockSkew => {
                "set the clocks of client, server and KDC by NTP: Kerberos allows a difference of \
                 5 minutes (clockskew in krb5.conf)"
            }
            Self::UnknownUser => {
                "check the user's name and realm (klist, default_realm in krb5.conf): the KDC has \
                 no such principal"
            }
            Self::UnknownService => {
                "call the server by the name that it is registered under, in full, or register \
                 this one (kadmin: addprinc -randkey, then ktadd into the server's keytab)"
            }
            Self::AddressTarget => {
                "call the server by its host name, not by its address: Kerberos knows services by \
                 name"
            }
            Self::NoTrust => {
                "tell krb5.conf which realm the host belongs to ([domain_realm]), or have the \
                 administrators of both realms agree on a trust: the KDC does not know that realm"
            }
            Self::UnknownRealm => {
                "tell krb5.conf where the realm's KDC is ([realms], or dns_lookup_kdc = true), and \
                 which realm the host belongs to ([domain_realm], default_realm)"
            }
            Self::KdcUnreachable => {
                "see that the realm's KDC runs, that krb5.conf names it rightly ([realms]), and \
                 that no firewall drops port 88"
            }
            Self::EncryptionType(Initiator) => {
                "allow an encryption type that the KDC and the service's key have: see \
                 permitted_enctypes in krb5.conf and kadmin's getprinc of the service"
            }
            Self::EncryptionType(Acceptor) => {
                "allow the ticket's encryption type on the server (permitted_enctypes in \
                 krb5.conf), or give the service keys of a type that is allowed (kadmin: ktadd)"
            }
            Self::NotForwardable => {
                "get a ticket that can be forwarded: run kinit -f, and see that klist -f shows an F"
            }
            Self::LargeToken => {
                "where a server answers 400 or 431, have it take larger header fields (Apache: \
                 LimitRequestFieldSize), or have the user be in fewer groups"
            }
            Self::KdcPolicy => {
                "ask the realm's administrator: the KDC's log says which rule refused the request"
            }
            Self::WrongPassword => "check the password",
            Self::PasswordExpired => "set a new password: run kpasswd",
            Self::AccountRevoked => {
                "ask the realm's administrator: the account is locked or has expired"
            }
            Self::WrongKey(Acceptor) => {
                "the keytab's key is not the KDC's: export it again (kadmin: ktadd), and have \
                 clients drop old tickets (kdestroy, kinit)"
            }
            Self::WrongKey(Initiator) => {
                "the server cannot decrypt the ticket, and its log says why: as a rule its keytab \
                 is out of date, and its administrator exports the keys again (kadmin: ktadd)"
            }
            Self::KeyVersion(Acceptor) => {
                "compare klist -kte of the keytab with kvno of the service: export the key again \
                 (kadmin: ktadd) where the keytab is older, or have the client run kdestroy and \
                 kinit where the ticket is"
            }
            Self::KeyVersion(Initiator) => {
                "run kdestroy and kinit in case the ticket is out of date; else the server's \
                 keytab is, and its administrator exports the key again (kadmin: ktadd)"
            }
            Self::NoKey(Acceptor) => {
                "add the key of the service that the client asks for to the keytab (kadmin: \
                 ktadd), or have clients use the host name that the keytab has a key for (klist \
                 -k)"
            }
            Self::NoKey(Initiator) => {
                "the server's keytab has no key for this name: use the host name that it is \
                 registered under, or have its administrator add the key (kadmin: ktadd)"
            }
            Self::Keytab => {
                "export the service's keys into the keytab (kadmin: ktadd), and look at what is \
                 in it (klist -kte)"
            }
            Self::Replay(Acceptor) => {
                "have the client try again; if each attempt fails, something in between sends \
                 requests twice, or several services share one replay cache (KRB5RCACHENAME)"
            }
            Self::Replay(Initiator) => {
                "try again; if each attempt fails, something in between sends requests twice"
            }
            Self::ReplayCache => {
                "let the user that the server runs as write its replay cache (KRB5RCACHEDIR, \
                 KRB5RCACHENAME)"
            }
            Self::ChannelBindings => {
                "client and server see different TLS connections: take out what ends TLS in \
                 between, or have the server ask for no channel bindings"
            }
            Self::NoChannelBindings => {
                "have the client be a program that gives channel bindings, and use TLS; or require none"
            }
            Self::KerberosConfiguration => "repair krb5.conf (or the file that KRB5_CONFIG names)",
            Self::SeePeer => {
                "the peer keeps the reason to itself: look into its log, or its trace (GSS_SPNEGO_TRACE)"
            }
            Self::NtlmUsers => {
                "name a file with a line DOMAIN:user:password by NTLM_USER_FILE, or let winbind run"
            }
            Self::EmptyUserFile => {
                "have NTLM_USER_FILE name a file with a line DOMAIN:user:password, or unset it"
            }
            Self::OwnNtlmUsers => "name a file with a line DOMAIN:user:password by NTLM_USER_FILE",
            Self::NtlmPassword => {
                "have the user correct the password, or correct the one in the server's NTLM_USER_FILE"
            }
            Self::NtlmAccount => "add the user to the server's NTLM_USER_FILE, or have another one sign in",
            Self::NtlmUnprotected => {
                "use a client that sends a MIC (Windows since Vista does), and look for a proxy \
                 that rewrites the header"
            }
            Self::NtlmVersion => {
                "have the server speak NTLMv2 (update it, or what it leaves NTLM to), or sign in \
                 by Kerberos (kinit); look for a proxy that rewrites the header if it does"
            }
            Self::NtlmProtection => {
                "have the server offer to sign and to encrypt with keys of 128 bits, or sign in by \
                 Kerberos (kinit); look for a proxy that rewrites the header if it does"
            }
            Self::NtlmMalformed => {
                "update the server, or what it leaves NTLM to, or sign in by Kerberos (kinit); look \
                 for a proxy that rewrites the header (spnego decode shows the message)"
            }
            Self::NtlmReflected => {
                "do not trust what answers under that name; a program that means to sign in to \
                 itself asks for a name of its own machine (man gss-spnego, NTLM)"
            }
            Self::NtlmTarget => {
                "have the client ask for a name of this server; if it was one, write it into the \
                 machine's line of /etc/hosts, or have the program accept for it (man gss-spnego, \
                 NTLM)"
            }
            Self::NtlmClientVersion => {
                "use a client that speaks NTLMv2 and has not been told to do with less"
            }
            Self::Abandoned => {
                "in HTTP, have the server keep the negotiation with the connection (Apache: \
                 GssapiConnectionBound On, KeepAlive On), and see why the client has ended it"
            }
            Self::ListAltered => {
                "look for a proxy in between that rewrites the Negotiate header, and use TLS up \
                 to the server"
            }
            Self::NothingInCommon => {
                "allow one of the offered mechanisms here, or have the client get a ticket \
                 (kinit) so that it offers Kerberos"
            }
            Self::Policy => {
                "correct the configuration there, if this is not meant (man gss-spnego; spnego doctor)"
            }
            Self::NotNegotiated => {
                "have the program or its peer use SPNEGO, or correct the configuration there, if \
                 this is not meant (man gss-spnego)"
            }
            Self::NotInstalled => "install the mechanism, or its line in /etc/gss/mech.d",
        })
    }
}

/// A mechanism's words, and what to do about it after them.
pub fn advised(words: String, trouble: Option<&Trouble>) -> String {
    match trouble {
        Some(trouble) => format!("{words}; {trouble}"),
        None => words,
    }
}

/// An error of the table `krb5` by its number.
pub const fn krb5_error(number: u32) -> u32 {
    KRB5_ERRORS + number
}

/// What is wrong with the keytab that a message of MIT's library names. It says "nonexistent or
/// empty" of one that may not be read, too, and so the file is asked.
fn keytab(words: &str) -> Trouble {
    let Some(file) = named_file(words) else {
        return Trouble::Keytab;
    };
    match obstacle(file) {
        Some(ErrorKind::NotFound) => Trouble::KeytabMissing(file.to_owned()),
        Some(ErrorKind::PermissionDenied) => Trouble::KeytabUnreadable(file.to_owned()),
        _ => Trouble::Keytab,
    }
}

/// The ticket cache that a message of MIT's library names, when this user may not read it.
fn unreadable_cache(words: &str) -> Option<Trouble> {
    let file = named_file(words)?;
    (obstacle(file)? == ErrorKind::PermissionDenied)
        .then(|| Trouble::CacheUnreadable(file.to_owned()))
}

/// Why this process cannot read a file. Nothing else is opened: the words may be a KDC's, and there
/// are devices for which being opened is a command.
fn obstacle(file: &Path) -> Option<ErrorKind> {
    match fs::metadata(file) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return None,
        Err(error) => return Some(error.kind()),
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file);
    opened.err().map(|error| error.kind())
}

/// The file in "Keytab FILE:/path is nonexistent or empty", "Key table file '/path' not found",
/// "(default cache: FILE:/path)" and "(filename: /path)", and in Heimdal's "keytab /path open
/// failed" and "get-principal lstat(/path)".
fn named_file(words: &str) -> Option<&Path> {
    const FORMS: [(&str, &str); 6] = [
        ("Keytab FILE:", " is nonexistent"),
        ("Key table file '", "' not found"),
        ("default cache: FILE:", ")"),
        ("filename: ", ")"),
        ("keytab ", " open failed"),
        (" lstat(", ")"),
    ];
    FORMS.into_iter().find_map(|(before, after)| {
        let (_, rest) = words.split_once(before)?;
        let (path, _) = rest.split_once(after)?;
        let path = Path::new(path);
        path.is_absolute().then_some(path)
    })
}

/// Whether a message is about a principal of an address: "Server HTTP/192.0.2.1@EXAMPLE.ORG not
/// found".
fn names_address(words: &str) -> bool {
    words.split(' ').any(|word| {
        let instance = word.split_once('/').map(|(_, instance)| instance);
        let host = instance.map(|instance| instance.split('@').next().unwrap_or(instance));
        host.is_some_and(|host| host.parse::<IpAddr>().is_ok())
    })
}

/// ERROR_TABLE_BASE_krb5, -1765328384 as an OM_uint32.
const KRB5_ERRORS: u32 = 0u32.wrapping_sub(1_765_328_384);

/// The table `k5g` of MIT's GSS-API, from its base 39756032.
const KG_CCACHE_NOMATCH: u32 = 39_756_032;
const KG_KEYTAB_NOMATCH: u32 = KG_CCACHE_NOMATCH + 1;
const KG_TGT_MISSING: u32 = KG_CCACHE_NOMATCH + 2;
const KG_EMPTY_CCACHE: u32 = KG_CCACHE_NOMATCH + 12;

/// ERR_BASE of gss-ntlmssp, "NT" and two zeros.
const NTLMSSP_ERRORS: u32 = 0x4e54_0000;

/// Of Linux.
const EPERM: u32 = 1;
const ENOENT: u32 = 2;
const EACCES: u32 = 13;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::major;

    fn of_krb5(number: u32, role: Role, words: &str) -> Option<Trouble> {
        let minor = krb5_error(number);
        Trouble::of(&oid::KRB5, role, major::FAILURE, minor, words)
    }

    #[test]
    fn advice_follows_the_mechanisms_words() {
        let trouble = of_krb5(141, Role::Initiator, "");
        assert_eq!(
            advised(
                "No Kerberos credentials available".to_owned(),
                trouble.as_ref()
            ),
            "No Kerberos credentials available; get a ticket: run kinit"
        );
        assert_eq!(advised("as it is".to_owned(), None), "as it is");
    }

    #[test]
    fn the_same_code_calls_for_other_hands_at_the_other_side() {
        for number in [31, 32, 34, 35, 44, 236] {
            let [ours, theirs] =
                [Role::Initiator, Role::Acceptor].map(|role| of_krb5(number, role, ""));
            assert!(ours.is_some() && ours != theirs, "{number}");
        }
    }

    #[test]
    fn a_keytab_that_is_not_there_is_told_from_an_empty_one() {
        let words = "Keytab FILE:/nonexistent/keytab is nonexistent or empty";
        let missing = Trouble::KeytabMissing("/nonexistent/keytab".into());
        assert_eq!(of_krb5(181, Role::Acceptor, words), Some(missing));
        let words = "Keytab FILE:/dev/null is nonexistent or empty";
        assert_eq!(of_krb5(181, Role::Acceptor, words), Some(Trouble::Keytab));
        let words = "Keytab MEMORY:x is nonexistent or empty";
        assert_eq!(of_krb5(181, Role::Acceptor, words), Some(Trouble::Keytab));
    }

    #[test]
    fn an_address_is_told_from_an_unknown_name() {
        for (target, trouble) in [
            ("HTTP/192.0.2.1@EXAMPLE.ORG", Trouble::AddressTarget),
            ("HTTP/2001:db8::1@EXAMPLE.ORG", Trouble::AddressTarget),
            ("HTTP/www.example.org@EXAMPLE.ORG", Trouble::UnknownService),
            ("HTTP/192.0.2.1.example@X", Trouble::UnknownService),
        ] {
            let words = format!("Server {target} not found in Kerberos database");
            assert_eq!(of_krb5(7, Role::Initiator, &words), Some(trouble));
        }
    }

    #[test]
    fn codes_of_others_are_left_alone() {
        let of = |mech: &Oid, major, minor| Trouble::of(mech, Role::Initiator, major, minor, "");
        assert_eq!(of(&oid::NEGOEX, major::FAILURE, krb5_error(37)), None);
        assert_eq!(of(&oid::NTLMSSP, major::FAILURE, krb5_error(37)), None);
        assert_eq!(of(&oid::KRB5, major::FAILURE, 0), None);
        let bindings = Some(Trouble::ChannelBindings);
        assert_eq!(of(&oid::KRB5, major::BAD_BINDINGS, 0), bindings);
        let expired = Some(Trouble::TicketExpired(Role::Initiator));
        assert_eq!(of(&oid::KRB5, major::CREDENTIALS_EXPIRED, 0), expired);
        let users = Some(Trouble::NtlmUsers);
        assert_eq!(of(&oid::NTLMSSP, major::NO_CRED, 0x4e54_0012), users);
    }

    /// A KDC's words can name any file, and to open some of them is to do something.
    #[test]
    fn only_regular_files_that_words_name_are_opened() {
        let name = format!("gss-spnego-advice-{}", std::process::id());
        let socket = std::env::temp_dir().join(name);
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        // Opening it would fail.
        assert_eq!(obstacle(&socket), None);
        fs::remove_file(&socket).unwrap();
        assert_eq!(obstacle(&socket), Some(ErrorKind::NotFound));
        assert_eq!(obstacle(Path::new("/dev/null")), None);
        assert_eq!(obstacle(Path::new("/etc/passwd")), None);
    }
}

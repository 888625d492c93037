//! The ways in which Negotiate fails in practice, each made to fail for real between curl and
//! Apache: what the failing side prints, logs and traces, and what the doctor says, names the true
//! cause and what to do about it. The rows are `doc/troubleshooting.md`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use By::{Client, ClientTrace, Server, ServerTrace};
use Doctor::{Finds, IsBlind};
use spnego::advice::Trouble;
use spnego::role::Role;
use support::{Answer, Apache, Between, Curl, Environment, MechConfig, Realm, Side, Site};

/// One way to fail.
struct Row {
    /// The test that makes it.
    test: &'static str,
    /// What is wrong.
    wrong: &'static str,
    /// Who says what, and what to do about it: `*` is any text.
    said: Vec<(By, &'static str, Trouble)>,
    /// What `spnego doctor` says.
    doctor: Doctor,
}

/// What `spnego doctor` says of it.
enum Doctor {
    /// A finding, and in it or on the next line what to do.
    Finds(&'static str, String),
    /// Nothing, and why.
    IsBlind(&'static str),
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// curl with `--verbose`, and the trace of the plugin in it.
    Client,
    /// Apache's error log, and the trace of the plugin in it.
    Server,
    /// The client's trace alone.
    ClientTrace,
    /// The server's trace alone.
    ServerTrace,
}

fn rows() -> Vec<Row> {
    let row = |test, wrong, said: &[_], doctor| Row {
        test,
        wrong,
        said: said.to_vec(),
        doctor,
    };
    let finds = |words, trouble: Trouble| Finds(words, trouble.to_string());
    use Role::{Acceptor, Initiator};
    vec![
        row(
            "no_ticket",
            "there is no ticket",
            &[(
                Client,
                "krb5: No Kerberos credentials available (default cache: FILE:*)",
                Trouble::NoTicket,
            )],
            finds(
                "fault *no ticket to sign in with: No Kerberos credentials available (default cache: FILE:*)",
                Trouble::NoTicket,
            ),
        ),
        row(
            "ticket_cache_of_another_user",
            "the ticket cache is another user's, as after su",
            &[(
                Client,
                "krb5: No Kerberos credentials available: Credentials cache permissions incorrect (filename: *)",
                Trouble::CacheUnreadable("*".into()),
            )],
            finds(
                "warning *the ticket cache * cannot be read: Permission denied",
                Trouble::CacheUnreadable("*".into()),
            ),
        ),
        row(
            "damaged_ticket_cache",
            "the ticket cache is damaged",
            &[(
                Client,
                "krb5: No Kerberos credentials available: Bad format in credentials cache (filename: *)",
                Trouble::CacheMalformed,
            )],
            Finds(
                "* is no ticket cache, or a damaged one",
                "run kdestroy, then kinit".to_owned(),
            ),
        ),
        row(
            "expired_ticket",
            "the ticket has expired",
            &[(
                Client,
                "krb5: Ticket expired",
                Trouble::TicketExpired(Initiator),
            )],
            finds(
                "fault *the tickets in FILE:* have expired",
                Trouble::TicketExpired(Initiator),
            ),
        ),
        row(
            "clock_skew_between_client_and_server",
            "the clocks of client and server differ",
            &[
                (Server, "krb5: Clock skew too great", Trouble::ClockSkew),
                (Client, "krb5: Clock skew too great", Trouble::ClockSkew),
            ],
            finds("fault *the clock of the KDC *", Trouble::ClockSkew),
        ),
        row(
            "clock_skew_between_client_and_kdc",
            "the clocks of client and KDC differ",
            &[(Client, "krb5: Clock skew too great", Trouble::ClockSkew)],
            finds("fault *the clock of the KDC *", Trouble::ClockSkew),
        ),
        row(
            "server_that_lives_in_the_past",
            "the server's clock is behind the ticket's beginning",
            &[
                (Server, "krb5: Ticket not yet valid", Trouble::ClockSkew),
                (Client, "krb5: Ticket not yet valid", Trouble::ClockSkew),
            ],
            finds("fault *the clock of the KDC *", Trouble::ClockSkew),
        ),
        row(
            "server_that_lives_in_the_future",
            "the server's clock is beyond the ticket's end",
            &[
                (
                    Server,
                    "krb5: Ticket expired",
                    Trouble::TicketExpired(Acceptor),
                ),
                (
                    Client,
                    "krb5: Ticket expired",
                    Trouble::TicketExpired(Initiator),
                ),
            ],
            finds("fault *the clock of the KDC *", Trouble::ClockSkew),
        ),
        row(
            "unknown_service",
            "the KDC does not know the server by this name",
            &[(
                Client,
                "krb5: Server HTTP/*@SPNEGO.TEST not found in Kerberos database",
                Trouble::UnknownService,
            )],
            finds(
                "fault *krb5 of MIT krb5 to *: Server HTTP/*@SPNEGO.TEST not found in Kerberos database",
                Trouble::UnknownService,
            ),
        ),
        row(
            "address_instead_of_a_name",
            "the server is called by its address",
            &[(
                Client,
                "krb5: Server HTTP/127.0.0.1@SPNEGO.TEST not found in Kerberos database",
                Trouble::AddressTarget,
            )],
            finds("warning *127.0.0.1 is an address", Trouble::AddressTarget),
        ),
        row(
            "host_of_a_realm_without_trust",
            "the host belongs, or seems to belong, to a realm that is not trusted",
            &[(
                Client,
                "krb5: Server krbtgt/*@SPNEGO.TEST not found in Kerberos database",
                Trouble::NoTrust,
            )],
            finds(
                "fault *krb5 of MIT krb5 to *: Server krbtgt/*@SPNEGO.TEST not found in Kerberos database",
                Trouble::NoTrust,
            ),
        ),
        row(
            "realm_without_a_known_kdc",
            "krb5.conf names no KDC",
            &[(
                Client,
                "krb5: Cannot find KDC for realm \"SPNEGO.TEST\"",
                Trouble::UnknownRealm,
            )],
            finds(
                "fault *krb5 of MIT krb5 to *: Cannot find KDC for realm",
                Trouble::UnknownRealm,
            ),
        ),
        row(
            "kdc_that_does_not_answer",
            "no KDC answers",
            &[(
                Client,
                "krb5: Cannot contact any KDC for realm 'SPNEGO.TEST'",
                Trouble::KdcUnreachable,
            )],
            finds(
                "the KDC * of SPNEGO.TEST does not tell the time",
                Trouble::KdcUnreachable,
            ),
        ),
        row(
            "malformed_krb5_conf",
            "krb5.conf is malformed",
            &[(
                Client,
                "Improper format of Kerberos configuration file",
                Trouble::KerberosConfiguration,
            )],
            finds(
                "fault *krb5.conf (or the file that KRB5_CONFIG names) cannot be used",
                Trouble::KerberosConfiguration,
            ),
        ),
        row(
            "keytab_missing",
            "the keytab is not there",
            &[(
                ServerTrace,
                "Keytab FILE:* is nonexistent or empty",
                Trouble::KeytabMissing("*".into()),
            )],
            finds(
                "no keys to accept sign-ins with: *: No such file or directory",
                Trouble::KeytabMissing("*".into()),
            ),
        ),
        row(
            "keytab_unreadable_to_the_servers_user",
            "the server's user may not read the keytab",
            &[(
                ServerTrace,
                "Keytab FILE:* is nonexistent or empty",
                Trouble::KeytabUnreadable("*".into()),
            )],
            finds(
                "no keys to accept sign-ins with: *: Permission denied",
                Trouble::KeytabUnreadable("*".into()),
            ),
        ),
        row(
            "keytab_with_another_key",
            "the keytab has another key than the KDC",
            &[
                (
                    Server,
                    "krb5: Request ticket server HTTP/*@SPNEGO.TEST kvno * enctype * found in keytab but cannot decrypt ticket",
                    Trouble::WrongKey(Acceptor),
                ),
                (
                    Client,
                    "krb5: Decrypt integrity check failed",
                    Trouble::WrongKey(Initiator),
                ),
            ],
            finds(
                "fault *signing in to * here, with the keytab: *found in keytab but cannot decrypt ticket",
                Trouble::WrongKey(Acceptor),
            ),
        ),
        row(
            "keytab_with_an_old_key",
            "the keytab's key is older than the ticket",
            &[
                (
                    Server,
                    "krb5: Request ticket server *@SPNEGO.TEST kvno * not found in keytab; keytab is likely out of date",
                    Trouble::KeyVersion(Acceptor),
                ),
                (
                    Client,
                    "krb5: Key version is not available",
                    Trouble::KeyVersion(Initiator),
                ),
            ],
            finds(
                "fault *signing in to * here, with the keytab: *keytab is likely out of date",
                Trouble::KeyVersion(Acceptor),
            ),
        ),
        row(
            "ticket_for_an_old_key",
            "the ticket is older than the keytab's key",
            &[
                (
                    Server,
                    "krb5: Request ticket server *@SPNEGO.TEST kvno * not found in keytab; ticket is likely out of date",
                    Trouble::KeyVersion(Acceptor),
                ),
                (
                    Client,
                    "krb5: Key version is not available",
                    Trouble::KeyVersion(Initiator),
                ),
            ],
            finds(
                "fault *signing in to * here, with the keytab: *ticket is likely out of date",
                Trouble::KeyVersion(Acceptor),
            ),
        ),
        row(
            "keytab_without_the_services_name",
            "the keytab has no key for the name that the client uses",
            &[
                (
                    Server,
                    "krb5: Request ticket server HTTP/*@SPNEGO.TEST not found in keytab",
                    Trouble::NoKey(Acceptor),
                ),
                (
                    Client,
                    "krb5: The ticket isn't for us",
                    Trouble::NoKey(Initiator),
                ),
            ],
            finds(
                "warning * has no key of HTTP/localhost@SPNEGO.TEST",
                Trouble::NoKey(Acceptor),
            ),
        ),
        row(
            "encryption_type_not_permitted_by_the_server",
            "the server does not permit the ticket's encryption type",
            &[
                (
                    Server,
                    "krb5: Request ticket server HTTP/*@SPNEGO.TEST kvno * enctype * found in keytab but cannot decrypt ticket",
                    Trouble::EncryptionType(Acceptor),
                ),
                (
                    Client,
                    "krb5: Decrypt integrity check failed",
                    Trouble::WrongKey(Initiator),
                ),
            ],
            finds(
                "fault *krb5 of MIT krb5 to *: No credentials found with supported encryption types",
                Trouble::EncryptionType(Initiator),
            ),
        ),
        row(
            "encryption_type_not_permitted_by_the_client",
            "the client permits no encryption type of the KDC's",
            &[(
                Client,
                "krb5: No credentials found with supported encryption types (filename: *)",
                Trouble::EncryptionType(Initiator),
            )],
            finds(
                "fault *krb5 of MIT krb5 to *: No credentials found with supported encryption types",
                Trouble::EncryptionType(Initiator),
            ),
        ),
        row(
            "replayed_authenticator",
            "a request is sent twice, by somebody in between or by an attacker",
            &[
                (
                    Server,
                    "krb5: Request is a replay",
                    Trouble::Replay(Acceptor),
                ),
                (
                    Client,
                    "krb5: Request is a replay",
                    Trouble::Replay(Initiator),
                ),
            ],
            IsBlind("a replay is seen by the server that it comes to, and by nobody before"),
        ),
        row(
            "replay_cache_that_cannot_be_written",
            "the server's user may not write the replay cache",
            &[
                (
                    Server,
                    "krb5: No such file or directory (filename: *)",
                    Trouble::ReplayCache,
                ),
                (Client, "krb5: Generic error (see e-text)", Trouble::SeePeer),
            ],
            finds(
                "fault *signing in to * here, with the keytab: No such file or directory (filename: *)",
                Trouble::ReplayCache,
            ),
        ),
        row(
            "delegation_with_a_ticket_that_cannot_be_forwarded",
            "the server needs a delegated ticket, and the client's cannot be forwarded",
            &[(
                ClientTrace,
                "krb5: nothing is delegated, though it was asked for",
                Trouble::NotForwardable,
            )],
            finds(
                "note *krbtgt/SPNEGO.TEST@SPNEGO.TEST cannot be forwarded",
                Trouble::NotForwardable,
            ),
        ),
        row(
            "header_larger_than_the_server_takes",
            "the token is larger than the server's header fields",
            &[(
                ClientTrace,
                "krb5: a token of * octets, more than most servers take in a header field of HTTP",
                Trouble::LargeToken,
            )],
            IsBlind(
                "how much a server takes is in its own configuration; the doctor shows the size of the token",
            ),
        ),
        row(
            "ntlm_over_a_connection_that_is_not_kept",
            "the server does not keep the negotiation with the connection",
            &[(
                ServerTrace,
                "ntlmssp: given up by the program while the initiator's next token was to come",
                Trouble::Abandoned,
            )],
            IsBlind("how a server keeps its connections is in its own configuration"),
        ),
        row(
            "no_mechanism_in_common",
            "the client offers no mechanism that the server accepts",
            &[
                (
                    Server,
                    "ntlmssp: offered by the initiator, not accepted here",
                    Trouble::NothingInCommon,
                ),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            IsBlind("what a server accepts, it alone knows"),
        ),
        row(
            "ntlm_without_a_user_file",
            "NTLM has nobody to sign in as",
            &[(
                Client,
                "ntlmssp: not configured: NTLM_USER_FILE is not set",
                Trouble::OwnNtlmUsers,
            )],
            finds("NTLM_USER_FILE is not set", Trouble::OwnNtlmUsers),
        ),
        row(
            "ntlm_with_an_empty_user_file_variable",
            "NTLM_USER_FILE is set to nothing",
            &[(
                Client,
                "ntlmssp: no user: NTLM_USER_FILE is set and names no file",
                Trouble::EmptyUserFile,
            )],
            finds(
                "NTLM_USER_FILE is set and names no file",
                Trouble::EmptyUserFile,
            ),
        ),
        row(
            "ntlm_with_a_missing_user_file",
            "NTLM's user file is not there",
            &[(
                Client,
                "ntlmssp: *: No such file or directory",
                Trouble::OwnNtlmUsers,
            )],
            finds(
                "NTLM_USER_FILE names */nonexistent: No such file or directory",
                Trouble::OwnNtlmUsers,
            ),
        ),
        row(
            "server_without_ntlm_users",
            "the server has nobody to let in by NTLM",
            &[
                (
                    ServerTrace,
                    "ntlmssp: dropped: not configured: NTLM_USER_FILE is not set",
                    Trouble::OwnNtlmUsers,
                ),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            finds("NTLM_USER_FILE is not set", Trouble::OwnNtlmUsers),
        ),
        row(
            "ntlm_with_a_wrong_password",
            "NTLM's password is wrong",
            &[
                (
                    Server,
                    "ntlmssp: wrong password for *",
                    Trouble::NtlmPassword,
                ),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            IsBlind("a password is compared by the server, and by nobody before"),
        ),
        row(
            "ntlm_user_that_nobody_knows",
            "the server does not know NTLM's user",
            &[
                (Server, "ntlmssp: no account for *", Trouble::NtlmAccount),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            IsBlind("a user is looked up by the server, and by nobody before"),
        ),
        row(
            "ntlm_for_another_server",
            "a client of NTLM wanted another server, or calls this one by a name that it does not know, and the server's configuration requires its own",
            &[
                (
                    Server,
                    "ntlmssp: the initiator has asked for another service than this one, which is required by require (line 1 of *)",
                    Trouble::NtlmTarget,
                ),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            IsBlind("what a client asks for is known when it has come"),
        ),
        row(
            "ntlm_that_does_not_sign",
            "the server's NTLM offers less than is needed",
            &[(
                Client,
                "ntlmssp: the acceptor does not offer what is needed for NTLMv2 and the protection asked for: NTLMSSP_NEGOTIATE_SIGN",
                Trouble::NtlmProtection,
            )],
            IsBlind("what another server offers is told by itself"),
        ),
        row(
            "plugin_that_is_not_there",
            "the line of configuration names a library that is not there: the built-in SPNEGO is at work",
            &[],
            Finds(
                "fault *line 1 of * names /nonexistent/gss_spnego.so, which does not exist: MIT krb5 passes over it without a word",
                "remove that line, or install /nonexistent/gss_spnego.so".to_owned(),
            ),
        ),
        row(
            "ntlm_refused_by_the_clients_policy",
            "a rule of the client's configuration forbids NTLM",
            &[(
                Client,
                "ntlmssp: not allowed by rule 1 (line 1 of *)",
                Trouble::Policy,
            )],
            finds(
                "fault *spnego of MIT krb5 to *: *ntlmssp: not allowed by rule 1 (line 1 of *)",
                Trouble::Policy,
            ),
        ),
        row(
            "ntlm_refused_by_the_servers_policy",
            "the server's configuration forbids NTLM",
            &[
                (Server, "ntlmssp: *", Trouble::NothingInCommon),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            finds(
                "note *for a service, ntlmssp is not allowed by *",
                Trouble::Policy,
            ),
        ),
        row(
            "ntlm_without_spnego_refused_by_policy",
            "the client sends NTLM without SPNEGO, and the server's configuration restricts it",
            &[(
                Server,
                "ntlmssp: not allowed without SPNEGO, which protects the choice of it over krb5, by downgrade (line 1 of *)",
                Trouble::NotNegotiated,
            )],
            IsBlind("it does not see what clients send; what is forbidden altogether it tries"),
        ),
        row(
            "fallback_refused_by_policy",
            "Kerberos fails, and the configuration forbids that NTLM takes its place",
            &[(
                Client,
                "krb5: No Kerberos credentials available (default cache: FILE:*)",
                Trouble::NoTicket,
            )],
            finds(
                "fault *spnego of MIT krb5 to *: krb5: *; no other mechanism is taken in its place: kerberos_fallback (line 1 of *)",
                Trouble::NoTicket,
            ),
        ),
        row(
            "address_spared_by_policy",
            "the configuration spares Kerberos for addresses",
            &[(
                Client,
                "krb5: not tried, since the target is an IP address: kerberos_for_ip (line 1 of *)",
                Trouble::AddressTarget,
            )],
            finds(
                "fault *spnego of MIT krb5 to *: *krb5: not tried, since the target is an IP address: kerberos_for_ip (line 1 of *)",
                Trouble::AddressTarget,
            ),
        ),
        row(
            "channel_bindings_required_of_the_client",
            "the client's configuration requires channel bindings, which its program does not give",
            &[(
                Client,
                "krb5: the program gives no channel bindings, which are required by require (line 1 of *)",
                Trouble::NoChannelBindings,
            )],
            finds(
                "fault *spnego of MIT krb5 to *: krb5: the program gives no channel bindings, which are required by require (line 1 of *)",
                Trouble::NoChannelBindings,
            ),
        ),
        row(
            "channel_bindings_required_by_the_server",
            "the server's configuration requires channel bindings, which have not come: the client gives none, or somebody in between has ended TLS",
            &[(
                Server,
                "krb5: the program gives no channel bindings, which are required by require (line 1 of *)",
                Trouble::NoChannelBindings,
            )],
            finds(
                "fault *spnego of MIT krb5 to *: krb5: the program gives no channel bindings, which are required by require (line 1 of *)",
                Trouble::NoChannelBindings,
            ),
        ),
        row(
            "malformed_configuration",
            "the configuration of the plugin is malformed",
            &[(
                Client,
                "krb5: no mechanism is allowed while *:1:* ",
                Trouble::Policy,
            )],
            Finds(
                "fault *:1:*",
                "correct the line; man gss-spnego says what may stand there".to_owned(),
            ),
        ),
        row(
            "configuration_writable_by_others",
            "others may write the configuration of the plugin",
            &[(
                Client,
                "krb5: no mechanism is allowed while *: the configuration file is writable by others than its owner *",
                Trouble::Policy,
            )],
            Finds(
                "fault *: the configuration file is writable by others than its owner",
                "run chmod go-w on it".to_owned(),
            ),
        ),
        row(
            "mech_list_mic_altered_on_the_way",
            "somebody in between alters the mechListMIC",
            &[
                (
                    Server,
                    "mechListMIC does not verify, the list of mechanisms was altered on the way",
                    Trouble::ListAltered,
                ),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            IsBlind("who stands between the machines is on neither"),
        ),
        row(
            "kerberos_struck_from_the_offer_on_the_way",
            "somebody in between strikes Kerberos from the offer",
            &[
                (
                    Server,
                    "mechListMIC does not verify, the list of mechanisms was altered on the way",
                    Trouble::ListAltered,
                ),
                (
                    Client,
                    "the peer rejected the negotiation",
                    Trouble::SeePeer,
                ),
            ],
            IsBlind("who stands between the machines is on neither"),
        ),
    ]
}

impl Row {
    fn named(test: &str) -> Self {
        let row = rows().into_iter().find(|row| row.test == test);
        row.unwrap_or_else(|| panic!("no row {test}"))
    }

    /// Nobody has signed in, and everybody who is to say something says it: the cause and, behind
    /// it on the same line, the remedy.
    fn is_said(&self, answer: &Answer, apache: &Apache) {
        assert_eq!(answer.status, 401, "{answer:?}");
        self.is_said_anyhow(answer, apache);
    }

    /// The same, whatever HTTP says.
    fn is_said_anyhow(&self, answer: &Answer, apache: &Apache) {
        for (by, words, trouble) in &self.said {
            let texts = match by {
                Client => vec![answer.said.clone(), answer.trace.clone()],
                Server => vec![apache.log(), apache.trace()],
                ClientTrace => vec![answer.trace.clone()],
                ServerTrace => vec![apache.trace()],
            };
            let wanted = format!("{words}*; {trouble}");
            for text in texts {
                let found = text.lines().any(|line| matches(line, &wanted));
                assert!(found, "no '{wanted}', said by {by:?}, in:\n{text}");
            }
        }
    }
}

impl Row {
    /// The doctor, in the place of the client and of the service on its machine, names the cause,
    /// and what to do about it.
    fn doctor_finds(&self, client: &Curl, service: &str) {
        let Finds(words, remedy) = &self.doctor else {
            panic!("{} is not for the doctor", self.test);
        };
        let report = client.doctor(service);
        let lines: Vec<&str> = report.lines().collect();
        let told = |at: usize| lines[at..].iter().take(2).any(|line| matches(line, remedy));
        let found = (0..lines.len()).any(|at| matches(lines[at], words) && told(at));
        assert!(found, "no '{words} -> {remedy}' in:\n{report}");
    }
}

/// Whether the parts of a pattern between its stars are in the line, in their order.
fn matches(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    pattern.split('*').all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or(rest, |(_, after)| after);
        found.is_some()
    })
}

/// The realm and the row, or the end of the test.
macro_rules! begin {
    ($test:literal) => {
        match Realm::shared() {
            Some(realm) if support::web_can_be_tested() => (realm, Row::named($test)),
            _ => return,
        }
    };
}

/// A user file for NTLM.
const NTLM: &str = "SPNEGO:user:sesame\n";

#[test]
fn nothing_is_said_when_nothing_fails() {
    let (realm, _) = begin!("no_ticket");
    let apache = Site::new(realm).start();
    let answer = Curl::new(realm).get(&apache.url());
    assert_eq!(answer.status, 200, "{answer:?}\n{}", apache.log());
    for text in [answer.said, answer.trace, apache.log(), apache.trace()] {
        assert!(!text.contains("failed"), "{text}");
    }
    let ntlm = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    let answer = curl.get(&ntlm.url());
    assert_eq!(answer.status, 200, "{answer:?}\n{}", ntlm.log());
}

#[test]
fn each_row_has_its_test_and_each_test_its_row() {
    let source = include_str!("failures.rs");
    for row in rows() {
        let (name, mut tests) = (row.test, source.split("#[test]\n").skip(1));
        let test = tests.find(|test| test.trim_start().starts_with(&format!("fn {name}(")));
        let test = test.unwrap_or_else(|| panic!("no test {name}"));
        assert!(test.contains(&format!("begin!(\"{name}\")")), "{name}");
        let asks_doctor = test.contains("row.doctor_finds(");
        assert_eq!(asks_doctor, matches!(row.doctor, Finds(..)), "{name}");
    }
}

#[test]
fn the_documented_troubles_are_these() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/doc/troubleshooting.md");
    let made = document();
    if std::env::var_os("SPNEGO_ACCEPT_TROUBLES").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "doc/troubleshooting.md is not what tests/failures.rs makes; accept it with \
         SPNEGO_ACCEPT_TROUBLES=1 cargo test --test failures"
    );
}

fn document() -> String {
    let mut text = "# When Negotiate fails\n\n\
        Made by `tests/failures.rs`, which makes each of these happen between curl and Apache with\n\
        mod_auth_gssapi, the plugin in both, and finds the words and the remedy where the table says:\n\
        *client*: `curl --verbose`, and the trace of the plugin in it; *server*: Apache's error log, and\n\
        the trace of the plugin in it. A trace is written by `GSS_SPNEGO_TRACE=FILE`. `...` is what\n\
        differs from case to case. `spnego doctor` is asked in the place of the client, or of the\n\
        server.\n\n\
        | What is wrong | Who says it | Words | What to do |\n|---|---|---|---|\n"
        .to_owned();
    let shown = |words: &str| format!("`{}`", words.trim().replace('*', "..."));
    for row in rows() {
        let _ = match row.doctor {
            Finds(words, remedy) => {
                let remedy = remedy.replace('*', "FILE");
                let words = shown(words);
                writeln!(text, "| {} | doctor | {words} | {remedy} |", row.wrong)
            }
            IsBlind(why) => {
                writeln!(text, "| {} | not the doctor | | {why} |", row.wrong)
            }
        };
        for (by, words, trouble) in row.said {
            let by = match by {
                Client => "client",
                Server => "server",
                ClientTrace => "client's trace",
                ServerTrace => "server's trace",
            };
            let (words, trouble) = (shown(words), trouble.to_string().replace('*', "FILE"));
            let _ = writeln!(text, "| | {by} | {words} | {trouble} |");
        }
    }
    text
}

// ---------------------------------------------------------------- tickets

#[test]
fn no_ticket() {
    let (realm, row) = begin!("no_ticket");
    let apache = Site::new(realm).start();
    let answer = Curl::new(realm).without_tickets().get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(&Curl::new(realm).without_tickets(), "HTTP@localhost");
}

/// MIT's library up to 1.20 at least crashes here as often as not, when it is asked.
#[test]
fn ticket_cache_of_another_user() {
    let (realm, row) = begin!("ticket_cache_of_another_user");
    let apache = Site::new(realm).start();
    let cache = realm.cache("user");
    mode(&cache, 0o600);
    for _ in 0..4 {
        let curl = Curl::new(realm).cache(&cache).by_nobody();
        row.is_said(&curl.get(&apache.url()), &apache);
    }
    row.doctor_finds(
        &Curl::new(realm).cache(&cache).by_nobody(),
        "HTTP@localhost",
    );
}

#[test]
fn damaged_ticket_cache() {
    let (realm, row) = begin!("damaged_ticket_cache");
    let apache = Site::new(realm).start();
    let cache = support::scratch_file("damaged");
    for content in ["", "not a ticket cache"] {
        std::fs::write(&cache, content).unwrap();
        let curl = Curl::new(realm).cache(&cache);
        row.is_said(&curl.get(&apache.url()), &apache);
    }
    row.doctor_finds(&Curl::new(realm).cache(&cache), "HTTP@localhost");
}

#[test]
fn expired_ticket() {
    let (realm, row) = begin!("expired_ticket");
    let apache = Site::new(realm).start();
    let cache = realm.cache("user");
    support::expire_tickets(&cache);
    let answer = Curl::new(realm).cache(&cache).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(&Curl::new(realm).cache(&cache), "HTTP@localhost");
}

#[test]
fn clock_skew_between_client_and_server() {
    let (realm, row) = begin!("clock_skew_between_client_and_server");
    if !support::clocks_can_be_set() {
        return;
    }
    let apache = Site::new(realm).start();
    let answer = Curl::new(realm).at("+1h").get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(&Curl::new(realm).at("+1h"), "HTTP@localhost");
}

#[test]
fn clock_skew_between_client_and_kdc() {
    let (realm, row) = begin!("clock_skew_between_client_and_kdc");
    if !support::clocks_can_be_set() {
        return;
    }
    let apache = Site::new(realm).start();
    let curl = Curl::new(realm).cache(&realm.cache("bare")).at("+1h");
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&Curl::new(realm).at("+1h"), "HTTP@localhost");
}

#[test]
fn server_that_lives_in_the_past() {
    let (realm, row) = begin!("server_that_lives_in_the_past");
    if !support::clocks_can_be_set() {
        return;
    }
    let apache = Site::new(realm).at("-1d").start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(&Curl::new(realm).at("-1d"), "HTTP@localhost");
}

#[test]
fn server_that_lives_in_the_future() {
    let (realm, row) = begin!("server_that_lives_in_the_future");
    if !support::clocks_can_be_set() {
        return;
    }
    let apache = Site::new(realm).at("+1d").start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(&Curl::new(realm).at("+1d"), "HTTP@localhost");
}

// ---------------------------------------------------------------- names and realms

#[test]
fn unknown_service() {
    let (realm, row) = begin!("unknown_service");
    let apache = Site::new(realm).start();
    row.is_said(&called(realm, &apache, "www.spnego.test"), &apache);
    row.doctor_finds(&Curl::new(realm), "HTTP@www.spnego.test");
}

#[test]
fn address_instead_of_a_name() {
    let (realm, row) = begin!("address_instead_of_a_name");
    let apache = Site::new(realm).start();
    let url = apache.url().replace("localhost", "127.0.0.1");
    row.is_said(&Curl::new(realm).get(&url), &apache);
    row.doctor_finds(&Curl::new(realm), "HTTP@127.0.0.1");
}

#[test]
fn host_of_a_realm_without_trust() {
    let (realm, row) = begin!("host_of_a_realm_without_trust");
    let apache = Site::new(realm).start();
    let (this, that) = (
        ".spnego.test = SPNEGO.TEST",
        ".spnego.test = ELSEWHERE.TEST",
    );
    let curl = Curl::new(realm)
        .env("KRB5_CONFIG", configured(realm, this, that).display())
        .with(&["--connect-to", &format!("::localhost:{}", apache.port)]);
    row.is_said(&curl.get("http://peer.spnego.test/page"), &apache);
    row.doctor_finds(&curl, "HTTP@peer.spnego.test");
}

#[test]
fn realm_without_a_known_kdc() {
    let (realm, row) = begin!("realm_without_a_known_kdc");
    let apache = Site::new(realm).start();
    let without = configured(realm, " kdc = ", " no_kdc = ");
    let curl = Curl::new(realm)
        .env("KRB5_CONFIG", without.display())
        .cache(&realm.cache("bare"));
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

#[test]
fn kdc_that_does_not_answer() {
    let (realm, row) = begin!("kdc_that_does_not_answer");
    let apache = Site::new(realm).start();
    let gone = " kdc = 127.0.0.1:9\n old_kdc = 127.0.0.1:";
    let gone = configured(realm, " kdc = 127.0.0.1:", gone);
    let curl = Curl::new(realm)
        .env("KRB5_CONFIG", gone.display())
        .cache(&realm.cache("bare"));
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

#[test]
fn malformed_krb5_conf() {
    let (realm, row) = begin!("malformed_krb5_conf");
    let apache = Site::new(realm).start();
    let file = configured(realm, "[realms]", "[realms\n");
    let curl = Curl::new(realm).env("KRB5_CONFIG", file.display());
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

// ---------------------------------------------------------------- keytabs

/// mod_auth_gssapi acquires credentials for all mechanisms at once, and the library then tells the
/// error of the first, which is raw Kerberos: the remedy is in the trace alone.
#[test]
fn keytab_missing() {
    let (realm, row) = begin!("keytab_missing");
    let file = PathBuf::from("/nonexistent/http.keytab");
    let apache = Site::new(realm).keytab(&file).keytab_as_it_is().start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    let log = apache.log();
    let of_library =
        "failed to get server creds: *Keytab FILE:/nonexistent/http.keytab is nonexistent";
    assert!(log.lines().any(|line| matches(line, of_library)), "{log}");
    row.doctor_finds(
        &Curl::new(realm).env("KRB5_KTNAME", file.display()),
        "HTTP@localhost",
    );
}

/// The library's words are those for one that is missing, in the log as well.
#[test]
fn keytab_unreadable_to_the_servers_user() {
    let (realm, row) = begin!("keytab_unreadable_to_the_servers_user");
    let file = support::scratch_file("keytab");
    std::fs::copy(realm.keytab("service"), &file).unwrap();
    mode(&file, 0o600);
    let apache = Site::new(realm).keytab(&file).keytab_as_it_is().start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    let log = apache.log();
    let of_library = "failed to get server creds: *Keytab FILE:* is nonexistent or empty";
    assert!(log.lines().any(|line| matches(line, of_library)), "{log}");
    row.doctor_finds(
        &Curl::new(realm)
            .env("KRB5_KTNAME", file.display())
            .by_nobody(),
        "HTTP@localhost",
    );
}

#[test]
fn keytab_with_another_key() {
    let (realm, row) = begin!("keytab_with_another_key");
    let apache = Site::new(realm).keytab(&realm.keytab("wrong")).start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(
        &Curl::new(realm).env("KRB5_KTNAME", realm.keytab("wrong").display()),
        "HTTP@localhost",
    );
}

#[test]
fn keytab_with_an_old_key() {
    let (realm, row) = begin!("keytab_with_an_old_key");
    let old = keys(realm, "old/localhost");
    keys(realm, "old/localhost");
    let apache = Site::new(realm).keytab(&old).start();
    let curl = Curl::new(realm).with(&["--service-name", "old"]);
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl.env("KRB5_KTNAME", old.display()), "old@localhost");
}

#[test]
fn ticket_for_an_old_key() {
    let (realm, row) = begin!("ticket_for_an_old_key");
    keys(realm, "new/localhost");
    let cache = realm.cache("user");
    let name = format!("FILE:{}", cache.display());
    let variables = Environment::from([("KRB5CCNAME".to_owned(), name)]);
    realm.run("kvno", &["-q", "new/localhost"], &variables);
    let new = keys(realm, "new/localhost");
    let apache = Site::new(realm).keytab(&new).start();
    let curl = Curl::new(realm)
        .cache(&cache)
        .with(&["--service-name", "new"]);
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl.env("KRB5_KTNAME", new.display()), "new@localhost");
}

#[test]
fn keytab_without_the_services_name() {
    let (realm, row) = begin!("keytab_without_the_services_name");
    let other = keys(realm, "HTTP/named.spnego.test");
    let apache = Site::new(realm).keytab(&other).start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(
        &Curl::new(realm).env("KRB5_KTNAME", other.display()),
        "HTTP@localhost",
    );
}

/// The library's words are those for another key: the plugin asks it what it permits. The client
/// can only be told that the ticket was not decrypted.
#[test]
fn encryption_type_not_permitted_by_the_server() {
    let (realm, row) = begin!("encryption_type_not_permitted_by_the_server");
    let (both, one) = ("aes256-cts-hmac-sha1-96 aes128", "aes128");
    let both = format!("permitted_enctypes = {both}");
    let one = format!("permitted_enctypes = {one}");
    let aes128 = configured(realm, &both, &one);
    let apache = Site::new(realm)
        .env("KRB5_CONFIG", aes128.display())
        .start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(
        &Curl::new(realm).env("KRB5_CONFIG", aes128.display()),
        "HTTP@localhost",
    );
}

#[test]
fn encryption_type_not_permitted_by_the_client() {
    let (realm, row) = begin!("encryption_type_not_permitted_by_the_client");
    let aes = "permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96";
    let camellia = configured(realm, aes, "permitted_enctypes = camellia256-cts-cmac");
    let apache = Site::new(realm).start();
    let curl = Curl::new(realm)
        .env("KRB5_CONFIG", camellia.display())
        .cache(&realm.cache("bare"));
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

// ---------------------------------------------------------------- replays

#[test]
fn replayed_authenticator() {
    let (realm, row) = begin!("replayed_authenticator");
    let place = support::apache_directory("rcache");
    let apache = Site::new(realm)
        .env("KRB5RCACHENAME", "dfl:")
        .env("KRB5RCACHEDIR", place.display())
        .start();
    let first = Mutex::new(Vec::new());
    let between = Between::before(&apache, move |number, token| match number {
        1 => first.lock().unwrap().clone_from(token),
        _ => token.clone_from(&first.lock().unwrap()),
    });
    let answer = Curl::new(realm).get(&between.url());
    assert_eq!(answer.status, 200, "{answer:?} {}", apache.log());
    let answer = Curl::new(realm).get(&between.url());
    row.is_said(&answer, &apache);
}

#[test]
fn replay_cache_that_cannot_be_written() {
    let (realm, row) = begin!("replay_cache_that_cannot_be_written");
    let apache = Site::new(realm)
        .env("KRB5RCACHENAME", "dfl:")
        .env("KRB5RCACHEDIR", "/nonexistent")
        .start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(
        &Curl::new(realm)
            .env("KRB5RCACHENAME", "dfl:")
            .env("KRB5RCACHEDIR", "/nonexistent"),
        "HTTP@localhost",
    );
}

// ---------------------------------------------------------------- delegation and HTTP

/// The mechanism delegates nothing and succeeds, so no error has a text.
#[test]
fn delegation_with_a_ticket_that_cannot_be_forwarded() {
    let (realm, row) = begin!("delegation_with_a_ticket_that_cannot_be_forwarded");
    for (option, status) in [("-f", 200), ("-F", 401)] {
        let delegated = support::apache_directory("delegated");
        let apache = Site::new(realm)
            .with(&format!("GssapiDelegCcacheDir {}", delegated.display()))
            .require("expr \"%{REMOTE_USER} != '' && -n reqenv('KRB5CCNAME')\"")
            .start();
        let cache = support::scratch_file("delegable");
        kinit(
            realm,
            &realm.keytab("user"),
            &cache,
            &["-k", option, "user"],
        );
        let curl = Curl::new(realm).with(&["--delegation", "always"]);
        let curl = curl.cache(&cache);
        let answer = curl.get(&apache.url());
        assert_eq!(answer.status, status, "{answer:?} {}", apache.log());
        if status == 401 {
            row.is_said(&answer, &apache);
            row.doctor_finds(&curl, "HTTP@localhost");
        } else {
            assert!(!answer.trace.contains("delegated"), "{}", answer.trace);
        }
    }
}

/// A name of 1500 letters stands for the groups that a large ticket has in it elsewhere. Apache
/// refuses the request before any mechanism sees it.
#[test]
fn header_larger_than_the_server_takes() {
    let (realm, row) = begin!("header_larger_than_the_server_takes");
    let apache = Site::new(realm).start();
    let (cache, long) = (support::scratch_file("large"), "u".repeat(1500));
    kinit(realm, &keys(realm, &long), &cache, &["-k", "-f", &long]);
    let answer = Curl::new(realm).cache(&cache).get(&apache.url());
    assert_eq!(answer.status, 400, "{answer:?}");
    row.is_said_anyhow(&answer, &apache);
    let log = apache.log();
    let of_apache = "Request header exceeds LimitRequestFieldSize: Authorization";
    assert!(log.contains(of_apache), "{log}");
}

/// The module ends the negotiation and says why; no mechanism has failed, and curl is told nothing.
#[test]
fn ntlm_over_a_connection_that_is_not_kept() {
    let (realm, row) = begin!("ntlm_over_a_connection_that_is_not_kept");
    let apache = Site::new(realm)
        .with_ntlm(NTLM)
        .with("GssapiConnectionBound Off")
        .start();
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    row.is_said(&curl.get(&apache.url()), &apache);
    let log = apache.log();
    let of_module = "neither GssapiConnectionBound nor GssapiUseSessions are configured";
    assert!(log.contains(of_module), "{log}");
}

// ---------------------------------------------------------------- mechanisms

#[test]
fn no_mechanism_in_common() {
    let (realm, row) = begin!("no_mechanism_in_common");
    let apache = Site::new(realm).with("GssapiAllowedMech krb5").start();
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    row.is_said(&curl.get(&apache.url()), &apache);
}

#[test]
fn ntlm_without_a_user_file() {
    let (realm, row) = begin!("ntlm_without_a_user_file");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm).without_tickets().without("NTLM_USER_FILE");
    // Nothing is said of NTLM where nobody speaks of it.
    let unasked = curl.get(&apache.url());
    assert!(!unasked.said.contains("ntlmssp"), "{}", unasked.said);
    let curl = curl.env("GSS_SPNEGO_MECHS", "ntlmssp");
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(
        &Curl::new(realm).without("NTLM_USER_FILE"),
        "HTTP@localhost",
    );
}

#[test]
fn ntlm_with_an_empty_user_file_variable() {
    let (realm, row) = begin!("ntlm_with_an_empty_user_file_variable");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm).without_tickets().env("NTLM_USER_FILE", "");
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(
        &Curl::new(realm).env("NTLM_USER_FILE", ""),
        "HTTP@localhost",
    );
}

#[test]
fn ntlm_with_a_missing_user_file() {
    let (realm, row) = begin!("ntlm_with_a_missing_user_file");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm).without_tickets();
    row.is_said(
        &curl
            .env("NTLM_USER_FILE", "/nonexistent")
            .get(&apache.url()),
        &apache,
    );
    row.doctor_finds(
        &Curl::new(realm).env("NTLM_USER_FILE", "/nonexistent"),
        "HTTP@localhost",
    );
}

#[test]
fn server_without_ntlm_users() {
    let (realm, row) = begin!("server_without_ntlm_users");
    let apache = Site::new(realm).without("NTLM_USER_FILE").start();
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(
        &Curl::new(realm).without("NTLM_USER_FILE"),
        "HTTP@localhost",
    );
}

#[test]
fn ntlm_with_a_wrong_password() {
    let (realm, row) = begin!("ntlm_with_a_wrong_password");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm)
        .without_tickets()
        .with_ntlm("SPNEGO:user:wrong\n");
    row.is_said(&curl.get(&apache.url()), &apache);
}

#[test]
fn ntlm_user_that_nobody_knows() {
    let (realm, row) = begin!("ntlm_user_that_nobody_knows");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm)
        .without_tickets()
        .with_ntlm("SPNEGO:other:sesame\n");
    row.is_said(&curl.get(&apache.url()), &apache);
}

#[test]
fn ntlm_for_another_server() {
    let (realm, row) = begin!("ntlm_for_another_server");
    let apache = Site::new(realm)
        .with_ntlm(NTLM)
        .policy("require = ['target']\n")
        .start();
    let curl = || Curl::new(realm).without_tickets().with_ntlm(NTLM);
    let answer = curl().get(&apache.url());
    assert_eq!(answer.status, 200, "{answer:?} {}", apache.log());
    let to = format!("intranet.example:80:localhost:{}", apache.port);
    let answer = curl()
        .with(&["--connect-to", &to])
        .get("http://intranet.example/page");
    row.is_said(&answer, &apache);
}

/// As where the server has none: its answer has the flags that both sides have.
#[test]
fn ntlm_that_does_not_sign() {
    let (realm, row) = begin!("ntlm_that_does_not_sign");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let between = Between::before(&apache, |number, token| {
        if number == 1 {
            let message = token.windows(8).position(|at| at == b"NTLMSSP\0");
            token[message.unwrap() + 12] &= !0x10;
        }
    });
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    row.is_said(&curl.get(&between.url()), &apache);
}

// ---------------------------------------------------------------- the plugin itself

/// Who is not there says nothing: the missing trace is the sign.
#[test]
fn plugin_that_is_not_there() {
    let (realm, row) = begin!("plugin_that_is_not_there");
    let apache = Site::new(realm).start();
    let line = "spnego 2.25.4014056348 /nonexistent/gss_spnego.so - <interposer>\n";
    let mechs = support::scratch_file("mechs");
    std::fs::write(&mechs, line).unwrap();
    let curl = Curl::new(realm).env("GSS_MECH_CONFIG", mechs.display());
    assert_eq!(curl.get(&apache.url()).status, 200);
    let curl = curl.without_tickets();
    let answer = curl.get(&apache.url());
    let built_in = "SPNEGO cannot find mechanisms to negotiate";
    assert!(answer.said.contains(built_in), "{}", answer.said);
    assert_eq!(answer.trace, "");
    row.doctor_finds(&curl, "HTTP@localhost");
}

// ---------------------------------------------------------------- policy

#[test]
fn ntlm_refused_by_the_clients_policy() {
    let (realm, row) = begin!("ntlm_refused_by_the_clients_policy");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    let curl = curl.policy("[[rule]]\ntarget = 'HTTP@localhost'\nmechs = ['krb5']\n");
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

#[test]
fn ntlm_refused_by_the_servers_policy() {
    let (realm, row) = begin!("ntlm_refused_by_the_servers_policy");
    let apache = Site::new(realm)
        .with_ntlm(NTLM)
        .policy("ntlm = 'off'\n")
        .start();
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&Curl::new(realm).policy("ntlm = 'off'\n"), "HTTP@localhost");
}

/// The glue goes by the token, and past SPNEGO.
#[test]
fn ntlm_without_spnego_refused_by_policy() {
    let (realm, row) = begin!("ntlm_without_spnego_refused_by_policy");
    let mechs = MechConfig::new(Side::Ours).with_ntlm().write();
    let apache = Site::new(realm)
        .with_ntlm(NTLM)
        .with("GssapiAcceptorName HTTP@localhost")
        .env("GSS_MECH_CONFIG", mechs.display())
        .policy("downgrade = \"refuse\"\n")
        .start();
    let negotiate = "TlRMTVNTUAABAAAAFYIIogAAAAAAAAAAAAAAAAAAAAAGAQAAAAAADw==";
    let header = format!("Authorization: Negotiate {negotiate}");
    let raw = ["--no-negotiate", "-H", &header];
    let answer = Curl::new(realm).with(&raw).get(&apache.url());
    assert_eq!(answer.status, 401, "{answer:?}");
    row.is_said(&answer, &apache);
}

#[test]
fn fallback_refused_by_policy() {
    let (realm, row) = begin!("fallback_refused_by_policy");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    let curl = curl.policy("kerberos_fallback = false\n");
    let answer = curl.get(&apache.url());
    row.is_said(&answer, &apache);
    let who = "no other mechanism is taken in its place: kerberos_fallback (line 1 of ";
    assert!(answer.said.contains(who), "{}", answer.said);
    row.doctor_finds(&curl, "HTTP@localhost");
}

#[test]
fn address_spared_by_policy() {
    let (realm, row) = begin!("address_spared_by_policy");
    let apache = Site::new(realm).start();
    let url = apache.url().replace("localhost", "127.0.0.1");
    let curl = Curl::new(realm).policy("kerberos_for_ip = false\n");
    row.is_said(&curl.get(&url), &apache);
    row.doctor_finds(&curl, "HTTP@127.0.0.1");
}

/// Of curl, which gives none before version 8.10.
#[test]
fn channel_bindings_required_of_the_client() {
    let (realm, row) = begin!("channel_bindings_required_of_the_client");
    let apache = Site::new(realm).start();
    let curl = Curl::new(realm).policy("require = ['channel_bindings']\n");
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

/// mod_auth_gssapi gives none to compare with.
#[test]
fn channel_bindings_required_by_the_server() {
    let (realm, row) = begin!("channel_bindings_required_by_the_server");
    let apache = Site::new(realm)
        .policy("require = ['channel_bindings']\n")
        .start();
    let answer = Curl::new(realm).get(&apache.url());
    row.is_said(&answer, &apache);
    row.doctor_finds(
        &Curl::new(realm).policy("require = ['channel_bindings']\n"),
        "HTTP@localhost",
    );
}

#[test]
fn malformed_configuration() {
    let (realm, row) = begin!("malformed_configuration");
    let apache = Site::new(realm).start();
    let curl = Curl::new(realm).policy("mechs = [krb5\n");
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

#[test]
fn configuration_writable_by_others() {
    let (realm, row) = begin!("configuration_writable_by_others");
    let apache = Site::new(realm).start();
    let curl = Curl::new(realm).policy("# nothing\n");
    mode(Path::new(&curl.variables()["GSS_SPNEGO_CONFIG"]), 0o666);
    row.is_said(&curl.get(&apache.url()), &apache);
    row.doctor_finds(&curl, "HTTP@localhost");
}

// ---------------------------------------------------------------- somebody in between

#[test]
fn mech_list_mic_altered_on_the_way() {
    let (realm, row) = begin!("mech_list_mic_altered_on_the_way");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let between = Between::before(&apache, |number, token| {
        if number == 2 {
            *token.last_mut().unwrap() ^= 1;
        }
    });
    let curl = Curl::new(realm).without_tickets().with_ntlm(NTLM);
    row.is_said(&curl.get(&between.url()), &apache);
}

#[test]
fn kerberos_struck_from_the_offer_on_the_way() {
    let (realm, row) = begin!("kerberos_struck_from_the_offer_on_the_way");
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let between = Between::before(&apache, |number, token| {
        if number == 1 {
            let kerberos = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
            let at = token.windows(11).position(|part| part == kerberos);
            token[at.unwrap() + 10] = 9;
        }
    });
    let answer = Curl::new(realm).with_ntlm(NTLM).get(&between.url());
    row.is_said(&answer, &apache);
}

// ---------------------------------------------------------------- arrangements

/// Apache called by another name than localhost.
fn called(realm: &Realm, apache: &Apache, name: &str) -> Answer {
    let to = format!("{name}:80:localhost:{}", apache.port);
    Curl::new(realm)
        .with(&["--connect-to", &to])
        .get(&format!("http://{name}/page"))
}

/// The realm's krb5.conf with something in the place of something.
fn configured(realm: &Realm, this: &str, that: &str) -> PathBuf {
    let text = std::fs::read_to_string(realm.path("krb5.conf")).unwrap();
    assert!(text.contains(this), "no {this} in {text}");
    let file = support::scratch_file("krb5.conf");
    std::fs::write(&file, text.replace(this, that)).unwrap();
    file
}

/// A keytab with new keys of a principal, which is made if it is not there.
fn keys(realm: &Realm, principal: &str) -> PathBuf {
    let file = support::scratch_file("keytab");
    let commands = [
        format!("addprinc -randkey {principal}"),
        format!("ktadd -k {} {principal}", file.display()),
    ];
    for command in commands {
        let arguments = ["-r", Realm::NAME, "-q", &command];
        realm.run("kadmin.local", &arguments, &Environment::new());
    }
    file
}

/// A new ticket cache.
fn kinit(realm: &Realm, keytab: &Path, cache: &Path, arguments: &[&str]) {
    let name = |file: &Path| format!("FILE:{}", file.display());
    let variables = Environment::from([
        ("KRB5CCNAME".to_owned(), name(cache)),
        ("KRB5_CLIENT_KTNAME".to_owned(), name(keytab)),
    ]);
    realm.run("kinit", &[&["-i"], arguments].concat(), &variables);
}

fn mode(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

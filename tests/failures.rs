//! The ways in which Negotiate fails in practice, each made to fail for real between curl and Apache:
//! what the failing side prints, logs and traces names the true cause and what to do about it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::path::{Path, PathBuf};

use support::{Answer, Apache, Between, Curl, Environment, Realm, Site};

/// The realm, or the end of the test.
macro_rules! realm {
    () => {
        match Realm::shared() {
            Some(realm) if support::web_can_be_tested() => realm,
            _ => return,
        }
    };
}

const NTLM: &str = "SPNEGO:user:sesame\n";

#[test]
fn nothing_is_said_when_nothing_fails() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let answer = Curl::new(realm).get(&apache.url());
    assert_eq!(answer.status, 200, "{answer:?}\n{}", apache.log());
    for text in [answer.said, answer.trace, apache.log(), apache.trace()] {
        assert!(!text.contains("failed"), "{text}");
    }
    let ntlm = Site::new(realm).with_ntlm(NTLM).start();
    let answer = Curl::new(realm)
        .without_tickets()
        .with_ntlm(NTLM)
        .get(&ntlm.url());
    assert_eq!(answer.status, 200, "{answer:?}\n{}", ntlm.log());
}

// ---------------------------------------------------------------- tickets

#[test]
fn no_ticket() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let answer = Curl::new(realm).without_tickets().get(&apache.url());
    client_says(
        &answer,
        "krb5: No Kerberos credentials available (default cache: FILE:",
        "run kinit",
    );
}

/// As after su. MIT's library up to 1.20 at least crashes here as often as not, when it is asked.
#[test]
fn ticket_cache_of_another_user() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let cache = realm.cache("user");
    mode(&cache, 0o600);
    for _ in 0..4 {
        let answer = Curl::new(realm)
            .cache(&cache)
            .by_nobody()
            .get(&apache.url());
        let cause =
            "krb5: No Kerberos credentials available: Credentials cache permissions incorrect";
        client_says(
            &answer,
            cause,
            &format!("let this user read the ticket cache {}", cache.display()),
        );
    }
}

#[test]
fn damaged_ticket_cache() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let cache = support::scratch_file("damaged");
    for content in ["", "not a ticket cache"] {
        std::fs::write(&cache, content).unwrap();
        let answer = Curl::new(realm).cache(&cache).get(&apache.url());
        let cause = "krb5: No Kerberos credentials available: Bad format in credentials cache";
        client_says(&answer, cause, "remove the damaged ticket cache");
    }
}

#[test]
fn expired_ticket() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let cache = realm.cache("user");
    support::expire_tickets(&cache);
    let answer = Curl::new(realm).cache(&cache).get(&apache.url());
    client_says(
        &answer,
        "krb5: Ticket expired",
        "get a new ticket: run kinit",
    );
}

#[test]
fn clock_skew_between_client_and_server() {
    let realm = realm!();
    if !support::clocks_can_be_set() {
        return;
    }
    let apache = Site::new(realm).start();
    let answer = Curl::new(realm).at("+1h").get(&apache.url());
    server_says(&apache, "krb5: Clock skew too great", "set the clocks");
    client_says(&answer, "krb5: Clock skew too great", "set the clocks");
}

#[test]
fn clock_skew_between_client_and_kdc() {
    let realm = realm!();
    if !support::clocks_can_be_set() {
        return;
    }
    let apache = Site::new(realm).start();
    let curl = Curl::new(realm).cache(&realm.cache("bare")).at("+1h");
    client_says(
        &curl.get(&apache.url()),
        "krb5: Clock skew too great",
        "set the clocks",
    );
}

// ---------------------------------------------------------------- names

#[test]
fn unknown_service() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let answer = called(realm, &apache, "www.spnego.test");
    client_says(
        &answer,
        "krb5: Server HTTP/www.spnego.test@SPNEGO.TEST not found in Kerberos database",
        "call the server by the name that it is registered under",
    );
}

#[test]
fn address_instead_of_a_name() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let url = apache.url().replace("localhost", "127.0.0.1");
    client_says(
        &Curl::new(realm).get(&url),
        "krb5: Server HTTP/127.0.0.1@SPNEGO.TEST not found",
        "by its host name, not by its address",
    );
}

#[test]
fn host_of_a_realm_without_trust() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let elsewhere = configured(
        realm,
        ".spnego.test = SPNEGO.TEST",
        ".spnego.test = ELSEWHERE.TEST",
    );
    let answer = Curl::new(realm)
        .env("KRB5_CONFIG", elsewhere.display())
        .with(&["--connect-to", &format!("::localhost:{}", apache.port)])
        .get("http://peer.spnego.test/page");
    client_says(
        &answer,
        "krbtgt/ELSEWHERE.TEST@SPNEGO.TEST",
        "[domain_realm]",
    );
}

#[test]
fn realm_without_a_known_kdc() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let without = configured(realm, " kdc = ", " no_kdc = ");
    let curl = Curl::new(realm)
        .env("KRB5_CONFIG", without.display())
        .cache(&realm.cache("bare"));
    client_says(
        &curl.get(&apache.url()),
        "krb5: Cannot find KDC for realm \"SPNEGO.TEST\"",
        "tell krb5.conf where the realm's KDC is",
    );
}

#[test]
fn kdc_that_does_not_answer() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let gone = configured(
        realm,
        " kdc = 127.0.0.1:",
        " kdc = 127.0.0.1:9\n old_kdc = 127.0.0.1:",
    );
    let curl = Curl::new(realm)
        .env("KRB5_CONFIG", gone.display())
        .cache(&realm.cache("bare"));
    client_says(
        &curl.get(&apache.url()),
        "krb5: Cannot contact any KDC for realm 'SPNEGO.TEST'",
        "see that the realm's KDC runs",
    );
}

#[test]
fn malformed_krb5_conf() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let file = configured(realm, "[realms]", "[realms\n");
    let answer = Curl::new(realm)
        .env("KRB5_CONFIG", file.display())
        .get(&apache.url());
    client_says(
        &answer,
        "Improper format of Kerberos configuration file",
        "repair krb5.conf",
    );
}

// ---------------------------------------------------------------- keytabs

/// mod_auth_gssapi acquires credentials for all mechanisms at once, and the library then tells the error
/// of the first, which is raw Kerberos: the remedy is in the trace alone.
#[test]
fn keytab_missing() {
    let realm = realm!();
    let file = PathBuf::from("/nonexistent/http.keytab");
    let apache = Site::new(realm).keytab(&file).keytab_as_it_is().start();
    let answer = Curl::new(realm).get(&apache.url());
    assert_eq!(answer.status, 401, "{answer:?}");
    let cause = "Keytab FILE:/nonexistent/http.keytab is nonexistent or empty";
    says(
        &apache.log(),
        "Apache's log",
        "failed to get server creds",
        cause,
    );
    let remedy = "there is no file /nonexistent/http.keytab: export the service's keys into it";
    says(&apache.trace(), "Apache's trace", cause, remedy);
}

/// The library says "nonexistent or empty" of this one, too.
#[test]
fn keytab_unreadable_to_the_servers_user() {
    let realm = realm!();
    let file = support::scratch_file("keytab");
    std::fs::copy(realm.keytab("service"), &file).unwrap();
    mode(&file, 0o600);
    let apache = Site::new(realm).keytab(&file).keytab_as_it_is().start();
    let answer = Curl::new(realm).get(&apache.url());
    assert_eq!(answer.status, 401, "{answer:?}");
    let cause = "is nonexistent or empty";
    says(
        &apache.log(),
        "Apache's log",
        "failed to get server creds",
        cause,
    );
    let remedy = format!(
        "the user that the server runs as may not read {}",
        file.display()
    );
    says(&apache.trace(), "Apache's trace", cause, &remedy);
}

#[test]
fn keytab_with_another_key() {
    let realm = realm!();
    let apache = Site::new(realm).keytab(&realm.keytab("wrong")).start();
    let answer = Curl::new(realm).get(&apache.url());
    server_says(
        &apache,
        "cannot decrypt ticket",
        "the keytab's key is not the KDC's",
    );
    client_says(&answer, "krb5: ", "the server cannot decrypt the ticket");
}

#[test]
fn keytab_with_an_old_key() {
    let realm = realm!();
    let old = keys(realm, "HTTP/old.spnego.test");
    keys(realm, "HTTP/old.spnego.test");
    let apache = Site::new(realm).keytab(&old).start();
    let answer = called(realm, &apache, "old.spnego.test");
    server_says(
        &apache,
        "kvno 3 not found in keytab; keytab is likely out of date",
        "export the key again",
    );
    client_says(&answer, "krb5: ", "kdestroy");
}

#[test]
fn keytab_without_the_services_name() {
    let realm = realm!();
    let other = keys(realm, "HTTP/named.spnego.test");
    let apache = Site::new(realm).keytab(&other).start();
    let answer = Curl::new(realm).get(&apache.url());
    server_says(
        &apache,
        "krb5: Request ticket server HTTP/localhost@SPNEGO.TEST not found in keytab",
        "add the key of the service",
    );
    client_says(
        &answer,
        "krb5: ",
        "the server's keytab has no key for this name",
    );
}

#[test]
fn encryption_type_not_permitted_by_the_server() {
    let realm = realm!();
    let aes128 = configured(
        realm,
        "permitted_enctypes = aes256-cts-hmac-sha1-96 aes128",
        "permitted_enctypes = aes128",
    );
    let apache = Site::new(realm)
        .env("KRB5_CONFIG", aes128.display())
        .start();
    let answer = Curl::new(realm).get(&apache.url());
    let cause =
        "krb5: Request ticket server HTTP/localhost@SPNEGO.TEST kvno 1 enctype aes256-cts found";
    server_says(
        &apache,
        cause,
        "allow the ticket's encryption type on the server",
    );
    client_says(
        &answer,
        "krb5: ",
        "the server cannot decrypt the ticket, and its log says why",
    );
}

#[test]
fn encryption_type_not_permitted_by_the_client() {
    let realm = realm!();
    let camellia = configured(
        realm,
        "permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96",
        "permitted_enctypes = camellia256-cts-cmac",
    );
    let apache = Site::new(realm).start();
    let answer = Curl::new(realm)
        .env("KRB5_CONFIG", camellia.display())
        .cache(&realm.cache("bare"))
        .get(&apache.url());
    client_says(&answer, "krb5: ", "allow an encryption type");
}

// ---------------------------------------------------------------- replays

#[test]
fn replayed_authenticator() {
    let realm = realm!();
    let place = support::apache_directory("rcache");
    let apache = Site::new(realm)
        .env("KRB5RCACHENAME", "dfl:")
        .env("KRB5RCACHEDIR", place.display())
        .start();
    let first = std::sync::Mutex::new(Vec::new());
    let between = Between::before(&apache, move |number, token| match number {
        1 => first.lock().unwrap().clone_from(token),
        _ => token.clone_from(&first.lock().unwrap()),
    });
    let answer = Curl::new(realm).get(&between.url());
    assert_eq!(answer.status, 200, "{answer:?} {}", apache.log());
    let answer = Curl::new(realm).get(&between.url());
    server_says(&apache, "Request is a replay", "sends requests twice");
    client_says(&answer, "krb5: ", "sends requests twice");
}

#[test]
fn replay_cache_that_cannot_be_written() {
    let realm = realm!();
    let apache = Site::new(realm)
        .env("KRB5RCACHENAME", "dfl:")
        .env("KRB5RCACHEDIR", "/nonexistent")
        .start();
    let answer = Curl::new(realm).get(&apache.url());
    server_says(
        &apache,
        "krb5: No such file or directory (filename: /nonexistent/",
        "write its replay cache",
    );
    client_says(&answer, "krb5: Generic error", "look into its log");
}

// ---------------------------------------------------------------- mechanisms

#[test]
fn no_mechanism_in_common() {
    let realm = realm!();
    let apache = Site::new(realm).with("GssapiAllowedMech krb5").start();
    let answer = Curl::new(realm)
        .without_tickets()
        .with_ntlm(NTLM)
        .get(&apache.url());
    server_says(
        &apache,
        "ntlmssp: offered by the initiator, not accepted here",
        "have the client get a ticket (kinit)",
    );
    client_says(
        &answer,
        "the peer rejected the negotiation",
        "look into its log",
    );
}

#[test]
fn ntlm_without_a_user_file() {
    let realm = realm!();
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let answer = Curl::new(realm)
        .without_tickets()
        .without("NTLM_USER_FILE")
        .get(&apache.url());
    client_says(
        &answer,
        "ntlmssp: no user: NTLM_USER_FILE is not set",
        "NTLM_USER_FILE",
    );
}

#[test]
fn ntlm_with_a_wrong_password() {
    let realm = realm!();
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let answer = Curl::new(realm)
        .without_tickets()
        .with_ntlm("SPNEGO:user:wrong\n")
        .get(&apache.url());
    server_says(
        &apache,
        "ntlmssp: wrong password for ",
        "have the user correct the password",
    );
    client_says(
        &answer,
        "the peer rejected the negotiation",
        "look into its log",
    );
}

/// The module itself ends the negotiation after one token and says why; no mechanism has failed, and curl is
/// told nothing.
#[test]
fn ntlm_over_a_connection_that_is_not_kept() {
    let realm = realm!();
    let apache = Site::new(realm)
        .with_ntlm(NTLM)
        .with("GssapiConnectionBound Off")
        .start();
    let answer = Curl::new(realm)
        .without_tickets()
        .with_ntlm(NTLM)
        .get(&apache.url());
    assert_eq!(answer.status, 401, "{answer:?}");
    let log = apache.log();
    assert!(
        log.contains("neither GssapiConnectionBound nor GssapiUseSessions are configured"),
        "{log}"
    );
    let cause = "ntlmssp: given up by the program while the initiator's next token was to come";
    says(
        &apache.trace(),
        "Apache's trace",
        cause,
        "GssapiConnectionBound On",
    );
    assert!(
        answer.trace.contains("ntlmssp: offered"),
        "{}",
        answer.trace
    );
}

// ---------------------------------------------------------------- somebody in between

#[test]
fn mech_list_mic_altered_on_the_way() {
    let realm = realm!();
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let between = Between::before(&apache, |number, token| {
        if number == 2 {
            *token.last_mut().unwrap() ^= 1;
        }
    });
    let answer = Curl::new(realm)
        .without_tickets()
        .with_ntlm(NTLM)
        .get(&between.url());
    server_says(
        &apache,
        "mechListMIC does not verify, the list of mechanisms was altered on the way",
        "look for a proxy in between",
    );
    client_says(
        &answer,
        "the peer rejected the negotiation",
        "look into its log",
    );
}

#[test]
fn kerberos_struck_from_the_offer_on_the_way() {
    let realm = realm!();
    let apache = Site::new(realm).with_ntlm(NTLM).start();
    let between = Between::before(&apache, |number, token| {
        let kerberos = *b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
        if number == 1 {
            let at = token
                .windows(kerberos.len())
                .position(|part| part == kerberos)
                .unwrap();
            token[at + kerberos.len() - 1] = 9;
        }
    });
    let answer = Curl::new(realm).with_ntlm(NTLM).get(&between.url());
    server_says(
        &apache,
        "mechListMIC does not verify, the list of mechanisms was altered on the way",
        "look for a proxy in between",
    );
    client_says(
        &answer,
        "the peer rejected the negotiation",
        "look into its log",
    );
}

/// A name of 1500 letters has the place of the groups that a large ticket has in it elsewhere.
#[test]
fn header_larger_than_the_server_takes() {
    let realm = realm!();
    let apache = Site::new(realm).start();
    let cache = support::scratch_file("large");
    let keytab = keys(realm, &"u".repeat(1500));
    kinit(realm, &keytab, &cache, &["-k", "-f", &"u".repeat(1500)]);
    let answer = Curl::new(realm).cache(&cache).get(&apache.url());
    assert_eq!(answer.status, 400, "{answer:?}");
    let log = apache.log();
    assert!(
        log.contains("Request header exceeds LimitRequestFieldSize: Authorization"),
        "{log}"
    );
    let cause = "more than most servers take in a header field of HTTP";
    says(
        &answer.trace,
        "curl's trace",
        cause,
        "have it take larger header fields",
    );
}

/// The mechanism delegates nothing and succeeds, so no error has a text.
#[test]
fn delegation_with_a_ticket_that_cannot_be_forwarded() {
    let realm = realm!();
    let keytab = realm.keytab("user");
    for (option, status) in [("-f", 200), ("-F", 401)] {
        let delegated = support::apache_directory("delegated");
        let apache = Site::new(realm)
            .with(&format!("GssapiDelegCcacheDir {}", delegated.display()))
            .require("expr \"%{REMOTE_USER} != '' && -n reqenv('KRB5CCNAME')\"")
            .start();
        let cache = support::scratch_file("delegable");
        kinit(realm, &keytab, &cache, &["-k", option, "user"]);
        let curl = Curl::new(realm)
            .with(&["--delegation", "always"])
            .cache(&cache);
        let answer = curl.get(&apache.url());
        assert_eq!(answer.status, status, "{answer:?} {}", apache.log());
        let cause = "krb5: nothing is delegated, though it was asked for";
        if status == 401 {
            says(&answer.trace, "curl's trace", cause, "run kinit -f");
        } else {
            assert!(!answer.trace.contains(cause), "{}", answer.trace);
        }
    }
}

// ---------------------------------------------------------------- what is said

/// curl's words and its trace name the cause and, on the same line, the remedy.
fn client_says(answer: &Answer, cause: &str, remedy: &str) {
    assert_eq!(answer.status, 401, "{answer:?}");
    for (text, of) in [(&answer.said, "curl"), (&answer.trace, "curl's trace")] {
        says(text, of, cause, remedy);
    }
}

/// Apache's error log and its trace name the cause and, on the same line, the remedy.
fn server_says(apache: &Apache, cause: &str, remedy: &str) {
    says(&apache.log(), "Apache's log", cause, remedy);
    says(&apache.trace(), "Apache's trace", cause, remedy);
}

fn says(text: &str, of: &str, cause: &str, remedy: &str) {
    let both = |line: &str| {
        line.find(cause)
            .is_some_and(|at| line[at..].contains(remedy))
    };
    assert!(
        text.lines().any(both),
        "{of} does not say '{cause} ... {remedy}':\n{text}"
    );
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
        realm.run(
            "kadmin.local",
            &["-r", Realm::NAME, "-q", &command],
            &Environment::new(),
        );
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

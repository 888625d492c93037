//! Programs of Debian that know nothing of the plugin, as they come: with the built-in SPNEGO and
//! with ours on either side they do the same.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::{
    Environment, MechConfig, Realm, Side, Site, from_lasting_thread, installed, scratch_file,
    sides, skip, web_can_be_tested,
};

const SQUID: &str = "/usr/lib/squid";
const DOVECOT_GSSAPI: &str = "/usr/lib/dovecot/modules/auth/libmech_gssapi.so";

/// The realm's environment with the SPNEGO of `side`, and where a plugin in it writes its trace.
fn environment(realm: &Realm, side: Side) -> (Environment, PathBuf) {
    let trace = scratch_file("trace");
    let mechs = MechConfig::new(side).write();
    let mut variables = realm.environment();
    variables.extend([
        ("GSS_MECH_CONFIG".into(), mechs.display().to_string()),
        ("GSS_SPNEGO_CONFIG".into(), String::new()),
        ("GSS_SPNEGO_TRACE".into(), trace.display().to_string()),
    ]);
    (variables, trace)
}

/// The plugin has traced this where it is in place, and nothing where it is not.
fn assert_traced(side: Side, trace: &Path, what: &str) {
    let said = std::fs::read_to_string(trace).unwrap_or_default();
    match side {
        Side::Ours => assert!(said.contains(what), "{said}"),
        Side::BuiltIn => assert_eq!(said, ""),
    }
}

/// Every choice of SPNEGO for a client and a server.
fn pairs() -> Vec<(Side, Side)> {
    let of_server = |client| sides().into_iter().map(move |server| (client, server));
    sides().into_iter().flat_map(of_server).collect()
}

/// What a program prints.
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn squids_helper_authenticates() {
    let test_program = Path::new(SQUID).join("negotiate_kerberos_auth_test");
    let helper = Path::new(SQUID).join("negotiate_kerberos_auth");
    if !test_program.is_file() || !helper.is_file() {
        skip("squid is not installed");
        return;
    }
    let Some(realm) = Realm::shared() else { return };
    for (client, server) in pairs() {
        let (variables, of_client) = environment(realm, client);
        let token = printed(
            Command::new(&test_program)
                .arg("localhost")
                .envs(&variables),
        );
        let token = token.trim().strip_prefix("Token: ").unwrap().to_owned();
        assert_traced(client, &of_client, "sends NegTokenInit");
        let (variables, of_server) = environment(realm, server);
        let mut process = Process(
            Command::new(&helper)
                .args(["-s", "HTTP/localhost"])
                .envs(&variables)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let mut to = process.0.stdin.take().unwrap();
        let mut from = BufReader::new(process.0.stdout.take().unwrap());
        let mut ask = |question: &str| {
            writeln!(to, "{question}").unwrap();
            let mut answer = String::new();
            from.read_line(&mut answer).unwrap();
            answer
        };
        let (start, end) = token.split_at(token.len() / 2);
        let damaged = ask(&format!("YR {start}AAAAAAAA{}", end.get(8..).unwrap()));
        let why = "BH gss_accept_sec_context() failed: ";
        assert!(damaged.starts_with(why), "{damaged}");
        let answer = ask(&format!("YR {token}"));
        assert!(answer.starts_with("OK token="), "{answer}");
        assert!(answer.contains(" user=user@SPNEGO.TEST"), "{answer}");
        assert_traced(
            server,
            &of_server,
            "ESTABLISHED by krb5 with user@SPNEGO.TEST",
        );
    }
}

#[test]
fn dovecot_logs_in() {
    if !installed(&["dovecot", "/usr/bin/python3"]) || !web_can_be_tested() {
        return;
    }
    if !Path::new(DOVECOT_GSSAPI).is_file() {
        skip("dovecot-gssapi is not installed");
        return;
    }
    let Some(realm) = Realm::shared() else { return };
    let keytab = imap_keytab(realm);
    for server in sides() {
        let (variables, of_server) = environment(realm, server);
        let dovecot = Dovecot::start(&keytab, &variables);
        for client in sides() {
            let (mut variables, of_client) = environment(realm, client);
            let damaged = dovecot.login("damaged", &variables);
            assert!(
                damaged.contains("AUTHENTICATIONFAILED"),
                "{damaged}{}",
                dovecot.log()
            );
            let said = dovecot.login("good", &variables);
            let expected = "layers 1\n('OK', [b'Logged in'])\nselected OK\n";
            assert_eq!(said, expected, "{}", dovecot.log());
            assert_traced(
                client,
                &of_client,
                "ESTABLISHED by krb5 with imap/localhost@SPNEGO.TEST",
            );
            variables.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
            let without = dovecot.login("good", &variables);
            assert!(without.starts_with("no token: "), "{without}");
        }
        assert!(
            dovecot
                .log()
                .contains("user=<user@spnego.test>, method=GSS-SPNEGO"),
            "{}",
            dovecot.log()
        );
        assert_traced(
            server,
            &of_server,
            "ESTABLISHED by krb5 with user@SPNEGO.TEST",
        );
    }
}

#[test]
fn git_clones_over_http() {
    if !installed(&["git"]) || !web_can_be_tested() {
        return;
    }
    let Some(realm) = Realm::shared() else { return };
    let server = Site::new(realm).start();
    let git = |arguments: &[&str], variables: &Environment| {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .envs(variables)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        printed(&mut command)
    };
    let pages = server.file("pages/tree.git").display().to_string();
    let source = scratch_file("source").display().to_string();
    let none = Environment::new();
    git(&["init", "-q", &source], &none);
    let commit = [
        "-c",
        "user.name=user",
        "-c",
        "user.email=user@localhost",
        "-C",
        &source,
    ];
    let arguments = [
        &commit[..],
        &["commit", "-q", "--allow-empty", "-m", "Signed in"],
    ]
    .concat();
    git(&arguments, &none);
    git(&["clone", "-q", "--bare", &source, &pages], &none);
    git(&["-C", &pages, "update-server-info"], &none);
    let url = server.url().replace("page", "tree.git");
    for side in sides() {
        let (mut variables, trace) = environment(realm, side);
        let clone = |variables: &Environment| {
            let copy = scratch_file("copy").display().to_string();
            let said = git(
                &["-c", "http.emptyAuth=true", "clone", "-q", &url, &copy],
                variables,
            );
            said + &git(&["-C", &copy, "log", "--format=%s"], &none)
        };
        assert_eq!(clone(&variables), "Signed in\n", "{}", server.log());
        assert_traced(side, &trace, "sends NegTokenInit");
        variables.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
        let without = clone(&variables);
        assert!(without.contains("could not read Username"), "{without}");
    }
    assert!(server.trace().contains("ESTABLISHED by krb5 with user@"));
}

/// A keytab for imap/localhost, whose principal it makes.
fn imap_keytab(realm: &Realm) -> PathBuf {
    let keytab = scratch_file("imap.keytab");
    for request in [
        "addprinc -randkey imap/localhost".to_owned(),
        format!("ktadd -k {} -norandkey imap/localhost", keytab.display()),
    ] {
        let arguments = ["-r", Realm::NAME, "-q", &request];
        realm.run("kadmin.local", &arguments, &Environment::new());
    }
    assert!(keytab.is_file());
    keytab
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Dovecot that serves IMAP from a directory of its own. Stopped when dropped.
struct Dovecot {
    master: Child,
    directory: PathBuf,
    port: u16,
}

impl Dovecot {
    fn start(keytab: &Path, variables: &Environment) -> Self {
        let directory = scratch_file("dovecot");
        let mail = directory.join("mail");
        std::fs::create_dir_all(&mail).unwrap();
        printed(Command::new("chown").arg("nobody").arg(&mail));
        // A port that is free now may be taken a moment later by a test beside this one.
        for _ in 0..10 {
            let port = free_port();
            let file = directory.join("dovecot.conf");
            let text = configuration(&directory, keytab, port, variables);
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new(support::find_program("dovecot").unwrap());
            command
                .arg("-F")
                .arg("-c")
                .arg(&file)
                .envs(variables)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut started = Self {
                master: from_lasting_thread(command),
                directory: directory.clone(),
                port,
            };
            while started.master.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return started;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            let log = started.log();
            assert!(log.contains("in use"), "Dovecot does not start: {log}");
        }
        panic!("no port for Dovecot on the loopback");
    }

    /// What the client prints.
    fn login(&self, how: &str, variables: &Environment) -> String {
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/py/imap_login.py");
        printed(
            Command::new("/usr/bin/python3")
                .arg(client)
                .args([&self.port.to_string(), how])
                .envs(variables),
        )
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if let Ok(None) = self.master.try_wait() {
            let master = self.master.id().try_into().unwrap();
            // SAFETY: our child, not waited for yet. It ends its own children on SIGTERM.
            unsafe { libc::kill(master, libc::SIGTERM) };
        }
        let _ = self.master.wait();
    }
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn configuration(directory: &Path, keytab: &Path, port: u16, variables: &Environment) -> String {
    let (place, keytab) = (directory.display(), keytab.display());
    let names: Vec<_> = variables.keys().map(String::as_str).collect();
    let names = names.join(" ");
    format!(
        "base_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/log\n\
         protocols = imap\nlisten = 127.0.0.1\nssl = no\nauth_mechanisms = gssapi gss-spnego\n\
         auth_use_winbind = no\nauth_krb5_keytab = {keytab}\nauth_gssapi_hostname = localhost\n\
         auth_failure_delay = 0\ndefault_internal_user = root\ndefault_login_user = dovenull\n\
         mail_location = maildir:{place}/mail\nimport_environment = {names}\n\
         service imap-login {{\n inet_listener imap {{\n port = {port}\n }}\n\
          inet_listener imaps {{\n port = 0\n }}\n chroot =\n}}\n\
         service anvil {{\n chroot =\n unix_listener anvil-auth-penalty {{\n mode = 0\n }}\n}}\n\
         passdb {{\n driver = static\n args = nopassword=y\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={place}/mail\n}}\n"
    )
}

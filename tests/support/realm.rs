//! A Kerberos realm of a few seconds: MIT's KDC on a free port of the loopback, its database,
//! keytabs and ticket caches in a temporary directory. Nothing is left of it at the end.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};

use super::{find_program, installed, scratch_file};

/// Variables for a child process, on top of its inherited ones.
pub(crate) type Environment = BTreeMap<String, String>;

/// A running realm. Dropping it stops the KDC and removes the directory.
pub(crate) struct Realm {
    directory: PathBuf,
    kdc: Child,
}

impl Realm {
    /// The name of the realm.
    pub(crate) const NAME: &'static str = "SPNEGO.TEST";
    /// The password of `user`.
    pub(crate) const PASSWORD: &'static str = "sesame";
    /// What has to be installed.
    const PROGRAMS: [&'static str; 6] = [
        "krb5kdc",
        "kdb5_util",
        "kadmin.local",
        "kinit",
        "kvno",
        "cc",
    ];

    /// The realm of this test binary, started by whoever asks first and stopped when the binary
    /// exits; `None` where none can be started (the test then ends, loudly skipped).
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Realm>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                if !installed(&Self::PROGRAMS) {
                    return None;
                }
                super::at_exit(|| {
                    if let Some(Some(realm)) = SHARED.get() {
                        realm.stop();
                    }
                });
                Some(Self::start())
            })
            .as_ref()
    }

    /// Start a realm of one's own.
    pub(crate) fn start() -> Self {
        let directory = scratch_file("realm");
        std::fs::create_dir_all(&directory).unwrap();
        // A port that is free now may be taken a moment later by a test beside this one.
        for _ in 0..10 {
            let port = free_port();
            write_configuration(&directory, port);
            if !directory.join("principal").exists() {
                create_database(&directory);
            }
            if let Some(kdc) = start_kdc(&directory) {
                let realm = Self { directory, kdc };
                realm.fetch_tickets();
                return realm;
            }
        }
        panic!("no port for a KDC on the loopback");
    }

    /// Variables that make a child process live in this realm: as `user` with tickets of its own
    /// copy of the cache, and as acceptor for the keys of the keytab.
    pub(crate) fn environment(&self) -> Environment {
        let cache = self.cache("user");
        let mut variables = base_environment(&self.directory);
        variables.insert("KRB5CCNAME".into(), format!("FILE:{}", cache.display()));
        variables.insert(
            "KRB5_KTNAME".into(),
            format!("FILE:{}", self.keytab("service").display()),
        );
        variables
    }

    /// A private copy of a ticket cache: `user` (a forwardable ticket-granting ticket and tickets
    /// for the services), `service` (of `web/localhost`) or `bare` (a ticket-granting ticket only).
    pub(crate) fn cache(&self, whose: &str) -> PathBuf {
        let copy = scratch_file("ccache");
        std::fs::copy(self.path(&format!("{whose}.ccache")), &copy).unwrap();
        copy
    }

    /// A keytab: `service` (HTTP, host, web, backend at localhost), `user`, `wrong` (HTTP with
    /// another key).
    pub(crate) fn keytab(&self, whose: &str) -> PathBuf {
        self.path(&format!("{whose}.keytab"))
    }

    /// A file of the realm.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Run one of the realm's programs to its end; what it printed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], more: &Environment) -> String {
        let mut variables = base_environment(&self.directory);
        variables.extend(more.clone());
        run(program, arguments, &variables, "")
    }

    fn fetch_tickets(&self) {
        let services = ["HTTP/localhost", "host/localhost", "backend/localhost"];
        for (whose, client) in [
            ("user", "user"),
            ("bare", "user"),
            ("service", "web/localhost"),
        ] {
            let cache = format!("FILE:{}", self.path(&format!("{whose}.ccache")).display());
            let keytab = self.keytab(if whose == "service" {
                "service"
            } else {
                "user"
            });
            let variables = Environment::from([("KRB5CCNAME".into(), cache)]);
            let keytab = keytab.display().to_string();
            self.run("kinit", &["-f", "-k", "-t", &keytab, client], &variables);
            if whose == "user" {
                let arguments: Vec<_> = ["-q"].into_iter().chain(services).collect();
                self.run("kvno", &arguments, &variables);
            }
        }
    }

    fn stop(&self) {
        let process = self.kdc.id().try_into().unwrap();
        // SAFETY: our child, not waited for before; a number that is gone only gives an error.
        unsafe { libc::kill(process, libc::SIGKILL) };
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        self.stop();
        let _ = self.kdc.wait();
    }
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn base_environment(directory: &Path) -> Environment {
    let file = |name: &str| directory.join(name).display().to_string();
    Environment::from([
        ("KRB5_CONFIG".into(), file("krb5.conf")),
        ("KRB5_KDC_PROFILE".into(), file("kdc.conf")),
        ("KRB5RCACHEDIR".into(), file("")),
        ("KRB5_CLIENT_KTNAME".into(), file("no.client.keytab")),
        ("KRB5CCNAME".into(), file("no.ccache")),
        ("KRB5_KTNAME".into(), file("no.keytab")),
        ("NTLM_USER_FILE".into(), file("no.ntlm.users")),
        ("LC_ALL".into(), "C".into()),
    ])
}

fn write_configuration(directory: &Path, port: u16) {
    let place = directory.display();
    let realm = Realm::NAME;
    let krb5 = format!(
        "[libdefaults]\n\
         default_realm = {realm}\n\
         dns_lookup_kdc = false\n\
         dns_lookup_realm = false\n\
         dns_canonicalize_hostname = false\n\
         qualify_shortname = \"\"\n\
         rdns = false\n\
         forwardable = true\n\
         default_ccache_name = FILE:{place}/no.ccache\n\
         permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96\n\
         [realms]\n\
         {realm} = {{\n kdc = 127.0.0.1:{port}\n\
           auth_to_local = DEFAULT\n\
         }}\n\
         [domain_realm]\n\
         localhost = {realm}\n\
         .spnego.test = {realm}\n\
         [dbmodules]\n\
         db_module_dir = {place}/kdb\n\
         {realm} = {{\n db_library = delegating\n database_name = {place}/principal\n }}\n"
    );
    let kdc = format!(
        "[kdcdefaults]\n\
         kdc_listen = 127.0.0.1:{port}\n\
         kdc_tcp_listen = 127.0.0.1:{port}\n\
         [realms]\n\
         {realm} = {{\n\
         key_stash_file = {place}/stash\n\
         acl_file = {place}/acl\n\
         max_life = 10h\n\
         max_renewable_life = 7d\n\
         supported_enctypes = aes256-cts-hmac-sha1-96:normal\n\
         }}\n\
         [logging]\n\
         kdc = FILE:{place}/kdc.log\n"
    );
    std::fs::write(directory.join("krb5.conf"), krb5).unwrap();
    std::fs::write(directory.join("kdc.conf"), kdc).unwrap();
}

/// The database module of the Debian package cannot say who may delegate to whom, so the realm has
/// one around it that can.
fn build_database_module(directory: &Path) {
    let modules = directory.join("kdb");
    std::fs::create_dir_all(&modules).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/kdb_delegating.c");
    let object = modules.join("delegating.so");
    let arguments = [
        "-Wall",
        "-Wextra",
        "-Werror",
        "-g",
        "-shared",
        "-fPIC",
        "-I/usr/include/mit-krb5",
        source,
        "-o",
        object.to_str().unwrap(),
        "-ldl",
    ];
    run("cc", &arguments, &Environment::new(), "");
}

fn create_database(directory: &Path) {
    build_database_module(directory);
    let variables = base_environment(directory);
    run(
        "kdb5_util",
        &["create", "-s", "-r", Realm::NAME, "-P", "master"],
        &variables,
        "",
    );
    let password = Realm::PASSWORD;
    let place = directory.display();
    let commands = format!(
        "addprinc -pw {password} user\n\
         addprinc -pw {password} other\n\
         addprinc -randkey +ok_as_delegate HTTP/localhost\n\
         addprinc -randkey host/localhost\n\
         addprinc -randkey HTTP/peer.spnego.test\n\
         addprinc -randkey backend/localhost\n\
         addprinc -randkey +ok_to_auth_as_delegate web/localhost\n\
         ktadd -k {place}/service.keytab -norandkey HTTP/localhost host/localhost web/localhost \
         backend/localhost HTTP/peer.spnego.test\n\
         ktadd -k {place}/user.keytab -norandkey user\n"
    );
    run("kadmin.local", &["-r", Realm::NAME], &variables, &commands);
    write_wrong_keytab(directory);
}

/// A keytab with the right name, the right version and another key.
fn write_wrong_keytab(directory: &Path) {
    let keytab = directory.join("wrong.keytab");
    let commands = format!(
        "addent -password -p HTTP/localhost@{} -k 1 -e aes256-cts-hmac-sha1-96\nwrong\n\
         wkt {}\n",
        Realm::NAME,
        keytab.display()
    );
    run("ktutil", &[], &base_environment(directory), &commands);
    assert!(keytab.is_file(), "ktutil wrote no keytab");
}

fn start_kdc(directory: &Path) -> Option<Child> {
    let mut command = Command::new(find_program("krb5kdc").unwrap());
    command
        .args(["-n", "-r", Realm::NAME])
        .envs(base_environment(directory))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut kdc = from_lasting_thread(command);
    let log = || std::fs::read_to_string(directory.join("kdc.log")).unwrap_or_default();
    loop {
        // Written when it listens; what it prints itself stays in its buffer.
        if log().contains("commencing operation") {
            return Some(kdc);
        }
        if kdc.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let output = kdc.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &log();
    assert!(said.contains("in use"), "the KDC does not start: {said}");
    let _ = std::fs::remove_file(directory.join("kdc.log"));
    None
}

/// Start a server from a thread that outlives every test: the kernel kills the server when the thread
/// that started it is gone, so not even a killed test run leaves one behind.
pub(crate) fn from_lasting_thread(mut command: Command) -> Child {
    let die_with_thread = || {
        // SAFETY: async-signal-safe, and changes only the new process.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(die_with_thread) };
    type Order = (Command, mpsc::Sender<Child>);
    static THREAD: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let orders = THREAD.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in receiver {
                let _ = answer.send(command.spawn().expect("a server starts"));
            }
        });
        Mutex::new(sender)
    });
    let (sender, receiver) = mpsc::channel();
    orders.lock().unwrap().send((command, sender)).unwrap();
    receiver.recv().unwrap()
}

/// Run a program to its end with `input`; what it printed. Anything but success stops the test.
pub(super) fn run(
    program: &str,
    arguments: &[&str],
    variables: &Environment,
    input: &str,
) -> String {
    let file = find_program(program).unwrap_or_else(|| panic!("{program} is not installed"));
    let mut child = Command::new(file)
        .args(arguments)
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it, which is not an error here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{printed}",
        output.status
    );
    printed
}

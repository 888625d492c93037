//! Apache with mod_auth_gssapi and the plugin, curl with the plugin, and what may stand between
//! them: each with a trace of its own, so that a test can see what either side says of a failure.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::plugin::for_everybody;
use super::realm::from_lasting_thread;
use super::{
    Environment, MechConfig, Realm, Side, find_program, free_port, installed, scratch_file, skip,
};

/// Where Debian has Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// What gives a program another time.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// Whether curl and Apache can be run with the plugin, by root; else the test is skipped loudly.
pub(crate) fn web_can_be_tested() -> bool {
    if super::plugin().is_none() || !installed(&["apache2", "curl", "chown"]) {
        return false;
    }
    if !Path::new(MODULES).join("mod_auth_gssapi.so").exists() {
        return skip("mod_auth_gssapi is not installed");
    }
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return skip("Apache is to be started by root, as in life");
    }
    true
}

/// Whether a program can be given another time; else the test is skipped loudly.
pub(crate) fn clocks_can_be_set() -> bool {
    Path::new(FAKETIME).exists() || skip("libfaketime is not installed")
}

/// What an Apache is started with.
#[derive(Clone)]
pub(crate) struct Site {
    /// The keytab; a copy of it for Apache's user, or the very file with [`Self::keytab_as_it_is`].
    keytab: PathBuf,
    copies_keytab: bool,
    require: String,
    location: Vec<String>,
    server: Vec<String>,
    variables: Environment,
}

impl Site {
    /// Kerberos and NTLM by the realm's keytab of that name, without a replay cache.
    pub(crate) fn new(realm: &Realm) -> Self {
        let mut variables = client_environment(realm);
        variables.remove("KRB5CCNAME");
        variables.insert("KRB5RCACHENAME".into(), "none:".into());
        Self {
            keytab: realm.keytab("service"),
            copies_keytab: true,
            require: "valid-user".to_owned(),
            location: Vec::new(),
            server: Vec::new(),
            variables,
        }
    }

    /// With this keytab.
    pub(crate) fn keytab(mut self, file: &Path) -> Self {
        file.clone_into(&mut self.keytab);
        self
    }

    /// The keytab where it is, whether or not it is there and may be read.
    pub(crate) fn keytab_as_it_is(mut self) -> Self {
        self.copies_keytab = false;
        self
    }

    /// With a directive for what is protected.
    pub(crate) fn with(mut self, directive: &str) -> Self {
        self.location.push(directive.to_owned());
        self
    }

    /// For whom and what: `valid-user`, unless it is said otherwise.
    pub(crate) fn require(mut self, what: &str) -> Self {
        what.clone_into(&mut self.require);
        self
    }

    /// With a directive for the server.
    pub(crate) fn with_server(mut self, directive: &str) -> Self {
        self.server.push(directive.to_owned());
        self
    }

    /// In an environment with this variable.
    pub(crate) fn env(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// Without a variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// Accepting NTLM, for these lines of a user file.
    pub(crate) fn with_ntlm(self, users: &str) -> Self {
        let file = scratch_file("ntlm-users");
        std::fs::write(&file, users).unwrap();
        self.env("NTLM_USER_FILE", file.display())
            .with("GssapiConnectionBound On")
    }

    /// With this configuration of the plugin.
    pub(crate) fn policy(self, text: &str) -> Self {
        self.env("GSS_SPNEGO_CONFIG", policy_file(text).display())
    }

    /// At another time than everybody else: `+1h`.
    pub(crate) fn at(self, time: &str) -> Self {
        self.env("LD_PRELOAD", FAKETIME).env("FAKETIME", time)
    }

    /// Start it.
    pub(crate) fn start(self) -> Apache {
        Apache::start(self)
    }
}

/// An Apache that runs, as www-data. Stopped when dropped.
pub(crate) struct Apache {
    process: Child,
    directory: PathBuf,
    variables: Environment,
    pub(crate) port: u16,
}

impl Apache {
    fn start(site: Site) -> Self {
        let directory = scratch_file("apache");
        std::fs::create_dir_all(directory.join("pages")).unwrap();
        std::fs::write(directory.join("pages/page"), "Hello from Apache\n").unwrap();
        let keytab = if site.copies_keytab {
            let copy = directory.join("keytab");
            std::fs::copy(&site.keytab, &copy).unwrap();
            give_to_apache(&copy);
            copy
        } else {
            site.keytab.clone()
        };
        let trace = directory.join("trace");
        std::fs::write(&trace, "").unwrap();
        give_to_apache(&trace);
        // A port that is free now may be taken a moment later by a test beside this one.
        for _ in 0..10 {
            let port = free_port();
            let file = directory.join("httpd.conf");
            std::fs::write(&file, configuration(&directory, &keytab, port, &site)).unwrap();
            let mut variables = site.variables.clone();
            variables
                .entry("GSS_SPNEGO_TRACE".into())
                .or_insert_with(|| trace.display().to_string());
            let log = std::fs::File::create(directory.join("output")).unwrap();
            let mut command = Command::new(find_program("apache2").unwrap());
            command
                .args(["-X", "-f"])
                .arg(&file)
                .envs(&variables)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log);
            let mut started = Self {
                process: from_lasting_thread(command),
                directory: directory.clone(),
                variables,
                port,
            };
            if started.listens() {
                return started;
            }
            let log = started.log();
            assert!(log.contains("in use"), "Apache does not start: {log}");
        }
        panic!("no port for Apache on the loopback");
    }

    fn listens(&mut self) -> bool {
        while self.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// The address of its page.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}/page", self.port)
    }

    /// What it wrote into its error log, or printed.
    pub(crate) fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        read("output") + &read("error.log")
    }

    /// What the plugin in it traced.
    pub(crate) fn trace(&self) -> String {
        std::fs::read_to_string(self.directory.join("trace")).unwrap()
    }

    /// A file of its own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The environment that it runs in.
    pub(crate) fn variables(&self) -> &Environment {
        &self.variables
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let process = self.process.id().try_into().unwrap();
            // SAFETY: our child, not waited for yet.
            unsafe { libc::kill(process, libc::SIGTERM) };
        }
        let _ = self.process.wait();
    }
}

fn configuration(directory: &Path, keytab: &Path, port: u16, site: &Site) -> String {
    let place = directory.display();
    let keytab = keytab.display();
    let require = &site.require;
    let (location, server) = (site.location.join("\n "), site.server.join("\n"));
    format!(
        "ServerRoot {place}\nServerName localhost\nDefaultRuntimeDir {place}\n\
         PidFile {place}/pid\nListen 127.0.0.1:{port}\nUser www-data\nGroup www-data\n\
         LoadModule mpm_event_module {MODULES}/mod_mpm_event.so\n\
         LoadModule authn_core_module {MODULES}/mod_authn_core.so\n\
         LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
         LoadModule authz_user_module {MODULES}/mod_authz_user.so\n\
         LoadModule auth_gssapi_module {MODULES}/mod_auth_gssapi.so\n\
         StartServers 1\nServerLimit 2\nThreadsPerChild 4\nMaxRequestWorkers 8\n\
         MinSpareThreads 1\nMaxSpareThreads 8\nKeepAlive On\nLogLevel info\n\
         ErrorLog {place}/error.log\nDocumentRoot {place}/pages\n{server}\n\
         <Location />\n AuthType GSSAPI\n AuthName \"test\"\n \
         GssapiCredStore keytab:{keytab}\n {location}\n Require {require}\n</Location>\n"
    )
}

/// A configuration file of the plugin, root's.
fn policy_file(text: &str) -> PathBuf {
    let file = scratch_file("spnego.conf");
    std::fs::write(&file, text).unwrap();
    file
}

/// Make a file that of Apache's user.
pub(crate) fn give_to_apache(file: &Path) {
    let output = Command::new("chown").arg("www-data").arg(file).output();
    assert!(output.unwrap().status.success(), "chown {}", file.display());
}

/// A directory that Apache's user may write to.
pub(crate) fn apache_directory(stem: &str) -> PathBuf {
    let directory = scratch_file(stem);
    std::fs::create_dir_all(&directory).unwrap();
    give_to_apache(&directory);
    directory
}

/// The environment of a client with the plugin: the realm's user, and no NTLM.
pub(crate) fn client_environment(realm: &Realm) -> Environment {
    let mut variables = realm.environment();
    let mechs = MechConfig::new(Side::Ours).write();
    variables.insert("GSS_MECH_CONFIG".into(), mechs.display().to_string());
    // Empty: without the machine's own configuration.
    variables.insert("GSS_SPNEGO_CONFIG".into(), String::new());
    variables
}

/// A call of curl.
pub(crate) struct Curl {
    runner: Vec<String>,
    arguments: Vec<String>,
    variables: Environment,
    trace: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status; 0 where there was no answer.
    pub(crate) status: u32,
    /// What it printed, with `--verbose`.
    pub(crate) said: String,
    /// What the plugin in it traced.
    pub(crate) trace: String,
}

impl Curl {
    /// As the realm's user, with tickets.
    pub(crate) fn new(realm: &Realm) -> Self {
        Self {
            runner: Vec::new(),
            arguments: Vec::new(),
            variables: client_environment(realm),
            trace: scratch_file("curl-trace"),
        }
    }

    /// With an option.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With a variable.
    pub(crate) fn env(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// With this ticket cache.
    pub(crate) fn cache(self, cache: &Path) -> Self {
        let name = format!("FILE:{}", cache.display());
        self.env("KRB5CCNAME", name)
    }

    /// With a user file for NTLM of this content.
    pub(crate) fn with_ntlm(self, users: &str) -> Self {
        let file = scratch_file("ntlm-users");
        std::fs::write(&file, users).unwrap();
        self.env("NTLM_USER_FILE", file.display())
    }

    /// Without a variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// At another time than everybody else: `+1h`.
    pub(crate) fn at(self, time: &str) -> Self {
        self.env("LD_PRELOAD", FAKETIME).env("FAKETIME", time)
    }

    /// With this configuration of the plugin.
    pub(crate) fn policy(self, text: &str) -> Self {
        self.env("GSS_SPNEGO_CONFIG", policy_file(text).display())
    }

    /// Run by nobody.
    pub(crate) fn by_nobody(mut self) -> Self {
        self.runner = [
            "setpriv",
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
        ]
        .map(ToOwned::to_owned)
        .to_vec();
        std::fs::write(&self.trace, "").unwrap();
        let output = Command::new("chown")
            .arg("nobody")
            .arg(&self.trace)
            .output();
        assert!(output.unwrap().status.success(), "chown");
        self
    }

    /// Without tickets.
    pub(crate) fn without_tickets(self) -> Self {
        self.cache(&scratch_file("no-tickets"))
    }

    /// Its environment.
    pub(crate) fn variables(&self) -> &Environment {
        &self.variables
    }

    /// What `spnego doctor` says of a service in the place of curl.
    pub(crate) fn doctor(&self, service: &str) -> String {
        static TOOL: OnceLock<PathBuf> = OnceLock::new();
        let tool = TOOL.get_or_init(|| for_everybody(Path::new(super::tool())));
        let output = self
            .command(tool)
            .args(["doctor", "--program", "/usr/bin/curl", service])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        String::from_utf8_lossy(&output.stdout).into_owned() + &errors
    }

    /// A program that is run as curl would be.
    fn command(&self, program: &Path) -> Command {
        let mut command = match self.runner.split_first() {
            Some((runner, arguments)) => {
                let mut command = Command::new(runner);
                command.args(arguments).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.envs(&self.variables).stdin(Stdio::null());
        command
    }

    /// Fetch a page.
    pub(crate) fn get(&self, url: &str) -> Answer {
        let curl = find_program("curl").unwrap();
        let output = self
            .command(&curl)
            .args(["-q", "--silent", "--verbose", "--negotiate", "-u", ":"])
            .args([
                "--noproxy",
                "*",
                "--max-time",
                "60",
                "--output",
                "/dev/null",
            ])
            .args(["--write-out", "%{http_code}"])
            .args(&self.arguments)
            .arg(url)
            .env("GSS_SPNEGO_TRACE", &self.trace)
            .output()
            .unwrap();
        Answer {
            status: String::from_utf8_lossy(&output.stdout)
                .parse()
                .unwrap_or_else(|_| panic!("{output:?}")),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
            trace: std::fs::read_to_string(&self.trace).unwrap_or_default(),
        }
    }
}

/// Something between client and server that alters the tokens that the client sends: the tokens in
/// their order from 1 are given to it, with their number.
pub(crate) struct Between {
    /// Where it listens.
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Between {
    /// Stand before a server.
    pub(crate) fn before(
        server: &Apache,
        alter: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (to, noted, alter) = (server.port, Arc::clone(&seen), Arc::new(alter));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (noted, alter) = (Arc::clone(&noted), Arc::clone(&alter));
                std::thread::spawn(move || relay(&client.unwrap(), to, &noted, &*alter));
            }
        });
        Self { port, seen }
    }

    /// The address of the page behind it.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}/page", self.port)
    }

    /// The client's tokens as they came.
    pub(crate) fn tokens(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }
}

fn relay(
    mut client: &TcpStream,
    to: u16,
    seen: &Mutex<Vec<Vec<u8>>>,
    alter: &dyn Fn(usize, &mut Vec<u8>),
) {
    let mut server = TcpStream::connect(("127.0.0.1", to)).unwrap();
    let mut answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers.0, &mut answers.1);
        let _ = answers.1.shutdown(Shutdown::Both);
    });
    let mut pending = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut part) {
        pending.extend_from_slice(&part[..length]);
        while let Some(end) = pending.windows(4).position(|end| end == b"\r\n\r\n") {
            let rest = pending.split_off(end + 4);
            let request = String::from_utf8(std::mem::replace(&mut pending, rest)).unwrap();
            let altered: Vec<String> = request
                .split("\r\n")
                .map(|line| altered_line(line, seen, alter))
                .collect();
            if server.write_all(altered.join("\r\n").as_bytes()).is_err() {
                return;
            }
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

fn altered_line(
    line: &str,
    seen: &Mutex<Vec<Vec<u8>>>,
    alter: &dyn Fn(usize, &mut Vec<u8>),
) -> String {
    const FIELD: &str = "Authorization: Negotiate ";
    let Some(encoded) = line.strip_prefix(FIELD) else {
        return line.to_owned();
    };
    let mut token = BASE64_STANDARD.decode(encoded).unwrap();
    let mut seen = seen.lock().unwrap();
    seen.push(token.clone());
    alter(seen.len(), &mut token);
    format!("{FIELD}{}", BASE64_STANDARD.encode(token))
}

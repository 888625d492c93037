//! What is kept in a running program is compared at each use with what it was made from: what changes
//! between two calls, in the same instant, is seen by the second.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Harness, MechConfig, Realm, Side, realm, scratch_file};

/// A configuration file.
fn configuration(text: &str) -> PathBuf {
    let file = scratch_file("spnego.conf");
    write(&file, text);
    file
}

/// Put a file in its place whole, as an administrator's tools do.
fn write(file: &Path, text: &str) {
    let new = PathBuf::from(format!("{}.new", file.display()));
    write_over(&new, text);
    fs::rename(&new, file).unwrap();
}

/// Write a file that stays the same file.
fn write_over(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
}

/// tests/c/policy.c at work.
struct Running {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    trace: PathBuf,
}

impl Running {
    fn start(realm: &Realm, file: &Path) -> Self {
        Self::start_by(realm, file, &[])
    }

    /// The same, run by another program, a memory checker for one.
    fn start_by(realm: &Realm, file: &Path, before: &[&str]) -> Self {
        let config = MechConfig::new(Side::Ours).with_scripts("ab").write();
        Self::start_with(realm, file, before, &config)
    }

    /// The same, with these mechanisms.
    fn start_with(realm: &Realm, file: &Path, before: &[&str], config: &Path) -> Self {
        let trace = scratch_file("trace");
        let mut child = Command::new("timeout")
            .args(["-k", "5", "170"])
            .args(before)
            .arg(Harness::named("policy").path())
            .envs(realm.environment())
            .env("GSS_SPNEGO_TRACE", &trace)
            .env("KRB5CCNAME", "FILE:/nonexistent")
            .env("SCRIPT_A", "tokens=1")
            .env("GSS_MECH_CONFIG", config)
            .env("GSS_SPNEGO_CONFIG", file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
            trace,
        }
    }

    fn ask(&mut self, order: &str) -> String {
        writeln!(self.orders.as_ref().unwrap(), "{order}").unwrap();
        let mut answer = String::new();
        loop {
            let from = answer.len();
            let read = self.answers.read_line(&mut answer).unwrap();
            assert!(read > 0, "the program ended: {answer}");
            if answer[from..].trim() == "done" {
                return answer;
            }
        }
    }

    /// Ask, and see that the answer has `text`.
    fn sees(&mut self, order: &str, text: &str) -> String {
        let answer = self.ask(order);
        assert!(answer.contains(text), "{order}: {text}: {answer}");
        answer
    }

    /// Ask, and see that the trace has `text` after it.
    fn traces(&mut self, order: &str, text: &str) -> String {
        let answer = self.ask(order);
        let trace = fs::read_to_string(&self.trace).unwrap();
        assert!(trace.contains(text), "{order}: {text}: {trace}");
        answer
    }

    /// Let the program end: its exit status.
    fn end(mut self) -> Option<i32> {
        self.orders = None;
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const A: &str = "mechs=script-a";
const B: &str = "mechs=script-b";

#[test]
fn a_running_program_sees_a_new_file() {
    let realm = realm!();
    let file = configuration("mechs = ['2.25.7301.1']\n");
    let mut running = Running::start(realm, &file);
    assert!(running.ask("HTTP@localhost").contains(A));
    write(
        &file,
        "[[rule]]\ntarget = 'HTTP@*'\nmechs = ['2.25.7301.2']\n",
    );
    running.sees("HTTP@localhost", B);
    // Its children too.
    assert!(running.ask("fork HTTP@localhost").contains(B));
    // A wrong file changes nothing, and says so.
    write(&file, "mechs = [\n");
    let answer = running.traces("HTTP@localhost", ":1:10: unclosed array");
    assert!(answer.contains(B), "{answer}");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    let answer = running.traces("HTTP@localhost", "(mode 666); run chmod go-w");
    assert!(answer.contains(B), "{answer}");
    write(&file, "mechs = ['2.25.7301.1']\n");
    running.sees("HTTP@localhost", A);
}

#[test]
fn a_context_keeps_the_policy_that_it_began_with() {
    let realm = realm!();
    let file = configuration("mechs = ['2.25.7301.1']\n");
    let mut running = Running::start(realm, &file);
    assert!(
        running
            .ask("begin HTTP@localhost")
            .contains("CONTINUE_NEEDED")
    );
    write(&file, "mechs = []\n");
    running.sees("HTTP@localhost", "not allowed by mechs (line 1 of ");
    assert!(running.ask("held").contains("held: COMPLETE"));
}

/// A service that has shut itself in sees another file by that name, or none, which is not the
/// administrator's word that there are no rules.
#[test]
fn what_was_read_holds_in_a_chroot() {
    let realm = realm!();
    for (before, inside) in [
        (true, None),
        (true, Some("\nmechs = ['krb5', '2.25.7301.2']\n")),
        (false, None),
    ] {
        let file = configuration("mechs = ['2.25.7301.2']\n");
        let root = scratch_file("root");
        let within = root.join(file.strip_prefix("/").unwrap());
        match inside {
            Some(text) => {
                fs::create_dir_all(within.parent().unwrap()).unwrap();
                write(&within, text);
            }
            None => fs::create_dir_all(&root).unwrap(),
        }
        let mut running = Running::start(realm, &file);
        // The library is loaded in either case.
        if before {
            assert!(running.ask("HTTP@localhost").contains(B));
        } else {
            running.ask("load");
        }
        running.ask(&format!("chroot {}", root.display()));
        let answer = running.ask("HTTP@localhost");
        // The mechanism's own line is out of the library's reach.
        let holds = answer.contains("krb5: not allowed by mechs (line 1 of ");
        assert!(holds || answer.contains(B), "{before} {inside:?} {answer}");
    }
}

/// A peer can use up a service's files: a new configuration is taken when there are some again.
#[test]
fn a_file_that_could_not_be_opened_is_read_when_it_can_be() {
    let realm = realm!();
    let file = configuration("mechs = ['2.25.7301.1']\n");
    let mut running = Running::start(realm, &file);
    assert!(running.ask("HTTP@localhost").contains(A));
    running.ask("files 3");
    write(&file, "mechs = ['2.25.7301.2']\n");
    let answer = running.traces("HTTP@localhost", "cannot be read: Too many open files");
    assert!(answer.contains(A), "{answer}");
    running.ask("files 64");
    running.sees("HTTP@localhost", B);
    let told = fs::read_to_string(&running.trace).unwrap();
    assert_eq!(told.matches("Too many open files").count(), 1, "{told}");
}

/// A trace that cannot be written is lost: neither the signal of a pipe that nobody reads nor that
/// of a file that is too long ends the program.
#[test]
fn no_signal_of_a_trace_ends_a_program() {
    let realm = realm!();
    let pipe = scratch_file("pipe");
    let nobody = format!(
        "mkfifo {0}; exec 3<>{0} 2>{0} 3<&-; GSS_SPNEGO_TRACE=stderr exec \"$@\"",
        pipe.display()
    );
    for limits in [&nobody, "ulimit -f 1; exec \"$@\""] {
        let file = configuration("mechs = ['2.25.7301.1']\n");
        let mut running = Running::start_by(realm, &file, &["sh", "-c", limits, "-"]);
        for _ in 0..20 {
            assert!(running.ask("HTTP@localhost").contains(A));
        }
        let traced = fs::metadata(&running.trace).map_or(0, |trace| trace.len());
        assert_eq!(traced, if limits == nobody { 0 } else { 512 }, "{limits}");
        assert_eq!(running.end(), Some(0), "{limits}");
    }
}

/// Under valgrind, which tells of what nobody frees.
#[test]
fn what_was_read_before_is_freed() {
    let realm = realm!();
    if !support::installed(&["valgrind"]) {
        return;
    }
    let suppressions = concat!(
        "--suppressions=",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/c/valgrind.supp"
    );
    let checker = [
        "valgrind",
        "--quiet",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--error-exitcode=99",
        suppressions,
    ];
    let file = configuration("mechs = ['2.25.7301.1']\n");
    let mut running = Running::start_by(realm, &file, &checker);
    assert!(
        running
            .ask("begin HTTP@localhost")
            .contains("CONTINUE_NEEDED")
    );
    for (text, offer) in [
        ("[[rule]]\ntarget = 'HTTP@*'\nmechs = ['2.25.7301.2']\n", B),
        ("mechs = ['2.25.7301.1']\n", A),
        ("mechs = ['2.25.7301.2']\n", B),
    ] {
        write(&file, text);
        running.sees("HTTP@localhost", offer);
    }
    assert_eq!(running.end(), Some(0));
}

/// Threads begin contexts while the file changes: none fails, and all see the last file.
#[test]
fn threads_begin_contexts_while_the_file_changes() {
    let realm = realm!();
    let file = configuration("mechs = ['2.25.7301.1']\n");
    let mut running = Running::start(realm, &file);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for letter in [1, 2].into_iter().cycle() {
                write(&file, &format!("mechs = ['2.25.7301.{letter}']\n"));
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..12 {
            let answer = running.ask("threads 8 HTTP@localhost");
            assert!(answer.contains("threads: 0 failed"), "{answer}");
        }
        done.store(true, Ordering::Relaxed);
    });
    write(&file, "mechs = ['2.25.7301.2']\n");
    running.sees("HTTP@localhost", B);
}

/// The clock of files ticks every few milliseconds: within one tick, a file of the same size has the
/// same stamp.
#[test]
fn a_file_that_is_written_over_in_the_same_tick_is_read_again() {
    let realm = realm!();
    let file = configuration("mechs = ['2.25.7301.1']\n");
    let mut running = Running::start(realm, &file);
    for _ in 0..40 {
        write_over(&file, "mechs = ['2.25.7301.2']\n");
        running.sees("HTTP@localhost", B);
        write_over(&file, "mechs = ['2.25.7301.1']\n");
        running.sees("HTTP@localhost", A);
    }
}

/// An editor empties a file, or takes it away, before it writes it anew: that is no word of the
/// administrator's that everything is allowed.
#[test]
fn a_file_that_is_being_written_is_not_believed_to_be_empty() {
    let realm = realm!();
    let file = configuration("mechs = ['2.25.7301.1']\n");
    let mut running = Running::start(realm, &file);
    running.sees("HTTP@localhost", A);
    write_over(&file, "");
    running.sees("HTTP@localhost", A);
    fs::remove_file(&file).unwrap();
    running.sees("HTTP@localhost", A);
    write_over(&file, "mechs = ['2.25.7301.2']\n");
    running.sees("HTTP@localhost", B);
}

#[test]
fn the_variables_are_compared_at_each_use() {
    let realm = realm!();
    let (first, second) = (
        configuration("mechs = ['2.25.7301.1']\n"),
        configuration("mechs = ['2.25.7301.2']\n"),
    );
    let mut running = Running::start(realm, &first);
    running.sees("HTTP@localhost", A);
    running.ask(&format!("set GSS_SPNEGO_CONFIG {}", second.display()));
    running.sees("HTTP@localhost", B);
    running.ask("set GSS_SPNEGO_MECHS 2.25.7301.1");
    running.sees("HTTP@localhost", A);
    running.ask("set GSS_SPNEGO_MECHS krb5");
    running.sees("HTTP@localhost", "krb5: No Kerberos credentials available");
    running.ask("unset GSS_SPNEGO_MECHS");
    running.sees("HTTP@localhost", B);
    running.ask("set GSS_SPNEGO_CONFIG");
    running.sees("HTTP@localhost", "mechs=script-a,script-b");
}

/// What the glue has loaded it keeps; what its file no longer names is not offered.
#[test]
fn the_catalog_is_compared_at_each_use() {
    let realm = realm!();
    let of = |scripts| {
        let config = MechConfig::new(Side::Ours).with_scripts(scripts).write();
        (fs::read_to_string(&config).unwrap(), config)
    };
    let ((both, config), (only_a, of_a)) = (of("ab"), of("a"));
    let file = configuration("");
    let mut running = Running::start_with(realm, &file, &[], &config);
    for _ in 0..5 {
        running.sees("HTTP@localhost", "mechs=script-a,script-b");
        write_over(&config, &only_a);
        running.sees("HTTP@localhost", "mechs=script-a ");
        write(&config, &both);
    }
    running.ask(&format!("set GSS_MECH_CONFIG {}", of_a.display()));
    running.sees("HTTP@localhost", "mechs=script-a ");
    running.ask(&format!("set GSS_MECH_CONFIG {}", config.display()));
    running.sees("HTTP@localhost", "mechs=script-a,script-b");
}

const USER: &str = "SPNEGO:user:sesame\n";
/// As long as [`USER`].
const NOBODY: &str = "#SPNEGO:no:sesame\n\n";

/// Whether NTLM has users, of both kinds of NTLM, with credentials and without.
#[test]
fn the_users_of_ntlm_are_looked_for_at_each_use() {
    let realm = realm!();
    assert_eq!(USER.len(), NOBODY.len());
    for (config, winbind) in [
        (MechConfig::new(Side::Ours), ""),
        (
            MechConfig::new(Side::Ours).with_ntlm(),
            " and winbind does not run",
        ),
    ] {
        let mut running = Running::start_with(realm, &configuration(""), &[], &config.write());
        running.ask("set KRB5_KTNAME FILE:/nonexistent");
        let users = scratch_file("ntlm.users");
        let offered = "mechs=ntlmssp";
        for order in ["HTTP@localhost", "acquire initiate", "acquire accept"] {
            let works = if order.contains('@') {
                offered
            } else {
                "COMPLETE"
            };
            running.ask("unset NTLM_USER_FILE");
            let answer = running.sees(order, "krb5: ");
            let unset = format!("no user: NTLM_USER_FILE is not set{winbind}");
            let is_told = answer.contains(&unset);
            // Where no NTLM is configured at all, nothing is said of it.
            assert_eq!(is_told, !winbind.is_empty(), "{answer}");
            assert!(is_told || !answer.contains("ntlmssp"), "{answer}");
            running.ask(&format!("set NTLM_USER_FILE {}", users.display()));
            running.sees(order, users.to_str().unwrap());
            write_over(&users, USER);
            running.sees(order, works);
            for _ in 0..5 {
                write_over(&users, NOBODY);
                running.sees(order, &format!("no user in {}", users.display()));
                write_over(&users, USER);
                running.sees(order, works);
            }
            running.ask("set NTLM_USER_FILE");
            let empty = format!("no user: NTLM_USER_FILE is set and names no file{winbind}; have ");
            running.sees(order, &empty.replace(" and winbind", ", and winbind"));
            fs::remove_file(&users).unwrap();
        }
    }
}

/// A credential of the glue's NTLM is acquired when it is needed, and that it could not be is no
/// answer for the next time.
#[test]
fn a_credential_that_was_kept_is_acquired_when_there_is_a_user_again() {
    let realm = realm!();
    let config = MechConfig::new(Side::Ours).with_ntlm().write();
    let mut running = Running::start_with(realm, &configuration(""), &[], &config);
    let users = scratch_file("ntlm.users");
    write(&users, USER);
    running.ask(&format!("set NTLM_USER_FILE {}", users.display()));
    running.ask(&format!(
        "set KRB5CCNAME {}",
        realm.environment()["KRB5CCNAME"]
    ));
    running.sees("keep initiate", "COMPLETE");
    for _ in 0..3 {
        running.sees("HTTP@localhost", "mechs=krb5,ntlmssp ");
        fs::remove_file(&users).unwrap();
        running.sees("HTTP@localhost", "mechs=krb5 ");
        write(&users, NOBODY);
        running.sees("HTTP@localhost", "mechs=krb5 ");
        write(&users, USER);
    }
}

#[test]
fn a_ticket_cache_is_looked_for_at_each_use() {
    let realm = realm!();
    let config = MechConfig::new(Side::Ours).write();
    let mut running = Running::start_with(realm, &configuration(""), &[], &config);
    let cache = &realm.environment()["KRB5CCNAME"];
    for _ in 0..3 {
        running.sees("HTTP@localhost", "krb5: ");
        running.ask(&format!("set KRB5CCNAME {cache}"));
        running.sees("HTTP@localhost", "mechs=krb5");
        running.ask("set KRB5CCNAME FILE:/nonexistent");
    }
}

#[test]
fn a_keytab_is_looked_for_at_each_use() {
    let realm = realm!();
    let config = MechConfig::new(Side::Ours).write();
    let mut running = Running::start_with(realm, &configuration(""), &[], &config);
    let there = realm.environment()["KRB5_KTNAME"].clone();
    for _ in 0..3 {
        running.ask("set KRB5_KTNAME FILE:/nonexistent");
        running.sees("acquire accept", "/nonexistent");
        running.ask(&format!("set KRB5_KTNAME {there}"));
        running.sees("acquire accept", "COMPLETE");
    }
}

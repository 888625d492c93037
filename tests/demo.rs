//! `demo/run`, which checks what it shows: curl and a program of Heimdal's signing in to Apache and
//! ssh logging in, with the plugin in all the processes; and that it cannot pass without the
//! plugin.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;

#[test]
fn curl_and_heimdal_sign_in_to_apache_and_ssh_logs_in() {
    let Some(demo) = run(&support::built().plugin) else {
        return;
    };
    assert!(demo.passed, "{}", demo.said);
    for claim in [
        "REMOTE_USER is <b>alice@DEMO.TEST</b>",
        "curl is process",
        "Apache's worker is process",
        "HTTP status 401",
        "signed in by mechanism krb5, the server has proved itself",
        "the program is process",
        "its GSS-API library is libgssapi.so.3",
        "Authenticated to localhost",
        "sshd's session is process",
        "=== All of it went as it should",
    ] {
        assert!(demo.said.contains(claim), "no '{claim}' in {}", demo.said);
    }
}

/// As in a container that may not unshare. It makes /run/sshd then, here in a /run of its own.
#[test]
fn without_mount_namespaces_heimdal_is_left_out_loudly() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = "mount -t tmpfs -o mode=755 tmpfs /run && exec \"$0\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]);
    command
        .arg(root.join("demo/run"))
        .env("DEMO_NAMESPACE", "none");
    let Some(demo) = run_by(command, &support::built().plugin) else {
        return;
    };
    assert!(demo.passed, "{}", demo.said);
    for claim in [
        "SKIPPED: 'unshare --mount' is not permitted here",
        "sshd's session is process",
        "=== Heimdal was SKIPPED. The rest: All of it went as it should",
    ] {
        assert!(demo.said.contains(claim), "no '{claim}' in {}", demo.said);
    }
}

/// MIT passes over what it cannot load, signs in by its own SPNEGO and says nothing.
#[test]
fn a_plugin_that_cannot_be_loaded_fails_the_demo() {
    let Some(demo) = run(Path::new(file!())) else {
        return;
    };
    assert!(!demo.passed, "{}", demo.said);
    assert!(
        demo.said.contains("the plugin did not run in curl"),
        "{}",
        demo.said
    );
}

struct Demo {
    passed: bool,
    said: String,
}

fn run(library: &Path) -> Option<Demo> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    run_by(Command::new(root.join("demo/run")), library)
}

fn run_by(mut command: Command, library: &Path) -> Option<Demo> {
    if let Err(lacking) = can_run() {
        assert!(std::env::var_os("CI").is_none(), "{lacking}");
        eprintln!("SKIPPED: the demo, because {lacking}");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = command.env("LIBRARY", root.join(library)).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some(Demo {
        passed: output.status.success(),
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}

fn can_run() -> Result<(), String> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        return Err("it needs root".to_owned());
    }
    ["sbin/apache2", "sbin/krb5kdc", "sbin/sshd", "bin/curl"]
        .into_iter()
        .find(|program| !Path::new("/usr").join(program).exists())
        .map_or(Ok(()), |program| {
            Err(format!("/usr/{program} is missing; run tools/deps demo"))
        })
}

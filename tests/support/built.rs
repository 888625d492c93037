//! What users get, the plugin, the tool and the library for C, built by cargo as these tests were, so
//! that none of them can be stale.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where cargo put them.
pub(crate) struct Built {
    /// The plugin.
    pub(crate) plugin: PathBuf,
    /// The command-line tool.
    pub(crate) tool: PathBuf,
    /// The library for C programs, under cargo's name for it.
    pub(crate) library: PathBuf,
}

/// Build them, once in this process; at once where cargo finds nothing to do.
pub(crate) fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let artifacts = build();
        let find = |package: &str, end: &str| {
            let files = artifacts
                .iter()
                .filter(|(of, _)| of == package)
                .map(|(_, file)| file);
            let mut files = files.filter(|file| file.to_string_lossy().ends_with(end));
            files
                .next()
                .unwrap_or_else(|| panic!("cargo built no {end} of {package}: {artifacts:?}"))
                .clone()
        };
        Built {
            plugin: find("gss_spnego", ".so"),
            tool: find("spnego", "/spnego"),
            library: find("gss_spnego_capi", ".so"),
        }
    })
}

/// The tool, as a command line has it.
pub(crate) fn tool() -> &'static str {
    built().tool.to_str().unwrap()
}

/// Every file that cargo makes of the workspace in the profile of this test, with its target's name.
fn build() -> Vec<(String, PathBuf)> {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).and_then(Path::file_name).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--workspace", "--locked", "--message-format=json"])
        .args(["--profile", profile_of(profile.to_str().unwrap())])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    // What cargo tells this test of its own package: build scripts look at it, and would run again.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    if cfg!(feature = "generate") {
        command.args(["--features", "generate"]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut found = Vec::new();
    for artifact in messages.filter(|message| message["reason"] == "compiler-artifact") {
        let name = artifact["target"]["name"].as_str().unwrap();
        for file in artifact["filenames"].as_array().unwrap() {
            found.push((name.to_owned(), file.as_str().unwrap().into()));
        }
    }
    found
}

/// The profile whose directory has this name.
fn profile_of(directory: &str) -> &str {
    if directory == "debug" {
        "dev"
    } else {
        directory
    }
}

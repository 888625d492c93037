//! C harnesses: compiled once in a test binary, run with a time limit.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use super::heimdal::{HEADERS, Library};
use super::realm::run;
use super::{Environment, scratch};

/// What a harness is compiled with besides the warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sanitizer {
    /// Nothing.
    None,
    /// AddressSanitizer, with LeakSanitizer at the end, and UndefinedBehaviorSanitizer.
    Address,
    /// ThreadSanitizer.
    Thread,
}

/// A compiled harness.
#[derive(Clone, Debug)]
pub(crate) struct Harness {
    program: PathBuf,
}

/// What a run of a harness came to.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Its exit status; 128 and the signal where one ended it, 124 after the time limit.
    pub(crate) status: i32,
    /// Its report.
    pub(crate) report: String,
    /// What it said besides.
    pub(crate) errors: String,
}

impl Harness {
    /// `tests/c/<name>.c`, with the sources it shares with the others.
    pub(crate) fn named(name: &str) -> Self {
        Self::with(name, Sanitizer::None)
    }

    /// The same with a sanitizer.
    pub(crate) fn with(name: &str, sanitizer: Sanitizer) -> Self {
        let flags: &[&str] = match sanitizer {
            Sanitizer::None => &[],
            Sanitizer::Address => &["-fsanitize=address,undefined", "-fno-omit-frame-pointer"],
            Sanitizer::Thread => &["-fsanitize=thread"],
        };
        let program = built(&format!("{name}-{sanitizer:?}"), |program| {
            let shared = ["common", "channel", "messages", "handshake"];
            let mut arguments = sources(&[name]);
            arguments.extend(sources(&shared));
            arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
            arguments
                .extend(["-lgssapi_krb5", "-lkrb5", "-ldl", "-pthread"].map(ToOwned::to_owned));
            compile(&arguments, program);
        });
        Self { program }
    }

    /// The library for C programs under the name that it is installed by.
    pub(crate) fn library() -> PathBuf {
        built("libgss_spnego.so.0", |library| {
            std::fs::copy(&super::built().library, library).unwrap();
        })
    }

    /// These sources of `tests/c`, for a program that is linked with `objects` in this order.
    pub(crate) fn linked(name: &str, files: &[&str], objects: &[&str]) -> Self {
        let program = built(name, |program| {
            let mut arguments = sources(files);
            arguments.push(concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include").into());
            arguments.extend(objects.iter().map(|object| (*object).to_owned()));
            arguments.push(format!("-Wl,-rpath,{}", scratch().display()));
            compile(&arguments, program);
        });
        Self { program }
    }

    /// `tests/c/<name>.c`, linked to nothing but the C library.
    pub(crate) fn alone(name: &str) -> Self {
        let program = built(&format!("{name}-alone"), |program| {
            let mut arguments = sources(&[name]);
            arguments.push("-ldl".into());
            compile(&arguments, program);
        });
        Self { program }
    }

    /// The same for either library.
    pub(crate) fn for_library(name: &str, library: Library) -> Self {
        if library == Library::Mit {
            return Self::named(name);
        }
        let program = built(&format!("{name}-heimdal"), |program| {
            let mut arguments = sources(&[name, "common", "channel", "messages", "handshake"]);
            arguments.push("-DHEIMDAL".to_owned());
            arguments.push(format!("-I{HEADERS}"));
            arguments.push("-L/usr/lib/x86_64-linux-gnu/heimdal".to_owned());
            arguments.extend(["-lgssapi", "-lkrb5", "-ldl", "-pthread"].map(ToOwned::to_owned));
            compile(&arguments, program);
        });
        Self { program }
    }

    /// `tests/c/<name>.c` alone, a program or with these flags something else, under this name.
    pub(crate) fn object(name: &str, target: &str, flags: &[&str]) -> PathBuf {
        built(target, |program| {
            let mut arguments = sources(&[name]);
            arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
            compile(&arguments, program);
        })
    }

    /// Where the program is.
    pub(crate) fn path(&self) -> &Path {
        &self.program
    }

    /// The scripted mechanism with this letter, as a shared object.
    pub(crate) fn script(letter: char) -> PathBuf {
        built(&format!("script_{letter}.so"), |object| {
            let mut arguments = sources(&["script_mech"]);
            arguments.extend([
                format!("-DSCRIPT='{letter}'"),
                "-shared".into(),
                "-fPIC".into(),
                "-fvisibility=hidden".into(),
                // Its functions have the library's names: its own calls must reach its own.
                "-Wl,-Bsymbolic".into(),
            ]);
            compile(&arguments, object);
        })
    }

    /// The program.
    pub(crate) fn file(&self) -> &Path {
        &self.program
    }

    /// Run it.
    pub(crate) fn run(&self, arguments: &[String], variables: &Environment) -> Output {
        limited(120, &self.program, &[], arguments, variables)
    }

    /// Run it under valgrind: any error, and any definite leak, becomes status 99.
    pub(crate) fn run_checked(&self, arguments: &[String], variables: &Environment) -> Output {
        limited(170, &self.program, &Self::checker(), arguments, variables)
    }

    /// The beginning of a command that runs a program so.
    pub(crate) fn checker() -> Vec<String> {
        let suppressions = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/valgrind.supp");
        [
            "valgrind",
            "--quiet",
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite",
            "--error-exitcode=99",
            "--num-callers=30",
            &format!("--suppressions={suppressions}"),
        ]
        .map(ToOwned::to_owned)
        .to_vec()
    }
}

/// Build `name` once in this process.
fn built(name: &str, build: impl FnOnce(&Path)) -> PathBuf {
    type Builds = Mutex<HashMap<String, Arc<OnceLock<PathBuf>>>>;
    static BUILDS: OnceLock<Builds> = OnceLock::new();
    let entry = {
        let mut builds = BUILDS.get_or_init(Builds::default).lock().unwrap();
        Arc::clone(builds.entry(name.to_owned()).or_default())
    };
    entry
        .get_or_init(|| {
            let file = scratch().join(name);
            build(&file);
            file
        })
        .clone()
}

fn sources(names: &[&str]) -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c");
    names
        .iter()
        .map(|name| format!("{directory}/{name}.c"))
        .collect()
}

fn compile(arguments: &[String], target: &Path) {
    let mut all = vec!["-Wall", "-Wextra", "-Werror", "-g", "-O1", "-o"];
    all.push(target.to_str().unwrap());
    all.extend(arguments.iter().map(String::as_str));
    run("cc", &all, &Environment::new(), "");
}

fn limited(
    seconds: u32,
    program: &Path,
    before: &[String],
    arguments: &[String],
    variables: &Environment,
) -> Output {
    let output = Command::new("timeout")
        .args(["-k", "5", &seconds.to_string()])
        .args(before)
        .arg(program)
        .args(arguments)
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Output {
        // `timeout` dies of the signal that its program died of.
        status: output.status.code().unwrap_or_else(|| {
            use std::os::unix::process::ExitStatusExt;
            128 + output.status.signal().unwrap_or(0)
        }),
        report: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors,
    }
}

impl Output {
    /// The report of a run that must have ended well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(
            self.status, 0,
            "the harness failed\n{}\n{}",
            self.report, self.errors
        );
        self.report
    }
}

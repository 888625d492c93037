//! `tools/install` into a staging directory: the order that no Heimdal program may see broken,
//! and that what it takes away is what it put.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn install_puts_the_library_and_both_lines() {
    let stage = Stage::new("both-lines");
    stage.install().succeeds();
    assert!(stage.library().is_file());
    let line = format!("spnego\t{OID}\t{LIBRARY}\t-\t<interposer>\n");
    assert_eq!(stage.read(MIT_LINE), line);
    assert_eq!(stage.read(HEIMDAL_LINE), line);
    for (name, text) in [
        ("spnego.conf", include_str!("../doc/spnego.conf")),
        (
            "troubleshooting.md",
            include_str!("../doc/troubleshooting.md"),
        ),
    ] {
        assert_eq!(
            stage.read(&format!("usr/share/doc/gss-spnego/{name}")),
            text
        );
    }
}

#[test]
fn install_puts_the_tool_with_its_manual_and_completions() {
    let stage = Stage::new("tool");
    stage.install().succeeds();
    let tool = fs::metadata(stage.path("usr/bin/spnego")).unwrap();
    assert_eq!(tool.permissions().mode() & 0o777, 0o755);
    assert!(
        stage
            .read("usr/share/man/man1/spnego.1")
            .contains(".TH spnego 1")
    );
    for (shell, file) in COMPLETIONS {
        let found = stage.files().into_iter().find(|path| path.ends_with(file));
        let found = found.unwrap_or_else(|| panic!("no {file}"));
        assert_eq!(fs::read_to_string(found).unwrap(), format!("for {shell}\n"));
    }
}

#[test]
fn install_puts_the_library_for_c_where_programs_are_linked_with_it() {
    let stage = Stage::new("for-c");
    stage.install().succeeds();
    for name in ["libgss_spnego.so.0", "libgss_spnego.so"] {
        assert_eq!(stage.read(&format!("usr/lib/here/{name}")), "for C");
    }
    let link = fs::read_link(stage.path("usr/lib/here/libgss_spnego.so"));
    assert_eq!(link.unwrap(), Path::new("libgss_spnego.so.0"));
    stage.uninstall().succeeds();
    assert!(!stage.path("usr/lib/here/libgss_spnego.so").is_symlink());
}

/// What cargo makes is what `make install` looks for.
#[test]
fn what_is_built_is_what_is_installed() {
    let script = include_str!("../tools/install");
    let built = support::built();
    for (name, file) in [
        ("LIBRARY", &built.plugin),
        ("LIBRARY_FOR_C", &built.library),
        ("TOOL", &built.tool),
    ] {
        let line = format!("readonly {name}=${{{name}:-$source_directory/target/release/");
        let line = script.lines().find_map(|text| text.strip_prefix(&line));
        let default = line.and_then(|rest| rest.strip_suffix('}')).unwrap();
        assert_eq!(file.file_name().unwrap(), default);
    }
    let makefile = include_str!("../Makefile");
    assert!(makefile.contains("\n$(CARGO) build --release --locked\n"));
}

#[test]
fn the_plugin_is_installed_without_the_tool() {
    let stage = Stage::new("no-tool");
    let library = stage.path("built.so");
    fs::write(&library, "gss_inquire_mechs_for_name").unwrap();
    let outcome = stage.run_with("install", &library, Path::new("/nonexistent"));
    outcome.succeeds();
    assert!(stage.library().is_file());
    assert!(!stage.path("usr/bin").exists());
}

#[test]
fn uninstall_leaves_nothing() {
    let stage = Stage::new("leaves-nothing");
    stage.install().succeeds();
    stage.uninstall().succeeds();
    assert_eq!(stage.files(), Vec::<PathBuf>::new());
    stage.uninstall().succeeds();
}

#[test]
fn install_twice_leaves_one_line() {
    let stage = Stage::new("twice");
    stage.install().succeeds();
    let once = stage.files();
    stage.install().succeeds();
    assert_eq!(stage.files(), once);
    assert_eq!(stage.read(HEIMDAL_LINE).lines().count(), 1);
}

#[test]
fn lines_of_others_stay() {
    let stage = Stage::new("others");
    // The last line has no end, as an editor may leave it.
    let others = format!("# spnego {OID}\n#{OID}\nother 1.2.3 /lib/other.so -");
    stage.write(HEIMDAL_LINE, &format!("old {OID} /gone.so -\n{others}"));
    stage.install().succeeds();
    let line = format!("spnego\t{OID}\t{LIBRARY}\t-\t<interposer>");
    assert_eq!(stage.read(HEIMDAL_LINE), format!("{others}\n{line}\n"));
    stage.uninstall().succeeds();
    assert_eq!(stage.read(HEIMDAL_LINE), format!("{others}\n"));
    assert_eq!(stage.files(), [stage.path(HEIMDAL_LINE)]);
}

#[test]
fn uninstall_does_not_touch_a_file_without_our_line() {
    let stage = Stage::new("untouched");
    stage.write(HEIMDAL_LINE, "other 1.2.3 /lib/other.so -");
    stage.uninstall().succeeds();
    assert_eq!(stage.read(HEIMDAL_LINE), "other 1.2.3 /lib/other.so -");
}

#[test]
fn no_line_without_the_library() {
    let stage = Stage::new("no-library");
    // Nothing can be put below a file.
    stage.write("usr/lib", "in the way");
    stage.install().fails();
    assert_eq!(stage.files(), [stage.path("usr/lib")]);
}

#[test]
fn library_stays_while_a_line_cannot_be_removed() {
    for line in [MIT_LINE, HEIMDAL_LINE] {
        let stage = Stage::new("line-stays");
        stage.install().succeeds();
        stage.refuse_removal_of(line);
        stage.uninstall().fails();
        assert!(stage.path(line).is_file());
        assert!(stage.library().is_file());
    }
}

#[test]
fn library_stays_while_a_line_cannot_be_read() {
    let stage = Stage::new("unread");
    stage.install().succeeds();
    let line = stage.path(HEIMDAL_LINE);
    fs::remove_file(&line).unwrap();
    fs::create_dir(&line).unwrap();
    stage.uninstall().fails();
    assert!(stage.library().is_file());
}

#[test]
fn a_running_program_keeps_its_library() {
    let stage = Stage::new("keeps");
    stage.install().succeeds();
    let kept = fs::File::open(stage.library()).unwrap();
    let before = kept.metadata().unwrap();
    stage.install().succeeds();
    let after = fs::metadata(stage.library()).unwrap();
    assert_ne!(before.ino(), after.ino(), "replaced, not written over");
    assert_eq!(kept.metadata().unwrap().len(), before.len());
}

#[test]
fn a_library_without_heimdals_functions_gets_no_line_there() {
    let stage = Stage::new("no-heimdal");
    let library = stage.path("built.so");
    fs::write(&library, "gssi_init_sec_context").unwrap();
    stage.run("install", &library).succeeds();
    assert!(stage.path(MIT_LINE).is_file());
    assert!(!stage.path(HEIMDAL_LINE).exists());
}

/// Each shell that completions are installed for, and the end of their file's path.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/spnego"),
    ("zsh", "_spnego"),
    ("fish", "usr/share/fish/vendor_completions.d/spnego.fish"),
];

const OID: &str = "2.25.4014056348";
const LIBRARY: &str = "/usr/lib/here/gss/gss_spnego.so";
const MIT_LINE: &str = "etc/gss/mech.d/gss-spnego.conf";
const HEIMDAL_LINE: &str = "etc/gss/mech";

/// A staging directory, gone at the end.
struct Stage(PathBuf);

impl Stage {
    fn new(name: &str) -> Self {
        let name = format!("gss-spnego-install-{}-{name}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root).unwrap();
        Self(root)
    }

    /// What is installed need not work here, only name the functions that the script looks for.
    fn install(&self) -> Outcome {
        let library = self.path("built.so");
        fs::write(&library, "gss_inquire_mechs_for_name").unwrap();
        let outcome = self.run("install", &library);
        fs::remove_file(&library).unwrap();
        outcome
    }

    fn uninstall(&self) -> Outcome {
        self.run("uninstall", Path::new("/nonexistent"))
    }

    fn run(&self, task: &str, library: &Path) -> Outcome {
        let (tool, for_c) = (self.path("built-tool"), self.path("built-for-c"));
        fs::write(&for_c, "for C").unwrap();
        fs::write(&tool, "#!/bin/sh\n[ $1 = completions ] && echo for $2\n").unwrap();
        fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
        let outcome = self.run_with(task, library, &tool);
        fs::remove_file(&tool).unwrap();
        fs::remove_file(&for_c).unwrap();
        outcome
    }

    fn run_with(&self, task: &str, library: &Path, tool: &Path) -> Outcome {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/install");
        let output = Command::new(script)
            .arg(task)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("bin").display()),
            )
            .env("DESTDIR", &self.0)
            .env("LIBDIR", "/usr/lib/here")
            .env("LIBRARY", library)
            .env("TOOL", tool)
            .env("LIBRARY_FOR_C", self.path("built-for-c"))
            .output()
            .unwrap();
        Outcome(output)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    fn library(&self) -> PathBuf {
        self.path(LIBRARY.trim_start_matches('/'))
    }

    fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap()
    }

    fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// From now on `rm` fails for this file.
    fn refuse_removal_of(&self, below: &str) {
        let script = format!(
            "#!/bin/sh\ncase $* in *{below}) echo refused >&2; exit 1 ;; esac\nexec /bin/rm \"$@\"\n"
        );
        self.write("bin/rm", &script);
        fs::set_permissions(self.path("bin/rm"), Permissions::from_mode(0o755)).unwrap();
    }

    /// Every file below, directories not counted.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![self.0.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Outcome(Output);

impl Outcome {
    #[track_caller]
    fn succeeds(&self) {
        assert!(self.0.status.success(), "{:?}", self.0);
    }

    #[track_caller]
    fn fails(&self) {
        assert!(!self.0.status.success(), "{:?}", self.0);
        assert!(!self.0.stderr.is_empty(), "a failure says why");
    }
}

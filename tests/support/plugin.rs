//! The plugin's shared object, and mechanism configurations with and without it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Harness, built, scratch_file, skip};

/// Whose SPNEGO an end of a connection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one inside MIT's library.
    BuiltIn,
    /// This project's.
    Ours,
}

/// The shared object under test: the one that `GSS_SPNEGO_PLUGIN` names, else the one that cargo
/// builds. `None` where there is no plugin in it (loudly, or a failure under CI).
pub(crate) fn plugin() -> Option<&'static Path> {
    static PLUGIN: OnceLock<Option<PathBuf>> = OnceLock::new();
    PLUGIN
        .get_or_init(|| {
            let file = std::env::var_os("GSS_SPNEGO_PLUGIN")
                .map_or_else(|| built().plugin.clone(), PathBuf::from);
            let Ok(octets) = std::fs::read(&file) else {
                skip(&format!("there is no {}", file.display()));
                return None;
            };
            let symbol = b"gss_mech_interposer\0";
            if !octets.windows(symbol.len()).any(|window| window == symbol) {
                skip(&format!("{} has no gss_mech_interposer", file.display()));
                return None;
            }
            Some(for_everybody(&file))
        })
        .as_deref()
}

/// The file itself, or a copy in the scratch directory where others cannot reach it: there are tests
/// that run programs as another user, and who builds as root does so in root's own directory.
pub(crate) fn for_everybody(file: &Path) -> PathBuf {
    let passable = |directory: &Path| {
        let metadata = directory.metadata();
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    if file.ancestors().skip(1).all(passable) {
        return file.to_owned();
    }
    // No name that a linker looks for: the library for C programs has one of those here.
    let name = file.file_name().unwrap().to_string_lossy();
    let copy = scratch_file(&format!("copy-of-{name}"));
    std::fs::copy(file, &copy).unwrap();
    copy
}

/// A mechanism configuration for one process.
#[derive(Clone, Debug)]
pub(crate) struct MechConfig {
    lines: Vec<String>,
}

impl MechConfig {
    /// With the SPNEGO of `side`, and no mechanism beyond those built into the library.
    pub(crate) fn new(side: Side) -> Self {
        let lines = match side {
            Side::BuiltIn => Vec::new(),
            Side::Ours => {
                let file = plugin().expect("asked for only where it was found");
                let file = file.display();
                vec![format!("spnego 2.25.4014056348 {file} - <interposer>")]
            }
        };
        Self { lines }
    }

    /// And Debian's gss-ntlmssp.
    pub(crate) fn with_ntlm(mut self) -> Self {
        let file = "/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so";
        self.lines
            .push(format!("ntlmssp 1.3.6.1.4.1.311.2.2.10 {file}"));
        self
    }

    /// And the scripted mechanisms named by `letters` (see tests/c/script_mech.c), in this order.
    pub(crate) fn with_scripts(mut self, letters: &str) -> Self {
        for letter in letters.chars() {
            let number = u32::from(letter) - u32::from('a') + 1;
            let file = Harness::script(letter);
            self.lines.push(format!(
                "script-{letter} 2.25.7301.{number} {}",
                file.display()
            ));
        }
        self
    }

    /// Any line.
    pub(crate) fn with_line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Write it to a file for `GSS_MECH_CONFIG`.
    pub(crate) fn write(&self) -> PathBuf {
        let file = scratch_file("mechs");
        std::fs::write(&file, self.lines.join("\n") + "\n").unwrap();
        file
    }
}

/// A configuration file of the plugin's with these settings, for `GSS_SPNEGO_CONFIG`; mechanisms
/// have blanks between them. The only place that knows its syntax.
pub(crate) fn configuration(settings: &[(&str, &str)]) -> PathBuf {
    let file = scratch_file("configuration");
    let lines = settings.iter().map(|(key, value)| match *key {
        "mechs" => {
            let mechs: Vec<_> = value.split_whitespace().collect();
            format!("mechs = {mechs:?}\n")
        }
        _ if ["true", "false"].contains(value) => format!("{key} = {value}\n"),
        _ => format!("{key} = {value:?}\n"),
    });
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    file
}

/// Both sides; the system's alone (loudly) where there is no plugin.
pub(crate) fn sides() -> Vec<Side> {
    match plugin() {
        Some(_) => vec![Side::BuiltIn, Side::Ours],
        None => vec![Side::BuiltIn],
    }
}

//! The lines that name mechanisms: `name oid library [kernel module] [[options]] [<type>]`.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use spnego::error::plain;
use spnego::oid::{self, Oid};

use super::{Configured, Level, files};

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    file: PathBuf,
    number: usize,
    name: String,
    /// As it is written.
    pub(crate) oid: String,
    pub(crate) file_of_library: PathBuf,
    /// Whether MIT krb5 puts it before the mechanisms that it knows.
    pub(crate) interposer: bool,
}

impl Line {
    /// Whether it loads us.
    pub(crate) fn is_ours(&self) -> bool {
        self.oid.parse::<Oid>() == Ok(oid::OURS)
    }

    /// "line 3 of /etc/gss/mech".
    pub(crate) fn place(&self) -> String {
        format!("line {} of {}", self.number, self.file.display())
    }

    /// The mechanism and its library.
    pub(crate) fn shown(&self) -> String {
        format!(
            "{} {} is {}",
            self.name,
            self.oid,
            self.file_of_library.display()
        )
    }
}

/// What MIT krb5 reads: the file that GSS_MECH_CONFIG names, or the machine's.
pub(super) fn of_mit() -> Configured {
    if let Some(only) = std::env::var_os("GSS_MECH_CONFIG") {
        let mut configured = read(&[PathBuf::from(&only)]);
        let only = Path::new(&only).display();
        let sentence = format!(
            "GSS_MECH_CONFIG is set: {only} takes the place of /etc/gss/mech and /etc/gss/mech.d"
        );
        configured.problems.push((Level::Note, sentence));
        return configured;
    }
    let fragments = fs::read_dir(FRAGMENTS).into_iter().flatten().flatten();
    let mut fragments: Vec<PathBuf> = fragments
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new("conf")))
        .collect();
    fragments.sort();
    fragments.insert(0, PathBuf::from(MAIN));
    read(&fragments)
}

/// What Heimdal 7 reads.
pub(super) fn of_heimdal() -> Configured {
    read(&[PathBuf::from(MAIN)])
}

fn read(paths: &[PathBuf]) -> Configured {
    let mut configured = Configured {
        lines: Vec::new(),
        problems: Vec::new(),
    };
    for file in paths {
        // Most machines have only one of the files.
        if !file.exists() {
            continue;
        }
        match files::contents(file) {
            Ok(octets) => {
                let text = String::from_utf8_lossy(&octets).into_owned();
                let lines = text.lines().zip(1..);
                let lines = lines.filter_map(|(text, number)| line(file, number, text));
                configured.lines.extend(lines);
            }
            Err(error) => {
                let problem = format!("{} cannot be read: {}", file.display(), plain(&error));
                configured.problems.push((Level::Warning, problem));
            }
        }
    }
    configured
}

fn line(file: &Path, number: usize, text: &str) -> Option<Line> {
    if text.trim_start().starts_with('#') {
        return None;
    }
    let mut columns = text.split_whitespace();
    Some(Line {
        file: file.to_owned(),
        number,
        name: columns.next()?.to_owned(),
        oid: columns.next()?.to_owned(),
        file_of_library: columns.next()?.into(),
        interposer: text.contains("<interposer>"),
    })
}

const MAIN: &str = "/etc/gss/mech";
const FRAGMENTS: &str = "/etc/gss/mech.d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_ours_by_its_identifier() {
        let file = Path::new("/etc/gss/mech");
        let read = |text| line(file, 2, text);
        let ours = read("spnego 2.25.4014056348 /x.so - <interposer>").unwrap();
        assert!(ours.is_ours() && ours.interposer);
        assert_eq!(ours.place(), "line 2 of /etc/gss/mech");
        let ntlm = read("gssntlmssp_v1\t1.3.6.1.4.1.311.2.2.10\t/y.so").unwrap();
        assert!(!ntlm.is_ours() && !ntlm.interposer);
        assert_eq!(read("# spnego 2.25.4014056348 /x.so"), None);
        assert_eq!(read("spnego 2.25.4014056348"), None);
    }
}

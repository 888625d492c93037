//! The GSS-API libraries of this machine, the lines of configuration that each reads, and whether
//! it loads us for them.
#![forbid(unsafe_code)]

mod lines;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use gssapi::system::Library;

use super::child::{self, Answer, End};
use super::files;
use super::{About, Level, Report};
use lines::Line;

/// NTLM's identifier as configurations have it.
pub(crate) const NTLM: &str = "1.3.6.1.4.1.311.2.2.10";

/// What was found.
pub(crate) struct Machine {
    pub(crate) mit: Glue,
    pub(crate) heimdal: Glue,
}

/// One library, and its configuration.
pub(crate) struct Glue {
    pub(crate) library: Library,
    /// Whether it is here and answers.
    pub(crate) usable: bool,
    /// Whether its SPNEGO is ours, as far as could be learnt.
    pub(crate) ours: Option<bool>,
    pub(crate) lines: Vec<Line>,
}

pub(crate) fn examine(report: &mut Report) -> Machine {
    let mit = Glue::examine(Library::Mit, lines::of_mit(), report);
    let heimdal = Glue::examine(Library::Heimdal, lines::of_heimdal(), report);
    Machine { mit, heimdal }
}

impl Glue {
    fn examine(library: Library, configured: Configured, report: &mut Report) -> Self {
        let Configured { lines, problems } = configured;
        let end = child::ask(&["library", word(library)], &[]);
        let mut glue = Self {
            library,
            usable: false,
            ours: None,
            lines,
        };
        match &end {
            End::Answer(answer) if answer.error().is_some() => {
                let level = match library {
                    Library::Mit => Level::Warning,
                    Library::Heimdal => Level::Note,
                };
                let sentence = format!("{} is not on this machine", family(library));
                report.add(level, About::Libraries, sentence, None);
                return glue;
            }
            End::Answer(answer) => {
                glue.usable = true;
                glue.ours = answer.is("ours");
                glue.version(answer, report);
            }
            _ => {
                let what = format!("a program of {}", family(library));
                report.unanswered(About::Libraries, &what, &end);
            }
        }
        for (level, problem) in problems {
            report.add(level, About::Configuration, problem, None);
        }
        glue.configuration(report);
        if let End::Answer(answer) = &end {
            glue.loading(answer, report);
        }
        glue
    }

    fn version(&self, answer: &Answer, report: &mut Report) {
        let path = answer.text("path").unwrap_or_default();
        let version = match self.library {
            Library::Mit => version_of_mit(Path::new(path)),
            Library::Heimdal => answer
                .text("version")
                .map(|version| version.trim_start_matches("Heimdal ").to_owned()),
        };
        let shown = version.as_deref().unwrap_or("of an unknown version");
        let sentence = format!("{} {shown}: {path}", family(self.library));
        report.well(About::Libraries, sentence);
        let Some(version) = version.as_deref().and_then(numbers) else {
            return;
        };
        for fault in KNOWN_FAULTS {
            let inside =
                fault.library == self.library && fault.from <= version && version < fault.before;
            // What is inside of their SPNEGO does not matter where ours stands before it.
            if inside && !(fault.built_in && self.ours == Some(true)) {
                let remedy = fault.remedy.to_owned();
                report.add(fault.level, About::Libraries, fault.sentence, Some(remedy));
            }
        }
    }

    /// The lines by themselves.
    fn configuration(&self, report: &mut Report) {
        let whose = family(self.library);
        for line in &self.lines {
            let place = line.place();
            let shown = line.file_of_library.display();
            if !line.file_of_library.is_absolute() || line.file_of_library.exists() {
                report.well(
                    About::Configuration,
                    format!("{whose} reads {place}: {}", line.shown()),
                );
            } else if self.library == Library::Heimdal {
                let sentence = format!(
                    "{place} names {shown}, which does not exist: each program of Heimdal 7 crashes"
                );
                let remedy = format!("remove that line, or install {shown}");
                report.add(Level::Fault, About::Configuration, sentence, Some(remedy));
            } else {
                let level = if line.is_ours() {
                    Level::Fault
                } else {
                    Level::Warning
                };
                let sentence = format!(
                    "{place} names {shown}, which does not exist: MIT krb5 passes over it without a word"
                );
                let remedy = format!("remove that line, or install {shown}");
                report.add(level, About::Configuration, sentence, Some(remedy));
            }
            if line.is_ours() && self.library == Library::Mit && !line.interposer {
                let sentence =
                    format!("{place} lacks <interposer> at its end: MIT krb5 does not use it");
                let remedy = "write the line as mech.d/gss-spnego.conf has it".to_owned();
                report.add(Level::Fault, About::Configuration, sentence, Some(remedy));
            }
        }
    }

    /// Whether the lines have the effect they should have.
    fn loading(&self, answer: &Answer, report: &mut Report) {
        let whose = family(self.library);
        let mut ours = self.lines.iter().filter(|line| line.is_ours());
        let Some(line) = ours.next() else {
            let sentence = format!(
                "{whose} uses its built-in SPNEGO: no line of its configuration loads gss-spnego"
            );
            let remedy = "install gss-spnego (make install)".to_owned();
            let level = match self.library {
                Library::Mit => Level::Warning,
                Library::Heimdal => Level::Note,
            };
            report.add(level, About::Loading, sentence, Some(remedy));
            return;
        };
        let file = line.file_of_library.as_path();
        let mapped = answer.texts("mapped");
        let is_mapped = mapped
            .iter()
            .any(|mapped| same_file(Path::new(mapped), file));
        match (is_mapped, answer.is("ours")) {
            (true, Some(true)) => {
                let sentence = format!(
                    "{whose} has loaded {}, and its SPNEGO answers",
                    file.display()
                );
                report.well(About::Loading, sentence);
            }
            (_, Some(true)) => {
                let sentence = format!(
                    "{whose} has loaded gss-spnego from elsewhere than {}",
                    line.place()
                );
                report.add(Level::Warning, About::Loading, sentence, None);
            }
            (true, None) => {
                let sentence = format!("{whose} has loaded {}", file.display());
                report.well(About::Loading, sentence);
            }
            (true, Some(false)) => {
                let sentence = format!(
                    "{whose} has loaded {}, and its SPNEGO is another all the same",
                    file.display()
                );
                let remedy = "see whether a line before it replaces SPNEGO, or the library is of \
                              another version"
                    .to_owned();
                report.add(Level::Fault, About::Loading, sentence, Some(remedy));
            }
            (false, _) if !file.exists() => {}
            (false, _) => {
                let sentence = format!("{whose} does not load {}{}", file.display(), why_not(file));
                let remedy =
                    "install the library anew (make install); its machine and that of the \
                              GSS-API library have to be the same"
                        .to_owned();
                report.add(Level::Fault, About::Loading, sentence, Some(remedy));
            }
        }
    }

    /// Whether a line is to load us.
    pub(crate) fn has_our_line(&self) -> bool {
        self.lines.iter().any(Line::is_ours)
    }

    /// Where the line is that configures a mechanism.
    pub(crate) fn line_of(&self, oid: &str) -> Option<String> {
        let mut lines = self.lines.iter().filter(|line| !line.interposer);
        lines.find(|line| line.oid == oid).map(Line::place)
    }

    /// Whether a line configures a mechanism, with a library that is there.
    pub(crate) fn has_mech(&self, oid: &str) -> bool {
        let mut lines = self.lines.iter().filter(|line| !line.interposer);
        lines.any(|line| line.oid == oid && line.file_of_library.exists())
    }
}

/// What configuration was found, and what is to be said of it as a whole.
pub(crate) struct Configured {
    lines: Vec<Line>,
    problems: Vec<(Level, String)>,
}

/// What the dynamic linker says of a library.
fn why_not(file: &Path) -> String {
    let question: [&OsStr; 2] = ["open".as_ref(), file.as_os_str()];
    match child::ask(&question, &[]) {
        End::Answer(answer) => answer.error().map(|error| format!(": {error}")),
        End::Crash(signal, _) => Some(format!(": it crashes (signal {signal}) when it is loaded")),
        _ => None,
    }
    .unwrap_or_default()
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// The word for a child.
pub(crate) fn word(library: Library) -> &'static str {
    match library {
        Library::Mit => "mit",
        Library::Heimdal => "heimdal",
    }
}

/// Whose library, in a sentence.
pub(crate) fn family(library: Library) -> &'static str {
    match library {
        Library::Mit => "MIT krb5",
        Library::Heimdal => "Heimdal",
    }
}

/// The version that libkrb5, beside the GSS-API library, has inside for whoever looks for it.
fn version_of_mit(library: &Path) -> Option<String> {
    let beside: PathBuf = library.with_file_name("libkrb5.so.3");
    let octets = files::contents(&beside).ok()?;
    let at = octets
        .windows(BRAND.len())
        .position(|window| window == BRAND)?;
    let rest = octets.get(at + BRAND.len()..)?;
    let version = rest
        .iter()
        .map(|octet| char::from(*octet))
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    Some(version)
}

/// The first three numbers in a version.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let start = version.find(|c: char| c.is_ascii_digit())?;
    let mut parts = version.get(start..)?.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse().ok());
    Some([next()?, next().unwrap_or(0), next().unwrap_or(0)])
}

/// A fault that some versions have.
struct KnownFault {
    library: Library,
    from: [u32; 3],
    /// The first version without it.
    before: [u32; 3],
    /// Whether it is in the SPNEGO that the library has built in.
    built_in: bool,
    level: Level,
    sentence: &'static str,
    remedy: &'static str,
}

const KNOWN_FAULTS: &[KnownFault] = &[
    KnownFault {
        library: Library::Mit,
        from: [0, 0, 0],
        before: [1, 20, 0],
        built_in: false,
        level: Level::Warning,
        sentence: "gss-spnego does not support MIT krb5 before 1.20",
        remedy: "use MIT krb5 1.20 or later",
    },
    KnownFault {
        library: Library::Mit,
        from: [0, 0, 0],
        before: [1, 20, 1],
        built_in: false,
        level: Level::Warning,
        sentence: "an acceptor of MIT krb5 before 1.20.1 can be crashed by a ticket's PAC \
                   (CVE-2022-42898), unless the distribution has corrected it",
        remedy: "use MIT krb5 1.20.1 or later",
    },
    KnownFault {
        library: Library::Mit,
        from: [1, 21, 0],
        before: [1, 22, 2],
        built_in: true,
        level: Level::Warning,
        sentence: "the SPNEGO built into MIT krb5 1.21.0 to 1.22.1 never sees a peer's mechListMIC: \
                   nothing protects the choice of the mechanism, and Windows and NetApp may refuse",
        remedy: "let gss-spnego take its place (make install), or use MIT krb5 1.22.2 or later",
    },
    KnownFault {
        library: Library::Mit,
        from: [1, 10, 0],
        before: [1, 21, 0],
        built_in: true,
        level: Level::Note,
        sentence: "the SPNEGO built into MIT krb5 before 1.21 read past the end of malformed tokens \
                   (GHSL-2023-016 to 018), unless the distribution has corrected it",
        remedy: "let gss-spnego take its place (make install)",
    },
    KnownFault {
        library: Library::Mit,
        from: [1, 18, 0],
        before: [1, 22, 3],
        built_in: true,
        level: Level::Note,
        sentence: "the NEGOEX built into MIT krb5 up to 1.22.2 can be crashed by a peer \
                   (CVE-2026-40355, CVE-2026-40356), unless the distribution has corrected it",
        remedy: "let gss-spnego take the place of the built-in SPNEGO (make install)",
    },
    KnownFault {
        library: Library::Heimdal,
        from: [7, 0, 0],
        before: [8, 0, 0],
        built_in: false,
        level: Level::Note,
        sentence: "programs of Heimdal 7 crash when /etc/gss/mech names a library that does not exist",
        remedy: "install a library before its line, and remove the line before the library",
    },
    KnownFault {
        library: Library::Heimdal,
        from: [0, 0, 0],
        before: [7, 7, 1],
        built_in: false,
        level: Level::Warning,
        sentence: "an acceptor of Heimdal before 7.7.1 can be crashed by a peer's token \
                   (CVE-2022-3437, CVE-2022-44640, CVE-2022-42898), unless the distribution has \
                   corrected it",
        remedy: "use Heimdal 7.8",
    },
    KnownFault {
        library: Library::Heimdal,
        from: [7, 0, 0],
        before: [7, 7, 1],
        built_in: true,
        level: Level::Warning,
        sentence: "the acceptor of the SPNEGO built into Heimdal before 7.7.1 can be crashed by a peer \
                   (CVE-2021-44758), unless the distribution has corrected it",
        remedy: "let gss-spnego take its place (make install), or use Heimdal 7.8",
    },
    KnownFault {
        library: Library::Heimdal,
        from: [7, 0, 0],
        before: [8, 0, 0],
        built_in: true,
        level: Level::Note,
        sentence: "the SPNEGO built into Heimdal 7 refuses peers that leave negState out or repeat \
                   supportedMech, and cannot verify the list of mechanisms with NTLM",
        remedy: "let gss-spnego take its place (make install)",
    },
    KnownFault {
        library: Library::Heimdal,
        from: [7, 99, 0],
        before: [u32::MAX, 0, 0],
        built_in: false,
        level: Level::Note,
        sentence: "gss-spnego does not replace the SPNEGO of Heimdal after version 7",
        remedy: "use Heimdal 7 or MIT krb5 where gss-spnego is wanted",
    },
];

/// What stands before the version in libkrb5.
const BRAND: &[u8] = b"KRB5_BRAND: krb5-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(numbers("1.20.1"), Some([1, 20, 1]));
        assert_eq!(numbers("1.21"), Some([1, 21, 0]));
        assert_eq!(numbers("Heimdal 7.8.git20221117"), Some([7, 8, 0]));
        assert_eq!(numbers("none"), None);
        assert!(numbers("1.9.1") < numbers("1.20"));
    }
}

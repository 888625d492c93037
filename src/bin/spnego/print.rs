//! What every subcommand says goes through here: colour where a terminal is, control characters of
//! a peer's text made harmless, JSON, and the codes to exit with.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

/// How a subcommand prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs: one JSON value, or one a line where there are several.
    Json,
}

/// How a subcommand ends, which is what the program exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 0: nothing is wrong.
    Well,
    /// 1: something is wrong, and the output says what.
    Wrong,
    /// 2: it could not be tried: what was asked for makes no sense. clap exits so too.
    Usage,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Well => Self::SUCCESS,
            Verdict::Wrong => Self::from(1),
            Verdict::Usage => Self::from(2),
        }
    }
}

/// Over a part of the output.
pub(crate) const HEADING: Style = Style::new().bold();
/// A name that a value follows.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
/// What is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What is allowed, and may be the cause all the same.
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// What is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is read last: offsets, and remarks of the tool on itself.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// `text` in `style`. Colours are dropped on their way out where they are not wanted.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text of a peer, a file or a user, without anything that a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() || is_invisible(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

/// Whether `c` is not seen and changes how what stands around it is seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Print a line, with colours on a terminal (and not under `NO_COLOR`).
///
/// Who reads may have gone (`spnego ... | head`), or the disk may be full: the program ends then,
/// since there is nobody left to do anything for.
pub(crate) fn line(text: impl Display) {
    done(writeln!(anstream::stdout(), "{text}"));
}

/// Print a JSON value: indented for a terminal's reader, on one line otherwise, so that several
/// are JSON lines. Written at once: the threads of a server print beside each other.
pub(crate) fn json(value: &Value) {
    part(json_text(value) + "\n");
}

/// The text of a JSON value, for [`json`], and for a value that is printed in [`part`]s.
pub(crate) fn json_text(value: &Value) -> String {
    use std::io::IsTerminal;
    if io::stdout().is_terminal() {
        format!("{value:#}")
    } else {
        value.to_string()
    }
}

/// Print a part of a line, as it is.
pub(crate) fn part(text: impl Display) {
    done(write!(io::stdout(), "{text}"));
}

/// Tell on standard error why the program does not do what was asked.
pub(crate) fn complain(sentence: impl Display) {
    let error = styled(BAD, "error:");
    // There is no other place to tell that standard error is gone.
    let _ = writeln!(anstream::stderr(), "{error} {sentence}");
}

/// A usage error after clap has done: [`complain`] and the verdict.
pub(crate) fn usage(sentence: impl Display) -> Verdict {
    complain(sentence);
    Verdict::Usage
}

/// End the program when its output could not be written; nobody is left to do anything for.
pub(crate) fn done(result: io::Result<()>) {
    let Err(error) = result else {
        return;
    };
    if error.kind() != io::ErrorKind::BrokenPipe {
        complain(format_args!("standard output: {error}"));
    }
    std::process::exit(1);
}

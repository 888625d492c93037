//! What every subcommand says goes through here: colour where a terminal is, control characters of
//! a peer's text made harmless, JSON, and the codes to exit with.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use spnego::error::plain;

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

/// Whether `c` is not seen, or changes how what stands around it is seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A page for standard output. A terminal gets its text, and nothing that it would obey but the ends
/// of lines; anything else gets it octet by octet.
pub(crate) struct Page {
    is_for_people: bool,
    /// The beginning of a character whose end is still to come.
    begun: Vec<u8>,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            is_for_people: io::stdout().is_terminal(),
            begun: Vec::new(),
        }
    }

    /// What a terminal gets of the next octets.
    fn text(&mut self, octets: &[u8]) -> String {
        self.begun.extend(octets);
        let octets = std::mem::take(&mut self.begun);
        let mut text = String::new();
        for chunk in octets.utf8_chunks() {
            text.push_str(chunk.valid());
            let is_last = std::ptr::eq(
                chunk.invalid().as_ptr_range().end,
                octets.as_ptr_range().end,
            );
            if is_last && chunk.invalid().len() < LONGEST_CHARACTER {
                self.begun = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        let lines = text.split_inclusive(['\n', '\t']);
        let shown = lines.map(|line| match line.strip_suffix(['\n', '\t']) {
            Some(front) => harmless(front) + line.get(front.len()..).unwrap_or_default(),
            None => harmless(line),
        });
        shown.collect()
    }
}

impl io::Write for Page {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.is_for_people {
            let text = self.text(octets);
            io::stdout().write_all(text.as_bytes())?;
        } else {
            io::stdout().write_all(octets)?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
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
        complain(format_args!("standard output: {}", plain(&error)));
    }
    std::process::exit(1);
}

/// Octets of UTF-8.
const LONGEST_CHARACTER: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_the_text_of_a_page_and_no_orders() {
        let mut page = Page {
            is_for_people: true,
            begun: Vec::new(),
        };
        let hostile = "\u{1b}]0;x\u{7}\r\n\tgr\u{fc}n \u{202e}".as_bytes();
        let whole = page.text(hostile);
        assert_eq!(whole, "\\u{1b}]0;x\\u{7}\\u{d}\n\tgr\u{fc}n \\u{202e}");
        // However it arrives.
        let parts: String = hostile.iter().map(|octet| page.text(&[*octet])).collect();
        assert_eq!(parts, whole);
        assert_eq!(page.text(b"\xff\xfe\x9b1m"), "\u{fffd}\u{fffd}\u{fffd}1m");
    }
}

//! One line of a trace: a sentence for people whose values have names for programs. As text it is
//! the words and the values, as JSON an object of the names and the values.
#![forbid(unsafe_code)]

use std::fmt::{self, Write as _};

use crate::oid::Oid;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A sentence.
    Text,
    /// An object of JSON (RFC 8259) with nothing after it.
    Json,
}

/// A line under way. Nothing in a value can end it or drive a terminal, and values are cut when it
/// is long; words and names are ours, and always whole.
pub(super) struct Line {
    text: String,
    format: Format,
}

impl Line {
    pub(super) fn new(format: Format) -> Self {
        let mut text = String::with_capacity(160);
        if format == Format::Json {
            text.push('{');
        }
        Self { text, format }
    }

    /// The line, without a line feed.
    pub(super) fn finish(&mut self) -> String {
        if self.format == Format::Json {
            self.text.push('}');
        }
        std::mem::take(&mut self.text)
    }

    /// Words, which only people read.
    pub(super) fn say(&mut self, words: &str) -> &mut Self {
        if self.format == Format::Text {
            self.text.push_str(words);
        }
        self
    }

    /// What only programs read: people see it in the words.
    pub(super) fn mark(&mut self, name: &str, value: &str) -> &mut Self {
        match self.format {
            Format::Text => self,
            Format::Json => self.text(name, value),
        }
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.value(name, &value)
    }

    /// A text, from whatever can be shown.
    pub(super) fn value(&mut self, name: &str, value: &dyn fmt::Display) -> &mut Self {
        self.name(name);
        self.quoted(value);
        self
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, value: impl Into<u64>) -> &mut Self {
        self.name(name);
        // Writing to memory does not fail.
        let _ = write!(self.text, "{}", value.into());
        self
    }

    /// Whether something is so, which people see in the words.
    pub(super) fn truth(&mut self, name: &str, value: bool) -> &mut Self {
        if self.format == Format::Json {
            self.name(name);
            self.text.push_str(if value { "true" } else { "false" });
        }
        self
    }

    /// A mechanism, by its name or its dotted identifier.
    pub(super) fn mech(&mut self, name: &str, mech: &Oid) -> &mut Self {
        self.value(name, &format_args!("{mech:?}"))
    }

    /// Several mechanisms, of which a line shows [`MOST_ELEMENTS`].
    pub(super) fn mechs(&mut self, name: &str, mechs: &[Oid]) -> &mut Self {
        self.list(name, mechs.iter().map(|mech| format!("{mech:?}")))
    }

    /// Several texts, of which a line shows [`MOST_ELEMENTS`].
    pub(super) fn list<T: fmt::Display>(
        &mut self,
        name: &str,
        elements: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.name(name);
        let (open, between, close) = match self.format {
            Format::Text => ("", ", ", ""),
            Format::Json => ("[", ",", "]"),
        };
        let mut elements = elements.into_iter().take(MOST_ELEMENTS).peekable();
        if elements.peek().is_none() {
            self.say("none");
        }
        self.text.push_str(open);
        for (position, element) in elements.enumerate() {
            if position > 0 {
                self.text.push_str(between);
            }
            self.quoted(&element);
        }
        self.text.push_str(close);
        self
    }

    fn name(&mut self, name: &str) {
        if self.format == Format::Text {
            return;
        }
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        let _ = write!(self.text, "\"{name}\":");
    }

    fn quoted(&mut self, value: &dyn fmt::Display) {
        let format = self.format;
        let text = &mut self.text;
        match format {
            // An error says that the line is full: the value is cut.
            Format::Text => drop(write!(Printable(text), "{value}")),
            Format::Json => {
                text.push('"');
                let _ = write!(Escaped(text), "{value}");
                text.push('"');
            }
        }
    }
}

/// Text in which nothing can end the line or drive a terminal; bounded.
struct Printable<'a>(&'a mut String);

impl fmt::Write for Printable<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            if self.0.len() >= LONGEST_LINE {
                return Err(fmt::Error);
            }
            match c {
                '"' | '\'' => self.0.push(c),
                _ => self.0.extend(c.escape_debug()),
            }
        }
        Ok(())
    }
}

/// The same in a string of JSON (RFC 8259 section 7).
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            if self.0.len() >= LONGEST_LINE {
                return Err(fmt::Error);
            }
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                '\'' => self.0.push(c),
                // What is not printable has more than itself to show.
                _ if c.escape_debug().len() == 1 => self.0.push(c),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(self.0, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A line holds what was said of a dozen mechanisms; a longer one is a peer's doing.
pub(super) const LONGEST_LINE: usize = 4096;
/// More mechanisms than anyone has; a longer list is a peer's doing.
pub(super) const MOST_ELEMENTS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid::{KRB5, NTLMSSP};

    const HOSTILE: &str = "a\nb\r\u{1b}[31m \u{202e}\0 \\n \"c\"";

    #[test]
    fn one_sentence_is_text_and_json() {
        let tell = |format| {
            let mut line = Line::new(format);
            line.mark("event", "drop")
                .mech("mech", &KRB5)
                .say(": gone after ");
            line.number("octets", 5_u32).say(" of ");
            line.mechs("mechs", &[KRB5, NTLMSSP]).finish()
        };
        assert_eq!(tell(Format::Text), "krb5: gone after 5 of krb5, ntlmssp");
        assert_eq!(
            tell(Format::Json),
            r#"{"event":"drop","mech":"krb5","octets":5,"mechs":["krb5","ntlmssp"]}"#
        );
    }

    #[test]
    fn nothing_a_peer_wrote_ends_the_line_or_drives_a_terminal() {
        let text = Line::new(Format::Text).text("reason", HOSTILE).finish();
        assert_eq!(text, "a\\nb\\r\\u{1b}[31m \\u{202e}\\0 \\\\n \"c\"");
        let json = Line::new(Format::Json).text("reason", HOSTILE).finish();
        assert_eq!(
            json,
            r#"{"reason":"a\u000ab\u000d\u001b[31m \u202e\u0000 \\n \"c\""}"#
        );
        let beyond = Line::new(Format::Json).text("reason", "\u{e0001}").finish();
        assert_eq!(beyond, r#"{"reason":"\udb40\udc01"}"#);
    }

    #[test]
    fn a_long_value_is_cut_and_the_object_is_whole() {
        let long = "\"".repeat(100_000);
        let mut line = Line::new(Format::Json);
        line.text("reason", &long).text("after", &long);
        let json = line.list("mechs", vec![&long; 40]).finish();
        assert!(
            json.len() < LONGEST_LINE + 200 && json.ends_with("\"]}"),
            "{json}"
        );
        assert_eq!(json.matches("\"\"").count(), 2 + MOST_ELEMENTS);
        let text = Line::new(Format::Text).text("reason", &long).finish();
        assert_eq!(text.len(), LONGEST_LINE);
    }

    #[test]
    fn a_reader_of_json_finds_what_was_written() {
        let long = HOSTILE.repeat(1000);
        let mut line = Line::new(Format::Json);
        line.text("reason", HOSTILE).list("mechs", [HOSTILE, ""]);
        let read: serde_json::Value =
            serde_json::from_str(&line.text("long", &long).finish()).unwrap();
        assert_eq!(read["reason"], HOSTILE);
        assert_eq!(read["mechs"][0], HOSTILE);
        assert!(long.starts_with(read["long"].as_str().unwrap()));
    }
}

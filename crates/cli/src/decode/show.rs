//! The tree of a token, for people and as JSON.
#![forbid(unsafe_code)]

use serde_json::{Map, Value as Json, json};

use super::dissect::field::{Field, Level, Remark, Value, hex};
use super::input::Way;
use super::legs::{Examined, Examiner, Leg, Part};
use crate::print::{self, BAD, DOUBTFUL, FAINT, GOOD, HEADING, NAME, harmless, styled};

/// Whether octets are shown in full, the sensitive ones too.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) octets: bool,
}

/// Print legs for people, each as it is found. How much is wrong.
///
/// # Errors
/// A sentence, where the input does not go on; what was found before is printed.
pub(crate) fn text(
    legs: impl Iterator<Item = Result<Leg, String>>,
    manner: Manner,
) -> Result<usize, String> {
    let mut tally = Tally::default();
    let mut examiner = Examiner::default();
    let mut legs = legs.peekable();
    let mut number = 0;
    while let Some(leg) = legs.next() {
        let leg = leg?;
        number += 1;
        let is_one_of_several = number > 1 || legs.peek().is_some();
        let leg = examiner.examine(&leg);
        tally.add(&leg);
        print::line(styled(HEADING, heading(number, is_one_of_several, &leg)));
        if !leg.summary.is_empty() {
            print::line(format_args!("  {}", harmless(&leg.summary)));
        }
        for remark in &leg.remarks {
            remark_line(remark, 0);
        }
        if let Some(token) = &leg.field {
            field_lines(token, 0, manner.octets);
        }
        print::line("");
    }
    let doubts = match tally.doubtful {
        0 => String::new(),
        count => format!(", {}", styled(DOUBTFUL, format_args!("{count} doubtful"))),
    };
    let verdict = match tally.wrong {
        0 => styled(GOOD, "nothing is wrong with what was decoded"),
        count => styled(BAD, format_args!("{count} wrong")),
    };
    print::line(format_args!("{verdict}{doubts}"));
    Ok(tally.wrong)
}

/// Print legs as one JSON value, leg by leg. How much is wrong.
///
/// # Errors
/// As [`text`].
pub(crate) fn json(
    legs: impl Iterator<Item = Result<Leg, String>>,
    manner: Manner,
) -> Result<usize, String> {
    let mut tally = Tally::default();
    let mut examiner = Examiner::default();
    let mut number = 0;
    for leg in legs {
        let leg = leg?;
        let leg = examiner.examine(&leg);
        tally.add(&leg);
        number += 1;
        print::part(if number == 1 { "{\"legs\":[" } else { "," });
        print::part(print::json_text(&leg_json(number, &leg, manner.octets)));
    }
    let Tally { wrong, doubtful } = tally;
    print::line(format_args!(
        "],\"wrong\":{wrong},\"doubtful\":{doubtful}}}"
    ));
    Ok(wrong)
}

/// What there is to be said of all legs.
#[derive(Default)]
struct Tally {
    wrong: usize,
    doubtful: usize,
}

impl Tally {
    fn add(&mut self, leg: &Examined<'_>) {
        self.wrong += leg.count(Level::Wrong);
        self.doubtful += leg.count(Level::Doubtful);
    }
}

/// What a leg is, in a line.
fn heading(number: usize, is_one_of_several: bool, leg: &Examined<'_>) -> String {
    let found = &leg.leg.found;
    let mut parts = Vec::new();
    if is_one_of_several {
        parts.push(format!("leg {number}"));
    }
    match found.way {
        Way::ToServer => parts.push("client to server >".to_owned()),
        Way::ToClient => parts.push("server to client <".to_owned()),
        Way::Unknown => {}
    }
    match (found.header, found.scheme) {
        (Some(header), Some(scheme)) => parts.push(format!("{header}: {scheme}")),
        (None, Some(scheme)) => parts.push(scheme.to_owned()),
        _ => {}
    }
    match &leg.leg.part {
        Part::Nothing => {}
        Part::Last { token, .. } => parts.push(format!(
            "{} octets, the last of {}",
            found.octets.len(),
            token.len()
        )),
        Part::Whole | Part::Piece { .. } => parts.push(format!("{} octets", found.octets.len())),
    }
    if let Some(line) = found.line {
        if is_one_of_several {
            parts.push(format!("line {line}"));
        }
    }
    parts.join(", ")
}

fn field_lines(field: &Field<'_>, depth: usize, octets: bool) {
    let place = styled(FAINT, format_args!("{:06x} {:>6}", field.at, field.length));
    let name = styled(NAME, &field.name);
    let value = value_text(&field.value, octets);
    let colon = if value.is_empty() { "" } else { ": " };
    print::line(format_args!(
        "{place}  {:indent$}{name}{colon}{}",
        "",
        harmless(&value),
        indent = 2 * depth
    ));
    for remark in &field.remarks {
        remark_line(remark, depth + 1);
    }
    for part in &field.fields {
        field_lines(part, depth + 1, octets);
    }
}

fn remark_line(remark: &Remark, depth: usize) {
    let style = match remark.level {
        Level::Wrong => BAD,
        Level::Doubtful => DOUBTFUL,
        Level::Note => FAINT,
    };
    let section = match remark.section {
        "" => String::new(),
        section => styled(FAINT, format_args!(" [{section}]")),
    };
    print::line(format_args!(
        "{:15}{:indent$}{} {}{section}",
        "",
        "",
        styled(style, format_args!("{}:", remark.level.name())),
        harmless(&remark.text),
        indent = 2 * depth
    ));
}

fn value_text(value: &Value<'_>, octets: bool) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Number(number, None) => number.to_string(),
        Value::Number(number @ 0..=0xff, Some(name)) => format!("{name} ({number})"),
        Value::Number(number, Some(name)) => format!("{name} ({number:#x})"),
        Value::Bits(number, names) if names.is_empty() => format!("{number:#x}"),
        Value::Bits(number, names) => format!("{number:#x} {}", names.join(", ")),
        Value::Text(text) => format!("{text:?}"),
        Value::Identifier(dotted, None) => dotted.clone(),
        Value::Identifier(dotted, Some(name)) => format!("{name} ({dotted})"),
        Value::Octets(content) | Value::Sensitive(content) => match shown(value, octets) {
            Some(hex) => hex,
            None => format!("{} octets", content.len()),
        },
    }
}

/// Octets in hexadecimal, where they are shown.
fn shown(value: &Value<'_>, octets: bool) -> Option<String> {
    match value {
        Value::Octets(content) if octets || content.len() <= SHORT => Some(hex(content)),
        Value::Sensitive(content) if octets || content.is_empty() => Some(hex(content)),
        _ => None,
    }
}

fn leg_json(number: usize, leg: &Examined<'_>, octets: bool) -> Json {
    let found = &leg.leg.found;
    let mut map = Map::new();
    let mut put = |name: &str, value| drop(map.insert(name.to_owned(), value));
    put("leg", json!(number));
    put(
        "direction",
        match found.way {
            Way::ToServer => json!("client-to-server"),
            Way::ToClient => json!("server-to-client"),
            Way::Unknown => Json::Null,
        },
    );
    put("header", json!(found.header));
    put("scheme", json!(found.scheme));
    put("line", json!(found.line));
    put("length", json!(found.octets.len()));
    match &leg.leg.part {
        Part::Nothing | Part::Whole => {}
        Part::Piece { have, of } => put("fragment", json!({ "have": have, "of": of })),
        Part::Last { token, pieces } => put(
            "fragment",
            json!({ "have": token.len(), "of": token.len(), "pieces": pieces }),
        ),
    }
    put("summary", json!(leg.summary));
    put("remarks", remarks_json(&leg.remarks));
    put(
        "token",
        leg.field
            .as_ref()
            .map_or(Json::Null, |field| field_json(field, octets)),
    );
    Json::Object(map)
}

fn field_json(field: &Field<'_>, octets: bool) -> Json {
    let mut map = Map::new();
    let mut put = |name: &str, value| drop(map.insert(name.to_owned(), value));
    put("name", json!(field.name));
    put("offset", json!(field.at));
    put("length", json!(field.length));
    match &field.value {
        Value::Nothing => {}
        Value::Number(number, name) => {
            put("value", json!(number));
            if let Some(name) = name {
                put("meaning", json!(name));
            }
        }
        Value::Bits(number, names) => {
            put("value", json!(number));
            put("flags", json!(names));
        }
        Value::Text(text) => put("value", json!(text)),
        Value::Identifier(dotted, name) => {
            put("value", json!(dotted));
            if let Some(name) = name {
                put("meaning", json!(name));
            }
        }
        value @ (Value::Octets(_) | Value::Sensitive(_)) => {
            if let Some(hex) = shown(value, octets) {
                put("octets", json!(hex));
            }
        }
    }
    if !field.remarks.is_empty() {
        put("remarks", remarks_json(&field.remarks));
    }
    if !field.fields.is_empty() {
        let fields = field.fields.iter();
        put(
            "fields",
            fields.map(|field| field_json(field, octets)).collect(),
        );
    }
    Json::Object(map)
}

fn remarks_json(remarks: &[Remark]) -> Json {
    remarks
        .iter()
        .map(|remark| {
            json!({
                "level": remark.level.name(),
                "section": remark.section,
                "text": remark.text,
            })
        })
        .collect()
}

/// Octets up to this many are shown without being asked for.
const SHORT: usize = 32;

//! The floors of this crate, which the compiler does not hold: no module names one above it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module and its floor. Those of one floor stand beside each other and may not name one
/// another, except on the ground, which is one vocabulary.
const ROOMS: [(&str, u8); 14] = [
    ("advice", GROUND),
    ("answer", GROUND),
    ("channel", GROUND),
    ("error", GROUND),
    ("lock", GROUND),
    ("oid", GROUND),
    ("policy", GROUND),
    ("role", GROUND),
    ("secret", GROUND),
    ("stamp", GROUND),
    ("trace", GROUND),
    ("wire", 1),
    ("negotiate", 2),
    ("context", 3),
];
const GROUND: u8 = 0;

#[test]
fn no_room_names_one_above_it() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for named in rooms_named(&text) {
            if let Err(why) = may_name(&room_of(&file), &named) {
                wrong.push(format!("src/{}: crate::{named}: {why}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arrows_are_seen_in_every_form() {
    let text = "use crate::{error::Error, oid::{self, Oid},\n    wire};\nuse crate::negotiate::Reply;\n\
                // crate::policy is only spoken of\npub(crate) fn f() { $crate::trace::on() }\n";
    assert_eq!(
        rooms_named(text),
        ["error", "oid", "wire", "negotiate", "trace"]
    );
    assert!(may_name("negotiate", "wire").is_ok());
    assert!(may_name("policy", "oid").is_ok());
    for (from, to) in [
        ("wire", "negotiate"),
        ("error", "wire"),
        ("trace", "context"),
        ("oid", "cellar"),
        ("cellar", "oid"),
    ] {
        assert!(may_name(from, to).is_err(), "{from} -> {to}");
    }
}

fn may_name(from: &str, to: &str) -> Result<(), &'static str> {
    let floor = |room: &str| {
        ROOMS
            .iter()
            .find(|(name, _)| *name == room)
            .map(|(_, floor)| *floor)
    };
    // The crate's root holds modules, and macros such as `trace!`, which have their room's name.
    if from == "lib" || from == to {
        return Ok(());
    }
    let (Some(below), Some(above)) = (floor(to), floor(from)) else {
        return Err("this module has no floor in tests/layers.rs");
    };
    match below {
        GROUND => Ok(()),
        _ if below < above => Ok(()),
        _ if below == above => Err("these modules stand beside each other"),
        _ => Err("an arrow upwards"),
    }
}

/// The first names of every path that begins with `crate::`, comments left out.
fn rooms_named(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let mut named = Vec::new();
    for path in code.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(group) => named.extend(names_of_group(group)),
            None => named.push(first_name(path)),
        }
    }
    named
}

/// The first names of "a::x, b::{c, d}, e}...".
fn names_of_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut item = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(first_name(&std::mem::take(&mut item))),
            _ => {}
        }
        item.push(c);
    }
    names.push(first_name(&item));
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(path: &str) -> String {
    path.trim_start_matches(|c: char| c == ',' || c.is_whitespace())
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

fn room_of(file: &Path) -> String {
    let first = file.iter().next().unwrap();
    Path::new(first)
        .file_stem()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

/// Every source file, by its path in src, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 5, "no sources found in {}", root.display());
    found
}

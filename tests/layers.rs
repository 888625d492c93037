//! The walls of the house: no room names one above it, and unsafe code is only where it may be.
//! The layers are those of lib.rs: words, wire, negotiate, the mechanisms and HTTP, the system's
//! library, the door.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and its floor. Rooms of one floor stand beside each other and may not name one
/// another, except on the ground, which is one vocabulary.
const ROOMS: [(&str, u8); 16] = [
    ("advice", GROUND),
    ("error", GROUND),
    ("oid", GROUND),
    ("policy", GROUND),
    ("role", GROUND),
    ("secret", GROUND),
    ("trace", GROUND),
    ("wire", 1),
    ("negotiate", 2),
    ("ntlm", 3),
    ("glue", 3),
    ("http", 3),
    ("system", 4),
    ("ffi", DOOR),
    ("sys", C),
    ("bin", 6),
];
const GROUND: u8 = 0;
const DOOR: u8 = 5;
/// The declarations of gssapi.h: on no floor, for the rooms that touch C.
const C: u8 = u8::MAX;
const TOUCH_C: [&str; 3] = ["sys", "glue", "ffi"];

/// The files that may hold unsafe code; lib.rs and the tool's main.rs
/// name the modules, and cannot forbid it for some.
const UNSAFE_MAY_BE_IN: [&str; 11] = [
    "lib.rs",
    "bin/spnego/main.rs",
    "bin/spnego/library.rs",
    "sys.rs",
    "ffi/mod.rs",
    "ffi/table.rs",
    "ffi/arg.rs",
    "ffi/arg/handle.rs",
    "ffi/arg/iov.rs",
    "ffi/handle.rs",
    "ffi/public.rs",
];
const UNSAFE_MAY_BE_UNDER: [&str; 1] = ["glue"];

#[test]
fn no_room_names_one_above_it() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        // The tool is a crate of its own: the house is not `crate` there.
        let house = if file.starts_with("bin") {
            "gss_spnego::"
        } else {
            "crate::"
        };
        for named in rooms_named(&text, house) {
            if let Err(why) = may_name(&room_of(&file), &named) {
                wrong.push(format!("src/{}: crate::{named}: {why}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_forbidden_outside_its_rooms() {
    let exempt = |file: &Path| {
        UNSAFE_MAY_BE_IN
            .iter()
            .any(|exempt| file == Path::new(exempt))
            || UNSAFE_MAY_BE_UNDER
                .iter()
                .any(|room| file.starts_with(room))
    };
    let missing: Vec<_> = sources()
        .into_iter()
        .filter(|(file, text)| {
            !exempt(file) && !text.lines().any(|line| line == "#![forbid(unsafe_code)]")
        })
        .map(|(file, _)| file)
        .collect();
    assert!(
        missing.is_empty(),
        "without forbid(unsafe_code): {missing:?}"
    );
}

#[test]
fn arrows_are_seen_in_every_form() {
    let text = "use crate::{error::Error, oid::{self, Oid},\n    wire};\nuse crate::glue::Owned;\n\
                // crate::ffi is only spoken of\nlet x = crate::sys::gss_OID;\n\
                pub(crate) fn f() { $crate::trace::on() }\n";
    assert_eq!(
        rooms_named(text, "crate::"),
        ["error", "oid", "wire", "glue", "sys", "trace"]
    );
    let tool = "use crate::print;\nuse gss_spnego::{wire, oid::Oid};\n";
    assert_eq!(rooms_named(tool, "gss_spnego::"), ["wire", "oid"]);
    assert!(may_name("negotiate", "wire").is_ok());
    assert!(may_name("policy", "oid").is_ok());
    assert!(may_name("glue", "sys").is_ok());
    assert!(may_name("ffi", "ntlm").is_ok());
    for (from, to) in [
        ("wire", "negotiate"),
        ("negotiate", "glue"),
        ("negotiate", "sys"),
        ("ntlm", "sys"),
        ("ntlm", "glue"),
        ("trace", "ffi"),
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
        return Err("this room has no floor in tests/layers.rs");
    };
    match below {
        C if TOUCH_C.contains(&from) => Ok(()),
        C => Err("this room does not touch C"),
        GROUND => Ok(()),
        _ if below < above => Ok(()),
        _ if below == above => Err("these rooms stand beside each other"),
        _ => Err("an arrow upwards"),
    }
}

/// The first names of every path that begins with `house`, comments left out.
fn rooms_named(text: &str, house: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let mut named = Vec::new();
    for path in code.split(house).skip(1) {
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

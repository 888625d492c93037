//! README.md names what there is: each dependency and no other, each directory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_dependency_has_its_line() {
    let readme = read("README.md");
    for name in dependencies() {
        assert!(
            readme.contains(&format!("| `{name}` |")),
            "README.md says nothing of the dependency {name}"
        );
    }
}

#[test]
fn no_line_names_a_dependency_that_is_gone() {
    let known = dependencies();
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Dependencies\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let named = section.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some(name)
    });
    for name in named {
        assert!(known.contains(name), "{name} is in no Cargo.toml");
    }
}

#[test]
fn the_map_has_every_directory() {
    let readme = read("README.md");
    for parent in ["", "src/", "crates/"] {
        for name in directories(parent) {
            let entry = format!("`{parent}{name}");
            assert!(
                readme.contains(&format!("{entry}`")) || readme.contains(&format!("{entry}/")),
                "the map of README.md lacks {parent}{name}"
            );
        }
    }
}

/// What the crates of the workspace depend on and the workspace does not hold: the keys of their
/// tables of dependencies.
fn dependencies() -> BTreeSet<String> {
    let members = directories("crates/");
    let mut names = BTreeSet::new();
    for manifest in members
        .iter()
        .map(|name| format!("crates/{name}/Cargo.toml"))
    {
        names.extend(keys(&read(&manifest)));
    }
    names.extend(keys(&read("Cargo.toml")));
    names.retain(|name| !members.contains(name));
    names
}

fn keys(manifest: &str) -> Vec<String> {
    let mut table = "";
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            table = line;
        } else if table.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once(" = ")
            && !name.starts_with('#')
        {
            names.push(name.trim_end_matches(".workspace").to_owned());
        }
    }
    names
}

/// The directories in `parent`, without what builds leave and what tools hide.
fn directories(parent: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(parent)).unwrap();
    entries
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "target" && !name.starts_with('.'))
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

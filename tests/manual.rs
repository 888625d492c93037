//! The manual page names what the code has.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use gss_spnego::error::Minor;
use gss_spnego::negotiate::fragment::LARGEST_MESSAGE;
use gss_spnego::policy::{CONFIG_FILE, CONFIG_VARIABLE, Policy};

fn manual() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/gss-spnego.8")).unwrap()
}

#[test]
fn every_minor_code_is_explained() {
    let manual = manual();
    let codes = (0x2000_0000..0x2000_2000).filter(|code| Minor::from_code(*code).is_some());
    for code in codes {
        assert!(manual.contains(&format!(".It 0x{code:08x}\n")), "{code:#x}");
    }
}

#[test]
fn every_variable_that_is_read_is_described() {
    let read = std::cell::RefCell::new(Vec::new());
    Policy::read(|name| {
        read.borrow_mut().push(name.to_owned());
        (name == CONFIG_VARIABLE).then(Default::default)
    });
    let manual = manual();
    for name in read.into_inner() {
        assert!(manual.contains(&format!(".It Ev {name}\n")), "{name}");
    }
}

#[test]
fn every_documented_key_is_read_and_its_default_is_true() {
    let manual = manual();
    let keys: Vec<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix(".It Ic ")?.split(' ').next())
        .collect();
    let path = std::env::temp_dir().join(format!("gss-spnego-manual-{}", std::process::id()));
    let lines: String = keys.iter().map(|key| format!("{key} = ?\n")).collect();
    std::fs::write(&path, lines).unwrap();
    let policy =
        Policy::read(|name| (name == CONFIG_VARIABLE).then(|| path.clone().into_os_string()));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(keys.len(), 6);
    // "?" is wrong for each, and an unknown key would be told in other words.
    assert_eq!(policy.problems.len(), keys.len(), "{:?}", policy.problems);
    let unknown = |problem: &String| problem.contains("no key is called");
    assert!(
        !policy.problems.iter().any(unknown),
        "{:?}",
        policy.problems
    );
}

#[test]
fn paths_and_limits_are_those_of_the_code() {
    let manual = manual();
    assert!(manual.contains(&format!(".Pa {CONFIG_FILE}\n")));
    assert_eq!(LARGEST_MESSAGE, 262_144);
    assert!(manual.contains("may have 262,144 octets"));
}

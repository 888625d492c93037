//! The manual page and the example of a configuration say what the code does.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use spnego::error::Minor;
use spnego::negotiate::fragment::LARGEST_MESSAGE;
use spnego::oid::{KRB5, NTLMSSP};
use spnego::policy::{CONFIG_FILE, CONFIG_VARIABLE, Policy, examine};
use spnego::role::Role;

use std::os::unix::fs::PermissionsExt;

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
    let (of_rules, settings): (Vec<&str>, Vec<&str>) = keys
        .iter()
        .partition(|key| ["role", "target", "program"].contains(key));
    assert_eq!((settings.len(), of_rules.len()), (11, 3));
    // A number with a point is wrong for each, and an unknown key would be told in other words.
    let lines =
        |keys: &[&str]| -> String { keys.iter().map(|key| format!("{key} = 1.5\n")).collect() };
    let text = format!("{}[[rule]]\n{}", lines(&settings), lines(&of_rules));
    let path = std::env::temp_dir().join(format!("gss-spnego-manual-{}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let policy = examine(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(policy.problems.len(), keys.len(), "{:?}", policy.problems);
    let unknown = |problem: &String| problem.contains("no key is called");
    assert!(
        !policy.problems.iter().any(unknown),
        "{:?}",
        policy.problems
    );
}

#[test]
fn the_example_is_right_and_does_what_its_comments_say() {
    // As it is installed: a checkout may let a group write.
    let file = std::env::temp_dir().join(format!("gss-spnego-example-{}", std::process::id()));
    std::fs::write(&file, include_str!("../doc/spnego.conf")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let example = examine(&file);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(example.problems, Vec::<String>::new());
    let allowed = |role, target, program| {
        let found = example.for_target(role, Some(target), Some(program));
        found.terms.order(vec![KRB5, NTLMSSP])
    };
    let (client, server) = (Role::Initiator, Role::Acceptor);
    assert_eq!(allowed(client, "cifs@attic.corp.example", "x"), [NTLMSSP]);
    assert_eq!(allowed(client, "HTTP@www.corp.example", "x"), [KRB5]);
    assert_eq!(
        allowed(client, "HTTP@www.example.org", "x"),
        [KRB5, NTLMSSP]
    );
    assert_eq!(allowed(server, "HTTP@here", "/usr/sbin/apache2"), [KRB5]);
}

#[test]
fn paths_and_limits_are_those_of_the_code() {
    let manual = manual();
    assert!(manual.contains(&format!(".Pa {CONFIG_FILE}\n")));
    assert_eq!(LARGEST_MESSAGE, 262_144);
    assert!(manual.contains("may have 262,144 octets"));
}

//! Any octets as a configuration file: reading ends, says what is wrong by place and in bounds, and
//! whatever is not right in it allows nothing that it did not allow before.

use spnego::oid::{IAKERB, KRB5, NTLMSSP};
use spnego::policy::{MOST_PROBLEMS, Policy, read_text};
use spnego::role::Role;

/// Read the octets, ask for every kind of context, then read them with a broken rule in front.
pub(crate) fn body(octets: &[u8]) {
    let policy = read_text("conf", octets);
    check(&policy, octets);
    if octets.len() > LARGEST_TO_REPEAT {
        return;
    }
    // Octets after a rule that is for everybody and broken change nothing for anybody.
    let mut broken = b"[[rule]]\nrole = 7\n[[rule]\n".to_vec();
    broken.extend_from_slice(octets);
    let broken = read_text("conf", &broken);
    for (role, target, program) in CONTEXTS {
        let found = broken.for_target(role, target, program);
        assert!(found.terms.order(MECHS.to_vec()).is_empty());
    }
}

fn check(policy: &Policy, octets: &[u8]) {
    assert!(policy.problems.len() <= MOST_PROBLEMS);
    for problem in &policy.problems {
        assert!(problem.starts_with("conf:"), "{problem}");
        assert!(!problem.chars().any(char::is_control), "{problem}");
        assert!(problem.len() < 600, "{problem}");
    }
    assert!(policy.rules.len() <= octets.len());
    let mut last_line = 0;
    for (number, rule) in (1..).zip(&policy.rules) {
        assert_eq!(rule.number, number);
        assert!(rule.line >= last_line, "rules are in the order of the file");
        last_line = rule.line;
    }
    for (role, target, program) in CONTEXTS {
        let found = policy.for_target(role, target, program);
        let ordered = found.terms.order(MECHS.to_vec());
        for mech in MECHS {
            let allowed = found.terms.allows(&mech);
            assert_eq!(allowed.is_ok(), ordered.contains(&mech), "{allowed:?}");
            if allowed.is_ok() {
                assert!(policy.order_for_any(MECHS.to_vec()).contains(&mech));
            }
        }
    }
}

const MECHS: [spnego::oid::Oid; 3] = [KRB5, NTLMSSP, IAKERB];
type Asked = (Role, Option<&'static str>, Option<&'static str>);
const CONTEXTS: [Asked; 5] = [
    (
        Role::Initiator,
        Some("HTTP@www.corp.example"),
        Some("/usr/bin/curl"),
    ),
    (Role::Initiator, Some("ldap/10.0.0.1@REALM"), None),
    (Role::Initiator, None, Some("/usr/bin/curl")),
    (Role::Acceptor, Some("HTTP@"), Some("/usr/sbin/apache2")),
    (Role::Acceptor, None, None),
];
/// Twice reading is enough for what a mutation makes.
const LARGEST_TO_REPEAT: usize = 65_536;

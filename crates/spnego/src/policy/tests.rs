//! Policies as files and variables make them, right and wrong.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::oid::{IAKERB, KRB5, KRB5_MS, NEGOEX, NTLMSSP};

/// A configuration file of one test, removed at its end.
struct Configuration(PathBuf);

impl Configuration {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let file = format!("spnego-{}-{name}.conf", std::process::id());
        let path = std::env::temp_dir().join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Self(path)
    }

    fn read(&self, variables: &[(&str, &str)]) -> Policy {
        Policy::read(|name| match name {
            CONFIG_VARIABLE => Some(self.0.clone().into_os_string()),
            _ => variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| OsString::from(value)),
        })
    }

    /// The policy, with `conf` for the file's name in it.
    fn problems(&self) -> Vec<String> {
        let problems = self.read(&[]).problems.into_iter();
        problems.map(|problem| self.shown(&problem)).collect()
    }

    fn shown(&self, text: &str) -> String {
        text.replace(self.0.to_str().unwrap(), "conf")
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn without_file(variables: &[(&str, &str)]) -> Policy {
    Policy::read(|name| match name {
        CONFIG_VARIABLE => Some(OsString::new()),
        _ => variables
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| OsString::from(value)),
    })
}

fn initiator<'p>(policy: &'p Policy, target: &str) -> Found<'p> {
    policy.for_target(Role::Initiator, Some(target), Some("/usr/bin/curl"))
}

/// The number of the rule in force; 0: none.
fn rule_for(policy: &Policy, target: &str) -> usize {
    initiator(policy, target).rule.map_or(0, |rule| rule.number)
}

#[test]
fn every_setting_is_read() {
    let conf = Configuration::new(
        "every",
        "# what we want\n\nmechs = [\"krb5\", \"1.3.6.1.5.2.5\", 'ntlmssp'] # in this order\r\n\
         optimistic_token = false\nlegacy_windows = true\nmax_output_token_size = 0x10\n\
         ntlm = 'own'\ntrace = '/var/log/spnego.log'\ntrace_format = 'json'\n\
         require = ['mutual', 'channel_bindings', 'mic', 'target']\nkerberos_fallback = false\n\
         kerberos_for_ip = false\ndowngrade = 'refuse'",
    );
    let policy = conf.read(&[]);
    assert_eq!(policy.problems, Vec::<String>::new());
    let terms = &policy.terms;
    assert_eq!(terms.mechs, MechPolicy::Only(vec![KRB5, IAKERB, NTLMSSP]));
    assert_eq!(
        terms.rules,
        Rules {
            optimistic_token: false,
            legacy_windows: true,
            max_output_token_size: 16,
            require: Requirements {
                mutual: true,
                channel_bindings: true,
                mic: true,
                target: true,
            },
            kerberos_fallback: false,
            downgrade: Downgrade::Refuse,
        }
    );
    assert_eq!(terms.ntlm, NtlmProvider::Own);
    assert!(!terms.kerberos_for_ip);
    assert_eq!(policy.trace, TraceTo::File("/var/log/spnego.log".into()));
    assert_eq!(policy.trace_format, TraceFormat::Json);
}

#[test]
fn nothing_configured_is_the_default() {
    assert_eq!(without_file(&[]), Policy::default());
    assert_eq!(Configuration::new("empty", "").read(&[]), Policy::default());
}

#[test]
fn the_first_rule_that_matches_wins() {
    let conf = Configuration::new(
        "first",
        "mechs = ['krb5', 'ntlmssp']\n\
         [[rule]]\nprogram = 'sshd'\nmechs = []\n\
         [[rule]]\ntarget = ['HTTP@*.corp.example', '10.*']\nmechs = 'krb5'\n\
         [[rule]]\nrole = 'initiator'\ntarget = 'HTTP@www.corp.example'\nmechs = 'ntlmssp'\n\
         [[rule]]\nrole = 'acceptor'\nrequire = 'mutual'\n",
    );
    let policy = conf.read(&[]);
    assert_eq!(conf.problems(), Vec::<String>::new());
    assert_eq!(rule_for(&policy, "HTTP@www.corp.example"), 2);
    assert_eq!(rule_for(&policy, "ldap@10.0.0.1"), 2);
    assert_eq!(rule_for(&policy, "HTTP@www.example.org"), 0);
    let found = policy.for_target(Role::Acceptor, None, None);
    assert_eq!(found.rule.unwrap().number, 4);
    assert!(found.terms.rules.require.mutual);
    // What a rule does not say is as it is set outside.
    assert_eq!(found.terms.mechs, policy.terms.mechs);
    let found = policy.for_target(Role::Initiator, None, Some("/usr/sbin/sshd"));
    let reason = found.terms.allows(&KRB5).unwrap_err();
    assert_eq!(
        conf.shown(&reason),
        "not allowed by rule 1 (line 2 of conf)"
    );
    assert_eq!(
        conf.shown(&found.rule.unwrap().to_string()),
        "rule 1 (line 2 of conf)"
    );
    let found = initiator(&policy, "HTTP@a.corp.example");
    assert_eq!(found.rule.unwrap().line, 5);
    assert_eq!(found.terms.order(vec![KRB5, NTLMSSP]), [KRB5]);
}

#[test]
fn variables_override_settings_and_narrow_rules() {
    let conf = Configuration::new(
        "override",
        "mechs = 'ntlmssp'\nmax_output_token_size = 100\ntrace = 'syslog'\n\
         [[rule]]\ntarget = 'HTTP@only-krb5'\nmechs = 'krb5'\n\
         [[rule]]\ntarget = 'HTTP@says-nothing'\nrequire = 'mutual'\n",
    );
    let policy = conf.read(&[
        ("GSS_SPNEGO_MECHS", "ntlmssp iakerb"),
        ("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "0"),
        ("GSS_SPNEGO_TRACE", "stderr"),
    ]);
    assert_eq!(policy.terms.mechs, MechPolicy::Only(vec![NTLMSSP, IAKERB]));
    assert_eq!(policy.terms.rules.max_output_token_size, 0);
    assert_eq!(policy.trace, TraceTo::Stderr);
    let only_krb5 = initiator(&policy, "HTTP@only-krb5").terms;
    assert_eq!(only_krb5.order(vec![KRB5, NTLMSSP]), []);
    assert_eq!(
        conf.shown(&only_krb5.allows(&NTLMSSP).unwrap_err()),
        "not allowed by GSS_SPNEGO_MECHS or rule 1 (line 4 of conf)"
    );
    let other = initiator(&policy, "HTTP@says-nothing").terms;
    assert_eq!(other.order(vec![KRB5, NTLMSSP]), [NTLMSSP]);
    let empty = conf.read(&[("GSS_SPNEGO_MECHS", "")]);
    assert_eq!(empty.terms.mechs, MechPolicy::Only(vec![NTLMSSP]));
}

#[test]
fn order_is_the_configured_one_among_the_available() {
    let available = [KRB5, KRB5_MS, NTLMSSP, NEGOEX];
    let only = MechPolicy::parse("ntlmssp krb5").unwrap();
    assert!(only.prefers());
    assert_eq!(only.order(available.to_vec()), [NTLMSSP, KRB5, KRB5_MS]);
    assert!(!only.allow(&NEGOEX) && only.allow(&KRB5_MS));

    let all_but = MechPolicy::parse("!ntlmssp").unwrap();
    assert!(!all_but.prefers());
    assert_eq!(all_but.order(available.to_vec()), [KRB5, KRB5_MS]);
    assert!(!all_but.allow(&NTLMSSP) && all_but.allow(&KRB5));

    let both = MechPolicy::parse("krb5 ntlmssp !krb5").unwrap();
    assert_eq!(both, MechPolicy::Only(vec![NTLMSSP]));
}

#[test]
fn iakerb_and_negoex_are_for_whoever_names_them() {
    let available = [KRB5, IAKERB, NTLMSSP, NEGOEX];
    let order = |policy: MechPolicy| policy.order(available.to_vec());
    assert_eq!(order(MechPolicy::default()), [KRB5, NTLMSSP]);
    assert_eq!(order(MechPolicy::parse("!krb5").unwrap()), [NTLMSSP]);
    let named = MechPolicy::parse("negoex iakerb").unwrap();
    assert_eq!(order(named), [NEGOEX, IAKERB]);
}

#[test]
fn two_lists_allow_what_both_allow() {
    let parse = |list| MechPolicy::parse(list).unwrap();
    for (mine, other, both) in [
        ("krb5 ntlmssp", "ntlmssp iakerb", "ntlmssp"),
        ("krb5 ntlmssp", "!krb5", "ntlmssp"),
        ("!krb5", "krb5 ntlmssp", "ntlmssp"),
        ("!krb5", "!ntlmssp", "!krb5 !ntlmssp"),
        ("!krb5", "iakerb krb5", "iakerb"),
        ("iakerb krb5", "!krb5", "iakerb"),
    ] {
        assert_eq!(parse(mine).narrowed_by(&parse(other)), parse(both));
    }
    let nothing = MechPolicy::Nothing("why".to_owned());
    assert_eq!(parse("krb5").narrowed_by(&nothing), nothing);
    assert_eq!(nothing.clone().narrowed_by(&parse("krb5")), nothing);
}

#[test]
fn ntlm_off_removes_ntlm() {
    let conf = Configuration::new(
        "ntlm-off",
        "ntlm = 'off'\n[[rule]]\nntlm = 'own'\nrole = 'acceptor'\n",
    );
    let policy = conf.read(&[("GSS_SPNEGO_MECHS", "ntlmssp,krb5")]);
    let reason = policy.terms.allows(&NTLMSSP).unwrap_err();
    assert_eq!(conf.shown(&reason), "not allowed by ntlm (line 1 of conf)");
    assert_eq!(policy.terms.order(vec![KRB5, NTLMSSP]), [KRB5]);
    let acceptor = policy.for_target(Role::Acceptor, None, None);
    assert!(acceptor.terms.allows(&NTLMSSP).is_ok());
    assert_eq!(policy.order_for_any(vec![KRB5, NTLMSSP]), [KRB5, NTLMSSP]);
}

#[test]
fn wrong_settings_that_restrict_nothing_are_passed_over_and_told() {
    let conf = Configuration::new(
        "harmless",
        "optimistic_token = 'no'\nlegacy_windows = 1\nmax_output_token_size = 4\n\
         trace = 'relative'\ntrace_format = 'xml'\n\
         [[rule]]\ntrace = 'stderr'\nmax_output_token_size = -1\n",
    );
    assert_eq!(
        conf.problems(),
        [
            "conf:1:20: this is not true or false",
            "conf:2:18: this is not true or false",
            "conf:3:25: the maximum output token size is 0 (no limit) or at least 5 octets",
            "conf:4:9: \"relative\" is not stderr, syslog or an absolute path",
            "conf:5:16: \"xml\" is not text or json",
            "conf:7:1: trace is no part of a rule: it stands before the first",
            "conf:8:25: this is not a number of octets",
        ]
    );
    let policy = conf.read(&[]);
    assert_eq!(policy.terms, Terms::default());
    assert!(policy.rules[0].terms.allows(&KRB5).is_ok());
}

#[test]
fn a_setting_that_cannot_be_read_allows_nothing() {
    for (number, (line, why)) in [
        ("mechs = krb5", "conf:1:9: "),
        ("mechs", "conf:1:6: "),
        ("mechs: krb5", "conf:1:6: "),
        (
            "mechs = 'spnego'",
            "conf:1:9: SPNEGO does not negotiate itself",
        ),
        ("mechs = ''", "conf:1:9: the list of mechanisms is empty"),
        ("mechs = ['krb5', 7]", "conf:1:18: this is not a text"),
        (
            "mechs = 'krb5'\nmechs = 'ntlmssp'",
            "conf:2:1: duplicate key",
        ),
        ("mech = 'krb5'", "conf:1:1: no key is called \"mech\""),
        (
            "require = 'mutal'",
            "conf:1:11: \"mutal\" is not mutual, channel_bindings, mic or target",
        ),
        ("require = []", "conf:1:11: this list is empty"),
        ("downgrade = true", "conf:1:13: this is not allow or refuse"),
        (
            "kerberos_fallback = 'no'",
            "conf:1:21: this is not true or false",
        ),
        (
            "kerberos_for_ip = 0",
            "conf:1:19: this is not true or false",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let conf = Configuration::new(&format!("closed-{number}"), line);
        let policy = conf.read(&[]);
        assert_eq!(policy.terms.order(vec![KRB5, NTLMSSP]), [], "{line:?}");
        let problems = conf.problems();
        assert_eq!(problems.len(), 1, "{line:?}");
        assert!(problems[0].starts_with(why), "{line:?}: {problems:?}");
        let reason = policy.terms.allows(&KRB5).unwrap_err();
        assert!(reason.ends_with(&policy.problems[0]), "{reason}");
    }
    let conf = Configuration::new("closed-ntlm", "ntlm = 'of'\n");
    let policy = conf.read(&[]);
    assert!(policy.terms.allows(&NTLMSSP).is_err() && policy.terms.allows(&KRB5).is_ok());
    assert_eq!(
        conf.problems(),
        ["conf:1:8: \"of\" is not system or own or off"]
    );
    let policy = without_file(&[("GSS_SPNEGO_MECHS", "kerberso")]);
    assert_eq!(
        policy.problems,
        [
            "GSS_SPNEGO_MECHS: \"kerberso\" is not krb5, iakerb, ntlmssp, negoex or a dotted object \
             identifier"
        ]
    );
    assert_eq!(policy.terms.order(vec![KRB5]), []);
}

/// What cannot be read may have had a rule against what the variable names.
#[test]
fn a_variable_allows_nothing_while_the_file_is_wrong() {
    for text in [
        "mechs = [",
        "requires = 'mic'\n",
        "[rule]\nmechs = 'krb5'\n",
    ] {
        let conf = Configuration::new("variable-and-wrong", text);
        let policy = conf.read(&[("GSS_SPNEGO_MECHS", "krb5 ntlmssp")]);
        let found = initiator(&policy, "HTTP@www.corp.example").terms;
        assert_eq!(found.order(vec![KRB5, NTLMSSP]), [], "{text}");
        let reason = found.allows(&NTLMSSP).unwrap_err();
        assert!(reason.starts_with("no mechanism is allowed"), "{reason}");
    }
}

/// A broken rule is in the place where it stands: those before it hold, and what would have come to
/// it finds that nothing is allowed.
#[test]
fn a_rule_that_cannot_be_read_allows_nothing_to_whom_it_may_be_for() {
    let right = "[[rule]]\ntarget = 'HTTP@a'\nmechs = 'krb5'\n";
    let last = "[[rule]]\ntarget = 'HTTP@c'\nmechs = 'krb5'\n";
    for (broken, others_are_free) in [
        // Whom it is for can be read: the others are as free as they were.
        ("[[rule]]\ntarget = 'HTTP@b'\nmechs = 'kerberos'\n", true),
        ("[[rule]]\ntarget = 'HTTP@b'\nmech = 'krb5'\n", true),
        ("[[rule]]\ntarget = 'HTTP@b'\n[rule.more]\nx = 1\n", true),
        // It cannot: it may be for everybody.
        ("[[rule]]\ntarget = 7\nmechs = 'krb5'\n", false),
        ("[[rule]]\ntarget = []\n", false),
        ("[[rule]]\nrole = 'client'\n", false),
        ("[[rule]]\nprogram = 'bin/curl'\n", false),
        ("[[rule]]\ntarget = 'HTTP@b'\nmechs = \n", false),
        ("[[rule]\ntarget = 'HTTP@b'\n", false),
        ("[[rules]]\ntarget = 'HTTP@b'\n", false),
        ("[general]\ntarget = 'HTTP@b'\n", false),
        ("[[rule]]\ntarget = '''HTTP@b\n", false),
    ] {
        let conf = Configuration::new("broken-rule", format!("{right}{broken}{last}"));
        let policy = conf.read(&[]);
        let may = |target: &str| initiator(&policy, target).terms.allows(&KRB5);
        assert_eq!(policy.problems.len(), 1, "{broken:?} {:?}", policy.problems);
        assert!(conf.problems()[0].starts_with("conf:"), "{broken:?}");
        assert_eq!(rule_for(&policy, "HTTP@a"), 1, "{broken:?}");
        assert_eq!(may("HTTP@a"), Ok(()), "{broken:?}");
        let reason = may("HTTP@b").unwrap_err();
        assert!(reason.ends_with(&policy.problems[0]), "{reason}");
        for target in ["HTTP@c", "HTTP@d"] {
            assert_eq!(may(target).is_ok(), others_are_free, "{target} {broken:?}");
        }
    }
}

#[test]
fn syntax_that_is_wrong_before_any_rule_allows_nothing_at_all() {
    for (number, text) in [
        b"mechs = [\n[[rule]]\nmechs = 'krb5'\n".as_slice(),
        b"\xff\xfe = 1\n[[rule]]\nmechs = 'krb5'\n",
        b"trace = '''\n[[rule]]\nmechs = 'krb5'\n[[rule]]\n",
        b"= 1\n",
    ]
    .into_iter()
    .enumerate()
    {
        let conf = Configuration::new(&format!("syntax-{number}"), text);
        let policy = conf.read(&[]);
        assert_eq!(policy.problems.len(), 1);
        assert!(initiator(&policy, "HTTP@a").terms.allows(&KRB5).is_err());
    }
    let conf = Configuration::new(
        "not-utf-8",
        b"[[rule]]\nmechs = 'krb5'\n[[rule]]\nrole = '\xff'\n",
    );
    assert_eq!(conf.problems(), ["conf:4:9: this is not UTF-8"]);
    assert_eq!(rule_for(&conf.read(&[]), "HTTP@a"), 1);
}

#[test]
fn byte_order_mark_hides_no_key() {
    let conf = Configuration::new("bom", "\u{feff}mechs = 'krb5'\n");
    assert_eq!(conf.read(&[]).terms.mechs, MechPolicy::Only(vec![KRB5]));
}

#[test]
fn file_that_cannot_be_trusted_allows_nothing() {
    let conf = Configuration::new("writable", "mechs = 'krb5'\n");
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&conf.0, Permissions::from_mode(mode)).unwrap();
        let expected = format!(
            "conf: the configuration file is writable by others than its owner (mode {mode:03o}); \
             run chmod go-w on it"
        );
        assert_eq!(conf.problems(), [expected]);
        assert_eq!(conf.read(&[]).terms.order(vec![KRB5]), []);
    }

    let large = Configuration::new("large", vec![b'#'; 65_537]);
    assert!(large.problems()[0].contains("over 65536 octets"));
    let fits = Configuration::new("fits", vec![b'#'; 65_536]);
    assert_eq!(fits.problems(), Vec::<String>::new());

    let directory = examine(Path::new("/tmp"));
    assert!(directory.problems[0].contains("not a regular file"));
    let absent = examine(Path::new("/no/such"));
    assert_eq!(
        absent.problems,
        ["/no/such: the configuration file is not there"]
    );
    assert_eq!(absent.terms.order(vec![KRB5]), []);
}

#[test]
fn file_of_another_user_is_not_believed() {
    let conf = Configuration::new("owner", "mechs = 'krb5'\n");
    if std::os::unix::fs::chown(&conf.0, Some(65_534), None).is_err() {
        eprintln!("*** SKIPPED file_of_another_user_is_not_believed: not root");
        return;
    }
    assert!(conf.problems()[0].contains("belongs to user 65534"));
    let strict = trusted::read(&conf.0, trusted::Owner::Root);
    let why = strict.0.err().unwrap().sentence();
    assert_eq!(
        why,
        "the configuration file belongs to user 65534; run chown root on it"
    );
}

#[test]
fn problems_are_bounded_and_printable() {
    let line = |number| format!("\"\\u001b[31m{}{number}\" = 1\n", "x".repeat(1000));
    let conf = Configuration::new("bounded", (0..50).map(line).collect::<String>());
    let problems = conf.problems();
    assert_eq!(problems.len(), MOST_PROBLEMS);
    let printable = |problem: &String| !problem.chars().any(char::is_control);
    assert!(
        problems
            .iter()
            .all(|problem| problem.len() < 120 && printable(problem)),
        "{problems:?}"
    );
}

#[test]
fn nesting_without_end_is_a_mistake_like_any_other() {
    for text in [
        "a = ".to_owned() + &"[".repeat(60_000),
        "[".to_owned() + &"a.".repeat(30_000),
    ] {
        let conf = Configuration::new("nested", text);
        assert_eq!(conf.problems().len(), 1);
        let policy = conf.read(&[]);
        assert_eq!(initiator(&policy, "HTTP@a").terms.order(vec![KRB5]), []);
    }
}

/// A file that has become wrong leaves the earlier reading in force; one that was wrong before is
/// replaced by whatever comes.
#[test]
fn a_right_reading_is_kept_when_the_file_becomes_wrong() {
    let conf = Configuration::new("keeps", "mechs = 'krb5'\n");
    let source = reading::Source::new(|name| {
        (name == CONFIG_VARIABLE).then(|| conf.0.clone().into_os_string())
    });
    let right = source.clone().reading();
    fs::write(&conf.0, "mechs = 'krb\n").unwrap();
    let kept = source.clone().reading().or_keep(&right);
    assert_eq!(kept.policy.terms, right.policy.terms);
    assert_eq!(kept.policy.problems.len(), 1);
    assert!(kept.seen != right.seen, "not read again until it changes");
    fs::write(&conf.0, "mechs = 'iakerb'\n").unwrap();
    let changed = source.clone().reading().or_keep(&kept);
    assert_eq!(changed.policy.terms.mechs, MechPolicy::Only(vec![IAKERB]));
    fs::remove_file(&conf.0).unwrap();
    let gone = source.clone().reading().or_keep(&changed);
    assert_eq!(gone.policy.terms, changed.policy.terms);

    fs::write(&conf.0, "mechs = 'krb\n").unwrap();
    let wrong = source.clone().reading();
    fs::write(&conf.0, "[[rule]]\nmechs = 'krb5'\n[[rule]\n").unwrap();
    let less_wrong = source.clone().reading().or_keep(&wrong);
    assert_eq!(less_wrong.policy.rules.len(), 2);
}

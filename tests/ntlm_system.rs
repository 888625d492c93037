//! How little is asked of the system's NTLM mechanism, and in which order: told by gss-ntlmssp
//! itself, which writes a line for each of its functions that is called.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{
    Environment, NtlmEnd as End, ntlm_established as established, ntlm_users as users, part_of,
    run_ntlm, scratch_file,
};

/// The functions of gss-ntlmssp that each end called, in their order.
struct Called {
    initiator: Vec<String>,
    acceptor: Vec<String>,
    report: String,
}

impl Called {
    /// Run two ends; their variables are told apart by "i." and "a." in front.
    fn by(ends: (End, End), options: &str, environment: &Environment) -> Self {
        let logs = ["initiator", "acceptor"].map(scratch_file);
        let output = run_ntlm(
            ends,
            &format!(
                "i.env=GSSNTLMSSP_DEBUG={} a.env=GSSNTLMSSP_DEBUG={} traffic=sealed {options}",
                logs[0].display(),
                logs[1].display()
            ),
            environment,
        );
        assert!(established(&output), "{ends:?}: {output:?}");
        let [initiator, acceptor] = logs.map(|log| functions(&log));
        Self {
            initiator,
            acceptor,
            report: output.report,
        }
    }
}

/// Empty when gss-ntlmssp never wrote.
fn functions(log: &std::path::Path) -> Vec<String> {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let name = |line: &str| {
        Some(
            line.split("gssntlm_")
                .nth(1)?
                .split("()")
                .next()?
                .to_owned(),
        )
    };
    log.lines().filter_map(name).collect()
}

fn count(functions: &[String], function: &str) -> usize {
    functions
        .iter()
        .filter(|called| *called == function)
        .count()
}

/// Those of the mechListMIC's business.
fn of_the_mic(functions: &[String]) -> Vec<&str> {
    let business = [
        "init_sec_context",
        "accept_sec_context",
        "spnego_req_mic",
        "get_mic",
        "verify_mic",
        "reset_crypto",
        "wrap",
        "unwrap",
    ];
    let named = functions.iter().map(String::as_str);
    named
        .filter(|function| business.contains(function))
        .collect()
}

/// A user with a ticket and with a file of users, for NTLM would do as well.
fn with_ticket(environment: &Environment, realm: &support::Realm) -> Environment {
    let mut environment = environment.clone();
    let cache = realm.cache("user").display().to_string();
    environment.insert("KRB5CCNAME".into(), format!("FILE:{cache}"));
    environment
}

#[test]
fn while_kerberos_does_the_job_ntlm_is_offered_and_not_touched() {
    let Some((realm, environment)) = users() else {
        return;
    };
    let environment = with_ticket(&environment, realm);
    for options in ["", "cred=acquire cred.mechs=spnego", "cred=acquire"] {
        let called = Called::by((End::Over, End::Over), options, &environment);
        assert!(
            part_of(&called.report, "initiator").contains("mechs=krb5,ntlmssp "),
            "{options}: {}",
            called.report
        );
        assert!(called.report.contains("mech: krb5"), "{}", called.report);
        // The glue acquires a credential for all mechanisms, if nobody names one.
        if options != "cred=acquire" {
            assert_eq!(called.initiator, Vec::<String>::new(), "{options}");
            assert_eq!(called.acceptor, Vec::<String>::new(), "{options}");
        }
    }
}

/// What cannot be acquired later is not offered: the file of users is gone.
#[test]
fn what_is_acquired_later_is_offered_only_while_it_can_be() {
    let Some((realm, environment)) = users() else {
        return;
    };
    let mut environment = with_ticket(&environment, realm);
    environment.insert("NTLM_USER_FILE".into(), "/nonexistent".into());
    let options = "cred=acquire cred.mechs=spnego";
    let called = Called::by((End::Over, End::Over), options, &environment);
    assert!(
        part_of(&called.report, "initiator").contains("mechs=krb5 "),
        "{}",
        called.report
    );
    assert_eq!(called.initiator, Vec::<String>::new());
}

#[test]
fn a_credential_is_acquired_once_in_a_context_and_held_for_all_legs() {
    let Some((_, environment)) = users() else {
        return;
    };
    for options in ["", "cred=acquire cred.mechs=spnego"] {
        let called = Called::by((End::Over, End::Over), options, &environment);
        assert_eq!(count(&called.initiator, "init_sec_context"), 2);
        assert_eq!(
            count(&called.initiator, "acquire_cred_from"),
            1,
            "{options}: {:?}",
            called.initiator
        );
        // One of ours, and one that gss-ntlmssp acquires for the user whom it judges.
        assert_eq!(
            count(&called.acceptor, "acquire_cred_from"),
            2,
            "{options}: {:?}",
            called.acceptor
        );
    }
    // What the built-in asks: for the list, and for each leg.
    let called = Called::by((End::System, End::System), "", &environment);
    assert_eq!(count(&called.initiator, "acquire_cred_from"), 3);
}

/// MS-SPNG note 8, and its sections 3.2.5.1 and 3.3.5.1: the mechanism is asked for its MIC right
/// after its first leg, which makes it send one; and after each mechListMIC, made or verified, its
/// key stream is put back, before the first message.
#[test]
fn the_mechanism_is_asked_for_its_mic_and_its_key_stream_is_put_back() {
    let Some((_, environment)) = users() else {
        return;
    };
    let called = Called::by((End::Over, End::Over), "", &environment);
    let initiator = [
        "init_sec_context",
        "spnego_req_mic",
        "init_sec_context",
        "spnego_req_mic",
        "get_mic",
        "reset_crypto",
        "verify_mic",
        "reset_crypto",
    ];
    let business = of_the_mic(&called.initiator);
    assert_eq!(business[..initiator.len()], initiator, "{business:?}");
    assert_eq!(business[initiator.len()], "wrap", "{business:?}");
    // gss-ntlmssp writes nothing of a first leg of an acceptor.
    let acceptor = [
        "spnego_req_mic",
        "accept_sec_context",
        "spnego_req_mic",
        "verify_mic",
        "reset_crypto",
        "get_mic",
        "reset_crypto",
    ];
    let business = of_the_mic(&called.acceptor);
    assert_eq!(business[..acceptor.len()], acceptor, "{business:?}");
    assert_eq!(business[acceptor.len()], "unwrap", "{business:?}");
    // NTLM was the first choice of both: its own MIC is what made the mechListMIC mandatory.
    for line in [
        "NegTokenInit mechs=ntlmssp mechToken=ntlmssp-1",
        "token=ntlmssp-3 mic=yes",
        "state=accept-completed mic=yes",
    ] {
        assert!(called.report.contains(line), "{line}: {}", called.report);
    }
}

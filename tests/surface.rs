//! Every function of the interface about names, credentials, mechanisms and status codes, and with
//! arguments left out, asked of the system's SPNEGO and of ours: the same must be printed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{Environment, Harness, MechConfig, Output, Realm, assert_same, scratch_file};

/// A harness in the realm under a mechanism configuration.
fn run(realm: &Realm, name: &str, options: &[String], config: &MechConfig) -> Output {
    let mut variables: Environment = realm.environment();
    variables.insert(
        "GSS_MECH_CONFIG".into(),
        config.write().display().to_string(),
    );
    Harness::named(name).run(options, &variables)
}

fn assert_lines(report: &str, lines: &[&str]) {
    let mut rest = report.lines().map(str::trim);
    for line in lines {
        assert!(
            rest.any(|found| found == *line),
            "not said, in this order: {line:?}\n{report}"
        );
    }
}

#[test]
fn names_are_what_the_built_in_makes_of_them() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("names", |config| run(realm, "names", &[], config));
    assert_lines(
        &report,
        &[
            "-- canonicalized for spnego",
            "display: user@SPNEGO.TEST (krb5-principal)",
            "== accept's source",
            "display: user@SPNEGO.TEST (krb5-principal)",
            "localname: COMPLETE",
            "authorize user: COMPLETE",
            "authorize other: UNAUTHORIZED",
        ],
    );
}

#[test]
fn credentials_are_what_the_built_in_makes_of_them() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("credentials", |config| {
        let scratch = scratch_file("stored");
        std::fs::create_dir_all(&scratch).unwrap();
        let options = [
            format!("keytab={}", realm.keytab("service").display()),
            format!("user_keytab={}", realm.keytab("user").display()),
            format!("web_cache={}", realm.cache("service").display()),
            format!("scratch={}", scratch.display()),
        ];
        run(realm, "creds", &options, config)
    });
    assert_lines(
        &report,
        &[
            "use: established",
            "store_cred_into: COMPLETE",
            "== password sesame",
            "acquire_with_password: COMPLETE",
            "use: established",
            "== password wrong",
            "== impersonation, to backend@localhost",
            "impersonate: COMPLETE",
            "token: NegTokenInit mechs=krb5 mechToken=krb5:ap-req",
        ],
    );
}

#[test]
fn the_default_credential_waits_for_its_target_and_is_stored_once() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("default credentials", |config| {
        // The collection's primary cache is the service's; the target is for the user's.
        let home = scratch_file("home");
        std::fs::create_dir_all(&home).unwrap();
        let file = |name: &str| home.join(name);
        std::fs::copy(realm.cache("service"), file("tkt-service")).unwrap();
        std::fs::copy(realm.cache("user"), file("tkt-user")).unwrap();
        std::fs::write(file("primary"), "tkt-service\n").unwrap();
        std::fs::write(
            file(".k5identity"),
            format!("user@{} service=HTTP host=localhost\n", Realm::NAME),
        )
        .unwrap();
        let mut variables = realm.environment();
        variables.extend([
            ("HOME".into(), home.display().to_string()),
            ("KRB5CCNAME".into(), format!("DIR:{}", home.display())),
            (
                "GSS_MECH_CONFIG".into(),
                config.write().display().to_string(),
            ),
        ]);
        let options = [format!("scratch={}", home.display())];
        Harness::named("default_creds").run(&options, &variables)
    });
    assert_lines(
        &report,
        &[
            "== mechs spnego, lifetime not asked",
            "peer: user@SPNEGO.TEST (krb5-principal)",
            "== mechs spnego, lifetime asked",
            "peer: web/localhost@SPNEGO.TEST (krb5-principal)",
            "== store mechs none",
            "store: COMPLETE",
            "store over it: COMPLETE",
        ],
    );
}

#[test]
fn mechanisms_say_of_themselves_what_the_built_in_says() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("mechanisms", |config| run(realm, "mechs", &[], config));
    assert_lines(
        &report,
        &[
            "== spnego",
            "inquire_attrs_for_mech: COMPLETE",
            "words: COMPLETE some",
        ],
    );
    assert!(!report.contains("without a word"), "{report}");
}

#[test]
fn absent_arguments_are_errors_or_allowed() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("absent arguments", |config| {
        run(realm, "nulls", &[], config)
    });
    assert_lines(
        &report,
        &[
            "== init_sec_context",
            "== accept_sec_context",
            "== credentials",
            "== an established acceptor",
        ],
    );
}

//! Programs with threads, programs that fork, and programs that load and unload the library.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{Environment, Harness, MechConfig, Output, Realm, assert_same};

fn run(realm: &Realm, harness: &Harness, mode: &str, config: &MechConfig) -> Output {
    let mut variables: Environment = realm.environment();
    variables.insert("KRB5RCACHENAME".into(), "none:".into());
    variables.insert(
        "GSS_MECH_CONFIG".into(),
        config.write().display().to_string(),
    );
    harness.run(&[mode.to_owned()], &variables)
}

#[test]
fn thirty_two_threads_negotiate_and_talk() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("threads", |config| {
        run(realm, &Harness::named("life"), "threads", config)
    });
    assert!(
        report.starts_with(
            "handshakes: 0 failed\nfailures: 0 failed\nmessages both ways: 0 failed\n"
        )
    );
}

#[test]
fn both_sides_of_a_fork_go_on() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("fork", |config| {
        run(realm, &Harness::named("life"), "fork", config)
    });
    assert_eq!(
        report
            .matches("contexts from before: messages pass")
            .count(),
        2
    );
    assert_eq!(report.matches("a new handshake: established").count(), 2);
}

#[test]
fn the_library_can_be_used_for_the_first_time_after_a_fork() {
    let Some(realm) = Realm::shared() else { return };
    for side in support::sides() {
        let harness = Harness::named("life");
        let report = run(realm, &harness, "fork-first", &MechConfig::new(side)).ok();
        assert!(report.contains("child: established"), "{side:?}: {report}");
        assert!(report.contains("parent: established"), "{side:?}: {report}");
    }
}

#[test]
fn the_library_can_be_loaded_and_unloaded() {
    let Some(realm) = Realm::shared() else { return };
    let report = assert_same("reload", |config| {
        run(realm, &Harness::alone("reload"), "", config)
    });
    assert!(report.starts_with("rounds: 20\n"), "{report}");
}

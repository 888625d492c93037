//! The throwaway realm itself: that it starts, gives tickets, and is gone afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use support::{Environment, Pair, Pairing, Realm};

#[test]
fn realm_gives_tickets_and_is_gone_when_dropped() {
    if Realm::shared().is_none() {
        return;
    }
    let realm = Realm::start();
    let cache = Environment::from([(
        "KRB5CCNAME".to_owned(),
        format!("FILE:{}", realm.cache("user").display()),
    )]);
    let tickets = realm.run("klist", &[], &cache);
    assert!(tickets.contains("HTTP/localhost@SPNEGO.TEST"), "{tickets}");
    let directory = realm.path("");
    drop(realm);
    assert!(!directory.exists());
}

#[test]
fn kerberos_alone_works_in_it() {
    let Some(realm) = Realm::shared() else { return };
    let report = Pair::new(realm)
        .with("mech=krb5")
        .run(Pairing::REFERENCE)
        .ok();
    assert_eq!(report.matches("\nestablished\n").count(), 2, "{report}");
}

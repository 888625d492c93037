//! Whole programs over the real glue, for what only they show.

use crate::support::{Harness, MechConfig, Pair, Pairing, Realm, Side, scratch_file, skip};

/// Our SPNEGO at both ends.
pub(crate) const OURS: Pairing = Pairing {
    initiator: Side::Ours,
    acceptor: Side::Ours,
};

/// The realm, with the plugin at hand; `None`, loudly, where one is missing.
pub(crate) fn realm() -> Option<&'static Realm> {
    Realm::with_plugin()
}

/// Two programs that negotiate with their default credentials.
pub(crate) fn pair(realm: &Realm) -> Pair {
    Pair::new(realm)
}

/// Two programs that use scripted mechanisms only: what each negotiates, best first.
pub(crate) fn scripted(realm: &Realm, letters: &str, initiator: &str, acceptor: &str) -> Pair {
    Pair::new(realm)
        .with_scripts(letters)
        .options("cred=acquire cred.mechs=spnego")
        .with(format!("i.neg={initiator}"))
        .with(format!("a.neg={acceptor}"))
}

/// Whether one of the lines is this, indented or not.
pub(crate) fn has_line(report: &str, line: &str) -> bool {
    report.lines().any(|found| found.trim() == line)
}

/// One end that has scripted mechanisms only and is fed by hand: what it reports of these actions of
/// tests/c/fragments.c.
pub(crate) fn fed(realm: &Realm, role: &str, actions: &str) -> String {
    let config = MechConfig::new(Side::Ours).with_scripts("ab").write();
    let mut variables = realm.environment();
    for (name, value) in [
        ("GSS_MECH_CONFIG", config.display().to_string()),
        ("KRB5CCNAME", "FILE:/nonexistent".to_owned()),
        ("KRB5_KTNAME", "FILE:/nonexistent".to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    let words = [role].into_iter().chain(actions.split_whitespace());
    let arguments: Vec<String> = words.map(ToOwned::to_owned).collect();
    Harness::named("fragments").run(&arguments, &variables).ok()
}

/// Whose NTLM one end has, under which SPNEGO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ntlm {
    /// Ours, under ours.
    Own,
    /// gss-ntlmssp, under MIT's.
    System,
}

/// Two programs that negotiate NTLM and exchange sealed messages, the initiator's first; `None`,
/// loudly, where gss-ntlmssp is not installed.
pub(crate) fn ntlm(
    realm: &Realm,
    initiator: Ntlm,
    acceptor: Ntlm,
    traffic: &str,
) -> Option<String> {
    if !std::path::Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        skip("gss-ntlmssp is not installed");
        return None;
    }
    let users = scratch_file("ntlm.users");
    std::fs::write(&users, "SPNEGO:user:sesame\n").unwrap();
    let mut variables = realm.environment();
    variables.insert("NTLM_USER_FILE".into(), users.display().to_string());
    variables.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    let config = |ntlm| match ntlm {
        Ntlm::Own => MechConfig::new(Side::Ours).write(),
        Ntlm::System => MechConfig::new(Side::BuiltIn).with_ntlm().write(),
    };
    let mut arguments: Vec<String> = [
        "both",
        "flags=mutual,replay,seq,conf,integ",
        "ask_target=no",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    arguments.push(format!("traffic={traffic}"));
    arguments.push(format!("i.config={}", config(initiator).display()));
    arguments.push(format!("a.config={}", config(acceptor).display()));
    Some(Harness::named("pair").run(&arguments, &variables).ok())
}

//! NTLM's ends of `tests/c/pair.c`: whose SPNEGO and whose NTLM each has, and the users.

use super::{
    Environment, Harness, MechConfig, Output, Realm, Side, configuration, plugin, scratch_file,
    skip,
};

/// Whose SPNEGO and whose NTLM one end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NtlmEnd {
    /// Our SPNEGO and our NTLM, since there is no other.
    Own,
    /// Our SPNEGO and, though gss-ntlmssp is there, our NTLM.
    Beside,
    /// Our SPNEGO over gss-ntlmssp.
    Over,
    /// The system's SPNEGO over gss-ntlmssp.
    System,
}

impl NtlmEnd {
    /// For `GSS_MECH_CONFIG`.
    pub(crate) fn mechs(self) -> String {
        let config = match self {
            Self::Own => MechConfig::new(Side::Ours),
            Self::Beside | Self::Over => MechConfig::new(Side::Ours).with_ntlm(),
            Self::System => MechConfig::new(Side::BuiltIn).with_ntlm(),
        };
        config.write().display().to_string()
    }

    /// For `GSS_SPNEGO_CONFIG`.
    pub(crate) fn settings(self) -> String {
        match self {
            Self::Beside => configuration(&[("ntlm", "own")]).display().to_string(),
            Self::Own | Self::Over | Self::System => String::new(),
        }
    }

    /// Both, for a process of one end.
    pub(crate) fn environment(self) -> Environment {
        Environment::from([
            ("GSS_MECH_CONFIG".to_owned(), self.mechs()),
            ("GSS_SPNEGO_CONFIG".to_owned(), self.settings()),
        ])
    }
}

/// The realm and the environment of a user without a ticket and with a file of users; `None`,
/// loudly, where something is missing.
pub(crate) fn ntlm_users() -> Option<(&'static Realm, Environment)> {
    let realm = Realm::shared()?;
    if plugin().is_none() {
        skip("NTLM under our SPNEGO");
        return None;
    }
    if !std::path::Path::new("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so").exists() {
        skip("gss-ntlmssp is not installed");
        return None;
    }
    let mut environment = realm.environment();
    environment.insert("NTLM_USER_FILE".into(), user_file("SPNEGO:user:sesame\n"));
    environment.insert("KRB5CCNAME".into(), "FILE:/nonexistent".into());
    Some((realm, environment))
}

/// A file of users with these lines.
pub(crate) fn user_file(lines: &str) -> String {
    let file = scratch_file("ntlm.users");
    std::fs::write(&file, lines).unwrap();
    file.display().to_string()
}

/// Run `pair` with an initiator and an acceptor that ask for everything.
pub(crate) fn run_ntlm(
    ends: (NtlmEnd, NtlmEnd),
    options: &str,
    environment: &Environment,
) -> Output {
    let mut arguments = vec![
        "both".to_owned(),
        "flags=mutual,replay,seq,conf,integ".to_owned(),
        "ask_target=no".to_owned(),
    ];
    let mut variables = [ends.0, ends.1].map(|end| format!("GSS_SPNEGO_CONFIG={}", end.settings()));
    for option in options.split_ascii_whitespace() {
        match (option.strip_prefix("i.env="), option.strip_prefix("a.env=")) {
            (Some(more), _) => variables[0] += &format!(";{more}"),
            (_, Some(more)) => variables[1] += &format!(";{more}"),
            _ => arguments.push(option.to_owned()),
        }
    }
    arguments.push(format!("i.env={}", variables[0]));
    arguments.push(format!("a.env={}", variables[1]));
    arguments.push(format!("i.config={}", ends.0.mechs()));
    arguments.push(format!("a.config={}", ends.1.mechs()));
    Harness::named("pair").run(&arguments, environment)
}

/// Whether both ends were established.
pub(crate) fn ntlm_established(output: &Output) -> bool {
    let lines = output.report.lines();
    output.status == 0 && lines.filter(|line| line.trim() == "established").count() == 2
}

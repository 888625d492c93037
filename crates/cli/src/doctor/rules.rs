//! The policy in force for the target, and where NTLM would get its users from.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use spnego::advice::Trouble;
use spnego::error::plain;
use spnego::oid;
use spnego::policy::{
    CONFIG_FILE, CONFIG_VARIABLE, Downgrade, MechPolicy, NtlmProvider, Policy, Terms, TraceTo,
};
use spnego::role::Role;
use spnego::trace::check_file;

use super::machine::Machine;
use super::{About, Case, Level, Report, Target};
use crate::leg;

pub(crate) fn examine(case: &Case<'_>, machine: &Machine, report: &mut Report) {
    let policy = Policy::read(|name| std::env::var_os(name));
    for problem in &policy.problems {
        let remedy = "correct the line; man gss-spnego says what may stand there".to_owned();
        report.add(Level::Fault, About::Policy, problem.clone(), Some(remedy));
    }
    if ![&machine.mit, &machine.heimdal]
        .iter()
        .any(|glue| glue.has_our_line())
    {
        let sentence = "no library loads gss-spnego: nothing obeys what is said here of its policy";
        report.add(Level::Note, About::Policy, sentence, None);
    }
    sources(report);
    trace(&policy, report);
    if policy.names(&oid::NEGOEX) {
        let sentence =
            "mechs names negoex, which no GSS-API library has as a mechanism: it is passed over";
        let remedy = "take negoex out of mechs".to_owned();
        report.add(Level::Note, About::Policy, sentence, Some(remedy));
    }
    let target = case.target.as_ref().map(Target::name);
    let program = case.options.program.as_deref();
    let mut ntlm = NtlmProvider::Off;
    for (role, whose) in [(Role::Initiator, "a client"), (Role::Acceptor, "a service")] {
        let found = policy.for_target(role, target.as_deref(), program);
        let by = match found.rule {
            Some(rule) => rule.to_string(),
            None if policy.rules.is_empty() => "no rule".to_owned(),
            None => format!("none of the {} rules", policy.rules.len()),
        };
        let sentence = format!("for {whose}, {by} is in force: {}", terms(found.terms));
        let level = match found.terms.mechs {
            MechPolicy::Nothing(_) => Level::Fault,
            _ => Level::Ok,
        };
        report.add(level, About::Policy, sentence, None);
        forbidden(whose, found.terms, report);
        if role == Role::Initiator && found.terms.allows(&oid::NTLMSSP).is_ok() {
            ntlm = found.terms.ntlm;
        }
    }
    users(ntlm, machine, report);
}

/// What people expect to be negotiated and is forbidden, and who forbids it.
fn forbidden(whose: &str, terms: &Terms, report: &mut Report) {
    if matches!(terms.mechs, MechPolicy::Nothing(_)) {
        return;
    }
    for mech in [oid::KRB5, oid::NTLMSSP] {
        if let Err(reason) = terms.allows(&mech) {
            let sentence = format!("for {whose}, {} is {reason}", leg::shown(&mech));
            let remedy = Some(Trouble::Policy.to_string());
            report.add(Level::Note, About::Policy, sentence, remedy);
        }
    }
}

/// Where the policy comes from.
fn sources(report: &mut Report) {
    let variable = std::env::var_os(CONFIG_VARIABLE);
    let sentence = match &variable {
        Some(file) if file.is_empty() => format!("{CONFIG_VARIABLE} is empty: no file is read"),
        Some(file) => {
            let file = Path::new(file).display();
            format!("{CONFIG_VARIABLE} is set: {file} is read, not {CONFIG_FILE}")
        }
        None if Path::new(CONFIG_FILE).exists() => format!("{CONFIG_FILE} is read"),
        None => format!("{CONFIG_FILE} does not exist: nothing is configured there"),
    };
    let level = match variable {
        Some(_) => Level::Note,
        None => Level::Ok,
    };
    report.add(level, About::Policy, sentence, None);
    for name in OVERRIDING {
        if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
            let value = value.to_string_lossy();
            let sentence = format!("{name} is set, and overrides the file: {value}");
            report.add(Level::Note, About::Policy, sentence, None);
        }
    }
}

/// Where the trace goes. A program whose trace cannot be written has nobody to tell.
fn trace(policy: &Policy, report: &mut Report) {
    let TraceTo::File(file) = &policy.trace else {
        return;
    };
    let file_shown = file.display();
    match check_file(file) {
        Ok(()) => {
            let sentence = format!("the trace goes to {file_shown}");
            report.add(Level::Ok, About::Policy, sentence, None);
        }
        Err(why) => {
            let sentence = format!("no trace is written to {file_shown} by this user: {why}");
            let remedy = "name a file in a directory of root or of the service's user; it is made \
                          when it is not there"
                .to_owned();
            report.add(Level::Fault, About::Policy, sentence, Some(remedy));
        }
    }
}

/// The variables that settings can be changed by.
const OVERRIDING: [&str; 4] = [
    "GSS_SPNEGO_MECHS",
    "GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE",
    "GSS_SPNEGO_TRACE",
    "GSS_SPNEGO_TRACE_FORMAT",
];

/// What holds, in words.
fn terms(terms: &Terms) -> String {
    let listed = |mechs: &[oid::Oid]| {
        let names: Vec<String> = mechs.iter().map(leg::shown).collect();
        names.join(", ")
    };
    let mut said = vec![match &terms.mechs {
        MechPolicy::AllBut(none) if none.is_empty() => {
            "every mechanism (iakerb only where it is named)".to_owned()
        }
        MechPolicy::AllBut(without) => format!("every mechanism but {}", listed(without)),
        MechPolicy::Only(mechs) => format!("only {}", listed(mechs)),
        MechPolicy::Nothing(why) => format!("no mechanism at all, since {why}"),
    }];
    said.push(
        match terms.ntlm {
            NtlmProvider::System => "the system's NTLM where there is one, else our own",
            NtlmProvider::Own => "our own NTLM",
            NtlmProvider::Off => "no NTLM",
        }
        .to_owned(),
    );
    let required = [
        (terms.rules.require.mutual, "mutual authentication"),
        (terms.rules.require.channel_bindings, "channel bindings"),
        (terms.rules.require.mic, "a verified mechListMIC"),
        (terms.rules.require.target, "the acceptor's own name"),
    ];
    for (_, what) in required.iter().filter(|(is_required, _)| *is_required) {
        said.push(format!("{what} required"));
    }
    let others = [
        (
            !terms.rules.kerberos_fallback,
            "nothing instead of Kerberos when it fails",
        ),
        (!terms.kerberos_for_ip, "no Kerberos for addresses"),
        (!terms.rules.optimistic_token, "no optimistic token"),
        (
            terms.rules.legacy_windows,
            "the unprotected choice of Windows 2003 taken",
        ),
        (
            terms.rules.downgrade == Downgrade::Refuse,
            "downgrades refused",
        ),
    ];
    let others = others.iter().filter(|(holds, _)| *holds);
    said.extend(others.map(|(_, what)| (*what).to_owned()));
    if terms.rules.max_output_token_size > 0 {
        said.push(format!(
            "tokens cut into pieces of {} octets",
            terms.rules.max_output_token_size
        ));
    }
    said.join("; ")
}

/// Where NTLM's users come from.
fn users(provider: NtlmProvider, machine: &Machine, report: &mut Report) {
    let has_module = machine.mit.has_mech(NTLM);
    let sentence = match (provider, has_module) {
        (NtlmProvider::Off, _) => "NTLM is not used, by policy",
        (NtlmProvider::Own, _) => "NTLM is our own, by policy",
        (NtlmProvider::System, true) => "NTLM is the module of MIT krb5's configuration",
        (NtlmProvider::System, false) => "no module for NTLM is configured: it is our own",
    };
    report.well(About::Ntlm, sentence);
    if provider == NtlmProvider::Off {
        return;
    }
    let is_systems = provider == NtlmProvider::System && has_module;
    let trouble = if is_systems {
        Trouble::NtlmUsers
    } else {
        Trouble::OwnNtlmUsers
    };
    let remedy = || Some(trouble.to_string());
    let Some(file) = std::env::var_os("NTLM_USER_FILE") else {
        let unless = if is_systems {
            "winbind runs or the program has a password"
        } else {
            "the program has a password"
        };
        let sentence = format!(
            "NTLM_USER_FILE is not set: there is nobody to sign in as by NTLM, unless {unless}"
        );
        report.add(Level::Note, About::Ntlm, sentence, remedy());
        return;
    };
    if file.is_empty() {
        let sentence = "NTLM_USER_FILE is set and names no file".to_owned();
        let remedy = Some(Trouble::EmptyUserFile.to_string());
        report.add(Level::Note, About::Ntlm, sentence, remedy);
        return;
    }
    let path = Path::new(&file);
    let shown = path.display();
    match path.metadata() {
        Err(error) => {
            let sentence = format!("NTLM_USER_FILE names {shown}: {}", plain(&error));
            report.add(Level::Note, About::Ntlm, sentence, remedy());
        }
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            let sentence = format!("{shown} has passwords in it, and others may use it");
            let remedy = Some(format!("run chmod 600 {shown}"));
            report.add(Level::Warning, About::Ntlm, sentence, remedy);
        }
        Ok(_) if std::fs::File::open(OsStr::new(&file)).is_err() => {
            let sentence = format!("NTLM_USER_FILE names {shown}, which this user may not read");
            report.add(Level::Warning, About::Ntlm, sentence, remedy());
        }
        Ok(_) => report.well(About::Ntlm, format!("NTLM's users are in {shown}")),
    }
}

/// NTLM's identifier as configurations have it.
const NTLM: &str = "1.3.6.1.4.1.311.2.2.10";

//! Mechanisms that the policy forbids a service: whether a token of one that is in no negotiation is
//! refused here as well. The library goes by its first octets, and SPNEGO need not hear of it.
#![forbid(unsafe_code)]

use std::ffi::OsStr;

use spnego::error::{Major, major};
use spnego::oid::{self, Oid};
use spnego::policy::{Found, Policy};
use spnego::role::Role;

use super::child::{self, Answer, End};
use super::kerberos::Kerberos;
use super::machine::{Glue, Machine, NTLM};
use super::{About, Case, Level, Report, Target};
use crate::leg;

pub(crate) fn examine(
    case: &Case<'_>,
    machine: &Machine,
    kerberos: &Kerberos,
    report: &mut Report,
) {
    let policy = Policy::read(|name| std::env::var_os(name));
    let target = case.target.as_ref().map(Target::name);
    let program = case.options.program.as_deref();
    let found = policy.for_target(Role::Acceptor, target.as_deref(), program);
    let is_forbidden = |mech: &Oid| found.terms.allows(mech).is_err();
    if is_forbidden(&oid::NTLMSSP) && machine.mit.usable && machine.mit.has_mech(NTLM) {
        ntlm(&machine.mit, found, report);
    }
    if is_forbidden(&oid::NTLMSSP) && machine.heimdal.usable && machine.heimdal.has_our_line() {
        let sentence = "ntlmssp without SPNEGO is Heimdal's own, to which no policy is known: it \
                        accepts nobody without a KDC's digest service";
        report.add(Level::Note, About::Attempts, sentence, None);
    }
    if is_forbidden(&oid::KRB5) && machine.mit.usable && !kerberos.keys.is_empty() {
        krb5(&machine.mit, found, report);
    }
}

/// NTLM, before which we stand.
fn ntlm(glue: &Glue, found: Found<'_>, report: &mut Report) {
    let Some(answer) = tried(&oid::NTLMSSP, report) else {
        return;
    };
    if is_refused(&answer) {
        let sentence = "a service of MIT krb5 refuses ntlmssp without SPNEGO, as the policy has it";
        report.well(About::Attempts, sentence);
        return;
    }
    if let Some(error) = answer.error() {
        let sentence = format!("a service of MIT krb5 takes no ntlmssp without SPNEGO: {error}");
        report.well(About::Attempts, sentence);
        return;
    }
    let line = glue.line_of(NTLM);
    let remedy = match (line, another(glue)) {
        (Some(line), Some(other)) => {
            format!("remove {line}, or {other}, whose plugin may stand before ntlmssp")
        }
        (Some(line), None) if glue.has_our_line() => format!("remove {line}"),
        (Some(line), None) => format!("load gss-spnego there, or remove {line}"),
        (None, _) => "remove the line of ntlmssp".to_owned(),
    };
    gets_through(&oid::NTLMSSP, found, remedy, report);
}

/// Kerberos, which is the library's own, or another plugin's.
fn krb5(glue: &Glue, found: Found<'_>, report: &mut Report) {
    let Some(answer) = tried(&oid::KRB5, report) else {
        return;
    };
    if is_refused(&answer) {
        let sentence = "a service of MIT krb5 refuses krb5 without SPNEGO, as the policy has it";
        report.well(About::Attempts, sentence);
        return;
    }
    // It has not even come to the token.
    if [major::NO_CRED, major::BAD_MECH].contains(&status(&answer)) {
        let error = answer.error().unwrap_or_default();
        let sentence = format!("a service of MIT krb5 takes no krb5 without SPNEGO: {error}");
        report.well(About::Attempts, sentence);
        return;
    }
    let other = another(glue).map_or(String::new(), |other| {
        format!(" (the plugin of {other} may stand before it)")
    });
    let remedy = format!(
        "have the service acquire its credential for SPNEGO alone, or take its keys out of the \
         keytab: Kerberos without SPNEGO is not gss-spnego's{other}, but in spnego serve and its \
         library for C"
    );
    gets_through(&oid::KRB5, found, remedy, report);
}

fn gets_through(mech: &Oid, found: Found<'_>, remedy: String, report: &mut Report) {
    let why = found.terms.allows(mech).err().unwrap_or_default();
    let why = why.split(';').next().unwrap_or_default();
    let mech = leg::shown(mech);
    let sentence =
        format!("{mech} is {why}, but gets past that without SPNEGO in services of MIT krb5");
    report.add(Level::Fault, About::Attempts, sentence, Some(remedy));
}

/// What an acceptor here makes of a token of a mechanism, which no program of its policy may use:
/// rules for the program in question do not hold for the one that tries.
fn tried(mech: &Oid, report: &mut Report) -> Option<Answer> {
    let mech = leg::shown(mech);
    let forbids = format!("!{mech}");
    let variables = [("GSS_SPNEGO_MECHS", OsStr::new(&forbids))];
    match child::ask(&["alone", &mech], &variables) {
        End::Answer(answer) => Some(answer),
        end => {
            let what = format!("accepting {mech} without SPNEGO");
            report.unanswered(About::Attempts, &what, &end);
            None
        }
    }
}

fn is_refused(answer: &Answer) -> bool {
    status(answer) == major::UNAUTHORIZED
}

fn status(answer: &Answer) -> Major {
    let status = answer.number("major").unwrap_or_default();
    u32::try_from(status).unwrap_or_default() & major::ROUTINE_ERRORS
}

/// The line of another plugin that stands before mechanisms, gssproxy for one.
fn another(glue: &Glue) -> Option<String> {
    let mut others = glue.lines.iter().filter(|line| line.interposer);
    others.find(|line| !line.is_ours()).map(|line| line.place())
}

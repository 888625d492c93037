//! Signing in for real: each mechanism begins a context to the target, and where the target is this
//! machine, it accepts itself.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use spnego::advice::Trouble;
use spnego::error::major;
use spnego::role::Role;

use super::child::{self, Answer, End};
use super::kerberos::Kerberos;
use super::machine::{Glue, Machine, NTLM, family, word};
use super::ticket::etype;
use super::{About, Case, Level, Report, files};

pub(crate) fn examine(
    case: &Case<'_>,
    machine: &Machine,
    kerberos: &Kerberos,
    report: &mut Report,
) {
    let Some(target) = &case.target else {
        let sentence = "nothing is tried without a target (spnego doctor HTTP@www.example.org)";
        report.add(Level::Note, About::Attempts, sentence, None);
        return;
    };
    let target = target.name();
    for glue in [&machine.mit, &machine.heimdal] {
        if !glue.usable {
            continue;
        }
        let hindrance = kerberos_alone(glue, &target, kerberos, report);
        if glue.has_mech(NTLM) {
            // Whose NTLM is not wanted has no users for it.
            let mut attempt = Attempt::new(glue, "ntlmssp", &target, Level::Note);
            attempt.remedy = Some(Trouble::NtlmUsers.to_string());
            attempt.make(&[], report);
        }
        negotiation(glue, &target, hindrance, report);
    }
    if machine.mit.usable && kerberos.host_is_here && kerberos.has_ticket {
        to_oneself(&target, kerberos, report);
    }
}

/// Kerberos without negotiation; what to do when it fails.
fn kerberos_alone(
    glue: &Glue,
    target: &str,
    kerberos: &Kerberos,
    report: &mut Report,
) -> Option<String> {
    let attempt = Attempt::new(glue, "krb5", target, level_of(glue));
    match attempt.make(&[], report) {
        Made::Begun(answer) => {
            against_keytab(&answer, kerberos, report);
            None
        }
        Made::Failed(remedy) => remedy,
    }
}

/// The key of the ticket, among those of the keytab.
fn against_keytab(answer: &Answer, kerberos: &Kerberos, report: &mut Report) {
    let Some(ticket) = answer.part("ticket") else {
        return;
    };
    let service = ticket.text("service").unwrap_or_default();
    let kvno = ticket.number("kvno");
    let mut of_service = kerberos.keys.iter().filter(|key| key.principal == service);
    let Some(first) = of_service.next().filter(|_| kerberos.host_is_here) else {
        return;
    };
    let fits =
        |key: &files::Key| Some(key.kvno) == kvno && Some(key.etype) == ticket.number("etype");
    if !fits(first) && !of_service.any(fits) {
        let sentence = format!(
            "the ticket for {service} is encrypted by version {} of the key ({}), which the keytab \
             does not have",
            kvno.map_or("?".to_owned(), |kvno| kvno.to_string()),
            etype(ticket.number("etype").unwrap_or_default()),
        );
        let remedy = Trouble::KeyVersion(Role::Acceptor).to_string();
        report.add(Level::Fault, About::Attempts, sentence, Some(remedy));
    }
}

/// By SPNEGO, with its trace. The built-in one does not say why it fails: Kerberos did before.
fn negotiation(glue: &Glue, target: &str, hindrance: Option<String>, report: &mut Report) {
    let scratch = Scratch::new();
    let to_file = scratch.as_ref().map(|scratch| scratch.0.join("trace"));
    let variables: Vec<(&str, &OsStr)> = to_file
        .iter()
        .map(|file| ("GSS_SPNEGO_TRACE", file.as_os_str()))
        .collect();
    let mut attempt = Attempt::new(glue, "spnego", target, level_of(glue));
    attempt.remedy = hindrance;
    if let Made::Begun(answer) = attempt.make(&variables, report) {
        told(glue, &answer, report);
    }
    let trace = to_file.and_then(|file| files::contents(&file).ok());
    let trace = String::from_utf8_lossy(&trace.unwrap_or_default()).into_owned();
    report.trace.extend(trace.lines().map(ToOwned::to_owned));
}

/// What our SPNEGO tells of the context that it began, and whether it was ours.
fn told(glue: &Glue, answer: &Answer, report: &mut Report) {
    let whose = family(glue.library);
    let Some(negotiation) = answer.part("negotiation") else {
        if glue.has_our_line() {
            let sentence = format!("the SPNEGO of {whose} that began a context is not gss-spnego");
            let remedy = "see what is said of its configuration and of loading".to_owned();
            report.add(Level::Fault, About::Loading, sentence, Some(remedy));
        }
        return;
    };
    let sentence = format!("the SPNEGO of {whose} that began a context is gss-spnego");
    report.well(About::Loading, sentence);
    for dropped in negotiation.parts("dropped") {
        let mech = dropped.text("mech").unwrap_or_default();
        let reason = dropped.text("reason").unwrap_or_default();
        // Kerberos was wanted, and the server may take what is left; NTLM has users or has not.
        let level = match mech {
            "krb5" => Level::Warning,
            _ => Level::Note,
        };
        let sentence = format!("spnego of {whose} passes over {mech}: {reason}");
        report.add(level, About::Attempts, sentence, None);
    }
}

/// Most programs are MIT's; who has only those of Heimdal sees its findings all the same.
fn level_of(glue: &Glue) -> Level {
    match glue.library {
        gssapi::system::Library::Mit => Level::Fault,
        gssapi::system::Library::Heimdal => Level::Warning,
    }
}

/// One mechanism that begins a context.
struct Attempt<'a> {
    glue: &'a Glue,
    mech: &'a str,
    target: &'a str,
    /// How bad it is when it fails.
    level: Level,
    /// What to do then, if it does not say so itself.
    remedy: Option<String>,
}

enum Made {
    Begun(Answer),
    /// With what to do.
    Failed(Option<String>),
}

impl<'a> Attempt<'a> {
    fn new(glue: &'a Glue, mech: &'a str, target: &'a str, level: Level) -> Self {
        Self {
            glue,
            mech,
            target,
            level,
            remedy: None,
        }
    }

    fn make(self, variables: &[(&str, &OsStr)], report: &mut Report) -> Made {
        let library = self.glue.library;
        let what = format!("{} of {} to {}", self.mech, family(library), self.target);
        let end = child::ask(&["begin", word(library), self.mech, self.target], variables);
        let End::Answer(answer) = end else {
            report.unanswered(About::Attempts, &what, &end);
            return Made::Failed(None);
        };
        let Some(error) = answer.error() else {
            report.well(About::Attempts, format!("{what}: {}", begun(&answer)));
            return Made::Begun(answer);
        };
        let remedy = answer.text("what_to_do").map(ToOwned::to_owned);
        // What the policy refuses says itself what to do.
        let status = answer.number("major").unwrap_or_default();
        let by_policy = status == u64::from(major::UNAUTHORIZED);
        let remedy = remedy.or(self.remedy.filter(|_| !by_policy));
        let sentence = format!("{what}: {error}");
        report.add(self.level, About::Attempts, sentence, remedy.clone());
        Made::Failed(remedy)
    }
}

/// What came out of it.
fn begun(answer: &Answer) -> String {
    let token = answer.part("token").unwrap_or_default();
    let mut said = format!(
        "{} of {} octets",
        token.text("kind").unwrap_or("token"),
        token.number("octets").unwrap_or_default()
    );
    let offered = token.texts("offered");
    if !offered.is_empty() {
        said += &format!(", offers {}", offered.join(", "));
    }
    if let Some(ticket) = answer.part("ticket") {
        said += &format!(
            ", with a ticket for {} ({}, version {})",
            ticket.text("service").unwrap_or_default(),
            etype(ticket.number("etype").unwrap_or_default()),
            ticket.number("kvno").unwrap_or_default(),
        );
    }
    said
}

/// The ticket against the keytab.
fn to_oneself(target: &str, kerberos: &Kerberos, report: &mut Report) {
    if kerberos.keys.is_empty() {
        return;
    }
    let what = format!("signing in to {target} here, with the keytab");
    let end = child::ask(&["both", target], &[]);
    let End::Answer(answer) = &end else {
        report.unanswered(About::Attempts, &what, &end);
        return;
    };
    match answer.error() {
        Some(_) if answer.text("side") == Some("initiator") => {}
        Some(error) => {
            let remedy = answer.text("what_to_do").map(ToOwned::to_owned);
            report.add(
                Level::Fault,
                About::Attempts,
                format!("{what}: {error}"),
                remedy,
            );
        }
        None => {
            let peer = answer.text("peer").unwrap_or("somebody");
            let sentence = format!("{what}: {peer} has signed in");
            report.well(About::Attempts, sentence);
        }
    }
}

/// A directory that nobody else may look into, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Option<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let parent = std::env::temp_dir();
        // Another user's of this name makes the creation fail, and the next name is tried.
        (0..SCRATCH_NAMES).find_map(|number| {
            let name = format!("spnego-doctor.{}.{number}", std::process::id());
            let path = Path::new(&parent).join(name);
            let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
            made.ok().map(|()| Self(path))
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is in the directory for temporary files, whatever is left of it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SCRATCH_NAMES: u32 = 16;

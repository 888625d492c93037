//! `spnego doctor`: what this machine has, and what is wrong with it. Everything that loads a
//! library, waits for the network or may crash is a child's; what it came to is a finding.
#![forbid(unsafe_code)]

mod alone;
mod attempts;
mod child;
mod clock;
mod files;
mod kerberos;
mod machine;
mod rules;
mod ticket;

use clap::Args;
use serde_json::{Value, json};

use crate::print::{self, BAD, DOUBTFUL, FAINT, Form, GOOD, HEADING, Verdict, harmless, styled};
use child::End;
pub(crate) use clock::offset;
pub(crate) use ticket::ticket_of;

/// Examine this machine, and try to sign in
///
/// Looks at the GSS-API libraries, their configuration and whether they load gss-spnego, at
/// tickets, keytabs, clock, NTLM, policy and names, and tries each mechanism. With a target,
/// everything is seen with the eyes of a client of that service, and of the service itself where
/// its host is this machine. The KDC is asked for its time with the name of a user that does not
/// exist; a ticket for the target is fetched. What the policy forbids a service is sent to an
/// acceptor here without SPNEGO, and may not get through. Nothing is changed. Exit status: 0 when there is no
/// fault (there may be warnings), 1 when there is one, 2 when the command line is wrong.
#[derive(Args)]
pub(crate) struct Doctor {
    /// The service to sign in to, HTTP@www.example.org for one; a host alone is a web server
    #[arg(value_name = "SERVICE@HOST")]
    target: Option<String>,
    /// Compare the clock with this KDC, not with those of krb5.conf
    #[arg(long, value_name = "HOST[:PORT]")]
    kdc: Option<String>,
    /// Whose policy to look at: the path of the program that signs in
    #[arg(long, value_name = "PATH")]
    program: Option<String>,
    /// Show what the sign-in by SPNEGO wrote into its trace even when it succeeded
    #[arg(long)]
    trace: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// It is as it should be.
    Ok,
    /// It is worth knowing.
    Note,
    /// It may be the cause of a failure.
    Warning,
    /// It is.
    Fault,
}

/// Where a finding belongs, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Libraries,
    Configuration,
    Loading,
    Names,
    Clock,
    Tickets,
    Keys,
    Policy,
    Ntlm,
    Attempts,
}

/// One thing that was found.
pub(crate) struct Finding {
    level: Level,
    about: About,
    sentence: String,
    remedy: Option<String>,
}

/// Everything that was found, in order.
#[derive(Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    trace: Vec<String>,
}

/// The service to sign in to.
pub(crate) struct Target {
    service: String,
    host: String,
}

/// What is examined, and what is known of it so far.
pub(crate) struct Case<'a> {
    options: &'a Doctor,
    target: Option<Target>,
}

impl Doctor {
    pub(crate) fn run(self, form: Form) -> Verdict {
        let target = match self.target.as_deref().map(Target::parse).transpose() {
            Ok(target) => target,
            Err(reason) => return print::usage(reason),
        };
        let case = Case {
            options: &self,
            target,
        };
        let mut report = Report::default();
        let machine = machine::examine(&mut report);
        let kerberos = kerberos::examine(&case, &mut report);
        rules::examine(&case, &machine, &mut report);
        attempts::examine(&case, &machine, &kerberos, &mut report);
        alone::examine(&case, &machine, &kerberos, &mut report);
        report.findings.sort_by_key(|finding| finding.about);
        match form {
            Form::Text => report.show(self.trace),
            Form::Json => print::json(&report.json(&case)),
        }
        if report.worst() == Level::Fault {
            Verdict::Wrong
        } else {
            Verdict::Well
        }
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        let (service, host) = text.split_once('@').unwrap_or(("HTTP", text));
        let sound = |part: &str| {
            !part.is_empty() && !part.chars().any(|c| c.is_control() || "@/ ".contains(c))
        };
        if !sound(service) || !sound(host) {
            return Err(format!(
                "{text}: a target is SERVICE@HOST, HTTP@www.example.org for one"
            ));
        }
        Ok(Self {
            service: service.to_owned(),
            host: host.to_owned(),
        })
    }

    /// As GSS-API names it.
    fn name(&self) -> String {
        format!("{}@{}", self.service, self.host)
    }
}

impl Report {
    /// As it should be.
    fn well(&mut self, about: About, sentence: impl Into<String>) {
        self.add(Level::Ok, about, sentence, None);
    }

    /// Add a finding. Its remedy is a sentence too; what a sentence says already is not said again.
    fn add(
        &mut self,
        level: Level,
        about: About,
        sentence: impl Into<String>,
        remedy: Option<String>,
    ) {
        let sentence = sentence.into();
        let sentence = match &remedy {
            Some(remedy) => sentence.replace(&format!("; {remedy}"), ""),
            None => sentence,
        };
        self.findings.push(Finding {
            level,
            about,
            sentence,
            remedy,
        });
    }

    /// What a child came to that should have answered.
    fn unanswered(&mut self, about: About, what: &str, end: &End) {
        let sentence = match end {
            End::Answer(_) => return,
            End::Crash(signal, said) if said.is_empty() => {
                format!("{what} crashes (signal {signal})")
            }
            End::Crash(signal, said) => format!("{what} crashes (signal {signal}): {said}"),
            End::TooLong(limit) => format!("{what} takes longer than {} s", limit.as_secs()),
            End::Nothing(said) => format!("{what} ends without an answer: {said}"),
        };
        self.add(Level::Fault, about, sentence, None);
    }

    fn worst(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok)
    }

    fn show(&self, with_trace: bool) {
        let mut about = None;
        for finding in &self.findings {
            if about != Some(finding.about) {
                about = Some(finding.about);
                print::line(styled(HEADING, finding.about.name()));
            }
            let (style, level) = (finding.level.style(), finding.level.name());
            let level = styled(style, format_args!("{level:<8}"));
            print::line(format_args!("  {level} {}", harmless(&finding.sentence)));
            if let Some(remedy) = &finding.remedy {
                print::line(format_args!("           -> {}", harmless(remedy)));
            }
        }
        let worst = self.worst();
        if with_trace || worst == Level::Fault {
            for line in &self.trace {
                print::line(styled(FAINT, format_args!("  trace: {}", harmless(line))));
            }
        }
        let count = |level| {
            let of_level = self
                .findings
                .iter()
                .filter(|finding| finding.level == level);
            of_level.count()
        };
        let (faults, warnings) = (count(Level::Fault), count(Level::Warning));
        let plural = |number| if number == 1 { "" } else { "s" };
        let summary = format!(
            "{faults} fault{}, {warnings} warning{}",
            plural(faults),
            plural(warnings)
        );
        print::line(styled(worst.style(), summary));
    }

    fn json(&self, case: &Case<'_>) -> Value {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "level": finding.level.name(),
                "about": finding.about.name(),
                "finding": finding.sentence,
                "what_to_do": finding.remedy,
            })
        });
        json!({
            "target": case.target.as_ref().map(Target::name),
            "worst": self.worst().name(),
            "findings": findings.collect::<Vec<Value>>(),
            "trace": self.trace,
        })
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }

    fn style(self) -> anstyle::Style {
        match self {
            Self::Ok => GOOD,
            Self::Note => FAINT,
            Self::Warning => DOUBTFUL,
            Self::Fault => BAD,
        }
    }
}

impl About {
    fn name(self) -> &'static str {
        match self {
            Self::Libraries => "libraries",
            Self::Configuration => "configuration",
            Self::Loading => "loading",
            Self::Names => "names",
            Self::Tickets => "tickets",
            Self::Keys => "keys",
            Self::Clock => "clock",
            Self::Ntlm => "ntlm",
            Self::Policy => "policy",
            Self::Attempts => "attempts",
        }
    }
}

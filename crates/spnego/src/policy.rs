//! What this machine's administrator decided: which mechanisms for whom, in which order, how
//! strict, how large. From `/etc/gss/spnego.conf` and the environment. Reading never fails: what is
//! wrong is told, and where passing over it would allow more than was meant, nothing is allowed.
#![forbid(unsafe_code)]

mod alone;
mod condition;
mod mechs;
mod reading;
mod required;
#[cfg(test)]
mod tests;
mod trusted;
mod value;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::oid::{self, Oid};
use crate::role::Role;
use condition::Condition;

pub use alone::Alone;
pub use condition::is_address;
pub use mechs::{MechPolicy, mechs_named};
pub use reading::IsSetTo;
pub(crate) use trusted::user;
pub use watch::{
    Current, Environment, InForce, at_start, current, follow, for_context, install, prepare,
    program, variable,
};

/// All that is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What holds where no rule matches.
    pub terms: Terms,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Where events go.
    pub trace: TraceTo,
    /// How events are written.
    pub trace_format: TraceFormat,
    /// What is wrong with the configuration, as "file:line:column: what"; the first
    /// [`MOST_PROBLEMS`].
    pub problems: Vec<String>,
}

/// One `[[rule]]`: what holds for the contexts that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its place among the rules, from 1.
    pub number: usize,
    /// The line it begins on.
    pub line: usize,
    /// What holds for the contexts that it matches.
    pub terms: Terms,
    name: String,
    condition: Condition,
}

/// What is allowed and required in one negotiation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What negotiation itself goes by.
    pub rules: Rules,
    /// The mechanisms that may be negotiated.
    pub mechs: MechPolicy,
    /// Whose NTLM is used.
    pub ntlm: NtlmProvider,
    /// Whether Kerberos is tried for a target that is an IP address.
    pub kerberos_for_ip: bool,
    /// Who set what, for sentences.
    said_by: Vec<(Setting, String)>,
}

/// The settings that a refusal may have to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `mechs`.
    Mechs,
    /// `ntlm`.
    Ntlm,
    /// `require`.
    Require,
    /// `kerberos_fallback`.
    KerberosFallback,
    /// `kerberos_for_ip`.
    KerberosForIp,
    /// `downgrade`.
    Downgrade,
}

/// The rules a negotiation follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Send the preferred mechanism's first token with the offer (RFC 4178 section 3.2).
    pub optimistic_token: bool,
    /// As an initiator, finish with NTLM that a legacy Windows acceptor chose without asking for a
    /// mechListMIC (RFC 4178 appendix C, MS-SPNG note 8). Nothing protects that choice: off unless
    /// configured.
    pub legacy_windows: bool,
    /// Largest output token in octets, longer ones leave in fragments (MS-SPNG 3.1.5.6); 0: no
    /// limit.
    pub max_output_token_size: usize,
    /// What must be there when the negotiation ends.
    pub require: Requirements,
    /// Take another mechanism in the place of Kerberos when that fails.
    pub kerberos_fallback: bool,
    /// What becomes of a negotiation that falls to a weaker mechanism without protection.
    pub downgrade: Downgrade,
}

/// What must be there when a negotiation ends, or it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The peer has proved who it is (GSS_C_MUTUAL_FLAG).
    pub mutual: bool,
    /// Both sides have bound the context to their channel.
    pub channel_bindings: bool,
    /// The peer has sent a mechListMIC that verified.
    pub mic: bool,
    /// The initiator has asked for this very acceptor, and has proved that it did.
    pub target: bool,
}

impl Requirements {
    /// Whether anything is required.
    #[inline]
    pub fn any(self) -> bool {
        self.mutual | self.channel_bindings | self.mic | self.target
    }
}

/// What becomes of a negotiation that ends with a weaker mechanism than this side prefers, without
/// a verified mechListMIC or because Kerberos failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downgrade {
    /// It is an event in the trace.
    #[default]
    Allow,
    /// It fails as well.
    Refuse,
}

/// Whose NTLM is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NtlmProvider {
    /// The mechanism that the glue has, gss-ntlmssp for one.
    #[default]
    System,
    /// The one of this library.
    Own,
    /// None.
    Off,
}

/// Where events go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TraceTo {
    /// Nowhere.
    #[default]
    Off,
    /// Standard error.
    Stderr,
    /// The system's log.
    Syslog,
    /// The end of a file.
    File(PathBuf),
}

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceFormat {
    /// A line for a person.
    #[default]
    Text,
    /// A JSON object on a line.
    Json,
}

/// Read one file as a process would that names it by [`CONFIG_VARIABLE`], without any other
/// variable: what is wrong with it is in [`Policy::problems`].
pub fn examine(file: &Path) -> Policy {
    Policy::read(|name| (name == CONFIG_VARIABLE).then(|| file.as_os_str().to_owned()))
}

/// Read the text of a configuration that is called `name` in what is wrong with it.
pub fn read_text(name: &str, text: &[u8]) -> Policy {
    reading::read_text(name, text)
}

impl Policy {
    /// Read the configuration file that `environment` or the default names, then the variables,
    /// which override its settings and narrow its rules.
    pub fn read(environment: impl Fn(&str) -> Option<OsString>) -> Self {
        reading::Source::new(environment).read()
    }

    /// What holds for a context: the terms of the first rule that matches, or the settings.
    /// `target` is `service@host`, of an acceptor its own name; `program` is the path of the
    /// executable. A rule that asks for one of them matches nothing that has none.
    pub fn for_target(&self, role: Role, target: Option<&str>, program: Option<&str>) -> Found<'_> {
        let matches = |rule: &&Rule| rule.condition.matches(role, target, program);
        match self.rules.iter().find(matches) {
            Some(rule) => Found {
                terms: &rule.terms,
                rule: Some(rule),
            },
            None => Found {
                terms: &self.terms,
                rule: None,
            },
        }
    }

    /// The settings and the terms of every rule.
    fn all_terms(&self) -> impl Iterator<Item = &Terms> {
        std::iter::once(&self.terms).chain(self.rules.iter().map(|rule| &rule.terms))
    }

    /// Those of `available` that the settings or any rule allow: what a credential is worth
    /// acquiring for, whose target is not known yet.
    pub fn order_for_any(&self, available: Vec<Oid>) -> Vec<Oid> {
        if self.rules.is_empty() {
            return self.terms.order(available);
        }
        let mut ordered = self.terms.order(available.clone());
        for mech in available {
            if !ordered.contains(&mech) && self.all_terms().any(|terms| terms.allows(&mech).is_ok())
            {
                ordered.push(mech);
            }
        }
        ordered
    }

    /// Whether the settings or any rule name this mechanism.
    pub fn names(&self, mech: &Oid) -> bool {
        self.all_terms().any(|terms| terms.mechs.names(mech))
    }

    /// Whether the settings or any rule use this NTLM.
    pub fn uses(&self, ntlm: NtlmProvider) -> bool {
        self.all_terms().any(|terms| terms.ntlm == ntlm)
    }
}

/// What holds for a context, and the rule that says so.
#[derive(Clone, Copy, Debug)]
pub struct Found<'p> {
    /// The rule that matched; `None`: the settings hold.
    pub rule: Option<&'p Rule>,
    /// What holds.
    pub terms: &'p Terms,
}

impl Rule {
    fn asks_for_target(&self) -> bool {
        self.condition.asks_for_target()
    }
}

/// "rule 2 (line 14 of /etc/gss/spnego.conf)".
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Terms {
    /// Those of `available` that are allowed, best first; Kerberos under any of its identifiers is
    /// Kerberos.
    pub fn order(&self, available: Vec<Oid>) -> Vec<Oid> {
        let mut ordered = self.mechs.order(available);
        if self.ntlm == NtlmProvider::Off {
            ordered.retain(|mech| *mech != oid::NTLMSSP);
        }
        ordered
    }

    /// Whether `mech` may be negotiated.
    ///
    /// # Errors
    /// Why not, as a sentence that names who says so.
    pub fn allows(&self, mech: &Oid) -> Result<(), String> {
        if *mech == oid::NTLMSSP && self.ntlm == NtlmProvider::Off {
            return Err(format!("not allowed by {}", self.said_by(Setting::Ntlm)));
        }
        match &self.mechs {
            MechPolicy::Nothing(because) => Err(because.clone()),
            mechs if mechs.allow(mech) => Ok(()),
            _ => Err(format!("not allowed by {}", self.said_by(Setting::Mechs))),
        }
    }

    /// Who set this: a rule, or a line of the file, or a variable.
    pub fn said_by(&self, setting: Setting) -> &str {
        let mut said = self.said_by.iter();
        said.find(|(known, _)| *known == setting)
            .map_or("the configuration of gss-spnego", |(_, by)| by)
    }

    fn says(&mut self, setting: Setting, by: &str) {
        self.said_by.retain(|(known, _)| *known != setting);
        self.said_by.push((setting, by.to_owned()));
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            mechs: MechPolicy::default(),
            ntlm: NtlmProvider::default(),
            kerberos_for_ip: true,
            said_by: Vec::new(),
        }
    }
}

impl Rules {
    /// A maximum output token size as an option's value gives it: an OM_uint32 in host order.
    ///
    /// # Errors
    /// When it is of another length, or too small.
    pub fn token_size_option(value: &[u8]) -> Result<usize, &'static str> {
        let octets = <[u8; 4]>::try_from(value)
            .map_err(|_| "the maximum output token size is an OM_uint32: 4 octets")?;
        Self::token_size(u32::from_ne_bytes(octets))
    }

    /// A maximum output token size as a caller or a configuration gives it.
    ///
    /// # Errors
    /// When a fragment of this size cannot hold the header of its message (MS-SPNG 3.1.1).
    pub fn token_size(octets: u32) -> Result<usize, &'static str> {
        match usize::try_from(octets) {
            Ok(size) if size == 0 || size >= LEAST_TOKEN_SIZE => Ok(size),
            _ => Err("the maximum output token size is 0 (no limit) or at least 5 octets"),
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            optimistic_token: true,
            legacy_windows: false,
            max_output_token_size: 0,
            require: Requirements::default(),
            kerberos_fallback: true,
            downgrade: Downgrade::Allow,
        }
    }
}

fn wrong(value: &str, wanted: &str) -> String {
    format!("\"{}\" is not {wanted}", excerpt(value, LONGEST_WORD))
}

/// The beginning of what somebody wrote, fit for a sentence.
fn excerpt(text: &str, longest: usize) -> String {
    let escaped = text.chars().take(longest).collect::<String>();
    let more = if escaped.len() < text.len() {
        "..."
    } else {
        ""
    };
    format!("{}{more}", escaped.escape_debug())
}

/// What is told when the configuration has no rules, or none of them is in force.
pub const NO_RULE: &str = "default";
/// Where the configuration is, unless [`CONFIG_VARIABLE`] names another place.
pub const CONFIG_FILE: &str = "/etc/gss/spnego.conf";
/// The variable that names another configuration file; empty for none.
pub const CONFIG_VARIABLE: &str = "GSS_SPNEGO_CONFIG";
/// How many problems are kept: enough to see what is wrong, however long the file.
pub const MOST_PROBLEMS: usize = 16;
/// A fragment holds its message's header (MS-SPNG 3.1.1).
const LEAST_TOKEN_SIZE: usize = 5;
const LONGEST_WORD: usize = 40;

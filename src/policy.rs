//! What this machine's administrator decided: which mechanisms, in which order, how strict, how large.
//! Read once in a process, from `/etc/gss/gss-spnego.conf` and the environment. Never fails: what is
//! wrong is skipped and told, and where skipping would allow more than was meant, nothing is allowed.
#![forbid(unsafe_code)]

mod reading;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::oid::{self, Oid};

/// All that is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules of a negotiation.
    pub rules: Rules,
    /// The mechanisms that may be negotiated.
    pub mechs: MechPolicy,
    /// Whose NTLM is used.
    pub ntlm: NtlmProvider,
    /// Where events go.
    pub trace: TraceTo,
    /// What is wrong with the configuration, as "file:line: what"; the first [`MOST_PROBLEMS`].
    pub problems: Vec<String>,
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
    /// Largest output token in octets, longer ones leave in fragments (MS-SPNG 3.1.5.6); 0: no limit.
    pub max_output_token_size: usize,
}

/// Which mechanisms may be negotiated, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MechPolicy {
    /// All but these, in nobody's particular order.
    AllBut(Vec<Oid>),
    /// These, best first.
    Only(Vec<Oid>),
    /// None, because what was configured cannot be read: the reason, as a sentence.
    Nothing(String),
}

/// Whose NTLM is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NtlmProvider {
    /// The mechanism that the glue has, gss-ntlmssp for one.
    #[default]
    System,
    /// The one of this library.
    Own,
    /// None; [`MechPolicy`] refuses NTLM too.
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

/// How an environment variable is looked up: `secure_getenv` in a plugin, so that a setuid
/// program's user has no say.
pub type Environment = fn(&str) -> Option<OsString>;

/// Give the reader of the environment, before the first [`current`]; the first one given stands.
/// Without one, no variable is read.
pub fn install(environment: Environment) {
    // A second call is another entry point's first; it gives the same function.
    let _ = ENVIRONMENT.set(environment);
}

/// The value of an environment variable, as the reader given to [`install`] sees it.
pub fn variable(name: &str) -> Option<OsString> {
    ENVIRONMENT.get().and_then(|environment| environment(name))
}

/// The policy of this process, read on the first call.
pub fn current() -> &'static Policy {
    CURRENT.get_or_init(|| {
        Policy::read(|name| ENVIRONMENT.get().and_then(|environment| environment(name)))
    })
}

impl Policy {
    /// Read the configuration file that `environment` or the default names, then the variables,
    /// which override it.
    pub fn read(environment: impl Fn(&str) -> Option<OsString>) -> Self {
        reading::read(environment)
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
        }
    }
}

impl MechPolicy {
    /// Those of `available` that are allowed, best first; Kerberos under any of its identifiers is
    /// Kerberos.
    pub fn order(&self, mut available: Vec<Oid>) -> Vec<Oid> {
        match self {
            Self::Nothing(_) => Vec::new(),
            Self::AllBut(removed) if removed.is_empty() => available,
            Self::AllBut(_) => {
                available.retain(|mech| self.allows(mech).is_ok());
                available
            }
            Self::Only(order) => order
                .iter()
                .flat_map(|wanted| available.iter().filter(|mech| mech.same_mech(wanted)))
                .copied()
                .collect(),
        }
    }

    /// Whether the order of [`Self::order`] is the administrator's preference.
    pub fn prefers(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    /// Whether `mech` may be negotiated.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn allows(&self, mech: &Oid) -> Result<(), String> {
        let same = |other: &Oid| other.same_mech(mech);
        match self {
            Self::Nothing(because) => Err(because.clone()),
            Self::AllBut(removed) if !removed.iter().any(same) => Ok(()),
            Self::Only(order) if order.iter().any(same) => Ok(()),
            Self::AllBut(_) | Self::Only(_) => Err(format!(
                "not allowed by the configuration of gss-spnego \
                 (mechs or ntlm in {CONFIG_FILE}, or GSS_SPNEGO_MECHS)"
            )),
        }
    }

    /// Read a list of names and dotted identifiers; `!` in front removes one.
    fn parse(list: &str) -> Result<Self, String> {
        let mut order: Vec<Oid> = Vec::new();
        let mut removed: Vec<Oid> = Vec::new();
        let words = list.split(|c: char| c == ',' || c.is_whitespace());
        for word in words.filter(|word| !word.is_empty()) {
            let (list, name) = match word.strip_prefix('!') {
                Some(name) => (&mut removed, name),
                None => (&mut order, word),
            };
            let mech = mech_named(name)?;
            if !list.iter().any(|known| known.same_mech(&mech)) {
                list.push(mech);
            }
        }
        if order.is_empty() && removed.is_empty() {
            return Err("the list of mechanisms is empty".to_owned());
        }
        if order.is_empty() {
            return Ok(Self::AllBut(removed));
        }
        let mut only = Self::Only(order);
        removed.iter().for_each(|mech| only.remove(mech));
        Ok(only)
    }

    fn remove(&mut self, mech: &Oid) {
        match self {
            Self::AllBut(removed) => removed.push(*mech),
            Self::Only(order) => order.retain(|allowed| !allowed.same_mech(mech)),
            Self::Nothing(_) => {}
        }
    }
}

impl Default for MechPolicy {
    fn default() -> Self {
        Self::AllBut(Vec::new())
    }
}

/// Read a list of names and dotted identifiers, with commas or blanks between: in its order.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn mechs_named(list: &str) -> Result<Vec<Oid>, String> {
    list.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(mech_named)
        .collect()
}

fn mech_named(name: &str) -> Result<Oid, String> {
    let known = NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    let mech = match known {
        Some((_, mech)) => *mech,
        None => name.parse().map_err(|_| {
            wrong(
                name,
                "krb5, iakerb, ntlmssp, negoex or a dotted object identifier",
            )
        })?,
    };
    if mech == oid::SPNEGO {
        return Err("SPNEGO does not negotiate itself".to_owned());
    }
    Ok(mech)
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

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static CURRENT: OnceLock<Policy> = OnceLock::new();

/// Where the configuration is, unless [`CONFIG_VARIABLE`] names another place.
pub const CONFIG_FILE: &str = "/etc/gss/gss-spnego.conf";
/// The variable that names another configuration file; empty for none.
pub const CONFIG_VARIABLE: &str = "GSS_SPNEGO_CONFIG";
const NAMES: [(&str, Oid); 6] = [
    ("krb5", oid::KRB5),
    ("iakerb", oid::IAKERB),
    ("ntlmssp", oid::NTLMSSP),
    ("ntlm", oid::NTLMSSP),
    ("negoex", oid::NEGOEX),
    ("spnego", oid::SPNEGO),
];
/// How many problems are kept: enough to see what is wrong, however long the file.
pub const MOST_PROBLEMS: usize = 16;
/// A fragment holds its message's header (MS-SPNG 3.1.1).
const LEAST_TOKEN_SIZE: usize = 5;
const LONGEST_WORD: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid::{IAKERB, KRB5, KRB5_MS, NEGOEX, NTLMSSP};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A configuration file of one test, removed at its end.
    struct Configuration(PathBuf);

    impl Configuration {
        fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
            let file = format!("gss-spnego-{}-{name}.conf", std::process::id());
            let path = std::env::temp_dir().join(file);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            Self(path)
        }

        fn read(&self, variables: &[(&str, &str)]) -> Policy {
            Policy::read(|name| match name {
                CONFIG_VARIABLE => Some(self.0.clone().into_os_string()),
                _ => variables
                    .iter()
                    .find(|(variable, _)| *variable == name)
                    .map(|(_, value)| OsString::from(value)),
            })
        }

        /// The problems, without the file's name.
        fn problems(&self) -> Vec<String> {
            let prefix = self.0.to_string_lossy().into_owned();
            let problems = self.read(&[]).problems.into_iter();
            problems
                .map(|problem| problem.replace(&prefix, "conf"))
                .collect()
        }
    }

    impl Drop for Configuration {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn without_file(variables: &[(&str, &str)]) -> Policy {
        Policy::read(|name| match name {
            CONFIG_VARIABLE => Some(OsString::new()),
            _ => variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| OsString::from(value)),
        })
    }

    #[test]
    fn every_key_is_read() {
        let conf = Configuration::new(
            "every",
            "# what we want\n\n mechs = krb5, 1.3.6.1.5.2.5 ntlmssp # in this order\r\n\
             optimistic_token = no\nLegacy_Windows=yes\nmax_output_token_size = 5\n\
             ntlm = own\ntrace = /var/log/gss-spnego.log",
        );
        let policy = conf.read(&[]);
        assert_eq!(policy.problems, Vec::<String>::new());
        assert_eq!(policy.mechs, MechPolicy::Only(vec![KRB5, IAKERB, NTLMSSP]));
        assert_eq!(
            policy.rules,
            Rules {
                optimistic_token: false,
                legacy_windows: true,
                max_output_token_size: 5,
            }
        );
        assert_eq!(policy.ntlm, NtlmProvider::Own);
        assert_eq!(
            policy.trace,
            TraceTo::File("/var/log/gss-spnego.log".into())
        );
    }

    #[test]
    fn nothing_configured_is_the_default() {
        assert_eq!(without_file(&[]), Policy::default());
        assert_eq!(Configuration::new("empty", "").read(&[]), Policy::default());
    }

    #[test]
    fn variables_override_the_file() {
        let conf = Configuration::new(
            "override",
            "mechs = ntlmssp\nmax_output_token_size = 100\ntrace = syslog\n",
        );
        let policy = conf.read(&[
            ("GSS_SPNEGO_MECHS", "krb5"),
            ("GSS_SPNEGO_MAX_OUTPUT_TOKEN_SIZE", "0"),
            ("GSS_SPNEGO_TRACE", "stderr"),
        ]);
        assert_eq!(policy.mechs, MechPolicy::Only(vec![KRB5]));
        assert_eq!(policy.rules.max_output_token_size, 0);
        assert_eq!(policy.trace, TraceTo::Stderr);
        let empty = conf.read(&[("GSS_SPNEGO_MECHS", "")]);
        assert_eq!(empty.mechs, MechPolicy::Only(vec![NTLMSSP]));
    }

    #[test]
    fn order_is_the_configured_one_among_the_available() {
        let available = [KRB5, KRB5_MS, NTLMSSP, NEGOEX];
        let only = MechPolicy::parse("ntlmssp krb5").unwrap();
        assert!(only.prefers());
        assert_eq!(only.order(available.to_vec()), [NTLMSSP, KRB5, KRB5_MS]);
        assert!(only.allows(&NEGOEX).is_err() && only.allows(&KRB5_MS).is_ok());

        let all_but = MechPolicy::parse("!ntlmssp").unwrap();
        assert!(!all_but.prefers());
        assert_eq!(all_but.order(available.to_vec()), [KRB5, KRB5_MS, NEGOEX]);
        assert!(all_but.allows(&NTLMSSP).is_err() && all_but.allows(&NEGOEX).is_ok());

        let both = MechPolicy::parse("krb5 ntlmssp !krb5").unwrap();
        assert_eq!(both, MechPolicy::Only(vec![NTLMSSP]));
        assert_eq!(MechPolicy::default().order(available.to_vec()), available);
    }

    #[test]
    fn ntlm_off_removes_ntlm() {
        let conf = Configuration::new("ntlm-off", "ntlm = off\n");
        assert!(conf.read(&[]).mechs.allows(&NTLMSSP).is_err());
        let policy = conf.read(&[("GSS_SPNEGO_MECHS", "ntlmssp,krb5")]);
        assert_eq!(policy.mechs, MechPolicy::Only(vec![KRB5]));
    }

    #[test]
    fn broken_lines_are_skipped_and_told() {
        let conf = Configuration::new(
            "broken",
            b"[section]\noptimistic_token\nno_such_key = 1\nlegacy_windows = maybe\n\
              max_output_token_size = 4\n= value\noptimistic_token = no\noptimistic_token = yes\n\
              \xff\xfe = yes\ntrace = relative\n"
                .as_slice(),
        );
        assert_eq!(
            conf.problems(),
            [
                "conf:1: there are no sections in this file",
                "conf:2: the line is not \"key = value\"",
                "conf:3: no key is called \"no_such_key\"",
                "conf:4: \"maybe\" is not yes or no",
                "conf:5: the maximum output token size is 0 (no limit) or at least 5 octets",
                "conf:6: the line is not \"key = value\"",
                "conf:8: optimistic_token is set twice",
                "conf:9: the line is not UTF-8",
                "conf:10: \"relative\" is not stderr, syslog or an absolute path",
            ]
        );
        let policy = conf.read(&[]);
        assert!(!policy.rules.optimistic_token && !policy.rules.legacy_windows);
        assert_eq!(policy.mechs, MechPolicy::default());
    }

    #[test]
    fn broken_restriction_allows_nothing() {
        for (number, line) in [
            "mechs = krb5 ntmlssp",
            "mechs = !ntmlssp",
            "mechs =",
            "mechs",
            "mechs: krb5",
            "mechs = spnego",
            "MECHS krb5",
            "mechs = krb5\nmechs = ntlmssp",
        ]
        .into_iter()
        .enumerate()
        {
            let conf = Configuration::new(&format!("closed-{number}"), line);
            let policy = conf.read(&[]);
            assert_eq!(policy.mechs.order(vec![KRB5, NTLMSSP]), [], "{line:?}");
            let reason = policy.mechs.allows(&KRB5).unwrap_err();
            assert!(reason.contains(&policy.problems[0]), "{reason}");
            assert_eq!(policy.problems.len(), 1, "{line:?}");
        }
        let conf = Configuration::new("closed-ntlm", "ntlm = of\n");
        assert_eq!(conf.read(&[]).ntlm, NtlmProvider::Off);
        assert!(conf.read(&[]).mechs.allows(&NTLMSSP).is_err());
        let policy = without_file(&[("GSS_SPNEGO_MECHS", "kerberso")]);
        assert_eq!(
            policy.problems,
            [
                "GSS_SPNEGO_MECHS: \"kerberso\" is not krb5, iakerb, ntlmssp, negoex or a dotted \
              object identifier"
            ]
        );
        assert_eq!(policy.mechs.order(vec![KRB5]), []);
    }

    #[test]
    fn byte_order_mark_hides_no_key() {
        let conf = Configuration::new("bom", "\u{feff}mechs = krb5\n");
        assert_eq!(conf.read(&[]).mechs, MechPolicy::Only(vec![KRB5]));
    }

    #[test]
    fn file_that_cannot_be_trusted_allows_nothing() {
        let conf = Configuration::new("writable", "mechs = krb5\n");
        fs::set_permissions(&conf.0, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(conf.problems()[0].contains("writable by everybody"));
        assert_eq!(conf.read(&[]).mechs.order(vec![KRB5]), []);

        let large = Configuration::new("large", vec![b'#'; 65_537]);
        assert!(large.problems()[0].contains("over 65536 octets"));
        let fits = Configuration::new("fits", vec![b'#'; 65_536]);
        assert_eq!(fits.problems(), Vec::<String>::new());

        let directory = Policy::read(|name| (name == CONFIG_VARIABLE).then(|| "/tmp".into()));
        assert!(directory.problems[0].contains("not a regular file"));
        let absent = Policy::read(|name| (name == CONFIG_VARIABLE).then(|| "/no/such".into()));
        assert_eq!(
            absent.problems,
            ["/no/such: the configuration file is not there"]
        );
        assert_eq!(absent.mechs.order(vec![KRB5]), []);
    }

    #[test]
    fn problems_are_bounded_and_printable() {
        let line = format!("\u{1b}[31m{}= 1\n", "x".repeat(1000));
        let conf = Configuration::new("bounded", line.repeat(50));
        let problems = conf.problems();
        assert_eq!(problems.len(), MOST_PROBLEMS);
        let printable = |problem: &String| !problem.chars().any(char::is_control);
        assert!(
            problems
                .iter()
                .all(|problem| problem.len() < 120 && printable(problem))
        );
    }
}

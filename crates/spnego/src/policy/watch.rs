//! The policy in force in this process: compared with what it was made from at each use, and kept by
//! each context as it began. No lock is waited for, so neither a thread nor a fork at the wrong
//! moment can hold one up, and what is replaced is freed.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, RwLock, TryLockError};

use super::condition::is_address;
use super::reading::{IsSetTo, Reading, Source};
use super::{Policy, Rule, Setting, Terms};
use crate::advice::{Trouble, advised};
use crate::oid::Oid;
use crate::role::Role;
use crate::trace;

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

/// Follow changes of the configuration file and of the variables, which are compared by this.
/// Without it, the policy is read once.
pub fn follow(is_set_to: IsSetTo) {
    let _ = FOLLOWS.set(is_set_to);
}

/// The policy in force. It stays as it is for as long as it is held.
#[derive(Clone)]
pub struct Current(Kept);

#[derive(Clone)]
enum Kept {
    /// The first one, which lives as long as the process.
    First(&'static Reading),
    Later(Arc<Reading>),
}

impl Current {
    /// Whether both are the same reading.
    pub fn is(&self, other: &Self) -> bool {
        ptr::eq::<Policy>(&**self, &**other)
    }

    #[inline]
    fn reading(&self) -> &Reading {
        match &self.0 {
            Kept::First(reading) => reading,
            Kept::Later(reading) => reading,
        }
    }
}

impl Deref for Current {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.reading().policy
    }
}

/// Read the configuration, and find out what rules ask of a process, while its files are in reach:
/// a service that has loaded this library may go into a chroot before its first context.
pub fn prepare() {
    if !current().rules.is_empty() {
        program();
    }
}

/// The policy in force in this process.
#[inline]
pub fn current() -> Current {
    let known = if CHANGED.load(Ordering::Acquire) {
        later()
    } else {
        Current(Kept::First(first()))
    };
    match FOLLOWS.get() {
        Some(is_set_to) if known.reading().is_outdated(*is_set_to) => read_again(known),
        _ => known,
    }
}

/// The policy as it was when this process first asked.
pub fn at_start() -> &'static Policy {
    &first().policy
}

/// What holds for a context that begins now. `target` is asked for only when something depends on
/// it.
#[inline]
pub fn for_context(role: Role, target: impl FnOnce() -> Option<String>) -> InForce {
    let policy = current();
    if policy.rules.is_empty() && policy.terms.kerberos_for_ip {
        return InForce(Holds::Settings(policy));
    }
    InForce::find(policy, role, target())
}

/// The policy as one context keeps it from its beginning to its end.
#[derive(Clone)]
pub struct InForce(Holds);

/// Small where no rule is, since contexts that are being negotiated are moved about.
#[derive(Clone)]
enum Holds {
    Settings(Current),
    Found(Arc<ForOne>),
}

/// What holds for one context only.
struct ForOne {
    policy: Current,
    /// The place of the rule that matched among the policy's.
    rule: Option<usize>,
    /// The target is an IP address, for which Kerberos is not tried.
    spares_kerberos: bool,
}

impl ForOne {
    fn rule(&self) -> Option<&Rule> {
        self.rule.and_then(|place| self.policy.rules.get(place))
    }
}

impl InForce {
    #[cold]
    fn find(policy: Current, role: Role, target: Option<String>) -> Self {
        let found = policy.for_target(role, target.as_deref(), program());
        let rule = found.rule.map(|rule| rule.number.saturating_sub(1));
        let by_address = role == Role::Initiator && target.as_deref().is_some_and(is_address);
        let spares_kerberos = by_address && !found.terms.kerberos_for_ip;
        if target.is_none() && policy.rules.iter().any(Rule::asks_for_target) {
            trace!(RulesPassedOver);
        }
        Self(Holds::Found(Arc::new(ForOne {
            policy,
            rule,
            spares_kerberos,
        })))
    }

    /// The rule that matched; `None`: the settings hold.
    pub fn rule(&self) -> Option<&Rule> {
        match &self.0 {
            Holds::Settings(_) => None,
            Holds::Found(found) => found.rule(),
        }
    }

    /// What holds.
    #[inline]
    pub fn terms(&self) -> &Terms {
        match &self.0 {
            Holds::Settings(policy) => &policy.terms,
            Holds::Found(found) => found.rule().map_or(&found.policy.terms, |rule| &rule.terms),
        }
    }

    /// The policy that this is a part of.
    pub fn policy(&self) -> &Policy {
        match &self.0 {
            Holds::Settings(policy) => policy,
            Holds::Found(found) => &found.policy,
        }
    }

    /// Whether the settings of this policy hold, with nothing of this context's own.
    #[inline]
    pub fn is_only(&self, policy: &Current) -> bool {
        match &self.0 {
            Holds::Settings(mine) => mine.is(policy),
            Holds::Found(_) => false,
        }
    }

    fn spares_kerberos(&self) -> bool {
        match &self.0 {
            Holds::Settings(_) => false,
            Holds::Found(found) => found.spares_kerberos,
        }
    }

    /// Those of `available` that are allowed in this context, best first.
    pub fn order(&self, available: Vec<Oid>) -> Vec<Oid> {
        let mut ordered = self.terms().order(available);
        if self.spares_kerberos() {
            ordered.retain(|mech| !mech.is_krb5());
        }
        ordered
    }

    /// Whether `mech` may be negotiated in this context.
    ///
    /// # Errors
    /// Why not, as a sentence that names who says so.
    pub fn allows(&self, mech: &Oid) -> Result<(), String> {
        let terms = self.terms();
        if self.spares_kerberos() && mech.is_krb5() {
            let words = format!(
                "not tried, since the target is an IP address: {}",
                terms.said_by(Setting::KerberosForIp)
            );
            return Err(advised(words, Some(&Trouble::AddressTarget)));
        }
        terms
            .allows(mech)
            .map_err(|words| advised(words, Some(&Trouble::Policy)))
    }
}

/// The executable of this process, found out once; `None` where /proc is out of reach.
pub fn program() -> Option<&'static str> {
    static PROGRAM: OnceLock<Option<String>> = OnceLock::new();
    made_once(&PROGRAM, executable).as_deref()
}

fn executable() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    let path = path.to_string_lossy();
    // How the kernel shows a program that was upgraded while it ran.
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    Some(path.to_owned())
}

fn first() -> &'static Reading {
    made_once(&FIRST, || Source::new(variable).reading())
}

/// What is in the cell, or is put there: made before the cell is touched, so that a fork while it
/// is made does not leave the cell locked in the child.
#[inline]
fn made_once<T>(cell: &'static OnceLock<T>, make: impl FnOnce() -> T) -> &'static T {
    if let Some(made) = cell.get() {
        return made;
    }
    let made = make();
    cell.get_or_init(|| made)
}

/// Read the configuration, and put what it says now in the place of what it said.
#[cold]
fn read_again(known: Current) -> Current {
    let read = Source::new(variable).reading().or_keep(known.reading());
    if read.is_as(known.reading()) {
        return known;
    }
    let read = Arc::new(read);
    let says_other = read.policy != *known;
    if put(&read) && says_other {
        for problem in &read.policy.problems {
            trace!(Misconfigured { problem });
        }
        trace!(ReadAgain);
    }
    Current(Kept::Later(read))
}

/// Put a reading in force for others. It fails while they take theirs: the next use reads again.
fn put(read: &Arc<Reading>) -> bool {
    let mut latest = match LATEST.try_write() {
        Ok(latest) => latest,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return false,
    };
    let earlier = latest.replace(Arc::clone(read));
    CHANGED.store(true, Ordering::Release);
    // What it holds is freed when nobody waits for that any more.
    drop(latest);
    drop(earlier);
    true
}

#[cold]
fn later() -> Current {
    for _ in 0..TRIES {
        let latest = match LATEST.try_read() {
            Ok(latest) => latest,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Held while a pointer is put.
            Err(TryLockError::WouldBlock) => {
                std::thread::yield_now();
                continue;
            }
        };
        if let Some(latest) = latest.as_ref() {
            return Current(Kept::Later(Arc::clone(latest)));
        }
    }
    // A fork at that very moment has left it locked for good.
    Current(Kept::Later(Arc::new(Source::new(variable).reading())))
}

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static FOLLOWS: OnceLock<IsSetTo> = OnceLock::new();
static FIRST: OnceLock<Reading> = OnceLock::new();
static LATEST: RwLock<Option<Arc<Reading>>> = RwLock::new(None);
/// Whether [`LATEST`] stands in the place of [`FIRST`].
static CHANGED: AtomicBool = AtomicBool::new(false);

/// How often a lock that is held for a few instructions is tried.
const TRIES: u32 = 1000;

//! What happens in a negotiation, one line for each [`Event`], where `GSS_SPNEGO_TRACE` or the
//! configuration says, else in the file of libkrb5's own trace. Never a token's octets, a password
//! or a key; off costs one load.
#![forbid(unsafe_code)]

mod event;
mod file;
mod line;

pub use event::{By, Event, Sums};

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::policy::{self, TraceFormat, TraceTo};
use crate::role::Role;
use file::{Opened, Trust, append};
use line::{Format, Line};

pub use file::check as check_file;

/// `trace!(Dropped { mech, reason })`: an [`Event`]; its fields are looked at only when tracing is
/// on.
#[macro_export]
macro_rules! trace {
    ($($event:tt)*) => {
        if $crate::trace::on() {
            $crate::trace::tell(&$crate::trace::Event::$($event)*);
        }
    };
}

/// Whether tracing is on in this process.
#[inline]
pub fn on() -> bool {
    match STATE.load(Ordering::Relaxed) {
        OFF => false,
        ON => true,
        _ => settle(),
    }
}

/// How something is written that no signal may come of, to the program that this is a part of.
pub type Shield = fn(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

/// Give the shield of all writing; the first one given stands. Without one, a program takes what
/// comes.
pub fn install(shield: Shield) {
    // A second call is another entry point's first; it gives the same function.
    let _ = SHIELD.set(shield);
}

/// Write one event, when tracing is on. One that cannot be written is lost: the host program has no
/// use for that error.
#[cold]
pub fn tell(event: &Event<'_>) {
    if !on() {
        return;
    }
    if matches!(event, Event::Failed { .. }) {
        // A thread that is ending has no storage any more, and then no scope.
        let _ = VERDICT.try_with(|told| told.set(true));
    }
    let tracer = match TRACER.get() {
        Some(tracer) => tracer,
        None => {
            // Made before the cell is touched: a fork meanwhile would leave it locked in the child.
            let made = Tracer::new(Settings::in_force().to);
            TRACER.get_or_init(|| made)
        }
    };
    let _ = tracer.write(event, Scope::current());
}

/// Whether this thread has told of a context that failed since it was last asked.
pub fn verdict_was_told() -> bool {
    VERDICT.try_with(|told| told.replace(false)) == Ok(true)
}

/// A security context as events name it: its number in this process, and which side it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its number, from 1.
    pub number: u32,
    /// Its side.
    pub role: Role,
}

impl Context {
    /// The next one of this process.
    pub fn next(role: Role) -> Self {
        let number = NEXT_CONTEXT.fetch_add(1, Ordering::Relaxed);
        Self { number, role }
    }
}

/// While it lives, what this thread tells is of one security context.
#[derive(Debug)]
pub struct Scope {
    outer: Option<Option<Context>>,
}

impl Scope {
    /// Enter a context; none when nothing is traced, which touches nothing.
    #[inline]
    pub fn of(context: Option<Context>) -> Self {
        let outer = match context {
            None => None,
            inner => SCOPE.try_with(|scope| scope.replace(inner)).ok(),
        };
        Self { outer }
    }

    fn current() -> Option<Context> {
        SCOPE.try_with(Cell::get).ok().flatten()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(outer) = self.outer {
            let _ = SCOPE.try_with(|scope| scope.set(outer));
        }
    }
}

#[cold]
fn settle() -> bool {
    let settings = Settings::in_force();
    let on = settings.to != Destination::Off;
    let before = STATE.swap(if on { ON } else { OFF }, Ordering::Relaxed);
    if before == UNKNOWN {
        for problem in &settings.problems {
            tell(&Event::Misconfigured { problem });
        }
    }
    on
}

/// What the configuration and the environment say of tracing: the only place that asks them.
struct Settings {
    to: Destination,
    problems: Vec<String>,
}

impl Settings {
    fn in_force() -> Self {
        let policy = policy::at_start();
        Self {
            to: Destination::chosen(&policy.trace, policy.trace_format, policy::variable),
            problems: policy.problems.clone(),
        }
    }
}

/// Where events go, and what a line of them looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Off,
    Stderr(Format),
    Syslog(Format),
    File(PathBuf, Format),
    /// The file that libkrb5 traces to, among its lines and in their form.
    Joined(PathBuf),
}

impl Destination {
    fn chosen(
        to: &TraceTo,
        format: TraceFormat,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Self {
        let format = match variable(FORMAT_VARIABLE) {
            Some(value) if value == "json" => Format::Json,
            Some(value) if value == "text" => Format::Text,
            _ if format == TraceFormat::Json => Format::Json,
            _ => Format::Text,
        };
        match to {
            TraceTo::Off => match variable(KRB5_VARIABLE).filter(|path| !path.is_empty()) {
                Some(path) => Self::Joined(path.into()),
                None => Self::Off,
            },
            TraceTo::Stderr => Self::Stderr(format),
            TraceTo::Syslog => Self::Syslog(format),
            TraceTo::File(path) => Self::File(path.clone(), format),
        }
    }
}

/// Where lines go, with what stays the same from line to line.
struct Tracer {
    program: String,
    to: Destination,
    opened: OnceLock<Opened>,
}

impl Tracer {
    fn new(to: Destination) -> Self {
        Self {
            program: program(),
            to,
            opened: OnceLock::new(),
        }
    }

    fn write(&self, event: &Event<'_>, context: Option<Context>) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let happened = Happened {
            since_1970: now.unwrap_or_default(),
            pid: std::process::id(),
            program: &self.program,
            context,
            event,
        };
        match &self.to {
            Destination::Off => Ok(()),
            // Through a descriptor of its own: no lock that a fork could leave locked.
            Destination::Stderr(format) => {
                let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
                write_once(&stderr, &happened.line(*format))
            }
            Destination::Syslog(format) => send(Path::new(SYSLOG_SOCKET), &happened, *format),
            Destination::File(path, format) => {
                append(path, Trust::Plain, &self.opened, &happened.line(*format))
            }
            Destination::Joined(path) => {
                append(path, Trust::Joined, &self.opened, &happened.line_of_krb5())
            }
        }
    }
}

/// An event with its circumstances.
struct Happened<'a> {
    since_1970: Duration,
    pid: u32,
    program: &'a str,
    context: Option<Context>,
    event: &'a Event<'a>,
}

impl Happened<'_> {
    /// A whole line, with its line feed.
    fn line(&self, format: Format) -> String {
        let mut line = Line::new(format);
        let Self {
            since_1970,
            pid,
            program,
            ..
        } = self;
        line.value("time", &Utc(*since_1970)).say(" ");
        line.number("pid", *pid).say(" ").text("program", program);
        self.tell(line.say(": ")).finish() + "\n"
    }

    /// A line as libkrb5 writes its own: `[4711] 1772366400.000001: what`.
    fn line_of_krb5(&self) -> String {
        let mut line = Line::new(Format::Text);
        let Self {
            since_1970, pid, ..
        } = self;
        let (seconds, micros) = (since_1970.as_secs(), since_1970.subsec_micros());
        line.value("", &format_args!("[{pid}] {seconds}.{micros:06}: SPNEGO "));
        self.tell(&mut line).finish() + "\n"
    }

    /// What syslog gets, which adds time, program and process itself.
    fn message(&self, format: Format) -> String {
        self.tell(&mut Line::new(format)).finish()
    }

    fn tell<'l>(&self, line: &'l mut Line) -> &'l mut Line {
        if let Some(context) = self.context {
            line.say("#").number("context", context.number).say(" ");
            line.text("role", context.role.name()).say(": ");
        }
        self.event.tell(line);
        line
    }
}

/// One line by one write, so that lines of several processes do not mix.
fn write_once(mut file: &File, line: &str) -> io::Result<()> {
    let mut write = || file.write_all(line.as_bytes());
    match SHIELD.get() {
        Some(shield) => shield(&mut write),
        None => write(),
    }
}

fn send(socket: &Path, happened: &Happened<'_>, format: Format) -> io::Result<()> {
    let (program, pid) = (happened.program, happened.pid);
    // RFC 3164: the receiver supplies the time.
    let mut message = Line::new(Format::Text);
    message.value("", &format_args!("<{AUTHPRIV_INFO}>{program}[{pid}]: "));
    let message = message.finish() + &happened.message(format);
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to(message.as_bytes(), socket).map(drop)
}

/// A time since 1970, shown as RFC 3339 in UTC.
struct Utc(Duration);

impl std::fmt::Display for Utc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, micros) = (self.0.as_secs(), self.0.subsec_micros());
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    }
}

/// The Gregorian date of a day counted from 1970-01-01.
fn date(day: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970 + 400 * (day / DAYS_IN_400_YEARS);
    let mut day = day % DAYS_IN_400_YEARS;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

fn program() -> String {
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    match comm.trim() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

static SHIELD: OnceLock<Shield> = OnceLock::new();
static TRACER: OnceLock<Tracer> = OnceLock::new();
static NEXT_CONTEXT: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static SCOPE: Cell<Option<Context>> = const { Cell::new(None) };
    static VERDICT: Cell<bool> = const { Cell::new(false) };
}

/// The variable that makes every line an object of JSON, as the value `json`.
const FORMAT_VARIABLE: &str = "GSS_SPNEGO_TRACE_FORMAT";
/// The variable that names the file of libkrb5's trace.
const KRB5_VARIABLE: &str = "KRB5_TRACE";

const SYSLOG_SOCKET: &str = "/dev/log";
/// RFC 3164 4.1.1: facility 10 (authpriv), severity 6 (informational).
const AUTHPRIV_INFO: u8 = 10 * 8 + 6;
const DAYS_IN_400_YEARS: u64 = 146_097;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::oid::KRB5;
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    pub(super) struct Scratch(pub(super) PathBuf);

    impl Scratch {
        pub(super) fn new(name: &str) -> Self {
            let name = format!("gss-spnego-trace-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = std::fs::remove_file(&path);
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// An event of the second of March 2026 in the process 4711.
    fn happened<'a>(event: &'a Event<'a>, context: Option<Context>) -> Happened<'a> {
        Happened {
            since_1970: Duration::from_micros(1_772_366_400_000_001),
            pid: 4711,
            program: "sshd",
            context,
            event,
        }
    }

    const ACCEPTOR: Option<Context> = Some(Context {
        number: 3,
        role: Role::Acceptor,
    });
    const NO_TICKET: Event<'static> = Event::Dropped {
        mech: &KRB5,
        reason: "no ticket",
    };

    #[test]
    fn nothing_configured_is_off() {
        policy::install(|name| (name == policy::CONFIG_VARIABLE).then(OsString::new));
        assert!(!on());
        let looked_at = std::cell::Cell::new(false);
        let look = || {
            looked_at.set(true);
            "looked at"
        };
        trace!(Misconfigured { problem: look() });
        assert!(!looked_at.get());
    }

    #[test]
    fn one_event_is_a_line_of_each_format() {
        let event = happened(&NO_TICKET, ACCEPTOR);
        assert_eq!(
            event.line(Format::Text),
            "2026-03-01T12:00:00.000001Z 4711 sshd: #3 acceptor: krb5: dropped: no ticket\n"
        );
        assert_eq!(
            event.line(Format::Json),
            "{\"time\":\"2026-03-01T12:00:00.000001Z\",\"pid\":4711,\"program\":\"sshd\",\
             \"context\":3,\"role\":\"acceptor\",\"event\":\"drop\",\"mech\":\"krb5\",\
             \"reason\":\"no ticket\"}\n"
        );
        assert_eq!(
            event.line_of_krb5(),
            "[4711] 1772366400.000001: SPNEGO #3 acceptor: krb5: dropped: no ticket\n"
        );
        assert_eq!(
            happened(&NO_TICKET, None).message(Format::Text),
            "krb5: dropped: no ticket"
        );
    }

    #[test]
    fn a_scope_ends_where_it_began() {
        let [outer, inner] = [Role::Initiator, Role::Acceptor].map(Context::next);
        assert_ne!(outer.number, inner.number);
        let (outer, inner) = (Some(outer), Some(inner));
        let scope = Scope::of(outer);
        {
            let _inner = Scope::of(inner);
            assert_eq!(Scope::current(), inner);
            drop(Scope::of(None));
            assert_eq!(Scope::current(), inner);
        }
        assert_eq!(Scope::current(), outer);
        drop(scope);
        assert_eq!(Scope::current(), None);
    }

    #[test]
    fn trace_of_krb5_is_joined_where_ours_is_off() {
        let variable = |name: &str| match name {
            KRB5_VARIABLE => Some(OsString::from("/krb5")),
            FORMAT_VARIABLE => Some(OsString::from("json")),
            _ => None,
        };
        let off = TraceTo::Off;
        assert_eq!(
            Destination::chosen(&off, TraceFormat::Text, variable),
            Destination::Joined("/krb5".into())
        );
        assert_eq!(
            Destination::chosen(&off, TraceFormat::Text, |_| None),
            Destination::Off
        );
        let json = Destination::chosen(&TraceTo::Stderr, TraceFormat::Json, |_| None);
        assert_eq!(json, Destination::Stderr(Format::Json));
        let empty = |_: &str| Some(OsString::new());
        assert_eq!(
            Destination::chosen(&off, TraceFormat::Text, empty),
            Destination::Off
        );
        assert_eq!(
            Destination::chosen(&TraceTo::Stderr, TraceFormat::Text, variable),
            Destination::Stderr(Format::Json)
        );
        assert_eq!(
            Destination::chosen(&TraceTo::Syslog, TraceFormat::Text, |_| None),
            Destination::Syslog(Format::Text)
        );
    }

    #[test]
    fn dates_are_gregorian() {
        assert_eq!(
            Utc(Duration::ZERO).to_string(),
            "1970-01-01T00:00:00.000000Z"
        );
        let leap_day = Utc(Duration::from_micros(951_868_799_000_007));
        assert_eq!(leap_day.to_string(), "2000-02-29T23:59:59.000007Z");
        assert_eq!(date(20_819), (2027, 1, 1));
        assert_eq!(date(47_540), (2100, 2, 28));
        assert_eq!(date(47_541), (2100, 3, 1));
    }

    #[test]
    fn file_is_appended_to_and_private() {
        let scratch = Scratch::new("file");
        let to = Destination::File(scratch.0.clone(), Format::Text);
        for problem in ["one", "two"] {
            let event = Event::Misconfigured { problem };
            Tracer::new(to.clone()).write(&event, None).unwrap();
        }
        let text = std::fs::read_to_string(&scratch.0).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with(": two\n"));
        let mode = std::fs::metadata(&scratch.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn file_that_cannot_be_opened_loses_the_line_only() {
        for path in ["/no/such/directory/trace", "/dev/null", "/tmp"] {
            let to = Destination::File(path.into(), Format::Text);
            assert!(Tracer::new(to).write(&NO_TICKET, None).is_err(), "{path}");
        }
        let nowhere = Tracer::new(Destination::Off);
        assert!(nowhere.write(&NO_TICKET, None).is_ok());
    }

    #[test]
    fn what_krb5_writes_to_is_written_to() {
        let scratch = Scratch::new("joined");
        let link = Scratch::new("joined-link");
        std::os::unix::fs::symlink(&scratch.0, &link.0).unwrap();
        let joined = Tracer::new(Destination::Joined(link.0.clone()));
        joined.write(&NO_TICKET, ACCEPTOR).unwrap();
        joined.write(&NO_TICKET, ACCEPTOR).unwrap();
        let text = std::fs::read_to_string(&scratch.0).unwrap();
        assert_eq!(text.matches(": SPNEGO #3 acceptor: ").count(), 2, "{text}");
    }

    #[test]
    fn syslog_gets_one_datagram() {
        let scratch = Scratch::new("syslog");
        let receiver = UnixDatagram::bind(&scratch.0).unwrap();
        let event = happened(&NO_TICKET, None);
        send(&scratch.0, &event, Format::Text).unwrap();
        let mut datagram = [0; 200];
        let length = receiver.recv(&mut datagram).unwrap();
        let text = std::str::from_utf8(&datagram[..length]).unwrap();
        assert_eq!(text, "<86>sshd[4711]: krb5: dropped: no ticket");
        assert!(send(Path::new("/no/such"), &event, Format::Text).is_err());
    }
}

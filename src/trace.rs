//! Why each mechanism was taken or dropped: one line per event, where `GSS_SPNEGO_TRACE` or the
//! configuration says. Never a token's octets, a password or a key; off costs one load.
#![forbid(unsafe_code)]

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::policy::{self, TraceTo};

/// `trace!("krb5: dropped: {reason}")`: an event; its arguments are looked at only when tracing
/// is on.
#[macro_export]
macro_rules! trace {
    ($($part:tt)*) => {
        if $crate::trace::on() {
            $crate::trace::event(format_args!($($part)*));
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

/// Write one event, when tracing is on. An event that cannot be written is lost: the host
/// program has no use for that error.
pub fn event(what: fmt::Arguments<'_>) {
    if !on() {
        return;
    }
    let tracer = TRACER.get_or_init(|| Tracer::new(&policy::at_start().trace));
    let _ = tracer.write(what);
}

#[cold]
fn settle() -> bool {
    let policy = policy::current();
    let on = policy.trace != TraceTo::Off;
    let before = STATE.swap(if on { ON } else { OFF }, Ordering::Relaxed);
    if before == UNKNOWN {
        for problem in &policy.problems {
            event(format_args!("configuration: {problem}"));
        }
    }
    on
}

/// Where lines go, with what stays the same from line to line.
enum Tracer<'p> {
    Stderr {
        program: String,
    },
    Syslog {
        program: String,
        socket: &'p Path,
    },
    File {
        program: String,
        path: &'p Path,
        opened: OnceLock<Opened>,
    },
    Nowhere,
}

impl<'p> Tracer<'p> {
    fn new(to: &'p TraceTo) -> Self {
        let program = program();
        match to {
            TraceTo::Off => Self::Nowhere,
            TraceTo::Stderr => Self::Stderr { program },
            TraceTo::Syslog => Self::Syslog {
                program,
                socket: Path::new(SYSLOG_SOCKET),
            },
            TraceTo::File(path) => Self::File {
                program,
                path,
                opened: OnceLock::new(),
            },
        }
    }

    fn write(&self, what: fmt::Arguments<'_>) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            // Through a descriptor of its own: no lock that a fork could leave locked.
            Self::Stderr { program } => {
                let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
                write_once(&stderr, &line(program, what))
            }
            Self::Syslog { program, socket } => send(socket, program, what),
            Self::File {
                program,
                path,
                opened,
            } => append(path, opened, &line(program, what)),
        }
    }
}

/// The trace file, and which file it was when it was opened.
struct Opened {
    file: File,
    identity: (u64, u64),
}

impl Opened {
    fn new(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let metadata = file.metadata()?;
        // A pipe whose reader is gone would kill the host program by SIGPIPE.
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            file,
        })
    }

    /// Whether the descriptor still is this file: a host program that closes every descriptor
    /// (a daemon at its start) may have given the number to a connection.
    fn is_still_ours(&self) -> bool {
        let now = self.file.metadata();
        now.is_ok_and(|now| (now.dev(), now.ino()) == self.identity)
    }
}

fn append(path: &Path, opened: &OnceLock<Opened>, line: &str) -> io::Result<()> {
    if let Some(opened) = opened.get() {
        if opened.is_still_ours() {
            return write_once(&opened.file, line);
        }
        // Lost for good; from here on, open it for each line.
        return write_once(&Opened::new(path)?.file, line);
    }
    let new = Opened::new(path)?;
    write_once(&new.file, line)?;
    // When another thread was faster, this descriptor is one too many and is closed.
    let _ = opened.set(new);
    Ok(())
}

/// One line by one write, so that lines of several processes do not mix.
fn write_once(mut file: &File, line: &str) -> io::Result<()> {
    file.write_all(line.as_bytes())
}

fn send(socket: &Path, program: &str, what: fmt::Arguments<'_>) -> io::Result<()> {
    let mut message = Printable::new();
    let pid = std::process::id();
    // RFC 3164: the receiver supplies the time.
    let _ = write!(message, "<{AUTHPRIV_INFO}>{program}[{pid}]: {what}");
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to(message.text.as_bytes(), socket).map(drop)
}

/// "2026-03-01T12:00:00.000001Z 4711 sshd: what", with its line feed.
fn line(program: &str, what: fmt::Arguments<'_>) -> String {
    let mut line = Printable::new();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let pid = std::process::id();
    // An error here says that the line is full: it is cut.
    let _ = write!(
        line,
        "{} {pid} {program}: {what}",
        Utc(since_1970.unwrap_or_default())
    );
    let mut text = line.text;
    text.push('\n');
    text
}

/// Text in which nothing a peer wrote can end the line or drive a terminal; bounded.
struct Printable {
    text: String,
}

impl Printable {
    fn new() -> Self {
        Self {
            text: String::with_capacity(160),
        }
    }
}

impl fmt::Write for Printable {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            if self.text.len() >= LONGEST_LINE {
                return Err(fmt::Error);
            }
            match c {
                '"' | '\'' => self.text.push(c),
                _ => self.text.extend(c.escape_debug()),
            }
        }
        Ok(())
    }
}

/// A time since 1970, shown as RFC 3339 in UTC.
struct Utc(Duration);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

static TRACER: OnceLock<Tracer<'static>> = OnceLock::new();

const SYSLOG_SOCKET: &str = "/dev/log";
/// RFC 3164 4.1.1: facility 10 (authpriv), severity 6 (informational).
const AUTHPRIV_INFO: u8 = 10 * 8 + 6;
/// A line holds what was said of a dozen mechanisms; a longer one is a peer's doing.
const LONGEST_LINE: usize = 4096;
const DAYS_IN_400_YEARS: u64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
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

    #[test]
    fn nothing_configured_is_off() {
        policy::install(|name| (name == policy::CONFIG_VARIABLE).then(OsString::new));
        assert!(!on());
        let looked_at = std::cell::Cell::new(false);
        let look = || looked_at.replace(true);
        trace!("{}", look());
        assert!(!looked_at.get());
    }

    #[test]
    fn a_line_has_time_process_and_program() {
        let line = line("sshd", format_args!("krb5: dropped: {}", "no ticket"));
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        assert_eq!(words[0].len(), "2026-03-01T12:00:00.000001Z".len());
        assert_eq!(words[1], std::process::id().to_string());
        assert_eq!(words[2], "sshd: krb5: dropped: no ticket\n");
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
    fn nothing_a_peer_wrote_ends_the_line_or_drives_a_terminal() {
        let text = "a\nb\r\u{1b}[31m \u{202e}\0 \\n \"c\"";
        let line = line("p", format_args!("{text}"));
        assert!(
            line.ends_with(": a\\nb\\r\\u{1b}[31m \\u{202e}\\0 \\\\n \"c\"\n"),
            "{line}"
        );
        let long = super::line("p", format_args!("{}", "x".repeat(100_000)));
        assert!(long.len() <= LONGEST_LINE + 1 && long.ends_with("x\n"));
    }

    #[test]
    fn file_is_appended_to_and_private() {
        let scratch = Scratch::new("file");
        let to = TraceTo::File(scratch.0.clone());
        for text in ["one", "two"] {
            Tracer::new(&to).write(format_args!("{text}")).unwrap();
        }
        let text = std::fs::read_to_string(&scratch.0).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with(": two\n"));
        let mode = std::fs::metadata(&scratch.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn descriptor_that_became_another_file_is_left_alone() {
        let scratch = Scratch::new("identity");
        let mut opened = Opened::new(&scratch.0).unwrap();
        assert!(opened.is_still_ours());
        let other = Scratch::new("identity-other");
        opened.file = File::create(&other.0).unwrap();
        assert!(!opened.is_still_ours());
        let lost = OnceLock::new();
        assert!(lost.set(opened).is_ok());
        append(&scratch.0, &lost, "line\n").unwrap();
        assert_eq!(std::fs::read_to_string(&scratch.0).unwrap(), "line\n");
        assert_eq!(std::fs::read_to_string(&other.0).unwrap(), "");
    }

    #[test]
    fn file_that_cannot_be_opened_loses_the_line_only() {
        for path in ["/no/such/directory/trace", "/dev/null", "/tmp"] {
            let to = TraceTo::File(path.into());
            assert!(
                Tracer::new(&to).write(format_args!("lost")).is_err(),
                "{path}"
            );
        }
        assert!(Tracer::new(&TraceTo::Off).write(format_args!("x")).is_ok());
    }

    #[test]
    fn syslog_gets_one_datagram() {
        let scratch = Scratch::new("syslog");
        let receiver = UnixDatagram::bind(&scratch.0).unwrap();
        send(&scratch.0, "sshd", format_args!("ntlmssp: off")).unwrap();
        let mut datagram = [0; 200];
        let length = receiver.recv(&mut datagram).unwrap();
        let text = std::str::from_utf8(&datagram[..length]).unwrap();
        let pid = std::process::id();
        assert_eq!(text, format!("<86>sshd[{pid}]: ntlmssp: off"));
        assert!(send(Path::new("/no/such"), "sshd", format_args!("x")).is_err());
    }
}

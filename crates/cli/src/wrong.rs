//! What went wrong on the way to a page: a code that programs know it by, the sentence, and what to
//! do about it.
#![forbid(unsafe_code)]

use std::io;

use http::client;
use spnego::error::plain;

/// A failure of `get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) remedy: Option<String>,
}

/// The kinds of failure. Their names stay what they are: programs go by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The host's name has no address.
    UnknownHost,
    /// Nobody listens there.
    ConnectionRefused,
    /// The network does not get there.
    Unreachable,
    /// No end within the time limit.
    TimedOut,
    /// The connection was closed, or reset, before its time.
    ConnectionClosed,
    /// TLS could not be agreed on.
    Tls,
    /// The server's certificate is not trusted.
    Certificate,
    /// TLS is spoken to a port that does not speak it.
    TlsNotSpoken,
    /// A port that speaks TLS is spoken to without.
    TlsWanted,
    /// What came is no HTTP, or has no end.
    NotHttp,
    /// The proxy makes no tunnel.
    ProxyRefused,
    /// A proxy asks for a sign-in, and none was named.
    ProxyNotNamed,
    /// The proxy does not promise to keep its clients apart.
    ProxyMayShare,
    /// Credentials are asked for without a challenge.
    NoChallenge,
    /// Only NTLM without SPNEGO is offered.
    OnlyNtlm,
    /// Only other schemes are offered.
    NotOffered,
    /// A challenge is malformed.
    MalformedChallenge,
    /// This side has no credential, or cannot begin.
    CannotBegin,
    /// The mechanism does not go on: the peer's token is wrong, or says why it refuses.
    ExchangeFailed,
    /// The peer does not accept the credentials.
    Refused,
    /// The tokens of one exchange did not go over one connection.
    ConnectionNotKept,
    /// The header field, or the request, is too large.
    TooLarge,
    /// An error came in the place of a token.
    Interrupted,
    /// A success does not prove where it comes from.
    Unverified,
    /// The exchange has no end.
    NoEnd,
    /// The page itself is an error, and nobody had to sign in for that.
    Status,
    /// Something of this machine: a file, its certificates.
    Local,
}

impl Code {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown-host",
            Self::ConnectionRefused => "connection-refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
            Self::ConnectionClosed => "connection-closed",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::TlsNotSpoken => "tls-not-spoken",
            Self::TlsWanted => "tls-wanted",
            Self::NotHttp => "not-http",
            Self::ProxyRefused => "proxy-refused",
            Self::ProxyNotNamed => "proxy-not-named",
            Self::ProxyMayShare => "proxy-may-share",
            Self::NoChallenge => "no-challenge",
            Self::OnlyNtlm => "only-ntlm",
            Self::NotOffered => "not-offered",
            Self::MalformedChallenge => "malformed-challenge",
            Self::CannotBegin => "cannot-begin",
            Self::ExchangeFailed => "exchange-failed",
            Self::Refused => "refused",
            Self::ConnectionNotKept => "connection-not-kept",
            Self::TooLarge => "too-large",
            Self::Interrupted => "interrupted",
            Self::Unverified => "unverified",
            Self::NoEnd => "no-end",
            Self::Status => "status",
            Self::Local => "local",
        }
    }

    /// That of an exchange that failed, `begun` when the peer's token had come.
    pub(crate) fn of_exchange(error: &client::Error, begun: bool) -> Self {
        match error {
            client::Error::NotOffered(offered) => match offered.as_slice() {
                [] => Self::NoChallenge,
                [only] if only.eq_ignore_ascii_case("NTLM") => Self::OnlyNtlm,
                _ => Self::NotOffered,
            },
            client::Error::Malformed(_) => Self::MalformedChallenge,
            client::Error::Refused | client::Error::AskedAnew { .. } => Self::Refused,
            client::Error::Context(_) if begun => Self::ExchangeFailed,
            client::Error::Context(_) => Self::CannotBegin,
            client::Error::Unverified(_) => Self::Unverified,
            client::Error::Interrupted { .. } if error.is_about_size() => Self::TooLarge,
            client::Error::Interrupted { .. } => Self::Interrupted,
            client::Error::ProxyMayShare => Self::ProxyMayShare,
            client::Error::NeedsHttp11 | client::Error::TooLong => Self::NoEnd,
        }
    }
}

impl Wrong {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            remedy: None,
        }
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// What an error of a socket means.
    pub(crate) fn of_socket(error: &io::Error) -> Self {
        use io::ErrorKind;
        let code = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                return Self::new(Code::TimedOut, "no end within the time limit");
            }
            ErrorKind::ConnectionRefused => Code::ConnectionRefused,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => Code::ConnectionClosed,
            ErrorKind::InvalidData => Code::Tls,
            _ => Code::Unreachable,
        };
        Self::new(code, plain(error))
    }

    /// The sentence, and what to do unless it says so already.
    pub(crate) fn sentence(&self) -> String {
        match &self.remedy {
            Some(remedy) if !self.reason.contains(remedy.as_str()) => {
                format!("{}; {remedy}", self.reason)
            }
            _ => self.reason.clone(),
        }
    }
}

/// For `serve`, whose connections end for a reason without a code.
impl From<Wrong> for String {
    fn from(wrong: Wrong) -> Self {
        wrong.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_code_is_in_the_manual() {
        let tool = crate::Spnego::command();
        let get = tool.find_subcommand("get").unwrap();
        let manual = get.get_long_about().unwrap().to_string();
        let named: Vec<&str> = manual
            .split(|c: char| !c.is_ascii_lowercase() && c != '-')
            .collect();
        for code in CODES {
            assert!(named.contains(&code.name()), "{code:?}");
        }
    }

    #[test]
    fn an_error_of_the_system_has_its_code_and_not_its_number() {
        let error = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let wrong = Wrong::new(Code::ConnectionRefused, "Connection refused");
        assert_eq!(Wrong::of_socket(&error), wrong);
    }

    const CODES: [Code; 27] = [
        Code::UnknownHost,
        Code::ConnectionRefused,
        Code::Unreachable,
        Code::TimedOut,
        Code::ConnectionClosed,
        Code::Tls,
        Code::Certificate,
        Code::TlsNotSpoken,
        Code::TlsWanted,
        Code::NotHttp,
        Code::ProxyRefused,
        Code::ProxyNotNamed,
        Code::ProxyMayShare,
        Code::NoChallenge,
        Code::OnlyNtlm,
        Code::NotOffered,
        Code::MalformedChallenge,
        Code::CannotBegin,
        Code::ExchangeFailed,
        Code::Refused,
        Code::ConnectionNotKept,
        Code::TooLarge,
        Code::Interrupted,
        Code::Unverified,
        Code::NoEnd,
        Code::Status,
        Code::Local,
    ];
}

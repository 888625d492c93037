//! `spnego get`: the HTTP client, leg by leg. Legs and verdict go to standard error, the page to
//! standard output; as JSON, legs and verdict go to standard output, and the page to a file if at
//! all.
#![forbid(unsafe_code)]

mod show;
mod side;
mod url;

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use gssapi::system::{Library, Sessions, User};
use http::client::{Client, Route};
use http::header::Header;
use http::{Asker, Flags, Version, binding};
use serde_json::json;
use spnego::error::plain;
use spnego::oid;
use spnego::secret::Secret;

use crate::http::stream::Stream;
use crate::http::tls::{self, Trust};
use crate::http::{Connection, Response};
use crate::leg::Observed;
use crate::print::{self, Form, Verdict, harmless};
use crate::wrong::{Code, Wrong};
use show::{faint, tell, tell_failure};
use side::Side;
use url::Url;

/// Get a page, and show each leg of the sign-in
///
/// Signs in by Negotiate or Nego2 with the SPNEGO of the system's GSS-API library, as curl does,
/// and verifies the server; a proxy that only makes a tunnel to it need not prove itself. Exit
/// status: 0 when the page was got (and nobody had to sign in, or the sign-in succeeded), 1 when
/// the sign-in failed, the status is an error or the server cannot be reached, 2 when the command
/// line is wrong. Redirections are shown and not followed.
///
/// With --json, a failure has a code that stays what it is. On the way to the server: unknown-host,
/// connection-refused, unreachable, timed-out, connection-closed, tls, certificate, tls-not-spoken,
/// tls-wanted, not-http, proxy-refused, proxy-not-named, proxy-may-share. In what it offers:
/// no-challenge, only-ntlm, not-offered, malformed-challenge. In the exchange: cannot-begin (here),
/// exchange-failed (by a token of the peer's), refused, connection-not-kept, too-large, interrupted
/// (an error in the place of a token), unverified, no-end. Of the page: status. Of this machine:
/// local.
#[derive(Args)]
pub(crate) struct Get {
    /// The page: http://host[:port]/path or https://...
    url: String,
    /// Write the page to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Send this header field too
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Sign in as this user (user@REALM, DOMAIN\user) with a password, not with the ticket cache
    #[arg(short, long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// Where the user's password is, in the first line; - is standard input
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Trust the certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Trust any certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Go through this proxy, and sign in there too if it asks: http://host:port
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,
    /// Sign in before being asked to
    #[arg(long)]
    unasked: bool,
    /// Delegate the ticket to the server
    #[arg(long)]
    delegate: bool,
    /// Give no channel bindings
    #[arg(long)]
    no_bindings: bool,
    /// Give up after so many seconds
    #[arg(short = 'm', long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_time: u64,
}

impl Get {
    pub(crate) fn run(self, form: Form) -> Verdict {
        match self.plan() {
            Ok((plan, user)) => match plan.go(form, user) {
                Ok(verdict) => verdict,
                Err(wrong) => {
                    tell_failure(form, &wrong);
                    Verdict::Wrong
                }
            },
            Err(reason) => print::usage(reason),
        }
    }

    /// Everything that can be wrong with the command line.
    fn plan(&self) -> Result<(Plan<'_>, Option<User>), String> {
        let url = Url::parse(&self.url)?;
        let proxy = self.proxy.as_deref().map(Url::parse).transpose()?;
        if proxy.as_ref().is_some_and(|proxy| proxy.tls) {
            return Err("the proxy is spoken to without TLS: http://host:port".to_owned());
        }
        for header in &self.headers {
            let sound = header.split_once(':').is_some_and(|(name, value)| {
                let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
                !name.is_empty() && name.chars().all(token) && !value.chars().any(char::is_control)
            });
            if !sound {
                return Err(format!("no header field: {header}"));
            }
        }
        let plan = Plan {
            options: self,
            url,
            proxy,
            until: Instant::now() + Duration::from_secs(self.max_time),
        };
        Ok((plan, self.user()?))
    }

    fn user(&self) -> Result<Option<User>, String> {
        let (Some(name), Some(file)) = (&self.user, &self.password_file) else {
            return Ok(None);
        };
        let failed = |error: io::Error| format!("{}: {}", file.display(), plain(&error));
        let mut text = Secret::new(Vec::new());
        let source: Box<dyn Read> = if file.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(file).map_err(failed)?)
        };
        source
            .take(PASSWORD_MAX)
            .read_to_end(text.expose_mut())
            .map_err(failed)?;
        let line = text.expose().split(|octet| *octet == b'\n').next();
        let line = line.unwrap_or_default();
        let password = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        Ok(Some(User {
            name: name.clone(),
            password: Secret::new(password),
        }))
    }
}

/// What is to be done.
struct Plan<'a> {
    options: &'a Get,
    url: Url,
    proxy: Option<Url>,
    until: Instant,
}

impl Plan<'_> {
    fn go(&self, form: Form, user: Option<User>) -> Result<Verdict, Wrong> {
        let mut proxy = None;
        let mut connection = self.connect(form, &mut proxy)?;
        let certificate = connection.stream().peer_certificate();
        let mut server = self.side(Asker::Server, &self.url, certificate.as_deref(), user)?;
        if self.options.unasked {
            let begun = server.client.begin();
            match begun {
                Ok(header) => server.credentials = Some(header),
                Err(error) => return Err(server.explained(form, &error, 0)),
            }
        }
        for number in 1..=REQUESTS_MAX {
            connection.stream().allow(self.left()?);
            let fields = [Some(&server), proxy.as_ref()].into_iter().flatten();
            let credentials = fields.filter_map(|side| side.credentials.as_ref());
            let credentials: Vec<&Header> = credentials.collect();
            show::request(form, number, "GET", &self.url.to_string(), &credentials);
            let request = self.request(&credentials);
            let mut response = exchange(&mut connection, &request);
            // A server may have closed a kept connection in the meantime (RFC 9112 section 9.6).
            if number > 1 && matches!(response, Ok(None)) {
                server.lose_connection("without a word");
                connection = self.again(form, &mut proxy, certificate.as_deref())?;
                response = exchange(&mut connection, &request);
            }
            let Some(response) = response? else {
                return Err(server.left_without_response());
            };
            show::response(form, number, &response);
            let repeat = if response.status == Asker::Proxy.status() && self.forwards() {
                // The server has not seen the request, which is repeated as it was.
                let side = self.proxy_side(&mut proxy)?;
                side.next(form, &response)?
            } else {
                if let Some(side) = proxy.as_mut().filter(|_| self.forwards()) {
                    side.next(form, &response)?;
                }
                server.next(form, &response)?
            };
            if !repeat {
                let sides = [proxy.as_ref(), Some(&server)].into_iter().flatten();
                let sides = sides.filter_map(Side::is_signed_in);
                let signed_in = sides.reduce(|one, other| one && other);
                return self.finish(form, &mut connection, &response, signed_in);
            }
            if let Some(how) = closes(&response) {
                server.lose_connection(how);
                connection = self.again(form, &mut proxy, certificate.as_deref())?;
            } else {
                let body = response.body("GET")?;
                connection.body(body, SKIPPED_MAX, &mut io::sink())?;
            }
        }
        Err(no_end())
    }

    /// The response that is meant for the user.
    fn finish(
        &self,
        form: Form,
        connection: &mut Connection,
        response: &Response,
        signed_in: Option<bool>,
    ) -> Result<Verdict, Wrong> {
        let body = response.body("GET")?;
        let octets = match (&self.options.output, form) {
            (Some(file), _) => {
                let failed = |error: io::Error| {
                    let reason = format!("{}: {}", file.display(), plain(&error));
                    Wrong::new(Code::Local, reason)
                };
                let mut sink = File::create(file).map_err(failed)?;
                connection.body(body, u64::MAX, &mut sink)?
            }
            (None, Form::Json) => connection.body(body, u64::MAX, &mut io::sink())?,
            (None, Form::Text) => connection.body(body, u64::MAX, &mut print::Page::new())?,
        };
        let location = response.fields.values("Location").next();
        let location = location.map(|place| String::from_utf8_lossy(place).into_owned());
        let status = response.status;
        let text = match &location {
            Some(place) => format!("* {octets} octets; the page is at {}", harmless(place)),
            None => format!("* {octets} octets"),
        };
        tell(
            form,
            &faint(&text),
            || json!({"event": "page", "status": status, "octets": octets, "location": location}),
        );
        if status < 400 {
            return Ok(Verdict::Well);
        }
        // A sign-in that failed has been told.
        if signed_in != Some(false) {
            tell_failure(form, &page_is_error(response, signed_in.is_some()));
        }
        Ok(Verdict::Wrong)
    }

    /// The request, for a server or a proxy that forwards it.
    fn request(&self, credentials: &[&Header]) -> String {
        let target = if self.forwards() {
            self.url.to_string()
        } else {
            self.url.path.clone()
        };
        let mut request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\n",
            self.url.authority()
        );
        for header in credentials {
            request += &format!("{}: {}\r\n", header.name, header.value);
        }
        for header in &self.options.headers {
            request += header;
            request += "\r\n";
        }
        request + "\r\n"
    }

    /// Whether a proxy forwards each request, rather than giving us a tunnel.
    fn forwards(&self) -> bool {
        self.proxy.is_some() && !self.url.tls
    }

    fn connect(&self, form: Form, proxy: &mut Option<Side>) -> Result<Connection, Wrong> {
        let next = self.proxy.as_ref().unwrap_or(&self.url);
        let socket = reach(next, self.left()?)?;
        let address = socket.peer_addr().map(|address| address.to_string());
        let address = address.unwrap_or_default();
        let mut stream = Stream::new(socket, self.left()?);
        if self.proxy.is_some() && self.url.tls {
            stream = self.tunnel(form, stream, proxy)?;
        }
        if self.url.tls {
            let trust = match (&self.options.cacert, self.options.insecure) {
                (_, true) => Trust::Anybody,
                (Some(file), false) => Trust::File(file),
                (None, false) => Trust::System,
            };
            stream = tls::connect(stream, self.url.name(), trust)?;
        }
        let tls = stream.tls();
        let how = tls.as_deref().unwrap_or("without TLS");
        let text = format!("* connected to {} ({address}), {how}", next.authority());
        tell(
            form,
            &faint(&text),
            || json!({"event": "connected", "to": next.authority(), "address": address, "tls": tls}),
        );
        Ok(Connection::new(stream))
    }

    /// A new connection in the place of one that the peer has closed.
    fn again(
        &self,
        form: Form,
        proxy: &mut Option<Side>,
        certificate: Option<&[u8]>,
    ) -> Result<Connection, Wrong> {
        let text = faint("* the peer has closed the connection; once more");
        tell(form, &text, || json!({"event": "reconnect"}));
        let mut connection = self.connect(form, proxy)?;
        if connection.stream().peer_certificate().as_deref() != certificate {
            let reason = "the server has another certificate now";
            return Err(Wrong::new(Code::Certificate, reason));
        }
        Ok(connection)
    }

    /// CONNECT (RFC 9110 section 9.3.6), with a sign-in to the proxy where it asks for one.
    fn tunnel(
        &self,
        form: Form,
        stream: Stream,
        proxy: &mut Option<Side>,
    ) -> Result<Stream, Wrong> {
        let mut connection = Connection::new(stream);
        for number in 1..=REQUESTS_MAX {
            let credentials = proxy.as_mut().and_then(|side| side.credentials.take());
            let credentials: Vec<&Header> = credentials.iter().collect();
            let target = format!("{}:{}", self.url.host, self.url.port);
            show::request(form, number, "CONNECT", &target, &credentials);
            let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
            for header in &credentials {
                request += &format!("{}: {}\r\n", header.name, header.value);
            }
            let response = exchange(&mut connection, &(request + "\r\n"))?;
            let response = response.ok_or_else(side::closed)?;
            show::response(form, number, &response);
            let asks = response.status == Asker::Proxy.status();
            let repeat = match (asks, proxy.as_mut()) {
                (true, _) => self.proxy_side(proxy)?.next(form, &response)?,
                (false, Some(side)) => side.tunnelled(form, &response)?,
                (false, None) => false,
            };
            if !repeat {
                return match response.status {
                    200..=299 => connection.into_stream(),
                    status => Err(no_tunnel(status)),
                };
            }
            if let Some(how) = closes(&response) {
                if let Some(side) = proxy.as_mut() {
                    side.lose_connection(how);
                }
                let next = self.proxy.as_ref().unwrap_or(&self.url);
                connection = Connection::new(Stream::new(reach(next, self.left()?)?, self.left()?));
            } else {
                let body = response.body("GET")?;
                connection.body(body, SKIPPED_MAX, &mut io::sink())?;
            }
        }
        Err(no_end())
    }

    fn proxy_side<'s>(&self, side: &'s mut Option<Side>) -> Result<&'s mut Side, Wrong> {
        let whom = self.proxy.as_ref().unwrap_or(&self.url);
        if side.is_none() {
            *side = Some(self.side(Asker::Proxy, whom, None, None)?);
        }
        side.as_mut()
            .ok_or_else(|| Wrong::new(Code::ProxyNotNamed, "there is no proxy"))
    }

    fn side(
        &self,
        asker: Asker,
        whom: &Url,
        certificate: Option<&[u8]>,
        user: Option<User>,
    ) -> Result<Side, Wrong> {
        let bindings = certificate
            .filter(|_| !self.options.no_bindings)
            .map(binding::tls_server_end_point)
            .transpose()
            .map_err(|reason| {
                let reason = format!("no channel bindings: {reason} (--no-bindings)");
                Wrong::new(Code::Local, reason)
            })?;
        let mut flags = Flags::MUTUAL;
        if self.options.delegate {
            flags.0 |= Flags::DELEGATED.0;
        }
        let service = format!("HTTP@{}", whom.name());
        let sessions = Sessions::to(Library::Mit, &service, oid::SPNEGO, flags, bindings, user)
            .map_err(|no| Wrong {
                code: Code::CannotBegin,
                reason: no.reason,
                remedy: no.trouble.as_ref().map(ToString::to_string),
            })?;
        let route = if self.forwards() && asker == Asker::Server {
            Route::Forwarded
        } else {
            Route::Direct
        };
        let (contexts, seen) = Observed::new(sessions);
        let client = Client::new(asker, Version::Http1, route, contexts);
        Ok(Side::new(service, client, seen))
    }

    fn left(&self) -> Result<Duration, Wrong> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let reason = "no end within the time limit (--max-time)";
            return Err(Wrong::new(Code::TimedOut, reason));
        }
        Ok(left)
    }
}

/// Connect within the time, to the first address that answers.
fn reach(url: &Url, time: Duration) -> Result<TcpStream, Wrong> {
    let unknown = |reason: String| {
        let remedy = "look at the name, and at DNS";
        Wrong::new(Code::UnknownHost, reason).with_remedy(remedy)
    };
    let place = (url.name(), url.port);
    let addresses = place.to_socket_addrs().map_err(|error| {
        let text = plain(&error);
        let why = text.rsplit(": ").next().unwrap_or(&text);
        unknown(format!("{}: {why}", url.host))
    })?;
    let mut failure = unknown(format!("{} has no address", url.host));
    for address in addresses {
        match TcpStream::connect_timeout(&address, time) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = not_reached(address, &error),
        }
    }
    Err(failure)
}

fn not_reached(address: SocketAddr, error: &io::Error) -> Wrong {
    let wrong = Wrong::of_socket(error);
    let remedy = match wrong.code {
        Code::ConnectionRefused => "nobody listens there: see whether the server runs, and where",
        Code::TimedOut => "nothing answers there: look at the address, and for a firewall",
        _ => "look at the address, and at the way there",
    };
    Wrong::new(wrong.code, format!("{address}: {}", wrong.reason)).with_remedy(remedy)
}

/// The page is an error, and not for want of a sign-in.
fn page_is_error(response: &Response, signed_in: bool) -> Wrong {
    let status = response.status;
    if status == Asker::Proxy.status() {
        let reason = "a proxy asks for a sign-in (407), and none was named";
        return Wrong::new(Code::ProxyNotNamed, reason).with_remedy("name it with --proxy");
    }
    let phrase = harmless(&response.reason).to_string();
    let how = match signed_in {
        true => "the sign-in is good, and the page is an error",
        false => "nobody had to sign in, and the page is an error",
    };
    Wrong::new(Code::Status, format!("{status} {phrase}: {how}"))
}

fn no_tunnel(status: u16) -> Wrong {
    let remedy = match status {
        403 => "its rules forbid this host or this port: see its configuration",
        407 => "it asks for a sign-in that cannot be had",
        400 | 405 | 501 => "it makes no tunnels: see whether it is a proxy, and on which port",
        502..=504 => "it does not reach the server: see whether that runs, and the proxy's log",
        _ => "look into its log",
    };
    Wrong::new(
        Code::ProxyRefused,
        format!("the proxy gives no tunnel: {status}"),
    )
    .with_remedy(remedy)
}

fn no_end() -> Wrong {
    Wrong::new(Code::NoEnd, format!("no end after {REQUESTS_MAX} requests"))
}

/// Send a request, and have its final response; `None` when the server has closed the connection.
fn exchange(connection: &mut Connection, request: &str) -> Result<Option<Response>, Wrong> {
    connection.send(request.as_bytes())?;
    for _ in 0..INTERIM_MAX {
        match connection.response()? {
            None => return Ok(None),
            Some(response) if (100..200).contains(&response.status) => {}
            Some(response) => return Ok(Some(response)),
        }
    }
    Err(Wrong::new(
        Code::NotHttp,
        format!("more than {INTERIM_MAX} interim responses"),
    ))
}

/// Whether the connection ends with this response, and by what. Without a length, its body ends so.
fn closes(response: &Response) -> Option<&'static str> {
    let has = |word| response.fields.has_word("Connection", word);
    if has("close") {
        return Some("by 'Connection: close'");
    }
    if response.old && !has("keep-alive") {
        return Some("for it speaks HTTP/1.0");
    }
    let ends_so = response.body("GET") == Ok(crate::http::Body::UntilClose);
    ends_so.then_some("for the response has no length")
}

const AGENT: &str = concat!("spnego/", env!("CARGO_PKG_VERSION"));
/// Both askers may take the round trips that the library allows each, and begin anew once.
const REQUESTS_MAX: usize = 40;
/// What a server may say before its final response; one or two are seen (100, 103).
const INTERIM_MAX: usize = 16;
/// The page of a 401 that is not shown to anybody.
const SKIPPED_MAX: u64 = 1024 * 1024;
/// A password has a line; what is longer is another file.
const PASSWORD_MAX: u64 = 4096;

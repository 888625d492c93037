//! `spnego serve`: the HTTP server, leg by leg. A thread for each connection, of which there are
//! few.
#![forbid(unsafe_code)]

mod visitors;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use gssapi::system::{Library, Sessions, Told};
use http::header::{Credentials, Header};
use http::server::{Answer, Bindings, GoodFor, Offer, Server, Settings};
use http::{Asker, Established, Version, binding};
use serde_json::{Value, json};
use spnego::advice::Trouble;
use spnego::error::plain;
use spnego::oid;
use spnego::role::Role;

use crate::http::stream::Stream;
use crate::http::tls::Identity;
use crate::http::{Connection, Request};
use crate::leg::{self, Observed, Seen, Summary};
use crate::print::{self, BAD, DOUBTFUL, FAINT, Form, GOOD, Verdict, harmless, styled};
use visitors::{Pace, Place, Visitors};

/// Serve one page to who signs in, and show each leg
///
/// Clients sign in by Negotiate or Nego2 with the SPNEGO of the system's GSS-API library and the
/// keys of the default keytab (KRB5_KTNAME names another). Runs until it is stopped. Exit status: 1
/// when it cannot listen, 2 when the command line is wrong.
#[derive(Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 is any free one
    #[arg(
        short,
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    listen: String,
    /// What to offer
    #[arg(long, value_enum, default_value_t = Schemes::Both)]
    offer: Schemes,
    /// What a sign-in is good for
    #[arg(long, value_enum, default_value_t = Per::Request)]
    per: Per,
    /// Speak TLS, with the certificate in this PEM file (and those above it)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Let nobody in whose sign-in is not bound to the TLS channel
    #[arg(long, requires = "cert")]
    require_bindings: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Schemes {
    Negotiate,
    Nego2,
    Both,
}

#[derive(Clone, Copy, ValueEnum)]
enum Per {
    Request,
    Connection,
}

impl Serve {
    pub(crate) fn run(self, form: Form) -> Verdict {
        let identity = match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => match Identity::read(certificate, key) {
                Ok(identity) => Some(identity),
                Err(reason) => return print::usage(reason),
            },
            _ => None,
        };
        let bindings = identity
            .as_ref()
            .map(|identity| binding::tls_server_end_point(&identity.certificate))
            .transpose();
        let bindings = match bindings {
            Ok(bindings) => bindings,
            Err(reason) if self.require_bindings => return print::usage(reason),
            Err(_) => None,
        };
        let house = House {
            form,
            settings: self.settings(),
            identity,
            bindings,
            visitors: Visitors::new(CONNECTIONS_MAX),
        };
        match house.open(&self.listen) {
            Ok(never) => match never {},
            Err(reason) => {
                print::complain(reason);
                Verdict::Wrong
            }
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            asker: Asker::Server,
            version: Version::Http1,
            offer: match self.offer {
                Schemes::Negotiate => Offer::Negotiate,
                Schemes::Nego2 => Offer::Nego2,
                Schemes::Both => Offer::Both,
            },
            good_for: match self.per {
                Per::Request => GoodFor::Request,
                Per::Connection => GoodFor::Connection,
            },
            bindings: match self.require_bindings {
                true => Bindings::Required,
                false => Bindings::Optional,
            },
        }
    }
}

/// What all connections share.
struct House {
    form: Form,
    settings: Settings,
    identity: Option<Identity>,
    bindings: Option<Vec<u8>>,
    visitors: Arc<Visitors>,
}

impl House {
    fn open(self, place: &str) -> Result<std::convert::Infallible, String> {
        Library::Mit
            .load()
            .map_err(|error| leg::sentences(&error))?;
        let failed = |error: io::Error| format!("{place}: {}", plain(&error));
        let listener = TcpListener::bind(place).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let scheme = if self.identity.is_some() {
            "https"
        } else {
            "http"
        };
        self.tell(&format!("listening on {scheme}://{address}"), || {
            json!({"event": "listening", "scheme": scheme, "address": address.ip().to_string(),
                   "port": address.port()})
        });
        self.warn_of_keys();
        let house = Arc::new(self);
        let mut number = 0_u64;
        loop {
            let (socket, from) = match listener.accept() {
                Ok(accepted) => accepted,
                // Out of descriptors, or the client is gone: the next one may do better.
                Err(error) => {
                    print::complain(format_args!("accept: {}", plain(&error)));
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            number += 1;
            let Ok((place, given_up)) = house.visitors.admit(number, &socket) else {
                house.event(
                    number,
                    styled(DOUBTFUL, "turned away, there are too many"),
                    || json!({"event": "turned-away"}),
                );
                continue;
            };
            if let Some(other) = given_up {
                house.event(
                    other,
                    styled(
                        DOUBTFUL,
                        "given up for another, it has kept waiting longest",
                    ),
                    || json!({"event": "given-up"}),
                );
            }
            let visited = Arc::clone(&house);
            let visit = std::thread::Builder::new().spawn(move || {
                let house = visited;
                house.event(
                    number,
                    styled(FAINT, format_args!("from {from}")),
                    || json!({"event": "connected", "from": from.to_string()}),
                );
                let mut end = house.visit(number, socket, &place);
                if place.is_given_up() {
                    end = Err("given up for another connection".to_owned());
                }
                drop(place);
                let text = match &end {
                    Ok(()) => styled(FAINT, "closed"),
                    Err(reason) => styled(BAD, format_args!("closed: {}", harmless(reason))),
                };
                house.event(
                    number,
                    text,
                    || json!({"event": "closed", "reason": end.err()}),
                );
            });
            if let Err(error) = visit {
                print::complain(format_args!("{number}: no thread: {}", plain(&error)));
            }
        }
    }

    /// Without keys, Kerberos is not accepted: better said now than to the first client.
    fn warn_of_keys(&self) {
        if let Err(no) = Library::Mit.credential(&oid::KRB5, Role::Acceptor) {
            let remedy = no.trouble.as_ref().map(ToString::to_string);
            let advice = remedy.iter().map(|remedy| format!("; {remedy}"));
            let text = format!(
                "no key for Kerberos: {}{}",
                no.reason,
                advice.collect::<String>()
            );
            self.tell(
                &styled(DOUBTFUL, harmless(&text)),
                || json!({"event": "warning", "reason": no.reason, "what_to_do": remedy}),
            );
        }
    }

    /// One connection, from its first octet to its last.
    fn visit(&self, number: u64, socket: TcpStream, place: &Place) -> Result<(), String> {
        let mut stream = Stream::new(socket, REQUEST_TIME);
        if let Some(identity) = &self.identity {
            stream = identity.accept(stream)?;
        }
        let sessions =
            Sessions::accepting(Library::Mit, self.bindings.clone()).map_err(|no| no.reason)?;
        let (contexts, seen) = Observed::new(sessions);
        let mut server = Server::new(self.settings, contexts)?;
        let mut connection = Connection::new(stream);
        for _ in 0..REQUESTS_MAX {
            connection.stream().allow(REQUEST_TIME);
            let Some(request) = connection.request()? else {
                return Ok(());
            };
            self.show_request(number, &request);
            let body = request.body()?;
            if !place.goes_on(Pace::Busy) {
                return Ok(());
            }
            let answer = server.request(&request.fields.lent());
            place.goes_on(match server.is_in_exchange() {
                true => Pace::InExchange,
                false => Pace::Idle,
            });
            let reply = self.reply(number, answer, &std::mem::take(&mut *seen.borrow_mut()));
            let keep =
                reply.keep && !request.old && !request.fields.has_word("Connection", "close");
            connection.body(body, BODY_MAX, &mut io::sink())?;
            connection.send(&reply.encode(request.method == "HEAD", keep))?;
            if !keep {
                return Ok(());
            }
        }
        Err(format!("more than {REQUESTS_MAX} requests"))
    }

    fn show_request(&self, number: u64, request: &Request) {
        let what = format!("{} {}", request.method, request.target);
        let token = match Credentials::read(&request.fields.lent(), Asker::Server) {
            Ok(Credentials::Token(scheme, token)) => Some((scheme, Summary::of(&token))),
            _ => None,
        };
        let text = match &token {
            Some((scheme, token)) => format!("> {}; {scheme}, {}", harmless(&what), token.text()),
            None => format!("> {}", harmless(&what)),
        };
        self.event(number, text, || {
            let token = token
                .map(|(scheme, token)| json!({"scheme": scheme.name(), "token": token.json()}));
            json!({"event": "request", "method": request.method, "target": request.target,
                   "credentials": token})
        });
    }

    /// What to answer, told at once.
    fn reply(&self, number: u64, answer: Answer, seen: &Seen) -> Reply {
        let trouble = seen.no.as_ref().and_then(|no| no.trouble.as_ref());
        let (status, fields, keep, page) = match answer {
            Answer::Serve { client, fields } => {
                self.show_client(number, &client, seen.told.as_ref());
                let name = client.peer.as_deref().unwrap_or("somebody");
                let page = format!("Hello {name}, by {}\n", leg::shown(&client.mech));
                (200, fields, true, page)
            }
            Answer::Challenge { fields, reason } => {
                if let Some(reason) = &reason {
                    self.show_refusal(number, reason, trouble);
                }
                (401, fields, true, "Sign in\n".to_owned())
            }
            Answer::Fail { status, reason } => {
                self.show_refusal(number, &reason, trouble);
                (status, Vec::new(), false, "Wrong\n".to_owned())
            }
            Answer::NeedsHttp11 { reason } => {
                self.show_refusal(number, reason, None);
                (505, Vec::new(), false, "Use HTTP/1.1\n".to_owned())
            }
        };
        let challenges: Vec<(&Header, Option<Summary>)> = fields
            .iter()
            .map(|header| {
                let token = header.value.split_once(' ').map(|(_, token)| token);
                let token = token.and_then(crate::http::decode);
                (header, token.map(|token| Summary::of(&token)))
            })
            .collect();
        let mut text = format!("< {status}");
        for (header, token) in &challenges {
            let word = header.value.split(' ').next().unwrap_or_default();
            text += &match token {
                Some(token) => format!("; {word}, {}", token.text()),
                None => format!("; {}: {word}", header.name),
            };
        }
        self.event(number, text, || {
            let fields: Vec<Value> = challenges
                .iter()
                .map(|(header, token)| {
                    let word = header.value.split(' ').next().unwrap_or_default();
                    json!({"field": header.name, "value": word,
                           "token": token.as_ref().map(Summary::json)})
                })
                .collect();
            json!({"event": "response", "status": status, "fields": fields})
        });
        Reply {
            status,
            fields,
            keep,
            page,
        }
    }

    fn show_client(&self, number: u64, client: &Established, told: Option<&Told>) {
        let mut text = format!("= signed in: {}", harmless(&leg::who(client)));
        for line in leg::told(told) {
            text += &format!("; {}", harmless(&line));
        }
        self.event(number, styled(GOOD, text), || {
            let more = json!({"event": "signed-in", "negotiation": leg::told_json(told)});
            leg::with(leg::who_json(client), more)
        });
    }

    fn show_refusal(&self, number: u64, reason: &str, trouble: Option<&Trouble>) {
        let remedy = trouble.map(ToString::to_string);
        let advice = remedy
            .as_ref()
            .filter(|remedy| !reason.contains(remedy.as_str()));
        let text = match advice {
            Some(advice) => format!("= refused: {reason}; {advice}"),
            None => format!("= refused: {reason}"),
        };
        self.event(
            number,
            styled(BAD, harmless(&text)),
            || json!({"event": "refused", "reason": reason, "what_to_do": remedy}),
        );
    }

    /// An event of a connection.
    fn event(&self, number: u64, text: String, value: impl FnOnce() -> Value) {
        self.tell(&format!("{number} {text}"), || {
            leg::with(value(), json!({"connection": number}))
        });
    }

    fn tell(&self, text: &str, value: impl FnOnce() -> Value) {
        match self.form {
            Form::Text => print::line(text),
            Form::Json => print::json(&value()),
        }
    }
}

/// A response.
struct Reply {
    status: u16,
    fields: Vec<Header>,
    keep: bool,
    page: String,
}

impl Reply {
    fn encode(&self, head_only: bool, keep: bool) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            505 => "HTTP Version Not Supported",
            _ => "Internal Server Error",
        };
        let mut text = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nCache-Control: no-store\r\n",
            self.status,
            self.page.len()
        );
        for header in &self.fields {
            text += &format!("{}: {}\r\n", header.name, header.value);
        }
        if !keep {
            text += "Connection: close\r\n";
        }
        text += "\r\n";
        if !head_only {
            text += &self.page;
        }
        text.into_bytes()
    }
}

/// Each is a thread; a tool to look at sign-ins has a handful of visitors.
const CONNECTIONS_MAX: usize = 64;
/// A kept connection of a benchmark has thousands; none needs more.
const REQUESTS_MAX: usize = 100_000;
/// From the end of one request to the end of the next, the KDC's time and a user's patience
/// included.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// What is sent with a request is read and dropped.
const BODY_MAX: u64 = 1024 * 1024;

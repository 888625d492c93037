//! Negotiate and Nego2 for C: what each side of a connection remembers, over the SPNEGO of the
//! application's own GSS-API library.
#![forbid(unsafe_code)]

use super::public;
use args::{In, InOutHandle, Octets, Out, OutHandle, OutOctets, OutOid, Status};
use args::{Kind, lock};
use gssapi::call;
use gssapi::session::{self, AppCred, Holder, Terms};
use gssapi::sys::GSS_C_MUTUAL_FLAG;
use gssapi::system::Sessions;
use http::client::{self, Route, Verdict};
use http::header::{Field, Header};
use http::server::{self, Answer, Bindings, GoodFor, Offer, Settings};
use http::{Asker, Established, Version, binding};
use spnego::error::{Error, Minor, major};
use spnego::oid;
use std::ffi::c_int;
use std::sync::Mutex;

/// What C holds for the client's side of a connection.
pub(crate) struct Client(Mutex<Known<client::Client<Sessions>>>);

/// What C holds for the server's side of a connection.
pub(crate) struct Server(Mutex<Known<server::Server<Sessions>>>);

impl Kind for Client {
    type C = public::gss_spnego_http_client;
    const TAG: u64 = u64::from_le_bytes(*b"spneghtc");
}
impl Kind for Server {
    type C = public::gss_spnego_http_server;
    const TAG: u64 = u64::from_le_bytes(*b"spneghts");
}

// Arguments by names that cbindgen.toml puts into C.
pub(crate) type OutStatus<'a> = Out<'a, u32>;
pub(crate) type OutInt<'a> = Out<'a, c_int>;
pub(crate) type InClient<'a> = In<'a, Client>;
pub(crate) type OutClient<'a> = OutHandle<'a, Client>;
pub(crate) type GivenClient<'a> = InOutHandle<'a, Client>;
pub(crate) type InServer<'a> = In<'a, Server>;
pub(crate) type OutServer<'a> = OutHandle<'a, Server>;
pub(crate) type GivenServer<'a> = InOutHandle<'a, Server>;

/// One side's state, and whom it has met.
struct Known<T> {
    state: T,
    peer: Option<Established>,
}

pub(super) fn client_new(
    cred: AppCred,
    host: &Octets<'_>,
    flags: u32,
    certificate: &Octets<'_>,
    options: u32,
    mut client: OutClient<'_>,
) -> Status {
    only(
        options,
        public::GSS_SPNEGO_HTTP_PROXY
            | public::GSS_SPNEGO_HTTP_VERSION_2
            | public::GSS_SPNEGO_HTTP_FORWARDED,
    )?;
    let has = |option| options & option != 0;
    if host.bytes().is_empty() {
        return Err(Error::CallerMisused("the name of the host is missing"));
    }
    let glue = session::library()?;
    // RFC 4559 section 4: the service is HTTP at the host, the same for a proxy.
    let service = [b"HTTP@", host.bytes()].concat();
    let target = call::import_name(glue, &service, Some(&oid::HOSTBASED_SERVICE))?;
    let terms = Terms {
        mech: oid::SPNEGO,
        cred: Holder::App(cred),
        target: Some(target),
        flags: flags | GSS_C_MUTUAL_FLAG,
        bindings: bindings(certificate)?,
    };
    let sessions = Sessions::new(glue, terms);
    let route = if has(public::GSS_SPNEGO_HTTP_FORWARDED) {
        Route::Forwarded
    } else {
        Route::Direct
    };
    let (asker, version) = (asker(options), version(options));
    client.put(Client(Mutex::new(Known {
        state: client::Client::new(asker, version, route, sessions),
        peer: None,
    })));
    Ok(major::COMPLETE)
}

pub(super) fn client_begin(client: &InClient<'_>, mut fields: OutOctets<'_>) -> Status {
    let mut client = lock(&client.given()?.ok_or(NO_CLIENT)?.0)?;
    client.peer = None;
    let header = client.state.begin().map_err(failed)?;
    fields.put(lines(&[header]));
    Ok(major::COMPLETE)
}

pub(super) fn client_response(
    client: &InClient<'_>,
    status: u32,
    section: &Octets<'_>,
    mut verdict: OutStatus<'_>,
    mut fields: OutOctets<'_>,
) -> Status {
    let mut client = lock(&client.given()?.ok_or(NO_CLIENT)?.0)?;
    let status =
        u16::try_from(status).map_err(|_| Error::CallerMisused("this is no status of HTTP"))?;
    let received = Field::section(section.bytes()).map_err(|malformed| Error::Http {
        minor: Minor::HttpMalformed,
        reason: malformed.reason,
    })?;
    match client.state.response(status, &received).map_err(failed)? {
        Verdict::Interim => verdict.put(public::GSS_SPNEGO_HTTP_INTERIM),
        Verdict::Unconcerned => verdict.put(public::GSS_SPNEGO_HTTP_UNCONCERNED),
        Verdict::Repeat(header) => {
            client.peer = None;
            fields.put(lines(&[header]));
            verdict.put(public::GSS_SPNEGO_HTTP_REPEAT);
        }
        Verdict::Authenticated(peer) => {
            client.peer = Some(peer);
            verdict.put(public::GSS_SPNEGO_HTTP_AUTHENTICATED);
        }
    }
    Ok(major::COMPLETE)
}

pub(super) fn client_inquire(
    client: &InClient<'_>,
    out: Facts<'_>,
    mut persistent: OutInt<'_>,
) -> Status {
    let client = lock(&client.given()?.ok_or(NO_CLIENT)?.0)?;
    persistent.put(c_int::from(client.state.persistent_auth()));
    Ok(out.tell(client.peer.as_ref()))
}

pub(super) fn client_release(mut client: GivenClient<'_>) -> Status {
    drop(client.take());
    Ok(major::COMPLETE)
}

pub(super) fn server_new(
    cred: AppCred,
    certificate: &Octets<'_>,
    options: u32,
    mut server: OutServer<'_>,
) -> Status {
    only(
        options,
        public::GSS_SPNEGO_HTTP_PROXY
            | public::GSS_SPNEGO_HTTP_VERSION_2
            | public::GSS_SPNEGO_HTTP_NEGOTIATE
            | public::GSS_SPNEGO_HTTP_NEGO2
            | public::GSS_SPNEGO_HTTP_CONNECTION
            | public::GSS_SPNEGO_HTTP_REQUIRE_BINDINGS,
    )?;
    let has = |option| options & option != 0;
    let offer = match (
        has(public::GSS_SPNEGO_HTTP_NEGOTIATE),
        has(public::GSS_SPNEGO_HTTP_NEGO2),
    ) {
        (true, true) => Offer::Both,
        (true, false) => Offer::Negotiate,
        (false, true) => Offer::Nego2,
        (false, false) => {
            return Err(Error::CallerMisused(
                "offer GSS_SPNEGO_HTTP_NEGOTIATE, GSS_SPNEGO_HTTP_NEGO2 or both",
            ));
        }
    };
    let bindings = bindings(certificate)?;
    if has(public::GSS_SPNEGO_HTTP_REQUIRE_BINDINGS) && bindings.is_none() {
        return Err(Error::CallerMisused(
            "channel bindings are required, but the certificate they are made of is missing",
        ));
    }
    let settings = Settings {
        asker: asker(options),
        version: version(options),
        offer,
        good_for: if has(public::GSS_SPNEGO_HTTP_CONNECTION) {
            GoodFor::Connection
        } else {
            GoodFor::Request
        },
        bindings: if has(public::GSS_SPNEGO_HTTP_REQUIRE_BINDINGS) {
            Bindings::Required
        } else {
            Bindings::Optional
        },
    };
    let terms = Terms {
        mech: oid::SPNEGO,
        cred: Holder::App(cred),
        target: None,
        flags: 0,
        bindings,
    };
    let sessions = Sessions::new(session::library()?, terms);
    let state = server::Server::new(settings, sessions).map_err(Error::CallerMisused)?;
    server.put(Server(Mutex::new(Known { state, peer: None })));
    Ok(major::COMPLETE)
}

pub(super) fn server_request(
    server: &InServer<'_>,
    section: &Octets<'_>,
    mut status: OutStatus<'_>,
    mut reply: OutOctets<'_>,
    reason: &mut OutOctets<'_>,
) -> Status {
    let mut server = lock(&server.given()?.ok_or(NO_SERVER)?.0)?;
    let why = |reason: &mut OutOctets<'_>, sentence: &str| reason.put_text(sentence);
    server.peer = None;
    let received = match Field::section(section.bytes()) {
        Ok(received) => received,
        Err(malformed) => {
            status.put(BAD_REQUEST);
            why(reason, &malformed.reason);
            return Ok(major::COMPLETE);
        }
    };
    match server.state.request(&received) {
        Answer::Serve { client, fields } => {
            server.peer = Some(client);
            reply.put(lines(&fields));
            status.put(public::GSS_SPNEGO_HTTP_SERVE);
        }
        Answer::Challenge {
            fields,
            reason: sentence,
        } => {
            reply.put(lines(&fields));
            status.put(u32::from(server.state.asker().status()));
            why(reason, &sentence.unwrap_or_default());
        }
        Answer::Fail {
            status: code,
            reason: sentence,
        } => {
            status.put(u32::from(code));
            why(reason, &sentence);
        }
        Answer::NeedsHttp11 { reason: sentence } => {
            status.put(public::GSS_SPNEGO_HTTP_1_1_REQUIRED);
            why(reason, sentence);
        }
    }
    Ok(major::COMPLETE)
}

pub(super) fn server_inquire(server: &InServer<'_>, out: Facts<'_>) -> Status {
    let server = lock(&server.given()?.ok_or(NO_SERVER)?.0)?;
    Ok(out.tell(server.peer.as_ref()))
}

pub(super) fn server_release(mut server: GivenServer<'_>) -> Status {
    drop(server.take());
    Ok(major::COMPLETE)
}

/// Where C wants to know about the peer.
pub(super) struct Facts<'a> {
    pub(super) peer: OutOctets<'a>,
    pub(super) mech: OutOid<'a>,
    pub(super) flags: OutStatus<'a>,
}

impl Facts<'_> {
    fn tell(mut self, peer: Option<&Established>) -> u32 {
        let Some(peer) = peer else {
            return major::NO_CONTEXT;
        };
        if let Some(name) = &peer.peer {
            self.peer.put_text(name.clone());
        }
        self.mech.put(&peer.mech);
        self.flags.put(peer.flags.0);
        major::COMPLETE
    }
}

/// Put the failure's sentence where the caller wants it.
pub(super) fn told(mut reason: OutOctets<'_>, status: Status) -> Status {
    if let Err(error) = &status {
        reason.put_text(error.sentences().join("; "));
    }
    status
}

fn failed(error: client::Error) -> Error {
    let minor = match &error {
        client::Error::NotOffered(_) => Minor::HttpNotOffered,
        client::Error::Malformed(_) => Minor::HttpMalformed,
        client::Error::Refused | client::Error::AskedAnew { .. } => Minor::Rejected,
        client::Error::Context(_) => Minor::MechFailed,
        client::Error::Unverified(_) | client::Error::Interrupted { .. } => Minor::HttpUnverified,
        client::Error::NeedsHttp11 => Minor::HttpNeedsHttp11,
        client::Error::ProxyMayShare => Minor::HttpProxyMayShare,
        client::Error::TooLong => Minor::Misbehaved,
    };
    let reason = error.to_string();
    let reason = match error.remedy() {
        Some(remedy) => format!("{reason}; {remedy}"),
        None => reason,
    };
    Error::Http { minor, reason }
}

/// The fields as lines of a message.
fn lines(fields: &[Header]) -> Vec<u8> {
    let line = |field: &Header| format!("{}: {}\r\n", field.name, field.value);
    fields.iter().map(line).collect::<String>().into_bytes()
}

fn bindings(certificate: &Octets<'_>) -> Result<Option<Vec<u8>>, Error> {
    match certificate.bytes() {
        [] => Ok(None),
        certificate => binding::tls_server_end_point(certificate)
            .map(Some)
            .map_err(|reason| Error::Http {
                minor: Minor::CallerMisused,
                reason,
            }),
    }
}

fn asker(options: u32) -> Asker {
    if options & public::GSS_SPNEGO_HTTP_PROXY == 0 {
        Asker::Server
    } else {
        Asker::Proxy
    }
}

fn version(options: u32) -> Version {
    if options & public::GSS_SPNEGO_HTTP_VERSION_2 == 0 {
        Version::Http1
    } else {
        Version::Http2
    }
}

/// Options of a later header must not be taken for granted by an older library.
fn only(options: u32, known: u32) -> Result<(), Error> {
    if options & !known == 0 {
        Ok(())
    } else {
        Err(Error::CallerMisused("an option does not belong here"))
    }
}

const NO_CLIENT: Error = Error::CallerMisused("a client is needed here");
const NO_SERVER: Error = Error::CallerMisused("a server is needed here");
const BAD_REQUEST: u32 = 400;

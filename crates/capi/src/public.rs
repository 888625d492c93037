//! What C programs call by name, and the numbers that they need: `include/gss_spnego.h` is made of
//! this file. Plain functions, because cbindgen does not look into macros.
#![allow(
    unreachable_pub,
    non_camel_case_types,
    private_interfaces,
    reason = "cbindgen takes what is pub; only C makes the arguments"
)]

use super::guard;
use super::http::{
    self, Facts, GivenClient, GivenServer, InClient, InServer, OutClient, OutInt, OutServer,
    OutStatus, told,
};
use args::{Argument, Octets, OutOctets, OutOid};
use gssapi::session::AppCred;
use gssapi::sys::OM_uint32;

/// Option, either side: authentication is to a proxy (407), not to an origin server (401).
pub const GSS_SPNEGO_HTTP_PROXY: u32 = 1;
/// Option, either side: the connection speaks HTTP/2 or 3, where requests of several users may
/// share it. What takes more than one round trip is refused there.
pub const GSS_SPNEGO_HTTP_VERSION_2: u32 = 2;
/// Option of a client: requests go through a proxy that forwards them, not through a tunnel. It
/// must promise to keep connections apart (RFC 4559 section 6).
pub const GSS_SPNEGO_HTTP_FORWARDED: u32 = 4;
/// Option of a server: offer Negotiate (RFC 4559).
pub const GSS_SPNEGO_HTTP_NEGOTIATE: u32 = 8;
/// Option of a server: offer Nego2, with a NegTokenInit2 (MS-N2HT).
pub const GSS_SPNEGO_HTTP_NEGO2: u32 = 16;
/// Option of a server: authentication is good for the rest of the connection, not for one request.
pub const GSS_SPNEGO_HTTP_CONNECTION: u32 = 32;
/// Option of a server: the client must have bound its authentication to the TLS channel.
pub const GSS_SPNEGO_HTTP_REQUIRE_BINDINGS: u32 = 64;

/// Verdict: the response says nothing of this authentication, and may be used.
pub const GSS_SPNEGO_HTTP_UNCONCERNED: u32 = 0;
/// Verdict: the exchange is over, the peer has proved what the mechanism proves, and the response
/// may be used.
pub const GSS_SPNEGO_HTTP_AUTHENTICATED: u32 = 1;
/// Verdict: repeat the request with the field given.
pub const GSS_SPNEGO_HTTP_REPEAT: u32 = 2;
/// Verdict: an interim response (1xx); the final one is still to come.
pub const GSS_SPNEGO_HTTP_INTERIM: u32 = 3;

/// Instead of a status: serve the request; the client is known.
pub const GSS_SPNEGO_HTTP_SERVE: u32 = 0;
/// Instead of a status: reset the stream with HTTP_1_1_REQUIRED (RFC 9113 section 7).
pub const GSS_SPNEGO_HTTP_1_1_REQUIRED: u32 = 0xd;

/// The client's side of authentication on one connection (on HTTP/2, of one request) to one server
/// or proxy.
pub struct gss_spnego_http_client(());

/// The server's (or proxy's) side of authentication on one connection (on HTTP/2, of one request).
pub struct gss_spnego_http_server(());

/// Make the client's side of a new connection.
///
/// Parameters: `cred` is a credential of libgssapi_krb5, or GSS_C_NO_CREDENTIAL. `host` is the name
/// of the server or proxy, without a port. `flags` are GSS_C_* flags beside mutual authentication,
/// which is always asked for. `certificate`, the server's in DER, binds the authentication to the
/// TLS channel (tls-server-end-point); GSS_C_NO_BUFFER without TLS. `options`: PROXY, VERSION_2 and
/// FORWARDED of GSS_SPNEGO_HTTP_*. `reason` receives a sentence on failure, and may be NULL.
/// Returns: GSS_S_COMPLETE; GSS_S_UNAVAILABLE without libgssapi_krb5; GSS_S_FAILURE and others.
/// Memory: release `client` with gss_spnego_http_client_release, and keep `cred` until then;
/// release `reason` with gss_release_buffer.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_client_new(
    minor: OutStatus<'_>,
    cred: AppCred,
    host: Octets<'_>,
    flags: OM_uint32,
    certificate: Octets<'_>,
    options: OM_uint32,
    mut client: OutClient<'_>,
    mut reason: OutOctets<'_>,
) -> OM_uint32 {
    client.empty();
    reason.clear();
    guard(minor, || {
        told(
            reason,
            http::client_new(cred, &host, flags, &certificate, options, client),
        )
    })
}

/// Authenticate before being asked to (RFC 4559 section 4.2).
///
/// Parameters: `field` receives a whole header line, with CR LF, to send with the request. `reason`
/// receives a sentence on failure, and may be NULL. Returns: GSS_S_COMPLETE; GSS_S_FAILURE when
/// there is no credential, or a forwarding proxy has not promised anything yet. Memory: release
/// `field` and `reason` with gss_release_buffer.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_client_begin(
    minor: OutStatus<'_>,
    client: InClient<'_>,
    mut field: OutOctets<'_>,
    mut reason: OutOctets<'_>,
) -> OM_uint32 {
    field.clear();
    reason.clear();
    guard(minor, || told(reason, http::client_begin(&client, field)))
}

/// Judge a response.
///
/// Parameters: `status` is its status code. `fields` are its header lines as they came in, each
/// with its line end, without the status line. `verdict` receives one of UNCONCERNED,
/// AUTHENTICATED, REPEAT and INTERIM of GSS_SPNEGO_HTTP_*. `field` receives, with REPEAT, a whole
/// header line to repeat the request with. `reason` receives a sentence on failure, and may be
/// NULL. Returns: GSS_S_COMPLETE; GSS_S_DEFECTIVE_TOKEN for a malformed field; GSS_S_FAILURE when
/// authentication failed: the response may not be used then, except with the minor code
/// GSS_SPNEGO_MINOR_HTTP_NOT_OFFERED, where another scheme may be tried. Memory: release `field`
/// and `reason` with gss_release_buffer.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_client_response(
    minor: OutStatus<'_>,
    client: InClient<'_>,
    status: OM_uint32,
    fields: Octets<'_>,
    mut verdict: OutStatus<'_>,
    mut field: OutOctets<'_>,
    mut reason: OutOctets<'_>,
) -> OM_uint32 {
    verdict.clear();
    field.clear();
    reason.clear();
    guard(minor, || {
        told(
            reason,
            http::client_response(&client, status, &fields, verdict, field),
        )
    })
}

/// Ask with whom the last exchange was completed, and whether further requests on the connection
/// need any.
///
/// Parameters: `peer` receives the server's name, `mech` the mechanism that was negotiated, `flags`
/// the context's flags, `persistent` persistent-auth-value of MS-N2HT: while it is 1, send requests
/// without authentication. Each may be NULL. Returns: GSS_S_COMPLETE; GSS_S_NO_CONTEXT when no
/// exchange was completed (`persistent` is set all the same). Memory: release `peer` with
/// gss_release_buffer; `mech` is static.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_client_inquire(
    minor: OutStatus<'_>,
    client: InClient<'_>,
    mut peer: OutOctets<'_>,
    mut mech: OutOid<'_>,
    mut flags: OutStatus<'_>,
    mut persistent: OutInt<'_>,
) -> OM_uint32 {
    peer.clear();
    mech.clear();
    flags.clear();
    persistent.clear();
    guard(minor, || {
        http::client_inquire(&client, Facts { peer, mech, flags }, persistent)
    })
}

/// Release a client, and leave NULL in its place.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_client_release(
    minor: OutStatus<'_>,
    client: GivenClient<'_>,
) -> OM_uint32 {
    guard(minor, || http::client_release(client))
}

/// Make the server's side of a new connection.
///
/// Parameters: `cred` is a credential of libgssapi_krb5, or GSS_C_NO_CREDENTIAL for the default
/// keytab. `certificate`, the server's own in DER, is what clients bind their authentication to;
/// GSS_C_NO_BUFFER without TLS. `options`: NEGOTIATE, NEGO2 or both, and PROXY, VERSION_2,
/// CONNECTION and REQUIRE_BINDINGS of GSS_SPNEGO_HTTP_*. `reason` receives a sentence on failure,
/// and may be NULL. Returns: GSS_S_COMPLETE; GSS_S_UNAVAILABLE without libgssapi_krb5;
/// GSS_S_FAILURE when the options contradict each other, as CONNECTION and VERSION_2 do. Memory:
/// release `server` with gss_spnego_http_server_release, and keep `cred` until then; release
/// `reason` with gss_release_buffer.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_server_new(
    minor: OutStatus<'_>,
    cred: AppCred,
    certificate: Octets<'_>,
    options: OM_uint32,
    mut server: OutServer<'_>,
    mut reason: OutOctets<'_>,
) -> OM_uint32 {
    server.empty();
    reason.clear();
    guard(minor, || {
        told(
            reason,
            http::server_new(cred, &certificate, options, server),
        )
    })
}

/// Judge a request, before anything of it is acted upon.
///
/// Parameters: `fields` are its header lines as they came in, each with its line end, without the
/// request line. `status` receives GSS_SPNEGO_HTTP_SERVE, the status code to respond with, or
/// GSS_SPNEGO_HTTP_1_1_REQUIRED. `reply` receives whole header lines for the response, whatever its
/// status. `reason` receives a sentence for the log, not for the client, when the credentials were
/// not accepted, and may be NULL. After 400 and 500, close the connection.
/// Returns: GSS_S_COMPLETE; GSS_S_FAILURE when the arguments are wrong.
/// Memory: release `reply` and `reason` with gss_release_buffer.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_server_request(
    minor: OutStatus<'_>,
    server: InServer<'_>,
    fields: Octets<'_>,
    mut status: OutStatus<'_>,
    mut reply: OutOctets<'_>,
    mut reason: OutOctets<'_>,
) -> OM_uint32 {
    // Whoever does not look at what is returned must not find that the request is to be served.
    status.put(500);
    reply.clear();
    reason.clear();
    guard(minor, || {
        http::server_request(&server, &fields, status, reply, &mut reason)
    })
}

/// Ask whose request the last one was.
///
/// Parameters: `peer` receives the client's name, `mech` the mechanism that was negotiated, `flags`
/// the context's flags. Each may be NULL.
/// Returns: GSS_S_COMPLETE; GSS_S_NO_CONTEXT when the last request was not to be served.
/// Memory: release `peer` with gss_release_buffer; `mech` is static.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_server_inquire(
    minor: OutStatus<'_>,
    server: InServer<'_>,
    mut peer: OutOctets<'_>,
    mut mech: OutOid<'_>,
    mut flags: OutStatus<'_>,
) -> OM_uint32 {
    peer.clear();
    mech.clear();
    flags.clear();
    guard(minor, || {
        http::server_inquire(&server, Facts { peer, mech, flags })
    })
}

/// Release a server, and leave NULL in its place.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gss_spnego_http_server_release(
    minor: OutStatus<'_>,
    server: GivenServer<'_>,
) -> OM_uint32 {
    guard(minor, || http::server_release(server))
}

/*
 * Negotiate and Nego2 in HTTP (RFC 4559, MS-N2HT) over the SPNEGO of libgssapi_krb5, and what this
 * project's SPNEGO adds to GSS-API. Link with -lgss_spnego; no name of GSS-API is in that library.
 *
 * The functions work on handles and buffers and never do I/O. A handle is used by one thread at a
 * time. Made by cbindgen from crates/capi/src/public.rs; do not edit.
 */

#ifndef GSS_SPNEGO_H
#define GSS_SPNEGO_H

#include <gssapi/gssapi.h>

/*
 Options of this project's SPNEGO, for gss_str_to_oid.

 The maximum output token size in octets, an OM_uint32 in host order, 0 is off (MS-SPNG 3.1.1): for
 gss_set_cred_option and gss_set_sec_context_option.
 */
#define GSS_SPNEGO_OPTION_MAX_OUTPUT_TOKEN_SIZE "{ 2 25 4014056348 1 }"
/*
 The mechanisms to negotiate, best first, as names or dotted identifiers with blanks between: for
 gss_set_cred_option, where there is no gss_set_neg_mechs.
 */
#define GSS_SPNEGO_OPTION_NEG_MECHS "{ 2 25 4014056348 2 }"

/*
 Questions to this project's SPNEGO, for gss_str_to_oid. The answers are buffer sets, which the
 caller releases with gss_release_buffer_set. A mechanism is the content octets of its identifier,
 as the elements of a gss_OID; a number is an OM_uint32 in host order; a text is UTF-8 without a NUL
 at its end.

 To gss_inquire_sec_context_by_oid, on a context that is established, under way, or failed and not
 deleted. What is told of an imported context is its mechanism and its state, where the
 library gives it back to SPNEGO at all.

 The mechanisms that the initiator offered, in its order, each in a buffer: 32 at most. None before
 an offer was made or received, and none after an acceptor's hints.
 */
#define GSS_SPNEGO_INQUIRE_OFFERED "{ 2 25 4014056348 3 1 }"
/*
 The mechanism: the one that was chosen, or, while none is, the one whose token went with the
 offer. No buffer where there is none.
 */
#define GSS_SPNEGO_INQUIRE_MECH "{ 2 25 4014056348 3 2 }"
/*
 A number, one of GSS_SPNEGO_STATE_*.
 */
#define GSS_SPNEGO_INQUIRE_STATE "{ 2 25 4014056348 3 3 }"
/*
 A number, one of GSS_SPNEGO_MIC_*.
 */
#define GSS_SPNEGO_INQUIRE_MIC "{ 2 25 4014056348 3 4 }"
/*
 The mechanisms that could not be used, and why, two buffers for each: the mechanism, and a text in
 its own words.
 */
#define GSS_SPNEGO_INQUIRE_DROPPED "{ 2 25 4014056348 3 5 }"
/*
 Three numbers: the calls of GSS_Init_sec_context or GSS_Accept_sec_context, the octets of tokens
 received, and of tokens sent; 4,294,967,295 for that and more.
 */
#define GSS_SPNEGO_INQUIRE_SUMS "{ 2 25 4014056348 3 6 }"
/*
 A text, the name of the rule of the configuration that is in force.
 */
#define GSS_SPNEGO_INQUIRE_RULE "{ 2 25 4014056348 3 7 }"
/*
 Why the negotiation failed: texts, those of gss_display_status; none when it did not, unless a
 message has arrived in part: how much of it.
 */
#define GSS_SPNEGO_INQUIRE_REASONS "{ 2 25 4014056348 3 8 }"
/*
 To gss_inquire_cred_by_oid, on a credential for SPNEGO alone: the mechanisms that it may
 negotiate, best first, each in a buffer (RFC 4178 appendix B, GSS_Get_neg_mechs).
 */
#define GSS_SPNEGO_INQUIRE_NEG_MECHS "{ 2 25 4014056348 3 9 }"

/*
 The client's side of authentication on one connection (on HTTP/2, of one request) to one server or
 proxy.
 */
typedef struct gss_spnego_http_client gss_spnego_http_client;
/*
 The server's (or a proxy's) side of authentication on one connection (on HTTP/2, of one request).
 */
typedef struct gss_spnego_http_server gss_spnego_http_server;


/*
 Option, either side: authentication is to a proxy (407), not to an origin server (401).
 */
#define GSS_SPNEGO_HTTP_PROXY 1

/*
 Option, either side: the connection speaks HTTP/2 or 3, where requests of several users may
 share it. What takes more than one round trip is refused there.
 */
#define GSS_SPNEGO_HTTP_VERSION_2 2

/*
 Option of a client: requests go through a proxy that forwards them, not through a tunnel. It
 must promise to keep connections apart (RFC 4559 section 6).
 */
#define GSS_SPNEGO_HTTP_FORWARDED 4

/*
 Option of a server: offer Negotiate (RFC 4559).
 */
#define GSS_SPNEGO_HTTP_NEGOTIATE 8

/*
 Option of a server: offer Nego2, with a NegTokenInit2 (MS-N2HT).
 */
#define GSS_SPNEGO_HTTP_NEGO2 16

/*
 Option of a server: authentication is good for the rest of the connection, not for one request.
 */
#define GSS_SPNEGO_HTTP_CONNECTION 32

/*
 Option of a server: the client must have bound its authentication to the TLS channel.
 */
#define GSS_SPNEGO_HTTP_REQUIRE_BINDINGS 64

/*
 Verdict: the response says nothing of this authentication, and may be used.
 */
#define GSS_SPNEGO_HTTP_UNCONCERNED 0

/*
 Verdict: the exchange is over, the peer has proved what the mechanism proves, and the response
 may be used.
 */
#define GSS_SPNEGO_HTTP_AUTHENTICATED 1

/*
 Verdict: repeat the request with the field given.
 */
#define GSS_SPNEGO_HTTP_REPEAT 2

/*
 Verdict: an interim response (1xx); the final one is still to come.
 */
#define GSS_SPNEGO_HTTP_INTERIM 3

/*
 Instead of a status: serve the request; the client is known.
 */
#define GSS_SPNEGO_HTTP_SERVE 0

/*
 Instead of a status: reset the stream with HTTP_1_1_REQUIRED (RFC 9113 section 7).
 */
#define GSS_SPNEGO_HTTP_1_1_REQUIRED 13

/*
 State of a context: no mechanism has been agreed on.
 */
#define GSS_SPNEGO_STATE_PENDING 0

/*
 State of a context: a mechanism has been agreed on, and is not established.
 */
#define GSS_SPNEGO_STATE_CHOSEN 1

/*
 State of a context: established.
 */
#define GSS_SPNEGO_STATE_ESTABLISHED 2

/*
 State of a context: the negotiation failed.
 */
#define GSS_SPNEGO_STATE_FAILED 3

/*
 Protection of the list of mechanisms: nobody asked for a mechListMIC.
 */
#define GSS_SPNEGO_MIC_NOT_NEEDED 0

/*
 Protection of the list of mechanisms: each side has to send a mechListMIC.
 */
#define GSS_SPNEGO_MIC_REQUIRED 1

/*
 Protection of the list of mechanisms: ours was sent, the peer's is still to come.
 */
#define GSS_SPNEGO_MIC_SENT 2

/*
 Protection of the list of mechanisms: the peer's was verified, and ours was sent.
 */
#define GSS_SPNEGO_MIC_VERIFIED 3

/*
 Protection of the list of mechanisms: asked for, and the mechanism has no integrity.
 */
#define GSS_SPNEGO_MIC_IMPOSSIBLE 4

/*
 Protection of the list of mechanisms: the peer's did not come, or did not verify.
 */
#define GSS_SPNEGO_MIC_FAILED 5

/*
 Minor codes. The first five are those of MIT's SPNEGO; the rest follow in a range of our own.
 Each is explained by `gss_display_status`, in full when the failure happened on the same thread.
 */
enum gss_spnego_minor
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   No mechanism can be offered or accepted.
   */
  GSS_SPNEGO_MINOR_NO_MECHS = 536870913,
  /*
   No credential could be acquired for any mechanism.
   */
  GSS_SPNEGO_MINOR_NO_CREDS = 536870914,
  /*
   The acceptor did not name the mechanism it chose.
   */
  GSS_SPNEGO_MINOR_NO_MECH_FROM_ACCEPTOR = 536870915,
  /*
   The peer refused the negotiation.
   */
  GSS_SPNEGO_MINOR_REJECTED = 536870916,
  /*
   The acceptor accepted a mechanism without answering its token.
   */
  GSS_SPNEGO_MINOR_NO_TOKEN_FROM_ACCEPTOR = 536870917,
  /*
   The peer's token is not well formed.
   */
  GSS_SPNEGO_MINOR_INVALID_TOKEN = 536875009,
  /*
   The peer's token is well formed and against the protocol.
   */
  GSS_SPNEGO_MINOR_MISBEHAVED = 536875010,
  /*
   A mechListMIC is missing where it is mandatory.
   */
  GSS_SPNEGO_MINOR_MIC_MISSING = 536875011,
  /*
   The peer's mechListMIC does not verify: the list was altered on the way.
   */
  GSS_SPNEGO_MINOR_MIC_WRONG = 536875012,
  /*
   The negotiated mechanism failed.
   */
  GSS_SPNEGO_MINOR_MECH_FAILED = 536875013,
  /*
   The caller's arguments or their order are wrong.
   */
  GSS_SPNEGO_MINOR_CALLER_MISUSED = 536875014,
  /*
   The security context failed before, or is not established yet.
   */
  GSS_SPNEGO_MINOR_CONTEXT_UNUSABLE = 536875015,
  /*
   A configuration file or variable is wrong.
   */
  GSS_SPNEGO_MINOR_CONFIGURATION = 536875016,
  /*
   A defect of this library, or out of memory.
   */
  GSS_SPNEGO_MINOR_INTERNAL = 536875017,
  /*
   The configuration forbids what was negotiated.
   */
  GSS_SPNEGO_MINOR_FORBIDDEN = 536875018,
  /*
   NTLMSSP failed, which the program uses without SPNEGO.
   */
  GSS_SPNEGO_MINOR_NTLMSSP = 536875019,
  /*
   HTTP: neither Negotiate nor Nego2 is offered.
   */
  GSS_SPNEGO_MINOR_HTTP_NOT_OFFERED = 536879105,
  /*
   HTTP: a header field is malformed.
   */
  GSS_SPNEGO_MINOR_HTTP_MALFORMED = 536879106,
  /*
   HTTP: the response is final and does not prove where it comes from.
   */
  GSS_SPNEGO_MINOR_HTTP_UNVERIFIED = 536879107,
  /*
   HTTP: the exchange needs a connection of its own, which HTTP/2 does not have.
   */
  GSS_SPNEGO_MINOR_HTTP_NEEDS_HTTP11 = 536879108,
  /*
   HTTP: a proxy on the way does not promise to keep connections apart.
   */
  GSS_SPNEGO_MINOR_HTTP_PROXY_MAY_SHARE = 536879109,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum gss_spnego_minor gss_spnego_minor;
#else
typedef uint32_t gss_spnego_minor;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Make the client's side of a new connection.

 Parameters: `cred` is a credential of libgssapi_krb5, or GSS_C_NO_CREDENTIAL. `host` is the name
 of the server or proxy, without a port. `flags` are GSS_C_* flags beside mutual authentication,
 which is always asked for. `certificate`, the server's in DER, binds the authentication to the
 TLS channel (tls-server-end-point); GSS_C_NO_BUFFER without TLS. `options`: PROXY, VERSION_2 and
 FORWARDED of GSS_SPNEGO_HTTP_*. `reason` receives a sentence on failure, and may be NULL.
 Returns: GSS_S_COMPLETE; GSS_S_UNAVAILABLE without libgssapi_krb5; GSS_S_FAILURE and others.
 Memory: release `client` with gss_spnego_http_client_release, and keep `cred` until then;
 release `reason` with gss_release_buffer.
 */
OM_uint32 gss_spnego_http_client_new(OM_uint32 * minor,
                                     gss_cred_id_t cred,
                                     gss_buffer_t host,
                                     OM_uint32 flags,
                                     gss_buffer_t certificate,
                                     OM_uint32 options,
                                     gss_spnego_http_client ** client,
                                     gss_buffer_t reason);

/*
 Authenticate before being asked to (RFC 4559 section 4.2).

 Parameters: `field` receives a whole header line, with CR LF, to send with the request. `reason`
 receives a sentence on failure, and may be NULL. Returns: GSS_S_COMPLETE; GSS_S_FAILURE when
 there is no credential, or a forwarding proxy has not promised anything yet. Memory: release
 `field` and `reason` with gss_release_buffer.
 */
OM_uint32 gss_spnego_http_client_begin(OM_uint32 * minor,
                                       gss_spnego_http_client * client,
                                       gss_buffer_t field,
                                       gss_buffer_t reason);

/*
 Judge a response.

 Parameters: `status` is its status code. `fields` are its header lines as they came in, each
 with its line end, without the status line. `verdict` receives one of UNCONCERNED,
 AUTHENTICATED, REPEAT and INTERIM of GSS_SPNEGO_HTTP_*. `field` receives, with REPEAT, a whole
 header line to repeat the request with. `reason` receives a sentence on failure, and may be
 NULL. Returns: GSS_S_COMPLETE; GSS_S_DEFECTIVE_TOKEN for a malformed field; GSS_S_FAILURE when
 authentication failed: the response may not be used then, except with the minor code
 GSS_SPNEGO_MINOR_HTTP_NOT_OFFERED, where another scheme may be tried. Memory: release `field`
 and `reason` with gss_release_buffer.
 */
OM_uint32 gss_spnego_http_client_response(OM_uint32 * minor,
                                          gss_spnego_http_client * client,
                                          OM_uint32 status,
                                          gss_buffer_t fields,
                                          OM_uint32 * verdict,
                                          gss_buffer_t field,
                                          gss_buffer_t reason);

/*
 Ask with whom the last exchange was completed, and whether further requests on the connection
 need any.

 Parameters: `peer` receives the server's name, `mech` the mechanism that was negotiated, `flags`
 the context's flags, `persistent` persistent-auth-value of MS-N2HT: while it is 1, send requests
 without authentication. Each may be NULL. Returns: GSS_S_COMPLETE; GSS_S_NO_CONTEXT when no
 exchange was completed (`persistent` is set all the same). Memory: release `peer` with
 gss_release_buffer; `mech` is static.
 */
OM_uint32 gss_spnego_http_client_inquire(OM_uint32 * minor,
                                         gss_spnego_http_client * client,
                                         gss_buffer_t peer,
                                         gss_OID * mech,
                                         OM_uint32 * flags,
                                         int * persistent);

/*
 Release a client, and leave NULL in its place.
 */
OM_uint32 gss_spnego_http_client_release(OM_uint32 * minor, gss_spnego_http_client ** client);

/*
 Make the server's side of a new connection.

 Parameters: `cred` is a credential of libgssapi_krb5, or GSS_C_NO_CREDENTIAL for the default
 keytab. `certificate`, the server's own in DER, is what clients bind their authentication to;
 GSS_C_NO_BUFFER without TLS. `options`: NEGOTIATE, NEGO2 or both, and PROXY, VERSION_2,
 CONNECTION and REQUIRE_BINDINGS of GSS_SPNEGO_HTTP_*. `reason` receives a sentence on failure,
 and may be NULL. Returns: GSS_S_COMPLETE; GSS_S_UNAVAILABLE without libgssapi_krb5;
 GSS_S_FAILURE when the options contradict each other, as CONNECTION and VERSION_2 do. Memory:
 release `server` with gss_spnego_http_server_release, and keep `cred` until then; release
 `reason` with gss_release_buffer.
 */
OM_uint32 gss_spnego_http_server_new(OM_uint32 * minor,
                                     gss_cred_id_t cred,
                                     gss_buffer_t certificate,
                                     OM_uint32 options,
                                     gss_spnego_http_server ** server,
                                     gss_buffer_t reason);

/*
 Judge a request, before anything of it is acted upon.

 Parameters: `fields` are its header lines as they came in, each with its line end, without the
 request line. `status` receives GSS_SPNEGO_HTTP_SERVE, the status code to respond with, or
 GSS_SPNEGO_HTTP_1_1_REQUIRED. `reply` receives whole header lines for the response, whatever its
 status. `reason` receives a sentence for the log, not for the client, when the credentials were
 not accepted, and may be NULL. After 400 and 500, close the connection.
 Returns: GSS_S_COMPLETE; GSS_S_FAILURE when the arguments are wrong.
 Memory: release `reply` and `reason` with gss_release_buffer.
 */
OM_uint32 gss_spnego_http_server_request(OM_uint32 * minor,
                                         gss_spnego_http_server * server,
                                         gss_buffer_t fields,
                                         OM_uint32 * status,
                                         gss_buffer_t reply,
                                         gss_buffer_t reason);

/*
 Ask whose request the last one was.

 Parameters: `peer` receives the client's name, `mech` the mechanism that was negotiated, `flags`
 the context's flags. Each may be NULL.
 Returns: GSS_S_COMPLETE; GSS_S_NO_CONTEXT when the last request was not to be served.
 Memory: release `peer` with gss_release_buffer; `mech` is static.
 */
OM_uint32 gss_spnego_http_server_inquire(OM_uint32 * minor,
                                         gss_spnego_http_server * server,
                                         gss_buffer_t peer,
                                         gss_OID * mech,
                                         OM_uint32 * flags);

/*
 Release a server, and leave NULL in its place.
 */
OM_uint32 gss_spnego_http_server_release(OM_uint32 * minor, gss_spnego_http_server ** server);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GSS_SPNEGO_H */

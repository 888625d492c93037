//! What a client remembers of one connection: the exchange under way, and whether authentication
//! persists (MS-N2HT section 3.2, RFC 4559).
#![forbid(unsafe_code)]

mod error;

pub use error::{Error, KEEP_CONNECTIONS};

use super::header::{self, Challenges, Field, Header, Malformed, Offer};
use super::{Asker, Context, Contexts, Established, LEGS_MAX, Refusal, Scheme, Version};
use spnego::oid;
use spnego::trace;

/// The client's side of authentication on one connection (on HTTP/2, of one request), to one
/// [`Asker`].
pub struct Client<S: Contexts> {
    asker: Asker,
    version: Version,
    route: Route,
    contexts: S,
    /// persistent-auth-value of MS-N2HT section 3.2.1.
    persistent: bool,
    exchange: Exchange<S::Context>,
}

/// How requests get to the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Directly, or through a tunnel (CONNECT).
    Direct,
    /// By way of a proxy that forwards them one by one. It must promise to keep the connections of
    /// its clients apart (RFC 4559 section 6).
    Forwarded,
}

/// What to do with a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an interim response; the final one is still to come.
    Interim,
    /// It says nothing of this authentication, and may be used. (A 407 while talking to a server is
    /// the proxy's: satisfy it, and repeat the request as it was.)
    Unconcerned,
    /// Repeat the request with this field.
    Repeat(Header),
    /// The exchange is over, each side proved what the mechanism proves, and the response may be
    /// used.
    Authenticated(Established),
}

impl<S: Contexts> Client<S> {
    /// A client of a new connection; persistent-auth-value is 0 (MS-N2HT section 3.2.3).
    pub fn new(asker: Asker, version: Version, route: Route, contexts: S) -> Self {
        Self {
            asker,
            version,
            route,
            contexts,
            persistent: false,
            exchange: Exchange::Idle,
        }
    }

    /// persistent-auth-value: while true, requests on this connection are sent without
    /// authentication (MS-N2HT section 3.2.5).
    pub fn persistent_auth(&self) -> bool {
        self.persistent
    }

    /// How many tokens the exchange that is under way has made; 0 when none is.
    pub fn tokens(&self) -> u8 {
        match &self.exchange {
            Exchange::Idle => 0,
            Exchange::Running(running) => running.legs,
        }
    }

    /// Authenticate before being asked to (RFC 4559 section 4.2): the field for the request.
    ///
    /// The scheme is `Negotiate`, since nothing offered Nego2.
    ///
    /// # Errors
    /// [`Error::ProxyMayShare`] on a forwarded route, where the proxy has not promised anything
    /// yet; [`Error::Context`] when there is no credential.
    pub fn begin(&mut self) -> Result<Header, Error> {
        self.exchange = Exchange::Idle;
        if self.route == Route::Forwarded {
            return Err(Error::ProxyMayShare);
        }
        self.start(Scheme::Negotiate, None, Began::Unasked)
    }

    /// Judge a response by its status and all its header fields.
    ///
    /// # Errors
    /// When authentication failed. The response is not to be used, except for
    /// [`Error::NotOffered`], where another scheme may be tried.
    pub fn response(&mut self, status: u16, fields: &[Field<'_>]) -> Result<Verdict, Error> {
        if (100..200).contains(&status) && status != SWITCHING_PROTOCOLS {
            return Ok(Verdict::Interim);
        }
        if status == self.asker.status() {
            // Any 401, whatever else it says (MS-N2HT section 3.2.5).
            self.persistent = false;
            return self.asked(fields).map(Verdict::Repeat);
        }
        if self.asker == Asker::Server && status == Asker::Proxy.status() {
            return Ok(Verdict::Unconcerned);
        }
        match std::mem::take(&mut self.exchange) {
            Exchange::Idle => Ok(Verdict::Unconcerned),
            Exchange::Running(running) => {
                let established = finish(running, status, fields, self.asker)?;
                self.persistent = self.persists(&established, fields);
                trace!(HttpAuthenticated {
                    mech: &established.mech,
                    persistent: self.persistent,
                });
                Ok(Verdict::Authenticated(established))
            }
        }
    }

    /// The response asks for authentication: start, go on, or give up.
    fn asked(&mut self, fields: &[Field<'_>]) -> Result<Header, Error> {
        let exchange = std::mem::take(&mut self.exchange);
        let challenges = Challenges::read(fields, self.asker).map_err(Error::Malformed)?;
        if self.route == Route::Forwarded && !header::proxy_keeps_connections_apart(fields) {
            return Err(Error::ProxyMayShare);
        }
        let Exchange::Running(running) = exchange else {
            return self.choose(challenges);
        };
        match (challenges.offer(running.scheme), running.began) {
            // The acceptor's tokens of a running SPNEGO are NegTokenResps. One with the header of
            // an initial token (RFC 2743 section 3.1) is a new offer.
            (Offer::Token(token), _) if running.scheme == Scheme::Nego2 && is_initial(token) => {
                Err(Error::Refused)
            }
            (Offer::Token(token), _) if !running.complete => self.advance(running, Some(token)),
            // Whoever does not wait to be asked cannot know of Nego2 before.
            (_, Began::Unasked) if challenges.nego2 != Offer::Absent => self.choose(challenges),
            _ if running.legs > 1 => Err(Error::AskedAnew {
                tokens: running.legs,
            }),
            _ => Err(Error::Refused),
        }
    }

    /// Nego2 when and only when it is offered, else Negotiate (MS-N2HT section 2.2.3).
    fn choose(&mut self, challenges: Challenges) -> Result<Header, Error> {
        match (challenges.nego2, challenges.negotiate) {
            (Offer::Token(token), _) => self.start(Scheme::Nego2, Some(&token), Began::Asked),
            (Offer::Bare, _) => Err(Error::Malformed(Malformed {
                scheme: Some(Scheme::Nego2),
                reason: "the first Nego2 challenge has no token (MS-N2HT section 2.2.1)".to_owned(),
            })),
            (Offer::Absent, Offer::Bare) => self.start(Scheme::Negotiate, None, Began::Asked),
            (Offer::Absent, Offer::Token(_)) => Err(Error::Malformed(Malformed {
                scheme: Some(Scheme::Negotiate),
                reason: "the first Negotiate challenge has a token (RFC 4559 section 4.1)"
                    .to_owned(),
            })),
            (Offer::Absent, Offer::Absent) => Err(Error::NotOffered(challenges.others)),
        }
    }

    fn start(
        &mut self,
        scheme: Scheme,
        token: Option<&[u8]>,
        began: Began,
    ) -> Result<Header, Error> {
        trace!(HttpStarted { scheme: &scheme });
        let running = Running {
            scheme,
            context: self.contexts.start().map_err(Error::Context)?,
            complete: false,
            began,
            legs: 0,
            field: 0,
        };
        self.advance(running, token)
    }

    /// One leg: the peer's token in, the field with ours out.
    fn advance(
        &mut self,
        mut running: Running<S::Context>,
        token: Option<&[u8]>,
    ) -> Result<Header, Error> {
        let reply = running.context.step(token).map_err(Error::Context)?;
        if running.legs > 0 && self.version == Version::Http2 {
            return Err(Error::NeedsHttp11);
        }
        running.legs += 1;
        if running.legs > LEGS_MAX {
            return Err(Error::TooLong);
        }
        let Some(token) = reply.token.filter(|token| !token.is_empty()) else {
            return Err(match reply.complete {
                // We are satisfied, and the peer still is not.
                true => Error::Refused,
                false => Error::Context(Refusal::new("the mechanism has no token for the peer")),
            });
        };
        let header = Header::credentials(self.asker, running.scheme, &token);
        running.complete = reply.complete;
        running.field = header.name.len() + header.value.len() + FIELD_EXTRA;
        self.exchange = Exchange::Running(running);
        Ok(header)
    }

    /// The new persistent-auth-value (MS-N2HT section 3.2.5).
    ///
    /// The field is the origin server's, also when a proxy forwards it, so it says nothing of the
    /// authentication to the proxy. A connection of HTTP/2 belongs to nobody.
    fn persists(&self, established: &Established, fields: &[Field<'_>]) -> bool {
        let said = match (self.version, self.asker) {
            (Version::Http2, _) => return false,
            (Version::Http1, Asker::Server) => header::persistent_auth(fields),
            (Version::Http1, Asker::Proxy) => None,
        };
        said.unwrap_or(self.persistent || established.mech == oid::NTLMSSP)
    }
}

/// The response is final: use its token, and be sure of the peer.
fn finish<C: Context>(
    mut running: Running<C>,
    status: u16,
    fields: &[Field<'_>],
    asker: Asker,
) -> Result<Established, Error> {
    let challenges = Challenges::read(fields, asker).map_err(Error::Malformed)?;
    match (challenges.offer(running.scheme), running.complete) {
        (Offer::Token(token), false) => {
            let reply = running.context.step(Some(token)).map_err(Error::Context)?;
            let owed = reply.token.is_some_and(|token| !token.is_empty());
            if !reply.complete || owed {
                return Err(Error::Unverified(
                    "the mechanism wants another leg, but the response is final",
                ));
            }
        }
        (Offer::Token(_), true) => {
            return Err(Error::Unverified(
                "the response has a token after the last one of the mechanism",
            ));
        }
        (_, false) if status >= MULTIPLE_CHOICES && status != NOT_MODIFIED => {
            let field = running.field;
            return Err(Error::Interrupted { status, field });
        }
        (_, false) => {
            return Err(Error::Unverified(
                "the response lacks the token that proves where it comes from \
                 (RFC 4559 section 4.1)",
            ));
        }
        (_, true) => {}
    }
    running.context.established().map_err(Error::Context)
}

/// Where the exchange stands.
#[derive(Default)]
enum Exchange<C> {
    #[default]
    Idle,
    Running(Running<C>),
}

/// A token of ours is with the peer.
struct Running<C> {
    scheme: Scheme,
    context: C,
    /// Whether our side is established; the peer's may not be.
    complete: bool,
    began: Began,
    legs: u8,
    /// The octets of the header field that was made last, with its line end.
    field: usize,
}

#[derive(Clone, Copy)]
enum Began {
    Unasked,
    Asked,
}

fn is_initial(token: &[u8]) -> bool {
    token.first() == Some(&0x60)
}

const SWITCHING_PROTOCOLS: u16 = 101;
/// The first status that is no success.
const MULTIPLE_CHOICES: u16 = 300;
/// This one says that the page is to be had.
const NOT_MODIFIED: u16 = 304;
/// `: ` and CR LF.
const FIELD_EXTRA: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::header::fields;
    use super::super::script::{Leg, Script, fails, krb5_initiator, ntlm_initiator};
    use super::*;

    fn client(legs: &[Leg]) -> Client<impl Contexts + use<>> {
        direct(Version::Http1, legs, oid::KRB5)
    }

    fn direct(version: Version, legs: &[Leg], mech: oid::Oid) -> Client<impl Contexts + use<>> {
        let contexts = Script::contexts(mech, legs);
        Client::new(Asker::Server, version, Route::Direct, contexts)
    }

    fn repeat(name: &'static str, value: &str) -> Result<Verdict, Error> {
        let value = value.to_owned();
        Ok(Verdict::Repeat(Header { name, value }))
    }

    fn authorization(value: &str) -> Result<Verdict, Error> {
        repeat("Authorization", value)
    }

    fn respond<S: Contexts>(
        client: &mut Client<S>,
        status: u16,
        lines: &[(&str, &str)],
    ) -> Result<Verdict, Error> {
        client.response(status, &fields(lines))
    }

    const CHALLENGE: &str = "WWW-Authenticate";

    #[test]
    fn nego2_is_used_when_it_is_offered_and_its_token_is_consumed() {
        let mut client = client(&[(Some(b"hint"), Some(b"req"), false)]);
        let said = respond(
            &mut client,
            401,
            &[
                (CHALLENGE, "Negotiate, NTLM"),
                (CHALLENGE, "nego2 aGludA=="),
            ],
        );
        assert_eq!(said, authorization("Nego2 cmVx"));
    }

    #[test]
    fn negotiate_is_used_when_nego2_is_not_offered() {
        let mut client = client(krb5_initiator());
        let said = respond(
            &mut client,
            401,
            &[(CHALLENGE, r#"Basic realm="a, Nego2 aGludA==", NEGOTIATE"#)],
        );
        assert_eq!(said, authorization("Negotiate cmVx"));
    }

    #[test]
    fn success_is_reported_only_after_the_final_token_was_verified() {
        let mut client = client(krb5_initiator());
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut client, 200, &[(CHALLENGE, "Negotiate cmVw")]);
        assert!(matches!(said, Ok(Verdict::Authenticated(who)) if who.mech == oid::KRB5));

        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut client, 200, &[]);
        assert!(matches!(said, Err(Error::Unverified(_))));

        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut client, 200, &[(CHALLENGE, "Nego2 cmVw")]);
        assert!(matches!(said, Err(Error::Unverified(_))));

        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut client, 200, &[(CHALLENGE, "Negotiate Zm9yZ2Vk")]);
        assert!(matches!(said, Err(Error::Context(_))));
        assert!(!client.persistent_auth());
    }

    #[test]
    fn a_final_token_that_leaves_the_mechanism_unfinished_is_no_success() {
        let legs: [Leg; 2] = [
            (None, Some(b"req"), false),
            (Some(b"rep"), Some(b"more"), false),
        ];
        let mut unfinished = client(&legs);
        respond(&mut unfinished, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut unfinished, 200, &[(CHALLENGE, "Negotiate cmVw")]);
        assert!(matches!(said, Err(Error::Unverified(_))));

        let legs: [Leg; 2] = [
            (None, Some(b"req"), false),
            (Some(b"rep"), Some(b"last"), true),
        ];
        let mut owing = client(&legs);
        respond(&mut owing, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut owing, 200, &[(CHALLENGE, "Negotiate cmVw")]);
        assert!(matches!(said, Err(Error::Unverified(_))));
    }

    #[test]
    fn a_mechanism_that_is_done_with_its_first_token_needs_no_reply_and_takes_none() {
        let legs: [Leg; 1] = [(None, Some(b"req"), true)];
        let mut client = client(&legs);
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut client, 404, &[]);
        assert!(matches!(said, Ok(Verdict::Authenticated(_))));

        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut client, 200, &[(CHALLENGE, "Negotiate cmVw")]);
        assert!(matches!(said, Err(Error::Unverified(_))));
    }

    #[test]
    fn several_legs_go_over_401() {
        let mut client = direct(Version::Http1, ntlm_initiator(), oid::NTLMSSP);
        let said = respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]);
        assert_eq!(said, authorization("Negotiate bmVnb3RpYXRl"));
        let said = respond(&mut client, 401, &[(CHALLENGE, "Negotiate Y2hhbGxlbmdl")]);
        assert_eq!(said, authorization("Negotiate YXV0aGVudGljYXRl"));
        let said = respond(&mut client, 200, &[(CHALLENGE, "Negotiate b2s=")]);
        assert!(matches!(said, Ok(Verdict::Authenticated(_))));
    }

    #[test]
    fn ntlm_persists_unless_told_otherwise_and_kerberos_only_when_told() {
        let none: &[&str] = &[];
        for (mech, values, persistent) in [
            (oid::NTLMSSP, none, true),
            (oid::NTLMSSP, &["false"], false),
            (oid::NTLMSSP, &["False"], true),
            (oid::NTLMSSP, &["maybe"], true),
            (oid::NTLMSSP, &["true, false"], true),
            (oid::KRB5, none, false),
            (oid::KRB5, &["true"], true),
            (oid::KRB5, &[" true ,, true"], true),
            (oid::KRB5, &["true", "true"], true),
            (oid::KRB5, &["true", "false"], false),
            (oid::KRB5, &["TRUE"], false),
            (oid::KRB5, &["true, x"], false),
            (oid::KRB5, &["\"true\""], false),
        ] {
            let mut client = direct(Version::Http1, krb5_initiator(), mech);
            respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
            let mut lines = vec![(CHALLENGE, "Negotiate cmVw")];
            lines.extend(values.iter().map(|value| ("persistent-auth", *value)));
            respond(&mut client, 200, &lines).unwrap();
            assert_eq!(client.persistent_auth(), persistent, "{mech:?} {values:?}");
        }
    }

    #[test]
    fn persistent_auth_counts_only_in_the_final_response() {
        let mut client = client(krb5_initiator());
        let persistent = ("Persistent-Auth", "true");
        assert_eq!(
            respond(&mut client, 200, &[persistent]),
            Ok(Verdict::Unconcerned)
        );
        assert!(!client.persistent_auth());
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate"), persistent]).unwrap();
        assert!(!client.persistent_auth());
        assert_eq!(
            respond(&mut client, 100, &[persistent]),
            Ok(Verdict::Interim)
        );
        assert!(!client.persistent_auth());
        respond(&mut client, 200, &[(CHALLENGE, "Negotiate cmVw")]).unwrap();
        assert!(!client.persistent_auth());
    }

    #[test]
    fn any_401_resets_persistence_whatever_else_it_says() {
        for lines in [
            &[][..],
            &[(CHALLENGE, "Negotiate")],
            &[(CHALLENGE, "Basic realm=\"")],
            &[(CHALLENGE, "Negotiate"), ("Persistent-Auth", "true")],
        ] {
            let mut client = client(krb5_initiator());
            respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
            let last = [(CHALLENGE, "Negotiate cmVw"), ("Persistent-Auth", "true")];
            respond(&mut client, 200, &last).unwrap();
            assert!(client.persistent_auth());
            assert_eq!(respond(&mut client, 200, &[]), Ok(Verdict::Unconcerned));
            let _whatever = respond(&mut client, 401, lines);
            assert!(!client.persistent_auth());
        }
    }

    #[test]
    fn a_challenge_without_a_token_after_ours_is_a_refusal() {
        let mut client = client(krb5_initiator());
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(
            &mut client,
            401,
            &[(CHALLENGE, "Negotiate"), (CHALLENGE, "NTLM")],
        );
        assert_eq!(said, Err(Error::Refused));
    }

    #[test]
    fn an_error_in_the_place_of_a_token_is_neither_refusal_nor_forgery() {
        for status in [302, 400, 403, 404, 431, 500, 502] {
            let mut client = client(krb5_initiator());
            respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
            let said = respond(&mut client, status, &[]);
            // "Authorization: Negotiate cmVx" and its line end.
            let field = 31;
            assert_eq!(said, Err(Error::Interrupted { status, field }));
        }
    }

    #[test]
    fn to_be_asked_anew_after_several_tokens_may_be_the_connections_fault() {
        let mut client = direct(Version::Http1, ntlm_initiator(), oid::NTLMSSP);
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        assert_eq!(client.tokens(), 1);
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate Y2hhbGxlbmdl")]).unwrap();
        assert_eq!(client.tokens(), 2);
        let said = respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]);
        assert_eq!(said, Err(Error::AskedAnew { tokens: 2 }));
        assert_eq!(client.tokens(), 0);
    }

    #[test]
    fn a_new_nego2_offer_after_our_token_is_a_refusal() {
        let legs: [Leg; 1] = [(Some(b"`hint"), Some(b"req"), false)];
        let mut client = client(&legs);
        let offer = [(CHALLENGE, "Nego2 YGhpbnQ="), (CHALLENGE, "Negotiate")];
        assert_eq!(
            respond(&mut client, 401, &offer),
            authorization("Nego2 cmVx")
        );
        assert_eq!(respond(&mut client, 401, &offer), Err(Error::Refused));
    }

    #[test]
    fn the_mechanisms_own_refusal_is_reported() {
        let mut client = Client::new(
            Asker::Server,
            Version::Http1,
            Route::Direct,
            fails("no credential in FILE:/tmp/none"),
        );
        let said = respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]);
        assert_eq!(
            said.unwrap_err().to_string(),
            "no credential in FILE:/tmp/none"
        );
    }

    #[test]
    fn a_client_that_does_not_wait_to_be_asked_uses_negotiate() {
        let mut client = client(krb5_initiator());
        assert_eq!(
            Ok(Verdict::Repeat(client.begin().unwrap())),
            authorization("Negotiate cmVx")
        );
        let said = respond(&mut client, 200, &[(CHALLENGE, "Negotiate cmVw")]);
        assert!(matches!(said, Ok(Verdict::Authenticated(_))));
    }

    #[test]
    fn it_starts_anew_when_nego2_is_offered_then_and_only_once() {
        let legs: [Leg; 1] = [(Some(b"`hint"), Some(b"req2"), false)];
        let mut made = 0;
        let mut first = Script::contexts(oid::KRB5, krb5_initiator());
        let mut second = Script::contexts(oid::KRB5, &legs);
        let contexts = move || {
            made += 1;
            if made == 1 { first() } else { second() }
        };
        let mut client = Client::new(Asker::Server, Version::Http1, Route::Direct, contexts);
        client.begin().unwrap();
        let offer = [(CHALLENGE, "Negotiate, Nego2 YGhpbnQ=")];
        assert_eq!(
            respond(&mut client, 401, &offer),
            authorization("Nego2 cmVxMg==")
        );
        assert_eq!(respond(&mut client, 401, &offer), Err(Error::Refused));
    }

    #[test]
    fn first_challenges_against_the_specifications_are_refused() {
        for line in [
            "Negotiate cmVw",
            "Nego2",
            "Nego2, Negotiate",
            "Negotiate !",
            "Nego2 a b",
        ] {
            let said = respond(&mut client(krb5_initiator()), 401, &[(CHALLENGE, line)]);
            assert!(matches!(said, Err(Error::Malformed(_))), "{line}");
        }
    }

    #[test]
    fn what_is_offered_instead_is_told() {
        let mut client = client(krb5_initiator());
        let said = respond(
            &mut client,
            401,
            &[(CHALLENGE, "NTLM, Digest realm=\"x\", nonce=1")],
        );
        assert_eq!(
            said.unwrap_err().to_string(),
            "neither Negotiate nor Nego2 is offered, only NTLM, Digest"
        );
    }

    #[test]
    fn a_proxy_is_another_exchange() {
        let contexts = Script::contexts(oid::NTLMSSP, krb5_initiator());
        let mut proxy = Client::new(Asker::Proxy, Version::Http1, Route::Direct, contexts);
        let mut server = client(krb5_initiator());
        let asks = [
            ("Proxy-Authenticate", "Negotiate"),
            (CHALLENGE, "Negotiate"),
        ];
        assert_eq!(respond(&mut server, 407, &asks), Ok(Verdict::Unconcerned));
        assert_eq!(
            respond(&mut proxy, 407, &asks),
            repeat("Proxy-Authorization", "Negotiate cmVx")
        );
        // The server's 401 shows that the proxy let the request pass; its Persistent-Auth is not
        // the proxy's.
        let said = respond(
            &mut proxy,
            401,
            &[
                ("Proxy-Authenticate", "Negotiate cmVw"),
                ("Persistent-Auth", "false"),
            ],
        );
        assert!(matches!(said, Ok(Verdict::Authenticated(_))));
        assert!(proxy.persistent_auth());
        respond(&mut proxy, 407, &asks).unwrap();
        assert!(!proxy.persistent_auth());
    }

    #[test]
    fn a_407_amid_the_exchange_with_the_server_leaves_it_as_it_was() {
        let mut client = client(krb5_initiator());
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut client, 407, &[("Proxy-Authenticate", "Basic realm=x")]);
        assert_eq!(said, Ok(Verdict::Unconcerned));
        let said = respond(&mut client, 200, &[(CHALLENGE, "Negotiate cmVw")]);
        assert!(matches!(said, Ok(Verdict::Authenticated(_))));
    }

    #[test]
    fn a_forwarding_proxy_must_promise_to_keep_connections_apart() {
        let contexts = Script::contexts(oid::KRB5, krb5_initiator());
        let mut client = Client::new(Asker::Server, Version::Http1, Route::Forwarded, contexts);
        assert_eq!(client.begin(), Err(Error::ProxyMayShare));
        let asks = (CHALLENGE, "Negotiate");
        assert_eq!(
            respond(&mut client, 401, &[asks]),
            Err(Error::ProxyMayShare)
        );
        let promise = ("Proxy-Support", "x, session-based-authentication");
        assert_eq!(
            respond(&mut client, 401, &[asks, promise]),
            authorization("Negotiate cmVx")
        );
    }

    #[test]
    fn http_2_takes_one_leg_and_no_more_and_never_persists() {
        let mut ntlm = direct(Version::Http2, ntlm_initiator(), oid::NTLMSSP);
        respond(&mut ntlm, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let said = respond(&mut ntlm, 401, &[(CHALLENGE, "Negotiate Y2hhbGxlbmdl")]);
        assert_eq!(said, Err(Error::NeedsHttp11));

        let mut krb5 = direct(Version::Http2, krb5_initiator(), oid::KRB5);
        respond(&mut krb5, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let last = [(CHALLENGE, "Negotiate cmVw"), ("Persistent-Auth", "true")];
        assert!(matches!(
            respond(&mut krb5, 200, &last),
            Ok(Verdict::Authenticated(_))
        ));
        assert!(!krb5.persistent_auth());
    }

    #[test]
    fn an_endless_exchange_ends() {
        let mut legs: [Leg; 100] = [(Some(b"x"), Some(b"x"), false); 100];
        legs[0] = (None, Some(b"x"), false);
        let mut client = client(&legs);
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        let end = (0..100)
            .map(|_| respond(&mut client, 401, &[(CHALLENGE, "Negotiate eA==")]))
            .find_map(Result::err);
        assert_eq!(end, Some(Error::TooLong));
    }

    #[test]
    fn a_failed_exchange_stays_failed() {
        let mut client = client(krb5_initiator());
        respond(&mut client, 401, &[(CHALLENGE, "Negotiate")]).unwrap();
        respond(&mut client, 200, &[]).unwrap_err();
        let late = [(CHALLENGE, "Negotiate cmVw"), ("Persistent-Auth", "true")];
        assert_eq!(respond(&mut client, 200, &late), Ok(Verdict::Unconcerned));
        assert!(!client.persistent_auth());
    }
}

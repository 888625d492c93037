//! What a server (or a proxy) remembers of one connection: the exchange under way, and whose the
//! connection is (MS-N2HT section 3.3, RFC 4559).
#![forbid(unsafe_code)]

use super::header::{Credentials, Field, Header};
use super::{
    Asker, Context, Contexts, Established, Flags, LEGS_MAX, NEEDS_HTTP_1_1, Refusal, Scheme,
    Version,
};
use spnego::trace;

/// The server's side of authentication on one connection (on HTTP/2, of one request).
pub struct Server<S: Contexts> {
    settings: Settings,
    contexts: S,
    state: State<S::Context>,
}

/// What the server wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether this is the origin server or a proxy.
    pub asker: Asker,
    /// What the connection speaks.
    pub version: Version,
    /// The schemes on offer.
    pub offer: Offer,
    /// What an authentication is good for.
    pub good_for: GoodFor,
    /// Whether the client must have bound the authentication to the TLS channel.
    pub bindings: Bindings,
}

/// The schemes on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// `Negotiate` only.
    Negotiate,
    /// `Nego2` only.
    Nego2,
    /// Both.
    Both,
}

/// What an authentication is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodFor {
    /// One request: `Persistent-Auth: false`.
    Request,
    /// All further requests of the connection: `Persistent-Auth: true`. Only where the connection
    /// is the client's own, and not one that a proxy shares among its clients.
    Connection,
}

/// Channel bindings. The contexts bring them (see [`super::binding`]), and refuse a client whose
/// bindings are wrong; this is about a client without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bindings {
    /// Such a client may sign in.
    Optional,
    /// It may not.
    Required,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Serve it; the client is known.
    Serve {
        /// Who, by which mechanism, with which flags.
        client: Established,
        /// Fields for the final response, whatever its status.
        fields: Vec<Header>,
    },
    /// Respond with [`Asker::status`] and these fields, on this connection.
    Challenge {
        /// The challenges, each in a field of its own.
        fields: Vec<Header>,
        /// Why the credentials were not accepted; for the log, not for the client. `None` when
        /// there were none, or the exchange goes on.
        reason: Option<String>,
    },
    /// Respond with this status and close: 400 for a malformed field, 500 when nothing can be
    /// offered.
    Fail {
        /// The status.
        status: u16,
        /// Why, for the log.
        reason: String,
    },
    /// Reset the stream with HTTP_1_1_REQUIRED (RFC 9113 section 7): the client repeats the request
    /// over HTTP/1.1.
    NeedsHttp11 {
        /// Why, for the log.
        reason: &'static str,
    },
}

impl<S: Contexts> Server<S> {
    /// A server of a new connection.
    ///
    /// # Errors
    /// When the settings contradict each other: on HTTP/2, where clients may share a connection,
    /// an authentication is good for one request only.
    pub fn new(settings: Settings, contexts: S) -> Result<Self, &'static str> {
        if settings.version == Version::Http2 && settings.good_for == GoodFor::Connection {
            return Err(
                "an authentication cannot be good for a whole connection of HTTP/2, \
                        which requests of several clients may share; use HTTP/1.1",
            );
        }
        Ok(Self {
            settings,
            contexts,
            state: State::Idle,
        })
    }

    /// On whose behalf it asks.
    pub fn asker(&self) -> Asker {
        self.settings.asker
    }

    /// Whether an exchange is under way, and the client owes a token.
    pub fn is_in_exchange(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Judge a request by all its header fields, before anything of it is acted upon.
    pub fn request(&mut self, fields: &[Field<'_>]) -> Answer {
        let credentials = match Credentials::read(fields, self.settings.asker) {
            Ok(credentials) => credentials,
            Err(malformed) => {
                self.state = State::Idle;
                return Answer::Fail {
                    status: BAD_REQUEST,
                    reason: malformed.reason,
                };
            }
        };
        // A connection stays somebody's only while it shows no other credentials: a failed
        // exchange, or one that was begun and left, leaves nobody signed in.
        match (credentials, std::mem::take(&mut self.state)) {
            (Credentials::Absent, State::SignedIn(client)) => {
                self.state = State::SignedIn(client.clone());
                let fields = Vec::new();
                Answer::Serve { client, fields }
            }
            (Credentials::Absent, _) => self.offer(None),
            (Credentials::Other, _) => {
                self.offer(Some("the credentials are of another scheme".to_owned()))
            }
            (Credentials::Token(scheme, token), State::Running(running))
                if running.scheme == scheme =>
            {
                self.advance(running, &token)
            }
            (Credentials::Token(scheme, token), _) => self.start(scheme, &token),
        }
    }

    fn start(&mut self, scheme: Scheme, token: &[u8]) -> Answer {
        if !self.settings.offer.includes(scheme) {
            return self.offer(Some(format!("{scheme} is not offered")));
        }
        let context = match self.contexts.start() {
            Ok(context) => context,
            Err(refusal) => return self.refuse(scheme, refusal),
        };
        let running = Running {
            scheme,
            context,
            legs: 0,
        };
        self.advance(running, token)
    }

    /// One leg: the client's token in, the answer with ours out.
    fn advance(&mut self, mut running: Running<S::Context>, token: &[u8]) -> Answer {
        let scheme = running.scheme;
        let reply = match running.context.step(Some(token)) {
            Ok(reply) => reply,
            Err(refusal) => return self.refuse(scheme, refusal),
        };
        let reply_token = reply.token.filter(|token| !token.is_empty());
        if reply.complete {
            return self.sign_in(&running, reply_token.as_deref());
        }
        if self.settings.version == Version::Http2 {
            let reason = NEEDS_HTTP_1_1;
            return Answer::NeedsHttp11 { reason };
        }
        running.legs += 1;
        if running.legs >= LEGS_MAX {
            let reason = format!("no end after {LEGS_MAX} round trips");
            return self.refuse(scheme, Refusal::new(reason));
        }
        let Some(reply_token) = reply_token else {
            let reason = "the mechanism goes on, but has no token for the client";
            return self.refuse(scheme, Refusal::new(reason));
        };
        self.state = State::Running(running);
        Answer::Challenge {
            fields: vec![self.field(scheme, Some(&reply_token))],
            reason: None,
        }
    }

    /// The context is complete: see whether it is enough.
    fn sign_in(&mut self, running: &Running<S::Context>, token: Option<&[u8]>) -> Answer {
        let client = match running.context.established() {
            Ok(client) => client,
            Err(refusal) => return self.refuse(running.scheme, refusal),
        };
        let bound = client.flags.contain(Flags::CHANNEL_BOUND);
        if self.settings.bindings == Bindings::Required && !bound {
            // Without its last token, the client does not take this for success either.
            return self.offer(Some(
                "the client did not bind its authentication to the TLS channel".to_owned(),
            ));
        }
        trace!(HttpSignedIn { mech: &client.mech });
        let mut fields = Vec::new();
        if token.is_some() {
            fields.push(self.field(running.scheme, token));
        }
        // MS-N2HT section 3.3.5. The client would take a proxy's for the origin server's.
        if self.settings.asker == Asker::Server {
            let persistent = self.settings.good_for == GoodFor::Connection;
            fields.push(Header::persistent_auth(persistent));
        }
        if self.settings.good_for == GoodFor::Connection {
            self.state = State::SignedIn(client.clone());
        }
        Answer::Serve { client, fields }
    }

    /// The credentials are no good: tell the peer what the mechanism has to tell, else offer anew.
    fn refuse(&mut self, scheme: Scheme, refusal: Refusal) -> Answer {
        trace!(HttpRefused {
            reason: &refusal.reason,
        });
        match refusal.token.filter(|token| !token.is_empty()) {
            Some(token) => Answer::Challenge {
                fields: vec![self.field(scheme, Some(&token))],
                reason: Some(refusal.reason),
            },
            None => self.offer(Some(refusal.reason)),
        }
    }

    /// The challenges of somebody who asks for the first time.
    fn offer(&mut self, reason: Option<String>) -> Answer {
        let mut fields = Vec::new();
        let mut hindrance = None;
        if self.settings.offer.includes(Scheme::Nego2) {
            match self.hint() {
                Ok(token) => fields.push(self.field(Scheme::Nego2, Some(&token))),
                Err(refusal) => hindrance = Some(refusal.reason),
            }
        }
        if self.settings.offer.includes(Scheme::Negotiate) {
            fields.push(self.field(Scheme::Negotiate, None));
        }
        match hindrance {
            Some(reason) if fields.is_empty() => Answer::Fail {
                status: INTERNAL_SERVER_ERROR,
                reason,
            },
            Some(hindrance) => {
                trace!(HttpNotOffered { reason: &hindrance });
                Answer::Challenge { fields, reason }
            }
            None => Answer::Challenge { fields, reason },
        }
    }

    /// The NegTokenInit2 for Nego2. Its context is not kept: the client may come back on another
    /// connection, and nothing of the hint is needed to accept it.
    fn hint(&mut self) -> Result<Vec<u8>, Refusal> {
        let reply = self.contexts.start()?.step(None)?;
        reply
            .token
            .filter(|token| !token.is_empty())
            .ok_or_else(|| Refusal::new("the mechanism makes no NegTokenInit2"))
    }

    fn field(&self, scheme: Scheme, token: Option<&[u8]>) -> Header {
        Header::challenge(self.settings.asker, scheme, token)
    }
}

impl Offer {
    fn includes(self, scheme: Scheme) -> bool {
        match self {
            Self::Negotiate => scheme == Scheme::Negotiate,
            Self::Nego2 => scheme == Scheme::Nego2,
            Self::Both => true,
        }
    }
}

/// Whose the connection is.
#[derive(Default)]
enum State<C> {
    #[default]
    Idle,
    /// The client owes a token.
    Running(Running<C>),
    SignedIn(Established),
}

struct Running<C> {
    scheme: Scheme,
    context: C,
    legs: u8,
}

const BAD_REQUEST: u16 = 400;
const INTERNAL_SERVER_ERROR: u16 = 500;

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::super::script::{Leg, Script, fails, krb5_acceptor, ntlm_acceptor};
    use super::*;
    use spnego::oid::{self, Oid};

    const SETTINGS: Settings = Settings {
        asker: Asker::Server,
        version: Version::Http1,
        offer: Offer::Negotiate,
        good_for: GoodFor::Connection,
        bindings: Bindings::Optional,
    };

    fn server(settings: Settings, mech: Oid, legs: &[Leg]) -> Server<impl Contexts + use<>> {
        Server::new(settings, Script::contexts(mech, legs)).unwrap()
    }

    fn ask<S: Contexts>(server: &mut Server<S>, authorization: &[&str]) -> Answer {
        let lines: Vec<_> = authorization
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        server.request(&header::fields(&lines))
    }

    /// The fields of a challenge, as lines, and the reason.
    fn challenged(answer: Answer) -> (Vec<String>, Option<String>) {
        match answer {
            Answer::Challenge { fields, reason } => (lines(&fields), reason),
            other => panic!("{other:?}"),
        }
    }

    fn served(answer: Answer) -> (Established, Vec<String>) {
        match answer {
            Answer::Serve { client, fields } => (client, lines(&fields)),
            other => panic!("{other:?}"),
        }
    }

    fn lines(fields: &[Header]) -> Vec<String> {
        fields
            .iter()
            .map(|field| format!("{}: {}", field.name, field.value))
            .collect()
    }

    #[test]
    fn the_first_challenge_is_what_is_on_offer() {
        let nego2 = "WWW-Authenticate: Nego2 YGhpbnQ=";
        let negotiate = "WWW-Authenticate: Negotiate";
        for (offer, expected) in [
            (Offer::Both, &[nego2, negotiate][..]),
            (Offer::Nego2, &[nego2]),
            (Offer::Negotiate, &[negotiate]),
        ] {
            let settings = Settings { offer, ..SETTINGS };
            let mut server = server(settings, oid::KRB5, &[(None, Some(b"`hint"), false)]);
            let (fields, reason) = challenged(ask(&mut server, &[]));
            assert_eq!(fields, expected);
            assert_eq!(reason, None);
        }
    }

    #[test]
    fn without_a_hint_nego2_is_not_offered() {
        let both = Settings {
            offer: Offer::Both,
            ..SETTINGS
        };
        let mut server = Server::new(both, fails("no keytab")).unwrap();
        let (fields, _) = challenged(ask(&mut server, &[]));
        assert_eq!(fields, ["WWW-Authenticate: Negotiate"]);

        let only = Settings {
            offer: Offer::Nego2,
            ..SETTINGS
        };
        let mut server = Server::new(only, fails("no keytab")).unwrap();
        let answer = ask(&mut server, &[]);
        let reason = "no keytab".to_owned();
        assert_eq!(
            answer,
            Answer::Fail {
                status: 500,
                reason
            }
        );
    }

    #[test]
    fn a_scheme_that_is_not_offered_is_not_taken() {
        let mut server = server(SETTINGS, oid::KRB5, krb5_acceptor());
        let (fields, reason) = challenged(ask(&mut server, &["Nego2 cmVx"]));
        assert_eq!(fields, ["WWW-Authenticate: Negotiate"]);
        assert_eq!(reason.as_deref(), Some("Nego2 is not offered"));
    }

    #[test]
    fn a_bound_connection_authenticates_once() {
        let mut server = server(SETTINGS, oid::KRB5, krb5_acceptor());
        let (client, fields) = served(ask(&mut server, &["Negotiate cmVx"]));
        assert_eq!(client.peer.as_deref(), Some("peer"));
        assert_eq!(client.mech, oid::KRB5);
        assert_eq!(
            fields,
            ["WWW-Authenticate: Negotiate cmVw", "Persistent-Auth: true"]
        );
        let (again, fields) = served(ask(&mut server, &[]));
        assert_eq!(again, client);
        assert!(fields.is_empty());
    }

    #[test]
    fn a_request_bound_authentication_is_good_for_one_request() {
        let settings = Settings {
            good_for: GoodFor::Request,
            ..SETTINGS
        };
        let mut server = server(settings, oid::KRB5, krb5_acceptor());
        for _ in 0..2 {
            let (_, fields) = served(ask(&mut server, &["Negotiate cmVx"]));
            assert_eq!(
                fields,
                ["WWW-Authenticate: Negotiate cmVw", "Persistent-Auth: false"]
            );
            let (fields, _) = challenged(ask(&mut server, &[]));
            assert_eq!(fields, ["WWW-Authenticate: Negotiate"]);
        }
    }

    #[test]
    fn several_legs_go_over_401_under_the_clients_scheme() {
        let settings = Settings {
            offer: Offer::Both,
            ..SETTINGS
        };
        let mut server = server(settings, oid::NTLMSSP, ntlm_acceptor());
        let (fields, reason) = challenged(ask(&mut server, &["Nego2 bmVnb3RpYXRl"]));
        assert_eq!(fields, ["WWW-Authenticate: Nego2 Y2hhbGxlbmdl"]);
        assert_eq!(reason, None);
        let (client, fields) = served(ask(&mut server, &["Nego2 YXV0aGVudGljYXRl"]));
        assert_eq!(client.mech, oid::NTLMSSP);
        assert_eq!(
            fields,
            ["WWW-Authenticate: Nego2 b2s=", "Persistent-Auth: true"]
        );
    }

    #[test]
    fn a_last_leg_on_another_connection_is_refused() {
        let mut first = server(SETTINGS, oid::NTLMSSP, ntlm_acceptor());
        let mut second = server(SETTINGS, oid::NTLMSSP, ntlm_acceptor());
        challenged(ask(&mut first, &["Negotiate bmVnb3RpYXRl"]));
        let (_, reason) = challenged(ask(&mut second, &["Negotiate YXV0aGVudGljYXRl"]));
        assert!(reason.is_some());
    }

    #[test]
    fn an_exchange_that_was_left_is_forgotten() {
        let mut server = server(SETTINGS, oid::NTLMSSP, ntlm_acceptor());
        challenged(ask(&mut server, &["Negotiate bmVnb3RpYXRl"]));
        let (fields, _) = challenged(ask(&mut server, &[]));
        assert_eq!(fields, ["WWW-Authenticate: Negotiate"]);
        let (_, reason) = challenged(ask(&mut server, &["Negotiate YXV0aGVudGljYXRl"]));
        assert!(reason.is_some());
    }

    #[test]
    fn whoever_fails_to_sign_in_again_is_signed_out() {
        for wrong in [
            &["Negotiate d3Jvbmc="][..],
            &["Basic eDp5"],
            &["Negotiate"],
            &["a", "b"],
        ] {
            let mut server = server(SETTINGS, oid::KRB5, krb5_acceptor());
            served(ask(&mut server, &["Negotiate cmVx"]));
            assert!(!matches!(ask(&mut server, wrong), Answer::Serve { .. }));
            assert!(
                !matches!(ask(&mut server, &[]), Answer::Serve { .. }),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_refusal_carries_the_mechanisms_token_or_a_new_offer() {
        let refused = Script::refuses("clock skew too great", Some("reject"));
        let mut server = Server::new(SETTINGS, refused).unwrap();
        let (fields, reason) = challenged(ask(&mut server, &["Negotiate cmVx"]));
        assert_eq!(fields, ["WWW-Authenticate: Negotiate cmVqZWN0"]);
        assert_eq!(reason.as_deref(), Some("clock skew too great"));

        let mut server = Server::new(SETTINGS, Script::refuses("no", None)).unwrap();
        let (fields, reason) = challenged(ask(&mut server, &["Negotiate cmVx"]));
        assert_eq!(fields, ["WWW-Authenticate: Negotiate"]);
        assert_eq!(reason.as_deref(), Some("no"));
    }

    #[test]
    fn malformed_credentials_are_a_bad_request() {
        for wrong in [
            &["Negotiate"][..],
            &["Negotiate !"],
            &["Negotiate cmVx cmVx"],
            &["Negotiate cmVx, cmVx"],
            &["Negotiate realm=\"x\""],
            &["Negotiate cmVx", "Negotiate cmVx"],
            &["Negotiate cmVx\r\nX: y"],
        ] {
            let mut server = server(SETTINGS, oid::KRB5, krb5_acceptor());
            let answer = ask(&mut server, wrong);
            assert!(
                matches!(answer, Answer::Fail { status: 400, .. }),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn required_channel_bindings_are_required() {
        let settings = Settings {
            bindings: Bindings::Required,
            ..SETTINGS
        };
        let mut unbound = server(settings, oid::KRB5, krb5_acceptor());
        let (fields, reason) = challenged(ask(&mut unbound, &["Negotiate cmVx"]));
        assert_eq!(fields, ["WWW-Authenticate: Negotiate"]);
        assert!(reason.unwrap().contains("bind"));
        challenged(ask(&mut unbound, &[]));

        let contexts = Script::bound(oid::KRB5, krb5_acceptor());
        let mut bound = Server::new(settings, contexts).unwrap();
        let (client, _) = served(ask(&mut bound, &["Negotiate cmVx"]));
        assert!(client.flags.contain(Flags::CHANNEL_BOUND));
    }

    #[test]
    fn a_proxy_asks_with_its_own_fields_and_says_nothing_of_persistence() {
        let settings = Settings {
            asker: Asker::Proxy,
            ..SETTINGS
        };
        let mut server = server(settings, oid::KRB5, krb5_acceptor());
        let (fields, _) = challenged(ask(&mut server, &["Negotiate cmVx"]));
        assert_eq!(fields, ["Proxy-Authenticate: Negotiate"]);
        let credentials = [("Proxy-Authorization", "Negotiate cmVx")];
        let (_, fields) = served(server.request(&header::fields(&credentials)));
        assert_eq!(fields, ["Proxy-Authenticate: Negotiate cmVw"]);
    }

    #[test]
    fn http_2_refuses_what_is_bound_to_a_connection() {
        let http2 = Settings {
            version: Version::Http2,
            ..SETTINGS
        };
        let contexts = Script::contexts(oid::KRB5, krb5_acceptor());
        assert!(
            Server::new(http2, contexts)
                .err()
                .unwrap()
                .contains("HTTP/1.1")
        );

        let each = Settings {
            good_for: GoodFor::Request,
            ..http2
        };
        let mut krb5 = server(each, oid::KRB5, krb5_acceptor());
        served(ask(&mut krb5, &["Negotiate cmVx"]));
        let mut ntlm = server(each, oid::NTLMSSP, ntlm_acceptor());
        let answer = ask(&mut ntlm, &["Negotiate bmVnb3RpYXRl"]);
        assert!(matches!(answer, Answer::NeedsHttp11 { reason } if reason.contains("HTTP/1.1")));
    }

    #[test]
    fn an_endless_exchange_ends() {
        let legs: [Leg; 100] = [(Some(b"x"), Some(b"x"), false); 100];
        let mut server = server(SETTINGS, oid::KRB5, &legs);
        let end = (0..100).find_map(|_| challenged(ask(&mut server, &["Negotiate eA=="])).1);
        assert!(end.unwrap().contains("round trips"));
    }
}

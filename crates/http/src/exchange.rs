//! Both sides against each other, every header printed: the exchange of MS-N2HT section 4, and one
//! keep-alive connection for each way to authenticate it.
#![forbid(unsafe_code)]

use super::client::{Client, Error, Route, Verdict};
use super::header::{Field, Header};
use super::script::{Leg, Script, krb5_acceptor, krb5_initiator, ntlm_acceptor, ntlm_initiator};
use super::server::{Answer, Bindings, GoodFor, Offer, Server, Settings};
use super::{Asker, Contexts, Version};
use spnego::oid::{self, Oid};

/// A connection, and everything that went over it.
struct Connection<C: Contexts, S: Contexts> {
    client: Client<C>,
    server: Server<S>,
    log: Vec<String>,
}

fn connection(
    (mech, initiator, acceptor): (Oid, &[Leg], &[Leg]),
    offer: Offer,
    good_for: GoodFor,
) -> Connection<impl Contexts + use<>, impl Contexts + use<>> {
    let settings = Settings {
        asker: Asker::Server,
        version: Version::Http1,
        offer,
        good_for,
        bindings: Bindings::Optional,
    };
    let initiator = Script::contexts(mech, initiator);
    Connection {
        client: Client::new(Asker::Server, Version::Http1, Route::Direct, initiator),
        server: Server::new(settings, Script::contexts(mech, acceptor)).unwrap(),
        log: Vec::new(),
    }
}

impl<C: Contexts, S: Contexts> Connection<C, S> {
    /// GET until the response is final, and what the client makes of it.
    fn get(&mut self) -> Result<Verdict, Error> {
        let mut request = Vec::new();
        loop {
            self.print("GET /test.htm HTTP/1.1", &request);
            let (status, line, response) = match self.server.request(&incoming(&request)) {
                Answer::Serve { fields, .. } => (200, "HTTP/1.1 200 OK", fields),
                Answer::Challenge { fields, .. } => (401, "HTTP/1.1 401 Unauthorized", fields),
                other => panic!("{other:?}"),
            };
            self.print(line, &response);
            match self.client.response(status, &incoming(&response))? {
                Verdict::Repeat(header) => request = vec![header],
                last => return Ok(last),
            }
        }
    }

    fn print(&mut self, line: &str, headers: &[Header]) {
        self.log.push(line.to_owned());
        let headers = headers
            .iter()
            .map(|header| format!("{}: {}", header.name, header.value));
        self.log.extend(headers);
    }
}

fn incoming(headers: &[Header]) -> Vec<Field<'_>> {
    headers
        .iter()
        .map(|header| Field {
            name: header.name.as_bytes(),
            value: header.value.as_bytes(),
        })
        .collect()
}

/// MS-N2HT section 4, as far as the document shows it: its tokens are cut after 33 and 38
/// characters of base64, and the answer to the last request is not shown.
#[test]
fn the_exchange_is_that_of_ms_n2ht_section_4() {
    let hint: &[u8] = b"\x60\x82\x01\xa4\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x82\x01\x98\x30\x82\
        \x01\x94\xa0\x1a\x30\x18\x06";
    let init: &[u8] = b"\x60\x82\x04\x6b\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x82\x04\x5f\x30\x82\
        \x04\x5b\xa0\x0e\x30\x0c\x06\x0a\x2b\x06";
    let initiator = [
        (Some(hint), Some(init), false),
        (Some(b"accepted"), None, true),
    ];
    // The acceptor answers either; a context for the hint is not the one that gets the token.
    let settings = Settings {
        asker: Asker::Server,
        version: Version::Http1,
        offer: Offer::Nego2,
        good_for: GoodFor::Request,
        bindings: Bindings::Optional,
    };
    let mut hints = Script::contexts(oid::KRB5, &[(None, Some(hint), false)]);
    let mut accepts = Script::contexts(oid::KRB5, &[(Some(init), Some(b"accepted"), true)]);
    let mut made = 0;
    let acceptor = move || {
        made += 1;
        if made == 1 { hints() } else { accepts() }
    };
    let mut connection = Connection {
        client: Client::new(
            Asker::Server,
            Version::Http1,
            Route::Direct,
            Script::contexts(oid::KRB5, &initiator),
        ),
        server: Server::new(settings, acceptor).unwrap(),
        log: Vec::new(),
    };
    assert!(matches!(connection.get(), Ok(Verdict::Authenticated(_))));
    for (line, shown) in connection.log.iter().zip([
        "GET /test.htm HTTP/1.1",
        "HTTP/1.1 401 Unauthorized",
        "WWW-Authenticate: Nego2 YIIBpAYGKwYBBQUCoIIBmDCCAZSgGjAYB",
        "GET /test.htm HTTP/1.1",
        "Authorization: Nego2 YIIEawYGKwYBBQUCoIIEXzCCBFugDjAMBgorBg",
    ]) {
        assert!(line.starts_with(shown), "{line}");
    }
    assert_eq!(
        connection.log[5..],
        [
            "HTTP/1.1 200 OK",
            "WWW-Authenticate: Nego2 YWNjZXB0ZWQ=",
            "Persistent-Auth: false",
        ]
    );
}

#[test]
fn ntlm_authenticates_a_kept_connection_once() {
    let ntlm = (oid::NTLMSSP, ntlm_initiator(), ntlm_acceptor());
    let mut connection = connection(ntlm, Offer::Negotiate, GoodFor::Connection);
    assert!(matches!(connection.get(), Ok(Verdict::Authenticated(_))));
    assert!(connection.client.persistent_auth());
    assert_eq!(connection.get(), Ok(Verdict::Unconcerned));
    assert_eq!(
        connection.log,
        [
            "GET /test.htm HTTP/1.1",
            "HTTP/1.1 401 Unauthorized",
            "WWW-Authenticate: Negotiate",
            "GET /test.htm HTTP/1.1",
            "Authorization: Negotiate bmVnb3RpYXRl",
            "HTTP/1.1 401 Unauthorized",
            "WWW-Authenticate: Negotiate Y2hhbGxlbmdl",
            "GET /test.htm HTTP/1.1",
            "Authorization: Negotiate YXV0aGVudGljYXRl",
            "HTTP/1.1 200 OK",
            "WWW-Authenticate: Negotiate b2s=",
            "Persistent-Auth: true",
            "GET /test.htm HTTP/1.1",
            "HTTP/1.1 200 OK",
        ]
    );
}

#[test]
fn kerberos_authenticates_a_kept_connection_once() {
    let krb5 = (oid::KRB5, krb5_initiator(), krb5_acceptor());
    let mut connection = connection(krb5, Offer::Negotiate, GoodFor::Connection);
    assert!(matches!(connection.get(), Ok(Verdict::Authenticated(_))));
    assert!(connection.client.persistent_auth());
    assert_eq!(connection.get(), Ok(Verdict::Unconcerned));
}

#[test]
fn each_request_is_authenticated_when_that_is_what_it_is_good_for() {
    for case in [
        (oid::KRB5, krb5_initiator(), krb5_acceptor()),
        (oid::NTLMSSP, ntlm_initiator(), ntlm_acceptor()),
    ] {
        let mut connection = connection(case, Offer::Negotiate, GoodFor::Request);
        for _ in 0..2 {
            assert!(matches!(connection.get(), Ok(Verdict::Authenticated(_))));
            assert!(!connection.client.persistent_auth());
        }
    }
}

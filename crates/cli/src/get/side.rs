//! One asker's side of an exchange: what it says of each response, and why it fails.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use http::client::{Client, Error, KEEP_CONNECTIONS, Verdict as Said};
use http::header::{Challenges, Header, Offer};
use http::{Asker, Established, Scheme};
use serde_json::json;
use spnego::advice::Trouble;

use super::show::{faint, tell, tell_failure, tell_text};
use crate::http::Response;
use crate::leg::{self, Observed, Seen};
use crate::print::{BAD, Form, GOOD, harmless, styled};
use crate::wrong::{Code, Wrong};

/// One asker's side of it.
pub(super) struct Side {
    /// Whom it signs in to.
    service: String,
    pub(super) client: Client<Observed>,
    seen: Rc<RefCell<Seen>>,
    pub(super) credentials: Option<Header>,
    /// How the connection was lost with a part of the exchange's tokens.
    lost: Option<&'static str>,
    /// What has come of it.
    signed_in: Option<bool>,
}

impl Side {
    pub(super) fn new(service: String, client: Client<Observed>, seen: Rc<RefCell<Seen>>) -> Self {
        Self {
            service,
            client,
            seen,
            credentials: None,
            lost: None,
            signed_in: None,
        }
    }

    /// Whether the sign-in is good; `None` when there was none.
    pub(super) fn is_signed_in(&self) -> Option<bool> {
        self.signed_in
    }

    /// The peer has closed the connection, `how` it did so. A first token finds its peer over any
    /// connection, a later one does not.
    pub(super) fn lose_connection(&mut self, how: &'static str) {
        if self.client.tokens() > 1 {
            self.lost = Some(how);
        }
    }

    /// The peer has gone without a response.
    pub(super) fn left_without_response(&self) -> Wrong {
        if let Some(how) = self.lost {
            return not_kept(how);
        }
        match &self.credentials {
            Some(header) if header.value.len() >= LARGE_TOKEN => {
                let reason = format!(
                    "{CLOSED} to a header field of {} octets, which may be too large for it",
                    header.value.len()
                );
                let remedy = Trouble::LargeToken.to_string();
                Wrong::new(Code::ConnectionClosed, reason).with_remedy(remedy)
            }
            _ => closed(),
        }
    }

    /// Judge a response; whether the request has to be repeated.
    pub(super) fn next(&mut self, form: Form, response: &Response) -> Result<bool, Wrong> {
        let tokens = self.client.tokens();
        let said = self.judged(response);
        self.follow(form, said, tokens)
    }

    /// The same for an answer to CONNECT. Most proxies (Apache, Squid) make the tunnel, or refuse it,
    /// without the token that proves who they are; who the server in it is, TLS tells.
    pub(super) fn tunnelled(&mut self, form: Form, response: &Response) -> Result<bool, Wrong> {
        let tokens = self.client.tokens();
        let said = self.judged(response);
        let unproved = matches!(said, Err(Error::Unverified(_) | Error::Interrupted { .. }));
        if !unproved || has_token(response) {
            return self.follow(form, said, tokens);
        }
        if matches!(response.status, 200..=299) {
            let text = "* the proxy has made the tunnel, and has not proved who it is";
            let event = || json!({"event": "tunnel", "proxy_verified": false});
            tell(form, &faint(text), event);
        }
        Ok(false)
    }

    fn judged(&mut self, response: &Response) -> Result<Said, Error> {
        self.credentials = None;
        let fields = response.fields.lent();
        self.client.response(response.status, &fields)
    }

    fn follow(&mut self, form: Form, said: Result<Said, Error>, tokens: u8) -> Result<bool, Wrong> {
        match said {
            Ok(Said::Repeat(header)) => {
                self.credentials = Some(header);
                Ok(true)
            }
            Ok(Said::Authenticated(peer)) => {
                self.signed_in = Some(true);
                self.tell_signed_in(form, &peer);
                Ok(false)
            }
            Ok(Said::Unconcerned | Said::Interim) => Ok(false),
            // The page of a server that wants something else is still a page.
            Err(error @ Error::NotOffered(_)) => {
                let wrong = self.explained(form, &error, tokens);
                tell_failure(form, &wrong);
                Ok(false)
            }
            Err(error) => Err(self.explained(form, &error, tokens)),
        }
    }

    fn tell_signed_in(&self, form: Form, peer: &Established) {
        let seen = self.seen.borrow();
        let ours = seen.ours;
        let text = format!("= signed in to {}", harmless(&leg::who(peer)));
        tell(form, &styled(GOOD, text), || {
            let more = json!({
                "event": "verdict",
                "signed_in": true,
                "spnego": whose(ours),
                "persistent": self.client.persistent_auth(),
                "negotiation": leg::told_json(seen.told.as_ref()),
            });
            leg::with(leg::who_json(peer), more)
        });
        let text = match ours {
            Some(true) => "* by the SPNEGO of gss-spnego",
            Some(false) => "* by the SPNEGO that is built into the library",
            None => "* by a SPNEGO that could not be asked whose it is",
        };
        tell_text(form, &faint(text));
        for line in leg::told(seen.told.as_ref()) {
            tell_text(form, &faint(&format!("* {}", harmless(&line))));
        }
    }

    /// Why the exchange failed after so many tokens of ours, told with what to do.
    pub(super) fn explained(&mut self, form: Form, error: &Error, tokens: u8) -> Wrong {
        self.signed_in = Some(false);
        let wrong = self.wrong(error, tokens);
        let seen = self.seen.borrow();
        let verdict = json!({
            "event": "verdict",
            "signed_in": false,
            "code": wrong.code.name(),
            "reason": wrong.reason,
            "what_to_do": wrong.remedy,
            "spnego": whose(seen.ours),
            "negotiation": leg::told_json(seen.told.as_ref()),
        });
        tell(form, &styled(BAD, "= not signed in"), || verdict);
        for line in seen.told.iter().flat_map(leg::dropped) {
            tell_text(form, &faint(&format!("* {}", harmless(&line))));
        }
        let hint = format!("* spnego doctor {} looks for the cause", self.service);
        tell_text(form, &faint(&hint));
        wrong
    }

    fn wrong(&self, error: &Error, tokens: u8) -> Wrong {
        // Whatever is said to a token that came over another connection, that is why.
        if let Some(how) = self.lost {
            return not_kept(how);
        }
        let remedy = match (error, &self.seen.borrow().no) {
            (Error::Context(_), Some(no)) => no.trouble.as_ref().map(ToString::to_string),
            (Error::Refused, _) => Some(Trouble::SeePeer.to_string()),
            _ => error.remedy().map(ToOwned::to_owned),
        };
        Wrong {
            code: Code::of_exchange(error, tokens > 0),
            reason: error.to_string(),
            remedy,
        }
    }
}

fn not_kept(how: &str) -> Wrong {
    let reason =
        format!("the peer closed the connection between the tokens of the exchange, {how}");
    Wrong::new(Code::ConnectionNotKept, reason).with_remedy(KEEP_CONNECTIONS)
}

/// The peer has gone without a response.
pub(super) fn closed() -> Wrong {
    Wrong::new(Code::ConnectionClosed, CLOSED)
        .with_remedy("where the server speaks TLS on this port, use https; else look into its log")
}

/// Whether a proxy's answer has a token of either scheme.
fn has_token(response: &Response) -> bool {
    let challenges = Challenges::read(&response.fields.lent(), Asker::Proxy);
    challenges.is_ok_and(|challenges| {
        [Scheme::Nego2, Scheme::Negotiate]
            .iter()
            .any(|scheme| matches!(challenges.offer(*scheme), Offer::Token(_)))
    })
}

fn whose(ours: Option<bool>) -> Option<&'static str> {
    ours.map(|ours| if ours { "gss-spnego" } else { "built-in" })
}

const CLOSED: &str = "the connection was closed without a response";
/// Octets of a header field that not every server takes.
const LARGE_TOKEN: usize = 4096;

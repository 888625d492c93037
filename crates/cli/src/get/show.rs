//! Events of `get`, for people and for programs.
#![forbid(unsafe_code)]

use std::io::Write;

use http::header::{Challenges, Header, Offer};
use http::{Asker, Scheme};
use serde_json::{Value, json};

use crate::http::Response;
use crate::leg::Summary;
use crate::print::{self, BAD, FAINT, Form, harmless, styled};
use crate::wrong::Wrong;

pub(super) fn request(
    form: Form,
    number: usize,
    method: &str,
    target: &str,
    credentials: &[&Header],
) {
    let tokens: Vec<(&str, &str, Option<Vec<u8>>)> = credentials
        .iter()
        .filter_map(|header| {
            let (scheme, token) = header.value.split_once(' ')?;
            Some((header.name, scheme, crate::http::decode(token)))
        })
        .collect();
    let mut text = format!("> {number} {method} {}", harmless(target));
    for (name, scheme, token) in &tokens {
        let token = token.as_deref().map(|token| Summary::of(token).text());
        text += &format!("\n>   {name}: {scheme}, {}", token.unwrap_or_default());
    }
    tell(form, &text, || {
        let tokens = tokens.iter().map(|(name, scheme, token)| {
            let token = token.as_deref().map(|token| Summary::of(token).json());
            json!({"field": name, "scheme": scheme, "token": token})
        });
        let tokens: Vec<Value> = tokens.collect();
        json!({
            "event": "request", "leg": number, "method": method, "target": target,
            "credentials": tokens,
        })
    });
}

pub(super) fn response(form: Form, number: usize, response: &Response) {
    let mut text = format!(
        "< {number} {} {}",
        response.status,
        harmless(&response.reason)
    );
    let mut shown = Vec::new();
    for asker in [Asker::Server, Asker::Proxy] {
        let challenges = match Challenges::read(&response.fields.lent(), asker) {
            Ok(challenges) => challenges,
            Err(malformed) => {
                text += &format!("\n<   {}: {malformed}", asker.challenge_field());
                continue;
            }
        };
        for scheme in [Scheme::Nego2, Scheme::Negotiate] {
            let token = match challenges.offer(scheme) {
                Offer::Absent => continue,
                Offer::Bare => None,
                Offer::Token(token) => Some(Summary::of(token)),
            };
            let said = token.as_ref().map_or("no token".to_owned(), Summary::text);
            text += &format!("\n<   {}: {scheme}, {said}", asker.challenge_field());
            shown.push(json!({
                "field": asker.challenge_field(), "scheme": scheme.name(),
                "token": token.map(|token| token.json()),
            }));
        }
        for other in &challenges.others {
            text += &format!("\n<   {}: {}", asker.challenge_field(), harmless(other));
            shown.push(json!({"field": asker.challenge_field(), "scheme": other, "token": null}));
        }
    }
    for value in response.fields.values("Persistent-Auth") {
        let value = String::from_utf8_lossy(value).into_owned();
        text += &format!("\n<   Persistent-Auth: {}", harmless(&value));
    }
    tell(form, &text, || {
        json!({
            "event": "response", "leg": number, "status": response.status,
            "reason": response.reason, "challenges": shown,
        })
    });
}

/// An event, in one form or the other.
pub(super) fn tell(form: Form, text: &str, value: impl FnOnce() -> Value) {
    match form {
        Form::Text => tell_text(form, text),
        Form::Json => print::json(&value()),
    }
}

/// Why there is no page.
pub(super) fn tell_failure(form: Form, wrong: &Wrong) {
    let text = format!("! {}", styled(BAD, harmless(&wrong.sentence())));
    tell(
        form,
        &text,
        || json!({"event": "failure", "code": wrong.code.name(), "reason": wrong.sentence()}),
    );
}

pub(super) fn tell_text(form: Form, text: &str) {
    if form == Form::Text {
        // A terminal that is gone ends nothing: the page may go to a file.
        let _ = writeln!(anstream::stderr(), "{text}");
    }
}

pub(super) fn faint(text: &str) -> String {
    styled(FAINT, text)
}

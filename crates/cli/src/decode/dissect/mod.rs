//! Taking tokens apart: SPNEGO, NEGOEX, NTLM and Kerberos, as far as each can be read, with what is
//! wrong in it. Nothing here prints, and nothing that a token holds stops it.
#![forbid(unsafe_code)]

mod av_pairs;
mod der;
pub(crate) mod field;
mod krb5;
mod krb5_messages;
mod krb5_schema;
mod krb5_tables;
mod mech_types;
mod mic;
pub(crate) mod names;
mod negoex;
pub(crate) mod ntlm;
mod ntlm_flags;
mod ntlm_response;
pub(crate) mod shape;
pub(crate) mod spnego;

use ::spnego::oid::{self, Oid};
use der::{Element, tag};
use field::{Field, Octets, Value};

/// What a token is in a few words, and what other legs are held against.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    words: Vec<String>,
    depth: usize,
    pub(crate) negotiation: Option<spnego::Message>,
    pub(crate) ntlm: Option<ntlm::Ntlm>,
}

impl Facts {
    fn say(&mut self, words: impl Into<String>) {
        // A hostile token may hold more than a line of them.
        if self.words.len() < WORDS {
            self.words.push(words.into());
        }
    }

    /// A line about the token.
    pub(crate) fn summary(&self) -> String {
        self.words.join(" ")
    }
}

/// Take a whole token apart.
pub(crate) fn token(octets: &[u8]) -> (Field<'_>, Facts) {
    let mut facts = Facts::default();
    let token = Octets::whole(octets);
    let whole = known(token, &mut facts);
    let mut field = whole.unwrap_or_else(|| unknown(token));
    if facts.words.is_empty() {
        facts.say(UNKNOWN);
    }
    field.length = octets.len();
    (field, facts)
}

/// Whether octets begin as a token that can be taken apart.
pub(crate) fn is_known(octets: &[u8]) -> bool {
    known(Octets::whole(octets), &mut Facts::default()).is_some()
}

/// Take a token apart that is in another, where it may be of any mechanism, and say so when it is none
/// that is known.
fn inner<'a>(token: Octets<'a>, facts: &mut Facts) -> Field<'a> {
    known(token, facts).unwrap_or_else(|| unknown(token))
}

fn unknown(token: Octets<'_>) -> Field<'_> {
    let mut field = Field::with(UNKNOWN, token, Value::Octets(token.octets));
    field.doubtful("", "not a token of SPNEGO, NEGOEX, NTLM or Kerberos");
    field
}

/// The name of what is none of these.
pub(crate) const UNKNOWN: &str = "unknown token";

/// Take a token apart when it begins as one that is known.
fn known<'a>(token: Octets<'a>, facts: &mut Facts) -> Option<Field<'a>> {
    if facts.depth == DEEPEST {
        return None;
    }
    facts.depth += 1;
    let field = match token.octets {
        [0x60, ..] => Some(initial_token(token, facts)),
        [0xa0 | 0xa1, ..] => Some(spnego::negotiation_token(token, false, facts)),
        octets if octets.starts_with(ntlm::SIGNATURE) => Some(ntlm::message(token, facts)),
        octets if octets.starts_with(negoex::SIGNATURE) => Some(negoex::messages(token, facts)),
        _ if krb5::is_per_message(token) => Some(krb5::per_message(token)),
        _ if krb5::begins(token) => {
            let mut field = krb5::message(token, facts);
            field.note(
                "RFC 4121 section 4.1",
                "without the header of an initial token, as in DCE style",
            );
            Some(field)
        }
        _ => None,
    };
    facts.depth -= 1;
    field
}

/// The header of an initial token, RFC 2743 section 3.1, and what is in it.
fn initial_token<'a>(token: Octets<'a>, facts: &mut Facts) -> Field<'a> {
    const SECTION: &str = "RFC 2743 section 3.1";
    let mut rest = token;
    let mut field = Field::new("initial token", token);
    let Some(mut element) = Element::next(&mut rest) else {
        return field;
    };
    element.blame(&mut field);
    let mut inner = element.content;
    let Some(mut mech) = Element::next(&mut inner) else {
        field.wrong(SECTION, "the mechanism's identifier is missing");
        return field;
    };
    let mut this_mech = Field::with(
        "thisMech",
        mech.whole,
        names::identifier(mech.content.octets),
    );
    mech.blame(&mut this_mech);
    let oid = Oid::new(mech.content.octets);
    if mech.tag != tag::OID {
        this_mech.wrong(SECTION, "not an OBJECT IDENTIFIER");
    }
    if oid == Some(oid::KRB5_MS) {
        this_mech.note(
            "MS-SPNG section 3.1.5.2",
            "Kerberos 5 under the identifier that Windows 2000 mis-encoded",
        );
    }
    field.push(this_mech);
    match oid {
        Some(oid::SPNEGO) => field.push(spnego::negotiation_token(inner, true, facts)),
        Some(oid) if oid.is_krb5() || oid == oid::KRB5_U2U || oid == oid::IAKERB => {
            krb5::token(inner, &mut field, facts);
        }
        _ => {
            facts.say(format!("token of {}", names::mech(mech.content.octets)));
            if !inner.is_empty() {
                field.push(self::inner(inner, facts));
            }
        }
    }
    field.push_left_over(SECTION, rest);
    field
}

/// How deep tokens may lie in one another. SPNEGO, NEGOEX, a mechanism and what that one carries
/// are four; more is made to be deep.
const DEEPEST: usize = 6;

/// The most words of a summary.
const WORDS: usize = 32;

//! The messages of SPNEGO: RFC 4178 section 4.2, MS-SPNG section 2.2.1.
#![forbid(unsafe_code)]

use super::der::{self, Element, Extension, Numbered, tag};
use super::field::{Field, Octets, Value};
use super::{Facts, mech_types, mic, names};
use spnego::oid::{self, Oid};
use spnego::wire::framing;

/// What the legs of one negotiation are held against each other by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Init {
        /// The offered mechanisms, as content octets.
        offered: Vec<Vec<u8>>,
        hints: bool,
    },
    Resp {
        state: Option<u64>,
        supported: Option<Vec<u8>>,
        mic: bool,
    },
}

pub(crate) const ACCEPT_COMPLETED: u64 = 0;
pub(crate) const REJECT: u64 = 2;
pub(crate) const REQUEST_MIC: u64 = 3;

/// A NegotiationToken: what is in the header of an initial token, or a later message by itself.
pub(crate) fn negotiation_token<'a>(
    octets: Octets<'a>,
    framed: bool,
    facts: &mut Facts,
) -> Field<'a> {
    const SECTION: &str = "RFC 4178 section 4.2";
    let mut rest = octets;
    let Some(mut element) = Element::next(&mut rest) else {
        let mut field = Field::new("NegotiationToken", octets);
        field.wrong(SECTION, "empty");
        return field;
    };
    let mut field = Field::new("NegotiationToken", element.whole);
    element.blame(&mut field);
    match element.tag {
        0xa0 => {
            if !framed {
                field.wrong(
                    SECTION,
                    "a NegTokenInit without the header of an initial token (RFC 2743 section 3.1)",
                );
            }
            init(&mut field, element.content, facts);
        }
        0xa1 => {
            if framed {
                field.wrong(
                    SECTION,
                    "a NegTokenResp in the header of an initial token, as old initiators of Sun send it",
                );
            }
            resp(&mut field, element.content, facts);
        }
        other => {
            field.value = Value::Octets(element.content.octets);
            field.wrong(
                SECTION,
                format!(
                    "tag {other:#04x}, where a NegTokenInit (0xa0) or a NegTokenResp (0xa1) must be"
                ),
            );
        }
    }
    field.push_left_over(SECTION, rest);
    field
}

/// NegTokenInit, or NegTokenInit2: they differ in field 3.
fn init<'a>(field: &mut Field<'a>, content: Octets<'a>, facts: &mut Facts) {
    const SECTION: &str = "RFC 4178 section 4.2.1";
    field.name = "NegTokenInit".into();
    let Some(sequence) = der::only(field, content, tag::SEQUENCE, SECTION) else {
        return;
    };
    let mut offered = Vec::new();
    let mut listed = false;
    let (mut token, mut mic, mut hints) = (None, None, false);
    for Numbered {
        number,
        mut element,
    } in der::numbered(field, sequence, SECTION, FIELDS)
    {
        let mut part = Field::new("", element.whole);
        element.blame(&mut part);
        let content = element.content;
        match number {
            0 => {
                part.name = "mechTypes".into();
                listed = true;
                offered = mech_types::read(&mut part, content);
            }
            1 => {
                part.name = "reqFlags".into();
                req_flags(&mut part, content);
            }
            2 => {
                part.name = "mechToken".into();
                token = Some(octet_string(&mut part, content, SECTION));
            }
            3 if content.first() == Some(tag::SEQUENCE) => {
                field.name = "NegTokenInit2".into();
                part.name = "negHints".into();
                hints = true;
                neg_hints(&mut part, content);
            }
            3 => {
                part.name = "mechListMIC".into();
                mic = Some(octet_string(&mut part, content, SECTION));
            }
            _ if hints || (mic.is_none() && content.first() == Some(tag::OCTET_STRING)) => {
                part.name = "mechListMIC".into();
                if !hints {
                    part.note(
                        "MS-SPNG section 2.2.1",
                        "in the field that it has in a NegTokenInit2, and there are no negHints",
                    );
                }
                mic = Some(octet_string(&mut part, content, SECTION));
            }
            _ => unknown(&mut part, number, content),
        }
        field.push(part);
    }
    let list: Vec<_> = offered.iter().map(|mech| names::mech(mech)).collect();
    facts.say(format!("{}: {}", field.name, list.join(", ")));
    if !listed && !hints {
        field.wrong(SECTION, "mechTypes is missing: nothing is offered");
    }
    let optimistic = token.flatten().filter(|token| !token.is_empty());
    if let Some(token) = optimistic {
        facts.say("with");
        let inner = super::inner(token, facts);
        let part = field
            .fields
            .iter_mut()
            .find(|part| part.name == "mechToken");
        if let Some(part) = part {
            belongs(part, token, offered.first());
            part.push(inner);
        }
    } else if token.is_none() && !hints {
        field.note(SECTION, "no optimistic mechToken: one more round trip");
    }
    if let Some(mic) = mic {
        if optimistic.is_none() {
            field.doubtful(
                "RFC 4178 section 5",
                "a mechListMIC without a mechToken: there is no context that could have made it",
            );
        }
        mic::show(field, mic);
    }
    facts.negotiation = Some(Message::Init { offered, hints });
}

/// NegTokenResp.
fn resp<'a>(field: &mut Field<'a>, content: Octets<'a>, facts: &mut Facts) {
    const SECTION: &str = "RFC 4178 section 4.2.2";
    field.name = "NegTokenResp".into();
    let sequence = if content.first() == Some(tag::SEQUENCE) {
        der::only(field, content, tag::SEQUENCE, SECTION)
    } else {
        field.wrong(
            SECTION,
            "the SEQUENCE around the fields is missing, as in old implementations",
        );
        Some(content)
    };
    let mut state = None;
    let mut supported: Option<Vec<u8>> = None;
    let (mut token, mut mic) = (None, None);
    let numbered = sequence.map(|sequence| der::numbered(field, sequence, SECTION, FIELDS));
    for Numbered {
        number,
        mut element,
    } in numbered.unwrap_or_default()
    {
        let mut part = Field::new("", element.whole);
        element.blame(&mut part);
        let content = element.content;
        match number {
            0 => {
                part.name = "negState".into();
                state = neg_state(&mut part, content);
            }
            1 => {
                part.name = "supportedMech".into();
                if let Some(mech) = der::only(&mut part, content, tag::OID, SECTION) {
                    mech_types::identifier(&mut part, mech);
                    supported = Some(mech.octets.to_vec());
                }
            }
            2 => {
                part.name = "responseToken".into();
                token = Some(octet_string(&mut part, content, SECTION));
            }
            3 => {
                part.name = "mechListMIC".into();
                mic = Some(octet_string(&mut part, content, SECTION));
            }
            4 if content.first() == Some(tag::SEQUENCE) => {
                part.name = "supportedMechs".into();
                part.note(
                    "MS-SPNG section 3.1.5.1",
                    "what the server could fall back to (Negotiate Late Fallback, of April 2026); \
                     others pass it over",
                );
                mech_types::read(&mut part, content);
            }
            _ => unknown(&mut part, number, content),
        }
        field.push(part);
    }
    let mut words = vec![match state {
        Some(state) => names::found(&STATES, state)
            .unwrap_or("unknown state")
            .to_owned(),
        None => "no state".to_owned(),
    }];
    words.extend(supported.as_deref().map(names::mech));
    facts.say(format!("NegTokenResp: {}", words.join(", ")));
    judge_resp(field, state, supported.is_some(), token, mic);
    if let Some(token) = token.flatten().filter(|token| !token.is_empty()) {
        facts.say("with");
        let inner = super::inner(token, facts);
        let part = field
            .fields
            .iter_mut()
            .find(|part| part.name == "responseToken");
        if let Some(part) = part {
            if let Some(mech) = &supported {
                belongs(part, token, Some(mech));
            }
            part.push(inner);
        }
    }
    if let Some(mic) = mic {
        facts.say("with a mechListMIC");
        mic::show(field, mic);
    }
    facts.negotiation = Some(Message::Resp {
        state,
        supported,
        mic: mic.is_some(),
    });
}

/// A field that no specification known here has.
fn unknown<'a>(part: &mut Field<'a>, number: u64, content: Octets<'a>) {
    part.name = format!("field {number}").into();
    part.value = Value::Octets(content.octets);
    part.note(
        "RFC 4178 section 6",
        "not known here, and to be passed over",
    );
}

/// What is wrong between the fields of one NegTokenResp.
fn judge_resp<'a>(
    field: &mut Field<'a>,
    state: Option<u64>,
    first_reply: bool,
    token: Option<Option<Octets<'a>>>,
    mic: Option<Option<Octets<'a>>>,
) {
    const SECTION: &str = "RFC 4178 section 4.2.2";
    match state {
        None if first_reply => field.wrong(SECTION, "negState is required in the first reply"),
        None => field.note(
            SECTION,
            "no negState, which is allowed after the first reply",
        ),
        Some(REQUEST_MIC) if !first_reply => field.doubtful(
            SECTION,
            "request-mic may be in the first reply only, which has a supportedMech",
        ),
        Some(REJECT) if mic.is_some() => field.doubtful(
            "RFC 4178 section 5",
            "a mechListMIC in a message that ends the negotiation",
        ),
        Some(_) => {}
    }
    if state.is_none() && !first_reply && token.is_none() && mic.is_none() {
        field.doubtful(SECTION, "a message that says nothing");
    }
    if let (Some(Some(token)), Some(Some(mic))) = (token, mic) {
        if token.octets == mic.octets {
            field.note(
                "MS-SPNG section 3.1.5.1",
                "the mechListMIC repeats the responseToken, as Windows 2000 sends it: it is none",
            );
        }
    }
}

/// ContextFlags.
fn req_flags<'a>(field: &mut Field<'a>, content: Octets<'a>) {
    const SECTION: &str = "RFC 4178 section 4.2.1";
    field.note(
        SECTION,
        "should be left out, and is to be ignored: nothing protects it",
    );
    let Some(bits) = der::only(field, content, tag::BIT_STRING, SECTION) else {
        return;
    };
    let (unused, bits) = bits.split(1);
    if unused.first().is_none_or(|count| count > 7) {
        field.wrong(
            "X.690 section 8.6.2",
            "the number of unused bits is no such",
        );
    }
    let flags = bits.split(1).0.little_endian();
    field.value = Value::bits(flags, &CONTEXT_FLAGS);
}

/// NegHints.
fn neg_hints<'a>(field: &mut Field<'a>, content: Octets<'a>) {
    const SECTION: &str = "MS-SPNG section 2.2.1";
    let Some(sequence) = der::only(field, content, tag::SEQUENCE, SECTION) else {
        return;
    };
    for Numbered {
        number,
        mut element,
    } in der::numbered(field, sequence, SECTION, Extension::Closed)
    {
        let mut part = Field::new("", element.whole);
        element.blame(&mut part);
        match number {
            0 => {
                part.name = "hintName".into();
                let name = der::only(&mut part, element.content, tag::GENERAL_STRING, SECTION);
                if let Some(name) = name {
                    let text = String::from_utf8_lossy(name.octets).into_owned();
                    if text != HINT {
                        part.doubtful(SECTION, format!("should be {HINT:?}"));
                    }
                    part.value = Value::Text(text);
                }
            }
            1 => {
                part.name = "hintAddress".into();
                part.wrong(SECTION, "must be left out");
                octet_string(&mut part, element.content, SECTION);
            }
            _ => {
                part.name = format!("field {number}").into();
                part.value = Value::Octets(element.content.octets);
                part.note(SECTION, "not known here");
            }
        }
        field.push(part);
    }
}

fn neg_state<'a>(field: &mut Field<'a>, content: Octets<'a>) -> Option<u64> {
    const SECTION: &str = "RFC 4178 section 4.2.2";
    let octets = der::only(field, content, tag::ENUMERATED, SECTION)?;
    let state = octets.big_endian().filter(|_| octets.len() == 1);
    match state {
        Some(state) => {
            field.value = Value::named(state, names::found(&STATES, state));
            if state > REQUEST_MIC {
                field.wrong(SECTION, "not one of the four states");
            }
        }
        None => {
            field.value = Value::Octets(octets.octets);
            field.wrong(SECTION, "not one of the four states");
        }
    }
    state
}

/// The content of an OCTET STRING, which is also the field's value.
fn octet_string<'a>(
    field: &mut Field<'a>,
    content: Octets<'a>,
    section: &'static str,
) -> Option<Octets<'a>> {
    let octets = der::only(field, content, tag::OCTET_STRING, section)?;
    // The token in it is taken apart below; its octets by themselves say nothing.
    field.value = Value::Sensitive(octets.octets);
    if octets.is_empty() {
        field.doubtful(section, "present, and empty");
    }
    Some(octets)
}

/// Say that a token is not of the mechanism it is for.
fn belongs<'a>(field: &mut Field<'a>, token: Octets<'a>, mech: Option<&Vec<u8>>) {
    const SECTION: &str = "RFC 4178 section 4.2.1";
    let Some(mech) = mech.and_then(|mech| Oid::new(mech)) else {
        return;
    };
    if framing::may_belong(token.octets, &mech) {
        return;
    }
    let named = framing::InitialToken::decode(token.octets).map(|token| token.mech);
    if mech.is_krb5() && named == Ok(oid::KRB5_U2U.content()) {
        field.note(
            SECTION,
            "user-to-user, which Windows asks for under Kerberos' own identifier",
        );
        return;
    }
    field.doubtful(
        SECTION,
        format!("not a token of {mech:?}, the mechanism that it is for"),
    );
}

/// The fields of a NegTokenInit, and of a NegTokenResp.
const FIELDS: Extension = Extension::PassedOver { last: 3 };

/// MS-SPNG section 2.2.1.
const HINT: &str = "not_defined_in_RFC4178@please_ignore";

const STATES: [(u64, &str); 4] = [
    (ACCEPT_COMPLETED, "accept-completed"),
    (1, "accept-incomplete"),
    (REJECT, "reject"),
    (REQUEST_MIC, "request-mic"),
];

/// Flag 0 is the most significant bit.
const CONTEXT_FLAGS: [(u64, &str); 7] = [
    (0x80, "delegFlag"),
    (0x40, "mutualFlag"),
    (0x20, "replayFlag"),
    (0x10, "sequenceFlag"),
    (0x08, "anonFlag"),
    (0x04, "confFlag"),
    (0x02, "integFlag"),
];

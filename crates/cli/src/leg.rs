//! What `get` and `serve` show of each leg: a token's kind, what is offered, chosen and protected
//! in it. Never its octets: `spnego decode` is for those.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use gssapi::system::{No, Session, Sessions, Told};
use http::{Context, Contexts, Established, Flags, Refusal};
use serde_json::{Map, Value, json};
use spnego::error::Error;
use spnego::negotiate::Reply;
use spnego::oid::Oid;
use spnego::wire::framing::InitialToken;
use spnego::wire::spnego::{NegState, NegTokenInit, NegTokenResp};

/// What is to be seen of a token.
pub(crate) struct Summary {
    octets: usize,
    kind: &'static str,
    offered: Vec<String>,
    state: Option<&'static str>,
    chosen: Option<String>,
    mech_token: Option<(&'static str, usize)>,
    mic: Option<usize>,
    malformed: Option<String>,
}

impl Summary {
    pub(crate) fn of(token: &[u8]) -> Self {
        let mut summary = Self {
            octets: token.len(),
            kind: mech_token(token),
            offered: Vec::new(),
            state: None,
            chosen: None,
            mech_token: None,
            mic: None,
            malformed: None,
        };
        let is_init = InitialToken::decode(token)
            .is_ok_and(|framed| framed.mech == spnego::oid::SPNEGO.content());
        if is_init {
            summary.kind = "NegTokenInit";
            match NegTokenInit::decode(token) {
                Ok(init) => summary.init(&init),
                Err(malformed) => summary.malformed = Some(malformed.to_string()),
            }
        } else if token.first() == Some(&RESPONSE) {
            summary.kind = "NegTokenResp";
            match NegTokenResp::decode(token) {
                Ok(response) => summary.response(&response),
                Err(malformed) => summary.malformed = Some(malformed.to_string()),
            }
        }
        summary
    }

    fn init(&mut self, init: &NegTokenInit<'_>) {
        self.offered = init.mech_types.iter().map(name).collect();
        self.mech_token = init
            .mech_token
            .map(|token| (mech_token(token), token.len()));
        self.mic = init.mech_list_mic.map(<[u8]>::len);
    }

    fn response(&mut self, response: &NegTokenResp<'_>) {
        self.state = response.neg_state.map(|state| match state {
            NegState::AcceptCompleted => "accept-completed",
            NegState::AcceptIncomplete => "accept-incomplete",
            NegState::Reject => "reject",
            NegState::RequestMic => "request-mic",
        });
        self.chosen = response.supported_mech.map(|mech| name(Oid::new(mech)));
        let token = response.response_token;
        self.mech_token = token.map(|token| (mech_token(token), token.len()));
        self.mic = response.mech_list_mic.map(<[u8]>::len);
    }

    pub(crate) fn text(&self) -> String {
        let mut said = vec![format!("{} of {} octets", self.kind, self.octets)];
        if !self.offered.is_empty() {
            said.push(format!("offers {}", self.offered.join(", ")));
        }
        said.extend(self.state.map(ToOwned::to_owned));
        said.extend(self.chosen.as_ref().map(|mech| format!("chose {mech}")));
        said.extend(
            self.mech_token
                .map(|(kind, length)| format!("{kind} of {length} octets inside")),
        );
        said.extend(
            self.mic
                .map(|length| format!("mechListMIC of {length} octets")),
        );
        said.extend(
            self.malformed
                .as_ref()
                .map(|malformed| format!("malformed: {malformed}")),
        );
        said.join("; ")
    }

    pub(crate) fn json(&self) -> Value {
        let mut value = Map::new();
        let mut put = |name: &str, given: Value| value.insert(name.to_owned(), given);
        put("kind", json!(self.kind));
        put("octets", json!(self.octets));
        if !self.offered.is_empty() {
            put("offered", json!(self.offered));
        }
        if let Some(state) = self.state {
            put("state", json!(state));
        }
        if let Some(chosen) = &self.chosen {
            put("chosen", json!(chosen));
        }
        if let Some((kind, octets)) = self.mech_token {
            put("mech_token", json!({"kind": kind, "octets": octets}));
        }
        if let Some(octets) = self.mic {
            put("mech_list_mic", json!({"octets": octets}));
        }
        if let Some(malformed) = &self.malformed {
            put("malformed", json!(malformed));
        }
        Value::Object(value)
    }
}

/// A mechanism's name, or its dotted identifier.
fn name(mech: Option<Oid>) -> String {
    mech.map_or_else(|| "an unknown mechanism".to_owned(), |mech| shown(&mech))
}

/// The same for one that is known.
pub(crate) fn shown(mech: &Oid) -> String {
    mech.name()
        .map_or_else(|| mech.to_string(), ToOwned::to_owned)
}

/// What a mechanism's own token is, by its first octets.
fn mech_token(token: &[u8]) -> &'static str {
    if let Some(message) = token.strip_prefix(b"NTLMSSP\0") {
        return match message.first() {
            Some(1) => "NTLM NEGOTIATE",
            Some(2) => "NTLM CHALLENGE",
            Some(3) => "NTLM AUTHENTICATE",
            _ => "NTLM message",
        };
    }
    if token.starts_with(b"NEGOEXTS") {
        return "NEGOEX messages";
    }
    let Ok(framed) = InitialToken::decode(token) else {
        return match token.first() {
            // RFC 4120 section 5.10: application tags 14, 15 and 30, without a header in DCE style.
            Some(0x6e) => "Kerberos AP-REQ",
            Some(0x6f) => "Kerberos AP-REP",
            Some(0x7e) => "Kerberos KRB-ERROR",
            None => "empty token",
            Some(_) => "token",
        };
    };
    let kerberos = Oid::new(framed.mech).is_some_and(|mech| mech.is_krb5());
    match (kerberos, framed.inner) {
        // RFC 4121 section 4.1: the token identifiers.
        (true, [1, 0, ..]) => "Kerberos AP-REQ",
        (true, [2, 0, ..]) => "Kerberos AP-REP",
        (true, [3, 0, ..]) => "Kerberos KRB-ERROR",
        _ => "token",
    }
}

/// The flags that are set, by the names of RFC 2743.
pub(crate) fn flags(flags: Flags) -> Vec<&'static str> {
    FLAGS
        .into_iter()
        .filter(|(bit, _)| flags.contain(Flags(*bit)))
        .map(|(_, name)| name)
        .collect()
}

/// Who the peer is and how that was established, in one sentence.
pub(crate) fn who(peer: &Established) -> String {
    let name = peer.peer.as_deref().unwrap_or("somebody without a name");
    let mut said = format!("{name} by {}", shown(&peer.mech));
    let flags = flags(peer.flags);
    if !flags.is_empty() {
        said += &format!("; {}", flags.join(", "));
    }
    match peer.lifetime {
        u32::MAX => said,
        seconds => said + &format!("; for {seconds} s"),
    }
}

/// The same for programs.
pub(crate) fn who_json(peer: &Established) -> Value {
    json!({
        "peer": peer.peer,
        "mech": shown(&peer.mech),
        "mech_oid": peer.mech.to_string(),
        "flags": flags(peer.flags),
        "lifetime": (peer.lifetime != u32::MAX).then_some(peer.lifetime),
    })
}

/// What a SPNEGO of ours tells beside, in a line for each.
pub(crate) fn told(told: Option<&Told>) -> Vec<String> {
    let Some(told) = told else {
        return Vec::new();
    };
    let mut said = vec![format!("mechListMIC {}", told.mic.name())];
    said.extend(dropped(told));
    said.extend(told.rule.as_ref().map(|rule| format!("{rule} is in force")));
    said
}

/// The mechanisms that it could not use, in a line for each.
pub(crate) fn dropped(told: &Told) -> impl Iterator<Item = String> {
    told.dropped
        .iter()
        .map(|(mech, reason)| format!("{} was not used: {reason}", shown(mech)))
}

/// The same for programs.
pub(crate) fn told_json(told: Option<&Told>) -> Value {
    told.map_or(Value::Null, |told| {
        let dropped = told.dropped.iter();
        let dropped = dropped.map(|(mech, why)| json!({"mech": shown(mech), "reason": why}));
        json!({
            "mech_list_mic": told.mic.name(),
            "dropped": dropped.collect::<Vec<Value>>(),
            "rule": told.rule,
        })
    })
}

/// The members of both objects.
pub(crate) fn with(mut object: Value, mut more: Value) -> Value {
    if let (Some(members), Some(added)) = (object.as_object_mut(), more.as_object_mut()) {
        members.append(added);
    }
    object
}

/// The system's sessions, and what is to be learnt of them beside what HTTP needs.
pub(crate) struct Observed {
    sessions: Sessions,
    seen: Rc<RefCell<Seen>>,
}

/// What was seen of the last session.
#[derive(Default)]
pub(crate) struct Seen {
    /// Whether this project's SPNEGO stood behind it.
    pub(crate) ours: Option<bool>,
    /// What that tells of the session.
    pub(crate) told: Option<Told>,
    /// The library's last no.
    pub(crate) no: Option<No>,
}

impl Observed {
    pub(crate) fn new(sessions: Sessions) -> (Self, Rc<RefCell<Seen>>) {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let observed = Self {
            sessions,
            seen: Rc::clone(&seen),
        };
        (observed, seen)
    }
}

impl Contexts for Observed {
    type Context = Watched;

    fn start(&mut self) -> Result<Watched, Refusal> {
        Ok(Watched {
            session: self.sessions.session(),
            seen: Rc::clone(&self.seen),
        })
    }
}

/// One session that is watched.
pub(crate) struct Watched {
    session: Session,
    seen: Rc<RefCell<Seen>>,
}

impl Context for Watched {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Reply, Refusal> {
        let result = self.session.leg(token);
        let mut seen = self.seen.borrow_mut();
        seen.ours = self.session.is_ours().or(seen.ours);
        seen.told = self.session.told().or(seen.told.take());
        result.map_err(|no| {
            let refusal = Refusal {
                reason: no.reason.clone(),
                token: no.token.clone(),
            };
            seen.no = Some(no);
            refusal
        })
    }

    fn established(&self) -> Result<Established, Refusal> {
        self.session.established()
    }
}

/// The sentences of an error of the library in one line.
pub(crate) fn sentences(error: &Error) -> String {
    error.sentences().join("; ")
}

/// The tag of a NegTokenResp, the second choice of RFC 4178 section 4.2.
const RESPONSE: u8 = 0xa1;

/// The bits of RFC 2744 section 5.19, of RFC 5801 and of RFC 4757.
const FLAGS: [(u32, &str); 9] = [
    (1, "delegated"),
    (2, "mutual"),
    (4, "replay detection"),
    (8, "sequence"),
    (16, "confidentiality"),
    (32, "integrity"),
    (64, "anonymous"),
    (0x800, "channel bound"),
    (0x2000, "identify only"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use spnego::oid;
    use spnego::wire::spnego::MechList;

    #[test]
    fn a_summary_says_what_is_offered_and_chosen_and_keeps_octets_to_itself() {
        let ntlm = b"NTLMSSP\0\x01\0\0\0secret";
        let offer = NegTokenInit {
            mech_types: MechList::encode(&[oid::KRB5, oid::NTLMSSP]),
            mech_token: Some(ntlm),
            mech_list_mic: None,
        };
        let summary = Summary::of(&offer.encode());
        let text = summary.text();
        assert!(text.contains("offers krb5, ntlmssp"), "{text}");
        assert!(text.contains("NTLM NEGOTIATE of 18 octets"), "{text}");
        assert!(!text.contains("secret") && !summary.json().to_string().contains("secret"));

        let choice = NegTokenResp {
            neg_state: Some(NegState::RequestMic),
            supported_mech: Some(oid::NTLMSSP.content()),
            response_token: Some(b"NTLMSSP\0\x02"),
            mech_list_mic: Some(b"0123456789abcdef"),
        };
        let text = Summary::of(&choice.encode()).text();
        for part in [
            "request-mic",
            "chose ntlmssp",
            "NTLM CHALLENGE",
            "MIC of 16",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }

    #[test]
    fn what_is_no_token_is_called_malformed() {
        let text = Summary::of(b"\xa1\x03\x30\x05").text();
        assert!(text.contains("malformed"), "{text}");
        assert_eq!(Summary::of(b"").text(), "empty token of 0 octets");
    }
}

//! What can happen, as values: each is told in one sentence, whose values have the names that the
//! manual lists.
#![forbid(unsafe_code)]

use std::fmt::Display;

use super::line::Line;
use crate::oid::Oid;
use crate::policy::NO_RULE;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This side.
    Us,
    /// The other side.
    Peer,
}

/// Something that happened, for the trace.
#[allow(
    missing_docs,
    reason = "fields are explained in the manual, by the names they are told by"
)]
pub enum Event<'a> {
    /// The configuration has a mistake.
    Misconfigured { problem: &'a str },
    /// The configuration file has changed and was read again.
    ReadAgain,
    /// No name is known of whom a context is for, so no rule that asks for one can match.
    RulesPassedOver,
    /// A context begins.
    Began {
        target: Option<&'a str>,
        flags: u32,
        rule: &'a str,
    },
    /// A context begins of a mechanism that is used without SPNEGO.
    BegunBare { mech: &'a Oid, rule: &'a str },
    /// A message arrived, whole or put together.
    Received { kind: &'static str, octets: usize },
    /// A message leaves, whole or to be cut.
    Sent { kind: &'static str, octets: usize },
    /// A piece of a message arrived, and the message is not whole yet.
    PieceReceived {
        octets: usize,
        so_far: usize,
        announced: Option<usize>,
    },
    /// A piece of a message leaves.
    PieceSent { octets: usize, left: usize },
    /// The program deletes a context of which a message of the peer is not whole.
    NeverReceived {
        so_far: usize,
        announced: Option<usize>,
    },
    /// The program deletes a context of which the peer has not asked for all pieces of a message.
    NeverSent { left: usize },
    /// The mechanisms of the initiator's list.
    Offered { by: By, mechs: &'a [Oid] },
    /// What an acceptor that speaks first says it accepts.
    Invited { by: By, mechs: &'a [Oid] },
    /// A mechanism is tried, with a credential from somewhere.
    Tried { mech: &'a Oid, source: &'a str },
    /// The first mechanism's token is saved, since the acceptor does not have it.
    Unwelcome { mech: &'a Oid },
    /// A mechanism cannot be used.
    Dropped { mech: &'a Oid, reason: &'a str },
    /// Something that may go wrong later, or elsewhere, and no error tells.
    Warned { mech: &'a Oid, reason: &'a str },
    /// A panic was caught at the C boundary: where, and what it said.
    Panicked { what: &'a str },
    /// A mechanism failed, and the negotiation with it.
    Refused { mech: &'a Oid, reason: &'a str },
    /// A mechanism is taken.
    Chosen {
        by: By,
        mech: &'a Oid,
        reason: &'static str,
    },
    /// A mechListMIC became mandatory.
    MicRequired { reason: &'static str },
    /// Our mechListMIC leaves.
    MicSent { octets: usize },
    /// The peer's mechListMIC verified.
    MicVerified { octets: usize },
    /// The peer's mechListMIC does not verify.
    MicWrong { reason: &'a str },
    /// The key stream of RC4 is where it was before a mechListMIC.
    Restored { mech: &'a Oid, after: &'static str },
    /// A message of NEGOEX arrived, by its number in the conversation.
    NegoexReceived {
        sequence: u32,
        kind: &'static str,
        schemes: &'a str,
    },
    /// A message of NEGOEX leaves.
    NegoexSent {
        sequence: u32,
        kind: &'static str,
        schemes: &'a str,
    },
    /// The mechanism is established; the negotiation may not be.
    MechDone { mech: &'a Oid },
    /// A weaker mechanism is taken, or an unprotected choice.
    Downgraded {
        mech: &'a Oid,
        from: &'a Oid,
        reason: &'a str,
    },
    /// The peer ended the negotiation.
    Rejected { mech: &'a Oid },
    /// The context is established.
    Established {
        mech: &'a Oid,
        peer: Option<&'a str>,
        flags: u32,
        mic: &'static str,
        sums: Sums,
    },
    /// The context failed.
    Failed {
        reason: &'a str,
        major: u32,
        minor: u32,
        sums: Sums,
    },
    /// A call that is not part of a negotiation failed.
    CallFailed {
        reason: &'a str,
        major: u32,
        minor: u32,
    },
    /// A credential was acquired.
    Acquired { mechs: &'a [Oid], source: &'a str },
    /// Our own NTLM answered a challenge.
    NtlmAnswered { user: &'a dyn Display, mic: bool },
    /// Our own NTLM let somebody in.
    NtlmAccepted {
        user: &'a dyn Display,
        mic: bool,
        bound: bool,
    },
    /// What the name that an initiator has signed is to the acceptor.
    NtlmTarget {
        target: Option<&'a str>,
        fit: &'static str,
    },
    /// Our own NTLM let somebody not in.
    NtlmRefused { reason: &'a str },
    /// HTTP: a scheme is begun.
    HttpStarted { scheme: &'a dyn Display },
    /// HTTP: the server has proved itself.
    HttpAuthenticated { mech: &'a Oid, persistent: bool },
    /// HTTP: a client has signed in.
    HttpSignedIn { mech: &'a Oid },
    /// HTTP: a client is not let in.
    HttpRefused { reason: &'a str },
    /// HTTP: Nego2 cannot be offered.
    HttpNotOffered { reason: &'a str },
}

/// What a negotiation came to, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls, each with a token of the peer or a first one.
    pub rounds: u32,
    /// Octets received.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
    /// Microseconds from the first call's begin.
    pub micros: u64,
}

impl Event<'_> {
    pub(super) fn tell(&self, line: &mut Line) {
        line.mark("event", self.name());
        match *self {
            Self::Misconfigured { problem } => line.say("configuration: ").text("reason", problem),
            Self::ReadAgain => line.say("configuration: read again"),
            Self::RulesPassedOver => line
                .say("configuration: rules with a target are passed over, no name is known here"),
            Self::Began {
                target,
                flags,
                rule,
            } => {
                line.say("begins");
                if let Some(target) = target {
                    line.say(", target ").text("target", target);
                    line.say(", asks for ").list("flags", flag_names(flags));
                }
                of_rule(line, rule)
            }
            Self::BegunBare { mech, rule } => {
                line.say("begins without SPNEGO, by ").mech("mech", mech);
                of_rule(line, rule)
            }
            Self::Received { kind, octets } => message(line.say("received "), kind, octets),
            Self::Sent { kind, octets } => message(line.say("sends "), kind, octets),
            Self::PieceReceived {
                octets,
                so_far,
                announced,
            } => {
                line.say("received a fragment of ");
                line.number("octets", whole(octets)).say(" octets, ");
                part(line, so_far, announced).say(" so far")
            }
            Self::PieceSent { octets, left } => {
                line.say("sends a fragment of ");
                line.number("octets", whole(octets)).say(" octets, ");
                line.number("left", whole(left)).say(" to follow")
            }
            Self::NeverReceived { so_far, announced } => {
                line.say("given up by the program after ");
                part(line, so_far, announced)
                    .say(": the rest never came, so what sends it, or is in between, cut it short")
            }
            Self::NeverSent { left } => {
                line.say("given up by the program with ");
                line.number("left", whole(left))
                    .say(" octets of a message to follow: the peer has not asked for them")
            }
            Self::Offered { by, mechs } => by
                .tell(line, "we offer ", "the peer offers ")
                .mechs("mechs", mechs),
            Self::Invited { by, mechs } => by
                .tell(line, "we would accept ", "the peer would accept ")
                .mechs("mechs", mechs),
            Self::Tried { mech, source } => {
                line.mech("mech", mech).say(": tried, credential: ");
                line.text("source", source)
            }
            Self::Unwelcome { mech } => line
                .mech("mech", mech)
                .say(": its token is saved, the acceptor's hints do not have it"),
            Self::Dropped { mech, reason } => because(line, mech, ": dropped: ", reason),
            Self::Panicked { what } => line
                .say("a panic was caught at the C boundary: ")
                .text("reason", what),
            Self::Warned { mech, reason } => because(line, mech, ": ", reason),
            Self::Refused { mech, reason } => because(line, mech, ": failed: ", reason),
            Self::Chosen { by, mech, reason } => {
                line.mech("mech", mech);
                by.tell(line, ": chosen by us, ", ": chosen by the peer, ")
                    .text("reason", reason)
            }
            Self::MicRequired { reason } => {
                line.say("mechListMIC: required, ").text("reason", reason)
            }
            Self::MicSent { octets } => mic(line, "sent, ", octets),
            Self::MicVerified { octets } => mic(line, "verified, ", octets),
            Self::MicWrong { reason } => line
                .say("mechListMIC: does not verify: ")
                .text("reason", reason),
            Self::Restored { mech, after } => {
                line.mech("mech", mech).say(": RC4 state restored after ");
                line.text("after", after)
            }
            Self::NegoexReceived {
                sequence,
                kind,
                schemes,
            } => negoex(line.say("NegoEx received "), sequence, kind, schemes),
            Self::NegoexSent {
                sequence,
                kind,
                schemes,
            } => negoex(line.say("NegoEx sending "), sequence, kind, schemes),
            Self::MechDone { mech } => line.mech("mech", mech).say(": established"),
            Self::Downgraded { mech, from, reason } => {
                line.say("DOWNGRADE from ").mech("from", from).say(" to ");
                line.mech("mech", mech).say(": ").text("reason", reason)
            }
            Self::Rejected { mech } => line.mech("mech", mech).say(": rejected by the peer"),
            Self::Established {
                mech,
                peer,
                flags,
                mic,
                ref sums,
            } => {
                line.say("ESTABLISHED by ").mech("mech", mech);
                if let Some(peer) = peer {
                    line.say(" with ").text("peer", peer);
                }
                line.say(", flags ").list("flags", flag_names(flags));
                line.say(", mechListMIC ").text("mic", mic);
                sums.tell(line)
            }
            Self::Failed {
                reason,
                major,
                minor,
                ref sums,
            } => sums.tell(failure(line.say("FAILED: "), reason, major, minor)),
            Self::CallFailed {
                reason,
                major,
                minor,
            } => failure(line.say("a call failed: "), reason, major, minor),
            Self::Acquired { mechs, source } => {
                line.say("credential acquired for ").mechs("mechs", mechs);
                line.say(": ").text("source", source)
            }
            Self::NtlmAnswered { user, mic } => {
                line.say("ntlm: answered the challenge as ");
                line.value("user", user);
                truth(line, "mic", ", with a MIC", ", without a MIC", mic)
            }
            Self::NtlmAccepted { user, mic, bound } => {
                line.say("ntlm: accepted ").value("user", user);
                truth(line, "mic", ", with a MIC", ", without a MIC", mic);
                truth(
                    line,
                    "bound",
                    ", bound to the channel",
                    ", not bound",
                    bound,
                )
            }
            Self::NtlmTarget { target, fit } => {
                line.say("ntlm: target name ");
                if let Some(target) = target {
                    line.text("target", target).say(", ");
                }
                line.text("reason", fit)
            }
            Self::NtlmRefused { reason } => line.say("ntlm: refused: ").text("reason", reason),
            Self::HttpStarted { scheme } => {
                line.say("http: starting with ").value("scheme", scheme)
            }
            Self::HttpAuthenticated { mech, persistent } => {
                line.say("http: authenticated by ").mech("mech", mech);
                truth(line, "persistent", ", persistent", "", persistent)
            }
            Self::HttpSignedIn { mech } => line.say("http: signed in by ").mech("mech", mech),
            Self::HttpRefused { reason } => line.say("http: refused: ").text("reason", reason),
            Self::HttpNotOffered { reason } => line
                .say("http: Nego2 is not offered: ")
                .text("reason", reason),
        };
    }

    /// What programs know the event by.
    fn name(&self) -> &'static str {
        match self {
            Self::Misconfigured { .. } => "configuration",
            Self::ReadAgain => "read-again",
            Self::RulesPassedOver => "rules-passed-over",
            Self::Began { .. } => "begin",
            Self::BegunBare { .. } => "begin-bare",
            Self::Received { .. } => "receive",
            Self::Sent { .. } => "send",
            Self::PieceReceived { .. } => "receive-fragment",
            Self::PieceSent { .. } => "send-fragment",
            Self::NeverReceived { .. } => "receive-incomplete",
            Self::NeverSent { .. } => "send-incomplete",
            Self::Offered { .. } => "offer",
            Self::Invited { .. } => "invite",
            Self::Tried { .. } => "try",
            Self::Unwelcome { .. } => "unwelcome",
            Self::Dropped { .. } => "drop",
            Self::Panicked { .. } => "panic",
            Self::Warned { .. } => "warning",
            Self::Refused { .. } => "refuse",
            Self::Chosen { .. } => "choose",
            Self::MicRequired { .. } => "mic-required",
            Self::MicSent { .. } => "mic-sent",
            Self::MicVerified { .. } => "mic-verified",
            Self::MicWrong { .. } => "mic-wrong",
            Self::Restored { .. } => "restore",
            Self::NegoexReceived { .. } => "receive-negoex",
            Self::NegoexSent { .. } => "send-negoex",
            Self::MechDone { .. } => "mech-established",
            Self::Downgraded { .. } => "downgrade",
            Self::Rejected { .. } => "reject",
            Self::Established { .. } => "established",
            Self::Failed { .. } => "failed",
            Self::CallFailed { .. } => "call-failed",
            Self::Acquired { .. } => "acquire",
            Self::NtlmAnswered { .. } => "ntlm-answer",
            Self::NtlmAccepted { .. } => "ntlm-accept",
            Self::NtlmTarget { .. } => "ntlm-target",
            Self::NtlmRefused { .. } => "ntlm-refuse",
            Self::HttpStarted { .. } => "http-start",
            Self::HttpAuthenticated { .. } => "http-authenticated",
            Self::HttpSignedIn { .. } => "http-signed-in",
            Self::HttpRefused { .. } => "http-refuse",
            Self::HttpNotOffered { .. } => "http-not-offered",
        }
    }
}

impl By {
    fn tell<'l>(self, line: &'l mut Line, us: &str, peer: &str) -> &'l mut Line {
        let (words, name) = match self {
            Self::Us => (us, "us"),
            Self::Peer => (peer, "peer"),
        };
        line.say(words).mark("by", name)
    }
}

impl Sums {
    fn tell<'l>(&self, line: &'l mut Line) -> &'l mut Line {
        line.say("; rounds ").number("rounds", self.rounds);
        line.say(", octets received ")
            .number("received", self.received);
        line.say(", sent ").number("sent", self.sent);
        line.say(", microseconds ").number("micros", self.micros)
    }
}

/// A rule's name says that it is one.
fn of_rule<'l>(line: &'l mut Line, rule: &str) -> &'l mut Line {
    let is_named = rule != NO_RULE;
    line.say(if is_named { ", " } else { ", rule " });
    line.text("rule", rule)
}

fn message<'l>(line: &'l mut Line, kind: &str, octets: usize) -> &'l mut Line {
    line.text("kind", kind).say(", ");
    line.number("octets", whole(octets)).say(" octets")
}

/// So many octets of a message, whose length its header says, when that is there.
fn part(line: &mut Line, so_far: usize, announced: Option<usize>) -> &mut Line {
    line.number("so_far", whole(so_far));
    match announced {
        Some(announced) => {
            line.say(" of ").number("announced", whole(announced));
            line.say(" octets")
        }
        None => line.say(" octets of a message whose length is still to come"),
    }
}

/// As MIT's library traces it, whose file this may be.
fn negoex<'l>(line: &'l mut Line, sequence: u32, kind: &str, schemes: &str) -> &'l mut Line {
    line.say("[").number("sequence", sequence).say("]");
    line.text("kind", kind).say(": ").text("schemes", schemes)
}

fn because<'l>(line: &'l mut Line, mech: &Oid, words: &str, reason: &str) -> &'l mut Line {
    line.mech("mech", mech).say(words).text("reason", reason)
}

fn mic<'l>(line: &'l mut Line, words: &str, octets: usize) -> &'l mut Line {
    line.say("mechListMIC: ").say(words);
    line.number("octets", whole(octets)).say(" octets")
}

fn failure<'l>(line: &'l mut Line, reason: &str, major: u32, minor: u32) -> &'l mut Line {
    line.text("reason", reason).say(" (major ");
    line.number("major", major).say(", minor ");
    line.number("minor", minor).say(")")
}

fn truth<'l>(line: &'l mut Line, name: &str, is: &str, is_not: &str, value: bool) -> &'l mut Line {
    line.say(if value { is } else { is_not }).truth(name, value)
}

fn whole(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}

/// The words for the flags of RFC 2744 section 5.19 and of gssapi_ext.h.
fn flag_names(flags: u32) -> impl Iterator<Item = &'static str> {
    FLAGS
        .iter()
        .filter(move |(bit, _)| flags & bit != 0)
        .map(|(_, name)| *name)
}

const FLAGS: [(u32, &str); 14] = [
    (1, "delegation"),
    (2, "mutual"),
    (4, "replay"),
    (8, "sequence"),
    (16, "confidentiality"),
    (32, "integrity"),
    (64, "anonymity"),
    (128, "protection-ready"),
    (256, "transferable"),
    (2048, "channel-bound"),
    (4096, "dce-style"),
    (8192, "identify"),
    (16384, "extended-error"),
    (32768, "delegation-by-policy"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid::{KRB5, NTLMSSP};
    use crate::trace::line::Format;
    use std::collections::BTreeSet;

    /// One of each.
    fn events() -> Vec<Event<'static>> {
        const MECHS: &[Oid] = &[KRB5, NTLMSSP];
        let (mech, from, reason, source) = (&NTLMSSP, &KRB5, "reason", "source");
        let (by, mechs, kind, octets) = (By::Us, MECHS, "kind", 5);
        let (sums, mic, bound) = (Sums::default(), true, false);
        let (major, minor, flags) = (1, 2, u32::MAX);
        vec![
            Event::Misconfigured { problem: "problem" },
            Event::ReadAgain,
            Event::RulesPassedOver,
            Event::Began {
                target: Some("HTTP@www"),
                flags,
                rule: "rule 1 (line 2 of conf)",
            },
            Event::BegunBare {
                mech,
                rule: "default",
            },
            Event::Received { kind, octets },
            Event::Sent { kind, octets },
            Event::PieceReceived {
                octets,
                so_far: octets,
                announced: Some(octets),
            },
            Event::PieceSent { octets, left: 0 },
            Event::NeverReceived {
                so_far: octets,
                announced: None,
            },
            Event::NeverSent { left: octets },
            Event::Offered { by, mechs },
            Event::Invited {
                by: By::Peer,
                mechs,
            },
            Event::Tried { mech, source },
            Event::Unwelcome { mech },
            Event::Dropped { mech, reason },
            Event::Panicked { what: "what" },
            Event::Warned { mech, reason },
            Event::Refused { mech, reason },
            Event::Chosen { by, mech, reason },
            Event::MicRequired { reason },
            Event::MicSent { octets },
            Event::MicVerified { octets },
            Event::MicWrong { reason },
            Event::Restored {
                mech,
                after: "signing",
            },
            Event::NegoexReceived {
                sequence: 3,
                kind: "VERIFY",
                schemes: "scheme",
            },
            Event::NegoexSent {
                sequence: 4,
                kind: "ALERT",
                schemes: "scheme",
            },
            Event::MechDone { mech },
            Event::Downgraded { mech, from, reason },
            Event::Rejected { mech },
            Event::Established {
                mech,
                peer: Some("peer"),
                flags,
                mic: "verified",
                sums,
            },
            Event::Failed {
                reason,
                major,
                minor,
                sums,
            },
            Event::CallFailed {
                reason,
                major,
                minor,
            },
            Event::Acquired { mechs, source },
            Event::NtlmAnswered { user: &"user", mic },
            Event::NtlmAccepted {
                user: &"user",
                mic,
                bound,
            },
            Event::NtlmTarget {
                target: Some("HTTP/www"),
                fit: "a name",
            },
            Event::NtlmRefused { reason },
            Event::HttpStarted { scheme: &"Nego2" },
            Event::HttpAuthenticated {
                mech,
                persistent: true,
            },
            Event::HttpSignedIn { mech },
            Event::HttpRefused { reason },
            Event::HttpNotOffered { reason },
        ]
    }

    /// The words of one kind of entry in the manual's section on events.
    fn listed(kind: &str) -> BTreeSet<String> {
        let manual = include_str!("../../../../doc/gss-spnego.8");
        let (_, section) = manual.split_once("\n.Ss Events as JSON\n").unwrap();
        let (section, _) = section.split_once("\n.Sh ").unwrap();
        let head = format!(".It {kind} ");
        let entries = section.lines().filter_map(|line| line.strip_prefix(&head));
        entries.map(ToOwned::to_owned).collect()
    }

    #[test]
    fn the_manual_lists_every_event_and_every_name_and_no_other() {
        let (mut events_told, mut names) = (BTreeSet::new(), BTreeSet::new());
        for event in events() {
            let mut line = Line::new(Format::Json);
            event.tell(&mut line);
            let json = line.finish();
            let told: serde_json::Value = serde_json::from_str(&json).unwrap();
            events_told.insert(told["event"].as_str().unwrap().to_owned());
            names.extend(told.as_object().unwrap().keys().cloned());
        }
        assert_eq!(events_told.len(), events().len());
        assert_eq!(events_told, listed("Cm"));
        names.extend(["time", "pid", "program", "context", "role"].map(ToOwned::to_owned));
        assert_eq!(names, listed("Va"));
    }

    #[test]
    fn a_context_begins_under_a_rule_by_its_name_or_under_none() {
        let told = |rule, format| {
            let mut line = Line::new(format);
            let target = None;
            let flags = 0;
            Event::Began {
                target,
                flags,
                rule,
            }
            .tell(&mut line);
            line.finish()
        };
        let named = "rule 1 (line 2 of conf)";
        let text = format!("begins, {named}");
        assert_eq!(told(named, Format::Text), text);
        assert_eq!(told(NO_RULE, Format::Text), "begins, rule default");
        let json = r#"{"event":"begin","rule":"default"}"#;
        assert_eq!(told(NO_RULE, Format::Json), json);
        let json = r#"{"event":"begin","rule":"rule 1 (line 2 of conf)"}"#;
        assert_eq!(told(named, Format::Json), json);
    }

    #[test]
    fn every_event_is_a_sentence() {
        for event in events() {
            let mut line = Line::new(Format::Text);
            event.tell(&mut line);
            let text = line.finish();
            assert!(!text.contains(['{', '}']) && text.len() > 10, "{text}");
            assert!(
                !text.contains("  ") && !text.ends_with([' ', ',', ':']),
                "{text}"
            );
            let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
            let is_twice = |pair: &[&str]| !pair[0].is_empty() && pair[0] == pair[1];
            assert!(!words.windows(2).any(is_twice), "a word twice: {text}");
        }
    }
}

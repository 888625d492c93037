//! The messages of NTLM, MS-NLMP section 2.2, and what is wrong or weak in them.
#![forbid(unsafe_code)]

use super::Facts;
use super::av_pairs::{self, Pairs};
use super::field::{Field, Octets, Value, utf16};
use super::ntlm_flags::*;
use super::ntlm_response;

/// What later legs are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ntlm {
    Negotiate,
    /// Whether the server's AV pairs have a time.
    Challenge {
        timed: bool,
    },
    /// Whether the message has a response that a MIC could stand beside, and none does.
    Authenticate {
        unprotected: bool,
    },
}

pub(crate) const SIGNATURE: &[u8] = b"NTLMSSP\0";

/// Take a message apart, whichever it is.
pub(crate) fn message<'a>(token: Octets<'a>, facts: &mut Facts) -> Field<'a> {
    let (kind, name) = match token.part(8, 4).map(Octets::little_endian) {
        Some(1) => (1, "NEGOTIATE_MESSAGE"),
        Some(2) => (2, "CHALLENGE_MESSAGE"),
        Some(3) => (3, "AUTHENTICATE_MESSAGE"),
        Some(other) => (other, "NTLM message"),
        None => (0, "NTLM message"),
    };
    let mut message = Message {
        token,
        field: Field::new(name, token),
        payload: usize::MAX,
        end: 0,
        lengths: Vec::new(),
    };
    message.fixed("Signature", 0, 8, |octets| {
        Value::Text(String::from_utf8_lossy(octets.octets).into_owned())
    });
    message.fixed("MessageType", 8, 4, |_| {
        Value::Number(kind, Some(name.into()))
    });
    match kind {
        1 => message.negotiate(facts),
        2 => message.challenge(facts),
        3 => message.authenticate(facts),
        _ => message.field.wrong(
            "MS-NLMP section 2.2.1",
            "there are the message types 1, 2 and 3",
        ),
    }
    message.field
}

/// A message being taken apart.
struct Message<'a> {
    token: Octets<'a>,
    field: Field<'a>,
    /// Where the first of the fields that are not empty begins, and where the last ends.
    payload: usize,
    end: usize,
    lengths: Vec<(&'static str, usize)>,
}

impl<'a> Message<'a> {
    /// NEGOTIATE_MESSAGE.
    fn negotiate(&mut self, facts: &mut Facts) {
        const SECTION: &str = "MS-NLMP section 2.2.1.1";
        facts.say("NTLM NEGOTIATE");
        facts.ntlm = Some(Ntlm::Negotiate);
        let flags = self.flags(12, SECTION);
        // The oldest clients end here.
        if self.token.len() > 16 {
            for (name, at, flag) in [
                ("DomainName", 16, DOMAIN_SUPPLIED),
                ("Workstation", 24, WORKSTATION_SUPPLIED),
            ] {
                let mut field = self.place(name, at, SECTION, &|octets, _| {
                    Value::Text(String::from_utf8_lossy(octets.octets).into_owned())
                });
                if flags & flag == 0 && self.length(name) > 0 {
                    field.doubtful(SECTION, "present, though its flag is not set");
                }
                self.field.push(field);
            }
            self.version(32, flags);
        }
        self.no_octets_after(SECTION);
    }

    /// CHALLENGE_MESSAGE.
    fn challenge(&mut self, facts: &mut Facts) {
        const SECTION: &str = "MS-NLMP section 2.2.1.2";
        let flags = self.peek_flags(20);
        let name = self.place("TargetName", 12, SECTION, &text_in(flags, SECTION));
        facts.say("NTLM CHALLENGE");
        if flags & LOCAL_CALL != 0 {
            facts.say("to a local call,");
        }
        if let Value::Text(name) = &name.value {
            if !name.is_empty() {
                facts.say(format!("of {name}"));
            }
        }
        self.field.push(name);
        self.flags(20, SECTION);
        self.fixed("ServerChallenge", 24, 8, |octets| {
            Value::Octets(octets.octets)
        });
        self.fixed("Reserved", 32, 8, |octets| Value::Octets(octets.octets));
        let mut timed = false;
        // The oldest servers end here.
        if self.token.len() > 40 {
            let mut info = self.place("TargetInfo", 40, SECTION, &|_, _| Value::Nothing);
            if let Some(octets) = self.content(40).filter(|octets| !octets.is_empty()) {
                let pairs = av_pairs::read(&mut info, octets, SECTION);
                timed = pairs.timestamp.is_some();
                for (id, name) in [
                    (av_pairs::COMPUTER, "MsvAvNbComputerName"),
                    (av_pairs::DOMAIN, "MsvAvNbDomainName"),
                ] {
                    if !pairs.ids.contains(&id) {
                        info.wrong("MS-NLMP section 2.2.2.1", format!("{name} must be present"));
                    }
                }
            }
            self.judge_target_info(flags, &mut info);
            self.field.push(info);
            self.version(48, flags);
        }
        facts.ntlm = Some(Ntlm::Challenge { timed });
        self.no_octets_after(SECTION);
    }

    /// Whether the server's AV pairs are there when NegotiateFlags say so.
    fn judge_target_info(&self, flags: u64, info: &mut Field<'_>) {
        const SECTION: &str = "MS-NLMP section 2.2.1.2";
        match (flags & TARGET_INFO != 0, self.length("TargetInfo") == 0) {
            (false, false) => info.doubtful(SECTION, "present, though TARGET_INFO is not set"),
            // Nothing else is told to a client that is on the same machine.
            (true, true) if flags & LOCAL_CALL != 0 => {}
            (true, true) => info.doubtful(
                SECTION,
                "empty, though TARGET_INFO is set: a client that answers by NTLMv2 alone ends here; \
                 the server has to send its names",
            ),
            (false, true) => info.note(
                SECTION,
                "empty, and TARGET_INFO is not set: the server does not send its names, as a client \
                 that answers by NTLMv2 wants them",
            ),
            (true, false) => {}
        }
    }

    /// AUTHENTICATE_MESSAGE.
    fn authenticate(&mut self, facts: &mut Facts) {
        const SECTION: &str = "MS-NLMP section 2.2.1.3";
        let flags = self.peek_flags(60);
        let sensitive = |octets: Octets<'a>, _: &mut Field<'a>| Value::Sensitive(octets.octets);
        let mut lm = self.place("LmChallengeResponse", 12, SECTION, &sensitive);
        let mut nt = self.place("NtChallengeResponse", 20, SECTION, &sensitive);
        let domain = self.place("DomainName", 28, SECTION, &text_in(flags, SECTION));
        let user = self.place("UserName", 36, SECTION, &text_in(flags, SECTION));
        let workstation = self.place("Workstation", 44, SECTION, &text_in(flags, SECTION));
        let mut key = self.place("EncryptedRandomSessionKey", 52, SECTION, &sensitive);

        facts.say("NTLM AUTHENTICATE");
        if let (Value::Text(domain), Value::Text(user)) = (&domain.value, &user.value) {
            facts.say(match (domain.as_str(), user.as_str()) {
                ("", "") if flags & LOCAL_CALL != 0 => "of a local call".to_owned(),
                ("", "") => "of nobody".to_owned(),
                ("", user) => format!("of {user}"),
                (domain, user) => format!("of {domain}\\{user}"),
            });
        }
        let lm_response = self.content(12).unwrap_or(EMPTY);
        let nt_response = self.content(20).unwrap_or(EMPTY);
        let pairs = ntlm_response::judge(flags, (&mut lm, lm_response), (&mut nt, nt_response));
        let wanted = if flags & KEY_EXCHANGE == 0 { 0 } else { 16 };
        let length = self.length("EncryptedRandomSessionKey");
        if length != wanted && flags & LOCAL_CALL == 0 {
            key.doubtful(
                SECTION,
                format!(
                    "{length} octets, where KEY_EXCH {} wants {wanted}",
                    if wanted == 0 { "unset" } else { "set" }
                ),
            );
        }
        for field in [lm, nt, domain, user, workstation, key] {
            self.field.push(field);
        }
        self.flags(60, SECTION);
        let protected = self.version_and_mic(flags, pairs.as_ref());
        // A response of the older kinds is weak anyhow, and that has been said; without any there is
        // no key to make a MIC with.
        let unprotected = !protected && pairs.is_some();
        if !protected && pairs.is_some_and(|pairs| pairs.flags & AV_FLAG_MIC == 0) {
            self.field.doubtful(
                "MS-NLMP section 3.1.5.1.2",
                "no MIC: nothing protects the three messages of NTLM",
            );
        }
        facts.ntlm = Some(Ntlm::Authenticate { unprotected });
        self.no_octets_after(SECTION);
    }

    /// Version and MIC stand before the first of the other fields; either may be left out by old
    /// senders. Whether there is a MIC.
    fn version_and_mic(&mut self, flags: u64, pairs: Option<&Pairs>) -> bool {
        const SECTION: &str = "MS-NLMP section 2.2.1.3";
        let promised = pairs.is_some_and(|pairs| pairs.flags & AV_FLAG_MIC != 0);
        let room = self.payload.min(self.token.len());
        // MIC with the version before it, or in the version's place.
        let at = match room {
            88.. => Some(72),
            80.. if promised => Some(64),
            _ => None,
        };
        if room >= 72 && at != Some(64) {
            self.version(64, flags);
        }
        let Some(mic) = at.and_then(|at| self.token.part(at, 16)) else {
            if promised {
                self.field.doubtful(
                    SECTION,
                    "MsvAvFlags says that there is a MIC, and there is no room for one before the fields",
                );
            }
            return false;
        };
        let blank = mic.octets.iter().all(|octet| *octet == 0);
        let mut field = Field::with("MIC", mic, Value::Octets(mic.octets));
        match (promised, blank) {
            (true, true) => field.doubtful(
                "MS-NLMP section 3.1.5.1.2",
                "all zero, though MsvAvFlags says that there is a MIC",
            ),
            (false, true) => field.note(SECTION, "all zero: there is none"),
            (false, false) if pairs.is_none() => field.note(
                "MS-NLMP section 2.2.2.1",
                "without an NTLMv2 response there is no MsvAvFlags to announce it",
            ),
            (false, false) => field.doubtful(
                "MS-NLMP section 2.2.2.1",
                "not announced by MsvAvFlags, so a server does not look at it",
            ),
            (true, false) => {}
        }
        self.field.push(field);
        promised && !blank
    }

    /// A field of fixed place and size; what is beyond the end is said.
    fn fixed(
        &mut self,
        name: &'static str,
        at: usize,
        length: usize,
        value: impl FnOnce(Octets<'a>) -> Value<'a>,
    ) {
        match self.token.part(at, length) {
            Some(octets) => self.field.push(Field::with(name, octets, value(octets))),
            None => self.field.wrong(
                "MS-NLMP section 2.2.1",
                format!("it ends before its {name}"),
            ),
        }
    }

    fn peek_flags(&self, at: usize) -> u64 {
        self.token.part(at, 4).map_or(0, Octets::little_endian)
    }

    fn flags(&mut self, at: usize, section: &'static str) -> u64 {
        let flags = self.peek_flags(at);
        let Some(octets) = self.token.part(at, 4) else {
            self.field
                .wrong(section, "it ends before its NegotiateFlags");
            return flags;
        };
        let mut field = Field::with("NegotiateFlags", octets, Value::bits(flags, &FLAGS));
        const SECTION: &str = "MS-NLMP section 2.2.2.5";
        if flags & (UNICODE | OEM) == 0 {
            field.wrong(SECTION, "neither UNICODE nor OEM is set");
        }
        if flags & LM_KEY != 0 && flags & EXTENDED_SESSION_SECURITY != 0 {
            field.note(
                SECTION,
                "LM_KEY has no effect beside EXTENDED_SESSIONSECURITY",
            );
        }
        if flags & EXTENDED_SESSION_SECURITY == 0 && flags & ANONYMOUS == 0 {
            field.doubtful(
                SECTION,
                "without EXTENDED_SESSIONSECURITY signatures are weak",
            );
        }
        if flags & SEAL != 0 && flags & KEY_128 == 0 {
            field.doubtful(SECTION, "keys of 128 bits are not asked for");
        }
        self.field.push(field);
        flags
    }

    /// VERSION, where there is room for it before the fields.
    fn version(&mut self, at: usize, flags: u64) {
        const SECTION: &str = "MS-NLMP section 2.2.2.10";
        if self.payload < at.saturating_add(8) {
            return;
        }
        let Some(octets) = self.token.part(at, 8) else {
            return;
        };
        let octet = |at| octets.part(at, 1).map_or(0, Octets::little_endian);
        let build = octets.part(2, 2).map_or(0, Octets::little_endian);
        let revision = octet(7);
        let text = format!(
            "{}.{}.{build}, NTLM revision {revision}",
            octet(0),
            octet(1)
        );
        let mut field = Field::with("Version", octets, Value::Text(text));
        if flags & VERSION == 0 {
            field.value = Value::Octets(octets.octets);
            if octets.octets.iter().any(|octet| *octet != 0) {
                field.note(SECTION, "not a version: the VERSION flag is not set");
            }
        } else if revision != 15 {
            field.doubtful(SECTION, format!("revision {revision}, where 15 must be"));
        }
        self.field.push(field);
    }

    /// A field whose length and offset stand at `at`.
    fn place(
        &mut self,
        name: &'static str,
        at: usize,
        section: &'static str,
        value: &dyn Fn(Octets<'a>, &mut Field<'a>) -> Value<'a>,
    ) -> Field<'a> {
        let Some(place) = self.token.part(at, 8) else {
            let (_, rest) = self.token.split(at);
            let mut field = Field::new(name, rest);
            field.wrong(section, "the message ends before its length and offset");
            return field;
        };
        let (length, longest, offset) = self.numbers(at);
        let content = self.content(at).unwrap_or(EMPTY);
        self.lengths.push((name, content.len()));
        let mut field = Field::new(name, content);
        if content.len() < length {
            field.wrong(
                section,
                format!(
                    "{length} octets at offset {offset} lie beyond the end of {} octets",
                    self.token.len()
                ),
            );
        }
        field.value = value(content, &mut field);
        if content.is_empty() {
            field.at = place.at;
            return field;
        }
        // The shortest of each kind: the oldest senders leave the rest out.
        let header = match self.field.name.as_ref() {
            "AUTHENTICATE_MESSAGE" => 52,
            _ => 32,
        };
        if offset < header {
            field.doubtful(
                section,
                format!("it begins at offset {offset}, inside the message's header"),
            );
        }
        if longest < length {
            field.note(
                section,
                format!("its maximum length, {longest}, is less than its length"),
            );
        }
        self.payload = self.payload.min(offset);
        self.end = self.end.max(offset.saturating_add(length));
        field
    }

    /// Length, maximum length and offset, as they stand at `at`.
    fn numbers(&self, at: usize) -> (usize, usize, usize) {
        let number = |at, length| {
            let number = self.token.part(at, length).map_or(0, Octets::little_endian);
            usize::try_from(number).unwrap_or(usize::MAX)
        };
        (
            number(at, 2),
            number(at.saturating_add(2), 2),
            number(at.saturating_add(4), 4),
        )
    }

    /// What length and offset at `at` point at, as far as it is there. An empty field's offset is
    /// not looked at.
    fn content(&self, at: usize) -> Option<Octets<'a>> {
        let (length, _, offset) = self.numbers(at);
        if length == 0 {
            return self.token.part(at, 0);
        }
        Some(self.token.split(offset).1.split(length).0)
    }

    /// The length of a field that was placed.
    fn length(&self, name: &str) -> usize {
        let placed = self.lengths.iter().find(|(placed, _)| *placed == name);
        placed.map_or(0, |(_, length)| *length)
    }

    fn no_octets_after(&mut self, section: &'static str) {
        if self.end > 0 && self.end < self.token.len() {
            let (_, rest) = self.token.split(self.end);
            let count = rest.len();
            let mut field = Field::with("octets after the end", rest, Value::Octets(rest.octets));
            field.note(section, format!("{count} octets belong to no field"));
            self.field.push(field);
        }
    }
}

/// Text in the character set that the flags say.
fn text_in<'a>(
    flags: u64,
    section: &'static str,
) -> impl Fn(Octets<'a>, &mut Field<'a>) -> Value<'a> {
    move |octets, field| {
        if flags & UNICODE == 0 {
            return Value::Text(String::from_utf8_lossy(octets.octets).into_owned());
        }
        Value::Text(utf16(octets, field, section))
    }
}

const EMPTY: Octets<'static> = Octets { octets: &[], at: 0 };

/// MsvAvFlags: there is a MIC.
const AV_FLAG_MIC: u32 = 2;

//! The messages of NEGOEX, MS-NEGOEX section 2.2.6, of which a token holds several in a row.
#![forbid(unsafe_code)]

use super::field::{Field, Octets, Value};
use super::{Facts, names};

pub(crate) const SIGNATURE: &[u8] = b"NEGOEXTS";

/// Take all messages of a token apart.
pub(crate) fn messages<'a>(token: Octets<'a>, facts: &mut Facts) -> Field<'a> {
    let mut field = Field::new("NEGOEX messages", token);
    facts.say("NEGOEX");
    let mut rest = token;
    let mut conversation = None;
    let mut sequence = None;
    while !rest.is_empty() {
        let mut message = Message::new(rest);
        rest = message.header();
        if let Some(found) = message.conversation {
            if conversation.is_some_and(|known: Octets<'_>| known.octets != found.octets) {
                message.field.wrong(
                    "MS-NEGOEX section 3.1.5.2",
                    "another ConversationId than the message before has",
                );
            }
        }
        conversation = message.conversation.or(conversation);
        if let Some(previous) = sequence.replace(message.sequence) {
            if message.sequence != previous + 1 {
                message.field.wrong(
                    HEADER,
                    format!("SequenceNum {previous} is followed by {}", message.sequence),
                );
            }
        }
        message.body(facts);
        field.push(message.field);
    }
    field
}

/// One message being taken apart.
struct Message<'a> {
    /// All of it, as far as its length says.
    whole: Octets<'a>,
    /// Its header without the payload, and how far it has been read.
    header: Octets<'a>,
    read: usize,
    kind: u64,
    sequence: u64,
    conversation: Option<Octets<'a>>,
    field: Field<'a>,
}

impl<'a> Message<'a> {
    fn new(octets: Octets<'a>) -> Self {
        Self {
            whole: octets,
            header: octets,
            read: 0,
            kind: u64::MAX,
            sequence: 0,
            conversation: None,
            field: Field::new("NEGOEX message", octets),
        }
    }

    /// Read MESSAGE_HEADER, and give what follows the message.
    fn header(&mut self) -> Octets<'a> {
        let all = self.whole;
        let nothing = all.split(all.len()).1;
        if !all.octets.starts_with(SIGNATURE) {
            self.field.value = Value::Octets(all.octets);
            self.field
                .wrong(HEADER, "the signature NEGOEXTS is missing");
            self.header = nothing;
            return nothing;
        }
        self.number("Signature", 8, |_, octets| {
            Value::Text(String::from_utf8_lossy(octets.octets).into_owned())
        });
        self.kind = self
            .number("MessageType", 4, |kind, _| {
                Value::named(kind, names::found(&TYPES, kind))
            })
            .unwrap_or(u64::MAX);
        if let Some(name) = names::found(&TYPES, self.kind) {
            self.field.name = name.into();
        }
        self.sequence = self.plain("SequenceNum", 4).unwrap_or_default();
        let header = self.plain("cbHeaderLength", 4);
        let message = self.plain("cbMessageLength", 4);
        self.conversation = self.octets(16);
        if let Some(octets) = self.conversation {
            let guid = Value::Identifier(names::guid(octets), None);
            self.field.push(Field::with("ConversationId", octets, guid));
        }
        let (Some(header), Some(message)) = (header.and_then(size), message.and_then(size)) else {
            return nothing;
        };
        if message > all.len() {
            self.field.wrong(
                HEADER,
                format!(
                    "cbMessageLength is {message}, there are {} octets",
                    all.len()
                ),
            );
        }
        let fixed = match self.kind {
            0 | 1 => 96,
            2..=5 => 64,
            6 => 80,
            7 => 72,
            _ => HEADER_LENGTH,
        };
        if header < fixed || header > message {
            self.field.wrong(
                HEADER,
                format!("cbHeaderLength is {header}, where {fixed} must be, and not more than the message's length"),
            );
        }
        // A message that claims to be shorter than a header would be read again and again.
        let (whole, rest) = all.split(message.max(HEADER_LENGTH));
        self.whole = whole;
        self.header = whole.split(header.max(HEADER_LENGTH)).0;
        self.field.length = whole.len();
        rest
    }

    /// Read what follows the header, by the message's type.
    fn body(&mut self, facts: &mut Facts) {
        match self.kind {
            0 | 1 => self.nego(),
            2..=5 => self.exchange(facts),
            6 => self.verify(),
            7 => self.alert(),
            // Without its signature, it has been said already.
            _ if self.header.is_empty() => {}
            _ => self.field.wrong(
                "MS-NEGOEX section 2.2.6.1",
                format!("no message has the type {}", self.kind),
            ),
        }
    }

    /// NEGO_MESSAGE.
    fn nego(&mut self) {
        const SECTION: &str = "MS-NEGOEX section 2.2.6.3";
        if let Some(random) = self.octets(32) {
            self.field
                .push(Field::with("Random", random, Value::Octets(random.octets)));
        } else {
            self.field.wrong(SECTION, "it ends before its Random");
        }
        if self
            .plain("ProtocolVersion", 8)
            .is_some_and(|version| version != 0)
        {
            self.field.wrong(SECTION, "ProtocolVersion must be 0");
        }
        if let Some((mut vector, schemes)) = self.vector("AuthSchemes", 2, 16, SECTION) {
            if schemes.is_empty() {
                vector.doubtful(SECTION, "no mechanism is offered");
            }
            for scheme in elements(schemes, 16) {
                vector.push(Field::with("AuthScheme", scheme, names::scheme(scheme)));
            }
            self.field.push(vector);
        }
        if let Some((mut vector, extensions)) = self.vector("Extensions", 2, 12, SECTION) {
            for extension in elements(extensions, 12) {
                let kind = extension.split(4).0.little_endian();
                let mut field = Field::with("Extension", extension, Value::number(kind));
                if kind & 0x8000_0000 != 0 {
                    field.note(SECTION, "critical: who does not know it must refuse");
                }
                self.value("ExtensionValue", extension.split(4).1, &mut field);
                vector.push(field);
            }
            self.field.push(vector);
        }
    }

    /// EXCHANGE_MESSAGE.
    fn exchange(&mut self, facts: &mut Facts) {
        const SECTION: &str = "MS-NEGOEX section 2.2.6.4";
        self.scheme(SECTION);
        if let Some((mut field, exchange)) = self.vector("Exchange", 4, 1, SECTION) {
            field.value = Value::Octets(exchange.octets);
            // Metadata are the mechanism's own; what else is exchanged may be known here.
            if matches!(self.kind, 4 | 5) {
                if let Some(token) = super::known(exchange, facts) {
                    field.push(token);
                }
            }
            self.field.push(field);
        }
    }

    /// VERIFY_MESSAGE.
    fn verify(&mut self) {
        const SECTION: &str = "MS-NEGOEX section 2.2.6.5";
        const CHECKSUM: &str = "MS-NEGOEX section 2.2.5.1.3";
        self.scheme(SECTION);
        if self
            .plain("cbHeaderLength", 4)
            .is_some_and(|length| length != 20)
        {
            self.field
                .wrong(CHECKSUM, "the CHECKSUM's cbHeaderLength must be 20");
        }
        let scheme = self.number("ChecksumScheme", 4, |scheme, _| {
            Value::named(scheme, (scheme == 1).then_some("RFC 3961"))
        });
        if scheme.is_some_and(|scheme| scheme != 1) {
            self.field.wrong(CHECKSUM, "ChecksumScheme must be 1");
        }
        self.number("ChecksumType", 4, |kind, _| {
            Value::named(kind, names::found(&names::CHECKSUM_TYPES, kind))
        });
        if let Some((mut field, checksum)) = self.vector("ChecksumValue", 4, 1, SECTION) {
            field.value = Value::Octets(checksum.octets);
            self.field.push(field);
        }
    }

    /// ALERT_MESSAGE.
    fn alert(&mut self) {
        const SECTION: &str = "MS-NEGOEX section 2.2.6.6";
        self.scheme(SECTION);
        self.number("ErrorCode", 4, |code, _| {
            Value::named(code, names::found(&names::STATUSES, code))
        });
        let Some((mut vector, alerts)) = self.vector("Alerts", 2, 12, SECTION) else {
            return;
        };
        for alert in elements(alerts, 12) {
            let kind = alert.split(4).0.little_endian();
            let pulse = (kind == 1).then_some("pulse");
            let mut field = Field::with("Alert", alert, Value::named(kind, pulse));
            if let Some(value) = self.value("AlertValue", alert.split(4).1, &mut field) {
                if pulse.is_some() {
                    let (header, reason) = value.split(4);
                    let number = reason.split(4).0.little_endian();
                    let verify = (number == 1).then_some("there is no key to verify with");
                    if value.len() < 8 || header.little_endian() != 8 {
                        field.wrong("MS-NEGOEX section 2.2.5.1.2", "an ALERT_PULSE has 8 octets");
                    }
                    field.push(Field::with("Reason", reason, Value::named(number, verify)));
                }
            }
            vector.push(field);
        }
        self.field.push(vector);
    }

    fn scheme(&mut self, section: &'static str) {
        match self.octets(16) {
            Some(octets) => {
                let scheme = names::scheme(octets);
                self.field.push(Field::with("AuthScheme", octets, scheme));
            }
            None => self.field.wrong(section, "it ends before its AuthScheme"),
        }
    }

    /// The next `length` octets of the header.
    fn octets(&mut self, length: usize) -> Option<Octets<'a>> {
        let octets = self.header.part(self.read, length)?;
        self.read = self.read.saturating_add(length);
        Some(octets)
    }

    fn plain(&mut self, name: &'static str, length: usize) -> Option<u64> {
        self.number(name, length, |number, _| Value::number(number))
    }

    fn number(
        &mut self,
        name: &'static str,
        length: usize,
        value: impl FnOnce(u64, Octets<'a>) -> Value<'a>,
    ) -> Option<u64> {
        let Some(octets) = self.octets(length) else {
            self.field
                .wrong(HEADER, format!("the header ends before its {name}"));
            return None;
        };
        let number = octets.little_endian();
        self.field
            .push(Field::with(name, octets, value(number, octets)));
        Some(number)
    }

    /// A vector: offset and a count of `width` octets in the header, `size` octets for each element
    /// in the message.
    fn vector(
        &mut self,
        name: &'static str,
        width: usize,
        size: usize,
        section: &'static str,
    ) -> Option<(Field<'a>, Octets<'a>)> {
        const VECTORS: &str = "MS-NEGOEX section 2.2.5.2";
        let Some(place) = self.octets(4 + width) else {
            self.field
                .wrong(section, format!("the header ends before its {name}"));
            return None;
        };
        let (offset, count) = place.split(4);
        let (offset, count) = (offset.little_endian(), count.little_endian());
        let Some(content) = part(self.whole, offset, count, size) else {
            let mut field = Field::new(name, place);
            field.wrong(
                VECTORS,
                format!(
                    "{count} elements of {size} octets at offset {offset} lie beyond the message's {} octets",
                    self.whole.len()
                ),
            );
            self.field.push(field);
            return None;
        };
        let mut field = Field::new(name, content);
        if content.is_empty() {
            field.at = place.at;
        } else if offset < u64::try_from(self.header.len()).unwrap_or(u64::MAX) {
            field.doubtful(
                VECTORS,
                format!("it begins at offset {offset}, inside the header"),
            );
        }
        Some((field, content))
    }

    /// The octets that a BYTE_VECTOR in a payload points at.
    fn value(
        &self,
        name: &'static str,
        place: Octets<'a>,
        field: &mut Field<'a>,
    ) -> Option<Octets<'a>> {
        let (offset, length) = place.split(4);
        let value = part(
            self.whole,
            offset.little_endian(),
            length.little_endian(),
            1,
        );
        match value {
            Some(octets) => field.push(Field::with(name, octets, Value::Octets(octets.octets))),
            None => field.wrong(
                "MS-NEGOEX section 2.2.5.2.1",
                format!(
                    "its {name} lies beyond the message's {} octets",
                    self.whole.len()
                ),
            ),
        }
        value
    }
}

/// The elements of a vector.
fn elements<'a>(octets: Octets<'a>, size: usize) -> impl Iterator<Item = Octets<'a>> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (element, after) = rest.split(size);
        rest = after;
        (!element.is_empty()).then_some(element)
    })
}

fn part(message: Octets<'_>, offset: u64, count: u64, size: usize) -> Option<Octets<'_>> {
    message.part(self::size(offset)?, self::size(count)?.checked_mul(size)?)
}

fn size(number: u64) -> Option<usize> {
    usize::try_from(number).ok()
}

const HEADER: &str = "MS-NEGOEX section 2.2.6.2";
const HEADER_LENGTH: usize = 40;

const TYPES: [(u64, &str); 8] = [
    (0, "INITIATOR_NEGO"),
    (1, "ACCEPTOR_NEGO"),
    (2, "INITIATOR_META_DATA"),
    (3, "ACCEPTOR_META_DATA"),
    (4, "CHALLENGE"),
    (5, "AP_REQUEST"),
    (6, "VERIFY"),
    (7, "ALERT"),
];

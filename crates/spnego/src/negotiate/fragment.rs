//! Messages in pieces: putting together what a peer sends (MS-SPNG 3.1.5.7 to 3.1.5.9) and cutting
//! up what is larger than the caller wants (3.1.5.4 to 3.1.5.6). No octet is read but the header.
#![forbid(unsafe_code)]

use crate::error::Error;

/// A message of the peer of which pieces have arrived, never none and never all.
///
/// It holds what arrived; what the header announces is only compared with, never reserved.
#[derive(Debug)]
pub struct Assembler {
    received: Vec<u8>,
}

/// What a further piece makes of a message.
#[derive(Debug)]
pub enum Assembled {
    /// All of it.
    Whole(Vec<u8>),
    /// More of it, and not all.
    Waiting(Assembler),
}

impl Assembler {
    /// Look at the first piece of a message; `None` when it is to be used as it is, being whole or
    /// being nothing that comes in pieces (the decoder says what is wrong with it then).
    ///
    /// Octets after a whole message are left to the decoder too: after an initial token Windows
    /// Server 2012 R2 and later and Samba ignore them.
    ///
    /// # Errors
    /// The announced message is larger than [`LARGEST_MESSAGE`].
    #[inline]
    pub fn begin(piece: &[u8]) -> Result<Option<Self>, Error> {
        match Announced::by(piece) {
            Announced::Message(length) if length <= piece.len() => Ok(None),
            Announced::NothingYet if piece.is_empty() => Ok(None),
            Announced::Unframed => Ok(None),
            announced => Self::wait(announced, piece.to_vec()).map(Some),
        }
    }

    /// Add a further piece.
    ///
    /// # Errors
    /// The piece is empty, or the message is longer than it announced, or announces too much. What
    /// arrived of it is dropped.
    pub fn take(mut self, piece: &[u8]) -> Result<Assembled, Error> {
        if piece.is_empty() {
            return Err(Error::InvalidToken(format!(
                "an empty fragment after the first {} octets of a message",
                self.received.len()
            )));
        }
        let before = self.arrived();
        self.received.extend_from_slice(piece);
        let arrived = self.received.len();
        match Announced::by(&self.received) {
            Announced::Message(length) if length == arrived => Ok(Assembled::Whole(self.received)),
            Announced::Message(length) if length < arrived => {
                Err(Error::InvalidToken(match Announced::by(piece) {
                    Announced::Message(_) => format!(
                        "another message after {before} of {length} octets: the rest of that one \
                         never came"
                    ),
                    _ => format!("fragments of {arrived} octets for a message of {length}"),
                }))
            }
            announced => Self::wait(announced, self.received).map(Assembled::Waiting),
        }
    }

    /// How many octets have arrived.
    pub fn arrived(&self) -> usize {
        self.received.len()
    }

    /// How many octets the whole message has; `None` while its header is not all there.
    pub fn announced(&self) -> Option<usize> {
        match Announced::by(&self.received) {
            Announced::Message(length) => Some(length),
            Announced::NothingYet | Announced::Unframed => None,
        }
    }

    #[cold]
    fn wait(announced: Announced, received: Vec<u8>) -> Result<Self, Error> {
        match announced {
            Announced::Message(length) if length > LARGEST_MESSAGE => {
                Err(Error::InvalidToken(format!(
                    "a message of {length} octets in fragments, the limit is {LARGEST_MESSAGE}"
                )))
            }
            Announced::Message(_) | Announced::NothingYet => Ok(Self { received }),
            // Seen only here: the second octet came with a later piece.
            Announced::Unframed => Err(Error::InvalidToken(
                "fragments of a message without a definite length".to_owned(),
            )),
        }
    }
}

/// What the header at the beginning of a message says.
enum Announced {
    /// Octets of the whole message, header included.
    Message(usize),
    /// The header is not all there.
    NothingYet,
    /// It begins like no message of SPNEGO, or its length is not one of DER.
    Unframed,
}

impl Announced {
    #[inline]
    fn by(beginning: &[u8]) -> Self {
        let (tag, first, more) = match beginning {
            [] | [INITIAL | RESPONSE] => return Self::NothingYet,
            [tag, first, more @ ..] => (*tag, usize::from(*first), more),
            [_] => return Self::Unframed,
        };
        if tag != INITIAL && tag != RESPONSE {
            return Self::Unframed;
        }
        if first < LONG_FORM {
            return Self::Message(2 + first);
        }
        // The long form: so many octets of length follow (X.690 8.1.3.5).
        let count = first - LONG_FORM;
        if count == 0 || count > MOST_LENGTH_OCTETS {
            return Self::Unframed;
        }
        let Some(octets) = more.get(..count) else {
            return Self::NothingYet;
        };
        let content = octets.iter().fold(0, |length: usize, octet| {
            (length << 8) | usize::from(*octet)
        });
        Self::Message(content.saturating_add(2 + count))
    }
}

/// A message of ours of which pieces are still to be sent.
#[derive(Debug)]
pub struct Fragmenter {
    message: Vec<u8>,
    sent: usize,
}

impl Fragmenter {
    /// Begin with a message that is larger than a piece may be.
    pub fn new(message: Vec<u8>) -> Self {
        Self { message, sent: 0 }
    }

    /// How many octets are still to be sent.
    pub fn left(&self) -> usize {
        self.message.len().saturating_sub(self.sent)
    }

    /// The next piece, of at most `largest` octets (0: no limit), and what is left after it.
    pub fn next(mut self, largest: usize) -> (Vec<u8>, Option<Self>) {
        let rest = self.message.get(self.sent..).unwrap_or_default();
        match rest.get(..largest) {
            Some(piece) if largest != 0 && piece.len() < rest.len() => {
                let piece = piece.to_vec();
                self.sent += largest;
                (piece, Some(self))
            }
            _ => (rest.to_vec(), None),
        }
    }
}

/// Tag of the initial token's framing, RFC 2743 section 3.1.
const INITIAL: u8 = 0x60;
/// Tag of NegTokenResp, RFC 4178 section 4.2.
const RESPONSE: u8 = 0xa1;
const LONG_FORM: usize = 0x80;
/// MS-SPNG 3.1.1 wants the header of a message in its first five octets; one more is read, so that
/// an absurd length is refused for what it says.
const MOST_LENGTH_OCTETS: usize = 4;
/// The largest message taken in fragments. A Kerberos ticket carries at most 65,535 octets of
/// authorization data, and with delegation a second such ticket travels in the first token; the
/// rest is room for what is around them.
pub const LARGEST_MESSAGE: usize = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with the shortest header for its content.
    fn message(tag: u8, content: usize) -> Vec<u8> {
        let octets = u32::try_from(content).unwrap().to_be_bytes();
        let mut message = vec![tag];
        match content {
            0..=0x7f => message.push(octets[3]),
            0x80..=0xff => message.extend([0x81, octets[3]]),
            0x100..=0xffff => message.extend([0x82, octets[2], octets[3]]),
            _ => message.extend([0x83, octets[1], octets[2], octets[3]]),
        }
        message.extend((0..content).map(|at| u8::try_from(at % 251).unwrap()));
        message
    }

    /// Feed a message in pieces of a size.
    fn assemble(message: &[u8], size: usize) -> Vec<u8> {
        let mut pieces = message.chunks(size);
        let mut assembler = Assembler::begin(pieces.next().unwrap()).unwrap().unwrap();
        loop {
            match assembler.take(pieces.next().unwrap()).unwrap() {
                Assembled::Waiting(more) => assembler = more,
                Assembled::Whole(whole) => {
                    assert_eq!(pieces.next(), None);
                    return whole;
                }
            }
        }
    }

    fn sentence(error: Error) -> String {
        error.sentences().concat()
    }

    #[test]
    fn pieces_of_any_size_make_the_message() {
        for tag in [INITIAL, RESPONSE] {
            for content in [0, 1, 5, 0x7f, 0x80, 0xff, 0x100, 300] {
                let message = message(tag, content);
                for size in 1..message.len() {
                    assert_eq!(assemble(&message, size), message, "{content} by {size}");
                }
            }
            for content in [48_000, 65_535, LARGEST_MESSAGE - 5] {
                let message = message(tag, content);
                assert_eq!(assemble(&message, 5), message);
                assert_eq!(assemble(&message, message.len() - 1), message);
            }
        }
    }

    #[test]
    fn whole_and_foreign_tokens_pass_as_they_are() {
        let ticket = message(INITIAL, 1_000_000);
        let mut trailing = message(INITIAL, 20);
        trailing.extend(b"tail");
        for token in [
            b"".as_slice(),
            b"NTLMSSP\0",
            b"\xa0\x82",
            b"\x30",
            // No definite length of at most four octets: the decoder refuses these.
            b"\x60\x80\0\0",
            b"\x60\x85\x01\0\0\0\0",
            &message(RESPONSE, 0),
            &message(RESPONSE, 200),
            &ticket,
            &trailing,
        ] {
            assert!(Assembler::begin(token).unwrap().is_none(), "{token:?}");
        }
    }

    #[test]
    fn empty_fragment_is_an_error() {
        let assembler = Assembler::begin(&[INITIAL, 9, 1]).unwrap().unwrap();
        assert_eq!(
            sentence(assembler.take(&[]).unwrap_err()),
            "the peer's token is malformed: an empty fragment after the first 3 octets of a message"
        );
    }

    #[test]
    fn more_than_announced_is_an_error() {
        let assembler = Assembler::begin(&[INITIAL, 3, 1]).unwrap().unwrap();
        assert_eq!(
            sentence(assembler.take(&[2, 3, 4]).unwrap_err()),
            "the peer's token is malformed: fragments of 6 octets for a message of 5"
        );
    }

    #[test]
    fn announced_size_is_bounded_and_not_reserved() {
        let at_once = Assembler::begin(&[RESPONSE, 0x84, 0xff, 0xff, 0xff, 0xff, 0]);
        assert_eq!(
            sentence(at_once.unwrap_err()),
            "the peer's token is malformed: a message of 4294967301 octets in fragments, the \
             limit is 262144"
        );
        let late = Assembler::begin(&[INITIAL]).unwrap().unwrap();
        assert!(late.take(&[0x83, 0x04, 0, 0]).is_err());
        let indefinite = Assembler::begin(&[INITIAL]).unwrap().unwrap();
        assert!(indefinite.take(&[0x80]).is_err());

        let waiting = Assembler::begin(&[INITIAL, 0x83, 0x03, 0, 0])
            .unwrap()
            .unwrap();
        assert!(waiting.received.capacity() < 100);
    }

    #[test]
    fn pieces_are_of_the_size_asked_for() {
        let message = message(RESPONSE, 17);
        for size in 1..=message.len() + 1 {
            let mut rest = Some(Fragmenter::new(message.clone()));
            let mut pieces = Vec::new();
            while let Some(fragmenter) = rest {
                let (piece, left) = fragmenter.next(size);
                pieces.push(piece);
                rest = left;
            }
            assert_eq!(pieces, message.chunks(size).collect::<Vec<_>>());
        }
        let (whole, rest) = Fragmenter::new(message.clone()).next(0);
        assert_eq!(whole, message);
        assert!(rest.is_none());
    }
}

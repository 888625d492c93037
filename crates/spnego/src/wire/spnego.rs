//! The messages of RFC 4178 section 4.2 and MS-SPNG 2.2.1. Decoding borrows, encoding allocates
//! once; a list of mechanisms keeps the octets it came in, for the MIC is over those.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::oid::{self, Oid};
use crate::wire::framing::{self, InitialToken};
use crate::wire::{Flaw, Malformed, Reader, Writer, element_length, field_length, tag};

/// A MechTypeList: its DER encoding as it travels, which is what a mechListMIC covers
/// (RFC 4178 section 5).
///
/// It is never empty, and each entry has been seen to be an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MechList<'a>(Cow<'a, [u8]>);

impl<'a> MechList<'a> {
    /// Encode `mechs`.
    pub fn encode<'m>(
        mechs: impl IntoIterator<Item = &'m Oid, IntoIter: Clone>,
    ) -> MechList<'static> {
        let mechs = mechs.into_iter();
        let entries = mechs
            .clone()
            .map(|mech| element_length(mech.content().len()))
            .sum();
        let mut writer = Writer::new(element_length(entries));
        writer.head(tag::SEQUENCE, entries);
        for mech in mechs {
            writer.element(tag::OID, mech.content());
        }
        MechList(Cow::Owned(writer.finish()))
    }

    /// Take one from its encoding, and see that it is one.
    pub(crate) fn decode(der: &'a [u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "MechTypeList";
        let list = Reader::whole(WHAT, der, |reader| reader.element(tag::SEQUENCE))?;
        Reader::whole(WHAT, list, |reader| {
            if reader.tag().is_none() {
                return Err(reader.flaw(Flaw::Other("no mechanism in it")));
            }
            while reader.tag().is_some() {
                if reader.element(tag::OID)?.is_empty() {
                    return Err(reader.flaw(Flaw::Other(EMPTY_OID)));
                }
            }
            Ok(())
        })?;
        Ok(Self(Cow::Borrowed(der)))
    }

    /// The octets that a mechListMIC covers.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// The mechanisms, the initiator's first choice first. `None` stands for an identifier that is
    /// too long for any mechanism known here.
    pub fn iter(&self) -> impl Iterator<Item = Option<Oid>> + use<'_> {
        const WHAT: &str = "MechTypeList";
        let content = Reader::new(WHAT, &self.0)
            .element(tag::SEQUENCE)
            .unwrap_or_default();
        let mut reader = Reader::new(WHAT, content);
        std::iter::from_fn(move || reader.element(tag::OID).ok().map(Oid::new))
    }

    /// The initiator's first choice, when it is known here.
    pub fn first(&self) -> Option<Oid> {
        self.iter().next().flatten()
    }

    /// The first entries that may be known here, at most so many.
    pub fn known(&self, most: usize) -> Vec<Oid> {
        self.iter().flatten().take(most).collect()
    }

    /// The entry that names the same mechanism, as it stands in the list.
    pub fn find(&self, mech: &Oid) -> Option<Oid> {
        self.iter().flatten().find(|entry| entry.same_mech(mech))
    }

    /// The same list, borrowed.
    pub fn borrow(&self) -> MechList<'_> {
        MechList(Cow::Borrowed(&self.0))
    }

    /// The list with octets of its own, to be kept.
    pub fn into_owned(self) -> MechList<'static> {
        MechList(Cow::Owned(self.0.into_owned()))
    }
}

/// The initiator's first message; in its NegTokenInit2 form also an acceptor's invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegTokenInit<'a> {
    /// mechTypes.
    pub mech_types: MechList<'a>,
    /// mechToken: the optimistic token. Present and empty is not absent.
    pub mech_token: Option<&'a [u8]>,
    /// mechListMIC: field 3 of NegTokenInit, field 4 of NegTokenInit2.
    pub mech_list_mic: Option<&'a [u8]>,
}

impl<'a> NegTokenInit<'a> {
    /// Decode either form, with its initial token header.
    ///
    /// reqFlags and negHints are passed over unread: they are not protected (RFC 4178 section
    /// 4.2.1, MS-SPNG 3.1.5.3 and 3.2.5), and old Windows writes hintName in a code page of its
    /// own (MS-SPNG note 6). Field 3 is negHints when a SEQUENCE is in it, mechListMIC when an
    /// OCTET STRING. Octets after the whole token are passed over as Windows passes over them:
    /// clients exist that send some.
    ///
    /// # Errors
    /// Where it is not one.
    pub fn decode(token: &'a [u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "NegTokenInit";
        let framed = InitialToken::decode(token)?;
        if framed.mech != oid::SPNEGO.content() {
            return Err(Malformed {
                what: WHAT,
                flaw: Flaw::Other("the initial token is not of SPNEGO"),
            });
        }
        let choice = Reader::whole(WHAT, framed.inner, |reader| reader.element(tag::context(0)))?;
        let sequence = Reader::whole(WHAT, choice, |reader| reader.element(tag::SEQUENCE))?;

        let mut mech_types = None;
        let mut mech_token = None;
        let mut mech_list_mic = None;
        let mut is_init2 = true;
        Reader::whole(WHAT, sequence, |reader| {
            let mut fields = Fields::up_to(4);
            while let Some((number, content)) = fields.next(reader)? {
                match number {
                    0 => mech_types = Some(MechList::decode(content)?),
                    2 => mech_token = Some(octet_string("mechToken", content)?),
                    3 if content.first() == Some(&tag::SEQUENCE) => {
                        Reader::whole("negHints", content, |hints| hints.element(tag::SEQUENCE))?;
                    }
                    3 => {
                        is_init2 = false;
                        mech_list_mic = Some(octet_string("mechListMIC", content)?);
                    }
                    4 if is_init2 => mech_list_mic = Some(octet_string("mechListMIC", content)?),
                    _ => {}
                }
            }
            mech_types
                .ok_or_else(|| reader.flaw(Flaw::Missing(tag::context(0))))
                .map(|mech_types| Self {
                    mech_types,
                    mech_token,
                    mech_list_mic,
                })
        })
    }

    /// Encode an initiator's first token.
    pub fn encode(&self) -> Vec<u8> {
        self.write(
            self.mech_list_mic.map_or(0, |mic| field_length(mic.len())),
            |writer| {
                if let Some(mic) = self.mech_list_mic {
                    writer.field(3, tag::OCTET_STRING, mic);
                }
            },
        )
    }

    /// Encode an acceptor's NegTokenInit2 (MS-SPNG 3.2.5.2): the constant hintName, hintAddress
    /// omitted, no MIC.
    pub fn encode_init2(&self) -> Vec<u8> {
        let name = field_length(HINT_NAME.len());
        self.write(field_length(name), |writer| {
            writer.head(tag::context(3), element_length(name));
            writer.head(tag::SEQUENCE, name);
            writer.field(0, tag::GENERAL_STRING, HINT_NAME);
        })
    }

    /// Write header, mechTypes and mechToken, and then `last`, which takes `last_length` octets.
    fn write(&self, last_length: usize, last: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mech_types = self.mech_types.der();
        let sequence = element_length(mech_types.len())
            + self.mech_token.map_or(0, |token| field_length(token.len()))
            + last_length;
        let choice = element_length(sequence);
        let inner = element_length(choice);

        let mut writer = Writer::new(framing::framed_length(&oid::SPNEGO, inner));
        framing::write_header(&mut writer, &oid::SPNEGO, inner);
        writer.head(tag::context(0), choice);
        writer.head(tag::SEQUENCE, sequence);
        writer.element(tag::context(0), mech_types);
        if let Some(token) = self.mech_token {
            writer.field(2, tag::OCTET_STRING, token);
        }
        last(&mut writer);
        writer.finish()
    }
}

/// Every later message, of either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NegTokenResp<'a> {
    /// negState.
    pub neg_state: Option<NegState>,
    /// supportedMech, its content octets.
    pub supported_mech: Option<&'a [u8]>,
    /// responseToken. Present and empty is not absent.
    pub response_token: Option<&'a [u8]>,
    /// mechListMIC.
    pub mech_list_mic: Option<&'a [u8]>,
}

/// negState: how the sender stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegState {
    /// Established for the sender, nothing more is expected.
    AcceptCompleted,
    /// At least one more token is needed.
    AcceptIncomplete,
    /// The sender ends the negotiation.
    Reject,
    /// As incomplete, and MICs must be exchanged.
    RequestMic,
}

impl<'a> NegTokenResp<'a> {
    /// Decode one. The SEQUENCE around its fields may be missing, as it is in old
    /// implementations.
    ///
    /// # Errors
    /// Where it is not one.
    pub fn decode(token: &'a [u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "NegTokenResp";
        let choice = Reader::whole(WHAT, token, |reader| reader.element(tag::context(1)))?;
        let sequence = match choice.first() {
            Some(&tag::SEQUENCE) => {
                Reader::whole(WHAT, choice, |reader| reader.element(tag::SEQUENCE))?
            }
            _ => choice,
        };
        Reader::whole(WHAT, sequence, |reader| {
            let mut response = Self::default();
            let mut fields = Fields::up_to(3);
            while let Some((number, content)) = fields.next(reader)? {
                match number {
                    0 => response.neg_state = Some(NegState::decode(content)?),
                    1 => response.supported_mech = Some(identifier(content)?),
                    2 => response.response_token = Some(octet_string("responseToken", content)?),
                    3 => response.mech_list_mic = Some(octet_string("mechListMIC", content)?),
                    _ => {}
                }
            }
            Ok(response)
        })
    }

    /// Decode one that an initiator sent: it may be in an initial token header, which old Sun
    /// initiators put on every token.
    ///
    /// # Errors
    /// Where it is not one.
    pub fn decode_from_initiator(token: &'a [u8]) -> Result<Self, Malformed> {
        if !InitialToken::begins(token) {
            return Self::decode(token);
        }
        let framed = InitialToken::decode(token)?;
        if framed.mech != oid::SPNEGO.content() || !framed.trailing.is_empty() {
            return Err(Malformed {
                what: "NegTokenResp",
                flaw: Flaw::Other("an initial token header that does not fit it"),
            });
        }
        Self::decode(framed.inner)
    }

    /// The same without a mechListMIC that only repeats responseToken, as Windows 2000 sends it.
    /// Dropping it strips nothing: where a MIC is required, it is then missing.
    #[must_use]
    pub fn without_copied_mic(self) -> Self {
        Self {
            mech_list_mic: self
                .mech_list_mic
                .filter(|mic| self.response_token != Some(*mic)),
            ..self
        }
    }

    /// Encode it.
    pub fn encode(&self) -> Vec<u8> {
        let length = |field: Option<&[u8]>| field.map_or(0, |content| field_length(content.len()));
        let sequence = self.neg_state.map_or(0, |_| field_length(1))
            + length(self.supported_mech)
            + length(self.response_token)
            + length(self.mech_list_mic);
        let choice = element_length(sequence);

        let mut writer = Writer::new(element_length(choice));
        writer.head(tag::context(1), choice);
        writer.head(tag::SEQUENCE, sequence);
        if let Some(state) = self.neg_state {
            writer.field(0, tag::ENUMERATED, &[state.value()]);
        }
        if let Some(mech) = self.supported_mech {
            writer.field(1, tag::OID, mech);
        }
        if let Some(token) = self.response_token {
            writer.field(2, tag::OCTET_STRING, token);
        }
        if let Some(mic) = self.mech_list_mic {
            writer.field(3, tag::OCTET_STRING, mic);
        }
        writer.finish()
    }
}

impl NegState {
    fn decode(field: &[u8]) -> Result<Self, Malformed> {
        Reader::whole("negState", field, |reader| {
            match reader.element(tag::ENUMERATED)? {
                [0] => Ok(Self::AcceptCompleted),
                [1] => Ok(Self::AcceptIncomplete),
                [2] => Ok(Self::Reject),
                [3] => Ok(Self::RequestMic),
                _ => Err(reader.flaw(Flaw::Other("not one of its four values"))),
            }
        })
    }

    fn value(self) -> u8 {
        match self {
            Self::AcceptCompleted => 0,
            Self::AcceptIncomplete => 1,
            Self::Reject => 2,
            Self::RequestMic => 3,
        }
    }
}

/// The numbered fields of a SEQUENCE that are known, in ascending order and each at most once.
/// Those that are not are passed over, in whatever form they come (RFC 4178 section 6).
struct Fields {
    lowest: u8,
    last: u8,
}

impl Fields {
    /// The fields `[0]` to `[last]` are known.
    fn up_to(last: u8) -> Self {
        Self { lowest: 0, last }
    }

    fn next<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        while let Some(tag) = reader.tag() {
            let number = tag & 0x1f;
            // Every tag of the module is EXPLICIT: a known field is a constructed context tag.
            if number <= self.last && tag == tag::context(number) {
                if number < self.lowest {
                    return Err(reader.flaw(Flaw::Unordered(tag)));
                }
                self.lowest = number.saturating_add(1);
                return Ok(Some((number, reader.element(tag)?)));
            }
            let is_field = tag & CLASS == CONTEXT_CLASS;
            if !is_field || number <= LAST_KNOWN {
                return Err(reader.flaw(Flaw::Tag {
                    expected: tag::context(self.lowest),
                    found: tag,
                }));
            }
            reader.pass_over()?;
        }
        Ok(None)
    }
}

/// The class of a tag, and the one that every field of the module is of.
const CLASS: u8 = 0xc0;
const CONTEXT_CLASS: u8 = 0x80;

/// The last field that every message of RFC 4178 knows.
const LAST_KNOWN: u8 = 3;

fn octet_string<'a>(what: &'static str, field: &'a [u8]) -> Result<&'a [u8], Malformed> {
    Reader::whole(what, field, |reader| reader.element(tag::OCTET_STRING))
}

fn identifier(field: &[u8]) -> Result<&[u8], Malformed> {
    Reader::whole("supportedMech", field, |reader| {
        match reader.element(tag::OID)? {
            [] => Err(reader.flaw(Flaw::Other(EMPTY_OID))),
            content => Ok(content),
        }
    })
}

const EMPTY_OID: &str = "an identifier of no octets";

/// MS-SPNG 3.2.5.2: a constant, so that no name of the server leaks.
const HINT_NAME: &[u8] = b"not_defined_in_RFC4178@please_ignore";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid::{KRB5, KRB5_MS, NEGOEX, NTLMSSP};

    /// MS-SPNG section 4: the annotated NegTokenInit2 of a local logon.
    const MS_SPNG_4: &str = "
        6082015d06062b0601050502a08201513082014da01a3018060a2b060104018237
        02021e060a2b06010401823702020aa28201010481fe4e45474f45585453010000
        0000000000600000007000000 0cffa11765e12599a347d766852bfce7097458710
        bb8242b4c7dfbad2da897aa311a7d868463430952562dc13c554f2010000000000
        000000600000000100000000000000000000005c33530deaf90d4db2ec4ae3786e
        c3084e45474f45585453030000000100000040000000 8e000000cffa11765e1259
        9a347d766852bfce705c33530deaf90d4db2ec4ae3786ec308400000004e000000
        304ca04a3048302a8028302631243022060355040313 1b584d4c50726f76696465
        7220496e7465726d656469617465204341301a8018301631143012060355040313
        0b584d4c50726f7669646572a32a3028a0261b246e6f745f646566696e65645f69
        6e5f5246433431373840706c656173655f69676e6f7265";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .map(|digit| u8::try_from(digit).unwrap())
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// One element.
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(element_length(content.len()));
        writer.element(tag, content);
        writer.finish()
    }

    /// A whole NegTokenInit around these encoded fields.
    fn init_of(fields: &[&[u8]]) -> Vec<u8> {
        let choice = element(0xa0, &element(0x30, &fields.concat()));
        let mut framed = element(tag::OID, oid::SPNEGO.content());
        framed.extend(choice);
        element(0x60, &framed)
    }

    /// A whole NegTokenResp around these encoded fields.
    fn resp_of(fields: &[&[u8]]) -> Vec<u8> {
        element(0xa1, &element(0x30, &fields.concat()))
    }

    fn list_field() -> Vec<u8> {
        element(0xa0, MechList::encode(&[KRB5, NTLMSSP]).der())
    }

    fn why<T: std::fmt::Debug>(result: Result<T, Malformed>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn the_token_of_ms_spng_section_4_is_read_to_its_last_octet() {
        let token = hex(MS_SPNG_4);
        assert_eq!(token.len(), 0x161);
        let init = NegTokenInit::decode(&token).unwrap();
        let mechs: Vec<_> = init.mech_types.iter().collect();
        assert_eq!(mechs, [Some(NEGOEX), Some(NTLMSSP)]);
        assert_eq!(init.mech_list_mic, None);
        assert!(init.mech_token.unwrap().starts_with(b"NEGOEXTS"));
        assert_eq!(init.mech_token.unwrap().len(), 254);
        assert_eq!(init.encode_init2(), token);
        assert!(NegTokenInit::decode(&token[..token.len() - 1]).is_err());
    }

    #[test]
    fn the_list_of_rfc_4178_appendix_d_is_what_a_mic_covers() {
        let list = MechList::encode(&[KRB5]);
        assert_eq!(list.der(), hex("300b06092a864886f712010202"));
    }

    #[test]
    fn every_combination_of_fields_comes_back_as_it_was_encoded() {
        let long = vec![9; 70_000];
        let tokens = [None, Some(&b""[..]), Some(b"token"), Some(&long)];
        for mech_token in tokens {
            for mech_list_mic in tokens {
                let init = NegTokenInit {
                    mech_types: MechList::encode(&[KRB5_MS, KRB5, NTLMSSP]),
                    mech_token,
                    mech_list_mic,
                };
                assert_eq!(NegTokenInit::decode(&init.encode()), Ok(init));
                for neg_state in [None, Some(NegState::RequestMic)] {
                    for supported_mech in [None, Some(KRB5.content())] {
                        let response = NegTokenResp {
                            neg_state,
                            supported_mech,
                            response_token: mech_token,
                            mech_list_mic,
                        };
                        assert_eq!(NegTokenResp::decode(&response.encode()), Ok(response));
                    }
                }
            }
        }
    }

    #[test]
    fn a_reply_is_encoded_as_deployed_implementations_encode_it() {
        let reply = NegTokenResp {
            neg_state: Some(NegState::AcceptCompleted),
            supported_mech: Some(KRB5.content()),
            response_token: Some(b"ap-rep"),
            mech_list_mic: Some(b"mic"),
        };
        let expected = hex("a125 3023 a003 0a0100 a10b 06092a864886f712010202
             a208 040661702d726570 a305 04036d6963");
        assert_eq!(reply.encode(), expected);
    }

    #[test]
    fn a_list_is_kept_as_it_came_lengths_and_all() {
        let mut der = vec![0x30, 0x83, 0, 0, 12, 0x06, 0x81, 9];
        der.extend_from_slice(KRB5.content());
        let token = init_of(&[&element(0xa0, &der)]);
        let init = NegTokenInit::decode(&token).unwrap();
        assert_eq!(init.mech_types.der(), der);
        assert_eq!(init.mech_types.first(), Some(KRB5));
    }

    #[test]
    fn the_list_must_be_there_and_hold_identifiers_only() {
        assert!(why(NegTokenInit::decode(&init_of(&[]))).contains("0xa0 is missing"));
        for (list, reason) in [
            (&[0x30, 0][..], "no mechanism in it"),
            (&[0x30, 2, 6, 0], "no octets"),
            (&[0x30, 3, 4, 1, 1], "tag 0x04 where 0x06"),
            (&[0x30, 3, 6, 1, 1, 0], "1 bytes after the end"),
            (&[0x31, 3, 6, 1, 1], "tag 0x31"),
        ] {
            let reasons = why(NegTokenInit::decode(&init_of(&[&element(0xa0, list)])));
            assert!(reasons.contains(reason), "{list:?}: {reasons}");
        }
    }

    #[test]
    fn an_identifier_too_long_to_be_known_is_passed_over() {
        let mut entries = element(tag::OID, &[0x2a; 200]);
        entries.extend(element(tag::OID, KRB5.content()));
        let token = init_of(&[&element(0xa0, &element(0x30, &entries))]);
        let init = NegTokenInit::decode(&token).unwrap();
        let mechs: Vec<_> = init.mech_types.iter().collect();
        assert_eq!(mechs, [None, Some(KRB5)]);
        assert_eq!(init.mech_types.first(), None);
        assert_eq!(init.mech_types.find(&KRB5_MS), Some(KRB5));
    }

    #[test]
    fn ten_thousand_mechanisms_are_a_list_like_any_other() {
        let mut mechs = vec![NEGOEX; 9_999];
        mechs.push(KRB5);
        let token = NegTokenInit {
            mech_types: MechList::encode(&mechs),
            mech_token: None,
            mech_list_mic: None,
        }
        .encode();
        let init = NegTokenInit::decode(&token).unwrap();
        assert_eq!(init.mech_types.iter().count(), 10_000);
        assert_eq!(init.mech_types.find(&KRB5), Some(KRB5));
    }

    /// CVE-2009-0845: reqFlags that do not decode.
    #[test]
    fn req_flags_of_any_form_are_passed_over() {
        for flags in [
            &[0x03, 2, 1, 0x42][..],
            &[0x03, 5, 0, 1, 2, 3, 4],
            &[0x03, 1, 0],
            &[0x04, 0],
            &[0xff, 0xff],
            &[],
        ] {
            let token = init_of(&[&list_field(), &element(0xa1, flags), &[0xa2, 3, 4, 1, 7]]);
            let init = NegTokenInit::decode(&token).unwrap();
            assert_eq!(init.mech_token, Some(&[7][..]), "{flags:?}");
        }
    }

    #[test]
    fn field_3_is_a_mic_or_hints_by_what_is_in_it() {
        let name = element(0xa0, &element(0x1b, b"serveur\xe9$@REALM"));
        let address = element(0xa1, &element(0x04, &[10, 0, 0, 1]));
        let hints = element(0xa3, &element(0x30, &[name, address].concat()));
        let mic = element(0xa3, &element(0x04, b"mic"));
        let mic_in_4 = element(0xa4, &element(0x04, b"mic"));
        let list = list_field();
        for (fields, expected) in [
            (vec![&list[..], &mic], Some(&b"mic"[..])),
            (vec![&list, &hints], None),
            (vec![&list, &hints, &mic_in_4], Some(b"mic")),
            (vec![&list, &mic_in_4], Some(b"mic")),
            (vec![&list, &mic, &[0xa4, 2, 0xff, 0]], Some(b"mic")),
        ] {
            let token = init_of(&fields);
            assert_eq!(
                NegTokenInit::decode(&token).unwrap().mech_list_mic,
                expected
            );
        }
        let neither = init_of(&[&list, &[0xa3, 3, 2, 1, 0]]);
        assert!(why(NegTokenInit::decode(&neither)).contains("mechListMIC: tag 0x02"));
        let left_over = init_of(&[&list, &[0xa3, 3, 0x30, 0, 0]]);
        assert!(why(NegTokenInit::decode(&left_over)).contains("negHints: 1 bytes after"));
    }

    #[test]
    fn unknown_fields_are_passed_over_and_known_ones_come_once_and_in_order() {
        let list = list_field();
        let token = [0xa2, 3, 4, 1, 7];
        let state = [0xa0, 3, 0x0a, 1, 1];
        for unknown in [
            &[0xa9, 3, 1, 2, 3][..],
            &[0xa5, 0, 0xa5, 0],
            &[0x85, 1, 0],
            &[0x84, 0],
            &[0x9e, 0x81, 1, 0],
            &[0x9f, 0x20, 1, 0],
            &[0xbf, 0x84, 0, 2, 5, 0],
        ] {
            for fields in [[&token[..], unknown], [unknown, &token]] {
                let accepted = init_of(&[&[&list[..]], &fields[..]].concat());
                assert_eq!(
                    NegTokenInit::decode(&accepted).unwrap().mech_token,
                    Some(&[7][..]),
                    "{accepted:x?}"
                );
                let accepted = resp_of(&[&[&state[..]], &fields[..]].concat());
                assert_eq!(
                    NegTokenResp::decode(&accepted).unwrap().response_token,
                    Some(&[7][..]),
                    "{accepted:x?}"
                );
            }
        }
        for refused in [
            resp_of(&[&state, &state]),
            resp_of(&[&token, &state]),
            resp_of(&[&state, &token, &token]),
            resp_of(&[&state, &[0x04, 1, 7]]),
            resp_of(&[&state, &[0x82, 1, 7]]),
            resp_of(&[&state, &[0xa9, 3, 1, 2]]),
            resp_of(&[&state, &[0x85, 3, 1, 2]]),
            resp_of(&[&state, &[0x85, 0x80, 0, 0]]),
            resp_of(&[&state, &[0x9f, 0x20, 3, 1, 2]]),
            resp_of(&[&state, &[0x9f, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0]]),
        ] {
            assert!(NegTokenResp::decode(&refused).is_err(), "{refused:x?}");
        }
    }

    #[test]
    fn neg_state_is_one_octet_of_four_values() {
        let reply = resp_of(&[&[0xa0, 3, 0x0a, 1, 3]]);
        assert_eq!(
            NegTokenResp::decode(&reply).unwrap().neg_state,
            Some(NegState::RequestMic)
        );
        for field in [
            &[0xa0, 3, 0x0a, 1, 4][..],
            &[0xa0, 2, 0x0a, 0],
            &[0xa0, 4, 0x0a, 2, 0, 1],
            &[0xa0, 3, 0x02, 1, 1],
            &[0xa0, 4, 0x0a, 1, 1, 0],
            &[0xa0, 0],
        ] {
            assert!(
                NegTokenResp::decode(&resp_of(&[field])).is_err(),
                "{field:?}"
            );
        }
    }

    #[test]
    fn supported_mech_has_at_least_one_octet() {
        let reply = resp_of(&[&[0xa1, 2, 6, 0]]);
        assert!(why(NegTokenResp::decode(&reply)).contains("no octets"));
    }

    #[test]
    fn the_sequence_in_a_reply_may_be_missing() {
        let bare = element(0xa1, &[0xa0, 3, 0x0a, 1, 1, 0xa2, 3, 4, 1, 7]);
        let reply = NegTokenResp::decode(&bare).unwrap();
        assert_eq!(reply.neg_state, Some(NegState::AcceptIncomplete));
        assert_eq!(reply.response_token, Some(&[7][..]));
    }

    #[test]
    fn octets_may_follow_an_initial_token_and_nothing_else() {
        let mut token = init_of(&[&list_field()]);
        token.extend_from_slice(b"\0\0trailing");
        assert!(NegTokenInit::decode(&token).is_ok());
        let mut reply = resp_of(&[&[0xa0, 3, 0x0a, 1, 1]]);
        reply.push(0);
        assert!(why(NegTokenResp::decode(&reply)).contains("1 bytes after the end"));
        for outer in [
            element(0xa0, &[&element(0x30, &list_field())[..], &[0]].concat()),
            [&element(0xa0, &element(0x30, &list_field()))[..], &[0]].concat(),
        ] {
            let framed = [element(tag::OID, oid::SPNEGO.content()), outer].concat();
            assert!(NegTokenInit::decode(&element(0x60, &framed)).is_err());
        }
    }

    #[test]
    fn an_initiators_later_token_may_wear_the_header_of_a_first_one() {
        let bare = resp_of(&[&[0xa2, 3, 4, 1, 7]]);
        let framed =
            |mech: &Oid| element(0x60, &[element(6, mech.content()), bare.clone()].concat());
        let expected = NegTokenResp::decode(&bare).unwrap();
        assert_eq!(NegTokenResp::decode_from_initiator(&bare), Ok(expected));
        let worn = framed(&oid::SPNEGO);
        assert_eq!(NegTokenResp::decode_from_initiator(&worn), Ok(expected));
        assert!(NegTokenResp::decode_from_initiator(&framed(&KRB5)).is_err());
        assert!(NegTokenResp::decode(&worn).is_err());
        let trailing = [&worn[..], &[0]].concat();
        assert!(NegTokenResp::decode_from_initiator(&trailing).is_err());
    }

    #[test]
    fn a_mic_that_repeats_the_token_is_none() {
        let reply = |mic| NegTokenResp {
            response_token: Some(b"token"),
            mech_list_mic: Some(mic),
            ..NegTokenResp::default()
        };
        assert_eq!(reply(b"token").without_copied_mic().mech_list_mic, None);
        let kept = reply(b"other").without_copied_mic();
        assert_eq!(kept, reply(b"other"));
    }

    #[test]
    fn a_token_of_another_mechanism_is_not_of_spnego() {
        let framed = [element(6, KRB5.content()), element(0xa0, &[0x30, 0])].concat();
        let reason = why(NegTokenInit::decode(&element(0x60, &framed)));
        assert!(reason.contains("not of SPNEGO"), "{reason}");
    }

    /// CVE-2009-0844, GHSL-2023-016 to -018: a length that goes past the end of the token.
    #[test]
    fn a_length_of_4_gib_is_refused_and_allocates_nothing() {
        for token in [
            &[0x60, 0x84, 0xff, 0xff, 0xff, 0xff, 6, 6][..],
            &[0xa1, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30],
        ] {
            assert!(NegTokenInit::decode(token).is_err());
            assert!(NegTokenResp::decode_from_initiator(token).is_err());
        }
    }
}

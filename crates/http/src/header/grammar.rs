//! The grammar of challenges and credentials (RFC 9110 section 11), with limits.
#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::Malformed;
use crate::Scheme;

/// One challenge, or one set of credentials: they share a grammar.
pub(super) struct Challenge<'a> {
    pub(super) scheme: &'a str,
    pub(super) data: Data<'a>,
}

/// What follows the scheme.
pub(super) enum Data<'a> {
    Nothing,
    Token68(&'a [u8]),
    Parameters,
}

impl Challenge<'_> {
    /// The token of a challenge of ours.
    pub(super) fn token(&self, scheme: Scheme) -> Result<Option<Vec<u8>>, Malformed> {
        match self.data {
            Data::Nothing => Ok(None),
            Data::Parameters => Err(malformed(scheme, "takes a token, not parameters")),
            Data::Token68(encoded) => BASE64
                .decode(encoded)
                .map(Some)
                .map_err(|error| malformed(scheme, &format!("is not base64: {error}"))),
        }
    }
}

/// The challenges of one field, one after the other. Ends after the first error.
pub(super) struct ChallengeList<'a> {
    whole: usize,
    rest: &'a [u8],
    done: bool,
}

impl<'a> ChallengeList<'a> {
    /// # Errors
    /// When the value is what no field may be, whatever its grammar.
    pub(super) fn of(value: &'a [u8]) -> Result<Self, Malformed> {
        let reason = if value.len() > VALUE_MAX {
            format!("the field is longer than {VALUE_MAX} octets")
        } else if let Some(at) = value.iter().position(|octet| is_control(*octet)) {
            format!("a control character at octet {at} of the field")
        } else {
            return Ok(Self {
                whole: value.len(),
                rest: value,
                done: false,
            });
        };
        Err(Malformed {
            scheme: None,
            reason,
        })
    }

    /// RFC 9110 section 11.6.1: `auth-scheme [ 1*SP ( token68 / #auth-param ) ]`.
    fn challenge(&mut self) -> Result<Challenge<'a>, Malformed> {
        let name = self.take_while(is_token);
        let scheme = std::str::from_utf8(name).unwrap_or_default();
        if scheme.is_empty() {
            return Err(self.error(None, "a scheme is expected"));
        }
        let ours = Scheme::named(scheme);
        let spaces = self.take_while(is_space);
        if self.at_end_of_element() {
            let data = Data::Nothing;
            return Ok(Challenge { scheme, data });
        }
        if spaces.is_empty() {
            return Err(self.error(ours, "white space is expected after the scheme"));
        }
        if let Some(token) = self.token68() {
            let data = Data::Token68(token);
            return Ok(Challenge { scheme, data });
        }
        self.parameters(ours)?;
        let data = Data::Parameters;
        Ok(Challenge { scheme, data })
    }

    /// A token68 that fills the element, or nothing and no move.
    fn token68(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let characters = self.take_while(is_token68).len();
        let padding = self.take_while(|octet| octet == b'=').len();
        self.take_while(is_space);
        if characters == 0 || !self.at_end_of_element() {
            self.rest = start;
            return None;
        }
        start.get(..characters + padding)
    }

    /// Parameters up to the next challenge or the end.
    fn parameters(&mut self, ours: Option<Scheme>) -> Result<(), Malformed> {
        loop {
            if !self.parameter_name() {
                return Err(self.error(ours, "a token or a parameter is expected"));
            }
            self.parameter_value(ours)?;
            self.take_while(is_space);
            if !self.at_end_of_element() {
                return Err(self.error(ours, "a comma is expected after the parameter"));
            }
            let next = self.rest;
            self.take_while(|octet| is_space(octet) || octet == b',');
            let another = self.parameter_name();
            self.rest = next;
            if !another {
                return Ok(());
            }
            self.take_while(|octet| is_space(octet) || octet == b',');
        }
    }

    /// `token BWS "=" BWS`; false when that is not what stands here.
    fn parameter_name(&mut self) -> bool {
        let name = self.take_while(is_token);
        self.take_while(is_space);
        let equals = self.take(b'=');
        self.take_while(is_space);
        !name.is_empty() && equals
    }

    fn parameter_value(&mut self, ours: Option<Scheme>) -> Result<(), Malformed> {
        if !self.take(b'"') {
            if self.take_while(is_token).is_empty() {
                return Err(self.error(ours, "the parameter has no value"));
            }
            return Ok(());
        }
        loop {
            self.take_while(|octet| octet != b'"' && octet != b'\\');
            if self.take(b'"') {
                return Ok(());
            }
            // A backslash and whatever it quotes.
            let Some(rest) = self.rest.get(2..) else {
                return Err(self.error(ours, "a quoted string does not end"));
            };
            self.rest = rest;
        }
    }

    fn at_end_of_element(&self) -> bool {
        matches!(self.rest.first(), None | Some(b','))
    }

    fn take(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|octet| !wanted(*octet));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn error(&self, scheme: Option<Scheme>, what: &str) -> Malformed {
        let at = self.whole - self.rest.len();
        Malformed {
            scheme,
            reason: format!("{what} at octet {at} of the field"),
        }
    }
}

impl<'a> Iterator for ChallengeList<'a> {
    type Item = Result<Challenge<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.take_while(|octet| is_space(octet) || octet == b',');
        if self.rest.is_empty() {
            return None;
        }
        let challenge = self.challenge();
        self.done = challenge.is_err();
        Some(challenge)
    }
}

pub(super) fn malformed(scheme: Scheme, what: &str) -> Malformed {
    Malformed {
        scheme: Some(scheme),
        reason: format!("{scheme} {what}"),
    }
}

pub(super) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// A line end here would let whoever wrote the value write fields of his own.
pub(super) fn is_control(octet: u8) -> bool {
    octet.is_ascii_control() && octet != b'\t'
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// RFC 9110 section 11.2, without the padding.
pub(super) fn is_token68(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~+/".contains(&octet)
}

/// The longest field value read. Windows advises tokens of at most 48,000 octets, 64,000 in base64,
/// and its HTTP server takes no field over 65,534.
pub(super) const VALUE_MAX: usize = 65_536;

/// Written with padding, read with or without it; bits that no octet needs must be zero.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

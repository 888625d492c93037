//! Finding tokens in what was given: header lines, a log of curl, base64, hexadecimal, or the token
//! itself.
#![forbid(unsafe_code)]

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A token as it was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) way: Way,
    /// The header field and the scheme, where it was in one.
    pub(crate) header: Option<String>,
    pub(crate) scheme: Option<&'static str>,
    /// The line of the input, from 1; none for binary input.
    pub(crate) line: Option<usize>,
    /// Empty where there is a scheme and no token.
    pub(crate) octets: Vec<u8>,
    /// What is wrong with how it was written.
    pub(crate) problem: Option<Problem>,
}

/// Something that base64 does not have, and the section that says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) section: &'static str,
    pub(crate) text: String,
}

/// Who sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// The client.
    ToServer,
    /// The server.
    ToClient,
    #[default]
    Unknown,
}

/// Find all tokens, in their order.
///
/// # Errors
/// A sentence, where there is none.
pub(crate) fn find(input: &[u8]) -> Result<Vec<Found>, String> {
    let text = match std::str::from_utf8(input) {
        Ok(text) if text.chars().all(is_written) => text,
        _ => {
            return Ok(vec![Found {
                octets: input.to_vec(),
                ..Found::default()
            }]);
        }
    };
    if text.trim().is_empty() {
        return Err("there is nothing to decode".to_owned());
    }
    let fields = in_fields(text);
    if !fields.is_empty() {
        return Ok(fields);
    }
    by_themselves(text)
}

/// Whether a character may be in a text; a token has others.
fn is_written(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\r' | '\t')
}

/// The tokens that follow the name of a scheme.
fn in_fields(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        // What curl says of itself repeats header fields.
        if line.starts_with("* ") {
            continue;
        }
        let (header, way, value) = match field(line) {
            Some(field) => field,
            None => (None, way_of(line), line.trim_start_matches(['<', '>', ' '])),
        };
        for (scheme, token) in schemes(value, header.is_some()) {
            let (octets, problem) = match token {
                Some(token) => from_base64(token),
                None => (Vec::new(), None),
            };
            all.push(Found {
                way,
                header: header.map(str::to_owned),
                scheme: Some(scheme),
                line: Some(number),
                octets,
                problem,
            });
        }
    }
    all
}

/// The header field of authentication in a line: its name, who sent it, and its value.
fn field(line: &str) -> Option<(Option<&str>, Way, &str)> {
    let lower = line.to_ascii_lowercase();
    FIELDS.iter().find_map(|(name, way)| {
        let at = lower.find(name)?;
        let name_end = at + name.len();
        let value = line.get(name_end..)?;
        // The name has to be whole: `proxy-authorization` comes before `authorization`.
        let name = line.get(at..name_end)?.trim_end_matches(':');
        Some((Some(name), *way, value))
    })
}

/// Which way a line of a curl log went.
fn way_of(line: &str) -> Way {
    match line.chars().next() {
        Some('>') => Way::ToServer,
        Some('<') => Way::ToClient,
        _ => Way::Unknown,
    }
}

/// Each scheme known here, and its token. Outside a header field, a scheme is the first word.
fn schemes(value: &str, in_field: bool) -> Vec<(&'static str, Option<&str>)> {
    let mut all = Vec::new();
    for challenge in value.split(',') {
        let mut words = challenge
            .split(|c: char| c.is_ascii_whitespace() || matches!(c, '\'' | '"' | '[' | ']' | '\\'))
            .filter(|word| !word.is_empty());
        let scheme = words.next().and_then(|word| {
            let is_it = |scheme: &&&str| scheme.eq_ignore_ascii_case(word);
            SCHEMES.iter().find(is_it).copied()
        });
        let token = words.next();
        match scheme {
            Some(scheme) if in_field || token.is_some() => all.push((scheme, token)),
            _ if in_field => {}
            _ => break,
        }
    }
    all
}

/// Tokens without a scheme: one, or one on each line.
fn by_themselves(text: &str) -> Result<Vec<Found>, String> {
    let lines: Vec<_> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let each: Vec<_> = lines
        .iter()
        .map(|(number, line)| decoded(line, *number))
        .collect();
    let is_token =
        |found: &Option<Found>| found.as_ref().is_some_and(|found| begins(&found.octets));
    if each.len() > 1 && each.iter().all(is_token) {
        return Ok(each.into_iter().flatten().collect());
    }
    let first_line = lines.first().map_or(1, |(number, _)| *number);
    decoded(text, first_line)
        .map(|found| vec![found])
        .ok_or_else(|| {
            "this is neither base64 nor hexadecimal, and no header field with a token".to_owned()
        })
}

/// One token in base64 or hexadecimal.
fn decoded(text: &str, line: usize) -> Option<Found> {
    let way = way_of(text.trim());
    let text = text.trim().trim_start_matches(['<', '>']);
    let hex = from_hex(text);
    let (octets, problem) = match hex {
        Some(octets) => (octets, None),
        None => {
            let compact: String = text.split_whitespace().collect();
            let (octets, problem) = from_base64(&compact);
            // Most words are base64 of something.
            if octets.is_empty() || (problem.is_some() && !super::is_known(&octets)) {
                return None;
            }
            (octets, problem)
        }
    };
    Some(Found {
        way,
        line: Some(line),
        octets,
        problem,
        ..Found::default()
    })
}

/// Hexadecimal, with what people put between digits. `None`: it is something else.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: String = text
        .replace("0x", " ")
        .replace("0X", " ")
        .replace("\\x", " ")
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ':' | ',' | '-' | '{' | '}' | ';'))
        .collect();
    if digits.is_empty() || digits.len() % 2 != 0 || !digits.bytes().all(|c| c.is_ascii_hexdigit())
    {
        return None;
    }
    let nibbles: Vec<u8> = digits
        .chars()
        .filter_map(|c| u8::try_from(c.to_digit(16)?).ok())
        .collect();
    let octet = |pair: &[u8]| pair.iter().fold(0, |octet, nibble| octet << 4 | nibble);
    Some(nibbles.chunks_exact(2).map(octet).collect())
}

/// Base64 as far as it is base64, and what is wrong with it.
fn from_base64(text: &str) -> (Vec<u8>, Option<Problem>) {
    let of_urls = text.contains(['-', '_']);
    let text = text.replace('-', "+").replace('_', "/");
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let digits = text.trim_end_matches('=');
    let problem = |section, text: &str| {
        let text = text.to_owned();
        Some(Problem { section, text })
    };
    let (good, mut wrong) = match digits.find(|c| !is_digit(c)) {
        Some(end) => {
            let good = digits.get(..end).unwrap_or_default();
            let count = good.chars().count() + 1;
            let why = format!("not base64 from character {count} on");
            (good, problem("RFC 4648 section 3.3", &why))
        }
        None if of_urls => {
            let why = "written in the base64 alphabet of URLs";
            (digits, problem("RFC 4648 section 3.3", why))
        }
        None if text.len() % 4 != 0 => {
            let why = "base64 whose length, with its padding, is no multiple of four";
            (digits, problem("RFC 4648 section 3.2", why))
        }
        None => (digits, None),
    };
    // A last digit by itself is less than an octet.
    let whole = good.len() - usize::from(good.len() % 4 == 1);
    let octets = good
        .get(..whole)
        .and_then(|digits| TOLERANT.decode(digits).ok());
    if octets.is_none() {
        wrong = wrong.or_else(|| problem("RFC 4648 section 4", "not base64"));
    }
    (octets.unwrap_or_default(), wrong)
}

/// Whether octets begin as a token and reach as far as they say.
fn begins(octets: &[u8]) -> bool {
    octets.starts_with(super::ntlm::SIGNATURE)
        || octets.starts_with(super::negoex::SIGNATURE)
        || super::legs::announced(octets).is_some_and(|announced| announced == octets.len())
}

/// Longer names first: one ends in another.
const FIELDS: [(&str, Way); 4] = [
    ("proxy-authorization:", Way::ToServer),
    ("authorization:", Way::ToServer),
    ("proxy-authenticate:", Way::ToClient),
    ("www-authenticate:", Way::ToClient),
];

const SCHEMES: [&str; 4] = ["Negotiate", "Nego2", "NTLM", "Kerberos"];

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> Vec<Vec<u8>> {
        let found = find(text.as_bytes()).unwrap();
        found.into_iter().map(|found| found.octets).collect()
    }

    #[test]
    fn hexadecimal_is_read_however_it_is_written() {
        for text in [
            "a1053003800102",
            "A1 05 30 03 80 01 02",
            "0xa1, 0x05, 0x30, 0x03, 0x80, 0x01, 0x02",
            "a1:05:30:03:80:01:02",
            "\\xa1\\x05\\x30\\x03\\x80\\x01\\x02",
            "0xa1053003800102\n",
            "a1 05 30\n03 80 01 02\n",
        ] {
            assert_eq!(octets(text), [[0xa1, 5, 0x30, 3, 0x80, 1, 2]], "{text}");
        }
    }

    #[test]
    fn base64_may_be_wrapped_and_lack_its_padding() {
        let token = [0xa1, 5, 0x30, 3, 0x80, 1, 2];
        assert_eq!(octets("oQUwA4ABAg=="), [token]);
        assert_eq!(octets("oQUw\nA4AB\nAg=="), [token]);
        let found = find(b"oQUwA4ABAg").unwrap();
        assert_eq!(found[0].octets, token);
        let problem = found[0].problem.as_ref().unwrap();
        assert_eq!(problem.section, "RFC 4648 section 3.2");
    }

    #[test]
    fn each_line_is_a_token_where_each_is_whole() {
        assert_eq!(octets("oQMwAQA=\noQMwAQA=\n").len(), 2);
        assert_eq!(octets("a103300100\na103300100").len(), 2);
    }

    #[test]
    fn binary_is_taken_as_it_is() {
        assert_eq!(find(b"\x60\x82\x00").unwrap()[0].octets, b"\x60\x82\x00");
        assert_eq!(find(b"a\0b").unwrap()[0].octets, b"a\0b");
    }

    #[test]
    fn the_fields_of_a_log_are_found_in_order() {
        let log = "* Server auth using Negotiate with user ''\n\
                   > GET / HTTP/1.1\n> Authorization: Negotiate oQMwAQA=\n> \n\
                   < HTTP/1.1 401 Unauthorized\n< WWW-Authenticate: Negotiate\n\
                   < WWW-Authenticate: Basic realm=\"x\", NTLM\n\
                   < Proxy-Authenticate: Nego2 oQMwAQA=\n";
        let found = find(log.as_bytes()).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|found| {
                let header = found.header.as_deref().unwrap();
                (found.way, header, found.scheme.unwrap(), found.octets.len())
            })
            .collect();
        assert_eq!(
            seen,
            [
                (Way::ToServer, "Authorization", "Negotiate", 5),
                (Way::ToClient, "WWW-Authenticate", "Negotiate", 0),
                (Way::ToClient, "WWW-Authenticate", "NTLM", 0),
                (Way::ToClient, "Proxy-Authenticate", "Nego2", 5),
            ]
        );
    }

    #[test]
    fn a_copied_command_line_has_its_field() {
        let found = find(b"curl -H 'authorization: negotiate oQMwAQA=' https://h/").unwrap();
        assert_eq!(found[0].octets.len(), 5);
        assert_eq!(found[0].scheme, Some("Negotiate"));
    }

    #[test]
    fn broken_base64_is_read_up_to_where_it_breaks() {
        let found = find(b"WWW-Authenticate: Negotiate oQMwAQA!xyz").unwrap();
        let problem = found[0].problem.as_ref().unwrap();
        assert!(problem.text.contains("character 8"), "{problem:?}");
        assert_eq!(found[0].octets, [0xa1, 3, 0x30, 1, 0]);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in [
            "",
            " \n",
            "hello, world",
            "abc!",
            "no token here",
            "notoken",
        ] {
            assert!(find(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

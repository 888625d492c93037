//! The header fields, both ways: `WWW-Authenticate`, `Authorization`, their proxy kin,
//! `Persistent-Auth` and `Proxy-Support` (RFC 9110 section 11, RFC 4559, MS-N2HT section 2.2).
#![forbid(unsafe_code)]

mod grammar;

use std::fmt;

use base64::Engine;

use super::{Asker, Scheme};
use grammar::{BASE64, Challenge, ChallengeList, is_token, malformed};

/// One field of a message that came in: a name and a value, unfolded, without its line end.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// The name; its case does not matter.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The fields of a header section as it came in: `name: value` lines, without the first line of
    /// the message, up to an empty line or the end (RFC 9112 section 5).
    ///
    /// # Errors
    /// A line without a name or a colon, white space before the colon, a folded line.
    pub fn section(octets: &'a [u8]) -> Result<Vec<Self>, Malformed> {
        let mut fields = Vec::new();
        for line in octets.split(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let refused = |reason: &str| Malformed {
                scheme: None,
                reason: format!("header line {}: {reason}", fields.len() + 1),
            };
            let mut halves = line.splitn(2, |octet| *octet == b':');
            let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
                return Err(refused("there is no colon"));
            };
            if name.is_empty() || !name.iter().copied().all(is_token) {
                return Err(refused("what stands before the colon is no field name"));
            }
            if fields.len() == FIELDS_MAX {
                return Err(refused("too many header fields"));
            }
            let value = value.trim_ascii();
            fields.push(Self { name, value });
        }
        Ok(fields)
    }
}

/// One field to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: &'static str,
    /// The value, printable ASCII.
    pub value: String,
}

impl Header {
    /// A challenge: `WWW-Authenticate: Nego2 YII...`.
    pub fn challenge(asker: Asker, scheme: Scheme, token: Option<&[u8]>) -> Self {
        Self::new(asker.challenge_field(), scheme, token)
    }

    /// Credentials: `Authorization: Negotiate YII...`.
    pub fn credentials(asker: Asker, scheme: Scheme, token: &[u8]) -> Self {
        Self::new(asker.credentials_field(), scheme, Some(token))
    }

    /// `Persistent-Auth: true` or `false` (MS-N2HT section 2.2.2).
    pub fn persistent_auth(persistent: bool) -> Self {
        Self {
            name: PERSISTENT_AUTH,
            value: persistent.to_string(),
        }
    }

    fn new(name: &'static str, scheme: Scheme, token: Option<&[u8]>) -> Self {
        let value = match token {
            Some(token) => format!("{scheme} {}", BASE64.encode(token)),
            None => scheme.name().to_owned(),
        };
        Self { name, value }
    }
}

/// Kind and length: a token in a log is a gift to whoever reads the log.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.split_once(' ') {
            Some((scheme, token)) => {
                write!(f, "{}: {scheme} ({} characters)", self.name, token.len())
            }
            None => write!(f, "{}: {}", self.name, self.value),
        }
    }
}

/// A field that is not what the grammar says: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The scheme in whose challenge or credentials it happened, if it is one of ours.
    pub scheme: Option<Scheme>,
    /// The sentence.
    pub reason: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What a response offers under one of our schemes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// The scheme is not there.
    #[default]
    Absent,
    /// The scheme without a token.
    Bare,
    /// The scheme and a token, never empty.
    Token(Vec<u8>),
}

/// The challenges of one response: ours in full, the others by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenges {
    /// What is offered under `Nego2`.
    pub nego2: Offer,
    /// What is offered under `Negotiate`.
    pub negotiate: Offer,
    /// The names of the other schemes, in the order they came in.
    pub others: Vec<String>,
}

impl Challenges {
    /// Read all `WWW-Authenticate` (or `Proxy-Authenticate`) fields of a response.
    ///
    /// A field whose challenge for another scheme is broken is read up to there: such challenges
    /// are common, and none of our business.
    ///
    /// # Errors
    /// When a challenge of ours is malformed, when nothing of ours is found beside broken
    /// challenges, or when a field is too long or has control characters.
    pub fn read(fields: &[Field<'_>], asker: Asker) -> Result<Self, Malformed> {
        let mut found = Self::default();
        let mut broken = None;
        let mut count = 0;
        for value in values(fields, asker.challenge_field()) {
            for challenge in ChallengeList::of(value)? {
                count += 1;
                if count > CHALLENGES_MAX {
                    return Err(Malformed {
                        scheme: None,
                        reason: format!("more than {CHALLENGES_MAX} challenges"),
                    });
                }
                match challenge {
                    Ok(challenge) => found.take(challenge)?,
                    Err(malformed) if malformed.scheme.is_some() => return Err(malformed),
                    Err(malformed) => broken = broken.or(Some(malformed)),
                }
            }
        }
        match broken {
            Some(malformed) if found.nego2 == Offer::Absent && found.negotiate == Offer::Absent => {
                Err(malformed)
            }
            _ => Ok(found),
        }
    }

    /// What is offered under `scheme`.
    pub fn offer(&self, scheme: Scheme) -> &Offer {
        match scheme {
            Scheme::Negotiate => &self.negotiate,
            Scheme::Nego2 => &self.nego2,
        }
    }

    fn take(&mut self, challenge: Challenge<'_>) -> Result<(), Malformed> {
        let Some(scheme) = Scheme::named(challenge.scheme) else {
            self.others.push(challenge.scheme.to_owned());
            return Ok(());
        };
        let offer = match scheme {
            Scheme::Negotiate => &mut self.negotiate,
            Scheme::Nego2 => &mut self.nego2,
        };
        match (challenge.token(scheme)?, &*offer) {
            (Some(_), Offer::Token(_)) => Err(malformed(scheme, "has two tokens in one response")),
            (Some(token), _) => {
                *offer = Offer::Token(token);
                Ok(())
            }
            (None, Offer::Absent) => {
                *offer = Offer::Bare;
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }
}

/// The credentials of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// There are none.
    Absent,
    /// They are of a scheme that is not ours.
    Other,
    /// A token of ours, never empty.
    Token(Scheme, Vec<u8>),
}

impl Credentials {
    /// Read the `Authorization` (or `Proxy-Authorization`) field of a request.
    ///
    /// # Errors
    /// When the field is there twice, or is malformed.
    pub fn read(fields: &[Field<'_>], asker: Asker) -> Result<Self, Malformed> {
        let mut values = values(fields, asker.credentials_field());
        let Some(value) = values.next() else {
            return Ok(Self::Absent);
        };
        if values.next().is_some() {
            return Err(Malformed {
                scheme: None,
                reason: format!("the request has two {} fields", asker.credentials_field()),
            });
        }
        let mut list = ChallengeList::of(value)?;
        let Some(credentials) = list.next() else {
            return Ok(Self::Absent);
        };
        let credentials = credentials?;
        let Some(scheme) = Scheme::named(credentials.scheme) else {
            return Ok(Self::Other);
        };
        if list.next().is_some() {
            return Err(malformed(scheme, "is followed by something else"));
        }
        match credentials.token(scheme)? {
            Some(token) => Ok(Self::Token(scheme, token)),
            None => Err(malformed(scheme, "has no token")),
        }
    }
}

/// What the `Persistent-Auth` fields of a response say, `None` when they are absent or to be
/// ignored.
///
/// MS-N2HT section 3.2.5: any value other than "true" and "false" is ignored, and so are two that
/// contradict each other.
pub fn persistent_auth(fields: &[Field<'_>]) -> Option<bool> {
    let mut said = None;
    for token in tokens(fields, PERSISTENT_AUTH) {
        let value = match token {
            b"true" => true,
            b"false" => false,
            _ => return None,
        };
        if said.is_some_and(|before| before != value) {
            return None;
        }
        said = Some(value);
    }
    said
}

/// Whether a proxy on the way promises not to share authenticated connections among clients:
/// `Proxy-Support: Session-Based-Authentication` (RFC 4559 section 6).
pub fn proxy_keeps_connections_apart(fields: &[Field<'_>]) -> bool {
    tokens(fields, "Proxy-Support")
        .any(|token| token.eq_ignore_ascii_case(b"Session-Based-Authentication"))
}

/// The values of all fields of this name.
fn values<'a>(fields: &[Field<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| field.value)
}

/// The elements of a comma-separated list that may be spread over several fields.
fn tokens<'a>(fields: &[Field<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    values(fields, name)
        .flat_map(|value| value.split(|octet| *octet == b','))
        .map(|element| element.trim_ascii())
        .filter(|element| !element.is_empty())
}

const PERSISTENT_AUTH: &str = "Persistent-Auth";

/// The most fields of one message. Servers stop at about a hundred.
const FIELDS_MAX: usize = 1000;

/// The most challenges in one response. Servers offer up to six schemes; a list of hundreds is made
/// to keep a client busy.
const CHALLENGES_MAX: usize = 32;

/// Fields of a message, for tests.
#[cfg(test)]
pub(super) fn fields<'a>(lines: &[(&'a str, &'a str)]) -> Vec<Field<'a>> {
    lines
        .iter()
        .map(|(name, value)| Field {
            name: name.as_bytes(),
            value: value.as_bytes(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::grammar::VALUE_MAX;
    use super::*;

    #[test]
    fn a_header_section_is_read_up_to_its_empty_line() {
        let section = b"Host: a:1\r\nX:\r\nWWW-Authenticate:\t Negotiate \n\r\nbody: no\r\n";
        let read: Vec<_> = Field::section(section)
            .unwrap()
            .into_iter()
            .map(|field| (field.name, field.value))
            .collect();
        let expected: [(&[u8], &[u8]); 3] = [
            (b"Host", b"a:1"),
            (b"X", b""),
            (b"WWW-Authenticate", b"Negotiate"),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_malformed_header_section_is_refused() {
        for (section, reason) in [
            (&b"GET / HTTP/1.1\r\n"[..], "there is no colon"),
            (b"A: 1\r\n 2: 3\r\n", "no field name"),
            (b"A : 1\r\n", "no field name"),
            (b": 1\r\n", "no field name"),
        ] {
            let error = Field::section(section).err().unwrap();
            assert!(error.reason.contains(reason), "{}", error.reason);
        }
        assert!(Field::section(&b"A:\n".repeat(FIELDS_MAX + 1)).is_err());
    }

    fn challenges(values: &[&[u8]]) -> Result<Challenges, Malformed> {
        let fields: Vec<_> = values
            .iter()
            .map(|value| Field {
                name: b"www-authenticate",
                value,
            })
            .collect();
        Challenges::read(&fields, Asker::Server)
    }

    fn one(value: &str) -> Challenges {
        challenges(&[value.as_bytes()]).unwrap()
    }

    fn refused(value: &str) -> String {
        challenges(&[value.as_bytes()]).unwrap_err().reason
    }

    fn token(octets: &[u8]) -> Offer {
        Offer::Token(octets.to_vec())
    }

    #[test]
    fn schemes_have_no_case_and_white_space_has_no_meaning() {
        for value in [
            "Negotiate",
            "negotiate",
            " \tNEGOTIATE\t ",
            ",, Negotiate ,,",
            "NTLM,Negotiate",
            "Negotiate,Negotiate",
        ] {
            assert_eq!(one(value).negotiate, Offer::Bare, "{value}");
        }
        for value in ["Negotiate YWI=", "negotiate   YWI= ", "Negotiate\tYWI=\t,"] {
            assert_eq!(one(value).negotiate, token(b"ab"), "{value}");
        }
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (value, octets) in [
            ("Nego2 YQ==", "a"),
            ("Nego2 YQ", "a"),
            ("Nego2 YWI=", "ab"),
            ("Nego2 YWI", "ab"),
            ("Nego2 YWJj", "abc"),
        ] {
            assert_eq!(one(value).nego2, token(octets.as_bytes()), "{value}");
        }
    }

    #[test]
    fn other_schemes_may_stand_anywhere() {
        let found = one(concat!(
            r#"Digest realm="a \"quoted\", Negotiate Zm9v", qop="auth,auth-int" , nonce = abc,"#,
            r#" Nego2 YWI=, Basic realm=x, NTLM TlRMTQ==, Negotiate"#
        ));
        assert_eq!(found.nego2, token(b"ab"));
        assert_eq!(found.negotiate, Offer::Bare);
        assert_eq!(found.others, ["Digest", "Basic", "NTLM"]);
    }

    #[test]
    fn challenges_may_be_spread_over_fields() {
        let found = challenges(&[b"Basic realm=\"x\"", b"Nego2 YWI=", b"", b"Negotiate"]).unwrap();
        assert_eq!((found.nego2, found.negotiate), (token(b"ab"), Offer::Bare));
    }

    #[test]
    fn only_the_askers_fields_count() {
        let lines = [
            ("Proxy-Authenticate", "Negotiate"),
            ("X-Authenticate", "Nego2 YWI="),
        ];
        let found = Challenges::read(&fields(&lines), Asker::Server).unwrap();
        assert_eq!(found, Challenges::default());
        let found = Challenges::read(&fields(&lines), Asker::Proxy).unwrap();
        assert_eq!(found.negotiate, Offer::Bare);
    }

    #[test]
    fn hostile_fields_are_refused_with_a_reason() {
        for (value, reason) in [
            (
                "Negotiate YWI=\r\nSet-Cookie: a=b",
                "control character at octet 14",
            ),
            ("Negotiate\0", "control character at octet 9"),
            ("Negotiate\x7f", "control character"),
            ("Negotiate YWI= YWI=", "expected"),
            ("Negotiate YWI=x", "not parameters"),
            ("Negotiate YW-_", "base64"),
            ("Negotiate Y", "base64"),
            ("Negotiate YWK=", "base64"),
            ("Negotiate YWI====", "base64"),
            ("Negotiate ====", "expected"),
            ("Negotiate \u{2028}", "expected"),
            ("Negotiate=YWI=", "white space is expected"),
            ("Negotiate:YWI=", "white space is expected"),
            ("Negotiate realm=\"x\"", "takes a token"),
            ("Negotiate realm=\"x", "does not end"),
            ("Negotiate realm=\"x\\", "does not end"),
            ("Nego2 realm=", "base64"),
            ("Nego2 realm=,", "base64"),
            ("Nego2 realm =", "no value"),
            ("Nego2 YWI=, Nego2 YWI=", "two tokens"),
            ("\"Negotiate\"", "a scheme is expected"),
            ("=", "a scheme is expected"),
        ] {
            let said = challenges(&[value.as_bytes()]);
            let said = match said {
                Err(malformed) => malformed.reason,
                Ok(found) => format!("{found:?}"),
            };
            assert!(said.contains(reason), "{value:?}: {said}");
        }
    }

    #[test]
    fn a_broken_challenge_of_another_scheme_hides_only_what_follows_it() {
        let broken: &[u8] = br#"Negotiate, Basic realm="x, Nego2 YWI="#;
        let found = challenges(&[broken, b"NTLM"]).unwrap();
        assert_eq!((found.nego2, found.negotiate), (Offer::Absent, Offer::Bare));
        assert_eq!(one("Negotiate YWI=, YWJj=").negotiate, token(b"ab"));
        assert!(refused(r#"Basic realm="x, Negotiate"#).contains("does not end"));
    }

    #[test]
    fn a_broken_challenge_of_ours_is_never_passed_over_for_the_other() {
        let said = challenges(&[b"Nego2 !", b"Negotiate"]).unwrap_err();
        assert_eq!(said.scheme, Some(Scheme::Nego2));
    }

    #[test]
    fn a_line_end_is_refused_whatever_else_is_there() {
        let said = challenges(&[b"Negotiate", b"Basic x\r\n"]).unwrap_err();
        assert_eq!(said.reason, "a control character at octet 7 of the field");
    }

    #[test]
    fn size_and_number_have_limits() {
        let long = format!("Negotiate {}", "A".repeat(VALUE_MAX));
        assert!(refused(&long).contains("longer than"));
        let fits = format!("Negotiate {}", "A".repeat(64_000));
        assert_eq!(one(&fits).negotiate, token(&[0; 48_000]));
        assert!(refused(&"NTLM,".repeat(CHALLENGES_MAX + 1)).contains("more than"));
        let many = vec![&b"NTLM"[..]; CHALLENGES_MAX + 1];
        assert!(challenges(&many).unwrap_err().reason.contains("more than"));
    }

    #[test]
    fn credentials_are_one_token_of_one_scheme() {
        let read = |value| Credentials::read(&fields(&[("AUTHORIZATION", value)]), Asker::Server);
        let ours = Credentials::Token(Scheme::Nego2, b"ab".to_vec());
        assert_eq!(read("nEgO2 YWI"), Ok(ours));
        assert_eq!(read("Basic dTpw"), Ok(Credentials::Other));
        assert_eq!(read("Digest username=\"x\""), Ok(Credentials::Other));
        assert_eq!(read(""), Ok(Credentials::Absent));
        assert!(read("Negotiate").unwrap_err().reason.contains("no token"));
        assert!(
            read("Negotiate YWI=, Basic x")
                .unwrap_err()
                .reason
                .contains("followed")
        );
    }

    #[test]
    fn debug_shows_no_token() {
        let header = Header::credentials(Asker::Proxy, Scheme::Negotiate, b"a token");
        assert_eq!(
            format!("{header:?}"),
            "Proxy-Authorization: Negotiate (12 characters)"
        );
    }

    /// Whatever comes, reading ends, and a token that is read is written the same way again.
    #[test]
    fn mutated_fields_are_read_or_refused() {
        let seeds: [&[u8]; 4] = [
            b"Negotiate YIIBpAYGKwYBBQUCoIIBmDCCAZSgGjAYB",
            br#"Digest realm="a, \"b\"", nonce=x, Nego2 YWI=, Negotiate"#,
            b"Basic realm=\"\xc3\xa9\", NTLM TlRMTVNTUAA=, Negotiate",
            b"Nego2 YIIEawYGKwYBBQUCoIIEXzCCBFugDjAMBgorBg==",
        ];
        let alphabet = b"\"\\,= \t\r\n\0NegotiateNego2YWI/+-_\xff";
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut read, mut refused) = (0, 0);
        for round in 0..20_000 {
            let mut value = seeds[round % seeds.len()].to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(value.len());
                let octet = alphabet[random.below(alphabet.len())];
                match random.below(4) {
                    0 => value[at] = octet,
                    1 => value.insert(at, octet),
                    2 => value.truncate(at + 1),
                    _ => drop(value.remove(at)),
                }
                if value.is_empty() {
                    value.push(octet);
                }
            }
            match challenges(&[&value]) {
                Ok(found) => {
                    read += 1;
                    for scheme in [Scheme::Negotiate, Scheme::Nego2] {
                        if let Offer::Token(token) = found.offer(scheme) {
                            let again = Header::challenge(Asker::Server, scheme, Some(token));
                            assert_eq!(one(&again.value).offer(scheme), found.offer(scheme));
                        }
                    }
                }
                Err(malformed) => {
                    refused += 1;
                    assert!(malformed.reason.is_ascii());
                }
            }
            let credentials = Field {
                name: b"Authorization",
                value: &value,
            };
            if let Ok(Credentials::Token(_, token)) =
                Credentials::read(&[credentials], Asker::Server)
            {
                assert!(!token.is_empty());
            }
        }
        assert!(
            read > 1_000 && refused > 1_000,
            "{read} read, {refused} refused"
        );
    }

    /// xorshift64: the same numbers in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
        }
    }
}

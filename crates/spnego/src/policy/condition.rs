//! What a rule asks of a context before it holds: role, target, program; with wildcards.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::net::IpAddr;

use crate::role::Role;

/// Which contexts a rule is for. An empty list asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) role: Option<Role>,
    pub(super) targets: Vec<Target>,
    pub(super) programs: Vec<Program>,
}

impl Condition {
    pub(super) fn asks_for_target(&self) -> bool {
        !self.targets.is_empty()
    }

    pub(super) fn matches(&self, role: Role, target: Option<&str>, program: Option<&str>) -> bool {
        self.role.is_none_or(|wanted| wanted == role)
            && (self.targets.is_empty()
                || target.is_some_and(|target| {
                    let (service, host) = parts(target);
                    let is = |wanted: &Target| wanted.matches(&service, &host);
                    self.targets.iter().any(is)
                }))
            && (self.programs.is_empty()
                || program.is_some_and(|path| self.programs.iter().any(|one| one.matches(path))))
    }
}

/// A pattern of targets, `HTTP@*.corp.example`, in lower case; without a service, of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    service: Option<String>,
    host: String,
}

impl Target {
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let pattern = checked(pattern)?;
        if pattern.contains(['@', '/']) {
            let (service, host) = parts(pattern);
            return Ok(Self {
                service: Some(service),
                host,
            });
        }
        Ok(Self {
            service: None,
            host: host_of(pattern),
        })
    }

    fn matches(&self, service: &str, host: &str) -> bool {
        let of_service = |pattern: &String| glob(pattern.as_bytes(), service.as_bytes());
        let of_host = |host: &str| glob(self.host.as_bytes(), host.as_bytes());
        self.service.as_ref().is_none_or(of_service)
            && (of_host(host) || of_host(without_port(host)))
    }
}

/// A pattern of executables: of their paths when it has a slash, of their names when not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program(String);

impl Program {
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let pattern = checked(pattern)?;
        if pattern.contains('/') && !pattern.starts_with(['/', '*']) {
            return Err("a program is a name or an absolute path".to_owned());
        }
        Ok(Self(pattern.to_owned()))
    }

    fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let text = if self.0.contains('/') { path } else { name };
        glob(self.0.as_bytes(), text.as_bytes())
    }
}

fn checked(pattern: &str) -> Result<&str, String> {
    match pattern.len() {
        0 => Err("an empty text matches nothing; write \"*\" for everything".to_owned()),
        length if length > LONGEST_PATTERN => Err(format!("over {LONGEST_PATTERN} octets long")),
        _ => Ok(pattern),
    }
}

/// Whether the host of a target is an IP address, where a name would be usual.
pub fn is_address(target: &str) -> bool {
    let (_, host) = parts(target);
    let host = without_port(&host);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let bare = bare.unwrap_or(host);
    // fe80::1%eth0: the zone is no part of the address.
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    bare.parse::<IpAddr>().is_ok()
}

/// Service and host of `service@host`, `service/host` or `service/host@REALM`, in lower case.
///
/// They are read as Kerberos reads them, or another way of writing one name would be another name
/// here: up to a NUL, which programs count in by mistake, and without backslashes, which quote.
fn parts(target: &str) -> (String, String) {
    let target = target.split('\0').next().unwrap_or_default();
    let target = &unquoted(target);
    match target.split_once(['@', '/']) {
        Some((service, host)) => {
            let is_principal = target
                .get(service.len()..)
                .is_some_and(|rest| rest.starts_with('/'));
            let host = match host.split_once(['@', '/']) {
                Some((host, _)) if is_principal => host,
                _ => host,
            };
            (service.to_ascii_lowercase(), host_of(host))
        }
        None => (target.to_ascii_lowercase(), String::new()),
    }
}

/// A text without the backslashes that quote the character behind them.
fn unquoted(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain.into()
}

/// A host without the port behind it, which a principal may have; an IPv6 address has colons of its
/// own.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((front, port))
            if port.bytes().all(|octet| octet.is_ascii_digit())
                && (!front.contains(':') || front.ends_with(']')) =>
        {
            front.strip_suffix('.').unwrap_or(front)
        }
        _ => host,
    }
}

/// A host in lower case, without the dot of a fully qualified one.
fn host_of(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Whether `text` is of the form of `pattern`: `*` stands for any octets, `?` for one.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(octet) = text.get(at_text) {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                star = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == octet => {
                at_pattern += 1;
                at_text += 1;
            }
            // Let the last star stand for one more octet.
            _ => match star.as_mut() {
                Some((place, taken)) => {
                    *taken += 1;
                    at_pattern = *place + 1;
                    at_text = *taken;
                }
                None => return false,
            },
        }
    }
    let mut rest = pattern.iter().skip(at_pattern);
    rest.all(|wanted| *wanted == b'*')
}

/// A name of a host has 255 octets, a path a few more; matching costs the product of both lengths.
const LONGEST_PATTERN: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_any_octets() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.example", "www.corp.example", true),
            ("*.example", "example", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a", "", false),
            ("", "a", false),
            ("a*", "a", true),
            ("*b", "ab*b", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                matches,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_target_is_matched_by_service_and_host_in_any_case() {
        for (pattern, target, matches) in [
            ("HTTP@*.corp.example", "HTTP@www.corp.example", true),
            ("HTTP@*.corp.example", "http@WWW.CORP.EXAMPLE", true),
            ("HTTP@*.corp.example", "HTTP@www.corp.example.", true),
            ("HTTP@*.corp.example", "HTTP/www.corp.example", true),
            (
                "HTTP@*.corp.example",
                "HTTP/www.corp.example@CORP.EXAMPLE",
                true,
            ),
            ("HTTP@*.corp.example", "host@www.corp.example", false),
            ("HTTP@*.corp.example", "HTTP@www.evil.example", false),
            ("HTTP/*.corp.example.", "HTTP@www.corp.example", true),
            ("*.corp.example", "imap@mail.corp.example", true),
            ("*@mail", "imap@mail", true),
            ("HTTP@*", "HTTP", true),
            ("10.0.0.*", "HTTP@10.0.0.7", true),
            ("HTTP@www", "HTTP@www:8080", true),
            ("HTTP@www", "HTTP/www.:8080@REALM", true),
            ("HTTP@www:80*", "HTTP@www:8080", true),
            ("HTTP@www:80", "HTTP@www:8080", false),
            ("HTTP@www", "HTTP@www:instance", false),
            ("HTTP@[2001:db8::1]", "HTTP@[2001:db8::1]:443", true),
            ("HTTP@2001:db8::1", "HTTP@2001:db8::1", true),
            ("HTTP@2001:db8:", "HTTP@2001:db8::1", false),
            ("HTTP@www", "HTTP@www\0", true),
            ("HTTP@www", "HTTP@www\0.evil.example", true),
            ("HTTP@www", "H\\TTP/ww\\w@REALM", true),
            ("HTTP@www", "HTTP/www\\", true),
        ] {
            let (service, host) = parts(target);
            let pattern = Target::parse(pattern).unwrap();
            assert_eq!(
                pattern.matches(&service, &host),
                matches,
                "{pattern:?} {target}"
            );
        }
    }

    #[test]
    fn a_program_is_matched_by_name_or_by_path() {
        for (pattern, matches) in [
            ("curl", true),
            ("cur?", true),
            ("/usr/bin/curl", true),
            ("/usr/bin/*", true),
            ("*/bin/curl", true),
            ("Curl", false),
            ("/usr/local/bin/curl", false),
            ("bin", false),
        ] {
            let program = Program::parse(pattern).unwrap();
            assert_eq!(program.matches("/usr/bin/curl"), matches, "{pattern}");
        }
        assert!(Program::parse("bin/curl").is_err());
        assert!(Program::parse("").is_err());
        assert!(Target::parse(&"x".repeat(513)).is_err());
    }

    #[test]
    fn addresses_are_told_from_names() {
        for target in [
            "HTTP@192.0.2.1",
            "HTTP/192.0.2.1@REALM",
            "HTTP@::1",
            "HTTP@[2001:db8::1]",
            "HTTP@fe80::1%eth0",
            "HTTP@192.0.2.1.",
            "HTTP@192.0.2.1:443",
            "HTTP@[2001:db8::1]:443",
        ] {
            assert!(is_address(target), "{target}");
        }
        for target in [
            "HTTP@www.example.org",
            "HTTP@1.example.org",
            "HTTP",
            "1.2.3",
        ] {
            assert!(!is_address(target), "{target}");
        }
    }
}

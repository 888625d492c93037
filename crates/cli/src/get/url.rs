//! The address of a page: http or https, a host, a port, a path.
#![forbid(unsafe_code)]

use std::fmt;

/// An address that can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    /// As it is written in an address: one of IPv6 in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With the query, without the fragment.
    pub(crate) path: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // Behind what may be a user there may be a password, which is not repeated.
        let wrong = |what: &str| match text.contains('@') {
            true => what.to_owned(),
            false => format!("{text}: {what}"),
        };
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) || !text.is_ascii() {
            return Err(wrong("other characters than an address has"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(WANTED))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong(WANTED)),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        if authority.contains('@') {
            return Err(wrong("a user is named by --user, not in the address"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let sound = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                !host.is_empty() && host.chars().all(of_name)
            }
        };
        if !sound {
            return Err(wrong("the host is malformed"));
        }
        let port = match (port, tls) {
            (None, false) => 80,
            (None, true) => 443,
            (Some(port), _) => port.parse().map_err(|_| wrong("the port is malformed"))?,
        };
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// The host as names and addresses are looked up.
    pub(crate) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Host and port, the port only where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

const WANTED: &str = "an address begins with http:// or https://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_put_together() {
        for (text, shown, name, port) in [
            ("http://a.example", "http://a.example/", "a.example", 80),
            ("HTTPS://a:443/b?c#d", "https://a/b?c", "a", 443),
            ("http://a:8080?q", "http://a:8080/?q", "a", 8080),
            ("http://[::1]:81/x", "http://[::1]:81/x", "::1", 81),
            ("http://[::1]/x", "http://[::1]/x", "::1", 80),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!((url.name(), url.port), (name, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "a.example",
            "ftp://a",
            "http://",
            "http://a:b/",
            "http://a:70000/",
            "http://user:secret@a/",
            "http://a b/",
            "http://a/\r\nX: y",
            "http://[::1/",
            "http://[x]/",
            "http://ä/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        for text in [
            "http://user:secret@a/",
            "ftp://user:secret@a/",
            "user:secret@a",
            "http://user:secret @a/",
        ] {
            let refused = Url::parse(text).err().unwrap();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}

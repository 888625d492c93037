//! Whom an initiator takes the acceptor for: MsvAvTargetName, which the proof of the password covers,
//! held against the acceptor's own names. Another name is that of a server whose client was relayed
//! here. Windows calls it SPN target name validation (SmbServerNameHardeningLevel).
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::accounts::same;
use super::host::Host;
use super::message::{Authenticate, text};
use super::target_info::TargetInfo;
use spnego::channel::ChannelBindings;

/// What a machine is called, as it is when it is asked.
pub trait MachineNames: fmt::Debug {
    /// Its names, in any form in which clients use them.
    fn names(&self) -> Vec<String>;

    /// Whether this is an address of it, not counting loopback.
    fn has_address(&self, address: IpAddr) -> bool;
}

/// An acceptor, as initiators name one.
#[derive(Clone, Copy, Debug)]
pub struct Acceptor<'a> {
    /// The name that its caller accepts for, `HTTP@www.example.org` or a service alone; `None`: any
    /// service of the machine.
    pub service: Option<&'a str>,
    /// The machine that it is on.
    pub machine: &'a dyn MachineNames,
    /// The channel: its acceptor's address is one more name.
    pub bindings: Option<ChannelBindings<'a>>,
}

/// What an initiator's target name is to the acceptor that it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetFit {
    /// The acceptor's own.
    Own,
    /// Another one's: the initiator did not mean to sign in here.
    Other,
    /// None, though there is a place for it: clients that are told no name send it empty.
    Empty,
    /// There is not even the place for it, as with clients older than Windows 7.
    Absent,
}

impl TargetFit {
    /// In words, for the trace.
    pub fn words(self) -> &'static str {
        match self {
            Self::Own => "a name of this acceptor",
            Self::Other => "no name of this acceptor: the client meant another one",
            Self::Empty => "the client was told none",
            Self::Absent => "the client has none to tell",
        }
    }
}

/// What an initiator has signed of whom it wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// MsvAvTargetName; `None` when there is no such pair.
    name: Option<String>,
    /// What the initiator says that its machine is called.
    workstation: String,
}

impl Target {
    /// That of an AUTHENTICATE_MESSAGE of NTLMv2: to be believed once it was accepted.
    pub fn of(authenticate: &[u8]) -> Self {
        let Ok(message) = Authenticate::in_any_text(authenticate) else {
            return Self::new(None, &[]);
        };
        let info = super::passing::target_info(&message).ok().flatten();
        Self::read(&message, info.as_ref())
    }

    pub(super) fn read(message: &Authenticate<'_>, info: Option<&TargetInfo<'_>>) -> Self {
        Self::new(info.and_then(|info| info.target_name), message.workstation)
    }

    fn new(name: Option<&[u8]>, workstation: &[u8]) -> Self {
        Self {
            // One that is no text is nobody's name, and not the same as none.
            name: name.map(|name| text(name).unwrap_or_else(|| '\u{fffd}'.into())),
            workstation: text(workstation).unwrap_or_default(),
        }
    }

    /// The name, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }

    /// The same, to keep.
    pub(super) fn into_name(self) -> Option<String> {
        self.name.filter(|name| !name.is_empty())
    }

    /// What it is to this acceptor, on a machine with this NetBIOS name.
    pub fn fit(&self, acceptor: &Acceptor<'_>, host: &Host) -> TargetFit {
        match self.name.as_deref() {
            None => TargetFit::Absent,
            Some("") => TargetFit::Empty,
            Some(name) if acceptor.is_called(name, || self.is_from(host)) => TargetFit::Own,
            Some(_) => TargetFit::Other,
        }
    }

    /// Whether the initiator says that it is on the acceptor's machine. One that was relayed here is
    /// honest, and on another; nobody can alter what it says, which the MIC covers.
    fn is_from(&self, host: &Host) -> bool {
        let ours = text(&host.computer).unwrap_or_default();
        let theirs: String = self
            .workstation
            .chars()
            .take(Host::LONGEST_NETBIOS)
            .collect();
        !ours.is_empty() && same(&theirs, &ours)
    }
}

impl Acceptor<'_> {
    /// Whether a service principal name is one of this acceptor's. `is_local`: it was asked for on
    /// this machine; on any other, `localhost` is that other one.
    pub(super) fn is_called(&self, target: &str, is_local: impl Fn() -> bool) -> bool {
        let target = ServiceName::of_target(target);
        let own = self.service.map(ServiceName::of_acceptor);
        let service = own.as_ref().and_then(|own| own.service);
        if service.is_some_and(|own| !target.service.is_some_and(|asked| same(own, asked))) {
            return false;
        }
        let Some(asked) = target.host else {
            return false;
        };
        if is_loopback(asked) {
            return is_local();
        }
        let is_own = |name: &str| is_same_host(name, asked);
        if own.and_then(|own| own.host).is_some_and(is_own) {
            return true;
        }
        match address(asked) {
            Some(address) => {
                self.bindings.as_ref().and_then(acceptor_address) == Some(address)
                    || self.machine.has_address(address)
            }
            None => self.machine.names().iter().any(|name| is_own(name)),
        }
    }
}

/// A service principal name, taken apart: `service/host`, or as GSS-API has it `service@host`; a
/// port or an instance, a third part and a realm say nothing of whose it is.
struct ServiceName<'a> {
    service: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> ServiceName<'a> {
    /// What has no separator is a host.
    fn of_target(name: &'a str) -> Self {
        Self::apart(name).unwrap_or_else(|| Self {
            service: None,
            host: host_alone(name),
        })
    }

    /// What has no separator is a service.
    fn of_acceptor(name: &'a str) -> Self {
        Self::apart(name).unwrap_or(Self {
            service: Some(name),
            host: None,
        })
    }

    fn apart(name: &'a str) -> Option<Self> {
        let (service, rest) = name.split_once('/').or_else(|| name.split_once('@'))?;
        Some(Self {
            service: Some(service),
            host: host_alone(rest),
        })
    }
}

/// A host without what may stand behind it; `None` when nothing is left.
fn host_alone(rest: &str) -> Option<&str> {
    let host = rest.split(['/', '@']).next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        // More than one colon is an address of IPv6.
        None => match host.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => host,
        },
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then_some(host)
}

fn is_same_host(one: &str, other: &str) -> bool {
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => same(one.strip_suffix('.').unwrap_or(one), other),
        _ => false,
    }
}

/// The names that every machine has for itself: RFC 6761 section 6.3, and those of Debian's
/// /etc/hosts.
fn is_loopback(host: &str) -> bool {
    if let Some(address) = address(host) {
        return address.is_loopback();
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    same(last, "localhost") || ALSO_LOCAL.iter().any(|name| same(host, name))
}

/// An address, without a zone; one of IPv4 in either form is the same.
fn address(host: &str) -> Option<IpAddr> {
    let host = host.split('%').next().unwrap_or_default();
    host.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// The acceptor's address, if it is one of the Internet (RFC 2744 section 3.11).
fn acceptor_address(channel: &ChannelBindings<'_>) -> Option<IpAddr> {
    let octets = channel.acceptor_address;
    match channel.acceptor_address_type {
        GSS_C_AF_INET => {
            let octets: [u8; 4] = octets.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        }
        GSS_C_AF_INET6 => {
            let octets: [u8; 16] = octets.try_into().ok()?;
            Some(IpAddr::from(Ipv6Addr::from(octets)).to_canonical())
        }
        _ => None,
    }
}

const ALSO_LOCAL: [&str; 3] = ["localhost.localdomain", "ip6-localhost", "ip6-loopback"];

const GSS_C_AF_INET: u32 = 2;
/// Of Heimdal's gssapi.h; RFC 2744 has none.
const GSS_C_AF_INET6: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Machine;

    impl MachineNames for Machine {
        fn names(&self) -> Vec<String> {
            ["www.example.org", "www", "Intranet.example.org."]
                .map(Into::into)
                .to_vec()
        }

        fn has_address(&self, address: IpAddr) -> bool {
            let own = ["192.0.2.7", "2001:db8::7"];
            own.iter().any(|own| own.parse() == Ok(address))
        }
    }

    fn fit(service: Option<&str>, name: &str) -> TargetFit {
        fit_from("CLIENT", service, name)
    }

    fn fit_from(workstation: &str, service: Option<&str>, name: &str) -> TargetFit {
        let target = Target {
            name: Some(name.to_owned()),
            workstation: workstation.to_owned(),
        };
        let channel = ChannelBindings {
            acceptor_address_type: GSS_C_AF_INET,
            acceptor_address: &[198, 51, 100, 1],
            ..ChannelBindings::default()
        };
        let acceptor = Acceptor {
            service,
            machine: &Machine,
            bindings: Some(channel),
        };
        target.fit(&acceptor, &Host::named("www.example.org", None, None))
    }

    #[test]
    fn names_of_the_machine_and_of_the_service_are_the_acceptor_s() {
        let web = Some("HTTP@www.example.org");
        let shop = Some("HTTP@shop.example.com");
        for (service, name) in [
            (None, "HTTP/www.example.org"),
            (None, "cifs/WWW"),
            (None, "www"),
            (None, "ldap/www.example.org/example.org"),
            (None, "HTTP/192.0.2.7"),
            (None, "HTTP/192.0.2.7:8080"),
            (None, "HTTP/::ffff:192.0.2.7"),
            (None, "HTTP/[2001:DB8::7]:443"),
            (None, "HTTP/2001:db8:0::7"),
            (None, "HTTP/2001:db8::7%eth0"),
            (None, "HTTP/198.51.100.1"),
            (web, "http/WWW.Example.ORG"),
            (web, "HTTP/www.example.org."),
            (web, "HTTP/www.example.org:8443"),
            (web, "HTTP/www.example.org@EXAMPLE.ORG"),
            (web, "HTTP@www.example.org"),
            (web, "HTTP/intranet.example.org"),
            (shop, "HTTP/shop.example.com"),
            (shop, "HTTP/www.example.org"),
            (
                Some("HTTP/shop.example.com@EXAMPLE.COM"),
                "http/shop.example.com",
            ),
            (Some("HTTP"), "HTTP/www"),
            (Some("HTTP@"), "HTTP/www"),
            (Some("MSSQLSvc@www"), "mssqlsvc/www:INSTANCE"),
            (Some("HTTP@203.0.113.9"), "HTTP/203.0.113.9"),
        ] {
            assert_eq!(fit(service, name), TargetFit::Own, "{service:?} {name}");
        }
    }

    #[test]
    fn other_names_are_another_s() {
        let web = Some("HTTP@www.example.org");
        for (service, name) in [
            (None, "HTTP/www.example.com"),
            (None, "HTTP/www.example.org.evil.example"),
            (None, "HTTP/evil"),
            (None, "HTTP/192.0.2.8"),
            (None, "HTTP/"),
            (None, "/www.example.org.evil"),
            (None, "HTTP/@www.example.org"),
            (None, "HTTP//www.example.org"),
            (None, "\u{fffd}"),
            (web, "cifs/www.example.org"),
            (web, "www.example.org"),
            (web, "/www.example.org"),
            (web, "HTTP/shop.example.com"),
            (Some("HTTP"), "cifs/www"),
            (Some("HTTP@203.0.113.9"), "HTTP/203.0.113.90"),
        ] {
            assert_eq!(fit(service, name), TargetFit::Other, "{service:?} {name}");
        }
    }

    /// Another machine's client that wanted to reach itself did not want to come here.
    #[test]
    fn localhost_is_the_machine_of_the_client() {
        for name in [
            "HTTP/localhost",
            "HTTP/LOCALHOST:80",
            "HTTP/web.localhost",
            "HTTP/localhost.localdomain",
            "HTTP/127.0.0.1",
            "HTTP/127.1.2.3:80",
            "HTTP/[::1]:80",
        ] {
            for service in [
                None,
                Some("HTTP"),
                Some("HTTP@localhost"),
                Some("HTTP@127.0.0.1"),
            ] {
                assert_eq!(fit_from("www", service, name), TargetFit::Own, "{name}");
                for elsewhere in ["CLIENT", "", "WWW2"] {
                    let fit = fit_from(elsewhere, service, name);
                    assert_eq!(fit, TargetFit::Other, "{name} {elsewhere}");
                }
            }
        }
    }

    #[test]
    fn none_and_an_empty_one_are_told_apart() {
        assert_eq!(fit(None, ""), TargetFit::Empty);
        let target = Target::of(b"NTLMSSP\0\x03\0\0\0");
        let host = Host::named("www", None, None);
        let acceptor = Acceptor {
            service: None,
            machine: &Machine,
            bindings: None,
        };
        assert_eq!(target.fit(&acceptor, &host), TargetFit::Absent);
        assert_eq!(target.name(), None);
    }
}

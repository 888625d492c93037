//! What this machine is called in NTLM: an initiator's workstation, an acceptor's target.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::message::{text, utf16};
use super::target::MachineNames;
use super::target_info::{av, push_pair};

/// The names of a machine, as they go into messages.
#[derive(Clone, Debug)]
pub struct Host {
    /// NetBIOS name, UTF-16.
    pub(super) computer: Vec<u8>,
    /// The AV pairs that name the machine.
    pub(super) pairs: Vec<u8>,
    /// Its DNS name.
    dns: String,
}

impl Host {
    /// A machine by its DNS name. The NetBIOS name is its first label, unless given; the NetBIOS
    /// domain is, as on a machine in no domain, the machine itself, unless given.
    pub fn named(dns: &str, computer: Option<&str>, domain: Option<&str>) -> Self {
        let dns: String = dns.chars().take(LONGEST_DNS).collect();
        let (label, dns_domain) = dns.split_once('.').unwrap_or((&dns, ""));
        let label = if label.is_empty() { "LOCALHOST" } else { label };
        let netbios = |name: &str| {
            let upper = name.to_uppercase();
            utf16(
                &upper
                    .chars()
                    .take(Self::LONGEST_NETBIOS)
                    .collect::<String>(),
            )
        };
        let computer = netbios(computer.unwrap_or(label));
        let domain = domain.map_or_else(|| computer.clone(), netbios);
        let mut pairs = Vec::new();
        for (id, name) in [
            (av::DOMAIN, &domain),
            (av::COMPUTER, &computer),
            (av::DNS_DOMAIN, &utf16(dns_domain)),
            (av::DNS_COMPUTER, &utf16(&dns)),
        ] {
            // None of them is longer than a pair can be: see the limits.
            let _ = push_pair(&mut pairs, id, name);
        }
        Self {
            computer,
            pairs,
            dns,
        }
    }

    /// RFC 1001 section 14.1, less the octet for the kind of service.
    pub(super) const LONGEST_NETBIOS: usize = 15;
}

/// A machine that is known by what its messages say, and has no address.
impl MachineNames for Host {
    fn names(&self) -> Vec<String> {
        let label = self.dns.split('.').next().unwrap_or_default();
        let computer = text(&self.computer).unwrap_or_default();
        vec![self.dns.clone(), label.to_owned(), computer]
    }

    fn has_address(&self, _: IpAddr) -> bool {
        false
    }
}

/// RFC 1035 section 2.3.4.
const LONGEST_DNS: usize = 255;

#[cfg(test)]
mod tests {
    use super::super::target_info::TargetInfo;
    use super::*;

    fn pairs(host: &Host) -> Vec<(u16, String)> {
        let mut pairs = host.pairs.clone();
        push_pair(&mut pairs, av::END, &[]).unwrap();
        TargetInfo::decode(&pairs)
            .unwrap()
            .pairs()
            .map(|(id, value)| (id, super::super::message::text(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_machine_in_no_domain_is_its_own() {
        let host = Host::named("server.example.org", None, None);
        assert_eq!(
            pairs(&host),
            [
                (2, "SERVER".to_owned()),
                (1, "SERVER".to_owned()),
                (4, "example.org".to_owned()),
                (3, "server.example.org".to_owned()),
            ]
        );
    }

    #[test]
    fn given_names_win_and_none_is_empty_or_too_long() {
        let host = Host::named("", None, Some("corp"));
        assert_eq!(
            pairs(&host)[..2],
            [(2, "CORP".to_owned()), (1, "LOCALHOST".to_owned())]
        );
        let host = Host::named(&"a".repeat(70_000), Some("box"), None);
        assert_eq!(pairs(&host)[1], (1, "BOX".to_owned()));
        assert_eq!(pairs(&host)[3].1.len(), LONGEST_DNS);
    }
}

//! What this machine is called, and its addresses, as they are when they are asked for. Nobody else is
//! asked: a name server's word must not decide who may sign in.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fs, ptr};

/// What this machine calls itself; empty when it does not say.
pub fn host_name() -> String {
    // SAFETY: plain memory, which is filled below.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the out is a local.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return String::new();
    }
    // SAFETY: the kernel's strings are NUL-terminated within their arrays.
    let name = unsafe { std::ffi::CStr::from_ptr(names.nodename.as_ptr()) };
    name.to_string_lossy().into_owned()
}

/// The host name, its first label, and what the lines of /etc/hosts with one of them have besides.
pub fn names() -> Vec<String> {
    let name = host_name();
    let hosts = read_bounded("/etc/hosts").unwrap_or_default();
    let label = name.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![name, label];
    names.retain(|name| !name.is_empty());
    names.extend(aliases(&hosts, &names));
    names
}

/// Whether an interface of this machine has this address.
pub fn has_address(address: IpAddr) -> bool {
    addresses().contains(&address)
}

/// The names on the lines that have one of `own`.
fn aliases(hosts: &str, own: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let on_line = || line.split_ascii_whitespace().skip(1);
        if on_line().any(|name| own.iter().any(|own| own.eq_ignore_ascii_case(name))) {
            found.extend(on_line().map(ToOwned::to_owned));
        }
    }
    found
}

fn read_bounded(path: &str) -> io::Result<String> {
    let mut text = Vec::new();
    fs::File::open(path)?
        .take(LARGEST_HOSTS)
        .read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The addresses of this machine's interfaces.
fn addresses() -> Vec<IpAddr> {
    let mut first = ptr::null_mut();
    // SAFETY: the out is a local.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: getifaddrs(3): a list that ends with null, unchanged until it is freed below.
        let interface = unsafe { ptr::read(next) };
        found.extend(address(interface.ifa_addr));
        next = interface.ifa_next;
    }
    // SAFETY: what getifaddrs gave, and nothing of it is kept.
    unsafe { libc::freeifaddrs(first) };
    found
}

/// The address in what an interface has for one; null when it has none.
fn address(socket: *const libc::sockaddr) -> Option<IpAddr> {
    if socket.is_null() {
        return None;
    }
    // SAFETY: getifaddrs(3): not null, so an address, whose family says of which type it is.
    let family = unsafe { ptr::read_unaligned(socket) }.sa_family;
    match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: of this family, so of this type.
            let socket = unsafe { ptr::read_unaligned(socket.cast::<libc::sockaddr_in>()) };
            let address = Ipv4Addr::from(u32::from_be(socket.sin_addr.s_addr));
            Some(address.into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let socket = unsafe { ptr::read_unaligned(socket.cast::<libc::sockaddr_in6>()) };
            let address = Ipv6Addr::from(socket.sin6_addr.s6_addr);
            Some(IpAddr::from(address).to_canonical())
        }
        _ => None,
    }
}

/// A machine's own line is among the first; lists of advertisers are longer.
const LARGEST_HOSTS: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_stand_on_the_machines_own_lines() {
        let hosts = "127.0.0.1 localhost # www\n\
                     127.0.1.1\twww.example.org www intranet # a comment\n\
                     192.0.2.1 other.example.org other\n\
                     0.0.0.0 ads.example\n\
                     ::1 WWW ip6.example.org\n";
        let own = ["www".to_owned(), "www.example.org".to_owned()];
        let found = aliases(hosts, &own);
        let expected = [
            "www.example.org",
            "www",
            "intranet",
            "WWW",
            "ip6.example.org",
        ];
        assert_eq!(found, expected);
        assert!(aliases(hosts, &[]).is_empty() && aliases("", &own).is_empty());
    }

    #[test]
    fn this_machine_has_a_name_and_the_address_of_its_loopback() {
        assert!(names().contains(&host_name()));
        assert!(has_address(Ipv4Addr::LOCALHOST.into()));
        assert!(!has_address(Ipv4Addr::new(203, 0, 113, 77).into()));
    }
}

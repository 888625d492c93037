//! This machine, as our own NTLM and its peers name it.
#![forbid(unsafe_code)]

use gssapi::{environment, machine};
use ntlm::{Host, MachineNames};
use spnego::lock::held_briefly;
use std::ffi::OsString;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// This machine, asked each time: it may be renamed.
#[derive(Debug)]
pub(crate) struct ThisMachine;

impl MachineNames for ThisMachine {
    fn names(&self) -> Vec<String> {
        machine::names()
    }

    fn has_address(&self, address: IpAddr) -> bool {
        machine::has_address(address)
    }
}

/// What it says of itself in messages: made anew when what it is made from has changed.
pub(crate) fn host() -> Arc<Host> {
    static KNOWN: Mutex<Option<Arc<Named>>> = Mutex::new(None);
    // Who cannot have the lock, which a fork may have left locked, makes one for this call.
    let known = held_briefly(&KNOWN).and_then(|known| known.clone());
    let dns = machine::host_name();
    if let Some(known) = known.filter(|known| known.is_still(&dns)) {
        return Arc::clone(&known.host);
    }
    let made = Arc::new(Named::new(dns));
    if let Some(mut known) = held_briefly(&KNOWN) {
        *known = Some(Arc::clone(&made));
    }
    Arc::clone(&made.host)
}

/// This machine, and what its names were made from.
struct Named {
    dns: String,
    netbios: [Option<OsString>; NETBIOS.len()],
    host: Arc<Host>,
}

impl Named {
    fn new(dns: String) -> Self {
        let netbios = NETBIOS.map(environment::variable);
        let [computer, domain] = netbios.each_ref().map(|value| {
            let value = value.as_ref()?.to_str()?;
            (!value.is_empty()).then_some(value)
        });
        Self {
            host: Arc::new(Host::named(&dns, computer, domain)),
            dns,
            netbios,
        }
    }

    fn is_still(&self, dns: &str) -> bool {
        let mut variables = NETBIOS.iter().zip(&self.netbios);
        self.dns == dns
            && variables.all(|(name, value)| environment::is_set_to(name, value.as_deref()))
    }
}

/// The variables that name the computer and its domain, for gss-ntlmssp as well.
const NETBIOS: [&str; 2] = ["NETBIOS_COMPUTER_NAME", "NETBIOS_DOMAIN_NAME"];

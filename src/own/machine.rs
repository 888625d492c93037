//! This machine, as our own NTLM and its peers name it.
#![forbid(unsafe_code)]

use gssapi::{environment, machine};
use ntlm::{Host, MachineNames};
use std::net::IpAddr;
use std::sync::OnceLock;

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

/// What it says of itself in messages, found out once in a process.
pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let variable = |name| {
            let value = environment::variable(name)?.into_string().ok()?;
            (!value.is_empty()).then_some(value)
        };
        Host::named(
            &machine::host_name(),
            variable("NETBIOS_COMPUTER_NAME").as_deref(),
            variable("NETBIOS_DOMAIN_NAME").as_deref(),
        )
    })
}

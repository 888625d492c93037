//! NegotiateFlags of NTLM, MS-NLMP section 2.2.2.5.
#![forbid(unsafe_code)]

pub(crate) const UNICODE: u64 = 0x0000_0001;
pub(crate) const OEM: u64 = 0x0000_0002;
pub(crate) const SEAL: u64 = 0x0000_0020;
pub(crate) const LM_KEY: u64 = 0x0000_0080;
pub(crate) const ANONYMOUS: u64 = 0x0000_0800;
pub(crate) const DOMAIN_SUPPLIED: u64 = 0x0000_1000;
pub(crate) const WORKSTATION_SUPPLIED: u64 = 0x0000_2000;
/// Reserved in MS-NLMP; Windows sets it where client and server are one machine.
pub(crate) const LOCAL_CALL: u64 = 0x0000_4000;
pub(crate) const EXTENDED_SESSION_SECURITY: u64 = 0x0008_0000;
pub(crate) const TARGET_INFO: u64 = 0x0080_0000;
pub(crate) const VERSION: u64 = 0x0200_0000;
pub(crate) const KEY_128: u64 = 0x2000_0000;
pub(crate) const KEY_EXCHANGE: u64 = 0x4000_0000;

/// NegotiateFlags, MS-NLMP section 2.2.2.5, without NTLMSSP_ before each.
pub(crate) const FLAGS: [(u64, &str); 32] = [
    (UNICODE, "UNICODE"),
    (OEM, "OEM"),
    (0x0000_0004, "REQUEST_TARGET"),
    (0x0000_0008, "reserved 0x8"),
    (0x0000_0010, "SIGN"),
    (SEAL, "SEAL"),
    (0x0000_0040, "DATAGRAM"),
    (LM_KEY, "LM_KEY"),
    (0x0000_0100, "reserved 0x100"),
    (0x0000_0200, "NTLM"),
    (0x0000_0400, "reserved 0x400"),
    (ANONYMOUS, "ANONYMOUS"),
    (DOMAIN_SUPPLIED, "OEM_DOMAIN_SUPPLIED"),
    (WORKSTATION_SUPPLIED, "OEM_WORKSTATION_SUPPLIED"),
    (LOCAL_CALL, "LOCAL_CALL"),
    (0x0000_8000, "ALWAYS_SIGN"),
    (0x0001_0000, "TARGET_TYPE_DOMAIN"),
    (0x0002_0000, "TARGET_TYPE_SERVER"),
    (0x0004_0000, "reserved 0x40000"),
    (EXTENDED_SESSION_SECURITY, "EXTENDED_SESSIONSECURITY"),
    (0x0010_0000, "IDENTIFY"),
    (0x0020_0000, "reserved 0x200000"),
    (0x0040_0000, "REQUEST_NON_NT_SESSION_KEY"),
    (TARGET_INFO, "TARGET_INFO"),
    (0x0100_0000, "reserved 0x1000000"),
    (VERSION, "VERSION"),
    (0x0400_0000, "reserved 0x4000000"),
    (0x0800_0000, "reserved 0x8000000"),
    (0x1000_0000, "reserved 0x10000000"),
    (KEY_128, "128"),
    (KEY_EXCHANGE, "KEY_EXCH"),
    (0x8000_0000, "56"),
];

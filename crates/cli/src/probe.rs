//! `spnego probe`, for the doctor's children only: one question that loads a library, asks
//! the network or may crash, and its answer as JSON. What happens here never happens to the doctor.
#![forbid(unsafe_code)]

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use gssapi::system::{Library, No, Session, Sessions};
use http::{Context, Flags};
use serde_json::{Value, json};
use spnego::error::plain;
use spnego::oid::{self, Oid};
use spnego::role::Role;

use crate::leg::{self, Summary};
use crate::library;
use crate::print::{self, Verdict};

/// Answer one question of the doctor's
#[derive(Parser)]
pub(crate) struct Probe {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand)]
enum Question {
    /// Load a GSS-API library and see whose SPNEGO it has
    Library { whose: Whose },
    /// Load any library
    Open { file: PathBuf },
    /// Find a credential
    Credential {
        whose: Whose,
        mech: String,
        #[arg(value_parser = role_named)]
        role: Role,
    },
    /// Begin a security context
    Begin {
        whose: Whose,
        mech: String,
        service: String,
    },
    /// Accept a first token of a mechanism without SPNEGO
    Alone { mech: String },
    /// Sign in to oneself
    Both { service: String },
    /// Ask libkrb5 about its configuration
    Kerberos {
        service: Option<String>,
        host: Option<String>,
    },
    /// Compare the clock with a KDC's
    Clock { kdc: String, realm: String },
    /// Resolve a name, and its addresses
    Names { host: String },
}

#[derive(Clone, Copy, ValueEnum)]
enum Whose {
    Mit,
    Heimdal,
}

impl Probe {
    pub(crate) fn run(self) -> Verdict {
        print::json(&match self.question {
            Question::Library { whose } => whose.library(),
            Question::Open { file } => json!({"error": library::open(&file).err()}),
            Question::Credential { whose, mech, role } => credential(whose.of(), &mech, role),
            Question::Begin {
                whose,
                mech,
                service,
            } => begin(whose.of(), &mech, &service),
            Question::Alone { mech } => alone(&mech),
            Question::Both { service } => both(&service),
            Question::Kerberos { service, host } => {
                let service = service.as_deref().zip(host.as_deref());
                kerberos(service)
            }
            Question::Clock { kdc, realm } => match crate::doctor::offset(&kdc, &realm) {
                Ok(offset) => json!({"offset": offset}),
                Err(error) => json!({"error": error}),
            },
            Question::Names { host } => names(&host),
        });
        Verdict::Well
    }
}

impl Whose {
    fn of(self) -> Library {
        match self {
            Self::Mit => Library::Mit,
            Self::Heimdal => Library::Heimdal,
        }
    }

    fn library(self) -> Value {
        let library = self.of();
        if let Err(error) = library.load() {
            return json!({"error": leg::sentences(&error)});
        }
        let path = library::mapped().into_iter().find(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(library.soname())
        });
        // A SPNEGO is loaded when somebody asks for it.
        let asked = library.is_ours();
        let version = match self {
            Self::Mit => None,
            Self::Heimdal => library::heimdal_version(),
        };
        let mapped = library::mapped();
        json!({"path": path, "version": version, "ours": asked, "mapped": mapped})
    }
}

fn role_named(word: &str) -> Result<Role, String> {
    [Role::Initiator, Role::Acceptor]
        .into_iter()
        .find(|role| role.name() == word)
        .ok_or_else(|| "initiator or acceptor".to_owned())
}

fn credential(library: Library, mech: &str, role: Role) -> Value {
    let credential = mechanism(mech).and_then(|mech| library.credential(&mech, role));
    match credential {
        Ok(found) => json!({"name": found.name, "lifetime": found.lifetime}),
        Err(no) => refusal(&no),
    }
}

fn begin(library: Library, mech: &str, service: &str) -> Value {
    let mut session = match started(library, mech, service) {
        Ok(session) => session,
        Err(no) => return refusal(&no),
    };
    match session.leg(None) {
        Ok(reply) => {
            let token = reply
                .token
                .as_deref()
                .map(|token| Summary::of(token).json());
            let ticket = reply.token.as_deref().and_then(crate::doctor::ticket_of);
            let ticket = ticket.map(|ticket| ticket.json());
            json!({"token": token, "ticket": ticket,
                   "negotiation": leg::told_json(session.told().as_ref())})
        }
        Err(no) => refusal(&no),
    }
}

/// Whether a first token of a mechanism gets to it, past SPNEGO. It begins nothing: the mechanism may
/// find it wrong, and nobody is signed in by it.
fn alone(name: &str) -> Value {
    let taken = mechanism(name).and_then(|mech| {
        let token = if mech == oid::NTLMSSP {
            NEGOTIATE.to_vec()
        } else {
            let inner = [mech.content(), NOT_AN_AP_REQ].concat();
            let (whole, of_mech) = (inner.len() + 2, mech.content().len());
            let octet = |length: usize| u8::try_from(length).unwrap_or_default();
            [&[0x60, octet(whole), 6, octet(of_mech)], &inner[..]].concat()
        };
        Library::Mit.accepts_alone(&token)
    });
    match taken {
        Ok(()) => json!({"taken": true}),
        Err(no) => refusal(&no),
    }
}

/// A NEGOTIATE_MESSAGE (MS-NLMP 2.2.1.1) with a version, without which gss-ntlmssp refuses it: Unicode,
/// request target, sign, NTLM, always sign, extended session security, version, 128 bits, 56 bits.
const NEGOTIATE: &[u8] =
    b"NTLMSSP\0\x01\0\0\0\x15\x82\x08\xa2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\x01\0\0\0\0\0\x0f";
/// The identifier of an AP-REQ (RFC 4121 section 4.1), and none behind it.
const NOT_AN_AP_REQ: &[u8] = &[1, 0, 0x30, 0];

/// Initiator and acceptor in one process: the ticket against the keytab, and who comes out of it.
fn both(service: &str) -> Value {
    let sides = started(Library::Mit, "krb5", service).and_then(|initiator| {
        let acceptor = Sessions::accepting(Library::Mit, None)?;
        Ok((initiator, acceptor.session()))
    });
    let (mut initiator, mut acceptor) = match sides {
        Ok(sides) => sides,
        Err(no) => return refusal(&no),
    };
    let mut token = None;
    for _ in 0..LEGS_MAX {
        let request = match initiator.leg(token.as_deref()) {
            Ok(request) => request,
            Err(no) => return leg::with(refusal(&no), json!({"side": "initiator"})),
        };
        let Some(sent) = request.token else {
            break;
        };
        match acceptor.leg(Some(&sent)) {
            Ok(reply) if reply.complete => {
                return match acceptor.established() {
                    Ok(peer) => leg::who_json(&peer),
                    Err(refused) => json!({"error": refused.reason, "side": "acceptor"}),
                };
            }
            Ok(reply) => token = reply.token,
            Err(no) => return leg::with(refusal(&no), json!({"side": "acceptor"})),
        }
    }
    json!({"error": format!("no end after {LEGS_MAX} round trips")})
}

fn started(library: Library, mech: &str, service: &str) -> Result<Session, No> {
    let mech = mechanism(mech)?;
    let flags = Flags::MUTUAL;
    Ok(Sessions::to(library, service, mech, flags, None, None)?.session())
}

fn kerberos(service: Option<(&str, &str)>) -> Value {
    match library::Kerberos::ask(service) {
        Ok(facts) => json!({
            "default_realm": facts.default_realm,
            "cache": facts.cache,
            "keytab": facts.keytab,
            "principal": facts.principal,
            "realm": facts.realm,
            "kdcs": facts.kdcs,
        }),
        Err(error) => json!({"error": error}),
    }
}

fn names(host: &str) -> Value {
    let addresses = match (host, 0).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return json!({"error": plain(&error)}),
    };
    let mut addresses: Vec<_> = addresses.take(ADDRESSES_MAX).collect();
    addresses.dedup();
    let names = addresses.iter().map(|address| {
        let name = library::name_of(*address);
        // Only an address of this machine can be listened on.
        let local = std::net::UdpSocket::bind((address.ip(), 0)).is_ok();
        json!({"address": address.ip().to_string(), "name": name.as_ref().ok(),
               "error": name.as_ref().err(), "local": local})
    });
    let names: Vec<Value> = names.collect();
    json!({"is_address": host.parse::<IpAddr>().is_ok(), "addresses": names})
}

fn refusal(no: &No) -> Value {
    json!({
        "error": no.reason,
        "major": no.major,
        "what_to_do": no.trouble.as_ref().map(ToString::to_string),
    })
}

fn mechanism(name: &str) -> Result<Oid, No> {
    let known = [oid::SPNEGO, oid::KRB5, oid::NTLMSSP];
    known
        .into_iter()
        .find(|mech| mech.name() == Some(name))
        .or_else(|| name.parse().ok())
        .ok_or_else(|| No {
            major: 0,
            reason: format!("no mechanism is called {name}"),
            trouble: None,
            token: None,
        })
}

/// The word by which a child knows that it is one.
pub(crate) const NAME: &str = "probe";
/// Kerberos takes one round trip.
const LEGS_MAX: usize = 4;
/// Addresses of a host that are looked at.
const ADDRESSES_MAX: usize = 16;

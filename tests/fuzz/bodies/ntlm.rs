//! Any octets as what a peer of NTLM sends, in either role and past another implementation, as a
//! message for an established context, as an exported context, and as a file of users: refused, or
//! taken as what they are; nobody is let in who does not know the password.

use ntlm::{
    Accept, Acceptor, Accounts, Credential, Host, Initiate, Ntlm, Passing, UserName, announces_mic,
    context_flag,
};
use spnego::negotiate::{Mech, Step};

/// The first octet says what the others are.
pub(crate) fn body(input: &[u8]) {
    let Some((kind, octets)) = input.split_first() else {
        return;
    };
    match kind % 6 {
        0 => to_acceptor(octets),
        1 => to_initiator(octets),
        2 => past(octets),
        3 => to_established(octets),
        4 => carried(octets),
        _ => users(octets),
    }
}

struct World {
    host: Host,
    accounts: Accounts,
    credential: Credential,
}

impl World {
    fn new() -> Self {
        Self {
            host: Host::named("host.example.org", None, None),
            accounts: Accounts::parse(b"DOMAIN:user:sesame\n"),
            credential: Credential::from_password(UserName::parse("DOMAIN\\user"), "sesame"),
        }
    }

    fn initiate(&self) -> Initiate<'_> {
        Initiate {
            credential: &self.credential,
            target: Some("HTTP/localhost"),
            bindings: None,
            host: &self.host,
            machine: &self.host,
            context_flags: context_flag::CONFIDENTIALITY | context_flag::INTEGRITY,
        }
    }

    fn accept(&self) -> Accept<'_> {
        Accept {
            accounts: &self.accounts,
            host: &self.host,
            acceptor: Acceptor {
                service: None,
                machine: &self.host,
                bindings: None,
            },
            require_mic: false,
        }
    }
}

fn to_acceptor(octets: &[u8]) {
    let world = World::new();
    let begun = Ntlm::accept(octets, &world.accept());
    if let Ok((context, step)) = begun {
        assert!(matches!(step, Step::Continue(_)), "a challenge is owed");
        assert!(!context.is_established());
    }
    // As an AUTHENTICATE_MESSAGE to a challenge that nobody has seen.
    let (_, negotiate) = Ntlm::initiate(&world.initiate()).expect("an initiator begins");
    let negotiate = token(negotiate);
    let (mut context, _) = Ntlm::accept(&negotiate, &world.accept()).expect("it is honest");
    assert!(context.continue_accept(octets, &world.accept()).is_err());
    assert!(!context.is_established());
}

fn to_initiator(octets: &[u8]) {
    let world = World::new();
    let (mut context, _) = Ntlm::initiate(&world.initiate()).expect("an initiator begins");
    let answered = context.continue_initiate(octets, &world.initiate());
    assert_eq!(answered.is_ok(), context.is_established());
    if let Ok(step) = answered {
        // What it answers is sound, and has the MIC that it says it has.
        let authenticate = token(step);
        Passing::default()
            .incoming(&authenticate)
            .expect("ours is sound");
        assert_eq!(announces_mic(&authenticate), context.demands_mic());
    }
}

fn past(octets: &[u8]) {
    let mut passing = Passing::default();
    let _ = passing.incoming(octets);
    passing.outgoing(octets);
    let _ = passing.incoming(octets);
    let _ = announces_mic(octets);
}

fn to_established(octets: &[u8]) {
    let (_, acceptor) = established();
    assert!(acceptor.unwrap(octets).is_err());
    assert!(acceptor.verify_mic(b"message", octets).is_err());
}

fn carried(octets: &[u8]) {
    if let Some(context) = Ntlm::import(octets) {
        // Whatever it is, it is the same the next time.
        if let Ok(exported) = context.export() {
            let again = Ntlm::import(exported.expose()).expect("what was exported is read");
            let again = again.export().expect("it is as whole as before");
            assert_eq!(again.expose(), exported.expose());
        }
    }
}

fn users(octets: &[u8]) {
    let accounts = Accounts::parse(octets);
    let anybody = octets.split(|octet| *octet == b'\n').count();
    assert!(accounts.problems().len() <= anybody);
    for problem in accounts.problems() {
        assert!(
            !problem.to_string().contains("sesame"),
            "a secret in {problem}"
        );
    }
}

fn established() -> (Ntlm, Ntlm) {
    let world = World::new();
    let (mut initiator, step) = Ntlm::initiate(&world.initiate()).expect("an initiator begins");
    let (mut acceptor, step) = Ntlm::accept(&token(step), &world.accept()).expect("it is honest");
    let step = initiator.continue_initiate(&token(step), &world.initiate());
    let authenticate = token(step.expect("it is honest"));
    let done = acceptor.continue_accept(&authenticate, &world.accept());
    assert!(done.is_ok() && acceptor.is_established());
    (initiator, acceptor)
}

fn token(step: Step<Vec<u8>>) -> Vec<u8> {
    match step {
        Step::Continue(token) | Step::Done(Some(token)) => token,
        Step::Done(None) => Vec::new(),
    }
}

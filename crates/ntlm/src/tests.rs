//! The vectors of MS-NLMP section 4.2, whole exchanges of our two roles, and hostile peers.
#![forbid(unsafe_code)]

use super::acceptor::Challenged;
use super::message::{Authenticate, Challenge, Negotiate, client_challenge, utf16};
use super::response::{exchanged, nt_proof, ntowf_v2, session_base_key};
use super::target_info::{AV_FLAG_MIC, TargetInfo, av, push_pair};
use super::*;

const ALL: u32 = context_flag::INTEGRITY | context_flag::CONFIDENTIALITY;
const NOTHING: u32 = context_flag::PROT_READY | context_flag::TRANSFERABLE;
const SIGNED: u32 =
    NOTHING | context_flag::INTEGRITY | context_flag::REPLAY | context_flag::SEQUENCE;
const SEALED: u32 = SIGNED | context_flag::CONFIDENTIALITY;

/// Everything that two sides need, to be changed before a test uses it.
struct World {
    credential: Credential,
    accounts: Accounts,
    client: Host,
    server: Host,
    context_flags: u32,
    initiator_bindings: Option<ChannelBindings<'static>>,
    acceptor_bindings: Option<ChannelBindings<'static>>,
    service: Option<&'static str>,
    require_mic: bool,
}

impl World {
    fn new() -> Self {
        Self {
            credential: Credential::from_password(UserName::parse("DOMAIN\\User"), "Password"),
            accounts: Accounts::parse(b"DOMAIN:user:Password\n"),
            client: Host::named("client.example.org", None, None),
            server: Host::named("server.example.org", None, None),
            context_flags: ALL,
            initiator_bindings: None,
            acceptor_bindings: None,
            service: None,
            require_mic: true,
        }
    }

    fn initiate(&self) -> Initiate<'_> {
        Initiate {
            credential: &self.credential,
            target: Some("HTTP/server.example.org"),
            bindings: self.initiator_bindings,
            host: &self.client,
            // One process is on one machine.
            machine: &self.server,
            context_flags: self.context_flags,
        }
    }

    fn accept(&self) -> Accept<'_> {
        Accept {
            accounts: &self.accounts,
            host: &self.server,
            acceptor: Acceptor {
                service: self.service,
                machine: &self.server,
                bindings: self.acceptor_bindings,
            },
            require_mic: self.require_mic,
        }
    }

    /// An exchange on whose messages somebody sits.
    fn meddled(
        &self,
        mut meddle: impl FnMut(usize, &mut Vec<u8>),
    ) -> Result<(Ntlm, Ntlm), MechError> {
        let (mut initiator, step) = Ntlm::initiate(&self.initiate())?;
        let mut token = continued(step);
        meddle(0, &mut token);
        let (mut acceptor, step) = Ntlm::accept(&token, &self.accept())?;
        let mut token = continued(step);
        meddle(1, &mut token);
        let step = initiator.continue_initiate(&token, &self.initiate())?;
        let Step::Done(Some(mut token)) = step else {
            panic!("an initiator ends with AUTHENTICATE");
        };
        meddle(2, &mut token);
        let step = acceptor.continue_accept(&token, &self.accept())?;
        assert_eq!(step, Step::Done(None));
        Ok((initiator, acceptor))
    }

    fn established(&self) -> (Ntlm, Ntlm) {
        self.meddled(|_, _| {}).unwrap()
    }

    /// An exchange with an initiator that asks for signing alone.
    fn signing_alone(&self) -> (Ntlm, Ntlm) {
        let mut offered = initiator::Offered::new(&self.initiate()).unwrap();
        offered.flags &= !flag::SEAL;
        offered.confidential = false;
        offered.negotiate = Negotiate {
            flags: offered.flags,
        }
        .encode();
        let (mut acceptor, step) = Ntlm::accept(&offered.negotiate, &self.accept()).unwrap();
        let mut initiator = Ntlm {
            stage: Stage::Offered(offered),
            target: None,
        };
        let step = initiator
            .continue_initiate(&continued(step), &self.initiate())
            .unwrap();
        let Step::Done(Some(token)) = step else {
            panic!("an initiator ends with AUTHENTICATE");
        };
        acceptor.continue_accept(&token, &self.accept()).unwrap();
        for side in [&initiator, &acceptor] {
            assert_eq!((side.context_flags(), side.sasl_ssf()), (SIGNED, 1));
        }
        (initiator, acceptor)
    }

    fn refusal(&self, meddle: impl FnMut(usize, &mut Vec<u8>)) -> MechError {
        self.meddled(meddle).unwrap_err()
    }
}

fn continued(step: Step<Vec<u8>>) -> Vec<u8> {
    let Step::Continue(token) = step else {
        panic!("this leg is not the last");
    };
    token
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn set_flags(token: &mut [u8], at: usize, change: impl Fn(u32) -> u32) {
    let flags = u32::from_le_bytes(token[at..at + 4].try_into().unwrap());
    token[at..at + 4].copy_from_slice(&change(flags).to_le_bytes());
}

// ---------------------------------------------------------------- vectors, MS-NLMP section 4.2

/// Section 4.2.4.3.
const SPEC_CHALLENGE: &str = "4e544c4d53535000 02000000 0c000c00 38000000 33828ae2
    0123456789abcdef 0000000000000000 24002400 44000000 060070170000000f
    530065007200760065007200 02000c0044006f006d00610069006e00
    01000c00530065007200760065007200 00000000";

/// Section 4.2.4.3.
const SPEC_AUTHENTICATE: &str = "4e544c4d53535000 03000000 18001800 6c000000 54005400 84000000
    0c000c00 48000000 08000800 54000000 10001000 5c000000 10001000 d8000000 358288e2
    0501280a0000000f 44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
    86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa
    68cd0ab851e51c96aabc927bebef6a1c 0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000
    02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000 00000000
    c5dad2544fc9799094ce1ce90bc9d03e";

/// Section 4.2.4: what the computation for User of Domain, "Password", gives.
#[test]
fn ntlm_v2_is_the_one_of_the_specification() {
    let spec = hex(SPEC_CHALLENGE);
    let challenge = Challenge::decode(&spec).unwrap();
    assert_eq!(challenge.flags, 0xe28a_8233);
    let password = response::nt_hash("Password");
    let key = hmac(
        keyed(password.expose()),
        [utf16("USER").as_slice(), &utf16("Domain")],
    );
    assert_eq!(key.to_vec(), hex("0c868a403bfd7a93a3001ef22ef02e3f"));

    let ntowf = ntowf_v2(&password, "User", &utf16("Domain"));
    let mut temp: Vec<u8> = client_challenge(0, &[0xaa; 8]).collect();
    temp.extend_from_slice(challenge.target_info);
    temp.extend_from_slice(&[0; 4]);
    let proof = nt_proof(&ntowf, &challenge.challenge, &temp);
    assert_eq!(proof.to_vec(), hex("68cd0ab851e51c96aabc927bebef6a1c"));
    let base = session_base_key(ntowf, &proof);
    assert_eq!(
        base.expose().to_vec(),
        hex("8de40ccadbc14a82f15cb0ad0de95ca3")
    );
    let encrypted = exchanged(&base, &[0x55; 16]);
    assert_eq!(
        encrypted.expose().to_vec(),
        hex("c5dad2544fc9799094ce1ce90bc9d03e")
    );

    let spec = hex(SPEC_AUTHENTICATE);
    let (message, mic) = Authenticate::decode(&spec).unwrap();
    assert_eq!(message.nt_response, [proof.as_slice(), &temp].concat());
    assert_eq!(message.workstation, utf16("COMPUTER"));
    assert_eq!(mic, None);
}

/// Section 4.2.4.3, judged by our acceptor; it carries no MIC.
#[test]
fn the_authenticate_message_of_the_specification_is_accepted() {
    let mut world = World::new();
    world.require_mic = false;
    world.accounts = Accounts::parse(b"Domain:User:Password");
    let challenged = Challenged {
        transcript: Vec::new(),
        flags: 0xe28a_8233,
        challenge: [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef],
        timestamp: 0,
        _outstanding: None,
    };
    let verdict = challenged
        .judge(&hex(SPEC_AUTHENTICATE), &world.accept(), 0)
        .unwrap();
    assert_eq!(verdict.initiator, UserName::parse("Domain\\User"));
    assert_eq!(*verdict.agreement.key.expose(), [0x55; 16]);
    assert!(!verdict.agreement.mic);
}

/// Section 4.2.4.4: GSS_WrapEx of "Plaintext".
#[test]
fn wrapping_is_the_one_of_the_specification() {
    let session = Session::new(0xe28a_8233, Role::Initiator, Secret::new([0x55; 16]));
    let mut data = utf16("Plaintext");
    let signature = session.wrap_parts(&mut [Part::Data(&mut data)]).unwrap();
    assert_eq!(signature.to_vec(), hex("010000007fb38ec5c55d497600000000"));
    assert_eq!(data, hex("54e50165bf1936dc996020c1811b0f06fb5f"));
}

// ---------------------------------------------------------------- two sides of ours

#[test]
fn both_sides_agree_and_know_each_other() {
    let (initiator, acceptor) = World::new().established();
    assert_eq!(initiator.session_key(), acceptor.session_key());
    assert_eq!(acceptor.initiator().unwrap().to_string(), "DOMAIN\\user");
    assert_eq!(initiator.initiator().unwrap().to_string(), "DOMAIN\\User");
    assert_eq!(acceptor.target(), Some("HTTP/server.example.org"));
    assert_eq!(initiator.is_initiator(), Some(true));
    assert_eq!(acceptor.is_initiator(), Some(false));
    for mut side in [initiator, acceptor] {
        assert!(side.is_established() && side.demands_mic() && side.integrity());
        assert_eq!((side.context_flags(), side.sasl_ssf()), (SEALED, 64));
    }
}

#[test]
fn context_flags_are_what_was_asked_for_and_sealing_with_signing() {
    for (asked, given, ssf) in [
        (0, NOTHING, 0),
        (context_flag::INTEGRITY, SEALED, 64),
        (context_flag::SEQUENCE, SEALED, 64),
        (context_flag::CONFIDENTIALITY, SEALED, 64),
        (context_flag::IDENTIFY, NOTHING | context_flag::IDENTIFY, 0),
        (2 | 4096 | 1, NOTHING, 0),
    ] {
        let mut world = World::new();
        world.context_flags = asked;
        let (initiator, acceptor) = world.established();
        assert_eq!(initiator.session_key(), acceptor.session_key());
        for side in [&initiator, &acceptor] {
            assert_eq!(
                (side.context_flags(), side.sasl_ssf()),
                (given, ssf),
                "{asked}"
            );
        }
    }
}

#[test]
fn messages_go_both_ways_and_interleave() {
    let world = World::new();
    for (initiator, acceptor) in [world.established(), world.signing_alone()] {
        for (from, to) in [(&initiator, &acceptor), (&acceptor, &initiator)] {
            for message in [b"".as_slice(), b"one", &[0xff; 5000]] {
                let token = from.wrap(message).unwrap();
                assert_eq!(token.len(), message.len() + Ntlm::OVERHEAD);
                let mic = from.mic(message).unwrap();
                assert_eq!(to.unwrap(&token).unwrap(), message);
                to.verify_mic(message, &mic).unwrap();
            }
        }
    }
}

#[test]
fn parts_are_signed_in_their_order_and_only_data_is_hidden() {
    let (initiator, acceptor) = World::new().established();
    let (mut a, mut b) = (b"alpha".to_vec(), b"beta".to_vec());
    let mut parts = [
        Part::SignOnly(b"head"),
        Part::Data(&mut a),
        Part::Data(&mut b),
    ];
    let signature = initiator.wrap_parts(&mut parts).unwrap();
    assert!(a != b"alpha" && b != b"beta");

    let (sealed_a, sealed_b) = (a.clone(), b.clone());
    let mut parts = [
        Part::SignOnly(b"HEAD"),
        Part::Data(&mut a),
        Part::Data(&mut b),
    ];
    let wrong = acceptor.unwrap_parts(&signature, &mut parts);
    assert_eq!(wrong, Err(MessageError::BadSignature));
    assert_eq!((&a, &b), (&sealed_a, &sealed_b));

    let mut parts = [
        Part::SignOnly(b"head"),
        Part::Data(&mut a),
        Part::Data(&mut b),
    ];
    acceptor.unwrap_parts(&signature, &mut parts).unwrap();
    assert_eq!(
        (a.as_slice(), b.as_slice()),
        (b"alpha".as_slice(), b"beta".as_slice())
    );
}

#[test]
fn one_stream_in_parts_or_whole_is_the_same() {
    let (initiator, acceptor) = World::new().established();
    let mut whole = b"header and data".to_vec();
    let (head, data) = whole.split_at_mut(7);
    let signature = initiator
        .wrap_parts(&mut [Part::Data(head), Part::Data(data)])
        .unwrap();
    let token = [signature.as_slice(), &whole].concat();
    assert_eq!(acceptor.unwrap(&token).unwrap(), b"header and data");
}

#[test]
fn a_forged_message_does_not_spoil_the_next_one() {
    let (initiator, acceptor) = World::new().established();
    let token = initiator.wrap(b"honest").unwrap();
    for at in 0..token.len() {
        let mut forged = token.clone();
        forged[at] ^= 0x80;
        assert!(acceptor.unwrap(&forged).is_err(), "octet {at}");
    }
    for length in 0..token.len() {
        assert!(acceptor.unwrap(&token[..length]).is_err());
    }
    assert_eq!(acceptor.unwrap(&token).unwrap(), b"honest");
}

#[test]
fn duplicates_and_gaps_are_told_apart() {
    let (initiator, acceptor) = World::new().established();
    let tokens = [b"0", b"1", b"2"].map(|message| initiator.wrap(message).unwrap());
    acceptor.unwrap(&tokens[0]).unwrap();
    let duplicate = acceptor.unwrap(&tokens[0]).unwrap_err();
    let gap = acceptor.unwrap(&tokens[2]).unwrap_err();
    assert_eq!(
        (duplicate, gap),
        (MessageError::Duplicate, MessageError::Gap)
    );
    // GSS_S_BAD_MIC with GSS_S_DUPLICATE_TOKEN and with GSS_S_GAP_TOKEN.
    assert_eq!((duplicate.major(), gap.major()), (0x6_0002, 0x6_0010));
    acceptor.unwrap(&tokens[1]).unwrap();
    acceptor.unwrap(&tokens[2]).unwrap();
}

#[test]
fn the_key_stream_is_put_back_after_mech_list_mics() {
    // Sealed first, signed first; with and without the mechListMIC exchange the cipher is the same,
    // the sequence number is one further on.
    for sealed in [true, false] {
        let fixed = || Session::new(0xe28a_8233, Role::Initiator, Secret::new([0x55; 16]));
        let (plain, spnego) = (fixed(), fixed());
        spnego.sign_mech_list(b"list").unwrap();
        let first = |session: &Session| {
            let mut data = b"first".to_vec();
            if sealed {
                session.wrap_parts(&mut [Part::Data(&mut data)]).unwrap();
            }
            (data, session.sign(b"x").unwrap())
        };
        let (plain, spnego) = (first(&plain), first(&spnego));
        assert_eq!(plain.0, spnego.0);
        assert_eq!(
            spnego.1[12..],
            (u32::from_le_bytes(plain.1[12..].try_into().unwrap()) + 1).to_le_bytes()
        );
    }
    let (mut initiator, mut acceptor) = World::new().established();
    let mic = initiator.sign(b"list").unwrap();
    acceptor.verify(b"list", &mic).unwrap();
    let mic = acceptor.sign(b"list").unwrap();
    let wrong = initiator.verify(b"other", &mic).unwrap_err();
    assert_eq!((wrong.mech, wrong.major), (NTLMSSP, 6 << 16));
    initiator.verify(b"list", &mic).unwrap();
    for (from, to) in [(&initiator, &acceptor), (&acceptor, &initiator)] {
        let token = from.wrap(b"first").unwrap();
        assert_eq!(to.unwrap(&token).unwrap(), b"first");
    }
}

#[test]
fn a_peer_that_only_signs_is_understood_and_answered_in_kind() {
    let (initiator, acceptor) = World::new().signing_alone();
    // Windows and Samba put a signature before the text.
    let windows = |text: &[u8]| [initiator.mic(text).unwrap().as_slice(), text].concat();
    assert_eq!(acceptor.unwrap(&windows(b"plain")).unwrap(), b"plain");
    let answer = acceptor.wrap(b"answer").unwrap();
    assert_eq!(&answer[16..], b"answer");
    assert_eq!(initiator.unwrap(&answer).unwrap(), b"answer");
    let mut forged = windows(b"forged");
    forged[20] ^= 1;
    assert_eq!(acceptor.unwrap(&forged), Err(MessageError::BadSignature));
}

#[test]
fn sealing_is_not_given_up_for_a_peer_that_only_signs() {
    let (initiator, acceptor) = World::new().established();
    let mic = initiator.mic(b"plain").unwrap();
    let token = [mic.as_slice(), b"plain"].concat();
    assert_eq!(acceptor.unwrap(&token), Err(MessageError::BadSignature));
}

#[test]
fn without_protection_there_are_no_messages() {
    let mut world = World::new();
    world.context_flags = 0;
    let (mut initiator, _) = world.established();
    assert_eq!(initiator.mic(b"x"), Err(MessageError::Unprotected));
    assert_eq!(initiator.wrap(b"x"), Err(MessageError::Unprotected));
    assert_eq!(initiator.unwrap(&[0; 40]), Err(MessageError::Unprotected));
    assert!(!initiator.integrity());
    assert_eq!(initiator.sign(b"x").unwrap_err().major, major::UNAVAILABLE);
}

#[test]
fn no_message_works_before_the_end() {
    let world = World::new();
    let (mut initiator, _) = Ntlm::initiate(&world.initiate()).unwrap();
    assert_eq!(initiator.wrap(b"x"), Err(MessageError::NoContext));
    assert_eq!(initiator.context_flags(), 0);
    assert!(initiator.session_key().is_none() && initiator.initiator().is_none());
    assert!(!initiator.demands_mic() && !initiator.is_established());
}

#[test]
fn both_sides_derive_the_same_pseudo_random_octets() {
    let (initiator, acceptor) = World::new().established();
    let ours = initiator.pseudo_random(b"seed", 40).unwrap();
    assert_eq!(ours.expose().len(), 40);
    assert_eq!(
        ours.expose(),
        acceptor.pseudo_random(b"seed", 40).unwrap().expose()
    );
    assert_ne!(
        ours.expose(),
        initiator.pseudo_random(b"Seed", 40).unwrap().expose()
    );
    assert_eq!(
        initiator.pseudo_random(b"seed", 0).unwrap().expose().len(),
        0
    );
}

#[test]
fn threads_share_a_context() {
    let (initiator, acceptor) = World::new().established();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    initiator.wrap(b"message").unwrap();
                }
            });
        }
    });
    // 400 messages were sent and none arrived.
    assert_eq!(initiator.mic(b"x").unwrap()[12..], 400_u32.to_le_bytes());
    let late = initiator.wrap(b"late").unwrap();
    assert_eq!(acceptor.unwrap(&late), Err(MessageError::Gap));
}

// ---------------------------------------------------------------- who may come in

#[test]
fn whoever_is_not_known_is_refused_with_a_reason_that_only_we_see() {
    let as_user = |name: &str, password: &str| {
        let mut world = World::new();
        world.credential = Credential::from_password(UserName::parse(name), password);
        world.refusal(|_, _| {})
    };
    let password = as_user("DOMAIN\\user", "password");
    let user = as_user("DOMAIN\\nobody", "Password");
    let domain = as_user("OTHER\\user", "Password");
    for (refusal, words, trouble) in [
        (
            &password,
            "wrong password for \"DOMAIN\\\\user\"",
            Trouble::NtlmPassword,
        ),
        (
            &user,
            "no account for \"DOMAIN\\\\nobody\"",
            Trouble::NtlmAccount,
        ),
        (
            &domain,
            "no account for \"OTHER\\\\user\"",
            Trouble::NtlmAccount,
        ),
    ] {
        assert_eq!(refusal.reason, advised(words.to_owned(), Some(&trouble)));
    }
    for refusal in [password, user, domain] {
        assert_eq!(refusal.major, major::FAILURE);
        assert_eq!((refusal.cause, refusal.token), (Cause::Refused, None));
    }
}

/// What time could tell, counted: nothing tells who has an account, whatever is kept of whom.
#[test]
fn an_unknown_user_and_a_wrong_password_are_the_same_work() {
    let long = "x".repeat(900);
    let file = format!(
        "DOMAIN:short:p\nDOMAIN:long_:{long}\n\
         hash_:0:X:a4f49c406510bdcab6824ee7c30fd852:\n\
         DOMAIN\\dhash:0:X:a4f49c406510bdcab6824ee7c30fd852:[U ]:\n\
         gone_:0:X:a4f49c406510bdcab6824ee7c30fd852:[DU ]:\n"
    );
    let mut world = World::new();
    world.accounts = Accounts::parse(file.as_bytes());
    let mut work_for = |domain: &str, user: &str, password: &str| {
        let name = UserName {
            domain: domain.to_owned(),
            user: user.to_owned(),
        };
        world.credential = Credential::from_password(name, password);
        let (mut initiator, step) = Ntlm::initiate(&world.initiate()).unwrap();
        let (mut acceptor, step) = Ntlm::accept(&continued(step), &world.accept()).unwrap();
        let step = initiator.continue_initiate(&continued(step), &world.initiate());
        let Step::Done(Some(token)) = step.unwrap() else {
            panic!("an initiator ends with AUTHENTICATE");
        };
        let (judged, work) =
            response::work::of(|| acceptor.continue_accept(&token, &world.accept()));
        let refusal = judged.unwrap_err().reason;
        (refusal.starts_with("wrong password"), work)
    };
    for (domain, users) in [
        ("DOMAIN", ["short", "long_", "hash_", "dhash"].as_slice()),
        // By the first bearer of the name.
        ("", &["short", "long_", "hash_", "dhash"]),
        ("OTHER", &["hash_"]),
    ] {
        for password in ["guess", long.get(1..).unwrap()] {
            let (_, unknown) = work_for(domain, "nobod", password);
            assert!(
                unknown.hash_blocks > 5 && unknown.entries == 4,
                "{unknown:?}"
            );
            for user in users {
                assert_eq!(
                    work_for(domain, user, password),
                    (true, unknown),
                    "{domain} {user}"
                );
            }
            for user in ["gone_", "SHORU"] {
                assert_eq!(work_for(domain, user, password), (false, unknown));
            }
        }
    }
    let (_, unknown) = work_for("", "nobod@domain", "guess");
    assert_eq!(work_for("", "short@domain", "guess"), (true, unknown));
}

#[test]
fn a_password_is_hashed_when_its_file_is_read_and_never_again() {
    let long = "x".repeat(900);
    let file = format!("DOMAIN:User:{long}\n");
    let (accounts, reading) = response::work::of(|| Accounts::parse(file.as_bytes()));
    assert!(reading.hash_blocks > 900 * 2 / 64);
    for user in ["User", "nobody"] {
        let (_, work) = response::work::of(|| accounts.claimed("DOMAIN", user).is_ok());
        assert_eq!(work.hash_blocks, 0);
    }
}

#[test]
fn a_hash_is_as_good_as_its_password() {
    let mut world = World::new();
    let name = UserName::parse("DOMAIN\\user");
    world.credential = Credential::from_hex(name, "a4f49c406510bdcab6824ee7c30fd852").unwrap();
    world.established();
    assert!(Credential::from_hex(UserName::parse("u"), "a4f4").is_none());
    assert!(Credential::from_hex(UserName::parse("u"), &"x".repeat(32)).is_none());
}

#[test]
fn names_outside_ascii_work() {
    let mut world = World::new();
    world.credential =
        Credential::from_password(UserName::parse("DÖMAIN\\stra\u{df}e\u{1f600}"), "pässword");
    world.accounts = Accounts::parse("dömain:STRA\u{df}E\u{1f600}:pässword".as_bytes());
    let (_, acceptor) = world.established();
    assert_eq!(acceptor.initiator().unwrap().user, "STRA\u{df}E\u{1f600}");
}

#[test]
fn anonymous_is_refused_on_both_sides() {
    let mut world = World::new();
    world.context_flags = context_flag::ANONYMOUS;
    assert_eq!(world.refusal(|_, _| {}).cause, Cause::Unusable);
    world.context_flags = ALL;
    world.credential = Credential::from_password(UserName::parse(""), "");
    assert_eq!(world.refusal(|_, _| {}).cause, Cause::Unusable);

    let world = World::new();
    let reasons = [
        world.refusal(|leg, token| {
            if leg == 2 {
                set_flags(token, 60, |flags| flags | flag::ANONYMOUS);
            }
        }),
        world.refusal(|leg, token| {
            if leg == 2 {
                token[36..38].fill(0);
                token[12..14].copy_from_slice(&[1, 0]);
                let lm = u32::from_le_bytes(token[16..20].try_into().unwrap());
                token[usize::try_from(lm).unwrap()] = 0;
            }
        }),
    ];
    for refusal in reasons {
        // The second has an empty user, whose one octet of LM response is zero.
        assert_eq!(refusal.reason, "anonymous logon is not accepted");
    }
}

#[test]
fn ntlm_v1_and_lm_are_refused() {
    let world = World::new();
    let v1 = world.refusal(|leg, token| {
        if leg == 2 {
            token[20..22].copy_from_slice(&[24, 0]);
        }
    });
    assert_eq!(v1.reason, "a response of NTLMv1, which is not accepted");
    let lm = world.refusal(|leg, token| {
        if leg == 2 {
            token[20..22].fill(0);
        }
    });
    assert_eq!(lm.reason, "a response of LM, which is not accepted");
}

#[test]
fn lm_is_never_sent() {
    World::new().established();
    World::new()
        .meddled(|leg, token| {
            if leg == 2 {
                let (message, _) = Authenticate::decode(token).unwrap();
                assert_eq!(message.lm_response, [0; 24]);
            }
        })
        .unwrap();
}

#[test]
fn an_authenticate_message_is_good_once() {
    let world = World::new();
    let mut captured = Vec::new();
    world
        .meddled(|leg, token| {
            if leg == 2 {
                captured.clone_from(token);
            }
        })
        .unwrap();
    let replayed = world.refusal(|leg, token| {
        if leg == 2 {
            token.clone_from(&captured);
        }
    });
    assert!(
        replayed.reason.starts_with("wrong password"),
        "{}",
        replayed.reason
    );
}

#[test]
fn a_failed_context_stays_failed() {
    let world = World::new();
    let (mut initiator, step) = Ntlm::initiate(&world.initiate()).unwrap();
    let (mut acceptor, challenge) = Ntlm::accept(&continued(step), &world.accept()).unwrap();
    assert!(
        acceptor
            .continue_accept(b"rubbish", &world.accept())
            .is_err()
    );
    let step = initiator
        .continue_initiate(&continued(challenge), &world.initiate())
        .unwrap();
    let Step::Done(Some(token)) = step else {
        panic!("an initiator ends with AUTHENTICATE");
    };
    let late = acceptor
        .continue_accept(&token, &world.accept())
        .unwrap_err();
    assert_eq!(late.major, major::NO_CONTEXT);
    assert_eq!(acceptor.is_initiator(), None);
    let again = initiator
        .continue_initiate(&token, &world.initiate())
        .unwrap_err();
    assert_eq!(again.major, major::NO_CONTEXT);
}

#[test]
fn a_challenge_does_not_live_for_ever() {
    let world = World::new();
    let challenged = Challenged {
        transcript: Vec::new(),
        flags: 0xe28a_8233,
        challenge: [0; 8],
        timestamp: 1,
        _outstanding: None,
    };
    let late = challenged
        .judge(
            &hex(SPEC_AUTHENTICATE),
            &world.accept(),
            36 * 3600 * 10_000_000 + 2,
        )
        .err()
        .unwrap();
    assert_eq!(late.reason, "the challenge is older than 36 hours");
}

// ---------------------------------------------------------------- channel bindings

const CHANNEL: ChannelBindings<'_> = ChannelBindings {
    initiator_address_type: 0,
    initiator_address: &[],
    acceptor_address_type: 0,
    acceptor_address: &[],
    application_data: b"tls-server-end-point:abc",
};

#[test]
fn a_shared_channel_is_reported() {
    let mut world = World::new();
    world.initiator_bindings = Some(CHANNEL);
    world.acceptor_bindings = Some(CHANNEL);
    let (initiator, acceptor) = world.established();
    assert_eq!(
        acceptor.context_flags(),
        SEALED | context_flag::CHANNEL_BOUND
    );
    assert_eq!(initiator.context_flags(), SEALED);
}

#[test]
fn another_channel_is_refused_and_none_is_not_reported() {
    let mut world = World::new();
    let other = ChannelBindings {
        application_data: b"tls-server-end-point:abd",
        ..CHANNEL
    };
    let addressed = ChannelBindings {
        acceptor_address: b"\x7f\0\0\x01",
        acceptor_address_type: 2,
        ..CHANNEL
    };
    for theirs in [other, addressed] {
        world.initiator_bindings = Some(theirs);
        world.acceptor_bindings = Some(CHANNEL);
        // GSS_S_BAD_BINDINGS.
        assert_eq!(world.refusal(|_, _| {}).major, 4 << 16);
    }
    for (ours, theirs) in [(None, Some(CHANNEL)), (Some(CHANNEL), None)] {
        world.initiator_bindings = theirs;
        world.acceptor_bindings = ours;
        assert_eq!(world.established().1.context_flags(), SEALED);
    }
}

// ---------------------------------------------------------------- who was meant

impl World {
    /// An exchange whose initiator asks for this target, and is of another process: the acceptor
    /// has been carried to where it is.
    fn asked_for(&self, target: Option<&str>) -> Result<Ntlm, MechError> {
        let call = Initiate {
            target,
            ..self.initiate()
        };
        let (mut initiator, step) = Ntlm::initiate(&call)?;
        let (acceptor, step) = Ntlm::accept(&continued(step), &self.accept())?;
        let carried = acceptor.export().unwrap();
        let step = initiator.continue_initiate(&continued(step), &call)?;
        let mut acceptor = Ntlm::import(carried.expose()).unwrap();
        let Step::Done(Some(token)) = step else {
            panic!("an initiator ends with AUTHENTICATE");
        };
        acceptor.continue_accept(&token, &self.accept())?;
        Ok(acceptor)
    }
}

#[test]
fn an_acceptor_knows_whether_it_was_meant() {
    let mut world = World::new();
    for (service, target, fit) in [
        (None, Some("HTTP/server.example.org"), TargetFit::Own),
        (None, Some("cifs/SERVER"), TargetFit::Own),
        (None, Some("HTTP/other.example.org"), TargetFit::Other),
        // The client is on another machine, whose localhost it is.
        (None, Some("HTTP/localhost"), TargetFit::Other),
        (None, None, TargetFit::Empty),
        (None, Some(""), TargetFit::Empty),
        (
            Some("HTTP@server.example.org"),
            Some("http/server"),
            TargetFit::Own,
        ),
        (
            Some("HTTP@server.example.org"),
            Some("cifs/server"),
            TargetFit::Other,
        ),
        (
            Some("HTTP@shop.example.com"),
            Some("HTTP/shop.example.com"),
            TargetFit::Own,
        ),
        (
            Some("HTTP@shop.example.com"),
            Some("HTTP/shop.example.net"),
            TargetFit::Other,
        ),
    ] {
        world.service = service;
        let acceptor = world.asked_for(target).unwrap();
        assert_eq!(acceptor.target_fit(), Some(fit), "{service:?} {target:?}");
        assert_eq!(acceptor.target(), target.filter(|name| !name.is_empty()));
        // It is still known after the context was carried elsewhere.
        assert_eq!(moved(acceptor).target_fit(), Some(fit));
    }
    world.client = world.server.clone();
    world.service = Some("HTTP@localhost");
    let acceptor = world.asked_for(Some("HTTP/localhost")).unwrap();
    assert_eq!(acceptor.target_fit(), Some(TargetFit::Own));
}

/// A relay cannot help it: the name is under the proof, and the machine under the MIC.
#[test]
fn who_was_meant_cannot_be_altered() {
    let world = World::new();
    let name = utf16("server.example.org");
    let altered = world.refusal(|leg, token| {
        if leg == 2 {
            let at = token
                .windows(name.len())
                .rposition(|at| at == name)
                .unwrap();
            token[at..at + 2].copy_from_slice(&utf16("t"));
        }
    });
    assert!(altered.reason.starts_with("wrong password"));
    let workstation = utf16("CLIENT");
    let altered = world.refusal(|leg, token| {
        if leg == 2 {
            let at = token
                .windows(workstation.len())
                .position(|at| at == workstation);
            let at = at.unwrap();
            token[at..at + 2].copy_from_slice(&utf16("S"));
        }
    });
    assert!(altered.reason.starts_with("the MIC does not verify"));
}

/// What comes of an initiator that is given the challenge of an acceptor of its process.
fn reflected(world: &World, target: Option<&str>) -> Result<(), String> {
    let call = Initiate {
        target,
        ..world.initiate()
    };
    let (mut initiator, step) = Ntlm::initiate(&call).unwrap();
    let (_acceptor, step) = Ntlm::accept(&continued(step), &world.accept()).unwrap();
    let answered = initiator.continue_initiate(&continued(step), &call);
    assert_eq!(answered.is_ok(), initiator.is_established());
    answered.map(drop).map_err(|error| error.reason)
}

#[test]
fn a_challenge_of_this_process_is_answered_for_its_acceptor_alone() {
    let mut world = World::new();
    for (service, target) in [
        (None, None),
        (None, Some("")),
        (None, Some("HTTP/evil.example.net")),
        (None, Some("HTTP/192.0.2.66")),
        (
            Some("HTTP@server.example.org"),
            Some("cifs/server.example.org"),
        ),
        (Some("HTTP@shop.example.com"), Some("HTTP/evil.example.net")),
    ] {
        world.service = service;
        let refusal = reflected(&world, target).unwrap_err();
        assert!(
            refusal.starts_with("the challenge is one of this very process"),
            "{target:?}"
        );
    }
    for (service, target) in [
        (None, "HTTP/server.example.org"),
        (None, "HTTP/localhost"),
        (Some("HTTP@localhost"), "HTTP/localhost"),
        (Some("HTTP@shop.example.com"), "HTTP/shop.example.com"),
    ] {
        world.service = service;
        assert_eq!(
            reflected(&world, Some(target)),
            Ok(()),
            "{service:?} {target}"
        );
    }
}

/// The challenge may come back with anything else in it, and later; not once it is answered.
#[test]
fn a_challenge_is_known_whatever_is_around_it_and_as_long_as_it_waits() {
    let world = World::new();
    let call = Initiate {
        target: Some("HTTP/evil.example.net"),
        ..world.initiate()
    };
    let (_, step) = Ntlm::initiate(&call).unwrap();
    let (acceptor, step) = Ntlm::accept(&continued(step), &world.accept()).unwrap();
    let challenge = continued(step);
    let mut other = hex(CHALLENGE_WITHOUT_SIGNING);
    set_flags(&mut other, 20, |flags| flags | flag::SIGN);
    other[24..32].copy_from_slice(&challenge[24..32]);
    for token in [&challenge, &other] {
        let (mut initiator, _) = Ntlm::initiate(&call).unwrap();
        assert!(initiator.continue_initiate(token, &call).is_err());
    }
    // While the acceptor's context is carried, nobody here waits; where it is taken up, it does.
    let carried = acceptor.export().unwrap();
    let answered = |token: &[u8]| {
        let (mut initiator, _) = Ntlm::initiate(&call).unwrap();
        initiator.continue_initiate(token, &call).is_ok()
    };
    assert!(answered(&challenge));
    let mut acceptor = Ntlm::import(carried.expose()).unwrap();
    assert!(!answered(&challenge));
    assert!(acceptor.continue_accept(b"", &world.accept()).is_err());
    assert!(answered(&challenge));
}

// ---------------------------------------------------------------- meddlers

#[test]
fn altered_flags_are_noticed_in_every_message() {
    let world = World::new();
    for (leg, at) in [(0, 12), (1, 20), (2, 60)] {
        for bit in 0..32 {
            let refusal = world.meddled(|now, token| {
                if now == leg {
                    set_flags(token, at, |flags| flags ^ (1 << bit));
                }
            });
            assert!(refusal.is_err(), "bit {bit} of message {leg}");
        }
    }
}

#[test]
fn every_altered_octet_of_the_exchange_is_noticed() {
    let world = World::new();
    for leg in 0..3 {
        let mut length = 0;
        world
            .meddled(|now, token| {
                if now == leg {
                    length = token.len()
                }
            })
            .unwrap();
        for at in 0..length {
            let outcome = world.meddled(|now, token| {
                if now == leg {
                    token[at] ^= 0x01;
                }
            });
            assert!(outcome.is_err(), "octet {at} of message {leg}");
        }
    }
}

#[test]
fn a_removed_mic_and_a_missing_one_are_refused() {
    let world = World::new();
    let zeroed = world.refusal(|leg, token| {
        if leg == 2 {
            token[Authenticate::MIC].fill(0);
        }
    });
    assert!(zeroed.reason.starts_with("the MIC does not verify"));

    // Cut out, with all offsets put right.
    let removed = world.refusal(|leg, token| {
        if leg == 2 {
            token.drain(64..88);
            for at in [12, 20, 28, 36, 44, 52] {
                let offset = u32::from_le_bytes(token[at + 4..at + 8].try_into().unwrap()) - 24;
                token[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
            }
        }
    });
    assert_eq!(removed.reason, "the MIC was removed");

    // The flag that announces it is under the password's proof.
    let unflagged = world.refusal(|leg, token| {
        if leg == 2 {
            let pair = [6, 0, 4, 0, 2, 0, 0, 0];
            let at = token.windows(8).position(|at| at == pair).unwrap();
            token[at + 4] = 0;
        }
    });
    assert!(unflagged.reason.starts_with("wrong password"));

    // A challenge without a time gets a response without a MIC: by our own server, refused.
    let timeless = world.refusal(|leg, token| {
        if leg == 1 {
            let length = u16::from_le_bytes([token[40], token[41]]) - 12;
            token[40..42].copy_from_slice(&length.to_le_bytes());
            token[42..44].copy_from_slice(&length.to_le_bytes());
            let end = token.len() - 16;
            token.drain(end..end + 12);
        }
    });
    assert!(timeless.reason.starts_with("no MIC"), "{}", timeless.reason);
}

#[test]
fn a_server_without_a_clock_gets_no_mic_and_may_allow_it() {
    let mut world = World::new();
    world.require_mic = false;
    let (mut initiator, mut acceptor) = world
        .meddled(|leg, token| {
            if leg == 1 {
                let length = u16::from_le_bytes([token[40], token[41]]) - 12;
                token[40..42].copy_from_slice(&length.to_le_bytes());
                let end = token.len() - 16;
                token.drain(end..end + 12);
            }
        })
        .unwrap();
    assert!(!initiator.demands_mic() && !acceptor.demands_mic());
}

#[test]
fn both_short_forms_of_negotiate_are_taken() {
    for length in [16, 32, 40] {
        let outcome = World::new().meddled(|leg, token| {
            if leg == 0 {
                token.truncate(length);
            }
        });
        // The MIC is over the message as it was sent: a short one fails there, and only there.
        match outcome {
            Ok(_) => assert_eq!(length, 40),
            Err(refusal) => assert!(refusal.reason.starts_with("the MIC does not verify")),
        }
    }
    let token = Negotiate { flags: 0 }.encode();
    for length in (0..16).chain([LONGEST + 1]) {
        let mut token = token.to_vec();
        token.resize(length, 0);
        let world = World::new();
        assert!(Ntlm::accept(&token, &world.accept()).is_err());
    }
}

const LONGEST: usize = message::LONGEST;

/// A stranger's first message is kept until the third, so it has to be short.
#[test]
fn a_long_negotiate_is_refused() {
    let world = World::new();
    for (length, fits) in [
        (Negotiate::LONGEST, true),
        (Negotiate::LONGEST + 1, false),
        (LONGEST, false),
    ] {
        let (_, step) = Ntlm::initiate(&world.initiate()).unwrap();
        let mut token = continued(step);
        token.resize(length, 0);
        let begun = Ntlm::accept(&token, &world.accept());
        assert_eq!(begun.is_ok(), fits, "{length}");
        if let Err(refusal) = begun {
            assert_eq!(refusal.major, major::DEFECTIVE_TOKEN);
            assert!(refusal.reason.ends_with("octets are too many"));
        }
    }
}

/// Challenges without what they must have, made by hand.
const CHALLENGE_WITH_EMPTY_INFO: &str = "4e544c4d53535000 02000000 06000600 38000000 35828ae2
    0001020304050607 0000000000000000 00000000 3e000000 0a00614a0000000f 44004f004d00";
const CHALLENGE_WITHOUT_SIGNING: &str = "4e544c4d53535000 02000000 06000600 38000000 258289e2
    0001020304050607 0000000000000000 24002400 3e000000 0a00614a0000000f 44004f004d00
    02000600 44004f004d00 01000600 530052005600 07000800 0001334c96f057d5 00000000";

/// What a challenge lacks is told by its name, and what to do about it.
#[test]
fn what_a_challenge_lacks_is_named() {
    let needed =
        "the acceptor does not offer what is needed for NTLMv2 and the protection asked for";
    let all = hex(CHALLENGE_WITHOUT_SIGNING);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut challenge = all.clone();
        set_flags(&mut challenge, 20, |flags| flags | flag::SIGN);
        change(&mut challenge);
        challenge
    };
    let without =
        |flags: u32| with(&|challenge: &mut Vec<u8>| set_flags(challenge, 20, |all| all & !flags));
    let info = |length: u8| {
        with(&|challenge: &mut Vec<u8>| {
            challenge[40] = length;
            challenge[42] = length;
        })
    };
    let mut flag_unset = hex(CHALLENGE_WITH_EMPTY_INFO);
    set_flags(&mut flag_unset, 20, |flags| flags & !flag::TARGET_INFO);
    for (challenge, words, trouble) in [
        (
            hex(CHALLENGE_WITH_EMPTY_INFO),
            "target information: it is empty, MsvAvEOL is missing".to_owned(),
            Trouble::NtlmMalformed,
        ),
        (
            flag_unset,
            format!("{needed}: NTLMSSP_NEGOTIATE_TARGET_INFO"),
            Trouble::NtlmVersion,
        ),
        (
            all.clone(),
            format!("{needed}: NTLMSSP_NEGOTIATE_SIGN"),
            Trouble::NtlmProtection,
        ),
        (
            without(flag::SEAL | flag::KEY_128),
            format!("{needed}: NTLMSSP_NEGOTIATE_SEAL, NTLMSSP_NEGOTIATE_128"),
            Trouble::NtlmProtection,
        ),
        (
            without(flag::UNICODE | flag::NTLM | flag::EXTENDED_SESSION_SECURITY),
            format!(
                "{needed}: NTLMSSP_NEGOTIATE_UNICODE, NTLMSSP_NEGOTIATE_NTLM, \
                 NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY"
            ),
            Trouble::NtlmVersion,
        ),
        (
            info(8),
            "target information: MsvAvNbDomainName runs beyond the end: it is to have 6 octets, \
             of which 4 are there"
                .to_owned(),
            Trouble::NtlmMalformed,
        ),
        (
            info(32),
            "target information: MsvAvEOL is missing after MsvAvTimestamp".to_owned(),
            Trouble::NtlmMalformed,
        ),
        (
            info(0xff),
            "CHALLENGE: the target information lies beyond the end".to_owned(),
            Trouble::NtlmMalformed,
        ),
    ] {
        let world = World::new();
        let (mut initiator, _) = Ntlm::initiate(&world.initiate()).unwrap();
        let refusal = initiator
            .continue_initiate(&challenge, &world.initiate())
            .unwrap_err();
        assert_eq!(refusal.reason, advised(words, Some(&trouble)));
    }
    // With all that is needed it is answered.
    let world = World::new();
    let (mut initiator, _) = Ntlm::initiate(&world.initiate()).unwrap();
    let whole = with(&|_| {});
    assert!(
        initiator
            .continue_initiate(&whole, &world.initiate())
            .is_ok()
    );
}

#[test]
fn an_initiator_insists_on_what_it_needs() {
    let world = World::new();
    for bit in [
        flag::UNICODE,
        flag::NTLM,
        flag::EXTENDED_SESSION_SECURITY,
        flag::TARGET_INFO,
        flag::KEY_128,
        flag::SIGN,
        flag::SEAL,
    ] {
        let refusal = world.refusal(|leg, token| {
            if leg == 1 {
                set_flags(token, 20, |flags| flags & !bit);
            }
        });
        assert!(
            refusal.reason.starts_with("the acceptor does not offer"),
            "{bit:#x}"
        );
    }
}

#[test]
fn an_acceptor_insists_on_what_it_needs() {
    let world = World::new();
    for bit in [
        flag::UNICODE,
        flag::NTLM,
        flag::EXTENDED_SESSION_SECURITY,
        flag::KEY_128,
    ] {
        for (leg, at, reason) in [
            (0, 12, "the initiator offers"),
            (2, 60, "AUTHENTICATE takes"),
        ] {
            let refusal = world.refusal(|now, token| {
                if now == leg {
                    set_flags(token, at, |flags| flags & !bit);
                }
            });
            let reason_fits = refusal.reason.starts_with(reason)
                || refusal.reason.starts_with("the initiator does not offer");
            assert!(reason_fits, "{bit:#x}: {}", refusal.reason);
        }
    }
}

// ---------------------------------------------------------------- hostile octets
// Those of gss-ntlmssp that are about memory, CVE-2023-25565 and CVE-2023-25566, are run through
// the plugin under valgrind, in tests/ntlm_hostile.rs.

/// 32-bit sums of offset and length overflowed in gss-ntlmssp.
#[test]
fn cve_2023_25563_fields_beyond_the_end_are_refused() {
    let world = World::new();
    for (leg, fields) in [(1, [12, 40].as_slice()), (2, &[12, 20, 28, 36, 44, 52])] {
        for at in fields {
            for (length, offset) in [
                (0xfffe_u16, 0_u32),
                (2, u32::MAX),
                (0xfffe, u32::MAX - 0xfffd),
                (4, 0x7fff_ffff),
                (2, 0xffff),
            ] {
                let refusal = world.refusal(|now, token| {
                    if now == leg {
                        token[*at..at + 2].copy_from_slice(&length.to_le_bytes());
                        token[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
                    }
                });
                assert_eq!(refusal.major, major::DEFECTIVE_TOKEN);
                assert!(
                    refusal.reason.contains(" lies beyond the end"),
                    "{}",
                    refusal.reason
                );
            }
        }
    }
    let mut token = Negotiate {
        flags: flag::DOMAIN_SUPPLIED,
    }
    .encode();
    token[16..24].copy_from_slice(&[8, 0, 8, 0, 0xff, 0xff, 0xff, 0xff]);
    assert!(Negotiate::decode(&token).unwrap_err().contains("domain"));
}

/// Text that is not UTF-16 had gss-ntlmssp write a zero at an address nobody had set.
#[test]
fn cve_2023_25564_text_that_is_not_utf_16_is_refused() {
    let world = World::new();
    for (at, length) in [(28, 11), (36, 7), (44, 1)] {
        let odd = world.refusal(|leg, token| {
            if leg == 2 {
                token[at] = length;
            }
        });
        assert_eq!(odd.major, major::DEFECTIVE_TOKEN);
        assert!(odd.reason.ends_with("is not UTF-16"), "{}", odd.reason);
    }
    let surrogate = world.refusal(|leg, token| {
        if leg == 2 {
            let user = usize::from(token[40]);
            token[user..user + 2].copy_from_slice(&[0, 0xd8]);
        }
    });
    assert_eq!(
        surrogate.reason,
        "AUTHENTICATE: the user's name is not UTF-16"
    );
}

/// gss-ntlmssp believed the lengths of AV pairs.
#[test]
fn cve_2023_25567_target_information_is_read_with_care() {
    for (octets, wrong) in [
        ("", "it is empty, MsvAvEOL is missing"),
        ("0100", "it ends within the first pair"),
        (
            "01000200 4100",
            "MsvAvEOL is missing after MsvAvNbComputerName",
        ),
        (
            "01000200 4100 0200",
            "it ends within the pair after MsvAvNbComputerName",
        ),
        (
            "01000400 4100",
            "MsvAvNbComputerName runs beyond the end: it is to have 4 octets, of which 2 are there",
        ),
        (
            "02000200 4400 0100ffff 4100 00000000",
            "MsvAvNbComputerName runs beyond the end: it is to have 65535 octets, of which 6 are \
             there",
        ),
        (
            "00010200 41",
            "the pair with AvId 256 runs beyond the end: it is to have 2 octets, of which 1 are \
             there",
        ),
        (
            "01000300 410042 00000000",
            "MsvAvNbComputerName has a wrong length, 3 octets",
        ),
        (
            "06000300 000000 00000000",
            "MsvAvFlags has a wrong length, 3 octets",
        ),
        (
            "06000000 00000000",
            "MsvAvFlags has a wrong length, 0 octets",
        ),
        (
            "07000400 00000000 00000000",
            "MsvAvTimestamp has a wrong length, 4 octets",
        ),
        (
            "08000300 000000 00000000",
            "MsvAvSingleHost has a wrong length, 3 octets",
        ),
        (
            "08000800 3000000000000000 00000000",
            "MsvAvSingleHost has a wrong length, 8 octets",
        ),
        (
            "0a000f00 000000000000000000000000000000 00000000",
            "MsvAvChannelBindings has a wrong length, 15 octets",
        ),
        (
            "06000400 02000000 06000400 00000000 00000000",
            "MsvAvFlags comes twice",
        ),
    ] {
        let octets = hex(octets);
        let refusal = TargetInfo::decode(&octets).unwrap_err();
        assert_eq!(refusal, format!("target information: {wrong}"));
    }
    let octets = hex("ff00 0100 07 ff00 0100 07 0000 0000 beef");
    let info = TargetInfo::decode(&octets).unwrap();
    assert_eq!(info.pairs().count(), 2);
}

/// Commits 4084b58 and a060d02 of gss-ntlmssp: no accounts, no target.
#[test]
fn an_acceptor_without_accounts_and_an_initiator_without_a_target_work() {
    let mut world = World::new();
    let no_target = Initiate {
        target: None,
        ..world.initiate()
    };
    let (initiator, _) = Ntlm::initiate(&no_target).unwrap();
    let acceptor = world.asked_for(None).unwrap();
    assert_eq!((initiator.target(), acceptor.target()), (None, None));

    world.accounts = Accounts::default();
    assert!(world.accounts.is_empty());
    assert!(world.refusal(|_, _| {}).reason.starts_with("no account"));
}

#[test]
fn a_name_too_long_is_an_error_not_a_panic() {
    let mut world = World::new();
    let name = UserName {
        domain: "D".to_owned(),
        user: "u".repeat(40_000),
    };
    world.credential = Credential::from_password(name, "p");
    assert!(world.refusal(|_, _| {}).reason.contains("too long"));
    let name = UserName {
        domain: "D".to_owned(),
        user: "u".repeat(600),
    };
    world.credential = Credential::from_password(name, "p");
    assert_eq!(
        world.refusal(|_, _| {}).reason,
        "AUTHENTICATE: the user's name is too long"
    );
    let world = World::new();
    let target = "t".repeat(40_000);
    let call = Initiate {
        target: Some(&target),
        ..world.initiate()
    };
    let (mut initiator, step) = Ntlm::initiate(&call).unwrap();
    let (_, step) = Ntlm::accept(&continued(step), &world.accept()).unwrap();
    let refusal = initiator
        .continue_initiate(&continued(step), &call)
        .unwrap_err();
    assert!(refusal.reason.contains("too long"));
}

#[test]
fn a_peer_s_name_is_quoted_before_it_is_shown() {
    let mut world = World::new();
    world.credential = Credential::from_password(UserName::parse("D\\a\nb\u{1b}[m"), "p");
    let reason = world.refusal(|_, _| {}).reason;
    assert!(!reason.contains('\n') && !reason.contains('\u{1b}'));
}

/// A generator of numbers, so that every run meets the same tokens.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    fn mutate(&mut self, token: &mut Vec<u8>) {
        for _ in 0..=self.next(4) {
            let at = self.next(token.len());
            match self.next(6) {
                0 => token.truncate(at),
                1 => token.insert(at, 0xff),
                2 if !token.is_empty() => token[at] = [0, 1, 0x7f, 0x80, 0xff][self.next(5)],
                3 if !token.is_empty() => token[at] ^= 1 << self.next(8),
                4 if token.len() > 8 => {
                    let from = self.next(token.len() - 8);
                    let to = self.next(token.len() - 8);
                    token.copy_within(from..from + 8, to);
                }
                _ => token.extend_from_slice(&[0; 3]),
            }
        }
    }
}

#[test]
fn mutated_messages_are_refused_without_a_panic() {
    let world = World::new();
    let mut numbers = Numbers(0x5eed);
    let mut accepted = 0;
    for round in 0..6000 {
        let leg = round % 3;
        let mut same = false;
        let outcome = world.meddled(|now, token| {
            if now == leg {
                let before = token.clone();
                numbers.mutate(token);
                same = *token == before;
            }
        });
        if outcome.is_ok() {
            assert!(same, "round {round}: an altered message was accepted");
            accepted += 1;
        }
    }
    assert!(accepted < 100);
}

#[test]
fn random_octets_after_a_signature_are_refused_without_a_panic() {
    let world = World::new();
    let mut numbers = Numbers(0xfeed);
    for round in 0..3000_u32 {
        let mut token = b"NTLMSSP\0".to_vec();
        token.extend_from_slice(&(round % 3 + 1).to_le_bytes());
        for _ in 0..numbers.next(200) {
            token.push(u8::try_from(numbers.next(256)).unwrap());
        }
        let _ = Ntlm::accept(&token, &world.accept());
        let (mut initiator, step) = Ntlm::initiate(&world.initiate()).unwrap();
        let (mut acceptor, _) = Ntlm::accept(&continued(step), &world.accept()).unwrap();
        assert!(
            initiator
                .continue_initiate(&token, &world.initiate())
                .is_err()
        );
        assert!(acceptor.continue_accept(&token, &world.accept()).is_err());
    }
}

/// Our acceptor refuses a message whose MIC is missing though everything else is right; the
/// response is made here, as an implementation without MICs makes it.
#[test]
fn a_missing_mic_flag_is_refused() {
    for (av_flags, accepted) in [(0, false), (AV_FLAG_MIC, false)] {
        let world = World::new();
        let outcome = world.meddled(|leg, token| {
            if leg == 2 {
                let (message, _) = Authenticate::decode(token).unwrap();
                // A response of ours to a challenge that nobody sent proves nothing.
                let mut response: Vec<u8> = client_challenge(0, &[0; 8]).collect();
                push_pair(&mut response, av::FLAGS, &u32::to_le_bytes(av_flags)).unwrap();
                push_pair(&mut response, av::END, &[]).unwrap();
                let nt_response = [[0; 16].as_slice(), &response].concat();
                *token = Authenticate {
                    nt_response: &nt_response,
                    ..message
                }
                .encode()
                .unwrap();
            }
        });
        assert_eq!(outcome.is_ok(), accepted);
    }

    // With a right proof, for a challenge that is known.
    let mut world = World::new();
    let challenge = [9; 8];
    let mut response: Vec<u8> = client_challenge(0, &[0; 8]).collect();
    push_pair(&mut response, av::END, &[]).unwrap();
    let domain = utf16("DOMAIN");
    let ntowf = ntowf_v2(&world.credential.nt_hash, "User", &domain);
    let proof = nt_proof(&ntowf, &challenge, &response);
    let token = Authenticate {
        flags: 0xe28a_8233,
        lm_response: &[],
        nt_response: &[proof.as_slice(), &response].concat(),
        domain: &domain,
        user: &utf16("User"),
        workstation: &[],
        encrypted_session_key: &[0; 16],
    }
    .encode()
    .unwrap();
    let challenged = || Challenged {
        transcript: Vec::new(),
        flags: 0xe28a_8233,
        challenge,
        timestamp: 0,
        _outstanding: None,
    };
    let refusal = challenged()
        .judge(&token, &world.accept(), 0)
        .err()
        .unwrap();
    assert!(refusal.reason.starts_with("no MIC"));
    world.require_mic = false;
    assert!(challenged().judge(&token, &world.accept(), 0).is_ok());
}

// ---------------------------------------------------------------- elsewhere

fn moved(context: Ntlm) -> Ntlm {
    Ntlm::import(context.export().unwrap().expose()).unwrap()
}

#[test]
fn contexts_move_at_every_stage() {
    let mut world = World::new();
    world.initiator_bindings = Some(CHANNEL);
    world.acceptor_bindings = Some(CHANNEL);
    let (initiator, step) = Ntlm::initiate(&world.initiate()).unwrap();
    let mut initiator = moved(initiator);
    let (acceptor, step) = Ntlm::accept(&continued(step), &world.accept()).unwrap();
    let mut acceptor = moved(acceptor);
    let step = initiator
        .continue_initiate(&continued(step), &world.initiate())
        .unwrap();
    let Step::Done(Some(token)) = step else {
        panic!("an initiator ends with AUTHENTICATE");
    };
    acceptor.continue_accept(&token, &world.accept()).unwrap();
    let (mut initiator, mut acceptor) = (moved(initiator), moved(acceptor));
    assert_eq!(
        acceptor.context_flags(),
        SEALED | context_flag::CHANNEL_BOUND
    );
    assert_eq!(acceptor.target(), Some("HTTP/server.example.org"));
    for round in 0..3_u8 {
        let token = initiator.wrap(&[round; 100]).unwrap();
        let mic = acceptor.mic(&[round]).unwrap();
        (initiator, acceptor) = (moved(initiator), moved(acceptor));
        assert_eq!(acceptor.unwrap(&token).unwrap(), [round; 100]);
        initiator.verify_mic(&[round], &mic).unwrap();
    }
    assert!(initiator.demands_mic() && acceptor.demands_mic());
    assert_eq!(acceptor.initiator().unwrap().to_string(), "DOMAIN\\user");
}

#[test]
fn a_half_done_context_has_no_secret_in_it() {
    let world = World::new();
    let (initiator, _) = Ntlm::initiate(&world.initiate()).unwrap();
    let exported = initiator.export().unwrap();
    let hash = world.credential.nt_hash.expose();
    assert!(!exported.expose().windows(16).any(|at| at == hash));
}

#[test]
fn what_is_no_exported_context_is_not_imported() {
    let world = World::new();
    let (initiator, acceptor) = world.established();
    let (half, _) = Ntlm::initiate(&world.initiate()).unwrap();
    for context in [initiator, acceptor, half] {
        let exported = context.export().unwrap();
        let exported = exported.expose();
        for length in 0..exported.len() {
            assert!(Ntlm::import(&exported[..length]).is_none());
        }
        assert!(Ntlm::import(&[exported, [0].as_slice()].concat()).is_none());
        let mut numbers = Numbers(0xbead);
        for _ in 0..2000 {
            let mut altered = exported.clone();
            numbers.mutate(&mut altered);
            if let Some(context) = Ntlm::import(&altered) {
                let _ = context.wrap(b"x");
                let _ = context.context_flags();
            }
        }
    }
    let (mut failed, _) = Ntlm::initiate(&world.initiate()).unwrap();
    failed
        .continue_initiate(b"", &world.initiate())
        .unwrap_err();
    assert!(failed.export().is_err());
}

#[test]
fn nothing_of_a_context_is_shown() {
    let (initiator, _) = World::new().established();
    assert_eq!(format!("{initiator:?}"), "Ntlm::Established");
}

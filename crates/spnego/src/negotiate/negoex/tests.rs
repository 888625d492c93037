//! Conversations between scripted mechanisms. The scenarios, and which messages they come to, are
//! those of MIT krb5's own tests of NEGOEX.

use super::*;

const FIRST: Oid = Oid::known([0x69, 0x85, 0xa2, 0xc0, 0xac, 0x66]);
const SECOND: Oid = Oid::known([0x69, 0x84, 0xb0, 0xd1, 0xa8, 0x2c]);

/// When a side has keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyTime {
    Established,
    Always,
    Never,
}

/// One side's mechanisms, and what goes wrong with the first.
#[derive(Clone, Debug)]
struct Script {
    role: Role,
    hops: u8,
    keys: KeyTime,
    fails_query: bool,
    fails_exchange: bool,
    fails_step: bool,
    is_silent: bool,
    signs: bool,
    optimistic: bool,
}

impl Script {
    fn new(role: Role, hops: u8) -> Self {
        Self {
            role,
            hops,
            keys: KeyTime::Established,
            fails_query: false,
            fails_exchange: false,
            fails_step: false,
            is_silent: false,
            signs: false,
            optimistic: true,
        }
    }
}

/// How many tokens are left, both sides together.
#[derive(Debug)]
struct Hops(u8);

fn failing(mech: &Oid, reason: &str) -> MechError {
    MechError {
        mech: *mech,
        ..failure(major::FAILURE, Cause::Refused, reason.to_owned())
    }
}

impl Schemes for Script {
    type Context = Hops;

    fn query_meta_data(&mut self, mech: &Oid, _: &mut Option<Hops>) -> Result<Vec<u8>, MechError> {
        if self.fails_query && *mech == FIRST {
            return Err(failing(mech, "query"));
        }
        Ok(if self.is_silent {
            vec![]
        } else {
            b"X".to_vec()
        })
    }

    fn exchange_meta_data(
        &mut self,
        mech: &Oid,
        _: &mut Option<Hops>,
        data: &[u8],
    ) -> Result<(), MechError> {
        if data != b"X" || self.fails_exchange && *mech == FIRST {
            return Err(failing(mech, "exchange"));
        }
        Ok(())
    }

    fn step(
        &mut self,
        mech: &Oid,
        context: &mut Option<Hops>,
        token: Option<&[u8]>,
    ) -> Result<Step<Vec<u8>>, MechError> {
        if token == Some(b"fail") {
            return Err(failing(mech, "failure from acceptor"));
        }
        if self.fails_step && *mech == FIRST {
            return Err(MechError {
                token: (self.role == Role::Acceptor).then(|| b"fail".to_vec()),
                ..failing(mech, "step")
            });
        }
        let told = match token {
            Some([told]) if *told < 9 => Some(*told),
            Some(_) => return Err(failing(mech, "not a token")),
            None => None,
        };
        let left = match (context.as_ref(), told) {
            (None, None) => self.hops,
            (None, Some(told)) => told,
            (Some(hops), Some(told)) if hops.0 == told + 1 => told,
            (Some(_), Some(_)) => return Err(failing(mech, "not the token that comes next")),
            (Some(_), None) => panic!("a token is missing"),
        };
        let next = left.saturating_sub(1);
        *context = Some(Hops(next));
        Ok(match left {
            0 => Step::Done(None),
            1 => Step::Done(Some(vec![next])),
            _ => Step::Continue(vec![next]),
        })
    }

    fn keys(&mut self, _: &Oid, context: &mut Hops) -> Result<Keys, MechError> {
        let has = match self.keys {
            KeyTime::Always => true,
            KeyTime::Established => context.0 == 0,
            KeyTime::Never => false,
        };
        let key = |of| {
            has.then(|| Key {
                kind: 18,
                octets: Secret::new(vec![u8::from(of == Role::Initiator)]),
            })
        };
        Ok(Keys {
            own: key(self.role),
            peer: key(self.role.peer()),
        })
    }

    fn integrity(&self, _: &Hops) -> bool {
        self.signs
    }

    fn checksum(&mut self, key: &Key, usage: u32, octets: &[u8]) -> Result<Checksum, MechError> {
        Ok(Checksum {
            kind: 16,
            octets: digest(key, usage, &[octets]),
        })
    }

    fn verify(
        &mut self,
        key: &Key,
        usage: u32,
        octets: [&[u8]; 2],
        kind: i32,
        checksum: &[u8],
    ) -> Result<bool, MechError> {
        Ok(kind == 16 && checksum == digest(key, usage, &octets))
    }

    fn random(&mut self, octets: &mut [u8]) -> Result<(), MechError> {
        octets.fill(0x55);
        Ok(())
    }

    fn is_optimistic(&self) -> bool {
        self.optimistic
    }
}

/// A keyed digest enough to tell alterations in a test: FNV-1a.
fn digest(key: &Key, usage: u32, pieces: &[&[u8]]) -> Vec<u8> {
    let usage = usage.to_le_bytes();
    let keyed = key.octets.expose().iter().chain(&usage);
    let digest = keyed
        .chain(pieces.iter().copied().flatten())
        .fold(0xcbf2_9ce4_8422_2325_u64, |digest, octet| {
            (digest ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
    digest.to_be_bytes().to_vec()
}

/// What a conversation came to: its messages, and each side's end.
struct Outcome {
    messages: Vec<String>,
    initiator: Result<Oid, MechError>,
    acceptor: Result<Oid, MechError>,
}

impl Outcome {
    fn both(&self) -> Oid {
        let (initiator, acceptor) = (self.initiator.clone(), self.acceptor.clone());
        let (initiator, acceptor) = (initiator.unwrap(), acceptor.unwrap());
        assert_eq!(initiator, acceptor);
        initiator
    }

    /// Whether these messages are among its own, in this order.
    #[track_caller]
    fn has(&self, wanted: &[&str]) {
        let mut messages = self.messages.iter();
        for message in wanted {
            assert!(
                messages.any(|said| said.starts_with(message)),
                "no {message} in its place: {:#?}",
                self.messages
            );
        }
    }
}

fn talk(initiator: Script, acceptor: Script) -> Outcome {
    talk_over(initiator, acceptor, |_, token| token)
}

/// A conversation in which somebody may change each token, by its number.
fn talk_over(
    mut initiator: Script,
    mut acceptor: Script,
    mut meddle: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
) -> Outcome {
    let side = |role| {
        let mechs = [FIRST, SECOND].map(|mech| {
            let mut scheme = [0; 16];
            scheme[..mech.content().len()].copy_from_slice(mech.content());
            (mech, Guid(scheme))
        });
        Negoex::new(role, mechs)
    };
    let (mut begun, mut waiting) = (side(Role::Initiator), side(Role::Acceptor));
    let mut outcome = Outcome {
        messages: Vec::new(),
        initiator: Err(no_common_scheme()),
        acceptor: Err(no_common_scheme()),
    };
    let end = |side: &Negoex<Hops>| Ok(*side.current().unwrap().0);
    let mut token = None;
    for number in (0..).step_by(2) {
        assert!(number < 40, "it does not end: {:#?}", outcome.messages);
        let made = match begun.step(token.as_deref(), &mut initiator) {
            Ok(Step::Continue(made)) => made,
            Ok(Step::Done(made)) => {
                outcome.initiator = end(&begun);
                match made {
                    Some(made) => made,
                    None => break,
                }
            }
            Err(error) => {
                outcome.initiator = Err(error);
                break;
            }
        };
        let made = meddle(number, made);
        outcome.note(&made);
        let made = match waiting.step(Some(&made), &mut acceptor) {
            Ok(Step::Continue(made)) => made,
            Ok(Step::Done(made)) => {
                outcome.acceptor = end(&waiting);
                match made {
                    Some(made) => made,
                    None => break,
                }
            }
            Err(error) => {
                outcome.acceptor = Err(error);
                break;
            }
        };
        if outcome.initiator.is_ok() {
            break;
        }
        let made = meddle(number + 1, made);
        outcome.note(&made);
        token = Some(made);
    }
    outcome
}

impl Outcome {
    fn note(&mut self, token: &[u8]) {
        for message in negoex::decode(token).into_iter().flatten() {
            let (name, schemes) = (message.body.name(), message.body.schemes());
            self.messages
                .push(format!("[{}]{name}: {schemes}", message.sequence));
        }
    }
}

fn plain(hops: u8) -> (Script, Script) {
    (
        Script::new(Role::Initiator, hops),
        Script::new(Role::Acceptor, hops),
    )
}

#[test]
fn one_to_four_hops_end_in_the_first_mechanism() {
    for (hops, messages) in [
        (
            1,
            &[
                "[0]INITIATOR_NEGO: c0a28569-66ac-0000-0000-000000000000 \
                 d1b08469-2ca8-0000-0000-000000000000",
                "[1]INITIATOR_META_DATA: c0a28569-66ac",
                "[2]INITIATOR_META_DATA: d1b08469-2ca8",
                "[3]AP_REQUEST: c0a28569-66ac",
                "[4]VERIFY: c0a28569-66ac",
                "[5]ACCEPTOR_NEGO: c0a28569-66ac-0000-0000-000000000000 \
                 d1b08469-2ca8-0000-0000-000000000000",
                "[6]ACCEPTOR_META_DATA: c0a28569-66ac",
                "[7]ACCEPTOR_META_DATA: d1b08469-2ca8",
                "[8]VERIFY: c0a28569-66ac",
            ][..],
        ),
        (2, &["[7]CHALLENGE", "[8]VERIFY", "[9]VERIFY"]),
        (3, &["[8]AP_REQUEST", "[9]VERIFY", "[10]VERIFY"]),
        (4, &["[9]CHALLENGE", "[10]VERIFY", "[11]VERIFY"]),
    ] {
        let (initiator, acceptor) = plain(hops);
        let outcome = talk(initiator, acceptor);
        assert_eq!(outcome.both(), FIRST, "{hops}");
        outcome.has(messages);
    }
}

#[test]
fn early_keys_sign_at_once() {
    for (hops, messages) in [
        (3, &["[4]VERIFY", "[9]VERIFY", "[10]AP_REQUEST"][..]),
        (
            4,
            &["[4]VERIFY", "[9]VERIFY", "[10]AP_REQUEST", "[11]CHALLENGE"],
        ),
    ] {
        let (mut initiator, mut acceptor) = plain(hops);
        (initiator.keys, acceptor.keys) = (KeyTime::Always, KeyTime::Always);
        let outcome = talk(initiator, acceptor);
        assert_eq!(outcome.both(), FIRST);
        outcome.has(messages);
    }
}

#[test]
fn without_keys_a_choice_is_not_protected() {
    let (mut initiator, mut acceptor) = plain(1);
    (initiator.keys, acceptor.keys) = (KeyTime::Never, KeyTime::Never);
    (initiator.signs, acceptor.signs) = (true, true);
    let outcome = talk(initiator, acceptor);
    assert_eq!(
        outcome.initiator.unwrap_err().reason,
        "No NegoEx verify key"
    );
}

#[test]
fn without_keys_and_choice_the_mech_list_mic_decides() {
    for signs in [false, true] {
        let (mut initiator, mut acceptor) = plain(2);
        (initiator.keys, acceptor.keys) = (KeyTime::Never, KeyTime::Never);
        (initiator.signs, acceptor.signs) = (signs, signs);
        let mut begun = Negoex::new(Role::Initiator, [(FIRST, Guid([1; 16]))]);
        let mut waiting = Negoex::new(Role::Acceptor, [(FIRST, Guid([1; 16]))]);
        let Ok(Step::Continue(offer)) = begun.step(None, &mut initiator) else {
            panic!("no offer");
        };
        let answer = waiting.step(Some(&offer), &mut acceptor);
        assert_eq!(answer.is_ok(), signs);
        assert_eq!(waiting.demands_mic(), signs);
        if let Ok(Step::Done(Some(answer))) = answer {
            let end = begun.step(Some(&answer), &mut initiator);
            assert_eq!(end, Ok(Step::Done(None)));
            assert!(begun.demands_mic());
        }
    }
}

#[test]
fn without_an_optimistic_token_the_acceptor_names_its_own_first() {
    let (mut initiator, acceptor) = plain(1);
    initiator.optimistic = false;
    let outcome = talk(initiator, acceptor);
    assert_eq!(outcome.both(), FIRST);
    outcome.has(&[
        "[3]ACCEPTOR_NEGO",
        "[6]AP_REQUEST",
        "[7]VERIFY",
        "[8]VERIFY",
    ]);
}

#[test]
fn a_mechanism_that_fails_before_it_is_taken_makes_room_for_the_next() {
    let second = "d1b08469-2ca8-0000-0000-000000000000";
    type Change = fn(&mut Script, &mut Script);
    let ends: [(Change, &[&str]); 4] = [
        (
            |initiator, _| initiator.fails_query = true,
            &[
                "[0]INITIATOR_NEGO: d1b08469",
                "[2]AP_REQUEST",
                "[3]VERIFY",
                "[4]ACCEPTOR_NEGO: d1b08469",
                "[6]VERIFY",
            ],
        ),
        (
            |_, acceptor| acceptor.fails_query = true,
            &[
                "[3]AP_REQUEST: c0a28569",
                "[4]VERIFY: c0a28569",
                "[5]ACCEPTOR_NEGO: d1b08469",
                "[7]AP_REQUEST: d1b08469",
                "[8]VERIFY: d1b08469",
                "[9]VERIFY: d1b08469",
            ],
        ),
        (
            |_, acceptor| acceptor.fails_exchange = true,
            &["[5]ACCEPTOR_NEGO: d1b08469", "[9]VERIFY: d1b08469"],
        ),
        (
            |initiator, _| initiator.fails_step = true,
            &["[0]INITIATOR_NEGO: d1b08469", "[2]AP_REQUEST", "[6]VERIFY"],
        ),
    ];
    for (change, messages) in ends {
        let (mut initiator, mut acceptor) = plain(1);
        change(&mut initiator, &mut acceptor);
        let outcome = talk(initiator, acceptor);
        assert_eq!(outcome.both(), SECOND, "{second}");
        outcome.has(messages);
    }
}

#[test]
fn an_optimistic_mechanism_that_is_used_and_then_ruled_out_ends_it() {
    for (hops, keys) in [
        (1, KeyTime::Established),
        (2, KeyTime::Always),
        (2, KeyTime::Established),
    ] {
        let (mut initiator, mut acceptor) = plain(hops);
        initiator.fails_exchange = true;
        (initiator.keys, acceptor.keys) = (keys, keys);
        let outcome = talk(initiator, acceptor);
        assert_eq!(
            outcome.initiator.unwrap_err().reason,
            "No mutually supported NegoEx authentication schemes"
        );
    }
}

#[test]
fn the_initiator_hears_why_the_acceptors_mechanism_failed() {
    let (initiator, mut acceptor) = plain(2);
    acceptor.fails_step = true;
    let outcome = talk(initiator, acceptor);
    // Optimistic at first, and then for good.
    assert_eq!(
        outcome.initiator.as_ref().unwrap_err().reason,
        "failure from acceptor"
    );
    outcome.has(&["[3]AP_REQUEST", "[4]ACCEPTOR_NEGO"]);
}

#[test]
fn who_lacks_a_key_says_so_and_is_sent_the_checksum_again() {
    let (mut initiator, mut acceptor) = plain(3);
    initiator.keys = KeyTime::Always;
    let outcome = talk(initiator.clone(), acceptor.clone());
    assert_eq!(outcome.both(), FIRST);
    outcome.has(&[
        "[3]AP_REQUEST",
        "[4]VERIFY",
        "[8]CHALLENGE",
        "[9]ALERT",
        "[10]AP_REQUEST",
        "[11]VERIFY",
        "[12]VERIFY",
    ]);

    (initiator, acceptor) = plain(4);
    acceptor.keys = KeyTime::Always;
    let outcome = talk(initiator, acceptor);
    assert_eq!(outcome.both(), FIRST);
    outcome.has(&[
        "[3]AP_REQUEST",
        "[7]CHALLENGE",
        "[8]VERIFY",
        "[9]AP_REQUEST",
        "[10]ALERT",
        "[11]CHALLENGE",
        "[12]VERIFY",
        "[13]VERIFY",
    ]);
}

/// Whoever changes any octet on the way may stop it, and changes nothing else.
#[test]
fn no_change_on_the_way_ends_in_another_mechanism() {
    for hops in 1..=4 {
        let (initiator, acceptor) = plain(hops);
        let mut lengths = Vec::new();
        talk_over(initiator.clone(), acceptor.clone(), |_, token| {
            lengths.push(token.len());
            token
        });
        for (number, length) in lengths.into_iter().enumerate() {
            for at in 0..length {
                let (initiator, acceptor) = (initiator.clone(), acceptor.clone());
                let outcome = talk_over(initiator, acceptor, |now, mut token| {
                    if now == number {
                        token[at] ^= 1;
                    }
                    token
                });
                if let (Ok(one), Ok(other)) = (outcome.initiator, outcome.acceptor) {
                    assert_eq!((one, other), (FIRST, FIRST), "token {number}, octet {at}");
                }
            }
        }
    }
}

#[test]
fn a_scheme_that_is_stripped_is_missed() {
    let (initiator, acceptor) = plain(1);
    let outcome = talk_over(initiator, acceptor, |number, token| {
        if number > 0 {
            return token;
        }
        // The first scheme's name becomes nobody's.
        let mut token = token;
        token[96] ^= 0xff;
        token
    });
    assert!(outcome.initiator.is_err() || outcome.acceptor.is_err());
}

#[test]
fn messages_out_of_order_and_of_another_conversation_are_refused() {
    for (at, reason) in [
        (12, "NegoEx message out of sequence: 1 where 0 must be"),
        (24 + 40, ""),
    ] {
        let (initiator, acceptor) = plain(1);
        let outcome = talk_over(initiator, acceptor, |number, mut token| {
            if number == 0 {
                token[at] ^= 1;
            }
            token
        });
        if !reason.is_empty() {
            assert_eq!(outcome.acceptor.unwrap_err().reason, reason);
        }
    }
    let (initiator, acceptor) = plain(2);
    let outcome = talk_over(initiator, acceptor, |number, mut token| {
        if number == 1 {
            token[24] ^= 1;
        }
        token
    });
    assert_eq!(
        outcome.initiator.unwrap_err().reason,
        "Invalid NegoEx conversation ID"
    );
}

#[test]
fn a_side_that_failed_stays_failed() {
    let (mut initiator, mut acceptor) = plain(3);
    acceptor.fails_step = true;
    initiator.optimistic = false;
    let mut begun = Negoex::new(Role::Initiator, [(FIRST, Guid([1; 16]))]);
    let mut waiting = Negoex::new(Role::Acceptor, [(FIRST, Guid([1; 16]))]);
    let mut token = None;
    for _ in 0..2 {
        let Ok(Step::Continue(made)) = begun.step(token.as_deref(), &mut initiator) else {
            panic!("it goes on");
        };
        let Ok(Step::Continue(made)) = waiting.step(Some(&made), &mut acceptor) else {
            panic!("it answers");
        };
        token = Some(made);
    }
    for _ in 0..2 {
        let again = waiting.step(Some(b"NEGOEXTS"), &mut acceptor);
        assert_eq!(again.unwrap_err().reason, "step");
    }
}

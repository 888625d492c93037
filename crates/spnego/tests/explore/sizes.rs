//! Messages of a size that no negotiation has, and promises of more: what an end holds and uses stays in
//! proportion to what has arrived.

use spnego::negotiate::{Acceptor, Initiator};
use spnego::oid::{KRB5, NEGOEX, NTLMSSP, Oid};
use spnego::policy::Rules;
use spnego::role::Role;
use spnego::wire::spnego::{MechList, NegState, NegTokenInit, NegTokenResp};

use crate::model::{Context, Fails, Plan, Side};
use crate::party::{Party, Talks};

/// Give an end these messages, the first ones as its peer would send them.
fn feed<R: Talks>(messages: &[Option<Vec<u8>>], side: &mut Side, what: &str) {
    let mut party = Party::<R>::new();
    for message in messages {
        let Some(answer) = party.step(message.as_deref(), side) else {
            break;
        };
        assert_eq!(answer.wrong, None, "{what}");
    }
}

fn side(role: Role) -> Side {
    let plan = |mech, tokens| Plan {
        mech,
        tokens,
        integrity: true,
        demands_mic: false,
        fails: Fails::Never,
    };
    let nonce = u8::from(role == Role::Acceptor) + 1;
    let plans = vec![plan(KRB5, 3), plan(NTLMSSP, 3)];
    Side::new(role, plans, Rules::default(), nonce)
}

fn offer(mechs: &[Oid], token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    NegTokenInit {
        mech_types: MechList::encode(mechs),
        mech_token: token,
        mech_list_mic: mic,
    }
    .encode()
}

/// What no honest peer sends, by a name.
fn hostile() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let large = vec![7; 200_000];
    let resp = |token, mic, mech| {
        NegTokenResp {
            neg_state: Some(NegState::AcceptIncomplete),
            supported_mech: mech,
            response_token: token,
            mech_list_mic: mic,
        }
        .encode()
    };
    let whole = resp(Some(&large), None, None);
    let one_by_one = whole[..20_000].iter().map(|octet| vec![*octet]);
    vec![
        (
            "one mechanism 5,000 times",
            vec![offer(&[KRB5; 5_000], None, None)],
        ),
        (
            "5,000 unknown ones",
            vec![offer(&[NEGOEX; 5_000], None, None)],
        ),
        (
            "a large mechToken",
            vec![offer(&[KRB5], Some(&large), None)],
        ),
        (
            "a large first MIC",
            vec![offer(&[KRB5], None, Some(&large))],
        ),
        ("a large responseToken", vec![whole.clone()]),
        ("a large MIC", vec![resp(None, Some(&large), None)]),
        ("a large identifier", vec![resp(None, None, Some(&large))]),
        ("octets one by one", one_by_one.collect()),
        (
            "halves",
            whole.chunks(100_010).map(<[u8]>::to_vec).collect(),
        ),
        (
            "the promise of 262,144 octets",
            vec![vec![0xa1, 0x83, 0x03, 0xff, 0xfb, 0x30]],
        ),
        (
            "the promise of 4 GiB",
            vec![vec![0xa1, 0x84, 0xff, 0xff, 0xff, 0xff]],
        ),
        (
            "the same of an offer",
            vec![vec![0x60, 0x84, 0x00, 0x03, 0xff, 0xf0, 0x06]],
        ),
        ("no length", vec![vec![0xa1, 0x80], large]),
    ]
}

#[test]
fn memory_is_bounded_by_what_was_received() {
    crate::install();
    let token = |number, nonces| crate::model::token(&KRB5, number, nonces).to_vec();
    let honest_offer = offer(&[KRB5, NTLMSSP], Some(&token(0, [1, 0])), None);
    let honest_answer = NegTokenResp {
        neg_state: Some(NegState::AcceptIncomplete),
        supported_mech: Some(KRB5.content()),
        response_token: Some(&token(1, [1, 2])),
        mech_list_mic: None,
    }
    .encode();
    for (what, messages) in hostile() {
        let after = |mut first: Vec<Option<Vec<u8>>>| {
            first.extend(messages.iter().cloned().map(Some));
            first
        };
        let acceptor = &mut side(Role::Acceptor);
        feed::<Acceptor<Context>>(&after(vec![]), acceptor, what);
        let acceptor = &mut side(Role::Acceptor);
        feed::<Acceptor<Context>>(&after(vec![Some(honest_offer.clone())]), acceptor, what);
        let initiator = &mut side(Role::Initiator);
        feed::<Initiator<Context>>(&after(vec![]), initiator, what);
        let initiator = &mut side(Role::Initiator);
        feed::<Initiator<Context>>(&after(vec![None]), initiator, what);
        let initiator = &mut side(Role::Initiator);
        let begun = vec![None, Some(honest_answer.clone())];
        feed::<Initiator<Context>>(&after(begun), initiator, what);
    }
}

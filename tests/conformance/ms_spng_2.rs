//! MS-SPNG section 2: the messages.

use spnego::error::{Cause, Error};
use spnego::negotiate::script::Script;
use spnego::oid::{IAKERB, KRB5, NTLMSSP};
use spnego::wire::spnego::{MechList, NegTokenInit, NegTokenResp};

use crate::talk::*;

// ---- 2.2 ----

/// 2.2-1 - "There are only two messages in SPNEGO, negTokenInit and negTokenResp"
///
/// What begins like neither is refused by either role.
#[test]
fn ms_spng_2_2_1_there_are_two_messages() {
    let script = Script::new(KRB5, 2);
    let (mut client, offer) = Client::offering(initiator([script.clone()]));
    let answer = Server::new(acceptor([script.clone()]))
        .hears(&offer)
        .unwrap();
    let answer = answer.token.unwrap();
    for tag in (0..=0xff).filter(|tag| ![0x60, 0xa1].contains(tag)) {
        let (offer, answer) = (
            [&[tag], &offer[1..]].concat(),
            [&[tag], &answer[1..]].concat(),
        );
        let mut server = Server::new(acceptor([script.clone()]));
        let failure = server.hears(&offer).unwrap_err();
        assert!(matches!(failure.error, Error::InvalidToken(_)), "{tag:#x}");
        let (mut client, _) = Client::offering(initiator([script.clone()]));
        let failure = client.hears(&answer).unwrap_err();
        assert!(matches!(failure.error, Error::InvalidToken(_)), "{tag:#x}");
    }
    assert!(client.hears(&answer).unwrap().complete);
}

/// 2.2-2 - "specify the set of authentication mechanisms that are supported and an opportunistic authentication message"
///
/// The list, and the first mechanism's token.
#[test]
fn ms_spng_2_2_2_first_message_has_the_mechanisms_and_the_opportunistic_token() {
    let krb5 = Script::new(KRB5, 2);
    let (_, offer) = Client::offering(initiator([krb5.clone(), Script::new(NTLMSSP, 3)]));
    let read = NegTokenInit::decode(&offer).unwrap();
    assert_eq!(read.mech_types, MechList::encode(&[KRB5, NTLMSSP]));
    assert_eq!(read.mech_token, Some(&krb5.token(0)[..]));
}

/// 2.2-3 - "is used thereafter as the server selects the mechanism to use"
///
/// And until completion.
#[test]
fn ms_spng_2_2_3_later_messages_are_neg_token_resp() {
    for tokens in 1..6 {
        let script = Script::new(KRB5, tokens);
        let outcome = talk(initiator([script.clone()]), acceptor([script]));
        assert_eq!(ends(&outcome), both(KRB5));
        assert!(
            outcome.tokens[1..]
                .iter()
                .all(|token| NegTokenResp::decode(token).is_ok())
        );
    }
}

// ---- 2.2.1 ----

/// What an acceptor of these sends first.
fn hints(scripts: impl Into<Vec<Script>>) -> Vec<u8> {
    let reply = Server::new(acceptor(scripts)).hears(b"").unwrap();
    assert!(!reply.complete);
    reply.token.unwrap()
}

/// An offer with this content in field 3, and with a MIC in field 4.
fn with_field_3(content: &[u8], mic: bool) -> Vec<u8> {
    let list = element(0xa0, MechList::encode(&[KRB5]).der());
    let mic = if mic {
        element(0xa4, &element(0x04, b"mic"))
    } else {
        Vec::new()
    };
    init_of(&[&list, &element(0xa3, content), &mic])
}

/// 2.2.1-1 SHOULD "NegTokenInit2 message SHOULD"
///
/// Written octet for octet so. In what is read, field 3 is negHints or a MIC by what is in it.
#[test]
fn ms_spng_2_2_1_1_hints_are_structured_as_specified() {
    let name = element(
        0xa0,
        &element(0x1b, b"not_defined_in_RFC4178@please_ignore"),
    );
    let list = element(0x30, &element(0x06, NTLMSSP.content()));
    let expected = init_of(&[&element(0xa0, &list), &element(0xa3, &element(0x30, &name))]);
    assert_eq!(hints([Script::new(NTLMSSP, 3)]), expected);

    let address = element(0xa1, &element(0x04, &[10, 0, 0, 1]));
    for read in [&[][..], &name, &address, &[&name[..], &address].concat()] {
        let token = with_field_3(&element(0x30, read), false);
        assert_eq!(NegTokenInit::decode(&token).unwrap().mech_list_mic, None);
    }
    let token = with_field_3(&element(0x04, b"mic"), false);
    assert_eq!(
        NegTokenInit::decode(&token).unwrap().mech_list_mic,
        Some(&b"mic"[..])
    );
}

/// 2.2.1-2 - "list of authentication mechanisms that are available, by OID"
///
/// Those that can be accepted, best first.
#[test]
fn ms_spng_2_2_1_2_hints_list_what_is_available() {
    let keyless = Script::new(IAKERB, 2).failing(0, Cause::Unusable);
    let token = hints([keyless, Script::new(NTLMSSP, 3), Script::new(KRB5, 2)]);
    let read = NegTokenInit::decode(&token).unwrap();
    assert_eq!(read.mech_types, MechList::encode(&[NTLMSSP, KRB5]));
}

/// 2.2.1-3 SHOULD "This field SHOULD be omitted by the sender"
///
/// reqFlags are in no message.
#[test]
fn ms_spng_2_2_1_3_hints_have_no_req_flags() {
    assert!(!field_tags(&hints([Script::new(KRB5, 2)])).contains(&0xa1));
    let (_, offer) = Client::offering(initiator([Script::new(KRB5, 2)]));
    assert!(!field_tags(&offer).contains(&0xa1));
}

/// 2.2.1-4 - "mechToken: The optimistic mechanism token"
///
/// An acceptor sends none: no mechanism of the library can begin as an acceptor without a token. One
/// that came is passed over.
#[test]
fn ms_spng_2_2_1_4_hints_have_no_token_and_a_received_one_is_passed_over() {
    let token = hints([Script::new(KRB5, 2)]);
    assert_eq!(field_tags(&token), [0xa0, 0xa3]);
    let read = NegTokenInit::decode(&token).unwrap();
    let with_token = NegTokenInit {
        mech_token: Some(b"NEGOEXTS"),
        ..read
    };
    let scripts = [Script::new(KRB5, 2), Script::new(NTLMSSP, 3)];
    let (_, plain) = Client::offering(initiator(scripts.clone()));
    let (_, invited) = Client::invited(Some(&with_token.encode_init2()), initiator(scripts));
    assert_eq!(invited, plain);
}

/// 2.2.1-5 SHOULD "hintName: SHOULD"
///
/// The agreed text is sent, so that no name leaks; anything is read, of any code page.
#[test]
fn ms_spng_2_2_1_5_hint_name_is_the_agreed_text() {
    let token = hints([Script::new(KRB5, 2)]);
    let text = b"not_defined_in_RFC4178@please_ignore";
    assert!(token.ends_with(&element(0xa0, &element(0x1b, text))));
    for name in [
        &b"server$@REALM"[..],
        b"m\x81ller@D\x9aSSELDORF",
        &[0, 0xff, 0x80],
        b"",
    ] {
        let name = element(0xa0, &element(0x1b, name));
        let token = with_field_3(&element(0x30, &name), true);
        let read = NegTokenInit::decode(&token).unwrap();
        assert_eq!(read.mech_list_mic, Some(&b"mic"[..]));
    }
}

/// 2.2.1-6 MUST "Never present. MUST be omitted by the sender"
///
/// No hintAddress is ever written; one that came is passed over.
#[test]
fn ms_spng_2_2_1_6_hint_address_is_omitted() {
    let token = hints([Script::new(KRB5, 2)]);
    let tail = hint_fields(&token);
    assert_eq!(split(&tail).0, 0xa0);
    assert!(split(&tail).2.is_empty(), "hintName alone");
    let address = element(0xa1, &element(0x04, &[127, 0, 0, 1]));
    let read = with_field_3(&element(0x30, &address), true);
    assert_eq!(
        NegTokenInit::decode(&read).unwrap().mech_list_mic,
        Some(&b"mic"[..])
    );
}

/// The fields inside negHints.
fn hint_fields(token: &[u8]) -> Vec<u8> {
    let inner = split(split(split(token).1).2).1;
    let mut fields = split(inner).1;
    loop {
        let (tag, content, rest) = split(fields);
        if tag == 0xa3 {
            return split(content).1.to_vec();
        }
        fields = rest;
    }
}

/// 2.2.1-7 - "require that this structure not be present at all, not just be zero"
///
/// Not an empty one either: negHints end with hintName.
#[test]
fn ms_spng_2_2_1_7_no_empty_hint_address_is_written() {
    for scripts in [
        vec![Script::new(KRB5, 2)],
        vec![Script::new(KRB5, 2), Script::new(NTLMSSP, 3)],
    ] {
        let token = hints(scripts);
        let name = element(
            0xa0,
            &element(0x1b, b"not_defined_in_RFC4178@please_ignore"),
        );
        assert_eq!(hint_fields(&token), name);
        assert!(!token.windows(2).any(|pair| pair == [0xa1, 0]));
    }
}

/// 2.2.1-8 - "mechListMIC: The message integrity code (MIC) token"
///
/// Read from field 4 beside hints, from field 3 without them. An invitation has none: there is no
/// mechanism yet to make it.
#[test]
fn ms_spng_2_2_1_8_mic_is_in_field_4_beside_hints() {
    let token = with_field_3(&element(0x30, &[]), true);
    assert_eq!(
        NegTokenInit::decode(&token).unwrap().mech_list_mic,
        Some(&b"mic"[..])
    );
    // A MIC in field 3 is the message of RFC 4178, whose field 4 is unknown.
    let token = with_field_3(&element(0x04, b"first"), true);
    assert_eq!(
        NegTokenInit::decode(&token).unwrap().mech_list_mic,
        Some(&b"first"[..])
    );
    assert!(!field_tags(&hints([Script::new(KRB5, 2)])).contains(&0xa4));
}

/// 2.2.1-9 - "message occupies the same context-specific"
///
/// Written and read as [0], in the header of an initial token.
#[test]
fn ms_spng_2_2_1_9_hints_have_the_tag_of_a_first_message() {
    let token = hints([Script::new(KRB5, 2)]);
    let (tag, content, _) = split(&token);
    assert_eq!(tag, 0x60);
    assert!(content.starts_with(&SPNEGO_OID));
    assert_eq!(content[SPNEGO_OID.len()], 0xa0);
}

//! Any octets as a token: each decoder refuses them or yields a message that, encoded again, is
//! the same message.

use spnego::wire::spnego::{NegTokenInit, NegTokenResp};

/// Decode `octets` as every message there is.
pub(crate) fn body(octets: &[u8]) {
    if let Ok(init) = NegTokenInit::decode(octets) {
        initial(&init);
    }
    if let Ok(reply) = NegTokenResp::decode(octets) {
        response(&reply);
    }
    if let Ok(reply) = NegTokenResp::decode_from_initiator(octets) {
        response(&reply);
    }
}

fn initial(init: &NegTokenInit<'_>) {
    assert!(
        init.mech_types.iter().next().is_some(),
        "a list is never empty"
    );
    if let Some(first) = init.mech_types.first() {
        assert!(
            init.mech_types
                .find(&first)
                .is_some_and(|found| found.same_mech(&first))
        );
    }
    let encoded = init.encode();
    let again = NegTokenInit::decode(&encoded).expect("what was encoded is read");
    assert_eq!(&again, init);
    // NegTokenInit2 as it is sent has hints and no MIC.
    let encoded = init.encode_init2();
    let again = NegTokenInit::decode(&encoded).expect("what was encoded is read");
    assert_eq!(again.mech_types.der(), init.mech_types.der());
    assert_eq!(again.mech_token, init.mech_token);
    assert_eq!(again.mech_list_mic, None);
}

fn response(reply: &NegTokenResp<'_>) {
    let encoded = reply.encode();
    assert_eq!(
        &NegTokenResp::decode(&encoded).expect("what was encoded is read"),
        reply
    );
    let without = reply.without_copied_mic();
    assert_eq!(without.response_token, reply.response_token);
    assert!(without.mech_list_mic.is_none() || without.mech_list_mic == reply.mech_list_mic);
}

//! What RFC 4178 and MS-SPNG ask for, what is done, and the test that shows it. The table of
//! doc/conformance.md is made from here; SPNEGO_ACCEPT_CONFORMANCE=1 writes it anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

use std::fmt::Write as _;
use std::fs;

const ACCEPTOR: &str = "src/negotiate/acceptor.rs";
const INITIATOR: &str = "src/negotiate/initiator.rs";
const BOTH: &str = "src/negotiate/tests.rs";
const CONVERSATION: &str = "src/negotiate/conversation.rs";
const PIECES: &str = "src/negotiate/fragment.rs";
const WIRE: &str = "src/wire/spnego.rs";
const GLUE: &str = "tests/fragments.rs";
const NTLM: &str = "src/ntlm/tests.rs";
const PAIRS: &str = "tests/pairings.rs";
const HOSTILE: &str = "tests/ntlm_hostile.rs";
const SYSTEM: &str = "tests/ntlm_system.rs";

/// Section, which of its sentences, how strong it is, what it asks for in our words, what is done,
/// where the test is and what it is called.
type Row = (
    &'static str,
    u8,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const RFC_4178: &[Row] = &[
    ("3.1", 1, "MUST NOT", "SPNEGO is not in the list, nor what there is no credential for", "each mechanism is vouched for before it is offered", BOTH, "a_mechanism_behind_the_first_is_offered_only_if_it_can_be_used"),
    ("3.1", 2, "SHALL", "without an order of its own the acceptor takes the first it can", "yes; with an order, that one", BOTH, "an_acceptor_with_an_order_of_its_own_follows_that"),
    ("3.1", 3, "OPTIONAL", "a token with a rejection", "always one, with the mechanism's error token if there is one", BOTH, "no_mechanism_in_common_is_rejected_with_what_was_offered"),
    ("3.1", 4, "MUST NOT", "an unfinished context protects messages", "each message call says that there is no context", PAIRS, "kerberos_takes_two_tokens_and_every_message_passes"),
    ("3.1", 5, "MUST", "prot_ready is false until the end", "taken out of the flags of unfinished legs", PAIRS, "mechanisms_of_any_number_of_tokens_are_carried"),
    ("3.2", 1, "SHOULD", "the preferred mechanism's first token goes with the offer", "unless configured otherwise", BOTH, "a_mutually_preferred_mechanism_needs_no_token_beyond_its_own_and_the_last_word"),
    ("3.2", 2, "MAY", "that token is left out", "by configuration, or when the server's hints make it useless", BOTH, "without_an_optimistic_token_the_choice_comes_first"),
    ("3.2", 3, "-", "the initiator recovers when its first mechanism cannot begin", "the next one takes its place; a refusal is final", BOTH, "a_mechanism_that_cannot_start_is_dropped_and_the_next_one_offered_in_its_place"),
    ("3.2", 4, "SHALL", "nothing acceptable ends the negotiation with BAD_MECH", "yes, with every reason", BOTH, "no_mechanism_in_common_is_rejected_with_what_was_offered"),
    ("3.2", 5, "MUST", "another than the first choice is answered with request-mic", "yes, also when the acceptor would have preferred an absent one", BOTH, "first_choice_that_the_acceptor_would_not_have_taken_first_needs_both_mics"),
    ("3.2", 6, "MUST", "the optimistic token of a taken mechanism is passed to it, its answer sent", "yes", BOTH, "a_mutually_preferred_mechanism_needs_no_token_beyond_its_own_and_the_last_word"),
    ("4", 1, "shall", "messages are DER", "written so; needless long lengths are read, the list's octets kept", WIRE, "a_list_is_kept_as_it_came_lengths_and_all"),
    ("4.2", 1, "MUST NOT", "later tokens have no initial header", "never written; tolerated from an initiator", WIRE, "an_initiators_later_token_may_wear_the_header_of_a_first_one"),
    ("4.2.1", 1, "-", "mechTypes is there and has mechanisms", "required", WIRE, "the_list_must_be_there_and_hold_identifiers_only"),
    ("4.2.1", 2, "SHOULD", "reqFlags are left out", "never written", WIRE, "every_combination_of_fields_comes_back_as_it_was_encoded"),
    ("4.2.1", 3, "MUST", "reqFlags are ignored, of whatever length", "passed over unread", WIRE, "req_flags_of_any_form_are_passed_over"),
    ("4.2.2", 1, "SHALL", "request-mic in the first reply only", "ignored in a later one", INITIATOR, "request_mic_in_a_later_reply_asks_for_nothing"),
    ("4.2.2", 2, "REQUIRED", "negState in the first reply", "sent in every reply; its absence is tolerated", INITIATOR, "neg_state_and_supported_mech_may_be_missing_from_the_first_reply"),
    ("4.2.2", 3, "SHALL", "supportedMech in the first reply only", "sent there only, ignored in a later one", INITIATOR, "supported_mech_in_a_later_reply_is_ignored"),
    ("4.2.2", 4, "MUST", "supportedMech is one that was offered", "another is refused", INITIATOR, "a_mechanism_that_was_not_offered_is_refused"),
    ("5", 1, "-", "no MIC without integrity", "neither sent nor asked for", BOTH, "without_integrity_there_are_no_mics"),
    ("5", 2, "MUST", "MICs are exchanged unless both prefer the mechanism", "yes, whoever sends the last token", BOTH, "second_choice_needs_both_mics_whoever_sends_the_last_token"),
    ("5", 3, "-", "the MIC is over the encoded MechTypeList, without its tag [0]", "over the octets as they came", WIRE, "the_list_of_rfc_4178_appendix_d_is_what_a_mic_covers"),
    ("5", 4, "SHALL", "a wrong MIC ends the negotiation with DEFECTIVE_TOKEN", "yes, with a reject", BOTH, "a_mic_that_is_stripped_altered_or_replaced_by_the_token_ends_both_sides"),
    ("5", 5, "SHALL", "a missing MIC that is required ends it", "yes", INITIATOR, "request_mic_for_the_first_choice_makes_the_mic_mandatory"),
    ("5", 6, "should not", "no MIC that is not required, for old Windows", "none is sent of our own accord", BOTH, "a_mutually_preferred_mechanism_needs_no_token_beyond_its_own_and_the_last_word"),
    ("5", 7, "MUST", "one that came unasked is verified and answered", "yes", BOTH, "a_mic_that_was_not_asked_for_is_verified_and_answered"),
    ("5", 8, "MUST", "an acceptor whose request-mic finds the mechanism done sends its MIC first", "yes", BOTH, "first_choice_that_the_acceptor_would_not_have_taken_first_needs_both_mics"),
    ("6", 1, "MUST", "unknown fields are ignored", "passed over", WIRE, "unknown_fields_are_passed_over_and_known_ones_come_once_and_in_order"),
    ("6", 2, "MAY", "the list has identifiers that are no mechanisms", "passed over", ACCEPTOR, "spnego_within_spnego_and_identifiers_of_any_length_are_passed_over"),
    ("6", 3, "MUST", "a preferred mechanism that was not offered makes MICs required", "yes, if it could be used", BOTH, "what_the_acceptor_cannot_use_it_does_not_prefer"),
    ("7", 1, "shall", "a changed list never lets both sides end with another choice", "yes", BOTH, "a_shortened_list_never_lets_both_sides_end_with_the_second_choice"),
    ("B.1", 1, "-", "the caller restricts and orders the mechanisms", "gss_set_neg_mechs, in either role", PAIRS, "neg_mechs_limit_what_is_negotiated"),
    ("C", 1, "-", "old Windows names Kerberos wrongly and does without MICs", "read; unprotected NTLM only if configured", INITIATOR, "legacy_windows_is_left_alone_with_mics_where_the_rules_allow_it"),
    ("D", 1, "-", "which octets the MIC is over", "the example is a vector", WIRE, "the_list_of_rfc_4178_appendix_d_is_what_a_mic_covers"),
];

#[rustfmt::skip]
const MS_SPNG: &[Row] = &[
    ("2.2.1", 1, "SHOULD", "NegTokenInit2 has its hints in field 3", "written so; read by what is in the field", WIRE, "field_3_is_a_mic_or_hints_by_what_is_in_it"),
    ("2.2.1", 2, "SHOULD", "no reqFlags", "never written", GLUE, "an_acceptors_hints_have_the_name_of_the_specification_and_no_address"),
    ("2.2.1", 3, "-", "an optimistic token may be in it", "none is sent, since no mechanism of the library begins as an acceptor without a token; read and passed over", BOTH, "hints_that_have_the_first_choice_and_input_that_is_no_hint_change_nothing"),
    ("2.2.1", 4, "SHOULD", "hintName is the agreed text", "written so; anything is read", GLUE, "hints_of_old_windows_in_any_code_page_and_addresses_are_passed_over"),
    ("2.2.1", 5, "MUST", "hintAddress is left out", "never written", GLUE, "an_acceptors_hints_have_the_name_of_the_specification_and_no_address"),
    ("3.1.1", 1, "MUST", "the maximum size is at least 5", "smaller ones are refused with the reason", GLUE, "wrong_sizes_are_refused_with_the_reason"),
    ("3.1.5.2", 1, "SHOULD", "the standard identifier of Kerberos", "offered; all three are read", INITIATOR, "kerberos_may_be_answered_under_its_other_identifier"),
    ("3.1.5.3", 1, "MUST", "reqFlags are ignored", "passed over unread", WIRE, "req_flags_of_any_form_are_passed_over"),
    ("3.1.5.5", 1, "-", "pieces are of the maximum size, the last of the rest", "yes; 5 itself is allowed", PIECES, "ms_spng_3_1_5_5_pieces_are_of_the_size_asked_for"),
    ("3.1.5.6", 1, "MUST", "CONTINUE_NEEDED until the last piece", "completion waits for it", CONVERSATION, "ms_spng_3_1_5_6_completion_is_withheld_until_the_last_piece_left"),
    ("3.1.5.8", 1, "-", "pieces are put together to the announced length", "from one octet on; more, or none, is an error", PIECES, "ms_spng_3_1_5_8_pieces_of_any_size_make_the_message"),
    ("3.1.5.9", 1, "MUST", "each piece but the last is answered by the empty token", "yes", CONVERSATION, "ms_spng_3_1_5_9_each_piece_is_answered_by_the_empty_token"),
    ("3.1.5.9", 2, "MUST", "a message that is not whole goes with the context", "yes", GLUE, "memory_grows_with_what_arrived_and_goes_with_the_context"),
    ("3.2.5", 1, "SHOULD", "negHints from a client are ignored", "passed over", WIRE, "field_3_is_a_mic_or_hints_by_what_is_in_it"),
    ("3.2.5", 2, "MUST", "Kerberos under the wrong identifier is answered under it", "octet for octet", BOTH, "kerberos_under_the_wrong_identifier_is_echoed_octet_for_octet"),
    ("3.2.5", 3, "SHOULD", "the server cuts what is too large", "yes", GLUE, "every_way_to_set_the_size_cuts_the_tokens_of_either_role"),
    ("3.2.5", 4, "MUST", "the server puts pieces together", "yes", GLUE, "pieces_down_to_one_octet_are_taken_from_any_peer"),
    ("3.2.5.1", 1, "MUST", "NTLM's RC4 state is the same after a mechListMIC as before, made or verified", "put back, in either role", NTLM, "the_key_stream_is_put_back_after_mech_list_mics"),
    ("3.2.5.1", 2, "MUST", "the same over the system's NTLM", "it is told to, after each mechListMIC, in either role", SYSTEM, "the_mechanism_is_asked_for_its_mic_and_its_key_stream_is_put_back"),
    ("3.2.5.2", 1, "-", "an empty token brings NegTokenInit2 with what is available", "yes", BOTH, "hints_name_what_the_acceptor_can_use_and_save_a_useless_token"),
    ("3.3.5", 1, "SHOULD", "the client cuts what is too large", "yes", GLUE, "kerberos_in_pieces_of_every_size_in_either_role_and_both"),
    ("3.3.5", 2, "MUST", "the client puts pieces together", "yes", GLUE, "pieces_down_to_one_octet_are_taken_from_any_peer"),
    ("3.3.5", 3, "SHOULD, MUST", "a repeated supportedMech is no error, and ignored", "yes", INITIATOR, "supported_mech_in_a_later_reply_is_ignored"),
    ("3.3.5.1", 1, "MUST", "the same at the client", "put back, in either role", NTLM, "the_key_stream_is_put_back_after_mech_list_mics"),
    ("3.3.5.2", 1, "SHOULD", "the client takes a NegTokenInit2 before it has sent anything", "to save a useless token, and for nothing else", GLUE, "hints_are_used_to_save_a_useless_token_and_for_nothing_else"),
    ("note 8", 1, "-", "a mechListMIC is mandatory where AUTHENTICATE has a MIC, though both prefer NTLM", "in either role, over either NTLM", HOSTILE, "a_mech_list_mic_can_neither_be_removed_nor_made_up"),
    ("4", 1, "-", "the example", "read to its last octet", WIRE, "the_token_of_ms_spng_section_4_is_read_to_its_last_octet"),
];

#[test]
fn each_row_names_a_test_that_there_is() {
    for (section, _, _, _, _, file, test) in RFC_4178.iter().chain(MS_SPNG) {
        let source = read(file);
        let found = source
            .split("#[test]\n")
            .skip(1)
            .any(|rest| rest.trim_start().starts_with(&format!("fn {test}(")));
        assert!(found, "section {section}: no test {test} in {file}");
    }
}

#[test]
fn the_documented_table_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/doc/conformance.md");
    let made = document();
    if std::env::var_os("SPNEGO_ACCEPT_CONFORMANCE").is_some() {
        fs::write(path, &made).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    let differs = kept
        .lines()
        .zip(made.lines())
        .find(|(kept, made)| kept != made);
    assert!(
        kept == made,
        "doc/conformance.md is not what tests/conformance.rs makes; accept it with \
         SPNEGO_ACCEPT_CONFORMANCE=1 cargo test --test conformance\n{differs:?}"
    );
}

fn document() -> String {
    let mut text = "# What the specifications ask for\n\n\
        Made by `tests/conformance.rs`. The sentences are in our words; their numbers count the\n\
        requirements of a section that are listed here.\n"
        .to_owned();
    for (name, rows) in [("RFC 4178", RFC_4178), ("MS-SPNG", MS_SPNG)] {
        let _ = writeln!(text, "\n## {name}\n");
        text += "| Sentence | Strength | Asks for | Done | Test |\n|---|---|---|---|---|\n";
        for (section, number, strength, asks, done, file, test) in rows {
            let _ = writeln!(
                text,
                "| {section}-{number} | {strength} | {asks} | {done} | `{file}`: `{test}` |"
            );
        }
    }
    text += OPEN;
    text
}

/// What the tables do not show.
const OPEN: &str = "\n## Not shown by a test of this table\n\n\
    * MS-SPNG 3.3.3-1 (MUST): the client asks for mutual authentication. Whether to is left to\n  \
      the program: its flags go to the mechanism as they are, with integrity added.\n\
    * MS-SPNG 3.1.5.2-1: the identifier of Kerberos user-to-user is known, and offered only where\n  \
      the library has that mechanism.\n";

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

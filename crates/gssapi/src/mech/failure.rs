//! What a failure of an inner mechanism means, its own words for it, and what to do about it.

use crate::owned::{Buffer, LentOid};
use crate::{Mechglue, call, kerberos};
use spnego::advice::{Trouble, advised, krb5_error};
use spnego::error::{Cause, Major, MechError, major, plain};
use spnego::oid::Oid;
use spnego::role::Role;
use std::ffi::c_int;

/// A mechanism's failure, with its own words for it, taken down at once: they are kept by thread
/// and overwritten by the next call.
pub(crate) fn failed(glue: &'static Mechglue, mech: &Oid, status: Major, minor: u32) -> MechError {
    MechError {
        mech: *mech,
        major: status,
        cause: cause(mech, status, minor),
        reason: reason(glue, mech, status, minor),
        token: None,
    }
}

/// The same, and what to do about it after the mechanism's words.
pub(super) fn advised_failure(
    role: Role,
    glue: &'static Mechglue,
    mech: &Oid,
    status: Major,
    minor: u32,
) -> MechError {
    let mut error = failed(glue, mech, status, minor);
    let trouble = Trouble::of(mech, role, status, minor, &error.reason)
        .map(|trouble| found_out(trouble, glue, &error.reason));
    error.reason = advised(error.reason, trouble.as_ref());
    error
}

/// The trouble that is really there. Of a ticket whose encryption type the acceptor does not permit
/// MIT's library says that it cannot be decrypted, as if the key were another.
fn found_out(trouble: Trouble, glue: &'static Mechglue, words: &str) -> Trouble {
    if trouble != Trouble::WrongKey(Role::Acceptor) || glue.is_heimdal() {
        return trouble;
    }
    match ticket_encryption_type(words).and_then(kerberos::permits_encryption_type) {
        Some(false) => Trouble::EncryptionType(Role::Acceptor),
        _ => trouble,
    }
}

/// The type in "... kvno 1 enctype DEPRECATED:arcfour-hmac found in keytab but cannot decrypt
/// ticket".
fn ticket_encryption_type(words: &str) -> Option<&str> {
    let (before, _) = words.rsplit_once(" found in keytab but cannot decrypt ticket")?;
    let (_, name) = before.rsplit_once(" enctype ")?;
    Some(name.rsplit_once(':').map_or(name, |(_, name)| name))
}

/// An acceptor passes over a mechanism only when it says that it cannot be used here. Whatever else
/// it finds wrong is the initiator's token, and a token that was refused (a skewed clock, an
/// unknown key) must not turn into another mechanism.
pub(super) fn judged_by_acceptor(mut error: MechError) -> MechError {
    error.cause = match error.major & major::ROUTINE_ERRORS {
        major::NO_CRED | major::BAD_MECH | major::UNAVAILABLE => Cause::Unusable,
        _ => Cause::Refused,
    };
    error
}

/// What a failure means for the negotiation.
fn cause(mech: &Oid, status: Major, minor: u32) -> Cause {
    match status & major::ROUTINE_ERRORS {
        major::DEFECTIVE_TOKEN
        | BAD_SIG
        | major::BAD_BINDINGS
        | major::DUPLICATE_ELEMENT
        | major::NO_CONTEXT => Cause::Refused,
        _ if mech.is_krb5() && KRB5_REFUSALS.contains(&minor) => Cause::Refused,
        _ => Cause::Unusable,
    }
}

/// The sentences of the glue for a failure: the mechanism's, or the major status's where the
/// mechanism has none.
fn reason(glue: &'static Mechglue, mech: &Oid, status: Major, minor: u32) -> String {
    call::collect_error(glue, mech, status, minor);
    // Kerberos has no code of its own for wrong channel bindings, and MIT's glue makes one of none.
    let has_none = mech.is_krb5() && status & major::ROUTINE_ERRORS == major::BAD_BINDINGS;
    let mut said = match minor {
        0 => Vec::new(),
        _ if has_none => Vec::new(),
        _ => sentences(glue, mech, minor, OF_MECH),
    };
    // Nor for a credential that has expired, and "Success" is no reason.
    if said.iter().all(|sentence| *sentence == words_of_no_error()) {
        said = sentences(glue, mech, status, OF_MAJOR);
    }
    if said.is_empty() {
        return format!("failed with status {status:#x}, code {minor}");
    }
    said.join("; ")
}

/// What the C library says of 0, in the language of the process.
fn words_of_no_error() -> String {
    plain(&std::io::Error::from_raw_os_error(0))
}

/// What a mechanism says of a code of its own, as the glue knows it.
pub fn words(glue: &'static Mechglue, mech: &Oid, minor: u32) -> Vec<String> {
    sentences(glue, mech, minor, OF_MECH)
}

/// What the glue says of a code: the major status, or a mechanism's own.
fn sentences(glue: &'static Mechglue, mech: &Oid, code: u32, kind: c_int) -> Vec<String> {
    let mut lent = LentOid::new(mech);
    let mut sentences: Vec<String> = Vec::new();
    let mut more = 0;
    for _ in 0..MOST_SENTENCES {
        let mut ignored = 0;
        let mut text = Buffer::empty(glue);
        // SAFETY: the mech is lent for the call, the outs are locals.
        let shown = unsafe {
            glue.gss_display_status(
                &raw mut ignored,
                code,
                kind,
                lent.raw(),
                &raw mut more,
                text.out(),
            )
        };
        if shown != major::COMPLETE {
            break;
        }
        sentences.push(printable(text.text().trim()));
        if more == 0 {
            break;
        }
    }
    sentences
}

/// GSS_C_GSS_CODE and GSS_C_MECH_CODE.
const OF_MAJOR: c_int = 1;
const OF_MECH: c_int = 2;

/// A mechanism's sentence, in which nothing that a peer has put into it (the name in its ticket,
/// the text of an error) drives a terminal, ends a line of a log or fills it.
fn printable(sentence: &str) -> String {
    let mut shown: String = sentence
        .chars()
        .take(LONGEST_SENTENCE)
        .map(|c| if drives(c) { '?' } else { c })
        .collect();
    if sentence.chars().nth(LONGEST_SENTENCE).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Whether a character does something else than to be seen: ends lines, or turns what stands around
/// it.
fn drives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

const BAD_SIG: u32 = 6 << 16;

/// Kerberos errors that say no to the user, not to the mechanism: password expired, account
/// revoked, pre-authentication failed (wrong password), integrity check failed (wrong key).
/// Another mechanism must not be tried with the same secret. Values: MIT and Heimdal krb5_err.et.
const KRB5_REFUSALS: [u32; 4] = [
    krb5_error(23),
    krb5_error(18),
    krb5_error(24),
    krb5_error(31),
];

/// A mechanism that never ends its list of sentences is cut short.
const MOST_SENTENCES: usize = 8;

/// Characters of a sentence that are shown: Kerberos's with two principals in them have some 200,
/// and what to do about it has to fit behind it into the 1024 octets that curl shows.
const LONGEST_SENTENCE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use spnego::oid;

    #[test]
    fn a_tickets_encryption_type_is_found_in_the_librarys_words() {
        let words =
            |name| format!("kvno 1 enctype {name} found in keytab but cannot decrypt ticket");
        let plain = words("aes256-cts");
        assert_eq!(ticket_encryption_type(&plain), Some("aes256-cts"));
        let deprecated = words("DEPRECATED:arcfour-hmac");
        assert_eq!(ticket_encryption_type(&deprecated), Some("arcfour-hmac"));
        assert_eq!(ticket_encryption_type("another text"), None);
    }

    #[test]
    fn what_a_peer_puts_into_a_sentence_is_harmless_and_short() {
        let ticket = "Request ticket server HTTP/\u{1b}[2Jx\n@R not found in keytab";
        let shown = "Request ticket server HTTP/?[2Jx?@R not found in keytab";
        assert_eq!(printable(ticket), shown);
        let long = printable(&"ä".repeat(LONGEST_SENTENCE + 1));
        assert_eq!(long.chars().count(), LONGEST_SENTENCE + 3);
        assert_eq!(printable(&long[..10]), long[..10]);
    }

    #[test]
    fn a_wrong_password_is_final_and_a_missing_ticket_is_not() {
        let failure = major::FAILURE;
        assert_eq!(cause(&oid::KRB5, failure, krb5_error(24)), Cause::Refused);
        assert_eq!(cause(&oid::KRB5, failure, krb5_error(7)), Cause::Unusable);
        assert_eq!(cause(&oid::KRB5, major::NO_CRED, 0), Cause::Unusable);
        assert_eq!(
            cause(&oid::NTLMSSP, major::DEFECTIVE_TOKEN, 0),
            Cause::Refused
        );
    }
}

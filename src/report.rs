//! What the last failures on this thread were, so that `gss_display_status` can say why: the
//! interface gives it nothing but the minor code.
#![forbid(unsafe_code)]

use spnego::error::{Error, Minor};
use spnego::trace::{self, Event};
use std::cell::RefCell;

thread_local! {
    static LATEST: RefCell<Vec<(Minor, Vec<String>)>> = const { RefCell::new(Vec::new()) };
}

/// Keep a failure's sentences, in the place of the last failure with the same code.
pub(super) fn keep(error: &Error) -> Minor {
    let minor = error.minor();
    let sentences = error.sentences();
    if trace::on() && !trace::verdict_was_told() {
        trace::tell(&Event::CallFailed {
            reason: &sentences.join("; "),
            major: error.major(),
            minor: minor.code(),
        });
    }
    // A thread that is ending has no storage any more: the code's own sentence serves then.
    let _ = LATEST.try_with(|latest| {
        let mut latest = latest.borrow_mut();
        match latest.iter_mut().find(|(code, _)| *code == minor) {
            Some((_, kept)) => *kept = sentences,
            None => latest.push((minor, sentences)),
        }
    });
    minor
}

/// The sentence at `position` for a code, and whether there are more after it.
pub(super) fn sentence(minor: Minor, position: usize) -> (String, bool) {
    LATEST
        .try_with(|latest| {
            let latest = latest.borrow();
            let (_, sentences) = latest.iter().find(|(code, _)| *code == minor)?;
            let sentence = sentences.get(position)?;
            Some((sentence.clone(), position + 1 < sentences.len()))
        })
        .ok()
        .flatten()
        .unwrap_or_else(|| (minor.sentence().to_owned(), false))
}

/// The sentences for a code in one text.
pub(super) fn all_sentences(minor: Minor) -> String {
    let mut sentences = Vec::new();
    loop {
        let (sentence, more) = sentence(minor, sentences.len());
        sentences.push(sentence);
        if !more {
            return sentences.join("; ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_is_read_in_turn() {
        let error = Error::Rejected {
            negotiated: false,
            considered: vec![],
        };
        assert_eq!(keep(&error), Minor::Rejected);
        assert_eq!(
            sentence(Minor::Rejected, 0),
            (error.sentences().concat(), false)
        );
    }

    #[test]
    fn a_code_without_a_failure_on_this_thread_has_its_own_sentence() {
        assert_eq!(
            sentence(Minor::NoCreds, 0),
            (Minor::NoCreds.sentence().to_owned(), false)
        );
    }
}

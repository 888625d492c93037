//! Any octets in pieces of any sizes: what comes out is what went in, and nothing comes out early,
//! late or longer than announced.
//!
//! The first octet of the input is the number of sizes that follow it; the rest is a message.

use spnego::negotiate::fragment::{Assembled, Assembler, Fragmenter};

/// Take the message apart by the sizes and put it together, then send it in pieces of the first.
pub(crate) fn body(octets: &[u8]) {
    let Some((count, rest)) = octets.split_first() else {
        return;
    };
    let count = usize::from(count % 16).min(rest.len());
    let (sizes, message) = rest.split_at(count);
    receive(sizes, message);
    send(
        usize::from(sizes.first().copied().unwrap_or_default()),
        message,
    );
}

fn receive(sizes: &[u8], message: &[u8]) {
    let mut sizes = sizes
        .iter()
        .map(|size| usize::from(*size))
        .chain(std::iter::repeat(1));
    let mut left = message;
    let mut next_piece = || {
        let size = sizes.next().unwrap_or(1).min(left.len());
        let (piece, after) = left.split_at(size);
        left = after;
        piece
    };

    let first = next_piece();
    let Ok(Some(mut assembler)) = Assembler::begin(first) else {
        return;
    };
    let mut arrived = first.len();
    assert!(arrived > 0, "an empty token is nobody's first piece");
    loop {
        let piece = next_piece();
        arrived += piece.len();
        match assembler.take(piece) {
            Ok(Assembled::Waiting(more)) => {
                assert!(!piece.is_empty(), "an empty piece ends it");
                assembler = more;
            }
            Ok(Assembled::Whole(whole)) => {
                assert_eq!(Some(whole.as_slice()), message.get(..arrived));
                let as_it_is = Assembler::begin(&whole);
                assert!(
                    matches!(as_it_is, Ok(None)),
                    "a whole message is not a piece"
                );
                return;
            }
            Err(_) => return,
        }
    }
}

fn send(largest: usize, message: &[u8]) {
    let mut together = Vec::new();
    let mut rest = Some(Fragmenter::new(message.to_vec()));
    while let Some(fragmenter) = rest {
        let (piece, left) = fragmenter.next(largest);
        assert!(largest == 0 || piece.len() <= largest);
        assert!(left.is_none() || piece.len() == largest);
        together.extend(piece);
        rest = left;
    }
    assert_eq!(together, message);
}

//! Any octets as a token, and as text with tokens in it: the tool's decoder says something of each,
//! within the token and within bounds.

#[allow(dead_code, reason = "the tool prints what is only counted here")]
#[path = "../../../crates/cli/src/decode/dissect/mod.rs"]
mod dissect;

use dissect::field::{Field, Level};
use dissect::{input, legs};

/// Take `octets` apart by themselves and as what a user may give.
pub(crate) fn body(octets: &[u8]) {
    let (field, facts) = dissect::token(octets);
    assert!(
        !facts.summary().is_empty(),
        "each token is called something"
    );
    let shown = measure(&field, octets.len());
    assert!(shown <= bound(octets.len()), "{shown} fields and remarks");

    let Ok(found) = input::find(octets) else {
        return;
    };
    assert!(!found.is_empty(), "something was found");
    let count = found.len();
    let length: usize = found.iter().map(|found| found.octets.len()).sum();
    assert!(
        length <= octets.len(),
        "tokens are not longer than their text"
    );
    let legs = legs::assemble(found);
    assert_eq!(legs.len(), count, "no leg is lost");
    let examined: Vec<_> = legs::examine(&legs).collect();
    assert_eq!(examined.len(), count);
    let shown: usize = examined
        .iter()
        .filter_map(|leg| leg.field.as_ref())
        .map(|field| measure(field, length))
        .sum();
    assert!(
        shown <= count * bound(0) + bound(length),
        "{shown} fields and remarks"
    );
}

/// How many fields and remarks there are; each field lies in the token.
fn measure(field: &Field<'_>, length: usize) -> usize {
    assert!(
        field.at <= length && field.length <= length - field.at,
        "{field:?}"
    );
    let remarks = [Level::Wrong, Level::Doubtful, Level::Note];
    let below: usize = field
        .fields
        .iter()
        .map(|field| measure(field, length))
        .sum();
    let here = 1 + field.remarks.len();
    let counted: usize = remarks.iter().map(|level| field.count(*level)).sum();
    assert!(counted >= field.remarks.len());
    here + below
}

/// What a token of so many octets can be worth: a few fields by itself, and for each octet at each
/// depth a field with a remark or two.
fn bound(length: usize) -> usize {
    64 + 24 * length
}

//! Any octets as a token, and as text with tokens in it: the tool's decoder says something of each,
//! within the token and within bounds.

#[allow(dead_code, reason = "the tool prints what is only counted here")]
#[path = "../../../crates/cli/src/decode/dissect/mod.rs"]
mod dissect;
#[allow(dead_code, reason = "as above")]
#[path = "../../../crates/cli/src/decode/input/mod.rs"]
mod input;
#[allow(dead_code, reason = "as above")]
#[path = "../../../crates/cli/src/decode/legs.rs"]
mod legs;

use dissect::field::{Field, Level};

/// Take `octets` apart by themselves and as what a user may give.
pub(crate) fn body(octets: &[u8]) {
    let (field, facts) = dissect::token(octets);
    assert!(
        !facts.summary().is_empty(),
        "each token is called something"
    );
    let shown = measure(&field, octets.len());
    assert!(shown <= bound(octets.len()), "{shown} fields and remarks");

    let found = || input::find(octets, "the input").expect("what is in memory is read");
    let count = found().filter(Result::is_ok).count();
    let mut examiner = legs::Examiner::default();
    let mut legs = 0;
    for leg in legs::assemble(found()) {
        let Ok(leg) = leg else {
            continue;
        };
        legs += 1;
        let examined = examiner.examine(&leg);
        let length = match &leg.part {
            legs::Part::Last { token, .. } => token.len(),
            _ => leg.found.octets.len(),
        };
        if let Some(field) = &examined.field {
            let shown = measure(field, length) + examined.remarks.len();
            assert!(shown <= bound(length), "{shown} fields and remarks");
        }
    }
    assert_eq!(legs, count, "no leg is lost");
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

//! Octets in hexadecimal, with whatever people and programs put between them.
#![forbid(unsafe_code)]

use super::scan::{More, Text};

/// The octets that begin at `start`, and where the text goes on.
pub(super) fn octets(text: Text<'_>, start: usize) -> Result<(Vec<u8>, usize), More> {
    let mut octets = Vec::new();
    let mut at = start;
    let mut end = start;
    while let Some((octet, after)) = octet(text, at)? {
        octets.push(octet);
        end = after;
        at = after;
        // A blank, a comma with a few of them, the end of a line.
        for _ in 0..LONGEST_GAP {
            match text.octet(at)? {
                Some(b' ' | b',' | b':' | b'-' | b'\n' | b'\r' | b'\t') => at += 1,
                _ => break,
            }
        }
    }
    Ok((octets, end))
}

/// One octet: two digits, perhaps behind `0x` or `\x`.
fn octet(text: Text<'_>, at: usize) -> Result<Option<(u8, usize)>, More> {
    let at = match text.part(at, 2)? {
        b"0x" | b"0X" | b"\\x" => at + 2,
        _ => at,
    };
    let [high, low] = text.part(at, 2)? else {
        return Ok(None);
    };
    let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
        return Ok(None);
    };
    Ok(Some((high << 4 | low, at + 2)))
}

fn digit(octet: u8) -> Option<u8> {
    u8::try_from(char::from(octet).to_digit(16)?).ok()
}

/// The octets of a row of digits.
pub(super) fn of_digits(digits: &[u8]) -> Vec<u8> {
    let pairs = digits.chunks_exact(2);
    pairs
        .map_while(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// Where a sequence of octets begins and ends that the short run from `start` to `end` is in: each of
/// two digits and a separator. `None`: it is in none, or that is shorter than any token.
pub(super) fn sequence(
    octets: &[u8],
    start: usize,
    end: usize,
    from: usize,
) -> Option<(usize, usize)> {
    // `60`, `x60` behind a backslash, `0x60`.
    let width = end.checked_sub(start)?;
    let prefix = match (width, octets.get(start..end)?) {
        (2, _) => 0,
        (3, [b'x', ..]) => 1,
        (4, [b'0', b'x' | b'X', ..]) => 2,
        _ => return None,
    };
    let is_octet = |at: usize| {
        let digits = octets.get(at + prefix..at + width);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_between = |at: usize| {
        octets.get(at).is_some_and(|octet| {
            matches!(
                octet,
                b':' | b' ' | b'-' | b',' | b'\\' | b'\n' | b'\r' | b'\t'
            )
        })
    };
    if !is_octet(start) {
        return None;
    }
    let mut first = start;
    while let Some(before) = (1..=LONGEST_GAP).find_map(|gap| {
        let at = first.checked_sub(width + gap)?;
        (at >= from && is_octet(at) && (at + width..first).all(is_between)).then_some(at)
    }) {
        first = before;
    }
    let mut last = end;
    let mut count = (end - first) / width;
    while let Some(next) =
        (1..=LONGEST_GAP).find(|gap| is_octet(last + gap) && (last..last + gap).all(is_between))
    {
        last += next + width;
        count += 1;
        if count > MOST {
            break;
        }
    }
    let first = if prefix == 1 {
        first.saturating_sub(1)
    } else {
        first
    };
    (count >= FEWEST).then_some((first, last))
}

/// The most octets that stand between two.
const LONGEST_GAP: usize = 5;

/// The fewest octets of a sequence that is looked at, and the most.
const FEWEST: usize = 9;
const MOST: usize = 0x4_0000;

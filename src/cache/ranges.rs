//! Parts of a stored response that is whole (RFC 9110 section 14). Knows one range of bytes; for anything else the whole is
//! the answer, which section 14.2 allows.

use crate::http::syntax::{decimal, trim};

/// What a Range field asks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangePart {
    /// All of it: the field is none that is understood.
    Whole,
    /// The bytes from the first to the second, which is not one of them.
    Bytes(usize, usize),
    /// None of it: the range lies behind the end (section 15.5.17).
    Unsatisfiable,
}

/// Reads a Range field for a body of that length.
pub fn part(field: &[u8], length: usize) -> RangePart {
    let Some(range) = trim(field).strip_prefix(b"bytes=").map(trim) else { return RangePart::Whole };
    let Some(dash) = range.iter().position(|byte| *byte == b'-') else { return RangePart::Whole };
    let (first, last) = (&range[..dash], &range[dash + 1..]);
    // A number beyond 64 bits lies behind any end.
    let number = |digits: &[u8]| match digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() {
        true => Some(decimal(digits).and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)),
        false => None,
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => within(first, last.saturating_add(1), length),
        (Some(first), None) if last.is_empty() => within(first, length, length),
        (None, Some(count)) if first.is_empty() => match count.min(length) {
            0 => RangePart::Unsatisfiable,
            count => RangePart::Bytes(length - count, length),
        },
        _ => RangePart::Whole,
    }
}

fn within(first: usize, end: usize, length: usize) -> RangePart {
    match first < length {
        true => RangePart::Bytes(first, end.min(length)),
        false => RangePart::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_served_and_the_rest_is_not_understood() {
        let table: &[(&str, usize, RangePart)] = &[
            ("bytes=0-1", 11, RangePart::Bytes(0, 2)),
            ("bytes=1-", 11, RangePart::Bytes(1, 11)),
            ("bytes=-1", 11, RangePart::Bytes(10, 11)),
            ("bytes=-20", 11, RangePart::Bytes(0, 11)),
            ("bytes=5-99", 11, RangePart::Bytes(5, 11)),
            (" bytes= 10-10 ", 11, RangePart::Bytes(10, 11)),
            ("bytes=11-", 11, RangePart::Unsatisfiable),
            ("bytes=99999999999999999999999-", 11, RangePart::Unsatisfiable),
            ("bytes=0-99999999999999999999999", 11, RangePart::Bytes(0, 11)),
            ("bytes=-0", 11, RangePart::Unsatisfiable),
            ("bytes=-1", 0, RangePart::Unsatisfiable),
            ("bytes=0-", 0, RangePart::Unsatisfiable),
            ("bytes=2-1", 11, RangePart::Whole),
            ("bytes=0-1,3-4", 11, RangePart::Whole),
            ("bytes=-", 11, RangePart::Whole),
            ("bytes=a-b", 11, RangePart::Whole),
            ("bytes", 11, RangePart::Whole),
            ("lines=0-1", 11, RangePart::Whole),
        ];
        for (field, length, want) in table {
            assert_eq!(part(field.as_bytes(), *length), *want, "{field}");
        }
    }
}

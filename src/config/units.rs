//! Numbers with units: times in seconds and sizes in bytes. What could be meant in two ways is refused with what to write in
//! its place. Knows no option.

/// A number, or why there is none where more can be said than what is expected.
type Read = Result<u64, Option<String>>;

/// Units of time, each with its words and its seconds, the longest first. A month has no length.
const TIMES: [(&[&str], u64); 5] = [
    (&["w", "week", "weeks"], 7 * 24 * 3600),
    (&["d", "day", "days"], 24 * 3600),
    (&["h", "hour", "hours"], 3600),
    (&["m", "min", "minute", "minutes"], 60),
    (&["s", "sec", "second", "seconds"], 1),
];

/// Units of size by their first letters: each is 1024 of the one before.
const SIZES: [char; 4] = ['k', 'm', 'g', 't'];

/// Seconds: `90`, `5m`, `1h30m`.
pub(super) fn seconds(text: &str) -> Read {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| None);
    }
    let (mut rest, mut sum, mut longer) = (text, 0_u64, TIMES.len());
    while !rest.is_empty() {
        let (count, unit, behind) = next(rest)?;
        let place = TIMES.iter().rev().position(|(words, _)| words.contains(&unit));
        // Each unit is shorter than the one before: 30m1h is rather a slip.
        let place = place.filter(|place| *place < longer).ok_or_else(|| no_time(count, unit))?;
        let length = TIMES[TIMES.len() - 1 - place].1;
        sum = count.checked_mul(length).and_then(|part| sum.checked_add(part)).ok_or(None)?;
        (rest, longer) = (behind, place);
    }
    match text.is_empty() {
        true => Err(None),
        false => Ok(sum),
    }
}

fn no_time(count: u64, unit: &str) -> Option<String> {
    match unit {
        "M" => Some(format!("{count}m for minutes: M is a month elsewhere")),
        "ms" | "us" | "ns" => Some("whole seconds: what is shorter has no effect here".to_owned()),
        unit if bytes(&format!("1{unit}")).is_ok() && !unit.is_empty() => {
            Some(format!("a time, such as 90, 5m or 1h30m: {unit} is a unit of bytes"))
        }
        _ => None,
    }
}

/// Bytes: `65536`, `64k`, `10MiB`, each unit 1024 of the one before.
pub(super) fn bytes(text: &str) -> Read {
    let (count, unit, behind) = next(text)?;
    if !behind.is_empty() {
        return Err(None);
    }
    let unit = unit.to_ascii_lowercase();
    let mut letters = unit.chars();
    let Some(first) = letters.next() else { return Ok(count) };
    let place = SIZES.iter().position(|letter| *letter == first);
    match (place, letters.as_str()) {
        (None, "") if first == 'b' => Ok(count),
        (Some(place), "" | "ib") => {
            let shift = 10 * (place as u32 + 1);
            count.checked_mul(1 << shift).ok_or(None)
        }
        (Some(_), "b" | "bit" | "bits") => Err(Some(format!(
            "{count}{first} or {count}{}iB, 1024 of the unit below it: {} is 1000 of it to some",
            first.to_ascii_uppercase(),
            unit.to_ascii_uppercase()
        ))),
        _ => Err(None),
    }
}

/// What to write in place of a count with a unit, which may be meant in two ways.
pub(super) fn count_fault(text: &str) -> Option<String> {
    let (count, unit, behind) = next(text).ok()?;
    let unit = SIZES.iter().find(|letter| unit.eq_ignore_ascii_case(&letter.to_string()) && behind.is_empty())?;
    Some(format!("a number without a unit, as {count}000: {unit} stands for thousands to some and for 1024s to others"))
}

/// The number that a text begins with, the letters behind it, and what follows, all without blanks around them.
fn next(text: &str) -> Result<(u64, &str, &str), Option<String>> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, behind) = rest.split_at(letters);
    Ok((number.parse().map_err(|_| None)?, unit, behind.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_of_a_known_length() {
        for (text, expected) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("5m", Some(300)),
            ("5 min", Some(300)),
            ("1h30m", Some(5400)),
            ("1h 30m", Some(5400)),
            ("2d", Some(172_800)),
            ("1w", Some(604_800)),
            ("60s", Some(60)),
            ("30m1h", None),
            ("1h1h", None),
            ("1h30", None),
            ("", None),
            ("m", None),
            ("-5m", None),
            ("1.5h", None),
            ("5y", None),
            ("5m x", None),
            ("99999999999999999999", None),
            ("9999999999999999w", None),
            ("5\u{e4}", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text:?}");
        }
        for (text, said) in
            [("5M", "minutes"), ("500ms", "whole seconds"), ("5k", "a unit of bytes"), ("5MiB", "bytes")]
        {
            assert!(seconds(text).is_err_and(|why| why.is_some_and(|why| why.contains(said))), "{text}");
        }
    }

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("100B", Some(100)),
            ("64k", Some(65_536)),
            ("64K", Some(65_536)),
            ("64 KiB", Some(65_536)),
            ("10MiB", Some(10 << 20)),
            ("64m", Some(64 << 20)),
            ("2g", Some(2 << 30)),
            ("1T", Some(1 << 40)),
            ("", None),
            ("k", None),
            ("+1k", None),
            ("1.5g", None),
            ("1p", None),
            ("1k1", None),
            ("99999999999g", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text:?}");
        }
        for text in ["64kB", "64KB", "1Mb", "8Mbit"] {
            assert!(bytes(text).is_err_and(|why| why.is_some_and(|why| why.contains("1000 of it"))), "{text}");
        }
    }

    #[test]
    fn counts_have_no_units_and_say_so() {
        assert!(count_fault("10k").is_some_and(|why| why.contains("as 10000: k")));
        assert_eq!(
            [count_fault("10"), count_fault("10s"), count_fault("k"), count_fault("-1")],
            [None, None, None, None]
        );
    }
}

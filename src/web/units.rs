//! Numbers as people read them.

/// With a comma between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with what is counted: `1 client`, `2 clients`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A number of bytes, in steps of 1024.
pub(super) fn bytes(number: u64) -> String {
    scaled(number as f64, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// Bits in a second, in steps of 1000.
pub(super) fn bits(number: f64) -> String {
    scaled(number, 1000.0, ["b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s", "Pb/s"])
}

/// How often in a second, or how many on average.
pub(super) fn rate(number: f64) -> String {
    match number {
        _ if number >= 100.0 => count(number.round() as u64),
        _ if number == number.trunc() => format!("{number:.0}"),
        _ => format!("{number:.1}"),
    }
}

/// A share of a hundred.
pub(super) fn percent(number: f64) -> String {
    format!("{number:.0} %")
}

/// How much of a whole a part is: `0 %` only where it is nothing.
pub(super) fn share(part: u64, whole: u64) -> String {
    let share = 100.0 * part as f64 / whole.max(part).max(1) as f64;
    match share {
        _ if share == 0.0 => "0 %".to_owned(),
        _ if share < 0.1 => "< 0.1 %".to_owned(),
        _ if share < 10.0 => format!("{share:.1} %"),
        _ => percent(share),
    }
}

/// A time in milliseconds.
pub(super) fn millis(time: f64) -> String {
    match time {
        _ if time <= 0.0 => "0 ms".to_owned(),
        _ if time < 0.1 => "< 0.1 ms".to_owned(),
        _ if time < 1000.0 => format!("{} ms", rate(time)),
        _ => format!("{} s", rate(time / 1000.0)),
    }
}

/// A time in seconds, in its two largest units.
pub(super) fn seconds(time: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = UNITS.iter().position(|(length, _)| time >= *length).unwrap_or(UNITS.len() - 1);
    let (length, unit) = UNITS[first];
    let rest = UNITS.get(first + 1).map(|(next, unit)| (time % length / next, unit)).filter(|(rest, _)| *rest > 0);
    match rest {
        Some((rest, smaller)) => format!("{} {unit} {rest} {smaller}", time / length),
        None => format!("{} {unit}", time / length),
    }
}

fn scaled(number: f64, step: f64, units: [&str; 6]) -> String {
    let (mut number, mut unit) = (number, 0);
    while number >= step && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    match unit == 0 || number >= 100.0 {
        true => format!("{number:.0} {}", units[unit]),
        false => format!("{number:.1} {}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_their_unit() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [counted(0, "x", "xs"), counted(1, "x", "xs"), counted(1000, "x", "xs")],
            ["0 xs", "1 x", "1,000 xs"]
        );
        assert_eq!(
            [bytes(1023), bytes(1024), bytes(150 << 20), bytes(u64::MAX)],
            ["1023 B", "1.0 KiB", "150 MiB", "16384 PiB"]
        );
        assert_eq!(
            [share(0, 0), share(1, 5000), share(1, 32), share(1, 3), share(9, 0)],
            ["0 %", "< 0.1 %", "3.1 %", "33 %", "100 %"]
        );
        assert_eq!([bits(0.0), bits(1500.0), bits(2.5e9)], ["0 b/s", "1.5 kb/s", "2.5 Gb/s"]);
        assert_eq!([rate(0.0), rate(0.25), rate(7.0), rate(12_345.6)], ["0", "0.2", "7", "12,346"]);
        assert_eq!(
            [millis(0.0), millis(0.03), millis(0.3), millis(12.5), millis(2500.0)],
            ["0 ms", "< 0.1 ms", "0.3 ms", "12.5 ms", "2.5 s"]
        );
        assert_eq!([seconds(0), seconds(61), seconds(3600), seconds(90_061)], ["0 s", "1 min 1 s", "1 h", "1 d 1 h"]);
    }
}

//! Dates of HTTP in their three forms (RFC 9110 section 5.6.7), read strictly: what is odd is no date, and an Expires that
//! is none has passed (RFC 9111 section 5.3). Only the case of names is free. Reads no clock.

const DAYS: [&[u8]; 7] = [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Seconds since 1970-01-01 00:00:00 UTC; 0 for what was before. `now` tells which century two digits mean.
pub fn parse(text: &[u8], now: u64) -> Option<u64> {
    fixed(text).or_else(|| obsolete(text, now)).or_else(|| asctime(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn fixed(text: &[u8]) -> Option<u64> {
    let [d1, d2, d3, b',', b' ', day @ ..] = text else { return None };
    DAYS.iter().find(|name| name[..3].eq_ignore_ascii_case(&[*d1, *d2, *d3]))?;
    let [a, b, b' ', m1, m2, m3, b' ', y @ ..] = day else { return None };
    let [y1, y2, y3, y4, b' ', time @ ..] = y else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    moment(year, month(&[*m1, *m2, *m3])?, number(&[*a, *b])?, clock(zoned(time)?)?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. Section 5.6.7: more than 50 years ahead is the past century.
fn obsolete(text: &[u8], now: u64) -> Option<u64> {
    let comma = text.iter().position(|byte| *byte == b',')?;
    DAYS.iter().find(|name| name.eq_ignore_ascii_case(&text[..comma]))?;
    let [b',', b' ', a, b, b'-', m1, m2, m3, b'-', y1, y2, b' ', time @ ..] = &text[comma..] else { return None };
    let this_year = year_of(now);
    let near = this_year - this_year % 100 + number(&[*y1, *y2])?;
    let year = if near > this_year + 50 { near - 100 } else { near };
    moment(year, month(&[*m1, *m2, *m3])?, number(&[*a, *b])?, clock(zoned(time)?)?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<u64> {
    let [d1, d2, d3, b' ', m1, m2, m3, b' ', a, b, b' ', rest @ ..] = text else { return None };
    DAYS.iter().find(|name| name[..3].eq_ignore_ascii_case(&[*d1, *d2, *d3]))?;
    let [time @ .., b' ', y1, y2, y3, y4] = rest else { return None };
    let day = if *a == b' ' { number(&[*b])? } else { number(&[*a, *b])? };
    moment(number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, day, clock(time)?)
}

fn zoned(time: &[u8]) -> Option<&[u8]> {
    let (time, zone) = time.split_at_checked(8)?;
    zone.eq_ignore_ascii_case(b" GMT").then_some(time)
}

fn clock(text: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    // A leap second is 60.
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<u64> {
    crate::http::syntax::decimal(digits)
}

fn month(name: &[u8]) -> Option<u64> {
    MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name)).map(|at| at as u64 + 1)
}

fn moment(year: u64, month: u64, day: u64, seconds: u64) -> Option<u64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day == 0 || day > length {
        return None;
    }
    let days = days_before(year, month, leap) + day - 1;
    // 719,162 days from the first of January of the year 1 to that of 1970.
    Some(days.checked_sub(719_162).map_or(0, |days| days * 86_400 + seconds))
}

/// Days from the first of January of the year 1 to the first of that month.
fn days_before(year: u64, month: u64, leap: bool) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let past = year.saturating_sub(1);
    let years = past * 365 + past / 4 - past / 100 + past / 400;
    years + BEFORE[(month - 1) as usize] + u64::from(leap && month > 2)
}

/// The year of a moment; exact but for the days around New Year.
fn year_of(seconds: u64) -> u64 {
    1970 + seconds / 31_556_952
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 November 2026.
    const NOW: u64 = 1_793_491_200;

    #[test]
    fn the_three_forms_are_read() {
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("THU, 18 Aug 2050 02:01:18 GMT", 2_544_400_878),
            ("Thu, 18 AUG 2050 02:01:18 gMT", 2_544_400_878),
            ("Thursday, 18-Aug-50 02:01:18 GMT", 2_544_400_878),
            ("Thu Aug 18 02:01:18 2050", 2_544_400_878),
            ("Tue, 19 Jan 2038 14:14:08 GMT", 2_147_523_248),
            ("Sun, 21 Nov 2286 04:46:39 GMT", 10_000_039_599),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:60 GMT", 1_709_251_200),
            ("Mon, 01 Jan 1900 00:00:00 GMT", 0),
        ];
        for (text, want) in table {
            assert_eq!(parse(text.as_bytes(), NOW), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for seconds in (0..4_000_000_000_u64).step_by(86_399 * 7) {
            let text = crate::http::date::stamp(seconds);
            assert_eq!(parse(text.as_bytes(), NOW), Some(seconds), "{text}");
        }
    }

    #[test]
    fn two_digits_mean_the_nearest_century_that_is_not_far_ahead() {
        let year = |digits: &str| parse(format!("Sunday, 06-Nov-{digits} 08:49:37 GMT").as_bytes(), NOW).map(year_of);
        assert_eq!((year("76"), year("77"), year("26")), (Some(2076), Some(1977), Some(2026)));
    }

    #[test]
    fn what_is_odd_is_no_date() {
        let table = [
            "",
            "0",
            "-1",
            "foo",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Xxx, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Foo 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Wed, 29 Feb 2023 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT ",
            " Thu, 18 Aug 2050 02:01:18 GMT",
        ];
        for text in table {
            assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
        }
    }
}

//! The value of the Date field. Does not read the clock: the caller does, once a second, and keeps the text.

use std::time::{Duration, UNIX_EPOCH};

/// The last second of the year 9999, beyond which the format has no digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// `seconds` after 1970-01-01 00:00:00 UTC in the form of RFC 9110 section 5.6.7 (`Sun, 06 Nov 1994 08:49:37 GMT`).
///
/// Seconds past the year 9999 give its last second.
pub fn stamp(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_form_of_the_standard() {
        assert_eq!(stamp(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(stamp(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(stamp(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}

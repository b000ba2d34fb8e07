//! Kinds of values: how the text of an option becomes a value, how the value is printed, and what to say when it is
//! wrong. Knows neither which options exist nor where their texts come from.

use super::place::PathContext;
use super::units;
use crate::policy::rates::{Rate, RateSpan};
use std::time::Duration;

use crate::policy::decision::is_page_status;

/// Longest time that an option may name, in seconds: ten years, so that sums of times never overflow.
pub const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// One kind of value. Its text arrives without surrounding blanks and quotes.
pub trait ValueType {
    /// What the program works with.
    type Value;
    /// Whether printed values stand between quotes, as the original prints strings, lists and paths.
    const QUOTED: bool = false;
    /// What is accepted, as the end of the sentence "expected …".
    fn form() -> String;
    /// The value of a text, or nothing when the text is not of this [`form`](ValueType::form).
    fn parse(text: &str, place: &PathContext) -> Option<Self::Value>;
    /// What would be accepted in place of this text, where more can be said than the form.
    fn fault(_text: &str) -> Option<String> {
        None
    }
    /// The value of an option that was not set: only options that search for a file differ here.
    fn initial(text: &str, place: &PathContext) -> Option<Self::Value> {
        Self::parse(text, place)
    }
    /// A text that [`parse`](ValueType::parse) turns into the same value, without quotes.
    fn print(value: &Self::Value, place: &PathContext) -> String;
}

/// Takes blanks and quotes from both ends. One pair goes always; further pairs only when they enclose the whole, so
/// that the text that is left survives being printed between quotes and read again.
pub fn unquote(text: &str) -> &str {
    let mut rest = text.trim();
    let mut first = true;
    while let Some((quote, inside)) = quoted(rest) {
        if !first && inside.contains(quote) {
            break;
        }
        first = false;
        rest = inside.trim();
    }
    rest
}

/// Puts a text between quotes that it does not contain itself, where that is possible.
pub fn quote(text: &str) -> String {
    if text.contains('\'') && !text.contains('"') {
        format!("\"{text}\"")
    } else {
        format!("'{text}'")
    }
}

/// The words of a list, with blanks or commas between them. A text of commas alone is no list: what was to be in it is missing.
pub fn list_words(text: &str) -> Option<Vec<&str>> {
    let between = |letter: char| letter.is_whitespace() || letter == ',';
    let words: Vec<&str> = text.split(between).filter(|word| !word.is_empty()).collect();
    (!words.is_empty() || text.trim().is_empty()).then_some(words)
}

fn quoted(text: &str) -> Option<(char, &str)> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some((quote, inside))
    })
}

/// `true` or `false`, in the words of the original and their opposites.
pub struct Flag;

impl Flag {
    /// What a word says, if it is one of them.
    pub(super) fn word(text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "on" | "enable" | "true" => Some(true),
            "0" | "no" | "off" | "disable" | "false" => Some(false),
            _ => None,
        }
    }
}

impl ValueType for Flag {
    type Value = bool;

    fn form() -> String {
        "true or false (also yes no, on off, enable disable, 1 0)".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<bool> {
        Flag::word(text)
    }

    fn print(value: &bool, _: &PathContext) -> String {
        value.to_string()
    }
}

/// A whole number between two bounds, both included.
pub struct Count<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> ValueType for Count<LEAST, MOST> {
    type Value = usize;

    fn form() -> String {
        format!("a number between {LEAST} and {MOST}")
    }

    fn parse(text: &str, _: &PathContext) -> Option<usize> {
        usize::try_from(number(text, LEAST, MOST)?).ok()
    }

    fn fault(text: &str) -> Option<String> {
        units::count_fault(text)
    }

    fn print(value: &usize, _: &PathContext) -> String {
        value.to_string()
    }
}

/// A share of a hundred.
pub struct Percent;

impl ValueType for Percent {
    type Value = usize;

    fn form() -> String {
        "a number between 0 and 100, with % behind it or without".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<usize> {
        Count::<0, 100>::parse(text.strip_suffix('%').unwrap_or(text).trim_end(), place)
    }

    fn print(value: &usize, _: &PathContext) -> String {
        value.to_string()
    }
}

/// A number of bytes between two bounds, both included.
pub struct Bytes<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> ValueType for Bytes<LEAST, MOST> {
    type Value = usize;

    fn form() -> String {
        format!("a number of bytes between {LEAST} and {MOST}, {SIZES}")
    }

    fn parse(text: &str, _: &PathContext) -> Option<usize> {
        let bytes = units::bytes(text).ok().filter(|bytes| (LEAST..=MOST).contains(bytes))?;
        usize::try_from(bytes).ok()
    }

    fn fault(text: &str) -> Option<String> {
        units::bytes(text).err()?
    }

    fn print(value: &usize, _: &PathContext) -> String {
        value.to_string()
    }
}

/// How sizes and times may be written.
const SIZES: &str = "also as 64k, 10m or 1g";
const TIMES: &str = "also as 90s, 5m, 1h30m or 2d";

/// The status of a page.
pub struct PageStatus;

impl ValueType for PageStatus {
    type Value = u16;

    fn form() -> String {
        "200, or a status from 400 to 599 other than 401, 407 and 426".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<u16> {
        u16::try_from(number(text, 200, 599)?).ok().filter(|status| is_page_status(*status))
    }

    fn print(value: &u16, _: &PathContext) -> String {
        value.to_string()
    }
}

/// A number of bytes, where 0 means that there is no limit.
pub struct Limit;

impl Limit {
    /// Largest limit in bytes, 2^50: beyond any disk, and far from overflow.
    const MOST: u64 = 1 << 50;
}

impl ValueType for Limit {
    type Value = Option<u64>;

    fn form() -> String {
        format!("a number of bytes up to {}, {SIZES}, 0 for no limit", Self::MOST)
    }

    fn parse(text: &str, _: &PathContext) -> Option<Option<u64>> {
        let bytes = units::bytes(text).ok().filter(|bytes| *bytes <= Self::MOST)?;
        Some((bytes > 0).then_some(bytes))
    }

    fn fault(text: &str) -> Option<String> {
        units::bytes(text).err()?
    }

    fn print(value: &Option<u64>, _: &PathContext) -> String {
        value.unwrap_or(0).to_string()
    }
}

/// A time in whole seconds, of at least `LEAST`.
pub struct Seconds<const LEAST: u64>;

impl<const LEAST: u64> ValueType for Seconds<LEAST> {
    type Value = Duration;

    fn form() -> String {
        format!("a number of seconds between {LEAST} and {LONGEST}, {TIMES}")
    }

    fn parse(text: &str, _: &PathContext) -> Option<Duration> {
        let seconds = units::seconds(text).ok().filter(|seconds| (LEAST..=LONGEST).contains(seconds));
        seconds.map(Duration::from_secs)
    }

    fn fault(text: &str) -> Option<String> {
        units::seconds(text).err()?
    }

    fn print(value: &Duration, _: &PathContext) -> String {
        value.as_secs().to_string()
    }
}

/// A time in whole seconds, where 0 means that nothing is limited (or, for keep-alive probes, that there are none).
pub struct Timeout;

impl ValueType for Timeout {
    type Value = Option<Duration>;

    fn form() -> String {
        format!("a number of seconds up to {LONGEST}, {TIMES}, 0 for none")
    }

    fn parse(text: &str, place: &PathContext) -> Option<Option<Duration>> {
        Seconds::<0>::parse(text, place).map(|time| (!time.is_zero()).then_some(time))
    }

    fn fault(text: &str) -> Option<String> {
        units::seconds(text).err()?
    }

    fn print(value: &Option<Duration>, _: &PathContext) -> String {
        value.map_or(0, |time| time.as_secs()).to_string()
    }
}

/// So many in a second, a minute or an hour, such as `100/s`; 0 where nothing is limited.
pub struct RateLimit;

impl ValueType for RateLimit {
    type Value = Option<Rate>;

    fn form() -> String {
        format!(
            "a number of requests up to {} and what it is counted in, such as 100/s, 600/m or 5000/h, 0 for no limit",
            Rate::MOST
        )
    }

    fn parse(text: &str, _: &PathContext) -> Option<Option<Rate>> {
        if text == "0" {
            return Some(None);
        }
        let (count, span) = text.split_once('/')?;
        let span = match span.trim() {
            "s" => RateSpan::Second,
            "m" => RateSpan::Minute,
            "h" => RateSpan::Hour,
            _ => return None,
        };
        let count = u32::try_from(number(count.trim(), 0, Rate::MOST.into())?).ok()?;
        Some(Rate::new(count, span))
    }

    fn fault(text: &str) -> Option<String> {
        let count: u64 = text.parse().ok().filter(|count| *count > 0)?;
        Some(format!("{count}/s, {count}/m or {count}/h: a rate says what it is counted in"))
    }

    fn print(value: &Option<Rate>, _: &PathContext) -> String {
        value.map_or("0".to_owned(), |rate| rate.to_string())
    }
}

/// A TCP port that can be listened on.
pub struct Port;

impl ValueType for Port {
    type Value = u16;

    fn form() -> String {
        "a port between 1 and 65535".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<u16> {
        port(text)
    }

    fn print(value: &u16, _: &PathContext) -> String {
        value.to_string()
    }
}

/// A TCP port in decimal; 0 is none.
pub fn port(text: &str) -> Option<u16> {
    number(text, 1, 65535).and_then(|port| u16::try_from(port).ok())
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::place::tests::{place, Shelf};
    use super::*;

    /// What a text is printed as once it was read, when it is accepted; reading that again has to make no difference.
    pub(in crate::config) fn reprint<K: ValueType>(text: &str) -> Option<String> {
        let shelf = Shelf::default();
        let place = place(&shelf);
        let printed = K::print(&K::parse(text, &place)?, &place);
        let again = K::parse(unquote(&quote(&printed)), &place).expect("printed values parse");
        assert_eq!(printed, K::print(&again, &place));
        Some(printed)
    }

    #[test]
    fn booleans_are_words_of_both_senses_and_nothing_else() {
        for text in ["1", "yes", "On", "ENABLE", "true"] {
            assert_eq!(reprint::<Flag>(text).as_deref(), Some("true"), "{text}");
        }
        for text in ["0", "NO", "off", "disable", "False"] {
            assert_eq!(reprint::<Flag>(text).as_deref(), Some("false"), "{text}");
        }
        for text in ["", "ture", "2", "yes please", "y"] {
            assert_eq!(reprint::<Flag>(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        assert_eq!(reprint::<Port>("65535").as_deref(), Some("65535"));
        for text in ["0", "65536", "-1", "", "x", "1.5", "99999999999999999999"] {
            assert_eq!(reprint::<Port>(text), None, "{text}");
        }
        assert_eq!(reprint::<Count<1, 9>>("9").as_deref(), Some("9"));
        assert_eq!(reprint::<Count<1, 9>>("0"), None);
        assert_eq!(reprint::<PageStatus>("451").as_deref(), Some("451"));
        for text in ["0", "204", "302", "401", "407", "600", "65936"] {
            assert_eq!(reprint::<PageStatus>(text), None, "{text}");
        }
        assert_eq!(reprint::<Limit>("0").as_deref(), Some("0"));
        assert_eq!(reprint::<Limit>("65536").as_deref(), Some("65536"));
        assert_eq!(reprint::<Seconds<1>>("0"), None);
        assert_eq!(reprint::<Timeout>("0").as_deref(), Some("0"));
        assert_eq!(reprint::<Timeout>("315360001"), None);
        assert_eq!((reprint::<Timeout>("1h").as_deref(), reprint::<Seconds<1>>("0s")), (Some("3600"), None));
        assert_eq!((reprint::<Limit>("64k").as_deref(), reprint::<Bytes<1, 1024>>("2k")), (Some("65536"), None));
        assert_eq!((reprint::<Percent>("20%").as_deref(), reprint::<Percent>("101")), (Some("20"), None));
        assert_eq!((reprint::<Count<1, 99_999>>("10k"), reprint::<Limit>("64KB")), (None, None));
    }

    #[test]
    fn rates_say_what_they_are_counted_in() {
        for (text, printed) in [
            ("100/s", "100/s"),
            ("600 / m", "600/m"),
            ("5/h", "5/h"),
            ("0", "0"),
            ("0/s", "0"),
            ("1000000/s", "1000000/s"),
        ] {
            assert_eq!(reprint::<RateLimit>(text).as_deref(), Some(printed), "{text}");
        }
        for text in
            ["", "100", "100/", "/s", "100/d", "100/S", "1.5/s", "-1/s", "1000001/s", "1/s/s", "100/sec", "none"]
        {
            assert_eq!(reprint::<RateLimit>(text), None, "{text}");
        }
        assert_eq!(RateLimit::fault("20").as_deref(), Some("20/s, 20/m or 20/h: a rate says what it is counted in"));
        assert_eq!((RateLimit::fault("x"), RateLimit::fault("5/d")), (None, None));
    }

    #[test]
    fn lists_have_blanks_or_commas_between_their_words() {
        for text in ["a b", "a,b", " a, b ", "a ,b,", "a\n,\tb"] {
            assert_eq!(list_words(text), Some(vec!["a", "b"]), "{text:?}");
        }
        assert_eq!((list_words(" "), list_words(", ,")), (Some(Vec::new()), None));
    }

    #[test]
    fn texts_are_stripped_and_survive_quoting() {
        for (text, bare) in [
            (" 'root' ", "root"),
            ("\"'root'\"", "root"),
            ("it's", "it's"),
            ("'\"a\" \"b\"'", "\"a\" \"b\""),
            ("''", ""),
            ("'", "'"),
            ("\"it's\"", "it's"),
        ] {
            assert_eq!(unquote(text), bare);
            assert_eq!(unquote(&quote(bare)), bare);
        }
    }
}

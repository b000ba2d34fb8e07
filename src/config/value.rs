//! Kinds of values: how the text of an option becomes a value, how the value is printed, and what to say when it is
//! wrong. Knows neither which options exist nor where their texts come from.

use super::paths::Place;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Longest time that an option may name, in seconds: ten years, so that sums of times never overflow.
pub const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// One kind of value. Its text arrives without surrounding blanks and quotes.
pub trait Kind {
    /// What the program works with.
    type Value;
    /// Whether printed values stand between quotes, as the original prints strings, lists and paths.
    const QUOTED: bool = false;
    /// What is accepted, as the end of the sentence "expected …".
    fn form() -> String;
    /// The value of a text, or nothing when the text is not of this [`form`](Kind::form).
    fn parse(text: &str, place: &Place) -> Option<Self::Value>;
    /// The value of a default that nobody has set: only options that search for a file differ here.
    fn initial(text: &str, place: &Place) -> Option<Self::Value> {
        Self::parse(text, place)
    }
    /// A text that [`parse`](Kind::parse) turns into the same value, without quotes.
    fn print(value: &Self::Value, place: &Place) -> String;
}

/// Takes blanks and quotes from both ends. One pair goes always; further pairs only when they enclose the whole, so
/// that whatever text is left survives being printed between quotes and read again.
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

fn quoted(text: &str) -> Option<(char, &str)> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some((quote, inside))
    })
}

/// `true` or `false`, in the words of the original and their opposites.
pub struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn form() -> String {
        "true or false (also yes no, on off, enable disable, 1 0)".into()
    }

    fn parse(text: &str, _: &Place) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "on" | "enable" | "true" => Some(true),
            "0" | "no" | "off" | "disable" | "false" => Some(false),
            _ => None,
        }
    }

    fn print(value: &bool, _: &Place) -> String {
        value.to_string()
    }
}

/// A whole number between two bounds, both included.
pub struct Count<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Kind for Count<LEAST, MOST> {
    type Value = usize;

    fn form() -> String {
        format!("a number between {LEAST} and {MOST}")
    }

    fn parse(text: &str, _: &Place) -> Option<usize> {
        usize::try_from(number(text, LEAST, MOST)?).ok()
    }

    fn print(value: &usize, _: &Place) -> String {
        value.to_string()
    }
}

/// A number of bytes, where 0 means that there is no limit.
pub struct Limit;

impl Limit {
    /// Largest limit in bytes, 2^50: beyond any disk, and far from overflow.
    const MOST: u64 = 1 << 50;
}

impl Kind for Limit {
    type Value = Option<u64>;

    fn form() -> String {
        format!("a number of bytes up to {}, 0 for no limit", Self::MOST)
    }

    fn parse(text: &str, _: &Place) -> Option<Option<u64>> {
        number(text, 0, Self::MOST).map(|bytes| (bytes > 0).then_some(bytes))
    }

    fn print(value: &Option<u64>, _: &Place) -> String {
        value.unwrap_or(0).to_string()
    }
}

/// A time in whole seconds, of at least `LEAST`.
pub struct Seconds<const LEAST: u64>;

impl<const LEAST: u64> Kind for Seconds<LEAST> {
    type Value = Duration;

    fn form() -> String {
        format!("a number of seconds between {LEAST} and {LONGEST}")
    }

    fn parse(text: &str, _: &Place) -> Option<Duration> {
        number(text, LEAST, LONGEST).map(Duration::from_secs)
    }

    fn print(value: &Duration, _: &Place) -> String {
        value.as_secs().to_string()
    }
}

/// A time in whole seconds, where 0 means that nothing is limited (or, for keep-alive probes, that there are none).
pub struct Timeout;

impl Kind for Timeout {
    type Value = Option<Duration>;

    fn form() -> String {
        format!("a number of seconds up to {LONGEST}, 0 for none")
    }

    fn parse(text: &str, _: &Place) -> Option<Option<Duration>> {
        number(text, 0, LONGEST).map(|seconds| (seconds > 0).then(|| Duration::from_secs(seconds)))
    }

    fn print(value: &Option<Duration>, _: &Place) -> String {
        value.map_or(0, |time| time.as_secs()).to_string()
    }
}

/// A TCP port that can be listened on.
pub struct Port;

impl Kind for Port {
    type Value = u16;

    fn form() -> String {
        "a port between 1 and 65535".into()
    }

    fn parse(text: &str, _: &Place) -> Option<u16> {
        port(text)
    }

    fn print(value: &u16, _: &Place) -> String {
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

/// Any text without control characters, printed between quotes.
pub struct Text;

/// The same text printed bare, for the few options that the original prints so.
pub struct BareText;

impl Kind for Text {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "text without control characters".into()
    }

    fn parse(text: &str, _: &Place) -> Option<String> {
        // A line end would break the log line, the header field or the file name that the text becomes.
        (!text.contains(char::is_control)).then(|| text.to_owned())
    }

    fn print(value: &String, _: &Place) -> String {
        value.clone()
    }
}

impl Kind for BareText {
    type Value = String;

    fn form() -> String {
        Text::form()
    }

    fn parse(text: &str, place: &Place) -> Option<String> {
        Text::parse(text, place)
    }

    fn print(value: &String, _: &Place) -> String {
        value.clone()
    }
}

/// The name of a header field in lower case, or nothing.
pub struct FieldName;

impl Kind for FieldName {
    type Value = Option<String>;
    const QUOTED: bool = true;

    fn form() -> String {
        "the name of a header field, or nothing".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Option<String>> {
        match text {
            "" => Some(None),
            name => token(name).then(|| Some(name.to_ascii_lowercase())),
        }
    }

    fn print(value: &Option<String>, _: &Place) -> String {
        value.clone().unwrap_or_default()
    }
}

/// Whether a text is a token of RFC 9110 section 5.6.2.
pub fn token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The received-by of a Via field (RFC 9110 section 7.6.3): a pseudonym or `host:port`. Empty means that one is made.
pub struct Pseudonym;

impl Kind for Pseudonym {
    type Value = Option<String>;
    const QUOTED: bool = true;

    fn form() -> String {
        "a name of letters, digits and .:-_[], or nothing".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Option<String>> {
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte));
        fits.then(|| (!text.is_empty()).then(|| text.to_owned()))
    }

    fn print(value: &Option<String>, _: &Place) -> String {
        value.clone().unwrap_or_default()
    }
}

/// The name of an account. Whether it exists is asked only by whoever changes to it.
pub struct User;

impl Kind for User {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "the name of an account".into()
    }

    fn parse(text: &str, place: &Place) -> Option<String> {
        Text::parse(text, place).filter(|name| !name.is_empty() && !name.contains([' ', ':', '/']))
    }

    fn print(value: &String, _: &Place) -> String {
        value.clone()
    }
}

/// How severe a message must be to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// All messages, for looking into a problem.
    Debug,
    /// What happens in normal running.
    Info,
    /// What may need attention.
    Warning,
    /// What went wrong.
    Error,
    /// What stops the service or changes how it runs.
    Critical,
}

impl Severity {
    const ALL: [Severity; 5] =
        [Severity::Critical, Severity::Error, Severity::Warning, Severity::Info, Severity::Debug];
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
            Severity::Critical => "CRITICAL",
        })
    }
}

/// The least severe message that is written.
pub struct Level;

impl Kind for Level {
    type Value = Severity;

    fn form() -> String {
        "one of CRITICAL ERROR WARNING INFO DEBUG".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.to_string() == text)
    }

    fn print(value: &Severity, _: &Place) -> String {
        value.to_string()
    }
}

/// The kernel interface that the original could choose from; kept for old files.
pub struct Reactor;

impl Kind for Reactor {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "one of best epoll kqueue select".into()
    }

    fn parse(text: &str, _: &Place) -> Option<String> {
        ["best", "epoll", "kqueue", "select"].contains(&text).then(|| text.to_owned())
    }

    fn print(value: &String, _: &Place) -> String {
        value.clone()
    }
}

/// The language spoken with the helpers: `url` or an `icap://` address.
pub struct Protocol;

impl Kind for Protocol {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "url or icap://host/path".into()
    }

    fn parse(text: &str, place: &Place) -> Option<String> {
        Text::parse(text, place).filter(|text| text == "url" || text.starts_with("icap://"))
    }

    fn print(value: &String, _: &Place) -> String {
        value.clone()
    }
}

/// A numeric IPv4 address.
pub struct Host4;

/// A numeric IPv6 address, with or without brackets.
pub struct Host6;

/// A numeric address of either family.
pub struct Host;

impl Kind for Host4 {
    type Value = Ipv4Addr;
    const QUOTED: bool = true;

    fn form() -> String {
        "an IPv4 address".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Ipv4Addr> {
        text.parse().ok()
    }

    fn print(value: &Ipv4Addr, _: &Place) -> String {
        value.to_string()
    }
}

impl Kind for Host6 {
    type Value = Ipv6Addr;
    const QUOTED: bool = true;

    fn form() -> String {
        "an IPv6 address".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Ipv6Addr> {
        unbracket(text).unwrap_or(text).parse().ok()
    }

    fn print(value: &Ipv6Addr, _: &Place) -> String {
        value.to_string()
    }
}

impl Kind for Host {
    type Value = IpAddr;
    const QUOTED: bool = true;

    fn form() -> String {
        "an IPv4 or IPv6 address".into()
    }

    fn parse(text: &str, place: &Place) -> Option<IpAddr> {
        Host4::parse(text, place).map(IpAddr::V4).or_else(|| Host6::parse(text, place).map(IpAddr::V6))
    }

    fn print(value: &IpAddr, _: &Place) -> String {
        value.to_string()
    }
}

/// What stands between square brackets, as IPv6 addresses do in front of a port.
pub fn unbracket(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::super::paths::tests::{place, Shelf};
    use super::*;

    fn check<K: Kind>(text: &str) -> Option<String> {
        let shelf = Shelf::default();
        let place = place(&shelf);
        let value = K::parse(text, &place)?;
        let printed = K::print(&value, &place);
        let again = K::parse(unquote(&quote(&printed)), &place).expect("printed values parse");
        assert_eq!(printed, K::print(&again, &place));
        Some(printed)
    }

    #[test]
    fn booleans_are_words_of_both_senses_and_nothing_else() {
        for text in ["1", "yes", "On", "ENABLE", "true"] {
            assert_eq!(check::<Flag>(text).as_deref(), Some("true"), "{text}");
        }
        for text in ["0", "NO", "off", "disable", "False"] {
            assert_eq!(check::<Flag>(text).as_deref(), Some("false"), "{text}");
        }
        for text in ["", "ture", "2", "yes please", "y"] {
            assert_eq!(check::<Flag>(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        assert_eq!(check::<Port>("65535").as_deref(), Some("65535"));
        for text in ["0", "65536", "-1", "", "x", "1.5", "99999999999999999999"] {
            assert_eq!(check::<Port>(text), None, "{text}");
        }
        assert_eq!(check::<Count<1, 9>>("9").as_deref(), Some("9"));
        assert_eq!(check::<Count<1, 9>>("0"), None);
        assert_eq!(check::<Limit>("0").as_deref(), Some("0"));
        assert_eq!(check::<Limit>("65536").as_deref(), Some("65536"));
        assert_eq!(check::<Seconds<1>>("0"), None);
        assert_eq!(check::<Timeout>("0").as_deref(), Some("0"));
        assert_eq!(check::<Timeout>("315360001"), None);
    }

    #[test]
    fn texts_are_stripped_checked_and_survive_quoting() {
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
        assert_eq!(check::<Text>("two\nlines"), None);
        assert_eq!(check::<FieldName>("X-Real-IP").as_deref(), Some("x-real-ip"));
        assert_eq!(check::<FieldName>("x real"), None);
        assert_eq!(check::<Pseudonym>("edge-1.example:3128").as_deref(), Some("edge-1.example:3128"));
        assert_eq!(check::<Pseudonym>("edge (1)"), None);
        assert_eq!(check::<User>(""), None);
    }

    #[test]
    fn words_and_addresses() {
        assert_eq!(check::<Level>("INFO").as_deref(), Some("INFO"));
        assert_eq!(check::<Level>("info"), None);
        assert_eq!(check::<Reactor>("poll"), None);
        assert_eq!(check::<Protocol>("icap://filter/path").as_deref(), Some("icap://filter/path"));
        assert_eq!(check::<Protocol>("header"), None);
        assert_eq!(check::<Host6>("[::1]").as_deref(), Some("::1"));
        assert_eq!(check::<Host4>("::1"), None);
        assert_eq!(check::<Host>("localhost"), None);
        assert_eq!(check::<Host>("127.0.0.1").as_deref(), Some("127.0.0.1"));
    }
}

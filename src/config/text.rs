//! Kinds of values that are one word or one line of text: names, severities, addresses. Knows neither which options
//! exist nor where their texts come from.

use super::place::PathContext;
use super::value::ValueType;
use crate::logs::access::{Format, FormatError};
use crate::logs::datagram::NoSyslogForm;
use crate::logs::{Destination, Severity, SyslogForm};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Any text without control characters, printed between quotes.
pub struct Text;

/// The same text printed bare, for the few options that the original prints so.
pub struct BareText;

impl ValueType for Text {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "text without control characters".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<String> {
        // A line end would break the log line, the header field or the file name that the text becomes.
        (!text.contains(char::is_control)).then(|| text.to_owned())
    }

    fn print(value: &String, _: &PathContext) -> String {
        value.clone()
    }
}

impl ValueType for BareText {
    type Value = String;

    fn form() -> String {
        Text::form()
    }

    fn parse(text: &str, place: &PathContext) -> Option<String> {
        Text::parse(text, place)
    }

    fn print(value: &String, _: &PathContext) -> String {
        value.clone()
    }
}

/// The name of a header field in lower case, or nothing.
pub struct FieldName;

impl ValueType for FieldName {
    type Value = Option<String>;
    const QUOTED: bool = true;

    fn form() -> String {
        "the name of a header field, or nothing".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Option<String>> {
        match text {
            "" => Some(None),
            name => token(name).then(|| Some(name.to_ascii_lowercase())),
        }
    }

    fn print(value: &Option<String>, _: &PathContext) -> String {
        value.clone().unwrap_or_default()
    }
}

/// Whether a text is a token of RFC 9110 section 5.6.2.
pub fn token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The received-by of a Via field (RFC 9110 section 7.6.3): a pseudonym or `host:port`. Empty means that one is made.
pub struct Pseudonym;

impl ValueType for Pseudonym {
    type Value = Option<String>;
    const QUOTED: bool = true;

    fn form() -> String {
        "a name of letters, digits and .:-_[], or nothing".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Option<String>> {
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte));
        fits.then(|| (!text.is_empty()).then(|| text.to_owned()))
    }

    fn print(value: &Option<String>, _: &PathContext) -> String {
        value.clone().unwrap_or_default()
    }
}

/// The name of an account, or numbers. Whether it exists is found out when the process changes to it.
pub struct User;

impl ValueType for User {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "the name of an account, its number, or the numbers of user and group with a colon between them".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<String> {
        let numbers = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        Text::parse(text, place)
            .filter(|name| !name.is_empty() && !name.contains([' ', '/']) && (!name.contains(':') || numbers(name)))
    }

    fn print(value: &String, _: &PathContext) -> String {
        value.clone()
    }
}

/// How lines look to a syslog daemon.
pub struct SyslogWord;

impl ValueType for SyslogWord {
    type Value = SyslogForm;

    fn form() -> String {
        NoSyslogForm.to_string()
    }

    fn parse(text: &str, _: &PathContext) -> Option<SyslogForm> {
        text.parse().ok()
    }

    fn print(value: &SyslogForm, _: &PathContext) -> String {
        value.name().to_owned()
    }
}

/// The least severe message that is written.
pub struct Level;

impl ValueType for Level {
    type Value = Severity;

    fn form() -> String {
        "one of CRITICAL ERROR WARNING INFO DEBUG".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Severity> {
        text.parse().ok()
    }

    fn print(value: &Severity, _: &PathContext) -> String {
        value.to_string()
    }
}

/// The form of the lines of the access log.
pub struct LineFormat;

impl ValueType for LineFormat {
    type Value = Format;
    const QUOTED: bool = true;

    fn form() -> String {
        FormatError::NoFormat.to_string()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Format> {
        Text::parse(text, place)?.parse().ok()
    }

    fn fault(text: &str) -> Option<String> {
        text.parse::<Format>().err().map(|error| error.to_string())
    }

    fn print(value: &Format, _: &PathContext) -> String {
        value.to_string()
    }
}

/// Where a log goes: a stream, syslog, or a file, whose path starts in the current folder.
pub struct Sink;

impl ValueType for Sink {
    type Value = Destination;
    const QUOTED: bool = true;

    fn form() -> String {
        "stdout, stderr, nothing, host:name, host:name:port with a port between 1 and 65535, or a path".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Destination> {
        Some(match Text::parse(text, place)?.parse().ok()? {
            Destination::File(path) => Destination::File(place.expand(&path.to_string_lossy())),
            other => other,
        })
    }

    fn print(value: &Destination, place: &PathContext) -> String {
        match value {
            Destination::File(path) => place.homely(path),
            other => other.to_string(),
        }
    }
}

/// The kernel interface that the original could choose from; kept for old files.
pub struct Reactor;

impl ValueType for Reactor {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "one of best epoll kqueue select".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<String> {
        ["best", "epoll", "kqueue", "select"].contains(&text).then(|| text.to_owned())
    }

    fn print(value: &String, _: &PathContext) -> String {
        value.clone()
    }
}

/// The language spoken with the helpers: `url` or an `icap://` address.
pub struct Protocol;

impl ValueType for Protocol {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "url or icap://host/path".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<String> {
        Text::parse(text, place).filter(|text| text == "url" || text.starts_with("icap://"))
    }

    fn print(value: &String, _: &PathContext) -> String {
        value.clone()
    }
}

/// Which fields the lines of helpers have.
pub struct Line;

impl ValueType for Line {
    type Value = crate::redirector::url::LineForm;
    const QUOTED: bool = true;

    fn form() -> String {
        "exaproxy or squid".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Self::Value> {
        Self::Value::ALL.into_iter().find(|line| line.name() == text)
    }

    fn print(value: &Self::Value, _: &PathContext) -> String {
        value.name().to_owned()
    }
}

/// What follows the URL in the line of Squid.
pub struct Extras;

impl ValueType for Extras {
    type Value = crate::redirector::url::extras::Extras;
    const QUOTED: bool = true;

    fn form() -> String {
        "a text with codes such as %>a and %{User-Agent}>h".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Self::Value> {
        Text::parse(text, place)?.parse().ok()
    }

    fn fault(text: &str) -> Option<String> {
        text.parse::<Self::Value>().err().map(|error| error.to_string())
    }

    fn print(value: &Self::Value, _: &PathContext) -> String {
        value.to_string()
    }
}

/// What happens to requests that no helper decided about.
pub struct OnFailure;

impl ValueType for OnFailure {
    type Value = crate::redirector::OnFailure;
    const QUOTED: bool = true;

    fn form() -> String {
        "one of error permit deny".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Self::Value> {
        Self::Value::ALL.into_iter().find(|way| way.name() == text)
    }

    fn print(value: &Self::Value, _: &PathContext) -> String {
        value.name().to_owned()
    }
}

/// How IPv4 addresses are reached where IPv4 leads nowhere.
pub struct Nat64;

impl ValueType for Nat64 {
    type Value = dns::nat64::Nat64;
    const QUOTED: bool = true;

    fn form() -> String {
        "off, auto, or an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits such as 64:ff9b::/96".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Self::Value> {
        match text {
            "off" => Some(Self::Value::Off),
            "auto" => Some(Self::Value::Auto),
            prefix => prefix.parse().ok().map(Self::Value::Fixed),
        }
    }

    fn print(value: &Self::Value, _: &PathContext) -> String {
        match value {
            dns::nat64::Nat64::Off => "off".to_owned(),
            dns::nat64::Nat64::Auto => "auto".to_owned(),
            dns::nat64::Nat64::Fixed(prefix) => prefix.to_string(),
        }
    }
}

/// A numeric IPv4 address.
pub struct Host4;

/// A numeric IPv6 address, with or without brackets.
pub struct Host6;

/// A numeric address of either family.
pub struct Host;

impl ValueType for Host4 {
    type Value = Ipv4Addr;
    const QUOTED: bool = true;

    fn form() -> String {
        "an IPv4 address".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Ipv4Addr> {
        text.parse().ok()
    }

    fn print(value: &Ipv4Addr, _: &PathContext) -> String {
        value.to_string()
    }
}

impl ValueType for Host6 {
    type Value = Ipv6Addr;
    const QUOTED: bool = true;

    fn form() -> String {
        "an IPv6 address".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Ipv6Addr> {
        unbracket(text).unwrap_or(text).parse().ok()
    }

    fn print(value: &Ipv6Addr, _: &PathContext) -> String {
        value.to_string()
    }
}

impl ValueType for Host {
    type Value = IpAddr;
    const QUOTED: bool = true;

    fn form() -> String {
        "an IPv4 or IPv6 address".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<IpAddr> {
        Host4::parse(text, place).map(IpAddr::V4).or_else(|| Host6::parse(text, place).map(IpAddr::V6))
    }

    fn print(value: &IpAddr, _: &PathContext) -> String {
        value.to_string()
    }
}

/// What stands between square brackets, as IPv6 addresses do in front of a port.
pub fn unbracket(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn texts_are_checked_for_what_they_become() {
        assert_eq!(reprint::<Text>("two\nlines"), None);
        assert_eq!(reprint::<FieldName>("X-Real-IP").as_deref(), Some("x-real-ip"));
        assert_eq!(reprint::<FieldName>("x real"), None);
        assert_eq!(reprint::<Pseudonym>("edge-1.example:3128").as_deref(), Some("edge-1.example:3128"));
        assert_eq!(reprint::<Pseudonym>("edge (1)"), None);
        assert_eq!(reprint::<User>(""), None);
    }

    #[test]
    fn words_and_addresses() {
        assert_eq!(reprint::<Level>("INFO").as_deref(), Some("INFO"));
        assert_eq!(reprint::<Level>("info"), None);
        assert_eq!(reprint::<Sink>("host:log:514").as_deref(), Some("host:log:514"));
        assert_eq!(reprint::<Sink>("messages").as_deref(), Some("~/work/messages"));
        assert_eq!(reprint::<Sink>("").as_deref(), Some(""));
        assert_eq!(reprint::<Sink>("host:log:0"), None);
        assert_eq!(reprint::<Reactor>("poll"), None);
        assert_eq!(reprint::<Protocol>("icap://filter/path").as_deref(), Some("icap://filter/path"));
        assert_eq!(reprint::<Protocol>("header"), None);
        assert_eq!(reprint::<Host6>("[::1]").as_deref(), Some("::1"));
        assert_eq!(reprint::<Host4>("::1"), None);
        assert_eq!(reprint::<Host>("localhost"), None);
        assert_eq!(reprint::<Host>("127.0.0.1").as_deref(), Some("127.0.0.1"));
    }
}

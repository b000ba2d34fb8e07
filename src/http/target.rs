//! Where a request wants to go: the four forms of a target (RFC 9112 section 3.2), hosts and ports.
//!
//! A host is normalised once, here, and everything later decides on that one reading: names in lower case without their
//! trailing dot, addresses as addresses. Spellings that one reader could take for a name and another for an address
//! (`0x7f.1`, `2130706433`, `017.0.0.1`) are refused. User information is refused too: RFC 9110 section 4.2.4 wants it
//! treated as an error, and it is mostly there to mislead. Knows no resolver and no policy.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::fault::Fault;
use super::Method;

/// Longest name, in bytes, as the DNS allows (RFC 1035 section 2.3.4, without the root's length byte).
const MAX_NAME: usize = 253;

/// Longest label of a name, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// Port of a target that names none.
pub const HTTP_PORT: u16 = 80;

/// The form in which a target was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `http://host/path`, what clients send to a proxy.
    Absolute,
    /// `/path`, the host being in the Host field.
    Origin,
    /// `host:port`, for CONNECT.
    Authority,
    /// `*`, for OPTIONS.
    Asterisk,
}

/// A host as it was normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name of letters, digits, `-`, `_` and `.`, in lower case, without a trailing dot, not looking like an address.
    Name(Box<str>),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address and its zone, which only link-local addresses have and which never leaves this machine
    /// (RFC 6874 section 4).
    V6(Ipv6Addr, Option<Box<str>>),
}

/// Where a request goes. The path is with the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The form in which it was given.
    pub form: TargetForm,
    /// The host to connect to.
    pub host: Host,
    /// The port to connect to; 0 only where a connection leads nowhere.
    pub port: u16,
}

impl Target {
    /// Reads `host[:port]`, as it stands in a Host field or in the answer of a helper.
    ///
    /// Without `default_port` a port must be there. An empty port (`host:`) counts as none.
    pub fn from_authority(text: &[u8], default_port: Option<u16>) -> Result<Target, Fault> {
        let (host, port) = split_authority(text)?;
        let port = match port {
            Some(digits) if !digits.is_empty() => parse_port(digits)?,
            _ => default_port.ok_or(Fault::BadPort)?,
        };
        Ok(Target { form: TargetForm::Authority, host: Host::parse(host)?, port })
    }

    /// An address and a port.
    pub fn from_address(address: SocketAddr) -> Target {
        let host = match address.ip().to_canonical() {
            IpAddr::V4(v4) => Host::V4(v4),
            IpAddr::V6(v6) => Host::V6(v6, None),
        };
        Target { form: TargetForm::Authority, host, port: address.port() }
    }

    /// Writes the host, and the port unless it is the usual one, as a Host field has it.
    pub fn write_authority(&self, out: &mut Vec<u8>) {
        self.host.write(out);
        if self.port != HTTP_PORT || self.form == TargetForm::Authority {
            out.push(b':');
            crate::decimal::push_number(out, u64::from(self.port));
        }
    }
}

/// Where the path of a request is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// In this part of the target's text.
    Given(Range<usize>),
    /// In this part of the target's text, once a slash is put in front: `http://host?query`.
    Slash(Range<usize>),
    /// Nowhere: it is `*`.
    Asterisk,
}

/// Which schemes an absolute target may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schemes {
    /// That of the requests that we send on.
    Http,
    /// Any: others send the request on.
    Any,
}

/// The port of a scheme's targets that name none.
pub(crate) fn usual_port(scheme: &[u8]) -> Option<u16> {
    if scheme == b"http" {
        return Some(HTTP_PORT);
    }
    let known: [(&[u8], u16); 5] =
        [(b"http", HTTP_PORT), (b"https", 443), (b"ftp", 21), (b"ws", HTTP_PORT), (b"wss", 443)];
    known.into_iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name)).map(|(_, port)| port)
}

/// Reads a target and the Host field that goes with it.
pub(crate) fn locate(
    method: Method,
    text: &[u8],
    host: Option<&[u8]>,
    schemes: Schemes,
) -> Result<(Target, Path), Fault> {
    // A fragment is never sent (RFC 9110 section 7.1), and readers differ in whether it ends the path.
    if memchr(b'#', text).is_some() {
        return Err(Fault::BadTarget);
    }
    match (method, text) {
        (Method::Connect, _) => locate_authority(text, host),
        (_, [b'/', ..]) => Ok((from_host_field(host, TargetForm::Origin)?, Path::Given(0..text.len()))),
        (Method::Options, b"*") => Ok((from_host_field(host, TargetForm::Asterisk)?, Path::Asterisk)),
        _ => locate_absolute(method, text, host, schemes),
    }
}

fn locate_authority(text: &[u8], host: Option<&[u8]>) -> Result<(Target, Path), Fault> {
    check_host_field(host, text)?;
    Ok((Target::from_authority(text, None)?, Path::Given(0..text.len())))
}

fn locate_absolute(
    method: Method,
    text: &[u8],
    host: Option<&[u8]>,
    schemes: Schemes,
) -> Result<(Target, Path), Fault> {
    // No scheme holds a colon.
    let colon = memchr(b':', text).filter(|colon| text[*colon..].starts_with(b"://")).ok_or(Fault::BadTarget)?;
    let (scheme, start) = (&text[..colon], colon + 3);
    let may_be = scheme.eq_ignore_ascii_case(b"http") || schemes == Schemes::Any && is_scheme(scheme);
    if !may_be {
        return Err(if is_scheme(scheme) { Fault::BadScheme } else { Fault::BadTarget });
    }
    // The authority ends with the first slash or question mark (RFC 3986 section 3.2). A backslash does not end it: it
    // is in no host, so that `http://a.b\@c/` is refused below, which some readers take for a request to `c`.
    let end = memchr2(b'/', b'?', &text[start..]).map_or(text.len(), |offset| start + offset);
    let authority = &text[start..end];
    check_host_field(host, authority)?;
    let target = Target { form: TargetForm::Absolute, ..Target::from_authority(authority, usual_port(scheme))? };
    let path = match text.get(end) {
        Some(b'/') => Path::Given(end..text.len()),
        // An OPTIONS request for the whole server goes on as `*` (RFC 9112 section 3.2.4).
        None if method == Method::Options => Path::Asterisk,
        _ => Path::Slash(end..text.len()),
    };
    Ok((target, path))
}

fn from_host_field(host: Option<&[u8]>, form: TargetForm) -> Result<Target, Fault> {
    match host {
        None | Some([]) => Err(Fault::NoHost),
        Some(text) => Ok(Target { form, ..Target::from_authority(text, Some(HTTP_PORT))? }),
    }
}

/// An absolute target wins over the Host field, but an invalid field is still an error (RFC 9112 section 3.2).
fn check_host_field(host: Option<&[u8]>, authority: &[u8]) -> Result<(), Fault> {
    match host {
        None | Some([]) => Ok(()),
        // Nearly always they are the same bytes, which are judged with the target.
        Some(text) if text == authority => Ok(()),
        Some(text) => Target::from_authority(text, Some(HTTP_PORT)).map(drop),
    }
}

fn is_scheme(text: &[u8]) -> bool {
    let rest_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    text.first().is_some_and(u8::is_ascii_alphabetic) && text.iter().all(rest_byte)
}

/// Parts an authority into the host, brackets included, and the text after its colon.
fn split_authority(text: &[u8]) -> Result<(&[u8], Option<&[u8]>), Fault> {
    if memchr(b'@', text).is_some() {
        return Err(Fault::Userinfo);
    }
    // The colons of an IPv6 address stand within brackets, so that the one of the port is the first behind them.
    let host_end = match text {
        [b'[', ..] => memchr(b']', text).ok_or(Fault::BadHost)? + 1,
        _ => memchr(b':', text).unwrap_or(text.len()),
    };
    match &text[host_end..] {
        [] => Ok((text, None)),
        [b':', port @ ..] => Ok((&text[..host_end], Some(port))),
        _ => Err(Fault::BadHost),
    }
}

fn parse_port(digits: &[u8]) -> Result<u16, Fault> {
    let number = super::syntax::decimal(digits).and_then(|number| u16::try_from(number).ok());
    number.filter(|port| *port != 0).ok_or(Fault::BadPort)
}

impl Host {
    /// The address, where it is none that has to be looked up.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address, _) => Some(IpAddr::V6(*address)),
        }
    }

    /// Reads a host: a name, an IPv4 address, or an IPv6 address in brackets with or without a zone.
    pub fn parse(text: &[u8]) -> Result<Host, Fault> {
        match text {
            [] => Err(Fault::BadHost),
            [b'[', inner @ .., b']'] => parse_v6(inner),
            _ => parse_name(text),
        }
    }

    /// Writes the host as a Host field has it: IPv6 in brackets and without its zone.
    pub fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        match self {
            Host::Name(name) => out.extend_from_slice(name.as_bytes()),
            Host::V4(address) => crate::decimal::push_ipv4(out, *address),
            // Writing into a Vec cannot fail.
            Host::V6(address, _) => drop(write!(out, "[{address}]")),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => write!(f, "{address}"),
            Host::V6(address, None) => write!(f, "[{address}]"),
            Host::V6(address, Some(zone)) => write!(f, "[{address}%{zone}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn parse_name(text: &[u8]) -> Result<Host, Fault> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    if !is_name(text) {
        return Err(Fault::BadHost);
    }
    let name = std::str::from_utf8(text).map_err(|_| Fault::BadHost)?;
    // What could be an address in any reader's eyes must be one in the usual form, or is refused: policy decides on it.
    if ends_in_number(text) {
        return name.parse().map(Host::V4).map_err(|_| Fault::BadHost);
    }
    let mut name = Box::<str>::from(name);
    name.make_ascii_lowercase();
    Ok(Host::Name(name))
}

fn is_name(text: &[u8]) -> bool {
    let mut label = 0;
    for byte in text {
        label = match byte {
            b'.' if label > 0 => 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label < MAX_LABEL => label + 1,
            _ => return false,
        };
    }
    label > 0 && text.len() <= MAX_NAME
}

/// Whether the last label is a number, decimal or hexadecimal: no such top-level domain exists, and many resolvers take
/// such names for addresses in one of the old forms of inet_aton(3).
fn ends_in_number(name: &[u8]) -> bool {
    let start = name.iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    match &name[start..] {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        label => label.iter().all(u8::is_ascii_digit),
    }
}

fn parse_v6(inner: &[u8]) -> Result<Host, Fault> {
    let inner = std::str::from_utf8(inner).map_err(|_| Fault::BadHost)?;
    let (address, zone) = match inner.split_once('%') {
        // RFC 6874 writes the percent sign as `%25`; many clients do not.
        Some((address, zone)) => {
            (address, Some(zone.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(zone)))
        }
        None => (inner, None),
    };
    let address: Ipv6Addr = address.parse().map_err(|_| Fault::BadHost)?;
    // A zone tells apart the link-local networks of this machine (RFC 4007 section 6). Other addresses need none.
    let zone = match zone {
        Some(zone) if is_link_local(&address) && is_zone(zone) => Some(zone.into()),
        Some(_) => return Err(Fault::BadHost),
        None => None,
    };
    Ok(Host::V6(address, zone))
}

fn is_link_local(address: &Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// Longest zone, in bytes: an interface name of Linux (IFNAMSIZ), which is also enough for any index.
const MAX_ZONE: usize = 16;

fn is_zone(zone: &str) -> bool {
    let zone_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !zone.is_empty() && zone.len() <= MAX_ZONE && zone.bytes().all(zone_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Host {
        Host::Name(text.into())
    }

    #[test]
    fn row_63_hosts_are_normalised_once() {
        let table: &[(&str, Result<Host, Fault>)] = &[
            ("example.com", Ok(name("example.com"))),
            ("EXAMPLE.Com.", Ok(name("example.com"))),
            ("a_b-c.1x", Ok(name("a_b-c.1x"))),
            ("localhost", Ok(name("localhost"))),
            ("127.0.0.1", Ok(Host::V4(Ipv4Addr::LOCALHOST))),
            ("127.0.0.1.", Ok(Host::V4(Ipv4Addr::LOCALHOST))),
            ("0x7f.1", Err(Fault::BadHost)),
            ("0X7F000001", Err(Fault::BadHost)),
            ("0x", Err(Fault::BadHost)),
            ("017.0.0.1", Err(Fault::BadHost)),
            ("127.1", Err(Fault::BadHost)),
            ("2130706433", Err(Fault::BadHost)),
            ("256.0.0.1", Err(Fault::BadHost)),
            ("example.0x10", Err(Fault::BadHost)),
            ("example.com..", Err(Fault::BadHost)),
            (".example.com", Err(Fault::BadHost)),
            ("a..b", Err(Fault::BadHost)),
            (".", Err(Fault::BadHost)),
            ("", Err(Fault::BadHost)),
            ("[example.com]", Err(Fault::BadHost)),
            ("[127.0.0.1]", Err(Fault::BadHost)),
            ("exa%6dple.com", Err(Fault::BadHost)),
            ("exa mple", Err(Fault::BadHost)),
            ("b\u{fc}cher.example", Err(Fault::BadHost)),
            ("a\\b", Err(Fault::BadHost)),
            ("[::1]", Ok(Host::V6(Ipv6Addr::LOCALHOST, None))),
            ("[0:0:0:0:0:0:0:1]", Ok(Host::V6(Ipv6Addr::LOCALHOST, None))),
            ("[::ffff:127.0.0.1]", Ok(Host::V6("::ffff:127.0.0.1".parse().unwrap(), None))),
            ("[fe80::1%25eth0]", Ok(Host::V6("fe80::1".parse().unwrap(), Some("eth0".into())))),
            ("[fe80::1%2]", Ok(Host::V6("fe80::1".parse().unwrap(), Some("2".into())))),
            ("[fe80::1%25]", Ok(Host::V6("fe80::1".parse().unwrap(), Some("25".into())))),
            ("[fe80::1%]", Err(Fault::BadHost)),
            ("[fe80::1%a/b]", Err(Fault::BadHost)),
            ("[2001:db8::1%eth0]", Err(Fault::BadHost)),
            ("[]", Err(Fault::BadHost)),
            ("[:::1]", Err(Fault::BadHost)),
        ];
        for (text, want) in table {
            assert_eq!(Host::parse(text.as_bytes()), *want, "{text}");
        }
    }

    #[test]
    fn names_have_the_length_that_dns_allows() {
        let label = "a".repeat(MAX_LABEL);
        assert!(Host::parse(label.as_bytes()).is_ok());
        assert!(Host::parse(format!("{label}a").as_bytes()).is_err());
        let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(long.len(), MAX_NAME);
        assert!(Host::parse(long.as_bytes()).is_ok());
        assert!(Host::parse(format!("{long}a").as_bytes()).is_err());
    }

    #[test]
    fn authorities_part_into_host_and_port() {
        type Want = Result<(Host, u16), Fault>;
        let table: &[(&str, Option<u16>, Want)] = &[
            ("a.b", Some(80), Ok((name("a.b"), 80))),
            ("a.b:", Some(80), Ok((name("a.b"), 80))),
            ("a.b:8080", Some(80), Ok((name("a.b"), 8080))),
            ("a.b:443", None, Ok((name("a.b"), 443))),
            ("a.b:00443", None, Ok((name("a.b"), 443))),
            ("a.b", None, Err(Fault::BadPort)),
            ("a.b:", None, Err(Fault::BadPort)),
            ("a.b:0", None, Err(Fault::BadPort)),
            ("a.b:65535", None, Ok((name("a.b"), 65535))),
            ("a.b:65536", None, Err(Fault::BadPort)),
            ("a.b:99999999999999999999999", None, Err(Fault::BadPort)),
            ("a.b:+80", None, Err(Fault::BadPort)),
            ("a.b:80/", None, Err(Fault::BadPort)),
            ("a.b:80:80", None, Err(Fault::BadPort)),
            ("::1", Some(80), Err(Fault::BadPort)),
            (":80", Some(80), Err(Fault::BadHost)),
            ("[::1]", Some(80), Ok((Host::V6(Ipv6Addr::LOCALHOST, None), 80))),
            ("[::1]:443", None, Ok((Host::V6(Ipv6Addr::LOCALHOST, None), 443))),
            ("[::1]443", None, Err(Fault::BadHost)),
            ("[::1", Some(80), Err(Fault::BadHost)),
            ("user@a.b", Some(80), Err(Fault::Userinfo)),
            ("user:pw@a.b:80", Some(80), Err(Fault::Userinfo)),
        ];
        for (text, default, want) in table {
            let got = Target::from_authority(text.as_bytes(), *default).map(|target| (target.host, target.port));
            assert_eq!(got, *want, "{text}");
        }
    }

    #[test]
    fn targets_have_four_forms() {
        use Method::{Connect, Get, Options};
        type Want = Result<(TargetForm, &'static str, Option<&'static str>), Fault>;
        let table: &[(Method, &str, Option<&str>, Want)] = &[
            (Get, "http://a.b/c?d", None, Ok((TargetForm::Absolute, "a.b:80", Some("/c?d")))),
            (Get, "HTTP://A.b:81/c", Some("evil"), Ok((TargetForm::Absolute, "a.b:81", Some("/c")))),
            (Get, "http://a.b", None, Ok((TargetForm::Absolute, "a.b:80", Some("")))),
            (Get, "http://a.b?q=/", None, Ok((TargetForm::Absolute, "a.b:80", Some("?q=/")))),
            (Get, "http://[::1]:81/a", None, Ok((TargetForm::Absolute, "[::1]:81", Some("/a")))),
            (Get, "http://[::1]/a/b", None, Ok((TargetForm::Absolute, "[::1]:80", Some("/a/b")))),
            (Get, "http://[::1]", None, Ok((TargetForm::Absolute, "[::1]:80", Some("")))),
            (Get, "/c?u=http://x/", Some("a.b:8080"), Ok((TargetForm::Origin, "a.b:8080", Some("/c?u=http://x/")))),
            (Get, "//x/y", Some("a.b"), Ok((TargetForm::Origin, "a.b:80", Some("//x/y")))),
            (Get, "/", None, Err(Fault::NoHost)),
            (Get, "/", Some(""), Err(Fault::NoHost)),
            (Get, "/", Some("a b"), Err(Fault::BadHost)),
            (Get, "http://a.b/", Some("a b"), Err(Fault::BadHost)),
            (Get, "http://a.b/", Some(""), Ok((TargetForm::Absolute, "a.b:80", Some("/")))),
            (Get, "http:///x", None, Err(Fault::BadHost)),
            (Get, "http://user@a.b/", None, Err(Fault::Userinfo)),
            (Get, "http://a.b/@c", None, Ok((TargetForm::Absolute, "a.b:80", Some("/@c")))),
            (Get, "http://a.b:70000/", None, Err(Fault::BadPort)),
            (Get, "https://a.b/", None, Err(Fault::BadScheme)),
            (Get, "ftp://a.b/", None, Err(Fault::BadScheme)),
            (Get, "://a.b/", None, Err(Fault::BadTarget)),
            (Get, "1http://a.b/", None, Err(Fault::BadTarget)),
            (Get, "a.b/c", Some("a.b"), Err(Fault::BadTarget)),
            (Get, "a.b:80", Some("a.b"), Err(Fault::BadTarget)),
            (Get, "http://a.b/c#d", None, Err(Fault::BadTarget)),
            (Get, "*", Some("a.b"), Err(Fault::BadTarget)),
            (Options, "*", Some("a.b"), Ok((TargetForm::Asterisk, "a.b:80", None))),
            (Options, "http://a.b", None, Ok((TargetForm::Absolute, "a.b:80", None))),
            (Options, "http://a.b/", None, Ok((TargetForm::Absolute, "a.b:80", Some("/")))),
            (Connect, "a.b:443", None, Ok((TargetForm::Authority, "a.b:443", Some("a.b:443")))),
            (Connect, "[::1]:443", None, Ok((TargetForm::Authority, "[::1]:443", Some("[::1]:443")))),
            (Connect, "a.b", None, Err(Fault::BadPort)),
            (Connect, "a.b:", None, Err(Fault::BadPort)),
            (Connect, "http://a.b:443/", None, Err(Fault::BadPort)),
            (Connect, "/", Some("a.b"), Err(Fault::BadPort)),
        ];
        for (method, text, host, want) in table {
            let got = locate(*method, text.as_bytes(), host.map(str::as_bytes), Schemes::Http).map(|(target, path)| {
                let path = match path {
                    Path::Given(range) | Path::Slash(range) => Some(&text[range]),
                    Path::Asterisk => None,
                };
                (target.form, target.to_string(), path)
            });
            let got = got.as_ref().map(|(form, place, path)| (*form, place.as_str(), *path)).map_err(|fault| *fault);
            assert_eq!(got, *want, "{method:?} {text} {host:?}");
        }
    }

    #[test]
    fn a_zone_is_not_sent() {
        let mut out = Vec::new();
        Host::parse(b"[fe80::1%25eth0]").unwrap().write(&mut out);
        assert_eq!(out, b"[fe80::1]");
    }
}

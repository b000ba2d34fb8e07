//! The Proxy-Status field (RFC 9209), by which an answer tells programs that a proxy has made it, and why. Knows the form
//! of the field, not which answers get it.

use std::fmt;
use std::ops::Deref;

use super::cause::Cause;

/// The error type of an answer that is given in place of an origin's though nothing failed (RFC 9209 section 2.3).
const OWN: &str = "proxy_internal_response";

/// The value for an answer of the proxy with this name. A cause is told in the words of its own text, which holds no byte
/// of a message and no address of the network behind.
pub fn value(name: &ProxyName, cause: Option<Cause>) -> String {
    let name = name.member();
    match cause {
        Some(cause) => {
            let (error, word) = (cause.proxy_status(), cause.word());
            let details = if word == error { cause.to_string() } else { format!("{word}: {cause}") };
            format!("{name}; error={error}; details={}", quoted(&details))
        }
        None => format!("{name}; error={OWN}"),
    }
}

/// The name of a proxy, as Via has it and as fields that are lists of such names do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyName {
    via: Box<str>,
    member: Box<str>,
}

impl ProxyName {
    /// As a member of a list of structured fields (RFC 9209 section 2, RFC 9211 section 2).
    pub fn member(&self) -> &str {
        &self.member
    }
}

impl<T: Into<Box<str>>> From<T> for ProxyName {
    fn from(name: T) -> ProxyName {
        let via = name.into();
        let member = if is_token(&via) { via.clone() } else { quoted(&via).into() };
        ProxyName { via, member }
    }
}

impl Deref for ProxyName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.via
    }
}

impl fmt::Display for ProxyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.via)
    }
}

/// Whether a text is a token of structured fields (RFC 9651 section 3.3.4), which differs from that of HTTP.
fn is_token(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*') && text.bytes().all(inner)
}

/// A string of structured fields (RFC 9651 section 3.3.3). What it cannot hold is left out.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::{Fault, OriginFault};

    #[test]
    fn a_value_is_a_list_of_one_name_with_parameters() {
        let table = [
            (
                "ExaProxy-2.0.0-id-7",
                Some(Cause::ConnectFailed),
                "ExaProxy-2.0.0-id-7; error=connection_refused; details=\"the server could not be connected to\"",
            ),
            (
                "proxy.example:3128",
                Some(Cause::Client(Fault::BadLine)),
                "proxy.example:3128; error=http_request_error; details=\"the first line is not a request line\"",
            ),
            (
                "[::1]:3128",
                Some(Cause::Origin(OriginFault::HeadTimeout)),
                "\"[::1]:3128\"; error=http_response_timeout; details=\"the server did not answer in time\"",
            ),
            (
                "edge",
                Some(Cause::ClientDenied),
                "edge; error=http_request_denied; details=\"client_denied: this client may not use the proxy\"",
            ),
            ("7proxy", None, "\"7proxy\"; error=proxy_internal_response"),
            ("", None, "\"\"; error=proxy_internal_response"),
        ];
        for (name, cause, wanted) in table {
            assert_eq!(value(&ProxyName::from(name), cause), wanted);
        }
    }

    #[test]
    fn a_string_ends_where_it_should() {
        assert_eq!(quoted("a\"b\\c\r\né d"), "\"a\\\"b\\\\c d\"");
    }
}

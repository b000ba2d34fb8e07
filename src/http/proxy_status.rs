//! The Proxy-Status field (RFC 9209), by which an answer tells programs that a proxy has made it, and why. Knows the form
//! of the field, not which answers get it.

use std::borrow::Cow;

use super::cause::Cause;

/// The error type of an answer that is given in place of an origin's though nothing failed (RFC 9209 section 2.3).
const OWN: &str = "proxy_internal_response";

/// The value for an answer of the proxy with this name. A cause is told in the words of its own text, which holds no byte
/// of a message and no address of the network behind.
pub fn value(name: &str, cause: Option<Cause>) -> String {
    let name = self::name(name);
    match cause {
        Some(cause) => {
            let (error, word) = (cause.proxy_status(), cause.word());
            let details = if word == error { cause.to_string() } else { format!("{word}: {cause}") };
            format!("{name}; error={error}; details={}", quoted(&details))
        }
        None => format!("{name}; error={OWN}"),
    }
}

/// The name of a proxy as a member of a list of structured fields has it (RFC 9209 section 2, RFC 9211 section 2).
pub fn name(name: &str) -> Cow<'_, str> {
    if is_token(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(quoted(name))
    }
}

/// Appends that name.
pub(super) fn push_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(self::name(name).as_bytes());
}

/// The bytes of a token of structured fields behind its first (RFC 9651 section 3.3.4), which differ from those of HTTP.
const IN_TOKENS: [bool; 256] = {
    let marks = b"!#$%&'*+-.^_`|~:/";
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether a text is such a token.
fn is_token(text: &str) -> bool {
    let begins = text.as_bytes().first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'*');
    begins && text.bytes().all(|byte| IN_TOKENS[usize::from(byte)])
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
            assert_eq!(value(name, cause), wanted);
        }
    }

    #[test]
    fn a_string_ends_where_it_should() {
        assert_eq!(quoted("a\"b\\c\r\né d"), "\"a\\\"b\\\\c d\"");
    }
}

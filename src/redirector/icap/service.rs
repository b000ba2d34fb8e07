//! What a helper is asked about OPTIONS of ICAP, and what it says of the service.

use std::io::Write;

use super::super::question::Question;
use crate::http::head::{leading_blank, HeadScan};
use crate::http::syntax::{is_token, is_value};

/// Fields of a reply that are about its own connection and framing, or about a helper's trade with us.
const OURS: [&str; 7] =
    ["connection", "content-length", "encapsulated", "host", "keep-alive", "pragma", "transfer-encoding"];

/// Most fields that are taken over.
const MAX_FIELDS: usize = 100;

/// Appends the question, to the byte that of the original: no Host, nothing behind the words, and two blank lines.
pub(super) fn push_question(out: &mut Vec<u8>, uri: &str, question: &Question<'_>) {
    let (accept, port) = (question.local.ip().to_canonical(), question.local.port());
    let client = question.client;
    // Writing into a Vec cannot fail.
    let _ = write!(
        out,
        "OPTIONS {uri} ICAP/1.0\nPragma: transport=\nPragma: proxy=test\nPragma: scheme=\nPragma: accept={accept}\n\
         Pragma: accept-port={port}\nPragma: client={client}\nPragma: host=\nPragma: path=\nPragma: method=\n\
         Encapsulated: req-hdr=0, null-body=0\n\n\n"
    );
}

/// The fields of a reply with status 200, as lines.
pub(super) fn read(reply: &[u8]) -> Result<Vec<u8>, &'static str> {
    let message = &reply[leading_blank(reply)..];
    let length = HeadScan::default().find(message).ok_or("its ICAP head has no end")?;
    let mut lines = message[..length].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    if words.next() != Some(b"ICAP/1.0") || words.next() != Some(b"200") {
        return Err("its status is not 200");
    }
    let mut out = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()).take(MAX_FIELDS) {
        let colon = memchr::memchr(b':', line).ok_or("a line of its ICAP head is no field")?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) || !is_value(value) {
            return Err("a line of its ICAP head is no field");
        }
        if !OURS.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes())) {
            for part in [name, b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{OpaqueKind, Request};

    #[test]
    fn the_question_is_that_of_the_original_to_the_byte() {
        let request = Request::opaque(OpaqueKind::Options, None);
        let (client, local) = ("127.0.0.1".parse().unwrap(), "127.0.0.1:27344".parse().unwrap());
        let mut out = Vec::new();
        push_question(
            &mut out,
            "icap://srv.name/some/path",
            &Question { request: &request, client, local, lines: b"" },
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "OPTIONS icap://srv.name/some/path ICAP/1.0\nPragma: transport=\nPragma: proxy=test\nPragma: scheme=\n\
             Pragma: accept=127.0.0.1\nPragma: accept-port=27344\nPragma: client=127.0.0.1\nPragma: host=\n\
             Pragma: path=\nPragma: method=\nEncapsulated: req-hdr=0, null-body=0\n\n\n"
        );
    }

    #[test]
    fn what_a_helper_says_is_taken_over_but_for_what_is_ours() {
        let said = read(
            b"\nICAP/1.0 200 OK\nMethods: REQMOD\r\nISTag:\"a\"\nConnection: close\nPragma: x\nEncapsulated: null-body=0\n\n",
        );
        assert_eq!(said.as_deref(), Ok(&b"Methods: REQMOD\r\nISTag: \"a\"\r\n"[..]));
        for reply in [
            "ICAP/1.0 204 x\n\n",
            "ICAP/1.0 404 x\n\n",
            "ICAP/1.0 200 x\nno field\n\n",
            "ICAP/1.0 200 x\nA: b\0\n\n",
            "x",
        ] {
            assert!(read(reply.as_bytes()).is_err(), "{reply:?}");
        }
    }
}

//! Media types: what bytes are by their start, or by the name of the file that they come from. Knows no file.

/// Media type of pages.
pub const HTML: &str = "text/html; charset=utf-8";

/// Media type of plain answers.
pub const PLAIN: &str = "text/plain; charset=utf-8";

/// Media type of problems told to programs (RFC 9457 section 3).
pub const PROBLEM: &str = "application/problem+json";

/// Media type of scripts (RFC 9239 section 6).
pub const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Media type of bytes of which nothing is known (RFC 2046 section 4.5.1).
pub const BYTES: &str = "application/octet-stream";

/// Media type of vector pictures.
pub const SVG: &str = "image/svg+xml";

/// How content begins that says what it is, in lower case; blanks before it do not count.
const STARTS: [(&[u8], &str); 9] = [
    (b"<html", HTML),
    (b"<!doctype html", HTML),
    (b"<svg", SVG),
    (b"\x89png\r\n", "image/png"),
    (b"gif8", "image/gif"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"%pdf-", "application/pdf"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"\x1f\x8b", "application/gzip"),
];

/// Endings of file names, in lower case.
const ENDINGS: [(&str, &str); 24] = [
    ("html", HTML),
    ("htm", HTML),
    ("txt", PLAIN),
    ("css", "text/css; charset=utf-8"),
    ("js", SCRIPT),
    ("mjs", SCRIPT),
    ("json", "application/json"),
    ("pac", "application/x-ns-proxy-autoconfig"),
    ("xml", "application/xml"),
    ("svg", SVG),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("ico", "image/x-icon"),
    ("pdf", "application/pdf"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("zip", "application/zip"),
];

/// What the bytes themselves say, if they say anything.
pub fn by_content(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let starts_with = |mark: &[u8]| text.get(..mark.len()).is_some_and(|part| part.eq_ignore_ascii_case(mark));
    STARTS.iter().find(|(mark, _)| starts_with(mark)).map(|(_, kind)| *kind)
}

/// What a file is: by its first bytes, else by the end of its name, else text or not.
pub fn kind(name: &str, start: &[u8]) -> &'static str {
    let guess = if is_text(start) { PLAIN } else { BYTES };
    by_content(start).or_else(|| by_name(name)).unwrap_or(guess)
}

/// Whether the bytes can be text: a NUL stands in no text.
pub fn is_text(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_none()
}

fn by_name(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    ENDINGS.iter().find(|(own, _)| own.eq_ignore_ascii_case(ending)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_says_more_than_a_name() {
        let table: [(&str, &[u8], &str); 16] = [
            ("x.txt", b"\x89PNG\r\n\x1a\n", "image/png"),
            ("", b"GIF89a", "image/gif"),
            ("", b"\xff\xd8\xff\xe0", "image/jpeg"),
            ("x.css", b"\n<HTML lang=en>", HTML),
            ("x", b"<!DOCTYPE html>\n<html>", HTML),
            ("x", b"<svg xmlns=", "image/svg+xml"),
            ("x", b"%PDF-1.7", "application/pdf"),
            ("deny.html", b"<!-- ours --><html>", HTML),
            ("a/b.CSS", b"a{}", "text/css; charset=utf-8"),
            ("x.js", b"", SCRIPT),
            ("x.webp", b"RIFF\0\0\0\0WEBP", "image/webp"),
            ("x.svg", b"<?xml version=\"1.0\"?><svg>", "image/svg+xml"),
            ("x.unknown", b"text", PLAIN),
            ("unknown", b"b\0nary", BYTES),
            ("a.css/unknown", b"text <html>", PLAIN),
            ("", b"<htm", PLAIN),
        ];
        for (name, start, want) in table {
            assert_eq!(kind(name, start), want, "{name} {}", start.escape_ascii());
        }
    }
}

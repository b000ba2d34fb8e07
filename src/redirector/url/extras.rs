//! What stands behind the URL in Squid's line, as `redirector.extras` has it: a text with codes of Squid's `logformat`. Of
//! these the ones that can have a value before a request is decided about. Knows neither the line around it nor helpers.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use crate::http::syntax::is_token;
use crate::http::Method;
use crate::redirector::question::Question;

/// Squid's own default of `url_rewrite_extras`.
#[cfg(test)]
pub(super) const DEFAULT: &str = "%>a/%>A %un %>rm myip=%la myport=%lp";

/// Most codes and texts between them: a line is not to become endless by them.
const MAX_PIECES: usize = 128;

/// The text in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extras {
    text: String,
    pieces: Vec<ExtraPiece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ExtraPiece {
    Text(String),
    Value(ExtraCode, Quoting),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ExtraCode {
    Client,
    LocalAddress,
    LocalPort,
    Method,
    Url,
    Scheme,
    Host,
    Port,
    Path,
    Version,
    /// The field of that name.
    Field(String),
    /// The name of the user.
    User,
    /// Something that Squid knows and this proxy does not.
    Unknown,
}

/// Every code but those of fields, as it is written behind the percent sign.
const CODES: &[(&str, ExtraCode)] = &[
    (">a", ExtraCode::Client),
    (">la", ExtraCode::LocalAddress),
    ("la", ExtraCode::LocalAddress),
    (">lp", ExtraCode::LocalPort),
    ("lp", ExtraCode::LocalPort),
    (">rm", ExtraCode::Method),
    (">ru", ExtraCode::Url),
    (">rs", ExtraCode::Scheme),
    (">rd", ExtraCode::Host),
    (">rP", ExtraCode::Port),
    (">rp", ExtraCode::Path),
    (">rv", ExtraCode::Version),
    (">A", ExtraCode::Unknown),
    (">p", ExtraCode::Unknown),
    (">eui", ExtraCode::Unknown),
    ("un", ExtraCode::User),
    ("ul", ExtraCode::User),
    ("ui", ExtraCode::Unknown),
    ("ue", ExtraCode::Unknown),
    ("et", ExtraCode::Unknown),
    ("ea", ExtraCode::Unknown),
    ("note", ExtraCode::Unknown),
    ("ssl::>sni", ExtraCode::Unknown),
    ("tls::>sni", ExtraCode::Unknown),
    // Of old helpers for access lists.
    ("SRC", ExtraCode::Client),
    ("MYADDR", ExtraCode::LocalAddress),
    ("MYPORT", ExtraCode::LocalPort),
    ("METHOD", ExtraCode::Method),
    ("URI", ExtraCode::Url),
    ("PROTO", ExtraCode::Scheme),
    ("DST", ExtraCode::Host),
    ("PORT", ExtraCode::Port),
    ("PATH", ExtraCode::Path),
    ("LOGIN", ExtraCode::User),
    ("IDENT", ExtraCode::Unknown),
];

/// How bytes are written that could end a word or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    /// Percent-encoded, but for percent signs, so that what is encoded already stays as it is.
    Plain,
    /// `%"`, or between quotes: quotes and backslashes behind a backslash.
    Quoted,
    /// `%[`, or between brackets.
    Bracketed,
    /// `%#`: percent-encoded, percent signs too.
    Url,
    /// `%'`: as they are.
    Raw,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtrasError {
    /// At this character, counted from one, stands a code that means nothing here.
    UnknownCode(usize, String),
    /// At this character stands a brace that is never closed, or the end of the text.
    Unfinished(usize),
    /// More parts than there may be.
    TooLong,
}

impl fmt::Display for ExtrasError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCode(at, code) => write!(out, "a code that is known in place of {code} at character {at}"),
            Self::Unfinished(at) => write!(out, "the rest of the code that begins at character {at}"),
            Self::TooLong => write!(out, "at most {MAX_PIECES} codes and texts between them"),
        }
    }
}

impl std::error::Error for ExtrasError {}

impl fmt::Display for Extras {
    /// The text that parses back to the same.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for Extras {
    type Err = ExtrasError;

    fn from_str(text: &str) -> Result<Extras, ExtrasError> {
        let (mut pieces, mut literal, mut around, mut rest) = (Vec::new(), String::new(), Quoting::Plain, text);
        while let Some(character) = rest.chars().next() {
            let at = text.chars().count() - rest.chars().count() + 1;
            rest = &rest[character.len_utf8()..];
            if character != '%' || rest.starts_with('%') {
                rest = if character == '%' { &rest[1..] } else { rest };
                around = within(around, character);
                literal.push(character);
                continue;
            }
            if !literal.is_empty() {
                pieces.push(ExtraPiece::Text(std::mem::take(&mut literal)));
            }
            let (piece, behind) = value(rest, around, at)?;
            pieces.push(piece);
            rest = behind;
            if pieces.len() >= MAX_PIECES {
                return Err(ExtrasError::TooLong);
            }
        }
        if !literal.is_empty() {
            pieces.push(ExtraPiece::Text(literal));
        }
        Ok(Extras { text: text.to_owned(), pieces })
    }
}

/// How a value is quoted behind this character of the text.
fn within(around: Quoting, character: char) -> Quoting {
    match (around, character) {
        (Quoting::Plain, '"') => Quoting::Quoted,
        (Quoting::Quoted, '"') | (Quoting::Bracketed, ']') => Quoting::Plain,
        (Quoting::Plain, '[') => Quoting::Bracketed,
        _ => around,
    }
}

/// The code at the front of the text, and what follows it. `at` is where its percent sign stands.
fn value(text: &str, around: Quoting, at: usize) -> Result<(ExtraPiece, &str), ExtrasError> {
    let (quoting, rest) = match text.as_bytes().first() {
        None => return Err(ExtrasError::Unfinished(at)),
        Some(b'"') => (Quoting::Quoted, &text[1..]),
        Some(b'[') => (Quoting::Bracketed, &text[1..]),
        Some(b'#') => (Quoting::Url, &text[1..]),
        Some(b'\'') => (Quoting::Raw, &text[1..]),
        Some(_) => (around, text),
    };
    let (before, rest) = braced(rest, at)?;
    let rest = rest.strip_prefix("http::").unwrap_or(rest);
    let unknown = || {
        let end = text.find([' ', '%']).unwrap_or(text.len());
        ExtrasError::UnknownCode(at, format!("%{}", &text[..end]))
    };
    // The longest one that fits: `>la` begins with nothing else, but `SRC` might.
    let fitting = CODES.iter().filter(|(name, _)| rest.starts_with(name));
    if let Some((name, code)) = fitting.max_by_key(|(name, _)| name.len()) {
        let (_, behind) = match *name {
            "note" if before.is_none() => braced(&rest[name.len()..], at)?,
            _ => (None, &rest[name.len()..]),
        };
        return Ok((ExtraPiece::Value(code.clone(), quoting), behind));
    }
    let rest = rest.strip_prefix(">h").ok_or_else(unknown)?;
    let (name, rest) = match before {
        Some(name) => (Some(name), rest),
        None => braced(rest, at)?,
    };
    let name = name.filter(|name| is_token(name.as_bytes())).ok_or_else(unknown)?;
    Ok((ExtraPiece::Value(ExtraCode::Field(name.to_owned()), quoting), rest))
}

/// The text between braces at the front, if there are any, and what follows them.
fn braced(text: &str, at: usize) -> Result<(Option<&str>, &str), ExtrasError> {
    let Some(inside) = text.strip_prefix('{') else { return Ok((None, text)) };
    let (name, rest) = inside.split_once('}').ok_or(ExtrasError::Unfinished(at))?;
    Ok((Some(name), rest))
}

impl Extras {
    /// Appends the text for a request.
    pub(super) fn push(&self, out: &mut Vec<u8>, question: &Question<'_>) {
        for piece in &self.pieces {
            match piece {
                ExtraPiece::Text(text) => out.extend_from_slice(text.as_bytes()),
                ExtraPiece::Value(code, quoting) => {
                    let start = out.len();
                    code.push(out, question);
                    if out.len() == start {
                        out.push(b'-');
                    } else if code.is_free() && !out[start..].iter().all(|byte| quoting.leaves(*byte)) {
                        let raw = out.split_off(start);
                        raw.iter().for_each(|byte| quoting.push(out, *byte));
                    }
                }
            }
        }
    }
}

impl ExtraCode {
    /// Whether clients choose its bytes freely.
    fn is_free(&self) -> bool {
        matches!(self, ExtraCode::Url | ExtraCode::Path | ExtraCode::Field(_) | ExtraCode::User)
    }

    /// Appends what it stands for; nothing where there is no such thing.
    fn push(&self, out: &mut Vec<u8>, question: &Question<'_>) {
        let (request, local) = (question.request, question.local);
        let tunnel = request.method() == Method::Connect;
        // Writing into a Vec cannot fail.
        match self {
            ExtraCode::Client => drop(write!(out, "{}", question.client)),
            ExtraCode::LocalAddress | ExtraCode::LocalPort if local.ip().is_unspecified() => {}
            ExtraCode::LocalAddress => drop(write!(out, "{}", local.ip().to_canonical())),
            ExtraCode::LocalPort => drop(write!(out, "{}", local.port())),
            ExtraCode::Method => out.extend_from_slice(request.method_name()),
            ExtraCode::Url => super::push_full_url(out, question),
            ExtraCode::Scheme if tunnel => {}
            ExtraCode::Scheme => out.extend_from_slice(b"http"),
            ExtraCode::Host => request.target().host.write(out),
            ExtraCode::Port => drop(write!(out, "{}", request.target().port)),
            ExtraCode::Path if tunnel => {}
            ExtraCode::Path => question.push_path(out),
            ExtraCode::Version => out.extend_from_slice(request.version().number().as_bytes()),
            ExtraCode::Field(name) => {
                let named = |(own, _): &(&[u8], &[u8])| own.eq_ignore_ascii_case(name.as_bytes());
                for (number, (_, value)) in request.fields().filter(named).enumerate() {
                    out.extend_from_slice(if number > 0 { b", " } else { b"" });
                    out.extend_from_slice(value);
                }
            }
            ExtraCode::User => out.extend_from_slice(request.user().map_or(&b""[..], |user| user.as_bytes())),
            ExtraCode::Unknown => {}
        }
    }
}

impl Quoting {
    /// Whether the byte stands for itself.
    fn leaves(self, byte: u8) -> bool {
        match self {
            Quoting::Plain => matches!(byte, b'!'..=b'~') && !b"<>\"#{}|\\^~[]`'".contains(&byte),
            Quoting::Url => byte != b'%' && Quoting::Plain.leaves(byte),
            Quoting::Quoted => !matches!(byte, b'"' | b'\\'),
            Quoting::Bracketed => matches!(byte, b' '..=b'~') && !b"%[]\\".contains(&byte),
            Quoting::Raw => true,
        }
    }

    fn push(self, out: &mut Vec<u8>, byte: u8) {
        // Writing into a Vec cannot fail.
        let _ = match self {
            _ if self.leaves(byte) => out.write_all(&[byte]),
            Quoting::Plain | Quoting::Url => write!(out, "%{byte:02X}"),
            Quoting::Bracketed if byte != b'\\' => write!(out, "%{byte:02x}"),
            Quoting::Quoted | Quoting::Bracketed | Quoting::Raw => out.write_all(&[b'\\', byte]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Request;
    use crate::http::rules::Rules;

    fn put(extras: &str, head: &[u8]) -> String {
        let request = Request::parse(head, &Rules::default()).unwrap();
        let (client, local) = ("::ffff:192.0.2.1".parse().unwrap(), "192.0.2.254:3128".parse().unwrap());
        let mut out = Vec::new();
        let extras: Extras = extras.parse().unwrap();
        extras.push(&mut out, &Question { request: &request, client, local, lines: b"" });
        String::from_utf8(out).unwrap()
    }

    const GET: &[u8] = b"GET http://A.ok:81/p/q?a=b&c=%20 HTTP/1.1\r\nHost: a.ok:81\r\nAccept: x\r\naccept: y\r\n\
        User-Agent: Mozilla/5 (X \"q\" \\ [b] %41 \xc3\xa9)\r\n\r\n";

    #[test]
    fn values_are_those_of_squid_5_7() {
        for (extras, wanted) in [
            (DEFAULT, "192.0.2.1/- - GET myip=192.0.2.254 myport=3128"),
            ("%>la %>lp %%", "192.0.2.254 3128 %"),
            ("%>ru", "http://a.ok:81/p/q?a=b&c=%20"),
            ("%>rs %>rd %>rP %>rp %>rv", "http a.ok 81 /p/q?a=b&c=%20 1.1"),
            ("%{Accept}>h %>h{ACCEPT} %{Accept}http::>h", "x,%20y x,%20y x,%20y"),
            ("%{X-None}>h|%\"{X-None}>h", "-|-"),
            ("%ul %ui %ue %>p %>eui %et %ea %note %{a}note %note{a} %ssl::>sni", "- - - - - - - - - - -"),
            (
                "%SRC %MYADDR %MYPORT %METHOD %PROTO %DST %PORT %PATH",
                "192.0.2.1 192.0.2.254 3128 GET http a.ok 81 /p/q?a=b&c=%20",
            ),
            ("%{User-Agent}>h", "Mozilla/5%20(X%20%22q%22%20%5C%20%5Bb%5D%20%41%20%C3%A9)"),
            ("%#{User-Agent}>h", "Mozilla/5%20(X%20%22q%22%20%5C%20%5Bb%5D%20%2541%20%C3%A9)"),
            ("%\"{User-Agent}>h", "Mozilla/5 (X \\\"q\\\" \\\\ [b] %41 \u{e9})"),
            ("ua=\"%{User-Agent}>h\" x", "ua=\"Mozilla/5 (X \\\"q\\\" \\\\ [b] %41 \u{e9})\" x"),
            ("%'{User-Agent}>h", "Mozilla/5 (X \"q\" \\ [b] %41 \u{e9})"),
            ("%[{User-Agent}>h", "Mozilla/5 (X \"q\" \\\\ %5bb%5d %2541 %c3%a9)"),
            ("[%{User-Agent}>h] %{Accept}>h", "[Mozilla/5 (X \"q\" \\\\ %5bb%5d %2541 %c3%a9)] x,%20y"),
            ("", ""),
            ("only text", "only text"),
        ] {
            assert_eq!(put(extras, GET), wanted, "{extras}");
        }
        let connect = b"CONNECT a.ok:444 HTTP/1.0\r\nHost: a.ok\r\n\r\n";
        assert_eq!(put("%>rm %>ru %>rs %>rd %>rP %>rp %>rv", connect), "CONNECT a.ok:444 - a.ok 444 - 1.0");
        let request = Request::parse(connect, &Rules::default()).unwrap();
        let (client, local) = ("uid:1000".parse().unwrap(), "0.0.0.0:0".parse().unwrap());
        let mut out = Vec::new();
        let extras: Extras = DEFAULT.parse().unwrap();
        extras.push(&mut out, &Question { request: &request, client, local, lines: b"" });
        assert_eq!(out, b"uid:1000/- - CONNECT myip=- myport=-", "by a Unix socket");
        let odd = b"GET http://[2001:db8::1]/\"'|\xe9 HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(put("%>rd %>rp %\"{Host}>h", odd), "[2001:db8::1] /%22%27%7C%E9 x");
    }

    #[test]
    fn texts_that_are_none_are_refused() {
        let unknown = |at, code: &str| ExtrasError::UnknownCode(at, code.to_owned());
        for (text, error) in [
            ("%", ExtrasError::Unfinished(1)),
            ("ok %", ExtrasError::Unfinished(4)),
            ("%{X", ExtrasError::Unfinished(1)),
            ("%>h{X", ExtrasError::Unfinished(1)),
            ("%x y", unknown(1, "%x")),
            ("\u{e9}%>Hs", unknown(2, "%>Hs")),
            ("%>h", unknown(1, "%>h")),
            ("%{a b}>h", unknown(1, "%{a")),
            ("%9>a", unknown(1, "%9>a")),
            ("%/>a", unknown(1, "%/>a")),
            ("%\"", unknown(1, "%\"")),
        ] {
            assert_eq!(text.parse::<Extras>(), Err(error), "{text}");
        }
        assert_eq!("%>a".repeat(MAX_PIECES).parse::<Extras>(), Err(ExtrasError::TooLong));
        for text in [DEFAULT, "", "%% %{X}>h"] {
            assert_eq!(text.parse::<Extras>().unwrap().to_string(), text);
        }
    }
}

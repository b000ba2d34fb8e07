//! The form of a line, as `access.format` says it: one of five names, or a text with codes in Apache's manner. Pure.

use std::fmt;
use std::str::FromStr;

use super::escape::Escaping;

/// Most codes and texts between them in one format: a line is not to become endless by them.
const MAX_PIECES: usize = 128;

/// How lines look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    text: String,
    pub(super) form: LineLayout,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineLayout {
    /// What Apache, nginx and the tools that read their logs mean by it.
    Common,
    /// The same with what names page and browser behind it.
    Combined,
    Squid,
    Json,
    Ecs,
    Pieces(Vec<Piece>),
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// A text of so few bytes, as most are.
    Short([u8; SHORT], usize),
    Code(Code, Escaping),
}

/// Most bytes of a short text.
const SHORT: usize = 8;

impl Piece {
    fn of_text(text: String) -> Piece {
        let mut short = [0; SHORT];
        match short.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Piece::Short(short, text.len())
            }
            None => Piece::Text(text),
        }
    }
}

/// What stands for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Client,
    Peer,
    Pid,
    User,
    Time,
    Began(TimeUnit),
    Line,
    Method,
    Target,
    Protocol,
    Status,
    ToClientOrDash,
    ToClient,
    ToOrigin,
    Duration(TimeUnit),
    UserAgent,
    Referer,
    Trace,
    Media,
    Origin,
    Decision,
    Failure,
    List,
    Sni,
    Alpn,
    Cache,
    Decide,
    Resolve,
    Connect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
}

/// Every code, as it is written behind the percent sign, with what it stands for. docs/operations.md explains them.
const CODES: &[(&str, Code)] = &[
    ("h", Code::Client),
    ("a", Code::Client),
    ("{c}a", Code::Peer),
    ("{pid}x", Code::Pid),
    ("u", Code::User),
    ("t", Code::Time),
    ("{sec}t", Code::Began(TimeUnit::Seconds)),
    ("{msec}t", Code::Began(TimeUnit::Milliseconds)),
    ("r", Code::Line),
    ("m", Code::Method),
    ("U", Code::Target),
    ("H", Code::Protocol),
    ("s", Code::Status),
    (">s", Code::Status),
    ("b", Code::ToClientOrDash),
    ("B", Code::ToClient),
    ("O", Code::ToClient),
    ("I", Code::ToOrigin),
    ("T", Code::Duration(TimeUnit::Seconds)),
    ("{s}T", Code::Duration(TimeUnit::Seconds)),
    ("{ms}T", Code::Duration(TimeUnit::Milliseconds)),
    ("{us}T", Code::Duration(TimeUnit::Microseconds)),
    ("D", Code::Duration(TimeUnit::Microseconds)),
    ("{user-agent}i", Code::UserAgent),
    ("{referer}i", Code::Referer),
    ("{content-type}o", Code::Media),
    ("{origin}x", Code::Origin),
    ("{decision}x", Code::Decision),
    ("{failure}x", Code::Failure),
    ("{list}x", Code::List),
    ("{trace-id}x", Code::Trace),
    ("{sni}x", Code::Sni),
    ("{alpn}x", Code::Alpn),
    ("{cache}x", Code::Cache),
    ("{decide}x", Code::Decide),
    ("{resolve}x", Code::Resolve),
    ("{connect}x", Code::Connect),
];

/// What a format names of that which is remembered only where it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedParts {
    /// The User-Agent field.
    pub user_agent: bool,
    /// The Referer field.
    pub referer: bool,
    /// The media type of the response.
    pub media: bool,
    /// The id of the trace.
    pub trace: bool,
}

impl Format {
    /// Whether lines have room for these.
    pub fn named(&self) -> NamedParts {
        let has = |code: Code| match &self.form {
            LineLayout::Common => false,
            LineLayout::Combined => matches!(code, Code::UserAgent | Code::Referer),
            LineLayout::Squid => code == Code::Media,
            LineLayout::Json | LineLayout::Ecs => true,
            LineLayout::Pieces(pieces) => {
                pieces.iter().any(|piece| matches!(piece, Piece::Code(own, _) if *own == code))
            }
        };
        NamedParts {
            user_agent: has(Code::UserAgent),
            referer: has(Code::Referer),
            media: has(Code::Media),
            trace: has(Code::Trace),
        }
    }
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// Neither one of the names nor a text with a code.
    NoFormat,
    /// At this character, counted from one, stands a code that means nothing here.
    UnknownCode(usize, String),
    /// At this character, counted from one, stands a brace that is never closed, or the end of the text.
    Unfinished(usize),
    /// More parts than a format may have.
    TooLong,
}

impl fmt::Display for FormatError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFormat => {
                out.write_str("common, combined, squid, json, ecs, or a text with codes such as %h and %r")
            }
            Self::UnknownCode(at, code) => write!(out, "a code that is known in place of {code} at character {at}"),
            Self::Unfinished(at) => write!(out, "the rest of the code that begins at character {at}"),
            Self::TooLong => write!(out, "at most {MAX_PIECES} codes and texts between them"),
        }
    }
}

impl std::error::Error for FormatError {}

impl fmt::Display for Format {
    /// The text that parses back to the same format.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Format, FormatError> {
        let form = match text {
            "squid" => LineLayout::Squid,
            "json" => LineLayout::Json,
            "ecs" => LineLayout::Ecs,
            "common" => LineLayout::Common,
            "combined" => LineLayout::Combined,
            other if other.contains('%') => LineLayout::Pieces(pieces(other)?),
            _ => return Err(FormatError::NoFormat),
        };
        Ok(Format { text: text.to_owned(), form })
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, FormatError> {
    let (mut found, mut literal, mut place) = (Vec::new(), String::new(), Escaping::Bare);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let at = text.chars().count() - rest.chars().count() + 1;
        rest = &rest[character.len_utf8()..];
        match character {
            '%' if rest.starts_with('%') => {
                literal.push('%');
                rest = &rest[1..];
            }
            // Nothing stands for it but a dash.
            '%' if rest.starts_with('l') => {
                literal.push('-');
                rest = &rest[1..];
            }
            '%' => {
                if !literal.is_empty() {
                    found.push(Piece::of_text(std::mem::take(&mut literal)));
                }
                let (code, length) = code(rest, at)?;
                found.push(Piece::Code(code, place));
                rest = &rest[length..];
            }
            '"' => {
                literal.push('"');
                place = if place == Escaping::Bare { Escaping::Quoted } else { Escaping::Bare };
            }
            other => literal.push(other),
        }
        if found.len() >= MAX_PIECES {
            return Err(FormatError::TooLong);
        }
    }
    if !literal.is_empty() {
        found.push(Piece::of_text(literal));
    }
    Ok(found)
}

/// The code at the beginning of the text, and its length. `at` is where its percent sign stands.
fn code(text: &str, at: usize) -> Result<(Code, usize), FormatError> {
    let open = text.strip_prefix('>').unwrap_or(text);
    let braces = match open.starts_with('{') {
        true => open.find('}').map(|end| end + 1).ok_or(FormatError::Unfinished(at))?,
        false => 0,
    };
    let before = text.len() - open.len() + braces;
    let last = text[before..].chars().next().ok_or(FormatError::Unfinished(at))?;
    let written = &text[..before + last.len_utf8()];
    // Only the letter behind the braces tells capitals from small ones.
    let (name, letter) = written.split_at(before);
    let known = CODES.iter().find(|(code, _)| {
        code.strip_suffix(letter).is_some_and(|known| known.eq_ignore_ascii_case(name) && !letter.is_empty())
    });
    match known {
        Some((_, code)) => Ok((*code, written.len())),
        None => Err(FormatError::UnknownCode(at, format!("%{written}"))),
    }
}

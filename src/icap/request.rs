//! The head of an ICAP request (RFC 3507 section 4.3). Lenient: methods, versions and names in any case, lines that end with LF
//! alone, no Host, no Encapsulated with OPTIONS.

use std::net::IpAddr;

use base64::prelude::{Engine, BASE64_STANDARD};
use memchr::memchr;

use super::fault::IcapFault;
use super::parts::Encapsulated;
use crate::http::syntax::{decimal, elements, is_token_byte, words};

/// Longest preview in bytes: it may have to be held until the client is asked for the rest. Ours are 0 bytes long, and
/// RFC 3507 section 4.5 wants clients to be able to send 4096.
pub const MAX_PREVIEW: u64 = 64 << 10;

/// Most fields in a head. Squid writes about ten.
const MAX_FIELDS: usize = 100;

/// Longest name of a user in bytes.
const MAX_USER: usize = 255;

/// What the customer of a service is called where its address names none, as the original has it.
const NO_CUSTOMER: &[u8] = b"default";

/// The methods of ICAP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcapMethod {
    /// What can the service do?
    Options,
    /// May this request go on?
    Reqmod,
    /// May this response go on?
    Respmod,
}

impl IcapMethod {
    fn of(word: &[u8]) -> Option<IcapMethod> {
        let all = [("OPTIONS", IcapMethod::Options), ("REQMOD", IcapMethod::Reqmod), ("RESPMOD", IcapMethod::Respmod)];
        all.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, method)| method)
    }

    /// Whether what is encapsulated can be what this method is about.
    fn fits(self, parts: &Encapsulated) -> bool {
        match self {
            IcapMethod::Options => parts.length == 0,
            IcapMethod::Reqmod => parts.request.is_some() && parts.response.is_none(),
            IcapMethod::Respmod => parts.response.is_some(),
        }
    }
}

/// What a client of ICAP says of the one whose request it passes on. True only where the client is trusted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SaidOfClient {
    /// Its address (X-Client-IP).
    pub address: Option<IpAddr>,
    /// Who it is (X-Client-Username, X-Authenticated-User).
    pub user: Option<Box<str>>,
    /// The address of the server that it asks (X-Server-IP).
    pub server: Option<IpAddr>,
}

/// The head of an ICAP request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IcapRequest {
    /// What is asked.
    pub method: IcapMethod,
    /// What follows.
    pub parts: Encapsulated,
    /// Content begins with a preview of at most so many bytes, and the rest waits to be asked for.
    pub preview: Option<u64>,
    /// The client has kept the message and takes 204 for it at any time.
    pub allows_204: bool,
    /// This is the last request of the connection.
    pub closes: bool,
    /// What is said of the client behind it.
    pub said: SaidOfClient,
    /// The credentials of that client for us, which stand in this head and not in that of its request (RFC 3507 section 4.4.2).
    pub credentials: Option<Box<[u8]>>,
}

/// The words of the first line.
struct FirstLine<'h> {
    method: &'h [u8],
    uri: &'h [u8],
    version: &'h [u8],
    /// Where the fields begin.
    length: usize,
}

impl FirstLine<'_> {
    fn of(head: &[u8]) -> Option<FirstLine<'_>> {
        let end = memchr(b'\n', head)?;
        let line = head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]);
        let mut words = words(line);
        let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
        let begins = line.first().is_some_and(|byte| is_token_byte(*byte));
        let is_visible = line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        (words.next().is_none() && begins && is_visible).then_some(FirstLine { method, uri, version, length: end + 1 })
    }

    fn judge(&self) -> Result<IcapMethod, IcapFault> {
        let version = self.version.get(..5).filter(|name| name.eq_ignore_ascii_case(b"ICAP/"));
        match (version, &self.version[self.version.len().min(5)..]) {
            (None, _) => Err(IcapFault::NotIcap),
            (Some(_), b"1.0") => IcapMethod::of(self.method).ok_or(IcapFault::Method),
            (Some(_), _) => Err(IcapFault::Version),
        }
    }
}

/// What is wrong with the beginning of a head that is not complete: all that a client speaks by mistake that takes the port for
/// one of HTTP or TLS is told so without waiting for more.
pub fn first_fault(bytes: &[u8]) -> Option<IcapFault> {
    match memchr(b'\n', bytes) {
        Some(_) => FirstLine::of(bytes).map_or(Some(IcapFault::NotIcap), |line| line.judge().err()),
        None => {
            let begins = bytes.first().is_none_or(|byte| is_token_byte(*byte));
            let is_text = bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r'));
            (!begins || !is_text).then_some(IcapFault::NotIcap)
        }
    }
}

impl IcapRequest {
    /// Reads a whole head, from its first line to the blank line.
    ///
    /// # Errors
    /// When it is none, or none that can be followed.
    pub fn parse(head: &[u8]) -> Result<IcapRequest, IcapFault> {
        let line = FirstLine::of(head).ok_or(IcapFault::NotIcap)?;
        let method = line.judge()?;
        let mut storage = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let fields = fields(&head[line.length..], &mut storage)?;
        let parts = match (one(fields, "Encapsulated")?, method) {
            (Some(value), _) => Encapsulated::parse(value).ok_or(IcapFault::BadParts)?,
            (None, IcapMethod::Options) => Encapsulated::default(),
            (None, _) => return Err(IcapFault::BadParts),
        };
        if !method.fits(&parts) {
            return Err(IcapFault::BadParts);
        }
        let preview = match one(fields, "Preview")?.map(decimal) {
            None => None,
            Some(None) => return Err(IcapFault::BadField),
            Some(Some(length)) if length > MAX_PREVIEW => return Err(IcapFault::LongPreview),
            Some(length) => length,
        };
        let lists = |name: &'static str, wanted: &'static str| {
            let mut elements = values(fields, name).flat_map(elements);
            elements.any(|element| element.eq_ignore_ascii_case(wanted.as_bytes()))
        };
        Ok(IcapRequest {
            method,
            parts,
            preview,
            allows_204: lists("Allow", "204"),
            closes: lists("Connection", "close"),
            said: said(fields),
            credentials: one(fields, "Proxy-Authorization")?.map(Into::into),
        })
    }
}

/// The lines of a head that helpers of the dialect icap get too, in the order in which the original has them: who the client is
/// (where `trusted`), the customer that the address of the service names behind its last comma, and Allow.
pub fn lines_for_helpers(head: &[u8], trusted: bool) -> Vec<u8> {
    let mut lines = Vec::new();
    let Some(line) = FirstLine::of(head) else { return lines };
    let mut storage = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let Ok(fields) = fields(&head[line.length..], &mut storage) else { return lines };
    let mut push = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\n"] {
            lines.extend_from_slice(part);
        }
    };
    for name in ["X-Client-IP", "X-Authenticated-User", "X-Authenticated-Groups"] {
        if let Some(value) = values(fields, name).next().filter(|_| trusted) {
            push(name, value);
        }
    }
    let comma = line.uri.iter().rposition(|byte| *byte == b',');
    let customer = comma.map(|comma| &line.uri[comma + 1..]).filter(|name| !name.is_empty());
    push("X-Customer-Name", customer.unwrap_or(NO_CUSTOMER));
    if let Some(value) = values(fields, "Allow").next() {
        push("Allow", value);
    }
    lines
}

type FieldList<'h, 's> = &'s [httparse::Header<'h>];

fn fields<'h, 's>(
    bytes: &'h [u8],
    storage: &'s mut [httparse::Header<'h>; MAX_FIELDS],
) -> Result<FieldList<'h, 's>, IcapFault> {
    match httparse::parse_headers(bytes, storage) {
        Ok(httparse::Status::Complete((length, fields))) if length == bytes.len() => Ok(fields),
        _ => Err(IcapFault::BadField),
    }
}

fn values<'h, 's>(fields: FieldList<'h, 's>, name: &'static str) -> impl Iterator<Item = &'h [u8]> + use<'h, 's> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// The value of a field that may stand there once.
fn one<'h>(fields: FieldList<'h, '_>, name: &'static str) -> Result<Option<&'h [u8]>, IcapFault> {
    let mut all = values(fields, name);
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(IcapFault::BadField),
        (value, None) => Ok(value),
    }
}

fn said(fields: FieldList<'_, '_>) -> SaidOfClient {
    let text = |name| values(fields, name).next().and_then(|value| std::str::from_utf8(value).ok()).map(str::trim);
    let address = |name| text(name).and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical());
    let named = text("X-Client-Username").map(str::to_owned).filter(|name| !name.is_empty());
    let user = named.or_else(|| text("X-Authenticated-User").and_then(user));
    SaidOfClient {
        address: address("X-Client-IP"),
        user: user.filter(|name| name.len() <= MAX_USER && !name.contains(char::is_control)).map(Into::into),
        server: address("X-Server-IP"),
    }
}

/// The user in X-Authenticated-User: base64 of an address such as `Local://ann` or `WinNT://domain/ann`, as RFC 3507's
/// companion draft-stecher-icap-subid-00 has it in section 3.4; some write the name itself.
fn user(value: &str) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.filter(|text| text.contains("://")).unwrap_or_else(|| value.to_owned());
    let name = text.split_once("://").map_or(&text[..], |(_, path)| path.rsplit('/').next().unwrap_or(path));
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;

//! A request head, parsed and judged. Knows the rules of RFC 9112 for what a client may send, and nothing of where the
//! bytes came from or of what a policy thinks of the request.
//!
//! A [`Request`] owns its bytes, since it outlives the buffer that it came in: it waits for decisions, names and
//! connections.

mod opaque;
mod parent;
mod parse;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use super::caching::Caching;
use super::fault::Fault;
use super::fields::{is_private_scheme, Connection, Expectation, FieldKind, Fields};
use super::framing::Framing;
use super::syntax::{elements, offset_in, trim, words};
use super::target::{usual_port, Host, Target, TargetForm, HTTP_PORT};
use super::{Method, Version};
pub use opaque::OpaqueKind;
pub use parent::{Hop, Parent};

/// A request whose head is complete and without fault.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head as received, then the path where one had to be made up.
    bytes: Vec<u8>,
    head_len: usize,
    method: Method,
    method_len: u16,
    version: Version,
    target: Target,
    path: Range<usize>,
    fields: Fields,
    connection: Connection,
    framing: Framing,
    upgrades: bool,
    max_forwards: Result<Option<u64>, Fault>,
    /// Another place that gets it than the one that it names.
    detour: Option<Box<Detour>>,
    /// Its content, if it is kept with the head.
    content: Box<[u8]>,
    /// Who has proved to have sent it.
    user: Option<Arc<str>>,
    /// It stands for one of a client that named another host.
    renamed: bool,
    /// What the client's CONNECT named that it stands for, where that was another host.
    asked: Option<Box<Target>>,
    /// What speaks on the connection, where that is not HTTP.
    opaque: Option<OpaqueKind>,
    /// It came within ICAP: another proxy sends it, to a server of any scheme.
    encapsulated: bool,
    caching: Caching,
    /// How far it has come on its way to a parent.
    hop: Option<Box<Hop>>,
}

/// Another place for a request than the one that it names.
#[derive(Clone, Debug)]
pub struct Detour {
    /// Where it is sent.
    pub to: Target,
    /// Who said so.
    pub by: DetourBy,
}

/// Who sends a request to another place than the one that it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DetourBy {
    /// A helper, which may say whether a PROXY protocol header goes there first.
    Helper(Option<Announce>),
    /// The network: its connection was going there.
    Network {
        /// The address is known to be one of the host that it names.
        proven: bool,
    },
}

/// Which PROXY protocol header a connection begins with that we open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Announce {
    /// None.
    Off,
    /// That of version 1, a line.
    V1,
    /// That of version 2, binary.
    V2,
}

impl Announce {
    /// All of them.
    pub const ALL: [Announce; 3] = [Announce::Off, Announce::V1, Announce::V2];

    /// The word in the configuration and in replies of helpers.
    pub fn name(self) -> &'static str {
        match self {
            Announce::Off => "off",
            Announce::V1 => "v1",
            Announce::V2 => "v2",
        }
    }
}

impl Request {
    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method's text as received.
    pub fn method_name(&self) -> &[u8] {
        &self.bytes[..usize::from(self.method_len)]
    }

    /// Where the request goes.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where to connect to for it: its target, unless another place is to get it unchanged.
    pub fn destination(&self) -> &Target {
        self.detour.as_deref().map_or(&self.target, |detour| &detour.to)
    }

    /// The same, for a caller that needs nothing else of the request any more.
    pub fn into_destination(self) -> Target {
        self.detour.map_or(self.target, |detour| detour.to)
    }

    /// The other place that it is sent to, and who said so.
    pub fn detour(&self) -> Option<&Detour> {
        self.detour.as_deref()
    }

    /// What the client asked for, also where a helper has put another request in place of its own. Known for CONNECT alone.
    pub fn asked(&self) -> &Target {
        self.asked.as_deref().unwrap_or(&self.target)
    }

    /// The original destination that it is sent to.
    pub fn original(&self) -> Option<SocketAddr> {
        let detour = self.detour.as_deref().filter(|detour| matches!(detour.by, DetourBy::Network { .. }))?;
        Some(SocketAddr::new(detour.to.host.address()?, detour.to.port))
    }

    /// Has a helper decided that another host gets it?
    pub fn is_intercepted(&self) -> bool {
        self.detour.as_deref().is_some_and(|detour| matches!(detour.by, DetourBy::Helper(_)))
    }

    /// A helper sends it to another host, which gets the same head.
    pub fn intercept(&mut self, to: Target, header: Option<Announce>) {
        self.detour = Some(Box::new(Detour { to, by: DetourBy::Helper(header) }));
    }

    /// Its connection was going there: so does it, whichever host it names.
    pub fn send_on(&mut self, original: SocketAddr) {
        let by = DetourBy::Network { proven: false };
        self.detour = Some(Box::new(Detour { to: Target::from_address(original), by }));
    }

    /// The original destination is an address of the host that it names.
    pub fn prove(&mut self) {
        if let Some(DetourBy::Network { proven }) = self.detour.as_mut().map(|detour| &mut detour.by) {
            *proven = true;
        }
    }

    /// Whether a helper has put it in place of one that names another host.
    pub fn is_renamed(&self) -> bool {
        self.renamed
    }

    /// Goes the way of the request whose place it takes, where it names the same host.
    pub fn follow(&mut self, client: &Request) {
        let same = (&self.target.host, self.target.port) == (&client.target.host, client.target.port);
        self.renamed = !same;
        if self.detour.is_none() && same {
            self.detour = client.detour.clone();
        }
    }

    /// Appends scheme and authority as the target has them: `http://host`, and for what came within ICAP any scheme.
    pub fn push_origin(&self, out: &mut Vec<u8>) {
        let scheme = self.scheme();
        out.extend_from_slice(scheme);
        out.extend_from_slice(b"://");
        match scheme {
            b"http" => self.target.write_authority(out),
            _ => {
                self.target.host.write(out);
                if usual_port(scheme) != Some(self.target.port) {
                    out.push(b':');
                    crate::decimal::push_number(out, u64::from(self.target.port));
                }
            }
        }
    }

    /// The target as received, where that is what [`Request::push_origin`] and the path would be, as it nearly always is.
    pub fn target_as_written(&self) -> Option<&[u8]> {
        let start = usize::from(self.method_len) + 1;
        let given = self.target.form == TargetForm::Absolute && self.path.end <= self.head_len;
        let text = self.bytes.get(start..self.path.end).filter(|text| given && text.starts_with(b"http://"))?;
        let authority = self.bytes.get(start + b"http://".len()..self.path.start)?;
        is_written(&self.target, authority).then_some(text)
    }

    /// The scheme of its target.
    pub fn scheme(&self) -> &[u8] {
        let target = self.raw().get(usize::from(self.method_len) + 1..).unwrap_or_default();
        match memchr::memchr(b':', target).filter(|_| self.encapsulated && self.target.form == TargetForm::Absolute) {
            Some(colon) if !target[..colon].eq_ignore_ascii_case(b"http") => &target[..colon],
            _ => b"http",
        }
    }

    /// The path with its query, as it goes to an origin: starts with a slash, or is `*`, or for CONNECT `host:port`.
    pub fn path(&self) -> &[u8] {
        &self.bytes[self.path.clone()]
    }

    /// The version of the client.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The head as received.
    pub fn raw(&self) -> &[u8] {
        &self.bytes[..self.head_len]
    }

    /// The user who has proved to have sent it.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// Notes who has proved to have sent it.
    pub fn set_user(&mut self, user: Option<Arc<str>>) {
        self.user = user;
    }

    /// The values of Proxy-Authorization.
    pub fn proxy_authorization(&self) -> impl Iterator<Item = &[u8]> {
        self.values(FieldKind::ProxyAuthorization)
    }

    /// The values of Authorization.
    pub fn authorization(&self) -> impl Iterator<Item = &[u8]> {
        self.values(FieldKind::Authorization)
    }

    /// Appends the head as received, without the credentials that are for this proxy.
    pub fn write_without_credentials(&self, out: &mut Vec<u8>) {
        let head = self.raw();
        let mut start = 0;
        for span in self.fields.spans().iter().filter(|span| is_proxy_authorization(span.name(head))) {
            let name_at = offset_in(head, span.name(head));
            let value_end = offset_in(head, span.value(head)) + span.value(head).len();
            let line_end = memchr::memchr(b'\n', &head[value_end..]).map_or(head.len(), |end| value_end + end + 1);
            out.extend_from_slice(&head[start..name_at]);
            start = line_end;
        }
        out.extend_from_slice(&head[start..]);
    }

    /// Bytes of memory that it takes for its head and for content that is kept with it.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.content.len()
    }

    /// All fields in order, names as received, values without the blanks around them.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let head = self.raw();
        self.fields.spans().iter().map(move |span| (span.name(head), span.value(head)))
    }

    /// The value of the first field of that name, in any letter case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields.first(self.raw(), name)
    }

    /// How the content is framed, from its first byte on.
    pub fn framing(&self) -> Framing {
        self.framing.clone()
    }

    /// Keeps this with the head as the content.
    pub fn hold_content(&mut self, content: &[u8]) {
        self.content = content.into();
    }

    /// The content, if it is kept with the head; content that is passed on is not.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// What a cache wants of the response.
    pub fn caching(&self) -> &Caching {
        &self.caching
    }

    /// Says what a cache wants of the response.
    pub fn set_caching(&mut self, caching: Caching) {
        self.caching = caching;
    }

    /// Whether the client's connection may serve another request (RFC 9112 section 9.3).
    ///
    /// A client of HTTP/1.0 has to ask for it. Proxy-Connection is obeyed as if it were Connection.
    pub fn keep_alive(&self) -> bool {
        !self.connection.closes() && (self.connection.keeps_alive() || self.version == Version::Http11)
    }

    /// What the client expects before it sends the content.
    pub fn expectation(&self) -> Expectation {
        if self.version == Version::Http10 || !self.fields.has(FieldKind::Expect) {
            return Expectation::None;
        }
        let all_known =
            self.values(FieldKind::Expect).flat_map(elements).all(|one| one.eq_ignore_ascii_case(b"100-continue"));
        match all_known {
            true => Expectation::Continue,
            false => Expectation::Other,
        }
    }

    /// Whether an origin may overlook the content and take it for the next request: it has no meaning with these methods
    /// (RFC 9110 sections 9.3.1, 9.3.2 and 9.3.5).
    pub fn has_stray_content(&self) -> bool {
        matches!(self.method, Method::Get | Method::Head | Method::Delete) && !self.framing.is_done()
    }

    /// Whether it does the same however often it is sent (RFC 9110 section 9.2.2; QUERY by RFC 10008).
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent() || self.is_query()
    }

    /// Whether it is a QUERY, which only reads, and says in its content what.
    pub fn is_query(&self) -> bool {
        self.method_name() == b"QUERY"
    }

    /// Whether the request can be sent once more when its connection turns out dead (RFC 9110 §9.2.2): all of its content is at hand,
    /// or it has none, and it is idempotent.
    pub fn is_repeatable(&self) -> bool {
        self.is_idempotent() && (matches!(self.framing, Framing::Empty) || !self.content.is_empty())
    }

    /// Whether an origin that does not understand the request as we do may still answer to a part of it later: one with
    /// content, with an expectation, or with an offer to switch protocols.
    pub fn leaves_doubt(&self) -> bool {
        !self.framing.is_done() || self.fields.has(FieldKind::Expect) || self.fields.has(FieldKind::Upgrade)
    }

    /// The protocols that the client offers to switch to, if the offer is one that is passed on.
    ///
    /// That needs HTTP/1.1, `Connection: upgrade`, and protocols that the rules allow (RFC 9110 section 7.8). With
    /// several Upgrade fields it is the first; [`Request::offers`] asks all.
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrades.then(|| self.values(FieldKind::Upgrade).next()).flatten()
    }

    /// Whether the client offered to switch to this protocol, so that a 101 that names it may be passed on.
    ///
    /// `chosen` is the Upgrade field of the 101; should it list several protocols, each must have been offered.
    pub fn offers(&self, chosen: &[u8]) -> bool {
        let offered =
            |one: &[u8]| self.values(FieldKind::Upgrade).flat_map(elements).any(|own| own.eq_ignore_ascii_case(one));
        let mut all = elements(chosen).peekable();
        self.upgrades && all.peek().is_some() && all.all(offered)
    }

    /// How many more proxies an OPTIONS or TRACE request may pass (RFC 9110 section 7.6.2); `None` for any other method.
    pub fn max_forwards(&self) -> Result<Option<u64>, Fault> {
        self.max_forwards
    }

    /// Whether a Via field names `own`, in any letter case: the request comes back to us (RFC 9110 section 7.6).
    pub fn via_contains(&self, own: &[u8]) -> bool {
        let received_by = |element| words(element).nth(1).unwrap_or_default();
        self.values(FieldKind::Via).flat_map(elements).any(|element| received_by(element).eq_ignore_ascii_case(own))
    }

    /// Whether the origin may tie the connection to this user, so that no one else must be served through it: the NTLM
    /// and Negotiate schemes log a connection in, not a request (RFC 4559 section 6).
    pub fn wants_private_connection(&self) -> bool {
        self.values(FieldKind::Authorization).any(is_private_scheme)
    }

    /// The client address that a balancer in front noted in the field of that name: its last element, if that is an
    /// address, with or without a port.
    pub fn noted_client(&self, name: &[u8]) -> Option<IpAddr> {
        let named = self.fields().filter(|(own, _)| own.eq_ignore_ascii_case(name)).last()?;
        parse_address(elements(named.1).last()?)
    }

    /// Takes over what the exchange with a client rests on; see [`Request::in_place_of`].
    pub(super) fn substitute(&mut self, client: &Request, framing: Framing) {
        self.framing = framing;
        self.version = client.version;
        self.upgrades &= client.upgrades;
        self.content = client.content.clone();
        let differs = client.method == Method::Connect && client.target != self.target;
        self.asked = differs.then(|| Box::new(client.asked().clone()));
    }

    pub(crate) fn section(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection
    }

    fn values(&self, kind: FieldKind) -> impl Iterator<Item = &[u8]> {
        self.fields.values(self.raw(), kind)
    }
}

/// The name of the field, or what CGI takes for it.
fn is_proxy_authorization(name: &[u8]) -> bool {
    is_alike(name, b"proxy-authorization")
}

/// Whether a field has this name, which is in lower case, or one that CGI takes for it.
pub(super) fn is_alike(name: &[u8], wanted: &[u8]) -> bool {
    let alike = |(own, wanted): (&u8, &u8)| own.eq_ignore_ascii_case(wanted) || (*own, *wanted) == (b'_', b'-');
    name.len() == wanted.len() && name.iter().zip(wanted).all(alike)
}

fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(trim(text)).ok()?.trim_matches('"');
    let bare = || text.parse().ok();
    let with_port = || text.parse().map(|socket: std::net::SocketAddr| socket.ip()).ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    bare().or_else(with_port).or_else(bracketed)
}

/// Whether the authority that a target was read from is what [`Target::write_authority`] writes for it. No for IPv6, which is not
/// looked at.
fn is_written(target: &Target, authority: &[u8]) -> bool {
    let port = match &target.host {
        Host::Name(name) => authority.strip_prefix(name.as_bytes()),
        // Its numbers have one spelling only, but a dot may stand behind them.
        Host::V4(_) => {
            let end = authority.iter().rposition(|byte| *byte == b':').unwrap_or(authority.len());
            Some(&authority[end..]).filter(|_| !authority[..end].ends_with(b"."))
        }
        Host::V6(..) => None,
    };
    match port {
        Some([]) => target.port == HTTP_PORT,
        Some([b':', b'1'..=b'9', ..]) => target.port != HTTP_PORT,
        _ => false,
    }
}

//! A request head, parsed and judged. Knows the rules of RFC 9112 for what a client may send, and nothing of where the
//! bytes came from or of what a policy thinks of the request.
//!
//! A [`Request`] owns its bytes, since it outlives the buffer that it came in: it waits for decisions, names and
//! connections.

mod opaque;
mod parse;

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use super::fault::Fault;
use super::fields::{is_private_scheme, Connection, Expectation, FieldKind, Fields};
use super::framing::Framing;
use super::syntax::{elements, offset_in, trim, words};
use super::target::Target;
use super::{Method, Version};
pub use opaque::OpaqueKind;

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
    /// What the client's CONNECT named that it stands for, where that was another host.
    asked: Option<Box<Target>>,
    /// What speaks on the connection, where that is not HTTP.
    opaque: Option<OpaqueKind>,
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

    /// Goes the way of the request whose place it takes, where it names the same host.
    pub fn follow(&mut self, client: &Request) {
        let same = (&self.target.host, self.target.port) == (&client.target.host, client.target.port);
        if self.detour.is_none() && same {
            self.detour = client.detour.clone();
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

    /// Whether the request can be sent once more when its connection turns out dead (RFC 9110 §9.2.2): it has no content, and
    /// its method is idempotent.
    pub fn is_repeatable(&self) -> bool {
        self.method.is_idempotent() && matches!(self.framing, Framing::Empty)
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
    let wanted = b"proxy-authorization";
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::MAX_FIELDS;
    use crate::http::rules::Rules;

    fn parse(text: &str) -> Result<Box<Request>, Fault> {
        Request::parse(text.as_bytes(), &Rules::default())
    }

    /// A request of HTTP/1.1 with these lines after its Host.
    fn with(lines: &str) -> Box<Request> {
        parse(&format!("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\n{lines}\r\n")).unwrap()
    }

    #[test]
    fn tells_what_it_was_given() {
        let text = "PROPFIND http://A.b:81?q=1 HTTP/1.1\r\nHost: a.b\r\nX-One:  1 \r\nx-two:\r\n\r\n";
        let request = parse(text).unwrap();
        assert_eq!((request.method(), request.method_name()), (Method::Extension, &b"PROPFIND"[..]));
        assert_eq!((request.target().to_string().as_str(), request.path()), ("a.b:81", &b"/?q=1"[..]));
        assert_eq!((request.version(), request.raw()), (Version::Http11, text.as_bytes()));
        assert_eq!((request.field(b"X-ONE"), request.field(b"x-two")), (Some(&b"1"[..]), Some(&b""[..])));
        assert_eq!((request.field(b"x-three"), request.fields().count()), (None, 3));
    }

    #[test]
    fn lone_line_feeds_are_line_ends() {
        let request = parse("GET / HTTP/1.0\nHost: a.b:8080\n\r\n").unwrap();
        assert_eq!((request.target().port, request.path()), (8080, &b"/"[..]));
    }

    #[test]
    fn paths_are_found_or_made_up() {
        let table = [
            ("GET http://a.b", "/"),
            ("GET http://a.b/", "/"),
            ("GET http://a.b/x?y#", ""),
            ("GET http://a.b/%7Ex/../y?z=|{}", "/%7Ex/../y?z=|{}"),
            ("GET http://a.b/\u{fc}", "/\u{fc}"),
            ("OPTIONS http://a.b", "*"),
            ("OPTIONS *", "*"),
            ("CONNECT a.b:443", "a.b:443"),
        ];
        for (line, want) in table {
            let request = parse(&format!("{line} HTTP/1.1\r\nHost: a.b\r\n\r\n"));
            let path = request.map(|request| request.path().to_vec()).unwrap_or_default();
            assert_eq!(path, want.as_bytes(), "{line}");
        }
    }

    #[test]
    fn persistence_follows_version_and_options() {
        let table = [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: X, Close\r\n", false),
            ("1.1", "Proxy-Connection: close\r\n", false),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.1", "Connection: keep-alive, close\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Proxy-Connection: keep-alive\r\n", true),
            ("1.0", "Connection: close\r\nProxy-Connection: keep-alive\r\n", false),
        ];
        for (version, lines, want) in table {
            let request = parse(&format!("GET http://a.b/ HTTP/{version}\r\n{lines}\r\n")).unwrap();
            assert_eq!(request.keep_alive(), want, "{version} {lines}");
        }
    }

    #[test]
    fn expectations() {
        assert_eq!(with("").expectation(), Expectation::None);
        assert_eq!(with("Expect: 100-Continue\r\n").expectation(), Expectation::Continue);
        assert_eq!(with("Expect: foo\r\n").expectation(), Expectation::Other);
        assert_eq!(with("Expect: 100-continue, foo\r\n").expectation(), Expectation::Other);
        let old = parse("GET http://a.b/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap();
        assert_eq!(old.expectation(), Expectation::None);
    }

    #[test]
    fn row_49_websocket_offers_survive_lists() {
        let request = with("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n");
        assert_eq!(request.upgrade(), Some(&b"WebSocket"[..]));
        assert!(request.offers(b"websocket") && !request.offers(b"h2c") && !request.offers(b""));
        assert!(!request.offers(b"websocket, other"));
        let request = with("Connection: upgrade\r\nUpgrade: TLS/1.2, IRC/6.9\r\nUpgrade: x\r\n");
        assert!(request.offers(b"irc/6.9") && request.offers(b"x"));
    }

    #[test]
    fn some_upgrades_are_ignored() {
        for lines in [
            "Upgrade: websocket\r\n",
            "Connection: upgrade\r\n",
            "Connection: upgrade\r\nUpgrade:\r\n",
            "Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
            "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n",
        ] {
            assert_eq!(with(lines).upgrade(), None, "{lines}");
        }
        let lines = "Connection: upgrade\r\nUpgrade: websocket\r\n";
        assert_eq!(parse(&format!("GET http://a.b/ HTTP/1.0\r\n{lines}\r\n")).unwrap().upgrade(), None);
        let rules = Rules { upgrades: vec!["tls".into()], ..Rules::default() };
        for (offer, allowed) in [("websocket", false), ("TLS/1.2", true), ("TLS/1.2, websocket", false)] {
            let text = format!("GET http://a.b/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: {offer}\r\n\r\n");
            assert_eq!(Request::parse(text.as_bytes(), &rules).unwrap().upgrade().is_some(), allowed, "{offer}");
        }
    }

    #[test]
    fn max_forwards_counts_for_two_methods() {
        let ask = |method: &str, lines: &str| {
            parse(&format!("{method} http://a.b/ HTTP/1.1\r\n{lines}\r\n")).unwrap().max_forwards()
        };
        assert_eq!(ask("OPTIONS", ""), Ok(None));
        assert_eq!(ask("OPTIONS", "Max-Forwards: 0\r\n"), Ok(Some(0)));
        assert_eq!(ask("TRACE", "max-forwards: 12\r\n"), Ok(Some(12)));
        assert_eq!(ask("TRACE", "max-forwards: 99999999999999999999\r\n"), Ok(Some(u64::MAX)));
        for wrong in ["x", "-1", "1, 0", "", "1\r\nMax-Forwards: 1"] {
            assert_eq!(ask("OPTIONS", &format!("Max-Forwards: {wrong}\r\n")), Err(Fault::BadMaxForwards), "{wrong}");
        }
        assert_eq!(ask("GET", "Max-Forwards: x\r\n"), Ok(None));
    }

    #[test]
    fn row_60_our_own_name_in_via_is_a_loop() {
        assert!(with("Via: 1.1 other, 1.0 EXAproxy-1 (x)\r\n").via_contains(b"exaproxy-1"));
        assert!(with("Via: 1.1 other\r\nVia: HTTP/1.1  exaproxy-1\r\n").via_contains(b"exaproxy-1"));
        assert!(!with("Via: 1.1 exaproxy-12, 1.1 x (1.1 exaproxy-1)\r\n").via_contains(b"exaproxy-1"));
        assert!(!with("").via_contains(b"exaproxy-1"));
    }

    #[test]
    fn logged_in_connections_are_private() {
        assert!(with("Authorization: Negotiate YII=\r\n").wants_private_connection());
        assert!(with("Authorization: NTLM\r\n").wants_private_connection());
        assert!(!with("Authorization: Basic YTpi\r\n").wants_private_connection());
        assert!(!with("").wants_private_connection());
    }

    #[test]
    fn row_39_a_balancer_may_note_the_client() {
        let noted = |value: &str| with(&format!("X-Client: {value}\r\n")).noted_client(b"x-client");
        assert_eq!(noted("192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(noted("192.0.2.1, 2001:db8::9"), "2001:db8::9".parse().ok());
        assert_eq!(noted("192.0.2.1:4711"), "192.0.2.1".parse().ok());
        assert_eq!(noted("[2001:db8::9]:4711"), "2001:db8::9".parse().ok());
        assert_eq!(noted("[2001:db8::9]"), "2001:db8::9".parse().ok());
        assert_eq!(noted("1.1.1.1\r\nX-Client: 2.2.2.2"), "2.2.2.2".parse().ok());
        assert_eq!(noted("unknown"), None);
        assert_eq!(noted(""), None);
        assert_eq!(with("").noted_client(b"x-client"), None);
    }

    #[test]
    fn fields_are_bounded() {
        let many = |count: usize| parse(&format!("GET http://a.b/ HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count)));
        assert_eq!(many(MAX_FIELDS).unwrap().fields().count(), MAX_FIELDS);
        assert_eq!(many(MAX_FIELDS + 1).unwrap_err(), Fault::TooManyFields);
        let name = "a".repeat(super::super::fields::MAX_NAME + 1);
        let long = parse(&format!("GET http://a.b/ HTTP/1.1\r\n{name}: b\r\n\r\n"));
        assert_eq!(long.unwrap_err(), Fault::TooManyFields);
    }

    #[test]
    fn a_request_can_be_sent_to_another_thread() {
        fn is_send<T: Send + 'static>() {}
        is_send::<Request>();
    }
}

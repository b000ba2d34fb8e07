//! What a client of ICAP is told. Strict: every reply names its Encapsulated, whose places are those of the bytes that were
//! written, its ISTag, and the end of the connection where that follows.

use super::Respmod;
use crate::decimal::push_number;
use crate::http::answer::Answer;
use crate::http::write::push;

/// What the client is asked at the end of a preview whose rest is wanted.
pub const CONTINUE: &[u8] = b"ICAP/1.0 100 Continue\r\n\r\n";

/// Seconds for which what OPTIONS says holds. Squid asks again when four fifths are over.
const OPTIONS_TTL: &str = "3600";

/// A reply.
#[derive(Debug)]
pub enum IcapReply {
    /// A status that says all: 204, and what was wrong.
    Bare(u16),
    /// The client's message or one in its place: the head, and whether that is of a request. Content follows where there is some.
    Message {
        /// It is a request.
        request: bool,
        /// Its head.
        head: Box<[u8]>,
    },
    /// A response in place of the client's request.
    Response(Box<Answer>),
    /// What the service can do, as a helper says, in lines; empty where none does.
    Options(Vec<u8>),
}

impl IcapReply {
    /// Bytes of memory that are held for it alone.
    pub fn own_size(&self) -> usize {
        match self {
            IcapReply::Bare(_) => 0,
            IcapReply::Message { head, .. } => head.len(),
            IcapReply::Response(answer) => answer.body.own_size(),
            IcapReply::Options(said) => said.capacity(),
        }
    }

    /// Whether content follows it that comes from elsewhere.
    pub fn follows(&self) -> bool {
        matches!(self, IcapReply::Response(answer) if answer.follows > 0)
    }
}

/// The version of what is decided: a client forgets what it kept when it changes (RFC 3507 section 4.7).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ServiceTag {
    /// Different for each start of the program.
    pub start: u32,
    /// Rises with each change of lists and helpers.
    pub generation: u32,
}

/// What a service says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// Its version.
    pub tag: ServiceTag,
    /// What becomes of responses.
    pub respmod: Respmod,
    /// Connections that it takes.
    pub connections: usize,
    /// Product and version.
    pub name: &'a str,
    /// The time, as a Date field has it.
    pub date: &'a str,
}

/// What follows the head of a reply: the word in Encapsulated and the bytes in front of it.
#[derive(Clone, Copy, Debug)]
pub struct Enclosed {
    /// A head of this kind stands there, of so many bytes: `req` or `res`.
    pub head: Option<(&'static str, usize)>,
    /// Content follows it.
    pub body: bool,
}

impl Enclosed {
    /// Nothing.
    pub const NOTHING: Enclosed = Enclosed { head: None, body: false };

    /// Appends the field. Content is of the kind of its head.
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Encapsulated: ");
        let Some((kind, length)) = self.head else { return out.extend_from_slice(b"null-body=0\r\n") };
        push(out, &[kind.as_bytes(), b"-hdr=0, ", if self.body { kind.as_bytes() } else { b"null" }, b"-body="]);
        push_number(out, length as u64);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the head of a reply.
pub fn write_head(out: &mut Vec<u8>, status: u16, tag: ServiceTag, keep: bool, enclosed: Enclosed) {
    begin(out, status, tag);
    end(out, keep, enclosed);
}

/// Appends the reply to OPTIONS (RFC 3507 section 4.10.2). What a helper `said` in lines comes first, and what it left out is ours.
pub fn write_options(out: &mut Vec<u8>, said: &[u8], service: &Service<'_>, keep: bool) {
    out.extend_from_slice(b"ICAP/1.0 200 OK\r\n");
    out.extend_from_slice(said);
    let mut connections = Vec::new();
    push_number(&mut connections, service.connections as u64);
    let methods: &[u8] = match service.respmod {
        Respmod::Refuse => b"REQMOD",
        Respmod::Allow => b"REQMOD, RESPMOD",
    };
    let own: [(&str, &[u8]); 9] = [
        ("Date", service.date.as_bytes()),
        ("Methods", methods),
        ("Service", service.name.as_bytes()),
        ("ISTag", &tag_text(service.tag)),
        ("Max-Connections", &connections),
        ("Options-TTL", OPTIONS_TTL.as_bytes()),
        ("Allow", b"204"),
        ("Preview", b"0"),
        ("Transfer-Preview", b"*"),
    ];
    for (name, value) in own.into_iter().filter(|(name, _)| !names(said, name)) {
        push(out, &[name.as_bytes(), b": ", value, b"\r\n"]);
    }
    end(out, keep, Enclosed::NOTHING);
}

/// Whether one of these lines is a field of that name. A Preview says nothing of what is to be sent without one.
fn names(lines: &[u8], name: &str) -> bool {
    let is = |line: &[u8], name: &str| {
        let (own, rest) = line.split_at(line.len().min(name.len()));
        own.eq_ignore_ascii_case(name.as_bytes()) && rest.first() == Some(&b':')
    };
    let mut all = lines.split(|byte| *byte == b'\n');
    match name {
        // Which files are previewed goes with how long previews are.
        "Transfer-Preview" => all.any(|line| is(line, name) || is(line, "Preview")),
        _ => all.any(|line| is(line, name)),
    }
}

fn begin(out: &mut Vec<u8>, status: u16, tag: ServiceTag) {
    out.extend_from_slice(b"ICAP/1.0 ");
    push_number(out, u64::from(status));
    push(out, &[b" ", phrase(status).as_bytes(), b"\r\nISTag: ", &tag_text(tag), b"\r\n"]);
}

fn end(out: &mut Vec<u8>, keep: bool, enclosed: Enclosed) {
    if !keep {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    enclosed.write(out);
    out.extend_from_slice(b"\r\n");
}

/// Quoted, and 32 bytes at most.
fn tag_text(tag: ServiceTag) -> Vec<u8> {
    format!("\"exa-{:08x}-{:08x}\"", tag.start, tag.generation).into_bytes()
}

/// The phrase of a status (RFC 3507 section 4.3.3).
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        404 => "Service Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        501 => "Method Not Implemented",
        503 => "Service Overloaded",
        505 => "ICAP Version Not Supported",
        _ => "Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: ServiceTag = ServiceTag { start: 0x1234, generation: 7 };

    fn head(status: u16, keep: bool, enclosed: Enclosed) -> String {
        let mut out = Vec::new();
        write_head(&mut out, status, TAG, keep, enclosed);
        String::from_utf8(out).unwrap()
    }

    fn options(said: &str, respmod: Respmod) -> String {
        let date = "Sat, 28 Nov 2026 00:00:00 GMT";
        let service = Service { tag: TAG, respmod, connections: 100, name: "exaproxy/2", date };
        let mut out = Vec::new();
        write_options(&mut out, said.as_bytes(), &service, true);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_reply_names_what_it_encloses() {
        assert_eq!(
            head(204, true, Enclosed::NOTHING),
            "ICAP/1.0 204 No Content\r\nISTag: \"exa-00001234-00000007\"\r\nEncapsulated: null-body=0\r\n\r\n"
        );
        let end = |head: Option<(&'static str, usize)>, body| {
            let text = head_of(Enclosed { head, body });
            text.lines().find(|line| line.starts_with("Encapsulated")).unwrap().to_owned()
        };
        fn head_of(enclosed: Enclosed) -> String {
            head(200, false, enclosed)
        }
        assert_eq!(end(Some(("req", 5)), true), "Encapsulated: req-hdr=0, req-body=5");
        assert_eq!(end(Some(("res", 7)), false), "Encapsulated: res-hdr=0, null-body=7");
        assert!(head_of(Enclosed::NOTHING).contains("\r\nConnection: close\r\n"));
        assert!(tag_text(ServiceTag { start: u32::MAX, generation: u32::MAX }).len() <= 32);
    }

    #[test]
    fn options_say_all_that_has_to_be_said() {
        let own = options("", Respmod::Refuse);
        for line in [
            "Methods: REQMOD",
            "ISTag: \"exa-00001234-00000007\"",
            "Max-Connections: 100",
            "Options-TTL: 3600",
            "Allow: 204",
            "Preview: 0",
            "Transfer-Preview: *",
            "Service: exaproxy/2",
            "Encapsulated: null-body=0",
        ] {
            assert!(own.contains(&format!("\r\n{line}\r\n")), "{line}\n{own}");
        }
        assert!(options("", Respmod::Allow).contains("\r\nMethods: REQMOD, RESPMOD\r\n"));
    }

    #[test]
    fn what_a_helper_says_of_the_service_stands() {
        let said = options("methods: REQMOD\r\nISTag: \"mine\"\r\nPreview: 128\r\nX-More: y\r\n", Respmod::Allow);
        assert!(
            said.starts_with("ICAP/1.0 200 OK\r\nmethods: REQMOD\r\nISTag: \"mine\"\r\nPreview: 128\r\nX-More: y\r\n")
        );
        for line in ["Methods:", "exa-", "Preview: 0", "Transfer-Preview"] {
            assert!(!said.contains(line), "{line}\n{said}");
        }
        assert!(said.contains("\r\nAllow: 204\r\n") && said.contains("\r\nOptions-TTL: 3600\r\n"));
    }
}

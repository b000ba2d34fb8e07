//! An HTTP/1 message as it went over the wire, with strict reading of its fields. Knows no socket.

use super::show;

/// One request or response: the exact bytes of its head, and its body without chunk lines.
#[derive(Clone, Default)]
pub struct Message {
    /// The head with its blank line, byte for byte.
    pub head: Vec<u8>,
    /// The body, decoded when it came in chunks.
    pub body: Vec<u8>,
    /// Trailer lines, without line ends.
    pub trailers: Vec<String>,
    /// Every line that gave a chunk's size, as it came.
    pub chunk_lines: Vec<String>,
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is no body.
    None,
    /// After so many bytes.
    After(usize),
    /// With the last chunk.
    Chunked,
    /// When the connection closes.
    Close,
}

impl Message {
    /// Takes a head that ends with its blank line.
    pub fn new(head: Vec<u8>) -> Message {
        Message { head, ..Message::default() }
    }

    /// The first line, without its line end.
    pub fn start(&self) -> String {
        self.lines().into_iter().next().unwrap_or_default()
    }

    /// All lines of the head without line ends, blank line left out.
    pub fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        text.split("\r\n").filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The status code of a response.
    pub fn status(&self) -> u16 {
        let start = self.start();
        let code = start.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("not a status line: {start:?}"))
    }

    /// Name and value of every field, in order.
    pub fn fields(&self) -> Vec<(String, String)> {
        let split = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        self.lines().iter().skip(1).filter_map(split).collect()
    }

    /// Values of every field with this name, in order.
    pub fn values(&self, name: &str) -> Vec<String> {
        let named = |(key, value): (String, String)| key.eq_ignore_ascii_case(name).then_some(value);
        self.fields().into_iter().filter_map(named).collect()
    }

    /// The value of a field that must not be there twice.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "{name} is there {} times in {}", values.len(), show(&self.head));
        values.pop()
    }

    /// Whether a field with this name is there.
    pub fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    /// Whether a list field has this member, in any letter case.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        let values = self.values(name).join(",");
        values.split(',').any(|item| item.trim().eq_ignore_ascii_case(member))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// How the body of this request ends.
    pub fn request_ending(&self) -> Ending {
        self.declared_ending().unwrap_or(Ending::None)
    }

    /// How the body of this response to `method` ends.
    pub fn response_ending(&self, method: &str) -> Ending {
        let status = self.status();
        let bare = method == "HEAD" || status == 204 || status == 304 || (100..200).contains(&status);
        if bare || (method == "CONNECT" && status == 200) {
            return Ending::None;
        }
        self.declared_ending().unwrap_or(Ending::Close)
    }

    fn declared_ending(&self) -> Option<Ending> {
        let coding = self.value("Transfer-Encoding");
        let length = self.value("Content-Length");
        assert!(coding.is_none() || length.is_none(), "two framings: {}", show(&self.head));
        match (coding, length) {
            (Some(coding), _) if coding == "chunked" => Some(Ending::Chunked),
            (Some(coding), _) => panic!("unexpected transfer coding {coding:?}"),
            (_, Some(length)) => Some(Ending::After(length.parse().expect("a Content-Length of digits"))),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\" + body \"{}\"", show(&self.head), show(&self.body))
    }
}

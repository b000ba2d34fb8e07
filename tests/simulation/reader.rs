//! Reads HTTP/1.x messages as a simple client or origin does: head, body, end. It is not the code under test.

/// How the body of a message ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ends {
    /// After so many bytes.
    Sized(usize),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

impl Ends {
    /// What the fields of a head say; None where they say nothing.
    pub(crate) fn of(head: &str) -> Option<Ends> {
        if head.contains("\r\nTransfer-Encoding: chunked\r\n") {
            return Some(Ends::Chunked);
        }
        let (_, rest) = head.split_once("\r\nContent-Length: ")?;
        let number = rest.split("\r\n").next()?;
        Some(Ends::Sized(number.parse().expect("a length")))
    }
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Part {
    Head(String),
    Body(Vec<u8>),
    End,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Sized(usize),
    Size,
    Data(usize),
    DataEnd,
    Trailer,
    Close,
}

/// A reader of one message after the other.
#[derive(Debug)]
pub(crate) struct Reader {
    state: State,
    pub(crate) input: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Reader {
        Reader { state: State::Head, input: Vec::new() }
    }

    /// Is nothing of a message there?
    pub(crate) fn is_between(&self) -> bool {
        matches!(self.state, State::Head) && self.input.is_empty()
    }

    /// The body of the head that was just given ends so.
    pub(crate) fn expect(&mut self, ends: Ends) {
        self.state = match ends {
            Ends::Sized(count) => State::Sized(count),
            Ends::Chunked => State::Size,
            Ends::Close => State::Close,
        };
    }

    /// The connection has ended. True if a message ended with it.
    pub(crate) fn end(&mut self) -> bool {
        let ended = matches!(self.state, State::Close);
        self.state = State::Head;
        ended
    }

    /// The next part, if it is there. A head has to be followed by [`Reader::expect`].
    pub(crate) fn next(&mut self) -> Option<Part> {
        loop {
            match self.state {
                State::Head => {
                    let end = find(&self.input, b"\r\n\r\n")? + 4;
                    return Some(Part::Head(self.take_text(end)));
                }
                State::Sized(0) => return self.ended(),
                State::Sized(left) => return self.body(left, State::Sized),
                State::Data(0) => self.state = State::DataEnd,
                State::Data(left) => return self.body(left, State::Data),
                State::Close => return self.body(usize::MAX, |_| State::Close),
                State::Size => {
                    let line = self.line()?;
                    let size = usize::from_str_radix(&line, 16).expect("a chunk size without anything around it");
                    self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                }
                State::DataEnd => {
                    assert_eq!(self.line()?, "", "the end of a chunk");
                    self.state = State::Size;
                }
                State::Trailer => {
                    if self.line()?.is_empty() {
                        return self.ended();
                    }
                }
            }
        }
    }

    fn ended(&mut self) -> Option<Part> {
        self.state = State::Head;
        Some(Part::End)
    }

    fn body(&mut self, left: usize, next: impl Fn(usize) -> State) -> Option<Part> {
        let count = left.min(self.input.len());
        self.state = next(left - count);
        let bytes: Vec<u8> = self.input.drain(..count).collect();
        (count > 0).then_some(Part::Body(bytes))
    }

    fn line(&mut self) -> Option<String> {
        let end = find(&self.input, b"\r\n")? + 2;
        Some(self.take_text(end).trim_end().to_string())
    }

    fn take_text(&mut self, count: usize) -> String {
        String::from_utf8(self.input.drain(..count).collect()).expect("heads are text")
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

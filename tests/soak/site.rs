//! The origins of the soak: what a path asks for is what is sent, right or wrong. They keep nothing, so that they can
//! run for hours. `/sized/1000/7` is 1,000 bytes made from the seed 7; the client makes the same ones to compare.

use crate::support::{pattern, Message, Wire};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Longest piece that the slow answer sends at once, in bytes, and the pause after it.
const SLOW_PIECE: usize = 700;
const SLOW_PAUSE: Duration = Duration::from_millis(2);

/// How long after its answer an origin answers once more, and how long one that seems to hang takes.
const UNASKED_PAUSE: Duration = Duration::from_millis(20);
const HANG: Duration = Duration::from_millis(500);

/// More than a socket and the proxy hold together.
pub(crate) const BURST: usize = 400_000;

/// A server with a thread for each connection; ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// A web server.
    pub(crate) fn site() -> Server {
        Server::start(serve)
    }

    /// Sends back what it gets.
    pub(crate) fn echo() -> Server {
        Server::start(echo)
    }

    /// Sends [`BURST`] bytes, and resets when they are acknowledged.
    pub(crate) fn burst() -> Server {
        Server::start(burst)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    fn start(serve: fn(&mut Wire) -> io::Result<After>) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port from the kernel");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                // An error on one connection is the proxy's or the client's way to end it; the client looks at it.
                let Ok(mut wire) = stream.and_then(Wire::new) else { continue };
                std::thread::spawn(move || {
                    if let Ok(After::Reset) = serve(&mut wire) {
                        let _ = wire.reset();
                    }
                });
            }
        });
        Server { address, stop }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // One more connection lets the thread look at `stop`.
        let _ = TcpStream::connect(self.address);
    }
}

/// What becomes of a connection after a request.
enum After {
    Keep,
    Close,
    Reset,
}

fn echo(wire: &mut Wire) -> io::Result<After> {
    loop {
        match wire.fill()? {
            0 => return wire.shut().map(|()| After::Close),
            count => {
                let bytes = wire.exact(count)?;
                wire.send(bytes)?;
            }
        }
    }
}

fn burst(wire: &mut Wire) -> io::Result<After> {
    wire.send(pattern(BURST, 4))?;
    // A reset takes back what the proxy's system has not acknowledged.
    while wire.unsent() > 0 {
        std::thread::sleep(SLOW_PAUSE);
    }
    Ok(After::Reset)
}

fn serve(wire: &mut Wire) -> io::Result<After> {
    let mut first = None;
    loop {
        let head = match wire.until(b"\r\n\r\n") {
            Ok(head) => Message::new(head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(After::Close),
            Err(error) => return Err(error),
        };
        // A balancer that looks at the first request of a connection alone.
        let first = first.get_or_insert_with(|| head.value("Host").unwrap_or_default().to_owned());
        match answer(wire, &head, first)? {
            After::Keep => {}
            end => return Ok(end),
        }
    }
}

fn answer(wire: &mut Wire, head: &Message, first: &str) -> io::Result<After> {
    let start = head.start();
    let words: Vec<&str> = start.split([' ', '/']).filter(|word| !word.is_empty()).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = || pattern(number(2), number(3) as u64);
    let kind = words.get(1).copied().unwrap_or_default();
    match (words[0], kind) {
        (_, "overlooked") => sized(wire, b"no content seen")?,
        (_, "first") => sized(wire, first.as_bytes())?,
        (_, "twice") => {
            sized(wire, b"a")?;
            std::thread::sleep(UNASKED_PAUSE);
            sized(wire, b"unasked")?;
        }
        (_, "hang") => {
            std::thread::sleep(HANG);
            sized(wire, b"at last")?;
        }
        ("POST", "early") => return early(wire),
        ("POST", _) => return receive(wire, head),
        ("HEAD", _) => wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", number(2)))?,
        (_, "chunked") => chunks(wire, &body())?,
        (_, "empty") => wire.send("HTTP/1.1 204 No Content\r\n\r\n")?,
        (_, "same") => wire.send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n")?,
        (_, "hint") => {
            wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")?;
            sized(wire, &body())?;
        }
        (_, "slow") => slow(wire, &body())?,
        (_, "close") => {
            wire.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            wire.send(body())?;
            return Ok(After::Close);
        }
        (_, "cut" | "reset") => {
            let body = body();
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 1))?;
            wire.send(body)?;
            return Ok(if kind == "cut" { After::Close } else { After::Reset });
        }
        (_, "garbage") => {
            wire.send("\x16\x03\x01 this is no response\r\n\r\n")?;
            return Ok(After::Close);
        }
        (_, "upgrade") => {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")?;
            return echo(wire);
        }
        _ => sized(wire, &body())?,
    }
    Ok(After::Keep)
}

fn sized(wire: &mut Wire, body: &[u8]) -> io::Result<()> {
    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
    wire.send(body)
}

/// Chunks of growing length, every third one with an extension, and a trailer.
fn chunks(wire: &mut Wire, body: &[u8]) -> io::Result<()> {
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let (mut rest, mut length, mut count) = (body, 1, 0);
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at(length.min(rest.len()));
        let extension = if count % 3 == 0 { ";name=\"value\"" } else { "" };
        let mut bytes = format!("{:x}{extension}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        wire.send(bytes)?;
        (rest, length, count) = (left, length * 2 + 1, count + 1);
    }
    wire.send("0\r\nX-Checked: yes\r\n\r\n")
}

fn slow(wire: &mut Wire, body: &[u8]) -> io::Result<()> {
    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
    for piece in body.chunks(SLOW_PIECE) {
        wire.send(piece)?;
        std::thread::sleep(SLOW_PAUSE);
    }
    Ok(())
}

/// Answers before the body has come, and hangs up in stages as a careful server does.
fn early(wire: &mut Wire) -> io::Result<After> {
    wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")?;
    wire.shut()?;
    wire.rest()?;
    Ok(After::Close)
}

/// Takes a body and answers with its length and sum.
fn receive(wire: &mut Wire, head: &Message) -> io::Result<After> {
    if head.lists("Expect", "100-continue") {
        wire.send("HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut sum = Sum::default();
    match head.value("Content-Length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => sum.add(&wire.exact(length)?),
        None => take_chunks(wire, &mut sum)?,
    }
    let text = sum.to_string();
    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))?;
    Ok(After::Keep)
}

fn take_chunks(wire: &mut Wire, sum: &mut Sum) -> io::Result<()> {
    loop {
        let line = wire.until(b"\r\n")?;
        let size = std::str::from_utf8(&line).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a chunk size"))?;
        sum.add(&wire.exact(size)?);
        wire.until(b"\r\n")?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// Length and FNV-1a sum of a body.
#[derive(Debug)]
pub(crate) struct Sum {
    length: usize,
    hash: u64,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { length: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Sum {
    pub(crate) fn of(bytes: &[u8]) -> Sum {
        let mut sum = Sum::default();
        sum.add(bytes);
        sum
    }

    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        self.hash = bytes.iter().fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:016x}", self.length, self.hash)
    }
}

//! An origin server that follows a script per connection and remembers what it received, byte for byte.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use super::{eventually, ports, Message, Wire};

type Script = dyn Fn(&mut Peer) -> io::Result<()> + Send + Sync;

/// The listening side of the mock; stops when it is dropped.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// One accepted connection in the hands of its script. The script's end closes it.
pub struct Peer {
    wire: Option<Wire>,
    /// Number of this connection at its origin, from 0.
    pub number: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    records: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    ended: AtomicUsize,
    stop: AtomicBool,
    held: Mutex<bool>,
    released: Condvar,
}

impl Origin {
    /// Listens on 127.0.0.1, port from the kernel, and runs `script` for each connection.
    pub fn start(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        Origin::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script)
    }

    /// The same on another address, with a port that is free on every loopback address.
    pub fn on(ip: IpAddr, script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        Origin::at(SocketAddr::new(ip, ports::next()), script)
    }

    /// The same on another address and port.
    pub fn at(address: SocketAddr, script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("bind {address}: {error}"));
        Origin::over(listener, script)
    }

    /// The same on a listener that is there already.
    pub fn over(listener: TcpListener, script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            let script: Arc<Script> = Arc::new(script);
            move || accept(&listener, &shared, &script)
        });
        Origin { address, shared, acceptor: Some(acceptor) }
    }

    /// Answers each request on every connection with these bytes, and closes after the first when they say so.
    pub fn fixed(answer: impl Into<Vec<u8>>) -> Origin {
        let answer = answer.into();
        let head = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(answer.len());
        let closes = answer[..head].windows(17).any(|part| part.eq_ignore_ascii_case(b"connection: close"));
        Origin::start(move |peer| {
            while peer.request()?.is_some() {
                peer.send(&answer)?;
                if closes {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Reads one request, sends these bytes and closes.
    pub fn once(answer: impl Into<Vec<u8>>) -> Origin {
        let answer = answer.into();
        Origin::start(move |peer| {
            peer.expect_request()?;
            peer.send(&answer)
        })
    }

    /// A kept-alive server: answers 200 to every request, with the request's body or else its target as body.
    pub fn site() -> Origin {
        Origin::start(serve_site)
    }

    /// Sends back every byte it gets, and ends when the other side does.
    pub fn echo() -> Origin {
        Origin::start(Peer::echo)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL on it, by address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Number of connections that it accepted.
    pub fn connections(&self) -> usize {
        self.shared.records.lock().expect("no holder panics").len()
    }

    /// Waits until so many connections were accepted.
    pub fn wait_connections(&self, count: usize) {
        eventually(&format!("{count} connections at the origin"), || (self.connections() >= count).then_some(()));
    }

    /// Waits until so many connections have run through their script, which for most is when they saw a close.
    pub fn wait_ended(&self, count: usize) {
        let ended = || (self.shared.ended.load(Ordering::Acquire) >= count).then_some(());
        eventually(&format!("{count} ended connections at the origin"), ended);
    }

    /// Lets all scripts go on that hold.
    pub fn release(&self) {
        *self.shared.held.lock().expect("no holder panics") = true;
        self.shared.released.notify_all();
    }

    /// What connection `number` received until now, up to 1 MiB.
    pub fn received(&self, number: usize) -> Vec<u8> {
        let records = self.shared.records.lock().expect("no holder panics");
        records.get(number).map(|record| record.lock().expect("no holder panics").clone()).unwrap_or_default()
    }

    /// The head of the first request on connection `number`.
    pub fn head(&self, number: usize) -> Message {
        let bytes = self.received(number);
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head on connection {number}: {}", super::show(&bytes)));
        Message::new(bytes[..end + 4].to_vec())
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.release();
        // The acceptor looks at `stop` after each connection, so one more lets it end.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ = acceptor.join();
        }
    }
}

impl Peer {
    /// Sends back what comes, until its end.
    pub fn echo(&mut self) -> io::Result<()> {
        loop {
            let count = self.fill()?;
            if count == 0 {
                return Ok(());
            }
            let bytes = self.exact(count)?;
            self.send(bytes)?;
        }
    }

    /// Keeps the connection open without reading until the origin is dropped.
    pub fn hold(&mut self) -> io::Result<()> {
        let mut held = self.shared.held.lock().expect("no holder panics");
        while !*held {
            held = self.shared.released.wait(held).expect("no holder panics");
        }
        Ok(())
    }

    /// Breaks the connection with a reset.
    pub fn reset(&mut self) -> io::Result<()> {
        self.wire.take().map_or(Ok(()), Wire::reset)
    }

    /// Reads a request that must be there.
    pub fn expect_request(&mut self) -> io::Result<Message> {
        self.request()?.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed before a request"))
    }
}

impl Deref for Peer {
    type Target = Wire;
    fn deref(&self) -> &Wire {
        self.wire.as_ref().expect("a script does not go on after its reset")
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut Wire {
        self.wire.as_mut().expect("a script does not go on after its reset")
    }
}

/// The script of [`Origin::site`].
pub fn serve_site(peer: &mut Peer) -> io::Result<()> {
    while let Some(request) = peer.request()? {
        let start = request.start();
        let target = start.split(' ').nth(1).unwrap_or_default().as_bytes();
        let body = if request.body.is_empty() { target } else { &request.body };
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        if !start.starts_with("HEAD ") {
            answer.extend_from_slice(body);
        }
        peer.send(answer)?;
    }
    Ok(())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, script: &Arc<Script>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let record = Arc::default();
        let number = {
            let mut records = shared.records.lock().expect("no holder panics");
            records.push(Arc::clone(&record));
            records.len() - 1
        };
        let Ok(wire) = Wire::recorded(stream, record) else { continue };
        let mut peer = Peer { wire: Some(wire), number, shared: Arc::clone(shared) };
        let script = Arc::clone(script);
        thread::spawn(move || {
            // An error here is the proxy ending the connection, which many tests provoke; they look at its traces.
            let _ = script(&mut peer);
            let shared = Arc::clone(&peer.shared);
            drop(peer);
            shared.ended.fetch_add(1, Ordering::Release);
        });
    }
}

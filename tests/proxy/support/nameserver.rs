//! A name server on UDP and TCP that answers by script and remembers what it was asked.
//!
//! resolv.conf has no place for a port, so each server takes port 53 on an address of its own in 127.53.0.0/16; that
//! needs the superuser, and tests are skipped aloud without.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::query::Reply;
use super::{eventually, skip, Query, PATIENCE};

/// How often an idle server looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// Addresses to try before giving up.
const TRIES: u16 = 500;

/// What a script says to one question.
pub enum Answer {
    /// Nothing at all.
    Silence,
    /// This reply.
    Reply(Reply),
    /// Forged bytes from another address first, then a proper reply.
    Forged(Vec<u8>, Reply),
    /// These messages as they are, one after the other.
    Several(Vec<Vec<u8>>),
    /// This reply, after a while.
    Late(Duration, Reply),
    /// Over TCP: close without an answer.
    Close,
}

type Script = dyn Fn(&Query) -> Answer + Send + Sync;

/// The server; stops when it is dropped.
pub struct NameServer {
    address: Ipv4Addr,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

struct Shared {
    script: Box<Script>,
    queries: Mutex<Vec<Query>>,
    streams: AtomicUsize,
    stop: AtomicBool,
}

impl NameServer {
    /// Starts a server; None (said aloud) where port 53 cannot be had.
    pub fn start(script: impl Fn(&Query) -> Answer + Send + Sync + 'static) -> Option<NameServer> {
        let (address, datagrams, listener) = match open() {
            Ok(opened) => opened,
            Err(error) => {
                skip(&format!("a name server needs port 53: {error}"));
                return None;
            }
        };
        let shared = Arc::new(Shared {
            script: Box::new(script),
            queries: Mutex::default(),
            streams: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve_datagrams(&datagrams, &shared)
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve_streams(&listener, &shared)
        });
        Some(NameServer { address, shared, folder })
    }

    /// Starts a server for a table of names; a name that is not in it does not exist.
    pub fn zone(entries: &[(&str, &str)]) -> Option<NameServer> {
        let entries: Vec<(String, IpAddr)> = entries
            .iter()
            .map(|(name, ip)| (name.to_string(), ip.parse().expect("an address in the test's zone")))
            .collect();
        NameServer::start(move |query| {
            let named = |(name, ip): &(String, IpAddr)| (*name == query.plain()).then_some(*ip);
            let addresses: Vec<IpAddr> = entries.iter().filter_map(named).collect();
            Answer::Reply(match addresses.is_empty() {
                true => query.reply().code(3).negative(60),
                false => query.addresses(&addresses),
            })
        })
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        IpAddr::V4(self.address)
    }

    /// A resolv.conf that names this server alone.
    pub fn resolv_conf(&self) -> String {
        self.resolv_conf_with("options timeout:1 attempts:2\n")
    }

    /// The same with other lines after the server's.
    pub fn resolv_conf_with(&self, lines: &str) -> String {
        self.write_resolv_conf(&format!("nameserver {}\n{lines}", self.address))
    }

    /// A resolv.conf with this text.
    pub fn write_resolv_conf(&self, text: &str) -> String {
        let path = self.folder.path().join("resolv.conf");
        std::fs::write(&path, text).expect("a resolv.conf in the temporary folder");
        path.to_str().expect("a path of text").to_owned()
    }

    /// Everything it was asked.
    pub fn queries(&self) -> Vec<Query> {
        self.shared.queries.lock().expect("no holder panics").clone()
    }

    /// Forgets what it was asked.
    #[allow(dead_code, reason = "only a soak asks for so long that it would matter")]
    pub fn forget(&self) {
        self.shared.queries.lock().expect("no holder panics").clear();
    }

    /// How often it was asked for this name and type.
    pub fn asked(&self, name: &str, kind: u16) -> usize {
        self.queries().iter().filter(|query| query.kind == kind && query.plain() == name).count()
    }

    /// Waits until it was asked for this name and type.
    pub fn wait_asked(&self, name: &str, kind: u16) {
        eventually(&format!("a question for {name}"), || (self.asked(name, kind) > 0).then_some(()));
    }

    /// Number of TCP connections that it accepted.
    pub fn streams(&self) -> usize {
        self.shared.streams.load(Ordering::Acquire)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes the acceptor, which looks at `stop` after each connection.
        let _ = TcpStream::connect((self.address, 53));
    }
}

impl Shared {
    fn answer(&self, query: &Query) -> Answer {
        self.queries.lock().expect("no holder panics").push(query.clone());
        (self.script)(query)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

fn open() -> io::Result<(Ipv4Addr, UdpSocket, TcpListener)> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 60_000) as u16;
    let mut last = io::Error::other("no address tried");
    for _ in 0..TRIES {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
        let address = Ipv4Addr::new(127, 53, number[0], number[1]);
        match UdpSocket::bind((address, 53)).and_then(|udp| Ok((udp, TcpListener::bind((address, 53))?))) {
            Ok((udp, tcp)) => return Ok((address, udp, tcp)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn serve_datagrams(socket: &UdpSocket, shared: &Arc<Shared>) {
    socket.set_read_timeout(Some(LOOK)).expect("a timeout above zero");
    let mut bytes = [0; 4096];
    while !shared.stopped() {
        let Ok((count, from)) = socket.recv_from(&mut bytes) else { continue };
        let Some(query) = Query::read(&bytes[..count], false, from.port()) else { continue };
        let answer = shared.answer(&query);
        send_datagrams(socket, from, answer);
    }
}

fn send_datagrams(socket: &UdpSocket, to: SocketAddr, answer: Answer) {
    // A proxy that has gone meanwhile is no failure of the server.
    let send = |bytes: &[u8]| drop(socket.send_to(bytes, to));
    match answer {
        Answer::Silence | Answer::Close => {}
        Answer::Reply(reply) => send(&reply.bytes()),
        Answer::Several(messages) => messages.iter().for_each(|bytes| send(bytes)),
        Answer::Forged(bytes, reply) => {
            let stranger = UdpSocket::bind("127.0.0.1:0").expect("a second socket");
            let _ = stranger.send_to(&bytes, to);
            send(&reply.bytes());
        }
        Answer::Late(delay, reply) => {
            let socket = socket.try_clone().expect("a second handle");
            thread::spawn(move || {
                thread::sleep(delay);
                let _ = socket.send_to(&reply.bytes(), to);
            });
        }
    }
}

fn serve_streams(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.streams.fetch_add(1, Ordering::Release);
        let shared = Arc::clone(shared);
        // It ends with an error when the proxy closes the connection.
        thread::spawn(move || serve_stream(stream, &shared));
    }
}

fn serve_stream(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let port = stream.peer_addr()?.port();
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes)?;
        let query = Query::read(&bytes, true, port).ok_or_else(|| io::Error::other("not a question"))?;
        let messages = match shared.answer(&query) {
            Answer::Silence => Vec::new(),
            Answer::Reply(reply) | Answer::Forged(_, reply) => vec![reply.bytes()],
            Answer::Several(messages) => messages,
            Answer::Late(delay, reply) => {
                thread::sleep(delay);
                vec![reply.bytes()]
            }
            Answer::Close => return Ok(()),
        };
        for message in messages {
            stream.write_all(&(message.len() as u16).to_be_bytes())?;
            stream.write_all(&message)?;
        }
    }
}

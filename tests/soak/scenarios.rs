//! What a client does in the soak, one function per kind. A scenario fails when anything but the expected came back;
//! where a peer breaks off, the expected is an end that shows that the message is not whole.

use crate::attacks::*;
use crate::chance::Chance;
use crate::site::Sum;
use crate::support::client::silent;
use crate::support::nameserver::Answer;
use crate::support::{pattern, Message, Query, Wire};
use crate::traffic::Surroundings;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A failure in words.
pub(crate) type Outcome = Result<(), String>;

/// A kind of traffic.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Of 100 times that it is drawn, how often it is run: dear ones less often.
    pub(crate) weight: usize,
    pub(crate) run: fn(&Surroundings, &mut Chance) -> Outcome,
}

macro_rules! scenarios {
    ($($name:ident $weight:literal,)*) => {
        pub(crate) const SCENARIOS: &[Scenario] =
            &[$(Scenario { name: stringify!($name), weight: $weight, run: $name },)*];
    };
}

scenarios! {
    kept_requests 100,
    pipelined 100,
    large_download 60,
    slow_reader 40,
    slow_origin 40,
    upload 60,
    upload_with_expectation 60,
    early_answer 40,
    tunnel 80,
    tunnel_half_closed 60,
    upgrade 60,
    client_resets 80,
    client_leaves_upload 60,
    origin_breaks_off 80,
    nonsense 80,
    dead_names 30,
    refused_origin 60,
    idle_crowd 10,
    a1_names_share_an_address 40,
    a2_origin_answers_twice 40,
    a3_content_is_a_request 60,
    a4_slow_reader_of_a_reset 30,
    a5_unique_names 20,
    a6_askers_that_leave 20,
    a9_urgent_bytes 60,
}

/// Names that the name server of the soak knows: `ok*` is here, the others fail in different ways.
pub(crate) fn answer_name(query: &Query) -> Answer {
    let name = query.plain();
    let here = [Ipv4Addr::LOCALHOST.into()];
    match name.as_str() {
        _ if name.starts_with("ok") => Answer::Reply(query.addresses(&here)),
        _ if name.starts_with("fails") => Answer::Reply(query.reply().code(2)),
        _ if name.starts_with("silent") => Answer::Silence,
        _ if name.starts_with("rubbish") => Answer::Several(vec![vec![0xff; 40]]),
        _ => Answer::Reply(query.reply().code(3).negative(1)),
    }
}

/// A connection to the proxy.
pub(crate) fn connect(around: &Surroundings) -> Result<Wire, String> {
    TcpStream::connect(around.proxy).and_then(Wire::new).map_err(|error| format!("connect: {error}"))
}

/// Host and port of one of the sites, by name or by address.
pub(crate) fn authority(around: &Surroundings, chance: &mut Chance) -> String {
    let port = around.sites[chance.below(2)].port();
    match chance.below(3) {
        0 if around.names => format!("ok{}.test:{port}", chance.below(500)),
        _ => format!("127.0.0.1:{port}"),
    }
}

pub(crate) fn request(method: &str, authority: &str, path: &str, fields: &str) -> String {
    format!("{method} http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n")
}

pub(crate) fn said(error: io::Error) -> String {
    error.to_string()
}

/// A client connection that is kept for as long as the proxy keeps it, which may say with each answer that it does not.
pub(crate) struct Kept<'a> {
    around: &'a Surroundings,
    wire: Option<Wire>,
}

impl<'a> Kept<'a> {
    pub(crate) fn new(around: &'a Surroundings) -> Kept<'a> {
        Kept { around, wire: None }
    }

    /// Sends requests.
    fn send(&mut self, bytes: &str) -> Outcome {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => connect(self.around)?,
        };
        self.wire.insert(wire).send(bytes).map_err(said)
    }

    /// Compares the answer to one of them. False when the connection ends with it, and what was asked behind it is to be
    /// asked again (RFC 9112 section 9.3.2).
    fn compare(&mut self, method: &str, asked: &str, status: u16, body: &[u8]) -> Result<bool, String> {
        let wire = self.wire.as_mut().ok_or("no connection was opened")?;
        let reply = compare(wire, method, asked, status, body)?;
        self.wire.take_if(|_| reply.lists("Connection", "close"));
        Ok(self.wire.is_some())
    }

    pub(crate) fn exchange(&mut self, method: &str, bytes: &str, status: u16, body: &[u8]) -> Outcome {
        self.send(bytes)?;
        self.compare(method, bytes, status, body).map(drop)
    }
}

/// Sends a request and compares status and body.
pub(crate) fn exchange(wire: &mut Wire, method: &str, bytes: &str, status: u16, body: &[u8]) -> Outcome {
    wire.send(bytes).map_err(said)?;
    compare(wire, method, bytes, status, body).map(drop)
}

/// Compares an answer, and gives it.
pub(crate) fn compare(wire: &mut Wire, method: &str, asked: &str, status: u16, body: &[u8]) -> Result<Message, String> {
    let mut reply = wire.response(method).map_err(|error| format!("{asked:?}: {error}"))?;
    while (100..200).contains(&reply.status()) && reply.status() != 101 {
        reply = wire.response(method).map_err(|error| format!("after an interim answer to {asked:?}: {error}"))?;
    }
    if reply.status() != status {
        return Err(format!("{asked:?}: {} instead of {status}", reply.start()));
    }
    if reply.body != body {
        return Err(format!("{asked:?}: {} bytes came, not the {} expected", reply.body.len(), body.len()));
    }
    Ok(reply)
}

/// A kept client connection carries one answer after the other, in every framing.
fn kept_requests(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let mut kept = Kept::new(around);
    for _ in 0..1 + chance.below(12) {
        let (length, seed) = (chance.length(17), chance.below(1000));
        let (method, kind, status) = match chance.below(8) {
            0 | 1 => ("GET", "chunked", 200),
            2 => ("HEAD", "sized", 200),
            3 => ("GET", "empty", 204),
            4 => ("GET", "same", 304),
            5 => ("GET", "hint", 200),
            _ => ("GET", "sized", 200),
        };
        let body = if method == "GET" && status == 200 { pattern(length, seed as u64) } else { Vec::new() };
        let asked = request(method, &authority(around, chance), &format!("/{kind}/{length}/{seed}"), "");
        kept.exchange(method, &asked, status, &body)?;
    }
    Ok(())
}

/// Requests sent at once, for different hosts, are answered in order.
fn pipelined(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let mut kept = Kept::new(around);
    let asked: Vec<(usize, usize, String)> = (0..2 + chance.below(8))
        .map(|seed| {
            let length = chance.length(13);
            let kind = if chance.below(2) == 0 { "sized" } else { "chunked" };
            (length, seed, request("GET", &authority(around, chance), &format!("/{kind}/{length}/{seed}"), ""))
        })
        .collect();
    let mut together = false;
    for (at, (length, seed, request)) in asked.iter().enumerate() {
        if !together {
            let all: String = asked[at..].iter().map(|(_, _, request)| request.as_str()).collect();
            kept.send(&all)?;
        }
        together = kept.compare("GET", request, 200, &pattern(*length, *seed as u64))?;
    }
    Ok(())
}

fn large_download(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let (length, seed) = (chance.below(6 << 20), chance.below(1000));
    let kind = ["sized", "chunked", "close"][chance.below(3)];
    let asked = request("GET", &authority(around, chance), &format!("/{kind}/{length}/{seed}"), "");
    exchange(&mut connect(around)?, "GET", &asked, 200, &pattern(length, seed as u64))
}

/// Reads little at a time, with pauses, so that every buffer on the way fills.
fn slow_reader(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let (length, seed) = (1 << 20, chance.below(1000));
    let mut wire = connect(around)?;
    let asked = request("GET", &authority(around, chance), &format!("/sized/{length}/{seed}"), "");
    wire.send(&asked).map_err(said)?;
    wire.until(b"\r\n\r\n").map_err(said)?;
    let expected = pattern(length, seed as u64);
    for piece in expected.chunks(length / 20) {
        std::thread::sleep(Duration::from_millis(5));
        if wire.exact(piece.len()).map_err(said)? != piece {
            return Err(format!("{asked:?}: other bytes than expected"));
        }
    }
    Ok(())
}

fn slow_origin(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let (length, seed) = (chance.length(16), chance.below(1000));
    let asked = request("GET", &authority(around, chance), &format!("/slow/{length}/{seed}"), "");
    exchange(&mut connect(around)?, "GET", &asked, 200, &pattern(length, seed as u64))
}

/// A body in chunks of one length, the last one shorter.
fn chunked(body: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + body.len() / length * 10 + 20);
    for chunk in body.chunks(length) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn upload(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let body = pattern(chance.length(22), chance.next());
    let (field, bytes) = match chance.below(2) {
        0 => (format!("Content-Length: {}\r\n", body.len()), body.clone()),
        _ => ("Transfer-Encoding: chunked\r\n".to_string(), chunked(&body, 1 + chance.length(16))),
    };
    let mut wire = connect(around)?;
    let asked = request("POST", &authority(around, chance), "/sum", &field);
    wire.send(&asked).map_err(said)?;
    match chance.below(3) {
        0 if bytes.len() < 100_000 => wire.send_pieces(bytes, 1 + chance.below(2000)).map_err(said)?,
        _ => wire.send(bytes).map_err(said)?,
    }
    compare(&mut wire, "POST", &asked, 200, Sum::of(&body).to_string().as_bytes()).map(drop)
}

fn upload_with_expectation(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let body = pattern(chance.length(18), chance.next());
    let fields = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    let mut wire = connect(around)?;
    let asked = request("POST", &authority(around, chance), "/sum", &fields);
    wire.send(&asked).map_err(said)?;
    let interim = wire.response("POST").map_err(said)?;
    if interim.status() != 100 {
        return Err(format!("{asked:?}: {} instead of 100", interim.start()));
    }
    wire.send(&body).map_err(said)?;
    compare(&mut wire, "POST", &asked, 200, Sum::of(&body).to_string().as_bytes()).map(drop)
}

/// The origin refuses before it has the body; the client sees why although it is still sending.
fn early_answer(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let mut wire = connect(around)?;
    let asked = request("POST", &authority(around, chance), "/early", "Content-Length: 300000\r\n");
    wire.send(&asked).map_err(said)?;
    // The connection may be closed under the body: the answer counts.
    let _ = wire.send(pattern(300_000, 3));
    compare(&mut wire, "POST", &asked, 403, b"no").map(drop)
}

/// A tunnel to this port.
pub(crate) fn open_tunnel(around: &Surroundings, port: u16, early: &[u8]) -> Result<Wire, String> {
    let mut wire = connect(around)?;
    let authority = format!("127.0.0.1:{port}");
    let mut bytes = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(early);
    wire.send(bytes).map_err(said)?;
    let reply = wire.response("CONNECT").map_err(said)?;
    match reply.status() {
        200 => Ok(wire),
        _ => Err(format!("CONNECT: {}", reply.start())),
    }
}

pub(crate) fn echoed(wire: &mut Wire, bytes: &[u8]) -> Outcome {
    wire.send(bytes).map_err(said)?;
    match wire.exact(bytes.len()).map_err(said)? == bytes {
        true => Ok(()),
        false => Err(format!("{} bytes came back changed", bytes.len())),
    }
}

fn tunnel(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let early = pattern(chance.length(10), 1);
    let mut wire = open_tunnel(around, around.echo.port(), &early)?;
    if wire.exact(early.len()).map_err(said)? != early {
        return Err("bytes sent with the head came back changed".into());
    }
    for _ in 0..chance.below(6) {
        echoed(&mut wire, &pattern(chance.length(16), chance.next()))?;
    }
    if chance.below(3) == 0 {
        wire.reset().map_err(said)?;
    }
    Ok(())
}

/// What was sent before a half close comes back after it, and then the close.
fn tunnel_half_closed(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let bytes = pattern(chance.length(16), chance.next());
    let mut wire = open_tunnel(around, around.echo.port(), b"")?;
    wire.send(&bytes).map_err(said)?;
    wire.shut().map_err(said)?;
    match wire.rest().map_err(said)? {
        rest if rest == bytes => Ok(()),
        rest => Err(format!("{} of {} bytes after a half close", rest.len(), bytes.len())),
    }
}

fn upgrade(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let mut wire = connect(around)?;
    let fields = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let asked = request("GET", &authority(around, chance), "/upgrade", fields);
    wire.send(&asked).map_err(said)?;
    let reply = wire.response("GET").map_err(said)?;
    if reply.status() != 101 {
        return Err(format!("{asked:?}: {}", reply.start()));
    }
    for _ in 0..1 + chance.below(5) {
        echoed(&mut wire, &pattern(chance.length(15), chance.next()))?;
    }
    Ok(())
}

/// The client is gone in the middle of an answer, with a reset or a close.
fn client_resets(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let mut wire = connect(around)?;
    let kind = ["sized", "chunked", "slow", "close"][chance.below(4)];
    let length = if kind == "slow" { 30_000 } else { 3 << 20 };
    let asked = request("GET", &authority(around, chance), &format!("/{kind}/{length}/1"), "");
    let part = if chance.below(4) == 0 { chance.below(asked.len()) } else { asked.len() };
    wire.send(&asked[..part]).map_err(said)?;
    if part == asked.len() && chance.below(4) > 0 {
        wire.exact(chance.length(14)).map_err(said)?;
    }
    match chance.below(2) {
        0 => wire.reset().map_err(said),
        _ => Ok(()),
    }
}

fn client_leaves_upload(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let mut wire = connect(around)?;
    let asked = request("POST", &authority(around, chance), "/sum", "Content-Length: 4000000\r\n");
    wire.send(asked).map_err(said)?;
    wire.send(pattern(chance.length(20), 1)).map_err(said)?;
    match chance.below(2) {
        0 => wire.reset().map_err(said),
        _ => Ok(()),
    }
}

/// An answer that the origin did not finish must not look finished.
fn origin_breaks_off(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let kind = ["cut", "reset", "garbage"][chance.below(3)];
    let asked = request("GET", &authority(around, chance), &format!("/{kind}/{}/1", chance.length(18)), "");
    let mut wire = connect(around)?;
    wire.send(&asked).map_err(said)?;
    match wire.response("GET") {
        Ok(reply) if reply.status() == 502 => Ok(()),
        Ok(reply) => Err(format!("{asked:?}: taken for whole: {} and {} bytes", reply.start(), reply.body.len())),
        Err(error) if silent(&error) => Err(said(error)),
        Err(_) => Ok(()),
    }
}

/// Requests that are none, each answered with a status of the client's fault and a close.
fn nonsense(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let sent = [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET http://a b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
        "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
    ][chance.below(7)];
    let mut wire = connect(around)?;
    wire.send(sent).map_err(said)?;
    let reply = wire.response("GET").map_err(|error| format!("{sent:?}: {error}"))?;
    match reply.status() {
        400..=499 => wire.rest().map(drop).map_err(|error| format!("{sent:?}: no close: {error}")),
        _ => Err(format!("{sent:?}: {}", reply.start())),
    }
}

/// Asks for so many names that do not exist, on each of so many connections at a time: of as many loops each gets one.
pub(crate) fn ask_for_names(around: &Surroundings, count: usize, loops: usize) -> Outcome {
    let ask = |wire: &mut Wire, number: usize| -> Outcome {
        wire.send(request("GET", &format!("absent{number}.test"), "/", "")).map_err(said)?;
        wire.response("GET").map(drop).map_err(said)
    };
    let mut wires =
        (0..if around.names { loops } else { 0 }).map(|_| connect(around)).collect::<Result<Vec<_>, _>>()?;
    // Whose loop is whose is settled before they are busy.
    wires.iter_mut().try_for_each(|wire| ask(wire, 0))?;
    std::thread::scope(|scope| {
        let asks = |mut wire| move || (1..count).try_for_each(|number| ask(&mut wire, number));
        let asking: Vec<_> = wires.into_iter().map(|wire| scope.spawn(asks(wire))).collect();
        asking.into_iter().try_for_each(|one| one.join().expect("what goes wrong is told"))
    })
}

fn dead_names(around: &Surroundings, chance: &mut Chance) -> Outcome {
    if !around.names {
        return Ok(());
    }
    let kind = ["absent", "fails", "rubbish", "silent"][chance.below(4)];
    let authority = format!("{kind}{}.test", chance.below(50));
    let asked = request("GET", &authority, "/", "");
    let mut wire = connect(around)?;
    wire.send(&asked).map_err(said)?;
    let reply = wire.response("GET").map_err(|error| format!("{asked:?}: {error}"))?;
    match reply.status() {
        502 | 504 => Ok(()),
        _ => Err(format!("{asked:?}: {}", reply.start())),
    }
}

/// Port 2 of the loopback: nothing listens there, and `security.ports` lets it pass.
fn refused_origin(around: &Surroundings, _: &mut Chance) -> Outcome {
    let asked = request("GET", "127.0.0.1:2", "/", "");
    let mut wire = connect(around)?;
    wire.send(&asked).map_err(said)?;
    let reply = wire.response("GET").map_err(|error| format!("{asked:?}: {error}"))?;
    match reply.status() {
        502 => Ok(()),
        _ => Err(format!("{asked:?}: {}", reply.start())),
    }
}

/// Many connections that do nothing for a while, some with half a head, some after a request.
fn idle_crowd(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let mut wire = connect(around)?;
        let asked = request("GET", &authority(around, chance), "/sized/100/1", "");
        match chance.below(3) {
            0 => wire.send(&asked[..chance.below(asked.len())]).map_err(said)?,
            1 => exchange(&mut wire, "GET", &asked, 200, &pattern(100, 1))?,
            _ => {}
        }
        crowd.push(wire);
    }
    std::thread::sleep(Duration::from_millis(1500));
    let asked = request("GET", &authority(around, chance), "/sized/100/2", "");
    exchange(&mut connect(around)?, "GET", &asked, 200, &pattern(100, 2))
}

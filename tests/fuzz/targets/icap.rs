//! Connections of ICAP: what a client gets does not depend on how its bytes are cut, and every reply is one.

use super::{outcome, rough};
use exaproxy::counters::exchange::ExchangeCounters;
use exaproxy::exchange::flow::Direction;
use exaproxy::exchange::ingress::{Arrival, Ingress, Onward};
use exaproxy::exchange::phase::PhaseKind;
use exaproxy::exchange::timers::Limits;
use exaproxy::exchange::{Action, Context, Exchange, Remembered, Settings, SpareSummaries};
use exaproxy::http::answer::Answer;
use exaproxy::http::rules::Rules;
use exaproxy::icap::ServiceSettings;
use exaproxy::policy::decision::Decision;
use exaproxy::policy::networks::Networks;
use exaproxy::policy::tunnels::TunnelRules;
use reactor::buffer::Buf;
use std::net::{IpAddr, Ipv4Addr};

pub(super) const CONNECTIONS: &[&[u8]] = &[
    b"OPTIONS icap://h/s ICAP/1.0\r\nHost: h\r\n\r\nOPTIONS * icap/1.0\n\n",
    b"REQMOD icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, null-body=34\r\nAllow: 204\r\n\r\nGET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"REQMOD icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, req-body=35\r\nPreview: 4\r\n\r\nPOST http://a/ HTTP/1.1\r\nHost: a\r\n\r\n4\r\nhell\r\n0\r\n\r\nOPTIONS * ICAP/1.0\r\n\r\n",
    b"REQMOD icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, req-body=36\r\nPreview: 9\r\n\r\nPOST https://a/ HTTP/1.1\r\nHost: a\r\n\r\n4\r\nhell\r\n0; ieof\r\n\r\n",
    b"REQMOD icap://h/s,c ICAP/1.0\r\nEncapsulated: req-hdr=0, req-body=54\r\nX-Client-IP: ::1\r\n\r\nPOST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n4;x=y\r\nhell\r\n0\r\nA: b\r\n\r\n",
    b"RESPMOD icap://h/s ICAP/1.0\r\nEncapsulated: res-hdr=0, null-body=19\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
];

/// What came of a connection.
#[derive(PartialEq, Eq, Debug)]
struct End {
    got: Vec<u8>,
    kind: PhaseKind,
    requests: u32,
}

pub(super) fn connection(bytes: &[u8]) -> u64 {
    let whole = play(bytes, bytes.len().max(1));
    let pieces = play(bytes, 1);
    // What goes back is cut into chunks as it came, and content that is at fault ends it where it has begun.
    let goes_back = |end: &End| memchr::memmem::find(&end.got, b"req-body=").is_some();
    if !goes_back(&whole) && !goes_back(&pieces) {
        assert_eq!(whole.got.escape_ascii().to_string(), pieces.got.escape_ascii().to_string());
        assert_eq!((whole.kind, whole.requests), (pieces.kind, pieces.requests));
    }
    assert!(whole.got.is_empty() || whole.got.starts_with(b"ICAP/1.0 "));
    let statuses: Vec<&[u8]> =
        memchr::memmem::find_iter(&whole.got, b"ICAP/1.0 ").filter_map(|at| whole.got.get(at + 9..at + 12)).collect();
    outcome((statuses.len().min(4), statuses.first().copied(), whole.kind, rough(whole.requests as usize)))
}

fn settings() -> Settings {
    let limits = Limits {
        first: 0,
        first_tls: 0,
        first_passthrough: 0,
        first_icap: 0,
        idle: 0,
        head: 0,
        decision: 1,
        resolve: 1,
        connect: 1,
        inactive: 0,
        tunnel: 0,
        half_close: 0,
        drain: 0,
    };
    Settings {
        limits,
        body_size: 0,
        rules: Rules { head_limit: 4096, ..Rules::default() },
        trusted: Networks::everybody(),
        onward: Onward::Original,
        tunnels: TunnelRules::default(),
        hello_size: 4096,
        tls_by_name: true,
        passthrough: None,
        keeps_hello: false,
        icap: ServiceSettings { header_size: 4096, ..ServiceSettings::default() },
        summary: Some(Remembered::ALL),
        leaving: false,
    }
}

/// Gives a connection its bytes in pieces, decides about its requests, and takes what it says.
fn play(bytes: &[u8], piece: usize) -> End {
    let settings = settings();
    let (mut counters, mut out, mut summaries) = (ExchangeCounters::default(), Vec::new(), SpareSummaries::default());
    let mut exchange = Exchange::new(&Arrival::direct(Ingress::Icap, IpAddr::V4(Ipv4Addr::LOCALHOST)), 0);
    let (mut upload, mut download) = (Buf::private(1 << 17), Buf::private(1 << 17));
    let (mut at, mut got) = (0, Vec::new());
    // Each round moves a byte at least or is the last.
    for _ in 0..64 * (bytes.len() + 16) {
        let mut cx = Context {
            settings: &settings,
            session: 1,
            now: 0,
            fraction: 0,
            date: "NOW",
            out: &mut out,
            counters: &mut counters,
            judge: None,
            summaries: &mut summaries,
        };
        let before = (upload.len(), got.len(), exchange.phase().kind());
        exchange.advance_upload(&mut upload, &mut cx);
        let reads = exchange.wants_input(Direction::Upload) && at < bytes.len();
        if reads {
            let end = bytes.len().min(at + piece);
            upload.append(&bytes[at..end]);
            at = end;
            exchange.advance_upload(&mut upload, &mut cx);
        }
        exchange.advance_download(&mut download, &mut cx);
        if exchange.flow(Direction::Download).cleared() == 0 && exchange.wants_input(Direction::Download) {
            let more = exchange.body_rest().to_vec();
            let count = more.len().min(exchange.passable(Direction::Download) as usize);
            assert!(count > 0, "what is wanted is there");
            got.extend_from_slice(&more[..count]);
            exchange.handle_body_sent(count);
            exchange.advance_download(&mut download, &mut cx);
        }
        let cleared = exchange.flow(Direction::Download).cleared();
        got.extend_from_slice(&download.bytes()[..cleared]);
        download.consume(cleared);
        exchange.handle_sent(Direction::Download, cleared);
        exchange.settle([upload.len(), download.len()], at < bytes.len(), &mut cx);
        let acted = act(&mut exchange, &mut cx);
        if matches!(exchange.phase().kind(), PhaseKind::Closed | PhaseKind::Draining) {
            break;
        }
        let after = (upload.len(), got.len(), exchange.phase().kind());
        if !reads && !acted && before == after {
            break;
        }
    }
    End { got, kind: exchange.phase().kind(), requests: exchange.requests() }
}

/// Does what the exchange asks for. Every third kind of request is refused.
fn act(exchange: &mut Exchange, cx: &mut Context<'_>) -> bool {
    let Some(action) = exchange.poll() else { return false };
    match action {
        Action::Ask if exchange.request().is_some_and(|request| request.path().len() % 3 == 2) => {
            let answer = Answer::new(403, vec![b'x'; 9000]);
            exchange.handle_decision(Decision::Answer(Box::new(answer)), cx);
        }
        Action::Ask => exchange.handle_decision(Decision::Forward, cx),
        Action::Vet => exchange.handle_vetted(cx),
        Action::Explain(cause) => exchange.handle_explained(Box::new(Answer::of(cause, false)), cx),
        Action::Record => drop(exchange.take_summary()),
        Action::Hangup | Action::Done(_) => {}
        other => panic!("{other:?} is asked for"),
    }
    true
}

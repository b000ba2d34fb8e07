//! Chunked bodies: however the bytes are cut into pieces, the same goes out, and what goes out is clean.

use super::{outcome, rough};
use exaproxy::http::chunked::{ChunkFault, ChunkScan, ChunkSender, Mode};

pub(super) const CHUNKED: &[&[u8]] = &[
    b"5\r\nhello\r\n0\r\n\r\n",
    b"a;name=value\r\n0123456789\r\n1\r\nx\r\n0\r\nX-Trailer: yes\r\n\r\n",
    b"00005 ;x=\"y\\\"z\"\r\nhello\r\n000\r\nContent-Length: 7\r\nTrailer: a\r\n\r\nGET / HTTP/1.1\r\n",
    b"FFFFFFFFFFFFFFFF\r\nx",
    b"5\nhello\n0\n\n",
    b"5 ; a\t= \"b;\\\"\" ;c\r\nhello\r\n0;bad[=x\r\nX-Hop: 1\r\nX-Sum: \x01\x0b\r\n\r\n",
];

/// Names of trailers that stay behind.
const HOP: &[u8] = b"X-Hop";

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
struct Relayed {
    out: Vec<u8>,
    done: bool,
    used: usize,
    fault: Option<ChunkFault>,
}

/// Runs a body through an observer, at most `piece` new bytes at a time.
fn relay(bytes: &[u8], mode: Mode, side: ChunkSender, piece: usize) -> Relayed {
    let mut scan = ChunkScan::new(mode, side).without(HOP.to_vec());
    let mut relayed = Relayed { out: Vec::new(), done: false, used: 0, fault: None };
    let (mut held, mut fed) = (Vec::new(), 0);
    while !relayed.done && relayed.fault.is_none() && fed < bytes.len() {
        let end = (fed + piece).min(bytes.len());
        held.extend_from_slice(&bytes[fed..end]);
        fed = end;
        match scan.scan(&mut held) {
            Ok(scanned) => {
                assert!(scanned.kept <= scanned.taken && scanned.taken <= held.len(), "{scanned:?}");
                relayed.out.extend_from_slice(&held[..scanned.kept]);
                relayed.used += scanned.taken;
                relayed.done = scanned.done;
                held.drain(..scanned.taken);
            }
            Err(fault) => relayed.fault = Some(fault),
        }
    }
    relayed
}

/// Runs a body whole and in pieces; faults may be seen at another byte, but not another end.
fn compare(bytes: &[u8], mode: Mode, side: ChunkSender) -> Relayed {
    let whole = relay(bytes, mode, side, bytes.len().max(1));
    for piece in [1, 7] {
        if bytes.len() / piece > 4096 {
            continue;
        }
        let pieces = relay(bytes, mode, side, piece);
        assert_eq!((pieces.done, pieces.fault.is_some()), (whole.done, whole.fault.is_some()), "{piece} at a time");
        if whole.fault.is_none() {
            assert_eq!(pieces.out, whole.out, "{piece} at a time");
        }
    }
    whole
}

/// What goes out must be taken by the strictest reader, unchanged; but for control characters in trailers of an origin.
fn assert_clean(relayed: &Relayed, side: ChunkSender) {
    if relayed.done {
        let controls = relayed.out.iter().any(|byte| byte.is_ascii_control() && !b"\r\n\t".contains(byte));
        let reader = if controls { side } else { ChunkSender::Client };
        let again = relay(&relayed.out, Mode::Relay, reader, relayed.out.len());
        assert!(again.done && again.fault.is_none() && again.out == relayed.out, "{}", relayed.out.escape_ascii());
        let names = |text: &[u8], what: &[u8]| text.windows(what.len()).any(|part| part.eq_ignore_ascii_case(what));
        let content = relay(&relayed.out, Mode::Decode, reader, relayed.out.len()).out;
        let hop = names(&relayed.out, b"\nX-Hop:") && !names(&content, b"X-Hop:");
        assert!(!hop, "a trailer for one hop goes on: {}", relayed.out.escape_ascii());
    }
}

fn shape(relayed: &Relayed) -> u64 {
    outcome((relayed.done, relayed.fault.map(|fault| fault.to_string()), rough(relayed.out.len())))
}

pub(super) fn chunks_of_clients(bytes: &[u8]) -> u64 {
    let relayed = compare(bytes, Mode::Relay, ChunkSender::Client);
    assert_clean(&relayed, ChunkSender::Client);
    shape(&relayed)
}

/// An origin may be looser than a client, never stricter; content without its chunks is the content.
pub(super) fn chunks_of_origins(bytes: &[u8]) -> u64 {
    let relayed = compare(bytes, Mode::Relay, ChunkSender::Origin);
    assert_clean(&relayed, ChunkSender::Origin);
    let strict = relay(bytes, Mode::Relay, ChunkSender::Client, bytes.len().max(1));
    assert!(
        !strict.done || (relayed.done && relayed.used == strict.used),
        "stricter with an origin than with a client"
    );
    let decoded = compare(bytes, Mode::Decode, ChunkSender::Origin);
    assert_eq!(decoded.done, relayed.done);
    if relayed.done {
        assert!(
            relay(&relayed.out, Mode::Decode, ChunkSender::Origin, relayed.out.len()).out == decoded.out,
            "other content"
        );
    }
    shape(&relayed)
}

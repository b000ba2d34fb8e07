//! Tables of chunked content in and out, cut in every way.

use super::*;

/// Feeds the content in pieces that end where `cuts` says, with one buffer that is refilled as the loop would do.
fn feed(mut scan: ChunkScan, content: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, usize, bool), ChunkFault> {
    let (mut out, mut buffer, mut start, mut taken) = (Vec::new(), Vec::new(), 0, 0);
    for cut in cuts.iter().copied().chain([content.len()]) {
        buffer.extend_from_slice(&content[start..cut]);
        start = cut;
        let result = scan.scan(&mut buffer)?;
        assert!(result.kept <= result.taken && result.taken <= buffer.len());
        assert_eq!(buffer[result.taken..], content[taken + result.taken..cut], "untouched behind what was taken");
        out.extend_from_slice(&buffer[..result.kept]);
        buffer.drain(..result.taken);
        taken += result.taken;
    }
    Ok((out, taken, scan.is_done()))
}

fn relay(side: ChunkSender, content: &[u8]) -> Result<(Vec<u8>, usize, bool), ChunkFault> {
    feed(ChunkScan::new(Mode::Relay, side), content, &[])
}

const RICH: &[u8] = b"5;a=b;c=\"d;\\\"e\"\r\nhello\r\n00001\r\n!\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n\
    00;last\r\nX-Sum: 1\r\nContent-Length: 5\r\nx-end:\r\n\r\nGET / HTTP/1.1\r\n";
const RICH_RELAYED: &[u8] =
    b"5\r\nhello\r\n1\r\n!\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Sum: 1\r\nx-end:\r\n\r\n";

#[test]
fn canonical_chunks_pass_as_they_stand() {
    let content = b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
    assert_eq!(relay(ChunkSender::Client, content), Ok((content.to_vec(), content.len(), true)));
}

#[test]
fn row_47_chunks_are_made_canonical() {
    for side in [ChunkSender::Client, ChunkSender::Origin] {
        let (out, taken, done) = relay(side, RICH).unwrap();
        assert_eq!(out.escape_ascii().to_string(), RICH_RELAYED.escape_ascii().to_string());
        assert!(done && RICH[taken..].starts_with(b"GET"));
    }
}

#[test]
fn decoding_leaves_the_data() {
    let (out, _, done) = feed(ChunkScan::new(Mode::Decode, ChunkSender::Origin), RICH, &[]).unwrap();
    assert_eq!(out, b"hello!abcdefghijklmnopqrstuvwxyz");
    assert!(done);
}

#[test]
fn every_split_gives_the_same() {
    for mode in [Mode::Relay, Mode::Decode] {
        let scan = ChunkScan::new(mode, ChunkSender::Client);
        let whole = feed(scan.clone(), RICH, &[]).unwrap();
        for first in 0..=RICH.len() {
            for second in first..=RICH.len() {
                let split = feed(scan.clone(), RICH, &[first, second]).unwrap();
                assert_eq!(split.0, whole.0, "cut at {first} and {second}");
                assert_eq!((split.1, split.2), (whole.1, true));
            }
        }
        let every_byte: Vec<usize> = (0..RICH.len()).collect();
        assert_eq!(feed(scan, RICH, &every_byte).unwrap(), whole);
    }
}

#[test]
fn data_may_pass_unseen() {
    let mut scan = ChunkScan::new(Mode::Relay, ChunkSender::Origin);
    let mut head = b"ffff\r\nab".to_vec();
    assert_eq!(scan.scan(&mut head), Ok(Scan { taken: 8, kept: 8, done: false }));
    assert_eq!(scan.data_left(), 0xfffd);
    scan.pass(0xfffd);
    assert_eq!(scan.data_left(), 0);
    assert_eq!(scan.scan(&mut b"\r\n0\r\n\r\n".to_vec()), Ok(Scan { taken: 7, kept: 7, done: true }));
}

#[test]
fn row_47_what_two_readers_could_read_differently_is_refused() {
    let table: &[(&[u8], ChunkFault)] = &[
        (b"\r\n", ChunkFault::BadSize),
        (b" 5\r\nhello\r\n", ChunkFault::BadSize),
        (b"5 \r\nhello\r\n", ChunkFault::BadSize),
        (b"+5\r\nhello\r\n", ChunkFault::BadSize),
        (b"-5\r\nhello\r\n", ChunkFault::BadSize),
        (b"0x5\r\nhello\r\n", ChunkFault::BadSize),
        (b"5,5\r\nhello\r\n", ChunkFault::BadSize),
        (b";a\r\nhello\r\n", ChunkFault::BadSize),
        (b"5\nhello\n", ChunkFault::BadLineEnd),
        (b"5\r\r\nhello\r\n", ChunkFault::BadLineEnd),
        (b"5;a\rb\r\nhello\r\n", ChunkFault::BadLineEnd),
        (b"5;a\nb\r\nhello\r\n", ChunkFault::BadLineEnd),
        (b"5;a=\"\r\nhello\r\n", ChunkFault::BadExtension),
        (b"5;bad[=x\r\nhello\r\n", ChunkFault::BadExtension),
        (b"0;\r\n\r\n", ChunkFault::BadExtension),
        (b"5\r\nhelloworld", ChunkFault::MissingEnd),
        (b"5\r\nhello\n0\r\n\r\n", ChunkFault::MissingEnd),
        (b"5\r\nhello\rX", ChunkFault::MissingEnd),
        (b"10000000000000000\r\n", ChunkFault::TooLarge),
        (b"0\r\nnocolon\r\n\r\n", ChunkFault::BadTrailer),
        (b"0\r\n: x\r\n\r\n", ChunkFault::BadTrailer),
        (b"0\r\nA : x\r\n\r\n", ChunkFault::BadTrailer),
        (b"0\r\nA: b\r\n c\r\n\r\n", ChunkFault::BadTrailer),
        (b"0\r\nA: b\0\r\n\r\n", ChunkFault::BadTrailer),
        (b"0\r\nA: b\n\r\n", ChunkFault::BadLineEnd),
        (b"0\r\n\n", ChunkFault::BadLineEnd),
    ];
    for (content, want) in table {
        let got = relay(ChunkSender::Client, content);
        assert_eq!(got, Err(*want), "{}", content.escape_ascii());
    }
}

#[test]
fn b8_control_characters_in_trailers_of_an_origin_are_relayed() {
    let content = b"0\r\nA: b\x0b\x01\x7f\x1b\r\n\r\n";
    assert_eq!(relay(ChunkSender::Origin, content), Ok((content.to_vec(), content.len(), true)));
    assert_eq!(relay(ChunkSender::Client, content), Err(ChunkFault::BadTrailer));
    assert_eq!(relay(ChunkSender::Origin, b"0\r\nA: b\0\r\n\r\n"), Err(ChunkFault::BadTrailer));
    assert_eq!(relay(ChunkSender::Origin, b"0\r\nA\x01: b\r\n\r\n"), Err(ChunkFault::BadTrailer));
}

#[test]
fn b11_trailers_that_the_connection_field_names_stay_behind() {
    let content = b"0\r\nX-HOP: secret\r\nX-Sum: 1\r\nx-hop2: 2\r\nX-Hop: again\r\n\r\n";
    for side in [ChunkSender::Client, ChunkSender::Origin] {
        let scan = ChunkScan::new(Mode::Relay, side).without(b"close, x-hop,, TE".to_vec());
        let (out, _, done) = feed(scan, content, &[]).unwrap();
        assert_eq!((out.as_slice(), done), (&b"0\r\nX-Sum: 1\r\nx-hop2: 2\r\n\r\n"[..], true));
    }
}

#[test]
fn an_observer_is_small() {
    assert_eq!(std::mem::size_of::<ChunkScan>(), 32);
    assert_eq!(std::mem::size_of::<super::super::framing::Framing>(), 32);
}

#[test]
fn row_48_origins_may_put_blanks_after_a_size() {
    let content = b"5 \r\nhello\r\n0\t \r\n\r\n";
    let (out, _, done) = relay(ChunkSender::Origin, content).unwrap();
    assert_eq!((out.as_slice(), done), (&b"5\r\nhello\r\n0\r\n\r\n"[..], true));
    assert_eq!(relay(ChunkSender::Client, content), Err(ChunkFault::BadSize));
    assert_eq!(relay(ChunkSender::Origin, b" 5\r\nhello\r\n"), Err(ChunkFault::BadSize));
    assert_eq!(relay(ChunkSender::Origin, b"5\nhello\r\n"), Err(ChunkFault::BadLineEnd));
}

#[test]
fn lines_are_bounded() {
    let extension = [b"5;".as_slice(), &[b'a'; MAX_SIZE_LINE]].concat();
    assert_eq!(relay(ChunkSender::Client, &extension), Err(ChunkFault::LineTooLong));
    assert!(!relay(ChunkSender::Client, &extension[..MAX_SIZE_LINE - 1]).unwrap().2);
    let zeros = [b"0".repeat(MAX_SIZE_LINE - 3), b"5\r\n".to_vec()].concat();
    assert_eq!(relay(ChunkSender::Client, &zeros).unwrap().0, b"5\r\n");
    let trailer = [b"0\r\nA: ".as_slice(), &[b'a'; MAX_LINE]].concat();
    assert_eq!(relay(ChunkSender::Client, &trailer), Err(ChunkFault::LineTooLong));
    let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(MAX_TRAILERS / 6 + 1)].concat();
    assert_eq!(relay(ChunkSender::Client, &trailers), Err(ChunkFault::TrailersTooLong));
}

#[test]
fn a_fault_stays() {
    let mut scan = ChunkScan::new(Mode::Relay, ChunkSender::Client);
    assert!(scan.scan(&mut b"x\r\n".to_vec()).is_err());
    assert_eq!(scan.scan(&mut b"0\r\n\r\n".to_vec()), Err(ChunkFault::BadSize));
    assert!(!scan.is_done());
}

#[test]
fn the_largest_size_is_counted() {
    let (_, _, done) = relay(ChunkSender::Origin, b"ffffffffffffffff\r\nabc").unwrap();
    assert!(!done);
}

#[test]
fn mutated_content_never_panics() {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..20_000 {
        let mut content = RICH.to_vec();
        for _ in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = random as usize % content.len();
            content[at] = b"\r\n 0f;:\"\\\0\xffA"[(random >> 32) as usize % 12];
        }
        let cut = (random >> 16) as usize % content.len();
        let whole = relay(ChunkSender::Client, &content);
        let split = feed(ChunkScan::new(Mode::Relay, ChunkSender::Client), &content, &[cut]);
        assert_eq!(whole, split, "{}", content.escape_ascii());
    }
}

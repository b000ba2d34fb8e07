//! One TCP connection to a name server, as far as the protocol sees it: messages with their length in front (RFC 1035
//! section 4.2.2), several questions open at once, answers in any order (RFC 7766 section 6.2.1.1). Knows no questions.

use crate::Millis;

/// Questions that may be open on one connection: as many as all the names that may be waited for have by default, so that one
/// client's names do not use it up for the others. What waits in the owner's buffer stays below 4 MiB with it, and is about
/// one with names of the usual length.
pub(crate) const MAX_OPEN: u32 = 16_384;
/// Time without an open question after which a connection is closed, in milliseconds. RFC 7766 section 6.2.3 speaks of
/// a few seconds, so that a server's slots are not held by idlers.
pub(crate) const IDLE: Millis = 10_000;
/// Messages that answer no question of ours before a connection is given up: a server that sends these is broken.
pub(crate) const MAX_STRAY: u32 = 64;
/// The length in front of a message.
const PREFIX: usize = 2;

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: u64,
    /// Questions that wait for an answer here.
    pub(crate) open: u32,
    /// Answers that came.
    pub(crate) answers: u32,
    pub(crate) stray: u32,
    /// When something was last sent or received.
    pub(crate) touched: Millis,
    /// When bytes last came.
    pub(crate) heard: Millis,
    partial: Vec<u8>,
}

impl Link {
    pub(crate) fn new(id: u64, now: Millis) -> Link {
        Link { id, open: 0, answers: 0, stray: 0, touched: now, heard: now, partial: Vec::new() }
    }

    /// When it should be closed, if nothing happens before.
    pub(crate) fn idle_at(&self) -> Option<Millis> {
        (self.open == 0).then_some(self.touched + IDLE)
    }

    /// Whether it has been too much trouble.
    pub(crate) fn is_broken(&self) -> bool {
        self.stray > MAX_STRAY
    }

    /// Takes bytes that arrived and appends whole messages to `whole`, each with its length in front. At most one
    /// message of 64 KiB is kept back.
    pub(crate) fn take(&mut self, bytes: &[u8], whole: &mut Vec<u8>) {
        self.partial.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(end) = message_end(&self.partial, at) {
            at = end;
        }
        whole.extend_from_slice(&self.partial[..at]);
        self.partial.drain(..at);
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }
}

/// The end of the whole message that starts at `at`, if all of it is there.
fn message_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let &[high, low, ..] = rest else { return None };
    let length = PREFIX + usize::from(u16::from_be_bytes([high, low]));
    (rest.len() >= length).then_some(at + length)
}

/// The messages in the bytes that [`Link::take`] gave.
pub(crate) fn messages(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let end = message_end(whole, at)?;
        let message = whole.get(at + PREFIX..end);
        at = end;
        message
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_bytes_are_cut() {
        let stream = b"\x00\x03abc\x00\x00\x00\x01d\x00\x05ef";
        for cut in 1..stream.len() {
            let mut link = Link::new(1, 0);
            let mut whole = Vec::new();
            for piece in stream.chunks(cut) {
                link.take(piece, &mut whole);
            }
            let found: Vec<&[u8]> = messages(&whole).collect();
            assert_eq!(found, [&b"abc"[..], b"", b"d"], "{cut}");
            assert_eq!(link.partial, b"\x00\x05ef");
        }
    }

    #[test]
    fn only_an_unused_connection_is_idle() {
        let mut link = Link::new(1, 5);
        assert_eq!(link.idle_at(), Some(5 + IDLE));
        link.open = 1;
        assert_eq!(link.idle_at(), None);
        link.stray = MAX_STRAY + 1;
        assert!(link.is_broken());
    }
}

//! How much of a body is peeked at in one go. Knows no socket.

/// Most bytes of one peek, and the size of the shared buffer for it. Bigger reads cost less per byte (a bare relay:
/// 16 KiB 0.74, 64 KiB 0.57, 256 KiB 0.39, 1 MiB 0.33 s/GiB).
pub(super) const MAX_PEEK: usize = 1 << 20;

/// Least bytes for which peeking, sending and discarding beats reading and sending.
pub(super) const MIN_PEEK: usize = 32 * 1024;

/// How much of a body is peeked at in one go, in KiB: it fits into two bytes of every idle session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PeekSize(u16);

impl PeekSize {
    /// The bytes come in small pieces: reading and sending is cheaper.
    pub(super) const NONE: PeekSize = PeekSize(0);

    pub(super) fn of(bytes: usize) -> PeekSize {
        PeekSize((bytes.clamp(MIN_PEEK, MAX_PEEK) / 1024) as u16)
    }

    pub(super) fn bytes(self) -> usize {
        usize::from(self.0) * 1024
    }

    /// What to peek at next: more after everything was taken, else about what the other side takes, so that few bytes are
    /// copied in vain while it is slow.
    pub(super) fn after(taken: usize, seen: usize, asked: usize) -> PeekSize {
        match (taken == seen, seen == asked) {
            (true, true) => PeekSize::of(asked * 2),
            (true, false) if seen < MIN_PEEK / 2 => PeekSize::NONE,
            (true, false) => PeekSize::of(asked),
            (false, _) => PeekSize::of(taken.next_power_of_two()),
        }
    }
}

//! What is known of a socket's readiness. Events set bits; only a call that would block clears them.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// A set of readiness bits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(u8);

impl Ready {
    /// No bit.
    pub const NONE: Ready = Ready(0);
    /// A read may give bytes.
    pub const READ: Ready = Ready(1);
    /// A write may take bytes.
    pub const WRITE: Ready = Ready(2);
    /// The peer has closed its sending side: after the bytes that are there, a read gives end of file.
    pub const READ_CLOSED: Ready = Ready(4);
    /// The connection is broken: reset, refused, timed out.
    pub const ERROR: Ready = Ready(8);
    /// The peer has marked a byte as urgent, so that a read stops at it though more is there (tcp(7), MSG_OOB).
    pub const URGENT: Ready = Ready(16);

    /// True if any bit of `other` is set here.
    #[inline]
    pub fn has(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }

    /// Clears the bits of `other`.
    #[inline]
    pub fn clear(&mut self, other: Ready) {
        self.0 &= !other.0;
    }
}

impl BitOr for Ready {
    type Output = Ready;
    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Ready;
    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl Sub for Ready {
    type Output = Ready;
    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Ready::READ, "read"),
            (Ready::WRITE, "write"),
            (Ready::READ_CLOSED, "closed"),
            (Ready::ERROR, "error"),
            (Ready::URGENT, "urgent"),
        ];
        let set: Vec<_> = names.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect();
        write!(out, "{}", if set.is_empty() { "none".to_string() } else { set.join("+") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_and_cleared_one_by_one() {
        let mut ready = Ready::READ | Ready::READ_CLOSED;
        assert!(ready.has(Ready::READ) && !ready.has(Ready::WRITE));
        ready.clear(Ready::READ);
        assert_eq!(ready, Ready::READ_CLOSED);
        ready |= Ready::WRITE;
        assert_eq!(format!("{ready:?}"), "write+closed");
        assert_eq!((ready - Ready::WRITE) & Ready::READ_CLOSED, Ready::READ_CLOSED);
    }
}

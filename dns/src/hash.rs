//! The two hashers of this crate: a seeded one for names, which clients choose, and a cheap one for message ids, which
//! only we choose. Knows nothing of what is stored.

use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// Starts every hash from secret bits, so that a client cannot choose names that share a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// Spreads 16-bit message ids; they are random already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread;

/// See [`Spread`].
#[derive(Clone, Debug, Default)]
pub(crate) struct SpreadHasher(u64);

/// An odd constant with well mixed bits (2^64 divided by the golden ratio), so that high and low bits both depend on
/// the id.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl BuildHasher for Spread {
    type Hasher = SpreadHasher;

    fn build_hasher(&self) -> SpreadHasher {
        SpreadHasher(0)
    }
}

impl Hasher for SpreadHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(MULTIPLIER);
        }
    }

    fn write_u16(&mut self, id: u16) {
        self.0 = u64::from(id).wrapping_mul(MULTIPLIER);
    }
}

//! Sizes within the ceilings that hold in any configuration.

use super::options::{Http, Icap, Tls};

/// Largest request head that is kept, in bytes, also where `http.header-size` allows more: a head is held in memory as a
/// whole.
const HEAD_CEILING: u64 = 1024 * 1024;

impl Tls {
    /// The number of bytes that a hello may have with its records: `tls.header-size` within the ceiling of 1 MiB.
    pub fn hello_bytes(&self) -> usize {
        self.header_size.unwrap_or(HEAD_CEILING).min(HEAD_CEILING) as usize
    }
}

impl Icap {
    /// The number of bytes that a head of ICAP may have: `icap.header-size` within the ceiling of 1 MiB.
    pub fn head_bytes(&self) -> usize {
        self.header_size.unwrap_or(HEAD_CEILING).min(HEAD_CEILING) as usize
    }
}

impl Http {
    /// The number of bytes that a request head may have: `http.header-size` within the ceiling of 1 MiB.
    pub fn head_bytes(&self) -> usize {
        self.header_size.unwrap_or(HEAD_CEILING).min(HEAD_CEILING) as usize
    }
}

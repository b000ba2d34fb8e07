//! A table of many networks, sorted by length and address: a lookup tries each length that there is. Knows neither files nor
//! what a match means. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// A network with what stands behind it in a list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct RangeRow {
    /// An IPv6 network.
    v6: bool,
    /// Bits of its prefix.
    bits: u8,
    /// Its address, that of IPv4 in the upper 32 bits.
    network: u128,
    /// Line, port (0 = every) and whether it is an exception.
    line: u32,
    port: u16,
    exception: bool,
}

/// The networks of a list.
#[derive(Debug, Default)]
pub(super) struct RangeTable {
    rows: Box<[RangeRow]>,
    /// Families and lengths that there are, the longest first.
    lengths: Vec<(bool, u8)>,
}

/// What is remembered of networks while the table is made.
#[derive(Debug, Default)]
pub(super) struct RangePile(Vec<RangeRow>);

impl RangePile {
    /// Adds a network without bits behind its prefix.
    pub(super) fn push(&mut self, range: IpNet, port: Option<u16>, exception: bool, line: u32) {
        let (v6, bits, port) = (range.addr().is_ipv6(), range.prefix_len(), port.unwrap_or(0));
        self.0.push(RangeRow { v6, bits, network: bits_of(range.addr()), line, port, exception });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn finish(self) -> RangeTable {
        let mut rows = self.0;
        rows.sort_unstable();
        let mut lengths: Vec<(bool, u8)> = rows.iter().map(|row| (row.v6, row.bits)).collect();
        lengths.dedup();
        lengths.reverse();
        RangeTable { rows: rows.into(), lengths }
    }
}

impl RangeTable {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The line of the longest network that holds this address, the first of several; None where an exception holds it.
    pub(super) fn find(&self, address: IpAddr, port: u16) -> Option<u32> {
        let (v6, whole) = (address.is_ipv6(), bits_of(address));
        let mut found = None;
        for (_, bits) in self.lengths.iter().filter(|(family, _)| *family == v6) {
            let network = whole & u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
            let key = (v6, *bits, network);
            let start = self.rows.partition_point(|row| (row.v6, row.bits, row.network) < key);
            let same = self.rows[start..].iter().take_while(|row| (row.v6, row.bits, row.network) == key);
            for row in same.filter(|row| row.port == 0 || row.port == port) {
                if row.exception {
                    return None;
                }
                found = found.or(Some(row.line));
            }
        }
        found
    }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

//! Ports that requests other than CONNECT may go to. Pure.

use std::ops::RangeInclusive;

/// Ports of services that obey lines of text from anyone: a request that a web page or a client composes could have them send
/// mail or take part in a chat. The list of the Fetch standard ("port blocking"), which browsers hold to, in order.
const UNSAFE: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// One word of `security.ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortSet {
    /// `safe`: those that no service of another kind is known for.
    Safe,
    /// `*`: every port.
    All,
    /// These, both ends included.
    Range(RangeInclusive<u16>),
}

impl PortSet {
    /// Whether the port is one of these.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            PortSet::Safe => UNSAFE.binary_search(&port).is_err(),
            PortSet::All => true,
            PortSet::Range(range) => range.contains(&port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(UNSAFE.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn safe_ports_are_those_of_no_other_service() {
        for port in [25, 22, 110, 143, 6000, 6667, 10080, 0] {
            assert!(!PortSet::Safe.contains(port) && PortSet::All.contains(port), "{port}");
        }
        for port in [80, 443, 591, 3128, 8000, 8080, 8443, 65535] {
            assert!(PortSet::Safe.contains(port), "{port}");
        }
        assert!(PortSet::Range(20..=25).contains(25) && !PortSet::Range(20..=25).contains(26));
    }
}

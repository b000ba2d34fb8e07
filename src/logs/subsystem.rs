//! The parts of the program that speak in the message log, and one switch for each. Knows neither levels nor lines.

use std::fmt;

/// The subsystems that have a switch `log.NAME`, in the order of the alphabet.
pub const SUBSYSTEMS: [&str; 13] = [
    "client",
    "configuration",
    "daemon",
    "download",
    "header",
    "http",
    "manager",
    "resolver",
    "server",
    "signal",
    "supervisor",
    "web",
    "worker",
];

/// Words that appear in lines and follow the switch of another subsystem.
const FOLLOWERS: [(&str, &str); 2] = [("select", "server"), ("redirector", "worker")];

/// Which subsystems may write: one bit each, all on at first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Switches(u32);

impl Switches {
    /// Every subsystem switched on.
    pub const ALL: Self = Self((1 << SUBSYSTEMS.len()) - 1);

    /// Switches one subsystem; says whether there is one of that name.
    pub fn set(&mut self, name: &str, on: bool) -> bool {
        let Some(bit) = bit_of(name) else { return false };
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
        true
    }

    /// Whether records of this target are written. The first word counts, so `worker 7` is `worker`; a target without
    /// a switch is always written.
    pub fn allow(self, target: &str) -> bool {
        bit_of(target).is_none_or(|bit| self.0 & bit != 0)
    }

    pub(crate) fn to_bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Debug for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(SUBSYSTEMS.iter().filter(|name| self.allow(name))).finish()
    }
}

fn bit_of(target: &str) -> Option<u32> {
    let word = target.split(' ').next().unwrap_or(target);
    let name = FOLLOWERS.iter().find(|(follower, _)| *follower == word).map_or(word, |(_, leader)| leader);
    SUBSYSTEMS.iter().position(|known| *known == name).map(|index| 1 << index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_silences_its_subsystem_and_its_followers_only() {
        let mut switches = Switches::ALL;
        assert!(switches.set("worker", false));
        assert!(switches.set("server", false));
        let table = [
            ("worker", false),
            ("worker 12", false),
            ("redirector", false),
            ("select", false),
            ("web", true),
            ("usage", true),
            ("mio::poll", true),
        ];
        for (target, allowed) in table {
            assert_eq!(switches.allow(target), allowed, "{target}");
        }
        assert!(switches.set("worker", true));
        assert!(switches.allow("worker 12"));
        assert_eq!(Switches::from_bits(switches.to_bits()), switches);
    }

    #[test]
    fn every_name_has_its_own_bit_and_an_unknown_one_has_none() {
        for name in SUBSYSTEMS {
            let mut switches = Switches::ALL;
            assert!(switches.set(name, false));
            assert_eq!(SUBSYSTEMS.iter().filter(|other| !switches.allow(other)).count(), 1);
        }
        let mut switches = Switches::ALL;
        assert!(!switches.set("usage", false));
    }
}

//! What an operator can choose about the resolver. Does not know option names or files.

use std::net::SocketAddr;
use std::time::Duration;

use crate::nat64::Nat64;
use crate::resolv_conf::ResolvConf;
use crate::{Families, Millis};

/// The resolver's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name servers in order of preference; eight are used at most.
    pub servers: Vec<SocketAddr>,
    /// Domains that are appended to names, in normal form (lower-case, no last dot).
    pub search: Vec<String>,
    /// A name with at least as many dots is first tried as it stands.
    pub ndots: u32,
    /// A name without a dot is never tried as it stands.
    pub no_tld_query: bool,
    /// The longest wait for one answer before the question is sent again. The first waits are shorter: they follow the
    /// measured round trip.
    pub timeout: Duration,
    /// How often one server is asked. One question is open for `timeout * attempts` at most.
    pub attempts: u32,
    /// The longest time for a name with all its aliases and search domains.
    pub deadline: Duration,
    /// Spread the questions over the servers instead of preferring the first.
    pub rotate: bool,
    /// Ask over TCP only.
    pub use_tcp: bool,
    /// Which families are wanted. Of those the machine asks for the ones that lead somewhere ([`Resolver::set_ways`]).
    ///
    /// [`Resolver::set_ways`]: super::Resolver::set_ways
    pub families: Families,
    /// How IPv4 addresses are reached where IPv4 leads nowhere.
    pub nat64: Nat64,
    /// The longest time for which an answer is kept, also where its records allow more.
    pub ttl_cap: Duration,
    /// The same for answers that say no (RFC 2308 section 5 suggests one to three hours at most).
    pub negative_cap: Duration,
    /// The UDP payload in bytes that is announced with EDNS; 0 leaves EDNS out.
    pub edns_size: u16,
    /// Mix upper and lower case letters in questions, which a forger has to guess.
    pub case_mixing: bool,
    /// How long a name with IPv4 addresses waits for its IPv6 addresses (RFC 8305 section 3: 50 ms).
    pub resolution_delay: Duration,
    /// Names that are kept.
    pub cache_entries: usize,
    /// Names that may be waited for at once. Each may have two open questions, one for each family.
    pub max_lookups: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            no_tld_query: false,
            timeout: Duration::from_secs(2),
            attempts: 10,
            deadline: Duration::from_secs(20),
            rotate: false,
            use_tcp: false,
            families: Families { v4: true, v6: true },
            nat64: Nat64::Off,
            ttl_cap: Duration::from_secs(900),
            negative_cap: Duration::from_secs(300),
            edns_size: 1232,
            case_mixing: true,
            resolution_delay: Duration::from_millis(50),
            cache_entries: 20_480,
            max_lookups: 8_192,
        }
    }
}

impl Config {
    /// Takes over what a resolv.conf says, its `timeout` and `attempts` only where `times` is true. `index_of` gives
    /// the number of an interface for a server's zone; a server with an unknown zone is left out.
    pub fn apply(&mut self, conf: &ResolvConf, times: bool, index_of: impl Fn(&str) -> Option<u32>) {
        self.servers = conf.servers.iter().filter_map(|server| server.socket_address(&index_of)).collect();
        self.search = conf.search.clone();
        self.ndots = conf.ndots;
        self.no_tld_query = conf.no_tld_query;
        self.rotate = conf.rotate;
        self.use_tcp = conf.use_tcp;
        self.families.v6 &= !conf.no_aaaa;
        if times {
            self.timeout = conf.timeout.unwrap_or(self.timeout);
            self.attempts = conf.attempts.unwrap_or(self.attempts);
        }
    }

    /// `timeout` as the machine counts, never zero.
    pub(crate) fn timeout_millis(&self) -> Millis {
        millis(self.timeout).max(1)
    }
}

/// A duration in whole milliseconds; a century is as good as more.
pub(crate) fn millis(duration: Duration) -> Millis {
    const CENTURY: u128 = 100 * 365 * 24 * 3_600 * 1_000;
    duration.as_millis().min(CENTURY) as Millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolv_conf;

    #[test]
    fn a_resolv_conf_is_taken_over() {
        let conf =
            resolv_conf::parse("nameserver ::1\nsearch a.test\noptions ndots:2 timeout:7 attempts:3 rotate no-aaaa");
        let mut config = Config::default();
        config.apply(&conf, false, |_| None);
        assert_eq!((config.servers.len(), config.ndots, config.rotate, config.families.v6), (1, 2, true, false));
        assert_eq!((config.timeout, config.attempts), (Duration::from_secs(2), 10));
        config.apply(&conf, true, |_| None);
        assert_eq!((config.timeout, config.attempts), (Duration::from_secs(7), 3));
    }
}

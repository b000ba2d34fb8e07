//! What a lookup ends with: addresses, or the reason why there are none. Knows neither servers nor messages.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{Family, Millis};

/// The addresses of one name. Cloning shares the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    v6: Option<Arc<[IpAddr]>>,
    v4: Option<Arc<[IpAddr]>>,
    expires: Millis,
}

impl Addresses {
    /// Addresses that hold until `expires`; `None` stands for no address of that family.
    pub fn new(v6: Option<Arc<[IpAddr]>>, v4: Option<Arc<[IpAddr]>>, expires: Millis) -> Addresses {
        Addresses { v6, v4, expires }
    }

    /// A list of mixed families, sorted into the two lists.
    pub fn from_list(list: &[IpAddr], expires: Millis) -> Addresses {
        let pick = |v6: bool| -> Option<Arc<[IpAddr]>> {
            let picked: Vec<IpAddr> = list.iter().copied().filter(|address| address.is_ipv6() == v6).collect();
            (!picked.is_empty()).then(|| picked.into())
        };
        Addresses { v6: pick(true), v4: pick(false), expires }
    }

    /// The IPv6 addresses, in the order in which the server gave them.
    pub fn v6(&self) -> &[IpAddr] {
        self.v6.as_deref().unwrap_or(&[])
    }

    /// The IPv4 addresses, in the order in which the server gave them.
    pub fn v4(&self) -> &[IpAddr] {
        self.v4.as_deref().unwrap_or(&[])
    }

    /// All addresses, IPv6 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.v6().iter().chain(self.v4()).copied()
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.v6().len() + self.v4().len()
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long they may still be used; zero when their time is over.
    pub fn ttl(&self, now: Millis) -> Duration {
        Duration::from_millis(self.expires.saturating_sub(now))
    }

    /// When their time is over.
    pub(crate) fn expires(&self) -> Millis {
        self.expires
    }

    /// The same without the families that are not wanted.
    pub(crate) fn only(mut self, wants: crate::Families) -> Addresses {
        if !wants.v4 {
            self.v4 = None;
        }
        if !wants.v6 {
            self.v6 = None;
        }
        self
    }
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The client's: not a name that DNS can carry (RFC 1035 section 2.3.4), or an address that is not written as one.
    BadName,
    /// The name does not exist (NXDOMAIN).
    NotFound,
    /// The name exists and has no address of a wanted family (RFC 2308 section 2.2).
    NoAddress,
    /// Every server answered with an error or with something unusable.
    ServerFailure,
    /// No server answered in time.
    Timeout,
    /// Every server's host said that nothing listens there.
    Unreachable,
    /// The chain of aliases is too long or runs in a circle.
    Loop,
    /// No server is configured.
    NoServers,
    /// Ours: too many questions are open already.
    Overloaded,
}

impl Failure {
    /// Whether servers said for sure that there is no address, so that asking again is useless for a while.
    pub fn is_final(self) -> bool {
        matches!(self, Failure::BadName | Failure::NotFound | Failure::NoAddress)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::BadName => "not a valid host name",
            Failure::NotFound => "no such host name",
            Failure::NoAddress => "the host name has no address",
            Failure::ServerFailure => "the name servers answered with an error",
            Failure::Timeout => "no name server answered in time",
            Failure::Unreachable => "no name server can be reached",
            Failure::Loop => "the host name's aliases run in a circle or are too many",
            Failure::NoServers => "no name server is configured",
            Failure::Overloaded => "too many names are being looked up",
        })
    }
}

impl std::error::Error for Failure {}

/// What is known of one family of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// At least one address.
    Found(Arc<[IpAddr]>),
    /// The name is there, the family is not.
    NoAddress,
    /// The name is not there.
    NotFound,
    /// Nothing could be learned.
    Failed(Failure),
}

/// The end of the time of a "no" that came without an SOA. The waiting lookups get it, and the cache does not keep it.
pub(crate) const UNTOLD: Millis = 0;

/// An answer and the end of its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) answer: Answer,
    pub(crate) expires: Millis,
}

impl Stored {
    fn found(&self) -> Option<&Arc<[IpAddr]>> {
        match &self.answer {
            Answer::Found(list) => Some(list),
            _ => None,
        }
    }

    /// Whether a server said that there is none.
    pub(crate) fn is_no(&self) -> bool {
        matches!(self.answer, Answer::NoAddress | Answer::NotFound)
    }

    /// Whether there are addresses to connect to.
    pub(crate) fn is_found(&self) -> bool {
        self.found().is_some()
    }

    /// The failure that this stands for; `NoAddress` also where there are addresses, which callers exclude first.
    fn failure(&self) -> Failure {
        match self.answer {
            Answer::Found(_) | Answer::NoAddress => Failure::NoAddress,
            Answer::NotFound => Failure::NotFound,
            Answer::Failed(failure) => failure,
        }
    }
}

/// The result of a name from its two families; `None` is a family that was not asked for or whose answer is still out.
///
/// One family with addresses is enough. Without any, NXDOMAIN speaks for the whole name (RFC 8020), and a failure
/// weighs more than NODATA because the failed family might have had an address.
pub(crate) fn combine(v6: Option<&Stored>, v4: Option<&Stored>) -> Result<Addresses, Failure> {
    let found = |stored: Option<&Stored>| stored.and_then(Stored::found).cloned();
    let expires = [v6, v4].into_iter().flatten().filter(|s| s.is_found()).map(|s| s.expires).min();
    if let Some(expires) = expires {
        return Ok(Addresses::new(found(v6), found(v4), expires));
    }
    let failures = || [v6, v4].into_iter().flatten().map(Stored::failure);
    let worst = |wanted: Failure| failures().find(|&failure| failure == wanted);
    Err(worst(Failure::NotFound)
        .or_else(|| failures().find(|&failure| failure != Failure::NoAddress))
        .unwrap_or(Failure::NoAddress))
}

/// The lists of a name that is a loopback name (RFC 6761 section 6.3).
pub(crate) fn loopback(expires: Millis) -> Addresses {
    use std::net::{Ipv4Addr, Ipv6Addr};
    Addresses::from_list(&[Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()], expires)
}

impl Family {
    /// The place of the family in a pair.
    pub(crate) fn index(self) -> usize {
        match self {
            Family::V6 => 0,
            Family::V4 => 1,
        }
    }

    /// Both, in the order in which they are asked (RFC 8305 section 3: AAAA first).
    pub(crate) const BOTH: [Family; 2] = [Family::V6, Family::V4];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(answer: Answer, expires: Millis) -> Stored {
        Stored { answer, expires }
    }

    fn found(text: &str, expires: Millis) -> Stored {
        stored(Answer::Found([text.parse::<IpAddr>().unwrap()].into()), expires)
    }

    #[test]
    fn one_family_with_addresses_is_enough() {
        let failed = stored(Answer::Failed(Failure::Timeout), 1);
        let both = combine(Some(&failed), Some(&found("192.0.2.1", 500))).unwrap();
        assert_eq!(both.iter().collect::<Vec<_>>(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(both.ttl(100), Duration::from_millis(400));
    }

    #[test]
    fn the_shorter_time_counts() {
        let both = combine(Some(&found("2001:db8::1", 900)), Some(&found("192.0.2.1", 500))).unwrap();
        assert_eq!(both.ttl(0), Duration::from_millis(500));
        assert_eq!((both.v6().len(), both.v4().len(), both.len()), (1, 1, 2));
        assert!(both.iter().next().unwrap().is_ipv6());
    }

    #[test]
    fn failures_are_ranked() {
        let none = stored(Answer::NoAddress, 1);
        let gone = stored(Answer::NotFound, 1);
        let late = stored(Answer::Failed(Failure::Timeout), 1);
        for (v6, v4, expected) in [
            (Some(&none), Some(&none), Failure::NoAddress),
            (Some(&none), Some(&gone), Failure::NotFound),
            (Some(&late), Some(&gone), Failure::NotFound),
            (Some(&none), Some(&late), Failure::Timeout),
            (None, None, Failure::NoAddress),
        ] {
            assert_eq!(combine(v6, v4), Err(expected));
        }
    }

    #[test]
    fn text_of_failures_has_no_full_stop() {
        for failure in [Failure::BadName, Failure::NotFound, Failure::Timeout, Failure::Overloaded] {
            assert!(!failure.to_string().ends_with('.'));
        }
        assert!(Failure::NotFound.is_final() && !Failure::ServerFailure.is_final());
    }
}

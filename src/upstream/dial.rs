//! Racing connects: which address is tried when, and what a failed race means (RFC 8305 §5). Knows no socket.
//!
//! A later attempt leaves the earlier ones running: far servers answer late, and the first handshake to finish wins. Only
//! where as many attempts as may run have been hanging for long does the oldest give its place to the next address. How many
//! may run is for the owner to say: where descriptors are short, a race goes on with fewer of them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use reactor::Millis;

/// Pause before the next address is tried beside the earlier ones (RFC 8305 §8).
const ATTEMPT_DELAY: Millis = 250;

/// Most addresses tried for one request. A name with more has them on the same few networks.
const MAX_ADDRESSES: usize = 16;

/// Attempts that run at the same time, to bound descriptors and SYNs per request.
const MAX_PARALLEL: usize = 4;

/// How long an attempt may hang before it gives its place to an address that was not tried yet: the system has sent its
/// SYN for the third time after three seconds (RFC 6298 §2), and the answer to that one has had a second to come.
const HANGING: Millis = 4_000;

/// The same for a race that may have no further attempt beside those that run: it could not go through its addresses in the
/// time of a request else. The system has sent a SYN for the second time after one second.
const HANGING_SHRUNK: Millis = 2_000;

/// Why no connection came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialError {
    /// Every address refused the connection.
    Refused,
    /// No address can be reached from here.
    Unreachable,
    /// No address answered in time.
    TimedOut,
    /// This host has no port, descriptor or memory left for another connection.
    Exhausted,
    /// Something else, by the system's number (errno(3)).
    Other(i32),
}

impl DialError {
    /// Sorts an error of connect(2) or socket(2).
    pub fn of(error: &io::Error) -> DialError {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ECONNRESET) => DialError::Refused,
            Some(
                libc::ENETUNREACH
                | libc::EHOSTUNREACH
                | libc::ENETDOWN
                | libc::EAFNOSUPPORT
                | libc::EACCES
                | libc::EPERM,
            ) => DialError::Unreachable,
            Some(libc::ETIMEDOUT) => DialError::TimedOut,
            Some(libc::EADDRNOTAVAIL | libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                DialError::Exhausted
            }
            Some(number) => DialError::Other(number),
            None => DialError::Other(0),
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::Refused => out.write_str("connection refused"),
            DialError::Unreachable => out.write_str("destination unreachable"),
            DialError::TimedOut => out.write_str("connection timed out"),
            DialError::Exhausted => out.write_str("no port, descriptor or memory left for another connection"),
            DialError::Other(number) => write!(out, "{}", io::Error::from_raw_os_error(*number)),
        }
    }
}

/// The race for one request.
#[derive(Debug)]
pub struct Race {
    addresses: Vec<SocketAddr>,
    next: usize,
    /// The attempts under way and when each began, the oldest first.
    running: Vec<(SocketAddr, Millis)>,
    /// When another address may be tried beside those that run.
    due: Millis,
    error: Option<DialError>,
}

/// What the race wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Try this address now.
    Try(SocketAddr),
    /// Give up the attempt at this address; it has been taken off the race.
    GiveUp(SocketAddr),
    /// Wait until then, or for an attempt to end.
    Wait(Millis),
    /// Wait for an attempt to end.
    WaitForEnd,
    /// No attempt is left, and none has won.
    Lost(DialError),
}

impl Race {
    /// A race between the addresses of one name, in the order in which they are to be tried.
    pub fn new(addresses: Vec<SocketAddr>, now: Millis) -> Race {
        let mut addresses = addresses;
        addresses.truncate(MAX_ADDRESSES);
        Race { addresses, next: 0, running: Vec::new(), due: now, error: None }
    }

    /// More addresses of the same name have become known; those that are known already are passed over. The next one is
    /// of the other family, if there is one, as it would be had all been known at the start.
    pub fn extend(&mut self, more: &[IpAddr], now: Millis) {
        let Some(port) = self.addresses.first().map(SocketAddr::port) else { return };
        let known = |address: &IpAddr| self.addresses.iter().any(|known| known.ip() == *address);
        let fresh: Vec<_> =
            more.iter().filter(|address| !known(address)).map(|ip| SocketAddr::new(*ip, port)).collect();
        // All that was known had been tried, so the wait since the last attempt counts as over.
        if self.next >= self.addresses.len() {
            self.due = self.due.max(now);
        }
        // The new addresses go before the untried ones: those are of the family that had its turn last (RFC 8305 §4).
        self.addresses.splice(self.next..self.next, fresh);
        self.addresses.truncate(MAX_ADDRESSES);
    }

    /// Attempts under way.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// What to do next. `may_add` is asked for each attempt beside others; when it says yes, that attempt is what comes next.
    pub fn poll(&mut self, now: Millis, may_add: impl FnOnce() -> bool) -> Step {
        // All addresses have been tried. The race is lost when the last attempt has ended, with the clearest of the
        // errors.
        let Some(&address) = self.addresses.get(self.next) else {
            return if self.running.is_empty() {
                Step::Lost(self.error.unwrap_or(DialError::Unreachable))
            } else {
                Step::WaitForEnd
            };
        };
        // While attempts run the next one waits 250 ms beside them (RFC 8305 §5). With four of them it waits until the
        // oldest has hung for four seconds, and takes its place: four dead addresses must not hide the living ones behind
        // them until the request has timed out.
        if let Some(&(oldest, since)) = self.running.first() {
            let full = self.running.len() >= MAX_PARALLEL;
            if now < self.due && !full {
                return Step::Wait(self.due);
            }
            if full || !may_add() {
                // A race that was refused asks again soon: others may have ended by then.
                let (patience, again) =
                    if full { (HANGING, Millis::MAX) } else { (HANGING_SHRUNK, now + ATTEMPT_DELAY) };
                let due = self.due.max(since + patience);
                if now < due {
                    return Step::Wait(due.min(again));
                }
                self.end(oldest, DialError::TimedOut);
                return Step::GiveUp(oldest);
            }
        }
        self.next += 1;
        self.running.push((address, now));
        self.due = now + ATTEMPT_DELAY;
        Step::Try(address)
    }

    /// The attempt at this address has failed: the next address need not wait.
    pub fn handle_failed(&mut self, address: SocketAddr, error: DialError, now: Millis) {
        self.due = now;
        self.end(address, error);
    }

    fn end(&mut self, address: SocketAddr, error: DialError) {
        self.running.retain(|(running, _)| *running != address);
        // A time-out says less about the destination than a clear refusal does.
        if self.error.is_none() || self.error == Some(DialError::TimedOut) {
            self.error = Some(error);
        }
    }
}

/// The order in which addresses are tried: families take turns, the first family first (RFC 8305 §4), and addresses
/// that failed lately come last.
pub fn order(addresses: &[IpAddr], mut failed_lately: impl FnMut(IpAddr) -> bool) -> Vec<IpAddr> {
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == addresses[0].is_ipv6());
    let mut turns = Vec::with_capacity(addresses.len());
    first.reverse();
    second.reverse();
    while !(first.is_empty() && second.is_empty()) {
        turns.extend(first.pop());
        turns.extend(second.pop());
    }
    let (late, good): (Vec<_>, Vec<_>) = turns.into_iter().partition(|address| failed_lately(*address));
    good.into_iter().chain(late).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn place(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 80))
    }

    fn race(count: u8) -> Race {
        Race::new((1..=count).map(place).collect(), 0)
    }

    #[test]
    fn families_take_turns_and_late_failures_come_last() {
        let all = addresses(&["2001:db8::1", "2001:db8::2", "192.0.2.1"]);
        let order_of = |failed: &str| -> Vec<String> {
            order(&all, |address| address.to_string() == failed).iter().map(ToString::to_string).collect()
        };
        assert_eq!(order_of(""), ["2001:db8::1", "192.0.2.1", "2001:db8::2"]);
        assert_eq!(order_of("2001:db8::1"), ["192.0.2.1", "2001:db8::2", "2001:db8::1"]);
    }

    #[test]
    fn row_20_a_later_attempt_leaves_the_earlier_one_running() {
        let mut race = race(2);
        assert!(matches!(race.poll(0, || true), Step::Try(_)));
        assert_eq!(race.poll(0, || true), Step::Wait(250));
        assert!(matches!(race.poll(250, || true), Step::Try(_)));
        assert_eq!(race.poll(250, || true), Step::WaitForEnd);
        race.handle_failed(place(1), DialError::Refused, 300);
        assert_eq!(race.poll(300, || true), Step::WaitForEnd, "one attempt still runs");
        race.handle_failed(place(2), DialError::TimedOut, 400);
        assert_eq!(race.poll(400, || true), Step::Lost(DialError::Refused), "the clearer error is kept");
    }

    #[test]
    fn a_failure_starts_the_next_attempt_at_once() {
        let mut race = race(2);
        assert!(matches!(race.poll(0, || true), Step::Try(_)));
        race.handle_failed(place(1), DialError::Unreachable, 1);
        assert!(matches!(race.poll(1, || true), Step::Try(_)));
    }

    #[test]
    fn row_18_attempts_are_bounded_in_parallel_and_in_all() {
        let (mut race, mut now, mut tried, mut running) = (race(200), 0, 0, Vec::new());
        let mut most = 0;
        loop {
            match race.poll(now, || true) {
                Step::Try(address) => {
                    tried += 1;
                    running.push(address);
                }
                Step::GiveUp(address) => assert_eq!(running.remove(0), address, "the oldest goes first"),
                Step::Wait(at) => now = at,
                Step::WaitForEnd => race.handle_failed(running.remove(0), DialError::TimedOut, now),
                Step::Lost(error) => {
                    assert_eq!((tried, most, error), (16, 4, DialError::TimedOut));
                    break;
                }
            }
            most = most.max(running.len());
        }
    }

    /// Four dead addresses in front of a living one must not hide it for as long as the request lasts.
    #[test]
    fn where_four_hang_the_oldest_gives_its_place_to_the_fifth() {
        let mut race = race(6);
        for last in 1..=4 {
            let at = Millis::from(last - 1) * 250;
            assert_eq!(race.poll(at, || true), Step::Try(place(last)));
        }
        assert_eq!(race.poll(750, || true), Step::Wait(4_000), "each has its time");
        assert_eq!(race.poll(4_000, || true), Step::GiveUp(place(1)));
        assert_eq!(race.poll(4_000, || true), Step::Try(place(5)));
        assert_eq!(race.poll(4_000, || true), Step::Wait(4_250));
        assert_eq!(race.poll(4_250, || true), Step::GiveUp(place(2)));
        assert_eq!(race.poll(4_250, || true), Step::Try(place(6)));
        assert_eq!(race.poll(4_500, || true), Step::WaitForEnd, "no address is left to give a place to");
    }

    #[test]
    fn no_address_at_all_is_unreachable() {
        assert_eq!(race(0).poll(0, || true), Step::Lost(DialError::Unreachable));
    }

    /// Without room for a second attempt the addresses are tried one after the other, and each gets less time.
    #[test]
    fn b3_a_race_that_may_not_have_more_attempts_goes_on_with_one() {
        let (mut race, mut now, mut tried) = (race(16), 0, Vec::new());
        while now < 20_000 {
            match race.poll(now, || false) {
                Step::Try(address) => tried.push((now, address)),
                Step::Wait(at) => {
                    assert!(at > now && at <= now + 250, "it asks again soon");
                    now = at;
                }
                Step::GiveUp(address) => assert_eq!(tried.last().map(|(_, tried)| *tried), Some(address)),
                step => panic!("{step:?}"),
            }
            assert!(race.running() <= 1);
        }
        let expected: Vec<_> = (0..10).map(|number| (u64::from(number) * 2_000, place(number + 1))).collect();
        assert_eq!(tried, expected);
    }

    #[test]
    fn b3_a_race_takes_up_what_becomes_free() {
        let mut race = race(4);
        assert_eq!(race.poll(0, || panic!("the first needs no leave")), Step::Try(place(1)));
        assert_eq!(race.poll(0, || panic!("it is not due")), Step::Wait(250));
        assert_eq!(race.poll(250, || false), Step::Wait(500));
        assert_eq!(race.poll(500, || true), Step::Try(place(2)));
        assert_eq!(race.poll(750, || false), Step::Wait(1_000));
        assert_eq!(race.poll(2_000, || false), Step::GiveUp(place(1)));
        assert_eq!(race.poll(2_000, || true), Step::Try(place(3)), "in its place");
        assert_eq!(race.running(), 2);
    }
}

//! What the loops of a process share: how many clients each has, the tables that clients are counted in, and the cache. Counts
//! are atomics; a table is locked for a moment. A process with one loop has none of it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use reactor::Millis;

use super::mailbox::Bell;
use crate::cache::shards::Shards;
use crate::exchange::ingress::Ingress;
use crate::policy::credentials::failures::LoginFailures;
use crate::policy::credentials::kept::KeptLogins;
use crate::policy::own_ends::OwnEnds;
use crate::policy::places::Places;
use crate::policy::rates::Meter;
use crate::policy::shares::ClientKey;
use crate::proxy::report::Told;

/// Kinds of listeners.
const KINDS: usize = Ingress::ALL.len();

/// Parts of a table by client, each with a lock of its own, so that loops seldom meet at one.
const PARTS: usize = 16;

/// What all loops see.
#[derive(Debug)]
pub(in crate::proxy) struct Common {
    /// What wakes the first loop.
    first: Arc<Bell>,
    /// Clients by loop and by [`Ingress::index`].
    inside: Vec<[AtomicUsize; KINDS]>,
    /// The first loop wants to know when a place becomes free.
    alert: AtomicBool,
    /// By loop: its threads are idle, and the loop gives them nothing to do.
    settled: Vec<AtomicBool>,
    start: Instant,
    places: OnceLock<Arc<ClientParts<Places>>>,
    meter: OnceLock<Arc<ClientParts<Meter>>>,
    cached: OnceLock<Arc<Shards>>,
    failures: Mutex<LoginFailures>,
    told: Mutex<Told>,
    /// Which credentials were found right, by realm.
    kept: [Mutex<KeptLogins>; 2],
    ends: Mutex<OwnEnds>,
    open_ends: AtomicUsize,
}

impl Common {
    /// For `count` loops; `first` wakes the first of them.
    pub(super) fn new(count: usize, first: Arc<Bell>) -> Common {
        let random = RandomState::new();
        Common {
            first,
            inside: (0..count).map(|_| Default::default()).collect(),
            alert: AtomicBool::new(false),
            settled: (0..count).map(|_| AtomicBool::new(false)).collect(),
            start: Instant::now(),
            places: OnceLock::new(),
            meter: OnceLock::new(),
            cached: OnceLock::new(),
            failures: Mutex::default(),
            told: Mutex::default(),
            kept: [0, 1]
                .map(|realm: u64| Mutex::new(KeptLogins::new((random.hash_one(realm), random.hash_one(realm + 2))))),
            ends: Mutex::default(),
            open_ends: AtomicUsize::new(0),
        }
    }

    /// How many loops there are.
    pub(in crate::proxy) fn count(&self) -> usize {
        self.inside.len()
    }

    /// Milliseconds of a clock that is the same in all loops.
    pub(in crate::proxy) fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// A client of this kind belongs to that loop from now on.
    pub(in crate::proxy) fn enter(&self, number: usize, ingress: Ingress) {
        self.inside[number][ingress.index()].fetch_add(1, Ordering::AcqRel);
    }

    /// A client of this kind has left that loop.
    pub(in crate::proxy) fn leave(&self, number: usize, ingress: Ingress) {
        self.inside[number][ingress.index()].fetch_sub(1, Ordering::SeqCst);
        if number > 0 && self.alert.load(Ordering::SeqCst) {
            self.first.ring();
        }
    }

    /// Clients of this kind, of all loops.
    pub(in crate::proxy) fn inside(&self, ingress: Ingress) -> usize {
        self.inside.iter().map(|kinds| kinds[ingress.index()].load(Ordering::SeqCst)).sum()
    }

    /// Clients of all loops but the first.
    pub(super) fn clients_of_others(&self) -> usize {
        self.inside.iter().skip(1).flatten().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// Whether the first loop is woken when a place becomes free.
    pub(in crate::proxy) fn set_alert(&self, alert: bool) {
        if self.alert.load(Ordering::Relaxed) != alert {
            self.alert.store(alert, Ordering::SeqCst);
        }
    }

    /// Whether the threads of this loop have nothing to do.
    pub(super) fn settled(&self, number: usize) -> &AtomicBool {
        &self.settled[number]
    }

    /// The loop with fewest clients of those for which `can` holds: of equal ones the first, and of none at all the first loop.
    pub(super) fn emptiest(&self, can: impl Fn(usize) -> bool) -> usize {
        let clients =
            |kinds: &[AtomicUsize; KINDS]| kinds.iter().map(|kind| kind.load(Ordering::Relaxed)).sum::<usize>();
        let counted = self.inside.iter().map(clients).enumerate();
        counted.filter(|(number, _)| can(*number)).min_by_key(|(_, count)| *count).map_or(0, |(number, _)| number)
    }

    /// The places of each client.
    pub(in crate::proxy) fn places(&self, most: u32) -> Arc<ClientParts<Places>> {
        Arc::clone(self.places.get_or_init(|| Arc::new(ClientParts::new(|| Places::new(most)))))
    }

    /// The rates of each client.
    pub(in crate::proxy) fn meter(&self, make: impl Fn(usize) -> Meter) -> Arc<ClientParts<Meter>> {
        Arc::clone(self.meter.get_or_init(|| Arc::new(ClientParts::new(|| make(PARTS)))))
    }

    /// The cache that all loops share.
    pub(in crate::proxy) fn cached(&self, make: impl Fn() -> Arc<Shards>) -> Arc<Shards> {
        Arc::clone(self.cached.get_or_init(make))
    }

    /// Who has failed to log in.
    pub(in crate::proxy) fn failures(&self) -> MutexGuard<'_, LoginFailures> {
        locked(&self.failures)
    }

    /// What the log was told of.
    pub(in crate::proxy) fn told(&self) -> MutexGuard<'_, Told> {
        locked(&self.told)
    }

    /// The credentials that were found right in the realm of this index.
    pub(in crate::proxy) fn kept(&self, realm: usize) -> MutexGuard<'_, KeptLogins> {
        locked(&self.kept[realm])
    }

    /// A session has a connection with these ends, ours first.
    pub(in crate::proxy) fn enter_end(&self, session: u64, ours: SocketAddr, far: SocketAddr) {
        let mut ends = locked(&self.ends);
        ends.enter(session, ours, far);
        self.open_ends.store(ends.len(), Ordering::Release);
    }

    /// That connection has ended.
    pub(in crate::proxy) fn leave_end(&self, session: u64) {
        if self.has_ends() {
            let mut ends = locked(&self.ends);
            ends.leave(session);
            self.open_ends.store(ends.len(), Ordering::Release);
        }
    }

    /// Whether a session of any loop has such a connection.
    pub(in crate::proxy) fn has_ends(&self) -> bool {
        self.open_ends.load(Ordering::Acquire) > 0
    }

    /// Whether one of them comes `from` there, and leads to `going` where that is known.
    pub(in crate::proxy) fn have_end(&self, from: SocketAddr, going: Option<SocketAddr>) -> bool {
        locked(&self.ends).have(from, going)
    }
}

/// A table of clients in parts.
#[derive(Debug)]
pub(in crate::proxy) struct ClientParts<T> {
    parts: Vec<Mutex<T>>,
    random: RandomState,
}

impl<T> ClientParts<T> {
    fn new(make: impl Fn() -> T) -> ClientParts<T> {
        ClientParts { parts: (0..PARTS).map(|_| Mutex::new(make())).collect(), random: RandomState::new() }
    }

    fn of(&self, client: ClientKey) -> MutexGuard<'_, T> {
        // Its lowest bits are as random as all others.
        locked(&self.parts[self.random.hash_one(client) as usize % PARTS])
    }
}

/// A table by client: of this loop alone, or one that all loops share.
#[derive(Debug)]
pub(in crate::proxy) enum ByClient<T> {
    /// Of one loop.
    Own(T),
    /// Of all of them.
    Shared(Arc<ClientParts<T>>),
}

impl<T> ByClient<T> {
    /// Looks at the part in which this client is.
    pub(in crate::proxy) fn of<R>(&mut self, client: ClientKey, look: impl FnOnce(&mut T) -> R) -> R {
        match self {
            ByClient::Own(table) => look(table),
            ByClient::Shared(parts) => look(&mut parts.of(client)),
        }
    }

    /// Changes all parts.
    pub(in crate::proxy) fn each(&mut self, change: impl Fn(&mut T)) {
        match self {
            ByClient::Own(table) => change(table),
            ByClient::Shared(parts) => parts.parts.iter().for_each(|part| change(&mut locked(part))),
        }
    }
}

/// Locks a table. That a thread has panicked with it does no harm: none is ever left half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::Mailbox;
    use super::*;
    use crate::policy::places::PlaceVerdict;
    use reactor::poller::Poller;

    #[test]
    fn the_emptiest_loop_is_found_and_the_fullest_is_never_far_from_the_mean() {
        let first = Mailbox::<u32>::new(&mut Poller::new().unwrap()).unwrap();
        let common = Common::new(3, Arc::clone(first.bell()));
        for _ in 0..64 {
            common.enter(common.emptiest(|_| true), Ingress::Proxy);
        }
        let counts: Vec<usize> = common.inside.iter().map(|kinds| kinds[0].load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [22, 21, 21]);
        assert_eq!((common.inside(Ingress::Proxy), common.clients_of_others()), (64, 42));
        (0..21).for_each(|_| common.leave(1, Ingress::Proxy));
        assert_eq!((common.emptiest(|_| true), common.emptiest(|number| number != 1)), (1, 2));
    }

    #[test]
    fn a_client_is_in_one_part_of_a_table() {
        let parts = Arc::new(ClientParts::new(|| Places::new(1)));
        let (mut one, mut other) = (ByClient::Shared(Arc::clone(&parts)), ByClient::Shared(parts));
        let client = |number: u32| ClientKey::V4(number.into());
        for number in 0..100 {
            one.of(client(number), |places| places.enter(client(number), false));
        }
        let mut enter = |number| other.of(client(number), |places| places.enter(client(number), false));
        assert!((0..100).all(|number| enter(number) == PlaceVerdict::Refused));
        other.each(|places| places.set_most(2));
        assert_eq!(one.of(client(7), |places| places.most()), 2);
    }
}

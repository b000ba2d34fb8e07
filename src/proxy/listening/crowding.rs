//! Who gives way when all places of a kind are taken: clients that have ended their side first, then connections without a
//! request, those of the client with most connections first. Where that frees nothing, the client with most connections gives
//! up one on which bytes have moved least lately, for another client that holds fewer. Nothing is given up for one that
//! holds as many itself: its connections wait their turn.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use reactor::arena::Key;
use reactor::ready::Ready;
use reactor::Millis;

use crate::exchange::ingress::Ingress;
use crate::exchange::phase::PhaseKind;
use crate::policy::shares::ClientKey;
use crate::proxy::report::Trouble;
use crate::proxy::{Client, ListenAddress, Proxy};

/// Milliseconds for which a connection may be without a request before it can lose its place: a client that has just
/// connected is about to say what it wants.
const PATIENCE: Millis = 250;

/// Milliseconds after which those that wait outside are taken to wait in vain.
const STUCK: Millis = 1000;

/// Connections that give way at a look: a hundredth of all places, but no more than are accepted from one listener in a turn.
const SHARE: usize = 100;
const MOST: usize = 64;

/// Connections that are judged at a look. One that is turned away costs some 10 us, so that these cost less than a
/// millisecond.
const JUDGED: usize = 64;

/// Connections for each of which a millisecond passes between two looks. A look at 10,000 of them costs some 0.2 ms, so that
/// looking takes a twenty-fifth of the time.
const LOOKED_AT: usize = 2000;

/// A connection that may give way.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Standing {
    /// Those of a lower place go first.
    place: u8,
    /// Milliseconds since its phase began, or since bytes moved.
    waited: Millis,
    client: ClientKey,
    /// The number of its loop, and its key there.
    key: (usize, Key),
}

/// The place of those that are about to say what they want, and of those that are served. They give way only to a client that
/// holds fewer.
const YOUNG: u8 = 2;
const SERVED: u8 = 3;

/// What a client holds of the places.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    places: usize,
    /// Those of them without a request that do not give way yet.
    young: usize,
}

impl Proxy {
    /// Ends connections of this kind whose places others need. A client that has ended its side still gets its answer, but not
    /// at the price of one that waits outside.
    pub(in crate::proxy) fn make_room(&mut self, ingress: Ingress) {
        if !self.ask_standings(ingress) {
            self.clear(ingress, self.standings(ingress));
        }
    }

    /// Where the clients of this kind stand.
    pub(in crate::proxy) fn standings(&self, ingress: Ingress) -> Vec<Standing> {
        let (now, number) = (self.clock.now(), self.loops.as_ref().map_or(0, |loops| loops.number()));
        let of_kind =
            |(key, client): &(Key, &Client)| client.session.exchange.ingress() == ingress && !self.is_background(*key);
        let standing = |(key, client): (Key, &Client)| Standing::of((number, key), client, now);
        self.clients.iter().filter(of_kind).map(standing).collect()
    }

    /// Ends those connections of this kind whose places others need.
    pub(in crate::proxy) fn clear(&mut self, ingress: Ingress, mut standing: Vec<Standing>) {
        let now = self.clock.now();
        let mut held: HashMap<ClientKey, Held> = HashMap::new();
        for one in &standing {
            let held = held.entry(one.client).or_default();
            held.places += 1;
            held.young += usize::from(one.place == YOUNG);
        }
        let looked_at = standing.len();
        let rank = |one: &Standing| {
            // Among those that are served, and those that will be, only who has most counts, and for how long.
            let place = one.place.min(YOUNG);
            (place, Reverse(held[&one.client].places), Reverse(one.waited), one.key.1.generation)
        };
        let most = (self.listeners.limit(ingress) / SHARE).clamp(1, MOST);
        if standing.len() > most {
            standing.select_nth_unstable_by_key(most, rank);
            standing.truncate(most);
        }
        standing.sort_unstable_by_key(rank);
        let others = standing.split_off(standing.partition_point(|one| one.place < YOUNG));
        let changed = !standing.is_empty() || self.judge(ingress, held, others);
        for idle in standing {
            self.take_place(idle.key, false);
        }
        let early = now + 1 + (looked_at / LOOKED_AT) as Millis;
        self.listeners.look_again(ingress, early, if changed { early } else { now + PATIENCE });
    }

    /// Gives places of `standing` connections to those that wait outside and hold fewer. True if there was something to do.
    fn judge(&mut self, ingress: Ingress, mut held: HashMap<ClientKey, Held>, standing: Vec<Standing>) -> bool {
        let now = self.clock.now();
        let half = self.listeners.limit(ingress) / 2;
        let alone = held.len() < 2;
        let mut standing = standing.into_iter().peekable();
        let mut queue = self.listeners.take_outside(ingress);
        let stuck = queue.front().is_some_and(|first| now >= first.since + STUCK);
        // Behind those that wait it cannot be seen whose the next are. So those of a client with more than half of all places
        // are turned away where there are others, or where nothing moves.
        let hopeless = |held: &Held| held.places > half && (!alone || stuck && held.young == 0);
        let full = held.values().any(hopeless);
        let (mut outside, mut changed) = (VecDeque::new(), false);
        for _ in 0..JUDGED {
            let next = match queue.pop_front() {
                None if outside.len() < ListenAddress::OUTSIDE || full => self.listeners.accept_outside(ingress, now),
                next => next,
            };
            let Some(next) = next else { break };
            let client = ClientKey::from(next.arrival.peer.id());
            let own = held.get(&client).copied().unwrap_or_default();
            if let Some(greedy) = standing.next_if(|greedy| held[&greedy.client].places > own.places + 1) {
                self.report_crowd(greedy.client, held[&greedy.client].places, ingress);
                held.entry(greedy.client).and_modify(|held| held.places -= 1);
                held.entry(client).or_default().places += 1;
                self.take_place(greedy.key, true);
                self.place(next.stream, &next.arrival);
            } else if outside.len() < ListenAddress::OUTSIDE {
                outside.push_back(next);
                continue;
            } else if hopeless(&own) {
                self.counters.turned_away += 1;
            } else {
                outside.push_back(next);
                break;
            }
            changed = true;
        }
        outside.append(&mut queue);
        self.listeners.keep_outside(ingress, outside);
        changed
    }

    /// Ends the connection of a client of this loop; a request that is served gets an answer if it has none yet.
    pub(in crate::proxy) fn give_way(&mut self, key: Key, served: bool) {
        if served {
            self.with_exchange(key, |exchange, cx| exchange.handle_crowded(cx));
            self.drive(key);
        }
        self.with_exchange(key, |exchange, cx| exchange.handle_displaced(cx.now));
        self.drive(key);
    }

    fn report_crowd(&mut self, client: ClientKey, held: usize, ingress: Ingress) {
        if self.may_report(Trouble::Crowded) {
            let name = ingress.name();
            log::error!(target: "server", "{client} has {held} connections to {name}, more than others, and gives up some for them");
        }
    }
}

impl Standing {
    /// Where a connection stands.
    fn of(key: (usize, Key), client: &Client, now: Millis) -> Standing {
        let exchange = &client.session.exchange;
        let waited = exchange.waited(now);
        let has_ended = client.session.client.ready.has(Ready::READ_CLOSED);
        let (place, waited) = match exchange.phase().kind() {
            PhaseKind::Deciding | PhaseKind::Resolving | PhaseKind::Connecting | PhaseKind::Relaying if has_ended => {
                (0, waited)
            }
            PhaseKind::Draining => (0, waited),
            PhaseKind::ProxyHeader | PhaseKind::Idle | PhaseKind::Head | PhaseKind::Hello if waited >= PATIENCE => {
                (1, waited)
            }
            PhaseKind::ProxyHeader | PhaseKind::Idle | PhaseKind::Head | PhaseKind::Hello => (YOUNG, waited),
            _ => (SERVED, exchange.still(now)),
        };
        Standing { place, waited, client: ClientKey::from(exchange.client()), key }
    }
}

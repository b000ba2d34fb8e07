//! Who gets the helpers: clients that ask for all they can get beside others that ask one thing at a time. Worlds that a seed
//! repeats, with the time of a counter.

use std::collections::{BTreeMap, HashMap};

use reactor::arena::{Arena, Key};
use reactor::Millis;

use super::*;

/// Milliseconds that a helper takes for a reply.
const THINKS: Millis = 200;

/// A pool whose helpers reply after [`THINKS`], and all that is under way.
struct World {
    pool: HelperPool,
    sessions: Arena<()>,
    now: Millis,
    /// Replies to come, by the time at which they do.
    replies: BTreeMap<(Millis, u64), (Key, u64)>,
    numbers: u64,
    /// Since when each question has waited.
    asked: HashMap<Ticket, Millis>,
}

impl World {
    /// So many helpers, all of which serve.
    fn new(helpers: usize) -> World {
        let settings =
            PoolSettings { minimum: helpers, maximum: helpers, timeout: 10_000, queue: 100_000, concurrency: 1 };
        let mut pool = HelperPool::new(settings, 1);
        pool.settle(1);
        let starts: Vec<PoolAction> = std::iter::from_fn(|| pool.poll()).collect();
        for start in starts {
            let PoolAction::Start(key, _) = start else { panic!("{start:?} instead of a start") };
            pool.handle_started(key, 1);
        }
        World { pool, sessions: Arena::new(), now: 1, replies: BTreeMap::new(), numbers: 0, asked: HashMap::new() }
    }

    /// Asks, and says whether a helper was free for it.
    fn ask(&mut self, client: u32) -> (Ticket, bool) {
        let who = self.sessions.insert(());
        let ticket = self.pool.ask(who, key_of(client), self.now).expect("room in the queue");
        self.asked.insert(ticket, self.now);
        self.take();
        (ticket, !self.pool.is_waiting(ticket))
    }

    /// Takes what was put before helpers.
    fn take(&mut self) {
        while let Some(action) = self.pool.poll() {
            let PoolAction::Ask { helper, channel, .. } = action else { panic!("{action:?} instead of a question") };
            self.numbers += 1;
            self.replies.insert((self.now + THINKS, self.numbers), (helper, channel));
        }
    }

    /// A millisecond later: the replies of that time, with whose they are and how long each took from its question.
    fn pass(&mut self) -> Vec<(Ticket, ClientKey, Millis)> {
        self.now += 1;
        let mut answered = Vec::new();
        while let Some(first) = self.replies.first_entry().filter(|first| first.key().0 <= self.now) {
            let (helper, channel) = first.remove();
            let reply = self.pool.handle_reply(helper, Some(channel), self.now).expect("somebody waits for it");
            self.pool.settle(self.now);
            let asked = self.asked.remove(&reply.ticket).expect("it was asked once");
            answered.push((reply.ticket, reply.client, self.now - asked));
            self.take();
            self.assert_nobody_waits_in_vain();
        }
        answered
    }

    /// Questions wait only for helpers that are all busy, or free for others than those who have one.
    fn assert_nobody_waits_in_vain(&self) {
        let places = self.pool.settings.maximum;
        let free = places - self.replies.len();
        let kept = self.pool.reserve.kept(self.pool.waiting.clients(), places);
        assert!(self.pool.waiting.is_empty() || free == 0 || (!self.pool.waiting.is_first() && free <= kept));
    }

    /// Has this client have so many questions under way.
    fn top_up(&mut self, client: u32, own: &mut usize, to: usize) {
        while *own < to {
            self.ask(client);
            *own += 1;
        }
    }
}

fn key_of(client: u32) -> ClientKey {
    ClientKey::V4(client.into())
}

/// A number below `bound` (xorshift).
fn below(seed: &mut u64, bound: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) % bound
}

#[test]
fn b2_one_client_alone_has_all_helpers() {
    for helpers in [1, 2, 5, 25] {
        let (mut world, mut own, mut answered) = (World::new(helpers), 0, 0);
        while world.now <= 20 * THINKS {
            world.top_up(1, &mut own, 100);
            let replies = world.pass().len();
            (own, answered) = (own - replies, answered + replies);
        }
        assert_eq!(answered, 20 * helpers);
    }
}

#[test]
fn b2_a_newcomer_waits_for_one_reply_and_then_finds_a_helper_free() {
    let (mut world, mut own) = (World::new(5), 0);
    world.top_up(1, &mut own, 100);
    let (ticket, at_once) = world.ask(2);
    assert!(!at_once, "nobody else had asked");
    let replies = (0..).map(|_| world.pass()).find(|replies| !replies.is_empty()).expect("replies");
    assert!(!world.pool.is_waiting(ticket) && replies.len() == 5);
    for _ in 0..1_000 {
        if world.pass().iter().any(|(_, client, _)| *client == key_of(2)) {
            break;
        }
    }
    assert_eq!(world.replies.len(), 4, "the greedy one has all but the one that is kept");
    assert!(world.ask(2).1 && !world.ask(2).1, "and one only");
}

/// The first question of a client finds a helper free wherever as many clients had questions at a time before, once what the
/// greedy ones had then is answered.
#[test]
fn b2_others_never_wait_for_the_greedy_once_they_are_known() {
    for seed in 1..=60u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let helpers = 2 + below(&mut random, 30) as usize;
        let others = 1 + below(&mut random, (helpers as u64 * 4 / 5).saturating_sub(3).max(1)) as usize;
        let greedy = 1 + below(&mut random, 3) as u32;
        let pauses = 1 + below(&mut random, 2_000);
        let mut world = World::new(helpers);
        let mut owns = vec![0; greedy as usize];
        let mut due: Vec<Option<Millis>> = (0..others).map(|_| Some(below(&mut random, pauses))).collect();
        let (mut most, mut learned, mut asked) = (0, 0, 0);
        // For less than the time after which a number of clients is forgotten.
        while world.now < 9_000 {
            for (number, own) in owns.iter_mut().enumerate() {
                world.top_up(1 + number as u32, own, 3 * helpers);
            }
            for (number, due) in due.iter_mut().enumerate() {
                if due.is_some_and(|due| due <= world.now) {
                    let there = world.pool.waiting.clients() + 1;
                    let at_once = world.ask(1_000 + number as u32).1;
                    let known = there <= most && world.now > learned + 2 * THINKS;
                    assert!(at_once || !known, "seed {seed}: {there} of {most}");
                    if there > most {
                        (most, learned) = (there, world.now);
                    }
                    (asked, *due) = (asked + 1, None);
                }
            }
            for (_, client, took) in world.pass() {
                let own = (1..=greedy).find(|number| key_of(*number) == client);
                match own {
                    Some(number) => owns[number as usize - 1] -= 1,
                    None => {
                        let number = (0..others).find(|number| key_of(1_000 + *number as u32) == client).expect("one");
                        // In turns with all others, should those be more than the helpers.
                        let turns = 2 + (others + greedy as usize) / helpers;
                        assert!(took <= turns as Millis * THINKS, "seed {seed}: {took} ms");
                        due[number] = Some(world.now + below(&mut random, pauses));
                    }
                }
            }
        }
        assert!(asked > 2 * others, "seed {seed}: {asked} questions of {others}");
        assert!(world.replies.len() + others >= helpers, "seed {seed}: only what others need is kept");
    }
}

#[test]
fn b2_clients_that_want_all_get_the_same() {
    for greedy in [2u32, 3, 7] {
        let (mut world, mut owns) = (World::new(5), vec![0; greedy as usize]);
        let mut answered = vec![0; greedy as usize];
        while world.now < 420 * THINKS {
            for (number, own) in owns.iter_mut().enumerate() {
                world.top_up(1 + number as u32, own, 50);
            }
            for (_, client, _) in world.pass() {
                let number = (0..greedy).find(|number| key_of(1 + *number) == client).expect("one of them") as usize;
                owns[number] -= 1;
                answered[number] += 1;
            }
        }
        let (least, most) = (answered.iter().min().expect("some"), answered.iter().max().expect("some"));
        assert!(most - least <= 10, "{answered:?}");
        assert!(answered.iter().sum::<i32>() >= 5 * 419, "no helper was idle: {answered:?}");
    }
}

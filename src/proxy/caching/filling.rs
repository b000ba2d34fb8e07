//! Bodies of responses that are kept: read from their origins on behalf of all who want them, as fast as these send, and
//! handed to the cache.

use reactor::arena::Key;
use reactor::Millis;

use super::desk::CacheDesk;
use super::fill::{Fill, FillStep, READ};
use crate::cache::fetches::FetchId;
use crate::cache::CacheJob;
use crate::http::framing::Framing;
use crate::io::owner::Owner;
use crate::proxy::Proxy;

/// Bytes of one body that are read before others get their turn.
const TURN: usize = 1 << 20;

impl CacheDesk {
    /// A fetch may go on, if it waited for its readers.
    pub(super) fn wake(&mut self, id: FetchId) {
        if let Some(key) = self.by_fetch.get(&id) {
            self.enqueue(*key);
        }
    }

    /// A body has something to do, once in each turn however many readers say so.
    pub(super) fn enqueue(&mut self, key: Key) {
        if let Some(fill) = self.fills.get_mut(key).filter(|fill| !fill.queued) {
            fill.queued = true;
            self.queue.push_back(key);
        }
    }

    /// Bodies that nothing has come of for too long, or that none wants any more.
    fn stale(&self, now: Millis, most: Millis) -> Vec<Key> {
        let late = |fill: &Fill| most > 0 && fill.touched + most <= now && self.cache.wants_more(fill.id);
        let over = |fill: &Fill| late(fill) || !self.cache.is_wanted(fill.id);
        self.fills.iter().filter(|(_, fill)| over(fill)).map(|(key, _)| key).collect()
    }
}

impl Proxy {
    /// Takes over the origin of a session, whose response goes to all who want it.
    pub(in crate::proxy) fn fill(&mut self, key: Key, job: &CacheJob, framing: Framing, keeps: bool, begun: Vec<u8>) {
        let now = self.clock.now();
        self.forget_own_end(key);
        let (Some(caching), Some(client)) = (&mut self.caching, self.clients.get_mut(key)) else { return };
        let (Some(origin), Some(id)) = (client.session.origin.take(), job.fetch) else { return };
        let route = origin.stream.route;
        let fill = Fill { origin, framing, pending: begun, id, keeps, touched: now, queued: false };
        let fill_key = caching.fills.insert(fill);
        caching.by_fetch.insert(id, fill_key);
        self.poller.assign(route, Owner::Fill(fill_key));
        self.begin_fill(fill_key);
    }

    /// Takes in what had come with the head.
    fn begin_fill(&mut self, key: Key) {
        let Some(caching) = &mut self.caching else { return };
        let (fills, mut bodies) = caching.bodies();
        let Some(fill) = fills.get_mut(key) else { return };
        let begun = std::mem::take(&mut fill.pending);
        let mut step = FillStep::More;
        // What came with a head may be longer than the buffer, as heads may.
        for piece in begun.chunks(READ) {
            if !matches!(step, FillStep::More) {
                break;
            }
            let kept = fill.pending.len();
            bodies.buffer[..kept].copy_from_slice(&fill.pending);
            bodies.buffer[kept..kept + piece.len()].copy_from_slice(piece);
            step = fill.absorb(kept + piece.len(), &mut bodies);
        }
        match step {
            FillStep::More | FillStep::Wait => caching.enqueue(key),
            over => self.end_fill(key, &over),
        }
    }

    /// Reads what has come of all bodies.
    pub(super) fn run_fills(&mut self) {
        let waiting = self.caching.as_ref().map_or(0, |caching| caching.queue.len());
        for _ in 0..waiting {
            let Some(key) = self.caching.as_mut().and_then(|caching| caching.queue.pop_front()) else { break };
            self.run_fill(key);
        }
    }

    fn run_fill(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(caching) = &mut self.caching else { return };
        let (fills, mut bodies) = caching.bodies();
        let Some(fill) = fills.get_mut(key) else { return };
        fill.queued = false;
        for _ in 0..TURN / READ {
            match fill.step(now, &mut bodies) {
                FillStep::More => {}
                FillStep::Wait => return,
                over => return self.end_fill(key, &over),
            }
        }
        caching.enqueue(key);
    }

    fn end_fill(&mut self, key: Key, step: &FillStep) {
        let Some(caching) = &mut self.caching else { return };
        let Some(fill) = caching.fills.remove(key) else { return };
        caching.by_fetch.remove(&fill.id);
        match step {
            FillStep::Complete(_) => caching.cache.finish(fill.id),
            _ => caching.cache.fail(fill.id),
        }
        match step {
            FillStep::Complete(true) => self.keep_connection(fill.origin),
            _ => self.poller.forget(fill.origin.stream.route),
        }
    }

    /// What is done once a second.
    pub(in crate::proxy) fn tick_cache(&mut self) {
        let (now, most) = (self.clock.now(), self.settings.limits.inactive);
        let seconds = self.clock.since_epoch(now) / 1000;
        let Some(caching) = &mut self.caching else { return };
        caching.cache.tick(seconds);
        for key in caching.stale(now, most) {
            self.end_fill(key, &FillStep::Broken);
        }
        self.serve_cache();
    }
}

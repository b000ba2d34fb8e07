//! Memory of heads beyond a block each, and of answers made for one client: which client holds how much of it, and what becomes of
//! a head or an answer for which there is no more. A usual one fits in a block and costs a comparison.

use std::collections::HashMap;

use reactor::arena::Key;

use super::report::Trouble;
use super::{Client, Proxy};
use crate::policy::shares::{ClientKey, Resource, Shares};

/// Bytes that all heads may take beyond a block of 16 KiB each: more than 1,300 heads of 64 KiB. Without a bound 32,768
/// clients at the limit of `http.header-size` would take 4 GiB.
pub(super) const BUDGET: usize = 64 << 20;

/// The least that a loop has of it, where there are many: two heads as long as any may be, each of which is half of what is free.
const LEAST: usize = 4 << 20;

/// What is counted of a session.
#[derive(Clone, Copy, Debug)]
struct Charge {
    client: ClientKey,
    bytes: u32,
}

/// What is counted of each session with a head beyond a block.
#[derive(Debug)]
pub(super) struct Heads {
    charges: HashMap<Key, Charge>,
}

impl Heads {
    /// None are counted; sets what all clients share, of which each loop has its part.
    pub(super) fn new(shares: &mut Shares, loops: usize) -> Heads {
        shares.set_limit(Resource::HeadBytes, (BUDGET / loops).max(LEAST));
        Heads { charges: HashMap::new() }
    }
}

/// Does a session hold anything for heads that is counted, or did it at the last look?
pub(super) fn is_heavy(client: &Client) -> bool {
    client.heavy || client.session.head_bytes() > 0
}

impl Proxy {
    /// Counts what a session holds for heads. False if that is more than its client may have: then its exchange has learned
    /// so, and has something else to do than before. What it holds by then is at most one head too much. To be asked of a
    /// session that [`is_heavy`].
    pub(super) fn weigh(&mut self, key: Key) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return true };
        let bytes = client.session.head_bytes();
        client.heavy = bytes > 0;
        // A sum of a few heads, each of 1 MiB at most, and an answer of 4 MiB.
        let now = Charge { client: ClientKey::from(client.session.exchange.client()), bytes: bytes as u32 };
        let before = match now.bytes {
            0 => self.heads.charges.remove(&key),
            _ => self.heads.charges.insert(key, now),
        };
        let mut grown = now.bytes;
        if let Some(before) = before {
            // What changes hands, because a field has named the client, is taken anew.
            let kept = if before.client == now.client { before.bytes.min(now.bytes) } else { 0 };
            self.shares.give_back(before.client, Resource::HeadBytes, before.bytes - kept);
            grown -= kept;
        }
        if grown == 0 || self.shares.take(now.client, Resource::HeadBytes, grown) {
            return true;
        }
        self.shares.add(now.client, Resource::HeadBytes, grown);
        !self.refuse_head(key, now.client)
    }

    /// False where the exchange is past its head, so that nothing can be refused.
    fn refuse_head(&mut self, key: Key, client: ClientKey) -> bool {
        if self.with_exchange(key, |exchange, cx| exchange.handle_head_refused(cx)) != Some(true) {
            return false;
        }
        self.counters.heads_refused += 1;
        if self.may_report(Trouble::TooManyHeads) {
            let held = self.shares.held(client, Resource::HeadBytes) >> 10;
            log::error!(target: "client", "{client} has large heads or pages of {held} KiB in all, and may not have more");
        }
        true
    }

    /// A session has ended.
    pub(super) fn forget_heads(&mut self, key: Key, client: &Client) {
        if client.heavy {
            if let Some(charge) = self.heads.charges.remove(&key) {
                self.shares.give_back(charge.client, Resource::HeadBytes, charge.bytes);
            }
        }
    }
}

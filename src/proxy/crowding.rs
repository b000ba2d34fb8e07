//! Who gives way when all places of a kind are taken: clients that have ended their side first, then connections without a
//! request, those of the client with most connections before all others. Requests that are served for a client that
//! listens are never given up.

use std::cmp::Reverse;
use std::collections::HashMap;

use reactor::arena::Key;
use reactor::ready::Ready;
use reactor::Millis;

use super::{Client, Proxy};
use crate::exchange::ingress::Ingress;
use crate::exchange::phase::PhaseKind;
use crate::policy::shares::ClientKey;

/// Milliseconds for which a connection may be without a request before it can lose its place: a client that has just
/// connected is about to say what it wants.
const PATIENCE: Millis = 250;

/// Connections that give way at a look: a hundredth of all places, but no more than are accepted from one listener in a turn.
const SHARE: usize = 100;
const MOST: usize = 64;

/// Milliseconds between two looks while connections are found that give way; where none is found, [`PATIENCE`]. A look at
/// 10,000 connections costs some 0.2 ms.
const LOOK: Millis = 10;

impl Proxy {
    /// Ends connections of this kind whose places others need. A client that has ended its side still gets its answer, but not
    /// at the price of one that waits outside.
    pub(super) fn make_room(&mut self, ingress: Ingress) {
        let now = self.clock.now();
        let mut held: HashMap<ClientKey, usize> = HashMap::new();
        let mut idle = Vec::new();
        for (key, client) in self.clients.iter() {
            let exchange = &client.session.exchange;
            if exchange.ingress() == ingress {
                let who = ClientKey::from(exchange.client());
                *held.entry(who).or_default() += 1;
                idle.extend(standing(client, now).map(|standing| (standing, who, key)));
            }
        }
        let rank = |(standing, who, key): &(Standing, ClientKey, Key)| {
            (standing.place, Reverse(held[who]), Reverse(standing.waited), key.generation)
        };
        let most = (self.listeners.limit(ingress) / SHARE).clamp(1, MOST);
        if idle.len() > most {
            idle.select_nth_unstable_by_key(most, rank);
            idle.truncate(most);
        }
        self.listeners.look_again(ingress, now + if idle.is_empty() { PATIENCE } else { LOOK });
        for (_, _, key) in idle {
            self.with_exchange(key, |exchange, cx| exchange.handle_displaced(cx.now));
            self.drive(key);
        }
    }
}

/// How near a connection is to giving way.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Those of a lower place go first.
    place: u8,
    /// Milliseconds since its phase began.
    waited: Millis,
}

/// Where a connection stands; None if it keeps its place in any case.
fn standing(client: &Client, now: Millis) -> Option<Standing> {
    let waited = client.session.exchange.waited(now);
    let has_ended = client.session.client.ready.has(Ready::READ_CLOSED);
    match client.session.exchange.phase().kind() {
        PhaseKind::Deciding | PhaseKind::Resolving | PhaseKind::Connecting | PhaseKind::Relaying if has_ended => {
            Some(Standing { place: 0, waited })
        }
        PhaseKind::Draining => Some(Standing { place: 0, waited }),
        PhaseKind::ProxyHeader | PhaseKind::Idle | PhaseKind::Head if waited >= PATIENCE => {
            Some(Standing { place: 1, waited })
        }
        _ => None,
    }
}

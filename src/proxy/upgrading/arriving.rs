//! Tunnels that a drainer gives away, as the service takes them.

use reactor::sys::Packet;

use crate::cache::status::CacheResult;
use crate::exchange::NewHome;
use crate::io::origin::Scope;
use crate::proxy::parcels::{tell, IncomingTunnel, Label, Parcel, LATER, REFUSED};
use crate::proxy::Proxy;

/// The host by which a connection to an origin is known that has come with a tunnel: no request is ever for it.
const MOVED: &str = "moved";

impl Proxy {
    /// Takes a tunnel that a drainer offers, or tells the drainer that it cannot. False where the packet does not even say the
    /// number of the tunnel, so that no answer is possible.
    pub(super) fn take_tunnel(&mut self, place: usize, said: &[u8], packet: Packet) -> bool {
        let Packet { descriptors, whole, .. } = packet;
        let line = self.drainer_mut(place).and_then(|drainer| drainer.line.as_ref());
        let (Some(answer), Some(label)) = (line.map(|line| line.packets().clone()), Label::read(said)) else {
            return false;
        };
        let number = label.number;
        // Descriptors are missing where this process may have no more.
        if !whole {
            return tell(&answer, LATER, number);
        }
        let key = self.upstream.keys.key(&MOVED, 0, Scope::Shared);
        let home = NewHome {
            now: self.clock.now(),
            fraction: self.clock.fraction(),
            remembers: self.settings.summary,
            cache_words: &cache_words,
        };
        let Some(mut parcel) = Parcel::read(&label, said, descriptors, home, key) else {
            return tell(&answer, REFUSED, number);
        };
        let ingress = parcel.session.exchange.ingress();
        if self.lifecycle.is_draining() || !self.listeners.admits(ingress) {
            return tell(&answer, LATER, number);
        }
        let local = parcel.session.client.local_addr().ok();
        parcel.session.exchange.set_listener(self.listeners.number_of(ingress, local));
        self.place_moved(IncomingTunnel { parcel, number, answer });
        true
    }
}

fn cache_words(word: &str) -> Option<(&'static str, &'static str)> {
    CacheResult::ALL.into_iter().find(|result| result.word() == word).map(|result| (result.word(), result.squid()))
}

//! What events say: facts that are noted where they belong; work happens later.

use reactor::ready::Ready;

use super::Proxy;
use crate::io::owner::Owner;
use crate::upstream::DialContext;

impl Proxy {
    /// Notes what an event says; work happens later.
    pub(super) fn note(&mut self, owner: Owner, ready: Ready) {
        match owner {
            Owner::Client(key) => {
                if let Some(client) = self.clients.get_mut(key) {
                    client.session.client.note(ready);
                    self.enqueue(key);
                    if ready.has(Ready::READ_CLOSED) {
                        self.half_closed.push(key);
                    }
                }
            }
            Owner::Origin(key) => {
                if let Some(origin) = self.clients.get_mut(key).and_then(|client| client.session.origin.as_mut()) {
                    origin.stream.note(ready);
                    self.enqueue(key);
                }
            }
            Owner::Listener(index) => self.listeners.note(index),
            Owner::Idle(_) | Owner::Offered(_) => self.upstream.handle_kept(owner, ready, &mut self.poller),
            Owner::Attempt(key, lane) => {
                let now = self.clock.now();
                let mut cx = DialContext { poller: &mut self.poller, shares: &mut self.shares, now };
                self.upstream.handle_event(key, lane, ready, &mut cx);
            }
            Owner::Resolver(key) => self.resolver.handle_event(key, ready, &mut self.poller, self.clock.now()),
            Owner::Fill(key) => {
                if let Some(caching) = &mut self.caching {
                    caching.note(key, ready);
                }
            }
            Owner::Helper(key) => {
                if let Some(redirector) = &mut self.redirector {
                    redirector.handle_event(key, ready, &mut self.poller, self.clock.now());
                }
            }
            Owner::Verifier => self.note_verifier(ready),
            Owner::Loader => self.loading.loader.handle_event(ready),
            Owner::Addresses => self.addresses.handle_event(self.clock.now()),
            Owner::Drainer(_) | Owner::Next => self.note_version(owner),
            Owner::Signal | Owner::Loops => {}
        }
    }
}

//! The script by which browsers configure themselves, at the proxy's own port and at the monitor's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reactor::arena::Key;

use super::Proxy;
use crate::exchange::ingress::Ingress;
use crate::http::answer::Answer;
use crate::logs::Word;
use crate::policy::decision::Decision;
use crate::web::pac;

impl Proxy {
    /// Answers a request to the proxy itself for the script, without a password: a browser that knows no proxy yet has no password
    /// for it. True if it is one, by a client that may use the proxy.
    pub(super) fn tells_script(&mut self, key: Key) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request().filter(|_| exchange.ingress() == Ingress::Proxy) else { return false };
        if !pac::is_asked(request) || self.policy.client_allowed(exchange.client()).is_err() {
            return false;
        }
        let local = self.local_end(key);
        let is_own = |address: IpAddr| address == local.ip() || self.local.contain(address);
        if !pac::is_asked_of_proxy(request, &self.watch.facts().names, is_own) {
            return false;
        }
        let answer = Box::new(self.script(local));
        self.decided(key, Word::Local, Decision::Answer(answer));
        true
    }

    /// The same for a client of the monitor.
    pub(super) fn script_for_monitor(&self, key: Key) -> Option<Answer> {
        let request = self.clients.get(key)?.session.exchange.request()?;
        pac::is_asked(request).then(|| self.script(self.local_end(key)))
    }

    fn script(&self, local: SocketAddr) -> Answer {
        let open = self.proxy_places();
        let listeners: Vec<SocketAddr> =
            open.iter().filter(|place| !place.proxied).filter_map(|place| place.at.address()).collect();
        pac::answer(&self.watch.facts().script, &listeners, local)
    }

    /// The address of ours that a client has connected to.
    fn local_end(&self, key: Key) -> SocketAddr {
        let unknown = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let found = self.clients.get(key).and_then(|client| client.session.client.io.local_addr().ok());
        found.map_or(unknown, |local| SocketAddr::new(local.ip().to_canonical(), local.port()))
    }
}

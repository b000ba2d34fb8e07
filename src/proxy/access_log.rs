//! From the summary of a request that is over to its line in the access log.

use reactor::arena::Key;
use reactor::Millis;

use super::Proxy;
use crate::exchange::Moved;
use crate::http::target::Host;
use crate::http::Version;
use crate::logs::access::Record;

impl Proxy {
    /// Writes the line of a session's request if that is over.
    pub(super) fn write_access(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(summary) = client.session.exchange.take_summary() else { return };
        let (Some(log), Some((ended, _))) = (&mut self.access, summary.end()) else { return };
        let exchange = &client.session.exchange;
        let Moved { up, mut down } = summary.moved();
        let cut = summary.is_cut();
        if cut {
            // What the client never acknowledged was sent and not delivered.
            down = down.saturating_sub(client.session.undelivered() as u64);
        }
        let announced = summary.announced.as_deref();
        // A phase that did not come about has no length, and neither has one that came before it in another attempt.
        let between = |from: Option<Millis>, to: Option<Millis>| to?.checked_sub(from?);
        let hello = summary.hello.as_deref();
        let name = hello.and_then(|hello| hello.name.as_ref()).map(Host::to_string).unwrap_or_default();
        log.write(&Record {
            client: exchange.client(),
            peer: exchange.peer(),
            pid: exchange.opener().pid(),
            user: summary.user.as_deref(),
            method: summary.method(),
            target: summary.target(),
            version: summary.version().map(Version::number),
            status: summary.status,
            media: summary.media(),
            to_client: down,
            to_origin: up,
            ended: self.clock.since_epoch(ended),
            duration: self.clock.micros(ended).saturating_sub(summary.began_micros()) + summary.age_before(),
            decide: between(Some(summary.began), summary.decided),
            resolve: between(summary.decided, summary.resolved),
            connect: between(summary.resolved, summary.connected),
            origin: summary.origin,
            parent: summary.parent,
            decision: summary.decision,
            failure: summary.failure(),
            list: summary.list.as_deref().unwrap_or_default().as_bytes(),
            unique_id: announced.map_or(b"", |(unique_id, _)| unique_id),
            authority: announced.map_or(b"", |(_, authority)| authority),
            sni: name.as_bytes(),
            alpn: hello.map(|hello| hello.protocols.as_slice()).unwrap_or_default(),
            ech: hello.is_some_and(|hello| hello.ech),
            cache: summary.cache,
            cut,
            user_agent: summary.user_agent(),
            referer: summary.referer(),
            trace: summary.trace(),
        });
        self.summaries.put(summary);
    }
}

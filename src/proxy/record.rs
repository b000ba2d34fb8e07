//! From the account of a request that is over to its line in the access log.

use reactor::arena::Key;
use reactor::Millis;

use super::Proxy;
use crate::exchange::Moved;
use crate::http::Version;
use crate::logs::access::Record;

impl Proxy {
    /// Writes the line of a session's request if that is over.
    pub(super) fn note_access(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(account) = client.session.exchange.take_account() else { return };
        let (Some(log), Some((ended, _))) = (&mut self.access, account.end()) else { return };
        let exchange = &client.session.exchange;
        let Moved { up, down } = account.moved();
        // A phase that did not come about has no length, and neither has one that came before it in another attempt.
        let between = |from: Option<Millis>, to: Option<Millis>| to?.checked_sub(from?);
        log.write(&Record {
            client: exchange.client(),
            peer: exchange.peer(),
            user: None,
            method: account.method(),
            target: account.target(),
            version: account.version().map(Version::number),
            status: account.status,
            media: account.media(),
            to_client: down,
            to_origin: up,
            ended: self.clock.since_epoch(ended),
            duration: ended.saturating_sub(account.began),
            decide: between(Some(account.began), account.decided),
            resolve: between(account.decided, account.resolved),
            connect: between(account.resolved, account.connected),
            origin: account.origin,
            decision: account.decision,
            failure: account.failure(),
            cut: account.is_cut(),
            user_agent: account.user_agent(),
            referer: account.referer(),
        });
    }
}

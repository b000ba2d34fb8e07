//! What the hub does when an exchange asks for something, when its time is over, and when its session ends.

use reactor::arena::Key;
use reactor::stream::Transport;

use super::report::Trouble;
use super::{Proxy, Waits};
use crate::answers::Answers;
use crate::cache::Arriving;
use crate::exchange::close::CloseReason;
use crate::exchange::timers::Timer;
use crate::exchange::{Action, Side};
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::fault::OriginFault;
use crate::http::request::Request;
use crate::peer::{ClientId, SessionName};
use crate::upstream::DialContext;

impl Proxy {
    /// Does what an exchange asks for.
    pub(super) fn act(&mut self, key: Key, action: Action) {
        match action {
            Action::Ask => self.ask(key),
            Action::Explain(cause) => self.explain(key, cause),
            Action::Overdue => self.decide_late(key),
            Action::Judge => self.judge_hello(key),
            Action::Resolve if self.caching.is_some() => self.look_up(key, Arriving::First),
            Action::Resolve => self.resolve(key),
            Action::Vet => self.vet(key),
            Action::JudgeResponse => self.judge_head(key),
            Action::Redial => {
                self.hang_up(key);
                self.resolve(key);
            }
            Action::Release => self.release(key),
            Action::Hangup => {
                self.drop_job(key);
                self.hang_up(key);
            }
            Action::Record => {
                self.write_access(key);
                // What the end of the request asks for, without another look at what is there to be moved.
                let next = self.clients.get_mut(key).and_then(|client| client.session.exchange.poll());
                if let Some(action) = next {
                    self.act(key, action);
                }
            }
            Action::Done(reason) => self.end(key, reason),
        }
    }

    /// Composes the answer of an exchange that cannot be served.
    fn explain(&mut self, key: Key, cause: Cause) {
        if self.is_background(key) {
            return self.dismiss(key);
        }
        let report = self.cache_report(key);
        if let Some(answer) = self.stand_in(key, cause) {
            self.with_exchange(key, |exchange, cx| exchange.handle_explained(answer, cx));
            return;
        }
        if cause == Cause::Origin(OriginFault::ParentLogin) {
            self.note_parent_login(key);
        }
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let mut answer = self.answers.explain(cause, exchange.request(), exchange.client(), "");
        answer.cached = report;
        self.with_exchange(key, |exchange, cx| exchange.handle_explained(answer, cx));
    }

    /// Answers a request that found no way to its origin.
    pub(super) fn fail_request(
        &mut self,
        key: Key,
        compose: impl FnOnce(&Answers, Option<&Request>, ClientId) -> Box<Answer>,
    ) {
        if self.is_background(key) {
            return self.dismiss(key);
        }
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let mut answer = compose(&self.answers, exchange.request(), exchange.client());
        answer.cached = self.cache_report(key);
        if let Some(kept) = answer.cause.and_then(|cause| self.stand_in(key, cause)) {
            answer = kept;
        }
        self.with_exchange(key, |exchange, cx| exchange.handle_failure(answer, cx));
    }

    /// The alarm of a session has gone off. What takes too long to find or to connect to counts as what fails does.
    pub(super) fn time_out(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get(key) else { return };
        let due = client.session.exchange.poll_timeout(&self.settings.limits).filter(|(_, at)| *at <= now);
        match (due, client.waits) {
            (Some((Timer::Resolve, _)), Waits::Fetch(_)) => {
                // It has waited for another client's response, and not for a name.
                self.hang_up(key);
                self.with_exchange(key, |exchange, cx| exchange.handle_waited(cx.now));
                self.look_up(key, Arriving::Alone);
                return self.enqueue(key);
            }
            (Some((Timer::Connect | Timer::Resolve, _)), _) if self.has_parent(key) => self.blame_slow_parent(key),
            (Some((Timer::Connect, _)), _) => self.note_unreached(key),
            (Some((Timer::Resolve, _)), Waits::Lookup(_)) => {
                self.counters.name_time.note(client.waited(&self.clock));
                self.counters.name_failures += 1;
            }
            _ => {}
        }
        self.with_exchange(key, |exchange, cx| exchange.handle_timeout(cx));
        self.enqueue(key);
    }

    /// Gives up a session's origin connection and what is under way to get one.
    pub(super) fn hang_up(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match std::mem::replace(&mut client.waits, Waits::Nothing) {
            // The file of a page is closed when the loader comes back with it.
            Waits::Nothing | Waits::Page(_) | Waits::Reports(_) => {}
            Waits::Check(number) => {
                if let Some(logins) = &mut self.logins {
                    logins.leave(number, key);
                }
            }
            Waits::Reply(ticket) => self.cancel_question(ticket),
            Waits::Fetch(id) => {
                if let Some(caching) = &mut self.caching {
                    caching.cache.leave(id, key);
                }
            }
            Waits::Lookup(id) | Waits::Rest(id) => self.resolver.cancel(id, &mut self.shares, self.clock.now()),
            Waits::Dial(dial, lookup) => {
                let now = self.clock.now();
                let mut cx = DialContext { poller: &mut self.poller, shares: &mut self.shares, now };
                self.upstream.cancel(dial, &mut cx);
                if let Some(id) = lookup {
                    self.resolver.cancel(id, &mut self.shares, now);
                }
            }
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(mut origin) = client.session.origin.take() {
            let aborts = client.session.exchange.aborts(Side::Origin);
            self.forget_own_end(key);
            if aborts {
                origin.stream.io.abort();
            }
            self.poller.forget(origin.stream.route);
        }
    }

    /// Ends a session.
    pub(super) fn end(&mut self, key: Key, reason: CloseReason) {
        self.drop_job(key);
        self.hang_up(key);
        let Some(client) = self.clients.remove(key) else { return };
        if self.is_background(key) {
            return self.end_background(key, client);
        }
        let name = SessionName { number: key.generation, client: client.session.exchange.client() };
        log::debug!(target: "client", "{name} connection closed: {}", reason.explain());
        if reason == CloseReason::ProxyHeader && self.may_report(Trouble::ProxyHeader) {
            let peer = client.session.exchange.peer();
            log::info!(target: "client", "connection of {peer} refused: {}, and http.proxied asks for one", reason.explain());
        }
        if reason == CloseReason::ProxyUntrusted {
            self.tell_doubt(client.session.exchange.peer(), "a PROXY protocol header");
        }
        self.forget_heads(key, &client);
        self.forget_seat(key);
        self.counters.note_end(&client.session.exchange, reason);
        self.listeners.left(client.session.exchange.ingress());
        let (stream, origin) = client.session.dismantle(&mut self.shared);
        self.poller.forget(stream.route);
        if let Some(origin) = origin {
            self.poller.forget(origin.stream.route);
        }
    }

    pub(super) fn set_waits(&mut self, key: Key, waits: Waits) {
        if let Some(client) = self.clients.get_mut(key) {
            client.waits = waits;
        }
    }

    /// Something is asked for on behalf of a session now.
    pub(super) fn note_asked(&mut self, key: Key) {
        let fraction = self.clock.fraction();
        if let Some(client) = self.clients.get_mut(key) {
            client.fraction = fraction;
        }
    }
}

//! Helpers within the hub: whose request they are asked about, what is done about their replies, and other helpers in the place of
//! those before.

use std::net::SocketAddr;

use reactor::arena::Key;

use super::client::{is_far, UNKNOWN_ADDRESS};
use super::report::Trouble;
use super::{Client, Proxy, Waits};
use crate::exchange::{Exchange, Side};
use crate::http::cause::Cause;
use crate::http::request::Request;
use crate::icap::transaction::Transaction;
use crate::policy::shares::ClientKey;
use crate::redirector::dialect::Dialect;
use crate::redirector::helper::Program;
use crate::redirector::pool::{Answered, HelperFault, Ticket};
use crate::redirector::question::{Question, ReplyFault};
use crate::redirector::{Options, Redirector, RedirectorEvent};

/// What came of a helper's reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heeded {
    /// It has decided.
    Done,
    /// Its helper says that it is broken, so that another may be asked.
    Broken,
}

/// Bytes of an unreadable reply that are logged.
const SAMPLE: usize = 200;

impl Proxy {
    /// Has a request wait for a helper's reply. The helpers are served when all sessions of this turn have been driven.
    pub(super) fn consult(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get(key) else { return };
        let who = ClientKey::from(client.session.exchange.client());
        let nowhere = client.session.exchange.request().is_some_and(Request::leads_nowhere);
        if self.helper_terms().is_none_or(|terms| nowhere && !terms.takes_nowhere) {
            return self.permit(key);
        }
        let Some(redirector) = &mut self.redirector else { return self.consult_afar(key) };
        match redirector.ask(key, who, now) {
            Ok(ticket) => self.set_waits(key, Waits::Reply(ticket)),
            Err(fault) => self.undecided(key, &fault.to_string()),
        }
    }

    /// Gives helpers what they are free for, and takes what they have said.
    pub(super) fn serve_helpers(&mut self) {
        let now = self.clock.now();
        while let Some(news) = self.redirector.as_mut().and_then(|helpers| helpers.poll(&mut self.poller, now)) {
            match news {
                RedirectorEvent::Wanted { helper, channel, who, .. } if is_far(who) => {
                    self.put_far(helper, channel, who)
                }
                RedirectorEvent::Wanted { helper, channel, ticket, who } => self.put(helper, channel, ticket, who),
                RedirectorEvent::Replied { answered, program, reply } if is_far(answered.who) => {
                    self.stranger_replied(answered, program, reply);
                }
                RedirectorEvent::Replied { answered, program, reply } => self.replied(&answered, &program, &reply),
                RedirectorEvent::Failed(_, who, fault) if is_far(who) => self.stranger_fails(who, fault),
                RedirectorEvent::Failed(ticket, who, fault) => {
                    if self.stop_waiting(who, ticket) {
                        self.undecided(who, &fault.to_string());
                        self.enqueue(who);
                    }
                }
            }
        }
    }

    /// Writes a question for a helper.
    fn put(&mut self, helper: Key, channel: u64, ticket: Ticket, who: Key) {
        let (Some(client), Some(redirector)) = (self.clients.get(who), &mut self.redirector) else { return };
        debug_assert!(client.waits == Waits::Reply(ticket));
        let tells = redirector.dialect(helper).is_some_and(|dialect| dialect.tells_local());
        let Some(question) = question_of(client, tells) else { return };
        redirector.put(helper, &mut self.out, |dialect, out| dialect.encode(out, &question, channel));
        self.note_asked(who);
    }

    /// A helper has replied.
    fn replied(&mut self, answered: &Answered, program: &Program, reply: &[u8]) {
        let key = answered.who;
        let fraction = self.clients.get(key).map_or(0, |client| client.fraction);
        self.counters.helper_time.note(self.clock.since(answered.took, fraction));
        if !self.stop_waiting(key, answered.ticket) {
            return;
        }
        if self.heed(key, program, reply) == Heeded::Broken {
            let now = self.clock.now();
            let again = self.redirector.as_mut().is_some_and(|helpers| helpers.ask_again(answered, now));
            match again {
                true => self.set_waits(key, Waits::Reply(answered.ticket)),
                false => self.undecided(key, &HelperFault::Helper.to_string()),
            }
        }
        self.enqueue(key);
    }

    /// Does what a helper's reply says about the request of a session.
    pub(super) fn heed(&mut self, key: Key, program: &Program, reply: &[u8]) -> Heeded {
        if self.asks_options(key) {
            self.options_said(key, &program.dialect, reply);
            return Heeded::Done;
        }
        let question = self.clients.get(key).and_then(|client| question_of(client, program.dialect.tells_local()));
        let Some(question) = question else { return Heeded::Done };
        match program.dialect.decode(reply, &question, &self.settings.rules) {
            Ok(verdict) => self.obey(key, verdict),
            Err(ReplyFault::Broken(message)) => {
                log::warn!(target: "manager", "a worker says that it is broken: {}", sample(message.as_bytes()));
                return Heeded::Broken;
            }
            Err(ReplyFault::Unreadable(why)) => {
                self.counters.unreadable += 1;
                if self.may_report(Trouble::UnreadableReply) {
                    log::error!(target: "manager", "a worker's reply cannot be read, {why}: {}", sample(reply));
                }
                self.misread(key, &program.dialect);
            }
        }
        Heeded::Done
    }

    /// A reply cannot be read. What it would have said is not known, so a line never passes for a permission; a message is
    /// a failure like any other.
    fn misread(&mut self, key: Key, dialect: &Dialect) {
        const WHY: &str = "the reply of a helper could not be read";
        match dialect {
            Dialect::Url(_) => self.fail(key, Cause::HelperFailed, WHY),
            Dialect::Icap(_) => self.undecided(key, WHY),
        }
    }

    /// True if that session waited for this reply, which it does no more.
    pub(super) fn stop_waiting(&mut self, key: Key, ticket: Ticket) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let waited = client.waits == Waits::Reply(ticket);
        if waited {
            client.waits = Waits::Nothing;
        }
        waited
    }

    /// Ends the requests of clients that have closed their side while their question waits for a helper, or their password for a
    /// check, so that no helper that becomes free in this turn is asked about them. A client that had closed its side before it asked
    /// is taken for one that listens on.
    pub(super) fn take_half_closed(&mut self) {
        for key in std::mem::take(&mut self.half_closed) {
            let Some(client) = self.clients.get(key) else { continue };
            let unheard = match client.waits {
                Waits::Reply(ticket) => self.is_unheard(ticket),
                Waits::Check(number) => self.logins.as_ref().is_some_and(|logins| logins.is_queued(number)),
                _ => false,
            };
            if unheard {
                self.hang_up(key);
                self.with_exchange(key, |exchange, cx| exchange.handle_broken(Side::Client, cx));
            }
        }
    }

    /// Takes over what a reload says about helpers.
    pub(super) fn reload_helpers(&mut self, options: Option<Options>) {
        let now = self.clock.now();
        match (&mut self.redirector, options) {
            (Some(redirector), Some(options)) => redirector.reload(options, now),
            (None, Some(options)) => self.redirector = Some(Redirector::new(options, now)),
            (_, None) => self.release_helpers(),
        }
        self.serve_helpers();
    }

    /// Goes on without helpers. Requests that wait for a reply pass.
    fn release_helpers(&mut self) {
        let Some(redirector) = self.redirector.take() else { return };
        self.note_dismissed(&redirector);
        redirector.release(&mut self.poller);
        self.forget_strangers();
        self.permit_waiting();
    }

    /// Lets requests pass that wait for a helper.
    pub(super) fn permit_waiting(&mut self) {
        let waiting = |client: &Client| matches!(client.waits, Waits::Reply(_));
        let waiting: Vec<Key> = self.clients.iter().filter(|(_, client)| waiting(client)).map(|(key, _)| key).collect();
        for key in waiting {
            self.set_waits(key, Waits::Nothing);
            self.permit(key);
            self.enqueue(key);
        }
    }
}

/// What helpers are asked about the request of a client; `tells` says whether where it has connected to is a part of that.
pub(super) fn question_of(client: &Client, tells: bool) -> Option<Question<'_>> {
    let exchange = &client.session.exchange;
    let request = exchange.request()?;
    Some(Question { request, client: exchange.client(), local: reached(client, tells), lines: lines(exchange) })
}

/// What helpers are told of a request of ICAP.
fn lines(exchange: &Exchange) -> &[u8] {
    exchange.transaction().map_or(&b""[..], Transaction::lines)
}

/// What a client has connected to: where its connection was going before it was diverted, or our side of it, if that is needed.
fn reached(client: &Client, needed: bool) -> SocketAddr {
    let original = client.session.exchange.original_destination();
    original.unwrap_or_else(|| if needed { client.local_address() } else { UNKNOWN_ADDRESS })
}

/// The start of what a helper has said, as text for the log.
fn sample(bytes: &[u8]) -> String {
    let more = if bytes.len() > SAMPLE { "…" } else { "" };
    format!("\"{}\"{more}", bytes[..bytes.len().min(SAMPLE)].escape_ascii())
}

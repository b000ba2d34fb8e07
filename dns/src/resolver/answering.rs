//! What comes back from servers: matched with the open questions, judged, and turned into outcomes. Knows no lookups.

use std::net::SocketAddr;

use super::asking::Outcome;
use super::config::millis;
use super::link;
use super::query::Via;
use super::server::{Feature, Server};
use super::table::Key;
use super::verdict::Verdict;
use super::{LinkId, Resolver, StreamEvent};
use crate::outcome::{Answer, Stored, UNTOLD};
use crate::wire::message::{Message, Question};
use crate::wire::name::Match;
use crate::wire::{rcode, CLASS_IN};
use crate::{Failure, Millis};

/// The shortest time for which an answer is kept, in milliseconds. Records with a TTL of zero would make every request
/// ask.
const SHORTEST_TTL: Millis = 1_000;

impl Resolver {
    /// A datagram came from `from`.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Millis) {
        match self.servers.iter().position(|server| server.is_at(from)) {
            Some(server) => self.take_message(server, bytes, Via::Datagram, now),
            None => self.counters.dropped_source += 1,
        }
    }

    /// Something happened on a TCP connection.
    pub fn handle_stream(&mut self, link: LinkId, event: StreamEvent<'_>, now: Millis) {
        let is_it = |server: &Server| server.link.as_ref().is_some_and(|own| own.id == link.0);
        let Some(server) = self.servers.iter().position(is_it) else { return };
        match event {
            StreamEvent::Data(bytes) => self.take_stream(server, link, bytes, now),
            StreamEvent::Closed => self.lose_link(server, true, Failure::ServerFailure, now),
        }
    }

    fn take_stream(&mut self, server: usize, link: LinkId, bytes: &[u8], now: Millis) {
        let mut whole = std::mem::take(&mut self.whole);
        whole.clear();
        if let Some(own) = self.servers[server].link.as_mut() {
            own.heard = now;
            own.touched = now;
            own.take(bytes, &mut whole);
        }
        for bytes in link::messages(&whole) {
            self.take_message(server, bytes, Via::Stream, now);
            // A message may have led to a new connection. The bytes left belong to the old one, which is not read on.
            match &self.servers[server].link {
                Some(own) if own.id == link.0 && !own.is_broken() => {}
                Some(own) if own.id == link.0 => {
                    self.close_link(server, Failure::ServerFailure, now);
                    break;
                }
                _ => break,
            }
        }
        self.whole = whole;
    }

    /// Matches a message with the question that has its id here (RFC 5452 section 9.1).
    fn take_message(&mut self, server: usize, bytes: &[u8], via: Via, now: Millis) {
        let Ok(message) = Message::parse(bytes) else {
            self.counters.dropped_malformed += 1;
            return self.note_stray(server, via);
        };
        // An id holds for one server and one way: a forger who knows an id that is asked over TCP, or of another server,
        // gains nothing from it.
        let key = self.servers[server].ids.get(&message.id()).copied();
        let open = key.filter(|&key| self.queries.get_mut(key).is_some_and(|query| query.send(server).via == via));
        let Some(key) = open else {
            self.counters.dropped_id += 1;
            return self.note_stray(server, via);
        };
        // Servers from before EDNS answer so to an OPT record, some of them with the header alone (RFC 6891 section 7).
        if message.questions() == 0 && matches!(message.rcode(), rcode::FORMERR | rcode::NOTIMP) {
            return self.take_bare_refusal(key, server, now);
        }
        match self.check_question(key, server, &message) {
            Some((Match::Exact, question)) => self.take_answer(key, server, &message, &question, now),
            Some((Match::Folded, question)) => self.take_folded(key, server, &message, &question, now),
            _ => self.note_stray(server, via),
        }
    }

    /// The question, and how its name compares; `None` if it is another one, which is then counted.
    fn check_question<'m>(&mut self, key: Key, server: usize, message: &Message<'m>) -> Option<(Match, Question<'m>)> {
        let query = self.queries.get(key)?;
        let question = match message.question() {
            Ok(question) if message.questions() == 1 => question,
            _ => {
                self.counters.dropped_malformed += 1;
                return None;
            }
        };
        let same_kind = question.kind == query.family.record_type() && question.class == CLASS_IN;
        match question.name.compare(&query.name, query.mask_for(server)) {
            Ok(found) if same_kind && found != Match::Different => Some((found, question)),
            _ => {
                self.counters.dropped_question += 1;
                None
            }
        }
    }

    /// An error without a question. Only the id speaks for it, so it is believed for this question, and for the server
    /// only after some more.
    fn take_bare_refusal(&mut self, key: Key, server: usize, now: Millis) {
        let Some(query) = self.queries.get_mut(key) else { return };
        let send = query.send(server);
        if send.edns {
            send.without_edns = true;
            self.servers[server].note_edns(false);
            self.counters.edns_refused += 1;
            self.repeat(key, server, now);
        } else {
            self.counters.server_errors += 1;
            self.fail_over(key, server, Failure::ServerFailure, now);
        }
    }

    /// The name came back with its letters changed. Over TCP, or where they were not mixed, that is no reason for
    /// doubt. Else the question is asked again over TCP, whose handshake a forger who sees no packets cannot complete,
    /// and only then with plain letters.
    fn take_folded(&mut self, key: Key, server: usize, message: &Message<'_>, question: &Question<'_>, now: Millis) {
        let Some(query) = self.queries.get_mut(key) else { return };
        let send = query.send(server);
        if send.via != Via::Datagram || !send.mixed {
            return self.take_answer(key, server, message, question, now);
        }
        send.over_tcp = true;
        send.without_mixing = true;
        self.counters.case_changed += 1;
        self.servers[server].note_case(false);
        self.repeat(key, server, now);
    }

    fn take_answer(&mut self, key: Key, at: usize, message: &Message<'_>, question: &Question<'_>, now: Millis) {
        let Some(query) = self.queries.get_mut(key) else { return };
        let send = *query.send(at);
        let verdict = self.scratch.judge(message, question, query.family, send.edns);
        if verdict.is_err() && send.via == Via::Datagram && self.servers.len() == 1 {
            // It may be forged, with the true answer right behind it. The question stays open, as if the datagram had
            // been lost; with a second server the question would go there at once.
            self.counters.dropped_malformed += 1;
            return;
        }
        self.counters.answers += 1;
        let server = &mut self.servers[at];
        // After a repeated question it cannot be told which of the sends was answered (Karn's rule), and over TCP the
        // time has the handshake in it.
        let single = send.count == 1 && send.via == Via::Datagram;
        server.note_answer(single.then(|| now.saturating_sub(send.sent)), now);
        if let Some(link) = server.link.as_mut().filter(|_| send.via == Via::Stream) {
            link.answers = link.answers.saturating_add(1);
        }
        if send.mixed && send.via == Via::Datagram {
            server.note_case(true);
        }
        // The first send carried EDNS and the second did not. If only the second was answered, the first was lost, or
        // dropped for its OPT record; after three such questions EDNS is left out.
        if self.scratch.has_edns && send.edns {
            server.note_edns(true);
        } else if !send.edns && server.edns == Feature::Unknown && send.count > 1 && !send.without_edns {
            server.note_edns(false);
        }
        // `note_answer` has put the server back into use, which is all that a probe is for.
        if query.probe.is_some() {
            self.drop_query(key, now);
            return;
        }
        match verdict {
            Ok(verdict) => self.apply(key, at, verdict, now),
            Err(_) => {
                self.counters.dropped_malformed += 1;
                self.fail_over(key, at, Failure::ServerFailure, now);
            }
        }
    }

    fn apply(&mut self, key: Key, server: usize, verdict: Verdict, now: Millis) {
        let positive = |ttl: u32| u64::from(ttl) * 1_000;
        match verdict {
            Verdict::Found { ttl } => {
                let list = self.scratch.addresses.as_slice().into();
                self.answer(key, Answer::Found(list), positive(ttl), now);
            }
            Verdict::NoAddress { ttl } => {
                self.counters.no_address += 1;
                self.refuse(key, Answer::NoAddress, ttl, now);
            }
            Verdict::NotFound { ttl } => {
                self.counters.not_found += 1;
                self.refuse(key, Answer::NotFound, ttl, now);
            }
            Verdict::Alias { target, ttl, hops } => {
                let expires = now + self.capped(positive(ttl), false);
                self.conclude(key, Outcome::Alias { target: target.into(), expires, hops }, now);
            }
            Verdict::Loop => self.answer(key, Answer::Failed(Failure::Loop), 0, now),
            Verdict::Truncated => self.take_truncated(key, server, now),
            Verdict::NoEdns => self.take_edns_refusal(key, server, now),
            Verdict::ServerError => {
                self.counters.server_errors += 1;
                self.fail_over(key, server, Failure::ServerFailure, now);
            }
        }
    }

    /// A server says no. Without an SOA nothing tells for how long (RFC 2308 section 5).
    fn refuse(&mut self, key: Key, answer: Answer, ttl: Option<u32>, now: Millis) {
        match ttl {
            Some(ttl) => self.answer(key, answer, u64::from(ttl) * 1_000, now),
            None => self.conclude(key, Outcome::Answer(Stored { answer, expires: UNTOLD }), now),
        }
    }

    fn answer(&mut self, key: Key, answer: Answer, time: Millis, now: Millis) {
        let refused = !matches!(answer, Answer::Found(_));
        let expires = now + self.capped(time, refused);
        self.conclude(key, Outcome::Answer(Stored { answer, expires }), now);
    }

    /// How long to keep something, between a second and the configured limit.
    fn capped(&self, time: Millis, negative: bool) -> Millis {
        let longest = if negative { self.config.negative_cap.min(self.config.ttl_cap) } else { self.config.ttl_cap };
        time.max(SHORTEST_TTL).min(millis(longest))
    }

    fn take_truncated(&mut self, key: Key, server: usize, now: Millis) {
        self.counters.truncated += 1;
        let Some(query) = self.queries.get_mut(key) else { return };
        let send = query.send(server);
        // TC over TCP, where nothing needs to be cut, means a broken server.
        if send.via == Via::Stream {
            return self.fail_over(key, server, Failure::ServerFailure, now);
        }
        // A cut answer is ignored as a whole (RFC 2181 section 9).
        send.over_tcp = true;
        self.repeat(key, server, now);
    }

    fn take_edns_refusal(&mut self, key: Key, server: usize, now: Millis) {
        self.counters.edns_refused += 1;
        self.servers[server].edns = Feature::Broken;
        if let Some(query) = self.queries.get_mut(key) {
            query.send(server).without_edns = true;
        }
        self.repeat(key, server, now);
    }

    fn note_stray(&mut self, server: usize, via: Via) {
        if let Some(link) = self.servers[server].link.as_mut().filter(|_| via == Via::Stream) {
            link.stray += 1;
        }
    }
}

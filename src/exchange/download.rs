//! What an exchange makes of the bytes that come from its origin, and of those that it says itself.

use reactor::buffer::Buf;

use super::close::CloseReason;
use super::parent::login_fault;
use super::phase::{AnswerState, BodyRest, Ending, Phase, Relay, RelayStage};
use super::{Action, Context, Exchange, Summary};
use crate::counters::exchange::ResponseSource;
use crate::http::answer::{Answer, ESTABLISHED};
use crate::http::caching::Caching;
use crate::http::cause::Cause;
use crate::http::chunked::{ChunkScan, ChunkSender, Mode};
use crate::http::fault::OriginFault;
use crate::http::fields::Expectation;
use crate::http::first_bytes::may_be_response;
use crate::http::framing::Framing;
use crate::http::head::leading_blank;
use crate::http::proxy_status;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::rewrite;
use crate::http::rules::{Rules, ToClient};
use crate::http::{Method, Version};

/// Interim responses that an origin may send before its final one (RFC 9110 §15.2 sets no limit; 100 and 103 are the
/// usual ones).
const MAX_INTERIMS: u16 = 32;

/// Longest body of an answer, in bytes, that is put into the buffer with its head: both fit a block of the pool. A longer one
/// is sent from where it stands, as the client takes it, so that a page of 1 MiB takes no fresh memory (13 to 50 ms of the loop
/// on a machine where that is dear).
pub(super) const MAX_STORED: usize = 8 << 10;

impl Exchange {
    /// Looks at what the origin has sent, or adds what we say ourselves, and clears what may go to the client.
    pub fn advance_download(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Relaying(relay) => match relay.stage {
                // An interim response that the client does not get is followed by the next one without a pause.
                RelayStage::Await => while self.download.cleared == 0 && self.read_response(buf, cx) {},
                RelayStage::Body => self.relay_response(buf, cx),
                RelayStage::Send | RelayStage::Switch => {}
            },
            Phase::Answering(_) => self.advance_answer(buf, cx),
            Phase::Tunnel { greet, .. } => {
                if std::mem::take(greet) {
                    buf.replace_front(0, ESTABLISHED);
                }
                self.download.clear_all(buf);
            }
            _ => self.download.drop_raw(buf),
        }
    }

    /// Puts an answer of our own into the buffer, or clears its content behind it.
    fn advance_answer(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        let keep = self.keeps_client() && !cx.settings.leaving;
        if self.upload.done || self.upload.eof {
            self.await_no_more();
        }
        let Phase::Answering(ending) = &mut self.phase else { return };
        match std::mem::replace(&mut ending.reply, AnswerState::Written) {
            AnswerState::Ready(mut answer) => {
                self.current.announced = keep;
                self.write_answer(&mut answer, keep, buf, cx);
            }
            AnswerState::Written => self.relay_content(buf),
            AnswerState::Icap(reply) => self.advance_reply(reply, keep, buf, cx),
            AnswerState::Notice(notice) => self.write_notice(notice, buf),
            AnswerState::Flowing(rest) => {
                ending.reply = AnswerState::Flowing(rest);
                self.relay_content(buf);
            }
            other => ending.reply = other,
        }
    }

    /// The next bytes of an answer's body that does not stand in the buffer.
    pub fn body_rest(&self) -> &[u8] {
        match &self.phase {
            Phase::Answering(Ending { reply: AnswerState::Flowing(rest), .. }) => rest.bytes(),
            Phase::Answering(Ending { reply: AnswerState::Written, .. }) => self.echo(),
            _ => b"",
        }
    }

    /// `count` bytes of what follows the answer's head were sent from where they stand.
    pub fn handle_body_sent(&mut self, count: usize) {
        if self.echoes() {
            return self.echo_sent(count);
        }
        if let Phase::Answering(Ending { reply: AnswerState::Flowing(rest), .. }) = &mut self.phase {
            rest.skip(count);
        }
        self.download.passed(count);
    }

    /// Takes a response head, if it is complete and wanted. False when there is nothing more to do with what has come.
    fn read_response(&mut self, buf: &mut Buf, cx: &mut Context<'_>) -> bool {
        let (keep, private) = (self.keeps_client() && !cx.settings.leaving, self.is_private());
        let Phase::Relaying(relay) = &mut self.phase else { return false };
        if relay.stage != RelayStage::Await {
            return false;
        }
        // Some origins send an empty line in front. Its bytes count as a part of the head, or there might be no end of them.
        let blank = leading_blank(buf.bytes());
        let found = relay.scan.find(&buf.bytes()[blank..]);
        let limit = cx.settings.rules.max_head();
        let taken = match found {
            None if !may_be_response(&buf.bytes()[blank..]) => Err(OriginFault::NotHttp),
            None if buf.len() < limit => return false,
            Some(length) if blank + length <= limit => {
                buf.consume(blank);
                match self.follow_tunnel_reply(length, buf, cx) {
                    None => {}
                    Some(Ok(())) => return false,
                    Some(Err(fault)) => {
                        self.replace_response(fault, buf, cx);
                        return true;
                    }
                }
                let Phase::Relaying(relay) = &mut self.phase else { return false };
                let client = ClientState { keep, uploaded: self.upload.done, private };
                take_response(relay, self.current.summary.as_deref_mut(), length, buf, client, cx)
            }
            _ => Err(OriginFault::HeadTooLarge),
        };
        match taken {
            Ok(Some(taken)) => self.follow_head(taken, buf, cx),
            Ok(None) => {
                self.action = Some(Action::JudgeResponse);
                return false;
            }
            Err(fault) => self.replace_response(fault, buf, cx),
        }
        true
    }

    /// Answers in place of a response of which nothing has been sent.
    fn replace_response(&mut self, fault: OriginFault, buf: &mut Buf, cx: &mut Context<'_>) {
        self.current.reusable = false;
        self.download.cleared = 0;
        buf.consume(buf.len());
        self.explain(Cause::Origin(fault), CloseReason::ResponseFault, cx);
    }

    /// The head is in the buffer as the client gets it; decides what comes behind it.
    fn follow_head(&mut self, head: Head, buf: &mut Buf, cx: &mut Context<'_>) {
        let Phase::Relaying(relay) = &mut self.phase else { return };
        relay.scan = Default::default();
        self.download.cleared = head.length;
        match head.kind {
            ResponseKind::Interim => {
                relay.interims += 1;
                // An HTTP/1.0 client gets nothing of it; the next head may be there already.
                if head.length == 0 {
                    self.read_response(buf, cx);
                }
            }
            ResponseKind::Switching => {
                relay.stage = RelayStage::Switch;
                self.upload.begin(Framing::UntilClose);
                self.download.begin(Framing::UntilClose);
                self.current.reusable = false;
            }
            ResponseKind::Final { framing, keep_client, keep_origin, private } => {
                relay.stage = RelayStage::Body;
                self.current.announced = keep_client;
                self.current.reusable &= keep_origin;
                self.private |= private;
                self.download.begin(framing);
                if let Err(fault) = self.download.scan(buf) {
                    self.replace_response(fault.into(), buf, cx);
                }
            }
        }
    }

    /// Puts an answer of our own behind what is already on its way to the client, in place of what the origin sent.
    fn write_answer(&mut self, answer: &mut Answer, keep_alive: bool, buf: &mut Buf, cx: &mut Context<'_>) {
        self.download.drop_raw(buf);
        let rules = &cx.settings.rules;
        // To clients of the monitor it is no proxy.
        if !self.ingress.is_local() {
            put_status(answer, rules);
        }
        cx.out.clear();
        let to = ToClient {
            version: self.current.version,
            method: if self.current.head_only { Method::Head } else { Method::Get },
            keep_alive,
            upgrade: false,
            date: cx.date,
            rules: &cx.settings.rules,
        };
        // What follows from elsewhere stands behind the whole body.
        let most = if answer.follows > 0 { usize::MAX } else { MAX_STORED };
        let body = answer.write(cx.out, &to, 0);
        buf.append(cx.out);
        let rest = if body <= most { 0 } else { body };
        // What an answer to HEAD holds is not sent.
        if body > 0 && rest == 0 {
            buf.append(&answer.body);
        }
        self.download.cleared = buf.len() as u32;
        self.download.eof = false;
        self.download.begin(match (self.current.head_only, self.current.version) {
            (true, _) => Framing::Empty,
            // They are chunks in the buffer for either, and an HTTP/1.0 client gets what is in them.
            (false, Version::Http10) if answer.unsized_body => {
                Framing::Chunked(ChunkScan::new(Mode::Decode, ChunkSender::Origin))
            }
            (false, Version::Http11) if answer.unsized_body => {
                Framing::Chunked(ChunkScan::new(Mode::Relay, ChunkSender::Origin))
            }
            (false, _) => Framing::Sized(answer.follows + rest as u64),
        });
        if let Phase::Answering(ending) = &mut self.phase {
            if rest > 0 {
                ending.reply = AnswerState::Flowing(Box::new(BodyRest::new(std::mem::take(&mut answer.body))));
            }
        }
    }

    /// Clears what has come of an answer's content.
    fn relay_content(&mut self, buf: &mut Buf) {
        // Only chunks can be at fault, and there are none.
        let _ = self.download.scan(buf);
        self.download.drop_raw(buf);
        self.end_content(buf);
    }

    fn relay_response(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        if self.download.scan(buf).is_err() {
            self.current.reusable = false;
            self.download.drop_raw(buf);
            self.cut(CloseReason::ResponseFault, cx.now);
        }
    }
}

/// Says in an answer of ours why it is one. What a helper has written is not ours.
pub(super) fn put_status(answer: &mut Answer, rules: &Rules) {
    if !rules.transparent && answer.foreign.is_none() && answer.stored.is_none() {
        let value = proxy_status::value(&rules.via, answer.cause);
        answer.fields.push(("Proxy-Status".into(), value.into()));
    }
}

/// Has a cache judge a final response, if it wants to. None where it has something else for its client.
fn judged(
    request: &Request,
    response: &Response<'_>,
    rest: &[u8],
    private: bool,
    cx: &mut Context<'_>,
    summary: Option<&mut Summary>,
) -> Option<Caching> {
    let (Caching::Judge, Some(judge)) = (*request.caching(), cx.judge.as_deref_mut()) else {
        return Some(*request.caching());
    };
    let judged = judge.judge(request, response, rest, private)?;
    if let Some(summary) = summary {
        summary.cache = Some(judged.words);
    }
    Some(Caching::Told(judged.report))
}

/// Not to a protocol that was not offered, nor with content of the request on its way that would end up in the tunnel.
fn may_switch(request: &Request, response: &Response<'_>, uploaded: bool) -> bool {
    uploaded && response.upgrade().is_some_and(|chosen| request.offers(chosen))
}

/// A response head that was rewritten for the client.
struct Head {
    length: u32,
    kind: ResponseKind,
}

enum ResponseKind {
    Interim,
    Switching,
    Final { framing: Framing, keep_client: bool, keep_origin: bool, private: bool },
}

impl ResponseKind {
    fn of_final(response: &Response<'_>, to: &ToClient<'_>) -> ResponseKind {
        let framing = response.framing(to.version);
        ResponseKind::Final {
            keep_client: to.persists(&framing),
            keep_origin: response.keep_alive(),
            private: response.wants_private_connection(),
            framing,
        }
    }
}

/// What a response has to know of the client that it is for.
#[derive(Clone, Copy)]
struct ClientState {
    /// The client's connection may carry another request afterwards.
    keep: bool,
    /// All of the request has come.
    uploaded: bool,
    /// The connection to the origin belongs to this client alone.
    private: bool,
}

/// Parses the head at the front of the buffer and puts what the client gets in its place. None where a cache has something else for
/// its client.
fn take_response(
    relay: &mut Relay,
    mut summary: Option<&mut Summary>,
    length: usize,
    buf: &mut Buf,
    client: ClientState,
    cx: &mut Context<'_>,
) -> Result<Option<Head>, OriginFault> {
    let request = &relay.request;
    let mut caching = *request.caching();
    let response = Response::parse(&buf.bytes()[..length], request.method())?;
    login_fault(request, &response)?;
    cx.out.clear();
    // Content that is still to come goes on, if the origin means to read it.
    let goes_on = client.uploaded || response.keep_alive() && request.expectation() == Expectation::None;
    let to = ToClient {
        version: request.version(),
        method: request.method(),
        // What a client sends behind a CONNECT is not its next request, whether or not the tunnel came about.
        keep_alive: client.keep && goes_on && request.method() != Method::Connect,
        upgrade: true,
        date: cx.date,
        rules: &cx.settings.rules,
    };
    let kind = if response.status() == 101 {
        if !may_switch(request, &response, client.uploaded) {
            return Err(OriginFault::UnaskedSwitch);
        }
        rewrite::response(cx.out, &response, &to);
        ResponseKind::Switching
    } else if response.is_interim() {
        if relay.interims >= MAX_INTERIMS {
            return Err(OriginFault::TooManyInterims);
        }
        if request.version() == Version::Http11 && request.method() != Method::Connect {
            rewrite::response(cx.out, &response, &to);
        }
        ResponseKind::Interim
    } else {
        let rest = &buf.bytes()[length..];
        let told = judged(request, &response, rest, client.private, cx, summary.as_deref_mut());
        let Some(told) = told else { return Ok(None) };
        caching = told;
        rewrite::response(cx.out, &response, &to);
        ResponseKind::of_final(&response, &to)
    };
    if !matches!(kind, ResponseKind::Interim) {
        if let Caching::Told(report) = &caching {
            rewrite::append_cache_status(cx.out, report, &cx.settings.rules);
        }
        cx.counters.note_response(ResponseSource::Origin, response.status());
        if let Some(summary) = summary {
            summary.note_response(&response);
        }
    }
    buf.replace_front(length, cx.out);
    Ok(Some(Head { length: cx.out.len() as u32, kind }))
}

//! What an exchange makes of a connection of ICAP: each request is decided about like any other, the client sends it on itself, and
//! what it gets is a word about it, or the message back. Everything is read and written here; the room `icap` knows the forms.

use reactor::buffer::Buf;

use super::close::CloseReason;
use super::current::Persistence;
use super::download::{put_status, MAX_STORED};
use super::phase::{AnswerState, BodyRest, Ending, Phase};
use super::{Action, Context, Exchange};
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::fault::Fault;
use crate::http::framing::Framing;
use crate::http::head::HeadScan;
use crate::http::request::{OpaqueKind, Request};
use crate::http::rewrite;
use crate::http::rules::ToClient;
use crate::http::{Method, Version};
use crate::icap::fault::IcapFault;
use crate::icap::reply::{write_head, write_options, Enclosed, IcapReply, Service, CONTINUE};
use crate::icap::request::{first_fault, lines_for_helpers, IcapMethod, IcapRequest};
use crate::icap::transaction::{Transaction, LAST_CHUNK};
use crate::icap::Respmod;

impl Exchange {
    /// The transaction of ICAP that is under way.
    pub fn transaction(&self) -> Option<&Transaction> {
        self.icap.as_deref()
    }

    /// Whether a client of ICAP asks what the service can do, and helpers are to say it.
    pub fn asks_options(&self) -> bool {
        matches!(self.phase, Phase::Deciding(_))
            && self.transaction().is_some_and(|transaction| transaction.method() == IcapMethod::Options)
    }

    /// A helper has said in lines what the service can do, or nothing came of it.
    pub fn handle_options(&mut self, said: Vec<u8>, cx: &mut Context<'_>) {
        if self.asks_options() {
            self.reply(IcapReply::Options(said), CloseReason::Complete, cx);
        }
    }

    /// The request may go on: its client gets that said, or what takes its place.
    pub fn handle_vetted(&mut self, cx: &mut Context<'_>) {
        let (Phase::Resolving(request), Some(transaction)) = (&self.phase, &self.icap) else { return };
        let (changed, tunnel) = (self.current.replaced, request.method() == Method::Connect);
        let reply = match changed {
            false if transaction.takes_204() => IcapReply::Bare(204),
            false => {
                cx.out.clear();
                request.write_without_credentials(cx.out);
                IcapReply::Message { request: true, head: cx.out[..].into() }
            }
            true => {
                cx.out.clear();
                rewrite::encapsulated(cx.out, request);
                IcapReply::Message { request: true, head: cx.out[..].into() }
            }
        };
        let announced = match request.framing() {
            Framing::Sized(length) => Some(length),
            _ => None,
        };
        if let (Some(transaction), IcapReply::Message { .. }) = (&mut self.icap, &reply) {
            transaction.begin_echo(announced);
        }
        if let Some(summary) = &mut self.current.summary {
            summary.resolved = Some(cx.now);
        }
        cx.counters.allowed[usize::from(tunnel)] += 1;
        self.reply(reply, CloseReason::Complete, cx);
    }

    /// Looks for the heads with which a request of ICAP begins.
    pub(super) fn read_icap(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        let Some(mut scan) = self.begin_head(buf, cx) else { return };
        let limit = cx.settings.icap.header_size;
        match scan.find(buf.bytes()) {
            Some(length) if length <= limit => self.take_icap(scan, length, buf, cx),
            None if buf.len() < limit => match first_fault(buf.bytes()) {
                Some(fault) => self.refuse_icap(fault, cx),
                None => self.await_rest(scan, 0, cx),
            },
            _ => {
                let begin = &buf.bytes()[..buf.len().min(limit)];
                self.refuse_icap(first_fault(begin).unwrap_or(IcapFault::TooLarge), cx);
            }
        }
    }

    /// The head of ICAP is complete; those within may not be.
    fn take_icap(&mut self, scan: HeadScan, length: usize, buf: &mut Buf, cx: &mut Context<'_>) {
        let request = match IcapRequest::parse(&buf.bytes()[..length]) {
            Ok(request) => request,
            Err(fault) => return self.refuse_icap(fault, cx),
        };
        let heads = [request.parts.request.clone(), request.parts.response.clone()];
        if heads.iter().flatten().any(|head| head.len() > cx.settings.rules.max_head()) {
            return self.refuse_icap(IcapFault::TooLarge, cx);
        }
        let behind = length + request.parts.length;
        if buf.len() < behind {
            return self.await_rest(scan, behind, cx);
        }
        let within = &buf.bytes()[length..behind];
        // What it says of its bytes has to be true of them, or the next reader finds other heads there.
        let is_whole = |head: &[u8]| HeadScan::default().find(head) == Some(head.len());
        if !heads.iter().flatten().all(|head| is_whole(&within[head.clone()])) {
            return self.refuse_icap(IcapFault::BadParts, cx);
        }
        self.requests = self.requests.saturating_add(1);
        self.open_summary(cx);
        self.current.client = if request.closes { Persistence::Last } else { Persistence::More };
        let (method, trusted) = (request.method, cx.settings.trusted.contain(self.peer()));
        match request.said.address {
            Some(_) if !trusted => self.identity.doubt(),
            said => self.identity.note(said),
        }
        let credentials = request.credentials.clone();
        let mut transaction = Transaction::new(request, trusted);
        if cx.settings.icap.asks_helpers {
            transaction.keep_lines(lines_for_helpers(&buf.bytes()[..length], trusted));
        }
        let mut head = heads.into_iter().flatten().last().map(|head| within[head].to_vec()).unwrap_or_default();
        if let Some(credentials) = credentials.filter(|_| method == IcapMethod::Reqmod) {
            put_credentials(&mut head, &credentials);
        }
        buf.consume(behind);
        self.upload.begin(transaction.framing());
        self.upload.broken = true;
        self.icap = Some(Box::new(transaction));
        match method {
            IcapMethod::Options => self.take_options(cx),
            IcapMethod::Reqmod => self.take_encapsulated(&head, cx),
            IcapMethod::Respmod => self.take_response_back(head, cx),
        }
    }

    fn take_options(&mut self, cx: &mut Context<'_>) {
        let request = Request::opaque(OpaqueKind::Options, None);
        if let Some(summary) = &mut self.current.summary {
            summary.note_request(&request, cx.out);
        }
        if !cx.settings.icap.asks_helpers {
            return self.reply(IcapReply::Options(Vec::new()), CloseReason::Complete, cx);
        }
        self.enter(Phase::Deciding(Box::new(request)), cx.now);
        self.action = Some(Action::Ask);
    }

    /// A request that is to be decided about.
    fn take_encapsulated(&mut self, head: &[u8], cx: &mut Context<'_>) {
        let mut request = match Request::parse_encapsulated(head, &cx.settings.rules) {
            Ok(request) => request,
            Err(fault) => {
                if let Some(summary) = &mut self.current.summary {
                    summary.note_line(head);
                }
                log::debug!(target: "client", "{} request refused: {fault}", self.name(cx));
                return self.explain(Cause::Client(fault), CloseReason::Answered, cx);
            }
        };
        self.current.head_only = request.method() == Method::Head;
        let user = self.transaction().and_then(|transaction| transaction.said().user.as_deref().map(Into::into));
        if let Some(summary) = &mut self.current.summary {
            summary.note_request(&request, cx.out);
            summary.user.clone_from(&user);
        }
        request.set_user(user);
        let limit = cx.settings.body_size;
        if matches!(request.framing(), Framing::Sized(length) if limit > 0 && length > limit) {
            return self.explain(Cause::Client(Fault::BodyTooLarge), CloseReason::Answered, cx);
        }
        self.enter(Phase::Deciding(request), cx.now);
        self.action = Some(Action::Ask);
    }

    /// A response, which goes back as it came where that is allowed: it is not looked at.
    fn take_response_back(&mut self, head: Vec<u8>, cx: &mut Context<'_>) {
        let Some(transaction) = &mut self.icap else { return };
        let reply = match cx.settings.icap.respmod {
            Respmod::Refuse => IcapReply::Bare(405),
            Respmod::Allow if transaction.takes_204() => IcapReply::Bare(204),
            Respmod::Allow => {
                transaction.begin_echo(None);
                IcapReply::Message { request: false, head: head.into() }
            }
        };
        self.reply(reply, CloseReason::Complete, cx);
    }

    /// What has come is no request of ICAP, or none that can be followed: nothing behind it can be read.
    fn refuse_icap(&mut self, fault: IcapFault, cx: &mut Context<'_>) {
        log::debug!(target: "client", "{} ICAP request refused: {fault}", self.name(cx));
        self.requests = self.requests.saturating_add(1);
        self.open_summary(cx);
        let told = if fault == IcapFault::TooLarge { Fault::HeadTooLarge } else { Fault::BadLine };
        let cause = Cause::Client(told);
        self.trouble = Some(cause);
        cx.counters.note_answer(cause, false);
        if let Some(summary) = &mut self.current.summary {
            summary.cause = Some(cause);
        }
        self.current.client = Persistence::Unknown;
        self.icap = None;
        self.reply(IcapReply::Bare(fault.status()), CloseReason::Answered, cx);
    }

    /// Replies in HTTP within ICAP, or where there is no request for that, by a status of ICAP.
    pub(super) fn reply_in_http(&self, answer: Box<Answer>) -> AnswerState {
        let is_request = |transaction: &Transaction| transaction.method() == IcapMethod::Reqmod;
        AnswerState::Icap(Box::new(match self.transaction().is_some_and(is_request) {
            true => IcapReply::Response(answer),
            false => IcapReply::Bare(answer.status),
        }))
    }

    fn reply(&mut self, reply: IcapReply, reason: CloseReason, cx: &mut Context<'_>) {
        if let Some(summary) = &mut self.current.summary {
            summary.status = Some(match &reply {
                IcapReply::Bare(status) => *status,
                IcapReply::Message { .. } | IcapReply::Response(_) | IcapReply::Options(_) => 200,
            });
        }
        self.upload.broken = !self.echoes();
        let ending = Ending { reply: AnswerState::Icap(Box::new(reply)), keep: true, whole: true, reason };
        self.enter(Phase::Answering(ending), cx.now);
    }

    /// Whether content goes back to the client that sends it.
    pub(super) fn echoes(&self) -> bool {
        self.transaction().is_some_and(Transaction::echoes)
    }

    /// Whether a reply that waits can go out, or the client be asked for what is behind its preview.
    pub(super) fn may_reply(&self) -> bool {
        match self.transaction() {
            Some(transaction) if transaction.echoes() => transaction.may_begin(&self.upload.framing),
            Some(_) => self.upload.done,
            None => true,
        }
    }

    /// Whether more content of the request is read: all of it before a reply that needs none, and piece by piece where it goes back.
    pub(super) fn wants_content(&self, ending: &Ending) -> bool {
        let Some(transaction) = self.transaction().filter(|_| !self.upload.done) else { return false };
        match &ending.reply {
            AnswerState::Icap(_) => true,
            AnswerState::Written => transaction.echoes() && transaction.output().is_empty(),
            _ => false,
        }
    }

    /// Takes content of the request, to be thrown away or to go back.
    pub(super) fn read_content(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        let Phase::Answering(ending) = &self.phase else { return };
        if !self.wants_content(ending) {
            return;
        }
        let scanned = self.upload.scan(buf);
        let count = self.upload.cleared();
        let Some(transaction) = &mut self.icap else { return };
        let sound = scanned.is_ok() && transaction.take(&buf.bytes()[..count]);
        let asks = transaction.awaits_continue(&self.upload.framing);
        let fits = !self.upload.done || asks || transaction.finish();
        self.upload.drop_cleared(buf);
        if !sound || !fits {
            self.break_off(cx);
        }
    }

    /// The content is none, or not what its head announced.
    fn break_off(&mut self, cx: &mut Context<'_>) {
        let Phase::Answering(ending) = &mut self.phase else { return };
        if ending.is_written() {
            return self.close(CloseReason::RequestFault, cx.now);
        }
        ending.keep = false;
        ending.reply = AnswerState::Icap(Box::new(IcapReply::Bare(400)));
        ending.reason = CloseReason::RequestFault;
        self.icap = None;
        self.upload.broken = true;
    }

    /// Writes a reply, if its time has come.
    pub(super) fn advance_reply(&mut self, reply: Box<IcapReply>, keep: bool, buf: &mut Buf, cx: &mut Context<'_>) {
        if !self.may_reply() {
            return self.put_back(reply);
        }
        self.download.drop_raw(buf);
        self.download.eof = false;
        if let Some(transaction) = &mut self.icap {
            if transaction.awaits_continue(&self.upload.framing) {
                transaction.go_on();
                self.upload.begin(transaction.framing());
                buf.append(CONTINUE);
            }
        }
        self.current.announced = keep;
        self.write_reply(*reply, keep, buf, cx);
        self.download.cleared = buf.len() as u32;
    }

    fn put_back(&mut self, reply: Box<IcapReply>) {
        if let Phase::Answering(ending) = &mut self.phase {
            ending.reply = AnswerState::Icap(reply);
        }
    }

    fn write_reply(&mut self, reply: IcapReply, keep: bool, buf: &mut Buf, cx: &mut Context<'_>) {
        let tag = cx.settings.icap.tag;
        cx.out.clear();
        match reply {
            IcapReply::Bare(status) => write_head(cx.out, status, tag, keep, Enclosed::NOTHING),
            IcapReply::Options(said) => {
                let icap = &cx.settings.icap;
                let (connections, name) = (icap.connections, &*cx.settings.rules.server);
                let service = Service { tag, respmod: icap.respmod, connections, name, date: cx.date };
                write_options(cx.out, &said, &service, keep);
            }
            IcapReply::Message { request, head } => {
                let (kind, body) = (if request { "req" } else { "res" }, self.echoes());
                write_head(cx.out, 200, tag, keep, Enclosed { head: Some((kind, head.len())), body });
                cx.out.extend_from_slice(&head);
                buf.append(cx.out);
                // Its end is that of the content.
                return self.download.begin(if body { Framing::UntilClose } else { Framing::Empty });
            }
            IcapReply::Response(answer) => return self.write_response(*answer, keep, buf, cx),
        }
        buf.append(cx.out);
        self.download.begin(Framing::Empty);
    }

    /// Writes a response in place of the request. Its length is known, so that its content is one chunk.
    fn write_response(&mut self, mut answer: Answer, keep: bool, buf: &mut Buf, cx: &mut Context<'_>) {
        let rules = &cx.settings.rules;
        answer.close = false;
        put_status(&mut answer, rules);
        let method = if self.current.head_only { Method::Head } else { Method::Get };
        let to = ToClient { version: Version::Http11, method, keep_alive: true, upgrade: false, date: cx.date, rules };
        let here = answer.write(cx.out, &to, 0);
        let bare = self.current.head_only || matches!(answer.status, 204 | 304);
        let length = if bare { 0 } else { answer.follows + here as u64 };
        let mut head = Vec::new();
        let enclosed = Enclosed { head: Some(("res", cx.out.len())), body: length > 0 };
        write_head(&mut head, 200, cx.settings.icap.tag, keep, enclosed);
        buf.append(&head);
        buf.append(cx.out);
        if length == 0 {
            return self.download.begin(Framing::Empty);
        }
        buf.append(format!("{length:x}\r\n").as_bytes());
        // What follows from elsewhere stands behind the whole body.
        let stored = here <= MAX_STORED || answer.follows > 0;
        let rest = if stored { answer.follows } else { length };
        if stored {
            buf.append(&answer.body);
        } else if let Phase::Answering(ending) = &mut self.phase {
            ending.reply = AnswerState::Flowing(Box::new(BodyRest::new(std::mem::take(&mut answer.body))));
        }
        self.current.owes_end = true;
        self.download.begin(Framing::Sized(rest));
        self.end_content(buf);
    }

    /// Ends the one chunk of a response, behind all of it.
    pub(super) fn end_content(&mut self, buf: &mut Buf) {
        if self.current.owes_end && self.download.done {
            self.current.owes_end = false;
            buf.append(b"\r\n");
            buf.append(LAST_CHUNK);
            self.download.cleared = buf.len() as u32;
        }
    }

    /// Content that goes back and is there to be sent.
    pub(super) fn echo(&self) -> &[u8] {
        self.transaction().map_or(b"", Transaction::output)
    }

    /// So many bytes of it were sent.
    pub(super) fn echo_sent(&mut self, count: usize) {
        self.download.moved += count as u64;
        self.download.done = self.icap.as_mut().is_none_or(|transaction| transaction.skip(count));
    }
}

/// Puts the credentials that a client of ICAP tells apart into the head of the request that they belong to, where they are looked for.
fn put_credentials(head: &mut Vec<u8>, credentials: &[u8]) {
    let fields_at = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    let line = [b"Proxy-Authorization: ", credentials, b"\r\n"].concat();
    head.splice(fields_at..fields_at, line);
}

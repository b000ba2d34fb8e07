//! What an exchange makes of the bytes that come from its client.

use reactor::buffer::Buf;

use super::close::CloseReason;
use super::current::{Current, Persistence};
use super::ingress::{Ingress, Onward};
use super::phase::{Phase, RelayStage};
use super::{local, Action, Context, Exchange};
use crate::http::cause::Cause;
use crate::http::fault::Fault;
use crate::http::first_bytes::request_fault;
use crate::http::framing::Framing;
use crate::http::head::{leading_blank, oversized, HeadScan};
use crate::http::request::Request;
use crate::http::rewrite;
use crate::http::rules::Rules;
use crate::http::Method;

impl Exchange {
    /// Looks at what the client has sent and clears what may go to the origin.
    pub fn advance_upload(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::ProxyHeader { .. }) {
            self.read_proxy_header(buf, cx);
        }
        if !matches!(self.phase, Phase::Relaying(_) | Phase::Tunnel { .. }) {
            self.upload.drop_cleared(buf);
        }
        match &mut self.phase {
            Phase::Idle | Phase::Head { .. } | Phase::Hello(_) => self.read_first(buf, cx),
            Phase::Relaying(_) => self.relay_request(buf, cx),
            Phase::Tunnel { .. } => self.read_tunnel(buf, cx),
            Phase::Answering(_) if self.icap.is_some() => self.read_content(buf, cx),
            // With all of the content out of the way the next request can be found behind it.
            Phase::Answering(ending) if !ending.is_written() => ending.keep &= self.upload.scan(buf).is_ok(),
            Phase::Draining { budget, reason } => {
                let count = buf.len();
                buf.consume(count);
                let reason = *reason;
                match budget.checked_sub(count as u32) {
                    Some(left) => *budget = left,
                    None => self.close(reason, cx.now),
                }
            }
            Phase::ProxyHeader { .. }
            | Phase::Deciding(_)
            | Phase::Resolving(_)
            | Phase::Connecting(_)
            | Phase::Answering(_)
            | Phase::Closed(_) => {}
        }
    }

    /// Looks at what a request begins with, in the language of the listener.
    fn read_first(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        match self.ingress {
            Ingress::Tls => self.read_hello(buf, cx),
            Ingress::Passthrough => self.take_connection(cx),
            Ingress::Icap => self.read_icap(buf, cx),
            _ => self.read_head(buf, cx),
        }
    }

    fn read_tunnel(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        self.read_opening(buf, cx);
        if matches!(&self.phase, Phase::Tunnel { of, .. } if of.opening.is_none()) {
            self.upload.clear_all(buf);
        }
    }

    /// Goes on with the head of a request, of HTTP or ICAP, or begins with it; how far it was looked through, or None while there
    /// is nothing new to look at.
    pub(super) fn begin_head(&mut self, buf: &mut Buf, cx: &Context<'_>) -> Option<HeadScan> {
        let (scan, whole) = match &self.phase {
            Phase::Head { scan, whole } => (*scan, *whole as usize),
            _ => {
                // RFC 9112 §2.2: empty lines before a request line are passed over.
                buf.consume(leading_blank(buf.bytes()));
                (HeadScan::default(), 0)
            }
        };
        // A lone CR may be the first half of another empty line.
        if matches!(buf.bytes(), [] | [b'\r']) || buf.len() < whole {
            return None;
        }
        if matches!(self.phase, Phase::Idle) {
            self.current = Current::begun(cx.now, cx.fraction);
            // Behind a balancer the next request may come from another client than the last one.
            self.identity.note(None);
        }
        Some(scan)
    }

    fn read_head(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        let Some(mut scan) = self.begin_head(buf, cx) else { return };
        let (found, limit) = (scan.find(buf.bytes()), cx.settings.rules.max_head());
        match found {
            Some(length) if length <= limit => self.take_head(scan, length, buf, cx),
            None if buf.len() < limit => match request_fault(buf.bytes()) {
                Some(fault) => self.refuse_early(fault, buf, cx),
                None => self.await_rest(scan, 0, cx),
            },
            _ => self.refuse_early(oversized(buf.bytes(), limit), buf, cx),
        }
    }

    /// Refuses a request whose head is not complete, or too large.
    fn refuse_early(&mut self, fault: Fault, buf: &Buf, cx: &mut Context<'_>) {
        self.open_summary(cx);
        self.refuse_unread(fault, buf, cx);
    }

    /// Refuses a request of which no more is known than what its first line says.
    fn refuse_unread(&mut self, fault: Fault, buf: &Buf, cx: &mut Context<'_>) {
        if let Some(summary) = &mut self.current.summary {
            summary.note_line(buf.bytes());
        }
        self.refuse(fault, cx);
    }

    /// The request is not complete; `whole` is how long it is in all, if that is known.
    pub(super) fn await_rest(&mut self, scan: HeadScan, whole: usize, cx: &mut Context<'_>) {
        // A sum of two limits, 1 MiB and 8 KiB.
        let so_far = (scan, whole as u32);
        match &mut self.phase {
            // It is the same request, and the time for it goes on.
            Phase::Head { scan, whole } => (*scan, *whole) = so_far,
            _ => self.enter(Phase::Head { scan: so_far.0, whole: so_far.1 }, cx.now),
        }
    }

    fn take_head(&mut self, scan: HeadScan, length: usize, buf: &mut Buf, cx: &mut Context<'_>) {
        let is_local = self.ingress.is_local();
        let parsed = self.parse_head(&buf.bytes()[..length], &cx.settings.rules);
        let more = parsed.as_ref().ok().filter(|_| is_local);
        if let Some(count) = more.and_then(|request| local::awaited(request, buf.len() - length)) {
            return self.await_rest(scan, length + count, cx);
        }
        self.requests = self.requests.saturating_add(1);
        self.open_summary(cx);
        match parsed {
            Ok(request) => {
                buf.consume(length);
                self.take_request(request, buf, cx);
            }
            Err(fault) => self.refuse_unread(fault, buf, cx),
        }
    }

    /// Reads a head. One of HTTP/1.0 need not name its host where the connection says where it was going.
    fn parse_head(&self, head: &[u8], rules: &Rules) -> Result<Box<Request>, Fault> {
        if self.ingress.is_local() {
            return Request::parse_own(head, rules);
        }
        match (Request::parse(head, rules), self.provenance.as_deref()) {
            (Err(Fault::NoHost), Some(provenance)) if self.ingress == Ingress::Intercept => match provenance.original {
                Some(original) => Request::parse_diverted(original.to_string().as_bytes(), head, rules),
                None => Err(Fault::NoHost),
            },
            (parsed, _) => parsed,
        }
    }

    fn take_request(&mut self, mut request: Box<Request>, buf: &mut Buf, cx: &mut Context<'_>) {
        self.current.head_only = request.method() == Method::Head;
        self.current.version = request.version();
        let noted = cx.settings.rules.forward.as_deref().and_then(|name| request.noted_client(name.as_bytes()));
        match noted {
            Some(_) if !cx.settings.trusted.contain(self.peer()) => self.identity.doubt(),
            noted => self.identity.note(noted),
        }
        if let Some(original) = self.original_destination().filter(|_| self.ingress == Ingress::Intercept) {
            if cx.settings.onward == Onward::Original {
                request.send_on(original);
            }
        }
        if let Some(summary) = &mut self.current.summary {
            summary.note_request(&request, cx.out);
        }
        self.upload.begin(request.framing());
        if let Err(fault) = self.admit_content(&mut request, buf, cx.settings.body_size) {
            return self.refuse(fault, cx);
        }
        self.current.client = if request.keep_alive() { Persistence::More } else { Persistence::Last };
        self.private |= request.wants_private_connection();
        self.enter(Phase::Deciding(request), cx.now);
        self.action = Some(Action::Ask);
    }

    /// Looks at what the head says of the content. That of a request to this program itself is taken, and that of a short QUERY.
    fn admit_content(&mut self, request: &mut Request, buf: &mut Buf, limit: u64) -> Result<(), Fault> {
        match request.framing() {
            _ if self.ingress.is_local() => {
                local::hold(request, buf.bytes())?;
                buf.consume(request.content().len());
                self.upload.begin(Framing::Empty);
                Ok(())
            }
            Framing::Sized(length) if limit > 0 && length > limit => Err(Fault::BodyTooLarge),
            // It can be asked once more with what has come together with its head, all of it.
            Framing::Sized(_) if request.is_query() && local::hold(request, buf.bytes()).is_ok() => {
                buf.consume(request.content().len());
                self.upload.begin(Framing::Empty);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, fault: Fault, cx: &mut Context<'_>) {
        log::debug!(target: "client", "{} request refused: {fault}", self.name(cx));
        self.current.client = Persistence::Unknown;
        self.explain(Cause::Client(fault), CloseReason::Answered, cx);
    }

    fn relay_request(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        if let Phase::Relaying(relay) = &mut self.phase {
            if relay.stage == RelayStage::Send {
                self.upload.drop_cleared(buf);
                cx.out.clear();
                rewrite::request(cx.out, &relay.request, &cx.settings.rules, self.identity.peer());
                cx.out.extend_from_slice(relay.request.content());
                buf.replace_front(0, cx.out);
                self.upload.cleared = cx.out.len() as u32;
                relay.stage = RelayStage::Await;
            }
        }
        let scanned = self.upload.scan(buf);
        let limit = cx.settings.body_size;
        let fault = match (scanned, &self.upload.framing) {
            (Err(fault), _) => Fault::from(fault),
            (Ok(()), Framing::Chunked(chunks)) if limit > 0 && chunks.content() > limit => Fault::BodyTooLarge,
            (Ok(()), _) => return,
        };
        self.abort_origin = true;
        match &self.phase {
            Phase::Relaying(relay) if relay.stage == RelayStage::Await => self.refuse(fault, cx),
            _ => self.close(CloseReason::RequestFault, cx.now),
        }
    }
}

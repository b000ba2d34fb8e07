//! What an exchange makes of connections that carry no HTTP: TLS, whose first message names a server, and anything else that
//! the network diverts. Each becomes a request for a tunnel, of which the client is told nothing.

use reactor::buffer::Buf;

use super::close::CloseReason;
use super::current::{Current, Persistence};
use super::ingress::Ingress;
use super::notice::alert_of;
use super::phase::{LastNotice, Phase};
use super::{Action, Context, Exchange};
use crate::http::cause::Cause;
use crate::http::framing::Framing;
use crate::http::request::{OpaqueKind, Request};
use crate::http::target::{Host, Target, TargetForm};
use crate::tls::fault::HelloFault;
use crate::tls::hello::ClientHello;

/// Port of a name where no diversion tells another.
const HTTPS_PORT: u16 = 443;

/// What a client begins with that takes the port for one of HTTP.
const PLAIN: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"CONNECT ", b"DELETE ", b"PATCH ", b"TRACE "];

impl Exchange {
    /// Looks for the hello with which a connection of TLS begins. It stays in the buffer, for the server.
    pub(super) fn read_hello(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        if buf.is_empty() {
            return;
        }
        if matches!(self.phase, Phase::Idle) {
            self.current = Current::begun(cx.now, cx.fraction);
            self.enter(Phase::Hello(Default::default()), cx.now);
        }
        let Phase::Hello(scan) = &mut self.phase else { return };
        let found = scan.find(buf.bytes(), cx.settings.hello_size);
        let read = match found {
            Ok(None) => return,
            Ok(Some(length)) => ClientHello::parse(&buf.bytes()[..length]).map(|hello| (hello, length)),
            Err(fault) => Err(fault),
        };
        self.requests = self.requests.saturating_add(1);
        self.open_summary(cx);
        match read {
            Ok((hello, length)) => self.take_hello(hello, &buf.bytes()[..length], cx),
            Err(fault) => self.refuse_hello(fault, buf.bytes(), cx),
        }
    }

    fn take_hello(&mut self, hello: ClientHello, bytes: &[u8], cx: &mut Context<'_>) {
        let original = self.original_destination();
        let port = original.map_or(HTTPS_PORT, |original| original.port());
        let named = match &hello.name {
            Some(Host::Name(name)) => {
                Some(Target { form: TargetForm::Authority, host: Host::Name(name.clone()), port })
            }
            // An address is no name (RFC 6066 section 3).
            _ => None,
        };
        let by_name = named.is_some() && cx.settings.tls_by_name;
        let mut request = Request::opaque(OpaqueKind::Tls, named.or_else(|| original.map(Target::from_address)));
        if let Some(original) = original.filter(|_| !by_name) {
            request.send_on(original);
        }
        if cx.settings.keeps_hello {
            request.hold_content(bytes);
        }
        if let Some(summary) = &mut self.current.summary {
            summary.hello = Some(Box::new(hello));
        }
        self.take_opaque(request, cx);
    }

    /// A connection of any protocol has come in: where it goes is known before its first byte.
    pub(super) fn take_connection(&mut self, cx: &mut Context<'_>) {
        self.current = Current::begun(cx.now, cx.fraction);
        self.requests = self.requests.saturating_add(1);
        self.open_summary(cx);
        let original = self.original_destination().map(Target::from_address);
        self.take_opaque(Request::opaque(OpaqueKind::Tcp, original.or_else(|| cx.settings.passthrough.clone())), cx);
    }

    fn take_opaque(&mut self, request: Request, cx: &mut Context<'_>) {
        if let Some(summary) = &mut self.current.summary {
            summary.note_request(&request, cx.out);
        }
        self.current.client = Persistence::Last;
        self.upload.begin(Framing::UntilClose);
        self.enter(Phase::Deciding(Box::new(request)), cx.now);
        self.action = Some(Action::Ask);
    }

    fn refuse_hello(&mut self, fault: HelloFault, bytes: &[u8], cx: &mut Context<'_>) {
        log::debug!(target: "client", "{} connection refused: {fault}", self.name(cx));
        let cause = if fault.is_tls() { Cause::BadHello } else { Cause::NotTls };
        if PLAIN.iter().any(|method| bytes.starts_with(method)) {
            return self.explain_in_http(cause, CloseReason::Refused, cx);
        }
        self.close_with(cause, LastNotice { greet: false, alert: fault.alert() }, cx);
    }

    /// Refuses a connection whose client reads no HTTP.
    pub(super) fn refuse_opaque(&mut self, cause: Cause, cx: &mut Context<'_>) {
        let alert = alert_of(cause).filter(|_| self.ingress == Ingress::Tls);
        self.close_with(cause, LastNotice { greet: false, alert }, cx);
    }
}

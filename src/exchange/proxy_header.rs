//! What an exchange makes of the PROXY protocol header that comes before the first request of a balancer's connection.

use std::net::SocketAddr;

use reactor::buffer::Buf;

use super::close::CloseReason;
use super::ingress::{MAX_AUTHORITY, MAX_UNIQUE_ID};
use super::phase::Phase;
use super::proxy_protocol::{self, Announced, Header, AUTHORITY, UNIQUE_ID};
use super::{Context, Exchange};

impl Exchange {
    /// Whether the request under way names a client, and is not believed.
    pub fn is_doubted(&self) -> bool {
        self.identity.is_doubted()
    }

    /// Keeps what the access log tells of a connection beyond its addresses.
    fn note_additions(&mut self, header: &Header, bytes: &[u8], cx: &Context<'_>) {
        if cx.settings.summary.is_none() {
            return;
        }
        let kept = |kind, most| header.addition(bytes, kind).map(|value| &value[..value.len().min(most)]);
        let (unique_id, authority) = (kept(UNIQUE_ID, MAX_UNIQUE_ID), kept(AUTHORITY, MAX_AUTHORITY));
        if unique_id.is_some() || authority.is_some() {
            let provenance = self.provenance.get_or_insert_default();
            provenance.unique_id = unique_id.unwrap_or_default().into();
            provenance.authority = authority.unwrap_or_default().into();
        }
    }

    /// Takes the header when it is complete. What stands behind it stays in the buffer.
    pub(super) fn read_proxy_header(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        if !buf.is_empty() && !cx.settings.trusted.contain(self.peer()) {
            return self.close(CloseReason::ProxyUntrusted, cx.now);
        }
        match proxy_protocol::find(buf.bytes()) {
            Ok(None) => {
                if let Phase::ProxyHeader { begun } = &mut self.phase {
                    *begun = !buf.is_empty();
                }
            }
            Ok(Some(header)) => {
                self.note_additions(&header, buf.bytes(), cx);
                buf.consume(header.length);
                if let Some(Announced { source, destination }) = header.addresses {
                    self.identity.announce(source);
                    // The listener's own diversion, if any, is that of the balancer's connection.
                    if self.ingress.is_diverted() {
                        let original = SocketAddr::new(destination.ip().to_canonical(), destination.port());
                        self.provenance.get_or_insert_default().original = Some(original);
                    }
                }
                self.enter(Phase::Idle, cx.now);
            }
            Err(fault) => {
                log::debug!(target: "client", "{} no PROXY protocol header: {fault}", self.name(cx));
                self.close(CloseReason::ProxyHeader, cx.now);
            }
        }
    }
}

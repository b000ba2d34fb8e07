//! Tunnels through a parent: it is asked for one with a CONNECT of our own, and what the client says waits until it has agreed.
//! Everything else that a parent gets is a request like any other.

use std::sync::Arc;

use reactor::buffer::Buf;

use super::phase::{Phase, Relay};
use super::{Context, Exchange};
use crate::http::fault::OriginFault;
use crate::http::framing::Framing;
use crate::http::request::{Hop, Parent, Request};
use crate::http::response::Response;
use crate::http::Method;

/// What a parent says of a tunnel.
pub(super) enum TunnelReply {
    /// There it is.
    Open,
    /// An answer that the client gets.
    Passed,
    /// Nothing that this client could read.
    Refused(OriginFault),
}

impl Exchange {
    /// The way of the request under way to a parent, to be changed while it has no connection.
    pub fn hop_mut(&mut self) -> Option<&mut Hop> {
        match &mut self.phase {
            Phase::Resolving(request) | Phase::Connecting(request) => Some(request.hop_mut()),
            _ => None,
        }
    }

    /// A helper has named the parent that the request goes through.
    pub fn handle_parent_named(&mut self, named: Arc<Parent>) {
        if let Phase::Deciding(request) = &mut self.phase {
            request.name_parent(named);
        }
    }

    /// Its way begins again.
    pub fn restart_hop(&mut self) {
        if let Phase::Resolving(request) | Phase::Connecting(request) = &mut self.phase {
            request.restart_hop();
        }
    }

    /// Whether the tunnel leads to a parent, so that the address at its other end says nothing of where it goes.
    pub fn tunnels_through_parent(&self) -> bool {
        matches!(&self.phase, Phase::Tunnel { of, .. } if of.through_parent)
    }

    /// There is a connection to the parent that is to open a tunnel: it is asked for one.
    pub(super) fn ask_for_tunnel(&mut self, cx: &mut Context<'_>) {
        // Nothing of what the client has said goes on before the answer.
        self.upload.begin(Framing::Empty);
        self.current.reusable = false;
        self.step(cx.now, |request| Phase::Relaying(Relay::new(request, false)));
    }

    /// What this head of a response says of the tunnel that a parent was asked for; None of one that was not.
    pub(super) fn tunnel_reply(&self, request: &Request, head: &[u8]) -> Option<TunnelReply> {
        if !asks_parent_for_tunnel(request) {
            return None;
        }
        let status = Response::parse(head, Method::Connect).map_or(0, |response| response.status());
        Some(match status {
            200..=299 => TunnelReply::Open,
            300.. if status != 407 && !self.ingress.speaks_http() => TunnelReply::Refused(OriginFault::ParentRefused),
            _ => TunnelReply::Passed,
        })
    }

    /// The parent has opened the tunnel. What stands behind its head is the origin's.
    pub(super) fn open_tunnel(&mut self, cx: &mut Context<'_>) {
        let Phase::Relaying(Relay { request, .. }) = &self.phase else { return };
        if let Some(summary) = &mut self.current.summary {
            summary.status = Some(200);
        }
        let opening = self.begin_opening(request, cx);
        self.upload.begin(Framing::UntilClose);
        self.note_served(cx);
        let greet = self.ingress.speaks_http();
        self.step(cx.now, |request| Phase::tunnel(greet, *request, opening));
    }

    /// What comes of the head of `length` bytes at the front of the buffer where it answers for a tunnel. None where the head is
    /// that of a response that the client gets.
    pub(super) fn follow_tunnel_reply(
        &mut self,
        length: usize,
        buf: &mut Buf,
        cx: &mut Context<'_>,
    ) -> Option<Result<(), OriginFault>> {
        let Phase::Relaying(relay) = &self.phase else { return None };
        match self.tunnel_reply(&relay.request, &buf.bytes()[..length])? {
            TunnelReply::Passed => None,
            TunnelReply::Refused(fault) => Some(Err(fault)),
            TunnelReply::Open => {
                buf.consume(length);
                self.open_tunnel(cx);
                Some(Ok(()))
            }
        }
    }
}

/// Whether the request is one for a tunnel that a parent is asked for.
pub(super) fn asks_parent_for_tunnel(request: &Request) -> bool {
    request.method() == Method::Connect && request.parent().is_some()
}

/// A parent that does not know us has nothing to say to our client, which could not answer it.
pub(super) fn login_fault(request: &Request, response: &Response<'_>) -> Result<(), OriginFault> {
    match request.parent() {
        Some(_) if response.status() == 407 => Err(OriginFault::ParentLogin),
        _ => Ok(()),
    }
}

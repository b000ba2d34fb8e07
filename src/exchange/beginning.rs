//! An exchange as it begins: with a client that has connected, or where it stood in another process.

use reactor::Millis;

use super::current::Current;
use super::flow::Flow;
use super::identity::Identity;
use super::ingress::{Arrival, Ingress, Provenance};
use super::phase::Phase;
use super::Exchange;

impl Exchange {
    /// A client has connected.
    pub fn new(arrival: &Arrival, now: Millis) -> Exchange {
        // With a PROXY protocol header to come, nothing is done with the connection before that is complete.
        let phase = if arrival.proxied { Phase::ProxyHeader { begun: false } } else { Phase::Idle };
        Exchange {
            listener: arrival.listener,
            provenance: arrival.original.map(|original| Box::new(Provenance::of(original))),
            ..Exchange::at(phase, arrival.ingress, Identity::new(arrival.peer), now)
        }
    }

    /// One that stands there, of which nothing else has happened.
    pub(super) fn at(phase: Phase, ingress: Ingress, identity: Identity, now: Millis) -> Exchange {
        Exchange {
            phase,
            upload: Flow::new(),
            download: Flow::new(),
            action: None,
            ingress,
            listener: 0,
            identity,
            provenance: None,
            requests: 0,
            current: Current::begun(now, 0),
            icap: None,
            private: false,
            exclusive: false,
            abort_client: false,
            abort_origin: false,
            client_reset: false,
            origin_reset: false,
            trouble: None,
            entered: now,
            touched: now,
        }
    }
}

//! The listeners of a moment, as pages show them. Knows no socket.

use serde_json::{json, Value};

/// A listener that is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerRow {
    /// What its connections are for.
    pub kind: &'static str,
    /// Where it is: an address with its port, or a path.
    pub address: String,
    /// How its connections are diverted to it, if they are.
    pub diversion: Option<&'static str>,
    /// A PROXY protocol header comes first.
    pub proxied: bool,
    /// Clients that are here by it.
    pub clients: u64,
    /// Clients of its kind, by whichever listener.
    pub of_kind: u64,
    /// Most clients of its kind.
    pub limit: u64,
    /// Connections that it has taken since it was opened.
    pub accepted: u64,
}

impl ListenerRow {
    /// The row as a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "kind": self.kind,
            "address": self.address,
            "mode": self.diversion,
            "proxied": self.proxied,
            "clients": self.clients,
            "clients_of_kind": self.of_kind,
            "limit": self.limit,
            "accepted": self.accepted,
        })
    }
}

//! How the service is, in one line.

use super::Proxy;
use crate::monitor::drainers::in_words;

impl Proxy {
    /// How the service is, for what supervises the process.
    pub fn status(&self) -> String {
        let own = self.clients.iter().filter(|(_, client)| !client.session.exchange.ingress().is_local()).count();
        let clients = in_words((own + self.clients_of_others()) as u64, "client");
        let state = match (self.lifecycle.is_draining(), self.listeners.serve()) {
            (true, _) => "soft stop",
            (false, true) => "serving",
            (false, false) => "not listening",
        };
        match self.watch.trouble() {
            Some(trouble) => format!("{state}, {clients}; {trouble}"),
            None => format!("{state}, {clients}"),
        }
    }
}

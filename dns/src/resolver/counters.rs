//! What the resolver counts. Nothing here decides anything.

/// Numbers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Names that were asked of the resolver.
    pub lookups: u64,
    /// Lookups answered at once: cached, from the hosts file, or by rule.
    pub cache_hits: u64,
    /// Lookups that joined one for the same name.
    pub joined: u64,
    /// Lookups and questions refused because too many are open.
    pub overloaded: u64,
    /// Different questions that were put to servers.
    pub queries: u64,
    /// Datagrams and TCP messages that were handed out for sending.
    pub sent: u64,
    /// Questions sent again after a wait.
    pub retries: u64,
    /// Questions sent over TCP.
    pub tcp: u64,
    /// TCP connections that were opened.
    pub links: u64,
    /// Questions put to a server only to see whether it is back.
    pub probes: u64,
    /// Responses that were matched with a question.
    pub answers: u64,
    /// Responses that said NXDOMAIN.
    pub not_found: u64,
    /// Responses that said that the family does not exist.
    pub no_address: u64,
    /// Responses with SERVFAIL, REFUSED or another code that only says that this server cannot help, and lame ones.
    pub server_errors: u64,
    /// Responses that were cut and asked again over TCP.
    pub truncated: u64,
    /// Responses with the letters in other case than asked.
    pub case_changed: u64,
    /// Questions repeated without EDNS because the server does not know it.
    pub edns_refused: u64,
    /// Waits that ended without a response.
    pub timeouts: u64,
    /// Sends that came back as unreachable.
    pub unreachable: u64,
    /// Questions that failed at every server.
    pub failed: u64,
    /// Dropped: it came from an address that is no server of ours.
    pub dropped_source: u64,
    /// Dropped: no open question has this id at this server, or it was asked the other way.
    pub dropped_id: u64,
    /// Dropped: the question in it is not the one with this id.
    pub dropped_question: u64,
    /// Dropped: it breaks the format.
    pub dropped_malformed: u64,
}

/// Adds each of these numbers to that of the same name. The compiler finds what is not listed.
macro_rules! add_up {
    ($sums:expr, $more:expr => $($count:ident)*) => {
        let Counters { $($count,)* } = $more;
        $($sums.$count += $count;)*
    };
}

impl Counters {
    /// Adds what another resolver has counted.
    pub fn add(&mut self, other: &Counters) {
        add_up!(self, other =>
            lookups cache_hits joined overloaded queries sent retries tcp links probes answers not_found no_address
            server_errors truncated case_changed edns_refused timeouts unreachable failed dropped_source dropped_id
            dropped_question dropped_malformed
        );
    }

    /// All responses that were thrown away.
    pub fn dropped(&self) -> u64 {
        self.dropped_source + self.dropped_id + self.dropped_question + self.dropped_malformed
    }
}

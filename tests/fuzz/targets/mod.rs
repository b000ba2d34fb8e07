//! What is fuzzed: functions that take any bytes and must not panic. Each compares the parser with something besides,
//! where there is something: its inverse, itself on the same bytes in pieces, its stricter side.

mod addresses;
mod bodies;
mod cache;
mod heads;
mod icap;
mod lines;
mod lists;
mod monitor;
mod moving;
mod names;
mod pac;
mod replies;
mod settings;
mod tls;
mod users;

use std::hash::{DefaultHasher, Hash, Hasher};

/// One target.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Inputs to begin with.
    pub(crate) seeds: &'static [&'static [u8]],
    /// Runs one input; the number tells roughly what happened, so that inputs that lead elsewhere are kept.
    pub(crate) run: fn(&[u8]) -> u64,
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "request", seeds: heads::REQUESTS, run: heads::request },
    Target { name: "response", seeds: heads::RESPONSES, run: heads::response },
    Target { name: "head_end", seeds: heads::REQUESTS, run: heads::head_end },
    Target { name: "first_bytes", seeds: heads::BEGINNINGS, run: heads::first_bytes },
    Target { name: "authority", seeds: heads::AUTHORITIES, run: heads::authority },
    Target { name: "proxy_line", seeds: heads::PROXY_LINES, run: heads::proxy_line },
    Target { name: "chunks_of_clients", seeds: bodies::CHUNKED, run: bodies::chunks_of_clients },
    Target { name: "chunks_of_origins", seeds: bodies::CHUNKED, run: bodies::chunks_of_origins },
    Target { name: "ini", seeds: settings::FILES, run: settings::ini },
    Target { name: "environment", seeds: settings::ASSIGNMENTS, run: settings::environment },
    Target { name: "command_line", seeds: settings::WORDS, run: settings::command_line },
    Target { name: "pages", seeds: settings::VALUES, run: settings::pages },
    Target { name: "dns_message", seeds: names::MESSAGES, run: names::message },
    Target { name: "nat64", seeds: addresses::GATEWAYS, run: addresses::gateways },
    Target { name: "dns_resolver", seeds: names::SCRIPTS, run: names::resolver },
    Target { name: "url_question", seeds: replies::QUESTIONS, run: replies::question },
    Target { name: "url_reply", seeds: replies::LINES, run: replies::url },
    Target { name: "icap_reply", seeds: replies::MESSAGES, run: replies::icap },
    Target { name: "icap_connection", seeds: icap::CONNECTIONS, run: icap::connection },
    Target { name: "monitor", seeds: monitor::REQUESTS, run: monitor::request },
    Target { name: "resolv_conf", seeds: names::RESOLV_CONFS, run: names::resolv_conf },
    Target { name: "lists", seeds: lists::FILES, run: lists::file },
    Target { name: "users", seeds: users::FILES, run: users::file },
    Target { name: "credentials", seeds: users::FIELDS, run: users::fields },
    Target { name: "hosts", seeds: names::HOSTS, run: names::hosts },
    Target { name: "client_hello", seeds: tls::HELLOS, run: tls::hello },
    Target { name: "pac_names", seeds: pac::NAMES, run: pac::names },
    Target { name: "pac_asked", seeds: pac::ASKED, run: pac::asked },
    Target { name: "cache_control", seeds: cache::DIRECTIVES, run: cache::directives },
    Target { name: "http_date", seeds: cache::DATES, run: cache::date },
    Target { name: "vary", seeds: cache::VARY, run: cache::vary },
    Target { name: "access_line", seeds: lines::RECORDS, run: lines::access },
    Target { name: "access_format", seeds: lines::FORMATS, run: lines::format },
    Target { name: "usage_line", seeds: lines::DECISIONS, run: lines::decision },
    Target { name: "stored_head", seeds: cache::STORED, run: cache::stored },
    Target { name: "moved_tunnel", seeds: moving::TUNNELS, run: moving::tunnel },
    Target { name: "handed_numbers", seeds: moving::NUMBERS, run: moving::numbers },
];

/// One number for what happened.
fn outcome(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// The order of magnitude of a count, so that outcomes do not become as many as inputs.
fn rough(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

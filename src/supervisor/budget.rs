//! How many descriptors the limits of the configuration could use, and what they become where fewer are allowed.

use std::sync::Arc;

use crate::config::Config;
use crate::exchange::ingress::Ingress;
use crate::proxy::ListenAddress;
use crate::system::descriptors::Budget;

/// Clients for each attempt to connect beside the first of a race, when all of them are there: in a race that goes well there is
/// none, and with one dead address for each name there is one for a quarter of a second.
const CLIENTS_PER_ATTEMPT: usize = 4;

/// Attempts beside the first that few clients may have: sixteen races at a time with one dead address, by one client.
const LEAST_ATTEMPTS: usize = 32;

/// Clients for each pipe that may hold what its destination does not take, and how few and how many of them there are. An
/// account that is not root may have 64 MiB of pipes before the system makes them smaller (pipe(7)), and these are at most 48 of
/// 1 MiB each.
const CLIENTS_PER_PIPE: usize = 32;
const LEAST_PIPES: usize = 4;
const MOST_PIPES: usize = 48;

/// A further loop: its poll and what wakes it, its loader, what tells it of changed addresses, the verifier of passwords, empty
/// pipes.
const PER_LOOP: u64 = 20;

/// Descriptors that the limits of the configuration could use.
pub(super) fn budget(config: &Config) -> Budget {
    let count = |enabled: bool, value: usize| if enabled { value as u64 } else { 0 };
    let http = count(config.http.enable, config.http.connections);
    let intercept = count(config.intercept.enable, config.intercept.connections);
    let tls = count(config.tls.enable, config.tls.connections);
    let passthrough = count(config.passthrough.enable, config.passthrough.connections);
    let icap = count(config.icap.enable, config.icap.connections);
    let loops = config.daemon.threads.count() as u64;
    let clients = usize::try_from(http + intercept + tls + passthrough).unwrap_or(usize::MAX);
    Budget {
        http,
        intercept,
        tls,
        passthrough,
        icap,
        web: count(config.web.enable, config.web.connections),
        listeners: listener_descriptors(config) + (loops - 1) * PER_LOOP,
        pool: config.http.pool as u64,
        attempts: count(clients > 0, (clients / CLIENTS_PER_ATTEMPT).max(LEAST_ATTEMPTS)),
        pipes: count(clients > 0, (clients / CLIENTS_PER_PIPE).clamp(LEAST_PIPES, MOST_PIPES)),
        helpers: count(config.redirector.enable, config.redirector.maximum),
        resolver: loops * 10 * config.dns.retries as u64,
    }
}

/// Descriptors of listeners beyond the proxy's and the monitor's own few, which are among those that are reserved: their sockets,
/// and what is accepted beyond the limit of a kind.
fn listener_descriptors(config: &Config) -> u64 {
    let listeners = config.listeners();
    let unusual = |ingress: &Ingress| !matches!(ingress, Ingress::Proxy | Ingress::Web);
    let listens = |ingress: &Ingress| listeners.iter().any(|one| one.ingress == *ingress);
    let kinds = Ingress::ALL.iter().filter(|ingress| unusual(ingress) && listens(ingress)).count();
    (listeners.len().saturating_sub(USUAL_LISTENERS) + kinds * ListenAddress::OUTSIDE) as u64
}

/// The proxy's two and the monitor's.
const USUAL_LISTENERS: usize = 3;

/// What the limits of clients are instead of what is configured, where descriptors are too few.
pub(super) fn lowered(config: &Config, limits: &Budget) -> Option<Arc<str>> {
    let wanted = budget(config);
    let names = ["http", "intercept", "tls", "passthrough"];
    let kinds = [wanted.http, wanted.intercept, wanted.tls, wanted.passthrough];
    let fitted = [limits.http, limits.intercept, limits.tls, limits.passthrough];
    let both = names.iter().zip(kinds).zip(fitted).filter(|((_, wanted), fitted)| fitted < wanted);
    let texts: Vec<String> =
        both.map(|((name, wanted), fitted)| format!("{name}.connections is {fitted} instead of {wanted}")).collect();
    let need = wanted.need();
    (!texts.is_empty())
        .then(|| format!("{need} descriptors would be needed (RLIMIT_NOFILE): {}", texts.join(", ")).into())
}

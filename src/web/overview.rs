//! The front page: is the proxy well? A tile for each thing that an operator wants to know first, with its last minute.

use maud::{html, Markup};

use super::chart::spark;
use super::graphs::Graph;
use super::{errors, numbers};
use super::{units, Source};
use crate::counters::histogram::Histogram;
use crate::monitor::history::{History, HistorySpan, POINTS};
use crate::monitor::peaks::PeakOf;
use crate::monitor::Running;

/// Kinds of errors that are named.
const KINDS: usize = 4;

pub(super) fn page(source: &dyn Source) -> Markup {
    let running = source.running();
    let history = source.history();
    html! {
        h1 { "Overview" }
        div .tiles {
            (state(&running))
            (requests(&running, source))
            (connections(&running, source))
            (transfer(&running, source))
            (failures(&running, history))
            (times(history))
            (names(history))
            (helpers(&running, source))
            @if running.cache.limit > 0 { (cache(&running, history)) }
        }
    }
}

fn tile(name: &str, address: &str, title: &str, value: &Markup, rest: &Markup) -> Markup {
    html! {
        section .tile #{ "tile-" (name) } {
            h2 { a href=(address) { (title) } }
            output { (value) }
            (rest)
        }
    }
}

/// The lines of a graph, small.
fn graph(name: &str, history: &History) -> Markup {
    html! { div .spark aria-hidden="true" { @if let Some(graph) = Graph::find(name) { (graph.spark(history)) } } }
}

fn line(points: &[f64; POINTS]) -> Markup {
    html! { div .spark aria-hidden="true" { (spark(&[*points])) } }
}

fn state(running: &Running) -> Markup {
    let troubles = troubles(running);
    let (class, word) = match running {
        _ if running.draining => ("warn", "Draining"),
        _ if !running.listening => ("bad", "Not listening"),
        _ if running.helpers_fail() => ("bad", "Helpers fail"),
        _ if troubles.is_empty() => ("good", "Running"),
        _ => ("warn", "Running"),
    };
    let value = html! { span class=(class) { (word) } };
    let rest = html! {
        @if troubles.is_empty() { p { "Nothing to worry about." } }
        @else { ul { @for trouble in &troubles { li { (trouble) } } } }
    };
    tile("state", "/information/statistics.html", "State", &value, &rest)
}

/// What an operator should know of.
fn troubles(running: &Running) -> Vec<String> {
    let waits = format!("a soft stop waits for {}", units::counted(running.clients, "client", "clients"));
    let drains = running.draining.then_some(waits);
    drains.into_iter().chain(running.episodes.iter().map(|episode| episode.text.to_string())).collect()
}

fn requests(running: &Running, source: &dyn Source) -> Markup {
    let history = source.history();
    let rates = history.rates(HistorySpan::Minute, |running| running.counters.requests);
    let value = html! { (units::rate(rates[POINTS - 1])) " /s" };
    let counters = &running.counters.exchange;
    let (allowed, blocked): (u64, u64) = (counters.allowed.iter().sum(), counters.blocked.iter().sum());
    let rest = html! {
        p { (units::count(running.counters.requests)) " since the start" }
        (numbers::highest(PeakOf::Requests, source))
        p { (units::count(allowed)) " allowed, " (units::count(blocked)) " blocked" }
        (graph("requests", history))
    };
    tile("requests", "/graph/requests.html", "Requests", &value, &rest)
}

fn connections(running: &Running, source: &dyn Source) -> Markup {
    let history = source.history();
    let value = html! { (units::count(running.clients)) };
    let rest = html! {
        p { "of at most " (units::counted(running.limit, "client", "clients")) ", " (units::count(running.silent)) " silent, " (units::count(running.tunnels)) " in tunnels" }
        (numbers::highest(PeakOf::Clients, source))
        @if let Some(text) = of_former_versions(source) { p { a href="/information/drainers.html" { (text) } } }
        p { (units::count(running.established)) " to servers, " (units::count(running.idle)) " of them idle" }
        (graph("connections", history))
    };
    tile("connections", "/information/sessions.html", "Open connections", &value, &rest)
}

/// Clients that are not among the others, where there are some.
fn of_former_versions(source: &dyn Source) -> Option<String> {
    let drainers = source.drainers();
    let clients = drainers.iter().filter_map(|row| row.told.as_ref()).map(|told| told.clients).sum();
    let count = drainers.len() as u64;
    (count > 0).then(|| {
        let clients = units::counted(clients, "client", "clients");
        format!("{clients} of former versions in {}", units::counted(count, "drainer", "drainers"))
    })
}

fn transfer(running: &Running, source: &dyn Source) -> Markup {
    let history = source.history();
    let now = |direction: fn(&Running) -> u64| 8.0 * history.rates(HistorySpan::Minute, direction)[POINTS - 1];
    let value = html! { (units::bits(now(|running| running.counters.to_clients.iter().sum()))) };
    let rest = html! {
        p { "to clients, " (units::bits(now(|running| running.counters.to_origins.iter().sum()))) " to servers" }
        (numbers::highest(PeakOf::ToClients, source))
        p { (units::bytes(running.counters.to_clients.iter().sum())) " and " (units::bytes(running.counters.to_origins.iter().sum())) " since the start" }
        (graph("transfered", history))
    };
    tile("transfer", "/graph/transfered.html", "Transfer", &value, &rest)
}

fn failures(running: &Running, history: &History) -> Markup {
    let failed = history.added(|running| running.counters.exchange.failures().total());
    // What fails now may have been asked for before that minute.
    let all = history.added(|running| running.counters.requests).max(failed);
    let mut kinds: Vec<(&str, u64)> = Vec::new();
    for (place, (name, _)) in running.errors().enumerate() {
        let added = history.added(|running| running.errors().nth(place).map_or(0, |(_, count)| count));
        kinds.push((name, added));
    }
    kinds.retain(|(_, added)| *added > 0);
    kinds.sort_by_key(|(_, added)| std::cmp::Reverse(*added));
    let value = html! { (units::share(failed, all)) };
    let rest = html! {
        p { "of the requests failed in the last minute: " (units::count(failed)) " of " (units::count(all)) }
        ul { @for (name, added) in kinds.iter().take(KINDS) { li { (units::count(*added)) " × " (errors::meaning(name)) } } }
        (line(&history.rates(HistorySpan::Minute, |running| running.errors().map(|(_, count)| count).sum())))
    };
    tile("errors", "/information/errors.html", "Errors", &value, &rest)
}

fn times(history: &History) -> Markup {
    let rest = html! { p { "from the first byte of a request to the last of its response" } };
    latency(
        "times",
        "/graph/latency.html",
        "Response time",
        &rest,
        |running| running.counters.exchange.request_time,
        history,
    )
}

fn names(history: &History) -> Markup {
    let rates = history.rates(HistorySpan::Minute, |running| running.dns.lookups);
    let rest = html! {
        p { (units::rate(rates[POINTS - 1])) " names/s, " (units::counted(history.added(|running| running.dns.timeouts), "timeout", "timeouts")) " in the last minute" }
    };
    latency("dns", "/graph/latency.html", "Names", &rest, |running| running.counters.name_time, history)
}

fn helpers(running: &Running, source: &dyn Source) -> Markup {
    let history = source.history();
    let Some(helpers) = &running.helpers else {
        let value = html! { "none" };
        let rest = html! { p { "No helper is asked about requests." } };
        return tile("helpers", "/control/workers.html", "Helpers", &value, &rest);
    };
    let rest = html! {
        p { (units::counted(helpers.forked, "helper runs", "helpers run")) " of " (helpers.minimum) " to " (helpers.maximum) ", " (units::counted(helpers.queue, "request waits", "requests wait")) }
    };
    latency("helpers", "/graph/processes.html", "Helpers", &rest, |running| running.counters.helper_time, history)
}

fn cache(running: &Running, history: &History) -> Markup {
    let answered = history.added(|running| running.cache.counts.answered());
    let asked = history.added(|running| running.cache.counts.looked_at());
    let value = html! { (units::percent(100.0 * answered as f64 / asked.max(1) as f64)) };
    let rest = html! {
        p { "of " (units::counted(asked, "request", "requests")) " in the last minute" }
        p { (units::counted(running.cache.objects, "response", "responses")) ", " (units::bytes(running.cache.bytes)) " of " (units::bytes(running.cache.limit)) }
        (graph("cache", history))
    };
    tile("cache", "/graph/cache.html", "Cache hits", &value, &rest)
}

/// A tile about how long something takes.
fn latency(
    name: &str,
    address: &str,
    title: &str,
    more: &Markup,
    times: fn(&Running) -> Histogram,
    history: &History,
) -> Markup {
    let recent = history.recent(times);
    let value = html! { (units::millis(recent.mean())) };
    let slow = match recent.quantile(0.95) {
        Some(bound) => format!("19 of 20 within {}", units::millis(bound)),
        None => "more than 1 of 20 took over 10 s".to_owned(),
    };
    let rest = html! {
        @if recent.count() == 0 { p { "none in the last minute" } } @else { p { "on average, " (slow) } }
        (more)
        (line(&history.means(HistorySpan::Minute, times)))
    };
    tile(name, address, title, &value, &rest)
}

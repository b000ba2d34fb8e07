//! Every number that the monitor shows, by all the names that it has, and what has become of it between two looks.
//! Knows how the monitor writes its numbers, and nothing of what moves them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Client, Proxy};

/// The numbers of one look. Keys of `/json/running` stand as they are, those of `/json/errors` behind [`ERRORS`], those
/// of `/metrics` behind [`METRICS`].
pub type Numbers = BTreeMap<String, f64>;

const ERRORS: &str = "errors/";
const METRICS: &str = "exaproxy_";

/// What is moved by looking, by the minute, or by how busy this machine is: told apart from the rest by its end.
const RESTLESS: [&str; 12] = [
    ".age",
    "_age_seconds",
    "load.loops",
    "load.events",
    "load.longest",
    "loop_turn_longest_seconds",
    "loop_turn_seconds_count",
    "loop_turns_total",
    "loop_events_total",
    "_bucket",
    "_sum",
    "host_requests",
];

/// Metrics whose numbers `/json/running` has under other names.
const SAME: &str = "connections_total clients.accepted, connections_refused_total clients.refused, requests_total clients.requests, \
    monitor_requests_total monitor.requests, monitor_connections_total monitor.accepted, clients clients.speaking, \
    clients_silent clients.silent, sent_to_monitor_bytes_total transfer.monitor, \
    sent_to_clients_bytes_total{family=\"ipv4\"} transfer.client4, \
    sent_to_clients_bytes_total{family=\"ipv6\"} transfer.client6, \
    sent_to_clients_bytes_total{family=\"unix\"} transfer.client.unix, \
    sent_to_origins_bytes_total{family=\"unix\"} transfer.content.unix, \
    sent_to_origins_bytes_total{family=\"ipv4\"} transfer.content4, \
    sent_to_origins_bytes_total{family=\"ipv6\"} transfer.content6, origin_connections{state=\"idle\"} servers.idle, \
    origin_connections_opening servers.opening, origin_failures_total origins.failed, \
    parent_requests_total parents.requests, parent_failures_total parents.failed, parents_down parents.down, \
    origin_refused_total origins.refused, origin_reused_total origins.reused, dns_lookups_total dns.lookups, \
    dns_cached_total dns.cached, dns_messages_total dns.sent, dns_retries_total dns.retries, \
    dns_timeouts_total dns.timeouts, dns_dropped_total dns.dropped, dns_failures_total names.failed, \
    helpers processes.forked, helpers_minimum processes.min, helpers_maximum processes.max, helper_queue queue.size, \
    helper_questions_total helpers.asked, helper_replies_total helpers.answered, helper_repeated_total helpers.again, \
    helper_started_total helpers.started, helper_lost_total{why=\"ended\"} helpers.lost, \
    helper_lost_total{why=\"hung\"} helpers.hung, helper_lost_total{why=\"unasked\"} helpers.unasked, \
    helper_refused_total helpers.refused, helper_unreadable_total helpers.unreadable, \
    helper_undecided_total helpers.undecided, buffer_blocks memory.blocks, head_bytes memory.heads, heads_refused_total heads.refused, loop_turns_total load.loops, \
    loop_events_total load.events, log_lines_lost_total{log=\"messages\"} logs.lost.messages, \
    host_mismatch_total host_mismatch, limits_blocked_total{limit=\"connections\",kind=\"request\"} limits.connections.requests, \
    limits_blocked_total{limit=\"connections\",kind=\"tunnel\"} limits.connections.tunnels, \
    limits_blocked_total{limit=\"rate\",kind=\"request\"} limits.rate.requests, \
    limits_blocked_total{limit=\"rate\",kind=\"tunnel\"} limits.rate.tunnels, \
    decisions_total{verdict=\"allowed\",kind=\"request\"} requests.allowed, \
    decisions_total{verdict=\"allowed\",kind=\"tunnel\"} tunnels.allowed, \
    decisions_total{verdict=\"blocked\",kind=\"request\"} requests.blocked, \
    decisions_total{verdict=\"blocked\",kind=\"tunnel\"} tunnels.blocked, clients_tunnels clients.tunnels, \
    lists_judged_total{verdict=\"allowed\"} lists.allowed, lists_judged_total{verdict=\"blocked\"} lists.blocked, \
    lists_judged_total{verdict=\"reported\"} lists.reported, lists_loaded_total lists.loaded, \
    auth_requests_total{result=\"kept\"} auth.kept, auth_requests_total{result=\"failed\"} auth.failed, \
    auth_requests_total{result=\"missing\"} auth.missing, auth_requests_total{result=\"slowed\"} auth.slowed, \
    auth_requests_total{result=\"busy\"} auth.busy, auth_checks_total auth.checked, auth_queue auth.waiting, \
    auth_remembered auth.remembered, users{file=\"proxy\"} users.proxy.count, users{file=\"monitor\"} users.monitor.count, \
    users_generation{file=\"proxy\"} users.proxy.generation, users_generation{file=\"monitor\"} users.monitor.generation, \
    users_read_timestamp_seconds{file=\"proxy\"} users.proxy.read, \
    users_read_timestamp_seconds{file=\"monitor\"} users.monitor.read, \
    lists_entries{kind=\"names\"} lists.names, lists_entries{kind=\"networks\"} lists.networks, lists_entries{kind=\"urls\"} lists.urls, \
    cache_requests_total{result=\"hit\"} cache.hit, \
    cache_requests_total{result=\"miss\"} cache.miss, \
    cache_requests_total{result=\"revalidated\"} cache.revalidated, \
    cache_requests_total{result=\"stale\"} cache.stale, \
    cache_requests_total{result=\"collapsed\"} cache.collapsed, \
    cache_requests_total{result=\"bypass\"} cache.bypass, \
    cache_stored_total cache.stored, cache_evicted_total cache.evicted, cache_purged_total cache.purged, \
    cache_objects cache.objects, cache_memory cache.bytes, cache_fetching cache.fetching, cache_waiting cache.waiting, \
    log_lines_lost_total{log=\"usage\"} logs.lost.usage, log_lines_lost_total{log=\"access\"} logs.lost.access";

/// The name under which a test claims a number, from any of the names under which it is shown.
pub fn meaning(key: &str) -> String {
    if let Some(error) = key.strip_prefix(ERRORS) {
        return match error {
            "names.timeouts" => "dns.timeouts".to_owned(),
            "names.dropped" => "dns.dropped".to_owned(),
            "names.servers-failed" => "dns.failed".to_owned(),
            _ if error.starts_with("lists.") => format!("lists.line.{}", error.rsplit(':').next().unwrap_or_default()),
            _ => error.replacen("sessions.", "ended.", 1),
        };
    }
    if let Some(word) = key.strip_prefix("blocked.") {
        return format!("answers.{word}");
    }
    let Some(metric) = key.strip_prefix(METRICS) else { return key.to_owned() };
    let same = SAME.split(", ").filter_map(|pair| pair.split_once(' ')).find(|(name, _)| *name == metric);
    let labels: Vec<&str> = metric.split('"').skip(1).step_by(2).collect();
    match (same, labels.first()) {
        // Of each list the tests have one file.
        (_, Some(list)) if metric.starts_with("lists_file_judged_total") => format!("lists.{list}.1.{}", labels[2]),
        (_, Some(list)) if metric.starts_with("lists_file_entries") => format!("lists.{list}.1.entries"),
        (_, Some(list)) if metric.starts_with("lists_file_generation") => format!("lists.{list}.1.generation"),
        (Some((_, other)), _) => other.to_owned(),
        (_, Some(client)) if metric.starts_with("origin_connections_made_total") => {
            format!("families.{client}.{}", labels[1])
        }
        (_, Some(label)) if metric.starts_with("answers_total") => format!("answers.{label}"),
        (_, Some(label)) if metric.starts_with("tunnels_begun_total") => format!("sni.{label}"),
        (_, Some(label)) if metric.starts_with("sessions_ended_total") => format!("ended.{label}"),
        _ => key.to_owned(),
    }
}

/// What nearly every request moves. It is held to its word by the steps that name it.
const COMMON: [&str; 5] =
    ["requests.allowed", "requests.blocked", "tunnels.allowed", "tunnels.blocked", "clients.tunnels"];

/// Whether a number is looked at only where a step names it.
pub fn is_common(key: &str) -> bool {
    COMMON.contains(&meaning(key).as_str())
        || key.starts_with("exaproxy_responses_total")
        || key.starts_with("exaproxy_decided_total")
        || key.starts_with("exaproxy_reload")
}

/// Whether no test can say by how much a number moves in a moment.
pub fn is_restless(key: &str) -> bool {
    let family = key.split('{').next().unwrap_or(key);
    RESTLESS.iter().any(|end| family.ends_with(end))
        || family.starts_with("exaproxy_listener_")
        || family.starts_with("process_")
        // Each kind has a test of its own in `outages`.
        || family.starts_with("exaproxy_trouble")
        || key.starts_with("episodes.")
        || key.starts_with("transfer.")
        || family.contains("_bytes_")
}

/// One connection to the monitor. What looking moves is left out of what it gives, so that others can be exact.
pub struct Books {
    reader: RefCell<Reader>,
}

struct Reader {
    monitor: Client,
    requests: f64,
    bytes: f64,
}

impl Books {
    /// Connects to the monitor of a proxy, and waits until no other client is connected.
    pub fn open(proxy: &Proxy) -> Books {
        let reader = Reader { monitor: Client::connect(proxy.web()), requests: 0.0, bytes: 0.0 };
        let books = Books { reader: RefCell::new(reader) };
        crate::support::eventually("a proxy without clients", || (books.connected() == 1.0).then_some(()));
        books
    }

    /// Connections that were accepted and have not ended, by the counters of both: those to the monitor included.
    pub fn connected(&self) -> f64 {
        let numbers = self.look();
        let ended = numbers.iter().filter(|(key, _)| key.starts_with("ended.")).map(|(_, count)| count);
        numbers["clients.accepted"] - ended.sum::<f64>()
    }

    /// All numbers now.
    pub fn look(&self) -> Numbers {
        let mut reader = self.reader.borrow_mut();
        let mut numbers = reader.take("/json/running", |text| flat("", text));
        numbers.extend(reader.take("/json/errors", |text| flat(ERRORS, text)));
        numbers.extend(reader.take("/metrics", rows));
        numbers
    }

    /// One number, by its key.
    pub fn number(&self, key: &str) -> f64 {
        let numbers = self.look();
        *numbers.get(key).unwrap_or_else(|| panic!("no {key} in {numbers:?}"))
    }
}

impl Reader {
    /// Asks for a page and reads its numbers. The page is not among the bytes that it tells of, but its request is
    /// counted.
    fn take(&mut self, path: &str, read: impl FnOnce(&str) -> Numbers) -> Numbers {
        self.monitor.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let reply = self.monitor.reply();
        assert_eq!(reply.status(), 200, "{path}: {reply:?}");
        self.requests += 1.0;
        let mut numbers = read(&reply.text());
        for (key, value) in &mut numbers {
            *value -= match meaning(key).as_str() {
                "monitor.requests" => self.requests,
                "transfer.monitor" => self.bytes,
                _ => 0.0,
            };
        }
        self.bytes += (reply.head.len() + reply.body.len()) as f64;
        numbers
    }
}

/// The numbers of a JSON object, those of objects in it behind their name.
fn flat(prefix: &str, text: &str) -> Numbers {
    let json: Value = serde_json::from_str(text).expect("JSON");
    let mut numbers = Numbers::new();
    flatten(prefix, &json, &mut numbers);
    numbers
}

fn flatten(prefix: &str, json: &Value, numbers: &mut Numbers) {
    for (key, value) in json.as_object().expect("an object") {
        let key = format!("{prefix}{key}");
        match value {
            Value::Object(_) => flatten(&format!("{key}."), value, numbers),
            Value::Bool(set) => drop(numbers.insert(key, f64::from(u8::from(*set)))),
            _ => drop(numbers.insert(key, value.as_f64().expect("a number"))),
        }
    }
}

/// The numbers of metrics, with their labels.
fn rows(text: &str) -> Numbers {
    let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    rows.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

//! The counters in the text format of Prometheus, version 0.0.4: HELP and TYPE for each, times in seconds.

use super::exposition::MetricsPage;
use super::process;
use crate::cache::status::CacheResult;
use crate::cache::store::Unstorable;
use crate::exchange::close::CloseReason;
use crate::monitor::drainers::{DrainerNumbers, DrainerRow};
use crate::monitor::episodes::EpisodeKind;
use crate::monitor::hosts::Top;
use crate::monitor::listeners::ListenerRow;
use crate::monitor::lists::{ListFileRow, NUMBERED};
use crate::monitor::users::UsersFile;
use crate::monitor::Running;
use crate::peer::Family;

/// The media type of the format.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of one moment.
pub(super) fn render(
    running: &Running,
    hosts: &Top,
    listeners: &[ListenerRow],
    left: &[DrainerRow],
    files: &[ListFileRow],
) -> String {
    let mut page = MetricsPage::default();
    clients(&mut page, running);
    monitor(&mut page, running);
    by_listener(&mut page, listeners);
    drainers(&mut page, left);
    lists(&mut page, running, files);
    origins(&mut page, running);
    top(&mut page, hosts);
    names(&mut page, running);
    helpers(&mut page, running);
    cache(&mut page, running);
    page.gauge(
        "up",
        "Whether requests are accepted: 0 during a soft stop, or while nothing is listened on.",
        [("", u64::from(running.accepts()))],
    );
    episodes(&mut page, running);
    page.gauge("buffer_blocks", "Buffers of 16 KiB that are lent to sessions.", [("", running.blocks)]);
    page.gauge("buffer_blocks_limit", "Most buffers that may be lent.", [("", running.blocks_limit)]);
    page.gauge("head_bytes", "Bytes of heads beyond 16 KiB each.", [("", running.head_bytes)]);
    page.gauge("head_bytes_limit", "Most bytes of heads beyond 16 KiB each.", [("", running.head_bytes_limit)]);
    page.counter("heads_refused_total", "Heads refused for want of memory.", [("", running.counters.heads_refused)]);
    let lost = [
        ("log=\"messages\"", running.lost.messages),
        ("log=\"usage\"", running.lost.usage),
        ("log=\"access\"", running.lost.access),
    ];
    page.counter("log_lines_lost_total", "Lines that a log's destination did not take in time.", lost);
    page.counter("loop_turns_total", "Turns of the event loop.", [("", running.counters.loops)]);
    let turns = &running.counters.turns;
    page.times(
        "loop_turn_seconds",
        "Time that turns of the event loop took, without the wait for events.",
        &turns.times,
    );
    page.span("loop_turn_longest_seconds", "The longest turn of this minute and the one before it.", turns.longest());
    page.counter("loop_events_total", "Socket events.", [("", running.counters.events)]);
    process::add(&mut page, running);
    page.finish()
}

fn episodes(page: &mut MetricsPage, running: &Running) {
    let labels = EpisodeKind::ALL.map(|kind| format!("kind=\"{}\"", kind.word()));
    let open = |kind: EpisodeKind| u64::from(running.episodes.iter().any(|episode| episode.kind == kind));
    let now = EpisodeKind::ALL.into_iter().map(open);
    page.gauge(
        "trouble",
        "Whether something is wrong, as the front page says it.",
        labels.iter().map(String::as_str).zip(now),
    );
    page.counter(
        "trouble_episodes_total",
        "How often that has begun.",
        labels.iter().map(String::as_str).zip(running.episodes_begun),
    );
}

/// Most clients are a matter of their kind, and have one value for each.
fn by_listener(page: &mut MetricsPage, listeners: &[ListenerRow]) {
    let label = |row: &ListenerRow| format!("kind=\"{}\",address=\"{}\"", row.kind, escaped(&row.address));
    let labels: Vec<String> = listeners.iter().map(label).collect();
    let rows = || labels.iter().map(String::as_str).zip(listeners);
    page.gauge(
        "listener_clients",
        "Clients that are here by a listener.",
        rows().map(|(label, row)| (label, row.clients)),
    );
    page.counter(
        "listener_connections_total",
        "Connections accepted by a listener since it was opened.",
        rows().map(|(label, row)| (label, row.accepted)),
    );
    let mut limits: Vec<(String, u64)> =
        listeners.iter().map(|row| (format!("kind=\"{}\"", row.kind), row.limit)).collect();
    limits.sort();
    limits.dedup();
    page.gauge(
        "listener_clients_limit",
        "Most clients of a kind of listener.",
        limits.iter().map(|(label, limit)| (label.as_str(), *limit)),
    );
}

fn drainers(page: &mut MetricsPage, drainers: &[DrainerRow]) {
    let sum = |of: fn(&DrainerNumbers) -> u64| drainers.iter().filter_map(|row| row.told.as_ref().map(of)).sum();
    let (clients, tunnels): (u64, u64) = (sum(|told| told.clients), sum(|told| told.tunnels));
    page.gauge("drainers", "Processes with clients of former versions.", [("", drainers.len() as u64)]);
    page.gauge("drainer_clients", "Clients of former versions, which are in no other number.", [("", clients)]);
    page.gauge("drainer_tunnels", "Those of them in a tunnel.", [("", tunnels)]);
}

fn cache(page: &mut MetricsPage, running: &Running) {
    let cache = &running.cache;
    let results: Vec<(String, u64)> = CacheResult::ALL
        .into_iter()
        .map(|result| {
            (format!("result=\"{}\"", result.word().to_ascii_lowercase()), cache.counts.results[result.index()])
        })
        .collect();
    let rows = results.iter().map(|(label, count)| (label.as_str(), *count));
    page.counter("cache_requests_total", "Requests by what the cache did with them.", rows);
    let reasons: Vec<(String, u64)> = Unstorable::ALL
        .into_iter()
        .map(|why| (format!("why=\"{why}\""), cache.counts.unstorable[why.index()]))
        .collect();
    let rows = reasons.iter().map(|(label, count)| (label.as_str(), *count));
    page.counter("cache_unstored_total", "Responses that were not kept, by the reason.", rows);
    page.counter("cache_stored_total", "Responses that were kept.", [("", cache.counts.stored)]);
    page.counter("cache_evicted_total", "Responses that went to make room for others.", [("", cache.evicted)]);
    page.counter(
        "cache_purged_total",
        "Responses that an order or an unsafe request removed.",
        [("", cache.counts.purged)],
    );
    page.gauge("cache_objects", "Responses that are kept.", [("", cache.objects)]);
    page.gauge("cache_memory", "Bytes that the cache takes of cache.size.", [("", cache.bytes)]);
    page.gauge("cache_memory_limit", "Bytes that it may take, 0 without a cache.", [("", cache.limit)]);
    page.gauge("cache_fetching", "Responses on their way that clients share.", [("", cache.fetching)]);
    page.gauge("cache_waiting", "Clients that wait for another client's response to begin.", [("", cache.waiting)]);
}

fn monitor(page: &mut MetricsPage, running: &Running) {
    let counters = &running.counters;
    page.counter("monitor_requests_total", "Requests to the monitor.", [("", counters.monitor_requests)]);
    page.counter("monitor_connections_total", "Connections to the monitor.", [("", counters.monitor_accepted)]);
    page.counter("sent_to_monitor_bytes_total", "Bytes sent to clients of the monitor.", [("", counters.to_monitor)]);
}

fn clients(page: &mut MetricsPage, running: &Running) {
    let refused = running.counters.turned_away;
    page.counter("connections_refused_total", "Connections turned away while all places were taken.", [("", refused)]);
    let counters = &running.counters;
    page.counter(
        "connections_total",
        "Connections accepted, those to the monitor included.",
        [("", counters.accepted)],
    );
    page.counter("requests_total", "Requests to the proxy.", [("", counters.requests)]);
    page.times(
        "request_seconds",
        "Time from the first byte of a request to the last of its response, or until its tunnel stood.",
        &counters.exchange.request_time,
    );
    let statuses: Vec<(String, u64)> = counters
        .exchange
        .statuses()
        .map(|(source, class, count)| (format!("from=\"{source}\",class=\"{class}\""), count))
        .collect();
    page.counter(
        "responses_total",
        "Responses that clients got, by who made them and by the class of their status.",
        statuses.iter().map(|(label, count)| (label.as_str(), *count)),
    );
    let causes: Vec<(String, u64)> =
        counters.exchange.answers().map(|(cause, count)| (format!("cause=\"{cause}\""), count)).collect();
    page.counter(
        "answers_total",
        "Requests that the proxy answered itself because they failed or were refused, by the cause.",
        causes.iter().map(|(label, count)| (label.as_str(), *count)),
    );
    decisions(page, running);
    auth(page, running);
    let findings: Vec<(String, u64)> =
        counters.exchange.openings().map(|(finding, count)| (format!("finding=\"{finding}\""), count)).collect();
    page.counter(
        "tunnels_begun_total",
        "Tunnels by how they began, where security.sni or security.tunnels has that looked at.",
        findings.iter().map(|(label, count)| (label.as_str(), *count)),
    );
    page.gauge("clients", "Connections of proxy clients.", [("", running.clients)]);
    page.gauge("clients_limit", "Most connections of proxy clients.", [("", running.limit)]);
    page.gauge("clients_tunnels", "Those of them in a tunnel.", [("", running.tunnels)]);
    page.gauge("clients_silent", "Those of them without a first request.", [("", running.silent)]);
    const FAMILIES: [&str; Family::ALL.len()] = ["family=\"ipv4\"", "family=\"ipv6\"", "family=\"unix\""];
    let by_family = |bytes: [u64; Family::ALL.len()]| FAMILIES.into_iter().zip(bytes);
    page.counter("sent_to_clients_bytes_total", "Bytes sent to clients of the proxy.", by_family(counters.to_clients));
    page.counter("sent_to_origins_bytes_total", "Bytes sent to origins.", by_family(counters.to_origins));
    let reasons = CloseReason::COUNTED.iter().zip(counters.ended);
    let labels: Vec<(String, u64)> =
        reasons.map(|(reason, count)| (format!("reason=\"{}\"", reason.name()), count)).collect();
    let rows = labels.iter().map(|(label, count)| (label.as_str(), *count));
    page.counter("sessions_ended_total", "Connections of clients that ended, by the reason.", rows);
}

/// What rules allow and block.
fn decisions(page: &mut MetricsPage, running: &Running) {
    let counters = &running.counters;
    let decided: Vec<(String, u64)> = running
        .counters
        .decided
        .by_word()
        .map(|(word, count)| (format!("decision=\"{}\"", word.to_ascii_lowercase()), count))
        .collect();
    page.counter(
        "decided_total",
        "Requests by what was decided about them, in the words of the usage log.",
        decided.iter().map(|(label, count)| (label.as_str(), *count)),
    );
    let (allowed, blocked) = (counters.exchange.allowed, counters.exchange.blocked);
    let decided = [
        ("verdict=\"allowed\",kind=\"request\"", allowed[0]),
        ("verdict=\"allowed\",kind=\"tunnel\"", allowed[1]),
        ("verdict=\"blocked\",kind=\"request\"", blocked[0]),
        ("verdict=\"blocked\",kind=\"tunnel\"", blocked[1]),
    ];
    page.counter(
        "decisions_total",
        "Requests whose destination may be connected to, and that a rule refused.",
        decided,
    );
    let [connections, rate] = counters.limited;
    let limited = [
        ("limit=\"connections\",kind=\"request\"", connections[0]),
        ("limit=\"connections\",kind=\"tunnel\"", connections[1]),
        ("limit=\"rate\",kind=\"request\"", rate[0]),
        ("limit=\"rate\",kind=\"tunnel\"", rate[1]),
    ];
    page.counter("limits_blocked_total", "Requests refused because their client was over a limit.", limited);
}

fn lists(page: &mut MetricsPage, running: &Running, files: &[ListFileRow]) {
    let counters = &running.counters;
    let judged = [
        ("verdict=\"allowed\"", counters.listed_allowed),
        ("verdict=\"blocked\"", counters.listed_blocked),
        ("verdict=\"reported\"", counters.listed_reported),
    ];
    page.counter("lists_judged_total", "Requests that lists let pass, refused, or would have refused.", judged);
    page.counter(
        "host_mismatch_total",
        "Diverted requests whose host is not where their connection was going.",
        [("", running.counters.host_mismatch)],
    );
    page.counter("lists_loaded_total", "How often lists were read anew.", [("", counters.lists_loaded)]);
    let sizes = [
        ("kind=\"names\"", running.listed.names as u64),
        ("kind=\"networks\"", running.listed.ranges as u64),
        ("kind=\"urls\"", running.listed.urls as u64),
    ];
    page.gauge("lists_entries", "Names, networks, and hosts with a path in lists.", sizes);
    let (mut judged, mut entries, mut ages, mut generations) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, row) in files.iter().enumerate() {
        let before = files[..place].iter().filter(|other| other.list == row.list).count();
        if before >= NUMBERED {
            continue;
        }
        let (label, numbers) = (format!("list=\"{}\",file=\"{}\"", row.list, escaped(&row.file)), row.numbers);
        let verdicts = [("allowed", numbers.allowed), ("blocked", numbers.blocked), ("reported", numbers.reported)];
        judged.extend(verdicts.map(|(verdict, count)| (format!("{label},verdict=\"{verdict}\""), count)));
        entries.push((label.clone(), numbers.entries));
        ages.push((label.clone(), numbers.age));
        generations.push((label, numbers.generation));
    }
    fn shown(rows: &[(String, u64)]) -> impl Iterator<Item = (&str, u64)> {
        rows.iter().map(|(label, count)| (label.as_str(), *count))
    }
    page.counter("lists_file_judged_total", "The same by the file that had the entry.", shown(&judged));
    page.gauge("lists_file_entries", "Entries of each file.", shown(&entries));
    page.gauge("lists_file_age_seconds", "Time since each file was changed.", shown(&ages));
    page.gauge("lists_file_generation", "Which file it is that was read under this name.", shown(&generations));
}

/// A text as it stands between the quotes of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn auth(page: &mut MetricsPage, running: &Running) {
    let (counters, users) = (&running.counters.auth, &running.users);
    let results = [
        ("result=\"kept\"", counters.kept),
        ("result=\"failed\"", counters.failed),
        ("result=\"missing\"", counters.missing),
        ("result=\"slowed\"", counters.slowed),
        ("result=\"busy\"", counters.busy),
    ];
    page.counter(
        "auth_requests_total",
        "Requests that needed a user, but for those that passed by a check of their own.",
        results,
    );
    page.counter("auth_checks_total", "Passwords checked.", [("", counters.checked)]);
    page.gauge("auth_queue", "Passwords that wait to be checked.", [("", users.waiting)]);
    page.gauge("auth_remembered", "Checks whose results are kept.", [("", users.kept)]);
    page.times("auth_seconds", "Time that checks of hashes took.", &counters.time);
    let files = |number: fn(&UsersFile) -> u64| {
        [("file=\"proxy\"", number(&users.proxy)), ("file=\"monitor\"", number(&users.monitor))]
    };
    page.gauge("users", "Users in files.", files(|file| file.count));
    page.gauge("users_generation", "Rises with each other content of the file.", files(|file| file.generation));
    page.gauge("users_read_timestamp_seconds", "When the file was read.", files(|file| file.read));
}

fn origins(page: &mut MetricsPage, running: &Running) {
    let counters = &running.counters;
    let states = [("state=\"used\"", running.established - running.idle), ("state=\"idle\"", running.idle)];
    page.gauge("origin_connections", "Connections to origins.", states);
    let ways: Vec<(String, u64)> = counters
        .ways()
        .map(|(client, origin, count)| (format!("client=\"{}\",origin=\"{}\"", client.name(), origin.name()), count))
        .collect();
    page.counter(
        "origin_connections_made_total",
        "Connections made to origins, by what the client came by and the family of the address.",
        ways.iter().map(|(label, count)| (label.as_str(), *count)),
    );
    page.gauge("origin_connections_idle_limit", "Most of them that are kept idle.", [("", running.idle_limit)]);
    page.gauge("origin_connections_opening", "Connections to origins under way.", [("", running.opening)]);
    page.counter(
        "origin_failures_total",
        "Requests for which no connection came about.",
        [("", counters.dial_failures)],
    );
    page.counter("origin_refused_total", "Requests whose addresses were all forbidden.", [("", counters.refused)]);
    page.counter(
        "origin_reused_total",
        "Exchanges on a connection that had carried one before.",
        [("", counters.reused)],
    );
    page.counter("parent_requests_total", "Requests that went to a parent.", [("", counters.parent_requests)]);
    page.counter("parent_failures_total", "Attempts at a parent that failed.", [("", counters.parent_failures)]);
    page.gauge("parents_down", "Parents that are left alone.", [("", running.parents_down)]);
    page.times("connect_seconds", "Time until a new connection to an origin stood.", &counters.connect_time);
}

/// A gauge, since a host comes and goes: what a counter of it would lose cannot be told from a restart.
fn top(page: &mut MetricsPage, hosts: &Top) {
    let label = |host: &str, count: u64| (format!("host=\"{}\"", escaped(host)), count);
    let mut rows: Vec<(String, u64)> = hosts.hosts.iter().map(|(host, count)| label(host, *count)).collect();
    rows.push(("host=\"(other)\"".to_owned(), hosts.others));
    let rows = rows.iter().map(|(label, count)| (label.as_str(), *count));
    page.gauge(
        "host_requests",
        "Requests of the last full minute, by host: those that were asked for most, and all others together.",
        rows,
    );
}

fn names(page: &mut MetricsPage, running: &Running) {
    let dns = &running.dns;
    page.counter("dns_lookups_total", "Names asked for.", [("", dns.lookups)]);
    page.counter("dns_cached_total", "Names answered from the cache.", [("", dns.cache_hits)]);
    page.counter("dns_messages_total", "Messages sent to name servers, repetitions included.", [("", dns.sent)]);
    page.counter("dns_retries_total", "Questions sent again after a wait.", [("", dns.retries)]);
    page.counter("dns_timeouts_total", "Waits for a name server without a response.", [("", dns.timeouts)]);
    page.counter("dns_dropped_total", "Responses thrown away as forged or malformed.", [("", dns.dropped())]);
    page.counter("dns_failures_total", "Names that gave no address.", [("", running.counters.name_failures)]);
    page.times("dns_seconds", "Time that requests waited for a name.", &running.counters.name_time);
}

fn helpers(page: &mut MetricsPage, running: &Running) {
    let helpers = running.helpers.clone().unwrap_or_default();
    let counters = &running.helped;
    page.gauge("helpers", "Helpers that run.", [("", helpers.forked)]);
    page.gauge("helpers_minimum", "Helpers that always run.", [("", helpers.minimum)]);
    page.gauge("helpers_maximum", "Most helpers.", [("", helpers.maximum)]);
    page.gauge(
        "helpers_failing",
        "Whether helpers end as soon as they are started.",
        [("", u64::from(helpers.failing))],
    );
    page.gauge("helper_queue", "Requests that wait for a helper.", [("", helpers.queue)]);
    page.gauge("helper_queue_limit", "Most requests that wait for a helper.", [("", helpers.queue_limit)]);
    page.counter("helper_questions_total", "Questions put before helpers.", [("", counters.asked)]);
    page.counter("helper_replies_total", "Replies of helpers.", [("", counters.answered)]);
    page.counter("helper_repeated_total", "Questions asked a second time.", [("", counters.again)]);
    page.counter("helper_started_total", "Helpers started.", [("", counters.started)]);
    let why =
        [("why=\"ended\"", counters.lost), ("why=\"hung\"", counters.hung), ("why=\"unasked\"", counters.unasked)];
    page.counter("helper_lost_total", "Helpers that ended by themselves or were killed.", why);
    page.counter("helper_refused_total", "Requests for which the queue was full.", [("", counters.refused)]);
    page.counter("helper_unreadable_total", "Replies that could not be read.", [("", running.counters.unreadable)]);
    page.counter(
        "helper_undecided_total",
        "Requests that no helper decided about.",
        [("", running.counters.undecided)],
    );
    page.times("helper_seconds", "Time that helpers took for a reply.", &running.counters.helper_time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_help_and_type_and_a_number() {
        let text = render(&Running::default(), &Top::default(), &[], &[], &[]);
        let mut named = std::collections::HashSet::new();
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(comment) => {
                    let words: Vec<&str> = comment.splitn(3, ' ').collect();
                    assert!(words.len() == 3 && ["HELP", "TYPE"].contains(&words[0]), "{line}");
                    let fresh = named.insert((words[0].to_owned(), words[1].to_owned()));
                    assert!(fresh, "{line} stands there twice");
                }
                None => {
                    let (name, value) = line.rsplit_once(' ').expect("a value");
                    let family = name.split('{').next().unwrap();
                    let ends = ["", "_bucket", "_sum", "_count"];
                    let of = |end: &&str| {
                        family.strip_suffix(*end).is_some_and(|base| {
                            named.contains(&("HELP".into(), base.into()))
                                && named.contains(&("TYPE".into(), base.into()))
                        })
                    };
                    assert!(ends.iter().any(of), "{line}");
                    assert!(value.parse::<f64>().is_ok(), "{line}");
                }
            }
        }
    }

    #[test]
    fn times_are_in_seconds() {
        let mut running = Running::default();
        running.counters.helper_time.note(3001);
        running.counters.helper_time.note(1_500_000);
        let text = render(&running, &Top::default(), &[], &[], &[]);
        for line in [
            "exaproxy_helper_seconds_bucket{le=\"0.002\"} 0",
            "exaproxy_helper_seconds_bucket{le=\"0.005\"} 1",
            "exaproxy_helper_seconds_bucket{le=\"2\"} 2",
            "exaproxy_helper_seconds_bucket{le=\"+Inf\"} 2",
            "exaproxy_helper_seconds_sum 1.503001",
            "exaproxy_helper_seconds_count 2",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}

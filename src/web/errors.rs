//! The page of errors: what went wrong since the start, how much of all that is, and what it means.

use maud::{html, Markup};

use super::facts::{facts, sentence, Fact};
use super::numbers::explained;
use super::{units, Source};
use crate::exchange::close::CloseReason;
use crate::http::cause::Cause;
use crate::monitor::Running;

/// What the words for causes mean.
const CAUSES: [(&str, &str); Cause::WORDS.len()] = [
    ("authentication_busy", "too many passwords waited to be checked"),
    ("authentication_failed", "the user or the password was wrong"),
    ("authentication_required", "no user was named; a browser asks its user then"),
    ("authentication_slowed", "there were too many wrong passwords from this address"),
    ("bad_hello", "the first record of TLS could not be read"),
    ("blocked", "a list refuses it"),
    ("client_denied", "the client may not use the proxy"),
    ("connection_limit_reached", "the proxy had too much to do: no place, memory or descriptor was left"),
    ("connection_refused", "the server could not be connected to"),
    ("connection_terminated", "the server closed before its response was complete"),
    ("connection_timeout", "the server could not be connected to in time"),
    ("destination_ip_prohibited", "the address of the server may not be connected to"),
    ("dns_error", "the name of the server has no address"),
    ("dns_timeout", "no name server answered in time"),
    ("host_mismatch", "the host was not where the diverted connection was going"),
    ("http_protocol_error", "the response of the server broke the rules of HTTP"),
    ("http_request_denied", "the rules do not allow it: the method, the port, or a helper"),
    ("http_request_error", "the request of the client broke the rules of HTTP"),
    ("http_response_header_section_size", "the head of the server's response was too large"),
    ("http_response_timeout", "the server did not respond in time"),
    ("http_response_transfer_coding", "the coding of the server's response was broken"),
    ("http_upgrade_failed", "the server changed the protocol without being asked"),
    ("no_destination", "it was not known where the connection was to go"),
    ("not_tls", "only TLS may come there, and it was something else"),
    ("parent_failed", "no parent could be connected to"),
    ("parent_login", "the parent did not take our password"),
    ("parent_refused", "the parent refused the tunnel"),
    ("proxy_internal_error", "no helper gave a usable answer, or a local page is missing"),
    ("proxy_loop_detected", "the request came back to this proxy"),
    ("sni_ech", "the name within TLS was another than that of CONNECT, and may have hidden one"),
    ("sni_mismatch", "the name within TLS was another than that of CONNECT"),
    ("sni_missing", "TLS named no host"),
    ("too_many_connections", "the client had too many connections"),
    ("too_many_requests", "the client asked too often"),
];

/// Numbers of other parts that tell of something that went wrong.
const OTHERS: [(&str, &[&str]); 4] = [
    ("Names", &["names.failed", "dns.timeouts", "dns.failed", "dns.dropped"]),
    ("Connections to servers", &["origins.failed", "origins.refused"]),
    ("Parents", &["parents.failed"]),
    (
        "Helpers",
        &[
            "helpers.failed",
            "helpers.refused",
            "helpers.unreadable",
            "helpers.undecided",
            "helpers.lost",
            "helpers.hung",
        ],
    ),
];

/// What an error is, in a few words; its own word where nothing is known of it.
pub(super) fn meaning(word: &'static str) -> &'static str {
    let cause = CAUSES.iter().find(|(own, _)| *own == word).map(|(_, text)| *text);
    let ended = || CloseReason::COUNTED.into_iter().find(|reason| reason.name() == word).map(CloseReason::explain);
    cause.or_else(ended).unwrap_or(word)
}

pub(super) fn page(source: &dyn Source) -> Markup {
    let running = source.running();
    html! {
        h1 { "Errors since the start" }
        (requests(&running))
        (connections(&running))
        (lists(source, &running))
        (others(&running))
    }
}

/// Requests that the proxy answered itself.
fn requests(running: &Running) -> Markup {
    let (all, counters) = (running.counters.requests, &running.counters.exchange);
    let failed = counters.failures().total();
    let refused: u64 = counters.blocked.iter().sum();
    let kinds: Vec<(&'static str, u64)> = counters.answers().collect();
    html! {
        p {
            "Of " (units::counted(all, "request", "requests")) ", " (units::count(failed)) " failed (" (units::share(failed, all)) ") and "
            (units::count(refused)) " were refused by rules (" (units::share(refused, all)) ")."
        }
        h2 { "Requests that the proxy answered itself, by cause" }
        (kinds_of(&kinds, all, "of the requests"))
    }
}

/// Connections of clients that ended otherwise than they should.
fn connections(running: &Running) -> Markup {
    let ended = CloseReason::COUNTED.into_iter().zip(running.counters.ended);
    let all = ended.clone().map(|(_, count)| count).sum();
    let bad: Vec<_> =
        ended.filter(|(reason, _)| !reason.is_peaceful()).map(|(reason, count)| (reason.name(), count)).collect();
    html! {
        h2 { "Connections of clients that ended badly, by reason" }
        (kinds_of(&bad, all, "of the connections that ended"))
    }
}

/// Those that have occurred, most first; of the others their names.
fn kinds_of(kinds: &[(&'static str, u64)], all: u64, whole: &str) -> Markup {
    let mut seen: Vec<_> = kinds.iter().copied().filter(|(_, count)| *count > 0).collect();
    seen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let never: Vec<Fact> =
        kinds.iter().filter(|(_, count)| *count == 0).map(|(word, _)| named(word, html! { "0" })).collect();
    let value = |count: u64| html! { (units::count(count)) " " small { (units::share(count, all)) " " (whole) } };
    let seen: Vec<Fact> = seen.into_iter().map(|(word, count)| named(word, value(count))).collect();
    html! {
        @if seen.is_empty() { p .empty { "None." } } @else { (facts(&seen)) }
        @if !never.is_empty() {
            details { summary { (units::counted(never.len() as u64, "kind", "kinds")) " that did not occur" } (facts(&never)) }
        }
    }
}

fn named(word: &'static str, value: Markup) -> Fact {
    let about = html! { p { (sentence(meaning(word))) "." } };
    Fact { pairs: vec![(word.to_owned(), value)], about, marked: false }
}

fn lists(source: &dyn Source, running: &Running) -> Markup {
    let refusals = source.refusals();
    let all = running.counters.requests;
    html! {
        @if !refusals.is_empty() {
            h2 { "Refusals of lists, by file and line" }
            p .empty { "Those that were only reported are among them." }
            div .scroll {
                table {
                    tr { th scope="col" { "Line" } th scope="col" .number { "Refusals" } th scope="col" .number { "Of the requests" } }
                    @for (place, count) in &refusals {
                        tr { th scope="row" .wrap { (place) } td .number { (units::count(*count)) } td .number { (units::share(*count, all)) } }
                    }
                }
            }
        }
    }
}

fn others(running: &Running) -> Markup {
    let (rows, explained) = (running.rows(), explained());
    let number = |key: &str| {
        let place = rows.binary_search_by(|(name, _)| name.as_str().cmp(key)).ok()?;
        rows[place].1.parse::<u64>().ok()
    };
    html! {
        @for (title, keys) in OTHERS {
            @let count = |key: &str| keys.contains(&key).then(|| number(key)).flatten();
            @let seen: Vec<Fact> = explained.iter().filter_map(|row| row.fact(|key| count(key).map(|count| html! { (units::count(count)) }))).collect();
            @if keys.iter().any(|key| number(key) > Some(0)) { h2 { (title) } (facts(&seen)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_an_error_has_a_meaning() {
        assert_eq!(CAUSES.map(|(word, _)| word), Cause::WORDS);
        assert_eq!((meaning("response-cut"), meaning("x")), ("the origin ended in the middle of its response", "x"));
        let keys: Vec<String> = explained().into_iter().flat_map(|row| row.keys).collect();
        let others = OTHERS.iter().flat_map(|(_, keys)| keys.iter());
        assert!(others.clone().all(|key| keys.iter().any(|own| own == key)), "{keys:?}");
    }
}

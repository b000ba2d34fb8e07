//! What the cache does with requests, and what it keeps.

use super::{ask, last_get, Stage, Step};
use crate::support::{Origin, Proxy};

fn get(stage: &Stage<Origin>, path: &str) -> u16 {
    ask(&stage.proxy, &last_get(&stage.peers.url(path))).status()
}

pub const STEPS: &[Step<Origin>] = &[
    Step {
        what: "a response is kept",
        moves: "clients.accepted 1, clients.requests 1, requests.allowed 1, ended.complete 1, servers.established 1, servers.idle 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1, \
            cache.miss 1, cache.stored 1, cache.objects 1, cache.bytes ~",
        act: |stage| assert_eq!(get(stage, "/kept"), 200),
    },
    Step {
        what: "it answers another",
        moves:
            "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_request_seconds_count 1, cache.hit 1",
        act: |stage| assert_eq!(get(stage, "/kept"), 200),
    },
    Step {
        what: "one is not for all",
        moves: "clients.accepted 1, clients.requests 1, requests.allowed 1, ended.complete 1, origins.reused 1, \
            exaproxy_request_seconds_count 1, cache.miss 1, cache.unstored 1, \
            exaproxy_cache_unstored_total{why=\"private\"} 1",
        act: |stage| assert_eq!(get(stage, "/private"), 200),
    },
    Step {
        what: "a request changes what is kept",
        moves: "clients.accepted 1, clients.requests 1, requests.allowed 1, ended.complete 1, origins.reused 1, \
            exaproxy_request_seconds_count 1, cache.bypass 1, cache.purged 1, cache.objects -1, cache.bytes ~",
        act: |stage| {
            let request = last_get(&stage.peers.url("/kept")).replacen("GET", "DELETE", 1);
            assert_eq!(ask(&stage.proxy, &request).status(), 200);
        },
    },
];

/// What `tests/proxy/cache.rs` shows, and the tables beside the code.
pub const KEYS: &[&str] = &[
    "cache.collapsed",
    "cache.evicted",
    "cache.fetching",
    "cache.revalidated",
    "cache.stale",
    "cache.waiting",
    "exaproxy_cache_unstored_total",
];

#[test]
fn what_the_cache_does_counts_once() {
    let origin = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let private = request.start().contains("/private");
            let told = if private { "private" } else { "max-age=600" };
            peer.send(format!("HTTP/1.1 200 OK\r\nCache-Control: {told}\r\nContent-Length: 1\r\n\r\nx"))?;
        }
        Ok(())
    });
    Stage::new(Proxy::start(&[("cache.enable", "true")]), origin).play(STEPS);
}

//! Who made responses and what became of them, what the process takes of its machine, and what became of reloads.

use nix::sys::signal::Signal;

use super::{ask, last_get, Books, Stage, Step};
use crate::support::{eventually, Helpers, Origin, Proxy};

/// Families that no step claims whole.
pub const KEYS: &[&str] = &[
    "exaproxy_responses_total",
    "exaproxy_decided_total",
    "exaproxy_clients_limit",
    "exaproxy_buffer_blocks_limit",
    "exaproxy_head_bytes_limit",
    "exaproxy_cache_memory_limit",
    "exaproxy_helper_queue_limit",
    "exaproxy_origin_connections_idle_limit",
    "exaproxy_build_info",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_threads",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
];

fn reload(stage: &Stage<Origin>, ini: &str) {
    std::fs::write(stage.proxy.file(), ini).expect("an ini file in the temporary folder");
    stage.proxy.signal(Signal::SIGHUP);
}

pub const RELOADS: &[Step<Origin>] = &[
    Step {
        what: "a reload is taken over",
        moves: "exaproxy_reloads_total{result=\"done\"} 1, exaproxy_reload_success_timestamp_seconds ~",
        act: |stage| reload(stage, "[http]\nidle-connect = 200\n"),
    },
    Step {
        what: "a reload is refused",
        moves: "exaproxy_reloads_total{result=\"refused\"} 1, exaproxy_reload_successful -1",
        act: |stage| reload(stage, "[http]\nidle-connect = soon\n"),
    },
    Step {
        what: "the next one is taken over",
        moves: "exaproxy_reloads_total{result=\"done\"} 1, exaproxy_reload_successful 1, \
            exaproxy_reload_success_timestamp_seconds ~",
        act: |stage| reload(stage, "[http]\nidle-connect = 300\n"),
    },
];

#[test]
fn reloads_count_by_what_became_of_them() {
    let proxy = Proxy::start_with(&[], "[http]\nidle-connect = 100\n");
    Stage::new(proxy, Origin::site()).play(RELOADS);
}

/// An origin that answers with the status that the path names.
fn statuses() -> Origin {
    Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let start = request.start();
            let status = start.split(['/', ' ']).nth(2).unwrap_or_default().to_owned();
            peer.send(format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nCache-Control: max-age=60\r\n\r\n"))?;
        }
        Ok(())
    })
}

#[test]
fn responses_count_by_who_made_them_and_by_class() {
    let (origin, echo) = (statuses(), Origin::echo());
    let proxy = Proxy::start(&[("cache.enable", "true")]);
    let books = Books::open(&proxy);
    let moved = |what: &str, act: &dyn Fn()| {
        let before = books.look();
        act();
        let of = |key: &&String| key.starts_with("exaproxy_responses_total");
        let found = eventually(what, || {
            let now = books.look();
            let moved: Vec<String> = now
                .keys()
                .filter(of)
                .filter(|key| now[*key] > before[*key])
                .map(|key| format!("{key} {}", now[key] - before[key]))
                .collect();
            (!moved.is_empty()).then_some(moved)
        });
        found.join(", ").replace("exaproxy_responses_total", "")
    };
    let get = |path: &str| {
        ask(&proxy, &last_get(&origin.url(path)));
    };
    assert_eq!(moved("a 200", &|| get("/200")), "{from=\"origin\",class=\"2xx\"} 1");
    assert_eq!(moved("the same kept", &|| get("/200")), "{from=\"cache\",class=\"2xx\"} 1");
    assert_eq!(moved("a 302", &|| get("/302")), "{from=\"origin\",class=\"3xx\"} 1");
    assert_eq!(moved("a 404", &|| get("/404")), "{from=\"origin\",class=\"4xx\"} 1");
    assert_eq!(moved("a 503", &|| get("/503")), "{from=\"origin\",class=\"5xx\"} 1");
    assert_eq!(moved("a 999", &|| get("/999")), "{from=\"origin\",class=\"other\"} 1");
    let failed = || drop(ask(&proxy, &last_get("http://host.invalid/")));
    assert_eq!(moved("no name", &failed), "{from=\"proxy\",class=\"5xx\"} 1");
    let tunnel = || proxy.client().tunnel(&echo.address().to_string());
    assert_eq!(moved("a tunnel", &tunnel), "{from=\"tunnel\",class=\"2xx\"} 1");
}

#[test]
fn the_process_is_seen_as_the_system_sees_it() {
    let proxy = Proxy::start(&[]);
    let books = Books::open(&proxy);
    let now = eventually("a first look", || Some(books.look()).filter(|now| now.contains_key("process_open_fds")));
    assert_eq!(now[concat!("exaproxy_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}")], 1.0);
    assert!(now["process_open_fds"] > 5.0 && now["process_open_fds"] < now["process_max_fds"], "{now:?}");
    assert!(now["process_resident_memory_bytes"] > 1e6, "{now:?}");
    assert!(now["process_virtual_memory_bytes"] >= now["process_resident_memory_bytes"], "{now:?}");
    assert!(now["process_threads"] >= 2.0 && now["process_cpu_seconds_total"] > 0.0, "{now:?}");
    assert_eq!(now["process_start_time_seconds"], now["exaproxy_reload_success_timestamp_seconds"]);
    // It is looked at again, and what has come meanwhile is there.
    let clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    eventually("their descriptors", || {
        (books.look()["process_open_fds"] >= now["process_open_fds"] + 20.0).then_some(())
    });
    drop(clients);
}

#[test]
fn decisions_count_by_their_word() {
    let helpers = Helpers::answering(|line| match () {
        () if line.contains("/file") => "file://deny.html".into(),
        () if line.contains("/redirect") => "redirect://http://elsewhere.test/".into(),
        () if line.contains("/elsewhere") => "intercept://127.0.0.1:2".into(),
        () => String::new(),
    });
    let site = Origin::site();
    let proxy = helpers.proxy(&[]);
    let books = Books::open(&proxy);
    for (path, word) in [("/", "permit"), ("/file", "file"), ("/redirect", "redirect"), ("/elsewhere", "intercept")] {
        let before = books.look();
        ask(&proxy, &last_get(&site.url(path)));
        let now = books.look();
        let of = |key: &&String| key.starts_with("exaproxy_decided_total");
        let moved: Vec<&String> = now.keys().filter(of).filter(|key| now[*key] != before[*key]).collect();
        assert_eq!(moved, [&format!("exaproxy_decided_total{{decision=\"{word}\"}}")], "{path}");
    }
}

#[test]
fn limits_are_told_as_they_are() {
    let helpers = Helpers::permitting();
    let options = [
        ("http.connections", "100"),
        ("web.connections", "10"),
        ("http.pool", "7"),
        ("cache.enable", "true"),
        ("cache.size", "16777216"),
        ("redirector.queue", "33"),
    ];
    let now = Books::open(&helpers.proxy(&options)).look();
    let wanted = [
        ("clients_limit", 100.0),
        ("buffer_blocks_limit", 220.0),
        ("head_bytes_limit", 67_108_864.0),
        ("cache_memory_limit", 16_777_216.0),
        ("helper_queue_limit", 33.0),
        ("origin_connections_idle_limit", 7.0),
    ];
    for (name, value) in wanted {
        assert_eq!(now[&format!("exaproxy_{name}")], value, "{name}");
    }
}

//! What is shown beside numbers and options, and what the cache adds to pages.

use super::*;

#[test]
fn the_page_of_options_explains_them_and_marks_what_was_changed() {
    let fake = Fake::new();
    let (all, changed) =
        (fake.get("/information/configuration.html").1, fake.get("/information/configuration.html?changed").1);
    assert!(all.contains("1 of 3 options have another value than the default"), "{all}");
    for page in [&all, &changed] {
        assert_eq!(page.matches("class=\"fact marked\"").count(), 1, "{page}");
        assert!(
            page.contains("Does harm.") && page.contains("Changed: the default is <code>&lt;b&gt;</code>."),
            "{page}"
        );
        assert!(page.contains("Set by &lt;script&gt;"), "{page}");
    }
    assert!(all.contains("<dt>a.b</dt><dd>7</dd>") && !changed.contains("<dt>a.b</dt>"), "{changed}");
}

#[test]
fn the_highest_values_and_the_share_of_errors_are_shown() {
    let mut fake = Fake::new();
    for (second, (requests, clients, failed)) in [(10, 3, 1), (90, 7, 3), (100, 2, 4)].into_iter().enumerate() {
        let counters = &mut fake.running.counters;
        (counters.requests, fake.running.clients) = (requests, clients);
        while counters.exchange.failures().total() < failed {
            counters.exchange.note_answer(Cause::NameFailed, false);
        }
        fake.history.push(2000 + 1000 * second as u64, fake.running.clone());
    }
    let text = fake.get("/").1;
    for part in [
        "highest since the start: 80 /s",
        "highest since the start: 7",
        "<output>4.0 %</output>",
        "4 × the name of the server has no address",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = fake.get("/information/statistics.html").1;
    assert!(text.contains("1 s ago") && text.contains("<dt>clients.requests</dt><dd>100</dd>"), "{text}");
    let text = fake.get("/information/errors.html").1;
    for part in [
        "Of 100 requests, 4 failed (4.0 %)",
        "<dt>dns_error</dt>",
        "33 kinds that did not occur",
        "The name of the server has no address.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_cache_has_a_tile_a_graph_and_forms_that_purge() {
    let mut fake = Fake::new();
    assert!(!fake.get("/").1.contains("tile-cache") && !fake.get("/control.html").1.contains("/control/cache/purge"));
    fake.running.cache.limit = 64 << 20;
    for (second, (hits, misses)) in [(1, 1), (4, 2)].into_iter().enumerate() {
        fake.running.cache.counts.results = [hits, misses, 0, 0, 0, 9];
        fake.history.push(2000 + 1000 * second as u64, fake.running.clone());
    }
    let tile = fake.get("/").1;
    let tile = tile.split("tile-cache").nth(1).expect("a tile");
    assert!(tile.contains("<output>67 %</output>") && tile.contains("of 6 requests in the last minute"), "{tile}");
    assert!(tile.contains("0 responses, 0 B of 64.0 MiB"), "{tile}");
    assert!(fake.get("/graph/cache.html").1.contains("75 %"));
    let page = fake.get("/control.html").1;
    assert_eq!(page.matches("action=\"/control/cache/purge\"").count(), 3, "{page}");
    let purge = |content: &str| match fake.post("/control/cache/purge", content) {
        Reply::Order(Order::Purge(what)) => Some(what),
        _ => None,
    };
    assert_eq!(purge("url=http%3A%2F%2Fa.b%2Fx"), Some(Purge::Url("http://a.b/x".into())));
    for wrong in ["a.b%2Fx", "%2Fx", "http%3A%2F%2Fa.b%2F+y", "http%3A%2F%2Fa.b%2F%0D%0AHost%3A+c"] {
        assert_eq!(purge(&format!("url={wrong}")), None, "{wrong}");
    }
    assert_eq!(purge("host=A.b%3A80"), Some(Purge::Site("a.b:80".into())));
    assert_eq!(
        (purge("all=true"), purge("all=false"), purge("host=a.b"), purge("")),
        (Some(Purge::All), None, None, None)
    );
}

#[test]
fn clients_of_former_versions_are_told_apart() {
    let fake = Fake::new();
    let text = |path: &str| fake.get(path).1;
    let page = text("/information/drainers.html");
    for cell in ["4711", ">17<", "tells nothing of itself", "as long as it needs", "1 min"] {
        assert!(page.contains(cell), "{cell}: {page}");
    }
    let json: serde_json::Value = serde_json::from_str(&text("/json/drainers")).unwrap();
    assert_eq!(
        (&json[0]["clients"], &json[0]["until"], &json[1]["until"]),
        (&17.into(), &1_090_121.into(), &().into())
    );
    assert_eq!((&json[2]["pid"], &json[2]["clients"]), (&4713.into(), &().into()));
    let metrics = text("/metrics");
    for line in ["exaproxy_drainers 3\n", "exaproxy_drainer_clients 18\n", "exaproxy_drainer_tunnels 4\n"] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    assert!(text("/").contains("18 clients of former versions in 3 drainers"));
}

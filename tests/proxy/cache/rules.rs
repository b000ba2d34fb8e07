//! Who decides before the cache does, and what becomes of what is kept when the rules change.

use std::fs;
use std::sync::atomic::Ordering;

use nix::sys::signal::Signal;

use super::{ask, counting, ok, told, ON};
use crate::support::{Client, Helpers, NameServer, Origin, Proxy};

/// Replaces the ini file and has it read.
fn reload(proxy: &Proxy, ini: &str, times: usize) {
    fs::write(proxy.file(), ini).expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times("configuration reloaded", times);
}

#[test]
fn what_is_kept_survives_a_reload_and_goes_with_the_cache() {
    let (origin, count) = counting(|_| ok("Cache-Control: max-age=600\r\n", b"x"));
    let proxy = Proxy::start_with(&[], "[cache]\nenable = true\n");
    let (url, mut client) = (origin.url("/x"), proxy.client());
    ask(&mut client, &url, "");
    reload(&proxy, "[cache]\nenable = true\nsize = 1000000\n", 1);
    assert!(told(&ask(&mut client, &url, "")).starts_with("hit"));
    reload(&proxy, "", 2);
    for _ in 0..2 {
        assert!(!ask(&mut client, &url, "").has("Cache-Status"), "it is off, and off is as if it had never been");
    }
    assert_eq!((count.load(Ordering::SeqCst), proxy.counter("cache.objects")), (3, 0));
    reload(&proxy, "[cache]\nenable = true\n", 3);
    assert_eq!(told(&ask(&mut client, &url, "")), "fwd=uri-miss; stored");
    assert!(told(&ask(&mut client, &url, "")).starts_with("hit"));
}

/// What is kept has come from an address that a rule forbids now.
#[test]
fn what_may_not_be_connected_to_any_more_is_not_answered_for() {
    let (counted, _) = counting(|_| ok("Cache-Control: max-age=600\r\n", b"x"));
    let Some(server) = NameServer::zone(&[("kept.test", "127.0.0.1")]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let block = folder.path().join("block").display().to_string();
    let url = format!("http://kept.test:{}/x", counted.port());
    for by_list in [true, false] {
        fs::write(&block, "192.0.2.0/24\n").expect("a list");
        let resolver = server.resolv_conf();
        let proxy = Proxy::start_with(&[ON, ("dns.resolver", &resolver), ("acl.blocklist", &block)], "");
        ask(&mut proxy.client(), &url, "");
        assert!(told(&ask(&mut proxy.client(), &url, "")).starts_with("hit"));
        match by_list {
            true => {
                fs::write(&block, "127.0.0.1/32\n").expect("a list");
                proxy.wait_counter("lists.loaded", 1);
            }
            false => reload(&proxy, "[security]\ndeny = 127.0.0.1/32\n", 1),
        }
        assert_eq!(ask(&mut proxy.client(), &url, "").status(), 403, "by a list: {by_list}");
    }
}

/// A name that a list blocks is refused though it could be answered, and so is a client that may not use the proxy.
#[test]
fn lists_and_rules_for_clients_come_before_what_is_kept() {
    let Some(server) = NameServer::zone(&[("kept.test", "127.0.0.1")]) else { return };
    let origin = Origin::fixed(ok("Cache-Control: max-age=600\r\n", b"x"));
    let folder = tempfile::tempdir().expect("a folder");
    let block = folder.path().join("block").display().to_string();
    fs::write(&block, "other.test\n").expect("a list");
    let (url, resolver) = (format!("http://kept.test:{}/x", origin.port()), server.resolv_conf());
    let proxy = Proxy::start_with(&[ON, ("dns.resolver", &resolver), ("acl.blocklist", &block)], "");
    ask(&mut proxy.client(), &url, "");
    assert!(told(&ask(&mut proxy.client(), &url, "")).starts_with("hit"));
    fs::write(&block, "kept.test\n").expect("a list");
    proxy.wait_counter("lists.loaded", 1);
    assert_eq!(ask(&mut proxy.client(), &url, "").status(), 403);
    let url = origin.url("/y");
    ask(&mut proxy.client(), &url, "");
    reload(&proxy, "[acl]\nclients = 192.0.2.1\n", 1);
    assert_eq!(ask(&mut proxy.client(), &url, "").status(), 403);
}

/// A filter that a helper sends some clients through may say something else than what others get.
#[test]
fn what_comes_through_a_parent_that_a_helper_names_is_for_its_client() {
    let said = |who: &str| ok("Cache-Control: max-age=600\r\n", who.as_bytes());
    let (usual, filter) = (Origin::fixed(said("usual")), Origin::fixed(said("filter")));
    let to = filter.address().to_string();
    // The client's address stands behind the URL.
    let helpers = Helpers::answering(move |line| match line.contains("127.0.0.2") {
        true => format!("parent://{to}"),
        false => String::new(),
    });
    let parents = usual.address().to_string();
    let proxy = helpers.proxy(&[ON, ("parent.proxy", &parents)]);
    let from = |last: u8| Client::connect_from([127, 0, 0, last], proxy.address());
    for _ in 0..2 {
        assert_eq!(from(2).get("http://a.test/").text(), "filter");
        assert_eq!(from(3).get("http://a.test/").text(), "usual");
    }
    assert_eq!(proxy.counter("cache.hit"), 1);
}

/// It asks us for credentials, and says nothing of what was asked for.
#[test]
fn a_parent_that_does_not_know_us_changes_nothing_of_what_is_kept() {
    let (parent, _) = counting(|request| {
        match request.has("If-None-Match") || request.start().contains("/other") {
        true => b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"x\"\r\nCache-Control: max-age=600\r\nContent-Length: 0\r\n\r\n"
            .to_vec(),
        false => ok("Cache-Control: max-age=0\r\nETag: \"1\"\r\n", b"kept"),
    }
    });
    let parents = parent.address().to_string();
    let proxy = Proxy::start(&[ON, ("parent.proxy", &parents)]);
    for _ in 0..3 {
        assert_eq!(proxy.client().get("http://a.test/").text(), "kept", "what is kept stands in");
    }
    for _ in 0..2 {
        assert_eq!(proxy.client().get("http://a.test/other").status(), 502);
    }
    assert_eq!(proxy.counter("cache.objects"), 1);
}

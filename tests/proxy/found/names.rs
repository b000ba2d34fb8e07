//! Faults in names and addresses.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::dns::{everything, proxy, url};
use crate::support::{
    eventually, Answer, Blackhole, Client, Message, NameServer, Origin, Proxy, Query, A, AAAA, ONE_LOOP,
};

/// A name server that answers the first question for IPv4 addresses like this, and the others as it should.
fn wrong_once(wrong: impl Fn(&Query) -> Answer + Send + Sync + 'static) -> Option<NameServer> {
    let asked = AtomicUsize::new(0);
    NameServer::start(move |query| match query.kind == A && asked.fetch_add(1, Ordering::Relaxed) == 0 {
        true => wrong(query),
        false => everything(query),
    })
}

#[test]
fn b22_a_no_without_soa_is_not_remembered() {
    for code in [3, 0] {
        let Some(names) = wrong_once(move |query| Answer::Reply(query.reply().code(code))) else { return };
        let proxy = proxy(&names, &[("tcp6.out", "false")]);
        let origin = Origin::site();
        assert_eq!(proxy.client().get(&url("new.test", &origin)).status(), 502);
        assert_eq!(proxy.client().get(&url("new.test", &origin)).text(), "/here", "rcode {code}");
    }
}

#[test]
fn b22_one_failure_of_the_only_server_is_asked_again() {
    for code in [2, 5] {
        let Some(names) = wrong_once(move |query| Answer::Reply(query.reply().code(code))) else { return };
        let proxy = proxy(&names, &[("tcp6.out", "false")]);
        let origin = Origin::site();
        assert_eq!(proxy.client().get(&url("once.test", &origin)).text(), "/here", "rcode {code}");
    }
}

#[test]
fn b22_one_closed_connection_of_the_only_server_is_asked_again() {
    let streams = AtomicUsize::new(0);
    let closing = move |query: &Query| match query.tcp {
        false => Answer::Reply(query.reply().truncated()),
        true if streams.fetch_add(1, Ordering::Relaxed) == 0 => Answer::Close,
        true => everything(query),
    };
    let Some(names) = NameServer::start(closing) else { return };
    let proxy = proxy(&names, &[("tcp6.out", "false")]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("big.test", &origin)).text(), "/here");
    assert_eq!(names.streams(), 2);
}

#[test]
fn b22_a_failure_that_goes_on_is_final_within_the_retries() {
    let Some(names) = NameServer::start(|query| Answer::Reply(query.reply().code(2))) else { return };
    for (retries, most) in [("1", 1), ("2", 2), ("10", 3)] {
        let proxy = proxy(&names, &[("tcp6.out", "false"), ("dns.retries", retries)]);
        let name = format!("broken{retries}.test");
        assert_eq!(proxy.client().get(&format!("http://{name}/")).status(), 502);
        assert_eq!(names.asked(&name, A), most);
    }
}

/// Asks for a name on behalf of a client, which a balancer notes in a field.
fn ask_for(client: &mut Client, address: &str, url: &str) {
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    client.send(format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nX-Client: {address}\r\n\r\n"));
}

fn get_for(proxy: &Proxy, address: &str, url: &str) -> Message {
    let mut client = proxy.client();
    ask_for(&mut client, address, url);
    client.reply()
}

#[test]
fn a5_names_of_one_client_leave_room_for_those_of_others() {
    const GREEDY: &str = "192.0.2.66";
    let picky = |query: &Query| match query.plain().ends_with("silent.test") {
        true => Answer::Silence,
        false => everything(query),
    };
    let Some(names) = NameServer::start(picky) else { return };
    let proxy = proxy(
        &names,
        &[ONE_LOOP, ("http.forward", "X-Client"), ("http.resolve-timeout", "600"), ("dns.retries", "1000")],
    );
    let origin = Origin::site();
    let mut waiting: Vec<_> = (0..4_200).map(|_| proxy.client()).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        ask_for(client, GREEDY, &format!("http://n{number}.silent.test/"));
    }
    proxy.wait_counter("dns.lookups", 4_200);
    for number in 0..5 {
        let name = format!("good{number}.test");
        assert_eq!(get_for(&proxy, &format!("192.0.2.{number}"), &url(&name, &origin)).text(), "/here");
        assert_eq!(get_for(&proxy, GREEDY, &url(&name, &origin)).text(), "/here", "what is known is for all");
    }
    let refused = get_for(&proxy, GREEDY, "http://other.test/");
    assert_eq!((refused.status(), refused.value("Retry-After").as_deref()), (503, Some("5")), "{refused:?}");
    let why = refused.value("Proxy-Status").unwrap_or_default();
    assert!(why.contains("error=connection_limit_reached"), "{why}");
    // Which of those that wait were refused is not told: the kernel drops some of so many connections at first, and they come
    // after others.
    assert_eq!(proxy.counter("names.failed"), 4_200 - 4_096 + 1, "the others of the greedy one were refused as well");
    proxy.wait_log("192.0.2.66 waits for 4096 names");
    // What is held comes back with the connections, whichever way they end.
    for client in waiting.drain(..2_000) {
        client.reset();
    }
    drop(waiting);
    let again = || (get_for(&proxy, GREEDY, &url("again.test", &origin)).status() == 200).then_some(());
    eventually("the share to come back", again);
}

/// Addresses and names that lead to a listener on 127.0.0.1.
const HERE: [&str; 6] =
    ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::ffff:0.0.0.0]", "[64:ff9b::127.0.0.1]", "here.test"];

#[test]
fn b17_no_entry_of_security_local_opens_our_own_listeners() {
    let Some(names) = NameServer::start(everything) else { return };
    let port = crate::support::ports::next();
    let exact = format!("127.0.0.1:{port}");
    for local in ["*:*", "127.0.0.1:*", &exact, "here.test:*"] {
        let options = [("security.local", local), ("web.debug", "true"), ("tcp4.port", &port.to_string())];
        let proxy = proxy(&names, &options);
        for host in HERE {
            let monitor = format!("{host}:{}", proxy.web().port());
            assert_eq!(
                proxy.client().get(&format!("http://{monitor}/control/token")).status(),
                403,
                "{local} {monitor}"
            );
            for own in [monitor, format!("{host}:{port}")] {
                let mut client = proxy.client();
                client.send(format!("CONNECT {own} HTTP/1.1\r\nHost: {own}\r\n\r\n"));
                assert_eq!(client.reply_to("CONNECT").status(), 403, "{local} {own}");
            }
        }
        let counters = proxy.counters();
        assert_eq!(counters["origins.refused"], 3 * HERE.len() as i64, "all of them, and none came back");
    }
}

#[test]
fn b17_the_monitor_is_reached_through_the_proxy_where_that_is_allowed() {
    let proxy = Proxy::start(&[("security.monitor", "true"), ("security.local", "")]);
    let web = proxy.web();
    assert_eq!(proxy.client().get(&format!("http://{web}/health")).text(), "ok\n");
    let mut client = proxy.client();
    client.tunnel(&web.to_string());
    client.send(format!("GET /health HTTP/1.1\r\nHost: {web}\r\n\r\n"));
    assert_eq!(client.reply().text(), "ok\n");
    let other = Origin::site();
    assert_eq!(proxy.client().get(&other.url("/")).status(), 403, "and nothing else");
}

/// 800 clients wait for connections to names whose addresses all hang, under a limit that the formula calls enough.
#[test]
fn b3_races_shrink_before_descriptors_run_out() {
    const CLIENTS: usize = 800;
    let dead: Vec<String> = (2..18).map(|last| format!("127.0.0.{last}")).collect();
    let addresses: Vec<IpAddr> = dead.iter().map(|ip| ip.parse().expect("an address")).collect();
    let Some(names) = NameServer::start(move |query| Answer::Reply(query.addresses(&addresses))) else { return };
    let port = crate::support::ports::next();
    let _holes: Vec<_> =
        dead.iter().map(|ip| Blackhole::at(format!("{ip}:{port}").parse().expect("a place"))).collect();
    let resolver = names.resolv_conf();
    let options = [
        ("dns.resolver", resolver.as_str()),
        ("tcp6.out", "false"),
        ("http.connections", "1000"),
        // All are on their way before the first of them gives up, on a busy machine.
        ("http.connect-timeout", "10"),
        ("http.forward", "X-Client"),
    ];
    let proxy = Proxy::launch(&options, "", |command| crate::limits::limited(&command, 2_800));
    let mut waiting: Vec<_> = (0..CLIENTS).map(|_| proxy.client()).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        // As one greedy client and many modest ones.
        let address = if number % 2 == 0 { "192.0.2.66".to_owned() } else { format!("198.51.100.{}", number % 250) };
        ask_for(client, &address, &format!("http://dead{number}.test:{port}/"));
    }
    proxy.wait_counter("servers.opening", CLIENTS as i64);
    let mut most = 0;
    // The races are over when each client has its answer.
    while proxy.counter("servers.opening") > 0 {
        most = most.max(proxy.descriptors());
        proxy.assert_serves();
    }
    assert!(most > 2 * CLIENTS && most <= 2_800, "{most} descriptors");
    for client in &mut waiting {
        assert_eq!(client.reply().status(), 504);
    }
    let log = proxy.log();
    assert!(!log.contains("cannot accept") && !log.contains("cannot open"), "{log}");
}

/// A dead address in front of a living one costs two seconds where no second attempt may run, and no request.
#[test]
fn b3_a_race_without_room_for_a_second_attempt_still_finds_the_living_address() {
    let entries = [("dual.test", "127.0.0.2"), ("dual.test", "127.0.0.1")];
    let Some(names) = NameServer::zone(&entries) else { return };
    let resolver = names.resolv_conf();
    let options = [("dns.resolver", resolver.as_str()), ("http.connect-timeout", "60"), ("http.pool", "0")];
    // With so few, one attempt is all that one client may have beside the first of a race.
    let proxy = Proxy::launch(&options, "", |command| crate::limits::limited(&command, 260));
    let origin = Origin::at(([127, 0, 0, 1], crate::support::ports::next()).into(), crate::support::origin::serve_site);
    let _dead = Blackhole::at(([127, 0, 0, 2], origin.port()).into());
    let mut clients: Vec<_> = (0..6).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(crate::support::client::get(&url("dual.test", &origin)));
    }
    for client in &mut clients {
        assert_eq!(client.reply().text(), "/here");
    }
}

/// The cause is the same whichever family is known first, and whether they are known at all.
#[test]
fn c_names_a_forbidden_address_beside_an_empty_family_is_refused_as_such() {
    let late = Duration::from_millis(150);
    for (forbidden, order) in [(AAAA, "the forbidden one first"), (A, "the empty one first")] {
        let answer = move |query: &Query| match (query.kind == AAAA, query.kind == forbidden) {
            (true, true) => Answer::Reply(query.addresses(&["::1".parse().expect("an address")])),
            (false, true) => Answer::Late(late, query.addresses(&["127.0.0.1".parse().expect("an address")])),
            (true, false) => Answer::Reply(query.reply().negative(60)),
            (false, false) => Answer::Late(late, query.reply().negative(60)),
        };
        let Some(names) = NameServer::start(answer) else { return };
        let proxy = proxy(&names, &[ONE_LOOP, ("security.local", "")]);
        for lookup in ["first", "cached"] {
            let reply = proxy.client().get("http://inner.test/");
            let why = reply.value("Proxy-Status").unwrap_or_default();
            assert!(reply.status() == 403 && why.contains("destination_ip_prohibited"), "{order}, {lookup}: {reply:?}");
        }
        assert_eq!(names.asked("inner.test", forbidden), 1);
    }
}

//! Names with several addresses: dead ones are passed over quickly, live ones are not killed for being slow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::support::origin::serve_site;
use crate::support::{eventually, Blackhole, NameServer, Origin, Proxy, Refusing};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A connect time that ends a test which waits for it: attempts must not run one after the other until then.
const LONG: (&str, &str) = ("http.connect-timeout", "60");

fn proxy(names: &NameServer, more: &[(&str, &str)]) -> Proxy {
    let resolver = names.resolv_conf();
    let mut options = vec![("dns.resolver", resolver.as_str())];
    options.extend_from_slice(more);
    Proxy::start(&options)
}

fn url(name: &str, origin: &Origin) -> String {
    format!("http://{name}:{}/here", origin.port())
}

#[test]
fn row_16_a_dead_ipv6_address_does_not_hide_a_living_ipv4_one() {
    let Some(names) = NameServer::zone(&[("dual.test", "::1"), ("dual.test", "127.0.0.1")]) else { return };
    let proxy = proxy(&names, &[LONG]);
    let origin = Origin::on(V4, serve_site);
    let _dead = Blackhole::at(SocketAddr::new(V6, origin.port()));
    assert_eq!(proxy.client().get(&url("dual.test", &origin)).text(), "/here");
    let mut client = proxy.client();
    client.tunnel(&format!("dual.test:{}", origin.port()));
}

#[test]
fn row_16_a_refusing_ipv6_address_does_not_hide_a_living_ipv4_one() {
    let Some(names) = NameServer::zone(&[("dual.test", "::1"), ("dual.test", "127.0.0.1")]) else { return };
    let proxy = proxy(&names, &[LONG]);
    let origin = Origin::on(V4, serve_site);
    let _dead = Refusing::at(SocketAddr::new(V6, origin.port()));
    for _ in 0..3 {
        assert_eq!(proxy.client().get(&url("dual.test", &origin)).text(), "/here");
    }
}

#[test]
fn row_17_every_address_is_tried_in_either_family() {
    let entries = [("many.test", "127.0.0.2"), ("many.test", "127.0.0.3"), ("many.test", "127.0.0.1")];
    let Some(names) = NameServer::zone(&entries) else { return };
    let proxy = proxy(&names, &[LONG]);
    let origin = Origin::on(V4, serve_site);
    let _dead = Blackhole::at(SocketAddr::from(([127, 0, 0, 2], origin.port())));
    let _refusing = Refusing::at(SocketAddr::from(([127, 0, 0, 3], origin.port())));
    assert_eq!(proxy.client().get(&url("many.test", &origin)).text(), "/here");
}

#[test]
fn row_17_four_dead_addresses_do_not_hide_a_living_fifth() {
    let dead: Vec<String> = (2..=5).map(|last| format!("127.0.0.{last}")).collect();
    let all = dead.iter().map(String::as_str).chain(["127.0.0.1"]);
    let entries: Vec<_> = all.map(|address| ("many.test", address)).collect();
    let Some(names) = NameServer::zone(&entries) else { return };
    let proxy = proxy(&names, &[LONG]);
    let origin = Origin::on(V4, serve_site);
    let place = |ip: &String| SocketAddr::new(ip.parse().expect("an address"), origin.port());
    let _dead: Vec<_> = dead.iter().map(|ip| Blackhole::at(place(ip))).collect();
    assert_eq!(proxy.client().get(&url("many.test", &origin)).text(), "/here");
}

#[test]
fn row_17_a_dead_ipv4_address_does_not_hide_a_living_ipv6_one() {
    let Some(names) = NameServer::zone(&[("dual.test", "::1"), ("dual.test", "127.0.0.1")]) else { return };
    let proxy = proxy(&names, &[LONG]);
    let origin = Origin::on(V6, serve_site);
    let _dead = Blackhole::at(SocketAddr::new(V4, origin.port()));
    assert_eq!(proxy.client().get(&url("dual.test", &origin)).text(), "/here");
}

#[test]
fn row_18_a_quick_first_address_leaves_the_others_alone() {
    let Some(names) = NameServer::zone(&[("dual.test", "::1"), ("dual.test", "127.0.0.1")]) else { return };
    let proxy = proxy(&names, &[("http.pool", "0")]);
    let first = Origin::on(V6, serve_site);
    let second = Origin::at(SocketAddr::new(V4, first.port()), serve_site);
    for _ in 0..10 {
        assert_eq!(proxy.client().get(&url("dual.test", &first)).text(), "/here");
    }
    let all = first.connections() + second.connections();
    assert_eq!((first.connections(), all), (10, 10), "IPv6 first, and no attempt more than needed");
}

#[test]
fn row_19_an_address_without_a_route_is_passed_over() {
    let entries = [("dual.test", "2001:db8:ffff::1"), ("dual.test", "127.0.0.1")];
    let Some(names) = NameServer::zone(&entries) else { return };
    let proxy = proxy(&names, &[LONG]);
    let origin = Origin::on(V4, serve_site);
    for _ in 0..3 {
        assert_eq!(proxy.client().get(&url("dual.test", &origin)).text(), "/here");
    }
}

#[test]
fn row_19_a_family_can_be_left_out() {
    let Some(names) = NameServer::zone(&[("dual.test", "::1"), ("dual.test", "127.0.0.1")]) else { return };
    let both = Origin::on(V6, serve_site);
    let other = Origin::at(SocketAddr::new(V4, both.port()), serve_site);
    let only4 = proxy(&names, &[("tcp6.out", "false")]);
    assert_eq!(only4.client().get(&url("dual.test", &both)).text(), "/here");
    assert_eq!((both.connections(), other.connections()), (0, 1));
    assert!(names.queries().iter().all(|query| query.kind == crate::support::A), "AAAA was asked for");
    let only6 = proxy(&names, &[("tcp4.out", "false")]);
    assert_eq!(only6.client().get(&url("dual.test", &both)).text(), "/here");
    assert_eq!((both.connections(), other.connections()), (1, 1));
}

/// How many sockets of this machine wait for an answer to their SYN from this port (proc(5), state 02).
fn attempts(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the sockets of this machine");
    let waits = |line: &&str| {
        let mut words = line.split_whitespace().skip(2);
        words.next().is_some_and(|peer| peer.ends_with(&format!(":{port:04X}"))) && words.next() == Some("02")
    };
    table.lines().filter(waits).count()
}

#[test]
fn row_20_a_slow_address_is_not_killed_by_the_start_of_the_next_attempt() {
    let entries = [("slow.test", "127.0.0.2"), ("slow.test", "127.0.0.1")];
    let Some(names) = NameServer::zone(&entries) else { return };
    let proxy = proxy(&names, &[LONG]);
    // Both swallow the first SYN, so that each attempt is older than the delay between attempts when it succeeds.
    let port = crate::support::ports::next();
    let first = Blackhole::at(SocketAddr::from(([127, 0, 0, 2], port)));
    let _second = Blackhole::at(SocketAddr::from(([127, 0, 0, 1], port)));
    let swallowed = attempts(port);
    let mut client = proxy.client();
    client.send(format!("GET http://slow.test:{port}/late HTTP/1.1\r\nHost: h\r\n\r\n"));
    eventually("the second attempt", || (attempts(port) >= swallowed + 2).then_some(()));
    let origin = first.open(serve_site);
    assert_eq!(client.reply().text(), "/late");
    drop(origin);
}

#[test]
fn when_all_refuse_it_is_a_502() {
    let Some(names) = NameServer::zone(&[("dead.test", "127.0.0.2"), ("dead.test", "127.0.0.3")]) else { return };
    let proxy = proxy(&names, &[]);
    let port = crate::support::ports::next();
    let _first = Refusing::at(SocketAddr::from(([127, 0, 0, 2], port)));
    let _second = Refusing::at(SocketAddr::from(([127, 0, 0, 3], port)));
    assert_eq!(proxy.client().get(&format!("http://dead.test:{port}/")).status(), 502);
}

#[test]
fn when_none_answers_it_is_a_504_after_the_time_for_connecting() {
    let Some(names) = NameServer::zone(&[("dead.test", "127.0.0.2"), ("dead.test", "127.0.0.3")]) else { return };
    let proxy = proxy(&names, &[("http.connect-timeout", "1")]);
    let port = crate::support::ports::next();
    let _first = Blackhole::at(SocketAddr::from(([127, 0, 0, 2], port)));
    let _second = Blackhole::at(SocketAddr::from(([127, 0, 0, 3], port)));
    let before = proxy.descriptors();
    let mut clients: Vec<_> = (0..40).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(crate::support::client::get(&format!("http://dead.test:{port}/")));
    }
    for client in &mut clients {
        assert_eq!(client.reply().status(), 504);
    }
    drop(clients);
    // The resolver keeps a set of sockets for its name server; 80 attempts that were not closed would be more.
    eventually("descriptors back at the start", || (proxy.descriptors() <= before + 40).then_some(()));
}

#[test]
fn an_origin_that_never_answers_counts_as_failed_and_its_name_is_asked_anew() {
    let Some(names) = NameServer::zone(&[("dead.test", "127.0.0.2")]) else { return };
    // Longer than the five seconds for which an answer is believed in any case.
    let proxy = proxy(&names, &[("http.connect-timeout", "6"), ("tcp6.out", "false")]);
    let port = crate::support::ports::next();
    let _dead = Blackhole::at(SocketAddr::from(([127, 0, 0, 2], port)));
    let url = format!("http://dead.test:{port}/");
    assert_eq!(proxy.client().get(&url).status(), 504);
    assert_eq!((proxy.counter("origins.failed"), names.asked("dead.test", crate::support::A)), (1, 1));
    let mut client = proxy.client();
    client.send(crate::support::client::get(&url));
    eventually("a second question", || (names.asked("dead.test", crate::support::A) == 2).then_some(()));
}

#[test]
fn a_client_that_leaves_while_connecting_ends_the_attempts() {
    let Some(names) = NameServer::zone(&[("dead.test", "127.0.0.2")]) else { return };
    let proxy = proxy(&names, &[LONG]);
    let port = crate::support::ports::next();
    let _dead = Blackhole::at(SocketAddr::from(([127, 0, 0, 2], port)));
    let mut client = proxy.client();
    client.send(format!("GET http://dead.test:{port}/ HTTP/1.1\r\nHost: h\r\n\r\n"));
    proxy.wait_counter_reaches("servers.opening", 1);
    client.reset();
    proxy.wait_counter("servers.opening", 0);
    proxy.wait_clients(0);
}

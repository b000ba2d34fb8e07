//! Names: what is asked, of which server and how often, and how long an answer lasts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{client, eventually, Answer, NameServer, Origin, Proxy, Query, A, AAAA, ONE_LOOP, PATIENCE};

/// A proxy that asks this server alone, by a resolv.conf with longer times than a test waits, unless told otherwise.
pub fn proxy(names: &NameServer, more: &[(&str, &str)]) -> Proxy {
    let resolver = names.resolv_conf();
    let mut options = vec![("dns.resolver", resolver.as_str())];
    options.extend_from_slice(more);
    Proxy::start(&options)
}

pub fn url(name: &str, origin: &Origin) -> String {
    format!("http://{name}:{}/here", origin.port())
}

/// A server that knows every name under `.test` as 127.0.0.1, with no IPv6 address.
pub fn everything(query: &Query) -> Answer {
    Answer::Reply(query.addresses(&["127.0.0.1".parse().expect("an address")]))
}

#[test]
fn names_are_asked_once_for_each_family_and_kept() {
    let Some(names) = NameServer::start(everything) else { return };
    let proxy = proxy(&names, &[ONE_LOOP]);
    let origin = Origin::site();
    for _ in 0..5 {
        assert_eq!(proxy.client().get(&url("kept.test", &origin)).text(), "/here");
    }
    assert_eq!((names.asked("kept.test", A), names.asked("kept.test", AAAA)), (1, 1));
}

#[test]
fn row_22_literals_never_reach_the_resolver() {
    let Some(names) = NameServer::start(everything) else { return };
    let proxy = proxy(&names, &[]);
    let site = Origin::on("::1".parse().expect("an address"), crate::support::origin::serve_site);
    let port = site.port();
    for authority in [format!("[::1]:{port}"), format!("[0:0:0:0:0:0:0:1]:{port}"), format!("[::0001]:{port}")] {
        assert_eq!(proxy.client().get(&format!("http://{authority}/here")).text(), "/here", "{authority}");
        proxy.client().tunnel(&authority);
    }
    for odd in ["127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "017700000001", "127.0.0.1.", "127.0.0.256", "1.2.3"]
    {
        let reply = proxy.client().get(&format!("http://{odd}:{port}/"));
        assert!(reply.status() >= 400 || odd == "127.0.0.1.", "{odd}: {reply:?}");
    }
    assert!(names.queries().is_empty(), "asked for {:?}", names.queries());
}

#[test]
fn row_24_a_resolv_conf_with_everything_in_it_is_read() {
    let Some(names) = NameServer::start(everything) else { return };
    let path = names.write_resolv_conf(&format!(
        "# a comment\n; another\n\n\tnameserver\t127.0.0.250 # dead\nnameserver fe80::1%lo\nnameserver ::1\n\
         nameserver {}\nnonsense here\nnameserver\nnameserver not-an-address\nsortlist 10.0.0.0\n\
         search one.test two.test\noptions ndots:3 timeout:1 attempts:5 rotate edns0 unknown:7 timeout:x\n",
        names.address()
    ));
    let proxy = Proxy::start(&[("dns.resolver", &path)]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("one.two.three.four.test", &origin)).text(), "/here");
}

#[test]
fn row_25_an_unreachable_name_server_does_not_stop_the_start() {
    let Some(names) = NameServer::start(everything) else { return };
    let path = names.write_resolv_conf("nameserver 127.0.0.251\noptions timeout:1 attempts:1\n");
    let alone = Proxy::start(&[("dns.resolver", &path)]);
    assert!([502, 504].contains(&alone.client().get("http://some.test/").status()));
    alone.assert_serves();
    let text = format!("nameserver 127.0.0.251\nnameserver {}\noptions timeout:30\n", names.address());
    let both = Proxy::start(&[("dns.resolver", &names.write_resolv_conf(&text))]);
    let origin = Origin::site();
    for name in ["a.test", "b.test", "c.test"] {
        assert_eq!(both.client().get(&url(name, &origin)).text(), "/here");
    }
}

#[test]
fn row_26_the_next_server_is_asked_at_once_after_a_server_failure() {
    for code in [2, 5] {
        let Some(failing) = NameServer::start(move |query| Answer::Reply(query.reply().code(code))) else { return };
        let Some(good) = NameServer::start(everything) else { return };
        // With this timeout only a server that is asked at once can answer before the test gives up.
        let text = format!("nameserver {}\nnameserver {}\noptions timeout:30\n", failing.address(), good.address());
        let proxy = Proxy::start(&[("dns.resolver", &good.write_resolv_conf(&text))]);
        let origin = Origin::site();
        assert_eq!(proxy.client().get(&url("name.test", &origin)).text(), "/here", "rcode {code}");
    }
}

#[test]
fn row_27_a_silent_first_server_costs_less_than_its_timeout() {
    let Some(silent) = NameServer::start(|_| Answer::Silence) else { return };
    let Some(good) = NameServer::start(everything) else { return };
    let text = format!("nameserver {}\nnameserver {}\noptions timeout:30\n", silent.address(), good.address());
    let proxy = Proxy::start(&[("dns.resolver", &good.write_resolv_conf(&text))]);
    let origin = Origin::site();
    for name in ["a.test", "b.test"] {
        assert_eq!(proxy.client().get(&url(name, &origin)).text(), "/here");
    }
}

#[test]
fn a_lost_datagram_is_sent_again_before_the_timeout() {
    let seen = AtomicUsize::new(0);
    let lossy = move |query: &Query| match seen.fetch_add(1, Ordering::Relaxed) {
        0..=2 => Answer::Silence,
        _ => everything(query),
    };
    let Some(names) = NameServer::start(lossy) else { return };
    let path = names.resolv_conf_with("options timeout:30 attempts:5\n");
    let proxy = Proxy::start(&[("dns.resolver", &path)]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("lossy.test", &origin)).text(), "/here");
}

#[test]
fn row_28_a_name_that_does_not_exist_is_asked_once() {
    let Some(names) = NameServer::zone(&[]) else { return };
    let proxy = proxy(&names, &[ONE_LOOP]);
    for _ in 0..5 {
        assert_eq!(proxy.client().get("http://blocked.test/").status(), 502);
    }
    assert!(names.asked("blocked.test", A) == 1 && names.asked("blocked.test", AAAA) <= 1, "{:?}", names.queries());
}

#[test]
fn row_28_a_name_without_addresses_is_asked_once() {
    let Some(names) = NameServer::start(|query| Answer::Reply(query.reply().negative(60))) else { return };
    let proxy = proxy(&names, &[ONE_LOOP]);
    for _ in 0..5 {
        assert_eq!(proxy.client().get("http://empty.test/").status(), 502);
    }
    assert_eq!((names.asked("empty.test", A), names.asked("empty.test", AAAA)), (1, 1));
}

#[test]
fn row_29_tries_end_with_the_request_that_waits() {
    static UP: AtomicUsize = AtomicUsize::new(0);
    let flaky = |query: &Query| match UP.load(Ordering::Relaxed) {
        0 => Answer::Silence,
        _ => everything(query),
    };
    let Some(names) = NameServer::start(flaky) else { return };
    let path = names.resolv_conf_with("options timeout:1 attempts:1\n");
    let proxy = Proxy::start(&[("dns.resolver", &path)]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("outage.test", &origin)).status(), 504);
    let asked = names.queries().len();
    assert!(asked <= 16, "{asked} questions for one name");
    // Not to wait for something: in this span a resolver that goes on by itself would ask again.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(names.queries().len(), asked, "it went on asking for nobody");
    UP.store(1, Ordering::Relaxed);
    let served = || (proxy.client().get(&url("outage.test", &origin)).status() == 200).then_some(());
    eventually("the name again after the outage", served);
}

#[test]
fn row_30_truncated_answers_are_asked_again_on_one_pipelined_connection() {
    let truncated = |query: &Query| match query.tcp {
        false => Answer::Reply(query.reply().truncated()),
        // Late enough for the other questions to arrive on the same connection meanwhile.
        true => Answer::Late(Duration::from_millis(50), query.addresses(&["127.0.0.1".parse().expect("an address")])),
    };
    let Some(names) = NameServer::start(truncated) else { return };
    let proxy = proxy(&names, &[("dns.timeout", "10")]);
    let origin = Origin::site();
    let mut clients: Vec<_> = (0..12).map(|_| proxy.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(client::get(&url(&format!("big{number}.test"), &origin)));
    }
    for client in &mut clients {
        assert_eq!(client.reply().text(), "/here");
    }
    assert!(names.streams() <= 2, "{} connections for 12 names", names.streams());
}

#[test]
fn a_silent_or_closing_tcp_server_is_given_up() {
    for tcp in [|| Answer::Silence, || Answer::Close] {
        let truncated = move |query: &Query| if query.tcp { tcp() } else { Answer::Reply(query.reply().truncated()) };
        let Some(names) = NameServer::start(truncated) else { return };
        let proxy = proxy(&names, &[]);
        let status = proxy.client().get("http://big.test/").status();
        assert!([502, 504].contains(&status), "{status}");
        let asked = names.queries().len();
        assert!(asked < 40, "{asked} questions for one name");
        proxy.assert_serves();
    }
}

#[test]
fn row_31_an_answer_is_used_no_longer_than_it_says() {
    let port = crate::support::ports::next();
    let old = Origin::at(([127, 0, 0, 2], port).into(), |peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nold")
    });
    let new = Origin::at(([127, 0, 0, 3], port).into(), |peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nnew")
    });
    let asked = AtomicUsize::new(0);
    let moving = move |query: &Query| {
        if query.kind == AAAA {
            return Answer::Reply(query.reply().negative(1));
        }
        let last = if asked.fetch_add(1, Ordering::Relaxed) == 0 { 2 } else { 3 };
        Answer::Reply(query.reply().ttl(1).a([127, 0, 0, last].into()))
    };
    let Some(names) = NameServer::start(moving) else { return };
    let proxy = proxy(&names, &[]);
    let text = || proxy.client().get(&format!("http://moving.test:{port}/")).text();
    assert_eq!(text(), "old");
    eventually("the new address", || (text() == "new").then_some(()));
    assert!(old.connections() > 0 && new.connections() > 0);
}

#[test]
fn dns_ttl_caps_what_an_answer_says() {
    let Some(names) = NameServer::start(|query| {
        Answer::Reply(
            query.reply().ttl(100_000).record(query.kind, if query.kind == A { &[127, 0, 0, 1] } else { &[0; 16] }),
        )
    }) else {
        return;
    };
    let proxy = proxy(&names, &[("dns.ttl", "1"), ("tcp6.out", "false")]);
    let origin = Origin::site();
    let again = || {
        assert_eq!(proxy.client().get(&url("capped.test", &origin)).text(), "/here");
        (names.asked("capped.test", A) > 1).then_some(())
    };
    eventually("a second question", again);
}

#[test]
fn requests_for_one_name_share_one_question() {
    let late = |query: &Query| Answer::Late(Duration::from_millis(200), query.addresses(&[[127, 0, 0, 1].into()]));
    let Some(names) = NameServer::start(late) else { return };
    let proxy = proxy(&names, &[]);
    let origin = Origin::site();
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(client::get(&url("shared.test", &origin)));
    }
    for client in &mut clients {
        assert_eq!(client.reply().text(), "/here");
    }
    // A question sent again meanwhile is the same question with the same purpose.
    assert!(names.asked("shared.test", A) <= 2, "{} questions", names.asked("shared.test", A));
}

#[test]
fn names_are_compared_without_case_and_final_dot() {
    let Some(names) = NameServer::start(everything) else { return };
    let proxy = proxy(&names, &[ONE_LOOP]);
    let origin = Origin::site();
    for name in ["same.test", "SAME.Test", "same.test."] {
        assert_eq!(proxy.client().get(&url(name, &origin)).text(), "/here", "{name}");
    }
    assert_eq!(names.asked("same.test", A), 1);
}

#[test]
fn impossible_names_are_not_asked_for() {
    let Some(names) = NameServer::start(everything) else { return };
    let proxy = proxy(&names, &[]);
    let long_label = format!("{}.test", "x".repeat(64));
    let long_name = format!("{}test", "abcdefg.".repeat(40));
    for name in
        [long_label.as_str(), &long_name, "a..test", ".test", "some.invalid", "some.onion", "a b.test", "ex\u{e4}.test"]
    {
        let status = proxy.client().get(&format!("http://{name}/")).status();
        assert!([400, 403, 502].contains(&status), "{name}: {status}");
    }
    assert!(names.queries().is_empty(), "{:?}", names.queries());
}

#[test]
fn names_without_a_dot_need_dns_fqdn_off() {
    let searched = |query: &Query| match query.plain().as_str() {
        "host.search.test" => everything(query),
        _ => Answer::Reply(query.reply().code(3).negative(60)),
    };
    let Some(names) = NameServer::start(searched) else { return };
    let path = names.resolv_conf_with("search search.test\n");
    let origin = Origin::site();
    let strict = Proxy::start(&[("dns.resolver", &path)]);
    assert!(strict.client().get(&url("host", &origin)).status() >= 400);
    assert!(names.queries().is_empty());
    let open = Proxy::start(&[("dns.resolver", &path), ("dns.fqdn", "false")]);
    assert_eq!(open.client().get(&url("host", &origin)).text(), "/here");
}

#[test]
fn the_hosts_file_comes_first() {
    let Some(names) = NameServer::zone(&[]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "# comment\n127.0.0.1 other.test Listed.test # more\n").expect("a hosts file");
    let proxy = proxy(&names, &[("dns.hosts", hosts.to_str().expect("a path of text"))]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("listed.test", &origin)).text(), "/here");
    assert!(names.queries().is_empty(), "{:?}", names.queries());
}

#[test]
fn a_changed_resolv_conf_is_read_again() {
    let Some(old) = NameServer::zone(&[]) else { return };
    let Some(new) = NameServer::start(everything) else { return };
    let proxy = proxy(&old, &[]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("first.test", &origin)).status(), 502);
    old.write_resolv_conf(&format!("nameserver {}\noptions timeout:1\n", new.address()));
    let number = AtomicUsize::new(0);
    let asked = || {
        // A new name each time, since the old server's answers may be kept.
        let name = format!("n{}.test", number.fetch_add(1, Ordering::Relaxed));
        (proxy.client().get(&url(&name, &origin)).status() == 200).then_some(())
    };
    eventually("the new name server to be asked", asked);
}

#[test]
fn resolving_has_a_time_of_its_own() {
    let Some(names) = NameServer::start(|_| Answer::Silence) else { return };
    let path = names.resolv_conf_with("options timeout:30 attempts:5\n");
    let proxy = Proxy::start(&[("dns.resolver", &path), ("http.resolve-timeout", "1")]);
    assert_eq!(proxy.client().get("http://silent.test/").status(), 504);
    assert!(PATIENCE < Duration::from_secs(30), "the test must give up before the resolver would");
}

/// The resolver gives up at the same moment, and first. A request whose time a reload has shortened ends before that.
#[test]
fn a_name_that_takes_longer_than_its_request_may_counts_as_failed() {
    let Some(names) = NameServer::start(|_| Answer::Silence) else { return };
    let path = names.resolv_conf_with("options timeout:30 attempts:5\n");
    let proxy = Proxy::start(&[("dns.resolver", &path)]);
    let mut client = proxy.client();
    client.send(client::get("http://silent.test/"));
    names.wait_asked("silent.test", A);
    std::fs::write(proxy.file(), "[http]\nresolve-timeout = 1\n").expect("the ini file");
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    assert_eq!(client.reply().status(), 504);
    assert_eq!(proxy.counter("names.failed"), 1);
}

#[test]
fn names_that_nobody_answers_hold_no_other_up() {
    let picky = |query: &Query| match query.plain().starts_with("good") {
        true => everything(query),
        false => Answer::Silence,
    };
    let Some(names) = NameServer::start(picky) else { return };
    let proxy = proxy(&names, &[("http.resolve-timeout", "3")]);
    let origin = Origin::site();
    let mut waiting: Vec<_> = (0..400).map(|_| proxy.client()).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        client.send(client::get(&format!("http://silent{number}.test/")));
    }
    for number in 0..5 {
        assert_eq!(proxy.client().get(&url(&format!("good{number}.test"), &origin)).text(), "/here");
    }
    for client in &mut waiting {
        assert!([502, 503, 504].contains(&client.reply().status()));
    }
    proxy.assert_serves();
}

#[test]
fn a_client_that_leaves_while_a_name_is_looked_up_costs_nothing() {
    let Some(names) = NameServer::start(|_| Answer::Silence) else { return };
    let path = names.resolv_conf_with("options timeout:30 attempts:5\n");
    let proxy = Proxy::start(&[("dns.resolver", &path)]);
    for number in 0..20 {
        let mut client = proxy.client();
        client.send(client::get(&format!("http://gone{number}.test/")));
        names.wait_asked(&format!("gone{number}.test"), A);
        client.reset();
    }
    proxy.wait_clients(0);
    proxy.assert_serves();
}

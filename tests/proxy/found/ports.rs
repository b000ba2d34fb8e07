//! Where requests other than CONNECT may go: what found port 25 open.

use crate::support::{client, show, Helpers, Origin, Proxy};

/// The status of a GET for this URL.
fn status(proxy: &Proxy, url: &str) -> u16 {
    let mut client = proxy.client();
    client.send(client::get(url));
    client.reply().status()
}

#[test]
fn c_dangerous_ports_are_refused_by_default_and_the_page_says_so() {
    let proxy = Proxy::start(&[]);
    for port in [1, 22, 25, 110, 143, 587, 6000, 6667, 10080] {
        let reply = proxy.client().get(&format!("http://127.0.0.1:{port}/"));
        let said = format!("requests to port {port} are not allowed (security.ports)");
        assert!(reply.status() == 403 && reply.text().contains(&said), "{reply:?}");
        assert!(show(&reply.head).contains("error=http_request_denied"), "{reply:?}");
    }
    let origin = Origin::echo();
    let mut tunnel = proxy.client();
    tunnel.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address()));
    assert_eq!(tunnel.reply_to("CONNECT").status(), 200, "security.connect alone judges tunnels");
}

#[test]
fn c_a_port_is_opened_by_its_number_by_a_star_and_by_a_service_that_is_named() {
    let origin = Origin::site();
    let (port, address) = (origin.port().to_string(), origin.address().to_string());
    let more = format!("80 {port}");
    let table = [
        ("80", "*:*", 403),
        ("", "127.0.0.1:*", 403),
        (&more, "*:*", 200),
        ("*", "*:*", 200),
        ("safe", "*:*", 200),
        ("80", &address, 200),
    ];
    for (ports, local, expected) in table {
        let before = origin.connections();
        let proxy = Proxy::start(&[("security.ports", ports), ("security.local", local)]);
        assert_eq!(status(&proxy, &origin.url("/")), expected, "ports {ports:?}, local {local:?}");
        assert_eq!(origin.connections() - before, usize::from(expected == 200));
    }
}

#[test]
fn c_what_a_helper_puts_in_place_of_a_request_is_judged_too() {
    let (open, closed) = (Origin::site(), Origin::site());
    for reply in [format!("OK rewrite-url=\"{}\"", closed.url("/")), format!("intercept://{}", closed.address())] {
        let helpers = Helpers::answering(move |_| reply.clone());
        let proxy = helpers.proxy(&[("security.ports", &open.port().to_string())]);
        assert_eq!(status(&proxy, &open.url("/")), 403);
    }
    assert_eq!((open.connections(), closed.connections()), (0, 0));
}

/// What policy forbids is no question: no helper and no name server is asked about it.
#[test]
fn c_a_port_that_is_refused_is_refused_before_a_helper_is_asked() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("security.ports", "safe"), ("security.local", "127.0.0.1:* 127.0.0.1:6000")]);
    for url in ["http://a.example:25/", "http://127.0.0.1:22/", "http://127.0.0.2:6000/", "http://[::1]:6667/"] {
        assert_eq!(status(&proxy, url), 403, "{url}");
    }
    assert_eq!((helpers.asked().len(), proxy.counter("dns.lookups"), proxy.counter("origins.refused")), (0, 0, 4));
    // A service of this machine that is named may have any port, so that this one has to be asked about.
    assert_ne!(status(&proxy, "http://127.0.0.1:6000/"), 403);
    assert_eq!(helpers.asked().len(), 1);
}

#[test]
fn c_a_reload_changes_the_ports() {
    let origin = Origin::site();
    let proxy = Proxy::start_with(&[], "[security]\nports = 80\n");
    assert_eq!(status(&proxy, &origin.url("/")), 403);
    std::fs::write(proxy.file(), "[security]\nports = safe\n").expect("our own file");
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(status(&proxy, &origin.url("/")), 200);
}

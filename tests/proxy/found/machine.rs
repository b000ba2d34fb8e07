//! Faults in what counts as this machine. Each test has a network of its own, which it may change as it likes.

use std::net::IpAddr;

use crate::support::network::{ip, with_own_network};
use crate::support::origin::serve_site;
use crate::support::{client, eventually, ports, Origin, Proxy};

/// The status of a GET for this host and port.
fn status(proxy: &Proxy, host: &str, port: u16) -> u16 {
    let mut client = proxy.client();
    client.send(client::get(&format!("http://{host}:{port}/here")));
    client.reply().status()
}

#[test]
fn b18_a_network_that_is_delivered_here_is_this_machine() {
    with_own_network(|| {
        ip("route add local 10.77.0.0/16 dev lo");
        ip("-6 route add local 2001:db8:77::/64 dev lo");
        let origin = Origin::at((IpAddr::from([0; 4]), ports::next()).into(), serve_site);
        let hosts = ["10.77.1.2", "[::ffff:10.77.1.2]", "[2001:db8:77::1]"];
        for bind in ["0.0.0.0", "127.0.0.1"] {
            let proxy = Proxy::start(&[("security.local", ""), ("tcp4.bind", bind)]);
            for host in hosts {
                assert_eq!(status(&proxy, host, origin.port()), 403, "{host} from {bind}");
            }
        }
        let open = Proxy::start(&[("security.local", "10.77.1.2:*"), ("tcp4.host", "0.0.0.0")]);
        assert_eq!(status(&open, "10.77.1.2", origin.port()), 200, "a service that is named");
        assert_eq!(status(&open, "10.77.1.3", origin.port()), 403, "and one that is not");
        let own = open.client().get(&format!("http://10.77.1.2:{}/", open.port()));
        assert!(own.status() == 403 && own.text().contains("the proxy itself"), "{own:?}");
    });
}

/// The list of routes is read in time when the kernel tells of the new one; whenever that is, no request gets through.
#[test]
fn b18_a_network_that_comes_while_it_runs_is_refused_from_its_first_moment() {
    with_own_network(|| {
        let origin = Origin::at((IpAddr::from([0; 4]), ports::next()).into(), serve_site);
        let proxy = Proxy::start(&[("security.local", "")]);
        for number in 0..20 {
            ip(&format!("route add local 10.{number}.0.0/16 dev lo"));
            assert_eq!(status(&proxy, &format!("10.{number}.1.2"), origin.port()), 403);
        }
        proxy.wait_log("found local network 10.19.0.0/16");
        // Without any telling, by where the connection ends.
        let deaf = Proxy::start(&[("security.local", ""), ("daemon.poll-interfaces", "false")]);
        ip("route add local 10.99.0.0/16 dev lo");
        assert_eq!(status(&deaf, "10.99.1.2", origin.port()), 403);
        assert!(!deaf.log().contains("10.99.0.0"));
        assert!((0..origin.connections()).all(|number| origin.received(number).is_empty()), "a request got through");
    });
}

#[test]
fn b18_a_new_address_of_an_interface_is_known_at_once() {
    with_own_network(|| {
        let proxy = Proxy::start(&[("security.local", "")]);
        let origin = Origin::at((IpAddr::from([0; 4]), ports::next()).into(), serve_site);
        ip("addr add 192.0.2.7/32 dev lo");
        assert_eq!(status(&proxy, "192.0.2.7", origin.port()), 403);
        // Sooner than the look that comes every half a minute.
        proxy.wait_log("found local address 192.0.2.7 on interface lo");
        ip("addr del 192.0.2.7/32 dev lo");
        proxy.wait_log("lost local address 192.0.2.7 on interface lo");
        // A reload may switch it off and on again.
        let text = |polling: &str| format!("[daemon]\npoll-interfaces = {polling}\n");
        for (polling, times) in [("false", 1), ("true", 2)] {
            std::fs::write(proxy.file(), text(polling)).expect("the ini file");
            proxy.signal(nix::sys::signal::Signal::SIGHUP);
            proxy.wait_log_times("configuration reloaded", times);
        }
        ip("addr add 192.0.2.8/32 dev lo");
        proxy.wait_log("found local address 192.0.2.8 on interface lo");
        eventually("the proxy to rest", || (proxy.share(std::time::Duration::from_millis(300)) < 20.0).then_some(()));
    });
}

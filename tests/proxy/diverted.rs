//! The listener for diverted HTTP. A PROXY header says here what a diversion would.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::support::network::{ip, with_own_network};
use crate::support::origin::serve_site;
use crate::support::{ports, superuser, Answer, Client, Helpers, NameServer, Origin, Proxy, AAAA};

/// Its options, to be sent to the host that is named if that is where the connection was going.
const BY_NAME: [(&str, &str); 4] = [
    ("intercept.enable", "true"),
    ("intercept.proxied", "true"),
    ("intercept.destination", "name"),
    ("intercept.host-check", "refuse"),
];

struct Site {
    proxy: Proxy,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new(options: &[(&str, &str)], start: impl Fn(&[(&str, &str)]) -> Proxy) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, "127.0.0.1 a.test\n127.0.0.9 nine.test\n").expect("a file");
        let (hosts, port) = (hosts.display().to_string(), ports::next());
        let number = port.to_string();
        let own = [("dns.hosts", &hosts[..]), ("intercept.port", &number)];
        Site { proxy: start(&[&BY_NAME[..], &own, options].concat()), port, _folder: folder }
    }

    /// What a client gets with this Host field, whose connection was going there.
    fn ask(&self, to: SocketAddr, path: &str, host: &str) -> (u16, String) {
        let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
        client.send(format!("PROXY TCP4 203.0.113.7 {} 56324 {}\r\n", to.ip(), to.port()));
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let reply = client.reply();
        (reply.status(), reply.text())
    }
}

/// 403 said that the client had lied about a host of which the client had said nothing.
#[test]
fn ways_6_what_a_helper_rewrites_to_another_host_is_not_held_against_the_client() {
    let (origin, other) = (Origin::site(), Origin::on([127, 0, 0, 9].into(), serve_site));
    let place = format!("nine.test:{}", other.port());
    let named = format!("a.test:{}", origin.port());
    let hosts = [named.clone(), place.clone()];
    let helpers = Helpers::answering(move |line| {
        let own = hosts.iter().find(|host| line.starts_with(host.split(':').next().unwrap_or_default()));
        match (line.contains("/move"), line.contains("/edit"), own) {
            (true, ..) => format!("OK rewrite-url=\"http://{}/moved\"", hosts[1]),
            (_, true, Some(own)) => format!("OK rewrite-url=\"http://{own}/edited\""),
            _ => String::new(),
        }
    });
    let site = Site::new(&[], |all| helpers.proxy(all));
    assert_eq!(site.ask(origin.address(), "/move", &named), (200, "/moved".into()));
    assert_eq!(site.ask(origin.address(), "/edit", &named), (200, "/edited".into()));
    // What the client has said of a host is, also where a helper changes something else.
    for path in ["/stay", "/edit"] {
        assert_eq!(site.ask(origin.address(), path, &place).0, 403, "{path}");
    }
    assert_eq!((origin.connections(), other.connections(), site.proxy.counter("host_mismatch")), (1, 1, 2));
}

/// Some balancers write IPv4 addresses so (RFC 4291 section 2.5.5.2), and no host had one.
#[test]
fn ways_7_a_mapped_destination_in_a_header_is_the_ipv4_address() {
    let origin = Origin::site();
    for destination in ["name", "original"] {
        let site = Site::new(&[("intercept.destination", destination)], Proxy::start);
        let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, site.port)));
        client.send(format!("PROXY TCP6 ::ffff:203.0.113.7 ::ffff:127.0.0.1 56324 {}\r\n", origin.port()));
        client.send(format!("GET /x HTTP/1.1\r\nHost: a.test:{}\r\n\r\n", origin.port()));
        assert_eq!(client.reply().text(), "/x", "{destination}");
        assert_eq!(site.proxy.counter("host_mismatch"), 0);
    }
}

/// Where the addresses came in two parts, those that rules forbid were no addresses of the host.
#[test]
fn ways_10_a_forbidden_address_of_a_host_is_one_of_it_all_the_same() {
    with_own_network(|| {
        // A cable with both ends here: both families lead out, so that both are asked for.
        for line in ["link add near type veth peer name far", "link set near up", "link set far up"] {
            ip(line);
        }
        ip("addr add 192.0.2.1/24 dev near");
        ip("-6 addr add 2001:db8:1::2/64 dev near nodad");
        let addresses = ["::1", "127.0.0.9", "127.0.0.1"].map(|text| text.parse().expect("an address"));
        let server = NameServer::start(move |query| match query.kind == AAAA {
            true => Answer::Reply(query.addresses(&addresses)),
            false => Answer::Late(Duration::from_millis(500), query.addresses(&addresses)),
        });
        let Some(server) = server else { return };
        let conf = server.resolv_conf();
        let origin = Origin::site();
        let options = [("dns.resolver", &conf[..]), ("security.deny", "127.0.0.9/32")];
        let site = Site::new(&options, Proxy::start);
        site.proxy.wait_log("IPv4 leads out of this machine, IPv6 leads out");
        let to = SocketAddr::from(([127, 0, 0, 9], origin.port()));
        assert_eq!(site.ask(to, "/x", &format!("both.test:{}", origin.port())), (200, "/x".into()));
        let to = SocketAddr::from(([127, 0, 0, 8], origin.port()));
        assert_eq!(site.ask(to, "/x", &format!("both.test:{}", origin.port())).0, 403);
    });
}

/// Servers to which no client was going saw clients' addresses, and answered them.
#[test]
fn ways_9_only_a_diverted_connection_goes_on_from_the_address_of_its_client() {
    if !superuser() {
        return;
    }
    let origin = Origin::start(|peer| {
        let text = peer.peer()?.ip().to_string();
        peer.send(text)
    });
    let (port, proxied) = (ports::next(), ports::next());
    let proxy = Proxy::start(&[
        ("intercept.mode", "tproxy"),
        ("intercept.spoof", "true"),
        ("passthrough.enable", "true"),
        ("passthrough.host", &format!("127.0.0.1 127.0.0.1:{proxied} proxied")),
        ("passthrough.port", &port.to_string()),
        ("passthrough.destination", &origin.address().to_string()),
    ]);
    let own = [127, 0, 0, 5];
    let mut direct = Client::connect_from(own, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    assert_eq!(direct.rest(), b"127.0.0.1");
    let mut diverted = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, proxied)));
    diverted.send(format!("PROXY TCP4 127.0.0.5 127.0.0.1 56324 {}\r\n", origin.port()));
    assert_eq!(diverted.rest(), b"127.0.0.5");
    assert_eq!(proxy.counter("clients.requests"), 2);
}

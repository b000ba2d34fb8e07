//! IPv4 where IPv4 leads nowhere: clients and origins of different families, and the gateway of a network (NAT64).

use std::net::TcpListener;

use crate::support::network::{beyond, ip, with_own_network};
use crate::support::origin::serve_site;
use crate::support::{client, client_hello, eventually, NameServer, Origin, Peer, Proxy, AAAA};

/// A network without IPv4, at whose end a gateway takes this prefix. It answers as the origin that it would reach.
fn gateway(prefix: &'static str, port: u16) -> Origin {
    gateway_to(prefix, port, serve_site)
}

/// The same before an origin that does this.
fn gateway_to(
    prefix: &'static str,
    port: u16,
    script: impl Fn(&mut Peer) -> std::io::Result<()> + Send + Sync + 'static,
) -> Origin {
    let listener = beyond(move || {
        ip("-6 addr add 2001:db8:1::1/64 dev far nodad");
        ip(&format!("-6 route add local {prefix} dev lo"));
        TcpListener::bind(("::", port)).expect("a port of the other network")
    });
    ip("-6 addr add 2001:db8:1::2/64 dev near nodad");
    ip("-6 route add default via 2001:db8:1::1");
    Origin::over(listener, script)
}

fn status(proxy: &Proxy, host: &str, port: u16) -> u16 {
    let mut client = proxy.client();
    client.send(client::get(&format!("http://{host}:{port}/here")));
    client.reply().status()
}

/// A name server of such a network.
fn names(extra: &[(&str, &str)]) -> Option<NameServer> {
    let probe = [("ipv4only.arpa", "2001:db8:64::192.0.0.170"), ("ipv4only.arpa", "2001:db8:64::192.0.0.171")];
    NameServer::zone(&[&probe[..], extra].concat())
}

#[test]
fn a_box_without_ipv4_reaches_ipv4_through_the_networks_gateway() {
    with_own_network(|| {
        let old = ("old.test", "192.0.2.33");
        // A gateway of names (DNS64) has told one of the addresses already.
        let both = [("both.test", "192.0.2.34"), ("both.test", "2001:db8:64::192.0.2.34")];
        // RFC 8305 section 7.2: the IPv6 address of this name is of no use.
        let broken = [("broken.test", "2001:db8:dead::1"), ("broken.test", "192.0.2.35")];
        let origin = gateway("2001:db8:64::/96", 8000);
        ip("-6 route add unreachable 2001:db8:dead::/48");
        let Some(server) = names(&[&[old][..], &both, &broken].concat()) else { return };
        let conf = server.resolv_conf();
        let options = [("dns.resolver", conf.as_str()), ("dns.nat64", "auto"), ("security.ports", "*")];
        let proxy = Proxy::start(&options);
        proxy.wait_log("NAT64 gateway at 2001:db8:64::/96");
        for host in ["old.test", "both.test", "broken.test", "192.0.2.36", "[2001:db8:64::192.0.2.37]"] {
            assert_eq!(status(&proxy, host, 8000), 200, "{host}");
        }
        assert!(origin.connections() >= 5);
        // Loopback addresses are this machine's.
        let here = Origin::start(serve_site);
        assert_eq!(status(&proxy, "127.0.0.1", here.port()), 200);
    });
}

#[test]
fn what_a_gateway_carries_is_judged_like_the_plain_address() {
    with_own_network(|| {
        let origin = gateway("2001:db8:64::/96", 8000);
        let Some(server) = names(&[("denied.test", "10.1.2.3"), ("listed.test", "198.51.100.7")]) else { return };
        let (conf, folder) = (server.resolv_conf(), tempfile::tempdir().expect("a folder"));
        let list = folder.path().join("block");
        std::fs::write(&list, "198.51.100.0/24\n").expect("a list");
        let options = [
            ("dns.resolver", conf.as_str()),
            ("dns.nat64", "2001:db8:64::/96"),
            ("security.deny", "10.0.0.0/8"),
            ("security.local", ""),
            ("acl.blocklist", list.to_str().expect("a path")),
            ("security.ports", "*"),
        ];
        let proxy = Proxy::start(&options);
        proxy.wait_log("NAT64 gateway at 2001:db8:64::/96");
        for host in [
            "denied.test",
            "10.1.2.4",
            "[2001:db8:64::10.1.2.5]",
            "listed.test",
            "198.51.100.8",
            "[2001:db8:64::198.51.100.9]",
            "[2001:db8:64::127.0.0.1]",
        ] {
            assert_eq!(status(&proxy, host, 8000), 403, "{host}");
        }
        assert_eq!(origin.connections(), 0);
        assert_eq!(status(&proxy, "192.0.2.1", 8000), 200);
        assert!(server.queries().iter().all(|query| query.plain() != "ipv4only.arpa"), "the prefix was given");
    });
}

/// A list that allows a network is asked about the address in it, not about that of the gateway, which stands in none.
#[test]
fn ways_11_a_name_within_a_tunnel_is_judged_with_the_address_behind_the_gateway() {
    with_own_network(|| {
        let hello = client_hello(Some("any.test"), false);
        let length = hello.len();
        let _origin = gateway_to("2001:db8:64::/96", 8000, move |peer| {
            let said = peer.exact(length)?;
            peer.send(said)
        });
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("allow");
        std::fs::write(&list, "192.0.2.0/24\n").expect("a list");
        let proxy = Proxy::start(&[
            ("dns.nat64", "2001:db8:64::/96"),
            ("security.sni", "enforce"),
            ("acl.default", "deny"),
            ("acl.allowlist", list.to_str().expect("a path")),
        ]);
        proxy.wait_log("IPv4 leads nowhere of this machine, IPv6 leads out");
        let mut client = proxy.client();
        client.tunnel("192.0.2.33:8000");
        client.send(&hello);
        assert_eq!(client.read(length), hello);
        let mut client = proxy.client();
        client.send("CONNECT 198.51.100.7:8000 HTTP/1.1\r\nHost: 198.51.100.7:8000\r\n\r\n");
        assert_eq!(client.reply_to("CONNECT").status(), 403);
    });
}

#[test]
fn a_default_route_that_goes_and_comes_back_is_noticed() {
    with_own_network(|| {
        let origin = gateway("2001:db8:64::/96", 8000);
        let Some(server) = names(&[("old.test", "192.0.2.33"), ("new.test", "2001:db8:64::1")]) else { return };
        let conf = server.resolv_conf();
        let options = [("dns.resolver", conf.as_str()), ("dns.nat64", "auto"), ("security.ports", "*")];
        let proxy = Proxy::start(&options);
        proxy.wait_log("NAT64 gateway at 2001:db8:64::/96");
        assert_eq!(status(&proxy, "old.test", 8000), 200);
        ip("link set near down");
        proxy.wait_log("IPv4 leads nowhere of this machine, IPv6 leads nowhere");
        proxy.wait_log("no NAT64 gateway is known any more");
        assert_eq!(status(&proxy, "old.test", 8000), 502);
        ip("link set near up");
        ip("-6 addr replace 2001:db8:1::2/64 dev near nodad");
        ip("-6 route replace default via 2001:db8:1::1");
        proxy.wait_log_times("NAT64 gateway at 2001:db8:64::/96", 2);
        // The far end may need a moment for its own cable.
        eventually("the gateway to be used", || (status(&proxy, "192.0.2.99", 8000) == 200).then_some(()));
        assert!(origin.connections() >= 2, "one from before, and one from now");
    });
}

#[test]
fn a_way_of_the_one_family_is_not_asked_for_the_other() {
    with_own_network(|| {
        let Some(server) = NameServer::zone(&[("both.test", "127.0.0.1"), ("both.test", "::1")]) else { return };
        let conf = server.resolv_conf();
        // A cable with both ends here.
        ip("link add near type veth peer name far");
        ip("link set near up");
        ip("link set far up");
        ip("addr add 192.0.2.1/24 dev near");
        let origin = Origin::start(serve_site);
        let proxy = Proxy::start(&[("dns.resolver", conf.as_str())]);
        proxy.wait_log("IPv4 leads out of this machine, IPv6 leads nowhere");
        assert_eq!(status(&proxy, "both.test", origin.port()), 200);
        assert_eq!(server.asked("both.test", AAAA), 0);
    });
}

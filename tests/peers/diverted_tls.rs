//! Connections of TLS and of anything that the kernel diverts with the rules of `conf/nftables` as they stand: REDIRECT and TPROXY,
//! both families, with nft and with iptables.

use crate::diverted::{connect, ip};
use crate::space::{between, sh, Lan, Space, CLIENT, INNER, OUTER, SERVER};
use crate::support::{alert, client_hello, Origin, Proxy};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// Where servers of TLS are, those of mail, and our listener for the latter.
const TLS: u16 = 443;
const MAIL: u16 = 110;
const PASSTHROUGH: u16 = 8000;

/// What the scripts for iptables are told.
const DIVERT: &str = "DIVERT='443:443 110:8000'";

/// Names of the server, by family.
const NAMES: [&str; 2] = ["four.example", "six.example"];

/// A server that remembers who connects to it. On the port of mail it speaks first; what it gets it sends back.
struct Far {
    _origins: Vec<Origin>,
    peers: Arc<Mutex<Vec<IpAddr>>>,
}

impl Far {
    fn start(server: &Space) -> Far {
        let peers = Arc::new(Mutex::new(Vec::new()));
        let places = SERVER.into_iter().flat_map(|address| [TLS, MAIL].map(|port| SocketAddr::new(ip(address), port)));
        let origins = places.map(|at| {
            let listener = server.run(move || TcpListener::bind(at).expect("a port of a network of its own"));
            let peers = Arc::clone(&peers);
            Origin::over(listener, move |peer| {
                peers.lock().expect("no holder panics").push(peer.peer()?.ip().to_canonical());
                if at.port() == MAIL {
                    peer.send("+OK\r\n")?;
                }
                peer.echo()
            })
        });
        Far { _origins: origins.collect(), peers: Arc::clone(&peers) }
    }

    fn peers(&self) -> Vec<IpAddr> {
        self.peers.lock().expect("no holder panics").clone()
    }
}

/// A proxy for such connections, which becomes an account without rights, and the file of its names.
fn diverting(host: &str, options: &[(&str, &str)]) -> (Proxy, tempfile::NamedTempFile) {
    let hosts = tempfile::NamedTempFile::new().expect("a temporary file");
    let names = format!("{} {}\n{} {}\n", SERVER[0], NAMES[0], SERVER[1], NAMES[1]);
    std::fs::write(hosts.path(), names).expect("a hosts file");
    sh(&format!("chmod 644 {}", hosts.path().display()));
    let own = [
        ("tls.enable", "true"),
        ("tls.host", host),
        ("passthrough.enable", "true"),
        ("passthrough.host", host),
        ("dns.hosts", hosts.path().to_str().expect("a path")),
        ("tcp6.listen", "true"),
        ("daemon.user", "nobody"),
        ("acl.clients", ""),
        ("access.enable", "true"),
        ("access.format", "json"),
    ];
    (Proxy::start(&[&own[..], options].concat()), hosts)
}

/// What holds of every way to divert connections. To a listener that is hidden no client of IPv4 comes directly.
fn every_way_of_speaking(lan: &Lan, proxy: &Proxy, far: &Far, from: [&str; 2], hidden: bool) {
    for family in 0..2 {
        let (server, before) = (SERVER[family], far.peers().len());
        for name in [Some(NAMES[family]), None] {
            let hello = client_hello(name, true);
            let mut client = connect(lan, server, TLS);
            client.send(&hello);
            assert_eq!(client.read(hello.len()), hello, "{name:?} at {server}: {}", proxy.log());
        }
        let mut mail = connect(lan, server, MAIL);
        assert_eq!(mail.read(5), b"+OK\r\n", "{server}");
        mail.send("QUIT\r\n");
        assert_eq!(mail.read(6), b"QUIT\r\n");
        drop(mail);
        assert_eq!(far.peers()[before..], [ip(from[family]); 3], "{server}");
        for method in ["TLS", "TCP"] {
            proxy.wait_line(&format!(
                "\"client\":\"{0}\",\"peer\":\"{0}\",\"user\":null,\"method\":\"{method}\"",
                CLIENT[family]
            ));
        }
        if hidden && family == 0 {
            continue;
        }
        // What comes to the listeners themselves was going nowhere else.
        let mut direct = connect(lan, INNER[family], TLS);
        direct.send(client_hello(None, false));
        assert_eq!(direct.rest(), alert(112), "unrecognized_name");
        assert_eq!(connect(lan, INNER[family], PASSTHROUGH).rest(), b"");
        assert_eq!(far.peers().len(), before + 3);
    }
}

fn redirect(lan: &Lan) {
    let far = Far::start(&lan.server);
    let (proxy, _hosts) = diverting("0.0.0.0", &[]);
    every_way_of_speaking(lan, &proxy, &far, OUTER, false);
}

fn tproxy(lan: &Lan) {
    let far = Far::start(&lan.server);
    for (spoof, from) in [("false", OUTER), ("true", CLIENT)] {
        let (proxy, _hosts) = diverting("127.0.0.1", &[("intercept.mode", "tproxy"), ("intercept.spoof", spoof)]);
        every_way_of_speaking(lan, &proxy, &far, from, true);
    }
}

#[test]
fn ways_12_tls_and_anything_by_redirect_with_nft() {
    between(&["nft"], |lan| {
        // Beside the rules for HTTP.
        lan.load("redirect.nft");
        lan.load("redirect-tls.nft");
        redirect(&lan);
    });
}

#[test]
fn ways_12_tls_and_anything_by_redirect_with_iptables() {
    between(&["iptables", "ip6tables"], |lan| {
        lan.load_with(DIVERT, "redirect-iptables.sh");
        redirect(&lan);
    });
}

#[test]
fn ways_12_tls_and_anything_by_tproxy_with_nft() {
    between(&["nft"], |lan| {
        for file in ["tproxy-routes.sh", "tproxy.nft", "tproxy-tls.nft"] {
            lan.load(file);
        }
        tproxy(&lan);
    });
}

#[test]
fn ways_12_tls_and_anything_by_tproxy_with_iptables() {
    between(&["iptables", "ip6tables"], |lan| {
        lan.load("tproxy-routes.sh");
        lan.load_with(DIVERT, "tproxy-iptables.sh");
        tproxy(&lan);
    });
}

#[test]
fn ways_1_what_the_proxy_itself_opens_is_not_taken_for_a_clients() {
    between(&["nft"], |lan| {
        lan.load("redirect-tls.nft");
        // What the proxy itself sends is diverted too, as by a rule without an exception for its user.
        sh("nft add chain inet exaproxy_redirect_tls output '{ type nat hook output priority -100; }' && \
            nft add rule inet exaproxy_redirect_tls output tcp dport 443 redirect to :443 && \
            nft add rule inet exaproxy_redirect_tls output tcp dport 110 redirect to :8000");
        let far = Far::start(&lan.server);
        let (proxy, _hosts) = diverting("0.0.0.0", &[]);
        for family in 0..2 {
            for name in [Some(NAMES[family]), None] {
                let mut client = connect(&lan, SERVER[family], TLS);
                client.send(client_hello(name, false));
                assert_eq!(client.rest(), alert(49), "access_denied");
            }
            assert_eq!(connect(&lan, SERVER[family], MAIL).rest(), b"");
        }
        assert_eq!(far.peers(), [] as [IpAddr; 0]);
        // Six of the client, and six that came back.
        assert_eq!(proxy.counter("clients.requests"), 12, "{}", proxy.log());
    });
}

//! Connections without HTTP that a balancer sends back: it gets them from the proxy, and tells the proxy of itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::support::network::with_own_network;
use crate::support::{alert, client_hello, ports, Client, Origin, Proxy, Wire};

/// Where the balancer is.
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A loop that is not seen ends here, so that the test fails and the machine does not.
const ROUNDS: usize = 4;

/// The first message of a connection.
#[derive(Clone, Copy)]
enum First {
    /// So many bytes.
    Sized(usize),
    /// A head of HTTP, which is given another last field.
    Head,
}

/// Hands connections over to the proxy, with a header that says from where it got them and where, and a first message.
fn balancer(listener: TcpListener, proxy: SocketAddr, first: First) -> Origin {
    Origin::over(listener, move |peer| {
        if peer.number >= ROUNDS {
            return Ok(());
        }
        let (from, to) = (peer.peer()?, peer.local());
        let mut on = Wire::new(std::net::TcpStream::connect(proxy)?)?;
        on.send(format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()))?;
        let message = match first {
            First::Sized(length) => peer.exact(length)?,
            First::Head => [peer.until(b"\r\n\r\n")?.trim_ascii_end(), b"\r\nConnection: close\r\n\r\n"].concat(),
        };
        on.send(message)?;
        let rest = on.rest()?;
        peer.send(rest)
    })
}

/// A proxy with a balancer in front of one of its listeners.
struct Site {
    proxy: Proxy,
    /// The listener.
    at: SocketAddr,
    balancer: Origin,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new(kind: &str, length: usize) -> Site {
        Site::with(kind, First::Sized(length), &[])
    }

    fn with(kind: &str, first: First, more: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, format!("{BALANCER} balanced.test\n")).expect("a file");
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::next()));
        let port = at.port().to_string();
        let options = ["enable", "port", "proxied"].map(|name| format!("{kind}.{name}"));
        let own: [(&str, &str); 4] = [
            (&options[0], "true"),
            (&options[1], &port),
            (&options[2], "true"),
            ("dns.hosts", hosts.to_str().expect("a path of text")),
        ];
        let proxy = Proxy::start(&[&own[..], more].concat());
        let listener = TcpListener::bind((IpAddr::V4(BALANCER), ports::next())).expect("a free port");
        Site { proxy, at, balancer: balancer(listener, at, first), _folder: folder }
    }
}

#[test]
fn ways_1_a_name_that_leads_to_the_balancer_is_refused_at_the_first_turn() {
    let hello = client_hello(Some("balanced.test"), false);
    let Site { proxy, balancer, .. } = &Site::new("tls", hello.len());
    for round in 1..=2 {
        let mut client = Client::connect(balancer.address());
        client.send(&hello);
        assert_eq!(client.rest(), alert(49), "access_denied");
        // The client's, and the one that the proxy has opened.
        assert_eq!(balancer.connections(), 2 * round);
    }
    proxy.wait_counter("clients.requests", 4);
}

#[test]
fn ways_1_a_balancer_that_names_itself_as_the_destination_gets_nothing_back() {
    let Site { balancer, .. } = &Site::new("passthrough", 0);
    let mut client = Client::connect(balancer.address());
    assert_eq!(client.rest(), b"");
    assert_eq!(balancer.connections(), 2);
}

/// Without Via nothing in a request tells that it has passed here: it went round until no port was left.
#[test]
fn ways_1_a_transparent_request_that_comes_back_is_refused_at_the_first_turn() {
    let request = "GET /x HTTP/1.1\r\nHost: balanced.test\r\n\r\n";
    for transparent in ["true", "false"] {
        let Site { proxy, balancer, .. } = &Site::with("intercept", First::Head, &[("http.transparent", transparent)]);
        for round in 1..=2 {
            let mut client = Client::connect(balancer.address());
            client.send(request);
            let reply = String::from_utf8_lossy(&client.rest()).into_owned();
            assert!(reply.starts_with("HTTP/1.1 502 ") && reply.contains("came back to this proxy"), "{reply}");
            // The client's, and the one that the proxy has opened.
            assert_eq!(balancer.connections(), 2 * round, "{transparent}");
        }
        proxy.wait_counter("blocked.proxy_loop_detected", 2);
    }
}

/// What an origin connection was for is over when it is put where others can use it.
#[test]
fn ways_1_a_transparent_proxy_serves_who_has_the_address_of_a_connection_that_it_kept() {
    // Each loop keeps connections of its own.
    let proxy = Proxy::start(&[("http.transparent", "true"), ("http.proxied", "true"), ("daemon.threads", "1")]);
    let origin = Origin::site();
    for _ in 0..3 {
        let mut client = proxy.client();
        client.send("PROXY TCP4 203.0.113.7 203.0.113.8 1 80\r\n");
        assert_eq!(client.get(&origin.url("/")).status(), 200);
        assert_eq!(client.get(&origin.url("/")).status(), 200);
    }
    assert_eq!((origin.connections(), proxy.counter("blocked.proxy_loop_detected")), (1, 0));
}

/// The system gives one port to connections of several programs on this machine, as long as they lead elsewhere.
#[test]
fn ways_1_a_client_on_this_machine_may_have_the_port_of_a_connection_of_the_proxy() {
    with_own_network(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, "127.0.0.9 nine.test\n").expect("a file");
        let [first, tls, third, fourth] = [(); 4].map(|()| ports::next());
        let origins = [(); 3].map(|()| Origin::start(|peer| peer.send("ready").and_then(|()| peer.hold())));
        let named =
            Origin::at(SocketAddr::from(([127, 0, 0, 9], 443)), |peer| peer.send("named").and_then(|()| peer.hold()));
        let _proxy = Proxy::start(&[
            ("passthrough.enable", "true"),
            ("passthrough.host", &format!("127.0.0.1 127.0.0.1:{third} proxied 127.0.0.1:{fourth} proxied")),
            ("passthrough.port", &first.to_string()),
            ("passthrough.destination", &origins[0].address().to_string()),
            ("tls.enable", "true"),
            ("tls.port", &tls.to_string()),
            ("dns.hosts", hosts.to_str().expect("a path of text")),
        ]);
        // Everything has the one port that is left.
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000").expect("a network of its own");
        let client = |port: u16| Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut passed = client(first);
        assert_eq!((passed.read(5), passed.local().port()), (b"ready".to_vec(), 40000));
        let mut direct = client(tls);
        direct.send(client_hello(Some("nine.test"), false));
        assert_eq!(direct.read(5), b"named");
        for (at, source, origin) in [(third, "203.0.113.7", &origins[1]), (fourth, "127.0.0.1", &origins[2])] {
            let mut balanced = client(at);
            balanced.send(format!("PROXY TCP4 {source} 127.0.0.1 40000 {}\r\n", origin.port()));
            assert_eq!(balanced.read(5), b"ready", "{source}");
        }
        assert_eq!(named.connections(), 1);
    });
}

/// The port that one connection has had is another's when that has ended.
#[test]
fn ways_1_what_does_not_come_back_passes() {
    let Site { proxy, at, .. } = &Site::new("passthrough", 0);
    let origin = Origin::echo();
    for _ in 0..3 {
        let mut first = Client::connect(*at);
        first.send(format!("PROXY TCP4 203.0.113.7 127.0.0.1 56324 {}\r\nping", origin.port()));
        assert_eq!(first.read(4), b"ping");
        // While it is there, another client of the balancer has its address, with another port.
        let mut second = Client::connect(*at);
        second.send(format!("PROXY TCP4 127.0.0.1 127.0.0.1 1 {}\r\nping", origin.port()));
        assert_eq!(second.read(4), b"ping");
    }
    assert_eq!((origin.connections(), proxy.counter("clients.requests")), (6, 6));
}

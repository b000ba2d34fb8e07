//! HAProxy in front of three proxies, with the example of `conf/haproxy`: it spreads clients, tells their addresses, and
//! takes a proxy out that says at its monitor that it is not well. Once it is out, no request fails.

use crate::programs::{command, find, have, run};
use crate::servers::Server;
use crate::support::{client, eventually, ports, Message, Origin, Proxy, Wire, PATIENCE};
use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/haproxy/haproxy.cfg");

/// Proxies of the example, with the ports of their listeners and monitors, and the port for clients.
const NODES: [(u16, u16); 3] = [(3129, 8081), (3130, 8082), (3131, 8083)];
const FRONT: u16 = 3128;

/// What a proxy behind the example is told.
const PROXIED: (&str, &str) = ("http.proxied", "true");

/// Clients by address.
const CLIENTS: u8 = 40;

/// Requests of each client after a proxy was taken out.
const REQUESTS: usize = 5;

/// A running HAProxy with the ways to ask it.
pub(crate) struct Balancer {
    server: Server,
    _folder: tempfile::TempDir,
    port: u16,
    control: PathBuf,
}

impl Balancer {
    /// Runs the example in front of these, with what is `replaced` in it, and waits until it takes all of them for well.
    pub(crate) fn start(nodes: &[Proxy; 3], replaced: &[(&str, &str)]) -> Balancer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, control) = (ports::next(), folder.path().join("control"));
        let mut text = std::fs::read_to_string(EXAMPLE).expect("the example");
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "the example has no {from:?}");
            text = text.replace(from, to);
        };
        replace(&format!("127.0.0.1:{FRONT}"), &format!("0.0.0.0:{port}"));
        for ((listener, monitor), node) in NODES.iter().zip(nodes) {
            replace(&format!("127.0.0.1:{listener} "), &format!("{} ", node.address()));
            replace(&format!("check port {monitor}\n"), &format!("check port {}\n", node.web().port()));
        }
        // Checks often; but an answer may take as long as it takes on a machine with too much to do.
        replace("inter 2s", "inter 50ms");
        replace("defaults\n", "defaults\n    timeout check 10s\n");
        // Each takes two descriptors, of which a machine for tests may have few.
        replace("maxconn 65536", "maxconn 1000");
        replace("global\n", &format!("global\n    stats socket {} level admin\n", control.display()));
        replaced.iter().for_each(|(from, to)| replace(from, to));
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).expect("a configuration file");
        let mut haproxy = command("haproxy");
        haproxy.arg("-db").arg("-f").arg(&file);
        let listens = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = Server::start(haproxy, folder.path().join("output"), listens);
        let balancer = Balancer { server, _folder: folder, port, control };
        (0..NODES.len()).for_each(|node| balancer.wait_status(node, "UP"));
        balancer
    }

    /// What HAProxy shows of one of its servers: its state and the connections that it has got.
    fn look(&self, node: usize) -> Option<(String, u64)> {
        Some((self.column(node, "status")?, self.column(node, "stot")?.parse().ok()?))
    }

    /// A number of these.
    fn number(&self, node: usize, name: &str) -> u64 {
        self.column(node, name).and_then(|text| text.parse().ok()).expect("a number that HAProxy shows")
    }

    fn column(&self, node: usize, title: &str) -> Option<String> {
        let mut control = UnixStream::connect(&self.control).ok()?;
        control.set_read_timeout(Some(PATIENCE)).ok()?;
        control.write_all(b"show stat\n").ok()?;
        let mut text = String::new();
        control.read_to_string(&mut text).ok()?;
        let mut rows = text.lines().map(|line| line.trim_start_matches("# ").split(',').collect::<Vec<_>>());
        let head = rows.next()?;
        let column = head.iter().position(|name| *name == title)?;
        let name = format!("exaproxy{}", node + 1);
        let row = rows.find(|row| row.get(1) == Some(&name.as_str()))?;
        Some((*row.get(column)?).to_owned())
    }

    /// Waits until HAProxy has come to see a proxy so.
    pub(crate) fn wait_status(&self, node: usize, status: &str) {
        eventually(&format!("proxy {node} to be {status}"), || {
            // While a state is about to change, it tells how far the change is, as in "UP 1/2".
            self.look(node).filter(|(now, _)| now.starts_with(status) && !now.contains('/'))
        });
    }

    /// All that HAProxy has written.
    pub(crate) fn said(&self) -> String {
        self.server.said()
    }

    /// Connections that a proxy has got.
    fn connections(&self, node: usize) -> u64 {
        self.look(node).expect("what HAProxy shows of a proxy").1
    }

    /// A connection of the client of this number, 127.0.1.x.
    pub(crate) fn client(&self, number: u8) -> io::Result<Wire> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, number), 0)).into())?;
        socket.connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into(), PATIENCE)?;
        Wire::new(TcpStream::from(socket))
    }

    /// One request on a connection of its own.
    fn ask(&self, number: u8, url: &str) -> io::Result<Message> {
        let mut wire = self.client(number)?;
        wire.send(client::get(url))?;
        wire.response("GET")
    }

    /// The tunnel of a client.
    pub(crate) fn tunnel(&self, number: u8, authority: &str) -> Wire {
        let mut wire = self.client(number).expect("a connection");
        wire.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")).expect("a request is taken");
        assert_eq!(wire.response("CONNECT").expect("a response").status(), 200);
        wire
    }

    /// All clients send their requests, which must all be answered.
    fn assert_serves_all(&self, origin: &Origin) {
        std::thread::scope(|scope| {
            for number in 1..=CLIENTS {
                scope.spawn(move || {
                    for request in 0..REQUESTS {
                        let path = format!("/{number}/{request}");
                        let reply = self.ask(number, &origin.url(&path));
                        let reply = reply.unwrap_or_else(|error| panic!("{path}: {error}"));
                        let right = reply.status() == 200 && reply.text() == path;
                        assert!(right, "{path}: {:?} {:?}", reply.start(), reply.value("Proxy-Status"));
                    }
                });
            }
        });
    }
}

pub(crate) fn possible() -> bool {
    have(&["haproxy", "timeout"])
}

pub(crate) fn nodes(options: &[&[(&str, &str)]; 3]) -> [Proxy; 3] {
    options.map(|options| Proxy::start(&[&[PROXIED], options].concat()))
}

#[test]
fn haproxy_is_content_with_the_example() {
    if possible() {
        run("haproxy", &["-c", "-f", EXAMPLE]).content();
    }
}

/// Both versions of the PROXY protocol as HAProxy writes them.
#[test]
fn haproxy_tells_who_the_clients_are() {
    if !possible() {
        return;
    }
    for version in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn proxy-v2-options crc32c,unique-id"] {
        let nodes = nodes(&[&[("http.pool", "0")]; 3]);
        let balancer = Balancer::start(&nodes, &[(" send-proxy-v2 ", &format!(" {version} "))]);
        let origin = Origin::site();
        for number in 1..=CLIENTS {
            assert_eq!(balancer.ask(number, &origin.url("/")).expect("a response").text(), "/", "{version}");
            let told = origin.head(origin.connections() - 1).value("X-Forwarded-For");
            assert_eq!(told, Some(format!("127.0.1.{number}")), "{version}");
        }
        let used = (0..NODES.len()).filter(|node| balancer.connections(*node) > 0).count();
        assert_eq!(used, NODES.len(), "each proxy has its share");
    }
}

/// One client is not bound to one proxy: each of its connections goes where there are fewest.
#[test]
fn haproxy_spreads_one_client_over_all() {
    if !possible() {
        return;
    }
    let nodes = nodes(&[&[]; 3]);
    let balancer = Balancer::start(&nodes, &[]);
    let echo = Origin::echo();
    let mut tunnels: Vec<Wire> = (0..6).map(|_| balancer.tunnel(1, &echo.address().to_string())).collect();
    let shares: Vec<i64> = nodes.iter().map(|node| node.counter("clients.tunnels")).collect();
    assert_eq!(shares, [2, 2, 2]);
    for tunnel in &mut tunnels {
        tunnel.send("12345").expect("the tunnel takes bytes");
        assert_eq!(tunnel.exact(5).expect("they come back"), b"12345");
    }
}

/// A soft stop with a tunnel that stays open: new clients come to the others, from the first moment on.
#[test]
fn haproxy_takes_out_what_stops_softly() {
    if !possible() {
        return;
    }
    let mut nodes = nodes(&[&[]; 3]);
    let balancer = Balancer::start(&nodes, &[]);
    let (origin, echo) = (Origin::site(), Origin::echo());
    let mut tunnel = balancer.tunnel(1, &echo.address().to_string());
    let stopped = nodes.iter().position(|node| node.clients() > 0).expect("one of them has the tunnel");
    nodes[stopped].signal(Signal::SIGQUIT);
    nodes[stopped].wait_log("SIGQUIT received");
    balancer.assert_serves_all(&origin);
    balancer.wait_status(stopped, "DOWN");
    let before = balancer.connections(stopped);
    balancer.assert_serves_all(&origin);
    assert_eq!(balancer.connections(stopped), before, "what is out is left alone");
    tunnel.send("still there").expect("the tunnel takes bytes");
    assert_eq!(tunnel.exact(11).expect("the tunnel goes on"), b"still there");
    drop(tunnel);
    assert!(nodes[stopped].wait_exit().success());
    balancer.assert_serves_all(&origin);
}

/// With a delay it is out before it closes a listener: HAProxy has no connection to take elsewhere.
#[test]
fn haproxy_sees_a_soft_stop_before_a_listener_closes() {
    if !possible() {
        return;
    }
    let mut nodes = nodes(&[&[("daemon.drain-delay", "10")], &[], &[]]);
    let balancer = Balancer::start(&nodes, &[]);
    let origin = Origin::site();
    nodes[0].signal(Signal::SIGQUIT);
    balancer.assert_serves_all(&origin);
    balancer.wait_status(0, "DOWN");
    assert!(TcpStream::connect(nodes[0].address()).is_ok(), "it still accepts");
    let before = balancer.connections(0);
    balancer.assert_serves_all(&origin);
    assert_eq!(balancer.connections(0), before, "what is out is left alone");
    assert_eq!(balancer.number(0, "wredis"), 0, "no connection had to be taken elsewhere");
    assert_eq!(balancer.number(0, "econ"), 0, "no connection was refused");
    assert!(nodes[0].wait_exit().success());
    balancer.assert_serves_all(&origin);
}

/// A helper that comes to an end whenever it is started, slowly as interpreters do, while the file `broken` is there.
const HELPER: &str = "
broken() { [ ! -e FOLDER/broken ] || { sleep 0.2; exit 1; } }
broken
while read -r line; do broken; echo; done
";

#[test]
fn haproxy_takes_out_what_has_no_helper_until_it_has_one_again() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (script, broken) = (folder.path().join("helper"), folder.path().join("broken"));
    std::fs::write(&script, HELPER.replace("FOLDER", &folder.path().display().to_string())).expect("a script");
    let shell = find("sh").expect("a shell");
    let program = format!("{} {}", shell.display(), script.display());
    let asking = [
        ("redirector.enable", "true"),
        ("redirector.program", program.as_str()),
        ("redirector.minimum", "2"),
        ("redirector.on-failure", "error"),
    ];
    let nodes = nodes(&[&asking, &[], &[]]);
    let balancer = Balancer::start(&nodes, &[]);
    let origin = Origin::site();
    balancer.assert_serves_all(&origin);
    assert!(balancer.connections(0) > 0, "the one with helpers has its share");

    std::fs::write(&broken, "").expect("a file");
    // Helpers learn of it with their next question. Some of these fail, as HAProxy has not looked at the monitor yet.
    let mut numbers = (1..=CLIENTS).cycle();
    eventually("the one without helpers to be out", || {
        let _ = balancer.ask(numbers.next()?, &origin.url("/"));
        balancer.look(0).filter(|(status, _)| status == "DOWN")
    });
    let before = balancer.connections(0);
    let starts = nodes[0].counter("helpers.lost");
    eventually("more helpers that end", || {
        balancer.assert_serves_all(&origin);
        (nodes[0].counter("helpers.lost") > starts + 2).then_some(())
    });
    assert_eq!(balancer.connections(0), before, "what is out is left alone");

    std::fs::remove_file(&broken).expect("the file was there");
    balancer.wait_status(0, "UP");
    balancer.assert_serves_all(&origin);
    assert!(balancer.connections(0) > before, "it has its share again");
}

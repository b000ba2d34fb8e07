//! A real websocket library on both ends, through a tunnel as browsers do it, and by upgrading the request itself.

use crate::programs::{command, have, run};
use crate::servers::Server;
use crate::support::{ports, skip, Proxy};
use std::net::{Ipv4Addr, SocketAddr};

/// Debian's interpreter: the one that Debian's package of the library belongs to.
pub(crate) const PYTHON: &str = "python3";
pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/websocket.py");

/// Whether the library is there.
pub(crate) fn possible() -> bool {
    if !have(&[PYTHON, "timeout"]) {
        return false;
    }
    let library = run("env", &["/usr/bin/python3", "-c", "import websockets"]).code == Some(0);
    if !library {
        skip("not installed: python3-websockets");
    }
    library
}

/// A running echo server.
pub(crate) fn echo(proxy: &Proxy) -> (Server, u16) {
    let port = ports::next();
    let mut server = command("env");
    server.args(["/usr/bin/python3", SCRIPT, "server", &port.to_string()]);
    let listens = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    (Server::start(server, proxy.folder().join("echo"), listens), port)
}

#[test]
fn messages_come_back() {
    if !possible() {
        return;
    }
    let proxy = Proxy::start(&[]);
    let (_server, port) = echo(&proxy);
    let (front, back) = (proxy.address().to_string(), format!("127.0.0.1:{port}"));
    for way in ["connect", "upgrade"] {
        let ran = run("env", &["/usr/bin/python3", SCRIPT, "client", way, &front, &back]);
        assert_eq!(ran.text(), "ok\n", "{way}: {}", ran.err);
    }
}

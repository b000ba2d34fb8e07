//! `openssl s_client` through CONNECT: a handshake and a request inside the tunnel.

use crate::programs::{command, find, have};
use crate::servers::nginx::Nginx;
use crate::support::Proxy;
use std::io::Write;
use std::process::Stdio;

#[test]
fn tls_through_a_tunnel() {
    if !have(&["openssl", "nginx", "timeout"]) {
        return;
    }
    let (proxy, nginx) = (Proxy::start(&[]), Nginx::start());
    let (front, back) = (proxy.address().to_string(), format!("127.0.0.1:{}", nginx.tls));
    let mut client = command("timeout")
        .arg("60")
        .arg(find("openssl").expect("it was there a moment ago"))
        .args(["s_client", "-proxy", &front, "-connect", &back, "-quiet", "-ign_eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    let mut input = client.stdin.take().expect("a piped input");
    input.write_all(b"GET /small HTTP/1.0\r\n\r\n").expect("openssl reads its input");
    let output = client.wait_with_output().expect("openssl ends with the server's close");
    let (said, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\na small file\n"), "{said}\n{err}");
    drop(input);
}

//! Kept origin connections, as nginx counts them: different clients share them, and a dead one is no client's problem.

use crate::programs::{have, run};
use crate::servers::nginx::Nginx;
use crate::support::Proxy;
use std::collections::BTreeSet;

#[test]
fn clients_share_origin_connections() {
    if !have(&["curl", "nginx", "openssl", "timeout"]) {
        return;
    }
    let (proxy, nginx) = (Proxy::start(&[]), Nginx::start());
    let (address, url) = (format!("http://{}", proxy.address()), nginx.url("/small"));
    for _ in 0..10 {
        run("curl", &["-sS", "-m", "30", "--proxy", &address, &url]).content();
    }
    let log = nginx.log();
    let connections: BTreeSet<&str> = log.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(log.len(), 10, "{log:?}");
    assert_eq!(connections.len(), 1, "each of ten clients in turn used the same origin connection: {log:?}");
    assert!(log.iter().all(|line| line.contains("1.1 ")), "every request names the proxy in Via: {log:?}");
}

//! promtool of Prometheus reads the metrics of a proxy that has done a little of everything.

use std::io::Write;
use std::process::Stdio;

use crate::programs::{command, have};
use crate::support::{Client, Helpers, Origin};

#[test]
fn prometheus_reads_the_metrics() {
    if !have(&["promtool"]) {
        return;
    }
    let helpers = Helpers::answering(|_| String::new());
    let proxy = helpers.proxy(&[]);
    let (site, echo) = (Origin::site(), Origin::echo());
    let mut client = proxy.client();
    assert_eq!(client.get(&site.url("/x")).text(), "/x");
    assert_eq!(client.get("http://localhost:1/").status(), 502);
    client.tunnel(&echo.address().to_string());
    let mut monitor = Client::connect(proxy.web());
    monitor.send("GET /metrics HTTP/1.1\r\n\r\n");
    let metrics = monitor.reply();
    let mut promtool = command("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut input = promtool.stdin.take().expect("its input");
    input.write_all(metrics.text().as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{}", metrics.text());
}

//! systemd's own tools on the units in conf/systemd, and on the program that they start.

use std::path::Path;

use crate::programs::{command, have, run};
use crate::support::{client, eventually, ports, Client, Origin, Proxy};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/systemd");

/// How exposed the service may be, of 10.
const EXPOSURE: f64 = 1.7;

#[test]
fn systemd_is_content_with_the_units() {
    if !have(&["systemd-analyze", "timeout"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut copies = Vec::new();
    for name in ["exaproxy.service", "exaproxy.socket"] {
        let text = std::fs::read_to_string(Path::new(UNITS).join(name)).expect("a unit");
        // The program and the page stand elsewhere on this machine.
        let text = text.replace("/usr/sbin/exaproxy", env!("CARGO_BIN_EXE_exaproxy"));
        let text = text.replace("file:///usr/share/doc/exaproxy", concat!("file://", env!("CARGO_MANIFEST_DIR")));
        let copy = folder.path().join(name);
        std::fs::write(&copy, text).expect("a file in the folder");
        copies.push(copy.display().to_string());
    }
    // Where systemd is not what runs the machine, units of others may be missing; those of ours are judged.
    let verified = run("systemd-analyze", &["verify", "--recursive-errors=no", "--man=no", &copies[0], &copies[1]]);
    let ours: Vec<&str> = verified.err.lines().filter(|line| !line.contains("not found.")).collect();
    assert!(ours.is_empty(), "{}", verified.err);
    // The tool sees a mistake.
    let broken = folder.path().join("broken.service");
    std::fs::write(&broken, "[Service]\nType=notify\nExecStart=/nowhere\nWatchdogSex=30\n").expect("a file");
    assert!(run("systemd-analyze", &["verify", "--man=no", &broken.display().to_string()]).err.contains("WatchdogSex"));
}

#[test]
fn the_service_is_hardly_exposed() {
    if !have(&["systemd-analyze", "timeout"]) {
        return;
    }
    let unit = format!("{UNITS}/exaproxy.service");
    let judged = run("systemd-analyze", &["security", "--offline=true", "--no-pager", &unit]).text();
    let words: Vec<&str> = judged.split_whitespace().collect();
    let level = words.iter().position(|word| *word == "exaproxy.service:").and_then(|at| words.get(at + 1));
    let level: f64 = level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("no verdict: {judged}"));
    assert!(level <= EXPOSURE, "{judged}");
}

#[test]
fn systemd_hands_a_socket_over_when_the_first_client_comes() {
    if !have(&["systemd-socket-activate"]) {
        return;
    }
    let port = ports::next();
    let (origin, text) = (Origin::site(), port.to_string());
    let url = origin.url("/early");
    // The program starts when a client has come, and the proxy of the test is looked at until it serves.
    let knock = std::thread::spawn(move || {
        let address = ([127, 0, 0, 1], port).into();
        let mut early = eventually("a socket to connect to", || Client::try_connect(address));
        early.send(client::get(&url));
        early.reply().text()
    });
    let proxy = Proxy::launch(&[("tcp4.port", &text)], "", |own| {
        let mut activate = command("systemd-socket-activate");
        activate.arg(format!("--listen=127.0.0.1:{port}"));
        for (name, value) in own.get_envs() {
            if let Some(value) = value {
                let mut setting = name.to_os_string();
                setting.push("=");
                setting.push(value);
                activate.arg("--setenv").arg(setting);
            }
        }
        activate.arg(own.get_program()).args(own.get_args());
        activate.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        activate
    });
    assert_eq!(knock.join().expect("the first client"), "/early");
    proxy.assert_serves();
    assert!(!proxy.log().contains("another program"), "{}", proxy.log());
}

//! The real logrotate with the file of conf/logrotate: no line is lost, and none goes to the old file for long.

use crate::programs::{have, run};
use crate::support::{eventually, Origin, Proxy};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/logrotate/exaproxy");

#[test]
fn logrotate_moves_the_logs_and_the_proxy_opens_new_ones() {
    if !have(&["logrotate", "timeout"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (messages, access) = (place("messages.log"), place("access.log"));
    let options = [
        ("log.destination", messages.as_str()),
        ("access.destination", &access),
        ("access.enable", "true"),
        ("access.format", "%U"),
        ("log.rotate", "0"),
        ("access.rotate", "0"),
    ];
    let proxy = Proxy::start(&options);
    let origin = Origin::site();
    // The folder of the test, and no systemd to send the signal.
    let text = std::fs::read_to_string(FILE).expect("the example");
    let line = text.lines().find(|line| line.contains("systemctl kill")).expect("a line that sends HUP");
    assert!(line.contains("--signal=HUP exaproxy.service"), "{line}");
    let fitted = text.replace("/var/log/exaproxy", &folder.path().display().to_string());
    let fitted = fitted.replace(line, &format!("kill -HUP {}", proxy.pid()));
    let (file, state) = (place("logrotate"), place("state"));
    std::fs::write(&file, fitted).expect("a file in the folder");
    let wait = |path: &str, part: &str| {
        eventually(&format!("{part} in {path}"), || {
            std::fs::read_to_string(path).ok().filter(|text| text.contains(part))
        })
    };
    for round in 1..=3 {
        let asked = format!("/round-{round}");
        assert_eq!(proxy.client().get(&origin.url(&asked)).text(), asked);
        wait(&access, &asked);
        let rotated = run("logrotate", &["--force", "--state", &state, &file]);
        assert_eq!((rotated.code, rotated.err.as_str()), (Some(0), ""));
        wait(&messages, "configuration reloaded");
        assert!(wait(&format!("{access}.1"), &asked).lines().count() == 1);
    }
    assert_eq!(proxy.client().get(&origin.url("/last")).text(), "/last");
    let last = wait(&access, "/last");
    assert_eq!(last.lines().count(), 1, "{last}");
    assert!(std::path::Path::new(&format!("{access}.2.gz")).exists(), "the older one is compressed");
}

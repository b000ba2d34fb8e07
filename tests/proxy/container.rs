//! Process 1 of a container: a read-only root without accounts, an account by its number, logs to its output, orphans, TERM.

use std::process::{Command, Stdio};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::support::{eventually, skip, superuser, Client, Origin, Proxy};

/// What makes a root of the host's programs and libraries, and of nothing else that is the host's, and runs the program in it as
/// process 1. The folder is the first argument, the program the second.
const CONTAINER: &str = r#"
mount --make-rprivate / && mount -t tmpfs none "$1" && cd "$1" || exit 90
mkdir usr lib lib64 bin proc dev
for folder in usr lib lib64 bin; do [ ! -d /$folder ] || mount --rbind -o ro /$folder $folder || exit 91; done
mount -t proc proc proc && : >dev/null && mount --bind /dev/null dev/null || exit 92
cp "$2" exaproxy && printf '%s' "$3" >helper && chmod 755 helper || exit 93
mount -o remount,ro "$1" || exit 94
exec chroot . /exaproxy
"#;

/// A helper that leaves a process behind for each question.
const HELPER: &str = "#!/bin/sh\nwhile read -r line; do (sleep 0.05 >/dev/null 2>&1 </dev/null &); echo; done\n";

fn launch(options: &[(&str, &str)], folder: &std::path::Path) -> Proxy {
    Proxy::launch(options, "", |command| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--mount", "--kill-child", "sh", "-c", CONTAINER, "sh"]);
        unshare.arg(folder).arg(command.get_program()).arg(HELPER);
        for (name, value) in command.get_envs() {
            value.map(|value| unshare.env(name, value));
        }
        unshare.stdout(Stdio::piped()).stderr(Stdio::piped());
        unshare
    })
}

/// The processes that the first thread of this one has as its children.
fn children(pid: u32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A line of the status of a process.
fn status(pid: i32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn process_1_of_a_container_serves_reaps_and_obeys() {
    if !superuser() {
        return skip("a container of a test's own needs the superuser");
    }
    let allowed = Command::new("unshare").args(["--pid", "--fork", "--mount", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return skip("unshare(1) is missing, or may make no namespaces here");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let options = [
        ("daemon.user", "4242"),
        ("log.destination", "/dev/stdout"),
        ("access.enable", "true"),
        ("access.destination", "/dev/stderr"),
        ("access.format", "asked %U"),
        ("access.rotate", "1"),
        ("log.rotate", "1"),
        ("redirector.enable", "true"),
        ("redirector.program", "/helper"),
        ("redirector.minimum", "1"),
        ("redirector.maximum", "1"),
    ];
    let mut proxy = launch(&options, folder.path());
    let own = *children(proxy.pid()).first().expect("process 1 of the container");
    assert_eq!(status(own, "NSpid:").split(' ').nth(1), Some("1"));
    assert_eq!(status(own, "Uid:"), "4242 4242 4242 4242");
    assert_eq!(status(own, "Groups:"), "4242");
    let origin = Origin::site();
    for number in 0..10 {
        let path = format!("/{number}");
        assert_eq!(Client::connect(proxy.address()).get(&origin.url(&path)).text(), path);
    }
    proxy.wait_log_times("asked http://", 10);
    assert!(!proxy.log().contains("warning"), "{}", proxy.log());
    // The helper is the child of a thread; its orphans come to the first one, and stay until they are waited for.
    eventually("no orphan", || children(own as u32).is_empty().then_some(()));
    kill(Pid::from_raw(own), Signal::SIGTERM).expect("it runs");
    assert_eq!(proxy.wait_exit().code(), Some(0));
    proxy.wait_log("exaproxy has stopped");
}

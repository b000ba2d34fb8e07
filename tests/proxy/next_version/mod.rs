//! The next version takes over as the same process, under clients: none is refused, reset, or kept waiting.

mod between;
mod drainers;
mod listeners;
mod moving;
mod stops;
mod trial;

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::support::proxy::called;
use crate::support::{eventually, Client, Helpers, Origin, Proxy};

/// The path of the program, at which another one can be put.
pub struct Installed(tempfile::TempDir);

impl Installed {
    pub fn new() -> Installed {
        let installed = Installed(tempfile::tempdir().expect("a folder"));
        symlink(env!("CARGO_BIN_EXE_exaproxy"), installed.path()).expect("a fresh folder");
        installed
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("exaproxy")
    }

    /// Starts what is there.
    pub fn start(&self, options: &[(&str, &str)]) -> Proxy {
        self.start_with(options, "")
    }

    /// The same, with an ini file of this text.
    pub fn start_with(&self, options: &[(&str, &str)], ini: &str) -> Proxy {
        Proxy::launch(options, ini, |command| called(&command, &self.path()))
    }

    /// Puts a script there. Another program writes it, since what this process has open for writing cannot be run while another
    /// thread starts a process.
    pub fn replace(&self, script: &str) {
        let (text, new) = (self.0.path().join("text"), self.0.path().join("new"));
        std::fs::write(&text, script).expect("our own folder");
        let done = Command::new("install").args(["-m", "755"]).args([&text, &new]).status().expect("install is there");
        assert!(done.success());
        std::fs::rename(&new, self.path()).expect("our own folder");
    }

    /// Puts the program there with commands that its trial start begins with, and its check does not.
    pub fn replace_trial(&self, commands: &str) {
        let real = env!("CARGO_BIN_EXE_exaproxy");
        let start = format!("case \"$*\" in -v|*--check*) ;; *) {commands} ;; esac");
        self.replace(&format!("#!/bin/sh\n{start}\nexec {real} \"$@\"\n"));
    }
}

/// Has the next version take over, and waits until it serves.
pub fn upgrade(proxy: &Proxy, times: usize) {
    proxy.signal(Signal::SIGALRM);
    proxy.wait_log_times("Starting exaproxy", times + 1);
    proxy.wait_log_times("the next version has taken over", times);
}

/// Drainers that are there: children of the process that are the same program.
pub fn drainers(proxy: &Proxy) -> Vec<i32> {
    let path = format!("/proc/{0}/task/{0}/children", proxy.pid());
    let list = std::fs::read_to_string(path).unwrap_or_default();
    let name = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| name(pid).trim() == "exaproxy").collect()
}

#[test]
fn the_next_version_has_the_same_process_and_old_clients_go_on() {
    let installed = Installed::new();
    let pidfile = installed.0.path().join("pid");
    let mut proxy = installed.start(&[("daemon.pidfile", pidfile.to_str().expect("a path of text"))]);
    let (origin, echo) = (Origin::site(), Origin::echo());
    let mut kept = proxy.client();
    assert_eq!(kept.get(&origin.url("/before")).text(), "/before");
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    let pid = proxy.pid();
    upgrade(&proxy, 1);
    assert!(proxy.alive());
    assert_eq!(std::fs::read_to_string(&pidfile).expect("a pidfile"), format!("{pid}\n"));
    assert_eq!(drainers(&proxy).len(), 1);
    // New clients are those of the new version, whose counters begin anew.
    eventually("a new client at the new version", || {
        assert_eq!(proxy.client().get(&origin.url("/after")).text(), "/after");
        (proxy.counter("clients.requests") > 0).then_some(())
    });
    let reply = kept.get(&origin.url("/kept"));
    assert_eq!((reply.text().as_str(), reply.value("Connection").as_deref()), ("/kept", Some("close")));
    kept.expect_end();
    tunnel.send("still there");
    assert_eq!(tunnel.read(11), b"still there");
    upgrade(&proxy, 2);
    // Tunnels go on in the new version, so that no drainer has a client.
    eventually("the end of the drainers", || drainers(&proxy).is_empty().then_some(()));
    proxy.wait_log_times("the drainer has ended", 2);
    assert!(!proxy.log().contains("exaproxy has stopped"), "the service goes on");
    tunnel.send("still here");
    assert_eq!(tunnel.read(10), b"still here");
    proxy.assert_serves();
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert!(!pidfile.exists());
}

#[test]
fn a_next_version_that_cannot_start_leaves_this_one_going() {
    let installed = Installed::new();
    let proxy = installed.start(&[]);
    type Put = fn(&Installed);
    let wrong: [(Put, &str); 6] = [
        (|at| at.replace("#!/bin/sh\necho no library; exit 127\n"), "this version goes on: no library"),
        (|at| at.replace_trial("kill -SEGV $$"), "signal: 11"),
        (|at| at.replace_trial("exit 0"), "does not say that it is ready"),
        (|at| at.replace("not a program"), "Exec format error"),
        (|at| at.replace("#!/nowhere\n"), "No such file"),
        // The process has been divided by then.
        (|at| at.replace_trial("rm \"$0\""), "exaproxy: No such file or directory"),
    ];
    for (put, said) in &wrong {
        put(&installed);
        let before = proxy.log().matches(said).count();
        proxy.signal(Signal::SIGALRM);
        proxy.wait_log_times(said, before + 1);
        proxy.assert_serves();
    }
    eventually("no other part of the process", || drainers(&proxy).is_empty().then_some(()));
    symlink(env!("CARGO_BIN_EXE_exaproxy"), installed.path()).expect("the place is free");
    // One with a mistake in its configuration.
    std::fs::write(proxy.file(), "[http]\nconnections = many\n").expect("the file");
    proxy.signal(Signal::SIGALRM);
    proxy.wait_log("invalid value for http.connections");
    proxy.wait_log("has failed its trial: exit status: 1\n");
    proxy.assert_serves();
    std::fs::write(proxy.file(), "").expect("the file");
    assert_eq!(proxy.log().matches("Starting exaproxy").count(), 1);
    upgrade(&proxy, 1);
    proxy.assert_serves();
}

/// Requests, and clients that send them, through so many upgrades and reloads.
const REQUESTS: usize = 50_000;
const CLIENTS: usize = 64;
const TIMES: usize = 10;

/// Sends requests on connections that it keeps for as long as it may. Any that fails ends the test.
fn ask_on(proxy: SocketAddr, origin: &str, left: &AtomicUsize) {
    let mut kept = None;
    while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
        let mut client = kept.take().unwrap_or_else(|| Client::connect(proxy));
        let reply = client.get(origin);
        assert_eq!((reply.status(), reply.text().as_str()), (200, "/asked"), "{reply:?}");
        kept = Some(client).filter(|_| reply.value("Connection").as_deref() != Some("close"));
    }
}

#[test]
fn no_request_fails_through_ten_upgrades_and_ten_reloads() {
    through_upgrades("1");
}

#[test]
fn no_request_of_several_loops_fails_through_ten_upgrades_and_ten_reloads() {
    through_upgrades("3");
}

fn through_upgrades(loops: &str) {
    let installed = Installed::new();
    let proxy =
        installed.start(&[("daemon.drain-timeout", "60"), ("daemon.threads", loops), ("daemon.watchdog", "true")]);
    let origin = Origin::site();
    let (url, left) = (origin.url("/asked"), AtomicUsize::new(REQUESTS));
    let asked = |count| (left.load(Relaxed) <= REQUESTS - count).then_some(());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| ask_on(proxy.address(), &url, &left));
        }
        for time in 1..=TIMES {
            eventually("requests between two upgrades", || asked(time * REQUESTS / (TIMES + 2)));
            proxy.signal(Signal::SIGHUP);
            proxy.wait_log_times("configuration reloaded", time);
            upgrade(&proxy, time);
        }
        assert!(left.load(Relaxed) > 0, "requests were sent to the end");
    });
    eventually("the end of the drainers", || drainers(&proxy).is_empty().then_some(()));
    proxy.assert_serves();
}

#[test]
fn helpers_of_the_former_version_answer_its_clients() {
    let installed = Installed::new();
    let helpers = Helpers::permitting();
    let program = helpers.program();
    let options = [
        ("redirector.enable", "true"),
        ("redirector.program", program.as_str()),
        ("redirector.minimum", "1"),
        ("redirector.maximum", "1"),
    ];
    let mut proxy = installed.start(&options);
    let origin = Origin::site();
    let mut kept = proxy.client();
    assert_eq!(kept.get(&origin.url("/before")).text(), "/before");
    let first = helpers.pids();
    upgrade(&proxy, 1);
    let second = helpers.wait_started(2);
    assert_eq!(&second[..1], &first[..], "the new version has a helper of its own");
    assert_eq!(kept.get(&origin.url("/kept")).text(), "/kept");
    proxy.assert_serves();
    kept.expect_end();
    // With its last client the drainer lets its helper go.
    eventually("the end of the drainer", || drainers(&proxy).is_empty().then_some(()));
    crate::support::helpers::wait_gone(first[0]);
    proxy.assert_serves();
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_stop_ends_what_former_versions_have_left() {
    let installed = Installed::new();
    let mut proxy = installed.start(&[]);
    let origin = Origin::site();
    let (mut client, mut other) = (proxy.client(), proxy.client());
    client.send(format!("GET {} HTTP/1.1\r\n", origin.url("/late")));
    other.send("GET http://h/ HTTP/1.1\r\n");
    proxy.wait_clients(2);
    upgrade(&proxy, 1);
    let drainer = drainers(&proxy);
    assert_eq!(drainer.len(), 1);
    // A soft stop waits for it.
    proxy.signal(Signal::SIGQUIT);
    proxy.wait_log("SIGQUIT received");
    client.send("Host: h\r\n\r\n");
    assert_eq!(client.reply().text(), "/late");
    assert!(proxy.alive());
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    other.expect_end();
    let gone = |pid: &i32| kill(Pid::from_raw(*pid), None).is_err() || is_zombie(*pid);
    eventually("the end of the drainer", || drainer.iter().all(gone).then_some(()));
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn the_command_line_asks_for_it() {
    let installed = Installed::new();
    let pidfile = installed.0.path().join("pid");
    let path = pidfile.to_str().expect("a path of text");
    let proxy = installed.start(&[("daemon.pidfile", path)]);
    let asked = Proxy::run(&["--upgrade", path], &[]);
    assert_eq!((asked.code, asked.stderr.as_str()), (Some(0), ""));
    assert!(asked.stdout.starts_with(&format!("process {} ", proxy.pid())), "{}", asked.stdout);
    proxy.wait_log("the next version has taken over");
    proxy.wait_log_times("Starting exaproxy", 2);
    std::fs::write(installed.0.path().join("other"), "none\n").expect("a file");
    let other = installed.0.path().join("other").display().to_string();
    assert_eq!(Proxy::run(&["--upgrade", &other], &[]).code, Some(1));
}

/// The number that a proxy has left may be another program's by now, which the signal would end.
#[test]
fn a_pidfile_that_was_left_behind_has_no_process_signalled() {
    let folder = tempfile::tempdir().expect("a folder");
    let left = folder.path().join("pid");
    let mut other = Command::new("sleep").arg("60").spawn().expect("sleep is there");
    std::fs::write(&left, format!("{}\n", other.id())).expect("a file");
    let asked = Proxy::run(&["--upgrade", left.to_str().expect("a path of text")], &[]);
    assert!(asked.code == Some(1) && asked.stderr.contains("no running proxy holds it"), "{}", asked.stderr);
    assert_eq!(other.try_wait().expect("our child"), None, "it goes on");
    other.kill().and_then(|()| other.wait()).expect("our child");
}

/// What the next version's clients change is not changed in a drainer's copy of the cache, which takes memory, too.
#[test]
fn a_drainer_answers_nothing_from_the_cache_and_gives_its_memory_back() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::start(move |peer| {
        while peer.request()?.is_some() {
            let body = format!("{:05}{}", asked.fetch_add(1, Relaxed), "x".repeat(899_995));
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 900000\r\n\r\n{body}"
            ))?;
        }
        Ok(())
    });
    for loops in ["1", "3"] {
        let installed = Installed::new();
        let proxy = installed.start(&[("cache.enable", "true"), ("daemon.threads", loops)]);
        let mut kept = [(); 4].map(|()| proxy.client());
        for number in 0..40 {
            kept[0].get(&origin.url(&format!("/{number}")));
        }
        let before = kept.each_mut().map(|client| client.get(&origin.url("/0")).text());
        assert!(before.iter().all(|text| *text == before[0]), "a hit in each loop");
        upgrade(&proxy, 1);
        let after = kept[1].get(&origin.url("/0"));
        assert!(after.text() != before[0] && !after.has("Cache-Status"), "{loops}");
        let memory = |pid: i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS line");
            line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB")
        };
        let drainer = drainers(&proxy)[0];
        eventually("less memory than what was kept takes", || (memory(drainer) < 30_000).then_some(()));
    }
}

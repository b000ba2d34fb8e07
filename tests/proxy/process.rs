//! The process: pidfile, background, account, descriptors, and what an idle proxy costs.

use std::os::unix::process::CommandExt;
use std::time::Duration;

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::limits::limited;
use crate::support::proxy::{command, variable};
use crate::support::{eventually, ports, skip, superuser, Client, Origin, Proxy};

#[test]
fn the_pidfile_is_there_while_it_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("exaproxy.pid");
    let path = file.to_str().expect("a path of text");
    let mut proxy = Proxy::start(&[("daemon.pidfile", path)]);
    assert_eq!(std::fs::read_to_string(&file).expect("a pidfile"), format!("{}\n", proxy.pid()));
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert!(!file.exists(), "the pidfile is still there");
}

#[test]
fn a_stale_pidfile_is_replaced_and_a_living_one_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("exaproxy.pid");
    let path = file.to_str().expect("a path of text");
    let mut gone = std::process::Command::new("true").spawn().expect("a short process");
    gone.wait().expect("its end");
    for stale in [format!("{}\n", gone.id()), String::new()] {
        std::fs::write(&file, &stale).expect("a stale pidfile");
        let proxy = Proxy::start(&[("daemon.pidfile", path)]);
        let text = std::fs::read_to_string(&file).expect("a pidfile");
        assert_eq!(text, format!("{}\n", proxy.pid()), "in place of {stale:?}");
        std::fs::remove_file(&file).expect("the pidfile");
    }
    let living = format!("{}\n", std::process::id());
    std::fs::write(&file, &living).expect("a pidfile of a living process");
    let mut proxy = Proxy::start(&[("daemon.pidfile", path)]);
    proxy.signal(Signal::SIGTERM);
    proxy.wait_exit();
    assert_eq!(std::fs::read_to_string(&file).expect("a pidfile"), living);
}

#[test]
fn it_goes_to_the_background_and_serves_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("exaproxy.pid");
    let (port, web) = (ports::next(), ports::next());
    let mut command = command(&[]);
    let options = [
        ("daemon.daemonize", "true".to_owned()),
        ("daemon.pidfile", file.to_str().expect("a path of text").to_owned()),
        ("tcp4.port", port.to_string()),
        ("web.port", web.to_string()),
        ("security.local", "*:*".to_owned()),
        ("daemon.user", if superuser() { "root" } else { "nobody" }.to_owned()),
    ];
    for (key, value) in options {
        command.env(variable(key), value);
    }
    let run = Proxy::finish(command);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let pid = eventually("a pidfile", || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok());
    let origin = Origin::site();
    let served = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(());
    eventually("the listener of the background process", served);
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.get(&origin.url("/here")).text(), "/here");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("the background process lives");
    eventually("the pidfile to go", || (!file.exists()).then_some(()));
    client.expect_end();
}

/// A line of `/proc/PID/status` as words.
fn status(proxy: &Proxy, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("a living process");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a known line");
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_superuser_becomes_another_account_completely() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let proxy = Proxy::start(&[("daemon.user", "nobody")]);
    let nobody = nix::unistd::User::from_name("nobody").expect("accounts can be read").expect("nobody exists");
    let (uid, gid) = (nobody.uid.to_string(), nobody.gid.to_string());
    assert!(status(&proxy, "Uid:").iter().all(|number| *number == uid), "{:?}", status(&proxy, "Uid:"));
    assert!(status(&proxy, "Gid:").iter().all(|number| *number == gid), "{:?}", status(&proxy, "Gid:"));
    assert!(status(&proxy, "Groups:").iter().all(|group| *group == gid), "{:?}", status(&proxy, "Groups:"));
    assert!(status(&proxy, "CapEff:").iter().all(|bits| bits.trim_matches('0').is_empty()));
    proxy.assert_serves();
}

#[test]
fn an_account_that_cannot_be_had_stops_the_start() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let (port, web) = (ports::next().to_string(), ports::next().to_string());
    let options = [("daemon.user", "no-such-account"), ("tcp4.port", &port), ("web.port", &web)];
    let run = Proxy::run(&[], &options);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(format!("{}{}", run.stdout, run.stderr).contains("no-such-account"));
}

#[test]
fn staying_the_superuser_has_to_be_said_and_is_warned_about() {
    if !superuser() {
        return skip("staying the superuser needs the superuser");
    }
    let proxy = Proxy::start(&[("daemon.user", "root")]);
    proxy.wait_log("root");
    assert_eq!(status(&proxy, "Uid:")[1], "0");
}

#[test]
fn an_ordinary_user_may_run_it_whatever_daemon_user_says() {
    let start = |account: u32| {
        let change = |mut command: std::process::Command| {
            command.uid(account).gid(account);
            command
        };
        Proxy::launch(&[("daemon.user", "no-such-account")], "", change)
    };
    if !superuser() {
        return Proxy::start(&[("daemon.user", "no-such-account")]).assert_serves();
    }
    if std::process::Command::new(env!("CARGO_BIN_EXE_exaproxy")).uid(65_534).gid(65_534).arg("-v").output().is_err() {
        return skip("an ordinary user may not read the binary here");
    }
    start(65_534).assert_serves();
}

#[test]
fn a_port_that_the_account_may_not_have_is_named_with_its_place() {
    let mut command = command(&["--check"]);
    command.env(variable("tcp4.port"), "1");
    if superuser() {
        command.uid(65_534).gid(65_534);
    }
    let Ok(run) = command.output() else {
        return skip("an ordinary user may not read the binary here");
    };
    if run.status.success() {
        return skip("every account may have every port here");
    }
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(told.contains("unable to listen") && told.contains("(environment exaproxy_tcp4_port)"), "{told}");
}

#[test]
fn the_descriptor_limit_is_raised_as_far_as_allowed() {
    let proxy = Proxy::launch(&[("http.connections", "500")], "", |command| soft_limited(&command, 256));
    let text = std::fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).expect("a living process");
    let line = text.lines().find(|line| line.starts_with("Max open files")).expect("a line for descriptors");
    let soft: u64 = line.split_whitespace().nth(3).and_then(|word| word.parse().ok()).expect("a number");
    assert!(soft >= 1000, "{line}");
}

/// The same command under a soft limit of so many descriptors.
fn soft_limited(command: &std::process::Command, descriptors: u32) -> std::process::Command {
    let shell = limited(command, descriptors);
    let script = format!("ulimit -S -n {descriptors} && exec \"$0\" \"$@\"");
    let mut soft = std::process::Command::new("sh");
    soft.arg("-c").arg(script).args(shell.get_args().skip(2));
    for (name, value) in shell.get_envs() {
        match value {
            Some(value) => soft.env(name, value),
            None => soft.env_remove(name),
        };
    }
    soft.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    soft
}

#[test]
fn too_few_descriptors_lower_the_maximum_with_a_warning() {
    let proxy = Proxy::launch(&[("log.level", "WARNING")], "", |command| limited(&command, 200));
    proxy.wait_log("http.connections");
    proxy.assert_serves();
}

#[test]
fn an_idle_proxy_costs_next_to_nothing() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut kept: Vec<Client> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut kept {
        assert_eq!(client.get(&origin.url("/")).status(), 200);
    }
    let share = proxy.share(Duration::from_secs(2));
    assert!(share <= 5.0, "{share} % of a core for doing nothing");
}

#[test]
fn idle_clients_are_small() {
    const CLIENTS: u64 = 1500;
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let kept = || {
        let mut client = proxy.client();
        assert_eq!(client.get(&origin.url("/")).status(), 200);
        client
    };
    let warm: Vec<Client> = (0..100).map(|_| kept()).collect();
    let before = proxy.rss();
    let clients: Vec<Client> = (0..CLIENTS).map(|_| kept()).collect();
    let grown = proxy.rss().saturating_sub(before);
    // The benchmark measures it exactly; here a kept buffer of any useful size would show.
    assert!(grown < CLIENTS * 2048, "{} idle clients hold {grown} bytes", clients.len());
    drop(warm);
}

#[test]
fn counters_move_with_what_they_count() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    proxy.wait_clients(1);
    proxy.wait_counter_reaches("clients.silent", 1);
    let before = proxy.counters();
    let moved = |name: &str| proxy.counter(name) - before.get(name).copied().unwrap_or_default();
    for _ in 0..5 {
        assert_eq!(client.get(&origin.url("/0123456789")).status(), 200);
    }
    eventually("five more requests", || (moved("clients.requests") >= 5).then_some(()));
    eventually("bytes to clients", || (moved("transfer.client") >= 5 * 11).then_some(()));
    eventually("bytes to clients over IPv4", || (moved("transfer.client4") >= 5 * 11).then_some(()));
    eventually("bytes to servers", || (moved("transfer.content") >= 5 * 30).then_some(()));
    proxy.wait_counter("clients.silent", 0);
    drop(client);
    proxy.wait_clients(0);
}

/// Two monitors that answered at one port, by chance, were told to no operator.
#[test]
fn a_second_copy_says_so_and_its_monitor_waits_for_the_port() {
    let first = Proxy::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut second = command(&[]);
    for (key, value) in [
        ("tcp4.port", first.port().to_string()),
        ("web.port", first.web().port().to_string()),
        ("log.destination", log.display().to_string()),
        ("daemon.user", "root".to_owned()),
    ] {
        second.env(variable(key), value);
    }
    let mut child = second.spawn().expect("the binary runs");
    let told = |what: &str| {
        eventually(what, || std::fs::read_to_string(&log).ok().filter(|text| text.contains(what)));
    };
    told("connections are divided between it and this http proxy");
    told("web server waits for");
    let web = first.web();
    drop(first);
    let answers = || {
        let mut check = Client::try_connect(web)?;
        check.try_send("GET / HTTP/1.0\r\n\r\n");
        let text = String::from_utf8_lossy(&check.wire().rest().ok()?).into_owned();
        text.contains(&format!("process {} ", child.id())).then_some(())
    };
    eventually("the second copy's monitor", answers);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

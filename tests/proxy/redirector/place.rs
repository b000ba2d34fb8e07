//! Helpers in their place: under which account, in the background, beside the other rules, and what of theirs is logged.

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{assert_failed, connect, get, send_get};
use crate::support::helpers::{signal, wait_gone};
use crate::support::proxy::{command, variable};
use crate::support::{eventually, ports, skip, superuser, Client, Helpers, Origin, Proxy};

/// Children of a process.
fn children(parent: u32) -> Vec<u32> {
    let above = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let entries = std::fs::read_dir("/proc").expect("a list of processes");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| above(*pid) == Some(parent)).collect()
}

#[test]
fn helpers_run_under_the_account_of_the_proxy() {
    if !superuser() {
        return skip("changing the account needs the superuser");
    }
    let options = [("redirector.enable", "true"), ("redirector.program", "/bin/sed -u s/.*//")];
    let proxy = Proxy::start(&[&options[..], &[("daemon.user", "nobody"), ("redirector.minimum", "2")]].concat());
    assert_eq!(get(&proxy, &Origin::site(), "/x").text(), "/x");
    let pids = eventually("two helpers", || Some(children(proxy.pid())).filter(|pids| pids.len() == 2));
    let account = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
        let kept = |line: &&str| ["Uid:", "Gid:", "Groups:"].iter().any(|name| line.starts_with(name));
        status.lines().filter(kept).map(str::to_owned).collect::<Vec<_>>()
    };
    for pid in pids {
        assert_eq!(account(pid), account(proxy.pid()));
        assert!(!account(pid)[0].split_whitespace().any(|id| id == "0"), "{:?}", account(pid));
    }
}

#[test]
fn helpers_work_for_a_proxy_in_the_background() {
    let helpers = Helpers::permitting();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("exaproxy.pid");
    let (port, web) = (ports::next(), ports::next());
    let mut command = command(&[]);
    for (key, value) in [
        ("daemon.daemonize", "true"),
        ("daemon.pidfile", file.to_str().expect("a path of text")),
        ("daemon.user", if superuser() { "root" } else { "nobody" }),
        ("tcp4.port", &port.to_string()),
        ("web.port", &web.to_string()),
        ("security.local", "*:*"),
        ("redirector.enable", "true"),
        ("redirector.program", &helpers.program()),
        ("redirector.minimum", "2"),
    ] {
        command.env(variable(key), value);
    }
    let run = Proxy::finish(command);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let pid = eventually("a pidfile", || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok());
    let pids = helpers.wait_started(2);
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.get(&Origin::site().url("/here")).text(), "/here");
    assert_eq!(helpers.asked().len(), 1);
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("the background process lives");
    pids.into_iter().for_each(wait_gone);
    client.expect_end();
}

#[test]
fn a_stop_does_not_wait_for_requests_in_the_queue() {
    let helpers = Helpers::start(|desk| desk.hang());
    let mut proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..20).map(|number| send_get(&proxy, &origin, &format!("/{number}"))).collect();
    proxy.wait_counter("queue.size", 19);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    for mut client in clients {
        client.expect_end();
    }
    helpers.pids().into_iter().for_each(wait_gone);
}

/// A process that was stopped can neither read, nor end, nor be asked to.
#[test]
fn a_helper_that_was_stopped_is_replaced() {
    let helpers = Helpers::permitting();
    // The one that takes its place has to be up within that time, on a busy machine.
    let proxy = helpers.proxy(&[("redirector.timeout", "4")]);
    let origin = Origin::site();
    let first = helpers.wait_started(1)[0];
    assert_eq!(get(&proxy, &origin, "/1").text(), "/1");
    signal(first, Signal::SIGSTOP);
    assert_eq!(get(&proxy, &origin, "/2").text(), "/2");
    wait_gone(first);
    proxy.wait_counter("helpers.hung", 1);
}

#[test]
fn a_hundred_helpers_may_run() {
    let options = [("redirector.enable", "true"), ("redirector.program", "/bin/sed -u s/.*//")];
    let more = [("redirector.minimum", "100"), ("redirector.maximum", "100")];
    let mut proxy = Proxy::start(&[&options[..], &more].concat());
    let origin = Origin::site();
    eventually("a hundred helpers", || (children(proxy.pid()).len() == 100).then_some(()));
    let clients: Vec<_> = (0..200).map(|number| send_get(&proxy, &origin, &format!("/{number}"))).collect();
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    let pids = children(proxy.pid());
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    pids.into_iter().for_each(wait_gone);
}

/// A helper that sends everything to another host may well name the proxy itself.
#[test]
fn row_60_an_interception_to_the_proxy_itself_ends() {
    let port = ports::next();
    let helpers = Helpers::answering(move |_| format!("intercept://127.0.0.1:{port}"));
    let proxy = helpers.proxy(&[("tcp4.port", &port.to_string()), ("http.pool", "0")]);
    let reply = get(&proxy, &Origin::site(), "/x");
    assert!([400, 403, 502, 508].contains(&reply.status()), "{reply:?}");
    assert!(helpers.asked().len() < 3, "{:?}", helpers.asked());
    proxy.wait_clients(0);
}

#[test]
fn a_rewritten_connect_is_held_to_the_ports_that_are_allowed() {
    let (target, other) = (Origin::echo(), Origin::echo());
    let to = other.address();
    let helpers = Helpers::answering(move |_| format!("OK rewrite-url=\"{to}\""));
    let proxy = helpers.proxy(&[("security.connect", &target.port().to_string())]);
    let reply = connect(&mut proxy.client(), &target.address().to_string());
    assert_eq!(reply.status(), 403, "{reply:?}");
    assert_eq!((target.connections(), other.connections()), (0, 0));
}

#[test]
fn what_helpers_complain_about_is_logged_in_lines_of_bearable_length() {
    let helpers = Helpers::start(|desk| {
        desk.complain(format!("{}\nno line end", "long ".repeat(3_000)))?;
        desk.line()?;
        desk.exit(1)
    });
    let proxy = helpers.proxy(&[]);
    assert_failed(&get(&proxy, &Origin::site(), "/x"));
    proxy.wait_log("no line end");
    let log = proxy.log();
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 1_200, "a line of {longest} bytes");
    assert!(log.lines().any(|line| line.contains("worker") && line.contains("long long")), "{log}");
}

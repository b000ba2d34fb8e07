//! Helpers as processes: how they are started, what they hold, and that none is left behind.

use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::get;
use crate::support::helpers::{gone, signal, wait_gone};
use crate::support::{eventually, Helpers, Origin, Proxy};

fn trio(helpers: &Helpers) -> (Proxy, Vec<u32>) {
    let proxy = helpers.proxy(&[("redirector.minimum", "3"), ("redirector.maximum", "3")]);
    let pids = helpers.wait_started(3);
    (proxy, pids)
}

/// Children of a process that have ended without being reaped.
fn zombies(parent: u32) -> Vec<u32> {
    let dead = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit(')').next()?.split_whitespace();
        let (state, above) = (fields.next()?, fields.next()?);
        (state == "Z" && above == parent.to_string()).then_some(pid)
    };
    let entries = std::fs::read_dir("/proc").expect("a list of processes");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(dead).collect()
}

/// Number, and where it leads, of each open descriptor.
fn descriptors(pid: u32) -> Vec<(u32, String)> {
    let folder = format!("/proc/{pid}/fd");
    let entries = std::fs::read_dir(folder).expect("a living process");
    let open = |path: &Path| {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        Some((number, std::fs::read_link(path).ok()?.to_string_lossy().into_owned()))
    };
    let mut all: Vec<_> = entries.filter_map(|entry| open(&entry.ok()?.path())).collect();
    all.sort_unstable();
    all
}

/// A helper that inherited a listener would keep its port; one that inherited a connection, its end.
#[test]
fn helpers_hold_nothing_but_their_pipes() {
    let helpers = Helpers::permitting();
    // Descriptors that the proxy itself inherited do not reach helpers either.
    let inherited = std::fs::File::open("/dev/null").expect("a file");
    let program = helpers.program();
    let options = [("redirector.enable", "true"), ("redirector.program", program.as_str())];
    let options = [&options[..], &[("redirector.minimum", "1"), ("redirector.maximum", "2")]].concat();
    let proxy = Proxy::launch(&options, "", |command| leaking(command, &inherited));
    let origin = Origin::site();
    let mut kept = proxy.client();
    assert_eq!(kept.get(&origin.url("/kept")).text(), "/kept");
    // One that is started while connections are open.
    proxy.signal(Signal::SIGUSR2);
    for pid in helpers.wait_started(2) {
        let open = descriptors(pid);
        // The helper of the tests opens one socket itself, to its test.
        let (pipes, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|(number, _)| *number < 3);
        assert_eq!(pipes.len(), 3, "{pipes:?}");
        assert!(pipes.iter().all(|(_, to)| to.starts_with("pipe:") || to.starts_with("socket:")), "{pipes:?}");
        assert_eq!(others.len(), 1, "{others:?}");
    }
}

/// Lets a process inherit a descriptor.
fn leaking(command: std::process::Command, file: &std::fs::File) -> std::process::Command {
    use std::os::fd::AsRawFd;
    let mut shell = std::process::Command::new("/bin/sh");
    // The shell opens the same file again, under a number that its child keeps.
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    shell.args(["-c", "exec 7<\"$0\" \"$@\"", &path]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    shell
}

#[test]
fn each_helper_leads_a_group_of_its_own() {
    let helpers = Helpers::permitting();
    let (proxy, pids) = trio(&helpers);
    for pid in pids {
        let process = Pid::from_raw(i32::try_from(pid).expect("a process id fits"));
        assert_eq!(nix::unistd::getpgid(Some(process)).expect("a living process"), process);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
        let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        assert_eq!(value("PPid:"), proxy.pid().to_string());
        assert_eq!(u64::from_str_radix(value("SigBlk:"), 16), Ok(0), "signals are blocked");
    }
}

#[test]
fn helpers_get_their_arguments() {
    let arguments = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let helpers = Helpers::start({
        let arguments = std::sync::Arc::clone(&arguments);
        move |desk| {
            *arguments.lock().expect("no holder panics") = desk.arguments.clone();
            desk.hang()
        }
    });
    let program = format!("{} one two  three", helpers.program());
    let _proxy = helpers.proxy(&[("redirector.program", &program)]);
    eventually("arguments", || (arguments.lock().expect("no holder panics").len() == 3).then_some(()));
    assert_eq!(*arguments.lock().expect("no holder panics"), ["one", "two", "three"]);
}

#[test]
fn no_zombie_is_left() {
    let helpers = Helpers::permitting();
    let (proxy, pids) = trio(&helpers);
    let origin = Origin::site();
    for round in 0..4 {
        for pid in helpers.pids().iter().rev().take(2) {
            signal(*pid, Signal::SIGKILL);
        }
        // Idle helpers that die are replaced as well.
        helpers.wait_started(5 + 2 * round);
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    }
    assert!(pids.iter().filter(|pid| gone(**pid)).count() >= 2);
    eventually("no zombie", || zombies(proxy.pid()).is_empty().then_some(()));
    let threads = || std::fs::read_dir(format!("/proc/{}/task", proxy.pid())).expect("a living process").count();
    // The loop, the loader, the log, one for each helper; a further loop with its loader, and what looks after both.
    let further = if crate::support::proxy::loops().is_some() { 3 } else { 0 };
    eventually("no thread left over", || (threads() <= 6 + further).then_some(()));
}

#[test]
fn descriptors_come_back_when_helpers_go() {
    let helpers = Helpers::permitting();
    let (proxy, _) = trio(&helpers);
    let origin = Origin::site();
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    let before = proxy.descriptors();
    for round in 0..5 {
        let pids = helpers.pids();
        signal(pids[pids.len() - 1], Signal::SIGKILL);
        helpers.wait_started(4 + round);
    }
    eventually("descriptors back", || (proxy.descriptors() <= before).then_some(()));
}

#[test]
fn helpers_end_with_the_proxy() {
    for how in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let helpers = Helpers::permitting();
        let (mut proxy, pids) = trio(&helpers);
        proxy.signal(how);
        assert_eq!(proxy.wait_exit().code(), Some(0), "{how}");
        pids.into_iter().for_each(wait_gone);
    }
}

/// A proxy that could say nothing at its end: the helpers see the end of their input.
#[test]
fn helpers_end_with_a_proxy_that_was_killed() {
    let helpers = Helpers::permitting();
    let (mut proxy, pids) = trio(&helpers);
    proxy.signal(Signal::SIGKILL);
    proxy.wait_exit();
    pids.into_iter().for_each(wait_gone);
}

#[test]
fn a_helper_that_ignores_its_end_does_not_hold_the_proxy() {
    let helpers = Helpers::start(|desk| {
        desk.deafen()?;
        desk.line()?;
        desk.say("\n")?;
        desk.hang()
    });
    let mut proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    helpers.pids().into_iter().for_each(wait_gone);
}

/// Clients that wait for a helper when the proxy is stopped softly are still served.
#[test]
fn a_soft_stop_waits_for_decisions() {
    let gate = crate::support::Gate::default();
    let helpers = Helpers::gated(&gate);
    let mut proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let mut first = super::send_get(&proxy, &origin, "/first");
    helpers.wait_asked(1);
    let mut second = super::send_get(&proxy, &origin, "/second");
    proxy.wait_counter("queue.size", 1);
    proxy.signal(Signal::SIGQUIT);
    proxy.wait_log("QUIT");
    gate.open_for(2);
    assert_eq!(first.reply().text(), "/first");
    assert_eq!(second.reply().text(), "/second");
    drop((first, second));
    assert_eq!(proxy.wait_exit().code(), Some(0));
    helpers.pids().into_iter().for_each(wait_gone);
}

/// What a helper has started itself goes with it when it is killed.
#[test]
fn children_of_a_helper_that_is_killed_go_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; read line; sleep 1000", file.display());
    let helper = folder.path().join("script");
    std::fs::write(&helper, script).expect("a script");
    let program = format!("/bin/sh {}", helper.display());
    let proxy = Proxy::start(&[
        ("redirector.enable", "true"),
        ("redirector.program", &program),
        ("redirector.minimum", "1"),
        ("redirector.maximum", "1"),
        ("redirector.timeout", "1"),
    ]);
    let read = || std::fs::read_to_string(&file).ok()?.trim().parse::<u32>().ok();
    let first = eventually("the pid of a grandchild", read);
    let origin = Origin::site();
    assert_eq!(get(&proxy, &origin, "/x").status(), 503);
    wait_gone(first);
}

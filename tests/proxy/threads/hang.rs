//! A loop that does not turn any more. The test holds its thread as a debugger does, and no other.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

use super::{clients, proxy};
use crate::supervised::Notices;
use crate::support::{eventually, Origin, Proxy};

/// The thread of this name, which it gives itself once it runs.
pub(super) fn thread(proxy: &Proxy, name: &str) -> Pid {
    let named = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|own| own.trim() == name);
    let found = eventually("a thread of this name", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", proxy.pid())).expect("a living process");
        tasks.flatten().find(named)
    });
    let number = found.file_name().into_string().expect("a number").parse().expect("a number");
    Pid::from_raw(number)
}

/// A thread that is held. It goes on when this is dropped, or the end of its process would wait for it.
pub(super) struct Held(Pid);

impl Held {
    /// Holds a thread; None where that is not allowed.
    pub(super) fn new(thread: Pid) -> Option<Held> {
        if ptrace::attach(thread).is_err() {
            crate::support::skip("ptrace is not allowed");
            return None;
        }
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Some(Held(thread))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None::<Signal>);
    }
}

#[test]
fn a_loop_that_hangs_is_told_and_holds_no_page() {
    let (proxy, origin) = (proxy("2", &[]), Origin::site());
    let mut there = clients(&proxy, &origin, 4);
    let Some(held) = Held::new(thread(&proxy, "loop 1")) else { return };
    // Pages come all the same, with what it told last.
    assert!(proxy.counter("clients.requests") >= 2);
    proxy.wait_log("loop 1 has not turned for 10 s, and its clients wait");
    proxy.wait_counter("episodes.loop_hangs", 1);
    let told = "exaproxy_trouble{kind=\"loop_hangs\"} ";
    assert!(proxy.monitor_page("/metrics").contains(&format!("{told}1\n")));
    // Those who come now find the other loop, also where it has more clients.
    for client in &mut clients(&proxy, &origin, 8) {
        assert_eq!(client.get(&origin.url("/meanwhile")).text(), "/meanwhile");
    }
    drop(held);
    proxy.wait_log("all loops turn again");
    for client in &mut there {
        assert_eq!(client.get(&origin.url("/again")).text(), "/again");
    }
    assert!(proxy.monitor_page("/metrics").contains(&format!("{told}0\n")));
}

/// Who takes rates of them would see a restart.
#[test]
fn numbers_do_not_go_back_when_a_loop_tells_nothing() {
    let (proxy, origin) = (proxy("2", &[]), Origin::site());
    let mut there = clients(&proxy, &origin, 4);
    let late = thread(&proxy, "loop 1");
    for _ in 0..3 {
        there.iter_mut().for_each(|client| assert_eq!(client.get(&origin.url("/more")).text(), "/more"));
        let before = proxy.counter("clients.requests");
        let Some(_held) = Held::new(late) else { return };
        let after = proxy.counter("clients.requests");
        assert!(after >= before, "{after} after {before}");
    }
}

/// The threads of an upgrade are waited for only for a moment: this one is held for longer than that, again and again.
#[test]
fn a_loop_that_comes_too_late_for_an_upgrade_goes_on() {
    let (mut proxy, origin) = (proxy("3", &[]), Origin::site());
    let mut there = clients(&proxy, &origin, 6);
    let late = thread(&proxy, "loop 1");
    proxy.signal(Signal::SIGALRM);
    let is_over = || ["the next version has taken over", "no upgrade"].iter().any(|line| proxy.log().contains(line));
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until && !is_over() {
        let Some(held) = Held::new(late) else { break };
        std::thread::sleep(Duration::from_millis(400));
        drop(held);
        std::thread::sleep(Duration::from_millis(20));
    }
    eventually("an upgrade or none", || is_over().then_some(()));
    assert!(proxy.alive());
    for client in &mut there {
        assert_eq!(client.get(&origin.url("/again")).text(), "/again");
    }
    proxy.assert_serves();
}

#[test]
fn a_watchdog_ends_the_process_with_one_loop_or_several() {
    for (threads, name) in [("1", "exaproxy"), ("2", "loop 1")] {
        let mut proxy = proxy(threads, &[("daemon.watchdog", "true")]);
        let held = thread(&proxy, name);
        let Some(_held) = Held::new(held) else { return };
        proxy.wait_log("the process ends, so that it is started again (daemon.watchdog)");
        // Who holds a thread is told of its end, and of that of the process where it is the first one.
        let ended = waitpid(held, Some(WaitPidFlag::__WALL)).expect("its end");
        if threads == "1" {
            assert_eq!(ended, WaitStatus::Signaled(held, Signal::SIGABRT, ended_with_core(&ended)));
        } else {
            assert_eq!(proxy.wait_exit().signal(), Some(Signal::SIGABRT as i32));
        }
    }
}

/// systemd would start the service again of which a loop hangs.
#[test]
fn a_loop_that_hangs_ends_the_signs_of_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let notices = Notices::at(&path);
    let proxy = Proxy::launch(&[("daemon.threads", "2")], "", |mut command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
        command
    });
    notices.wait("WATCHDOG=1");
    let Some(held) = Held::new(thread(&proxy, "loop 1")) else { return };
    notices.wait_silence();
    drop(held);
    notices.wait("WATCHDOG=1");
    proxy.assert_serves();
}

fn ended_with_core(status: &WaitStatus) -> bool {
    matches!(status, WaitStatus::Signaled(_, _, true))
}

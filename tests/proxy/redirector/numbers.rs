//! How many helpers run: growth with the wait, rest without it, and the signals that change the bounds.

use nix::sys::signal::Signal;

use super::{get, send_get};
use crate::support::helpers::gone;
use crate::support::{eventually, Gate, Helpers, Origin, Proxy};

/// Waits until the bounds and the number of helpers are these.
fn wait_numbers(proxy: &Proxy, minimum: i64, maximum: i64, running: i64) {
    proxy.wait_counter("processes.min", minimum);
    proxy.wait_counter("processes.max", maximum);
    proxy.wait_counter("processes.forked", running);
}

#[test]
fn the_minimum_runs_from_the_start() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("redirector.minimum", "4"), ("redirector.maximum", "9")]);
    wait_numbers(&proxy, 4, 9, 4);
    assert_eq!(helpers.wait_started(4).len(), 4);
}

#[test]
fn row_6_helpers_are_added_while_requests_wait_and_go_when_none_do() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[("redirector.minimum", "2"), ("redirector.maximum", "6")]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..20).map(|number| send_get(&proxy, &origin, &format!("/{number}"))).collect();
    proxy.wait_counter("processes.forked", 6);
    helpers.wait_started(6);
    gate.open_for(20);
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    // One goes with each rest, which takes about six seconds: the first shows that they do.
    eventually("a helper that goes", || (proxy.counter("processes.forked") < 6).then_some(()));
    assert_eq!(helpers.pids().len(), 6, "none was started for the one that went");
    gate.open();
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
}

#[test]
fn usr1_lowers_the_maximum() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("redirector.minimum", "2"), ("redirector.maximum", "3")]);
    wait_numbers(&proxy, 2, 3, 2);
    proxy.signal(Signal::SIGUSR1);
    wait_numbers(&proxy, 2, 2, 2);
    proxy.signal(Signal::SIGUSR1);
    wait_numbers(&proxy, 1, 1, 1);
    // There is always one.
    proxy.signal(Signal::SIGUSR1);
    proxy.wait_log_times("USR1", 3);
    wait_numbers(&proxy, 1, 1, 1);
    assert_eq!(get(&proxy, &Origin::site(), "/x").text(), "/x");
}

/// Of helpers that are too many the oldest goes, and not before it has said what it was asked.
#[test]
fn usr1_lets_a_busy_helper_finish() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[("redirector.minimum", "2"), ("redirector.maximum", "2")]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..2).map(|number| send_get(&proxy, &origin, &format!("/{number}"))).collect();
    helpers.wait_asked(2);
    proxy.signal(Signal::SIGUSR1);
    proxy.wait_counter("processes.max", 1);
    gate.open_for(2);
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    proxy.wait_counter("processes.forked", 1);
    eventually("the end of one of them", || helpers.pids().into_iter().any(gone).then_some(()));
    assert_eq!(proxy.counter("helpers.again"), 0);
}

#[test]
fn usr2_raises_the_minimum() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("redirector.minimum", "1"), ("redirector.maximum", "2")]);
    wait_numbers(&proxy, 1, 2, 1);
    proxy.signal(Signal::SIGUSR2);
    wait_numbers(&proxy, 2, 2, 2);
    proxy.signal(Signal::SIGUSR2);
    wait_numbers(&proxy, 3, 3, 3);
    assert_eq!(helpers.wait_started(3).len(), 3);
}

#[test]
fn signals_without_helpers_do_no_harm() {
    let proxy = Proxy::start(&[]);
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGHUP] {
        proxy.signal(signal);
    }
    proxy.wait_log("HUP");
    proxy.assert_serves();
    assert_eq!(proxy.counter("processes.forked"), 0);
}

/// What the monitor shows of helpers moves: a counter that never does is as good as none.
#[test]
fn row_54_every_counter_of_helpers_moves() {
    let helpers = Helpers::start(|desk| {
        while let Some(line) = desk.line()? {
            match line.split(['/', ' ']).nth(1).unwrap_or_default() {
                "die" => return desk.exit(1),
                "hang" => desk.hang()?,
                "twice" => desk.say("\n\n")?,
                "nonsense" => desk.say("nonsense\n")?,
                _ => desk.say("\n")?,
            }
        }
        Ok(())
    });
    let proxy = helpers.proxy(&[("redirector.timeout", "1"), ("redirector.queue", "1")]);
    let origin = Origin::site();
    // A helper that takes too long to start is one that hangs.
    for (path, name) in [("/x", "answered"), ("/die", "lost"), ("/twice", "unasked"), ("/nonsense", "unreadable")] {
        eventually(path, || {
            get(&proxy, &origin, path);
            (proxy.counter(&format!("helpers.{name}")) > 0).then_some(())
        });
    }
    let clients: Vec<_> = (0..3).map(|_| send_get(&proxy, &origin, "/hang")).collect();
    for mut client in clients {
        client.reply();
    }
    for name in [
        "asked",
        "answered",
        "again",
        "failed",
        "refused",
        "waited",
        "started",
        "lost",
        "hung",
        "unasked",
        "undecided",
        "unreadable",
    ] {
        proxy.wait_counter_reaches(&format!("helpers.{name}"), 1);
    }
}

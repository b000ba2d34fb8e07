//! SIGHUP and helpers: new ones take over one by one, and no request notices.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::{get, send_get};
use crate::support::helpers::wait_gone;
use crate::support::{eventually, Client, Gate, Helpers, Origin, Proxy};

/// Clients of the test under load.
const CLIENTS: usize = 200;

/// An ini file that names these helpers.
fn ini(helpers: &Helpers, more: &str) -> String {
    let program = helpers.program();
    format!("[redirector]\nenable = true\nprogram = {program}\nminimum = 4\nmaximum = 4\n{more}")
}

fn reload(proxy: &Proxy, ini: &str) {
    let before = proxy.log().matches("HUP").count();
    std::fs::write(proxy.file(), ini).expect("an ini file in the temporary folder");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times("HUP", before + 1);
}

fn redirecting() -> Helpers {
    Helpers::answering(|_| "redirect://http://elsewhere.test/".to_owned())
}

#[test]
fn a_reload_restarts_the_helpers() {
    let helpers = Helpers::permitting();
    let proxy = Proxy::start_with(&[], &ini(&helpers, ""));
    let origin = Origin::site();
    let old = helpers.wait_started(4);
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    reload(&proxy, &ini(&helpers, ""));
    // The same program, and yet new processes: it may have read another list of what to block.
    helpers.wait_started(8);
    old.into_iter().for_each(wait_gone);
    proxy.wait_counter("processes.forked", 4);
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
}

#[test]
fn row_7_a_reload_under_load_fails_no_request() {
    let helpers = Helpers::permitting();
    let proxy = Proxy::start_with(&[], &ini(&helpers, ""));
    let origin = Origin::site();
    let old = helpers.wait_started(4);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS).map(|number| busy(&proxy, &origin, number, &stop, &served)).collect();
    let beyond =
        |count: usize| eventually("requests served", || (served.load(Ordering::Relaxed) > count).then_some(()));
    beyond(CLIENTS);
    for round in 1..=3 {
        reload(&proxy, &ini(&helpers, &format!("timeout = {}\n", 20 + round)));
        helpers.wait_started(4 + 4 * round);
        beyond(served.load(Ordering::Relaxed) + CLIENTS);
    }
    stop.store(true, Ordering::Relaxed);
    let failures: Vec<String> = clients.into_iter().filter_map(|client| client.join().expect("no panic")).collect();
    assert!(failures.is_empty(), "{} clients failed, the first: {}", failures.len(), failures[0]);
    old.into_iter().for_each(wait_gone);
    proxy.wait_counter("processes.forked", 4);
    assert_eq!((proxy.counter("helpers.lost"), proxy.counter("helpers.failed")), (0, 0));
}

/// A client that asks until it is told to stop; gives what went wrong.
fn busy(
    proxy: &Proxy,
    origin: &Origin,
    number: usize,
    stop: &Arc<AtomicBool>,
    served: &Arc<AtomicUsize>,
) -> std::thread::JoinHandle<Option<String>> {
    let (address, url) = (proxy.address(), origin.url(&format!("/{number}")));
    let (stop, served) = (Arc::clone(stop), Arc::clone(served));
    let mut client = Client::connect(address);
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let reply = client.get(&url);
            if reply.status() != 200 {
                return Some(format!("{reply:?}"));
            }
            served.fetch_add(1, Ordering::Relaxed);
        }
        None
    })
}

/// What an old helper was asked it may answer; what comes after is asked of a new one.
#[test]
fn a_reload_waits_for_helpers_that_think() {
    let gate = Gate::default();
    let old = Helpers::start({
        let gate = gate.clone();
        move |desk| {
            while let Some(line) = desk.line()? {
                if line.contains("/before") {
                    gate.pass()?;
                }
                desk.say("\n")?;
            }
            Ok(())
        }
    });
    let proxy = Proxy::start_with(&[], &ini(&old, ""));
    let origin = Origin::site();
    old.wait_started(4);
    let mut before = send_get(&proxy, &origin, "/before");
    old.wait_asked(1);
    let new = redirecting();
    reload(&proxy, &ini(&new, ""));
    new.wait_started(4);
    eventually("decisions of the new helpers alone", || {
        let mut others = (0..4).map(|_| get(&proxy, &origin, "/x").status());
        others.all(|status| status == 302).then_some(())
    });
    gate.open();
    assert_eq!(before.reply().text(), "/before");
    old.pids().into_iter().for_each(wait_gone);
    assert_eq!(proxy.counter("helpers.again"), 0);
}

#[test]
fn row_57_a_program_that_is_missing_keeps_the_old_one() {
    let helpers = Helpers::permitting();
    let proxy = Proxy::start_with(&[], &ini(&helpers, ""));
    let origin = Origin::site();
    let old = helpers.wait_started(4);
    reload(&proxy, "[redirector]\nenable = true\nprogram = /no/such/program\n");
    proxy.wait_log("/no/such/program");
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    assert_eq!(helpers.pids(), old);
}

/// A new program that ends as soon as it starts does not take the place of one that works.
#[test]
fn a_new_program_that_fails_leaves_the_old_helpers_at_work() {
    let helpers = Helpers::permitting();
    let proxy = Proxy::start_with(&[], &ini(&helpers, ""));
    let origin = Origin::site();
    helpers.wait_started(4);
    reload(&proxy, "[redirector]\nenable = true\nprogram = /bin/false\nminimum = 4\nmaximum = 4\n");
    proxy.wait_log("exited with code 1");
    for _ in 0..20 {
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    }
}

#[test]
fn helpers_can_be_switched_on_and_off() {
    let helpers = redirecting();
    let proxy = Proxy::start_with(&[], "");
    let origin = Origin::site();
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/1")).text(), "/1");
    for _ in 0..2 {
        reload(&proxy, &ini(&helpers, ""));
        eventually("decisions of helpers", || (get(&proxy, &origin, "/2").status() == 302).then_some(()));
        assert_eq!(client.get(&origin.url("/3")).status(), 302);
        reload(&proxy, "");
        eventually("no decisions of helpers", || (get(&proxy, &origin, "/4").status() == 200).then_some(()));
        assert_eq!(client.get(&origin.url("/5")).text(), "/5");
        helpers.pids().into_iter().for_each(wait_gone);
        assert_eq!(proxy.counter("processes.forked"), 0);
    }
}

#[test]
fn bounds_change_with_a_reload() {
    let helpers = Helpers::permitting();
    let proxy = Proxy::start_with(&[], &ini(&helpers, ""));
    proxy.wait_counter("processes.forked", 4);
    for (minimum, maximum) in [(6, 8), (2, 2), (1, 5)] {
        let text =
            format!("enable = true\nprogram = {}\nminimum = {minimum}\nmaximum = {maximum}\n", helpers.program());
        reload(&proxy, &format!("[redirector]\n{text}"));
        proxy.wait_counter("processes.min", minimum);
        proxy.wait_counter("processes.max", maximum);
        eventually("a number within the bounds", || {
            let running = proxy.counter("processes.forked");
            (minimum..=maximum).contains(&running).then_some(())
        });
    }
}

#[test]
fn the_language_may_change_with_a_reload() {
    let lines = Helpers::permitting();
    let proxy = Proxy::start_with(&[], &ini(&lines, ""));
    let origin = Origin::site();
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    let icap = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    reload(&proxy, &ini(&icap, "protocol = icap://filter/x\n"));
    eventually("a question in the new language", || {
        assert_eq!(get(&proxy, &origin, "/y").text(), "/y");
        icap.asked().first().map(|asked| assert!(asked.starts_with("REQMOD "), "{asked:?}"))
    });
}

/// What was counted of helpers was gone with them.
#[test]
fn helpers_that_are_dismissed_have_counted_all_the_same() {
    let helpers = Helpers::permitting();
    let program = helpers.program();
    let ini = |enable: bool| format!("[redirector]\nenable = {enable}\nminimum = 1\nmaximum = 1\n");
    let proxy = Proxy::start_with(&[("redirector.program", &program)], &ini(true));
    let origin = Origin::site();
    assert_eq!(get(&proxy, &origin, "/1").text(), "/1");
    for (reloads, enable, asked) in [(1, false, 1), (2, true, 2)] {
        std::fs::write(proxy.file(), ini(enable)).expect("the ini file");
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log_times("configuration reloaded", reloads);
        assert_eq!(get(&proxy, &origin, "/2").text(), "/2");
        assert_eq!((proxy.counter("helpers.asked"), proxy.counter("helpers.started")), (asked, asked));
    }
}

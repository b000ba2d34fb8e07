//! A proxy that is stopped for a while, by SIGSTOP or with its machine: what came meanwhile was in time.

use std::sync::mpsc::{channel, Receiver};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{client, eventually, Helpers, Origin, Proxy};

/// Seconds of the timers.
const TIMER: &str = "3";

/// The time for which the proxy is stopped, longer than its timers.
const STOP: Duration = Duration::from_secs(5);

/// Stops the proxy, has `meanwhile` happen, and lets it go on after so long.
fn stopped(proxy: &Proxy, time: Duration, meanwhile: impl FnOnce()) {
    proxy.signal(Signal::SIGSTOP);
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).expect("a process");
    eventually("the proxy to stop", || state().contains(") T ").then_some(()));
    meanwhile();
    sleep(time);
    proxy.signal(Signal::SIGCONT);
}

/// An origin that answers with one half, and the other when it is told to.
fn halves(told: Receiver<()>) -> Origin {
    let told = Mutex::new(told);
    Origin::start(move |peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")?;
        let _ = told.lock().expect("one connection").recv();
        peer.send("other")
    })
}

#[test]
fn c_what_comes_while_the_proxy_is_stopped_was_in_time() {
    let timers = ["http.head-timeout", "http.idle-connect", "http.inactive-timeout", "redirector.timeout"];
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&timers.map(|name| (name, TIMER)));
    helpers.wait_started(1);
    let (tell, told) = channel();
    let (origin, site) = (halves(told), Origin::site());

    let (mut reader, mut sender, mut asker, mut new) = (proxy.client(), proxy.client(), proxy.client(), proxy.client());
    reader.send(client::get(&origin.url("/")));
    assert!(reader.wire().until(b"first").is_ok());
    let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n", site.url("/"));
    sender.send(format!("{head}first"));
    eventually("the first half", || site.received(0).ends_with(b"first").then_some(()));
    let get = client::get(&site.url("/here"));
    let (begin, rest) = get.split_at(20);
    asker.send(begin);
    proxy.wait_clients(4);

    stopped(&proxy, STOP, || {
        tell.send(()).expect("the origin waits");
        sender.send("other");
        asker.send(rest);
        new.send(&get);
    });
    assert_eq!(reader.read(5), b"other");
    assert_eq!(sender.reply().text(), "firstother");
    for client in [&mut asker, &mut new] {
        assert_eq!(client.reply().status(), 200);
    }
    proxy.wait_log("the proxy was kept from running for");
}

#[test]
fn a_stop_of_several_loops_is_told_once() {
    const LINE: &str = "the proxy was kept from running for";
    let (proxy, origin) = (Proxy::start(&[("daemon.threads", "3")]), Origin::site());
    stopped(&proxy, Duration::from_secs(3), || {});
    proxy.wait_log(LINE);
    // Each loop has begun a turn when a reload is told.
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(proxy.log().matches(LINE).count(), 1, "{}", proxy.log());
    assert_eq!(proxy.client().get(&origin.url("/here")).text(), "/here");
}

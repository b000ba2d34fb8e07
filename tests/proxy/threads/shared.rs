//! What loops share: helpers, passwords that were found right, and what is not to be used any more.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use super::clients;
use super::hang::{thread, Held};
use crate::auth::{field, Users, SLOW};
use crate::support::{client, eventually, Client, Helpers, Origin};

const THREADS: (&str, &str) = ("daemon.threads", "3");

#[test]
fn helpers_are_asked_for_clients_of_all_loops_and_are_as_many_as_configured() {
    let helpers = Helpers::answering(|line| match line.contains("/bad") {
        true => "file://bad.html".to_owned(),
        false => String::new(),
    });
    let origin = Origin::site();
    let proxy = helpers.proxy(&[THREADS, ("redirector.minimum", "2"), ("redirector.maximum", "2")]);
    let mut there = clients(&proxy, &origin, 9);
    helpers.wait_started(2);
    assert_eq!((helpers.pids().len(), proxy.counter("processes.forked")), (2, 2));
    for client in &mut there {
        client.send(client::get(&origin.url("/bad")));
        assert_ne!(client.reply().text(), "/bad", "what a helper says holds in every loop");
    }
    assert_eq!((proxy.counter("helpers.asked"), proxy.counter("helpers.answered")), (18, 18));
    // A reload brings other helpers, and asks them.
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    helpers.wait_started(4);
    for client in &mut there {
        assert_eq!(client.get(&origin.url("/here")).text(), "/here");
    }
}

#[test]
fn a_helper_that_breaks_has_another_asked_for_any_loop() {
    let broken = AtomicUsize::new(0);
    let helpers = Helpers::answering(move |_| match broken.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => "BH message=tired".to_owned(),
        _ => "OK".to_owned(),
    });
    let origin = Origin::site();
    let extras = [THREADS, ("redirector.minimum", "1"), ("redirector.maximum", "1")];
    let proxy = helpers.proxy(&extras);
    clients(&proxy, &origin, 6);
    assert_eq!(proxy.counter("helpers.again"), 6);
}

/// More questions come in one long turn of the first loop than letters make its box long.
#[test]
fn questions_of_many_clients_wait_for_a_first_loop_that_is_busy() {
    const CLIENTS: usize = 1200;
    // Of eight loops the seven others have 1050 of them.
    const READ: usize = 1040;
    let helpers = Helpers::answering(|_| "redirect://http://elsewhere.test/".to_owned());
    let proxy = helpers.proxy(&[("daemon.threads", "8")]);
    let mut there: Vec<Client> = (0..CLIENTS).map(|_| proxy.client()).collect();
    proxy.wait_counter("clients.silent", CLIENTS as i64);
    let Some(held) = Held::new(thread(&proxy, "exaproxy")) else { return };
    there.iter_mut().for_each(|client| client.send(client::get("http://here.test/")));
    eventually("requests read by the other loops", || (unread(proxy.address()) <= CLIENTS - READ).then_some(()));
    drop(held);
    there.iter_mut().for_each(|client| assert_eq!(client.reply().status(), 302));
    let counters = proxy.counters();
    let numbers = ["helpers.asked", "helpers.undecided", "helpers.failed"].map(|name| counters[name]);
    assert_eq!(numbers, [CLIENTS as i64, 0, 0]);
}

/// How many connections that were accepted at this address have bytes that are not read.
fn unread(address: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let port = format!(":{:04X}", address.port());
    let waits = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&port) && fields[3] == "01" && !fields[4].ends_with(":00000000")
    };
    table.lines().skip(1).filter(waits).count()
}

#[test]
fn questions_end_with_their_clients_and_with_the_helpers() {
    let helpers = Helpers::start(|desk| desk.hang());
    let origin = Origin::site();
    let options =
        [THREADS, ("redirector.minimum", "1"), ("redirector.maximum", "1"), ("redirector.on-failure", "permit")];
    let proxy = helpers.proxy(&options);
    let mut there: Vec<Client> = (0..6).map(|_| proxy.client()).collect();
    there.iter_mut().for_each(|client| client.send(client::get(&origin.url("/waits"))));
    proxy.wait_counter("queue.size", 5);
    // Of those that wait, four go, or three and the one whose question the helper has.
    there.drain(2..).for_each(drop);
    eventually("fewer questions", || (proxy.counter("queue.size") <= 2).then_some(()));
}

#[test]
fn a_password_is_checked_once_for_all_loops() {
    let (users, origin) = (Users::new(&format!("ann:{SLOW}\n")), Origin::site());
    let proxy = users.proxy(&[THREADS]);
    for _ in 0..9 {
        let mut client = proxy.client();
        let request = client::get(&origin.url("/here"));
        client.send(request.replacen("\r\n\r\n", &format!("\r\n{}\r\n", field("ann:secret")), 1));
        assert_eq!(client.reply().text(), "/here");
    }
    assert_eq!(
        (proxy.counter("auth.checked"), proxy.counter("auth.kept"), proxy.counter("auth.remembered")),
        (1, 8, 1)
    );
    // Other users hold in every loop.
    users.replace("bob:other\n");
    eventually("nothing that was found right holds", || {
        let mut all = (0..6).map(|_| {
            let mut client = proxy.client();
            let request = client::get(&origin.url("/here"));
            client.send(request.replacen("\r\n\r\n", &format!("\r\n{}\r\n", field("ann:secret")), 1));
            client.reply().status()
        });
        all.all(|status| matches!(status, 407 | 429)).then_some(())
    });
}

//! Several loops in one process: clients spread over them, and what a process is to all who look at it from outside stays one.

mod hang;
mod kept;
mod limits;
mod shared;

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use crate::support::{client, eventually, Client, Origin, Proxy};

/// A proxy with so many loops.
fn proxy(threads: &str, options: &[(&str, &str)]) -> Proxy {
    Proxy::start(&[&[("daemon.threads", threads)], options].concat())
}

/// Clients that have asked for something and stay.
fn clients(proxy: &Proxy, origin: &Origin, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get(&origin.url("/here")).text(), "/here");
    }
    clients
}

/// How many clients of the proxy each loop has, as the monitor says.
pub fn spread(proxy: &Proxy) -> BTreeMap<i64, usize> {
    let page = proxy.monitor_page("/json/sessions?limit=1000");
    let sessions: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let mut spread = BTreeMap::new();
    for session in sessions["sessions"].as_array().expect("sessions") {
        if session["monitor"] == false {
            *spread.entry(session["loop"].as_i64().expect("the number of a loop")).or_default() += 1;
        }
    }
    spread
}

#[test]
fn clients_spread_so_that_no_loop_has_much_more_than_the_mean() {
    for threads in [2_usize, 3] {
        let (proxy, origin) = (proxy(&threads.to_string(), &[]), Origin::site());
        let mut there = clients(&proxy, &origin, 64);
        let found = spread(&proxy);
        let fullest = found.values().max().copied().unwrap_or_default();
        assert_eq!((found.len(), found.values().sum::<usize>()), (threads, 64), "{found:?}");
        assert!(fullest * 10 <= 64 / threads * 12, "{found:?}");
        // Those that come fill what others have left.
        there.truncate(20);
        proxy.wait_clients(20);
        there.extend(clients(&proxy, &origin, 44));
        let found = spread(&proxy);
        let fullest = found.values().max().copied().unwrap_or_default();
        assert!(fullest * 10 <= 64 / threads * 12, "{found:?}");
        for client in &mut there {
            assert_eq!(client.get(&origin.url("/again")).text(), "/again");
        }
    }
}

#[test]
fn one_loop_names_none() {
    let (proxy, origin) = (proxy("1", &[("log.level", "DEBUG")]), Origin::site());
    let there = clients(&proxy, &origin, 2);
    assert!(!proxy.monitor_page("/json/sessions").contains("\"loop\""));
    assert!(!proxy.monitor_page("/information/sessions.html").contains("Loop"));
    drop(there);
    proxy.wait_log_times("127.0.0.1 connection closed", 2);
    assert!(!proxy.log().contains("loop 0"));
}

#[test]
fn lines_of_debug_name_the_loop_and_others_do_not() {
    let (proxy, origin) = (proxy("2", &[("log.level", "DEBUG")]), Origin::site());
    drop(clients(&proxy, &origin, 4));
    for number in 0..2 {
        let line = proxy.wait_line(&format!("loop {number}: ["));
        assert!(line.contains("] 127.0.0.1 connection closed: "), "{line}");
    }
    proxy.signal(Signal::SIGHUP);
    let line = proxy.wait_line("configuration reloaded");
    assert!(!line.contains("loop"), "{line}");
}

#[test]
fn numbers_pages_and_the_access_log_are_those_of_all_loops() {
    let origin = Origin::site();
    let options = [("access.enable", "true"), ("access.format", "a line: %U"), ("usage.enable", "true")];
    let proxy = proxy("3", &options);
    let mut there = clients(&proxy, &origin, 9);
    there.iter_mut().for_each(|client| drop(client.get(&origin.url("/more"))));
    assert_eq!((proxy.counter("clients.requests"), proxy.clients()), (18, 9));
    let counters = proxy.counters();
    assert_eq!(counters["transfer.client"], counters["transfer.client4"]);
    assert!(
        proxy.monitor_page("/metrics").contains("\nexaproxy_requests_total 18\n"),
        "{}",
        proxy.monitor_page("/metrics")
    );
    proxy.wait_log_times(&format!("a line: {}", origin.url("/here")), 9);
    proxy.wait_log_times(&format!("a line: {}", origin.url("/more")), 9);
    // The numbers of connections differ, whichever loop they are in.
    let page = proxy.monitor_page("/json/sessions");
    let sessions: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let mut ids: Vec<i64> =
        sessions["sessions"].as_array().expect("sessions").iter().filter_map(|one| one["id"].as_i64()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10, "{page}");
    assert!(proxy.monitor_page("/end-point/clients.html").contains("127.0.0.1"));
    let listeners = proxy.monitor_page("/json/listeners");
    let listeners: serde_json::Value = serde_json::from_str(&listeners).expect("JSON");
    let own = |row: &&serde_json::Value| row["kind"] == "http proxy" && row["clients"] == 9;
    assert_eq!(
        listeners.as_array().or(listeners["listeners"].as_array()).expect("rows").iter().filter(own).count(),
        1,
        "{listeners}"
    );
    // What was counted is not lost with those who did it.
    drop(there);
    proxy.wait_clients(0);
    assert_eq!(proxy.counter("clients.requests"), 18);
}

#[test]
fn a_reload_holds_for_all_loops_once_it_is_told() {
    let origin = Origin::site();
    let proxy = Proxy::start_with(&[("daemon.threads", "4")], "[acl]\nclients = 127.0.0.1\n");
    let mut there = clients(&proxy, &origin, 16);
    for (clients, status) in [("192.0.2.0/24", 403), ("127.0.0.0/8", 200)] {
        let before = proxy.log().matches("configuration reloaded").count();
        std::fs::write(proxy.file(), format!("[acl]\nclients = {clients}\n")).expect("an ini file");
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log_times("configuration reloaded", before + 1);
        for client in &mut there {
            assert_eq!(client.get(&origin.url("/")).status(), status, "{clients}");
        }
        there = (0..16).map(|_| proxy.client()).collect();
    }
    // One that cannot be obeyed changes none.
    std::fs::write(proxy.file(), "[acl]\nclients = nonsense\n").expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("the configuration stays as it was");
    there.iter_mut().for_each(|client| assert_eq!(client.get(&origin.url("/")).status(), 200));
}

#[test]
fn files_that_change_are_read_once_and_hold_in_all_loops() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("list");
    std::fs::write(&list, "other.test\n").expect("a list");
    let (proxy, origin) = (proxy("3", &[("acl.blocklist", list.to_str().expect("UTF-8"))]), Origin::site());
    let mut there = clients(&proxy, &origin, 6);
    std::fs::write(&list, "127.0.0.0/8\n").expect("a list");
    eventually("the list in force everywhere", || {
        there.iter_mut().all(|client| client.get(&origin.url("/")).status() == 403).then_some(())
    });
    proxy.wait_log("lists have changed");
    assert_eq!((proxy.log().matches("lists have changed").count(), proxy.counter("lists.loaded")), (1, 1));
    assert!(proxy.counter("lists.blocked") >= 6);
}

#[test]
fn a_soft_stop_waits_for_the_clients_of_all_loops() {
    let (mut proxy, origin) = (proxy("2", &[]), Origin::site());
    let mut there = clients(&proxy, &origin, 4);
    proxy.signal(Signal::SIGQUIT);
    eventually("no listener", || Client::try_connect(proxy.address()).is_none().then_some(()));
    while let Some(mut last) = there.pop() {
        assert!(proxy.alive());
        assert_eq!(last.get(&origin.url("/last")).text(), "/last", "full service");
    }
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn an_end_is_the_end_of_all_loops() {
    let (mut proxy, origin) = (proxy("3", &[]), Origin::site());
    let mut there = clients(&proxy, &origin, 6);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    there.iter_mut().for_each(Client::expect_end);
}

#[test]
fn listening_stops_and_begins_again_for_all_loops() {
    let (proxy, origin) = (proxy("2", &[]), Origin::site());
    proxy.signal(Signal::SIGTTOU);
    eventually("no listener", || Client::try_connect(proxy.address()).is_none().then_some(()));
    proxy.signal(Signal::SIGTTIN);
    eventually("a listener", || Client::try_connect(proxy.address()));
    clients(&proxy, &origin, 4);
}

#[test]
fn clients_at_a_path_are_spread_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let (proxy, origin) = (proxy("2", &[("unix.path", path.to_str().expect("UTF-8"))]), Origin::site());
    let mut there: Vec<Client> = (0..8).map(|_| Client::connect_path(&path)).collect();
    there.iter_mut().for_each(|client| assert_eq!(client.get(&origin.url("/here")).text(), "/here"));
    assert_eq!(spread(&proxy).into_values().collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn tunnels_and_much_content_pass_in_every_loop() {
    let (proxy, echo) = (proxy("2", &[]), Origin::echo());
    let mut tunnels: Vec<Client> = (0..6).map(|_| proxy.client()).collect();
    let bytes = crate::support::pattern(1 << 20, 7);
    for tunnel in &mut tunnels {
        tunnel.tunnel(&echo.address().to_string());
    }
    std::thread::scope(|scope| {
        for tunnel in &mut tunnels {
            let bytes = &bytes;
            scope.spawn(move || {
                for piece in bytes.chunks(64 << 10) {
                    tunnel.send(piece);
                    assert_eq!(tunnel.read(piece.len()), piece);
                }
            });
        }
    });
    assert_eq!(proxy.counter("clients.tunnels"), 6);
}

#[test]
fn what_is_no_number_of_loops_stops_the_start() {
    for value in ["0", "65", "two", "-1", ""] {
        let ended = Proxy::run(&[], &[("daemon.threads", value)]);
        assert_ne!(ended.code, Some(0), "{value}");
        assert!(ended.stderr.contains("daemon.threads"), "{value}: {}", ended.stderr);
    }
    let (proxy, origin) = (proxy("auto", &[]), Origin::site());
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/auto")));
    assert_eq!(client.reply().text(), "/auto");
}

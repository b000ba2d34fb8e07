//! What each signal does, and what reading the configuration again changes and does not.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use crate::support::{client, eventually, pattern, ports, skip, superuser, Client, Origin, Proxy};

/// Waits until the proxy takes no connection any more.
fn wait_shut(proxy: &Proxy) {
    eventually("the listener to close", || TcpStream::connect(proxy.address()).is_err().then_some(()));
}

/// Waits until the proxy takes connections again.
fn wait_open(proxy: &Proxy) {
    eventually("the listener to open", || TcpStream::connect(proxy.address()).is_ok().then_some(()));
}

#[test]
fn term_and_int_stop_at_once() {
    for (signal, name) in [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT")] {
        let mut proxy = Proxy::start(&[]);
        let origin = Origin::echo();
        let mut client = proxy.client();
        client.tunnel(&origin.address().to_string());
        proxy.signal(signal);
        assert_eq!(proxy.wait_exit().code(), Some(0), "{signal}");
        client.expect_end();
        origin.wait_ended(1);
        assert!(TcpStream::connect(proxy.address()).is_err());
        proxy.wait_log(name);
    }
}

#[test]
fn quit_ends_when_the_last_client_has_gone() {
    let mut proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/before")).text(), "/before");
    let mut tunnel = proxy.client();
    tunnel.tunnel(&origin.address().to_string());
    proxy.signal(Signal::SIGQUIT);
    wait_shut(&proxy);
    tunnel.send("GET /inside HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(tunnel.reply().text(), "/inside");
    assert!(proxy.alive());
    drop(client);
    drop(tunnel);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn quit_lets_a_download_finish() {
    let body = pattern(30 << 20, 1);
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    let origin = Origin::fixed(answer);
    let mut proxy = Proxy::start(&[]);
    let mut client = Client::connect_small(proxy.address());
    client.send(client::get(&origin.url("/")));
    client.wire().fill().expect("the answer begins");
    proxy.signal(Signal::SIGQUIT);
    wait_shut(&proxy);
    assert!(client.reply().body == body);
    drop(client);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_second_quit_stops_at_once() {
    let mut proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    proxy.signal(Signal::SIGQUIT);
    wait_shut(&proxy);
    assert!(proxy.alive());
    proxy.signal(Signal::SIGQUIT);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    client.expect_end();
}

/// A balancer looks at /health every few seconds: until it has, its clients are served.
#[test]
fn a_soft_stop_may_go_on_accepting_until_balancers_know() {
    let mut proxy = Proxy::start(&[("daemon.drain-delay", "3"), ("daemon.drain-timeout", "1")]);
    let origin = Origin::echo();
    proxy.signal(Signal::SIGQUIT);
    proxy.wait_log("clients are accepted for 3 s more (daemon.drain-delay)");
    assert!(proxy.monitor_page("/health").contains("draining"));
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    // No client was there, and it has not ended for that.
    wait_shut(&proxy);
    assert!(proxy.alive());
    // The time for clients is counted from then on.
    client.expect_end();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// An ordinary end would be the end of such a body.
#[test]
fn a_stop_resets_a_client_whose_body_ends_with_the_connection() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut proxy = Proxy::start(&[]);
        let origin = Origin::start(|peer| {
            peer.until(b"\r\n\r\n")?;
            peer.send("HTTP/1.1 200 OK\r\n\r\nhalf")?;
            peer.hold()
        });
        let mut client = proxy.client();
        client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/")));
        client.wire().until(b"half").expect("the response begins");
        proxy.signal(signal);
        assert_eq!(proxy.wait_exit().code(), Some(0));
        client.expect_reset();
    }
}

#[test]
fn clients_of_the_monitor_do_not_hold_a_soft_stop_up() {
    let mut proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    proxy.signal(Signal::SIGQUIT);
    wait_shut(&proxy);
    let mut monitor = Client::connect(proxy.web());
    monitor.send("GET /json/running HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(monitor.reply().status(), 200);
    drop(client);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    monitor.expect_end();
}

#[test]
fn row_56_a_soft_stop_can_have_an_end() {
    let mut proxy = Proxy::start(&[("daemon.drain-timeout", "1")]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    proxy.signal(Signal::SIGQUIT);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    client.expect_end();
}

#[test]
fn ttou_closes_the_listeners_and_ttin_opens_them() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut inside = proxy.client();
    assert_eq!(inside.get(&origin.url("/1")).text(), "/1");
    for round in 0..3 {
        proxy.signal(Signal::SIGTTOU);
        wait_shut(&proxy);
        assert_eq!(inside.get(&origin.url("/2")).text(), "/2", "round {round}");
        proxy.counters();
        proxy.signal(Signal::SIGTTIN);
        wait_open(&proxy);
        for _ in 0..20 {
            assert_eq!(proxy.client().get(&origin.url("/3")).text(), "/3", "round {round}");
        }
    }
}

#[test]
fn ttin_does_not_undo_a_soft_stop() {
    let mut proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    proxy.signal(Signal::SIGQUIT);
    wait_shut(&proxy);
    proxy.signal(Signal::SIGTTIN);
    client.send("x");
    client.read(1);
    proxy.wait_log("TTIN");
    assert!(TcpStream::connect(proxy.address()).is_err(), "it listens again");
    drop(client);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn trap_turns_debug_messages_on_and_off() {
    let proxy = Proxy::start(&[("log.level", "ERROR")]);
    let origin = Origin::site();
    let lines = || proxy.log().lines().count();
    proxy.signal(Signal::SIGTRAP);
    proxy.wait_log_times("TRAP", 1);
    let before = lines();
    let more = || {
        proxy.client().get(&origin.url("/"));
        (lines() > before).then_some(())
    };
    eventually("debug messages", more);
    proxy.signal(Signal::SIGTRAP);
    proxy.wait_log_times("TRAP", 2);
    let quiet = || {
        let before = lines();
        proxy.client().get(&origin.url("/"));
        proxy.client().get(&origin.url("/"));
        (lines() == before).then_some(())
    };
    eventually("no more debug messages", quiet);
}

#[test]
fn a_reload_leaves_the_listeners_shut_that_ttou_closed() {
    let proxy = Proxy::start(&[]);
    proxy.signal(Signal::SIGTTOU);
    wait_shut(&proxy);
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    proxy.counters();
    assert!(TcpStream::connect(proxy.address()).is_err(), "the reload has opened it again");
    proxy.signal(Signal::SIGTTIN);
    wait_open(&proxy);
    proxy.assert_serves();
}

#[test]
fn hup_and_trap_at_once_are_both_acted_upon() {
    let proxy = Proxy::start(&[]);
    // Stopped, it finds both of them when it goes on.
    for signal in [Signal::SIGSTOP, Signal::SIGTRAP, Signal::SIGHUP, Signal::SIGCONT] {
        proxy.signal(signal);
    }
    proxy.wait_log("configuration reloaded");
    proxy.wait_log("log level is now DEBUG");
}

#[test]
fn signals_without_a_meaning_here_do_no_harm() {
    let proxy = Proxy::start(&[]);
    for signal in [Signal::SIGPIPE, Signal::SIGUSR1, Signal::SIGUSR2] {
        for _ in 0..3 {
            proxy.signal(signal);
        }
        proxy.assert_serves();
    }
}

/// Replaces the ini file, sends HUP and waits for one more message about it.
fn reload(proxy: &Proxy, ini: &str) {
    let before = proxy.log().matches("HUP").count();
    std::fs::write(proxy.file(), ini).expect("an ini file in the temporary folder");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times("HUP", before + 1);
}

/// The same, and waits until it has been refused.
fn refused(proxy: &Proxy, ini: &str) {
    let told = "the configuration stays as it was: ";
    let before = proxy.log().matches(told).count();
    reload(proxy, ini);
    proxy.wait_log_times(told, before + 1);
}

/// Status of a request with a field of this length.
fn with_field(proxy: &Proxy, origin: &Origin, length: usize) -> u16 {
    let mut client = proxy.client();
    client.try_send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-A: {}\r\n\r\n", origin.url("/"), "f".repeat(length)));
    client.reply().status()
}

#[test]
fn hup_puts_changed_options_into_effect() {
    let proxy = Proxy::start_with(&[], "[http]\nheader-size = 2000\n");
    let origin = Origin::site();
    assert_eq!(with_field(&proxy, &origin, 5000), 431);
    reload(&proxy, "[http]\nheader-size = 20000\n[security]\ndeny = 127.0.0.9/32\n");
    let changed = || (with_field(&proxy, &origin, 5000) == 200).then_some(());
    eventually("the new limit", changed);
    let denied = proxy.client().get("http://127.0.0.9:1/").status();
    assert_eq!(denied, 403);
}

#[test]
fn row_57_a_typo_keeps_what_runs() {
    let proxy = Proxy::start_with(&[], "[http]\nheader-size = 2000\n");
    let origin = Origin::site();
    let broken = [
        "[http]\nheader-size = 20000\nidle-connect = soon\n",
        "[http\nheader-size = 20000\n",
        "[http]\nheader-size = 20000\nno value here\n",
        "[http]\nheader-size = 20000\n[icap]\nenable = perhaps\n",
    ];
    for ini in broken {
        refused(&proxy, ini);
        assert_eq!(with_field(&proxy, &origin, 5000), 431, "{ini:?} took effect in part");
        assert_eq!(with_field(&proxy, &origin, 50), 200);
    }
    std::fs::remove_file(proxy.file()).expect("the ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times("the configuration stays as it was: ", broken.len() + 1);
    assert_eq!(with_field(&proxy, &origin, 5000), 431);
    reload(&proxy, "[http]\nheader-size = 20000\n");
    eventually("the new limit", || (with_field(&proxy, &origin, 5000) == 200).then_some(()));
}

#[test]
fn hup_loses_no_connection() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut tunnel = proxy.client();
    tunnel.tunnel(&origin.address().to_string());
    let mut kept = proxy.client();
    assert_eq!(kept.get(&origin.url("/0")).text(), "/0");
    for round in 0..10 {
        reload(&proxy, &format!("[http]\nidle-connect = {}\n", 100 + round));
        for _ in 0..5 {
            assert_eq!(proxy.client().get(&origin.url("/new")).text(), "/new");
        }
        assert_eq!(kept.get(&origin.url("/kept")).text(), "/kept");
        tunnel.send("GET /inside HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(tunnel.reply().text(), "/inside");
    }
}

#[test]
fn hup_moves_a_listener_whose_address_changed() {
    let proxy = Proxy::launch(&[], "", |command| unset(command, "tcp4.port"));
    // The start gave the port by environment, which `unset` moved into the file.
    let origin = Origin::site();
    let port = ports::next();
    let mut kept = proxy.client();
    assert_eq!(kept.get(&origin.url("/0")).text(), "/0");
    reload(&proxy, &format!("[tcp4]\nport = {port}\n"));
    let mut moved = None;
    eventually("the new listener", || {
        moved = TcpStream::connect(("127.0.0.1", port)).ok();
        moved.is_some().then_some(())
    });
    wait_shut(&proxy);
    assert_eq!(kept.get(&origin.url("/kept")).text(), "/kept");
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.get(&origin.url("/moved")).text(), "/moved");
}

#[test]
fn hup_opens_and_closes_single_listeners() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let six = std::net::SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], proxy.port()));
    assert!(TcpStream::connect(six).is_err());
    reload(&proxy, "[tcp6]\nlisten = true\n");
    eventually("the IPv6 listener", || TcpStream::connect(six).is_ok().then_some(()));
    let mut client = Client::connect(six);
    assert_eq!(client.get(&origin.url("/six")).text(), "/six");
    reload(&proxy, "[tcp6]\nlisten = false\n");
    eventually("the IPv6 listener to close", || TcpStream::connect(six).is_err().then_some(()));
    assert_eq!(client.get(&origin.url("/still")).text(), "/still");
    assert_eq!(proxy.client().get(&origin.url("/four")).text(), "/four");
}

#[test]
fn hup_while_bytes_move_loses_none() {
    let proxy = Proxy::start(&[]);
    let body = pattern(20 << 20, 4);
    let origin = Origin::fixed([b"HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n", body.as_slice()].concat());
    let mut client = Client::connect_small(proxy.address());
    client.send(client::get(&origin.url("/")));
    client.wire().until(b"\r\n\r\n").expect("a head");
    let mut seen = Vec::new();
    for round in 0..10 {
        reload(&proxy, &format!("[http]\npool = {round}\n"));
        seen.extend(client.read(1 << 20));
    }
    seen.extend(client.read(body.len() - seen.len()));
    assert!(seen == body);
}

#[test]
fn hup_with_a_port_that_is_taken_keeps_what_runs() {
    let proxy = Proxy::launch(&[], "", |command| unset(command, "tcp4.port"));
    let taken = crate::support::Refusing::new();
    refused(&proxy, &format!("[tcp4]\nport = {}\n", taken.address().port()));
    proxy.assert_serves();
}

/// Moves an option from the environment of a command into its ini file, where a reload can change it.
fn unset(mut command: std::process::Command, key: &str) -> std::process::Command {
    let name = crate::support::proxy::variable(key);
    let file = command.get_args().last().map(std::path::PathBuf::from).expect("the ini file is the last argument");
    let value = command.get_envs().find(|(known, _)| *known == name.as_str()).and_then(|(_, value)| value);
    let value = value.and_then(|value| value.to_str()).expect("a value of text").to_owned();
    let (section, key) = key.split_once('.').expect("a section and a key");
    std::fs::write(file, format!("[{section}]\n{key} = {value}\n")).expect("an ini file in the temporary folder");
    command.env_remove(name);
    command
}

#[test]
fn a_reload_tells_what_it_does_not_take_over() {
    let proxy = Proxy::start_with(&[], "");
    let pidfile = proxy.folder().join("pid");
    reload(&proxy, &format!("[daemon]\npidfile = {}\n", pidfile.display()));
    proxy.wait_log("daemon.pidfile stays as it was until the next start");
    assert!(!pidfile.exists());
    reload(&proxy, "");
    proxy.wait_log_times("configuration reloaded", 2);
    assert_eq!(proxy.log().matches("stays as it was until").count(), 1);
}

#[test]
fn row_55_a_reload_after_privileges_were_dropped_keeps_serving() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let mut proxy = Proxy::start_with(&[("daemon.user", "nobody")], "[http]\nheader-size = 2000\n");
    let origin = Origin::site();
    // Only the superuser may read the file, as is usual for a file with secrets.
    std::fs::set_permissions(proxy.folder(), std::fs::Permissions::from_mode(0o700)).expect("our own folder");
    reload(&proxy, "[http]\nheader-size = 20000\n");
    std::fs::set_permissions(proxy.file(), std::fs::Permissions::from_mode(0o600)).expect("our own file");
    let seen = proxy.log().lines().count();
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times("HUP", 2);
    assert!(proxy.alive());
    assert_eq!(with_field(&proxy, &origin, 50), 200);
    eventually("a message about the reload", || (proxy.log().lines().count() > seen).then_some(()));
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

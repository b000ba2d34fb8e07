//! Listeners that are not as usual when the next version takes over: shut, those of a supervisor, changed meanwhile, or of foreign addresses.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

use super::{upgrade, Installed};
use crate::supervised::with_sockets;
use crate::support::proxy::called;
use crate::support::{client, eventually, ports, superuser, Client, Origin, Proxy};

#[test]
fn listeners_that_are_shut_stay_shut() {
    let installed = Installed::new();
    let proxy = installed.start(&[]);
    let origin = Origin::site();
    proxy.signal(Signal::SIGTTOU);
    proxy.wait_log("stops listening");
    for time in 1..=2 {
        upgrade(&proxy, time);
        eventually("the monitor of the next version", || (proxy.counter("clients.speaking") == 0).then_some(()));
        assert!(Client::try_connect(proxy.address()).is_none(), "it is shut");
        assert!(proxy.monitor_page("/health").contains("not listening"));
    }
    proxy.signal(Signal::SIGTTIN);
    let mut client = eventually("a listener", || Client::try_connect(proxy.address()));
    assert_eq!(client.get(&origin.url("/again")).text(), "/again");
}

/// A new socket could not be had at its place while the supervisor has it.
#[test]
fn a_socket_of_the_supervisor_goes_from_version_to_version() {
    let installed = Installed::new();
    let port = ports::next();
    let socket = [OwnedFd::from(TcpListener::bind(("127.0.0.1", port)).expect("a free port"))];
    let text = port.to_string();
    let mut proxy = Proxy::launch(&[("tcp4.port", &text)], "", |command| {
        with_sockets(&called(&command, &installed.path()), &socket)
    });
    let origin = Origin::site();
    upgrade(&proxy, 1);
    assert_eq!(proxy.client().get(&origin.url("/one")).text(), "/one");
    proxy.signal(Signal::SIGTTOU);
    proxy.wait_log("stops listening");
    let mut late = Client::connect(proxy.address());
    late.send(client::get(&origin.url("/late")));
    upgrade(&proxy, 2);
    proxy.signal(Signal::SIGTTIN);
    assert_eq!(late.reply().text(), "/late");
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    drop(Client::connect(([127, 0, 0, 1], port).into()));
}

#[test]
fn a_trial_that_a_reload_has_disturbed_is_made_again() {
    let installed = Installed::new();
    let proxy = installed.start(&[]);
    let go = installed.path().with_file_name("go");
    installed.replace_trial(&format!("while [ ! -e {} ]; do sleep 0.05; done", go.display()));
    proxy.signal(Signal::SIGALRM);
    proxy.wait_log(" is tried");
    let path = installed.path().with_file_name("socket");
    std::fs::write(proxy.file(), format!("[unix]\npath = {}\n", path.display())).expect("the file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    std::fs::write(&go, "").expect("a file");
    proxy.wait_log("listeners have changed meanwhile, it is tried again");
    proxy.wait_log("the next version has taken over");
    proxy.wait_log_times("Starting exaproxy", 2);
    let origin = Origin::site();
    assert_eq!(Client::connect_path(&path).get(&origin.url("/unix")).text(), "/unix");
    proxy.assert_serves();
}

/// It is accepted already, so that the next version does not find it at its listeners.
#[test]
fn who_waits_for_a_place_is_let_in() {
    let installed = Installed::new();
    let proxy = installed.start(&[("http.connections", "2")]);
    let echo = Origin::echo();
    let at = echo.address().to_string();
    let mut held = [proxy.client(), proxy.client()];
    held.iter_mut().for_each(|client| client.tunnel(&at));
    let mut waiting = [proxy.client(), proxy.client()];
    eventually("connections that are accepted", || {
        let page = proxy.monitor_page("/json/listeners");
        let rows: serde_json::Value = serde_json::from_str(&page).expect("JSON");
        let accepted = |row: &serde_json::Value| row["kind"] == "http proxy" && row["accepted"] == 4;
        rows.as_array().expect("a list").iter().any(accepted).then_some(())
    });
    upgrade(&proxy, 1);
    for client in &mut waiting {
        client.tunnel(&at);
        client.send("inside");
        assert_eq!(client.read(6), b"inside");
    }
}

/// A process that was root has kept one capability for that, which no other program gets.
#[cfg(target_os = "linux")]
#[test]
fn foreign_addresses_can_be_used_after_an_upgrade() {
    if !superuser() {
        return;
    }
    // An account that is not root's has to find the program.
    let installed = Installed::new();
    use std::os::unix::fs::PermissionsExt;
    let folder = installed.path().parent().expect("a folder").to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("our own folder");
    let program = folder.join("copy");
    std::fs::copy(env!("CARGO_BIN_EXE_exaproxy"), &program).expect("room for a copy");
    let options = [("intercept.mode", "tproxy"), ("intercept.enable", "true"), ("daemon.user", "nobody")];
    let port = ports::next().to_string();
    let options: Vec<_> = options.into_iter().chain([("intercept.port", port.as_str())]).collect();
    let proxy = Proxy::launch(&options, "", |mut command| {
        std::fs::set_permissions(proxy_folder(&mut command), std::fs::Permissions::from_mode(0o755))
            .expect("our own folder");
        called(&command, &program)
    });
    let capabilities = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("a living process");
        ["CapEff", "CapAmb", "CapInh"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of this name");
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a number")
        })
    };
    let before = capabilities();
    assert_eq!((before[0].count_ones(), before[1], before[2]), (1, 0, 0));
    for time in 1..=2 {
        upgrade(&proxy, time);
        eventually("the same capability", || (capabilities() == before).then_some(()));
        proxy.assert_serves();
    }
}

/// The folder of the file that a command is told to read.
fn proxy_folder(command: &mut std::process::Command) -> std::path::PathBuf {
    let words: Vec<_> = command.get_args().collect();
    let at = words.iter().position(|word| *word == "-c").expect("a file");
    std::path::Path::new(words[at + 1]).parent().expect("its folder").to_owned()
}

//! The files of Unix sockets: how they are made, what is replaced, when they go, and to whom they belong.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use nix::sys::signal::Signal;

use super::{listens, Place};
use crate::support::{eventually, skip, superuser, Client, Origin, Proxy};

fn mode(place: &Place) -> u32 {
    fs::metadata(&place.path).expect("the file of the socket").permissions().mode() & 0o7777
}

fn ended(proxy: &mut Proxy, signal: Signal) {
    proxy.signal(signal);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn the_file_has_its_permissions_and_goes_at_the_end() {
    let place = Place::new();
    for (options, wanted) in [(&[][..], 0o660), (&[("unix.mode", "0606")][..], 0o606)] {
        for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
            let mut proxy = place.proxy(options);
            assert_eq!(mode(&place), wanted);
            ended(&mut proxy, signal);
            assert!(!place.path.exists(), "{signal}");
        }
    }
}

#[test]
fn a_soft_stop_gives_the_path_to_the_next_one_at_once() {
    let (place, site) = (Place::new(), Origin::site());
    let mut old = place.proxy(&[]);
    let mut kept = place.client();
    assert_eq!(kept.get(&site.url("/")).status(), 200);
    old.signal(Signal::SIGQUIT);
    eventually("the file to go", || (!place.path.exists()).then_some(()));
    let new = place.proxy(&[]);
    assert_eq!(kept.get(&site.url("/kept")).text(), "/kept");
    drop(kept);
    assert_eq!(old.wait_exit().code(), Some(0));
    assert!(listens(&place.path), "the end of the old one left the file of the new one alone");
    drop(new);
}

#[test]
fn what_is_left_of_a_killed_one_is_replaced() {
    let (place, site) = (Place::new(), Origin::site());
    drop(place.proxy(&[]));
    assert!(place.path.exists() && !listens(&place.path), "it was killed");
    let _proxy = place.proxy(&[]);
    assert_eq!(place.client().get(&site.url("/")).status(), 200);
}

#[test]
fn what_belongs_to_others_stops_the_start() {
    let place = Place::new();
    let start = |what: &str| {
        let user = if superuser() { "root" } else { "nobody" };
        let options =
            [("unix.path", place.text()), ("tcp4.listen", "false"), ("web.enable", "false"), ("daemon.user", user)];
        let ended = Proxy::run(&[], &options);
        let wanted = format!("http proxy unable to listen on {}: ", place.text());
        assert!(ended.code == Some(1) && ended.stderr.contains(&wanted), "{what}: {}", ended.stderr);
        ended.stderr
    };
    let other = UnixListener::bind(&place.path).expect("another program's socket");
    assert!(start("a socket").contains("another program listens there"));
    assert!(listens(&place.path));
    drop(other);
    fs::remove_file(&place.path).expect("the socket");
    fs::write(&place.path, "text").expect("a file");
    assert!(start("a file").contains("no socket"));
    assert_eq!(fs::read(&place.path).expect("the file"), b"text");
    fs::remove_file(&place.path).expect("the file");
    std::os::unix::fs::symlink("/nowhere/at/all", &place.path).expect("a link");
    start("a link");
    assert!(fs::symlink_metadata(&place.path).expect("the link").file_type().is_symlink());
}

#[test]
fn options_that_cannot_be_obeyed_stop_the_start() {
    let place = Place::new();
    let long = format!("/{}", "p".repeat(107));
    for (option, value, part) in [
        ("unix.path", long.as_str(), "a path of at most 107 bytes"),
        ("unix.mode", "rw", "permissions in octal"),
        ("unix.owner", "ann:", "user, user:group or :group"),
        ("unix.owner", "no-such-account-here", "user no-such-account-here is not found on this system"),
        ("web.path", place.text(), "another address than"),
        ("web.listen", "false", "true, or a Unix socket in web.path"),
    ] {
        for arguments in [&[][..], &["--check"]] {
            let ended = Proxy::run(arguments, &[("unix.path", place.text()), ("web.enable", "true"), (option, value)]);
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(ended.code == Some(1) && said.contains(part), "{option}={value} {arguments:?}: {said}");
        }
    }
}

fn reload(proxy: &Proxy, ini: &str) {
    let times = proxy.log().matches("configuration reloaded").count();
    fs::write(proxy.file(), ini).expect("the ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times("configuration reloaded", times + 1);
}

#[test]
fn hup_opens_closes_and_changes_it() {
    let (place, site) = (Place::new(), Origin::site());
    let proxy = Proxy::start(&[]);
    let ini = |mode: &str| format!("[unix]\npath = {}\nmode = {mode}\n", place.text());
    reload(&proxy, &ini("600"));
    assert_eq!(mode(&place), 0o600);
    let mut kept = place.client();
    assert_eq!(kept.get(&site.url("/1")).text(), "/1");
    reload(&proxy, &ini("666"));
    assert_eq!((mode(&place), kept.get(&site.url("/2")).text()), (0o666, "/2".into()));
    reload(&proxy, "");
    assert!(!place.path.exists());
    assert_eq!(kept.get(&site.url("/3")).text(), "/3", "who is in stays in");
    fs::write(&place.path, "text").expect("a file");
    fs::write(proxy.file(), ini("600")).expect("the ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("the configuration stays as it was");
    assert_eq!(proxy.client().get(&site.url("/4")).text(), "/4");
}

#[test]
fn listening_stops_and_goes_on() {
    let (place, site) = (Place::new(), Origin::site());
    let proxy = place.proxy(&[]);
    proxy.signal(Signal::SIGTTOU);
    eventually("the file to go", || (!place.path.exists()).then_some(()));
    proxy.signal(Signal::SIGTTIN);
    eventually("the socket", || listens(&place.path).then_some(()));
    assert_eq!(place.client().get(&site.url("/")).status(), 200);
}

#[test]
fn the_monitor_answers_by_a_socket_too() {
    let place = Place::new();
    let own = super::own();
    for (clients, status) in [("", 200), ("127.0.0.0/8", 403), (own.as_str(), 200)] {
        let options = [("web.path", place.text()), ("unix.mode", "600"), ("web.clients", clients)];
        let mut proxy = Proxy::start(&[("web.enable", "false")]);
        assert!(proxy.alive());
        // A proxy that the tests ask for its numbers has to let them.
        let clients = if clients == own { format!("{clients} 127.0.0.1") } else { clients.to_owned() };
        let options = options.map(|(key, value)| (key, if key == "web.clients" { clients.as_str() } else { value }));
        proxy = Proxy::start(&options);
        assert_eq!(mode(&place), 0o600);
        let mut client = Client::connect_path(&place.path);
        client.send("GET /json/running HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let reply = client.reply();
        assert_eq!(reply.status(), status, "{clients}: {reply:?}");
        ended(&mut proxy, Signal::SIGTERM);
        assert!(!place.path.exists());
    }
}

#[test]
fn the_monitor_may_be_at_its_socket_alone() {
    let place = Place::new();
    let proxy = Proxy::start(&[("web.path", place.text()), ("web.listen", "false"), ("unix.mode", "600")]);
    proxy.wait_log(&format!("web server listening on {}", place.text()));
    let mut client = Client::connect_path(&place.path);
    client.send("GET /json/listeners HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let listeners = client.reply().text();
    assert_eq!(listeners.matches("\"kind\": \"web server\"").count(), 1, "{listeners}");
}

#[test]
fn it_is_made_by_root_for_the_account_that_the_proxy_becomes() {
    if !superuser() {
        return skip("giving files away needs the superuser");
    }
    let (place, site) = (Place::new(), Origin::site());
    let nobody = nix::unistd::User::from_name("nobody").expect("a list of accounts").expect("nobody");
    let ids = |place: &Place| fs::metadata(&place.path).map(|found| (found.uid(), found.gid())).expect("the socket");
    // In a folder that is root's alone it is opened all the same, and left behind, which is told at the start.
    let mut proxy = place.proxy(&[("daemon.user", "nobody")]);
    assert_eq!(ids(&place), (nobody.uid.as_raw(), nobody.gid.as_raw()));
    proxy.wait_log(&format!("will not be able to remove {}", place.text()));
    assert_eq!(place.client().get(&site.url("/")).status(), 200);
    ended(&mut proxy, Signal::SIGTERM);
    assert!(place.path.exists() && !listens(&place.path));
    nix::unistd::chown(place.folder.path(), Some(nobody.uid), None).expect("root may");
    let mut proxy = place.proxy(&[("daemon.user", "nobody"), ("unix.owner", "0:12345")]);
    assert_eq!(ids(&place), (0, 12_345));
    assert!(!proxy.log().contains("will not be able to remove"), "{}", proxy.log());
    ended(&mut proxy, Signal::SIGTERM);
    assert!(!place.path.exists());
}

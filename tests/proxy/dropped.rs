//! What still works after privileges were dropped: reading the configuration again, the log, listeners on ports that
//! only root may open. Started as another user there is nothing to drop, so most of this needs the superuser.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{chown, PermissionsExt};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::{eventually, skip, superuser, Client, Origin, Proxy};

/// The words of the warnings at the start.
const NO_RELOAD: &str = "will not be able to reload";
const NO_ROTATION: &str = "will not be able to rotate";

fn may(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
}

fn give_away(path: &Path) {
    let nobody = nix::unistd::User::from_name("nobody").expect("accounts can be read").expect("nobody exists");
    chown(path, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("the superuser gives files away");
}

/// A folder that every account may look into.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    may(folder.path(), 0o755);
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// A proxy that was started as root, runs as the account of `daemon.user`, and may look into the folder of its ini file.
fn dropped(options: &[(&str, &str)], ini: &str) -> Proxy {
    dropped_with(options, ini, 0o755)
}

/// The same with these permissions on that folder.
fn dropped_with(options: &[(&str, &str)], ini: &str, mode: u32) -> Proxy {
    let all: Vec<_> = [("daemon.user", "nobody")].iter().chain(options).copied().collect();
    Proxy::launch(&all, ini, |command| {
        let file = command.get_args().last().map(Path::new).expect("the ini file is the last argument");
        may(file.parent().expect("its folder"), mode);
        command
    })
}

/// Asks for a reload and waits until the log tells its outcome for the `time`th time.
fn reload(proxy: &Proxy, outcome: &str, time: usize) {
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times(outcome, time);
}

const KEPT: &str = "the configuration stays as it was: ";
const TAKEN: &str = "configuration reloaded";

#[test]
fn row_55_what_can_be_read_is_reloaded_without_a_warning() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let proxy = dropped(&[], "[http]\nheader-size = 2000\n");
    for time in 1..4 {
        reload(&proxy, TAKEN, time);
    }
    assert!(!proxy.log().contains(NO_RELOAD), "{}", proxy.log());
    proxy.assert_serves();
}

#[test]
fn row_55_a_file_that_only_root_reads_is_named_at_the_start_and_at_each_reload() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let proxy = dropped_with(&[], "[http]\nextensions = REPORT\n", 0o700);
    let file = proxy.file();
    let warning = proxy.wait_line(NO_RELOAD);
    assert!(warning.contains("nobody") && warning.contains(text(&file)), "{warning}");
    for time in 1..3 {
        reload(&proxy, KEPT, time);
        let origin = Origin::site();
        let mut client = proxy.client();
        client.send(format!("REPORT {} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", origin.url("/kept")));
        assert_eq!(client.reply().text(), "/kept", "the old options are gone");
    }
    let why = proxy.wait_line(KEPT);
    assert!(why.contains(text(&file)) && why.contains("ermission denied"), "{why}");
    may(proxy.folder(), 0o755);
    reload(&proxy, TAKEN, 1);
}

#[test]
fn row_55_other_files_that_only_root_reads_keep_what_runs() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let (pages, hosts, servers) =
        (folder.path().join("pages"), folder.path().join("hosts"), folder.path().join("conf"));
    std::fs::create_dir(&pages).expect("a folder in our own");
    std::fs::write(pages.join("dns.html"), "our own page").expect("a page");
    std::fs::write(&hosts, "127.0.0.1 known.example\n").expect("a hosts file");
    std::fs::write(&servers, "nameserver 127.0.0.1\n").expect("a resolver file");
    let options = [("web.html", text(&pages)), ("dns.hosts", text(&hosts)), ("dns.resolver", text(&servers))];
    let page = pages.join("dns.html");
    // The last row hides the folder itself, which must not be mistaken for one that does not exist.
    for (hidden, named) in [(&page, &page), (&pages, &pages), (&hosts, &hosts), (&servers, &servers)] {
        may(hidden, 0o600);
        let proxy = dropped(&options, "");
        let warning = proxy.wait_line(NO_RELOAD);
        assert!(warning.contains(text(named)), "{warning}");
        reload(&proxy, KEPT, 1);
        assert_eq!(proxy.client().get("http://nodot/").text(), "our own page", "{}", hidden.display());
        let origin = Origin::site();
        let mut client = proxy.client();
        client.send(format!("GET http://known.example:{}/h HTTP/1.1\r\nHost: h\r\n\r\n", origin.port()));
        assert_eq!(client.reply().text(), "/h", "{}", hidden.display());
        may(hidden, 0o755);
        reload(&proxy, TAKEN, 1);
    }
}

#[test]
fn a_folder_of_pages_in_a_hidden_place_is_not_taken_for_none() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let inner = folder.path().join("inner");
    let pages = inner.join("etc/exaproxy/html");
    std::fs::create_dir_all(&pages).expect("folders in our own");
    std::fs::write(pages.join("dns.html"), "our own page").expect("a page");
    may(&inner, 0o700);
    // Left alone, `web.html` means this folder, or the embedded pages where there is none.
    let all = [("daemon.user", "nobody")];
    let proxy = Proxy::launch(&all, "", |mut command| {
        let file = command.get_args().last().map(Path::new).expect("the ini file is the last argument");
        may(file.parent().expect("its folder"), 0o755);
        command.current_dir(&inner);
        command
    });
    assert_eq!(proxy.client().get("http://nodot/").text(), "our own page");
    proxy.wait_log(NO_RELOAD);
    reload(&proxy, KEPT, 1);
    assert_eq!(proxy.client().get("http://nodot/").text(), "our own page");
}

#[test]
fn a_hosts_file_that_becomes_unreadable_stays_in_use() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 known.example\n").expect("a hosts file");
    let proxy = dropped(&[("dns.hosts", text(&hosts))], "");
    std::fs::write(&hosts, "127.0.0.1 known.example other.example\n").expect("a hosts file");
    may(&hosts, 0o600);
    proxy.wait_log("what was read before stays in use");
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("GET http://known.example:{}/h HTTP/1.1\r\nHost: h\r\n\r\n", origin.port()));
    assert_eq!(client.reply().text(), "/h");
}

/// All that was logged to a file and to those that it was rotated to.
fn logged(file: &Path) -> String {
    let old = (1..=5).map(|number| file.with_extension(format!("log.{number}")));
    let all = old.chain([file.to_owned()]);
    all.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
}

#[test]
fn a_log_file_is_written_rotated_and_opened_anew_by_the_account() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    give_away(folder.path());
    let file = folder.path().join("proxy.log");
    let options = [("log.destination", text(&file)), ("log.rotate", "2000"), ("log.level", "DEBUG")];
    let proxy = dropped(&options, "");
    assert!(!proxy.log().contains(NO_ROTATION), "{}", proxy.log());
    eventually("a rotated log", || {
        proxy.assert_serves();
        file.with_extension("log.1").exists().then_some(())
    });
    let moved = folder.path().join("moved.log");
    // The log may be rotating itself at this very moment.
    eventually("the log file to move", || std::fs::rename(&file, &moved).ok());
    proxy.signal(Signal::SIGHUP);
    eventually("the log to go on in a new file", || logged(&file).contains(TAKEN).then_some(()));
}

#[test]
fn row_55_the_log_goes_on_where_the_account_may_not_rotate_it() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let file = folder.path().join("proxy.log");
    std::fs::write(&file, "").expect("a log file");
    give_away(&file);
    let options = [("log.destination", text(&file)), ("log.rotate", "2000")];
    let proxy = dropped(&options, "");
    let warning = proxy.wait_line(NO_ROTATION);
    assert!(warning.contains(text(&file)) && warning.contains("nobody"), "{warning}");
    for round in 1..=20 {
        proxy.signal(Signal::SIGHUP);
        eventually("each reload in the log", || (logged(&file).matches(TAKEN).count() >= round).then_some(()));
    }
    assert!(!file.with_extension("log.1").exists());
}

#[test]
fn every_log_that_cannot_be_rotated_is_told_at_the_start() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let [usage, access] = ["usage.log", "access.log"].map(|name| folder.path().join(name));
    for file in [&usage, &access] {
        std::fs::write(file, "").expect("a log file");
        give_away(file);
    }
    let options = [
        ("usage.enable", "true"),
        ("usage.destination", text(&usage)),
        ("access.enable", "true"),
        ("access.destination", text(&access)),
    ];
    let proxy = dropped(&options, "");
    for file in [&usage, &access] {
        proxy.wait_line(&format!("{NO_ROTATION} a log: {}", file.display()));
    }
}

#[test]
fn a_log_file_that_the_account_may_not_write_stops_the_start() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let file = folder.path().join("proxy.log");
    let options = [
        ("daemon.user", "nobody"),
        ("log.destination", text(&file)),
        ("tcp4.port", &crate::support::ports::next().to_string()),
        ("web.port", &crate::support::ports::next().to_string()),
    ];
    let run = Proxy::run(&[], &options);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    let last = run.stderr.lines().last().unwrap_or_default();
    assert!(last.contains(text(&file)) && last.contains("user nobody"), "{last}");
}

/// A free port below 1024.
fn privileged_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (600..1024).find(free).expect("a free port below 1024")
}

#[test]
fn row_55_a_listener_on_a_privileged_port_stays_open() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let port = privileged_port();
    let proxy = dropped(&[("tcp4.port", &port.to_string())], "[tcp4]\nbacklog = 100\n");
    let origin = Origin::site();
    let mut kept = proxy.client();
    assert_eq!(kept.get(&origin.url("/0")).text(), "/0");
    for (round, backlog) in [100, 200, 50].into_iter().enumerate() {
        let ini = format!("[tcp4]\nbacklog = {backlog}\n[http]\nheader-size = {}\n", 2000 + round);
        std::fs::write(proxy.file(), ini).expect("an ini file in the temporary folder");
        reload(&proxy, TAKEN, round + 1);
        assert_eq!(kept.get(&origin.url("/kept")).text(), "/kept");
        let mut fresh = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(fresh.get(&origin.url("/new")).text(), "/new");
    }
}

#[test]
fn a_reload_that_fails_at_a_listener_leaves_the_log_where_it_was() {
    let folder = open_folder();
    let file = folder.path().join("other.log");
    let proxy = Proxy::start_with(&[], "");
    // An address that this machine does not have: it cannot be listened on.
    let ini = format!("[log]\ndestination = {}\n[tcp6]\nlisten = true\nhost = 2001:db8::1\n", file.display());
    std::fs::write(proxy.file(), ini).expect("an ini file in the temporary folder");
    reload(&proxy, KEPT, 1);
    proxy.assert_serves();
    reload(&proxy, KEPT, 2);
}

#[test]
fn a_users_file_that_only_root_reads_is_named_at_the_start() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let users = folder.path().join("users");
    std::fs::write(&users, "ann:secret\n").expect("a file in the temporary folder");
    may(&users, 0o600);
    let options = [("auth.enable", "true"), ("auth.users", text(&users))];
    let warning = dropped(&options, "").wait_line(NO_RELOAD);
    assert!(warning.contains("nobody") && warning.contains(&format!("auth.users: {}: ", text(&users))), "{warning}");
    may(&users, 0o644);
    let proxy = dropped(&options, "");
    reload(&proxy, TAKEN, 1);
    assert!(!proxy.log().contains(NO_RELOAD), "{}", proxy.log());
}

#[test]
fn folders_that_log_dir_makes_are_the_accounts_own() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let folder = open_folder();
    let logs = folder.path().join("made/deep/logs");
    let proxy = Proxy::launch(&[("daemon.user", "nobody")], "", |mut command| {
        let file = command.get_args().last().map(Path::new).expect("the ini file is the last argument");
        may(file.parent().expect("its folder"), 0o755);
        command.args(["--log-dir", text(&logs)]);
        command
    });
    proxy.assert_serves();
    eventually("a line", || {
        std::fs::read_to_string(logs.join("access.log")).ok().filter(|text| text.contains(" 200 "))
    });
}

//! Faults of running the program: its start, its signals, its logs and its monitor.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::proxy::{command, variable};
use crate::support::{eventually, ports, skip, superuser, Client, Finished, Helpers, Message, Origin, Proxy, PATIENCE};

/// Runs with these variables, named as they are, and an ini file of this text.
fn with(arguments: &[&str], variables: &[(&str, &str)], ini: &str) -> Finished {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("test.conf");
    std::fs::write(&file, ini).expect("an ini file");
    let mut command = command(arguments);
    command.arg("-c").arg(&file).envs(variables.iter().copied());
    Proxy::finish(command)
}

#[test]
fn a8_rules_that_would_not_be_applied_stop_the_start_and_the_check() {
    for (variables, ini, named) in [
        (&[("exaproxy_auth_enable", "true"), ("exaproxy_auth_users", "/etc/users")][..], "", "/etc/users"),
        (&[("exaproxy_acl_bloklist", "/etc/hosts")], "", "acl.bloklist"),
        (&[], "[acl]\nurls = /etc/hosts\n", "acl.urls"),
        (&[("exaproxy_security_dney", "10.0.0.0/8")], "", "security.dney"),
        (&[], "[secruity]\ndeny = 10.0.0.0/8\n", "[secruity]"),
        (&[("EXAPROXY_SECURITY_DENY", "10.0.0.0/8")], "", "small letters"),
    ] {
        let start = with(&[], variables, ini);
        assert_eq!((start.code, start.stderr.lines().count()), (Some(1), 1), "{variables:?}{ini}: {}", start.stderr);
        assert!(start.stderr.contains(named), "{variables:?}{ini}: {}", start.stderr);
        let check = with(&["--check"], variables, ini);
        assert_eq!(check.code, Some(1), "{variables:?}{ini}: {}", check.stdout);
        assert!(check.stderr.contains(named), "{variables:?}{ini}: {}", check.stderr);
    }
}

/// The same command, started by another program: its words come last, behind those of the other.
fn through(command: &Command, program: &str, arguments: &[&str]) -> Command {
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdout(Stdio::piped()).stderr(Stdio::piped());
    outer
}

/// Writes a script that may be run.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn a7_a_limit_of_file_size_costs_lines_and_not_the_process() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (messages, requests) = (folder.path().join("messages"), folder.path().join("requests"));
    let options =
        [("log.destination", text(&messages)), ("access.enable", "true"), ("access.destination", text(&requests))];
    // One block of 512 bytes, or of 1024, as the shell counts.
    let limit = ["-c", "ulimit -f 1 && exec \"$0\" \"$@\""];
    let mut proxy = Proxy::launch(&options, "", |command| through(&command, "sh", &limit));
    let origin = Origin::site();
    let client = std::cell::RefCell::new(proxy.client());
    eventually("lost lines of both logs", || {
        assert_eq!(client.borrow_mut().get(&origin.url("/x")).text(), "/x");
        proxy.signal(Signal::SIGTTIN);
        let counters = proxy.counters();
        (counters["logs.lost.messages"] > 0 && counters["logs.lost.access"] > 0).then_some(())
    });
    assert!(proxy.alive());
    proxy.assert_serves();
}

/// A helper that permits everything and writes to a file how it was started. It reads that itself: the shell blocks signals
/// while it starts another program.
fn watcher(folder: &Path) -> PathBuf {
    let seen = folder.join("seen");
    let lines = "while read -r line; do case $line in SigBlk:*|SigIgn:*) echo \"$line\";; esac; done";
    let text = format!(
        "#!/bin/sh\n{lines} < /proc/$$/status > '{0}.new' && mv '{0}.new' '{0}'\nwhile read line; do echo; done\n",
        seen.display()
    );
    script(folder, "watcher", &text)
}

#[test]
fn a7_signals_that_mean_nothing_end_nothing_and_helpers_do_not_inherit_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = watcher(folder.path());
    let options = [
        ("redirector.enable", "true"),
        ("redirector.program", text(&program)),
        ("redirector.minimum", "1"),
        ("redirector.maximum", "1"),
    ];
    let mut proxy = Proxy::start(&options);
    let seen = folder.path().join("seen");
    let status = eventually("what the helper saw", || std::fs::read_to_string(&seen).ok());
    let sets = status.lines().filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok());
    // The C library has programs ignore signals 32 and 33, which are its own.
    let sets: Vec<u64> = sets.map(|set| set & !(0b11 << 31)).collect();
    assert_eq!(sets, [0, 0], "{status}");
    let pid = proxy.pid().to_string();
    // By number, because real-time signals have no names here.
    let few = ["VTALRM", "PROF", "IO", "STKFLT", "PWR", "XFSZ", "XCPU", "CHLD"].map(str::to_owned);
    for name in few.into_iter().chain((34..=64).map(|number: i32| number.to_string())) {
        let done = Command::new("bash").args(["-c", &format!("kill -s {name} {pid}")]).status().expect("a shell");
        assert!(done.success(), "{name}");
        proxy.assert_serves();
        assert!(proxy.alive(), "{name}");
    }
}

/// Makes the program that it runs the reaper of orphans below it, as process 1 of a container is.
const REAPER: &str =
    "import ctypes, os, sys\nctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\nos.execv(sys.argv[1], sys.argv[1:])\n";

/// How many children of a process have ended and are not reaped.
fn zombies(parent: u32) -> usize {
    let stat =
        |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok();
    let entries = std::fs::read_dir("/proc").expect("a list of processes");
    let is_one = |stat: &String| {
        let words: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().take(2).collect();
        words == ["Z", &parent.to_string()]
    };
    entries.filter_map(stat).filter(is_one).count()
}

#[test]
fn b14_orphans_are_reaped_and_helpers_are_waited_for_as_ever() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let marks = folder.path().join("marks");
    let lines = "while read line; do sh -c 'sleep 0.05 >/dev/null 2>&1 </dev/null & echo $! >> \"$0\"' ";
    let program =
        format!("#!/bin/sh\n{lines} '{}'; echo; case $line in */end*) exit 7;; esac; done\n", marks.display());
    let program = script(folder.path(), "leaver", &program);
    let options = [
        ("redirector.enable", "true"),
        ("redirector.program", text(&program)),
        ("redirector.minimum", "2"),
        ("redirector.maximum", "2"),
    ];
    let proxy = Proxy::launch(&options, "", |command| through(&command, "python3", &["-c", REAPER]));
    let origin = Origin::site();
    for _ in 0..10 {
        assert_eq!(proxy.client().get(&origin.url("/x")).text(), "/x");
    }
    let left = std::fs::read_to_string(&marks).expect("the numbers of the orphans");
    eventually("the end of the orphans", || {
        let gone = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        left.lines().all(gone).then_some(())
    });
    eventually("no zombie", || (zombies(proxy.pid()) == 0).then_some(()));
    // A helper that ends is still seen to end, with its code, by the thread that started it.
    assert_eq!(proxy.client().get(&origin.url("/end")).text(), "/end");
    proxy.wait_log("exited with code 7");
}

/// Asks the monitor.
fn ask(proxy: &Proxy, request: &str) -> Message {
    let mut client = Client::connect(proxy.web());
    client.send(request);
    client.reply()
}

#[test]
fn b16_the_monitor_answers_to_its_own_names_alone() {
    let proxy = Proxy::start_with(&[], "[web]\nnames = gate.example\n");
    let status = |path: &str, version: &str, host: &str| {
        ask(&proxy, &format!("GET {path} HTTP/{version}\r\n{host}\r\n")).status()
    };
    let machine = nix::unistd::gethostname().expect("a name").into_string().expect("of text");
    let pages = ["/", "/information/sessions.html", "/information/logs.html", "/json/configuration", "/json/sessions"];
    for path in pages {
        assert_eq!(status(path, "1.1", "Host: evil.example:8080\r\n"), 421, "{path}");
        assert_eq!(status(path, "1.0", "Host: evil.example\r\n"), 421, "{path}");
        for host in [&proxy.web().to_string(), "localhost", "[::1]:1", "Gate.Example:1", machine.as_str()] {
            assert_eq!(status(path, "1.1", &format!("Host: {host}\r\n")), 200, "{path} at {host}");
        }
        assert_eq!(status(path, "1.0", ""), 200, "{path}");
    }
    for path in ["/health", "/metrics"] {
        assert_eq!(status(path, "1.1", "Host: evil.example\r\n"), 200, "{path}");
    }
    for path in ["/proxy.pac", "/wpad.dat"] {
        assert_eq!(status(path, "1.1", "Host: evil.example\r\n"), 200, "{path}");
    }
    // A reload changes the names.
    std::fs::write(proxy.file(), "[web]\nnames = other.example\n").expect("our own file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(status("/", "1.1", "Host: gate.example\r\n"), 421);
    assert_eq!(status("/", "1.1", "Host: other.example\r\n"), 200);
}

#[test]
fn b16_the_arguments_of_helpers_are_not_shown() {
    let program = "/bin/cat --password=secret-of-the-helper";
    let proxy = Proxy::start(&[("redirector.program", program)]);
    for path in ["/json/configuration", "/information/configuration.html"] {
        let text = ask(&proxy, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).text();
        assert!(text.contains("/bin/cat …") && !text.contains("secret-of-the-helper"), "{path}: {text}");
    }
}

#[test]
fn c_control_answers_curl_in_one_line() {
    let proxy = Proxy::start(&[("web.debug", "true")]);
    let web = proxy.web();
    let token = ask(&proxy, &format!("GET /control/token HTTP/1.1\r\nHost: {web}\r\n\r\n")).text();
    let order = |token: &str, accept: &str| {
        let content = format!("token={}&debug=on", token.trim());
        let head = format!("POST /control/debug/commit HTTP/1.1\r\nHost: {web}\r\nAccept: {accept}\r\n");
        ask(&proxy, &format!("{head}Content-Length: {}\r\n\r\n{content}", content.len()))
    };
    let done = order(&token, "*/*");
    assert_eq!((done.status(), done.text().as_str()), (200, "changed successfully\n"));
    let refused = order("wrong", "*/*");
    assert!(refused.status() == 403 && refused.text().starts_with("The token"), "{refused:?}");
    let page = order(&token, "text/html,*/*;q=0.8");
    assert!(page.status() == 200 && page.text().contains("<h1>Debugging</h1>"), "{page:?}");
}

/// A line of `/proc/PID/status` as words.
fn status(pid: u32, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a known line");
    line.split_whitespace().map(str::to_owned).collect()
}

/// Options for a start of its own that is expected to fail.
fn alone<'a>(ports: &'a [String; 2], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut options = vec![("tcp4.port", ports[0].as_str()), ("web.port", ports[1].as_str())];
    options.extend(more);
    options
}

fn two_ports() -> [String; 2] {
    [ports::next().to_string(), ports::next().to_string()]
}

#[test]
fn c_the_devices_of_the_standard_streams_do_for_an_account() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    for destination in ["/dev/stderr", "/dev/stdout"] {
        let options =
            [("daemon.user", "nobody"), ("log.destination", destination), ("access.destination", destination)];
        let proxy = Proxy::start(&[&options[..], &[("access.enable", "true")]].concat());
        proxy.wait_line("Starting exaproxy");
        proxy.assert_serves();
        proxy.wait_line("/still-there HTTP/1.1");
    }
}

#[test]
fn c_a_device_is_no_log_that_could_not_be_rotated() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    let proxy = Proxy::start(&[("daemon.user", "nobody"), ("log.destination", "/dev/null")]);
    proxy.assert_serves();
    assert!(!proxy.log().contains("rotate"), "{}", proxy.log());
}

#[test]
fn c_a_missing_thread_is_not_laid_to_the_destination() {
    if !superuser() {
        return skip("a limit of threads for another account needs the superuser");
    }
    let ports = two_ports();
    let mut command = command(&[]);
    for (key, value) in alone(&ports, &[("daemon.user", "nobody")]) {
        command.env(variable(key), value);
    }
    let run = Proxy::finish(through(&command, "prlimit", &["--nproc=0"]));
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    let said = run.stderr.lines().last().unwrap_or_default();
    assert!(said.contains("no thread can be started") && !said.contains("log.destination"), "{said}");
}

#[test]
fn c_an_account_may_be_a_number_or_missing_with_all_others() {
    if !superuser() {
        return skip("dropping privileges needs the superuser");
    }
    for (user, uid, gid) in [("65533", "65533", "65533"), ("65533:65531", "65533", "65531")] {
        let proxy = Proxy::start(&[("daemon.user", user)]);
        assert_eq!(status(proxy.pid(), "Uid:"), [uid; 4]);
        assert_eq!(status(proxy.pid(), "Gid:"), [gid; 4]);
        assert_eq!(status(proxy.pid(), "Groups:"), [gid]);
        proxy.assert_serves();
    }
    let hide = "mount --bind /dev/null /etc/passwd && exec \"$0\" \"$@\"";
    let inside = |command: &Command| through(command, "unshare", &["-m", "sh", "-c", hide]);
    if !inside(&Command::new("true")).status().is_ok_and(|status| status.success()) {
        return skip("a namespace of mounts cannot be had");
    }
    let proxy = Proxy::launch(&[("daemon.user", "nobody")], "", |command| inside(&command));
    assert_eq!(status(proxy.pid(), "Uid:"), ["65534"; 4]);
    proxy.assert_serves();
    let ports = two_ports();
    let mut command = command(&[]);
    for (key, value) in alone(&ports, &[("daemon.user", "daemon")]) {
        command.env(variable(key), value);
    }
    let run = Proxy::finish(inside(&command));
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("user daemon is not found") && run.stderr.contains("a number"), "{}", run.stderr);
}

#[test]
fn c_the_help_names_all_signals_and_fits_a_terminal() {
    let help = Proxy::run(&["--help-options"], &[]).stdout;
    for signal in ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGTTOU", "SIGTTIN", "SIGTRAP", "SIGUSR1", "SIGUSR2"] {
        assert!(help.contains(signal), "{signal}");
    }
    let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn c_the_check_finds_an_unknown_account_and_a_log_that_cannot_be_written() {
    let check = |options: &[(&str, &str)]| Proxy::run(&["--check"], options);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("log");
    let path = text(&file);
    let (user, other) = if superuser() { ("root", "nobody") } else { ("nobody", "nobody") };
    for option in ["log.destination", "usage.destination", "access.destination"] {
        let on = [("usage.enable", "true"), ("access.enable", "true"), ("daemon.user", user)];
        let with = |path| check(&[&on[..], &[(option, path)]].concat());
        let good = with(path);
        assert_eq!((good.code, good.stdout.trim()), (Some(0), "configuration ok"), "{option}: {}", good.stderr);
        let bad = with("/no/such/folder/log");
        assert_eq!((bad.code, bad.stdout.as_str()), (Some(1), ""), "{option}");
        assert!(bad.stderr.starts_with(&format!("{option}: /no/such/folder/log: ")), "{}", bad.stderr);
    }
    assert!(!file.exists(), "the check has left a trace");
    if !superuser() {
        return skip("the account is looked up for the superuser alone");
    }
    let unknown = check(&[("daemon.user", "no-such-account")]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("no-such-account"), "{}", unknown.stderr);
    // The folder is ours alone: root may write to it, and the account may not.
    let dropped = check(&[("daemon.user", other), ("log.destination", path)]);
    assert!(dropped.code == Some(1) && dropped.stderr.contains(path), "{}", dropped.stderr);
}

#[test]
fn c_a_log_is_not_for_all_even_without_a_umask() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [messages, requests] = ["messages", "requests"].map(|name| folder.path().join(name));
    let options =
        [("log.destination", text(&messages)), ("access.enable", "true"), ("access.destination", text(&requests))];
    let proxy =
        Proxy::launch(&options, "", |command| through(&command, "sh", &["-c", "umask 0 && exec \"$0\" \"$@\""]));
    for file in [&messages, &requests] {
        let mode = std::fs::metadata(file).expect("a log").permissions().mode();
        assert_eq!(mode & 0o7777, 0o640, "{}", file.display());
    }
    proxy.assert_serves();
}

#[test]
fn c_helpers_gain_no_rights_unless_they_are_to() {
    for (options, expected) in [(&[][..], "1"), (&[("daemon.no-new-privileges", "false")], "0")] {
        let helpers = Helpers::permitting();
        let proxy = helpers.proxy(options);
        let helper = helpers.wait_started(1)[0];
        for pid in [proxy.pid(), helper] {
            assert_eq!(status(pid, "NoNewPrivs:"), [expected], "{options:?}");
        }
    }
}

#[test]
fn c_syslog_is_offered_in_the_forms_of_its_standards() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    let destination = format!("host:127.0.0.1:{}", server.local_addr().expect("bound").port());
    let mut datagram = [0; 2048];
    let mut message = || {
        let count = server.recv(&mut datagram).expect("a message");
        String::from_utf8_lossy(&datagram[..count]).into_owned()
    };
    let machine = nix::unistd::gethostname().expect("a name").into_string().expect("of text");
    let proxy = Proxy::start_with(&[("log.destination", &destination)], "[log]\nsyslog = rfc5424\n");
    let text = std::iter::repeat_with(&mut message).find(|text| text.contains("Starting")).expect("it never ends");
    let words: Vec<&str> = text.splitn(8, ' ').collect();
    let pid = proxy.pid().to_string();
    let [priority, time, host, app, own, id, data, rest] = words.as_slice() else { panic!("{text:?}") };
    assert_eq!(
        (*priority, *host, *app, *own, *id, *data),
        ("<11>1", machine.as_str(), "ExaProxy", pid.as_str(), "-", "-")
    );
    assert!(time.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
    assert_eq!(*rest, format!("supervisor    Starting exaproxy version {}", env!("EXAPROXY_VERSION")));
    // A reload changes the form.
    std::fs::write(proxy.file(), "[log]\nsyslog = rfc3164\n").expect("our own file");
    proxy.signal(Signal::SIGHUP);
    let tag = format!(" {machine} ExaProxy[{pid}]: supervisor    configuration reloaded");
    std::iter::repeat_with(&mut message).find(|text| text.ends_with(&tag)).expect("it never ends");
}

#[test]
fn c_errors_of_the_first_second_count_in_the_last_minute() {
    let proxy = Proxy::start(&[]);
    assert_eq!(proxy.client().get("http://127.0.0.1:2/").status(), 502);
    eventually("an error in the last minute", || {
        let page = ask(&proxy, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
        let tile = page.split("id=\"tile-errors\"").nth(1).expect("a tile for errors");
        tile.contains("of the requests failed in the last minute: 1 of 1<").then_some(())
    });
}

#[test]
fn c_an_installation_has_pages_and_pictures_and_its_unit_leads_to_its_documents() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let built = folder.path().join("release");
    std::fs::create_dir(&built).expect("a folder");
    std::fs::copy(env!("CARGO_BIN_EXE_exaproxy"), built.join("exaproxy")).expect("a program");
    let destination = folder.path().join("root");
    let mut make = Command::new("make");
    // The program is built already, so that there is nothing to do for cargo.
    make.args(["-s", "install", "CARGO=true", "-C", env!("CARGO_MANIFEST_DIR")]);
    make.arg(format!("TARGET={}", folder.path().display())).arg(format!("DESTDIR={}", destination.display()));
    let Ok(done) = make.output() else { return skip("not installed: make") };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let share = destination.join("usr/local/share");
    for path in ["exaproxy/html/deny.html", "exaproxy/html/error.html", "doc/exaproxy/docs/monitor.png"] {
        assert!(share.join(path).is_file(), "{path} is missing");
    }
    let unit = std::fs::read_to_string(share.join("exaproxy/systemd/exaproxy.service")).expect("the unit");
    let page = unit.lines().find_map(|line| line.strip_prefix("Documentation=file://")).expect("a page of its own");
    assert!(destination.join(page.trim_start_matches('/')).is_file(), "{page} is missing");
    // What the README shows and names below docs stands where it says.
    let readme = std::fs::read_to_string(share.join("doc/exaproxy/README.md")).expect("the README");
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
        let installed = share.join("doc/exaproxy").join(link);
        assert!(!link.starts_with("docs/") || installed.is_file(), "{link} is missing");
    }
}

/// Times are read once a turn of the loop, and a request that goes to an origin takes several.
#[test]
fn c_times_are_told_in_microseconds() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("access.enable", "true"), ("access.format", "took %D"), ("http.pool", "0")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.get(&origin.url("/x")).text(), "/x");
    }
    proxy.wait_log_times("took ", 20);
    let log = proxy.log();
    let took = log.lines().filter_map(|line| line.strip_prefix("took ")).map(|text| text.parse().expect("a number"));
    let took: Vec<u64> = took.collect();
    assert!(took.iter().all(|micros| *micros > 0) && took.iter().any(|micros| micros % 1000 > 0), "{took:?}");
    let metrics = ask(&proxy, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    let sums = ["request", "connect", "helper"].map(|family| {
        let start = format!("exaproxy_{family}_seconds_sum ");
        metrics.lines().find_map(|line| line.strip_prefix(&start)).expect("a sum")
    });
    // One of them may end with zeros, which are not written.
    let places = |sum: &&str| sum.split_once('.').map_or(0, |(_, places)| places.len());
    assert!(sums.iter().map(places).max() > Some(3), "{sums:?}");
}

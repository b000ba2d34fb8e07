//! The folders of conf/service under the real runit and daemontools: started, told signals, started again, logged, ended.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::programs::{command, have, run, Ran};
use crate::support::proxy::variable;
use crate::support::{eventually, ports, superuser, Client, Origin};

const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/service");

/// A tree in which the program is installed, with a service below it; the supervisor that runs it ends with this.
struct Supervised {
    supervisor: Child,
    folder: tempfile::TempDir,
    port: u16,
    stop: fn(&Path),
}

impl Supervised {
    /// The service of this kind, run by a supervisor.
    fn start(kind: &str, supervise: impl Fn(&Path) -> Command, stop: fn(&Path)) -> Supervised {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("sbin")).expect("a folder");
        symlink(env!("CARGO_BIN_EXE_exaproxy"), root.join("sbin/exaproxy")).expect("a link");
        let service = root.join("service/exaproxy");
        let copied =
            Command::new("cp").arg("-a").arg(Path::new(SERVICES).join(kind)).arg(root.join("service")).status();
        assert!(copied.is_ok_and(|status| status.success()));
        let port = ports::next();
        if let Ok(text) = std::fs::read_to_string(service.join("check")) {
            assert!(text.contains("127.0.0.1:3128"), "{text}");
            std::fs::write(service.join("check"), text.replace("127.0.0.1:3128", &format!("127.0.0.1:{port}")))
                .expect("our own copy");
        }
        let mut supervisor = supervise(&root.join("service"));
        let user = if superuser() { "root" } else { "nobody" };
        let options = [
            ("tcp4.port", port.to_string()),
            ("web.enable", "false".to_owned()),
            ("security.local", "*:*".to_owned()),
            ("daemon.user", user.to_owned()),
        ];
        for (key, value) in options {
            supervisor.env(variable(key), value);
        }
        let supervisor =
            supervisor.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it was there a moment ago");
        Supervised { supervisor, folder, port, stop }
    }

    fn service(&self) -> PathBuf {
        self.folder.path().join("service/exaproxy")
    }

    /// Asks through the proxy.
    fn serves(&self, origin: &Origin) -> bool {
        let client = Client::try_connect(([127, 0, 0, 1], self.port).into());
        client.is_some_and(|mut client| client.get(&origin.url("/here")).text() == "/here")
    }

    fn wait_serves(&self, origin: &Origin) {
        eventually("the service to serve", || self.serves(origin).then_some(()));
    }

    /// What its logger has written.
    fn wait_log(&self, part: &str) {
        self.wait_log_times(part, 1);
    }

    /// The same, for what comes several times.
    fn wait_log_times(&self, part: &str, times: usize) {
        let file = self.service().join("log/main/current");
        eventually(&format!("{part:?} in the log {times} times"), || {
            std::fs::read_to_string(&file).ok().filter(|text| text.matches(part).count() >= times)
        });
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        (self.stop)(&self.service());
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

/// A command about a service.
fn about(program: &str, command: &[&str], service: &Path) -> Ran {
    let service = service.display().to_string();
    run(program, &[command, &[service.as_str()]].concat())
}

/// The process that `sv status` or `svstat` shows.
fn pid(text: &str) -> Option<i32> {
    let after = text.split("pid ").nth(1)?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn runit() -> Supervised {
    let supervise = |services: &Path| {
        let mut runsv = command("runsv");
        runsv.arg(services.join("exaproxy"));
        runsv
    };
    Supervised::start("runit/.", supervise, |service| drop(about("sv", &["-w", "10", "force-shutdown"], service)))
}

#[test]
fn runit_starts_tells_logs_and_ends_the_service() {
    if !have(&["runsv", "sv", "svlogd", "curl", "timeout"]) {
        return;
    }
    let (origin, supervised) = (Origin::site(), runit());
    supervised.wait_serves(&origin);
    let service = supervised.service();
    let checked = about("sv", &["check"], &service);
    assert!(checked.content().text().starts_with("ok: run:"));
    supervised.wait_log("Starting exaproxy");
    about("sv", &["hup"], &service).content();
    supervised.wait_log("configuration reloaded");
    let first = pid(&about("sv", &["status"], &service).text()).expect("a process");
    // The next version has the same process, so that runsv sees no end.
    about("sv", &["alarm"], &service).content();
    supervised.wait_log("the next version has taken over");
    supervised.wait_log_times("Starting exaproxy", 2);
    supervised.wait_serves(&origin);
    assert_eq!(pid(&about("sv", &["status"], &service).text()), Some(first));
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("it runs");
    let another = || pid(&about("sv", &["status"], &service).text()).filter(|pid| *pid != first);
    eventually("another process", another);
    supervised.wait_serves(&origin);
    // A start that is refused is told, and not tried again at once.
    about("sv", &["-w", "10", "down"], &service).content();
    assert!(!supervised.serves(&origin));
    let text = std::fs::read_to_string(service.join("run")).expect("its script");
    let wrong = text.replace("exec \"$program\"", "export exaproxy_tcp4_port=none\nexec \"$program\"");
    std::fs::write(service.join("run"), wrong).expect("our own copy");
    about("sv", &["up"], &service).content();
    supervised.wait_log("ended with exit code 1; it is started again in ten seconds");
    std::fs::write(service.join("run"), text).expect("our own copy");
    supervised.wait_serves(&origin);
}

#[test]
fn daemontools_starts_tells_logs_and_ends_the_service() {
    if !have(&["svscan", "supervise", "svc", "svstat", "multilog", "timeout"]) {
        return;
    }
    let supervise = |services: &Path| {
        let mut svscan = command("svscan");
        svscan.arg(services);
        svscan
    };
    let stop = |service: &Path| {
        about("svc", &["-dx"], service);
        about("svc", &["-dx"], &service.join("log"));
    };
    let (origin, supervised) = (Origin::site(), Supervised::start("daemontools/.", supervise, stop));
    supervised.wait_serves(&origin);
    let service = supervised.service();
    supervised.wait_log("Starting exaproxy");
    about("svc", &["-h"], &service).content();
    supervised.wait_log("configuration reloaded");
    let status = || about("svstat", &[], &service).text();
    let first = pid(&status()).unwrap_or_else(|| panic!("{}", status()));
    about("svc", &["-a"], &service).content();
    supervised.wait_log("the next version has taken over");
    supervised.wait_log_times("Starting exaproxy", 2);
    supervised.wait_serves(&origin);
    assert_eq!(pid(&status()), Some(first));
    about("svc", &["-t"], &service).content();
    eventually("another process", || pid(&status()).filter(|pid| *pid != first));
    supervised.wait_serves(&origin);
    about("svc", &["-d"], &service).content();
    eventually("the service to be down", || status().contains(": down ").then_some(()));
    assert!(!supervised.serves(&origin));
    supervised.wait_log("exaproxy has stopped");
}

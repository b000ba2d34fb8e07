//! The trial of the next version: what it need not be able to do itself, and what ends it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{is_zombie, upgrade, Installed};
use crate::support::proxy::called;
use crate::support::{eventually, skip, superuser, Client, Origin, Proxy};

/// A pidfile and a Unix socket in a folder of root's, which the account of the proxy may not write to.
#[test]
fn what_root_has_opened_goes_from_version_to_version() {
    if !superuser() {
        return skip("what only root may open needs the superuser");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own folder");
    };
    open(folder.path());
    let program = folder.path().join("exaproxy");
    std::fs::copy(env!("CARGO_BIN_EXE_exaproxy"), &program).expect("room for a copy");
    let [pidfile, socket] = ["pid", "socket"].map(|name| folder.path().join(name).display().to_string());
    let options =
        [("daemon.user", "nobody"), ("daemon.pidfile", &pidfile), ("unix.path", &socket), ("unix.mode", "666")];
    let proxy = Proxy::launch(&options, "", |command| {
        let words: Vec<_> = command.get_args().collect();
        open(std::path::Path::new(words.last().expect("a file")).parent().expect("its folder"));
        called(&command, &program)
    });
    let origin = Origin::site();
    for time in 1..=2 {
        upgrade(&proxy, time);
        assert_eq!(Client::connect_path(socket.as_ref()).get(&origin.url("/unix")).text(), "/unix");
        assert_eq!(std::fs::read_to_string(&pidfile).expect("a pidfile"), format!("{}\n", proxy.pid()));
        proxy.assert_serves();
    }
}

/// The next version would know nothing of the stop, and go on.
#[test]
fn a_soft_stop_is_not_undone_by_an_upgrade_under_way() {
    let installed = Installed::new();
    let mut proxy = installed.start(&[]);
    let echo = Origin::echo();
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    let go = installed.path().with_file_name("go");
    installed.replace_trial(&format!("while [ ! -e {} ]; do sleep 0.05; done", go.display()));
    proxy.signal(Signal::SIGALRM);
    proxy.wait_log(" is tried");
    proxy.signal(Signal::SIGQUIT);
    proxy.wait_log("SIGQUIT received");
    std::fs::write(&go, "").expect("a file");
    proxy.wait_log("no upgrade: a soft stop is under way");
    tunnel.send("still there");
    assert_eq!(tunnel.read(11), b"still there");
    drop(tunnel);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert_eq!(proxy.log().matches("Starting exaproxy").count(), 1);
}

/// It would keep the listeners open, and clients would wait at them.
#[test]
fn a_trial_that_hangs_ends_with_the_process() {
    let installed = Installed::new();
    let mut proxy = installed.start(&[]);
    let file = installed.path().with_file_name("hangs");
    installed.replace_trial(&format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display()));
    proxy.signal(Signal::SIGALRM);
    let hangs = || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
    let hangs = eventually("a trial that hangs", hangs);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    let gone = || kill(Pid::from_raw(hangs), None).is_err() || is_zombie(hangs);
    eventually("the end of what was tried", || gone().then_some(()));
}

/// Other programs lock their pidfiles, too, and the signal would end them.
#[test]
fn a_process_that_takes_no_such_signal_is_sent_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pid");
    let mut other = Command::new("sleep").arg("60").spawn().expect("sleep is there");
    std::fs::write(&file, format!("{}\n", other.id())).expect("a file");
    let locked = std::fs::File::open(&file).expect("our own file");
    let locked = Flock::lock(locked, FlockArg::LockExclusiveNonblock).expect("a fresh file");
    let asked = Proxy::run(&["--upgrade", file.to_str().expect("a path of text")], &[]);
    let wanted = format!("process {} does not take SIGALRM", other.id());
    assert!(asked.code == Some(1) && asked.stderr.contains(&wanted), "{}", asked.stderr);
    assert_eq!(other.try_wait().expect("our child"), None, "it goes on");
    other.kill().and_then(|()| other.wait()).expect("our child");
    drop(locked);
}

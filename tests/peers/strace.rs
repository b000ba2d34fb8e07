//! What the proxy's threads ask of the system, as strace sees it: files are the loader's business, and a disk that answers
//! late holds up nothing but what needs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::programs::{command, have};
use crate::support::{eventually, skip, Proxy};

/// Answers each request with the page that is called like its host.
const HELPER: &str = "while read -r url rest; do host=${url%%/*}; echo \"file://${host%%:*}\"; done\n";

/// Bytes of a page that is too large to be kept.
const LARGE: usize = 3 << 20;

/// A proxy whose files are all in one folder, with pages from a helper.
struct Site {
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Site {
    fn start(more: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, text) in
            [("helper", HELPER), ("hosts", "127.0.0.1 first.test\n"), ("conf", "nameserver 127.0.0.1\n")]
        {
            fs::write(path(name), text).expect("a file in our own folder");
        }
        fs::create_dir(path("pages")).expect("a folder in our own");
        fs::write(path("pages/deny.html"), "first").expect("a page");
        fs::write(path("pages/large.bin"), vec![b'x'; LARGE]).expect("a page");
        let (program, pages, hosts, conf) =
            (format!("/bin/sh {}", path("helper")), path("pages"), path("hosts"), path("conf"));
        let mut options = vec![
            ("redirector.enable", "true"),
            ("redirector.program", program.as_str()),
            ("redirector.minimum", "1"),
            ("web.html", pages.as_str()),
            ("dns.hosts", hosts.as_str()),
            ("dns.resolver", conf.as_str()),
        ];
        options.extend_from_slice(more);
        Site { proxy: Proxy::start(&options), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn wait_page(&self, name: &str, text: &str) {
        let url = format!("http://{name}/");
        eventually(text, || (self.proxy.client().get(&url).text() == text).then_some(()));
    }

    /// The loader's thread.
    fn loader(&self) -> u32 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.proxy.pid())).expect("a living process");
        let named = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "loader");
        let task = tasks.filter_map(|task| Some(task.ok()?.path())).find(named).expect("a thread of that name");
        task.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number")
    }
}

/// How long strace may take to let go of a process.
const DETACHING: Duration = Duration::from_secs(5);

/// strace on a process or on one of its threads, until it is dropped.
struct Trace {
    child: Child,
}

impl Trace {
    /// None where this machine does not let one process look at another.
    fn attach(thread: u32, arguments: &[&str], output: &Path) -> Option<Trace> {
        let mut strace = command("strace");
        strace.args(arguments).arg("-o").arg(output).args(["-p", &thread.to_string()]);
        let mut child = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace runs");
        let status = format!("/proc/{thread}/status");
        let traced = eventually("strace to be attached", || {
            let text = fs::read_to_string(&status).expect("a living process");
            match child.try_wait().expect("a child to ask about") {
                Some(_) => Some(false),
                None => (!text.contains("TracerPid:\t0\n")).then_some(true),
            }
        });
        if !traced {
            skip("strace may not be attached here");
        }
        traced.then_some(Trace { child })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // SIGINT would be ignored below a shell that has put the tests into the background.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let end = Instant::now() + DETACHING;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // The kernel lets go of what a killed strace had attached to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_loop_asks_for_no_file_while_pages_names_and_configuration_change() {
    if !have(&["strace"]) {
        return;
    }
    let site = Site::start(&[]);
    let output = site.path("trace");
    let Some(trace) = Trace::attach(site.proxy.pid(), &["-f", "-e", "trace=%file"], &output) else { return };
    fs::write(site.path("pages/deny.html"), "second").expect("a page");
    site.wait_page("deny.html", "second");
    assert_eq!(site.proxy.client().get("http://large.bin/").body.len(), LARGE);
    assert_eq!(site.proxy.client().get("http://missing.html/").status(), 501);
    fs::write(site.path("hosts"), "127.0.0.1 first.test second.test\n").expect("a hosts file");
    site.proxy.wait_log("or the hosts file has changed");
    site.proxy.signal(Signal::SIGHUP);
    site.proxy.wait_log("configuration reloaded");
    drop(trace);
    let seen = fs::read_to_string(&output).expect("what strace has written");
    let (folder, file) = (site.folder.path().display().to_string(), site.proxy.file().display().to_string());
    let ours: Vec<&str> = seen.lines().filter(|line| line.contains(&folder) || line.contains(&file)).collect();
    for name in ["pages/deny.html", "pages/large.bin", "/hosts", "exaproxy.conf"] {
        assert!(ours.iter().any(|line| line.contains(name)), "{name} was not looked at:\n{seen}");
    }
    let of_loop = format!("{} ", site.proxy.pid());
    let on_loop: Vec<&&str> = ours.iter().filter(|line| line.trim_start().starts_with(&of_loop)).collect();
    assert!(on_loop.is_empty(), "{on_loop:#?}");
}

/// The helper has decided, so that a time limit must not be taken for a missing decision, which passes here.
#[test]
fn a_page_that_is_not_read_in_time_is_an_error_and_holds_up_nothing() {
    if !have(&["strace"]) {
        return;
    }
    let site = Site::start(&[("http.decision-timeout", "1"), ("redirector.on-failure", "permit")]);
    let mut client = site.proxy.client();
    assert_eq!(client.get("http://large.bin/").body.len(), LARGE);
    let files = site.proxy.descriptors();
    let slow = ["-e", "trace=openat", "-e", "inject=openat:delay_enter=3000000"];
    let Some(trace) = Trace::attach(site.loader(), &slow, &site.path("trace")) else { return };
    client.send("GET http://large.bin/ HTTP/1.1\r\nHost: large.bin\r\n\r\n");
    let mut other = site.proxy.client();
    for _ in 0..20 {
        assert_eq!(other.get("http://deny.html/").text(), "first");
    }
    let late = client.reply();
    assert!(late.status() == 501 && late.text().contains("could not be read in time"), "{late:?}");
    drop(trace);
    assert_eq!(client.get("http://deny.html/").text(), "first", "the connection goes on");
    eventually("the file to be served again", || {
        (site.proxy.client().get("http://large.bin/").body.len() == LARGE).then_some(())
    });
    drop(other);
    eventually("the file that came too late to be closed", || (site.proxy.descriptors() <= files).then_some(()));
}

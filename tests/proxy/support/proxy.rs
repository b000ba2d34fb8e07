//! The binary under test as a process: options in, output, counters, memory and descriptors out.
//! Knows the options, signals and `/json/running`; nothing of the code behind them.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{eventually, ports, superuser, Client, Wire, PATIENCE};

/// Starts that may fail because another process took the port in between.
const STARTS: usize = 5;

/// A running proxy; killed when it is dropped, with its output shown if the test failed.
pub struct Proxy {
    child: Child,
    port: u16,
    web: Option<u16>,
    stdout: Captured,
    stderr: Captured,
    folder: Arc<tempfile::TempDir>,
}

/// What a run that ended by itself left behind.
pub struct Finished {
    /// Exit code; None when a signal ended it.
    pub code: Option<i32>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

type Captured = Arc<Mutex<Vec<u8>>>;

impl Proxy {
    /// Starts a proxy on ports of its own that may reach this machine, with these options set in the environment
    /// (`("http.head-timeout", "1")`), and waits until it serves.
    pub fn start(options: &[(&str, &str)]) -> Proxy {
        Proxy::start_with(options, "")
    }

    /// The same, with an ini file of this text.
    pub fn start_with(options: &[(&str, &str)], ini: &str) -> Proxy {
        Proxy::launch(options, ini, |command| command)
    }

    /// The same, with the command changed before it is run.
    pub fn launch(options: &[(&str, &str)], ini: &str, change: impl Fn(Command) -> Command) -> Proxy {
        raise_descriptors();
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let file = folder.path().join("exaproxy.conf");
        std::fs::write(&file, ini).expect("an ini file in the temporary folder");
        for _ in 0..STARTS {
            if let Some(proxy) = Proxy::try_start(options, &file, &change, &folder) {
                return proxy;
            }
        }
        panic!("the proxy did not start in {STARTS} attempts");
    }

    fn try_start(
        options: &[(&str, &str)],
        file: &Path,
        change: &impl Fn(Command) -> Command,
        folder: &Arc<tempfile::TempDir>,
    ) -> Option<Proxy> {
        let given = |name: &str| options.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let port = given("tcp4.port").map_or_else(ports::next, |port| port.parse().expect("a port"));
        let shown = ["web.enable", "web.listen"].iter().all(|key| given(key) != Some("false"));
        let web = shown.then(ports::next);
        let mut command = command(&[]);
        command.arg("-c").arg(file);
        command.env(variable("tcp4.port"), port.to_string()).env(variable("tcp6.port"), port.to_string());
        command.env(variable("web.port"), web.unwrap_or(1).to_string());
        for (key, value) in defaults().iter().chain(options) {
            command.env(variable(key), value);
        }
        if let Some(threads) = loops().filter(|_| given("daemon.threads").is_none()) {
            command.env(variable("daemon.threads"), threads);
        }
        let mut child = change(command).stdin(Stdio::null()).spawn().expect("the binary runs");
        let (stdout, _) = capture(child.stdout.take());
        let (stderr, _) = capture(child.stderr.take());
        let mut proxy = Proxy { child, port, web, stdout, stderr, folder: Arc::clone(folder) };
        proxy.serves().then_some(proxy)
    }

    /// Waits until it serves; false when it ended instead because its port was taken.
    fn serves(&mut self) -> bool {
        eventually("the proxy to listen", || match self.child.try_wait().expect("a child to ask about") {
            Some(status) => {
                let log = self.log();
                assert!(log.contains("unable to listen"), "the proxy ended with {status}: {log}");
                Some(false)
            }
            None if self.log().contains("where another program listens") => Some(false),
            None if self.web.is_some() => self.try_counters().map(|_| true),
            None => TcpStream::connect(self.address()).is_ok().then_some(true),
        })
    }

    /// Runs the binary with these arguments and no other option until it ends by itself.
    pub fn run(arguments: &[&str], options: &[(&str, &str)]) -> Finished {
        let mut command = command(arguments);
        for (key, value) in options {
            command.env(variable(key), value);
        }
        Proxy::finish(command)
    }

    /// Runs a command until it ends by itself.
    pub fn finish(mut command: Command) -> Finished {
        let mut child = command.stdin(Stdio::null()).spawn().expect("the binary runs");
        let (stdout, out) = capture(child.stdout.take());
        let (stderr, err) = capture(child.stderr.take());
        let id = child.id();
        let status =
            eventually(&format!("the end of process {id}"), || child.try_wait().expect("a child to ask about"));
        eventually("the end of its output", || (out.is_finished() && err.is_finished()).then_some(()));
        Finished { code: status.code(), stdout: text(&stdout), stderr: text(&stderr) }
    }

    /// Where it listens for clients, on IPv4.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its port, the same on both families.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it serves its pages.
    pub fn web(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.web.expect("a proxy with web.enable")))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new client connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// A folder that lives as long as the proxy.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its ini file.
    pub fn file(&self) -> PathBuf {
        self.folder().join("exaproxy.conf")
    }

    /// Everything written until now, standard output first.
    pub fn log(&self) -> String {
        format!("{}{}", text(&self.stdout), text(&self.stderr))
    }

    /// Waits until it has written this.
    pub fn wait_log(&self, part: &str) {
        eventually(&format!("{part:?} in the log"), || self.log().contains(part).then_some(()));
    }

    /// Waits until it has written a whole line with this in it, and gives the line.
    pub fn wait_line(&self, part: &str) -> String {
        let found = |captured: &Captured| {
            let text = text(captured);
            let mut whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            whole.find(|line| line.contains(part)).map(|line| line.trim_end().to_owned())
        };
        eventually(&format!("a line with {part:?}"), || found(&self.stdout).or_else(|| found(&self.stderr)))
    }

    /// Waits until it has written this so many times.
    pub fn wait_log_times(&self, part: &str, times: usize) {
        let seen = || (self.log().matches(part).count() >= times).then_some(());
        eventually(&format!("{part:?} in the log {times} times"), seen);
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a living process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
    }

    /// Number of open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("a living process").count()
    }

    /// How many descriptors empty pipes may take that wait for the next bulk: four pipes in each loop (`reactor::pipe`).
    pub fn spare_pipes(&self) -> usize {
        8 * loops().map_or(1, |threads| threads.parse::<usize>().expect("a number of loops"))
    }

    /// Processor time used until now, in clock ticks.
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a living process");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).expect("a number");
        number(11) + number(12)
    }

    /// Ticks of processor time that it uses in a hundredth of a second each while `span` passes: 100 for a loop that is busy
    /// all the time. The span may take longer on a busy machine, and counts as long as it took.
    pub fn share(&self, span: Duration) -> f64 {
        let (before, start) = (self.ticks(), Instant::now());
        thread::sleep(span);
        (self.ticks() - before) as f64 / start.elapsed().as_secs_f64()
    }

    /// The counters of `/json/running`.
    pub fn counters(&self) -> BTreeMap<String, i64> {
        self.try_counters().expect("counters from the web port")
    }

    /// One counter; fails the test when there is none with this name.
    pub fn counter(&self, name: &str) -> i64 {
        let counters = self.counters();
        *counters.get(name).unwrap_or_else(|| panic!("no counter {name} in {counters:?}"))
    }

    /// Number of clients of the proxy itself; those of the web port are not among them.
    pub fn clients(&self) -> i64 {
        self.counter("clients.speaking")
    }

    /// Waits until so many clients are there.
    pub fn wait_clients(&self, count: i64) {
        eventually(&format!("{count} clients"), || (self.clients() == count).then_some(()));
    }

    /// Waits until a counter has this value.
    pub fn wait_counter(&self, name: &str, value: i64) {
        let what = format!("{name} = {value}");
        eventually(&what, || (self.counter(name) == value).then_some(()));
    }

    /// Waits until a counter has at least this value.
    pub fn wait_counter_reaches(&self, name: &str, value: i64) {
        let what = format!("{name} >= {value}");
        eventually(&what, || (self.counter(name) >= value).then_some(()));
    }

    /// A page of the monitor.
    pub fn monitor_page(&self, path: &str) -> String {
        let mut client = Client::connect(self.web());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client.reply().text()
    }

    fn try_counters(&self) -> Option<BTreeMap<String, i64>> {
        let stream = TcpStream::connect_timeout(&self.web(), PATIENCE).ok()?;
        let mut wire = Wire::new(stream).ok()?;
        wire.send("GET /json/running HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let reply = wire.response("GET").ok()?;
        // Its numbers are for users alone, and that is an answer too.
        if reply.status() == 401 {
            return Some(BTreeMap::new());
        }
        assert_eq!(reply.status(), 200, "{reply:?}");
        Some(numbers(&reply.text()))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id fits"));
        kill(pid, signal).expect("a living process");
    }

    /// Whether it has not ended.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().expect("a child to ask about").is_none()
    }

    /// Waits until it ends by itself.
    pub fn wait_exit(&mut self) -> ExitStatus {
        eventually("the end of the proxy", || self.child.try_wait().expect("a child to ask about"))
    }

    /// Asks through the proxy as a whole whether it still serves: for the end of tests that treat it badly.
    pub fn assert_serves(&self) {
        let origin = super::Origin::site();
        let reply = self.client().get(&origin.url("/still-there"));
        assert_eq!(reply.text(), "/still-there", "the proxy serves no more: {reply:?}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let status = self.child.wait();
        if thread::panicking() {
            let signal = status.ok().and_then(|status| status.signal());
            eprintln!("--- output of the proxy (ended by signal {signal:?}):\n{}---", self.log());
        }
    }
}

/// For tests of what each loop keeps for itself: names, connections to origins, responses on their way.
pub const ONE_LOOP: (&str, &str) = ("daemon.threads", "1");

/// With how many loops all proxies run whose tests say nothing else (`make test-threads`).
pub fn loops() -> Option<String> {
    std::env::var("EXAPROXY_TEST_THREADS").ok()
}

/// The name of an option in the environment.
pub fn variable(key: &str) -> String {
    format!("exaproxy_{}", key.replace(['.', '-'], "_"))
}

/// The program under test: the one that was built with the tests, or another that `EXAPROXY` names, so that a test can be
/// seen to fail on an older one.
pub fn program() -> std::ffi::OsString {
    std::env::var_os("EXAPROXY").unwrap_or_else(|| env!("CARGO_BIN_EXE_exaproxy").into())
}

/// The binary with these arguments, its output captured, and no option from outside.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("exaproxy") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same command with the program at another path.
pub fn called(command: &Command, program: &Path) -> Command {
    let mut other = Command::new(program);
    other.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other.stdout(Stdio::piped()).stderr(Stdio::piped());
    other
}

/// Lets this process and its children have as many descriptors as are allowed: clients and origins of several tests
/// are all in here.
fn raise_descriptors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit to ask about");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a soft limit up to the hard one");
    });
}

/// Options that let tests work on one machine: every loopback service may be reached, every port be connected to, and no name
/// server hears more than the test asks for.
fn defaults() -> Vec<(&'static str, &'static str)> {
    let mut options = vec![("security.local", "*:*"), ("security.connect", "1-65535"), ("log.level", "INFO")];
    options.push(("dns.nat64", "off"));
    if superuser() {
        options.push(("daemon.user", "root"));
    }
    options
}

fn capture(pipe: Option<impl Read + Send + 'static>) -> (Captured, JoinHandle<()>) {
    let captured = Captured::default();
    let mut pipe = pipe.expect("a captured pipe");
    let reader = thread::spawn({
        let captured = Arc::clone(&captured);
        move || {
            let mut piece = [0; 4096];
            while let Ok(count) = pipe.read(&mut piece) {
                if count == 0 {
                    break;
                }
                captured.lock().expect("no holder panics").extend_from_slice(&piece[..count]);
            }
        }
    });
    (captured, reader)
}

fn text(captured: &Captured) -> String {
    String::from_utf8_lossy(&captured.lock().expect("no holder panics")).into_owned()
}

/// The numbers of a flat JSON object with one member per line.
fn numbers(json: &str) -> BTreeMap<String, i64> {
    let member = |line: &str| {
        let (name, value) = line.trim().trim_end_matches(',').split_once(':')?;
        Some((name.trim().trim_matches('"').to_owned(), value.trim().parse().ok()?))
    };
    json.lines().filter_map(member).collect()
}

//! What only a process of its own can show: going to the background, dropping privileges, limits, the log of a process.
//! Each test starts this very program again in a role; it has a main function of its own because a role that forks must
//! be the only thread.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use exaproxy::critical;
use exaproxy::logs::{Destination, LogSettings, Messages, Rotation, Severity, Switches, SyslogForm};
use exaproxy::system::{daemonize, drop_privileges, raise_descriptors, Daemonized, Notice};
use nix::sys::resource::{setrlimit, Resource};
use nix::sys::signal::{kill, Signal};
use nix::unistd::{getpid, getsid, setgid, setgroups, setuid, Gid, Pid, Uid, User};

/// Beyond this a process hangs; it is not a figure to measure against.
const HANG: Duration = Duration::from_secs(120);

/// More than fits into a pipe and the queue of the log together.
const FLOOD: u64 = 100_000;

const TESTS: [(&str, fn()); 12] = [
    ("a_ready_service_leaves_the_caller_with_code_0", ready),
    ("a_failed_service_leaves_the_caller_with_its_message_and_code_1", failed),
    ("a_service_that_ends_during_its_start_counts_as_failed", silent),
    ("a_supervised_process_stays_in_the_foreground", supervised),
    ("a_process_with_threads_does_not_fork", threaded),
    ("privileges_are_dropped_for_every_thread_and_groups_too", privileges),
    ("one_capability_may_stay_and_no_program_gets_it", capability),
    ("no_program_gets_a_capability_that_was_given_from_outside", given),
    ("descriptors_are_raised_as_far_as_allowed", descriptors),
    ("the_log_goes_to_the_standard_output", log_to_stdout),
    ("the_log_goes_to_the_standard_error", log_to_stderr),
    ("a_log_that_nobody_reads_does_not_hold_the_program", flood),
];

const ROLES: [(&str, fn()); 13] = [
    ("ready", || {
        in_background(|notice, text| {
            println!("lost on purpose");
            std::fs::write(std::env::args().nth(3).unwrap(), text).unwrap();
            notice.ready();
        })
    }),
    ("failed", || in_background(|notice, _| notice.failed("cannot listen on 127.0.0.1:3128"))),
    ("silent", || in_background(|_, _| {})),
    ("supervised", || match daemonize() {
        Ok(Daemonized::Supervised) => println!("supervised"),
        other => println!("{other:?}"),
    }),
    ("threaded", || {
        let (sender, receiver) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        println!("{}", daemonize().unwrap_err());
        drop(sender);
        let _ = thread.join();
    }),
    ("privileges", drop_all),
    ("capability", drop_all_but_one),
    ("given", || drop_what_was_given(true)),
    ("given-in-vain", || drop_what_was_given(false)),
    ("descriptors", limit_and_raise),
    ("stdout", || speak(Destination::Stdout)),
    ("stderr", || speak(Destination::Stderr)),
    ("flood", pour),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("role", role)) = arguments.first().map(String::as_str).zip(arguments.get(1)) {
        let (_, run) = ROLES.iter().find(|(name, _)| name == role).expect("a role of the list");
        run();
        return ExitCode::SUCCESS;
    }
    // As `cargo test` does: words choose tests, options are for a harness that is not here.
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    if arguments.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    for (name, run) in TESTS {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            run();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["role", name]).stdin(Stdio::null());
    command
}

/// Starts the command with both outputs piped. It is killed where it hangs, unless the second value is dropped before.
fn start(mut command: Command) -> (Child, mpsc::Sender<()>) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (alive, watched) = mpsc::channel();
    std::thread::spawn(move || {
        if watched.recv_timeout(HANG) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("a role hangs");
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    (child, alive)
}

fn run(command: Command) -> (Option<i32>, String, String) {
    let (child, _alive) = start(command);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn ready() {
    let path = std::env::temp_dir().join(format!("exaproxy-background-{}", std::process::id()));
    let mut command = role("ready");
    command.arg(&path);
    // `run` reads the outputs to their end: no process holds those of the caller any more.
    assert_eq!(run(command), (Some(0), String::new(), String::new()));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [pid, session, streams @ ..] = words.as_slice() else { panic!("{text}") };
    assert_ne!(pid, session, "the leader of a session could get a terminal");
    assert_ne!(*session, getsid(None).unwrap().to_string());
    assert_eq!(streams, ["/dev/null", "/dev/null", "/dev/null"]);
}

fn failed() {
    let expected = (Some(1), String::new(), "cannot listen on 127.0.0.1:3128\n".to_owned());
    assert_eq!(run(role("failed")), expected);
}

fn silent() {
    let expected = (Some(1), String::new(), "the background process ended during its start\n".to_owned());
    assert_eq!(run(role("silent")), expected);
}

fn supervised() {
    let (socket, _peer) = UnixStream::pair().unwrap();
    let mut command = role("supervised");
    command.stdin(Stdio::from(OwnedFd::from(socket)));
    assert_eq!(run(command).1, "supervised\n");
}

fn threaded() {
    assert_eq!(run(role("threaded")).1, "other threads run already\n");
}

/// Goes to the background and hands over what can be seen there.
fn in_background(then: fn(Notice, String)) {
    let Ok(Daemonized::Background(notice)) = daemonize() else { panic!("not in the background") };
    let stream = |number: u8| std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap().display().to_string();
    let seen = format!("{} {} {} {} {}", getpid(), getsid(None).unwrap(), stream(0), stream(1), stream(2));
    then(notice, seen);
}

fn privileges() {
    if !Uid::current().is_root() {
        println!("skipped, needs root: privileges");
        return;
    }
    let nobody = User::from_name("nobody").unwrap().expect("an account nobody");
    let (uid, gid) = (nobody.uid, nobody.gid);
    let ids = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nGroups:\t{gid} \n");
    let capabilities = "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n";
    let (code, stdout, stderr) = run(role("privileges"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("{ids}{capabilities}").repeat(2));
}

/// Drops privileges beside the thread of a log and prints what the system thinks of both.
fn drop_all() {
    let _log = Messages::open(&settings(Destination::Stderr), 1).unwrap();
    setgroups(&[0, 4, 24].map(Gid::from_raw)).unwrap();
    drop_privileges("nobody", false, false).unwrap();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let shown = ["Uid:", "Gid:", "Groups:", "CapPrm:", "CapEff:"];
        for line in status.lines().filter(|line| shown.iter().any(|field| line.starts_with(field))) {
            println!("{line}");
        }
    }
}

/// What a process keeps that has to use foreign addresses, and what a program gets that it starts.
fn capability() {
    if !Uid::current().is_root() {
        println!("skipped, needs root: capability");
        return;
    }
    let (code, stdout, stderr) = run(role("capability"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // CAP_NET_RAW has the number 13 (capabilities(7)).
    let own =
        "CapInh:\t0000000000000000\nCapPrm:\t0000000000002000\nCapEff:\t0000000000002000\nCapAmb:\t0000000000000000\n";
    let none =
        "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    assert_eq!(stdout, format!("{own}{own}transparent\n{none}"));
}

/// Drops privileges but for the one, and prints what the system thinks of the process, of a thread and of a program.
fn drop_all_but_one() {
    drop_privileges("nobody", false, true).unwrap();
    let own = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    show_capabilities(&own());
    show_capabilities(&std::thread::spawn(own).join().unwrap());
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
    socket.set_ip_transparent_v6(true).unwrap();
    println!("transparent");
    show_capabilities_of_program();
}

fn show_capabilities(status: &str) {
    let fields = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];
    let lines = status.lines().filter(|line| fields.iter().any(|field| line.starts_with(field)));
    lines.for_each(|line| println!("{line}"));
}

fn show_capabilities_of_program() {
    let program = Command::new("cat").arg("/proc/self/status").output().unwrap();
    show_capabilities(&String::from_utf8(program.stdout).unwrap());
}

/// A service that was never root, with AmbientCapabilities=CAP_NET_RAW CAP_NET_BIND_SERVICE, which have the numbers 13 and 10:
/// the first is for the process alone, where it uses foreign addresses, and is given up where it does not.
fn given() {
    if !Uid::current().is_root() {
        println!("skipped, needs root: given");
        return;
    }
    let sets = |inherited: &str, own: &str| {
        format!("CapInh:\t{inherited}\nCapPrm:\t{own}\nCapEff:\t{own}\nCapAmb:\t{inherited}\n")
    };
    let (both, bind) = ("0000000000002400", "0000000000000400");
    for (name, own) in [("given", both), ("given-in-vain", bind)] {
        let (code, stdout, stderr) = run(role(name));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{name}");
        assert_eq!(stdout, sets(both, both) + &sets(bind, own) + &sets(bind, bind), "{name}");
    }
}

/// Becomes such a service, then does what the start does, and prints the capabilities before, after, and of a program.
fn drop_what_was_given(foreign: bool) {
    use caps::{CapSet, Capability, CapsHashSet};
    caps::securebits::set_keepcaps(true).unwrap();
    setgroups(&[]).unwrap();
    setgid(Gid::from_raw(65_534)).unwrap();
    setuid(Uid::from_raw(65_534)).unwrap();
    let both = CapsHashSet::from([Capability::CAP_NET_RAW, Capability::CAP_NET_BIND_SERVICE]);
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient] {
        caps::set(None, set, &both).unwrap();
    }
    let own = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    show_capabilities(&own());
    drop_privileges("nobody", false, foreign).unwrap();
    show_capabilities(&own());
    show_capabilities_of_program();
}

fn descriptors() {
    let beyond_hard = if may_raise_hard_limits() { 300 } else { 200 };
    assert_eq!(run(role("descriptors")).1, format!("150 150 {beyond_hard}\n"));
}

/// Whether this process has CAP_SYS_RESOURCE, number 24 (capabilities(7)); root of a container often has not.
fn may_raise_hard_limits() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(set.trim(), 16).unwrap() >> 24 & 1 == 1
}

fn limit_and_raise() {
    setrlimit(Resource::RLIMIT_NOFILE, 100, 200).unwrap();
    let within = raise_descriptors(150);
    let again = raise_descriptors(120);
    println!("{within} {again} {}", raise_descriptors(300));
}

fn log_to_stdout() {
    let (code, stdout, stderr) = run(role("stdout"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    check_spoken(&stdout);
}

fn log_to_stderr() {
    let (code, stdout, stderr) = run(role("stderr"));
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    check_spoken(&stderr);
}

fn check_spoken(text: &str) {
    let expected = [
        "ExaProxy 4049   supervisor    Starting exaproxy",
        "ExaProxy 4049   signal        SIG TRAP",
        "ExaProxy 4049   worker 7      now seen",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

fn settings(destination: Destination) -> LogSettings {
    LogSettings {
        identifier: "ExaProxy".into(),
        enable: true,
        level: Severity::Error,
        switches: Switches::ALL,
        destination,
        rotation: Rotation::NEVER,
        syslog: SyslogForm::ExaProxy,
        directives: None,
    }
}

fn speak(destination: Destination) {
    let messages = Messages::open(&settings(destination), 4049).unwrap().install().unwrap();
    log::error!(target: "supervisor", "Starting exaproxy");
    log::info!(target: "worker 7", "not seen");
    critical!(target: "signal", "SIG {}", "TRAP");
    messages.toggle_debug();
    log::debug!(target: "worker 7", "now seen");
    assert!(messages.flush(HANG));
}

fn flood() {
    let (mut child, _alive) = start(role("flood"));
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "went on\n");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let written = text.lines().filter(|line| line.contains("line number")).count() as u64;
    let told = text
        .lines()
        .filter_map(|line| line.split_once(" log line"))
        .map(|(before, _)| before.split_whitespace().last().and_then(|number| number.parse::<u64>().ok()).unwrap());
    let lost: u64 = told.sum();
    assert!(lost > 0, "the flood was too small");
    assert_eq!(written + lost, FLOOD);
}

/// Logs more than the reader takes, says that it was not held up by that, and ends when the log is written.
fn pour() {
    let messages = Messages::open(&settings(Destination::Stdout), 1).unwrap().install().unwrap();
    for number in 0..FLOOD {
        log::error!(target: "client", "line number {number}");
    }
    eprintln!("went on");
    assert!(messages.flush(HANG));
}

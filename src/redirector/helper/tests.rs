//! Threads with real programs.

use std::os::fd::AsFd;

use super::super::url::{LineForm, Url};
use super::*;

/// Times that something is waited for 20 ms before a test has failed.
const PATIENCE: u32 = 1000;

/// What a thread has said, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Runs(u32),
    Reply(u64, String),
    Gone(String),
}

struct Bench {
    near: Near,
    said: std::collections::VecDeque<Said>,
}

/// A helper that is this script.
fn shell(script: &str) -> Bench {
    start_program("/bin/sh", &["-c", script])
}

fn start_program(path: &str, arguments: &[&str]) -> Bench {
    let dialect = Dialect::Url(Url { line: LineForm::Exaproxy, extras: "".parse().unwrap(), concurrency: 0 });
    let arguments = arguments.iter().map(ToString::to_string).collect();
    let program = Arc::new(Program { path: path.into(), arguments, dialect });
    Bench { near: start(1, program).unwrap().0, said: Default::default() }
}

impl Bench {
    fn ask(&mut self, text: &str) {
        self.near.send(Frame { kind: kind::ASK, key: 0, payload: text.as_bytes() }).unwrap();
    }

    fn kill(&mut self) {
        self.say(kind::KILL);
    }

    fn say(&mut self, kind: u8) {
        self.near.send(Frame { kind, key: 0, payload: b"" }).unwrap();
    }

    /// Waits for the next thing that the thread says.
    fn next(&mut self) -> Said {
        for _ in 0..PATIENCE {
            if let Some(said) = self.said.pop_front() {
                return said;
            }
            // A thread that has ended takes no more of a question, and what it said last can still be read.
            let _ = self.near.flush();
            let source = self.near.source();
            let mut fds = [PollFd::new((*source).as_fd(), PollFlags::POLLIN)];
            // What the kernel did not take of a question is tried again meanwhile.
            if poll(&mut fds, PollTimeout::from(20_u16)).unwrap() == 0 {
                continue;
            }
            let said = &mut self.said;
            self.near
                .receive(|frame| {
                    let text = String::from_utf8_lossy(frame.payload).into_owned();
                    said.push_back(match frame.kind {
                        kind::RUNS => Said::Runs(frame.key as u32),
                        kind::REPLY => Said::Reply(frame.key, text),
                        kind::GONE => Said::Gone(text),
                        other => panic!("a frame of kind {other}"),
                    });
                })
                .unwrap();
        }
        panic!("nothing was said for long");
    }

    fn runs(&mut self) -> u32 {
        match self.next() {
            Said::Runs(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn gone(&mut self) -> String {
        loop {
            if let Said::Gone(text) = self.next() {
                return text;
            }
        }
    }
}

#[test]
fn questions_go_in_and_replies_come_out() {
    let mut bench = shell("while read line; do echo \"<$line>\"; done");
    bench.runs();
    for round in 1..=3 {
        bench.ask("a.b/ 1.2.3.4 - GET -\n");
        assert_eq!(bench.next(), Said::Reply(round, "<a.b/ 1.2.3.4 - GET ->\n".into()));
    }
    bench.near.finish().unwrap();
    assert_eq!(bench.gone(), "exited with code 0");
}

#[test]
fn how_a_helper_ends_is_told() {
    for (script, text) in [
        ("exit 3", "exited with code 3"),
        ("kill -9 $$", "was killed by signal 9 (SIGKILL)"),
        ("read line; exec >&-; read line", "exited with code 1"),
    ] {
        let mut bench = shell(script);
        bench.runs();
        if script.contains("read") {
            bench.ask("x\n");
        }
        assert_eq!(bench.gone(), text, "{script}");
    }
}

#[test]
fn row_1_what_cannot_be_started_is_told_with_the_reason() {
    let mut bench = start_program("/nonexistent/helper", &[]);
    assert_eq!(bench.gone(), "cannot be started: /nonexistent/helper: No such file or directory (os error 2)");
    let mut bench = start_program("/etc/passwd", &[]);
    assert_eq!(bench.gone(), "cannot be started: /etc/passwd: Permission denied (os error 13)");
}

#[test]
fn a_killed_helper_takes_what_it_has_started_with_it() {
    let mut bench = shell("sleep 1000 & echo $!; wait");
    bench.runs();
    let Said::Reply(0, line) = bench.next() else { panic!("no line") };
    let sleeper = Pid::from_raw(line.trim().parse().unwrap());
    bench.kill();
    assert_eq!(bench.gone(), "was killed by signal 9 (SIGKILL)");
    while nix::sys::signal::kill(sleeper, None).is_ok() && !is_zombie(sleeper) {
        std::thread::yield_now();
    }
}

use nix::unistd::Pid;

fn is_zombie(id: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_helper_that_ignores_everything_is_killed_in_the_end() {
    let mut bench = shell("trap '' TERM; while :; do sleep 1000; done");
    bench.runs();
    bench.near.finish().unwrap();
    assert_eq!(bench.gone(), "was killed by signal 9 (SIGKILL)");
}

#[test]
fn floods_are_stopped() {
    let mut bench = shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; done");
    bench.runs();
    assert_eq!(bench.gone(), "was killed by signal 9 (SIGKILL): it floods its standard error");
}

#[test]
fn row_8_a_helper_that_does_not_read_is_killed_and_blocks_nobody() {
    let mut bench = shell("exec sleep 1000");
    bench.runs();
    let question = "x".repeat(1 << 20);
    (0..10).for_each(|_| bench.ask(&question));
    assert_eq!(bench.gone(), "was killed by signal 9 (SIGKILL): it does not read its standard input");
}

#[test]
fn a_helper_that_closes_its_input_may_still_have_said_something() {
    let mut bench = shell("exec <&-; echo last; sleep 1000");
    bench.runs();
    bench.ask("x\n");
    let Said::Reply(_, text) = bench.next() else { panic!("no reply") };
    assert_eq!(text, "last\n");
    bench.kill();
    bench.gone();
}

#[test]
fn a_helper_has_three_descriptors_and_a_process_group_of_its_own() {
    crate::system::descriptors::keep_to_ourselves().unwrap();
    let mut bench = shell("read line; echo; read line");
    let id = bench.runs();
    let link = |fd: &str| std::fs::read_link(format!("/proc/{id}/fd/{fd}")).unwrap();
    // Once it has replied it is the program, and done with opening its libraries.
    bench.ask("x\n");
    assert_eq!(bench.next(), Said::Reply(1, "\n".into()));
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    assert_eq!(open, 3);
    assert!(["0", "1", "2"].iter().all(|fd| link(fd).to_string_lossy().starts_with("pipe:")));
    let group = nix::unistd::getpgid(Some(Pid::from_raw(id as i32))).unwrap();
    assert_eq!(group.as_raw() as u32, id);
    let mask = |id: &str, name: &str| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        // Of real-time signals some are the C library's own.
        u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap() & 0x7fff_ffff
    };
    let helper = id.to_string();
    // What was ignored when the tests were started, as nohup does, stays so. SIGPIPE is ignored by them, and not by helpers.
    let inherited = mask("self", "SigIgn:") & !(1 << (nix::libc::SIGPIPE - 1));
    assert_eq!((mask(&helper, "SigBlk:"), mask(&helper, "SigIgn:")), (0, inherited));
    bench.kill();
    bench.gone();
}

#[test]
fn a_helper_that_is_retired_can_still_be_killed() {
    // It becomes another program once its input has ended, so that its thread waits for it by then. SIGTERM would do.
    let mut bench = shell("while read line; do :; done; exec sleep 1000");
    let id = bench.runs();
    bench.say(kind::RETIRE);
    while !std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap().starts_with("sleep") {
        std::thread::yield_now();
    }
    bench.kill();
    assert_eq!(bench.gone(), "was killed by signal 9 (SIGKILL)");
}

#[test]
fn a_helper_that_ends_by_itself_leaves_nobody_behind() {
    let mut bench = shell("sleep 1000 & echo $!; read line; exit 7");
    bench.runs();
    let Said::Reply(0, line) = bench.next() else { panic!("no line") };
    let sleeper = Pid::from_raw(line.trim().parse().unwrap());
    // The sleeper holds the pipes open: only the look at the process tells.
    bench.ask("x\n");
    bench.ask("y\n");
    assert_eq!(bench.gone(), "exited with code 7");
    while nix::sys::signal::kill(sleeper, None).is_ok() && !is_zombie(sleeper) {
        std::thread::yield_now();
    }
}

#[test]
fn a_helper_that_talks_without_end_is_heard_once_too_often_and_can_be_killed() {
    let mut bench = shell("exec yes");
    bench.runs();
    assert_eq!(bench.next(), Said::Reply(0, "y\n".into()));
    bench.kill();
    assert_eq!(bench.next(), Said::Gone("was killed by signal 9 (SIGKILL)".into()));
    let mut bench = shell("read line; echo; echo; echo; exec sleep 1000");
    bench.runs();
    bench.ask("x\n");
    assert_eq!((bench.next(), bench.next()), (Said::Reply(1, "\n".into()), Said::Reply(1, "\n".into())));
    bench.kill();
    assert_eq!(bench.next(), Said::Gone("was killed by signal 9 (SIGKILL)".into()));
}

#[test]
fn a_line_without_end_is_a_flood() {
    let mut bench = shell("tr '\\0' x </dev/zero");
    bench.runs();
    assert_eq!(bench.next(), Said::Gone("was killed by signal 9 (SIGKILL): it floods its standard output".into()));
}

#[test]
fn a_helper_ends_with_the_loop() {
    let mut bench = shell("trap '' TERM; exec sleep 1000");
    let id = bench.runs();
    drop(bench);
    let id = Pid::from_raw(id as i32);
    while nix::sys::signal::kill(id, None).is_ok() {
        std::thread::yield_now();
    }
}

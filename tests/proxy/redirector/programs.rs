//! Programs that cannot be helpers: missing, not executable, or gone as soon as they are started; and the configuration
//! that names them.

use std::os::unix::fs::PermissionsExt;

use super::{assert_failed, get};
use crate::support::{eventually, Helpers, Origin, Proxy};

/// Runs the binary with this program until it ends by itself, and gives what it wrote to standard error.
fn refused(program: &str, more: &[(&str, &str)]) -> String {
    let mut options = vec![("redirector.enable", "true"), ("redirector.program", program)];
    options.extend(more);
    let run = Proxy::run(&[], &options);
    assert_eq!(run.code, Some(1), "{program:?}: {}{}", run.stdout, run.stderr);
    run.stderr
}

#[test]
fn a_program_that_cannot_be_run_is_an_error_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").expect("a file");
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).expect("our own file");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path of text").to_owned();
    let table = [
        (path("missing"), "exist"),
        (format!("{} with arguments", path("missing")), "exist"),
        (path("plain"), "executed"),
        (path(""), "file"),
        (String::new(), "redirector.program"),
    ];
    for (program, expected) in table {
        let said = refused(&program, &[]);
        assert!(said.contains("redirector.program") && said.contains(expected), "{program:?}: {said:?}");
    }
}

#[test]
fn options_of_helpers_are_checked() {
    for (name, value) in [
        ("redirector.protocol", "gopher"),
        ("redirector.on-failure", "maybe"),
        ("redirector.line", "squint"),
        ("redirector.timeout", "0"),
        ("redirector.timeout", "soon"),
        ("redirector.minimum", "0"),
        ("redirector.maximum", "0"),
        ("redirector.concurrency", "-1"),
        ("redirector.queue", "many"),
    ] {
        let said = refused("/bin/cat", &[(name, value)]);
        assert!(said.contains(name) && said.contains(value), "{name} = {value}: {said:?}");
    }
    let said = refused("/bin/cat", &[("redirector.minimum", "4"), ("redirector.maximum", "3")]);
    assert!(said.contains("redirector.maximum"), "{said:?}");
}

/// The options of a proxy whose helpers are this program.
fn options<'a>(program: &'a str, policy: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut options = vec![("redirector.enable", "true"), ("redirector.program", program)];
    options.extend([("redirector.minimum", "2"), ("redirector.maximum", "2"), ("redirector.on-failure", policy)]);
    options
}

#[test]
fn row_5_the_proxy_serves_by_policy_while_its_helpers_end_at_once() {
    for program in ["/bin/false", "/bin/true", "/bin/sh /no/such/script"] {
        let mut proxy = Proxy::start(&options(program, "permit"));
        let origin = Origin::site();
        for _ in 0..20 {
            assert_eq!(get(&proxy, &origin, "/x").text(), "/x", "{program}");
        }
        proxy.wait_log("exited with code");
        assert!(proxy.alive(), "{program}");
        let proxy = Proxy::start(&options(program, "error"));
        assert_failed(&get(&proxy, &origin, "/x"));
        let proxy = Proxy::start(&options(program, "deny"));
        assert_eq!(get(&proxy, &origin, "/x").status(), 403, "{program}");
    }
}

/// Starts that fail are tried again, less and less often: a program that ends at once must not eat a core or fill the log.
#[test]
fn starts_that_fail_are_spaced_out() {
    let proxy = Proxy::start(&options("/bin/false", "permit"));
    proxy.wait_counter_reaches("helpers.started", 6);
    let (started, lines) = (proxy.counter("helpers.started"), proxy.log().lines().count());
    let origin = Origin::site();
    for _ in 0..200 {
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    }
    // Two hundred requests in that state are no reason to start hundreds of helpers.
    assert!(proxy.counter("helpers.started") < started + 12, "{} starts", proxy.counter("helpers.started"));
    assert!(proxy.log().lines().count() < lines + 100, "{}", proxy.log());
}

#[test]
fn a_program_that_comes_back_is_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("helper");
    let write = |text: &str| std::fs::write(&file, text).expect("a script");
    write("exit 1");
    let program = format!("/bin/sh {}", file.display());
    let proxy = Proxy::start(&options(&program, "error"));
    let origin = Origin::site();
    assert_failed(&get(&proxy, &origin, "/x"));
    write("while read line; do echo; done");
    eventually("a helper that works", || (get(&proxy, &origin, "/x").text() == "/x").then_some(()));
}

#[test]
fn a_program_that_vanishes_is_missed_with_its_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("helper");
    std::fs::copy("/bin/cat", &file).expect("a copy of a program");
    let program = file.to_str().expect("a path of text").to_owned();
    let proxy = Proxy::start(&options(&program, "permit"));
    let origin = Origin::site();
    proxy.wait_counter("processes.forked", 2);
    std::fs::remove_file(&file).expect("our own file");
    // A bare echo is no reply of this protocol, but it comes; now kill them both.
    for entry in std::fs::read_dir("/proc").expect("a list of processes") {
        kill_child(&proxy, &entry.expect("an entry").file_name().to_string_lossy());
    }
    proxy.wait_log(&program);
    proxy.wait_log("No such file");
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
}

fn kill_child(proxy: &Proxy, name: &str) {
    let stat = std::fs::read_to_string(format!("/proc/{name}/stat")).unwrap_or_default();
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1).map(str::to_owned));
    if parent == Some(proxy.pid().to_string()) {
        crate::support::helpers::signal(name.parse().expect("a process id"), nix::sys::signal::Signal::SIGKILL);
    }
}

#[test]
fn real_programs_may_be_helpers() {
    let origin = Origin::site();
    // It answers each line with an empty one.
    let proxy = Proxy::start(&options("/bin/sed -u s/.*//", "error"));
    for _ in 0..3 {
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    }
}

#[test]
fn helpers_are_not_started_when_they_are_not_wanted() {
    let helpers = Helpers::answering(|_| "redirect://http://elsewhere.test/".to_owned());
    let program = helpers.program();
    let proxy = Proxy::start(&[("redirector.enable", "false"), ("redirector.program", &program)]);
    let origin = Origin::site();
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    assert_eq!(proxy.counter("processes.forked"), 0);
    assert!(helpers.pids().is_empty());
    // Nor are they looked for.
    let proxy = Proxy::start(&[("redirector.program", "/no/such/program")]);
    assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
}

/// A helper that ends while a question is on its way to it, after twenty others.
const TIRED: &str = "n=0\nwhile read -r line; do echo; n=$((n + 1)); [ $n -lt 20 ] || exit 3; done\n";

#[test]
fn how_a_helper_ended_is_told_also_where_it_could_not_be_asked_any_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("tired");
    std::fs::write(&script, TIRED).expect("our own folder");
    let program = format!("/bin/sh {}", script.display());
    let proxy = Proxy::start(&options(&program, "error"));
    let origin = Origin::site();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = proxy.client();
                // Some get no decision: two helpers in a row may end over one question.
                (0..300).for_each(|_| drop(client.get(&origin.url("/asked"))));
            });
        }
    });
    let ends = proxy.log().matches(" exited with code 3").count();
    assert!(ends >= 40, "{ends} helpers have ended");
    let log = proxy.log();
    let other: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" worker ") && !line.contains("started") && !line.contains("exited"))
        .collect();
    assert!(other.is_empty(), "{other:#?}");
}

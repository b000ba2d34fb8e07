//! Files of users: what stops a start, what takes the place of what while running.

use std::fs;

use nix::sys::signal::Signal;

use super::{ask, Users};
use crate::support::{client, eventually, Gate, Helpers, Origin, Proxy};

/// `secret`, by htpasswd -B -C 4.
pub const BCRYPT: &str = "$2y$04$ijxkDsO6erdRKukhkaotnOUr.kbvK2fmyngbSREc0ySX2HeDypXl.";

#[test]
fn a_start_that_cannot_have_its_users_ends_with_file_and_line() {
    let users = Users::new("# ours\nann:secret\nbob\n");
    let path = users.path();
    for (option, other) in [("auth.users", ("auth.enable", "true")), ("web.users", ("web.enable", "true"))] {
        users.replace("# ours\nann:secret\nbob\n");
        let ended = Proxy::run(&[], &[(option, &path), other]);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{option}: {path}:3: no colon")), "{}", ended.stderr);
        users.replace("ann:$1$abc$def\n");
        let ended = Proxy::run(&["--check"], &[(option, &path), other]);
        assert!(ended.code == Some(1) && ended.stderr.contains(&format!("{path}:1: ")), "{}", ended.stderr);
    }
    let ended = Proxy::run(&[], &[("auth.enable", "true"), ("auth.users", "/nowhere/users")]);
    assert!(ended.code == Some(1) && ended.stderr.contains("/nowhere/users"), "{}", ended.stderr);
    let ended = Proxy::run(&[], &[("auth.enable", "true")]);
    assert!(ended.code == Some(1) && ended.stderr.contains("auth.users"), "{}", ended.stderr);
}

#[test]
fn users_are_replaced_while_running_and_a_wrong_file_is_told_on_the_front_page() {
    let origin = Origin::site();
    let users = Users::new("ann:secret\n");
    let proxy = users.proxy(&[]);
    let mut client = proxy.client();
    assert_eq!(ask(&mut client, &origin, "/", "ann:secret").status(), 200);
    let first = proxy.counters();
    assert_eq!((first["users.proxy.count"], first["users.proxy.generation"]), (1, 1));
    users.replace("ann:other\nbob:secret\n");
    proxy.wait_counter("users.proxy.generation", 2);
    for (credentials, status) in [("ann:secret", 407), ("ann:other", 200), ("bob:secret", 200)] {
        assert_eq!(ask(&mut client, &origin, "/", credentials).status(), status, "{credentials}");
    }
    users.replace("ann:third\n\nbob\n");
    let wrong = format!("auth.users: {}:3: no colon", users.path());
    proxy.wait_log(&wrong);
    assert_eq!(ask(&mut client, &origin, "/", "ann:other").status(), 200, "the users before stay");
    assert_eq!(ask(&mut client, &origin, "/", "ann:third").status(), 407);
    let page = || proxy.monitor_page("/");
    eventually("the front page to tell", || page().contains(&wrong).then_some(()));
    users.replace("ann:third\n");
    proxy.wait_counter("users.proxy.generation", 3);
    eventually("the front page to be well", || (!page().contains(&wrong)).then_some(()));
    assert_eq!(ask(&mut client, &origin, "/", "ann:third").status(), 200);
}

#[test]
fn a_reload_reads_users_again_and_fails_as_a_whole() {
    let origin = Origin::site();
    let users = Users::new("ann:secret\n");
    let proxy = users.proxy(&[]);
    let mut client = proxy.client();
    assert_eq!(ask(&mut client, &origin, "/", "ann:secret").status(), 200);
    // The same file again: no password has to be checked again.
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(ask(&mut client, &origin, "/", "ann:secret").status(), 200);
    let now = proxy.counters();
    assert_eq!((now["auth.checked"], now["auth.kept"], now["users.proxy.generation"]), (1, 1, 1));
    users.replace("ann\n");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("the configuration stays as it was: auth.users: ");
    let told = || proxy.monitor_page("/").contains("the configuration stays as it was: auth.users: ");
    eventually("the front page to tell", || told().then_some(()));
    assert_eq!(ask(&mut client, &origin, "/", "ann:secret").status(), 200);
    users.replace("ann:secret\n");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_times("configuration reloaded", 2);
    eventually("the front page to be well", || (!told()).then_some(()));
}

/// Users who come into force between a helper's question and its reply: what it rewrites to is still judged by the lists.
#[test]
fn a_helper_rewrites_past_no_list_while_users_come_into_force() {
    let (gate, origin, other) = (Gate::default(), Origin::site(), Origin::site());
    let to = format!("http://{}/", other.address());
    let helpers = Helpers::answering({
        let gate = gate.clone();
        move |_| gate.pass().map_or_else(|_| String::new(), |()| format!("OK rewrite-url=\"{to}\""))
    });
    let users = Users::new("ann:secret\n");
    let list = helpers.path("list");
    fs::write(&list, format!("127.0.0.1:{}\n", other.port())).expect("a list");
    let ini = |auth: &str| {
        let program = helpers.program();
        format!("[redirector]\nenable = true\nprogram = {program}\n[acl]\nblocklist = {list}\n{auth}")
    };
    let proxy = Proxy::start_with(&[], &ini(""));
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/")));
    helpers.wait_asked(1);
    fs::write(proxy.file(), ini(&format!("[auth]\nenable = true\nusers = {}\n", users.path()))).expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    gate.open();
    assert_eq!((client.reply().status(), other.connections()), (403, 0));
}

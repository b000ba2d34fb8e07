//! Stops of what a former version has left.

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{drainers, is_zombie, upgrade, Installed};
use crate::support::{eventually, Client, Helpers, Origin, Proxy};

fn has_ended(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_err() || is_zombie(pid)
}

/// A client that has begun a request, and is to end it with an empty line.
fn begun(proxy: &Proxy, origin: &Origin) -> Client {
    let before = proxy.clients();
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\n", origin.url("/late")));
    proxy.wait_clients(before + 1);
    client
}

/// As all processes of a service do (`systemctl kill`).
#[test]
fn a_drainer_that_is_told_of_a_soft_stop_keeps_its_clients() {
    let installed = Installed::new();
    let proxy = installed.start(&[]);
    let origin = Origin::site();
    let (mut client, mut other) = (begun(&proxy, &origin), begun(&proxy, &origin));
    upgrade(&proxy, 1);
    let drainer = drainers(&proxy)[0];
    kill(Pid::from_raw(drainer), Signal::SIGQUIT).expect("a living process");
    proxy.wait_log("SIGQUIT received");
    client.send("\r\n");
    assert_eq!(client.reply().text(), "/late");
    kill(Pid::from_raw(drainer), Signal::SIGQUIT).expect("a living process");
    other.expect_end();
    eventually("the end of the drainer", || has_ended(drainer).then_some(()));
    proxy.assert_serves();
}

/// It is a child of the service, which reaps it when its next second begins.
#[test]
fn a_helper_of_a_drainer_that_has_ended_is_not_taken_for_one_that_does_not_end() {
    let installed = Installed::new();
    let helpers = Helpers::answering(|_| String::new());
    let program = helpers.program();
    let options = [("redirector.enable", "true"), ("redirector.program", &program[..]), ("redirector.minimum", "1")];
    let proxy = installed.start(&options);
    helpers.wait_started(1);
    upgrade(&proxy, 1);
    eventually("the end of the drainer", || drainers(&proxy).is_empty().then_some(()));
    assert!(!proxy.log().contains("does not end and is killed"), "{}", proxy.log());
}

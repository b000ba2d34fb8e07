//! What a drainer says to the service while the next version has not begun: that hears it, or is of a kind that passes it over.

use nix::sys::signal::Signal;

use super::moving::{all_moved, logging, GREETING};
use super::{upgrade, Installed};
use crate::support::helpers::PYTHON;
use crate::support::{file_lines, Client, Origin, Proxy};

/// A next version that waits until a drainer of the version before has offered a tunnel, and then does something. In a trial it is the
/// program itself.
fn waiting(then: &str) -> String {
    let real = env!("CARGO_BIN_EXE_exaproxy");
    format!(
        r#"#!{PYTHON}
import os, signal, socket, sys
given = os.environ.get("EXAPROXY_HANDOVER", "").split()
if given and "trial" not in given:
    first = next(word for word in given if word.startswith("line="))
    line = socket.socket(fileno=int(first.split(":")[1]))
    line.setblocking(True)
    while line.recv(1, socket.MSG_PEEK) not in (b"t", b""):
        line.recv(1)
    {then}
os.execv("{real}", ["{real}"] + sys.argv[1:])
"#
    )
}

/// A tunnel that a drainer offers while the next version, which does this then, has not begun.
fn offered_meanwhile(then: &str) -> (Proxy, std::path::PathBuf, Client, Origin, Installed) {
    let installed = Installed::new();
    let options = [("security.sni", "log"), ("http.head-timeout", "0"), ("daemon.drain-timeout", "600")];
    let (proxy, log) = logging(&installed, "%m %>s %I %O %{failure}x", &options);
    let echo = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&echo.address().to_string());
    // It stays where it is while its beginning is judged.
    client.send([0x16]);
    proxy.wait_counter("clients.tunnels", 1);
    upgrade(&proxy, 1);
    proxy.wait_line("keeps 1 client of a former version, 1 in tunnels");
    installed.replace(&waiting(then));
    proxy.signal(Signal::SIGALRM);
    proxy.wait_log_times("the next version has taken over", 2);
    client.send("no hello");
    assert_eq!(client.read(9), b"\x16no hello");
    (proxy, log, client, echo, installed)
}

#[test]
fn a_tunnel_that_is_offered_meanwhile_goes_on_in_the_next_version() {
    // What no version has said yet means nothing.
    let (proxy, log, mut client, _echo, _installed) = offered_meanwhile("line.send(b'x1'); line.detach()");
    proxy.wait_log_times("Starting exaproxy", 3);
    client.send("more");
    assert_eq!(client.read(4), b"more");
    all_moved(&proxy, 1);
    client.shut();
    client.expect_close();
    assert_eq!(file_lines(&log, 1), [format!("CONNECT 200 13 {} -", GREETING + 13)]);
}

/// One that takes no tunnels answers nothing.
#[test]
fn a_tunnel_that_is_offered_to_a_version_that_takes_none_goes_on_where_it_was() {
    let ready = "line.recv(1); line.send(b'.'); print('an old version is ready', flush=True); signal.pause()";
    let (proxy, log, mut client, _echo, _installed) = offered_meanwhile(ready);
    proxy.wait_log("an old version is ready");
    client.send("more");
    assert_eq!(client.read(4), b"more");
    client.shut();
    client.expect_close();
    assert_eq!(file_lines(&log, 1), [format!("CONNECT 200 13 {} -", GREETING + 13)]);
}

//! Outages that users notice, and what the monitor, the log and balancers are told of them: before, during and after.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use nix::sys::signal::Signal;

use crate::limits::limited;
use crate::support::{eventually, Answer, Client, Gate, Helpers, NameServer, Origin, Proxy, Refusing};

/// The status and the text of `/health` with this query.
fn health(proxy: &Proxy, query: &str) -> (u16, String) {
    let mut client = Client::connect(proxy.web());
    client.send(format!("GET /health{query} HTTP/1.1\r\n\r\n"));
    let reply = client.reply();
    (reply.status(), reply.text())
}

/// Asserts that nothing of this kind is under way.
fn assert_well(proxy: &Proxy, word: &str) {
    assert_eq!(health(proxy, ""), (200, "ok\n".into()));
    assert_ne!(health(proxy, "?strict").1, format!("{word}\n"));
    assert!(metrics(proxy).contains(&format!("exaproxy_trouble{{kind=\"{word}\"}} 0\n")), "{word}");
}

fn metrics(proxy: &Proxy) -> String {
    let mut client = Client::connect(proxy.web());
    client.send("GET /metrics HTTP/1.1\r\n\r\n");
    client.reply().text()
}

/// Waits until an episode has begun, and asserts that all who look are told.
fn wait_trouble(proxy: &Proxy, word: &str, text: &str) {
    let on = format!("exaproxy_trouble{{kind=\"{word}\"}} 1\n");
    eventually(word, || metrics(proxy).contains(&on).then_some(()));
    assert!(proxy.monitor_page("/").contains(text), "{}", proxy.monitor_page("/"));
    assert_eq!(health(proxy, "").0, 200, "sending clients elsewhere mends nothing");
    let (status, first) = health(proxy, "?strict");
    assert!(status == 503 && !first.is_empty(), "{first}");
    assert_eq!(proxy.counter(&format!("episodes.{word}")), 1);
}

/// Waits until it is over.
fn wait_over(proxy: &Proxy, word: &str, text: &str) {
    proxy.wait_log(text);
    assert_well(proxy, word);
    assert!(!proxy.monitor_page("/").contains(text));
}

fn ask(proxy: &Proxy, url: &str, times: usize) {
    (0..times).for_each(|_| drop(proxy.client().get(url)));
}

#[test]
fn silent_name_servers_are_told_until_one_answers() {
    let answers = Arc::new(AtomicBool::new(false));
    let names = NameServer::start({
        let answers = Arc::clone(&answers);
        move |query| match answers.load(Ordering::Relaxed) {
            true => crate::dns::everything(query),
            false => Answer::Silence,
        }
    });
    let Some(names) = names else { return };
    let resolver = names.resolv_conf_with("options timeout:1 attempts:1\n");
    let proxy = Proxy::start(&[("dns.resolver", &resolver), ("web.alarm-errors", "0")]);
    assert_well(&proxy, "name_servers_silent");
    let origin = Origin::site();
    ask(&proxy, &format!("http://one.test:{}/", origin.port()), 1);
    wait_trouble(&proxy, "name_servers_silent", "no name server answers");
    proxy.wait_log("no name server answers: look at dns.resolver");
    answers.store(true, Ordering::Relaxed);
    // It may take a moment until it is asked again.
    eventually("a name", || {
        (proxy.client().get(&format!("http://two.test:{}/here", origin.port())).text() == "/here").then_some(())
    });
    wait_over(&proxy, "name_servers_silent", "name servers answer again, after");
    assert_eq!(proxy.log().matches("no name server answers").count(), 1);
}

#[test]
fn origins_that_refuse_are_told_with_their_share_and_cause() {
    let (proxy, refusing) = (Proxy::start(&[]), Refusing::new());
    assert_well(&proxy, "requests_fail");
    ask(&proxy, &format!("http://{}/", refusing.address()), 25);
    wait_trouble(&proxy, "requests_fail", "requests of the last minute failed (web.alarm-errors): 2");
    proxy.wait_log("connection_refused");
    assert_eq!(proxy.log().matches("of the last minute failed").count(), 1, "one line for all of them");
}

#[test]
fn helpers_that_write_garbage_are_told_once() {
    let helpers = Helpers::answering(|_| "nonsense".into());
    let (proxy, origin) = (helpers.proxy(&[("web.alarm-errors", "0")]), Origin::site());
    assert_well(&proxy, "helpers_unreadable");
    ask(&proxy, &origin.url("/"), 12);
    wait_trouble(&proxy, "helpers_unreadable", "replies of helpers cannot be read, ");
    proxy.wait_log("replies of helpers cannot be read, ");
    assert!(proxy.log().matches("a worker's reply cannot be read").count() <= 2, "{}", proxy.log());
    assert_eq!(origin.connections(), 0);
}

#[test]
fn helpers_that_hang_are_told_before_requests_fail() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[("redirector.timeout", "60"), ("http.decision-timeout", "60")]);
    let origin = Origin::site();
    assert_well(&proxy, "helpers_hang");
    let mut clients: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| client.send(crate::support::client::get(&origin.url("/late"))));
    wait_trouble(&proxy, "helpers_hang", "no reply of a helper has come for 5 s");
    proxy.wait_log("no reply of a helper has come for 5 s, requests that wait: ");
    gate.open_for(4);
    clients.iter_mut().for_each(|client| assert_eq!(client.reply().text(), "/late"));
    wait_over(&proxy, "helpers_hang", "helpers reply again, after");
}

#[test]
fn a_refused_reload_is_trouble_until_one_succeeds() {
    let proxy = Proxy::start_with(&[], "[http]\nheader-size = 2000\n");
    assert_well(&proxy, "reload_refused");
    std::fs::write(proxy.file(), "[http]\nheader-size = many\n").expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("the configuration stays as it was: ");
    wait_trouble(&proxy, "reload_refused", "the configuration stays as it was: ");
    std::fs::write(proxy.file(), "[http]\nheader-size = 2000\n").expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    wait_over(&proxy, "reload_refused", "the configuration on disk is in force, after");
}

#[test]
fn lists_that_cannot_be_read_again_are_told_on_the_front_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("list");
    let replace = |text: &str| {
        std::fs::write(folder.path().join("new"), text).expect("a file");
        std::fs::rename(folder.path().join("new"), &list).expect("a file to replace");
    };
    replace("a.test\n");
    let proxy = Proxy::start(&[("acl.blocklist", list.to_str().expect("a path of text"))]);
    assert_well(&proxy, "lists_outdated");
    replace("a.test\nb.test/path\n");
    wait_trouble(&proxy, "lists_outdated", "the lists that were read before stay in force");
    replace("b.test\n");
    wait_over(&proxy, "lists_outdated", "the lists on disk are in force, after");
}

#[test]
fn limits_that_were_lowered_stay_on_the_front_page() {
    let proxy = Proxy::launch(&[("log.level", "WARNING")], "", |command| limited(&command, 200));
    wait_trouble(&proxy, "limits_lowered", "http.connections is ");
    proxy.wait_log("200 descriptors are allowed, ");
}

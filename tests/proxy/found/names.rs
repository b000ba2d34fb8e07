//! Faults in names and addresses.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::dns::{everything, proxy, url};
use crate::support::{Answer, NameServer, Origin, Query, A};

/// A name server that answers the first question for IPv4 addresses like this, and the others as it should.
fn wrong_once(wrong: impl Fn(&Query) -> Answer + Send + Sync + 'static) -> Option<NameServer> {
    let asked = AtomicUsize::new(0);
    NameServer::start(move |query| match query.kind == A && asked.fetch_add(1, Ordering::Relaxed) == 0 {
        true => wrong(query),
        false => everything(query),
    })
}

#[test]
fn b22_a_no_without_soa_is_not_remembered() {
    for code in [3, 0] {
        let Some(names) = wrong_once(move |query| Answer::Reply(query.reply().code(code))) else { return };
        let proxy = proxy(&names, &[("tcp6.out", "false")]);
        let origin = Origin::site();
        assert_eq!(proxy.client().get(&url("new.test", &origin)).status(), 502);
        assert_eq!(proxy.client().get(&url("new.test", &origin)).text(), "/here", "rcode {code}");
    }
}

#[test]
fn b22_one_failure_of_the_only_server_is_asked_again() {
    for code in [2, 5] {
        let Some(names) = wrong_once(move |query| Answer::Reply(query.reply().code(code))) else { return };
        let proxy = proxy(&names, &[("tcp6.out", "false")]);
        let origin = Origin::site();
        assert_eq!(proxy.client().get(&url("once.test", &origin)).text(), "/here", "rcode {code}");
    }
}

#[test]
fn b22_one_closed_connection_of_the_only_server_is_asked_again() {
    let streams = AtomicUsize::new(0);
    let closing = move |query: &Query| match query.tcp {
        false => Answer::Reply(query.reply().truncated()),
        true if streams.fetch_add(1, Ordering::Relaxed) == 0 => Answer::Close,
        true => everything(query),
    };
    let Some(names) = NameServer::start(closing) else { return };
    let proxy = proxy(&names, &[("tcp6.out", "false")]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("big.test", &origin)).text(), "/here");
    assert_eq!(names.streams(), 2);
}

#[test]
fn b22_a_failure_that_goes_on_is_final_within_the_retries() {
    let Some(names) = NameServer::start(|query| Answer::Reply(query.reply().code(2))) else { return };
    for (retries, most) in [("1", 1), ("2", 2), ("10", 3)] {
        let proxy = proxy(&names, &[("tcp6.out", "false"), ("dns.retries", retries)]);
        let name = format!("broken{retries}.test");
        assert_eq!(proxy.client().get(&format!("http://{name}/")).status(), 502);
        assert_eq!(names.asked(&name, A), most);
    }
}

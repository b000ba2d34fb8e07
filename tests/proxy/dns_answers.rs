//! Hostile and odd answers of name servers: what is forged is dropped, what is old-fashioned still serves, and what
//! never ends does.

use crate::dns::{everything, proxy, url};
use crate::support::{Answer, NameServer, Origin, Query, A};

#[test]
fn ids_and_ports_cannot_be_guessed() {
    let Some(names) = NameServer::start(everything) else { return };
    let proxy = proxy(&names, &[]);
    let origin = Origin::site();
    for number in 0..12 {
        assert_eq!(proxy.client().get(&url(&format!("n{number}.test"), &origin)).text(), "/here");
    }
    let queries = names.queries();
    let mut ids: Vec<u16> = queries.iter().map(|query| query.id).collect();
    let steps = ids.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) <= 2).count();
    assert!(steps < 4, "ids count up: {ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > queries.len() - 3, "ids repeat");
    let mut ports: Vec<u16> = queries.iter().map(|query| query.port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert!(ports.len() > 3, "ports: {ports:?}");
}

#[test]
fn names_are_asked_in_mixed_case_and_with_a_moderate_payload() {
    let Some(names) = NameServer::start(everything) else { return };
    let proxy = proxy(&names, &[]);
    let origin = Origin::site();
    let name = "a-rather-long-name-with-many-letters.test";
    assert_eq!(proxy.client().get(&url(name, &origin)).text(), "/here");
    let queries = names.queries();
    assert!(queries.iter().any(|query| query.name != query.plain()), "{queries:?}");
    assert!(queries.iter().all(|query| query.edns == Some(1232)), "{queries:?}");
}

#[test]
fn a_server_that_does_not_keep_the_case_still_serves() {
    let lower = |query: &Query| {
        let name = query.plain();
        Answer::Reply(query.addresses(&[[127, 0, 0, 1].into()]).question(&name))
    };
    let Some(names) = NameServer::start(lower) else { return };
    let proxy = proxy(&names, &[]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("no-case-kept-here-at-all.test", &origin)).text(), "/here");
}

#[test]
fn a_server_that_knows_no_edns_still_serves() {
    for code in [1, 4] {
        let old = move |query: &Query| match query.edns {
            Some(_) => Answer::Reply(query.reply().code(code)),
            None => everything(query),
        };
        let Some(names) = NameServer::start(old) else { return };
        let proxy = proxy(&names, &[]);
        let origin = Origin::site();
        assert_eq!(proxy.client().get(&url("old.test", &origin)).text(), "/here", "rcode {code}");
    }
}

/// Sends a forged or broken message before the right one; the right one must win.
fn survives(what: &str, answer: fn(&Query) -> Answer) {
    let Some(names) = NameServer::start(answer) else { return };
    let proxy = proxy(&names, &[]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&url("asked.test", &origin)).text(), "/here", "{what}");
    assert_eq!(proxy.client().get(&url("again.test", &origin)).text(), "/here", "{what}");
}

/// The same where the name itself may be lost.
fn harmless(what: &str, answer: fn(&Query) -> Answer) {
    let Some(names) = NameServer::start(answer) else { return };
    let proxy = proxy(&names, &[]);
    let status = proxy.client().get("http://asked.test/").status();
    assert!([200, 502, 504].contains(&status), "{what}: {status}");
    assert!(names.queries().len() < 40, "{what}: {} questions", names.queries().len());
    proxy.assert_serves();
}

fn right(query: &Query) -> Vec<u8> {
    query.addresses(&[[127, 0, 0, 1].into()]).bytes()
}

fn wrong(query: &Query) -> crate::support::query::Reply {
    query.addresses(&[[127, 0, 0, 99].into()])
}

#[test]
fn forged_and_broken_answers_are_dropped() {
    survives("another id", |query| Answer::Several(vec![wrong(query).id(query.id ^ 1).bytes(), right(query)]));
    survives("another source", |query| Answer::Forged(wrong(query).bytes(), query.addresses(&[[127, 0, 0, 1].into()])));
    survives("another question", |query| {
        Answer::Several(vec![wrong(query).question("other.test").bytes(), right(query)])
    });
    survives("short datagrams", |query| {
        let mut messages: Vec<Vec<u8>> = (0..12).map(|length| right(query)[..length].to_vec()).collect();
        messages.push(right(query));
        Answer::Several(messages)
    });
    survives("an echo of the question", |query| {
        let mut echo = query.reply().bytes();
        echo[2] &= 0x7f;
        Answer::Several(vec![echo, right(query)])
    });
}

/// Broken answers of the server that was asked may cost the name, and nothing else.
#[test]
fn unreadable_answers_do_no_harm() {
    harmless("a pointer to itself", |query| {
        let mut message = query.id.to_be_bytes().to_vec();
        message.extend_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]);
        Answer::Several(vec![message, right(query)])
    });
    harmless("an owner that points forward", |query| {
        let mut message = query.reply().bytes();
        message[7] = 1;
        let forward = message.len() as u8 + 2;
        message.extend_from_slice(&[0xc0, forward, 0xc0, forward - 2, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 99]);
        Answer::Several(vec![message, right(query)])
    });
    harmless("counts that lie", |query| {
        let mut message = wrong(query).bytes();
        message[6..12].fill(0xff);
        Answer::Several(vec![message, right(query)])
    });
}

#[test]
fn aliases_are_followed_in_and_across_messages() {
    let aliases = |query: &Query| {
        Answer::Reply(match query.plain().as_str() {
            "inside.test" => {
                let reply = query.reply().cname("b.test").cname("c.test");
                if query.kind == A {
                    reply.a([127, 0, 0, 1].into())
                } else {
                    reply
                }
            }
            "across.test" => query.reply().cname("target.test"),
            "target.test" => query.addresses(&[[127, 0, 0, 1].into()]),
            _ => query.reply().code(3).negative(60),
        })
    };
    let Some(names) = NameServer::start(aliases) else { return };
    let proxy = proxy(&names, &[]);
    let origin = Origin::site();
    for name in ["inside.test", "across.test"] {
        assert_eq!(proxy.client().get(&url(name, &origin)).text(), "/here", "{name}");
    }
}

#[test]
fn aliases_that_never_end_do() {
    let endless = |query: &Query| {
        let name = query.plain();
        let number: u32 = name.trim_start_matches('n').split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Answer::Reply(match name.as_str() {
            "self.test" => query.reply().cname("self.test"),
            "ping.test" => query.reply().cname("pong.test"),
            "pong.test" => query.reply().cname("ping.test"),
            _ => query.reply().cname(&format!("n{}.test", number + 1)),
        })
    };
    let Some(names) = NameServer::start(endless) else { return };
    let proxy = proxy(&names, &[]);
    for name in ["self.test", "ping.test", "n0.test"] {
        assert_eq!(proxy.client().get(&format!("http://{name}/")).status(), 502, "{name}");
    }
    assert!(names.queries().len() < 100, "{} questions", names.queries().len());
}

//! Helpers that fail: they die, hang, babble, or close their pipes. No request may hang for it, and the proxy may not
//! die of it. Programs that cannot be started at all are in `programs`.

use std::io;

use nix::sys::signal::Signal;

use super::{assert_failed, assert_unreadable, get, send_get};
use crate::support::helpers::{signal, wait_gone};
use crate::support::{Client, Desk, Gate, Helpers, Origin, Proxy};

/// Two helpers at most, so that a second can be asked.
const PAIR: [(&str, &str); 2] = [("redirector.minimum", "2"), ("redirector.maximum", "2")];

/// The options of a pair with one more.
fn pair_and(name: &'static str, value: &'static str) -> [(&'static str, &'static str); 3] {
    [PAIR[0], PAIR[1], (name, value)]
}

/// The first question that any of the helpers reads is the end of its reader, in the way of `end`.
fn first_fails(end: impl Fn(&mut Desk) -> io::Result<()> + Send + Sync + 'static) -> Helpers {
    let first = Gate::default();
    first.open();
    Helpers::start(move |desk| {
        while desk.line()?.is_some() {
            match first.try_pass() {
                true => return end(desk),
                false => desk.say("\n")?,
            }
        }
        Ok(())
    })
}

/// Asks through a proxy whose first question ends its helper: another helper is asked, and the client gets its page.
fn served_by_another(helpers: &Helpers, options: &[(&str, &str)]) -> Proxy {
    let proxy = helpers.proxy(options);
    let origin = Origin::site();
    // One that is still starting would be taken for one that hangs.
    helpers.wait_started(2);
    assert_eq!(get(&proxy, &origin, "/served").text(), "/served");
    let asked = helpers.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0], asked[1]);
    proxy.wait_counter("helpers.again", 1);
    // The one that failed is replaced.
    helpers.wait_started(3);
    proxy.wait_counter("processes.forked", 2);
    assert_eq!(get(&proxy, &origin, "/later").text(), "/later");
    proxy
}

#[test]
fn a_helper_that_exits_over_a_question_is_replaced() {
    let proxy = served_by_another(&first_fails(|desk| desk.exit(3)), &PAIR);
    proxy.wait_log("exited with code 3");
}

#[test]
fn a_helper_that_is_killed_over_a_question_is_replaced() {
    let helpers = first_fails(|desk| {
        signal(desk.pid, Signal::SIGKILL);
        desk.hang()
    });
    let proxy = served_by_another(&helpers, &PAIR);
    proxy.wait_log("SIGKILL");
}

#[test]
fn row_4_a_helper_that_hangs_is_replaced() {
    let helpers = first_fails(Desk::hang);
    let proxy = served_by_another(&helpers, &pair_and("redirector.timeout", "1"));
    proxy.wait_counter("helpers.hung", 1);
}

#[test]
fn a_helper_that_hangs_and_ignores_signals_is_replaced() {
    let helpers = first_fails(|desk| {
        desk.deafen()?;
        desk.hang()
    });
    served_by_another(&helpers, &pair_and("redirector.timeout", "1"));
    let end = helpers.pids().into_iter().filter(|pid| crate::support::helpers::gone(*pid));
    assert!(end.count() >= 1, "the helper that hung still runs");
}

#[test]
fn half_a_reply_is_none() {
    let helpers = first_fails(|desk| {
        desk.say("OK rewr")?;
        desk.hang()
    });
    served_by_another(&helpers, &pair_and("redirector.timeout", "1"));
    let helpers = first_fails(|desk| {
        desk.say("redirect://http://elsewhere.test/")?;
        desk.exit(0)
    });
    served_by_another(&helpers, &PAIR);
}

#[test]
fn a_helper_that_floods_standard_output_is_replaced() {
    let helpers = first_fails(|desk| {
        desk.say("x".repeat(8 << 20))?;
        desk.hang()
    });
    let proxy = served_by_another(&helpers, &PAIR);
    assert!(proxy.rss() < 64 << 20, "{} bytes", proxy.rss());
}

#[test]
fn row_8_a_helper_that_floods_standard_error_is_replaced() {
    let helpers = first_fails(|desk| {
        desk.complain("nothing but trouble\n".repeat(1 << 16))?;
        desk.hang()
    });
    let proxy = served_by_another(&helpers, &pair_and("redirector.timeout", "10"));
    proxy.wait_log("nothing but trouble");
    assert!(proxy.log().len() < 4 << 20, "the flood went to the log: {} bytes", proxy.log().len());
}

#[test]
fn a_helper_that_closes_standard_output_is_replaced() {
    let helpers = first_fails(|desk| {
        desk.close(&[1])?;
        desk.hang()
    });
    served_by_another(&helpers, &PAIR);
}

#[test]
fn a_helper_that_closes_standard_input_is_replaced() {
    // It replies to the first question, and can read no second.
    let helpers = Helpers::start(|desk| {
        desk.line()?;
        if desk.number == 0 {
            desk.close(&[0])?;
            desk.say("\n")?;
            return desk.hang();
        }
        desk.say("\n")?;
        desk.permit()
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    assert_eq!(get(&proxy, &origin, "/1").text(), "/1");
    assert_eq!(get(&proxy, &origin, "/2").text(), "/2");
    assert_eq!(helpers.wait_started(2).len(), 2);
}

#[test]
fn closing_standard_error_is_no_failure() {
    let helpers = Helpers::start(|desk| {
        desk.close(&[2])?;
        desk.permit()
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    for _ in 0..5 {
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
    }
    assert_eq!(helpers.pids().len(), 1);
}

#[test]
fn complaints_go_to_the_log_and_change_nothing() {
    for protocol in ["url", "icap://filter/x"] {
        let helpers = Helpers::start(move |desk| loop {
            let asked = if protocol == "url" { desk.line()? } else { desk.icap()? };
            if asked.is_none() {
                return Ok(());
            }
            desk.complain("a complaint with \u{1b}[31mcolour\nand a second line\n")?;
            desk.say(if protocol == "url" { "\n" } else { "ICAP/1.0 204 No Content\n\n" })?;
        });
        let proxy = helpers.proxy(&[("redirector.protocol", protocol)]);
        let origin = Origin::site();
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x");
        proxy.wait_log("a complaint with");
        proxy.wait_log("and a second line");
        let log = proxy.log();
        assert!(log.lines().filter(|line| line.contains("complaint")).all(|line| line.contains("worker")), "{log}");
        assert!(!log.contains('\u{1b}'), "{log}");
        assert_eq!(helpers.pids().len(), 1);
    }
}

#[test]
fn a_helper_that_answers_twice_is_replaced() {
    let helpers = Helpers::start(|desk| {
        while desk.line()?.is_some() {
            let twice = desk.number == 0;
            desk.say(if twice { "\nredirect://http://elsewhere.test/\n" } else { "\n" })?;
        }
        Ok(())
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    // The second reply must not decide about the second request, be it read before that request comes or after.
    let mut client = proxy.client();
    for path in ["/1", "/2", "/3"] {
        let reply = client.get(&origin.url(path));
        assert_eq!(reply.text(), path, "{reply:?}");
    }
    wait_gone(helpers.pids()[0]);
    proxy.wait_counter("helpers.unasked", 1);
    helpers.wait_started(2);
}

#[test]
fn a_helper_that_answers_before_it_is_asked_is_replaced() {
    let helpers = Helpers::start(|desk| {
        if desk.number == 0 {
            desk.say("redirect://http://elsewhere.test/\n")?;
        }
        desk.permit()
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    wait_gone(helpers.wait_started(1)[0]);
    helpers.wait_started(2);
    assert_eq!(get(&proxy, &origin, "/1").text(), "/1");
    proxy.wait_counter("helpers.unasked", 1);
}

/// Starts a proxy whose helpers all die over a question, and gives what one request gets.
fn asked_in_vain(policy: Option<&str>) -> (Helpers, Proxy, Client) {
    let helpers = Helpers::start(|desk| {
        desk.line()?;
        desk.exit(1)
    });
    let mut options = PAIR.to_vec();
    options.extend(policy.map(|policy| ("redirector.on-failure", policy)));
    let proxy = helpers.proxy(&options);
    let client = proxy.client();
    (helpers, proxy, client)
}

#[test]
fn row_1_without_a_decision_there_is_a_page() {
    let (helpers, proxy, mut client) = asked_in_vain(None);
    let origin = Origin::site();
    let reply = client.get(&origin.url("/"));
    assert_failed(&reply);
    assert!(reply.has("Retry-After") || reply.has("Content-Length"), "{reply:?}");
    assert_eq!(helpers.asked().len(), 2, "asked once, and once more");
    proxy.wait_counter("helpers.undecided", 1);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn without_a_decision_requests_may_be_permitted() {
    let (_helpers, proxy, mut client) = asked_in_vain(Some("permit"));
    let origin = Origin::site();
    for path in ["/1", "/2"] {
        assert_eq!(client.get(&origin.url(path)).text(), path);
    }
    client.tunnel(&origin.address().to_string());
    proxy.wait_counter("helpers.undecided", 3);
}

#[test]
fn without_a_decision_requests_may_be_denied() {
    let (_helpers, _proxy, mut client) = asked_in_vain(Some("deny"));
    let origin = Origin::site();
    let reply = client.get(&origin.url("/"));
    assert_eq!(reply.status(), 403, "{reply:?}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn without_a_decision_no_tunnel_is_opened() {
    let origin = Origin::echo();
    for (policy, status) in [(None, 503), (Some("deny"), 403)] {
        let (_helpers, _proxy, mut client) = asked_in_vain(policy);
        let reply = super::connect(&mut client, &origin.address().to_string());
        assert_eq!(reply.status(), status, "{reply:?}");
    }
    assert_eq!(origin.connections(), 0);
}

/// A question that two helpers died over is not asked a third time: it may be what kills them.
#[test]
fn helpers_that_all_hang_are_asked_twice() {
    let helpers = Helpers::start(|desk| {
        desk.line()?;
        desk.hang()
    });
    let proxy = helpers.proxy(&pair_and("redirector.timeout", "1"));
    let origin = Origin::site();
    helpers.wait_started(2);
    assert_failed(&get(&proxy, &origin, "/"));
    assert_eq!(helpers.asked().len(), 2);
    proxy.wait_counter("helpers.hung", 2);
}

#[test]
fn garbage_is_an_error_page_each_time() {
    let replies: [&[u8]; 6] =
        [b"\xff\xfe\xfd\n", b"\0\0\0\n", b"<html>\n", b"HTTP/1.1 200 OK\n", b"ICAP/1.0 204 x\n", b"%s%n%x\n"];
    for reply in replies {
        let helpers = Helpers::start(move |desk| {
            while desk.line()?.is_some() {
                desk.say(reply)?;
            }
            Ok(())
        });
        let proxy = helpers.proxy(&[]);
        let origin = Origin::site();
        assert_unreadable(&get(&proxy, &origin, "/"));
        assert_unreadable(&get(&proxy, &origin, "/"));
        assert_eq!(origin.connections(), 0);
    }
}

/// One request in three kills its helper; every one is served all the same, because the others do not.
#[test]
fn helpers_that_die_now_and_then_cost_no_request() {
    let helpers = Helpers::start(|desk| {
        for count in 1.. {
            if desk.line()?.is_none() {
                return Ok(());
            }
            if count % 7 == 0 && desk.number % 2 == 0 {
                return desk.exit(1);
            }
            desk.say("\n")?;
        }
        Ok(())
    });
    let proxy = helpers.proxy(&[("redirector.minimum", "4"), ("redirector.maximum", "4")]);
    let origin = Origin::site();
    let mut failed = 0;
    for number in 0..60 {
        let clients: Vec<_> = (0..4).map(|part| send_get(&proxy, &origin, &format!("/{number}-{part}"))).collect();
        for (part, mut client) in clients.into_iter().enumerate() {
            let reply = client.reply();
            failed += usize::from(reply.text() != format!("/{number}-{part}"));
        }
    }
    // Two in a row may die over one question; none may be lost without an answer.
    assert!(failed < 24, "{failed} of 240");
    proxy.wait_counter("processes.forked", 4);
}

/// A reply that comes after its client has gone must not decide about another client's request.
#[test]
fn a_helper_that_was_asked_by_a_client_that_left_goes_on() {
    let gate = Gate::default();
    let helpers = Helpers::start({
        let gate = gate.clone();
        move |desk| {
            while let Some(line) = desk.line()? {
                gate.pass()?;
                desk.say(if line.contains("/gone") { "redirect://http://elsewhere.test/\n" } else { "\n" })?;
            }
            Ok(())
        }
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let leaver = send_get(&proxy, &origin, "/gone");
    helpers.wait_asked(1);
    leaver.reset();
    proxy.wait_clients(0);
    let mut next = send_get(&proxy, &origin, "/next");
    gate.open_for(2);
    assert_eq!(next.reply().text(), "/next");
    assert_eq!(helpers.pids().len(), 1, "it was no failure of the helper");
}

/// A line that cannot be read might have been a refusal: it never lets a request pass. An ICAP message is a failure like
/// any other.
#[test]
fn a_line_that_cannot_be_read_lets_nothing_pass() {
    let origin = Origin::site();
    for value in ["error", "permit", "deny"] {
        let helpers = Helpers::answering(|_| "nonsense".to_owned());
        let proxy = helpers.proxy(&[("redirector.on-failure", value)]);
        let reply = proxy.client().get(&origin.url("/x"));
        assert_eq!(reply.status(), 503, "{value}: {reply:?}");
        let helpers = Helpers::answering_icap(|_| b"ICAP/1.0 299 What\n\n".to_vec());
        let proxy = helpers.proxy(&[("redirector.on-failure", value), ("redirector.protocol", "icap://x/")]);
        let reply = proxy.client().get(&origin.url("/x"));
        let wanted = if value == "error" {
            503
        } else if value == "permit" {
            200
        } else {
            403
        };
        assert_eq!(reply.status(), wanted, "{value}: {reply:?}");
    }
}

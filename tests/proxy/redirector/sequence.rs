//! Several requests on one connection, and several before one helper: each gets its own decision.

use super::{get, send_get};
use crate::support::{client, eventually, Gate, Helpers, Origin};

/// Redirects what has `no` in its path.
fn judge(line: &str) -> String {
    match line.contains("/no") {
        true => "redirect://http://elsewhere.test/".to_owned(),
        false => String::new(),
    }
}

#[test]
fn each_request_of_a_connection_is_decided_by_itself() {
    let helpers = Helpers::answering(judge);
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for (path, status) in [("/a", 200), ("/no", 302), ("/b", 200), ("/no-2", 302), ("/no-3", 302), ("/c", 200)] {
        assert_eq!(client.get(&origin.url(path)).status(), status, "{path}");
    }
    assert_eq!(helpers.asked().len(), 6);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn row_37_pipelined_requests_are_decided_in_order() {
    let helpers = Helpers::answering(judge);
    let proxy = helpers.proxy(&[("redirector.minimum", "4"), ("redirector.maximum", "4")]);
    let origin = Origin::site();
    let paths = ["/a", "/no", "/b", "/no-2", "/c", "/no-3", "/no-4", "/d"];
    let requests: String = paths.iter().map(|path| client::get(&origin.url(path))).collect();
    for size in [requests.len(), 7] {
        let mut client = proxy.client();
        client.send_pieces(&requests, size);
        for path in paths {
            let reply = client.reply();
            match path.starts_with("/no") {
                true => assert_eq!(reply.status(), 302, "{path}: {reply:?}"),
                false => assert_eq!(reply.text(), path, "{reply:?}"),
            }
        }
    }
}

/// A body that is still on its way belongs to the request that was answered, and is not the next request.
#[test]
fn an_answer_to_an_upload_waits_for_no_body() {
    let helpers = Helpers::answering(judge);
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let url = origin.url("/no");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nGET http://"));
    assert_eq!(client.reply().status(), 302);
    client.try_send("smuggled.test/ HTTP/1.1\r\n\r\n");
    // Either the rest is read away and the connection serves on, or it is closed.
    client.try_send(client::get(&origin.url("/next")));
    let rest = client.wire().rest().unwrap_or_default();
    assert!(rest.is_empty() || rest.windows(5).any(|part| part == b"/next"), "{}", crate::support::show(&rest));
    assert_eq!(helpers.asked().iter().filter(|line| line.contains("smuggled")).count(), 0);
}

/// A reply to a request that was answered already, because it came late, is not one to the next request.
#[test]
fn a_late_reply_does_not_decide_the_next_request() {
    let gate = Gate::default();
    let helpers = Helpers::start({
        let gate = gate.clone();
        move |desk| {
            while let Some(line) = desk.line()? {
                if line.contains("/slow") {
                    gate.pass()?;
                }
                desk.say(if line.contains("/slow") { "redirect://http://elsewhere.test/\n" } else { "\n" })?;
            }
            Ok(())
        }
    });
    let options = [("redirector.timeout", "1"), ("redirector.minimum", "3"), ("redirector.maximum", "3")];
    let proxy = helpers.proxy(&options);
    let origin = Origin::site();
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/slow")).status(), 503);
    gate.open_for(2);
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.get(&origin.url(path)).text(), path);
    }
}

/// With numbers in front, replies may come in any order.
#[test]
fn a_helper_with_several_requests_may_answer_in_any_order() {
    let helpers = Helpers::start(|desk| {
        let mut held = Vec::new();
        while let Some(line) = desk.line()? {
            let number = line.split(' ').next().unwrap_or_default().to_owned();
            held.push(match line.contains("/no") {
                true => format!("{number} OK status=302 url=\"http://elsewhere.test/{number}\"\n"),
                false => format!("{number} OK\n"),
            });
            if held.len() == 8 {
                held.reverse();
                desk.say(held.concat())?;
                held.clear();
            }
        }
        Ok(())
    });
    let proxy = helpers.proxy(&[("redirector.concurrency", "8")]);
    let origin = Origin::site();
    for _ in 0..3 {
        let paths: Vec<String> =
            (0..8).map(|number| if number % 3 == 0 { format!("/no-{number}") } else { format!("/{number}") }).collect();
        let clients: Vec<_> = paths.iter().map(|path| send_get(&proxy, &origin, path)).collect();
        for (path, mut client) in paths.iter().zip(clients) {
            let reply = client.reply();
            match path.starts_with("/no") {
                true => assert_eq!(reply.status(), 302, "{path}: {reply:?}"),
                false => assert_eq!(reply.text(), *path, "{reply:?}"),
            }
        }
    }
    assert_eq!(helpers.pids().len(), 1);
    let numbered = |line: &String| line.split(' ').next().is_some_and(|word| word.parse::<u64>().is_ok());
    assert!(helpers.asked().iter().all(numbered), "{:?}", helpers.asked());
}

#[test]
fn no_more_requests_than_allowed_are_before_a_helper() {
    let gate = Gate::default();
    let helpers = Helpers::start({
        let gate = gate.clone();
        move |desk| {
            while let Some(line) = desk.line()? {
                gate.pass()?;
                let number = line.split(' ').next().unwrap_or_default();
                desk.say(format!("{number} OK\n"))?;
            }
            Ok(())
        }
    });
    let proxy = helpers.proxy(&[("redirector.concurrency", "3")]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..5).map(|number| send_get(&proxy, &origin, &format!("/{number}"))).collect();
    proxy.wait_counter("queue.size", 2);
    assert_eq!(proxy.counter("helpers.asked"), 3);
    gate.open_for(5);
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
}

#[test]
fn a_reply_with_a_wrong_number_costs_the_helper_its_life() {
    for reply in ["999999 OK", "OK", "x OK", "-1 OK", "", "18446744073709551616 OK"] {
        let helpers = Helpers::start(move |desk| {
            while let Some(line) = desk.line()? {
                let number = line.split(' ').next().unwrap_or_default().to_owned();
                match desk.number {
                    0 => desk.say(format!("{reply}\n"))?,
                    _ => desk.say(format!("{number} OK\n"))?,
                }
            }
            Ok(())
        });
        let proxy = helpers.proxy(&[("redirector.concurrency", "4")]);
        let origin = Origin::site();
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x", "{reply:?}");
        assert_eq!(helpers.wait_started(2).len(), 2, "{reply:?}");
    }
}

/// All that one helper had before it is asked again, once.
#[test]
fn requests_before_a_helper_that_dies_are_asked_again() {
    let helpers = Helpers::start(|desk| {
        let mut seen = 0;
        while let Some(line) = desk.line()? {
            seen += 1;
            match desk.number {
                0 if seen == 4 => return desk.exit(1),
                0 => {}
                _ => desk.say(format!("{} OK\n", line.split(' ').next().unwrap_or_default()))?,
            }
        }
        Ok(())
    });
    let proxy = helpers.proxy(&[("redirector.concurrency", "4")]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..4).map(|number| send_get(&proxy, &origin, &format!("/{number}"))).collect();
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    assert_eq!(helpers.asked().len(), 8);
    eventually("a count of four", || (proxy.counter("helpers.again") == 4).then_some(()));
}

//! Slow hashes: checked once, beside the loop, in a queue with an end; and those who guess.

use std::time::{Duration, Instant};

use super::files::BCRYPT;
use super::{ask, assert_asks, field, Users, SLOW, SLOWER};
use crate::support::{client, eventually, Client, Message, Origin, Proxy, ONE_LOOP};

/// Checks have a low priority, so that on a busy machine an answer may take its time.
fn send(client: &mut Client, origin: &Origin, credentials: &str) {
    client.wire().wait_longer();
    client.send(client::get(&origin.url("/")).replacen("\r\n\r\n", &format!("\r\n{}\r\n", field(credentials)), 1));
}

/// Clients that have sent these credentials, each of its own connection.
fn clients(proxy: &Proxy, origin: &Origin, credentials: impl Iterator<Item = String>) -> Vec<Client> {
    credentials
        .map(|credentials| {
            let mut client = proxy.client();
            send(&mut client, origin, &credentials);
            client
        })
        .collect()
}

fn assert_busy(reply: &Message) {
    assert_eq!(reply.status(), 503, "{reply:?}");
    assert!(reply.has("Retry-After"), "{reply:?}");
    assert!(reply.value("Proxy-Status").is_some_and(|told| told.contains("authentication_busy")), "{reply:?}");
}

#[test]
fn a_client_pays_for_one_check_and_those_who_ask_for_the_same_share_it() {
    let origin = Origin::site();
    let proxy = Users::new(&format!("ann:{SLOW}\n")).proxy(&[ONE_LOOP]);
    let at_once = clients(&proxy, &origin, (0..20).map(|_| "ann:secret".to_owned()));
    for mut client in at_once {
        assert_eq!(client.reply().status(), 200);
        for _ in 0..5 {
            assert_eq!(ask(&mut client, &origin, "/", "ann:secret").status(), 200);
        }
    }
    let now = proxy.counters();
    assert_eq!((now["auth.checked"], now["auth.remembered"], now["auth.failed"]), (1, 1, 0));
    assert!(now["auth.kept"] >= 100, "{now:?}");
}

#[test]
fn others_are_served_while_a_password_is_checked() {
    let origin = Origin::site();
    let proxy = Users::new(&format!("ann:{SLOW}\nbob:plain\n")).proxy(&[]);
    let slow = clients(&proxy, &origin, (0..8).map(|number| format!("ann:wrong{number}")));
    let mut bob = proxy.client();
    let mut served = 0;
    while proxy.counter("auth.checked") < 2 {
        assert_eq!(ask(&mut bob, &origin, "/", "bob:plain").status(), 200);
        served += 1;
    }
    assert!(served > 0);
    for mut client in slow.into_iter().take(2) {
        assert_asks(&client.reply());
    }
}

#[test]
fn a_queue_that_is_full_answers_at_once() {
    let origin = Origin::site();
    let proxy = Users::new(&format!("ann:{SLOW}\n")).proxy(&[ONE_LOOP]);
    // One address gets half of the 256 places, and there are at most two threads. More ask, so that a check that ends before the
    // last has asked leaves no place.
    let waiting = clients(&proxy, &origin, (0..200).map(|number| format!("ann:wrong{number}")));
    let mut late = proxy.client();
    send(&mut late, &origin, "ann:secret");
    assert_busy(&late.reply());
    assert!(proxy.counter("auth.busy") >= 1);
    // Another address finds room.
    let mut other = Client::connect_from([127, 0, 0, 9], proxy.address());
    send(&mut other, &origin, "ann:secret");
    assert_eq!(other.reply().status(), 200, "in its turn, which is soon");
    // Those who leave are not waited for.
    drop(waiting);
    proxy.wait_counter("auth.waiting", 0);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_check_that_comes_too_late_lets_nobody_through() {
    let origin = Origin::site();
    let proxy = Users::new(&format!("ann:{SLOWER}\n")).proxy(&[("http.decision-timeout", "1")]);
    let waiting = clients(&proxy, &origin, (0..19).map(|number| format!("ann:wrong{number}")));
    let mut late = proxy.client();
    send(&mut late, &origin, "ann:secret");
    assert_busy(&late.reply());
    for mut client in waiting {
        let status = client.reply().status();
        assert!(matches!(status, 407 | 503), "{status}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn users_that_change_decide_about_those_who_wait() {
    let origin = Origin::site();
    let users = Users::new(&format!("ann:{SLOW}\n"));
    let proxy = users.proxy(&[]);
    let waiting = clients(&proxy, &origin, (0..10).map(|number| format!("ann:wrong{number}")));
    let mut ann = proxy.client();
    send(&mut ann, &origin, "ann:secret");
    proxy.wait_counter_reaches("auth.waiting", 1);
    users.replace("ann:plain\n");
    assert_asks(&ann.reply());
    for mut client in waiting {
        assert_asks(&client.reply());
    }
    assert_eq!(ask(&mut ann, &origin, "/", "ann:plain").status(), 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn after_twenty_failures_an_address_is_slowed_and_no_other() {
    let origin = Origin::site();
    let proxy = Users::new(&format!("ann:secret\nbob:{BCRYPT}\n")).proxy(&[]);
    let (mut ann, mut guesser) = (proxy.client(), proxy.client());
    assert_eq!(ask(&mut ann, &origin, "/", "ann:secret").status(), 200);
    let start = Instant::now();
    for number in 0..20 {
        let user = ["ann", "bob", "carl"][number % 3];
        assert_asks(&ask(&mut guesser, &origin, "/", &format!("{user}:wrong{number}")));
    }
    let (mut looked_at, mut slowed) = (0, 0);
    for number in 0..200 {
        let reply = ask(&mut guesser, &origin, "/", &format!("ann:guess{number}"));
        match reply.status() {
            407 => looked_at += 1,
            429 => {
                slowed += 1;
                assert_eq!(reply.value("Retry-After").as_deref(), Some("1"), "{reply:?}");
                let told = reply.value("Proxy-Status").expect("the field");
                assert!(told.contains("authentication_slowed"), "{told}");
            }
            other => panic!("{other}"),
        }
    }
    // A minute after the first failure it would have forgotten: a machine so slow shows nothing here.
    if start.elapsed() < Duration::from_secs(60) {
        let most = 2 * i64::try_from(start.elapsed().as_secs()).unwrap_or(60) + 2;
        assert!(looked_at <= most && slowed >= 200 - most, "{looked_at} in {:?}", start.elapsed());
        assert_eq!(ask(&mut guesser, &origin, "/", "bob:secret").status(), 429, "what was not found right yet");
    }
    assert_eq!(ask(&mut guesser, &origin, "/", "ann:secret").status(), 200, "what was found right passes");
    assert_eq!(ask(&mut ann, &origin, "/", "ann:secret").status(), 200);
    let mut other = Client::connect_from([127, 0, 0, 9], proxy.address());
    assert_eq!(ask(&mut other, &origin, "/", "bob:secret").status(), 200);
    proxy.wait_counter_reaches("auth.slowed", slowed);
    eventually("a line for each failure", || {
        (proxy.log().matches("authentication failed for client 127.0.0.1: ").count() >= 20).then_some(())
    });
}

/// All who wait for one check are answered in one turn, so that only so many may.
#[test]
fn so_many_wait_for_one_check_and_no_more() {
    let origin = Origin::site();
    // A check that takes long, so that all have asked before it ends; the start makes one such hash of its own.
    let proxy = Users::new(&format!("ann:{SLOWER}\n")).proxy(&[ONE_LOOP, ("http.connections", "2000")]);
    let request = format!("GET {} HTTP/1.1\r\nHost: h\r\n{}\r\n", origin.url("/"), field("ann:wrong"));
    let mut clients: Vec<Client> = (0..300).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| client.wire().wait_longer());
    clients.iter_mut().for_each(|client| client.send(&request));
    let statuses: Vec<u16> = clients.iter_mut().map(|client| client.reply().status()).collect();
    let busy = statuses.iter().filter(|status| **status == 503).count();
    assert!(busy >= 300 - 256 - 1, "{busy} of {statuses:?}");
    assert_eq!(proxy.counter("auth.failed") + proxy.counter("auth.busy") + proxy.counter("auth.slowed"), 300);
}

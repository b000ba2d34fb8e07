//! What the maintainer of the public suite (http-tests/cache-tests) asked tests for in June 2026 that it does not have yet, each by
//! the number of its issue there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::SystemTime;

use super::{ask, told, ON};
use crate::support::{Client, Message, Origin, Proxy};

/// An origin whose every response has its number for a body, and a proxy in front of it.
struct Site {
    origin: Origin,
    asked: Arc<AtomicUsize>,
    proxy: Proxy,
}

impl Site {
    /// `answer` gives the status and the fields of a response, by the request and its number from 1.
    fn new(answer: impl Fn(&Message, usize) -> (u16, String) + Send + Sync + 'static) -> Site {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let origin = Origin::start(move |peer| {
            while let Some(request) = peer.request()? {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let (status, fields) = answer(&request, number);
                let body = if request.start().starts_with("HEAD") { String::new() } else { number.to_string() };
                peer.send(format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: 1\r\n\r\n{body}"))?;
            }
            Ok(())
        });
        Site { origin, asked, proxy: Proxy::start(&[ON]) }
    }

    /// Status and body that a new client gets.
    fn get(&self, fields: &str) -> (u16, String) {
        let reply = self.reply(fields);
        (reply.status(), reply.text())
    }

    fn reply(&self, fields: &str) -> Message {
        ask(&mut self.proxy.client(), &self.origin.url("/x"), fields)
    }

    fn head(&self) -> Message {
        let mut client: Client = self.proxy.client();
        client.send(format!("HEAD {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.origin.url("/x"), self.origin.address()));
        client.reply_to("HEAD")
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

const FRESH: &str = "Cache-Control: max-age=600\r\n";

/// Kept, and to be validated at once.
const STALE: &str = "Cache-Control: max-age=5\r\nAge: 9\r\n";

fn first(status: u16) -> (u16, String) {
    (status, "1".to_owned())
}

/// Safe methods invalidate nothing (RFC 9111 section 4.4).
#[test]
fn suite_178_get_and_head_leave_what_is_kept() {
    let site = Site::new(|_, _| (200, FRESH.into()));
    assert_eq!(site.get(""), first(200));
    assert_eq!((site.get(""), site.head().status(), site.get("")), (first(200), 200, first(200)));
    // One that goes to the origin leaves it, too.
    assert_eq!(site.get("Cache-Control: no-store\r\nIf-Match: \"x\"\r\n"), (200, "2".into()));
    assert_eq!((site.get(""), site.asked()), (first(200), 2));
}

/// What is fresh is used, and what is stale is not (RFC 9111 section 5.2.1.7).
#[test]
fn suite_179_only_if_cached_gets_what_is_kept() {
    let site = Site::new(|_, _| (200, FRESH.into()));
    site.get("");
    assert_eq!((site.get("Cache-Control: only-if-cached\r\n"), site.asked()), (first(200), 1));
    let site = Site::new(|_, _| (200, format!("{STALE}ETag: \"1\"\r\n")));
    site.get("");
    assert_eq!((site.get("Cache-Control: only-if-cached\r\n").0, site.asked()), (504, 1));
    assert_eq!((site.get("Cache-Control: only-if-cached, max-stale\r\n"), site.asked()), (first(200), 1));
}

/// A cache knows that there is a representation, and not whether it is the one that a change is about (RFC 9110 section 13).
#[test]
fn suite_180_preconditions_are_answered_or_forwarded() {
    let site = Site::new(|request, _| match () {
        () if request.has("If-Match") || request.has("If-Unmodified-Since") => (412, String::new()),
        () => (200, format!("{FRESH}ETag: \"1\"\r\n")),
    });
    assert_eq!(site.get(""), first(200));
    let held = site.reply("If-None-Match: *\r\n");
    assert_eq!((held.status(), held.text().as_str(), site.asked()), (304, "", 1));
    assert_eq!(site.get("If-Match: \"2\"\r\n"), (412, "2".into()));
    assert_eq!(site.get("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n"), (412, "3".into()));
    assert_eq!((site.get(""), site.asked()), (first(200), 3), "and what is kept stays");
}

/// A whole response to a validation takes the place of what was validated (RFC 9111 section 4.3.3).
#[test]
fn suite_184_a_full_response_to_a_validation_replaces_what_is_kept() {
    let site = Site::new(|request, number| {
        assert_eq!(request.has("If-None-Match"), number == 2);
        let fields = if number == 1 { STALE } else { FRESH };
        (200, format!("{fields}ETag: \"{number}\"\r\nX-Number: {number}\r\n"))
    });
    assert_eq!((site.get(""), site.get("")), (first(200), (200, "2".into())));
    let third = site.reply("");
    assert_eq!((third.text().as_str(), third.value("X-Number").as_deref(), site.asked()), ("2", Some("2"), 2));
}

/// A response to HEAD that shows another representation makes what is kept useless (RFC 9111 section 4.3.5).
#[test]
fn suite_186_a_head_with_another_validator_or_length_invalidates() {
    for (name, changed) in
        [("tag", "ETag: \"2\"\r\n"), ("date", "Last-Modified: Fri, 02 Jan 1970 00:00:00 GMT\r\n"), ("length", "")]
    {
        let of_get = format!("{STALE}ETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        let origin = Origin::start(move |peer| {
            while let Some(request) = peer.request()? {
                let head = request.start().starts_with("HEAD");
                let length = if head && changed.is_empty() { 9 } else { 1 };
                let (fields, body) = if head { (changed, "") } else { (of_get.as_str(), "x") };
                peer.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{body}"))?;
            }
            Ok(())
        });
        let proxy = Proxy::start(&[ON]);
        ask(&mut proxy.client(), &origin.url("/x"), "");
        assert_eq!(proxy.counter("cache.objects"), 1, "{name}");
        let mut client = proxy.client();
        client.send(format!("HEAD {} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.url("/x"), origin.address()));
        client.reply_to("HEAD");
        assert_eq!(proxy.counter("cache.objects"), 0, "{name}");
        let stale = ask(&mut client, &origin.url("/x"), "Cache-Control: max-stale\r\n");
        assert!(told(&stale).starts_with("fwd=uri-miss"), "{name}: {stale:?}");
    }
}

/// The statuses of RFC 9110 section 15.1 may be kept by a guess (206 is not kept at all).
#[test]
fn suite_190_statuses_that_may_be_kept_by_a_guess() {
    let a_year_ago = SystemTime::now() - std::time::Duration::from_secs(365 * 86_400);
    let changed = format!("Last-Modified: {}\r\n", httpdate::fmt_http_date(a_year_ago));
    for status in [300, 301, 308] {
        let changed = changed.clone();
        let site = Site::new(move |_, _| (status, changed.clone()));
        assert_eq!((site.get(""), site.get(""), site.asked()), (first(status), first(status), 1));
    }
}

/// With a lifetime any final status is kept (RFC 9111 section 3).
#[test]
fn suite_191_statuses_that_say_for_how_long() {
    for status in [300, 405, 414, 451, 501] {
        let site = Site::new(move |_, _| (status, FRESH.into()));
        assert_eq!((site.get(""), site.get(""), site.asked()), (first(status), first(status), 1));
        let site = Site::new(move |_, number| (status, format!("{STALE}ETag: \"{number}\"\r\n")));
        assert_eq!((site.get(""), site.get("")), (first(status), (status, "2".into())));
    }
}

/// A part that is not there (RFC 9110 section 15.5.17): the cache says so of what it has, the origin of what it has not.
#[test]
fn suite_192_ranges_that_cannot_be_satisfied() {
    let site = Site::new(|request, _| match request.has("Range") {
        true => (416, "Content-Range: bytes */1\r\n".into()),
        false => (200, FRESH.into()),
    });
    assert_eq!(site.get("Range: bytes=5-\r\n"), (416, "1".into()), "nothing is kept yet");
    assert_eq!(site.get(""), (200, "2".into()));
    let outside = site.reply("Range: bytes=5-\r\n");
    assert_eq!((outside.status(), outside.value("Content-Range").as_deref()), (416, Some("bytes */1")));
    assert_eq!((site.get(""), site.asked()), ((200, "2".into()), 2));
}

/// A field for caches of another kind is none for this one (RFC 9213 section 2).
#[test]
fn suite_194_a_targeted_field_for_others_is_ignored() {
    let site = Site::new(|_, _| (200, format!("CDN-Cache-Control: no-store\r\n{FRESH}")));
    assert_eq!((site.get(""), site.get(""), site.asked()), (first(200), first(200), 1));
    let site = Site::new(|_, _| (200, "CDN-Cache-Control: max-age=600\r\nCache-Control: no-store\r\n".into()));
    assert_eq!((site.get(""), site.get("")), (first(200), (200, "2".into())));
}

#[test]
fn suite_195_a_redirect_is_kept_with_its_location() {
    for status in [301, 302, 307, 308] {
        let site = Site::new(move |_, _| (status, format!("{FRESH}Location: /elsewhere?x\r\n")));
        for _ in 0..2 {
            let reply = site.reply("");
            assert_eq!((reply.status(), reply.value("Location").as_deref()), (status, Some("/elsewhere?x")));
        }
        assert_eq!(site.asked(), 1);
    }
}

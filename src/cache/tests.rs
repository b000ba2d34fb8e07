//! The cache as a whole: requests and responses in tables, and many clients before an origin that does everything.

mod forgetting;
mod several;
mod sharing;
mod simulation;

use super::heads::{AtHand, HeadVerdict};
use super::*;
use crate::http::date::stamp;
use crate::http::response::Response;
use crate::http::Method;

const NOW: u64 = 1_800_000_000;

/// A cache with a clock, as one loop or several have it.
struct World {
    /// Of the loop whose turn it is, which has this number.
    cache: Cache<u32>,
    number: usize,
    others: Vec<(usize, Cache<u32>)>,
    rules: Rules,
    now: u64,
}

impl World {
    fn new(size: usize, object_size: usize) -> World {
        World::of_loops(1, size, object_size)
    }

    fn of_loops(count: usize, size: usize, object_size: usize) -> World {
        let settings = CacheSettings { size, object_size, policy: Eviction::Lru, targeted: Vec::new() };
        let shards = Arc::new(Shards::new(if count > 1 { shards::SHARDS } else { 1 }, size, Eviction::Lru, (1, 2)));
        let cache = |number| Cache::new(settings.clone(), Arc::clone(&shards), (count > 1).then_some(number));
        World {
            cache: cache(0),
            number: 0,
            others: (1..count).map(|number| (number, cache(number))).collect(),
            rules: Rules { via: "me".into(), ..Rules::default() },
            now: NOW,
        }
    }

    fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// It is the turn of the loop of this number.
    fn turn(&mut self, number: usize) {
        if let Some((other, cache)) = self.others.iter_mut().find(|(other, _)| *other == number) {
            std::mem::swap(&mut self.number, other);
            std::mem::swap(&mut self.cache, cache);
        }
    }

    /// What loops have to tell one another, with the number of the one that is to hear it.
    fn words(&mut self) -> Vec<(usize, far::FarWord)> {
        let others = self.others.iter_mut().map(|(_, cache)| cache);
        let all = std::iter::once(&mut self.cache).chain(others);
        all.flat_map(|cache| std::iter::from_fn(|| cache.poll_word()).collect::<Vec<_>>()).collect()
    }

    fn hear(&mut self, (number, word): (usize, far::FarWord)) {
        self.turn(number);
        self.cache.handle_word(word);
    }

    fn look_up(&mut self, request: &Request, who: u32, coming: Arriving) -> CacheFinding {
        let date = stamp(self.now);
        let moment = Moment { now: self.now, millis: self.now * 1000, date: &date, rules: &self.rules };
        self.cache.look_up(request, who, coming, &moment)
    }

    /// Hands in a response; with a whole body behind its head.
    fn respond(&mut self, job: &mut CacheJob, request: &Request, text: &str, who: u32, private: bool) -> HeadVerdict {
        let end = text.find("\r\n\r\n").unwrap() + 4;
        let response = Response::parse(&text.as_bytes()[..end], request.method()).unwrap();
        let at_hand = AtHand::Complete(&text.as_bytes()[end..]);
        self.head(job, request, &response, at_hand, (Some(who), private))
    }

    fn head(
        &mut self,
        job: &mut CacheJob,
        request: &Request,
        response: &Response<'_>,
        at_hand: AtHand<'_>,
        reader: (Option<u32>, bool),
    ) -> HeadVerdict {
        let date = stamp(self.now);
        let moment = Moment { now: self.now, millis: self.now * 1000, date: &date, rules: &self.rules };
        self.cache.handle_head(job, request, response, at_hand, reader, &moment)
    }

    /// What becomes of a request, in a word; one that goes on gets this response.
    fn ask(&mut self, lines: &str, text: &str) -> String {
        let request = request(lines);
        match self.look_up(&request, 0, Arriving::First) {
            CacheFinding::Answer(answer, result) => told(&answer, result.word()),
            CacheFinding::Refresh(answer, mut job, _) => {
                self.cache.give_up(&mut job, Freed::Failed);
                told(&answer, "REFRESH")
            }
            CacheFinding::Forward(mut job, head) => {
                let sent = head.map(|head| *Request::parse(&head, &self.rules).unwrap()).unwrap_or(request);
                let asks = sent.field(b"if-none-match").map(|tag| format!("?{}", String::from_utf8_lossy(tag)));
                let word = match self.respond(&mut job, &sent, text, 0, false) {
                    HeadVerdict::Pass(CacheReport { stored: true, .. }) => "stored".to_owned(),
                    HeadVerdict::Pass(CacheReport { detail: Some(why), .. }) => why.to_owned(),
                    HeadVerdict::Pass(_) => "pass".to_owned(),
                    HeadVerdict::Answer(answer, result) => told(&answer, result.word()),
                    HeadVerdict::Again(_) => "again".to_owned(),
                    HeadVerdict::Fill(_) => "fill".to_owned(),
                };
                self.cache.give_up(&mut job, Freed::Failed);
                word + &asks.unwrap_or_default()
            }
            CacheFinding::Pass(_) => "pass".to_owned(),
            CacheFinding::Wait(_) | CacheFinding::Join(..) => "shares".to_owned(),
        }
    }
}

fn told(answer: &Answer, word: &str) -> String {
    format!("{word} {} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

fn request(lines: &str) -> Request {
    let (first, rest) = lines.split_once('\n').unwrap_or((lines, ""));
    let first = if first.contains(' ') { first.to_owned() } else { format!("GET http://a.b/{first}") };
    let fields: String = rest.lines().map(|line| format!("{line}\r\n")).collect();
    let text = format!("{first} HTTP/1.1\r\nHost: a.b\r\n{fields}\r\n");
    *Request::parse(text.as_bytes(), &Rules::default()).unwrap()
}

fn ok(fields: &str, body: &str) -> String {
    let lines: String = fields.lines().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\nDate: {}\r\n{lines}\r\n{body}", stamp(NOW))
}

#[test]
fn a_response_answers_what_it_may() {
    let mut world = World::new(1 << 20, 1 << 16);
    assert_eq!(world.ask("x", &ok("Cache-Control: max-age=60\nETag: \"1\"", "body")), "stored");
    let table = [
        ("x", "HIT 200 body"),
        ("HEAD http://a.b/x", "HIT 200 body"),
        ("x\nIf-None-Match: \"1\"", "HIT 304 "),
        ("x\nIf-None-Match: \"2\"", "HIT 200 body"),
        ("x\nRange: bytes=1-2", "HIT 206 od"),
        ("x\nRange: bytes=9-", "HIT 416 "),
        ("x\nRange: bytes=1-2\nIf-Range: \"2\"", "HIT 200 body"),
        ("x\nCache-Control: only-if-cached", "HIT 200 body"),
        ("x\nAuthorization: a", "HIT 200 body"),
        ("x\nCookie: a", "HIT 200 body"),
        ("x\nIf-Match: \"1\"", "pass"),
        ("x\nAuthorization: NTLM a", "pass"),
        (
            "x?y\nCache-Control: only-if-cached",
            "MISS 504 the cache holds no response that this request may have, and it asks for no other\n",
        ),
        ("OPTIONS http://a.b/x", "pass"),
        ("QUERY http://a.b/x", "pass"),
    ];
    for (lines, want) in table {
        assert_eq!(world.ask(lines, &ok("", "other")), want, "{lines}");
    }
    world.now += 60;
    assert_eq!(world.ask("x\nCache-Control: max-stale", ""), "STALE 200 body");
}

#[test]
fn what_is_stale_is_validated_and_updated() {
    let mut world = World::new(1 << 20, 1 << 16);
    world.ask("x", &ok("Cache-Control: max-age=60\nETag: \"1\"\nA: 1", "body"));
    world.now += 60;
    let not_modified = |fields: &str| format!("HTTP/1.1 304 X\r\nDate: {}\r\n{fields}\r\n\r\n", stamp(NOW + 60));
    assert_eq!(world.ask("x", &not_modified("ETag: \"1\"\r\nA: 2")), "REVALIDATED 200 body?\"1\"");
    assert_eq!(world.ask("x", ""), "HIT 200 body");
    assert!(kept_lines(&world).unwrap().contains("A: 2\r\n"));
    world.now += 60;
    assert_eq!(world.ask("x\nIf-None-Match: \"1\"", &not_modified("ETag: \"1\"")), "REVALIDATED 304 ?\"1\"");
    assert_eq!(world.ask("x\nCache-Control: no-cache", &not_modified("")), "REVALIDATED 200 body?\"1\"");
    world.now += 60;
    assert_eq!(world.ask("x", &not_modified("ETag: \"2\"")), "again?\"1\"", "a 304 about something else");
    assert_eq!(world.ask("x", &ok("ETag: \"3\"", "new")), "stored");
}

/// The fields of what is kept under `x`.
fn kept_lines(world: &World) -> Option<String> {
    let key = world.cache.shards.key(b"a.b:80/x");
    world.cache.shards.with(key.hash, |shard| {
        let place = *shard.storage.variants(key).first()?;
        Some(String::from_utf8(shard.storage.get(place)?.head().lines().to_vec()).unwrap())
    })
}

/// An update is judged like a response of its own, whether it comes as a 304 or to HEAD. What it says for one user reaches that one
/// alone, and what may not be kept any more is not.
#[test]
fn what_an_update_says_for_one_is_told_to_none_else() {
    let update = |fields: &str, status: &str| format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\n{fields}\r\n\r\n");
    // What the client says, what its update says, and whether the response is still kept.
    let table = [
        ("", "Set-Cookie: one", true),
        ("Authorization: one", "X: one", true),
        ("Authorization: NTLM one", "X: one", true),
        ("", "Cache-Control: no-cache, private=\"x\"\r\nX: one", true),
        ("", "WWW-Authenticate: Negotiate one", true),
        ("Cache-Control: no-store", "X: one", true),
        ("", "Cache-Control: private\r\nX: one", false),
        ("", "Cache-Control: no-store\r\nX: one", false),
        ("", "Vary: *\r\nX: one", false),
    ];
    for (client, fields, stays) in table {
        for method in ["GET", "HEAD"] {
            let mut world = World::new(1 << 20, 1 << 16);
            world.ask("x", &ok("Cache-Control: no-cache\nETag: \"1\"", "body"));
            let status = if method == "GET" { "304 X" } else { "200 OK" };
            let line = format!("{method} http://a.b/x\n{client}");
            world.ask(line.trim_end(), &update(fields, status));
            let kept = kept_lines(&world);
            assert_eq!(kept.is_some(), stays, "{method} {client} {fields}");
            assert!(!kept.unwrap_or_default().contains("one"), "{method} {client} {fields}");
        }
    }
    let mut world = World::new(1 << 20, 1 << 16);
    world.ask("x", &ok("Cache-Control: no-cache\nETag: \"1\"", "body"));
    let CacheFinding::Forward(mut job, Some(_)) = world.look_up(&request("x"), 0, Arriving::First) else { panic!() };
    let HeadVerdict::Answer(answer, _) =
        world.respond(&mut job, &request("x"), &update("Set-Cookie: one", "304 X"), 0, false)
    else {
        panic!("no answer")
    };
    assert_eq!(answer.stored.unwrap().field("set-cookie"), Some(&b"one"[..]), "its own client gets it");
}

/// Also where its body is still to come.
#[test]
fn the_client_that_asked_gets_what_is_not_kept_for_others() {
    let mut world = World::new(1 << 20, 1 << 16);
    let asked = request("x");
    let CacheFinding::Forward(mut job, None) = world.look_up(&asked, 0, Arriving::First) else { panic!("no miss") };
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60, private=\"set-cookie\"\r\nSet-Cookie: one\r\n\r\n";
    let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
    let HeadVerdict::Fill(own) = world.head(&mut job, &asked, &response, AtHand::Partial(None), (Some(0), false))
    else {
        panic!("no fill")
    };
    let CacheFinding::Join(_, other) = world.look_up(&asked, 1, Arriving::First) else { panic!("no join") };
    let cookie = |answer: &Answer| answer.stored.as_ref().unwrap().field("set-cookie").map(<[u8]>::to_vec);
    assert_eq!((cookie(&own), cookie(&other)), (Some(b"one".to_vec()), None));
}

/// From then on it is for such requests alone.
#[test]
fn an_update_that_names_other_fields_in_vary_divides_what_is_kept() {
    let mut world = World::new(1 << 20, 1 << 16);
    world.ask("x", &ok("Cache-Control: max-age=60\nETag: \"1\"", "body"));
    world.now += 60;
    let update = format!("HTTP/1.1 304 X\r\nDate: {}\r\nETag: \"1\"\r\nVary: Foo\r\n\r\n", stamp(NOW + 60));
    assert_eq!(world.ask("x\nFoo: 1", &update), "REVALIDATED 200 body?\"1\"");
    assert_eq!(world.ask("x\nFoo: 1", ""), "HIT 200 body");
    assert_eq!(world.ask("x\nFoo: 2", &ok("Cache-Control: max-age=600\nVary: Foo", "two")), "stored?\"1\"");
    assert_eq!((world.ask("x\nFoo: 2", ""), world.cache.shards.counts().0), ("HIT 200 two".into(), 2));
}

#[test]
fn unsafe_requests_and_heads_change_what_is_kept() {
    let mut world = World::new(1 << 20, 1 << 16);
    let fresh = ok("Cache-Control: max-age=60\nETag: \"1\"", "body");
    world.ask("x", &fresh);
    world.ask("POST http://a.b/x\nContent-Length: 0", "HTTP/1.1 500 X\r\n\r\n");
    assert_eq!(world.ask("x", ""), "HIT 200 body");
    world.ask("POST http://a.b/y\nContent-Length: 0", "HTTP/1.1 201 X\r\nLocation: /x\r\n\r\n");
    assert_eq!(world.ask("x", &fresh), "stored");
    world.now += 60;
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\nDate: {}\r\n{fields}\r\n\r\n", stamp(NOW + 60));
    assert_eq!(
        world.ask("HEAD http://a.b/x", &head("ETag: \"1\"\r\nCache-Control: max-age=90\r\nContent-Length: 4")),
        "pass"
    );
    assert_eq!(world.ask("x", ""), "HIT 200 body");
    world.now += 90;
    world.ask("HEAD http://a.b/x", &head("ETag: \"2\""));
    assert_eq!(world.cache.shards.counts().0, 0);
}

#[test]
fn stale_responses_stand_in_where_they_may() {
    let mut world = World::new(1 << 20, 1 << 16);
    world.ask("x", &ok("Cache-Control: max-age=10, stale-if-error=60", "body"));
    world.ask("y", &ok("Cache-Control: max-age=10, stale-while-revalidate=20", "body"));
    world.now += 20;
    assert_eq!(world.ask("x", "HTTP/1.1 503 X\r\n\r\n"), "STALE 200 body");
    assert_eq!(world.ask("y", ""), "REFRESH 200 body");
    assert_eq!(world.ask("y", ""), "REFRESH 200 body", "the fetch before was given up");
    assert_eq!(world.ask("y", "HTTP/1.1 503 X\r\n\r\n"), "REFRESH 200 body");
    world.now += 11;
    assert_eq!(world.ask("y", "HTTP/1.1 503 X\r\n\r\n"), "lifetime");
}

#[test]
fn targeted_fields_count_where_they_are_asked_for() {
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nCDN-Cache-Control: max-age=3600\r\n\r\nbody";
    for (targeted, want) in [(vec![], "stored"), (vec!["CDN-Cache-Control".into()], "HIT 200 body")] {
        let mut world = World::new(1 << 20, 1 << 16);
        world.cache.set(CacheSettings { targeted, ..world.cache.settings.clone() });
        world.ask("x", text);
        world.now += 10;
        assert_eq!(world.ask("x", text), want);
    }
    let mut world = World::new(1 << 20, 1 << 16);
    world.cache.set(CacheSettings { targeted: vec!["CDN-Cache-Control".into()], ..world.cache.settings.clone() });
    assert_eq!(world.ask("x", &ok("Cache-Control: max-age=9\nCDN-Cache-Control: no-store", "body")), "no-store");
}

/// Another loop may have it.
#[test]
fn it_can_be_moved_to_a_thread() {
    fn can_move<T: Send>() {}
    can_move::<Cache<u32>>();
    fn can_share<T: Send + Sync>() {}
    can_share::<storage::StoredResponse>();
}

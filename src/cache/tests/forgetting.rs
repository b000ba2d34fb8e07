//! What an unsafe request or an order makes untrue while it is on its way, in the loop that has asked for it or in another one.

use super::super::heads::{AtHand, HeadVerdict};
use super::super::*;
use super::{ok, request, World, NOW};
use crate::http::response::Response;
use crate::http::Method;

/// What makes something untrue.
type Change = fn(&mut World);

/// What makes `x` untrue, and whether that is all that it concerns.
const CHANGES: [(Change, bool); 4] = [
    (|world| assert_eq!(world.ask("PUT http://a.b/x\nContent-Length: 0", "HTTP/1.1 200 X\r\n\r\n"), "pass"), true),
    (|world| assert!(world.cache.purge(b"a.b:80/x") < 2), true),
    (|world| assert!(world.cache.purge_site(Some(b"a.b:80")) < 2), false),
    (|world| assert!(world.cache.purge_site(None) < 2), false),
];

/// Each change, in a process with one loop and in one with two, where the second makes it.
fn each(check: impl Fn(&mut World, &dyn Fn(&mut World), bool)) {
    for (change, alone) in CHANGES {
        for count in [1, 2] {
            let elsewhere = |world: &mut World| {
                world.turn(count - 1);
                change(world);
                world.turn(0);
            };
            check(&mut World::of_loops(count, 1 << 20, 1 << 16), &elsewhere, alone);
        }
    }
}

fn begin(world: &mut World, path: &str, who: u32) -> Box<CacheJob> {
    match world.look_up(&request(path), who, Arriving::First) {
        CacheFinding::Forward(job, None) => job,
        found => panic!("{found:?}"),
    }
}

fn head(world: &mut World, job: &mut CacheJob, at_hand: AtHand<'_>) -> HeadVerdict {
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n";
    let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
    world.head(job, &request("x"), &response, at_hand, (Some(0), false))
}

#[test]
fn a_response_that_was_asked_for_before_is_not_kept() {
    each(|world, change, alone| {
        let (mut job, mut other) = (begin(world, "x", 0), begin(world, "y", 1));
        assert!(matches!(world.look_up(&request("x"), 2, Arriving::First), CacheFinding::Wait(_)));
        change(world);
        // Who comes now does not wait for it.
        let mut next = begin(world, "x", 3);
        let fresh = ok("Cache-Control: max-age=60", "old");
        let verdict = world.respond(&mut job, &request("x"), &fresh, 0, false);
        assert!(matches!(verdict, HeadVerdict::Pass(CacheReport { stored: false, .. })), "{verdict:?}");
        assert_eq!(world.cache.poll_woken(), Some((2, Arriving::Again(NOW))), "it waits for the next");
        assert!(matches!(world.look_up(&request("x"), 2, Arriving::Again(NOW)), CacheFinding::Wait(_)));
        world.respond(&mut next, &request("x"), &ok("Cache-Control: max-age=60", "new"), 3, false);
        assert_eq!(world.ask("x", ""), "HIT 200 new");
        // What is of another key is as it was.
        world.respond(&mut other, &request("y"), &fresh, 1, false);
        let kept = world.ask("y", &ok("Cache-Control: no-store", ""));
        assert_eq!(kept, if alone { "HIT 200 old" } else { "no-store" });
    });
}

#[test]
fn a_body_that_was_asked_for_before_is_shared_with_none_who_comes_later() {
    for changed_before_its_head in [true, false] {
        each(|world, change, _| {
            let mut job = begin(world, "x", 0);
            if changed_before_its_head {
                change(world);
                let verdict = head(world, &mut job, AtHand::Partial(Some(3)));
                assert!(matches!(verdict, HeadVerdict::Pass(CacheReport { stored: false, .. })), "{verdict:?}");
            } else {
                assert!(matches!(head(world, &mut job, AtHand::Partial(Some(3))), HeadVerdict::Fill(_)));
                change(world);
            }
            let mut next = begin(world, "x", 1);
            world.cache.give_up(&mut next, Freed::Failed);
            if let Some(id) = job.fetch {
                world.cache.append(id, b"old");
                world.cache.finish(id);
                world.cache.leave(id, 0);
            }
            world.cache.tick(world.now);
            assert_eq!((world.cache.shards.counts().0, world.cache.shards.used()), (0, 0));
            assert_eq!(world.ask("x", &ok("Cache-Control: max-age=60", "new")), "stored");
            assert_eq!(world.ask("x", ""), "HIT 200 new");
            assert_eq!(world.cache.fetches.counts(), (0, 0));
        });
    }
}

/// The answer to a question about what was kept says nothing of what took its place.
#[test]
fn a_validation_that_was_asked_for_before_brings_nothing_back() {
    each(|world, change, _| {
        world.ask("x", &ok("Cache-Control: max-age=60\nETag: \"1\"", "old"));
        world.now += 60;
        let found = world.look_up(&request("x"), 0, Arriving::First);
        let CacheFinding::Forward(mut job, Some(_)) = found else { panic!("{found:?}") };
        change(world);
        let holds = "HTTP/1.1 304 X\r\nETag: \"1\"\r\nCache-Control: max-age=60\r\n\r\n";
        let verdict = world.respond(&mut job, &request("x"), holds, 0, false);
        assert!(matches!(verdict, HeadVerdict::Again(_)), "{verdict:?}");
        world.cache.give_up(&mut job, Freed::Failed);
        assert_eq!(world.ask("x", &ok("Cache-Control: no-store", "new")), "no-store");
    });
}

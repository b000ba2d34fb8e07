//! Clients of two loops that ask for the same at once.

use super::super::heads::{AtHand, HeadVerdict};
use super::super::*;
use super::{ok, request, World, NOW};
use crate::http::response::Response;
use crate::http::Method;

/// Two loops, the first of which has asked for `x`, and the second has two clients that wait for it.
fn waiting() -> (World, Box<CacheJob>) {
    let mut world = World::of_loops(2, 1 << 20, 1 << 16);
    let CacheFinding::Forward(job, None) = world.look_up(&request("x"), 0, Arriving::First) else { panic!("no miss") };
    world.turn(1);
    for who in [1, 3] {
        assert!(matches!(world.look_up(&request("x"), who, Arriving::First), CacheFinding::Wait(_)));
    }
    let numbers = world.cache.numbers();
    assert_eq!((numbers.fetching, numbers.waiting), (0, 2), "what another loop fetches is counted there");
    (world, job)
}

/// Who is told to look again in the second loop, once it has heard of the first.
fn told(world: &mut World) -> Vec<(u32, Arriving)> {
    for letter in world.words() {
        world.hear(letter);
    }
    world.turn(1);
    std::iter::from_fn(|| world.cache.poll_woken()).collect()
}

#[test]
fn they_share_what_has_come_at_once() {
    let (mut world, mut job) = waiting();
    world.turn(0);
    world.respond(&mut job, &request("x"), &ok("Cache-Control: max-age=60", "ours"), 0, false);
    assert_eq!(told(&mut world), [(1, Arriving::Waited), (3, Arriving::Waited)]);
    let found = world.look_up(&request("x"), 1, Arriving::Waited);
    assert!(matches!(found, CacheFinding::Answer(answer, CacheResult::Hit) if *answer.body == *b"ours"));
}

/// The first of them asks, and the others of that loop share it with that one.
#[test]
fn each_loop_asks_for_a_body_that_takes_time() {
    let (mut world, mut job) = waiting();
    world.turn(0);
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n";
    let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
    let verdict = world.head(&mut job, &request("x"), &response, AtHand::Partial(Some(500)), (Some(0), false));
    assert!(matches!(verdict, HeadVerdict::Fill(_)));
    assert_eq!(told(&mut world), [(1, Arriving::Again(NOW)), (3, Arriving::Again(NOW))]);
    let CacheFinding::Forward(mut own, None) = world.look_up(&request("x"), 1, Arriving::Again(NOW)) else { panic!() };
    assert!(matches!(world.look_up(&request("x"), 3, Arriving::Again(NOW)), CacheFinding::Wait(_)));
    world.head(&mut own, &request("x"), &response, AtHand::Partial(Some(500)), (Some(1), false));
    assert_eq!(world.cache.poll_woken(), Some((3, Arriving::Waited)));
    assert!(matches!(world.look_up(&request("x"), 3, Arriving::Waited), CacheFinding::Join(..)));
}

#[test]
fn they_are_freed_by_what_is_for_one_alone_and_by_a_first_that_goes() {
    let (mut world, mut job) = waiting();
    world.turn(0);
    world.respond(&mut job, &request("x"), &ok("Cache-Control: private", "mine"), 0, false);
    assert_eq!(told(&mut world), [(1, Arriving::Alone), (3, Arriving::Alone)]);
    assert!(matches!(world.look_up(&request("x"), 1, Arriving::First), CacheFinding::Forward(..)), "remembered");
    let (mut world, mut job) = waiting();
    world.turn(0);
    world.cache.give_up(&mut job, Freed::Failed);
    assert_eq!(told(&mut world), [(1, Arriving::Again(NOW)), (3, Arriving::Again(NOW))]);
}

/// Neither for the clients that wait, nor for those to come.
#[test]
fn a_loop_that_hangs_is_not_waited_for_for_long() {
    let (mut world, _job) = waiting();
    world.now += MOST_WAITING;
    world.cache.tick(world.now);
    let woken: Vec<_> = std::iter::from_fn(|| world.cache.poll_woken()).collect();
    assert_eq!(woken, [(1, Arriving::Alone), (3, Arriving::Alone)]);
    assert_eq!(world.cache.fetches.counts(), (0, 0));
    assert!(matches!(world.look_up(&request("x"), 5, Arriving::First), CacheFinding::Forward(..)));
}

/// Those who wait for what was asked for before are not left behind by those who ask anew.
#[test]
fn an_order_to_forget_has_those_look_again_who_wait() {
    let (mut world, mut job) = waiting();
    world.cache.purge_site(None);
    let CacheFinding::Forward(mut other, None) = world.look_up(&request("x"), 5, Arriving::First) else { panic!() };
    world.respond(&mut other, &request("x"), &ok("Cache-Control: max-age=60", "new"), 5, false);
    world.turn(0);
    world.cache.give_up(&mut job, Freed::Failed);
    assert_eq!(told(&mut world).len(), 2);
    assert_eq!(world.cache.fetches.counts(), (0, 0));
}

/// What is stale is fetched anew by one loop.
#[test]
fn what_is_stale_is_fetched_anew_once() {
    let mut world = World::of_loops(2, 1 << 20, 1 << 16);
    world.ask("x", &ok("Cache-Control: max-age=10, stale-while-revalidate=20", "body"));
    world.now += 15;
    let found = world.look_up(&request("x"), 0, Arriving::First);
    let CacheFinding::Refresh(_, mut job, _) = found else { panic!("{found:?}") };
    world.turn(1);
    for who in [1, 3] {
        let found = world.look_up(&request("x"), who, Arriving::First);
        assert!(matches!(found, CacheFinding::Answer(_, CacheResult::Stale)), "{found:?}");
    }
    world.turn(0);
    world.cache.give_up(&mut job, Freed::Failed);
    assert_eq!(told(&mut world), []);
    assert_eq!(world.cache.fetches.counts(), (0, 0));
}

//! Clients that ask for the same at once: who waits, who shares, who is freed, and what bodies on their way take.

use super::super::*;
use super::{ok, request, World, NOW};
use crate::cache::heads::{AtHand, HeadVerdict};
use crate::cache::inflow::Portion;
use crate::http::response::Response;
use crate::http::Method;

/// The ways in which a first request can end for those who wait behind it.
#[test]
fn those_who_wait_share_or_are_freed_together() {
    let mut world = World::new(1 << 20, 1 << 16);
    let start = |world: &mut World| {
        let CacheFinding::Forward(job, None) = world.look_up(&request("x"), 0, Arriving::First) else {
            panic!("no miss")
        };
        for who in 1..5 {
            assert!(matches!(world.look_up(&request("x"), who, Arriving::First), CacheFinding::Wait(_)));
        }
        job
    };
    let woken =
        |world: &mut World| std::iter::from_fn(|| world.cache.poll_woken()).map(|(_, how)| how).collect::<Vec<_>>();
    let mut job = start(&mut world);
    world.cache.give_up(&mut job, Freed::Failed);
    assert_eq!(woken(&mut world), [Arriving::Again(NOW); 4], "the role goes on to the first that looks again");
    let mut job = start(&mut world);
    let private = ok("Cache-Control: private", "mine");
    assert!(matches!(world.respond(&mut job, &request("x"), &private, 0, false), HeadVerdict::Pass(_)));
    assert_eq!(woken(&mut world), [Arriving::Alone; 4]);
    for who in 1..5 {
        assert!(matches!(world.look_up(&request("x"), who, Arriving::First), CacheFinding::Forward(..)), "remembered");
    }
    world.now += denied::REMEMBERED;
    let mut job = start(&mut world);
    let shared = ok("Cache-Control: max-age=600", "ours");
    assert!(matches!(
        world.respond(&mut job, &request("x"), &shared, 0, false),
        HeadVerdict::Pass(CacheReport { stored: true, .. })
    ));
    assert_eq!(woken(&mut world), [Arriving::Waited; 4]);
    assert!(matches!(world.look_up(&request("x"), 1, Arriving::Waited), CacheFinding::Answer(_, CacheResult::Hit)));
    world.cache.purge_site(None);
    start(&mut world);
    world.cache.tick(world.now + MOST_WAITING);
    assert_eq!(woken(&mut world), [Arriving::Alone; 4]);
}

/// A row of clients that ask and go holds none that waits behind them for longer than one alone.
#[test]
fn those_who_wait_for_one_after_another_wait_no_longer_in_all() {
    let mut world = World::new(1 << 20, 1 << 16);
    let CacheFinding::Forward(mut job, None) = world.look_up(&request("x"), 0, Arriving::First) else {
        panic!("no miss")
    };
    assert!(matches!(world.look_up(&request("x"), 1, Arriving::First), CacheFinding::Wait(_)));
    for second in 1..MOST_WAITING {
        world.now += 1;
        world.cache.tick(world.now);
        world.cache.give_up(&mut job, Freed::Failed);
        let Some((1, again)) = world.cache.poll_woken() else { panic!("not freed at {second}") };
        // Another one is quicker.
        let CacheFinding::Forward(next, None) = world.look_up(&request("x"), 2, Arriving::First) else { panic!() };
        job = next;
        assert!(matches!(world.look_up(&request("x"), 1, again), CacheFinding::Wait(_)));
    }
    world.now += 1;
    world.cache.tick(world.now);
    assert_eq!(world.cache.poll_woken(), Some((1, Arriving::Alone)));
}

/// Those whose variants are others do not wait for one another in turn.
#[test]
fn a_response_that_is_for_other_requests_frees_those_who_waited_for_good() {
    let mut world = World::new(1 << 20, 1 << 16);
    let of = |who: u32| request(&format!("x\nFoo: {who}"));
    let CacheFinding::Forward(mut job, None) = world.look_up(&of(0), 0, Arriving::First) else { panic!("no miss") };
    for who in 1..4 {
        assert!(matches!(world.look_up(&of(who), who, Arriving::First), CacheFinding::Wait(_)));
    }
    world.respond(&mut job, &of(0), &ok("Cache-Control: max-age=60\nVary: Foo", "zero"), 0, false);
    while let Some((who, coming)) = world.cache.poll_woken() {
        assert!(matches!(world.look_up(&of(who), who, coming), CacheFinding::Forward(..)), "{who}");
    }
}

/// One client's credentials, or its wish that nothing be stored, are no word about the requests of others.
#[test]
fn what_a_client_says_of_its_own_request_does_not_keep_others_from_sharing() {
    for lines in ["x\nAuthorization: one", "x\nCache-Control: no-store"] {
        let mut world = World::new(1 << 20, 1 << 16);
        world.ask("x", &ok("Cache-Control: max-age=60, no-cache\nETag: \"1\"", "body"));
        let hash = world.cache.shards.key(b"a.b:80/x").hash;
        world.cache.shards.with(hash, |shard| shard.denied.forget(hash));
        let CacheFinding::Forward(mut job, _) = world.look_up(&request(lines), 0, Arriving::First) else { panic!() };
        // None waits for it, ...
        let CacheFinding::Forward(mut other, _) = world.look_up(&request("x"), 1, Arriving::First) else { panic!() };
        assert!(matches!(world.look_up(&request("x"), 2, Arriving::First), CacheFinding::Wait(_)));
        world.respond(&mut job, &request(lines), &ok("Cache-Control: max-age=60", "mine"), 0, false);
        // ... none loses what is kept by it, and the others go on sharing.
        assert_eq!((world.cache.poll_woken(), world.cache.shards.counts().0), (None, 1), "{lines}");
        assert!(matches!(world.look_up(&request("x"), 3, Arriving::First), CacheFinding::Wait(_)), "{lines}");
        world.cache.give_up(&mut other, Freed::Failed);
    }
}

/// `no-cache` with a validator is how origins mark pages that are another for each cookie: each client asks for itself, at once,
/// and none waits for the next.
#[test]
fn what_is_validated_each_time_is_shared_with_none_who_asks_meanwhile() {
    for control in ["no-cache", "max-age=0, must-revalidate", "max-age=9, no-cache"] {
        let mut world = World::new(1 << 20, 1 << 16);
        let mine = request("x\nCookie: one");
        let CacheFinding::Forward(mut job, None) = world.look_up(&mine, 0, Arriving::First) else { panic!("no miss") };
        let theirs = request("x\nCookie: two");
        assert!(matches!(world.look_up(&theirs, 1, Arriving::First), CacheFinding::Wait(_)));
        let text = format!("HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nETag: \"1\"\r\n\r\n");
        let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
        let verdict = world.head(&mut job, &mine, &response, AtHand::Partial(None), (Some(0), false));
        assert!(matches!(verdict, HeadVerdict::Fill(_)), "{control}");
        assert_eq!(world.cache.poll_woken(), Some((1, Arriving::Alone)), "{control}");
        for (who, coming) in [(1, Arriving::Alone), (2, Arriving::First)] {
            assert!(matches!(world.look_up(&theirs, who, coming), CacheFinding::Forward(..)), "{control}");
        }
        let id = job.fetch.unwrap();
        world.cache.append(id, b"mine");
        world.cache.finish(id);
        // Kept it is, and asked about: by each for itself.
        let asked = |world: &mut World, who| match world.look_up(&theirs, who, Arriving::First) {
            CacheFinding::Forward(job, Some(_)) => job,
            other => panic!("{control}: {other:?}"),
        };
        let (mut first, _) = (asked(&mut world, 3), asked(&mut world, 4));
        let not_modified = "HTTP/1.1 304 X\r\nETag: \"1\"\r\n\r\n";
        assert!(matches!(world.respond(&mut first, &theirs, not_modified, 3, false), HeadVerdict::Answer(..)));
        asked(&mut world, 5);
    }
}

/// What a client takes is said by its own request, also of a response that another has asked for.
#[test]
fn a_response_on_its_way_that_is_too_old_for_a_client_is_none_for_it() {
    let mut world = World::new(1 << 20, 1 << 16);
    let asked = request("x");
    let CacheFinding::Forward(mut job, None) = world.look_up(&asked, 0, Arriving::First) else { panic!("no miss") };
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nAge: 20\r\n\r\n";
    let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
    world.head(&mut job, &asked, &response, AtHand::Partial(None), (Some(0), false));
    assert!(matches!(world.look_up(&asked, 1, Arriving::First), CacheFinding::Join(..)));
    for lines in ["x\nCache-Control: max-age=10", "x\nCache-Control: min-fresh=50"] {
        assert!(matches!(world.look_up(&request(lines), 2, Arriving::First), CacheFinding::Forward(..)), "{lines}");
    }
}

#[test]
fn a_body_that_grows_is_shared_and_kept() {
    let mut world = World::new(1 << 20, 1000);
    let asked = request("x");
    let CacheFinding::Forward(mut job, None) = world.look_up(&asked, 0, Arriving::First) else { panic!("no miss") };
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
    let verdict = world.head(&mut job, &asked, &response, AtHand::Partial(None), (Some(0), false));
    assert!(matches!(verdict, HeadVerdict::Fill(answer) if answer.unsized_body));
    let id = job.fetch.unwrap();
    assert!(matches!(world.look_up(&asked, 1, Arriving::First), CacheFinding::Join(..)));
    world.cache.append(id, &[b'x'; 600]);
    assert!(matches!(world.cache.read(id, 1, 0), Portion::Bytes(bytes, 0) if bytes.len() == 600));
    assert!(matches!(world.cache.read(id, 1, 600), Portion::Later));
    world.cache.finish(id);
    assert_eq!((world.cache.poll_fed(), world.cache.poll_fed()), (Some(1), None));
    assert!(matches!(world.cache.read(id, 1, 600), Portion::End));
    assert!(
        matches!(world.look_up(&asked, 2, Arriving::First), CacheFinding::Answer(answer, _) if answer.body.len() == 600)
    );
    [0, 1].into_iter().for_each(|who| world.cache.leave(id, who));
    // The next one turns out too long.
    world.cache.purge_site(None);
    let CacheFinding::Forward(mut job, None) = world.look_up(&asked, 0, Arriving::First) else { panic!("no miss") };
    world.head(&mut job, &asked, &response, AtHand::Partial(None), (Some(0), false));
    let id = job.fetch.unwrap();
    world.cache.append(id, &[b'x'; 600]);
    world.cache.append(id, &[b'x'; 600]);
    assert_eq!((world.cache.shards.used(), world.cache.is_wanted(id)), (600, true), "what none has read counts");
    assert!(matches!(world.look_up(&asked, 1, Arriving::First), CacheFinding::Forward(..)));
    world.cache.leave(id, 0);
    assert_eq!((world.cache.shards.used(), world.cache.is_wanted(id)), (0, false));
}

/// Bodies of unknown length that turn out too long, each with a client that stalls: what they hold counts against the room, and a
/// window beyond it.
#[test]
fn what_stalled_clients_hold_of_bodies_that_are_not_kept_counts() {
    let (size, object) = (1 << 20, 256 << 10);
    let mut world = World::new(size, object);
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
    let piece = vec![b'x'; 64 << 10];
    let mut fetches = Vec::new();
    for who in 0..20 {
        let asked = request(&who.to_string());
        let CacheFinding::Forward(mut job, None) = world.look_up(&asked, who, Arriving::First) else {
            panic!("no miss")
        };
        if let HeadVerdict::Fill(_) = world.head(&mut job, &asked, &response, AtHand::Partial(None), (Some(who), false))
        {
            fetches.push((who, job.fetch.unwrap()));
        }
    }
    for (_, id) in &fetches {
        for _ in 0..10 {
            if world.cache.wants_more(*id) {
                world.cache.append(*id, &piece);
            }
        }
    }
    let here: usize = fetches.iter().map(|(_, id)| world.cache.fetches.here(*id)).sum();
    let counted = world.cache.shards.used();
    assert!(counted > size / 2 && counted <= size, "{counted}");
    let beyond = fetches.len() * (fetches::WINDOW + piece.len());
    assert!(here <= counted + beyond, "{here} bytes are held, and {counted} counted");
    for (who, id) in &fetches {
        world.cache.read(*id, *who, 128 << 10);
        world.cache.leave(*id, *who);
        world.cache.fail(*id);
    }
    assert_eq!((world.cache.shards.used(), world.cache.fetches.counts()), (0, (0, 0)));
}

/// The room has become smaller meanwhile: its readers still have the body.
#[test]
fn a_body_that_finds_no_room_in_the_end_counts_while_it_is_read() {
    let mut world = World::new(1 << 20, 1 << 16);
    let asked = request("x");
    let CacheFinding::Forward(mut job, None) = world.look_up(&asked, 0, Arriving::First) else { panic!("no miss") };
    let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n";
    let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
    world.head(&mut job, &asked, &response, AtHand::Partial(Some(5000)), (Some(0), false));
    let id = job.fetch.unwrap();
    world.cache.append(id, &[b'x'; 5000]);
    world.cache.set(CacheSettings { size: 1000, ..world.cache.settings.clone() });
    world.cache.finish(id);
    assert_eq!((world.cache.shards.counts().0, world.cache.shards.used()), (0, 5000));
    world.cache.leave(id, 0);
    world.cache.tick(world.now);
    assert_eq!(world.cache.shards.used(), 0);
}

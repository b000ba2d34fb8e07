//! Answers without a question (RFC 5452 section 9.1), and letter case.

use super::*;

#[test]
fn answers_must_match_server_id_and_question() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    let good = knows_all(&sent).unwrap();
    let elsewhere = Sent { server: server(9), ..sent.clone() };
    let other_port = Sent { server: (server(1).ip(), 54).into(), ..sent.clone() };
    world.reply(&elsewhere, good.clone());
    world.reply(&other_port, good.clone());
    assert_eq!(world.resolver.counters().dropped_source, 2);
    world.reply(&sent, good.clone().id(sent.id().wrapping_add(1)));
    assert_eq!(world.resolver.counters().dropped_id, 1);
    let mut other_name = sent.clone();
    other_name.bytes[13] ^= 3;
    let mut other_kind = sent.clone();
    let kind_at = sent.kind_at();
    other_kind.bytes[kind_at + 1] = 16;
    let mut other_class = sent.clone();
    other_class.bytes[kind_at + 3] = 3;
    for forged in [other_name, other_kind, other_class] {
        let reply = Reply::to(&forged).address("a.test", 60, "192.0.2.66");
        world.reply(&sent, reply);
    }
    assert_eq!(world.resolver.counters().dropped_question, 3);
    assert!(world.events().is_empty());
    world.reply(&sent, good);
    assert_eq!(world.result().unwrap(), ["192.0.2.80"]);
    world.reply(&sent, knows_all(&sent).unwrap());
    assert_eq!(world.resolver.counters().dropped_id, 2, "an answer counts once");
    assert_eq!(world.resolver.counters().dropped(), 7);
}

#[test]
fn ids_and_letter_case_are_not_predictable() {
    let mut world = World::single();
    let mut ids = std::collections::HashSet::new();
    let mut names = std::collections::HashSet::new();
    for i in 0..200 {
        world.pending(&format!("abcdefghijklmnop{i}.test"), 1);
        let sent = world.sent_one();
        ids.insert(sent.id());
        names.insert(sent.bytes[13..29].to_vec());
    }
    assert!(ids.len() > 190 && names.len() > 190, "{} {}", ids.len(), names.len());
}

#[test]
fn an_answer_over_tcp_to_a_question_in_a_datagram_is_dropped() {
    let mut world = World::single();
    world.pending("a.test", 1);
    world.pending("b.test", 2);
    let sent = world.sent();
    world.reply(&sent[0], Reply::to(&sent[0]).truncated());
    let framed = world.sent_one();
    let wrong_way = Sent { link: framed.link, ..sent[1].clone() };
    world.reply(&wrong_way, knows_all(&sent[1]).unwrap());
    let wrong_way = Sent { link: None, ..framed.clone() };
    world.reply(&wrong_way, knows_all(&framed).unwrap());
    assert_eq!(world.resolver.counters().dropped_id, 2);
    assert!(world.events().is_empty());
}

#[test]
fn changed_letters_are_confirmed_over_tcp() {
    let mut world = World::single();
    world.pending("some-rather-long-name.test", 1);
    let sent = world.sent_one();
    assert!(sent.is_mixed());
    world.reply(&sent, knows_all(&sent).unwrap().lowered());
    assert!(world.events().is_empty(), "it could be forged");
    let again = world.sent_one();
    assert!(again.link.is_some() && !again.is_mixed());
    world.reply(&again, knows_all(&again).unwrap());
    assert_eq!(world.result().unwrap(), ["192.0.2.80"]);
    assert_eq!(world.resolver.counters().case_changed, 1);
}

#[test]
fn where_tcp_is_refused_changed_letters_are_asked_again_plainly() {
    let mut world = World::single();
    world.pending("some-rather-long-name.test", 1);
    let sent = world.sent_one();
    world.reply(&sent, knows_all(&sent).unwrap().lowered());
    let again = world.sent_one();
    world.resolver.handle_stream(again.link.unwrap(), StreamEvent::Closed, world.now);
    let plain = world.sent_one();
    assert!(plain.link.is_none() && !plain.is_mixed());
    world.reply(&plain, knows_all(&plain).unwrap());
    assert_eq!(world.result().unwrap(), ["192.0.2.80"]);
    world.assert_quiet();
}

#[test]
fn a_server_that_always_changes_letters_is_remembered() {
    let mut world = World::single();
    for i in 0..3 {
        world.pending(&format!("a-rather-long-name-{i}.test"), 1);
        world.serve(|sent| Some(knows_all(sent).unwrap().lowered()));
        assert!(world.result().is_ok());
    }
    world.pending("another-rather-long-name.test", 1);
    let sent = world.sent_one();
    assert!(!sent.is_mixed() && sent.link.is_none());
    world.reply(&sent, knows_all(&sent).unwrap());
    assert!(world.result().is_ok());
    assert_eq!(world.resolver.counters().tcp, 3);
}

#[test]
fn one_forged_answer_does_not_switch_the_mixing_off() {
    let mut world = World::single();
    for i in 0..10 {
        world.pending(&format!("a-rather-long-name-{i}.test"), 1);
        let sent = world.sent_one();
        assert!(sent.is_mixed(), "{i}");
        if i % 3 == 0 {
            world.reply(&sent, knows_all(&sent).unwrap().lowered());
            world.serve(knows_all);
        } else {
            world.reply(&sent, knows_all(&sent).unwrap());
        }
        assert!(world.result().is_ok());
    }
}

#[test]
fn mixing_can_be_turned_off() {
    let mut world = World::new(Config { case_mixing: false, ..config(1) });
    world.pending("some-rather-long-name.test", 1);
    assert!(world.sent().iter().all(|sent| !sent.is_mixed()));
}

//! Which requests go through parents, which parent is tried when, and what it is told.

use super::chain::NextHop;
use super::*;
use crate::http::request::{Hop, OpaqueKind};
use crate::http::rules::Rules;
use crate::policy::lists::line::ListFormat;
use crate::policy::lists::list::{List, ListReading};
use crate::policy::lists::names::ListKey;

fn target(text: &str) -> Target {
    Target::from_authority(text.as_bytes(), Some(80)).unwrap()
}

fn parent(text: &str) -> Arc<Parent> {
    let Target { host, port, .. } = target(text);
    Arc::new(Parent { host, port, credentials: None, announce: Announce::Off })
}

fn list(text: &str) -> List {
    let mut reading = ListReading::new(ListKey(1, 2));
    reading.begin("f");
    text.split(' ').filter(|word| !word.is_empty()).for_each(|word| reading.read(word.as_bytes(), ListFormat::Lines));
    reading.finish().unwrap()
}

fn parents(only: Option<&str>, except: &str) -> Parents {
    Parents {
        chain: ParentChain::new(vec![parent("p.test:1")], false),
        sites: Arc::new(ParentSites { only: only.map(list), except: list(except) }),
        resolve: None,
        logins: ParentLogins::default(),
        announce: Announce::V2,
    }
}

fn get(authority: &str) -> Box<Request> {
    let head = format!("GET http://{authority}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    Request::parse(head.as_bytes(), &Rules::default()).unwrap()
}

/// The place in the chain of what is chosen, or a word.
fn chosen(chain: &ParentChain, tried: u32, now: u64) -> String {
    match chain.choose(tried, now) {
        Some(NextHop::Parent { parent, last, .. }) => format!("{}{}", parent.port, if last { " last" } else { "" }),
        Some(NextHop::Direct) => "direct".into(),
        None => "none".into(),
    }
}

#[test]
fn names_and_networks_say_who_goes_through_a_parent() {
    // parent.for, parent.except, the host, its addresses as they are known, and whether it is taken.
    type Row = (Option<&'static str>, &'static str, &'static str, &'static [&'static str], bool);
    let table: &[Row] = &[
        (None, "", "a.test", &[], true),
        (None, "a.test", "a.test", &[], false),
        (None, "*.test", "a.test", &[], false),
        (None, "*.test !a.test", "a.test", &[], true),
        (None, "a.test:81", "a.test", &[], true),
        (None, "a.test:81", "a.test:81", &[], false),
        (Some("b.test"), "", "a.test", &[], false),
        (Some("*.test"), "b.test", "a.test", &[], true),
        (Some("*.test"), "b.test", "b.test", &[], false),
        (None, "10.0.0.0/8", "10.1.2.3", &[], false),
        (None, "10.0.0.0/8", "a.test", &[], true),
        (None, "10.0.0.0/8", "a.test", &["192.0.2.1", "10.1.2.3"], false),
        (Some("10.0.0.0/8"), "", "a.test", &["10.1.2.3"], true),
        (Some("10.0.0.0/8"), "", "a.test", &[], false),
        (Some("2001:db8::/32"), "", "[2001:db8::1]", &[], true),
        (Some(""), "", "a.test", &[], false),
    ];
    for (only, except, host, known, takes) in table {
        let known: Vec<IpAddr> = known.iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(parents(*only, except).take(&get(host), &known), *takes, "{host} {known:?}: {only:?}, {except}");
    }
}

#[test]
fn what_is_sent_elsewhere_goes_there_without_a_parent() {
    let parents = parents(None, "");
    let mut request = get("a.test");
    request.intercept(target("b.test"), None);
    assert!(!parents.take(&request, &[]), "a helper has said where to");
    request.hop_mut().named = Some(parent("q.test:2"));
    assert!(parents.take(&request, &[]), "and a parent");
    let mut request = get("a.test");
    request.send_on("192.0.2.1:80".parse().unwrap());
    assert!(!parents.take(&request, &[]));
    let mut request = Request::opaque(OpaqueKind::Tls, Some(target("a.test:443")));
    assert!(parents.take(&request, &[]));
    request.send_on("192.0.2.1:80".parse().unwrap());
    assert!(parents.take(&request, &[]), "a tunnel leads to an address as well");
    assert!(!parents.take(&Request::opaque(OpaqueKind::Tcp, None), &[]), "nowhere");
    let none = Parents { chain: ParentChain::default(), ..parents };
    assert!(!none.take(&get("a.test"), &[]));
    let mut request = get("a.test");
    *request.hop_mut() = Hop { named: Some(parent("q.test:2")), ..Hop::default() };
    assert!(none.take(&request, &[]));
}

#[test]
fn names_are_resolved_where_it_is_said_or_where_addresses_are_judged() {
    let with = |resolve| Parents { resolve, ..parents(None, "") };
    for (resolve, judged, wanted) in
        [(None, false, false), (None, true, true), (Some(false), true, false), (Some(true), false, true)]
    {
        assert_eq!(with(resolve).resolve(judged), wanted, "{resolve:?} {judged}");
    }
}

#[test]
fn parents_are_tried_in_order_and_a_failed_one_is_left_alone() {
    let all: Vec<_> = ["p:1", "p:2"].map(parent).into();
    let chain = ParentChain::new(all.clone(), false);
    assert_eq!(chosen(&chain, 0, 0), "1");
    assert_eq!(chain.note_failure(&all[0], 0), Some(10_000));
    assert_eq!(chain.note_failure(&all[0], 5), None, "it was on its way at the same time");
    assert_eq!((chosen(&chain, 1, 5), chosen(&chain, 0, 9_999)), ("2 last".into(), "2".into()));
    // One goes and looks, the others do not wait for it.
    assert_eq!((chosen(&chain, 0, 10_000), chosen(&chain, 0, 10_000)), ("1".into(), "2".into()));
    assert_eq!(chain.note_failure(&all[0], 10_001), Some(20_000));
    for (at, rest) in [(30_001, 40_000), (70_001, 60_000), (130_001, 60_000)] {
        assert_eq!((chosen(&chain, 0, at), chain.note_failure(&all[0], at)), ("1".into(), Some(rest)));
    }
    assert_eq!((chain.down(140_000), chain.down(190_001)), (1, 0));
    assert!(chain.note_success(&all[0]) && !chain.note_success(&all[0]));
    assert_eq!(chosen(&chain, 0, 140_000), "1");
    assert_eq!(chain.note_failure(&all[0], 140_000), Some(10_000), "from the start");
}

/// With the same parents, as each loop has them.
#[test]
fn copies_of_a_chain_know_what_one_of_them_has_found_out() {
    let all: Vec<_> = ["p:1", "p:2"].map(parent).into();
    let chain = ParentChain::new(all.clone(), false);
    let copy = chain.clone();
    assert_eq!((chain.note_failure(&all[0], 0), copy.note_failure(&all[0], 5)), (Some(10_000), None));
    assert_eq!((chosen(&copy, 0, 9_999), copy.down(9_999)), ("2".into(), 1));
    assert_eq!((chosen(&copy, 0, 10_000), chosen(&chain, 0, 10_000)), ("1".into(), "2".into()), "one looks for all");
    assert!(copy.note_success(&all[0]) && !chain.note_success(&all[0]));
    assert_eq!((chosen(&chain, 0, 10_001), chain.down(0)), ("1".into(), 0));
    // Others have nothing in common with them.
    chain.note_failure(&all[0], 0);
    assert_eq!(ParentChain::new(all, false).down(1), 0);
}

#[test]
fn a_look_that_never_ended_is_followed_by_another() {
    let all = vec![parent("p:1"), parent("p:2")];
    let chain = ParentChain::new(all.clone(), false);
    chain.note_failure(&all[0], 0);
    assert_eq!((chosen(&chain, 0, 10_000), chosen(&chain, 0, 14_999)), ("1".into(), "2".into()));
    assert_eq!(chosen(&chain, 0, 15_000), "1");
}

#[test]
fn where_all_have_failed_the_first_to_wake_is_tried_or_none() {
    let all = vec![parent("p:1"), parent("p:2")];
    let fail = |chain: &ParentChain| {
        chain.note_failure(&all[1], 0);
        chain.note_failure(&all[0], 1);
    };
    let chain = ParentChain::new(all.clone(), false);
    fail(&chain);
    assert_eq!(chosen(&chain, 0, 2), "2");
    assert_eq!((chosen(&chain, 0b10, 2), chosen(&chain, 0b11, 2)), ("1 last".into(), "none".into()));
    let chain = ParentChain::new(all.clone(), true);
    assert_eq!(chosen(&chain, 0b01, 0), "2", "there is the origin behind it");
    fail(&chain);
    assert_eq!((chosen(&chain, 0, 2), chosen(&chain, 0b11, 2)), ("direct".into(), "direct".into()));
}

#[test]
fn more_parents_than_can_be_remembered_do_not_count() {
    let many: Vec<_> = (1..100).map(|port| parent(&format!("p:{port}"))).collect();
    let chain = ParentChain::new(many, false);
    assert_eq!(chosen(&chain, 0xffff, 0), "none");
    assert_eq!(chosen(&chain, 0x7fff, 0), "16 last");
}

#[test]
fn a_helper_may_name_one_of_ours() {
    let own = parents(None, "");
    assert!(Arc::ptr_eq(&own.named(target("p.test:1")), &own.chain.at(&target("p.test:1")).unwrap()));
    let other = own.named(target("q.test:9"));
    assert_eq!((other.to_string().as_str(), other.announce), ("q.test:9", Announce::V2));
}

#[test]
fn logins_are_for_all_or_for_one() {
    let text = b"# ours\r\nuser:pass word:x\r\nq.test:9 other:\n\n[2001:db8::1]:80\t x:y\n";
    let logins = ParentLogins::parse(text).unwrap();
    let of = |to: &str, ours| logins.of(&target(to), ours);
    assert_eq!(of("p.test:1", true).as_deref(), Some("Basic dXNlcjpwYXNzIHdvcmQ6eA=="));
    assert_eq!(of("p.test:1", false), None, "a parent that a helper names gets no password of another");
    assert_eq!(of("q.test:9", false).as_deref(), Some("Basic b3RoZXI6"));
    assert_eq!(of("[2001:db8::1]:80", true).as_deref(), Some("Basic eDp5"));
    assert_eq!(ParentLogins::parse(b"").unwrap(), ParentLogins::default());
    for (text, line) in
        [("user", 1), (":pass", 1), ("a:b\nc:d", 2), ("q:1 a:b\nQ:1 c:d", 2), ("q:1 a", 1), ("a:b\x07", 1)]
    {
        assert_eq!(ParentLogins::parse(text.as_bytes()).map_err(|(line, _)| line), Err(line), "{text:?}");
    }
    assert!(!format!("{logins:?}").contains("Basic"));
}

#[test]
fn an_entry_is_one_name_or_network() {
    for text in ["a.test", "*.test", ".test", "10.0.0.0/8", "!a.test", "a.test:80", "2001:db8::1", "[2001:db8::1]:80"] {
        assert!(sites::is_entry(text), "{text}");
    }
    for text in ["", "#a", "a..b", "10.0.0.0/33", "a/b", "a.test\nb.test"] {
        assert!(!sites::is_entry(text), "{text}");
    }
}

//! What one version tells another at an upgrade: a tunnel that has moved is the same when it moves once more, and numbers read as they
//! are written.

use std::ffi::OsStr;

use exaproxy::exchange::{Exchange, NewHome, Remembered};
use exaproxy::monitor::drainers::DrainerNumbers;
use exaproxy::system::handover::HandoverNumbers;
use serde_json::Value;

use super::{outcome, rough};

pub(super) const TUNNELS: &[&[u8]] = &[
    br#"{"ingress":"http proxy","requests":1,"target":"a.example:443","user":"an","parent":false,"eof":[true,false],"shut":[false,false],"moved":[5,6],"waited":7,"still":9999999,"noted":"2001:db8::7","peer":"192.0.2.1:7","summary":{"text":"GETa.example","ends":[3,12,12,12,12,12],"version":"1.1","status":200,"list":null,"user":null,"hello":{"name":"a.example","protocols":"\u0002h2","ech":false},"decision":"PERMIT","cache":"MISS","origin":"[fe80::1%3]:443","parent":false,"age":7,"decided":1,"resolved":2,"connected":null,"moved":[1,2]}}"#,
    br#"{"ingress":"tls server","requests":0,"target":"[::1]:1","user":null,"parent":true,"eof":[false,false],"shut":[false,true],"moved":[0,0],"waited":0,"still":0,"noted":null,"uid":1000,"pid":7,"original":"192.0.2.9:443","unique-id":"\u0000\u00ff","authority":"b","summary":null}"#,
];

pub(super) const NUMBERS: &[&[u8]] = &[
    b" since=1 until=2 clients=3 tunnels=4 to-clients4=18446744073709551615 to-origins-unix=6 moved=7 last=1",
    b"from=77 trial shut ready=9 pidfile=5 own=7 given=11 drainer=80 drainer=-2147483648 line=81:12",
];

pub(super) fn tunnel(bytes: &[u8]) -> u64 {
    let Ok(words) = serde_json::from_slice::<Value>(bytes) else { return 0 };
    let cache_words = |word: &str| (word == "MISS").then_some(("MISS", "TCP_MISS"));
    let home = NewHome { now: 5000, fraction: 7, remembers: Some(Remembered::ALL), cache_words: &cache_words };
    let read = |words: &Value| Exchange::from_words(words, home);
    let told = |exchange: &Exchange| exchange.to_words(home.now, home.fraction).expect("a tunnel");
    let Some(mut exchange) = read(&words) else { return 1 };
    let moves = told(&exchange);
    assert_eq!(told(&read(&moves).expect("our own words")), moves);
    exchange.note_counted();
    assert_eq!(told(&exchange), moves);
    outcome((exchange.may_move(), exchange.ingress().name(), exchange.user().is_some(), rough(moves.to_string().len())))
}

pub(super) fn numbers(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let told = DrainerNumbers::read(&text);
    assert_eq!(DrainerNumbers::read(&told.text()), told);
    let handed = HandoverNumbers::read(OsStr::new(&*text), [77, 0]);
    if let Some(handed) = &handed {
        assert_eq!(HandoverNumbers::read(OsStr::new(&handed.text()), [77, 0]).as_ref(), Some(handed));
    }
    let handed = handed.map(|handed| (handed.trial, handed.shut, rough(handed.descriptors().len())));
    outcome((told.clients > 0, told.sums()[0] > 0, handed))
}

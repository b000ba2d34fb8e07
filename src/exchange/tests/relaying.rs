//! Request and response on their way: bodies of every framing, pauses, ends and breaks on either side.

use super::*;
use crate::exchange::close::CloseReason;

const UPLOAD: &str = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\n";
const UPLOAD_SENT: &str = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\n";

#[test]
fn a_whole_exchange_however_the_response_is_split() {
    for cut in 1..OK.len() {
        let mut scenario = Scenario::get().into_relaying();
        scenario.origin(&OK[..cut]);
        assert_eq!(scenario.kind(), PhaseKind::Relaying, "cut at {cut}");
        scenario.origin(&OK[cut..]);
        assert_eq!(scenario.client_got(), OK_SENT);
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]));
    }
}

#[test]
fn a_body_is_relayed_as_it_comes() {
    let mut scenario = Scenario::new().sending(UPLOAD).into_relaying();
    assert_eq!(scenario.origin_got(), UPLOAD_SENT);
    for byte in ["b", "o", "d", "y"] {
        assert!(scenario.reads(Direction::Upload));
        scenario.client(byte);
        assert_eq!(scenario.origin_got(), byte);
    }
    assert!(!scenario.reads(Direction::Upload), "what follows is another request");
    scenario.origin(OK);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]));
}

#[test]
fn a_body_behind_its_head_is_not_lost_when_the_head_grows() {
    let body = "x".repeat(50_000);
    let head = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 50000\r\n\r\n";
    let mut scenario = Scenario::with(|settings| settings.rules.transparent = false);
    scenario.client(format!("{head}{body}{GET}"));
    let got = scenario.into_relaying().origin_got();
    let (head, sent) = got.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("X-Forwarded-For: 192.0.2.1"), "{head}");
    assert_eq!(sent, body);
}

#[test]
fn chunks_pass_as_they_stand_and_the_end_is_seen() {
    for piece in [1, 2, 3, 1000] {
        let mut scenario = Scenario::get().into_relaying();
        scenario.download.piece = piece;
        let response = "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        scenario.origin(response);
        assert_eq!(scenario.client_got(), response, "in pieces of {piece}");
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]));
    }
}

#[test]
fn a_body_may_end_with_the_connection() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.origin("HTTP/1.1 200 OK\r\nDate: D\r\n\r\nall ");
    scenario.origin("of it");
    assert!(scenario.client_got().ends_with("Connection: close\r\n\r\nall of it"));
    scenario.origin_ends();
    assert_eq!((scenario.kind(), scenario.download.shut), (PhaseKind::Draining, true));
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Hangup, Action::Done(CloseReason::Complete)]);
    assert!(!scenario.exchange.aborts(Side::Client));
}

#[test]
fn a_slow_client_pauses_the_origin() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.download.piece = 100;
    scenario.client_takes(150);
    scenario.origin(format!("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(9000)));
    assert_eq!(scenario.client_got().len(), 150);
    assert!(scenario.download.held.len() <= 100, "at most one read is held: {}", scenario.download.held.len());
    scenario.client_takes(usize::MAX);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]));
}

#[test]
fn a_slow_origin_pauses_the_client() {
    let mut scenario = Scenario::new().sending(UPLOAD.replace('4', "9000"));
    scenario.upload.piece = 100;
    scenario.origin_takes(100);
    let mut scenario = scenario.into_relaying();
    scenario.client("x".repeat(9000));
    assert!(scenario.upload.held.len() <= 100, "at most one read is held: {}", scenario.upload.held.len());
    scenario.origin_takes(usize::MAX);
    assert_eq!(scenario.origin_got().matches('x').count(), 9000 + "a.example".matches('x').count());
}

#[test]
fn the_client_connection_is_kept_as_both_want() {
    let table = [
        ("HTTP/1.1", "", "Content-Length: 2\r\n", true),
        ("HTTP/1.1", "Connection: close\r\n", "Content-Length: 2\r\n", false),
        ("HTTP/1.1", "", "Content-Length: 2\r\nConnection: close\r\n", true),
        ("HTTP/1.1", "Proxy-Connection: close\r\n", "Content-Length: 2\r\n", false),
        ("HTTP/1.0", "", "Content-Length: 2\r\n", false),
        ("HTTP/1.0", "Connection: keep-alive\r\n", "Content-Length: 2\r\n", true),
    ];
    for (version, asked, answered, kept) in table {
        let head = format!("GET http://a.example/ {version}\r\nHost: a.example\r\n{asked}\r\n");
        let mut scenario = Scenario::new().sending(head).into_relaying();
        scenario.origin(format!("HTTP/1.1 200 OK\r\n{answered}\r\nok"));
        assert_eq!(scenario.kind() == PhaseKind::Idle, kept, "{version} {asked} {answered}");
        assert_eq!(scenario.client_got().contains("Connection: close"), !kept);
    }
}

#[test]
fn the_origin_connection_is_kept_as_it_wants() {
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Action::Release),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", Action::Hangup),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Action::Hangup),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", Action::Release),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more", Action::Hangup),
    ];
    for (response, action) in table {
        let mut scenario = Scenario::get().into_relaying();
        scenario.origin(response);
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![200], vec![action]), "{response}");
        assert_eq!(scenario.kind(), PhaseKind::Idle);
    }
}

/// Bytes that an origin sent unasked must not become the answer to the next request, which may go elsewhere.
#[test]
fn unasked_bytes_of_an_origin_are_no_response_to_anything() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.origin(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    assert_eq!((scenario.client_got(), scenario.actions()), (OK_SENT.to_string(), vec![Action::Hangup]));
    let mut scenario = scenario.sending(GET).into_relaying();
    assert_eq!((scenario.client_got(), scenario.kind()), (String::new(), PhaseKind::Relaying));
    scenario.origin(OK);
    assert_eq!(scenario.client_got(), OK_SENT);
}

#[test]
fn an_origin_with_a_login_belongs_to_its_client() {
    let mut scenario = Scenario::get().into_relaying();
    assert!(!scenario.exchange.is_private());
    scenario.origin("HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(scenario.actions(), [Action::Release]);
    assert!(scenario.exchange.is_private(), "and stays so");
    assert!(scenario.sending(GET).exchange.is_private());
}

#[test]
fn a_response_that_is_cut_says_so() {
    // Whether the origin closed or broke off, what the client got, and whether it must see a reset.
    let table = [
        ("HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", false, false),
        ("HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", true, false),
        ("HTTP/1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal", false, false),
        ("HTTP/1.1", "HTTP/1.1 200 OK\r\n\r\nhal", true, true),
        ("HTTP/1.0", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", false, false),
        ("HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal", false, true),
        ("HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal", true, true),
    ];
    for (version, response, broken, reset) in table {
        let head = format!("GET http://a.example/ {version}\r\nHost: a.example\r\n\r\n");
        let mut scenario = Scenario::new().sending(head).into_relaying();
        scenario.origin(response);
        if broken {
            scenario.origin_resets();
        } else {
            scenario.origin_ends();
        }
        let got = scenario.client_got();
        assert!(got.ends_with("hal"), "{version} {response}: {got}");
        scenario.client_ends();
        assert_eq!(scenario.exchange.aborts(Side::Client), reset, "{version} {response} {broken}");
        assert_eq!(scenario.actions().last(), Some(&Action::Done(CloseReason::ResponseCut)), "{version} {response}");
    }
}

#[test]
fn a_client_that_breaks_off_takes_its_origin_with_it() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientGone)]);
    assert!(!scenario.exchange.aborts(Side::Origin), "the request was complete");
    let mut scenario = Scenario::new().sending(UPLOAD).into_relaying();
    scenario.client_resets();
    assert!(scenario.exchange.aborts(Side::Origin), "half a request must not pass for a whole one");
}

#[test]
fn a_client_that_ends_within_its_body_is_cut() {
    for lines in ["Content-Length: 4\r\n\r\nbo", "Transfer-Encoding: chunked\r\n\r\n4\r\nbo"] {
        let head = format!("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{lines}");
        let mut scenario = Scenario::new().sending(head).into_relaying();
        scenario.client_ends();
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::RequestCut)], "{lines}");
        assert!(scenario.exchange.aborts(Side::Origin));
    }
}

#[test]
fn an_origin_that_refuses_the_rest_may_still_say_why() {
    let mut scenario = Scenario::new().sending(UPLOAD.replace('4', "9000")).into_relaying();
    scenario.client("x".repeat(100));
    scenario.origin_refuses();
    scenario.client("x".repeat(100));
    assert_eq!(scenario.upload.held.len(), 0, "what still comes is thrown away");
    scenario.origin("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(scenario.statuses(), [403]);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
}

#[test]
fn an_end_after_a_failed_upload_is_an_end_unless_it_was_a_reset() {
    for (reset, complete) in [(false, true), (true, false)] {
        let mut scenario = Scenario::new().sending(UPLOAD.replace('4', "9000")).into_relaying();
        scenario.client("x".repeat(100));
        scenario.upload_fails(reset);
        scenario.origin("HTTP/1.1 413 Too much\r\n\r\nenough");
        scenario.origin_ends();
        assert!(scenario.client_got().ends_with("\r\n\r\nenough"));
        assert_eq!(scenario.exchange.aborts(Side::Client), !complete, "reset: {reset}");
    }
}

#[test]
fn bytes_that_could_not_be_sent_do_not_count_as_sent() {
    let mut scenario = Scenario::new().sending(UPLOAD).into_relaying();
    let head = scenario.origin_got().len() as u64;
    scenario.origin_takes(0);
    scenario.client("body");
    scenario.origin_refuses();
    assert_eq!(scenario.exchange.flow(Direction::Upload).moved, head);
}

#[test]
fn silence_is_answered_before_the_response_and_cut_after() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.at(60_000);
    assert_eq!((scenario.statuses(), scenario.actions()), (vec![504], vec![Action::Hangup]));
    let mut scenario = Scenario::get().into_relaying();
    scenario.origin("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
    scenario.now = 50_000;
    scenario.origin("f");
    scenario.at(109_999);
    assert_eq!(scenario.kind(), PhaseKind::Relaying, "it counts from the last byte");
    scenario.at(110_000);
    scenario.client_ends();
    let timer = crate::exchange::timers::Timer::Inactive;
    assert_eq!(scenario.actions(), [Action::Hangup, Action::Done(CloseReason::Timeout(timer))]);
}

/// A stop, or a client whose own chunks are broken, must not make half a response look whole.
#[test]
fn a_body_that_ends_with_the_connection_is_never_cut_by_an_ordinary_end() {
    let head = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";
    let ways: [Event; 3] = [
        ("stop", |scenario| scenario.tell(|exchange, cx| exchange.handle_stop(cx.now))),
        ("broken request", |scenario| scenario.client("x\r\n")),
        ("silence", |scenario| scenario.at(60_000)),
    ];
    for (response, reset) in
        [("HTTP/1.1 200 OK\r\n\r\nhal", true), ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", false)]
    {
        for (name, end) in ways {
            let mut scenario = Scenario::new().sending(head).into_relaying();
            scenario.origin(response);
            end(&mut scenario);
            assert_eq!(scenario.kind(), PhaseKind::Closed, "{name}");
            assert_eq!(scenario.exchange.aborts(Side::Client), reset, "{name}");
        }
    }
}

#[test]
fn a_client_that_stops_sending_its_content_is_told_so() {
    let mut scenario = Scenario::new().sending(UPLOAD).into_relaying();
    scenario.client("ab");
    assert!(scenario.origin_got().ends_with("\r\n\r\nab"));
    scenario.at(60_000);
    assert_eq!(scenario.statuses(), [408], "the client's fault, as nothing waits for the origin");
    let mut scenario = Scenario::new().sending(UPLOAD).into_relaying();
    scenario.client("abcd");
    scenario.at(60_000);
    assert_eq!(scenario.statuses(), [504], "the origin's, as it has everything");
}

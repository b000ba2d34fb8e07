//! Replies of the shipped helpers and of bad ones, for a GET, a POST and a CONNECT.

use super::*;

const GET: &str = "GET http://a.ok:27900/p HTTP/1.1\r\nHost: a.ok:27900\r\nCookie: c=1\r\n\r\n";
const CONNECT: &str = "CONNECT a.ok:443 HTTP/1.1\r\nHost: a.ok:443\r\n\r\n";

fn authority(target: &Target) -> String {
    let mut out = Vec::new();
    target.write_authority(&mut out);
    String::from_utf8(out).unwrap()
}

/// What a reply says about the request with this head, in short.
fn meaning(client: &str, reply: &str) -> String {
    let rules = Rules::default();
    let request = Request::parse(client.as_bytes(), &rules).unwrap();
    let (address, local) = ("192.0.2.1".parse().unwrap(), "192.0.2.2:3128".parse().unwrap());
    let question = Question { request: &request, client: address, local, lines: b"" };
    let verdict = IcapMessage::parse(reply.as_bytes()).and_then(|message| read(&message, &question, &rules));
    match verdict {
        Ok(Verdict::Permit) => "permit".into(),
        Ok(Verdict::Rewrite(other)) => {
            let sent = String::from_utf8_lossy(other.method_name()).into_owned();
            let path = String::from_utf8_lossy(other.path()).into_owned();
            format!("{sent} {} {path} to {}", authority(other.target()), authority(other.destination()))
        }
        Ok(Verdict::Intercept(to, _)) => format!("intercept {}", authority(&to)),
        Ok(Verdict::Parent(to)) => format!("parent {to}"),
        Ok(Verdict::Redirect(_)) => "redirect".into(),
        Ok(Verdict::File(LocalPage { name, comment, .. })) => format!("file {name} ({comment})"),
        Ok(Verdict::Answer(answer)) => {
            let fields: Vec<String> = answer.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let (phrase, body) = (answer.foreign.unwrap(), String::from_utf8_lossy(&answer.body).into_owned());
            format!("{} {phrase} [{}] {body}", answer.status, fields.join(", "))
        }
        Err(_) => "unreadable".into(),
    }
}

/// A reply of that code whose only part is this text.
fn reply(code: u16, part: &str, text: &str) -> String {
    format!("ICAP/1.0 {code} x\nEncapsulated: {part}=0, null-body={}\n\n{text}", text.len())
}

#[test]
fn permissions() {
    for text in [
        "ICAP/1.0 204 No Content\n\n",
        "ICAP/1.0 304 Not Modified\n\n",
        "ICAP/1.0 304 Not Modified\r\nEncapsulated: null-body=0\r\n\r\n",
        &reply(304, "res-hdr", GET),
        &reply(204, "res-hdr", GET),
    ] {
        assert_eq!(meaning(GET, text), "permit");
        assert_eq!(meaning(CONNECT, text), "permit");
    }
}

#[test]
fn a_parent_is_named_by_a_request_for_it() {
    let named = |place: &str| reply(200, "req-hdr", &format!("GET parent://{place} HTTP/1.1\r\n\r\n"));
    for client in [GET, CONNECT] {
        assert_eq!(meaning(client, &named("b.ok:3128")), "parent b.ok:3128");
        assert_eq!(meaning(client, &named("b.ok")), "unreadable");
    }
}

#[test]
fn what_is_not_understood_is_never_a_permission() {
    for text in [
        "ICAP/1.0 200 OK\n\n",
        "ICAP/1.0 200 OK\nEncapsulated: null-body=0\n\n",
        "ICAP/1.0 100 Continue\n\n",
        "ICAP/1.0 404 Not Found\n\n",
        "ICAP/1.0 302 Found\n\n",
        "ICAP/1.0 403 Forbidden\n\n",
        "ICAP/1.0 500 Server Error\n\n",
        "ICAP/2.0 204 No Content\n\n",
        &reply(500, "res-hdr", "HTTP/1.1 403 Forbidden\r\n\r\n"),
        &reply(200, "res-hdr", ""),
        &reply(200, "res-hdr", "nonsense"),
        &reply(200, "res-hdr", "HTTP/9 x"),
        &reply(200, "res-hdr", "HTTP/1.1 100 Continue\r\n\r\n"),
        &reply(200, "res-hdr", "HTTP/1.1 999 x\r\n\r\n"),
        &reply(200, "res-hdr", "HTTP/1.1 403 x\r\nbad field\r\n\r\n"),
        &reply(200, "req-hdr", "GET http://a.ok/ HTTP/1.1\r\nHost: a.ok\r\n\r\nand more"),
        &reply(200, "req-hdr", "CONNECT  HTTP/1.1\n\n"),
        &reply(200, "req-hdr", "CONNECT b.ok:81\nGET http://a.ok/ HTTP/1.1\n\n"),
        &reply(200, "req-hdr", "CONNECT b.ok:81 HTTP/1.1\n\nnonsense\n\n"),
        &reply(200, "res-hdr", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"),
        &reply(200, "res-hdr", "HTTP/1.1 403 x\nX: folded\n  on\n\n"),
        &reply(200, "res-hdr", "HTTP/1.1 403 x\nX: \u{7f}\n\n"),
        &reply(200, "req-hdr", "CONNECT b.ok:8"),
        &reply(200, "req-hdr", "GET http://a.ok/ HTTP/1.1\r\nHost: a.ok\r\n\r"),
        &reply(200, "res-hdr", "HTTP/1.1 403 Forbidden\r\n"),
        "ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, req-body=0\n\n5\nhello\n0\n",
    ] {
        assert_eq!(meaning(GET, text), "unreadable", "{text}");
    }
    assert_eq!(
        meaning(GET, &reply(200, "req-hdr", CONNECT.replace("CONNECT", "HEAD http://a/").as_str())),
        "unreadable"
    );
    assert_eq!(meaning(CONNECT, &reply(200, "req-hdr", GET)), "unreadable");
}

#[test]
fn answers_go_out_with_their_own_fields_and_our_framing() {
    let head =
        "HTTP/1.1 403 Not Here\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 99\r\nX: y\r\n\r\n";
    let wanted = "403 Not Here [Content-Type: text/plain, X: y] ";
    for client in [GET, CONNECT] {
        for code in [200, 302, 403] {
            assert_eq!(meaning(client, &reply(code, "res-hdr", head)), wanted);
        }
        assert_eq!(meaning(client, &reply(200, "res-hdr", &head.replace('\r', ""))), wanted);
        assert_eq!(meaning(client, &reply(200, "res-hdr", &format!("{head}a page"))), format!("{wanted}a page"));
        let body =
            format!("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body={}\n\n{head}6\r\na page\r\n0\r\n", head.len());
        assert_eq!(meaning(client, &body), format!("{wanted}a page"));
    }
    let nominating = "HTTP/1.1 403 No\nConnection: x-hop, close\nX-Hop: 1\nX-Own: a\tb\n\n";
    assert_eq!(meaning(GET, &reply(200, "res-hdr", nominating)), "403 No [X-Own: a\tb] ");
    let redirect = "HTTP/1.0 302 Found\nLocation: http://b.ok/\n\n";
    assert_eq!(meaning(CONNECT, &reply(302, "res-hdr", redirect)), "302 Found [Location: http://b.ok/] ");
}

#[test]
fn row_11_an_answer_to_connect_is_never_an_open_tunnel() {
    let text = reply(200, "res-hdr", "HTTP/1.1 200 OK\r\nX: y\r\n\r\nblocked");
    assert_eq!(meaning(GET, &text), "200 OK [X: y] blocked");
    assert_eq!(meaning(CONNECT, &text), "403 Forbidden [X: y] blocked");
}

#[test]
fn requests_are_sent_in_place_of_the_clients() {
    for part in ["req-hdr", "res-hdr"] {
        let other = "POST http://b.ok/x HTTP/1.1\nHost: b.ok\nCookie: safe=1\n\n";
        assert_eq!(meaning(GET, &reply(200, part, other)), "POST b.ok /x to b.ok");
        let other = "CONNECT b.ok:444 HTTP/1.1\r\nHost: b.ok:444\r\n\r\n";
        assert_eq!(meaning(CONNECT, &reply(200, part, other)), "CONNECT b.ok:444 b.ok:444 to b.ok:444");
        assert_eq!(meaning(GET, &reply(200, part, other)), "intercept b.ok:444");
    }
}

#[test]
fn connect_and_a_request_send_it_there() {
    for blank in ["\n\n", "\r\n\r\n"] {
        let text = reply(200, "res-hdr", &format!("CONNECT b.ok:81{blank}{GET}"));
        assert_eq!(meaning(GET, &text), "GET a.ok:27900 /p to b.ok:81");
        let text = reply(200, "req-hdr", &format!("CONNECT b.ok:81 HTTP/1.1{blank}{CONNECT}"));
        assert_eq!(meaning(CONNECT, &text), "CONNECT a.ok:443 a.ok:443 to b.ok:81");
    }
    let text = reply(200, "req-hdr", "CONNECT b.ok:81 HTTP/1.1\n\n");
    let text = text.replace("Encapsulated", "X-Intercept: active\nEncapsulated");
    assert_eq!(meaning(GET, &text), "intercept b.ok:81");
    assert_eq!(meaning(CONNECT, &text), "intercept b.ok:81");
}

#[test]
fn local_pages() {
    let text = reply(302, "res-hdr", "GET file://deny.html HTTP/1.1\r\n\r\n");
    assert_eq!(meaning(GET, &text), "file deny.html ()");
    assert_eq!(meaning(CONNECT, &text), "file deny.html ()");
    let text = text.replace("Encapsulated", "Pragma: comment: not for you\nEncapsulated");
    assert_eq!(meaning(GET, &text), "file deny.html (not for you)");
}

#[test]
fn c4_a_line_of_blanks_ends_a_head() {
    let head = "HTTP/1.1 403 Forbidden\nContent-Type: application/proxy-explanation+json\nConnection: close\n";
    for line in [" \n", "\t \n", " \r\n"] {
        let explained = format!("{head}{line}{{\n\t\"title\": \"no\"\n}}\n\n");
        let wanted = "403 Forbidden [Content-Type: application/proxy-explanation+json] {\n\t\"title\": \"no\"\n}\n\n";
        for client in [GET, CONNECT] {
            assert_eq!(meaning(client, &reply(302, "res-hdr", &explained)), wanted, "{line:?}");
        }
    }
    let request = "GET http://b.ok/x HTTP/1.1\nHost: b.ok\n \n";
    assert_eq!(meaning(GET, &reply(200, "req-hdr", request)), "GET b.ok /x to b.ok");
    let both = "CONNECT c.ok:81 HTTP/1.1\n \nGET http://b.ok/x HTTP/1.1\nHost: b.ok\n\t\n";
    assert_eq!(meaning(GET, &reply(200, "req-hdr", both)), "GET b.ok /x to c.ok:81");
    let folded = "HTTP/1.1 403 x\nA: b\n c\n\nbody";
    assert_eq!(meaning(GET, &reply(200, "res-hdr", folded)), "unreadable", "a fold has a text");
}

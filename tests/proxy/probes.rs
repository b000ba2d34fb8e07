//! The raw probes: one malformed or rare message each, and what the standards ask an intermediary to do with it.
//!
//! One table, so that a reader can compare it line by line with what other proxies do.

use crate::support::{show, Message, Origin, Proxy, Refusing, Wire};

/// What a probe led to.
struct Seen {
    /// All that came back until the proxy closed or the last expected response was complete.
    reply: Message,
    /// A second response on the same connection, if one was asked for.
    second: Option<Message>,
    /// Whether the proxy closed the connection afterwards.
    closed: bool,
    /// What the origin received; empty when nothing was forwarded.
    origin: Vec<u8>,
}

type Check = fn(&Seen) -> bool;

struct Probe {
    name: &'static str,
    /// `PORT` stands for the origin's port, `DEAD` for one that refuses, `LONG` for 80 KiB.
    request: &'static str,
    answer: &'static str,
    check: Check,
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A probe of what a client sends.
const fn client(name: &'static str, request: &'static str, check: Check) -> Probe {
    Probe { name, request, answer: OK, check }
}

/// A probe of what an origin answers to a plain GET.
const fn origin(name: &'static str, answer: &'static str, check: Check) -> Probe {
    Probe { name, request: "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\n\r\n", answer, check }
}

impl Seen {
    fn status(&self) -> u16 {
        self.reply.status()
    }

    /// Refused as the client's fault, not forwarded, and the connection not used any further.
    fn refused(&self, statuses: &[u16]) -> bool {
        statuses.contains(&self.status()) && self.closed && self.origin.is_empty()
    }

    /// Forwarded and answered, with a head at the origin that contains none of these.
    fn forwarded_without(&self, parts: &[&str]) -> bool {
        let head = String::from_utf8_lossy(&self.origin).to_ascii_lowercase();
        self.status() == 200 && !head.is_empty() && parts.iter().all(|part| !head.contains(part))
    }
}

const PROBES: &[Probe] = &[
    client(
        "absolute-form and another Host",
        "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        |seen| seen.forwarded_without(&["evil.test"]),
    ),
    client("two Host lines", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", |seen| {
        seen.refused(&[400])
    }),
    // RFC 9112 section 3.2 wants 400 for the first as well; like the original and its peers we take the target's host,
    // which cannot be mistaken (docs/differences.md).
    client("no Host, absolute form", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\n\r\n", |seen| seen.status() == 200),
    client("no Host, origin form", "GET / HTTP/1.1\r\n\r\n", |seen| seen.refused(&[400])),
    client(
        "Transfer-Encoding and Content-Length",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n",
        |seen| seen.refused(&[400]),
    ),
    client(
        "two Content-Lengths that differ",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        |seen| seen.refused(&[400]),
    ),
    client(
        "two Content-Lengths that agree",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        |seen| {
            let lengths = String::from_utf8_lossy(&seen.origin).to_ascii_lowercase().matches("content-length").count();
            seen.refused(&[400]) || (seen.status() == 200 && lengths == 1)
        },
    ),
    client(
        "Content-Length: +5",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
        |seen| seen.refused(&[400]),
    ),
    client(
        "Content-Length: -5",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\nhello",
        |seen| seen.refused(&[400]),
    ),
    client(
        "an empty Content-Length",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nhello",
        |seen| seen.refused(&[400]),
    ),
    client(
        "Content-Length beyond 64 bits",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
        |seen| seen.refused(&[400, 413]),
    ),
    client(
        "Transfer-Encoding: foo",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: foo\r\n\r\n0\r\n\r\n",
        |seen| seen.refused(&[501, 400]),
    ),
    client(
        "Transfer-Encoding: xchunked",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        |seen| seen.refused(&[501, 400]),
    ),
    client(
        "Transfer-Encoding: chunked, and Content-Length",
        "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked,\r\nContent-Length: 5\r\n\r\n\
         0\r\n\r\n",
        |seen| seen.refused(&[400]),
    ),
    client(
        "Transfer-Encoding in HTTP/1.0",
        "POST http://127.0.0.1:PORT/ HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        |seen| seen.closed && [200, 400].contains(&seen.status()),
    ),
    client("a blank before the colon", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-A : b\r\n\r\n", |seen| {
        seen.refused(&[400])
    }),
    client(
        "names that CGI takes for Content-Length and X-Forwarded-For",
        "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent_Length: 99\r\nX_Forwarded_For: 192.0.2.1\r\n\r\n",
        |seen| seen.forwarded_without(&["content_length", "x_forwarded_for", "192.0.2.1"]),
    ),
    client("a folded field", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-A: b\r\n  c\r\n\r\n", |seen| {
        seen.refused(&[400])
    }),
    client(
        "a blank line start after the request line",
        "GET http://127.0.0.1:PORT/ HTTP/1.1\r\n X-A: b\r\nHost: h\r\n\r\n",
        |seen| seen.refused(&[400]),
    ),
    client("a bare CR in a value", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-A: b\rc\r\n\r\n", |seen| {
        seen.refused(&[400])
    }),
    client("NUL in a value", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-A: b\0c\r\n\r\n", |seen| {
        seen.refused(&[400])
    }),
    client(
        "Connection names X-Secret",
        "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nConnection: X-Secret, TE\r\nX-Secret: 1\r\nTE: trailers\r\n\
         Keep-Alive: 1\r\n\r\n",
        |seen| seen.forwarded_without(&["x-secret", "\r\nte:", "keep-alive:"]),
    ),
    client("a blank in the target", "GET http://127.0.0.1:PORT/a b HTTP/1.1\r\nHost: h\r\n\r\n", |seen| {
        seen.refused(&[400])
    }),
    client("HTTP/3.7", "GET http://127.0.0.1:PORT/ HTTP/3.7\r\nHost: h\r\n\r\n", |seen| seen.refused(&[505])),
    client("HTTP/2.0", "GET http://127.0.0.1:PORT/ HTTP/2.0\r\nHost: h\r\n\r\n", |seen| seen.refused(&[505])),
    client("80 KiB of target", "GET http://127.0.0.1:PORT/LONG HTTP/1.1\r\nHost: h\r\n\r\n", |seen| {
        seen.refused(&[414])
    }),
    client("80 KiB of field", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-A: LONG\r\n\r\n", |seen| {
        seen.refused(&[431])
    }),
    client(
        "OPTIONS with no hop left",
        "OPTIONS http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n",
        |seen| seen.status() == 200 && seen.origin.is_empty(),
    ),
    client("an unknown method", "FOOBAR http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\n\r\n", |seen| {
        seen.status() == 200 && seen.origin.starts_with(b"FOOBAR / HTTP/1.1\r\n")
    }),
    client("CONNECT without a port", "CONNECT 127.0.0.1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", |seen| {
        seen.refused(&[400])
    }),
    client("Expect: foo", "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nExpect: foo\r\n\r\n", |seen| {
        seen.status() == 417 || seen.status() == 200
    }),
    Probe {
        name: "two requests at once, the origin closes",
        request: "GET http://127.0.0.1:PORT/1 HTTP/1.1\r\nHost: h\r\n\r\n\
                  GET http://127.0.0.1:PORT/2 HTTP/1.1\r\nHost: h\r\n\r\n",
        answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        check: |seen| seen.status() == 200 && seen.second.as_ref().is_some_and(|second| second.status() == 200),
    },
    client("connection refused", "GET http://127.0.0.1:DEAD/ HTTP/1.1\r\nHost: h\r\n\r\n", |seen| {
        [502, 503].contains(&seen.status())
    }),
    client("a name that does not exist", "GET http://nowhere.invalid/ HTTP/1.1\r\nHost: h\r\n\r\n", |seen| {
        [502, 504].contains(&seen.status())
    }),
    origin(
        "answer: Transfer-Encoding in HTTP/1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        |seen| seen.closed || seen.status() == 502 || seen.reply.text() == "ok",
    ),
    origin(
        "answer: two Content-Lengths that differ",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        |seen| seen.status() == 502,
    ),
    origin(
        "answer: Transfer-Encoding and Content-Length",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        |seen| seen.status() == 200 && seen.reply.text() == "ok" && !seen.reply.has("Content-Length"),
    ),
    origin("answer: a folded field", "HTTP/1.1 200 OK\r\nX-A: b\r\n  c\r\nContent-Length: 2\r\n\r\nok", |seen| {
        seen.status() == 502 || seen.reply.value("X-A").is_some_and(|value| value.replace("  ", " ") == "b c")
    }),
    origin("answer: a blank before the colon", "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nok", |seen| {
        seen.reply.value("X-A").is_some_and(|value| value == "b")
    }),
    origin(
        "answer: 103 before 200",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        |seen| seen.status() == 103 && seen.second.as_ref().is_some_and(|second| second.text() == "ok"),
    ),
    origin("answer: none, closed", "", |seen| seen.status() == 502),
    origin("answer: garbage", "\x01\x02garbage\r\n\r\nmore garbage\r\n\r\n", |seen| seen.status() == 502),
    origin("answer: NUL in a value", "HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 2\r\n\r\nok", |seen| {
        seen.status() == 502
    }),
];

#[test]
fn all_probes_meet_the_standards() {
    let proxy = Proxy::start(&[]);
    let failures: Vec<String> = PROBES.iter().filter_map(|probe| run(&proxy, probe).err()).collect();
    assert!(failures.is_empty(), "{} of {} probes:\n{}", failures.len(), PROBES.len(), failures.join("\n"));
    proxy.assert_serves();
}

fn run(proxy: &Proxy, probe: &Probe) -> Result<(), String> {
    let origin = Origin::once(probe.answer);
    let refusing = Refusing::new();
    let request = probe
        .request
        .replace("PORT", &origin.port().to_string())
        .replace("DEAD", &refusing.address().port().to_string())
        .replace("LONG", &"x".repeat(80 * 1024));
    let mut client = proxy.client();
    client.try_send(&request);
    let seen = observe(client.wire(), &request).map_err(|error| format!("{}: {error}", probe.name))?;
    let seen = Seen { origin: origin.received(0), ..seen };
    match (probe.check)(&seen) {
        true => Ok(()),
        false => Err(format!(
            "{}: got {:?}, then {:?}, closed: {}, origin got \"{}\"",
            probe.name,
            seen.reply,
            seen.second,
            seen.closed,
            show(&seen.origin)
        )),
    }
}

fn observe(wire: &mut Wire, request: &str) -> std::io::Result<Seen> {
    let method = request.split(' ').next().unwrap_or_default();
    let reply = wire.response(method)?;
    let two = request.matches(" HTTP/1.1\r\n").count() == 2 || reply.status() == 103;
    let second = if two { Some(wire.response(method)?) } else { None };
    // A half close ends a kept connection, so that the end comes soon in every case; only an end without that, which
    // the proxy announced, counts as closed by it.
    let announced = second.as_ref().unwrap_or(&reply).lists("Connection", "close");
    wire.shut()?;
    let rest = wire.rest();
    let closed = announced && rest.is_ok_and(|rest| rest.is_empty());
    Ok(Seen { reply, second, closed, origin: Vec::new() })
}

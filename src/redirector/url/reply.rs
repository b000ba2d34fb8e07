//! What a line of a helper says. A line that is none of these is a fault of the helper, never a permission.
//!
//! | line | meaning |
//! |---|---|
//! | empty, `ERR`, `OK` | let it pass |
//! | `http://` and the URL that was sent | let it pass |
//! | `http://` and another path of the same host | ask for that path |
//! | `http://`, `https://` and another host | send the client there (302); with Squid's line, ask that host instead |
//! | `redirect://URL`, `302:URL` and other codes, `OK url=`, `OK status= url=` | send the client there |
//! | `OK rewrite-url=` | ask for that URL instead; for CONNECT open the tunnel to that `host:port`, or send the client to that URL |
//! | `file://NAME`, with ` status=CODE` behind it | answer with a local page, with that status |
//! | `intercept://HOST[:PORT]` | send the request unchanged to that host |
//! | the same with ` proxy=v1`, `v2` or `off` | with that PROXY protocol header in front, or without one |
//! | `parent://HOST:PORT` | send the request through that parent |
//! | `BH` | the helper is broken |

use super::super::question::{Question, ReplyFault};
use super::{key_values, push_bare_url, push_full_url, LineForm};
use crate::http::answer::Answer;
use crate::http::request::Announce;
use crate::http::rules::Rules;
use crate::http::target::{Target, HTTP_PORT};
use crate::http::Method;
use crate::policy::decision::{is_page_status, LocalPage, Verdict};

/// The status of a redirect that names none.
const FOUND: u16 = 302;

/// Longest message of a helper that says it is broken, in bytes.
const MAX_MESSAGE: usize = 500;

const UNKNOWN: ReplyFault = ReplyFault::Unreadable("it is none of the known replies");

/// Reads a line without its end and its number.
pub(super) fn read(said: &[u8], line: LineForm, question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
    let (word, rest) = match said.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(end) => (&said[..end], said[end..].trim_ascii()),
        None => (said, &b""[..]),
    };
    match word {
        b"" | b"ERR" => return Ok(Verdict::Permit),
        b"OK" => return read_ok(rest, question, rules),
        b"BH" => return Err(broken(rest)),
        _ => {}
    }
    if let Some(place) = said.strip_prefix(b"intercept://") {
        return intercept(place, line, question);
    }
    if let Some(place) = word.strip_prefix(b"parent://") {
        return parent(place, rest, line);
    }
    // Helpers in Squid's old style write the rest of the line behind the URL.
    let said = if line == LineForm::Squid { word } else { said };
    if let Some(name) = said.strip_prefix(b"file://") {
        return file(name, rest);
    }
    if let Some(url) = said.strip_prefix(b"redirect://") {
        return redirect(FOUND, url);
    }
    match said {
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b':', url @ ..] => redirect(status(&said[..3])?, url),
        _ if said.starts_with(b"http://") => read_url(said, line, question, rules),
        _ if said.starts_with(b"https://") => match place_of(&said[8..]) {
            Some(_) => redirect(FOUND, said),
            None => Err(UNKNOWN),
        },
        _ if line == LineForm::Squid && question.request.method() == Method::Connect => rewrite(said, question, rules),
        _ => Err(UNKNOWN),
    }
}

fn read_ok(pairs: &[u8], question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
    let find = |name| key_values::find_url(pairs, name).map_err(ReplyFault::Unreadable);
    let code = key_values::find(pairs, "status").map_err(ReplyFault::Unreadable)?;
    // With both a redirect and a rewrite Squid redirects.
    if let Some(url) = find("url")? {
        return redirect(code.map_or(Ok(FOUND), |code| status(&code))?, &url);
    }
    if let Some(url) = find("rewrite-url")? {
        return rewrite(&url, question, rules);
    }
    match code {
        Some(_) => Err(ReplyFault::Unreadable("it has a status without a URL")),
        None if key_values::are_all(pairs) => Ok(Verdict::Permit),
        // Such as `OK http://…`, whose writer did not mean that the request may pass.
        None => Err(ReplyFault::Unreadable("what stands behind its OK has no name")),
    }
}

/// A local page. `rest` is what stands behind the first blank, which may belong to the name.
fn file(name: &[u8], rest: &[u8]) -> Result<Verdict, ReplyFault> {
    let last = rest.rsplit(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
    let (name, status) = match last.strip_prefix(b"status=") {
        Some(code) => (name.strip_suffix(last).unwrap_or(name).trim_ascii_end(), Some(page_status(code)?)),
        None => (name, None),
    };
    let name = std::str::from_utf8(name).map_err(|_| ReplyFault::Unreadable("the name of its page is not UTF-8"))?;
    Ok(Verdict::File(LocalPage { name: name.to_owned(), comment: String::new(), status }))
}

/// The status of a page. Those that need a field which no page has would confuse clients: 401, 407, 426.
fn page_status(digits: &[u8]) -> Result<u16, ReplyFault> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 3);
    let status = digits.and_then(|digits| digits.parse().ok());
    status.filter(|status| is_page_status(*status)).ok_or(ReplyFault::Unreadable("its status is none of a page"))
}

fn broken(pairs: &[u8]) -> ReplyFault {
    let message = key_values::find(pairs, "message").ok().flatten().unwrap_or_else(|| pairs.to_vec());
    let cut = &message[..message.len().min(MAX_MESSAGE)];
    ReplyFault::Broken(String::from_utf8_lossy(cut).into_owned())
}

fn status(digits: &[u8]) -> Result<u16, ReplyFault> {
    match digits {
        b"301" => Ok(301),
        b"302" => Ok(302),
        b"303" => Ok(303),
        b"307" => Ok(307),
        b"308" => Ok(308),
        _ => Err(ReplyFault::Unreadable("its status is no redirect")),
    }
}

fn redirect(status: u16, url: &[u8]) -> Result<Verdict, ReplyFault> {
    let text = String::from_utf8(url.to_vec()).map_err(|_| ReplyFault::Unreadable("its URL is not UTF-8"))?;
    let answer = Answer::redirect(status, text).ok_or(ReplyFault::Unreadable("its URL cannot stand in a field"))?;
    Ok(Verdict::Redirect(Box::new(answer)))
}

fn intercept(place: &[u8], line: LineForm, question: &Question<'_>) -> Result<Verdict, ReplyFault> {
    let port = Some(question.request.target().port).filter(|port| *port != 0);
    let (place, header) = match place.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(end) => (&place[..end], announce(place[end..].trim_ascii(), line)?),
        None => (place, None),
    };
    let target = Target::from_authority(place, port);
    let target = target.map_err(|_| ReplyFault::Unreadable("its host is no host[:port]"))?;
    Ok(Verdict::Intercept(Box::new(target), header))
}

/// A parent with its port. In Squid's old style the rest of the line may stand behind it.
fn parent(place: &[u8], rest: &[u8], line: LineForm) -> Result<Verdict, ReplyFault> {
    if line == LineForm::Exaproxy && !rest.is_empty() {
        return Err(ReplyFault::Unreadable("something stands behind its parent"));
    }
    let to = Target::from_authority(place, None);
    let to = to.map_err(|_| ReplyFault::Unreadable("its parent is no host:port"))?;
    Ok(Verdict::Parent(Box::new(to)))
}

/// What stands behind the host of an interception: which PROXY protocol header goes there first.
fn announce(said: &[u8], line: LineForm) -> Result<Option<Announce>, ReplyFault> {
    let Some(word) = said.strip_prefix(b"proxy=") else {
        return match line {
            // The rest of the line in Squid's old style.
            LineForm::Squid => Ok(None),
            LineForm::Exaproxy if said.is_empty() => Ok(None),
            LineForm::Exaproxy => Err(ReplyFault::Unreadable("what stands behind its host is no proxy=")),
        };
    };
    let word = match line {
        LineForm::Squid => word.split(u8::is_ascii_whitespace).next().unwrap_or_default(),
        LineForm::Exaproxy => word,
    };
    let header = Announce::ALL.into_iter().find(|header| header.name().as_bytes() == word);
    header.map(Some).ok_or(ReplyFault::Unreadable("its proxy= is none of off, v1, v2"))
}

/// A URL that starts with `http://`.
fn read_url(url: &[u8], line: LineForm, question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
    let request = question.request;
    let mut bare = b"http://".to_vec();
    push_bare_url(&mut bare, question);
    if url == bare || is_own(url, question) {
        return Ok(Verdict::Permit);
    }
    let Some(named) = place_of(&url[7..]) else { return Err(UNKNOWN) };
    // The port may be left out only where it is 80.
    let same = (&named.host, named.port) == (&request.target().host, request.target().port);
    match request.method() {
        Method::Connect => redirect(FOUND, url),
        _ if line == LineForm::Squid || same => rewrite(url, question, rules),
        _ => redirect(FOUND, url),
    }
}

/// The host and the port of a URL without its scheme.
fn place_of(url: &[u8]) -> Option<Target> {
    let end = url.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(url.len());
    Target::from_authority(&url[..end], Some(HTTP_PORT)).ok()
}

/// Is it the URL of the request, for CONNECT its `host:port`?
fn is_own(url: &[u8], question: &Question<'_>) -> bool {
    let mut full = Vec::new();
    push_full_url(&mut full, question);
    url == full
}

fn rewrite(url: &[u8], question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
    if is_own(url, question) {
        return Ok(Verdict::Permit);
    }
    // squidGuard writes its page for everything, and a tunnel cannot be rewritten into a page.
    if question.request.method() == Method::Connect && memchr::memmem::find(url, b"://").is_some() {
        return redirect(FOUND, url);
    }
    let other = question.request.with_target(url, rules);
    let other = other.map_err(|_| ReplyFault::Unreadable("its URL could not have come from a client"))?;
    Ok(Verdict::Rewrite(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Request;

    /// What a reply to `GET http://a.ok:27900/p?q` says, in short.
    fn get(line: LineForm, reply: &str) -> String {
        meaning("GET http://a.ok:27900/p?q", line, reply)
    }

    fn connect(line: LineForm, reply: &str) -> String {
        meaning("CONNECT a.ok:443", line, reply)
    }

    fn meaning(first: &str, line: LineForm, reply: &str) -> String {
        let head = format!("{first} HTTP/1.1\r\nHost: a.ok\r\n\r\n");
        let rules = Rules::default();
        let request = Request::parse(head.as_bytes(), &rules).unwrap();
        let (client, local) = ("192.0.2.1".parse().unwrap(), "192.0.2.2:3128".parse().unwrap());
        let question = Question { request: &request, client, local, lines: b"" };
        match read(reply.trim().as_bytes(), line, &question, &rules) {
            Ok(Verdict::Permit) => "permit".into(),
            Ok(Verdict::Rewrite(other)) => {
                let mut authority = Vec::new();
                other.target().write_authority(&mut authority);
                let path = if other.method() == Method::Connect { &b""[..] } else { other.path() };
                format!("rewrite {}{}", String::from_utf8_lossy(&authority), String::from_utf8_lossy(path))
            }
            Ok(Verdict::Intercept(to, None)) => format!("intercept {} {}", to.host, to.port),
            Ok(Verdict::Intercept(to, Some(header))) => format!("intercept {} {} {}", to.host, to.port, header.name()),
            Ok(Verdict::Parent(to)) => format!("parent {to}"),
            Ok(Verdict::Redirect(answer)) => format!("{} {}", answer.status, answer.fields[0].1),
            Ok(Verdict::File(LocalPage { name, status: None, .. })) => format!("file {name}"),
            Ok(Verdict::File(LocalPage { name, status: Some(status), .. })) => format!("file {name} with {status}"),
            Ok(Verdict::Answer(_)) => "answer".into(),
            Err(ReplyFault::Broken(message)) => format!("broken {message}"),
            Err(ReplyFault::Unreadable(_)) => "unreadable".into(),
        }
    }

    #[test]
    fn replies_of_the_original() {
        for (reply, wanted) in [
            ("", "permit"),
            ("http://a.ok/p?q", "permit"),
            ("http://a.ok:27900/p?q", "permit"),
            ("http://a.ok:27900/other", "rewrite a.ok:27900/other"),
            ("http://A.OK:27900", "rewrite a.ok:27900/"),
            ("http://a.ok/other", "302 http://a.ok/other"),
            ("http://b.ok/other", "302 http://b.ok/other"),
            ("https://b.ok/", "302 https://b.ok/"),
            ("file://deny.html", "file deny.html"),
            ("file://deny.html status=403", "file deny.html with 403"),
            ("file://a b.html \t status=200", "file a b.html with 200"),
            ("file://a.html status=403 x", "file a.html status=403 x"),
            ("file:///srv/a b.html", "file /srv/a b.html"),
            ("intercept://b.ok", "intercept b.ok 27900"),
            ("intercept://b.ok:81", "intercept b.ok 81"),
            ("intercept://[2001:db8::1]:81", "intercept [2001:db8::1] 81"),
            ("intercept://b.ok:81 proxy=v2", "intercept b.ok 81 v2"),
            ("intercept://b.ok\t proxy=v1", "intercept b.ok 27900 v1"),
            ("intercept://b.ok proxy=off", "intercept b.ok 27900 off"),
            ("parent://b.ok:3128", "parent b.ok:3128"),
            ("parent://[2001:db8::1]:81", "parent [2001:db8::1]:81"),
            ("parent://b.ok", "unreadable"),
            ("parent://b.ok:81 x", "unreadable"),
            ("parent://u:p@b.ok:81", "unreadable"),
            ("redirect://https://b.ok/x", "302 https://b.ok/x"),
            ("redirect:///x", "302 /x"),
        ] {
            assert_eq!(get(LineForm::Exaproxy, reply), wanted, "{reply}");
        }
    }

    #[test]
    fn replies_of_squid() {
        for line in LineForm::ALL {
            for (reply, wanted) in [
                ("OK", "permit"),
                ("ERR", "permit"),
                ("ERR message=\"no\"", "permit"),
                ("OK tag=x note_=y", "permit"),
                ("301:http://b.ok/", "301 http://b.ok/"),
                ("308:https://b.ok/?a=b", "308 https://b.ok/?a=b"),
                ("OK url=\"http://b.ok/\"", "302 http://b.ok/"),
                ("OK status=303 url=\"http://b.ok/\"", "303 http://b.ok/"),
                ("OK url=http://b.ok/%20 status=307", "307 http://b.ok/%20"),
                ("OK url=http://b.ok/a%2520b", "302 http://b.ok/a%20b"),
                ("OK url=\"http://b.ok/a%2520b\"", "302 http://b.ok/a%2520b"),
                ("OK url=http://b.ok/%0d%0aX:", "302 http://b.ok/%0d%0aX:"),
                ("OK rewrite-url=http://b.ok/a%2520b%41", "rewrite b.ok/a%20bA"),
                ("OK rewrite-url=\"http://b.ok/a%2520b\"", "rewrite b.ok/a%2520b"),
                ("OK rewrite-url=\"http://b.ok:81/x\"", "rewrite b.ok:81/x"),
                ("OK rewrite-url=http%3A//b.ok/", "rewrite b.ok/"),
                ("OK rewrite-url=\"http://a.ok:27900/p?q\"", "permit"),
                ("OK rewrite-url=http://b.ok/ url=http://c.ok/", "302 http://c.ok/"),
                ("OK URL=\"http://b.ok/\" Status=301", "301 http://b.ok/"),
                ("OK\ttag=x  url=\"http://b.ok/\"word", "302 http://b.ok/"),
                ("BH", "broken "),
                ("BH message=\"no database\"", "broken no database"),
                ("BH no database", "broken no database"),
            ] {
                assert_eq!(get(line, reply), wanted, "{reply}");
            }
        }
        assert_eq!(get(LineForm::Squid, "http://b.ok/x 192.0.2.1/- - GET"), "rewrite b.ok/x");
        assert_eq!(get(LineForm::Squid, "http://a.ok:27900/p?q 192.0.2.1/- - GET"), "permit");
        assert_eq!(get(LineForm::Squid, "parent://b.ok:81 192.0.2.1/- - GET"), "parent b.ok:81");
        assert_eq!(get(LineForm::Squid, "intercept://b.ok:81 192.0.2.1/- - GET"), "intercept b.ok 81");
        assert_eq!(get(LineForm::Squid, "intercept://b.ok:81 proxy=v2 192.0.2.1/- - GET"), "intercept b.ok 81 v2");
        assert_eq!(get(LineForm::Squid, "302:http://b.ok/ 192.0.2.1/- - GET"), "302 http://b.ok/");
    }

    #[test]
    fn replies_to_connect() {
        for (reply, wanted) in [
            ("", "permit"),
            ("http://a.ok/", "permit"),
            ("http://b.ok/", "302 http://b.ok/"),
            ("intercept://b.ok", "intercept b.ok 443"),
            ("intercept://b.ok:8443", "intercept b.ok 8443"),
            ("intercept://b.ok:8443 proxy=v2", "intercept b.ok 8443 v2"),
            ("intercept://b.ok proxy=v3", "unreadable"),
            ("intercept://b.ok proxy=v2 x", "unreadable"),
            ("intercept://b.ok v2", "unreadable"),
            ("redirect://http://b.ok/", "302 http://b.ok/"),
            ("file://deny.html", "file deny.html"),
            ("OK rewrite-url=b.ok:444", "rewrite b.ok:444"),
            ("OK rewrite-url=http://b.ok/", "302 http://b.ok/"),
            ("OK rewrite-url=/x", "unreadable"),
            ("b.ok:444", "unreadable"),
        ] {
            assert_eq!(connect(LineForm::Exaproxy, reply), wanted, "{reply}");
        }
        assert_eq!(connect(LineForm::Squid, "b.ok:444"), "rewrite b.ok:444");
        assert_eq!(connect(LineForm::Squid, "a.ok:443 192.0.2.1/- - CONNECT"), "permit");
    }

    #[test]
    fn what_is_none_of_them_is_never_a_permission() {
        for line in LineForm::ALL {
            for reply in [
                "a.ok/p?q",
                "ok",
                "err",
                "OKAY",
                "HTTP://b.ok/",
                "ftp://b.ok/",
                "http://",
                "http:///x",
                "https://",
                "deny",
                "intercept://",
                "intercept://b.ok/",
                "intercept://u@b.ok",
                "redirect://",
                "redirect://http://b.ok/\x01",
                "304:http://b.ok/",
                "200:http://b.ok/",
                "302:",
                "OK status=302",
                "OK status=200 url=\"http://b.ok/\"",
                "OK url=\"http://b.ok/",
                "OK url=\"http://b.ok/\\r\\nSet-Cookie: x\"",
                "OK rewrite-url=https://b.ok/",
                "OK rewrite-url=\"http://b.ok/ x\"",
                "OK rewrite-url=\"\"",
                "OK rewrite-url=\"http://b.ok/ HTTP/1.1\\r\\nX-Admin: yes\\r\\nY:\"",
                "OK http://b.ok/",
                "OK http://b.ok/?a=b",
                "OK 302:http://b.ok/",
                "OK file://deny.html",
                "OK =x",
                "OK deny",
                "\u{feff}",
            ] {
                assert_eq!(get(line, reply), "unreadable", "{reply}");
            }
        }
        assert_eq!(get(LineForm::Exaproxy, "http://b.ok/ x"), "unreadable");
    }
}

//! What the proxy says itself: from a cause to an answer with its page. Knows no connection.

mod folder;
pub mod pages;
mod template;

use std::net::IpAddr;

use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::media::PLAIN;
use crate::http::request::Request;
use crate::http::Method;
use crate::io::content::Content;
use crate::policy::admission::Refusal;
use crate::policy::Refused;
use crate::upstream::dial::DialError;
use pages::{push_escaped, FoundPage, Pages, Values};

/// The pages, and whose statuses are used.
#[derive(Debug)]
pub struct Answers {
    /// Where the bodies come from.
    pub pages: Pages,
    /// Answer with the statuses of the original (`http.compatible-status`).
    pub compatible: bool,
}

/// A local page that was asked for, as it is answered.
#[derive(Debug)]
pub struct Served {
    /// The answer.
    pub answer: Box<Answer>,
    /// What follows the answer, of [`Answer::follows`] bytes.
    pub content: Option<Content>,
    /// What there is to log when there is no such page.
    pub missing: Option<String>,
}

/// Longest name of a page that answers and log tell, in characters.
const MAX_NAME: usize = 200;

impl Answers {
    /// Answers with the pages that are built in.
    pub fn built_in() -> Answers {
        Answers { pages: Pages::default(), compatible: false }
    }

    /// The answer to a request that cannot be served. `comment` is what is known beyond the cause.
    pub fn explain(&self, cause: Cause, request: Option<&Request>, client: IpAddr, comment: &str) -> Box<Answer> {
        let mut answer = Answer::of(cause, self.compatible);
        answer.status = self.unmistakable(answer.status, cause.status(false), request);
        let text = if comment.is_empty() { cause.to_string() } else { comment.to_string() };
        // Without a page, or with one that is too large for a few words, the line of text stays.
        if let Ok(FoundPage::Whole { bytes, kind }) = self.find(cause.page(), request, client, &text) {
            answer.body = bytes.into();
            answer.kind = kind;
        }
        Box::new(answer)
    }

    /// The answer with the local page of that name: status 200, or 403 to CONNECT, whose client must not take the answer for
    /// a tunnel. `comment` is what the page may say.
    pub fn page(&self, name: &str, request: &Request, client: IpAddr, comment: &str) -> Served {
        let status = if request.method() == Method::Connect { 403 } else { 200 };
        let (answer, content) = match self.find(name, Some(request), client, comment) {
            Ok(FoundPage::Whole { bytes, kind }) => (Answer { kind, ..Answer::new(status, bytes) }, None),
            Ok(FoundPage::Large { content, length, kind }) => {
                (Answer { kind, follows: length, ..Answer::new(status, &b""[..]) }, Some(content))
            }
            Err(error) => {
                let name = shortened(name);
                let missing =
                    Some(format!("could not serve the local page {name:?}: {}", shortened(&error.to_string())));
                return Served { answer: self.page_missing(&name, request, client), content: None, missing };
            }
        };
        Served { answer: Box::new(answer), content, missing: None }
    }

    fn page_missing(&self, name: &str, request: &Request, client: IpAddr) -> Box<Answer> {
        let text = format!("the local page {name} is missing");
        let mut answer = self.explain(Cause::PageMissing, Some(request), client, &text);
        if self.compatible {
            let mut body = b"could not serve missing file  ".to_vec();
            push_escaped(&mut body, name);
            answer.body = body.into();
            answer.kind = PLAIN;
        }
        answer
    }

    fn find(&self, name: &str, request: Option<&Request>, client: IpAddr, comment: &str) -> std::io::Result<FoundPage> {
        let host = request.map(|request| request.target().host.to_string()).unwrap_or_default();
        let url = request.map(url).unwrap_or_default();
        let client_ip = client.to_string();
        let values = Values { url: &url, host: &host, client_ip: &client_ip, protocol: protocol(request), comment };
        self.pages.find(name, &values)
    }

    /// A 2xx would tell the client of a CONNECT that its tunnel is open (RFC 9110 §9.3.6).
    fn unmistakable(&self, wanted: u16, standard: u16, request: Option<&Request>) -> u16 {
        let connect = request.is_some_and(|request| request.method() == Method::Connect);
        if connect && wanted < 300 {
            standard
        } else {
            wanted
        }
    }

    /// The name gave no address.
    pub fn name_failure(&self, failure: &dns::Failure, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        let cause = match failure {
            dns::Failure::Timeout => Cause::NameTimeout,
            dns::Failure::Overloaded => Cause::TooManyNames,
            _ => Cause::NameFailed,
        };
        self.explain(cause, request, client, &failure.to_string())
    }

    /// No connection came about.
    pub fn dial_error(&self, error: DialError, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        let cause = match error {
            DialError::TimedOut => Cause::ConnectTimeout,
            DialError::Exhausted => Cause::Overloaded,
            _ => Cause::ConnectFailed,
        };
        self.explain(cause, request, client, &error.to_string())
    }

    /// A stage of the decision has refused the request.
    pub fn refusal(&self, refusal: &Refusal, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        match refusal {
            Refusal::Cause(cause) => self.explain(*cause, request, client, ""),
            Refusal::Policy(refused) => self.refused(refused, request, client),
        }
    }

    /// The request may not go where it wants to.
    pub fn refused(&self, refused: &Refused, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        let cause = match refused {
            Refused::Connect | Refused::ConnectPort(_) => Cause::ConnectNotAllowed,
            Refused::Name => Cause::NameShort,
            Refused::Loop(..) => Cause::Loop,
            Refused::Family(_) | Refused::Denied(_) | Refused::Local(..) | Refused::Monitor(..) => {
                Cause::AddressNotAllowed
            }
        };
        let mut answer = self.explain(cause, request, client, &refused.to_string());
        answer.status = self.unmistakable(refused.status(self.compatible), refused.status(false), request);
        if cause == Cause::ConnectNotAllowed && self.compatible {
            answer.body = (&b"CONNECT NOT ALLOWED\n"[..]).into();
            answer.kind = PLAIN;
        }
        answer
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}

/// The scheme, as templates show it. Requests for other schemes than http do not get so far, and nearly all tunnels are
/// for https.
fn protocol(request: Option<&Request>) -> &'static str {
    match request.map(Request::method) {
        Some(Method::Connect) => "https",
        _ => "http",
    }
}

/// `host[:port]/path`, as templates show it; `host:port` for CONNECT.
fn url(request: &Request) -> String {
    let mut text = Vec::new();
    request.target().write_authority(&mut text);
    if request.method() != Method::Connect {
        text.extend_from_slice(request.path());
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::Fault;
    use crate::http::rules::Rules;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn request(head: &str) -> Request {
        Request::parse(head.as_bytes(), &Rules::default()).unwrap()
    }

    fn get() -> Request {
        request("GET http://a.example:81/<b>'\"?q=%(host)s HTTP/1.1\r\nHost: a.example:81\r\n\r\n")
    }

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn a_page_is_a_200_and_never_looks_like_a_tunnel() {
        let answers = Answers::built_in();
        let served = answers.page("deny.html", &get(), CLIENT, "");
        assert_eq!((served.answer.status, served.answer.kind), (200, crate::http::media::HTML));
        assert!(served.missing.is_none() && text(&served.answer).contains("<b>a.example</b>"));
        let connect = request("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
        for (name, status) in [("deny.html", 403), ("missing.html", 501)] {
            for compatible in [false, true] {
                let answers = Answers { compatible, ..Answers::built_in() };
                assert_eq!(answers.page(name, &connect, CLIENT, "").answer.status, status, "{name}");
            }
        }
        let classify = answers.page("classify.html", &connect, CLIENT, "").answer;
        assert!(text(&classify).contains("url=https://a.example:443\""), "{}", text(&classify));
    }

    #[test]
    fn the_address_of_a_page_is_the_clients_and_escaped() {
        let served = Answers::built_in().page("classify.html", &get(), CLIENT, "");
        let page = text(&served.answer);
        assert!(page.contains("url=http://a.example:81/&lt;b&gt;&#39;&quot;?q=%(host)s\""), "{page}");
        assert!(!page.contains("<b>'"), "{page}");
    }

    #[test]
    fn a_missing_page_is_named_in_answer_and_log() {
        let name = "no/<script>\".html";
        for (compatible, want) in [
            (false, "<p>the local page no/&lt;script&gt;&quot;.html is missing.</p>"),
            (true, "could not serve missing file  no/&lt;script&gt;&quot;.html"),
        ] {
            let served = Answers { compatible, ..Answers::built_in() }.page(name, &get(), CLIENT, "");
            assert_eq!(served.answer.status, 501);
            assert!(text(&served.answer).contains(want), "{}", text(&served.answer));
            let missing =
                "could not serve the local page \"no/<script>\\\".html\": there is no built-in page of this name";
            assert_eq!(served.missing.as_deref(), Some(missing));
        }
        let long = Answers::built_in().page(&"x".repeat(60_000), &get(), CLIENT, "");
        assert!(text(&long.answer).len() < 4096);
    }

    #[test]
    fn a_large_page_follows_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.pdf"), vec![0; 2 << 20]).unwrap();
        std::fs::write(folder.path().join("error.html"), vec![b' '; 2 << 20]).unwrap();
        let pages = Pages::load(Some(folder.path().to_owned())).unwrap();
        let answers = Answers { pages, compatible: false };
        let served = answers.page("x.pdf", &get(), CLIENT, "");
        assert_eq!((served.answer.follows, served.answer.kind), (2 << 20, "application/pdf"));
        assert!(served.content.is_some() && served.answer.body.is_empty());
        let fault = answers.explain(Cause::Client(Fault::BadLine), None, CLIENT, "");
        assert_eq!((fault.follows, fault.kind), (0, PLAIN), "an error is told in words rather than not at all");
    }
}

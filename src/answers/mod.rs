//! What the proxy says itself: from a cause to an answer in the form that the client wants. Knows no connection.

mod form;
pub mod pages;
mod template;

use std::path::PathBuf;
use std::sync::Arc;

use crate::http::answer::{Answer, AnswerBody, ALLOWED_ONWARD};
use crate::http::cause::Cause;
use crate::http::fault::Fault;
use crate::http::media::PLAIN;
use crate::http::request::Request;
use crate::http::Method;
use crate::peer::ClientId;
use crate::policy::admission::Refusal;
use crate::policy::decision::LocalPage;
use crate::policy::Refused;
use crate::upstream::dial::DialError;
use form::Form;
use pages::{push_escaped, FoundPage, Values};

pub use pages::Pages;

/// The pages, and whose statuses are used.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Where the bodies come from.
    pub pages: Arc<Pages>,
    /// Answer with the statuses of the original, and always with pages (`http.compatible-status`).
    pub compatible: bool,
    /// The status of a page that a helper names without one (`pages.block-status`): 200, or 400 to 599.
    pub block_status: u16,
    /// The value of Proxy-Authenticate (`auth.realm`).
    pub challenge: Box<str>,
}

/// What is done about a local page that was asked for.
#[derive(Debug)]
pub enum Served {
    /// It is answered.
    Answer(PageAnswer),
    /// Its file has to be looked at, which [`Answers::file`] then answers with.
    Elsewhere(PathBuf),
}

/// The answer with a local page.
#[derive(Debug)]
pub struct PageAnswer {
    /// The answer. The file follows it where [`Answer::follows`] is not 0.
    pub answer: Box<Answer>,
    /// What there is to log when there is no such page.
    pub missing: Option<String>,
}

/// What is in the file of a page that is not kept.
#[derive(Debug)]
pub enum PageContent {
    /// All of a page.
    Whole(Vec<u8>),
    /// A file that is too large to be read whole.
    Large {
        /// Its bytes.
        length: u64,
        /// The first of them, enough to tell what it is.
        start: Vec<u8>,
    },
}

/// Longest name of a page that answers and log tell, in characters.
const MAX_NAME: usize = 200;

impl Answers {
    /// Answers with the pages that are built in.
    pub fn built_in() -> Answers {
        Answers { pages: Arc::default(), compatible: false, block_status: 200, challenge: Box::default() }
    }

    /// The answer to a request that cannot be served. `comment` is what is known beyond the cause.
    pub fn explain(&self, cause: Cause, request: Option<&Request>, client: ClientId, comment: &str) -> Box<Answer> {
        let status = self.unmistakable(cause.status(self.compatible), cause.status(false), request);
        self.compose(cause, status, request, client, comment, "")
    }

    /// `list` is what the client is told of the entry of a list that refuses the request.
    fn compose(
        &self,
        cause: Cause,
        status: u16,
        request: Option<&Request>,
        client: ClientId,
        comment: &str,
        list: &str,
    ) -> Box<Answer> {
        let mut answer = Answer { status, ..Answer::of(cause, self.compatible) };
        let text = if comment.is_empty() { cause.to_string() } else { comment.to_string() };
        // Tools match on what the original said.
        let form = if self.compatible { Form::Page } else { Form::of(request) };
        let told = match form {
            Form::Problem => Some(form::problem(cause, status, &text, list)),
            Form::Line => Some(form::line(cause, &text, list)),
            Form::Page => {
                match with_values(request, client, &text, list, |values| self.pages.find(cause.page(), values)) {
                    Ok(FoundPage::Whole { bytes, kind }) => Some((bytes, kind)),
                    // Without a page, or with one that is too large for a few words, the line of text stays.
                    _ => None,
                }
            }
        };
        if let Some((body, kind)) = told {
            (answer.body, answer.kind) = (body, kind);
        }
        if matches!(cause, Cause::AuthenticationRequired | Cause::AuthenticationFailed) {
            answer = answer.with("Proxy-Authenticate", self.challenge.to_string());
        }
        if !self.compatible {
            answer.phrase = form::phrase(cause, status, request);
        }
        // RFC 9110 section 15.5.6.
        if cause == Cause::Client(Fault::TunnelHere) {
            answer = answer.with("Allow", ALLOWED_ONWARD);
        }
        Box::new(answer)
    }

    /// The answer with a local page: with its status, or 403 in place of 200 to CONNECT, whose client must not take the answer
    /// for a tunnel.
    pub fn page(&self, page: &LocalPage, request: &Request, client: ClientId) -> Served {
        match with_values(Some(request), client, &page.comment, "", |values| self.pages.find(&page.name, values)) {
            Ok(FoundPage::Whole { bytes, kind }) => Served::Answer(whole(self.page_status(page, request), bytes, kind)),
            Ok(FoundPage::Elsewhere(path)) => Served::Elsewhere(path),
            Err(why) => Served::Answer(self.missing(&page.name, why, request, client)),
        }
    }

    /// The same for a page of which nothing was known but its file.
    pub fn file(
        &self,
        page: &LocalPage,
        file: Result<PageContent, String>,
        request: &Request,
        client: ClientId,
    ) -> PageAnswer {
        let (name, status) = (&page.name, self.page_status(page, request));
        let bytes = match &file {
            Ok(PageContent::Whole(bytes)) => Some(&bytes[..]),
            Ok(PageContent::Large { length, start }) => {
                let kind = self.pages.kind(name, start);
                let answer = Answer { kind, follows: *length, ..Answer::new(status, &b""[..]) };
                return PageAnswer { answer: Box::new(answer), missing: None };
            }
            Err(_) => None,
        };
        match with_values(Some(request), client, &page.comment, "", |values| self.pages.of_file(name, bytes, values)) {
            Some(FoundPage::Whole { bytes, kind }) => whole(status, bytes, kind),
            _ => self.missing(name, &file.err().unwrap_or_default(), request, client),
        }
    }

    fn missing(&self, name: &str, why: &str, request: &Request, client: ClientId) -> PageAnswer {
        let name = shortened(name);
        let missing = format!("could not serve the local page \"{name}\": {}", shortened(why));
        PageAnswer { answer: self.page_missing(&name, request, client), missing: Some(missing) }
    }

    fn page_missing(&self, name: &str, request: &Request, client: ClientId) -> Box<Answer> {
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

    fn page_status(&self, page: &LocalPage, request: &Request) -> u16 {
        self.unmistakable(page.status.unwrap_or(self.block_status), 403, Some(request))
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
    pub fn name_failure(&self, failure: &dns::Failure, request: Option<&Request>, client: ClientId) -> Box<Answer> {
        let cause = match failure {
            dns::Failure::Timeout => Cause::NameTimeout,
            dns::Failure::Overloaded => Cause::TooManyNames,
            _ => Cause::NameFailed,
        };
        self.explain(cause, request, client, &failure.to_string())
    }

    /// No connection came about.
    pub fn dial_error(&self, error: DialError, request: Option<&Request>, client: ClientId) -> Box<Answer> {
        let cause = match error {
            DialError::TimedOut => Cause::ConnectTimeout,
            DialError::Exhausted => Cause::Overloaded,
            _ => Cause::ConnectFailed,
        };
        self.explain(cause, request, client, &error.to_string())
    }

    /// A stage of the decision has refused the request. `list` is the `FILE:LINE` that the client may know of, or nothing.
    pub fn refusal(&self, refusal: &Refusal, list: &str, request: Option<&Request>, client: ClientId) -> Box<Answer> {
        match refusal {
            Refusal::Cause(cause) => self.explain(*cause, request, client, ""),
            Refusal::Policy(refused) => self.refused(refused, list, request, client),
        }
    }

    /// The request may not go where it wants to. `list` as in [`Answers::refusal`].
    pub fn refused(&self, refused: &Refused, list: &str, request: Option<&Request>, client: ClientId) -> Box<Answer> {
        let cause = match refused {
            Refused::Client(_) => Cause::ClientDenied,
            Refused::Connections(..) => Cause::TooManyConnections,
            Refused::Requests(..) => Cause::TooManyRequests,
            Refused::Listed(_) => Cause::Blocked,
            Refused::Connect | Refused::ConnectPort(_) => Cause::ConnectNotAllowed,
            Refused::Port(_) => Cause::PortNotAllowed,
            Refused::Name => Cause::NameShort,
            Refused::Loop(..) => Cause::Loop,
            Refused::Family(_) | Refused::Denied(_) | Refused::Local(..) | Refused::Monitor(..) => {
                Cause::AddressNotAllowed
            }
        };
        let status = self.unmistakable(refused.status(self.compatible), refused.status(false), request);
        let mut answer = self.compose(cause, status, request, client, &refused.to_string(), list);
        if let Refused::Requests(_, _, seconds) = refused {
            answer.fields.push(("Retry-After".into(), seconds.to_string().into()));
        }
        if cause == Cause::ConnectNotAllowed && self.compatible {
            answer.body = (&b"CONNECT NOT ALLOWED\n"[..]).into();
            answer.kind = PLAIN;
        }
        answer
    }
}

fn whole(status: u16, bytes: AnswerBody, kind: &'static str) -> PageAnswer {
    PageAnswer { answer: Box::new(Answer { kind, ..Answer::new(status, bytes) }), missing: None }
}

/// Has a page written with what templates may show of a request.
fn with_values<T>(
    request: Option<&Request>,
    client: ClientId,
    comment: &str,
    list: &str,
    write: impl FnOnce(&Values<'_>) -> T,
) -> T {
    let host = request.map(|request| request.target().host.to_string()).unwrap_or_default();
    let url = request.map(url).unwrap_or_default();
    let client_ip = client.to_string();
    let protocol = protocol(request);
    let user = request.and_then(Request::user).map_or("", |user| user);
    write(&Values { url: &url, host: &host, client_ip: &client_ip, user, protocol, comment, list })
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
    use crate::http::media::{HTML, PROBLEM};
    use crate::http::rules::Rules;

    const CLIENT: ClientId = ClientId::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    fn request(head: &str) -> Box<Request> {
        Request::parse(head.as_bytes(), &Rules::default()).unwrap()
    }

    fn get() -> Box<Request> {
        request("GET http://a.example:81/<b>'\"?q=%(host)s HTTP/1.1\r\nHost: a.example:81\r\n\r\n")
    }

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    fn named(name: &str, comment: &str) -> LocalPage {
        LocalPage { name: name.to_owned(), comment: comment.to_owned(), status: None }
    }

    fn page(answers: &Answers, name: &str, request: &Request) -> PageAnswer {
        match answers.page(&named(name, ""), request, CLIENT) {
            Served::Answer(served) => served,
            Served::Elsewhere(path) => panic!("to be looked for at {path:?}"),
        }
    }

    #[test]
    fn a_page_is_a_200_and_never_looks_like_a_tunnel() {
        let answers = Answers::built_in();
        let served = page(&answers, "deny.html", &get());
        assert_eq!((served.answer.status, served.answer.kind), (200, HTML));
        assert!(served.missing.is_none() && text(&served.answer).contains("<b>a.example</b>"));
        let connect = request("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
        for (name, status) in [("deny.html", 403), ("missing.html", 501)] {
            for compatible in [false, true] {
                let answers = Answers { compatible, ..Answers::built_in() };
                assert_eq!(page(&answers, name, &connect).answer.status, status, "{name}");
            }
        }
        let classify = page(&answers, "classify.html", &connect).answer;
        assert!(text(&classify).contains("url=https://a.example:443\""), "{}", text(&classify));
    }

    #[test]
    fn the_status_of_a_page_is_the_helpers_or_that_of_the_option() {
        let connect = request("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
        let table =
            [(None, 200, 200, 403), (None, 403, 403, 403), (Some(200), 403, 200, 403), (Some(451), 200, 451, 451)];
        for (status, block_status, wanted, tunnel) in table {
            let (answers, page) =
                (Answers { block_status, ..Answers::built_in() }, LocalPage { status, ..named("deny.html", "") });
            for (request, wanted) in [(&get(), wanted), (&connect, tunnel)] {
                let Served::Answer(served) = answers.page(&page, request, CLIENT) else { panic!("it is built in") };
                assert_eq!(served.answer.status, wanted, "{page:?} {block_status}");
            }
        }
    }

    #[test]
    fn the_address_of_a_page_is_the_clients_and_escaped() {
        let served = page(&Answers::built_in(), "classify.html", &get());
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
            let served = page(&Answers { compatible, ..Answers::built_in() }, name, &get());
            assert_eq!(served.answer.status, 501);
            assert!(text(&served.answer).contains(want), "{}", text(&served.answer));
            let missing =
                "could not serve the local page \"no/<script>\".html\": there is no built-in page of this name";
            assert_eq!(served.missing.as_deref(), Some(missing));
        }
        let long = page(&Answers::built_in(), &"x".repeat(60_000), &get());
        assert!(text(&long.answer).len() < 4096);
    }

    /// A folder in which the page of this name is too large to be kept.
    fn with_large(name: &str) -> Answers {
        let files = [(name.to_owned(), pages::PageFile::Large)].into();
        Answers { pages: Arc::new(Pages::new("/pages".into(), "/pages".into(), files)), ..Answers::built_in() }
    }

    #[test]
    fn a_page_that_is_not_kept_is_answered_when_its_file_is_known() {
        let (answers, request) = (with_large("deny.html"), get());
        for name in ["x.pdf", "deny.html"] {
            let served = answers.page(&named(name, ""), &request, CLIENT);
            assert!(matches!(served, Served::Elsewhere(path) if path == PathBuf::from("/pages").join(name)), "{name}");
        }
        let content = PageContent::Large { length: 2 << 20, start: b"x".to_vec() };
        let PageAnswer { answer, missing } = answers.file(&named("x.pdf", ""), Ok(content), &request, CLIENT);
        assert_eq!((answer.follows, answer.kind, missing), (2 << 20, "application/pdf", None));
        assert!(answer.body.is_empty());
        let content = PageContent::Whole(b"%(client_ip)s: %(comment)s".to_vec());
        let PageAnswer { answer, .. } = answers.file(&named("deep/x.html", "<b>"), Ok(content), &request, CLIENT);
        assert_eq!((answer.status, text(&answer)), (200, "192.0.2.1: &lt;b&gt;"));
        let PageAnswer { answer, missing } =
            answers.file(&named("x.html", ""), Err("/pages/x.html: gone".into()), &request, CLIENT);
        assert_eq!(missing.as_deref(), Some("could not serve the local page \"x.html\": /pages/x.html: gone"));
        assert!(answer.status == 501 && text(&answer).contains("the local page x.html is missing"));
    }

    #[test]
    fn the_client_decides_the_form_but_not_of_a_page_that_was_named() {
        let get = |accept: &str| request(&format!("GET http://a/ HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"));
        let answers = Answers::built_in();
        let refused =
            answers.refused(&Refused::Loop([192, 0, 2, 1].into(), 80), "", Some(&get("application/json")), CLIENT);
        assert_eq!((refused.status, refused.kind, refused.cause), (403, PROBLEM, Some(Cause::Loop)));
        let wanted = "{\"cause\":\"proxy_loop_detected\",\"detail\":\"192.0.2.1 port 80 is the proxy itself\",\
                      \"status\":403,\"title\":\"Forbidden\",\"type\":\"about:blank\"}\n";
        assert_eq!(text(&refused), wanted);
        let line = answers.explain(Cause::Blocked, Some(&get("*/*")), CLIENT, "");
        assert_eq!((line.kind, text(&line)), (PLAIN, "blocked: the rules of this proxy do not allow it\n"));
        for accept in ["application/json", "*/*"] {
            assert_eq!(page(&answers, "deny.html", &get(accept)).answer.kind, HTML);
            let compatible = Answers { compatible: true, ..Answers::built_in() };
            assert_eq!(compatible.explain(Cause::Blocked, Some(&get(accept)), CLIENT, "").kind, HTML);
        }
    }

    #[test]
    fn only_the_phrase_for_connect_says_why() {
        let connect = request("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nAccept: */*\r\n\r\n");
        let phrase = |compatible, request| {
            let answers = Answers { compatible, ..Answers::built_in() };
            answers.explain(Cause::ConnectTimeout, Some(request), CLIENT, "").phrase
        };
        let wanted = "Gateway Timeout (connection_timeout: the server could not be connected to in time)";
        assert_eq!(phrase(false, &connect).as_deref(), Some(wanted));
        assert_eq!((phrase(true, &connect), phrase(false, &get())), (None, None));
    }

    #[test]
    fn an_error_is_told_in_words_rather_than_by_a_page_that_is_too_large() {
        let fault = with_large("error.html").explain(Cause::Client(Fault::BadLine), None, CLIENT, "");
        assert_eq!((fault.follows, fault.kind), (0, PLAIN));
    }
}

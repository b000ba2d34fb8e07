//! Control: what may be changed from the monitor, by which requests, and the page that says what came of it. Reads forms;
//! carries nothing out.
//!
//! A change is a POST that carries the token of this process, which only its own pages show. A site that makes a
//! browser send a form here does not know the token, and `Origin` and `Sec-Fetch-Site` tell it apart besides. With a
//! name that resolves to this address ("DNS rebinding") it could read the token, so Host must be an address or
//! `localhost`. Nor may a request have come through a proxy, this one first of all.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use maud::{html, Markup};

use super::layout::WebPage;
use super::{units, Source};
use crate::http::answer::Answer;
use crate::http::media::PLAIN;
use crate::http::request::Request;
use crate::http::Method;
use crate::monitor::Running;

/// What is to be changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// What a cache is to forget.
    Purge(Purge),
    /// As few and as many helpers as there may be, the first not above the second.
    Helpers {
        /// As few as there may be.
        minimum: usize,
        /// As many as there may be.
        maximum: usize,
    },
    /// Debug messages on or off.
    Debug(bool),
    /// Listen to proxy clients or stop it.
    Listen(bool),
    /// No new clients, and the end when the last has gone.
    SoftStop,
}

/// What of a cache is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purge {
    /// What is kept for this URL.
    Url(String),
    /// All of a host, `name:port`.
    Site(String),
    /// All there is.
    All,
}

impl fmt::Display for Order {
    /// What was asked for, as the log has it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Purge(Purge::Url(what) | Purge::Site(what)) => write!(out, "a purge of {what:?}"),
            Order::Purge(Purge::All) => out.write_str("a purge of the whole cache"),
            Order::Helpers { minimum, maximum } => write!(out, "{minimum} to {maximum} helpers"),
            Order::Debug(true) => out.write_str("debug messages"),
            Order::Debug(false) => out.write_str("no debug messages"),
            Order::Listen(true) => out.write_str("listening"),
            Order::Listen(false) => out.write_str("an end of listening"),
            Order::SoftStop => out.write_str("a soft stop"),
        }
    }
}

/// Where forms are sent to.
const WORKERS: &str = "/control/workers/commit";
const DEBUG: &str = "/control/debug/commit";
const LISTEN: &str = "/control/listen/commit";
const STOP: &str = "/control/stop/commit";
const PURGE: &str = "/control/cache/purge";

/// What the original said after a change.
const DONE: &str = "changed successfully";

/// Most helpers that can be asked for, as `redirector.maximum` has it; at least one.
const MOST_HELPERS: usize = 10_000;

/// What a request to control comes to.
pub(super) enum Asked {
    /// A page to look at.
    Page(WebPage),
    /// Nothing, for this reason.
    Refused(String),
    /// The token, for programs.
    Token,
    /// Something to do.
    Order(Order),
}

/// Reads a request whose path starts with `/control`.
pub(super) fn ask(path: &str, request: &Request, source: &dyn Source) -> Asked {
    let asked = match path {
        "/control.html" | "/control/workers.html" | "/control/debug.html" => {
            Ok(Asked::Page(page(path, request, source, None)))
        }
        "/control/token" => may_see(request, source).and_then(|()| is_from_here(request)).map(|()| Asked::Token),
        "/control/debug/eval" | "/control/debug/exec" => Err(
            "Version 1 could run Python code that was sent to it here. This version runs no code that is sent to it."
                .to_owned(),
        ),
        WORKERS | DEBUG | LISTEN | STOP | PURGE => {
            may_change(request, source).and_then(|()| read(path, request.content(), source)).map(Asked::Order)
        }
        _ => return Asked::Page(super::missing()),
    };
    asked.unwrap_or_else(Asked::Refused)
}

/// May this request be shown what changes things?
fn may_see(request: &Request, source: &dyn Source) -> Result<(), String> {
    if !source.facts().control {
        return Err("Control is read-only. With web.debug=true in the configuration it can change things.".to_owned());
    }
    // Clients of the proxy may be allowed to reach this machine, and with it the monitor; control is not for them.
    if [&b"via"[..], b"x-forwarded-for", b"forwarded"].iter().any(|name| request.field(name).is_some()) {
        return Err("Control is not for requests that come through a proxy.".to_owned());
    }
    let host = request.field(b"host").unwrap_or_default();
    match is_address(host) {
        true => Ok(()),
        false => Err(format!(
            "Control is for requests that name this machine by its address or as localhost, not as \"{}\": \
             a name can be made to lead here by others.",
            host.escape_ascii()
        )),
    }
}

/// May this request change things?
fn may_change(request: &Request, source: &dyn Source) -> Result<(), String> {
    if request.method() != Method::Post {
        return Err(format!(
            "Version 1 took changes from the query of an address, which any page of any site could make a browser send. \
             This version takes them by POST, with the token of this process in the field token. \
             The pages of control have such forms; programs find the token at /control/token: \
             curl -d token=TOKEN -d exaproxy.redirector.minimum=5 http://127.0.0.1:8080{WORKERS}"
        ));
    }
    may_see(request, source)?;
    is_from_here(request)?;
    let token = field(request.content(), "token").unwrap_or_default();
    match is_same(token.as_bytes(), source.process().token.as_bytes()) {
        true => Ok(()),
        false => Err(
            "The token is missing or is not that of this process. Load the page again: it changes with every start."
                .to_owned(),
        ),
    }
}

/// Does this request come from a page of the monitor, or from no page at all (Fetch Metadata, RFC 6454)?
fn is_from_here(request: &Request) -> Result<(), String> {
    let site = request.field(b"sec-fetch-site").unwrap_or(b"none");
    let own = [b"http://", request.field(b"host").unwrap_or_default()].concat();
    let origin = request.field(b"origin").unwrap_or(&own);
    match matches!(site, b"same-origin" | b"none") && origin.eq_ignore_ascii_case(&own) {
        true => Ok(()),
        false => Err("This request comes from a page of another site.".to_owned()),
    }
}

/// The same bytes? Takes as long wherever the first difference is.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

/// Is this Host field an address or `localhost`, with or without a port?
fn is_address(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok()
}

/// What a form says, once it may say it.
fn read(path: &str, content: &[u8], source: &dyn Source) -> Result<Order, String> {
    let switch = |name: &str| match field(content, name).as_deref() {
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        _ => Err(format!("The field {name} must be on or off.")),
    };
    match path {
        DEBUG => switch("debug").map(Order::Debug),
        LISTEN => switch("listen").map(Order::Listen),
        STOP => Ok(Order::SoftStop),
        PURGE => purge(content).map(Order::Purge),
        _ => helpers(content, source),
    }
}

/// One of three fields says what is to go.
fn purge(content: &[u8]) -> Result<Purge, String> {
    match (field(content, "url"), field(content, "host"), field(content, "all").as_deref()) {
        (Some(url), None, None) if is_url(&url) => Ok(Purge::Url(url)),
        (None, Some(host), None) if host.contains(':') => Ok(Purge::Site(host.to_ascii_lowercase())),
        (None, None, Some("true")) => Ok(Purge::All),
        _ => Err("One of the fields url=http://host/path, host=name:port and all=true must be there.".to_owned()),
    }
}

/// May this be what a response is kept for? Spaces and ends of lines would be other parts of a request.
fn is_url(text: &str) -> bool {
    text.starts_with("http://") && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The bounds of the number of helpers, with the words of the original.
fn helpers(content: &[u8], source: &dyn Source) -> Result<Order, String> {
    let running = source.running();
    let Some(helpers) = running.helpers else {
        return Err("There are no helpers: redirector.enable is false.".to_owned());
    };
    let (minimum, maximum) = (helpers.minimum as usize, helpers.maximum as usize);
    let number = |text: String| text.parse::<usize>().ok().filter(|number| (1..=MOST_HELPERS).contains(number));
    let number = |name: &str| field(content, name).map(|text| number(text).ok_or("invalid request"));
    let (minimum, maximum) = match (number("exaproxy.redirector.minimum"), number("exaproxy.redirector.maximum")) {
        (Some(Ok(number)), None) => (number, maximum),
        (None, Some(Ok(number))) => (minimum, number),
        _ => return Err("invalid request".to_owned()),
    };
    match (minimum <= maximum, minimum as u64 == helpers.minimum) {
        (true, _) => Ok(Order::Helpers { minimum, maximum }),
        (false, true) => Err("value is lower than exaproxy.redirector.minimum".to_owned()),
        (false, false) => Err("value is higher than exaproxy.redirector.maximum".to_owned()),
    }
}

fn field(content: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(content).find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

/// The answer where nothing is changed.
pub(super) fn refused(why: &str, path: &str, request: &Request, source: &dyn Source) -> Answer {
    if !wants_page(request) {
        return line(403, why);
    }
    let content = html! { h1 { "Nothing was changed" } p .note.bad { (why) } };
    WebPage::new("Control", content).with_status(403).answer(path, source)
}

/// Browsers name HTML among what they accept (RFC 9110 section 12.5.1); programs are told in one line.
fn wants_page(request: &Request) -> bool {
    let accepted = request.field(b"accept").unwrap_or_default().to_ascii_lowercase();
    memchr::memmem::find(&accepted, b"text/html").is_some()
}

fn line(status: u16, text: &str) -> Answer {
    Answer { status, ..super::of_kind(PLAIN, format!("{text}\n")) }
}

/// The answer after an order. `outcome` is what the hub says that carried it out.
pub(super) fn done(order: &Order, outcome: &Result<(), String>, request: &Request, source: &dyn Source) -> Answer {
    if !wants_page(request) {
        return match outcome {
            Ok(()) => line(200, DONE),
            Err(why) => line(503, why),
        };
    }
    let path = match order {
        Order::Helpers { .. } => "/control/workers.html",
        Order::Debug(_) => "/control/debug.html",
        Order::Listen(_) | Order::SoftStop | Order::Purge(_) => "/control.html",
    };
    let note = match outcome {
        Ok(()) => html! { p .note.good role="status" { (DONE) } },
        Err(why) => html! { p .note.bad role="status" { (why) } },
    };
    let status = if outcome.is_ok() { 200 } else { 503 };
    page(path, request, source, Some(&note)).with_status(status).answer("/control.html", source)
}

fn page(path: &str, request: &Request, source: &dyn Source, note: Option<&Markup>) -> WebPage {
    let may = may_see(request, source);
    let form = ControlForm { token: may.is_ok().then(|| source.process().token.as_str()) };
    let content = match path {
        "/control/workers.html" => workers(&form, source),
        "/control/debug.html" => debug(&form, source),
        _ => process(&form, source),
    };
    WebPage::new(
        "Control",
        html! {
            @if let Some(note) = note { (note) }
            @if let Err(why) = &may { p .note { (why) } }
            (content)
        },
    )
}

/// What forms need: a token, or they can only be looked at.
struct ControlForm<'a> {
    token: Option<&'a str>,
}

impl ControlForm<'_> {
    fn of(&self, action: &str, fields: &Markup, button: &str) -> Markup {
        html! {
            form method="post" action=(action) {
                @if let Some(token) = self.token { input type="hidden" name="token" value=(token); }
                (fields)
                button disabled[self.token.is_none()] { (button) }
            }
        }
    }

    fn switch(&self, action: &str, name: &str, on: bool, button: &str) -> Markup {
        let value = if on { "on" } else { "off" };
        self.of(action, &html! { input type="hidden" name=(name) value=(value); }, button)
    }

    fn number(&self, name: &str, label: &str, value: u64) -> Markup {
        let input = html! {
            label { (label) input name=(name) type="number" min="1" max=(MOST_HELPERS) value=(value) disabled[self.token.is_none()]; }
        };
        self.of(WORKERS, &input, "Change")
    }
}

fn workers(form: &ControlForm<'_>, source: &dyn Source) -> Markup {
    let running = source.running();
    html! {
        h1 { "Helpers" }
        @match &running.helpers {
            None => p { "There are none: redirector.enable is false." },
            Some(helpers) => {
                p {
                    (units::counted(helpers.forked, "helper runs", "helpers run")) ", "
                    (units::counted(helpers.queue, "request waits", "requests wait")) " for one. "
                    "What is set here holds until the configuration is read again."
                }
                (form.number("exaproxy.redirector.minimum", "Minimum", helpers.minimum))
                (form.number("exaproxy.redirector.maximum", "Maximum", helpers.maximum))
            }
        }
    }
}

fn debug(form: &ControlForm<'_>, source: &dyn Source) -> Markup {
    let on = source.is_debug();
    html! {
        h1 { "Debugging" }
        p { "Debug messages are " (if on { "written" } else { "not written" }) " to the log." }
        (form.switch(DEBUG, "debug", !on, if on { "Stop writing them" } else { "Write them" }))
        p { "Version 1 ran Python code here. This version runs no code that is sent to it. The page " a href="/information/sessions.html" { "Sessions" } " shows what connections do." }
    }
}

fn process(form: &ControlForm<'_>, source: &dyn Source) -> Markup {
    let running = source.running();
    html! {
        h1 { "Stop, listen" @if running.cache.limit > 0 { ", forget" } }
        @if running.draining {
            p { "A soft stop is under way: " (units::counted(running.clients, "client is", "clients are")) " left." }
        } @else {
            h2 { "Listening" }
            p { @if running.listening { "New clients are accepted." } @else { "New clients are not accepted; connected clients are served." } }
            (form.switch(LISTEN, "listen", !running.listening, if running.listening { "Stop listening" } else { "Listen again" }))
            h2 { "Soft stop" }
            p { "The proxy accepts no more clients, serves the connected ones, and ends when the last of them has gone. A soft stop cannot be taken back." }
            (form.of(STOP, &html! {}, "Stop softly"))
        }
        @if running.cache.limit > 0 { (forgetting(form, &running)) }
    }
}

/// What the cache is to forget.
fn forgetting(form: &ControlForm<'_>, running: &Running) -> Markup {
    let text = |name: &str, label: &str, example: &str| {
        let input = html! { label { (label) input name=(name) placeholder=(example) required disabled[form.token.is_none()]; } };
        form.of(PURGE, &input, "Forget")
    };
    html! {
        h2 { "Cache" }
        p { (units::counted(running.cache.objects, "response is", "responses are")) " kept. What is forgotten is asked for anew." }
        (text("url", "A URL", "http://example.com/page"))
        (text("host", "A host with its port", "example.com:80"))
        (form.of(PURGE, &html! { input type="hidden" name="all" value="true"; }, "Forget everything"))
    }
}

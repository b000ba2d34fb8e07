//! What the monitor says at its addresses: pages, JSON, metrics, health, and which changes are asked for. Made from what
//! a [`Source`] knows, and from nothing else. Knows no socket, clock or session, and carries no order out.

mod about;
mod chart;
mod configuration;
mod control;
mod errors;
mod exposition;
mod facts;
mod graphs;
mod information;
mod json;
mod layout;
mod lists;
mod log;
mod metrics;
mod names;
mod numbers;
mod overview;
pub mod pac;
mod process;
mod sessions;
mod units;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use maud::html;

use crate::http::answer::{Answer, AnswerBody};
use crate::http::cause::Cause;
use crate::http::media::{PLAIN, SCRIPT, SVG};
use crate::http::request::Request;
use crate::http::Method;
use crate::monitor::drainers::DrainerRow;
use crate::monitor::episodes::EpisodeOptions;
use crate::monitor::history::History;
use crate::monitor::hosts::Top;
use crate::monitor::listeners::ListenerRow;
use crate::monitor::lists::ListFileRow;
use crate::monitor::observed::ObservedHosts;
use crate::monitor::sessions::{EndPointKind, EndPoints, Filter, Sessions};
use crate::monitor::Running;
use crate::policy::networks::Networks;
use control::Asked;
pub use control::{Order, Purge};
use layout::WebPage;
use pac::PacScript;

/// The media type of JSON (RFC 8259 section 11).
const JSON: &str = "application/json";

/// The media type of style sheets (RFC 2318).
const STYLE: &str = "text/css; charset=utf-8";

/// Longest path, in bytes, as the original had it.
const MAX_PATH: usize = 5000;

/// What the configuration says to the monitor.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Every option with its value, as `/json/configuration` has it.
    pub configuration: Vec<OptionFact>,
    /// Things can be changed from here (`web.debug`).
    pub control: bool,
    /// Names under which pages are shown besides addresses and `localhost`, in lower case: those of this machine and
    /// `web.names`.
    pub names: Vec<String>,
    /// Who may see the pages; everybody where none is named (`web.clients`).
    pub clients: Networks,
    /// What browsers are told that configure themselves.
    pub script: PacScript,
    /// What counts as trouble that lasts.
    pub episodes: EpisodeOptions,
}

/// An option as the monitor shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionFact {
    /// Its name.
    pub name: String,
    /// Its value.
    pub text: String,
    /// The text is JSON already.
    pub is_json: bool,
    /// It stands here under the name that the original had for it, and under its own too.
    pub renamed: bool,
    /// What its section is about.
    pub section: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its default, where the value is another.
    pub default: Option<&'static str>,
    /// Where it was set, if it was.
    pub place: Option<String>,
}

/// What stays the same while the process lives.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// What a request must know to change anything: 128 random bits.
    pub token: String,
}

/// Which messages are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// Those of the proxy itself.
    Proxy,
    /// What helpers write to their standard error.
    Helpers,
}

/// A message of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogMessage {
    /// When it was written, in seconds since 1970.
    pub at: u64,
    /// How grave it is.
    pub severity: &'static str,
    /// The part of the program that wrote it.
    pub subsystem: Box<str>,
    /// What it says.
    pub text: Box<str>,
}

/// Where pages get what they show. Each method takes a snapshot, and only what a page needs is asked for.
pub trait Source {
    /// The numbers of this moment.
    fn running(&self) -> Running;
    /// Those of the last minute and hour.
    fn history(&self) -> &History;
    /// The hosts that were asked for most.
    fn hosts(&self) -> &Top;
    /// The files of lists.
    fn list_files(&self) -> Vec<ListFileRow>;
    /// The hosts that were asked for while lists only report.
    fn observed(&self) -> ObservedHosts;
    /// Refusals of lists by `FILE:LINE`, most first.
    fn refusals(&self) -> Vec<(&str, u64)>;
    /// What the configuration says.
    fn facts(&self) -> &Facts;
    /// What stays the same.
    fn process(&self) -> &Process;
    /// The time in seconds since 1970.
    fn now(&self) -> u64;
    /// The sessions that a filter picks.
    fn sessions(&self, filter: &Filter) -> Sessions;
    /// The listeners that are open.
    fn listeners(&self) -> Vec<ListenerRow>;
    /// Processes with clients of former versions.
    fn drainers(&self) -> Vec<DrainerRow>;
    /// Connections by address.
    fn ends(&self, side: EndPointKind) -> EndPoints;
    /// The newest messages, oldest first, at most `limit`.
    fn messages(&self, which: MessageKind, limit: usize) -> Vec<LogMessage>;
    /// Debug messages are written.
    fn is_debug(&self) -> bool;
}

/// What becomes of a request to the monitor.
#[derive(Debug)]
pub enum Reply {
    /// It is answered.
    Answer(Box<Answer>),
    /// This is to be done; [`done`] has the answer then.
    Order(Order),
}

/// What a page shows of all loops, where there are several: what each of them has to tell before it can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The numbers.
    pub running: bool,
    /// What lists have done.
    pub lists: bool,
    /// Clients by their listeners.
    pub listeners: bool,
    /// The sessions that a filter picks.
    pub sessions: Option<Filter>,
    /// Connections by address.
    pub ends: Option<EndPointKind>,
}

/// What the page needs that a request asks for.
pub fn needs(request: &Request) -> Needs {
    let whole = request.path();
    let (path, query) = whole.split_at(whole.iter().position(|byte| *byte == b'?').unwrap_or(whole.len()));
    let query = query.strip_prefix(b"?").unwrap_or_default();
    let mut needs = Needs { running: true, ..Needs::default() };
    match path {
        b"/metrics" => (needs.lists, needs.listeners) = (true, true),
        b"/json/listeners" | b"/information/listeners.html" => needs.listeners = true,
        b"/json/acl/lists" | b"/json/acl/observed" | b"/json/errors" => needs.lists = true,
        b"/end-point.html" | b"/end-point/clients.html" => needs.ends = Some(EndPointKind::Clients),
        b"/end-point/servers.html" => needs.ends = Some(EndPointKind::Origins),
        b"/json/sessions" | b"/information/sessions.html" => needs.sessions = Some(sessions::filter(query)),
        _ if path.starts_with(b"/information/introspection") => needs.sessions = Some(sessions::filter(query)),
        // The lists, what they have refused, and what would have been refused.
        _ if path.starts_with(b"/information/") => needs.lists = true,
        _ => {}
    }
    needs
}

/// Answers a request to the monitor, or says what it wants done.
pub fn answer(request: &Request, source: &dyn Source) -> Reply {
    let whole = request.path();
    let (path, query) = whole.split_at(whole.iter().position(|byte| *byte == b'?').unwrap_or(whole.len()));
    let query = query.strip_prefix(b"?").unwrap_or_default();
    let path = match std::str::from_utf8(path) {
        Ok(path) if whole.len() <= MAX_PATH => path,
        _ => return reply(too_long().answer("", source)),
    };
    let host = &request.target().host;
    if !names::may_be_asked(host, path, &source.facts().names) {
        return reply(names::misdirected(host));
    }
    if request.method() == Method::Options {
        let allowed = if path.starts_with("/control") { "GET, HEAD, POST, OPTIONS" } else { "GET, HEAD, OPTIONS" };
        return reply(Answer::options(allowed));
    }
    if !path.starts_with("/control") {
        let answer =
            for_programs(path, query, source).unwrap_or_else(|| page(path, query, source).answer(path, source));
        return reply(answer);
    }
    match control::ask(path, request, source) {
        Asked::Page(page) => reply(page.answer(path, source)),
        Asked::Refused(why) => reply(control::refused(&why, path, request, source)),
        Asked::Token => reply(of_kind(PLAIN, format!("{}\n", source.process().token))),
        Asked::Order(order) => Reply::Order(order),
    }
}

/// The answer to one who may not see the pages.
pub fn denied() -> Answer {
    Answer { close: true, ..Answer::new(403, &b"this address may not see the monitor (web.clients)\n"[..]) }
}

/// Does this need a user, where `web.users` names some? What balancers and scrapers ask for does not.
pub fn asks_for_user(request: &Request) -> bool {
    let path = request.path().split(|byte| *byte == b'?').next().unwrap_or_default();
    !matches!(path, b"/health" | b"/metrics")
}

/// The answer to one who has not proved to be a user; `challenge` asks for that.
pub fn refused(cause: Cause, challenge: &str) -> Answer {
    let answer = Answer { cause: None, ..Answer::of(cause, false) };
    match cause {
        Cause::AuthenticationRequired | Cause::AuthenticationFailed => {
            let body = &b"the monitor asks for a user and a password (web.users)\n"[..];
            Answer::new(401, body).with("WWW-Authenticate", challenge.to_owned())
        }
        _ => answer,
    }
}

/// The answer to a request whose order was carried out, or could not be.
pub fn done(order: Order, outcome: &Result<(), String>, request: &Request, source: &dyn Source) -> Answer {
    control::done(&order, outcome, request, source)
}

fn reply(answer: Answer) -> Reply {
    Reply::Answer(Box::new(answer))
}

/// What has no frame.
fn for_programs(path: &str, query: &[u8], source: &dyn Source) -> Option<Answer> {
    Some(match path {
        "/json/running" => of_kind(JSON, source.running().to_json()),
        "/json/configuration" => of_kind(JSON, json::configuration(&source.facts().configuration)),
        "/json/errors" => of_kind(JSON, json::text(&json::errors(&source.running(), &source.refusals()))),
        "/json/sessions" => of_kind(JSON, json::text(&source.sessions(&sessions::filter(query)))),
        "/json/listeners" => of_kind(JSON, json::listeners(&source.listeners())),
        "/json/drainers" => of_kind(JSON, json::drainers(&source.drainers())),
        "/json/acl/lists" => of_kind(JSON, json::text(&json::lists(&source.list_files()))),
        "/json/acl/observed" => of_kind(JSON, json::text(&json::observed(&source.observed()))),
        "/information/allowlist.txt" => of_kind(PLAIN, lists::allowlist_text(&source.observed())),
        "/metrics" => {
            let (listeners, drainers, files) = (source.listeners(), source.drainers(), source.list_files());
            let text = metrics::render(&source.running(), source.hosts(), &listeners, &drainers, &files);
            of_kind(metrics::KIND, text)
        }
        "/health" => health(&source.running(), query == b"strict"),
        "/style.css" => of_kind(STYLE, include_str!("style.css")),
        "/refresh.js" => of_kind(SCRIPT, include_str!("refresh.js")),
        "/icon.svg" | "/favicon.ico" => of_kind(SVG, include_str!("icon.svg")),
        "/humans.txt" => of_kind(PLAIN, about::HUMANS),
        _ if path == "/json" || path.starts_with("/json/") => of_kind(JSON, json::index()),
        _ => return None,
    })
}

fn page(path: &str, query: &[u8], source: &dyn Source) -> WebPage {
    match path {
        "/" | "/index.html" => WebPage::new("Overview", overview::page(source)).every(2),
        "/information.html" => WebPage::new("Information", information::overview()),
        "/information/sessions.html" => WebPage::new("Sessions", sessions::page(query, source)).every(5),
        "/information/listeners.html" => WebPage::new("Listeners", information::listeners(source)).every(5),
        "/information/drainers.html" => WebPage::new("Drainers", information::drainers(source)).every(5),
        "/information/configuration.html" => WebPage::new("Configuration", configuration::page(query, source)),
        "/information/statistics.html" => WebPage::new("Statistics", numbers::page(source)).every(2),
        "/information/errors.html" => WebPage::new("Errors", errors::page(source)).every(5),
        "/information/lists.html" => WebPage::new("Lists", lists::files(source)).every(5),
        "/information/observed.html" => WebPage::new("Observed hosts", lists::observed(source)),
        "/information/logs.html" => WebPage::new("Log", log::page(MessageKind::Proxy, query, source)).every(5),
        "/information/errs.html" => {
            WebPage::new("Log of the helpers", log::page(MessageKind::Helpers, query, source)).every(5)
        }
        "/graph.html" => WebPage::new("Graphs", graphs::overview(source)).every(5),
        "/end-point.html" | "/end-point/clients.html" => {
            WebPage::new("Clients", sessions::ends(EndPointKind::Clients, source)).every(5)
        }
        "/end-point/servers.html" => WebPage::new("Servers", sessions::ends(EndPointKind::Origins, source)).every(5),
        "/about.html" => WebPage::new("About", about::about()),
        "/about/email.html" => WebPage::new("Contact", about::email()),
        "/about/licence.html" => WebPage::new("Licence", about::licence()),
        "/humans.html" => WebPage::new("Humans", about::humans()),
        // The original showed its objects here.
        _ if path.starts_with("/information/introspection") => {
            WebPage::new("Sessions", sessions::page(query, source)).every(5)
        }
        _ => match path.strip_prefix("/graph/").and_then(|rest| graphs::Graph::find(rest.strip_suffix(".html")?)) {
            Some(graph) => WebPage::new(graph.title, graphs::page(graph, source)).every(2),
            None => missing(),
        },
    }
}

fn missing() -> WebPage {
    WebPage::new("Not found", html! { h1 { "There is no such page" } p { "The menu has all that there are." } })
        .with_status(404)
}

fn too_long() -> WebPage {
    WebPage::new("Not found", html! { h1 { "path is too long" } }).with_status(414)
}

/// For balancers: may new clients be sent here? A strict one says no also where something is wrong that sending them elsewhere
/// does not mend.
fn health(running: &Running, strict: bool) -> Answer {
    let episode = running.episodes.first().filter(|_| strict);
    let (status, text) = match episode {
        _ if running.draining => (503, "draining\n".to_owned()),
        _ if !running.listening => (503, "not listening\n".to_owned()),
        _ if running.helpers_fail() => (503, "helpers are failing\n".to_owned()),
        Some(episode) => (503, format!("{}\n", episode.kind.word())),
        None => (200, "ok\n".to_owned()),
    };
    without_sniffing(Answer { kind: PLAIN, ..Answer::new(status, text.into_bytes()) })
}

fn of_kind(kind: &'static str, text: impl Into<Cow<'static, str>>) -> Answer {
    let body: AnswerBody = match text.into() {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    };
    without_sniffing(Answer { kind, ..Answer::new(200, body) })
}

/// Tells browsers to take the answer for what its Content-Type says, and not for a script that its bytes look like (Fetch
/// standard, section 3.6).
fn without_sniffing(answer: Answer) -> Answer {
    answer.with("X-Content-Type-Options", "nosniff")
}

//! What all pages have in common: head, menu, refreshing, and the fields that keep a browser from anything else.

use maud::{html, Markup, DOCTYPE};

use super::graphs::GRAPHS;
use super::{units, Source};
use crate::http::answer::Answer;
use crate::http::media::HTML;

/// Pages may use what the monitor itself serves and nothing else: no script in the page, no other site, no frame around
/// it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Seconds after which a page that refreshes itself is loaded anew where scripts are off.
const RELOAD: u32 = 20;

/// A page without its frame.
pub(super) struct WebPage {
    /// What the browser shows as its title.
    pub(super) title: &'static str,
    /// The status, 200 to 599.
    pub(super) status: u16,
    /// Seconds between two looks at it, 0 where it stays as it is.
    pub(super) refresh: u32,
    /// What is in the frame.
    pub(super) content: Markup,
}

impl WebPage {
    /// A page that stays as it is.
    pub(super) fn new(title: &'static str, content: Markup) -> WebPage {
        WebPage { title, status: 200, refresh: 0, content }
    }

    /// The same, refreshed after so many seconds.
    pub(super) fn every(self, refresh: u32) -> WebPage {
        WebPage { refresh, ..self }
    }

    /// The same with another status.
    pub(super) fn with_status(self, status: u16) -> WebPage {
        WebPage { status, ..self }
    }

    /// The page in its frame. `path` is its place in the menu.
    pub(super) fn answer(self, path: &str, source: &dyn Source) -> Answer {
        let text = self.frame(path, source).into_string();
        let answer = Answer { kind: HTML, ..Answer::new(self.status, text.into_bytes()) };
        // With `no-referrer` a browser would send no origin with a form, which is what control asks for.
        super::without_sniffing(answer)
            .with("Content-Security-Policy", POLICY)
            .with("X-Frame-Options", "DENY")
            .with("Referrer-Policy", "same-origin")
    }

    fn frame(&self, path: &str, source: &dyn Source) -> Markup {
        let process = source.process();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " · ExaProxy Monitoring" }
                    link rel="stylesheet" href="/style.css";
                    link rel="icon" href="/icon.svg";
                    @if self.refresh > 0 {
                        noscript { meta http-equiv="refresh" content=(RELOAD); }
                        script src="/refresh.js" defer {}
                    }
                }
                body {
                    a .skip href="#content" { "To the content" }
                    header {
                        strong { a href="/" { "ExaProxy" } }
                        small { "version " (env!("CARGO_PKG_VERSION")) " · process " (process.pid) " · up " (units::seconds(source.now().saturating_sub(process.started))) }
                        span #lost role="status" {}
                        a .to-menu href="#menu" { "Menu" }
                    }
                    div .layout {
                        main #content data-refresh=(self.refresh) { (self.content) }
                        nav #menu aria-label="Pages" { (menu(path)) }
                    }
                }
            }
        }
    }
}

const HEAD: [(&str, &[(&str, &str)]); 2] = [
    ("Overview", &[("/", "Home")]),
    (
        "Information",
        &[
            ("/information/sessions.html", "Sessions"),
            ("/information/listeners.html", "Listeners"),
            ("/information/drainers.html", "Drainers"),
            ("/information/statistics.html", "Statistics"),
            ("/information/errors.html", "Errors"),
            ("/information/lists.html", "Lists"),
            ("/information/observed.html", "Observed hosts"),
            ("/information/configuration.html", "Configuration"),
            ("/information/logs.html", "Log"),
            ("/information/errs.html", "Log of the helpers"),
        ],
    ),
];

const TAIL: [(&str, &[(&str, &str)]); 4] = [
    ("End points", &[("/end-point/clients.html", "Clients"), ("/end-point/servers.html", "Servers")]),
    (
        "Control",
        &[
            ("/control/workers.html", "Helpers"),
            ("/control/debug.html", "Debugging"),
            ("/control.html", "Stop, listen"),
        ],
    ),
    (
        "For programs",
        &[
            ("/json/running", "running"),
            ("/json/configuration", "configuration"),
            ("/json/errors", "errors"),
            ("/json/sessions", "sessions"),
            ("/json/listeners", "listeners"),
            ("/json/drainers", "drainers"),
            ("/json/acl/lists", "lists"),
            ("/json/acl/observed", "observed hosts"),
            ("/metrics", "metrics"),
            ("/health", "health"),
        ],
    ),
    ("About", &[("/about.html", "About"), ("/about/licence.html", "Licence"), ("/humans.html", "Humans")]),
];

fn menu(path: &str) -> Markup {
    let entry = |address: &str, title: &str| {
        html! { li { a href=(address) aria-current=[(address == path).then_some("page")] { (title) } } }
    };
    let group = |title: &str, entries: &[(&str, &str)]| {
        html! { h2 { (title) } ul { @for (address, title) in entries { (entry(address, title)) } } }
    };
    html! {
        @for (title, entries) in HEAD { (group(title, entries)) }
        h2 { "Graphs" }
        ul {
            (entry("/graph.html", "All"))
            @for graph in &GRAPHS { (entry(&format!("/graph/{}.html", graph.name), graph.title)) }
        }
        @for (title, entries) in TAIL { (group(title, entries)) }
    }
}

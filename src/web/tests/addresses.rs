//! Every address of the monitor.

use super::{Fake, EVIL, HTML};

/// Every address of the original, and what came since.
pub(super) const PAGES: [&str; 53] = [
    "/",
    "/index.html",
    "/information.html",
    "/information/introspection.html",
    "/information/introspection/supervisor/a.html",
    "/information/sessions.html",
    "/information/sessions.html?client=1&host=%3Cscript%3Ealert(1)%3C/script%3E&phase=%22%27&sort=x&limit=2",
    "/information/configuration.html",
    "/information/configuration.html?changed",
    "/information/statistics.html",
    "/information/errors.html",
    "/information/listeners.html",
    "/information/drainers.html",
    "/information/lists.html",
    "/information/observed.html",
    "/information/allowlist.txt",
    "/information/logs.html",
    "/information/logs.html?text=%3Cscript%3E&part=%22%3E&level=ERROR&limit=1",
    "/information/errs.html",
    "/information/errs.html?text=alert",
    "/graph.html",
    "/graph/requests.html",
    "/graph/connections.html",
    "/graph/clients.html",
    "/graph/servers.html",
    "/graph/transfered.html",
    "/graph/loops.html",
    "/graph/events.html",
    "/graph/processes.html",
    "/graph/queue.html",
    "/graph/latency.html",
    "/graph/cache.html",
    "/end-point.html",
    "/end-point/clients.html",
    "/end-point/servers.html",
    "/control.html",
    "/control/workers.html",
    "/control/debug.html",
    "/about.html",
    "/about/email.html",
    "/about/licence.html",
    "/humans.html",
    "/humans.txt",
    "/style.css",
    "/refresh.js",
    "/json/running",
    "/json/sessions?limit=1",
    "/json/listeners",
    "/json/drainers",
    "/json/acl/lists",
    "/json/acl/observed",
    "/metrics",
    "/health",
];

#[test]
fn every_page_is_there_and_inert() {
    let fake = Fake::new();
    for path in PAGES {
        let (status, text, kind) = fake.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        if kind == HTML {
            assert!(text.starts_with("<!DOCTYPE html>") && text.contains("<main id=\"content\""), "{path}: {text}");
            assert_eq!(
                text.matches("<script").count(),
                text.matches("<script src=\"/refresh.js\" defer>").count(),
                "{path}"
            );
            assert!(!text.contains(" style=") && !text.contains(" onclick"), "{path}");
            assert!(!text.contains(EVIL), "{path}: {text}");
        }
    }
}

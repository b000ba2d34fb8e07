//! The monitor's pages in a headless Chromium, as an operator sees them. Pictures go to tests/output/pages.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use serde_json::json;

use crate::browser::Browser;
use crate::programs::have;
use crate::support::{eventually, Helpers, Origin, Proxy};

/// What a stranger would like to run.
const EVIL: &str = "<script>alert(1)</script>";

pub(crate) const GRAPHS: [&str; 11] = [
    "requests",
    "connections",
    "clients",
    "servers",
    "transfered",
    "loops",
    "events",
    "processes",
    "queue",
    "latency",
    "cache",
];

/// Pages other than graphs.
const PAGES: [&str; 16] = [
    "/",
    "/information.html",
    "/information/sessions.html",
    "/information/configuration.html",
    "/information/statistics.html",
    "/information/errors.html",
    "/information/listeners.html",
    "/information/drainers.html",
    "/information/logs.html",
    "/information/errs.html",
    "/graph.html",
    "/end-point/clients.html",
    "/end-point/servers.html",
    "/control.html",
    "/control/workers.html",
    "/about.html",
];

/// A proxy that always has something to do, by clients that do what they should not.
pub(crate) struct Busy {
    proxy: Arc<Proxy>,
    stop: Arc<AtomicBool>,
    load: Option<std::thread::JoinHandle<()>>,
    _helpers: Helpers,
}

impl Busy {
    pub(crate) fn start() -> Busy {
        let helpers = Helpers::start(|desk| {
            while desk.line()?.is_some() {
                desk.complain(format!("{EVIL}\n"))?;
                desk.say("\n")?;
            }
            Ok(())
        });
        let options =
            [("web.debug", "true"), ("redirector.maximum", "3"), ("log.level", "DEBUG"), ("log.enable", "true")];
        let proxy = Arc::new(helpers.proxy(&options));
        let stop = Arc::new(AtomicBool::new(false));
        let (running, ended) = (Arc::clone(&proxy), Arc::clone(&stop));
        let load = std::thread::spawn(move || {
            let (site, echo) = (Origin::site(), Origin::echo());
            let mut tunnel = running.client();
            tunnel.tunnel(&echo.address().to_string());
            while !ended.load(Ordering::Relaxed) {
                let mut client = running.client();
                for _ in 0..5 {
                    client.send(format!(
                        "GET {}{EVIL} HTTP/1.1\r\nHost: x\r\nUser-Agent: {EVIL}\r\n\r\n",
                        site.url("/x")
                    ));
                    client.reply();
                }
                let mut broken = running.client();
                broken.send(format!("GET {EVIL} HTTP/1.1\r\nHost: {EVIL}\r\n\r\n"));
                broken.reply();
                tunnel.send("12345");
                tunnel.read(5);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        Busy { proxy, stop, load: Some(load), _helpers: helpers }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.proxy.web())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.load.take().map(std::thread::JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the load ended too early");
        }
    }
}

pub(crate) fn possible() -> bool {
    have(&["chromium", "base64"])
}

fn picture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/output/pages")).join(name)
}

/// Nothing was fetched from elsewhere, and nothing was complained about.
pub(crate) fn assert_content(browser: &Browser, busy: &Busy) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let own = busy.url("/");
    let elsewhere: Vec<String> = browser.requested().into_iter().filter(|url| !url.starts_with(&own)).collect();
    assert_eq!(elsewhere, Vec::<String>::new());
    assert!(browser.requested().len() > 2, "{:?}", browser.requested());
}

#[test]
fn the_numbers_move_by_themselves() {
    if !possible() {
        return;
    }
    let busy = Busy::start();
    let mut browser = Browser::start(1280, 800);
    browser.open(&busy.url("/"));
    browser.evaluate("window.mark = 1");
    for tile in ["requests", "transfer", "state", "connections", "errors", "dns", "helpers", "times"] {
        let shown = browser.evaluate(&format!("document.querySelector('#tile-{tile} output').textContent"));
        assert!(shown.as_str().is_some_and(|text| !text.is_empty()), "{tile}: {shown}");
    }
    let before = browser.evaluate("document.querySelector('#tile-requests p').textContent");
    eventually("a number that has moved", || {
        (browser.evaluate("document.querySelector('#tile-requests p').textContent") != before).then_some(())
    });
    assert_eq!(browser.evaluate("window.mark"), 1, "the page was not loaded anew");
    assert_eq!(browser.evaluate("document.getElementById('lost').textContent"), "");
    for name in GRAPHS {
        browser.open(&busy.url(&format!("/graph/{name}.html")));
        assert_eq!(browser.evaluate("document.querySelectorAll('main svg').length"), 2, "{name}");
        let drawn =
            "Array.from(document.querySelectorAll('main svg')).every(svg => svg.getBoundingClientRect().width > 300)";
        assert_eq!(browser.evaluate(drawn), true, "{name}");
    }
    browser.open(&busy.url("/graph/requests.html"));
    let line = "document.querySelector('main svg [stroke=\"#020000\"]').getAttribute('points')";
    let before = browser.evaluate(line);
    eventually("a line that has moved", || (browser.evaluate(line) != before).then_some(()));
    browser.shoot(&picture("requests.png"));
    browser.open(&busy.url("/"));
    browser.shoot(&picture("overview.png"));
    assert_content(&browser, &busy);
}

#[test]
fn pages_fit_a_phone_and_the_dark() {
    if !possible() {
        return;
    }
    let busy = Busy::start();
    let mut browser = Browser::start(390, 844);
    browser.resize(390, 844, true);
    let graphs = GRAPHS.iter().map(|name| format!("/graph/{name}.html"));
    for path in PAGES.iter().map(|path| (*path).to_owned()).chain(graphs) {
        browser.open(&busy.url(&path));
        let width = browser.evaluate("document.documentElement.scrollWidth");
        assert_eq!(width, 390, "{path} is wider than the screen");
        browser.shoot(&picture(&format!("phone{}.png", path.trim_end_matches(".html").replace('/', "-"))));
    }
    // Wider than a phone its rows are no cards, and it is wider than its place.
    browser.resize(800, 844, false);
    browser.open(&busy.url("/information/sessions.html"));
    let pushed = "document.querySelector('.scroll').scrollLeft";
    browser.evaluate("document.querySelector('.scroll').scrollLeft = 40");
    browser.evaluate("window.old = document.querySelector('.scroll')");
    eventually("a refreshed table", || {
        (browser.evaluate("document.querySelector('.scroll') !== window.old") == true).then_some(())
    });
    assert_eq!(browser.evaluate(pushed), 40, "a table stays where it was pushed to");
    let ground = "getComputedStyle(document.body).backgroundColor";
    let ink = "getComputedStyle(document.body).color";
    let light = (browser.evaluate(ground), browser.evaluate(ink));
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.call("Emulation.setEmulatedMedia", dark);
    assert_ne!((browser.evaluate(ground), browser.evaluate(ink)), light);
    browser.resize(1280, 800, false);
    for (path, name) in [("/", "dark.png"), ("/graph/connections.html", "dark-graph.png")] {
        browser.open(&busy.url(path));
        browser.shoot(&picture(name));
    }
    assert_content(&browser, &busy);
}

#[test]
fn everything_can_be_reached_without_a_mouse() {
    if !possible() {
        return;
    }
    let busy = Busy::start();
    let mut browser = Browser::start(1280, 800);
    // A page that does not refresh itself, and one with forms.
    for path in ["/control.html", "/information/sessions.html"] {
        browser.open(&busy.url(path));
        let wanted = "Array.from(document.querySelectorAll('a[href], input:not([type=hidden]), select, button')) \
            .filter(element => element.getClientRects().length).length";
        let count = browser.evaluate(wanted).as_u64().expect("a number");
        assert!(count > 30, "{path}: {count}");
        browser.evaluate("window.reached = new Set()");
        for _ in 0..count {
            browser.press("Tab", 9);
            let seen = "(() => { const at = document.activeElement; window.reached.add(at); \
                return at !== document.body && getComputedStyle(at).outlineStyle !== 'none'; })()";
            let shown = browser.evaluate(seen);
            assert_eq!(shown, true, "{path}: {}", browser.evaluate("document.activeElement.outerHTML"));
        }
        assert_eq!(browser.evaluate("window.reached.size"), count, "{path}");
    }
    assert_content(&browser, &busy);
}

#[test]
fn an_end_of_the_proxy_is_told() {
    if !possible() {
        return;
    }
    let proxy = Proxy::start(&[]);
    let mut browser = Browser::start(1280, 800);
    browser.open(&format!("http://{}/", proxy.web()));
    drop(proxy);
    eventually("a word about it", || {
        let told = browser.evaluate("document.getElementById('lost').textContent");
        told.as_str().is_some_and(|told| told.starts_with("no answer since ")).then_some(())
    });
}

#[test]
fn control_works_from_its_forms() {
    if !possible() {
        return;
    }
    let busy = Busy::start();
    let mut browser = Browser::start(1280, 800);
    browser.open(&busy.url("/control/workers.html"));
    browser.evaluate("document.querySelector('[name=\"exaproxy.redirector.minimum\"]').value = 2");
    browser.evaluate(
        "document.querySelector('[name=\"exaproxy.redirector.minimum\"]').form.querySelector('button').click()",
    );
    let note = "document.querySelector('.note') && document.readyState === 'complete' ? document.querySelector('.note').textContent : ''";
    eventually("a note", || {
        // Between two pages there is nothing to ask.
        let shown = browser.call("Runtime.evaluate", json!({ "expression": note }));
        (shown["result"]["value"] == "changed successfully").then_some(())
    });
    assert_eq!(busy.proxy.counter("processes.min"), 2);
    assert_content(&browser, &busy);
}

#[test]
fn strangers_cannot_get_a_script_into_a_page() {
    if !possible() {
        return;
    }
    let busy = Busy::start();
    let mut browser = Browser::start(1280, 800);
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    let odd = [
        format!("/information/sessions.html?client={script}&host={script}&phase={script}&sort={script}&limit={script}"),
        format!("/control/workers/commit?exaproxy.redirector.minimum={script}"),
        format!("/{script}.html"),
    ];
    eventually("what a helper said", || {
        browser.open(&busy.url("/information/errs.html"));
        let text = browser.evaluate("document.querySelector('main').textContent");
        text.as_str().is_some_and(|text| text.contains(EVIL)).then_some(())
    });
    for path in PAGES.iter().map(|path| (*path).to_owned()).chain(odd) {
        browser.call("Page.navigate", json!({ "url": busy.url(&path) }));
        eventually("a loaded page", || {
            (browser.evaluate("document.readyState + !!document.querySelector('main')") == "completetrue").then_some(())
        });
        let foreign = "Array.from(document.scripts).filter(script => !script.src.endsWith('/refresh.js')).length \
            + document.querySelectorAll('main img, main iframe, main [onerror]').length";
        assert_eq!(browser.evaluate(foreign), 0, "{path}");
    }
    let complaints = browser.complaints();
    let refusals = |text: &String| text.contains("status of 40");
    assert!(complaints.iter().all(refusals), "{complaints:#?}");
}

#[test]
fn pages_show_everything_without_scripts() {
    if !possible() {
        return;
    }
    let busy = Busy::start();
    let mut browser = Browser::start(1280, 800);
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    let graphs = GRAPHS.iter().map(|name| (format!("/graph/{name}.html"), 2));
    for (path, charts) in graphs.chain([("/graph.html".to_owned(), GRAPHS.len()), ("/".to_owned(), 7)]) {
        browser.open(&busy.url(&path));
        let html = browser.evaluate("document.documentElement.outerHTML");
        let html = html.as_str().expect("the text of the page");
        assert!(html.contains("<noscript><meta http-equiv=\"refresh\" content=\"20\"></noscript>"), "{path}: {html}");
        assert_eq!(html.matches("<svg").count(), charts, "{path}: {html}");
    }
    let loaded = browser.requested();
    assert!(!loaded.iter().any(|url| url.ends_with(".js")), "scripts are on: {loaded:?}");
    browser.shoot(&picture("without-scripts.png"));
}

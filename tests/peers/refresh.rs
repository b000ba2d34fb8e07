//! The monitor's pages while they refresh themselves: the numbers move, and a reader keeps place and focus.

use serde_json::Value;

use crate::browser::Browser;
use crate::pages::{assert_content, possible, Busy, GRAPHS};
use crate::support::eventually;

/// Makes the pages refresh themselves twenty times as often, counts how often they think of it and how often they do, and
/// notes what their policy refuses.
const HASTE: &str = "
    const wait = window.setTimeout;
    const ask = window.fetch;
    window.thought = window.asked = 0;
    window.setTimeout = (what, delay) => { window.thought++; return wait(what, delay / 20); };
    window.fetch = (...all) => { window.asked++; return ask(...all); };
    window.refused = [];
    document.addEventListener('securitypolicyviolation', event => window.refused.push(event.blockedURI));
";

/// Graphs that may well show nothing but zeros.
const QUIET: [&str; 3] = ["cache", "latency", "queue"];

fn start() -> Option<(Busy, Browser)> {
    if !possible() {
        return None;
    }
    let busy = Busy::start();
    let mut browser = Browser::start(1280, 800);
    browser.prepare(HASTE);
    Some((busy, browser))
}

/// Waits until the page has been refreshed in its place.
fn wait_refreshed(browser: &mut Browser) {
    browser.evaluate("window.mark = document.querySelector('main h1'); 0");
    eventually("a refreshed page", || {
        (browser.evaluate("document.querySelector('main').contains(window.mark)") == false).then_some(())
    });
}

#[test]
fn every_graph_moves() {
    let Some((busy, mut browser)) = start() else { return };
    for name in GRAPHS {
        browser.open(&busy.url(&format!("/graph/{name}.html")));
        wait_refreshed(&mut browser);
        let drawn = "document.querySelector('main svg').outerHTML";
        let before = browser.evaluate(drawn);
        assert!(before.as_str().is_some_and(|svg| svg.starts_with("<svg")), "{name}: {before}");
        if !QUIET.contains(&name) {
            eventually(&format!("{name} to move"), || (browser.evaluate(drawn) != before).then_some(()));
        }
        assert_eq!(browser.evaluate("window.refused.join()"), "", "{name}");
    }
    assert_content(&browser, &busy);
}

#[test]
fn whoever_tabs_through_a_page_is_not_thrown_back() {
    let Some((busy, mut browser)) = start() else { return };
    for path in ["/", "/graph.html", "/end-point/clients.html"] {
        browser.open(&busy.url(path));
        let links = "Array.from(document.links).filter(link => link.getClientRects().length).length";
        let links = browser.evaluate(links).as_u64().expect("a number");
        let count = browser.evaluate("document.querySelectorAll('main a').length").as_u64().expect("a number");
        assert!(count > 0 && links > 30, "{path}: {count} of {links}");
        let place = "Array.from(document.querySelectorAll('main a')).indexOf(document.activeElement)";
        let mut reached = 0;
        for _ in 0..links {
            browser.press("Tab", 9);
            let at = browser.evaluate(place);
            if at == -1 {
                continue;
            }
            assert_eq!(at, reached, "{path}: the next link");
            wait_refreshed(&mut browser);
            assert_eq!(browser.evaluate(place), at, "{path}: the same link as before the refresh");
            let shown = browser.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none'");
            assert_eq!(shown, true, "{path}: link {at} shows that it is where the keyboard is");
            reached += 1;
        }
        assert_eq!(reached, count, "{path}");
    }
    assert_content(&browser, &busy);
}

/// A wide table on a narrow screen, and text that is about to be copied, stay as they are.
#[test]
fn whoever_reads_is_not_disturbed() {
    let Some((busy, mut browser)) = start() else { return };
    // Below 768 px a row is a card, and nothing is wider than the screen.
    browser.resize(800, 500, false);
    browser.open(&busy.url("/information/sessions.html"));
    browser.evaluate("document.querySelector('.scroll').scrollLeft = 100");
    wait_refreshed(&mut browser);
    let left = |browser: &mut Browser| -> Value { browser.evaluate("document.querySelector('.scroll').scrollLeft") };
    assert_eq!(left(&mut browser), 100);
    browser.evaluate("window.scrollTo(0, 150)");
    wait_refreshed(&mut browser);
    assert_eq!((browser.evaluate("window.scrollY"), left(&mut browser)), (150.into(), 100.into()));

    browser.evaluate("getSelection().selectAllChildren(document.querySelector('main h1'))");
    let counts = |browser: &mut Browser, name: &str| browser.evaluate(name).as_u64().expect("a number");
    // What was asked for before may still be under way.
    let thought = counts(&mut browser, "window.thought");
    eventually("the next turn", || (counts(&mut browser, "window.thought") > thought).then_some(()));
    let (thought, asked) = (counts(&mut browser, "window.thought"), counts(&mut browser, "window.asked"));
    eventually("three turns", || (counts(&mut browser, "window.thought") > thought + 2).then_some(()));
    assert_eq!(counts(&mut browser, "window.asked"), asked, "nothing is fetched that would not be shown");
    assert_eq!(browser.evaluate("getSelection().toString()"), "Sessions");
    browser.evaluate("getSelection().removeAllRanges()");
    wait_refreshed(&mut browser);
    assert_content(&browser, &busy);
}

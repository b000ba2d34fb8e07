//! The monitor's pages on a proxy at work.

use std::collections::BTreeSet;

use crate::support::{eventually, Client, Helpers, Message, Origin, Proxy};

fn get(proxy: &Proxy, path: &str) -> Message {
    let mut client = Client::connect(proxy.web());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.web()));
    client.reply()
}

fn links(page: &Message) -> BTreeSet<String> {
    let text = page.text();
    let links = text.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.filter(|link| link.starts_with('/')).map(|link| link.replace("&amp;", "&")).collect()
}

#[test]
fn every_page_can_be_walked_to() {
    let proxy = Proxy::start(&[]);
    assert_eq!(proxy.client().get(&Origin::site().url("/x")).text(), "/x");
    let mut client = Client::connect(proxy.web());
    let mut seen = BTreeSet::new();
    let mut left = vec!["/".to_owned()];
    while let Some(path) = left.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        // All of them on one connection, which no page may end.
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let page = client.reply();
        assert_eq!(page.status(), 200, "{path}: {page:?}");
        left.extend(links(&page));
    }
    for path in
        ["/information/sessions.html", "/graph/latency.html", "/json/sessions", "/style.css", "/about/email.html"]
    {
        assert!(seen.contains(path), "{path} is linked from nowhere: {seen:?}");
    }
}

#[test]
fn every_address_of_the_original_is_there() {
    let proxy = Proxy::start(&[]);
    let addresses = "/ /index.html /information.html /graph.html /end-point.html /control.html /about.html \
        /information/introspection.html /information/introspection/supervisor.html /information/configuration.html \
        /information/statistics.html /information/logs.html /information/errs.html /graph/requests.html /graph/loops.html \
        /graph/events.html /graph/processes.html /graph/queue.html /graph/connections.html /graph/transfered.html \
        /graph/clients.html /graph/servers.html /end-point/clients.html /end-point/servers.html /control/workers.html \
        /control/debug.html /json /json/running /json/configuration /about/email.html /about/licence.html /humans.txt \
        /humans.html";
    for path in addresses.split_whitespace() {
        assert_eq!(get(&proxy, path).status(), 200, "{path}");
    }
    for path in ["/control/workers/commit", "/control/debug/eval?python=1", "/control/debug/exec?python=1"] {
        assert_eq!(get(&proxy, path).status(), 403, "{path}");
    }
}

#[test]
fn pages_do_for_head_and_for_an_absolute_target() {
    let proxy = Proxy::start(&[]);
    let mut client = Client::connect(proxy.web());
    client.send("HEAD / HTTP/1.1\r\n\r\n");
    let head = client.reply_to("HEAD");
    assert!(head.status() == 200 && head.value("Content-Length").unwrap() != "0", "{head:?}");
    client.send("GET http://127.0.0.1/graph.html HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert!(client.reply().text().contains("<h1>Graphs</h1>"));
}

#[test]
fn the_numbers_of_the_front_page_move() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let client = std::cell::RefCell::new(proxy.client());
    let output = |tile: &str| {
        let text = get(&proxy, "/").text();
        let (_, rest) =
            text.split_once(&format!("id=\"tile-{tile}\"")).unwrap_or_else(|| panic!("no {tile} in {text}"));
        rest.split("<output>").nth(1).and_then(|rest| rest.split("</output>").next()).expect("an output").to_owned()
    };
    assert_eq!(output("connections"), "1");
    let still = ["0 /s", "0 b/s"];
    for (tile, still) in ["requests", "transfer"].iter().zip(still) {
        eventually(tile, || {
            assert_eq!(client.borrow_mut().get(&origin.url("/x")).text(), "/x");
            (output(tile) != still).then_some(())
        });
    }
    let refused = crate::support::Refusing::new();
    eventually("an error", || {
        let reply = client.borrow_mut().get(&format!("http://{}/", refused.address()));
        assert_eq!(reply.status(), 502, "{reply:?}");
        (output("errors") != "0").then_some(())
    });
}

#[test]
fn sessions_are_shown_and_can_be_picked() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let target = origin.address().to_string();
    let mut tunnel = proxy.client();
    tunnel.tunnel(&target);
    tunnel.send("12345");
    assert_eq!(tunnel.read(5), b"12345");
    let mut failed = proxy.client();
    assert_eq!(failed.get("http://127.0.0.1:2/").status(), 502);
    // One connection for all of them: those of before may still be there.
    let mut monitor = Client::connect(proxy.web());
    let mut rows = |query: &str| {
        monitor.send(format!("GET /json/sessions?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        let text = monitor.reply().text();
        let count = |key: &str| {
            let (_, rest) = text.split_once(&format!("\"{key}\": ")).unwrap_or_else(|| panic!("no {key} in {text}"));
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse::<usize>().expect("a number")
        };
        assert_eq!(count("total"), 3, "{text}");
        (count("matched"), text)
    };
    assert_eq!(rows("").0, 3);
    let (matched, text) = rows("phase=tunnel");
    for line in
        ["\"phase\": \"tunnel\",", "\"to-client\": 44", "\"to-server\": 5,", &format!("\"host\": \"{target}\",")]
    {
        assert!(matched == 1 && text.contains(line.trim_end_matches(',')), "{line} is missing in {text}");
    }
    assert!(text.contains(&format!("\"server\": \"{target}\"")), "{text}");
    let (matched, text) = rows("phase=idle");
    assert!(matched == 1 && text.contains("\"error\": \"connection_refused\""), "{text}");
    for (query, wanted) in [("host=127.0", 2), ("host=nowhere", 0), ("client=127.0.0.1", 3), ("client=10.", 0)] {
        assert_eq!(rows(query).0, wanted, "{query}");
    }
    let (_, first) = rows("sort=sent&limit=1");
    assert!(first.matches("\"phase\"").count() == 1 && first.contains("\"phase\": \"tunnel\""), "{first}");
    let page = get(&proxy, "/information/sessions.html?phase=tunnel").text();
    assert!(page.contains("1 of 4 sessions match") && page.contains(&target), "{page}");
}

#[test]
fn addresses_are_counted() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut tunnels: Vec<Client> = (0..3).map(|_| proxy.client()).collect();
    for tunnel in &mut tunnels {
        tunnel.tunnel(&origin.address().to_string());
        tunnel.send("12345");
        assert_eq!(tunnel.read(5), b"12345");
    }
    let servers = get(&proxy, "/end-point/servers.html").text();
    assert!(servers.contains("<td>127.0.0.1</td><td class=\"number\">3</td>"), "{servers}");
    // This connection to the monitor is a client too, and the one before it may still be there.
    eventually("four clients", || {
        let clients = get(&proxy, "/end-point/clients.html").text();
        clients.contains(">127.0.0.1</a></td><td class=\"number\">4</td>").then_some(())
    });
}

/// A text that must not get into a page as it stands.
const EVIL: &str = "<script>alert(1)</script>";

fn assert_inert(proxy: &Proxy, path: &str, shown: &str) {
    let text = eventually(path, || Some(get(proxy, path).text()).filter(|text| text.contains(shown)));
    assert!(!text.contains(EVIL), "{path}: {text}");
}

#[test]
fn what_strangers_say_is_shown_as_text() {
    let helpers = Helpers::start(|desk| {
        while desk.line()?.is_some() {
            desk.complain(format!("{EVIL}\n"))?;
            desk.say("\n")?;
        }
        Ok(())
    });
    let proxy = helpers.proxy(&[("web.debug", "true"), ("log.enable", "true"), ("log.level", "DEBUG")]);
    let mut client = proxy.client();
    client.send(format!("GET {}{EVIL} HTTP/1.1\r\nHost: x\r\nUser-Agent: {EVIL}\r\n\r\n", Origin::site().url("/")));
    client.reply();
    let mut broken = proxy.client();
    broken.send(format!("GET {EVIL} HTTP/1.1\r\nHost: {EVIL}\r\n\r\n"));
    broken.reply();
    assert_inert(&proxy, "/information/errs.html", "&lt;script&gt;alert(1)&lt;/script&gt;");
    for path in ["/information/logs.html", "/information/sessions.html", "/end-point/servers.html", "/"] {
        assert_inert(&proxy, path, "<main");
    }
    let script = "%3Cscript%3Ealert(1)%3C/script%3E";
    let query =
        format!("/information/sessions.html?client={script}&host={script}&phase={script}&sort={script}&limit={script}");
    assert_inert(&proxy, &query, "&lt;script&gt;");
    assert_inert(&proxy, &format!("/{EVIL}.html"), "There is no such page");
    let elsewhere = format!("GET /control/token HTTP/1.1\r\nHost: x.example\r\nReferer: {EVIL}\r\n\r\n");
    let mut client = Client::connect(proxy.web());
    client.send(elsewhere);
    assert!(!client.reply().text().contains(EVIL));
}

#[test]
fn the_last_messages_are_shown() {
    let proxy = Proxy::start(&[("log.enable", "true")]);
    let text = get(&proxy, "/information/logs.html").text();
    assert!(text.contains(">ERROR</td><td>supervisor</td><td>Starting exaproxy version"), "{text}");
    assert!(get(&proxy, "/information/errs.html").text().contains("None so far"));
    let quiet = Proxy::start(&[("log.enable", "false")]);
    assert!(get(&quiet, "/information/logs.html").text().contains("None so far"));
}

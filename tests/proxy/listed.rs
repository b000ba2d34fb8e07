//! Lists by the addresses of names, by paths, and what is told of what they have refused: pages, numbers, logs.

use std::fs;

use serde_json::Value;

use crate::support::query::AAAA;
use crate::support::{eventually, nameserver::Answer, Client, Helpers, Message, NameServer, Origin, Proxy};

fn folder(texts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    texts.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).expect("a file"));
    folder
}

fn at(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn ask(proxy: &Proxy, line: &str, fields: &str) -> Message {
    let mut client = proxy.client();
    client.send(format!("{line} HTTP/1.1\r\nHost: h.test\r\n{fields}\r\n"));
    client.reply_to(line.split(' ').next().unwrap_or_default())
}

fn web(proxy: &Proxy, path: &str) -> String {
    let mut web = Client::connect(proxy.web());
    web.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    web.reply().text()
}

fn json(proxy: &Proxy, path: &str) -> Value {
    serde_json::from_str(&web(proxy, path)).expect("JSON")
}

fn is_blocked(reply: &Message) -> bool {
    reply.status() == 403 && reply.value("Proxy-Status").is_some_and(|value| value.contains("details=\"blocked: "))
}

#[test]
fn no_name_and_no_form_hides_an_address_of_a_blocked_network() {
    let server = NameServer::start(|query| {
        let reply = query.reply();
        Answer::Reply(match (query.plain().as_str(), query.kind) {
            ("alias.test", AAAA) => reply.cname("target.test"),
            ("alias.test", _) => reply.cname("target.test").a([127, 66, 0, 1].into()),
            ("plain.test", kind) if kind != AAAA => reply.a([127, 66, 0, 2].into()),
            (name, AAAA) => match name.strip_suffix(".six.test").map(|text| text.replace('-', ":").parse()) {
                Some(Ok(address)) => reply.aaaa(address),
                _ => reply.negative(60),
            },
            _ => reply.negative(60),
        })
    });
    let Some(server) = server else { return };
    let block = folder(&[("block", "127.66.0.0/16\n2001:db8:66::/48\n")]);
    let (resolver, block) = (server.resolv_conf(), at(&block, "block"));
    let proxy = Proxy::start(&[("dns.resolver", &resolver), ("acl.blocklist", &block)]);
    let six = ["--ffff-7f42-7", "64-ff9b--7f42-7", "2002-7f42-7--", "--7f42-7", "2001-db8-66--7"];
    let literals = six.map(|text| format!("[{}]", text.replace('-', ":")));
    let names: Vec<String> = six.iter().map(|text| format!("{text}.six.test")).collect();
    let hosts = ["alias.test", "plain.test", "127.66.0.9"].map(str::to_owned).into_iter().chain(literals);
    for host in hosts {
        for line in [format!("GET http://{host}/"), format!("CONNECT {host}:443")] {
            let reply = ask(&proxy, &line, "");
            assert!(is_blocked(&reply), "{line}: {reply:?}");
        }
    }
    // Without an address of its own this machine asks for no IPv6 address.
    for name in names {
        let reply = ask(&proxy, &format!("CONNECT {name}:443"), "");
        let asked = server.asked(&name, AAAA) > 0;
        assert!(is_blocked(&reply) || !asked && reply.status() == 502, "{name}: {reply:?}");
    }
}

#[test]
fn of_several_addresses_those_that_may_be_used_are_used() {
    let zone =
        [("both.test", "127.0.0.2"), ("both.test", "127.0.0.1"), ("in.test", "127.0.0.1"), ("out.test", "127.0.0.3")];
    let Some(server) = NameServer::zone(&zone) else { return };
    let (origin, lists) =
        (Origin::site(), folder(&[("block", "127.0.0.2\n"), ("allow", "127.0.0.1/32\n"), ("names", "x.test\n")]));
    let (resolver, port) = (server.resolv_conf(), origin.address().port());
    let (block, allow, names) = (at(&lists, "block"), at(&lists, "allow"), at(&lists, "names"));
    let proxy = Proxy::start(&[("dns.resolver", &resolver), ("acl.blocklist", &block)]);
    assert_eq!(proxy.client().get(&format!("http://both.test:{port}/x")).text(), "/x");
    assert_eq!(ask(&proxy, &format!("CONNECT both.test:{port}"), "").status(), 200);
    // A list of networks alone has to know the addresses of a name; a list of names does not ask.
    let deny =
        |list: &str| Proxy::start(&[("dns.resolver", &resolver), ("acl.allowlist", list), ("acl.default", "deny")]);
    let proxy = deny(&allow);
    assert_eq!(proxy.client().get(&format!("http://in.test:{port}/x")).text(), "/x");
    assert!(is_blocked(&ask(&proxy, &format!("GET http://out.test:{port}/"), "")) && server.asked("out.test", 1) == 1);
    let (proxy, asked) = (deny(&names), server.queries().len());
    assert!(
        is_blocked(&ask(&proxy, "GET http://in.test/", "")) && is_blocked(&ask(&proxy, "CONNECT out.test:443", ""))
    );
    assert_eq!(server.queries().len(), asked, "a refused name was asked for");
}

#[test]
fn default_deny_covers_tunnels_with_their_ports() {
    let origin = Origin::echo();
    let port = origin.address().port();
    let lists = folder(&[("allow", &format!("127.0.0.1:{port}\n"))]);
    let allow = at(&lists, "allow");
    let proxy = Proxy::start(&[("acl.allowlist", &allow), ("acl.default", "deny")]);
    assert_eq!(ask(&proxy, &format!("CONNECT 127.0.0.1:{port}"), "").status(), 200);
    for authority in ["127.0.0.1:443".to_owned(), format!("127.0.0.2:{port}")] {
        assert!(is_blocked(&ask(&proxy, &format!("CONNECT {authority}"), "")), "{authority}");
    }
}

#[test]
fn urls_of_squidguard_are_for_requests_and_not_for_tunnels() {
    let origin = Origin::site();
    let lists = folder(&[("urls", "127.0.0.1/secret\nother.test/x\n"), ("domains", "bad.test\n")]);
    let path = lists.path().display().to_string();
    let proxy = Proxy::start(&[("acl.blocklist", &path), ("acl.tell-list", "true")]);
    for path in ["/secret", "/Secret/x?y", "/%73ecret", "/a/../secret", "//secretary"] {
        let reply = ask(&proxy, &format!("GET {}", origin.url(path)), "");
        assert!(is_blocked(&reply) && reply.text().contains("/urls:1"), "{path}: {reply:?}");
    }
    for path in ["/", "/public/secret", "/s", "/?/secret"] {
        assert_eq!(ask(&proxy, &format!("GET {}", origin.url(path)), "").text(), path, "{path}");
    }
    assert_eq!(ask(&proxy, &format!("CONNECT {}", origin.address()), "").status(), 200);
    assert!(is_blocked(&ask(&proxy, "CONNECT www.bad.test:443", "")));
    let run = |name: &str| Proxy::run(&["--check-name", name], &[("acl.blocklist", &path)]).stdout;
    assert!(
        run("http://www.other.test/x/y").starts_with(&format!("http://www.other.test/x/y is refused by {path}/urls:2"))
    );
    assert!(run("other.test").starts_with("other.test:443 is on no list and is allowed"));
    // Half of a folder is no list: what was read before holds until a reload.
    fs::remove_file(lists.path().join("urls")).expect("a file");
    proxy.wait_log("/urls: No such file or directory (os error 2); the lists that were read before stay in force");
    assert!(is_blocked(&ask(&proxy, &format!("GET {}", origin.url("/secret")), "")));
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(ask(&proxy, &format!("GET {}", origin.url("/secret")), "").text(), "/secret");
}

#[test]
fn a_folder_without_lists_stops_the_start() {
    let empty = folder(&[("expressions", "x\n")]);
    let path = empty.path().display().to_string();
    let run = Proxy::run(&[], &[("acl.blocklist", &path)]);
    assert!(run.code == Some(1) && run.stderr.contains("neither domains nor urls"), "{}", run.stderr);
}

#[test]
fn what_a_helper_puts_in_place_is_judged_again() {
    let helpers = Helpers::answering(|_| "OK rewrite-url=\"http://blocked.test/\"".into());
    let lists = folder(&[("block", "blocked.test\n")]);
    let block = at(&lists, "block");
    for (mode, number) in [("enforce", "lists.blocked"), ("report", "lists.reported")] {
        let options = [("acl.blocklist", &block[..]), ("acl.mode", mode), ("dns.hosts", "/dev/null")];
        let proxy = helpers.proxy(&options);
        let reply = ask(&proxy, "GET http://fine.test/", "");
        assert_eq!(is_blocked(&reply), mode == "enforce", "{reply:?}");
        assert_eq!((proxy.counter(number), proxy.counter(&number.replace("lists.", "lists.block.1."))), (1, 1));
    }
}

#[test]
fn the_hosts_that_were_observed_make_the_allow_list() {
    let origin = Origin::site();
    let lists = folder(&[("block", "bad.test\n"), ("allow", "good.test\n")]);
    let (block, allow) = (at(&lists, "block"), at(&lists, "allow"));
    let options =
        [("acl.blocklist", &block[..]), ("acl.allowlist", &allow), ("acl.default", "deny"), ("dns.hosts", "/dev/null")];
    let proxy = Proxy::start(&[&options[..], &[("acl.mode", "report")]].concat());
    for path in ["/a", "/b"] {
        assert_eq!(proxy.client().get(&origin.url(path)).text(), path, "nothing is refused");
    }
    for line in ["GET http://bad.test/", "GET http://good.test/", "CONNECT new.test:443", "GET http://new.test/"] {
        ask(&proxy, line, "");
    }
    let row = |observed: &Value, host: &str, port: u16| {
        let rows = observed["hosts"].as_array().expect("hosts");
        let row = rows.iter().find(|row| row["host"] == host && row["port"] == port).expect("the host").clone();
        format!("{}/{} {} {}", row["refused"], row["requests"], row["verdict"], row["entry"]).replace('"', "")
    };
    let port = origin.address().port();
    let observed = json(&proxy, "/json/acl/observed");
    assert_eq!(row(&observed, "127.0.0.1", port), "2/2 refused acl.default");
    assert_eq!(row(&observed, "bad.test", 80), format!("1/1 refused {block}:1"));
    assert_eq!(row(&observed, "good.test", 80), "0/1 allowed ");
    assert_eq!(row(&observed, "new.test", 443), "1/1 refused acl.default");
    let lines: Vec<&str> = observed["allowlist"].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    assert_eq!(lines, [&format!("127.0.0.1:{port}"), "new.test"]);
    let page = web(&proxy, "/information/observed.html");
    assert!(page.contains(&format!("<pre>127.0.0.1:{port}\nnew.test\n</pre>")), "{page}");
    // Pasted, nothing is left, without a further request.
    fs::write(&allow, format!("good.test\n{}\n", lines.join("\n"))).expect("a file");
    proxy.wait_counter_reaches("lists.loaded", 1);
    let observed = json(&proxy, "/json/acl/observed");
    assert_eq!(
        (row(&observed, "new.test", 443), &observed["allowlist"]),
        ("1/1 allowed ".into(), &Value::Array(vec![]))
    );
    let proxy = Proxy::start(&options);
    assert_eq!(proxy.client().get(&origin.url("/a")).text(), "/a");
    assert!(is_blocked(&ask(&proxy, "GET http://198.51.100.1/", "")));
    assert_eq!(json(&proxy, "/json/acl/observed")["reporting"], false);
}

#[test]
fn file_and_line_are_told_to_operators_and_only_if_wanted_to_clients() {
    let lists = folder(&[("block", "# of ours\nbad.test\ntwo words\n192.0.2.0/24\n")]);
    fs::create_dir(lists.path().join("html")).expect("a folder");
    fs::write(lists.path().join("html/blocked.html"), "%(host)s|%(client_ip)s|%(user)s|%(list)s|%(comment)s")
        .expect("a page");
    let (block, log, html) = (at(&lists, "block"), at(&lists, "log"), at(&lists, "html"));
    let place = format!("{block}:2");
    for (tell, shown) in [("false", ""), ("true", &place[..])] {
        let proxy = Proxy::start(&[
            ("acl.blocklist", &block),
            ("acl.tell-list", tell),
            ("access.enable", "true"),
            ("access.destination", &log),
            ("access.format", "squid"),
            ("web.html", &html),
        ]);
        let page = ask(&proxy, "GET http://bad.test/", "").text();
        assert_eq!(page, format!("bad.test|127.0.0.1||{shown}|a list refuses it (acl.blocklist)"));
        let line = ask(&proxy, "GET http://bad.test/", "Accept: */*\r\n").text();
        let comma = if shown.is_empty() { "" } else { ", " };
        assert_eq!(line, format!("blocked: a list refuses it (acl.blocklist){comma}{shown}\n"));
        let problem = ask(&proxy, "CONNECT bad.test:443", "Accept: application/json\r\n");
        let object: Value = serde_json::from_str(&problem.text()).expect("an object");
        assert_eq!(object.get("list").and_then(Value::as_str).unwrap_or_default(), shown);
        assert!(!problem.start().contains(&block), "{}", problem.start());
        let written =
            eventually("three lines", || fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 3));
        assert!(written.lines().all(|line| line.ends_with(&format!(" {place}"))), "{written}");
        fs::remove_file(&log).expect("a log");
        assert_eq!(json(&proxy, "/json/errors")["lists"][&place], 3);
        let file = &json(&proxy, "/json/acl/lists")[0];
        let of = |name: &str| file[name].as_u64().expect("a number");
        assert_eq!((&file["list"], &file["file"]), (&Value::from("block"), &Value::from(block.as_str())));
        assert_eq!((of("blocked"), of("entries"), of("others"), of("first-other"), of("generation")), (3, 2, 1, 3, 1));
        let (page, metrics) = (web(&proxy, "/information/lists.html"), web(&proxy, "/metrics"));
        assert!(page.contains(&block) && page.contains("first: line 3"), "{page}");
        let label = format!("list=\"block\",file=\"{block}\"");
        assert!(
            metrics.contains(&format!("exaproxy_lists_file_judged_total{{{label},verdict=\"blocked\"}} 3\n")),
            "{metrics}"
        );
    }
}

#[test]
fn the_status_of_a_page_is_the_helpers() {
    let helpers = Helpers::answering(|line| match () {
        () if line.contains("/none") => "file://deny.html".into(),
        () if line.contains("/gone") => "file://deny.html status=410".into(),
        () if line.contains("/fine") => "file://deny.html status=200".into(),
        () if line.contains("CONNECT") => "file://deny.html status=451".into(),
        () => "file://deny.html status=302".into(),
    });
    for (plain, options) in [(200, &[][..]), (403, &[("pages.block-status", "403")])] {
        let proxy = helpers.proxy(options);
        for (line, wanted) in [
            ("GET http://h.test/none", plain),
            ("GET http://h.test/gone", 410),
            ("GET http://h.test/fine", 200),
            ("GET http://h.test/odd", 503),
            ("CONNECT h.test:443", 451),
        ] {
            assert_eq!(ask(&proxy, line, "Accept: */*\r\n").status(), wanted, "{line} {options:?}");
        }
        proxy.wait_log("its status is none of a page");
    }
    let run = Proxy::run(&["--check"], &[("pages.block-status", "302")]);
    assert!(run.code == Some(1) && run.stderr.contains("pages.block-status"), "{}", run.stderr);
}

//! What Prometheus and Grafana are given in `conf`: every metric that it names is in /metrics of a proxy at work, promtool
//! takes the rules and finds that each alert fires when it should, and a real Prometheus scrapes a proxy with the example and
//! has an answer for every panel of the dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::programs::{command, have, run};
use crate::servers::Server;
use crate::support::{eventually, ports, Client, Helpers, Origin, Proxy, Refusing};

const DASHBOARD: &str = "conf/grafana/exaproxy.json";
const ALERTS: &str = "conf/prometheus/alerts.yml";
const SCRAPE: &str = "conf/prometheus/scrape.yml";
const TESTS_OF_ALERTS: &str = "tests/peers/alerts.yml";

/// Labels that Prometheus adds, or that stand for a variable.
const NOT_OURS: [&str; 3] = ["job", "instance", "le"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A metric as an expression names it, with the labels that have to match: name, and the values that will do.
#[derive(Debug)]
struct Selector {
    name: String,
    labels: Vec<(String, Vec<String>)>,
}

/// Every metric of ours that a text names.
fn selectors(text: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    for start in ["exaproxy_", "process_"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_') {
                continue;
            }
            let rest = &text[at..];
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
            let braces =
                rest[end..].strip_prefix('{').and_then(|rest| Some(rest.split_once('}')?.0)).unwrap_or_default();
            found.push(Selector { name: rest[..end].to_owned(), labels: labels(braces) });
        }
    }
    found
}

/// `a="b",c=~"d|e"`
fn labels(braces: &str) -> Vec<(String, Vec<String>)> {
    let pairs = braces.split(',').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, value)| {
        let value = value.trim_start_matches('~').trim_matches('"');
        (name.trim().trim_end_matches('!').to_owned(), value.split('|').map(str::to_owned).collect())
    });
    pairs.filter(|(name, _): &(String, Vec<String>)| !NOT_OURS.contains(&name.as_str())).collect()
}

/// Every expression of the dashboard, those of its variables included.
fn expressions() -> Vec<String> {
    fn gather(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str().filter(|_| ["expr", "definition"].contains(&name.as_str())) {
                        Some(text) => found.push(text.to_owned()),
                        None => gather(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| gather(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    gather(&serde_json::from_str(&text(DASHBOARD)).expect("JSON"), &mut found);
    assert!(found.len() > 50, "{found:?}");
    found
}

fn metrics(proxy: &Proxy) -> String {
    let mut client = Client::connect(proxy.web());
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.reply().text()
}

/// A proxy with all that has metrics of its own: helpers, a list, the cache.
fn proxy_of_all_kinds(helpers: &Helpers, folder: &Path) -> Proxy {
    let list = folder.join("block");
    std::fs::write(&list, "listed.example\n").expect("a list");
    helpers.proxy(&[("acl.blocklist", &list.display().to_string()), ("cache.enable", "true")])
}

/// Something of everything: served, refused, failed, a name that is not there, a tunnel.
fn traffic(proxy: &Proxy) {
    let (site, echo, refusing) = (Origin::site(), Origin::echo(), Refusing::new());
    let mut client = proxy.client();
    client.get(&site.url("/a"));
    client.get("http://listed.example/");
    client.get(&format!("http://{}/", refusing.address()));
    client.get("http://host.invalid/");
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    tunnel.send("12345");
    assert_eq!(tunnel.read(5), b"12345");
}

#[test]
fn every_metric_that_is_named_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let helpers = Helpers::permitting();
    let proxy = proxy_of_all_kinds(&helpers, folder.path());
    traffic(&proxy);
    let page = eventually("a look at the process", || {
        Some(metrics(&proxy)).filter(|page| page.contains("\nprocess_open_fds "))
    });
    let mut samples: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        samples.entry(name).or_default().push(line);
    }
    for source in expressions().into_iter().chain([text(ALERTS)]) {
        for Selector { name, labels } in selectors(&source) {
            // Texts name a histogram without its parts.
            let parts = samples.get(format!("{name}_bucket").as_str());
            let rows =
                samples.get(name.as_str()).or(parts).unwrap_or_else(|| panic!("no {name} in /metrics, for {source}"));
            for (label, values) in &labels {
                for value in values {
                    let wanted = format!("{label}=\"{value}\"");
                    let wanted = if value.contains('$') || value.contains('.') { format!("{label}=") } else { wanted };
                    assert!(rows.iter().any(|row| row.contains(&wanted)), "{name} has no {wanted}: {rows:?}");
                }
            }
        }
    }
}

/// So that the test above says something.
#[test]
fn metrics_are_found_in_expressions() {
    let found = selectors("rate(exaproxy_a_total{x=\"1\",y=~\"b|c\",job=\"j\"}[5m]) > my_process_b + process_c");
    let found: Vec<_> = found.iter().map(|one| format!("{} {:?}", one.name, one.labels)).collect();
    assert_eq!(found, ["exaproxy_a_total [(\"x\", [\"1\"]), (\"y\", [\"b\", \"c\"])]", "process_c []"]);
}

/// The names behind `word` in the lines of a file.
fn names(text: &str, word: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(word));
    lines.map(|name| name.trim().trim_matches('"').to_owned()).collect()
}

#[test]
fn promtool_is_content_with_the_alerts() {
    if !have(&["promtool", "timeout"]) {
        return;
    }
    for (what, file) in [("rules", ALERTS), ("config", SCRAPE)] {
        run("promtool", &["check", what, &path(file).display().to_string()]).content();
    }
    let tests = text(TESTS_OF_ALERTS);
    let (alerts, tested) = (names(&text(ALERTS), "- alert:"), names(&tests, "- name:"));
    assert!(alerts.len() > 10, "{alerts:?}");
    assert_eq!(alerts, tested, "each alert has its test, and each test its alert");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tests.yml");
    let rules = |text: &str| text.replace("- RULES", &format!("- {}", path(ALERTS).display()));
    std::fs::write(&file, rules(&tests)).expect("a file for the tests");
    run("promtool", &["test", "rules", &file.display().to_string()]).content();
    // So that the above says something: where one does not fire that should, promtool finds it.
    std::fs::write(&file, rules(&tests.replacen("0x20", "1x20", 1))).expect("a file for the tests");
    assert_ne!(run("promtool", &["test", "rules", &file.display().to_string()]).code, Some(0));
}

/// Prometheus with the example, which scrapes this proxy many times a second.
struct Prometheus {
    _server: Server,
    _folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Prometheus {
    fn start(proxy: &Proxy) -> Prometheus {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut scrape = text(SCRAPE);
        for (from, to) in [("127.0.0.1:8080", proxy.web().to_string()), ("15s", "200ms".to_owned())] {
            assert!(scrape.contains(from), "the example has no {from}");
            scrape = scrape
                .replace(&format!("'{from}'"), &format!("'{to}'"))
                .replace(&format!(": {from}"), &format!(": {to}"));
        }
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("scrape.yml"), scrape).expect("a configuration");
        std::fs::copy(path(ALERTS), at("alerts.yml")).expect("the alerts");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::next()));
        let mut prometheus = command("prometheus");
        prometheus
            .arg(format!("--config.file={}", at("scrape.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let server = Server::start(prometheus, at("output"), address);
        Prometheus { _server: server, _folder: folder, address }
    }

    /// What it has for an expression.
    fn ask(&self, expression: &str) -> Vec<Value> {
        let url = format!("http://{}/api/v1/query", self.address);
        let query = format!("query={expression}");
        let said = run("curl", &["-sS", "-G", "-m", "30", &url, "--data-urlencode", &query]).content().text();
        // Until it is ready it has no answer, or one in words.
        let Ok(said) = serde_json::from_str::<Value>(&said) else { return Vec::new() };
        if said["status"] == "error" {
            assert_ne!(said["errorType"], "bad_data", "{expression}: {said}");
            return Vec::new();
        }
        said["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    fn rules(&self) -> Value {
        let url = format!("http://{}/api/v1/rules", self.address);
        let said = run("curl", &["-sS", "-m", "30", &url]).content().text();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

#[test]
fn prometheus_has_an_answer_for_every_panel() {
    if !have(&["prometheus", "curl", "timeout"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let helpers = Helpers::permitting();
    let proxy = proxy_of_all_kinds(&helpers, folder.path());
    let prometheus = Prometheus::start(&proxy);
    eventually("a scrape", || (!prometheus.ask("exaproxy_up == 1").is_empty()).then_some(()));
    traffic(&proxy);
    for expression in expressions() {
        if expression.starts_with("label_values") {
            continue;
        }
        let filled = [("$job", "exaproxy"), ("$instance", ".+"), ("$__rate_interval", "1m")];
        let filled = filled.iter().fold(expression, |text, (from, to)| text.replace(from, to));
        eventually(&filled, || (!prometheus.ask(&filled).is_empty()).then_some(()));
    }
    assert!(prometheus.ask("ALERTS{alertstate=\"firing\"}").is_empty(), "a proxy that is well raises no alarm");
    let rules = eventually("every rule to be looked at", || {
        let rules = prometheus.rules()["data"]["groups"][0]["rules"].as_array().cloned()?;
        rules.iter().all(|rule| rule["health"] == "ok").then_some(rules)
    });
    assert_eq!(rules.len(), names(&text(ALERTS), "- alert:").len());
}

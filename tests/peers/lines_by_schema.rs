//! Lines of the access log in JSON, held to the schemas that are published for them, by Python's jsonschema.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::programs::{have, run};
use crate::support::{eventually, Origin, Proxy, Refusing};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access-log.schema.json");
const ECS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access-log-ecs.schema.json");

/// Requests of many ends: served, refused by a list, failed, unreadable, a tunnel, and a client that tries to forge lines.
fn traffic(proxy: &Proxy) -> usize {
    let (site, echo, refusing) = (Origin::site(), Origin::echo(), Refusing::new());
    let mut client = proxy.client();
    client.get(&site.url("/a"));
    client.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\nUser-Agent: \"\t\u{e9}\r\nReferer: http://r/\r\n\
         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
        site.url("/\"q\"")
    ));
    client.reply();
    client.get("http://listed.example/");
    client.get(&format!("http://{}/", refusing.address()));
    client.get("http://host.invalid/");
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    tunnel.send("12345");
    assert_eq!(tunnel.read(5), b"12345");
    drop(tunnel);
    proxy.client().send("nonsense\r\n\r\n");
    7
}

#[test]
fn lines_are_what_the_schema_says() {
    if !have(&["jsonschema", "timeout"]) {
        return;
    }
    let lines = held_to("json", SCHEMA, ("\"schema\":1", "\"schema\":2"));
    every_field_is_described(&lines);
}

#[test]
fn lines_of_ecs_are_what_their_schema_says() {
    if !have(&["jsonschema", "timeout"]) {
        return;
    }
    let lines = held_to("ecs", ECS, ("\"kind\":\"event\"", "\"kind\":\"metric\""));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(ECS).expect("the schema")).expect("JSON");
    let mut seen = BTreeSet::new();
    for line in &lines {
        let line: Value = serde_json::from_str(line).expect("JSON");
        is_described("", &line, &schema["properties"], &schema["$defs"], &mut seen);
    }
    for name in [".trace.id", ".url.domain", ".url.port", ".rule.name", ".exaproxy.cache", ".event.reason"] {
        assert!(seen.contains(name), "no line has {name}");
    }
}

/// Each field of an object is in its schema, and so are those of the objects in it.
fn is_described(path: &str, value: &Value, schema: &Value, shared: &Value, seen: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().expect("an object") {
        let (path, mut own) = (format!("{path}.{name}"), &schema[name]);
        assert!(!own.is_null(), "{path} is not in the schema");
        if let Some(reference) = own["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
            own = &shared[reference];
        }
        if value.is_object() {
            is_described(&path, value, &own["properties"], shared, seen);
        }
        seen.insert(path);
    }
}

/// Lines of this format, which keep to their schema; one in which a text is replaced by another does not.
fn held_to(format: &str, schema: &str, (text, other): (&str, &str)) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("block"), "listed.example\n").expect("a list");
    let proxy = Proxy::start(&[
        ("access.enable", "true"),
        ("access.format", format),
        ("access.destination", &at("access").display().to_string()),
        ("acl.blocklist", &at("block").display().to_string()),
        ("cache.enable", "true"),
    ]);
    let count = traffic(&proxy);
    let lines = eventually("all lines", || {
        let text = std::fs::read_to_string(at("access")).ok().filter(|text| text.ends_with('\n'))?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    });
    let mut words = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let path = at(&format!("line-{number}"));
        std::fs::write(&path, line).expect("a file for the line");
        words.extend(["-i".to_owned(), path.display().to_string()]);
    }
    words.push(schema.to_owned());
    run("jsonschema", &words.iter().map(String::as_str).collect::<Vec<_>>()).content();
    // So that the above says something.
    let broken = lines[0].replacen(text, other, 1);
    assert_ne!(broken, lines[0]);
    std::fs::write(at("broken"), broken).expect("a file for the line");
    assert_ne!(run("jsonschema", &["-i", &at("broken").display().to_string(), schema]).code, Some(0));
    lines
}

/// The schema lets fields be added, so that readers do not break; here none may be that it does not know.
fn every_field_is_described(lines: &[String]) {
    let schema = std::fs::read_to_string(SCHEMA).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let known: BTreeSet<&String> = schema["properties"].as_object().expect("properties").keys().collect();
    let mut values = BTreeSet::new();
    for line in lines {
        let line: Value = serde_json::from_str(line).expect("JSON");
        for (name, value) in line.as_object().expect("an object") {
            assert!(known.contains(name), "{name} is not in the schema");
            if !value.is_null() {
                values.insert(name.clone());
            }
        }
    }
    for name in ["status", "origin", "failure", "list", "cache", "user_agent", "referer", "decision"] {
        assert!(values.contains(name), "no line has a {name}");
    }
}

//! What the monitor says of lists.

use super::{Fake, EVIL};

#[test]
fn lists_are_told_by_file_and_host() {
    let fake = Fake::new();
    let json = |path: &str| serde_json::from_str::<serde_json::Value>(&fake.get(path).1).unwrap();
    let file = serde_json::json!({
        "list": "block", "file": EVIL, "lines": 9, "others": 4, "first-other": 5, "entries": 2, "age": 90,
        "generation": 3, "allowed": 0, "blocked": 7, "reported": 0,
    });
    assert_eq!(json("/json/acl/lists"), serde_json::json!([file]));
    let host = serde_json::json!({
        "host": EVIL, "port": 443, "requests": 8, "refused": 6, "verdict": "refused", "entry": EVIL,
    });
    let observed = serde_json::json!({ "reporting": true, "hosts": [host], "others": 2, "allowlist": [EVIL] });
    assert_eq!(json("/json/acl/observed"), observed);
    assert_eq!(json("/json/errors")["lists"][EVIL], 7);
    let metrics = fake.get("/metrics").1;
    let file = "list=\"block\",file=\"<script>alert(1)</script>\\\"'&\"";
    assert!(
        metrics.contains(&format!("exaproxy_lists_file_judged_total{{{file},verdict=\"blocked\"}} 7\n")),
        "{metrics}"
    );
    assert!(metrics.contains(&format!("exaproxy_lists_file_age_seconds{{{file}}} 90\n")), "{metrics}");
}

//! Times: each class of each histogram is moved, and all that was timed stands in one.

use super::books::Numbers;
use super::{ask, last_get, Books};
use crate::support::{eventually, Helpers, NameServer, Origin};

/// Families of which every line has to move.
pub const KEYS: &[&str] = &[
    "exaproxy_request_seconds_bucket",
    "exaproxy_request_seconds_sum",
    "exaproxy_connect_seconds_bucket",
    "exaproxy_connect_seconds_sum",
    "exaproxy_dns_seconds_bucket",
    "exaproxy_dns_seconds_sum",
    "exaproxy_loop_turn_seconds_bucket",
    "exaproxy_loop_turn_seconds_sum",
    "exaproxy_helper_seconds_bucket",
    "exaproxy_helper_seconds_sum",
];

fn is_of(key: &str, family: &str) -> bool {
    key.split('{').next() == Some(family)
}

/// The classes of a histogram, by their upper ends.
fn classes(numbers: &Numbers, family: &str) -> Vec<(f64, f64)> {
    let bound = |key: &str| match key.split('"').nth(1) {
        Some("+Inf") => f64::INFINITY,
        bound => bound.and_then(|bound| bound.parse().ok()).expect("a bound"),
    };
    let mut classes: Vec<(f64, f64)> =
        numbers.iter().filter(|(key, _)| is_of(key, family)).map(|(key, count)| (bound(key), *count)).collect();
    classes.sort_by(|one, other| one.0.total_cmp(&other.0));
    classes
}

#[test]
fn every_class_of_every_histogram_moves() {
    let Some(names) = NameServer::start(crate::dns::everything) else { return };
    let resolver = names.resolv_conf();
    let site = Origin::site();
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("http.pool", "0"), ("dns.resolver", &resolver), ("tcp6.out", "false")]);
    let books = Books::open(&proxy);
    let before = books.look();
    let mut asked = 0;
    // What is quick moves every class, but for those up to two milliseconds, which only turns of the loop are sure to move on a busy
    // machine; what is not within one tick of the loop's clock moves the sums.
    let after = eventually("every class to move", || {
        asked += 1;
        let url = format!("http://host{asked}.test:{}/", site.port());
        assert_eq!(ask(&proxy, &last_get(&url)).status(), 200);
        let now = books.look();
        let is_quick =
            |key: &str| ["0.0001", "0.0002", "0.0005", "0.001", "0.002"].iter().any(|bound| key.contains(bound));
        let is_sure = |key: &str| key.contains("loop_turn") || !is_quick(key);
        let timed = |key: &&String| KEYS.iter().any(|family| is_of(key, family)) && is_sure(key);
        now.keys().filter(timed).all(|key| now[key] > before[key]).then_some(now)
    });
    for family in KEYS.iter().filter(|family| family.ends_with("_bucket")) {
        let classes = classes(&after, family);
        assert!(classes.len() > 2 && classes.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{family}: {classes:?}");
        let count = after[&family.replace("_bucket", "_count")];
        assert_eq!(classes.last().map(|class| class.1), Some(count), "{family}");
    }
}

//! Which wants of users of proxies are shown by a test here: each has a number, and a test has `row_NN` in its name.

use std::path::Path;

/// Number and want, for the rows that a proxy without interception and authentication can meet.
const ROWS: &[(u32, &str)] = &[
    (1, "no request is lost with a helper"),
    (2, "each request in the queue has its own deadline"),
    (3, "overload is shed, and never ends the proxy"),
    (4, "one helper that hangs is replaced alone"),
    (5, "the proxy serves on while its helpers cannot be started"),
    (6, "helpers are added and let go by the wait"),
    (7, "helpers can be started at any moment"),
    (8, "no pipe that is full blocks anybody"),
    (11, "a local answer to CONNECT leaves nothing open"),
    (15, "lengths that do not fit fail one request"),
    (16, "a name with a dead AAAA still works by its A"),
    (17, "no wait of minutes on one dead family"),
    (18, "addresses are raced, with no more attempts than needed"),
    (19, "a machine without IPv6 is served as well"),
    (20, "the timer between attempts kills none"),
    (21, "IPv6 requests in every form"),
    (22, "literals never reach the resolver"),
    (23, "rules for IPv6 destinations"),
    (24, "every line of resolv.conf"),
    (25, "a dead name server does not stop the start"),
    (26, "one failing server does not fail the name"),
    (27, "a dead first server costs less than seconds"),
    (28, "names that do not exist are remembered"),
    (29, "no questions for nobody after an outage"),
    (30, "questions over TCP share a connection"),
    (31, "answers are kept as long as they say"),
    (32, "a tunnel that only the origin closed ends"),
    (33, "peers that vanish are noticed"),
    (34, "every state has a timer"),
    (35, "an idle tunnel is small"),
    (36, "a second request on a connection is served"),
    (37, "a second request in one segment is served"),
    (38, "an early refusal reaches the client"),
    (39, "each request has its own client address"),
    (40, "a bare 200 for CONNECT"),
    (41, "a FIN goes through, and nothing is cut"),
    (42, "concurrent tunnels keep their bytes"),
    (43, "rules hold for CONNECT"),
    (44, "Transfer-Encoding is a list"),
    (45, "an empty Content-Length is refused"),
    (46, "framing goes out as it was understood"),
    (47, "loose chunks of clients are refused"),
    (48, "loose chunks of origins are cleaned"),
    (49, "plain websockets work"),
    (50, "websockets need no switch"),
    (55, "a reload after privileges were dropped"),
    (56, "a soft stop that ends"),
    (57, "a typo does not stop the service"),
    (58, "credentials stay on their hop"),
    (59, "a Host that does not fit is no error"),
    (60, "no loop through itself"),
    (61, "interception is refused until it is built"),
    (62, "the source address can be chosen, and its failure is named"),
    (63, "no spelling leads past a rule"),
    (64, "the address checked is the address connected"),
    (66, "balancers announce their clients, in both versions of the PROXY protocol"),
    (67, "one identity for headers, pages and decisions"),
];

#[test]
fn every_listed_want_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy");
    let mut text = String::new();
    let entries = |folder: &Path| std::fs::read_dir(folder).expect("a folder of tests");
    for entry in entries(&folder).chain(entries(&folder.join("redirector"))) {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            text += &std::fs::read_to_string(path).expect("a source of text");
        }
    }
    let missing: Vec<_> = ROWS.iter().filter(|(row, _)| !text.contains(&format!("fn row_{row}_"))).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}

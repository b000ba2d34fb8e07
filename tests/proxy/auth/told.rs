//! Where a user is named: logs, pages, helpers.

use std::fs;

use super::{ask, field, Users};
use crate::support::{eventually, Helpers, Origin};

const USERS: &str = "ann:secret\nan na:p w\n";

#[test]
fn logs_and_pages_name_the_user_of_each_request() {
    let origin = Origin::site();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (access, usage) = (at("access"), at("usage"));
    let options = [
        ("access.enable", "true"),
        ("access.destination", &access[..]),
        ("access.format", "%u %s %{failure}x"),
        ("usage.enable", "true"),
        ("usage.destination", &usage),
    ];
    let proxy = Users::new(USERS).proxy(&options);
    let mut client = proxy.client();
    for credentials in ["ann:secret", "", "ann:wrong", "an na:p w"] {
        ask(&mut client, &origin, "/", credentials);
    }
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{1}\r\n", origin.address(), field("ann:secret")));
    assert_eq!(client.reply_to("CONNECT").status(), 200);
    let sessions = eventually("the user of a tunnel", || {
        let page = proxy.monitor_page("/json/sessions").replace(' ', "");
        page.contains("\"user\":\"ann\"").then_some(page)
    });
    assert!(sessions.contains("\"phase\":\"tunnel\""), "{sessions}");
    assert!(proxy.monitor_page("/information/sessions.html").contains(">ann</td>"));
    client.shut();
    let lines = |path: &str, count: usize| {
        eventually("all lines", || fs::read_to_string(path).ok().filter(|text| text.lines().count() == count))
    };
    let wanted = "ann 200 -\n- 407 authentication_required\n- 407 authentication_failed\nan%20na 200 -\nann 200 -\n";
    let written = lines(&access, 5);
    assert_eq!(written.replace("an\\x20na", "an%20na"), wanted, "{written}");
    let usage = lines(&usage, 5);
    let ends: Vec<&str> = usage.lines().filter_map(|line| line.split_once(" user=").map(|(_, user)| user)).collect();
    assert_eq!(ends, ["ann", "an%20na", "ann"], "{usage}");
    assert_eq!(usage.matches(" DENY/").count(), 2, "{usage}");
}

#[test]
fn helpers_are_told_the_user_and_no_password() {
    let origin = Origin::site();
    let users = Users::new(USERS);
    let path = users.path();
    let on = [("auth.enable", "true"), ("auth.users", &path[..])];
    let url = Helpers::permitting();
    for (line, wanted) in [("exaproxy", " 127.0.0.1 an%20na GET -"), ("squid", " 127.0.0.1/- an%20na GET myip=")] {
        let proxy = url.proxy(&[&on[..], &[("redirector.line", line)]].concat());
        assert_eq!(ask(&mut proxy.client(), &origin, "/", "").status(), 407);
        assert_eq!(ask(&mut proxy.client(), &origin, "/", "an na:p w").status(), 200);
        let asked = url.asked().pop().expect("a question");
        assert!(asked.contains(wanted), "{asked}");
    }
    assert_eq!(url.asked().len(), 2, "nobody is asked about a request without a user");
    let icap = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    let proxy = icap.proxy(&[&on[..], &[("redirector.protocol", "icap://helper/")]].concat());
    assert_eq!(ask(&mut proxy.client(), &origin, "/", "an na:p w").status(), 200);
    let asked = icap.wait_asked(1).remove(0);
    assert!(asked.contains("\nPragma: user=an%20na\nX-Authenticated-User: an%20na\n"), "{asked}");
    assert!(!asked.to_ascii_lowercase().contains("authorization"), "{asked}");
}

#[test]
fn what_a_helper_puts_in_the_place_of_a_request_has_the_same_user() {
    let (origin, other) = (Origin::site(), Origin::site());
    let users = Users::new(USERS);
    let path = users.path();
    let to = format!("OK rewrite-url=\"{}\"", other.url("/other"));
    let helpers = Helpers::answering(move |_| to.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let access = folder.path().join("access").display().to_string();
    let proxy = helpers.proxy(&[
        ("auth.enable", "true"),
        ("auth.users", &path),
        ("access.enable", "true"),
        ("access.destination", &access),
        ("access.format", "%u %{decision}x"),
    ]);
    assert_eq!(ask(&mut proxy.client(), &origin, "/", "ann:secret").text(), "/other");
    let line = eventually("a line", || fs::read_to_string(&access).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(line, "ann REWRITE\n");
}

#[test]
fn the_page_of_a_refusal_shows_who_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("list"), "blocked.test\n").expect("a list");
    std::fs::write(folder.path().join("blocked.html"), "%(user)s at %(host)s").expect("a page");
    let (list, html) = (folder.path().join("list"), folder.path());
    let options = [("acl.blocklist", list.to_str().expect("a path")), ("web.html", html.to_str().expect("a path"))];
    let proxy = Users::new("<b>ann:secret\n").proxy(&options);
    let mut client = proxy.client();
    client.send(format!("GET http://blocked.test/ HTTP/1.1\r\nHost: h\r\n{}\r\n", field("<b>ann:secret")));
    assert_eq!(client.reply().text(), "&lt;b&gt;ann at blocked.test");
}

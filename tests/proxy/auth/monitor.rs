//! Users of the monitor.

use super::{base64, Users};
use crate::support::{Client, Message, Origin, Proxy};

fn see(proxy: &Proxy, path: &str, credentials: &str) -> Message {
    let mut client = Client::connect(proxy.web());
    let field = if credentials.is_empty() {
        String::new()
    } else {
        format!("Authorization: Basic {}\r\n", base64(credentials))
    };
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n"));
    client.reply()
}

#[test]
fn the_monitor_asks_for_a_password_but_not_for_health_and_metrics() {
    let users = Users::new("admin:monitor\n");
    let proxy = Proxy::start(&[("web.users", &users.path())]);
    // Fewer failures than slow an address.
    for path in ["/", "/json/running", "/control", "/style.css", "/json/sessions", "/health/", "/nothing"] {
        for credentials in ["", "admin:wrong", "other:monitor"] {
            let reply = see(&proxy, path, credentials);
            assert_eq!(reply.status(), 401, "{path} {credentials}: {reply:?}");
            let challenge = reply.value("WWW-Authenticate");
            assert_eq!(challenge.as_deref(), Some("Basic realm=\"exaproxy\", charset=\"UTF-8\""), "{path}");
        }
        assert_ne!(see(&proxy, path, "admin:monitor").status(), 401, "{path}");
    }
    for path in ["/health", "/metrics", "/health?x=y"] {
        assert_eq!(see(&proxy, path, "").status(), 200, "{path}");
    }
    proxy.wait_log("authentication failed for client 127.0.0.1 of the monitor: wrong password for user admin");
    // The proxy itself asks for nothing.
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&origin.url("/yes")).text(), "/yes");
}

#[test]
fn the_users_of_the_proxy_are_not_those_of_the_monitor() {
    let (users, admins) = (Users::new("ann:secret\n"), Users::new("admin:monitor\n"));
    let proxy = users.proxy(&[("web.users", &admins.path())]);
    let origin = Origin::site();
    for (credentials, proxied, monitored) in [("ann:secret", 200, 401), ("admin:monitor", 407, 200)] {
        // Twice: what is kept is kept for one of them.
        for _ in 0..2 {
            assert_eq!(super::ask(&mut proxy.client(), &origin, "/", credentials).status(), proxied, "{credentials}");
            assert_eq!(see(&proxy, "/json/running", credentials).status(), monitored, "{credentials}");
        }
    }
}

//! The passthrough listener: any protocol, to where it was going before it was diverted. A PROXY header says here what a
//! diversion would.

use std::net::{Ipv4Addr, SocketAddr};

use crate::auth::Users;
use crate::support::{pattern, ports, Client, Helpers, Origin, Proxy};

const PROXIED: (&str, &str) = ("passthrough.proxied", "true");

struct Site {
    proxy: Proxy,
    port: u16,
}

impl Site {
    fn with(options: &[(&str, &str)], start: impl Fn(&[(&str, &str)]) -> Proxy) -> Site {
        let port = ports::next();
        let number = port.to_string();
        let mut all = vec![("passthrough.enable", "true"), ("passthrough.port", &number[..])];
        all.extend_from_slice(options);
        Site { proxy: start(&all), port }
    }

    fn new(options: &[(&str, &str)]) -> Site {
        Site::with(options, Proxy::start)
    }

    fn client(&self) -> Client {
        Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// A client that a balancer announces, with this destination.
    fn announced(&self, to: SocketAddr) -> Client {
        let mut client = self.client();
        client.send(format!("PROXY TCP4 203.0.113.7 {} 56324 {}\r\n", to.ip(), to.port()));
        client
    }
}

#[test]
fn anything_goes_where_it_was_going_and_early_bytes_with_it() {
    let (echo, first) = (Origin::echo(), Origin::start(|peer| peer.send("220 ready\r\n")));
    let site = Site::new(&[PROXIED]);
    let body = pattern(1 << 20, 3);
    let mut client = site.announced(echo.address());
    let mut sender = client.wire().second().expect("another end");
    let sent = body.clone();
    let writer = std::thread::spawn(move || sender.send(&sent));
    assert!(client.read(body.len()) == body, "other bytes came back");
    writer.join().expect("a writer").expect("all is sent");
    assert_eq!(site.announced(first.address()).read(11), b"220 ready\r\n");
}

#[test]
fn what_was_not_diverted_goes_to_the_configured_place_or_nowhere() {
    let echo = Origin::echo();
    let site = Site::new(&[("passthrough.destination", &echo.address().to_string())]);
    let mut client = site.client();
    client.send("hello");
    assert_eq!(client.read(5), b"hello");
    let site = Site::new(&[]);
    assert_eq!(site.client().rest(), b"");
    site.proxy.wait_counter("ended.refused", 1);
}

#[test]
fn policy_and_lists_hold_for_where_it_goes() {
    let echo = Origin::echo();
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("list");
    std::fs::write(&list, format!("127.0.0.1:{}\n", echo.port())).expect("a file");
    let site = Site::new(&[PROXIED, ("acl.blocklist", list.to_str().expect("a path of text"))]);
    assert_eq!(site.announced(echo.address()).rest(), b"");
    assert_eq!((site.proxy.counter("lists.blocked"), echo.connections()), (1, 0));
    // Our own listener would take its connection for another one, and so on.
    assert_eq!(site.announced(SocketAddr::from((Ipv4Addr::LOCALHOST, site.port))).rest(), b"");
    assert_eq!(site.proxy.counter("clients.requests"), 2);
}

#[test]
fn url_helpers_are_asked_about_an_address_and_about_nothing_else() {
    let (echo, other) = (Origin::echo(), Origin::start(|peer| peer.send("other")));
    let (free, place) = (echo.port(), other.address().to_string());
    let helpers = Helpers::answering(move |_| format!("intercept://{place}"));
    let site = Site::with(&[PROXIED], |all| helpers.proxy(all));
    assert_eq!(site.announced(SocketAddr::from((Ipv4Addr::LOCALHOST, free))).read(5), b"other");
    assert_eq!(helpers.wait_asked(1), ["127.0.0.1 203.0.113.7 - TCP -"]);
    let site = Site::with(&[], |all| helpers.proxy(all));
    assert_eq!(site.client().rest(), b"");
    assert_eq!(helpers.asked().len(), 1);
}

#[test]
fn icap_helpers_are_asked_as_the_original_asked_them() {
    let other = Origin::start(|peer| peer.send("other"));
    let place = other.address().to_string();
    let helpers = Helpers::answering_icap(move |question| match question.contains("Pragma: client=203.0.113.7\n") {
        true => b"ICAP/1.0 204 No Content\n\n".to_vec(),
        false => {
            let head = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
            format!("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body={}\n\n{head}", head.len()).into_bytes()
        }
    });
    let icap = ("redirector.protocol", "icap://srv/x");
    let echo = Origin::echo();
    let site = Site::with(&[PROXIED, icap], |all| helpers.proxy(all));
    let mut client = site.announced(echo.address());
    client.send("hello");
    assert_eq!(client.read(5), b"hello");
    let wanted = format!(
        "REQMOD icap://srv/x ICAP/1.0\nHost: srv\nPragma: transport=tcp\nPragma: accept=127.0.0.1\n\
         Pragma: accept-port={}\nPragma: client=203.0.113.7\nPragma: method=TCP\nEncapsulated: req-hdr=0, null-body=0\n\n",
        echo.port()
    );
    assert_eq!(helpers.wait_asked(1), [wanted]);
    // Of one that was not diverted only the helper can say where it goes.
    let site = Site::with(&[icap], |all| helpers.proxy(all));
    assert_eq!(site.client().read(5), b"other");
}

#[test]
fn where_users_are_asked_for_nothing_passes_that_cannot_name_one() {
    let (echo, users) = (Origin::echo(), Users::new("ann:secret\n"));
    let site = Site::new(&[PROXIED, ("auth.enable", "true"), ("auth.users", &users.path())]);
    assert_eq!(site.announced(echo.address()).rest(), b"");
    assert_eq!(echo.connections(), 0);
    site.proxy
        .wait_log(&format!("all clients of 127.0.0.1:{} (passthrough server) are refused: auth.enable", site.port));
}

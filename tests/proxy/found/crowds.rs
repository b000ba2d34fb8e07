//! Faults in what one client can take from all others.

use crate::support::{client, Origin, Proxy};

/// Clients that are gone kept their places until their origins answered.
#[test]
fn a6_clients_that_are_gone_keep_nobody_out() {
    let hanging = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.hold()
    });
    let (proxy, origin) = (Proxy::start(&[("http.connections", "8")]), Origin::site());
    for round in 0..40 {
        let mut gone = proxy.client();
        gone.send(client::get(&hanging.url("/")));
        drop(gone);
        if round % 8 == 7 {
            assert_eq!(proxy.client().get(&origin.url("/")).text(), "/");
        }
    }
}

/// A client that has ended its side keeps its answer while there is room.
#[test]
fn a6_a_client_that_has_ended_its_side_gets_its_answer_where_there_is_room() {
    let (proxy, origin) = (Proxy::start(&[("http.connections", "2")]), Origin::site());
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/half")));
    client.shut();
    assert_eq!(client.reply().text(), "/half");
}

#[test]
fn b1_idle_clients_of_the_monitor_leave_room_for_health_checks() {
    let proxy = Proxy::start(&[("web.connections", "5")]);
    let idle: Vec<_> = (0..50).map(|_| client::Client::connect(proxy.web())).collect();
    for _ in 0..10 {
        let mut check = client::Client::connect(proxy.web());
        check.send("GET /health HTTP/1.0\r\n\r\n");
        assert_eq!(check.reply().status(), 200);
    }
    drop(idle);
}

#[test]
fn connections_without_a_request_give_way_to_requests() {
    let (proxy, origin) = (Proxy::start(&[("http.connections", "4")]), Origin::site());
    let idle: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for _ in 0..4 {
        assert_eq!(proxy.client().get(&origin.url("/")).text(), "/");
    }
    drop(idle);
}

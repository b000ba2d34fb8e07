//! The rules as tables: what each of them lets through.

use super::networks::ClientRange;
use super::*;

fn shipped() -> PolicyConfig {
    PolicyConfig {
        clients: Networks::default(),
        connect: true,
        connect_ports: vec![443..=443, 981..=981, 7000..=7010],
        ports: vec![PortSet::Safe],
        fqdn: true,
        ipv4: true,
        ipv6: true,
        deny: Vec::new(),
        local: Vec::new(),
        monitor: false,
    }
}

fn service(host: LocalHost, port: impl Into<Option<u16>>) -> LocalService {
    LocalService { host, port: port.into() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn literal(text: &str) -> Host {
    match ip(text) {
        IpAddr::V4(address) => Host::V4(address),
        IpAddr::V6(address) => Host::V6(address, None),
    }
}

fn machine() -> LocalAddresses {
    let at = |text: &str| text.parse().unwrap();
    let listeners = [(OwnListener::Proxy, at("192.0.2.7:3128")), (OwnListener::Monitor, at("127.0.0.1:8080"))];
    LocalAddresses::new([ip("192.0.2.7"), ip("127.0.0.1")], listeners)
}

#[test]
fn connect_reaches_listed_ports_only() {
    let policy = Policy::new(shipped());
    for (port, allowed) in [(443, true), (981, true), (7005, true), (80, false), (0, false), (7011, false)] {
        let expected = if allowed { Ok(()) } else { Err(Refused::ConnectPort(port)) };
        assert_eq!(policy.connect_allowed(port), expected);
    }
    let none = Policy::new(PolicyConfig { connect: false, ..shipped() });
    assert_eq!(none.connect_allowed(443), Err(Refused::Connect));
}

#[test]
fn c_dangerous_ports_are_refused_unless_listed_or_a_service_that_is_named() {
    let local = vec![
        service(LocalHost::Any, None),
        service(LocalHost::Any, 25),
        service(LocalHost::Address(ip("127.0.0.1")), 6000),
        service(LocalHost::Name("mail.example".into()), 587),
    ];
    let policy = Policy::new(PolicyConfig { local: local.clone(), ..shipped() });
    let table = [
        ("a.example", "192.0.2.8", 80, true),
        ("a.example", "192.0.2.8", 8443, true),
        ("a.example", "192.0.2.8", 25, false),
        ("a.example", "127.0.0.1", 25, true),
        ("a.example", "127.0.0.1", 22, false),
        ("a.example", "::ffff:127.0.0.1", 6000, true),
        ("a.example", "127.0.0.2", 6000, false),
        ("Mail.example.", "127.0.0.2", 587, true),
        ("mail.example", "192.0.2.8", 587, false),
    ];
    let all = Policy::new(PolicyConfig { ports: vec![PortSet::Safe, PortSet::All], ..shipped() });
    for (host, address, port, allowed) in table {
        let expected = if allowed { Ok(()) } else { Err(Refused::Port(port)) };
        assert_eq!(policy.port_allowed(host, ip(address), port, &machine()), expected, "{host} {address} {port}");
        assert_eq!(all.port_allowed(host, ip(address), port, &machine()), Ok(()));
        // What an address allows was not refused before it was known.
        for host in [Host::Name(host.into()), literal(address)] {
            assert!(
                !allowed || policy.port_imaginable(&host, port).is_ok() || host == literal("127.0.0.2"),
                "{host:?} {port}"
            );
            assert_eq!(all.port_imaginable(&host, port), Ok(()));
        }
    }
    for (host, port, imaginable) in [
        (Host::Name("a.example".into()), 25, true),
        (Host::Name("a.example".into()), 6000, true),
        (Host::Name("a.example".into()), 587, false),
        (Host::Name("Mail.example.".into()), 587, true),
        (Host::Name("a.example".into()), 22, false),
        (literal("192.0.2.8"), 25, true),
        (literal("192.0.2.8"), 6000, false),
        (literal("::ffff:127.0.0.1"), 6000, true),
        (literal("127.0.0.1"), 587, false),
        (literal("2001:db8::1"), 80, true),
    ] {
        let expected = if imaginable { Ok(()) } else { Err(Refused::Port(port)) };
        assert_eq!(policy.port_imaginable(&host, port), expected, "{host:?} {port}");
    }
    let none = Policy::new(PolicyConfig { ports: Vec::new(), local, ..shipped() });
    assert_eq!(none.port_allowed("", ip("192.0.2.8"), 80, &machine()), Err(Refused::Port(80)));
}

#[test]
fn short_names_are_refused_unless_listed() {
    let local = vec![service(LocalHost::Name("localhost".into()), 80)];
    let policy = Policy::new(PolicyConfig { local, ..shipped() });
    let table = [
        ("example.com", true),
        ("example.com.", true),
        ("intranet", false),
        ("intranet.", false),
        ("", false),
        ("LocalHost.", true),
        ("192.0.2.1", true),
        ("::1", true),
    ];
    for (name, allowed) in table {
        assert_eq!(policy.name_allowed(name).is_ok(), allowed, "{name}");
    }
    assert!(Policy::new(PolicyConfig { fqdn: false, ..shipped() }).name_allowed("intranet").is_ok());
}

#[test]
fn denied_ranges_hold_in_every_form() {
    let deny = ["10.0.0.5/8", "fc00::/7", "::ffff:198.51.100.0/120", "::ffff:0:0/33"];
    let deny = deny.iter().map(|range| range.parse().unwrap()).collect();
    let policy = Policy::new(PolicyConfig { deny, ..shipped() });
    let denied = [
        "10.255.0.1",
        "10.0.0.0",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:a00:1::1",
        "fd00::1",
        "198.51.100.9",
        "::ffff:198.51.100.9",
    ];
    for address in denied {
        let judged = policy.address_allowed("example.com", ip(address), 80, &machine());
        assert_eq!(judged, Err(Refused::Denied(ip(address).to_canonical())), "{address}");
    }
    for address in ["11.0.0.1", "9.255.255.255", "2001:db8::1", "198.51.101.1", "64:ff9b::11.0.0.1"] {
        assert_eq!(policy.address_allowed("example.com", ip(address), 80, &machine()), Ok(()), "{address}");
    }
}

#[test]
fn this_machine_needs_a_listed_service() {
    let local = vec![
        service(LocalHost::Any, 8080),
        service(LocalHost::Address(ip("::ffff:127.0.0.1")), 81),
        service(LocalHost::Address(ip("::1")), None),
        service(LocalHost::Name("Intranet.example.".into()), 82),
    ];
    let policy = Policy::new(PolicyConfig { local, ..shipped() });
    let table = [
        ("example.com", "127.0.0.1", 80, false),
        ("example.com", "127.0.0.2", 8080, true),
        ("example.com", "0.0.0.0", 80, false),
        ("example.com", "::ffff:127.0.0.1", 80, false),
        ("example.com", "::ffff:127.0.0.1", 81, true),
        ("example.com", "127.0.0.1", 81, true),
        ("example.com", "127.0.0.2", 81, false),
        ("example.com", "::1", 9, true),
        ("example.com", "::", 9, false),
        ("intranet.EXAMPLE", "192.0.2.7", 82, true),
        ("intranet.example.", "127.0.0.1", 82, true),
        ("other.example", "192.0.2.7", 82, false),
        ("example.com", "64:ff9b::127.0.0.1", 81, false),
        ("example.com", "192.0.2.8", 80, true),
    ];
    for (host, address, port, allowed) in table {
        let expected = if allowed { Ok(()) } else { Err(Refused::Local(ip(address).to_canonical(), port)) };
        assert_eq!(policy.address_allowed(host, ip(address), port, &machine()), expected, "{host} {address} {port}");
    }
}

#[test]
fn b17_no_entry_lets_through_to_our_own_listeners() {
    let (proxy, monitor) = (ip("192.0.2.7"), ip("127.0.0.1"));
    for entry in [None, Some((LocalHost::Any, None)), Some((LocalHost::Any, Some(3128)))] {
        let mut local: Vec<_> = entry.into_iter().map(|(host, port)| service(host, port)).collect();
        local.extend([service(LocalHost::Address(proxy), 3128), service(LocalHost::Address(monitor), 8080)]);
        for open in [false, true] {
            let policy = Policy::new(PolicyConfig { local: local.clone(), monitor: open, ..shipped() });
            let judge = |address, port| policy.address_allowed("a.example", address, port, &machine());
            assert_eq!(judge(proxy, 3128), Err(Refused::Loop(proxy, 3128)));
            let expected = if open { Ok(()) } else { Err(Refused::Monitor(monitor, 8080)) };
            assert_eq!(judge(monitor, 8080), expected);
            assert_eq!(judge(ip("::ffff:127.0.0.1"), 8080), expected);
        }
    }
}

#[test]
fn b17_the_monitor_alone_needs_no_entry() {
    let policy = Policy::new(PolicyConfig { monitor: true, ..shipped() });
    assert_eq!(policy.address_allowed("a.example", ip("127.0.0.1"), 8080, &machine()), Ok(()));
    let other = policy.address_allowed("a.example", ip("127.0.0.1"), 8081, &machine());
    assert_eq!(other, Err(Refused::Local(ip("127.0.0.1"), 8081)));
}

#[test]
fn a_family_that_is_switched_off_is_refused_for_literals_too() {
    let policy = Policy::new(PolicyConfig { ipv4: false, ..shipped() });
    for (address, allowed) in [("192.0.2.9", false), ("::ffff:192.0.2.9", false), ("2001:db8::1", true)] {
        assert_eq!(policy.address_allowed("a.example", ip(address), 80, &machine()).is_ok(), allowed, "{address}");
    }
    let policy = Policy::new(PolicyConfig { ipv6: false, ..shipped() });
    assert_eq!(
        policy.address_allowed("a.example", ip("2001:db8::1"), 80, &machine()),
        Err(Refused::Family(ip("2001:db8::1")))
    );
}

#[test]
fn statuses_are_ours_or_those_of_the_original() {
    let address = ip("192.0.2.1");
    let table = [
        (Refused::Connect, 403, 501),
        (Refused::ConnectPort(80), 403, 501),
        (Refused::Port(25), 403, 403),
        (Refused::Name, 502, 200),
        (Refused::Family(address), 403, 400),
        (Refused::Denied(address), 403, 400),
        (Refused::Local(address, 80), 403, 400),
        (Refused::Monitor(address, 80), 403, 400),
        (Refused::Loop(address, 80), 403, 400),
    ];
    for (refused, status, compatible) in table {
        assert_eq!((refused.status(false), refused.status(true)), (status, compatible), "{refused}");
        assert!(!refused.to_string().ends_with('.'));
    }
}

#[test]
fn clients_are_all_or_those_of_the_networks_that_are_named() {
    let clients = Networks::new(&[ClientRange::parse("10.0.0.0/8").unwrap()]);
    let (some, all) = (Policy::new(PolicyConfig { clients, ..shipped() }), Policy::new(shipped()));
    for (client, allowed) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("192.0.2.1", false), ("::1", false)] {
        assert_eq!(some.client_allowed(ip(client).into()).is_ok(), allowed, "{client}");
        assert_eq!(all.client_allowed(ip(client).into()), Ok(()));
    }
    let user = "uid:1000".parse().unwrap();
    assert_eq!((some.client_allowed(user), all.client_allowed(user)), (Err(Refused::Client(user)), Ok(())));
}

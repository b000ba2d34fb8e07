//! What stands in `pac.direct`, and who asks for the script, which is one that no name leads out of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{outcome, rough};
use exaproxy::http::request::Request;
use exaproxy::http::rules::Rules;
use exaproxy::web::pac::{self, PacHosts, PacScript};

pub(super) const NAMES: &[&[u8]] = &[
    b"a.example *.b.example .c.example 10.0.0.0/8 192.0.2.1 2001:db8::/32",
    b"A.Example. constructor __proto__ x-y_z.example",
    b"\"+alert(1)+\" </script> a\\\"b ::ffff:10.0.0.0/104 0.0.0.0/0 ::/0",
];

pub(super) const ASKED: &[&[u8]] = &[
    b"GET /proxy.pac HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n",
    b"HEAD /wpad.dat?x HTTP/1.0\r\nHost: wpad.corp.example\r\n\r\n",
    b"GET http://gate.example/proxy.pac HTTP/1.1\r\nHost: gate.example\r\n\r\n",
];

pub(super) fn names(bytes: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
    let Some(hosts) = PacHosts::parse(text) else { return 1 };
    let printed = hosts.print();
    assert_eq!(PacHosts::parse(&printed).as_ref(), Some(&hosts), "{printed}");
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);
    let length = |hosts: PacHosts| {
        let answer = pac::answer(&PacScript::Made(hosts), &[local], local);
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body.to_vec()).expect("a script of text");
        // The names stand in the first lines; every quote there opens or closes one, and nothing else is in between.
        for line in text.lines().take(6) {
            for name in line.split('"').skip(1).step_by(2) {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.: ;[]".contains(&byte);
                assert!(name.bytes().all(fits), "{line}");
            }
            assert!(line.matches('"').count() % 2 == 0 && !line.contains(['\\', '<', '\r']), "{line}");
        }
        text.len()
    };
    let (made, empty) = (length(hosts), length(PacHosts::default()));
    outcome(rough(made - empty))
}

pub(super) fn asked(bytes: &[u8]) -> u64 {
    let Ok(request) = Request::parse(bytes, &Rules::default()) else { return 0 };
    let names = ["gate.example".to_owned()];
    let of_proxy = pac::is_asked_of_proxy(&request, &names, |address| address.is_loopback());
    assert!(!of_proxy || pac::is_asked(&request), "the monitor answers what the proxy answers");
    outcome((of_proxy, pac::is_asked(&request)))
}

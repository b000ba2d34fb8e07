//! dnsmasq and unbound as the proxy's name servers: names of every kind, answers too long for UDP, a dead first server.

use crate::programs::{have, run};
use crate::servers::nameserver::{own_address, NameServer, Program};
use crate::servers::nginx::Nginx;
use crate::support::{skip, superuser, Proxy};

const PROGRAMS: [Program; 2] = [Program::Dnsmasq, Program::Unbound];

fn possible(program: Program) -> bool {
    if !superuser() {
        skip("a name server listens on port 53, which needs root");
    }
    superuser() && have(&["curl", "nginx", "openssl", "timeout", program.name()])
}

/// A proxy that asks these servers; the folder holds its resolv.conf.
fn proxy_asking(resolv_conf: &str) -> (Proxy, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("resolv.conf");
    std::fs::write(&file, resolv_conf).expect("a resolv.conf");
    (Proxy::start(&[("dns.resolver", &file.display().to_string())]), folder)
}

fn status(proxy: &Proxy, url: &str) -> String {
    let front = format!("http://{}", proxy.address());
    let arguments = ["-sS", "-m", "40", "-o", "/dev/null", "-w", "%{http_code}", "--proxy", &front, url];
    run("curl", &arguments).content().text()
}

#[test]
fn names_of_every_kind() {
    for program in PROGRAMS.into_iter().filter(|program| possible(*program)) {
        let (server, nginx) = (NameServer::start(program), Nginx::start());
        let (proxy, _folder) = proxy_asking(&format!("nameserver {}\nsearch test\n", server.address));
        let expected = [
            ("dual.test", "200"),
            ("DUAL.Test.", "200"),
            ("four.test", "200"),
            ("six.test", "200"),
            ("alias.test", "200"),
            ("big.test", "200"),
            ("text.test", "502"),
            ("nobody.test", "502"),
        ];
        for (name, code) in expected {
            let url = format!("http://{name}:{}/small", nginx.port);
            assert_eq!(status(&proxy, &url), code, "{program:?} {name}");
        }
    }
}

/// The first server of the list refuses at once (nothing listens there), and requests do not wait for it.
#[test]
fn a_dead_first_server_is_passed_over() {
    for program in PROGRAMS.into_iter().filter(|program| possible(*program)) {
        let (server, nginx) = (NameServer::start(program), Nginx::start());
        let (proxy, _folder) = proxy_asking(&format!("nameserver {}\nnameserver {}\n", own_address(), server.address));
        assert_eq!(status(&proxy, &format!("http://dual.test:{}/small", nginx.port)), "200", "{program:?}");
    }
}

//! curl at a Unix socket: with a network and without one, as one user and another, and HAProxy in front of it.

use crate::programs::{command, find, have, run, Ran};
use crate::servers::nginx::Nginx;
use crate::servers::Server;
use crate::support::{eventually, ports, skip, superuser, Proxy};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

const NEEDED: &[&str] = &["curl", "nginx", "openssl", "timeout"];

/// An account that is not the proxy's.
const OTHER: u32 = 65_534;

/// A folder that every user may go into, and the socket in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("our own folder");
    let path = folder.path().join("proxy");
    (folder, path)
}

fn proxy(path: &Path, options: &[(&str, &str)]) -> Proxy {
    let path = path.to_str().expect("a path in UTF-8");
    Proxy::start(&[&[("unix.path", path)], options].concat())
}

const COMMON: [&str; 6] = ["--silent", "--show-error", "--insecure", "--max-time", "50", "--unix-socket"];

fn curl(path: &Path, arguments: &[&str]) -> Ran {
    let path = path.display().to_string();
    run("curl", &[&COMMON[..], &[path.as_str()], arguments].concat())
}

#[test]
fn files_come_and_go() {
    if !have(NEEDED) {
        return;
    }
    let ((_folder, path), nginx) = (place(), Nginx::start());
    let _proxy = proxy(&path, &[]);
    for name in ["small", "big"] {
        assert!(curl(&path, &[&nginx.url(&format!("/{name}"))]).content().out == nginx.content(name), "{name}");
    }
    let body = nginx.file("big").display().to_string();
    curl(&path, &["--upload-file", &body, &nginx.url("/put/unix")]).content();
    assert!(nginx.content("put/unix") == nginx.content("big"), "the upload arrived whole");
}

/// curl sends no CONNECT on a Unix socket.
const TLS: &str = "
import socket, ssl, sys
path, port = sys.argv[1:]
plain = socket.socket(socket.AF_UNIX)
plain.connect(path)
plain.sendall(f'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n'.encode())
head = b''
while not head.endswith(b'\\r\\n\\r\\n'):
    head += plain.recv(1)
assert head.startswith(b'HTTP/1.1 200 '), head
tunnel = ssl._create_unverified_context().wrap_socket(plain)
tunnel.sendall(b'GET /big HTTP/1.0\\r\\n\\r\\n')
answer = b''.join(iter(lambda: tunnel.recv(65536), b''))
sys.stdout.buffer.write(answer.split(b'\\r\\n\\r\\n', 1)[1])
";

#[test]
fn tls_goes_through_a_tunnel() {
    if !have(NEEDED) || !have(&["python3"]) {
        return;
    }
    let ((_folder, path), nginx) = (place(), Nginx::start());
    let _proxy = proxy(&path, &[]);
    let ran = run("python3", &["-c", TLS, &path.display().to_string(), &nginx.tls.to_string()]).content();
    assert!(ran.out == nginx.content("big"), "{} bytes", ran.out.len());
}

#[test]
fn users_are_told_apart() {
    if !have(NEEDED) {
        return;
    }
    if !superuser() {
        return skip("other users need the superuser");
    }
    let ((_folder, path), nginx) = (place(), Nginx::start());
    let rule = format!("uid:{OTHER}");
    let proxy = proxy(&path, &[("acl.clients", &rule), ("unix.mode", "666"), ("usage.enable", "true")]);
    let own = curl(&path, &["--write-out", "%{http_code}", "--output", "/dev/null", &nginx.url("/small")]);
    assert_eq!(own.content().text(), "403");
    let as_other = || {
        let mut other = command("curl");
        let ran = other.args(COMMON).arg(&path).arg(nginx.url("/small")).uid(OTHER).gid(OTHER).output();
        ran.expect("curl runs")
    };
    let ran = as_other();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "a small file\n", "{}", String::from_utf8_lossy(&ran.stderr));
    proxy.wait_line(&format!(" uid:{OTHER} GET "));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("root may");
    assert!(!as_other().status.success(), "the file says who may connect");
}

#[test]
fn a_process_without_a_network_reaches_an_origin() {
    if !have(NEEDED) || !have(&["unshare"]) {
        return;
    }
    let ((_folder, path), nginx) = (place(), Nginx::start());
    let _proxy = proxy(&path, &[("unix.mode", "666")]);
    let without = |arguments: &[&str]| {
        let curl = find("curl").expect("it was there").display().to_string();
        let all = [&["--user", "--map-root-user", "--net", curl.as_str()], arguments].concat();
        run("unshare", &all)
    };
    if without(&["--version"]).code != Some(0) {
        return skip("this machine lets no process have a network of its own");
    }
    let url = nginx.url("/small");
    let alone = without(&["--silent", "--max-time", "5", &url]);
    assert!(alone.code != Some(0) && alone.out.is_empty(), "it has no network");
    let socket = path.display().to_string();
    let ran = without(&[&COMMON[..], &[socket.as_str(), url.as_str()]].concat());
    assert_eq!(ran.content().text(), "a small file\n");
}

#[test]
fn haproxy_hands_clients_on_by_the_socket() {
    if !have(NEEDED) || !have(&["haproxy"]) {
        return;
    }
    let ((folder, path), nginx) = (place(), Nginx::start());
    let proxy = proxy(&path, &[("tcp4.listen", "false"), ("http.proxied", "true"), ("usage.enable", "true")]);
    let (port, file) = (ports::next(), folder.path().join("haproxy.cfg"));
    let text = format!(
        "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n\
         listen front\n  bind 127.0.0.1:{port}\n  server exaproxy unix@{} send-proxy-v2\n",
        path.display()
    );
    std::fs::write(&file, text).expect("a configuration file");
    let mut haproxy = command("haproxy");
    haproxy.arg("-db").arg("-f").arg(&file);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let _server = Server::start(haproxy, folder.path().join("output"), at);
    let front = format!("http://127.0.0.1:{port}");
    let ran = eventually("an answer by way of both", || {
        let ran = run("curl", &["--silent", "--max-time", "50", "--proxy", &front, &nginx.url("/small")]);
        (ran.code == Some(0)).then_some(ran)
    });
    assert_eq!(ran.text(), "a small file\n");
    proxy.wait_line(" 127.0.0.1 GET ");
}

//! Parents as people have them: a second copy of the program, Squid and tinyproxy, with and without a password, in front of
//! nginx, asked with curl.

use crate::programs::{command, have, run};
use crate::servers::nginx::Nginx;
use crate::servers::Server;
use crate::support::{ports, superuser, Proxy};
use std::net::{Ipv4Addr, SocketAddr};

/// What the parents are told.
const LOGIN: &str = "branch:se cret";

/// A parent that runs in a folder of its own.
struct Running {
    _server: Server,
    folder: tempfile::TempDir,
    at: SocketAddr,
}

/// A folder that the account of a server may write to.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("a folder of ours");
    folder
}

fn squid(login: bool) -> Running {
    let (folder, port) = (open_folder(), ports::next());
    let own = folder.path().display().to_string();
    std::fs::write(folder.path().join("users"), "").expect("a file");
    let rules = match login {
        true => {
            let (user, password) = LOGIN.split_once(':').expect("a login");
            let file = format!("{own}/users");
            run("htpasswd", &["-bcm", &file, user, password]).content();
            format!(
                "auth_param basic program /usr/lib/squid/basic_ncsa_auth {file}\nacl known proxy_auth REQUIRED\n\
                 http_access allow known\nhttp_access deny all\n"
            )
        }
        false => "http_access allow all\n".to_owned(),
    };
    let text = format!(
        "http_port 127.0.0.1:{port}\n{rules}cache deny all\npid_filename {own}/pid\naccess_log stdio:{own}/access\n\
         cache_log {own}/log\ncoredump_dir {own}\nvisible_hostname parent.test\npinger_enable off\n\
         shutdown_lifetime 0 seconds\n"
    );
    let file = folder.path().join("squid.conf");
    std::fs::write(&file, text).expect("a configuration");
    let mut squid = command("squid");
    squid.arg("-N").arg("-f").arg(&file);
    start(squid, folder, port)
}

fn tinyproxy(login: bool) -> Running {
    let (folder, port) = (open_folder(), ports::next());
    let own = folder.path().display().to_string();
    let (user, password) = LOGIN.split_once(':').expect("a login");
    // It reads no blanks in a password.
    let rule = if login { format!("BasicAuth {user} {}\n", password.replace(' ', "")) } else { String::new() };
    let text = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nAllow 127.0.0.1\nLogFile \"{own}/log\"\n\
         PidFile \"{own}/pid\"\nViaProxyName \"parent.test\"\n{rule}"
    );
    let file = folder.path().join("tinyproxy.conf");
    std::fs::write(&file, text).expect("a configuration");
    let mut tinyproxy = command("tinyproxy");
    tinyproxy.arg("-d").arg("-c").arg(&file);
    start(tinyproxy, folder, port)
}

fn start(command: std::process::Command, folder: tempfile::TempDir, port: u16) -> Running {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let server = Server::start(command, folder.path().join("output"), at);
    Running { _server: server, folder, at }
}

/// A proxy in front of a parent, with this login if any.
fn child(parent: SocketAddr, login: Option<&str>) -> Proxy {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("auth");
    std::fs::write(&file, login.unwrap_or_default()).expect("a file");
    let (at, file) = (parent.to_string(), file.display().to_string());
    Proxy::start(&[("parent.proxy", &at), ("parent.auth-file", &file)])
}

/// What a branch office does all day.
fn use_all(child: &Proxy, nginx: &Nginx, what: &str) {
    let address = format!("http://{}", child.address());
    let curl = |arguments: &[&str]| {
        let mut all = vec!["-sS", "-g", "-k", "-m", "50", "--proxy", &address];
        all.extend(arguments);
        run("curl", &all)
    };
    for url in [nginx.url("/small"), nginx.tls_url("/small")] {
        assert_eq!(curl(&[&url]).content().text(), "a small file\n", "{what} {url}");
    }
    for url in [nginx.url("/big"), nginx.tls_url("/big")] {
        assert!(curl(&[&url]).content().out == nginx.content("big"), "{what} {url}: other bytes");
    }
    let twenty: Vec<String> = (0..20).map(|page| nginx.url(&format!("/tree/deep/{page}.html"))).collect();
    let twenty: Vec<&str> = twenty.iter().map(String::as_str).collect();
    let pages = curl(&twenty).content().text();
    assert!((0..20).all(|page| pages.contains(&format!("page {page}\n"))), "{what}");
    // A large one that comes as fast as the proxy sends it Squid 5.7 drops now and then, from any client.
    let file = nginx.file("text.txt").display().to_string();
    let name = format!("put/{}", what.replace(' ', "-"));
    let put = curl(&["-i", "-H", "Expect:", "--upload-file", &file, &nginx.url(&format!("/{name}"))]).content();
    assert!(put.text().starts_with("HTTP/1.1 201 "), "{what}: {}", put.text());
    assert!(nginx.content(&name) == nginx.content("text.txt"), "{what}: another file arrived");
    assert_eq!(
        curl(&["-o", "/dev/null", "-w", "%{http_code}", &nginx.url("/nothing")]).content().text(),
        "404",
        "{what}"
    );
}

/// Whether every request that nginx saw in the clear names both proxies.
fn assert_named(nginx: &Nginx, parent: &str) {
    let log = nginx.log();
    let plain = log.iter().filter(|line| line.contains("1.1 ExaProxy-")).count();
    let both = log.iter().filter(|line| line.contains("1.1 ExaProxy-") && line.contains(parent)).count();
    assert!(plain > 0 && plain == both, "{plain} and {both} with {parent}: {log:#?}");
}

const NEEDED: [&str; 4] = ["curl", "nginx", "openssl", "timeout"];

#[test]
fn a_second_copy_as_parent() {
    if !have(&NEEDED) {
        return;
    }
    let (nginx, folder) = (Nginx::start(), tempfile::tempdir().expect("a temporary folder"));
    let users = folder.path().join("users");
    std::fs::write(&users, format!("{LOGIN}\n")).expect("a file of users");
    let users = users.display().to_string();
    let parent = Proxy::start(&[("auth.enable", "true"), ("auth.users", &users), ("http.via", "parent.test")]);
    let front = child(parent.address(), Some(LOGIN));
    use_all(&front, &nginx, "a second copy");
    assert_named(&nginx, "parent.test");
    let stranger = child(parent.address(), Some("branch:wrong"));
    let address = format!("http://{}", stranger.address());
    let ran = run(
        "curl",
        &["-sS", "-m", "30", "-w", "%{http_code}", "-o", "/dev/null", "--proxy", &address, &nginx.url("/small")],
    );
    assert_eq!(ran.content().text(), "502");
}

#[test]
fn squid_as_parent() {
    let mut needed = NEEDED.to_vec();
    needed.extend(["squid", "htpasswd"]);
    // Its account cannot be changed to without.
    if !superuser() || !have(&needed) {
        return;
    }
    for login in [false, true] {
        let (nginx, parent) = (Nginx::start(), squid(login));
        let front = child(parent.at, login.then_some(LOGIN));
        use_all(&front, &nginx, &format!("squid {login}"));
        assert_named(&nginx, "parent.test");
        let access = std::fs::read_to_string(parent.folder.path().join("access")).unwrap_or_default();
        assert!(access.contains("CONNECT 127.0.0.1:"), "{access}");
    }
}

#[test]
fn tinyproxy_as_parent() {
    let mut needed = NEEDED.to_vec();
    needed.push("tinyproxy");
    if !have(&needed) {
        return;
    }
    for login in [false, true] {
        let (nginx, parent) = (Nginx::start(), tinyproxy(login));
        let own = LOGIN.replace(' ', "");
        let front = child(parent.at, login.then_some(own.as_str()));
        use_all(&front, &nginx, &format!("tinyproxy {login}"));
        assert_named(&nginx, "parent.test");
    }
}

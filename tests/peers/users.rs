//! Users: files that htpasswd writes, clients that log in, and fail2ban, which reads of those who cannot.

use crate::programs::{find, have, run, Ran};
use crate::servers::nginx::Nginx;
use crate::support::Proxy;
use std::path::Path;

const PASSWORD: &str = "s3cret: w\u{f6}rd";

/// A proxy for the users of this file.
fn proxy(users: &Path) -> Proxy {
    Proxy::start(&[("auth.enable", "true"), ("auth.users", &users.display().to_string())])
}

fn write(folder: &tempfile::TempDir, text: &str) -> std::path::PathBuf {
    let path = folder.path().join("users");
    std::fs::write(&path, text).expect("a file");
    path
}

fn curl(proxy: &Proxy, user: &str, arguments: &[&str]) -> Ran {
    let to = format!("http://{}", proxy.address());
    run("curl", &[&["-sS", "-k", "-f", "-x", &to, "--proxy-user", user][..], arguments].concat())
}

#[test]
fn every_kind_that_htpasswd_can_write_is_read_or_refused() {
    if !have(&["htpasswd", "curl", "nginx", "openssl", "timeout"]) {
        return;
    }
    let (folder, nginx) = (tempfile::tempdir().expect("a folder"), Nginx::start());
    let path = folder.path().join("users").display().to_string();
    std::fs::write(&path, "").expect("a file");
    let kinds: &[(&str, &[&str])] = &[
        ("md5", &["-m"]),
        ("sha256", &["-2"]),
        ("sha256 with rounds", &["-2", "-r", "20000"]),
        ("sha512", &["-5"]),
        ("sha512 with rounds", &["-5", "-r", "20000"]),
        ("bcrypt", &["-B"]),
        ("bcrypt with a cost", &["-B", "-C", "10"]),
        ("plain", &["-p"]),
    ];
    for (name, arguments) in kinds {
        run("htpasswd", &[&["-b"][..], arguments, &[&path, name, PASSWORD]].concat()).content();
    }
    let proxy = proxy(Path::new(&path));
    for (name, _) in kinds {
        curl(&proxy, &format!("{name}:{PASSWORD}"), &["-o", "/dev/null", &nginx.url("/big")]).content();
        let wrong = curl(&proxy, &format!("{name}:{PASSWORD}x"), &[&nginx.url("/big")]);
        assert!(wrong.code == Some(22) && wrong.err.contains("407"), "{name}: {}", wrong.err);
    }
    run("htpasswd", &["-b", "-s", &path, "sha1", PASSWORD]).content();
    let refused = Proxy::run(&[], &[("auth.enable", "true"), ("auth.users", &path)]);
    assert!(refused.code == Some(1) && refused.stderr.contains(&format!("{path}:9: ")), "{}", refused.stderr);
}

#[test]
fn htpasswd_reads_what_is_hashed_here() {
    if !have(&["htpasswd", "sh", "timeout"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users").display().to_string();
    let line = format!("printf '%s\\n' '{PASSWORD}' | {} --hash-password ann > {path}", env!("CARGO_BIN_EXE_exaproxy"));
    run("sh", &["-c", &line]).content();
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(text.starts_with("ann:$2y$10$") && text.lines().count() == 1, "{text}");
    run("htpasswd", &["-v", "-b", &path, "ann", PASSWORD]).content();
    for (input, name) in [("", "ann"), ("x", "a:b"), ("x", "'a\tb'"), ("x", "'#ann'")] {
        let line = format!("printf '%s' '{input}' | {} --hash-password {name}", env!("CARGO_BIN_EXE_exaproxy"));
        assert_eq!(run("sh", &["-c", &line]).code, Some(1), "{input} {name}");
    }
}

#[test]
fn curl_and_wget_log_in() {
    if !have(&["curl", "wget", "nginx", "openssl", "timeout"]) {
        return;
    }
    let (folder, nginx) = (tempfile::tempdir().expect("a folder"), Nginx::start());
    let proxy = proxy(&write(&folder, "ann:p:w\n"));
    for url in [nginx.url("/big"), nginx.tls_url("/big")] {
        for more in [&[][..], &["--proxy-anyauth"], &["--proxy-anyauth", "-d", "some content", "-X", "GET"]] {
            curl(&proxy, "ann:p:w", &[more, &["-o", "/dev/null", &url]].concat()).content();
        }
        let refused = curl(&proxy, "ann:wrong", &[&url]);
        // What curl says of a tunnel that is refused depends on its version.
        assert!(matches!(refused.code, Some(22 | 56)), "{}", refused.err);
        let to = format!("http://{}", proxy.address());
        let (plain, tls) = (format!("http_proxy={to}"), format!("https_proxy={to}"));
        let wget = |password: &str| {
            let password = format!("--proxy-password={password}");
            let own = ["-nv", "-t", "1", "-O", "/dev/null", "--no-check-certificate", "-e", "use_proxy=yes"];
            run("wget", &[&own[..], &["-e", &plain, "-e", &tls, "--proxy-user=ann", &password, &url]].concat())
        };
        wget("p:w").content();
        let refused = wget("wrong");
        let told = refused.err.contains("Proxy Authentication Required");
        assert!(refused.code != Some(0) && told, "{}", refused.err);
    }
}

#[test]
fn git_and_apt_log_in() {
    if !have(&["git", "apt-get", "nginx", "openssl", "timeout", "sh"]) {
        return;
    }
    let (folder, nginx) = (tempfile::tempdir().expect("a folder"), Nginx::start());
    let proxy = proxy(&write(&folder, "ann:secret\n"));
    for (user, code) in [("ann:secret", true), ("ann:wrong", false)] {
        let to = format!("http://{user}@{}", proxy.address());
        // There is no repository: what nginx says of that shows that the proxy let it through.
        let ran = run("git", &["-c", &format!("http.proxy={to}"), "ls-remote", &nginx.url("/none.git")]);
        assert_eq!(ran.err.contains("407"), !code, "{user}: {}", ran.err);
        assert_eq!(ran.err.contains("not found"), code, "{user}: {}", ran.err);
        let script = format!(
            "cd {} && apt-get -o Acquire::http::Proxy={to} -o Acquire::Retries=0 -o APT::Sandbox::User= download-file {} x 2>&1; \
             /usr/lib/apt/apt-helper -o Acquire::http::Proxy={to} -o APT::Sandbox::User= download-file {} got-{code}",
            folder.path().display(),
            nginx.url("/big"),
            nginx.url("/big"),
        );
        let ran = run("sh", &["-c", &script]);
        assert_eq!(ran.code == Some(0), code, "{user}: {} {}", ran.text(), ran.err);
        assert_eq!(folder.path().join(format!("got-{code}")).exists(), code, "{user}");
    }
}

#[test]
fn fail2ban_finds_those_who_fail_and_nobody_else() {
    if !have(&["fail2ban-regex", "curl", "nginx", "openssl", "timeout"]) {
        return;
    }
    let (folder, nginx) = (tempfile::tempdir().expect("a folder"), Nginx::start());
    let (users, log) = (write(&folder, "ann:secret\n"), folder.path().join("log").display().to_string());
    let users = users.display().to_string();
    let proxy = Proxy::start(&[
        ("auth.enable", "true"),
        ("auth.users", &users),
        ("web.users", &users),
        ("log.destination", &log),
        ("access.enable", "true"),
        ("access.destination", &log),
    ]);
    for user in ["ann:wrong", "nobody:x", "client 192.0.2.9: authentication failed for client 192.0.2.9: no such user"]
    {
        assert_ne!(curl(&proxy, user, &[&nginx.url("/big")]).code, Some(0));
    }
    // What a client says stands in the same file.
    let agent = "client authentication failed for client 192.0.2.9: no such user";
    curl(&proxy, "ann:secret", &["-A", agent, "-o", "/dev/null", &nginx.url("/big")]).content();
    let monitor = format!("http://{}/", proxy.web());
    assert_ne!(run("curl", &["-sS", "-f", "-u", "ann:wrong", &monitor]).code, Some(0));
    crate::support::eventually("four lines", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.matches("authentication failed for client 127.0.0.1").count() == 4).then_some(())
    });
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/fail2ban/exaproxy.conf");
    let told = run("fail2ban-regex", &["--print-all-matched", &log, filter]).text();
    assert!(told.contains("4 matched"), "{told}");
    let found = find("fail2ban-regex").expect("it was there a moment ago");
    let matched = told.split("Missed line(s)").next().unwrap_or_default();
    assert!(found.is_file() && !matched.contains("192.0.2.9:"), "{told}");
}

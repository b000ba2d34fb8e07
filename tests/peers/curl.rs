//! curl in front, nginx behind: every way that scripts and people use curl through a proxy.

use crate::programs::{have, run, Ran};
use crate::servers::nginx::{Nginx, BIG};
use crate::support::{pattern, Proxy};

const NEEDED: &[&str] = &["curl", "nginx", "openssl", "timeout"];

/// curl through the proxy.
fn curl(proxy: &Proxy, arguments: &[&str]) -> Ran {
    let address = format!("http://{}", proxy.address());
    let mut all = vec!["--silent", "--show-error", "--globoff", "--insecure", "--max-time", "50", "--proxy", &address];
    all.extend(arguments);
    run("curl", &all)
}

/// A peer of each side, or None where one is missing.
fn both(options: &[(&str, &str)]) -> Option<(Proxy, Nginx)> {
    have(NEEDED).then(|| (Proxy::start(options), Nginx::start()))
}

#[test]
fn small_files_over_both_families() {
    let Some((proxy, nginx)) = both(&[("tcp6.listen", "true"), ("dns.fqdn", "false")]) else { return };
    for front in ["127.0.0.1", "[::1]"] {
        for back in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
            let (front, url) =
                (format!("http://{front}:{}", proxy.port()), format!("http://{back}:{}/small", nginx.port));
            let ran = run("curl", &["-sS", "-g", "-m", "30", "--proxy", &front, &url]).content();
            assert_eq!(ran.text(), "a small file\n", "{front} {url}");
        }
    }
}

#[test]
fn large_files_arrive_whole() {
    let Some((proxy, nginx)) = both(&[]) else { return };
    for url in [nginx.url("/big"), nginx.tls_url("/big")] {
        let ran = curl(&proxy, &[&url]).content();
        assert!(ran.out == nginx.content("big"), "{url}: {} of {BIG} bytes, or other ones", ran.out.len());
    }
}

#[test]
fn ranges_heads_and_conditions() {
    let Some((proxy, nginx)) = both(&[]) else { return };
    let big = nginx.url("/big");
    let part = curl(&proxy, &["--range", "1000-250999", &big]).content();
    assert!(part.out == nginx.content("big")[1000..251_000], "{} bytes of 250000", part.out.len());
    let head = curl(&proxy, &["--head", &big]).content().text();
    assert!(head.contains(&format!("Content-Length: {BIG}\r\n")), "{head}");
    let same = nginx.file("big").display().to_string();
    let newer = ["--time-cond", &same, "--output", "/dev/null", "--write-out", "%{http_code}", &big];
    assert_eq!(curl(&proxy, &newer).content().text(), "304");
    let followed = curl(&proxy, &["--location", &nginx.url("/moved")]).content();
    assert_eq!(followed.text(), "a small file\n");
}

/// nginx compresses on the fly and so does not know the length: chunks for 1.1, the end of the connection for 1.0.
#[test]
fn compressed_bodies_come_in_chunks() {
    let Some((proxy, nginx)) = both(&[]) else { return };
    for version in ["--http1.1", "--http1.0"] {
        let ran = curl(&proxy, &[version, "--compressed", &nginx.url("/text.txt")]).content();
        assert!(ran.out == nginx.content("text.txt"), "{version}: {} bytes", ran.out.len());
    }
    let raw =
        curl(&proxy, &["--include", "--raw", "--header", "Accept-Encoding: gzip", &nginx.url("/text.txt")]).content();
    let shown = String::from_utf8_lossy(&raw.out[..600.min(raw.out.len())]).to_lowercase();
    assert!(shown.contains("transfer-encoding: chunked\r\n"), "{shown}");
}

#[test]
fn uploads_with_and_without_a_length() {
    let Some((proxy, nginx)) = both(&[]) else { return };
    let body = pattern(BIG, 11);
    let file = proxy.folder().join("upload");
    std::fs::write(&file, &body).expect("a file to send");
    let file = file.display().to_string();
    let ways: [&[&str]; 5] = [
        &[],
        &["--header", "Expect: 100-continue"],
        &["--header", "Expect:"],
        &["--header", "Transfer-Encoding: chunked"],
        &["--http1.0"],
    ];
    for (number, way) in ways.iter().enumerate() {
        let (name, code) = (format!("put/{number}"), "%{http_code}");
        let url = nginx.url(&format!("/{name}"));
        let arguments = [*way, &["--upload-file", &file, "--write-out", code, &url]].concat();
        let ran = curl(&proxy, &arguments).content();
        assert_eq!(ran.text(), "201", "{way:?}: {}", ran.err);
        assert!(nginx.content(&name) == body, "{way:?}: another file arrived");
    }
}

#[test]
fn one_client_connection_carries_many_requests() {
    let Some((proxy, nginx)) = both(&[]) else { return };
    let urls: Vec<String> = (0..20).map(|page| nginx.url(&format!("/tree/deep/{page}.html"))).collect();
    let mut arguments = vec!["--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n"];
    for (at, url) in urls.iter().enumerate() {
        if at > 0 {
            arguments.extend(["--output", "/dev/null"]);
        }
        arguments.push(url);
    }
    let said = curl(&proxy, &arguments).content().text();
    assert_eq!(said, format!("200 1\n{}", "200 0\n".repeat(19)));
}

#[test]
fn many_transfers_side_by_side() {
    let Some((proxy, nginx)) = both(&[]) else { return };
    let folder = proxy.folder().join("parallel");
    std::fs::create_dir(&folder).expect("a folder for downloads");
    let mut arguments: Vec<String> = ["--parallel", "--parallel-max", "40", "--fail"].map(String::from).to_vec();
    for number in 0..80 {
        let url = if number % 2 == 0 { nginx.url("/text.txt") } else { nginx.tls_url("/text.txt") };
        arguments.extend(["--output".into(), folder.join(number.to_string()).display().to_string(), url]);
    }
    curl(&proxy, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).content();
    for number in 0..80 {
        let got = std::fs::read(folder.join(number.to_string())).expect("a downloaded file");
        assert!(got == nginx.content("text.txt"), "download {number}: {} bytes", got.len());
    }
}

#[test]
fn plain_http_through_a_tunnel() {
    let Some((proxy, nginx)) = both(&[]) else { return };
    let ran = curl(&proxy, &["--proxytunnel", &nginx.url("/small")]).content();
    assert_eq!(ran.text(), "a small file\n");
}

/// What goes wrong shows as a status with a page, and in a tunnel as the status of the CONNECT.
#[test]
fn failures_have_a_status() {
    let Some((proxy, nginx)) = both(&[("security.connect", "443")]) else { return };
    let refused = format!("http://127.0.0.1:{}/", crate::support::ports::next());
    let plain = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    for (url, status) in [(refused.as_str(), "502"), ("http://host.invalid/", "502")] {
        assert_eq!(curl(&proxy, &[&plain[..], &[url]].concat()).content().text(), status, "{url}");
    }
    let tunnel = ["--output", "/dev/null", "--write-out", "%{http_connect}"];
    for (url, status) in [(nginx.tls_url("/small").as_str(), "403"), ("https://host.invalid/", "502")] {
        assert_eq!(curl(&proxy, &[&tunnel[..], &[url]].concat()).text(), status, "{url}");
    }
    assert_eq!(curl(&proxy, &[&nginx.url("/small")]).content().text(), "a small file\n");
}

//! wget in front, nginx behind: a whole tree, a broken-off download that goes on, and a tunnel.

use crate::programs::{have, run};
use crate::servers::nginx::Nginx;
use crate::support::Proxy;

const NEEDED: &[&str] = &["wget", "nginx", "openssl", "timeout"];

fn wget(proxy: &Proxy, arguments: &[&str]) {
    let (http, https) = (format!("http_proxy={}", proxy.address()), format!("https_proxy={}", proxy.address()));
    let mut all =
        vec!["-nv", "-T", "20", "-t", "2", "--no-check-certificate", "-e", "use_proxy=yes", "-e", &http, "-e", &https];
    all.extend(arguments);
    run("wget", &all).content();
}

#[test]
fn a_tree_of_pages() {
    if !have(NEEDED) {
        return;
    }
    let (proxy, nginx) = (Proxy::start(&[]), Nginx::start());
    let into = proxy.folder().join("mirror").display().to_string();
    wget(
        &proxy,
        &["--recursive", "--no-host-directories", "--directory-prefix", &into, &nginx.url("/tree/index.html")],
    );
    for page in 0..20 {
        let name = format!("tree/deep/{page}.html");
        let got = std::fs::read(format!("{into}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(got == nginx.content(&name), "{name}: {} bytes", got.len());
    }
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    if !have(NEEDED) {
        return;
    }
    let (proxy, nginx) = (Proxy::start(&[]), Nginx::start());
    let (file, whole) = (proxy.folder().join("big"), nginx.content("big"));
    for url in [nginx.url("/big"), nginx.tls_url("/big")] {
        std::fs::write(&file, &whole[..whole.len() / 3]).expect("the first part of a file");
        wget(&proxy, &["--continue", "--output-document", &file.display().to_string(), &url]);
        assert!(std::fs::read(&file).expect("the file") == whole, "{url}: another file arrived");
    }
}

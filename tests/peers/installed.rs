//! What `make install` puts where, and that `make uninstall` takes it away but for what was changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::programs::{have, run, Ran};

/// Runs make with this target, in a root of its own, with the program that is there already in place of a build.
fn make(target: &str, root: &Path, built: &Path) -> Ran {
    let words = [
        "--no-print-directory".to_owned(),
        "-C".to_owned(),
        env!("CARGO_MANIFEST_DIR").to_owned(),
        target.to_owned(),
        "CARGO=true".to_owned(),
        format!("CARGO_TARGET_DIR={}", built.display()),
        "PREFIX=/usr".to_owned(),
        format!("DESTDIR={}", root.display()),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run("make", &words)
}

/// All files below a folder, by their paths from there.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(folder).expect("it is below").to_owned())),
            }
        }
    }
    found
}

#[test]
fn what_was_installed_can_be_taken_away() {
    if !have(&["make", "timeout"]) {
        return;
    }
    let (root, built) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::fs::create_dir(built.path().join("release")).expect("a folder");
    std::fs::copy(env!("CARGO_BIN_EXE_exaproxy"), built.path().join("release/exaproxy")).expect("the program");
    make("install", root.path(), built.path()).content();
    let installed = files(root.path());
    for wanted in [
        "usr/sbin/exaproxy",
        "usr/share/man/man8/exaproxy.8",
        "usr/share/man/man5/exaproxy.conf.5",
        "usr/share/bash-completion/completions/exaproxy",
        "usr/share/zsh/site-functions/_exaproxy",
        "usr/share/fish/vendor_completions.d/exaproxy.fish",
        "usr/share/exaproxy/grafana/exaproxy.json",
        "usr/share/exaproxy/prometheus/alerts.yml",
        "usr/share/exaproxy/haproxy/tls.cfg",
        "usr/share/exaproxy/logrotate/exaproxy",
        "usr/share/exaproxy/redirector/url-clean.rs",
        "usr/share/doc/exaproxy/docs/access-log.schema.json",
        "usr/share/doc/exaproxy/docs/monitor.png",
        "etc/exaproxy/exaproxy.conf",
        "etc/exaproxy/html/deny.html",
        "etc/exaproxy/redirector/url-allow",
    ] {
        assert!(installed.contains(Path::new(wanted)), "{wanted} is not in {installed:#?}");
    }
    let program = std::fs::read(root.path().join("usr/sbin/exaproxy")).expect("the program");
    assert!(!program.windows(8).any(|part| part == b".symtab\0"), "it has its symbols still");
    let inside = |name: &str| root.path().join(name);
    let read = |name: &str| std::fs::read_to_string(inside(name)).expect("it is there");
    let own = "usr/share/exaproxy/own.list";
    std::fs::write(inside("etc/exaproxy/redirector/url-deny"), "#!/bin/sh\n").expect("a helper that was changed");
    std::fs::write(inside("etc/exaproxy/html/deny.html"), "No.").expect("a page that was changed");
    std::fs::write(inside(own), "example.org\n").expect("a file of another's");
    std::fs::create_dir(inside("etc/exaproxy/lists")).expect("an empty folder of another's");
    // What an older version left, and was not changed since.
    let page = read("etc/exaproxy/html/dns.html");
    for folder in ["etc/exaproxy", "usr/share/exaproxy"] {
        std::fs::write(inside(folder).join("html/dns.html"), "older").expect("a page");
    }
    make("install", root.path(), built.path()).content();
    assert_eq!(read("etc/exaproxy/redirector/url-deny"), "#!/bin/sh\n", "what was changed stays");
    assert_eq!(read("etc/exaproxy/html/deny.html"), "No.", "what was changed stays");
    assert_eq!(read("etc/exaproxy/html/dns.html"), page, "what was not is the new one");
    make("uninstall", root.path(), built.path()).content();
    let left = ["etc/exaproxy/redirector/url-deny", "etc/exaproxy/html/deny.html", own].map(PathBuf::from);
    assert_eq!(files(root.path()), left.into_iter().collect(), "what is not ours as we put it there, and nothing else");
    assert!(inside("etc/exaproxy/lists").exists(), "what is not ours stays, empty or not");
    assert!(
        !["usr/share/doc/exaproxy", "usr/share/exaproxy/examples"].iter().any(|name| inside(name).exists()),
        "ours goes"
    );
}

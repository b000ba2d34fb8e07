//! The Debian package: made of the program that is there, looked at by lintian, and installed, started, upgraded, removed.

use std::path::{Path, PathBuf};

use crate::programs::{have, run};
use crate::support::{skip, superuser};

/// Makes the packages of this version: the program, and its debug symbols.
fn packages(built: &Path, version: &str) -> [PathBuf; 2] {
    let words = [
        "--no-print-directory".to_owned(),
        format!("--directory={}", env!("CARGO_MANIFEST_DIR")),
        "deb".to_owned(),
        "CARGO=true".to_owned(),
        format!("CARGO_TARGET_DIR={}", built.display()),
        format!("DEB_VERSION={version}"),
        // Packed quickly, not well.
        "DPKG_DEB_COMPRESSOR_TYPE=gzip".to_owned(),
        "DPKG_DEB_COMPRESSOR_LEVEL=1".to_owned(),
    ];
    run("make", &words.each_ref().map(String::as_str)).content();
    let file = |end: &str| built.join(format!("debian/exaproxy{end}_{version}_{}.deb", architecture()));
    [file(""), file("-dbgsym")]
}

fn architecture() -> String {
    run("dpkg", &["--print-architecture"]).content().text().trim().to_owned()
}

#[test]
fn the_package_is_installed_started_upgraded_and_removed() {
    if !have(&["make", "timeout", "dh", "fakeroot", "strip", "lintian", "dpkg", "unshare", "ip", "curl", "logrotate"]) {
        return;
    }
    if !superuser() {
        return skip("a package is installed by the superuser");
    }
    let (built, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::fs::create_dir(built.path().join("release")).expect("a folder");
    // Debug symbols of a build for tests take longer to pack than all the rest; the names of functions are enough here.
    let program = built.path().join("release/exaproxy");
    let program = program.to_str().expect("a path of text");
    run("strip", &["--strip-debug", "-o", program, env!("CARGO_BIN_EXE_exaproxy")]).content();
    let [old, symbols] = packages(built.path(), "1.0-1");
    let [new, _] = packages(built.path(), "1.1-1");
    let files = [&old, &symbols].map(|file| file.to_str().expect("a path of text"));
    let found = run("lintian", &files);
    assert_eq!(found.code, Some(0), "{}", found.text());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/package.sh");
    let mut words = vec!["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", script];
    words.extend([folder.path(), &old, &new].map(|path| path.to_str().expect("a path of text")));
    let ran = run("unshare", &words);
    match ran.code {
        Some(99) => skip(&format!("no copy of the machine can be laid over it: {}", ran.err)),
        code => assert_eq!((code, ran.text().ends_with("ALL DONE\n")), (Some(0), true), "{}{}", ran.text(), ran.err),
    }
}

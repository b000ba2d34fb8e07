//! The image that the Containerfile describes, and its static program, without an engine for containers.

use std::path::{Path, PathBuf};

use crate::programs::{have, run};
use crate::support::{skip, superuser};

/// What `make static` has built; none that is older than its sources.
fn program() -> Option<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(top.join("target"), |folder| top.join(folder));
    let program = target.join("static/exaproxy");
    let path = program.to_str().expect("a path of text");
    let folders = ["src", "reactor", "dns", "Cargo.lock"].map(|name| top.join(name));
    let mut words: Vec<&str> = folders.iter().map(|folder| folder.to_str().expect("a path of text")).collect();
    words.extend(["-type", "f", "-newer", path]);
    let newer = run("find", &words);
    (newer.code == Some(0) && newer.out.is_empty()).then_some(program)
}

#[test]
fn the_image_holds_the_program_alone_and_runs() {
    if !have(&["find", "timeout", "unshare", "ip", "curl", "strace"]) {
        return;
    }
    if !superuser() {
        return skip("a root of its own takes the superuser");
    }
    let Some(program) = program() else {
        return skip("no static program of these sources: make static STATIC_PROFILE=dev");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/container.sh");
    let mut words = vec!["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", script];
    words.extend([folder.path(), &program].map(|path| path.to_str().expect("a path of text")));
    let ran = run("unshare", &words);
    assert_eq!((ran.code, ran.text().as_str()), (Some(0), "ALL DONE\n"), "{}", ran.err);
}

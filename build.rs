//! Says which commit a build is of: `EXAPROXY_VERSION` is the version, and for what is no release also what git calls it.

use std::path::Path;
use std::process::Command;

fn main() {
    let version = env("CARGO_PKG_VERSION");
    println!("cargo:rerun-if-changed=build.rs");
    // A debug build names no commit: each would have everything built again.
    let text = match env("PROFILE").as_str() {
        "release" => match described(Path::new(&env("CARGO_MANIFEST_DIR"))) {
            Some(name) if name != format!("v{version}") => format!("{version} (git {name})"),
            _ => version,
        },
        _ => format!("{version} (debug)"),
    };
    println!("cargo:rustc-env=EXAPROXY_VERSION={text}");
}

/// What git calls the sources in this folder; nothing where they came without it, as in an archive, even if that was unpacked
/// within some other repository.
fn described(folder: &Path) -> Option<String> {
    let top = git(folder, &["rev-parse", "--show-prefix"])?;
    if !top.is_empty() {
        return None;
    }
    // What changes with a commit, a tag, and a file of the program.
    for name in ["logs/HEAD", "refs/tags", "packed-refs"] {
        let path = folder.join(git(folder, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    for name in ["src", "reactor", "dns", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={name}");
    }
    git(folder, &["describe", "--tags", "--match=v[0-9]*", "--always", "--dirty"])
}

fn git(folder: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(words).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

//! Programs as peers: whether they are there, and how one is run to its end.

use crate::support::skip;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A client that runs longer than this, in seconds, is ended and has failed.
const LONGEST_RUN: &str = "120";

/// Folders of programs that are not in the search path of every account.
const SYSTEM: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether all of these are installed; says so aloud where not.
pub(crate) fn have(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    if !missing.is_empty() {
        skip(&format!("not installed: {}", missing.join(", ")));
    }
    missing.is_empty()
}

/// A command for an installed program, without proxy settings from outside.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| panic!("{program} was there a moment ago")));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

/// What a client that ran to its end did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Fails the test when the client was not content.
    pub(crate) fn content(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}\n{}", self.err, self.text().chars().take(2000).collect::<String>());
        self
    }
}

/// Runs a client to its end, within bounds.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Ran {
    run_on(program, arguments, Stdio::null())
}

/// The same, with this as its input.
pub(crate) fn run_on(program: &str, arguments: &[&str], input: Stdio) -> Ran {
    let mut bounded = command("timeout");
    let Output { status, stdout, stderr } = bounded
        .args(["-k", "5", LONGEST_RUN])
        .arg(find(program).unwrap_or_else(|| panic!("{program} was there a moment ago")))
        .args(arguments)
        .stdin(input)
        .output()
        .expect("timeout runs the client");
    Ran { code: status.code(), out: stdout, err: String::from_utf8_lossy(&stderr).into_owned() }
}

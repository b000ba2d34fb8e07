//! Whether a program can be run by this account, without running it. Knows nothing of what it is for.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{access, AccessFlags};

/// As much of the first line as Linux reads of a script (BINPRM_BUF_SIZE).
const FIRST_LINE: u64 = 256;

/// The program that looks another one up in PATH.
const ENV: &str = "env";

/// Can this account run the program, and what runs it where it is a script?
///
/// # Errors
/// Why it cannot, with the path that is to blame.
pub fn check(program: &Path) -> Result<(), String> {
    may(program, AccessFlags::X_OK)?;
    let mut line = Vec::new();
    // A program that may be run and not read is one that no interpreter runs.
    let Ok(file) = File::open(program) else { return Ok(()) };
    file.take(FIRST_LINE).read_to_end(&mut line).map_err(|error| format!("{}: {error}", program.display()))?;
    let Some(command) = line.strip_prefix(b"#!") else { return Ok(()) };
    let command = command.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = command.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(interpreter) = words.next().map(|word| Path::new(std::ffi::OsStr::from_bytes(word))) else {
        return Err(format!("{}: its first line names no interpreter", program.display()));
    };
    may(interpreter, AccessFlags::X_OK).map_err(|why| format!("{}: {why}", program.display()))?;
    let named = words.next().filter(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    match named.map(|word| Path::new(std::ffi::OsStr::from_bytes(word))) {
        Some(name) if interpreter.file_name().is_some_and(|file| file == ENV) && !is_in_path(name) => {
            Err(format!("{}: {} is in no folder of PATH", program.display(), name.display()))
        }
        _ => Ok(()),
    }
}

fn may(path: &Path, what: AccessFlags) -> Result<(), String> {
    access(path, what).map_err(|errno| format!("{}: {}", path.display(), errno.desc()))
}

/// Would a program of this name be found?
fn is_in_path(name: &Path) -> bool {
    let there = |path: PathBuf| path.is_file() && access(&path, AccessFlags::X_OK).is_ok();
    match (name.components().count(), std::env::var_os("PATH")) {
        (1, Some(folders)) => std::env::split_paths(&folders).any(|folder| there(folder.join(name))),
        // Without PATH the system has folders of its own, which are not looked into here.
        (1, None) => true,
        _ => there(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn programs_that_cannot_be_run_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        for (text, why) in [
            ("#!/bin/sh\n", None),
            ("#! /usr/bin/env  sh\n", None),
            ("#!/usr/bin/env -S sh -e\n", None),
            ("no script", None),
            ("#!/no/such/interpreter -x\n", Some("/no/such/interpreter: No such file")),
            ("#!/usr/bin/env no-such-interpreter\n", Some("no-such-interpreter is in no folder of PATH")),
            ("#! \n", Some("names no interpreter")),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            let found = check(&path).err();
            let fits = why.map_or(found.is_none(), |why| found.as_ref().is_some_and(|found| found.contains(why)));
            assert!(fits, "{text:?}: {found:?}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(check(&path).is_err_and(|why| why.contains("ermission denied")));
        assert!(check(&folder.path().join("none")).is_err());
    }
}

//! Whom a file belongs to, from the names of an option to the numbers of the system, and who may remove it. Changes nothing.

use nix::errno::Errno;
use nix::unistd::{access, AccessFlags, Group, User};
use std::path::Path;

/// May this process remove this file and make it again, as far as its folder says?
pub fn may_remove(path: &Path) -> bool {
    path.parent().is_none_or(|folder| access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}

/// The numbers of `user`, `user:group` or `:group`, each by name or number. None for what is not named.
///
/// # Errors
/// Which of them is not known here.
pub fn owner(text: &str) -> Result<(Option<u32>, Option<u32>), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let uid = |name: &str| User::from_name(name).map(|user| user.map(|user| user.uid.as_raw()));
    let gid = |name: &str| Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()));
    Ok((number("user", user, uid)?, number("group", group, gid)?))
}

fn number(what: &str, name: &str, look_up: impl Fn(&str) -> Result<Option<u32>, Errno>) -> Result<Option<u32>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    match look_up(name) {
        Ok(Some(number)) => Ok(Some(number)),
        // Without a list of accounts there is none (getpwnam(3) allows these to mean that).
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) => Err(format!("{what} {name} is not found on this system")),
        Err(errno) => Err(format!("{what} {name} could not be looked up: {}", errno.desc())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_told_apart() {
        assert_eq!(owner(""), Ok((None, None)));
        assert_eq!(owner("root"), Ok((Some(0), None)));
        assert_eq!(owner("1234567:7654321"), Ok((Some(1_234_567), Some(7_654_321))));
        assert_eq!(owner(":root"), Ok((None, Some(0))));
        for text in ["no-such-account", "root:no-such-group", "-1"] {
            assert!(owner(text).is_err_and(|error| error.contains("not found")), "{text}");
        }
    }
}

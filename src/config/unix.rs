//! Kinds of values about Unix sockets: where their files are, and who may connect. Knows neither which options exist nor where
//! their texts come from.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::paths::NewFile;
use super::place::PathContext;
use super::text::Text;
use super::value::ValueType;

/// Longest path of a socket in bytes (unix(7): `sun_path` with the byte at its end).
const MOST_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The file of a Unix socket, or nothing.
pub struct SocketPath;

impl ValueType for SocketPath {
    type Value = Option<PathBuf>;
    const QUOTED: bool = true;

    fn form() -> String {
        format!("a path of at most {MOST_BYTES} bytes, or nothing")
    }

    fn parse(text: &str, place: &PathContext) -> Option<Option<PathBuf>> {
        let path = NewFile::parse(text, place)?;
        let fits = path.as_ref().is_none_or(|path| path.as_os_str().as_bytes().len() <= MOST_BYTES);
        fits.then_some(path)
    }

    fn print(value: &Option<PathBuf>, place: &PathContext) -> String {
        NewFile::print(value, place)
    }
}

/// Permissions of a file, in octal.
pub struct SocketMode;

impl ValueType for SocketMode {
    type Value = u32;

    fn form() -> String {
        "permissions in octal, such as 660".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<u32> {
        let octal = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        octal.then(|| u32::from_str_radix(text, 8).ok())?.filter(|mode| *mode <= 0o777)
    }

    fn print(value: &u32, _: &PathContext) -> String {
        format!("{value:03o}")
    }
}

/// An account and a group, each by name or number, or nothing.
pub struct SocketOwner;

impl ValueType for SocketOwner {
    type Value = String;
    const QUOTED: bool = true;

    fn form() -> String {
        "user, user:group or :group, by name or number, or nothing".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<String> {
        let text = Text::parse(text, place)?;
        let (user, group) = text.split_once(':').map_or((text.as_str(), None), |(user, group)| (user, Some(group)));
        let named = |name: &str| !name.contains([':', '/', ' ']);
        (named(user) && group.is_none_or(|group| !group.is_empty() && named(group))).then_some(text)
    }

    fn print(value: &String, _: &PathContext) -> String {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn paths_of_sockets_are_short() {
        assert_eq!(reprint::<SocketPath>("").as_deref(), Some(""));
        assert_eq!(reprint::<SocketPath>("/run/exaproxy/proxy").as_deref(), Some("/run/exaproxy/proxy"));
        assert_eq!(reprint::<SocketPath>("proxy").as_deref(), Some("~/work/proxy"));
        let path = |bytes: usize| format!("/{}", "p".repeat(bytes - 1));
        assert!(reprint::<SocketPath>(&path(MOST_BYTES)).is_some());
        assert_eq!(reprint::<SocketPath>(&path(MOST_BYTES + 1)), None);
    }

    #[test]
    fn permissions_are_octal() {
        for (text, printed) in [("660", "660"), ("0660", "660"), ("777", "777"), ("0", "000"), ("007", "007")] {
            assert_eq!(reprint::<SocketMode>(text).as_deref(), Some(printed));
        }
        for text in ["", "668", "1660", "-660", "0o660", "rw", "66666666666666666666"] {
            assert_eq!(reprint::<SocketMode>(text), None, "{text}");
        }
    }

    #[test]
    fn owners_are_users_and_groups() {
        for text in ["", "ann", "ann:www-data", "1000:33", ":33"] {
            assert_eq!(reprint::<SocketOwner>(text).as_deref(), Some(text));
        }
        for text in ["ann:", ":", "a:b:c", "a b", "a/b", "ann:x y"] {
            assert_eq!(reprint::<SocketOwner>(text), None, "{text}");
        }
    }
}

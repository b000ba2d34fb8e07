//! Kinds of values that name files. All questions about files go through [`PathContext`]: nothing here touches the disk.

use super::place::{FileKind, PathContext};
use super::text::Text;
use super::value::ValueType;
use std::path::{Path, PathBuf};

/// The folder of pages that is looked for when `web.html` is left alone.
pub const PAGES: &str = "etc/exaproxy/html";

/// The resolver file of the system.
pub const RESOLVER: &str = "/etc/resolv.conf";

/// The file of static host names.
pub const HOSTS: &str = "/etc/hosts";

/// Where the resolver file is looked for when `dns.resolver` is left alone, below the usual places for relative paths.
const OWN_RESOLVER: &str = "etc/exaproxy/dns/resolv.conf";

/// The folder of local pages, or nothing for the pages built into the program.
pub struct Pages;

impl ValueType for Pages {
    type Value = Option<PathBuf>;
    const QUOTED: bool = true;

    fn form() -> String {
        "an existing folder".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Option<PathBuf>> {
        match place.lookup(text) {
            Some(path) => (place.files.kind(&path) == Some(FileKind::Folder)).then_some(Some(path)),
            None => (text.is_empty() || text == PAGES).then_some(None),
        }
    }

    fn print(value: &Option<PathBuf>, place: &PathContext) -> String {
        match value {
            Some(path) => place.shorten(path),
            // The default's own text means the embedded pages only as long as that folder does not exist.
            None if place.lookup(PAGES).is_some() => String::new(),
            None => PAGES.into(),
        }
    }
}

/// The resolver file.
pub struct Resolver;

impl ValueType for Resolver {
    type Value = PathBuf;
    const QUOTED: bool = true;

    fn form() -> String {
        "an existing file in the format of resolv.conf".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<PathBuf> {
        place.lookup(text).or_else(|| (text == RESOLVER).then(|| PathBuf::from(text)))
    }

    fn initial(text: &str, place: &PathContext) -> Option<PathBuf> {
        let system = [text, "/var/run/resolv.conf"].map(PathBuf::from);
        let found = place.candidates(OWN_RESOLVER).into_iter().chain(system).find(|path| names_a_server(path, place));
        Some(found.unwrap_or_else(|| PathBuf::from(text)))
    }

    fn print(value: &PathBuf, place: &PathContext) -> String {
        place.shorten(value)
    }
}

/// Whether a resolver file names a server.
fn names_a_server(path: &Path, place: &PathContext) -> bool {
    // A resolver file has a few hundred bytes; a name server that stands behind the first 64 KiB is not looked for.
    let Ok(bytes) = place.files.read(path, 64 * 1024) else { return false };
    bytes.split(|byte| *byte == b'\n').any(|line| {
        let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"nameserver"))
    })
}

/// The file of static host names, or nothing.
pub struct Hosts;

impl ValueType for Hosts {
    type Value = Option<PathBuf>;
    const QUOTED: bool = true;

    fn form() -> String {
        "an existing file in the format of /etc/hosts, or nothing".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Option<PathBuf>> {
        match place.lookup(text) {
            Some(path) => Some(Some(path)),
            None if text.is_empty() => Some(None),
            None => (text == HOSTS).then(|| Some(PathBuf::from(text))),
        }
    }

    fn print(value: &Option<PathBuf>, place: &PathContext) -> String {
        value.as_deref().map(|path| place.shorten(path)).unwrap_or_default()
    }
}

/// A file of users, or nothing.
pub struct UsersPath;

impl ValueType for UsersPath {
    type Value = Option<PathBuf>;
    const QUOTED: bool = true;

    fn form() -> String {
        "an existing file of users, or nothing".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Option<PathBuf>> {
        GivenFile::parse(text, place)
    }

    fn print(value: &Option<PathBuf>, place: &PathContext) -> String {
        GivenFile::print(value, place)
    }
}

/// A file of any kind, or nothing.
pub struct GivenFile;

impl ValueType for GivenFile {
    type Value = Option<PathBuf>;
    const QUOTED: bool = true;

    fn form() -> String {
        "an existing file, or nothing".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Option<PathBuf>> {
        match text {
            "" => Some(None),
            text => place.lookup(text).map(Some),
        }
    }

    fn print(value: &Option<PathBuf>, place: &PathContext) -> String {
        value.as_deref().map(|path| place.shorten(path)).unwrap_or_default()
    }
}

/// Files of names and networks, or folders with a file `domains`.
pub struct ListFiles;

impl ValueType for ListFiles {
    type Value = Vec<PathBuf>;
    const QUOTED: bool = true;

    fn form() -> String {
        "existing files or folders with blanks or commas between them".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Vec<PathBuf>> {
        let mut files = Vec::new();
        for word in text.split_whitespace() {
            // The name of a file may have commas.
            match place.lookup(word) {
                Some(path) => files.push(path),
                None => {
                    for part in word.split(',').filter(|part| !part.is_empty()) {
                        files.push(place.lookup(part)?);
                    }
                }
            }
        }
        (!files.is_empty() || text.trim().is_empty()).then_some(files)
    }

    fn print(value: &Vec<PathBuf>, place: &PathContext) -> String {
        value.iter().map(|path| place.shorten(path)).collect::<Vec<_>>().join(" ")
    }
}

/// A helper program and its arguments, parted at single blanks without any quoting.
pub struct Program;

/// The value of a [`Program`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperCommand {
    /// The text that was given.
    text: String,
    /// The program, or what is wrong with it.
    pub path: Result<PathBuf, &'static str>,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl ValueType for Program {
    type Value = HelperCommand;
    const QUOTED: bool = true;

    fn form() -> String {
        "a program and its arguments".into()
    }

    /// Whether the program can be run matters only when it is to be.
    fn parse(text: &str, place: &PathContext) -> Option<HelperCommand> {
        let text = Text::parse(text, place)?;
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let found = words.next().and_then(|name| place.lookup(name));
        let path = match found.map(|path| (place.files.kind(&path), path)) {
            Some((Some(FileKind::File { executable: true }), path)) => Ok(path),
            Some((Some(FileKind::File { .. }), _)) => Err("a program that may be executed"),
            Some(_) => Err("a program, which is a file"),
            None => Err("a program that exists"),
        };
        let arguments = words.map(str::to_owned).collect();
        Some(HelperCommand { text, path, arguments })
    }

    fn print(value: &HelperCommand, _: &PathContext) -> String {
        value.text.clone()
    }
}

/// A file that the program makes itself, or nothing.
pub struct NewFile;

impl ValueType for NewFile {
    type Value = Option<PathBuf>;
    const QUOTED: bool = true;

    fn form() -> String {
        "a path, or nothing".into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<Option<PathBuf>> {
        let text = Text::parse(text, place)?;
        Some((!text.is_empty()).then(|| place.expand(&text)))
    }

    fn print(value: &Option<PathBuf>, place: &PathContext) -> String {
        value.as_deref().map(|path| place.homely(path)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::{place, Shelf};
    use super::*;

    #[test]
    fn pages_are_embedded_unless_the_folder_exists() {
        let empty = Shelf::default();
        assert_eq!(Pages::parse(PAGES, &place(&empty)), Some(None));
        assert_eq!(Pages::parse("/no/folder", &place(&empty)), None);
        assert_eq!(Pages::print(&None, &place(&empty)), PAGES);
        let full = Shelf::default().with("/etc/exaproxy/html/", "").with("/etc/motd", "x");
        assert_eq!(Pages::parse(PAGES, &place(&full)), Some(Some("/etc/exaproxy/html".into())));
        assert_eq!(Pages::parse("/etc/motd", &place(&full)), None);
        assert_eq!(Pages::parse(&Pages::print(&None, &place(&full)), &place(&full)), Some(None));
    }

    #[test]
    fn the_resolver_file_is_searched_for_only_when_left_alone() {
        let shelf = Shelf::default()
            .with("/opt/exaproxy/etc/exaproxy/dns/resolv.conf", "# none\n")
            .with("/etc/exaproxy/dns/resolv.conf", "\tNameServer 192.0.2.1\n")
            .with("/etc/resolv.conf", "nameserver 192.0.2.2\n");
        let place = place(&shelf);
        assert_eq!(Resolver::initial(RESOLVER, &place), Some("/etc/exaproxy/dns/resolv.conf".into()));
        assert_eq!(Resolver::parse(RESOLVER, &place), Some(RESOLVER.into()));
        assert_eq!(Resolver::parse("/etc/other.conf", &place), None);
        let empty = Shelf::default();
        let place = self::place(&empty);
        assert_eq!(Resolver::initial(RESOLVER, &place), Some(RESOLVER.into()));
        assert_eq!(Resolver::parse(RESOLVER, &place), Some(RESOLVER.into()));
    }

    #[test]
    fn files_of_lists_have_blanks_or_commas_between_them_and_may_have_commas() {
        let shelf = Shelf::default().with("/a", "x").with("/b", "x").with("/a,b", "x");
        let place = place(&shelf);
        let named = |text| ListFiles::parse(text, &place).map(|files| ListFiles::print(&files, &place));
        for (text, files) in [("/a /b", "/a /b"), ("/a, /b", "/a /b"), ("/b,/a", "/b /a"), ("/a,b", "/a,b"), ("", "")] {
            assert_eq!(named(text).as_deref(), Some(files), "{text}");
        }
        assert_eq!((named("/a,/c"), named(","), named("/a;/b")), (None, None, None));
    }

    #[test]
    fn files_that_need_not_exist() {
        let shelf = Shelf::default();
        let place = place(&shelf);
        assert_eq!(Hosts::parse("", &place), Some(None));
        assert_eq!(Hosts::parse(HOSTS, &place), Some(Some(HOSTS.into())));
        assert_eq!(Hosts::parse("/etc/hots", &place), None);
        assert_eq!(NewFile::parse("run/pid", &place), Some(Some("/home/ann/work/run/pid".into())));
        assert_eq!(NewFile::print(&Some("/home/ann/work/run/pid".into()), &place), "~/work/run/pid");
        assert_eq!(NewFile::parse("", &place), Some(None));
    }
}

//! Kinds of values that name files, and where relative paths are looked for. All questions about files go through
//! [`Files`]: nothing here touches the disk.

use super::text::Text;
use super::value::ValueType;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The folder of pages that is looked for when `web.html` is left alone.
pub const PAGES: &str = "etc/exaproxy/html";

/// The resolver file of the system.
pub const RESOLVER: &str = "/etc/resolv.conf";

/// The file of static host names.
pub const HOSTS: &str = "/etc/hosts";

/// The folder of the program's own files below the tree it was installed in.
const OWN_FOLDER: &str = "etc/exaproxy";

/// Where the resolver file is looked for when `dns.resolver` is left alone, below the usual places for relative paths.
const OWN_RESOLVER: &str = "etc/exaproxy/dns/resolv.conf";

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Folder,
    /// A regular file.
    File {
        /// Whether anybody may execute it.
        executable: bool,
    },
    /// A device, a socket, a pipe.
    Other,
}

/// What configuration asks of a file system. Tests answer from memory.
pub trait Files {
    /// What the path leads to, with links followed; nothing when there is nothing or no permission to look.
    fn kind(&self, path: &Path) -> Option<FileKind>;
    /// The bytes of a file, at most `limit` of them.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;
}

/// The surroundings in which paths have their meaning.
pub struct PathContext<'a> {
    /// The tree that the program was installed in, which is the folder above its `bin`, `sbin` or `lib`.
    pub root: Option<PathBuf>,
    /// The user's own folder, for `~`.
    pub home: Option<PathBuf>,
    /// The folder the program was started in, for relative paths.
    pub here: PathBuf,
    /// The file system.
    pub files: &'a dyn Files,
}

impl PathContext<'_> {
    /// Finds an existing file. A relative path is tried below the program's tree, then below the current folder, `/`
    /// and `/usr`; the first that exists wins.
    pub fn lookup(&self, path: &str) -> Option<PathBuf> {
        if path.is_empty() {
            return None;
        }
        self.candidates(path).into_iter().find(|path| self.files.kind(path).is_some())
    }

    /// A path as it is typed in a shell: `~` is the user's folder, and what is relative starts in the current folder.
    pub fn expand(&self, path: &str) -> PathBuf {
        match (path.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => self.here.join(path),
        }
    }

    /// A short text that [`lookup`](PathContext::lookup) finds again: without the program's own tree, or with `~`.
    pub fn shorten(&self, path: &Path) -> String {
        let tree = self.root.as_deref().filter(|root| path.starts_with(root.join(OWN_FOLDER)));
        below(path, tree).unwrap_or_else(|| self.homely(path))
    }

    /// The path with `~` for the user's folder.
    pub fn homely(&self, path: &Path) -> String {
        match below(path, self.home.as_deref()) {
            Some(inside) => format!("~/{inside}"),
            None => path.to_string_lossy().into_owned(),
        }
    }

    fn candidates(&self, path: &str) -> Vec<PathBuf> {
        let tree = self.root.iter().map(|root| root.join(path));
        let typed = [self.expand(path), Path::new("/").join(path), Path::new("/usr").join(path)];
        tree.chain(typed).collect()
    }

    fn names_a_server(&self, path: &Path) -> bool {
        // A resolver file has a few hundred bytes; a name server that stands behind the first 64 KiB is not looked for.
        let Ok(bytes) = self.files.read(path, 64 * 1024) else { return false };
        bytes.split(|byte| *byte == b'\n').any(|line| {
            let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
            word.is_some_and(|word| word.eq_ignore_ascii_case(b"nameserver"))
        })
    }
}

/// The tree above the last `bin`, `sbin` or `lib` of the program's path.
pub fn tree(program: &Path) -> Option<PathBuf> {
    let parts: Vec<Component> = program.components().collect();
    let folders = parts.get(..parts.len().checked_sub(1)?)?;
    let last = folders.iter().rposition(|part| ["bin", "sbin", "lib"].iter().any(|name| part.as_os_str() == *name))?;
    Some(folders.iter().take(last).collect())
}

fn below(path: &Path, folder: Option<&Path>) -> Option<String> {
    let folder = folder.filter(|folder| folder.components().count() > 1)?;
    let inside = path.strip_prefix(folder).ok()?.to_string_lossy().into_owned();
    (!inside.is_empty()).then_some(inside)
}

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
        let found = place.candidates(OWN_RESOLVER).into_iter().chain(system).find(|path| place.names_a_server(path));
        Some(found.unwrap_or_else(|| PathBuf::from(text)))
    }

    fn print(value: &PathBuf, place: &PathContext) -> String {
        place.shorten(value)
    }
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
pub(super) mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A file system in memory: a path that ends in `/` is a folder, one whose text starts with `#!` a program.
    #[derive(Default)]
    pub(crate) struct Shelf(HashMap<PathBuf, Option<String>>);

    impl Shelf {
        pub(crate) fn with(mut self, path: &str, text: &str) -> Shelf {
            self.0.insert(PathBuf::from(path), (!path.ends_with('/')).then(|| text.to_owned()));
            self
        }
    }

    impl Files for Shelf {
        fn kind(&self, path: &Path) -> Option<FileKind> {
            Some(match self.0.get(path)? {
                None => FileKind::Folder,
                Some(text) => FileKind::File { executable: text.starts_with("#!") },
            })
        }

        fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
            let text = self.0.get(path).and_then(Option::as_ref).ok_or(io::ErrorKind::NotFound)?;
            Ok(text.bytes().take(limit).collect())
        }
    }

    pub(crate) fn place(shelf: &Shelf) -> PathContext<'_> {
        PathContext {
            root: Some("/opt/exaproxy".into()),
            home: Some("/home/ann".into()),
            here: "/home/ann/work".into(),
            files: shelf,
        }
    }

    #[test]
    fn the_tree_is_above_the_last_folder_of_programs() {
        for (program, root) in [
            ("/usr/sbin/exaproxy", Some("/usr")),
            ("/opt/bin/exaproxy/bin/exaproxy", Some("/opt/bin/exaproxy")),
            ("/bin/exaproxy", Some("/")),
            ("/home/ann/target/debug/exaproxy", None),
            ("/home/ann/bin", None),
        ] {
            assert_eq!(tree(Path::new(program)), root.map(PathBuf::from), "{program}");
        }
    }

    #[test]
    fn relative_paths_are_tried_in_order() {
        let shelf = Shelf::default()
            .with("/bin/ls", "#!")
            .with("/opt/exaproxy/etc/a", "x")
            .with("/home/ann/work/etc/a", "x")
            .with("/usr/share/b", "x")
            .with("/home/ann/c", "x");
        let place = place(&shelf);
        for (path, found) in [
            ("bin/ls", Some("/bin/ls")),
            ("etc/a", Some("/opt/exaproxy/etc/a")),
            ("share/b", Some("/usr/share/b")),
            ("~/c", Some("/home/ann/c")),
            ("/bin/ls", Some("/bin/ls")),
            ("etc/none", None),
            ("", None),
        ] {
            assert_eq!(place.lookup(path), found.map(PathBuf::from), "{path}");
            if let Some(found) = found {
                assert_eq!(place.lookup(&place.shorten(Path::new(found))), Some(found.into()));
            }
        }
        assert_eq!(place.shorten(Path::new("/home/ann/c")), "~/c");
        assert_eq!(place.shorten(Path::new("/opt/exaproxy/etc/a")), "/opt/exaproxy/etc/a");
        assert_eq!(place.shorten(Path::new("/opt/exaproxy/etc/exaproxy/a")), "etc/exaproxy/a");
    }

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

//! Where paths have their meaning: folders below which they are looked for, and what is asked of a file system. Tests
//! answer from memory; nothing here touches the disk.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The folder of the program's own files below the tree it was installed in.
const OWN_FOLDER: &str = "etc/exaproxy";

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Folder,
    /// A regular file.
    File {
        /// Whether one of the three permissions to execute is set.
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

    /// The paths that a text may mean, in the order in which they are tried.
    pub(super) fn candidates(&self, path: &str) -> Vec<PathBuf> {
        let tree = self.root.iter().map(|root| root.join(path));
        let typed = [self.expand(path), Path::new("/").join(path), Path::new("/usr").join(path)];
        tree.chain(typed).collect()
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
}

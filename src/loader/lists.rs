//! The files of `acl.blocklist` and `acl.allowlist`: read whole, looked at again and again. Knows what they are made of, and
//! nothing of requests.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use reactor::Millis;

use super::Look;
use crate::policy::lists::line::ListFormat;
use crate::policy::lists::list::{List, ListReading, ListSize};
use crate::policy::lists::names::ListKey;
use crate::policy::lists::Lists;
use crate::system::files;

/// Milliseconds between two looks.
const LOOK: Millis = 2_000;

/// Largest file that is read, in bytes: a million names have some 20 MiB.
const MAX_BYTES: u64 = 256 << 20;

/// The files in a folder of squidGuard.
const DOMAINS: &str = "domains";
const URLS: &str = "urls";
const EXPRESSIONS: &str = "expressions";

/// What lists there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOptions {
    /// The files of `acl.blocklist`.
    pub block: Vec<PathBuf>,
    /// The files of `acl.allowlist`.
    pub allow: Vec<PathBuf>,
    /// What is on no list may not be reached (`acl.default`).
    pub closed: bool,
    /// The lists refuse (`acl.mode`).
    pub enforced: bool,
    /// What names are hashed with.
    pub key: ListKey,
}

impl ListOptions {
    /// Reads all files.
    ///
    /// # Errors
    /// Which file cannot be read, or which line is wrong.
    pub fn read(self) -> Result<(ListReader, Arc<Lists>), String> {
        // Before reading: a file that changes meanwhile is read again at the first look.
        let seen = marks(&self);
        let lists = self.lists()?;
        tell(&lists);
        Ok((ListReader { options: self, seen, tried: None, told: None }, Arc::new(lists)))
    }

    /// Reads all files once.
    ///
    /// # Errors
    /// Those of [`ListOptions::read`].
    pub fn lists(&self) -> Result<Lists, String> {
        self.load().map_err(|unread| unread.text)
    }

    /// What is wrong with each of the files: the option that names it, and why it cannot be used.
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let each = |option, paths: &[PathBuf]| -> Vec<_> {
            let wrong = |path: &PathBuf| Some((option, self.list(std::slice::from_ref(path)).err()?.text));
            paths.iter().filter_map(wrong).collect()
        };
        [each("blocklist", &self.block), each("allowlist", &self.allow)].concat()
    }

    fn load(&self) -> Result<Lists, ListsUnread> {
        let (block, allow) = (self.list(&self.block)?, self.list(&self.allow)?);
        Ok(Lists { block, allow, closed: self.closed, enforced: self.enforced })
    }

    fn list(&self, paths: &[PathBuf]) -> Result<List, ListsUnread> {
        let mut reading = ListReading::new(self.key);
        for (path, format) in paths.iter().flat_map(|path| files_of(path)) {
            if path.is_dir() {
                let text = format!("{}: the folder has neither domains nor urls, of squidGuard", path.display());
                return Err(ListsUnread { text, passing: false });
            }
            reading.begin(&path.display().to_string());
            read_file(&path, format, &mut reading).map_err(|error| ListsUnread::of(&path, &error))?;
        }
        let list = reading.finish_with(&mut thread::yield_now);
        list.map_err(|fault| ListsUnread { text: fault.to_string(), passing: false })
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.block.iter().chain(&self.allow)
    }
}

/// The files that a path names: itself, or what a folder of squidGuard has. Without any of them it is the folder.
fn files_of(path: &Path) -> Vec<(PathBuf, ListFormat)> {
    if !path.is_dir() {
        return vec![(path.to_owned(), ListFormat::Lines)];
    }
    let files = [(DOMAINS, ListFormat::Domains), (URLS, ListFormat::Urls), (EXPRESSIONS, ListFormat::Expressions)];
    let files = files.map(|(name, format)| (path.join(name), format));
    let there: Vec<_> = files.into_iter().filter(|(path, _)| fs::symlink_metadata(path).is_ok()).collect();
    match there.iter().any(|(_, format)| *format != ListFormat::Expressions) {
        true => there,
        false => vec![(path.to_owned(), ListFormat::Domains)],
    }
}

/// Why lists could not be read.
#[derive(Debug)]
struct ListsUnread {
    text: String,
    /// It may be otherwise at the next look, though no file changes.
    passing: bool,
}

impl ListsUnread {
    fn of(path: &Path, error: &io::Error) -> ListsUnread {
        ListsUnread { text: format!("{}: {error}", path.display()), passing: files::may_pass(error) }
    }
}

/// Says what was found in the files of lists, at a level that shows by default only where lines were passed over.
fn tell(lists: &Lists) {
    let files = |name, list: &List| list.files().iter().map(|file| (name, file.clone())).collect::<Vec<_>>();
    for (name, file) in files("blocklist", &lists.block).into_iter().chain(files("allowlist", &lists.allow)) {
        let (path, entries, others) = (&file.path, file.entries, file.others);
        match others {
            0 => log::info!(target: "configuration", "acl.{name}: {entries} entries in {path}"),
            _ => log::error!(
                target: "configuration",
                "acl.{name}: {entries} entries in {path}; {others} lines mean something else and have no effect, \
                 the first is line {}",
                file.first_other
            ),
        }
    }
}

/// Reads a file in pieces, and lets the loop have its processor in between, should they share one.
fn read_file(path: &Path, format: ListFormat, reading: &mut ListReading) -> io::Result<()> {
    if let Some(mark) = mark(path) {
        let mut hasher = DefaultHasher::new();
        mark.hash(&mut hasher);
        reading.note_version(u64::try_from(mark.modified).unwrap_or(0), hasher.finish());
    }
    files::read_lines(path, MAX_BYTES, |lines| {
        reading.read(lines, format);
        thread::yield_now();
    })
}

/// The files as they were read last.
#[derive(Debug)]
pub struct ListReader {
    options: ListOptions,
    seen: Vec<(PathBuf, Option<FileMark>)>,
    /// The files as they were at a look in vain that need not be repeated.
    tried: Option<Vec<(PathBuf, Option<FileMark>)>>,
    /// What the log was told of the last look, if that was in vain.
    told: Option<String>,
}

/// What tells a changed file from an unchanged one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct FileMark {
    number: u64,
    length: u64,
    changed: (i64, i64),
    modified: i64,
}

impl Look for ListReader {
    /// The lists, or nothing where the files are those that are in force again; or why they are not known.
    type News = Result<Option<Arc<Lists>>, String>;

    fn what(&self) -> String {
        let paths: Vec<String> = self.options.paths().map(|path| path.display().to_string()).collect();
        format!("reading {}", paths.join(" or "))
    }

    fn look(&mut self) -> Option<Result<Option<Arc<Lists>>, String>> {
        let marks = marks(&self.options);
        if marks == self.seen {
            self.tried = None;
            return self.told.take().map(|_| Ok(None));
        }
        if self.tried.as_ref() == Some(&marks) {
            return None;
        }
        // Half of a folder of squidGuard is no list.
        let is_gone = |(path, mark): &&(PathBuf, Option<FileMark>)| {
            mark.is_some() && !marks.iter().any(|(own, mark)| own == path && mark.is_some())
        };
        let gone = self
            .seen
            .iter()
            .find(is_gone)
            .map(|(path, _)| ListsUnread::of(path, &io::Error::from_raw_os_error(libc::ENOENT)));
        match gone.map_or_else(|| self.options.load(), Err) {
            Ok(lists) => {
                (self.seen, self.tried, self.told) = (marks, None, None);
                tell(&lists);
                let ListSize { names, ranges, urls } = lists.size();
                crate::critical!(target: "configuration", "lists have changed: {names} names, {ranges} networks and {urls} URLs now");
                Some(Ok(Some(Arc::new(lists))))
            }
            Err(ListsUnread { text, passing }) => {
                // Without a descriptor or memory it is tried again, or a change would be lost until the next one.
                if !passing {
                    self.tried = Some(marks);
                }
                if self.told.as_ref() != Some(&text) || !passing {
                    log::error!(target: "configuration", "{text}; the lists that were read before stay in force");
                }
                self.told = Some(text.clone());
                Some(Err(text))
            }
        }
    }

    fn pause(_: Duration) -> Millis {
        LOOK
    }
}

fn marks(options: &ListOptions) -> Vec<(PathBuf, Option<FileMark>)> {
    let files = options.paths().flat_map(|path| files_of(path));
    files.map(|(path, _)| (mark(&path), path)).map(|(mark, path)| (path, mark)).collect()
}

fn mark(path: &Path) -> Option<FileMark> {
    let about = fs::metadata(path).ok()?;
    let changed = (about.ctime(), about.ctime_nsec());
    Some(FileMark { number: about.ino(), length: about.len(), changed, modified: about.mtime() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(block: Vec<PathBuf>) -> ListOptions {
        ListOptions { block, allow: Vec::new(), closed: false, enforced: true, key: ListKey(1, 2) }
    }

    fn place(lists: &Lists, name: &str) -> Option<String> {
        lists.block.find_name(name, 80).map(|line| lists.block.place(line))
    }

    #[test]
    fn a_list_that_cannot_be_read_leaves_the_one_before_in_force_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let shown = path.display().to_string();
        assert_eq!(options(vec![path.clone()]).read().map(drop).unwrap_err().split(": ").next(), Some(&shown[..]));
        fs::write(&path, "a.test\n").unwrap();
        let (mut reader, lists) = options(vec![path.clone()]).read().unwrap();
        assert_eq!(place(&lists, "a.test"), Some(format!("{shown}:1")));
        assert!(reader.look().is_none(), "nothing has changed");
        fs::write(&path, "b.test\na..b\n").unwrap();
        assert!(reader.look().is_some_and(|news| news.is_err()) && reader.look().is_none());
        assert_eq!(
            options(vec![path.clone()]).read().map(drop),
            Err(format!("{shown}:2: neither a name nor an address"))
        );
        fs::remove_file(&path).unwrap();
        assert!(reader.look().is_some_and(|news| news.is_err()) && reader.look().is_none());
        fs::write(&path, "b.test\n").unwrap();
        let lists = reader.look().unwrap().unwrap().unwrap();
        assert_eq!((place(&lists, "a.test"), place(&lists, "b.test")), (None, Some(format!("{shown}:1"))));
        // Another file of the same length in its place.
        let other = folder.path().join("other");
        fs::write(&other, "c.test\n").unwrap();
        fs::rename(&other, &path).unwrap();
        let lists = reader.look().unwrap().unwrap().unwrap();
        assert!(place(&lists, "c.test").is_some());
    }

    #[test]
    fn a_folder_of_squidguard_is_its_domains() {
        let folder = tempfile::tempdir().unwrap();
        assert!(options(vec![folder.path().to_owned()]).read().is_err());
        fs::write(folder.path().join("domains"), "ads.test\n192.0.2.1\n").unwrap();
        let (_, lists) = options(vec![folder.path().to_owned()]).read().unwrap();
        let line = folder.path().join("domains").display().to_string() + ":1";
        assert_eq!(place(&lists, "www.ads.test"), Some(line));
        assert_eq!(lists.size(), ListSize { names: 1, ranges: 1, urls: 0 });
    }

    #[test]
    fn lines_of_expressions_are_counted_and_told_to_have_no_effect() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("expressions"), "# ours\n(^|[-.])casino\n\nads.test\n").unwrap();
        assert!(options(vec![folder.path().to_owned()]).read().is_err(), "they alone are no list");
        fs::write(folder.path().join("domains"), "other.test\n").unwrap();
        let (_, lists) = options(vec![folder.path().to_owned()]).read().unwrap();
        let told: Vec<_> =
            lists.block.files().iter().map(|file| (file.entries, file.others, file.first_other)).collect();
        assert_eq!(told, [(1, 0, 0), (0, 2, 2)]);
        assert_eq!(place(&lists, "ads.test"), None);
    }
}

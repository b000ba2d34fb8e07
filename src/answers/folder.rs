//! The folder of `web.html`: what is in it now. Pages are kept in memory and checked with one stat(2) per use, so that an
//! edited page shows at once; large files are opened for whoever sends them. Knows neither templates nor HTTP.
//!
//! Symbolic links are followed, those that lead out of the folder too: whoever may write in the folder says what is in it.
//! Nothing but regular files is opened: opening a FIFO would hold the loop until somebody writes to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::io::content::Content;

/// Largest page that is read whole, in bytes. An answer is kept in memory until the client has taken it; what is larger is
/// sent from the file.
pub(super) const MAX_PAGE: u64 = 1 << 20;

/// Most pages that are kept; others are read at each use.
pub(super) const MAX_PAGES: usize = 1000;

/// All pages that are kept together, in bytes; others are read at each use.
pub(super) const MAX_TOTAL: usize = 32 << 20;

/// How deep the folder is searched at the start. What lies deeper is found when it is asked for.
const MAX_DEPTH: usize = 4;

/// Entries that are looked at at the start, those of the folders in it included: somebody may name a whole disk.
const MAX_ENTRIES: usize = 10_000;

/// Seconds after which a second change of a file is sure to show in its times: file systems count in steps of up to 2 s.
const SETTLED: i64 = 3;

/// Bytes of the start of a large file that are looked at to tell what it is.
const START: usize = 256;

/// A folder of local pages.
#[derive(Debug)]
pub(super) struct Folder {
    /// As it was configured: absolute names may begin so.
    given: PathBuf,
    /// The same without symbolic links.
    root: PathBuf,
    /// What was read so far. Looking at a page may mean to read it again, and nobody else can see that.
    kept: RefCell<Kept>,
}

/// What there is under a name.
#[derive(Debug)]
pub(super) enum Sight {
    /// All of a page.
    Whole(Rc<[u8]>),
    /// A file that is too large to be read whole.
    Large {
        /// The file.
        content: Content,
        /// Its bytes.
        length: u64,
        /// The first of them, enough to tell what it is.
        start: Vec<u8>,
    },
}

impl Folder {
    /// Reads the pages of a folder and of the folders in it, as far as the bounds go.
    ///
    /// # Errors
    /// When a folder or a file in it cannot be read; the text names it.
    pub(super) fn load(given: PathBuf) -> io::Result<Folder> {
        let root = given.canonicalize().map_err(|error| about(&given, error))?;
        let mut kept = Kept::default();
        kept.read_folder(&root, "", 0)?;
        Ok(Folder { given, root, kept: RefCell::new(kept) })
    }

    /// The name of a page as it is kept: components joined by `/`, without `.` and `..`. None if it leads out of the folder,
    /// as an absolute one does unless it begins with the folder's own.
    pub(super) fn relative(&self, name: &str) -> Option<String> {
        let path = Path::new(name);
        match path.is_absolute() {
            true => normal(path.strip_prefix(&self.root).or_else(|_| path.strip_prefix(&self.given)).ok()?),
            false => normal(path),
        }
    }

    /// What there is now under a name that [`Folder::relative`] gave.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read and never could; the text names it.
    pub(super) fn look(&self, name: &str) -> io::Result<Sight> {
        let path = self.root.join(name);
        let mut kept = self.kept.borrow_mut();
        match kept.look(name, &path) {
            Err(error) if is_gone(&error) => {
                kept.forget(name);
                Err(about(&path, error))
            }
            // Descriptors are used up, or only root may read it, as at the start: better what it was than nothing.
            Err(error) => kept.files.get(name).map(|page| page.sight()).ok_or_else(|| about(&path, error)),
            found => found,
        }
    }
}

/// The normal form of a relative path, or None if it leads out.
pub(super) fn normal(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// A page as it was when it was read.
#[derive(Debug)]
struct Page {
    stamp: Stamp,
    /// The stamp was old enough to tell the next change.
    settled: bool,
    bytes: Rc<[u8]>,
}

impl Page {
    fn sight(&self) -> Sight {
        Sight::Whole(self.bytes.clone())
    }
}

/// The pages in memory.
#[derive(Debug, Default)]
struct Kept {
    files: BTreeMap<String, Page>,
    /// Bytes of all of them.
    total: usize,
    /// Entries that were looked at at the start.
    entries: usize,
}

impl Kept {
    fn look(&mut self, name: &str, path: &Path) -> io::Result<Sight> {
        let stamp = Stamp::of(&regular(path.metadata()?)?);
        match self.files.get(name).filter(|page| page.settled && page.stamp == stamp) {
            Some(page) => Ok(page.sight()),
            None => self.read(name, path),
        }
    }

    fn read(&mut self, name: &str, path: &Path) -> io::Result<Sight> {
        let (file, metadata) = open(path)?;
        self.forget(name);
        if metadata.len() > MAX_PAGE {
            return large(file);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        (&file).take(MAX_PAGE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_PAGE {
            return large(file);
        }
        let stamp = Stamp::of(&metadata);
        let page = Page { stamp, settled: stamp.is_settled(), bytes: bytes.into() };
        let sight = page.sight();
        self.keep(name, page);
        Ok(sight)
    }

    fn keep(&mut self, name: &str, page: Page) {
        if self.files.len() < MAX_PAGES && self.total + page.bytes.len() <= MAX_TOTAL {
            self.total += page.bytes.len();
            self.files.insert(name.to_owned(), page);
        }
    }

    fn forget(&mut self, name: &str) {
        if let Some(page) = self.files.remove(name) {
            self.total -= page.bytes.len();
        }
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in folder.read_dir().map_err(|error| about(folder, error))? {
            let entry = entry.map_err(|error| about(folder, error))?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES || self.files.len() >= MAX_PAGES {
                break;
            }
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str() else { continue };
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                    self.read_folder(&path, &format!("{name}/"), depth + 1)?;
                }
                Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_PAGE => {
                    self.read(&name, &path).map_err(|error| about(&path, error))?;
                }
                // Editors mark their files with links that lead nowhere.
                Err(error) if !is_gone(&error) => return Err(about(&path, error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What changes when a file does: which file it is, its length, and when content and entry were last written, in
/// nanoseconds. A copy that keeps the time of its original still changes the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Has the file been left alone for so long that its next change cannot have the same times?
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        i64::try_from(now).unwrap_or(i64::MAX) - self.changed.0.max(self.modified.0).max(0) >= SETTLED
    }
}

/// Opens a regular file. Whatever took its place since it was looked at does not make opening it wait.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = regular(file.metadata()?)?;
    Ok((file, metadata))
}

fn regular(metadata: Metadata) -> io::Result<Metadata> {
    match metadata.is_file() {
        true => Ok(metadata),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// A file to be sent from its start, as long as it is now.
fn large(mut file: File) -> io::Result<Sight> {
    let mut start = vec![0; START];
    let count = file.read_at(&mut start, 0)?;
    start.truncate(count);
    file.rewind()?;
    Ok(Sight::Large { length: file.metadata()?.len(), content: Content::new(file), start })
}

/// Is there no such page, rather than one that cannot be read?
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
        || error.raw_os_error() == Some(libc::ENOTDIR)
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("sub")).unwrap();
        std::fs::write(place.path().join("a.html"), "one").unwrap();
        std::fs::write(place.path().join("sub/b.html"), "deeper").unwrap();
        let folder = Folder::load(place.path().to_owned()).unwrap();
        (place, folder)
    }

    fn seen(folder: &Folder, name: &str) -> Option<String> {
        match folder.look(name) {
            Ok(Sight::Whole(page)) => Some(String::from_utf8(page.to_vec()).unwrap()),
            Ok(Sight::Large { length, .. }) => Some(format!("{length} bytes")),
            Err(_) => None,
        }
    }

    #[test]
    fn what_is_in_the_folder_now_is_seen() {
        let (place, folder) = folder();
        let path = place.path().join("a.html");
        assert_eq!(seen(&folder, "a.html").as_deref(), Some("one"));
        std::fs::write(&path, "changed").unwrap();
        assert_eq!(seen(&folder, "a.html").as_deref(), Some("changed"));
        std::fs::write(place.path().join("sub/new.html"), "new").unwrap();
        assert_eq!(seen(&folder, "sub/new.html").as_deref(), Some("new"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(seen(&folder, "a.html"), None);
        assert_eq!(folder.kept.borrow().total, "deeper".len() + "new".len());
        std::fs::rename(place.path().join("sub/new.html"), &path).unwrap();
        assert_eq!(seen(&folder, "a.html").as_deref(), Some("new"));
    }

    #[test]
    fn quick_changes_of_the_same_length_are_seen() {
        let (place, folder) = folder();
        for text in ["two", "six", "ten"].iter().cycle().take(60) {
            std::fs::write(place.path().join("a.html"), text).unwrap();
            assert_eq!(seen(&folder, "a.html").as_deref(), Some(*text));
        }
    }

    /// On a file that was left alone, stat(2) is all that a use costs: here it is told apart by what is kept.
    #[test]
    fn a_page_that_was_left_alone_is_not_read_again() {
        let (_place, folder) = folder();
        let page = |settled| {
            let mut kept = folder.kept.borrow_mut();
            let page = kept.files.get_mut("a.html").unwrap();
            (page.settled, page.bytes) = (settled, b"kept"[..].into());
        };
        page(true);
        assert_eq!(seen(&folder, "a.html").as_deref(), Some("kept"));
        page(false);
        assert_eq!(seen(&folder, "a.html").as_deref(), Some("one"));
        let stamp = |changed| Stamp { file: (0, 0), length: 0, modified: (0, 0), changed: (changed, 0) };
        assert!(stamp(0).is_settled() && !stamp(i64::MAX).is_settled());
    }

    #[test]
    fn a_page_of_the_same_length_and_time_in_its_place_is_seen() {
        let (place, folder) = folder();
        let (path, other) = (place.path().join("a.html"), place.path().join("other"));
        std::fs::write(&other, "two").unwrap();
        let time = path.metadata().unwrap().modified().unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(seen(&folder, "a.html").as_deref(), Some("two"));
    }

    #[test]
    fn a_page_that_grows_too_large_is_sent_from_the_file_and_forgotten() {
        let (place, folder) = folder();
        let bytes = vec![b'x'; MAX_PAGE as usize + 1];
        std::fs::write(place.path().join("a.html"), &bytes).unwrap();
        let Ok(Sight::Large { mut content, length, start }) = folder.look("a.html") else { panic!("not large") };
        assert_eq!((length, start.as_slice()), (MAX_PAGE + 1, &bytes[..START]));
        assert_eq!((content.read(&mut [0; 9]).unwrap(), folder.kept.borrow().total), (9, "deeper".len()));
        std::fs::write(place.path().join("a.html"), &bytes[1..]).unwrap();
        assert_eq!(seen(&folder, "a.html").map(|page| page.len()), Some(MAX_PAGE as usize));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let (place, folder) = folder();
        nix::unistd::mkfifo(&place.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", place.path().join("zero")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
        for name in ["", "sub", "fifo", "zero", "socket", "a.html/x", "missing", "nul\0", &"x".repeat(5000)] {
            assert_eq!(seen(&folder, name), None, "{name}");
        }
        assert!(open(&place.path().join("fifo")).is_err(), "also when it appears after the first look");
        assert!(Folder::load(place.path().to_owned()).is_ok());
    }

    #[test]
    fn links_are_followed_wherever_they_lead() {
        let (place, folder) = folder();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("c.html"), "elsewhere").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place.path().join("out")).unwrap();
        std::os::unix::fs::symlink("nowhere", place.path().join(".#a.html")).unwrap();
        assert_eq!(seen(&folder, "out/c.html").as_deref(), Some("elsewhere"));
        assert!(Folder::load(place.path().to_owned()).is_ok());
    }

    #[test]
    fn a_page_that_cannot_be_read_any_more_stays_as_it_was() {
        let (place, folder) = folder();
        let path = place.path().join("a.html");
        // A link to itself fails like a lack of rights would, for root too.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("a.html", &path).unwrap();
        assert_eq!(seen(&folder, "a.html").as_deref(), Some("one"));
    }

    #[test]
    fn names_lead_nowhere_else() {
        let (place, folder) = folder();
        let inside = place.path().join("sub/../a.html");
        assert_eq!(folder.relative(inside.to_str().unwrap()).as_deref(), Some("a.html"));
        for (name, want) in
            [("./sub//b.html", Some("sub/b.html")), ("x/../a", Some("a")), ("../a", None), ("/etc", None)]
        {
            assert_eq!(folder.relative(name).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("0");
        std::fs::write(&file, vec![b'x'; MAX_PAGE as usize]).unwrap();
        for number in 1..40 {
            std::fs::hard_link(&file, place.path().join(number.to_string())).unwrap();
        }
        let folder = Folder::load(place.path().to_owned()).unwrap();
        assert_eq!(folder.kept.borrow().total, MAX_TOTAL);
        for number in 0..40 {
            assert!(seen(&folder, &number.to_string()).is_some(), "the others are read when they are asked for");
        }
        assert_eq!(folder.kept.borrow().total, MAX_TOTAL);
    }
}

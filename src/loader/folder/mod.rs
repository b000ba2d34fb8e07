//! The folder of `web.html`: what is in it now, kept in memory as far as the bounds go, looked at again and again. Knows
//! neither templates nor HTTP.
//!
//! Symbolic links are followed, those that lead out of the folder too: the owner of the folder says what is in it. Only
//! regular files are opened: a FIFO would hold the reader until a writer came.

mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use reactor::Millis;

use super::Look;
use crate::answers::pages::{KeptPage, PageFile, Pages, EMBEDDED};
use crate::answers::PageContent;
use crate::system::files;
use survey::{about, is_gone, ReadPage, Survey};

/// Largest page that is kept, in bytes. An answer is in memory until the client has taken it; what is larger is sent from
/// the file.
const MAX_PAGE: u64 = 1 << 20;

/// Most pages that are kept; others are read at each use.
const MAX_PAGES: usize = 1000;

/// All pages that are kept together, in bytes; others are read at each use.
const MAX_TOTAL: u64 = 32 << 20;

/// Bytes of the start of a large file that are looked at to tell what it is.
const START: u64 = 256;

/// Milliseconds between two looks, and how many times longer than a look the pause behind it is at least: a folder that
/// is huge or slow takes at most a twentieth of the loader's time.
const LOOK: Millis = 1000;
const REST: u32 = 20;

/// A folder of local pages, as it was seen last.
#[derive(Debug)]
pub struct Folder {
    /// As it was configured: absolute names may begin so.
    given: PathBuf,
    /// The same without symbolic links.
    root: PathBuf,
    kept: BTreeMap<String, ReadPage>,
    /// Names of embedded pages whose files are too large to be kept.
    large: BTreeSet<String>,
    /// What could not be read at the last look, which is told once.
    trouble: Option<String>,
}

impl Folder {
    /// Reads the pages of a folder and of the folders in it, as far as the bounds go: those first that replace embedded
    /// ones.
    ///
    /// # Errors
    /// When a folder or a file in it cannot be read; the text names it.
    pub fn load(given: PathBuf) -> io::Result<(Folder, Pages)> {
        let root = given.canonicalize().map_err(|error| about(&given, error))?;
        let (kept, large) = (BTreeMap::new(), BTreeSet::new());
        let mut folder = Folder { given, root, kept, large, trouble: None };
        let mut survey = folder.survey();
        let pile = folder.read(&mut survey);
        if let Some(error) = survey.trouble {
            return Err(error);
        }
        (folder.kept, folder.large) = (pile.kept, pile.large);
        let pages = folder.pages();
        Ok((folder, pages))
    }

    fn pages(&self) -> Pages {
        let kept = self
            .kept
            .iter()
            .map(|(name, page)| (name.clone(), PageFile::Kept(KeptPage::new(name, Arc::clone(&page.bytes)))));
        let large = self.large.iter().map(|name| (name.clone(), PageFile::Large));
        Pages::new(self.given.clone(), self.root.clone(), kept.chain(large).collect())
    }

    /// Finds what there is, without reading it.
    fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        for (name, _) in EMBEDDED {
            survey.note_file(name.to_owned(), self.root.join(name));
        }
        let first = survey.found.len();
        survey.walk(&self.root, "", 0);
        // Always in the same order, so that the same pages are kept while nothing changes.
        survey.found[first..].sort_by(|one, other| one.name.cmp(&other.name));
        survey
    }

    /// Reads what is new or has changed, as far as the bounds go. What cannot be read stays as it was.
    fn read(&self, survey: &mut Survey) -> Pile {
        let mut pile = Pile::default();
        for found in std::mem::take(&mut survey.found) {
            let before = self.kept.get(&found.name);
            let length = found.metadata.as_ref().map_or(0, Metadata::len);
            if length <= MAX_PAGE && !pile.has_room(length) {
                continue;
            }
            // The loop gets its core back between two pages, should they share one.
            thread::yield_now();
            match found.read(before) {
                Ok(Some(page)) => pile.put(found.name, page),
                Ok(None) if is_embedded(&found.name) => drop(pile.large.insert(found.name)),
                Ok(None) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    survey.note_trouble(&found.path, error);
                    // Descriptors are used up, or only root may read it, as at the start: better what it was than nothing.
                    if let Some(page) = before {
                        pile.put(found.name.clone(), page.clone());
                    }
                }
            }
        }
        for (name, page) in &self.kept {
            if survey.hidden.iter().any(|hidden| name.starts_with(hidden)) {
                pile.put(name.clone(), page.clone());
            }
        }
        pile
    }

    /// Tells of what cannot be read, once.
    fn tell_trouble(&mut self, trouble: Option<io::Error>) {
        let text = trouble.map(|error| error.to_string());
        if let Some(text) = text.as_ref().filter(|text| self.trouble.as_ref() != Some(*text)) {
            log::error!(target: "download", "cannot read {text}; pages that were read before stay in use");
        }
        self.trouble = text;
    }
}

impl Look for Folder {
    type News = Pages;

    fn what(&self) -> String {
        format!("reading the pages in {}", self.given.display())
    }

    fn look(&mut self) -> Option<Pages> {
        let mut survey = self.survey();
        let Pile { kept, large, .. } = self.read(&mut survey);
        let same = |(one, other): ((&String, &ReadPage), (&String, &ReadPage))| {
            one.0 == other.0 && Arc::ptr_eq(&one.1.bytes, &other.1.bytes)
        };
        let unchanged = kept.len() == self.kept.len() && kept.iter().zip(&self.kept).all(same) && large == self.large;
        (self.kept, self.large) = (kept, large);
        self.tell_trouble(survey.trouble);
        (!unchanged).then(|| self.pages())
    }

    fn pause(took: Duration) -> Millis {
        let rest = (took * (REST + 1)).as_millis();
        LOOK.max(u64::try_from(rest).unwrap_or(Millis::MAX))
    }
}

/// The pages that are kept, within the bounds.
#[derive(Debug, Default)]
struct Pile {
    kept: BTreeMap<String, ReadPage>,
    large: BTreeSet<String>,
    total: u64,
}

impl Pile {
    fn has_room(&self, length: u64) -> bool {
        self.kept.len() < MAX_PAGES && self.total + length <= MAX_TOTAL
    }

    /// Keeps a page if there is room and nothing newer under its name.
    fn put(&mut self, name: String, page: ReadPage) {
        let length = page.bytes.len() as u64;
        if self.has_room(length) && !self.kept.contains_key(&name) {
            self.total += length;
            self.kept.insert(name, page);
        }
    }
}

fn is_embedded(name: &str) -> bool {
    EMBEDDED.iter().any(|(own, _)| *own == name)
}

/// Looks at a page that is not kept. Of a large one the file comes beside, at its start.
///
/// # Errors
/// When there is no such file, or it cannot be read; the text names it.
pub fn look_at(path: &Path) -> io::Result<(PageContent, Option<File>)> {
    let look = || {
        let (mut file, metadata) = files::open(path)?;
        let mut bytes = Vec::new();
        if metadata.len() <= MAX_PAGE {
            (&file).take(MAX_PAGE + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 <= MAX_PAGE {
                return Ok((PageContent::Whole(bytes), None));
            }
            bytes.clear();
            file.rewind()?;
        }
        (&file).take(START).read_to_end(&mut bytes)?;
        file.rewind()?;
        Ok((PageContent::Large { length: file.metadata()?.len(), start: bytes }, Some(file)))
    };
    look().map_err(|error| about(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("sub")).unwrap();
        std::fs::write(place.path().join("a.html"), "one").unwrap();
        std::fs::write(place.path().join("sub/b.html"), "deeper").unwrap();
        let (folder, _) = Folder::load(place.path().to_owned()).unwrap();
        (place, folder)
    }

    /// What is kept under a name after a look.
    fn seen(folder: &mut Folder, name: &str) -> Option<String> {
        folder.look();
        folder.kept.get(name).map(|page| String::from_utf8(page.bytes.to_vec()).unwrap())
    }

    fn total(folder: &Folder) -> usize {
        folder.kept.values().map(|page| page.bytes.len()).sum()
    }

    #[test]
    fn what_is_in_the_folder_now_is_seen() {
        let (place, mut folder) = folder();
        let path = place.path().join("a.html");
        assert_eq!(seen(&mut folder, "a.html").as_deref(), Some("one"));
        std::fs::write(&path, "changed").unwrap();
        assert_eq!(seen(&mut folder, "a.html").as_deref(), Some("changed"));
        std::fs::write(place.path().join("sub/new.html"), "new").unwrap();
        assert_eq!(seen(&mut folder, "sub/new.html").as_deref(), Some("new"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(seen(&mut folder, "a.html"), None);
        assert_eq!(total(&folder), "deeper".len() + "new".len());
        std::fs::rename(place.path().join("sub/new.html"), &path).unwrap();
        assert_eq!(seen(&mut folder, "a.html").as_deref(), Some("new"));
        std::fs::remove_dir_all(place.path().join("sub")).unwrap();
        assert_eq!((seen(&mut folder, "sub/b.html"), total(&folder)), (None, 3));
    }

    #[test]
    fn pages_are_handed_on_only_when_something_has_changed() {
        let (place, mut folder) = folder();
        assert!(folder.look().is_none());
        std::fs::write(place.path().join("a.html"), "one").unwrap();
        assert!(folder.look().is_none(), "written anew, and yet the same");
        std::fs::write(place.path().join("a.html"), "two").unwrap();
        assert!(folder.look().is_some() && folder.look().is_none());
        std::fs::write(place.path().join("large.bin"), vec![0; MAX_PAGE as usize + 1]).unwrap();
        assert!(folder.look().is_none(), "it is not kept");
        std::fs::write(place.path().join("deny.html"), vec![0; MAX_PAGE as usize + 1]).unwrap();
        assert!(folder.look().is_some(), "the embedded page is not what there is");
        std::fs::remove_file(place.path().join("deny.html")).unwrap();
        assert!(folder.look().is_some());
    }

    #[test]
    fn quick_changes_of_the_same_length_are_seen() {
        let (place, mut folder) = folder();
        for text in ["two", "six", "ten"].iter().cycle().take(60) {
            std::fs::write(place.path().join("a.html"), text).unwrap();
            assert_eq!(seen(&mut folder, "a.html").as_deref(), Some(*text));
        }
    }

    /// On a file that was left alone, stat(2) is all that a look costs: here it is told apart by what is kept.
    #[test]
    fn a_page_that_was_left_alone_is_not_read_again() {
        let (_place, mut folder) = folder();
        for (settled, want) in [(true, "kept"), (false, "one")] {
            let page = folder.kept.get_mut("a.html").unwrap();
            (page.settled, page.bytes) = (settled, b"kept"[..].into());
            assert_eq!(seen(&mut folder, "a.html").as_deref(), Some(want));
        }
    }

    #[test]
    fn a_page_of_the_same_length_and_time_in_its_place_is_seen() {
        let (place, mut folder) = folder();
        let (path, other) = (place.path().join("a.html"), place.path().join("other"));
        std::fs::write(&other, "two").unwrap();
        let time = path.metadata().unwrap().modified().unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(seen(&mut folder, "a.html").as_deref(), Some("two"));
    }

    #[test]
    fn a_page_that_grows_too_large_is_sent_from_the_file_and_forgotten() {
        let (place, mut folder) = folder();
        let (path, bytes) = (place.path().join("a.html"), vec![b'x'; MAX_PAGE as usize + 1]);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!((seen(&mut folder, "a.html"), total(&folder)), (None, "deeper".len()));
        let Ok((PageContent::Large { length, start }, Some(mut file))) = look_at(&path) else { panic!("not large") };
        assert_eq!((length, start.as_slice()), (MAX_PAGE + 1, &bytes[..START as usize]));
        assert_eq!(file.read(&mut [0; 9]).unwrap(), 9);
        std::fs::write(&path, &bytes[1..]).unwrap();
        assert_eq!(seen(&mut folder, "a.html").map(|page| page.len()), Some(MAX_PAGE as usize));
        assert!(matches!(look_at(&path), Ok((PageContent::Whole(page), None)) if page.len() == MAX_PAGE as usize));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let (place, mut folder) = folder();
        nix::unistd::mkfifo(&place.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", place.path().join("zero")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
        for name in ["", "sub", "fifo", "zero", "socket", "a.html/x", "missing", "nul\0", &"x".repeat(5000)] {
            assert!(look_at(&place.path().join(name)).is_err() && seen(&mut folder, name).is_none(), "{name}");
        }
        assert!(Folder::load(place.path().to_owned()).is_ok());
    }

    #[test]
    fn links_are_followed_wherever_they_lead() {
        let (place, mut folder) = folder();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("c.html"), "elsewhere").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place.path().join("out")).unwrap();
        std::os::unix::fs::symlink("nowhere", place.path().join(".#a.html")).unwrap();
        std::os::unix::fs::symlink(".", place.path().join("round")).unwrap();
        assert_eq!(seen(&mut folder, "out/c.html").as_deref(), Some("elsewhere"));
        assert!(Folder::load(place.path().to_owned()).is_ok());
    }

    #[test]
    fn what_cannot_be_read_any_more_stays_as_it_was() {
        let (place, mut folder) = folder();
        let path = place.path().join("a.html");
        // A link to itself fails like a lack of rights would, for root too.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("a.html", &path).unwrap();
        assert_eq!(seen(&mut folder, "a.html").as_deref(), Some("one"));
        let trouble = folder.trouble.clone();
        assert!(trouble.is_some_and(|text| text.contains("/a.html: ")));
        assert!(Folder::load(place.path().to_owned()).is_err(), "at the start it is an error");
        // So does the folder itself while it is being replaced.
        std::fs::rename(place.path().join("sub"), place.path().with_extension("aside")).unwrap();
        std::fs::remove_dir_all(place.path()).unwrap();
        assert_eq!(seen(&mut folder, "a.html").as_deref(), Some("one"));
        std::fs::rename(place.path().with_extension("aside"), place.path()).unwrap();
        assert_eq!((seen(&mut folder, "a.html"), seen(&mut folder, "b.html").as_deref()), (None, Some("deeper")));
        assert_eq!(folder.trouble, None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_pages_that_replace_embedded_ones_come_first() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("0");
        std::fs::write(&file, vec![b'x'; MAX_PAGE as usize]).unwrap();
        for name in (1..40).map(|number| number.to_string()).chain(["success.html".to_owned()]) {
            std::fs::hard_link(&file, place.path().join(name)).unwrap();
        }
        let (mut folder, _) = Folder::load(place.path().to_owned()).unwrap();
        assert!(folder.look().is_none(), "the same are kept");
        assert_eq!(total(&folder) as u64, MAX_TOTAL);
        assert!(folder.kept.contains_key("success.html") && folder.kept.contains_key("0"));
        assert!(!folder.kept.contains_key("9"), "it comes last");
    }

    #[test]
    fn a_slow_folder_is_looked_at_rarely() {
        assert_eq!(Folder::pause(Duration::from_millis(2)), 1000);
        assert_eq!(Folder::pause(Duration::from_millis(500)), 10_500);
    }
}

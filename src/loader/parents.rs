//! The files that say something of parents: hosts that they are used for or not, and what they are told of us. Read whole, looked
//! at again and again. Knows nothing of requests.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reactor::Millis;

use super::Look;
use crate::http::request::{Announce, Parent};
use crate::http::target::Target;
use crate::policy::lists::line::ListFormat;
use crate::policy::lists::list::{List, ListReading};
use crate::policy::lists::names::ListKey;
use crate::policy::parents::chain::ParentChain;
use crate::policy::parents::login::ParentLogins;
use crate::policy::parents::sites::ParentSites;
use crate::policy::parents::Parents;
use crate::system::files;

/// Milliseconds between two looks.
const LOOK: Millis = 2_000;

/// Largest file of hosts, in bytes, and largest file of users and passwords.
const MAX_SITES: u64 = 256 << 20;
const MAX_LOGINS: u64 = 64 << 10;

/// Hosts: entries of a list, and files of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteSources {
    /// The option that names them.
    pub option: &'static str,
    /// The entries.
    pub entries: Vec<String>,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// What the configuration says of parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentOptions {
    /// Where they are, in their order (`parent.proxy`).
    pub places: Vec<Target>,
    /// Behind them requests go straight to their origins.
    pub direct: bool,
    /// Which header connections to them begin with (`parent.proxy-protocol`).
    pub announce: Announce,
    /// What they are told of us (`parent.auth-file`).
    pub logins: Option<PathBuf>,
    /// The hosts that they are used for; None for all (`parent.for`).
    pub only: Option<SiteSources>,
    /// The hosts that they are not used for (`parent.except`).
    pub except: SiteSources,
    /// Names are resolved before a parent gets them (`parent.resolve`), if it was said.
    pub resolve: Option<bool>,
    /// What names are hashed with.
    pub key: ListKey,
}

impl ParentOptions {
    /// Reads all files.
    ///
    /// # Errors
    /// Which file cannot be read, or which line is wrong.
    pub fn read(&self) -> Result<Parents, String> {
        let logins = self.logins.as_deref().map_or_else(|| Ok(ParentLogins::default()), logins)?;
        let parent = |to: &Target| {
            let credentials = logins.of(to, true);
            Arc::new(Parent { host: to.host.clone(), port: to.port, credentials, announce: self.announce })
        };
        let only = self.only.as_ref().map(|only| only.read(self.key)).transpose()?;
        Ok(Parents {
            chain: ParentChain::new(self.places.iter().map(parent).collect(), self.direct),
            sites: Arc::new(ParentSites { only, except: self.except.read(self.key)? }),
            resolve: self.resolve,
            announce: self.announce,
            logins,
        })
    }
}

/// The files as they were read last.
#[derive(Debug)]
pub struct ParentReader {
    options: ParentOptions,
    seen: Vec<ParentMark>,
    /// What the log was told of the last look, if that was in vain.
    told: Option<String>,
}

/// What tells a changed file from an unchanged one: its number, its length, its time of change.
type ParentMark = Option<(u64, u64, i64, i64)>;

impl ParentReader {
    /// Takes the files for read as they are now; None if there is none. To be made before they are read, so that a change that
    /// comes meanwhile is seen at the first look.
    pub fn new(options: ParentOptions) -> Option<ParentReader> {
        let seen = options.marks();
        (!seen.is_empty()).then_some(ParentReader { options, seen, told: None })
    }
}

impl Look for ParentReader {
    /// The parents with what the files say now.
    type News = Parents;

    fn what(&self) -> String {
        "reading files about parents".to_owned()
    }

    fn look(&mut self) -> Option<Parents> {
        let marks = self.options.marks();
        if marks == self.seen {
            return None;
        }
        match self.options.read() {
            Ok(parents) => {
                (self.seen, self.told) = (marks, None);
                crate::critical!(target: "configuration", "files about parents have changed and were taken over");
                Some(parents)
            }
            // It is tried again: what is in the way may go without a change of the file.
            Err(error) => {
                if self.told.as_ref() != Some(&error) {
                    log::error!(target: "configuration", "{error}; what was read before stays in force");
                    self.told = Some(error);
                }
                None
            }
        }
    }

    fn pause(took: Duration) -> Millis {
        // A large file that stays wrong is read again and again: for a tenth of the time at most.
        LOOK.max(10 * u64::try_from(took.as_millis()).unwrap_or(LOOK))
    }
}

impl ParentOptions {
    fn marks(&self) -> Vec<ParentMark> {
        let sites = self.only.iter().chain([&self.except]).flat_map(|sites| &sites.files);
        let mark = |path: &PathBuf| {
            let about = fs::metadata(path).ok()?;
            Some((about.ino(), about.len(), about.ctime(), about.ctime_nsec()))
        };
        self.logins.iter().chain(sites).map(mark).collect()
    }

    /// What is wrong with each of the files.
    pub fn mistakes(&self) -> Vec<String> {
        let logins = self.logins.as_deref().and_then(|path| logins(path).err());
        let sites = self.only.iter().chain([&self.except]).filter_map(|sites| sites.read(self.key).err());
        logins.into_iter().chain(sites).collect()
    }
}

impl SiteSources {
    fn read(&self, key: ListKey) -> Result<List, String> {
        let mut reading = ListReading::new(key);
        reading.begin(self.option);
        self.entries.iter().for_each(|entry| reading.read(entry.as_bytes(), ListFormat::Lines));
        for path in &self.files {
            reading.begin(&path.display().to_string());
            files::read_lines(path, MAX_SITES, |lines| reading.read(lines, ListFormat::Lines))
                .map_err(|error| format!("{}: {}: {error}", self.option, path.display()))?;
        }
        reading.finish().map_err(|fault| format!("{}: {fault}", self.option))
    }
}

fn logins(path: &Path) -> Result<ParentLogins, String> {
    let place = path.display();
    let unread = |error| format!("parent.auth-file: {place}: {error}");
    let bytes = files::read(path, MAX_LOGINS + 1).map_err(unread)?;
    files::fits(bytes.len() as u64, MAX_LOGINS).map_err(unread)?;
    ParentLogins::parse(&bytes).map_err(|(line, why)| format!("parent.auth-file: {place}:{line}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_say_who_is_reached_through_which_parent_and_how() {
        let folder = tempfile::tempdir().unwrap();
        let (sites, auth) = (folder.path().join("sites"), folder.path().join("auth"));
        fs::write(&sites, "# inside\n*.corp.test\n10.0.0.0/8\n").unwrap();
        fs::write(&auth, "user:password\n").unwrap();
        let place = |text: &str| Target::from_authority(text.as_bytes(), None).unwrap();
        let options = ParentOptions {
            places: vec![place("p.test:3128"), place("q.test:1")],
            direct: false,
            announce: Announce::Off,
            logins: Some(auth.clone()),
            only: None,
            except: SiteSources { option: "parent.except", entries: vec!["a.test".into()], files: vec![sites.clone()] },
            resolve: None,
            key: ListKey(1, 2),
        };
        let parents = options.read().unwrap();
        let credentials = parents.chain.at(&place("q.test:1")).unwrap().credentials.clone();
        assert_eq!(credentials.as_deref(), Some("Basic dXNlcjpwYXNzd29yZA=="));
        let mut reader = ParentReader::new(options.clone()).expect("there are files");
        assert!(reader.look().is_none(), "nothing has changed");
        let takes = |host: &str| parents.sites.take(&place(host).host, 80, &[]);
        assert_eq!(["b.test:80", "a.test:80", "x.corp.test:80"].map(takes), [true, false, false]);
        fs::write(&sites, "a..b\n").unwrap();
        let shown = sites.display();
        assert_eq!(options.read().unwrap_err(), format!("parent.except: {shown}:1: neither a name nor an address"));
        assert!(reader.look().is_none(), "what cannot be read changes nothing");
        fs::write(&sites, "b.test\n").unwrap();
        let changed = reader.look().expect("it can be read again");
        assert!(!changed.sites.take(&place("b.test:80").host, 80, &[]) && reader.look().is_none(), "once");
        let none = ParentOptions { logins: None, except: SiteSources::default(), ..options.clone() };
        assert!(ParentReader::new(none).is_none(), "there is no file to look at");
        fs::write(&auth, "user\n").unwrap();
        assert_eq!(
            options.read().unwrap_err(),
            format!("parent.auth-file: {}:1: it is no user:password", auth.display())
        );
        fs::remove_file(&auth).unwrap();
        assert!(options.read().unwrap_err().starts_with("parent.auth-file: "));
    }
}

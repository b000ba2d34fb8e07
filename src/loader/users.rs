//! Files of users: read whole, looked at again and again. Knows what a file is, and nothing of requests.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reactor::Millis;

use super::Look;
use crate::policy::credentials::users::{UserTable, UsersFault};
use crate::system::files;

/// Milliseconds between two looks.
const LOOK: Millis = 2_000;

/// Largest file that is read, in bytes: some 200,000 users.
const MAX_BYTES: u64 = 16 << 20;

/// A check that takes longer than this is told of.
const SLOW: Duration = Duration::from_millis(10);

/// Which file, and what it is called in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersOptions {
    /// The file.
    pub path: PathBuf,
    /// The option that names it: `auth.users`.
    pub option: &'static str,
}

impl UsersOptions {
    /// Reads the file.
    ///
    /// # Errors
    /// That it cannot be read, or which line is wrong.
    pub fn read(self) -> Result<(UsersReader, Arc<UserTable>), String> {
        // Before reading: a file that changes meanwhile is read again at the first look.
        let seen = mark(&self.path);
        let users = self.check()?;
        self.tell(&users);
        Ok((UsersReader { options: self, seen, told: None }, Arc::new(users)))
    }

    /// Reads the file and says nothing of it.
    ///
    /// # Errors
    /// Those of [`UsersOptions::read`].
    pub fn check(&self) -> Result<UserTable, String> {
        self.load().map_err(|(error, _)| error)
    }

    /// The users, or why there are none, and whether that may pass by itself.
    fn load(&self) -> Result<UserTable, (String, bool)> {
        let place = self.path.display();
        let text = bytes_of(&self.path).map_err(|error| {
            let passing = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EIO));
            (format!("{}: {place}: {error}", self.option), passing)
        })?;
        let wrong = |UsersFault { line, why }| (format!("{}: {place}:{line}: {why}", self.option), false);
        UserTable::parse(text).map_err(wrong)
    }

    /// Says what was found, and how long a check takes: the dearest hash of each kind is tried once.
    fn tell(&self, users: &UserTable) {
        let (option, place) = (self.option, self.path.display());
        if users.is_empty() {
            log::error!(target: "configuration", "{option}: there is no user in {place}, so that nobody can log in");
        }
        let mut kinds = users.kinds().peekable();
        while let Some((kind, cost, count, hash)) = kinds.next() {
            // They come by kind and cost.
            if kinds.peek().is_some_and(|(next, ..)| *next == kind) {
                continue;
            }
            let start = Instant::now();
            hash.matches(b"");
            let took = start.elapsed();
            match took > SLOW {
                true => log::warn!(
                    target: "configuration",
                    "{option}: {count} of {place} have {kind} with cost {cost}, a check takes {} ms",
                    took.as_millis()
                ),
                false => {
                    log::info!(target: "configuration", "{option}: {count} of {place} have {kind} with cost {cost}")
                }
            }
        }
    }
}

fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = files::read(path, MAX_BYTES + 1)?;
    files::fits(bytes.len() as u64, MAX_BYTES)?;
    Ok(bytes)
}

/// The file as it was read last.
#[derive(Debug)]
pub struct UsersReader {
    options: UsersOptions,
    seen: UsersMark,
    /// What the log was told of the last look, if that was in vain.
    told: Option<String>,
}

/// What tells a changed file from an unchanged one: its number, its length, its time of change.
type UsersMark = Option<(u64, u64, i64, i64)>;

impl Look for UsersReader {
    /// The users, or why they are not known.
    type News = Result<Arc<UserTable>, String>;

    fn what(&self) -> String {
        format!("reading {}", self.options.path.display())
    }

    fn look(&mut self) -> Option<Result<Arc<UserTable>, String>> {
        let mark = mark(&self.options.path);
        if mark == self.seen {
            return None;
        }
        match self.options.load() {
            Ok(users) => {
                (self.seen, self.told) = (mark, None);
                self.options.tell(&users);
                crate::critical!(
                    target: "configuration",
                    "{} have changed: {} users now", self.options.option, users.len()
                );
                Some(Ok(Arc::new(users)))
            }
            // Without a descriptor it is tried again, or a change would be lost until the next one.
            Err((error, true)) if self.told.as_ref() == Some(&error) => None,
            Err((error, passing)) => {
                if !passing {
                    self.seen = mark;
                }
                log::error!(target: "configuration", "{error}; the users that were read before may still log in");
                self.told = Some(error.clone());
                Some(Err(error))
            }
        }
    }

    fn pause(_: Duration) -> Millis {
        LOOK
    }
}

fn mark(path: &Path) -> UsersMark {
    let about = fs::metadata(path).ok()?;
    Some((about.ino(), about.len(), about.ctime(), about.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_leaves_the_users_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let shown = path.display().to_string();
        let options = UsersOptions { path: path.clone(), option: "auth.users" };
        let missing = options.clone().read().map(drop).unwrap_err();
        assert!(missing.starts_with(&format!("auth.users: {shown}: ")), "{missing}");
        fs::write(&path, "ann:a\n").unwrap();
        let (mut reader, users) = options.read().unwrap();
        assert!(users.check("ann", b"a") && reader.look().is_none(), "nothing has changed");
        fs::write(&path, "ann:b\nbob\n").unwrap();
        let wrong = reader.look().unwrap().unwrap_err();
        assert!(wrong.starts_with(&format!("auth.users: {shown}:2: no colon")), "{wrong}");
        assert!(reader.look().is_none(), "once");
        fs::remove_file(&path).unwrap();
        assert!(reader.look().unwrap().unwrap_err().starts_with(&format!("auth.users: {shown}: ")));
        // A folder can be opened and not read, by root neither.
        fs::create_dir(&path).unwrap();
        assert!(reader.look().unwrap().is_err());
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "ann:b\n").unwrap();
        assert!(reader.look().unwrap().unwrap().check("ann", b"b") && reader.look().is_none());
        fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(reader.look().unwrap().unwrap_err().ends_with("the file is too large"));
    }
}

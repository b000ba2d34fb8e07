//! The configuration read again, with all the files that it names, beside the loop. Changes nothing: what comes of it is
//! taken over by [`super::Supervisor`], or not.

use super::budget::budget;
use super::inspect::{self, Inspection};
use super::options::options;
use super::{foreign_addresses, log_settings};
use crate::config::{self, Config, Loaded, Sources, Watched};
use crate::loader::{Loader, Pending};
use crate::logs::LogSettings;
use crate::proxy;
use crate::system::descriptors::raise_descriptors;

/// What there is to take over.
pub(super) struct Fresh {
    pub(super) options: proxy::Options,
    pub(super) log: LogSettings,
    pub(super) config: Config,
}

/// Who reads, with what it remembers of the files that it saw at the start.
pub(super) struct ConfigReader {
    sources: Sources,
    disk: Watched,
    debug: bool,
}

impl ConfigReader {
    pub(super) fn new(sources: Sources, disk: Watched, debug: bool) -> ConfigReader {
        ConfigReader { sources, disk, debug }
    }

    /// Reads everything that a reload needs.
    fn read(&self) -> Result<Fresh, String> {
        let loaded = self.load()?;
        foreign_addresses(&loaded.config)?;
        let budget = budget(&loaded.config);
        let options = options(&loaded, budget.fitted(raise_descriptors(budget.need())))
            .and_then(|options| inspect::helper(&loaded.config).map(|()| options))
            .map_err(|error| Inspection::new(&loaded).for_reload().told_with(error))?;
        Ok(Fresh { options, log: log_settings(&loaded.config, self.debug), config: loaded.config })
    }

    /// Could everything be read that a reload needs?
    ///
    /// # Errors
    /// Why it could not, in the first words.
    pub(super) fn check(&self) -> Result<(), String> {
        let loaded = self.load()?;
        Inspection::new(&loaded).for_reload().into_lines().into_iter().next().map_or(Ok(()), Err)
    }

    fn load(&self) -> Result<Loaded, String> {
        let loaded = config::load_to_run(&self.sources, &self.disk);
        if let Some(path) = self.disk.take_hidden() {
            return Err(format!("{}: permission denied, though it could be read at the start", path.display()));
        }
        loaded.map_err(|wrong| wrong.to_string())
    }
}

/// The reloads that were asked for: one under way, and one that comes behind it however often it was asked for.
pub(super) struct Reload {
    /// None while the loader has it.
    reader: Option<Box<ConfigReader>>,
    pending: Pending<(Box<ConfigReader>, Result<Fresh, String>)>,
    again: bool,
}

impl Reload {
    pub(super) fn new(reader: ConfigReader) -> Reload {
        Reload { reader: Some(Box::new(reader)), pending: Pending::default(), again: false }
    }

    /// Has the loader read everything, now or as soon as it has done so already: what was changed meanwhile may have been
    /// read before.
    pub(super) fn ask(&mut self, loader: &mut Loader) {
        let Some(reader) = self.reader.take() else {
            self.again = true;
            return;
        };
        self.pending.ask(loader, "reading the configuration", move || {
            let fresh = reader.read();
            (reader, fresh)
        });
    }

    /// Is one under way?
    pub(super) fn is_busy(&self) -> bool {
        self.reader.is_none()
    }

    /// What was read, once, or why that was not possible.
    pub(super) fn take(&mut self, loader: &mut Loader) -> Option<Result<Fresh, String>> {
        let (reader, fresh) = self.pending.take()?;
        self.reader = Some(reader);
        if std::mem::take(&mut self.again) {
            self.ask(loader);
        }
        Some(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::owner::Owner;
    use reactor::poller::Poller;
    use std::time::Duration;

    #[test]
    fn however_often_it_is_asked_for_one_more_reload_follows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exaproxy.conf");
        std::fs::write(&file, "[nothing]\n").unwrap();
        let sources = Sources { file: Some(file), here: folder.path().to_owned(), ..Sources::default() };
        let mut reload = Reload::new(ConfigReader::new(sources, Watched::default(), false));
        let mut poller: Poller<Owner> = Poller::new().unwrap();
        let mut loader = Loader::new(&mut poller).unwrap();
        for _ in 0..5 {
            reload.ask(&mut loader);
        }
        loader.start().unwrap();
        let mut taken = 0;
        while reload.pending.is_busy() {
            let mut seen = Vec::new();
            poller.wait(Some(Duration::from_secs(10)), &mut seen).unwrap();
            seen.iter().for_each(|(_, ready)| loader.handle_event(*ready));
            taken += usize::from(reload.take(&mut loader).is_some());
        }
        assert_eq!((taken, reload.reader.is_some()), (2, true));
    }
}

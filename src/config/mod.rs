//! The configuration: one table of options (`options`), the kinds of their values (`value`, `text`, `lists`, `paths`),
//! where texts come from (`sources`, `ini`, `names`), and how values are printed (`print`, `document`). Only `disk`
//! touches the system; all else is given its files and environment, and starts nothing.

pub mod destination;
mod disk;
#[cfg(test)]
pub(crate) mod document;
mod error;
pub mod history;
pub mod ini;
pub mod listen;
pub mod listeners;
pub mod lists;
mod monitor;
mod names;
pub mod options;
pub mod pac;
pub mod parents;
pub mod paths;
pub mod place;
mod print;
mod sizes;
mod sources;
mod table;
pub mod text;
mod threads;
mod together;
mod units;
pub mod unix;
mod unknown;
pub mod value;
pub mod words;

pub use disk::{Disk, Watched};
pub use error::{Error, Mistakes, ValueSource};
pub use history::OptionHistory;
pub use ini::{FaultKind, IniFault};
pub use options::{
    find, Acl, Auth, Config, Daemon, Debug, Dns, Http, Icap, Intercept, Log, OptionEntry, Pac, Parent, Passthrough,
    Profile, Proxy, Redirector, Security, Tcp4, Tcp6, Tls, Unix, Usage, Web, OPTIONS,
};
pub use place::{FileKind, Files, PathContext};
pub use print::{help_options, help_sources, PrintForm};
pub use sources::{Setting, Sources, FILE, FOLDERS};
pub use unknown::nearest;

use crate::web::OptionFact;
use sources::Given;

/// A configuration that was read and found to be sound.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The same values as text, in the order of the table.
    pub values: Vec<Value>,
    /// Names that look like options and are none, one line each.
    pub warnings: Vec<String>,
    /// Further names that are none and stop the start, because rules would rely on them.
    refusals: Vec<Error>,
    /// The ini file that was read.
    pub file: Option<std::path::PathBuf>,
}

/// One value as text.
#[derive(Clone, Debug)]
pub struct Value {
    /// The option.
    pub entry: &'static OptionEntry,
    /// The value as it is printed, without quotes.
    pub text: String,
    /// Whether it differs from the default.
    pub differs: bool,
    /// Where it comes from.
    pub source: ValueSource,
}

/// Reads the configuration from the sources. What comes first counts: command line, environment with dots, environment with
/// underscores, `[section]` of the ini file, `[exaproxy.section]`, default.
///
/// # Errors
/// All that is wrong with it.
pub fn load(sources: &Sources, files: &dyn Files) -> Result<Loaded, Mistakes> {
    let (loaded, wrong) = survey(sources, files);
    wrong.none()?;
    loaded.ok_or_else(Mistakes::default)
}

/// Reads the configuration as [`load`] does for a program that is to run, which refuses what it could not honour too: switches
/// whose part of the program does not exist yet, and rules under names that mean nothing.
///
/// # Errors
/// All that is wrong with it.
pub fn load_to_run(sources: &Sources, files: &dyn Files) -> Result<Loaded, Mistakes> {
    let (loaded, mut wrong) = survey(sources, files);
    loaded.iter().for_each(|loaded| loaded.note_refusals(&mut wrong));
    wrong.none()?;
    loaded.ok_or_else(Mistakes::default)
}

/// Reads the configuration with all that is wrong with it. An option whose text is wrong has its default.
fn survey(sources: &Sources, files: &dyn Files) -> (Option<Loaded>, Mistakes) {
    let place = sources.place(files);
    let mut wrong = Mistakes::default();
    let given = Given::gather(sources, files, &mut wrong);
    let defaults = Config::read(&Given::default(), &place, &mut Mistakes::default());
    let (Some(config), Some(defaults)) = (Config::read(&given, &place, &mut wrong), defaults) else {
        return (None, wrong);
    };
    together::check(&config, &given, &mut wrong);
    let value = |entry: &&'static OptionEntry| {
        let text = (entry.text)(&config, &place);
        let differs = text != (entry.text)(&defaults, &place);
        Value { entry, text, differs, source: given.source(entry) }
    };
    let values = OPTIONS.iter().map(value).collect();
    let unknown = given.unknown();
    let loaded = Loaded {
        config,
        values,
        warnings: unknown::warnings(&unknown),
        refusals: unknown::refusals(&unknown),
        file: given.file().map(Into::into),
    };
    (Some(loaded), wrong)
}

/// Reads the configuration as [`load_to_run`] does and takes all that could be meant otherwise for a mistake too. The
/// configuration is there where it can be looked at further, each line of the mistakes beside.
pub fn check(sources: &Sources, files: &dyn Files) -> (Option<Loaded>, Vec<String>) {
    let (loaded, mut wrong) = survey(sources, files);
    loaded.iter().for_each(|loaded| loaded.note_refusals(&mut wrong));
    let warnings = loaded.iter().flat_map(|loaded| loaded.warnings.clone());
    let lines = wrong.lines().into_iter().chain(warnings).collect();
    (loaded, lines)
}

impl Loaded {
    /// Notes what could not be honoured: see [`load_to_run`].
    fn note_refusals(&self, wrong: &mut Mistakes) {
        self.refusals.iter().cloned().for_each(|error| wrong.add(error));
        let on = |value: &&Value| value.entry.history == OptionHistory::Unbuilt && value.text == "true";
        for Value { entry, source, .. } in self.values.iter().filter(on) {
            wrong.add(Error::Unbuilt { source: source.clone(), section: entry.section, key: entry.key });
        }
    }

    /// Where the text of an option stands, in words; None where it was not set.
    pub fn place_of(&self, section: &str, key: &str) -> Option<String> {
        let named = |value: &&Value| value.entry.section == section && value.entry.key == key;
        let source = &self.values.iter().find(named)?.source;
        (*source != ValueSource::Default).then(|| source.to_string())
    }

    /// Whether an option was set, be it to its default.
    pub fn is_set(&self, section: &str, key: &str) -> bool {
        let named = |value: &&Value| value.entry.section == section && value.entry.key == key;
        self.values.iter().find(named).is_some_and(|value| value.source != ValueSource::Default)
    }

    /// Every option as the monitor shows it.
    pub fn facts(&self) -> Vec<OptionFact> {
        monitor::of(&self.values, &self.config)
    }

    /// The configuration in a form that can be read again.
    pub fn print(&self, form: PrintForm) -> String {
        print::values(&self.values, form)
    }
}

#[cfg(test)]
mod tests;

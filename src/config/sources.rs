//! Where values come from: command line, environment, ini file, default, in this order. Finds the file, looks options up under all
//! their names, and notices names that are no option. Does not know what a value means.

use super::error::{shown, Error, Mistakes, ValueSource};
use super::ini::{self, Ini};
use super::names::{environment_names, ini_sections, keys};
use super::options::{OptionEntry, Texts};
use super::place::{tree, Files, PathContext};
use super::unknown::{KnownNames, Unknown, SWITCH};
use super::value::{unquote, ValueType};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the ini file below each of the folders that are searched.
pub const FILE: &str = "etc/exaproxy/exaproxy.conf";

/// Folders behind the program's own tree in which the ini file is searched.
pub const FOLDERS: [&str; 2] = ["/", "/usr"];

/// What a switch of the command line says of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The switch as it is typed.
    pub switch: &'static str,
    /// The section of the option.
    pub section: &'static str,
    /// Its name within the section.
    pub key: &'static str,
    /// The text of its value.
    pub text: String,
    /// The text is a path as a shell has it: a relative one starts in the current folder.
    pub path: bool,
}

/// Everything outside the program that decides about its configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What the command line says of options.
    pub settings: Vec<Setting>,
    /// The folder for logs that the command line names, which is made where it is missing.
    pub log_folder: Option<PathBuf>,
    /// Environment variables.
    pub environment: Vec<(OsString, OsString)>,
    /// The file of the command line's `-c`.
    pub file: Option<PathBuf>,
    /// The program's own path, which tells where it is installed.
    pub program: Option<PathBuf>,
    /// The user's own folder.
    pub home: Option<PathBuf>,
    /// The current folder at the start of the program.
    pub here: PathBuf,
}

impl Sources {
    /// The surroundings in which paths have their meaning.
    pub fn place<'a>(&self, files: &'a dyn Files) -> PathContext<'a> {
        let root = self.program.as_deref().and_then(tree);
        PathContext { root, home: self.home.clone(), here: self.here.clone(), files }
    }

    /// The places where the ini file is looked for when none is named; the first that exists is read.
    pub fn search(&self) -> Vec<PathBuf> {
        let tree = self.program.as_deref().and_then(tree);
        let mut search: Vec<PathBuf> = Vec::new();
        for folder in tree.into_iter().chain(FOLDERS.map(PathBuf::from)) {
            let path = folder.join(FILE);
            if !search.contains(&path) {
                search.push(path);
            }
        }
        search
    }
}

/// What was given for the options, before it is understood.
#[derive(Default)]
pub(super) struct Given {
    settings: Vec<Setting>,
    environment: BTreeMap<String, OsString>,
    ini: Ini,
    file: Option<PathBuf>,
}

/// One text that was given for an option.
struct Found {
    text: String,
    source: ValueSource,
}

impl Given {
    /// Collects the environment and reads the ini file. What is wrong with its form is noted.
    pub(super) fn gather(sources: &Sources, files: &dyn Files, wrong: &mut Mistakes) -> Given {
        let named = sources.environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
        let ours = named.filter(|(name, _)| of_ours(name));
        let environment = ours.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let mut given = Given { settings: sources.settings.clone(), environment, ..Given::default() };
        match &sources.file {
            Some(path) => {
                let path = sources.here.join(path);
                match files.read(&path, ini::LARGEST + 1) {
                    Ok(bytes) => given.take(path, &bytes, wrong),
                    Err(reason) => wrong.add_lost(unreadable(&path, &reason)),
                }
            }
            None => given.search(sources, files, wrong),
        }
        given
    }

    /// The ini file that was read.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Where the value of an option comes from.
    pub(super) fn source(&self, entry: &'static OptionEntry) -> ValueSource {
        self.find(entry).ok().flatten().map_or(ValueSource::Default, |found| found.source)
    }

    /// The refusal of a value that is well-formed and yet does not fit the others.
    pub(super) fn refusal(&self, entry: &'static OptionEntry, expected: &str) -> Error {
        let default = || Found { text: entry.default.into(), source: ValueSource::Default };
        match self.find(entry) {
            Ok(found) => {
                let found = found.unwrap_or_else(default);
                invalid(entry, found.source, &found.text, expected.into())
            }
            Err(error) => error,
        }
    }

    /// The names that look like options and are none.
    pub(super) fn unknown(&self) -> Vec<Unknown> {
        let names = KnownNames::of_table();
        let mut all = self.unknown_environment(&names);
        all.extend(self.unknown_ini(&names));
        all
    }

    fn search(&mut self, sources: &Sources, files: &dyn Files, wrong: &mut Mistakes) {
        for path in sources.search() {
            match files.read(&path, ini::LARGEST + 1) {
                Ok(bytes) => return self.take(path, &bytes, wrong),
                Err(reason) if matches!(reason.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(reason) => return wrong.add_lost(unreadable(&path, &reason)),
            }
        }
    }

    fn take(&mut self, path: PathBuf, bytes: &[u8], wrong: &mut Mistakes) {
        let (ini, faults) = Ini::parse(bytes);
        faults.into_iter().for_each(|fault| wrong.add_lost(Error::Form { path: path.clone(), fault }));
        self.ini = ini;
        self.file = Some(path);
    }

    fn find(&self, entry: &'static OptionEntry) -> Result<Option<Found>, Error> {
        let meant = |setting: &&Setting| (setting.section, setting.key) == (entry.section, entry.key);
        if let Some(setting) = self.settings.iter().find(meant) {
            let source = ValueSource::CommandLine(setting.switch);
            return Ok(Some(Found { text: setting.text.clone(), source }));
        }
        match self.find_environment(entry)? {
            Some(found) => Ok(Some(found)),
            None => self.find_ini(entry),
        }
    }

    fn find_environment(&self, entry: &'static OptionEntry) -> Result<Option<Found>, Error> {
        for name in environment_names(entry) {
            let Some(value) = self.environment.get(&name) else { continue };
            let source = ValueSource::Environment(name);
            return match value.to_str() {
                Some(text) if text.len() > ini::LONGEST_GIVEN => {
                    Err(invalid(entry, source, text, format!("at most {} bytes", ini::LONGEST_GIVEN)))
                }
                Some(text) => Ok(Some(Found { text: text.to_owned(), source })),
                None => Err(invalid(entry, source, &value.to_string_lossy(), "text in UTF-8".into())),
            };
        }
        Ok(None)
    }

    fn find_ini(&self, entry: &OptionEntry) -> Result<Option<Found>, Error> {
        let Some(path) = &self.file else { return Ok(None) };
        for section in ini_sections(entry) {
            if let Some(item) = keys(entry).into_iter().find_map(|key| self.ini.value(&section, &key)) {
                let item = item.map_err(|fault| Error::Form { path: path.clone(), fault })?;
                return Ok(Some(Found { text: item.text, source: ValueSource::File(path.clone(), item.line) }));
            }
        }
        Ok(None)
    }

    fn unknown_environment(&self, names: &KnownNames) -> Vec<Unknown> {
        let unknown = self.environment.iter().filter(|(name, _)| !names.environment.contains(*name));
        let lines = unknown.filter_map(|(name, value)| {
            let option = name.get("exaproxy_".len()..)?.replacen('_', ".", 1);
            if !name.starts_with("EXAPROXY") {
                return Some(Unknown::option(option, &value.to_string_lossy(), format!("environment {}", shown(name))));
            }
            // Other names in capitals belong to other programs.
            let option = option.to_ascii_lowercase();
            let place = format!("environment {}: names are written in small letters", shown(name));
            let meant = names.environment.contains(&name.to_ascii_lowercase());
            meant.then(|| Unknown::capitals(option, place))
        });
        lines.collect()
    }

    fn unknown_ini(&self, names: &KnownNames) -> Vec<Unknown> {
        let Some(path) = &self.file else { return Vec::new() };
        let place = |line| format!("{}:{line}", shown(&path.to_string_lossy()));
        let text = |section: &str, key: &str| self.ini.value(section, key).and_then(Result::ok).map(|item| item.text);
        let mut lines = Vec::new();
        for (section, line) in self.ini.sections() {
            let bare = section.strip_prefix("exaproxy.").unwrap_or(section);
            if !names.sections.contains(section) {
                let switch = text(section, SWITCH).unwrap_or_default();
                lines.push(Unknown::section(bare, section, &switch, place(line)));
                continue;
            }
            let unknown = self.ini.names(section).filter(|(key, _)| !names.ini.contains(&format!("{section}.{key}")));
            // A section that is there has all its switches, so that their values need no look.
            lines.extend(unknown.map(|(key, line)| Unknown::option(format!("{bare}.{key}"), "", place(line))));
        }
        lines
    }
}

impl Texts for Given {
    fn read<K: ValueType>(
        &self,
        entry: &'static OptionEntry,
        place: &PathContext,
        wrong: &mut Mistakes,
    ) -> Option<K::Value> {
        let option = (entry.section, entry.key);
        match self.find(entry) {
            Ok(None) => {}
            Ok(Some(found)) => {
                let text = unquote(&found.text);
                if let Some(value) = K::parse(text, place) {
                    return Some(value);
                }
                let expected = K::fault(text).unwrap_or_else(K::form);
                wrong.add_broken(option, invalid(entry, found.source, &found.text, expected));
            }
            Err(error) => wrong.add_broken(option, error),
        }
        let value = K::initial(entry.default, place);
        if value.is_none() {
            wrong.add_broken(option, invalid(entry, ValueSource::Default, entry.default, K::form()));
        }
        value
    }
}

/// Whether an environment variable is meant for this program, be it written in capitals by mistake.
pub(super) fn of_ours(name: &str) -> bool {
    ["exaproxy.", "exaproxy_", "EXAPROXY_", "EXAPROXY."].iter().any(|start| name.starts_with(start))
}

fn invalid(entry: &'static OptionEntry, source: ValueSource, value: &str, expected: String) -> Error {
    Error::Value { source, section: entry.section, key: entry.key, value: value.to_owned(), expected }
}

fn unreadable(path: &Path, reason: &std::io::Error) -> Error {
    Error::File { path: path.to_owned(), reason: reason.to_string() }
}

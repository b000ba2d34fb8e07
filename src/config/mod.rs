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
pub mod unix;
mod unknown;
pub mod value;
pub mod words;

pub use disk::{Disk, Watched};
pub use error::{Error, ValueSource};
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

use crate::exchange::ingress::{Diversion, HostCheck};
use crate::http::target::Target;
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
pub fn load(sources: &Sources, files: &dyn Files) -> Result<Loaded, Error> {
    let place = sources.place(files);
    let given = Given::gather(sources, files)?;
    let config = Config::read(&given, &place)?;
    check_together(&config, &given)?;
    let defaults = Config::read(&Given::default(), &place)?;
    let value = |entry: &&'static OptionEntry| {
        let text = (entry.text)(&config, &place);
        let differs = text != (entry.text)(&defaults, &place);
        Ok(Value { entry, text, differs, source: given.source(entry)? })
    };
    let values = OPTIONS.iter().map(value).collect::<Result<Vec<Value>, Error>>()?;
    let unknown = given.unknown();
    Ok(Loaded {
        config,
        values,
        warnings: unknown::warnings(&unknown),
        refusals: unknown::refusals(&unknown),
        file: given.file().map(Into::into),
    })
}

/// Reads the configuration as [`load`] does and refuses all that could be meant otherwise: unknown names and parts of
/// the program that are not built. The error is what to print, one line each.
pub fn check(sources: &Sources, files: &dyn Files) -> Result<(), Vec<String>> {
    let loaded = load(sources, files).map_err(|error| vec![error.to_string()])?;
    let refusals = loaded.refusals.iter().cloned().chain(loaded.unbuilt()).map(|error| error.to_string());
    let lines: Vec<String> = loaded.warnings.iter().cloned().chain(refusals).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(lines),
    }
}

impl Loaded {
    /// Refuses options that the program could not honour: switches whose part of the program does not exist yet, and
    /// rules under names that mean nothing. To be called before starting, not before printing.
    pub fn check_built(&self) -> Result<(), Error> {
        self.refusals.first().cloned().or_else(|| self.unbuilt()).map_or(Ok(()), Err)
    }

    fn unbuilt(&self) -> Option<Error> {
        let on = |value: &&Value| value.entry.history == OptionHistory::Unbuilt && value.text == "true";
        let Value { entry, source, .. } = self.values.iter().find(on)?;
        Some(Error::Unbuilt { source: source.clone(), section: entry.section, key: entry.key })
    }

    /// Whether an option was set, be it to its default.
    pub fn is_set(&self, section: &str, key: &str) -> bool {
        let named = |value: &&Value| value.entry.section == section && value.entry.key == key;
        self.values.iter().find(named).is_some_and(|value| value.source != ValueSource::Default)
    }

    /// Every option as the monitor shows it: its name, its text, and whether that is JSON already.
    pub fn facts(&self) -> Vec<(String, String, bool)> {
        monitor::of(&self.values, &self.config)
    }

    /// The configuration in a form that can be read again.
    pub fn print(&self, form: PrintForm) -> String {
        print::values(&self.values, form)
    }
}

/// Rules about several options at a time.
fn check_together(config: &Config, given: &Given) -> Result<(), Error> {
    let refuse = |section, key, expected: &str| match find(section, key) {
        Some(entry) => given.refuse(entry, expected),
        None => Ok(()),
    };
    if !config.tcp4.out && !config.tcp6.out {
        refuse("tcp4", "out", "true for tcp4.out or tcp6.out, else no server can be reached")?;
    }
    if let Some((own, (section, key))) = config.doubled_listener() {
        let (own_section, own_key) = own.option;
        let expected = format!("another address than {}, on which {section}.{key} listens already", own.at);
        refuse(own_section, own_key, &expected)?;
    }
    if config.acl.default && config.acl.allowlist.is_empty() {
        refuse("acl", "default", "allow, or an acl.allowlist beside deny, else every request is refused")?;
    }
    let intercept = &config.intercept;
    if intercept.spoof && intercept.mode != Diversion::Tproxy {
        refuse(
            "intercept",
            "spoof",
            "false, or intercept.mode=tproxy beside it: what comes back must find its way here",
        )?;
    }
    if intercept.enable && config.acl.default && intercept.host_check == HostCheck::Ignore {
        let expected = "log or refuse beside acl.default=deny, else whoever says an allowed name may go anywhere";
        refuse("intercept", "host-check", expected)?;
    }
    if config.auth.enable && config.auth.users.is_none() {
        refuse("auth", "enable", "false, or a file of users in auth.users, else nobody can use the proxy")?;
    }
    if config.web.enable && !config.web.listen && config.web.path.is_none() {
        refuse("web", "listen", "true, or a Unix socket in web.path, else nobody can see the pages")?;
    }
    if config.acl.default && config.tls.enable && config.tls.destination {
        refuse(
            "tls",
            "destination",
            "name beside acl.default=deny: a client may say any name, and would be let through to any address",
        )?;
    }
    check_parents(config, &refuse)?;
    let redirector = &config.redirector;
    if redirector.enable {
        redirector
            .program
            .path
            .as_ref()
            .map_or_else(|expected| refuse("redirector", "program", expected), |_| Ok(()))?;
        if redirector.minimum > redirector.maximum {
            refuse("redirector", "minimum", "no more than redirector.maximum")?;
        }
    }
    Ok(())
}

/// Rules about parents.
fn check_parents(
    config: &Config,
    refuse: &impl Fn(&'static str, &'static str, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let parent = &config.parent;
    if parent.proxy.parents.is_empty() {
        return Ok(());
    }
    if !config.security.deny.is_empty() && parent.resolve.is_none() {
        refuse(
            "parent",
            "resolve",
            "true or false beside security.deny: true = names are resolved and judged here before a parent gets them, \
             false = their addresses are for the parent to judge",
        )?;
    }
    let denied = |place: &&Target| {
        let address = place.host.address();
        address.is_some_and(|address| config.security.deny.iter().any(|range| range.contains(&address)))
    };
    match parent.proxy.parents.iter().find(denied) {
        Some(place) => refuse("parent", "proxy", &format!("parents outside security.deny, in which {place} is")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

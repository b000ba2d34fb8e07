//! What a start would stumble over outside the configuration: files, folders, addresses, accounts, programs. All of it at once,
//! each with the place of its option. Opens nothing that stays open.

use super::options::{
    answers, list_options, name_options, parent_options, parents_fit, places, script, unreadable_names, users_options,
};
use super::{foreign_addresses, logs};
use crate::config::listeners::Listening;
use crate::config::{Config, Loaded};
use crate::exchange::ingress::Ingress;
use crate::proxy::InheritedSockets;
use crate::system::pidfile::Pidfile;
use crate::system::service::Activation;
use crate::system::{privileges, programs};
use reactor::listener;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What a start finds open, and need not be able to open itself.
#[derive(Default)]
pub(super) struct Inherited {
    sockets: InheritedSockets,
    /// Those of the proxy are shut for now.
    shut: bool,
    pidfile: Option<OwnedFd>,
}

impl Inherited {
    /// Takes it.
    ///
    /// # Errors
    /// Which socket no listener can be made of, and why.
    pub(super) fn new(Activation { sockets, handover, .. }: Activation) -> Result<Inherited, String> {
        let handover = handover.unwrap_or_default();
        let sockets = InheritedSockets::new(sockets, false)?;
        Ok(Inherited { sockets, shut: handover.shut, pidfile: handover.pidfile })
    }

    fn has_listener(&self, one: &Listening) -> bool {
        self.sockets.has(&one.at) || self.shut && one.ingress == Ingress::Proxy
    }

    fn has_pidfile(&self, path: &Path) -> bool {
        self.pidfile.as_ref().is_some_and(|file| Pidfile::is_claimed(path, file))
    }
}

/// What was found so far.
pub(super) struct Inspection<'a> {
    loaded: &'a Loaded,
    inherited: Inherited,
    lines: Vec<String>,
}

impl<'a> Inspection<'a> {
    pub(super) fn new(loaded: &'a Loaded) -> Inspection<'a> {
        Inspection { loaded, inherited: Inherited::default(), lines: Vec::new() }
    }

    /// With what the start finds open.
    pub(super) fn with(self, inherited: Inherited) -> Inspection<'a> {
        Inspection { inherited, ..self }
    }

    /// A line for each thing that is wrong.
    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }

    /// Everything that is done before the privileges of root are dropped.
    pub(super) fn before_privileges_go(mut self) -> Inspection<'a> {
        self = self.for_reload();
        let config = &self.loaded.config;
        self.note(foreign_addresses(config));
        let mut listeners = config.listeners();
        listeners.retain(|one| !self.inherited.has_listener(one));
        for one in listeners {
            let transparent = config.uses_foreign_addresses() && one.diversion.is_some();
            let checked = listener::check(&one.at, transparent);
            let (name, at) = (one.ingress.name(), &one.at);
            let options = [one.option, (one.option.0, "port")];
            let set = options.into_iter().find(|(section, key)| self.loaded.is_set(section, key));
            self.note_of(
                set.unwrap_or(one.option),
                checked.map_err(|error| format!("{name} unable to listen on {at}: {error}")),
            );
        }
        if let Some(path) = config.daemon.pidfile.as_ref().filter(|path| !self.inherited.has_pidfile(path)) {
            let checked = Pidfile::check(path).map_err(|error| format!("daemon.pidfile {}: {error}", path.display()));
            self.note_of(("daemon", "pidfile"), checked);
        }
        self
    }

    /// The files that a reload reads.
    pub(super) fn for_reload(mut self) -> Inspection<'a> {
        let config = &self.loaded.config;
        self.note_of(("web", "html"), answers(config));
        let owned = if config.unix.owner.is_empty() { ("daemon", "user") } else { ("unix", "owner") };
        self.note_of(owned, places(config));
        let lists = list_options(config).map(|options| (options.lists(), options));
        let read = match &lists {
            Some((Err(_), options)) => {
                let wrong = options.mistakes();
                wrong
                    .into_iter()
                    .for_each(|(key, error)| self.note_of(("acl", key), Err::<(), _>(format!("acl: {error}"))));
                None
            }
            Some((Ok(read), _)) => Some(read),
            None => None,
        };
        let parents = parent_options(config);
        match parents.read() {
            Ok(parents) => self.note(parents_fit(&parents, read)),
            Err(_) => parents.mistakes().into_iter().for_each(|error| self.note_named(error)),
        }
        self.note_of(("pac", "file"), script(config));
        let users = users_options(config).into_iter().flatten();
        users.for_each(|options| options.check().map_or_else(|error| self.note_named(error), drop));
        self.note(name_options(self.loaded).check().map_err(unreadable_names));
        self
    }

    /// Becomes the account of `daemon.user`, where this is root.
    pub(super) fn drop_privileges(mut self) -> Inspection<'a> {
        let (config, outright) = (&self.loaded.config, self.loaded.is_set("daemon", "user"));
        let dropped = privileges::drop_privileges(&config.daemon.user, outright, config.uses_foreign_addresses());
        self.note_of(("daemon", "user"), dropped.map_err(|error| error.to_string()));
        self
    }

    /// What the account has to be able to do.
    pub(super) fn by_account(self) -> Inspection<'a> {
        self.logs().helper()
    }

    /// The logs, as far as this account may write them.
    pub(super) fn logs(mut self) -> Inspection<'a> {
        logs::unwritable(&self.loaded.config).into_iter().for_each(|error| self.note_named(error));
        self
    }

    /// The helper program, as far as this account may run it.
    pub(super) fn helper(mut self) -> Inspection<'a> {
        self.note_of(("redirector", "program"), helper(&self.loaded.config));
        self
    }

    /// A line about what went wrong, with all else that would have gone wrong next.
    pub(super) fn told_with(mut self, error: String) -> String {
        if !self.lines.iter().any(|line| line.starts_with(&error)) {
            self.lines.insert(0, error);
        }
        self.lines.join("\n")
    }

    /// Something that is about no single option, or whose line names all that there is to name.
    fn note<T>(&mut self, found: Result<T, String>) {
        self.lines.extend(found.err());
    }

    /// Something about an option by section and name.
    fn note_of<T>(&mut self, (section, key): (&str, &str), found: Result<T, String>) {
        let place = self.loaded.place_of(section, key);
        self.note(found.map_err(|error| place.map_or(error.clone(), |place| format!("{error} ({place})"))));
    }

    /// A line that begins with the name of its option.
    fn note_named(&mut self, error: String) {
        let name = error.split(':').next().unwrap_or_default().to_owned();
        let (section, key) = name.split_once('.').unwrap_or_default();
        self.note_of::<()>((section, key), Err(error));
    }
}

/// Can the helper program be run by this account?
///
/// # Errors
/// Why it cannot.
pub(super) fn helper(config: &Config) -> Result<(), String> {
    let program = config.redirector.program.path.as_ref().ok().filter(|_| config.redirector.enable);
    program.map_or(Ok(()), |path| programs::check(path).map_err(|why| format!("redirector.program: {why}")))
}

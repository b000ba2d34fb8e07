//! Start, reload and stop: from a configuration to a running loop.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::config::{self, Config, Disk, Loaded, Sources, Watched};
use crate::logs::{Handle, LogSettings, Messages, Rotation, Severity, Switches};
use crate::policy::credentials::hash::hashed;
use crate::policy::credentials::users::{UserTable, UsersFault};
use crate::proxy::{InheritedSockets, Options, Proxy, Turn};
use crate::system::background::{daemonize, Daemonized, Notice};
use crate::system::capabilities;
use crate::system::descriptors::{keep_to_ourselves, raise_descriptors};
use crate::system::handover::{Handover, NextVersion};
use crate::system::owner::may_remove;
use crate::system::pidfile::{Claim, Pidfile};
use crate::system::privileges::{drop_privileges, forgo_new_privileges, Privileges};
use crate::system::service::Activation;
use crate::system::signals::{self, Signals};
use crate::system::terminal;
use budget::{budget, lowered};
use inspect::{Inherited, Inspection};
use logs::Logs;
use options::options;
use reload::{ConfigReader, Fresh, Reload};
use service::ServiceReport;
use upgrade::Upgrade;

mod budget;
mod inspect;
mod logs;
mod options;
mod reload;
mod service;
mod trial;
pub mod upgrade;
mod warnings;

/// Longest wait for the last log lines at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// Runs the proxy until it is told to stop.
///
/// # Errors
/// A line that says why it could not start or go on.
pub fn run(sources: &Sources, debug: bool) -> Result<(), String> {
    let next = NextVersion::of_process();
    let activation = crate::system::service::take()?;
    if let Err(error) = keep_to_ourselves() {
        eprintln!("warning: what was left open may reach helper programs: {error}");
    }
    crate::logs::startup::hold();
    let disk = Watched::default();
    let loaded = config::load_to_run(sources, &disk).map_err(|wrong| wrong.to_string())?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    if activation.is_trial() {
        let budget = budget(&loaded.config);
        let got = raise_descriptors(budget.need());
        foreign_addresses(&loaded.config)?;
        return trial::try_start(options(&loaded, budget.fitted(got))?, activation);
    }
    if let Some(folder) = &sources.log_folder {
        logs::make_folder(folder, &loaded.config.daemon.user)?;
    }
    // The former version has gone there already.
    let notice = if activation.handover.is_some() { None } else { go_to_background(&loaded.config)? };
    let started = Supervisor::start(ConfigReader::new(sources.clone(), disk, debug), loaded, activation, next, debug);
    match (started, notice) {
        (Ok(supervisor), notice) => {
            if let Some(notice) = notice {
                notice.ready();
            }
            supervisor.serve()
        }
        (Err(error), Some(notice)) => {
            notice.failed(&error);
            Err(error)
        }
        (Err(error), None) => Err(error),
    }
}

fn go_to_background(config: &Config) -> Result<Option<Notice>, String> {
    if !config.daemon.daemonize {
        return Ok(None);
    }
    match daemonize().map_err(|error| format!("could not go to the background: {error}"))? {
        Daemonized::Supervised => Ok(None),
        Daemonized::Background(notice) => Ok(Some(notice)),
    }
}

/// A started proxy and what is needed to reload and to end it.
struct Supervisor {
    debug: bool,
    reload: Reload,
    proxy: Proxy,
    /// What it was started with.
    started: Config,
    messages: &'static Messages,
    log: LogSettings,
    /// Those of the other logs.
    writers: Vec<Handle>,
    pidfile: Claimed,
    service: ServiceReport,
    upgrade: Upgrade,
    /// Gets a byte once clients are served, where a former version waits for that and knows of no line.
    ready: Option<OwnedFd>,
}

/// A pidfile that is removed however the process ends in good order, a start that fails included.
struct Claimed(Option<Pidfile>);

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(Pidfile::release) {
            log::error!(target: "daemon", "cannot remove the pidfile: {error}");
        }
    }
}

impl Supervisor {
    fn start(
        reader: ConfigReader,
        loaded: Loaded,
        activation: Activation,
        next: NextVersion,
        debug: bool,
    ) -> Result<Supervisor, String> {
        let config = &loaded.config;
        foreign_addresses(config)?;
        let budget = budget(config);
        let got = raise_descriptors(budget.need());
        let signals = take_signals(activation.handover.is_some())?;
        let Activation { sockets, notifier, handover } = activation;
        let upgraded = handover.is_some();
        let Handover { shut, ready, pidfile, drainers, .. } = handover.unwrap_or_default();
        let opened = options(&loaded, budget.fitted(got)).and_then(|options| {
            let inherited = InheritedSockets::new(sockets, !upgraded)?;
            open(config, Options { inherited, shut, ..options }, signals, pidfile)
        });
        let (pidfile, mut proxy) =
            opened.map_err(|error| Inspection::new(&loaded).before_privileges_go().told_with(error))?;
        let outright = loaded.is_set("daemon", "user");
        let keep = config.uses_foreign_addresses();
        let privileges = drop_privileges(&config.daemon.user, outright, keep).map_err(|error| error.to_string())?;
        if config.daemon.no_new_privileges {
            if let Err(error) = forgo_new_privileges() {
                warn(&format!("helper programs may gain rights: {error} (daemon.no-new-privileges)"));
            }
        }
        // Last, because it starts a thread, and a thread would keep the privileges that it was started with.
        let log = log_settings(config, debug);
        let refused = |error| match (Inspection::new(&loaded).by_account().told_with(error), privileges) {
            (text, Privileges::Dropped { .. }) => format!("{text} (as user {})", config.daemon.user),
            (text, _) => text,
        };
        inspect::helper(config).map_err(refused)?;
        let messages = open_log(&log).map_err(refused)?;
        // An error by its level, as the original writes its first line, so that it shows at every level but the highest.
        log::error!(target: "supervisor", "Starting exaproxy version {}", env!("EXAPROXY_VERSION"));
        if privileges == Privileges::Kept {
            warn(&privileges.to_string());
        }
        tell_warnings(config);
        if got < budget.need() {
            let lowered = lowered(config, &budget.fitted(got)).unwrap_or_else(|| "more would be needed".into());
            log::warn!(target: "supervisor", "{got} descriptors are allowed, {lowered}");
        }
        proxy.start_threads().map_err(|error| format!("cannot start a thread: {error}"))?;
        let (logs, writers) = Logs::open(config, &log, debug, messages).map_err(refused)?;
        logs.hand_over(&mut proxy);
        proxy.set_messages(messages);
        if let Privileges::Dropped { .. } = privileges {
            foresee(&reader, config, &log);
        }
        proxy.set_drainers(drainers);
        let service = ServiceReport::new(notifier);
        service.warning().iter().for_each(|text| warn(text));
        let (reload, upgrade, started) = (Reload::new(reader), Upgrade::new(next), loaded.config);
        Ok(Supervisor { debug, reload, proxy, started, messages, log, writers, pidfile, service, upgrade, ready })
    }

    fn serve(mut self) -> Result<(), String> {
        self.service.ready(&self.proxy);
        self.proxy.greet_drainers();
        if let Some(ready) = self.ready.take() {
            // Where that fails there is no part of the former version any more.
            let _ = UnixStream::from(ready).write_all(b".");
        }
        let ended = loop {
            match self.proxy.turn() {
                Ok(Turn::Continue) => {}
                Ok(Turn::Stop) => break Ok(()),
                Ok(Turn::Reload) => self.begin_reload(),
                Ok(Turn::Upgrade) => self.begin_upgrade(),
                Ok(Turn::ToggleDebug) => {
                    let level = self.messages.toggle_debug();
                    crate::critical!(target: "signal", "log level is now {}", level.name());
                }
                Err(error) => break Err(format!("the event loop failed: {error}")),
            }
            self.finish_reload();
            self.go_on_upgrading();
            self.service.turned(&self.proxy);
        };
        self.service.stopping();
        let farewell = self.upgrade.farewell();
        self.upgrade.give_up();
        self.end_drainers();
        self.proxy.stop();
        drop(self.pidfile);
        crate::critical!(target: "supervisor", "{farewell}");
        for writer in &self.writers {
            writer.flush(FLUSH);
        }
        self.messages.flush(FLUSH);
        ended
    }

    /// Has the configuration read again, beside the loop.
    fn begin_reload(&mut self) {
        self.service.reloading();
        self.messages.reopen();
        self.writers.iter().for_each(Handle::reopen);
        self.reload.ask(self.proxy.loader());
    }

    /// Takes over what was read. Either all of it or nothing.
    fn finish_reload(&mut self) {
        let Some(fresh) = self.reload.take(self.proxy.loader()) else { return };
        let outcome = fresh.and_then(|fresh| self.take_over(fresh));
        self.proxy.note_reload(&outcome);
        match outcome {
            Ok(()) => crate::critical!(target: "supervisor", "configuration reloaded"),
            Err(wrong) => {
                wrong
                    .lines()
                    .for_each(|line| log::error!(target: "supervisor", "the configuration stays as it was: {line}"));
            }
        }
        if !self.reload.is_busy() {
            self.service.ready(&self.proxy);
        }
    }

    fn take_over(&mut self, Fresh { options, log, config }: Fresh) -> Result<(), String> {
        let opened = Logs::open(&config, &log, self.debug, self.messages).and_then(|opened| {
            self.messages.apply(&log).map_err(|error| format!("log.destination: {error}"))?;
            Ok(opened)
        });
        let (logs, writers) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.proxy.loader().discard(options);
                return Err(error);
            }
        };
        if let Err(error) = self.proxy.reload(options) {
            // A log that cannot be had back stays the new one: better that than none.
            let kept = self.messages.apply(&self.log);
            return Err(
                kept.map_or_else(|log| format!("{error}; the log is the new one: {log}"), |()| error.to_string())
            );
        }
        tell_warnings(&config);
        let kept = warnings::of_reload(&self.started, &config);
        kept.iter().for_each(|line| log::error!(target: "supervisor", "{line}"));
        self.log = log;
        self.writers = writers;
        logs.hand_over(&mut self.proxy);
        Ok(())
    }
}

/// Says what will fail later because the privileges are gone, while the operator looks: files that only root can read were
/// read at the start, and a reload will not be able to.
fn foresee(reader: &ConfigReader, config: &Config, log: &LogSettings) {
    let user = &config.daemon.user;
    if let Err(error) = reader.check() {
        warn(&format!("user {user} will not be able to reload the configuration (SIGHUP): {error}"));
    }
    for obstacle in logs::obstacles(config, log) {
        warn(&format!("user {user} will not be able to rotate a log: {obstacle}"));
    }
    for path in config.listeners().iter().filter_map(|one| one.at.path()).filter(|path| !may_remove(path)) {
        warn(&format!("user {user} will not be able to remove {} at the end, nor to make it again", path.display()));
    }
}

/// Takes signals over. After an upgrade none could come until now, or it would have ended the process.
fn take_signals(upgraded: bool) -> Result<Signals, String> {
    let signals = Signals::new().map_err(|error| format!("cannot take signals over: {error}"))?;
    if upgraded {
        signals::unblock().map_err(|error| format!("cannot have signals: {error}"))?;
    }
    Ok(signals)
}

/// Opens what root may have to open.
fn open(
    config: &Config,
    mut options: Options,
    signals: Signals,
    handed: Option<OwnedFd>,
) -> Result<(Claimed, Proxy), String> {
    let handed = handed.and_then(|file| Pidfile::go_on(config.daemon.pidfile.as_deref(), file));
    let pidfile = Claimed(handed.map_or_else(|| claim_pidfile(config), |pidfile| Ok(Some(pidfile)))?);
    options.pid_saved = pidfile.0.is_some();
    let proxy = Proxy::new(options, signals).map_err(|error| error.to_string())?;
    Ok((pidfile, proxy))
}

/// Says who else can reach what, at the level that shows by default.
fn tell_warnings(config: &Config) {
    warnings::of(config).iter().for_each(|line| log::error!(target: "supervisor", "{line}"));
}

/// Can the process do what `intercept.mode=tproxy` asks of it?
///
/// # Errors
/// What is missing.
fn foreign_addresses(config: &Config) -> Result<(), String> {
    match config.uses_foreign_addresses() {
        true => capabilities::require().map_err(|error| format!("intercept.mode=tproxy: {error}")),
        false => Ok(()),
    }
}

fn claim_pidfile(config: &Config) -> Result<Option<Pidfile>, String> {
    let Some(path) = &config.daemon.pidfile else { return Ok(None) };
    match Pidfile::claim(path, std::process::id()) {
        Ok(Claim::Ours(pidfile)) => Ok(Some(pidfile)),
        Ok(other) => {
            eprintln!("warning: {other}");
            Ok(None)
        }
        Err(error) => Err(format!("daemon.pidfile {}: {error}", path.display())),
    }
}

/// Says something on the standard error too, where the operator who starts the program sees it at any level of the log.
fn warn(text: &str) {
    log::warn!(target: "supervisor", "{text}");
    eprintln!("warning: {text}");
}

fn open_log(settings: &LogSettings) -> Result<&'static Messages, String> {
    let messages = Messages::open(settings, std::process::id()).map_err(|error| error.of("log.destination"))?;
    messages.install().ok_or_else(|| "there is a log already".to_string())
}

fn log_settings(config: &Config, debug: bool) -> LogSettings {
    let log = &config.log;
    let mut switches = Switches::default();
    for (name, on) in [
        ("client", log.client),
        ("configuration", log.configuration),
        ("daemon", log.daemon),
        ("download", log.download),
        ("header", log.header),
        ("http", log.http),
        ("manager", log.manager),
        ("resolver", log.resolver),
        ("server", log.server),
        ("signal", log.signal),
        ("supervisor", log.supervisor),
        ("web", log.web),
        ("worker", log.worker),
    ] {
        switches.set(name, on);
    }
    let level = if debug || config.debug.log { Severity::Debug } else { log.level };
    LogSettings {
        identifier: config.daemon.identifier.clone(),
        enable: log.enable,
        level,
        switches,
        destination: log.destination.clone(),
        rotation: rotation(log.rotate, log.keep),
        syslog: log.syslog,
        directives: std::env::var("RUST_LOG").ok(),
    }
}

/// When a file is put aside: at `bytes`, None for never.
fn rotation(bytes: Option<u64>, keep: usize) -> Rotation {
    Rotation::new(bytes.unwrap_or(0), u32::try_from(keep).unwrap_or(u32::MAX))
}

/// Reads a password from the terminal, twice and unseen, or the first line of standard input. Gives its hash, behind the name
/// of a user where one is given.
///
/// # Errors
/// Why there is none.
pub fn hash_password(name: Option<&str>) -> Result<String, String> {
    if name.is_some_and(|name| name.contains(':')) {
        return Err("the name of a user has no colon".to_owned());
    }
    let password = terminal::read_password().map_err(|error| format!("cannot read a password: {error}"))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("cannot have random bytes: {error}"))?;
    let hash = hashed(&password, salt).map_err(|why| format!("{why} cannot be hashed"))?;
    let line = name.map_or_else(|| hash.clone(), |name| format!("{name}:{hash}"));
    // What could not be read again is not written.
    let wrong = |fault: UsersFault| format!("{}: {}", name.unwrap_or_default(), fault.why);
    let Some(name) = name else { return Ok(line) };
    match UserTable::parse(line.clone().into_bytes()).map_err(wrong)?.has(name) {
        true => Ok(line),
        false => Err(format!("{name}: a line of a users file that begins so says something else")),
    }
}

/// Says what the lists say of a name or an address, for requests to its port, 443 where none is named.
///
/// # Errors
/// Why that cannot be said.
pub fn check_name(sources: &Sources, name: &str) -> Result<String, String> {
    let loaded = config::load_to_run(sources, &Disk).map_err(|wrong| wrong.to_string())?;
    options::verdict(&loaded.config, name)
}

/// Starts nothing; only says whether the options can be used together with this system. Started as root, the process becomes
/// the account of `daemon.user`, as [`run`] does, so that logs and programs are looked at with its eyes.
///
/// # Errors
/// Everything that [`run`] would end with, and what could be meant otherwise.
pub fn check(sources: &Sources) -> Result<(), Vec<String>> {
    let found_open = crate::system::service::take().and_then(Inherited::new).map_err(|error| vec![error])?;
    let (loaded, mut lines) = config::check(sources, &Disk);
    if let Some(loaded) = &loaded {
        // It is made at the start, before privileges are dropped.
        let missing = sources.log_folder.as_deref().filter(|folder| !folder.exists());
        lines.extend(missing.and_then(|folder| logs::check_folder(folder).err()));
        let inspection = Inspection::new(loaded).with(found_open).before_privileges_go().drop_privileges();
        let inspection = if missing.is_none() { inspection.logs() } else { inspection }.helper();
        lines.extend(inspection.into_lines());
    }
    match lines.is_empty() {
        true => Ok(()),
        false => Err(lines),
    }
}

//! Start, reload and stop: from a configuration to a running loop. Everybody else gets a small struct of what it needs.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::answers::Answers;
use crate::config::{self, Config, Disk, Loaded, Sources, Watched};
use crate::exchange::ingress::Ingress;
use crate::exchange::timers::Limits;
use crate::exchange::Settings;
use crate::http::rules::Rules;
use crate::loader::folder::Folder;
use crate::loader::names::NameOptions;
use crate::logs::{Handle, LogSettings, Messages, Rotation, Severity, Switches};
use crate::policy::{Policy, PolicyConfig};
use crate::proxy::{self, ListenAddress, Proxy, Turn};
use crate::redirector::dialect::Dialect;
use crate::redirector::helper::Program;
use crate::redirector::icap::Icap;
use crate::redirector::url::Url;
use crate::redirector::{self, pool};
use crate::system::background::{daemonize, Daemonized, Notice};
use crate::system::descriptors::{keep_to_ourselves, raise_descriptors, Budget};
use crate::system::hostname;
use crate::system::pidfile::{Claim, Pidfile};
use crate::system::privileges::{drop_privileges, forgo_new_privileges, Privileges};
use crate::system::signals::Signals;
use crate::upstream::DialOptions;
use crate::web::Facts;
use logs::Logs;
use reload::{ConfigReader, Fresh, Reload};

mod logs;
mod reload;

/// Longest wait for the last log lines at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// Runs the proxy until it is told to stop.
///
/// # Errors
/// A line that says why it could not start or go on.
pub fn run(sources: &Sources, debug: bool) -> Result<(), String> {
    if let Err(error) = keep_to_ourselves() {
        eprintln!("warning: what was left open may reach helper programs: {error}");
    }
    crate::logs::startup::hold();
    let disk = Watched::default();
    let loaded = config::load(sources, &disk).map_err(|error| error.to_string())?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    loaded.check_built().map_err(|error| error.to_string())?;
    let notice = go_to_background(&loaded.config)?;
    let started = Supervisor::start(ConfigReader::new(sources.clone(), disk, debug), loaded, debug);
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
    messages: &'static Messages,
    log: LogSettings,
    /// Those of the other logs.
    writers: Vec<Handle>,
    pidfile: Claimed,
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
    fn start(reader: ConfigReader, loaded: Loaded, debug: bool) -> Result<Supervisor, String> {
        let config = &loaded.config;
        let budget = budget(config);
        let got = raise_descriptors(budget.need());
        let signals = Signals::new().map_err(|error| format!("cannot take signals over: {error}"))?;
        let mut options = options(&loaded, budget.fitted(got))?;
        let pidfile = Claimed(claim_pidfile(config)?);
        options.pid_saved = pidfile.0.is_some();
        let mut proxy = Proxy::new(options, signals).map_err(|error| error.to_string())?;
        let outright = loaded.is_set("daemon", "user");
        let privileges = drop_privileges(&config.daemon.user, outright).map_err(|error| error.to_string())?;
        if config.daemon.no_new_privileges {
            if let Err(error) = forgo_new_privileges() {
                warn(&format!("helper programs may gain rights: {error} (daemon.no-new-privileges)"));
            }
        }
        // Last, because it starts a thread, and a thread would keep the privileges that it was started with.
        let log = log_settings(config, debug);
        let messages = open_log(&log).map_err(|error| match privileges {
            Privileges::Dropped { .. } => format!("{error} (opened as user {})", config.daemon.user),
            _ => error,
        })?;
        log::error!(target: "supervisor", "Starting exaproxy version {}", env!("CARGO_PKG_VERSION"));
        if privileges == Privileges::Kept {
            warn(&privileges.to_string());
        }
        if got < budget.need() {
            let lowered = budget.fitted(got);
            let text = format!(
                "{got} descriptors are allowed and {} would be needed: http.connections is {} instead of {}",
                budget.need(),
                lowered.http,
                budget.http
            );
            log::warn!(target: "supervisor", "{text}");
        }
        proxy.start_loader().map_err(|error| format!("cannot start a thread: {error}"))?;
        let (logs, writers) = Logs::open(config, &log, debug, messages)?;
        logs.hand_over(&mut proxy);
        proxy.set_messages(messages);
        if let Privileges::Dropped { .. } = privileges {
            foresee(&reader, config, &log);
        }
        Ok(Supervisor { debug, reload: Reload::new(reader), proxy, messages, log, writers, pidfile })
    }

    fn serve(mut self) -> Result<(), String> {
        let ended = loop {
            match self.proxy.turn() {
                Ok(Turn::Continue) => {}
                Ok(Turn::Stop) => break Ok(()),
                Ok(Turn::Reload) => self.begin_reload(),
                Ok(Turn::ToggleDebug) => {
                    let level = self.messages.toggle_debug();
                    log::error!(target: "signal", "log level is now {}", level.name());
                }
                Err(error) => break Err(format!("the event loop failed: {error}")),
            }
            self.finish_reload();
        };
        self.proxy.stop();
        drop(self.pidfile);
        log::error!(target: "supervisor", "exaproxy has stopped");
        for writer in &self.writers {
            writer.flush(FLUSH);
        }
        self.messages.flush(FLUSH);
        ended
    }

    /// Has the configuration read again, beside the loop.
    fn begin_reload(&mut self) {
        self.messages.reopen();
        self.writers.iter().for_each(Handle::reopen);
        self.reload.ask(self.proxy.loader());
    }

    /// Takes over what was read. Either all of it or nothing.
    fn finish_reload(&mut self) {
        let Some(fresh) = self.reload.take(self.proxy.loader()) else { return };
        match fresh.and_then(|fresh| self.take_over(fresh)) {
            Ok(()) => log::error!(target: "supervisor", "configuration reloaded"),
            Err(error) => log::error!(target: "supervisor", "the configuration stays as it was: {error}"),
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

/// Says something that whoever starts the program should see, whatever the level of the log.
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

/// Clients for each attempt to connect beside the first of a race, when all of them are there: in a race that goes well there is
/// none, and with one dead address for each name there is one for a quarter of a second.
const CLIENTS_PER_ATTEMPT: usize = 4;

/// Attempts beside the first that few clients may have: sixteen races at a time with one dead address, by one client.
const LEAST_ATTEMPTS: usize = 32;

/// Descriptors that the limits of the configuration could use.
fn budget(config: &Config) -> Budget {
    let count = |enabled: bool, value: usize| if enabled { value as u64 } else { 0 };
    Budget {
        http: count(config.http.enable, config.http.connections),
        web: count(config.web.enable, config.web.connections),
        pool: config.http.pool as u64,
        attempts: count(config.http.enable, (config.http.connections / CLIENTS_PER_ATTEMPT).max(LEAST_ATTEMPTS)),
        helpers: count(config.redirector.enable, config.redirector.maximum),
        resolver: 10 * config.dns.retries as u64,
        ..Budget::default()
    }
}

/// What the loop needs to know, from what the configuration says.
fn options(loaded: &Loaded, budget: Budget) -> Result<proxy::Options, String> {
    let config = &loaded.config;
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let (pages, answers) = answers(config)?;
    Ok(proxy::Options {
        places: places(config),
        limits: Ingress::ALL.map(|ingress| match ingress {
            Ingress::Proxy => count(budget.http),
            Ingress::Web => config.web.connections,
        }),
        settings: settings(config),
        answers,
        policy: policy(config),
        dial_options: dial_options(config, count(budget.pool), count(budget.attempts)),
        names: name_options(loaded).read().map_err(unreadable_names)?,
        redirector: redirector(config),
        facts: facts(loaded),
        pages,
        poll_interfaces: config.daemon.poll_interfaces,
        drain: config.daemon.drain_timeout.unwrap_or_default().as_secs(),
        pid_saved: false,
    })
}

/// Could the files be read that the configuration names?
///
/// # Errors
/// Which could not, and why.
fn check_files(loaded: &Loaded) -> Result<(), String> {
    answers(&loaded.config)?;
    name_options(loaded).check().map_err(unreadable_names)
}

fn unreadable_names(error: String) -> String {
    format!("cannot read {error} (dns.resolver, dns.hosts)")
}

fn facts(loaded: &Loaded) -> Facts {
    let web = &loaded.config.web;
    let names = hostname::names().into_iter().chain(web.names.iter().cloned()).collect();
    Facts { configuration: loaded.facts(), control: web.debug, names }
}

fn places(config: &Config) -> Vec<ListenAddress> {
    let mut places = Vec::new();
    let mut add = |ingress, host: IpAddr, port, backlog: usize| {
        let backlog = u32::try_from(backlog).unwrap_or(u32::MAX);
        let proxied = ingress == Ingress::Proxy && config.http.proxied;
        places.push(ListenAddress { ingress, proxied, address: SocketAddr::new(host, port), backlog });
    };
    if config.http.enable && config.tcp4.listen {
        add(Ingress::Proxy, config.tcp4.host.into(), config.tcp4.port, config.tcp4.backlog);
    }
    if config.http.enable && config.tcp6.listen {
        add(Ingress::Proxy, config.tcp6.host.into(), config.tcp6.port, config.tcp6.backlog);
    }
    if config.web.enable {
        add(Ingress::Web, config.web.host, config.web.port, WEB_BACKLOG);
    }
    places
}

/// As many as the original lets wait at its monitor.
const WEB_BACKLOG: usize = 10;

/// The folder of pages, if there is one, and what is said with them.
fn answers(config: &Config) -> Result<(Option<Folder>, Answers), String> {
    let compatible = config.http.compatible_status;
    let Some(given) = config.web.html.clone() else { return Ok((None, Answers { compatible, ..Answers::built_in() })) };
    let (folder, pages) = Folder::load(given).map_err(|error| format!("web.html: {error}"))?;
    Ok((Some(folder), Answers { pages: Arc::new(pages), compatible }))
}

fn settings(config: &Config) -> Settings {
    let http = &config.http;
    let limit = |value: Option<Duration>| millis(value.unwrap_or_default());
    Settings {
        limits: Limits {
            first: limit(http.idle_connect),
            idle: limit(http.idle_timeout),
            head: limit(http.head_timeout),
            decision: millis(http.decision_timeout),
            resolve: millis(http.resolve_timeout),
            connect: millis(http.connect_timeout),
            inactive: limit(http.inactive_timeout),
            tunnel: limit(http.tunnel_timeout),
            half_close: limit(http.half_close_timeout),
            drain: millis(http.drain_timeout),
        },
        body_size: http.body_size.unwrap_or(0),
        rules: rules(config),
        summary: config.access.enable,
    }
}

fn redirector(config: &Config) -> Option<redirector::Options> {
    let given = &config.redirector;
    // What is wrong with the program was said when the configuration was checked.
    let path = given.program.path.clone().ok().filter(|_| given.enable)?;
    let dialect = match given.protocol.as_str() {
        "url" => Dialect::Url(Url { line: given.line, concurrency: given.concurrency }),
        uri => Dialect::Icap(Icap { uri: uri.to_owned() }),
    };
    let pool = pool::PoolSettings {
        minimum: given.minimum,
        maximum: given.maximum,
        timeout: millis(given.timeout),
        queue: given.queue,
        concurrency: dialect.concurrency(),
    };
    let program = Program { path, arguments: given.program.arguments.clone(), dialect };
    Some(redirector::Options { program, pool, on_failure: given.on_failure })
}

fn name_options(loaded: &Loaded) -> NameOptions {
    let (config, dns) = (&loaded.config, &loaded.config.dns);
    NameOptions {
        resolv_conf: dns.resolver.clone(),
        hosts: dns.hosts.clone(),
        timeout: loaded.is_set("dns", "timeout").then_some(dns.timeout),
        attempts: loaded.is_set("dns", "retries").then_some(u32::try_from(dns.retries).unwrap_or(u32::MAX)),
        deadline: config.http.resolve_timeout,
        ttl: dns.ttl,
        negative_ttl: dns.negative_ttl,
        ipv4: config.tcp4.out,
        ipv6: config.tcp6.out,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn rules(config: &Config) -> Rules {
    let http = &config.http;
    let forward = http.forward.as_deref().map(Into::into);
    Rules {
        transparent: http.transparent,
        forward,
        mask: http.mask,
        expect: http.expect,
        head_limit: http.head_bytes(),
        via: http.via.clone().unwrap_or_else(pseudonym).into(),
        ..Rules::default()
    }
}

/// Our name in Via fields, the same for as long as the process runs. Its number alone is that of others too: each container
/// has a process 1.
fn pseudonym() -> String {
    static RANDOM: OnceLock<u64> = OnceLock::new();
    let random = RANDOM.get_or_init(|| RandomState::new().hash_one(0)) & 0xffff_ffff;
    format!("ExaProxy-{}-id-{}-{random:08x}", env!("CARGO_PKG_VERSION"), std::process::id())
}

fn policy(config: &Config) -> Policy {
    Policy::new(PolicyConfig {
        connect: config.http.connect,
        connect_ports: config.security.connect.clone(),
        fqdn: config.dns.fqdn,
        ipv4: config.tcp4.out,
        ipv6: config.tcp6.out,
        deny: config.security.deny.clone(),
        local: config.security.local.clone(),
        monitor: config.security.monitor,
    })
}

fn dial_options(config: &Config, pool: usize, attempts: usize) -> DialOptions {
    let (bind4, bind6) = (config.tcp4.bind, config.tcp6.bind);
    DialOptions {
        bind4: (!bind4.is_unspecified()).then_some(bind4),
        bind6: (!bind6.is_unspecified()).then_some(bind6),
        keepalive: config.http.keepalive.unwrap_or_default().as_secs(),
        pool,
        pool_timeout: millis(config.http.pool_timeout),
        attempts,
    }
}

/// Opens nothing and starts nothing; only says whether the options can be used together with this system. Started as root,
/// the process becomes the account of `daemon.user`, as [`run`] does, so that the logs are looked at with its eyes.
///
/// # Errors
/// What [`run`] would end with.
pub fn check(sources: &Sources) -> Result<(), Vec<String>> {
    config::check(sources, &Disk)?;
    let loaded = config::load(sources, &Disk).map_err(|error| vec![error.to_string()])?;
    let config = &loaded.config;
    check_files(&loaded).map_err(|error| vec![error])?;
    let outright = loaded.is_set("daemon", "user");
    drop_privileges(&config.daemon.user, outright).map_err(|error| vec![error.to_string()])?;
    logs::check(config).map_err(|error| vec![error])
}

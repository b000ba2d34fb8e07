//! The message log: takes what the program says through the `log` crate, keeps what level and switches let through and
//! queues it as lines. Knows no destination; everything in it may change while the program runs.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use log::{LevelFilter, Log, Metadata, Record};

use super::output::Output;
use super::recent::{self, Recent};
use super::{
    sink, Destination, Handle, OpenError, Prefix, Rotation, Severity, Switches, SyslogForm, SyslogStyle, Writer,
};

/// Longest wait for lines to be written before the process is ended for a fault.
const FLUSH: Duration = Duration::from_secs(2);

/// Most bytes of memory for lines that wait for a slow destination: some 10,000 lines of usual length.
pub const QUEUE_BYTES: usize = 1 << 20;

/// Most bytes of the scratch text that a thread keeps from one line to the next.
const SCRATCH_BYTES_KEPT: usize = 4 * 1024;

thread_local! {
    static SCRATCH: Cell<String> = const { Cell::new(String::new()) };
    /// The number of the loop that this thread turns, where there are several.
    static LOOP: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Lines of DEBUG that this thread writes name the loop of this number from now on.
pub fn name_loop(number: usize) {
    LOOP.set(Some(number));
}

/// What the message log needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The first word of every line (`daemon.identifier`).
    pub identifier: String,
    /// Whether anything is written at all (`log.enable`).
    pub enable: bool,
    /// The least grave severity that is written (`log.level`, or debug with `-d`).
    pub level: Severity,
    /// Which subsystems are written (`log.client` and so on).
    pub switches: Switches,
    /// Where lines go (`log.destination`).
    pub destination: Destination,
    /// How a file is rotated (`log.rotate`, `log.keep`).
    pub rotation: Rotation,
    /// How lines look to a syslog daemon (`log.syslog`).
    pub syslog: SyslogForm,
    /// For developers, the text of `RUST_LOG`: filters in the form of `env_logger` that let records through which level
    /// and switches would stop, trace records among them.
    pub directives: Option<String>,
}

impl LogSettings {
    fn open(&self, prefix: &Prefix) -> io::Result<Box<dyn Output>> {
        sink::open(&self.destination, self.rotation, SyslogStyle { form: self.syslog, prefix: prefix.clone() })
    }
}

/// The message log.
#[derive(Debug)]
pub struct Messages {
    enabled: AtomicBool,
    level: AtomicU8,
    /// The level of the settings, to which [`Messages::toggle_debug`] returns.
    configured: AtomicU8,
    switches: AtomicU32,
    /// Replaced as a whole, and never held while a message is formatted: its parts may log in their turn.
    output: RwLock<Arc<MessageOutput>>,
    recent: Recent,
}

#[derive(Debug)]
struct MessageOutput {
    pid: u32,
    prefix: Prefix,
    destination: Destination,
    rotation: Rotation,
    syslog: SyslogForm,
    directives: Option<env_logger::Logger>,
    handle: Handle,
}

impl Messages {
    /// Opens the destination and starts the thread that writes to it. Lines carry `pid`; no process may be forked after
    /// this, since threads stay behind.
    ///
    /// # Errors
    /// What the system says when a file cannot be opened (with its path) or a thread not started.
    pub fn open(settings: &LogSettings, pid: u32) -> Result<Self, OpenError> {
        let prefix = Prefix::new(&settings.identifier, pid);
        let output = settings.open(&prefix).map_err(OpenError::Destination)?;
        let noticed = prefix.clone();
        let notice = move |text: &str| noticed.line("supervisor", format_args!("{text}"));
        let messages = Self {
            enabled: AtomicBool::new(settings.enable),
            level: AtomicU8::new(settings.level as u8),
            configured: AtomicU8::new(settings.level as u8),
            switches: AtomicU32::new(settings.switches.to_bits()),
            output: RwLock::new(Arc::new(MessageOutput {
                pid,
                prefix,
                destination: settings.destination.clone(),
                rotation: settings.rotation,
                syslog: settings.syslog,
                directives: settings.directives.as_deref().map(parse_directives),
                handle: Writer::spawn(output, QUEUE_BYTES, Box::new(notice)).map_err(OpenError::Thread)?,
            })),
            recent: Recent::default(),
        };
        Ok(messages)
    }

    /// Makes this the log of the whole process, for good. `None` when there is one already.
    pub fn install(self) -> Option<&'static Self> {
        let messages: &'static Self = Box::leak(Box::new(self));
        if !super::startup::open(messages) {
            return None;
        }
        messages.tell_ceiling();
        Some(messages)
    }

    /// Takes other settings, at a reload. Another destination is opened first: when that fails nothing changes.
    ///
    /// # Errors
    /// What the system says when the new destination cannot be opened, with its path.
    pub fn apply(&self, settings: &LogSettings) -> io::Result<()> {
        let old = self.output();
        let prefix = Prefix::new(&settings.identifier, old.pid);
        let moved = (&old.destination, old.rotation) != (&settings.destination, settings.rotation);
        let renamed = (old.syslog, &old.prefix) != (settings.syslog, &prefix) && old.destination.is_syslog();
        if moved || renamed {
            old.handle.replace(settings.open(&prefix)?);
        }
        let output = MessageOutput {
            pid: old.pid,
            prefix,
            destination: settings.destination.clone(),
            rotation: settings.rotation,
            syslog: settings.syslog,
            directives: settings.directives.as_deref().map(parse_directives),
            handle: old.handle.clone(),
        };
        *self.output.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(output);
        self.enabled.store(settings.enable, Ordering::Relaxed);
        self.configured.store(settings.level as u8, Ordering::Relaxed);
        self.switches.store(settings.switches.to_bits(), Ordering::Relaxed);
        self.set_level(settings.level);
        Ok(())
    }

    /// The least grave severity that is written now.
    pub fn level(&self) -> Severity {
        Severity::from_number(self.level.load(Ordering::Relaxed))
    }

    /// Writes from this severity on.
    pub fn set_level(&self, level: Severity) {
        self.level.store(level as u8, Ordering::Relaxed);
        self.tell_ceiling();
    }

    /// Raises the level to debug, or brings it back to that of the settings. Returns the level from now on.
    pub fn toggle_debug(&self) -> Severity {
        self.set_debug(!self.is_debug())
    }

    /// Raises the level to debug, or brings it back to that of the settings, which may be debug too. Returns the level from
    /// now on.
    pub fn set_debug(&self, on: bool) -> Severity {
        let configured = Severity::from_number(self.configured.load(Ordering::Relaxed));
        let next = if on { Severity::Debug } else { configured };
        self.set_level(next);
        next
    }

    /// Are debug messages written?
    pub fn is_debug(&self) -> bool {
        self.level() == Severity::Debug
    }

    /// The newest messages of those subsystems that are wanted, at most `limit`, oldest first.
    pub fn recent(&self, wanted: impl Fn(&str) -> bool, limit: usize) -> Vec<recent::RecentLine> {
        self.recent.newest(wanted, limit)
    }

    /// Which subsystems are written now.
    pub fn switches(&self) -> Switches {
        Switches::from_bits(self.switches.load(Ordering::Relaxed))
    }

    /// Writes these subsystems only.
    #[cfg(test)]
    fn set_switches(&self, switches: Switches) {
        self.switches.store(switches.to_bits(), Ordering::Relaxed);
    }

    /// Lines carry this number from now on: that of a process that has been divided off.
    pub fn renumber(&self, pid: u32) {
        let mut output = self.output.write().unwrap_or_else(PoisonError::into_inner);
        *output = Arc::new(MessageOutput {
            pid,
            prefix: Prefix::new(output.prefix.identifier(), pid),
            destination: output.destination.clone(),
            rotation: output.rotation,
            syslog: output.syslog,
            directives: std::env::var("RUST_LOG").ok().as_deref().map(parse_directives),
            handle: output.handle.clone(),
        });
    }

    /// Has a file opened anew before the next line, after another program moved it away.
    pub fn reopen(&self) {
        self.output().handle.reopen();
    }

    /// Waits at most `limit` until all lines are written, before the process ends. Says whether they are.
    pub fn flush(&self, limit: Duration) -> bool {
        self.output().handle.flush(limit)
    }

    /// Lines lost since the start.
    pub fn lost(&self) -> u64 {
        self.output().handle.lost()
    }

    /// The writer behind this log, for another log with the same destination.
    pub fn handle(&self) -> Handle {
        self.output().handle.clone()
    }

    /// What lines begin with now, for another log of this process.
    pub fn prefix(&self) -> Prefix {
        self.output().prefix.clone()
    }

    fn output(&self) -> Arc<MessageOutput> {
        Arc::clone(&self.output.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the `log` crate below which level a call costs nothing but a comparison.
    fn tell_ceiling(&self) {
        let own = if self.enabled.load(Ordering::Relaxed) { self.level().level_filter() } else { LevelFilter::Off };
        let directed = self.output().directives.as_ref().map_or(LevelFilter::Off, env_logger::Logger::filter);
        log::set_max_level(own.max(directed));
    }

    fn passes(&self, level: log::Level, target: &str) -> bool {
        let (severity, target) = Severity::of_record(level, target);
        self.enabled.load(Ordering::Relaxed)
            && level != log::Level::Trace
            && severity <= self.level()
            && self.switches().allow(target)
    }
}

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let directed = || self.output().directives.as_ref().is_some_and(|directives| directives.enabled(metadata));
        self.passes(metadata.level(), metadata.target()) || directed()
    }

    fn log(&self, record: &Record<'_>) {
        let output = self.output();
        let directed = || output.directives.as_ref().is_some_and(|directives| directives.matches(record));
        if !self.passes(record.level(), record.target()) && !directed() {
            return;
        }
        let (severity, target) = Severity::of_record(record.level(), record.target());
        // A message whose parts log in their turn finds an empty scratch text, and that is all.
        let mut line = SCRATCH.take();
        line.clear();
        let start = match LOOP.get().filter(|_| severity == Severity::Debug) {
            Some(number) => output.prefix.append(&mut line, target, format_args!("loop {number}: {}", record.args())),
            None => output.prefix.append(&mut line, target, *record.args()),
        };
        output.handle.write(severity, &line);
        self.recent.push(
            SystemTime::now(),
            severity,
            target,
            line.get(start..).unwrap_or_default().trim_end_matches('\n'),
        );
        if line.capacity() <= SCRATCH_BYTES_KEPT {
            SCRATCH.set(line);
        }
    }

    fn flush(&self) {
        Messages::flush(self, FLUSH);
    }
}

fn parse_directives(text: &str) -> env_logger::Logger {
    env_logger::Builder::new().parse_filters(text).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const LIMIT: Duration = Duration::from_secs(60);

    fn settings(name: &str) -> (LogSettings, PathBuf) {
        let path = std::env::temp_dir().join(format!("exaproxy-messages-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let settings = LogSettings {
            identifier: "ExaProxy".into(),
            enable: true,
            level: Severity::Warning,
            switches: Switches::ALL,
            destination: Destination::File(path.clone()),
            rotation: Rotation::NEVER,
            syslog: SyslogForm::ExaProxy,
            directives: None,
        };
        (settings, path)
    }

    fn say(messages: &Messages, level: log::Level, target: &str, text: &str) {
        messages.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
    }

    fn written(messages: &Messages, path: &PathBuf) -> Vec<String> {
        assert!(messages.flush(LIMIT));
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn level_and_switches_decide_and_can_change() {
        let (settings, path) = settings("level");
        let messages = Messages::open(&settings, 4049).unwrap();
        say(&messages, log::Level::Error, "signal!", "SIG TERM");
        say(&messages, log::Level::Info, "web", "not written");
        assert_eq!(messages.toggle_debug(), Severity::Debug);
        say(&messages, log::Level::Debug, "web", "written\r\nnow");
        say(&messages, log::Level::Trace, "web", "never");
        let mut switches = messages.switches();
        assert!(switches.set("web", false));
        messages.set_switches(switches);
        say(&messages, log::Level::Error, "web", "silent");
        assert_eq!(messages.toggle_debug(), Severity::Warning);
        say(&messages, log::Level::Info, "daemon", "not written");
        say(&messages, log::Level::Warn, "worker 3", "late");
        messages.set_debug(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                name_loop(2);
                say(&messages, log::Level::Debug, "client", "bye");
                say(&messages, log::Level::Info, "client", "hello");
            });
        });
        let expected = [
            "ExaProxy 4049   signal        SIG TERM",
            "ExaProxy 4049   web           written\\r\\nnow",
            "ExaProxy 4049   worker 3      late",
            "ExaProxy 4049   client        loop 2: bye",
            "ExaProxy 4049   client        hello",
        ];
        assert_eq!(written(&messages, &path), expected);
        let recent = messages.recent(|subsystem| !["signal", "client"].contains(&subsystem), 10);
        let recent: Vec<_> = recent.iter().map(|line| (&*line.subsystem, line.severity, &*line.text)).collect();
        let wanted = [("web", Severity::Debug, "written\\r\\nnow"), ("worker 3", Severity::Warning, "late")];
        assert_eq!(recent, wanted);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_severity_above_error_stops_errors() {
        let (mut settings, path) = settings("critical");
        settings.level = Severity::Critical;
        let messages = Messages::open(&settings, 1).unwrap();
        say(&messages, log::Level::Error, "server", "error");
        say(&messages, log::Level::Error, "server!", "critical");
        assert_eq!(written(&messages, &path), ["ExaProxy 1      server        critical"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn directives_let_trace_through_and_disabled_means_silent() {
        let (mut settings, path) = settings("directives");
        settings.enable = false;
        settings.directives = Some("exchange=trace".into());
        let messages = Messages::open(&settings, 1).unwrap();
        say(&messages, log::Level::Trace, "exchange", "Idle to Head");
        say(&messages, log::Level::Error, "server", "silent");
        assert_eq!(written(&messages, &path), ["ExaProxy 1      exchange      Idle to Head"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_reload_changes_all_or_nothing() {
        let (first, path) = settings("reload");
        let (mut second, other) = settings("reload-other");
        let messages = Messages::open(&first, 1).unwrap();
        let unwritable =
            LogSettings { destination: Destination::File("/nonexistent/log".into()), level: Severity::Debug, ..first };
        assert!(messages.apply(&unwritable).is_err());
        assert_eq!(messages.level(), Severity::Warning);
        say(&messages, log::Level::Warn, "web", "before");
        assert_eq!(written(&messages, &path), ["ExaProxy 1      web           before"]);
        second.identifier = "Other".into();
        second.level = Severity::Info;
        messages.apply(&second).unwrap();
        say(&messages, log::Level::Info, "web", "after");
        assert_eq!(written(&messages, &other), ["Other 1      web           after"]);
        assert_eq!(written(&messages, &path).len(), 1);
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(other).unwrap();
    }
}

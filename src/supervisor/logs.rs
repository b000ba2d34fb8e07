//! The logs beside the messages: decisions and requests, each to its own destination, with one writer for each of them.

use crate::config::Config;
use crate::exchange::Remembered;
use crate::logs::access::NamedParts;
use crate::logs::{self, AccessLog, Destination, Handle, LogSettings, Messages, OpenError, Prefix, Rotation};
use crate::logs::{SyslogStyle, UsageLog, Writer};
use crate::proxy::Proxy;
use crate::system::privileges::hand_over;
use nix::unistd::{access, AccessFlags};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The logs that are switched on.
pub(super) struct Logs {
    usage: Option<UsageLog>,
    access: Option<AccessLog>,
}

impl Logs {
    /// Opens them anew. `log` is what holds for messages from now on. A destination that two logs have in common has one writer,
    /// or each of them would rotate the same file; the rotation is then that of messages, or else of decisions. The
    /// writers that are not the messages' own come beside.
    ///
    /// # Errors
    /// A line that names the option whose destination cannot be opened.
    pub(super) fn open(
        config: &Config,
        log: &LogSettings,
        debug: bool,
        messages: &Messages,
    ) -> Result<(Logs, Vec<Handle>), String> {
        let prefix = Prefix::new(&log.identifier, std::process::id());
        let mut writers = Writers {
            style: SyslogStyle { form: log.syslog, prefix: prefix.clone() },
            opened: vec![(log.destination.clone(), messages.handle())],
        };
        let mut opened = Logs { usage: None, access: None };
        if config.usage.enable || debug {
            let notice_prefix = prefix.clone();
            let notice = move |text: &str| notice_prefix.line("usage", format_args!("{text}"));
            let handle = writers
                .find(&config.usage.destination, log.rotation, notice)
                .map_err(|error| error.of("usage.destination"))?;
            opened.usage = Some(UsageLog::new(handle, prefix));
        }
        let access = &config.access;
        if access.enable {
            let rotation = super::rotation(access.rotate, access.keep);
            let handle =
                writers.find(&access.destination, rotation, report).map_err(|error| error.of("access.destination"))?;
            opened.access = Some(AccessLog::new(handle, access.format.clone()));
        }
        Ok((opened, writers.opened.into_iter().skip(1).map(|(_, handle)| handle).collect()))
    }

    /// Has the proxy write to them from now on.
    pub(super) fn hand_over(self, proxy: &mut Proxy) {
        proxy.set_usage(self.usage);
        proxy.set_access(self.access);
    }
}

/// What has to be remembered of each request for the lines that are wanted, if any are.
pub(super) fn remembered(config: &Config) -> Option<Remembered> {
    let NamedParts { user_agent, referer, media, trace } = config.access.format.named();
    config.access.enable.then_some(Remembered { user_agent, referer, media, trace })
}

/// What of these logs cannot be rotated by this process, though it should be.
pub(super) fn obstacles(config: &Config, log: &LogSettings) -> Vec<String> {
    let (usage, access) = (&config.usage, &config.access);
    let wanted = [
        (log.enable, &log.destination, log.rotation),
        (usage.enable, &usage.destination, log.rotation),
        (access.enable, &access.destination, super::rotation(access.rotate, access.keep)),
    ];
    let mut found: Vec<String> = Vec::new();
    for (_, destination, rotation) in wanted.into_iter().filter(|(enabled, ..)| *enabled) {
        let obstacle = logs::rotate::obstacle(destination, rotation);
        found.extend(obstacle.filter(|obstacle| !found.contains(obstacle)));
    }
    found
}

/// The logs that could not be opened by this process, without opening one: a line for each that names the option.
pub(super) fn unwritable(config: &Config) -> Vec<String> {
    let wanted = [
        (true, "log.destination", &config.log.destination),
        (config.usage.enable, "usage.destination", &config.usage.destination),
        (config.access.enable, "access.destination", &config.access.destination),
    ];
    let enabled = wanted.into_iter().filter(|(enabled, ..)| *enabled);
    let check = |(_, option, destination): (bool, &str, &Destination)| {
        logs::rotate::check(destination).err().map(|error| format!("{option}: {error}"))
    };
    enabled.filter_map(check).collect()
}

/// Lines that are read by programs have no sentences between them: what is wrong with the access log is a message.
fn report(text: &str) -> String {
    log::error!(target: "supervisor", "access log: {text}");
    String::new()
}

/// What others than the owner and the group may do with a folder that is made for logs: nothing.
const FOLDER_MODE: u32 = 0o750;

/// Makes the folder of `--log-dir`, for the account that will write there. One that is there stays as it is.
///
/// # Errors
/// A line that names the switch.
pub(super) fn make_folder(folder: &Path, user: &str) -> Result<(), String> {
    if folder.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    let made = std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
    let made = made.map_err(|error| format!("{}: {error}", folder.display()));
    // Those above it were made with it, and are passed through by the account.
    let all = made.and_then(|()| missing.into_iter().try_for_each(|made| hand_over(made, user)));
    all.map_err(|error| format!("--log-dir: {error}"))
}

/// Whether that folder could be made, without making it.
///
/// # Errors
/// A line that names the switch.
pub(super) fn check_folder(folder: &Path) -> Result<(), String> {
    let Some(above) = folder.ancestors().skip(1).find(|above| above.exists()) else { return Ok(()) };
    let refused = |why: &str| format!("--log-dir: {}: {why}", above.display());
    if !above.is_dir() {
        return Err(refused("not a folder"));
    }
    access(above, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| refused(errno.desc()))
}

/// The writers of this process, by their destinations.
struct Writers {
    style: SyslogStyle,
    opened: Vec<(Destination, Handle)>,
}

impl Writers {
    /// The writer to this destination, perhaps one that another log has already.
    fn find(
        &mut self,
        destination: &Destination,
        rotation: Rotation,
        notice: impl Fn(&str) -> String + Send + 'static,
    ) -> Result<Handle, OpenError> {
        if let Some((_, handle)) = self.opened.iter().find(|(known, _)| known == destination) {
            return Ok(handle.clone());
        }
        let output = logs::sink::open(destination, rotation, self.style.clone()).map_err(OpenError::Destination)?;
        let handle = Writer::spawn(output, logs::messages::QUEUE_BYTES, Box::new(notice)).map_err(OpenError::Thread)?;
        self.opened.push((destination.clone(), handle.clone()));
        Ok(handle)
    }
}

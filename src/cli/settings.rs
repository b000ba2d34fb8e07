//! Switches that set options, as users of a Python proxy type them: what each stands for. Reads no file; what a name means
//! on this machine is told by who asks.

use std::net::IpAddr;

use getopts::Matches;

use super::table::{SwitchGroup, SWITCHES};
use super::UsageError;
use crate::config::Setting;

/// Files of `--log-dir`.
const ACCESS_LOG: &str = "access.log";
const MESSAGE_LOG: &str = "exaproxy.log";

/// What the switches of a command line say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandSettings {
    /// Options that they set.
    pub options: Vec<Setting>,
    /// The folder of `--log-dir`, which is made where it is missing.
    pub log_folder: Option<String>,
}

impl CommandSettings {
    /// Reads the switches; `resolve` gives the addresses of this machine that a name stands for.
    pub(super) fn read(
        found: &Matches,
        resolve: impl Fn(&str) -> Result<Vec<IpAddr>, String>,
    ) -> Result<CommandSettings, UsageError> {
        let mut settings = CommandSettings::default();
        for switch in SWITCHES.iter().filter(|switch| switch.group == SwitchGroup::Setting && switch.takes_value()) {
            let Some(value) = found.opt_str(switch.long) else { continue };
            match switch.long {
                "host" => settings.listen_on(&addresses(&value, &resolve)?),
                "port" => settings.set_both("--port", "port", &value),
                "blacklist" => settings.add("--blacklist", "acl", "blocklist", value, true),
                "auth-file" => {
                    settings.add("--auth-file", "auth", "enable", "true".into(), false);
                    settings.add("--auth-file", "auth", "users", value, true);
                }
                "log-dir" => settings.log_to(value),
                _ => settings.add("--max-connections", "http", "connections", value, false),
            }
        }
        if found.opt_present("cache") {
            settings.add("--cache", "cache", "enable", "true".into(), false);
            if let Some(size) = found.opt_str("cache") {
                settings.add("--cache", "cache", "size", size, false);
            }
        }
        Ok(settings)
    }

    fn add(&mut self, switch: &'static str, section: &'static str, key: &'static str, text: String, path: bool) {
        self.options.push(Setting { switch, section, key, text, path });
    }

    fn set_both(&mut self, switch: &'static str, key: &'static str, value: &str) {
        for section in ["tcp4", "tcp6"] {
            self.add(switch, section, key, value.to_owned(), false);
        }
    }

    /// Listens on these addresses and on no others.
    fn listen_on(&mut self, addresses: &[IpAddr]) {
        for (section, wanted) in [("tcp4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("tcp6", IpAddr::is_ipv6)] {
            let address = addresses.iter().find(|address| wanted(address));
            self.add("--host", section, "listen", address.is_some().to_string(), false);
            if let Some(address) = address {
                self.add("--host", section, "host", address.to_string(), false);
            }
        }
    }

    fn log_to(&mut self, folder: String) {
        let at = |name: &str| format!("{}/{name}", folder.trim_end_matches('/'));
        self.add("--log-dir", "access", "enable", "true".into(), false);
        self.add("--log-dir", "access", "destination", at(ACCESS_LOG), true);
        self.add("--log-dir", "log", "destination", at(MESSAGE_LOG), true);
        self.log_folder = Some(folder);
    }
}

/// The addresses that `--host` means.
fn addresses(host: &str, resolve: impl Fn(&str) -> Result<Vec<IpAddr>, String>) -> Result<Vec<IpAddr>, UsageError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let found = bare.parse().map_or_else(|_| resolve(bare), |address| Ok(vec![address]));
    found.map_err(|expected| UsageError::Value("--host", host.to_owned(), expected))
}

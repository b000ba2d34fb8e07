//! The table of switches, the only place where one is written down: names, what follows it, meaning. Parsing, the help,
//! the manual and the completions of shells all come from it. Beside it the signals, which are commands too.

/// What follows a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Nothing.
    Nothing,
    /// A word, always.
    Needed(OperandWord),
    /// A word, or nothing.
    Optional(OperandWord),
}

/// A word behind a switch: what a shell can offer for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperandWord {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// An address or a name of this machine.
    Address,
    /// What only its user knows, by the name that the help gives it.
    Other(&'static str),
}

impl OperandWord {
    /// As the help names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            OperandWord::File => "FILE",
            OperandWord::Folder => "DIR",
            OperandWord::Address => "ADDRESS",
            OperandWord::Other(name) => name,
        }
    }
}

/// What a switch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SwitchGroup {
    /// What to do, and with which file.
    Command,
    /// An option to set.
    Setting,
    /// Accepted, since old scripts have it.
    Gone,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    /// The letter behind a single dash; empty where there is none.
    pub(super) short: &'static str,
    /// The name behind two dashes.
    pub(super) long: &'static str,
    /// The original's spelling that is neither; empty where there is none.
    pub(super) spelling: &'static str,
    pub(super) operand: Operand,
    pub(super) group: SwitchGroup,
    pub(super) help: &'static str,
}

impl Switch {
    /// Does a word always follow?
    pub(super) fn takes_value(&self) -> bool {
        matches!(self.operand, Operand::Needed(_))
    }

    /// What follows, as the help shows it: ` FILE`, ` [SIZE]`.
    pub(super) fn operand(&self) -> String {
        match self.operand {
            Operand::Nothing => String::new(),
            Operand::Needed(word) => format!(" {}", word.name()),
            Operand::Optional(word) => format!(" [{}]", word.name()),
        }
    }
}

const fn command(
    short: &'static str,
    long: &'static str,
    spelling: &'static str,
    operand: Operand,
    help: &'static str,
) -> Switch {
    Switch { short, long, spelling, operand, group: SwitchGroup::Command, help }
}

const fn setting(long: &'static str, operand: Operand, help: &'static str) -> Switch {
    Switch { short: "", long, spelling: "", operand, group: SwitchGroup::Setting, help }
}

const fn gone(short: &'static str, long: &'static str) -> Switch {
    let help = "no effect: it belonged to the Python program";
    Switch { short, long, spelling: "", operand: Operand::Nothing, group: SwitchGroup::Gone, help }
}

use Operand::{Needed, Nothing, Optional};
use OperandWord::{Address, File, Folder, Other};

/// Every switch, in the order of the help.
pub(super) const SWITCHES: &[Switch] = &[
    command("h", "help", "", Nothing, "this help"),
    command("", "help-options", "", Nothing, "every option with its default, and what signals do"),
    command("c", "conf-file", "", Needed(File), "configuration file to use (ini format)"),
    command("i", "ini", "-fi", Nothing, "print the configuration as ini file"),
    command("e", "env", "-fe", Nothing, "print the configuration as environment"),
    command("", "diff-ini", "-di", Nothing, "print what differs from the defaults as ini file"),
    command("", "diff-env", "-de", Nothing, "print what differs as environment"),
    command("", "check", "", Nothing, "say what a start would stumble over, and exit"),
    command("", "check-name", "", Needed(Other("NAME[:PORT]")), "say what the lists say of a name or an address"),
    command(
        "",
        "hash-password",
        "",
        Optional(Other("NAME")),
        "read a password, and print its hash, behind NAME if given",
    ),
    command("", "upgrade", "", Needed(File), "have the process of a pidfile execute its next version"),
    command("d", "debug", "", Nothing, "write all messages to the log"),
    command("v", "version", "", Nothing, "print the version"),
    setting("host", Needed(Address), "listen there alone: an address, or a name such as localhost"),
    setting("port", Needed(Other("PORT")), "tcp4.port and tcp6.port"),
    setting("blacklist", Needed(File), "acl.blocklist"),
    setting("auth-file", Needed(File), "auth.users, and auth.enable"),
    setting("cache", Optional(Other("SIZE")), "cache.enable, and cache.size, such as 64m"),
    setting("log-dir", Needed(Folder), "access.log and exaproxy.log in DIR, rotated by size"),
    setting("max-connections", Needed(Other("N")), "http.connections"),
    gone("p", "pdb"),
    gone("m", "memory"),
];

/// What signals do.
pub(super) const SIGNALS: &[(&str, &str)] = &[
    ("SIGTERM, SIGINT", "stop at once"),
    ("SIGQUIT", "stop accepting, and exit when the last client has gone; a second one stops at once"),
    ("SIGHUP", "read the configuration again and use it if it is sound"),
    ("SIGTTOU", "stop listening for clients of the proxy"),
    ("SIGTTIN", "listen for clients of the proxy again"),
    ("SIGTRAP", "write all messages to the log, or no longer"),
    ("SIGUSR1", "one helper program less"),
    ("SIGUSR2", "one helper program more"),
    ("SIGALRM", "execute the next version of the program, which stands at its path, without losing a connection"),
];

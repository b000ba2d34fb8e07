//! The command line: words in, one command out. Knows the switches of the original and their spellings, and those that set
//! options; reads no configuration, prints nothing and does not exit.

#[cfg(test)]
mod document;
mod help;
mod settings;
mod table;

use crate::config::{nearest, PrintForm};
use getopts::{Fail, Matches, Options};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

pub use help::{help, help_options};
pub use settings::CommandSettings;
use table::{Operand, Switch, SWITCHES};

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the proxy.
    Run {
        /// The configuration file of `-c`.
        file: Option<PathBuf>,
        /// Write all messages to the log.
        debug: bool,
    },
    /// Print the configuration.
    Print {
        /// The configuration file of `-c`.
        file: Option<PathBuf>,
        /// How to print it.
        form: PrintForm,
    },
    /// Read the configuration and say whether it can be used.
    Check {
        /// The configuration file of `-c`.
        file: Option<PathBuf>,
    },
    /// Say what the lists say of a name or an address.
    CheckName {
        /// The configuration file of `-c`.
        file: Option<PathBuf>,
        /// The name or address, with a port or without.
        name: String,
    },
    /// Have a running process execute its next version.
    Upgrade {
        /// The file with its number.
        pidfile: PathBuf,
    },
    /// Read a password and print its hash.
    HashPassword {
        /// The user whose line is printed; only the hash without one.
        name: Option<String>,
    },
    /// Print the help text.
    Help,
    /// Print every option.
    HelpOptions,
    /// Print the version.
    Version,
}

/// A command line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// What to do.
    pub command: Command,
    /// What its switches say of options.
    pub settings: CommandSettings,
    /// Words that have no meaning any more, one line each.
    pub warnings: Vec<String>,
}

/// A command line that was not understood; all of it is the user's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// A word that is no option, and the option that it resembles.
    Unknown(String, Option<String>),
    /// An option without the word that has to follow it.
    Missing(String),
    /// An option with a value that takes none.
    Unexpected(String),
    /// An option that may stand only once.
    Repeated(String),
    /// A switch with a value that it does not take, and what it does.
    Value(&'static str, String, String),
    /// A word that is not UTF-8.
    NotText,
}

impl std::error::Error for UsageError {}

impl fmt::Display for UsageError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("command line issue, ")?;
        match self {
            UsageError::Unknown(word, Some(near)) => write!(out, "unknown option {word:?}, the nearest is {near}"),
            UsageError::Unknown(word, None) => write!(out, "unknown option {word:?}, exaproxy -h lists them all"),
            UsageError::Missing(option) => write!(out, "{option} has to be followed by a value"),
            UsageError::Unexpected(option) => write!(out, "{option} takes no value"),
            UsageError::Repeated(option) => write!(out, "{option} was given more than once"),
            UsageError::Value(switch, value, expected) => write!(out, "{switch} {value:?}: expected {expected}"),
            UsageError::NotText => out.write_str("a word is not UTF-8"),
        }
    }
}

/// What switches choose. The first of these that stands on the command line counts.
const COMMANDS: [(&str, Choice); 8] = [
    ("help", Choice::Help),
    ("help-options", Choice::HelpOptions),
    ("version", Choice::Version),
    ("ini", Choice::Print(PrintForm::Ini)),
    ("env", Choice::Print(PrintForm::Env)),
    ("diff-ini", Choice::Print(PrintForm::DiffIni)),
    ("diff-env", Choice::Print(PrintForm::DiffEnv)),
    ("check", Choice::Check),
];

/// The command that a value follows. It counts before all others.
const CHECK_NAME: &str = "check-name";

/// The command that a pidfile follows. It counts before all others but that.
const UPGRADE: &str = "upgrade";

/// The command that a name may follow. It counts before all others but those.
const HASH_PASSWORD: &str = "hash-password";

#[derive(Clone, Copy)]
enum Choice {
    Help,
    HelpOptions,
    Version,
    Print(PrintForm),
    Check,
}

/// Understands a command line, without the program's own name. `resolve` gives the addresses of this machine that a name
/// stands for, or what to expect in place of the name.
pub fn parse(
    words: impl IntoIterator<Item = std::ffi::OsString>,
    resolve: impl Fn(&str) -> Result<Vec<IpAddr>, String>,
) -> Result<CommandLine, UsageError> {
    let words = words.into_iter().map(|word| word.into_string().map_err(|_| UsageError::NotText));
    let words = words.collect::<Result<Vec<String>, UsageError>>()?;
    let found = options().parse(normal(words)).map_err(explain)?;
    if let Some(word) = found.free.first() {
        return Err(unknown(word));
    }
    let settings = CommandSettings::read(&found, resolve)?;
    let warnings = warnings(&found);
    Ok(CommandLine { command: command(&found), settings, warnings })
}

fn command(found: &Matches) -> Command {
    let file = found.opt_str("conf-file").map(PathBuf::from);
    if let Some(name) = found.opt_str(CHECK_NAME) {
        return Command::CheckName { file, name };
    }
    if let Some(pidfile) = found.opt_str(UPGRADE) {
        return Command::Upgrade { pidfile: pidfile.into() };
    }
    if found.opt_present(HASH_PASSWORD) {
        return Command::HashPassword { name: found.opt_str(HASH_PASSWORD) };
    }
    let placed = COMMANDS.iter().filter_map(|(long, choice)| Some((*found.opt_positions(long).first()?, *choice)));
    match placed.min_by_key(|(position, _)| *position).map(|(_, choice)| choice) {
        None => Command::Run { file, debug: found.opt_present("debug") },
        Some(Choice::Help) => Command::Help,
        Some(Choice::HelpOptions) => Command::HelpOptions,
        Some(Choice::Version) => Command::Version,
        Some(Choice::Print(form)) => Command::Print { file, form },
        Some(Choice::Check) => Command::Check { file },
    }
}

fn warnings(found: &Matches) -> Vec<String> {
    let gone = ["pdb", "memory"].iter().filter(|long| found.opt_present(long));
    gone.map(|long| format!("command line issue, --{long} belonged to the Python program and has no effect")).collect()
}

fn options() -> Options {
    let mut options = Options::new();
    for Switch { short, long, operand, .. } in SWITCHES {
        match operand {
            Operand::Nothing => options.optflagmulti(short, long, ""),
            Operand::Needed(_) => options.optopt(short, long, "", ""),
            Operand::Optional(_) => options.optflagopt(short, long, "", ""),
        };
    }
    options
}

/// The words with the original's own spellings replaced, and the size of `--cache` joined to it, except where a word is the
/// value of another or stands behind `--`.
fn normal(words: Vec<String>) -> Vec<String> {
    let mut plain = false;
    let mut value = false;
    let mut normal: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        let spelled = |switch: &&Switch| switch.spelling == word && !word.is_empty() && !value && !plain;
        let spelling = SWITCHES.iter().find(spelled);
        let sized = word.starts_with(|first: char| first.is_ascii_digit());
        let own = !value && !plain;
        plain |= word == "--" && !value;
        value = !value && takes_value(&word);
        let named = |last: &String| *last == "--hash-password" && !word.starts_with('-');
        match normal.last_mut().filter(|last| own && (sized && *last == "--cache" || named(last))) {
            Some(last) => *last = format!("{last}={word}"),
            None => normal.push(spelling.map_or(word, |switch| dashed(switch.long))),
        }
    }
    normal
}

/// Whether the word behind this one is its value.
fn takes_value(word: &str) -> bool {
    let short = |switch: &Switch| !switch.short.is_empty() && word.strip_prefix('-') == Some(switch.short);
    let named = |switch: &Switch| word.strip_prefix("--") == Some(switch.long) || short(switch);
    SWITCHES.iter().any(|switch| switch.takes_value() && named(switch))
}

fn explain(fail: Fail) -> UsageError {
    match fail {
        Fail::ArgumentMissing(name) => UsageError::Missing(dashed(&name)),
        Fail::UnrecognizedOption(name) => unknown(&dashed(&name)),
        Fail::OptionDuplicated(name) => UsageError::Repeated(dashed(&name)),
        Fail::UnexpectedArgument(name) | Fail::OptionMissing(name) => UsageError::Unexpected(dashed(&name)),
    }
}

fn unknown(word: &str) -> UsageError {
    let near = nearest(word.trim_start_matches('-'), SWITCHES.iter().map(|switch| switch.long.to_owned()));
    UsageError::Unknown(word.to_owned(), near.map(|name| dashed(&name)))
}

/// An option's name as it is typed.
fn dashed(name: &str) -> String {
    let dashes = if name.chars().nth(1).is_some() { "--" } else { "-" };
    format!("{dashes}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Result<Command, String> {
        let words = words.split_whitespace().map(std::ffi::OsString::from);
        parse(words, resolve).map(|line| line.command).map_err(|error| error.to_string())
    }

    fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
        let addresses = |texts: &[&str]| Ok(texts.iter().map(|text| text.parse().unwrap()).collect());
        match name {
            "localhost" => addresses(&["127.0.0.1", "::1"]),
            "six.example" => addresses(&["2001:db8::1"]),
            _ => Err("a name of this machine".to_owned()),
        }
    }

    /// What the switches set, as `section.key=text`.
    fn set(words: &str) -> Vec<String> {
        let line = parse(words.split_whitespace().map(std::ffi::OsString::from), resolve).unwrap();
        line.settings.options.iter().map(|one| format!("{}.{}={}", one.section, one.key, one.text)).collect()
    }

    fn run(file: Option<&str>, debug: bool) -> Command {
        Command::Run { file: file.map(PathBuf::from), debug }
    }

    fn print(file: Option<&str>, form: PrintForm) -> Command {
        Command::Print { file: file.map(PathBuf::from), form }
    }

    #[test]
    fn every_spelling_of_the_original_is_understood() {
        for (words, command) in [
            ("", run(None, false)),
            ("-d", run(None, true)),
            ("--debug -c x.conf", run(Some("x.conf"), true)),
            ("-cx.conf", run(Some("x.conf"), false)),
            ("--conf-file x.conf --", run(Some("x.conf"), false)),
            ("--conf-file=x.conf", run(Some("x.conf"), false)),
            ("-c -fi", run(Some("-fi"), false)),
            ("-p -m --pdb --memory", run(None, false)),
            ("-h", Command::Help),
            ("--help -c x", Command::Help),
            ("-v -h", Command::Version),
            ("-h --version", Command::Help),
            ("-i", print(None, PrintForm::Ini)),
            ("-fi -fi", print(None, PrintForm::Ini)),
            ("--ini -d", print(None, PrintForm::Ini)),
            ("-e -i", print(None, PrintForm::Env)),
            ("-fe -c x", print(Some("x"), PrintForm::Env)),
            ("-c x -di", print(Some("x"), PrintForm::DiffIni)),
            ("--diff-ini", print(None, PrintForm::DiffIni)),
            ("-de", print(None, PrintForm::DiffEnv)),
            ("--diff-env", print(None, PrintForm::DiffEnv)),
            ("--check-name a.b:80 -c x", Command::CheckName { file: Some("x".into()), name: "a.b:80".into() }),
            ("--upgrade a.pid --check", Command::Upgrade { pidfile: "a.pid".into() }),
            ("--hash-password", Command::HashPassword { name: None }),
            ("--hash-password ann", Command::HashPassword { name: Some("ann".into()) }),
            ("--hash-password=ann -d", Command::HashPassword { name: Some("ann".into()) }),
            ("--hash-password -d", Command::HashPassword { name: None }),
            ("--check -c x", Command::Check { file: Some("x".into()) }),
        ] {
            assert_eq!(line(words), Ok(command), "{words}");
        }
    }

    #[test]
    fn mistakes_are_named_with_the_nearest_option() {
        for (words, text) in [
            ("--hlep", "unknown option \"--hlep\", the nearest is --help"),
            ("--chekc", "unknown option \"--chekc\", the nearest is --check"),
            ("check", "unknown option \"check\", the nearest is --check"),
            ("-x", "unknown option \"-x\", exaproxy -h lists them all"),
            ("-- -d", "unknown option \"-d\", exaproxy -h lists them all"),
            ("-c", "-c has to be followed by a value"),
            ("--help=1", "--help takes no value"),
            ("-c a -c b", "--conf-file was given more than once"),
            ("--prot 1", "unknown option \"--prot\", the nearest is --port"),
            ("--port", "--port has to be followed by a value"),
            ("--port 1 --port 2", "--port was given more than once"),
            ("--host nowhere", "--host \"nowhere\": expected a name of this machine"),
            ("--cache big", "unknown option \"big\", exaproxy -h lists them all"),
        ] {
            assert_eq!(line(words), Err(format!("command line issue, {text}")), "{words}");
        }
    }

    #[test]
    fn switches_set_options() {
        let all = "--host 0.0.0.0 --port 8888 --blacklist b --cache --log-dir logs/ --max-connections 5000";
        assert_eq!(
            set(all),
            [
                "tcp4.listen=true",
                "tcp4.host=0.0.0.0",
                "tcp6.listen=false",
                "tcp4.port=8888",
                "tcp6.port=8888",
                "acl.blocklist=b",
                "access.enable=true",
                "access.destination=logs/access.log",
                "log.destination=logs/exaproxy.log",
                "http.connections=5000",
                "cache.enable=true",
            ]
        );
        for (host, wanted) in [
            ("::", &["tcp4.listen=false", "tcp6.listen=true", "tcp6.host=::"][..]),
            ("[::1]", &["tcp4.listen=false", "tcp6.listen=true", "tcp6.host=::1"]),
            ("six.example", &["tcp4.listen=false", "tcp6.listen=true", "tcp6.host=2001:db8::1"]),
            ("localhost", &["tcp4.listen=true", "tcp4.host=127.0.0.1", "tcp6.listen=true", "tcp6.host=::1"]),
        ] {
            assert_eq!(set(&format!("--host {host}")), wanted, "{host}");
        }
    }

    #[test]
    fn a_size_belongs_to_the_cache_and_nothing_else_does() {
        for (words, size) in [
            ("--cache", None),
            ("--cache 64m", Some("64m")),
            ("--cache=64k", Some("64k")),
            // What it means is for the option to say.
            ("--cache 64x", Some("64x")),
            ("--port 1 --cache", None),
        ] {
            let set = set(words);
            assert!(set.contains(&"cache.enable=true".to_owned()), "{words}");
            let wanted = size.map(|size| format!("cache.size={size}"));
            assert_eq!(set.iter().find(|one| one.starts_with("cache.size")), wanted.as_ref(), "{words}");
        }
        // The value of another switch is not its name.
        assert_eq!(set("--blacklist --cache --port 64"), ["tcp4.port=64", "tcp6.port=64", "acl.blocklist=--cache"]);
    }

    #[test]
    fn switches_of_the_python_program_are_warned_about() {
        let warnings = parse(["-p", "-m"].map(std::ffi::OsString::from), resolve).map(|line| line.warnings.len());
        assert_eq!(warnings, Ok(2));
    }
}

//! Printing of values as ini file and as environment assignments, and the help text. All three read back what the
//! original printed. Knows nothing of where values come from.

use super::history::OptionHistory;
use super::options::{OptionEntry, OPTIONS};
use super::sources::{FILE, FOLDERS};
use super::value::quote;
use super::Value;
use std::fmt::Write;

/// How the configuration is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrintForm {
    /// All options as ini file.
    Ini,
    /// Options that differ from their default, as ini file.
    DiffIni,
    /// All options as environment assignments.
    Env,
    /// Options that differ from their default, as environment assignments.
    DiffEnv,
}

/// Prints all values that are not hidden.
pub(super) fn values(values: &[Value], form: PrintForm) -> String {
    let all = matches!(form, PrintForm::Ini | PrintForm::Env);
    let chosen = values.iter().filter(|value| !value.entry.hidden() && (all || value.differs));
    match form {
        PrintForm::Ini | PrintForm::DiffIni => ini(chosen),
        PrintForm::Env | PrintForm::DiffEnv => environment(chosen),
    }
}

fn ini<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let mut out = String::new();
    let mut section = "";
    for Value { entry, text, .. } in values {
        if entry.section != section {
            section = entry.section;
            out.push_str(&format!("\n[{section}]\n"));
        }
        out.push_str(&ini_line(entry, text));
    }
    out
}

/// One assignment of an ini file. Where the reader would fill in `%(name)s`, every `%` is doubled.
pub(super) fn ini_line(entry: &OptionEntry, text: &str) -> String {
    let text = if text.contains("%(") { text.replace('%', "%%") } else { text.to_owned() };
    format!("{} = {}\n", entry.key, printed(entry, &text))
}

fn environment<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let lines = values.map(|Value { entry, text, .. }| format!("exaproxy.{}={}\n", entry.name(), printed(entry, text)));
    format!("\n{}", lines.collect::<String>())
}

/// A value with the quotes that its option calls for, or that keep a reader from taking it for something else.
pub(super) fn printed(entry: &OptionEntry, text: &str) -> String {
    match entry.quoted || text.starts_with(['\'', '"']) || text.contains(';') {
        true => quote(text),
        false => text.to_owned(),
    }
}

/// Of the text of `--help-options`, where values come from.
pub fn help_sources() -> String {
    let mut out = format!("The configuration file is the first of these that exists:\n - EXAPROXY-TREE/{FILE}\n");
    out.push_str("   (the tree above the program's bin, sbin or lib folder)\n");
    for folder in FOLDERS {
        let _ = writeln!(out, " - {}/{FILE}", folder.trim_end_matches('/'));
    }
    out.push_str(EXPLANATION);
    out
}

/// Of the text of `--help-options`, every option.
pub fn help_options() -> String {
    OPTIONS.iter().map(|entry| help_line(entry)).chain(["\n".to_owned()]).collect()
}

fn help_line(entry: &OptionEntry) -> String {
    // The width at which the original aligns its colons.
    const WIDTH: usize = 20;
    let spaces = " ".repeat(WIDTH.saturating_sub(entry.section.len() + entry.key.len()));
    let mark = match entry.history {
        OptionHistory::New => " (new)",
        OptionHistory::Obsolete(_) => " (no effect)",
        OptionHistory::Unbuilt => " (not built yet)",
        OptionHistory::Kept | OptionHistory::Changed(_) => "",
    };
    let default = match entry.name().as_str() {
        "security.local" | "security.deny" => String::new(),
        _ => printed(entry, entry.default),
    };
    let text = format!("{}{mark}.", entry.help);
    let words = text.split(' ').map(str::to_owned).chain([format!("default ({default})")]);
    wrapped(&format!(" - exaproxy.{} {spaces}:", entry.name()), words)
}

/// Columns of a terminal, as they are at the least.
const COLUMNS: usize = 80;

/// Most blanks in front of a line that goes on: the longest default has to fit behind them.
const INDENT: usize = 30;

/// Words behind a start, in lines that fit a terminal and that go on below the first word.
fn wrapped(start: &str, words: impl Iterator<Item = String>) -> String {
    let mut out = start.to_owned();
    let indent = start.len().min(INDENT);
    let mut width = start.len();
    for word in words {
        if width + 1 + word.len() > COLUMNS {
            let _ = write!(out, "\n{}", " ".repeat(indent));
            width = indent;
        }
        let _ = write!(out, " {word}");
        width += 1 + word.len();
    }
    out + "\n"
}

const EXPLANATION: &str = "
A complete file to start from is printed by: exaproxy -i > exaproxy.conf

Every option can be given in the environment instead:
 > env exaproxy.tcp4.host=192.0.2.1 exaproxy
 > env exaproxy_tcp4_host=192.0.2.1 exaproxy
 > export exaproxy_http_idle_connect=60; exaproxy

What comes first counts: command line, environment with dots, environment with
underscores, file, default.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::find;

    #[test]
    fn help_lines_have_the_form_of_the_original() {
        for (section, key, line) in [
            ("tcp4", "port", " - exaproxy.tcp4.port             : port to listen on. default (3128)\n"),
            ("web", "html", "default ('etc/exaproxy/html')\n"),
            ("daemon", "identifier", "first word of every log line. default (ExaProxy)\n"),
            ("security", "deny", ". default ()\n"),
            ("http", "pool", "0 = none (new). default (512)\n"),
            ("http", "compatible-status", " - exaproxy.http.compatible-status : answer"),
        ] {
            let found = find(section, key).map(help_line).unwrap_or_default();
            let joined = found.split("\n  ").map(str::trim_start).collect::<Vec<_>>().join(" ");
            assert!(found.contains(line) || joined.contains(line), "{found}");
        }
    }

    #[test]
    fn help_names_every_option_and_ends_with_an_empty_line() {
        let help = help_options();
        assert!(OPTIONS.iter().all(|entry| help.contains(&format!(" - exaproxy.{} ", entry.name()))));
        assert!(help.ends_with(")\n\n"));
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > COLUMNS).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

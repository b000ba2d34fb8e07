//! The texts of `--help` and `--help-options`: switches and signals from their table, options from that of the configuration.

use std::fmt::Write;

use super::table::{Switch, SwitchGroup, SIGNALS, SWITCHES};
use crate::config;

/// Columns of a terminal, as they are at the least.
const COLUMNS: usize = 80;

/// Where explanations begin.
const INDENT: usize = 30;

/// What `-h` prints: what there is to type, on one screen.
pub fn help() -> String {
    let mut out = String::from("usage: exaproxy [options]\n\n");
    switches(&mut out, SwitchGroup::Command);
    out.push_str("\nSwitches that set options, and win over environment and file:\n");
    switches(&mut out, SwitchGroup::Setting);
    out.push_str(REST);
    out
}

/// What `--help-options` prints: where options come from, and each of them; what signals do.
pub fn help_options() -> String {
    let mut out = config::help_sources();
    out.push_str("\nSignals:\n");
    SIGNALS.iter().for_each(|(name, help)| line(&mut out, &format!(" {name}"), help));
    out.push_str("\nOptions:\n");
    out.push_str(&config::help_options());
    out
}

const REST: &str = "
Options stand in etc/exaproxy/exaproxy.conf, or in the environment, as in
exaproxy_http_idle_connect=5m. exaproxy -i prints a complete file to start from.
SIGHUP reads the configuration again, SIGQUIT stops when clients have gone.
";

fn switches(out: &mut String, group: SwitchGroup) {
    SWITCHES.iter().filter(|switch| switch.group == group).for_each(|switch| line(out, &names(switch), switch.help));
}

fn names(switch: &Switch) -> String {
    let first = match (switch.short, switch.spelling) {
        ("", "") => "    ".to_owned(),
        ("", spelling) => format!("{spelling},"),
        (short, _) => format!("-{short}, "),
    };
    let also = match switch.spelling {
        spelling if !spelling.is_empty() && !switch.short.is_empty() => format!(", {spelling}"),
        _ => String::new(),
    };
    format!(" {first} --{}{}{also}", switch.long, switch.operand())
}

/// Lines of a terminal that shows the help at a glance.
#[cfg(test)]
const LINES: usize = 40;

/// A name with its explanation, in lines that fit a terminal.
fn line(out: &mut String, name: &str, help: &str) {
    let _ = write!(out, "{name:<width$}:", width = INDENT - 2);
    let mut width = INDENT - 1;
    for word in help.split(' ') {
        if width + 1 + word.len() > COLUMNS {
            let _ = write!(out, "\n{}", " ".repeat(INDENT - 1));
            width = INDENT - 1;
        }
        let _ = write!(out, " {word}");
        width += 1 + word.len();
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_switch_and_fits_a_terminal() {
        let help = help();
        for line in [
            " -h,  --help                : this help\n",
            " -c,  --conf-file FILE      : configuration file",
            " -i,  --ini, -fi            : print",
            " -di, --diff-ini            : print",
            "      --check-name NAME[:PORT]: say",
            "      --hash-password [NAME]: read",
            "      --auth-file FILE      : auth.users",
        ] {
            assert!(help.contains(line), "{line:?} is missing:\n{help}");
        }
        assert!(help.lines().count() <= LINES, "{}:\n{help}", help.lines().count());
        let options = help_options();
        for line in [" SIGTERM, SIGINT            : stop at once\n", "\nOptions:\n - exaproxy.access"] {
            assert!(options.contains(line), "{line:?} is missing:\n{options}");
        }
        let named = |switch: &&Switch| help.contains(&format!("--{}", switch.long));
        let missing: Vec<_> =
            SWITCHES.iter().filter(|switch| switch.group != SwitchGroup::Gone && !named(switch)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let wide: Vec<&str> =
            help.lines().chain(options.lines()).filter(|line| line.chars().count() > COLUMNS).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

//! The completions in `conf/completions`, made from the table of switches. The tests hold them to it.

use std::fmt::Write;

use super::super::table::{Operand, OperandWord, Switch, SwitchGroup, SWITCHES};
use crate::config::document::hold;

/// Words that `--host` is often given.
const HOSTS: &str = "127.0.0.1 0.0.0.0 ::1 :: localhost";

/// Switches that a shell offers: not those without an effect.
fn offered() -> impl Iterator<Item = &'static Switch> {
    SWITCHES.iter().filter(|switch| switch.group != SwitchGroup::Gone)
}

/// All ways to write a switch, with their dashes.
fn spellings(switch: &Switch) -> Vec<String> {
    let short = (!switch.short.is_empty()).then(|| format!("-{}", switch.short));
    let spelling = (!switch.spelling.is_empty()).then(|| switch.spelling.to_owned());
    short.into_iter().chain(spelling).chain([format!("--{}", switch.long)]).collect()
}

fn operand(switch: &Switch) -> Option<OperandWord> {
    match switch.operand {
        Operand::Nothing => None,
        Operand::Needed(word) | Operand::Optional(word) => Some(word),
    }
}

fn bash() -> String {
    // Behind an optional word another switch may follow as well.
    let all = |chosen: &dyn Fn(&Switch) -> bool| {
        let names = offered().filter(|switch| switch.takes_value() && chosen(switch)).flat_map(spellings);
        names.collect::<Vec<_>>().join("|")
    };
    let kind = |word: OperandWord| all(&move |switch| operand(switch) == Some(word));
    let other = all(&|switch| matches!(operand(switch), Some(OperandWord::Other(_))));
    let words: Vec<String> = offered().map(|switch| format!("--{}", switch.long)).collect();
    format!(
        "\
# Completion of exaproxy for bash, made from its table of switches.
_exaproxy() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    # bash takes --name=word apart.
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    case $before in
    {files})
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")
        ;;
    {folders})
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- \"$word\")
        ;;
    {hosts})
        mapfile -t COMPREPLY < <(compgen -W '{HOSTS}' -- \"$word\")
        ;;
    {other}) COMPREPLY=() ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W '{words}' -- \"$word\")
        ;;
    esac
}}
complete -F _exaproxy exaproxy
",
        files = kind(OperandWord::File),
        folders = kind(OperandWord::Folder),
        hosts = kind(OperandWord::Address),
        words = words.join(" "),
    )
}

fn zsh() -> String {
    let out = String::from(
        "#compdef exaproxy\n# Completion of exaproxy for zsh, made from its table of switches.\n_arguments \\\n",
    );
    let specs = offered().flat_map(|switch| {
        let names = spellings(switch);
        names.clone().into_iter().map(move |name| {
            let others = names.iter().filter(|other| **other != name).cloned().collect::<Vec<_>>().join(" ");
            let excluded = if others.is_empty() { String::new() } else { format!("({others})") };
            let help = switch.help.replace(':', "\\:").replace('[', "\\[").replace(']', "\\]");
            let joined = if name.starts_with("--") && operand(switch).is_some() { "=" } else { "" };
            format!("'{excluded}{name}{joined}[{help}]{}'", zsh_operand(switch))
        })
    });
    out + &specs.map(|spec| format!("    {spec}")).collect::<Vec<_>>().join(" \\\n") + "\n"
}

fn zsh_operand(switch: &Switch) -> String {
    let Some(word) = operand(switch) else { return String::new() };
    let action = match word {
        OperandWord::File => "_files".to_owned(),
        OperandWord::Folder => "_files -/".to_owned(),
        OperandWord::Address => format!("({})", HOSTS.replace(':', "\\:")),
        OperandWord::Other(_) => String::new(),
    };
    let colon = if switch.takes_value() { ":" } else { "::" };
    format!("{colon}{}:{action}", word.name().replace(':', "\\:").replace(['[', ']'], ""))
}

fn fish() -> String {
    let mut out =
        String::from("# Completion of exaproxy for fish, made from its table of switches.\ncomplete -c exaproxy -f\n");
    for switch in offered() {
        out.push_str("complete -c exaproxy");
        if !switch.short.is_empty() {
            let _ = write!(out, " -s {}", switch.short);
        }
        if !switch.spelling.is_empty() {
            let _ = write!(out, " -o {}", switch.spelling.trim_start_matches('-'));
        }
        let _ = write!(out, " -l {}", switch.long);
        out.push_str(&match operand(switch).filter(|_| switch.takes_value()) {
            Some(OperandWord::File) => " -r -F".to_owned(),
            Some(OperandWord::Folder) => " -x -a '(__fish_complete_directories)'".to_owned(),
            Some(OperandWord::Address) => format!(" -x -a '{HOSTS}'"),
            Some(OperandWord::Other(_)) => " -x".to_owned(),
            None => String::new(),
        });
        let _ = writeln!(out, " -d '{}'", switch.help);
    }
    out
}

#[test]
fn the_completion_of_bash_is_that_of_the_table() {
    hold("conf/completions/exaproxy.bash", &bash());
}

#[test]
fn the_completion_of_zsh_is_that_of_the_table() {
    hold("conf/completions/_exaproxy", &zsh());
}

#[test]
fn the_completion_of_fish_is_that_of_the_table() {
    hold("conf/completions/exaproxy.fish", &fish());
}

#[test]
fn no_explanation_ends_the_quotes_around_it() {
    let ends: Vec<&str> = SWITCHES.iter().map(|switch| switch.help).filter(|help| help.contains('\'')).collect();
    assert!(ends.is_empty(), "{ends:?}");
}

//! The configuration as the monitor shows it: every option under the name that it has in the environment with dots, as in the
//! original, and under the original's where that was another one, as JSON has it: numbers and booleans as they are, everything else as text.

use super::{Config, Value};

/// Names that the original's monitor had for options of other names.
const RENAMED: [(&str, &str); 2] = [("daemon.daemonize", "daemon.deamonize"), ("daemon.speed", "daemon.sleep")];

/// The reactor that a machine of this system has.
#[cfg(target_os = "linux")]
const REACTOR: &str = "epoll";
#[cfg(not(target_os = "linux"))]
const REACTOR: &str = "kqueue";

/// What stands before every name.
const PREFIX: &str = "exaproxy.";

/// Names, texts, and whether a text is JSON already.
pub(super) fn of(values: &[Value], config: &Config) -> Vec<(String, String, bool)> {
    let mut facts = Vec::new();
    for value in values {
        let name = value.entry.name();
        let text = match name.as_str() {
            "daemon.reactor" => REACTOR.to_owned(),
            "redirector.program" => program(&value.text, config),
            "security.local" => tuples(&value.text),
            _ => value.text.clone(),
        };
        let plain = text == "true" || text == "false" || text.parse::<i64>().is_ok();
        let is_json = plain && !value.entry.quoted;
        if let Some((_, old)) = RENAMED.iter().find(|(own, _)| *own == name) {
            facts.push((format!("{PREFIX}{old}"), text.clone(), is_json));
        }
        // The switches of subsystems, which are the flags without an older name.
        if let Some(subsystem) = name.strip_prefix("log.").filter(|_| text == "true" || text == "false") {
            if subsystem != "enable" {
                facts.push((format!("{PREFIX}log.level.{subsystem}"), text.clone(), is_json));
            }
        }
        facts.push((format!("{PREFIX}{name}"), text, is_json));
    }
    facts
}

/// The program without its arguments, which may hold passwords.
fn program(text: &str, config: &Config) -> String {
    let program = &config.redirector.program;
    let first = || text.split_whitespace().next().unwrap_or_default().to_owned();
    let path = program.path.as_ref().map_or_else(|_| first(), |path| path.to_string_lossy().into_owned());
    path + if program.arguments.is_empty() { "" } else { " …" }
}

/// `host:port` as the original wrote it, which was as Python writes a tuple.
fn tuples(text: &str) -> String {
    let tuple = |word: &str| match word.rsplit_once(':') {
        Some((host, port)) => format!("('{host}', {port})"),
        None => word.to_owned(),
    };
    text.split_whitespace().map(tuple).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::Shelf;
    use super::super::{load, Sources};
    use super::*;

    #[test]
    fn b16_arguments_of_the_helper_program_are_not_shown() {
        let shelf = Shelf::default().with("/bin/helper", "#!");
        for (program, shown) in [
            ("/bin/helper", "/bin/helper"),
            ("/bin/helper --password secret", "/bin/helper …"),
            ("/bin/none --password secret", "/bin/none …"),
        ] {
            let sources = Sources {
                environment: vec![("exaproxy_redirector_program".into(), program.into())],
                ..Sources::default()
            };
            let facts = load(&sources, &shelf).expect("a sound configuration").facts();
            let fact = facts.iter().find(|(name, ..)| name == "exaproxy.redirector.program").expect("it is there");
            assert_eq!(fact.1, shown);
            assert!(facts.iter().all(|(name, ..)| name.starts_with(PREFIX)), "{facts:?}");
        }
    }

    #[test]
    fn services_are_written_as_tuples() {
        assert_eq!(tuples("*:27900 *:27901"), "('*', 27900) ('*', 27901)");
        assert_eq!(tuples(""), "");
    }
}

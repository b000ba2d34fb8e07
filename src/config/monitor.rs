//! The configuration as the monitor shows it: every option under the name that it has in the environment with dots, as in the
//! original, and under the original's where that was another one, as JSON has it: numbers and booleans as they are, everything else as text.

use super::options::SECTIONS;
use super::{Config, Value, ValueSource};
use crate::web::OptionFact;

/// Names that the original's monitor had for options of other names.
const RENAMED: [(&str, &str); 2] = [("daemon.daemonize", "daemon.deamonize"), ("daemon.speed", "daemon.sleep")];

/// The reactor that a machine of this system has.
#[cfg(target_os = "linux")]
const REACTOR: &str = "epoll";
#[cfg(not(target_os = "linux"))]
const REACTOR: &str = "kqueue";

/// What stands before every name.
const PREFIX: &str = "exaproxy.";

/// Every option, under each of its names.
pub(super) fn of(values: &[Value], config: &Config) -> Vec<OptionFact> {
    let mut facts = Vec::new();
    for value in values {
        let name = value.entry.name();
        let text = match name.as_str() {
            "daemon.reactor" => REACTOR.to_owned(),
            "redirector.program" => program(&value.text, config),
            _ => value.text.clone(),
        };
        let plain = text == "true" || text == "false" || text.parse::<i64>().is_ok();
        let is_json = plain && !value.entry.quoted;
        let fact = fact(value, format!("{PREFIX}{name}"), text, is_json);
        let renamed = |old: String| OptionFact { name: old, renamed: true, ..fact.clone() };
        if let Some((_, old)) = RENAMED.iter().find(|(own, _)| *own == name) {
            facts.push(renamed(format!("{PREFIX}{old}")));
        }
        // The switches of subsystems, which are the flags without an older name.
        if let Some(subsystem) = name.strip_prefix("log.").filter(|_| fact.text == "true" || fact.text == "false") {
            if subsystem != "enable" {
                facts.push(renamed(format!("{PREFIX}log.level.{subsystem}")));
            }
        }
        facts.push(fact);
    }
    facts
}

fn fact(value: &Value, name: String, text: String, is_json: bool) -> OptionFact {
    let section = SECTIONS.iter().find(|(section, _)| *section == value.entry.section);
    OptionFact {
        name,
        text,
        is_json,
        renamed: false,
        section: section.map_or("", |(_, about)| about.trim()),
        about: value.entry.help,
        default: value.differs.then_some(value.entry.default),
        place: (value.source != ValueSource::Default).then(|| value.source.to_string()),
    }
}

/// The program without its arguments, which may hold passwords.
fn program(text: &str, config: &Config) -> String {
    let program = &config.redirector.program;
    let first = || text.split_whitespace().next().unwrap_or_default().to_owned();
    let path = program.path.as_ref().map_or_else(|_| first(), |path| path.to_string_lossy().into_owned());
    path + if program.arguments.is_empty() { "" } else { " …" }
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
            let fact = facts.iter().find(|fact| fact.name == "exaproxy.redirector.program").expect("it is there");
            assert_eq!((fact.text.as_str(), fact.default), (shown, Some("etc/exaproxy/redirector/url-allow")));
            assert_eq!(fact.place.as_deref(), Some("environment exaproxy_redirector_program"));
            assert!(facts.iter().all(|fact| fact.name.starts_with(PREFIX) && !fact.section.is_empty()), "{facts:?}");
        }
    }
}

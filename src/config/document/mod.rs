//! The files that are made from the table of options: `docs/configuration.md` and `conf/exaproxy.conf`; and what the
//! manual and the completions of shells need for being made from tables. The tests hold all to their table;
//! `EXAPROXY_WRITE_DOCUMENTS=1 cargo test --lib document` writes them anew.

mod manual;

use super::history::OptionHistory;
use super::options::{OptionEntry, OPTIONS, SECTIONS};
use super::print::{ini_line, printed};
use roff::{roman, Roff};
use std::fmt::Write;

/// Widest line of the configuration file, in characters.
const WIDTH: usize = 100;

pub(super) fn of_section(section: &str) -> impl Iterator<Item = &'static OptionEntry> + '_ {
    OPTIONS.iter().copied().filter(move |entry| entry.section == section)
}

/// The text of `docs/configuration.md`.
fn manual() -> String {
    let mut out = String::from(INTRODUCTION);
    for (section, about) in SECTIONS {
        let _ = writeln!(out, "\n### {section}\n\n{}\n", about.trim());
        out.push_str("| Option | Default | Meaning | Notes |\n| --- | --- | --- | --- |\n");
        of_section(section).for_each(|entry| out.push_str(&row(entry)));
    }
    out
}

fn row(entry: &OptionEntry) -> String {
    let default = match (entry.default, default(entry)) {
        (text, shown) if text == shown => format!("`{text}`"),
        (_, shown) => shown,
    };
    let cells = [format!("`{}`", entry.name()), default, sentence(entry.help), notes(entry)];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | ").trim_end())
}

/// A default as it is shown.
pub(super) fn default(entry: &OptionEntry) -> String {
    match entry.default {
        "" => "empty".to_owned(),
        _ if entry.name() == "proxy.version" => "the program's".to_owned(),
        text => text.to_owned(),
    }
}

pub(super) fn notes(entry: &OptionEntry) -> String {
    let history = match entry.history {
        OptionHistory::Kept => String::new(),
        OptionHistory::New => "New.".to_owned(),
        OptionHistory::Changed(how) => how.to_owned(),
        OptionHistory::Obsolete(why) => format!("No effect. {why}"),
        OptionHistory::Unbuilt => "Not built yet: `true` stops the start.".to_owned(),
    };
    let alias = entry.alias.map(|alias| format!("Also `{}.{alias}`.", entry.section)).unwrap_or_default();
    format!("{history} {alias}").trim().to_owned()
}

pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

/// The beginning of a page of the manual.
pub(crate) fn title(page: &mut Roff, name: &str, section: &str, about: &str) {
    // A date would have to be kept; the version says as much, behind an empty one.
    page.control("TH", [name, section, "\"\"", concat!("ExaProxy ", env!("CARGO_PKG_VERSION"))]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{} - {about}", name.to_lowercase()))]);
}

/// A text of the manual, in lines that are not too long for who compares two versions of it.
pub(crate) fn prose(page: &mut Roff, text: &str) {
    const WIDTH: usize = 74;
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            page.text([roman(std::mem::take(&mut line))]);
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    page.text([roman(line)]);
}

/// Compares a file of the repository with the text it should have, or writes it when asked to.
pub(crate) fn hold(path: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("EXAPROXY_WRITE_DOCUMENTS").is_some() {
        std::fs::write(&path, text).expect("the repository can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} differs from its table: see src/config/document.rs", path.display());
}

/// The text of `conf/exaproxy.conf`: the sections that exist so far, every option with its default, commented out.
fn sample() -> String {
    let mut out = String::from(SAMPLE);
    for (section, about) in SECTIONS {
        let built = of_section(section).all(|entry| entry.history != OptionHistory::Unbuilt && !entry.hidden());
        if built {
            let _ = write!(out, "\n\n# {}\n[{section}]\n", about.trim());
            of_section(section).filter(|entry| !obsolete(entry)).for_each(|entry| out.push_str(&sample_entry(entry)));
        }
    }
    out
}

fn obsolete(entry: &OptionEntry) -> bool {
    matches!(entry.history, OptionHistory::Obsolete(_))
}

fn sample_entry(entry: &OptionEntry) -> String {
    format!("\n{};{}", wrapped(&sentence(entry.help)), ini_line(entry, entry.default))
}

/// A text as comment lines of at most [`WIDTH`] characters.
fn wrapped(text: &str) -> String {
    let mut out = String::from("#");
    let mut width = 1;
    for word in text.split(' ') {
        if width + 1 + word.len() > WIDTH {
            out.push_str("\n#");
            width = 1;
        }
        out.push(' ');
        out.push_str(word);
        width += 1 + word.len();
    }
    out.push('\n');
    out
}

const SAMPLE: &str = "\
# Configuration of exaproxy. The program runs without this file; the values below are its defaults.
# To change an option take the ; away from the front of its line. What each one means in full, and
# which environment variables stand above this file: docs/configuration.md.
";

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the table of options in src/config/options.rs; its tests say how to make it anew. -->

Exaproxy runs without any configuration: it then listens on 127.0.0.1:3128, and its monitoring pages on
127.0.0.1:8080. Every option can be set in the environment or in a file, and needs a restart or a reload (SIGHUP) to
take effect.

HTTPS needs no option: clients ask with CONNECT for a tunnel, and may have one to the ports of `security.connect`.

## Where values come from

What comes first counts:

1. the environment variable with dots, `exaproxy.http.idle-connect=60`
2. the environment variable with underscores, `exaproxy_http_idle_connect=60`: the form that every shell and
   systemd pass on
3. the file, section `[http]`, line `idle-connect = 60`
4. the file, section `[exaproxy.http]`
5. the default

In all of them a dash within a name may be written as an underscore. Environment names are case-sensitive.

The file is the one given by `-c FILE`, which has to exist; else the first of these that exists, and no other:

1. `TREE/etc/exaproxy/exaproxy.conf`, where TREE is the folder above the `bin`, `sbin` or `lib` that holds the program
2. `/etc/exaproxy/exaproxy.conf`
3. `/usr/etc/exaproxy/exaproxy.conf`

`conf/exaproxy.conf` is a file to start from; `exaproxy -i` prints the values in use as such a file, `exaproxy -e` as
environment assignments, `exaproxy -di` and `exaproxy -de` only what differs from the defaults.

## How a file is written

    # a comment; lines that start with ; are comments too
    [http]
    connections = 1000        ; a comment behind a value
    idle-connect: 60

    [security]
    connect = '443 981
        7000-7010'

- `name = value` and `name: value` mean the same. Case does not matter in names.
- A line that starts with a blank continues the value above it.
- Quotes and blanks at both ends of a value are taken away, in the file and in the environment alike.
- `%(name)s` stands for the value of `name` in the same section, and `%%` then for a percent sign.
- When a section or a name occurs twice the sections are joined and the last value counts.

## What happens to mistakes

A value that an option does not accept stops the start (and leaves a running proxy as it is on reload) with exit
code 1. All mistakes are told at once, a line for each that names the option, the value, the place and what was expected:

    configuration issue, invalid value for tcp4.port : 0 (environment exaproxy_tcp4_port: expected a port between 1 and 65535)

A name that is no option is reported with the option it resembles, and the program goes on. It does not where a rule
would be missing without a sign: an unknown name in `security`, `auth` or `acl`, or in a section that resembles one of
these, stops the start (and a reload), as does the `enable` of a section that does not exist, such as
`exaproxy_mirror_enable=true`. `exaproxy --check` finds what a start would stumble over and takes all unknown names for
mistakes ([operations](operations.md#starting)); it prints what is wrong or `configuration ok`, and exits with 1 or 0: a
good thing to run before a reload.

## Paths

A path that starts with `/` is taken as it is. Any other is looked for in TREE (see above), in the folder where the
program was started (`~` is the user's own folder), in `/` and in `/usr`, and the first that exists is used. Without
`dns.resolver` the name servers come from the first `etc/exaproxy/dns/resolv.conf` found in this way that names one,
else from `/etc/resolv.conf`.

## Options

Switches take `true` or `false`, and also `yes no on off enable disable 1 0` in any case. Times are in whole seconds, up to
ten years, or with units: `90s`, `5m`, `1h30m`, `2d`, `1w`. Sizes are in bytes, or with units of 1024: `64k`, `10MiB`, `1g`.
Counts have no units. What may mean two things, such as `64KB` and `5M` for minutes, is refused with what to write instead.
Lists have blanks or commas between their words. Addresses to listen on are numeric. Options marked as new are not in ExaProxy 1.2; what is said to have no effect is accepted so that old files go on
working.
";

mod tests {
    use super::*;
    use crate::config::place::tests::Shelf;
    use crate::config::{load, Sources};

    #[test]
    fn the_manual_is_that_of_the_table() {
        hold("docs/configuration.md", &manual());
    }

    #[test]
    fn the_sample_is_that_of_the_table() {
        hold("conf/exaproxy.conf", &sample());
    }

    #[test]
    fn the_sample_holds_the_defaults() {
        let read = |text: &str| {
            let shelf = Shelf::default().with("/etc/exaproxy/exaproxy.conf", text);
            load(&Sources::default(), &shelf).expect("a sound sample")
        };
        let defaults = load(&Sources::default(), &Shelf::default()).expect("sound defaults").config;
        let as_shipped = read(&sample());
        let uncommented = read(&sample().replace("\n;", "\n"));
        assert_eq!((as_shipped.config, as_shipped.warnings), (defaults.clone(), Vec::<String>::new()));
        assert_eq!((&uncommented.config, &uncommented.warnings), (&defaults, &Vec::new()));
        assert!(uncommented.is_set("http", "connections"));
    }

    #[test]
    fn defaults_are_printed_as_they_are_written() {
        for entry in OPTIONS.iter().filter(|entry| entry.quoted) {
            assert_eq!(printed(entry, entry.default), format!("'{}'", entry.default));
        }
    }
}

//! The manual page `docs/man/exaproxy.8`, made from the table of switches. The test holds it to the table.

use roff::{bold, italic, roman, Inline, Roff};

use super::super::table::{Operand, Switch, SwitchGroup, SIGNALS, SWITCHES};
use crate::config::document::{hold, prose, title};
use crate::config::{FILE, FOLDERS};

fn page() -> String {
    let mut page = Roff::new();
    title(&mut page, "EXAPROXY", "8", "forward proxy for HTTP that filters by lists and helper programs");
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold("exaproxy"), roman(" ["), italic("options"), roman("]")]);
    page.control("SH", ["DESCRIPTION"]);
    paragraph(&mut page, DESCRIPTION);
    page.control("SH", ["OPTIONS"]);
    switches(&mut page, SwitchGroup::Command);
    page.control("PP", []);
    page.text([roman("These set options, and win over environment and file, also at a reload:")]);
    switches(&mut page, SwitchGroup::Setting);
    page.control("PP", []);
    let gone = SWITCHES.iter().filter(|switch| switch.group == SwitchGroup::Gone);
    let gone: Vec<String> = gone.map(|switch| format!("-{}, --{}", switch.short, switch.long)).collect();
    prose(&mut page, &format!("{} have no effect; they belonged to the Python program.", gone.join(" and ")));
    page.control("SH", ["SIGNALS"]);
    for (name, help) in SIGNALS {
        item(&mut page, vec![bold(*name)], &format!("{help}."));
    }
    page.control("SH", ["ENVIRONMENT"]);
    item(&mut page, vec![bold("exaproxy_"), italic("section"), bold("_"), italic("key")], VARIABLE);
    item(&mut page, vec![bold("RUST_LOG")], "subsystems with a level of their own, such as client=trace.");
    files(&mut page);
    page.control("SH", ["EXIT STATUS"]);
    prose(&mut page, EXIT_STATUS);
    page.control("SH", ["EXAMPLES"]);
    for (command, help) in EXAMPLES {
        item(&mut page, vec![bold(*command)], help);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("exaproxy.conf"), roman("(5), and the documents in share/doc/exaproxy.")]);
    page.render()
}

fn files(page: &mut Roff) {
    page.control("SH", ["FILES"]);
    item(
        page,
        vec![italic("TREE"), roman(format!("/{FILE}"))],
        "TREE is the folder above the bin, sbin or lib that holds the program.",
    );
    for folder in FOLDERS {
        page.control("TQ", []);
        page.text([roman(format!("{}/{FILE}", folder.trim_end_matches('/')))]);
    }
    page.control("PP", []);
    page.text([roman("The first of these that exists is read, unless -c names another.")]);
}

fn switches(page: &mut Roff, group: SwitchGroup) {
    for switch in SWITCHES.iter().filter(|switch| switch.group == group) {
        item(page, names(switch), &format!("{}.", switch.help));
    }
}

fn names(switch: &Switch) -> Vec<Inline> {
    let mut line = Vec::new();
    for name in [format!("-{}", switch.short), switch.spelling.to_owned()] {
        if name.len() > 1 {
            line.extend([bold(name), roman(", ")]);
        }
    }
    line.push(bold(format!("--{}", switch.long)));
    match switch.operand {
        Operand::Nothing => {}
        Operand::Needed(word) => line.extend([roman(" "), italic(word.name())]),
        Operand::Optional(word) => line.extend([roman(" ["), italic(word.name()), roman("]")]),
    }
    line
}

/// A name with its explanation below it.
fn item(page: &mut Roff, name: Vec<Inline>, help: &str) {
    page.control("TP", []);
    page.text(name);
    prose(page, help);
}

fn paragraph(page: &mut Roff, texts: &[&str]) {
    for (place, text) in texts.iter().enumerate() {
        if place > 0 {
            page.control("PP", []);
        }
        prose(page, text);
    }
}

const DESCRIPTION: &[&str] = &[
    "exaproxy takes HTTP requests and CONNECT tunnels from browsers and programs, decides what may pass, by lists of names and \
     networks, by users, and by helper programs, and relays the rest. It decrypts nothing. One process serves thousands of \
     connections over IPv4 and IPv6.",
    "No configuration is needed: it then listens for clients on 127.0.0.1, port 3128, and shows how it is at \
     http://127.0.0.1:8080. Every option can stand in a file or in the environment; exaproxy.conf(5) has them all.",
];

const VARIABLE: &str =
    "an option, with underscores for dashes: exaproxy_http_idle_connect=60 is idle-connect in the section \
    http. It wins over the file. Dots in place of underscores, as in exaproxy.http.idle-connect, win over both.";

const EXIT_STATUS: &str =
    "0 after a stop that was asked for, and for a configuration that can be used; 1 after a mistake, \
    which lines on the standard error name with their places.";

const EXAMPLES: &[(&str, &str)] = &[
    ("exaproxy --check -c /etc/exaproxy/exaproxy.conf", "reads everything that a start would, and starts nothing."),
    ("exaproxy -di", "prints what differs from the defaults."),
    ("exaproxy --check-name www.example.com:443", "says which line of which list lets it pass or refuses it."),
];

#[test]
fn the_manual_page_is_that_of_the_table() {
    hold("docs/man/exaproxy.8", &page());
}

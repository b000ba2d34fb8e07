//! The manual page `docs/man/exaproxy.conf.5`, made from the table of options. The test holds it to the table.

use roff::{bold, italic, roman, Roff};

use super::{default, hold, notes, of_section, prose, sentence, title};
use crate::config::options::{OptionEntry, SECTIONS};

fn page() -> String {
    let mut page = Roff::new();
    title(&mut page, "EXAPROXY.CONF", "5", "configuration of exaproxy");
    page.control("SH", ["DESCRIPTION"]);
    for (place, text) in DESCRIPTION.iter().enumerate() {
        if place > 0 {
            page.control("PP", []);
        }
        prose(&mut page, text);
    }
    page.control("PP", []);
    page.control("EX", []);
    for line in EXAMPLE.lines() {
        page.text([roman(line)]);
    }
    page.control("EE", []);
    page.control("SH", ["OPTIONS"]);
    // What is not printed by exaproxy -i is no option to set.
    let shown = |section: &&(&str, &str)| of_section(section.0).any(|entry| !entry.hidden());
    for (section, about) in SECTIONS.iter().filter(shown) {
        page.control("SS", [format!("[{section}]").as_str()]);
        page.text([roman(about.trim())]);
        of_section(section).for_each(|entry| option(&mut page, entry));
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("exaproxy"), roman("(8), and the documents in share/doc/exaproxy.")]);
    page.render()
}

fn option(page: &mut Roff, entry: &OptionEntry) {
    page.control("TP", []);
    page.text([bold(entry.key), roman(" = "), italic(default(entry))]);
    prose(page, &format!("{}. {}", sentence(entry.help), notes(entry).replace('`', "")));
}

const DESCRIPTION: &[&str] = &[
    "The file is that of exaproxy -c, which has to exist, else the first of those that exaproxy(8) lists. None is needed: \
     below, each option stands with its default. A change takes a restart or a reload (SIGHUP); exaproxy --check says \
     beforehand whether the configuration can be used.",
    "What comes first counts: the command line, an environment variable exaproxy.section.key, one exaproxy_section_key with \
     underscores for dashes, the file, the default. In the file, name = value and name: value mean the same, in any case; a \
     line that begins with a blank continues the one above it; comments begin with # or ;. Quotes and blanks at both ends of a \
     value are taken away. %(name)s stands for the value of name in the same section, %% for a percent sign beside it.",
    "Switches take true or false, yes or no, on or off, 1 or 0. Times are in seconds, sizes in bytes, lists are separated by \
     blanks. A path that does not begin with / is looked for in the tree of the program, the folder where it was started, / \
     and /usr.",
    "A value that cannot be used stops the start with one line that names it and its place, and leaves a running proxy as it is. \
     So does a name that is no option in the sections acl, auth and security; others are reported.",
];

const EXAMPLE: &str = "\
[tcp4]
host = 192.0.2.1
port = 3128        ; a comment behind a value

[acl]
clients = 192.0.2.0/24";

#[test]
fn the_manual_page_is_that_of_the_table() {
    hold("docs/man/exaproxy.conf.5", &page());
}

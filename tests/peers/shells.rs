//! Completions in the shells that they are for, by the tab key of a terminal; and the pages of the manual, read by mandoc.

use std::path::Path;

use crate::programs::{have, run, run_on};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What is typed: the tab key stands where a word is cut short.
const TYPED: &str = "exaproxy --conf\tx-o\t --log\tlo\t --host loc\t --hash\t\n";

/// The words that this has to become, each in brackets.
const BECOMES: &str = "<--conf-file><x-one.conf><--log-dir><logs><--host><localhost><--hash-password>";

/// A function in place of the program that says which words it got.
const SAYS: &str = "exaproxy() { printf '<%s>' \"$@\"; echo; }\n";

/// Types this into an interactive shell on a terminal of its own, in a folder with a file and a folder to complete. Gives
/// the words that the program got.
fn type_into(shell: &str, before: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("x-one.conf"), "").expect("a file to complete");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder to complete");
    let keys = folder.path().join("keys");
    let at = folder.path().display();
    std::fs::write(&keys, format!("cd {at}\n{SAYS}{}{TYPED}exit\n", before.replace("FOLDER", &at.to_string())))
        .expect("keys");
    let input = std::fs::File::open(&keys).expect("the keys are there");
    let said = run_on("script", &["-qec", shell, "/dev/null"], input.into()).text();
    let words = said.split(['\r', '\n']).rev().find(|line| line.starts_with('<'));
    let words = words.unwrap_or_else(|| panic!("the program got nothing: {said}"));
    // Zsh joins a long name and its word; a slash behind a folder may stay or go.
    words.trim_end().replace('=', "><").replace("logs/", "logs")
}

#[test]
fn bash_completes() {
    if !have(&["bash", "script", "timeout"]) {
        return;
    }
    let file = format!("{ROOT}/conf/completions/exaproxy.bash");
    run("bash", &["-n", &file]).content();
    assert_eq!(type_into("bash --norc --noprofile -i", &format!("source {file}\n")), BECOMES);
    assert_ne!(type_into("bash --norc --noprofile -i", ""), BECOMES, "nothing of that is bash's own");
}

#[test]
fn zsh_completes() {
    if !have(&["zsh", "script", "timeout"]) {
        return;
    }
    run("zsh", &["-n", &format!("{ROOT}/conf/completions/_exaproxy")]).content();
    let before = format!("fpath=({ROOT}/conf/completions $fpath); autoload -Uz compinit; compinit -u -d FOLDER/dump\n");
    assert_eq!(type_into("zsh -f -i", &before), BECOMES);
}

#[test]
fn fish_completes() {
    if !have(&["fish", "timeout"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("x-one.conf"), "").expect("a file to complete");
    let file = format!("{ROOT}/conf/completions/exaproxy.fish");
    run("fish", &["--no-execute", &file]).content();
    let offers = |line: &str| {
        let script = format!("source {file}; cd {}; complete -C '{line}'", folder.path().display());
        let home = format!("HOME={}", folder.path().display());
        let said = run("env", &[&home, "fish", "--no-config", "-c", &script]).content().text();
        said.lines().filter_map(|line| line.split('\t').next()).collect::<Vec<_>>().join(" ")
    };
    for (line, wanted) in [
        ("exaproxy --diff-i", "--diff-ini"),
        ("exaproxy --conf-file x-", "x-one.conf"),
        ("exaproxy --host loc", "localhost"),
        ("exaproxy --port x-", ""),
        ("exaproxy x-", ""),
    ] {
        assert_eq!(offers(line), wanted, "{line}");
    }
}

/// What mandoc objects to, from warnings on. A page without a date is one; the version stands in its place.
fn objections(page: &Path) -> Vec<String> {
    let ran = run("mandoc", &["-T", "lint", "-W", "warning", &page.display().to_string()]);
    let said = format!("{}{}", ran.text(), ran.err);
    said.lines().filter(|line| !line.contains("missing date")).map(str::to_owned).collect()
}

#[test]
fn mandoc_finds_no_fault_in_the_manual() {
    if !have(&["mandoc", "timeout"]) {
        return;
    }
    for (page, parts) in [
        ("exaproxy.8", ["-c, --conf-file FILE", "SIGHUP", "/etc/exaproxy/exaproxy.conf"]),
        ("exaproxy.conf.5", ["[http]", "connections = 32768", "clients = 192.0.2.0/24"]),
    ] {
        let path = Path::new(ROOT).join("docs/man").join(page);
        assert_eq!(objections(&path), Vec::<String>::new(), "{page}");
        let shown = run("mandoc", &["-T", "utf8", &path.display().to_string()]).content().text();
        // Bold is a letter struck twice.
        let plain = struck_once(&shown);
        for part in parts {
            assert!(plain.contains(part), "{page}: no {part} in {plain}");
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let faulty = folder.path().join("faulty.8");
    std::fs::write(&faulty, ".TH FAULTY 8 2026-01-01\n.SH NAME\nfaulty \\- faulty\n.XX\n")
        .expect("a page with a fault");
    assert_ne!(objections(&faulty), Vec::<String>::new(), "mandoc takes everything");
}

/// A text of a terminal without the marks of bold and underlined letters.
fn struck_once(text: &str) -> String {
    let mut plain: Vec<char> = Vec::new();
    for letter in text.chars() {
        match letter {
            '\u{8}' => drop(plain.pop()),
            _ => plain.push(letter),
        }
    }
    plain.into_iter().collect()
}

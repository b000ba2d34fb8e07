//! The ini dialect of the original: sections, `name = value` or `name: value`, comments, continuation lines,
//! `%(name)s`. Knows nothing of options: it keeps every name that it reads, with its line.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Largest file that is read, in bytes. The complete file has about 10 KiB.
pub const LARGEST: usize = 1024 * 1024;

/// How deep one `%(name)s` may lead to another, as in the original's reader.
const DEEPEST: usize = 10;

/// Longest value after interpolation, in bytes, so that values which repeat each other cannot fill the memory.
const LONGEST: usize = 64 * 1024;

/// Longest value that may be given otherwise, in bytes: what is printed of it, quotes included, has to be read back.
pub const LONGEST_GIVEN: usize = LONGEST - 2;

/// Most replacements in one value, so that names of empty values cannot take for ever either.
const MOST_REPLACEMENTS: usize = 10_000;

/// Most faults of one file that are told: one of another kind has one on every line.
const MOST_FAULTS: usize = 20;

/// What is wrong with a file; all of it is the writer's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IniFault {
    /// The line, counted from 1; 0 speaks of the whole file.
    pub line: usize,
    /// What was found there.
    pub kind: FaultKind,
}

/// The ways in which a file can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// More than [`LARGEST`] bytes.
    Large,
    /// Bytes that are not UTF-8.
    NotText,
    /// An option before the first section.
    NoSection,
    /// A line that is neither a section, nor an option, nor a comment.
    NoSeparator,
    /// A line that starts with a blank and continues nothing.
    NothingToContinue,
    /// A `%(name)s` whose name is not in the section, or whose end is missing.
    UnknownName(String),
    /// Names that lead to each other without end, or to a value without end.
    Endless,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            FaultKind::Large => write!(out, "the file is larger than {LARGEST} bytes"),
            FaultKind::NotText => out.write_str("expected text in UTF-8"),
            FaultKind::NoSection => out.write_str("expected a [section] before the first option"),
            FaultKind::NoSeparator => {
                out.write_str("expected [section], name = value, or a comment that starts with #")
            }
            FaultKind::NothingToContinue => {
                out.write_str("a line that starts with a blank continues an option, and there is none")
            }
            FaultKind::UnknownName(name) => write!(out, "%({name})s names no option of its section"),
            FaultKind::Endless => out.write_str("%(name)s leads to a value without end"),
        }
    }
}

/// One option as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The text behind the separator, without blanks at its ends and without comment.
    pub text: String,
    /// The line of its name, counted from 1.
    pub line: usize,
}

/// The options of one section by their names in lower case.
type Section = BTreeMap<String, Item>;

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub struct Ini {
    sections: BTreeMap<String, (usize, Section)>,
}

impl Ini {
    /// Reads a file, and what is wrong with it. Repeated sections merge and the last value of a name wins.
    pub fn parse(bytes: &[u8]) -> (Ini, Vec<IniFault>) {
        if bytes.len() > LARGEST {
            return (Ini::default(), vec![IniFault { line: 0, kind: FaultKind::Large }]);
        }
        let (mut reader, mut faults) = (Reader::default(), Vec::new());
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let text = std::str::from_utf8(line).map_err(|_| FaultKind::NotText);
            if let Err(kind) = text.and_then(|text| reader.line(text.trim_end(), index + 1)) {
                reader.lose(line);
                faults.push(IniFault { line: index + 1, kind });
            }
            if faults.len() == MOST_FAULTS {
                break;
            }
        }
        (reader.ini, faults)
    }

    /// The value of an option with its `%(name)s` filled in.
    pub fn value(&self, section: &str, name: &str) -> Option<Result<Item, IniFault>> {
        let (_, names) = self.sections.get(section)?;
        let item = names.get(name)?;
        let mut filling = Filling { names, out: String::new(), left: MOST_REPLACEMENTS };
        Some(match filling.fill(&item.text, DEEPEST) {
            Ok(()) => Ok(Item { text: filling.out, line: item.line }),
            Err(kind) => Err(IniFault { line: item.line, kind }),
        })
    }

    /// Every section with its line.
    pub fn sections(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sections.iter().map(|(name, (line, _))| (name.as_str(), *line))
    }

    /// Every name of a section with its line, without those that only serve other values as `%(name)s`.
    pub fn names<'a>(&'a self, section: &str) -> impl Iterator<Item = (&'a str, usize)> {
        let names = self.sections.get(section).map(|(_, names)| names);
        let served: HashSet<String> = names.into_iter().flat_map(Section::values).flat_map(references).collect();
        names
            .into_iter()
            .flatten()
            .filter(move |(name, _)| !served.contains(*name))
            .map(|(name, item)| (name.as_str(), item.line))
    }
}

/// Where reading stands between two lines.
#[derive(Default)]
struct Reader {
    ini: Ini,
    section: Option<String>,
    name: Option<String>,
    /// What belongs to a line that was wrong is passed over, until this begins.
    skipped: Option<Skipped>,
}

/// What ends what belongs to a wrong line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skipped {
    /// The next section.
    Section,
    /// The next line that continues none.
    Option,
}

impl Reader {
    fn line(&mut self, line: &str, number: usize) -> Result<(), FaultKind> {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.len() < line.len() {
            return if self.skipped.is_some() { Ok(()) } else { self.continuation(text) };
        }
        match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((section, _)) => self.header(section.trim(), number),
            None if self.skipped == Some(Skipped::Section) => return Ok(()),
            None => self.option(text, number)?,
        }
        self.skipped = None;
        Ok(())
    }

    /// This line is wrong: what follows it may have been meant to belong to it.
    fn lose(&mut self, line: &[u8]) {
        let header = line.starts_with(b"[") || self.section.is_none();
        self.skipped = Some(if header { Skipped::Section } else { Skipped::Option });
    }

    fn header(&mut self, section: &str, number: usize) {
        self.ini.sections.entry(section.to_owned()).or_insert((number, Section::new()));
        self.section = Some(section.to_owned());
        self.name = None;
    }

    fn option(&mut self, text: &str, number: usize) -> Result<(), FaultKind> {
        let (name, value) = text.split_once(['=', ':']).ok_or(FaultKind::NoSeparator)?;
        let name = name.trim().to_ascii_lowercase();
        if name.is_empty() {
            return Err(FaultKind::NoSeparator);
        }
        let item = Item { text: uncomment(value.trim()).to_owned(), line: number };
        self.names().ok_or(FaultKind::NoSection)?.insert(name.clone(), item);
        self.name = Some(name);
        Ok(())
    }

    fn continuation(&mut self, text: &str) -> Result<(), FaultKind> {
        let name = self.name.clone().ok_or(FaultKind::NothingToContinue)?;
        let item = self.names().and_then(|names| names.get_mut(&name)).ok_or(FaultKind::NothingToContinue)?;
        item.text.push('\n');
        item.text.push_str(uncomment(text));
        Ok(())
    }

    fn names(&mut self) -> Option<&mut Section> {
        let (_, names) = self.ini.sections.get_mut(self.section.as_deref()?)?;
        Some(names)
    }
}

/// Cuts a comment off: `;` at the start or behind a blank, unless inside the quotes that the value starts with.
fn uncomment(value: &str) -> &str {
    let quote = value.chars().next().filter(|first| ['\'', '"'].contains(first));
    let mut blank = true;
    let mut open = false;
    for (at, character) in value.char_indices() {
        if character == ';' && blank && !open {
            return value.get(..at).unwrap_or(value).trim_end();
        }
        open ^= Some(character) == quote;
        blank = character.is_whitespace();
    }
    value
}

/// One value while its `%(name)s` are replaced.
struct Filling<'a> {
    names: &'a Section,
    out: String,
    left: usize,
}

impl Filling<'_> {
    /// Appends a text with every `%(name)s` replaced and `%%` halved. Without any `%(` the text stays as it is, a
    /// lone `%` included.
    fn fill(&mut self, text: &str, depth: usize) -> Result<(), FaultKind> {
        if !text.contains("%(") {
            return self.append(text);
        }
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            self.append(before)?;
            rest = match after.strip_prefix('(') {
                Some(inside) => {
                    let (name, after) = inside.split_once(")s").ok_or_else(|| unknown(inside))?;
                    self.replace(name, depth)?;
                    after
                }
                None => {
                    self.append("%")?;
                    after.strip_prefix('%').unwrap_or(after)
                }
            };
        }
        self.append(rest)
    }

    fn replace(&mut self, name: &str, depth: usize) -> Result<(), FaultKind> {
        self.left = self.left.checked_sub(1).ok_or(FaultKind::Endless)?;
        let depth = depth.checked_sub(1).ok_or(FaultKind::Endless)?;
        let item = self.names.get(&name.to_ascii_lowercase()).ok_or_else(|| unknown(name))?;
        self.fill(&item.text, depth)
    }

    fn append(&mut self, text: &str) -> Result<(), FaultKind> {
        if self.out.len() + text.len() > LONGEST {
            return Err(FaultKind::Endless);
        }
        self.out.push_str(text);
        Ok(())
    }
}

fn unknown(name: &str) -> FaultKind {
    FaultKind::UnknownName(name.to_owned())
}

/// The names that a value takes in, in lower case.
fn references(item: &Item) -> Vec<String> {
    let parts = item.text.split("%(").skip(1);
    parts.filter_map(|part| part.split_once(")s")).map(|(name, _)| name.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(file: &str, section: &str, name: &str) -> Option<String> {
        let (ini, faults) = Ini::parse(file.as_bytes());
        assert_eq!(faults, []);
        ini.value(section, name).map(|item| item.expect("a value").text)
    }

    #[test]
    fn values_are_read_as_in_the_original() {
        for (file, expected) in [
            ("[a]\nb = c", Some("c")),
            ("[a]\r\nb: c\r\n", Some("c")),
            ("[a]\nB=c", Some("c")),
            ("\u{feff}[a]\nb=c", Some("c")),
            ("[a]\n# x\n; y\nb=c ; note", Some("c")),
            ("[a]\nb=c;d", Some("c;d")),
            ("[a]\nb='c ;d' ; note", Some("'c ;d'")),
            ("[a]\nb= ; note", Some("")),
            ("[a]\nb=", Some("")),
            ("[a]\nb=c=d:e", Some("c=d:e")),
            ("[a]\nb=c\n  d\n\n\te", Some("c\nd\ne")),
            ("[a]\nb=c\n  # note\n d", Some("c\nd")),
            ("[a]\nb=1\n[z]\nb=2\n[a]\nb=3", Some("3")),
            ("[a]\nb=100%", Some("100%")),
            ("[a]\nb=%%", Some("%%")),
            ("[a]\nb=%(c)s/x\nc=%(d)s\nd=1", Some("1/x")),
            ("[a]\nb=%(C)s%%\nc=1", Some("1%")),
            ("[a]\nb=%%(c)s", Some("%(c)s")),
            ("[a]\nc=d", None),
            ("[A]\nb=c", None),
        ] {
            assert_eq!(value(file, "a", "b").as_deref(), expected, "{file:?}");
        }
    }

    #[test]
    fn wrong_lines_are_named() {
        for (file, line, kind) in [
            ("b=c", 1, FaultKind::NoSection),
            ("\n[a]\nword", 3, FaultKind::NoSeparator),
            ("[a]\n=c", 2, FaultKind::NoSeparator),
            ("[a", 1, FaultKind::NoSeparator),
            ("[a]\n b=c", 2, FaultKind::NothingToContinue),
            ("[a]\nb=c\n[d]\n e", 4, FaultKind::NothingToContinue),
        ] {
            assert_eq!(Ini::parse(file.as_bytes()).1, [IniFault { line, kind }], "{file:?}");
        }
        assert_eq!(Ini::parse(b"[a]\nb=\xff").1, [IniFault { line: 2, kind: FaultKind::NotText }]);
        assert_eq!(Ini::parse(&vec![b'#'; LARGEST + 1]).1, [IniFault { line: 0, kind: FaultKind::Large }]);
    }

    #[test]
    fn every_wrong_line_is_named_once_and_the_rest_is_read() {
        let file = "b=c\nd=e\n f\n[a]\nword\n more\nb=c\n[d\nx=y\n\n[e]\n!\nb=\u{fc}\n z\n";
        let (ini, faults) = Ini::parse(file.as_bytes());
        let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 5, 8, 12]);
        let text = |section: &str| ini.value(section, "b").map(|item| item.expect("a value").text);
        assert_eq!((text("a").as_deref(), text("e").as_deref()), (Some("c"), Some("\u{fc}\nz")));
        assert_eq!(ini.sections().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "e"], "nothing is put elsewhere");
        assert_eq!(Ini::parse("[a]\n?\n".repeat(1000).as_bytes()).1.len(), MOST_FAULTS);
    }

    #[test]
    fn wrong_interpolations_are_named() {
        let bomb = format!("[a]\nb={0}\nc={1}\nd={2}", "%(c)s".repeat(99), "%(d)s".repeat(99), "x".repeat(99));
        let mute = format!("[a]\nb={0}\nc={1}\nd={1}\ne=", "%(c)s%(d)s".repeat(99), "%(e)s".repeat(99));
        for (file, kind) in [
            ("[a]\nb=%(x)s", FaultKind::UnknownName("x".into())),
            ("[a]\nb=%(x", FaultKind::UnknownName("x".into())),
            ("[a]\nb=%(b)s", FaultKind::Endless),
            ("[a]\nb=%(c)s\nc=%(b)s", FaultKind::Endless),
            (bomb.as_str(), FaultKind::Endless),
            (mute.as_str(), FaultKind::Endless),
        ] {
            let (ini, _) = Ini::parse(file.as_bytes());
            assert_eq!(ini.value("a", "b"), Some(Err(IniFault { line: 2, kind })), "{file:?}");
        }
    }

    #[test]
    fn names_that_only_serve_others_are_left_out() {
        let (ini, _) = Ini::parse(b"[log]\nbase=/var\ndestination=%(base)s/x\n");
        assert_eq!(ini.names("log").collect::<Vec<_>>(), [("destination", 3)]);
        assert_eq!(ini.sections().collect::<Vec<_>>(), [("log", 1)]);
    }
}

//! What each file of the lists has done, for as long as it is one of them. Knows no request.

use crate::monitor::lists::{ListFileNumbers, ListFileRow};
use crate::policy::lists::list::{List, ListFile};
use crate::policy::lists::{ListReason, ListVerdict, Lists};

/// The files of both lists, those that block first.
#[derive(Debug, Default)]
pub(super) struct ListTallies(Vec<FileTally>);

#[derive(Debug)]
struct FileTally {
    list: &'static str,
    file: ListFile,
    /// Numbers, but for the age.
    numbers: ListFileNumbers,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Allowed,
    Blocked,
    Reported,
}

impl ListTallies {
    /// The files of these lists take the place of those before, and go on with the numbers of those with the same names.
    pub(super) fn replace(&mut self, lists: &Lists) {
        let mut before = std::mem::take(&mut self.0);
        let files = |list, of: &List| of.files().iter().map(|file| (list, file.clone())).collect::<Vec<_>>();
        for (list, file) in files("block", &lists.block).into_iter().chain(files("allow", &lists.allow)) {
            let same = before.iter().position(|tally| (tally.list, &tally.file.path) == (list, &file.path));
            let mut numbers = ListFileNumbers { generation: 1, ..ListFileNumbers::default() };
            if let Some(at) = same {
                let old = before.swap_remove(at);
                numbers = old.numbers;
                numbers.generation += u64::from(old.file.version != file.version);
            }
            numbers.entries = file.entries as u64;
            self.0.push(FileTally { list, file, numbers });
        }
    }

    /// A verdict of the lists that these files make has led to this.
    pub(super) fn note(&mut self, lists: &Lists, verdict: ListVerdict, outcome: Outcome) {
        let at = match verdict {
            ListVerdict::Blocked(ListReason::Line(line)) => lists.block.file_of(line),
            ListVerdict::Allowed(line) => lists.allow.file_of(line).map(|at| at + lists.block.files().len()),
            ListVerdict::Blocked(ListReason::Unlisted) | ListVerdict::Unlisted | ListVerdict::Open => None,
        };
        let Some(tally) = at.and_then(|at| self.0.get_mut(at)) else { return };
        match outcome {
            Outcome::Allowed => tally.numbers.allowed += 1,
            Outcome::Blocked => tally.numbers.blocked += 1,
            Outcome::Reported => tally.numbers.reported += 1,
        }
    }

    /// List and numbers of each file, at a time in seconds since 1970.
    pub(super) fn numbers(&self, now: u64) -> impl Iterator<Item = (&'static str, ListFileNumbers)> + '_ {
        let age = move |tally: &FileTally| now.saturating_sub(tally.file.modified);
        self.0.iter().map(move |tally| (tally.list, ListFileNumbers { age: age(tally), ..tally.numbers }))
    }

    /// The files as pages show them.
    pub(super) fn rows(&self, now: u64) -> Vec<ListFileRow> {
        let row = |(tally, (list, numbers)): (&FileTally, (&'static str, ListFileNumbers))| ListFileRow {
            list,
            file: tally.file.path.clone(),
            numbers,
            lines: tally.file.lines.into(),
            others: tally.file.others as u64,
            first_other: tally.file.first_other.into(),
        };
        self.0.iter().zip(self.numbers(now)).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::lists::line::ListFormat;
    use crate::policy::lists::list::ListReading;
    use crate::policy::lists::names::ListKey;

    fn list(files: &[(&str, &str, u64)]) -> List {
        let mut reading = ListReading::new(ListKey(1, 2));
        for (path, text, version) in files {
            reading.begin(path);
            reading.note_version(100 + version, *version);
            reading.read(text.as_bytes(), ListFormat::Lines);
        }
        reading.finish().unwrap()
    }

    #[test]
    fn files_keep_their_numbers_when_they_are_read_again() {
        let lists = |version| Lists {
            block: list(&[("/a", "a.test\n", version), ("/b", "b.test\n", 1)]),
            allow: list(&[("/a", "c.test\n", 1)]),
            ..Lists::default()
        };
        let mut files = ListTallies::default();
        let first = lists(1);
        files.replace(&first);
        let judged = |name: &str| first.judge(&crate::http::target::Host::parse(name.as_bytes()).unwrap(), 80, None);
        files.note(&first, judged("a.test"), Outcome::Blocked);
        files.note(&first, judged("b.test"), Outcome::Reported);
        files.note(&first, judged("c.test"), Outcome::Allowed);
        files.note(&first, judged("d.test"), Outcome::Allowed);
        files.replace(&lists(2));
        let shown: Vec<String> = files
            .rows(110)
            .iter()
            .map(|row| {
                let ListFileNumbers { entries, age, generation, allowed, blocked, reported } = row.numbers;
                format!("{} {} {entries} {age} {generation} {allowed} {blocked} {reported}", row.list, row.file)
            })
            .collect();
        assert_eq!(shown, ["block /a 1 8 2 0 1 0", "block /b 1 9 1 0 0 1", "allow /a 1 9 1 1 0 0"]);
    }
}

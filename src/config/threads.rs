//! How many loops serve clients. Starts none of them.

use std::fmt;
use std::thread::available_parallelism;

use super::place::PathContext;
use super::value::ValueType;

/// Most loops of a process.
const MOST_THREADS: usize = 64;

/// A number of loops, or one for each processor.
pub struct Threads;

/// How many loops there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadCount {
    /// One for each processor that the process may use, 64 at most.
    Auto,
    /// So many.
    Number(usize),
}

impl ThreadCount {
    /// How many that are on this machine.
    pub fn count(self) -> usize {
        match self {
            ThreadCount::Auto => available_parallelism().map_or(1, usize::from).min(MOST_THREADS),
            ThreadCount::Number(number) => number,
        }
    }
}

impl fmt::Display for ThreadCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThreadCount::Auto => f.write_str("auto"),
            ThreadCount::Number(number) => number.fmt(f),
        }
    }
}

impl ValueType for Threads {
    type Value = ThreadCount;

    fn form() -> String {
        format!("a number between 1 and {MOST_THREADS}, or auto")
    }

    fn parse(text: &str, _: &PathContext) -> Option<ThreadCount> {
        if text == "auto" {
            return Some(ThreadCount::Auto);
        }
        let number: usize = text.parse().ok()?;
        (1..=MOST_THREADS).contains(&number).then_some(ThreadCount::Number(number))
    }

    fn print(value: &ThreadCount, _: &PathContext) -> String {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn a_number_or_auto_is_read_and_nothing_else() {
        for text in ["1", "2", "64", "auto"] {
            assert_eq!(reprint::<Threads>(text).as_deref(), Some(text));
        }
        for text in ["0", "65", "-1", "", "many", "Auto", "2.5"] {
            assert_eq!(reprint::<Threads>(text), None, "{text}");
        }
        assert!((1..=MOST_THREADS).contains(&ThreadCount::Auto.count()));
    }
}

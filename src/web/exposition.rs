//! The form of metrics: HELP and TYPE for each family, then its numbers with their labels. Knows no metric.

use std::fmt::Write;

use crate::counters::histogram::Histogram;

/// A number of the process.
#[derive(Clone, Copy)]
pub(super) enum ProcessValue {
    /// As it is.
    Count(u64),
    /// Microseconds, which are shown as seconds.
    Micros(u64),
}

/// A page of metrics.
#[derive(Default)]
pub(super) struct MetricsPage(String);

impl MetricsPage {
    /// The page as it is sent.
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// A number that only rises.
    pub(super) fn counter<'a>(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (&'a str, u64)>) {
        self.family(name, help, "counter", rows);
    }

    /// A number that rises and falls.
    pub(super) fn gauge<'a>(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (&'a str, u64)>) {
        self.family(name, help, "gauge", rows);
    }

    fn family<'a>(&mut self, name: &str, help: &str, kind: &str, rows: impl IntoIterator<Item = (&'a str, u64)>) {
        self.head(name, help, kind);
        for (labels, value) in rows {
            let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            // Writing to a String cannot fail.
            let _ = writeln!(self.0, "exaproxy_{name}{braces} {value}");
        }
    }

    /// A number of the process, under the name that all programs have for it; none where it is not known. Seconds are
    /// given in microseconds.
    pub(super) fn of_process(&mut self, name: &str, help: &str, kind: &str, value: Option<ProcessValue>) {
        let _ = writeln!(self.0, "# HELP process_{name} {help}\n# TYPE process_{name} {kind}");
        let text = value.map(|value| match value {
            ProcessValue::Count(count) => count.to_string(),
            ProcessValue::Micros(micros) => seconds(micros),
        });
        if let Some(text) = text {
            let _ = writeln!(self.0, "process_{name} {text}");
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP exaproxy_{name} {help}\n# TYPE exaproxy_{name} {kind}");
    }

    /// A time in microseconds that rises and falls.
    pub(super) fn span(&mut self, name: &str, help: &str, micros: u64) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "exaproxy_{name} {}", seconds(micros));
    }

    /// How long something took.
    pub(super) fn times(&mut self, name: &str, help: &str, times: &Histogram) {
        self.head(name, help, "histogram");
        for (bound, count) in times.cumulative() {
            let _ = writeln!(self.0, "exaproxy_{name}_bucket{{le=\"{}\"}} {count}", seconds(bound));
        }
        let (count, sum) = (times.count(), seconds(times.sum()));
        let _ = writeln!(self.0, "exaproxy_{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.0, "exaproxy_{name}_sum {sum}\nexaproxy_{name}_count {count}");
    }
}

/// Microseconds as seconds, without needless digits.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

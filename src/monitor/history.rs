//! The last minute and the last hour: a snapshot for each second and for each minute. Knows no clock.

use std::collections::VecDeque;

use reactor::Millis;

use super::peaks::{Peak, PeakOf, Peaks};
use super::Running;
use crate::counters::histogram::Histogram;

/// Points of a line: as many seconds, or as many minutes.
pub const POINTS: usize = 60;

/// Milliseconds between two snapshots of the long line.
const MINUTE: Millis = 60_000;

/// How much later than it should the newest of a minute's snapshots may come, in milliseconds.
const SLACK: Millis = 2_000;

/// How far a line goes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistorySpan {
    /// A minute, with a point for each second.
    Minute,
    /// An hour, with a point for each minute.
    Hour,
}

/// The numbers of a moment that has passed.
#[derive(Clone, Debug)]
struct Sample {
    at: Millis,
    running: Running,
}

/// Snapshots, oldest first. There is one more of each than there are points: a rate needs two.
#[derive(Clone, Debug, Default)]
pub struct History {
    seconds: VecDeque<Sample>,
    minutes: VecDeque<Sample>,
    peaks: Peaks,
}

impl History {
    /// Takes the numbers of this moment. Called about once a second.
    pub fn push(&mut self, at: Millis, running: Running) {
        if self.minutes.back().is_none_or(|last| at >= last.at + MINUTE) {
            add(&mut self.minutes, Sample { at, running: running.clone() });
        }
        if let Some(last) = self.seconds.back() {
            self.peaks.note((last.at, &last.running), (at, &running));
        }
        add(&mut self.seconds, Sample { at, running });
    }

    /// A value of the last moment, and the highest since the start.
    pub fn peak(&self, of: PeakOf) -> (Peak, Peak) {
        self.peaks.get(of)
    }

    /// Values of the moments themselves. Where nothing is known yet there is a zero.
    pub fn levels(&self, span: HistorySpan, value: impl Fn(&Running) -> u64) -> [f64; POINTS] {
        self.line(span, |_, new| value(&new.running) as f64)
    }

    /// What was added to a count, for each second.
    pub fn rates(&self, span: HistorySpan, count: impl Fn(&Running) -> u64) -> [f64; POINTS] {
        self.line(span, |old, new| {
            let added = count(&new.running).saturating_sub(count(&old.running));
            added as f64 * 1000.0 / new.at.saturating_sub(old.at).max(1) as f64
        })
    }

    /// How many of what was added to `whole` were added to `part`, in percent; 0 where nothing was.
    pub fn shares(
        &self,
        span: HistorySpan,
        part: impl Fn(&Running) -> u64,
        whole: impl Fn(&Running) -> u64,
    ) -> [f64; POINTS] {
        self.line(span, |old, new| {
            let added =
                |count: &dyn Fn(&Running) -> u64| count(&new.running).saturating_sub(count(&old.running)) as f64;
            100.0 * added(&part) / added(&whole).max(1.0)
        })
    }

    /// Mean times in milliseconds, 0 where nothing was timed.
    pub fn means(&self, span: HistorySpan, times: impl Fn(&Running) -> Histogram) -> [f64; POINTS] {
        self.line(span, |old, new| times(&new.running).since(&times(&old.running)).mean())
    }

    /// How many points of a line are known, from the right.
    pub fn known(&self, span: HistorySpan) -> usize {
        self.samples(span).len().saturating_sub(1)
    }

    /// The times of the last minute.
    pub fn recent(&self, times: impl Fn(&Running) -> Histogram) -> Histogram {
        self.minute().map_or_else(Histogram::default, |(old, new)| times(new).since(&times(old)))
    }

    /// What was added to a count in the last minute.
    pub fn added(&self, count: impl Fn(&Running) -> u64) -> u64 {
        self.minute().map_or(0, |(old, new)| count(new).saturating_sub(count(old)))
    }

    /// The numbers at both ends of the last minute. What was noted before a pause, because the monitor was switched off or
    /// the process stopped, belongs to no minute that ends now.
    fn minute(&self) -> Option<(&Running, &Running)> {
        let new = self.seconds.back()?;
        let old = self.seconds.iter().find(|sample| new.at <= sample.at + MINUTE + SLACK)?;
        Some((&old.running, &new.running))
    }

    fn samples(&self, span: HistorySpan) -> &VecDeque<Sample> {
        match span {
            HistorySpan::Minute => &self.seconds,
            HistorySpan::Hour => &self.minutes,
        }
    }

    fn line(&self, span: HistorySpan, point: impl Fn(&Sample, &Sample) -> f64) -> [f64; POINTS] {
        let samples = self.samples(span);
        let mut line = [0.0; POINTS];
        let newest_first = samples.iter().rev().zip(samples.iter().rev().skip(1));
        for (place, (new, old)) in line.iter_mut().rev().zip(newest_first) {
            *place = point(old, new);
        }
        line
    }
}

fn add(samples: &mut VecDeque<Sample>, sample: Sample) {
    if samples.len() > POINTS {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(requests: u64) -> Running {
        let mut running = Running { clients: requests / 10, ..Running::default() };
        running.counters.requests = requests;
        running.counters.name_time.note(requests);
        running
    }

    fn requests(running: &Running) -> u64 {
        running.counters.requests
    }

    #[test]
    fn a_line_has_its_newest_point_at_the_right_and_zeros_where_nothing_is_known() {
        let mut history = History::default();
        assert_eq!(history.rates(HistorySpan::Minute, requests), [0.0; POINTS]);
        for (second, count) in [0, 100, 150, 150].into_iter().enumerate() {
            history.push(1000 * second as Millis, at(count));
        }
        let rates = history.rates(HistorySpan::Minute, requests);
        assert_eq!(rates[POINTS - 4..], [0.0, 100.0, 50.0, 0.0]);
        assert_eq!((history.known(HistorySpan::Minute), history.known(HistorySpan::Hour)), (3, 0));
        assert_eq!(history.levels(HistorySpan::Minute, |running| running.clients)[POINTS - 3..], [10.0, 15.0, 15.0]);
        assert_eq!(history.added(requests), 150);
    }

    #[test]
    fn a_share_is_of_what_was_added_at_that_time() {
        let mut history = History::default();
        for (second, count) in [0, 100, 150, 150].into_iter().enumerate() {
            history.push(1000 * second as Millis, at(count));
        }
        let shares = history.shares(HistorySpan::Minute, |running| running.clients, requests);
        assert_eq!(shares[POINTS - 4..], [0.0, 10.0, 10.0, 0.0]);
    }

    #[test]
    fn a_turn_that_came_late_is_no_peak() {
        let mut history = History::default();
        history.push(0, at(0));
        history.push(4000, at(400));
        assert_eq!(history.rates(HistorySpan::Minute, requests)[POINTS - 1], 100.0);
    }

    #[test]
    fn what_was_noted_before_a_pause_is_of_no_minute_that_ends_now() {
        let mut history = History::default();
        for second in 0..10 {
            history.push(second * 1000, at(second));
        }
        history.push(10 * MINUTE, at(1000));
        assert_eq!(history.added(requests), 0);
        history.push(10 * MINUTE + 1000, at(1001));
        assert_eq!(history.added(requests), 1);
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut history = History::default();
        for second in 0..2 * 3600 {
            history.push(second * 1000, at(second));
        }
        assert_eq!((history.seconds.len(), history.minutes.len()), (POINTS + 1, POINTS + 1));
        assert_eq!(history.rates(HistorySpan::Hour, requests), [1.0; POINTS]);
        assert_eq!(history.rates(HistorySpan::Minute, requests), [1.0; POINTS]);
    }

    #[test]
    fn times_are_those_of_the_span() {
        let mut history = History::default();
        for (second, micros) in [5000, 10_000, 20_000].into_iter().enumerate() {
            let mut running = history.seconds.back().map(|sample| sample.running.clone()).unwrap_or_default();
            running.counters.name_time.note(micros);
            history.push(1000 * second as Millis, running);
        }
        let times = |running: &Running| running.counters.name_time;
        assert_eq!(history.means(HistorySpan::Minute, times)[POINTS - 2..], [10.0, 20.0]);
        assert_eq!((history.recent(times).count(), history.recent(times).mean()), (2, 15.0));
    }
}

//! How long something took, in classes: enough to see a median and a tail, at the price of an addition.

/// Upper ends of the classes, in microseconds. What is longer than the last is counted with all. A request within one machine
/// takes less than a millisecond, and so does a turn of the loop.
pub const BOUNDS: [u64; 16] = [
    100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// Times by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Times in each class of [`BOUNDS`], those of lower classes not included.
    classes: [u64; BOUNDS.len()],
    count: u64,
    sum: u64,
}

impl Histogram {
    /// Something took so many microseconds.
    pub fn note(&mut self, micros: u64) {
        if let Some(class) = BOUNDS.iter().position(|bound| micros <= *bound) {
            self.classes[class] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    /// Number of times.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together, in microseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Those of these times that an older state of the same histogram did not have.
    pub fn since(&self, old: &Histogram) -> Histogram {
        let mut new = *self;
        new.classes.iter_mut().zip(old.classes).for_each(|(count, old)| *count = count.saturating_sub(old));
        new.count = new.count.saturating_sub(old.count);
        new.sum = new.sum.saturating_sub(old.sum);
        new
    }

    /// Counts the times of another one, too.
    pub fn add(&mut self, other: &Histogram) {
        self.classes.iter_mut().zip(other.classes).for_each(|(count, more)| *count += more);
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The mean in milliseconds, 0 of no times.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / 1000.0 / self.count.max(1) as f64
    }

    /// The bound below which this share of all times lies, in milliseconds, 0 of no times; None where that is longer than the
    /// last bound.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (self.count as f64 * share).ceil() as u64;
        if wanted == 0 {
            return Some(0.0);
        }
        self.cumulative().find(|(_, count)| *count >= wanted).map(|(bound, _)| bound as f64 / 1000.0)
    }

    /// Each bound, in microseconds, with the number of times up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut below = 0;
        BOUNDS.iter().zip(self.classes).map(move |(bound, count)| {
            below += count;
            (*bound, below)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_counts_in_its_class_and_all_above() {
        let mut times = Histogram::default();
        for micros in [0, 100, 101, 1000, 1001, 2999, 10_000_000, 10_000_001, u64::MAX] {
            times.note(micros);
        }
        let up_to = |bound: u64| times.cumulative().find(|(own, _)| *own == bound).map(|(_, count)| count);
        assert_eq!((up_to(100), up_to(200), up_to(500), up_to(1000)), (Some(2), Some(3), Some(3), Some(4)));
        assert_eq!((up_to(2000), up_to(5000), up_to(10_000_000)), (Some(5), Some(6), Some(7)));
        assert_eq!((times.count(), times.sum()), (9, u64::MAX));
    }

    #[test]
    fn quantiles_are_bounds_of_classes() {
        let mut times = Histogram::default();
        assert_eq!((times.quantile(0.95), times.mean()), (Some(0.0), 0.0));
        (0..95).for_each(|_| times.note(4000));
        (0..5).for_each(|_| times.note(400_000));
        assert_eq!([0.5, 0.95, 0.96].map(|share| times.quantile(share)), [Some(5.0), Some(5.0), Some(500.0)]);
        let mut quick = Histogram::default();
        quick.note(70);
        assert_eq!(quick.quantile(0.5), Some(0.1));
        let old = times;
        times.note(60_000_000);
        assert_eq!((times.since(&old).quantile(0.5), times.since(&old).mean()), (None, 60_000.0));
    }
}

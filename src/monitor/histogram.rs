//! How long something took, in classes: enough to see a median and a tail, at the price of an addition.

/// Upper ends of the classes, in milliseconds. What is longer than the last is counted with all.
pub const BOUNDS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// Times by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Times in each class of [`BOUNDS`], those of lower classes not included.
    classes: [u64; BOUNDS.len()],
    count: u64,
    sum: u64,
}

impl Histogram {
    /// Something took so many milliseconds.
    pub fn note(&mut self, millis: u64) {
        if let Some(class) = BOUNDS.iter().position(|bound| millis <= *bound) {
            self.classes[class] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(millis);
    }

    /// Number of times.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together, in milliseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bound with the number of times up to it.
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
        for millis in [0, 1, 2, 3, 10_000, 10_001, u64::MAX] {
            times.note(millis);
        }
        let up_to = |bound: u64| times.cumulative().find(|(own, _)| *own == bound).map(|(_, count)| count);
        assert_eq!((up_to(1), up_to(2), up_to(5), up_to(10_000)), (Some(2), Some(3), Some(4), Some(5)));
        assert_eq!((times.count(), times.sum()), (7, u64::MAX));
    }
}

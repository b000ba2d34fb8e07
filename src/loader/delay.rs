//! Whether the loader's thread hangs: what it works on, which the thread writes and the loop reads once a second, and what there
//! is to say of a job that takes too long. A dead disk or network file system holds a read for ever.

use std::sync::{Arc, Mutex, PoisonError};

use reactor::Millis;

/// Milliseconds that a job may take before it is told of. Long lists of names on a slow disk need some seconds.
const SLOW: Millis = 10_000;

/// What the thread works on at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Work(Arc<Mutex<Present>>);

#[derive(Clone, Debug, Default)]
struct Present {
    /// Number of the job.
    number: u64,
    /// What it does, such as `reading /etc/hosts`; None between two jobs.
    what: Option<Arc<str>>,
}

impl Work {
    /// A job begins.
    pub(super) fn begin(&self, what: Arc<str>) {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        present.number += 1;
        present.what = Some(what);
    }

    /// The job has ended.
    pub(super) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).what = None;
    }

    fn present(&self) -> Present {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What there is to tell of a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delay {
    /// It has taken too long, and goes on.
    Hangs(Arc<str>),
    /// It is over, after so many milliseconds.
    Over(Arc<str>, Millis),
}

/// The job that was seen last.
#[derive(Debug, Default)]
pub(super) struct Delays {
    number: u64,
    since: Millis,
    /// What it does, once it has been told of.
    told: Option<Arc<str>>,
}

impl Delays {
    /// Looks at the work, once a second. Each job that takes too long is told of twice: that it does, and that it is over.
    pub(super) fn look(&mut self, work: &Work, now: Millis) -> Option<Delay> {
        let present = work.present();
        let same = present.number == self.number && present.what.is_some();
        if !same {
            let took = now.saturating_sub(self.since);
            (self.number, self.since) = (present.number, now);
            return self.told.take().map(|what| Delay::Over(what, took));
        }
        if self.told.is_some() || now.saturating_sub(self.since) < SLOW {
            return None;
        }
        self.told.clone_from(&present.what);
        present.what.map(Delay::Hangs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_hangs_is_told_of_once_and_so_is_its_end() {
        let (work, mut delays) = (Work::default(), Delays::default());
        assert_eq!(delays.look(&work, 500), None);
        work.begin("/a".into());
        for now in [1000, 2000, 10_999] {
            assert_eq!(delays.look(&work, now), None, "{now}");
        }
        assert_eq!(delays.look(&work, 11_000), Some(Delay::Hangs("/a".into())));
        assert_eq!(delays.look(&work, 60_000), None);
        work.end();
        assert_eq!(delays.look(&work, 61_000), Some(Delay::Over("/a".into(), 60_000)));
        assert_eq!(delays.look(&work, 99_000), None, "nothing to do is no job");
    }

    #[test]
    fn another_job_is_another_episode() {
        let (work, mut delays) = (Work::default(), Delays::default());
        for number in 0..50 {
            work.begin("/quick".into());
            assert_eq!(delays.look(&work, number * 1000), None);
        }
        for (name, now) in [("/a", 100_000), ("/b", 200_000)] {
            work.begin(name.into());
            let before = delays.look(&work, now);
            assert_eq!(before.is_some(), name == "/b", "the end of the first is seen with the second");
            assert_eq!(delays.look(&work, now + SLOW), Some(Delay::Hangs(name.into())));
        }
    }
}

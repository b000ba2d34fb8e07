//! Files that are looked at again and again, each time by the loader. Knows neither which files nor what is in them.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use reactor::Millis;

use super::{Loader, Pending};

/// What looks. It remembers what it saw, and travels to the thread and back for each look.
pub trait Look: Debug + Send + 'static {
    /// What has become of the files.
    type News: Debug + Send + 'static;

    /// What a look does, for the log: `reading /etc/hosts`.
    fn what(&self) -> String;

    /// Looks at the files; None if nothing has changed. Runs on the loader's thread.
    fn look(&mut self) -> Option<Self::News>;

    /// Milliseconds from the start of a look that took so long to the next look.
    fn pause(took: Duration) -> Millis;
}

/// Something that is looked at, and when that is due.
#[derive(Debug)]
pub struct Watch<R: Look> {
    /// None while the loader has it.
    reader: Option<Box<R>>,
    pending: Pending<(Box<R>, Option<R::News>, Duration)>,
    asked: Millis,
    due: Millis,
}

impl<R: Look> Watch<R> {
    /// Looks for the first time a pause from now on: the reader has seen everything once.
    pub fn new(reader: R, now: Millis) -> Watch<R> {
        let due = now + R::pause(Duration::ZERO);
        Watch { reader: Some(Box::new(reader)), pending: Pending::default(), asked: now, due }
    }

    /// Has the loader look if it is time.
    pub fn tick(&mut self, loader: &mut Loader, now: Millis) {
        if now < self.due {
            return;
        }
        let Some(mut reader) = self.reader.take() else { return };
        self.asked = now;
        let what = reader.what();
        self.pending.ask(loader, what, move || {
            let start = Instant::now();
            let news = reader.look();
            (reader, news, start.elapsed())
        });
    }

    /// What the last look has found, once.
    pub fn take(&mut self) -> Option<R::News> {
        let (reader, news, took) = self.pending.take()?;
        self.reader = Some(reader);
        self.due = self.asked + R::pause(took);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{loader, wait};
    use super::*;

    #[derive(Debug)]
    struct Counter(u32);

    impl Look for Counter {
        type News = u32;

        fn what(&self) -> String {
            "counting".to_owned()
        }

        fn look(&mut self) -> Option<u32> {
            self.0 += 1;
            (self.0 % 2 == 0).then_some(self.0)
        }

        fn pause(took: Duration) -> Millis {
            assert!(took < Duration::from_secs(100));
            1000
        }
    }

    #[test]
    fn looks_come_at_their_times_and_one_by_one() {
        let (mut poller, mut loader) = loader();
        let mut watch = Watch::new(Counter(0), 500);
        watch.tick(&mut loader, 1499);
        assert!(watch.reader.is_some(), "it is not time");
        watch.tick(&mut loader, 1500);
        watch.tick(&mut loader, 99_999);
        let home = wait(&mut poller, &mut loader, |_| {
            assert!(watch.take().is_none(), "the first look finds nothing");
            watch.reader.as_ref().map(|reader| reader.0)
        });
        assert_eq!((home, watch.due), (1, 2500));
        watch.tick(&mut loader, 2500);
        assert_eq!(wait(&mut poller, &mut loader, |_| watch.take()), 2);
    }
}

//! Helpers without their threads, for a moment: the process is about to be divided, and no thread comes along.

use std::time::{Duration, Instant};

use reactor::frame::Frame;

use super::helper::{self, kind};
use super::{HelperLink, Redirector};

/// Pause between two looks at whether a thread has ended.
const GLANCE: Duration = Duration::from_micros(100);

impl Redirector {
    /// Do all helpers run, with none that comes or goes?
    pub fn is_settled(&self) -> bool {
        self.links.iter().flatten().all(|link| link.pid != 0 && !link.leaving)
    }

    /// Ends the threads; their helpers go on, and what they say waits. [`Redirector::go_on`] starts threads again. False where
    /// one does not end before `deadline`.
    pub fn park(&mut self, deadline: Instant) -> bool {
        for link in self.links.iter_mut().flatten().filter(|link| !link.parking) {
            // Said twice it would end the thread that is started afterwards, too. Where it fails its end is on its way.
            let _ = link.bus.send(Frame { kind: kind::PARK, key: 0, payload: b"" });
            link.parking = true;
        }
        let mut all = true;
        for link in self.links.iter_mut().flatten() {
            while link.thread.is_running() && Instant::now() < deadline {
                // What it waits for may be the rest of a question.
                let _ = link.bus.flush();
                std::thread::sleep(GLANCE);
            }
            all &= link.take_back();
        }
        all
    }

    /// Starts threads again for the helpers whose threads were ended. One that cannot be started is seen by the end of its bus.
    pub fn go_on(&mut self) {
        self.late = self.resume().then_some(0);
    }

    /// The same for the helpers whose threads have ended by now. True where one has not, which came too late to be parked.
    pub(super) fn resume(&mut self) -> bool {
        for link in self.links.iter_mut().flatten().filter(|link| link.parking) {
            link.parking = !link.take_back();
            let number = link.number;
            if let Err(error) = link.thread.start(|parked| helper::go_on(number, parked)) {
                log::error!(target: "manager", "worker {number} is lost: {error}");
            }
        }
        self.links.iter().flatten().any(|link| link.parking)
    }
}

impl HelperLink {
    /// Takes back what its thread had, if that has ended. False while it runs. A helper that has ended says so on its bus.
    fn take_back(&mut self) -> bool {
        let ended = !self.thread.is_running();
        if ended {
            self.thread.join();
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::Dialect;
    use super::super::pool::PoolSettings;
    use super::super::url::{LineForm, Url};
    use super::super::*;
    use super::*;
    use crate::policy::shares::ClientKey;

    /// A redirector with its poll, and a time that passes with each turn.
    struct Turns(Redirector, Poller<Owner>, Millis);

    impl Turns {
        /// Turns until something is to be done for a session.
        fn next(&mut self) -> RedirectorEvent {
            let Turns(redirector, poller, now) = self;
            for _ in 0..2000 {
                *now += 5;
                redirector.handle_timeout(poller, *now);
                if let Some(event) = redirector.poll(poller, *now) {
                    return event;
                }
                let mut seen = Vec::new();
                poller.wait(Some(Duration::from_millis(5)), &mut seen).unwrap();
                for (owner, ready) in seen {
                    let Owner::Helper(key) = owner else { continue };
                    redirector.handle_event(key, ready, poller, *now);
                }
            }
            panic!("nothing comes of it")
        }

        /// Has a question answered.
        fn ask(&mut self) {
            let client = ClientKey::from(std::net::IpAddr::from([192, 0, 2, 1]));
            self.0.ask(Key { index: 1, generation: 1 }, client, self.2).unwrap();
            let RedirectorEvent::Wanted { helper, .. } = self.next() else { panic!("it is wanted") };
            self.0.put(helper, &mut Vec::new(), |_, out| out.extend_from_slice(b"a question\n"));
            assert!(matches!(self.next(), RedirectorEvent::Replied { .. }));
        }
    }

    #[test]
    fn a_helper_whose_thread_comes_too_late_to_be_parked_goes_on() {
        let dialect = Dialect::Url(Url { line: LineForm::Exaproxy, extras: "".parse().unwrap(), concurrency: 0 });
        let arguments = vec!["-c".to_owned(), "while read -r line; do echo; done".to_owned()];
        let program = Program { path: "/bin/sh".into(), arguments, dialect };
        let pool = PoolSettings { minimum: 1, maximum: 1, timeout: 600_000, queue: 4, concurrency: 1 };
        let redirector = Redirector::new(Options { program, pool, on_failure: OnFailure::Error }, 1);
        let mut turns = Turns(redirector, Poller::new().unwrap(), 1);
        turns.ask();
        for _ in 0..20 {
            // Too late, or just in time; and then once more, as an upgrade is tried again.
            let _ = turns.0.park(Instant::now());
            turns.0.go_on();
            assert!(turns.0.park(Instant::now() + Duration::from_secs(20)));
            turns.0.go_on();
            turns.ask();
            let _ = turns.0.park(Instant::now());
            turns.0.go_on();
            turns.ask();
        }
    }
}

//! Boxes for letters to loops. Knows no letter.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;

use mio::Waker;
use reactor::poller::Poller;

use crate::io::owner::Owner;

/// Wakes a loop, once until it looks.
#[derive(Debug)]
pub(super) struct Bell {
    waker: Waker,
    /// The loop has been woken and has not looked since, so that many letters cost one call of the system.
    woken: AtomicBool,
}

impl Bell {
    /// Wakes the loop, unless that is done already.
    pub(super) fn ring(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // Its next second shows the letter to the loop, if nothing else does.
            let _ = self.waker.wake();
        }
    }
}

/// A box for letters to one loop. Posting never waits.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    letters: Sender<T>,
    bell: Arc<Bell>,
}

impl<T> Mailbox<T> {
    pub(super) fn new(poller: &mut Poller<Owner>) -> io::Result<(Mailbox<T>, Receiver<T>)> {
        let (letters, receiver) = mpsc::channel();
        let bell = Arc::new(Bell { waker: poller.waker(Owner::Loops)?, woken: AtomicBool::new(false) });
        Ok((Mailbox { letters, bell }, receiver))
    }

    /// Puts a letter in, and wakes the loop. One that has ended gets none.
    pub(super) fn post(&self, letter: T) {
        if self.letters.send(letter).is_ok() {
            self.bell.ring();
        }
    }

    /// What wakes its loop.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Whether letters may have come since the last time.
    pub(super) fn opens(&self) -> bool {
        self.bell.woken.load(Ordering::Relaxed) && self.bell.woken.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_letters_wake_a_loop_once() {
        let mut poller = Poller::new().unwrap();
        let (mailbox, letters) = Mailbox::new(&mut poller).unwrap();
        assert!(!mailbox.opens());
        (0..3).for_each(|number| mailbox.post(number));
        let mut seen = Vec::new();
        poller.wait(Some(std::time::Duration::from_secs(10)), &mut seen).unwrap();
        assert_eq!(seen.iter().map(|(owner, _)| *owner).collect::<Vec<_>>(), [Owner::Loops]);
        assert!(mailbox.opens() && !mailbox.opens());
        assert_eq!(letters.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}

//! Boxes for letters to loops. Knows no letter.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mio::Waker;
use reactor::poller::Poller;

use crate::io::owner::Owner;

/// With this many letters a box is long: its loop hangs, or does not keep up. A letter then takes the place of older ones that it
/// makes useless, and those who can do without this loop do so. What still comes is bounded by what the loop itself has begun, and by
/// what waits in the sessions of the others.
const LONG: usize = 1024;

/// What can be in a box.
pub(super) trait Letter {
    /// Does it make this older one useless?
    fn replaces(&self, older: &Self) -> bool;
}

/// Wakes a loop. Until that has looked, waking it again costs no system call.
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
            // Where that fails, the loop finds its letters within a second, as it turns that often.
            let _ = self.waker.wake();
        }
    }

    /// Whether it has been rung since the last time.
    fn has_rung(&self) -> bool {
        self.woken.load(Ordering::Relaxed) && self.woken.swap(false, Ordering::AcqRel)
    }
}

/// A box for letters to one loop. Posting waits for no loop.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    letters: Mutex<VecDeque<T>>,
    count: AtomicUsize,
    bell: Arc<Bell>,
}

impl<T: Letter> Mailbox<T> {
    pub(super) fn new(poller: &mut Poller<Owner>) -> io::Result<Mailbox<T>> {
        let bell = Arc::new(Bell { waker: poller.waker(Owner::Loops)?, woken: AtomicBool::new(false) });
        Ok(Mailbox { letters: Mutex::default(), count: AtomicUsize::new(0), bell })
    }

    /// Puts a letter in, and wakes the loop.
    pub(super) fn post(&self, letter: T) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        // One that does not stand for another like it stands for none, so that not all are looked at for it.
        if letters.len() >= LONG && letter.replaces(&letter) {
            letters.retain(|older| !letter.replaces(older));
        }
        letters.push_back(letter);
        self.count.store(letters.len(), Ordering::Relaxed);
        drop(letters);
        self.bell.ring();
    }

    /// Whether the loop is far behind with its letters.
    pub(super) fn is_long(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= LONG
    }

    /// What wakes its loop.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// The letters that have come since the last time.
    pub(super) fn open(&self) -> VecDeque<T> {
        if !self.bell.has_rung() {
            return VecDeque::new();
        }
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        self.count.store(0, Ordering::Relaxed);
        std::mem::take(&mut letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Letter for u32 {
        /// Odd ones are those that a later one stands for.
        fn replaces(&self, older: &u32) -> bool {
            self % 2 == 1 && older % 2 == 1
        }
    }

    #[test]
    fn many_letters_wake_a_loop_once() {
        let mut poller = Poller::new().unwrap();
        let mailbox = Mailbox::new(&mut poller).unwrap();
        assert!(mailbox.open().is_empty());
        (0..3).for_each(|number| mailbox.post(number));
        let mut seen = Vec::new();
        poller.wait(Some(std::time::Duration::from_secs(10)), &mut seen).unwrap();
        assert_eq!(seen.iter().map(|(owner, _)| *owner).collect::<Vec<_>>(), [Owner::Loops]);
        assert_eq!((mailbox.open().as_slices().0, mailbox.open().len()), (&[0, 1, 2][..], 0));
    }

    #[test]
    fn in_a_long_box_a_letter_stands_for_older_ones() {
        let mailbox = Mailbox::new(&mut Poller::new().unwrap()).unwrap();
        (0..LONG as u32).for_each(|number| mailbox.post(number));
        assert!(mailbox.is_long());
        mailbox.post(5);
        assert!(!mailbox.is_long());
        (0..10_000).for_each(|number| mailbox.post(2 * number + 1));
        let letters = mailbox.open();
        assert_eq!((letters.len() <= LONG, letters.back(), mailbox.is_long()), (true, Some(&19_999), false));
        assert_eq!(letters.iter().filter(|letter| *letter % 2 == 0).count(), LONG / 2, "no other one is lost");
    }
}

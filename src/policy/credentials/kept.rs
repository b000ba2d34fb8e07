//! Which credentials were found right lately, so that a client pays for one check and not for one with each request. Knows a
//! token by a hash with a secret of the process, and no password.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use reactor::Millis;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Milliseconds for which a check holds.
pub const KEPT_FOR: Millis = 300_000;

/// Results of one half of the memory; the older half goes when the younger is full.
const HALF: usize = 8_192;

/// Stands for a token and the users that it was checked against.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(u128);

/// The memory.
#[derive(Debug, Default)]
pub struct KeptLogins {
    secret: (u64, u64),
    /// Rises with each other file of users, whose results are others.
    generation: u64,
    young: HashMap<Fingerprint, (Arc<str>, Millis), RandomState>,
    old: HashMap<Fingerprint, (Arc<str>, Millis), RandomState>,
}

impl KeptLogins {
    /// An empty memory with this secret.
    pub fn new(secret: (u64, u64)) -> KeptLogins {
        KeptLogins { secret, ..KeptLogins::default() }
    }

    /// What stands for a token.
    pub fn fingerprint(&self, token: &[u8]) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write_u64(self.generation);
        hasher.write(token);
        Fingerprint(hasher.finish128().as_u128())
    }

    /// The user whose credentials these are, if they were found right and then used less than five minutes ago. What is in use
    /// stays: other users begin with an empty memory, and who is asked again stands behind those who guess.
    pub fn find(&mut self, fingerprint: Fingerprint, now: Millis) -> Option<Arc<str>> {
        if let Some((user, until)) = self.young.get_mut(&fingerprint) {
            let known = now < *until;
            *until = (*until).max(if known { now + KEPT_FOR } else { 0 });
            return known.then(|| Arc::clone(user));
        }
        let (user, _) = self.old.get(&fingerprint).filter(|(_, until)| now < *until)?;
        let user = Arc::clone(user);
        self.old.remove(&fingerprint);
        self.keep(fingerprint, Arc::clone(&user), now);
        Some(user)
    }

    /// Whether these credentials were right for these users at any time that is remembered: no guess, though they are checked
    /// again.
    pub fn was_right(&self, fingerprint: Fingerprint) -> bool {
        self.young.contains_key(&fingerprint) || self.old.contains_key(&fingerprint)
    }

    /// These credentials were found right.
    pub fn keep(&mut self, fingerprint: Fingerprint, user: Arc<str>, now: Millis) {
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, (user, now + KEPT_FOR));
    }

    /// Other users hold from now on: nothing is known of them.
    pub fn forget(&mut self) {
        self.generation += 1;
        self.young.clear();
        self.old.clear();
    }

    /// Results in memory, those included whose time is over.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// True without results.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_holds_for_five_minutes_and_for_its_users() {
        let mut kept = KeptLogins::new((1, 2));
        let (right, wrong) = (kept.fingerprint(b"right"), kept.fingerprint(b"wrong"));
        kept.keep(right, "ann".into(), 7);
        assert_eq!(kept.find(right, 7 + KEPT_FOR - 1).as_deref(), Some("ann"));
        // Its last use counts.
        let later = 7 + 2 * KEPT_FOR - 1;
        assert!(kept.find(right, later).is_none() && kept.find(wrong, 7).is_none());
        assert!(kept.was_right(right) && !kept.was_right(wrong));
        kept.forget();
        assert!(kept.is_empty() && kept.fingerprint(b"right") != right);
        assert_ne!(KeptLogins::new((1, 3)).fingerprint(b"right"), right);
    }

    #[test]
    fn what_is_in_use_outlives_the_older_half() {
        let mut kept = KeptLogins::new((1, 2));
        let used = kept.fingerprint(b"used");
        kept.keep(used, "ann".into(), 0);
        for number in 0..4 * HALF {
            let other = kept.fingerprint(&number.to_be_bytes());
            kept.keep(other, "bob".into(), 0);
            assert!(number % 1_000 > 0 || kept.find(used, 0).is_some());
        }
    }

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let mut kept = KeptLogins::new((1, 2));
        for number in 0..3 * HALF {
            let fingerprint = kept.fingerprint(&number.to_be_bytes());
            kept.keep(fingerprint, "ann".into(), 0);
            assert!(kept.find(fingerprint, 0).is_some() && kept.len() <= 2 * HALF);
        }
        let recent = kept.fingerprint(&(2 * HALF).to_be_bytes());
        assert!(kept.find(recent, 0).is_some());
    }
}

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

    /// The user whose credentials these are, if they were found right less than five minutes ago.
    pub fn find(&self, fingerprint: Fingerprint, now: Millis) -> Option<&Arc<str>> {
        let (user, until) = self.young.get(&fingerprint).or_else(|| self.old.get(&fingerprint))?;
        (now < *until).then_some(user)
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
        assert_eq!(kept.find(right, 7 + KEPT_FOR - 1).map(|user| &**user), Some("ann"));
        assert!(kept.find(right, 7 + KEPT_FOR).is_none() && kept.find(wrong, 7).is_none());
        kept.forget();
        assert!(kept.is_empty() && kept.fingerprint(b"right") != right);
        assert_ne!(KeptLogins::new((1, 3)).fingerprint(b"right"), right);
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

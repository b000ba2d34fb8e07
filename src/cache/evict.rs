//! Which stored response goes first: the one that was used least recently, or by SIEVE (Zhang and others, NSDI 2024), where a
//! use sets a mark and costs no move. Knows places in a list and nothing of what stands there.

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// How room is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eviction {
    /// What was used least recently goes first.
    #[default]
    Lru,
    /// What was not used since the hand last came by goes first.
    Sieve,
}

/// Where one response stands in the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    newer: u32,
    older: u32,
    used: bool,
}

impl Default for Links {
    fn default() -> Links {
        Links { newer: NONE, older: NONE, used: false }
    }
}

/// The order of all responses, whose links are kept by the caller: each method gets the way to those of a place.
#[derive(Debug)]
pub(super) struct EvictionOrder {
    policy: Eviction,
    newest: u32,
    oldest: u32,
    /// Where SIEVE goes on.
    hand: u32,
}

/// The links of places.
pub(super) trait Linked {
    fn links(&mut self, place: u32) -> &mut Links;
}

impl EvictionOrder {
    pub(super) fn new(policy: Eviction) -> EvictionOrder {
        EvictionOrder { policy, newest: NONE, oldest: NONE, hand: NONE }
    }

    pub(super) fn policy(&self) -> Eviction {
        self.policy
    }

    /// The place of the response that came first, or with [`Eviction::Lru`] was used least recently.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    pub(super) fn set_policy(&mut self, policy: Eviction) {
        self.policy = policy;
    }

    /// A response has come to this place.
    pub(super) fn add(&mut self, place: u32, all: &mut impl Linked) {
        *all.links(place) = Links { older: self.newest, ..Links::default() };
        match self.newest {
            NONE => self.oldest = place,
            newest => all.links(newest).newer = place,
        }
        self.newest = place;
    }

    /// The response of this place has been used.
    pub(super) fn touch(&mut self, place: u32, all: &mut impl Linked) {
        all.links(place).used = true;
        if self.policy == Eviction::Lru && self.newest != place {
            self.remove(place, all);
            self.add(place, all);
        }
    }

    /// The response of this place goes.
    pub(super) fn remove(&mut self, place: u32, all: &mut impl Linked) {
        let Links { newer, older, .. } = *all.links(place);
        if self.hand == place {
            self.hand = newer;
        }
        match newer {
            NONE => self.newest = older,
            newer => all.links(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => all.links(older).newer = newer,
        }
    }

    /// The place of the response that goes next, if there is one.
    pub(super) fn victim(&mut self, all: &mut impl Linked) -> Option<u32> {
        if self.policy == Eviction::Lru || self.oldest == NONE {
            return self.oldest();
        }
        // Each step takes a mark away, so that a second round finds one without.
        loop {
            if self.hand == NONE {
                self.hand = self.oldest;
            }
            let links = all.links(self.hand);
            if !std::mem::take(&mut links.used) {
                return Some(self.hand);
            }
            self.hand = links.newer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Linked for Vec<Links> {
        fn links(&mut self, place: u32) -> &mut Links {
            &mut self[place as usize]
        }
    }

    /// Adds five, uses some, and takes all by turns.
    fn order_of(policy: Eviction, used: &[u32]) -> Vec<u32> {
        let mut all = vec![Links::default(); 5];
        let mut order = EvictionOrder::new(policy);
        (0..5).for_each(|place| order.add(place, &mut all));
        used.iter().for_each(|place| order.touch(*place, &mut all));
        let mut gone = Vec::new();
        while let Some(place) = order.victim(&mut all) {
            order.remove(place, &mut all);
            gone.push(place);
        }
        gone
    }

    #[test]
    fn least_recently_used_goes_first() {
        assert_eq!(order_of(Eviction::Lru, &[]), [0, 1, 2, 3, 4]);
        assert_eq!(order_of(Eviction::Lru, &[0, 2, 0]), [1, 3, 4, 2, 0]);
    }

    #[test]
    fn sieve_passes_over_what_was_used() {
        assert_eq!(order_of(Eviction::Sieve, &[]), [0, 1, 2, 3, 4]);
        assert_eq!(order_of(Eviction::Sieve, &[0, 2, 0]), [1, 3, 4, 0, 2]);
        assert_eq!(order_of(Eviction::Sieve, &[0, 1, 2, 3, 4]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_new_one_does_not_wait_behind_the_hand_for_ever() {
        let mut all = vec![Links::default(); 4];
        let mut order = EvictionOrder::new(Eviction::Sieve);
        (0..3).for_each(|place| order.add(place, &mut all));
        order.touch(0, &mut all);
        assert_eq!(order.victim(&mut all), Some(1));
        order.remove(1, &mut all);
        order.add(3, &mut all);
        order.touch(3, &mut all);
        assert_eq!(order.victim(&mut all), Some(2));
        order.remove(2, &mut all);
        assert_eq!(order.victim(&mut all), Some(0));
    }
}

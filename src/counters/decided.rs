//! What was decided about requests, by the words of the usage log.

/// The words, in the order in which they are shown.
const WORDS: [&str; 8] = ["PERMIT", "REWRITE", "FILE", "REDIRECT", "INTERCEPT", "LOCAL", "DENY", "ERROR"];

/// Requests by the word for what was decided about them.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecidedCounts([u64; WORDS.len()]);

/// The word as it stands here, if it is one of them.
pub fn known(word: &str) -> Option<&'static str> {
    WORDS.into_iter().find(|own| *own == word)
}

impl DecidedCounts {
    /// This was decided about a request.
    pub fn note(&mut self, word: &str) {
        let place = WORDS.iter().position(|own| *own == word);
        debug_assert!(place.is_some(), "{word} is not in the list");
        if let Some(place) = place {
            self.0[place] += 1;
        }
    }

    /// Adds what another loop has counted.
    pub fn add(&mut self, other: &DecidedCounts) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// How many of each word.
    pub fn by_word(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        WORDS.into_iter().zip(self.0)
    }
}

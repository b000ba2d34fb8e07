//! What became of a request, in the words of logs, metrics and pages.

/// What became of a request, as logs, metrics and pages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// Answered from what is stored.
    Hit,
    /// Nothing that is stored could be used.
    Miss,
    /// Answered from what is stored once its origin had said that it holds.
    Revalidated,
    /// Answered from what is stored though it was stale.
    Stale,
    /// Answered by the response to another client's request that was on its way.
    Collapsed,
    /// The request is none that the cache looks at.
    Bypass,
}

impl CacheResult {
    /// All of them, in the order of their counters.
    pub const ALL: [CacheResult; 6] = [
        CacheResult::Hit,
        CacheResult::Miss,
        CacheResult::Revalidated,
        CacheResult::Stale,
        CacheResult::Collapsed,
        CacheResult::Bypass,
    ];

    /// The word in logs.
    pub fn word(self) -> &'static str {
        match self {
            CacheResult::Hit => "HIT",
            CacheResult::Miss => "MISS",
            CacheResult::Revalidated => "REVALIDATED",
            CacheResult::Stale => "STALE",
            CacheResult::Collapsed => "COLLAPSED",
            CacheResult::Bypass => "BYPASS",
        }
    }

    /// The word that Squid has for it in its own log.
    pub fn squid(self) -> &'static str {
        match self {
            CacheResult::Hit => "TCP_MEM_HIT",
            CacheResult::Miss | CacheResult::Bypass => "TCP_MISS",
            CacheResult::Revalidated => "TCP_REFRESH_UNMODIFIED",
            CacheResult::Stale => "TCP_STALE_HIT",
            CacheResult::Collapsed => "TCP_CF_HIT",
        }
    }

    /// The place of its counter.
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = CacheResult::ALL.iter().map(|result| result.word()).collect();
        assert_eq!(words.len(), CacheResult::ALL.len());
        assert!(CacheResult::ALL.iter().enumerate().all(|(place, result)| result.index() == place));
    }
}

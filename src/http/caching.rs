//! What a cache does with one exchange, as the exchange has to know it. Knows no cache.

use super::cache_status::CacheReport;

/// What a cache wants of the response to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// Nothing.
    #[default]
    Unasked,
    /// To judge its head before the client gets it.
    Judge,
    /// To be named in it.
    Told(CacheReport),
}

//! What a cache does with one exchange, as the exchange has to know it. Knows no cache.

/// What a cache wants of the response to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// Nothing.
    #[default]
    Unasked,
    /// To judge its head before the client gets it.
    Judge,
    /// To be named in it: the value of Cache-Status (RFC 9211), empty where it is not told.
    Told(Box<str>),
}

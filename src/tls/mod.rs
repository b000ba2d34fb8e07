//! The first bytes of TLS, as far as they are sent in the clear: where a ClientHello ends, what it names, and the alert that
//! refuses one. Nothing is decrypted. Knows no connection, no list and no clock.

pub mod alert;
pub mod fault;
pub mod hello;
mod reader;
pub mod record;
#[cfg(test)]
pub(crate) mod tests;

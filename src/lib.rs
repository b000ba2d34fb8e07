//! ExaProxy: a non-caching HTTP/1.x proxy that filters with helper programs. `docs/architecture.md` is the map.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod http;
pub mod interfaces;
pub mod logs;
pub mod pages;
pub mod policy;

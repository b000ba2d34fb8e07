//! ExaProxy: an HTTP/1.x proxy that filters with helper programs. `docs/architecture.md` is the map.

pub mod answers;
pub mod cache;
pub mod cli;
pub mod config;
pub mod counters;
mod decimal;
pub mod exchange;
pub mod http;
pub mod icap;
pub mod io;
pub mod loader;
pub mod logs;
pub mod monitor;
pub mod peer;
pub mod policy;
pub mod proxy;
pub mod redirector;
pub mod resolver;
pub mod session;
pub mod supervisor;
pub mod system;
pub mod tls;
pub mod upstream;
pub mod verifier;
pub mod web;

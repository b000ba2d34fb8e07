//! ExaProxy: a non-caching HTTP/1.x proxy that filters with helper programs. `docs/architecture.md` is the map.

pub mod answers;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod decision;
pub mod exchange;
pub mod http;
pub mod interfaces;
pub mod logs;
pub mod monitor;
pub mod owner;
pub mod pages;
pub mod policy;
pub mod proxy;
pub mod proxy_line;
pub mod redirector;
pub mod resolver;
pub mod server;
pub mod session;
pub mod signals;
pub mod supervisor;
pub mod upstream;
pub mod web;

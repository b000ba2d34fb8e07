//! The real binary against peers that misbehave on purpose: what `docs/testing.md` calls the behaviour tests.
//!
//! Each file is one subject and each test is named after what it shows; `row_NN` in a name is the number of the want of
//! users that it answers, listed in `rows.rs`. Ports come from the kernel or from a range of their own, nothing sleeps
//! to synchronise, and every wait is for a condition.

// Nothing outside this target can reach a `pub` here; `pub(crate)` on each line would only be noise.
#![allow(unreachable_pub)]

mod access;
mod answers;
mod auth;
mod autoconfig;
mod backpressure;
mod boundaries;
mod cache;
mod cli;
mod client_limits;
mod clients;
mod connect;
mod container;
mod control;
mod counters;
mod diverted;
mod dns;
mod dns_answers;
mod dropped;
mod early_answer;
mod examples;
mod expect;
mod eyeballs;
mod forward;
mod found;
mod framing;
mod gateway;
mod halfclose;
mod icap;
mod ipv6;
mod keepalive;
mod limits;
mod listed;
mod listeners;
mod lists;
mod loader;
mod logs;
mod looping;
mod monitor;
mod next_version;
mod outages;
mod pages;
mod parents;
mod passthrough;
mod pipelining;
mod policy;
mod probes;
mod process;
mod proxied;
mod proxy_status;
mod redirector;
mod refusals;
mod rows;
mod signals;
mod sni;
mod supervised;
mod support;
mod tally;
mod threads;
mod tls_by_name;
mod unix;
mod upgrade;
mod usage;
mod web;

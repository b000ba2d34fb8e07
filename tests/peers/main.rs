//! The real binary between real programs: clients that people use in front of it, servers that people run behind it.
//! Knows nothing of the proxy's insides; what each program may see and send is not scripted here.

mod autoconfig;
mod browser;
mod cached;
mod caches;
mod categories;
mod chromium;
mod contained;
mod curl;
mod dashboards;
mod diverted;
mod diverted_tls;
mod documents;
mod goaccess;
mod haproxy;
mod haproxy_tls;
mod hellos;
mod icap;
mod installed;
mod killed;
mod lines_by_schema;
mod logrotate;
mod names;
mod openssl;
mod packaged;
mod pages;
mod parents;
mod programs;
mod promtool;
mod refresh;
mod released;
mod reuse;
mod second_proxy;
mod servers;
mod services;
mod shells;
mod space;
mod squidguard;
mod strace;
mod systemd;
// Shared with the behaviour tests; each set of tests uses another part of it.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../proxy/support/mod.rs"]
mod support;
mod unix;
mod users;
mod websocket;
mod wget;

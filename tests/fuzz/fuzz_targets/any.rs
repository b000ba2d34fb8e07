//! One libFuzzer binary for all targets: `FUZZ_TARGET` names the one to run.

#![no_main]

#[path = "../targets/mod.rs"]
#[allow(dead_code)]
mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static RUN: OnceLock<fn(&[u8]) -> u64> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let run = RUN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let target = targets::TARGETS.iter().find(|target| target.name == name);
        target.unwrap_or_else(|| panic!("no target {name}")).run
    });
    run(bytes);
});
